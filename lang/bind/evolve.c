/* evolve.c: spectra and time evolution in the language. */
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

/* A plain number >= 0. */
static int arg_positive(Vm *vm, Value v, const char *what, bool zero, double *out) {
  if (arg_float(vm, v, what, out)) return 1;
  if (isfinite(*out) && (*out > 0 || (zero && *out == 0))) return 0;
  vm_error(vm, "%s must be a %s number, found %g", what, zero ? "non-negative" : "positive", *out);
  if (*out < 0) vm_help(vm, "evolve(-1 * H, psi, t) goes back in time");
  return 1;
}

static int evolved(Vm *vm, Value *args, bool imaginary, Value *out) {
  const char *what = imaginary ? "`evolve_imag`" : "`evolve`";
  Rt *rt = vm_rt(vm);
  Operator *h;
  State *from, s;
  double t, tol;
  Applied *a;
  if (arg_hermitian(vm, &args[0], what, &h) || arg_state(vm, args[1], what, &from) ||
      arg_positive(vm, args[2], imaginary ? "`tau`" : "`time`", true, &t) ||
      arg_positive(vm, args[3], "`tol`", false, &tol) || state_applied(vm, h, from, &a))
    return 1;
  RtStatus st = state_copy(rt, from, &s);
  if (!st) {
    st = imaginary ? evolve_imaginary(rt, a, t, tol, &s) : evolve_real(rt, a, t, tol, &s);
    if (st) state_free(rt, &s);
  }
  applied_free(rt, a);
  if (st) return 1;
  if (imaginary) state_scale(&s, (c128){1 / sqrt(state_norm2(&s)), 0});
  *out = state_value(vm, &s);
  return out->tag == V_NIL;
}

/* evolve(H, psi, time): positional arguments after H come as a tuple, for the forms of
 * the function differ in how many states and Hamiltonians they take.              */
static int bind_evolve(Vm *vm, Value *args, int n, Value *out) {
  const List *more = AS_LIST(args[1]);
  Value plain[4] = {args[0], args[2], args[3], args[4]}; /* H, psi, time, tol */
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
  int failed = evolved(vm, plain, false, out);
  args[0] = plain[0];
  return failed;
}
static int bind_evolve_imag(Vm *vm, Value *args, int n, Value *out) {
  return evolved(vm, args, true, out);
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
    {"evolve", "H, *more, psi = nil, time = nil, tol = 1e-12",
     "evolve(H, psi, time): exp(-i H time) psi for a Hermitian H and time >= 0, by Krylov spaces\n"
     "(h-bar = 1).\n"
     "The steps are chosen so that the estimated error of the vector stays below tol.",
     bind_evolve, NF_CONST},
    {"evolve_imag", "H, psi, tau, tol = 1e-12",
     "exp(-H tau) psi, normalised: psi cooled by imaginary time tau >= 0.", bind_evolve_imag,
     NF_CONST},
    {0}};
