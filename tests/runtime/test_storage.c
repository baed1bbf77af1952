/* test_storage.c: making tensors, views that outlive their home, sharing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "runtime/tensor/tensor.h"

static void making(void **state) {
  (void)state;
  Rt *rt = rt_open();
  int64_t shape[] = {3, 4, 5};
  Tensor *t = tensor_zeros(rt, DT_F64, 3, shape);
  assert_int_equal(t->size, 60);
  assert_true(t->contiguous && tensor_unique(t));
  assert_int_equal(t->stride[0], 20);
  assert_int_equal(t->stride[2], 1);
  char text[128];
  assert_string_equal(tensor_shape_text(t, text), "(3, 4, 5)");
  assert_string_equal(shape_text(1, shape, text), "(3,)");
  assert_string_equal(shape_text(0, shape, text), "()");
  tensor_unref(rt, t);
  t = tensor_arange(rt, DT_I64, 5, -1, 4);
  assert_int_equal(tensor_get_i64(t, 3), 2);
  tensor_unref(rt, t);
  t = tensor_full(rt, DT_C64, 1, shape, 1.5, -2);
  assert_true(tensor_get_c128(t, 2).im == -2);
  tensor_unref(rt, t);
  t = tensor_scalar_i64(rt, INT64_MAX);
  assert_true(tensor_get_i64(t, 0) == INT64_MAX);
  tensor_unref(rt, t);
  int64_t empty[] = {3, 0};
  t = tensor_new(rt, DT_F32, 2, empty);
  assert_int_equal(t->size, 0);
  tensor_unref(rt, t);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

static void wrong(void **state) {
  (void)state;
  Rt *rt = rt_open();
  int64_t huge[] = {INT64_C(1) << 40, INT64_C(1) << 40};
  assert_null(tensor_new(rt, DT_F64, 2, huge));
  assert_int_equal(rt->error.status, RT_LIMIT);
  int64_t minus[] = {2, -1};
  assert_null(tensor_new(rt, DT_F64, 2, minus));
  int64_t one[] = {-1};
  assert_null(tensor_new(rt, DT_F64, 1, one));
  assert_null(tensor_full(rt, DT_I64, 0, NULL, NAN, 0));
  rt->limit = 1 << 20;
  int64_t mega[] = {1 << 20};
  assert_null(tensor_new(rt, DT_F64, 1, mega));
  assert_int_equal(rt->error.status, RT_LIMIT);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

static void views(void **state) {
  (void)state;
  Rt *rt = rt_open();
  for (int big = 0; big < 2; big++) {
    int64_t n = big ? 1000 : 10;
    Tensor *t = tensor_arange(rt, DT_F64, 0, 1, n);
    int64_t shape[] = {n / 2}, stride[] = {-2};
    Tensor *v = tensor_view(rt, t, 1, shape, stride, n - 1);
    assert_false(v->contiguous);
    assert_false(tensor_unique(t));
    tensor_unref(rt, t);
    assert_true(tensor_unique(v));   /* the view is the last to hold it */
    assert_true(tensor_get_f64(v, 0) == (double)(n - 1));
    assert_true(tensor_get_f64(v, 2) == (double)(n - 5));
    Tensor *c = tensor_contiguous(rt, v);
    assert_true(c->contiguous);
    assert_true(((double *)c->data)[1] == (double)(n - 3));
    tensor_unref(rt, v);
    Tensor *same = tensor_contiguous(rt, c);
    assert_ptr_equal(same, c);
    assert_int_equal(tensor_own(rt, &same), RT_OK);
    assert_ptr_not_equal(same, c);
    assert_int_equal(rt->buffer_copies, big + 1);
    tensor_unref(rt, same);
    assert_int_equal(tensor_own(rt, &c), RT_OK);
    assert_int_equal(rt->buffer_copies, big + 1);
    tensor_unref(rt, c);
    assert_int_equal(rt->bytes, 0);
  }
  rt_close(rt);
}

static void count_release(void *data, void *user) { ++*(int *)user; (void)data; }

static void foreign(void **state) {
  (void)state;
  Rt *rt = rt_open();
  double mine[6] = {0, 1, 2, 3, 4, 5};
  int released = 0;
  int64_t shape[] = {2, 3};
  Tensor *t = tensor_foreign(rt, DT_F64, 2, shape, NULL, mine, count_release, &released);
  assert_false(tensor_unique(t));   /* never written in place */
  int64_t one[] = {3}, st[] = {1};
  Tensor *v = tensor_view(rt, t, 1, one, st, 3);
  tensor_unref(rt, t);
  assert_int_equal(released, 0);
  assert_true(tensor_get_f64(v, 0) == 3);
  assert_int_equal(tensor_own(rt, &v), RT_OK);
  assert_int_equal(released, 1);
  tensor_unref(rt, v);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

static void casting(void **state) {
  (void)state;
  Rt *rt = rt_open();
  Tensor *t = tensor_arange(rt, DT_F64, -1.5, 1, 4);
  for (int d = 0; d < DT_COUNT; d++) {
    Tensor *c = tensor_astype(rt, t, (DType)d);
    assert_int_equal(c->dtype, d);
    double want = d == DT_BOOL ? 1 : d == DT_I64 ? -1 : -1.5;
    assert_true(tensor_get_f64(c, 0) == want);
    for (int e = 0; e < DT_COUNT; e++) {
      Tensor *x = tensor_astype(rt, c, (DType)e);
      double again = e == DT_BOOL ? 1 : e == DT_I64 ? trunc(want) : want;
      assert_true(tensor_get_f64(x, 0) == again);
      tensor_unref(rt, x);
    }
    tensor_unref(rt, c);
  }
  tensor_set_f64(t, 2, NAN);
  assert_null(tensor_astype(rt, t, DT_I64));
  assert_non_null(strstr(rt->error.message, "nan does not fit"));
  tensor_unref(rt, t);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

/* every strided copy against element access */
static void strided(void **state) {
  (void)state;
  Rt *rt = rt_open();
  for (int d = 0; d < DT_COUNT; d++) {
    int64_t shape[] = {3, 20, 33};
    Tensor *t = tensor_new(rt, (DType)d, 3, shape);
    for (int64_t i = 0; i < t->size; i++) tensor_set_f64(t, i, (double)(i * 7 % 101));
    int perm[][3] = {{0, 2, 1}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}};
    for (int p = 0; p < 4; p++) {
      int64_t s[3], st[3];
      for (int k = 0; k < 3; k++) {
        s[k] = shape[perm[p][k]];
        st[k] = t->stride[perm[p][k]];
      }
      Tensor *v = tensor_view(rt, t, 3, s, st, 0);
      Tensor *c = tensor_copy(rt, v);
      for (int64_t i = 0; i < v->size; i++)
        assert_true(tensor_get_f64(v, i) == tensor_get_f64(c, i));
      tensor_unref(rt, v);
      tensor_unref(rt, c);
    }
    tensor_unref(rt, t);
  }
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(making), cmocka_unit_test(wrong), cmocka_unit_test(views),
    cmocka_unit_test(foreign), cmocka_unit_test(casting), cmocka_unit_test(strided),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
