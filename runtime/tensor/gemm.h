/* gemm.h: own matrix products (private to the runtime).
 *
 * Micro-kernels for AVX-512, AVX2 and plain C, chosen with kernels()->level,
 * f32 and f64.  They run on the calling thread; loops over products are
 * parallel instead.  The bits of an element of C depend on k and the kernels
 * alone, not on m, n or the strides.                                          */
#ifndef QA_TENSOR_GEMM_H
#define QA_TENSOR_GEMM_H
#include "runtime/base/base.h"

/* One block: C (m, n) = A (m, k) B (k, n), added to C when `add`.  Operands are
 * used as they lie: A's element (i, l) at a[i a_row + l a_col], rows of B and C
 * contiguous and ldb, ldc apart.  No packing, no scratch: meant for operands
 * in the first two cache levels (attention's tiles, n up to 128 or so).
 * Any m, n, k >= 0 are right; C overlaps neither A nor B.                      */
void gemm_tile_f32(int m, int n, int k, const float *a, int64_t a_row, int64_t a_col,
                   const float *b, int64_t ldb, float *c, int64_t ldc, bool add);
void gemm_tile_f64(int m, int n, int k, const double *a, int64_t a_row, int64_t a_col,
                   const double *b, int64_t ldb, double *c, int64_t ldc, bool add);

/* Rows of C, one span after the other: C = A B over l from `from` to `to` alone, added to C when
 * `add`, then times the row's number of `scale`, if that is not NULL.  A's rows and columns are
 * those of C and rows of B; a span without l gives 0, or C itself, times the number.       */
typedef struct { int rows, from, to; bool add; } GemmSpan;
void gemm_spans_f32(int n_span, const GemmSpan *span, int n, const float *a, int64_t lda,
                    const float *b, int64_t ldb, const float *scale, float *c, int64_t ldc);
void gemm_spans_f64(int n_span, const GemmSpan *span, int n, const double *a, int64_t lda,
                    const double *b, int64_t ldb, const double *scale, double *c, int64_t ldc);

/* C (m, n) = A (m, k) B^T with B (n, k) as rows of k numbers: dot products without
 * packing, for few rows m (decoding: m = 1).                                   */
void gemm_dots_f32(int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                   float *c, int64_t ldc);
void gemm_dots_f64(int m, int n, int k, const double *a, int64_t lda, const double *b, int64_t ldb,
                   double *c, int64_t ldc);

/* out[i] = row i of A . row i of B, for m rows of k numbers. */
void gemm_pairs_f32(int m, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                    double *out);
void gemm_pairs_f64(int m, int k, const double *a, int64_t lda, const double *b, int64_t ldb,
                    double *out);

/* to (n, m) = from (m, n) transposed; rows contiguous, ld apart. */
void gemm_transpose_f32(int m, int n, const float *from, int64_t ld, float *to, int64_t to_ld);
void gemm_transpose_f64(int m, int n, const double *from, int64_t ld, double *to, int64_t to_ld);

#endif
