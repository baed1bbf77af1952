/* learn.h: fused kernels for training: layers, losses, optimisers.
 *
 * Layer functions take tensors that may be recorded on rt->tape and record
 * one node each (runtime/grad/grad.h, rules are `once`: a second derivative
 * is an error that names the function).  f32 and f64; x, parameters and
 * results have one dtype.  Leading axes of x are free: only the last one is
 * mixed.  All results are new references, NULL on error.  Bits do not depend
 * on the number of threads.                                                  */
#ifndef QA_LEARN_H
#define QA_LEARN_H
#include "runtime/tensor/random.h"

typedef enum { ACT_NONE, ACT_RELU, ACT_GELU /* erf form */, ACT_SIGMOID, ACT_TANH } Activation;

/* act(x W + b): x (.., n), W (n, m), b (m) or NULL -> (.., m) */
Tensor *learn_linear(Rt *rt, Tensor *x, Tensor *W, Tensor *b, Activation act);
/* act(x W1 + b1) W2 + b2; b1, b2 or both may be NULL */
Tensor *learn_mlp(Rt *rt, Tensor *x, Tensor *W1, Tensor *b1, Tensor *W2, Tensor *b2,
                  Activation act);
/* (x - mean) / sqrt(var + eps) * gain + bias over the last axis n; gain, bias (n) or NULL */
Tensor *learn_layer_norm(Rt *rt, Tensor *x, Tensor *gain, Tensor *bias, double eps);
/* *sum = x + r and *y = layer_norm(*sum): one pass for a residual branch and the norm after it;
 * x and r have one shape                                                      */
RtStatus learn_add_norm(Rt *rt, Tensor *x, Tensor *r, Tensor *gain, Tensor *bias, double eps,
                        Tensor **sum, Tensor **y);
/* x / sqrt(mean(x^2) + eps) * gain */
Tensor *learn_rms_norm(Rt *rt, Tensor *x, Tensor *gain, double eps);
/* rows of table (v, d) by i64 ids of any shape -> (.., d); out of range is an error */
Tensor *learn_embedding(Rt *rt, Tensor *table, Tensor *ids);
Tensor *learn_softmax(Rt *rt, Tensor *x);              /* last axis */
Tensor *learn_log_softmax(Rt *rt, Tensor *x);          /* last axis */
/* mean over rows of -log softmax(logits)[label]: logits (.., c), labels i64 (..);
 * label smoothing s in [0, 1) mixes in the uniform distribution; rank-0 result */
Tensor *learn_cross_entropy(Rt *rt, Tensor *logits, Tensor *labels, double smoothing);
Tensor *learn_mse(Rt *rt, Tensor *a, Tensor *b);       /* mean squared difference, rank 0 */
/* keeps an element with probability 1 - p, scaled by 1 / (1 - p); element e uses
 * rng_uniform(call, e) */
Tensor *learn_dropout(Rt *rt, Tensor *x, double p, RngCall call);
/* images (b, h, w) or (b, h, w, c) -> (b, (h/p)(w/p), p p c), row by row; h, w multiples of p */
Tensor *learn_patches(Rt *rt, Tensor *images, int64_t p);
/* (b, n, k heads d) -> k <= 8 views (b, heads, n, d): splitting a joint
 * query/key/value product; and back (b, heads, n, d) -> (b, n, heads d), which is
 * a view too of what attention returns                                        */
RtStatus learn_split_heads(Rt *rt, Tensor *x, int64_t heads, int k, Tensor **out);
Tensor *learn_merge_heads(Rt *rt, Tensor *x);

/* ---- optimisers: one pass over vectors of one dtype, in place --------------- */
/* A gradient lies in pieces, one behind the other as the vector they belong to:
 * n numbers of its dtype at g.  `keep`: no weight decay here.                  */
typedef struct { int64_t n; const void *g; bool keep; } StepPart;
/* `w`, `m`, `v` are unshared vectors (n) that are changed; the parts' numbers are
 * n in all.  step counts from 1.  decay: decoupled weight decay (AdamW), 0 for Adam. */
typedef struct { double lr, beta1, beta2, eps, decay; int64_t step; } AdamStep;
RtStatus learn_adam(Rt *rt, Tensor *w, int n_part, const StepPart *part, Tensor *m, Tensor *v,
                    AdamStep s);
typedef struct { double lr, momentum, decay; bool nesterov; } SgdStep;
RtStatus learn_sgd(Rt *rt, Tensor *w, int n_part, const StepPart *part,
                   Tensor *velocity /* or NULL */, SgdStep s);
/* Euclidean norm of all parts (f32 or f64) together, in double with fixed blocks; nan if any
 * element is.                                                                  */
RtStatus learn_norm(Rt *rt, DType d, int n_part, const StepPart *part, double *norm);
/* Index of the largest of each row of logits (.., c): i64 (..). */
Tensor *learn_predict(Rt *rt, Tensor *logits);
#endif
