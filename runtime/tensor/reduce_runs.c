/* reduce_runs.c: reducing one contiguous run to one value.
 *
 * Sums go through fixed blocks (kernels.h) and, for long runs, fixed pieces
 * of SUM_PIECE elements added in order, so that the bits depend on the length
 * alone and not on how many threads worked.
 */
#include "runtime/tensor/reduce.h"

#include <math.h>

/* ---- sums ----------------------------------------------------------------------------- */

#define SUM_PIECES(name, T, kernel)                                           \
  static double name(int64_t n, const T *x) {                                 \
    const Kernels *k = kernels();                                             \
    if (n <= SUM_PIECE) return k->kernel(n, x);                               \
    double s = 0;                                                             \
    for (int64_t at = 0; at < n; at += SUM_PIECE)                             \
      s += k->kernel(n - at < SUM_PIECE ? n - at : SUM_PIECE, x + at);        \
    return s;                                                                 \
  }
SUM_PIECES(total_f64, double, sum_f64)
SUM_PIECES(total_f32, float, sum_f32)
SUM_PIECES(squares_f64, double, sumsq_f64)
SUM_PIECES(squares_f32, float, sumsq_f32)

#define RUN(name, T, R)                                                       \
  static int name(int64_t n, const void *vx, void *vo) {                      \
    const T *x = vx;                                                          \
    R *o = vo;                                                                \
    int bad = 0;
#define END_RUN                                                               \
    return bad;                                                               \
  }

RUN(sum_f64, double, double) *o = total_f64(n, x); END_RUN
RUN(sum_f32, float, float) *o = (float)total_f32(n, x); END_RUN
RUN(mean_f64, double, double) *o = total_f64(n, x) / (double)n; END_RUN
RUN(mean_f32, float, float) *o = (float)(total_f32(n, x) / (double)n); END_RUN
RUN(sumsq_f64, double, double) *o = squares_f64(n, x); END_RUN
RUN(sumsq_f32, float, float) *o = (float)squares_f32(n, x); END_RUN

/* 128 bits: only the total has to fit, not every partial sum */
RUN(sum_i64, int64_t, int64_t)
  __int128 s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i];
  if (s < INT64_MIN || s > INT64_MAX) bad = KERNEL_OVERFLOW;
  *o = (int64_t)s;
END_RUN

RUN(sum_bool, uint8_t, int64_t)
  int64_t s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i] != 0;
  *o = s;
END_RUN

RUN(sumsq_i64, int64_t, int64_t)
  int64_t s = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t p;
    if (__builtin_mul_overflow(x[i], x[i], &p) || __builtin_add_overflow(s, p, &s))
      bad = KERNEL_OVERFLOW;
  }
  *o = s;
END_RUN

#define COMPLEX_SUMS(t, T, R)                                                 \
  static c128 tree_##t(int64_t n, const T *x) {                               \
    if (n > 512) {                                                            \
      int64_t half = (n / 512 + 1) / 2 * 512;                                 \
      c128 a = tree_##t(half, x), b = tree_##t(n - half, x + half);           \
      return (c128){a.re + b.re, a.im + b.im};                                \
    }                                                                         \
    c128 s = {0, 0};                                                          \
    for (int64_t i = 0; i < n; i++) { s.re += x[i].re; s.im += x[i].im; }     \
    return s;                                                                 \
  }                                                                           \
  RUN(sum_##t, T, T)                                                          \
    c128 s = tree_##t(n, x);                                                  \
    *o = (T){(R)s.re, (R)s.im};                                               \
  END_RUN                                                                     \
  RUN(mean_##t, T, T)                                                         \
    c128 s = tree_##t(n, x);                                                  \
    *o = (T){(R)(s.re / (double)n), (R)(s.im / (double)n)};                   \
  END_RUN                                                                     \
  RUN(prod_##t, T, T)                                                         \
    T p = {1, 0};                                                             \
    for (int64_t i = 0; i < n; i++)                                           \
      p = (T){p.re * x[i].re - p.im * x[i].im, p.re * x[i].im + p.im * x[i].re}; \
    *o = p;                                                                   \
  END_RUN
COMPLEX_SUMS(c64, c64, float)
COMPLEX_SUMS(c128, c128, double)
RUN(sumsq_c64, c64, float) *o = (float)squares_f32(2 * n, &x->re); END_RUN
RUN(sumsq_c128, c128, double) *o = squares_f64(2 * n, &x->re); END_RUN

/* ---- products, extrema, truth ------------------------------------------------------------- */

#define PROD(t, T)                                                            \
  RUN(prod_##t, T, T)                                                         \
    T p = 1;                                                                  \
    for (int64_t i = 0; i < n; i++) p *= x[i];                                \
    *o = p;                                                                   \
  END_RUN
PROD(f32, float)
PROD(f64, double)
RUN(prod_i64, int64_t, int64_t)
  int64_t p = 1;
  bool zero = false;
  for (int64_t i = 0; i < n; i++) {
    zero |= x[i] == 0;
    if (__builtin_mul_overflow(p, x[i], &p)) bad = KERNEL_OVERFLOW;
  }
  if (zero) bad = 0, p = 0;   /* whatever the others multiply to */
  *o = p;
END_RUN

#define EXTREME(name, T, better)                                              \
  RUN(name, T, T)                                                             \
    T m = x[0];                                                               \
    for (int64_t i = 1; i < n; i++) m = x[i] better m || x[i] != x[i] ? x[i] : m; \
    *o = m;                                                                   \
  END_RUN
EXTREME(min_bool, uint8_t, <)
EXTREME(min_i64, int64_t, <)
EXTREME(max_bool, uint8_t, >)
EXTREME(max_i64, int64_t, >)

RUN(min_f32, float, float) *o = kernels()->min_f32(n, x); END_RUN
RUN(min_f64, double, double) *o = kernels()->min_f64(n, x); END_RUN
RUN(max_f32, float, float) *o = kernels()->max_f32(n, x); END_RUN
RUN(max_f64, double, double) *o = kernels()->max_f64(n, x); END_RUN

RUN(any_bool, uint8_t, uint8_t)
  uint8_t r = 0;
  for (int64_t i = 0; i < n; i++) r |= x[i] != 0;
  *o = r;
END_RUN
RUN(all_bool, uint8_t, uint8_t)
  uint8_t r = 1;
  for (int64_t i = 0; i < n; i++) r &= x[i] != 0;
  *o = r;
END_RUN

/* ---- log of a sum of exponentials ----------------------------------------------------------- */

#define LOGSUMEXP(t, T)                                                       \
  RUN(logsumexp_##t, T, T)                                                    \
    enum { CHUNK = 512 };                                                     \
    T e[CHUNK];                                                               \
    const Kernels *k = kernels();                                             \
    if (n == 0) { *o = (T)-INFINITY; return bad; }                            \
    T m = k->max_##t(n, x);                                                   \
    if (!isfinite(m)) { *o = m; return bad; }   /* inf, nan, all -inf */      \
    double s = 0;                                                             \
    for (int64_t at = 0; at < n; at += CHUNK)                                 \
      s += k->expsum_##t(n - at < CHUNK ? n - at : CHUNK, x + at, m, e);      \
    *o = (T)((double)m + log(s));                                             \
  END_RUN
LOGSUMEXP(f32, float)
LOGSUMEXP(f64, double)

#define ALL4(name) {[DT_BOOL] = name##_bool, [DT_I64] = name##_i64, [DT_F32] = name##_f32, \
                    [DT_F64] = name##_f64}
#define NUMBERS(name) [DT_F32] = name##_f32, [DT_F64] = name##_f64, [DT_C64] = name##_c64, \
                      [DT_C128] = name##_c128

const ReduceRun reduce_runs[RED_COUNT][DT_COUNT] = {
  [RED_SUM] = {[DT_BOOL] = sum_bool, [DT_I64] = sum_i64, NUMBERS(sum)},
  [RED_PROD] = {[DT_I64] = prod_i64, NUMBERS(prod)},
  [RED_MIN] = ALL4(min),
  [RED_MAX] = ALL4(max),
  [RED_MEAN] = {NUMBERS(mean)},
  [RED_ANY] = {[DT_BOOL] = any_bool},
  [RED_ALL] = {[DT_BOOL] = all_bool},
  [RED_LOGSUMEXP] = {[DT_F32] = logsumexp_f32, [DT_F64] = logsumexp_f64},
  [RED_SUMSQ] = {[DT_I64] = sumsq_i64, NUMBERS(sumsq)},
};
