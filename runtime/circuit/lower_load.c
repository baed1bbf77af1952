/* lower_load.c: amplitude encoding by multiplexed rotations, of one vector or of one for each
 * value of other qubits.                                                           */
#include "runtime/circuit/job.h"

#include <math.h>
#include <string.h>

/* Angles of the level that splits qubit k of vector x: above[i]: what is over bits k.. = i. */
static void level_angles(int n, int k, const c128 *x, bool real, double *angle) {
  int64_t low = 1ll << k, count = 1ll << (n - 1 - k);
  for (int64_t i = 0; i < count; i++) {
    double w[2] = {0, 0};
    for (int b = 0; b < 2; b++)
      for (int64_t r = 0; r < low; r++) {
        c128 a = x[(2 * i + b) * low + r];
        w[b] += a.re * a.re + a.im * a.im;
      }
    bool last = real && k == 0;     /* signs of real vectors are in the last rotation */
    angle[i] = last ? 2 * atan2(x[2 * i + 1].re, x[2 * i].re) : 2 * atan2(sqrt(w[1]), sqrt(w[0]));
  }
}

typedef struct { Job *j; int n, members, selects; c128 **x; const uint64_t *value; } Loads;

static RtStatus load_levels(const Loads *p, const int32_t *q, bool real, double *angle,
                            const Controls *c) {
  size_t all = (size_t)1 << (p->n + p->selects);
  for (int k = p->n - 1; k >= 0; k--) { /* selects: the qubits above, then the values */
    int above = p->n - 1 - k;
    memset(angle, 0, all * sizeof *angle);
    for (int v = 0; v < p->members; v++)
      level_angles(p->n, k, p->x[v], real, angle + (p->value[v] << above));
    RT_TRY(lower_mux(&p->j->l, 'Y', q[k], above + p->selects, q + k + 1, angle, c));
  }
  if (real) return RT_OK;
  memset(angle, 0, all * sizeof *angle);
  for (int v = 0; v < p->members; v++)
    for (int64_t i = 0; i < 1ll << p->n; i++)
      angle[(p->value[v] << p->n) + (uint64_t)i] = atan2(p->x[v][i].im, p->x[v][i].re);
  return lower_diagonal(&p->j->l, p->n + p->selects, q, angle, c);
}

/* Writes to a circuit of its own, which is put backwards when the gate is inverted. */
static RtStatus load_write(const Loads *p, const int32_t *q, bool inverse, const Controls *c) {
  Lower *l = &p->j->l;
  Circuit *outer = l->out, part;
  size_t bytes = sizeof(double) << (p->n + p->selects), map_bytes;
  double *angle = rt_alloc(l->rt, bytes), phase = l->phase;
  bool real = true;
  if (!angle) return l->rt->error.status;
  for (int v = 0; v < p->members; v++)
    for (int64_t i = 0; i < 1ll << p->n; i++) real = real && p->x[v][i].im == 0;
  if (!inverse) {
    RtStatus st = load_levels(p, q, real, angle, c);
    rt_free(l->rt, angle, bytes);
    return st;
  }
  map_bytes = sizeof(int32_t) * (size_t)(outer->reg.qubits + 1);
  int32_t *map = rt_alloc(l->rt, map_bytes);
  RtStatus st = map ? circuit_like(l->rt, outer, &part) : l->rt->error.status;
  if (!st) {
    for (int32_t k = 0; k < outer->reg.qubits; k++) map[k] = k;
    CircuitPlace at = {.qubit = map, .inverse = true};
    int32_t when = l->when;
    int64_t from = outer->n;
    l->out = &part;
    l->phase = 0;
    l->when = -1;
    st = load_levels(p, q, real, angle, c);
    l->out = outer;
    l->when = when;
    at.slot = map;           /* there are no slots, only constants                    */
    if (!st) st = circuit_append(l->rt, outer, &part, &at);
    for (int64_t k = from; k < outer->n; k++) outer->gate[k].when = when;
    double back = -l->phase;
    l->phase = phase;
    if (!st && back != 0) st = lower_phase(l, back, NULL);
    circuit_free(l->rt, &part);
  }
  if (map) rt_free(l->rt, map, map_bytes);
  rt_free(l->rt, angle, bytes);
  return st;
}

RtStatus lower_loads(Job *j, int members, const Gate *const *g, const uint64_t *value,
                           int selects, const int32_t *sel, const Controls *c) {
  Rt *rt = j->l.rt;
  int n = g[0]->targets;
  int32_t q[128];
  size_t list = sizeof(c128 *) * (size_t)members;
  Loads p = {j, n, members, selects, rt_alloc0(rt, list), value};
  if (!p.x) return rt->error.status;
  RtStatus st = n + selects > 30 ? rt_fail(rt, RT_ERROR, "the decomposition of a `load` on %d "
                                           "qubits under %d controls", n, selects) : RT_OK;
  for (int v = 0; !st && v < members; v++)
    st = load_vector(rt, j->c, &j->c->load[g[v]->data], j->b, 0, &p.x[v]);
  memcpy(q, j->c->qubit + g[0]->qubit, sizeof *q * (size_t)n);
  if (selects) memcpy(q + n, sel, sizeof *q * (size_t)selects);
  if (!st) st = load_write(&p, q, g[0]->inverse, c);
  for (int v = 0; v < members; v++)
    if (p.x[v]) rt_free(rt, p.x[v], sizeof(c128) << n);
  rt_free(rt, p.x, list);
  return st;
}
