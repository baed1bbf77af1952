/* gaps_body.h: the loops of gaps_kernels.h (private; included by each gaps_*.c after
 * it has chosen its instruction set, with GAPS_NAME defined).                  */
#define L GAP_LANES
#define LANES(l) _Pragma("omp simd") for (int l = 0; l < L; l++)

static void linear(const Poly *p, const double *restrict d, double *restrict g) {
  for (int64_t t = 0; t < p->one.n; t++) {
    int64_t v = p->one.v[t];
    double c = p->one.c[t];
    LANES(l) g[v * L + l] += c * d[v * L + l];
  }
}

/* Terms are sorted by their first variable, whose sums stay in registers. */
static void quadratic(const Poly *p, const double *restrict x, const double *restrict d,
                      double *restrict g) {
  const int32_t *uv = p->two.uv;
  for (int64_t t = 0; t < p->two.n;) {
    const int32_t u = uv[2 * t];
    const double *restrict xu = x + (int64_t)u * L, *restrict du = d + (int64_t)u * L;
    double sum[L] = {0};
    for (; t < p->two.n && uv[2 * t] == u; t++) {
      const int64_t v = (int64_t)uv[2 * t + 1] * L;
      const double c = p->two.c[t];
      LANES(l) {
        sum[l] += c * (du[l] * x[v + l]);
        g[v + l] += c * (xu[l] * d[v + l]);
      }
    }
    LANES(l) g[(int64_t)u * L + l] += sum[l];
  }
}

/* work[i] is the product of the values behind position i. */
static void higher(const Poly *p, const double *restrict x, const double *restrict d,
                   double *restrict g, double *restrict work) {
  int64_t from = 0;
  for (int64_t t = 0; t < p->many.n; t++) {
    const int32_t *v = p->many.v + from;
    const int k = (int)(p->many.end[t] - from);
    const double c = p->many.c[t];
    double before[L];
    from = p->many.end[t];
    LANES(l) work[(int64_t)k * L + l] = 1;
    for (int i = k - 1; i > 0; i--)
      LANES(l) work[i * L + l] = work[(i + 1) * L + l] * x[(int64_t)v[i] * L + l];
    LANES(l) before[l] = c;
    for (int i = 0; i < k; i++) {
      const int64_t at = (int64_t)v[i] * L;
      LANES(l) {
        g[at + l] += before[l] * (d[at + l] * work[(i + 1) * L + l]);
        before[l] *= x[at + l];
      }
    }
  }
}

static void singles(const Poly *p, const double *x, const double *d, double *g, double *work) {
  linear(p, d, g);
  quadratic(p, x, d, g);
  higher(p, x, d, g, work);
}

static void pairs(int64_t m, const int32_t *uv, const double *restrict c,
                  const double *restrict d, double *restrict out) {
  for (int64_t t = 0; t < m; t++) {
    const int64_t u = (int64_t)uv[2 * t] * L, v = (int64_t)uv[2 * t + 1] * L;
    LANES(l) out[l] += c[t] * (d[u + l] * d[v + l]);
  }
}

/* Products with and without the flips, and the sum over single flips, grow together:
 * one <- one * x + before * d.                                                 */
static void term(int k, const int32_t *v, const uint8_t *flips, double c, const double *restrict x,
                 const double *restrict d, double *restrict out) {
  double before[L], after[L], one[L];
  LANES(l) {
    before[l] = after[l] = 1;
    one[l] = 0;
  }
  for (int i = 0; i < k; i++) {
    const int64_t at = (int64_t)v[i] * L;
    const double f = flips[i] ? 1 : 0;
    LANES(l) {
      double move = f * d[at + l];
      one[l] = one[l] * x[at + l] + before[l] * move;
      after[l] *= x[at + l] + move;
      before[l] *= x[at + l];
    }
  }
  LANES(l) out[l] += c * (after[l] - before[l] - one[l]);
}

const GapKernels GAPS_NAME = {singles, pairs, term};
