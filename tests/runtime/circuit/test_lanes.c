/* test_lanes.c: batches of small circuits against one set at a time, states and derivatives; the
 * kernels of all instruction sets give the same bits; sines against the C library's.     */
#include "tests/runtime/fixture.h"
#include <stdlib.h>

#include "runtime/circuit/lanes.h"
#include "runtime/tensor/kernels_levels.h"
#include "tests/runtime/circuit/random.h"

enum { SETS = 13, ANGLES = 8, MOST = 1 << LANE_QUBITS };

static bool turning(int kind) {
  return kind == GATE_RX || kind == GATE_RY || kind == GATE_RZ || kind == GATE_P;
}

/* Gates that lanes have; back: whose derivatives they have. */
static void lane_circuit(Circuit *c, int n, int gates, bool back) {
  random_circuit(c, n, 0);
  while (c->n < gates) {
    int64_t before = c->n;
    random_gate(c, n, 0);
    int kind = c->n > before ? c->gate[before].kind : GATE_ID;
    if (kind == GATE_PAULI || kind == GATE_GPHASE) c->n = before;
    if (back && gate_table[kind].angles && !turning(kind)) c->n = before;
  }
}

static void draw_angles(double *t, int64_t n) {
  for (int64_t k = 0; k < n; k++) t[k] = 0.001 * draw(12000) - 6;
}

static void near(const double *a, const double *b, int64_t n, double tol) {
  for (int64_t i = 0; i < n; i++) {
    if (!(fabs(a[i] - b[i]) <= tol)) print_message("%d: %.17g %.17g\n", (int)i, a[i], b[i]);
    assert_true(fabs(a[i] - b[i]) <= tol);
  }
}

static void test_states(void **state) {
  (void)state;
  static c128 many[SETS * MOST], one[MOST];
  double t[SETS * ANGLES];
  for (int k = 0; k < 60; k++) {
    int n = 1 + draw(LANE_QUBITS), batch = 4 + draw(SETS - 3);
    const double *slot[1] = {t};
    CircuitBinding b = {batch, slot, (int64_t[]){k % 5 ? ANGLES : 0}};
    CircuitPlan *p;
    Circuit c;
    lane_circuit(&c, n, 40, false);
    draw_angles(t, SETS * ANGLES);
    t[draw(SETS * ANGLES)] *= 1e7; /* too far for the lanes' own sines */
    assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
    assert_true(lanes_fit(p, &b));
    assert_int_equal(circuit_run(rt, p, &b, false, NULL, many), RT_OK);
    for (int item = 0; item < batch; item++) {
      const double *from[1] = {t + item * b.stride[0]};
      CircuitBinding single = {1, from, (int64_t[]){0}};
      assert_false(lanes_fit(p, &single));
      assert_int_equal(circuit_run(rt, p, &single, false, NULL, one), RT_OK);
      near((const double *)(many + ((int64_t)item << n)), (const double *)one, 2ll << n, 1e-13);
    }
    circuit_plan_free(rt, p);
    circuit_free(rt, &c);
  }
}

static void test_derivatives(void **state) {
  (void)state;
  static c128 amp[SETS * MOST], adjoint[SETS * MOST], weight[SETS * MOST];
  for (int k = 0; k < 40; k++) {
    double t[SETS * ANGLES], got[SETS * ANGLES] = {0}, want[SETS * ANGLES] = {0};
    int n = 1 + draw(LANE_QUBITS), batch = 4 + draw(SETS - 3);
    const double *slot[1] = {t};
    double *to[1] = {got};
    CircuitBinding b = {batch, slot, (int64_t[]){k % 5 ? ANGLES : 0}};
    CircuitPlan *p;
    Circuit c;
    lane_circuit(&c, n, 40, true);
    draw_angles(t, SETS * ANGLES);
    for (int64_t i = 0; i < (int64_t)batch << n; i++)
      weight[i] = adjoint[i] = (c128){0.01 * draw(200) - 1, 0.01 * draw(200) - 1};
    assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
    assert_true(lanes_fit_back(p, &b));
    assert_int_equal(circuit_run(rt, p, &b, false, NULL, amp), RT_OK);
    assert_int_equal(circuit_run_back(rt, p, &b, amp, adjoint, to), RT_OK);
    for (int item = 0; item < batch; item++) {
      const double *from[1] = {t + item * b.stride[0]};
      double *add[1] = {want + item * b.stride[0]};
      CircuitBinding single = {1, from, (int64_t[]){0}};
      memcpy(adjoint, weight + ((int64_t)item << n), sizeof *adjoint << n);
      assert_int_equal(circuit_run(rt, p, &single, false, NULL, amp), RT_OK);
      assert_int_equal(circuit_run_back(rt, p, &single, amp, adjoint, add), RT_OK);
    }
    for (int i = 0; i < SETS * ANGLES; i++) near(&got[i], &want[i], 1, 1e-10 * (1 + fabs(want[i])));
    circuit_plan_free(rt, p);
    circuit_free(rt, &c);
  }
}

/* ---- kernels ---------------------------------------------------------------------------- */

typedef struct {
  _Alignas(64) double x[2][16 * 16], m[32 * LANES], sum[LANES], sine[2][LANES];
} Room;

static void all_kernels(const LaneTable *l, const CircuitPlan *p, const Gate *g, Room *r) {
  Visit v;
  uint64_t a = 1ull << p->c->qubit[g->qubit];
  visit_of(p->c, g, p->n, &v);
  for (int form = LANE_FULL; form <= LANE_PHASE; form++) l->one(r->x[0], &v, a, form, r->m);
  for (int kind = GATE_RX; kind <= GATE_P; kind++) {
    double sum[LANES] __attribute__((aligned(64)));
    l->slope(r->x[0], r->x[1], &v, a, kind, sum);
    for (int k = 0; k < LANES; k++) r->sum[k] += sum[k];
  }
  l->two(r->x[1], &v, (uint64_t[4]){0, a, a, a}, r->m);
  l->sincos(r->m, r->sine[0], r->sine[1]);
}

static void test_levels(void **state) {
  (void)state;
#ifdef QA_KERNEL_LEVELS
  for (int k = 0; k < 50; k++) {
    Room start, first, other;
    CircuitPlan *p;
    Circuit c;
    lane_circuit(&c, 4, 1, false);
    memset(&start, 0, sizeof start);
    for (int i = 0; i < 2 * 16 * 16; i++) start.x[i / 256][i % 256] = 0.01 * draw(999);
    for (int i = 0; i < 32 * LANES; i++) start.m[i] = 1e-3 * draw(99999) - 50;
    assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
    first = start;
    all_kernels(&lanes_base, p, &c.gate[0], &first);
    for (int level = 3; level <= 4; level++) {
      if (level == 3 && !__builtin_cpu_supports("x86-64-v3")) continue;
      if (level == 4 && !__builtin_cpu_supports("x86-64-v4")) continue;
      other = start;
      all_kernels(level == 3 ? &lanes_v3 : &lanes_v4, p, &c.gate[0], &other);
      assert_memory_equal(&other, &first, sizeof first);
    }
    circuit_plan_free(rt, p);
    circuit_free(rt, &c);
  }
#endif
}

static void test_sines(void **state) {
  (void)state;
  for (int k = 0; k < 200000; k += LANES) {
    _Alignas(64) double t[LANES], s[LANES], c[LANES];
    for (int l = 0; l < LANES; l++) {
      double far = k % 3 ? 8 : LANE_ANGLE;
      t[l] = far * (1e-9 * draw(2000000000) - 1);
      if (k < 4096) t[l] = M_PI / 4 * (k / LANES - 256) + 1e-9 * l; /* where quadrants meet */
    }
    lanes_base.sincos(t, s, c);
    for (int l = 0; l < LANES; l++) {
      assert_true(fabs(s[l] - sin(t[l])) <= 0x1p-52);
      assert_true(fabs(c[l] - cos(t[l])) <= 0x1p-52);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_states), cmocka_unit_test(test_derivatives),
      cmocka_unit_test(test_levels), cmocka_unit_test(test_sines)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
