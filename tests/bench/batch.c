/* batch.c: throughput of batches of QAMA's problems, one core, CPU milliseconds.
 *
 *   batch PROBLEMS HEADS TOKENS REPEATS
 *
 * Couplings and fields are drawn as at initialisation (sigma_J = 0.236, sigma_h = 0.10).
 * A line each: filling the coefficients, the released annealer, the same with a
 * two-sided search, annealing with 300 sweeps, descent; the best and the median of the
 * repetitions, mean energy, share of ones.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/binary/batch.h"

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef struct { int64_t heads, tokens, pairs, exclusive; } Shape;

/* Heads' pairs first, then the pairs of heads of each token. */
static int32_t *couplings(Shape *s) {
  const int64_t H = s->heads, N = s->tokens;
  s->pairs = H * N * (N - 1) / 2;
  s->exclusive = H * (H - 1) / 2 * N;
  int32_t *uv = malloc((size_t)(s->pairs + s->exclusive) * 2 * sizeof *uv), *at = uv;
  for (int64_t t = 0; t < H; t++)
    for (int64_t i = 0; i < N; i++)
      for (int64_t j = i + 1; j < N; j++) {
        *at++ = (int32_t)(t * N + i);
        *at++ = (int32_t)(t * N + j);
      }
  for (int64_t t = 0; t < H; t++)
    for (int64_t q = t + 1; q < H; q++)
      for (int64_t i = 0; i < N; i++) {
        *at++ = (int32_t)(t * N + i);
        *at++ = (int32_t)(q * N + i);
      }
  return uv;
}

/* The QUBO of arXiv 2504.11083 v2 (alpha = 1, eta = 0.16, gamma = 0.8) as spins. */
static void fill(Batch *b, const Shape *s, const float *J, const float *f) {
  const double N = (double)s->tokens, H = (double)s->heads;
  const double pen = H > 1 ? 0.4 * sqrt(2 / 3.14159265358979324) * N / (H - 1) : 0;
  for (int64_t p = 0; p < b->problems; p++) {
    double *h = b->h + p * b->n, *c = b->J + p * b->m, offset = 0;
    for (int64_t i = 0; i < b->n; i++) {
      const double linear = -0.16 * N * (double)f[p * b->n + i];
      h[i] = linear / 2;
      offset += linear / 2;
    }
    for (int64_t k = 0; k < b->m; k++) {
      const double q = k < s->pairs ? -2 * (double)J[p * s->pairs + k] : 2 * pen;
      c[k] = q / 4;
      h[b->uv[2 * k]] += q / 4;
      h[b->uv[2 * k + 1]] += q / 4;
      offset += q / 4;
    }
    b->offset[p] = offset;
  }
}

static void fail(Rt *rt) {
  fprintf(stderr, "%s\n", rt->error.message);
  exit(1);
}

static void time_of(Rt *rt, const Batch *b, const char *what, BatchMethod method, int repeats) {
  double *ms = malloc((size_t)repeats * sizeof *ms), energy = 0, ones = 0;
  int64_t steps = 0;
  for (int k = 0; k < repeats; k++) {
    BatchArgs a;
    BatchSamples s;
    batch_args_init(&a);
    a.method = method;
    a.rng = rng_seeded(k + 1);
    const double begin = cpu();
    if (batch_sample(rt, b, &a, &s)) fail(rt);
    ms[k] = cpu() - begin;
    steps = s.steps;
    energy = ones = 0;
    for (int64_t p = 0; p < b->problems; p++) energy += s.energy[p] / (double)b->problems;
    for (int64_t i = 0; i < b->problems * b->n; i++) ones += s.spin[i] > 0;
    batch_samples_free(rt, &s);
  }
  qsort(ms, (size_t)repeats, sizeof *ms, ascending);
  printf("  %-34s %8.2f %8.2f ms   mean energy %9.3f   ones %5.2f %%   %lld temperatures\n", what,
         ms[0], ms[repeats / 2], energy, 100 * ones / (double)(b->problems * b->n),
         (long long)steps);
  free(ms);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  const int64_t problems = atoll(argv[1]);
  const int repeats = atoi(argv[4]);
  Shape s = {.heads = atoll(argv[2]), .tokens = atoll(argv[3])};
  Rt *rt = rt_open();
  Batch b;
  int32_t *uv = couplings(&s);
  if (!rt) return 1;
  if (batch_make(rt, &b, problems, s.heads * s.tokens, s.pairs + s.exclusive, uv)) fail(rt);
  float *J = malloc((size_t)(problems * s.pairs) * sizeof *J);
  float *f = malloc((size_t)(problems * b.n) * sizeof *f);
  RngCall rng = rng_seeded(7);
  for (int64_t k = 0; k < problems * s.pairs; k++)
    J[k] = (float)(0.236 * rng_normal(rng, (uint64_t)k));
  rng.call++;
  for (int64_t k = 0; k < problems * b.n; k++) f[k] = (float)(0.1 * rng_normal(rng, (uint64_t)k));
  double least = INFINITY;
  for (int k = 0; k < repeats; k++) {
    const double begin = cpu();
    fill(&b, &s, J, f);
    const double ms = cpu() - begin;
    if (ms < least) least = ms;
  }
  printf("%lld problems of %lld variables, %lld couplings each: best and median of %d\n",
         (long long)problems, (long long)b.n, (long long)b.m, repeats);
  printf("  %-34s %8.2f\n", "coefficients", least);
  time_of(rt, &b, "released annealer", BATCH_LOCKSTEP, repeats);
  time_of(rt, &b, "released annealer, two-sided end", BATCH_LOCKSTEP_BOTH, repeats);
  time_of(rt, &b, "annealing, 300 sweeps", BATCH_ANNEAL, repeats);
  time_of(rt, &b, "descent", BATCH_DESCEND, repeats);
  batch_free(rt, &b);
  rt_close(rt);
  return 0;
}
