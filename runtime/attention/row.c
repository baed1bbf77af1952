/* row.c: thresholds of a row: the m largest, sparsemax, entmax. */
#include "runtime/attention/attn.h"

#include <math.h>

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

void attn_keep_top(int64_t n, const double *x, uint8_t *keep, int64_t m, double *scratch) {
  int64_t count = 0;
  for (int64_t j = 0; j < n; j++)
    if (keep[j]) scratch[count++] = isnan(x[j]) ? -INFINITY : x[j];
  if (m >= count) return;
  if (m < 0) m = 0;
  double tau = m ? kth_largest(scratch, count, m - 1) : INFINITY;
  int64_t above = 0;
  for (int64_t j = 0; j < n; j++) above += keep[j] && x[j] > tau;
  int64_t ties = m - above; /* of the numbers equal to tau, the first ones stay */
  for (int64_t j = 0; j < n; j++) {
    if (!keep[j] || x[j] > tau) continue;
    if (m && (x[j] == tau || (isnan(x[j]) && tau == -INFINITY)) && ties > 0) ties--;
    else keep[j] = 0;
  }
}

/* Michelot's iteration: drop what lies below the threshold until nothing does. */
double attn_sparsemax_tau(int64_t n, const double *x, double *s) {
  int64_t m = 0;
  for (int64_t j = 0; j < n; j++) s[m++] = x[j];
  for (;;) {
    double sum = 0;
    for (int64_t j = 0; j < m; j++) sum += s[j];
    double tau = (sum - 1) / (double)m;
    int64_t left = 0;
    for (int64_t j = 0; j < m; j++)
      if (s[j] > tau) s[left++] = s[j];
    if (left == m || left == 0) return tau;
    m = left;
  }
}

/* sum_j max((alpha - 1) x_j - tau, 0)^(1 / (alpha - 1)) = 1 by bisection: the
 * largest element alone bounds tau from below by its value - 1. */
double attn_entmax_tau(int64_t n, const double *x, double alpha, double *s) {
  double top = -INFINITY, power = 1 / (alpha - 1);
  for (int64_t j = 0; j < n; j++) top = fmax(top, (alpha - 1) * x[j]);
  int64_t m = 0;
  for (int64_t j = 0; j < n; j++)
    if ((alpha - 1) * x[j] > top - 1) s[m++] = (alpha - 1) * x[j];
  double lo = top - 1, hi = top;
  for (int step = 0; step < 80; step++) {
    double tau = 0.5 * (lo + hi), sum = 0;
    if (tau <= lo || tau >= hi) break;
    for (int64_t j = 0; j < m; j++)
      if (s[j] > tau) sum += pow(s[j] - tau, power);
    if (sum >= 1) lo = tau;
    else hi = tau;
  }
  return lo;
}
