/* test_random.c: Philox against its published vectors; moments; independence
 * of tiling and threads; sorting and order statistics on random data.        */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/tensor/more.h"
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

/* kat_vectors of Random123, philox4x32 with 10 rounds */
static void test_known_answers(void **state) {
  static const struct {
    RngCall c;
    uint64_t e;
    uint32_t want[4];
  } kat[] = {
      {{0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0ull, ~0ull}, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x299f31d0a4093822ull, 0x0370734413198a2eull},
       0x85a308d3243f6a88ull,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (int i = 0; i < 3; i++) {
    uint32_t r[4];
    rng_bits(kat[i].c, kat[i].e, r);
    assert_memory_equal(r, kat[i].want, sizeof r);
  }
}

/* Filled tensors are the scalar functions, element by element, bit for bit. */
static void test_fill_is_elementwise(void **state) {
  Rt *rt = *state;
  RngCall c = rng_seeded(3);
  const int64_t n = 70001;
  rt->threads = 1;
  Tensor *u = tensor_rand(rt, c, DT_F64, 1, &n), *g = tensor_randn(rt, c, DT_F64, 1, &n);
  rt->threads = 3;
  Tensor *u3 = tensor_rand(rt, c, DT_F64, 1, &n), *g3 = tensor_randn(rt, c, DT_F64, 1, &n);
  Tensor *f = tensor_randn(rt, c, DT_F32, 2, S(7, 10));
  assert_memory_equal(u->data, u3->data, (size_t)n * 8);
  assert_memory_equal(g->data, g3->data, (size_t)n * 8);
  for (int64_t i = 0; i < n; i++) {
    assert_true(tensor_get_f64(u, i) == rng_uniform(c, (uint64_t)i));
    assert_true(tensor_get_f64(g, i) == rng_normal(c, (uint64_t)i));
  }
  for (int64_t i = 0; i < f->size; i++)
    assert_true(tensor_get_f64(f, i) == (double)(float)rng_normal(c, (uint64_t)i));
  double *part = malloc(5000 * sizeof *part);      /* from anywhere, over several blocks */
  rng_uniforms(c, 12345, 5000, part);
  assert_memory_equal(part, (double *)u->data + 12345, 5000 * sizeof *part);
  free(part);
  Tensor *a[] = {u, g, u3, g3, f};
  for (int k = 0; k < 5; k++) tensor_unref(rt, a[k]);
}

/* Against libm on the same bits. */
static void test_box_muller(void **state) {
  RngCall c = {12345, 6};
  double worst = 0;
  for (uint64_t e = 0; e < 200000; e++) {
    uint32_t r[4];
    rng_bits(c, e, r);
    double u = (double)(((uint64_t)r[1] << 32 | r[0]) >> 11) * 0x1p-53;
    double t = (double)(((uint64_t)r[3] << 32 | r[2]) >> 11) * 0x1p-53;
    double want = sqrt(-2 * log1p(-u)) * cos(2 * M_PI * t), err = fabs(rng_normal(c, e) - want);
    if (err > worst) worst = err;
  }
  assert_true(worst < 4e-15);
}

static void test_moments(void **state) {
  Rt *rt = *state;
  const int64_t n = 1000000;
  RngCall c = rng_next(rt), d = rng_next(rt);
  assert_true(d.key == c.key && d.call == c.call + 1);
  Tensor *g = tensor_randn(rt, c, DT_F64, 1, &n), *u = tensor_rand(rt, d, DT_F64, 1, &n);
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0, u1 = 0, u2 = 0;
  const double *x = (double *)(void *)g->data, *y = (double *)(void *)u->data;
  for (int64_t i = 0; i < n; i++) {
    m1 += x[i], m2 += x[i] * x[i], m3 += x[i] * x[i] * x[i], m4 += x[i] * x[i] * x[i] * x[i];
    if (i) lag += x[i] * x[i - 1];
    u1 += y[i], u2 += y[i] * y[i];
    assert_true(y[i] >= 0 && y[i] < 1);
  }
  double N = (double)n, se = 1 / sqrt(N); /* five standard errors each */
  assert_true(fabs(m1 / N) < 5 * se);
  assert_true(fabs(m2 / N - 1) < 5 * sqrt(2) * se);
  assert_true(fabs(m3 / N) < 5 * sqrt(15) * se);
  assert_true(fabs(m4 / N - 3) < 5 * sqrt(96) * se);
  assert_true(fabs(lag / N) < 5 * se);
  assert_true(fabs(u1 / N - 0.5) < 5 * sqrt(1. / 12) * se);
  assert_true(fabs(u2 / N - 1. / 3) < 5 * sqrt(4. / 45) * se);
  tensor_unref(rt, g);
  tensor_unref(rt, u);
}

static void test_integers(void **state) {
  Rt *rt = *state;
  const int64_t n = 60000;
  int64_t count[6] = {0};
  Tensor *d = tensor_randint(rt, rng_seeded(1), -2, 4, 1, &n);
  for (int64_t i = 0; i < n; i++) {
    int64_t v = tensor_get_i64(d, i);
    assert_true(v >= -2 && v < 4);
    count[v + 2]++;
  }
  double chi = 0;
  for (int k = 0; k < 6; k++) chi += pow((double)count[k] - 1e4, 2) / 1e4;
  assert_true(chi < 25.7); /* 1e-4 of chi2 with 5 dof */
  tensor_unref(rt, d);
  d = tensor_randint(rt, rng_seeded(1), INT64_MIN, INT64_MAX, 1, S(100));
  assert_non_null(d);
  tensor_unref(rt, d);
  assert_null(tensor_randint(rt, rng_seeded(1), 3, 3, 1, S(1)));
  Tensor *p = tensor_permutation(rt, rng_seeded(2), 500), *s = tensor_sort(rt, p, 0, false);
  int64_t moved = 0;
  for (int64_t i = 0; i < 500; i++) {
    assert_int_equal(tensor_get_i64(s, i), i);
    moved += tensor_get_i64(p, i) != i;
  }
  assert_true(moved > 480);
  tensor_unref(rt, p);
  tensor_unref(rt, s);
}

static void test_streams(void **state) {
  uint64_t a = rng_derive(1, "repeat", 3), b = rng_derive(1, "level", 3),
           c = rng_derive(1, "repeat", 4);
  assert_true(a != b && a != c && b != c && a != rng_derive(2, "repeat", 3));
  assert_true(a == rng_derive(1, "repeat", 3));
  assert_true(rng_seeded(0).key != rng_seeded(1).key);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void test_sort(void **state) {
  Rt *rt = *state;
  const int64_t sizes[] = {1, 5, 17, 1000, 9001};
  for (int k = 0; k < 5; k++) {
    Tensor *x = tensor_randn(rt, rng_seeded(k), DT_F64, 1, &sizes[k]),
           *s = tensor_sort(rt, x, -1, false);
    qsort(x->data, (size_t)sizes[k], 8, compare);
    assert_memory_equal(x->data, s->data, (size_t)sizes[k] * 8);
    tensor_unref(rt, x);
    tensor_unref(rt, s);
  }
  /* stable with many ties, down axis 0, both directions */
  Tensor *d = tensor_randint(rt, rng_seeded(9), -3, 3, 2, S(5000, 2));
  for (int down = 0; down < 2; down++) {
    Tensor *o = tensor_argsort(rt, d, 0, down);
    for (int64_t i = 1; i < 5000; i++) {
      int64_t p = tensor_get_i64(o, 2 * i - 1), q = tensor_get_i64(o, 2 * i + 1);
      int64_t x = tensor_get_i64(d, 2 * p + 1), y = tensor_get_i64(d, 2 * q + 1);
      assert_true(x == y ? p < q : down ? x > y : x < y);
    }
    tensor_unref(rt, o);
  }
  tensor_unref(rt, d);
  Tensor *x = tensor_new(rt, DT_F32, 1, S(5));
  const float v[5] = {NAN, -0.0f, 1, 0.0f, -INFINITY};
  memcpy(x->data, v, sizeof v);
  for (int down = 0; down < 2; down++) {
    static const int64_t want[2][5] = {{4, 1, 3, 2, 0}, {2, 1, 3, 4, 0}};
    Tensor *o = tensor_argsort(rt, x, 0, down);
    for (int i = 0; i < 5; i++) assert_int_equal(tensor_get_i64(o, i), want[down][i]);
    tensor_unref(rt, o);
  }
  tensor_unref(rt, x);
}

static void test_statistics(void **state) {
  Rt *rt = *state;
  Tensor *x = tensor_arange(rt, DT_F64, 0, 1, 5), *q = tensor_new(rt, DT_F64, 1, S(3));
  const double levels[3] = {0, 0.3, 1};
  memcpy(q->data, levels, sizeof levels);
  Tensor *r = tensor_quantile(rt, x, q, 0, true);
  assert_true(tensor_get_f64(r, 0) == 0 && fabs(tensor_get_f64(r, 1) - 1.2) < 1e-15 &&
              tensor_get_f64(r, 2) == 4);
  Tensor *e = NULL, *h = tensor_histogram(rt, x, 4, NAN, NAN, &e);
  for (int i = 0; i < 4; i++) assert_int_equal(tensor_get_i64(h, i), i == 3 ? 2 : 1);
  assert_true(tensor_get_f64(e, 1) == 1);
  Tensor *d = tensor_randint(rt, rng_seeded(4), 0, 7, 2, S(20, 20)), *c = NULL;
  Tensor *u = tensor_distinct(rt, d, &c);
  assert_int_equal(u->size, 7);
  int64_t total = 0;
  for (int i = 0; i < 7; i++) {
    assert_int_equal(tensor_get_i64(u, i), i);
    total += tensor_get_i64(c, i);
  }
  assert_int_equal(total, 400);
  Tensor *cs = tensor_cumsum(rt, d, 1);
  int64_t sum = 0;
  for (int i = 0; i < 20; i++) {
    sum += tensor_get_i64(d, 40 + i);
    assert_int_equal(tensor_get_i64(cs, 40 + i), sum);
  }
  Tensor *a[] = {x, q, r, h, e, d, c, u, cs};
  for (int k = 0; k < 9; k++) tensor_unref(rt, a[k]);
}

static void printed(const Tensor *t, int64_t max, const char *want) {
  Buf b = {0};
  tensor_print(t, &b, max);
  assert_string_equal(b.data, want);
  buf_free(&b);
}

static void test_print(void **state) {
  Rt *rt = *state;
  Tensor *x = tensor_new(rt, DT_F64, 2, S(2, 2));
  const double v[4] = {1, -0.5, 0.1 + 0.2, 1e-9};
  memcpy(x->data, v, sizeof v);
  printed(x, 1000, "[[   1.0,   -0.5],\n [   0.3, 1e-9  ]]");
  Tensor *i = tensor_arange(rt, DT_I64, 0, 1, 12), *b = tensor_zeros(rt, DT_BOOL, 1, S(1));
  printed(i, 10, "[0, 1, 2, ..., 9, 10, 11]  # i64 (12,)");
  printed(i, 12, "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]");
  printed(b, 12, "[false]");
  Tensor *z = tensor_scalar(rt, DT_C128, 1, -2), *none = tensor_zeros(rt, DT_F32, 2, S(0, 3));
  printed(z, 12, "1.0-2.0i");
  printed(none, 12, "[]  # f32 (0, 3)");
  Tensor *a[] = {x, i, b, z, none};
  for (int k = 0; k < 5; k++) tensor_unref(rt, a[k]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_answers),
      cmocka_unit_test_setup_teardown(test_fill_is_elementwise, setup, teardown),
      cmocka_unit_test(test_box_muller),
      cmocka_unit_test_setup_teardown(test_moments, setup, teardown),
      cmocka_unit_test_setup_teardown(test_integers, setup, teardown),
      cmocka_unit_test(test_streams),
      cmocka_unit_test_setup_teardown(test_sort, setup, teardown),
      cmocka_unit_test_setup_teardown(test_statistics, setup, teardown),
      cmocka_unit_test_setup_teardown(test_print, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
