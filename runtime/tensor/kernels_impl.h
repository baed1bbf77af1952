/* kernels_impl.h: the vectorised inner loops (private; no include guard: it is
 * included once by each kernels_*.c after that file has chosen its instruction
 * set and defined KERNELS_NAME and KERNELS_LEVEL).
 *
 * The same operations in the same order at every level; levels differ only in
 * the rounding that fused multiply-add saves inside elementary functions.
 */
#include "runtime/tensor/kernels.h"

#ifdef __FMA__
#define QA_FMA 1
#define FMA(a, b, c) __builtin_fma(a, b, c)
#define FMAF(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#define FMAF(a, b, c) ((a) * (b) + (c))
#endif

#include "runtime/tensor/vecmath_f64.h"
#include "runtime/tensor/vecmath_f32.h"

#define SIMD _Pragma("omp simd")

/* ---- binary ------------------------------------------------------------------- */

/* Three shapes that vectorise, then the general one. */
#define BINARY(name, T, R, expr)                                              \
  static int name(int64_t n, const void *va, int64_t sa, const void *vb,      \
                  int64_t sb, void *vo) {                                     \
    const T *a = va, *b = vb;                                                 \
    R *o = vo;                                                                \
    if (sa == 1 && sb == 1) {                                                 \
      SIMD for (int64_t i = 0; i < n; i++) { T x = a[i], y = b[i]; o[i] = expr; } \
    } else if (sa == 1 && sb == 0) {                                          \
      T y = b[0];                                                             \
      SIMD for (int64_t i = 0; i < n; i++) { T x = a[i]; o[i] = expr; }       \
    } else if (sa == 0 && sb == 1) {                                          \
      T x = a[0];                                                             \
      SIMD for (int64_t i = 0; i < n; i++) { T y = b[i]; o[i] = expr; }       \
    } else {                                                                  \
      for (int64_t i = 0; i < n; i++) { T x = a[i * sa], y = b[i * sb]; o[i] = expr; } \
    }                                                                         \
    return 0;                                                                 \
  }

#define ARITH(t, T)                                                           \
  BINARY(add_##t, T, T, x + y)                                                \
  BINARY(sub_##t, T, T, x - y)                                                \
  BINARY(mul_##t, T, T, x * y)                                                \
  BINARY(div_##t, T, T, x / y)
#define ORDER(t, T)                                                           \
  BINARY(eq_##t, T, uint8_t, x == y)                                          \
  BINARY(ne_##t, T, uint8_t, x != y)                                          \
  BINARY(lt_##t, T, uint8_t, x < y)                                           \
  BINARY(le_##t, T, uint8_t, x <= y)                                          \
  BINARY(gt_##t, T, uint8_t, x > y)                                           \
  BINARY(ge_##t, T, uint8_t, x >= y)                                          \
  BINARY(min_##t, T, T, x < y || x != x ? x : y)                              \
  BINARY(max_##t, T, T, x > y || x != x ? x : y)
ARITH(f32, float)
ARITH(f64, double)
ORDER(f32, float)
ORDER(f64, double)
ORDER(i64, int64_t)
ORDER(bool, uint8_t)
BINARY(and_bool, uint8_t, uint8_t, x & y)
BINARY(or_bool, uint8_t, uint8_t, x | y)
BINARY(xor_bool, uint8_t, uint8_t, x ^ y)

/* Wraps, and keeps the sign bit of "it did not fit" of all elements. */
#define BINARY_CHECKED(name, expr, lost)                                      \
  static int name(int64_t n, const void *va, int64_t sa, const void *vb,      \
                  int64_t sb, void *vo) {                                     \
    const uint64_t *a = va, *b = vb;                                          \
    uint64_t *o = vo, bad = 0;                                                \
    if (sa == 1 && sb == 1) {                                                 \
      for (int64_t i = 0; i < n; i++) {                                       \
        uint64_t x = a[i], y = b[i], r = expr;                                \
        bad |= lost;                                                          \
        o[i] = r;                                                             \
      }                                                                       \
    } else {                                                                  \
      for (int64_t i = 0; i < n; i++) {                                       \
        uint64_t x = a[i * sa], y = b[i * sb], r = expr;                      \
        bad |= lost;                                                          \
        o[i] = r;                                                             \
      }                                                                       \
    }                                                                         \
    return bad >> 63 ? KERNEL_OVERFLOW : 0;                                   \
  }
BINARY_CHECKED(add_i64, x + y, (x ^ r) & (y ^ r))
BINARY_CHECKED(sub_i64, x - y, (x ^ y) & (x ^ r))

#define COMPLEX_BINARY(t, T, R)                                               \
  BINARY(add_##t, T, T, ((T){x.re + y.re, x.im + y.im}))                      \
  BINARY(sub_##t, T, T, ((T){x.re - y.re, x.im - y.im}))                      \
  BINARY(mul_##t, T, T, ((T){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re})) \
  BINARY(eq_##t, T, uint8_t, x.re == y.re && x.im == y.im)                    \
  BINARY(ne_##t, T, uint8_t, x.re != y.re || x.im != y.im)
COMPLEX_BINARY(c64, c64, float)
COMPLEX_BINARY(c128, c128, double)

/* ---- unary -------------------------------------------------------------------- */

#define UNARY(name, T, R, expr)                                               \
  static int name(int64_t n, const void *vx, void *vo) {                      \
    const T *a = vx;                                                          \
    R *o = vo;                                                                \
    SIMD for (int64_t i = 0; i < n; i++) { T x = a[i]; o[i] = expr; }         \
    return 0;                                                                 \
  }
#define UNARY_REAL(t, T, S)                                                   \
  UNARY(neg_##t, T, T, -x)                                                    \
  UNARY(abs_##t, T, T, fabs##S(x))                                            \
  UNARY(sign_##t, T, T, x > 0 ? (T)1 : x < 0 ? (T)-1 : x)                     \
  UNARY(sqrt_##t, T, T, __builtin_sqrt##S(x))                                 \
  UNARY(floor_##t, T, T, __builtin_floor##S(x))                               \
  UNARY(ceil_##t, T, T, __builtin_ceil##S(x))                                 \
  UNARY(round_##t, T, T, __builtin_rint##S(x))                                \
  UNARY(relu_##t, T, T, x > 0 || x != x ? x : (T)0)                           \
  UNARY(square_##t, T, T, x * x)                                              \
  UNARY(recip_##t, T, T, 1 / x)                                               \
  UNARY(isnan_##t, T, uint8_t, x != x)                                        \
  UNARY(isfinite_##t, T, uint8_t, fabs##S(x) < (T)INFINITY)                   \
  UNARY(vexp_##t, T, T, exp_##t(x))                                           \
  UNARY(vlog_##t, T, T, log_##t(x))                                           \
  UNARY(vlog1p_##t, T, T, log1p_##t(x))                                       \
  UNARY(vexpm1_##t, T, T, expm1_##t(x))                                       \
  UNARY(vtanh_##t, T, T, tanh_##t(x))                                         \
  UNARY(verf_##t, T, T, erf_##t(x))                                           \
  UNARY(vgelu_##t, T, T, gelu_##t(x))                                         \
  UNARY(vsigmoid_##t, T, T, sigmoid_##t(x))                                   \
  UNARY(vsoftplus_##t, T, T, softplus_##t(x))
UNARY_REAL(f32, float, f)
UNARY_REAL(f64, double, )
UNARY(not_bool, uint8_t, uint8_t, x ^ 1)

/* The vector part is right up to `most`; the rare larger ones go to libm.  In
 * chunks, because o may be the input.                                         */
#define TRIG(name, T, core, most, libm)                                       \
  static int name(int64_t n, const void *vx, void *vo) {                      \
    const T *a = vx;                                                          \
    T *o = vo, in[256];                                                       \
    for (int64_t at = 0; at < n; at += 256) {                                 \
      int64_t m = n - at < 256 ? n - at : 256;                                \
      int far = 0;                                                            \
      memcpy(in, a + at, (size_t)m * sizeof(T));                              \
      SIMD for (int64_t i = 0; i < m; i++) o[at + i] = core(in[i]);           \
      for (int64_t i = 0; i < m; i++) far |= !(in[i] <= most && in[i] >= -most); \
      if (!far) continue;                                                     \
      for (int64_t i = 0; i < m; i++)                                         \
        if (!(in[i] <= most && in[i] >= -most)) o[at + i] = libm(in[i]);      \
    }                                                                         \
    return 0;                                                                 \
  }
TRIG(vsin_f64, double, sin_f64, TRIG_MAX_F64, sin)
TRIG(vcos_f64, double, cos_f64, TRIG_MAX_F64, cos)
TRIG(vsin_f32, float, sin_f32, TRIG_MAX_F32, sinf)
TRIG(vcos_f32, float, cos_f32, TRIG_MAX_F32, cosf)

/* gelu'(x) = Phi(x) + x phi(x) */
VM double gelu_pair_f64(double x, double *slope) {
  double c = x > 38 ? 38 : x;
  c = c < -38 ? -38 : c;
  double phi = exp_f64(-0.5 * c * c) * 0.39894228040143267794;
  *slope = 0.5 * (1 + erf_f64(c * 0.70710678118654752440)) + c * phi;
  return gelu_f64(x);
}

#define GELU_PAIR(name, T, pair)                                              \
  static void name(int64_t n, const T *x, T *y, T *slope) {                   \
    if (slope) {                                                              \
      SIMD for (int64_t i = 0; i < n; i++) {                                  \
        T s, v = pair(x[i], &s);                                              \
        y[i] = v;                                                             \
        slope[i] = s;                                                         \
      }                                                                       \
    } else {                                                                  \
      SIMD for (int64_t i = 0; i < n; i++) { T s; y[i] = pair(x[i], &s); }    \
    }                                                                         \
  }
GELU_PAIR(gelu_both_f64, double, gelu_pair_f64)
GELU_PAIR(gelu_both_f32, float, gelu_pair_f32)

/* ---- sums ---------------------------------------------------------------------- */

/* Lanes are explicit vectors, so the tree is the same at every level: `LANES`
 * running sums over a block of SUM_BLOCK elements, then pairs of blocks.      */
#define SUM_BLOCK 1024

#define FOLD(name, T, V, LANES, value)                                        \
  typedef T V __attribute__((vector_size(LANES * sizeof(T))));                \
  VM double name##_block(int64_t n, const T *x, const T *y) {                 \
    V s[4] = {{0}, {0}, {0}, {0}};                                            \
    int64_t i = 0;                                                            \
    for (; i + 4 * LANES <= n; i += 4 * LANES)                                \
      for (int k = 0; k < 4; k++) {                                           \
        V a, b;                                                               \
        memcpy(&a, x + i + k * LANES, sizeof a);                              \
        memcpy(&b, y + i + k * LANES, sizeof b);                              \
        s[k] += value;                                                        \
      }                                                                       \
    T tail = 0;                                                               \
    for (; i < n; i++) { T a = x[i], b = y[i]; (void)b; tail += value; }      \
    V t = (s[0] + s[1]) + (s[2] + s[3]);                                      \
    double r[LANES];                                                          \
    for (int k = 0; k < LANES; k++) r[k] = (double)t[k];                      \
    for (int w = LANES / 2; w > 0; w /= 2)                                    \
      for (int k = 0; k < w; k++) r[k] += r[k + w];                           \
    return r[0] + (double)tail;                                               \
  }                                                                           \
  static double name##_tree(int64_t n, const T *x, const T *y) {              \
    if (n <= SUM_BLOCK) return name##_block(n, x, y);                         \
    int64_t half = (n / SUM_BLOCK + 1) / 2 * SUM_BLOCK;                       \
    return name##_tree(half, x, y) + name##_tree(n - half, x + half, y + half); \
  }
FOLD(sum64, double, v8d_sum, 8, a)
FOLD(dot64, double, v8d_dot, 8, a * b)
FOLD(sum32, float, v16f_sum, 16, a)
FOLD(dot32, float, v16f_dot, 16, a * b)

static double sum_f64(int64_t n, const double *x) { return sum64_tree(n, x, x); }
static double sum_f32(int64_t n, const float *x) { return sum32_tree(n, x, x); }
static double dot_f64(int64_t n, const double *x, const double *y) { return dot64_tree(n, x, y); }
static double dot_f32(int64_t n, const float *x, const float *y) { return dot32_tree(n, x, y); }
static double sumsq_f64(int64_t n, const double *x) { return dot64_tree(n, x, x); }
static double sumsq_f32(int64_t n, const float *x) { return dot32_tree(n, x, x); }

/* Sixteen lanes, which the compiler keeps in vectors; a nan stays in its lane. */
#define EXTREME(name, T, better)                                                    \
  static T name(int64_t n, const T *x) {                                      \
    T lane[16];                                                               \
    T sick = 0;                                                               \
    int64_t i = 0;                                                            \
    for (int k = 0; k < 16; k++) lane[k] = x[0];                              \
    for (; i + 16 <= n; i += 16) {                                            \
      SIMD for (int k = 0; k < 16; k++)                                       \
        lane[k] = x[i + k] better lane[k] || x[i + k] != x[i + k] ? x[i + k] : lane[k]; \
    }                                                                         \
    T m = x[0];                                                               \
    for (; i < n; i++) m = x[i] better m || x[i] != x[i] ? x[i] : m;          \
    for (int k = 0; k < 16; k++) {                                            \
      if (lane[k] != lane[k]) sick = lane[k];                                 \
      m = lane[k] better m ? lane[k] : m;                                     \
    }                                                                         \
    return sick != sick ? sick : m;                                           \
  }
EXTREME(max_of_f64, double, >)
EXTREME(max_of_f32, float, >)
EXTREME(min_of_f64, double, <)
EXTREME(min_of_f32, float, <)

static double expsum_f64(int64_t n, const double *x, double m, double *o) {
  SIMD for (int64_t i = 0; i < n; i++) o[i] = exp_f64(x[i] - m);
  return sum_f64(n, o);
}

static double expsum_f32(int64_t n, const float *x, float m, float *o) {
  SIMD for (int64_t i = 0; i < n; i++) o[i] = exp_f32(x[i] - m);
  return sum_f32(n, o);
}

/* ---- the table ------------------------------------------------------------------- */

#define ROW4(name) {[DT_I64] = name##_i64, [DT_F32] = name##_f32, [DT_F64] = name##_f64, \
                    [DT_BOOL] = name##_bool}
#define ROW_EQ(name) {[DT_BOOL] = name##_bool, [DT_I64] = name##_i64, [DT_F32] = name##_f32, \
                      [DT_F64] = name##_f64, [DT_C64] = name##_c64, [DT_C128] = name##_c128}
#define ROW2(name) {[DT_F32] = name##_f32, [DT_F64] = name##_f64}
#define ROW_ADD(name) {[DT_I64] = name##_i64, [DT_F32] = name##_f32, [DT_F64] = name##_f64, \
                       [DT_C64] = name##_c64, [DT_C128] = name##_c128}
#define ROW_MUL(name) {[DT_F32] = name##_f32, [DT_F64] = name##_f64, [DT_C64] = name##_c64, \
                       [DT_C128] = name##_c128}

const Kernels KERNELS_NAME = {
  .level = KERNELS_LEVEL,
  .bin = {
    [BIN_ADD] = ROW_ADD(add), [BIN_SUB] = ROW_ADD(sub), [BIN_MUL] = ROW_MUL(mul),
    [BIN_DIV] = ROW2(div), [BIN_MIN] = ROW4(min), [BIN_MAX] = ROW4(max),
    [BIN_EQ] = ROW_EQ(eq), [BIN_NE] = ROW_EQ(ne), [BIN_LT] = ROW4(lt), [BIN_LE] = ROW4(le),
    [BIN_GT] = ROW4(gt), [BIN_GE] = ROW4(ge), [BIN_AND] = {[DT_BOOL] = and_bool},
    [BIN_OR] = {[DT_BOOL] = or_bool}, [BIN_XOR] = {[DT_BOOL] = xor_bool},
  },
  .un = {
    [UN_NEG] = ROW2(neg), [UN_NOT] = {[DT_BOOL] = not_bool}, [UN_ABS] = ROW2(abs),
    [UN_SIGN] = ROW2(sign), [UN_SQRT] = ROW2(sqrt), [UN_EXP] = ROW2(vexp),
    [UN_LOG] = ROW2(vlog), [UN_LOG1P] = ROW2(vlog1p), [UN_EXPM1] = ROW2(vexpm1),
    [UN_SIN] = ROW2(vsin), [UN_COS] = ROW2(vcos), [UN_TANH] = ROW2(vtanh),
    [UN_ERF] = ROW2(verf), [UN_FLOOR] = ROW2(floor), [UN_CEIL] = ROW2(ceil),
    [UN_ROUND] = ROW2(round), [UN_RELU] = ROW2(relu), [UN_GELU] = ROW2(vgelu),
    [UN_SIGMOID] = ROW2(vsigmoid), [UN_SOFTPLUS] = ROW2(vsoftplus),
    [UN_ISNAN] = ROW2(isnan), [UN_ISFINITE] = ROW2(isfinite), [UN_SQUARE] = ROW2(square),
    [UN_RECIP] = ROW2(recip),
  },
  .sum_f64 = sum_f64, .sum_f32 = sum_f32, .sumsq_f64 = sumsq_f64, .sumsq_f32 = sumsq_f32,
  .dot_f64 = dot_f64, .dot_f32 = dot_f32, .max_f64 = max_of_f64, .max_f32 = max_of_f32,
  .min_f64 = min_of_f64, .min_f32 = min_of_f32,
  .expsum_f64 = expsum_f64, .expsum_f32 = expsum_f32,
  .gelu_f64 = gelu_both_f64, .gelu_f32 = gelu_both_f32,
};
