/* driven.c: evolve() of time-dependent Hamiltonians: A(s) H0 + B(s) H1 along a schedule, and
 * a function t => H(t).                                                          */
#include "lang/bind/driven.h"
#include "lang/bind/schedule.h"
#include "lang/bind/state.h"
#include "lang/vm/internal.h"
#include "runtime/evolve/driven.h"

#include <math.h>
#include <string.h>

enum { A_H, A_MORE, A_PSI, A_TIME, A_TOL, A_METHOD, A_STEPS, A_ORDER, A_UNIT, A_INFO };

static bool is_function(Value v) {
  return value_is(v, OBJ_CLOSURE) && AS_CLOSURE(v)->proto->n_required > 0;
}

bool evolve_is_driven(const Value *args) {
  const List *more = AS_LIST(args[A_MORE]);
  bool second = more->n && !box_data(more->items[0], &state_type) &&
                (box_data(more->items[0], &ham_type) || value_is(more->items[0], OBJ_CLOSURE));
  return is_function(args[A_H]) || second;
}

/* ---- what both forms take ------------------------------------------------------------- */

typedef struct {
  DriveMethod method;
  int64_t steps;
  double tol;
  bool info;
} How;

static int arg_how(Vm *vm, const Value *args, How *how) {
  const char *name;
  *how = (How){.method = DRIVE_AUTO, .tol = 1e-10};
  if (args[A_METHOD].tag != V_NIL) {
    int k = 0;
    if (arg_str(vm, args[A_METHOD], "`method`", &name)) return 1;
    while (drive_names[k] && strcmp(drive_names[k], name)) k++;
    if (!drive_names[k])
      return vm_error(vm,
                      "`evolve` of a time-dependent H: method is \"magnus\", \"midpoint\" or "
                      "\"split\", found \"%.40s\"",
                      name);
    how->method = (DriveMethod)k;
  }
  if (args[A_ORDER].tag != V_NIL)
    return vm_error(vm,
                    "`evolve` of a time-dependent H has no `order`: method = \"midpoint\" is of "
                    "order 2, the others of order 4");
  if (args[A_STEPS].tag != V_NIL && arg_int(vm, args[A_STEPS], "`steps`", &how->steps)) return 1;
  if (args[A_STEPS].tag != V_NIL && how->steps < 1)
    return vm_error(vm, "`steps` is at least 1, found %lld", (long long)how->steps);
  if (args[A_TOL].tag != V_NIL && arg_float(vm, args[A_TOL], "`tol`", &how->tol)) return 1;
  if (!isfinite(how->tol) || how->tol <= 0)
    return vm_error(vm, "`tol` must be a positive number, found %g", how->tol);
  if (how->steps && args[A_TOL].tag != V_NIL)
    return vm_error(vm, "`evolve`: `steps` and `tol` are both given");
  return arg_bool(vm, args[A_INFO], "`info`", &how->info);
}

/* Item i of what follows H, or the named argument. */
static int one_of(Vm *vm, const Value *args, uint32_t i, Value named, const char *name,
                  Value *out) {
  const List *more = AS_LIST(args[A_MORE]);
  *out = named;
  if (i >= more->n) return 0;
  if (named.tag != V_NIL) return vm_error(vm, "`evolve`: `%s` is given twice", name);
  *out = more->items[i];
  return 0;
}

/* (psi, {method, steps, rejected, error}) or psi; takes over s. */
static int give_state(Vm *vm, State *s, const How *how, const DriveReport *r, Value *out) {
  Value psi = state_value(vm, s);
  if (psi.tag == V_NIL || !how->info) {
    *out = psi;
    return psi.tag == V_NIL;
  }
  List *pair = list_new(vm, true, 2);
  Record *info = record_new(vm, 4);
  Str *name = str_new(vm, drive_names[r->method], strlen(drive_names[r->method]));
  int failed = !pair || !info || !name || list_push(vm, pair, psi);
  if (failed) value_unref(vm, psi);
  failed = failed || record_set(vm, info, "method", value_obj(name)) ||
           record_set(vm, info, "steps", value_int(r->steps)) ||
           record_set(vm, info, "rejected", value_int(r->rejected)) ||
           record_set(vm, info, "error", how->steps ? NIL_VALUE : value_float(r->error)) ||
           list_push(vm, pair, value_obj(info));
  if (!failed) *out = value_obj(pair);
  return failed;
}

static int run(Vm *vm, Driven *d, const How *how, double time, const State *from, Value *out) {
  State s;
  DriveReport r;
  d->method = how->method;
  d->steps = how->steps;
  d->tol = how->tol;
  if (state_copy(vm_rt(vm), from, &s)) return 1;
  if (driven_evolve(vm_rt(vm), d, 0, time, &s, &r)) {
    state_free(vm_rt(vm), &s);
    return 1;
  }
  return give_state(vm, &s, how, &r, out);
}

/* ---- along a schedule ------------------------------------------------------------------- */

typedef struct {
  const Schedule *schedule;
  double time;
} Along;

static void along(void *user, double t, double *c) {
  const Along *a = user;
  schedule_weights(a->schedule, schedule_s(a->schedule, t / a->time), &c[0], &c[1]);
}

/* In units in which exp(-i H t) holds. */
static int total_time(Vm *vm, Value v, const Schedule *a, double *out) {
  bool seconds = a->n_path && a->seconds;
  if (v.tag == V_NIL && !a->n_path) {
    vm_error(vm, "`evolve` along a schedule without a path needs a time");
    vm_help(vm, "evolve(H0, H1, psi, schedule, time = 20)");
    return 1;
  }
  *out = schedule_time(a);
  if (v.tag != V_NIL && arg_time(vm, v, "`time`", out, &seconds)) return 1;
  if (seconds && !a->ghz) {
    vm_error(vm, "the time has a unit, A and B of the schedule are plain numbers");
    vm_help(vm, "give them in GHz: schedule(s => 6GHz * (1 - s), s => 6GHz * s)");
    return 1;
  }
  if (a->ghz && !seconds) {
    vm_error(vm, "A and B of the schedule are in GHz, the time is a plain number");
    vm_help(vm, "give it a unit: time = 20ns");
    return 1;
  }
  if (seconds) *out = time_of_ghz(*out);
  return 0;
}

typedef struct {
  Operator op[2];
  Applied *part[2];
  double *level[2], *field[2];
  bool fits[2];
  Split split;
  DrivenSum sum;
} Pair;

static void pair_free(Vm *vm, Pair *p, int bits, int64_t states) {
  Rt *rt = vm_rt(vm);
  driven_sum_free(rt, &p->sum);
  for (int j = 0; j < 2; j++) {
    applied_free(rt, p->part[j]);
    operator_free(rt, &p->op[j]);
    if (p->level[j]) rt_free(rt, p->level[j], (size_t)states * sizeof(double));
    if (p->field[j]) rt_free(rt, p->field[j], (size_t)bits * sizeof(double));
  }
}

static int pair_make(Vm *vm, Value *h0, Value *h1, const State *s, const Along *a,
                     DriveMethod method, Pair *p) {
  Rt *rt = vm_rt(vm);
  Value *h[2] = {h0, h1};
  *p = (Pair){0};
  operator_init(&p->op[0]);
  operator_init(&p->op[1]);
  for (int j = 0; j < 2; j++) {
    Operator *op;
    if (arg_hermitian(vm, h[j], "`evolve`", &op) || state_operator(rt, op, s, &p->op[j])) return 1;
    if (method == DRIVE_MAGNUS || method == DRIVE_MIDPOINT) continue;
    if (split_operator(rt, &p->op[j], &p->fits[j], &p->level[j], &p->field[j])) return 1;
  }
  p->split = (Split){.n = 2,
                     .bits = (int)s->vars.n,
                     .level = {p->level[0], p->level[1]},
                     .field = {p->field[0], p->field[1]},
                     .coefs = along,
                     .user = (void *)a};
  if (p->fits[0] && p->fits[1]) return 0;
  for (int j = 0; j < 2; j++)
    if (applied_make(rt, &p->op[j], true, &p->part[j])) return 1;
  p->sum = (DrivenSum){.n = 2, .part = p->part, .coefs = along, .user = (void *)a};
  return driven_sum_make(rt, &p->sum) != RT_OK;
}

static int scheduled(Vm *vm, Value *args, const How *how, Value *out) {
  enum { KINKS = 256 };
  Rt *rt = vm_rt(vm);
  const List *more = AS_LIST(args[A_MORE]);
  Value h1 = value_ref(more->items[0]), psi, plan, time;
  State *from;
  Schedule a;
  double kink[KINKS];
  int failed = more->n > 4 ? vm_error(vm,
                                      "`evolve` takes H0, H1, psi, schedule and time, found %u "
                                      "values",
                                      more->n + 1)
                           : 0;
  if (!failed)
    failed = one_of(vm, args, 1, args[A_PSI], "psi", &psi) ||
             arg_state(vm, psi, "`evolve`", &from) ||
             one_of(vm, args, 3, args[A_TIME], "time", &time);
  plan = more->n > 2 ? more->items[2] : NIL_VALUE;
  if (!failed && plan.tag == V_NIL) {
    failed = vm_error(vm, "`evolve` of two Hamiltonians needs a schedule");
    vm_help(vm, "evolve(H0, H1, psi, schedule(s => 1 - s, s => s), time = 20)");
  }
  if (!failed && args[A_UNIT].tag != V_NIL)
    failed = vm_error(vm, "`unit` does not go with a schedule: give its A and B in GHz");
  failed = failed || arg_schedule(vm, plan, "`evolve`: schedule", &a);
  if (!failed) {
    Along go = {.schedule = &a};
    Pair p = {0};
    int bits = (int)from->vars.n;
    failed = total_time(vm, time, &a, &go.time) ||
             pair_make(vm, &args[A_H], &h1, from, &go, how->method, &p);
    Driven d = {.combine = driven_sum_combine,
                .apply = driven_sum_apply,
                .user = &p.sum,
                .kinks = kink,
                .split = p.fits[0] && p.fits[1] ? &p.split : NULL};
    if (!failed) d.n_kinks = schedule_kinks(&a, kink, KINKS);
    for (int64_t k = 0; k < d.n_kinks; k++) kink[k] *= go.time;
    failed = failed || run(vm, &d, how, go.time, from, out);
    pair_free(vm, &p, bits, from->size);
    schedule_free(rt, &a);
  }
  value_unref(vm, h1);
  return failed;
}

/* ---- a function of time -------------------------------------------------------------------- */

typedef struct {
  Vm *vm;
  Value fn;
  const State *from;
  double unit;  /* of h-bar = 1 time in the function's; 0: plain time */
  Applied *map; /* what combine gave last                             */
} Moving;

/* H(t) over the state's variables. */
static int moment(Moving *m, double t, Operator *out) {
  Vm *vm = m->vm;
  Value at = value_float(m->unit > 0 ? t / m->unit : t), h;
  Operator *op;
  if (m->unit > 0) {
    at.tag = V_QUANTITY;
    at.dims[0] = 1;
  }
  if (vm_call(vm, m->fn, &at, 1, &h)) return 1;
  int failed = arg_hermitian(vm, &h, "`evolve`: the function's result", &op) ||
               state_operator(vm_rt(vm), op, m->from, out);
  value_unref(vm, h);
  return failed;
}

static RtStatus combine(void *user, int n, const double *t, const double *w, const void **h) {
  Moving *m = user;
  Rt *rt = vm_rt(m->vm);
  Operator sum;
  operator_init(&sum);
  RtStatus st = RT_OK;
  for (int k = 0; k < n && !st; k++) {
    Operator one;
    if (moment(m, t[k], &one)) {
      st = rt->error.status ? rt->error.status : RT_ERROR;
      break;
    }
    st = operator_accumulate(rt, &sum, (c128){w[k], 0}, &one);
    operator_free(rt, &one);
  }
  applied_free(rt, m->map);
  m->map = NULL;
  Operator wide; /* a vanishing H(t) has no terms: the variables are the state's */
  if (!st && !(st = state_operator(rt, &sum, m->from, &wide))) {
    st = applied_make(rt, &wide, true, &m->map);
    operator_free(rt, &wide);
  }
  operator_free(rt, &sum);
  *h = m->map;
  return st;
}

static RtStatus apply(Rt *rt, const void *h, const double *x, double *y) {
  return applied_to(rt, h, x, y);
}

static int moving_time(Vm *vm, Value v, Value unit, Moving *m, double *out) {
  bool seconds;
  if (v.tag == V_NIL) {
    vm_error(vm, "`evolve` needs a time");
    vm_help(vm, "evolve(t => H(t), psi, 10)");
    return 1;
  }
  if (arg_time(vm, v, "`time`", out, &seconds)) return 1;
  bool hertz = unit.tag == V_QUANTITY && unit.dims[0] == -1 && unit.dims[1] == 0 && unit.f > 0;
  if (unit.tag != V_NIL && !hertz)
    return vm_error(vm, "`unit` is the frequency that 1 of H stands for, found %s %s",
                    VALUE_A(unit));
  if (seconds != hertz) {
    vm_error(vm, seconds ? "`time` has a unit, H holds plain numbers"
                         : "`time` needs a unit such as ns beside `unit`");
    vm_help(vm, "evolve(t => H(t), psi, 5ns, unit = 1GHz)");
    return 1;
  }
  m->unit = hertz ? 2 * M_PI * unit.f : 0;
  if (hertz) *out *= m->unit;
  return 0;
}

static int moving(Vm *vm, Value *args, const How *how, Value *out) {
  const List *more = AS_LIST(args[A_MORE]);
  Value psi, time;
  State *from;
  double total;
  Moving m = {.vm = vm, .fn = args[A_H]};
  if (more->n > 2)
    return vm_error(vm, "`evolve` takes H(t), psi and time, found %u values", more->n + 1);
  if (how->method == DRIVE_SPLIT)
    return vm_error(vm, "a function t => H(t) goes by \"magnus\" or \"midpoint\"");
  if (one_of(vm, args, 0, args[A_PSI], "psi", &psi) || arg_state(vm, psi, "`evolve`", &from) ||
      one_of(vm, args, 1, args[A_TIME], "time", &time) ||
      moving_time(vm, time, args[A_UNIT], &m, &total))
    return 1;
  m.from = from;
  Driven d = {.combine = combine, .apply = apply, .user = &m};
  int failed = run(vm, &d, how, total, from, out);
  applied_free(vm_rt(vm), m.map);
  return failed;
}

int evolve_driven(Vm *vm, Value *args, Value *out) {
  How how;
  if (arg_how(vm, args, &how)) return 1;
  return is_function(args[A_H]) ? moving(vm, args, &how, out) : scheduled(vm, args, &how, out);
}
