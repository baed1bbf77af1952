/* random.h: random circuits for tests: every unitary gate, controls, inverses, angles from a
 * slot of 8 numbers.                                                                */
#ifndef TEST_CIRCUIT_RANDOM_H
#define TEST_CIRCUIT_RANDOM_H
#include "tests/runtime/circuit/dense.h"

static uint64_t draw_state = 1;
static int draw(int n) {
  draw_state = draw_state * 6364136223846793005ull + 1442695040888963407ull;
  return (int)((draw_state >> 33) % (uint64_t)n);
}

/* k different qubits of n in q */
static void draw_qubits(int n, int k, int32_t *q) {
  for (int i = 0; i < k; i++) {
    bool again = true;
    while (again) {
      q[i] = draw(n);
      again = false;
      for (int j = 0; j < i; j++) again = again || q[j] == q[i];
    }
  }
}

static void random_gate(Circuit *c, int n, int32_t slot) {
  int kind = draw(GATE_U + 1), targets = gate_table[kind].targets;
  int32_t q[16], angle[3];
  Gate g = {.kind = (uint8_t)kind, .data = -1, .when = -1, .on = (uint64_t)draw(256)};
  if (kind == GATE_PAULI) {
    char letters[4] = {0};
    targets = 1 + draw(n < 3 ? n : 3);
    for (int k = 0; k < targets; k++) letters[k] = "XYZ"[draw(3)];
    assert_int_equal(circuit_letters(rt, c, letters, &g.data), RT_OK);
  }
  if (targets > n) return;
  int most = n - targets < 3 ? n - targets : 3, controls = draw(2) ? draw(most + 1) : 0;
  g.targets = (uint16_t)targets;
  g.controls = (uint16_t)controls;
  g.inverse = draw(2) && !gate_table[kind].self_inverse;
  draw_qubits(n, targets + controls, q);
  for (int k = 0; k < 3; k++) {
    angle[k] = scalar_slot(rt, &c->scalar, slot, draw(8));
    if (draw(3) == 0)
      angle[k] = scalar_binary(rt, &c->scalar, SCALAR_MUL, angle[k],
                               scalar_slot(rt, &c->scalar, slot, draw(8)));
  }
  assert_int_equal(circuit_add(rt, c, g, q, q + targets, angle), RT_OK);
}

static void random_circuit(Circuit *c, int n, int gates) {
  int64_t first, shape[1] = {8};
  int32_t slot;
  circuit_init(c);
  assert_int_equal(circuit_register(rt, c, "w", n, false, &first), RT_OK);
  assert_int_equal(circuit_slot(rt, c, "t", false, 1, shape, &slot), RT_OK);
  for (int k = 0; k < gates; k++) random_gate(c, n, slot);
}
#endif
