/* estimate.c: sampled expectations: groups of strings, their circuits with every angle a
 * number of its own, shifted one at a time for derivatives.                       */
#include "runtime/circuit/estimate.h"
#include "runtime/circuit/channel.h"
#include "runtime/circuit/plan.h"

#include <math.h>
#include <string.h>

/* Strings that are read off together. */
typedef struct {
  uint64_t x, z;             /* the basis: each string is I or this on every qubit  */
  Circuit c;                 /* slots: those of the circuit, then all its angles    */
  CircuitPlan *plan;
  int64_t readout;           /* first classical bit of the n qubits                 */
} Group;

struct Estimator {
  const Circuit *c;
  const PauliTerm *term;
  int64_t n;
  int *group_of;             /* [n]                                                 */
  Group *group;
  int groups, cap;
};

/* ---- groups ---------------------------------------------------------------------------- */

/* Do the strings agree wherever both act? */
static bool agree(uint64_t ax, uint64_t az, uint64_t bx, uint64_t bz) {
  uint64_t both = (ax | az) & (bx | bz);
  return !((ax ^ bx) & both) && !((az ^ bz) & both);
}

static RtStatus place_term(Rt *rt, Estimator *e, int64_t k) {
  const PauliTerm *t = &e->term[k];
  int g = 0;
  while (g < e->groups && !agree(e->group[g].x, e->group[g].z, t->x, t->z)) g++;
  if (g == e->cap) {
    int cap = e->cap ? 2 * e->cap : 8;
    Group *more = rt_realloc(rt, e->group, sizeof *more * (size_t)e->cap,
                             sizeof *more * (size_t)cap);
    if (!more) return rt->error.status;
    e->group = more;
    e->cap = cap;
  }
  if (g == e->groups) {
    e->group[e->groups] = (Group){0};
    circuit_init(&e->group[e->groups++].c);
  }
  e->group[g].x |= t->x;
  e->group[g].z |= t->z;
  e->group_of[k] = g;
  return RT_OK;
}

/* ---- a group's circuit ----------------------------------------------------------------- */

static RtStatus add_one(Rt *rt, Circuit *c, int kind, bool inverse, int32_t q, int32_t data) {
  Gate g = {.kind = (uint8_t)kind, .inverse = inverse, .targets = 1, .data = data, .when = -1};
  return circuit_add(rt, c, g, &q, NULL, NULL);
}

/* Every angle becomes an element of a new slot. */
static RtStatus free_angles(Rt *rt, Circuit *c) {
  int64_t n = c->n_angle ? c->n_angle : 1;
  int32_t slot;
  RT_TRY(circuit_slot(rt, c, "angles", false, 1, &n, &slot));
  scalar_free(rt, &c->scalar);
  for (int64_t k = 0; k < c->n_angle; k++)
    if ((c->angle[k] = scalar_slot(rt, &c->scalar, slot, k)) < 0) return rt->error.status;
  return RT_OK;
}

static RtStatus group_circuit(Rt *rt, const Circuit *c, Group *g) {
  int64_t n = c->reg.qubits;
  RT_TRY(circuit_copy(rt, &g->c, c));
  RT_TRY(free_angles(rt, &g->c));
  for (int32_t q = 0; q < n; q++) {
    bool x = g->x >> q & 1, z = g->z >> q & 1;
    if (x && z) RT_TRY(add_one(rt, &g->c, GATE_S, true, q, -1));
    if (x) RT_TRY(add_one(rt, &g->c, GATE_H, false, q, -1));
  }
  RT_TRY(circuit_bits(rt, &g->c, "readout", n, &g->readout));
  for (int32_t q = 0; q < n; q++)
    RT_TRY(add_one(rt, &g->c, GATE_MEASURE, false, q, (int32_t)(g->readout + q)));
  return circuit_plan(rt, &g->c, &g->plan);
}

void estimator_free(Rt *rt, Estimator *e) {
  if (!e) return;
  for (int g = 0; g < e->groups; g++) {
    circuit_plan_free(rt, e->group[g].plan);
    circuit_free(rt, &e->group[g].c);
  }
  rt_free(rt, e->group, sizeof *e->group * (size_t)e->cap);
  if (e->group_of) rt_free(rt, e->group_of, sizeof *e->group_of * (size_t)(e->n + 1));
  rt_free(rt, e, sizeof *e);
}

RtStatus estimator_make(Rt *rt, const Circuit *c, const PauliTerm *term, int64_t n,
                        Estimator **out) {
  if (c->reg.qubits > 40)
    return rt_fail(rt, RT_ERROR, "shots of a circuit of %lld qubits: at most 40",
                   (long long)c->reg.qubits);
  Estimator *e = rt_alloc0(rt, sizeof *e);
  if (!e) return rt->error.status;
  *e = (Estimator){.c = c, .term = term, .n = n};
  e->group_of = rt_alloc(rt, sizeof *e->group_of * (size_t)(n + 1));
  RtStatus st = e->group_of ? RT_OK : rt->error.status;
  for (int64_t k = 0; !st && k < n; k++) st = place_term(rt, e, k);
  for (int g = 0; !st && g < e->groups; g++) st = group_circuit(rt, c, &e->group[g]);
  *out = st ? NULL : e;
  if (st) estimator_free(rt, e);
  return st;
}

int estimator_groups(const Estimator *e) { return e->groups; }

/* ---- one expectation --------------------------------------------------------------------- */

/* What evaluations of one item share. */
typedef struct {
  const Estimator *e;
  const CircuitBinding *b;
  int64_t item, shots;
  RngCall rng;
  double *angle;             /* [angles]                                            */
  const double **slot;       /* [slots + 1]                                         */
  int64_t *stride;
  uint8_t *bit, *keep;
} Evaluation;

static double signs(const Evaluation *v, const Group *g, const PauliTerm *t) {
  int64_t width = circuit_sample_bits(&g->c), n = v->e->c->reg.qubits, sum = 0;
  uint64_t on = t->x | t->z;
  for (int64_t s = 0; s < v->shots; s++) {
    const uint8_t *bit = v->bit + s * width + g->readout;
    int odd = 0;
    for (int64_t q = 0; q < n; q++) odd ^= bit[q] & (int)(on >> q & 1);
    sum += v->keep[s] ? 1 - 2 * odd : 0;
  }
  return (double)sum / (double)v->shots;
}

/* `number` tells its shots from those of the other evaluations. */
static RtStatus evaluate(Rt *rt, Evaluation *v, int64_t number, double *value) {
  const Estimator *e = v->e;
  *value = 0;
  for (int g = 0; g < e->groups; g++) {
    CircuitBinding b = {1, v->slot, v->stride};
    RngCall rng = {rng_derive(rng_derive(v->rng.key, "evaluation", number), "group",
                              v->item * e->groups + g), v->rng.call};
    RT_TRY(circuit_sample(rt, e->group[g].plan, &b, v->shots, rng, v->bit, v->keep));
    for (int64_t k = 0; k < e->n; k++)
      if (e->group_of[k] == g) *value += e->term[k].c * signs(v, &e->group[g], &e->term[k]);
  }
  return RT_OK;
}

static size_t bit_bytes(const Evaluation *v) {
  return (size_t)(v->shots * (v->e->c->reg.qubits + v->e->c->bits.bits));
}

static void evaluation_close(Rt *rt, Evaluation *v) {
  size_t slots = (size_t)v->e->c->slot.n + 1;
  if (v->angle) rt_free(rt, v->angle, sizeof *v->angle * (size_t)(v->e->c->n_angle + 1));
  if (v->slot) rt_free(rt, v->slot, sizeof *v->slot * slots);
  if (v->stride) rt_free(rt, v->stride, sizeof *v->stride * slots);
  if (v->bit) rt_free(rt, v->bit, bit_bytes(v));
  if (v->keep) rt_free(rt, v->keep, (size_t)v->shots);
}

static RtStatus evaluation_open(Rt *rt, const Estimator *e, const CircuitBinding *b, int64_t shots,
                                RngCall rng, Evaluation *v) {
  size_t slots = (size_t)e->c->slot.n + 1;
  *v = (Evaluation){.e = e, .b = b, .shots = shots, .rng = rng};
  v->angle = rt_alloc(rt, sizeof *v->angle * (size_t)(e->c->n_angle + 1));
  v->slot = rt_alloc(rt, sizeof *v->slot * slots);
  v->stride = rt_alloc0(rt, sizeof *v->stride * slots);
  v->bit = rt_alloc(rt, bit_bytes(v));
  v->keep = rt_alloc(rt, (size_t)shots);
  if (v->angle && v->slot && v->stride && v->bit && v->keep) return RT_OK;
  evaluation_close(rt, v);
  return rt->error.status;
}

/* The numbers of an item: its slots, its angles from the nodes' values. */
static void evaluation_item(Evaluation *v, int64_t item, const double *value) {
  const Circuit *c = v->e->c;
  v->item = item;
  for (int k = 0; k < c->slot.n; k++) v->slot[k] = v->b->slot[k] + item * v->b->stride[k];
  v->slot[c->slot.n] = v->angle;
  for (int64_t k = 0; k < c->n_angle; k++) v->angle[k] = value[c->angle[k] * v->b->batch + item];
}

RtStatus estimator_run(Rt *rt, const Estimator *e, const CircuitBinding *b, int64_t shots,
                       RngCall rng, double *value) {
  Evaluation v;
  double *node = NULL;
  RT_TRY(evaluation_open(rt, e, b, shots, rng, &v));
  RtStatus st = angles_run(rt, e->c, b, &node);
  for (int64_t item = 0; !st && item < b->batch; item++) {
    evaluation_item(&v, item, node);
    st = evaluate(rt, &v, 0, &value[item]);
  }
  angles_free(rt, e->c, b, node);
  evaluation_close(rt, &v);
  return st;
}

/* ---- derivatives -------------------------------------------------------------------------- */

/* Frequencies of E in angle k of the gate: 0: E does not depend on it; 1: one; 2: those of a
 * controlled rotation, 1/2 and 1; -1: no rule.                                         */
static int frequencies(const Gate *g, int k) {
  switch (g->kind) {
  case GATE_P: return 1;
  case GATE_GPHASE: return g->controls ? 1 : 0;
  case GATE_U: return k ? 1 : g->controls ? 2 : 1;
  case GATE_CHANNEL: return -1;
  default: return g->controls ? 2 : 1;
  }
}

/* dE / d angle[at] */
static RtStatus shifted(Rt *rt, Evaluation *v, int64_t at, int rule, double *slope) {
  static const double step[2] = {M_PI / 2, 3 * M_PI / 2};
  const double weight[2] = {rule == 1 ? 0.5 : (M_SQRT2 + 1) / (4 * M_SQRT2),
                            -(M_SQRT2 - 1) / (4 * M_SQRT2)};
  double here = v->angle[at], up, down;
  RtStatus st = RT_OK;
  *slope = 0;
  for (int k = 0; !st && k < rule; k++) {
    v->angle[at] = here + step[k];
    st = evaluate(rt, v, 4 * at + 2 * k + 1, &up);
    v->angle[at] = here - step[k];
    if (!st) st = evaluate(rt, v, 4 * at + 2 * k + 2, &down);
    if (!st) *slope += weight[k] * (up - down);
  }
  v->angle[at] = here;
  return st;
}

/* Nodes that depend on a wanted slot. */
static void find_active(const ScalarProg *p, double *const *wanted, bool *active) {
  for (int32_t i = 0; i < p->n; i++) {
    const ScalarNode *n = &p->node[i];
    if (n->op == SCALAR_SLOT) active[i] = wanted[n->a] != NULL;
    else if (n->op != SCALAR_CONST)
      active[i] = active[n->a] || (n->op <= SCALAR_POW && active[n->b]);
  }
}

static RtStatus no_rule(Rt *rt, const Gate *g) {
  rt_fail(rt, RT_ERROR, "no parameter-shift rule for `%s`",
          g->kind == GATE_CHANNEL ? channel_table[g->data].name : gate_table[g->kind].name);
  rt_help(rt, "without `shots` the derivative is exact, loaded vectors included");
  return RT_ERROR;
}

/* Adds to the adjoints of the angles' nodes. */
static RtStatus item_back(Rt *rt, Evaluation *v, const bool *active, double *node) {
  const Circuit *c = v->e->c;
  for (int64_t i = 0; i < c->n; i++) {
    const Gate *g = &c->gate[i];
    for (int k = 0; k < gate_table[g->kind].angles; k++) {
      int64_t at = g->angle + k;
      double slope = 0;
      int rule = active[c->angle[at]] ? frequencies(g, k) : 0;
      if (rule < 0) return no_rule(rt, g);
      if (rule) RT_TRY(shifted(rt, v, at, rule, &slope));
      node[c->angle[at] * v->b->batch + v->item] += slope;
    }
  }
  return RT_OK;
}

static RtStatus loads_allowed(Rt *rt, const Circuit *c, double *const *wanted) {
  for (int64_t i = 0; i < c->n; i++) {
    const Gate *g = &c->gate[i];
    if (g->kind == GATE_LOAD && c->load[g->data].slot >= 0 && wanted[c->load[g->data].slot])
      return no_rule(rt, g);
  }
  return RT_OK;
}

RtStatus estimator_back(Rt *rt, const Estimator *e, const CircuitBinding *b, int64_t shots,
                        RngCall rng, const double *weight, double *const *slot_adjoint) {
  const Circuit *c = e->c;
  size_t nodes = (size_t)c->scalar.n, bytes = sizeof(double) * (nodes * (size_t)b->batch + 1);
  Evaluation v;
  double *value = NULL;
  RT_TRY(loads_allowed(rt, c, slot_adjoint));
  RT_TRY(evaluation_open(rt, e, b, shots, rng, &v));
  bool *active = rt_alloc0(rt, nodes + 1);
  double *node = active ? rt_alloc0(rt, bytes) : NULL;
  RtStatus st = node ? angles_run(rt, c, b, &value) : rt->error.status;
  if (!st) find_active(&c->scalar, slot_adjoint, active);
  for (int64_t item = 0; !st && item < b->batch; item++) {
    evaluation_item(&v, item, value);
    if (weight[item] != 0) st = item_back(rt, &v, active, node);
    for (size_t k = 0; k < nodes; k++) node[k * (size_t)b->batch + (size_t)item] *= weight[item];
  }
  if (!st) scalar_back(&c->scalar, b->batch, value, node, b->stride, slot_adjoint);
  angles_free(rt, c, b, value);
  if (node) rt_free(rt, node, bytes);
  if (active) rt_free(rt, active, nodes + 1);
  evaluation_close(rt, &v);
  return st;
}
