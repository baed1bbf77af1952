/* evolve.c: time evolution in the language. */
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/evolve/evolve.h"

#include <math.h>

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
    {"evolve", "H, *more, psi = nil, time = nil, tol = 1e-12",
     "evolve(H, psi, time): exp(-i H time) psi for a Hermitian H and time >= 0, by Krylov spaces\n"
     "(h-bar = 1).\n"
     "The steps are chosen so that the estimated error of the vector stays below tol.",
     bind_evolve, NF_CONST},
    {"evolve_imag", "H, psi, tau, tol = 1e-12",
     "exp(-H tau) psi, normalised: psi cooled by imaginary time tau >= 0.", bind_evolve_imag,
     NF_CONST},
    {0}};
