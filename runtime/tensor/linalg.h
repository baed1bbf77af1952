/* linalg.h: dense linear algebra through LAPACKE (opened on first use).
 * Inputs f32/f64/c64/c128; i64 and bool are taken as f64.  Leading axes are
 * a batch for every function.  Errors: not square, singular (names the
 * pivot), no convergence, nan/inf input.                                    */
#ifndef QA_LINALG_H
#define QA_LINALG_H
#include "runtime/tensor/tensor.h"

Tensor *linalg_solve(Rt *rt, Tensor *a, Tensor *b);      /* a (n,n), b (n) or (n,m) */
Tensor *linalg_inv(Rt *rt, Tensor *a);
Tensor *linalg_det(Rt *rt, Tensor *a);
Tensor *linalg_trace(Rt *rt, Tensor *a);
RtStatus linalg_eig(Rt *rt, Tensor *a, Tensor **values, Tensor **vectors);   /* complex; unit columns */
RtStatus linalg_eigh(Rt *rt, Tensor *a, Tensor **values, Tensor **vectors);  /* ascending, real values; lower triangle */
RtStatus linalg_svd(Rt *rt, Tensor *a, Tensor **u, Tensor **s, Tensor **vt); /* thin, descending */
RtStatus linalg_qr(Rt *rt, Tensor *a, Tensor **q, Tensor **r);               /* reduced */
Tensor *linalg_cholesky(Rt *rt, Tensor *a);                                  /* lower */
Tensor *linalg_lstsq(Rt *rt, Tensor *a, Tensor *b);                          /* minimum norm */
Tensor *linalg_expm(Rt *rt, Tensor *a);     /* Pade 13, scaling and squaring */
Tensor *linalg_logm(Rt *rt, Tensor *a);     /* inverse scaling and squaring on the Schur form */
Tensor *linalg_outer(Rt *rt, Tensor *a, Tensor *b);
Tensor *linalg_kron(Rt *rt, Tensor *a, Tensor *b);
/* b := solution of op(T) x = b for triangular T (n,n); for backward passes. */
Tensor *linalg_solve_triangular(Rt *rt, Tensor *t, Tensor *b, bool lower, bool trans);
#endif
