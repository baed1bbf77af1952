/* lanes_v4.c: the sweeps of lanes.h for AVX-512 with byte permutations (VBMI):
 * 64 lanes are one register of bytes, two of words, four of floats.           */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <immintrin.h>   /* system headers before the target changes */
#include <string.h>
#include "runtime/binary/lanes.h"
#pragma GCC target("arch=x86-64-v4,avx512vbmi")
#define OP static inline __attribute__((always_inline))

typedef __mmask64 M;
typedef __m512i B;
typedef struct { __m512i a, b; } W;
typedef struct { __m512i s[4]; } Gen;
typedef struct { __m512i a, b; } Table;

OP Gen gen_load(const Lanes *l) {
  Gen g;
  for (int k = 0; k < 4; k++) g.s[k] = _mm512_loadu_si512(l->rng[k]);
  return g;
}
OP void gen_store(Lanes *l, const Gen *g) {
  for (int k = 0; k < 4; k++) _mm512_storeu_si512(l->rng[k], g->s[k]);
}
OP __m512i gen_bytes(Gen *g) {
  __m512i *s = g->s;
  __m512i out = _mm512_add_epi32(_mm512_rol_epi32(_mm512_add_epi32(s[0], s[3]), 7), s[0]);
  __m512i t = _mm512_slli_epi32(s[1], 9);
  s[2] = _mm512_xor_si512(s[2], s[0]);
  s[3] = _mm512_xor_si512(s[3], s[1]);
  s[1] = _mm512_xor_si512(s[1], s[2]);
  s[0] = _mm512_xor_si512(s[0], s[3]);
  s[2] = _mm512_xor_si512(s[2], t);
  s[3] = _mm512_rol_epi32(s[3], 11);
  return out;
}
OP W gen_words(Gen *g) {
  W w;
  w.a = gen_bytes(g);
  w.b = gen_bytes(g);
  return w;
}

OP M m_load(const uint64_t *p) { return _load_mask64((__mmask64 *)(uintptr_t)p); }
OP void m_store(uint64_t *p, M x) { _store_mask64((__mmask64 *)p, x); }
OP M m_from(uint64_t x) { return _cvtu64_mask64(x); }
OP uint64_t m_bits(M x) { return _cvtmask64_u64(x); }
OP M m_all(void) { return _cvtu64_mask64(~0ull); }
OP M m_and(M x, M y) { return _kand_mask64(x, y); }
OP M m_andnot(M x, M y) { return _kandn_mask64(x, y); }   /* ~x & y */
OP M m_xor(M x, M y) { return _kxor_mask64(x, y); }
OP M m_not(M x) { return _knot_mask64(x); }
OP bool m_any(M x) { return !_kortestz_mask64_u8(x, x); }

OP Table table_load(const LaneRule *r) {
  return (Table){_mm512_load_si512(r->p8), _mm512_load_si512(r->p8 + 64)};
}
OP B b_set(int8_t x) { return _mm512_set1_epi8(x); }
OP B b_load(const int8_t *p) { return _mm512_load_si512(p); }
OP B b_signed(B f, M s) { return _mm512_mask_sub_epi8(f, s, _mm512_setzero_si512(), f); }
OP B b_abs(B x) { return _mm512_abs_epi8(x); }
OP M b_negative(B x) { return _mm512_movepi8_mask(x); }
OP M b_positive(B x) { return _mm512_cmpgt_epi8_mask(x, _mm512_setzero_si512()); }
OP M b_upto(B x, B y) { return _mm512_cmple_epi8_mask(x, y); }
OP M b_reaches(B x, B y, M of) { return _mm512_mask_cmpge_epu8_mask(of, x, y); }
OP M b_equal(B x, B y, M of) { return _mm512_mask_cmpeq_epi8_mask(of, x, y); }
OP B b_look(const Table *t, B d) { return _mm512_permutex2var_epi8(t->a, d, t->b); }

#define LO(m) ((__mmask32)(m))
#define HI(m) ((__mmask32)((m) >> 32))
#define BOTH(a, b) ((uint64_t)(uint32_t)(a) | (uint64_t)(uint32_t)(b) << 32)
#define W2(op, x, y) ((W){op((x).a, (y).a), op((x).b, (y).b)})
OP W w_set(int x) { return (W){_mm512_set1_epi16((short)x), _mm512_set1_epi16((short)x)}; }
OP W w_load(const void *p) {
  return (W){_mm512_load_si512(p), _mm512_load_si512((const char *)p + 64)};
}
OP void w_store(void *p, W w) {
  _mm512_store_si512(p, w.a);
  _mm512_store_si512((char *)p + 64, w.b);
}
OP W w_bytes(const int8_t *p) {
  return (W){_mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)p)),
             _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)(p + 32)))};
}
OP W w_signed(W f, uint64_t s) {
  __m512i z = _mm512_setzero_si512();
  return (W){_mm512_mask_sub_epi16(f.a, LO(s), z, f.a), _mm512_mask_sub_epi16(f.b, HI(s), z, f.b)};
}
OP uint64_t w_negative(W x) { return BOTH(_mm512_movepi16_mask(x.a), _mm512_movepi16_mask(x.b)); }
OP W w_abs(W x) { return (W){_mm512_abs_epi16(x.a), _mm512_abs_epi16(x.b)}; }
OP W w_min(W x, W y) { return W2(_mm512_min_epu16, x, y); }
OP W w_add(W x, W y) { return W2(_mm512_add_epi16, x, y); }
OP W w_sub(W x, W y) { return W2(_mm512_sub_epi16, x, y); }
OP W w_adds(W x, W y) { return W2(_mm512_adds_epu16, x, y); }
OP W w_subs(W x, W y) { return W2(_mm512_subs_epu16, x, y); }
OP W w_average(W x, W y) { return W2(_mm512_avg_epu16, x, y); }
OP W w_mullo(W x, W y) { return W2(_mm512_mullo_epi16, x, y); }
OP W w_mulhi(W x, W y) { return W2(_mm512_mulhi_epu16, x, y); }
OP W w_and(W x, W y) { return W2(_mm512_and_si512, x, y); }
OP W w_shift(W x, W y) { return W2(_mm512_srlv_epi16, x, y); }   /* 0 from 16 up */
#define w_shl(x, k) ((W){_mm512_slli_epi16((x).a, k), _mm512_slli_epi16((x).b, k)})
#define w_shr(x, k) ((W){_mm512_srli_epi16((x).a, k), _mm512_srli_epi16((x).b, k)})
OP uint64_t w_below(W x, W y) {
  return BOTH(_mm512_cmplt_epu16_mask(x.a, y.a), _mm512_cmplt_epu16_mask(x.b, y.b));
}

/* Fields to fixed-point exponents: trunc(min(|f| factor, 65535)). */
OP W w_floats(const float *f, uint64_t s, const float *factor, uint64_t *pos, uint64_t *neg) {
  __m256i q[4];
  uint64_t up = 0, down = 0;
  for (int k = 0; k < 4; k++) {
    __m512 x = _mm512_load_ps(f + 16 * k);
    up |= (uint64_t)_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ) << (16 * k);
    down |= (uint64_t)_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ) << (16 * k);
    if (factor) {
      __m512 y = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_loadu_ps(factor + 16 * k));
      y = _mm512_min_ps(y, _mm512_set1_ps(65535));
      q[k] = _mm512_cvtusepi32_epi16(_mm512_cvttps_epi32(y));
    }
  }
  *pos = (down & s) | (up & ~s);     /* d = -s f > 0 */
  *neg = (up & s) | (down & ~s);
  if (!factor) return w_set(0);
  return (W){_mm512_inserti64x4(_mm512_castsi256_si512(q[0]), q[1], 1),
             _mm512_inserti64x4(_mm512_castsi256_si512(q[2]), q[3], 1)};
}

OP void push_one(int8_t *field, int64_t slot, int8_t w, M up, M down) {
  int8_t *p = field + slot * LANES;
  __m512i x = _mm512_load_si512(p), c = _mm512_set1_epi8(w);
  x = _mm512_mask_add_epi8(x, up, x, c);
  _mm512_store_si512(p, _mm512_mask_sub_epi8(x, down, x, c));
}
/* Few branches: the last one of a short loop is the one that is foretold badly. */
OP void push_i8(void *field, const int32_t *slot, const int8_t *w, int64_t n, M up, M down) {
  int64_t k = 0;
  for (; k + 4 <= n; k += 4) {
    push_one(field, slot[k], w[k], up, down);
    push_one(field, slot[k + 1], w[k + 1], up, down);
    push_one(field, slot[k + 2], w[k + 2], up, down);
    push_one(field, slot[k + 3], w[k + 3], up, down);
  }
  if (n & 2) {
    push_one(field, slot[k], w[k], up, down);
    push_one(field, slot[k + 1], w[k + 1], up, down);
    k += 2;
  }
  if (n & 1) push_one(field, slot[k], w[k], up, down);
}
OP void push_i16(void *field, const int32_t *slot, const int16_t *w, int64_t n, M up, M down) {
  for (int64_t k = 0; k < n; k++) {
    int16_t *p = (int16_t *)field + (int64_t)slot[k] * LANES;
    __m512i x = _mm512_load_si512(p), y = _mm512_load_si512(p + 32), c = _mm512_set1_epi16(w[k]);
    x = _mm512_mask_sub_epi16(_mm512_mask_add_epi16(x, LO(up), x, c), LO(down), x, c);
    y = _mm512_mask_sub_epi16(_mm512_mask_add_epi16(y, HI(up), y, c), HI(down), y, c);
    _mm512_store_si512(p, x);
    _mm512_store_si512(p + 32, y);
  }
}
OP void push_f32(void *field, const int32_t *slot, const float *w, int64_t n, M up, M down) {
  __m512 delta[4];
  for (int q = 0; q < 4; q++) {
    delta[q] = _mm512_maskz_mov_ps((__mmask16)(up >> (16 * q)), _mm512_set1_ps(1));
    delta[q] = _mm512_mask_mov_ps(delta[q], (__mmask16)(down >> (16 * q)), _mm512_set1_ps(-1));
  }
  for (int64_t k = 0; k < n; k++) {
    float *p = (float *)field + (int64_t)slot[k] * LANES;
    __m512 c = _mm512_set1_ps(w[k]);
    for (int q = 0; q < 4; q++)
      _mm512_store_ps(p + 16 * q, _mm512_fmadd_ps(delta[q], c, _mm512_load_ps(p + 16 * q)));
  }
}

#define LANES_NAME lane_kernels_v4
#define LANES_LEVEL "avx512"
extern const LaneKernels LANES_NAME;
#include "runtime/binary/lanes_body.h"
#else
typedef int lanes_v4_is_empty;
#endif
