/* batch_thread.c: a thread's scratch for the walks of a batch, random states, descent and
 * temperatures.                                                                    */
#include <math.h>
#include <string.h>

#include "runtime/binary/batch_walks.h"
#include "runtime/binary/xoshiro.h"

bool batch_is_small(const Batch *b) { return b->n <= BATCH_SIDE_N && b->m <= BATCH_SIDE_M; }

static int64_t padded(const Batch *b) { return (b->n / BATCH_LANES + 1) * BATCH_LANES; }

/* Parts in units of 64 bytes, so that each is aligned; at NULL they are only counted. */
static void *take(char **at, size_t *bytes, size_t size) {
  void *p = *at;
  size = (size + 63) / 64 * 64;
  *bytes += size;
  if (*at) *at += size;
  return p;
}

static void lay_out(BatchThread *t, char *at, bool side) {
  const Batch *b = t->walk.b;
  const size_t p = (size_t)padded(b), n = (size_t)b->n;
  t->bytes = 64;
  t->field = take(&at, &t->bytes, p * sizeof(double));
  t->spin = take(&at, &t->bytes, p * sizeof(double));
  t->middle = take(&at, &t->bytes, (n + (size_t)b->m + 1) * sizeof(float));
  if (side) {
    t->side.w = take(&at, &t->bytes, (2 * (size_t)b->m + 1) * BATCH_LANES * sizeof(float));
    t->side.g = take(&at, &t->bytes, (n + 1) * BATCH_LANES * sizeof(float));
    t->side.up = take(&at, &t->bytes, (n + 1) * BATCH_LANES * sizeof(uint32_t));
    t->side.best = take(&at, &t->bytes, (n + 1) * BATCH_LANES * sizeof(uint32_t));
    t->side.energy = take(&at, &t->bytes, BATCH_LANES * sizeof(float));
    t->side.lowest = take(&at, &t->bytes, BATCH_LANES * sizeof(float));
    t->temperature = take(&at, &t->bytes, BATCH_LANES * sizeof(float));
    return;
  }
  t->walk.w = take(&at, &t->bytes, ((size_t)b->n_block + 1) * BATCH_LANES * sizeof(float));
  t->walk.ws = take(&at, &t->bytes, ((size_t)b->n_single + 1) * sizeof(float));
  t->walk.g = take(&at, &t->bytes, p * sizeof(float));
  t->walk.up = take(&at, &t->bytes, p * sizeof(uint32_t));
  t->walk.best = take(&at, &t->bytes, p * sizeof(uint32_t));
}

bool batch_thread_make(Rt *rt, BatchThread *t, const Batch *b, bool side) {
  *t = (BatchThread){.walk.b = b, .side.b = b, .loaded = -1};
  lay_out(t, NULL, side);
  t->memory = rt_alloc(rt, t->bytes);
  if (!t->memory) return false;
  lay_out(t, t->memory + (64 - (uintptr_t)t->memory % 64) % 64, side);
  return true;
}

void batch_thread_free(Rt *rt, BatchThread *t) {
  if (t->memory) rt_free(rt, t->memory, t->bytes);
  t->memory = NULL;
}

void batch_random(BatchThread *t, int64_t problem, RngCall rng, uint64_t row, int8_t *s) {
  const Batch *b = t->walk.b;
  Xoshiro x = xoshiro_seed(rng, row * 64 + BATCH_LANES);
  uint32_t bits = 0;
  for (int64_t i = 0; i < b->n; i++, bits >>= 1) {
    if (i % 32 == 0) bits = xoshiro_next(&x);
    s[i] = (int8_t)((int)(bits & 1) * 2 - 1);
  }
  batch_fields(b, problem, s, t->spin, t->field);
}

static void flip(BatchThread *t, const double *J, int64_t i, int8_t *s) {
  const Batch *b = t->walk.b;
  t->spin[i] = s[i] = (int8_t)-s[i];
  for (int32_t k = b->start[i]; k < b->start[i + 1]; k++)
    t->field[b->other[k]] += 2 * s[i] * J[b->edge[k]];
}

/* Gains that rounding can pretend do not count. */
static bool counts(const Batch *b, int64_t problem, int64_t i, double gain) {
  return gain > 1e-12 * (1 + fabs(b->h[problem * b->n + i]));
}

void batch_descend(BatchThread *t, int64_t problem, int8_t *s, bool off) {
  const Batch *b = t->walk.b;
  for (;;) {
    double most;
    const int64_t at = batch_steepest(b->n, t->spin, t->field, off, &most);
    if (at < 0 || !counts(b, problem, at, most)) return;
    flip(t, b->J + problem * b->m, at, s);
  }
}

void batch_descend_pairs(BatchThread *t, int64_t problem, int8_t *s) {
  const Batch *b = t->walk.b;
  const double *J = b->J + problem * b->m, *f = t->field;
  for (;;) {
    int64_t u = -1, v = -1;
    double most = 0;
    batch_descend(t, problem, s, false);
    for (int64_t i = 0; i < b->n; i++)
      for (int64_t j = 0; j < i; j++) {
        const double both = s[i] * f[i] + s[j] * f[j];
        const int32_t at = b->pair[i * b->n + j];
        const double gain = at < 0 ? both : both - 2 * s[i] * s[j] * J[b->edge[at]];
        if (gain > most) most = gain, u = i, v = j;
      }
    if (u < 0 || !counts(b, problem, u, most) || !counts(b, problem, v, most)) return;
    flip(t, J, u, s);
    flip(t, J, v, s);
  }
}

/* ---- temperatures ------------------------------------------------------------------ */

/* The number in place `want` of the sorted ones. */
static float ranked(float *x, int64_t n, int64_t want) {
  int64_t lo = 0, hi = n - 1;
  while (lo < hi) {
    const float pivot = x[lo + (hi - lo) / 2];
    int64_t i = lo, j = hi;
    while (i <= j) {
      while (x[i] < pivot) i++;
      while (x[j] > pivot) j--;
      if (i > j) break;
      const float swap = x[i];
      x[i++] = x[j];
      x[j--] = swap;
    }
    if (want <= j) hi = j;
    else if (want >= i) lo = i;
    else break;
  }
  return x[want];
}

/* Root mean square of how x differs from its mean. */
static double spread(const double *x, int64_t n) {
  double mean = 0, sum = 0;
  for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
  for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
  return n ? sqrt(sum / (double)n) : 0;
}

/* Of numbers >= 0, whose bits are ordered as they are: those of the bin in the middle are looked at
 * one by one. */
static float median(float *x, int64_t n) {
  enum { BINS = 2048, SHIFT = 20, FEW = 256 };
  uint32_t count[BINS] = {0}, bits;
  int64_t want = n / 2, kept = 0;
  uint32_t bin = 0;
  if (n < FEW) return ranked(x, n, want);
  for (int64_t i = 0; i < n; i++) {
    memcpy(&bits, x + i, sizeof bits);
    count[bits >> SHIFT]++;
  }
  for (; want >= count[bin]; bin++) want -= count[bin];
  for (int64_t i = 0; i < n; i++) {
    memcpy(&bits, x + i, sizeof bits);
    x[kept] = x[i];
    kept += bits >> SHIFT == bin;
  }
  return ranked(x, kept, want);
}

/* From the couplings, since fields mostly balance them (penalties, binaries): first 1.5
 * times the largest root mean square of a variable's coupling field in random states, 1.5
 * times the critical temperature of a random dense model; last a tenth of what flips
 * change there by a median coupling.  Without couplings fields stand for them.  Small
 * structures, which move without paying penalties, cool until what distinguishes variables
 * and couplings counts: a tenth of the spread of the fields.                       */
void batch_temperatures(BatchThread *t, int64_t problem, const BatchArgs *a, double *hot,
                        double *cold) {
  const Batch *b = t->walk.b;
  const double *h = b->h + problem * b->n, *J = b->J + problem * b->m;
  double most = 0, degree = 1, last = 1;
  int64_t count = 0;
  batch_squares(b, problem, t->spin);
  for (int64_t i = 0; i < b->n; i++)
    if (t->spin[i] > most) most = t->spin[i];
  for (int64_t k = 0; k < b->m; k++)
    if (J[k] != 0) t->middle[count++] = (float)fabs(J[k]);
  if (count) degree = fmax(1, 2 * (double)count / (double)b->n);
  for (int64_t i = 0; i < b->n && most == 0; i++)
    if (h[i] != 0) t->middle[count++] = (float)fabs(h[i]);
  if (count) last = 0.2 * median(t->middle, count) * sqrt(degree);
  if (count && batch_is_small(b)) {
    const double fine = 0.1 * hypot(spread(h, b->n), sqrt(degree) * spread(J, b->m));
    if (fine > 1e-3 * last && fine < last) last = fine;
  }
  *cold = isnan(a->cold) ? last : a->cold;
  *hot = isnan(a->hot) ? most > 0 ? 1.5 * sqrt(most) : *cold : a->hot;
  if (!(*hot > 0)) *hot = 1;
  if (!(*cold > 0) || *cold > *hot) *cold = *hot;
}
