/* vectors_body.h: loops over vectors of REAL, double or float (private; included for each by
 * vectors_levels.h, with VECTORS_NAME, VECTORS_TYPE and OF(name) defined).  Sums are of
 * doubles, into eight lanes by blocks of 4096, whatever the instruction set: the same bits. */

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

static double OF(subtract_dot)(int64_t n, double c, const REAL *restrict p,
                               const REAL *restrict q, REAL *restrict w) {
  BLOCKS(w[i] -= (REAL)c * p[i], (double)w[i] * (double)q[i])
}

static double OF(subtract_norm2)(int64_t n, double c, const REAL *restrict p, REAL *restrict w) {
  BLOCKS(w[i] -= (REAL)c * p[i], (double)w[i] * (double)w[i])
}

static double OF(scaled_dot)(int64_t n, double a, double c, const REAL *restrict p,
                             const REAL *restrict q, REAL *restrict w) {
  BLOCKS(w[i] = (REAL)a * w[i] - (REAL)c * p[i], (double)w[i] * (double)q[i])
}

/* The same steps in the same order as scaled_dot and subtract_norm2. */
static void OF(advance)(int64_t n, double a, double c, const REAL *restrict p, double d,
                        const REAL *restrict q, double s, REAL *restrict w,
                        REAL *restrict sum) {
  SIMD for (int64_t i = 0; i < n; i++) {
    REAL t = (REAL)a * w[i] - (REAL)c * p[i];
    w[i] = t - (REAL)d * q[i];
    sum[i] += (REAL)s * q[i];
  }
}

static void OF(scale)(int64_t n, double c, REAL *x) {
  SIMD for (int64_t i = 0; i < n; i++) x[i] *= (REAL)c;
}

static void OF(add)(int64_t n, double c, const REAL *restrict x, REAL *restrict y) {
  SIMD for (int64_t i = 0; i < n; i++) y[i] += (REAL)c * x[i];
}

static void OF(add_complex)(int64_t n, double re, double im, const REAL *restrict x,
                            REAL *restrict y) {
  /* no difference beside a sum: GCC would fuse that, rounding once */
  REAL a = (REAL)re, b = (REAL)im, minus = -b;
  SIMD for (int64_t i = 0; i < n / 2; i++) {
    REAL u = x[2 * i], v = x[2 * i + 1];
    y[2 * i] = y[2 * i] + a * u + minus * v;
    y[2 * i + 1] = y[2 * i + 1] + a * v + b * u;
  }
}

static double OF(cross)(int64_t n, const REAL *x, const REAL *y) {
  double total = 0;
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t end = at + BLOCK < n ? at + BLOCK : n, k = at;
    double s[8] = {0}, minus[8] = {0};
    for (; k + 16 <= end; k += 16)
      SIMD for (int j = 0; j < 8; j++) {
        s[j] += (double)x[k + 2 * j] * (double)y[k + 2 * j + 1];
        minus[j] += (double)x[k + 2 * j + 1] * (double)y[k + 2 * j];
      }
    for (int64_t i = k; i < end; i += 2) {
      s[(i - k) / 2] += (double)x[i] * (double)y[i + 1];
      minus[(i - k) / 2] += (double)x[i + 1] * (double)y[i];
    }
    total += folded(s) - folded(minus);
  }
  return total;
}

const VECTORS_TYPE VECTORS_NAME = {
    OF(subtract_dot), OF(subtract_norm2), OF(scaled_dot), OF(advance),
    OF(scale),        OF(add),            OF(add_complex), OF(cross)};
#undef BLOCKS
#undef REAL
#undef OF
#undef VECTORS_TYPE
#undef VECTORS_NAME
