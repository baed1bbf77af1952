/* grad.h: reverse-mode differentiation over tensor operations.
 *
 * Every differentiable operation of the language goes through an `op_`
 * function below.  Outside `grad` it costs one test (rt->tape == NULL) and
 * calls the kernel.  Inside, it appends a node to the tape: the operation,
 * its inputs' nodes, the tensors the backward rule needs.  A traced scalar is
 * a rank-0 tensor.
 *
 * Nodes have serial numbers that only grow.  A tensor is recorded when
 * t->node >= rt->tape->base; a tensor that outlives its tape has a smaller
 * number and is a constant again, so nothing has to be cleaned.
 *
 * Backward rules are written with the same op_ functions, so a gradient
 * inside another gradient is recorded too (depth > 1).  When depth == 1 the
 * backward pass runs with recording off.  Adjoints are added in node order:
 * bits do not depend on threads.
 */
#ifndef QA_GRAD_H
#define QA_GRAD_H
#include "runtime/tensor/tensor.h"

/* ---- the tape ---------------------------------------------------------- */

/* Opens one level and returns its mark.  Nested calls share the tape. */
RtStatus tape_open(Rt *rt, uint64_t *mark);
/* Closes the level: frees its nodes when it is the outermost one. */
void tape_close(Rt *rt, uint64_t mark);
/* A leaf of this level: same data, new node.  New reference. */
Tensor *tape_leaf(Rt *rt, Tensor *t);
/* A leaf of level `depth` (1: the outermost) while deeper ones are open. */
Tensor *tape_leaf_at(Rt *rt, Tensor *t, int depth);
static inline bool rt_taped(const Rt *rt, const Tensor *t);  /* below */
/* Gradients of `out` (weighted by `seed`, NULL: ones; out must then be one
 * real number) with respect to n leaves made since `mark`.  grads[i] is a
 * new reference with the leaf's shape and dtype (zeros if unused).
 * For complex z the gradient is dL/dRe z + i dL/dIm z.                      */
RtStatus tape_backward(Rt *rt, uint64_t mark, Tensor *out, Tensor *seed,
                       int n, Tensor **leaves, Tensor **grads);
/* The same data as a constant. New reference. */
Tensor *tape_detach(Rt *rt, Tensor *t);

/* Adding an operation from another area (attention, fused layers): call the
 * kernel, then record.  `inputs` are the tensor arguments in order; `saved`
 * are kept alive (references are taken); `data` (may be NULL) is freed by
 * rule->drop.  Sets out->node.  Does nothing when no input is recorded.     */
typedef struct TapeNode TapeNode;
typedef struct {
  const char *name;                    /* as the script knows it             */
  /* Given the adjoint g of the output, add to the inputs' adjoints with
   * tape_add(rt, node, k, tensor).  Several outputs: g[i] may be NULL.      */
  RtStatus (*backward)(Rt *rt, TapeNode *node, Tensor **g);
  void (*drop)(Rt *rt, void *data);
  bool once;    /* rule uses raw kernels: a second derivative is an error that names it */
} TapeRule;
RtStatus tape_record(Rt *rt, const TapeRule *rule, int n_out, Tensor **outs,
                     int n_in, Tensor **inputs, int n_saved, Tensor **saved,
                     void *data);
bool tape_wants(const TapeNode *node, int k);   /* does input k need an adjoint? */
/* Adds to input k's adjoint; takes over the reference to g; a NULL g passes
 * the error already in rt->error on (returns its status).                   */
RtStatus tape_add(Rt *rt, TapeNode *node, int k, Tensor *g);
Tensor *tape_saved(const TapeNode *node, int k);  /* borrowed */
void *tape_data(const TapeNode *node);

struct RtTape {
  uint64_t base, next;
  int depth;
  bool recording;
  bool retain;   /* keep saved tensors, so that tape_backward can run again  */
  bool spent;    /* a pass without `retain` has released them                */
  /* the private part follows: tape_private.h                                */
};
static inline bool rt_taped(const Rt *rt, const Tensor *t) {
  return rt->tape && rt->tape->recording && t->node >= rt->tape->base && t->node != 0;
}

/* ---- differentiable operations (see tensor.h for meaning) ---------------
 * Where no derivative exists: abs, relu and norm have 0 at 0; min, max and
 * their reductions split the adjoint equally on ties; clip passes it on at
 * its bounds; sign, floor, ceil, round, // and comparisons give constants.
 * eigh, svd: see ops_decompose.c about equal eigenvalues.                    */
Tensor *op_binary(Rt *rt, BinOp op, Tensor *a, Tensor *b, unsigned reuse, unsigned weak);
Tensor *op_binary_scalar(Rt *rt, BinOp op, Tensor *a, double s, bool s_is_int, bool scalar_left, unsigned reuse);
Tensor *op_unary(Rt *rt, UnOp op, Tensor *a, unsigned reuse);
Tensor *op_clip(Rt *rt, Tensor *a, double lo, double hi, unsigned reuse);
Tensor *op_where(Rt *rt, Tensor *cond, Tensor *a, Tensor *b);
Tensor *op_reduce(Rt *rt, RedOp op, Tensor *a, unsigned axes, bool keep);
Tensor *op_matmul(Rt *rt, Tensor *a, Tensor *b);
Tensor *op_matmul_t(Rt *rt, Tensor *a, bool ta, Tensor *b, bool tb);
Tensor *op_reshape(Rt *rt, Tensor *t, int rank, const int64_t *shape);
Tensor *op_permute(Rt *rt, Tensor *t, const int *axes);
Tensor *op_swap_last(Rt *rt, Tensor *t, bool conj);
Tensor *op_expand(Rt *rt, Tensor *t, int rank, const int64_t *shape);
Tensor *op_sum_to(Rt *rt, Tensor *t, int rank, const int64_t *shape);
Tensor *op_concat(Rt *rt, int n, Tensor **ts, int axis);
Tensor *op_stack(Rt *rt, int n, Tensor **ts, int axis);
Tensor *op_tile(Rt *rt, Tensor *t, int n, const int64_t *reps);
Tensor *op_index(Rt *rt, Tensor *t, int n, const Index *ix);
RtStatus op_index_set(Rt *rt, Tensor **t, int n, const Index *ix, Tensor *value); /* in place when unshared, taped or not */
Tensor *op_astype(Rt *rt, Tensor *t, DType dt);
Tensor *op_cumsum(Rt *rt, Tensor *t, int axis);
Tensor *op_sort(Rt *rt, Tensor *t, int axis, bool descending);
Tensor *op_scatter_add(Rt *rt, int64_t n, Tensor *ix, Tensor *rows);
Tensor *op_quantile(Rt *rt, Tensor *t, Tensor *q, int axis, bool all);
Tensor *op_variance(Rt *rt, Tensor *t, unsigned axes, bool keep, int ddof);
Tensor *op_norm(Rt *rt, Tensor *t, unsigned axes, bool keep);           /* Euclidean */
Tensor *op_solve(Rt *rt, Tensor *a, Tensor *b);
Tensor *op_inv(Rt *rt, Tensor *a);
Tensor *op_det(Rt *rt, Tensor *a);
Tensor *op_trace(Rt *rt, Tensor *a);
RtStatus op_eigh(Rt *rt, Tensor *a, Tensor **values, Tensor **vectors);
RtStatus op_svd(Rt *rt, Tensor *a, Tensor **u, Tensor **s, Tensor **vt);
RtStatus op_qr(Rt *rt, Tensor *a, Tensor **q, Tensor **r);
Tensor *op_cholesky(Rt *rt, Tensor *a);
Tensor *op_expm(Rt *rt, Tensor *a);
Tensor *op_logm(Rt *rt, Tensor *a);
Tensor *op_lstsq(Rt *rt, Tensor *a, Tensor *b);
Tensor *op_outer(Rt *rt, Tensor *a, Tensor *b);
Tensor *op_kron(Rt *rt, Tensor *a, Tensor *b);
#endif
