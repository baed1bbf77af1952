/* decompose.c: a circuit gate by gate in a small set of gates; runs of gates under the same
 * controls with different values become multiplexed ones.                          */
#include "runtime/circuit/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

RtStatus circuit_basis(Rt *rt, const char *text, CircuitBasis *out) {
  static const char *const word[] = {"u", "cx", "rz", "sx", "ry"};
  static const unsigned words[BASES] = {[BASIS_U_CX] = 1 | 2, [BASIS_RZ_SX_CX] = 2 | 4 | 8,
                                        [BASIS_RZ_RY_CX] = 2 | 4 | 16};
  unsigned seen = 0;
  for (const char *s = text; *s;) {
    size_t n = strcspn(s, ", ");
    unsigned found = n ? 32 : 0;
    for (unsigned k = 0; k < 5; k++)
      if (strlen(word[k]) == n && !strncmp(word[k], s, n)) found = 1u << k;
    seen |= found;
    s += n + (s[n] != 0);
  }
  for (int k = 0; k < BASES; k++)
    if (seen && seen == words[k]) {
      *out = (CircuitBasis)k;
      return RT_OK;
    }
  rt_fail(rt, RT_ERROR, "no basis of gates \"%s\"", text);
  rt_help(rt, "there are \"u,cx\", \"rz,sx,cx\", \"rz,ry,cx\" and \"two\"");
  return RT_ERROR;
}

/* ---- one gate ------------------------------------------------------------------------------ */

void job_angles(const Job *j, const Gate *g, double angle[3]) {
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    angle[k] = j->value[j->c->angle[g->angle + k]];
}

static Controls controls_of(const Circuit *c, const Gate *g) {
  Controls out = {.n = g->controls, .on = g->on};
  memcpy(out.q, c->qubit + g->qubit + g->targets, sizeof(int32_t) * g->controls);
  return out;
}

void job_matrix(const Job *j, const Gate *g, cplx *m) {
  double angle[3];
  c128 raw[16];
  job_angles(j, g, angle);
  gate_matrix(g, false, angle, raw);
  for (int k = 0; k < 1 << 2 * g->targets; k++) m[k] = CMPLX(raw[k].re, raw[k].im);
}

/* X and Y letters to Z, or back. */
static RtStatus letters_to_z(Lower *l, const char *letter, int n, const int32_t *q, bool back) {
  static const cplx h[4] = {M_SQRT1_2, M_SQRT1_2, M_SQRT1_2, -M_SQRT1_2};
  for (int k = 0; k < n; k++) {
    if (letter[k] == 'Y') RT_TRY(lower_rotation(l, 'X', q[k], back ? -M_PI / 2 : M_PI / 2, NULL));
    if (letter[k] != 'X') continue;
    RT_TRY(l->basis == BASIS_TWO ? lower_put(l, GATE_H, false, 1, q + k, NULL)
                                 : lower_one(l, q[k], h, NULL));
  }
  return RT_OK;
}

static RtStatus parity(Lower *l, int n, const int32_t *q) {
  for (int k = 0; k + 1 < n; k++) RT_TRY(lower_cx(l, q[k], q[n - 1]));
  return RT_OK;
}

static RtStatus pauli(Lower *l, const char *letter, int n, const int32_t *q, double t,
                      const Controls *c) {
  RT_TRY(letters_to_z(l, letter, n, q, false));
  RT_TRY(parity(l, n, q));
  RT_TRY(lower_rotation(l, 'Z', q[n - 1], t, c));
  RT_TRY(parity(l, n, q));
  return letters_to_z(l, letter, n, q, true);
}

RtStatus lower_paulis(Lower *l, const char *letter, int n, const int32_t *q, int selects,
                      const int32_t *sel, double *angle) {
  RT_TRY(letters_to_z(l, letter, n, q, false));
  RT_TRY(parity(l, n, q));
  RT_TRY(lower_mux(l, 'Z', q[n - 1], selects, sel, angle, NULL));
  RT_TRY(parity(l, n, q));
  return letters_to_z(l, letter, n, q, true);
}

static RtStatus swap(Lower *l, const int32_t *q, const Controls *c) {
  Controls more = *c;
  if (more.n == 64) return rt_fail(l->rt, RT_ERROR, "a swap with 64 controls");
  more.on = (more.on & ((1ull << more.n) - 1)) | 1ull << more.n;
  more.q[more.n++] = q[0];
  RT_TRY(lower_cx(l, q[1], q[0]));
  RT_TRY(lower_x(l, q[1], &more));
  return lower_cx(l, q[1], q[0]);
}

static RtStatus unitary(Job *j, const Gate *g, const int32_t *q, const Controls *c) {
  enum { MOST = 8 };
  int64_t d = 1ll << g->targets;
  size_t bytes = sizeof(cplx) * (size_t)(d * d);
  const c128 *from = (const c128 *)j->c->matrix[g->data]->data;
  if (g->targets > MOST)
    return rt_fail(j->l.rt, RT_ERROR, "the decomposition of a matrix on %d qubits: at most %d",
                   g->targets, MOST);
  cplx *m = rt_alloc(j->l.rt, bytes);
  if (!m) return j->l.rt->error.status;
  for (int64_t r = 0; r < d; r++)
    for (int64_t s = 0; s < d; s++) {
      c128 x = from[g->inverse ? s * d + r : r * d + s];
      m[r * d + s] = CMPLX(x.re, g->inverse ? -x.im : x.im);
    }
  RtStatus st = lower_unitary(&j->l, g->targets, q, m, c);
  rt_free(j->l.rt, m, bytes);
  return st;
}

RtStatus lower_gate(Job *j, const Gate *g) {
  Lower *l = &j->l;
  const int32_t *q = j->c->qubit + g->qubit;
  Controls c = controls_of(j->c, g);
  double angle[3] = {0};
  uint64_t none = 0;
  cplx m[16];
  job_angles(j, g, angle);
  double t = g->inverse ? -angle[0] : angle[0];
  switch (g->kind) {
  case GATE_ID: return RT_OK;
  case GATE_GPHASE: return lower_phase(l, t, &c);
  case GATE_SWAP: return swap(l, q, &c);
  case GATE_ISWAP:
    RT_TRY(pauli(l, "XX", 2, q, g->inverse ? M_PI / 2 : -M_PI / 2, &c));
    return pauli(l, "YY", 2, q, g->inverse ? M_PI / 2 : -M_PI / 2, &c);
  case GATE_PAULI: return pauli(l, j->c->letters[g->data], g->targets, q, t, &c);
  case GATE_RXX:
  case GATE_RYY:
  case GATE_RZZ: return pauli(l, gate_table[g->kind].generator, 2, q, t, &c);
  case GATE_RX:
  case GATE_RY:
  case GATE_RZ: return lower_rotation(l, gate_table[g->kind].generator[0], q[0], t, &c);
  case GATE_X: return lower_x(l, q[0], &c);
  case GATE_Z:
  case GATE_P:
    if (!c.n || c.n == 64) break;
    c.on = (c.on & ((1ull << c.n) - 1)) | 1ull << c.n;
    c.q[c.n++] = q[0];
    return lower_phase(l, g->kind == GATE_Z ? M_PI : t, &c);
  case GATE_UNITARY: return unitary(j, g, q, &c);
  case GATE_LOAD: return lower_loads(j, 1, &g, &none, 0, NULL, &c);
  default: break;
  }
  job_matrix(j, g, m);
  return lower_one(l, q[0], m, &c);
}

/* ---- the whole circuit ---------------------------------------------------------------------- */

/* Gates of one or two qubits that the basis has. */
static bool stays(const Job *j, const Gate *g) {
  if (g->kind >= GATE_MEASURE) return true;
  if (j->keep) return j->keep(g);
  if (j->l.basis != BASIS_TWO || g->targets + g->controls > 2) return false;
  if (!gate_table[g->kind].matrix || g->kind == GATE_ID) return false;
  return g->on == (1ull << g->controls) - 1;
}

static RtStatus keep_gate(Job *j, const Gate *g) {
  const int32_t *q = j->c->qubit + g->qubit;
  double angle[3];
  int32_t node[3];
  job_angles(j, g, angle);
  for (int k = 0; k < gate_table[g->kind].angles; k++) {
    node[k] = scalar_const(j->l.rt, &j->l.out->scalar, angle[k]);
    if (node[k] < 0) return j->l.rt->error.status;
  }
  return circuit_add(j->l.rt, j->l.out, *g, q, q + g->targets, node);
}

static int order(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static bool same_controls(const Circuit *c, const Gate *a, const Gate *b) {
  int32_t x[64], y[64];
  if (b->kind >= GATE_MEASURE || a->controls != b->controls || a->when != b->when) return false;
  memcpy(x, c->qubit + a->qubit + a->targets, sizeof *x * a->controls);
  memcpy(y, c->qubit + b->qubit + b->targets, sizeof *y * b->controls);
  qsort(x, a->controls, sizeof *x, order);
  qsort(y, b->controls, sizeof *y, order);
  return !memcmp(x, y, sizeof *x * a->controls);
}

static RtStatus lower_all(Job *j) {
  const Circuit *c = j->c;
  for (int64_t i = 0; i < c->n;) {
    const Gate *g = &c->gate[i];
    int64_t end = i + 1;
    j->l.when = g->when;
    RT_TRY(rt_poll(j->l.rt));
    if (g->kind < GATE_MEASURE && g->controls)
      while (end < c->n && same_controls(c, g, &c->gate[end])) end++;
    if (end - i > 1 && !j->keep && !(g->controls == 1 && j->l.basis == BASIS_TWO)) {
      RT_TRY(lower_run(j, i, end));
    } else {
      end = i + 1;
      RT_TRY(stays(j, g) ? keep_gate(j, g) : lower_gate(j, g));
    }
    i = end;
  }
  j->l.when = -1;
  double phase = remainder(j->l.phase, 2 * M_PI);
  return fabs(phase) < 1e-15 ? RT_OK : lower_put(&j->l, GATE_GPHASE, false, 0, NULL, &phase);
}

/* Registers, bits and conditions of c, no slots. */
static RtStatus like(Rt *rt, const Circuit *c, Circuit *out) {
  int64_t first;
  int32_t at;
  circuit_init(out);
  for (int k = 0; k < c->reg.n; k++) {
    const QubitArray *r = &c->reg.at[k];
    RT_TRY(circuit_register(rt, out, r->name, r->count, r->ancilla, &first));
  }
  for (int k = 0; k < c->bits.n; k++)
    RT_TRY(circuit_bits(rt, out, c->bits.at[k].name, c->bits.at[k].count, &first));
  for (int k = 0; k < c->n_when; k++) RT_TRY(circuit_when(rt, out, c->when[k], &at));
  if (!c->name) return RT_OK;
  size_t n = strlen(c->name) + 1;
  out->name = rt_alloc(rt, n);
  if (!out->name) return rt->error.status;
  memcpy(out->name, c->name, n);
  return RT_OK;
}

RtStatus circuit_decompose_some(Rt *rt, const Circuit *c, const CircuitBinding *b,
                                CircuitBasis basis, bool (*keep)(const Gate *g), Circuit *out) {
  Job j = {.l = {.rt = rt, .out = out, .basis = basis, .when = -1}, .c = c, .keep = keep};
  CircuitBinding one = *b;
  one.batch = 1;
  j.b = &one;
  RtStatus st = like(rt, c, out);
  if (!st) st = angles_run(rt, c, &one, &j.value);
  if (!st) st = lower_all(&j);
  angles_free(rt, c, &one, j.value);
  if (st) circuit_free(rt, out);
  return st;
}

RtStatus circuit_decompose(Rt *rt, const Circuit *c, const CircuitBinding *b, CircuitBasis basis,
                           Circuit *out) {
  return circuit_decompose_some(rt, c, b, basis, NULL, out);
}
