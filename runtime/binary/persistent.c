/* persistent.c: fixing variables: roof duality (Hammer, Hansen and Simeone 1984;
 * Boros, Hammer and Tavares 2006) and taking fixed variables out of a model.
 *
 * Every spin has two literals, up (node 2 + 2i) and down (3 + 2i).  A coupling J < 0
 * joins up with up and down with down, J > 0 crosses; a field leads from the source
 * to the literal it favours and from the other one to the sink; capacities are |J|
 * and |h|.  offset - sum|h| - sum|J| + maximum flow is a lower bound of the energy,
 * and literals reached from the source in the residual network are true in every
 * minimum.  Components of the symmetric residual network give literals that are true
 * in some minimum.
 */
#include <math.h>
#include <string.h>

#include "runtime/binary/flow.h"
#include "runtime/binary/problem.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

/* ---- taking fixed variables out ----------------------------------------------------- */

static RtStatus fix_into(Rt *rt, const Ising *p, const int8_t *fixed, const int32_t *number,
                         int64_t n, Ising *out) {
  double *h = rt_alloc(rt, BYTES(n, h)), *J = rt_alloc(rt, BYTES(p->m, J)), offset = p->offset;
  int32_t *uv = rt_alloc(rt, BYTES(2 * p->m, uv));
  RtStatus st = h && J && uv ? RT_OK : rt->error.status;
  int64_t m = 0;
  for (int64_t i = 0; i < p->n && !st; i++) {
    double f = p->h[i], own = p->h[i];
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) {
      int32_t j = p->other[k];
      if (fixed[j]) {
        f += p->J[k] * fixed[j];
        if (j < i) own += p->J[k] * fixed[j];
      } else if (!fixed[i] && j > i) {
        uv[2 * m] = number[i];
        uv[2 * m + 1] = number[j];
        J[m++] = p->J[k];
      }
    }
    if (fixed[i]) offset += own * fixed[i];
    else h[number[i]] = f;
  }
  if (!st) st = ising_make(rt, out, n, h, m, uv, J, offset);
  rt_free(rt, h, BYTES(n, h));
  rt_free(rt, J, BYTES(p->m, J));
  rt_free(rt, uv, BYTES(2 * p->m, uv));
  return st;
}

RtStatus ising_fix(Rt *rt, const Ising *p, const int8_t *fixed, Ising *out, int32_t **keep) {
  int32_t *number = rt_alloc(rt, BYTES(p->n, number));
  *keep = rt_alloc(rt, BYTES(p->n, *keep));
  RtStatus st = number && *keep ? RT_OK : rt->error.status;
  *out = (Ising){0};
  int64_t n = 0;
  for (int64_t i = 0; i < p->n && !st; i++) {
    number[i] = fixed[i] ? -1 : (int32_t)n;
    if (!fixed[i]) (*keep)[n++] = (int32_t)i;
  }
  if (!st) st = fix_into(rt, p, fixed, number, n, out);
  rt_free(rt, number, BYTES(p->n, number));
  if (st) {
    rt_free(rt, *keep, BYTES(p->n, *keep));
    *keep = NULL;
  }
  return st;
}

/* ---- roof duality ------------------------------------------------------------------------ */

static void add_edge(Flow *f, int64_t *e, int32_t u, int32_t v, int64_t forth, int64_t back) {
  f->end[2 * *e] = u;
  f->end[2 * *e + 1] = v;
  f->room[2 * *e] = forth;
  f->room[2 * (*e)++ + 1] = back;
}

/* Edges come in twins, 2k and 2k + 1: each other's mirror image. */
static void fill(Flow *f, const Ising *p, double unit) {
  int64_t e = 0;
  for (int64_t i = 0; i < p->n; i++) {
    const int32_t up = (int32_t)(2 + 2 * i), down = up + 1;
    const int64_t c = llround(fabs(p->h[i]) * unit);
    if (p->h[i] != 0) {
      add_edge(f, &e, 0, p->h[i] < 0 ? up : down, c, 0);
      add_edge(f, &e, p->h[i] < 0 ? down : up, 1, c, 0);
    }
    for (int64_t k = p->start[i]; k < p->start[i + 1] && p->other[k] < i; k++) {
      const int32_t j = (int32_t)(2 + 2 * (int64_t)p->other[k]), cross = p->J[k] > 0;
      const int64_t b = llround(fabs(p->J[k]) * unit);
      add_edge(f, &e, up, j + cross, b, b);
      add_edge(f, &e, j + !cross, down, b, b);
    }
  }
}

/* The mean of a flow and its mirror image is a maximum flow too; sums of rooms, so
 * that halves need no rounding.                                                 */
static void symmetrise(Flow *f) {
  for (int64_t e = 0; e + 1 < f->m; e += 2)
    for (int side = 0; side < 2; side++) {
      int64_t sum = f->room[2 * e + side] + f->room[2 * e + 2 + side];
      f->room[2 * e + side] = f->room[2 * e + 2 + side] = sum;
    }
}

/* Capacities as integers: exact for dyadic coefficients; others are rounded to about
 * 2^-50 of the sum of all, for which the bound makes allowance.                 */
static double capacity_unit(const Ising *p, double total, double *slack) {
  IsingScale scale;
  ising_scale(p, &scale);
  *slack = 0;
  if (scale.integer && total * scale.scale < 0x1p60) return scale.scale;
  double unit = exp2(floor(50 - log2(total)));
  *slack = (double)(p->n + p->m) / unit;
  return unit;
}

static RtStatus read_labels(Rt *rt, Flow *f, const Ising *p, bool strong, int8_t *fixed) {
  uint8_t *mark = rt_alloc(rt, (size_t)f->n);
  int32_t *component = rt_alloc(rt, BYTES(f->n, component));
  RtStatus st = mark && component ? flow_reach(rt, f, mark) : rt->error.status;
  if (!st && !strong) {
    symmetrise(f);
    st = flow_components(rt, f, component);
  }
  for (int64_t i = 0; i < p->n && !st; i++) {
    const int64_t up = 2 + 2 * i;
    fixed[i] = (int8_t)(mark[up] - mark[up + 1]);
    /* arcs mean "implies": of two literals the one implied is true */
    if (!fixed[i] && !strong && component[up] != component[up + 1])
      fixed[i] = component[up] < component[up + 1] ? 1 : -1;
  }
  rt_free(rt, mark, (size_t)f->n);
  rt_free(rt, component, BYTES(f->n, component));
  return st;
}

static RtStatus roof(Rt *rt, const Ising *p, bool strong, int8_t *fixed, double *bound) {
  double total = 0, slack;
  int64_t fields = 0, value;
  Flow f;
  for (int64_t i = 0; i < p->n; i++) {
    fields += p->h[i] != 0;
    total += fabs(p->h[i]);
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) total += fabs(p->J[k]) / 2;
  }
  *bound = p->offset - total;
  for (int64_t i = 0; i < p->n; i++) fixed[i] = 0;
  if (total == 0) return RT_OK;
  if (p->n > INT32_MAX / 2 - 1) return rt_fail(rt, RT_LIMIT, "more than 2^30 variables");
  const double unit = capacity_unit(p, total, &slack);
  RT_TRY(flow_make(rt, &f, 2 + 2 * p->n, 2 * (fields + p->m)));
  fill(&f, p, unit);
  RtStatus st = flow_run(rt, &f, &value);
  if (!st) *bound += (double)value / unit - slack;
  if (!st) st = read_labels(rt, &f, p, strong, fixed);
  flow_free(rt, &f);
  return st;
}

/* Free spins, and one of each part without fields, can take either value. */
static RtStatus fix_symmetric(Rt *rt, const Ising *p, int8_t *fixed) {
  int32_t *stack = rt_alloc(rt, BYTES(p->n, stack));
  uint8_t *seen = rt_alloc0(rt, (size_t)p->n);
  RtStatus st = stack && seen ? RT_OK : rt->error.status;
  for (int32_t i = 0; i < p->n && !st; i++) {
    if (seen[i]) continue;
    int64_t n = 0;
    bool fields = false, any = false;
    stack[n++] = i;
    seen[i] = 1;
    while (n) {
      int32_t v = stack[--n];
      fields |= p->h[v] != 0;
      any |= fixed[v] != 0;
      for (int64_t k = p->start[v]; k < p->start[v + 1]; k++)
        if (!seen[p->other[k]]) seen[p->other[k]] = 1, stack[n++] = p->other[k];
    }
    if (!fields && !any) fixed[i] = 1;
  }
  rt_free(rt, stack, BYTES(p->n, stack));
  rt_free(rt, seen, (size_t)p->n);
  return st;
}

static RtStatus one_round(Rt *rt, const Ising *p, bool strong, int8_t *fixed, double *bound) {
  RT_TRY(roof(rt, p, strong, fixed, bound));
  return strong ? RT_OK : fix_symmetric(rt, p, fixed);
}

/* What is fixed is taken out, and the rest looked at again, until nothing is new. */
RtStatus ising_persistent(Rt *rt, const Ising *p, bool strong, int8_t *fixed, double *bound) {
  RT_TRY(one_round(rt, p, strong, fixed, bound));
  for (bool more = true; more;) {
    more = false;
    Ising q;
    int32_t *keep;
    double better;
    RT_TRY(ising_fix(rt, p, fixed, &q, &keep));
    int8_t *again = rt_alloc(rt, (size_t)q.n);
    RtStatus st = again ? one_round(rt, &q, strong, again, &better) : rt->error.status;
    for (int64_t i = 0; i < q.n && !st; i++)
      if (again[i]) fixed[keep[i]] = again[i], more = true;
    if (!st && better > *bound) *bound = better;
    rt_free(rt, again, (size_t)q.n);
    rt_free(rt, keep, BYTES(p->n, keep));
    ising_free(rt, &q);
    RT_TRY(st);
  }
  return RT_OK;
}
