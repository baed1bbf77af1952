/* gemm_levels.h: the matrix kernels of one instruction set (private to the
 * runtime and its tests).
 *
 * gemm_impl.h is compiled once per instruction set, as kernels_impl.h is; the
 * functions of gemm.h call the table that gemm_kernels() gives.               */
#ifndef QA_TENSOR_GEMM_LEVELS_H
#define QA_TENSOR_GEMM_LEVELS_H
#include "runtime/tensor/gemm.h"
#include "runtime/tensor/kernels_levels.h"

/* What else a tile does; {0}: nothing. */
typedef struct {
  const void *start;   /* n numbers that the sums of each row begin with, or NULL */
  const void *times;   /* C is multiplied by it at the end, element by element, rows ldc apart */
  /* what is worked on next: k rows of some cache lines, fetched into the second cache on the way */
  const char *soon;
  int64_t soon_step;   /* bytes from row to row */
  int soon_lines;
} GemmMore;

typedef struct {
  const char *level;   /* as in Kernels */
  int bytes, vectors;  /* of a vector; the most side by side in a tile's block */
  /* as gemm_tile_*; more: not NULL */
  void (*tile_f32)(int m, int n, int k, const float *a, int64_t a_row, int64_t a_col,
                   const float *b, int64_t ldb, float *c, int64_t ldc, bool add,
                   const GemmMore *more);
  void (*tile_f64)(int m, int n, int k, const double *a, int64_t a_row, int64_t a_col,
                   const double *b, int64_t ldb, double *c, int64_t ldc, bool add,
                   const GemmMore *more);
  void (*spans_f32)(int n_span, const GemmSpan *span, int n, const float *a, int64_t lda,
                    const float *b, int64_t ldb, const float *scale, float *c, int64_t ldc);
  void (*spans_f64)(int n_span, const GemmSpan *span, int n, const double *a, int64_t lda,
                    const double *b, int64_t ldb, const double *scale, double *c, int64_t ldc);
  void (*dots_f32)(int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                   float *c, int64_t ldc);
  void (*dots_f64)(int m, int n, int k, const double *a, int64_t lda, const double *b,
                   int64_t ldb, double *c, int64_t ldc);
  void (*pairs_f32)(int m, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                    double *out);
  void (*pairs_f64)(int m, int k, const double *a, int64_t lda, const double *b, int64_t ldb,
                    double *out);
  void (*transpose_f32)(int m, int n, const float *from, int64_t ld, float *to, int64_t to_ld);
  void (*transpose_f64)(int m, int n, const double *from, int64_t ld, double *to, int64_t to_ld);
  /* multiply-adds in registers alone; returns the floating-point operations done */
  double (*spin_f32)(int64_t rounds);
  double (*spin_f64)(int64_t rounds);
} GemmKernels;

extern const GemmKernels gemm_base, gemm_v3, gemm_v4;
/* The table for this machine. */
const GemmKernels *gemm_kernels(void);

#endif
