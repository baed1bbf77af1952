/* circuit_tools.c: what can be asked of a circuit's gates: counts, depth, the same in one- and
 * two-qubit gates.                                                                  */
#include "lang/bind/circuit_run.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/decompose.h"

#include <stdlib.h>
#include <string.h>

/* The circuit of v, or, when a basis is given, a decomposed one that the caller frees. */
static int lowered(Vm *vm, const CircuitValue *v, Value basis, bool always, Circuit *room,
                   const Circuit **out) {
  const char *text;
  CircuitBasis what = BASIS_TWO;
  CircuitRun r;
  circuit_init(room);
  *out = &v->code->c;
  if (basis.tag == V_NIL && !always) return 0;
  if (basis.tag != V_NIL && (arg_str(vm, basis, "basis", &text) ||
                             (strcmp(text, "two") && circuit_basis(vm_rt(vm), text, &what))))
    return 1;
  if (circuit_numbers(vm, v->code, v->slot, v->batch, &r)) return 1;
  int failed = circuit_decompose(vm_rt(vm), &v->code->c, &r.b, what, room) != RT_OK;
  circuit_close(vm, &r);
  *out = room;
  return failed;
}

typedef struct { char name[64]; int64_t count, order; } Kind;

static int more_first(const void *a, const void *b) {
  const Kind *x = a, *y = b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return (x->order > y->order) - (x->order < y->order);
}

/* Counts into a record, and the names in order of their first gate. */
static int count_gates(Vm *vm, const Circuit *c, Record *seen) {
  for (int64_t i = 0; i < c->n; i++) {
    char name[64];
    if (c->gate[i].kind == GATE_BARRIER) continue;
    gate_label(c, &c->gate[i], name);
    Value *at = record_get(seen, name);
    if (at) at->i++;
    else if (record_set(vm, seen, name, value_int(1))) return 1;
  }
  return 0;
}

static Record *sorted(Vm *vm, Record *seen) {
  size_t bytes = sizeof(Kind) * (seen->n + 1);
  Kind *kind = rt_alloc(vm_rt(vm), bytes);
  Record *out = kind ? record_new(vm, seen->n) : NULL;
  for (uint32_t k = 0; out && k < seen->n; k++) {
    kind[k] = (Kind){.count = seen->fields[k].value.i, .order = k};
    strncpy(kind[k].name, seen->fields[k].key->data, sizeof kind[k].name - 1);
  }
  if (out) qsort(kind, seen->n, sizeof *kind, more_first);
  for (uint32_t k = 0; out && k < seen->n; k++)
    if (record_set(vm, out, kind[k].name, value_int(kind[k].count))) {
      value_unref(vm, value_obj(out));
      out = NULL;
    }
  if (kind) rt_free(vm_rt(vm), kind, bytes);
  return out;
}

/* (c, basis) */
static int bind_gates(Vm *vm, Value *args, int n, Value *out) {
  CircuitValue *v;
  Circuit room;
  const Circuit *c;
  if (arg_whole_circuit(vm, &args[0], "`gates`", &v)) return 1;
  if (lowered(vm, v, args[1], false, &room, &c)) return 1;
  Record *seen = record_new(vm, 8), *r = NULL;
  if (seen && !count_gates(vm, c, seen)) r = sorted(vm, seen);
  if (seen) value_unref(vm, value_obj(seen));
  circuit_free(vm_rt(vm), &room);
  if (r) *out = value_obj(r);
  return !r;
}

static int bind_depth(Vm *vm, Value *args, int n, Value *out) {
  CircuitValue *v;
  Circuit room;
  const Circuit *c;
  int64_t depth;
  if (arg_whole_circuit(vm, &args[0], "`depth`", &v)) return 1;
  if (lowered(vm, v, args[1], false, &room, &c)) return 1;
  int failed = circuit_depth(vm_rt(vm), c, &depth) != RT_OK;
  circuit_free(vm_rt(vm), &room);
  *out = value_int(depth);
  return failed;
}

static int bind_decompose(Vm *vm, Value *args, int n, Value *out) {
  CircuitValue *v;
  Circuit room;
  const Circuit *c;
  if (arg_whole_circuit(vm, &args[0], "`decompose`", &v)) return 1;
  if (v->batch_rank) {
    vm_error(vm, "`decompose` of a batch of %lld circuits", (long long)v->batch);
    vm_help(vm, "decompose them one by one");
    return 1;
  }
  if (lowered(vm, v, args[1], true, &room, &c)) return 1;
  CircuitCode *code = circuit_code_new(vm, &room);
  if (!code) return 1;
  *out = circuit_bound(vm, code, NULL, 0, NULL);
  circuit_code_unref(vm, code);
  return out->tag == V_NIL;
}

const Native natives_circuit_tools[] = {
  {"gates", "c, basis = nil",
   "How many gates of each kind c has, most first: {cx: 3, h: 2}; c before a name is a control, "
   "c4x four.\n"
   "With a basis after decomposition to one- and two-qubit gates (\"two\") or to \"u,cx\", "
   "\"rz,sx,cx\", \"rz,ry,cx\".\nErrors: an unknown basis.",
   bind_gates, NF_CONST},
  {"depth", "c, basis = nil",
   "Gates on the longest path through c, measurements too; barriers and global phases do not count.",
   bind_depth, NF_CONST},
  {"decompose", "c, basis = \"two\"",
   "c in one- and two-qubit gates, or in those of a basis: \"u,cx\", \"rz,sx,cx\", \"rz,ry,cx\". "
   "The same unitary, global\n"
   "phase included; `load` need only agree on |0...0>. The numbers of c become constants. Controls "
   "need no ancillas,\n"
   "`when` blocks one after the other become multiplexed gates (2^k cx for k qubits), matrices of "
   "two qubits three cx,\n"
   "larger ones a quantum Shannon decomposition. Errors: `unitary` on more than 8 qubits.",
   bind_decompose, NF_CONST},
  {0}};
