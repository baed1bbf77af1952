/* lanes_v3.c: the sweeps of lanes.h for AVX2: 64 lanes are two registers of bytes,
 * four of words, eight of floats.                                             */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <immintrin.h>   /* system headers before the target changes */
#include <string.h>
#include "runtime/binary/lanes.h"
#pragma GCC target("arch=x86-64-v3")
#define OP static inline __attribute__((always_inline))

typedef uint64_t M;
typedef struct { __m256i q[2]; } B;
typedef struct { __m256i q[4]; } W;
typedef struct { __m256i s[4][2]; } Gen;
typedef struct { const uint8_t *p; int blocks; } Table;
#define TWO for (int i = 0; i < 2; i++)
#define FOUR for (int i = 0; i < 4; i++)

OP Gen gen_load(const Lanes *l) {
  Gen g;
  FOUR for (int h = 0; h < 2; h++) g.s[i][h] = _mm256_loadu_si256((const __m256i *)l->rng[i] + h);
  return g;
}
OP void gen_store(Lanes *l, const Gen *g) {
  FOUR for (int h = 0; h < 2; h++) _mm256_storeu_si256((__m256i *)l->rng[i] + h, g->s[i][h]);
}
#define ROTATE(x, k) _mm256_or_si256(_mm256_slli_epi32(x, k), _mm256_srli_epi32(x, 32 - (k)))
OP B gen_bytes(Gen *g) {
  B out;
  TWO {
    __m256i a = g->s[0][i], b = g->s[1][i], c = g->s[2][i], d = g->s[3][i];
    __m256i x = _mm256_add_epi32(a, d), t = _mm256_slli_epi32(b, 9);
    out.q[i] = _mm256_add_epi32(ROTATE(x, 7), a);
    c = _mm256_xor_si256(c, a);
    d = _mm256_xor_si256(d, b);
    b = _mm256_xor_si256(b, c);
    a = _mm256_xor_si256(a, d);
    c = _mm256_xor_si256(c, t);
    d = ROTATE(d, 11);
    g->s[0][i] = a, g->s[1][i] = b, g->s[2][i] = c, g->s[3][i] = d;
  }
  return out;
}
OP W gen_words(Gen *g) {
  B a = gen_bytes(g), b = gen_bytes(g);
  return (W){{a.q[0], a.q[1], b.q[0], b.q[1]}};
}

/* All-ones bytes (words, 32-bit numbers) where the mask has a 1. */
OP __m256i spread8(uint32_t m) {
  const __m256i pick =
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
  __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32((int)m), pick);
  return _mm256_cmpeq_epi8(_mm256_and_si256(x, bit), bit);
}
OP __m256i spread16(uint32_t m) {
  const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                        8192, 16384, (short)0x8000);
  return _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((short)m), bit), bit);
}
OP __m256i spread32(uint32_t m) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)m), bit), bit);
}
OP uint64_t gather8(B x) {
  return (uint32_t)_mm256_movemask_epi8(x.q[0]) |
         (uint64_t)(uint32_t)_mm256_movemask_epi8(x.q[1]) << 32;
}
OP uint64_t gather16(W x) {          /* all-ones or zero words */
  B b;
  TWO b.q[i] = _mm256_permute4x64_epi64(_mm256_packs_epi16(x.q[2 * i], x.q[2 * i + 1]), 0xd8);
  return gather8(b);
}

OP M m_load(const uint64_t *p) { return *p; }
OP void m_store(uint64_t *p, M x) { *p = x; }
OP M m_from(uint64_t x) { return x; }
OP uint64_t m_bits(M x) { return x; }
OP M m_all(void) { return ~0ull; }
OP M m_and(M x, M y) { return x & y; }
OP M m_andnot(M x, M y) { return ~x & y; }
OP M m_xor(M x, M y) { return x ^ y; }
OP M m_not(M x) { return ~x; }
OP bool m_any(M x) { return x != 0; }

OP Table table_load(const LaneRule *r) { return (Table){r->p8, r->cap < 0 ? 0 : r->cap / 16 + 1}; }
OP B b_set(int8_t v) { return (B){{_mm256_set1_epi8(v), _mm256_set1_epi8(v)}}; }
OP B b_load(const int8_t *p) {
  return (B){{_mm256_load_si256((const __m256i *)p), _mm256_load_si256((const __m256i *)p + 1)}};
}
OP B b_signed(B f, uint64_t s) {
  TWO {
    __m256i m = spread8((uint32_t)(s >> (32 * i)));
    f.q[i] = _mm256_sub_epi8(_mm256_xor_si256(f.q[i], m), m);
  }
  return f;
}
OP B b_abs(B v) {
  TWO v.q[i] = _mm256_abs_epi8(v.q[i]);
  return v;
}
OP M b_negative(B x) { return gather8(x); }
OP M b_positive(B x) {
  TWO x.q[i] = _mm256_cmpgt_epi8(x.q[i], _mm256_setzero_si256());
  return gather8(x);
}
OP M b_upto(B x, B y) {
  TWO x.q[i] = _mm256_cmpgt_epi8(x.q[i], y.q[i]);
  return ~gather8(x);
}
OP M b_equal(B x, B y, M of) {
  TWO x.q[i] = _mm256_cmpeq_epi8(x.q[i], y.q[i]);
  return gather8(x) & of;
}
OP M b_reaches(B x, B y, M of) {     /* unsigned: y - x, kept at 0, is 0 */
  TWO x.q[i] = _mm256_cmpeq_epi8(_mm256_subs_epu8(y.q[i], x.q[i]), _mm256_setzero_si256());
  return gather8(x) & of;
}
/* 16 entries at a time; an index outside of them has its top bit set and gives 0. */
OP B b_look(const Table *t, B d) {
  B r = b_set(0);
  for (int k = 0; k < t->blocks; k++) {
    __m256i e = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)t->p + k));
    TWO {
      __m256i x = _mm256_sub_epi8(d.q[i], _mm256_set1_epi8((char)(16 * k)));
      x = _mm256_adds_epu8(x, _mm256_set1_epi8(0x70));
      r.q[i] = _mm256_or_si256(r.q[i], _mm256_shuffle_epi8(e, x));
    }
  }
  return r;
}

#define W4(name, op)                                                          \
  OP W name(W x, W y) {                                                       \
    FOUR x.q[i] = op(x.q[i], y.q[i]);                                         \
    return x;                                                                 \
  }
W4(w_min, _mm256_min_epu16)
W4(w_add, _mm256_add_epi16)
W4(w_sub, _mm256_sub_epi16)
W4(w_adds, _mm256_adds_epu16)
W4(w_subs, _mm256_subs_epu16)
W4(w_average, _mm256_avg_epu16)
W4(w_mullo, _mm256_mullo_epi16)
W4(w_mulhi, _mm256_mulhi_epu16)
W4(w_and, _mm256_and_si256)
OP W w_set(int v) {
  W r;
  FOUR r.q[i] = _mm256_set1_epi16((short)v);
  return r;
}
OP W w_load(const void *p) {
  W r;
  FOUR r.q[i] = _mm256_load_si256((const __m256i *)p + i);
  return r;
}
OP void w_store(void *p, W w) {
  FOUR _mm256_store_si256((__m256i *)p + i, w.q[i]);
}
OP W w_bytes(const int8_t *p) {
  W r;
  FOUR r.q[i] = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)p + i));
  return r;
}
OP W w_signed(W f, uint64_t s) {
  FOUR {
    __m256i m = spread16((uint32_t)(s >> (16 * i)));
    f.q[i] = _mm256_sub_epi16(_mm256_xor_si256(f.q[i], m), m);
  }
  return f;
}
OP uint64_t w_negative(W x) {
  FOUR x.q[i] = _mm256_srai_epi16(x.q[i], 15);
  return gather16(x);
}
OP W w_abs(W x) {
  FOUR x.q[i] = _mm256_abs_epi16(x.q[i]);
  return x;
}
OP W w_shl(W x, int k) {
  FOUR x.q[i] = _mm256_slli_epi16(x.q[i], k);
  return x;
}
OP W w_shr(W x, int k) {
  FOUR x.q[i] = _mm256_srli_epi16(x.q[i], k);
  return x;
}
/* x >> y by multiplying with 2^(16 - y); y = 0 keeps x, y > 15 gives 0. */
OP W w_shift(W x, W y) {
  const __m256i low = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, (char)0x80, 0x40, 0x20, 0x10, 8, 4, 2));
  const __m256i high = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, (char)0x80, 0x40, 0x20, 0x10, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0));
  FOUR {
    /* both bytes of a word hold y; a set top bit gives 0 */
    __m256i k = _mm256_adds_epu8(_mm256_or_si256(y.q[i], _mm256_slli_epi16(y.q[i], 8)),
                                 _mm256_set1_epi8(0x70));
    __m256i f = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, k), _mm256_shuffle_epi8(high, k),
                                   _mm256_set1_epi16((short)0xff00));
    __m256i none = _mm256_cmpeq_epi16(y.q[i], _mm256_setzero_si256());
    x.q[i] = _mm256_or_si256(_mm256_mulhi_epu16(x.q[i], f), _mm256_and_si256(x.q[i], none));
  }
  return x;
}
OP uint64_t w_below(W x, W y) {
  FOUR x.q[i] = _mm256_cmpeq_epi16(_mm256_subs_epu16(y.q[i], x.q[i]), _mm256_setzero_si256());
  return ~gather16(x);
}

OP W w_floats(const float *f, uint64_t s, const float *factor, uint64_t *pos, uint64_t *neg) {
  __m256i q[8];
  uint64_t up = 0, down = 0;
  const __m256 bits = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (int k = 0; k < 8; k++) {
    __m256 x = _mm256_load_ps(f + 8 * k), z = _mm256_setzero_ps();
    up |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(x, z, _CMP_GT_OQ)) << (8 * k);
    down |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(x, z, _CMP_LT_OQ)) << (8 * k);
    if (factor) {
      __m256 y = _mm256_mul_ps(_mm256_and_ps(x, bits), _mm256_loadu_ps(factor + 8 * k));
      q[k] = _mm256_cvttps_epi32(_mm256_min_ps(y, _mm256_set1_ps(65535)));
    }
  }
  *pos = (down & s) | (up & ~s);     /* d = -s f > 0 */
  *neg = (up & s) | (down & ~s);
  W r = w_set(0);
  if (factor)
    FOUR r.q[i] = _mm256_permute4x64_epi64(_mm256_packus_epi32(q[2 * i], q[2 * i + 1]), 0xd8);
  return r;
}

OP void push_i8(void *field, const int32_t *slot, const int8_t *w, int64_t n, uint64_t up,
                uint64_t down) {
  B sign;
  TWO {
    uint32_t d = (uint32_t)(down >> (32 * i)), u = (uint32_t)(up >> (32 * i));
    sign.q[i] = _mm256_sub_epi8(spread8(d), spread8(u));
  }
  for (int64_t k = 0; k < n; k++) {
    __m256i *p = (__m256i *)((int8_t *)field + (int64_t)slot[k] * LANES);
    __m256i c = _mm256_set1_epi8(w[k]);
    TWO p[i] = _mm256_add_epi8(p[i], _mm256_sign_epi8(c, sign.q[i]));
  }
}
OP void push_i16(void *field, const int32_t *slot, const int16_t *w, int64_t n, uint64_t up,
                 uint64_t down) {
  W sign;
  FOUR {
    uint32_t d = (uint32_t)(down >> (16 * i)), u = (uint32_t)(up >> (16 * i));
    sign.q[i] = _mm256_sub_epi16(spread16(d), spread16(u));
  }
  for (int64_t k = 0; k < n; k++) {
    __m256i *p = (__m256i *)((int16_t *)field + (int64_t)slot[k] * LANES);
    __m256i c = _mm256_set1_epi16(w[k]);
    FOUR p[i] = _mm256_add_epi16(p[i], _mm256_sign_epi16(c, sign.q[i]));
  }
}
OP void push_f32(void *field, const int32_t *slot, const float *w, int64_t n, uint64_t up,
                 uint64_t down) {
  __m256 sign[8];
  for (int q = 0; q < 8; q++) {
    uint32_t d = (uint32_t)(down >> (8 * q)) & 255, u = (uint32_t)(up >> (8 * q)) & 255;
    sign[q] = _mm256_cvtepi32_ps(_mm256_sub_epi32(spread32(d), spread32(u)));
  }
  for (int64_t k = 0; k < n; k++) {
    float *p = (float *)field + (int64_t)slot[k] * LANES;
    __m256 c = _mm256_set1_ps(w[k]);
    for (int q = 0; q < 8; q++) {
      __m256 x = _mm256_add_ps(_mm256_load_ps(p + 8 * q), _mm256_mul_ps(sign[q], c));
      _mm256_store_ps(p + 8 * q, x);
    }
  }
}

#define LANES_NAME lane_kernels_v3
#define LANES_LEVEL "avx2"
extern const LaneKernels LANES_NAME;
#include "runtime/binary/lanes_body.h"
#else
typedef int lanes_v3_is_empty;
#endif
