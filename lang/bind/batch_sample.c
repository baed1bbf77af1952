/* batch_sample.c: sample() of a batch: one call of the batch samplers, or one of any
 * other sampler a problem; derivatives through the samples.                          */
#include "lang/bind/batch_models.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum { GRAD_NONE, GRAD_STRAIGHT, GRAD_BLACKBOX } GradKind;

/* ---- to values ------------------------------------------------------------ */

static int set_rows(Vm *vm, BatchSet *s, const HamModels *m, BatchRun *r) {
  const BatchSamples *rows = &r->rows;
  Rt *rt = vm_rt(vm);
  const Ham *f = s->p->frame;
  HamNumbers n;
  if (ham_numbers_open(vm, s->p, &n)) return 1;
  RtStatus st = RT_OK;
  for (int64_t k = 0; k < s->p->problems && !st; k++) {
    const double *coef = ham_numbers_of(&n, k);
    for (int64_t q = k * s->reads; q < (k + 1) * s->reads && !st; q++) {
      int8_t *x = s->x + q * s->n;
      double more = 0;
      problem_values(&m->rules, rows->spin + q * rows->n, x);
      const double e = ham_batch_value(s->p, coef, x);
      if (f->n_constraint) st = problem_energy(rt, &m->rules, &m->penalty, x, &more);
      s->energy[q] = e + more;
      s->objective[q] = f->maximize && e != 0 ? -e : e;
      for (int64_t c = 0; c < f->n_constraint; c++)
        s->broken[q * f->n_constraint + c] = problem_violation(&m->rules, c, x) > 0;
    }
    if (!st) st = rt_poll(rt);
  }
  ham_numbers_close(vm, &n);
  s->breaks = r->breaks;
  r->breaks = NULL;
  return st != RT_OK;
}

/* What a machine was asked. */
static int set_machine(Vm *vm, Record *r, const BatchRun *run) {
  if (!run->submissions) return 0;
  return record_set(vm, r, "submissions", value_int(run->submissions)) ||
         record_set(vm, r, "copies", value_int(run->copies)) ||
         record_set(vm, r, "qpu_seconds",
                    isfinite(run->seconds) ? value_float(run->seconds) : NIL_VALUE);
}

static int set_info(Vm *vm, BatchSet *s, const HamModels *m, const BatchRun *run, Value sampler,
                    double seconds) {
  Buf text = {0};
  Record *r = record_new(vm, 9);
  value_print(vm, sampler, &text, true);
  Str *name = text.data ? str_new(vm, text.data, text.len) : NULL;
  buf_free(&text);
  if (!r || !name) {
    if (r) value_unref(vm, value_obj(r));
    return 1;
  }
  s->info = value_obj(r);
  return record_set(vm, r, "sampler", value_obj(name)) ||
         record_set(vm, r, "seconds", value_float(seconds)) ||
         record_set(vm, r, "problems", value_int(s->p->problems)) ||
         record_set(vm, r, "variables", value_int(m->model.n)) ||
         record_set(vm, r, "couplings", value_int(m->model.m)) ||
         record_set(vm, r, "distinct", value_int(run->distinct)) || set_machine(vm, r, run);
}

/* ---- derivatives ------------------------------------------------------------ */

static int run_models(Vm *vm, const Sampler *s, const HamModels *m, RngCall rng, bool cache,
                      BatchRun *out) {
  const BatchCall call = {s, &m->model, &m->rules.vars, rng, NULL};
  return batch_run(vm, &call, cache, out);
}

/* What the backward rule needs: the rows, and how to sample again. */
typedef struct {
  Vm *vm;
  HamBatch *p;
  Value sampler;
  RngCall rng;
  GradKind kind;
  bool cache;
  double mu;
  int64_t reads, n, bytes;  /* rows of each problem that count alike               */
  int8_t *x;                /* [problems, reads, n]                                */
} Through;

static void through_drop(Rt *rt, void *data) {
  Through *a = data;
  if (a->x) rt_free(rt, a->x, (size_t)a->bytes);
  value_unref(a->vm, a->sampler);
  ham_batch_unref(a->vm, a->p);
  rt_free(rt, a, sizeof *a);
}

/* The rows of energies with mu g x added: the best one of each problem, or all. */
static int again(const Through *a, const double *g, BatchSet **out) {
  HamModels m;
  BatchRun r = {0};
  const Sampler *s;
  Vm *vm = a->vm;
  if (arg_sampler(vm, a->sampler, "sample", &s) || ham_models_make(vm, a->p, g, a->mu, &m)) return 1;
  int failed = run_models(vm, s, &m, a->rng, a->cache, &r);
  const BatchSamples *rows = &r.rows;
  *out = failed ? NULL : batch_set_new(vm, a->p, rows->reads);
  failed = !*out;
  for (int64_t q = 0; q < a->p->problems * rows->reads && !failed; q++) {
    problem_values(&m.rules, rows->spin + q * rows->n, (*out)->x + q * a->n);
    (*out)->energy[q] = batch_energy(&m.model, q / rows->reads, rows->spin + q * rows->n);
  }
  batch_run_free(vm, &r);
  ham_models_free(vm, &m);
  return failed;
}

/* x moves against its local field: d x_i = -d(dE/dx_i), so that for E = -score b it is
 * d b = d score.                                                                    */
static void straight(const Through *a, const HamNumbers *n, const double *g, double **at) {
  double *along = rt_alloc(vm_rt(a->vm), (size_t)(a->n + 1) * sizeof *along);
  for (int64_t k = 0; k < a->p->problems && along; k++)
    for (int64_t r = 0; r < a->reads; r++) {
      for (int64_t i = 0; i < a->n; i++) along[i] = -g[k * a->n + i] / (double)a->reads;
      ham_batch_derive(n, k, a->x + (k * a->reads + r) * a->n, 0, along, at);
    }
  if (along) rt_free(vm_rt(a->vm), along, (size_t)(a->n + 1) * sizeof *along);
}

/* (dE/dtheta at the minimum of E + mu g x, less that at the minimum of E) / mu. */
static int blackbox(const Through *a, const HamNumbers *n, const double *g, double **at) {
  BatchSet *moved;
  if (again(a, g, &moved)) return 1;
  for (int64_t k = 0; k < a->p->problems; k++) {
    const int64_t count = a->reads == 1 ? 1 : moved->reads;
    const int64_t first = a->reads == 1 ? batch_set_best(moved, k) : 0;
    for (int64_t r = first; r < first + count; r++)
      ham_batch_derive(n, k, moved->x + (k * moved->reads + r) * a->n, 1 / (a->mu * (double)count),
                       NULL, at);
    for (int64_t r = 0; r < a->reads; r++)
      ham_batch_derive(n, k, a->x + (k * a->reads + r) * a->n, -1 / (a->mu * (double)a->reads),
                       NULL, at);
  }
  batch_set_free(a->vm, moved);
  return 0;
}

static RtStatus through_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const Through *a = tape_data(node);
  HamNumbers n;
  Tensor **grad;
  double **at;
  if (!g[0]) return RT_OK;
  if (ham_numbers_open(a->vm, a->p, &n)) return rt->error.status;
  RtStatus st = ham_grads_new(rt, a->p, node, &grad, &at);
  Tensor *flat = st ? NULL : tensor_contiguous(rt, g[0]);
  if (!st && !flat) st = rt->error.status;
  if (!st) {
    const double *d = (const double *)(const void *)flat->data;
    if (a->kind == GRAD_STRAIGHT) straight(a, &n, d, at);
    else if (blackbox(a, &n, d, at)) st = rt->error.status;
  }
  tensor_unref(rt, flat);
  ham_numbers_close(a->vm, &n);
  return ham_grads_add(rt, a->p, node, grad, at, st);
}

static const TapeRule through_rule = {"sample", through_backward, through_drop, true};

/* (problems, n) of the best rows, or of the mean of all, recorded. */
static Tensor *recorded(Vm *vm, const BatchSet *s, const Through *how, bool best) {
  Rt *rt = vm_rt(vm);
  const HamBatch *p = s->p;
  Tensor *in[16], *t = tensor_zeros(rt, DT_F64, 2, (int64_t[]){p->problems, s->n});
  Through *a = t ? rt_alloc(rt, sizeof *a) : NULL;
  if (a) {
    *a = *how;
    a->p = ham_batch_ref(s->p);
    value_ref(a->sampler);
    a->n = s->n;
    a->reads = best ? 1 : s->reads;
    a->bytes = p->problems * a->reads * s->n + 1;
    a->x = rt_alloc(rt, (size_t)a->bytes);
    if (!a->x) through_drop(rt, a), a = NULL;
  }
  if (!a) {
    tensor_unref(rt, t);
    return NULL;
  }
  double *o = (double *)(void *)t->data;
  for (int64_t k = 0; k < p->problems; k++)
    for (int64_t r = 0; r < a->reads; r++) {
      const int64_t from = best ? batch_set_best(s, k) : r;
      const int8_t *x = s->x + (k * s->reads + from) * s->n;
      memcpy(a->x + (k * a->reads + r) * s->n, x, (size_t)s->n);
      for (int64_t i = 0; i < s->n; i++) o[k * s->n + i] += x[i] / (double)a->reads;
    }
  for (int k = 0; k < p->n_param; k++) in[k] = p->param[k].t;
  if (!tape_record(rt, &through_rule, 1, &t, p->n_param, in, 0, NULL, a)) return t;
  tensor_unref(rt, t);
  return NULL;
}

static int arg_grad(Vm *vm, Value v, Through *how) {
  const char *name = value_callable(v) ? callable_name(v) : NULL;
  if (v.tag == V_NIL) return 0;
  if ((name && !strcmp(name, "straight_through")) ||
      (value_is(v, OBJ_STR) && !strcmp(AS_STR(v)->data, "straight_through"))) {
    how->kind = GRAD_STRAIGHT;
    return 0;
  }
  if (value_is(v, OBJ_TUPLE) && AS_LIST(v)->n == 2 && value_is(AS_LIST(v)->items[0], OBJ_STR) &&
      !strcmp(AS_STR(AS_LIST(v)->items[0])->data, "blackbox")) {
    how->kind = GRAD_BLACKBOX;
    return arg_float(vm, AS_LIST(v)->items[1], "mu", &how->mu);
  }
  vm_error(vm, "sample: `grad` is straight_through or blackbox(mu), found %s %s", VALUE_A(v));
  vm_help(vm, "without it samples are constants");
  return 1;
}

static bool any_traced(Vm *vm, const HamBatch *p) {
  for (int k = 0; k < p->n_param; k++)
    if (rt_taped(vm_rt(vm), p->param[k].t)) return true;
  return false;
}

int ham_batch_sample(Vm *vm, HamBatch *p, const BatchAsk *ask, Value *out) {
  HamModels m;
  BatchRun r = {0};
  const Sampler *s;
  Through how = {.vm = vm, .sampler = ask->sampler};
  const double begin = rt_now();
  if (arg_sampler(vm, ask->sampler, "sample", &s) || arg_grad(vm, ask->grad, &how) ||
      arg_bool(vm, ask->cache, "sample: `cache`", &how.cache))
    return 1;
  if (ask->from.tag != V_NIL)
    return vm_error(vm, "sample: `from` is for single problems, not for a batch");
  if (ham_models_make(vm, p, NULL, 0, &m)) return 1;
  int failed = arg_stream(vm, ask->seed, &how.rng) ||
               run_models(vm, s, &m, how.rng, how.cache, &r);
  BatchSet *set = failed ? NULL : batch_set_new(vm, p, r.rows.reads);
  failed = !set || set_rows(vm, set, &m, &r) ||
           set_info(vm, set, &m, &r, ask->sampler, rt_now() - begin);
  if (!failed && how.kind != GRAD_NONE && any_traced(vm, p)) {
    set->best = recorded(vm, set, &how, true);
    set->mean = set->best ? recorded(vm, set, &how, false) : NULL;
    failed = !set->mean;
  }
  batch_run_free(vm, &r);
  ham_models_free(vm, &m);
  Box *box = failed ? NULL : box_new(vm, &batch_set_type, set);
  if (!box) batch_set_free(vm, set);
  else *out = value_obj(box);
  return !box;
}

/* ---- how derivatives go through samples --------------------------------------------- */

static int bind_straight(Vm *vm, Value *args, int n, Value *out) {
  Str *s = str_new(vm, "straight_through", 16);
  *out = s ? value_obj(s) : NIL_VALUE;
  return !s;
}

static int bind_blackbox(Vm *vm, Value *args, int n, Value *out) {
  double mu;
  if (arg_float(vm, args[0], "mu", &mu)) return 1;
  if (!(mu > 0) || !isfinite(mu))
    return vm_error(vm, "blackbox: mu must be positive, found %g", mu);
  Str *s = str_new(vm, "blackbox", 8);
  List *l = s ? list_new(vm, true, 2) : NULL;
  if (!l || list_push(vm, l, value_obj(s)) || list_push(vm, l, value_float(mu))) return 1;
  *out = value_obj(l);
  return 0;
}

const Native natives_batch[] = {
    {"straight_through", "",
     "sample(.., grad = straight_through): in a derivative a sample follows its local field.\n"
     "d x_i = -d(dE/dx_i): for E = -sum(score[i] * b[i]) that is d b = d score.\n"
     "Source: Bengio, Leonard, Courville, arXiv:1308.3432 (2013).",
     bind_straight, NF_CONST},
    {"blackbox", "mu",
     "sample(.., grad = blackbox(mu)): in a derivative the problem is sampled once more, with\n"
     "mu dL/dx added to its fields; the derivative is the difference of dE/dtheta of the two\n"
     "samples over mu.  Larger mu: further from the true, mostly zero derivative, but smoother.\n"
     "Source: Vlastelica et al., Differentiation of blackbox combinatorial solvers, ICLR 2020.",
     bind_blackbox, NF_CONST},
    {0}};
