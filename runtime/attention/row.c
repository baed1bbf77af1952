/* row.c: thresholds of a row: the m largest, sparsemax, entmax. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/attn.h"
#include "runtime/attention/thread.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <string.h>

static void swap(double *a, double *b) { double t = *a; *a = *b; *b = t; }

/* The k-th largest (k from 0) of n numbers, which are reordered. */
static double kth_largest(double *x, int64_t n, int64_t k) {
  int64_t lo = 0, hi = n - 1;
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2; /* median of three against sorted rows */
    if (x[mid] > x[lo]) swap(&x[mid], &x[lo]);
    if (x[hi] > x[lo]) swap(&x[hi], &x[lo]);
    if (x[hi] > x[mid]) swap(&x[hi], &x[mid]);
    double pivot = x[mid];
    int64_t i = lo, j = hi;
    while (i <= j) {
      while (x[i] > pivot) i++;
      while (x[j] < pivot) j--;
      if (i <= j) swap(&x[i++], &x[j--]);
    }
    if (k <= j) hi = j;
    else if (k >= i) lo = i;
    else return x[k];
  }
  return x[k];
}

/* ---- the m largest ---------------------------------------------------------------------- */

enum { LANES = 256 };

/* Numbers that are not kept become the least, NaN the greatest; counts the kept ones. */
CLONES static int64_t ordered(int64_t n, const uint8_t *restrict keep, double *restrict x) {
  int64_t count = 0;
  for (int64_t j = 0; j < n; j++) {
    double v = x[j] == x[j] ? x[j] : INFINITY;
    x[j] = keep[j] ? v : -INFINITY;
  }
  for (int64_t j = 0; j < n; j++) count += keep[j];
  return count;
}

CLONES static void lane_maxima(int64_t n, const double *restrict x, double *restrict top) {
  for (int l = 0; l < LANES; l++) top[l] = x[l];
  for (int64_t j = LANES; j < n; j += LANES) {
    int64_t width = attn_min(LANES, n - j);
    for (int64_t l = 0; l < width; l++) top[l] = x[j + l] > top[l] ? x[j + l] : top[l];
  }
}

/* A number that at least m of the ordered ones reach: the m-th largest of the maxima of
 * every LANES-th number, each of which is another one. */
static double lower_bound(int64_t n, const double *x, int64_t m) {
  double top[LANES];
  if (m > LANES / 2 || n < 2 * LANES) return -INFINITY;
  lane_maxima(n, x, top);
  return kth_largest(top, LANES, m - 1);
}

CLONES static int64_t keep_from(int64_t n, const double *restrict x, double tau,
                                uint8_t *restrict keep) {
  int64_t count = 0;
  for (int64_t j = 0; j < n; j++) keep[j] &= x[j] >= tau;
  for (int64_t j = 0; j < n; j++) count += keep[j];
  return count;
}

void attn_keep_top(int64_t n, double *x, uint8_t *keep, int64_t m, double *scratch) {
  int64_t count = ordered(n, keep, x), left = 0;
  if (m >= count) return;
  if (m <= 0) {
    memset(keep, 0, (size_t)n);
    return;
  }
  double tau = lower_bound(n, x, m);
  for (int64_t j = 0; j < n; j++) {
    scratch[left] = x[j];
    left += keep[j] & (x[j] >= tau);
  }
  tau = kth_largest(scratch, left, m - 1);
  count = keep_from(n, x, tau, keep);
  for (int64_t j = n; count > m; ) /* of the numbers equal to tau, the first ones stay */
    if (keep[--j] && x[j] == tau) {
      keep[j] = 0;
      count--;
    }
}

/* ---- thresholds on the simplex -------------------------------------------------------------- */

/* p = y^power and q = y^(power - 1) for a whole power >= 1. */
CLONES static void whole_powers(int64_t n, const double *restrict y, int64_t power,
                                double *restrict p, double *restrict q) {
  for (int64_t j = 0; j < n; j++) p[j] = y[j];
  for (int64_t j = 0; j < n; j++) q[j] = 1;
  for (int64_t left = power - 1; left > 0; left >>= 1) {
    if (left & 1) for (int64_t j = 0; j < n; j++) q[j] *= p[j];
    if (left > 1) for (int64_t j = 0; j < n; j++) p[j] *= p[j];
  }
  for (int64_t j = 0; j < n; j++) p[j] = q[j] * y[j];
}

CLONES static void shifted(int64_t n, const double *restrict z, double tau, double *restrict y) {
  for (int64_t j = 0; j < n; j++) y[j] = z[j] > tau ? z[j] - tau : 0;
}
CLONES static void scaled(int64_t n, double f, double *x) {
  for (int64_t j = 0; j < n; j++) x[j] *= f;
}
CLONES static double positive(int64_t n, const double *y) {
  int64_t count = 0;
  for (int64_t j = 0; j < n; j++) count += y[j] > 0;
  return (double)count;
}
/* y = p / y, or 0. */
CLONES static void quotients(int64_t n, const double *p, double *y) {
  for (int64_t j = 0; j < n; j++) y[j] = y[j] > 0 ? p[j] / y[j] : 0;
}

/* The numbers that are still in question, and room for their powers. */
typedef struct { int64_t n, *at; double *z, *p, *y, *q; } Candidates;

/* p = max(z - tau, 0)^power; gives their sum and in *slope that of the powers one lower. */
static double powers(const Candidates *c, double tau, double power, double *slope) {
  const Kernels *k = kernels();
  shifted(c->n, c->z, tau, c->y);
  if (power == 1) {
    memcpy(c->p, c->y, (size_t)c->n * sizeof *c->p);
    *slope = positive(c->n, c->y);
  } else if (power == floor(power) && power <= 64) {
    whole_powers(c->n, c->y, (int64_t)power, c->p, c->q);
    *slope = k->sum_f64(c->n, c->q);
  } else {
    kernel_unary(UN_LOG, DT_F64)(c->n, c->y, c->p);
    scaled(c->n, power, c->p);
    kernel_unary(UN_EXP, DT_F64)(c->n, c->p, c->p);
    quotients(c->n, c->p, c->y);
    *slope = k->sum_f64(c->n, c->y);
  }
  return k->sum_f64(c->n, c->p);
}

/* What is not above the bound can have no part. */
static void drop_below(Candidates *c, double bound) {
  int64_t left = 0;
  for (int64_t j = 0; j < c->n; j++) {
    double z = c->z[left] = c->z[j];
    c->at[left] = c->at[j];
    left += z > bound;
  }
  c->n = left;
}

/* Newton's method for the norm (sum max(z - tau, 0)^power)^(1 / power) = 1, which is convex
 * and nearly straight in tau: from below it comes nearer from one side and needs a
 * handful of steps.  Powers below 1 (alpha > 2) are no norm: then an interval is kept
 * around tau and halved where a step would leave it.  Gives the sum at the end. */
static double threshold_steps(Candidates *c, double power, double tolerance, double *lo) {
  double hi = 0, tau = *lo, sum = 1;
  for (int step = 0; step < 120; step++) {
    double slope;
    sum = powers(c, tau, power, &slope);
    double by = (sum - (power == 1 ? 1 : pow(sum, 1 - 1 / power))) / slope;
    if (fabs(sum - 1) <= tolerance || fabs(by) <= 0x1p-54) break;
    if (sum > 1) *lo = tau;
    else hi = tau;
    double next = tau + by;
    if (!(next > *lo && next < hi)) next = 0.5 * (*lo + hi);
    if (next <= *lo || next >= hi) break;
    drop_below(c, *lo);
    tau = next;
  }
  return sum;
}

int64_t attn_threshold(int64_t n, double *z, int64_t *at, double alpha, double tolerance, double *p,
                       double *scratch) {
  double power = 1 / (alpha - 1), lo = -1, whole = ceil(power);
  Candidates c = {n, at, z, p, scratch, scratch + n};
  /* a whole power that is not smaller has a threshold that is not larger, and is cheap */
  if (power > 1 && power < whole && whole <= 64) threshold_steps(&c, whole, 0.05, &lo);
  double sum = threshold_steps(&c, power, tolerance, &lo);
  n = c.n;
  for (int64_t j = 0; j < n; j++) p[j] /= sum;
  return n;
}
