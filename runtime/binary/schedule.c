/* schedule.c: annealing schedules: curves, paths and those of D-Wave's chips. */
#include "runtime/binary/schedule.h"

#include <math.h>
#include <string.h>

/* ---- curves ---------------------------------------------------------------------- */

RtStatus curve_make(Rt *rt, int64_t n, Curve *out) {
  *out = (Curve){.n = n ? n : CURVE_SAMPLES};
  if (n && !(out->x = rt_alloc(rt, (size_t)n * sizeof(double)))) return rt->error.status;
  if ((out->y = rt_alloc(rt, (size_t)out->n * sizeof(double)))) return RT_OK;
  if (out->x) rt_free(rt, out->x, (size_t)n * sizeof(double));
  *out = (Curve){0};
  return rt->error.status;
}

static void curve_free(Rt *rt, Curve *c) {
  if (c->x) rt_free(rt, c->x, (size_t)c->n * sizeof(double));
  if (c->y) rt_free(rt, c->y, (size_t)c->n * sizeof(double));
  *c = (Curve){0};
}

static RtStatus curve_copy(Rt *rt, const Curve *c, Curve *out) {
  RT_TRY(curve_make(rt, c->x ? c->n : 0, out));
  if (c->x) memcpy(out->x, c->x, (size_t)c->n * sizeof(double));
  memcpy(out->y, c->y, (size_t)c->n * sizeof(double));
  return RT_OK;
}

RtStatus curve_check(Rt *rt, const Curve *c, const char *name) {
  for (int64_t k = 0; k < c->n; k++) {
    double s = c->x ? c->x[k] : (double)k / (double)(c->n - 1);
    if (!(s >= 0 && s <= 1) || (c->x && k && !(s > c->x[k - 1]))) {
      rt_fail(rt, RT_ERROR, "point %lld of %s is at s = %g%s", (long long)k, name, s,
              s >= 0 && s <= 1 ? ", not after the one before" : "");
      rt_help(rt, "s ascends within 0..1");
      return RT_ERROR;
    }
    if (!isfinite(c->y[k]) || c->y[k] < 0)
      return rt_fail(rt, RT_ERROR, "%s is %g at s = %g: it must be finite and not negative", name,
                     c->y[k], s);
  }
  return RT_OK;
}

double points_at(int64_t n, const double *x, const double *y, double at) {
  int64_t lo = 0, hi = n; /* x[lo - 1] < at <= x[hi] */
  while (lo < hi) {
    int64_t mid = (lo + hi) / 2;
    if (x[mid] < at) lo = mid + 1;
    else hi = mid;
  }
  if (lo == 0 || lo == n) return y[lo ? n - 1 : 0];
  double f = (at - x[lo - 1]) / (x[lo] - x[lo - 1]);
  return y[lo - 1] + f * (y[lo] - y[lo - 1]);
}

/* The cubic through the four samples around. */
static double cubic_at(int64_t n, const double *y, double at) {
  double p = at * (double)(n - 1);
  int64_t k = (int64_t)floor(p) - 1;
  if (k < 0) k = 0;
  if (k > n - 4) k = n - 4;
  double f = p - (double)k, a = f - 1, b = f - 2, c = f - 3;
  y += k;
  return -a * b * c / 6 * y[0] + f * b * c / 2 * y[1] - f * a * c / 2 * y[2] + f * a * b / 6 * y[3];
}

double curve_at(const Curve *c, double s) {
  if (c->x) return points_at(c->n, c->x, c->y, s);
  return fmax(0, cubic_at(c->n, c->y, fmin(1, fmax(0, s))));
}

double curve_most(const Curve *c) {
  double most = 0;
  for (int64_t k = 0; k < c->n; k++) most = fmax(most, c->y[k]);
  return most;
}

/* ---- schedules by name -------------------------------------------------------------- */

const char *const schedule_names[] = {"linear", "quadratic", "standard", "fast", NULL};

/* A and B in GHz at s = 0, 0.05 .. 1, three to four digits of the tables that D-Wave
 * publishes for each chip ("QPU-specific physical properties: annealing schedules"):
 * standard 09-1234Z-Z (Advantage_system4.0), whose B is (0.4733 + 2.2679 s)^2, for the
 * persistent current grows linearly; fast 09-1263A-B (Advantage_system4.1), where s is the
 * flux.  Between the points the logarithms go by cubics: within one per cent of the tables
 * while A > 0.1 GHz, within a tenth elsewhere.                                       */
enum { CHIP_POINTS = 21 };
static const double standard_A[CHIP_POINTS] = {
    9.875,    6.405,    4.440,    3.186,  2.313,   1.672,   1.184,
    0.800,    0.5091,   0.2923,   0.1471, 0.06270, 0.02253, 0.006610,
    0.001569, 3.004e-4, 4.465e-5, 5.0e-6, 4.5e-7,  3.0e-8,  1.4e-9};
static const double fast_A[CHIP_POINTS] = {
    9.839,   8.919,    7.930,    6.857,   5.685,   4.407,   3.042,  1.712,  0.7081, 0.2105, 0.04964,
    0.01020, 0.001947, 3.497e-4, 5.98e-5, 9.91e-6, 1.62e-6, 2.7e-7, 4.3e-8, 7.0e-9, 1.1e-9};
static const double fast_B[CHIP_POINTS] = {0.2592, 0.2859, 0.3213, 0.3710, 0.4457, 0.5685, 0.7916,
                                           1.218,  1.924,  2.728,  3.458,  4.115,  4.720,  5.285,
                                           5.817,  6.319,  6.795,  7.246,  7.676,  8.086,  8.477};

static double chip(const double *table, double s) {
  double y[CHIP_POINTS];
  for (int k = 0; k < CHIP_POINTS; k++) y[k] = log(table[k]);
  return exp(cubic_at(CHIP_POINTS, y, s));
}

static void named_at(int which, double s, double *A, double *B) {
  switch (which) {
  case 0:
    *A = 1 - s;
    *B = s;
    break;
  case 1:
    *A = (1 - s) * (1 - s);
    *B = s * s;
    break;
  case 2:
    *A = chip(standard_A, s);
    *B = (0.4733 + 2.2679 * s) * (0.4733 + 2.2679 * s);
    break;
  default: *A = chip(fast_A, s); *B = chip(fast_B, s);
  }
}

RtStatus schedule_named(Rt *rt, const char *name, Schedule *out) {
  int which = 0;
  *out = (Schedule){0};
  while (schedule_names[which] && strcmp(schedule_names[which], name)) which++;
  if (!schedule_names[which]) {
    rt_fail(rt, RT_ERROR, "no schedule is called \"%.40s\"", name);
    rt_help(rt, "there are \"linear\", \"quadratic\", \"standard\" and \"fast\"");
    return RT_ERROR;
  }
  RT_TRY(curve_make(rt, 0, &out->A));
  if (curve_make(rt, 0, &out->B)) {
    schedule_free(rt, out);
    return rt->error.status;
  }
  strncpy(out->name, name, sizeof out->name - 1);
  out->ghz = which >= 2;
  for (int64_t k = 0; k < CURVE_SAMPLES; k++)
    named_at(which, (double)k / (CURVE_SAMPLES - 1), &out->A.y[k], &out->B.y[k]);
  return RT_OK;
}

void schedule_free(Rt *rt, Schedule *a) {
  curve_free(rt, &a->A);
  curve_free(rt, &a->B);
  if (a->t) rt_free(rt, a->t, (size_t)a->n_path * sizeof(double));
  if (a->s) rt_free(rt, a->s, (size_t)a->n_path * sizeof(double));
  *a = (Schedule){0};
}

RtStatus schedule_copy(Rt *rt, const Schedule *a, Schedule *out) {
  *out = *a;
  out->A = out->B = (Curve){0};
  out->t = out->s = NULL;
  size_t bytes = (size_t)a->n_path * sizeof(double);
  RtStatus st = curve_copy(rt, &a->A, &out->A);
  if (!st) st = curve_copy(rt, &a->B, &out->B);
  if (!st && bytes) {
    out->t = rt_alloc(rt, bytes);
    out->s = rt_alloc(rt, bytes);
    if (!out->t || !out->s) st = rt->error.status;
  }
  if (st) {
    schedule_free(rt, out);
    return st;
  }
  if (bytes) {
    memcpy(out->t, a->t, bytes);
    memcpy(out->s, a->s, bytes);
  }
  return RT_OK;
}

/* ---- paths --------------------------------------------------------------------------- */

RtStatus path_check(Rt *rt, int64_t n, const double *t, const double *s) {
  if (n < 2) {
    rt_fail(rt, RT_ERROR, "a path of %lld point%s", (long long)n, n == 1 ? "" : "s");
    rt_help(rt, "it has two or more points (t, s): [(0, 0), (10, 0.5), (20, 1)]");
    return RT_ERROR;
  }
  for (int64_t k = 0; k < n; k++) {
    if (!isfinite(t[k]) || (k ? !(t[k] > t[k - 1]) : t[0] != 0)) {
      rt_fail(rt, RT_ERROR,
              k ? "time does not ascend at point %lld of the path: %g after %g"
                : "point %lld of the path is at time %g",
              (long long)k, t[k], k ? t[k - 1] : 0);
      rt_help(rt, "times begin at 0 and ascend");
      return RT_ERROR;
    }
    if (!(s[k] >= 0 && s[k] <= 1))
      return rt_fail(rt, RT_ERROR, "s is %g at point %lld of the path: expected 0 to 1", s[k],
                     (long long)k);
    if (s[0] == 0 && k && s[k] < s[k - 1]) {
      rt_fail(rt, RT_ERROR, "s falls from %g to %g at point %lld of the path", s[k - 1], s[k],
              (long long)k);
      rt_help(rt, "s does not fall in an anneal from s = 0; evolve(t => H(t), psi, T) follows any");
      return RT_ERROR;
    }
  }
  if (s[0] == 0 || s[0] == 1) return RT_OK;
  rt_fail(rt, RT_ERROR, "the path begins at s = %g", s[0]);
  rt_help(rt, "an anneal begins at s = 0, a reverse one at s = 1");
  return RT_ERROR;
}

RtStatus schedule_check(Rt *rt, const Schedule *a) {
  if (a->A.n < 1 || a->B.n < 1 || (!a->A.x && a->A.n < 4) || (!a->B.x && a->B.n < 4))
    return rt_fail(rt, RT_ERROR, "the schedule has too few points of %s", a->A.n < 1 ? "A" : "B");
  RT_TRY(curve_check(rt, &a->A, "A"));
  RT_TRY(curve_check(rt, &a->B, "B"));
  return a->n_path ? path_check(rt, a->n_path, a->t, a->s) : RT_OK;
}

double schedule_s(const Schedule *a, double u) {
  if (!a->n_path) return fmin(1, fmax(0, u));
  return points_at(a->n_path, a->t, a->s, u * a->t[a->n_path - 1]);
}

void schedule_weights(const Schedule *a, double s, double *driver, double *problem) {
  double unit = a->ghz ? 0.5 : 1;
  *driver = unit * curve_at(&a->A, s);
  *problem = unit * curve_at(&a->B, s);
}

double schedule_time(const Schedule *a) { return a->n_path ? a->t[a->n_path - 1] : 0; }
bool schedule_reverse(const Schedule *a) { return a->n_path && a->s[0] == 1; }

/* Where s(t) passes x on its way from point k to k + 1. */
static int64_t passed(const Schedule *a, int64_t k, const Curve *c, double *out, int64_t n,
                      int64_t most) {
  double u0 = 0, u1 = 1, s0 = 0, s1 = 1, T = schedule_time(a);
  if (a->n_path) {
    u0 = a->t[k] / T;
    u1 = a->t[k + 1] / T;
    s0 = a->s[k];
    s1 = a->s[k + 1];
  }
  for (int64_t i = 0; c->x && i < c->n && s0 != s1; i++) {
    double f = (c->x[i] - s0) / (s1 - s0);
    if (f > 0 && f < 1 && n < most) out[n++] = u0 + f * (u1 - u0);
  }
  return n;
}

int64_t schedule_kinks(const Schedule *a, double *out, int64_t most) {
  int64_t n = 0, parts = a->n_path ? a->n_path - 1 : 1;
  for (int64_t k = 1; k < parts && n < most; k++) out[n++] = a->t[k] / schedule_time(a);
  for (int64_t k = 0; k < parts; k++) {
    n = passed(a, k, &a->A, out, n, most);
    n = passed(a, k, &a->B, out, n, most);
  }
  for (int64_t i = 1; i < n; i++) /* few: insertion */
    for (int64_t j = i; j > 0 && out[j] < out[j - 1]; j--) {
      double x = out[j];
      out[j] = out[j - 1];
      out[j - 1] = x;
    }
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++)
    if (out[i] > 0 && out[i] < 1 && (!kept || out[i] > out[kept - 1] + 1e-12)) out[kept++] = out[i];
  return kept;
}
