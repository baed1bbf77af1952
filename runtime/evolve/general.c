/* general.c: exponentials of linear maps that need not be Hermitian, by Taylor series. */
#include "runtime/evolve/general.h"
#include "runtime/evolve/vectors.h"

#include <math.h>
#include <string.h>

#define REACH 4.0 /* of |h G| in a step: terms grow to 4^4/4! = 11 at most */
enum { TERMS_MAX = 200 };
#define STEPS_MAX 1e10

/* ---- bounds -------------------------------------------------------------------------- */

static double word_bound(const VarTable *t, const OpWord *w) {
  if (w->factor != OP_LOWER && w->factor != OP_RAISE) return 1;
  return sqrt(fmax(vars_of(t, w->v)->cutoff - 1, 0));
}

RtStatus operator_bound(Rt *rt, Operator *a, double *out) {
  RT_TRY(operator_merge(rt, a));
  const Poly *p = &a->diagonal;
  double sum = fabs(p->constant);
  for (int64_t i = 0; i < p->one.n; i++) sum += fabs(p->one.c[i]);
  for (int64_t i = 0; i < p->two.n; i++) sum += fabs(p->two.c[i]);
  for (int64_t i = 0; i < p->many.n; i++) sum += fabs(p->many.c[i]);
  for (int64_t t = 0, k = 0; t < a->product.n; t++) {
    double c = hypot(a->product.c[t].re, a->product.c[t].im);
    for (; k < a->product.end[t]; k++) c *= word_bound(&a->vars, &a->product.word[k]);
    sum += c;
  }
  *out = sum;
  if (isfinite(sum)) return RT_OK;
  return rt_fail(rt, RT_ERROR, "an operator with a coefficient that is not finite");
}

/* ---- steps ----------------------------------------------------------------------------- */

static RtStatus step(Rt *rt, KrylovApply apply, const void *g, double h, double tol, int64_t n,
                     double *const room[2], double *x) {
  double *term = room[0], *next = room[1];
  double allowed = tol * vec_norm(n, x), last = INFINITY;
  memcpy(term, x, (size_t)n * sizeof *x);
  for (int k = 1; k < TERMS_MAX; k++) {
    RT_TRY(apply(rt, g, term, next));
    vectors()->scale(n, h / k, next);
    vectors()->add(n, 1, next, x);
    double size = vec_norm(n, next), *t = term;
    if (size + last <= allowed) return RT_OK;
    last = size;
    term = next;
    next = t;
  }
  return rt_fail(rt, RT_ERROR, "the exponential's series does not converge");
}

RtStatus general_exp(Rt *rt, KrylovApply apply, const void *g, double bound, double t, double tol,
                     int64_t n, double *const room[2], double *x) {
  double steps = ceil(t * bound / REACH);
  if (!(steps > 0)) return RT_OK;
  if (!(steps < STEPS_MAX)) {
    rt_fail(rt, RT_ERROR, "the evolution would take %.3g steps", steps);
    rt_help(rt, "its length is the time, %.3g, times the size of the operator, %.3g", t, bound);
    return RT_ERROR;
  }
  double share = fmax(tol / steps, 1e-17);
  for (int64_t k = 0; k < (int64_t)steps; k++) {
    RT_TRY(step(rt, apply, g, t / steps, share, n, room, x));
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}
