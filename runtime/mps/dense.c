/* dense.c: products, decompositions and sums of real and complex blocks. */
#include "runtime/mps/dense.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "runtime/tensor/blas.h"
#include "runtime/tensor/linalg_lapack.h"

static size_t bytes_of(bool wide, int64_t n) { return (size_t)n * (wide ? 16 : 8); }

double *dense_new(Rt *rt, bool wide, int64_t n) {
  if (n > 0 && n < (int64_t)1 << 40) return rt_alloc(rt, bytes_of(wide, n));
  rt_fail(rt, RT_ERROR, "a block of a tensor network would have %lld entries", (long long)n);
  rt_help(rt, "lower `bond`");
  return NULL;
}

double *dense_new0(Rt *rt, bool wide, int64_t n) {
  double *p = dense_new(rt, wide, n);
  if (p) memset(p, 0, bytes_of(wide, n));
  return p;
}

void dense_free(Rt *rt, bool wide, int64_t n, double *p) {
  if (p) rt_free(rt, p, bytes_of(wide, n));
}

RtStatus dense_open(Rt *rt) { return lapack_open(rt); }

void dense_product(bool wide, DenseForm ta, DenseForm tb, int64_t m, int64_t n, int64_t k,
                   const double *a, int64_t lda, const double *b, int64_t ldb, int beta, double *c,
                   int64_t ldc) {
  if (wide) {
    const double one[2] = {1, 0}, more[2] = {beta, 0};
    blas()->zgemm(BLAS_ROW_MAJOR, (int)ta, (int)tb, (int)m, (int)n, (int)k, one, a, (int)lda, b,
                  (int)ldb, more, c, (int)ldc);
    return;
  }
  blas()->dgemm(BLAS_ROW_MAJOR, ta == DENSE_PLAIN ? BLAS_PLAIN : BLAS_TRANSPOSED,
                tb == DENSE_PLAIN ? BLAS_PLAIN : BLAS_TRANSPOSED, (int)m, (int)n, (int)k, 1, a,
                (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

void dense_adjoint(bool wide, int64_t m, int64_t n, const double *a, double *b) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      if (!wide) {
        b[j * m + i] = a[i * n + j];
        continue;
      }
      b[2 * (j * m + i)] = a[2 * (i * n + j)];
      b[2 * (j * m + i) + 1] = -a[2 * (i * n + j) + 1];
    }
}

void dense_add(bool wide, int64_t n, c128 c, const double *restrict x, double *restrict y) {
  if (!wide || c.im == 0) {
    for (int64_t i = 0, end = wide ? 2 * n : n; i < end; i++) y[i] += c.re * x[i];
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    double u = x[2 * i], v = x[2 * i + 1];
    y[2 * i] += c.re * u - c.im * v;
    y[2 * i + 1] += c.re * v + c.im * u;
  }
}

double dense_norm2(bool wide, int64_t n, const double *x) {
  double lane[8] = {0};
  int64_t end = wide ? 2 * n : n, i = 0;
  for (; i + 8 <= end; i += 8)
    for (int j = 0; j < 8; j++) lane[j] += x[i + j] * x[i + j];
  for (int j = 0; i < end; i++, j++) lane[j] += x[i] * x[i];
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

void dense_scale(bool wide, int64_t n, double c, double *x) {
  for (int64_t i = 0, end = wide ? 2 * n : n; i < end; i++) x[i] *= c;
}

static RtStatus fits(Rt *rt, int64_t m, int64_t n) {
  if (m > 0 && n > 0 && m < INT_MAX / 2 && n < INT_MAX / 2 && m * n < (int64_t)1 << 34)
    return RT_OK;
  rt_fail(rt, RT_ERROR, "a tensor network would decompose a matrix of %lld by %lld", (long long)m,
          (long long)n);
  rt_help(rt, "lower `bond`");
  return RT_ERROR;
}

RtStatus dense_svd(Rt *rt, bool wide, int64_t m, int64_t n, double *a, double *s, double *u,
                   double *vt) {
  RT_TRY(fits(rt, m, n));
  int info = lapack_svd(wide ? DT_C128 : DT_F64, (int)m, (int)n, a, s, u, vt);
  if (info == 0 && isfinite(s[0])) return RT_OK;
  rt_fail(rt, RT_ERROR, "the singular values of a %lld by %lld block did not converge",
          (long long)m, (long long)n);
  rt_help(rt, "numbers that are not finite, or too large a step, lead here");
  return RT_ERROR;
}

RtStatus dense_qr(Rt *rt, bool wide, int64_t m, int64_t n, double *a, double *r) {
  int64_t k = m < n ? m : n, w = wide ? 2 : 1;
  DType dt = wide ? DT_C128 : DT_F64;
  RT_TRY(fits(rt, m, n));
  double *tau = dense_new(rt, wide, k);
  if (!tau) return rt->error.status;
  int info = lapack_qr(dt, (int)m, (int)n, a, tau);
  for (int64_t i = 0; i < k && !info; i++)
    for (int64_t j = 0; j < n * w; j++) r[i * n * w + j] = j < i * w ? 0 : a[i * n * w + j];
  if (!info) info = lapack_qr_vectors(dt, (int)m, (int)k, (int)n, a, tau);
  for (int64_t i = 1; i < m && k < n && !info; i++)
    memmove(a + i * k * w, a + i * n * w, bytes_of(wide, k));
  dense_free(rt, wide, k, tau);
  return info ? rt_fail(rt, RT_ERROR, "a %lld by %lld block could not be orthogonalised",
                        (long long)m, (long long)n)
              : RT_OK;
}

RtStatus dense_eigen(Rt *rt, bool wide, int64_t n, double *h, double *w) {
  RT_TRY(fits(rt, n, n));
  if (lapack_eigh(wide ? DT_C128 : DT_F64, (int)n, h, w) == 0) return RT_OK;
  return rt_fail(rt, RT_ERROR, "the eigenvalues of a %lld by %lld block did not converge",
                 (long long)n, (long long)n);
}
