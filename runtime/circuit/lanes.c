/* lanes.c: batches of small circuits, eight parameter sets at a time, gate by gate.  */
#include "runtime/circuit/lanes.h"
#include "runtime/tensor/kernels_levels.h"

#include <math.h>
#include <string.h>

enum { FEW_SETS = 4 };

typedef struct {
  const CircuitPlan *p;
  const CircuitBinding *b;
  const double *value;
  const LaneTable *table;
  int64_t item;              /* of lane 0                                           */
  int sets;                  /* of LANES; the others repeat the last                */
} LaneJob;

static const LaneTable *lane_table(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &lanes_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &lanes_v3;
#endif
  return &lanes_base;
}

static bool turns(int kind) {
  return kind == GATE_RX || kind == GATE_RY || kind == GATE_RZ || kind == GATE_P;
}

/* A matrix on one or two qubits, the same gate for all sets. */
static bool fits(const Gate *g) {
  if (g->kind == GATE_ID || g->kind == GATE_BARRIER) return true;
  bool matrix = gate_table[g->kind].matrix || g->kind == GATE_UNITARY;
  return matrix && g->when < 0 && (g->targets == 1 || g->targets == 2);
}

bool lanes_fit(const CircuitPlan *p, const CircuitBinding *b) {
  if (b->batch < FEW_SETS || p->n > LANE_QUBITS) return false;
  for (int64_t i = 0; i < p->c->n; i++)
    if (!fits(&p->c->gate[i])) return false;
  return true;
}

bool lanes_fit_back(const CircuitPlan *p, const CircuitBinding *b) {
  if (!lanes_fit(p, b)) return false;
  for (int64_t i = 0; i < p->c->n; i++) {
    int kind = p->c->gate[i].kind;
    if (gate_table[kind].angles && !turns(kind)) return false;
  }
  return true;
}

/* ---- matrices ----------------------------------------------------------------------- */

static void put(double *m, int entry, int lane, c128 x) {
  m[2 * LANES * entry + lane] = x.re;
  m[2 * LANES * entry + LANES + lane] = x.im;
}

static void angle_of(const LaneJob *j, const Gate *g, int k, double *t) {
  const double *from = j->value + j->p->c->angle[g->angle + k] * j->b->batch + j->item;
  for (int l = 0; l < LANES; l++) t[l] = from[l < j->sets ? l : j->sets - 1];
}

/* RX, RY, RZ, P of LANES angles. */
static LaneForm turn_matrix(const LaneJob *j, const Gate *g, bool inverse, double *m) {
  _Alignas(64) double t[LANES], s[LANES], c[LANES];
  double f = (g->inverse == inverse ? 1 : -1) * (g->kind == GATE_P ? 1 : 0.5);
  bool far = false;
  angle_of(j, g, 0, t);
  for (int l = 0; l < LANES; l++) {
    t[l] *= f;
    far = far || !(fabs(t[l]) < LANE_ANGLE);
  }
  if (!far) j->table->sincos(t, s, c);
  for (int l = 0; far && l < LANES; l++) sincos(t[l], &s[l], &c[l]);
  for (int l = 0; l < LANES; l++) {
    switch (g->kind) {
    case GATE_RX:
      put(m, 0, l, (c128){c[l], 0});
      put(m, 1, l, (c128){0, -s[l]});
      put(m, 2, l, (c128){0, -s[l]});
      put(m, 3, l, (c128){c[l], 0});
      break;
    case GATE_RY:
      put(m, 0, l, (c128){c[l], 0});
      put(m, 1, l, (c128){-s[l], 0});
      put(m, 2, l, (c128){s[l], 0});
      put(m, 3, l, (c128){c[l], 0});
      break;
    case GATE_RZ: put(m, 0, l, (c128){c[l], -s[l]}); /* fall through */
    default: put(m, 3, l, (c128){c[l], s[l]});
    }
  }
  return g->kind == GATE_RX ? LANE_FULL : g->kind == GATE_RY ? LANE_REAL
         : g->kind == GATE_RZ ? LANE_DIAGONAL : LANE_PHASE;
}

static LaneForm form_of(const c128 *m) {
  bool real = true;
  for (int k = 0; k < 4; k++) real = real && m[k].im == 0;
  if (m[1].re == 0 && m[1].im == 0 && m[2].re == 0 && m[2].im == 0)
    return m[0].re == 1 && m[0].im == 0 ? LANE_PHASE : LANE_DIAGONAL;
  return real ? LANE_REAL : LANE_FULL;
}

/* Any other matrix, set by set or one for all. */
static LaneForm other_matrix(const LaneJob *j, const Gate *g, bool inverse, double *m) {
  int d = 1 << g->targets, angles = gate_table[g->kind].angles;
  double t[3][LANES], angle[3] = {0};
  LaneForm form = LANE_FULL;
  Gate turned = *g;
  turned.inverse = g->inverse != inverse;
  for (int k = 0; k < angles; k++) angle_of(j, g, k, t[k]);
  for (int l = 0; l < LANES; l++) {
    c128 one[16];
    for (int k = 0; k < angles; k++) angle[k] = t[k][l];
    if (!l || angles) gate_matrix_any(j->p->c, &turned, angle, one);
    if (!l && !angles && d == 2) form = form_of(one);
    for (int k = 0; k < d * d; k++) put(m, k, l, one[k]);
  }
  return form;
}

static void lane_gate(const LaneJob *j, const Gate *g, bool inverse, double *psi,
                      double *adjoint) {
  _Alignas(64) double m[16 * 2 * LANES];
  const int32_t *q = j->p->c->qubit + g->qubit;
  Visit v;
  if (g->kind == GATE_ID || g->kind == GATE_BARRIER) return;
  visit_of(j->p->c, g, j->p->n, &v);
  LaneForm form = turns(g->kind) ? turn_matrix(j, g, inverse, m) : other_matrix(j, g, inverse, m);
  for (double *x = psi; x; x = x == psi ? adjoint : NULL) {
    if (g->targets == 1) {
      j->table->one(x, &v, 1ull << q[0], form, m);
    } else {
      uint64_t a = 1ull << q[0], b = 1ull << q[1];
      j->table->two(x, &v, (uint64_t[4]){0, a, b, a | b}, m);
    }
  }
}

/* ---- items -------------------------------------------------------------------------- */

static void into_lanes(const LaneJob *j, const c128 *amp, double *x) {
  int64_t size = 1ll << j->p->n;
  for (int l = 0; l < LANES; l++) {
    const c128 *from = amp + (j->item + (l < j->sets ? l : j->sets - 1)) * size;
    for (int64_t i = 0; i < size; i++) {
      x[2 * LANES * i + l] = from[i].re;
      x[2 * LANES * i + LANES + l] = from[i].im;
    }
  }
}

static void from_lanes(const LaneJob *j, const double *x, c128 *amp) {
  int64_t size = 1ll << j->p->n;
  for (int l = 0; l < j->sets; l++) {
    c128 *to = amp + (j->item + l) * size;
    for (int64_t i = 0; i < size; i++)
      to[i] = (c128){x[2 * LANES * i + l], x[2 * LANES * i + LANES + l]};
  }
}

static LaneJob job_of(const CircuitPlan *p, const CircuitBinding *b, const double *value,
                      int64_t item) {
  int64_t left = b->batch - item;
  return (LaneJob){.p = p, .b = b, .value = value, .table = lane_table(), .item = item,
                   .sets = left < LANES ? (int)left : LANES};
}

RtStatus lanes_run(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const double *value,
                   c128 *amp) {
  size_t bytes = sizeof(double) * 2 * LANES << p->n;
  double *x = rt_alloc(rt, bytes);
  if (!x) return rt->error.status;
  RtStatus st = RT_OK;
  for (int64_t item = 0; !st && item < b->batch; item += LANES) {
    LaneJob j = job_of(p, b, value, item);
    memset(x, 0, bytes);
    for (int l = 0; l < LANES; l++) x[l] = 1;
    for (int64_t i = 0; i < p->c->n; i++) lane_gate(&j, &p->c->gate[i], false, x, NULL);
    from_lanes(&j, x, amp);
    st = rt_poll(rt);
  }
  rt_free(rt, x, bytes);
  return st;
}

/* What gate g does for the loss of each set; both vectors are those after it. */
static void lane_slopes(const LaneJob *j, const Gate *g, const double *psi, const double *adjoint,
                        double *node) {
  _Alignas(64) double sum[LANES];
  const Circuit *c = j->p->c;
  Visit v;
  visit_of(c, g, j->p->n, &v);
  j->table->slope(psi, adjoint, &v, 1ull << c->qubit[g->qubit], g->kind, sum);
  double *to = node + c->angle[g->angle] * j->b->batch + j->item;
  for (int l = 0; l < j->sets; l++) to[l] += g->inverse ? -sum[l] : sum[l];
}

RtStatus lanes_back(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const double *value,
                    const c128 *amp, const c128 *adjoint, double *node) {
  size_t bytes = sizeof(double) * 2 * LANES << p->n;
  double *x = rt_alloc(rt, 2 * bytes), *y = x ? x + (2 * LANES << p->n) : NULL;
  if (!x) return rt->error.status;
  RtStatus st = RT_OK;
  for (int64_t item = 0; !st && item < b->batch; item += LANES) {
    LaneJob j = job_of(p, b, value, item);
    into_lanes(&j, amp, x);
    into_lanes(&j, adjoint, y);
    for (int64_t i = p->c->n - 1; i >= 0; i--) {
      const Gate *g = &p->c->gate[i];
      if (turns(g->kind)) lane_slopes(&j, g, x, y, node);
      lane_gate(&j, g, true, x, y);
    }
    st = rt_poll(rt);
  }
  rt_free(rt, x, 2 * bytes);
  return st;
}
