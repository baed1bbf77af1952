/* lanes_body.h: the loops of lanes (private; included by each lanes_*.c after it has chosen its
 * instruction set and LANE_TABLE, the name of its table).                            */
#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */
typedef double v8d __attribute__((vector_size(64), may_alias));
typedef int64_t v8i __attribute__((vector_size(64)));
#define INLINE static inline __attribute__((always_inline))
#define RE(p, i) (((v8d *)(void *)(p))[2 * (i)])
#define IM(p, i) (((v8d *)(void *)(p))[2 * (i) + 1])

static void lane_one(double *x, const Visit *v, uint64_t bit, LaneForm form, const double *m) {
  const v8d m0 = RE(m, 0), n0 = IM(m, 0), m1 = RE(m, 1), n1 = IM(m, 1);
  const v8d m2 = RE(m, 2), n2 = IM(m, 2), m3 = RE(m, 3), n3 = IM(m, 3);
  uint64_t j = 0;
  switch (form) {
  case LANE_DIAGONAL:
    do {
      uint64_t i = j | v->base;
      v8d a = RE(x, i), b = IM(x, i);
      RE(x, i) = m0 * a - n0 * b;
      IM(x, i) = m0 * b + n0 * a;
    } while ((j = visit_next(v, j)));
    /* fall through */
  case LANE_PHASE:
    do {
      uint64_t i = j | v->base | bit;
      v8d a = RE(x, i), b = IM(x, i);
      RE(x, i) = m3 * a - n3 * b;
      IM(x, i) = m3 * b + n3 * a;
    } while ((j = visit_next(v, j)));
    return;
  case LANE_REAL:
    do {
      uint64_t i = j | v->base, k = i | bit;
      v8d a = RE(x, i), b = IM(x, i), c = RE(x, k), d = IM(x, k);
      RE(x, i) = m0 * a + m1 * c;
      IM(x, i) = m0 * b + m1 * d;
      RE(x, k) = m2 * a + m3 * c;
      IM(x, k) = m2 * b + m3 * d;
    } while ((j = visit_next(v, j)));
    return;
  default:
    do {
      uint64_t i = j | v->base, k = i | bit;
      v8d a = RE(x, i), b = IM(x, i), c = RE(x, k), d = IM(x, k);
      RE(x, i) = (m0 * a - n0 * b) + (m1 * c - n1 * d);
      IM(x, i) = (m0 * b + n0 * a) + (m1 * d + n1 * c);
      RE(x, k) = (m2 * a - n2 * b) + (m3 * c - n3 * d);
      IM(x, k) = (m2 * b + n2 * a) + (m3 * d + n3 * c);
    } while ((j = visit_next(v, j)));
  }
}

static void lane_two(double *x, const Visit *v, const uint64_t *at, const double *m) {
  uint64_t j = 0;
  do {
    uint64_t i = j | v->base;
    v8d a[4], b[4];
    for (int k = 0; k < 4; k++) {
      a[k] = RE(x, i | at[k]);
      b[k] = IM(x, i | at[k]);
    }
    for (int k = 0; k < 4; k++) {
      v8d re = {0}, im = {0};
      for (int u = 0; u < 4; u++) {
        re += RE(m, 4 * k + u) * a[u] - IM(m, 4 * k + u) * b[u];
        im += RE(m, 4 * k + u) * b[u] + IM(m, 4 * k + u) * a[u];
      }
      RE(x, i | at[k]) = re;
      IM(x, i | at[k]) = im;
    }
  } while ((j = visit_next(v, j)));
}

/* Im and Re of conj(l) a */
#define DOT_IM(l, a) (l##r * a##i - l##i * a##r)
#define DOT_RE(l, a) (l##r * a##r + l##i * a##i)
static void lane_slope(const double *psi, const double *adjoint, const Visit *v, uint64_t bit,
                       int kind, double *sum) {
  v8d s = {0};
  uint64_t j = 0;
  do {
    uint64_t i = j | v->base, k = i | bit;
    v8d ar = RE(psi, i), ai = IM(psi, i), br = RE(psi, k), bi = IM(psi, k);
    v8d lr = RE(adjoint, i), li = IM(adjoint, i), mr = RE(adjoint, k), mi = IM(adjoint, k);
    switch (kind) {
    case GATE_RX: s += DOT_IM(l, b) + DOT_IM(m, a); break;
    case GATE_RY: s += DOT_RE(m, a) - DOT_RE(l, b); break;
    case GATE_RZ: s += DOT_IM(l, a) - DOT_IM(m, b); break;
    default: s -= 2 * DOT_IM(m, b);
    }
  } while ((j = visit_next(v, j)));
  *(v8d *)(void *)sum = s * 0.5;
}

/* Cody and Waite's reduction in three parts of pi/2, then the polynomials of fdlibm's kernels. */
static void lane_sincos(const double *t, double *sine, double *cosine) {
  const double half1 = 0x1.921fb544p+0, half2 = 0x1.0b4611a6p-34, half3 = 0x1.3198a2e037073p-69;
  const double shift = 0x1.8p52;
  v8d x = *(const v8d *)(const void *)t;
  v8d big = x * M_2_PI + shift, k = big - shift;
  v8d r = ((x - k * half1) - k * half2) - k * half3, z = r * r;
  v8i q = (v8i)big;
  v8d s = z * 1.58969099521155010221e-10 - 2.50507602534068634195e-08;
  s = z * s + 2.75573137070700676789e-06;
  s = z * s - 1.98412698298579493134e-04;
  s = z * s + 8.33333333332248946124e-03;
  s = z * s - 1.66666666666666324348e-01;
  s = r + r * (z * s);
  v8d c = 2.08757232129817482790e-09 - z * 1.13596475577881948265e-11;
  c = z * c - 2.75573143513906633035e-07;
  c = z * c + 2.48015872894767294178e-05;
  c = z * c - 1.38888888888741095749e-03;
  c = z * c + 4.16666666666666019037e-02;
  c = 1 - (z * 0.5 - z * z * c);
  v8i odd = -(q & 1), sign = (q & 2) << 62, turn = ((q + 1) & 2) << 62;
  *(v8d *)(void *)sine = (v8d)((((v8i)c & odd) | ((v8i)s & ~odd)) ^ sign);
  *(v8d *)(void *)cosine = (v8d)((((v8i)s & odd) | ((v8i)c & ~odd)) ^ turn);
}

const LaneTable LANE_TABLE = {lane_one, lane_two, lane_slope, lane_sincos};
