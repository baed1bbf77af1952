/* vecmath_f64.h: elementary functions of doubles without branches (private;
 * included by kernels_impl.h once per instruction set, with FMA(a, b, c)
 * defined).
 *
 * Written so that the compiler turns a loop over them into vector code: only
 * arithmetic, comparisons that select, and bit moves.  Methods: exp by
 * Cody-Waite reduction and a Taylor polynomial; log and log1p after fdlibm;
 * sin and cos after fdlibm with a three-part pi/2; erf from a polynomial near
 * 0 and from exp(-x^2) erfcx(x) elsewhere, erfcx being a Chebyshev fit in
 * (x - 4)/(x + 4) made with mpmath.  Measured errors: vecmath.md.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define VM static inline __attribute__((always_inline))

VM uint64_t bits64(double x) { uint64_t u; memcpy(&u, &x, 8); return u; }
VM double from64(uint64_t u) { double x; memcpy(&x, &u, 8); return x; }

#define SHIFT64 0x1.8p52   /* adding it rounds to an integer kept in the low bits */
#define LN2_HI 6.93147180369123816490e-01
#define LN2_LO 1.90821492927058770002e-10

/* 2^n for an integral double n in [-1022, 1023] */
VM double pow2_f64(double n) { return from64((bits64(n + SHIFT64) + 1023) << 52); }

/* exp(x) - 1 = r + ... on the reduced range |r| <= ln(2)/2 */
VM double expm1_core_f64(double r) {
  double p = 1.6059043836821613e-10;
  p = FMA(p, r, 2.08767569878681e-09);
  p = FMA(p, r, 2.505210838544172e-08);
  p = FMA(p, r, 2.755731922398589e-07);
  p = FMA(p, r, 2.7557319223985893e-06);
  p = FMA(p, r, 2.48015873015873e-05);
  p = FMA(p, r, 1.984126984126984e-04);
  p = FMA(p, r, 1.3888888888888889e-03);
  p = FMA(p, r, 8.333333333333333e-03);
  p = FMA(p, r, 4.1666666666666664e-02);
  p = FMA(p, r, 1.6666666666666666e-01);
  p = FMA(p, r, 0.5);
  return FMA(p * r, r, r);
}

VM double exp_f64(double x) {
  x = x > 710.0 ? 710.0 : x;
  x = x < -746.0 ? -746.0 : x;
  double n = FMA(x, 1.44269504088896338700, SHIFT64) - SHIFT64;
  double r = FMA(n, -LN2_HI, x);
  r = FMA(n, -LN2_LO, r);
  double p = 1.0 + expm1_core_f64(r);
  /* in two steps: 2^n itself may be subnormal or overflow */
  double half = FMA(n, 0.5, SHIFT64) - SHIFT64;
  return p * pow2_f64(half) * pow2_f64(n - half);
}

VM double expm1_f64(double x) {
  double c = x > 709.79 ? 709.79 : x;
  c = c < -50.0 ? -50.0 : c;
  double n = FMA(c, 1.44269504088896338700, SHIFT64) - SHIFT64;
  double r = FMA(n, -LN2_HI, c);
  r = FMA(n, -LN2_LO, r);
  double p = expm1_core_f64(r), s = pow2_f64(n - 1.0);
  double y = 2.0 * FMA(s, p, s - 0.5);
  return fabs(x) < 1e-16 ? x : y;
}

/* log(m 2^k) for f = m - 1, m in [sqrt(1/2), sqrt(2)], plus a small c */
VM double log_core_f64(double f, double k, double c) {
  double hfsq = 0.5 * f * f, s = f / (2.0 + f), z = s * s, w = z * z;
  double t1 = w * FMA(w, FMA(w, 1.531383769920937332e-01, 2.222219843214978396e-01),
                      3.999999999940941908e-01);
  double t2 = z * FMA(w, FMA(w, FMA(w, 1.479819860511658591e-01, 1.818357216161805012e-01),
                             2.857142874366239149e-01), 6.666666666666735130e-01);
  double R = t2 + t1;
  return FMA(k, LN2_HI, f - (hfsq - FMA(s, hfsq + R, FMA(k, LN2_LO, c))));
}

/* splits normal x > 0 into m - 1 and k */
VM double log_split_f64(double x, double *k) {
  uint64_t u = bits64(x) - 0x3fe6a09e667f3bcdu + (UINT64_C(1023) << 52);
  *k = from64((u >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
  return from64((u & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
}

VM double log_f64(double x) {
  double k, up = x < 0x1p-1022 ? x * 0x1p54 : x;
  double f = log_split_f64(up, &k);
  k = x < 0x1p-1022 ? k - 54.0 : k;
  double y = log_core_f64(f, k, 0.0);
  y = x < INFINITY ? y : x;              /* inf and nan pass through */
  y = x == 0.0 ? -INFINITY : y;
  return x < 0.0 ? NAN : y;
}

VM double log1p_f64(double x) {
  double u = 1.0 + x, k;
  double f = log_split_f64(u, &k);
  double c = (x >= 1.0 ? 1.0 - (u - x) : x - (u - 1.0)) / u;   /* what rounding u lost */
  double near = x > -0.29 && x < 0.41 ? 1.0 : 0.0;
  f = near != 0.0 ? x : f;
  k = near != 0.0 ? 0.0 : k;
  c = near != 0.0 ? 0.0 : c;
  double y = log_core_f64(f, k, c);
  y = fabs(x) < 0x1p-54 ? x : y;
  y = x < INFINITY ? y : x;
  y = x == -1.0 ? -INFINITY : y;
  return x < -1.0 ? NAN : y;
}

VM double sigmoid_f64(double x) {
  double z = exp_f64(-fabs(x));
  return (x < 0.0 ? z : 1.0) / (1.0 + z);
}

VM double softplus_f64(double x) {
  double y = (x > 0.0 ? x : 0.0) + log1p_f64(exp_f64(-fabs(x)));
  return x != x ? x : y;
}

VM double tanh_f64(double x) {
  double a = fabs(x);
  a = a > 22.0 ? 22.0 : a;
  double t = expm1_f64(2.0 * a);
  double big = a > 0.55 ? 1.0 : 0.0;
  double q = (big != 0.0 ? 2.0 : t) / (t + 2.0);
  double y = big != 0.0 ? 1.0 - q : q;
  y = copysign(y, x);
  return x != x ? x : y;
}

VM double erf_small_f64(double x) {
  double u = x * x, p = 1.2220982889794601e-8;
  p = FMA(p, u, -1.6114976987186542e-7);
  p = FMA(p, u, 1.6448125627377591e-6);
  p = FMA(p, u, -1.4925162650006644e-5);
  p = FMA(p, u, 0.0001205532202098794);
  p = FMA(p, u, -0.00085483268649381732);
  p = FMA(p, u, 0.0052239776240112824);
  p = FMA(p, u, -0.026866170645055833);
  p = FMA(p, u, 0.11283791670954922);
  p = FMA(p, u, -0.3761263890318375);
  p = FMA(p, u, 1.1283791670955126);
  return x * p;
}

/* exp(a^2) erfc(a) for a in [0, 27.5] */
VM double erfcx_f64(double a) {
  double t = (a - 4.0) / (a + 4.0), p = -1.8822551750393534e-9;
  p = FMA(p, t, -1.3870633436752771e-8);
  p = FMA(p, t, -7.7708524098686552e-9);
  p = FMA(p, t, 1.1579545491817748e-7);
  p = FMA(p, t, 6.3099318920481246e-8);
  p = FMA(p, t, -8.3554036007080808e-7);
  p = FMA(p, t, 3.0082269716067098e-7);
  p = FMA(p, t, 5.7180194304286331e-6);
  p = FMA(p, t, -1.1224436722701746e-5);
  p = FMA(p, t, -2.4403165369627111e-5);
  p = FMA(p, t, 0.00015062210715057866);
  p = FMA(p, t, -0.00019925552619520981);
  p = FMA(p, t, -0.00075777330913793326);
  p = FMA(p, t, 0.0050319697622847362);
  p = FMA(p, t, -0.016197734063710445);
  p = FMA(p, t, 0.037167515561483057);
  p = FMA(p, t, -0.066330365811154464);
  p = FMA(p, t, 0.09373283499687269);
  p = FMA(p, t, -0.10103906603636772);
  p = FMA(p, t, 0.068097054254734685);
  p = FMA(p, t, 0.015379652102620995);
  p = FMA(p, t, -0.13962111684056287);
  p = FMA(p, t, 1.2329951186255525);
  return p / FMA(2.0, a, 1.0);
}

/* x x = *hi + result, exactly but for rounding of the result */
VM double square_tail_f64(double x, double *hi) {
  *hi = x * x;
#ifdef QA_FMA
  return FMA(x, x, -*hi);
#else
  double c = x * 134217729.0, h = c - (c - x), l = x - h;   /* Dekker's split */
  return ((h * h - *hi) + 2.0 * h * l) + l * l;
#endif
}

VM double erf_f64(double x) {
  double a = fabs(x), b = a > 6.0 ? 6.0 : a, hi;
  hi = b * b;   /* the tail of the square does not matter next to 1 */
  double far = copysign(1.0 - exp_f64(-hi) * erfcx_f64(b), x);
  double y = a < 0.65 ? erf_small_f64(x) : far;
  return x != x ? x : y;
}

/* x Phi(x); erfc keeps the relative precision of the left tail */
VM double gelu_f64(double x) {
  double b = x > 38.5 ? 38.5 : x, hi, lo;
  b = b < -38.5 ? -38.5 : b;
  double a = fabs(b) * 0.70710678118654752440;
  lo = square_tail_f64(b, &hi);
  double e = exp_f64(-0.5 * hi) * (1.0 - 0.5 * lo) * erfcx_f64(a);
  double far = x < 0.0 ? 0.5 * e : 1.0 - 0.5 * e;
  double near = FMA(0.5, erf_small_f64(b * 0.70710678118654752440), 0.5);
  double y = x * (fabs(x) < 0.65 ? near : far);
  y = x < -38.5 ? -0.0 : y;
  return x != x ? x : y;
}

/* ---- sin, cos: |x| <= TRIG_MAX_F64; the caller mends larger ones ------------- */

#define TRIG_MAX_F64 1.0e5

/* r + *tail = x - q pi/2; the low bits of *q count quadrants */
VM double trig_reduce_f64(double x, double *tail, uint64_t *q) {
  double t = FMA(x, 6.36619772367581382433e-01, SHIFT64);
  *q = bits64(t);
  double n = t - SHIFT64;
  double r = x - n * 1.57079632673412561417e+00;   /* exact: 33 bits times 17 */
  double w = n * 6.07710050630396597660e-11;       /* exact as well            */
  double y = r - w;
  double err = (r - y) - w;
  double w2 = n * 2.02226624871116645580e-21 + n * 8.47842766036889956997e-32;
  double z = y - (w2 - err);
  *tail = (y - z) - (w2 - err);
  return z;
}

VM double sin_core_f64(double x, double tail) {
  double z = x * x, v = z * x;
  double r = FMA(z, FMA(z, FMA(z, FMA(z, 1.58969099521155010221e-10, -2.50507602534068634195e-08),
                 2.75573137070700676789e-06), -1.98412698298579493134e-04),
                 8.33333333332248946124e-03);
  return x - ((z * (0.5 * tail - v * r) - tail) - v * -1.66666666666666324348e-01);
}

VM double cos_core_f64(double x, double tail) {
  double z = x * x, h = 0.5 * z, w = 1.0 - h;
  double r = FMA(z, FMA(z, FMA(z, FMA(z, FMA(z, -1.13596475577881948265e-11,
                 2.08757232129817482790e-09), -2.75573143513906633035e-07),
                 2.48015872894767294178e-05), -1.38888888888741095749e-03),
                 4.16666666666666019037e-02);
  return w + (((1.0 - w) - h) + (z * z * r - x * tail));
}

VM double trig_f64(double x, uint64_t quarter) {
  double tail;
  uint64_t q;
  double r = trig_reduce_f64(x, &tail, &q);
  q += quarter;
  double s = sin_core_f64(r, tail), c = cos_core_f64(r, tail);
  double y = (q & 1) != 0 ? c : s;
  return from64(bits64(y) ^ (q & 2) << 62);
}
VM double sin_f64(double x) { double y = trig_f64(x, 0); return x == 0.0 ? x : y; }
VM double cos_f64(double x) { return trig_f64(x, 1); }
