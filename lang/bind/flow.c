/* flow.c: quantum probability flow in the language: gaps of leakage channels. */
#include "lang/bind/channels.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/flow/gaps.h"

/* The channels of the call, or of H itself; sets->n 0: single flips of all variables. */
static int chosen(Vm *vm, Ham *h, Value given, Channels *out) {
  const VarArray *z = vars_array(&h->op.vars, OPERATOR_REGISTER);
  int64_t first = z ? z->first : 0;
  *out = (Channels){0};
  if (given.tag != V_NIL)
    return arg_channels(vm, given, "`gaps`", h->op.vars.n, first, NULL, out);
  if (!h->op.product.n) return 0;
  int failed = channels_driver(vm, h, "`gaps`", first, NULL, out);
  if (failed) channels_free(vm, out);
  return failed;
}

static int no_bosons(Vm *vm, const Ham *h) {
  for (int i = 0; i < h->op.vars.n_array; i++)
    if (h->op.vars.array[i].kind == VAR_MODE)
      return vm_error(vm, "`gaps` needs a Hamiltonian of qubits, spins and binaries, but `%s` is "
                      "a boson", h->op.vars.array[i].name);
  return 0;
}

static int bind_gaps(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Ham *h;
  Channels c;
  Assignments a;
  if (arg_ham_own(vm, &args[0], "`gaps`", &h) || no_bosons(vm, h) ||
      operator_merge(rt, &h->op) || chosen(vm, h, args[2], &c))
    return 1;
  if (arg_assignments(vm, &h->op.vars, args[1], "`gaps`", &a)) {
    channels_free(vm, &c);
    return 1;
  }
  FlipSets sets = {c.n, c.end, c.v};
  int64_t shape[2] = {a.rows, c.n ? c.n : a.n};
  Tensor *t = tensor_new(rt, DT_F64, a.one ? 1 : 2, a.one ? shape + 1 : shape);
  if (t && flow_gaps(rt, &h->op.diagonal, &h->op.vars, a.x, a.rows, c.n ? &sets : NULL,
                     (double *)(void *)t->data)) {
    tensor_unref(rt, t);
    t = NULL;
  }
  channels_free(vm, &c);
  assignments_free(vm, &a);
  return give(vm, t, out);
}

static int bind_diagonal(Vm *vm, Value *args, int n, Value *out) {
  Ham *h;
  if (arg_ham_own(vm, &args[0], "`leakage`", &h) || operator_merge(vm_rt(vm), &h->op)) return 1;
  *out = value_bool(h->op.product.n == 0);
  return 0;
}

const Native natives_flow[] = {
    {"gaps", "H, pattern, channels = nil",
     "E(F x) - E(x) of every channel F at the pattern x: f64 (c), or (k, c) for k patterns.\n"
     "H: its diagonal part is E, of any degree, as it is minimised and without penalties.\n"
     "pattern: as for energy(H, x): a tensor (n) or (k, n), a record of the arrays, samples.\n"
     "channels: what flips together, a driver or sets of variables (see `channels`); nil: what\n"
     "products of X and Y in H flip, or where it has none, each variable alone.\n"
     "x is a strict local minimum when all gaps are positive. import memory has what follows.",
     bind_gaps, 0},
    {"__diagonal", "H", "Is H a function of bits, without X and Y?", bind_diagonal, NF_HIDDEN},
    {0}};
