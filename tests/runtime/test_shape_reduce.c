/* test_shape_reduce.c: shapes, joining, reductions and products against plain
 * loops over elements.                                                        */
#include "tests/runtime/pattern.h"

#include <math.h>
#include <string.h>

static void check_close(const Tensor *t, int64_t i, double complex want) {
  double complex got = at(t, i);
  double eps = t->dtype == DT_F32 || t->dtype == DT_C64 ? 2e-6 : 1e-13;
  if (!(cabs(got - want) <= eps * (1 + cabs(want))))
    fail_msg("element %d: got %.17g%+.17gi, want %.17g%+.17gi", (int)i, creal(got), cimag(got),
             creal(want), cimag(want));
}

static void reshaping(void **s) {
  (void)s;
  int64_t shape[] = {4, 6, 5}, a[] = {24, -1}, b[] = {2, 2, 6, 5}, bad[] = {7, -1},
          two[] = {-1, -1};
  Tensor *t = filled(DT_F64, 3, shape, 1);
  Tensor *r = tensor_reshape(rt, t, 2, a);
  assert_ptr_equal(r->storage, t->storage);
  assert_int_equal(r->shape[1], 5);
  tensor_unref(rt, r);
  assert_null(tensor_reshape(rt, t, 2, bad));
  assert_null(tensor_reshape(rt, t, 2, two));
  int axes[] = {0, 2, 1}, twice[] = {0, 0, 1};
  Tensor *p = tensor_permute(rt, t, axes);
  assert_null(tensor_permute(rt, t, twice));
  r = tensor_reshape(rt, p, 4, (int64_t[]){2, 2, 5, 6});   /* splitting an axis is a view */
  assert_ptr_equal(r->storage, t->storage);
  for (int64_t i = 0; i < r->size; i++) assert_true(at(r, i) == at(p, i));
  tensor_unref(rt, r);
  r = tensor_reshape(rt, p, 1, (int64_t[]){-1});           /* joining these is not */
  assert_ptr_not_equal(r->storage, t->storage);
  for (int64_t i = 0; i < r->size; i++) assert_true(at(r, i) == at(p, i));
  tensor_unref(rt, r);
  tensor_unref(rt, p);
  r = tensor_reshape(rt, t, 4, b);
  tensor_unref(rt, t);
  tensor_unref(rt, r);
  Tensor *z = filled(DT_C128, 2, shape, 1), *h = tensor_swap_last(rt, z, true);
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < 6; k++) assert_true(at(h, k * 4 + i) == conj(at(z, i * 6 + k)));
  tensor_unref(rt, z);
  tensor_unref(rt, h);
}

static void axes(void **s) {
  (void)s;
  int a;
  assert_int_equal(axis_check(rt, "sum", -1, 3, &a), RT_OK);
  assert_int_equal(a, 2);
  assert_int_equal(axis_check(rt, "sum", 3, 3, &a), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "`sum`: axis 3 is out of range"));
  assert_int_equal(axis_check(rt, "sum", 0, 0, &a), RT_ERROR);
}

static void joining(void **s) {
  (void)s;
  int64_t sa[] = {2, 3, 4}, sb[] = {2, 5, 4};
  Tensor *a = filled(DT_F32, 3, sa, 1), *b = filled(DT_I64, 3, sb, 2);
  Tensor *c = tensor_concat(rt, 2, (Tensor *[]){a, b}, -2);
  assert_int_equal(c->dtype, DT_F32);
  assert_int_equal(c->shape[1], 8);
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 8; j++)
      for (int k = 0; k < 4; k++)
        assert_true(at(c, (i * 8 + j) * 4 + k) ==
                    (j < 3 ? at(a, (i * 3 + j) * 4 + k) : at(b, (i * 5 + j - 3) * 4 + k)));
  assert_null(tensor_concat(rt, 2, (Tensor *[]){a, b}, 0));
  assert_null(tensor_stack(rt, 2, (Tensor *[]){a, b}, 0));
  Tensor *v = tensor_swap_last(rt, a, false), *st = tensor_stack(rt, 2, (Tensor *[]){v, v}, 1);
  assert_int_equal(st->rank, 4);
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < 2; k++)
      for (int j = 0; j < 12; j++) assert_true(at(st, (i * 2 + k) * 12 + j) == at(v, i * 12 + j));
  Tensor *t = tensor_tile(rt, a, 2, (int64_t[]){2, 3});
  assert_int_equal(t->shape[1], 6);
  assert_int_equal(t->shape[2], 12);
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 6; j++)
      for (int k = 0; k < 12; k++)
        assert_true(at(t, (i * 6 + j) * 12 + k) == at(a, (i * 3 + j % 3) * 4 + k % 4));
  Tensor *all[] = {a, b, c, v, st, t};
  for (int i = 0; i < 6; i++) tensor_unref(rt, all[i]);
}

static double complex fold(RedOp op, double complex acc, double complex x, bool first) {
  switch (op) {
    case RED_SUM: case RED_MEAN: return first ? x : acc + x;
    case RED_PROD: return first ? x : acc * x;
    case RED_MIN: return first || creal(x) < creal(acc) ? x : acc;
    case RED_MAX: return first || creal(x) > creal(acc) ? x : acc;
    case RED_ANY: return (!first && acc != 0) || x != 0;
    case RED_ALL: return (first || acc != 0) && x != 0;
    case RED_LOGSUMEXP: return (first ? 0 : acc) + cexp(x);
    default: return (first ? 0 : acc) + x * conj(x);
  }
}

/* every reduction, dtype, subset of axes, layout */
static void all_reductions(void **s) {
  (void)s;
  int64_t shape[] = {3, 70, 2, 5};
  int perms[][4] = {{0, 1, 2, 3}, {3, 1, 0, 2}, {1, 0, 3, 2}};
  for (int op = 0; op < RED_COUNT; op++)
    for (int d = 0; d < DT_COUNT; d++) {
      if (op == RED_PROD && d != DT_F64) continue;
      if (dtype_complex((DType)d) && (op == RED_MIN || op == RED_MAX || op == RED_LOGSUMEXP))
        continue;
      Tensor *base = filled((DType)d, 4, shape, 1);
      if (op == RED_PROD)
        for (int64_t i = 0; i < base->size; i++)
          tensor_set_f64(base, i, 1 + (double)(i % 7 - 3) / 50);
      for (int p = 0; p < 3; p++)
        for (unsigned mask = 0; mask < 16; mask++) {
          Tensor *a = tensor_permute(rt, base, perms[p]);
          Tensor *o = tensor_reduce(rt, (RedOp)op, a, mask, true);
          assert_non_null(o);
          double complex want[3 * 70 * 2 * 5];
          bool seen[3 * 70 * 2 * 5] = {0};
          int64_t count = a->size / o->size;
          for (int64_t i = 0; i < a->size; i++) {
            int64_t rest = i, to = 0, ix[4];
            for (int k = 3; k >= 0; k--) { ix[k] = rest % a->shape[k]; rest /= a->shape[k]; }
            for (int k = 0; k < 4; k++) to = to * o->shape[k] + (mask >> k & 1 ? 0 : ix[k]);
            want[to] = fold((RedOp)op, seen[to] ? want[to] : 0, at(a, i), !seen[to]);
            seen[to] = true;
          }
          for (int64_t i = 0; i < o->size; i++) {
            double complex w = want[i];
            if (op == RED_MEAN) w /= (double)count;
            if (op == RED_LOGSUMEXP) w = clog(w);
            check_close(o, i, w);
          }
          tensor_unref(rt, o);
          tensor_unref(rt, a);
        }
      tensor_unref(rt, base);
    }
}

static void reduction_edges(void **s) {
  (void)s;
  int64_t none[] = {0, 3};
  Tensor *e = tensor_new(rt, DT_F64, 2, none), *o = tensor_reduce(rt, RED_SUM, e, ~0u, false);
  assert_true(tensor_get_f64(o, 0) == 0);
  tensor_unref(rt, o);
  assert_null(tensor_reduce(rt, RED_MAX, e, ~0u, false));
  assert_non_null(strstr(rt->error.message, "`max` of no elements"));
  o = tensor_reduce(rt, RED_SUM, e, 1u, false);
  assert_int_equal(o->size, 3);
  assert_true(tensor_get_f64(o, 2) == 0);
  tensor_unref(rt, o);
  tensor_unref(rt, e);
  Tensor *i = tensor_full(rt, DT_I64, 1, (int64_t[]){3}, 0x1p62, 0);
  assert_null(tensor_reduce(rt, RED_SUM, i, ~0u, false));
  assert_non_null(strstr(rt->error.message, "overflow in `sum`"));
  tensor_unref(rt, i);
  Tensor *n = tensor_full(rt, DT_F64, 1, (int64_t[]){40}, 1, 0);
  tensor_set_f64(n, 33, NAN);
  for (int op = RED_MIN; op <= RED_MAX; op++) {
    o = tensor_reduce(rt, (RedOp)op, n, ~0u, false);
    assert_true(isnan(tensor_get_f64(o, 0)));
    tensor_unref(rt, o);
    o = tensor_argreduce(rt, op == RED_MAX, n, 0);
    assert_int_equal(tensor_get_i64(o, 0), 33);
    tensor_unref(rt, o);
  }
  tensor_unref(rt, n);
  n = tensor_full(rt, DT_F32, 1, (int64_t[]){40}, -INFINITY, 0);
  o = tensor_reduce(rt, RED_LOGSUMEXP, n, ~0u, false);
  assert_true(tensor_get_f64(o, 0) == -INFINITY);
  tensor_unref(rt, o);
  tensor_unref(rt, n);
  n = tensor_full(rt, DT_F64, 1, (int64_t[]){3}, 1000, 0);
  o = tensor_reduce(rt, RED_LOGSUMEXP, n, ~0u, false);
  check_close(o, 0, 1000 + log(3));
  tensor_unref(rt, o);
  tensor_unref(rt, n);
}

static void extremes(void **s) {
  (void)s;
  int64_t shape[] = {3, 7, 4};
  for (int d = 0; d <= DT_F64; d++) {
    Tensor *a = filled((DType)d, 3, shape, 2);
    for (int max = 0; max < 2; max++)
      for (int axis = 0; axis < 3; axis++) {
        Tensor *o = tensor_argreduce(rt, max, a, axis - 3);
        int64_t step = axis == 0 ? 28 : axis == 1 ? 4 : 1, k = 0;
        for (int64_t i = 0; i < a->size; i++) {
          if (i / step % shape[axis]) continue;
          int64_t best = 0;
          for (int64_t j = 1; j < shape[axis]; j++) {
            double x = tensor_get_f64(a, i + j * step), b = tensor_get_f64(a, i + best * step);
            if (max ? x > b : x < b) best = j;
          }
          assert_int_equal(tensor_get_i64(o, k++), best);
        }
        tensor_unref(rt, o);
      }
    tensor_unref(rt, a);
  }
}

static void summing_to(void **s) {
  (void)s;
  int64_t big[] = {4, 3, 5}, small[] = {3, 1}, bad[] = {2};
  Tensor *a = filled(DT_F64, 3, big, 1), *o = tensor_sum_to(rt, a, 2, small);
  assert_int_equal(o->rank, 2);
  for (int j = 0; j < 3; j++) {
    double w = 0;
    for (int i = 0; i < 4; i++)
      for (int k = 0; k < 5; k++) w += tensor_get_f64(a, (i * 3 + j) * 5 + k);
    check_close(o, j, w);
  }
  tensor_unref(rt, o);
  o = tensor_sum_to(rt, a, 3, big);
  assert_ptr_equal(o, a);
  tensor_unref(rt, o);
  assert_null(tensor_sum_to(rt, a, 1, bad));
  tensor_unref(rt, a);
}

static void check_product(Tensor *a, bool ta, Tensor *b, bool tb) {
  Tensor *o = tensor_matmul_t(rt, a, ta, b, tb);
  assert_non_null(o);
  int64_t m = a->rank == 1 ? 1 : a->shape[a->rank - (ta ? 1 : 2)];
  int64_t k = a->rank == 1 ? a->size : a->shape[a->rank - (ta ? 2 : 1)];
  int64_t n = b->rank == 1 ? 1 : b->shape[b->rank - (tb ? 2 : 1)];
  int64_t ba = a->rank > 2 ? a->shape[0] : 1, bb = b->rank > 2 ? b->shape[0] : 1;
  int64_t batch = ba > bb ? ba : bb;
  assert_int_equal(o->size, batch * m * n);
  for (int64_t z = 0; z < batch; z++)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double complex w = 0;
        for (int64_t p = 0; p < k; p++)
          w += at(a, (ba > 1 ? z * m * k : 0) + (ta && a->rank > 1 ? p * m + i : i * k + p)) *
               at(b, (bb > 1 ? z * k * n : 0) + (tb && b->rank > 1 ? j * k + p : p * n + j));
        check_close(o, (z * m + i) * n + j, w);
      }
  tensor_unref(rt, o);
}

static void products(void **s) {
  (void)s;
  for (int d = 0; d < DT_COUNT; d++)
    for (int size = 0; size < 2; size++)
      for (int t = 0; t < 4; t++) {
        int64_t m = size ? 33 : 3, k = size ? 41 : 4, n = size ? 29 : 5;
        bool ta = t & 1, tb = t & 2;
        int64_t sa[] = {2, ta ? k : m, ta ? m : k}, sb[] = {2, tb ? n : k, tb ? k : n};
        Tensor *a2 = filled((DType)d, 2, sa + 1, 1), *b2 = filled((DType)d, 2, sb + 1, 2);
        Tensor *a3 = filled((DType)d, 3, sa, 3), *b3 = filled((DType)d, 3, sb, 4);
        Tensor *va = filled((DType)d, 1, &k, 5);
        check_product(a2, ta, b2, tb);
        check_product(a3, ta, b2, tb);
        check_product(a2, ta, b3, tb);
        check_product(a3, ta, b3, tb);
        check_product(va, ta, b2, tb);
        check_product(a3, ta, va, tb);
        check_product(va, ta, va, tb);
        Tensor *sw = tensor_swap_last(rt, a3, false);   /* strided operands */
        check_product(sw, !ta, b3, tb);
        int64_t half[] = {sa[1], sa[2]}, st[] = {-a2->stride[0], 1};
        Tensor *neg = tensor_view(rt, a2, 2, half, st, (sa[1] - 1) * sa[2]);
        check_product(neg, ta, b2, tb);
        Tensor *all[] = {a2, b2, a3, b3, va, sw, neg};
        for (int i = 0; i < 7; i++) tensor_unref(rt, all[i]);
      }
}

static void product_errors(void **s) {
  (void)s;
  Tensor *x = tensor_zeros(rt, DT_F64, 2, (int64_t[]){32, 784});
  Tensor *w = tensor_zeros(rt, DT_F64, 2, (int64_t[]){64, 784});
  Tensor *f = tensor_zeros(rt, DT_F32, 2, (int64_t[]){784, 3});
  Tensor *one = tensor_scalar(rt, DT_F64, 1, 0);
  Tensor *big = tensor_full(rt, DT_I64, 2, (int64_t[]){2, 2}, 0x1p61, 0);
  assert_null(tensor_matmul(rt, x, w));
  assert_non_null(strstr(rt->error.message, "(32, 784)"));
  assert_non_null(strstr(rt->error.help, "b'"));
  assert_null(tensor_matmul(rt, x, f));
  assert_non_null(strstr(rt->error.message, "do not mix"));
  assert_null(tensor_matmul(rt, x, one));
  assert_null(tensor_matmul(rt, big, big));
  assert_non_null(strstr(rt->error.message, "overflow"));
  Tensor *e = tensor_zeros(rt, DT_F64, 2, (int64_t[]){3, 0}),
         *g = tensor_zeros(rt, DT_F64, 2, (int64_t[]){0, 4});
  Tensor *o = tensor_matmul(rt, e, g);
  assert_int_equal(o->size, 12);
  for (int i = 0; i < 12; i++) assert_true(tensor_get_f64(o, i) == 0);
  Tensor *all[] = {x, w, f, one, big, e, g, o};
  for (int i = 0; i < 8; i++) tensor_unref(rt, all[i]);
}

/* one and several threads give the same bits */
static void same_bits(void **s) {
  (void)s;
  Tensor *a = filled(DT_F64, 2, (int64_t[]){700, 300}, 1),
         *b = filled(DT_F64, 2, (int64_t[]){300, 90}, 2);
  Tensor *c = filled(DT_F32, 1, (int64_t[]){700001}, 1);
  for (int64_t i = 0; i < a->size; i++) ((double *)a->data)[i] *= 1 + 1e-9 * (double)(i % 1013);
  for (int64_t i = 0; i < c->size; i++) ((float *)c->data)[i] *= 1 + 1e-4f * (float)(i % 1013);
  Tensor *r[2][5];
  for (int k = 0; k < 2; k++) {
    rt->threads = k ? 3 : 1;
    r[k][0] = tensor_matmul(rt, a, b);
    r[k][1] = tensor_reduce(rt, RED_SUM, a, 1u, false);
    r[k][2] = tensor_reduce(rt, RED_SUM, a, 2u, false);
    r[k][3] = tensor_reduce(rt, RED_MEAN, c, ~0u, false);
    r[k][4] = tensor_reduce(rt, RED_SUMSQ, c, ~0u, false);
  }
  for (int i = 0; i < 5; i++) {
    assert_memory_equal(r[0][i]->data, r[1][i]->data, r[0][i]->storage->bytes);
    tensor_unref(rt, r[0][i]);
    tensor_unref(rt, r[1][i]);
  }
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  tensor_unref(rt, c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
    T(reshaping), T(axes), T(joining), T(all_reductions), T(reduction_edges), T(extremes),
    T(summing_to), T(products), T(product_errors), T(same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
