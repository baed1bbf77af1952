/* test_elementwise.c: dtype rules, broadcasting, reuse, overflow, functions. */
#include "tests/runtime/pattern.h"

#include <math.h>
#include <string.h>

static double pymod(double x, double y) {
  double r = fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static double complex reference(BinOp op, double complex x, double complex y) {
  double a = creal(x), b = creal(y);
  switch (op) {
    case BIN_ADD: return x + y;
    case BIN_SUB: return x - y;
    case BIN_MUL: return x * y;
    case BIN_DIV: return x / y;
    case BIN_FLOORDIV: return floor(a / b);
    case BIN_MOD: return pymod(a, b);
    case BIN_MIN: return a < b ? a : b;
    case BIN_MAX: return a > b ? a : b;
    case BIN_ATAN2: return atan2(a, b);
    case BIN_EQ: return x == y;
    case BIN_NE: return x != y;
    case BIN_LT: return a < b;
    case BIN_LE: return a <= b;
    case BIN_GT: return a > b;
    case BIN_GE: return a >= b;
    default: return NAN;
  }
}

static void check_close(const Tensor *t, int64_t i, double complex want) {
  double complex got = at(t, i);
  double eps = t->dtype == DT_F32 || t->dtype == DT_C64 ? 1e-6 : 1e-13;
  if (!(cabs(got - want) <= eps * (1 + cabs(want))))
    fail_msg("element %d: got %.17g%+.17gi, want %.17g%+.17gi", (int)i, creal(got), cimag(got),
             creal(want), cimag(want));
}

/* every operation, dtype pair and shape pair against the scalar reference */
static void all_binary(void **s) {
  (void)s;
  static const int64_t shapes[][2][4] = {
    {{2, 3, 4, -1}, {2, 3, 4, -1}}, {{2, 3, 4, -1}, {4, -1}}, {{3, 1, -1}, {2, 3, 4, -1}},
    {{2, 1, 4, -1}, {1, 3, 1, -1}}, {{5, -1}, {-1}}, {{-1}, {-1}}, {{0, 3, -1}, {3, -1}},
  };
  for (int op = BIN_ADD; op <= BIN_GE; op++) {
    if (op == BIN_POW) continue;
    for (int da = 0; da < DT_COUNT; da++)
      for (int db = 0; db < DT_COUNT; db++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
          int ra = 0, rb = 0;
          while (shapes[k][0][ra] >= 0) ra++;
          while (shapes[k][1][rb] >= 0) rb++;
          int dt = binary_dtype(rt, (BinOp)op, (DType)da, (DType)db, 0);
          Tensor *a = filled((DType)da, ra, shapes[k][0], 1);
          Tensor *b = filled((DType)db, rb, shapes[k][1], 2);
          if (dt <= DT_I64 && (op == BIN_FLOORDIV || op == BIN_MOD))
            for (int64_t i = 0; i < b->size; i++)
              if (tensor_get_f64(b, i) == 0) tensor_set_f64(b, i, db == DT_BOOL ? 1 : -3);
          Tensor *o = tensor_binary(rt, (BinOp)op, a, b, 0, 0);
          if (dt < 0) assert_null(o);
          else {
            assert_non_null(o);
            assert_int_equal(o->dtype, dt);
            Tensor *ea = tensor_expand(rt, a, o->rank, o->shape);
            Tensor *eb = tensor_expand(rt, b, o->rank, o->shape);
            for (int64_t i = 0; i < o->size; i++) {
              double complex want = reference((BinOp)op, at(ea, i), at(eb, i));
              if (isfinite(creal(want)) && isfinite(cimag(want))) check_close(o, i, want);
            }
            tensor_unref(rt, ea);
            tensor_unref(rt, eb);
          }
          tensor_unref(rt, o);
          tensor_unref(rt, a);
          tensor_unref(rt, b);
        }
  }
}

static void dtype_rules(void **s) {
  (void)s;
  assert_int_equal(binary_dtype(rt, BIN_ADD, DT_F32, DT_F64, 0), -1);
  assert_non_null(strstr(rt->error.message, "f32 and f64"));
  assert_int_equal(binary_dtype(rt, BIN_ADD, DT_F32, DT_F64, 2), DT_F32);
  assert_int_equal(binary_dtype(rt, BIN_ADD, DT_F64, DT_F32, 1), DT_F32);
  assert_int_equal(binary_dtype(rt, BIN_ADD, DT_I64, DT_F64, 2), DT_F64);
  assert_int_equal(binary_dtype(rt, BIN_ADD, DT_I64, DT_F32, 0), DT_F32);
  assert_int_equal(binary_dtype(rt, BIN_ADD, DT_F32, DT_C128, 2), DT_C64);
  assert_int_equal(binary_dtype(rt, BIN_DIV, DT_I64, DT_I64, 0), DT_F64);
  assert_int_equal(binary_dtype(rt, BIN_ADD, DT_BOOL, DT_BOOL, 0), DT_I64);
  assert_int_equal(binary_dtype(rt, BIN_MAX, DT_BOOL, DT_BOOL, 0), DT_BOOL);
  assert_int_equal(binary_dtype(rt, BIN_LT, DT_C64, DT_C64, 0), -1);
  assert_int_equal(binary_dtype(rt, BIN_EQ, DT_C64, DT_C64, 0), DT_BOOL);
  assert_int_equal(binary_dtype(rt, BIN_AND, DT_I64, DT_BOOL, 0), -1);
  assert_int_equal(binary_dtype(rt, BIN_MUL, DT_F64, DT_C128, 0), DT_C128);
}

static void shapes_that_do_not_match(void **s) {
  (void)s;
  int64_t a3[] = {2, 3}, b4[] = {4};
  Tensor *a = tensor_zeros(rt, DT_F64, 2, a3), *b = tensor_zeros(rt, DT_F64, 1, b4);
  assert_null(tensor_binary(rt, BIN_SUB, a, b, 0, 0));
  assert_non_null(strstr(rt->error.message, "`-`: (2, 3) and (4,)"));
  tensor_unref(rt, a);
  tensor_unref(rt, b);
}

static void reuse_in_place(void **s) {
  (void)s;
  int64_t n[] = {100};
  Tensor *a = filled(DT_F64, 1, n, 1), *b = filled(DT_F64, 1, n, 2);
  double a7 = tensor_get_f64(a, 7), b7 = tensor_get_f64(b, 7);
  a->node = 77;
  Tensor *o = tensor_binary(rt, BIN_ADD, a, b, 1, 0);
  assert_ptr_equal(o, a);
  assert_int_equal(o->node, 0);
  assert_int_equal(a->obj.refs, 2);
  assert_true(tensor_get_f64(a, 7) == a7 + b7);
  Tensor *p = tensor_binary(rt, BIN_ADD, a, b, 1, 0);   /* two hold it now */
  assert_ptr_not_equal(p, a);
  tensor_unref(rt, p);
  tensor_unref(rt, o);
  p = tensor_binary(rt, BIN_SUB, a, b, 2, 0);
  assert_ptr_equal(p, b);
  tensor_unref(rt, p);
  p = tensor_binary_scalar(rt, BIN_MUL, a, 2, true, false, 1);
  assert_ptr_equal(p, a);
  tensor_unref(rt, p);
  p = tensor_unary(rt, UN_EXP, a, 1);
  assert_ptr_equal(p, a);
  tensor_unref(rt, p);
  p = tensor_binary(rt, BIN_LT, a, b, 3, 0);   /* other dtype: never in place */
  assert_int_equal(p->dtype, DT_BOOL);
  tensor_unref(rt, p);
  int64_t half[] = {50}, one[] = {1};
  Tensor *v = tensor_view(rt, a, 1, half, one, 0);
  p = tensor_binary_scalar(rt, BIN_MUL, a, 2, true, false, 1);   /* a view looks at it */
  assert_ptr_not_equal(p, a);
  tensor_unref(rt, p);
  tensor_unref(rt, v);
  tensor_unref(rt, a);
  tensor_unref(rt, b);
}

static void integers(void **s) {
  (void)s;
  Tensor *big = tensor_scalar_i64(rt, INT64_MAX), *low = tensor_scalar_i64(rt, INT64_MIN);
  Tensor *one = tensor_scalar_i64(rt, 1), *minus = tensor_scalar_i64(rt, -1);
  Tensor *zero = tensor_scalar_i64(rt, 0), *seven = tensor_scalar_i64(rt, -7);
  assert_null(tensor_binary(rt, BIN_ADD, big, one, 0, 0));
  assert_non_null(strstr(rt->error.message, "integer overflow in `+`"));
  assert_null(tensor_binary(rt, BIN_SUB, low, one, 0, 0));
  assert_null(tensor_binary(rt, BIN_MUL, big, seven, 0, 0));
  assert_null(tensor_binary(rt, BIN_FLOORDIV, low, minus, 0, 0));
  assert_null(tensor_binary(rt, BIN_FLOORDIV, one, zero, 0, 0));
  assert_non_null(strstr(rt->error.message, "division by zero"));
  assert_null(tensor_binary(rt, BIN_MOD, one, zero, 0, 0));
  assert_null(tensor_unary(rt, UN_NEG, low, 0));
  assert_null(tensor_unary(rt, UN_ABS, low, 0));
  assert_null(tensor_binary_scalar(rt, BIN_ADD, big, 1, true, false, 0));
  Tensor *t = tensor_binary_scalar(rt, BIN_FLOORDIV, seven, 2, true, false, 0);
  assert_int_equal(tensor_get_i64(t, 0), -4);
  tensor_unref(rt, t);
  t = tensor_binary_scalar(rt, BIN_MOD, seven, 3, true, false, 0);
  assert_int_equal(tensor_get_i64(t, 0), 2);
  tensor_unref(rt, t);
  t = tensor_binary_scalar(rt, BIN_DIV, seven, 2, true, false, 0);
  assert_int_equal(t->dtype, DT_F64);
  assert_true(tensor_get_f64(t, 0) == -3.5);
  tensor_unref(rt, t);
  t = tensor_binary_scalar(rt, BIN_POW, seven, 3, true, false, 0);
  assert_int_equal(tensor_get_i64(t, 0), -343);
  tensor_unref(rt, t);
  t = tensor_binary_scalar(rt, BIN_POW, seven, -1, true, false, 0);
  assert_int_equal(t->dtype, DT_F64);
  tensor_unref(rt, t);
  assert_null(tensor_binary_scalar(rt, BIN_POW, seven, 40, true, false, 0));
  t = tensor_binary_scalar(rt, BIN_SUB, seven, 2, true, true, 0);   /* 2 - (-7) */
  assert_int_equal(tensor_get_i64(t, 0), 9);
  tensor_unref(rt, t);
  Tensor *all[] = {big, low, one, minus, zero, seven};
  for (int i = 0; i < 6; i++) tensor_unref(rt, all[i]);
}

static double plain(UnOp op, double x) {
  switch (op) {
    case UN_NEG: return -x;
    case UN_ABS: return fabs(x);
    case UN_SIGN: return (x > 0) - (x < 0);
    case UN_SQRT: return sqrt(x);
    case UN_EXP: return exp(x);
    case UN_LOG: return log(x);
    case UN_LOG2: return log2(x);
    case UN_LOG1P: return log1p(x);
    case UN_EXPM1: return expm1(x);
    case UN_SIN: return sin(x);
    case UN_COS: return cos(x);
    case UN_TAN: return tan(x);
    case UN_ASIN: return asin(x);
    case UN_ACOS: return acos(x);
    case UN_ATAN: return atan(x);
    case UN_SINH: return sinh(x);
    case UN_COSH: return cosh(x);
    case UN_TANH: return tanh(x);
    case UN_ERF: return erf(x);
    case UN_GAMMA_LN: return lgamma(x);
    case UN_FLOOR: return floor(x);
    case UN_CEIL: return ceil(x);
    case UN_ROUND: return rint(x);
    case UN_RELU: return x > 0 ? x : 0;
    case UN_GELU: return 0.5 * x * erfc(-x / sqrt(2));
    case UN_SIGMOID: return 1 / (1 + exp(-x));
    case UN_SOFTPLUS: return log1p(exp(x));
    case UN_REAL: case UN_CONJ: return x;
    case UN_IMAG: return 0;
    case UN_ARG: return x < 0 ? M_PI : 0;
    case UN_ISNAN: return isnan(x);
    case UN_ISFINITE: return isfinite(x);
    case UN_SQUARE: return x * x;
    case UN_RECIP: return 1 / x;
    default: return NAN;
  }
}

static void all_unary(void **s) {
  (void)s;
  int64_t shape[] = {7, 5};
  for (int op = 0; op < UN_COUNT; op++) {
    if (op == UN_NOT || op == UN_DIGAMMA) continue;
    for (int d = 0; d <= DT_F64; d++) {
      Tensor *a = filled((DType)d, 2, shape, 3);
      Tensor *v = tensor_swap_last(rt, a, false);
      Tensor *o = tensor_unary(rt, (UnOp)op, v, 0);
      if (!o && d == DT_I64 && op == UN_RECIP) fail();
      assert_non_null(o);
      for (int64_t i = 0; i < o->size; i++) {
        double want = plain((UnOp)op, tensor_get_f64(v, i));
        double got = tensor_get_f64(o, i);
        if (!isfinite(want)) assert_true(isnan(want) ? isnan(got) : got == want);
        else check_close(o, i, want);
      }
      tensor_unref(rt, o);
      tensor_unref(rt, v);
      tensor_unref(rt, a);
    }
  }
  Tensor *b = filled(DT_BOOL, 2, shape, 3), *n = tensor_unary(rt, UN_NOT, b, 0);
  for (int64_t i = 0; i < b->size; i++)
    assert_true(tensor_get_f64(b, i) + tensor_get_f64(n, i) == 1);
  tensor_unref(rt, b);
  assert_true(n->dtype == DT_BOOL);
  tensor_unref(rt, n);
  Tensor *x = tensor_full(rt, DT_F64, 0, NULL, 0.3, 0), *dg = tensor_unary(rt, UN_DIGAMMA, x, 0);
  assert_true(fabs(tensor_get_f64(dg, 0) + 3.5025242222001332) < 1e-13);
  assert_null(tensor_unary(rt, UN_NOT, x, 0));
  tensor_unref(rt, x);
  tensor_unref(rt, dg);
}

static void complex_unary(void **s) {
  (void)s;
  int64_t n[] = {23};
  static const struct { UnOp op; double complex (*f)(double complex); } rows[] = {
    {UN_SQRT, csqrt}, {UN_EXP, cexp}, {UN_LOG, clog}, {UN_SIN, csin}, {UN_COS, ccos},
    {UN_TAN, ctan}, {UN_TANH, ctanh}, {UN_SINH, csinh}, {UN_COSH, ccosh}, {UN_ATAN, catan},
    {UN_CONJ, conj},
  };
  for (int d = DT_C64; d <= DT_C128; d++) {
    Tensor *a = filled((DType)d, 1, n, 5);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
      Tensor *o = tensor_unary(rt, rows[k].op, a, 0);
      for (int64_t i = 0; i < 23; i++) check_close(o, i, rows[k].f(at(a, i)));
      tensor_unref(rt, o);
    }
    Tensor *o = tensor_unary(rt, UN_ABS, a, 0);
    assert_int_equal(o->dtype, d == DT_C64 ? DT_F32 : DT_F64);
    for (int64_t i = 0; i < 23; i++) check_close(o, i, cabs(at(a, i)));
    tensor_unref(rt, o);
    assert_null(tensor_unary(rt, UN_ERF, a, 0));
    assert_null(tensor_unary(rt, UN_FLOOR, a, 0));
    o = tensor_binary_scalar(rt, BIN_POW, a, 3, true, false, 0);
    for (int64_t i = 0; i < 23; i++) check_close(o, i, at(a, i) * at(a, i) * at(a, i));
    tensor_unref(rt, o);
    tensor_unref(rt, a);
  }
}

static void clip_and_where(void **s) {
  (void)s;
  int64_t n[] = {3, 7}, row[] = {7};
  for (int d = DT_I64; d <= DT_F64; d++) {
    Tensor *a = filled((DType)d, 2, n, 1);
    Tensor *c = tensor_clip(rt, a, -1, 2, 0);
    assert_int_equal(c->dtype, d);
    for (int64_t i = 0; i < a->size; i++)
      assert_true(tensor_get_f64(c, i) == fmin(fmax(tensor_get_f64(a, i), -1), 2));
    Tensor *cond = filled(DT_BOOL, 1, row, 2), *b = filled((DType)d, 1, row, 4);
    Tensor *w = tensor_where(rt, cond, a, b);
    for (int64_t i = 0; i < a->size; i++)
      assert_true(tensor_get_f64(w, i) == (tensor_get_f64(cond, i % 7) != 0
                      ? tensor_get_f64(a, i) : tensor_get_f64(b, i % 7)));
    Tensor *zero = tensor_scalar(rt, DT_F64, 0, 0), *wz = tensor_where(rt, cond, a, zero);
    assert_int_equal(wz->dtype, d == DT_I64 ? DT_F64 : d);
    assert_null(tensor_where(rt, a, a, b));
    assert_null(tensor_clip(rt, a, 2, 1, 0));
    Tensor *all[] = {a, c, cond, b, w, zero, wz};
    for (int i = 0; i < 7; i++) tensor_unref(rt, all[i]);
  }
}

/* large arrays take the parallel path: the same bits on any number of threads */
static void parallel(void **s) {
  (void)s;
  int64_t n[] = {300001};
  Tensor *a = filled(DT_F64, 1, n, 1), *b = filled(DT_F64, 1, n, 2);
  for (int op = 0; op < 2; op++) {
    Tensor *r[2];
    for (int k = 0; k < 2; k++) {
      rt->threads = k ? 3 : 1;
      r[k] = op ? tensor_unary(rt, UN_TANH, a, 0) : tensor_binary(rt, BIN_DIV, a, b, 0, 0);
    }
    assert_memory_equal(r[0]->data, r[1]->data, (size_t)n[0] * 8);
    tensor_unref(rt, r[0]);
    tensor_unref(rt, r[1]);
  }
  tensor_unref(rt, a);
  tensor_unref(rt, b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
    T(all_binary), T(dtype_rules), T(shapes_that_do_not_match), T(reuse_in_place), T(integers),
    T(all_unary), T(complex_unary), T(clip_and_where), T(parallel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
