/* evolve.c: spectra and time evolution in the language. */
#include "lang/bind/driven.h"
#include "lang/bind/evolve.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/evolve/evolve.h"

#include <math.h>

/* The k lowest levels; states may be NULL. */
static int levels(Vm *vm, Value *arg, const char *what, int64_t k, Level *level, State *states) {
  Operator *h;
  if (arg_hermitian(vm, arg, what, &h)) return 1;
  if (h->vars.n == 0) return vm_error(vm, "%s: the Hamiltonian is a number", what);
  return spectrum(vm_rt(vm), h, k, level, states) != RT_OK;
}

static int bind_ground(Vm *vm, Value *args, int n, Value *out) {
  Level e;
  State s;
  if (levels(vm, &args[0], "`ground`", 1, &e, &s)) return 1;
  List *l = list_new(vm, true, 2);
  Value psi = state_value(vm, &s);
  int failed = !l || psi.tag == V_NIL || list_push(vm, l, value_float(e.energy));
  if (!failed) failed = list_push(vm, l, psi);
  else value_unref(vm, psi);
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

static Value energies_of(Vm *vm, const Level *e, int64_t k) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &k);
  for (int64_t j = 0; t && j < k; j++) tensor_set_f64(t, j, e[j].energy);
  return t ? value_obj(t) : NIL_VALUE;
}

/* (energies, [states]) */
static int with_states(Vm *vm, const Level *e, State *s, int64_t k, Value *out) {
  List *pair = list_new(vm, true, 2), *list = list_new(vm, false, (uint32_t)k);
  Value t = energies_of(vm, e, k);
  int failed = !pair || !list || t.tag == V_NIL || list_push(vm, pair, t);
  if (failed && t.tag != V_NIL) value_unref(vm, t);
  for (int64_t j = 0; j < k && !failed; j++) {
    Value v = state_value(vm, &s[j]);
    failed = v.tag == V_NIL || list_push(vm, list, v);
  }
  if (!failed) failed = list_push(vm, pair, value_obj(list));
  else if (list) value_unref(vm, value_obj(list));
  if (!failed) *out = value_obj(pair);
  else if (pair) value_unref(vm, value_obj(pair));
  return failed;
}

static int bind_spectrum(Vm *vm, Value *args, int n, Value *out) {
  enum { MOST = 1 << 13 };
  Rt *rt = vm_rt(vm);
  int64_t k;
  bool states;
  if (arg_int(vm, args[1], "`k`", &k) || arg_bool(vm, args[2], "`states`", &states)) return 1;
  if (k < 1 || k > MOST)
    return vm_error(vm, "spectrum: k must be between 1 and %d, found %lld", MOST, (long long)k);
  Level *e = rt_alloc(rt, (size_t)k * sizeof *e);
  State *s = states ? rt_alloc0(rt, (size_t)k * sizeof *s) : NULL;
  int failed = !e || (states && !s) || levels(vm, &args[0], "`spectrum`", k, e, s);
  if (!failed && states) failed = with_states(vm, e, s, k, out);
  else if (!failed) {
    *out = energies_of(vm, e, k);
    failed = out->tag == V_NIL;
  }
  for (int64_t j = 0; s && j < k; j++) state_free(rt, &s[j]);
  if (s) rt_free(rt, s, (size_t)k * sizeof *s);
  if (e) rt_free(rt, e, (size_t)k * sizeof *e);
  return failed;
}

static int bind_gap(Vm *vm, Value *args, int n, Value *out) {
  Level e[2];
  if (levels(vm, &args[0], "`gap`", 2, e, NULL)) return 1;
  double d = e[1].energy - e[0].energy;
  *out = value_float(d > 0 ? d : 0);
  return 0;
}

/* evolve(H, psi, time): positional arguments after H come as a tuple, for the forms of
 * the function differ in how many states and Hamiltonians they take.              */
static int bind_evolve(Vm *vm, Value *args, int n, Value *out) {
  const List *more = AS_LIST(args[1]);
  if (evolve_is_driven(args)) return evolve_driven(vm, args, out);
  Value plain[EVOLVE_ARGS] = {args[0], args[2], args[3], args[4]}; /* H, psi, time, tol, ... */
  for (int i = 4; i < EVOLVE_ARGS; i++) plain[i] = args[i + 1];
  for (uint32_t i = 0; i < more->n; i++) {
    if (i > 2) return vm_error(vm, "`evolve` takes H, psi, time and tol, found %u values", more->n + 1);
    if (i < 2 && plain[i + 1].tag != V_NIL)
      return vm_error(vm, "`evolve`: `%s` is given twice", i ? "time" : "psi");
    plain[i + 1] = more->items[i];
  }
  if (plain[1].tag == V_NIL || plain[2].tag == V_NIL) {
    vm_error(vm, "`evolve` needs a %s", plain[1].tag == V_NIL ? "state" : "time");
    vm_help(vm, "evolve(H, psi, time)");
    return 1;
  }
  int failed = evolve_plain(vm, plain, false, out);
  args[0] = plain[0];
  return failed;
}

const Native natives_evolve[] = {
    {"ground", "H",
     "(E, psi): the lowest energy of a Hermitian H and its state. Dense up to 256 basis states,\n"
     "else by Lanczos's method to a residual |H psi - E psi| of 1e-11 of H's size.",
     bind_ground, NF_CONST},
    {"spectrum", "H, k = 1, states = false",
     "The k lowest energies of a Hermitian H, f64 (k,) ascending, degenerate ones as often as they "
     "occur;\n"
     "states = true: (energies, [psi, ...]).",
     bind_spectrum, NF_CONST},
    {"gap", "H", "The distance of the two lowest energies of a Hermitian H; 0 when degenerate.",
     bind_gap, NF_CONST},
    {"evolve",
     "H, *more, psi = nil, time = nil, tol = nil, method = nil, steps = nil, order = nil, unit = nil, "
     "info = false",
     "evolve(H, psi, time): exp(-i H time) psi for a Hermitian H and time >= 0 (h-bar = 1). Ascending\n"
     "times give a list of states.\n"
     "method: \"krylov\", \"chebyshev\", or \"trotter\" of order 1, 2, 4 or 6 with `steps` repetitions\n"
     "from one time to the next (nil: as many as tol asks for). nil: Krylov, or Chebyshev where that\n"
     "needs fewer products with H; Trotter when steps or order is given.\n"
     "tol: of the estimated error of the state, 1e-12; 1e-6 for Trotter.\n"
     "unit = 1GHz: H is an energy over h in that unit, time has a unit: exp(-2 pi i H time).\n"
     "info = true: (psi, {method, products, error}); products: with H, or Trotter repetitions.\n"
     "evolve(H0, H1, psi, schedule, time = T): A(s) H0 + B(s) H1, s = t / T or the schedule's path (in\n"
     "GHz: half of each, see schedule); evolve(t => H(t), psi, T): any function, asked at two times of\n"
     "each step.  Steps of order 4, \"split\" where all terms are diagonal or one X, else \"magnus\"\n"
     "(CFM4:2; Blanes, Moan 2006); \"midpoint\" is of order 2. tol: 1e-10, or `steps` equal ones;\n"
     "info = true: (psi, {method, steps, rejected, error}).\n"
     "Errors: H not Hermitian, negative or descending times, tol out of reach.",
     bind_evolve, NF_CONST},
    {0}};
