/* ising.c: building, converting and evaluating Ising models. */
#include "runtime/binary/ising.h"

#include <math.h>
#include <string.h>

#include "runtime/binary/pairs.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void ising_free(Rt *rt, Ising *p) {
  rt_free(rt, p->h, BYTES(p->n, p->h));
  rt_free(rt, p->start, BYTES(p->n + 1, p->start));
  rt_free(rt, p->other, BYTES(2 * p->m, p->other));
  rt_free(rt, p->J, BYTES(2 * p->m, p->J));
  *p = (Ising){0};
}

static RtStatus reserve(Rt *rt, Ising *out, int64_t n, int64_t m) {
  *out = (Ising){.n = n, .m = m};
  out->h = rt_alloc0(rt, BYTES(n, out->h));
  out->start = rt_alloc0(rt, BYTES(n + 1, out->start));
  out->other = rt_alloc(rt, BYTES(2 * m, out->other));
  out->J = rt_alloc(rt, BYTES(2 * m, out->J));
  if (out->h && out->start && out->other && out->J) return RT_OK;
  ising_free(rt, out);
  return rt->error.status;
}

static RtStatus check(Rt *rt, int64_t n, const double *h, int64_t m, const int32_t *uv,
                      const double *c, double offset) {
  if (n < 0 || n > INT32_MAX || m < 0)
    return rt_fail(rt, RT_ERROR, "a model of %lld variables and %lld couplings is not possible",
                   (long long)n, (long long)m);
  if (!isfinite(offset))
    return rt_fail(rt, RT_ERROR, "the constant is %g, not a finite number", offset);
  for (int64_t i = 0; h && i < n; i++)
    if (!isfinite(h[i]))
      return rt_fail(rt, RT_ERROR, "the coefficient of variable %lld is %g, not a finite number",
                     (long long)i, h[i]);
  for (int64_t k = 0; k < m; k++) {
    int32_t u = uv[2 * k], v = uv[2 * k + 1];
    if (u < 0 || v < 0 || u >= n || v >= n)
      return rt_fail(rt, RT_ERROR, "coupling %lld joins variables %d and %d; there are %lld",
                     (long long)k, u, v, (long long)n);
    if (u == v)
      return rt_fail(rt, RT_ERROR, "coupling %lld joins variable %d with itself", (long long)k, u);
    if (!isfinite(c[k]))
      return rt_fail(rt, RT_ERROR, "the coupling of variables %d and %d is %g, not a finite number",
                     u, v, c[k]);
  }
  return RT_OK;
}

/* Ascending pairs, each once, no zero: nothing has to be sorted or copied. */
static bool is_merged(int64_t m, const int32_t *uv, const double *c) {
  for (int64_t k = 0; k < m; k++) {
    if (uv[2 * k] >= uv[2 * k + 1] || c[k] == 0) return false;
    if (k && (uv[2 * k] < uv[2 * k - 2] ||
              (uv[2 * k] == uv[2 * k - 2] && uv[2 * k + 1] <= uv[2 * k - 1])))
      return false;
  }
  return true;
}

/* From merged pairs: going through them in order fills every row ascending, as
 * all (u, w) with u < w come before the first (w, v).                         */
static RtStatus from_merged(Rt *rt, Ising *out, int64_t n, const double *h, int64_t m,
                            const int32_t *uv, const double *c, double offset) {
  RT_TRY(reserve(rt, out, n, m));
  out->offset = offset;
  if (h && n) memcpy(out->h, h, BYTES(n, h));
  int64_t *start = out->start;
  for (int64_t k = 0; k < 2 * m; k++) start[uv[k] + 1]++;
  for (int64_t i = 0; i < n; i++) start[i + 1] += start[i];
  int64_t *at = rt_alloc(rt, BYTES(n, at));
  if (!at) {
    ising_free(rt, out);
    return rt->error.status;
  }
  if (n) memcpy(at, start, BYTES(n, at));
  for (int64_t k = 0; k < m; k++) {
    int32_t u = uv[2 * k], v = uv[2 * k + 1];
    int64_t a = at[u]++, b = at[v]++;
    out->other[a] = v;
    out->J[a] = c[k];
    out->other[b] = u;
    out->J[b] = c[k];
  }
  rt_free(rt, at, BYTES(n, at));
  return RT_OK;
}

RtStatus ising_make(Rt *rt, Ising *out, int64_t n, const double *h, int64_t m,
                    const int32_t *uv, const double *c, double offset) {
  *out = (Ising){0};
  RT_TRY(check(rt, n, h, m, uv, c, offset));
  if (is_merged(m, uv, c)) return from_merged(rt, out, n, h, m, uv, c, offset);
  int32_t *pair = rt_alloc(rt, BYTES(2 * m, pair));
  double *sum = rt_alloc(rt, BYTES(m, sum));
  RtStatus st = pair && sum ? RT_OK : rt->error.status;
  int64_t left = m;
  if (!st) {
    memcpy(pair, uv, BYTES(2 * m, pair));
    memcpy(sum, c, BYTES(m, sum));
    st = pairs_merge(rt, n, &left, pair, sum);
  }
  if (!st) st = from_merged(rt, out, n, h, left, pair, sum, offset);
  rt_free(rt, pair, BYTES(2 * m, pair));
  rt_free(rt, sum, BYTES(m, sum));
  return st;
}

/* x = (1 + s)/2: b x y = b/4 (1 + s + t + s t), a x = a/2 (1 + s). */
RtStatus ising_from_qubo(Rt *rt, Ising *out, int64_t n, const double *a, int64_t m,
                         const int32_t *uv, const double *b, double offset) {
  RT_TRY(ising_make(rt, out, n, a, m, uv, b, offset));
  double constant = 0;
  for (int64_t i = 0; i < n; i++) {
    double row = 0;
    for (int64_t k = out->start[i]; k < out->start[i + 1]; k++) row += out->J[k];
    constant += out->h[i] / 2 + row / 8;
    out->h[i] = out->h[i] / 2 + row / 4;
  }
  for (int64_t k = 0; k < 2 * out->m; k++) out->J[k] /= 4;
  out->offset += constant;
  return RT_OK;
}

/* s = 2x - 1: J s t = J (4 x y - 2 x - 2 y + 1), h s = h (2 x - 1). */
RtStatus ising_to_qubo(Rt *rt, const Ising *p, double **a, double **b, double *offset) {
  *a = rt_alloc(rt, BYTES(p->n, *a));
  *b = rt_alloc(rt, BYTES(2 * p->m, *b));
  if (!*a || !*b) {
    rt_free(rt, *a, BYTES(p->n, *a));
    rt_free(rt, *b, BYTES(2 * p->m, *b));
    *a = *b = NULL;
    return rt->error.status;
  }
  double constant = p->offset;
  for (int64_t i = 0; i < p->n; i++) {
    double row = 0;
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) row += p->J[k];
    (*a)[i] = 2 * p->h[i] - 2 * row;
    constant += row / 2 - p->h[i];
  }
  for (int64_t k = 0; k < 2 * p->m; k++) (*b)[k] = 4 * p->J[k];
  *offset = constant;
  return RT_OK;
}

RtStatus ising_copy(Rt *rt, Ising *out, const Ising *p) {
  RT_TRY(reserve(rt, out, p->n, p->m));
  out->offset = p->offset;
  if (p->n) memcpy(out->h, p->h, BYTES(p->n, p->h));
  memcpy(out->start, p->start, BYTES(p->n + 1, p->start));
  if (p->m) memcpy(out->other, p->other, BYTES(2 * p->m, p->other));
  if (p->m) memcpy(out->J, p->J, BYTES(2 * p->m, p->J));
  return RT_OK;
}

double ising_energy(const Ising *p, const int8_t *s) {
  double e = 0;     /* the offset last: integer couplings then add up without error */
  for (int64_t i = 0; i < p->n; i++) {
    double f = 0;   /* each coupling from its larger end */
    for (int64_t k = p->start[i]; k < p->start[i + 1] && p->other[k] < i; k++)
      f += p->J[k] * s[p->other[k]];
    e += (f + p->h[i]) * s[i];
  }
  return p->offset + e;
}

void ising_fields(const Ising *p, const int8_t *s, double *f) {
  for (int64_t i = 0; i < p->n; i++) {
    double sum = p->h[i];
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) sum += p->J[k] * s[p->other[k]];
    f[i] = sum;
  }
}

/* ---- scale ------------------------------------------------------------------- */

#define SCALE_BITS 20

/* Binary places that x needs behind the point; -1: more than SCALE_BITS, or x is
 * too large for all its bits to be kept.                                       */
static int places(double x) {
  double y = fabs(x) * (double)(1 << SCALE_BITS);
  if (y >= 0x1p53 || y != floor(y)) return -1;
  if (y == 0) return 0;
  int zeros = __builtin_ctzll((uint64_t)y);
  return zeros >= SCALE_BITS ? 0 : SCALE_BITS - zeros;
}

void ising_scale(const Ising *p, IsingScale *out) {
  *out = (IsingScale){.min_J = p->m ? INFINITY : 0, .integer = true};
  double sum_h = 0, sum_J = 0;
  int need = 0;
  for (int64_t i = 0; i < p->n; i++) {
    double h = fabs(p->h[i]), field = h;
    int b = places(h);
    out->integer &= b >= 0;
    if (b > need) need = b;
    sum_h += h * h;
    if (h > out->max_h) out->max_h = h;
    int64_t degree = p->start[i + 1] - p->start[i];
    if (degree > out->max_degree) out->max_degree = degree;
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) {
      double J = fabs(p->J[k]);
      field += J;
      if (p->other[k] < i) continue;
      b = places(J);
      out->integer &= b >= 0;
      if (b > need) need = b;
      sum_J += J * J;
      if (J > out->max_J) out->max_J = J;
      if (J < out->min_J) out->min_J = J;
    }
    if (field > out->max_field) out->max_field = field;
  }
  out->has_fields = out->max_h > 0;
  out->rms_h = p->n ? sqrt(sum_h / (double)p->n) : 0;
  out->rms_J = p->m ? sqrt(sum_J / (double)p->m) : 0;
  out->mean_degree = p->n ? 2 * (double)p->m / (double)p->n : 0;
  out->scale = out->integer ? (double)(1 << need) : 1;
}
