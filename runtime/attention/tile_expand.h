/* tile_expand.h: squared distances of a tile from dot products and squared
 * lengths, |q|^2 + |k|^2 - 2 q.k, and a look at what that has cost: pairs so close
 * that more than four bits are gone.  Included before tile_work.h.           */

/* near[r]: does row r hold close pairs?  The result: does any row? */
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

/* Left to itself the compiler spends more on rows than on their 64 columns. */
WIDE static bool expand_wide(int64_t m, int64_t n, const float *dot, const float *qn,
                             const float *kn, float *out, int64_t ld, uint8_t *near) {
  const __m512 two = _mm512_set1_ps(2), share = _mm512_set1_ps(0.0625f), zero = _mm512_setzero_ps();
  __mmask16 some = 0;
  for (int64_t r = 0; r < m; r++) {
    const __m512 a = _mm512_set1_ps(qn[r]);
    __mmask16 close = 0;
    for (int64_t j = 0; j < n; j += 16) {
      __mmask16 k = n - j >= 16 ? (__mmask16)-1 : (__mmask16)((1u << (n - j)) - 1);
      __m512 s = _mm512_add_ps(a, _mm512_maskz_loadu_ps(k, kn + j));
      __m512 y = _mm512_fnmadd_ps(two, _mm512_maskz_loadu_ps(k, dot + r * ld + j), s);
      close |= _mm512_mask_cmp_ps_mask(k, y, _mm512_mul_ps(s, share), _CMP_LT_OQ);
      _mm512_mask_storeu_ps(out + r * ld + j, k, _mm512_max_ps(zero, y)); /* NaN stays */
    }
    near[r] = close != 0;
    some |= close;
  }
  return some != 0;
}
#endif

static bool expand_rows(int64_t m, int64_t n, const T *dot, const T *qn, const T *kn, T *out,
                        int64_t ld, uint8_t *near) {
#if defined(WIDE) && defined(EXPAND_F32)
  if (kernels() == &kernels_v4) return expand_wide(m, n, dot, qn, kn, out, ld, near);
#endif
  return expand_plain(m, n, dot, qn, kn, out, ld, near);
}
