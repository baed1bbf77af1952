/* Intervals against tabulated values (Student's t, Wilson's score interval)
 * and against their own definition.                                           */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "runtime/run/stats.h"

#define NEAR(a, b, tol) assert_true(fabs((a) - (b)) <= (tol))

static void test_quantiles(void **state) {
  (void)state;
  /* two-sided 95 %: textbook table, 6 digits from closed forms where they exist */
  NEAR(stats_t_quantile(0.975, 1), tan(M_PI * (0.975 - 0.5)), 1e-10);
  NEAR(stats_t_quantile(0.975, 2), 0.95 * sqrt(2 / (1 - 0.95 * 0.95)), 1e-12);
  NEAR(stats_t_quantile(0.975, 4), 2.776445105, 1e-9);
  NEAR(stats_t_quantile(0.975, 10), 2.228138852, 1e-9);
  NEAR(stats_t_quantile(0.975, 30), 2.042272456, 1e-9);
  NEAR(stats_t_quantile(0.025, 4), -2.776445105, 1e-9);
  NEAR(stats_t_quantile(0.5, 4), 0, 0);
  NEAR(stats_normal_quantile(0.975), 1.959963984540054, 1e-14);
  NEAR(stats_t_quantile(0.975, 1e7), stats_normal_quantile(0.975), 1e-6);
  for (double p = 0.01; p < 1; p += 0.07) /* inverse of the distribution */
    NEAR(stats_t_cdf(stats_t_quantile(p, 3.5), 3.5), p, 1e-13);
  NEAR(stats_beta(2, 3, 0.4), 0.5248, 1e-14); /* sum of binomials */
  NEAR(stats_beta(5, 1, 0.9), pow(0.9, 5), 1e-15);
}

static void test_mean(void **state) {
  (void)state;
  const double x[] = {1, 2, 3, 4, 5};
  Estimate e = stats_mean(x, 5);
  NEAR(e.mean, 3, 0);
  NEAR(e.sd, sqrt(2.5), 1e-15);
  NEAR(e.hi - e.mean, 2.776445105 * sqrt(2.5 / 5), 1e-9);
  NEAR(e.mean - e.lo, e.hi - e.mean, 1e-15);
  e = stats_mean(x, 1);
  assert_int_equal(e.n, 1);
  assert_true(e.mean == 1 && isnan(e.lo) && isnan(e.hi));
  e = stats_mean(x, 0);
  assert_true(e.n == 0 && isnan(e.mean));
  const double bad[] = {1, NAN};
  assert_true(isnan(stats_mean(bad, 2).mean));
}

static void test_wilson(void **state) {
  (void)state;
  Estimate e = stats_wilson(8, 10); /* 0.4902 to 0.9433: Brown, Cai, DasGupta 2001 */
  NEAR(e.lo, 0.4901625, 1e-6);
  NEAR(e.hi, 0.9433178, 1e-6);
  e = stats_wilson(0, 10);
  NEAR(e.lo, 0, 0);
  NEAR(e.hi, 0.2775328, 1e-6);
  e = stats_wilson(10, 10);
  NEAR(e.hi, 1, 0);
}

static void test_paired(void **state) {
  (void)state;
  const double x[] = {10.1, 20.3, 30.2, 40.4}, y[] = {10, 20, 30, 40};
  Estimate e = stats_paired(x, y, 4), apart = stats_mean(x, 4);
  NEAR(e.mean, 0.25, 1e-13);
  assert_true(e.lo > 0 && e.hi - e.lo < 0.5);   /* tight although x itself */
  assert_true(apart.hi - apart.lo > 30);        /* varies widely           */
  double t = e.mean / (e.sd / 2);
  NEAR(stats_paired_p(x, y, 4), 2 * (1 - stats_t_cdf(t, 3)), 1e-12);
  NEAR(stats_paired_p(x, x, 4), 1, 0);
}

static void test_bootstrap(void **state) {
  (void)state;
  double x[40];
  for (int i = 0; i < 40; i++) x[i] = sin(i * 12.9898) * 3;
  Estimate t = stats_mean(x, 40), b = stats_bootstrap(x, 40, 4000, 7);
  NEAR(b.mean, t.mean, 0);
  NEAR(b.lo, t.lo, 0.1 * (t.hi - t.lo));
  NEAR(b.hi, t.hi, 0.1 * (t.hi - t.lo));
  Estimate again = stats_bootstrap(x, 40, 4000, 7), other = stats_bootstrap(x, 40, 4000, 8);
  assert_memory_equal(&again, &b, sizeof b);
  assert_true(other.lo != b.lo);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quantiles), cmocka_unit_test(test_mean),
      cmocka_unit_test(test_wilson),    cmocka_unit_test(test_paired),
      cmocka_unit_test(test_bootstrap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
