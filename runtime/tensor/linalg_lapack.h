/* linalg_lapack.h: private: LAPACKE by dtype, opened on first use.
 *
 * Every matrix is row-major and packed.  The numbers returned are LAPACK's
 * `info`: 0, or k > 0 with the meaning of the routine.                       */
#ifndef QA_LINALG_LAPACK_H
#define QA_LINALG_LAPACK_H
#include "runtime/tensor/tensor.h"

/* RT_OK once the library is there. */
RtStatus lapack_open(Rt *rt);

int lapack_lu(DType dt, int n, void *a, int *pivots);                         /* getrf */
int lapack_lu_solve(DType dt, int n, int m, const void *lu, const int *pivots, void *b);
int lapack_lu_inverse(DType dt, int n, void *lu, const int *pivots);
int lapack_cholesky(DType dt, int n, void *a);                                /* potrf, lower */
int lapack_eigh(DType dt, int n, void *a, void *w);                           /* a becomes the vectors */
int lapack_eig_real(DType dt, int n, void *a, void *wr, void *wi, void *v);
int lapack_eig_complex(DType dt, int n, void *a, void *w, void *v);
int lapack_svd(DType dt, int m, int n, void *a, void *s, void *u, void *vt);  /* gesdd, thin */
int lapack_qr(DType dt, int m, int n, void *a, void *tau);
int lapack_qr_vectors(DType dt, int m, int k, int lda, void *a, const void *tau);
int lapack_lstsq(DType dt, int m, int n, int k, void *a, void *b, void *s, double rcond); /* b has max(m, n) rows */
int lapack_triangular(DType dt, bool lower, bool trans, int n, int m, const void *t, void *b);
int lapack_schur(int n, c128 *a, c128 *w, c128 *z);                           /* zgees */
#endif
