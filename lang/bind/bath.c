/* bath.c: what couples a system to its surroundings, in the language: dephasing(), damping(),
 * collapse operators.                                                            */
#include "lang/bind/density.h"
#include "lang/bind/tensor_args.h"

#include <math.h>
#include <string.h>

static const char *const rate_name[] = {"dephasing", "down", "up"};
enum { RATES = 3 };

/* ---- rates ---------------------------------------------------------------------------- */

/* One rate; a quantity in 1/s becomes one per unit of time. per_second < 0: only looked at. */
static int one_rate(Vm *vm, Value v, const char *name, double per_second, double *out) {
  bool hertz = v.tag == V_QUANTITY && v.dims[0] == -1 && v.dims[1] == 0;
  if (hertz) *out = v.f;
  else if (v.tag == V_QUANTITY)
    return vm_error(vm, "the rate `%s` is a number or one in Hz, found %s %s", name, VALUE_A(v));
  else if (arg_float(vm, v, "a rate", out)) return 1;
  if (!isfinite(*out) || *out < 0)
    return vm_error(vm, "the rate `%s` must be a number >= 0, found %g", name, *out);
  if (per_second < 0) return 0;
  if (hertz == (per_second > 0)) {
    if (hertz) *out /= per_second;
    return 0;
  }
  vm_error(vm,
           hertz ? "the rate `%s` has a unit, the time is a plain number"
                 : "the rate `%s` is a plain number, the time has a unit",
           name);
  vm_help(vm, hertz ? "give the time a unit (and `unit = 1GHz`), or divide the rate by one"
                    : "give it in Hz: dephasing(1MHz), or dephasing(1 / 50us)");
  return 1;
}

/* rate[*n]: one for all, or several; room for `most`. */
static int rates(Vm *vm, Value v, const char *name, double per_second, int64_t most, double *rate,
                 int64_t *n) {
  Tensor *t = NULL;
  List *l = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) ? AS_LIST(v) : NULL;
  if (!l && v.tag == V_OBJ && arg_tensor(vm, v, "a rate", &t)) return 1;
  *n = l ? l->n : t ? t->size : 1;
  int failed = *n == most || *n == 1 ? 0
                                     : vm_error(vm, "%lld rates `%s` for %lld variables",
                                                (long long)*n, name, (long long)most);
  for (int64_t i = 0; i < *n && !failed; i++) {
    Value x = l ? l->items[i] : t ? value_float(tensor_get_f64(t, i)) : v;
    failed = one_rate(vm, x, name, per_second, &rate[i]);
  }
  if (t) tensor_unref(vm_rt(vm), t);
  return failed;
}

static int add_record(Vm *vm, Record *r, const VarTable *vars, double per_second, int *n,
                      Operator **list) {
  Rt *rt = vm_rt(vm);
  size_t bytes = (size_t)(RATES * (vars->n + 1)) * sizeof(double);
  double *all = rt_alloc0(rt, bytes);
  int failed = !all, known = 0;
  for (int k = 0; k < RATES && !failed; k++) {
    Value *v = record_get(r, rate_name[k]);
    double *rate = all + k * vars->n;
    int64_t count;
    if (!v) continue;
    known++;
    failed = rates(vm, *v, rate_name[k], per_second, vars->n, rate, &count);
    for (int64_t i = 1; !failed && count == 1 && i < vars->n; i++) rate[i] = rate[0];
  }
  if (!failed && (!known || (uint32_t)known != r->n)) {
    failed = vm_error(vm, "a bath has the rates `dephasing`, `down` and `up`, nothing else");
    vm_help(vm, "dephasing(rate) and damping(down, up) make them");
  }
  Bath b = {.dephasing = all, .down = all + vars->n, .up = all + 2 * vars->n, .each = true};
  if (!failed) failed = bath_jumps(rt, vars, &b, n, list) != RT_OK;
  if (all) rt_free(rt, all, bytes);
  return failed;
}

/* ---- collapse operators ------------------------------------------------------------------- */

static int add_operator(Vm *vm, Value v, const VarTable *vars, double per_second, int *n,
                        Operator **list) {
  Operator *l, wide;
  State like = {.vars = *vars};
  value_ref(v);
  int failed = arg_operator(vm, &v, "`bath`", &l);
  if (!failed && per_second > 0) {
    failed = vm_error(vm, "a collapse operator is a plain number of terms, the time has a unit");
    vm_help(vm, "dephasing(1MHz) and damping(1MHz) have rates with units");
  }
  failed =
      failed || state_operator(vm_rt(vm), l, &like, &wide) || jumps_add(vm_rt(vm), &wide, n, list);
  value_unref(vm, v);
  return failed;
}

int arg_bath(Vm *vm, Value v, const VarTable *vars, double per_second, int *n, Operator **list) {
  if (v.tag == V_NIL) return 0;
  if (value_is(v, OBJ_RECORD)) return add_record(vm, AS_RECORD(v), vars, per_second, n, list);
  if (ham_is(v) || value_callable(v)) return add_operator(vm, v, vars, per_second, n, list);
  if (!value_is(v, OBJ_LIST) && !value_is(v, OBJ_TUPLE)) {
    vm_error(vm, "`bath` is a collapse operator, a bath or a list of them, found %s %s",
             VALUE_A(v));
    vm_help(vm, "bath = dephasing(0.1), bath = [sqrt(0.1) * Sp[0], damping(0.2)]");
    return 1;
  }
  List *l = AS_LIST(v);
  for (uint32_t i = 0; i < l->n; i++)
    if (arg_bath(vm, l->items[i], vars, per_second, n, list)) return 1;
  return 0;
}

/* ---- making --------------------------------------------------------------------------------- */

/* Are these rates, whatever their number? */
static int look(Vm *vm, Value v, const char *name) {
  enum { MOST = 64 };
  double rate[MOST];
  int64_t n;
  List *l = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) ? AS_LIST(v) : NULL;
  int64_t most = l ? l->n : value_is(v, OBJ_TENSOR) ? AS_TENSOR(v)->size : 1;
  if (most > MOST) return vm_error(vm, "%lld rates `%s`; at most %d", (long long)most, name, MOST);
  return rates(vm, v, name, -1, most, rate, &n);
}

static int set(Vm *vm, Record *r, const char *key, Value v) {
  value_ref(v);
  return record_set(vm, r, key, v);
}

static int bind_dephasing(Vm *vm, Value *args, int n, Value *out) {
  if (look(vm, args[0], "dephasing")) return 1;
  Record *r = record_new(vm, 1);
  int failed = !r || set(vm, r, "dephasing", args[0]);
  if (!failed) *out = value_obj(r);
  return failed;
}

static int bind_damping(Vm *vm, Value *args, int n, Value *out) {
  if (look(vm, args[0], "down") || (args[1].tag != V_NIL && look(vm, args[1], "up"))) return 1;
  Record *r = record_new(vm, 2);
  int failed =
      !r || set(vm, r, "down", args[0]) || (args[1].tag != V_NIL && set(vm, r, "up", args[1]));
  if (!failed) *out = value_obj(r);
  return failed;
}

const Native natives_bath[] = {
    {"dephasing", "rate",
     "A bath for evolve and quench: coherences of every variable decay as exp(-rate t), its L is\n"
     "sqrt(rate / 2) Z; of a mode, between n and m quanta, as exp(-(n - m)^2 rate t).\n"
     "rate: a number, one for each variable, or in Hz beside times with a unit. Errors: negative.",
     bind_dephasing, NF_CONST},
    {"damping", "down, up = nil",
     "A bath for evolve and quench: every qubit goes from |1> to |0> with the rate `down` (L = "
     "sqrt(down)\n"
     "Sp: 1/T1) and back with the rate `up`; a mode loses and gains quanta (sqrt(down) a, sqrt(up) "
     "a').\n"
     "In equilibrium up/down = exp(-E/T). Rates as of dephasing.",
     bind_damping, NF_CONST},
    {0}};
