/* linalg_more.c: trace, outer and Kronecker products, exponential and
 * logarithm of matrices.                                                     */
#include <complex.h>
#include <math.h>
#include <string.h>

#include "runtime/tensor/linalg.h"
#include "runtime/tensor/linalg_batch.h"
#include "runtime/tensor/linalg_lapack.h"

Tensor *linalg_trace(Rt *rt, Tensor *a) {
  char shape[128];
  if (a->rank < 2 || a->shape[a->rank - 2] != a->shape[a->rank - 1]) {
    rt_fail(rt, RT_ERROR, "trace: needs a square matrix, found shape %s",
            tensor_shape_text(a, shape));
    return NULL;
  }
  int r = a->rank - 1;
  int64_t dims[TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK];
  memcpy(dims, a->shape, sizeof(int64_t) * (size_t)r);
  memcpy(strides, a->stride, sizeof(int64_t) * (size_t)r);
  strides[r - 1] = a->stride[r - 1] + a->stride[r]; /* down the diagonal */
  Tensor *d = tensor_view(rt, a, r, dims, strides, 0);
  Tensor *out = d ? tensor_reduce(rt, RED_SUM, d, 1u << (r - 1), false) : NULL;
  tensor_unref(rt, d);
  return out;
}

/* a and b reshaped (one extra axis each, then) multiplied with broadcasting. */
static Tensor *spread_product(Rt *rt, Tensor *a, int ra, const int64_t *sa, Tensor *b, int rb,
                              const int64_t *sb) {
  Tensor *x = tensor_reshape(rt, a, ra, sa), *y = x ? tensor_reshape(rt, b, rb, sb) : NULL;
  Tensor *out = y ? tensor_binary(rt, BIN_MUL, x, y, 0, 0) : NULL;
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  return out;
}

Tensor *linalg_outer(Rt *rt, Tensor *a, Tensor *b) {
  int64_t sa[TENSOR_MAX_RANK + 1], sb[TENSOR_MAX_RANK + 1];
  if (a->rank < 1 || b->rank < 1 || a->rank == TENSOR_MAX_RANK || b->rank == TENSOR_MAX_RANK) {
    char p[128], q[128];
    rt_fail(rt, RT_ERROR, "outer: needs two vectors, found shapes %s and %s",
            tensor_shape_text(a, p), tensor_shape_text(b, q));
    return NULL;
  }
  memcpy(sa, a->shape, sizeof(int64_t) * a->rank);
  sa[a->rank] = 1;
  memcpy(sb, b->shape, sizeof(int64_t) * b->rank);
  sb[b->rank] = b->shape[b->rank - 1];
  sb[b->rank - 1] = 1;
  return spread_product(rt, a, a->rank + 1, sa, b, b->rank + 1, sb);
}

/* Two vectors, or the last two axes: entry (i p + k, j q + l) = a_ij b_kl. */
Tensor *linalg_kron(Rt *rt, Tensor *a, Tensor *b) {
  int64_t sa[TENSOR_MAX_RANK + 2], sb[TENSOR_MAX_RANK + 2], so[TENSOR_MAX_RANK];
  int core = a->rank == 1 && b->rank == 1 ? 1 : 2;
  if (a->rank < core || b->rank < core || a->rank + core > TENSOR_MAX_RANK ||
      b->rank + core > TENSOR_MAX_RANK) {
    char p[128], q[128];
    rt_fail(rt, RT_ERROR, "kron: needs two vectors or two matrices, found shapes %s and %s",
            tensor_shape_text(a, p), tensor_shape_text(b, q));
    return NULL;
  }
  int la = a->rank - core, lb = b->rank - core;
  memcpy(sa, a->shape, sizeof(int64_t) * (size_t)la);
  memcpy(sb, b->shape, sizeof(int64_t) * (size_t)lb);
  for (int k = 0; k < core; k++) {
    sa[la + 2 * k] = a->shape[la + k];
    sa[la + 2 * k + 1] = 1;
    sb[lb + 2 * k] = 1;
    sb[lb + 2 * k + 1] = b->shape[lb + k];
  }
  Tensor *wide = spread_product(rt, a, la + 2 * core, sa, b, lb + 2 * core, sb);
  if (!wide) return NULL;
  int lead = wide->rank - 2 * core;
  memcpy(so, wide->shape, sizeof(int64_t) * (size_t)lead);
  for (int k = 0; k < core; k++)
    so[lead + k] = wide->shape[lead + 2 * k] * wide->shape[lead + 2 * k + 1];
  Tensor *out = tensor_reshape(rt, wide, lead + core, so);
  tensor_unref(rt, wide);
  return out;
}

/* ---- exponential --------------------------------------------------------------- */

/* c0 I + c1 x1 + c2 x2 + c3 x3 in place of `out`; all packed, `w` doubles an
 * entry (2 when complex).                                                    */
static void combine(int n, int w, double *out, double c0, double c1, const double *x1, double c2,
                    const double *x2, double c3, const double *x3) {
  size_t total = (size_t)n * (size_t)n * (size_t)w;
  for (size_t i = 0; i < total; i++) out[i] = c1 * x1[i] + c2 * x2[i] + c3 * x3[i];
  for (int i = 0; i < n; i++) out[((size_t)i * (size_t)n + (size_t)i) * (size_t)w] += c0;
}

static double norm_one(int n, int w, const double *a) {
  double worst = 0;
  for (int j = 0; j < n; j++) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      const double *z = a + ((size_t)i * (size_t)n + (size_t)j) * (size_t)w;
      sum += w == 2 ? hypot(z[0], z[1]) : fabs(z[0]);
    }
    if (sum > worst) worst = sum;
  }
  return worst;
}

static double *reals(Tensor *t) { return (double *)(void *)t->data; }

/* Pade approximant of degree 13 (Higham 2005): p = V + U, q = V - U with
 * U = A (A6 (b13 A6 + b11 A4 + b9 A2) + b7 A6 + b5 A4 + b3 A2 + b1 I).       */
static Tensor *pade13(Rt *rt, Tensor *a, int n, int w) {
  static const double b[14] = {64764752532480000.,
                               32382376266240000.,
                               7771770303897600.,
                               1187353796428800.,
                               129060195264000.,
                               10559470521600.,
                               670442572800.,
                               33522128640.,
                               1323241920.,
                               40840800.,
                               960960.,
                               16380.,
                               182.,
                               1.};
  enum { A2, A4, A6, T, U, V, P, Q, N };
  Tensor *x[N] = {NULL}, *out = NULL;
  size_t total = (size_t)n * (size_t)n * (size_t)w;
  if (!(x[A2] = tensor_matmul(rt, a, a)) || !(x[A4] = tensor_matmul(rt, x[A2], x[A2])) ||
      !(x[A6] = tensor_matmul(rt, x[A4], x[A2])) || !(x[T] = tensor_copy(rt, a)))
    goto done;
  const double *a2 = reals(x[A2]), *a4 = reals(x[A4]), *a6 = reals(x[A6]);
  combine(n, w, reals(x[T]), 0, b[13], a6, b[11], a4, b[9], a2);
  if (!(x[P] = tensor_matmul(rt, x[A6], x[T]))) goto done;
  combine(n, w, reals(x[T]), b[1], b[7], a6, b[5], a4, b[3], a2);
  for (size_t i = 0; i < total; i++) reals(x[T])[i] += reals(x[P])[i];
  if (!(x[U] = tensor_matmul(rt, a, x[T]))) goto done;
  combine(n, w, reals(x[T]), 0, b[12], a6, b[10], a4, b[8], a2);
  if (!(x[V] = tensor_matmul(rt, x[A6], x[T])) || !(x[Q] = tensor_copy(rt, x[V]))) goto done;
  combine(n, w, reals(x[T]), b[0], b[6], a6, b[4], a4, b[2], a2);
  for (size_t i = 0; i < total; i++) {
    double v = reals(x[V])[i] + reals(x[T])[i], u = reals(x[U])[i];
    reals(x[P])[i] = v + u;
    reals(x[Q])[i] = v - u;
  }
  out = linalg_solve(rt, x[Q], x[P]);
done:
  for (int k = 0; k < N; k++) tensor_unref(rt, x[k]);
  return out;
}

static Tensor *expm_one(Rt *rt, Tensor *a, int n, int w) {
  double norm = norm_one(n, w, reals(a));
  int squarings = 0;
  if (norm > 5.371920351148152) squarings = (int)ceil(log2(norm / 5.371920351148152));
  if (squarings > 1000) {
    rt_fail(rt, RT_ERROR, "expm: the matrix is too large, its norm is %g", norm);
    return NULL;
  }
  for (size_t i = 0, total = (size_t)n * (size_t)n * (size_t)w; i < total; i++)
    reals(a)[i] = ldexp(reals(a)[i], -squarings);
  Tensor *x = pade13(rt, a, n, w);
  for (int k = 0; x && k < squarings; k++) {
    Tensor *sq = tensor_matmul(rt, x, x);
    tensor_unref(rt, x);
    x = sq;
  }
  return x;
}

/* Runs `one` on every matrix of the batch in double precision; the result has
 * the dtype of the input.                                                    */
static Tensor *each_matrix(Rt *rt, Mats *m, DType result,
                           Tensor *(*one)(Rt *rt, Tensor *a, int n, int w)) {
  int w = dtype_complex(m->dt) ? 2 : 1;
  size_t block = (size_t)m->n * (size_t)m->n * (size_t)w * sizeof(double);
  RtStatus st = RT_OK;
  for (int64_t i = 0; st == RT_OK && m->n > 0 && i < m->count; i++) {
    Tensor *a = tensor_new(rt, m->dt, 2, (int64_t[]){m->n, m->n}), *x = NULL;
    if (a) {
      memcpy(a->data, mats_at(m, i), block);
      x = one(rt, a, m->n, w);
    }
    if (x) memcpy(mats_at(m, i), x->data, block);
    st = x ? rt_poll(rt) : rt->error.status;
    tensor_unref(rt, a);
    tensor_unref(rt, x);
  }
  Tensor *out = NULL;
  if (st == RT_OK) out = result == m->dt ? tensor_ref(m->t) : tensor_astype(rt, m->t, result);
  mats_close(rt, m);
  return out;
}

static DType float_of(DType dt) { return dt == DT_BOOL || dt == DT_I64 ? DT_F64 : dt; }

Tensor *linalg_expm(Rt *rt, Tensor *a) {
  Mats m;
  DType result = float_of((DType)a->dtype);
  if (mats_open(rt, "expm", a, true, dtype_complex(result) ? DT_C128 : DT_F64, &m)) return NULL;
  return each_matrix(rt, &m, result, expm_one);
}

/* ---- logarithm ------------------------------------------------------------------ */

typedef double _Complex zd;

/* Square root of an upper triangular matrix, in place (Bjorck and Hammarling). */
static void sqrt_upper(int n, zd *t) {
  for (int j = 0; j < n; j++) {
    t[(size_t)j * (size_t)n + (size_t)j] = csqrt(t[(size_t)j * (size_t)n + (size_t)j]);
    for (int i = j - 1; i >= 0; i--) {
      zd *tij = &t[(size_t)i * (size_t)n + (size_t)j], sum = *tij;
      for (int k = i + 1; k < j; k++)
        sum -= t[(size_t)i * (size_t)n + (size_t)k] * t[(size_t)k * (size_t)n + (size_t)j];
      *tij = sum / (t[(size_t)i * (size_t)n + (size_t)i] + t[(size_t)j * (size_t)n + (size_t)j]);
    }
  }
}

/* out += w X (I + s X)^-1 for upper triangular X, by rows from the right. */
static void add_partial_fraction(int n, const zd *x, double s, double w, zd *row, zd *out) {
  for (int i = 0; i < n; i++) {
    for (int j = i; j < n; j++) {
      zd sum = x[(size_t)i * (size_t)n + (size_t)j];
      for (int k = i; k < j; k++) sum -= row[k] * s * x[(size_t)k * (size_t)n + (size_t)j];
      row[j] = sum / (1 + s * x[(size_t)j * (size_t)n + (size_t)j]);
      out[(size_t)i * (size_t)n + (size_t)j] += w * row[j];
    }
  }
}

/* log of upper triangular T in place: square roots until T is near I, then the
 * Pade approximant of degree 7 as partial fractions (Gauss-Legendre nodes).  */
static RtStatus log_upper(Rt *rt, int n, zd *t, zd *x, zd *row) {
  static const double node[7] = {0.02544604382862074, 0.12923440720030278, 0.29707742431130142, 0.5,
                                 0.70292257568869858, 0.87076559279969722, 0.97455395617137926};
  static const double weight[7] = {0.06474248308443485, 0.13985269574463833, 0.19091502525255947,
                                   0.20897959183673469, 0.19091502525255947, 0.13985269574463833,
                                   0.06474248308443485};
  size_t total = (size_t)n * (size_t)n;
  memcpy(x, t, total * sizeof *x);
  int roots = 0;
  for (;; roots++) {
    for (int i = 0; i < n; i++) x[(size_t)i * (size_t)n + (size_t)i] -= 1;
    if (norm_one(n, 2, (const double *)x) < 0.26) break;
    if (roots == 200) return rt_fail(rt, RT_ERROR, "logm: no convergence");
    for (int i = 0; i < n; i++) x[(size_t)i * (size_t)n + (size_t)i] += 1;
    sqrt_upper(n, x);
  }
  zd *diagonal = row + n;
  for (int i = 0; i < n; i++) diagonal[i] = clog(t[(size_t)i * (size_t)n + (size_t)i]);
  memset(t, 0, total * sizeof *t);
  for (int k = 0; k < 7; k++) add_partial_fraction(n, x, node[k], weight[k], row, t);
  for (size_t i = 0; i < total; i++) t[i] *= ldexp(1, roots);
  /* known exactly, while the square roots cost digits */
  for (int i = 0; i < n; i++) t[(size_t)i * (size_t)n + (size_t)i] = diagonal[i];
  return RT_OK;
}

/* Is the logarithm defined, and real for real matrices? */
static RtStatus log_check(Rt *rt, int n, const zd *t, bool real) {
  double scale = norm_one(n, 2, (const double *)t);
  for (int i = 0; i < n; i++) {
    zd l = t[(size_t)i * (size_t)n + (size_t)i];
    if (cabs(l) <= 0x1p-52 * scale)
      return rt_fail(rt, RT_ERROR, "logm: the matrix is singular, it has an eigenvalue 0");
    if (!real || creal(l) > 0 || fabs(cimag(l)) > 0x1p-46 * cabs(l)) continue;
    rt_fail(rt, RT_ERROR, "logm: the eigenvalue %g is negative: there is no real logarithm",
            creal(l));
    rt_help(rt, "make the matrix complex: logm(astype(a, \"c128\"))");
    return RT_ERROR;
  }
  return RT_OK;
}

static Tensor *logm_any(Rt *rt, Tensor *a, int n, bool real) {
  size_t nn = (size_t)n, bytes = (nn * nn + 3 * nn) * sizeof(zd);
  Tensor *z = tensor_new(rt, DT_C128, 2, (int64_t[]){n, n}), *y = NULL, *out = NULL;
  zd *work = z ? rt_alloc(rt, bytes) : NULL, *t = (zd *)(void *)a->data;
  if (work) {
    int info = lapack_schur(n, (c128 *)(void *)t, (c128 *)(void *)work, (c128 *)(void *)z->data);
    RtStatus st = info ? rt_fail(rt, RT_ERROR, "logm: no convergence (LAPACK info %d)", info)
                       : log_check(rt, n, t, real);
    if (!st) st = log_upper(rt, n, t, work, work + nn * nn);
    y = st ? NULL : tensor_matmul(rt, z, a);
    Tensor *zh = y ? tensor_swap_last(rt, z, true) : NULL;
    out = zh ? tensor_matmul(rt, y, zh) : NULL;
    tensor_unref(rt, zh);
    rt_free(rt, work, bytes);
  }
  tensor_unref(rt, y);
  tensor_unref(rt, z);
  return out;
}

static Tensor *logm_real(Rt *rt, Tensor *a, int n, int w) { return logm_any(rt, a, n, true); }
static Tensor *logm_complex(Rt *rt, Tensor *a, int n, int w) { return logm_any(rt, a, n, false); }

Tensor *linalg_logm(Rt *rt, Tensor *a) {
  Mats m;
  DType result = float_of((DType)a->dtype);
  if (mats_open(rt, "logm", a, true, DT_C128, &m)) return NULL;
  if (dtype_complex(result)) return each_matrix(rt, &m, result, logm_complex);
  Tensor *z = each_matrix(rt, &m, DT_C128, logm_real);
  Tensor *re = z ? tensor_unary(rt, UN_REAL, z, 0) : NULL;
  tensor_unref(rt, z);
  if (!re || result == DT_F64) return re;
  Tensor *out = tensor_astype(rt, re, result);
  tensor_unref(rt, re);
  return out;
}
