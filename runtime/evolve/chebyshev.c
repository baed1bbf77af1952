/* chebyshev.c: exponentials of Hermitian operators by Chebyshev polynomials. */
#include "runtime/evolve/evolve.h"
#include "runtime/evolve/vectors.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double PIECE_MAX = 2e4;  /* half range times time of one expansion         */
static const double COOL_MAX = 3;     /* imaginary: time times (<H> - lowest) of one     */

/* ---- coefficients ------------------------------------------------------------------- */

static int64_t top_of(double z) { return (int64_t)(z + 12 * cbrt(z) + 40); }

/* J_0(z) .. J_top(z), or exp(-z) I_k(z): Miller's recurrence, from where they vanish. */
static void bessel(double z, bool imaginary, int64_t top, double *b) {
  double above = 0, here = 1e-290, sum = 0;
  for (int64_t k = top; k >= 0; k--) {
    b[k] = here;
    if (imaginary) sum += k ? 2 * here : here;
    else if (k % 2 == 0) sum += k ? 2 * here : here;
    double below = 2 * (double)k / z * here + (imaginary ? above : -above);
    above = here;
    here = below;
    if (fabs(here) < 1e250) continue;
    for (int64_t i = k; i <= top; i++) b[i] *= 1e-250;
    here *= 1e-250;
    above *= 1e-250;
    sum *= 1e-250;
  }
  for (int64_t k = 0; k <= top; k++) b[k] /= sum;
}

static int64_t terms_of(const double *b, int64_t top, double tol, double *tail) {
  double left = 0;
  int64_t k = top;
  for (; k > 1 && left + 2 * fabs(b[k]) < tol; k--) left += 2 * fabs(b[k]);
  *tail = left;
  return k + 1;
}

/* Goes down the recurrence without keeping it: first for the sum, then for the tail. */
int64_t chebyshev_terms(double z, double tol, bool imaginary) {
  if (z > PIECE_MAX)
    return (int64_t)(z / PIECE_MAX * (double)chebyshev_terms(PIECE_MAX, tol, imaginary));
  double sum = 0, tail = 0;
  int scale = 0, scales = 0; /* of 1e250 */
  for (int pass = 0; pass < 2; pass++) {
    double above = 0, here = 1e-290;
    scale = 0;
    for (int64_t k = top_of(z); k >= 0; k--) {
      if (!pass && (imaginary || k % 2 == 0)) sum += k ? 2 * here : here;
      if (pass && scale == scales && (tail += 2 * fabs(here / sum)) >= tol) return k + 1;
      double below = 2 * (double)k / z * here + (imaginary ? above : -above);
      above = here;
      here = below;
      if (fabs(here) < 1e250) continue;
      scale++;
      here *= 1e-250;
      above *= 1e-250;
      if (!pass) sum *= 1e-250;
    }
    scales = scale;
  }
  return 1;
}

/* ---- the range of H ------------------------------------------------------------------- */

typedef struct {
  Rt *rt;
  const Applied *a;
  int64_t n, products;
  bool imaginary;
  double *v[4];        /* start, T_{k-1}, T_k, H T_k                              */
  double low, high;
} Chebyshev;

static void fixed_vector(int64_t n, double *x) {
  uint64_t s = 0x9e3779b97f4a7c15u;
  for (int64_t i = 0; i < n; i++) {
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    x[i] = (double)(int64_t)s * 0x1p-63;
  }
  vectors()->scale(n, 1 / vec_norm(n, x), x);
}

/* Of the tridiagonal matrix of m steps whose next coupling is `beyond`. */
static RtStatus range_of(Chebyshev *c, int m, double *alpha, double *beta, double beyond) {
  double z[CHEBYSHEV_PROBES * CHEBYSHEV_PROBES];
  RT_TRY(tridiagonal(c->rt, m, alpha, beta, z));
  c->low = INFINITY;
  c->high = -INFINITY;
  for (int i = 0; i < m; i++) {
    double off = fabs(beyond * z[(m - 1) * m + i]);
    c->low = fmin(c->low, alpha[i] - off);
    c->high = fmax(c->high, alpha[i] + off);
  }
  double wider = fmax(0.01 * (c->high - c->low), 1e-3 * fmax(fabs(c->low), fabs(c->high)));
  if (wider == 0) wider = 1e-3;
  c->low -= wider;
  c->high += wider;
  return RT_OK;
}

static RtStatus find_range(Chebyshev *c) {
  double alpha[CHEBYSHEV_PROBES], beta[CHEBYSHEV_PROBES], size = 0;
  double *before = c->v[1], *here = c->v[2], *w = c->v[3];
  int m = 0, most = c->n / 2 < CHEBYSHEV_PROBES ? (int)(c->n / 2) : CHEBYSHEV_PROBES;
  fixed_vector(c->n, here);
  for (;;) {
    RT_TRY(applied_to(c->rt, c->a, here, w));
    c->products++;
    alpha[m] = m ? vectors()->subtract_dot(c->n, beta[m - 1], before, here, w)
                 : vec_dot(c->n, here, w);
    beta[m] = sqrt(vectors()->subtract_norm2(c->n, alpha[m], here, w));
    size = fmax(size, fabs(alpha[m]) + beta[m]);
    m++;
    if (m == most || beta[m - 1] <= 1e-12 * size) break;
    vectors()->scale(c->n, 1 / beta[m - 1], w);
    double *free = before;
    before = here;
    here = w;
    w = free;
  }
  return range_of(c, m, alpha, beta, beta[m - 1]);
}

/* ---- one expansion ---------------------------------------------------------------------- */

/* prev := p y + q cur - prev, the next polynomial; sum += (re + i im) prev. */
static void advance(int64_t n, double p, double q, const double *restrict y,
                    const double *restrict cur, double *restrict prev, double re, double im,
                    double *restrict sum) {
  double minus = -im;
  _Pragma("omp simd") for (int64_t i = 0; i < n; i += 2) {
    double u = p * y[i] + q * cur[i] - prev[i];
    double v = p * y[i + 1] + q * cur[i + 1] - prev[i + 1];
    prev[i] = u;
    prev[i + 1] = v;
    sum[i] = sum[i] + re * u + minus * v;
    sum[i + 1] = sum[i + 1] + re * v + im * u;
  }
}

/* The factor of polynomial k: 2 (-i)^k J_k(z) exp(-i middle t), or 2 (-1)^k exp(-z) I_k(z). */
static c128 factor(const Chebyshev *c, const double *b, int64_t k, double t) {
  double w = k ? 2 * b[k] : b[0];
  if (c->imaginary) return (c128){k % 2 ? -w : w, 0};
  double angle = 0.5 * (c->high + c->low) * t, re = w * cos(angle), im = -w * sin(angle);
  switch (k & 3) {
  case 0: return (c128){re, im};
  case 1: return (c128){im, -re};
  case 2: return (c128){-re, -im};
  default: return (c128){-im, re};
  }
}

/* sum := the exponential of a piece of time t on v[0]; hv: H v[0] is in v[3] already. */
static RtStatus expand(Chebyshev *c, const double *b, int64_t terms, double t, bool hv,
                       double *sum) {
  double middle = 0.5 * (c->high + c->low), half = 0.5 * (c->high - c->low);
  double *prev = c->v[1], *cur = c->v[2];
  memset(sum, 0, (size_t)c->n * sizeof(double));
  memset(cur, 0, (size_t)c->n * sizeof(double));
  memcpy(prev, c->v[0], (size_t)c->n * sizeof(double));
  c128 w = factor(c, b, 0, t);
  vectors()->add_complex(c->n, w.re, w.im, prev, sum);
  for (int64_t k = 1; k < terms; k++) {
    const double *at = k == 1 ? prev : cur;
    if (!hv || k > 1) {
      RT_TRY(applied_to(c->rt, c->a, at, c->v[3]));
      c->products++;
    }
    w = factor(c, b, k, t);
    double p = (k == 1 ? 1 : 2) / half;
    if (k == 1) {
      advance(c->n, p, -p * middle, c->v[3], prev, cur, w.re, w.im, sum);
      continue; /* T_1, in the place of a zero vector */
    }
    advance(c->n, p, -p * middle, c->v[3], cur, prev, w.re, w.im, sum);
    double *next = prev;
    prev = cur;
    cur = next;
  }
  return RT_OK;
}

/* How long a piece may be so that the sum does not cancel: |exp(-t (H - low)) x| is at
 * least exp(-t (<H> - low)) |x|.                                                  */
static RtStatus cooled(Chebyshev *c, double length, double *t) {
  RT_TRY(applied_to(c->rt, c->a, c->v[0], c->v[3]));
  c->products++;
  double above = vec_dot(c->n, c->v[0], c->v[3]) / (length * length) - c->low;
  if (above * *t > COOL_MAX) *t = COOL_MAX / above;
  return RT_OK;
}

/* v[0] (length |x|) goes on by *t or a part of it, into out. */
static RtStatus piece(Chebyshev *c, double length, double tol, double *t, double *out,
                      double *error) {
  for (int tries = 0; tries < 6; tries++) {
    double half = 0.5 * (c->high - c->low), tail;
    if (*t * half > PIECE_MAX) *t = PIECE_MAX / half;
    if (c->imaginary) RT_TRY(cooled(c, length, t));
    double z = *t * half, share = c->imaginary ? exp(-COOL_MAX) : 1;
    int64_t top = top_of(z);
    double *b = rt_alloc(c->rt, (size_t)(top + 1) * sizeof *b);
    if (!b) return c->rt->error.status;
    bessel(z, c->imaginary, top, b);
    int64_t terms = terms_of(b, top, tol * share, &tail);
    RtStatus st = expand(c, b, terms, *t, c->imaginary, out);
    rt_free(c->rt, b, (size_t)(top + 1) * sizeof *b);
    RT_TRY(st);
    double got = vec_norm(c->n, out) / length, rounding = DBL_EPSILON * (double)terms;
    double drift = c->imaginary ? 0 : fabs(got - 1);
    if (isfinite(got) && got < 1 + 1e-9 && drift <= 10 * (tol + rounding)) {
      if (c->imaginary) vectors()->scale(c->n, 1 / got, out);
      *error += fmax(tail + rounding, drift) / (c->imaginary ? got : 1);
      return RT_OK;
    }
    double wider = 0.05 * (c->high - c->low); /* a level lies outside */
    c->low -= wider;
    c->high += wider;
  }
  return rt_fail(c->rt, RT_ERROR, "the Chebyshev expansion found no range of H");
}

static RtStatus run(Chebyshev *c, int64_t n, const double *t, double tol, const double *x,
                    double *const *out, double *error) {
  double done = 0, length = vec_norm(c->n, x), end = n ? t[n - 1] : 0;
  size_t bytes = (size_t)c->n * sizeof(double);
  if (!(length > 0) || !isfinite(length))
    return rt_fail(c->rt, RT_ERROR, "the state has length %g and cannot be evolved", length);
  if (tol < 1e-14) tol = 1e-14;
  if (end > 0) RT_TRY(find_range(c));
  memcpy(c->v[0], x, bytes);
  for (int64_t i = 0; i < n; i++) {
    if (t[i] <= done) memcpy(out[i], c->v[0], bytes);
    while (done < t[i]) {
      double h = t[i] - done, left = h;
      RT_TRY(piece(c, length, tol * h / end, &h, out[i], error));
      done = h == left ? t[i] : done + h;
      memcpy(c->v[0], out[i], bytes);
    }
  }
  return RT_OK;
}

RtStatus chebyshev_times(Rt *rt, const Applied *a, int64_t n, const double *t, double tol,
                         bool imaginary, const double *x, double *const *out, int64_t *products,
                         double *error) {
  Chebyshev c = {.rt = rt, .a = a, .n = applied_size(a), .imaginary = imaginary};
  size_t bytes = (size_t)c.n * sizeof(double);
  RtStatus st = states_fit(rt, "the evolution", c.n / 2, 4, sizeof(c128));
  for (int i = 0; i < 4 && !st; i++)
    if (!(c.v[i] = rt_alloc(rt, bytes))) st = rt->error.status;
  *error = 0;
  if (!st) st = run(&c, n, t, tol, x, out, error);
  *products = c.products;
  for (int i = 0; i < 4; i++)
    if (c.v[i]) rt_free(rt, c.v[i], bytes);
  return st;
}
