/* kernels_plain.c: inner loops that call the mathematics library or branch:
 * integer arithmetic with its checks, powers, inverse functions, complex
 * functions.  One copy for all machines.
 */
#include "runtime/tensor/kernels.h"

#include <complex.h>
#include <math.h>
#include <string.h>

/* ---- binary, real and integer ---------------------------------------------------- */

#define BINARY(name, T, R, expr)                                              \
  static int name(int64_t n, const void *va, int64_t sa, const void *vb,      \
                  int64_t sb, void *vo) {                                     \
    const T *a = va, *b = vb;                                                 \
    R *o = vo;                                                                \
    int bad = 0;                                                              \
    for (int64_t i = 0; i < n; i++) {                                         \
      T x = a[i * sa], y = b[i * sb];                                         \
      o[i] = expr;                                                            \
    }                                                                         \
    return bad;                                                               \
  }

static inline int64_t mul_checked(int64_t x, int64_t y, int *bad) {
  int64_t r;
  if (__builtin_mul_overflow(x, y, &r)) *bad |= KERNEL_OVERFLOW;
  return r;
}

static inline int64_t floordiv_checked(int64_t x, int64_t y, int *bad) {
  if (y == 0) { *bad |= KERNEL_ZERO; return 0; }
  if (y == -1) {
    if (x == INT64_MIN) { *bad |= KERNEL_OVERFLOW; return x; }
    return -x;
  }
  int64_t q = x / y;
  return q - (x % y != 0 && (x < 0) != (y < 0));
}

static inline int64_t mod_checked(int64_t x, int64_t y, int *bad) {
  if (y == 0) { *bad |= KERNEL_ZERO; return 0; }
  if (y == -1) return 0;
  int64_t r = x % y;
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static int64_t pow_checked(int64_t x, int64_t y, int *bad) {
  if (y < 0) { *bad |= KERNEL_NEGATIVE; return 0; }
  int64_t r = 1;
  for (;;) {
    if ((y & 1) && __builtin_mul_overflow(r, x, &r)) { *bad |= KERNEL_OVERFLOW; return 0; }
    y >>= 1;
    if (!y) return r;
    if (__builtin_mul_overflow(x, x, &x)) {
      *bad |= KERNEL_OVERFLOW;   /* some higher power of x is still to come */
      return 0;
    }
  }
}

/* Python's rules: the remainder has the divisor's sign and x == q y + r. */
static inline double mod_f64_one(double x, double y) {
  double r = fmod(x, y);
  if (r != 0) return (r < 0) != (y < 0) ? r + y : r;
  return y == 0 ? NAN : copysign(0, y);
}

static inline double floordiv_f64_one(double x, double y) {
  if (y == 0) return x / y;
  double r = fmod(x, y), q = (x - r) / y;
  if (r != 0 && (r < 0) != (y < 0)) q -= 1;
  if (q == 0) return copysign(0, x / y);
  double f = floor(q);
  return q - f > 0.5 ? f + 1 : f;
}

BINARY(mul_i64, int64_t, int64_t, mul_checked(x, y, &bad))
BINARY(floordiv_i64, int64_t, int64_t, floordiv_checked(x, y, &bad))
BINARY(mod_i64, int64_t, int64_t, mod_checked(x, y, &bad))
BINARY(pow_i64, int64_t, int64_t, pow_checked(x, y, &bad))
BINARY(floordiv_f64, double, double, floordiv_f64_one(x, y))
BINARY(floordiv_f32, float, float, (float)floordiv_f64_one(x, y))
BINARY(mod_f64, double, double, mod_f64_one(x, y))
BINARY(mod_f32, float, float, (float)mod_f64_one(x, y))
BINARY(pow_f64, double, double, pow(x, y))
BINARY(pow_f32, float, float, powf(x, y))
BINARY(atan2_f64, double, double, atan2(x, y))
BINARY(atan2_f32, float, float, atan2f(x, y))

/* ---- complex ----------------------------------------------------------------------- */

/* A c128 and a double complex have one layout; memcpy says so to every compiler. */
static inline double complex in128(c128 x) {
  double complex z;
  memcpy(&z, &x, sizeof z);
  return z;
}
static inline float complex in64(c64 x) {
  float complex z;
  memcpy(&z, &x, sizeof z);
  return z;
}
static inline c128 out128(double complex z) { return (c128){creal(z), cimag(z)}; }
static inline c64 out64(float complex z) { return (c64){crealf(z), cimagf(z)}; }

/* Smith's method: no overflow where the quotient does not. */
#define COMPLEX_DIV(name, T, R, absolute)                                     \
  static inline T name(T x, T y) {                                            \
    if (absolute(y.re) >= absolute(y.im)) {                                   \
      R r = y.re == 0 && y.im == 0 ? y.im : y.im / y.re, d = y.re + y.im * r; \
      return (T){(x.re + x.im * r) / d, (x.im - x.re * r) / d};               \
    }                                                                         \
    R r = y.re / y.im, d = y.re * r + y.im;                                   \
    return (T){(x.re * r + x.im) / d, (x.im * r - x.re) / d};                 \
  }
COMPLEX_DIV(quotient128, c128, double, fabs)
COMPLEX_DIV(quotient64, c64, float, fabsf)

/* Small integral powers by squaring: exact for i^2 and the like. */
static c128 cpow_one(c128 x, c128 y) {
  if (y.im == 0 && y.re == floor(y.re) && fabs(y.re) <= 64) {
    double complex r = 1, b = in128(x);
    for (int k = (int)fabs(y.re); k; k >>= 1) {
      if (k & 1) r *= b;
      b *= b;
    }
    return y.re < 0 ? quotient128((c128){1, 0}, out128(r)) : out128(r);
  }
  if (x.re == 0 && x.im == 0) return (c128){y.re > 0 ? 0 : NAN, y.re > 0 ? 0 : NAN};
  return out128(cpow(in128(x), in128(y)));
}
static inline c64 cpowf_one(c64 x, c64 y) {
  c128 r = cpow_one((c128){x.re, x.im}, (c128){y.re, y.im});
  return (c64){(float)r.re, (float)r.im};
}
BINARY(div_c128, c128, c128, quotient128(x, y))
BINARY(div_c64, c64, c64, quotient64(x, y))
BINARY(pow_c128, c128, c128, cpow_one(x, y))
BINARY(pow_c64, c64, c64, cpowf_one(x, y))

/* ---- unary --------------------------------------------------------------------------- */

#define UNARY(name, T, R, expr)                                               \
  static int name(int64_t n, const void *vx, void *vo) {                      \
    const T *a = vx;                                                          \
    R *o = vo;                                                                \
    int bad = 0;                                                              \
    for (int64_t i = 0; i < n; i++) { T x = a[i]; o[i] = expr; }              \
    return bad;                                                               \
  }
#define UNARY_REAL(name, fn)                                                  \
  UNARY(name##_f64, double, double, fn(x))                                    \
  UNARY(name##_f32, float, float, fn##f(x))
UNARY_REAL(log2, log2)
UNARY_REAL(tan, tan)
UNARY_REAL(asin, asin)
UNARY_REAL(acos, acos)
UNARY_REAL(atan, atan)
UNARY_REAL(sinh, sinh)
UNARY_REAL(cosh, cosh)

static double digamma(double x) {
  if (x != x || x == INFINITY) return x;
  if (x <= 0 && x == floor(x)) return NAN;
  double y = 0;
  if (x < 0) {   /* reflection */
    y = -M_PI / tan(M_PI * (x - floor(x)));
    x = 1 - x;
  }
  for (; x < 10; x += 1) y -= 1 / x;
  double z = 1 / (x * x);
  double s = z * (1. / 12 - z * (1. / 120 - z * (1. / 252 - z * (1. / 240 - z * (1. / 132 -
             z * (691. / 32760 - z / 12))))));
  return y + log(x) - 0.5 / x - s;
}
static double lgamma_safe(double x) { int sign; return lgamma_r(x, &sign); }
UNARY(gamma_ln_f64, double, double, lgamma_safe(x))
UNARY(gamma_ln_f32, float, float, (float)lgamma_safe(x))
UNARY(digamma_f64, double, double, digamma(x))
UNARY(digamma_f32, float, float, (float)digamma(x))
UNARY(arg_f64, double, double, x != x ? x : signbit(x) ? M_PI : 0)
UNARY(arg_f32, float, float, x != x ? x : signbit(x) ? (float)M_PI : 0)

static inline int64_t neg_checked(int64_t x, int *bad) {
  if (x == INT64_MIN) { *bad |= KERNEL_OVERFLOW; return x; }
  return -x;
}
UNARY(neg_i64, int64_t, int64_t, neg_checked(x, &bad))
UNARY(abs_i64, int64_t, int64_t, x < 0 ? neg_checked(x, &bad) : x)
UNARY(sign_i64, int64_t, int64_t, (x > 0) - (x < 0))
UNARY(relu_i64, int64_t, int64_t, x > 0 ? x : 0)
UNARY(square_i64, int64_t, int64_t, mul_checked(x, x, &bad))
UNARY(same_i64, int64_t, int64_t, x)
UNARY(zero_i64, int64_t, int64_t, x & 0)
UNARY(false_i64, int64_t, uint8_t, (uint8_t)(x & 0))
UNARY(true_i64, int64_t, uint8_t, (uint8_t)(x & 0) | 1)
UNARY(same_f32, float, float, x)
UNARY(same_f64, double, double, x)
UNARY(zero_f32, float, float, x != x ? x : 0)
UNARY(zero_f64, double, double, x != x ? x : 0)

/* ---- unary, complex --------------------------------------------------------------------- */

#define UNARY_COMPLEX(name, fn)                                               \
  UNARY(name##_c128, c128, c128, out128(fn(in128(x))))                        \
  UNARY(name##_c64, c64, c64, out64(fn##f(in64(x))))
#define UNARY_PARTS(t, T, R, S)                                               \
  UNARY(neg_##t, T, T, ((T){-x.re, -x.im}))                                   \
  UNARY(conj_##t, T, T, ((T){x.re, -x.im}))                                   \
  UNARY(real_##t, T, R, x.re)                                                 \
  UNARY(imag_##t, T, R, x.im)                                                 \
  UNARY(abs_##t, T, R, hypot##S(x.re, x.im))                                  \
  UNARY(arg_##t, T, R, atan2##S(x.im, x.re))                                  \
  UNARY(square_##t, T, T, ((T){x.re * x.re - x.im * x.im, 2 * x.re * x.im}))  \
  UNARY(isnan_##t, T, uint8_t, isnan(x.re) || isnan(x.im))                    \
  UNARY(isfinite_##t, T, uint8_t, isfinite(x.re) && isfinite(x.im))
UNARY_PARTS(c128, c128, double, )
UNARY_PARTS(c64, c64, float, f)
UNARY(recip_c128, c128, c128, quotient128((c128){1, 0}, x))
UNARY(recip_c64, c64, c64, quotient64((c64){1, 0}, x))
UNARY_COMPLEX(sqrt, csqrt)
UNARY_COMPLEX(exp, cexp)
UNARY_COMPLEX(log, clog)
UNARY_COMPLEX(sin, csin)
UNARY_COMPLEX(cos, ccos)
UNARY_COMPLEX(tan, ctan)
UNARY_COMPLEX(asin, casin)
UNARY_COMPLEX(acos, cacos)
UNARY_COMPLEX(atan, catan)
UNARY_COMPLEX(sinh, csinh)
UNARY_COMPLEX(cosh, ccosh)
UNARY_COMPLEX(tanh, ctanh)

static inline c128 csign_one(c128 x) {
  double r = hypot(x.re, x.im);
  return r == 0 ? x : (c128){x.re / r, x.im / r};
}
static inline c64 csignf_one(c64 x) {
  float r = hypotf(x.re, x.im);
  return r == 0 ? x : (c64){x.re / r, x.im / r};
}
UNARY(sign_c128, c128, c128, csign_one(x))
UNARY(sign_c64, c64, c64, csignf_one(x))

/* ---- the table ---------------------------------------------------------------------------- */

#define REAL(name) [DT_F32] = name##_f32, [DT_F64] = name##_f64
#define CPLX(name) [DT_C64] = name##_c64, [DT_C128] = name##_c128

const Kernels kernels_plain = {
  .level = "plain",
  .bin = {
    [BIN_MUL] = {[DT_I64] = mul_i64},
    [BIN_DIV] = {CPLX(div)},
    [BIN_FLOORDIV] = {[DT_I64] = floordiv_i64, REAL(floordiv)},
    [BIN_MOD] = {[DT_I64] = mod_i64, REAL(mod)},
    [BIN_POW] = {[DT_I64] = pow_i64, REAL(pow), CPLX(pow)},
    [BIN_ATAN2] = {REAL(atan2)},
  },
  .un = {
    [UN_NEG] = {[DT_I64] = neg_i64, CPLX(neg)},
    [UN_ABS] = {[DT_I64] = abs_i64, CPLX(abs)},
    [UN_SIGN] = {[DT_I64] = sign_i64, CPLX(sign)},
    [UN_SQRT] = {CPLX(sqrt)}, [UN_EXP] = {CPLX(exp)}, [UN_LOG] = {CPLX(log)},
    [UN_LOG2] = {REAL(log2)}, [UN_SIN] = {CPLX(sin)}, [UN_COS] = {CPLX(cos)},
    [UN_TAN] = {REAL(tan), CPLX(tan)}, [UN_ASIN] = {REAL(asin), CPLX(asin)},
    [UN_ACOS] = {REAL(acos), CPLX(acos)}, [UN_ATAN] = {REAL(atan), CPLX(atan)},
    [UN_SINH] = {REAL(sinh), CPLX(sinh)}, [UN_COSH] = {REAL(cosh), CPLX(cosh)},
    [UN_TANH] = {CPLX(tanh)}, [UN_GAMMA_LN] = {REAL(gamma_ln)},
    [UN_DIGAMMA] = {REAL(digamma)}, [UN_FLOOR] = {[DT_I64] = same_i64},
    [UN_CEIL] = {[DT_I64] = same_i64}, [UN_ROUND] = {[DT_I64] = same_i64},
    [UN_RELU] = {[DT_I64] = relu_i64},
    [UN_REAL] = {[DT_I64] = same_i64, REAL(same), CPLX(real)},
    [UN_IMAG] = {[DT_I64] = zero_i64, REAL(zero), CPLX(imag)},
    [UN_CONJ] = {[DT_I64] = same_i64, REAL(same), CPLX(conj)},
    [UN_ARG] = {REAL(arg), CPLX(arg)},
    [UN_ISNAN] = {[DT_I64] = false_i64, CPLX(isnan)},
    [UN_ISFINITE] = {[DT_I64] = true_i64, CPLX(isfinite)},
    [UN_SQUARE] = {[DT_I64] = square_i64, CPLX(square)}, [UN_RECIP] = {CPLX(recip)},
  },
};
