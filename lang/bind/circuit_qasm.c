/* circuit_qasm.c: OpenQASM text out of circuits and into them. */
#include "lang/bind/circuit_run.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/qasm.h"

#include <string.h>

/* (c, version) */
static int bind_qasm(Vm *vm, Value *args, int n, Value *out) {
  CircuitValue *v;
  int64_t version;
  CircuitRun r;
  Buf text = {0};
  if (arg_whole_circuit(vm, &args[0], "`qasm`", &v) || arg_int(vm, args[1], "version", &version))
    return 1;
  if (v->batch_rank) {
    vm_error(vm, "`qasm` of a batch of %lld circuits", (long long)v->batch);
    vm_help(vm, "write them one by one");
    return 1;
  }
  if (circuit_numbers(vm, v->code, v->slot, 1, &r)) return 1;
  int failed = qasm_write(vm_rt(vm), &v->code->c, &r.b, version < 0 || version > 99 ? 99
                          : (int)version, &text);
  circuit_close(vm, &r);
  Str *s = failed ? NULL : str_new(vm, text.data ? text.data : "", text.len);
  buf_free(&text);
  if (s) *out = value_obj(s);
  return !s;
}

/* A text has lines or statements, a path has not. */
static bool is_path(const char *s) { return !strpbrk(s, "\n;"); }

static int read_source(Vm *vm, const char *given, Buf *text) {
  enum { MOST = 1 << 30 };
  if (is_path(given)) {
    if (file_read(vm_rt(vm), given, MOST, text) == RT_OK) return 0;
    if (!strstr(given, ".qasm")) vm_help(vm, "a text, rather than a path, has lines or a `;`");
    return 1;
  }
  buf_text(text, given);
  return text->failed ? rt_fail(vm_rt(vm), RT_MEMORY, "out of memory") != RT_OK : 0;
}

/* The number of an input, f64 of rank 0. */
static Tensor *input(Vm *vm, const CircuitSlot *s, const Record *given) {
  Value *at = record_get((Record *)given, s->name);
  Tensor *t, *wide;
  if (!at) {
    vm_error(vm, "the text has an input `%s`", s->name);
    vm_help(vm, "give it a value: read_qasm(path, %s = 0.1)", s->name);
    return NULL;
  }
  if (arg_tensor(vm, *at, s->name, &t)) return NULL;
  if (t->rank) {
    vm_error(vm, "input `%s` is a number, found a tensor of rank %d", s->name, t->rank);
    tensor_unref(vm_rt(vm), t);
    return NULL;
  }
  wide = op_astype(vm_rt(vm), t, DT_F64);
  tensor_unref(vm_rt(vm), t);
  return wide;
}

static int inputs(Vm *vm, const Circuit *c, const Record *given, Tensor **slot) {
  for (uint32_t k = 0; k < given->n; k++) {
    bool known = false;
    for (int i = 0; i < c->slot.n; i++)
      known = known || !strcmp(c->slot.at[i].name, given->fields[k].key->data);
    if (known) continue;
    vm_error(vm, "the text has no input `%s`", given->fields[k].key->data);
    if (c->slot.n) vm_help(vm, "its first one is `%s`", c->slot.at[0].name);
    else vm_help(vm, "it has none: `input float theta;` declares one");
    return 1;
  }
  for (int k = 0; k < c->slot.n; k++)
    if (!(slot[k] = input(vm, &c->slot.at[k], given))) return 1;
  return 0;
}

static int circuit_of(Vm *vm, CircuitCode *code, const Record *given, Value *out) {
  Rt *rt = vm_rt(vm);
  int n = code->c.slot.n;
  size_t bytes = sizeof(Tensor *) * (size_t)(n + 1);
  Tensor **slot = rt_alloc0(rt, bytes);
  int failed = !slot || inputs(vm, &code->c, given, slot);
  if (!failed) {
    *out = circuit_bound(vm, code, slot, 0, NULL);
    failed = out->tag == V_NIL;
  }
  for (int k = 0; slot && k < n; k++)
    if (slot[k]) tensor_unref(rt, slot[k]);
  if (slot) rt_free(rt, slot, bytes);
  return failed;
}

/* (source, **inputs) */
static int bind_read_qasm(Vm *vm, Value *args, int n, Value *out) {
  const char *given;
  Buf text = {0};
  Circuit c;
  if (arg_str(vm, args[0], "source", &given)) return 1;
  int failed = read_source(vm, given, &text) ||
               qasm_read(vm_rt(vm), text.data ? text.data : "", text.len,
                         is_path(given) ? given : "OpenQASM text", &c) != RT_OK;
  buf_free(&text);
  if (failed) return 1;
  CircuitCode *code = circuit_code_new(vm, &c);
  if (!code) return 1;
  failed = circuit_of(vm, code, AS_RECORD(args[1]), out);
  circuit_code_unref(vm, code);
  return failed;
}

const Native natives_circuit_qasm[] = {
  {"qasm", "c, version = 2",
   "c as OpenQASM 2 or 3 text (arXiv 1707.03429, 2104.14722) with its numbers. Gates without a word "
   "there are defined\n"
   "in the text or decomposed; version 2 keeps a global phase as a comment only.\n"
   "Errors: project(), noise; version 2: a condition on a part of a register.",
   bind_qasm, NF_CONST},
  {"read_qasm", "source, **inputs",
   "The circuit of an OpenQASM 2 or 3 file (or text): registers keep their names. `input float "
   "theta;` of version 3 is an\n"
   "argument, read_qasm(path, theta = 0.1), differentiable. Conventions are Qiskit's: rz = exp(-i t "
   "Z/2), u1 = diag(1, e^(it)).\n"
   "Read are all of version 2 and of version 3 gates, ctrl negctrl inv pow @, for, while over "
   "numbers, if with any\n"
   "expression of bits (read once for each value of at most 12 bits that it holds for), def, const, "
   "input, let, $0.\n"
   "delay and box leave ideal qubits as they are. Errors name the line: opaque gates, other "
   "includes, switch, arrays,\n"
   "arithmetic with bits outside conditions.",
   bind_read_qasm, NF_DIFF},
  {0}};
