/* test_auto.c: the sampler behind solve(): minima of small models, components,
 * the choice, stopping, repeating.                                            */
#include <math.h>
#include <string.h>

#include "runtime/binary/auto.h"
#include "tests/runtime/fixture.h"

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

/* Sites 0 .. n-1 in blocks that are not joined; couplings inside with `density`. */
static Ising model(int64_t n, int64_t block, double density, double fields, int seed) {
  RngCall rng = rng_seeded(seed);
  static double h[512], c[1 << 16];
  static int32_t uv[1 << 17];
  int64_t m = 0;
  uint64_t e = 0;
  for (int64_t i = 0; i < n; i++) {
    h[i] = fields * rng_normal(rng, e++);
    for (int64_t j = i / block * block; j < i; j++) {
      double x = rng_normal(rng, e++);
      if (rng_uniform(rng, e++) >= density) continue;
      uv[2 * m] = (int32_t)j;
      uv[2 * m + 1] = (int32_t)i;
      c[m++] = x;
    }
  }
  Ising p;
  ok(ising_make(rt, &p, n, h, m, uv, c, -0.5));
  return p;
}

static SamplerArgs args(int seed) {
  SamplerArgs a;
  sampler_args_init(&a);
  a.rng = rng_seeded(seed);
  return a;
}

/* Minimum by trying all states of 22 sites or fewer. */
static double lowest(const Ising *p) {
  double f[32], e, best;
  int8_t s[32];
  for (int64_t i = 0; i < p->n; i++) s[i] = 1;
  ising_fields(p, s, f);
  best = e = ising_energy(p, s);
  for (int64_t a = 1; a < (int64_t)1 << p->n; a++) {
    int i = __builtin_ctzll((uint64_t)a);
    e -= 2 * s[i] * f[i];
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) f[p->other[k]] -= 2 * p->J[k] * s[i];
    s[i] = (int8_t)-s[i];
    best = fmin(best, e);
  }
  return best;
}

static void test_small(void **state) {
  for (int k = 0; k < 16; k++) {
    int64_t n = k < 2 ? k : 5 + k;
    Ising p = model(n, k % 3 == 1 ? 4 : n ? n : 1, k % 2 ? 0.3 : 1, k % 4 < 2 ? 0 : 1, 10 + k);
    SamplerArgs a = args(k);
    Samples out;
    ok(sample_auto(rt, &p, &a, &out));
    assert_true(out.rows == 1 && out.proven);
    assert_true(out.energy[0] == ising_energy(&p, out.spin));
    assert_true(fabs(out.energy[0] - lowest(&p)) < 1e-9);
    samples_free(rt, &out);
    ising_free(rt, &p);
  }
}

/* The searches themselves, on models that could be enumerated. */
static void test_searches(void **state) {
  for (int k = 0; k < 8; k++) {
    Ising p = model(21, 21, k % 2 ? 0.15 : 0.9, k % 4 < 2 ? 0 : 0.7, 30 + k);
    double best = lowest(&p);
    SamplerArgs a = args(k);
    a.target = best + 1e-9;
    Samples out;
    ok(sample_auto(rt, &p, &a, &out));
    assert_true(fabs(out.energy[0] - best) < 1e-9);
    samples_free(rt, &out);
    ising_free(rt, &p);
  }
}

static void test_components(void **state) {
  Ising p = model(150, 30, 0.3, 0.2, 50);
  SamplerArgs a = args(1);
  a.sweeps = 400;
  Samples all, part;
  ok(sample_auto(rt, &p, &a, &all));
  assert_true(strstr(all.note, "components") != NULL);
  double sum = p.offset;
  for (int b = 0; b < 5; b++) {
    double c[512];
    int32_t uv[1024];
    int64_t m = 0;
    for (int64_t i = 30 * b; i < 30 * b + 30; i++)
      for (int64_t k = p.start[i]; k < p.start[i + 1]; k++) {
        if (p.other[k] < i) continue;
        uv[2 * m] = (int32_t)(i - 30 * b);
        uv[2 * m + 1] = p.other[k] - 30 * b;
        c[m++] = p.J[k];
      }
    Ising q;
    ok(ising_make(rt, &q, 30, p.h + 30 * b, m, uv, c, 0));
    a.rng = rng_seeded(60 + b);
    ok(sample_temper(rt, &q, &a, &part));
    sum += part.energy[0];
    samples_free(rt, &part);
    ising_free(rt, &q);
  }
  assert_true(fabs(all.energy[0] - sum) < 1e-9);
  samples_free(rt, &all);
  ising_free(rt, &p);
}

static void test_choice(void **state) {
  static const struct { int64_t n; double density, fields; AutoChoice want; } cases[] = {
      {15, 1, 1, AUTO_EXACT},     {100, 1, 0, AUTO_TABU},       {100, 0.5, 5, AUTO_TABU},
      {300, 0.3, 5, AUTO_TABU},   {300, 0.3, 0, AUTO_TEMPER},   {300, 0.01, 1, AUTO_TEMPER}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    Ising p = model(cases[k].n, cases[k].n, cases[k].density, cases[k].fields, 80 + (int)k);
    if (auto_choose(&p, true) != cases[k].want) fail_msg("case %zu: %d", k, auto_choose(&p, true));
    ising_free(rt, &p);
  }
}

static void note_share(void *user, double share) {
  double *last = user;
  if (share < *last || share > 1) fail_msg("share %g after %g", share, *last);
  *last = share;
}

static void test_repeats_and_stops(void **state) {
  Ising p = model(90, 90, 0.05, 0.1, 99);
  SamplerArgs a = args(3);
  a.reads = 2;
  a.sweeps = 300;
  double last = 0;
  a.progress = note_share;
  a.user = &last;
  Samples one, two;
  ok(sample_auto(rt, &p, &a, &one));
  assert_true(last > 0.4);
  last = 0;
  a.threads = 2;
  ok(sample_auto(rt, &p, &a, &two));
  assert_int_equal(one.rows, 2);
  assert_memory_equal(one.spin, two.spin, (size_t)(one.rows * p.n));
  assert_false(one.proven);
  samples_free(rt, &one);
  samples_free(rt, &two);
  /* a start is not lost: nothing is worse than it */
  ok(sample_temper(rt, &p, &a, &one));
  a.sweeps = 1;
  a.reads = 1;
  a.progress = NULL;
  a.initial = one.spin;
  a.initial_rows = 1;
  ok(sample_auto(rt, &p, &a, &two));
  assert_true(two.energy[0] <= one.energy[0] + 1e-9);
  samples_free(rt, &one);
  samples_free(rt, &two);
  a.sweeps = 0;
  a.seconds = 0.02;
  ok(sample_auto(rt, &p, &a, &one));
  assert_true(one.seconds < 5);
  samples_free(rt, &one);
  rt_interrupt(rt);
  assert_int_equal(sample_auto(rt, &p, &a, &one), RT_INTERRUPTED);
  assert_true(one.spin == NULL);
  ising_free(rt, &p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_small, setup, teardown),
      cmocka_unit_test_setup_teardown(test_searches, setup, teardown),
      cmocka_unit_test_setup_teardown(test_components, setup, teardown),
      cmocka_unit_test_setup_teardown(test_choice, setup, teardown),
      cmocka_unit_test_setup_teardown(test_repeats_and_stops, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
