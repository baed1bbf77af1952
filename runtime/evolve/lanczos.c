/* lanczos.c: the lowest states of an operator, in two passes of Lanczos's recurrence. */
#include "runtime/evolve/evolve.h"
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/linalg.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { STEPS = 400, RESTARTS = 12, LOOK_EVERY = 6, DENSE = 256, DENSE_MAX = 2048 };

typedef struct {
  Rt *rt;
  const Applied *a;
  int64_t n;
  int found;
  double *const *v;              /* found states                               */
  double *start, *sum, *p, *q;   /* first vector, Ritz vector, last two        */
  double *w;
  double alpha[STEPS], beta[STEPS], s[STEPS];
} Lanczos;

/* ---- the tridiagonal matrix's lowest pair ------------------------------------------ */

/* Eigenvalues below x. */
static int below(int m, const double *a, const double *b, double x) {
  int count = 0;
  double q = 1;
  for (int i = 0; i < m; i++) {
    q = a[i] - x - (i ? b[i - 1] * b[i - 1] / q : 0);
    if (q == 0) q = -DBL_EPSILON * (fabs(a[i]) + DBL_MIN);
    if (q < 0) count++;
  }
  return count;
}

/* Bisection, then inverse iteration just below the value, where T - x is positive. */
static double lowest(int m, const double *a, const double *b, double *s) {
  double lo = INFINITY, hi = INFINITY, size = 0, d[STEPS];
  for (int i = 0; i < m; i++) {
    double r = (i ? fabs(b[i - 1]) : 0) + (i < m - 1 ? fabs(b[i]) : 0);
    lo = fmin(lo, a[i] - r);
    hi = fmin(hi, a[i]);
    size = fmax(size, fabs(a[i]) + r);
  }
  while (hi - lo > 2 * DBL_EPSILON * fmax(fabs(lo), fabs(hi))) {
    double mid = lo + (hi - lo) / 2;
    if (mid <= lo || mid >= hi) break;
    if (below(m, a, b, mid)) hi = mid;
    else lo = mid;
  }
  double shift = lo - 8 * DBL_EPSILON * (size + DBL_MIN);
  for (int i = 0; i < m; i++) s[i] = 1;
  for (int round = 0; round < 3; round++) {
    double norm = 0;
    for (int i = 0; i < m; i++) {
      double l = i ? b[i - 1] / d[i - 1] : 0;
      d[i] = a[i] - shift - (i ? l * b[i - 1] : 0);
      if (!(d[i] > DBL_EPSILON * DBL_EPSILON * size)) d[i] = DBL_EPSILON * (size + DBL_MIN);
      if (i) s[i] -= l * s[i - 1];
    }
    for (int i = m - 1; i >= 0; i--) {
      s[i] = s[i] / d[i] - (i < m - 1 ? b[i] / d[i] * s[i + 1] : 0);
      norm = fmax(norm, fabs(s[i]));
    }
    for (int i = 0; i < m; i++) s[i] /= norm;
  }
  double norm = 0;
  for (int i = 0; i < m; i++) norm += s[i] * s[i];
  for (int i = 0; i < m; i++) s[i] /= sqrt(norm);
  return hi;
}

/* ---- the recurrence -------------------------------------------------------------------- */

static void project(const Lanczos *l, double *w) {
  for (int i = 0; i < l->found; i++) vec_project(l->n, applied_wide(l->a), l->v[i], w);
}

/* w = (H - alpha) q - beta p; the second pass takes alpha and beta from the first. */
static RtStatus step(Lanczos *l, int j, bool first) {
  RT_TRY(applied_to(l->rt, l->a, l->q, l->w));
  project(l, l->w);
  const VectorTable *v = vectors();
  double a = j ? v->subtract_dot(l->n, l->beta[j - 1], l->p, l->q, l->w)
               : vec_dot(l->n, l->q, l->w);
  if (first) l->alpha[j] = a;
  double b2 = v->subtract_norm2(l->n, l->alpha[j], l->q, l->w);
  if (first) l->beta[j] = sqrt(b2);
  return RT_OK;
}

static void turn(Lanczos *l, double beta) {
  double *w = l->w;
  vectors()->scale(l->n, 1 / beta, w);
  l->w = l->p;
  l->p = l->q;
  l->q = w;
}

/* First pass: *m steps until the residual of the lowest Ritz pair is small. */
static RtStatus forward(Lanczos *l, double tol, int *m, double *size) {
  memcpy(l->q, l->start, (size_t)l->n * sizeof(double));
  for (int j = 0; j < STEPS; j++) {
    RT_TRY(step(l, j, true));
    *m = j + 1;
    *size = fmax(*size, fabs(l->alpha[j]) + l->beta[j]);
    bool last = j == STEPS - 1 || l->beta[j] <= 16 * DBL_EPSILON * *size;
    if (last || j % LOOK_EVERY == LOOK_EVERY - 1) {
      lowest(*m, l->alpha, l->beta, l->s);
      if (last || l->beta[j] * fabs(l->s[j]) <= tol * *size) return RT_OK;
    }
    turn(l, l->beta[j]);
  }
  return RT_OK;
}

static RtStatus again(Lanczos *l, int m) {
  memcpy(l->q, l->start, (size_t)l->n * sizeof(double));
  memset(l->sum, 0, (size_t)l->n * sizeof(double));
  for (int j = 0; j < m; j++) {
    vectors()->add(l->n, l->s[j], l->q, l->sum);
    if (j == m - 1) break;
    RT_TRY(step(l, j, false));
    turn(l, l->beta[j]);
  }
  return RT_OK;
}

static void normalise(Lanczos *l, double *x) {
  project(l, x);
  project(l, x);
  vectors()->scale(l->n, 1 / vec_norm(l->n, x), x);
}

static RtStatus rounds(Lanczos *l, double tol, Level *out) {
  double size = 0;
  int m = 0;
  for (int r = 0; r < RESTARTS; r++) {
    RT_TRY(forward(l, tol, &m, &size));
    RT_TRY(again(l, m));
    double *x = l->sum;
    l->sum = l->start;
    l->start = x;
    normalise(l, x);
    RT_TRY(applied_to(l->rt, l->a, x, l->w));
    out->energy = vec_dot(l->n, x, l->w);
    vectors()->add(l->n, -out->energy, x, l->w);
    project(l, l->w);
    out->residual = vec_norm(l->n, l->w);
    if (out->residual <= 2 * tol * size) return RT_OK;
  }
  if (out->residual <= 1e-7 * size) return RT_OK; /* levels closer than that to each other */
  return rt_fail(l->rt, RT_ERROR, "the lowest state did not converge: |H x - E x| is %.2g",
                 out->residual);
}

RtStatus lanczos_lowest(Rt *rt, const Applied *a, int found, double *const *v, double tol,
                        double *x, Level *out) {
  Lanczos *l = rt_alloc0(rt, sizeof *l);
  size_t bytes = (size_t)applied_size(a) * sizeof(double);
  if (!l) return rt->error.status;
  *l = (Lanczos){.rt = rt, .a = a, .n = applied_size(a), .found = found, .v = v};
  double *room[5];
  RtStatus st = RT_OK;
  for (int i = 0; i < 5; i++)
    if (!(room[i] = rt_alloc(rt, bytes))) st = rt->error.status;
  if (!st) {
    l->start = room[0];
    l->sum = room[1];
    l->p = room[2];
    l->q = room[3];
    l->w = room[4];
    /* Nearly equal amplitudes are near the ground state of many H and the noise sees
     * every symmetry; excited states start from noise.  A fixed one, which repeats.   */
    RngCall c = rng_seeded(found + 1);
    double even = found ? 0 : 1;
    for (int64_t i = 0; i < l->n; i++)
      l->start[i] = even + 0.1 * (rng_uniform(c, (uint64_t)i) - 0.5);
    normalise(l, l->start);
    st = rounds(l, tol, out);
    if (!st) memcpy(x, l->start, bytes);
  }
  for (int i = 0; i < 5; i++)
    if (room[i]) rt_free(rt, room[i], bytes);
  rt_free(rt, l, sizeof *l);
  return st;
}

/* ---- several levels ------------------------------------------------------------------- */

static RtStatus fill_state(Rt *rt, const Operator *a, bool wide, const double *x, State *s) {
  RT_TRY(state_new(rt, &a->vars, s));
  if (wide) memcpy(s->amp, x, (size_t)s->size * sizeof *s->amp);
  else
    for (int64_t i = 0; i < s->size; i++) s->amp[i] = (c128){x[i], 0};
  return RT_OK;
}

static RtStatus dense(Rt *rt, Operator *a, int64_t k, Level *level, State *states) {
  Tensor *m = operator_matrix(rt, a), *values = NULL, *vectors = NULL;
  RtStatus st = m ? linalg_eigh(rt, m, &values, &vectors) : rt->error.status;
  for (int64_t j = 0; j < k && !st; j++) {
    int64_t n = m->shape[0];
    level[j] = (Level){tensor_get_f64(values, j), 0};
    if (!states || (st = state_new(rt, &a->vars, &states[j]))) continue;
    for (int64_t i = 0; i < n; i++) states[j].amp[i] = tensor_get_c128(vectors, i * n + j);
  }
  tensor_unref(rt, m);
  tensor_unref(rt, values);
  tensor_unref(rt, vectors);
  return st;
}

static RtStatus sparse(Rt *rt, Operator *a, const Applied *p, int64_t k, Level *level,
                       State *states) {
  size_t bytes = (size_t)applied_size(p) * sizeof(double);
  double **x = rt_alloc0(rt, (size_t)k * sizeof *x);
  RtStatus st = x ? RT_OK : rt->error.status;
  for (int64_t j = 0; j < k && !st; j++) {
    x[j] = rt_alloc(rt, bytes);
    st = x[j] ? lanczos_lowest(rt, p, (int)j, x, 1e-11, x[j], &level[j]) : rt->error.status;
    if (!st && states) st = fill_state(rt, a, applied_wide(p), x[j], &states[j]);
  }
  for (int64_t j = 0; x && j < k; j++)
    if (x[j]) rt_free(rt, x[j], bytes);
  if (x) rt_free(rt, x, (size_t)k * sizeof *x);
  return st;
}

RtStatus spectrum(Rt *rt, Operator *a, int64_t k, Level *level, State *states) {
  int64_t n;
  bool real;
  RT_TRY(states_count(rt, &a->vars, &n));
  if (k < 1 || k > n)
    return rt_fail(rt, RT_ERROR, "there are %lld levels, found k = %lld", (long long)n,
                   (long long)k);
  for (int64_t j = 0; states && j < k; j++) state_init(&states[j]);
  if (n <= DENSE || (n <= DENSE_MAX && 8 * k > n)) return dense(rt, a, k, level, states);
  RT_TRY(operator_real(rt, a, &real));
  RT_TRY(states_fit(rt, "Lanczos's method", n, 5 + (double)k + (states ? 2.0 * (double)k : 0),
                    real ? 8 : 16));
  Applied *p;
  RT_TRY(applied_make(rt, a, !real, &p));
  RtStatus st = sparse(rt, a, p, k, level, states);
  applied_free(rt, p);
  return st;
}
