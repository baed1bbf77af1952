/* ising.h: the quadratic model that every sampler takes.
 *
 *   E(s) = offset + sum_i h_i s_i + sum_{i<j} J_ij s_i s_j,   s_i = +1 or -1, minimised
 *
 * Binary variables are b = (1 + s)/2.  The neighbours of i are
 * other[start[i] .. start[i+1]), ascending, with couplings J at the same places;
 * each coupling is stored at both ends.  No coupling is 0; indices fit 32 bits.
 */
#ifndef QA_BINARY_ISING_H
#define QA_BINARY_ISING_H
#include "runtime/base/base.h"

typedef struct Ising {
  int64_t n, m;           /* variables, couplings                             */
  double offset;
  double *h;              /* [n]                                              */
  int64_t *start;         /* [n + 1]                                          */
  int32_t *other;         /* [2 m]                                            */
  double *J;              /* [2 m]                                            */
} Ising;

/* Coupling k joins uv[2k] and uv[2k+1] with strength c[k]; equal pairs are added
 * up, zeros dropped, both orders allowed, u == v is an error.  h may be NULL.
 * c and h must be finite.                                                     */
RtStatus ising_make(Rt *rt, Ising *out, int64_t n, const double *h, int64_t m,
                    const int32_t *uv, const double *c, double offset);
/* From E(x) = offset + sum a_i x_i + sum b_ij x_i x_j with x = 0, 1. */
RtStatus ising_from_qubo(Rt *rt, Ising *out, int64_t n, const double *a, int64_t m,
                         const int32_t *uv, const double *b, double offset);
RtStatus ising_copy(Rt *rt, Ising *out, const Ising *p);
void ising_free(Rt *rt, Ising *p);
double ising_energy(const Ising *p, const int8_t *s);
/* f_i = h_i + sum_j J_ij s_j; flipping i changes E by -2 s_i f_i. */
void ising_fields(const Ising *p, const int8_t *s, double *f);
/* The same model over 0/1: *a [n] and *b [2 m] beside `other`, both from rt_alloc;
 * *offset its constant.                                                       */
RtStatus ising_to_qubo(Rt *rt, const Ising *p, double **a, double **b, double *offset);

/* What samplers choose their kernels and temperatures from; one pass. */
typedef struct {
  double max_h, max_J, min_J, rms_J, rms_h;   /* of absolute values, min_J over non-zeros */
  double max_field;       /* max_i |h_i| + sum_j |J_ij|                        */
  double mean_degree;
  int64_t max_degree;
  bool integer;           /* h and J are integers after multiplying by `scale` */
  double scale;           /* 2^k, at most 2^20; 1 when not integer             */
  bool has_fields;
} IsingScale;
void ising_scale(const Ising *p, IsingScale *out);

#endif
