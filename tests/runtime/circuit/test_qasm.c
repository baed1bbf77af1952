/* test_qasm.c: circuits out as OpenQASM 2 and 3 and in again are the same circuits. */
#include "tests/runtime/fixture.h"
#include <stdlib.h>

#include "runtime/circuit/qasm.h"
#include "tests/runtime/circuit/random.h"

/* States from one start, equal up to a phase when `phase`. */
static void compare(const Circuit *a, const Circuit *b, const double *const *slot, bool phase) {
  int64_t size = 1ll << a->reg.qubits;
  double complex *x = malloc(sizeof *x * (size_t)size), *y = malloc(sizeof *y * (size_t)size);
  assert_int_equal(a->reg.qubits, b->reg.qubits);
  for (int64_t i = 0; i < size; i++) x[i] = y[i] = CMPLX(sin(i + 1), cos(2 * i)) / sqrt(size);
  dense_run(a, slot, x);
  dense_run(b, NULL, y);
  double complex turn = 1;
  if (phase) {
    turn = 0;
    double norm2 = 0;
    for (int64_t i = 0; i < size; i++) {
      turn += conj(y[i]) * x[i];
      norm2 += creal(x[i] * conj(x[i]));
    }
    turn /= norm2;
    assert_true(fabs(cabs(turn) - 1) < 1e-9);
  }
  for (int64_t i = 0; i < size; i++) assert_true(cabs(x[i] - turn * y[i]) < 1e-12);
  free(x);
  free(y);
}

static void test_round(void **state) {
  (void)state;
  double x[8];
  for (int k = 0; k < 8; k++) x[k] = k == 3 ? 0.75 * M_PI : k == 5 ? 1e-9 : sin(3.7 * k + 0.4);
  const double *slot[1] = {x};
  CircuitBinding b = {1, slot, (int64_t[]){0}};
  for (int n = 1; n <= 6; n++)
    for (int round = 0; round < 12; round++) {
      Circuit c, d;
      Buf text = {0};
      int version = 2 + round % 2;
      random_circuit(&c, n, 30);
      assert_int_equal(qasm_write(rt, &c, &b, version, &text), RT_OK);
      if (qasm_read(rt, text.data, text.len, "text", &d)) {
        print_message("%s\n%s\n", rt->error.message, text.data);
        fail();
      }
      compare(&c, &d, slot, version == 2);
      /* what was read is written and read as the same text */
      Buf again = {0};
      CircuitBinding none = {1, NULL, NULL};
      assert_int_equal(qasm_write(rt, &d, &none, version, &again), RT_OK);
      Circuit e;
      assert_int_equal(qasm_read(rt, again.data, again.len, "text", &e), RT_OK);
      compare(&c, &e, slot, version == 2);
      buf_free(&text);
      buf_free(&again);
      circuit_free(rt, &c);
      circuit_free(rt, &d);
      circuit_free(rt, &e);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_round)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
