/* test_thresholds.c: the m largest of a row, sparsemax and entmax thresholds, against
 * bisection in long double and against sorting.                                  */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime/attention/attn.h"

enum { MOST = 3000 };

static uint64_t bits = 1;
static double unit(void) {
  bits = bits * 6364136223846793005u + 1442695040888963407u;
  return (double)(bits >> 11) * 0x1p-53;
}

/* sum_j max(z_j - tau, 0)^power = 1 */
static long double bisect(int n, const double *z, long double power) {
  long double lo = -1, hi = 0;
  for (int step = 0; step < 90; step++) {
    long double tau = (lo + hi) / 2, sum = 0;
    for (int j = 0; j < n; j++)
      if (z[j] > tau) sum += powl(z[j] - tau, power);
    if (sum >= 1) lo = tau;
    else hi = tau;
  }
  return lo;
}

static void check_threshold(int n, const double *row, double alpha) {
  static double z[MOST], p[MOST], scratch[2 * MOST], kept[MOST];
  static int64_t at[MOST];
  int m = 0, last = -1;
  for (int j = 0; j < n; j++)
    if ((alpha - 1) * row[j] > -1) {
      kept[m] = z[m] = (alpha - 1) * row[j];
      at[m++] = j;
    }
  long double power = 1 / ((long double)alpha - 1), tau = bisect(m, kept, power), sum = 0;
  int64_t left = attn_threshold(m, z, at, alpha, 1e-14, p, scratch);
  assert_true(left >= 1 && left <= m);
  for (int64_t k = 0; k < left; k++) {
    assert_true(at[k] > last); /* places are packed in order */
    last = (int)at[k];
    long double y = (alpha - 1) * row[last] - tau;
    double want = y > 0 ? (double)powl(y, power) : 0;
    if (alpha <= 2) assert_true(fabs(p[k] - want) < 2e-13 * fmax(1, (double)power));
    else assert_true(fabs(p[k] - want) < 1e-6); /* infinitely steep at the threshold */
    sum += p[k];
  }
  assert_true(fabsl(sum - 1) < 1e-13);
}

static void simplex(void **state) {
  static const double alphas[] = {2, 1.5, 1.25, 4 / 3.0, 1.3, 1.7, 1.9999, 1.1, 1.02, 1.001, 2.5, 4};
  static const int sizes[] = {1, 2, 3, 7, 16, 65, 1000, MOST};
  static double row[MOST];
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (size_t a = 0; a < sizeof alphas / sizeof *alphas; a++)
      for (int kind = 0; kind < 5; kind++) {
        int n = sizes[s];
        for (int j = 0; j < n; j++)
          row[j] = kind == 0   ? -8 * unit()             /* spread: few take part */
                   : kind == 1 ? -1e-3 * unit()          /* all take part */
                   : kind == 2 ? -floor(4 * unit()) / 4  /* ties */
                   : kind == 3 ? 0
                               : -pow(unit(), 8);
        row[n / 2] = 0;
        check_threshold(n, row, alphas[a]);
      }
}

static int downwards(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

static void largest(void **state) {
  static double x[MOST], same[MOST], sorted[MOST], scratch[MOST];
  static uint8_t open[MOST], keep[MOST];
  static const int sizes[] = {1, 5, 64, 511, 512, 513, 1024, MOST}, tops[] = {0, 1, 2, 8, 100, 129, 2999};
  for (int s = 0; s < 8; s++) for (int t = 0; t < 7; t++) for (int kind = 0; kind < 4; kind++) {
    int n = sizes[s], m = tops[t], count = 0, taken = 0, above = 0;
    for (int j = 0; j < n; j++) {
      x[j] = kind == 0 ? unit() - 0.5 : kind == 1 ? floor(6 * unit()) : kind == 2 ? (double)-j : -INFINITY;
      open[j] = kind == 3 || unit() < 0.7;
      if (open[j]) sorted[count++] = x[j];
    }
    qsort(sorted, (size_t)count, sizeof *sorted, downwards);
    memcpy(same, x, sizeof x);
    memcpy(keep, open, sizeof keep);
    attn_keep_top(n, same, keep, m, scratch);
    double tau = m == 0 ? INFINITY : m < count ? sorted[m - 1] : -INFINITY;
    for (int j = 0; j < n; j++) above += open[j] && x[j] > tau;
    for (int j = 0; j < n; j++) { /* everything above, then the first ones that are equal */
      bool want = open[j] && (x[j] > tau || (m > 0 && x[j] == tau && taken < m - above));
      if (m >= count) want = open[j];
      taken += open[j] && x[j] == tau && want;
      assert_int_equal(keep[j], want);
    }
  }
}

/* What is no number must show: it is taken before all others. */
static void largest_nan(void **state) {
  double x[4] = {1, NAN, 5, 2}, scratch[4];
  uint8_t keep[4] = {1, 1, 1, 1}, want[4] = {0, 1, 1, 0};
  attn_keep_top(4, x, keep, 2, scratch);
  assert_memory_equal(keep, want, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(simplex), cmocka_unit_test(largest),
                                     cmocka_unit_test(largest_nan)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
