/* circuit_estimate.c: expect(H, c, shots = n): expectations from shots, whose derivatives are
 * taken by parameter shift.                                                        */
#include "lang/bind/circuit_run.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/estimate.h"

#include <string.h>

/* What was estimated, and of which circuit. */
typedef struct {
  Vm *vm;
  CircuitCode *code;
  PauliTerm *term;           /* owned                                             */
  int64_t n;
  Estimator *e;              /* owned, borrows code and term                      */
  int64_t shots, batch;
  RngCall rng;
} Ask;

static void ask_drop(Rt *rt, void *data) {
  Ask *a = data;
  estimator_free(rt, a->e);
  if (a->term) paulis_free(rt, a->term, a->n);
  circuit_code_unref(a->vm, a->code);
  rt_free(rt, a, sizeof *a);
}

/* The derivatives of the sum of weight[b] E_b, one tensor for each wanted slot. */
static RtStatus slopes(Rt *rt, const void *ask, Tensor **slot, const double *weight,
                       Tensor **grad) {
  const Ask *a = ask;
  CircuitRun r;
  size_t bytes = sizeof(double *) * (size_t)(a->code->c.slot.n + 1);
  double **to = rt_alloc0(rt, bytes);
  if (!to) return rt->error.status;
  for (int k = 0; k < a->code->c.slot.n; k++) to[k] = grad[k] ? (double *)grad[k]->data : NULL;
  RtStatus st = RT_OK;
  if (circuit_open(a->vm, a->code, slot, a->batch, &r)) {
    st = rt->error.status;
  } else {
    st = estimator_back(rt, a->e, &r.b, a->shots, a->rng, weight, to);
    circuit_close(a->vm, &r);
  }
  rt_free(rt, to, bytes);
  return st;
}

static RtStatus ask_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const Ask *a = tape_data(node);
  return circuit_slopes(rt, node, a->code->c.slot.n, g[0], slopes);
}

static const TapeRule ask_rule = {"a circuit's shots", ask_backward, ask_drop, true};

/* The strings of H on the circuit's qubits, their groups. */
static Ask *ask_make(Vm *vm, const CircuitValue *v, const Operator *h) {
  Rt *rt = vm_rt(vm);
  Operator wide;
  Ask *a = rt_alloc0(rt, sizeof *a);
  if (!a) return NULL;
  a->vm = vm;
  a->code = circuit_code_ref(v->code);
  a->batch = v->batch;
  int failed = circuit_operator(vm, h, v->code->c.reg.qubits, &wide);
  if (!failed) {
    failed = operator_paulis(rt, &wide, &a->term, &a->n) != RT_OK;
    operator_free(rt, &wide);
    if (failed) a->term = NULL;
  }
  if (!failed && !estimator_make(rt, &v->code->c, a->term, a->n, &a->e)) return a;
  ask_drop(rt, a);
  return NULL;
}

static Tensor *ask_run(Vm *vm, const Ask *a, const CircuitValue *v) {
  CircuitRun r;
  if (circuit_open(vm, v->code, v->slot, v->batch, &r)) return NULL;
  Tensor *e = tensor_new(vm_rt(vm), DT_F64, v->batch_rank, v->batch_shape);
  if (e && estimator_run(vm_rt(vm), a->e, &r.b, a->shots, a->rng, (double *)e->data)) {
    tensor_unref(vm_rt(vm), e);
    e = NULL;
  }
  circuit_close(vm, &r);
  return e;
}

/* Takes over a. */
static int ask_record(Vm *vm, Ask *a, const CircuitValue *v, Tensor *e) {
  Rt *rt = vm_rt(vm);
  int n = v->code->c.slot.n;
  bool traced = false;
  for (int k = 0; k < n; k++) traced = traced || rt_taped(rt, v->slot[k]);
  if (traced && n <= 256)
    return tape_record(rt, &ask_rule, 1, &e, n, v->slot, n, v->slot, a) != RT_OK;
  ask_drop(rt, a);
  return traced ? vm_error(vm, "a derivative of a circuit with %d arguments", n) : 0;
}

int circuit_estimate(Vm *vm, Value *args, Value *out) {
  CircuitValue *v;
  Operator *h;
  int64_t shots;
  RngCall rng;
  if (arg_whole_circuit(vm, &args[1], "`expect`", &v) ||
      circuit_fits(vm, &v->code->c, 2, "a circuit's shots") ||
      arg_hermitian(vm, &args[0], "`expect` of a circuit", &h) ||
      arg_int(vm, args[2], "shots", &shots))
    return 1;
  if (shots < 1 || shots > 1000000000)
    return vm_error(vm, "shots: from 1 to 10^9, found %lld", (long long)shots);
  if (arg_stream(vm, args[3], &rng)) return 1;
  Ask *a = ask_make(vm, v, h);
  if (!a) return 1;
  a->shots = shots;
  a->rng = rng;
  Tensor *e = ask_run(vm, a, v);
  if (!e) ask_drop(vm_rt(vm), a);
  else if (ask_record(vm, a, v, e)) {
    tensor_unref(vm_rt(vm), e);
    e = NULL;
  }
  return give(vm, e, out);
}
