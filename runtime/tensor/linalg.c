/* linalg.c: systems of equations, factorisations, eigenproblems.
 *
 * Each function walks its batch, calls one LAPACK routine a matrix and says in
 * words what a nonzero `info` means.                                         */
#include <math.h>
#include <string.h>

#include "runtime/tensor/linalg.h"
#include "runtime/tensor/linalg_batch.h"
#include "runtime/tensor/linalg_lapack.h"

static RtStatus scratch(Rt *rt, size_t bytes, void **out) {
  *out = rt_alloc(rt, bytes ? bytes : 1);
  return *out ? RT_OK : rt->error.status;
}

static RtStatus singular(Rt *rt, const Mats *m, int64_t i, int pivot) {
  mats_fail(rt, m, i, "the matrix is singular: pivot %d is zero", pivot);
  rt_help(rt, "lstsq(a, b) gives the solution of least norm");
  return RT_ERROR;
}

/* ---- by LU ------------------------------------------------------------------ */

/* The last axis of extent 1 of a vector's solution goes away again. */
static Tensor *drop_column(Rt *rt, Tensor *x) {
  Tensor *v = tensor_reshape(rt, x, x->rank - 1, x->shape);
  tensor_unref(rt, x);
  return v;
}

Tensor *linalg_solve(Rt *rt, Tensor *a, Tensor *b) {
  Mats ma, mb;
  bool vector;
  void *pivots = NULL;
  if (mats_pair(rt, "solve", a, b, true, &ma, &mb, &vector)) return NULL;
  size_t bytes = sizeof(int) * (size_t)ma.n + 1;
  RtStatus st = scratch(rt, bytes, &pivots);
  for (int64_t i = 0; st == RT_OK && ma.n > 0 && mb.n > 0 && i < ma.count; i++) {
    int info = lapack_lu(ma.dt, ma.n, mats_at(&ma, i), pivots);
    if (info > 0) st = singular(rt, &ma, i, info);
    else if (lapack_lu_solve(ma.dt, ma.n, mb.n, mats_at(&ma, i), pivots, mats_at(&mb, i)))
      st = mats_fail(rt, &ma, i, "LAPACK refused the system", 0);
    else st = rt_poll(rt);
  }
  if (pivots) rt_free(rt, pivots, bytes);
  mats_close(rt, &ma);
  if (st) {
    mats_close(rt, &mb);
    return NULL;
  }
  return vector ? drop_column(rt, mb.t) : mb.t;
}

Tensor *linalg_inv(Rt *rt, Tensor *a) {
  Mats m;
  void *pivots = NULL;
  if (mats_open(rt, "inv", a, true, -1, &m)) return NULL;
  size_t bytes = sizeof(int) * (size_t)m.n + 1;
  RtStatus st = scratch(rt, bytes, &pivots);
  for (int64_t i = 0; st == RT_OK && m.n > 0 && i < m.count; i++) {
    int info = lapack_lu(m.dt, m.n, mats_at(&m, i), pivots);
    if (info == 0) info = lapack_lu_inverse(m.dt, m.n, mats_at(&m, i), pivots);
    st = info > 0 ? singular(rt, &m, i, info)
         : info   ? mats_fail(rt, &m, i, "out of memory in LAPACK", 0)
                  : rt_poll(rt);
  }
  if (pivots) rt_free(rt, pivots, bytes);
  if (st) {
    mats_close(rt, &m);
    return NULL;
  }
  return m.t;
}

static c128 entry(DType dt, const void *p, int64_t i) {
  switch (dt) {
  case DT_F32: return (c128){(double)((const float *)p)[i], 0};
  case DT_F64: return (c128){((const double *)p)[i], 0};
  case DT_C64: return (c128){(double)((const c64 *)p)[i].re, (double)((const c64 *)p)[i].im};
  default: return ((const c128 *)p)[i];
  }
}

static void store(DType dt, void *p, int64_t i, c128 z) {
  switch (dt) {
  case DT_F32: ((float *)p)[i] = (float)z.re; break;
  case DT_F64: ((double *)p)[i] = z.re; break;
  case DT_C64: ((c64 *)p)[i] = (c64){(float)z.re, (float)z.im}; break;
  default: ((c128 *)p)[i] = z;
  }
}

Tensor *linalg_det(Rt *rt, Tensor *a) {
  Mats m;
  void *pivots = NULL;
  if (mats_open(rt, "det", a, true, -1, &m)) return NULL;
  size_t bytes = sizeof(int) * (size_t)m.n + 1;
  Tensor *out = batch_new(rt, &m, m.dt, 0, NULL);
  RtStatus st = out ? scratch(rt, bytes, &pivots) : rt->error.status;
  for (int64_t i = 0; st == RT_OK && i < m.count; i++) {
    c128 d = {1, 0};
    int info = m.n ? lapack_lu(m.dt, m.n, mats_at(&m, i), pivots) : 0;
    for (int k = 0; k < m.n; k++) {
      c128 u = entry(m.dt, mats_at(&m, i), (int64_t)k * m.n + k);
      if (((int *)pivots)[k] != k + 1) u.re = -u.re, u.im = -u.im;
      d = (c128){d.re * u.re - d.im * u.im, d.re * u.im + d.im * u.re};
    }
    if (info > 0) d = (c128){0, 0};
    store(m.dt, out->data, i, d);
    st = rt_poll(rt);
  }
  if (pivots) rt_free(rt, pivots, bytes);
  mats_close(rt, &m);
  if (st) {
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}

Tensor *linalg_cholesky(Rt *rt, Tensor *a) {
  Mats m;
  if (mats_open(rt, "cholesky", a, true, -1, &m)) return NULL;
  RtStatus st = RT_OK;
  for (int64_t i = 0; st == RT_OK && m.n > 0 && i < m.count; i++) {
    char *p = mats_at(&m, i);
    size_t es = dtype_size[m.dt];
    int info = lapack_cholesky(m.dt, m.n, p);
    for (int r = 0; r < m.n; r++)
      memset(p + ((size_t)r * (size_t)m.n + (size_t)r + 1) * es, 0, (size_t)(m.n - r - 1) * es);
    if (info > 0)
      st = mats_fail(rt, &m, i,
                     "the matrix is not positive definite: its leading %d rows and columns fail",
                     info);
    else st = rt_poll(rt);
  }
  if (st) {
    mats_close(rt, &m);
    return NULL;
  }
  return m.t;
}

Tensor *linalg_solve_triangular(Rt *rt, Tensor *t, Tensor *b, bool lower, bool trans) {
  Mats mt, mb;
  bool vector;
  if (mats_pair(rt, "solve", t, b, true, &mt, &mb, &vector)) return NULL;
  RtStatus st = RT_OK;
  for (int64_t i = 0; st == RT_OK && mt.n > 0 && mb.n > 0 && i < mt.count; i++) {
    int info = lapack_triangular(mt.dt, lower, trans, mt.n, mb.n, mats_at(&mt, i), mats_at(&mb, i));
    st = info > 0 ? singular(rt, &mt, i, info) : rt_poll(rt);
  }
  mats_close(rt, &mt);
  if (st) {
    mats_close(rt, &mb);
    return NULL;
  }
  return vector ? drop_column(rt, mb.t) : mb.t;
}

/* ---- eigenproblems ----------------------------------------------------------- */

RtStatus linalg_eigh(Rt *rt, Tensor *a, Tensor **values, Tensor **vectors) {
  Mats m;
  RT_TRY(mats_open(rt, "eigh", a, true, -1, &m));
  DType real = real_part_of(m.dt);
  Tensor *w = batch_new(rt, &m, real, 1, (int64_t[]){m.n});
  RtStatus st = w ? RT_OK : rt->error.status;
  for (int64_t i = 0; st == RT_OK && m.n > 0 && i < m.count; i++) {
    int info =
        lapack_eigh(m.dt, m.n, mats_at(&m, i), w->data + i * m.n * (int64_t)dtype_size[real]);
    st = info ? mats_fail(rt, &m, i, "no convergence (LAPACK info %d)", info) : rt_poll(rt);
  }
  if (st) {
    tensor_unref(rt, w);
    mats_close(rt, &m);
    return st;
  }
  *values = w;
  *vectors = m.t;
  return RT_OK;
}

/* LAPACK's packing of a real matrix's vectors: columns k, k+1 of a conjugate
 * pair hold the real and the imaginary part.                                 */
static void unpack_pairs(DType dt, int n, const void *wr, const void *wi, const void *v, void *w,
                         void *out) {
  DType z = complex_of(dt);
  for (int k = 0; k < n; k++) store(z, w, k, (c128){entry(dt, wr, k).re, entry(dt, wi, k).re});
  for (int k = 0; k < n; k++) {
    bool pair = entry(dt, wi, k).re != 0 && k + 1 < n;
    for (int64_t r = 0; r < n; r++) {
      double re = entry(dt, v, r * n + k).re, im = pair ? entry(dt, v, r * n + k + 1).re : 0;
      store(z, out, r * n + k, (c128){re, im});
      if (pair) store(z, out, r * n + k + 1, (c128){re, -im});
    }
    k += pair;
  }
}

RtStatus linalg_eig(Rt *rt, Tensor *a, Tensor **values, Tensor **vectors) {
  Mats m;
  void *work = NULL;
  RT_TRY(mats_open(rt, "eig", a, true, -1, &m));
  DType z = complex_of(m.dt);
  size_t es = dtype_size[m.dt], zs = dtype_size[z], n = (size_t)m.n,
         bytes = (n * n + 2 * n + 1) * es;
  Tensor *w = batch_new(rt, &m, z, 1, (int64_t[]){m.n});
  Tensor *v = w ? batch_new(rt, &m, z, 2, (int64_t[]){m.n, m.n}) : NULL;
  RtStatus st = v ? scratch(rt, bytes, &work) : rt->error.status;
  for (int64_t i = 0; st == RT_OK && n > 0 && i < m.count; i++) {
    char *wi_ = w->data + (size_t)i * n * zs, *vi = v->data + (size_t)i * n * n * zs;
    int info;
    if (dtype_complex(m.dt)) info = lapack_eig_complex(m.dt, m.n, mats_at(&m, i), wi_, vi);
    else {
      char *wr = work, *wi = wr + n * es, *pack = wi + n * es;
      info = lapack_eig_real(m.dt, m.n, mats_at(&m, i), wr, wi, pack);
      if (!info) unpack_pairs(m.dt, m.n, wr, wi, pack, wi_, vi);
    }
    st = info ? mats_fail(rt, &m, i, "no convergence (LAPACK info %d)", info) : rt_poll(rt);
  }
  if (work) rt_free(rt, work, bytes);
  mats_close(rt, &m);
  if (st) {
    tensor_unref(rt, w);
    tensor_unref(rt, v);
    return st;
  }
  *values = w;
  *vectors = v;
  return RT_OK;
}

/* ---- orthogonal factorisations ------------------------------------------------ */

RtStatus linalg_svd(Rt *rt, Tensor *a, Tensor **u, Tensor **s, Tensor **vt) {
  Mats m;
  RT_TRY(mats_open(rt, "svd", a, false, -1, &m));
  int64_t k = m.m < m.n ? m.m : m.n;
  DType real = real_part_of(m.dt);
  size_t es = dtype_size[m.dt], rs = dtype_size[real];
  *u = batch_new(rt, &m, m.dt, 2, (int64_t[]){m.m, k});
  *s = *u ? batch_new(rt, &m, real, 1, (int64_t[]){k}) : NULL;
  *vt = *s ? batch_new(rt, &m, m.dt, 2, (int64_t[]){k, m.n}) : NULL;
  RtStatus st = *vt ? RT_OK : rt->error.status;
  for (int64_t i = 0; st == RT_OK && k > 0 && i < m.count; i++) {
    int info = lapack_svd(m.dt, m.m, m.n, mats_at(&m, i), (*s)->data + (size_t)(i * k) * rs,
                          (*u)->data + (size_t)(i * k * m.m) * es,
                          (*vt)->data + (size_t)(i * k * m.n) * es);
    st = info ? mats_fail(rt, &m, i, "no convergence (LAPACK info %d)", info) : rt_poll(rt);
  }
  mats_close(rt, &m);
  if (st) {
    tensor_unref(rt, *u);
    tensor_unref(rt, *s);
    tensor_unref(rt, *vt);
    *u = *s = *vt = NULL;
  }
  return st;
}

/* The upper triangle of the factored matrix is R, its first k columns become Q. */
static RtStatus qr_one(const Mats *m, int64_t i, int k, void *tau, char *q, char *r) {
  size_t es = dtype_size[m->dt], n = (size_t)m->n, kk = (size_t)k;
  char *a = mats_at(m, i);
  if (lapack_qr(m->dt, m->m, m->n, a, tau)) return RT_ERROR;
  for (size_t row = 0; row < kk; row++) {
    memset(r + row * n * es, 0, row * es);
    memcpy(r + (row * n + row) * es, a + (row * n + row) * es, (n - row) * es);
  }
  if (lapack_qr_vectors(m->dt, m->m, k, m->n, a, tau)) return RT_ERROR;
  for (size_t row = 0; row < (size_t)m->m; row++)
    memcpy(q + row * kk * es, a + row * n * es, kk * es);
  return RT_OK;
}

RtStatus linalg_qr(Rt *rt, Tensor *a, Tensor **q, Tensor **r) {
  Mats m;
  void *tau = NULL;
  RT_TRY(mats_open(rt, "qr", a, false, -1, &m));
  int k = m.m < m.n ? m.m : m.n;
  size_t es = dtype_size[m.dt], bytes = ((size_t)k + 1) * es;
  *q = batch_new(rt, &m, m.dt, 2, (int64_t[]){m.m, k});
  *r = *q ? batch_new(rt, &m, m.dt, 2, (int64_t[]){k, m.n}) : NULL;
  RtStatus st = *r ? scratch(rt, bytes, &tau) : rt->error.status;
  for (int64_t i = 0; st == RT_OK && k > 0 && i < m.count; i++) {
    st = qr_one(&m, i, k, tau, (*q)->data + (size_t)i * (size_t)m.m * (size_t)k * es,
                (*r)->data + (size_t)i * (size_t)k * (size_t)m.n * es);
    st = st ? mats_fail(rt, &m, i, "LAPACK refused the matrix", 0) : rt_poll(rt);
  }
  if (tau) rt_free(rt, tau, bytes);
  mats_close(rt, &m);
  if (st) {
    tensor_unref(rt, *q);
    tensor_unref(rt, *r);
    *q = *r = NULL;
  }
  return st;
}

/* gelsd wants the right side and the solution in one array of max(m, n) rows. */
static Tensor *tall_copy(Rt *rt, const Mats *b, int64_t rows) {
  Tensor *t = batch_new(rt, b, b->dt, 2, (int64_t[]){rows, b->n});
  if (!t) return NULL;
  size_t es = dtype_size[b->dt], block = (size_t)b->m * (size_t)b->n * es;
  size_t wide = (size_t)rows * (size_t)b->n * es;
  memset(t->data, 0, wide * (size_t)b->count);
  for (int64_t i = 0; i < b->count; i++) memcpy(t->data + (size_t)i * wide, mats_at(b, i), block);
  return t;
}

Tensor *linalg_lstsq(Rt *rt, Tensor *a, Tensor *b) {
  Mats ma, mb;
  bool vector;
  void *s = NULL;
  if (mats_pair(rt, "lstsq", a, b, false, &ma, &mb, &vector)) return NULL;
  int64_t rows = ma.m > ma.n ? ma.m : ma.n;
  size_t es = dtype_size[ma.dt], bytes = (size_t)rows * 8 + 8;
  Tensor *tall = tall_copy(rt, &mb, rows), *x = NULL;
  RtStatus st = tall ? scratch(rt, bytes, &s) : rt->error.status;
  bool single = ma.dt == DT_F32 || ma.dt == DT_C64;
  double rcond = (single ? 0x1p-23 : 0x1p-52) * (double)rows;
  for (int64_t i = 0; st == RT_OK && ma.m > 0 && ma.n > 0 && mb.n > 0 && i < ma.count; i++) {
    int info = lapack_lstsq(ma.dt, ma.m, ma.n, mb.n, mats_at(&ma, i),
                            tall->data + (size_t)(i * rows * mb.n) * es, s, rcond);
    st = info ? mats_fail(rt, &ma, i, "no convergence (LAPACK info %d)", info) : rt_poll(rt);
  }
  if (st == RT_OK) {
    x = batch_new(rt, &mb, mb.dt, 2, (int64_t[]){ma.n, mb.n});
    size_t block = (size_t)ma.n * (size_t)mb.n * es, wide = (size_t)rows * (size_t)mb.n * es;
    for (int64_t i = 0; x && i < ma.count; i++)
      memcpy(x->data + (size_t)i * block, tall->data + (size_t)i * wide, block);
  }
  if (s) rt_free(rt, s, bytes);
  tensor_unref(rt, tall);
  mats_close(rt, &ma);
  mats_close(rt, &mb);
  return x && vector ? drop_column(rt, x) : x;
}
