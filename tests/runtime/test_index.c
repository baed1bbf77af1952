/* test_index.c: indexing against a plain element-by-element reference.       */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/tensor/more.h"

static int setup(void **state) { return (*state = rt_open()) ? 0 : 1; }
static int teardown(void **state) {
  Rt *rt = *state;
  rt_trim(rt);
  assert_int_equal(rt->bytes, 0); /* nothing leaked */
  rt_close(rt);
  return 0;
}

static Tensor *iota(Rt *rt, int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  Tensor *flat = tensor_arange(rt, DT_F64, 0, 1, n), *t = tensor_reshape(rt, flat, rank, shape);
  tensor_unref(rt, flat);
  return t;
}

static Tensor *ints(Rt *rt, int n, const int64_t *v) {
  Tensor *t = tensor_new(rt, DT_I64, 1, (int64_t[]){n});
  memcpy(t->data, v, 8 * (size_t)n);
  return t;
}

static Index at(int64_t i) { return (Index){.kind = IX_AT, .at = i}; }
static Index all(void) { return (Index){.kind = IX_ALL}; }
static Index by(Tensor *t) { return (Index){.kind = IX_TENSOR, .tensor = t}; }
static Index slice(int64_t a, int64_t b, int64_t step) {
  return (Index){
      .kind = IX_SLICE, .start = a, .stop = b, .step = step, .has_start = true, .has_stop = true};
}

static void expect(Rt *rt, Tensor *t, int rank, const int64_t *shape, const double *want) {
  if (!t) fail_msg("%s", rt->error.message);
  assert_int_equal(t->rank, rank);
  for (int k = 0; k < rank; k++) assert_int_equal(t->shape[k], shape[k]);
  for (int64_t i = 0; i < t->size; i++) assert_true(tensor_get_f64(t, i) == want[i]);
  tensor_unref(rt, t);
}
#define S(...) ((int64_t[]){__VA_ARGS__})
#define V(...) ((double[]){__VA_ARGS__})

static void expect_error(Rt *rt, Tensor *t, const char *text) {
  assert_null(t);
  if (!strstr(rt->error.message, text)) fail_msg("got: %s", rt->error.message);
}

static void test_basic_views(void **state) {
  Rt *rt = *state;
  Tensor *x = iota(rt, 2, S(3, 4));
  Index ix[2] = {at(1), at(-1)};
  expect(rt, tensor_index(rt, x, 2, ix), 0, S(0), V(7));
  expect(rt, tensor_index(rt, x, 1, ix), 1, S(4), V(4, 5, 6, 7));
  ix[0] = all(), ix[1] = slice(1, 3, 1);
  Tensor *v = tensor_index(rt, x, 2, ix);
  assert_ptr_equal(v->storage, x->storage);
  expect(rt, v, 2, S(3, 2), V(1, 2, 5, 6, 9, 10));
  ix[1] = slice(-1, 0, -2);
  expect(rt, tensor_index(rt, x, 2, ix), 2, S(3, 2), V(3, 1, 7, 5, 11, 9));
  ix[1] = (Index){.kind = IX_SLICE, .step = 1, .stop = -1, .has_stop = true};
  expect(rt, tensor_index(rt, x, 2, ix), 2, S(3, 3), V(0, 1, 2, 4, 5, 6, 8, 9, 10));
  ix[1] = slice(2, 2, 1);
  expect(rt, tensor_index(rt, x, 2, ix), 2, S(3, 0), NULL);
  tensor_unref(rt, x);
}

static void test_errors(void **state) {
  Rt *rt = *state;
  Tensor *x = iota(rt, 2, S(3, 4));
  Index ix[3] = {all(), at(4), at(0)};
  expect_error(rt, tensor_index(rt, x, 2, ix), "index 4 is out of range for axis 1 with extent 4");
  expect_error(rt, tensor_index(rt, x, 3, ix), "3 indices for a tensor of rank 2, shape (3, 4)");
  ix[1] = slice(0, 5, 1);
  expect_error(rt, tensor_index(rt, x, 2, ix),
               "slice end 5 is out of range for axis 1 with extent 4");
  ix[0] = at(-4);
  expect_error(rt, tensor_index(rt, x, 1, ix), "index -4 is out of range for axis 0 with extent 3");
  Tensor *bad = ints(rt, 2, S(0, 3)), *mask = tensor_zeros(rt, DT_BOOL, 1, S(4));
  ix[0] = by(bad);
  expect_error(rt, tensor_index(rt, x, 1, ix), "index 3 is out of range for axis 0 with extent 3");
  ix[0] = by(mask);
  expect_error(rt, tensor_index(rt, x, 1, ix), "a mask of shape (4,)");
  Tensor *f = tensor_zeros(rt, DT_F64, 1, S(2)), *three = ints(rt, 3, S(0, 1, 2));
  ix[0] = by(f);
  expect_error(rt, tensor_index(rt, x, 1, ix), "must be i64 or bool, this one is f64");
  ix[0] = by(bad), ix[1] = by(three);
  bad->data[8] = 1;
  expect_error(rt, tensor_index(rt, x, 2, ix), "do not broadcast together");
  Tensor *all_of[] = {x, bad, mask, f, three};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all_of[i]);
}

static void test_gather(void **state) {
  Rt *rt = *state;
  Tensor *x = iota(rt, 2, S(3, 4)), *i = ints(rt, 2, S(2, -3)), *j = ints(rt, 2, S(1, 3));
  Index ix[3] = {by(i)};
  expect(rt, tensor_index(rt, x, 1, ix), 2, S(2, 4), V(8, 9, 10, 11, 0, 1, 2, 3));
  ix[1] = by(j);
  expect(rt, tensor_index(rt, x, 2, ix), 1, S(2), V(9, 3));
  ix[0] = all();
  expect(rt, tensor_index(rt, x, 2, ix), 2, S(3, 2), V(1, 3, 5, 7, 9, 11));
  Tensor *col = tensor_reshape(rt, i, 2, S(2, 1));
  ix[0] = by(col); /* (2, 1) with (2): (2, 2) */
  expect(rt, tensor_index(rt, x, 2, ix), 2, S(2, 2), V(9, 11, 1, 3));
  /* an index tensor apart from a position: its axes come first, as in NumPy */
  Tensor *y = iota(rt, 3, S(2, 3, 4));
  ix[0] = at(1), ix[1] = all(), ix[2] = by(j);
  expect(rt, tensor_index(rt, y, 3, ix), 2, S(2, 3), V(13, 17, 21, 15, 19, 23));
  ix[0] = all(), ix[1] = at(1);
  expect(rt, tensor_index(rt, y, 3, ix), 2, S(2, 2), V(5, 7, 17, 19));
  /* of a transposed view */
  Tensor *t = tensor_swap_last(rt, x, false);
  ix[0] = by(j);
  expect(rt, tensor_index(rt, t, 1, ix), 2, S(2, 3), V(1, 5, 9, 3, 7, 11));
  Tensor *all_of[] = {x, i, j, col, y, t};
  for (int k = 0; k < 6; k++) tensor_unref(rt, all_of[k]);
}

static void test_mask(void **state) {
  Rt *rt = *state;
  Tensor *x = iota(rt, 2, S(3, 4)), *m = tensor_binary_scalar(rt, BIN_GT, x, 8.5, false, false, 0);
  Tensor *row = tensor_zeros(rt, DT_BOOL, 1, S(3));
  row->data[0] = row->data[2] = 1;
  Index ix[2] = {by(m)};
  expect(rt, tensor_index(rt, x, 1, ix), 1, S(3), V(9, 10, 11));
  ix[0] = by(row), ix[1] = slice(0, 2, 1);
  expect(rt, tensor_index(rt, x, 2, ix), 2, S(2, 2), V(0, 1, 8, 9));
  Tensor *big = iota(rt, 2, S(700, 900)),
         *sel = tensor_binary_scalar(rt, BIN_GE, big, 1000, true, false, 0);
  ix[0] = by(sel);
  Tensor *got = tensor_index(rt, big, 1, ix);
  assert_int_equal(got->size, 629000);
  assert_true(tensor_get_f64(got, 628999) == 629999);
  Tensor *all_of[] = {x, m, row, big, sel, got};
  for (int k = 0; k < 6; k++) tensor_unref(rt, all_of[k]);
}

static void test_set(void **state) {
  Rt *rt = *state;
  Tensor *x = iota(rt, 2, S(2, 3)), *same = tensor_ref(x);
  Tensor *v = tensor_scalar(rt, DT_F64, -1, 0);
  Index ix[2] = {at(1), at(0)};
  assert_int_equal(tensor_index_set(rt, &x, 2, ix, v), RT_OK);
  assert_ptr_not_equal(x, same); /* copied: it was shared  */
  assert_true(tensor_get_f64(same, 3) == 3);
  Tensor *before = x;
  uint64_t copies = rt->buffer_copies;
  ix[0] = all(), ix[1] = slice(1, 3, 1);
  Tensor *row = tensor_arange(rt, DT_F64, 10, 1, 2);
  assert_int_equal(tensor_index_set(rt, &x, 2, ix, row), RT_OK);
  assert_ptr_equal(x, before);
  assert_int_equal(rt->buffer_copies, copies);
  expect(rt, tensor_ref(x), 2, S(2, 3), V(0, 10, 11, -1, 10, 11));
  /* broadcasting a column over an index tensor's axes */
  Tensor *at01 = ints(rt, 2, S(0, 2)), *col = tensor_arange(rt, DT_I64, 5, 1, 2);
  Tensor *c2 = tensor_reshape(rt, col, 2, S(2, 1));
  ix[1] = by(at01);
  assert_int_equal(tensor_index_set(rt, &x, 2, ix, c2), RT_OK);
  expect(rt, tensor_ref(x), 2, S(2, 3), V(5, 10, 5, 6, 10, 6));
  /* the value is a view of the tensor itself */
  ix[0] = slice(-1, -3, -1);
  ix[0].has_stop = false;
  Tensor *flip = tensor_index(rt, x, 1, ix);
  ix[0] = all();
  assert_int_equal(tensor_index_set(rt, &x, 1, ix, flip), RT_OK);
  expect(rt, tensor_ref(x), 2, S(2, 3), V(6, 10, 6, 5, 10, 5));
  Tensor *wrong = tensor_zeros(rt, DT_F64, 1, S(4));
  assert_int_equal(tensor_index_set(rt, &x, 1, ix, wrong), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "a value of shape (4,)"));
  Tensor *all_of[] = {x, same, v, row, at01, col, c2, flip, wrong};
  for (int k = 0; k < 9; k++) tensor_unref(rt, all_of[k]);
}

static void test_set_dtype(void **state) {
  Rt *rt = *state;
  Tensor *x = tensor_zeros(rt, DT_I64, 1, S(2)), *b = tensor_zeros(rt, DT_BOOL, 1, S(2));
  Tensor *f = tensor_zeros(rt, DT_F32, 1, S(2));
  Tensor *half = tensor_scalar(rt, DT_F64, 0.5, 0), *two = tensor_scalar(rt, DT_F64, 2, 0);
  Tensor *z = tensor_scalar(rt, DT_C128, 1, 1), *big = tensor_scalar(rt, DT_F64, 1e300, 0);
  Index ix = at(0);
  assert_int_equal(tensor_index_set(rt, &x, 1, &ix, two), RT_OK);
  assert_int_equal(tensor_get_i64(x, 0), 2);
  assert_int_equal(tensor_index_set(rt, &x, 1, &ix, half), RT_ERROR);
  assert_string_equal(rt->error.message, "a tensor of dtype i64 cannot hold 0.5");
  assert_int_equal(tensor_index_set(rt, &f, 1, &ix, z), RT_ERROR);
  assert_int_equal(tensor_index_set(rt, &f, 1, &ix, big), RT_ERROR);
  assert_int_equal(tensor_index_set(rt, &f, 1, &ix, half), RT_OK);
  assert_true(tensor_get_f64(f, 0) == 0.5);
  assert_int_equal(tensor_index_set(rt, &b, 1, &ix, two), RT_ERROR);
  Tensor *all_of[] = {x, b, f, half, two, z, big};
  for (int k = 0; k < 7; k++) tensor_unref(rt, all_of[k]);
}

/* The adjoint: <index(x), v> == <x, add(0, v)> for a mixed index. */
static void test_add_is_adjoint(void **state) {
  Rt *rt = *state;
  Tensor *x = iota(rt, 3, S(4, 3, 5)), *i = ints(rt, 6, S(0, 3, 3, 1, 0, 0));
  Index ix[3] = {by(i), slice(0, 3, 2), all()};
  Tensor *y = tensor_index(rt, x, 3, ix), *v = tensor_new(rt, DT_F64, y->rank, y->shape);
  Tensor *acc = tensor_zeros(rt, DT_F64, 3, S(4, 3, 5));
  double left = 0, right = 0;
  for (int64_t k = 0; k < v->size; k++) tensor_set_f64(v, k, (double)((k * 7919) % 31 - 15));
  assert_int_equal(tensor_index_add(rt, acc, 3, ix, v), RT_OK);
  for (int64_t k = 0; k < v->size; k++) left += tensor_get_f64(y, k) * tensor_get_f64(v, k);
  for (int64_t k = 0; k < x->size; k++) right += tensor_get_f64(x, k) * tensor_get_f64(acc, k);
  assert_true(left == right && left != 0);
  Tensor *rows = iota(rt, 2, S(6, 2)), *sum = tensor_scatter_add(rt, 4, i, rows);
  expect(rt, sum, 2, S(4, 2), V(0 + 8 + 10, 1 + 9 + 11, 6, 7, 0, 0, 2 + 4, 3 + 5));
  Tensor *all_of[] = {x, i, y, v, acc, rows};
  for (int k = 0; k < 6; k++) tensor_unref(rt, all_of[k]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_basic_views, setup, teardown),
      cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_gather, setup, teardown),
      cmocka_unit_test_setup_teardown(test_mask, setup, teardown),
      cmocka_unit_test_setup_teardown(test_set, setup, teardown),
      cmocka_unit_test_setup_teardown(test_set_dtype, setup, teardown),
      cmocka_unit_test_setup_teardown(test_add_is_adjoint, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
