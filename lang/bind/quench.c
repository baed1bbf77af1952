/* quench.c: annealing by Schroedinger's equation: a sampler among the others, and a function
 * that gives the final state and what happened on the way.                       */
#include "lang/bind/batch_models.h"
#include "lang/bind/density.h"
#include "lang/bind/sampling.h"
#include "lang/bind/schedule.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/binary/temper.h"
#include "runtime/evolve/quench.h"
#include "runtime/open/anneal.h"

#include <math.h>
#include <string.h>

enum {
  A_H, A_SCHEDULE, A_TIME, A_READS, A_GAMMA, A_TOL, A_PSI, A_PATH, A_BATH, A_TRAJECTORIES, A_SEED
};

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

/* Collapse operators on a register of n qubits for this call. */
static int call_bath(Vm *vm, Value bath, const QuenchCall *c, int64_t n, int *count,
                     Operator **jump) {
  VarTable vars;
  bool ghz = c->a.schedule && c->a.schedule->ghz;
  *count = 0;
  *jump = NULL;
  if (bath.tag == V_NIL) return 0;
  if (state_register(vm_rt(vm), n, &vars)) return 1;
  int failed = arg_bath(vm, bath, &vars, ghz ? 2 * M_PI * 1e9 : 0, count, jump);
  vars_free(vm_rt(vm), &vars);
  if (!failed) return 0;
  jumps_free(vm_rt(vm), *count, *jump);
  return 1;
}

static int call_trajectories(Vm *vm, Value v, Value bath, int64_t *out) {
  enum { MOST = 100000000 };
  *out = 0;
  if (v.tag == V_NIL) return 0;
  if (bath.tag == V_NIL) return vm_error(vm, "quench: `trajectories` belong to a `bath`");
  if (arg_int(vm, v, "quench: `trajectories`", out)) return 1;
  if (*out >= 1 && *out <= MOST) return 0;
  return vm_error(vm, "quench: `trajectories` is 1 to %d, found %lld", MOST, (long long)*out);
}

/* ---- the sampler ----------------------------------------------------------------------- */

static int sampler_call(Vm *vm, const Sampler *s, QuenchCall *c) {
  int64_t reads;
  int failed = call_make(vm, sampler_arg(s, "schedule"), sampler_arg(s, "time"),
                         sampler_arg(s, "gamma"), sampler_arg(s, "tol"), c) ||
               arg_int(vm, sampler_arg(s, "reads"), "quench: `reads`", &reads);
  if (!failed && reads < 1)
    failed = vm_error(vm, "quench: reads must be positive, found %lld", (long long)reads);
  int64_t trajectories;
  if (!failed)
    failed = call_trajectories(vm, sampler_arg(s, "trajectories"), sampler_arg(s, "bath"),
                               &trajectories);
  if (!failed && (sampler_arg(s, "psi").tag != V_NIL || sampler_arg(s, "path").tag != V_NIL)) {
    failed = vm_error(vm, "quench: `psi` and `path` belong to quench(H, ..), not to the sampler");
    vm_help(vm, "sample(H, quench(..), from = samples) begins with samples");
  }
  if (!failed && sampler_arg(s, "seed").tag != V_NIL) {
    failed = vm_error(vm, "quench: `seed` belongs to quench(H, ..), not to the sampler");
    vm_help(vm, "sample(H, quench(..), seed = 1)");
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
  Value bath = sampler_arg(s, "bath");
  int n, failed;
  Operator *jump;
  int64_t trajectories;
  if (bath.tag == V_NIL) {
    failed = sample_quench(vm_rt(vm), p, &c.a, out) != RT_OK;
  } else {
    failed = quench_fits(vm_rt(vm), p->n, "") || call_bath(vm, bath, &c, p->n, &n, &jump);
    if (!failed) {
      failed = call_trajectories(vm, sampler_arg(s, "trajectories"), bath, &trajectories) ||
               sample_quench_open(vm_rt(vm), p, &c.a, n, jump, trajectories, out) != RT_OK;
      jumps_free(vm_rt(vm), n, jump);
    }
  }
  call_free(vm, &c);
  return failed;
}

static RtStatus quench_one(Rt *rt, void *user, const Ising *p, RngCall rng,
                           const BatchProgress *progress, Samples *out) {
  QuenchArgs a = *(const QuenchArgs *)user;
  a.rng = rng;
  a.progress = progress->call;
  a.user = progress->user;
  return sample_quench(rt, p, &a, out);
}

/* Problems of a batch side by side on threads; those with a bath one after the other. */
static int quench_each(Vm *vm, const BatchCall *call, BatchRun *out) {
  QuenchCall c;
  if (sampler_arg(call->sampler, "bath").tag != V_NIL) return -1;
  if (sampler_call(vm, call->sampler, &c)) return 1;
  int failed = quench_fits(vm_rt(vm), call->b->n, "") ||
               batch_run_each(vm, call, &(BatchEach){.run = quench_one, .user = &c.a}, out);
  call_free(vm, &c);
  return failed;
}

static const SamplerClass quench_class = {
    .name = "quench", .run = quench_run, .each = quench_each};

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

/* ---- with a bath -------------------------------------------------------------------------- */

/* Basis states by spins, which a sampler has: |0> is spin +1, a binary's 1.  In place, both
 * ways. */
static int64_t binaries(const VarTable *t) {
  int64_t mask = 0;
  for (int64_t i = 0; i < t->n; i++) mask |= (int64_t)(vars_kind(t, i) == VAR_BINARY) << i;
  return mask;
}

static void turn_vector(int64_t mask, c128 *x, int64_t n) {
  for (int64_t k = 0; k < n; k++) {
    if ((k ^ mask) < k) continue;
    c128 y = x[k];
    x[k] = x[k ^ mask];
    x[k ^ mask] = y;
  }
}

static void turn_density(int64_t mask, Density *p) {
  turn_vector(mask | mask * p->dim, p->s.amp, p->s.size);
}

static int open_density(Vm *vm, const OpenAnneal *o, int64_t mask, const State *s, Value *out) {
  Density p;
  if (density_pure(vm_rt(vm), s, &p)) return 1;
  turn_density(mask, &p);
  if (anneal_density(vm_rt(vm), o, &p)) {
    density_free(vm_rt(vm), &p);
    return 1;
  }
  turn_density(mask, &p);
  *out = density_value(vm, &p);
  return out->tag == V_NIL;
}

static int open_average(Vm *vm, const OpenAnneal *o, int64_t mask, State *s, RngCall rng,
                        int64_t trajectories, Value *out) {
  Rt *rt = vm_rt(vm);
  Density p;
  State start;
  VarTable vars;
  double jumps;
  Ensemble all = {&p, 1};
  if (density_new(rt, &s->vars, &p)) return 1;
  memset(p.s.amp, 0, (size_t)p.s.size * sizeof *p.s.amp);
  int failed = state_register(rt, o->bits, &vars) != RT_OK;
  if (!failed) {
    failed = state_new(rt, &vars, &start) != RT_OK;
    vars_free(rt, &vars);
  }
  if (!failed) {
    memcpy(start.amp, s->amp, (size_t)s->size * sizeof *s->amp);
    turn_vector(mask, start.amp, start.size);
    state_scale(&start, (c128){1 / sqrt(state_norm2(&start)), 0});
    AnnealAsk ask = {.trajectories = trajectories, .rng = rng, .start = &start,
                     .each = ensemble_add, .each_user = &all};
    failed = anneal_trajectories(rt, o, &ask, &jumps) != RT_OK;
    state_free(rt, &start);
  }
  if (failed) {
    density_free(rt, &p);
    return 1;
  }
  turn_density(mask, &p);
  *out = density_value(vm, &p);
  return out->tag == V_NIL;
}

/* From s, over the problem's variables; level is by basis states of those. */
static int follow_open(Vm *vm, Value *args, const QuenchCall *c, const Quench *q, double *level,
                       State *s, Value *out) {
  OpenAnneal o = {.q = q, .bits = (int)s->vars.n, .level = level};
  int64_t trajectories, mask = binaries(&s->vars);
  RngCall rng;
  if (!(state_norm2(s) > 0)) return vm_error(vm, "quench: psi is zero");
  if (call_trajectories(vm, args[A_TRAJECTORIES], args[A_BATH], &trajectories) ||
      (trajectories && arg_stream(vm, args[A_SEED], &rng)) ||
      call_bath(vm, args[A_BATH], c, o.bits, &o.n, &o.jump))
    return 1;
  for (int64_t k = 0; k < s->size; k++) {
    if ((k ^ mask) < k) continue;
    double e = level[k];
    level[k] = level[k ^ mask];
    level[k ^ mask] = e;
  }
  int failed = trajectories ? open_average(vm, &o, mask, s, rng, trajectories, out)
                            : open_density(vm, &o, mask, s, out);
  jumps_free(vm_rt(vm), o.n, o.jump);
  return failed;
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
    failed = first_state(vm, args[A_PSI], p, &q, &s) ||
             (args[A_BATH].tag == V_NIL ? follow(vm, &q, level, points, &s, out)
                                        : follow_open(vm, args, c, &q, level, &s, out));
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
  if (!failed && points && args[A_BATH].tag != V_NIL)
    failed = vm_error(vm, "quench: `path` does not go with a bath");
  if (!failed && args[A_SEED].tag != V_NIL && args[A_TRAJECTORIES].tag == V_NIL)
    failed = vm_error(vm, "quench: `seed` belongs to `trajectories`");
  int64_t trajectories;
  failed = failed || call_trajectories(vm, args[A_TRAJECTORIES], args[A_BATH], &trajectories) ||
           ham_problem(vm, h, "quench", &p);
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
     "= nil, bath = nil, trajectories = nil, seed = nil",
     "Annealing by Schroedinger's equation, up to 20 variables; with `bath` by Lindblad's.\n"
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
     "bath: dephasing(rate), damping(down, up), collapse operators on qubits 0 .., or a list: "
     "qubit i\n"
     "is variable i, |0> its spin +1 (a binary's 1).  The function gives a density matrix, or with\n"
     "trajectories = 1000 their average, from `seed`; the sampler draws from the density matrix "
     "up to\n"
     "6 variables, else (or when asked for) every read from one of `trajectories`, as many as "
     "reads.\n"
     "Source: Kadowaki, Nishimori, Phys. Rev. E 58, 5355 (1998); steps as in evolve.\n"
     "Errors: more than 20 variables, a term that is not diagonal, a negative time or rate, "
     "a wrong schedule.",
     bind_quench, NF_CONST},
    {0}};
