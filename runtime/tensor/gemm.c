/* gemm.c: the products of gemm.h by the kernels of this machine. */
#include "runtime/tensor/gemm_levels.h"

static const GemmMore nothing;

const GemmKernels *gemm_kernels(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &gemm_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &gemm_v3;
#endif
  return &gemm_base;
}

void gemm_tile_f32(int m, int n, int k, const float *a, int64_t a_row, int64_t a_col,
                   const float *b, int64_t ldb, float *c, int64_t ldc, bool add) {
  gemm_kernels()->tile_f32(m, n, k, a, a_row, a_col, b, ldb, c, ldc, add, &nothing);
}

void gemm_tile_f64(int m, int n, int k, const double *a, int64_t a_row, int64_t a_col,
                   const double *b, int64_t ldb, double *c, int64_t ldc, bool add) {
  gemm_kernels()->tile_f64(m, n, k, a, a_row, a_col, b, ldb, c, ldc, add, &nothing);
}

void gemm_spans_f32(int n_span, const GemmSpan *span, int n, const float *a, int64_t lda,
                    const float *b, int64_t ldb, const float *scale, float *c, int64_t ldc) {
  gemm_kernels()->spans_f32(n_span, span, n, a, lda, b, ldb, scale, c, ldc);
}

void gemm_spans_f64(int n_span, const GemmSpan *span, int n, const double *a, int64_t lda,
                    const double *b, int64_t ldb, const double *scale, double *c, int64_t ldc) {
  gemm_kernels()->spans_f64(n_span, span, n, a, lda, b, ldb, scale, c, ldc);
}

void gemm_dots_f32(int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                   float *c, int64_t ldc) {
  gemm_kernels()->dots_f32(m, n, k, a, lda, b, ldb, c, ldc);
}

void gemm_dots_f64(int m, int n, int k, const double *a, int64_t lda, const double *b, int64_t ldb,
                   double *c, int64_t ldc) {
  gemm_kernels()->dots_f64(m, n, k, a, lda, b, ldb, c, ldc);
}

void gemm_pairs_f32(int m, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                    double *out) {
  gemm_kernels()->pairs_f32(m, k, a, lda, b, ldb, out);
}

void gemm_transpose_f32(int m, int n, const float *from, int64_t ld, float *to, int64_t to_ld) {
  gemm_kernels()->transpose_f32(m, n, from, ld, to, to_ld);
}

void gemm_pairs_f64(int m, int k, const double *a, int64_t lda, const double *b, int64_t ldb,
                    double *out) {
  gemm_kernels()->pairs_f64(m, k, a, lda, b, ldb, out);
}

void gemm_transpose_f64(int m, int n, const double *from, int64_t ld, double *to, int64_t to_ld) {
  gemm_kernels()->transpose_f64(m, n, from, ld, to, to_ld);
}
