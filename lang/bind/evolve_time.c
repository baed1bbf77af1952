/* evolve_time.c: real and imaginary time of a constant Hamiltonian in the language. */
#include "lang/bind/evolve.h"
#include "lang/bind/mps.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/evolve/evolve.h"

#include <math.h>
#include <string.h>

static const char *const methods[] = {"automatic", "krylov", "chebyshev", "trotter"};

/* ---- arguments ------------------------------------------------------------------------ */

int evolve_arg_tol(Vm *vm, Value v, double otherwise, double *out) {
  *out = otherwise;
  if (v.tag == V_NIL) return 0;
  if (arg_float(vm, v, "`tol`", out)) return 1;
  if (isfinite(*out) && *out > 0) return 0;
  return vm_error(vm, "`tol` must be a positive number, found %g", *out);
}

static int arg_how(Vm *vm, const char *what, const Value *args, bool single, EvolveHow *how) {
  const char *name;
  int64_t order = 2;
  for (int k = EVOLVE_STEP; k < EVOLVE_ARGS; k++) {
    if (args[k].tag == V_NIL) continue;
    vm_error(vm, "%s: `step`, `bond` and `cut` belong to matrix-product states", what);
    vm_help(vm, "mps(psi) makes one of a state vector");
    return 1;
  }
  bool formula = args[5].tag != V_NIL || args[6].tag != V_NIL;
  if (args[4].tag != V_NIL) {
    if (arg_str(vm, args[4], "`method`", &name)) return 1;
    for (int m = EVOLVE_KRYLOV; m <= EVOLVE_TROTTER; m++)
      if (!strcmp(name, methods[m])) how->method = (EvolveMethod)m;
    if (!how->method)
      return vm_error(vm, "%s: method is \"krylov\", \"chebyshev\" or \"trotter\", found \"%s\"", what,
                      name);
  } else if (formula) {
    how->method = EVOLVE_TROTTER;
  }
  if (formula && how->method != EVOLVE_TROTTER)
    return vm_error(vm, "%s: `steps` and `order` belong to method = \"trotter\"", what);
  if (args[5].tag != V_NIL && arg_int(vm, args[5], "`steps`", &how->steps)) return 1;
  if (args[5].tag != V_NIL && how->steps < 1)
    return vm_error(vm, "%s: `steps` is at least 1, found %lld", what, (long long)how->steps);
  if (args[6].tag != V_NIL && arg_int(vm, args[6], "`order`", &order)) return 1;
  if (order != 1 && order != 2 && order != 4 && order != 6)
    return vm_error(vm, "%s: `order` is 1, 2, 4 or 6, found %lld", what, (long long)order);
  how->order = (int)order;
  if (how->steps && args[3].tag != V_NIL) {
    vm_error(vm, "%s: `steps` and `tol` are both given", what);
    vm_help(vm, "without `steps` as many are taken as `tol` asks for; info = true estimates the error");
    return 1;
  }
  return arg_bool(vm, args[8], "`info`", &how->estimate) ||
         evolve_arg_tol(vm, args[3], how->method == EVOLVE_TROTTER || single ? 1e-6 : 1e-12, &how->tol);
}

int evolve_arg_unit(Vm *vm, Value v, double *out) {
  *out = 0;
  if (v.tag == V_NIL) return 0;
  if (v.tag == V_QUANTITY && v.dims[0] == -1 && v.dims[1] == 0 && v.f > 0) {
    *out = 2 * acos(-1) * v.f;
    return 0;
  }
  vm_error(vm, "`unit` is the frequency that 1 of H stands for, found %s %s", VALUE_A(v));
  vm_help(vm, "evolve(H, psi, 5ns, unit = 1GHz)");
  return 1;
}

static int arg_time(Vm *vm, Value v, const char *what, double unit, double *out) {
  if (unit == 0 && v.tag == V_QUANTITY) {
    vm_error(vm, "%s has a unit, H holds plain numbers", what);
    vm_help(vm, "say what 1 of H is: evolve(H, psi, 5ns, unit = 1GHz), or divide the time by a unit");
    return 1;
  }
  if (unit == 0) return arg_float(vm, v, what, out);
  if (v.tag == V_QUANTITY && v.dims[0] == 1 && v.dims[1] == 0) {
    *out = v.f * unit;
    return 0;
  }
  vm_error(vm, "%s needs a time such as 5ns beside `unit`, found %s %s", what, VALUE_A(v));
  return 1;
}

static int check_times(Vm *vm, const char *what, bool imaginary, const EvolveTimes *t) {
  for (int64_t i = 0; i < t->n; i++) {
    if (!isfinite(t->t[i]) || t->t[i] < 0) {
      vm_error(vm, "%s must be a non-negative number, found %g", what, t->t[i]);
      if (t->t[i] < 0)
        vm_help(vm, imaginary ? "evolve_imag(-1 * H, psi, tau) heats"
                              : "evolve(-1 * H, psi, t) goes back in time");
      return 1;
    }
    if (i && t->t[i] < t->t[i - 1]) {
      vm_error(vm, "%s must ascend, found %g after %g", what, t->t[i], t->t[i - 1]);
      vm_help(vm, "sort them: each state is made from the one before");
      return 1;
    }
  }
  return t->n ? 0 : vm_error(vm, "%s is empty", what);
}

int evolve_arg_times(Vm *vm, Value v, const char *what, bool imaginary, double unit, EvolveTimes *out) {
  Rt *rt = vm_rt(vm);
  List *l = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) ? AS_LIST(v) : NULL;
  Tensor *t = NULL;
  int failed = 0;
  *out = (EvolveTimes){.n = l ? l->n : 1, .one = !l};
  if (!l && v.tag == V_OBJ) {
    if (arg_tensor(vm, v, what, &t)) return 1;
    out->n = t->size;
    out->one = t->rank == 0;
    if (t->rank > 1) {
      char shape[128];
      failed = vm_error(vm, "%s is a number or a vector, found shape %s", what,
                        tensor_shape_text(t, shape));
    } else if (t->rank == 1 && unit != 0) {
      failed = vm_error(vm, "%s beside `unit` is a list of times such as [1ns, 2ns]", what);
    }
  }
  out->t = failed ? NULL : rt_alloc(rt, (size_t)(out->n + 1) * sizeof *out->t);
  failed = failed || !out->t;
  for (int64_t i = 0; i < out->n && !failed; i++) {
    if (t) out->t[i] = tensor_get_f64(t, i);
    else failed = arg_time(vm, l ? l->items[i] : v, what, unit, &out->t[i]);
  }
  if (t) tensor_unref(rt, t);
  return failed || check_times(vm, what, imaginary, out);
}

void evolve_times_free(Vm *vm, EvolveTimes *t) {
  if (t->t) rt_free(vm_rt(vm), t->t, (size_t)(t->n + 1) * sizeof *t->t);
}

/* ---- results ------------------------------------------------------------------------------ */

static int give_states(Vm *vm, State *s, const EvolveTimes *t, Value *out) {
  if (t->one) {
    *out = state_value(vm, s);
    return out->tag == V_NIL;
  }
  List *l = list_new(vm, false, (uint32_t)t->n);
  int failed = !l;
  for (int64_t i = 0; i < t->n; i++) {
    Value v = failed ? NIL_VALUE : state_value(vm, &s[i]);
    if (failed) state_free(vm_rt(vm), &s[i]);
    else failed = v.tag == V_NIL || list_push(vm, l, v);
  }
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

/* (states, {method, products, error}); takes over states */
static int with_info(Vm *vm, Value states, const EvolveReport *report, Value *out) {
  List *pair = list_new(vm, true, 2);
  Record *r = record_new(vm, 3);
  Str *name = str_new(vm, methods[report->method], strlen(methods[report->method]));
  int failed = !pair || !r || !name || list_push(vm, pair, states);
  if (failed) value_unref(vm, states);
  failed = failed || record_set(vm, r, "method", value_obj(name)) ||
           record_set(vm, r, "products", value_int(report->products)) ||
           record_set(vm, r, "error", value_float(report->error)) ||
           list_push(vm, pair, value_obj(r));
  if (!failed) *out = value_obj(pair);
  else if (pair) value_unref(vm, value_obj(pair));
  return failed;
}

/* What a state of a list takes beside its amplitudes, roughly: short ones are refused too. */
#define STATE_VALUE_BYTES 512.0

static int run(Vm *vm, Operator *h, const EvolveHow *how, const EvolveTimes *t, const State *from,
               Value *out, EvolveReport *report) {
  Rt *rt = vm_rt(vm);
  Operator wide;
  size_t each = state_single(from) ? sizeof(c64) : sizeof(c128);
  double with_value = 1 + STATE_VALUE_BYTES / ((double)from->size * (double)each);
  RT_TRY(states_fit(rt, "the evolution", from->size, (double)t->n * with_value, each));
  if (t->n > UINT32_MAX) return vm_error(vm, "too many times");
  State *s = rt_alloc0(rt, (size_t)t->n * sizeof *s);
  if (!s || state_operator(rt, h, from, &wide)) {
    if (s) rt_free(rt, s, (size_t)t->n * sizeof *s);
    return 1;
  }
  int failed = evolve_times(rt, &wide, how, t->n, t->t, from, s, report) != RT_OK;
  operator_free(rt, &wide);
  for (int64_t i = 0; how->imaginary && i < t->n && !failed; i++)
    state_scale(&s[i], (c128){1 / sqrt(state_norm2(&s[i])), 0});
  failed = failed || give_states(vm, s, t, out);
  rt_free(rt, s, (size_t)t->n * sizeof *s);
  return failed;
}

int evolve_plain(Vm *vm, Value *args, bool imaginary, Value *out) {
  const char *what = imaginary ? "`evolve_imag`" : "`evolve`", *time = imaginary ? "`tau`" : "`time`";
  EvolveHow how = {.imaginary = imaginary};
  EvolveReport report;
  Operator *h;
  State *from;
  EvolveTimes t = {0};
  double unit;
  bool chain = mps_is(args[1]);
  int failed = arg_hermitian(vm, &args[0], what, &h) ||
               (!chain && (arg_state_any(vm, args[1], what, &from) ||
                           arg_how(vm, what, args, state_single(from), &how))) ||
               evolve_arg_unit(vm, args[7], &unit) || evolve_arg_times(vm, args[2], time, imaginary, unit, &t);
  Value states = NIL_VALUE;
  if (chain) {
    failed = failed || evolve_chain(vm, h, args, imaginary, t.t, t.n, t.one, out);
    evolve_times_free(vm, &t);
    return failed;
  }
  failed = failed || run(vm, h, &how, &t, from, &states, &report);
  evolve_times_free(vm, &t);
  if (failed) return 1;
  if (how.estimate) return with_info(vm, states, &report, out);
  *out = states;
  return 0;
}

static int bind_evolve_imag(Vm *vm, Value *args, int n, Value *out) {
  Value plain[EVOLVE_ARGS] = {args[0], args[1], args[2], args[3], args[4],
                              args[5], args[6], NIL_VALUE, args[7],
                              args[8], args[9], args[10]};
  int failed = evolve_plain(vm, plain, true, out);
  args[0] = plain[0];
  return failed;
}

const Native natives_evolve_time[] = {
    {"evolve_imag",
     "H, psi, tau, tol = nil, method = nil, steps = nil, order = nil, info = false, "
     "step = nil, bond = nil, cut = nil",
     "exp(-H tau) psi, normalised: psi cooled by imaginary time tau >= 0; ascending times give a list\n"
     "of states. method, steps, order, tol, info; step, bond, cut: as of evolve.",
     bind_evolve_imag, NF_CONST},
    {0}};
