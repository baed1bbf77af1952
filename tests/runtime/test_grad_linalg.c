/* Linear algebra rules, real and complex, single matrices and stacks, first
 * and second derivatives against differences.  Decompositions are tested
 * through what does not depend on the choice of phases.                     */
#include "test_grad.h"

#define V(n) {DT_F64, 1, {n}, -1, 1}
#define M(a, b) {DT_F64, 2, {a, b}, -1, 1}
#define T3(a, b, c) {DT_F64, 3, {a, b, c}, -1, 1}
#define Z(a, b) {DT_C128, 2, {a, b}, -1, 1}
#define ZT(a, b, c) {DT_C128, 3, {a, b, c}, -1, 1}
#define FN(name, expr) static Tensor *name(Rt *rt, Tensor **x) { return expr; }

static Tensor *free2(Rt *rt, Tensor *a, Tensor *b, Tensor *r) {
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return r;
}
/* a + 3 on the diagonal: well conditioned */
static Tensor *shifted(Rt *rt, Tensor *a) {
  int64_t n = a->shape[a->rank - 1], shape[2] = {n, n};
  Tensor *d = tensor_zeros(rt, DT_F64, 2, shape);
  for (int64_t i = 0; i < n; i++) tensor_set_f64(d, i * n + i, 3);
  return free2(rt, d, NULL, op_binary(rt, BIN_ADD, a, d, 0, 0));
}
static Tensor *after_shift(Rt *rt, Tensor *a, Tensor *(*f)(Rt *, Tensor *)) {
  Tensor *s = shifted(rt, a);
  return free2(rt, s, NULL, f(rt, s));
}
static Tensor *solve_shifted(Rt *rt, Tensor **x) {
  Tensor *a = shifted(rt, x[0]);
  return free2(rt, a, NULL, op_solve(rt, a, x[1]));
}
FN(inv, after_shift(rt, x[0], op_inv))
FN(det, after_shift(rt, x[0], op_det))
FN(trace, op_trace(rt, x[0]))
FN(expm, op_expm(rt, x[0]))
FN(logm, after_shift(rt, x[0], op_logm))
FN(lstsq, op_lstsq(rt, x[0], x[1]))

/* a aH + 1 */
static Tensor *positive(Rt *rt, Tensor *a) {
  Tensor *h = op_swap_last(rt, a, dtype_complex(a->dtype)), *p = op_matmul(rt, a, h);
  Tensor *s = shifted(rt, p);
  return free2(rt, h, p, s);
}
static Tensor *cholesky(Rt *rt, Tensor **x) {
  Tensor *p = positive(rt, x[0]);
  return free2(rt, p, NULL, op_cholesky(rt, p));
}

/* a + aH */
static Tensor *symmetric(Rt *rt, Tensor *a) {
  Tensor *h = op_swap_last(rt, a, dtype_complex(a->dtype));
  return free2(rt, h, NULL, op_binary(rt, BIN_ADD, a, h, 0, 0));
}
static Tensor *eigenvalues(Rt *rt, Tensor **x) {
  Tensor *h = symmetric(rt, x[0]), *w, *v;
  if (op_eigh(rt, h, &w, &v)) return NULL;
  return free2(rt, h, v, w);
}
/* v_0 v_0H: the projector on the lowest state */
static Tensor *projector(Rt *rt, Tensor **x) {
  Tensor *h = symmetric(rt, x[0]), *w, *v;
  if (op_eigh(rt, h, &w, &v)) return NULL;
  Index ix[3] = {{.kind = IX_ALL}, {.kind = IX_SLICE, .stop = 1, .step = 1, .has_stop = true}};
  Tensor *c = op_index(rt, v, 2, ix), *ch = op_swap_last(rt, c, true), *p = op_matmul(rt, c, ch);
  free2(rt, h, v, NULL);
  free2(rt, w, c, NULL);
  return free2(rt, ch, NULL, p);
}
/* exp of a symmetric matrix through its eigenvectors */
static Tensor *exp_by_eigh(Rt *rt, Tensor **x) {
  Tensor *h = symmetric(rt, x[0]), *w, *v;
  if (op_eigh(rt, h, &w, &v)) return NULL;
  Tensor *e = op_unary(rt, UN_EXP, w, 0), *ve = op_binary(rt, BIN_MUL, v, e, 0, 0);
  Tensor *vh = op_swap_last(rt, v, true), *r = op_matmul(rt, ve, vh);
  free2(rt, h, w, NULL);
  free2(rt, v, e, NULL);
  return free2(rt, ve, vh, r);
}
static Tensor *singular_values(Rt *rt, Tensor **x) {
  Tensor *u, *s, *vt;
  if (op_svd(rt, x[0], &u, &s, &vt)) return NULL;
  return free2(rt, u, vt, s);
}
/* u f(s) vt: a function of the matrix that needs all three */
static Tensor *svd_function(Rt *rt, Tensor **x) {
  Tensor *u, *s, *vt;
  if (op_svd(rt, x[0], &u, &s, &vt)) return NULL;
  Tensor *e = op_unary(rt, UN_TANH, s, 0);
  Tensor *ue = op_binary(rt, BIN_MUL, u, e, 0, 0), *r = op_matmul(rt, ue, vt);
  free2(rt, u, s, NULL);
  free2(rt, vt, e, NULL);
  return free2(rt, ue, NULL, r);
}
/* u uH of the first left vector, and of the first right one */
static Tensor *left_projector(Rt *rt, Tensor **x) {
  Tensor *u, *s, *vt;
  if (op_svd(rt, x[0], &u, &s, &vt)) return NULL;
  Index ix[2] = {{.kind = IX_ALL}, {.kind = IX_SLICE, .stop = 1, .step = 1, .has_stop = true}};
  Tensor *c = op_index(rt, u, 2, ix), *ch = op_swap_last(rt, c, true), *p = op_matmul(rt, c, ch);
  free2(rt, u, s, NULL);
  free2(rt, vt, c, NULL);
  return free2(rt, ch, NULL, p);
}
static Tensor *right_projector(Rt *rt, Tensor **x) {
  Tensor *u, *s, *vt;
  if (op_svd(rt, x[0], &u, &s, &vt)) return NULL;
  Index ix = {.kind = IX_SLICE, .stop = 1, .step = 1, .has_stop = true};
  Tensor *c = op_index(rt, vt, 1, &ix), *ch = op_swap_last(rt, c, true), *p = op_matmul(rt, ch, c);
  free2(rt, u, s, NULL);
  free2(rt, vt, c, NULL);
  return free2(rt, ch, NULL, p);
}
static Tensor *qr_q(Rt *rt, Tensor **x) {
  Tensor *q, *r;
  if (op_qr(rt, x[0], &q, &r)) return NULL;
  return free2(rt, r, NULL, q);
}
static Tensor *qr_r(Rt *rt, Tensor **x) {
  Tensor *q, *r;
  if (op_qr(rt, x[0], &q, &r)) return NULL;
  return free2(rt, q, NULL, r);
}

static const Case equations[] = {
  {"solve vector", solve_shifted, 2, 1e-8, 2, {M(3, 3), V(3)}},
  {"solve matrix", solve_shifted, 2, 1e-8, 2, {M(3, 3), M(3, 2)}},
  {"solve stack", solve_shifted, 2, 1e-8, 2, {T3(2, 3, 3), T3(2, 3, 2)}},
  {"solve complex", solve_shifted, 2, 1e-8, 2, {Z(3, 3), Z(3, 2)}},
  {"inv", inv, 2, 1e-8, 1, {M(3, 3)}}, {"inv stack", inv, 1, 1e-8, 1, {T3(2, 2, 2)}},
  {"inv complex", inv, 2, 1e-8, 1, {Z(3, 3)}},
  {"det", det, 2, 1e-8, 1, {M(3, 3)}}, {"det stack", det, 2, 1e-8, 1, {T3(2, 2, 2)}},
  {"det complex", det, 2, 1e-8, 1, {Z(3, 3)}},
  {"trace", trace, 1, 1e-8, 1, {M(3, 3)}}, {"trace stack", trace, 1, 1e-8, 1, {T3(2, 3, 3)}},
  {"expm", expm, 2, 1e-8, 1, {M(3, 3)}}, {"expm complex", expm, 2, 1e-8, 1, {Z(2, 2)}},
  {"expm stack", expm, 1, 1e-8, 1, {T3(2, 2, 2)}},
  {"logm", logm, 2, 1e-8, 1, {M(3, 3)}}, {"logm complex", logm, 2, 1e-8, 1, {Z(2, 2)}},
  {"lstsq tall", lstsq, 2, 1e-7, 2, {M(5, 2), V(5)}},
  {"lstsq tall matrix", lstsq, 2, 1e-7, 2, {M(5, 2), M(5, 2)}},
  {"lstsq wide", lstsq, 2, 1e-7, 2, {M(2, 4), V(2)}},
  {"lstsq complex", lstsq, 2, 1e-7, 2, {Z(4, 2), Z(4, 1)}},
  {"lstsq wide complex", lstsq, 2, 1e-7, 2, {Z(2, 4), Z(2, 1)}},
};
static const Case decompositions[] = {
  {"cholesky", cholesky, 2, 1e-8, 1, {M(3, 3)}}, {"cholesky stack", cholesky, 1, 1e-8, 1, {T3(2, 2, 2)}},
  {"cholesky complex", cholesky, 2, 1e-8, 1, {Z(3, 3)}},
  {"eigenvalues", eigenvalues, 2, 1e-8, 1, {M(3, 3)}}, {"eigenvalues stack", eigenvalues, 1, 1e-8, 1, {T3(2, 3, 3)}},
  {"eigenvalues complex", eigenvalues, 2, 1e-8, 1, {Z(3, 3)}},
  {"projector", projector, 2, 1e-7, 1, {M(3, 3)}}, {"projector complex", projector, 2, 1e-7, 1, {Z(3, 3)}},
  {"exp by eigh", exp_by_eigh, 2, 1e-8, 1, {M(3, 3)}}, {"exp by eigh complex", exp_by_eigh, 2, 1e-8, 1, {Z(2, 2)}},
  {"singular values", singular_values, 2, 1e-8, 1, {M(3, 3)}},
  {"singular values stack", singular_values, 1, 1e-8, 1, {T3(2, 3, 2)}},
  {"svd function", svd_function, 2, 1e-7, 1, {M(3, 3)}}, {"svd function tall", svd_function, 2, 1e-7, 1, {M(4, 2)}},
  {"svd function wide", svd_function, 2, 1e-7, 1, {M(2, 4)}}, {"svd function complex", svd_function, 2, 1e-7, 1, {Z(3, 3)}},
  {"svd tall complex", svd_function, 2, 1e-7, 1, {Z(4, 2)}}, {"svd wide complex", svd_function, 2, 1e-7, 1, {Z(2, 3)}},
  {"left projector", left_projector, 2, 1e-7, 1, {M(4, 2)}}, {"left projector complex", left_projector, 2, 1e-7, 1, {Z(4, 2)}},
  {"right projector", right_projector, 2, 1e-7, 1, {M(2, 4)}}, {"right projector complex", right_projector, 2, 1e-7, 1, {Z(3, 3)}},
  {"qr q", qr_q, 2, 1e-7, 1, {M(3, 3)}}, {"qr r", qr_r, 2, 1e-7, 1, {M(3, 3)}},
  {"qr q tall", qr_q, 2, 1e-7, 1, {M(4, 2)}}, {"qr r tall", qr_r, 2, 1e-7, 1, {M(4, 2)}},
  {"qr q wide", qr_q, 2, 1e-7, 1, {M(2, 4)}}, {"qr r wide", qr_r, 2, 1e-7, 1, {M(2, 4)}},
  {"qr q complex", qr_q, 2, 1e-7, 1, {Z(4, 2)}}, {"qr r complex", qr_r, 2, 1e-7, 1, {Z(4, 2)}},
  {"qr q stack", qr_q, 1, 1e-7, 1, {T3(2, 3, 2)}}, {"qr r wide complex", qr_r, 2, 1e-7, 1, {Z(2, 3)}},
};

static void test_equations(void **s) { (void)s; check_all(equations, COUNT(equations)); }
static void test_decompositions(void **s) { (void)s; check_all(decompositions, COUNT(decompositions)); }

/* Equal eigenvalues: a function that does not depend on the basis chosen
 * inside the eigenspace has its exact gradient, here trace(exp(h)).          */
static void test_degenerate(void **s) {
  (void)s;
  Rt *rt = rt_open();
  Tensor *x = tensor_zeros(rt, DT_F64, 2, (int64_t[]){3, 3}), *leaf, *g;
  for (int i = 0; i < 3; i++) tensor_set_f64(x, 4 * i, i < 2 ? 0.5 : 1.0);
  uint64_t mark;
  tape_open(rt, &mark);
  leaf = tape_leaf(rt, x);
  Tensor *e = exp_by_eigh(rt, &leaf), *y = op_trace(rt, e);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), 0);
  for (int i = 0; i < 9; i++) {
    double want = i == 8 ? 2 * exp(2) : i % 4 == 0 ? 2 * exp(1) : 0;
    assert_true(fabs(tensor_get_f64(g, i) - want) < 1e-12);
  }
  Tensor *all[] = {x, leaf, e, y, g};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_equations), cmocka_unit_test(test_decompositions),
    cmocka_unit_test(test_degenerate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
