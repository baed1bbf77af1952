/* test_evolve.c: small eigenproblems, the vector loops of every instruction set, spectra and
 * evolution that repeat on any number of threads, limits.                         */
#include "tests/runtime/fixture.h"
#include <math.h>
#include <string.h>

#include "runtime/evolve/evolve.h"
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/kernels_levels.h"

/* d[i] = 2, e[i] = 1: 2 + 2 cos(pi k / (n + 1)) */
static void test_tridiagonal(void **state) {
  (void)state;
  enum { N = 24 };
  double d[N], e[N], z[N * N];
  for (int i = 0; i < N; i++) {
    d[i] = 2;
    e[i] = 1;
  }
  assert_int_equal(tridiagonal(rt, N, d, e, z), RT_OK);
  double pi = acos(-1);
  for (int k = 1; k <= N; k++) {
    double want = 2 + 2 * cos(pi * k / (N + 1)), off = 1;
    for (int i = 0; i < N; i++) off = fmin(off, fabs(d[i] - want));
    assert_true(off < 1e-13);
  }
  for (int k = 0; k < N; k++)
    for (int i = 0; i < N; i++) {
      double y = 2 * z[i * N + k] + (i ? z[(i - 1) * N + k] : 0) + (i + 1 < N ? z[(i + 1) * N + k] : 0);
      assert_true(fabs(y - d[k] * z[i * N + k]) < 1e-13);
    }
}

static void test_loops(void **state) {
  (void)state;
  enum { N = 4096 + 22 };
  static double p[N], q[N], w[3][N];
  const VectorTable *all[3] = {&vectors_base, &vectors_base, &vectors_base};
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v3")) all[1] = &vectors_v3;
  if (__builtin_cpu_supports("x86-64-v4")) all[2] = &vectors_v4;
#endif
  double sum[3], norm[3], want = 0;
  for (int l = 0; l < 3; l++) {
    for (int i = 0; i < N; i++) {
      p[i] = sin(i);
      q[i] = cos(3 * i);
      w[l][i] = 1.0 / (i + 1);
    }
    static double t[2][N], more[N];
    memcpy(t[0], w[l], sizeof t[0]);
    memcpy(t[1], w[l], sizeof t[1]);
    double a = all[l]->scaled_dot(N, 1.1, 0.3, p, q, t[0]);
    assert_true(fabs(a - vec_dot(N, q, t[0])) < 1e-12);
    all[l]->subtract_norm2(N, 0.2, q, t[0]);
    memcpy(more, p, sizeof more);
    all[l]->advance(N, 1.1, 0.3, p, 0.2, q, 0.5, t[1], more);
    assert_memory_equal(t[0], t[1], sizeof t[0]);
    assert_true(fabs(more[7] - (sin(7) + 0.5 * q[7])) < 1e-15);
    sum[l] = all[l]->subtract_dot(N, 0.3, p, q, w[l]);
    if (!l)
      for (int i = 0; i < N; i++) want += w[0][i] * q[i];
    norm[l] = all[l]->subtract_norm2(N, 0.7, q, w[l]);
    all[l]->add(N, 0.1, p, w[l]);
    all[l]->add_complex(N, 0.2, -0.4, q, w[l]);
    all[l]->scale(N, 1.7, w[l]);
    assert_true(sum[l] == sum[0] && norm[l] == norm[0]);
    assert_memory_equal(w[l], w[0], sizeof w[0]);
  }
  assert_true(fabs(sum[0] - want) < 1e-11);
  double re = 1.0 / 7 - 0.3 * sin(6) - 0.7 * cos(18) + 0.1 * sin(6), im = q[7];
  re = 1.7 * (re + 0.2 * q[6] + 0.4 * im);
  assert_true(fabs(w[0][6] - re) < 1e-14);
}

static void test_loops_single(void **state) {
  (void)state;
  enum { N = 4096 + 22 };
  static float p[N], q[N], w[3][N];
  static double pd[N], qd[N];
  const VectorTable32 *all[3] = {&vectors32_base, &vectors32_base, &vectors32_base};
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v3")) all[1] = &vectors32_v3;
  if (__builtin_cpu_supports("x86-64-v4")) all[2] = &vectors32_v4;
#endif
  double sum[3], norm[3], cross[3], want = 0, crossed = 0;
  for (int i = 0; i < N; i++) {
    pd[i] = p[i] = (float)sin(i);
    qd[i] = q[i] = (float)cos(3 * i);
  }
  for (int i = 0; i < N; i += 2) crossed += pd[i] * qd[i + 1] - pd[i + 1] * qd[i];
  for (int l = 0; l < 3; l++) {
    for (int i = 0; i < N; i++) w[l][i] = 1.0f / (float)(i + 1);
    sum[l] = all[l]->subtract_dot(N, 0.3, p, q, w[l]);
    if (!l)
      for (int i = 0; i < N; i++) want += (double)w[0][i] * qd[i];
    norm[l] = all[l]->subtract_norm2(N, 0.7, q, w[l]);
    all[l]->add(N, 0.1, p, w[l]);
    all[l]->add_complex(N, 0.2, -0.4, q, w[l]);
    all[l]->scale(N, 1.7, w[l]);
    cross[l] = all[l]->cross(N, p, q);
    assert_true(sum[l] == sum[0] && norm[l] == norm[0] && cross[l] == cross[0]);
    assert_memory_equal(w[l], w[0], sizeof w[0]);
  }
  assert_true(fabs(sum[0] - want) < 1e-11 && fabs(cross[0] - crossed) < 1e-11);
  assert_true(fabs(vectors()->cross(N, pd, qd) - crossed) < 1e-11);
  double re = 1.0 / 7 - 0.3 * sin(6) - 0.7 * cos(18) + 0.1 * sin(6);
  re = 1.7 * (re + 0.2 * qd[6] + 0.4 * qd[7]);
  assert_true(fabs(w[0][6] - re) < 1e-6);
}

static void ising(Operator *a, int n, double y) {
  int64_t first;
  operator_init(a);
  assert_int_equal(operator_register(rt, a, n, &first), RT_OK);
  for (int i = 0; i < n; i++) {
    OpWord z[2] = {{OP_Z, i}, {OP_Z, (i + 1) % n}}, x = {OP_X, i};
    assert_int_equal(operator_add(rt, a, (c128){-1, 0}, 2, z), RT_OK);
    assert_int_equal(operator_add(rt, a, (c128){-1, 0}, 1, &x), RT_OK);
  }
  OpWord w = {OP_Y, 1};
  if (y != 0) assert_int_equal(operator_add(rt, a, (c128){y, 0}, 1, &w), RT_OK);
}

/* The periodic critical chain has E = -2 / sin(pi / 2n); levels are orthonormal. */
static void test_levels(void **state) {
  (void)state;
  for (int complex = 0; complex < 2; complex++) {
    Operator a;
    Level e[4];
    State s[4];
    ising(&a, 10, complex ? 0.25 : 0);
    assert_int_equal(spectrum(rt, &a, 4, e, s), RT_OK);
    if (!complex) assert_true(fabs(e[0].energy + 2 / sin(acos(-1) / 20)) < 1e-11);
    for (int i = 0; i < 4; i++)
      for (int j = 0; j <= i; j++) {
        c128 z = state_overlap(&s[i], &s[j]);
        assert_true(fabs(z.re - (i == j)) < 1e-9 && fabs(z.im) < 1e-9);
        assert_true(e[j].energy <= e[i].energy + 1e-10);
        assert_true(e[i].residual < 1e-9);
      }
    for (int i = 0; i < 4; i++) state_free(rt, &s[i]);
    operator_free(rt, &a);
  }
}

static void test_threads(void **state) {
  (void)state;
  State s[2];
  Operator a;
  Applied *p;
  VarTable v;
  ising(&a, 17, 0.3);
  assert_int_equal(applied_make(rt, &a, true, &p), RT_OK);
  assert_int_equal(state_register(rt, 17, &v), RT_OK);
  for (int t = 0; t < 2; t++) {
    rt->threads = 1 + 2 * t;
    assert_int_equal(state_basis(rt, &v, 5, &s[t]), RT_OK);
    assert_int_equal(evolve_real(rt, p, 0.2, 1e-10, &s[t]), RT_OK);
  }
  assert_memory_equal(s[0].amp, s[1].amp, (size_t)s[0].size * sizeof(c128));
  assert_true(fabs(state_norm2(&s[0]) - 1) < 1e-10);
  for (int t = 0; t < 2; t++) state_free(rt, &s[t]);
  vars_free(rt, &v);
  applied_free(rt, p);
  operator_free(rt, &a);
}

/* Floats: the same bits on 1, 2 and 3 threads, near the doubles. */
static void test_threads_single(void **state) {
  (void)state;
  State from, s[4];
  Operator a;
  VarTable v;
  double t = 0.2, off = 0;
  EvolveHow how = {.tol = 1e-6};
  ising(&a, 17, 0.3);
  assert_int_equal(state_register(rt, 17, &v), RT_OK);
  assert_int_equal(state_basis_in(rt, &v, true, 5, &from), RT_OK);
  for (int k = 0; k < 3; k++) {
    rt->threads = 1 + k;
    assert_int_equal(evolve_times(rt, &a, &how, 1, &t, &from, &s[k], NULL), RT_OK);
    assert_memory_equal(s[k].amp32, s[0].amp32, (size_t)s[0].size * sizeof(c64));
  }
  state_free(rt, &from);
  assert_int_equal(state_basis(rt, &v, 5, &from), RT_OK);
  assert_int_equal(evolve_times(rt, &a, &how, 1, &t, &from, &s[3], NULL), RT_OK);
  for (int64_t i = 0; i < s[0].size; i++)
    off = fmax(off, fabs(state_at(&s[0], i).re - s[3].amp[i].re));
  assert_true(off < 1e-6);
  state_free(rt, &from);
  for (int k = 0; k < 4; k++) state_free(rt, &s[k]);
  vars_free(rt, &v);
  operator_free(rt, &a);
}

/* A host's limit and an interrupt end the work and leave nothing behind. */
static void test_limits(void **state) {
  (void)state;
  Operator a;
  Level e;
  State s;
  ising(&a, 16, 0);
  rt->limit = rt->bytes + 1000000;
  assert_int_equal(spectrum(rt, &a, 1, &e, &s), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "the limit leaves"));
  rt->limit = 0;
  rt_interrupt(rt);
  assert_int_equal(spectrum(rt, &a, 1, &e, &s), RT_INTERRUPTED);
  operator_free(rt, &a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_tridiagonal, setup, teardown),
      cmocka_unit_test_setup_teardown(test_loops, setup, teardown),
      cmocka_unit_test_setup_teardown(test_loops_single, setup, teardown),
      cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
      cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
      cmocka_unit_test_setup_teardown(test_threads_single, setup, teardown),
      cmocka_unit_test_setup_teardown(test_limits, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
