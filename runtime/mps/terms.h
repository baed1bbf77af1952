/* terms.h: a Hamiltonian as a list of products of one-site matrices (private to runtime/mps). */
#ifndef QA_MPS_TERMS_H
#define QA_MPS_TERMS_H
#include "runtime/mps/mps.h"

typedef struct { int64_t d; c128 *m; } LocalOp;          /* [d][d]: to, from; owned  */
typedef struct {
  c128 c;
  int64_t from;           /* factors [from, from + n) of site[], op[]             */
  int n;                  /* on different sites, ascending                        */
} Term;

/* Every factor's matrix is real (a Y goes as iY, its coefficient times -i), so the sum is
 * real when all coefficients are.                                                */
typedef struct {
  c128 constant;
  Term *term;
  int64_t n, cap;
  int32_t *site, *op;
  int64_t n_factor, cap_factor;
  LocalOp *local;
  int n_local, cap_local;
  bool real;
} Terms;

void terms_init(Terms *t);
void terms_free(Rt *rt, Terms *t);
/* The terms of h, merged by the caller. */
RtStatus terms_of(Rt *rt, const Operator *h, Terms *out);
#endif
