/* mps_evolve.c: evolution, ground and thermal states of chains in the language. */
#include "lang/bind/evolve.h"
#include "lang/bind/mps.h"
#include "lang/bind/tensor_args.h"

#include <math.h>
#include <string.h>

#define STEP 0.05

/* ---- time ----------------------------------------------------------------------------- */

/* tol, method, info: what gates on a chain have not. */
static int refuse(Vm *vm, const char *what, const Value *args) {
  const char *name;
  if (args[3].tag != V_NIL) {
    vm_error(vm, "%s of a matrix-product state has no `tol`", what);
    vm_help(
        vm,
        "its errors come from `step` and `order`, and from what `bond` and `cut` discard: s.error");
    return 1;
  }
  if (args[4].tag != V_NIL && arg_str(vm, args[4], "method", &name)) return 1;
  if (args[4].tag != V_NIL && strcmp(name, "trotter"))
    return vm_error(vm, "%s of a matrix-product state: method is \"trotter\", found \"%s\"", what,
                    name);
  if (args[8].tag == V_BOOL && args[8].b) {
    vm_error(vm, "%s of a matrix-product state has no `info`", what);
    vm_help(vm, "s.error is the weight discarded so far, s.bonds the widths it came to");
    return 1;
  }
  return 0;
}

/* Either the number of steps to each time, or their length. */
static int arg_steps(Vm *vm, const Value *args, int64_t *steps, double *step) {
  *steps = 0;
  *step = STEP;
  if (args[EVOLVE_STEPS].tag != V_NIL && args[EVOLVE_STEP].tag != V_NIL)
    return vm_error(vm, "`steps` and `step` are both given");
  if (args[EVOLVE_STEPS].tag != V_NIL && arg_int(vm, args[EVOLVE_STEPS], "steps", steps))
    return 1;
  if (args[EVOLVE_STEPS].tag != V_NIL && *steps < 1)
    return vm_error(vm, "`steps` is at least 1, found %lld", (long long)*steps);
  if (args[EVOLVE_STEP].tag != V_NIL && arg_float(vm, args[EVOLVE_STEP], "step", step)) return 1;
  return *step > 0 && isfinite(*step)
             ? 0
             : vm_error(vm, "`step` is a positive number, found %g", *step);
}

/* A copy of *m for the list, or m itself. */
static int take(Vm *vm, List *l, Mps *m, MpsCut cut, Value *out) {
  Mps copy;
  if (!l) {
    *out = mps_value(vm, m, cut);
    return out->tag == V_NIL;
  }
  if (mps_copy(vm_rt(vm), m, &copy)) return 1;
  Value v = mps_value(vm, &copy, cut);
  return v.tag == V_NIL || list_push(vm, l, v);
}

int evolve_chain(Vm *vm, const Operator *h, const Value *args, bool imaginary, const double *t,
                 int64_t n, bool one, Value *out) {
  const char *what = imaginary ? "`evolve_imag`" : "`evolve`";
  Rt *rt = vm_rt(vm);
  Chain *c;
  Mps m;
  int64_t steps, order = 4;
  double step;
  if (arg_mps(vm, args[1], what, &c) || refuse(vm, what, args) ||
      arg_steps(vm, args, &steps, &step))
    return 1;
  MpsCut cut = c->cut;
  if (args[EVOLVE_ORDER].tag != V_NIL && arg_int(vm, args[EVOLVE_ORDER], "order", &order))
    return 1;
  if (order != 1 && order != 2 && order != 4)
    return vm_error(vm, "%s of a matrix-product state: `order` is 1, 2 or 4, found %lld", what,
                    (long long)order);
  if (arg_mps_cut(vm, args[EVOLVE_BOND], args[EVOLVE_CUT], &cut)) return 1;
  if (!(mps_norm2(&c->m) > 0)) return vm_error(vm, "%s: the state has length 0", what);
  List *l = one ? NULL : list_new(vm, false, (uint32_t)n);
  if (!one && !l) return 1;
  int failed = mps_copy(rt, &c->m, &m) != RT_OK;
  for (int64_t i = 0; i < n && !failed; i++) {
    double dt = t[i] - (i ? t[i - 1] : 0);
    MpsTime how = {dt, steps && dt > 0 ? dt / (double)steps : step, (int)order, imaginary, cut};
    failed = mps_evolve(rt, h, how, &m, NULL) || take(vm, l, &m, cut, out);
  }
  mps_free(rt, &m);
  if (failed && l) value_unref(vm, value_obj(l));
  else if (l) *out = value_obj(l);
  return failed;
}

/* ---- ground states --------------------------------------------------------------------- */

/* ground(H, sector, bond, cut, tol, sweeps): (E, s) */
int ground_chain(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  Operator *h;
  MpsCut cut = {64, 1e-13};
  double tol = 1e-11;
  int64_t sweeps = 60;
  DmrgResult r;
  Mps m;
  if (args[1].tag != V_NIL) {
    vm_error(vm, "`ground` of a chain (`bond`) has no `sector`");
    vm_help(vm, "add weight * (Q - q)^2 to H, or leave `bond` out");
    return 1;
  }
  if (arg_hermitian(vm, &args[0], "`ground`", &h) || arg_mps_cut(vm, args[2], args[3], &cut))
    return 1;
  if (args[4].tag != V_NIL && arg_float(vm, args[4], "tol", &tol)) return 1;
  if (!(tol > 0 && tol < 1))
    return vm_error(vm, "`tol` is the relative change of the energy that ends the sweeps, found %g",
                    tol);
  if (args[5].tag != V_NIL && arg_int(vm, args[5], "sweeps", &sweeps)) return 1;
  if (sweeps < 3 || sweeps > 1 << 20)
    return vm_error(vm, "`sweeps` is at least 3, found %lld", (long long)sweeps);
  if (mps_ground(rt, h, cut, tol, (int)sweeps, rng_seeded(0), &m, &r)) return 1;
  List *l = list_new(vm, true, 2);
  Value s = l ? mps_value(vm, &m, cut) : NIL_VALUE;
  if (!l) mps_free(rt, &m);
  int failed = s.tag == V_NIL || list_push(vm, l, value_float(r.energy));
  if (failed && s.tag != V_NIL) value_unref(vm, s);
  failed = failed || list_push(vm, l, s);
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

/* ---- thermal states ----------------------------------------------------------------------- */

typedef struct {
  double beta, lnz, energy, variance;
} Gibbs;

static int arg_chain_beta(Vm *vm, const Value *args, double *beta, double *step, MpsCut *cut) {
  static const char *const name[] = {"observables", "sector", "method"};
  const int at[] = {2, 5, 6};
  for (int k = 0; k < 3; k++)
    if (args[at[k]].tag != V_NIL) {
      vm_error(vm, "`thermal` of a chain (`bond`) has no `%s`", name[k]);
      vm_help(vm, "expect(A, t.state) is the mean of an operator");
      return 1;
    }
  if (arg_float(vm, args[1], "beta", beta) || arg_mps_cut(vm, args[7], args[8], cut) ||
      (args[9].tag != V_NIL && arg_float(vm, args[9], "step", step)))
    return 1;
  if (!(*beta >= 0) || !isfinite(*beta))
    return vm_error(vm, "`beta` of a chain must be a non-negative number, found %g", *beta);
  return *step > 0 && isfinite(*step)
             ? 0
             : vm_error(vm, "`step` is a positive number, found %g", *step);
}

/* Z = tr exp(-beta H): the maximally mixed purification, cooled by half of beta, has length^2 Z
 * over the number of states. */
static RtStatus cooled(Rt *rt, const Operator *h, double step, MpsCut cut, Mps *m, Gibbs *g) {
  Mpo *w = NULL;
  c128 mean;
  double log_norm = 0;
  MpsTime how = {g->beta / 2, step, 4, true, cut};
  RT_TRY(mps_mixed(rt, &h->vars, m));
  g->lnz = 0;
  for (int64_t i = 0; i < m->n; i++) g->lnz += log((double)mps_levels(&m->vars, i));
  RtStatus st = mps_evolve(rt, h, how, m, &log_norm);
  g->lnz += 2 * log_norm;
  if (!st) st = mpo_make(rt, h, 0, &w);
  if (!st) st = mpo_mean(rt, w, m, &mean);
  mpo_free(rt, w);
  w = NULL;
  if (!st) st = mpo_make(rt, h, -(g->energy = mean.re), &w);
  if (!st) st = mpo_square(rt, w, m, &g->variance);
  mpo_free(rt, w);
  if (st) mps_free(rt, m);
  return st;
}

int thermal_chain(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  Operator *h;
  Gibbs g;
  Mps m;
  double step = STEP;
  MpsCut cut = {64, 1e-18};
  if (arg_hermitian(vm, &args[0], "`thermal`", &h) ||
      arg_chain_beta(vm, args, &g.beta, &step, &cut) || cooled(rt, h, step, cut, &m, &g))
    return 1;
  double discarded = m.error;
  Value state = mps_value(vm, &m, cut);
  Record *r = state.tag == V_NIL ? NULL : record_new(vm, 9);
  Str *how = r ? str_new(vm, "purification", 12) : NULL;
  if (!how || record_set(vm, r, "method", value_obj(how))) {
    if (state.tag != V_NIL) value_unref(vm, state);
    if (r) value_unref(vm, value_obj(r));
    return 1;
  }
  int failed =
      record_set(vm, r, "state", state) || record_set(vm, r, "beta", value_float(g.beta)) ||
      record_set(vm, r, "lnZ", value_float(g.lnz)) ||
      record_set(vm, r, "energy", value_float(g.energy)) ||
      record_set(vm, r, "heat_capacity", value_float(g.beta * g.beta * g.variance)) ||
      record_set(vm, r, "entropy", value_float(g.lnz + g.beta * g.energy)) ||
      record_set(vm, r, "free_energy", value_float(g.beta > 0 ? -g.lnz / g.beta : -INFINITY)) ||
      record_set(vm, r, "discarded", value_float(discarded));
  if (!failed) *out = value_obj(r);
  else value_unref(vm, value_obj(r));
  return failed;
}
