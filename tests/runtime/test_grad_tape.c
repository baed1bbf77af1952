/* The tape itself: levels, constants, rules of other areas, errors, dtypes,
 * in-place reuse, and what is left behind (nothing).                         */
#include "test_grad.h"

static Tensor *vec(Rt *rt, DType dt, int n, double first) {
  Tensor *t = tensor_new(rt, dt, 1, (int64_t[]){n});
  for (int i = 0; i < n; i++) tensor_set_f64(t, i, first + i);
  return t;
}

static Tensor *total(Rt *rt, Tensor *t) {      /* takes over t */
  Tensor *s = op_reduce(rt, RED_SUM, t, ~0u, false);
  tensor_unref(rt, t);
  return s;
}

/* ---- a rule on raw kernels ---- */
static int dropped;
static void count_drop(Rt *rt, void *data) { (void)rt, (void)data; dropped++; }
static RtStatus back_cube(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *x = tape_saved(n, 0), *d = tensor_unary(rt, UN_SQUARE, x, 0);
  Tensor *e = tensor_binary_scalar(rt, BIN_MUL, d, 3, true, false, 0);
  Tensor *r = tensor_binary(rt, BIN_MUL, e, g[0], 0, 0);
  tensor_unref(rt, d);
  tensor_unref(rt, e);
  return tape_add(rt, n, 0, r);
}
static const TapeRule cube_rule = {"cube", back_cube, count_drop, true};
static Tensor *cube(Rt *rt, Tensor *x) {
  Tensor *out = tensor_binary_scalar(rt, BIN_POW, x, 3, true, false, 0);
  static int token;
  assert_int_equal(tape_record(rt, &cube_rule, 1, &out, 1, &x, 1, &x, &token), 0);
  return out;
}

/* Gradient of sum(cube(x)) at x, one level. */
static RtStatus cube_gradient(Rt *rt, Tensor *x, Tensor **g) {
  uint64_t mark;
  RtStatus s = tape_open(rt, &mark);
  Tensor *leaf = tape_leaf(rt, x), *y = total(rt, cube(rt, leaf));
  if (!s) s = tape_backward(rt, mark, y, NULL, 1, &leaf, g);
  tensor_unref(rt, leaf);
  tensor_unref(rt, y);
  tape_close(rt, mark);
  return s;
}

static void test_once(void **state) {
  (void)state;
  Rt *rt = rt_open();
  Tensor *x = vec(rt, DT_F64, 3, 1), *g;
  dropped = 0;
  assert_int_equal(cube_gradient(rt, x, &g), 0);
  assert_true(tensor_get_f64(g, 2) == 27);
  assert_int_equal(dropped, 1);
  tensor_unref(rt, g);
  /* inside another gradient: an error that names it ... */
  uint64_t mark;
  tape_open(rt, &mark);
  Tensor *leaf = tape_leaf(rt, x);
  assert_int_equal(cube_gradient(rt, leaf, &g), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "no second derivative for `cube`"));
  /* ... unless the inner gradient has nothing to do with the outer one */
  assert_int_equal(cube_gradient(rt, x, &g), 0);
  Tensor *y = total(rt, op_binary(rt, BIN_MUL, leaf, g, 0, 0)), *h;
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &h), 0);
  assert_true(tensor_get_f64(h, 1) == 12);
  Tensor *all[] = {leaf, g, y, h, x};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

/* A failing rule leaves no adjoints, a closed level leaves no memory. */
static RtStatus back_fail(Rt *rt, TapeNode *n, Tensor **g) {
  (void)n, (void)g;
  return rt_fail(rt, RT_ERROR, "this rule fails");
}
static const TapeRule fail_rule = {"failing", back_fail, NULL, false};

static void test_error(void **state) {
  (void)state;
  Rt *rt = rt_open();
  Tensor *x = vec(rt, DT_F64, 3, 1), *g;
  uint64_t mark;
  tape_open(rt, &mark);
  Tensor *leaf = tape_leaf(rt, x), *sq = op_unary(rt, UN_SQUARE, leaf, 0);
  Tensor *out = tensor_copy(rt, sq);
  assert_int_equal(tape_record(rt, &fail_rule, 1, &out, 1, &sq, 0, NULL, NULL), 0);
  Tensor *sum = op_binary(rt, BIN_ADD, out, leaf, 0, 0), *y = op_reduce(rt, RED_SUM, sum, ~0u, false);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), RT_ERROR);
  assert_null(g);
  assert_string_equal(rt->error.message, "this rule fails");
  Tensor *all[] = {x, leaf, sq, out, sum, y};
  for (int i = 0; i < 6; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  assert_null(rt->tape);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

/* Without `retain` a second pass is refused, with it it gives the same. */
static void test_retain(void **state) {
  (void)state;
  for (int retain = 0; retain < 2; retain++) {
    Rt *rt = rt_open();
    Tensor *x = vec(rt, DT_F64, 3, 1), *g, *h;
    uint64_t mark;
    tape_open(rt, &mark);
    rt->tape->retain = retain;
    Tensor *leaf = tape_leaf(rt, x), *y = total(rt, op_binary(rt, BIN_MUL, leaf, leaf, 0, 0));
    assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), 0);
    RtStatus s = tape_backward(rt, mark, y, NULL, 1, &leaf, &h);
    assert_int_equal(s, retain ? RT_OK : RT_ERROR);
    assert_true(tensor_get_f64(g, 2) == 6);
    if (retain) assert_true(tensor_get_f64(h, 2) == 6);
    Tensor *all[] = {x, leaf, y, g, retain ? h : NULL};
    for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
    tape_close(rt, mark);
    assert_int_equal(rt->bytes, 0);
    rt_close(rt);
  }
}

/* A tensor that outlives its tape, and a detached one, are constants; an
 * unused leaf has gradient zero.                                             */
static void test_constants(void **state) {
  (void)state;
  Rt *rt = rt_open();
  Tensor *x = vec(rt, DT_F64, 2, 3), *old, *leaf[2], *g[2];
  uint64_t mark;
  tape_open(rt, &mark);
  leaf[0] = tape_leaf(rt, x);
  old = op_unary(rt, UN_SQUARE, leaf[0], 0);
  assert_true(rt_taped(rt, old));
  tensor_unref(rt, leaf[0]);
  tape_close(rt, mark);
  tape_open(rt, &mark);
  leaf[0] = tape_leaf(rt, x);
  leaf[1] = tape_leaf(rt, x);
  assert_false(rt_taped(rt, old));
  Tensor *d = tape_detach(rt, leaf[0]);
  assert_false(rt_taped(rt, d));
  Tensor *p = op_binary(rt, BIN_MUL, leaf[0], old, 0, 0), *q = op_binary(rt, BIN_MUL, p, d, 0, 0);
  Tensor *y = op_reduce(rt, RED_SUM, q, ~0u, false);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 2, leaf, g), 0);
  assert_true(tensor_get_f64(g[0], 0) == 27 && tensor_get_f64(g[1], 0) == 0);
  Tensor *all[] = {x, old, leaf[0], leaf[1], d, p, q, y, g[0], g[1]};
  for (int i = 0; i < 10; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

/* f32 stays f32 through weak scalars; a traced f64 scalar gets an f64 adjoint. */
static void test_dtypes(void **state) {
  (void)state;
  Rt *rt = rt_open();
  Tensor *x = vec(rt, DT_F32, 3, 1), *s = tensor_scalar(rt, DT_F64, 0.5, 0), *leaf[2], *g[2];
  uint64_t mark;
  tape_open(rt, &mark);
  leaf[0] = tape_leaf(rt, x);
  leaf[1] = tape_leaf(rt, s);
  Tensor *p = op_binary(rt, BIN_MUL, leaf[0], leaf[1], 0, 2);
  Tensor *q = op_binary(rt, BIN_DIV, p, leaf[1], 0, 2), *r = op_binary(rt, BIN_POW, q, leaf[1], 0, 2);
  Tensor *y = total(rt, tensor_ref(r));
  assert_int_equal(y->dtype, DT_F32);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 2, leaf, g), 0);
  assert_int_equal(g[0]->dtype, DT_F32);
  assert_int_equal(g[1]->dtype, DT_F64);
  for (int i = 0; i < 3; i++)
    assert_true(fabs(tensor_get_f64(g[0], i) - 0.5 / sqrt(1 + i)) < 1e-6);
  double want = sqrt(2) * log(2) + sqrt(3) * log(3);
  assert_true(fabs(tensor_get_f64(g[1], 0) - want) < 1e-5);
  Tensor *all[] = {x, s, leaf[0], leaf[1], p, q, r, y, g[0], g[1]};
  for (int i = 0; i < 10; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

/* Operands handed over for reuse give the same gradient as copies. */
static void test_reuse(void **state) {
  (void)state;
  double first[2];
  for (unsigned reuse = 0; reuse < 2; reuse++) {
    Rt *rt = rt_open();
    Tensor *x = vec(rt, DT_F64, 16, 0.1), *leaf, *g;
    uint64_t mark;
    tape_open(rt, &mark);
    leaf = tape_leaf(rt, x);
    Tensor *t = op_binary_scalar(rt, BIN_MUL, leaf, 0.3, false, false, 0), *u;
    for (int k = 0; k < 20; k++) {
      switch (k % 5) {
      case 0: u = op_binary_scalar(rt, BIN_ADD, t, 0.1, false, false, reuse); break;
      case 1: u = op_unary(rt, UN_TANH, t, reuse); break;
      case 2: u = op_binary(rt, BIN_MUL, t, leaf, reuse, 0); break;
      case 3: u = op_binary(rt, BIN_SUB, leaf, t, reuse ? 2 : 0, 0); break;
      default: u = op_unary(rt, UN_NEG, t, reuse); break;
      }
      tensor_unref(rt, t);
      t = u;
    }
    Tensor *y = total(rt, t);
    assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), 0);
    double v = 0;
    for (int i = 0; i < 16; i++) v += (i + 1) * tensor_get_f64(g, i);
    first[reuse] = v;
    Tensor *all[] = {x, leaf, y, g};
    for (int i = 0; i < 4; i++) tensor_unref(rt, all[i]);
    tape_close(rt, mark);
    assert_int_equal(rt->bytes, 0);
    rt_close(rt);
  }
  assert_true(first[0] == first[1]);
}

/* s = sum over x[i]^2 by a loop, and x[i] = x[i]^2 by a loop: the adjoint is
 * gathered in place, so n steps allocate a bounded number of blocks.         */
static void test_element_loops(void **state) {
  (void)state;
  Rt *rt = rt_open();
  enum { N = 2000 };
  Tensor *x = vec(rt, DT_F64, N, 1), *leaf, *g;
  uint64_t mark;
  tape_open(rt, &mark);
  leaf = tape_leaf(rt, x);
  Tensor *w = op_binary_scalar(rt, BIN_MUL, leaf, 1, false, false, 0);
  Tensor *sum = tensor_scalar(rt, DT_F64, 0, 0);
  for (int i = 0; i < N; i++) {
    Index at = {.kind = IX_AT, .at = i};
    Tensor *e = op_index(rt, w, 1, &at), *q = op_binary(rt, BIN_MUL, e, e, 0, 0);
    assert_int_equal(op_index_set(rt, &w, 1, &at, q), 0);
    Tensor *next = op_binary(rt, BIN_ADD, sum, e, 0, 0);
    tensor_unref(rt, sum);
    tensor_unref(rt, e);
    tensor_unref(rt, q);
    sum = next;
  }
  Tensor *t = total(rt, w), *y = op_binary(rt, BIN_ADD, t, sum, 0, 0);
  size_t before = rt->peak = rt->bytes;
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), 0);
  assert_true(rt->peak - before < 100 * N * 8);       /* not N adjoints of N */
  for (int i = 0; i < N; i++) assert_true(tensor_get_f64(g, i) == 2.0 * (i + 1) + 1);
  Tensor *all[] = {x, leaf, sum, t, y, g};
  for (int i = 0; i < 6; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

/* Wrong uses: more than one number, complex, a seed of another shape, a memory
 * limit in the middle.                                                        */
static void test_refusals(void **state) {
  (void)state;
  Rt *rt = rt_open();
  Tensor *x = vec(rt, DT_F64, 3, 1), *leaf, *g;
  uint64_t mark;
  tape_open(rt, &mark);
  leaf = tape_leaf(rt, x);
  Tensor *y = op_unary(rt, UN_EXP, leaf, 0), *w = vec(rt, DT_F64, 2, 0);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "one real number"));
  assert_int_equal(tape_backward(rt, mark, y, w, 1, &leaf, &g), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "(2,)"));
  rt->limit = rt->bytes + 64;
  Tensor *last = y;
  int steps = 0;
  while (last && steps < 100000) {
    Tensor *next = op_unary(rt, UN_TANH, last, 0);
    tensor_unref(rt, last);
    last = next;
    steps++;
  }
  assert_null(last);
  assert_int_equal(rt->error.status, RT_LIMIT);
  rt->limit = 0;
  tensor_unref(rt, x);
  tensor_unref(rt, w);
  tensor_unref(rt, leaf);
  tape_close(rt, mark);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_once), cmocka_unit_test(test_error), cmocka_unit_test(test_retain),
    cmocka_unit_test(test_constants), cmocka_unit_test(test_dtypes), cmocka_unit_test(test_reuse),
    cmocka_unit_test(test_element_loops), cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
