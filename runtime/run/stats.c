/* stats.c: intervals for means, success rates and paired differences.
 *
 * Student's distribution comes from the incomplete beta function (continued
 * fraction, Numerical Recipes section 6.4; modified Lentz), its inverse from
 * bisection, which cannot fail and is fast enough for tables.
 */
#include "runtime/run/stats.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/tensor/random.h"

/* ---- distributions -------------------------------------------------------- */

static double beta_fraction(double a, double b, double x) {
  const double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  if (fabs(d) < tiny) d = tiny;
  d = 1 / d;
  double h = d;
  for (int m = 1; m <= 10000; m++) {
    double m2 = 2.0 * m;
    double even = m * (b - m) * x / ((a - 1 + m2) * (a + m2));
    d = 1 + even * d;
    c = 1 + even / c;
    if (fabs(d) < tiny) d = tiny;
    if (fabs(c) < tiny) c = tiny;
    d = 1 / d;
    h *= d * c;
    double odd = -(a + m) * (a + b + m) * x / ((a + m2) * (a + 1 + m2));
    d = 1 + odd * d;
    c = 1 + odd / c;
    if (fabs(d) < tiny) d = tiny;
    if (fabs(c) < tiny) c = tiny;
    d = 1 / d;
    h *= d * c;
    if (fabs(d * c - 1) < 1e-16) break;
  }
  return h;
}

double stats_beta(double a, double b, double x) {
  if (isnan(x) || isnan(a) || isnan(b)) return NAN;
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
  /* the fraction converges fast below the mean of the distribution only */
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double stats_t_cdf(double t, double df) {
  if (isnan(t)) return NAN;
  if (isinf(t)) return t > 0;
  double tail = 0.5 * stats_beta(df / 2, 0.5, df / (df + t * t));
  return t > 0 ? 1 - tail : tail;
}

static double invert(double p, double (*cdf)(double x, double df), double df) {
  double hi = 1, lo;
  while (cdf(hi, df) < p && hi < 1e300) hi *= 2;
  lo = hi > 1 ? hi / 2 : 0;
  for (int i = 0; i < 200 && hi - lo > 1e-15 * hi; i++) {
    double mid = 0.5 * (lo + hi);
    if (cdf(mid, df) < p) lo = mid;
    else hi = mid;
  }
  return 0.5 * (lo + hi);
}

double stats_t_quantile(double p, double df) {
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  if (p == 0.5) return 0;
  return p > 0.5 ? invert(p, stats_t_cdf, df) : -invert(1 - p, stats_t_cdf, df);
}

static double normal_cdf(double x, double unused) {
  (void)unused;
  return 0.5 * erfc(-x * M_SQRT1_2);
}

double stats_normal_quantile(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  if (p == 0.5) return 0;
  return p > 0.5 ? invert(p, normal_cdf, 0) : -invert(1 - p, normal_cdf, 0);
}

/* ---- estimates ------------------------------------------------------------- */

static Estimate from_moments(int64_t n, double mean, double square_sum) {
  Estimate e = {n, mean, NAN, NAN, NAN};
  if (n < 2) return e;
  e.sd = sqrt(square_sum / (double)(n - 1));
  double half = stats_t_quantile(0.975, (double)(n - 1)) * e.sd / sqrt((double)n);
  e.lo = mean - half;
  e.hi = mean + half;
  return e;
}

Estimate stats_mean(const double *x, int64_t n) {
  if (n < 1) return (Estimate){0, NAN, NAN, NAN, NAN};
  double sum = 0, square_sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i];
  double mean = sum / (double)n;
  for (int64_t i = 0; i < n; i++) square_sum += (x[i] - mean) * (x[i] - mean);
  return from_moments(n, mean, square_sum);
}

Estimate stats_wilson(int64_t k, int64_t n) {
  if (n < 1) return (Estimate){0, NAN, NAN, NAN, NAN};
  double z = stats_normal_quantile(0.975), m = (double)n, p = (double)k / m, z2 = z * z / m;
  double mid = (p + z2 / 2) / (1 + z2);
  double half = z * sqrt(p * (1 - p) / m + z2 / (4 * m)) / (1 + z2);
  return (Estimate){n, p, sqrt(p * (1 - p)), k == 0 ? 0 : mid - half, k == n ? 1 : mid + half};
}

Estimate stats_paired(const double *x, const double *y, int64_t n) {
  if (n < 1) return (Estimate){0, NAN, NAN, NAN, NAN};
  double sum = 0, square_sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i] - y[i];
  double mean = sum / (double)n;
  for (int64_t i = 0; i < n; i++) square_sum += (x[i] - y[i] - mean) * (x[i] - y[i] - mean);
  return from_moments(n, mean, square_sum);
}

double stats_paired_p(const double *x, const double *y, int64_t n) {
  Estimate e = stats_paired(x, y, n);
  if (n < 2 || isnan(e.sd)) return NAN;
  if (e.sd == 0) return e.mean == 0 ? 1 : 0;
  double t = fabs(e.mean) / (e.sd / sqrt((double)n));
  return stats_beta((double)(n - 1) / 2, 0.5, (double)(n - 1) / ((double)(n - 1) + t * t));
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

Estimate stats_bootstrap(const double *x, int64_t n, int64_t rounds, int64_t seed) {
  Estimate e = stats_mean(x, n);
  e.lo = e.hi = NAN;
  if (n < 2 || rounds < 40 || isnan(e.mean)) return e;
  double *means = malloc((size_t)rounds * sizeof *means);
  if (!means) return e;
  RngCall call = rng_seeded(seed);
  for (int64_t r = 0; r < rounds; r++) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
      int64_t pick = (int64_t)(rng_uniform(call, (uint64_t)(r * n + i)) * (double)n);
      sum += x[pick < n ? pick : n - 1];
    }
    means[r] = sum / (double)n;
  }
  qsort(means, (size_t)rounds, sizeof *means, by_value);
  e.lo = means[(int64_t)(0.025 * (double)(rounds - 1))];
  e.hi = means[(int64_t)ceil(0.975 * (double)(rounds - 1))];
  free(means);
  return e;
}
