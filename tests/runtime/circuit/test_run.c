/* test_run.c: states of random circuits against the plain simulation, batches, encoding. */
#include "tests/runtime/fixture.h"
#include <stdlib.h>

#include "runtime/circuit/run.h"
#include "tests/runtime/circuit/random.h"

static void compare(const c128 *got, const double complex *want, int64_t size) {
  for (int64_t i = 0; i < size; i++)
    assert_true(cabs(CMPLX(got[i].re, got[i].im) - want[i]) < 1e-12);
}

static void test_states(void **state) {
  (void)state;
  enum { BATCH = 3 };
  for (int n = 1; n <= 9; n++)
    for (int round = 0; round < 6; round++) {
      Circuit c;
      random_circuit(&c, n, 40);
      double x[BATCH][8];
      for (int k = 0; k < BATCH * 8; k++) x[k / 8][k % 8] = sin(3.7 * k + n + round);
      const double *slot[1] = {x[0]};
      int64_t stride[1] = {8}, size = 1ll << n;
      CircuitBinding b = {BATCH, slot, stride};
      CircuitPlan *p;
      c128 *amp = aligned_alloc(64, ((size_t)(BATCH * size) * sizeof *amp + 127) & ~(size_t)63);
      double complex *want = malloc((size_t)size * sizeof *want);
      assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
      assert_int_equal(circuit_run(rt, p, &b, false, NULL, amp), RT_OK);
      for (int k = 0; k < BATCH; k++) {
        const double *one[1] = {x[k]};
        memset(want, 0, (size_t)size * sizeof *want);
        want[0] = 1;
        dense_run(&c, one, want);
        compare(amp + k * size, want, size);
      }
      circuit_plan_free(rt, p);
      circuit_free(rt, &c);
      free(amp);
      free(want);
    }
}

/* Sizes that are done in blocks; single precision; from a given state; bits on 1 and 3 threads. */
static void test_blocks(void **state) {
  (void)state;
  for (int round = 0; round < 8; round++) {
    int n = round < 2 ? 6 + round : 14 + round / 2;
    Circuit c;
    random_circuit(&c, n, 60);
    double x[8];
    for (int k = 0; k < 8; k++) x[k] = sin(2.9 * k + round);
    const double *slot[1] = {x};
    int64_t stride[1] = {0}, size = 1ll << n;
    CircuitBinding b = {1, slot, stride};
    CircuitPlan *p;
    c128 *from = aligned_alloc(64, ((size_t)size * sizeof *from + 63) & ~(size_t)63);
    c128 *amp = aligned_alloc(64, ((size_t)size * sizeof *amp + 63) & ~(size_t)63);
    c128 *again = aligned_alloc(64, ((size_t)size * sizeof *again + 63) & ~(size_t)63);
    c64 *from32 = aligned_alloc(64, ((size_t)size * sizeof *from32 + 63) & ~(size_t)63);
    c64 *amp32 = aligned_alloc(64, ((size_t)size * sizeof *amp32 + 63) & ~(size_t)63);
    double complex *want = malloc((size_t)size * sizeof *want);
    for (int64_t i = 0; i < size; i++) {
      from32[i] = (c64){(float)sin(1.1 * (double)i), (float)cos(0.3 * (double)i)};
      from[i] = (c128){(double)from32[i].re, (double)from32[i].im};
      want[i] = CMPLX(from[i].re, from[i].im);
    }
    dense_run(&c, slot, want);
    assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
    rt->threads = 1;
    assert_int_equal(circuit_run(rt, p, &b, false, from, amp), RT_OK);
    compare(amp, want, size);
    rt->threads = 3;
    assert_int_equal(circuit_run(rt, p, &b, false, from, again), RT_OK);
    assert_memory_equal(amp, again, (size_t)size * sizeof *amp);
    assert_int_equal(circuit_run(rt, p, &b, true, from32, amp32), RT_OK);
    for (int64_t i = 0; i < size; i++)
      assert_true(cabs(CMPLX((double)amp32[i].re, (double)amp32[i].im) - want[i]) < 2e-5);
    circuit_plan_free(rt, p);
    circuit_free(rt, &c);
    free(from);
    free(amp);
    free(again);
    free(from32);
    free(amp32);
    free(want);
  }
}

/* |x>, with x_0 zero, negative, complex; U_x is unitary and its inverse undoes it. */
static void test_load(void **state) {
  (void)state;
  double x[4][8] = {{0, 0, 1, 2, -1, 0.5, 3, 0}, {-1, 0, 0, 0, 0, 0, 0, 0},
                    {0.3, -0.4, 0.1, 0.2, 0, 0, 0.7, 0}, {1e-9, 0, 1, 0, 0, 0, 0, 0}};
  for (int k = 0; k < 4; k++) {
    Circuit c;
    int64_t first, shape[1] = {4};
    int32_t slot, q[2] = {2, 0}, data;
    circuit_init(&c);
    assert_int_equal(circuit_register(rt, &c, "w", 3, false, &first), RT_OK);
    assert_int_equal(circuit_slot(rt, &c, "x", true, 1, shape, &slot), RT_OK);
    assert_int_equal(circuit_load(rt, &c, (LoadView){slot, 0, 4, true}, &data), RT_OK);
    Gate g = {.kind = GATE_LOAD, .targets = 2, .data = data, .when = -1};
    assert_int_equal(circuit_add(rt, &c, g, q, NULL, NULL), RT_OK);
    const double *values[1] = {x[k]};
    CircuitBinding b = {1, values, (int64_t[]){0}};
    CircuitPlan *p;
    c128 amp[8], from[8];
    double norm2 = 0;
    for (int i = 0; i < 8; i++) norm2 += x[k][i] * x[k][i];
    assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
    assert_int_equal(circuit_run(rt, p, &b, false, NULL, amp), RT_OK);
    for (int r = 0; r < 4; r++) { /* bit 0 of r is qubit 2, bit 1 qubit 0 */
      c128 a = amp[(r & 1) << 2 | r >> 1];
      assert_true(hypot(a.re - x[k][2 * r] / sqrt(norm2), a.im - x[k][2 * r + 1] / sqrt(norm2)) < 1e-15);
    }
    g.inverse = true;
    assert_int_equal(circuit_add(rt, &c, g, q, NULL, NULL), RT_OK);
    circuit_plan_free(rt, p);
    assert_int_equal(circuit_plan(rt, &c, &p), RT_OK);
    for (int i = 0; i < 8; i++) from[i] = (c128){sin(i + 1), cos(3 * i)};
    assert_int_equal(circuit_run(rt, p, &b, false, from, amp), RT_OK);
    for (int i = 0; i < 8; i++)
      assert_true(hypot(amp[i].re - from[i].re, amp[i].im - from[i].im) < 1e-14);
    memset(x[k], 0, sizeof x[k]);
    assert_int_equal(circuit_run(rt, p, &b, false, NULL, amp), RT_ERROR);
    assert_string_equal(rt->error.message, "`load` of a vector of zeros");
    circuit_plan_free(rt, p);
    circuit_free(rt, &c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_states), cmocka_unit_test(test_blocks),
                                     cmocka_unit_test(test_load)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
