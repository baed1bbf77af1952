/* run.c: running a plan: one parameter set after another, gate by gate. */
#include "runtime/circuit/plan.h"

#include <string.h>

RtStatus circuit_plan(Rt *rt, const Circuit *c, CircuitPlan **out) {
  if (c->reg.qubits > 40)
    return rt_fail(rt, RT_ERROR, "a circuit of %lld qubits has no state vector: at most 40",
                   (long long)c->reg.qubits);
  CircuitPlan *p = rt_alloc0(rt, sizeof *p);
  if (!p) return rt->error.status;
  p->c = c;
  p->n = (int)c->reg.qubits;
  *out = p;
  return RT_OK;
}

void circuit_plan_free(Rt *rt, CircuitPlan *p) {
  if (p) rt_free(rt, p, sizeof *p);
}

static size_t angles_bytes(const Circuit *c, const CircuitBinding *b) {
  return sizeof(double) * (size_t)(c->scalar.n * b->batch + 1);
}

RtStatus angles_run(Rt *rt, const Circuit *c, const CircuitBinding *b, double **value) {
  *value = rt_alloc(rt, angles_bytes(c, b));
  if (!*value) return rt->error.status;
  scalar_run(&c->scalar, b->batch, b->slot, b->stride, *value);
  return RT_OK;
}

void angles_free(Rt *rt, const Circuit *c, const CircuitBinding *b, double *value) {
  if (value) rt_free(rt, value, angles_bytes(c, b));
}

static RtStatus run_gate(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const Gate *g,
                         int64_t item, const double *value, c128 *amp) {
  const Circuit *c = p->c;
  double angle[3];
  c128 *load = NULL;
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    angle[k] = value[c->angle[g->angle + k] * b->batch + item];
  const LoadView *v = g->kind == GATE_LOAD ? &c->load[g->data] : NULL;
  if (v) RT_TRY(load_vector(rt, c, v, b, item, &load));
  RtStatus st = gate_apply(rt, c, g, false, angle, load, p->n, amp);
  if (load) rt_free(rt, load, sizeof *load * (size_t)v->count);
  return st;
}

static RtStatus run_item(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, int64_t item,
                         const double *value, const c128 *from, c128 *amp) {
  size_t size = (size_t)1 << p->n;
  if (from) memcpy(amp, from, size * sizeof *amp);
  else memset(amp, 0, size * sizeof *amp);
  if (!from) amp[0].re = 1;
  for (int64_t i = 0; i < p->c->n; i++) {
    RT_TRY(run_gate(rt, p, b, &p->c->gate[i], item, value, amp));
    if (p->n > 12) RT_TRY(rt_poll(rt));
  }
  return rt_poll(rt);
}

RtStatus circuit_run(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, bool single,
                     const void *from, void *amp) {
  double *value;
  if (single) return rt_fail(rt, RT_ERROR, "circuits run in double precision");
  RT_TRY(angles_run(rt, p->c, b, &value));
  RtStatus st = RT_OK;
  const c128 *start = from;
  for (int64_t k = 0; !st && k < b->batch; k++) {
    int64_t at = k << p->n;
    st = run_item(rt, p, b, k, value, start ? start + at : NULL, (c128 *)amp + at);
  }
  angles_free(rt, p->c, b, value);
  return st;
}
