/* reduce.c: from a problem to an Ising model: penalties are added, degrees
 * lowered, binaries written as spins.                                          */
#include "runtime/binary/reduce.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

/* ---- a model that gets auxiliaries --------------------------------------------- */

static void reduction_close(Rt *rt, Reduction *r) {
  poly_free(rt, &r->poly);
  vars_free(rt, &r->vars);
  rt_free(rt, r->aux, BYTES(r->cap, r->aux));
}

static RtStatus reduction_open(Rt *rt, Reduction *r, const VarTable *vars) {
  int64_t first;
  *r = (Reduction){.n_user = vars->n};
  poly_init(&r->poly);
  RT_TRY(vars_copy(rt, &r->vars, vars));
  /* one array that grows, with a name that no declaration can have */
  RtStatus st = vars_add(rt, &r->vars, "(auxiliary)", VAR_BINARY, 1, (int64_t[]){0}, &first);
  if (st) reduction_close(rt, r);
  return st;
}

RtStatus reduction_aux(Rt *rt, Reduction *r, Auxiliary a, int32_t *v) {
  if (r->vars.n == INT32_MAX) return rt_fail(rt, RT_LIMIT, "more than 2^31 - 1 variables");
  if (r->n_aux == r->cap) {
    int64_t cap = r->cap ? 2 * r->cap : 8;
    Auxiliary *more = rt_realloc(rt, r->aux, BYTES(r->cap, more), BYTES(cap, more));
    if (!more) return rt->error.status;
    r->aux = more;
    r->cap = cap;
  }
  VarArray *array = &r->vars.array[r->vars.n_array - 1];
  array->auxiliary = true;
  array->shape[0] = ++array->count;
  r->aux[r->n_aux++] = a;
  *v = (int32_t)r->vars.n++;
  return RT_OK;
}

/* ---- binaries to spins ------------------------------------------------------------ */

/* The fields of c (o + s x)(o' + s' x') with x = +-1: binaries have o = s = 1/2, spins 0
 * and 1.  size[v]: the absolute values that h[v] is the sum of.                         */
static void fields(const Poly *p, const uint8_t *binary, double *h, double *size, double *J,
                   double *offset) {
  for (int64_t i = 0; i < p->one.n; i++) {
    int32_t v = p->one.v[i];
    if (binary[v]) *offset += p->one.c[i] / 2;
    h[v] += binary[v] ? p->one.c[i] / 2 : p->one.c[i];
    size[v] += fabs(h[v]);
  }
  for (int64_t i = 0; i < p->two.n; i++) {
    int32_t u = p->two.uv[2 * i], v = p->two.uv[2 * i + 1];
    double c = p->two.c[i];
    if (binary[u] && binary[v]) {
      c /= 4;
      *offset += c;
      h[u] += c;
      h[v] += c;
      size[u] += fabs(c);
      size[v] += fabs(c);
    } else if (binary[u] || binary[v]) {
      c /= 2;
      h[binary[u] ? v : u] += c;
      size[binary[u] ? v : u] += fabs(c);
    }
    J[i] = c;
  }
}

static RtStatus to_ising(Rt *rt, const Poly *p, const VarTable *t, Ising *out) {
  const int64_t n = t->n, m = p->two.n;
  uint8_t *binary = rt_alloc0(rt, (size_t)n);
  double *h = rt_alloc0(rt, BYTES(n, h)), *size = rt_alloc0(rt, BYTES(n, size));
  double *J = rt_alloc(rt, BYTES(m, J)), offset = p->constant;
  RtStatus st = binary && h && size && J ? RT_OK : rt->error.status;
  if (!st) {
    for (int i = 0; i < t->n_array; i++)
      if (t->array[i].kind == VAR_BINARY)
        memset(binary + t->array[i].first, 1, (size_t)t->array[i].count);
    fields(p, binary, h, size, J, &offset);
    /* What is left of contributions that cancel is rounding: a field of 1e-17 would hide
     * that there are none, from kernels and from machines that take none.              */
    for (int64_t v = 0; v < n; v++)
      if (fabs(h[v]) <= 4 * DBL_EPSILON * size[v]) h[v] = 0;
    st = ising_make(rt, out, n, h, m, p->two.uv, J, offset);
  }
  rt_free(rt, binary, (size_t)n);
  rt_free(rt, h, BYTES(n, h));
  rt_free(rt, size, BYTES(n, size));
  rt_free(rt, J, BYTES(m, J));
  return st;
}

static double coefficient_ratio(const Ising *p) {
  double low = INFINITY, high = 0;
  for (int64_t i = 0; i < p->n; i++) {
    double h = fabs(p->h[i]);
    if (h > 0) low = fmin(low, h), high = fmax(high, h);
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) {
      double J = fabs(p->J[k]);
      low = fmin(low, J), high = fmax(high, J);
    }
  }
  return high > 0 ? high / low : 1;
}

/* ---- the call ------------------------------------------------------------------------ */

static RtStatus check_kinds(Rt *rt, const Problem *p) {
  for (int i = 0; i < p->vars.n_array; i++)
    if (p->vars.array[i].kind == VAR_MODE) {
      RtStatus st =
          rt_fail(rt, RT_ERROR, "`%s` is a mode; a quadratic model has binaries and spins only",
                  p->vars.array[i].name);
      rt_help(rt, "declare `binary` or `spin` variables, or use ground()");
      return st;
    }
  return RT_OK;
}

static RtStatus penalties(Rt *rt, const Problem *p, Reduced *out) {
  out->penalty = rt_alloc0(rt, BYTES(p->n_constraint, out->penalty));
  if (!out->penalty) return rt->error.status;
  out->n_constraint = p->n_constraint;
  for (int64_t c = 0; c < p->n_constraint; c++) RT_TRY(penalty_form(rt, p, c, &out->penalty[c]));
  return penalty_weights(rt, p, out->penalty);
}

/* All constraints, and degrees above two. */
static RtStatus build(Rt *rt, const Problem *p, Reduced *out) {
  Reduction r;
  RT_TRY(reduction_open(rt, &r, &p->vars));
  RtStatus st = poly_add_scaled(rt, &r.poly, 1, &p->objective);
  for (int64_t c = 0; c < p->n_constraint && !st; c++) {
    st = penalty_add(rt, &r, p, c, &out->penalty[c]);
    if (!st) st = rt_poll(rt);
  }
  if (!st) st = poly_merge(rt, &r.poly, &r.vars);
  if (!st && r.poly.many.n) st = reduction_quadratic(rt, &r);
  if (!st) st = to_ising(rt, &r.poly, &r.vars, &out->ising);
  if (!st && r.n_aux) {
    out->aux = rt_alloc(rt, BYTES(r.n_aux, out->aux));
    if (out->aux) memcpy(out->aux, r.aux, BYTES(r.n_aux, r.aux));
    else st = rt->error.status;
  }
  reduction_close(rt, &r);
  return st;
}

RtStatus problem_reduce(Rt *rt, const Problem *p, Reduced *out) {
  *out = (Reduced){.n_user = p->vars.n};
  out->ising.n = p->vars.n;   /* so that reduced_free sees no auxiliaries */
  RT_TRY(check_kinds(rt, p));
  if (!p->objective.merged) {
    Problem q = *p;
    RT_TRY(poly_copy(rt, &q.objective, &p->objective));
    RtStatus st = poly_merge(rt, &q.objective, &q.vars);
    if (!st) st = problem_reduce(rt, &q, out);
    poly_free(rt, &q.objective);
    return st;
  }
  RtStatus st = penalties(rt, p, out);
  /* a quadratic objective alone is not copied */
  if (!st && !p->n_constraint && !p->objective.many.n)
    st = to_ising(rt, &p->objective, &p->vars, &out->ising);
  else if (!st) st = build(rt, p, out);
  if (st) {
    reduced_free(rt, out);
    return st;
  }
  out->ratio = coefficient_ratio(&out->ising);
  return RT_OK;
}
