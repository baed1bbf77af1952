/* test_decompose.c: circuits in small sets of gates act as before, global phase included. */
#include "tests/runtime/fixture.h"
#include <stdlib.h>

#include "runtime/circuit/decompose.h"
#include "tests/runtime/circuit/random.h"

static const char *const bases[] = {NULL, "u,cx", "cx, sx, rz", "rz,ry,cx"};

static bool in_basis(CircuitBasis basis, const Gate *g) {
  if (g->kind == GATE_GPHASE) return !g->controls;
  if (g->controls || g->targets != 1) {
    if (basis == BASIS_TWO) return g->targets + g->controls == 2;
    return g->kind == GATE_X && g->targets == 1 && g->controls == 1 && g->on == 1;
  }
  switch (basis) {
  case BASIS_TWO: return g->kind != GATE_UNITARY && g->kind != GATE_LOAD;
  case BASIS_U_CX: return g->kind == GATE_U;
  case BASIS_RZ_SX_CX: return g->kind == GATE_RZ || g->kind == GATE_SX;
  default: return g->kind == GATE_RZ || g->kind == GATE_RY;
  }
}

/* From a state without symmetries. */
static void compare(const Circuit *c) {
  double x[8];
  for (int k = 0; k < 8; k++) x[k] = sin(3.7 * k + 0.4);
  const double *slot[1] = {x};
  CircuitBinding b = {1, slot, (int64_t[]){0}};
  int64_t size = 1ll << c->reg.qubits;
  double complex *want = malloc(sizeof *want * (size_t)size);
  double complex *got = malloc(sizeof *got * (size_t)size);
  for (int basis = 0; basis < 4; basis++) {
    Circuit d;
    CircuitBasis what = BASIS_TWO;
    if (basis) assert_int_equal(circuit_basis(rt, bases[basis], &what), RT_OK);
    for (int64_t i = 0; i < size; i++)
      want[i] = CMPLX(sin(i + 1), cos(2 * i)) / sqrt(size);
    memcpy(got, want, sizeof *got * (size_t)size);
    assert_int_equal(circuit_decompose(rt, c, &b, what, &d), RT_OK);
    for (int64_t i = 0; i < d.n; i++) assert_true(in_basis(what, &d.gate[i]));
    dense_run(c, slot, want);
    dense_run(&d, slot, got);
    for (int64_t i = 0; i < size; i++) assert_true(cabs(got[i] - want[i]) < 1e-12 + 1e-15 * d.n);
    circuit_free(rt, &d);
  }
  free(want);
  free(got);
}

static void test_random(void **state) {
  (void)state;
  for (int n = 1; n <= 6; n++)
    for (int round = 0; round < 6; round++) {
      Circuit c;
      random_circuit(&c, n, 30);
      compare(&c);
      circuit_free(rt, &c);
    }
}

/* Any number of controls, with and without idle qubits. */
static void test_controls(void **state) {
  (void)state;
  for (int n = 2; n <= 9; n++)
    for (int idle = 0; idle < 3; idle++)
      for (int kind = 0; kind <= GATE_U; kind++) {
        Circuit c;
        int64_t first;
        int32_t q[12], angle[3];
        if (gate_table[kind].targets != 1 || (n > 6 && kind != GATE_X && kind != GATE_RY)) continue;
        circuit_init(&c);
        assert_int_equal(circuit_register(rt, &c, "w", n + idle, false, &first), RT_OK);
        Gate g = {.kind = (uint8_t)kind, .targets = 1, .controls = (uint16_t)(n - 1), .data = -1,
                  .when = -1, .on = idle == 2 ? (uint64_t)draw(1 << (n - 1)) : ~0ull};
        draw_qubits(n + idle, n, q);
        for (int k = 0; k < 3; k++) angle[k] = scalar_const(rt, &c.scalar, sin(k + n));
        assert_int_equal(circuit_add(rt, &c, g, q, q + 1, angle), RT_OK);
        compare(&c);
        circuit_free(rt, &c);
      }
}

/* ---- matrices ---------------------------------------------------------------------------- */

/* Orthonormal columns from x, or the identity's where they vanish. */
static void gram_schmidt(int64_t d, double complex *x) {
  for (int64_t j = 0; j < d; j++)
    for (int round = 0; round < 2; round++) {
      double norm = 0;
      for (int64_t k = 0; k < j; k++) {
        double complex s = 0;
        for (int64_t i = 0; i < d; i++) s += conj(x[i * d + k]) * x[i * d + j];
        for (int64_t i = 0; i < d; i++) x[i * d + j] -= s * x[i * d + k];
      }
      for (int64_t i = 0; i < d; i++) norm += creal(x[i * d + j] * conj(x[i * d + j]));
      for (int64_t i = 0; i < d; i++) x[i * d + j] /= sqrt(norm);
    }
}

/* Random, nearly the identity, a permutation, diagonal, blocks, local. */
static void fill(int kind, int64_t d, double complex *x) {
  int64_t half = d / 2;
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++) {
      double complex r = CMPLX(draw(2001) - 1000, draw(2001) - 1000) / 1000;
      switch (kind) {
      case 0: x[i * d + j] = r; break;
      case 1: x[i * d + j] = (i == j) + 1e-9 * r; break;
      case 2: x[i * d + j] = j == (i + 1) % d; break;
      case 3: x[i * d + j] = i == j ? r + 2 : 0; break;
      case 4: x[i * d + j] = (i < half) == (j < half) ? r : 0; break;
      case 5:
        x[i * d + j] = (i % half == j % half) * (i < half || j < half ? 1.0 : -1.0);
        break;
      case 6: x[i * d + j] = creal(r); break;
      default:
        x[i * d + j] = i % half == 0 || j % half == 0 ? (i == j) : 1e-5 * r + (i == j);
        break;
      }
    }
  gram_schmidt(d, x);
}

static void test_matrices(void **state) {
  (void)state;
  for (int n = 1; n <= 5; n++)
    for (int kind = 0; kind < 8; kind++)
      for (int controls = 0; controls < 2; controls++) {
        int64_t first, d = 1ll << n;
        int32_t q[12];
        Circuit c;
        circuit_init(&c);
        assert_int_equal(circuit_register(rt, &c, "w", n + 1, false, &first), RT_OK);
        Gate g = {.kind = GATE_UNITARY, .targets = (uint16_t)n, .controls = (uint16_t)controls,
                  .when = -1, .on = 1, .inverse = draw(2)};
        Tensor *m = tensor_new(rt, DT_C128, 2, (int64_t[]){d, d});
        fill(kind, d, (double complex *)m->data);
        assert_int_equal(circuit_matrix(rt, &c, m, &g.data), RT_OK);
        draw_qubits(n + 1, n + controls, q);
        assert_int_equal(circuit_add(rt, &c, g, q, q + n, NULL), RT_OK);
        compare(&c);
        if (n == 2 && !controls) { /* three cx are enough for any */
          Circuit e;
          CircuitBinding b = {1, NULL, NULL};
          int cx = 0;
          assert_int_equal(circuit_decompose(rt, &c, &b, BASIS_U_CX, &e), RT_OK);
          for (int64_t i = 0; i < e.n; i++) cx += e.gate[i].kind == GATE_X;
          assert_true(cx <= 3);
          circuit_free(rt, &e);
        }
        tensor_unref(rt, m);
        circuit_free(rt, &c);
      }
}

/* ---- values of registers --------------------------------------------------------------------- */

static Tensor *vector(int64_t d, bool real) {
  Tensor *t = tensor_new(rt, DT_C128, 1, &d);
  for (int64_t i = 0; i < d; i++)
    ((c128 *)t->data)[i] = (c128){draw(2001) - 1000, real ? 0 : draw(2001) - 1000};
  if (d > 2) ((c128 *)t->data)[1] = (c128){0, 0};
  return t;
}

static void add_load(Circuit *c, int targets, const int32_t *q, int controls, uint64_t on,
                     bool inverse, Tensor *t) {
  Gate g = {.kind = GATE_LOAD, .targets = (uint16_t)targets, .controls = (uint16_t)controls,
            .on = on, .when = -1, .inverse = inverse};
  int32_t data;
  assert_int_equal(circuit_matrix(rt, c, t, &data), RT_OK);
  assert_int_equal(circuit_load(rt, c, (LoadView){-1, data, t->size, true}, &g.data), RT_OK);
  assert_int_equal(circuit_add(rt, c, g, q, q + targets, NULL), RT_OK);
}

/* Blocks of gates for each value of the controls, in any order of controls. */
static void test_values(void **state) {
  (void)state;
  for (int round = 0; round < 12; round++) {
    int controls = 1 + round % 3, free = 3;
    int32_t angle[3], q[8] = {0}, at[8];
    Circuit c, gates;
    random_circuit(&gates, free, 12);
    random_circuit(&c, free + controls, 0);
    for (int v = 0; v < 1 << controls; v++) {
      if (round > 8 && v == 1) continue;
      for (int64_t i = 0; i < gates.n; i++) {
        Gate g = gates.gate[i];
        if (g.controls) continue;
        for (int k = 0; k < g.targets; k++) q[k] = gates.qubit[g.qubit + k];
        for (int k = 0; k < controls; k++) at[k] = free + (k + v) % controls;
        g.controls = (uint16_t)controls;
        g.on = 0;
        for (int k = 0; k < controls; k++) g.on |= (uint64_t)(v >> (at[k] - free) & 1) << k;
        for (int k = 0; k < 3; k++) angle[k] = scalar_slot(rt, &c.scalar, 0, draw(8));
        if (g.kind == GATE_PAULI)
          assert_int_equal(circuit_letters(rt, &c, gates.letters[g.data], &g.data), RT_OK);
        if (v % 2 && draw(4) == 0) continue;
        assert_int_equal(circuit_add(rt, &c, g, q, at, angle), RT_OK);
      }
    }
    compare(&c);
    circuit_free(rt, &gates);
    circuit_free(rt, &c);
  }
}

static int count_cx(const Circuit *c) {
  Circuit d;
  CircuitBinding b = {1, NULL, NULL};
  int cx = 0;
  assert_int_equal(circuit_decompose(rt, c, &b, BASIS_U_CX, &d), RT_OK);
  for (int64_t i = 0; i < d.n; i++) cx += d.gate[i].kind == GATE_X;
  circuit_free(rt, &d);
  return cx;
}

/* |0> becomes the vector; by values of a register in one multiplexed encoding. */
static void test_load(void **state) {
  (void)state;
  for (int round = 0; round < 16; round++) {
    bool real = round & 1;
    int selects = round < 8 ? round / 4 : 2, n = 3;
    int32_t q[8] = {2, 0, 1, 3, 4};
    int64_t first;
    Circuit c;
    Tensor *t[4];
    circuit_init(&c);
    assert_int_equal(circuit_register(rt, &c, "w", n + selects, false, &first), RT_OK);
    for (int k = 0; k < selects; k++) {
      int32_t h = n + k;
      assert_int_equal(circuit_add(rt, &c, (Gate){.kind = GATE_H, .targets = 1, .data = -1,
                                                  .when = -1}, &h, NULL, NULL), RT_OK);
    }
    for (int v = 0; v < 1 << selects; v++) {
      t[v] = vector(1 << n, real);
      if (round == 9 && v == 2) continue; /* a value without a vector */
      add_load(&c, n, q, selects, (uint64_t)v, false, t[v]);
    }
    /* the dense reference has no loads: the state by hand */
    CircuitBinding b = {1, NULL, NULL};
    for (int basis = 0; basis < 4; basis++) {
      Circuit d;
      CircuitBasis what = BASIS_TWO;
      double complex got[64] = {1};
      if (basis) assert_int_equal(circuit_basis(rt, bases[basis], &what), RT_OK);
      assert_int_equal(circuit_decompose(rt, &c, &b, what, &d), RT_OK);
      for (int64_t i = 0; i < d.n; i++) assert_true(in_basis(what, &d.gate[i]));
      dense_run(&d, NULL, got);
      for (int i = 0; i < 1 << (n + selects); i++) {
        int v = i >> n, r = (i >> 2 & 1) | (i & 1) << 1 | (i >> 1 & 1) << 2;
        double norm2 = 0;
        const c128 *x = (const c128 *)t[v]->data;
        for (int k = 0; k < 1 << n; k++) norm2 += x[k].re * x[k].re + x[k].im * x[k].im;
        double complex want = CMPLX(x[r].re, x[r].im) / sqrt(norm2 * (1 << selects));
        if (round == 9 && v == 2) want = (r == 0) / sqrt(1 << selects);
        assert_true(cabs(got[i] - want) < 1e-13);
      }
      circuit_free(rt, &d);
    }
    if (selects == 2 && real && round != 9) assert_true(count_cx(&c) <= 4 + 8 + 16);
    /* backwards all is |0> again */
    for (int v = (1 << selects) - 1; v >= 0; v--)
      if (round != 9 || v != 2) add_load(&c, n, q, selects, (uint64_t)v, true, t[v]);
    Circuit d;
    double complex got[64] = {1};
    assert_int_equal(circuit_decompose(rt, &c, &b, BASIS_U_CX, &d), RT_OK);
    dense_run(&d, NULL, got);
    for (int i = 0; i < 1 << (n + selects); i++)
      assert_true(cabs(got[i] - (i % (1 << n) == 0) / sqrt(1 << selects)) < 1e-13);
    circuit_free(rt, &d);
    for (int v = 0; v < 1 << selects; v++) tensor_unref(rt, t[v]);
    circuit_free(rt, &c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_controls),
                                     cmocka_unit_test(test_matrices), cmocka_unit_test(test_values),
                                     cmocka_unit_test(test_load)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
