/* test_anneal.c: annealing and Gibbs sampling against enumeration: minima of small
 * problems, Boltzmann statistics (chi-squared), reads, threads, targets, starts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/sampler.h"
#include "tests/runtime/fixture.h"

static uint64_t state;
static double uniform(void) { return rng_uniform(rng_seeded(6), state++); }

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

/* kind 0: small integers, 1: large ones, 2: real numbers, 3: real over decades. */
static void random_model(Ising *p, int n, double density, int kind) {
  int64_t m = 0;
  int32_t uv[2 * 400];
  double c[400], h[32];
  for (int32_t i = 0; i < n; i++) {
    for (int32_t j = 0; j <= i; j++) {
      double x = 2 * uniform() - 1;
      if (kind == 3) x *= exp(-6 * uniform());
      else if (kind < 2) x = rint(x * (kind ? 300 : 3));
      if (i == j) h[i] = x;
      if (i == j || uniform() > density) continue;
      uv[2 * m] = j;
      uv[2 * m + 1] = i;
      c[m++] = x;
    }
  }
  ok(ising_make(rt, p, n, h, m, uv, c, 0.375));
}

static void unpack(int bits, int n, int8_t *s) {
  for (int i = 0; i < n; i++) s[i] = (int8_t)(bits >> i & 1 ? 1 : -1);
}

static double minimum(const Ising *p) {
  double best = INFINITY;
  int8_t s[32];
  for (int b = 0; b < 1 << p->n; b++) {
    unpack(b, (int)p->n, s);
    best = fmin(best, ising_energy(p, s));
  }
  return best;
}

static void check_rows(const Ising *p, const Samples *s) {
  for (int64_t r = 0; r < s->rows; r++) {
    assert_true(s->energy[r] == ising_energy(p, s->spin + r * p->n));
    assert_int_equal(s->count[r], 1);
    for (int64_t i = 0; i < p->n; i++) assert_int_equal(abs(s->spin[r * p->n + i]), 1);
  }
}

static void test_minima(void **unused) {
  for (int round = 0; round < 60; round++) {
    Ising p;
    Samples s;
    SamplerArgs a;
    random_model(&p, 4 + round % 8, round % 3 ? 0.9 : 0.3, round % 4);
    sampler_args_init(&a);
    a.rng = rng_seeded(round);
    a.sweeps = 200;
    ok(sample_anneal(rt, &p, &a, &s));
    assert_int_equal(s.rows, 64);
    check_rows(&p, &s);
    assert_true(fabs(s.energy[samples_best(&s)] - minimum(&p)) < 1e-12);
    samples_free(rt, &s);
    ising_free(rt, &p);
  }
}

/* ---- Boltzmann statistics -------------------------------------------------------- */

/* Sum of (seen - expected)^2 / expected over states, rare ones put together. */
static double chi_squared(const Ising *p, const Samples *s, double beta, int *freedom) {
  int states = 1 << p->n;
  double *w = test_calloc((size_t)states, sizeof *w), z = 0;
  double *seen = test_calloc((size_t)states, sizeof *seen);
  int8_t spin[32];
  for (int b = 0; b < states; b++) {
    unpack(b, (int)p->n, spin);
    z += w[b] = exp(-beta * ising_energy(p, spin));
  }
  for (int64_t r = 0; r < s->rows; r++) {
    int b = 0;
    for (int64_t i = 0; i < p->n; i++) b |= (s->spin[r * p->n + i] > 0) << i;
    seen[b]++;
  }
  double chi = 0, rest = 0, rest_seen = 0;
  *freedom = -1;
  for (int b = 0; b < states; b++) {
    double want = w[b] / z * (double)s->rows;
    if (want < 10) {
      rest += want;
      rest_seen += seen[b];
      continue;
    }
    chi += (seen[b] - want) * (seen[b] - want) / want;
    ++*freedom;
  }
  if (rest > 1) {
    chi += (rest_seen - rest) * (rest_seen - rest) / rest;
    ++*freedom;
  }
  test_free(w);
  test_free(seen);
  return chi;
}

/* Sanitizers: fewer, as these have the slow kernels checked element by element. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { READS = 4000 };
#else
enum { READS = 120000 };
#endif

static void test_statistics(void **unused) {
  for (int round = 0; round < 6; round++) {
    Ising p;
    Samples s;
    SamplerArgs a;
    random_model(&p, 6, 0.8, round % 3);
    double beta = (round % 3 == 1 ? 0.003 : round % 3 ? 0.9 : 0.25) * (1 + round / 3);
    sampler_args_init(&a);
    a.rng = rng_seeded(100 + round);
    a.reads = READS;
    a.beta = a.beta_hot = a.beta_cold = beta;
    a.sweeps = 150;
    a.boltzmann = 1;
    ok((round % 2 ? sample_anneal : sample_gibbs)(rt, &p, &a, &s));
    int freedom;
    double chi = chi_squared(&p, &s, beta, &freedom);
    /* 4.5 standard deviations of a chi-squared variable (Wilson, Hilferty) */
    double z = (cbrt(chi / freedom) - (1 - 2.0 / (9 * freedom))) / sqrt(2.0 / (9 * freedom));
    if (z > 4.5 || z < -4.5) fail_msg("round %d: chi-squared %g of %d", round, chi, freedom);
    check_rows(&p, &s);
    /* a temperature that is 6 % off is noticed */
    double off = chi_squared(&p, &s, beta * 1.06, &freedom);
    if (READS > 10000) assert_true(off > freedom + 8 * sqrt(2.0 * freedom));
    samples_free(rt, &s);
    ising_free(rt, &p);
  }
}

/* ---- what a read depends on -------------------------------------------------------- */

static void test_reads(void **unused) {
  for (int kind = 0; kind < 3; kind++) {
    Ising p;
    Samples one, two, few;
    SamplerArgs a;
    random_model(&p, 20, 0.5, kind);
    sampler_args_init(&a);
    a.rng = rng_seeded(9);
    a.reads = 300;
    a.sweeps = 30;
    ok(sample_anneal(rt, &p, &a, &one));
    a.threads = 3;
    ok(sample_anneal(rt, &p, &a, &two));
    a.reads = 130;
    ok(sample_anneal(rt, &p, &a, &few));
    assert_int_equal(few.rows, 130);
    assert_memory_equal(one.spin, two.spin, 300 * 20);
    assert_memory_equal(one.energy, two.energy, 300 * sizeof(double));
    assert_memory_equal(one.spin, few.spin, 130 * 20);
    samples_free(rt, &two);
    a.rng = rng_seeded(10);
    ok(sample_anneal(rt, &p, &a, &two));
    assert_true(memcmp(one.spin, two.spin, 130 * 20) != 0);
    samples_free(rt, &one);
    samples_free(rt, &two);
    samples_free(rt, &few);
    ising_free(rt, &p);
  }
}

static void count_calls(void *user, double share) {
  double *last = user;
  assert_true(share >= *last && share <= 1);
  *last = share;
}

static void test_controls(void **unused) {
  Ising p;
  Samples s;
  SamplerArgs a;
  random_model(&p, 12, 0.6, 0);
  double best = minimum(&p), last = 0, hot, cold;
  sampler_args_init(&a);
  a.rng = rng_seeded(2);
  a.reads = 64 * 50;
  a.target = best;
  a.progress = count_calls;
  a.user = &last;
  ok(sample_anneal(rt, &p, &a, &s));
  assert_true(s.rows == 64 && s.energy[samples_best(&s)] == best && last > 0);
  assert_true(s.beta_hot > 0 && s.beta_hot < s.beta_cold && s.updates == 64.0 * 12 * 1000);
  samples_free(rt, &s);
  /* the energy unit is the temperature unit */
  ok(sampler_betas(rt, &p, a.rng, &hot, &cold));
  for (int64_t k = 0; k < 2 * p.m; k++) p.J[k] *= 0.125;
  for (int64_t i = 0; i < p.n; i++) p.h[i] *= 0.125;
  double hot8, cold8;
  ok(sampler_betas(rt, &p, a.rng, &hot8, &cold8));
  assert_true(fabs(hot8 / hot - 8) < 1e-9 && fabs(cold8 / cold - 8) < 1e-9);
  /* starts: at beta = infinity nothing but descent happens */
  int8_t start[2][12];
  for (int i = 0; i < 24; i++) start[i / 12][i % 12] = uniform() < 0.5 ? 1 : -1;
  sampler_args_init(&a);
  a.rng = rng_seeded(2);
  a.initial = start[0];
  a.initial_rows = 2;
  a.reads = 70;
  a.boltzmann = 1;
  a.betas = (double[]){INFINITY};
  a.n_beta = 1;
  ok(sample_anneal(rt, &p, &a, &s));
  for (int r = 2; r < 70; r++) assert_memory_equal(s.spin + r * 12, s.spin + (r - 2) * 12, 12);
  samples_free(rt, &s);
  a.betas = NULL;
  a.seconds = 1e-6;
  a.reads = 6400;
  ok(sample_anneal(rt, &p, &a, &s));
  assert_int_equal(s.rows, 64);
  samples_free(rt, &s);
  a.beta_hot = -1;
  assert_int_equal(sample_anneal(rt, &p, &a, &s), RT_ERROR);
  a.beta = NAN;
  a.reads = -1;
  assert_int_equal(sample_gibbs(rt, &p, &a, &s), RT_ERROR);
  rt_interrupt(rt);
  sampler_args_init(&a);
  assert_int_equal(sample_anneal(rt, &p, &a, &s), RT_INTERRUPTED);
  rt->interrupted = 0;
  ising_free(rt, &p);
  for (int n = 0; n < 2; n++) {   /* nothing to decide */
    ok(ising_make(rt, &p, n, NULL, 0, NULL, NULL, 2.5));
    ok(sample_anneal(rt, &p, &a, &s));
    assert_true(s.rows == 64 && s.energy[63] == 2.5);
    samples_free(rt, &s);
    ising_free(rt, &p);
  }
}

/* One tiny coupling among many must not freeze the cold end. */
static void test_small_coupling(void **unused) {
  enum { N = 200 };
  int32_t uv[2 * N];
  double c[N], hot[2], cold[2];
  for (int which = 0; which < 2; which++) {
    Ising p;
    for (int i = 0; i < N; i++) {
      uv[2 * i] = i;
      uv[2 * i + 1] = (i + 1) % N;
      c[i] = i % 3 ? 1 : -1;
    }
    if (which) c[77] = 1e-7;
    ok(ising_make(rt, &p, N, NULL, N, uv, c, 0));
    ok(sampler_betas(rt, &p, rng_seeded(1), &hot[which], &cold[which]));
    ising_free(rt, &p);
  }
  assert_true(cold[1] < 2 * cold[0] && cold[1] > 0.5 * cold[0] && cold[0] < 10 && hot[0] < 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_minima), cmocka_unit_test(test_statistics), cmocka_unit_test(test_reads),
    cmocka_unit_test(test_controls), cmocka_unit_test(test_small_coupling),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
