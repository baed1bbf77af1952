/* batch_quality.c: quality(H, s): what samples are worth: energy, whether single flips lower
 * it, how far the minimum is, how many chains broke.                              */
#include "lang/bind/solve.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

enum { SMALL = 20 };           /* variables up to which the minimum is looked for by itself */

/* The rows and the problems they are of. */
typedef struct {
  Vm *vm;
  const Batch *model;
  const Problem *rules;
  const Reduced *reduced;
  HamNumbers numbers;          /* of a batch; numbers.p NULL: a single Hamiltonian */
  int64_t reads, n;            /* rows of each problem, declared variables          */
  const int8_t *x;             /* [problems (1 where shared), reads, n]              */
  bool shared;
  const int32_t *count;        /* [reads] of a single Hamiltonian's rows; NULL: 1     */
  const float *breaks;         /* [problems, reads]; NULL: no chains                 */
  double *work;                /* [2 n]                                              */
} Asked;

/* What comes out, [problems] each. */
typedef struct { Tensor *energy, *flip, *optimal, *gap, *breaks, *violated; } Found;

static double *numbers(Tensor *t) { return (double *)(void *)t->data; }

static bool binary(const Asked *q, int64_t i) {
  return vars_kind(&q->rules->vars, i) == VAR_BINARY;
}

/* With the best values of auxiliary variables. */
static RtStatus energy_of(const Asked *q, int64_t problem, const int8_t *x, double *out) {
  RT_TRY(problem_energy(vm_rt(q->vm), q->rules, q->reduced, x, out));
  if (q->numbers.p) *out += ham_batch_value(q->numbers.p, q->numbers.coef, x);
  return RT_OK;
}

/* The model has the declared variables alone: flips are its local fields. */
static void row_by_fields(const Asked *q, int64_t problem, const int8_t *x, int8_t *spin,
                          double *energy, double *flip) {
  for (int64_t i = 0; i < q->n; i++) spin[i] = (int8_t)(binary(q, i) ? 2 * x[i] - 1 : x[i]);
  batch_fields(q->model, problem, spin, q->work, q->work + q->n);
  *energy = batch_energy_of(q->model, problem, spin, q->work);
  *flip = INFINITY;
  for (int64_t i = 0; i < q->n; i++) *flip = fmin(*flip, -2 * spin[i] * q->work[q->n + i]);
}

static RtStatus row_by_flips(const Asked *q, int64_t problem, const int8_t *x, int8_t *y,
                             double *energy, double *flip) {
  memcpy(y, x, (size_t)q->n);
  RT_TRY(energy_of(q, problem, y, energy));
  *flip = INFINITY;
  for (int64_t i = 0; i < q->n; i++) {
    double e;
    const int8_t old = y[i];
    y[i] = (int8_t)(binary(q, i) ? 1 - old : -old);
    RT_TRY(energy_of(q, problem, y, &e));
    *flip = fmin(*flip, e - *energy);
    y[i] = old;
  }
  return RT_OK;
}

static bool violates(const Problem *p, const int8_t *x) {
  for (int64_t c = 0; c < p->n_constraint; c++)
    if (problem_violation(p, c, x) > 0) return true;
  return false;
}

static RtStatus one_problem(const Asked *q, int64_t k, int8_t *work, const Found *f) {
  const bool plain = q->model->n == q->n;
  double best = INFINITY, all = 0, good = 0, broken = 0, violated = 0;
  if (q->numbers.p) ham_numbers_of(&q->numbers, k);
  for (int64_t r = 0; r < q->reads; r++) {
    const int8_t *x = q->x + ((q->shared ? 0 : k) * q->reads + r) * q->n;
    const double times = q->count ? q->count[r] : 1;
    double e, flip;
    if (plain) row_by_fields(q, k, x, work, &e, &flip);
    else RT_TRY(row_by_flips(q, k, x, work, &e, &flip));
    all += times;
    if (f->violated && violates(q->rules, x)) violated += times;
    if (flip >= -1e-9 * (1 + fabs(e))) good += times;
    if (q->breaks) broken += times * (double)q->breaks[k * q->reads + r];
    if (e >= best) continue;
    best = e;
    numbers(f->flip)[k] = flip;
  }
  numbers(f->energy)[k] = best;
  numbers(f->optimal)[k] = good / all;
  if (f->breaks) numbers(f->breaks)[k] = broken / all;
  if (f->violated) numbers(f->violated)[k] = violated / all;
  return rt_poll(vm_rt(q->vm));
}

/* Energies above the minimum. */
static RtStatus gaps(const Asked *q, const Found *f) {
  BatchArgs a;
  BatchSamples s;
  Rt *rt = vm_rt(q->vm);
  batch_args_init(&a);
  a.method = BATCH_EXACT;
  a.threads = rt->threads;
  RT_TRY(batch_sample(rt, q->model, &a, &s));
  for (int64_t k = 0; k < s.problems; k++)
    numbers(f->gap)[k] = numbers(f->energy)[k] - s.energy[k];
  batch_samples_free(rt, &s);
  return RT_OK;
}

static RtStatus measure(Asked *q, const Found *f) {
  Rt *rt = vm_rt(q->vm);
  const size_t bytes = (size_t)q->n + 1, room = (size_t)(2 * q->n + 1) * sizeof(double);
  int8_t *work = rt_alloc(rt, bytes);
  q->work = rt_alloc(rt, room);
  RtStatus st = work && q->work ? RT_OK : rt->error.status;
  for (int64_t k = 0; k < q->model->problems && !st; k++) st = one_problem(q, k, work, f);
  if (!st && f->gap) st = gaps(q, f);
  if (work) rt_free(rt, work, bytes);
  if (q->work) rt_free(rt, q->work, room);
  return st;
}

/* ---- to a value -------------------------------------------------------------------------- */

static int give_found(Vm *vm, Found *f, Value *out) {
  static const char *const name[] = {"energy", "flip", "optimal", "gap", "breaks", "violated"};
  Tensor *t[] = {f->energy, f->flip, f->optimal, f->gap, f->breaks, f->violated};
  int failed = give_record(vm, 6, name, t, out);
  *f = (Found){0};
  return failed;
}

/* exact: nil, true, false */
static int wants_gap(Vm *vm, const Asked *q, Value exact, bool *yes) {
  *yes = q->model->n <= SMALL;
  if (exact.tag == V_NIL) return 0;
  if (arg_bool(vm, exact, "`exact`", yes)) return 1;
  if (!*yes || q->model->n <= BATCH_EXACT_MAX) return 0;
  vm_error(vm, "quality: the minimum is looked for up to %d variables, the model has %lld",
           BATCH_EXACT_MAX, (long long)q->model->n);
  vm_help(vm, "leave `exact` out");
  return 1;
}

static int report(Asked *q, int rank, const int64_t *shape, Value exact, Value *out) {
  Rt *rt = vm_rt(q->vm);
  Found f = {0};
  bool gap;
  if (q->reads < 1) return vm_error(q->vm, "quality: there are no rows");
  if (wants_gap(q->vm, q, exact, &gap)) return 1;
  int failed = !(f.energy = tensor_new(rt, DT_F64, rank, shape)) ||
               !(f.flip = tensor_new(rt, DT_F64, rank, shape)) ||
               !(f.optimal = tensor_new(rt, DT_F64, rank, shape)) ||
               (gap && !(f.gap = tensor_new(rt, DT_F64, rank, shape))) ||
               (q->breaks && !(f.breaks = tensor_new(rt, DT_F64, rank, shape))) ||
               (q->rules->n_constraint && !(f.violated = tensor_new(rt, DT_F64, rank, shape)));
  for (int64_t k = 0; !failed && k < q->model->problems; k++) numbers(f.flip)[k] = INFINITY;
  if (!failed && !measure(q, &f)) return give_found(q->vm, &f, out);
  tensor_unref(rt, f.energy);
  tensor_unref(rt, f.flip);
  tensor_unref(rt, f.optimal);
  tensor_unref(rt, f.gap);
  tensor_unref(rt, f.breaks);
  tensor_unref(rt, f.violated);
  return 1;
}

/* ---- quality(H, s) --------------------------------------------------------------------------- */

int batch_quality(Vm *vm, HamBatch *p, Value *args, Value *out) {
  HamModels m;
  HamRows rows;
  const BatchSet *set = box_data(args[1], &batch_set_type);
  if (ham_rows_of(vm, p, args[1], "quality", &rows)) return 1;
  if (ham_models_make(vm, p, NULL, 0, &m)) {
    ham_rows_free(vm, &rows);
    return 1;
  }
  Asked q = {.vm = vm, .model = &m.model, .rules = &m.rules, .reduced = &m.penalty,
             .reads = rows.rows, .n = rows.n, .x = rows.x, .shared = rows.shared,
             .breaks = set ? set->breaks : NULL};
  int failed = ham_numbers_open(vm, p, &q.numbers);
  if (!failed) {
    failed = report(&q, p->batch_rank, p->batch_shape, args[2], out);
    ham_numbers_close(vm, &q.numbers);
  }
  ham_models_free(vm, &m);
  ham_rows_free(vm, &rows);
  return failed;
}

static int of_one(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  Ham *h;
  Problem p;
  Reduced r;
  Batch model = {0};
  const SampleSet *s = is_samples(args[1]) ? box_data(args[1], &samples_type) : NULL;
  if (arg_ham_own(vm, &args[0], "quality", &h)) return 1;
  if (!s) {
    vm_error(vm, "quality: expected samples, found %s %s", VALUE_A(args[1]));
    vm_help(vm, "quality(H, sample(H, anneal()))");
    return 1;
  }
  if (ham_problem(vm, h, "quality", &p)) return 1;
  int failed = p.vars.n != s->n
                   ? vm_error(vm, "quality: the samples have %lld variables, H has %lld",
                              (long long)s->n, (long long)p.vars.n)
                   : problem_reduce(rt, &p, &r) != RT_OK;
  if (!failed) {
    failed = batch_of_ising(rt, &r.ising, &model) != RT_OK;
    Asked q = {.vm = vm, .model = &model, .rules = &p, .reduced = &r, .reads = s->rows, .n = s->n,
               .x = s->x, .count = s->count, .breaks = s->breaks};
    if (!failed) failed = report(&q, 0, NULL, args[2], out);
    batch_free(rt, &model);
    reduced_free(rt, &r);
  }
  problem_free(rt, &p);
  return failed;
}

static int bind_quality(Vm *vm, Value *args, int n, Value *out) {
  HamBatch *p = box_data(args[0], &ham_batch_type);
  if (value_is(args[2], OBJ_TENSOR)) return solve_quality(vm, args, out);
  return p ? batch_quality(vm, p, args, out) : of_one(vm, args, out);
}

const Native natives_batch_quality[] = {
    {"quality", "H, samples, exact = nil",
     "What samples are worth: a record, for a batch with one number a problem, of\n"
     "energy    lowest energy of the rows, penalties included, as in s.energies\n"
     "flip      least change of it by flipping one variable of that row: not negative at a local\n"
     "          minimum\n"
     "optimal   share of the rows that no single flip lowers, rows by their counts\n"
     "gap       energy above the minimum, by enumeration up to 20 variables (slack bits and what\n"
     "          makes the problem quadratic among them), else nil; exact = true: up to 24, an error\n"
     "          beyond; false: never\n"
     "breaks    mean share of broken chains; nil without chains\n"
     "violated  share of the rows that break a constraint; nil without constraints\n"
     "samples: those of H, or for a batch also assignments as energy(P, x) takes them.\n"
     "quality(P, sample(P, anneal(reads = 4))).gap\n"
     "quality(a, Q, K) of an attention block with `binary`: the reads of its own sampler on the\n"
     "problems of queries Q and keys K.",
     bind_quality, NF_CONST},
    {0}};
