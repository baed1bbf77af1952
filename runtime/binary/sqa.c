/* sqa.c: heat-bath segment updates of worldlines; a slice is a lane of lanes.h. */
#include "runtime/binary/sqa.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- random numbers: xoshiro256++ (Blackman, Vigna 2021) ------------------------ */

static inline uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static inline uint64_t draw(uint64_t s[4]) {
  uint64_t out = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return out;
}

uint64_t worldlines_draw(Worldlines *w) { return draw(w->rng); }

/* 64 bits, each 1 with probability p / 2^64: the bits of p are compared with those
 * of 64 random numbers, one place of all of them at a time, until all are told.  */
static inline uint64_t coins(uint64_t s[4], uint64_t p) {
  uint64_t yes = 0, open = ~0ull;
  for (int k = 63; open && k >= 0; k--) {
    uint64_t r = draw(s);
    if (p >> k & 1) {
      yes |= open & ~r;
      open &= r;
    } else {
      open &= ~r;
    }
  }
  return yes;
}

/* ---- one worldline ----------------------------------------------------------------- */

INLINE double sum_part(const void *field, LaneWidth width, int a, int b) {
  if (width == LANE_F32) {
    double x = 0;
    for (int t = a; t < b; t++) x += (double)((const float *)field)[t];
    return x;
  }
  int32_t x = 0;
  if (width == LANE_I8) {
    const int8_t *f = field;
#pragma omp simd reduction(+ : x)
    for (int t = a; t < b; t++) x += f[t];
  } else {
    const int16_t *f = field;
#pragma omp simd reduction(+ : x)
    for (int t = a; t < b; t++) x += f[t];
  }
  return x;
}

typedef struct {
  Worldlines *w;
  double drop;            /* of the exponent per field unit: 2 beta B / (P scale) */
  uint64_t cut;           /* tanh(beta A / P) 2^64                             */
} Step;

INLINE double sum_range(const Worldlines *w, LaneWidth width, int64_t i, int a, int b) {
  static const int size[] = {1, 2, 4};
  double x = 0;
  while (a < b) {
    int end = (a | (LANES - 1)) + 1;
    if (end > b) end = b;
    const char *f = (const char *)w->lane[a / LANES].field + (size_t)i * LANES * (size_t)size[width];
    x += sum_part(f, width, a % LANES, a % LANES + (end - a));
    a = end;
  }
  return x;
}

static inline void set_range(uint64_t *bits, int a, int b) {
  while (a < b) {
    int end = (a | (LANES - 1)) + 1;
    if (end > b) end = b;
    uint64_t mask = end - a == LANES ? ~0ull : ((1ull << (end - a)) - 1) << a % LANES;
    bits[a / LANES] |= mask;
    a = end;
  }
}

/* Up with probability 1 / (1 + exp(x)). */
static inline bool heat(uint64_t s[4], double x) {
  if (x > 45) return false;
  if (x < -45) return true;
  double u = ((double)(draw(s) >> 11) + 0.5) * 0x1p-53;
  return u * (1 + exp(x)) < 1;
}

/* Where segments begin: kinks, and cuts by chance; the number of them. */
INLINE int segments(Worldlines *w, const Step *q, int64_t i, int16_t *at) {
  int n = 0, last = w->slices - 1;
  uint64_t carry = w->lane[last / LANES].spin[i] >> last % LANES & 1;
  for (int k = 0; k < w->words; k++) {
    uint64_t s = w->lane[k].spin[i], cut = s ^ (s << 1 | carry);
    carry = s >> 63;
    if (q->cut) cut |= coins(w->rng, q->cut);
    if (k == w->words - 1 && w->slices % LANES) cut &= (1ull << w->slices % LANES) - 1;
    for (; cut; cut &= cut - 1) at[n++] = (int16_t)(k * LANES + __builtin_ctzll(cut));
  }
  return n;
}

INLINE void update(const Step *q, LaneWidth width, int64_t i) {
  Worldlines *w = q->w;
  int16_t at[SQA_SLICES + 1];
  uint64_t bits[SQA_WORDS];
  for (int k = 0; k < w->words; k++) bits[k] = 0;
  int n = segments(w, q, i, at);
  if (n < 2) {
    if (heat(w->rng, q->drop * sum_range(w, width, i, 0, w->slices))) set_range(bits, 0, w->slices);
  } else {
    at[n] = (int16_t)w->slices;
    for (int j = 0; j < n; j++) {
      double x = sum_range(w, width, i, at[j], at[j + 1]);
      if (j == n - 1) x += sum_range(w, width, i, 0, at[0]);
      if (!heat(w->rng, q->drop * x)) continue;
      set_range(bits, at[j], at[j + 1]);
      if (j == n - 1) set_range(bits, 0, at[0]);
    }
  }
  for (int k = 0; k < w->words; k++) {
    uint64_t flips = bits[k] ^ w->lane[k].spin[i];
    if (flips) lanes_flip(&w->lane[k], i, flips);
  }
}

static void sweep_i8(const Step *q) {
  for (int64_t i = 0; i < q->w->m->p->n; i++) update(q, LANE_I8, i);
}
static void sweep_i16(const Step *q) {
  for (int64_t i = 0; i < q->w->m->p->n; i++) update(q, LANE_I16, i);
}
static void sweep_f32(const Step *q) {
  for (int64_t i = 0; i < q->w->m->p->n; i++) update(q, LANE_F32, i);
}

void worldlines_sweep(Worldlines *w, double beta_a, double beta_b) {
  double p = tanh(beta_a / w->slices);
  Step q = {.w = w, .drop = 2 * beta_b / w->slices / w->m->scale,
            .cut = p >= 1 ? UINT64_MAX : (uint64_t)(p * 0x1p64)};
  if (w->m->width == LANE_I8) sweep_i8(&q);
  else if (w->m->width == LANE_I16) sweep_i16(&q);
  else sweep_f32(&q);
  /* sums of floats drift away from what the spins say */
  double before = w->updates / fmax(1, (double)w->m->p->n);
  w->updates += (double)w->m->p->n;
  if (w->m->width == LANE_F32 && fmod(before, 256) == 255)
    for (int k = 0; k < w->words; k++) lanes_fields(&w->lane[k]);
}

/* ---- state --------------------------------------------------------------------------- */

RtStatus worldlines_make(Rt *rt, Worldlines *w, const LaneModel *m, int slices) {
  *w = (Worldlines){.m = m, .slices = slices, .words = (slices + LANES - 1) / LANES};
  for (int k = 0; k < w->words; k++) {
    RtStatus st = lanes_make(rt, &w->lane[k], m);
    if (st) {
      worldlines_free(rt, w);
      return st;
    }
  }
  return RT_OK;
}

void worldlines_free(Rt *rt, Worldlines *w) {
  for (int k = 0; k < w->words; k++) lanes_free(rt, &w->lane[k]);
  *w = (Worldlines){0};
}

void worldlines_start(Worldlines *w, RngCall rng, int64_t read, const int8_t *initial) {
  uint32_t r[8];
  rng_bits(rng, (uint64_t)read * 2, r);
  rng_bits(rng, (uint64_t)read * 2 + 1, r + 4);
  for (int k = 0; k < 4; k++) w->rng[k] = (uint64_t)r[2 * k] << 32 | r[2 * k + 1];
  w->rng[0] |= !(w->rng[0] | w->rng[1] | w->rng[2] | w->rng[3]);
  w->updates = 0;
  int64_t n = w->m->p->n;
  for (int64_t i = 0; i < n; i++) {
    bool up = initial ? initial[i] > 0 : draw(w->rng) >> 63;
    for (int k = 0; k < w->words; k++) w->lane[k].spin[i] = up ? ~0ull : 0;
  }
  for (int k = 0; k < w->words; k++) lanes_fields(&w->lane[k]);
}

void worldlines_slice(const Worldlines *w, int slice, int8_t *spin) {
  lanes_get(&w->lane[slice / LANES], slice % LANES, spin);
}

double worldlines_x(const Worldlines *w, double beta_a) {
  int64_t kinks = 0, n = w->m->p->n;
  int last = w->slices - 1;
  for (int64_t i = 0; i < n; i++) {
    uint64_t carry = w->lane[last / LANES].spin[i] >> last % LANES & 1;
    for (int k = 0; k < w->words; k++) {
      uint64_t s = w->lane[k].spin[i], cut = s ^ (s << 1 | carry);
      carry = s >> 63;
      if (k == w->words - 1 && w->slices % LANES) cut &= (1ull << w->slices % LANES) - 1;
      kinks += __builtin_popcountll(cut);
    }
  }
  double all = (double)n * w->slices, x = tanh(beta_a / w->slices);
  return ((double)kinks / x + (all - (double)kinks) * x) / all;
}
