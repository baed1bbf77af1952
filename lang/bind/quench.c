/* quench.c: annealing by Schroedinger's equation: a sampler among the others, and a function
 * that gives the final state and what happened on the way.                       */
#include "lang/bind/sampling.h"
#include "lang/bind/schedule.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/binary/temper.h"
#include "runtime/evolve/quench.h"

#include <math.h>
#include <string.h>

enum { A_H, A_SCHEDULE, A_TIME, A_READS, A_GAMMA, A_TOL, A_PSI, A_PATH };

/* ---- arguments that both forms have ------------------------------------------------- */

typedef struct {
  QuenchArgs a;
  Schedule schedule; /* what a.schedule points to */
} QuenchCall;

static void call_free(Vm *vm, QuenchCall *c) { schedule_free(vm_rt(vm), &c->schedule); }

static int positive(Vm *vm, Value v, const char *what, double *out) {
  if (arg_float(vm, v, what, out)) return 1;
  if (isfinite(*out) && *out > 0) return 0;
  return vm_error(vm, "quench: %s must be a positive number, found %g", what, *out);
}

static int call_make(Vm *vm, Value schedule, Value time, Value gamma, Value tol, QuenchCall *c) {
  *c = (QuenchCall){.a = {.gamma = NAN, .time = NAN}};
  if (time.tag != V_NIL && arg_time(vm, time, "quench: `time`", &c->a.time, &c->a.seconds))
    return 1;
  if ((gamma.tag != V_NIL && positive(vm, gamma, "`gamma`", &c->a.gamma)) ||
      positive(vm, tol, "`tol`", &c->a.tol))
    return 1;
  if (schedule.tag != V_NIL && gamma.tag != V_NIL)
    return vm_error(vm, "quench: `gamma` belongs to the schedule that is taken when none is given");
  if (schedule.tag == V_NIL) return 0;
  c->a.schedule = &c->schedule;
  return arg_schedule(vm, schedule, "quench: schedule", &c->schedule);
}

/* ---- the sampler ----------------------------------------------------------------------- */

static int sampler_call(Vm *vm, const Sampler *s, QuenchCall *c) {
  int64_t reads;
  int failed = call_make(vm, sampler_arg(s, "schedule"), sampler_arg(s, "time"),
                         sampler_arg(s, "gamma"), sampler_arg(s, "tol"), c) ||
               arg_int(vm, sampler_arg(s, "reads"), "quench: `reads`", &reads);
  if (!failed && reads < 1)
    failed = vm_error(vm, "quench: reads must be positive, found %lld", (long long)reads);
  if (!failed && (sampler_arg(s, "psi").tag != V_NIL || sampler_arg(s, "path").tag != V_NIL)) {
    failed = vm_error(vm, "quench: `psi` and `path` belong to quench(H, ..), not to the sampler");
    vm_help(vm, "sample(H, quench(..), from = samples) begins with samples");
  }
  if (!failed) c->a.reads = reads;
  else call_free(vm, c);
  return failed;
}

static int quench_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call,
                      Samples *out) {
  QuenchCall c;
  if (sampler_call(vm, s, &c)) return 1;
  c.a.rng = call->rng;
  c.a.initial = call->initial;
  c.a.initial_rows = call->initial_rows;
  c.a.progress = call->progress;
  c.a.user = call->user;
  RtStatus st = sample_quench(vm_rt(vm), p, &c.a, out);
  call_free(vm, &c);
  return st != RT_OK;
}

static const SamplerClass quench_class = {.name = "quench", .run = quench_run};

static int make_sampler(Vm *vm, Value *args, int n, Value *out) {
  QuenchCall c;
  if (sampler_make(vm, &quench_class, NULL, args, n, out)) return 1;
  if (!sampler_call(vm, AS_BOX(*out)->data, &c)) {
    call_free(vm, &c);
    return 0;
  }
  value_unref(vm, *out);
  *out = NIL_VALUE;
  return 1;
}

/* ---- the function ------------------------------------------------------------------------ */

/* Levels over the declared variables; penalties where a reduction would add variables are
 * those of the best auxiliaries.                                                     */
static int make_levels(Vm *vm, const Problem *p, const Reduced *r, double *level) {
  Rt *rt = vm_rt(vm);
  int8_t x[QUENCH_QUBITS];
  int n = (int)p->vars.n;
  for (int i = 0; i < n; i++) x[i] = vars_kind(&p->vars, i) == VAR_BINARY ? 1 : -1;
  if (r->ising.n == n) return quench_levels(rt, &r->ising, x, level) != RT_OK;
  for (int64_t k = 0; k >> n == 0; k++) {
    for (int i = 0; i < n; i++) {
      bool down = k >> i & 1, binary = vars_kind(&p->vars, i) == VAR_BINARY;
      x[i] = binary ? down : down ? -1 : 1;
    }
    if (problem_energy(rt, p, r, x, &level[k]) || (k % 4096 == 0 && rt_poll(rt))) return 1;
  }
  return 0;
}

static int put_column(Vm *vm, Record *r, const char *key, const QuenchPoint *p, int64_t n,
                      size_t at) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &n);
  for (int64_t k = 0; t && k < n; k++)
    tensor_set_f64(t, k, *(const double *)(const void *)((const char *)&p[k] + at));
  return !t || record_set(vm, r, key, value_obj(t));
}

/* {t, s, energy, low, next, gap, overlap} */
static int path_record(Vm *vm, const QuenchPoint *p, int64_t n, Value *out) {
  Record *r = record_new(vm, 7);
  Tensor *gap = r ? tensor_new(vm_rt(vm), DT_F64, 1, &n) : NULL;
  for (int64_t k = 0; gap && k < n; k++) tensor_set_f64(gap, k, p[k].next - p[k].low);
  int failed = !gap || put_column(vm, r, "t", p, n, offsetof(QuenchPoint, t)) ||
               put_column(vm, r, "s", p, n, offsetof(QuenchPoint, s)) ||
               put_column(vm, r, "energy", p, n, offsetof(QuenchPoint, energy)) ||
               put_column(vm, r, "low", p, n, offsetof(QuenchPoint, low)) ||
               put_column(vm, r, "next", p, n, offsetof(QuenchPoint, next)) ||
               put_column(vm, r, "overlap", p, n, offsetof(QuenchPoint, overlap));
  if (!failed) failed = record_set(vm, r, "gap", value_obj(gap));
  else if (gap) value_unref(vm, value_obj(gap));
  if (!failed) *out = value_obj(r);
  else if (r) value_unref(vm, value_obj(r));
  return failed;
}

/* The end, and the path when points > 0. Takes over s. */
static int follow(Vm *vm, const Quench *q, const double *level, int64_t points, State *s,
                  Value *out) {
  Rt *rt = vm_rt(vm);
  int bits = (int)s->vars.n;
  if (!points) {
    if (quench_evolve(rt, q, bits, level, 0, q->time, NULL, s, NULL)) return 1;
    *out = state_value(vm, s);
    return out->tag == V_NIL;
  }
  QuenchPoint *p = rt_alloc0(rt, (size_t)points * sizeof *p);
  List *pair = p ? list_new(vm, true, 2) : NULL;
  Value psi, path;
  int failed = !pair || quench_path(rt, q, bits, level, s, (int)points, p);
  if (!failed) {
    psi = state_value(vm, s);
    failed = psi.tag == V_NIL || list_push(vm, pair, psi) || path_record(vm, p, points, &path) ||
             list_push(vm, pair, path);
  }
  if (p) rt_free(rt, p, (size_t)points * sizeof *p);
  if (!failed) *out = value_obj(pair);
  else if (pair) value_unref(vm, value_obj(pair));
  return failed;
}

static int first_state(Vm *vm, Value psi, const Problem *p, const Quench *q, State *s) {
  State *from;
  if (psi.tag == V_NIL && schedule_reverse(q->schedule)) {
    vm_error(vm, "quench: the schedule begins with s = 1 and there is no state to begin with");
    vm_help(vm, "quench(H, schedule, psi = basis(H, index))");
    return 1;
  }
  if (psi.tag == V_NIL) return state_plus(vm_rt(vm), &p->vars, s) != RT_OK;
  if (arg_state(vm, psi, "quench: psi", &from)) return 1;
  if (!state_like(&from->vars, &p->vars)) {
    vm_error(vm, "quench: psi has other variables than H");
    vm_help(vm, "basis(H, index) and plus(H) are states of H's variables");
    return 1;
  }
  return state_copy(vm_rt(vm), from, s) != RT_OK;
}

/* The root mean square of the local fields, as for a sampler: of the quadratic model. */
static double scale_of(const Reduced *r, int bits, const double *level) {
  return r->ising.n == bits ? temper_scale(&r->ising) : quench_scale(bits, level);
}

static int anneal(Vm *vm, Value *args, const Problem *p, const Reduced *r, QuenchCall *c,
                  int64_t points, Value *out) {
  Rt *rt = vm_rt(vm);
  int bits = (int)p->vars.n;
  size_t bytes = sizeof(double) << bits;
  Quench q = {0};
  State s;
  state_init(&s);
  double *level = rt_alloc(rt, bytes);
  int failed = !level || make_levels(vm, p, r, level);
  if (!failed) failed = quench_plan(rt, &c->a, scale_of(r, bits, level), &q);
  if (!failed)
    failed = first_state(vm, args[A_PSI], p, &q, &s) || follow(vm, &q, level, points, &s, out);
  state_free(rt, &s);
  quench_free(rt, &q);
  if (level) rt_free(rt, level, bytes);
  return failed;
}

static int run_function(Vm *vm, Value *args, Value *out) {
  enum { POINTS = 1 << 16 };
  Rt *rt = vm_rt(vm);
  Ham *h;
  Problem p;
  Reduced r;
  QuenchCall c;
  int64_t points = 0;
  if (arg_ham_own(vm, &args[A_H], "quench", &h) || quench_fits(rt, h->op.vars.n, "") ||
      call_make(vm, args[A_SCHEDULE], args[A_TIME], args[A_GAMMA], args[A_TOL], &c))
    return 1;
  int failed = args[A_PATH].tag == V_NIL ? 0 : arg_int(vm, args[A_PATH], "quench: `path`", &points);
  if (!failed && args[A_PATH].tag != V_NIL && (points < 2 || points > POINTS))
    failed = vm_error(vm, "quench: path is the number of points, 2 to %d, found %lld", POINTS,
                      (long long)points);
  failed = failed || ham_problem(vm, h, "quench", &p);
  if (failed) {
    call_free(vm, &c);
    return 1;
  }
  failed = p.vars.n == 0 ? vm_error(vm, "quench: the Hamiltonian is a number")
                         : problem_reduce(rt, &p, &r) != RT_OK;
  if (!failed) {
    failed = anneal(vm, args, &p, &r, &c, points, out);
    reduced_free(rt, &r);
  }
  problem_free(rt, &p);
  call_free(vm, &c);
  return failed;
}

static int bind_quench(Vm *vm, Value *args, int n, Value *out) {
  if (args[A_H].tag == V_NIL) return make_sampler(vm, args, n, out);
  return run_function(vm, args, out);
}

const Native natives_quench[] = {
    {"quench",
     "H = nil, schedule = nil, time = nil, reads = 1000, gamma = nil, tol = 1e-08, psi = nil, path "
     "= nil",
     "Annealing by Schroedinger's equation, closed system, up to 20 variables.\n"
     "As a sampler, sample(H, quench(time = 20)): from the ground state of -sum X, then `reads` "
     "draws of\n"
     "|psi|^2.  As a function, quench(H, schedule, time): the final state, over H's variables; "
     "path "
     "= 101:\n"
     "(psi, {t, s, energy, low, next, gap, overlap}) at 101 equal distances of time: <H(t)>, its "
     "two "
     "lowest\n"
     "levels and their distance, the probability of its ground state.\n"
     "schedule: schedule(A, B, path = ..), a name, or rows (s, A, B); H(s) = -A sum X + B H.  nil: "
     "A "
     "= gamma\n"
     "(1 - s), B = s, gamma 1.5 times the root mean square of the local fields, as for sqa.\n"
     "time: plain (h-bar = 1) for plain A and B, with a unit for A and B in GHz; it stretches the "
     "schedule's\n"
     "path, whose end it is by default; without a path 20 over that mean square.\n"
     "tol: of the state, by the length of the steps.  psi: the state to begin with; a sampler's "
     "reverse\n"
     "anneals begin with sample(.., from = samples).\n"
     "Source: Kadowaki, Nishimori, Phys. Rev. E 58, 5355 (1998); steps as in evolve.\n"
     "Errors: more than 20 variables, a term that is not diagonal, a negative time, a wrong "
     "schedule.",
     bind_quench, NF_CONST},
    {0}};
