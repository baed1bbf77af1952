/* batch_sample.c: sample() of a batch: one call of the batch samplers, or one of any
 * other sampler a problem; derivatives through the samples.                          */
#include "lang/bind/batch.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum { GRAD_NONE, GRAD_STRAIGHT, GRAD_BLACKBOX } GradKind;

/* The problems as quadratic models: the constraints' penalties are the same for all. */
typedef struct {
  HamBatch *p;
  Problem rules;            /* the constraints alone, with their weights            */
  Reduced penalty;          /* their penalties as a model                           */
  int32_t *coupling;        /* [n_term] of quadratic terms; of others -1             */
  int32_t *extra;           /* [penalty.ising.m] coupling of its pairs               */
  bool *binary;             /* [variables]                                          */
  Batch model;
} Models;

static void models_free(Vm *vm, Models *m) {
  Rt *rt = vm_rt(vm);
  if (m->coupling) rt_free(rt, m->coupling, (size_t)(m->p->n_term + 1) * sizeof *m->coupling);
  if (m->extra) rt_free(rt, m->extra, (size_t)(m->penalty.ising.m + 1) * sizeof *m->extra);
  if (m->binary) rt_free(rt, m->binary, (size_t)(m->p->frame->op.vars.n + 1) * sizeof *m->binary);
  batch_free(rt, &m->model);
  reduced_free(rt, &m->penalty);
  problem_free(rt, &m->rules);
}

/* ---- penalties ------------------------------------------------------------ */

/* Weights that suffice for every problem: the largest of what each needs. */
static int common_weights(Vm *vm, const HamBatch *p, double *weight) {
  for (int64_t k = 0; k < p->problems; k++) {
    Ham *one = ham_batch_one(vm, p, k);
    Problem q;
    Reduced r;
    if (!one) return 1;
    int failed = ham_problem(vm, one, "sample", &q);
    ham_free(vm, one);
    if (failed) return 1;
    failed = problem_reduce(vm_rt(vm), &q, &r) != RT_OK;
    for (int64_t c = 0; c < q.n_constraint && !failed; c++)
      weight[c] = fmax(weight[c], r.penalty[c].weight);
    if (!failed) reduced_free(vm_rt(vm), &r);
    problem_free(vm_rt(vm), &q);
    if (failed || rt_poll(vm_rt(vm))) return 1;
  }
  return 0;
}

static int make_rules(Vm *vm, Models *m) {
  const HamBatch *p = m->p;
  Ham *f = p->frame;
  const size_t room = (size_t)f->n_constraint + 1;
  bool open = false;
  if (ham_problem(vm, f, "sample", &m->rules)) return 1;
  for (int64_t c = 0; c < f->n_constraint; c++) open |= isnan(f->constraint[c].weight);
  double *weight = open ? rt_alloc0(vm_rt(vm), room * sizeof *weight) : NULL;
  int failed = open && (!weight || common_weights(vm, p, weight));
  for (int64_t c = 0; c < f->n_constraint && open && !failed; c++)
    if (isnan(m->rules.constraint[c].weight) && weight[c] > 0)
      m->rules.constraint[c].weight = weight[c];
  if (weight) rt_free(vm_rt(vm), weight, room * sizeof *weight);
  return failed || problem_reduce(vm_rt(vm), &m->rules, &m->penalty) != RT_OK;
}

/* ---- couplings ------------------------------------------------------------ */

typedef struct { int32_t u, v, *to; } Pair;

static int by_pair(const void *a, const void *b) {
  const Pair *x = a, *y = b;
  return x->u != y->u ? (x->u > y->u) - (x->u < y->u) : (x->v > y->v) - (x->v < y->v);
}

static int64_t collect_pairs(Models *m, Pair *pair) {
  const HamBatch *p = m->p;
  const Ising *q = &m->penalty.ising;
  int64_t n = 0, at = 0;
  for (int64_t t = 0, from = 0; t < p->n_term; from = p->end[t++])
    if (p->end[t] - from == 2)
      pair[n++] = (Pair){p->v[from], p->v[from + 1], &m->coupling[t]};
  for (int32_t i = 0; i < q->n; i++)
    for (int64_t k = q->start[i]; k < q->start[i + 1]; k++)
      if (q->other[k] > i) pair[n++] = (Pair){i, q->other[k], &m->extra[at++]};
  return n;
}

static int make_structure(Vm *vm, Models *m) {
  const HamBatch *p = m->p;
  const int64_t most = p->n_term + m->penalty.ising.m;
  Rt *rt = vm_rt(vm);
  for (int64_t t = 0, from = 0; t < p->n_term; from = p->end[t++])
    if (p->end[t] - from > 2) {
      vm_error(vm, "a batch of problems is quadratic, but a term has %lld variables",
               (long long)(p->end[t] - from));
      vm_help(vm, "P[k] is problem k: single problems are made quadratic");
      return 1;
    }
  m->binary = rt_alloc(rt, (size_t)(p->frame->op.vars.n + 1) * sizeof *m->binary);
  for (int64_t i = 0; m->binary && i < p->frame->op.vars.n; i++)
    m->binary[i] = vars_kind(&p->frame->op.vars, i) == VAR_BINARY;
  m->coupling = rt_alloc(rt, (size_t)(p->n_term + 1) * sizeof *m->coupling);
  m->extra = rt_alloc(rt, (size_t)(m->penalty.ising.m + 1) * sizeof *m->extra);
  Pair *pair = rt_alloc(rt, (size_t)(most + 1) * sizeof *pair);
  int32_t *uv = rt_alloc(rt, (size_t)(2 * most + 1) * sizeof *uv);
  int failed = !m->binary || !m->coupling || !m->extra || !pair || !uv;
  if (!failed) {
    int64_t n = collect_pairs(m, pair), count = 0;
    qsort(pair, (size_t)n, sizeof *pair, by_pair);
    for (int64_t i = 0; i < n; i++) {
      if (i == 0 || by_pair(&pair[i - 1], &pair[i])) {
        uv[2 * count] = pair[i].u;
        uv[2 * count++ + 1] = pair[i].v;
      }
      *pair[i].to = (int32_t)(count - 1);
    }
    failed = batch_make(rt, &m->model, p->problems, m->penalty.ising.n, count, uv) != RT_OK;
  }
  if (pair) rt_free(rt, pair, (size_t)(most + 1) * sizeof *pair);
  if (uv) rt_free(rt, uv, (size_t)(2 * most + 1) * sizeof *uv);
  return failed;
}

/* ---- coefficients ------------------------------------------------------------ */

/* A variable is half (1 + s) or s: x = a + b s. */
static void spin_form(const Models *m, int32_t v, double *a, double *b) {
  const bool binary = m->binary[v];
  *a = binary ? 0.5 : 0;
  *b = binary ? 0.5 : 1;
}

static void add_linear(Models *m, int64_t k, int32_t v, double c) {
  double a, b;
  spin_form(m, v, &a, &b);
  m->model.offset[k] += c * a;
  m->model.h[k * m->model.n + v] += c * b;
}

static void fill_problem(Models *m, const double *c, int64_t k) {
  const HamBatch *p = m->p;
  Batch *o = &m->model;
  for (int64_t t = 0, from = 0; t < p->n_term; from = p->end[t++]) {
    const int32_t *v = p->v + from;
    const int64_t degree = p->end[t] - from;
    double au, bu, av, bv;
    if (degree == 0) o->offset[k] += c[t];
    else if (degree == 1) add_linear(m, k, v[0], c[t]);
    else {
      spin_form(m, v[0], &au, &bu);
      spin_form(m, v[1], &av, &bv);
      o->offset[k] += c[t] * au * av;
      o->h[k * o->n + v[0]] += c[t] * bu * av;
      o->h[k * o->n + v[1]] += c[t] * au * bv;
      o->J[k * o->m + m->coupling[t]] += c[t] * bu * bv;
    }
  }
  const Ising *q = &m->penalty.ising;
  int64_t at = 0;
  o->offset[k] += q->offset;
  for (int32_t i = 0; i < q->n; i++) {
    o->h[k * o->n + i] += q->h[i];
    for (int64_t e = q->start[i]; e < q->start[i + 1]; e++)
      if (q->other[e] > i) o->J[k * o->m + m->extra[at++]] += q->J[e];
  }
}

/* along: [problems, n] of the variables, added to the energies with weight mu; NULL: none. */
static int models_make(Vm *vm, HamBatch *p, const double *along, double mu, Models *m) {
  HamNumbers n;
  *m = (Models){.p = p};
  problem_init(&m->rules);
  if (make_rules(vm, m) || make_structure(vm, m) || ham_numbers_open(vm, p, &n)) {
    models_free(vm, m);
    return 1;
  }
  const int64_t vars = p->frame->op.vars.n;
  for (int64_t k = 0; k < p->problems; k++) {
    fill_problem(m, ham_numbers_of(&n, k), k);
    for (int64_t i = 0; along && i < vars; i++)
      add_linear(m, k, (int32_t)i, mu * along[k * vars + i]);
  }
  ham_numbers_close(vm, &n);
  return 0;
}

/* ---- running ------------------------------------------------------------ */

/* The batch sampler that does what s says; false: another sampler, run a problem at a time. */
static bool batch_method(Vm *vm, const Sampler *s, const Batch *b, BatchArgs *a) {
  const char *name = s->kind ? s->kind->name : "";
  const Value reads = s->kind ? sampler_arg(s, "reads") : NIL_VALUE;
  if (reads.tag == V_INT) a->reads = reads.i;
  if (!strcmp(name, "exact")) {
    a->method = BATCH_EXACT;
    return b->n <= BATCH_EXACT_MAX && a->reads == 1;
  }
  if (!strcmp(name, "lockstep")) {
    const Value both = sampler_arg(s, "both");
    a->method = both.tag == V_BOOL && both.b ? BATCH_LOCKSTEP_BOTH : BATCH_LOCKSTEP;
    return true;
  }
  if (!strcmp(name, "descend")) {
    a->method = BATCH_DESCEND;
    if (reads.tag == V_NIL) a->reads = 64;
    return true;
  }
  if (strcmp(name, "anneal")) return false;
  const Value beta = sampler_arg(s, "beta"), plain = sampler_arg(s, "boltzmann");
  a->method = BATCH_ANNEAL;
  a->sweeps = sampler_arg(s, "sweeps").i;
  if (sampler_arg(s, "schedule").tag != V_NIL || (plain.tag == V_BOOL && plain.b)) return false;
  if (beta.tag == V_NIL) return true;
  double hot, cold;
  if (!value_is(beta, OBJ_TUPLE) || arg_float(vm, AS_LIST(beta)->items[0], "beta", &hot) ||
      arg_float(vm, AS_LIST(beta)->items[1], "beta", &cold) || !(hot > 0))
    return false;
  a->hot = 1 / hot;
  a->cold = 1 / cold;
  return true;
}

/* One problem after the other: rows repeated by their counts, as many as all have. */
static int run_each(Vm *vm, const Sampler *s, const Models *m, RngCall rng, BatchSamples *out) {
  Rt *rt = vm_rt(vm);
  const Batch *b = &m->model;
  *out = (BatchSamples){.problems = b->problems, .n = b->n};
  for (int64_t k = 0; k < b->problems; k++) {
    Ising one;
    Samples rows = {0};
    SampleCall call = {.rng = sampler_stream(rng, "batch", k), .vars = &m->rules.vars};
    if (batch_ising(rt, b, k, &one)) return 1;
    int failed = sampler_run(vm, s, &one, &call, &rows) || samples_sort(rt, &rows);
    ising_free(rt, &one);
    int64_t total = 0, at = 0;
    for (int64_t r = 0; r < rows.rows && !failed; r++) total += rows.count[r];
    if (!failed && k == 0) {
      out->reads = total;
      out->spin = rt_alloc(rt, (size_t)(b->problems * total * b->n) + 1);
      out->energy = rt_alloc(rt, (size_t)(b->problems * total + 1) * sizeof *out->energy);
      failed = !out->spin || !out->energy;
    }
    if (!failed && total < out->reads)
      failed = vm_error(vm, "sample: problem %lld gave %lld rows, the first one %lld",
                        (long long)k, (long long)total, (long long)out->reads);
    for (int64_t r = 0; r < rows.rows && !failed; r++)
      for (int32_t c = 0; c < rows.count[r] && at < out->reads; c++, at++)
        memcpy(out->spin + (k * out->reads + at) * b->n, rows.spin + r * b->n, (size_t)b->n);
    samples_free(rt, &rows);
    if (failed) return 1;
  }
  return 0;
}

static int run_models(Vm *vm, const Sampler *s, const Models *m, RngCall rng, BatchSamples *out) {
  BatchArgs a;
  batch_args_init(&a);
  a.rng = rng;
  a.threads = vm_rt(vm)->threads;
  if (batch_method(vm, s, &m->model, &a))
    return batch_sample(vm_rt(vm), &m->model, &a, out) != RT_OK;
  int failed = run_each(vm, s, m, rng, out);
  if (failed) batch_samples_free(vm_rt(vm), out);
  return failed;
}

/* ---- to values ------------------------------------------------------------ */

static int set_rows(Vm *vm, BatchSet *s, const Models *m, const BatchSamples *rows) {
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
  return st != RT_OK;
}

static int set_info(Vm *vm, BatchSet *s, const Models *m, Value sampler, double seconds) {
  Buf text = {0};
  Record *r = record_new(vm, 5);
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
         record_set(vm, r, "couplings", value_int(m->model.m));
}

/* ---- derivatives ------------------------------------------------------------ */

/* What the backward rule needs: the rows, and how to sample again. */
typedef struct {
  Vm *vm;
  HamBatch *p;
  Value sampler;
  RngCall rng;
  GradKind kind;
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
  Models m;
  BatchSamples rows = {0};
  const Sampler *s;
  Vm *vm = a->vm;
  if (arg_sampler(vm, a->sampler, "sample", &s) || models_make(vm, a->p, g, a->mu, &m)) return 1;
  int failed = run_models(vm, s, &m, a->rng, &rows);
  *out = failed ? NULL : batch_set_new(vm, a->p, rows.reads);
  failed = !*out;
  for (int64_t q = 0; q < a->p->problems * rows.reads && !failed; q++) {
    problem_values(&m.rules, rows.spin + q * rows.n, (*out)->x + q * a->n);
    (*out)->energy[q] = batch_energy(&m.model, q / rows.reads, rows.spin + q * rows.n);
  }
  batch_samples_free(vm_rt(vm), &rows);
  models_free(vm, &m);
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

int ham_batch_sample(Vm *vm, HamBatch *p, Value sampler, Value seed, Value from, Value grad,
                     Value *out) {
  Models m;
  BatchSamples rows = {0};
  const Sampler *s;
  Through how = {.vm = vm, .sampler = sampler};
  const double begin = rt_now();
  if (arg_sampler(vm, sampler, "sample", &s) || arg_grad(vm, grad, &how)) return 1;
  if (from.tag != V_NIL)
    return vm_error(vm, "sample: `from` is for single problems, not for a batch");
  if (models_make(vm, p, NULL, 0, &m)) return 1;
  int failed = arg_stream(vm, seed, &how.rng) || run_models(vm, s, &m, how.rng, &rows);
  BatchSet *set = failed ? NULL : batch_set_new(vm, p, rows.reads);
  failed = !set || set_rows(vm, set, &m, &rows) ||
           set_info(vm, set, &m, sampler, rt_now() - begin);
  if (!failed && how.kind != GRAD_NONE && any_traced(vm, p)) {
    set->best = recorded(vm, set, &how, true);
    set->mean = set->best ? recorded(vm, set, &how, false) : NULL;
    failed = !set->mean;
  }
  batch_samples_free(vm_rt(vm), &rows);
  models_free(vm, &m);
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
