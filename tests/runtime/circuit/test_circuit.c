/* test_circuit.c: the numbers of a circuit and their derivatives, names of gates, matrices,
 * circuits put into circuits, wrong gates.                                         */
#include "tests/runtime/fixture.h"
#include <stdlib.h>

#include "tests/runtime/circuit/dense.h"

static int32_t node_of(ScalarProg *p, ScalarOp op, int32_t a, int32_t b) {
  return op <= SCALAR_POW ? scalar_binary(rt, p, op, a, b) : scalar_unary(rt, p, op, a);
}

/* sum over nodes of (k + 1) * node, at x and its derivative against central differences */
static void test_scalars(void **state) {
  (void)state;
  ScalarProg p;
  scalar_init(&p);
  int32_t a = scalar_slot(rt, &p, 0, 0), b = scalar_slot(rt, &p, 0, 1), used[64], n = 0;
  for (int op = SCALAR_ADD; op <= SCALAR_ABS; op++) {
    int32_t y = node_of(&p, op, a, b);
    used[n++] = y;
    used[n++] = node_of(&p, SCALAR_MUL, y, node_of(&p, SCALAR_SIN, b, 0));
  }
  assert_int_equal(node_of(&p, SCALAR_ADD, a, b), used[0]); /* equal nodes are one */
  assert_int_equal(scalar_binary(rt, &p, SCALAR_MUL, a, scalar_const(rt, &p, 1)), a);
  double x[4] = {0.3, 0.7, 0.6, -0.4}, h = 1e-6, got[4] = {0};
  double *value = calloc((size_t)p.n * 2, sizeof *value), *g = calloc((size_t)p.n * 2, sizeof *g);
  const double *slot[1] = {x};
  double *to[1] = {got};
  int64_t stride[1] = {2};
  double want[4];
  for (int k = 0; k < 4; k++) {
    double f[2], keep = x[k];
    for (int s = 0; s < 2; s++) {
      x[k] = keep + (s ? h : -h);
      scalar_run(&p, 2, slot, stride, value);
      f[s] = 0;
      for (int i = 0; i < n; i++) f[s] += (i + 1) * (value[used[i] * 2] + value[used[i] * 2 + 1]);
    }
    x[k] = keep;
    want[k] = (f[1] - f[0]) / (2 * h);
  }
  scalar_run(&p, 2, slot, stride, value);
  for (int i = 0; i < n; i++) g[used[i] * 2] = g[used[i] * 2 + 1] = i + 1;
  scalar_back(&p, 2, value, g, stride, to);
  for (int k = 0; k < 4; k++) assert_true(fabs(got[k] - want[k]) < 1e-6 * (1 + fabs(want[k])));
  free(value);
  free(g);
  scalar_free(rt, &p);
}

static void test_names(void **state) {
  (void)state;
  static const struct { const char *name; GateKind kind; int controls; bool inverse; } row[] = {
    {"h", GATE_H, 0, false},     {"sdg", GATE_S, 0, true},   {"ccx", GATE_X, 2, false},
    {"cnot", GATE_X, 1, false},  {"cswap", GATE_SWAP, 1, false}, {"crz", GATE_RZ, 1, false},
    {"cu1", GATE_P, 1, false},   {"csdg", GATE_S, 1, true},  {"u3", GATE_U, 0, false},
    {"cu3", GATE_U, 1, false},   {"c4x", GATE_KINDS, 0, false}, {"cmeasure", GATE_KINDS, 0, false},
    {"", GATE_KINDS, 0, false},  {"c", GATE_KINDS, 0, false}};
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    GateKind k;
    int controls;
    bool inverse, found = gate_find(row[i].name, &k, &controls, &inverse);
    assert_int_equal(found, row[i].kind != GATE_KINDS);
    if (!found) continue;
    assert_true(k == row[i].kind && controls == row[i].controls && inverse == row[i].inverse);
  }
}

/* Unitary; diagonal, real and self-inverse as the table says; exp(-i t G/2). */
static void test_matrices(void **state) {
  (void)state;
  double t[3] = {0.7, -1.3, 0.4};
  for (int kind = 0; kind < GATE_KINDS; kind++) {
    const GateRow *row = &gate_table[kind];
    assert_non_null(row->name);
    if (!row->matrix) continue;
    int d = 1 << row->targets;
    c128 m[16];
    row->matrix(t, m);
    for (int i = 0; i < d; i++)
      for (int j = 0; j < d; j++) {
        double complex u = 0, sq = 0;
        for (int k = 0; k < d; k++) {
          double complex a = CMPLX(m[i * d + k].re, m[i * d + k].im);
          u += a * CMPLX(m[j * d + k].re, -m[j * d + k].im);
          sq += a * CMPLX(m[k * d + j].re, m[k * d + j].im);
        }
        assert_true(cabs(u - (i == j)) < 1e-15);
        if (row->self_inverse) assert_true(cabs(sq - (i == j)) < 1e-15);
        if (row->diagonal && i != j) assert_true(m[i * d + j].re == 0 && m[i * d + j].im == 0);
        if (row->real) assert_true(m[i * d + j].im == 0);
      }
    if (!row->generator) continue;
    Circuit c;
    circuit_init(&c);
    int32_t data;
    assert_int_equal(circuit_letters(rt, &c, row->generator, &data), RT_OK);
    Gate g = {.kind = GATE_PAULI, .targets = (uint16_t)row->targets, .data = data};
    double complex want[16];
    dense_matrix(&c, &g, t, want);
    for (int i = 0; i < d * d; i++) assert_true(cabs(CMPLX(m[i].re, m[i].im) - want[i]) < 1e-15);
    circuit_free(rt, &c);
  }
}

static void add(Circuit *c, GateKind kind, int targets, int controls, const int32_t *q,
                const int32_t *angle) {
  Gate g = {.kind = (uint8_t)kind, .targets = (uint16_t)targets, .controls = (uint16_t)controls,
            .on = ~0ull, .data = -1, .when = -1};
  assert_int_equal(circuit_add(rt, c, g, q, q + targets, angle), RT_OK);
}

/* Three qubits, every kind of unitary gate, angles from a slot of 4. */
static void sample(Circuit *c) {
  circuit_init(c);
  int64_t first, shape[1] = {4};
  int32_t slot, angle[3], data;
  assert_int_equal(circuit_register(rt, c, "w", 3, false, &first), RT_OK);
  assert_int_equal(circuit_slot(rt, c, "t", false, 1, shape, &slot), RT_OK);
  for (int k = 0; k < 3; k++) angle[k] = scalar_slot(rt, &c->scalar, slot, k + 1);
  for (int kind = 0; kind <= GATE_U; kind++) {
    int targets = gate_table[kind].targets;
    if (kind == GATE_PAULI) continue;
    int32_t q[3] = {kind % 3, (kind + 1) % 3, (kind + 2) % 3};
    add(c, kind, targets, kind % 2, q, angle);
  }
  assert_int_equal(circuit_letters(rt, c, "YZX", &data), RT_OK);
  Gate g = {.kind = GATE_PAULI, .targets = 3, .data = data, .when = -1};
  assert_int_equal(circuit_add(rt, c, g, (int32_t[]){2, 0, 1}, NULL, angle), RT_OK);
}

/* |psi> -> c -> c^-1 -> |psi>; controlled forms act where the control says so. */
static void test_append(void **state) {
  (void)state;
  Circuit c, both, copy;
  sample(&c);
  assert_int_equal(circuit_copy(rt, &copy, &c), RT_OK);
  circuit_init(&both);
  int64_t first, shape[1] = {4};
  int32_t slot, map[3] = {1, 3, 0}, control[1] = {2};
  CircuitPlace at = {.qubit = map, .slot = &slot, .controls = 1, .control = control};
  assert_int_equal(circuit_register(rt, &both, "w", 4, false, &first), RT_OK);
  assert_int_equal(circuit_slot(rt, &both, "t", false, 1, shape, &slot), RT_OK);
  assert_int_equal(circuit_append(rt, &both, &copy, &at), RT_OK);
  double x[4] = {9, 0.3, -1.1, 0.8};
  const double *values[1] = {x};
  double complex psi[16], want[16], small[8];
  for (int i = 0; i < 16; i++) want[i] = psi[i] = CMPLX(sin(i + 1), cos(2 * i));
  for (int i = 0; i < 8; i++)
    small[i] = psi[(i & 1) << 1 | (i >> 1 & 1) << 3 | (i >> 2 & 1)];
  dense_run(&both, values, psi);
  dense_run(&c, values, small);
  for (int i = 0; i < 8; i++) {
    int at = (i & 1) << 1 | (i >> 1 & 1) << 3 | (i >> 2 & 1);
    assert_true(cabs(psi[at] - small[i]) < 1e-13);      /* control is 0: acts */
    assert_true(psi[at | 4] == want[at | 4]);           /* control is 1: does not */
  }
  at.inverse = true;
  assert_int_equal(circuit_append(rt, &both, &copy, &at), RT_OK);
  memcpy(psi, want, sizeof psi);
  dense_run(&both, values, psi);
  for (int i = 0; i < 16; i++) assert_true(cabs(psi[i] - want[i]) < 1e-13);
  circuit_free(rt, &c);
  circuit_free(rt, &copy);
  circuit_free(rt, &both);
}

static void test_wrong(void **state) {
  (void)state;
  Circuit c;
  sample(&c);
  int64_t first;
  Gate g = {.kind = GATE_X, .targets = 1, .controls = 1, .data = -1, .when = -1};
  assert_int_equal(circuit_add(rt, &c, g, (int32_t[]){1}, (int32_t[]){1}, NULL), RT_ERROR);
  assert_string_equal(rt->error.message, "`cx`: w[1] is used twice");
  assert_int_equal(circuit_add(rt, &c, g, (int32_t[]){1}, (int32_t[]){3}, NULL), RT_ERROR);
  assert_string_equal(rt->error.message, "`cx`: qubit 3 is not there");
  g.targets = 2;
  assert_int_equal(circuit_add(rt, &c, g, (int32_t[]){1, 2}, (int32_t[]){0}, NULL), RT_ERROR);
  assert_string_equal(rt->error.message, "`x` acts on 1 qubit, found 2");
  assert_int_equal(circuit_register(rt, &c, "w", 1, false, &first), RT_ERROR);
  assert_int_equal(circuit_register(rt, &c, "v", 0, false, &first), RT_ERROR);
  assert_true(circuit_unitary(&c, NULL));
  g = (Gate){.kind = GATE_RESET, .targets = 1, .data = -1, .when = -1};
  assert_int_equal(circuit_add(rt, &c, g, (int32_t[]){1}, NULL, NULL), RT_OK);
  const Gate *at;
  assert_false(circuit_unitary(&c, &at));
  assert_int_equal(at->kind, GATE_RESET);
  Circuit d;
  circuit_init(&d);
  int32_t map[3] = {0, 1, 2}, slot;
  assert_int_equal(circuit_register(rt, &d, "w", 3, false, &first), RT_OK);
  assert_int_equal(circuit_slot(rt, &d, "t", false, 0, NULL, &slot), RT_OK);
  assert_int_equal(circuit_append(rt, &d, &c,
                                  &(CircuitPlace){.qubit = map, .slot = &slot, .inverse = true}), RT_ERROR);
  assert_string_equal(rt->error.message, "`reset` has no inverse");
  circuit_free(rt, &c);
  circuit_free(rt, &d);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_scalars), cmocka_unit_test(test_names),
                                     cmocka_unit_test(test_matrices), cmocka_unit_test(test_append),
                                     cmocka_unit_test(test_wrong)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
