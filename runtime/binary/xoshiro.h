/* xoshiro.h: a small fast generator, xoshiro128++ (Blackman, Vigna, ACM TOMS 47, 36
 * (2021)), seeded by Philox: for searches that draw number by number.          */
#ifndef QA_BINARY_XOSHIRO_H
#define QA_BINARY_XOSHIRO_H
#include "runtime/tensor/random.h"

typedef struct { uint32_t s[4]; } Xoshiro;

static inline Xoshiro xoshiro_seed(RngCall rng, uint64_t element) {
  Xoshiro x;
  rng_bits(rng, element, x.s);
  if (!(x.s[0] | x.s[1] | x.s[2] | x.s[3])) x.s[0] = 1;
  return x;
}

static inline uint32_t xoshiro_next(Xoshiro *x) {
  uint32_t *s = x->s, sum = s[0] + s[3], out = (sum << 7 | sum >> 25) + s[0], t = s[1] << 9;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = s[3] << 11 | s[3] >> 21;
  return out;
}

/* 0 .. n-1, n <= 2^31; no value is preferred by more than n / 2^32. */
static inline uint32_t xoshiro_below(Xoshiro *x, uint32_t n) {
  return (uint32_t)((uint64_t)xoshiro_next(x) * n >> 32);
}
#endif
