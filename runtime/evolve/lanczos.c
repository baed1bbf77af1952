/* lanczos.c: the lowest state of a map, in two passes of Lanczos's recurrence. */
#include "runtime/evolve/linear.h"
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/random.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { STEPS = 400, RESTARTS = 4, LOOK_EVERY = 4, LARGE = 1 << 20 };

typedef struct {
  Rt *rt;
  const Linear *map;
  int64_t n;
  double *start, *sum;     /* first vector, Ritz vector                            */
  double *p, *q, *w;       /* the last two vectors, what becomes the next one      */
  double p_scale, q_scale; /* vectors stay as they came out: these make them unit  */
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

/* The next vector, w = (H - alpha) q - beta p, and alpha, beta of this step. */
static RtStatus step(Lanczos *l, int j) {
  const VectorTable *v = vectors();
  double a;
  RT_TRY(l->map->apply(l->rt, l->map->map, l->q, l->w));
  if (!j) a = vec_dot(l->n, l->q, l->w);
  else a = v->scaled_dot(l->n, l->q_scale, l->beta[j - 1] * l->p_scale, l->p, l->q, l->w);
  l->alpha[j] = a * l->q_scale;
  l->beta[j] = sqrt(v->subtract_norm2(l->n, l->alpha[j] * l->q_scale, l->q, l->w));
  return RT_OK;
}

/* The same step when its numbers are known; the Ritz vector gets its part of q. */
static RtStatus step_again(Lanczos *l, int j, bool last) {
  if (last) {
    vectors()->add(l->n, l->s[j] * l->q_scale, l->q, l->sum);
    return RT_OK;
  }
  RT_TRY(l->map->apply(l->rt, l->map->map, l->q, l->w));
  vectors()->advance(l->n, l->q_scale, j ? l->beta[j - 1] * l->p_scale : 0, j ? l->p : l->q,
                     l->alpha[j] * l->q_scale, l->q, l->s[j] * l->q_scale, l->w, l->sum);
  return RT_OK;
}

static void turn(Lanczos *l, double beta) {
  double *w = l->w;
  l->w = l->p;
  l->p = l->q;
  l->q = w;
  l->p_scale = l->q_scale;
  l->q_scale = 1 / beta;
}

static void begin(Lanczos *l) {
  memcpy(l->q, l->start, (size_t)l->n * sizeof(double));
  l->q_scale = 1;
}

/* First pass: *m steps until the residual of the lowest Ritz pair is small. */
static RtStatus forward(Lanczos *l, double tol, int *m, double *size) {
  begin(l);
  for (int j = 0; j < STEPS; j++) {
    RT_TRY(step(l, j));
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
  begin(l);
  memset(l->sum, 0, (size_t)l->n * sizeof(double));
  for (int j = 0; j < m; j++) {
    RT_TRY(step_again(l, j, j == m - 1));
    turn(l, l->beta[j]);
  }
  return RT_OK;
}

static RtStatus rounds(Lanczos *l, double tol, Level *out, bool *good) {
  double size = 0;
  int m = 0;
  *good = false;
  for (int r = 0; r < RESTARTS && !*good; r++) {
    RT_TRY(forward(l, tol, &m, &size));
    RT_TRY(again(l, m));
    double *x = l->sum;
    l->sum = l->start;
    l->start = x;
    vectors()->scale(l->n, 1 / vec_norm(l->n, x), x);
    RT_TRY(l->map->apply(l->rt, l->map->map, x, l->w));
    out->energy = vec_dot(l->n, x, l->w);
    vectors()->add(l->n, -out->energy, x, l->w);
    out->residual = vec_norm(l->n, l->w);
    *good = out->residual <= 2 * tol * size;
  }
  return RT_OK;
}

RtStatus lanczos_lowest(Rt *rt, const Linear *map, double noise, double tol, double *x,
                        Level *out, bool *good) {
  size_t bytes = (size_t)map->size * sizeof(double);
  Lanczos *l = rt_alloc0(rt, sizeof *l);
  double *room[4];
  RtStatus st = l ? RT_OK : rt->error.status;
  for (int i = 0; i < 4; i++)
    if (!(room[i] = st ? NULL : rt_alloc(rt, bytes))) st = rt->error.status;
  if (!st) {
    *l = (Lanczos){.rt = rt, .map = map, .n = map->size, .start = x, .sum = room[0],
                   .p = room[1], .q = room[2], .w = room[3]};
    /* equal amplitudes are near the ground state of many H; the noise, which repeats, sees
     * every symmetry */
    RngCall c = rng_seeded(1);
    for (int64_t i = 0; i < l->n; i++)
      l->start[i] = noise > 0 ? 1 + noise * (rng_uniform(c, (uint64_t)i) - 0.5) : 1;
    vectors()->scale(l->n, 1 / vec_norm(l->n, l->start), l->start);
    st = rounds(l, tol, out, good);
    if (!st && l->start != x) memcpy(x, l->start, bytes);
  }
  for (int i = 0; i < 4; i++)
    if (room[i]) rt_free(rt, room[i], bytes);
  if (l) rt_free(rt, l, sizeof *l);
  if (bytes >= LARGE) rt_trim(rt); /* the state comes next: vectors need not wait in pools */
  return st;
}
