/* linalg_lapack.c: the table of LAPACKE functions.
 *
 * The library is opened on the first call, because linking it costs every
 * start of the program several milliseconds.  The handle is process-wide and
 * written once.  It computes with the OpenBLAS that products use, which is
 * opened before it and holds to one thread.                                  */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lapacke.h>

#include "runtime/tensor/blas.h"
#include "runtime/tensor/linalg_lapack.h"

#define EACH_PRECISION(F, name) F(s##name) F(d##name) F(c##name) F(z##name)
#define EACH_FUNCTION(F)                                                                           \
  EACH_PRECISION(F, getrf)                                                                         \
  EACH_PRECISION(F, getrs) EACH_PRECISION(F, getri) EACH_PRECISION(F, potrf)                       \
      EACH_PRECISION(F, geev) EACH_PRECISION(F, gesdd_work) EACH_PRECISION(F, geqrf)                    \
          EACH_PRECISION(F, gelsd) EACH_PRECISION(F, trtrs) F(ssyevd) F(dsyevd) F(cheevd)          \
              F(zheevd) F(sorgqr) F(dorgqr) F(cungqr) F(zungqr) F(zgees)

typedef struct {
#define MEMBER(f) __typeof__(LAPACKE_##f) *f;
  EACH_FUNCTION(MEMBER)
#undef MEMBER
  char error[256];
} Lapack;

static Lapack lapack;
static pthread_once_t lapack_once = PTHREAD_ONCE_INIT;

static void lapack_load(void) {
  static const char *const names[] = {"liblapacke.so.3", "liblapacke.so", "liblapacke.3.dylib"};
  void *lib = NULL;
  for (int i = 0; i < 3 && !lib; i++) lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    const char *why = dlerror();
    snprintf(lapack.error, sizeof lapack.error, "%s", why ? why : "not found");
    return;
  }
#define LOAD(f)                                                                                    \
  {                                                                                                \
    void *p = dlsym(lib, "LAPACKE_" #f);                                                           \
    if (!p) snprintf(lapack.error, sizeof lapack.error, "LAPACKE_%s is missing", #f);              \
    memcpy(&lapack.f, &p, sizeof p);                                                               \
  }
  EACH_FUNCTION(LOAD)
#undef LOAD
}

RtStatus lapack_open(Rt *rt) {
  RT_TRY(blas_open(rt));
  pthread_once(&lapack_once, lapack_load);
  if (!lapack.error[0]) return RT_OK;
  rt_fail(rt, RT_ERROR, "linear algebra needs LAPACKE: %s", lapack.error);
  rt_help(rt, "install it, on Debian with `apt install liblapacke`");
  return RT_ERROR;
}

#define ROW LAPACK_ROW_MAJOR
/* f(args) of the precision dt stands for */
#define BY_DTYPE(f, ...)                                                                           \
  switch (dt) {                                                                                    \
  case DT_F32: return lapack.s##f(__VA_ARGS__);                                                    \
  case DT_F64: return lapack.d##f(__VA_ARGS__);                                                    \
  case DT_C64: return lapack.c##f(__VA_ARGS__);                                                    \
  default: return lapack.z##f(__VA_ARGS__);                                                        \
  }
/* the same where the complex routine has another name */
#define BY_KIND(real, cplx, ...)                                                                   \
  switch (dt) {                                                                                    \
  case DT_F32: return lapack.s##real(__VA_ARGS__);                                                 \
  case DT_F64: return lapack.d##real(__VA_ARGS__);                                                 \
  case DT_C64: return lapack.c##cplx(__VA_ARGS__);                                                 \
  default: return lapack.z##cplx(__VA_ARGS__);                                                     \
  }

int lapack_lu(DType dt, int n, void *a, int *pivots) { BY_DTYPE(getrf, ROW, n, n, a, n, pivots) }

int lapack_lu_solve(DType dt, int n, int m, const void *lu, const int *pivots, void *b) {
  BY_DTYPE(getrs, ROW, 'N', n, m, lu, n, pivots, b, m)
}

int lapack_lu_inverse(DType dt, int n, void *lu, const int *pivots) {
  BY_DTYPE(getri, ROW, n, lu, n, pivots)
}

int lapack_cholesky(DType dt, int n, void *a) { BY_DTYPE(potrf, ROW, 'L', n, a, n) }

int lapack_eigh(DType dt, int n, void *a, void *w) {
  BY_KIND(syevd, heevd, ROW, 'V', 'L', n, a, n, w)
}

int lapack_eig_real(DType dt, int n, void *a, void *wr, void *wi, void *v) {
  if (dt == DT_F32) return lapack.sgeev(ROW, 'N', 'V', n, a, n, wr, wi, NULL, n, v, n);
  return lapack.dgeev(ROW, 'N', 'V', n, a, n, wr, wi, NULL, n, v, n);
}

int lapack_eig_complex(DType dt, int n, void *a, void *w, void *v) {
  if (dt == DT_C64) return lapack.cgeev(ROW, 'N', 'V', n, a, n, w, NULL, n, v, n);
  return lapack.zgeev(ROW, 'N', 'V', n, a, n, w, NULL, n, v, n);
}

/* Everything a decomposition touches lies in one block: OpenBLAS's zgemv (seen in 0.3.21) reads up
 * to four entries past the end of its matrix, which at the end of the heap is a fault.  The
 * row-major m by n matrix is taken as the column-major n by m one, whose left vectors are the
 * rows of vt: nothing has to be transposed.                                          */
typedef struct {
  char *block, *a, *u, *vt, *work, *rwork;
  lapack_int *iwork;
  int lwork;
} SvdRoom;

static int svd_call(DType dt, int m, int n, void *s, const SvdRoom *r) {
  int k = m < n ? m : n;
  void *a = r->a, *u = r->u, *vt = r->vt, *w = r->work, *rw = r->rwork;
  switch (dt) {
  case DT_F32:
    return lapack.sgesdd_work(LAPACK_COL_MAJOR, 'S', n, m, a, n, s, vt, n, u, k, w, r->lwork,
                              r->iwork);
  case DT_F64:
    return lapack.dgesdd_work(LAPACK_COL_MAJOR, 'S', n, m, a, n, s, vt, n, u, k, w, r->lwork,
                              r->iwork);
  case DT_C64:
    return lapack.cgesdd_work(LAPACK_COL_MAJOR, 'S', n, m, a, n, s, vt, n, u, k, w, r->lwork, rw,
                              r->iwork);
  default:
    return lapack.zgesdd_work(LAPACK_COL_MAJOR, 'S', n, m, a, n, s, vt, n, u, k, w, r->lwork, rw,
                              r->iwork);
  }
}

static double first_of(DType dt, const void *p) {
  return dt == DT_F32 || dt == DT_C64 ? (double)*(const float *)p : *(const double *)p;
}

int lapack_svd(DType dt, int m, int n, void *a, void *s, void *u, void *vt) {
  bool wide = dt == DT_C64 || dt == DT_C128;
  size_t real = dt == DT_F32 || dt == DT_C64 ? 4 : 8, each = wide ? 2 * real : real;
  size_t k = (size_t)(m < n ? m : n), l = (size_t)(m < n ? n : m);
  double wanted[2] = {0, 0};
  SvdRoom r = {
      .a = a, .u = u, .vt = vt, .work = (char *)wanted, .rwork = (char *)wanted, .lwork = -1};
  lapack_int none = 0;
  r.iwork = &none;
  int info = svd_call(dt, m, n, s, &r);
  if (info) return info;
  r.lwork = (int)first_of(dt, wanted) + 1;
  size_t size_a = (size_t)m * (size_t)n * each, size_u = (size_t)m * k * each;
  size_t size_vt = k * (size_t)n * each, size_w = (size_t)r.lwork * each;
  size_t rows = 5 * k * k + 5 * k, wider = 2 * l * k + 2 * k * k + k;
  size_t size_rw = wide ? (rows > wider ? rows : wider) * real : 0;
  r.iwork = malloc(8 * k * sizeof *r.iwork);
  r.block = malloc(size_a + size_u + size_vt + size_w + size_rw + 256);
  if (r.block && r.iwork) {
    r.a = r.block;
    r.u = r.a + size_a;
    r.vt = r.u + size_u;
    r.work = r.vt + size_vt;
    r.rwork = r.work + size_w;
    memcpy(r.a, a, size_a);
    info = svd_call(dt, m, n, s, &r);
    memcpy(u, r.u, size_u);
    memcpy(vt, r.vt, size_vt);
  } else {
    info = LAPACK_WORK_MEMORY_ERROR;
  }
  free(r.block);
  free(r.iwork);
  return info;
}

int lapack_qr(DType dt, int m, int n, void *a, void *tau) { BY_DTYPE(geqrf, ROW, m, n, a, n, tau) }

int lapack_qr_vectors(DType dt, int m, int k, int lda, void *a, const void *tau) {
  BY_KIND(orgqr, ungqr, ROW, m, k, k, a, lda, tau)
}

int lapack_lstsq(DType dt, int m, int n, int k, void *a, void *b, void *s, double rcond) {
  int rank = 0;
  switch (dt) {
  case DT_F32: return lapack.sgelsd(ROW, m, n, k, a, n, b, k, s, (float)rcond, &rank);
  case DT_F64: return lapack.dgelsd(ROW, m, n, k, a, n, b, k, s, rcond, &rank);
  case DT_C64: return lapack.cgelsd(ROW, m, n, k, a, n, b, k, s, (float)rcond, &rank);
  default: return lapack.zgelsd(ROW, m, n, k, a, n, b, k, s, rcond, &rank);
  }
}

int lapack_triangular(DType dt, bool lower, bool trans, int n, int m, const void *t, void *b) {
  BY_DTYPE(trtrs, ROW, lower ? 'L' : 'U', trans ? 'C' : 'N', 'N', n, m, t, n, b, m)
}

int lapack_schur(int n, c128 *a, c128 *w, c128 *z) {
  int sdim = 0;
  return lapack.zgees(ROW, 'V', 'N', NULL, n, (void *)a, n, &sdim, (void *)w, (void *)z, n);
}
