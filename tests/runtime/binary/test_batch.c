/* test_batch.c: batches of problems against enumeration and single models, the golden
 * problems of QAHAN's and QAMA's formulations, Boltzmann weights of the sweeps, and the
 * same bits at all levels of instruction sets.                                     */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/batch.h"
#include "tests/runtime/fixture.h"

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

/* Pairs with probability `density`, normal coefficients. */
static Batch random_batch(int64_t problems, int64_t n, double density, int seed) {
  RngCall rng = rng_seeded(seed);
  int32_t *uv = calloc((size_t)(n * n + 1), sizeof *uv);
  int64_t m = 0;
  uint64_t e = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++) {
      if (rng_uniform(rng, e++) >= density) continue;
      uv[2 * m] = (int32_t)i;
      uv[2 * m++ + 1] = (int32_t)j;
    }
  Batch b;
  ok(batch_make(rt, &b, problems, n, m, uv));
  for (int64_t k = 0; k < problems * n; k++) b.h[k] = rng_normal(rng, e++);
  for (int64_t k = 0; k < problems * m; k++) b.J[k] = rng_normal(rng, e++);
  for (int64_t k = 0; k < problems; k++) b.offset[k] = 0.25 * (double)k;
  free(uv);
  return b;
}

static BatchSamples run(const Batch *b, BatchMethod method, int64_t reads, int64_t sweeps,
                        int threads) {
  BatchArgs a;
  BatchSamples s;
  batch_args_init(&a);
  a.method = method;
  a.rng = rng_seeded(11);
  a.reads = reads;
  a.sweeps = sweeps;
  a.threads = threads;
  ok(batch_sample(rt, b, &a, &s));
  return s;
}

static double lowest(const Batch *b, int64_t problem, int8_t *at) {
  double best = INFINITY;
  int8_t s[20];
  for (int64_t a = 0; a < (int64_t)1 << b->n; a++) {
    for (int64_t i = 0; i < b->n; i++) s[i] = (int8_t)(a >> i & 1 ? 1 : -1);
    const double e = batch_energy(b, problem, s);
    if (e < best) best = e, memcpy(at, s, (size_t)b->n);
  }
  return best;
}

static double flipped(const Batch *b, int64_t problem, const int8_t *s, int64_t i) {
  int8_t x[512];
  memcpy(x, s, (size_t)b->n);
  x[i] = (int8_t)-x[i];
  return batch_energy(b, problem, x);
}

static void test_energies(void **state) {
  Batch b = random_batch(5, 37, 0.4, 3);
  BatchSamples s = run(&b, BATCH_ANNEAL, 3, 40, 1);
  for (int64_t r = 0; r < 15; r++) {
    Ising p;
    const int8_t *x = s.spin + r * b.n;
    ok(batch_ising(rt, &b, r / 3, &p));
    assert_true(fabs(ising_energy(&p, x) - s.energy[r]) < 1e-10);
    for (int64_t i = 0; i < b.n; i++) assert_true(flipped(&b, r / 3, x, i) >= s.energy[r] - 1e-9);
    ising_free(rt, &p);
  }
  batch_samples_free(rt, &s);
  batch_free(rt, &b);
}

/* Adds c x_u x_v (v < 0: c x_u) of binaries x = (1 + s) / 2 to problem p. */
static void add_qubo(Batch *b, int64_t p, double c, int32_t u, int32_t v) {
  if (v < 0) {
    b->h[p * b->n + u] += c / 2;
    b->offset[p] += c / 2;
    return;
  }
  for (int64_t k = 0; k < b->m; k++)
    if (b->uv[2 * k] == u && b->uv[2 * k + 1] == v) b->J[p * b->m + k] += c / 4;
  b->h[p * b->n + u] += c / 4;
  b->h[p * b->n + v] += c / 4;
  b->offset[p] += c / 4;
}

/* -sum score x + weight (sum x - k)^2 */
static Batch top_k(int64_t problems, int64_t n, int64_t k, double weight, const double *score) {
  Batch b = random_batch(problems, n, 1, 1);
  memset(b.h, 0, (size_t)(problems * n) * sizeof *b.h);
  memset(b.J, 0, (size_t)(problems * b.m) * sizeof *b.J);
  for (int64_t p = 0; p < problems; p++) {
    b.offset[p] = weight * (double)(k * k);
    for (int32_t i = 0; i < n; i++) {
      add_qubo(&b, p, -score[p * n + i] + weight * (double)(1 - 2 * k), i, -1);
      for (int32_t j = i + 1; j < n; j++) add_qubo(&b, p, 2 * weight, i, j);
    }
  }
  return b;
}

/* The problems that networks with such layers solve: selection of n / 4 tokens by scores and
 * redundancies (QAHAN), tokens shared out among heads (QAMA).                      */
static Batch selection(int64_t problems, int64_t n, double lambda) {
  const int64_t k = n / 4;
  Batch b = random_batch(problems, n, 1, 1);
  RngCall rng = rng_seeded(17);
  uint64_t e = 0;
  memset(b.h, 0, (size_t)(problems * n) * sizeof *b.h);
  memset(b.J, 0, (size_t)(problems * b.m) * sizeof *b.J);
  for (int64_t p = 0; p < problems; p++) {
    double s[16], x[16][4], most = 0;
    for (int64_t i = 0; i < n; i++) {
      double norm = 0;
      most = fmax(most, fabs(s[i] = 0.5 * rng_normal(rng, e++)));
      for (int c = 0; c < 4; c++) norm += (x[i][c] = rng_normal(rng, e++)) * x[i][c];
      for (int c = 0; c < 4; c++) x[i][c] /= sqrt(norm);
    }
    const double weight = 1.25 * (most + lambda * (double)(k - 1));
    for (int32_t i = 0; i < n; i++) {
      add_qubo(&b, p, -s[i] + weight * (double)(1 - 2 * k), i, -1);
      for (int32_t j = i + 1; j < n; j++) {
        double cos = 0;
        for (int c = 0; c < 4; c++) cos += x[i][c] * x[j][c];
        add_qubo(&b, p, 2 * weight + lambda * fmax(0, cos), i, j);
      }
    }
  }
  return b;
}

static Batch shared_out(int64_t problems, int heads, int tokens) {
  int32_t uv[512];
  int64_t m = 0, own;
  RngCall rng = rng_seeded(23);
  uint64_t e = 0;
  for (int h = 0; h < heads; h++)
    for (int i = 0; i < tokens; i++)
      for (int j = i + 1; j < tokens; j++)
        uv[2 * m] = h * tokens + i, uv[2 * m++ + 1] = h * tokens + j;
  own = m;
  for (int i = 0; i < tokens; i++)
    for (int h = 0; h < heads; h++)
      for (int g = h + 1; g < heads; g++)
        uv[2 * m] = h * tokens + i, uv[2 * m++ + 1] = g * tokens + i;
  Batch b;
  ok(batch_make(rt, &b, problems, heads * tokens, m, uv));
  const double penalty = 0.4 * sqrt(2 / acos(-1)) * tokens / (heads - 1);
  for (int64_t p = 0; p < problems; p++) {
    for (int64_t k = 0; k < m; k++)
      add_qubo(&b, p, k < own ? -0.472 * rng_normal(rng, e++) : 2 * penalty, uv[2 * k], uv[2 * k + 1]);
    for (int32_t i = 0; i < b.n; i++) add_qubo(&b, p, -0.016 * tokens * rng_normal(rng, e++), i, -1);
  }
  return b;
}

/* As it is by itself, one read of 500 sweeps, annealing finds the minimum of problems of up to
 * 16 variables in 99 of 100.                                                       */
static void found(Batch b, const char *what) {
  BatchArgs a;
  BatchSamples s, e = run(&b, BATCH_EXACT, 1, 1, 1);
  int64_t hits = 0;
  batch_args_init(&a);
  a.rng = rng_seeded(41);
  ok(batch_sample(rt, &b, &a, &s));
  for (int64_t p = 0; p < b.problems; p++) {
    int8_t x[20];
    hits += s.energy[p] < e.energy[p] + 1e-9;
    assert_true(s.energy[p] > e.energy[p] - 1e-9);
    if (p < 3 || (b.n < 9 && p < 40)) assert_true(fabs(lowest(&b, p, x) - e.energy[p]) < 1e-9);
  }
  if (hits * 100 < b.problems * 99)
    fail_msg("%s, %d variables: %d of %d", what, (int)b.n, (int)hits, (int)b.problems);
  batch_samples_free(rt, &s);
  batch_samples_free(rt, &e);
  batch_free(rt, &b);
}

static void test_optimum(void **state) {
  for (int n = 4; n <= 16; n += 4) {
    found(random_batch(300, n, 1, n), "dense");
    found(random_batch(300, n, 0.3, n), "sparse");
    for (int k = 0; k < 4; k++)
      found(selection(200, n, (double[]){0, 0.03, 0.3, 1}[k]), "selection");
    found(shared_out(200, 2, n / 2), "two heads");
    found(shared_out(200, 4, n / 4), "four heads");
  }
}

/* Enumeration at every size, of structures with and without couplings between the halves. */
static void test_exact(void **state) {
  for (int64_t n = 1; n <= 12; n++)
    for (int d = 0; d < 3; d++) {
      Batch b = random_batch(3, n, 0.5 * d, (int)n);
      BatchSamples s = run(&b, BATCH_EXACT, 2, 1, 2);
      for (int64_t p = 0; p < 3; p++) {
        int8_t x[20];
        assert_true(fabs(lowest(&b, p, x) - s.energy[2 * p]) < 1e-10);
        assert_memory_equal(x, s.spin + 2 * p * n, (size_t)n);
        assert_memory_equal(x, s.spin + (2 * p + 1) * n, (size_t)n);
      }
      batch_samples_free(rt, &s);
      batch_free(rt, &b);
    }
}

static void test_golden_top_k(void **state) {
  Batch b = top_k(1, 4, 2, 1, (double[]){0.9, -0.2, 0.5, 0.1});
  const BatchMethod method[] = {BATCH_EXACT, BATCH_ANNEAL};
  for (int k = 0; k < 2; k++) {
    BatchSamples s = run(&b, method[k], 8, 300, 1);
    int best = 0;
    for (int r = 1; r < 8; r++) best = s.energy[r] < s.energy[best] ? r : best;
    assert_true(fabs(s.energy[best] + 1.4) < 1e-12);
    assert_memory_equal(s.spin + 4 * best, ((int8_t[]){1, -1, 1, -1}), 4);
    batch_samples_free(rt, &s);
  }
  batch_free(rt, &b);
}

/* With a weight above all |scores| the minimum chooses the k largest scores. */
static void test_top_k(void **state) {
  enum { P = 60, N = 10, K = 4 };
  double score[P * N], most = 0;
  RngCall rng = rng_seeded(5);
  for (int i = 0; i < P * N; i++) most = fmax(most, fabs(score[i] = rng_normal(rng, (uint64_t)i)));
  Batch b = top_k(P, N, K, 1.01 * most, score);
  BatchSamples s = run(&b, BATCH_EXACT, 1, 1, 1);
  for (int p = 0; p < P; p++) {
    for (int i = 0; i < N; i++) {
      int above = 0;
      for (int j = 0; j < N; j++) above += score[p * N + j] > score[p * N + i];
      assert_int_equal(s.spin[p * N + i], above < K ? 1 : -1);
    }
  }
  batch_samples_free(rt, &s);
  batch_free(rt, &b);
}

/* QAMA, two heads of three tokens (arXiv 2504.11083 v2 with its default weights). */
static void test_golden_heads(void **state) {
  const double J[6] = {.5, -.2, .3, -.4, .6, .1}, f[6] = {.2, -.1, .4, -.3, .5, .1};
  const int32_t uv[18] = {0, 1, 0, 2, 1, 2, 3, 4, 3, 5, 4, 5, 0, 3, 1, 4, 2, 5};
  const double field[6] = {.280731, .102731, .332731, .450731, .508731, .104731};
  const double pen = 0.4 * sqrt(2 / acos(-1)) * 3;
  Batch b;
  ok(batch_make(rt, &b, 1, 6, 9, uv));
  assert_true(fabs(pen - 0.9574614730) < 1e-10);
  for (int k = 0; k < 9; k++)
    add_qubo(&b, 0, k < 6 ? -2 * J[k] : 2 * pen, uv[2 * k], uv[2 * k + 1]);
  for (int i = 0; i < 6; i++) add_qubo(&b, 0, -0.16 * 3 * f[i], i, -1);
  for (int i = 0; i < 6; i++) assert_true(fabs(b.h[i] - field[i]) < 1e-6);
  assert_true(fabs(b.offset[0] - .794192) < 1e-6);
  for (int k = 0; k < 2; k++) {
    BatchSamples s = run(&b, k ? BATCH_ANNEAL : BATCH_EXACT, 1, 300, 1);
    assert_true(fabs(s.energy[0] + 1.44) < 1e-12);
    assert_memory_equal(s.spin, ((int8_t[]){1, 1, 1, -1, -1, -1}), 6);
    batch_samples_free(rt, &s);
  }
  assert_true(fabs(batch_energy(&b, 0, (int8_t[]){-1, -1, -1, 1, -1, 1}) + 1.104) < 1e-12);
  batch_free(rt, &b);
}

static void same(const BatchSamples *a, const BatchSamples *b, int64_t rows) {
  assert_memory_equal(a->spin, b->spin, (size_t)(rows * a->n));
  assert_memory_equal(a->energy, b->energy, (size_t)rows * sizeof(double));
}

/* Side by side and alone, dense and single columns, all methods: levels, threads and other problems change nothing. */
static void test_same_bits(void **state) {
  const double density[] = {0.03, 0.15, 1, 0.03, 0.15, 1};
  for (int d = 0; d < 6; d++)
    for (int method = BATCH_ANNEAL; method <= BATCH_GIBBS; method++) {
      Batch b = random_batch(70, d < 3 ? 45 : 75, density[d], d);
      BatchSamples first = run(&b, (BatchMethod)method, 2, 20, 1);
      BatchSamples threads = run(&b, (BatchMethod)method, 2, 20, 3);
      same(&first, &threads, 140);
      for (int level = 0; level < 3; level++) {
        BatchArgs a;
        BatchSamples s;
        if (!batch_kernels(level)) continue;
        batch_args_init(&a);
        a.method = (BatchMethod)method;
        a.rng = rng_seeded(11);
        a.reads = 2;
        a.sweeps = 20;
        ok(batch_sample_level(rt, &b, &a, batch_kernels(level), &s));
        assert_int_equal(s.steps, first.steps);
        same(&first, &s, 140);
        batch_samples_free(rt, &s);
      }
      if (method == BATCH_ANNEAL || method == BATCH_GIBBS) {
        b.problems = 9;
        BatchSamples few = run(&b, (BatchMethod)method, 2, 20, 1);
        same(&few, &first, 18);
        batch_samples_free(rt, &few);
        b.problems = 70;
      }
      batch_samples_free(rt, &first);
      batch_samples_free(rt, &threads);
      batch_free(rt, &b);
    }
}

/* The one-sided search leaves no one whose switching off lowers the energy; the walks
 * stop together, later when there are more of them.                              */
static void test_lockstep(void **state) {
  int64_t steps[3];
  const int64_t problems[] = {1, 4, 40};
  for (int k = 0; k < 3; k++) {
    Batch b = random_batch(problems[k], 200, 0.5, 9);
    BatchSamples s = run(&b, BATCH_LOCKSTEP, 1, 0, 1), t = run(&b, BATCH_LOCKSTEP_BOTH, 1, 0, 1);
    steps[k] = s.steps;
    assert_int_equal(s.steps, t.steps);
    for (int64_t p = 0; p < problems[k]; p++) {
      const int8_t *x = s.spin + p * b.n;
      assert_true(t.energy[p] <= s.energy[p] + 1e-9);
      for (int64_t i = 0; i < b.n; i++) {
        if (x[i] > 0) assert_true(flipped(&b, p, x, i) >= s.energy[p] - 1e-9);
        assert_true(flipped(&b, p, t.spin + p * b.n, i) >= t.energy[p] - 1e-9);
      }
    }
    batch_samples_free(rt, &s);
    batch_samples_free(rt, &t);
    batch_free(rt, &b);
  }
  assert_true(steps[0] >= LOCKSTEP_PATIENCE && steps[0] < steps[1] && steps[1] <= steps[2]);
  assert_int_equal(steps[2], LOCKSTEP_STEPS);
}

/* Frequencies of the states of four spins over many sweeps at one temperature. */
static void test_boltzmann(void **state) {
  enum { SWEEPS = 300000 };
  const float T = 1.3f;
  Batch b = random_batch(1, 4, 1, 21);
  for (int run_of = 0; run_of < 6; run_of++) {
    const int level = run_of / 2;
    _Alignas(64) float w[4 * 16] = {0}, g[16] = {0};
    _Alignas(64) uint32_t up[16] = {0}, best[16] = {0};
    if (!batch_kernels(level)) continue;
    BatchWalk k = {.b = &b, .w = w, .g = g, .up = up, .best = best};
    double seen[16] = {0}, weight[16], total = 0;
    for (int i = 0; i < 4; i++) {
      double f = b.h[i];
      for (int32_t q = b.start[i]; q < b.start[i + 1]; q++) {
        const int32_t e = b.edge[q], place = b.place[2 * e + (b.uv[2 * e] != i)];
        assert_true(place >= 0);
        w[place] = (float)(4 * b.J[e]);
        f -= b.J[b.edge[q]];
      }
      g[i] = (float)(2 * f);
    }
    for (int q = 0; q < 16; q++) {
      uint32_t bits[4];
      rng_bits(rng_seeded(2), (uint64_t)q, bits);
      for (int j = 0; j < 4; j++) k.rng[j][q] = bits[j];
    }
    for (int s = 0; s < SWEEPS; s++) {
      batch_kernels(level)->sweep(&k, T, run_of % 2);
      const int at = (up[0] != 0) | (up[1] != 0) << 1 | (up[2] != 0) << 2 | (up[3] != 0) << 3;
      seen[at] += 1.0 / SWEEPS;
    }
    for (int a = 0; a < 16; a++) {
      int8_t x[4];
      for (int i = 0; i < 4; i++) x[i] = (int8_t)(a >> i & 1 ? 1 : -1);
      total += weight[a] = exp(-batch_energy(&b, 0, x) / (double)T);
    }
    for (int a = 0; a < 16; a++)
      if (fabs(seen[a] - weight[a] / total) > 0.006)
        fail_msg("state %d: %g, expected %g", a, seen[a], weight[a] / total);
  }
  batch_free(rt, &b);
}

/* The same of the calls on small structures: the heat bath, and annealing at a constant
 * temperature that keeps its end.  Rows are independent.                           */
static void test_boltzmann_rows(void **state) {
  enum { READS = 60000, N = 5 };
  Batch b = random_batch(2, N, 0.8, 31);
  const double beta = 0.6;
  for (int k = 0; k < 2; k++) {
    BatchArgs a;
    BatchSamples s;
    batch_args_init(&a);
    a.method = k ? BATCH_ANNEAL : BATCH_GIBBS;
    a.rng = rng_seeded(6);
    a.reads = READS;
    a.sweeps = 30;
    a.beta = beta;
    if (k) a.betas = &beta, a.n_beta = 1, a.boltzmann = true;
    ok(batch_sample(rt, &b, &a, &s));
    for (int p = 0; p < 2; p++) {
      double seen[1 << N] = {0}, weight[1 << N], total = 0;
      for (int64_t r = 0; r < READS; r++) {
        int at = 0;
        for (int i = 0; i < N; i++) at |= (s.spin[(p * READS + r) * N + i] > 0) << i;
        seen[at] += 1.0 / READS;
      }
      for (int at = 0; at < 1 << N; at++) {
        int8_t x[N];
        for (int i = 0; i < N; i++) x[i] = (int8_t)(at >> i & 1 ? 1 : -1);
        total += weight[at] = exp(-beta * batch_energy(&b, p, x));
      }
      for (int at = 0; at < 1 << N; at++) {
        const double q = weight[at] / total;
        if (fabs(seen[at] - q) > 5 * sqrt(q / READS) + 1e-5)
          fail_msg("method %d, state %d: %g, expected %g", k, at, seen[at], q);
      }
    }
    batch_samples_free(rt, &s);
  }
  batch_free(rt, &b);
}

/* Streams go by the problems' numbers. */
static void test_numbers(void **state) {
  const BatchMethod method[] = {BATCH_ANNEAL, BATCH_GIBBS, BATCH_DESCEND};
  const int64_t number[3] = {4, 0, 2};
  for (int d = 0; d < 2; d++)
    for (int k = 0; k < 3; k++) {
      Batch b = random_batch(5, d ? 70 : 9, 0.4, 3), few = random_batch(3, d ? 70 : 9, 0.4, 3);
      BatchArgs a;
      BatchSamples s, t;
      for (int p = 0; p < 3; p++) {
        memcpy(few.h + p * b.n, b.h + number[p] * b.n, (size_t)b.n * sizeof *b.h);
        memcpy(few.J + p * b.m, b.J + number[p] * b.m, (size_t)b.m * sizeof *b.J);
        few.offset[p] = b.offset[number[p]];
      }
      batch_args_init(&a);
      a.method = method[k];
      a.reads = 3;
      a.sweeps = 5;
      ok(batch_sample(rt, &b, &a, &s));
      a.number = number;
      ok(batch_sample(rt, &few, &a, &t));
      for (int p = 0; p < 3; p++)
        assert_memory_equal(t.spin + 3 * p * b.n, s.spin + 3 * number[p] * b.n, (size_t)(3 * b.n));
      batch_samples_free(rt, &s);
      batch_samples_free(rt, &t);
      batch_free(rt, &b);
      batch_free(rt, &few);
    }
}

static RtStatus by_sqa(Rt *own, void *user, const Ising *p, RngCall rng, const BatchProgress *progress,
                       Samples *out) {
  SamplerArgs a;
  sampler_args_init(&a);
  a.rng = rng;
  a.reads = 2;
  a.sweeps = 60;
  a.progress = progress->call;
  a.user = progress->user;
  if (user && p->offset == 0.25 * *(int *)user) return rt_fail(own, RT_ERROR, "problem refused");
  return sample_sqa(own, p, &a, out);
}

/* Any sampler, a problem a thread: the same bits, the first error. */
static void test_each(void **state) {
  Batch b = random_batch(40, 8, 0.7, 5);
  BatchSamples one, three, e = run(&b, BATCH_EXACT, 1, 1, 1);
  BatchEach each = {.run = by_sqa, .rng = rng_seeded(3), .threads = 1};
  int hits = 0, bad = 17;
  ok(batch_each(rt, &b, &each, &one));
  each.threads = 3;
  ok(batch_each(rt, &b, &each, &three));
  assert_int_equal(one.reads, 2);
  same(&one, &three, 80);
  for (int p = 0; p < 40; p++) {
    assert_true(one.energy[2 * p] <= one.energy[2 * p + 1]);
    assert_true(fabs(one.energy[2 * p] - batch_energy(&b, p, one.spin + 2 * p * b.n)) < 1e-12);
    hits += one.energy[2 * p] < e.energy[p] + 1e-9;
  }
  assert_true(hits > 30);
  batch_samples_free(rt, &one);
  batch_samples_free(rt, &three);
  batch_samples_free(rt, &e);
  each.user = &bad;
  assert_int_not_equal(batch_each(rt, &b, &each, &one), RT_OK);
  assert_string_equal(rt->error.message, "problem refused");
  assert_null(one.spin);
  batch_free(rt, &b);
}

static void test_refused(void **state) {
  Batch b;
  BatchArgs a;
  BatchSamples s;
  batch_args_init(&a);
  assert_int_not_equal(batch_make(rt, &b, 1, 3, 2, (int32_t[]){0, 1, 1, 0}), RT_OK);
  assert_non_null(strstr(rt->error.message, "coupled twice"));
  assert_int_not_equal(batch_make(rt, &b, 1, 3, 1, (int32_t[]){0, 3}), RT_OK);
  assert_non_null(strstr(rt->error.message, "variables 0 and 3 of 3"));
  b = random_batch(2, 30, 0.2, 1);
  a.method = BATCH_EXACT;
  assert_int_not_equal(batch_sample(rt, &b, &a, &s), RT_OK);
  assert_non_null(strstr(rt->error.message, "up to 24 variables, found 30"));
  b.h[33] = NAN;
  a.method = BATCH_ANNEAL;
  assert_int_not_equal(batch_sample(rt, &b, &a, &s), RT_OK);
  assert_non_null(strstr(rt->error.message, "variable 3 of problem 1"));
  batch_free(rt, &b);
  ok(batch_make(rt, &b, 3, 0, 0, NULL));
  b.offset[2] = 1.5;
  s = run(&b, BATCH_ANNEAL, 2, 5, 1);
  assert_true(s.energy[4] == 1.5);
  batch_samples_free(rt, &s);
  batch_free(rt, &b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_energies),     cmocka_unit_test(test_optimum),
    cmocka_unit_test(test_golden_top_k), cmocka_unit_test(test_top_k),
    cmocka_unit_test(test_golden_heads), cmocka_unit_test(test_same_bits),
    cmocka_unit_test(test_lockstep),     cmocka_unit_test(test_boltzmann),
    cmocka_unit_test(test_refused),      cmocka_unit_test(test_exact),
    cmocka_unit_test(test_boltzmann_rows), cmocka_unit_test(test_numbers),
    cmocka_unit_test(test_each),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
