/* batch_body.h: the walks of batch.h over a level's vectors (private; included by
 * each batch_*.c after its types and operations, with BATCH_NAME defined).
 *
 * F: 16 floats, U: 16 unsigned 32-bit words; no operation is fused, so that all levels
 * round alike.  A proposal that raises the energy by d is accepted when d <= T x with
 * x = -ln u, u uniform: thresholds are drawn for 16 variables at once, and after each
 * flip the rest of the sixteen is compared again with the new fields, which is the
 * sequential sweep.
 */
#define SIGN 0x80000000u

/* ln x = e ln 2 + rest for x > 0, to 1e-6 absolute: exponent and mantissa, the mantissa's
 * logarithm as a series in z = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)).       */
OP F log_parts(F x, F *rest) {
  U bits = u_bits(x), shifted = u_sub(bits, u_set(0x3f3504f3u));
  F m = u_float(u_add(u_and(shifted, u_set(0x007fffffu)), u_set(0x3f3504f3u)));
  F z = f_div(f_sub(m, f_set(1)), f_add(m, f_set(1))), q = f_mul(z, z);
  F p = f_add(f_mul(q, f_set(0.2222222f)), f_set(0.2857143f));
  p = f_add(f_mul(p, q), f_set(0.4f));
  p = f_add(f_mul(p, q), f_set(0.6666667f));
  p = f_add(f_mul(p, q), f_set(2));
  *rest = f_mul(p, z);
  return f_of_signed(u_sar(shifted, 23));
}

/* -ln((r + 1) / 2^24) of 24 random bits. */
OP F exponential(U r) {
  F rest, e = log_parts(f_of(u_add(u_shr(r, 8), u_set(1))), &rest);
  return f_sub(f_mul(f_sub(f_set(24), e), f_set(0.69314718f)), rest);
}

/* ln((1 - u) / u), u = (2 r + 1) / 2^24 of 23 random bits: a spin that flips when d <= T
 * times this does so with probability 1 / (1 + exp(d / T)).                       */
OP F logistic(U r) {
  U odd = u_add(u_shr(r, 8), u_and(u_add(u_shr(r, 8), u_set(1)), u_set(1)));
  F x = f_of(odd), rest, e = log_parts(f_div(f_sub(f_set(0x1p24f), x), x), &rest);
  return f_add(f_mul(e, f_set(0.69314718f)), rest);
}

/* Where a walk's rows are, at hand in a loop that stores all the time. */
typedef struct {
  const int32_t *row_block, *block, *row_single, *single;
  const float *w, *ws;
  float *g;
  uint32_t *up;
} Rows;

OP Rows rows_of(const BatchWalk *k) {
  const Batch *b = k->b;
  return (Rows){b->row_block, b->block, b->row_single, b->single, k->w, k->ws, k->g, k->up};
}

OP void flip(const Rows *k, int64_t i) {
  const uint32_t s = k->up[i];
  const U sign = u_set(s);                            /* +1 to -1: fields fall by 2 J  */
  k->up[i] = s ^ SIGN;
  const int32_t first = k->row_block[i], n = k->row_block[i + 1] - first;
  const float *w = k->w + (int64_t)first * 16, *ws = k->ws;
  const int32_t *block = k->block + first, *single = k->single;
  float *all = k->g;
  for (int64_t a = 0; a < n; a++) {
    float *g = all + block[a];
    f_store(g, f_add(f_load(g), u_float(u_xor(f_bits(f_load(w + a * 16)), sign))));
  }
  const float one = s ? -1.0f : 1.0f;
  const int32_t last = k->row_single[i + 1];
  for (int64_t a = k->row_single[i]; a < last; a++) all[single[a]] += one * ws[a];
}

static void sweep(BatchWalk *k, float temperature, bool heat) {
  const F t = f_set(temperature);
  const int64_t n = k->b->n;
  const Rows rows = rows_of(k);
  Gen gen = gen_load(k->rng);
  for (int64_t first = 0; first < n; first += 16) {
    const U r = gen_step(&gen);
    const F most = f_mul(t, heat ? logistic(r) : exponential(r));
    uint32_t open = n - first < 16 ? (1u << (n - first)) - 1 : 0xffffu;
    for (;;) {
      const F d = u_float(u_xor(f_bits(f_load(k->g + first)), u_load(k->up + first)));
      const uint32_t yes = f_upto(d, most) & open;
      if (!yes) break;
      const int i = __builtin_ctz(yes);
      flip(&rows, first + i);
      open &= ~((2u << i) - 1);
    }
  }
  gen_store(k->rng, &gen);
}

/* Spin i, so far `up`, flips in the rows of `yes`; the others get their fields unchanged. */
OP void flip_side(BatchSide *k, int64_t i, U up, U yes) {
  const Batch *b = k->b;
  const int32_t end = b->start[i + 1];
  u_store(k->up + 16 * i, u_xor(up, u_and(yes, u_set(SIGN))));
  for (int32_t e = b->start[i]; e < end; e++) {
    float *g = k->g + 16 * (int64_t)b->other[e];
    const U change = u_and(u_xor(f_bits(f_load(k->w + 16 * (int64_t)e)), up), yes);
    f_store(g, f_add(f_load(g), u_float(change)));
  }
}

static void side(BatchSide *k, const float temperature[BATCH_LANES], bool heat) {
  const F t = f_load(temperature);
  F energy = f_load(k->energy);
  Gen gen = gen_load(k->rng);
  for (int64_t i = 0; i < k->b->n; i++) {
    const U r = gen_step(&gen), up = u_load(k->up + 16 * i);
    const F most = f_mul(t, heat ? logistic(r) : exponential(r));
    const F d = u_float(u_xor(f_bits(f_load(k->g + 16 * i)), up));
    const U yes = u_upto(d, most);
    if (!u_any(yes)) continue;
    energy = f_add(energy, u_float(u_and(f_bits(d), yes)));
    flip_side(k, i, up, yes);
  }
  f_store(k->energy, energy);
  gen_store(k->rng, &gen);
}

static void pairs(BatchSide *k, const float temperature[BATCH_LANES], int64_t shift) {
  const F t = f_load(temperature);
  const int64_t n = k->b->n;
  F energy = f_load(k->energy);
  Gen gen = gen_load(k->rng);
  for (int64_t i = 0; i < n; i++) {
    const int64_t j = i + shift < n ? i + shift : i + shift - n, at = k->b->pair[i * n + j];
    const F most = f_mul(t, exponential(gen_step(&gen)));
    const U up = u_load(k->up + 16 * i), other = u_load(k->up + 16 * j);
    F d = f_add(u_float(u_xor(f_bits(f_load(k->g + 16 * i)), up)),
                u_float(u_xor(f_bits(f_load(k->g + 16 * j)), other)));
    if (at >= 0)      /* their own coupling does not change */
      d = f_add(d, u_float(u_xor(f_bits(f_load(k->w + 16 * at)), u_xor(up, other))));
    const U yes = u_upto(d, most);
    if (!u_any(yes)) continue;
    energy = f_add(energy, u_float(u_and(f_bits(d), yes)));
    flip_side(k, i, up, yes);
    flip_side(k, j, other, yes);
  }
  f_store(k->energy, energy);
  gen_store(k->rng, &gen);
}

static void keep(BatchSide *k) {
  const F energy = f_load(k->energy), lowest = f_load(k->lowest);
  const U not = u_upto(lowest, energy), yes = u_xor(not, u_set(~0u));
  if (!u_any(yes)) return;
  f_store(k->lowest, u_float(u_xor(u_and(f_bits(energy), yes), u_and(f_bits(lowest), not))));
  for (int64_t i = 0; i < k->b->n; i++) {
    uint32_t *best = k->best + 16 * i;
    u_store(best, u_xor(u_and(u_load(k->up + 16 * i), yes), u_and(u_load(best), not)));
  }
}

typedef struct { uint32_t site[16]; float x[16]; int used; } Draws;

OP void draw(Draws *d, Gen *gen, uint32_t n) {
  uint32_t r[16];
  u_store(r, gen_step(gen));
  f_store(d->x, exponential(gen_step(gen)));
  for (int i = 0; i < 16; i++) d->site[i] = (uint32_t)((uint64_t)r[i] * n >> 32);
  d->used = 0;
}

/* x, -x where the sign bit of s is set: a branch would be a guess. */
OP float flipped(float x, uint32_t s) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits ^= s;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Rows are longer than the first cache holds, and which comes next is known. */
OP void prefetch(const BatchWalk *k, uint32_t i) {
  const Batch *b = k->b;
  const char *row = (const char *)(k->w + (int64_t)b->row_block[i] * 16);
  const char *end = (const char *)(k->w + (int64_t)b->row_block[i + 1] * 16);
  for (; row < end; row += 64) __builtin_prefetch(row);
}

static void lockstep(BatchWalk *k, int64_t steps, uint8_t *better) {
  const int64_t padded = (k->b->n + 15) / 16 * 16;
  const Rows rows = rows_of(k);
  Gen gen = gen_load(k->rng);
  Draws d = {.used = 16};
  double energy = 0, lowest = 0, t = 1000;
  memcpy(k->best, k->up, (size_t)padded * sizeof *k->up);
  for (int64_t step = 0; step < steps; step++, t *= 0.99) {
    const float ft = (float)t;
    better[step] = 0;
    for (int p = 0; p < LOCKSTEP_PROPOSALS; p++) {
      if (d.used == 16) draw(&d, &gen, (uint32_t)k->b->n);
      const uint32_t i = d.site[d.used];
      if (d.used < 15) prefetch(k, d.site[d.used + 1]);
      const float x = d.x[d.used++], change = flipped(k->g[i], k->up[i]);
      if (!(change <= ft * x)) continue;
      flip(&rows, i);
      energy += (double)change;
      if (energy >= lowest) continue;
      lowest = energy;
      better[step] = 1;
      memcpy(k->best, k->up, (size_t)padded * sizeof *k->up);
    }
  }
  gen_store(k->rng, &gen);
}

extern const BatchKernels BATCH_NAME;
const BatchKernels BATCH_NAME = {BATCH_LEVEL, sweep, side, pairs, keep, lockstep};
