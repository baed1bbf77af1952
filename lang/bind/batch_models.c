/* batch_models.c: the problems of a batch as quadratic models of one structure. */
#include "lang/bind/batch_models.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ham_models_free(Vm *vm, HamModels *m) {
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

static int make_rules(Vm *vm, HamModels *m) {
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

static int64_t collect_pairs(HamModels *m, Pair *pair) {
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

static int make_structure(Vm *vm, HamModels *m) {
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
static void spin_form(const HamModels *m, int32_t v, double *a, double *b) {
  const bool binary = m->binary[v];
  *a = binary ? 0.5 : 0;
  *b = binary ? 0.5 : 1;
}

static void add_linear(HamModels *m, int64_t k, int32_t v, double c) {
  double a, b;
  spin_form(m, v, &a, &b);
  m->model.offset[k] += c * a;
  m->model.h[k * m->model.n + v] += c * b;
}

static void fill_problem(HamModels *m, const double *c, int64_t k) {
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

int ham_models_make(Vm *vm, HamBatch *p, const double *along, double mu, HamModels *m) {
  HamNumbers n;
  *m = (HamModels){.p = p};
  problem_init(&m->rules);
  if (make_rules(vm, m) || make_structure(vm, m) || ham_numbers_open(vm, p, &n)) {
    ham_models_free(vm, m);
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
