/* circuit_run.c: running circuits: states, amplitudes, probabilities, expectations, matrices;
 * those that are numbers are differentiable in the circuit's arguments.            */
#include "lang/bind/circuit_run.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/mixed.h"

#include <math.h>
#include <string.h>

/* ---- what a run needs -------------------------------------------------------------- */

void circuit_close(Vm *vm, CircuitRun *r) {
  Rt *rt = vm_rt(vm);
  for (int k = 0; r->flat && k < r->n; k++)
    if (r->flat[k]) tensor_unref(rt, r->flat[k]);
  size_t n = (size_t)r->n + 1;
  if (r->flat) rt_free(rt, r->flat, sizeof *r->flat * n);
  if (r->slot) rt_free(rt, r->slot, sizeof *r->slot * n);
  if (r->stride) rt_free(rt, r->stride, sizeof *r->stride * n);
  circuit_code_unref(vm, r->code);
  *r = (CircuitRun){0};
}

static int64_t item_doubles(const CircuitSlot *s) {
  int64_t n = s->is_complex ? 2 : 1;
  for (int k = 0; k < s->rank; k++) n *= s->shape[k];
  return n;
}

int circuit_numbers(Vm *vm, CircuitCode *code, Tensor *const *slot, int64_t batch, CircuitRun *r) {
  Rt *rt = vm_rt(vm);
  const Circuit *c = &code->c;
  size_t n = (size_t)c->slot.n + 1;
  *r = (CircuitRun){.code = circuit_code_ref(code), .n = c->slot.n};
  r->flat = rt_alloc0(rt, sizeof *r->flat * n);
  r->slot = rt_alloc0(rt, sizeof *r->slot * n);
  r->stride = rt_alloc0(rt, sizeof *r->stride * n);
  int failed = !r->flat || !r->slot || !r->stride;
  for (int k = 0; !failed && k < c->slot.n; k++) {
    r->flat[k] = tensor_contiguous(rt, slot[k]);
    failed = !r->flat[k];
    if (failed) break;
    r->slot[k] = (const double *)r->flat[k]->data;
    r->stride[k] = slot[k]->rank > c->slot.at[k].rank ? item_doubles(&c->slot.at[k]) : 0;
  }
  r->b = (CircuitBinding){batch, r->slot, r->stride};
  if (failed) circuit_close(vm, r);
  return failed;
}

int circuit_open(Vm *vm, CircuitCode *code, Tensor *const *slot, int64_t batch, CircuitRun *r) {
  if (!code->plan && circuit_plan(vm_rt(vm), &code->c, &code->plan)) return 1;
  return circuit_numbers(vm, code, slot, batch, r);
}

static int64_t states_of(const Circuit *c) { return 1ll << c->reg.qubits; }

int circuit_fits(Vm *vm, const Circuit *c, int64_t batch, const char *what) {
  if (c->reg.qubits > 40) {
    vm_error(vm, "%s: %lld qubits have no state vector that fits", what, (long long)c->reg.qubits);
    vm_help(vm, "2^%lld amplitudes of 16 bytes; 30 qubits take 16 GiB", (long long)c->reg.qubits);
    return 1;
  }
  return states_fit(vm_rt(vm), what, states_of(c), (double)batch, sizeof(c128)) != RT_OK;
}

/* (batch..., 2^n) amplitudes, untraced. */
static Tensor *run_amplitudes(Vm *vm, CircuitCode *code, Tensor *const *slot, int64_t batch,
                              int rank, const int64_t *shape) {
  CircuitRun r;
  int64_t full[TENSOR_MAX_RANK];
  if (circuit_fits(vm, &code->c, batch, "a circuit's state")) return NULL;
  if (rank >= TENSOR_MAX_RANK) {
    vm_error(vm, "a batch with %d axes", rank);
    return NULL;
  }
  memcpy(full, shape, sizeof *full * (size_t)rank);
  full[rank] = states_of(&code->c);
  if (circuit_open(vm, code, slot, batch, &r)) return NULL;
  Tensor *amp = tensor_new(vm_rt(vm), DT_C128, rank + 1, full);
  if (amp && circuit_run(vm_rt(vm), code->plan, &r.b, false, NULL, amp->data)) {
    tensor_unref(vm_rt(vm), amp);
    amp = NULL;
  }
  circuit_close(vm, &r);
  return amp;
}

/* ---- derivatives --------------------------------------------------------------------- */

typedef enum { ASK_AMPLITUDES, ASK_PROBABILITY, ASK_EXPECTATION } AskKind;

/* What was asked of the final states, and of which circuit. */
typedef struct {
  Vm *vm;
  CircuitCode *code;
  AskKind kind;
  uint64_t mask, value;      /* ASK_PROBABILITY: index & mask == value             */
  HamApplied *h;             /* ASK_EXPECTATION, a reference                       */
  int batch_rank;
  int64_t batch, batch_shape[TENSOR_MAX_RANK];
} Ask;

static void ask_drop(Rt *rt, void *data) {
  Ask *a = data;
  ham_applied_unref(rt, a->h);
  circuit_code_unref(a->vm, a->code);
  rt_free(rt, a, sizeof *a);
}

/* dL/d amplitudes of one item, from dL/d its answer. */
static RtStatus seed_item(Rt *rt, const Ask *a, const c128 *amp, double g, c128 *adjoint) {
  int64_t size = states_of(&a->code->c);
  if (a->kind == ASK_PROBABILITY) {
    for (int64_t i = 0; i < size; i++) {
      double f = ((uint64_t)i & a->mask) == a->value ? 2 * g : 0;
      adjoint[i] = (c128){f * amp[i].re, f * amp[i].im};
    }
    return RT_OK;
  }
  RT_TRY(applied_to(rt, ham_applied_map(a->h), (const double *)amp, (double *)adjoint));
  for (int64_t i = 0; i < size; i++) adjoint[i] = (c128){2 * g * adjoint[i].re, 2 * g * adjoint[i].im};
  return RT_OK;
}

/* dL/d amplitudes of all items as a new tensor like `amp`. */
static Tensor *seed_of(Rt *rt, const Ask *a, const Tensor *amp, Tensor *g) {
  int64_t size = states_of(&a->code->c);
  Tensor *flat = tensor_contiguous(rt, g), *out = NULL;
  if (!flat) return NULL;
  if (a->kind == ASK_AMPLITUDES) {
    out = tensor_new(rt, DT_C128, amp->rank, amp->shape);
    if (out) memcpy(out->data, flat->data, sizeof(c128) * (size_t)out->size);
  } else {
    out = tensor_new(rt, DT_C128, amp->rank, amp->shape);
    for (int64_t k = 0; out && k < a->batch; k++)
      if (seed_item(rt, a, (const c128 *)amp->data + k * size, tensor_get_f64(flat, k),
                    (c128 *)out->data + k * size)) {
        tensor_unref(rt, out);
        out = NULL;
      }
  }
  tensor_unref(rt, flat);
  return out;
}

/* The states once more, the adjoint walked back through the gates. */
static RtStatus ask_walk(Rt *rt, const Ask *a, CircuitRun *r, Tensor *amp, Tensor *seed, Tensor **grad) {
  size_t n = (size_t)r->n + 1;
  double **to = rt_alloc0(rt, sizeof *to * n);
  if (!to) return rt->error.status;
  for (int k = 0; k < r->n; k++) to[k] = grad[k] ? (double *)grad[k]->data : NULL;
  RtStatus st = circuit_run_back(rt, a->code->plan, &r->b, (c128 *)amp->data,
                                 (c128 *)seed->data, to);
  rt_free(rt, to, sizeof *to * n);
  return st;
}

static Tensor *zeros_like(Rt *rt, const Tensor *t) {
  return tensor_full(rt, t->dtype, t->rank, t->shape, 0, 0);
}

static RtStatus give_back(Rt *rt, TapeNode *node, int n, Tensor **grad, RtStatus st) {
  for (int k = 0; k < n; k++) {
    if (!grad[k]) continue;
    if (st) tensor_unref(rt, grad[k]);
    else st = tape_add(rt, node, k, grad[k]);
  }
  return st;
}

RtStatus circuit_slopes(Rt *rt, TapeNode *node, int slots, Tensor *g, CircuitSlopes slopes) {
  Tensor *slot[256], *grad[256] = {0};
  RtStatus st = RT_OK;
  if (!g) return RT_OK;
  Tensor *wide = op_astype(rt, g, DT_F64), *flat = wide ? tensor_contiguous(rt, wide) : NULL;
  if (wide) tensor_unref(rt, wide);
  if (!flat) return rt->error.status;
  for (int k = 0; k < slots; k++) {
    slot[k] = tape_saved(node, k);
    if (!st && tape_wants(node, k) && !(grad[k] = zeros_like(rt, slot[k]))) st = rt->error.status;
  }
  if (!st) st = slopes(rt, tape_data(node), slot, (const double *)flat->data, grad);
  st = give_back(rt, node, slots, grad, st);
  tensor_unref(rt, flat);
  return st;
}

static RtStatus ask_backward(Rt *rt, TapeNode *node, Tensor **g) {
  Ask *a = tape_data(node);
  int n = a->code->c.slot.n;
  Tensor *slot[256], *grad[256] = {0};
  if (!g[0]) return RT_OK;
  for (int k = 0; k < n; k++) slot[k] = tape_saved(node, k);
  CircuitRun r;
  Tensor *amp = run_amplitudes(a->vm, a->code, slot, a->batch, a->batch_rank, a->batch_shape);
  Tensor *seed = amp ? seed_of(rt, a, amp, g[0]) : NULL;
  RtStatus st = !seed || circuit_open(a->vm, a->code, slot, a->batch, &r) ? rt->error.status : RT_OK;
  bool open = seed && !st;
  for (int k = 0; !st && k < n; k++)
    if (tape_wants(node, k) && !(grad[k] = zeros_like(rt, slot[k]))) st = rt->error.status;
  if (!st) st = ask_walk(rt, a, &r, amp, seed, grad);
  if (open) circuit_close(a->vm, &r);
  if (amp) tensor_unref(rt, amp);
  if (seed) tensor_unref(rt, seed);
  return give_back(rt, node, n, grad, st);
}

static const TapeRule ask_rule = {"a circuit", ask_backward, ask_drop, true};

/* Records `out` as the answer to `ask` (taken over) of v. */
static int ask_record(Vm *vm, const CircuitValue *v, Ask ask, Tensor *out) {
  Rt *rt = vm_rt(vm);
  int n = v->code->c.slot.n;
  bool traced = false;
  for (int k = 0; k < n; k++) traced = traced || rt_taped(rt, v->slot[k]);
  Ask *kept = traced ? rt_alloc(rt, sizeof *kept) : NULL;
  if (!kept) {
    ham_applied_unref(rt, ask.h);
    return traced;
  }
  *kept = ask;
  kept->code = circuit_code_ref(v->code);
  if (n > 256) {
    ask_drop(rt, kept);
    return vm_error(vm, "a derivative of a circuit with %d arguments", n);
  }
  return tape_record(rt, &ask_rule, 1, &out, n, v->slot, n, v->slot, kept) != RT_OK;
}

static Ask ask_of(Vm *vm, const CircuitValue *v, AskKind kind) {
  Ask a = {.vm = vm, .kind = kind, .batch_rank = v->batch_rank, .batch = v->batch};
  memcpy(a.batch_shape, v->batch_shape, sizeof a.batch_shape);
  a.code = v->code;
  return a;
}

/* ---- states, amplitudes ----------------------------------------------------------------- */

Tensor *circuit_amplitudes(Vm *vm, CircuitValue *v) {
  Tensor *amp = run_amplitudes(vm, v->code, v->slot, v->batch, v->batch_rank, v->batch_shape);
  if (!amp || !ask_record(vm, v, ask_of(vm, v, ASK_AMPLITUDES), amp)) return amp;
  tensor_unref(vm_rt(vm), amp);
  return NULL;
}

int circuit_state(Vm *vm, CircuitValue *v, bool single, State *out) {
  Rt *rt = vm_rt(vm);
  VarTable vars;
  CircuitRun r;
  if (v->batch_rank) {
    vm_error(vm, "a batch of %lld circuits has no single state", (long long)v->batch);
    vm_help(vm, "amplitudes(c) gives all of them");
    return 1;
  }
  if (circuit_fits(vm, &v->code->c, 1, "a circuit's state") ||
      state_register(rt, v->code->c.reg.qubits, &vars))
    return 1;
  RtStatus st = state_new_in(rt, &vars, single, out);
  vars_free(rt, &vars);
  if (st) return 1;
  int failed = circuit_open(vm, v->code, v->slot, 1, &r);
  if (!failed) {
    void *amp = single ? (void *)out->amp32 : (void *)out->amp;
    failed = circuit_run(rt, v->code->plan, &r.b, single, NULL, amp) != RT_OK;
    circuit_close(vm, &r);
  }
  if (failed) state_free(rt, out);
  return failed;
}

/* ---- probabilities ----------------------------------------------------------------------- */

/* A sum over the basis states with index & mask == value. */
static Tensor *weight_of(Vm *vm, const CircuitValue *v, const Tensor *amp, uint64_t mask,
                         uint64_t value) {
  int64_t size = states_of(&v->code->c);
  Tensor *out = tensor_new(vm_rt(vm), DT_F64, v->batch_rank, v->batch_shape);
  for (int64_t k = 0; out && k < v->batch; k++) {
    const c128 *a = (const c128 *)amp->data + k * size;
    double sum = 0;
    for (int64_t i = 0; i < size; i++)
      if (((uint64_t)i & mask) == value) sum += a[i].re * a[i].re + a[i].im * a[i].im;
    ((double *)out->data)[k] = sum;
  }
  return out;
}

/* w = 3: the qubits of register w, as bits of the index. */
int circuit_outcome(Vm *vm, const Circuit *c, const Record *named, uint64_t *mask,
                    uint64_t *value) {
  *mask = *value = 0;
  for (uint32_t k = 0; k < named->n; k++) {
    const char *name = named->fields[k].key->data;
    const QubitArray *a = NULL;
    int64_t x;
    for (int i = 0; i < c->reg.n; i++)
      if (!strcmp(c->reg.at[i].name, name)) a = &c->reg.at[i];
    if (!a) {
      vm_error(vm, "circuit `%s` has no register `%s`", c->name ? c->name : "", name);
      vm_help(vm, "its first one is `%s`", c->reg.at[0].name);
      return 1;
    }
    if (arg_int(vm, named->fields[k].value, "the value of a register", &x)) return 1;
    if (x < 0 || (a->count < 63 && x >> a->count))
      return vm_error(vm, "register `%s` of %lld qubit%s is never %lld", name,
                      (long long)a->count, a->count == 1 ? "" : "s", (long long)x);
    *mask |= ((1ull << a->count) - 1) << a->first;
    *value |= (uint64_t)x << a->first;
  }
  return 0;
}

static int bind_probability(Vm *vm, Value *args, int n, Value *out) {
  CircuitValue *v;
  if (arg_whole_circuit(vm, &args[0], "`probability`", &v)) return 1;
  Ask ask = ask_of(vm, v, ASK_PROBABILITY);
  if (!AS_RECORD(args[1])->n) {
    vm_error(vm, "`probability` needs an outcome");
    vm_help(vm, "name a register and its value: probability(c, %s = 0)",
            v->code->c.reg.at[0].name);
    return 1;
  }
  if (circuit_outcome(vm, &v->code->c, AS_RECORD(args[1]), &ask.mask, &ask.value)) return 1;
  if (circuit_mixed(&v->code->c)) return mixed_probability(vm, v, ask.mask, ask.value, out);
  Tensor *amp = run_amplitudes(vm, v->code, v->slot, v->batch, v->batch_rank, v->batch_shape);
  Tensor *p = amp ? weight_of(vm, v, amp, ask.mask, ask.value) : NULL;
  if (amp) tensor_unref(vm_rt(vm), amp);
  if (p && ask_record(vm, v, ask, p)) {
    tensor_unref(vm_rt(vm), p);
    p = NULL;
  }
  return give(vm, p, out);
}

/* ---- expectations ------------------------------------------------------------------------- */

int circuit_operator(Vm *vm, const Operator *h, int64_t qubits, Operator *out) {
  Rt *rt = vm_rt(vm);
  State s;
  state_init(&s);
  if (state_register(rt, qubits, &s.vars)) return 1;
  s.size = 1ll << qubits;
  RtStatus st = state_operator(rt, h, &s, out);
  vars_free(rt, &s.vars);
  return st != RT_OK;
}

/* The Hermitian operator of *v on a circuit's qubits, compiled. */
static int operator_on(Vm *vm, Value *v, int64_t qubits, HamApplied **out) {
  Operator *h;
  State s;
  if ((*out = ham_applied_found(*v, NULL, qubits, false))) return 0;
  if (arg_hermitian(vm, v, "`expect` of a circuit", &h)) return 1;
  state_init(&s);
  if (state_register(vm_rt(vm), qubits, &s.vars)) return 1;
  s.size = 1ll << qubits;
  int failed = ham_applied_make(vm, *v, h, &s, out);
  vars_free(vm_rt(vm), &s.vars);
  return failed;
}

int circuit_expectation(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  CircuitValue *v;
  Operator *h;
  if (arg_whole_circuit(vm, &args[1], "`expect`", &v)) return 1;
  if (circuit_mixed(&v->code->c))
    return arg_hermitian(vm, &args[0], "`expect` of a circuit", &h) ||
           mixed_expectation(vm, v, h, out);
  if (circuit_fits(vm, &v->code->c, v->batch, "a circuit's state")) return 1;
  Ask ask = ask_of(vm, v, ASK_EXPECTATION);
  if (operator_on(vm, &args[0], v->code->c.reg.qubits, &ask.h)) return 1;
  Tensor *amp = run_amplitudes(vm, v->code, v->slot, v->batch, v->batch_rank, v->batch_shape);
  Tensor *e = amp ? tensor_new(rt, DT_F64, v->batch_rank, v->batch_shape) : NULL;
  int failed = !e;
  for (int64_t k = 0; !failed && k < v->batch; k++)
    failed = applied_mean(rt, ham_applied_map(ask.h),
                          (const double *)amp->data + 2 * k * states_of(&v->code->c),
                          (double *)e->data + k) != RT_OK;
  if (amp) tensor_unref(rt, amp);
  if (failed) ham_applied_unref(rt, ask.h);
  else failed = ask_record(vm, v, ask, e);
  if (failed && e) tensor_unref(rt, e);
  return failed || give(vm, e, out);
}

/* ---- matrices -------------------------------------------------------------------------------- */

int circuit_matrix_value(Vm *vm, CircuitValue *v, Value *out) {
  enum { MOST = 13 };
  Rt *rt = vm_rt(vm);
  const Circuit *c = &v->code->c;
  int64_t d = states_of(c);
  CircuitRun r;
  if (v->batch_rank) return vm_error(vm, "`matrix` of a batch of circuits");
  if (c->reg.qubits > MOST)
    return vm_error(vm, "`matrix` of %lld qubits: at most %d", (long long)c->reg.qubits, MOST);
  for (int k = 0; k < c->slot.n; k++)
    if (rt_taped(rt, v->slot[k])) return vm_error(vm, "no derivative for `matrix` of a circuit");
  Tensor *m = tensor_new(rt, DT_C128, 2, (int64_t[]){d, d});
  size_t bytes = sizeof(c128) * (size_t)d;
  c128 *from = rt_alloc0(rt, bytes), *column = rt_alloc(rt, bytes);
  int failed = !m || !from || !column || circuit_open(vm, v->code, v->slot, 1, &r);
  bool open = !failed;
  for (int64_t j = 0; !failed && j < d; j++) {
    from[j].re = 1;
    failed = circuit_run(rt, v->code->plan, &r.b, false, from, column) != RT_OK;
    from[j].re = 0;
    for (int64_t i = 0; !failed && i < d; i++) ((c128 *)m->data)[i * d + j] = column[i];
  }
  if (open) circuit_close(vm, &r);
  if (from) rt_free(rt, from, bytes);
  if (column) rt_free(rt, column, bytes);
  if (failed && m) tensor_unref(rt, m);
  return failed || give(vm, m, out);
}

static int bind_run(Vm *vm, Value *args, int n, Value *out) {
  CircuitValue *v;
  State s;
  bool single;
  if (arg_whole_circuit(vm, &args[0], "`run`", &v) ||
      arg_state_dtype(vm, args[1], "`run`", &single) || circuit_state(vm, v, single, &s))
    return 1;
  *out = state_value(vm, &s);
  return out->tag == V_NIL;
}

const Native natives_circuit_run[] = {
  {"run", "c, dtype = \"c128\"",
   "The state that circuit c makes of |0...0>; projections leave it shorter than 1. dtype = \"c64\"\n"
   "is single precision: half the memory, up to twice the speed.\n"
   "Errors: a batch, measurements (shots are drawn by sample(c, shots)).",
   bind_run, NF_CONST},
  {"probability", "c, **outcome",
   "The probability that registers have given values at the end of c: probability(c, w = 3, v = 0);\n"
   "with project() in c, the joint one. A float, or a tensor of the batch's shape; differentiable.\n"
   "Circuits with noise, measurements, resets go by density matrices, 16 * 4^n bytes.",
   bind_probability, NF_DIFF},
  {0}};
