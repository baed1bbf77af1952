/* stats.h: what a few numbers say about a mean.
 *
 * Every estimate comes with n and a 95 % interval.  n = 1 has no interval:
 * lo and hi are nan then.  Values that are nan make the result nan: a missing
 * run must never look like a good one.
 */
#ifndef QA_RUN_STATS_H
#define QA_RUN_STATS_H
#include <stdint.h>
#include <stdbool.h>

typedef struct {
  int64_t n;
  double mean, sd;     /* sd with n - 1                                       */
  double lo, hi;       /* 95 % interval of the mean                           */
} Estimate;

/* Mean with Student's t interval. */
Estimate stats_mean(const double *x, int64_t n);
/* Success rate k of n with Wilson's score interval. */
Estimate stats_wilson(int64_t k, int64_t n);
/* Mean of x[i] - y[i] with its t interval: settings on shared seeds. */
Estimate stats_paired(const double *x, const double *y, int64_t n);
/* Mean with a percentile bootstrap interval from `rounds` resamples; the
 * same seed gives the same interval.                                         */
Estimate stats_bootstrap(const double *x, int64_t n, int64_t rounds, int64_t seed);
/* Two-sided p value of the paired t test; nan for n < 2. */
double stats_paired_p(const double *x, const double *y, int64_t n);

/* Student's t: P(T <= t) and its inverse, df > 0. */
double stats_t_cdf(double t, double df);
double stats_t_quantile(double p, double df);
double stats_normal_quantile(double p);
/* Regularised incomplete beta function I_x(a, b), continued fraction. */
double stats_beta(double a, double b, double x);

#endif
