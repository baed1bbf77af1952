/* batch.c: throughput of batches of QAMA's problems, one core, CPU milliseconds.
 *
 *   batch PROBLEMS HEADS TOKENS REPEATS
 *
 * Couplings and fields are drawn as at initialisation (sigma_J = 0.236, sigma_h = 0.10).
 * A line each: filling the coefficients, then the samplers: the best and the median of the
 * repetitions, mean energy of the lowest rows, share of ones, and for small problems how
 * many of them came to the minimum.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/binary/batch.h"
#include "runtime/evolve/quench.h"

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

/* A sampler of the batch, or one of single problems, a problem a thread. */
typedef struct {
  const char *name;
  BatchMethod method;
  int64_t reads, sweeps;
  RtStatus (*each)(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
  bool quench;
  int64_t least, most;     /* variables of the problems it is timed on            */
} Way;

static RtStatus one(Rt *rt, void *user, const Ising *p, RngCall rng, const BatchProgress *progress,
                    Samples *out) {
  const Way *w = user;
  SamplerArgs a;
  if (w->quench) {
    const QuenchArgs q = {.gamma = NAN, .time = NAN, .tol = 1e-6, .reads = w->reads, .rng = rng};
    return sample_quench(rt, p, &q, out);
  }
  sampler_args_init(&a);
  a.rng = rng;
  a.reads = w->reads;
  a.sweeps = w->sweeps;
  return w->each(rt, p, &a, out);
}

static void run(Rt *rt, const Batch *b, const Way *w, int seed, BatchSamples *s) {
  BatchArgs a;
  batch_args_init(&a);
  a.method = w->method;
  a.rng = rng_seeded(seed);
  a.reads = w->reads;
  a.beta = 2;
  if (w->sweeps) a.sweeps = w->sweeps;
  const BatchEach e = {.run = one, .user = (void *)w, .rng = a.rng, .threads = 1};
  if (w->each || w->quench ? batch_each(rt, b, &e, s) : batch_sample(rt, b, &a, s)) fail(rt);
}

static double lowest(const BatchSamples *s, int64_t p) {
  double e = INFINITY;
  for (int64_t r = 0; r < s->reads; r++) e = fmin(e, s->energy[p * s->reads + r]);
  return e;
}

/* least: of each problem, NULL: not known */
static void time_of(Rt *rt, const Batch *b, const Way *w, int repeats, const double *least) {
  double *ms = malloc((size_t)repeats * sizeof *ms), energy = 0, ones = 0;
  int64_t hits = 0;
  BatchSamples s;
  for (int k = 0; k < repeats; k++) {
    const double begin = cpu();
    run(rt, b, w, k + 1, &s);
    ms[k] = cpu() - begin;
    if (k + 1 < repeats) batch_samples_free(rt, &s);
  }
  for (int64_t p = 0; p < b->problems; p++) {
    energy += lowest(&s, p) / (double)b->problems;
    if (least) hits += lowest(&s, p) < least[p] + 1e-9;
  }
  for (int64_t i = 0; i < b->problems * s.reads * b->n; i++) ones += s.spin[i] > 0;
  qsort(ms, (size_t)repeats, sizeof *ms, ascending);
  printf("  %-38s %9.2f %9.2f ms   lowest energy %9.3f   ones %5.2f %%", w->name, ms[0],
         ms[repeats / 2], energy, 100 * ones / (double)(b->problems * s.reads * b->n));
  if (least) printf("   minimum %6.2f %%", 100 * (double)hits / (double)b->problems);
  printf("\n");
  fflush(stdout);
  batch_samples_free(rt, &s);
  free(ms);
}

static const Way ways[] = {
    {"exact", BATCH_EXACT, 1, 0, NULL, false, 0, BATCH_EXACT_MAX},
    {"released annealer", BATCH_LOCKSTEP, 1, 0, NULL, false, 0, 1 << 20},
    {"released annealer, two-sided end", BATCH_LOCKSTEP_BOTH, 1, 0, NULL, false, 64, 1 << 20},
    {"annealing, 300 sweeps", BATCH_ANNEAL, 1, 300, NULL, false, 64, 1 << 20},
    {"annealing, 500 sweeps", BATCH_ANNEAL, 1, 500, NULL, false, 0, 64},
    {"annealing, 100 sweeps", BATCH_ANNEAL, 1, 100, NULL, false, 0, 64},
    {"heat bath, 100 sweeps", BATCH_GIBBS, 1, 100, NULL, false, 0, 1 << 20},
    {"descent", BATCH_DESCEND, 1, 0, NULL, false, 0, 1 << 20},
    {"sqa, 1 read of 100 sweeps", 0, 1, 100, sample_sqa, false, 0, 1 << 20},
    {"tabu, 1 read of 20 sweeps", 0, 1, 20, sample_tabu, false, 0, 1 << 20},
    {"quench, 16 reads, 4 of the problems", 0, 16, 0, NULL, true, 0, 16},
};

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
  double best = INFINITY, *least = NULL;
  for (int k = 0; k < repeats; k++) {
    const double begin = cpu();
    fill(&b, &s, J, f);
    const double ms = cpu() - begin;
    if (ms < best) best = ms;
  }
  printf("%lld problems of %lld variables, %lld couplings each: best and median of %d\n",
         (long long)problems, (long long)b.n, (long long)b.m, repeats);
  printf("  %-38s %9.2f\n", "coefficients", best);
  if (b.n <= BATCH_EXACT_MAX) {
    BatchSamples e;
    run(rt, &b, &ways[0], 1, &e);
    least = malloc((size_t)problems * sizeof *least);
    for (int64_t p = 0; p < problems; p++) least[p] = e.energy[p];
    batch_samples_free(rt, &e);
  }
  for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
    const bool slow = ways[k].each || ways[k].quench;
    if (ways[k].quench && b.problems > 4) b.problems = 4;
    if (b.n >= ways[k].least && b.n <= ways[k].most)
      time_of(rt, &b, &ways[k], slow ? 1 : repeats, least);
  }
  b.problems = problems;
  free(least);
  free(J);
  free(f);
  free(uv);
  batch_free(rt, &b);
  rt_close(rt);
  return 0;
}
