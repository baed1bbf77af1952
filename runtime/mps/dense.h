/* dense.h: row-major blocks of doubles, real or complex (re, im side by side), and the
 * LAPACK calls that tensor networks need (private to runtime/mps).
 *
 * `wide` says whether a block is complex; extents count entries, not doubles.  Everything
 * runs on the calling thread, so results do not depend on the number of threads.    */
#ifndef QA_MPS_DENSE_H
#define QA_MPS_DENSE_H
#include "runtime/tensor/tensor.h"

typedef enum { DENSE_PLAIN = 111, DENSE_TRANSPOSED = 112, DENSE_ADJOINT = 113 } DenseForm;

/* n entries, uninitialised; an error when they are too many.  NULL + error. */
double *dense_new(Rt *rt, bool wide, int64_t n);
double *dense_new0(Rt *rt, bool wide, int64_t n);
void dense_free(Rt *rt, bool wide, int64_t n, double *p);        /* NULL is fine */

/* c (m, n) = op(a) (m, k) op(b) (k, n) + beta c; beta is 0 or 1.  After dense_open(). */
void dense_product(bool wide, DenseForm ta, DenseForm tb, int64_t m, int64_t n, int64_t k,
                   const double *a, int64_t lda, const double *b, int64_t ldb, int beta, double *c,
                   int64_t ldc);
/* The libraries, or an error that names what is missing. */
RtStatus dense_open(Rt *rt);
/* b (n, m) = the adjoint of a (m, n) */
void dense_adjoint(bool wide, int64_t m, int64_t n, const double *a, double *b);
/* y += c x over n entries; c.im is 0 unless wide */
void dense_add(bool wide, int64_t n, c128 c, const double *x, double *y);
double dense_norm2(bool wide, int64_t n, const double *x);
void dense_scale(bool wide, int64_t n, double c, double *x);
/* a (m, n) = u (m, k) s vt (k, n) with k = min(m, n); a is lost. */
RtStatus dense_svd(Rt *rt, bool wide, int64_t m, int64_t n, double *a, double *s, double *u,
                   double *vt);
/* a (m, n) = q (m, k) r (k, n), k = min(m, n); a becomes q, packed. */
RtStatus dense_qr(Rt *rt, bool wide, int64_t m, int64_t n, double *a, double *r);
/* Eigenvalues w[n] and vectors (the columns of h, which is overwritten) of a Hermitian h. */
RtStatus dense_eigen(Rt *rt, bool wide, int64_t n, double *h, double *w);
#endif
