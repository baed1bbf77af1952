/* split_body.h: phases and rotations of split steps (private; included by each split_*.c
 * after it has chosen its instruction set, with SPLIT_NAME defined).  Products and sums are
 * rounded one by one, so all instruction sets give the same bits.               */
#include "runtime/evolve/split.h"
#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */
#pragma GCC diagnostic ignored "-Wunused-function"

#define FMA(a, b, c) ((a) * (b) + (c))
#include "runtime/tensor/vecmath_f64.h"

typedef double v8 __attribute__((vector_size(64), may_alias));
typedef int64_t i8 __attribute__((vector_size(64)));
#define SIMD _Pragma("omp simd")

static void phase_far(int64_t n, double phi, double scale, const double *e, double *re,
                      double *im) {
  for (int64_t i = 0; i < n; i++) {
    double c = scale * cos(phi * e[i]), s = scale * sin(phi * e[i]), x = re[i], y = im[i];
    double u = c * x, v = s * x;
    re[i] = u + s * y;
    im[i] = c * y - v;
  }
}

/* |phi e| < pi/4: nothing to reduce. */
static void phase_small(int64_t n, double phi, double scale, const double *restrict e,
                        double *restrict re, double *restrict im) {
  SIMD for (int64_t i = 0; i < n; i++) {
    double a = phi * e[i], x = re[i], y = im[i];
    double s = scale * sin_core_f64(a, 0), c = scale * cos_core_f64(a, 0);
    re[i] = c * x + s * y;
    im[i] = c * y - s * x;
  }
}

static void phase(int64_t n, double phi, double scale, const double *restrict e,
                  double *restrict re, double *restrict im) {
  SIMD for (int64_t i = 0; i < n; i++) {
    double tail, x = re[i], y = im[i];
    uint64_t q;
    double r = trig_reduce_f64(phi * e[i], &tail, &q);
    double s0 = sin_core_f64(r, tail), c0 = cos_core_f64(r, tail);
    double s = (q & 1) != 0 ? c0 : s0, c = (q & 1) != 0 ? s0 : c0;
    s = scale * from64(bits64(s) ^ (q & 2) << 62);
    c = scale * from64(bits64(c) ^ ((q + 1) & 2) << 62);
    re[i] = c * x + s * y;
    im[i] = c * y - s * x;
  }
}

/* (1 - i t X) on a pair: re += t im', im -= t re'. */
#define SHUFFLE(v, m)                                                                              \
  __builtin_shuffle(v, (i8){0 ^ m, 1 ^ m, 2 ^ m, 3 ^ m, 4 ^ m, 5 ^ m, 6 ^ m, 7 ^ m})
#define WITHIN(m, t)                                                                               \
  do {                                                                                             \
    v8 u_ = x + (t)*SHUFFLE(y, m), v_ = y - (t)*SHUFFLE(x, m);                                     \
    x = u_;                                                                                        \
    y = v_;                                                                                        \
  } while (0)
#define PAIR(t, a, b)                                                                              \
  do {                                                                                             \
    v8 ar_ = x##a + (t)*y##b, ai_ = y##a - (t)*x##b;                                               \
    v8 br_ = x##b + (t)*y##a, bi_ = y##b - (t)*x##a;                                               \
    x##a = ar_;                                                                                    \
    y##a = ai_;                                                                                    \
    x##b = br_;                                                                                    \
    y##b = bi_;                                                                                    \
  } while (0)
#define LOAD(k) v8 x##k = *(const v8 *)(re[k] + i), y##k = *(const v8 *)(im[k] + i)
#define KEEP(k) *(v8 *)(re[k] + i) = x##k, *(v8 *)(im[k] + i) = y##k

static void four(int64_t n, double t0, double t1, double *const re[4], double *const im[4]) {
  for (int64_t i = 0; i < n; i += 8) {
    LOAD(0);
    LOAD(1);
    LOAD(2);
    LOAD(3);
    PAIR(t0, 0, 1);
    PAIR(t0, 2, 3);
    PAIR(t1, 0, 2);
    PAIR(t1, 1, 3);
    KEEP(0);
    KEEP(1);
    KEEP(2);
    KEEP(3);
  }
}

static void two(int64_t n, double t, double *const re[2], double *const im[2]) {
  for (int64_t i = 0; i < n; i += 8) {
    LOAD(0);
    LOAD(1);
    PAIR(t, 0, 1);
    KEEP(0);
    KEEP(1);
  }
}

static void low(int k, const double *t, double *re, double *im) {
  int64_t n = (int64_t)1 << k;
  for (int64_t i = 0; i < n; i += 8) {
    v8 x = *(const v8 *)(re + i), y = *(const v8 *)(im + i);
    WITHIN(1, t[0]);
    WITHIN(2, t[1]);
    WITHIN(4, t[2]);
    *(v8 *)(re + i) = x;
    *(v8 *)(im + i) = y;
  }
  int q = 3;
  for (; q + 1 < k; q += 2) {
    int64_t s = (int64_t)1 << q;
    for (int64_t i = 0; i < n; i += 4 * s) {
      double *const r[4] = {re + i, re + i + s, re + i + 2 * s, re + i + 3 * s};
      double *const m[4] = {im + i, im + i + s, im + i + 2 * s, im + i + 3 * s};
      four(s, t[q], t[q + 1], r, m);
    }
  }
  if (q == k) return;
  double *const r[2] = {re, re + n / 2}, *const m[2] = {im, im + n / 2};
  two(n / 2, t[q], r, m);
}

const SplitTable SPLIT_NAME = {phase_small, phase, phase_far, low, four, two};
