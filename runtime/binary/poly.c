/* poly.c: appending, merging, multiplying, evaluating and printing polynomials. */
#include "runtime/binary/poly.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/pairs.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void poly_init(Poly *p) { *p = (Poly){.merged = true}; }

void poly_free(Rt *rt, Poly *p) {
  rt_free(rt, p->one.v, BYTES(p->one.cap, p->one.v));
  rt_free(rt, p->one.c, BYTES(p->one.cap, p->one.c));
  rt_free(rt, p->two.uv, BYTES(2 * p->two.cap, p->two.uv));
  rt_free(rt, p->two.c, BYTES(p->two.cap, p->two.c));
  rt_free(rt, p->many.end, BYTES(p->many.cap, p->many.end));
  rt_free(rt, p->many.c, BYTES(p->many.cap, p->many.c));
  rt_free(rt, p->many.v, BYTES(p->many.cap_var, p->many.v));
  poly_init(p);
}

/* ---- room ---------------------------------------------------------------------- */

/* Two arrays that grow together: both or neither. */
static RtStatus grow(Rt *rt, void *pa, size_t a_size, void *pb, size_t b_size, int64_t *cap,
                     int64_t want) {
  void **a = pa, **b = pb;
  int64_t to = *cap ? *cap : 4;
  while (to < want) to *= 2;
  void *na = rt_alloc(rt, (size_t)to * a_size);
  void *nb = na ? rt_alloc(rt, (size_t)to * b_size) : NULL;
  if (!nb) {
    rt_free(rt, na, (size_t)to * a_size);
    return rt->error.status;
  }
  if (*cap) {
    memcpy(na, *a, (size_t)*cap * a_size);
    memcpy(nb, *b, (size_t)*cap * b_size);
    rt_free(rt, *a, (size_t)*cap * a_size);
    rt_free(rt, *b, (size_t)*cap * b_size);
  }
  *a = na;
  *b = nb;
  *cap = to;
  return RT_OK;
}

static RtStatus room_one(Rt *rt, Poly *p, int64_t want) {
  if (want <= p->one.cap) return RT_OK;
  return grow(rt, &p->one.v, sizeof *p->one.v, &p->one.c, sizeof *p->one.c, &p->one.cap, want);
}

static RtStatus room_two(Rt *rt, Poly *p, int64_t want) {
  if (want <= p->two.cap) return RT_OK;
  return grow(rt, &p->two.uv, 2 * sizeof *p->two.uv, &p->two.c, sizeof *p->two.c, &p->two.cap,
              want);
}

static RtStatus room_many(Rt *rt, Poly *p, int64_t terms, int64_t vars) {
  if (terms > p->many.cap)
    RT_TRY(grow(rt, &p->many.end, sizeof *p->many.end, &p->many.c, sizeof *p->many.c, &p->many.cap,
                terms));
  if (vars <= p->many.cap_var) return RT_OK;
  int64_t to = p->many.cap_var ? p->many.cap_var : 8;
  while (to < vars) to *= 2;
  int32_t *v = rt_realloc(rt, p->many.v, BYTES(p->many.cap_var, v), BYTES(to, v));
  if (!v) return rt->error.status;
  p->many.v = v;
  p->many.cap_var = to;
  return RT_OK;
}

RtStatus poly_reserve(Rt *rt, Poly *p, int64_t one, int64_t two) {
  RT_TRY(room_one(rt, p, p->one.n + one));
  return room_two(rt, p, p->two.n + two);
}

/* ---- appending ------------------------------------------------------------------ */

RtStatus poly_add(Rt *rt, Poly *p, double c, int k, const int32_t *v) {
  if (!isfinite(c)) return rt_fail(rt, RT_ERROR, "a coefficient is %g, not a finite number", c);
  if (k == 0) {
    p->constant += c;
    return RT_OK;
  }
  p->merged = false;
  if (k == 1) {
    if (p->one.n == p->one.cap) RT_TRY(room_one(rt, p, p->one.n + 1));
    p->one.v[p->one.n] = v[0];
    p->one.c[p->one.n++] = c;
  } else if (k == 2) {
    if (p->two.n == p->two.cap) RT_TRY(room_two(rt, p, p->two.n + 1));
    p->two.uv[2 * p->two.n] = v[0];
    p->two.uv[2 * p->two.n + 1] = v[1];
    p->two.c[p->two.n++] = c;
  } else {
    RT_TRY(room_many(rt, p, p->many.n + 1, p->many.n_var + k));
    memcpy(p->many.v + p->many.n_var, v, BYTES(k, v));
    p->many.end[p->many.n] = p->many.n_var += k;
    p->many.c[p->many.n++] = c;
  }
  return RT_OK;
}

RtStatus poly_copy(Rt *rt, Poly *out, const Poly *p) {
  poly_init(out);
  RtStatus st = poly_add_scaled(rt, out, 1, p);
  out->merged = p->merged;
  if (st) poly_free(rt, out);
  return st;
}

RtStatus poly_add_scaled(Rt *rt, Poly *p, double c, const Poly *q) {
  const int64_t one = q->one.n, two = q->two.n, many = q->many.n, vars = q->many.n_var;
  if (!isfinite(c)) return rt_fail(rt, RT_ERROR, "a coefficient is %g, not a finite number", c);
  RT_TRY(poly_reserve(rt, p, one, two));
  if (many) RT_TRY(room_many(rt, p, p->many.n + many, p->many.n_var + vars));
  if (one + two + many) p->merged = false;
  p->constant += c * q->constant;
  for (int64_t i = 0; i < one; i++) {
    p->one.v[p->one.n] = q->one.v[i];
    p->one.c[p->one.n++] = c * q->one.c[i];
  }
  if (two) memcpy(p->two.uv + 2 * p->two.n, q->two.uv, BYTES(2 * two, q->two.uv));
  for (int64_t i = 0; i < two; i++) p->two.c[p->two.n + i] = c * q->two.c[i];
  p->two.n += two;
  if (many) memcpy(p->many.v + p->many.n_var, q->many.v, BYTES(vars, q->many.v));
  for (int64_t i = 0; i < many; i++) {
    p->many.end[p->many.n] = p->many.n_var + q->many.end[i];
    p->many.c[p->many.n++] = c * q->many.c[i];
  }
  p->many.n_var += vars;
  return RT_OK;
}

/* ---- products -------------------------------------------------------------------- */

static int64_t n_terms(const Poly *p) { return 1 + p->one.n + p->two.n + p->many.n; }

/* Term i in the order constant, linear, quadratic, others. */
static int term(const Poly *p, int64_t i, const int32_t **v, double *c) {
  *v = NULL;
  if (i == 0) return *c = p->constant, 0;
  if (--i < p->one.n) return *c = p->one.c[i], *v = p->one.v + i, 1;
  i -= p->one.n;
  if (i < p->two.n) return *c = p->two.c[i], *v = p->two.uv + 2 * i, 2;
  i -= p->two.n;
  int64_t from = i ? p->many.end[i - 1] : 0;
  *c = p->many.c[i];
  *v = p->many.v + from;
  return (int)(p->many.end[i] - from);
}

static int longest(const Poly *p) {
  int64_t k = p->two.n ? 2 : p->one.n ? 1 : 0, from = 0;
  for (int64_t i = 0; i < p->many.n; from = p->many.end[i++])
    if (p->many.end[i] - from > k) k = p->many.end[i] - from;
  return (int)k;
}

/* A square has each mixed product once, doubled: half the work, and the same
 * rounding as (a + b)^2 written out.                                           */
static RtStatus multiply(Rt *rt, Poly *out, const Poly *a, const Poly *b, int32_t *v) {
  const bool square = a == b;
  for (int64_t i = 0; i < n_terms(a); i++) {
    const int32_t *u, *w;
    double c, d;
    int k = term(a, i, &u, &c);
    if (c == 0) continue;
    if (k) memcpy(v, u, BYTES(k, v));
    RT_TRY(rt_poll(rt));
    for (int64_t j = square ? i : 0; j < n_terms(b); j++) {
      int l = term(b, j, &w, &d);
      if (d == 0) continue;
      if (l) memcpy(v + k, w, BYTES(l, v));
      RT_TRY(poly_add(rt, out, square && j > i ? 2 * c * d : c * d, k + l, v));
    }
  }
  return RT_OK;
}

RtStatus poly_multiply(Rt *rt, Poly *out, const Poly *a, const Poly *b, const VarTable *t) {
  poly_init(out);
  size_t bytes = (size_t)(longest(a) + longest(b) + 1) * sizeof(int32_t);
  int32_t *v = rt_alloc(rt, bytes);
  if (!v) return rt->error.status;
  RtStatus st = multiply(rt, out, a, b, v);
  rt_free(rt, v, bytes);
  if (!st) st = poly_merge(rt, out, t);
  if (st) poly_free(rt, out);
  return st;
}

/* ---- values ------------------------------------------------------------------------ */

int poly_degree(const Poly *p) { return longest(p); }

double poly_value(const Poly *p, const int8_t *x) {
  double e = p->constant;
  for (int64_t i = 0; i < p->one.n; i++) e += p->one.c[i] * x[p->one.v[i]];
  for (int64_t i = 0; i < p->two.n; i++)
    e += p->two.c[i] * (x[p->two.uv[2 * i]] * x[p->two.uv[2 * i + 1]]);
  int64_t k = 0;
  for (int64_t i = 0; i < p->many.n; i++) {
    int product = 1;
    for (; k < p->many.end[i]; k++) product *= x[p->many.v[k]];
    e += p->many.c[i] * product;
  }
  return e;
}

/* A product of binaries is 0 or 1, one with a spin -1 .. 1. */
void poly_bounds(const Poly *p, const VarTable *t, double *lo, double *hi) {
  *lo = *hi = p->constant;
  for (int64_t i = 1; i < n_terms(p); i++) {
    const int32_t *v;
    double c;
    int k = term(p, i, &v, &c);
    bool spin = false;
    for (int j = 0; j < k && !spin; j++) spin = vars_kind(t, v[j]) != VAR_BINARY;
    *lo += spin ? -fabs(c) : fmin(c, 0);
    *hi += spin ? fabs(c) : fmax(c, 0);
  }
}

/* ---- text --------------------------------------------------------------------------- */

static void print_number(double x, Buf *out) {
  if (x == floor(x) && fabs(x) < 1e15) buf_format(out, "%.0f", x);
  else buf_double(out, x);
}

void poly_print(const Poly *p, const VarTable *t, int64_t terms, Buf *out) {
  const int64_t n = n_terms(p);
  int64_t shown = 0;
  for (int64_t i = 1; i <= n; i++) {   /* the constant comes last */
    const int32_t *v;
    double c;
    int k = term(p, i < n ? i : 0, &v, &c);
    if (k == 0 && c == 0 && n > 1) break;
    if (shown == terms) {
      buf_format(out, "%s... (%lld more)", shown ? " + " : "",
                 (long long)(n - i + (p->constant != 0)));
      return;
    }
    bool minus = signbit(c) && c != 0;
    buf_text(out, shown ? (minus ? " - " : " + ") : minus ? "-" : "");
    shown++;
    if (k == 0 || fabs(c) != 1) {
      print_number(fabs(c), out);
      if (k) buf_text(out, "*");
    }
    for (int j = 0; j < k; j++) {
      if (j) buf_text(out, "*");
      vars_name(t, v[j], out);
    }
  }
}
