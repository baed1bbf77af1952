/* test_density.c: Lindblad's equation against the exponential of its dense matrix, for random H
 * and collapse operators on qubits, binaries and a mode; density matrices' numbers.   */
#include "tests/runtime/fixture.h"
#include <complex.h>
#include <math.h>
#include <string.h>

#include "runtime/open/density.h"
#include "runtime/tensor/linalg.h"
#include "runtime/tensor/random.h"

typedef double complex Z;

static double draw(uint64_t *at) { return 2 * rng_uniform(rng_seeded(5), (*at)++) - 1; }

/* `terms` random products of up to three factors. */
static void random_operator(Operator *a, const VarTable *vars, int terms, uint64_t *at) {
  static const uint8_t qubit[] = {OP_X, OP_Y, OP_Z, OP_PLUS, OP_MINUS};
  operator_init(a);
  assert_int_equal(vars_copy(rt, &a->vars, vars), RT_OK);
  for (int t = 0; t < terms; t++) {
    OpWord w[3];
    int k = 1 + t % 3;
    for (int i = 0; i < k; i++) {
      int32_t v = (int32_t)((draw(at) + 1) / 2 * (double)vars->n);
      uint8_t f = qubit[(int)((draw(at) + 1) * 2.5)];
      if (vars_kind(vars, v) == VAR_MODE) f = OP_LOWER;
      if (vars_kind(vars, v) == VAR_BINARY) f = OP_BINARY;
      w[i] = (OpWord){f, v};
    }
    assert_int_equal(operator_add(rt, a, (c128){0.4 * draw(at), 0.4 * draw(at)}, k, w), RT_OK);
  }
}

static void hermitian_part(Operator *a) {
  Operator other, sum;
  assert_int_equal(operator_adjoint(rt, &other, a), RT_OK);
  assert_int_equal(operator_sum(rt, &sum, (c128){1, 0}, a, (c128){1, 0}, &other), RT_OK);
  operator_free(rt, &other);
  operator_free(rt, a);
  *a = sum;
}

static void dense(Operator *a, int64_t n, Z *out) {
  Tensor *m = operator_matrix(rt, a);
  assert_non_null(m);
  assert_int_equal(m->size, n * n);
  for (int64_t i = 0; i < n * n; i++) {
    c128 z = tensor_get_c128(m, i);
    out[i] = z.re + I * z.im;
  }
  tensor_unref(rt, m);
}

static Z *zeros(int64_t n) {
  Z *z = calloc((size_t)n, sizeof *z);
  assert_non_null(z);
  return z;
}

static Z *product(int64_t n, const Z *a, bool adjoint_a, const Z *b, bool adjoint_b) {
  Z *c = zeros(n * n);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t k = 0; k < n; k++)
        c[i * n + j] += (adjoint_a ? conj(a[k * n + i]) : a[i * n + k]) *
                        (adjoint_b ? conj(b[j * n + k]) : b[k * n + j]);
  return c;
}

/* out += c (A rho B) as a matrix over (row, column) pairs: row r + n col. */
static void sandwich(int64_t n, Z c, const Z *a, const Z *b, Z *out) {
  for (int64_t r = 0; r < n; r++)
    for (int64_t s = 0; s < n; s++)
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
          out[(r + n * s) * n * n + i + n * j] += c * a[r * n + i] * b[j * n + s];
}

static Z *dense_generator(int64_t n, const Lindblad *l) {
  Z *g = zeros(n * n * n * n), *one = zeros(n * n), *m = zeros(n * n);
  for (int64_t i = 0; i < n; i++) one[i * n + i] = 1;
  dense(l->h, n, m);
  sandwich(n, -I, m, one, g);
  sandwich(n, I, one, m, g);
  for (int k = 0; k < l->n; k++) {
    dense(&l->jump[k], n, m);
    Z *both = product(n, m, true, m, false), *adjoint = product(n, m, true, one, false);
    sandwich(n, 1, m, adjoint, g);
    sandwich(n, -0.5, both, one, g);
    sandwich(n, -0.5, one, both, g);
    free(both);
    free(adjoint);
  }
  free(one);
  free(m);
  return g;
}

static void expect_dense(const Lindblad *l, const Density *from, double t, const Density *got) {
  int64_t n = from->dim, shape[2] = {n * n, n * n};
  Z *g = dense_generator(n, l);
  Tensor *m = tensor_new(rt, DT_C128, 2, shape);
  for (int64_t i = 0; i < n * n * n * n; i++)
    ((c128 *)(void *)m->data)[i] = (c128){t * creal(g[i]), t * cimag(g[i])};
  Tensor *u = linalg_expm(rt, m);
  assert_non_null(u);
  for (int64_t i = 0; i < n * n; i++) {
    Z want = 0;
    for (int64_t j = 0; j < n * n; j++) {
      c128 a = tensor_get_c128(u, i * n * n + j), b = from->s.amp[j];
      want += (a.re + I * a.im) * (b.re + I * b.im);
    }
    assert_true(hypot(creal(want) - got->s.amp[i].re, cimag(want) - got->s.amp[i].im) < 1e-12);
  }
  tensor_unref(rt, m);
  tensor_unref(rt, u);
  free(g);
}

static void compare(const VarTable *vars, int collapse, uint64_t *at) {
  State psi;
  Density from, out[3];
  Operator h;
  Lindblad l = {.h = &h};
  double t[3] = {0, 0.4, 1.3};
  random_operator(&h, vars, 7, at);
  hermitian_part(&h);
  for (int k = 0; k < collapse; k++) {
    Operator one;
    random_operator(&one, vars, 3, at);
    assert_int_equal(jumps_add(rt, &one, &l.n, &l.jump), RT_OK);
  }
  assert_int_equal(state_random(rt, vars, rng_seeded(3), &psi), RT_OK);
  assert_int_equal(density_pure(rt, &psi, &from), RT_OK);
  assert_int_equal(lindblad_times(rt, &l, 3, t, 1e-13, &from, out), RT_OK);
  expect_dense(&l, &from, 0, &out[0]);
  expect_dense(&l, &from, 0.4, &out[1]);
  expect_dense(&l, &from, 1.3, &out[2]);
  for (int i = 0; i < 3; i++) {
    double lowest = 0, s;
    if (vars->n_array == 1) assert_true(fabs(density_trace(&out[i]) - 1) < 1e-12);
    assert_int_equal(density_entropy(rt, &out[i], 0, NULL, 1, &s), RT_OK);
    assert_true(i ? s > 0.01 : s < 1e-12);
    Tensor *m = density_matrix(rt, &out[i]), *w, *v;
    assert_int_equal(linalg_eigh(rt, m, &w, &v), RT_OK);
    for (int64_t k = 0; k < w->size; k++) lowest = fmin(lowest, tensor_get_f64(w, k));
    assert_true(lowest > -1e-13);
    tensor_unref(rt, m);
    tensor_unref(rt, w);
    tensor_unref(rt, v);
    density_free(rt, &out[i]);
  }
  density_free(rt, &from);
  state_free(rt, &psi);
  operator_free(rt, &h);
  jumps_free(rt, l.n, l.jump);
}

static void test_dense(void **state) {
  uint64_t at = 0;
  (void)state;
  for (int n = 1; n <= 3; n++) {
    VarTable vars;
    assert_int_equal(state_register(rt, n, &vars), RT_OK);
    compare(&vars, n, &at);
    vars_free(rt, &vars);
  }
}

/* Losses of a mode of three levels beside a qubit and a binary. */
static void test_mixed(void **state) {
  uint64_t at = 100;
  int64_t first, one = 1;
  VarTable vars;
  (void)state;
  vars_init(&vars);
  assert_int_equal(vars_add(rt, &vars, "a", VAR_MODE, 0, NULL, &first), RT_OK);
  vars.array[0].cutoff = 3;
  assert_int_equal(vars_add(rt, &vars, "Z", VAR_QUBIT, 1, &one, &first), RT_OK);
  assert_int_equal(vars_add(rt, &vars, "b", VAR_BINARY, 0, NULL, &first), RT_OK);
  compare(&vars, 2, &at);
  vars_free(rt, &vars);
}

/* tr(A rho), <psi|rho|psi>, parts, fidelities of mixtures against plain sums. */
static void test_numbers(void **state) {
  enum { N = 3, D = 8 };
  VarTable vars;
  State psi[2];
  Density p[2];
  uint64_t at = 50;
  Z rho[D * D] = {0};
  (void)state;
  assert_int_equal(state_register(rt, N, &vars), RT_OK);
  for (int k = 0; k < 2; k++) {
    assert_int_equal(state_random(rt, &vars, rng_seeded(k + 10), &psi[k]), RT_OK);
    assert_int_equal(density_pure(rt, &psi[k], &p[k]), RT_OK);
  }
  double overlap2 = density_overlap(&p[0], &psi[1]), f;
  c128 o = state_overlap(&psi[0], &psi[1]);
  assert_true(fabs(overlap2 - (o.re * o.re + o.im * o.im)) < 1e-14);
  assert_int_equal(density_fidelity(rt, &p[0], &p[1], &f), RT_OK);
  assert_true(fabs(f - overlap2) < 1e-12);
  state_scale(&p[0].s, (c128){0.3, 0});
  state_add(&p[0].s, (c128){0.7, 0}, &p[1].s);
  assert_true(fabs(density_trace(&p[0]) - 1) < 1e-14);
  assert_true(fabs(density_purity(&p[0]) - (0.09 + 0.49 + 0.42 * overlap2)) < 1e-14);
  for (int r = 0; r < D; r++)
    for (int c = 0; c < D; c++) {
      c128 a = density_at(&p[0], r, c);
      rho[r * D + c] = a.re + I * a.im;
    }
  Operator a;
  c128 mean;
  Z m[D * D], want = 0;
  random_operator(&a, &vars, 6, &at);
  assert_int_equal(density_mean(rt, &p[0], &a, &mean), RT_OK);
  dense(&a, D, m);
  for (int r = 0; r < D; r++)
    for (int c = 0; c < D; c++) want += m[r * D + c] * rho[c * D + r];
  assert_true(cabs(want - mean.re - I * mean.im) < 1e-14);
  int64_t site[2] = {2, 0};
  Tensor *part = density_reduced(rt, &p[0], 2, site);
  for (int r = 0; r < 4; r++)
    for (int c = 0; c < 4; c++) {
      Z sum = 0;
      for (int b = 0; b < 2; b++)
        sum += rho[((r & 1) * 4 + (r >> 1) + 2 * b) * D + (c & 1) * 4 + (c >> 1) + 2 * b];
      c128 got = tensor_get_c128(part, r * 4 + c);
      assert_true(cabs(sum - got.re - I * got.im) < 1e-14);
    }
  tensor_unref(rt, part);
  /* two weights: eigenvalues of the mixture from the overlap */
  double det = 0.21 * (1 - overlap2), w = (1 + sqrt(1 - 4 * det)) / 2, s;
  assert_int_equal(density_entropy(rt, &p[0], 0, NULL, 1, &s), RT_OK);
  assert_true(fabs(s + w * log(w) + (1 - w) * log(1 - w)) < 1e-12);
  assert_int_equal(density_fidelity(rt, &p[0], &p[1], &f), RT_OK);
  assert_true(fabs(f - density_overlap(&p[0], &psi[1])) < 1e-7);
  operator_free(rt, &a);
  for (int k = 0; k < 2; k++) {
    density_free(rt, &p[k]);
    state_free(rt, &psi[k]);
  }
  vars_free(rt, &vars);
}

static void test_limits(void **state) {
  VarTable vars;
  Density p;
  State psi;
  int64_t site[2] = {1, 1};
  double s;
  (void)state;
  assert_int_equal(state_register(rt, 16, &vars), RT_OK);
  size_t before = rt->bytes;
  assert_int_equal(density_new(rt, &vars, &p), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "65536 states"));
  assert_int_equal(rt->bytes, before);
  vars_free(rt, &vars);
  assert_int_equal(state_register(rt, 2, &vars), RT_OK);
  assert_int_equal(state_basis(rt, &vars, 1, &psi), RT_OK);
  assert_int_equal(density_pure(rt, &psi, &p), RT_OK);
  assert_null(density_reduced(rt, &p, 2, site));
  assert_int_equal(density_entropy(rt, &p, 2, site, 1, &s), RT_ERROR);
  density_free(rt, &p);
  state_free(rt, &psi);
  vars_free(rt, &vars);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_dense, setup, teardown),
      cmocka_unit_test_setup_teardown(test_mixed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_limits, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
