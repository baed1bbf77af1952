/* test_tabu.c: tabu search and steepest descent against enumeration; the loops of
 * tabu search against plain ones; rows, threads, targets.                     */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/gains.h"
#include "runtime/binary/problem.h"
#include "runtime/binary/sampler.h"
#include "tests/runtime/fixture.h"

static uint64_t state;
static double uniform(void) { return rng_uniform(rng_seeded(8), state++); }

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static void random_model(Ising *p, int n, double density, bool whole) {
  int64_t m = 0;
  int32_t *uv = test_malloc((size_t)(n * n) * sizeof *uv);
  double *c = test_malloc((size_t)(n * n) * sizeof *c), *h = test_malloc((size_t)n * sizeof *h);
  for (int32_t i = 0; i < n; i++) {
    for (int32_t j = 0; j <= i; j++) {
      double x = whole ? rint(100 * uniform()) - 50 : 2 * uniform() - 1;
      if (i == j) h[i] = x;
      if (i == j || uniform() > density) continue;
      uv[2 * m] = j;
      uv[2 * m + 1] = i;
      c[m++] = x;
    }
  }
  ok(ising_make(rt, p, n, h, m, uv, c, -1.5));
  test_free(uv);
  test_free(c);
  test_free(h);
}

static double minimum(const Ising *p) {
  double best = INFINITY;
  int8_t s[32];
  for (int b = 0; b < 1 << p->n; b++) {
    for (int i = 0; i < p->n; i++) s[i] = (int8_t)(b >> i & 1 ? 1 : -1);
    best = fmin(best, ising_energy(p, s));
  }
  return best;
}

static void check_local(const Ising *p, const Samples *s) {
  for (int64_t r = 0; r < s->rows; r++) {
    const int8_t *x = s->spin + r * p->n;
    assert_true(s->energy[r] == ising_energy(p, x));
    for (int64_t i = 0; i < p->n; i++) {
      double f = p->h[i];
      for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) f += p->J[k] * x[p->other[k]];
      assert_true(abs(x[i]) == 1 && x[i] * f <= 1e-9);
    }
  }
}

static void test_minima(void **unused) {
  for (int round = 0; round < 60; round++) {
    Ising p;
    Samples s;
    SamplerArgs a;
    random_model(&p, 1 + round % 13, round % 3 ? 0.95 : 0.25, round % 2);   /* rows, and lists */
    double best = minimum(&p);
    sampler_args_init(&a);
    a.rng = rng_seeded(round);
    a.sweeps = 600;
    a.reads = 5;
    ok(sample_tabu(rt, &p, &a, &s));
    assert_int_equal(s.rows, 5);
    check_local(&p, &s);
    for (int r = 0; r < 5; r++)
      if (fabs(s.energy[r] - best) > 1e-9)
        fail_msg("round %d read %d: %g, not %g", round, r, s.energy[r], best);
    samples_free(rt, &s);
    a.reads = 0;
    ok(sample_descend(rt, &p, &a, &s));
    assert_int_equal(s.rows, 64);
    check_local(&p, &s);
    samples_free(rt, &s);
    ising_free(rt, &p);
  }
}

/* Steepest descent takes the path that a plain search for the largest gain takes. */
static void test_steepest(void **unused) {
  for (int round = 0; round < 20; round++) {
    enum { N = 60 };
    Ising p;
    Samples s;
    SamplerArgs a;
    int8_t x[N], start[N];
    random_model(&p, N, round % 2 ? 0.9 : 0.1, false);
    for (int i = 0; i < N; i++) x[i] = start[i] = uniform() < 0.5 ? 1 : -1;
    for (int flips = 0;; flips++) {
      double f[N];
      int best = 0;
      ising_fields(&p, x, f);
      for (int i = 1; i < N; i++)
        if (x[i] * f[i] > x[best] * f[best]) best = i;
      sampler_args_init(&a);
      a.initial = start;
      a.initial_rows = 1;
      if (x[best] * f[best] <= 0) {
        ok(sample_descend(rt, &p, &a, &s));
        assert_int_equal(s.rows, 1);
        assert_true(s.updates == flips);
        assert_memory_equal(s.spin, x, N);
        break;
      }
      x[best] = (int8_t)-x[best];
    }
    samples_free(rt, &s);
    ising_free(rt, &p);
  }
}

static void test_loops(void **unused) {
  enum { N = 5 * GAIN_PAD, TRUE_N = N - 7 };
  int32_t gain[N], want[N], row[N], spin[N], until[N];
  const GainKernels *k = gain_kernels();
  for (int round = 0; round < 200; round++) {
    int32_t now = 50, all = GAIN_NEVER, some = GAIN_NEVER, sign = round % 2 ? 1 : -1;
    for (int i = 0; i < N; i++) {
      bool pad = i >= TRUE_N;
      gain[i] = pad ? GAIN_NEVER : (int32_t)(uniform() * 40) - 20;
      row[i] = pad ? 0 : (int32_t)(uniform() * 9) - 4;
      spin[i] = uniform() < 0.5 ? 1 : -1;
      until[i] = pad ? INT32_MAX : (int32_t)(uniform() * 100);
      want[i] = gain[i] - sign * row[i] * spin[i];
      if (want[i] < all) all = want[i];
      if (until[i] <= now && want[i] < some) some = want[i];
    }
    GainMin m = k->flip(gain, row, spin, sign, until, now, N);
    GainMin again = k->least(gain, until, now, N);
    assert_memory_equal(gain, want, sizeof gain);
    assert_true(m.all == all && m.free == some && again.all == all && again.free == some);
    int64_t at = k->find(gain, until, now, N, (int64_t)(uniform() * N), some, true);
    assert_true(gain[at] == some && until[at] <= now);
    assert_int_equal(gain[k->find(gain, until, now, N, (int64_t)(uniform() * N), all, false)], all);
    assert_int_equal(k->find(gain, until, now, N, 3, -1000, false), -1);
  }
}

static void test_calls(void **unused) {
  Ising p;
  Samples one, two;
  SamplerArgs a;
  random_model(&p, 80, 0.5, true);
  sampler_args_init(&a);
  a.rng = rng_seeded(4);
  a.reads = 7;
  a.sweeps = 60;
  ok(sample_tabu(rt, &p, &a, &one));
  a.threads = 3;
  ok(sample_tabu(rt, &p, &a, &two));
  assert_memory_equal(one.spin, two.spin, 7 * 80);
  samples_free(rt, &two);
  a.reads = 3;
  ok(sample_tabu(rt, &p, &a, &two));
  assert_int_equal(two.rows, 3);
  assert_memory_equal(one.spin, two.spin, 3 * 80);
  samples_free(rt, &two);
  /* the target ends it, at the same read on any number of threads */
  a.reads = 1000;
  a.target = one.energy[samples_best(&one)];
  for (a.threads = 1; a.threads < 4; a.threads += 2) {
    ok(sample_tabu(rt, &p, &a, &two));
    assert_true(two.rows <= 7 && two.energy[two.rows - 1] <= a.target);
    assert_int_equal(samples_best(&two), two.rows - 1);
    samples_free(rt, &two);
  }
  a.target = NAN;
  a.seconds = 1e-6;
  a.threads = 1;
  ok(sample_tabu(rt, &p, &a, &two));
  assert_int_equal(two.rows, 1);
  samples_free(rt, &two);
  a.tenure = -3;
  assert_int_equal(sample_tabu(rt, &p, &a, &two), RT_ERROR);
  rt_interrupt(rt);
  a.tenure = 0;
  assert_int_equal(sample_tabu(rt, &p, &a, &two), RT_INTERRUPTED);
  assert_int_equal(sample_descend(rt, &p, &a, &two), RT_INTERRUPTED);
  rt->interrupted = 0;
  samples_free(rt, &one);
  ising_free(rt, &p);
  ok(ising_make(rt, &p, 0, NULL, 0, NULL, NULL, 2.5));
  a.seconds = 0;
  ok(sample_tabu(rt, &p, &a, &two));
  assert_true(two.rows == 1000 && two.energy[7] == 2.5);
  samples_free(rt, &two);
  ok(sample_descend(rt, &p, &a, &two));
  assert_true(two.rows == 1000 && two.energy[7] == 2.5);
  samples_free(rt, &two);
  ising_free(rt, &p);
}

/* Values on record are reached, where the instances are installed; starts and
 * budgets are fixed, so luck has no part in it.                               */
static void test_instances(void **unused) {
  static const struct { const char *file, *sampler; double value; } known[] = {
    {"bqp/bqp1000_01.qubo", "tabu", 371438}, {"bqp/bqp1000_02.qubo", "tabu", 354932},
    {"bqp/bqp500-2.sparse", "tabu", -128339}, {"gka/gka1f.sparse", "tabu", -61194},
    {"be/be250.1.sparse", "tabu", -24076}, {"rudy/w09_100.0.mc", "tabu", 2121},
    {"gset/G1.txt", "anneal", 11624}, {"gset/G43.txt", "anneal", 6660},
  };
  const char *folder = getenv("QA_DATA");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/instances/%s", folder ? folder : "..", known[i].file);
    FILE *f = fopen(path, "r");
    if (!f) {
      snprintf(path, sizeof path, "../shared/instances/%s", known[i].file);
      f = fopen(path, "r");
    }
    if (!f) skip();
    fclose(f);
    Problem problem;
    ProblemSense sense;
    Reduced r;
    Samples s;
    SamplerArgs a;
    ok(problem_read(rt, path, -1, &problem, &sense));
    ok(problem_reduce(rt, &problem, &r));
    sampler_args_init(&a);
    a.rng = rng_seeded(1);
    a.reads = 1280;
    a.sweeps = known[i].sampler[0] == 'a' ? 400 : 3000;
    a.target = known[i].value / (sense.sign * sense.factor) + sense.shift;
    ok(sampler_find(known[i].sampler)->run(rt, &r.ising, &a, &s));
    double value = sense.sign * (s.energy[samples_best(&s)] - sense.shift) * sense.factor;
    if (fabs(value - known[i].value) > 1e-6)
      fail_msg("%s: %g, not %g", known[i].file, value, known[i].value);
    samples_free(rt, &s);
    reduced_free(rt, &r);
    problem_free(rt, &problem);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_minima), cmocka_unit_test(test_steepest), cmocka_unit_test(test_loops),
    cmocka_unit_test(test_calls), cmocka_unit_test(test_instances),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
