/* gemm_impl.h: the kernels of gemm_levels.h for both types (private; included
 * by each gemm_*.c after it has chosen its instruction set and defined
 * GEMM_NAME, GEMM_LEVEL, GEMM_BYTES of a vector and GEMM_REGISTERS).
 *
 * A vector is a GCC vector; what the compiler has no vector operation for
 * (parts of vectors, fused multiply-add) is written per instruction set.      */
#include "runtime/tensor/gemm_levels.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

#define T float
#define N(name) name##_f32
#define L (GEMM_BYTES / 4)
typedef float VT_f32 __attribute__((vector_size(GEMM_BYTES)));
#if GEMM_BYTES == 64
typedef __mmask16 Part_f32;
INLINE Part_f32 part_f32(int n) { return (__mmask16)(n >= 16 ? 0xffff : (1 << n) - 1); }
INLINE VT_f32 load_part_f32(const float *p, Part_f32 m) { return _mm512_maskz_loadu_ps(m, p); }
INLINE void store_part_f32(float *p, VT_f32 x, Part_f32 m) { _mm512_mask_storeu_ps(p, m, x); }
INLINE VT_f32 fma_f32(VT_f32 x, VT_f32 y, VT_f32 s) { return _mm512_fmadd_ps(x, y, s); }
INLINE __m256 pair_f32(const float *low, const float *high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}
/* 16 x 16 transposed.  Four numbers each of rows i, 4 + i, 8 + i and 12 + i are loaded into the
 * quarters of a vector, so that what is left stays within quarters: half the shuffles. */
static __attribute__((noinline)) void turn_f32(const float *x, int64_t ld, float *y,
                                               int64_t to_ld) {
  const float *x1 = x + 4 * ld, *x2 = x + 8 * ld, *x3 = x + 12 * ld;
  UNROLL for (int q = 0; q < 16; q += 4, x += 4, x1 += 4, x2 += 4, x3 += 4, y += 4 * to_ld) {
    __m512 z[4];
    UNROLL for (int i = 0; i < 4; i++)
      z[i] = _mm512_insertf32x8(_mm512_castps256_ps512(pair_f32(x + i * ld, x1 + i * ld)),
                                pair_f32(x2 + i * ld, x3 + i * ld), 1);
    __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(z[0], z[1]));
    __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(z[0], z[1]));
    __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(z[2], z[3]));
    __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(z[2], z[3]));
    _mm512_storeu_pd(y, _mm512_unpacklo_pd(a, c));
    _mm512_storeu_pd(y + to_ld, _mm512_unpackhi_pd(a, c));
    _mm512_storeu_pd(y + 2 * to_ld, _mm512_unpacklo_pd(b, d));
    _mm512_storeu_pd(y + 3 * to_ld, _mm512_unpackhi_pd(b, d));
  }
}
#define GEMM_TURN
#elif GEMM_BYTES == 32
typedef __m256i Part_f32;
INLINE Part_f32 part_f32(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE VT_f32 load_part_f32(const float *p, Part_f32 m) { return _mm256_maskload_ps(p, m); }
INLINE void store_part_f32(float *p, VT_f32 x, Part_f32 m) { _mm256_maskstore_ps(p, m, x); }
INLINE VT_f32 fma_f32(VT_f32 x, VT_f32 y, VT_f32 s) { return _mm256_fmadd_ps(x, y, s); }
#else
typedef int Part_f32;
INLINE Part_f32 part_f32(int n) { return n < L ? n : L; }
INLINE VT_f32 load_part_f32(const float *p, Part_f32 m) {
  VT_f32 x = {0};
  for (int i = 0; i < m; i++) x[i] = p[i];
  return x;
}
INLINE void store_part_f32(float *p, VT_f32 x, Part_f32 m) {
  for (int i = 0; i < m; i++) p[i] = x[i];
}
INLINE VT_f32 fma_f32(VT_f32 x, VT_f32 y, VT_f32 s) { return x * y + s; }
#endif
#include "runtime/tensor/gemm_body.h"
#undef T
#undef N
#undef L
#undef GEMM_TURN

#define T double
#define N(name) name##_f64
#define L (GEMM_BYTES / 8)
typedef double VT_f64 __attribute__((vector_size(GEMM_BYTES)));
#if GEMM_BYTES == 64
typedef __mmask8 Part_f64;
INLINE Part_f64 part_f64(int n) { return (__mmask8)(n >= 8 ? 0xff : (1 << n) - 1); }
INLINE VT_f64 load_part_f64(const double *p, Part_f64 m) { return _mm512_maskz_loadu_pd(m, p); }
INLINE void store_part_f64(double *p, VT_f64 x, Part_f64 m) { _mm512_mask_storeu_pd(p, m, x); }
INLINE VT_f64 fma_f64(VT_f64 x, VT_f64 y, VT_f64 s) { return _mm512_fmadd_pd(x, y, s); }
#elif GEMM_BYTES == 32
typedef __m256i Part_f64;
INLINE Part_f64 part_f64(int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE VT_f64 load_part_f64(const double *p, Part_f64 m) { return _mm256_maskload_pd(p, m); }
INLINE void store_part_f64(double *p, VT_f64 x, Part_f64 m) { _mm256_maskstore_pd(p, m, x); }
INLINE VT_f64 fma_f64(VT_f64 x, VT_f64 y, VT_f64 s) { return _mm256_fmadd_pd(x, y, s); }
#else
typedef int Part_f64;
INLINE Part_f64 part_f64(int n) { return n < L ? n : L; }
INLINE VT_f64 load_part_f64(const double *p, Part_f64 m) {
  VT_f64 x = {0};
  for (int i = 0; i < m; i++) x[i] = p[i];
  return x;
}
INLINE void store_part_f64(double *p, VT_f64 x, Part_f64 m) {
  for (int i = 0; i < m; i++) p[i] = x[i];
}
INLINE VT_f64 fma_f64(VT_f64 x, VT_f64 y, VT_f64 s) { return x * y + s; }
#endif
#include "runtime/tensor/gemm_body.h"
#undef T
#undef N
#undef L

const GemmKernels GEMM_NAME = {
  GEMM_LEVEL, GEMM_BYTES, GEMM_REGISTERS == 32 ? 4 : 2,
  tile_f32, tile_f64, spans_f32, spans_f64, dots_f32, dots_f64, pairs_f32, pairs_f64, transpose_f32, transpose_f64,
  spin_f32, spin_f64,
};
