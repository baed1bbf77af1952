/* blas.h: OpenBLAS, opened by the first product (private to the runtime).
 *
 * It is not linked: its relocations alone cost every start of the program more
 * than everything else together.  It always computes on the calling thread,
 * since its results change bits with the number of threads; loops over products
 * are parallel instead.
 */
#ifndef QA_TENSOR_BLAS_H
#define QA_TENSOR_BLAS_H
#include "runtime/base/base.h"

/* CBLAS's own numbers */
enum { BLAS_ROW_MAJOR = 101, BLAS_PLAIN = 111, BLAS_TRANSPOSED = 112 };

/* C (m, n) = alpha op(A) op(B) + beta C; ld is the distance of stored rows. */
typedef struct {
  void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                int lda, const float *b, int ldb, float beta, float *c, int ldc);
  void (*dgemm)(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a,
                int lda, const double *b, int ldb, double beta, double *c, int ldc);
  /* complex: alpha and beta by address */
  void (*cgemm)(int order, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                int lda, const void *b, int ldb, const void *beta, void *c, int ldc);
  void (*zgemm)(int order, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                int lda, const void *b, int ldb, const void *beta, void *c, int ldc);
  const char *core; /* the processor its kernels are made for                  */
} Blas;

/* RT_OK once the library is there: before any product, LAPACKE's included. */
RtStatus blas_open(Rt *rt);
/* The functions, after blas_open() has succeeded; from any thread. */
const Blas *blas(void);
/* Opens it when it can: the processor of its kernels, or NULL without it. */
const char *blas_core(void);

/* m n k up to which plain loops beat the call, and need no library. */
#define BLAS_SMALL 512

#endif
