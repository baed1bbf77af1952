/* test_operator.c: products, sums and normal forms against dense matrices that are
 * made here, factor by factor, from 2 x 2 and truncated ladder matrices.      */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/operator.h"

typedef double complex C;
enum { QUBITS = 3, BINARIES = 1, SPINS = 1, LEVELS = 12, SAFE = 4 };

static uint64_t seed = 1;
static int draw(int n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (int)((seed >> 33) % (uint64_t)n);
}

/* ---- the reference ------------------------------------------------------------ */

typedef struct {
  int64_t n;
  C *m;
} Dense;

static Dense dense_new(int64_t n) { return (Dense){n, calloc((size_t)(n * n), sizeof(C))}; }

static Dense identity(int64_t n) {
  Dense d = dense_new(n);
  for (int64_t i = 0; i < n; i++) d.m[i * n + i] = 1;
  return d;
}

static Dense multiply(Dense a, Dense b) { /* frees both */
  Dense r = dense_new(a.n);
  for (int64_t i = 0; i < a.n; i++)
    for (int64_t k = 0; k < a.n; k++)
      for (int64_t j = 0; a.m[i * a.n + k] != 0 && j < a.n; j++)
        r.m[i * a.n + j] += a.m[i * a.n + k] * b.m[k * a.n + j];
  free(a.m);
  free(b.m);
  return r;
}

static void add(Dense *a, C c, const Dense *b) {
  for (int64_t i = 0; i < a->n * a->n; i++) a->m[i] += c * b->m[i];
}

/* The entry (to, from) of one factor on a digit. */
static C entry(uint8_t f, int to, int from) {
  switch (f) {
  case OP_X: return to != from;
  case OP_Y: return to == from ? 0 : from ? -I : I;
  case OP_Z:
  case OP_SPIN: return to != from ? 0 : from ? -1 : 1;
  case OP_BINARY: return to == from && from;
  case OP_PLUS: return to == 0 && from == 1;
  case OP_MINUS: return to == 1 && from == 0;
  case OP_LOWER: return to == from - 1 ? sqrt(from) : 0;
  default: return to == from + 1 ? sqrt(to) : 0;
  }
}

static Dense one_factor(const int *levels, int vars, int64_t states, OpWord w) {
  Dense d = dense_new(states);
  int64_t stride = 1;
  for (int v = 0; v < w.v; v++) stride *= levels[v];
  (void)vars;
  for (int64_t from = 0; from < states; from++) {
    int digit = (int)(from / stride % levels[w.v]);
    for (int to = 0; to < levels[w.v]; to++)
      d.m[(from + (to - digit) * stride) * states + from] = entry(w.factor, to, digit);
  }
  return d;
}

/* ---- random operators ------------------------------------------------------------ */

static Rt *rt;

static void declare(Operator *a, bool mode, int *levels, int *vars, int64_t *states) {
  int64_t first, n;
  operator_init(a);
  n = QUBITS;
  assert_int_equal(vars_add(rt, &a->vars, OPERATOR_REGISTER, VAR_QUBIT, 1, &n, &first), RT_OK);
  n = BINARIES;
  assert_int_equal(vars_add(rt, &a->vars, "b", VAR_BINARY, 1, &n, &first), RT_OK);
  n = SPINS;
  assert_int_equal(vars_add(rt, &a->vars, "s", VAR_SPIN, 1, &n, &first), RT_OK);
  *vars = QUBITS + BINARIES + SPINS;
  for (int v = 0; v < *vars; v++) levels[v] = 2;
  if (mode) {
    n = 1;
    assert_int_equal(vars_add(rt, &a->vars, "a", VAR_MODE, 1, &n, &first), RT_OK);
    a->vars.array[3].cutoff = LEVELS;
    levels[(*vars)++] = LEVELS;
  }
  *states = 1;
  for (int v = 0; v < *vars; v++) *states *= levels[v];
}

static OpWord any_word(bool mode) {
  int v = draw(QUBITS + BINARIES + SPINS + (mode ? 2 : 0));
  if (v < QUBITS) return (OpWord){(uint8_t)draw(5), v};
  if (v < QUBITS + BINARIES) return (OpWord){OP_BINARY, v};
  if (v < QUBITS + BINARIES + SPINS) return (OpWord){OP_SPIN, v};
  return (OpWord){(uint8_t)(OP_LOWER + draw(2)), QUBITS + BINARIES + SPINS};
}

static Dense random_operator(Operator *a, bool mode) {
  int levels[8], vars;
  int64_t states;
  declare(a, mode, levels, &vars, &states);
  Dense sum = dense_new(states);
  for (int t = 0; t < 6; t++) {
    OpWord w[6];
    int k = draw(mode ? 5 : 7);
    c128 c = {draw(9) - 4, draw(3) ? 0 : draw(5) - 2};
    Dense d = identity(states);
    for (int i = 0; i < k; i++) {
      w[i] = any_word(mode);
      d = multiply(d, one_factor(levels, vars, states, w[i]));
    }
    assert_int_equal(operator_add(rt, a, c, k, w), RT_OK);
    add(&sum, c.re + I * c.im, &d);
    free(d.m);
  }
  return sum;
}

/* Products of truncated ladder matrices are right only below the cutoff. */
static void compare(Operator *a, Dense want, bool mode, double tolerance) {
  Tensor *t = operator_matrix(rt, a);
  assert_non_null(t);
  assert_int_equal(t->shape[0], want.n);
  int64_t safe = mode ? want.n / LEVELS * SAFE : want.n;
  double worst = 0;
  for (int64_t i = 0; i < safe; i++)
    for (int64_t j = 0; j < safe; j++) {
      c128 z = tensor_get_c128(t, i * want.n + j);
      worst = fmax(worst, cabs(z.re + I * z.im - want.m[i * want.n + j]));
    }
  tensor_unref(rt, t);
  free(want.m);
  if (worst > tolerance) fail_msg("an entry differs by %g", worst);
}

static void normal_form(void **state) {
  for (int k = 0; k < 60; k++) {
    Operator a;
    Dense want = random_operator(&a, false);
    compare(&a, want, false, 1e-12);
    for (int64_t t = 0, from = 0; t < a.product.n; from = a.product.end[t++])
      for (int64_t i = from; i + 1 < a.product.end[t]; i++) /* each variable once */
        assert_true(a.product.word[i].v < a.product.word[i + 1].v);
    operator_free(rt, &a);
  }
}

static void ladder_operators(void **state) {
  for (int k = 0; k < 12; k++) {
    Operator a;
    Dense want = random_operator(&a, true);
    compare(&a, want, true, 1e-9);
    operator_free(rt, &a);
  }
}

static void algebra(void **state) {
  for (int k = 0; k < 30; k++) {
    Operator a, b, sum, product, adjoint;
    Dense x = random_operator(&a, false), y = random_operator(&b, false), z = dense_new(x.n);
    add(&z, 2, &x);
    add(&z, -I, &y);
    assert_int_equal(operator_sum(rt, &sum, (c128){2, 0}, &a, (c128){0, -1}, &b), RT_OK);
    compare(&sum, z, false, 1e-11);
    assert_int_equal(operator_product(rt, &product, &a, &b), RT_OK);
    assert_int_equal(operator_adjoint(rt, &adjoint, &a), RT_OK);
    Dense h = dense_new(x.n);
    for (int64_t i = 0; i < x.n; i++)
      for (int64_t j = 0; j < x.n; j++) h.m[i * x.n + j] = conj(x.m[j * x.n + i]);
    compare(&adjoint, h, false, 1e-11);
    compare(&product, multiply(x, y), false, 1e-9);
    Operator *all[] = {&a, &b, &sum, &product, &adjoint};
    for (int i = 0; i < 5; i++) operator_free(rt, all[i]);
  }
}

/* Variables are matched by name, whatever their numbers. */
static void matching(void **state) {
  Operator a, b, sum;
  int64_t first, n = 2;
  operator_init(&a);
  operator_init(&b);
  assert_int_equal(operator_register(rt, &a, 1, &first), RT_OK);
  assert_int_equal(vars_add(rt, &a.vars, "b", VAR_BINARY, 1, &n, &first), RT_OK);
  assert_int_equal(operator_add(rt, &a, (c128){3, 0}, 2, (OpWord[]){{OP_X, 0}, {OP_BINARY, 2}}),
                   RT_OK);
  assert_int_equal(operator_add(rt, &a, (c128){1, 0}, 1, (OpWord[]){{OP_BINARY, 1}}), RT_OK);
  assert_int_equal(vars_add(rt, &b.vars, "s", VAR_SPIN, 0, NULL, &first), RT_OK);
  assert_int_equal(vars_add(rt, &b.vars, "b", VAR_BINARY, 1, &n, &first), RT_OK);
  assert_int_equal(operator_register(rt, &b, 3, &first), RT_OK);
  assert_int_equal(operator_add(rt, &b, (c128){1, 0}, 2, (OpWord[]){{OP_SPIN, 0}, {OP_BINARY, 1}}),
                   RT_OK);
  assert_int_equal(operator_add(rt, &b, (c128){1, 0}, 1, (OpWord[]){{OP_Z, 5}}), RT_OK);
  assert_int_equal(operator_sum(rt, &sum, (c128){1, 0}, &a, (c128){-2, 0}, &b), RT_OK);
  assert_int_equal(operator_merge(rt, &sum), RT_OK);
  Buf text = {0};
  operator_print(&sum, 20, &text);
  assert_string_equal(text.data, "-2*Z[2] + b[0] - 2*b[0]*s + 3*X[0]*b[1]");
  buf_free(&text);
  assert_int_equal(operator_class(&sum), OP_PAULI);
  Operator *all[] = {&a, &b, &sum};
  for (int i = 0; i < 3; i++) operator_free(rt, all[i]);
}

/* Out of memory at every allocation: an error, nothing lost. */
static void memory(void **state) {
  size_t before = rt->bytes - rt->pooled;
  for (size_t room = 0; room < 40000; room += 1500) {
    Operator a, b, product;
    seed = 7;
    Dense x = random_operator(&a, false), y = random_operator(&b, false);
    rt->limit = rt->bytes + room;
    if (!operator_product(rt, &product, &a, &b)) {
      operator_merge(rt, &product);
      operator_free(rt, &product);
    }
    rt->limit = 0;
    free(x.m);
    free(y.m);
    operator_free(rt, &a);
    operator_free(rt, &b);
  }
  assert_int_equal(rt->bytes - rt->pooled, before);
}

int main(void) {
  rt = rt_open();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normal_form), cmocka_unit_test(ladder_operators), cmocka_unit_test(algebra),
      cmocka_unit_test(matching),    cmocka_unit_test(memory),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  rt_close(rt);
  return failed;
}
