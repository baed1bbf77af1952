/* rows_body.h: the loops of rows.h for one type (private; included by
 * rows_impl.h with T the type, N(name) its suffixed name, K(name) the member
 * of Kernels for it).  Row sums are double; the per-element work is T.
 */

#define CHUNK 256   /* elements of scratch on the stack */

static void N(softmax)(const SoftmaxJob *j, int64_t first, int64_t end) {
  const Kernels *k = kernels();
  int64_t n = j->n;
  for (int64_t r = first; r < end; r++) {
    const T *x = (const T *)j->x + r * n;
    T *o = (T *)j->o + r * n, m = k->K(max)(n, x);
    double s = k->K(expsum)(n, x, m, o);
    if (j->log) {
      T shift = (T)((double)m + log(s));
      SIMD for (int64_t i = 0; i < n; i++) o[i] = x[i] - shift;
    } else {
      T inv = (T)(1 / s);
      SIMD for (int64_t i = 0; i < n; i++) o[i] *= inv;
    }
  }
}

static void N(softmax_back)(const SoftmaxJob *j, int64_t first, int64_t end) {
  const Kernels *k = kernels();
  int64_t n = j->n;
  for (int64_t r = first; r < end; r++) {
    const T *y = (const T *)j->x + r * n, *g = (const T *)j->g + r * n;
    T *o = (T *)j->o + r * n;
    if (j->log) {
      T s = (T)k->K(sum)(n, g);
      k->K(expsum)(n, y, 0, o);
      SIMD for (int64_t i = 0; i < n; i++) o[i] = g[i] - o[i] * s;
    } else {
      T s = (T)k->K(dot)(n, g, y);
      SIMD for (int64_t i = 0; i < n; i++) o[i] = y[i] * (g[i] - s);
    }
  }
}

static void N(entropy)(const EntropyJob *j, int64_t first, int64_t end) {
  const Kernels *k = kernels();
  int64_t n = j->n;
  T e[CHUNK];
  for (int64_t r = first; r < end; r++) {
    const T *x = (const T *)j->x + r * n;
    T m = k->K(max)(n, x);
    double s = 0;
    for (int64_t at = 0; at < n; at += CHUNK)
      s += k->K(expsum)(n - at < CHUNK ? n - at : CHUNK, x + at, m, e);
    double lse = (double)m + log(s);
    double hit = (double)x[j->labels[r]];
    double even = j->smoothing > 0 ? k->K(sum)(n, x) / (double)n : 0;
    j->lse[r] = lse;
    j->loss[r] = lse - (1 - j->smoothing) * hit - j->smoothing * even;
  }
}

static void N(entropy_back)(const EntropyJob *j, int64_t first, int64_t end) {
  const Kernels *k = kernels();
  int64_t n = j->n;
  T scale = (T)j->scale, even = (T)(j->scale * j->smoothing / (double)n);
  T hit = (T)(j->scale * (1 - j->smoothing));
  for (int64_t r = first; r < end; r++) {
    const T *x = (const T *)j->x + r * n;
    T *o = (T *)j->o + r * n;
    k->K(expsum)(n, x, (T)j->lse[r], o);
    SIMD for (int64_t i = 0; i < n; i++) o[i] = o[i] * scale - even;
    o[j->labels[r]] -= hit;
  }
}

static void N(act_row)(Activation act, int64_t n, const T *g, const T *y, T *o) {
  switch (act) {
    case ACT_RELU: SIMD for (int64_t i = 0; i < n; i++) o[i] = y[i] > 0 ? g[i] : 0; break;
    case ACT_SIGMOID: SIMD for (int64_t i = 0; i < n; i++) o[i] = g[i] * y[i] * (1 - y[i]); break;
    case ACT_TANH: SIMD for (int64_t i = 0; i < n; i++) o[i] = g[i] * (1 - y[i] * y[i]); break;
    default: SIMD for (int64_t i = 0; i < n; i++) o[i] = g[i] * y[i]; break;
  }
}

/* Columns are summed four rows at a time, while those are in cache. */
static void N(act_back)(Activation act, int64_t rows, int64_t n, const void *vg, const void *vy,
                        void *vo, double *sum) {
  const T *g = vg, *y = vy;
  T *o = vo;
  for (int64_t r = 0; r < rows; r += 4) {
    int64_t count = rows - r < 4 ? rows - r : 4;
    if (act != ACT_NONE) N(act_row)(act, count * n, g + r * n, y + r * n, o + r * n);
    const T *a = (act != ACT_NONE ? o : g) + r * n, *b = a + n, *c = b + n, *d = c + n;
    if (!sum) continue;
    if (count == 4) {
      SIMD for (int64_t i = 0; i < n; i++) sum[i] += (double)((a[i] + b[i]) + (c[i] + d[i]));
      continue;
    }
    for (; count > 0; count--, a += n) {
      SIMD for (int64_t i = 0; i < n; i++) sum[i] += (double)a[i];
    }
  }
}

static double N(squared_error)(int64_t n, const void *va, const void *vb) {
  const T *a = va, *b = vb;
  T d[CHUNK];
  double s = 0;
  for (int64_t at = 0; at < n; at += CHUNK) {
    int64_t c = n - at < CHUNK ? n - at : CHUNK;
    SIMD for (int64_t i = 0; i < c; i++) d[i] = a[at + i] - b[at + i];
    s += kernels()->K(sumsq)(c, d);
  }
  return s;
}

static void N(scaled_difference)(int64_t n, const void *va, const void *vb, double scale,
                                 void *vo) {
  const T *a = va, *b = vb;
  T *o = vo, s = (T)scale;
  SIMD for (int64_t i = 0; i < n; i++) o[i] = s * (a[i] - b[i]);
}

/* in double: squares of large floats do not overflow */
static double N(square_sum)(int64_t n, const void *vx) {
  const T *x = vx;
  double lane[32] = {0}, s = 0;
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    SIMD for (int k = 0; k < 32; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
  }
  for (; i < n; i++) s += (double)x[i] * (double)x[i];
  for (int w = 16; w > 0; w /= 2)
    for (int k = 0; k < w; k++) lane[k] += lane[k + w];
  return s + lane[0];
}

static void N(adam)(int64_t n, void *vw, const void *vg, void *vm, void *vv, const AdamStep *s) {
  T *w = vw, *m = vm, *v = vv;
  const T *g = vg;
  T b1 = (T)s->beta1, b2 = (T)s->beta2, c1 = (T)(1 - s->beta1), c2 = (T)(1 - s->beta2);
  double fix1 = 1 - pow(s->beta1, (double)s->step), fix2 = 1 - pow(s->beta2, (double)s->step);
  T rate = (T)(s->lr / fix1), root = (T)(1 / sqrt(fix2)), eps = (T)s->eps;
  T shrink = (T)(1 - s->lr * s->decay);
  SIMD for (int64_t i = 0; i < n; i++) {
    m[i] = b1 * m[i] + c1 * g[i];
    v[i] = b2 * v[i] + c2 * g[i] * g[i];
    w[i] = shrink * w[i] - rate * m[i] / (SQRT(v[i]) * root + eps);
  }
}

static void N(sgd)(int64_t n, void *vw, const void *vg, void *vv, const SgdStep *s) {
  T *w = vw, *v = vv;
  const T *g = vg;
  T lr = (T)s->lr, mu = (T)s->momentum, decay = (T)s->decay, ahead = s->nesterov ? mu : 0;
  T now = s->nesterov ? 1 : 0, past = s->nesterov ? ahead : 1;
  if (!v) {
    SIMD for (int64_t i = 0; i < n; i++) w[i] -= lr * (g[i] + decay * w[i]);
    return;
  }
  SIMD for (int64_t i = 0; i < n; i++) {
    T d = g[i] + decay * w[i];
    v[i] = mu * v[i] + d;
    w[i] -= lr * (now * d + past * v[i]);
  }
}

#undef CHUNK
