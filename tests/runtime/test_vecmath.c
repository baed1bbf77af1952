/* test_vecmath.c: errors of the vectorised functions in units in the last
 * place, against libm in long double (f64) and double (f32), at every kernel
 * level this machine has.  Fails above the published bounds; run with
 * `--table` it prints the table of runtime/tensor/vecmath.md from many more
 * points.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tensor/kernels.h"
#include "runtime/tensor/kernels_levels.h"

typedef long double Ld;
static Ld ref_sigmoid(Ld x) { return 1 / (1 + expl(-x)); }
static Ld ref_softplus(Ld x) { return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x)); }
static Ld ref_gelu(Ld x) { return 0.5L * x * erfcl(-x * 0.70710678118654752440084436210485L); }

typedef struct {
  UnOp op;
  const char *name;
  Ld (*ref)(Ld);
  double lo64, hi64, lo32, hi32;   /* sampled range                */
  double most64, most32;           /* published bounds, in ulp     */
} Case;

static const Case cases[] = {
  {UN_EXP, "exp", expl, -745, 709.7, -103, 88.7, 1.5, 1.5},
  {UN_LOG, "log", logl, 0, 1e10, 0, 1e10, 1.0, 1.0},
  {UN_LOG1P, "log1p", log1pl, -0.999999, 1e6, -0.99999, 1e6, 1.0, 1.0},
  {UN_EXPM1, "expm1", expm1l, -40, 709.7, -20, 88.7, 2.0, 2.0},
  {UN_TANH, "tanh", tanhl, -20, 20, -10, 10, 3.0, 3.0},
  {UN_SIN, "sin", sinl, -1e5, 1e5, -1e6, 1e6, 1.0, 1.0},
  {UN_COS, "cos", cosl, -1e5, 1e5, -1e6, 1e6, 1.0, 1.0},
  {UN_SIGMOID, "sigmoid", ref_sigmoid, -700, 40, -85, 20, 2.5, 2.5},
  {UN_SOFTPLUS, "softplus", ref_softplus, -700, 700, -85, 80, 2.5, 2.5},
  {UN_ERF, "erf", erfl, -6, 6, -4, 4, 2.0, 3.0},
  {UN_GELU, "gelu", ref_gelu, -37, 40, -12, 20, 6.0, 6.0},
};
enum { CASES = sizeof cases / sizeof *cases, BATCH = 4096 };

static uint64_t state = 0x9E3779B97F4A7C15u;
static double uniform(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (double)(state >> 11) * 0x1p-53;
}

/* A third over the whole range, a third near 0, a third at all magnitudes. */
static double sample(double lo, double hi, int i) {
  double x;
  switch (i % 3) {
    case 0: return lo + (hi - lo) * uniform();
    case 1: x = 4 * uniform() - 2; break;
    default: x = exp2(-60 + 64 * uniform()) * (uniform() < 0.5 ? -1 : 1); break;
  }
  return x < lo ? lo == 0 ? -x : lo * uniform() : x > hi ? hi : x;
}

static double ulp64(double got, Ld want) {
  if (got == (double)want) return fabsl((Ld)got - want) == 0 ? 0 : (double)(fabsl((Ld)got - want) /
      (Ld)fmax(nextafter(fabs(got), INFINITY) - fabs(got), DBL_TRUE_MIN));
  Ld unit = ldexpl(1, ilogbl(want) - 52);
  if (unit < DBL_TRUE_MIN || want == 0) unit = DBL_TRUE_MIN;
  return (double)(fabsl((Ld)got - want) / unit);
}

static double ulp32(float got, double want) {
  double unit = want == 0 ? (double)FLT_TRUE_MIN : ldexp(1, ilogb(want) - 23);
  if (unit < (double)FLT_TRUE_MIN) unit = (double)FLT_TRUE_MIN;
  return fabs((double)got - want) / unit;
}

static double worst64(const Kernels *k, const Case *c, int64_t points, double *where) {
  static double x[BATCH], y[BATCH];
  double worst = 0;
  for (int64_t at = 0; at < points; at += BATCH) {
    for (int i = 0; i < BATCH; i++) x[i] = sample(c->lo64, c->hi64, i);
    k->un[c->op][DT_F64](BATCH, x, y);
    for (int i = 0; i < BATCH; i++) {
      double e = ulp64(y[i], c->ref((Ld)x[i]));
      if (!(e <= worst)) { worst = e; *where = x[i]; }
    }
  }
  return worst;
}

static double worst32(const Kernels *k, const Case *c, int64_t points, double *where) {
  static float x[BATCH], y[BATCH];
  double worst = 0;
  for (int64_t at = 0; at < points; at += BATCH) {
    for (int i = 0; i < BATCH; i++) x[i] = (float)sample(c->lo32, c->hi32, i);
    k->un[c->op][DT_F32](BATCH, x, y);
    for (int i = 0; i < BATCH; i++) {
      double e = ulp32(y[i], (double)c->ref((Ld)x[i]));
      if (!(e <= worst)) { worst = e; *where = x[i]; }
    }
  }
  return worst;
}

static int levels(const Kernels *out[3]) {
  int n = 0;
  out[n++] = &kernels_base;
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v3")) out[n++] = &kernels_v3;
  if (__builtin_cpu_supports("x86-64-v4")) out[n++] = &kernels_v4;
#endif
  return n;
}

static void bounds(void **s) {
  (void)s;
  const Kernels *k[3];
  int n = levels(k);
  int bad = 0;
  for (int l = 0; l < n; l++)
    for (int i = 0; i < CASES; i++) {
      double at64 = 0, at32 = 0;
      double e64 = worst64(k[l], &cases[i], 60000, &at64);
      double e32 = worst32(k[l], &cases[i], 60000, &at32);
      if (!(e64 <= cases[i].most64) || !(e32 <= cases[i].most32)) {
        print_message("%s %s: f64 %.2f ulp at %.17g, f32 %.2f ulp at %.9g\n", k[l]->level,
                      cases[i].name, e64, at64, e32, at32);
        bad++;
      }
    }
  assert_int_equal(bad, 0);
}

/* The layers' gelu and its derivative: absolute accuracy, everywhere. */
static void layer_gelu(void **s) {
  (void)s;
  static float x[BATCH], y[BATCH], slope[BATCH], plain[BATCH];
  static double xd[BATCH], yd[BATCH], sd[BATCH];
  const Kernels *k[3];
  int n = levels(k);
  for (int l = 0; l < n; l++)
    for (int round = 0; round < 30; round++) {
      for (int i = 0; i < BATCH; i++) xd[i] = x[i] = (float)sample(-45, 45, i);
      const float odd[] = {0, -0.0f, INFINITY, -INFINITY, 1e30f, -1e30f, 12.5f, -12.5f, NAN};
      for (int i = 0; i < 9; i++) xd[i] = x[i] = odd[i];
      k[l]->gelu_f32(BATCH, x, y, slope);
      k[l]->gelu_f32(BATCH, x, plain, NULL);
      assert_memory_equal(y, plain, sizeof y);
      k[l]->gelu_f64(BATCH, xd, yd, sd);
      assert_true(isnan(y[8]) && isnan(slope[8]) && isnan(yd[8]) && isnan(sd[8]));
      assert_true(y[2] == INFINITY && slope[2] == 1 && yd[2] == INFINITY && sd[2] == 1);
      for (int i = 0; i < BATCH; i++) {
        if (i == 2 || i == 8) continue;
        Ld v = xd[i], c = v < -50 ? -50 : v > 50 ? 50 : v, most = fabsl(v) > 1 ? fabsl(v) : 1;
        Ld want = v < -50 ? 0 : ref_gelu(v);
        Ld up = 0.5L * erfcl(-c * 0.70710678118654752440084436210485L);
        Ld tilt = up + c * expl(-0.5L * c * c) * 0.39894228040143267793994605993438L;
        if (!(fabsl(y[i] - want) <= 3e-7L * most && fabsl(slope[i] - tilt) <= 3e-7L) ||
            !(fabsl(yd[i] - want) <= 1e-15L * most && fabsl(sd[i] - tilt) <= 1e-15L))
          fail_msg("%s: gelu(%.9g) is %.9g and %.17g, slope %.9g and %.17g", k[l]->level, xd[i],
                   (double)y[i], yd[i], (double)slope[i], sd[i]);
      }
    }
}

static void expect64(const Kernels *k, UnOp op, double x, double want) {
  double y;
  k->un[op][DT_F64](1, &x, &y);
  if (isnan(want) ? !isnan(y) : y != want || (want == 0 && signbit(y) != signbit(want)))
    fail_msg("%s %s(%g) = %g, want %g", k->level, unop_name(op), x, y, want);
  float xf = (float)x, yf;
  k->un[op][DT_F32](1, &xf, &yf);
  if (isnan(want) ? !isnan(yf) : yf != (float)want)
    fail_msg("%s f32 %s(%g) = %g, want %g", k->level, unop_name(op), x, (double)yf, want);
}

static void special_values(void **s) {
  (void)s;
  const Kernels *k[3];
  int n = levels(k);
  for (int l = 0; l < n; l++) {
    for (int i = 0; i < CASES; i++) expect64(k[l], cases[i].op, NAN, NAN);
    expect64(k[l], UN_EXP, INFINITY, INFINITY);
    expect64(k[l], UN_EXP, -INFINITY, 0);
    expect64(k[l], UN_EXP, 0, 1);
    expect64(k[l], UN_EXP, 1e4, INFINITY);
    expect64(k[l], UN_EXP, -1e4, 0);
    expect64(k[l], UN_LOG, 0, -INFINITY);
    expect64(k[l], UN_LOG, -1, NAN);
    expect64(k[l], UN_LOG, 1, 0);
    expect64(k[l], UN_LOG, INFINITY, INFINITY);
    expect64(k[l], UN_LOG1P, -1, -INFINITY);
    expect64(k[l], UN_LOG1P, -2, NAN);
    expect64(k[l], UN_LOG1P, INFINITY, INFINITY);
    expect64(k[l], UN_LOG1P, 1e-30, 1e-30);
    expect64(k[l], UN_EXPM1, -INFINITY, -1);
    expect64(k[l], UN_EXPM1, INFINITY, INFINITY);
    expect64(k[l], UN_EXPM1, 1e-20, 1e-20);
    expect64(k[l], UN_TANH, INFINITY, 1);
    expect64(k[l], UN_TANH, -INFINITY, -1);
    expect64(k[l], UN_TANH, -0.0, -0.0);
    expect64(k[l], UN_SIN, INFINITY, NAN);
    expect64(k[l], UN_COS, 0, 1);
    expect64(k[l], UN_SIN, -0.0, -0.0);
    expect64(k[l], UN_SIGMOID, INFINITY, 1);
    expect64(k[l], UN_SIGMOID, -INFINITY, 0);
    expect64(k[l], UN_SIGMOID, 0, 0.5);
    expect64(k[l], UN_SOFTPLUS, INFINITY, INFINITY);
    expect64(k[l], UN_SOFTPLUS, -INFINITY, 0);
    expect64(k[l], UN_ERF, INFINITY, 1);
    expect64(k[l], UN_ERF, -INFINITY, -1);
    expect64(k[l], UN_GELU, INFINITY, INFINITY);
    expect64(k[l], UN_GELU, -1e4, -0.0);
    expect64(k[l], UN_GELU, 0, 0);
  }
}

/* large arguments leave the vector path */
static void far_trigonometry(void **s) {
  (void)s;
  const Kernels *k[3];
  int n = levels(k);
  for (int l = 0; l < n; l++) {
    double x[300], y[300];
    for (int i = 0; i < 300; i++) x[i] = i % 7 ? 0.1 * i : 1e15 * (i + 0.5);
    k[l]->un[UN_SIN][DT_F64](300, x, y);
    for (int i = 0; i < 300; i++) assert_true(fabs(y[i] - sin(x[i])) < 1e-15);
    k[l]->un[UN_COS][DT_F64](300, x, x);   /* in place */
    assert_true(fabs(x[7] - cos(1e15 * 7.5)) < 1e-15);
  }
}

/* a result must not depend on where in the array its element stands */
static void position(void **s) {
  (void)s;
  const Kernels *k[3];
  int n = levels(k);
  for (int l = 0; l < n; l++)
    for (int i = 0; i < CASES; i++) {
      double x[37], y[37], one;
      for (int j = 0; j < 37; j++) x[j] = 0.013 * j + 0.1;
      k[l]->un[cases[i].op][DT_F64](37, x, y);
      for (int j = 0; j < 37; j++) {
        k[l]->un[cases[i].op][DT_F64](1, x + j, &one);
        assert_memory_equal(&one, &y[j], 8);
      }
    }
}

/* sums and maxima do not depend on the level at all */
static void sums(void **s) {
  (void)s;
  const Kernels *k[3];
  int n = levels(k);
  static double x[5003];
  static float f[5003];
  Ld exact = 0;
  for (int i = 0; i < 5003; i++) { x[i] = sample(-1, 1, i); f[i] = (float)x[i]; exact += (Ld)x[i]; }
  for (int l = 0; l < n; l++)
    for (int m = 1; m <= 5003; m += 271) {
      assert_true(k[l]->sum_f64(m, x) == k[0]->sum_f64(m, x));
      assert_true(k[l]->sum_f32(m, f) == k[0]->sum_f32(m, f));
      assert_true(k[l]->sumsq_f64(m, x) == k[0]->sumsq_f64(m, x));
      assert_true(k[l]->dot_f32(m, f, f) == k[0]->sumsq_f32(m, f));
      double most = x[0];
      for (int i = 0; i < m; i++) most = fmax(most, x[i]);
      assert_true(k[l]->max_f64(m, x) == most);
    }
  assert_true(fabs(k[0]->sum_f64(5003, x) - (double)exact) < 1e-13);
}

static int print_table(void) {
  const Kernels *k[3];
  int n = levels(k);
  printf("| function | f64 range |");
  for (int l = 0; l < n; l++) printf(" f64 %s |", k[l]->level);
  printf(" f32 range |");
  for (int l = 0; l < n; l++) printf(" f32 %s |", k[l]->level);
  printf(" bound f64 | bound f32 |\n|---|---|");
  for (int l = 0; l < 2 * n + 3; l++) printf("---|");
  printf("\n");
  for (int i = 0; i < CASES; i++) {
    double at;
    printf("| %s | [%g, %g] |", cases[i].name, cases[i].lo64, cases[i].hi64);
    for (int l = 0; l < n; l++) printf(" %.2f |", worst64(k[l], &cases[i], 2000000, &at));
    printf(" [%g, %g] |", cases[i].lo32, cases[i].hi32);
    for (int l = 0; l < n; l++) printf(" %.2f |", worst32(k[l], &cases[i], 2000000, &at));
    printf(" %g | %g |\n", cases[i].most64, cases[i].most32);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--table") == 0) return print_table();
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(layer_gelu), cmocka_unit_test(bounds), cmocka_unit_test(special_values),
    cmocka_unit_test(far_trigonometry), cmocka_unit_test(position), cmocka_unit_test(sums),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
