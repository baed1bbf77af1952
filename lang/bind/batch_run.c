/* batch_run.c: one call of a sampler on all problems of a batch: by the batch samplers, by a
 * problem a thread, or by a problem after the other; equal problems once.            */
#include "lang/bind/batch_models.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- by the batch samplers ------------------------------------------------------------- */

static int beta_numbers(Vm *vm, Value v, BatchArgs *a, double **numbers) {
  Tensor *t = AS_TENSOR(v);
  *numbers = rt_alloc(vm_rt(vm), (size_t)(t->size + 1) * sizeof **numbers);
  for (int64_t k = 0; *numbers && k < t->size; k++) (*numbers)[k] = tensor_get_f64(t, k);
  a->betas = *numbers;
  a->n_beta = t->size;
  return !*numbers;
}

/* The temperatures of anneal(): *yes false where they are not these. */
static int anneal_args(Vm *vm, const Sampler *s, BatchArgs *a, double **numbers, bool *yes) {
  const Value beta = sampler_arg(s, "beta"), schedule = sampler_arg(s, "schedule");
  const Value plain = sampler_arg(s, "boltzmann");
  double hot, cold;
  a->method = BATCH_ANNEAL;
  a->sweeps = sampler_arg(s, "sweeps").i;
  a->boltzmann = plain.tag == V_BOOL && plain.b;
  *yes = true;
  if (value_is(schedule, OBJ_TENSOR) && AS_TENSOR(schedule)->rank == 1 && beta.tag == V_NIL)
    return beta_numbers(vm, schedule, a, numbers);
  *yes = schedule.tag == V_NIL;
  if (!*yes || beta.tag == V_NIL) return 0;
  *yes = value_is(beta, OBJ_TUPLE);
  if (!*yes) return 0;
  if (arg_float(vm, AS_LIST(beta)->items[0], "beta", &hot) ||
      arg_float(vm, AS_LIST(beta)->items[1], "beta", &cold))
    return 1;
  *yes = hot > 0;
  a->hot = 1 / hot;
  a->cold = 1 / cold;
  return 0;
}

/* The batch sampler that does what s says; *yes false: there is none. */
static int batch_method(Vm *vm, const Sampler *s, const Batch *b, BatchArgs *a, double **numbers,
                        bool *yes) {
  const char *name = s->kind ? s->kind->name : "";
  const Value reads = s->kind ? sampler_arg(s, "reads") : NIL_VALUE;
  *yes = true;
  if (reads.tag == V_INT) a->reads = reads.i;
  if (!strcmp(name, "exact")) {
    a->method = BATCH_EXACT;
    *yes = b->n <= BATCH_EXACT_MAX && a->reads == 1;
  } else if (!strcmp(name, "lockstep")) {
    const Value both = sampler_arg(s, "both");
    a->method = both.tag == V_BOOL && both.b ? BATCH_LOCKSTEP_BOTH : BATCH_LOCKSTEP;
  } else if (!strcmp(name, "descend")) {
    a->method = BATCH_DESCEND;
    if (reads.tag == V_NIL) a->reads = 64;
  } else if (!strcmp(name, "gibbs")) {
    const Value beta = sampler_arg(s, "beta");
    a->method = BATCH_GIBBS;
    a->sweeps = sampler_arg(s, "sweeps").i;
    *yes = beta.tag == V_FLOAT || beta.tag == V_INT;
    if (*yes) return arg_float(vm, beta, "beta", &a->beta);
  } else if (!strcmp(name, "anneal")) {
    return anneal_args(vm, s, a, numbers, yes);
  } else {
    *yes = false;
  }
  return 0;
}

/* ---- a problem a thread, or after the other ------------------------------------------------ */

int batch_run_each(Vm *vm, const BatchCall *call, BatchEach *e, BatchRun *out) {
  e->rng = call->rng;
  e->number = call->number;
  e->threads = vm_rt(vm)->threads;
  return batch_each(vm_rt(vm), call->b, e, &out->rows) != RT_OK;
}

static int run_one(Vm *vm, const BatchCall *c, int64_t k, BatchSamples *out) {
  Ising one;
  Samples rows = {0};
  const Batch *b = c->b;
  Rt *rt = vm_rt(vm);
  int64_t total = 0, at = 0;
  if (batch_ising(rt, b, k, &one)) return 1;
  SampleCall call = {.rng = sampler_stream(c->rng, "batch", c->number ? c->number[k] : k),
                     .vars = c->vars};
  int failed = sampler_run(vm, c->sampler, &one, &call, &rows) || samples_sort(rt, &rows);
  ising_free(rt, &one);
  for (int64_t r = 0; r < rows.rows && !failed; r++) total += rows.count[r];
  if (!failed && k == 0) failed = batch_samples_make(rt, out, b->problems, total, b->n) != RT_OK;
  if (!failed && total < out->reads)
    failed = vm_error(vm, "sample: problem %lld gave %lld rows, the first one %lld", (long long)k,
                      (long long)total, (long long)out->reads);
  for (int64_t r = 0; r < rows.rows && !failed; r++)
    for (int32_t i = 0; i < rows.count[r] && at < out->reads; i++, at++) {
      memcpy(out->spin + (k * out->reads + at) * b->n, rows.spin + r * b->n, (size_t)b->n);
      out->energy[k * out->reads + at] = batch_energy(b, k, rows.spin + r * b->n);
    }
  samples_free(rt, &rows);
  return failed;
}

static int run_after_another(Vm *vm, const BatchCall *c, BatchRun *out) {
  if (c->b->problems == 0)
    return batch_samples_make(vm_rt(vm), &out->rows, 0, 1, c->b->n) != RT_OK;
  for (int64_t k = 0; k < c->b->problems; k++)
    if (run_one(vm, c, k, &out->rows)) return 1;
  return 0;
}

static int run_all(Vm *vm, const BatchCall *c, BatchRun *out) {
  BatchArgs a;
  double *numbers = NULL;
  bool yes;
  batch_args_init(&a);
  a.rng = c->rng;
  a.threads = vm_rt(vm)->threads;
  a.number = c->number;
  if (c->b->n == 0) return batch_sample(vm_rt(vm), c->b, &a, &out->rows) != RT_OK;
  int failed = batch_method(vm, c->sampler, c->b, &a, &numbers, &yes);
  if (!failed && yes) failed = batch_sample(vm_rt(vm), c->b, &a, &out->rows) != RT_OK;
  if (numbers) rt_free(vm_rt(vm), numbers, (size_t)(a.n_beta + 1) * sizeof *numbers);
  if (failed || yes) return failed;
  const SamplerClass *class = c->sampler->class;
  const int how = class->each ? class->each(vm, c, out) : -1;
  return how < 0 ? run_after_another(vm, c, out) : how;
}

/* ---- equal problems ------------------------------------------------------------------------ */

typedef struct { uint64_t hash; int64_t problem; } Key;

static int by_hash(const void *a, const void *b) {
  const Key *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return (x->problem > y->problem) - (x->problem < y->problem);
}

static bool equal(const Batch *b, int64_t k, int64_t l) {
  return !memcmp(b->h + k * b->n, b->h + l * b->n, (size_t)b->n * sizeof *b->h) &&
         !memcmp(b->J + k * b->m, b->J + l * b->m, (size_t)b->m * sizeof *b->J);
}

/* first[k]: the first problem with the fields and couplings of k. */
static RtStatus find_equal(Rt *rt, const Batch *b, int64_t *first) {
  const size_t bytes = (size_t)(b->problems + 1) * sizeof(Key);
  Key *key = rt_alloc(rt, bytes);
  if (!key) return rt->error.status;
  for (int64_t k = 0; k < b->problems; k++)
    key[k] = (Key){hash_bytes(b->h + k * b->n, (size_t)b->n * sizeof *b->h) * 31 +
                       hash_bytes(b->J + k * b->m, (size_t)b->m * sizeof *b->J), k};
  qsort(key, (size_t)b->problems, sizeof *key, by_hash);
  for (int64_t i = 0, from = 0; i < b->problems; i++) {
    if (key[i].hash != key[from].hash) from = i;
    int64_t j = from;
    while (j < i && !equal(b, key[j].problem, key[i].problem)) j++;
    first[key[i].problem] = key[j].problem;
  }
  rt_free(rt, key, bytes);
  return RT_OK;
}

/* The problems that stand first, as a batch of their own; number[j]: their places. */
static RtStatus take_first(Rt *rt, const Batch *b, const int64_t *first, Batch *few,
                           int64_t *number) {
  int64_t count = 0;
  for (int64_t k = 0; k < b->problems; k++)
    if (first[k] == k) number[count++] = k;
  RT_TRY(batch_make(rt, few, count, b->n, b->m, b->uv));
  for (int64_t j = 0; j < count; j++) {
    const int64_t k = number[j];
    memcpy(few->h + j * b->n, b->h + k * b->n, (size_t)b->n * sizeof *b->h);
    memcpy(few->J + j * b->m, b->J + k * b->m, (size_t)b->m * sizeof *b->J);
    few->offset[j] = b->offset[k];
  }
  return RT_OK;
}

/* The rows of all problems from those of the first ones. */
static RtStatus spread(Rt *rt, const Batch *b, const int64_t *first, int64_t *place, BatchRun *r) {
  const BatchRun from = *r;
  const int64_t reads = from.rows.reads, rows = b->problems * reads;
  int64_t count = 0;
  r->breaks = from.breaks ? rt_alloc(rt, (size_t)(rows + 1) * sizeof *r->breaks) : NULL;
  RtStatus st = from.breaks && !r->breaks ? rt->error.status : RT_OK;
  if (!st) st = batch_samples_make(rt, &r->rows, b->problems, reads, b->n);
  for (int64_t k = 0; k < b->problems && !st; k++) {
    const int64_t j = place[k] = first[k] == k ? count++ : place[first[k]];
    memcpy(r->rows.spin + k * reads * b->n, from.rows.spin + j * reads * b->n,
           (size_t)(reads * b->n));
    for (int64_t q = 0; q < reads; q++) {
      r->rows.energy[k * reads + q] =
          from.rows.energy[j * reads + q] - b->offset[first[k]] + b->offset[k];
      if (r->breaks) r->breaks[k * reads + q] = from.breaks[j * reads + q];
    }
  }
  r->rows.steps = from.rows.steps;
  BatchSamples old = from.rows;
  if (from.breaks)
    rt_free(rt, from.breaks, (size_t)(old.problems * old.reads + 1) * sizeof *from.breaks);
  batch_samples_free(rt, &old);
  return st;
}

static int run_distinct(Vm *vm, const BatchCall *c, BatchRun *out) {
  Rt *rt = vm_rt(vm);
  const size_t bytes = (size_t)(c->b->problems + 1) * sizeof(int64_t);
  int64_t *first = rt_alloc(rt, bytes), *number = rt_alloc(rt, bytes);
  Batch few = {0};
  RtStatus st = first && number ? find_equal(rt, c->b, first) : rt->error.status;
  if (!st) st = take_first(rt, c->b, first, &few, number);
  int failed = st != RT_OK;
  if (!failed) {
    out->distinct = few.problems;
    const BatchCall call = {c->sampler, &few, c->vars, c->rng, number};
    failed = few.problems < c->b->problems ? run_all(vm, &call, out) : run_all(vm, c, out);
    if (!failed && few.problems < c->b->problems)
      failed = spread(rt, c->b, first, number, out) != RT_OK;
  }
  batch_free(rt, &few);
  if (first) rt_free(rt, first, bytes);
  if (number) rt_free(rt, number, bytes);
  return failed;
}

int batch_run(Vm *vm, const BatchCall *call, bool cache, BatchRun *out) {
  const char *name = call->sampler->kind ? call->sampler->kind->name : "";
  *out = (BatchRun){.distinct = call->b->problems, .seconds = NAN};
  /* problems in step depend on each other, so that equal ones differ */
  const bool once = (cache ? strcmp(name, "lockstep") != 0 : !strcmp(name, "exact")) &&
                    call->b->problems > 1;
  const int failed = once ? run_distinct(vm, call, out) : run_all(vm, call, out);
  if (failed) batch_run_free(vm, out);
  return failed;
}

void batch_run_free(Vm *vm, BatchRun *r) {
  const int64_t rows = r->rows.problems * r->rows.reads;
  if (r->breaks) rt_free(vm_rt(vm), r->breaks, (size_t)(rows + 1) * sizeof *r->breaks);
  r->breaks = NULL;
  batch_samples_free(vm_rt(vm), &r->rows);
}
