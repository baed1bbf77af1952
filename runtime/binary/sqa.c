/* sqa.c: heat-bath segment updates of worldlines; a slice is a lane of lanes.h. */
#include "runtime/binary/sqa.h"

#include <math.h>
#include <string.h>

#include "runtime/tensor/kernels_levels.h"

/* Without contraction (-std=c11) all levels give the same bits. */
#ifdef QA_KERNEL_LEVELS
#define LEVELS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LEVELS
#endif

#define INLINE static inline __attribute__((always_inline))

/* ---- random numbers: xoshiro256++ (Blackman, Vigna 2021) ------------------------ */

INLINE uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

INLINE uint64_t draw(uint64_t s[4]) {
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

/* The bits of `open`, each 1 with probability p / 2^64: the bits of p are compared
 * with those of 64 random numbers, one place of all of them at a time, until all
 * are told.                                                                    */
INLINE uint64_t coins(uint64_t s[4], uint64_t p, uint64_t open) {
  uint64_t yes = 0;
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

typedef struct {
  Worldlines *w;
  double drop;            /* of the exponent per field unit: 2 beta B / (P scale) */
  uint64_t cut;           /* tanh(beta A / P) 2^64                             */
} Step;

/* Scratch of one worldline.  The sum of the fields of slices 0 .. t-1 is
 * part[t] + base[t / 16]: blocks of 16 are summed side by side.                */
enum { BLOCK = 16 };
typedef struct {
  int16_t at[SQA_SLICES + 1];       /* where segments begin                     */
  int32_t part_int[SQA_SLICES + 1];
  double part[SQA_SLICES + 1];
  double base[SQA_SLICES / BLOCK + 1];
  double x[SQA_SLICES], odds[SQA_SLICES];
  uint64_t bits[SQA_WORDS];
} Scratch;

INLINE const char *fields_of(const Worldlines *w, LaneWidth width, int k, int64_t i) {
  const size_t size = width == LANE_I8 ? 1 : width == LANE_I16 ? 2 : 4;
  return (const char *)w->lane[k].field + (size_t)lane_slot(i) * LANES * size;
}

/* Blocks side by side; few slices need few blocks. */
#define PREFIX(type, sum_type, to)                                            \
  do {                                                                        \
    const type *f = (const type *)fields_of(w, width, k, i);                  \
    sum_type sum[LANES / BLOCK] = {0};                                        \
    for (int t = 0; t < BLOCK; t++)                                           \
      for (int b = 0; b < blocks; b++) {                                      \
        c->to[k * LANES + b * BLOCK + t] = sum[b];                            \
        sum[b] += (sum_type)f[b * BLOCK + t];                                 \
      }                                                                       \
    for (int b = 0; b < blocks; b++) total = c->base[at++] = total + (double)sum[b]; \
  } while (0)

INLINE void prefix(const Worldlines *w, LaneWidth width, int64_t i, Scratch *c) {
  double total = c->base[0] = 0;
  int at = 1;
  for (int k = 0; k < w->words; k++) {
    const int blocks = w->slices > BLOCK ? LANES / BLOCK : 1;
    if (width == LANE_I8) PREFIX(int8_t, int32_t, part_int);
    else if (width == LANE_I16) PREFIX(int16_t, int32_t, part_int);
    else PREFIX(float, double, part);
  }
  if (w->slices % BLOCK == 0) {
    c->part_int[w->slices] = 0;
    c->part[w->slices] = 0;
  }
}

INLINE double before(const Scratch *c, LaneWidth width, int t) {
  return c->base[t / BLOCK] + (width == LANE_F32 ? c->part[t] : (double)c->part_int[t]);
}

INLINE double sum_all(const Worldlines *w, LaneWidth width, int64_t i) {
  double total = 0;
  for (int k = 0; k < w->words; k++) {
    int count = w->slices - k * LANES < LANES ? w->slices - k * LANES : LANES;
    const char *field = fields_of(w, width, k, i);
    if (width == LANE_F32) {
      double x = 0;
      for (int t = 0; t < count; t++) x += (double)((const float *)field)[t];
      total += x;
      continue;
    }
    int32_t x = 0;
    if (width == LANE_I8) {
#pragma omp simd reduction(+ : x)
      for (int t = 0; t < count; t++) x += ((const int8_t *)field)[t];
    } else {
#pragma omp simd reduction(+ : x)
      for (int t = 0; t < count; t++) x += ((const int16_t *)field)[t];
    }
    total += x;
  }
  return total;
}

/* 1 + exp(x) for many x at once, within 2e-7 of it: a power of two from the exponent
 * bits times a polynomial.  |x| is cut at 60, which is beyond any draw.        */
INLINE void odds_of(const double *x, double *odds, int n) {
#pragma omp simd
  for (int j = 0; j < n; j++) {
    double y = x[j] > 60 ? 60 : x[j];
    y = y < -60 ? -60 : y;
    y *= 1.4426950408889634;
    double shifted = y + 0x1.8p52, r = (y - (shifted - 0x1.8p52)) * 0.6931471805599453;
    uint64_t u;
    memcpy(&u, &shifted, 8);
    u = (u + 1023) << 52;
    double power;
    memcpy(&power, &u, 8);
    double p = 1 + r * (1 + r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120 + r * (1.0 / 720))))));
    odds[j] = 1 + power * p;
  }
}

INLINE void set_range(uint64_t *bits, int words, int a, int b, bool up) {
  uint64_t on = up ? ~0ull : 0;
  if (words == 1) {          /* a < 64, 1 <= b <= 64 */
    bits[0] |= on & ~0ull << a & ~0ull >> (LANES - b);
    return;
  }
  while (a < b) {
    int end = (a | (LANES - 1)) + 1;
    if (end > b) end = b;
    bits[a / LANES] |= on & ~0ull << a % LANES & ~0ull >> (LANES - 1 - (end - 1) % LANES);
    a = end;
  }
}

/* Where segments begin: kinks, and cuts by chance; the number of them. */
INLINE int segments(Worldlines *w, const Step *q, int64_t i, int16_t *at) {
  int n = 0, last = w->slices - 1;
  uint64_t carry = w->lane[last / LANES].spin[i] >> last % LANES & 1;
  for (int k = 0; k < w->words; k++) {
    uint64_t s = w->lane[k].spin[i], cut = s ^ (s << 1 | carry);
    carry = s >> 63;
    uint64_t here = k == w->words - 1 ? ~0ull >> (LANES - 1 - last % LANES) : ~0ull;
    cut &= here;
    if (q->cut) cut |= coins(w->rng, q->cut, here & ~cut);
    for (; cut; cut &= cut - 1) at[n++] = (int16_t)(k * LANES + __builtin_ctzll(cut));
  }
  return n;
}

/* Segment j is up with probability 1 / (1 + exp(x[j])); the last one goes round. */
INLINE void resample(const Step *q, LaneWidth width, int64_t i, int n, Scratch *c) {
  Worldlines *w = q->w;
  if (n < 2) {
    n = 1;
    c->at[0] = 0;
    c->x[0] = q->drop * sum_all(w, width, i);
  } else {
    prefix(w, width, i, c);
    double first = before(c, width, c->at[0]), from = first;
    for (int j = 0; j + 1 < n; j++) {
      double to = before(c, width, c->at[j + 1]);
      c->x[j] = q->drop * (to - from);
      from = to;
    }
    c->x[n - 1] = q->drop * (before(c, width, w->slices) - from + first);
  }
  c->at[n] = (int16_t)w->slices;
  odds_of(c->x, c->odds, n);
  uint64_t r = 0;
  bool up = false;
  for (int j = 0; j < n; j++) {
    r = j & 1 ? r >> 32 : draw(w->rng);
    up = ((double)(uint32_t)r + 0.5) * 0x1p-32 * c->odds[j] < 1;
    set_range(c->bits, w->words, c->at[j], c->at[j + 1], up);
  }
  if (c->at[0]) set_range(c->bits, w->words, 0, c->at[0], up);
}

INLINE void sweep(const Step *q, LaneWidth width) {
  Worldlines *w = q->w;
  Scratch c;
  for (int64_t i = 0; i < w->m->p->n; i++) {
    for (int k = 0; k < w->words; k++) c.bits[k] = 0;
    resample(q, width, i, segments(w, q, i, c.at), &c);
    for (int k = 0; k < w->words; k++) {
      uint64_t flips = c.bits[k] ^ w->lane[k].spin[i];
      if (k == w->words - 1 && w->slices % LANES) flips &= (1ull << w->slices % LANES) - 1;
      if (flips) lanes_flip(&w->lane[k], i, flips);
    }
  }
}

LEVELS static void sweep_i8(const Step *q) { sweep(q, LANE_I8); }
LEVELS static void sweep_i16(const Step *q) { sweep(q, LANE_I16); }
LEVELS static void sweep_f32(const Step *q) { sweep(q, LANE_F32); }

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
