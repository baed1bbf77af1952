/* dense.h: the plainest simulation of unitary circuits, gate by gate on the whole vector, from
 * the matrices of the table: what everything faster is compared with.             */
#ifndef TEST_CIRCUIT_DENSE_H
#define TEST_CIRCUIT_DENSE_H
#include "runtime/circuit/circuit.h"
#include <complex.h>
#include <math.h>
#include <string.h>

/* The matrix of a gate on its targets, [D, D]; angles are given. */
static void dense_matrix(const Circuit *c, const Gate *g, const double *angle, double complex *m) {
  const GateRow *row = &gate_table[g->kind];
  int64_t d = 1ll << g->targets;
  c128 raw[16];
  if (row->matrix) {
    row->matrix(angle, raw);
    for (int i = 0; i < d * d; i++) m[i] = CMPLX(raw[i].re, raw[i].im);
  } else if (g->kind == GATE_GPHASE) {
    m[0] = cexp(CMPLX(0, angle[0]));
  } else if (g->kind == GATE_UNITARY) {
    const c128 *x = (const c128 *)c->matrix[g->data]->data;
    for (int64_t i = 0; i < d * d; i++) m[i] = CMPLX(x[i].re, x[i].im);
  } else if (g->kind == GATE_PAULI) {
    /* column j has one entry: at j with the X and Y letters flipped */
    const char *letter = c->letters[g->data];
    memset(m, 0, sizeof *m * (size_t)(d * d));
    for (int64_t j = 0; j < d; j++) {
      int64_t i = j;
      double complex v = 1;
      for (int k = 0; k < g->targets; k++) {
        bool one = j >> k & 1;
        if (letter[k] == 'X' || letter[k] == 'Y') i ^= 1ll << k;
        if (letter[k] == 'Y') v *= one ? -I : I;
        if (letter[k] == 'Z' && one) v = -v;
      }
      m[i * d + j] -= I * sin(angle[0] / 2) * v;
      m[j * d + j] += cos(angle[0] / 2);
    }
  }
  if (g->inverse)
    for (int64_t i = 0; i < d; i++)
      for (int64_t j = 0; j <= i; j++) {
        double complex a = conj(m[i * d + j]), b = conj(m[j * d + i]);
        m[i * d + j] = b;
        m[j * d + i] = a;
      }
}

/* psi := gate psi.  Gates of up to 6 targets. */
static void dense_gate(const Circuit *c, const Gate *g, const double *angle, double complex *psi) {
  if (g->kind == GATE_BARRIER) return;
  double complex m[64 * 64], in[64];
  dense_matrix(c, g, angle, m);
  const int32_t *q = c->qubit + g->qubit;
  int64_t size = 1ll << c->reg.qubits, d = 1ll << g->targets, all = 0;
  for (int k = 0; k < g->targets; k++) all |= 1ll << q[k];
  for (int64_t i = 0; i < size; i++) {
    bool on = !(i & all);
    for (int k = 0; k < g->controls; k++)
      on = on && (i >> q[g->targets + k] & 1) == (int64_t)(g->on >> k & 1);
    if (!on) continue;
    int64_t at[64];
    for (int64_t r = 0; r < d; r++) {
      at[r] = i;
      for (int k = 0; k < g->targets; k++) at[r] |= (r >> k & 1) << q[k];
      in[r] = psi[at[r]];
    }
    for (int64_t r = 0; r < d; r++) {
      psi[at[r]] = 0;
      for (int64_t k = 0; k < d; k++) psi[at[r]] += m[r * d + k] * in[k];
    }
  }
}

/* All gates with the slots' values; psi [2^qubits]. */
static void dense_run(const Circuit *c, const double *const *slot, double complex *psi) {
  int64_t stride[64] = {0};
  double *value = malloc(sizeof *value * (size_t)(c->scalar.n + 1));
  scalar_run(&c->scalar, 1, slot, stride, value);
  for (int64_t i = 0; i < c->n; i++) {
    const Gate *g = &c->gate[i];
    double angle[3] = {0};
    for (int k = 0; k < gate_table[g->kind].angles; k++) angle[k] = value[c->angle[g->angle + k]];
    dense_gate(c, g, angle, psi);
  }
  free(value);
}
#endif
