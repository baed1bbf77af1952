/* test_chebyshev.c: how many terms Chebyshev expansions need, against counts made with SciPy's
 * Bessel functions; dense output of Krylov and Chebyshev, the rule between them. */
#include "tests/runtime/fixture.h"
#include <math.h>
#include <string.h>

#include "runtime/evolve/evolve.h"

static void test_terms(void **state) {
  (void)state;
  static const double z[6] = {1, 5, 10, 50, 100, 1000};
  static const int64_t terms[6][3] = {{8, 11, 14}, {16, 20, 24}, {0, 0, 34}, {71, 80, 89},
                                      {126, 138, 148}, {1055, 1080, 1101}};
  static const double tol[3] = {1e-6, 1e-10, 1e-14};
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < 3; k++)
      if (terms[i][k]) assert_int_equal(chebyshev_terms(z[i], tol[k], false), terms[i][k]);
  assert_true(chebyshev_terms(1e4, 1e-12, true) < 1000); /* about sqrt(z) */
}

static void chain(Operator *a, int n) {
  int64_t first;
  operator_init(a);
  assert_int_equal(operator_register(rt, a, n, &first), RT_OK);
  for (int i = 0; i < n; i++) {
    OpWord z[2] = {{OP_Z, i}, {OP_Z, i + 1}}, x = {OP_X, i}, y = {OP_Y, i};
    if (i + 1 < n) assert_int_equal(operator_add(rt, a, (c128){-1, 0}, 2, z), RT_OK);
    assert_int_equal(operator_add(rt, a, (c128){-.9, 0}, 1, &x), RT_OK);
    assert_int_equal(operator_add(rt, a, (c128){.2, 0}, 1, &y), RT_OK);
  }
}

static double distance(const State *a, const State *b) {
  State d;
  assert_int_equal(state_copy(rt, a, &d), RT_OK);
  state_add(&d, (c128){-1, 0}, b);
  double s = sqrt(state_norm2(&d));
  state_free(rt, &d);
  return s;
}

/* Krylov, Chebyshev and order 6 agree at every time; the estimates are no smaller than what
 * separates them; the rule takes Krylov for short times and Chebyshev for long ones. */
static void test_methods(void **state) {
  (void)state;
  enum { N = 5 };
  static const double times[N] = {0, .3, .3, 2, 9};
  Operator a;
  VarTable v;
  State from, out[3][N];
  EvolveReport report[3];
  chain(&a, 9);
  assert_int_equal(state_register(rt, 9, &v), RT_OK);
  assert_int_equal(state_basis(rt, &v, 37, &from), RT_OK);
  for (int imaginary = 0; imaginary < 2; imaginary++) {
    for (int m = 0; m < 3; m++) {
      EvolveHow how = {.method = (EvolveMethod)(m + 1), .imaginary = imaginary, .tol = m == 2 ? 1e-7 : 1e-12,
                       .order = 6};
      assert_int_equal(evolve_times(rt, &a, &how, N, times, &from, out[m], &report[m]), RT_OK);
      assert_memory_equal(out[m][0].amp, from.amp, sizeof(c128) << 9);
      assert_true(report[m].error <= (m == 2 ? 1e-7 : 1e-11));
    }
    for (int i = 0; i < N; i++) {
      assert_true(distance(&out[0][i], &out[1][i]) < 1e-11);
      assert_true(distance(&out[0][i], &out[2][i]) < 2e-7);
    }
    assert_true(distance(&out[0][N - 1], &out[2][N - 1]) < 10 * report[2].error + 1e-11);
    for (int m = 0; m < 3; m++)
      for (int i = 0; i < N; i++) state_free(rt, &out[m][i]);
  }
  for (int far = 0; far < 2; far++) {
    double t = far ? 40 : .2;
    EvolveHow how = {.tol = 1e-12};
    assert_int_equal(evolve_times(rt, &a, &how, 1, &t, &from, out[0], &report[0]), RT_OK);
    assert_int_equal(report[0].method, far ? EVOLVE_CHEBYSHEV : EVOLVE_KRYLOV);
    state_free(rt, &out[0][0]);
  }
  state_free(rt, &from);
  vars_free(rt, &v);
  operator_free(rt, &a);
}

/* A limit or an interrupt leaves nothing behind. */
static void test_limits(void **state) {
  (void)state;
  Operator a;
  VarTable v;
  State from, out[2];
  double t[2] = {1, 50};
  chain(&a, 10);
  assert_int_equal(state_register(rt, 10, &v), RT_OK);
  assert_int_equal(state_basis(rt, &v, 0, &from), RT_OK);
  for (int m = EVOLVE_ANY; m <= EVOLVE_TROTTER; m++) {
    EvolveHow how = {.method = (EvolveMethod)m, .tol = 1e-9, .order = 4};
    rt->limit = rt->bytes + 20000;
    assert_int_equal(evolve_times(rt, &a, &how, 2, t, &from, out, NULL), RT_ERROR);
    assert_non_null(strstr(rt->error.message, "the limit leaves"));
    rt->limit = 0;
    rt_interrupt(rt);
    assert_int_equal(evolve_times(rt, &a, &how, 2, t, &from, out, NULL), RT_INTERRUPTED);
  }
  state_free(rt, &from);
  vars_free(rt, &v);
  operator_free(rt, &a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_terms, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_methods, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_limits, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
