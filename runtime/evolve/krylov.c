/* krylov.c: exp(-i H t) and exp(-H t) on a state, by Krylov spaces.  Vectors are doubles or
 * floats; their inner products, and all that is done with the small matrix, are doubles. */
#include "runtime/evolve/evolve.h"
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/kernels.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { DIM = 32 };

struct Krylov {
  Rt *rt;
  KrylovApply apply;
  const void *h;
  int64_t n;
  bool imaginary, single;
  int m, most;
  int64_t products;             /* of the last evolution                          */
  double error;                 /* its estimate, relative                         */
  void *v[DIM + 1];
  double alpha[DIM], beta[DIM], value[DIM], z[DIM * DIM];
};

/* ---- vectors in either precision ----------------------------------------------------- */

static size_t bytes_of(const Krylov *k) {
  return (size_t)k->n * (k->single ? sizeof(float) : sizeof(double));
}

/* w = h v */
static RtStatus product(const Krylov *k, const void *v, void *w) {
  return k->single ? applied_to32(k->rt, k->h, v, w) : k->apply(k->rt, k->h, v, w);
}

static double dot(const Krylov *k, const void *x, const void *y) {
  return k->single ? kernels()->dot_f32(k->n, x, y) : vec_dot(k->n, x, y);
}

static double norm_of(const Krylov *k, const void *x) {
  return k->single ? sqrt(kernels()->sumsq_f32(k->n, x)) : vec_norm(k->n, x);
}

static void scale(const Krylov *k, double c, void *x) {
  if (k->single) vectors32()->scale(k->n, c, x);
  else vectors()->scale(k->n, c, x);
}

/* w -= c p; returns w.q, or |w| */
static double subtract_dot(const Krylov *k, double c, const void *p, const void *q, void *w) {
  return k->single ? vectors32()->subtract_dot(k->n, c, p, q, w)
                   : vectors()->subtract_dot(k->n, c, p, q, w);
}
static double subtract_norm(const Krylov *k, double c, const void *p, void *w) {
  return sqrt(k->single ? vectors32()->subtract_norm2(k->n, c, p, w)
                        : vectors()->subtract_norm2(k->n, c, p, w));
}

static void add(const Krylov *k, double complex c, const void *x, void *y) {
  if (k->single) vectors32()->add_complex(k->n, creal(c), cimag(c), x, y);
  else vectors()->add_complex(k->n, creal(c), cimag(c), x, y);
}

/* ---- the small matrix ------------------------------------------------------------------ */

/* f(T) e1 by eigenvectors; phi: (e^x - 1) / x in the place of e^x, last entry only. */
static double complex entry(const Krylov *k, int row, double h, bool phi) {
  double complex s = 0;
  for (int i = 0; i < k->m; i++) {
    double lambda = k->imaginary ? k->value[i] - k->value[0] : k->value[i];
    double complex x = k->imaginary ? -h * lambda : -I * h * lambda;
    double complex f = cabs(x) < 1e-4 ? 1 + x / 2 + x * x / 6 : (cexp(x) - 1) / x;
    s += k->z[i] * k->z[row * k->m + i] * (phi ? f : cexp(x));
  }
  return s;
}

/* The estimated error of a step of length h, relative to the length of its result. */
static double error_of(const Krylov *k, double h) {
  double length = 0;
  if (k->beta[k->m - 1] == 0) return 0;
  for (int i = 0; i < k->m; i++) {
    double x = k->z[i] * (k->imaginary ? exp(h * (k->value[0] - k->value[i])) : 1);
    length += x * x;
  }
  return h * k->beta[k->m - 1] * cabs(entry(k, k->m - 1, h, true)) / sqrt(length);
}

static RtStatus decompose(Krylov *k) {
  double e[DIM];
  memcpy(k->value, k->alpha, (size_t)k->m * sizeof(double));
  memcpy(e, k->beta, (size_t)k->m * sizeof(double));
  RT_TRY(tridiagonal(k->rt, k->m, k->value, e, k->z));
  int low = 0;
  for (int i = 1; i < k->m; i++)
    if (k->value[i] < k->value[low]) low = i;
  for (int r = 0; r < k->m && low; r++) {
    double t = k->z[r * k->m];
    k->z[r * k->m] = k->z[r * k->m + low];
    k->z[r * k->m + low] = t;
  }
  double t = k->value[0];
  k->value[0] = k->value[low];
  k->value[low] = t;
  return RT_OK;
}

/* v[0] is the unit start; stops early when a step of length t is good already. */
static RtStatus build(Krylov *k, double t, double tol) {
  double size = 0, least = 8 * (k->single ? (double)FLT_EPSILON : DBL_EPSILON);
  for (int j = 0; j < k->most; j++) {
    void *w = k->v[j + 1];
    RT_TRY(product(k, k->v[j], w));
    k->products++;
    k->alpha[j] = j ? subtract_dot(k, k->beta[j - 1], k->v[j - 1], k->v[j], w)
                    : dot(k, k->v[j], w);
    k->beta[j] = subtract_norm(k, k->alpha[j], k->v[j], w);
    k->m = j + 1;
    size = fmax(size, fabs(k->alpha[j]) + k->beta[j]);
    bool closed = k->beta[j] <= least * size;
    if (closed) k->beta[j] = 0; /* the space contains its images */
    if (closed || j == k->most - 1 || j % 4 == 3) {
      RT_TRY(decompose(k));
      if (closed || error_of(k, t) <= tol) return RT_OK;
    }
    scale(k, 1 / k->beta[j], w);
  }
  return RT_OK;
}

/* The longest step up to t whose error is its share of tol. */
static double choose(const Krylov *k, double t, double per_time) {
  double h = t;
  for (int i = 0; i < 60 && error_of(k, h) > per_time * h; i++) h *= 0.8;
  return h;
}

static void combine(const Krylov *k, double h, double norm, void *x) {
  memset(x, 0, bytes_of(k));
  for (int j = 0; j < k->m; j++) add(k, norm * entry(k, j, h, false), k->v[j], x);
}

/* The vectors of the times that the step from `from` to `to` passes; *next: the first of them. */
static void give_times(const Krylov *k, double from, double to, double norm, int64_t n,
                       const double *t, void *const *out, int64_t *next) {
  for (; *next < n && t[*next] <= to; ++*next) {
    void *y = out[*next];
    combine(k, t[*next] - from, k->imaginary ? 1 : norm, y);
    if (k->imaginary) scale(k, norm / norm_of(k, y), y);
  }
}

static RtStatus march(Krylov *k, int64_t n, const double *t, double tol, KrylovLeave leave,
                      const void *asked, void *x, void *const *out, bool *left_it) {
  double done = 0, end = n ? t[n - 1] : 0, norm = norm_of(k, x), least = k->single ? 1e-7 : 1e-14;
  int64_t next = 0;
  k->products = 0;
  k->error = 0;
  if (!(norm > 0) || !isfinite(norm))
    return rt_fail(k->rt, RT_ERROR, "the state has length %g and cannot be evolved", norm);
  if (tol < least) tol = least;
  for (; next < n && t[next] <= 0; next++)
    if (out[next] != x) memcpy(out[next], x, bytes_of(k));
  while (done < end) {
    double left = end - done;
    memcpy(k->v[0], x, bytes_of(k));
    scale(k, 1 / norm_of(k, x), k->v[0]);
    RT_TRY(build(k, left, tol * left / end));
    double h = choose(k, left, tol / end);
    if (done + h <= done)
      return rt_fail(k->rt, RT_ERROR, "the step size has become too small at time %g", done);
    if (leave && done == 0 && h < left && leave(asked, k, h)) {
      *left_it = true;
      return RT_OK;
    }
    k->error += error_of(k, h);
    double to = h == left ? end : done + h;
    give_times(k, done, to, norm, n, t, out, &next);
    if (to < end) {
      combine(k, h, k->imaginary ? 1 : norm, x);
      if (k->imaginary) scale(k, norm / norm_of(k, x), x);
    }
    done = to;
  }
  return RT_OK;
}

static RtStatus make(Rt *rt, int64_t states, bool single, Krylov **out) {
  int most = states < DIM ? (int)states : DIM;
  *out = NULL;
  RT_TRY(states_fit(rt, "the evolution", states, most + 1, single ? sizeof(c64) : sizeof(c128)));
  Krylov *k = rt_alloc0(rt, sizeof *k);
  if (!k) return rt->error.status;
  *k = (Krylov){.rt = rt, .n = 2 * states, .most = most, .single = single};
  *out = k;
  for (int i = 0; i <= most; i++)
    if (!(k->v[i] = rt_alloc(rt, bytes_of(k)))) {
      krylov_free(k);
      *out = NULL;
      return rt->error.status;
    }
  return RT_OK;
}

RtStatus krylov_make(Rt *rt, int64_t states, Krylov **out) {
  return make(rt, states, false, out);
}
RtStatus krylov_make32(Rt *rt, int64_t states, Krylov **out) {
  return make(rt, states, true, out);
}

void krylov_free(Krylov *k) {
  if (!k) return;
  for (int i = 0; i <= k->most; i++)
    if (k->v[i]) rt_free(k->rt, k->v[i], bytes_of(k));
  rt_free(k->rt, k, sizeof *k);
}

RtStatus krylov_exp(Krylov *k, KrylovApply apply, const void *h, double t, double tol,
                    bool imaginary, double *x) {
  k->apply = apply;
  k->h = h;
  k->imaginary = imaginary;
  void *to = x;
  return t > 0 ? march(k, 1, &t, tol, NULL, NULL, x, &to, NULL) : RT_OK;
}

RtStatus krylov_times(Krylov *k, KrylovApply apply, const void *h, int64_t n, const double *t,
                      double tol, bool imaginary, KrylovLeave leave, const void *asked, double *x,
                      double *const *out, bool *left) {
  k->apply = apply;
  k->h = h;
  k->imaginary = imaginary;
  *left = false;
  return march(k, n, t, tol, leave, asked, x, (void *const *)out, left);
}

RtStatus krylov_times32(Krylov *k, const Applied *a, int64_t n, const double *t, double tol,
                        bool imaginary, float *x, float *const *out) {
  bool left;
  k->h = a;
  k->imaginary = imaginary;
  return march(k, n, t, tol, NULL, NULL, x, (void *const *)out, &left);
}

int64_t krylov_products(const Krylov *k) { return k->products; }
double krylov_error(const Krylov *k) { return k->error; }
int krylov_size(const Krylov *k) { return k->m; }

void krylov_range(const Krylov *k, double *low, double *high) {
  *low = INFINITY;
  *high = -INFINITY;
  for (int i = 0; i < k->m; i++) {
    *low = fmin(*low, k->value[i]);
    *high = fmax(*high, k->value[i]);
  }
}

static RtStatus apply_plain(Rt *rt, const void *h, const double *x, double *y) {
  return applied_to(rt, h, x, y);
}

static RtStatus evolve(Rt *rt, const Applied *a, double t, double tol, bool imaginary, State *s) {
  Krylov *k;
  RT_TRY(krylov_make(rt, s->size, &k));
  RtStatus st = krylov_exp(k, apply_plain, a, t, tol, imaginary, (double *)(void *)s->amp);
  krylov_free(k);
  return st;
}

RtStatus evolve_real(Rt *rt, const Applied *a, double t, double tol, State *s) {
  return evolve(rt, a, t, tol, false, s);
}

RtStatus evolve_imaginary(Rt *rt, const Applied *a, double t, double tol, State *s) {
  return evolve(rt, a, t, tol, true, s);
}
