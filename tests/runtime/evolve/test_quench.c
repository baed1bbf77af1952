/* test_quench.c: schedules, levels of a model, annealing by Schroedinger's equation on any
 * number of threads, limits and interrupts.                                      */
#include "tests/runtime/fixture.h"
#include <math.h>
#include <string.h>

#include "runtime/evolve/quench.h"

static Ising model(int n) {
  Ising p;
  double h[QUENCH_QUBITS + 4], c[400];
  int32_t uv[800];
  int64_t m = 0;
  for (int i = 0; i < n; i++) {
    h[i] = 0.3 * sin(5 * i + 1);
    for (int j = i + 1; j < n && m < 400; j++) {
      if ((i * 7 + j) % 3) continue;
      uv[2 * m] = i;
      uv[2 * m + 1] = j;
      c[m++] = cos(3 * i + j);
    }
  }
  assert_int_equal(ising_make(rt, &p, n, h, m, uv, c, 0.7), RT_OK);
  return p;
}

static void test_levels(void **state) {
  enum { N = 7 };
  static double level[1 << N], plain[1 << N];
  int8_t down[N] = {1, -1, -1, 1, 1, -1, 1}, s[N];
  Ising p = model(N);
  (void)state;
  assert_int_equal(quench_levels(rt, &p, down, level), RT_OK);
  assert_int_equal(quench_levels(rt, &p, NULL, plain), RT_OK);
  for (int k = 0; k < 1 << N; k++) {
    for (int i = 0; i < N; i++) s[i] = (int8_t)(k >> i & 1 ? down[i] : -down[i]);
    assert_true(fabs(level[k] - ising_energy(&p, s)) < 1e-13);
    for (int i = 0; i < N; i++) s[i] = k >> i & 1 ? -1 : 1;
    assert_true(fabs(plain[k] - ising_energy(&p, s)) < 1e-13);
  }
  assert_true(fabs(quench_scale(N, level) - quench_scale(N, plain)) < 1e-13);
  ising_free(rt, &p);
}

/* Both chips' curves at points of their published tables. */
static void test_curves(void **state) {
  static const double standard[][3] = {{0.1251251, 3.74513, 0.57314},
                                       {0.2752753, 1.409883, 1.204684},
                                       {0.3753754, 0.6412577, 1.754551},
                                       {0.4744745, 0.2126929, 2.400449},
                                       {0.6246246, 0.01270447, 3.571567},
                                       {0.7747748, 1.214875e-4, 4.974594}},
                      fast[][3] = {{0.125, 7.405123, 0.3438361}, {0.275, 3.731484, 0.6618189},
                                   {0.375, 1.150251, 1.541663},  {0.475, 0.1050058, 3.103766},
                                   {0.625, 0.00081633, 5.00777}, {0.9, 4e-8, 7.676247}};
  (void)state;
  for (int which = 0; which < 2; which++) {
    Schedule a;
    assert_int_equal(schedule_named(rt, which ? "fast" : "standard", &a), RT_OK);
    assert_int_equal(schedule_check(rt, &a), RT_OK);
    assert_true(a.ghz);
    for (int k = 0; k < 6; k++) {
      const double *row = which ? fast[k] : standard[k];
      double d, b;
      schedule_weights(&a, row[0], &d, &b);
      assert_true(fabs(2 * d / row[1] - 1) < (row[1] > 0.1 ? 0.01 : 0.1));
      assert_true(fabs(2 * b / row[2] - 1) < 0.01);
    }
    Schedule b;
    assert_int_equal(schedule_copy(rt, &a, &b), RT_OK);
    assert_true(curve_at(&b.A, 0.3) == curve_at(&a.A, 0.3));
    schedule_free(rt, &a);
    schedule_free(rt, &b);
  }
}

static void test_kinks(void **state) {
  double s[3] = {0, 0.25, 1}, A[3] = {1, 0.5, 0}, B[3] = {0, 0, 1}, t[4] = {0, 1, 2, 4},
         path[4] = {0, 0.5, 0.5, 1}, u[16];
  Schedule a = {.A = {3, s, A}, .B = {3, s, B}};
  (void)state;
  assert_int_equal(schedule_kinks(&a, u, 16), 1);
  assert_true(fabs(u[0] - 0.25) < 1e-15);
  a.n_path = 4;
  a.t = t;
  a.s = path;
  assert_int_equal(schedule_kinks(&a, u, 16), 3); /* s = 0.25 at t = 0.5; 1; 2 */
  assert_true(fabs(u[0] - 0.125) < 1e-15 && fabs(u[1] - 0.25) < 1e-15 && fabs(u[2] - 0.5) < 1e-15);
  assert_int_equal(schedule_kinks(&a, u, 2), 2);
  assert_true(fabs(schedule_s(&a, 0.75) - 0.75) < 1e-15 && schedule_s(&a, 0.4) == 0.5);
  assert_true(points_at(3, s, A, -1) == 1 && points_at(3, s, A, 2) == 0);
}

static QuenchArgs args(int64_t reads) {
  return (QuenchArgs){.gamma = NAN, .time = NAN, .tol = 1e-6, .rng = rng_seeded(3), .reads = reads};
}

/* 2^15 states are worth threads; the bits do not depend on them. */
static void test_threads(void **state) {
  Ising p = model(15);
  Samples one, two;
  QuenchArgs a = args(50);
  (void)state;
  a.time = 0.3;
  rt->threads = 1;
  assert_int_equal(sample_quench(rt, &p, &a, &one), RT_OK);
  rt->threads = 3;
  a.reads = 70;
  assert_int_equal(sample_quench(rt, &p, &a, &two), RT_OK);
  assert_memory_equal(one.spin, two.spin, 50 * 15);
  for (int r = 0; r < 50; r++) assert_true(one.energy[r] == two.energy[r]);
  assert_true(fabs(two.energy[69] - ising_energy(&p, two.spin + 69 * 15)) < 1e-12);
  samples_free(rt, &one);
  samples_free(rt, &two);
  ising_free(rt, &p);
}

static void test_refusals(void **state) {
  Ising p = model(8), wide = model(QUENCH_QUBITS + 1);
  Samples out;
  QuenchArgs a = args(10);
  (void)state;
  size_t before = rt->bytes;
  assert_int_equal(sample_quench(rt, &wide, &a, &out), RT_ERROR);
  a.time = -1;
  assert_int_equal(sample_quench(rt, &p, &a, &out), RT_ERROR);
  a.time = 1;
  a.seconds = true;
  assert_int_equal(sample_quench(rt, &p, &a, &out), RT_ERROR);
  a.seconds = false;
  a.reads = 0;
  assert_int_equal(sample_quench(rt, &p, &a, &out), RT_ERROR);
  a.reads = 5;
  rt_interrupt(rt);
  assert_int_equal(sample_quench(rt, &p, &a, &out), RT_INTERRUPTED);
  rt->interrupted = 0;
  assert_true(rt->bytes == before);
  assert_int_equal(sample_quench(rt, &p, &a, &out), RT_OK);
  assert_int_equal(out.rows, 5);
  samples_free(rt, &out);
  for (size_t room = 0; room < 40000; room += 3000) { /* every allocation may fail */
    rt->limit = rt->bytes + room;
    if (sample_quench(rt, &p, &a, &out) == RT_OK) samples_free(rt, &out);
    rt->limit = 0;
    assert_true(rt->bytes == before);
  }
  ising_free(rt, &p);
  ising_free(rt, &wide);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
      cmocka_unit_test_setup_teardown(test_curves, setup, teardown),
      cmocka_unit_test_setup_teardown(test_kinks, setup, teardown),
      cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusals, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
