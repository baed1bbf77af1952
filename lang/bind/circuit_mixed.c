/* circuit_mixed.c: what is asked of circuits with noise, measurements, resets: by their density
 * matrices. Everything asked is Re sum conj(M) rho for a Hermitian matrix M, so that M times
 * what comes from behind is where derivatives begin.                                 */
#include "lang/bind/circuit_run.h"
#include "lang/bind/density.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/mixed.h"

#include <string.h>

typedef enum { ASK_EXPECTATION, ASK_PROBABILITY, ASK_DIAGONAL } AskKind;

typedef struct {
  Vm *vm;
  CircuitCode *code;
  AskKind kind;
  Tensor *matrix;            /* ASK_EXPECTATION: H, element (r, c) at r + D c; owned  */
  uint64_t mask, value;      /* ASK_PROBABILITY: index & mask == value               */
  int64_t batch;
} Ask;

static int64_t states_of(const Ask *a) { return 1ll << a->code->c.reg.qubits; }

static void ask_drop(Rt *rt, void *data) {
  Ask *a = data;
  if (a->matrix) tensor_unref(rt, a->matrix);
  circuit_code_unref(a->vm, a->code);
  rt_free(rt, a, sizeof *a);
}

/* ---- answers ------------------------------------------------------------------------- */

static Tensor *densities(Vm *vm, CircuitCode *code, Tensor *const *slot, int64_t batch) {
  CircuitRun r;
  Rt *rt = vm_rt(vm);
  if (mixed_fits(rt, &code->c, (double)batch)) return NULL;
  int64_t shape[2] = {batch, 1ll << (2 * code->c.reg.qubits)};
  if (circuit_numbers(vm, code, slot, batch, &r)) return NULL;
  Tensor *rho = tensor_new(rt, DT_C128, 2, shape);
  if (rho && mixed_run(rt, &code->c, &r.b, (c128 *)rho->data)) {
    tensor_unref(rt, rho);
    rho = NULL;
  }
  circuit_close(vm, &r);
  return rho;
}

/* To out: one number, or the D of a diagonal. */
static void answer(const Ask *a, const c128 *rho, double *out) {
  int64_t d = states_of(a);
  const c128 *h = a->matrix ? (const c128 *)a->matrix->data : NULL;
  double sum = 0;
  for (int64_t i = 0; h && i < d * d; i++) sum += h[i].re * rho[i].re + h[i].im * rho[i].im;
  for (int64_t i = 0; a->kind == ASK_PROBABILITY && i < d; i++)
    if (((uint64_t)i & a->mask) == a->value) sum += rho[i + d * i].re;
  if (a->kind != ASK_DIAGONAL) out[0] = sum;
  else
    for (int64_t i = 0; i < d; i++) out[i] = rho[i + d * i].re;
}

/* ---- derivatives ----------------------------------------------------------------------- */

/* g M of one item; g: one number, or the D of a diagonal. */
static void slope_of(const Ask *a, const double *g, c128 *to) {
  int64_t d = states_of(a);
  const c128 *h = a->matrix ? (const c128 *)a->matrix->data : NULL;
  memset(to, 0, sizeof *to * (size_t)(d * d));
  for (int64_t i = 0; h && i < d * d; i++) to[i] = (c128){g[0] * h[i].re, g[0] * h[i].im};
  for (int64_t i = 0; a->kind == ASK_PROBABILITY && i < d; i++)
    if (((uint64_t)i & a->mask) == a->value) to[i + d * i].re = g[0];
  for (int64_t i = 0; a->kind == ASK_DIAGONAL && i < d; i++) to[i + d * i].re = g[i];
}

static RtStatus slopes(Rt *rt, const void *ask, Tensor **slot, const double *g, Tensor **grad) {
  const Ask *a = ask;
  int64_t d = states_of(a), each = a->kind == ASK_DIAGONAL ? d : 1;
  size_t list = sizeof(double *) * (size_t)(a->code->c.slot.n + 1);
  size_t bytes = sizeof(c128) * (size_t)(d * d * a->batch);
  CircuitRun r;
  if (circuit_numbers(a->vm, a->code, slot, a->batch, &r)) return rt->error.status;
  double **to = rt_alloc0(rt, list);
  c128 *slope = to ? rt_alloc(rt, bytes) : NULL;
  RtStatus st = slope ? RT_OK : rt->error.status;
  for (int k = 0; !st && k < a->code->c.slot.n; k++)
    to[k] = grad[k] ? (double *)grad[k]->data : NULL;
  for (int64_t k = 0; !st && k < a->batch; k++) slope_of(a, g + k * each, slope + k * d * d);
  if (!st) st = mixed_back(rt, &a->code->c, &r.b, slope, to);
  if (slope) rt_free(rt, slope, bytes);
  if (to) rt_free(rt, to, list);
  circuit_close(a->vm, &r);
  return st;
}

static RtStatus ask_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const Ask *a = tape_data(node);
  return circuit_slopes(rt, node, a->code->c.slot.n, g[0], slopes);
}

static const TapeRule ask_rule = {"a circuit with noise", ask_backward, ask_drop, true};

/* ---- questions ------------------------------------------------------------------------- */

static Tensor *answers(Vm *vm, const Ask *a, const CircuitValue *v) {
  Rt *rt = vm_rt(vm);
  int64_t shape[TENSOR_MAX_RANK], d = states_of(a), each = a->kind == ASK_DIAGONAL ? d : 1;
  int rank = v->batch_rank;
  if (rank >= TENSOR_MAX_RANK) {
    vm_error(vm, "a batch with %d axes", rank);
    return NULL;
  }
  memcpy(shape, v->batch_shape, sizeof *shape * (size_t)rank);
  if (a->kind == ASK_DIAGONAL) shape[rank++] = d;
  Tensor *rho = densities(vm, v->code, v->slot, v->batch);
  Tensor *out = rho ? tensor_new(rt, DT_F64, rank, shape) : NULL;
  for (int64_t k = 0; out && k < v->batch; k++)
    answer(a, (const c128 *)rho->data + k * d * d, (double *)out->data + k * each);
  if (rho) tensor_unref(rt, rho);
  return out;
}

/* Answers a (taken over) and records how. */
static int give_answer(Vm *vm, Ask *a, CircuitValue *v, Value *out) {
  Rt *rt = vm_rt(vm);
  int n = v->code->c.slot.n;
  bool traced = false;
  for (int k = 0; k < n; k++) traced = traced || rt_taped(rt, v->slot[k]);
  if (traced && n > 256) {
    ask_drop(rt, a);
    return vm_error(vm, "a derivative of a circuit with %d arguments", n);
  }
  Tensor *t = answers(vm, a, v);
  if (t && traced) {
    if (!tape_record(rt, &ask_rule, 1, &t, n, v->slot, n, v->slot, a)) return give(vm, t, out);
    tensor_unref(rt, t);
    return 1;
  }
  ask_drop(rt, a);
  return give(vm, t, out);
}

static Ask *ask_new(Vm *vm, const CircuitValue *v, AskKind kind) {
  if (mixed_fits(vm_rt(vm), &v->code->c, (double)v->batch)) return NULL;
  Ask *a = rt_alloc0(vm_rt(vm), sizeof *a);
  if (!a) return NULL;
  *a = (Ask){.vm = vm, .code = circuit_code_ref(v->code), .kind = kind, .batch = v->batch};
  return a;
}

/* H column by column. */
static Tensor *dense(Vm *vm, const Operator *h, int64_t qubits) {
  Rt *rt = vm_rt(vm);
  Operator wide;
  Applied *applied = NULL;
  int64_t d = 1ll << qubits;
  if (circuit_operator(vm, h, qubits, &wide)) return NULL;
  RtStatus st = applied_make(rt, &wide, true, &applied);
  operator_free(rt, &wide);
  if (st) return NULL;
  Tensor *unit = tensor_full(rt, DT_C128, 1, &d, 0, 0), *column = tensor_new(rt, DT_C128, 1, &d);
  Tensor *out = unit && column ? tensor_new(rt, DT_C128, 2, (int64_t[]){d, d}) : NULL;
  st = out ? RT_OK : RT_ERROR;
  for (int64_t c = 0; !st && c < d; c++) {
    ((c128 *)unit->data)[c].re = 1;
    st = applied_to(rt, applied, (const double *)unit->data, (double *)column->data);
    ((c128 *)unit->data)[c].re = 0;
    if (!st) memcpy((c128 *)out->data + d * c, column->data, sizeof(c128) * (size_t)d);
  }
  applied_free(rt, applied);
  if (unit) tensor_unref(rt, unit);
  if (column) tensor_unref(rt, column);
  if (st && out) tensor_unref(rt, out);
  return st ? NULL : out;
}

int mixed_expectation(Vm *vm, CircuitValue *v, const Operator *h, Value *out) {
  Ask *a = ask_new(vm, v, ASK_EXPECTATION);
  if (!a) return 1;
  a->matrix = dense(vm, h, v->code->c.reg.qubits);
  if (a->matrix) return give_answer(vm, a, v, out);
  ask_drop(vm_rt(vm), a);
  return 1;
}

int mixed_probability(Vm *vm, CircuitValue *v, uint64_t mask, uint64_t value, Value *out) {
  Ask *a = ask_new(vm, v, ASK_PROBABILITY);
  if (!a) return 1;
  a->mask = mask;
  a->value = value;
  return give_answer(vm, a, v, out);
}

int mixed_probabilities(Vm *vm, CircuitValue *v, Value *out) {
  Ask *a = ask_new(vm, v, ASK_DIAGONAL);
  return !a || give_answer(vm, a, v, out);
}

/* ---- the matrix itself ------------------------------------------------------------------ */

int circuit_density(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  CircuitValue *v;
  VarTable vars;
  Density p;
  if (arg_whole_circuit(vm, &args[0], "`density`", &v)) return 1;
  if (v->batch_rank) {
    vm_error(vm, "a batch of %lld circuits has no single density matrix", (long long)v->batch);
    vm_help(vm, "expect(H, c) and probabilities(c) take all of them");
    return 1;
  }
  for (int k = 0; k < v->code->c.slot.n; k++)
    if (rt_taped(rt, v->slot[k])) {
      vm_error(vm, "no derivative for `density` of a circuit");
      vm_help(vm, "expect(H, c), probability and probabilities(c) have one");
      return 1;
    }
  if (mixed_fits(rt, &v->code->c, 1) || state_register(rt, v->code->c.reg.qubits, &vars)) return 1;
  Tensor *rho = densities(vm, v->code, v->slot, 1);
  RtStatus st = rho ? density_new(rt, &vars, &p) : RT_ERROR;
  vars_free(rt, &vars);
  if (!st) memcpy(p.s.amp, rho->data, sizeof(c128) * (size_t)rho->size);
  if (rho) tensor_unref(rt, rho);
  if (st) return 1;
  *out = density_value(vm, &p);
  return out->tag == V_NIL;
}
