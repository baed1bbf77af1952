/* tile_expand.h: squared distances of a tile from dot products and squared
 * lengths, |q|^2 + |k|^2 - 2 q.k, and a look at what that has cost: pairs so close
 * that more than four bits are gone.  Included before tile_work.h.           */

/* near[r]: may row r hold close pairs?  The result: may any row? */
CLONES static bool expand_plain(int64_t m, int64_t n, const T *restrict dot, const T *restrict qn,
                                const T *restrict kn, T *restrict out, int64_t ld,
                                uint8_t *restrict near) {
  bool any = false;
  for (int64_t r = 0; r < m; r++) {
    const T *x = dot + r * ld;
    T *o = out + r * ld, a = qn[r], low = 0;
#pragma omp simd reduction(min : low)
    for (int64_t j = 0; j < n; j++) {
      T s = a + kn[j], y = s - 2 * x[j], gap = y - s * (T)0.0625;
      o[j] = y < 0 ? 0 : y;
      low = gap < low ? gap : low;
    }
    near[r] = low < 0;
    any |= near[r];
  }
  return any;
}

#if defined(WIDE) && defined(EXPAND_F32)
#include <immintrin.h>

WIDE static float largest_wide(int64_t n, const float *x) {
  float top = x[0];
  for (int64_t j = 1; j < n; j++) top = x[j] > top ? x[j] : top;
  return top;
}

/* One vector: the distances, and the least of them so far. */
WIDE static inline __m512 expand_16(__mmask16 k, const float *dot, __m512 a, const float *kn,
                                    float *out, __m512 low) {
  __m512 s = _mm512_add_ps(a, _mm512_maskz_loadu_ps(k, kn));
  __m512 y = _mm512_fnmadd_ps(_mm512_set1_ps(2), _mm512_maskz_loadu_ps(k, dot), s);
  _mm512_mask_storeu_ps(out, k, _mm512_max_ps(_mm512_setzero_ps(), y)); /* NaN stays */
  return _mm512_mask_min_ps(low, k, y, low);
}

/* Left to itself the compiler spends more on rows than on their 64 columns.  A row is looked
 * at again when its least distance is small beside the longest key: rather once too often. */
WIDE static bool expand_wide(int64_t m, int64_t n, const float *dot, const float *qn,
                             const float *kn, float *out, int64_t ld, uint8_t *near) {
  const __mmask16 all = (__mmask16)-1;
  float top = largest_wide(n, kn);
  bool any = false;
  for (int64_t r = 0; r < m; r++, dot += ld, out += ld) {
    const __m512 a = _mm512_set1_ps(qn[r]);
    __m512 low = _mm512_set1_ps(INFINITY), less = low;
    int64_t j = 0;
    for (; j + 32 <= n; j += 32) {
      low = expand_16(all, dot + j, a, kn + j, out + j, low);
      less = expand_16(all, dot + j + 16, a, kn + j + 16, out + j + 16, less);
    }
    for (; j < n; j += 16) {
      __mmask16 k = n - j >= 16 ? all : (__mmask16)((1u << (n - j)) - 1);
      low = expand_16(k, dot + j, a, kn + j, out + j, low);
    }
    __m512 share = _mm512_set1_ps((qn[r] + top) * 0.0625f);
    near[r] = _mm512_cmp_ps_mask(_mm512_min_ps(low, less), share, _CMP_LT_OQ) != 0;
    any |= near[r];
  }
  return any;
}
#endif

static bool expand_rows(int64_t m, int64_t n, const T *dot, const T *qn, const T *kn, T *out,
                        int64_t ld, uint8_t *near) {
#if defined(WIDE) && defined(EXPAND_F32)
  if (kernels() == &kernels_v4) return expand_wide(m, n, dot, qn, kn, out, ld, near);
#endif
  return expand_plain(m, n, dot, qn, kn, out, ld, near);
}
