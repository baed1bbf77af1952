/* Elementwise rules, real and complex, with broadcasting, first and second
 * derivatives against central differences.                                   */
#include "test_grad.h"

#define V(n, lo, hi) {DT_F64, 1, {n}, lo, hi}
#define M(a, b, lo, hi) {DT_F64, 2, {a, b}, lo, hi}
#define S(lo, hi) {DT_F64, 0, {0}, lo, hi}
#define Z(a, b, lo, hi) {DT_C128, 2, {a, b}, lo, hi}

#define UNARY(op) static Tensor *f_##op(Rt *rt, Tensor **x) { return op_unary(rt, op, x[0], 0); }
UNARY(UN_NEG) UNARY(UN_ABS) UNARY(UN_SQRT) UNARY(UN_EXP) UNARY(UN_LOG) UNARY(UN_LOG2)
UNARY(UN_LOG1P) UNARY(UN_EXPM1) UNARY(UN_SIN) UNARY(UN_COS) UNARY(UN_TAN) UNARY(UN_ASIN)
UNARY(UN_ACOS) UNARY(UN_ATAN) UNARY(UN_SINH) UNARY(UN_COSH) UNARY(UN_TANH) UNARY(UN_ERF)
UNARY(UN_GAMMA_LN) UNARY(UN_DIGAMMA) UNARY(UN_RELU) UNARY(UN_GELU) UNARY(UN_SIGMOID)
UNARY(UN_SOFTPLUS) UNARY(UN_SQUARE) UNARY(UN_RECIP) UNARY(UN_REAL) UNARY(UN_IMAG)
UNARY(UN_CONJ) UNARY(UN_ARG) UNARY(UN_SIGN)

#define REAL1(op, lo, hi, order) {#op, f_##op, order, 1e-8, 1, {M(3, 4, lo, hi)}}
static const Case unary_real[] = {
  REAL1(UN_NEG, -1, 1, 2), REAL1(UN_ABS, 0.1, 1, 2), REAL1(UN_ABS, -1, -0.1, 2),
  REAL1(UN_SQRT, 0.3, 3, 2), REAL1(UN_EXP, -2, 2, 2), REAL1(UN_LOG, 0.3, 3, 2),
  REAL1(UN_LOG2, 0.3, 3, 2), REAL1(UN_LOG1P, -0.5, 3, 2), REAL1(UN_EXPM1, -2, 2, 2),
  REAL1(UN_SIN, -3, 3, 2), REAL1(UN_COS, -3, 3, 2), REAL1(UN_TAN, -1, 1, 2),
  REAL1(UN_ASIN, -0.8, 0.8, 2), REAL1(UN_ACOS, -0.8, 0.8, 2), REAL1(UN_ATAN, -3, 3, 2),
  REAL1(UN_SINH, -2, 2, 2), REAL1(UN_COSH, -2, 2, 2), REAL1(UN_TANH, -2, 2, 2),
  REAL1(UN_ERF, -2, 2, 2), REAL1(UN_GAMMA_LN, 0.5, 5, 2), REAL1(UN_GAMMA_LN, -0.8, -0.2, 2),
  REAL1(UN_DIGAMMA, 0.5, 5, 1), REAL1(UN_RELU, 0.1, 2, 1), REAL1(UN_RELU, -2, -0.1, 1),
  REAL1(UN_GELU, -3, 3, 2), REAL1(UN_SIGMOID, -4, 4, 2), REAL1(UN_SOFTPLUS, -4, 4, 2),
  REAL1(UN_SQUARE, -2, 2, 2), REAL1(UN_RECIP, 0.4, 3, 2), REAL1(UN_REAL, -1, 1, 1),
  REAL1(UN_CONJ, -1, 1, 1), REAL1(UN_IMAG, -1, 1, 1), REAL1(UN_SIGN, 0.1, 1, 1),
};

#define CPLX1(op, order) {#op " complex", f_##op, order, 1e-8, 1, {Z(2, 3, 0.2, 0.9)}}
static const Case unary_complex[] = {
  CPLX1(UN_NEG, 2), CPLX1(UN_ABS, 2), CPLX1(UN_SQRT, 2), CPLX1(UN_EXP, 2), CPLX1(UN_LOG, 2),
  CPLX1(UN_SIN, 2), CPLX1(UN_COS, 2), CPLX1(UN_TAN, 2), CPLX1(UN_SINH, 2), CPLX1(UN_COSH, 2),
  CPLX1(UN_TANH, 2), CPLX1(UN_SQUARE, 2), CPLX1(UN_RECIP, 2), CPLX1(UN_REAL, 2),
  CPLX1(UN_IMAG, 2), CPLX1(UN_CONJ, 2), CPLX1(UN_ARG, 2), CPLX1(UN_SIGN, 2),
};

#define BINARY(op) static Tensor *f_##op(Rt *rt, Tensor **x) { return op_binary(rt, op, x[0], x[1], 0, 0); }
BINARY(BIN_ADD) BINARY(BIN_SUB) BINARY(BIN_MUL) BINARY(BIN_DIV) BINARY(BIN_POW) BINARY(BIN_MIN)
BINARY(BIN_MAX) BINARY(BIN_ATAN2) BINARY(BIN_MOD) BINARY(BIN_FLOORDIV)

#define SAME(op) {#op, f_##op, 2, 1e-8, 2, {M(3, 4, 0.5, 2), M(3, 4, 0.6, 2)}}
#define ROW(op) {#op " row", f_##op, 2, 1e-8, 2, {M(3, 4, 0.5, 2), V(4, 0.6, 2)}}
#define COL(op) {#op " column", f_##op, 2, 1e-8, 2, {M(3, 1, 0.5, 2), M(1, 4, 0.6, 2)}}
#define SCAL(op) {#op " scalar", f_##op, 2, 1e-8, 2, {S(0.5, 2), M(2, 3, 0.6, 2)}}
#define ONE(op) {#op " size 1", f_##op, 2, 1e-8, 2, {V(1, 0.5, 2), M(2, 3, 0.6, 2)}}
#define EMPTY(op) {#op " empty", f_##op, 2, 1e-8, 2, {M(0, 3, 0.5, 2), V(3, 0.6, 2)}}
#define ALL(op) SAME(op), ROW(op), COL(op), SCAL(op), ONE(op), EMPTY(op)
#define CPAIR(op) {#op " complex", f_##op, 2, 1e-8, 2, {Z(2, 3, 0.3, 1), Z(1, 3, 0.4, 1)}}
#define CMIX(op) {#op " real, complex", f_##op, 2, 1e-8, 2, {M(2, 3, 0.3, 1), Z(1, 3, 0.4, 1)}}
#define CMIY(op) {#op " complex, real", f_##op, 2, 1e-8, 2, {Z(2, 3, 0.3, 1), V(3, 0.4, 1)}}
#define CALL(op) CPAIR(op), CMIX(op), CMIY(op)
static const Case binary[] = {
  ALL(BIN_ADD), ALL(BIN_SUB), ALL(BIN_MUL), ALL(BIN_DIV), ALL(BIN_POW), ALL(BIN_MIN),
  ALL(BIN_MAX), ALL(BIN_ATAN2), CALL(BIN_ADD), CALL(BIN_SUB), CALL(BIN_MUL), CALL(BIN_DIV),
  CPAIR(BIN_POW), CMIY(BIN_POW),
  {"mod", f_BIN_MOD, 1, 1e-8, 2, {M(2, 3, 2.2, 2.8), V(3, 0.9, 1.1)}},
  {"floor division", f_BIN_FLOORDIV, 1, 1e-8, 2, {M(2, 3, 2.2, 2.8), V(3, 0.9, 1.09)}},
};

static Tensor *f_square_self(Rt *rt, Tensor **x) { return op_binary(rt, BIN_MUL, x[0], x[0], 0, 0); }
static Tensor *f_divide_self(Rt *rt, Tensor **x) { return op_binary(rt, BIN_DIV, x[0], x[0], 0, 0); }

#define SCALAR(name, op, s, left) \
  static Tensor *f_##name(Rt *rt, Tensor **x) { return op_binary_scalar(rt, op, x[0], s, false, left, 0); }
SCALAR(add_s, BIN_ADD, 1.5, false) SCALAR(s_sub, BIN_SUB, 1.5, true) SCALAR(sub_s, BIN_SUB, 1.5, false)
SCALAR(mul_s, BIN_MUL, -2.5, false) SCALAR(div_s, BIN_DIV, 3, false) SCALAR(s_div, BIN_DIV, 3, true)
SCALAR(pow2, BIN_POW, 2, false) SCALAR(pow3, BIN_POW, 3, false) SCALAR(pow05, BIN_POW, 0.5, false)
SCALAR(pow1, BIN_POW, 1, false) SCALAR(pow0, BIN_POW, 0, false) SCALAR(powm, BIN_POW, -1.5, false)
SCALAR(s_pow, BIN_POW, 1.7, true) SCALAR(max_s, BIN_MAX, 1.1, false) SCALAR(min_s, BIN_MIN, 1.1, false)
SCALAR(mod_s, BIN_MOD, 5, false) SCALAR(s_mod, BIN_MOD, 7, true) SCALAR(atan2_s, BIN_ATAN2, 0.7, false)
SCALAR(s_atan2, BIN_ATAN2, 0.7, true)
#define ONE_IN(f, order) {#f, f, order, 1e-8, 1, {M(2, 3, 1.2, 1.5)}}
static const Case scalar[] = {
  ONE_IN(f_add_s, 1), ONE_IN(f_s_sub, 1), ONE_IN(f_sub_s, 1), ONE_IN(f_mul_s, 2),
  ONE_IN(f_div_s, 2), ONE_IN(f_s_div, 2), ONE_IN(f_pow2, 2), ONE_IN(f_pow3, 2),
  ONE_IN(f_pow05, 2), ONE_IN(f_pow1, 2), ONE_IN(f_pow0, 2), ONE_IN(f_powm, 2),
  ONE_IN(f_s_pow, 2), ONE_IN(f_max_s, 1), ONE_IN(f_min_s, 1), ONE_IN(f_mod_s, 1),
  ONE_IN(f_s_mod, 1), ONE_IN(f_atan2_s, 2), ONE_IN(f_s_atan2, 2), ONE_IN(f_square_self, 2),
  ONE_IN(f_divide_self, 1),
  {"complex pow 3", f_pow3, 2, 1e-8, 1, {Z(2, 2, 0.3, 1)}},
  {"s / complex", f_s_div, 2, 1e-8, 1, {Z(2, 2, 0.3, 1)}},
  {"s ^ complex", f_s_pow, 2, 1e-8, 1, {Z(2, 2, 0.3, 1)}},
};

static Tensor *f_clip(Rt *rt, Tensor **x) { return op_clip(rt, x[0], -0.51, 0.51, 0); }
static Tensor *f_where(Rt *rt, Tensor **x) {
  Tensor *c = op_binary(rt, BIN_GT, x[0], x[1], 0, 0), *y = c ? op_unary(rt, UN_SQUARE, x[1], 0) : NULL;
  Tensor *r = y ? op_where(rt, c, x[0], y) : NULL;
  tensor_unref(rt, c);
  tensor_unref(rt, y);
  return r;
}
static Tensor *f_astype(Rt *rt, Tensor **x) {
  Tensor *c = op_astype(rt, x[0], DT_C128), *y = c ? op_unary(rt, UN_SQUARE, c, 0) : NULL;
  tensor_unref(rt, c);
  return y;
}
static const Case chosen[] = {
  {"clip", f_clip, 1, 1e-8, 1, {M(4, 5, -1, 1)}},
  {"where", f_where, 2, 1e-8, 2, {M(4, 5, -1, 1), V(5, -1, 1)}},
  {"astype", f_astype, 2, 1e-8, 1, {M(2, 3, -1, 1)}},
};

static void test_unary_real(void **s) { (void)s; check_all(unary_real, COUNT(unary_real)); }
static void test_unary_complex(void **s) { (void)s; check_all(unary_complex, COUNT(unary_complex)); }
static void test_binary(void **s) { (void)s; check_all(binary, COUNT(binary)); }
static void test_scalar(void **s) { (void)s; check_all(scalar, COUNT(scalar)); }
static void test_chosen(void **s) { (void)s; check_all(chosen, COUNT(chosen)); }

/* The gradient of one recorded step at x given as numbers. */
static double slope_at(Rt *rt, double at, Tensor *(*f)(Rt *, Tensor **)) {
  uint64_t mark;
  assert_int_equal(tape_open(rt, &mark), 0);
  Tensor *x = tensor_scalar(rt, DT_F64, at, 0), *leaf = tape_leaf(rt, x), *g = NULL;
  Tensor *y = f(rt, &leaf);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), 0);
  double v = tensor_get_f64(g, 0);
  tensor_unref(rt, x);
  tensor_unref(rt, leaf);
  tensor_unref(rt, y);
  tensor_unref(rt, g);
  tape_close(rt, mark);
  return v;
}

static Tensor *max_zero(Rt *rt, Tensor **x) { return op_binary_scalar(rt, BIN_MAX, x[0], 0, true, false, 0); }
static Tensor *max_self(Rt *rt, Tensor **x) { return op_binary(rt, BIN_MAX, x[0], x[0], 0, 0); }

/* What is documented where no derivative exists. */
static void test_corners(void **s) {
  (void)s;
  Rt *rt = rt_open();
  assert_true(slope_at(rt, 0, f_UN_ABS) == 0);
  assert_true(slope_at(rt, 0, f_UN_RELU) == 0);
  assert_true(slope_at(rt, 0, f_pow2) == 0);
  assert_true(slope_at(rt, 0, f_pow0) == 0);
  assert_true(slope_at(rt, 0, f_pow1) == 1);
  assert_true(slope_at(rt, 0, max_zero) == 0.5);
  assert_true(slope_at(rt, 3, max_self) == 1);
  assert_true(slope_at(rt, 0.51, f_clip) == 1);
  assert_true(slope_at(rt, 2.5, f_UN_SIGN) == 0);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_unary_real), cmocka_unit_test(test_unary_complex),
    cmocka_unit_test(test_binary), cmocka_unit_test(test_scalar), cmocka_unit_test(test_chosen),
    cmocka_unit_test(test_corners),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
