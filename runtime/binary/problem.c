/* problem.c: problems with constraints: making, copying, measuring, explaining. */
#include "runtime/binary/problem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/binary/reduce.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void problem_init(Problem *p) {
  *p = (Problem){0};
  vars_init(&p->vars);
  poly_init(&p->objective);
}

static void constraint_free(Rt *rt, Constraint *c) {
  if (c->name) rt_free(rt, c->name, strlen(c->name) + 1);
  poly_free(rt, &c->left);
}

void problem_free(Rt *rt, Problem *p) {
  for (int64_t i = 0; i < p->n_constraint; i++) constraint_free(rt, &p->constraint[i]);
  rt_free(rt, p->constraint, BYTES(p->cap, p->constraint));
  poly_free(rt, &p->objective);
  vars_free(rt, &p->vars);
  problem_init(p);
}

RtStatus problem_copy(Rt *rt, Problem *out, const Problem *p) {
  problem_init(out);
  RtStatus st = vars_copy(rt, &out->vars, &p->vars);
  if (!st) st = poly_copy(rt, &out->objective, &p->objective);
  out->maximize = p->maximize;
  for (int64_t i = 0; i < p->n_constraint && !st; i++) {
    const Constraint *c = &p->constraint[i];
    Poly left;
    st = poly_copy(rt, &left, &c->left);
    if (!st) st = problem_constrain(rt, out, c->name, &left, c->rel, c->weight);
  }
  if (st) problem_free(rt, out);
  return st;
}

/* Also on failure `left` is ours: the caller never has to free it. */
RtStatus problem_constrain(Rt *rt, Problem *p, const char *name, Poly *left, Relation rel,
                           double weight) {
  Constraint c = {.left = *left, .rel = rel, .weight = weight};
  poly_init(left);
  RtStatus st = poly_merge(rt, &c.left, &p->vars);
  if (!st && !isnan(weight) && !(weight >= 0 && weight < INFINITY))
    st = rt_fail(rt, RT_ERROR, "the penalty of `%s` is %g; expected a positive number", name,
                 weight);
  if (!st && p->n_constraint == p->cap) {
    int64_t cap = p->cap ? 2 * p->cap : 4;
    Constraint *more = rt_realloc(rt, p->constraint, BYTES(p->cap, more), BYTES(cap, more));
    if (more) {
      p->constraint = more;
      p->cap = cap;
    } else st = rt->error.status;
  }
  if (!st) {
    c.name = rt_alloc(rt, strlen(name) + 1);
    if (!c.name) st = rt->error.status;
  }
  if (st) {
    poly_free(rt, &c.left);
    return st;
  }
  memcpy(c.name, name, strlen(name) + 1);
  p->constraint[p->n_constraint++] = c;
  return RT_OK;
}

/* ---- measuring -------------------------------------------------------------------- */

double problem_violation(const Problem *p, int64_t c, const int8_t *x) {
  const Constraint *k = &p->constraint[c];
  double left = poly_value(&k->left, x);
  double v = k->rel == REL_EQ ? fabs(left) : fmax(0, k->rel == REL_LE ? left : -left);
  /* 0.1 + 0.2 - 0.3 is no violation */
  return v > PENALTY_ROUNDING * penalty_scale(&k->left) ? v : 0;
}

bool problem_feasible(const Problem *p, const int8_t *x) {
  for (int64_t c = 0; c < p->n_constraint; c++)
    if (problem_violation(p, c, x) != 0) return false;
  return true;
}

RtStatus problem_energy(Rt *rt, const Problem *p, const Reduced *r, const int8_t *x, double *out) {
  if (r->n_constraint != p->n_constraint)
    return rt_fail(rt, RT_ERROR, "the reduced model has %lld constraints, the problem %lld",
                   (long long)r->n_constraint, (long long)p->n_constraint);
  double e = poly_value(&p->objective, x);
  for (int64_t c = 0; c < p->n_constraint; c++)
    e += r->penalty[c].weight * penalty_value(&r->penalty[c], &p->constraint[c], x);
  *out = e;
  return RT_OK;
}

void problem_values(const Problem *p, const int8_t *spin, int8_t *x) {
  for (int i = 0; i < p->vars.n_array; i++) {
    const VarArray *a = &p->vars.array[i];
    for (int64_t v = a->first; v < a->first + a->count; v++)
      x[v] = a->kind == VAR_BINARY ? spin[v] > 0 : spin[v];
  }
}

void reduced_free(Rt *rt, Reduced *r) {
  rt_free(rt, r->aux, BYTES(r->ising.n - r->n_user, r->aux));
  rt_free(rt, r->penalty, BYTES(r->n_constraint, r->penalty));
  ising_free(rt, &r->ising);
  *r = (Reduced){0};
}

/* ---- explaining ------------------------------------------------------------------- */

static void explain_degrees(const Poly *p, Buf *out) {
  buf_format(out, "terms: %lld linear, %lld quadratic", (long long)p->one.n, (long long)p->two.n);
  int64_t from = 0;
  for (int64_t i = 0; i < p->many.n;) {   /* merged: ascending by degree */
    int64_t degree = p->many.end[i] - from, n = 0;
    for (; i < p->many.n && p->many.end[i] - from == degree; i++, n++) from = p->many.end[i];
    buf_format(out, ", %lld of degree %lld", (long long)n, (long long)degree);
  }
  buf_text(out, "\n");
}

static void explain_constraint(const Problem *p, const Reduced *r, int64_t c, Buf *out) {
  static const char *const rel[] = {"= 0", "<= 0", ">= 0"};
  static const char *const form[] = {"holds always", "square", "table of two variables", "pairs",
                                     "linear"};
  const Penalty *k = &r->penalty[c];
  int64_t slack = 0;
  for (int64_t i = 0; i < r->ising.n - r->n_user; i++)
    slack += r->aux[i].kind == AUX_SLACK && r->aux[i].constraint == c;
  buf_format(out, "%s: ", p->constraint[c].name);
  poly_print(&p->constraint[c].left, &p->vars, 6, out);
  buf_format(out, " %s; %s", rel[p->constraint[c].rel], form[k->form]);
  if (k->form == PENALTY_NONE) {
    buf_text(out, "\n");
    return;
  }
  if (slack) buf_format(out, ", %lld slack bit%s", (long long)slack, slack > 1 ? "s" : "");
  buf_format(out, ", weight %.6g ", k->weight);
  if (isnan(k->bound)) buf_text(out, "(given)\n");
  else buf_format(out, "(%s: %.6g, least penalty %.6g)\n", k->why, k->bound, k->gap);
}

static void explain_auxiliaries(const Reduced *r, Buf *out) {
  static const char *const how[] = {"slack", "rosenberg", "parity", "negative", "ishikawa"};
  static const char *const what[] = {"slack of inequalities", "product of two variables",
                                     "product of two spins", "negative products",
                                     "positive products"};
  for (size_t k = 0; k < sizeof how / sizeof *how; k++) {
    int64_t n = 0;
    double weight = 0;
    for (int64_t i = 0; i < r->ising.n - r->n_user; i++)
      if (!strcmp(r->aux[i].how, how[k])) n++, weight = fmax(weight, r->aux[i].weight);
    if (!n) continue;
    buf_format(out, "auxiliaries: %lld %s (%s)", (long long)n, how[k], what[k]);
    if (weight > 0) buf_format(out, ", tied with up to %.6g", weight);
    buf_text(out, "\n");
  }
}

void problem_explain(const Problem *p, const Reduced *r, Buf *out) {
  buf_format(out, "variables: %lld", (long long)r->n_user);
  for (int i = 0; i < p->vars.n_array; i++) {
    const VarArray *a = &p->vars.array[i];
    buf_format(out, "%s%s %s (%lld)", i ? ", " : ": ",
               a->kind == VAR_BINARY ? "binary" : a->kind == VAR_SPIN ? "spin" : "qubit", a->name,
               (long long)a->count);
  }
  buf_text(out, "\n");
  explain_degrees(&p->objective, out);
  for (int64_t c = 0; c < p->n_constraint; c++) {
    if (c == 20 && p->n_constraint > 24) {
      buf_format(out, "... %lld more constraints\n", (long long)(p->n_constraint - c));
      break;
    }
    explain_constraint(p, r, c, out);
  }
  explain_auxiliaries(r, out);
  buf_format(out, "quadratic model: %lld spins, %lld couplings, coefficients differ by %.4g times"
                  " (%d bits)\n",
             (long long)r->ising.n, (long long)r->ising.m, r->ratio,
             r->ratio > 1 ? (int)ceil(log2(r->ratio)) + 1 : 1);
}
