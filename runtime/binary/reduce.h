/* reduce.h: the steps from a problem to a quadratic model (private to
 * runtime/binary): penalties, their weights, degree reduction.                 */
#ifndef QA_BINARY_REDUCE_H
#define QA_BINARY_REDUCE_H
#include "runtime/binary/problem.h"

#define PENALTY_ROUNDING 1e-9   /* relative: below it a difference is rounding    */

/* Sum of the absolute coefficients. */
double penalty_scale(const Poly *p);
/* Largest step of which all values of p are multiples apart; 0: none (p constant
 * or coefficients without common measure, then *measured is false).              */
double poly_grain(const Poly *p, const VarTable *t, bool *measured);

/* Form of constraint c; an error when it can never hold. */
RtStatus penalty_form(Rt *rt, const Problem *p, int64_t c, Penalty *out);
double penalty_value(const Penalty *k, const Constraint *c, const int8_t *x);
/* Weights where they are not given. */
RtStatus penalty_weights(Rt *rt, const Problem *p, Penalty *k);

/* A model while auxiliaries are added: variables of `vars` beyond n_user. */
typedef struct {
  VarTable vars;
  Poly poly;
  int64_t n_user;
  Auxiliary *aux;
  int64_t n_aux, cap;
} Reduction;
RtStatus reduction_aux(Rt *rt, Reduction *r, Auxiliary a, int32_t *v);
/* poly += weight * penalty of constraint c. */
RtStatus penalty_add(Rt *rt, Reduction *r, const Problem *p, int64_t c, const Penalty *k);
/* Brings poly (merged) to degree 2. */
RtStatus reduction_quadratic(Rt *rt, Reduction *r);

/* Term i of p in the order linear, quadratic, others. */
static inline int poly_term(const Poly *p, int64_t i, const int32_t **v, double *c) {
  if (i < p->one.n) return *c = p->one.c[i], *v = p->one.v + i, 1;
  i -= p->one.n;
  if (i < p->two.n) return *c = p->two.c[i], *v = p->two.uv + 2 * i, 2;
  i -= p->two.n;
  int64_t from = i ? p->many.end[i - 1] : 0;
  *c = p->many.c[i];
  *v = p->many.v + from;
  return (int)(p->many.end[i] - from);
}
static inline int64_t poly_terms(const Poly *p) { return p->one.n + p->two.n + p->many.n; }
/* +1 all binary, -1 all spins, 0 mixed. */
static inline int poly_term_kind(const VarTable *t, int k, const int32_t *v) {
  int binary = 0;
  for (int i = 0; i < k; i++) binary += vars_kind(t, v[i]) == VAR_BINARY;
  return binary == k ? 1 : binary ? 0 : -1;
}
#endif
