/* open.c: evolve() with a bath: density matrices by Lindblad's equation, quantum trajectories. */
#include "lang/bind/density.h"
#include "lang/bind/evolve.h"
#include "lang/bind/tensor_args.h"
#include "runtime/open/trajectories.h"

#include <math.h>
#include <string.h>

enum { OBSERVABLES_MAX = 256, TRAJECTORIES_MAX = 100000000 };

typedef struct {
  Lindblad l;
  Operator h, *observable; /* over the state's variables                          */
  int n_observable;
  bool many;            /* observables came as a list                          */
  int64_t trajectories; /* 0: the density matrix                               */
  RngCall rng;
  double tol;
  EvolveTimes t;
  const State *psi; /* NULL: rho                                           */
  const Density *rho;
} Call;

/* ---- arguments ---------------------------------------------------------------------------- */

static int no_other(Vm *vm, const Value *args) {
  static const struct {
    int at;
    const char *name;
  } none[] = {{4, "method"},         {EVOLVE_STEPS, "steps"}, {EVOLVE_ORDER, "order"},
              {EVOLVE_STEP, "step"}, {EVOLVE_BOND, "bond"},   {EVOLVE_CUT, "cut"}};
  bool info;
  for (size_t k = 0; k < sizeof none / sizeof *none; k++)
    if (args[none[k].at].tag != V_NIL)
      return vm_error(vm, "`evolve`: `%s` does not go with a bath or a density matrix",
                      none[k].name);
  if (arg_bool(vm, args[8], "`info`", &info)) return 1;
  return info ? vm_error(vm, "`evolve`: `info` does not go with a bath or a density matrix") : 0;
}

static int add_observable(Vm *vm, Value v, const VarTable *vars, Call *c) {
  Operator *a, wide;
  State like = {.vars = *vars};
  if (c->n_observable == OBSERVABLES_MAX)
    return vm_error(vm, "`evolve`: more than %d observables", OBSERVABLES_MAX);
  value_ref(v);
  int failed = arg_hermitian(vm, &v, "`observables`", &a) ||
               state_operator(vm_rt(vm), a, &like, &wide) ||
               jumps_add(vm_rt(vm), &wide, &c->n_observable, &c->observable);
  value_unref(vm, v);
  return failed;
}

static int arg_observables(Vm *vm, Value v, const VarTable *vars, Call *c) {
  if (v.tag == V_NIL) return 0;
  c->many = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE);
  if (!c->many) return add_observable(vm, v, vars, c);
  for (uint32_t i = 0; i < AS_LIST(v)->n; i++)
    if (add_observable(vm, AS_LIST(v)->items[i], vars, c)) return 1;
  return c->n_observable ? 0 : vm_error(vm, "`observables` is empty");
}

static int arg_trajectories(Vm *vm, const Value *open, Call *c) {
  if (open[OPEN_TRAJECTORIES].tag == V_NIL) {
    if (open[OPEN_SEED].tag == V_NIL) return 0;
    return vm_error(vm, "`evolve`: `seed` belongs to `trajectories`");
  }
  if (arg_int(vm, open[OPEN_TRAJECTORIES], "`trajectories`", &c->trajectories) ||
      arg_stream(vm, open[OPEN_SEED], &c->rng))
    return 1;
  if (c->trajectories < 1 || c->trajectories > TRAJECTORIES_MAX)
    return vm_error(vm, "`trajectories` is 1 to %d, found %lld", TRAJECTORIES_MAX,
                    (long long)c->trajectories);
  if (open[OPEN_BATH].tag == V_NIL) return vm_error(vm, "`evolve`: `trajectories` need a bath");
  if (c->psi) return 0;
  vm_error(vm, "`trajectories` begin with a state, found a density matrix");
  vm_help(vm, "without `trajectories` density matrices evolve; or draw states from the mixture");
  return 1;
}

static int arg_start(Vm *vm, Value v, Call *c) {
  State *s;
  c->rho = box_data(v, &density_type);
  if (c->rho) return 0;
  if (arg_state(vm, v, "`evolve`", &s)) return 1;
  c->psi = s;
  return state_norm2(s) > 0 ? 0 : vm_error(vm, "the state is zero");
}

static int get_all(Vm *vm, Value *args, const Value *open, Call *c) {
  Operator *h;
  double unit;
  State like = {0};
  if (no_other(vm, args) || arg_hermitian(vm, &args[0], "`evolve`", &h) ||
      arg_start(vm, args[1], c) || arg_trajectories(vm, open, c) ||
      evolve_arg_tol(vm, args[3], c->trajectories ? 1e-8 : 1e-10, &c->tol) ||
      evolve_arg_unit(vm, args[7], &unit) ||
      evolve_arg_times(vm, args[2], "`time`", false, unit, &c->t))
    return 1;
  like.vars = c->psi ? c->psi->vars : c->rho->vars;
  if (state_operator(vm_rt(vm), h, &like, &c->h)) return 1;
  c->l.h = &c->h;
  return arg_bath(vm, open[OPEN_BATH], &like.vars, unit, &c->l.n, &c->l.jump) ||
         arg_observables(vm, open[OPEN_OBSERVABLES], &like.vars, c);
}

/* ---- results --------------------------------------------------------------------------------- */

/* Numbers [times, observables] without the axes that were not asked for. */
static Value numbers(Vm *vm, const Call *c, const double *x) {
  int64_t shape[2], k = 0;
  if (!c->t.one) shape[k++] = c->t.n;
  if (c->many) shape[k++] = c->n_observable;
  if (!k) return value_float(x[0]);
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, (int)k, shape);
  for (int64_t i = 0; t && i < t->size; i++) tensor_set_f64(t, i, x[i]);
  return t ? value_obj(t) : NIL_VALUE;
}

static int put(Vm *vm, Record *r, const char *key, Value v) {
  return v.tag == V_NIL ? 1 : record_set(vm, r, key, v);
}

/* {time, mean} and, of trajectories, error and jumps. */
static int give_means(Vm *vm, const Call *c, Value time, const double *mean, const double *error,
                      double jumps, Value *out) {
  Record *r = record_new(vm, 4);
  value_ref(time);
  int failed = !r;
  if (failed) value_unref(vm, time);
  failed = failed || record_set(vm, r, "time", time) || put(vm, r, "mean", numbers(vm, c, mean));
  if (!failed && error)
    failed = put(vm, r, "error", numbers(vm, c, error)) || put(vm, r, "jumps", value_float(jumps));
  if (!failed) *out = value_obj(r);
  else if (r) value_unref(vm, value_obj(r));
  return failed;
}

/* Takes over rho[n]. */
static int give_densities(Vm *vm, const Call *c, Density *rho, Value *out) {
  if (c->t.one) {
    *out = density_value(vm, rho);
    return out->tag == V_NIL;
  }
  List *l = list_new(vm, false, (uint32_t)c->t.n);
  int failed = !l;
  for (int64_t i = 0; i < c->t.n; i++) {
    Value v = failed ? NIL_VALUE : density_value(vm, &rho[i]);
    if (failed) density_free(vm_rt(vm), &rho[i]);
    else failed = v.tag == V_NIL || list_push(vm, l, v);
  }
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

/* ---- the density matrix ------------------------------------------------------------------------
 */

static int means_of(Vm *vm, const Call *c, Density *rho, double *mean) {
  for (int64_t i = 0; i < c->t.n; i++)
    for (int k = 0; k < c->n_observable; k++) {
      c128 z;
      if (density_mean(vm_rt(vm), &rho[i], &c->observable[k], &z)) return 1;
      mean[i * c->n_observable + k] = z.re;
    }
  return 0;
}

/* With observables one density matrix at a time would do; all are kept only without. */
static int observed(Vm *vm, Call *c, const Density *from, Value time, Value *out) {
  Rt *rt = vm_rt(vm);
  size_t bytes = (size_t)(c->t.n * c->n_observable) * sizeof(double);
  double *mean = rt_alloc(rt, bytes), before = 0;
  Density at, next;
  int failed = !mean || density_copy(rt, from, &at);
  int64_t n = c->t.n;
  bool open = !failed;
  for (int64_t i = 0; i < n && !failed; i++) {
    double step = c->t.t[i] - before,
           share = c->tol * (c->t.t[n - 1] > 0 ? step / c->t.t[n - 1] : 1);
    failed = lindblad_times(rt, &c->l, 1, &step, share, &at, &next) != RT_OK;
    if (failed) break;
    density_free(rt, &at);
    at = next;
    before = c->t.t[i];
    Call one = *c;
    one.t.n = 1;
    failed = means_of(vm, &one, &at, mean + i * c->n_observable);
  }
  if (open) density_free(rt, &at);
  failed = failed || give_means(vm, c, time, mean, NULL, 0, out);
  if (mean) rt_free(rt, mean, bytes);
  return failed;
}

static int by_density(Vm *vm, Call *c, Value time, Value *out) {
  Rt *rt = vm_rt(vm);
  Density own;
  density_init(&own);
  const Density *from = c->rho ? c->rho : &own;
  if (c->psi && density_pure(rt, c->psi, &own)) return 1;
  int failed;
  if (c->n_observable) {
    failed = observed(vm, c, from, time, out);
  } else {
    size_t bytes = (size_t)c->t.n * sizeof(Density);
    Density *rho = rt_alloc0(rt, bytes);
    failed = !rho || lindblad_times(rt, &c->l, c->t.n, c->t.t, c->tol, from, rho) != RT_OK ||
             give_densities(vm, c, rho, out);
    if (rho) rt_free(rt, rho, bytes);
  }
  density_free(rt, &own);
  return failed;
}

/* ---- trajectories
 * --------------------------------------------------------------------------------- */

static int densities_new(Vm *vm, const Call *c, Density **out) {
  Rt *rt = vm_rt(vm);
  *out = rt_alloc0(rt, (size_t)c->t.n * sizeof **out);
  if (!*out) return 1;
  for (int64_t i = 0; i < c->t.n; i++) {
    if (density_new(rt, &c->psi->vars, &(*out)[i])) return 1;
    memset((*out)[i].s.amp, 0, (size_t)(*out)[i].s.size * sizeof(c128));
  }
  return 0;
}

static void densities_free(Vm *vm, const Call *c, Density *rho) {
  for (int64_t i = 0; rho && i < c->t.n; i++) density_free(vm_rt(vm), &rho[i]);
  if (rho) rt_free(vm_rt(vm), rho, (size_t)c->t.n * sizeof *rho);
}

static int many(Vm *vm, Call *c, const State *from, const Constant *way, Applied **seen, Value time,
                Value *out) {
  Rt *rt = vm_rt(vm);
  size_t n = (size_t)(c->t.n * (c->n_observable ? c->n_observable : 1)), bytes = n * sizeof(double);
  double *mean = rt_alloc(rt, bytes), *error = mean ? rt_alloc(rt, bytes) : NULL, jumps;
  Density *rho = NULL;
  int failed = !error || (!c->n_observable && densities_new(vm, c, &rho));
  Ensemble all = {rho, c->t.n};
  TrajectoryAsk ask = {.from = from,
                       .times = c->t.n,
                       .t = c->t.t,
                       .trajectories = c->trajectories,
                       .rng = c->rng,
                       .observables = c->n_observable,
                       .observable = seen,
                       .each = rho ? ensemble_add : NULL,
                       .each_user = &all};
  failed = failed || trajectories(rt, &way->u, &ask, mean, error, &jumps) != RT_OK;
  if (!failed)
    failed =
        rho ? give_densities(vm, c, rho, out) : give_means(vm, c, time, mean, error, jumps, out);
  densities_free(vm, c, rho);
  if (mean) rt_free(rt, mean, bytes);
  if (error) rt_free(rt, error, bytes);
  return failed;
}

static int by_trajectories(Vm *vm, Call *c, Value time, Value *out) {
  Rt *rt = vm_rt(vm);
  size_t bytes = (size_t)(c->n_observable + 1) * sizeof(Applied *);
  Applied **seen = rt_alloc0(rt, bytes);
  State from;
  Constant way = {0};
  state_init(&from);
  int failed = !seen || state_copy(rt, c->psi, &from);
  if (!failed) state_scale(&from, (c128){1 / sqrt(state_norm2(&from)), 0});
  for (int k = 0; k < c->n_observable && !failed; k++)
    failed = applied_make(rt, &c->observable[k], true, &seen[k]) != RT_OK;
  failed = failed || constant_open(rt, &from.vars, &c->l, c->tol, &way) != RT_OK ||
           many(vm, c, &from, &way, seen, time, out);
  constant_close(rt, &way);
  for (int k = 0; seen && k < c->n_observable; k++) applied_free(rt, seen[k]);
  if (seen) rt_free(rt, seen, bytes);
  state_free(rt, &from);
  return failed;
}

int evolve_open(Vm *vm, Value *args, Value *open, Value *out) {
  Rt *rt = vm_rt(vm);
  Call c = {0};
  operator_init(&c.h);
  int failed = get_all(vm, args, open, &c);
  if (!failed)
    failed =
        c.trajectories ? by_trajectories(vm, &c, args[2], out) : by_density(vm, &c, args[2], out);
  operator_free(rt, &c.h);
  jumps_free(rt, c.l.n, c.l.jump);
  jumps_free(rt, c.n_observable, c.observable);
  evolve_times_free(vm, &c.t);
  return failed;
}
