/* circuit.c: circuits as values: from the arguments of a declaration to a structure, which is
 * kept for the next call, and the numbers bound to it.                             */
#include "lang/bind/circuit.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/channel.h"

#include <stdio.h>
#include <string.h>

/* ---- structures ----------------------------------------------------------------- */

CircuitCode *circuit_code_new(Vm *vm, Circuit *c) {
  CircuitCode *code = rt_alloc0(vm_rt(vm), sizeof *code);
  if (!code) {
    circuit_free(vm_rt(vm), c);
    return NULL;
  }
  code->refs = 1;
  code->c = *c;
  circuit_init(c);
  return code;
}

CircuitCode *circuit_code_ref(CircuitCode *code) {
  code->refs++;
  return code;
}

void circuit_code_unref(Vm *vm, CircuitCode *code) {
  if (!code || --code->refs) return;
  circuit_plan_free(vm_rt(vm), code->plan);
  circuit_free(vm_rt(vm), &code->c);
  rt_free(vm_rt(vm), code, sizeof *code);
}

/* ---- values --------------------------------------------------------------------- */

static void circuit_drop(Vm *vm, void *data) {
  CircuitValue *v = data;
  Rt *rt = vm_rt(vm);
  int n = v->code ? v->code->c.slot.n : 0;
  for (int k = 0; v->slot && k < n; k++)
    if (v->slot[k]) tensor_unref(rt, v->slot[k]);
  if (v->slot) rt_free(rt, v->slot, sizeof *v->slot * (size_t)(n + 1));
  if (v->map) rt_free(rt, v->map, sizeof *v->map * (size_t)(n + 1));
  circuit_space_unref(vm, v->space);
  circuit_code_unref(vm, v->code);
  rt_free(rt, v, sizeof *v);
}

/* Without slots, batch of one. */
static CircuitValue *value_new(Vm *vm, CircuitCode *code) {
  CircuitValue *v = rt_alloc0(vm_rt(vm), sizeof *v);
  if (!v) return NULL;
  v->code = circuit_code_ref(code);
  v->batch = 1;
  return v;
}

static int value_give(Vm *vm, CircuitValue *v, Value *out) {
  Box *b = v ? box_new(vm, &circuit_type, v) : NULL;
  if (!b && v) circuit_drop(vm, v);
  *out = b ? value_obj(b) : NIL_VALUE;
  return !b;
}

Value circuit_bound(Vm *vm, CircuitCode *code, Tensor *const *slot, int batch_rank,
                    const int64_t *batch_shape) {
  int n = code->c.slot.n;
  Value out = NIL_VALUE;
  CircuitValue *v = value_new(vm, code);
  if (!v) return out;
  v->slot = rt_alloc0(vm_rt(vm), sizeof *v->slot * (size_t)(n + 1));
  for (int k = 0; v->slot && k < n; k++) v->slot[k] = tensor_ref(slot[k]);
  v->batch_rank = batch_rank;
  for (int k = 0; k < batch_rank; k++) v->batch *= v->batch_shape[k] = batch_shape[k];
  if (v->slot) value_give(vm, v, &out);
  else circuit_drop(vm, v);
  return out;
}

Value circuit_part(Vm *vm, CircuitCode *code, CircuitSpace *space, int32_t *map) {
  Value out = NIL_VALUE;
  CircuitValue *v = value_new(vm, code);
  if (!v) {
    if (map) rt_free(vm_rt(vm), map, sizeof *map * (size_t)(code->c.slot.n + 1));
    return out;
  }
  v->space = circuit_space_ref(space);
  v->map = map;
  value_give(vm, v, &out);
  return out;
}

int arg_circuit(Vm *vm, Value *v, const char *what, CircuitValue **out) {
  *out = box_data(*v, &circuit_type);
  if (*out) return 0;
  Value made;
  if (value_is(*v, OBJ_CLOSURE) && vm_closure_const(*v, &circuit_cache_type)) {
    if (vm_call(vm, *v, NULL, 0, &made)) return 1;
    value_unref(vm, *v);
    *v = made;
    *out = box_data(made, &circuit_type);
    if (*out) return 0;
  }
  return vm_error(vm, "%s needs a circuit, found %s %s", what, VALUE_A(*v));
}

int arg_whole_circuit(Vm *vm, Value *v, const char *what, CircuitValue **out) {
  if (arg_circuit(vm, v, what, out)) return 1;
  if (!(*out)->space) return 0;
  return vm_error(vm, "%s needs a finished circuit, found a part of one that is being written",
                  what);
}

static void circuit_print(Vm *vm, Box *self, Buf *out) {
  (void)vm;
  const CircuitValue *v = self->data;
  const Circuit *c = &v->code->c;
  buf_format(out, "circuit %s: %lld qubit%s, %lld gate%s", c->name ? c->name : "",
             (long long)c->reg.qubits, c->reg.qubits == 1 ? "" : "s", (long long)c->n,
             c->n == 1 ? "" : "s");
  if (v->batch_rank) buf_format(out, ", a batch of %lld", (long long)v->batch);
}

static int circuit_field(Vm *vm, Box *self, const char *name, Value *out) {
  const Circuit *c = &((CircuitValue *)self->data)->code->c;
  if (!strcmp(name, "qubits")) *out = value_int(c->reg.qubits);
  else if (!strcmp(name, "bits")) *out = value_int(c->bits.bits);
  else if (!strcmp(name, "name")) {
    Str *s = str_format(vm, "%s", c->name ? c->name : "");
    *out = s ? value_obj(s) : NIL_VALUE;
    return !s;
  } else {
    vm_error(vm, "a circuit has no field `%s`", name);
    vm_help(vm, "it has `qubits`, `bits` and `name`");
    return 1;
  }
  return 0;
}

static void circuit_names(Vm *vm, Box *self, void (*each)(const char *name, void *data),
                          void *data) {
  (void)vm;
  (void)self;
  each("qubits", data);
  each("bits", data);
  each("name", data);
}

/* c': backwards, every gate inverted; the same numbers. */
static int circuit_transpose(Vm *vm, Box *self, Value *out) {
  const CircuitValue *v = self->data;
  const Circuit *c = &v->code->c;
  Rt *rt = vm_rt(vm);
  Circuit turned;
  if (circuit_like(rt, c, &turned)) return 1;
  size_t bytes = sizeof(int32_t) * (size_t)(c->reg.qubits + 1);
  int32_t *map = rt_alloc(rt, bytes);
  for (int64_t k = 0; map && k < c->reg.qubits; k++) map[k] = (int32_t)k;
  CircuitPlace at = {.qubit = map, .inverse = true};
  int failed = !map || scalar_copy(rt, &turned.scalar, &c->scalar) ||
               circuit_append(rt, &turned, c, &at);
  if (map) rt_free(rt, map, bytes);
  if (failed) {
    circuit_free(rt, &turned);
    return 1;
  }
  CircuitCode *code = circuit_code_new(vm, &turned);
  CircuitValue *w = code ? value_new(vm, code) : NULL;
  circuit_code_unref(vm, code);
  if (!w) return 1;
  int n = c->slot.n;
  w->space = circuit_space_ref(v->space);
  w->batch_rank = v->batch_rank;
  w->batch = v->batch;
  memcpy(w->batch_shape, v->batch_shape, sizeof w->batch_shape);
  w->slot = v->slot ? rt_alloc0(rt, sizeof *w->slot * (size_t)(n + 1)) : NULL;
  w->map = v->map ? rt_alloc0(rt, sizeof *w->map * (size_t)(n + 1)) : NULL;
  if ((v->slot && !w->slot) || (v->map && !w->map)) {
    circuit_drop(vm, w);
    return 1;
  }
  for (int k = 0; k < n; k++) {
    if (w->slot) w->slot[k] = tensor_ref(v->slot[k]);
    if (w->map) w->map[k] = v->map[k];
  }
  return value_give(vm, w, out);
}

/* ---- explain: the gates as they would be written ------------------------------------ */

static void explain_gate(const Circuit *c, const Gate *g, const double *value, int64_t batch,
                         Buf *out) {
  if (g->when >= 0) {
    const BitCondition *w = &c->when[g->when];
    buf_format(out, "when bits %lld..%lld == %llu: ", (long long)w->first,
               (long long)(w->first + w->count), (unsigned long long)w->value);
  }
  for (int k = 0; k < g->controls; k++) buf_text(out, g->on >> k & 1 ? "c" : "o");
  bool noise = g->kind == GATE_CHANNEL;
  buf_text(out, noise ? channel_table[g->data].name : gate_table[g->kind].name);
  if (g->kind == GATE_PAULI) buf_format(out, "(\"%s\", ", c->letters[g->data]);
  else if (gate_table[g->kind].angles) buf_text(out, "(");
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    buf_format(out, "%s%.6g", k ? ", " : "", value[c->angle[g->angle + k] * batch]);
  if (gate_table[g->kind].angles) buf_text(out, ")");
  if (g->kind == GATE_PROJECT) buf_format(out, "(%d)", (int)g->data);
  if (g->inverse) buf_text(out, "'");
  const int32_t *q = c->qubit + g->qubit;
  for (int k = 0; k < g->controls + g->targets; k++) {
    int at = k < g->controls ? g->targets + k : k - g->controls;
    buf_text(out, k ? ", " : " ");
    circuit_qubit_name(c, q[at], out);
  }
  if (g->kind == GATE_MEASURE) buf_format(out, " -> bit %d", (int)g->data);
  buf_text(out, "\n");
}

/* Values of the angles, of the first of a batch. */
static double *angles_of(Vm *vm, const CircuitValue *v) {
  const Circuit *c = &v->code->c;
  Rt *rt = vm_rt(vm);
  double *value = rt_alloc(rt, sizeof *value * (size_t)(c->scalar.n + 1));
  const double **slot = rt_alloc(rt, sizeof *slot * (size_t)(c->slot.n + 1));
  int64_t *stride = rt_alloc0(rt, sizeof *stride * (size_t)(c->slot.n + 1));
  for (int k = 0; slot && k < c->slot.n; k++) slot[k] = (const double *)v->slot[k]->data;
  if (value && slot && stride) scalar_run(&c->scalar, 1, slot, stride, value);
  if (slot) rt_free(rt, slot, sizeof *slot * (size_t)(c->slot.n + 1));
  if (stride) rt_free(rt, stride, sizeof *stride * (size_t)(c->slot.n + 1));
  return value;
}

static int circuit_explain(Vm *vm, Box *self, Buf *out) {
  const CircuitValue *v = self->data;
  const Circuit *c = &v->code->c;
  circuit_print(vm, self, out);
  buf_text(out, "\n");
  for (int k = 0; k < c->reg.n; k++)
    buf_format(out, "%s %s[%lld]\n", c->reg.at[k].ancilla ? "ancilla" : "qubits",
               c->reg.at[k].name, (long long)c->reg.at[k].count);
  if (!v->slot) return 0;
  double *value = angles_of(vm, v);
  if (!value) return 1;
  for (int64_t i = 0; i < c->n; i++) explain_gate(c, &c->gate[i], value, 1, out);
  rt_free(vm_rt(vm), value, sizeof *value * (size_t)(c->scalar.n + 1));
  return 0;
}

const BoxType circuit_type = {
  .name = "Circuit",
  .drop = circuit_drop,
  .print = circuit_print,
  .field = circuit_field,
  .names = circuit_names,
  .transpose = circuit_transpose,
  .explain = circuit_explain,
};
