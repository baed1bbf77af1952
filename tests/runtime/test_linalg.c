/* test_linalg.c: factorisations against the identities that define them, known
 * values, all four dtypes, batches, refusals.                                */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/tensor/linalg.h"
#include "runtime/tensor/random.h"

#define S(...) ((int64_t[]){__VA_ARGS__})

static int setup(void **state) { return (*state = rt_open()) ? 0 : 1; }
static int teardown(void **state) {
  Rt *rt = *state;
  rt_trim(rt);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
  return 0;
}

static const DType dtypes[4] = {DT_F32, DT_F64, DT_C64, DT_C128};
static double eps_of(DType dt) { return dt == DT_F32 || dt == DT_C64 ? 1.2e-7 : 2.3e-16; }

static Tensor *random_of(Rt *rt, int seed, DType dt, int rank, const int64_t *shape) {
  Tensor *t = tensor_randn(rt, rng_seeded(seed), dt, rank, shape);
  assert_non_null(t);
  return t;
}

static void close_to(Rt *rt, Tensor *a, Tensor *b, double tol) {
  if (!a || !b) fail_msg("%s", rt->error.message);
  assert_int_equal(a->rank, b->rank);
  assert_int_equal(a->size, b->size);
  for (int64_t i = 0; i < a->size; i++) {
    c128 x = tensor_get_c128(a, i), y = tensor_get_c128(b, i);
    double err = hypot(x.re - y.re, x.im - y.im);
    if (!(err <= tol)) fail_msg("entry %d: %g%+gi against %g%+gi", (int)i, x.re, x.im, y.re, y.im);
  }
}

static Tensor *from(Rt *rt, int64_t m, int64_t n, const double *v) {
  Tensor *t = tensor_new(rt, DT_F64, 2, S(m, n));
  memcpy(t->data, v, sizeof(double) * (size_t)(m * n));
  return t;
}

static Tensor *eye(Rt *rt, DType dt, int64_t n) {
  Tensor *t = tensor_zeros(rt, dt, 2, S(n, n));
  for (int64_t i = 0; i < n; i++) tensor_set_f64(t, i * n + i, 1);
  return t;
}

#define FREE(...)                                                                                  \
  do {                                                                                             \
    Tensor *all_[] = {__VA_ARGS__};                                                                \
    for (size_t i_ = 0; i_ < sizeof all_ / sizeof *all_; i_++) tensor_unref(rt, all_[i_]);         \
  } while (0)

static void test_solve(void **state) {
  Rt *rt = *state;
  for (int d = 0; d < 4; d++) {
    Tensor *a = random_of(rt, 1, dtypes[d], 3, S(3, 20, 20)),
           *b = random_of(rt, 2, dtypes[d], 2, S(20, 4));
    Tensor *x = linalg_solve(rt, a, b), *ax = tensor_matmul(rt, a, x);
    assert_int_equal(x->rank, 3);
    Tensor *wide = tensor_expand(rt, b, 3, ax->shape);
    close_to(rt, ax, wide, 1e4 * eps_of(dtypes[d]));
    Tensor *inv = linalg_inv(rt, a), *ia = tensor_matmul(rt, inv, a), *id = eye(rt, dtypes[d], 20);
    Tensor *ids = tensor_expand(rt, id, 3, ia->shape);
    close_to(rt, ia, ids, 2e4 * eps_of(dtypes[d]));
    FREE(a, b, x, ax, wide, inv, ia, id, ids);
  }
  const double v[4] = {4, 3, 6, 3};
  Tensor *a = from(rt, 2, 2, v), *b = tensor_arange(rt, DT_F64, 1, 1, 2),
         *x = linalg_solve(rt, a, b);
  assert_int_equal(x->rank, 1);
  assert_true(fabs(tensor_get_f64(x, 0) - 0.5) < 1e-15 &&
              fabs(tensor_get_f64(x, 1) + 1. / 3) < 1e-15);
  Tensor *d = linalg_det(rt, a), *t = linalg_trace(rt, a);
  assert_true(d->rank == 0 && fabs(tensor_get_f64(d, 0) + 6) < 1e-14 && tensor_get_f64(t, 0) == 7);
  FREE(a, b, x, d, t);
}

static void test_refusals(void **state) {
  Rt *rt = *state;
  const double v[4] = {1, 2, 2, 4}, w[4] = {1, 2, NAN, 4};
  Tensor *a = from(rt, 2, 2, v), *n = from(rt, 2, 2, w), *r = from(rt, 1, 4, v), *x, *y;
  assert_null(linalg_inv(rt, a));
  assert_string_equal(rt->error.message, "inv: the matrix is singular: pivot 2 is zero");
  Tensor *d = linalg_det(rt, a);
  assert_true(tensor_get_f64(d, 0) == 0);
  assert_null(linalg_inv(rt, n));
  assert_string_equal(rt->error.message, "inv: the matrix has nan or infinite entries");
  assert_null(linalg_det(rt, r));
  assert_string_equal(rt->error.message, "det: the matrix must be square, found shape (1, 4)");
  assert_int_equal(linalg_eigh(rt, r, &x, &y), RT_ERROR);
  assert_null(linalg_solve(rt, a, r));
  assert_non_null(strstr(rt->error.message, "same number of rows"));
  assert_null(linalg_cholesky(rt, a));
  assert_non_null(strstr(rt->error.message, "not positive definite"));
  const double neg[4] = {-1, 0, 0, 2};
  Tensor *m = from(rt, 2, 2, neg);
  assert_null(linalg_logm(rt, m));
  assert_non_null(strstr(rt->error.message, "the eigenvalue -1 is negative"));
  assert_null(linalg_logm(rt, a));
  assert_non_null(strstr(rt->error.message, "singular"));
  FREE(a, n, r, d, m);
}

static void test_eig(void **state) {
  Rt *rt = *state;
  for (int d = 0; d < 4; d++) {
    double tol = 2e3 * eps_of(dtypes[d]);
    Tensor *a = random_of(rt, 5, dtypes[d], 3, S(2, 12, 12)), *w, *v;
    assert_int_equal(linalg_eig(rt, a, &w, &v), RT_OK);
    DType z = w->dtype;
    Tensor *az = tensor_astype(rt, a, z), *av = tensor_matmul(rt, az, v);
    Tensor *row = tensor_reshape(rt, w, 3, S(2, 1, 12)),
           *vl = tensor_binary(rt, BIN_MUL, v, row, 0, 0);
    close_to(rt, av, vl, tol);
    FREE(w, v, az, av, row, vl);
    /* Hermitian: real ascending values, orthonormal vectors */
    Tensor *ah = tensor_swap_last(rt, a, true), *h = tensor_binary(rt, BIN_ADD, a, ah, 0, 0);
    assert_int_equal(linalg_eigh(rt, h, &w, &v), RT_OK);
    for (int i = 1; i < 12; i++) assert_true(tensor_get_f64(w, i) >= tensor_get_f64(w, i - 1));
    Tensor *wz = tensor_astype(rt, w, h->dtype);
    row = tensor_reshape(rt, wz, 3, S(2, 1, 12));
    Tensor *hv = tensor_matmul(rt, h, v);
    vl = tensor_binary(rt, BIN_MUL, v, row, 0, 0);
    close_to(rt, hv, vl, tol);
    Tensor *vh = tensor_swap_last(rt, v, true), *g = tensor_matmul(rt, vh, v),
           *id = eye(rt, h->dtype, 12);
    Tensor *ids = tensor_expand(rt, id, 3, g->shape);
    close_to(rt, g, ids, tol);
    FREE(a, ah, h, w, v, wz, row, hv, vl, vh, g, id, ids);
  }
  const double rot[4] = {0, -1, 1, 0};
  Tensor *r = from(rt, 2, 2, rot), *w, *v;
  assert_int_equal(linalg_eig(rt, r, &w, &v), RT_OK);
  c128 l = tensor_get_c128(w, 0), m = tensor_get_c128(w, 1);
  assert_true(l.re == 0 && m.re == 0 && l.im == -m.im && fabs(fabs(l.im) - 1) < 1e-15);
  FREE(r, w, v);
}

static void test_factorisations(void **state) {
  Rt *rt = *state;
  for (int d = 0; d < 4; d++) {
    for (int tall = 0; tall < 2; tall++) {
      double tol = 2e3 * eps_of(dtypes[d]);
      Tensor *a = random_of(rt, 8, dtypes[d], 3, tall ? S(2, 15, 9) : S(2, 9, 15)), *q, *r, *u, *s,
             *vt;
      assert_int_equal(linalg_qr(rt, a, &q, &r), RT_OK);
      Tensor *qr = tensor_matmul(rt, q, r);
      close_to(rt, qr, a, tol);
      assert_int_equal(r->shape[1], 9);
      assert_true(tensor_get_f64(r, r->shape[2]) == 0); /* below the diagonal */
      assert_int_equal(linalg_svd(rt, a, &u, &s, &vt), RT_OK);
      Tensor *sz = tensor_astype(rt, s, a->dtype), *row = tensor_reshape(rt, sz, 3, S(2, 1, 9));
      Tensor *us = tensor_binary(rt, BIN_MUL, u, row, 0, 0), *usv = tensor_matmul(rt, us, vt);
      close_to(rt, usv, a, tol);
      Tensor *uh = tensor_swap_last(rt, u, true), *g = tensor_matmul(rt, uh, u),
             *id = eye(rt, a->dtype, 9);
      Tensor *ids = tensor_expand(rt, id, 3, g->shape);
      close_to(rt, g, ids, tol);
      FREE(a, q, r, qr, u, s, vt, sz, row, us, usv, uh, g, id, ids);
    }
    Tensor *b = random_of(rt, 9, dtypes[d], 2, S(10, 14)), *bh = tensor_swap_last(rt, b, true);
    Tensor *p = tensor_matmul(rt, b, bh), *l = linalg_cholesky(rt, p),
           *lh = tensor_swap_last(rt, l, true);
    Tensor *ll = tensor_matmul(rt, l, lh);
    close_to(rt, ll, p, 1e4 * eps_of(dtypes[d]));
    assert_true(tensor_get_f64(l, 1) == 0);
    for (int trans = 0; trans < 2; trans++) {
      Tensor *x = linalg_solve_triangular(rt, l, b, true, trans),
             *lx = tensor_matmul(rt, trans ? lh : l, x);
      close_to(rt, lx, b, 1e4 * eps_of(dtypes[d]));
      FREE(x, lx);
    }
    FREE(b, bh, p, l, lh, ll);
  }
}

static void test_lstsq(void **state) {
  Rt *rt = *state;
  /* overdetermined: the residual is orthogonal to the columns */
  Tensor *a = random_of(rt, 3, DT_F64, 2, S(12, 4)), *b = random_of(rt, 4, DT_F64, 1, S(12));
  Tensor *x = linalg_lstsq(rt, a, b), *ax = tensor_matmul(rt, a, x),
         *res = tensor_binary(rt, BIN_SUB, ax, b, 0, 0);
  Tensor *at = tensor_swap_last(rt, a, false), *zero = tensor_matmul(rt, at, res),
         *want = tensor_zeros(rt, DT_F64, 1, S(4));
  close_to(rt, zero, want, 1e-13);
  /* underdetermined: exact, and of least norm (in the row space) */
  Tensor *c = random_of(rt, 5, DT_F64, 1, S(4)), *y = linalg_lstsq(rt, at, c),
         *aty = tensor_matmul(rt, at, y);
  close_to(rt, aty, c, 1e-13);
  Tensor *back = linalg_lstsq(rt, a, y), *proj = tensor_matmul(rt, a, back);
  close_to(rt, proj, y, 1e-13);
  FREE(a, b, x, ax, res, at, zero, want, c, y, aty, back, proj);
}

static void test_expm_logm(void **state) {
  Rt *rt = *state;
  const double nil[9] = {0, 1, 2, 0, 0, 3, 0, 0, 0}, want[9] = {1, 1, 3.5, 0, 1, 3, 0, 0, 1};
  Tensor *n = from(rt, 3, 3, nil), *e = linalg_expm(rt, n), *w = from(rt, 3, 3, want);
  close_to(rt, e, w, 1e-14);
  Tensor *l = linalg_logm(rt, e);
  close_to(rt, l, n, 1e-13);
  FREE(n, e, w, l);
  for (int d = 0; d < 4; d++) {
    bool single = dtypes[d] == DT_F32 || dtypes[d] == DT_C64;
    double tol = single ? 1e-4 : 1e-11;
    for (int k = 0; k < 3; k++) { /* norms around 0.01, 1 and 30 */
      double scale = k == 0 ? 1e-3 : k == 1 ? 0.1 : 1.5;
      Tensor *g = random_of(rt, 20 + k, dtypes[d], 3, S(2, 8, 8)),
             *a = tensor_binary_scalar(rt, BIN_MUL, g, scale, false, false, 0);
      Tensor *ah = tensor_swap_last(rt, a, true), *h = tensor_binary(rt, BIN_ADD, a, ah, 0, 0), *ev,
             *vec;
      /* Hermitian: V exp(w) V' */
      assert_int_equal(linalg_eigh(rt, h, &ev, &vec), RT_OK);
      Tensor *ew = tensor_unary(rt, UN_EXP, ev, 0), *ez = tensor_astype(rt, ew, h->dtype);
      Tensor *row = tensor_reshape(rt, ez, 3, S(2, 1, 8)),
             *vw = tensor_binary(rt, BIN_MUL, vec, row, 0, 0);
      Tensor *vh = tensor_swap_last(rt, vec, true), *ref = tensor_matmul(rt, vw, vh),
             *x = linalg_expm(rt, h);
      double size = 0;
      for (int64_t i = 0; i < ref->size; i++) size = fmax(size, fabs(tensor_get_f64(ref, i)));
      close_to(rt, x, ref, tol * size);
      /* the logarithm undoes it */
      Tensor *back = linalg_logm(rt, x);
      if (k < 2) close_to(rt, back, h, single ? 1e-4 : 1e-12);
      /* exp(A) exp(-A) = 1 for a matrix that is not normal */
      if (k < 2) {
        Tensor *minus = tensor_unary(rt, UN_NEG, a, 0), *p = linalg_expm(rt, a),
               *q = linalg_expm(rt, minus);
        Tensor *pq = tensor_matmul(rt, p, q), *id = eye(rt, dtypes[d], 8),
               *ids = tensor_expand(rt, id, 3, pq->shape);
        close_to(rt, pq, ids, single ? 1e-4 : 1e-12);
        Tensor *lp = linalg_logm(rt, p);
        close_to(rt, lp, a, single ? 1e-4 : 1e-12);
        FREE(minus, p, q, pq, id, ids, lp);
      }
      FREE(g, a, ah, h, ev, vec, ew, ez, row, vw, vh, ref, x, back);
    }
  }
}

static void test_products(void **state) {
  Rt *rt = *state;
  const double va[4] = {1, 2, 3, 4}, vb[2] = {5, 7};
  Tensor *a = from(rt, 2, 2, va), *b = from(rt, 1, 2, vb), *k = linalg_kron(rt, a, b);
  const double want[8] = {5, 7, 10, 14, 15, 21, 20, 28};
  Tensor *w = from(rt, 2, 4, want);
  close_to(rt, k, w, 0);
  Tensor *x = tensor_arange(rt, DT_I64, 1, 1, 2), *y = tensor_arange(rt, DT_I64, 3, 1, 3);
  Tensor *o = linalg_outer(rt, x, y), *kk = linalg_kron(rt, x, y);
  assert_true(o->dtype == DT_I64 && o->shape[0] == 2 && o->shape[1] == 3 &&
              tensor_get_i64(o, 4) == 8);
  assert_true(kk->rank == 1 && kk->size == 6 && tensor_get_i64(kk, 5) == 10);
  FREE(a, b, k, w, x, y, o, kk);
}

static void test_empty(void **state) {
  Rt *rt = *state;
  Tensor *a = tensor_zeros(rt, DT_F64, 2, S(0, 0)), *d = linalg_det(rt, a), *i = linalg_inv(rt, a);
  assert_true(tensor_get_f64(d, 0) == 1 && i->size == 0);
  Tensor *e = linalg_expm(rt, a), *w, *v;
  assert_int_equal(linalg_eigh(rt, a, &w, &v), RT_OK);
  FREE(a, d, i, e, w, v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_solve, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
      cmocka_unit_test_setup_teardown(test_eig, setup, teardown),
      cmocka_unit_test_setup_teardown(test_factorisations, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lstsq, setup, teardown),
      cmocka_unit_test_setup_teardown(test_expm_logm, setup, teardown),
      cmocka_unit_test_setup_teardown(test_products, setup, teardown),
      cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
