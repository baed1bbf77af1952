/* poly_merge.c: bringing a polynomial to its one form: variables ascending in
 * every term, terms ascending, every product once.                             */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/pairs.h"
#include "runtime/binary/poly.h"

/* Ascending, with b^2 = b and s^2 = 1; the number left.  Terms are short. */
static int canonical(const VarTable *t, int k, int32_t *v) {
  for (int i = 1; i < k; i++) {
    int32_t x = v[i];
    int j = i;
    for (; j > 0 && v[j - 1] > x; j--) v[j] = v[j - 1];
    v[j] = x;
  }
  int out = 0;
  for (int i = 0; i < k;) {
    int j = i + 1;
    while (j < k && v[j] == v[i]) j++;
    const VarKind kind = vars_kind(t, v[i]);
    if (kind == VAR_NUMBER)
      for (int q = i; q < j; q++) v[out++] = v[q];
    else if ((j - i) % 2 == 1 || kind == VAR_BINARY) v[out++] = v[i];
    i = j;
  }
  return out;
}

/* Terms of three and more variables: those that became shorter are appended to
 * the lists they now belong to.                                                */
static RtStatus shorten_many(Rt *rt, Poly *p, const VarTable *t) {
  int64_t from = 0, out = 0, out_var = 0;
  const int64_t n = p->many.n;
  for (int64_t i = 0; i < n; i++) {
    int64_t end = p->many.end[i];
    int32_t *v = p->many.v + from;
    double c = p->many.c[i];
    int k = canonical(t, (int)(end - from), v);
    from = end;
    if (k < 3) {
      RT_TRY(poly_add(rt, p, c, k, v));
      continue;
    }
    memmove(p->many.v + out_var, v, (size_t)k * sizeof *v);
    p->many.end[out] = out_var += k;
    p->many.c[out++] = c;
  }
  p->many.n = out;
  p->many.n_var = out_var;
  return RT_OK;
}

/* u u becomes u or 1. */
static RtStatus shorten_two(Rt *rt, Poly *p, const VarTable *t) {
  int64_t out = 0;
  for (int64_t i = 0; i < p->two.n; i++) {
    int32_t u = p->two.uv[2 * i], v = p->two.uv[2 * i + 1];
    if (u == v && vars_kind(t, u) != VAR_NUMBER) {
      RT_TRY(poly_add(rt, p, p->two.c[i], vars_kind(t, u) == VAR_BINARY ? 1 : 0, &u));
      continue;
    }
    if (out != i) {
      p->two.uv[2 * out] = u;
      p->two.uv[2 * out + 1] = v;
      p->two.c[out] = p->two.c[i];
    }
    out++;
  }
  p->two.n = out;
  return RT_OK;
}

static int compare_terms(const void *a, const void *b, void *user) {
  const Poly *p = user;
  int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
  int64_t fi = i ? p->many.end[i - 1] : 0, fj = j ? p->many.end[j - 1] : 0;
  int64_t ki = p->many.end[i] - fi, kj = p->many.end[j] - fj;
  if (ki != kj) return ki < kj ? -1 : 1;
  for (int64_t k = 0; k < ki; k++) {
    int32_t u = p->many.v[fi + k], w = p->many.v[fj + k];
    if (u != w) return u < w ? -1 : 1;
  }
  return 0;
}

/* Ties by place: the order of additions, and so the bits, must not depend on the
 * sorting algorithm.                                                           */
static int compare_placed(const void *a, const void *b, void *user) {
  int c = compare_terms(a, b, user);
  int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
  return c ? c : i < j ? -1 : i > j;
}

static RtStatus merge_many(Rt *rt, Poly *p) {
  const int64_t n = p->many.n;
  if (!n) return RT_OK;
  const size_t bytes = (size_t)n * sizeof(int64_t);
  int64_t *order = rt_alloc(rt, bytes);
  if (!order) return rt->error.status;
  for (int64_t i = 0; i < n; i++) order[i] = i;
  qsort_r(order, (size_t)n, sizeof *order, compare_placed, p);
  Poly sorted;
  poly_init(&sorted);
  RtStatus st = RT_OK;
  for (int64_t i = 0; i < n && !st;) {
    int64_t a = order[i], from = a ? p->many.end[a - 1] : 0;
    double sum = p->many.c[a];
    for (i++; i < n && compare_terms(&a, &order[i], p) == 0; i++) sum += p->many.c[order[i]];
    if (sum != 0) st = poly_add(rt, &sorted, sum, (int)(p->many.end[a] - from), p->many.v + from);
    if (i % 4096 == 0 && !st) st = rt_poll(rt);
  }
  rt_free(rt, order, bytes);
  if (st) {
    poly_free(rt, &sorted);
    return st;
  }
  rt_free(rt, p->many.end, (size_t)p->many.cap * sizeof *p->many.end);
  rt_free(rt, p->many.c, (size_t)p->many.cap * sizeof *p->many.c);
  rt_free(rt, p->many.v, (size_t)p->many.cap_var * sizeof *p->many.v);
  p->many = sorted.many;
  return RT_OK;
}

static RtStatus check_numbers(Rt *rt, const Poly *p, int64_t n) {
  int64_t bad = INT64_MIN;
  for (int64_t i = 0; i < p->one.n; i++)
    if ((uint32_t)p->one.v[i] >= (uint64_t)n) bad = p->one.v[i];
  for (int64_t i = 0; i < 2 * p->two.n; i++)
    if ((uint32_t)p->two.uv[i] >= (uint64_t)n) bad = p->two.uv[i];
  for (int64_t i = 0; i < p->many.n_var; i++)
    if ((uint32_t)p->many.v[i] >= (uint64_t)n) bad = p->many.v[i];
  if (bad == INT64_MIN) return RT_OK;
  return rt_fail(rt, RT_ERROR, "a term has variable %lld; there are %lld", (long long)bad,
                 (long long)n);
}

/* Sums of finite coefficients can overflow. */
static RtStatus check_sums(Rt *rt, const Poly *p) {
  bool finite = isfinite(p->constant);
  for (int64_t i = 0; i < p->one.n; i++) finite &= isfinite(p->one.c[i]) != 0;
  for (int64_t i = 0; i < p->two.n; i++) finite &= isfinite(p->two.c[i]) != 0;
  for (int64_t i = 0; i < p->many.n; i++) finite &= isfinite(p->many.c[i]) != 0;
  return finite ? RT_OK : rt_fail(rt, RT_ERROR, "coefficients of equal terms add up to infinity");
}

RtStatus poly_merge(Rt *rt, Poly *p, const VarTable *t) {
  if (p->merged) return RT_OK;
  RT_TRY(check_numbers(rt, p, t->n));
  RT_TRY(shorten_many(rt, p, t));
  RT_TRY(merge_many(rt, p));
  RT_TRY(shorten_two(rt, p, t));
  RT_TRY(pairs_merge(rt, t->n, &p->two.n, p->two.uv, p->two.c));
  RT_TRY(ones_merge(rt, t->n, &p->one.n, p->one.v, p->one.c));
  RT_TRY(check_sums(rt, p));
  p->merged = true;
  return RT_OK;
}
