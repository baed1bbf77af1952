/* count.c: names of gates for counts and drawings, depth. */
#include "runtime/circuit/channel.h"
#include "runtime/circuit/decompose.h"

#include <stdio.h>
#include <string.h>

void gate_label(const Circuit *c, const Gate *g, char out[64]) {
  const GateRow *row = &gate_table[g->kind];
  const char *name = g->kind == GATE_CHANNEL ? channel_table[g->data].name : row->name;
  char controls[16] = "ccc";
  (void)c;
  if (g->inverse && row->inverse) name = row->inverse;
  if (g->controls > 3) snprintf(controls, sizeof controls, "c%d", g->controls);
  else controls[g->controls] = 0;
  bool dagger = g->inverse && !row->inverse && !row->angles;
  snprintf(out, 64, "%s%.40s%s", controls, name, dagger ? "dg" : "");
}

RtStatus circuit_depth(Rt *rt, const Circuit *c, int64_t *depth) {
  size_t bytes = sizeof(int64_t) * (size_t)(c->reg.qubits + c->bits.bits + 1);
  int64_t *level = rt_alloc0(rt, bytes), *bit = level ? level + c->reg.qubits : NULL;
  if (!level) return rt->error.status;
  *depth = 0;
  for (int64_t i = 0; i < c->n; i++) {
    const Gate *g = &c->gate[i];
    const int32_t *q = c->qubit + g->qubit;
    int n = g->targets + g->controls;
    const BitCondition none = {0, 0, 0}, *w = g->when >= 0 ? &c->when[g->when] : &none;
    if (!n) continue; /* a global phase */
    int64_t at = 0;
    for (int k = 0; k < n; k++) at = level[q[k]] > at ? level[q[k]] : at;
    for (int64_t k = w->first; k < w->first + w->count; k++) at = bit[k] > at ? bit[k] : at;
    if (g->kind == GATE_MEASURE && bit[g->data] > at) at = bit[g->data];
    if (g->kind != GATE_BARRIER) at++;
    for (int k = 0; k < n; k++) level[q[k]] = at;
    for (int64_t k = w->first; k < w->first + w->count; k++) bit[k] = at;
    if (g->kind == GATE_MEASURE) bit[g->data] = at;
    if (at > *depth && g->kind != GATE_BARRIER) *depth = at;
  }
  rt_free(rt, level, bytes);
  return RT_OK;
}
