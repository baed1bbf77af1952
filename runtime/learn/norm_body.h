/* norm_body.h: the loops of layer and root-mean-square normalisation for one
 * type (private; included by rows_impl.h beside rows_body.h).
 *
 * Sums of a row go through explicit vectors of 64 bytes, four running ones, and
 * through double per block of a row; gradients of gain and bias are summed over
 * a few rows in T, then in double.  The mean is kept in two parts, so that rows
 * far from 0 lose nothing: x - m is exact there, the rest c is small.
 */

#define LANES ((int64_t)(64 / sizeof(T)))
#define SPAN 1024    /* elements summed in T before double takes over  */
#define GROUP 16     /* rows whose gain and bias gradients are summed in T */
#define TOGETHER 4   /* rows whose sums are taken before any goes on     */

typedef T N(vec) __attribute__((vector_size(64)));
typedef T N(half) __attribute__((vector_size(32)));
typedef T N(quarter) __attribute__((vector_size(16)));
#define UNROLL _Pragma("GCC unroll 4")
#define INLINE static inline __attribute__((always_inline))

/* The sum of a[0] .. a[3], lanes by halves. */
INLINE double N(across)(const N(vec) *a) {
  N(vec) t = (a[0] + a[1]) + (a[2] + a[3]);
  N(half) h[2], u;
  memcpy(h, &t, sizeof t);
  u = h[0] + h[1];
  N(quarter) q[2], v;
  memcpy(q, &u, sizeof u);
  v = q[0] + q[1];
  return sizeof(T) == 8 ? (double)(v[0] + v[1])
                        : (double)((v[0] + v[2 % (16 / sizeof(T))]) + (v[1] + v[3 % (16 / sizeof(T))]));
}

/* Sum of x; with r, of x + r, which is also stored in s. */
INLINE double N(row_sum)(int64_t n, const T *x, const T *r, T *s) {
  double total = 0;
  for (int64_t at = 0; at < n; at += SPAN) {
    int64_t end = at + SPAN < n ? at + SPAN : n, i = at;
    N(vec) a[4] = {{0}, {0}, {0}, {0}}, v, w;
    for (; i + 4 * LANES <= end; i += 4 * LANES) {
      UNROLL for (int k = 0; k < 4; k++) {
        memcpy(&v, x + i + k * LANES, sizeof v);
        if (r) {
          memcpy(&w, r + i + k * LANES, sizeof w);
          v += w;
          memcpy(s + i + k * LANES, &v, sizeof v);
        }
        a[k] += v;
      }
    }
    for (; i < end; i++) {
      T e = x[i];
      if (r) s[i] = e += r[i];
      total += (double)e;
    }
    total += N(across)(a);
  }
  return total;
}

/* Sums of x - m and of its square. */
INLINE void N(row_squares)(int64_t n, const T *x, T m, double *sum, double *square) {
  *sum = *square = 0;
  for (int64_t at = 0; at < n; at += SPAN) {
    int64_t end = at + SPAN < n ? at + SPAN : n, i = at;
    N(vec) a[4] = {{0}, {0}, {0}, {0}}, b[4] = {{0}, {0}, {0}, {0}}, v;
    for (; i + 4 * LANES <= end; i += 4 * LANES) {
      UNROLL for (int k = 0; k < 4; k++) {
        memcpy(&v, x + i + k * LANES, sizeof v);
        v -= m;
        a[k] += v;
        b[k] += v * v;
      }
    }
    for (; i < end; i++) {
      T e = x[i] - m;
      *sum += (double)e;
      *square += (double)e * (double)e;
    }
    *sum += N(across)(a);
    *square += N(across)(b);
  }
}

/* (x - mean) inv = (x - m) inv + shift */
typedef struct { T m, inv, shift; } N(Scale);
INLINE N(Scale) N(scale_of)(const double *stats) {
  T m = (T)stats[0];
  return (N(Scale)){m, (T)stats[1], (T)((double)m - stats[0]) * (T)stats[1]};
}

/* o = ((x - mean) inv) gain + bias of one row. */
INLINE void N(norm_row)(const NormJob *j, const T *x, N(Scale) s, T *o) {
  const T *gain = j->gain, *bias = j->bias;
  int64_t n = j->n;
  if (gain && bias) {
    SIMD for (int64_t i = 0; i < n; i++)
      o[i] = ((x[i] - s.m) * s.inv + s.shift) * gain[i] + bias[i];
  } else if (gain) {
    SIMD for (int64_t i = 0; i < n; i++) o[i] = ((x[i] - s.m) * s.inv + s.shift) * gain[i];
  } else {
    SIMD for (int64_t i = 0; i < n; i++) o[i] = (x[i] - s.m) * s.inv + s.shift;
    if (bias) { SIMD for (int64_t i = 0; i < n; i++) o[i] += bias[i]; }
  }
}

/* A few rows at a time, step by step: the sums of one wait for those of none. */
static void N(norm)(const NormJob *j, int64_t first, int64_t end) {
  int64_t n = j->n;
  double part = 1 / (double)n;
  for (int64_t at = first; at < end; at += TOGETHER) {
    int64_t rows = end - at < TOGETHER ? end - at : TOGETHER;
    const T *x = (const T *)j->x + at * n, *more = j->more ? (const T *)j->more + at * n : NULL;
    T *sums = more ? (T *)j->sum + at * n : NULL, *o = (T *)j->o + at * n;
    double *stats = j->stats + 2 * at, sum[TOGETHER] = {0}, square[TOGETHER];
    for (int64_t r = 0; r < rows && (j->center || more); r++)
      sum[r] = N(row_sum)(n, x + r * n, more ? more + r * n : NULL, sums ? sums + r * n : NULL);
    if (more) x = sums;
    for (int64_t r = 0; r < rows; r++) {
      T m = j->center ? (T)(sum[r] * part) : 0;
      N(row_squares)(n, x + r * n, m, &sum[r], &square[r]);
      stats[2 * r] = (double)m;
    }
    for (int64_t r = 0; r < rows; r++) {
      double rest = j->center ? sum[r] * part : 0;
      stats[2 * r] += rest;
      stats[2 * r + 1] = 1 / sqrt((square[r] - rest * sum[r]) * part + j->eps);
    }
    for (int64_t r = 0; r < rows; r++)
      N(norm_row)(j, x + r * n, N(scale_of)(stats + 2 * r), o + r * n);
  }
}

/* With h = (x - mean) inv and q = g gain: the sums of q and of q h. */
INLINE void N(back_sums)(const T *x, const T *g, const T *gain, N(Scale) s, int64_t n,
                         double *sum, double *dot) {
  *sum = *dot = 0;
  for (int64_t at = 0; at < n; at += SPAN) {
    int64_t end = at + SPAN < n ? at + SPAN : n, i = at;
    N(vec) a[4] = {{0}, {0}, {0}, {0}}, b[4] = {{0}, {0}, {0}, {0}}, q, w;
    for (; i + 4 * LANES <= end; i += 4 * LANES) {
      UNROLL for (int k = 0; k < 4; k++) {
        memcpy(&q, g + i + k * LANES, sizeof q);
        if (gain) {
          memcpy(&w, gain + i + k * LANES, sizeof w);
          q *= w;
        }
        memcpy(&w, x + i + k * LANES, sizeof w);
        a[k] += q;
        b[k] += q * ((w - s.m) * s.inv + s.shift);
      }
    }
    for (; i < end; i++) {
      T e = gain ? g[i] * gain[i] : g[i];
      *sum += (double)e;
      *dot += (double)(e * ((x[i] - s.m) * s.inv + s.shift));
    }
    *sum += N(across)(a);
    *dot += N(across)(b);
  }
}

/* Of four vectors of columns from `at`: sums over rows [first, end) of g h and g. */
INLINE void N(gain_sums)(const NormJob *j, int64_t first, int64_t end, int64_t at, T *gh, T *g) {
  N(vec) a[4] = {{0}, {0}, {0}, {0}}, b[4] = {{0}, {0}, {0}, {0}}, x, y;
  for (int64_t r = first; r < end; r++) {
    const T *from = (const T *)j->x + r * j->n + at, *back = (const T *)j->g + r * j->n + at;
    N(Scale) s = N(scale_of)(j->stats + 2 * r);
    UNROLL for (int k = 0; k < 4; k++) {
      memcpy(&x, from + k * LANES, sizeof x);
      memcpy(&y, back + k * LANES, sizeof y);
      a[k] += y * ((x - s.m) * s.inv + s.shift);
      b[k] += y;
    }
  }
  memcpy(gh, a, sizeof a);
  memcpy(g, b, sizeof b);
}

/* Adds the rows' g h and g to dgain and dbias. */
static void N(back_gain)(const NormJob *j, int64_t first, int64_t end, double *dgain,
                         double *dbias) {
  int64_t n = j->n, wide = 4 * LANES;
  for (int64_t at = 0; at < n; at += wide) {
    int64_t c = n - at < wide ? n - at : wide;
    T a[256 / sizeof(T)] = {0}, b[256 / sizeof(T)] = {0};
    if (c == wide) N(gain_sums)(j, first, end, at, a, b);
    for (int64_t r = first; c < wide && r < end; r++) {
      const T *x = (const T *)j->x + r * n + at, *g = (const T *)j->g + r * n + at;
      N(Scale) s = N(scale_of)(j->stats + 2 * r);
      for (int64_t i = 0; i < c; i++) {
        a[i] += g[i] * ((x[i] - s.m) * s.inv + s.shift);
        b[i] += g[i];
      }
    }
    if (dgain) { SIMD for (int64_t i = 0; i < c; i++) dgain[at + i] += (double)a[i]; }
    if (dbias) { SIMD for (int64_t i = 0; i < c; i++) dbias[at + i] += (double)b[i]; }
  }
}

/* dx = inv (q - mean(q) - h mean(q h)) + the sum's own adjoint; the middle term
 * only when centred.                                                          */
INLINE void N(back_row)(const NormJob *j, int64_t r, double sum, double dot) {
  int64_t n = j->n;
  const T *gain = j->gain, *x = (const T *)j->x + r * n, *g = (const T *)j->g + r * n;
  const T *more = j->more ? (const T *)j->more + r * n : NULL;
  T *o = (T *)j->o + r * n;
  N(Scale) s = N(scale_of)(j->stats + 2 * r);
  /* inv (q - s1 - h s2) = inv q + (x - m) slope + level */
  T s1 = j->center ? (T)(sum / (double)n) : 0, s2 = (T)(dot / (double)n);
  T slope = -s.inv * s.inv * s2, level = -s.inv * (s1 + s.shift * s2);
  if (gain && more) {
    SIMD for (int64_t i = 0; i < n; i++)
      o[i] = (g[i] * gain[i] * s.inv + ((x[i] - s.m) * slope + level)) + more[i];
    return;
  }
  if (gain) {
    SIMD for (int64_t i = 0; i < n; i++)
      o[i] = g[i] * gain[i] * s.inv + ((x[i] - s.m) * slope + level);
  } else {
    SIMD for (int64_t i = 0; i < n; i++) o[i] = g[i] * s.inv + ((x[i] - s.m) * slope + level);
  }
  if (more) { SIMD for (int64_t i = 0; i < n; i++) o[i] += more[i]; }
}

static void N(norm_back)(const NormJob *j, int64_t first, int64_t end, double *dgain,
                         double *dbias) {
  const T *gain = j->gain;
  int64_t n = j->n;
  for (int64_t group = first; group < end; group += GROUP) {
    int64_t stop = group + GROUP < end ? group + GROUP : end;
    for (int64_t at = group; at < stop; at += TOGETHER) {
      int64_t rows = stop - at < TOGETHER ? stop - at : TOGETHER;
      double sum[TOGETHER], dot[TOGETHER];
      for (int64_t r = 0; r < rows; r++)
        N(back_sums)((const T *)j->x + (at + r) * n, (const T *)j->g + (at + r) * n, gain,
                     N(scale_of)(j->stats + 2 * (at + r)), n, &sum[r], &dot[r]);
      for (int64_t r = 0; r < rows; r++) N(back_row)(j, at + r, sum[r], dot[r]);
    }
    if (dgain || dbias) N(back_gain)(j, group, stop, dgain, dbias);
  }
}

#undef LANES
#undef SPAN
#undef GROUP
#undef TOGETHER
#undef UNROLL
#undef INLINE
