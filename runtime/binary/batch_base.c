/* batch_base.c: the walks of batch.h in plain C, for any machine, and the choice of a
 * level.                                                                          */
#include <string.h>
#include "runtime/binary/batch.h"
#include "runtime/tensor/kernels_levels.h"

#define OP static inline
#define EACH for (int i = 0; i < 16; i++)

typedef struct { float x[16]; } F;
typedef struct { uint32_t x[16]; } U;
typedef struct { uint32_t s[4][16]; } Gen;

OP F f_set(float v) {
  F r;
  EACH r.x[i] = v;
  return r;
}
OP F f_load(const float *p) {
  F r;
  memcpy(r.x, p, sizeof r.x);
  return r;
}
OP void f_store(float *p, F x) { memcpy(p, x.x, sizeof x.x); }
#define FLOATS(name, op)                                                      \
  OP F name(F a, F b) {                                                       \
    EACH a.x[i] = a.x[i] op b.x[i];                                           \
    return a;                                                                 \
  }
FLOATS(f_add, +)
FLOATS(f_sub, -)
FLOATS(f_mul, *)
FLOATS(f_div, /)
OP uint32_t f_upto(F a, F b) {
  uint32_t m = 0;
  EACH m |= (uint32_t)(a.x[i] <= b.x[i]) << i;
  return m;
}
OP U u_upto(F a, F b) {
  U r;
  EACH r.x[i] = a.x[i] <= b.x[i] ? ~0u : 0;
  return r;
}
OP F f_of_signed(U x) {
  F r;
  EACH r.x[i] = (float)(int32_t)x.x[i];
  return r;
}
OP F f_of(U x) { return f_of_signed(x); }
OP U f_bits(F x) {
  U r;
  memcpy(r.x, x.x, sizeof r.x);
  return r;
}
OP U u_bits(F x) { return f_bits(x); }
OP F u_float(U x) {
  F r;
  memcpy(r.x, x.x, sizeof r.x);
  return r;
}
OP U u_set(uint32_t v) {
  U r;
  EACH r.x[i] = v;
  return r;
}
OP U u_load(const uint32_t *p) {
  U r;
  memcpy(r.x, p, sizeof r.x);
  return r;
}
OP void u_store(uint32_t *p, U x) { memcpy(p, x.x, sizeof x.x); }
#define WORDS(name, op)                                                       \
  OP U name(U a, U b) {                                                       \
    EACH a.x[i] = a.x[i] op b.x[i];                                           \
    return a;                                                                 \
  }
WORDS(u_add, +)
WORDS(u_sub, -)
WORDS(u_and, &)
WORDS(u_xor, ^)
OP bool u_any(U a) {
  uint32_t all = 0;
  EACH all |= a.x[i];
  return all != 0;
}
OP U u_shr(U a, int k) {
  EACH a.x[i] >>= k;
  return a;
}
OP U u_sar(U a, int k) {   /* with the sign, without relying on what >> does to it */
  EACH a.x[i] = a.x[i] >> k | (a.x[i] >> 31 ? ~(0xffffffffu >> k) : 0);
  return a;
}

OP Gen gen_load(uint32_t (*rng)[16]) {
  Gen g;
  memcpy(g.s, rng, sizeof g.s);
  return g;
}
OP void gen_store(uint32_t (*rng)[16], const Gen *g) { memcpy(rng, g->s, sizeof g->s); }
OP U gen_step(Gen *g) {
  U out;
  EACH {
    uint32_t a = g->s[0][i], b = g->s[1][i], c = g->s[2][i], d = g->s[3][i], x = a + d, t = b << 9;
    out.x[i] = (x << 7 | x >> 25) + a;
    c ^= a;
    d ^= b;
    g->s[1][i] = b ^ c;
    g->s[0][i] = a ^ d;
    g->s[2][i] = c ^ t;
    g->s[3][i] = d << 11 | d >> 21;
  }
  return out;
}

#define BATCH_NAME batch_kernels_base
#define BATCH_LEVEL "portable"
#include "runtime/binary/batch_body.h"

#ifdef QA_KERNEL_LEVELS
extern const BatchKernels batch_kernels_v3, batch_kernels_v4;
#endif

const BatchKernels *batch_kernels(int level) {
  if (level == 0) return &batch_kernels_base;
#ifdef QA_KERNEL_LEVELS
  if (level == 1 && __builtin_cpu_supports("x86-64-v3")) return &batch_kernels_v3;
  if (level == 2 && __builtin_cpu_supports("x86-64-v4")) return &batch_kernels_v4;
#endif
  return NULL;
}

const BatchKernels *batch_kernels_best(void) {
  for (int level = 2; level > 0; level--)
    if (batch_kernels(level)) return batch_kernels(level);
  return batch_kernels(0);
}
