/* lanes_base.c: the sweeps of lanes.h in plain C, for any machine, and the choice
 * of a level.                                                                 */
#include <math.h>
#include <string.h>
#include "runtime/binary/lanes.h"
#include "runtime/tensor/kernels_levels.h"

/* Not inlined: as one function these loops take long to compile, minutes under
 * sanitizers, and gain little.                                                */
#define OP static __attribute__((noinline, unused))
#define INLINE static

typedef uint64_t M;
typedef struct { int8_t x[LANES]; } B;
typedef struct { uint16_t x[LANES]; } W;
typedef struct { uint32_t s[4][16]; } Gen;
typedef const uint8_t *Table;
#define EACH for (int i = 0; i < LANES; i++)

OP Gen gen_load(const Lanes *l) {
  Gen g;
  memcpy(g.s, l->rng, sizeof g.s);
  return g;
}
OP void gen_store(Lanes *l, const Gen *g) { memcpy(l->rng, g->s, sizeof g->s); }
OP void gen_step(Gen *g, void *to) {
  uint32_t out[16];
  for (int i = 0; i < 16; i++) {
    uint32_t a = g->s[0][i], b = g->s[1][i], c = g->s[2][i], d = g->s[3][i], x = a + d;
    out[i] = (x << 7 | x >> 25) + a;
    uint32_t t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = d << 11 | d >> 21;
    g->s[0][i] = a, g->s[1][i] = b, g->s[2][i] = c, g->s[3][i] = d;
  }
  memcpy(to, out, sizeof out);
}
OP B gen_bytes(Gen *g) {
  B u;
  gen_step(g, u.x);
  return u;
}
OP W gen_words(Gen *g) {
  W u;
  gen_step(g, u.x);
  gen_step(g, u.x + 32);
  return u;
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

OP Table table_load(const LaneRule *r) { return r->p8; }
OP B b_set(int8_t v) {
  B r;
  EACH r.x[i] = v;
  return r;
}
OP B b_load(const int8_t *p) {
  B r;
  memcpy(r.x, p, sizeof r.x);
  return r;
}
OP B b_signed(B f, uint64_t s) {
  EACH f.x[i] = (int8_t)(s >> i & 1 ? -f.x[i] : f.x[i]);
  return f;
}
OP B b_abs(B v) {
  EACH v.x[i] = (int8_t)(v.x[i] < 0 ? -v.x[i] : v.x[i]);
  return v;
}
OP B b_look(const Table *t, B d) {
  EACH d.x[i] = (int8_t)(*t)[d.x[i] & 127];
  return d;
}
#define MASK(name, V, type, test)                                             \
  OP M name(V a, V b) {                                                       \
    M m = 0;                                                                  \
    EACH m |= (M)((type)a.x[i] test (type)b.x[i]) << i;                       \
    return m;                                                                 \
  }
MASK(b_upto, B, int8_t, <=)
MASK(b_over, B, int8_t, >)
MASK(b_same, B, int8_t, ==)
MASK(b_from, B, uint8_t, >=)
MASK(w_below, W, uint16_t, <)
OP M b_negative(B v) { return b_over(b_set(0), v); }
OP M b_positive(B v) { return b_over(v, b_set(0)); }
OP M b_equal(B x, B y, M of) { return b_same(x, y) & of; }
OP M b_reaches(B x, B y, M of) { return b_from(x, y) & of; }

OP W w_set(int v) {
  W r;
  EACH r.x[i] = (uint16_t)v;
  return r;
}
OP W w_load(const void *p) {
  W r;
  memcpy(r.x, p, sizeof r.x);
  return r;
}
OP void w_store(void *p, W w) { memcpy(p, w.x, sizeof w.x); }
OP W w_bytes(const int8_t *p) {
  W r;
  EACH r.x[i] = (uint16_t)(int16_t)p[i];
  return r;
}
OP W w_signed(W f, uint64_t s) {
  EACH f.x[i] = (uint16_t)(s >> i & 1 ? 0 - f.x[i] : f.x[i]);
  return f;
}
OP uint64_t w_negative(W v) { return w_below(w_set(0x7fff), v); }
OP W w_abs(W v) {
  EACH v.x[i] = (uint16_t)(v.x[i] >> 15 ? 0 - v.x[i] : v.x[i]);
  return v;
}
#define WORDS(name, value)                                                    \
  OP W name(W v, W w) {                                                       \
    EACH {                                                                    \
      uint32_t a = v.x[i], b = w.x[i];                                        \
      v.x[i] = (uint16_t)(value);                                             \
    }                                                                         \
    return v;                                                                 \
  }
WORDS(w_min, a < b ? a : b)
WORDS(w_add, a + b)
WORDS(w_sub, a - b)
WORDS(w_adds, a + b > 65535 ? 65535 : a + b)
WORDS(w_subs, a < b ? 0 : a - b)
WORDS(w_average, (a + b + 1) >> 1)
WORDS(w_mullo, a * b)
WORDS(w_mulhi, a * b >> 16)
WORDS(w_and, a & b)
WORDS(w_shift, b < 16 ? a >> b : 0)
OP W w_shl(W v, int k) {
  EACH v.x[i] = (uint16_t)(v.x[i] << k);
  return v;
}
OP W w_shr(W v, int k) {
  EACH v.x[i] = (uint16_t)(v.x[i] >> k);
  return v;
}

OP W w_floats(const float *f, uint64_t s, const float *factor, uint64_t *pos, uint64_t *neg) {
  uint64_t up = 0, down = 0;
  W y = w_set(0);
  EACH {
    up |= (uint64_t)(f[i] > 0) << i;
    down |= (uint64_t)(f[i] < 0) << i;
    float v = factor ? fabsf(f[i]) * factor[i] : 0;
    y.x[i] = (uint16_t)(v < 65535 ? v : 65535);
  }
  *pos = (down & s) | (up & ~s);
  *neg = (up & s) | (down & ~s);
  return y;
}

#define PUSH(name, type)                                                      \
  OP void name(void *field, const int32_t *slot, const type *w, int64_t n,   \
               uint64_t up, uint64_t down) {                                  \
    type sign[LANES];                                                         \
    EACH sign[i] = (type)((int)(up >> i & 1) - (int)(down >> i & 1));         \
    for (int64_t k = 0; k < n; k++) {                                         \
      type *p = (type *)field + (int64_t)slot[k] * LANES, c = w[k];          \
      EACH p[i] = (type)(p[i] + sign[i] * c);                                 \
    }                                                                         \
  }
PUSH(push_i8, int8_t)
PUSH(push_i16, int16_t)
PUSH(push_f32, float)

#define LANES_NAME lane_kernels_base
#define LANES_LEVEL "portable"
extern const LaneKernels LANES_NAME;
#include "runtime/binary/lanes_body.h"

#ifdef QA_KERNEL_LEVELS
extern const LaneKernels lane_kernels_v3, lane_kernels_v4;
#endif

const LaneKernels *lane_kernels(int level) {
  if (level == 0) return &lane_kernels_base;
#ifdef QA_KERNEL_LEVELS
  if (level == 1 && __builtin_cpu_supports("x86-64-v3")) return &lane_kernels_v3;
  if (level == 2 && __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vbmi"))
    return &lane_kernels_v4;
#endif
  return NULL;
}

const LaneKernels *lane_kernels_best(void) {
  for (int level = 2; level > 0; level--)
    if (lane_kernels(level)) return lane_kernels(level);
  return lane_kernels(0);
}
