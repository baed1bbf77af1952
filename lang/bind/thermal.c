/* thermal.c: thermal states in the language. */
#include "lang/bind/evolve.h"
#include "runtime/evolve/thermal.h"
#include "lang/bind/spectra.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"

#include <math.h>
#include <string.h>

enum { OBSERVABLES_MAX = 64 };

typedef struct {
  Tensor *beta;                /* f64, contiguous                                      */
  bool many_beta, list;        /* given as an array; observables as a list             */
  Operator *observable[OBSERVABLES_MAX];
  Operator wide[OBSERVABLES_MAX];
  SectorRule rule[RULES_MAX];
  ThermalAsk ask;
} Call;

/* ---- arguments ------------------------------------------------------------------------ */

static int get_beta(Vm *vm, Value v, Call *c) {
  Tensor *t;
  if (arg_tensor(vm, v, "`beta`", &t)) return 1;
  c->many_beta = t->rank > 0;
  if (t->rank > 1 || !t->size || t->dtype == DT_C128 || t->dtype == DT_C64) {
    char shape[128];
    vm_error(vm, "`beta` is a number or a vector of numbers, found shape %s",
             tensor_shape_text(t, shape));
    tensor_unref(vm_rt(vm), t);
    return 1;
  }
  int64_t n = t->size;
  c->beta = tensor_new(vm_rt(vm), DT_F64, 1, &n);
  for (int64_t i = 0; c->beta && i < n; i++) tensor_set_f64(c->beta, i, tensor_get_f64(t, i));
  tensor_unref(vm_rt(vm), t);
  if (!c->beta) return 1;
  c->ask.n_beta = n;
  c->ask.beta = (const double *)(void *)c->beta->data;
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(c->ask.beta[i])) {
      vm_error(vm, "`beta` must be finite, found %g", c->ask.beta[i]);
      vm_help(vm, "ground(H) is the limit of low temperature");
      return 1;
    }
  return 0;
}

/* An observable over the variables of H. */
static int one_observable(Vm *vm, Value given, const Operator *h, Call *c) {
  Rt *rt = vm_rt(vm);
  Operator *o, *wide = &c->wide[c->ask.n_observable];
  Value v = value_ref(given);
  int failed = arg_hermitian(vm, &v, "an observable of `thermal`", &o);
  if (!failed) {
    operator_init(wide);
    failed = vars_copy(rt, &wide->vars, &h->vars) || operator_accumulate(rt, wide, (c128){1, 0}, o);
    c->observable[c->ask.n_observable++] = wide;
  }
  if (!failed && wide->vars.n != h->vars.n) {
    failed = vm_error(vm, "an observable of `thermal` has variables that H lacks");
    vm_help(vm, "the Hamiltonian has %lld variables", (long long)h->vars.n);
  }
  value_unref(vm, v);
  return failed;
}

static int get_observables(Vm *vm, Value v, const Operator *h, Call *c) {
  if (v.tag == V_NIL) return 0;
  c->list = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE);
  if (!c->list) return one_observable(vm, v, h, c);
  if (AS_LIST(v)->n > OBSERVABLES_MAX)
    return vm_error(vm, "`thermal` takes at most %d observables, found %u", OBSERVABLES_MAX,
                    AS_LIST(v)->n);
  for (uint32_t i = 0; i < AS_LIST(v)->n; i++)
    if (one_observable(vm, AS_LIST(v)->items[i], h, c)) return 1;
  return 0;
}

static int get_method(Vm *vm, Value v, ThermalMethod *out) {
  const char *text;
  *out = THERMAL_AUTO;
  if (v.tag == V_NIL) return 0;
  if (arg_str(vm, v, "`method`", &text)) return 1;
  if (!strcmp(text, "exact")) *out = THERMAL_EXACT;
  else if (!strcmp(text, "typicality")) *out = THERMAL_TYPICAL;
  else {
    vm_error(vm, "`method` is \"exact\" or \"typicality\", found \"%s\"", text);
    vm_help(vm, "without it small Hamiltonians are diagonalised");
    return 1;
  }
  return 0;
}

/* H, beta, observables, samples, seed, sector, method */
static int get_all(Vm *vm, Value *args, Operator **h, Call *c) {
  ThermalAsk *ask = &c->ask;
  if (get_beta(vm, args[1], c) || arg_int(vm, args[3], "`samples`", &ask->samples) ||
      arg_stream(vm, args[4], &ask->call) || get_method(vm, args[6], &ask->method) ||
      arg_hermitian(vm, &args[0], "`thermal`", h))
    return 1;
  if (!(*h)->vars.n) return vm_error(vm, "`thermal`: the Hamiltonian is a number");
  if (ask->samples < 2 || ask->samples > 1 << 16)
    return vm_error(vm, "`samples` must be between 2 and 65536, found %lld",
                    (long long)ask->samples);
  ask->rule = c->rule;
  ask->observable = c->observable;
  for (int i = 0; i < (*h)->vars.n_array; i++)
    for (int64_t b = 0; b < ask->n_beta; b++)
      if ((*h)->vars.array[i].kind == VAR_MODE && ask->beta[b] < 0) {
        vm_error(vm, "a negative `beta` (%g) of a Hamiltonian with modes", ask->beta[b]);
        vm_help(vm, "their energies have no upper end but the cutoff");
        return 1;
      }
  return arg_sector(vm, args[5], *h, &ask->n_rule, c->rule) || get_observables(vm, args[2], *h, c);
}

/* ---- the result ------------------------------------------------------------------------- */

/* Numbers at x[0], x[stride], ...: a float for a single beta. */
static Value numbers(Vm *vm, const Call *c, const double *x, int64_t stride) {
  if (!c->many_beta) return value_float(x[0]);
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &c->ask.n_beta);
  for (int64_t b = 0; t && b < c->ask.n_beta; b++) tensor_set_f64(t, b, x[b * stride]);
  return t ? value_obj(t) : NIL_VALUE;
}

static Value observables(Vm *vm, const Call *c, const double *mean) {
  if (!c->list) return numbers(vm, c, mean, 1);
  List *l = list_new(vm, false, (uint32_t)c->ask.n_observable);
  int failed = !l;
  for (int o = 0; o < c->ask.n_observable && !failed; o++) {
    Value v = numbers(vm, c, mean + o, c->ask.n_observable);
    failed = v.tag == V_NIL || list_push(vm, l, v);
  }
  if (!failed) return value_obj(l);
  if (l) value_unref(vm, value_obj(l));
  return NIL_VALUE;
}

static int fill(Vm *vm, Record *r, const Call *c, double (*value)[THERMAL_VALUES],
                const double *mean) {
  static const char *const name[THERMAL_VALUES] = {"lnZ", "energy", "heat_capacity", "entropy",
                                                   "free_energy"};
  for (int v = 0; v < THERMAL_VALUES; v++) {
    Value x = numbers(vm, c, &value[0][v], THERMAL_VALUES);
    if (x.tag == V_NIL || record_set(vm, r, name[v], x)) return 1;
  }
  if (!c->ask.n_observable && !c->list) return 0;
  Value x = observables(vm, c, mean);
  return x.tag == V_NIL || record_set(vm, r, "observables", x);
}

static int give_result(Vm *vm, const Call *c, const Thermal *t, Value *out) {
  Record *r = record_new(vm, 10), *e = record_new(vm, 6);
  Value beta = numbers(vm, c, c->ask.beta, 1);
  Str *how = str_new(vm, t->exact ? "exact" : "typicality", t->exact ? 5 : 10);
  int failed = !r || !e || !how || beta.tag == V_NIL;
  if (failed && beta.tag != V_NIL) value_unref(vm, beta);
  if (failed && how) value_unref(vm, value_obj(how));
  if (!failed) {
    failed = record_set(vm, r, "beta", beta) | record_set(vm, r, "method", value_obj(how)) ||
             record_set(vm, r, "samples", value_int(t->exact ? 0 : c->ask.samples)) ||
             fill(vm, r, c, t->value, t->mean) || fill(vm, e, c, t->error, t->mean_error);
  }
  if (!failed) failed = record_set(vm, r, "error", value_obj(e));
  else if (e) value_unref(vm, value_obj(e));
  if (!failed) *out = value_obj(r);
  else if (r) value_unref(vm, value_obj(r));
  return failed;
}

static int run(Vm *vm, const Call *c, Operator *h, Value *out) {
  Rt *rt = vm_rt(vm);
  int64_t n = c->ask.n_beta, means = n * (c->ask.n_observable + 1);
  size_t values = (size_t)n * sizeof(double[THERMAL_VALUES]);
  Thermal t = {.value = rt_alloc(rt, values), .error = rt_alloc(rt, values),
               .mean = rt_alloc(rt, (size_t)means * sizeof(double)),
               .mean_error = rt_alloc(rt, (size_t)means * sizeof(double))};
  int failed = !t.value || !t.error || !t.mean || !t.mean_error ||
               thermal(rt, h, &c->ask, &t) != RT_OK || give_result(vm, c, &t, out);
  if (t.value) rt_free(rt, t.value, values);
  if (t.error) rt_free(rt, t.error, values);
  if (t.mean) rt_free(rt, t.mean, (size_t)means * sizeof(double));
  if (t.mean_error) rt_free(rt, t.mean_error, (size_t)means * sizeof(double));
  return failed;
}

static int bind_thermal(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Operator *h;
  if (args[7].tag != V_NIL || args[8].tag != V_NIL || args[9].tag != V_NIL)
    return thermal_chain(vm, args, out);
  Call *c = rt_alloc0(rt, sizeof *c);
  if (!c) return 1;
  int failed = get_all(vm, args, &h, c) || run(vm, c, h, out);
  for (int i = 0; i < c->ask.n_observable; i++) operator_free(rt, &c->wide[i]);
  tensor_unref(rt, c->beta);
  rt_free(rt, c, sizeof *c);
  return failed;
}

const Native natives_thermal[] = {
    {"thermal",
     "H, beta, observables = nil, samples = 24, seed = nil, sector = nil, method = nil, bond = nil, "
     "cut = nil, step = nil",
     "The Gibbs state exp(-beta H) / Z of a Hermitian H: a record of beta, lnZ, energy,\n"
     "heat_capacity, entropy (nats), free_energy, observables (means of the operators given, a\n"
     "list or one), error (a record of the same names: standard errors), method and samples.\n"
     "beta: a number, or a vector, and then every field is a vector. Negative: the upper end of\n"
     "the spectrum (not with modes).\n"
     "\"exact\": up to 1024 states (2048 when asked for), or H diagonal; errors are 0.\n"
     "\"typicality\": means over `samples` random vectors (canonical typicality, Krylov spaces),\n"
     "with jackknife errors. sector: canonical, see help(spectrum). One random call.\n"
     "bond = 64: of a chain, see help(mps), with terms on at most two sites, by cooling a purification\n"
     "in steps of `step` (0.05), each gate cut to `bond` and the weight `cut` (1e-18). Then `state` is the\n"
     "matrix-product state: expect(A, t.state), variance, correlations, t.state.draw(count), evolve.",
     bind_thermal, NF_CONST},
    {0}};
