/* vectors_body.h: loops over vectors of doubles (private; included by each vectors_*.c
 * after it has chosen its instruction set, with VECTORS_NAME defined).  Sums go into
 * eight lanes by blocks of 4096, whatever the instruction set: the same bits.      */
#include "runtime/evolve/vectors.h"

#define SIMD _Pragma("omp simd")
enum { BLOCK = 4096 };

static double folded(const double *s) {
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* total += the sum of TERM over i; CHANGE first */
#define BLOCKS(CHANGE, TERM)                                                     \
  double total = 0;                                                              \
  for (int64_t at = 0; at < n; at += BLOCK) {                                    \
    int64_t end = at + BLOCK < n ? at + BLOCK : n, k = at;                       \
    double s[8] = {0};                                                           \
    for (; k + 8 <= end; k += 8) {                                               \
      SIMD for (int j = 0; j < 8; j++) {                                         \
        int64_t i = k + j;                                                       \
        CHANGE;                                                                  \
        s[j] += TERM;                                                            \
      }                                                                          \
    }                                                                            \
    for (int64_t i = k; i < end; i++) {                                          \
      CHANGE;                                                                    \
      s[i - k] += TERM;                                                          \
    }                                                                            \
    total += folded(s);                                                          \
  }                                                                              \
  return total;

static double subtract_dot(int64_t n, double c, const double *restrict p,
                           const double *restrict q, double *restrict w) {
  BLOCKS(w[i] -= c * p[i], w[i] * q[i])
}

static double subtract_norm2(int64_t n, double c, const double *restrict p, double *restrict w) {
  BLOCKS(w[i] -= c * p[i], w[i] * w[i])
}

static double scaled_dot(int64_t n, double a, double c, const double *restrict p,
                         const double *restrict q, double *restrict w) {
  BLOCKS(w[i] = a * w[i] - c * p[i], w[i] * q[i])
}

static double dot_imaginary(int64_t n, const double *restrict x, const double *restrict y) {
  n /= 2;
  BLOCKS((void)0, (x[2 * i] * y[2 * i + 1] - x[2 * i + 1] * y[2 * i]))
}

/* The same steps in the same order as scaled_dot and subtract_norm2. */
static void advance(int64_t n, double a, double c, const double *restrict p, double d,
                    const double *restrict q, double s, double *restrict w,
                    double *restrict sum) {
  SIMD for (int64_t i = 0; i < n; i++) {
    double t = a * w[i] - c * p[i];
    w[i] = t - d * q[i];
    sum[i] += s * q[i];
  }
}

static void scale(int64_t n, double c, double *x) {
  SIMD for (int64_t i = 0; i < n; i++) x[i] *= c;
}

static void add(int64_t n, double c, const double *restrict x, double *restrict y) {
  SIMD for (int64_t i = 0; i < n; i++) y[i] += c * x[i];
}

static void add_complex(int64_t n, double re, double im, const double *restrict x,
                        double *restrict y) {
  double minus = -im; /* no difference beside a sum: GCC would fuse that, rounding once */
  SIMD for (int64_t i = 0; i < n / 2; i++) {
    double u = x[2 * i], v = x[2 * i + 1];
    y[2 * i] = y[2 * i] + re * u + minus * v;
    y[2 * i + 1] = y[2 * i + 1] + re * v + im * u;
  }
}

const VectorTable VECTORS_NAME = {subtract_dot, subtract_norm2, scaled_dot, dot_imaginary,
                                  advance,      scale,          add,        add_complex};
