/* test_back.c: derivatives of circuits against central differences: every gate with controls
 * and inverses, shared and separate slots of a batch, loaded vectors real and complex. */
#include "tests/runtime/fixture.h"
#include <stdlib.h>

#include "runtime/circuit/run.h"
#include "tests/runtime/circuit/random.h"

typedef struct {
  Circuit *c;
  CircuitBinding b;
  c128 *amp, *w;             /* state, weights of L = sum Re w* amp                */
  int64_t size;              /* all items                                          */
} Case;

static double value_of(Case *t) {
  CircuitPlan *p;
  double sum = 0;
  assert_int_equal(circuit_plan(rt, t->c, &p), RT_OK);
  assert_int_equal(circuit_run(rt, p, &t->b, false, NULL, t->amp), RT_OK);
  for (int64_t i = 0; i < t->size; i++) sum += t->w[i].re * t->amp[i].re + t->w[i].im * t->amp[i].im;
  circuit_plan_free(rt, p);
  return sum;
}

/* Slot s has n[s] doubles x[s]. */
static void check(Case *t, int slots, double **x, const int64_t *n) {
  double *got[4];
  CircuitPlan *p;
  c128 *adjoint = malloc((size_t)t->size * sizeof *adjoint);
  value_of(t);
  memcpy(adjoint, t->w, (size_t)t->size * sizeof *adjoint);
  for (int s = 0; s < slots; s++) got[s] = calloc((size_t)n[s], sizeof **got);
  assert_int_equal(circuit_plan(rt, t->c, &p), RT_OK);
  assert_int_equal(circuit_run_back(rt, p, &t->b, t->amp, adjoint, got), RT_OK);
  circuit_plan_free(rt, p);
  for (int s = 0; s < slots; s++)
    for (int64_t k = 0; k < n[s]; k++) {
      double keep = x[s][k], h = 1e-5, f[2];
      for (int e = 0; e < 2; e++) {
        x[s][k] = keep + (e ? h : -h);
        f[e] = value_of(t);
      }
      x[s][k] = keep;
      double want = (f[1] - f[0]) / (2 * h);
      if (fabs(got[s][k] - want) > 1e-8 * (1 + fabs(want)))
        print_message("slot %d number %d: %g, differences %g\n", s, (int)k, got[s][k], want);
      assert_true(fabs(got[s][k] - want) <= 1e-8 * (1 + fabs(want)));
    }
  for (int s = 0; s < slots; s++) free(got[s]);
  free(adjoint);
}

static void open_case(Case *t, Circuit *c, CircuitBinding b) {
  *t = (Case){c, b, NULL, NULL, b.batch << c->reg.qubits};
  t->amp = aligned_alloc(64, ((size_t)t->size * sizeof *t->amp + 63) & ~(size_t)63);
  t->w = malloc((size_t)t->size * sizeof *t->w);
  for (int64_t i = 0; i < t->size; i++) t->w[i] = (c128){sin(1.3 * (double)i), cos(0.7 * (double)i)};
}

static void close_case(Case *t) {
  circuit_free(rt, t->c);
  free(t->amp);
  free(t->w);
}

static void test_angles(void **state) {
  (void)state;
  for (int round = 0; round < 36; round++) {
    int n = 1 + round % 9, shared = round & 1;
    Circuit c;
    Case t;
    random_circuit(&c, n, 25);
    double x[16], *one[1] = {x};
    for (int k = 0; k < 16; k++) x[k] = 1.5 * sin(2.1 * k + round);
    const double *slot[1] = {x};
    int64_t stride[1] = {shared ? 0 : 8};
    open_case(&t, &c, (CircuitBinding){2, slot, stride});
    check(&t, 1, one, (int64_t[]){shared ? 8 : 16});
    close_case(&t);
  }
}

/* Sizes that are done in blocks; the same bits on 1 and 3 threads. */
static void test_blocks(void **state) {
  (void)state;
  for (int n = 14; n < 18; n++) {
    Circuit c;
    Case t;
    random_circuit(&c, n, 40);
    double x[8], *one[1] = {x}, got[2][8] = {{0}};
    for (int k = 0; k < 8; k++) x[k] = 1.5 * sin(2.1 * k + n);
    const double *slot[1] = {x};
    open_case(&t, &c, (CircuitBinding){1, slot, (int64_t[]){0}});
    for (int64_t i = 0; i < t.size; i++) /* keeps the differences small */
      t.w[i] = (c128){t.w[i].re / 64, t.w[i].im / 64};
    check(&t, 1, one, (int64_t[]){8});
    for (int k = 0; k < 2; k++) {
      double *to[1] = {got[k]};
      CircuitPlan *p;
      c128 *adjoint = malloc((size_t)t.size * sizeof *adjoint);
      memcpy(adjoint, t.w, (size_t)t.size * sizeof *adjoint);
      rt->threads = k ? 3 : 1;
      value_of(&t);
      assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
      assert_int_equal(circuit_run_back(rt, p, &t.b, t.amp, adjoint, to), RT_OK);
      circuit_plan_free(rt, p);
      free(adjoint);
    }
    assert_memory_equal(got[0], got[1], sizeof got[0]);
    close_case(&t);
  }
}

/* random gates, load on q0 q1 (controlled by q2 or not, inverted or not), random gates */
static void test_load(void **state) {
  (void)state;
  for (int round = 0; round < 24; round++) {
    bool wide = round & 1, inverse = round >> 1 & 1, fresh = round >> 2 & 1;
    int controls = round >> 3 & 1;
    Circuit c;
    Case t;
    random_circuit(&c, 3, fresh ? 0 : 10);
    int64_t shape[1] = {4};
    int32_t slot, data, q[3] = {2, 0, 1};
    assert_int_equal(circuit_slot(rt, &c, "x", wide, 1, shape, &slot), RT_OK);
    assert_int_equal(circuit_load(rt, &c, (LoadView){slot, 0, 4, wide}, &data), RT_OK);
    Gate g = {.kind = GATE_LOAD, .targets = 2, .controls = (uint16_t)controls, .on = 1,
              .data = data, .when = -1, .inverse = inverse};
    assert_int_equal(circuit_add(rt, &c, g, q, q + 2, NULL), RT_OK);
    for (int k = 0; k < 6; k++) random_gate(&c, 3, 0);
    double angle[8], x[16], *both[2] = {angle, x};
    for (int k = 0; k < 8; k++) angle[k] = cos(1.7 * k + round);
    for (int k = 0; k < 16; k++) x[k] = sin(2.9 * k + 0.3 * round + 0.4);
    if (round == 5) x[0] = x[1] = 0; /* on fresh qubits that is no edge */
    const double *slots[2] = {angle, x};
    int64_t stride[2] = {0, wide ? 8 : 4};
    open_case(&t, &c, (CircuitBinding){2, slots, stride});
    check(&t, 2, both, (int64_t[]){8, wide ? 16 : 8});
    close_case(&t);
  }
}

static void test_refused(void **state) {
  (void)state;
  Circuit c;
  Case t;
  random_circuit(&c, 2, 3);
  Gate g = {.kind = GATE_RESET, .targets = 1, .data = -1, .when = -1};
  assert_int_equal(circuit_add(rt, &c, g, (int32_t[]){0}, NULL, NULL), RT_OK);
  double x[8] = {0}, *got[1] = {x};
  const double *slot[1] = {x};
  open_case(&t, &c, (CircuitBinding){1, slot, (int64_t[]){0}});
  CircuitPlan *p;
  assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
  assert_int_equal(circuit_run_back(rt, p, &t.b, t.amp, t.w, got), RT_ERROR);
  assert_string_equal(rt->error.message, "a circuit with `reset` has no derivative");
  circuit_plan_free(rt, p);
  close_case(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_angles), cmocka_unit_test(test_blocks),
                                     cmocka_unit_test(test_load),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
