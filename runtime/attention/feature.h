/* feature.h: separable weights (private).
 *
 * A weight that is nothing but the product of two mapped vectors,
 * w_ij = phi(q_i).phi(k_j), lets the sums over keys be taken before the query
 * is known (Katharopoulos et al. 2020, eq. 5 and 12):
 *
 *   S = sum_j phi(k_j) v_j^T,  z = sum_j phi(k_j),  out_i = phi(q_i) S / phi(q_i).z
 *
 * Under a causal mask S and z are those of the keys up to i.  Keys go by chunks
 * of FEATURE_CHUNK: what lies in the query's own chunk is summed pair by pair,
 * what lies before through the state, so that n (r + e) 64 + n r e products
 * take the place of n^2 (r + e), and no matrix of n x n exists anywhere.      */
#ifndef QA_ATTN_FEATURE_H
#define QA_ATTN_FEATURE_H
#include "runtime/attention/attn.h"

#define FEATURE_CHUNK 64

typedef struct {
  bool causal;
  bool sum;                /* phi_i = constant + the row's sum, or the constant alone */
  int constant;            /* node, or -1: zero                                */
} AttnFeature;

/* Is the variant separable?  *why says why not. */
bool attn_feature(const AttnSpec *s, AttnFeature *form, const char **why);
/* explain: the costs of the matrix state, true; or why there is none, where a product of
 * vectors is the weight.                                                     */
bool attn_feature_describe(const AttnSpec *s, Buf *out);
bool attn_feature_describe_call(const AttnJob *geo, Buf *out, double *flops_forward);
/* attend by the matrix state; q and k are mapped already. */
Tensor *attn_feature_attend(Rt *rt, AttnSpec *s, const AttnFeature *form, const AttnArgs *a);
/* The same for keys that follow those in the state s0 (.., r, e), z0 (.., r), NULL for
 * none; *s1 and *z1 become the states behind them.  Not recorded on the tape.   */
Tensor *attn_feature_next(Rt *rt, AttnSpec *s, const AttnFeature *form, const AttnArgs *a,
                          const Tensor *s0, const Tensor *z0, Tensor **s1, Tensor **z1);

/* Value of a scalar expression of the variant (tape.c). */
RtStatus attn_scalar(Rt *rt, const AttnSpec *s, int node, const AttnArgs *a, double *out);
/* The operand with rows of contiguous numbers (tape.c). */
Tensor *attn_rows(Rt *rt, Tensor *t);

typedef struct {
  bool causal, sum;
  int64_t B, Hq, Hk, nq, nk, r, e;
  AttnView q, k, v;
  const double *constant;  /* one, or one a head                               */
  int64_t constant_step;
  const void *s0;          /* forward: state before the first key (B, Hk, r, e), or NULL */
  const double *z0;        /* (B, Hk, r)                                       */
  void *s1;                /* where the state after the last key goes, or NULL */
  double *z1;
  void *out;               /* (B, Hq, nq, e)                                   */
  double *phi;             /* (B, Hq, nq): the divisors                        */
  /* backward: `out` and `phi` hold what forward left                          */
  AttnView grad;
  void *dq, *dk, *dv;      /* contiguous, zero at the start; NULL: not wanted  */
  double *dconstant;       /* (B Hq): of each head's constant                  */
  char *scratch;           /* feature_scratch bytes a lane                     */
  size_t scratch_size;
  int64_t items;           /* B Hk                                             */
} FeatureJob;

size_t feature_scratch_f32(const FeatureJob *job);
size_t feature_scratch_f64(const FeatureJob *job);
/* Loop bodies over items: a key head of a batch entry each. */
int feature_forward_f32(void *job, int64_t first, int64_t end, int lane);
int feature_forward_f64(void *job, int64_t first, int64_t end, int lane);
int feature_backward_f32(void *job, int64_t first, int64_t end, int lane);
int feature_backward_f64(void *job, int64_t first, int64_t end, int lane);
#endif
