/* test_product.c: general products against plain loops in double: every way to
 * store the operands, sizes with and without packing, bias, sums into C, what
 * follows a block; the same bits on any number of threads.                     */
#include "tests/runtime/fixture.h"
#include "runtime/tensor/gemm_levels.h"
#include "runtime/tensor/product.h"
#include "runtime/tensor/random.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static double noise(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)*state * 0x1p-63;
}
static double get(const void *p, DType d, int64_t i) {
  return d == DT_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void *numbers(DType d, int64_t n, uint64_t *state) {
  void *p = malloc((size_t)n * 8 + 8);
  assert_non_null(p);
  for (int64_t i = 0; i < n; i++) {
    double x = noise(state);
    if (d == DT_F64) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
  }
  return p;
}

/* Counts how often each element of C has been reported as finished. */
typedef struct { int64_t n; atomic_uchar *seen; } Seen;
static void see(void *job, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  Seen *s = job;
  for (int64_t i = row; i < row + rows; i++)
    for (int64_t j = column; j < column + columns; j++) s->seen[i * s->n + j]++;
}

/* Every `step`-th element of C against its definition. */
static void check(const Product *p, const void *before, int64_t step) {
  double eps = (p->d == DT_F64 ? 0x1p-53 : 0x1p-24) * 64;
  for (int64_t at = 0; at < p->m * p->n; at += step) {
    int64_t i = at / p->n, j = at % p->n;
    double want = p->add ? get(before, p->d, i * p->ldc + j) : 0, size = 1;
    if (p->bias) want += get(p->bias, p->d, j);
    for (int64_t l = 0; l < p->k; l++) {
      double x = get(p->a, p->d, p->ta ? l * p->lda + i : i * p->lda + l) *
                 get(p->b, p->d, p->tb ? j * p->ldb + l : l * p->ldb + j);
      want += x;
      size += fabs(x);
    }
    double have = get(p->c, p->d, i * p->ldc + j);
    if (!(fabs(have - want) <= eps * size))
      fail_msg("m %d n %d k %d ta %d tb %d add %d bias %d: (%d, %d) is %.9g, not %.9g", (int)p->m,
               (int)p->n, (int)p->k, p->ta, p->tb, p->add, p->bias != NULL, (int)i, (int)j, have,
               want);
  }
}

typedef struct { DType d; int m, n, k; bool ta, tb, add, bias; } Case;

static void one(Case c) {
  uint64_t state = (uint64_t)(c.m * 131 + c.n * 17 + c.k);
  Product p = {.d = c.d, .m = c.m, .n = c.n, .k = c.k, .ta = c.ta, .tb = c.tb, .add = c.add,
               .lda = (c.ta ? c.m : c.k) + 3, .ldb = (c.tb ? c.k : c.n) + 1, .ldc = c.n + 2};
  size_t bytes = (size_t)(c.m * p.ldc) * 8;
  void *a = numbers(c.d, (c.ta ? c.k : c.m) * p.lda, &state);
  void *b = numbers(c.d, (c.tb ? c.n : c.k) * p.ldb, &state);
  void *bias = numbers(c.d, c.n, &state), *before = numbers(c.d, c.m * p.ldc, &state);
  void *first = malloc(bytes + 8), *second = malloc(bytes + 8);
  Seen seen = {c.n, calloc((size_t)(c.m * c.n) + 1, 1)};
  assert_non_null(first);
  assert_non_null(second);
  assert_non_null(seen.seen);
  p.a = a;
  p.b = b;
  p.bias = c.bias ? bias : NULL;
  p.finish = see;
  p.job = &seen;
  for (int threads = 1; threads <= 3; threads += 2) {
    p.c = threads == 1 ? first : second;
    memcpy(p.c, before, (size_t)(c.m * p.ldc) * dtype_size[c.d]);
    rt->threads = threads;
    assert_int_equal(product_run(rt, &p), RT_OK);
  }
  assert_memory_equal(first, second, (size_t)(c.m * p.ldc) * dtype_size[c.d]);
  check(&p, before, 1 + (int64_t)c.m * c.n * c.k / 400000);
  for (int i = 0; i < c.m * c.n; i++) assert_int_equal(seen.seen[i], 2);
  free(a);
  free(b);
  free(bias);
  free(before);
  free(first);
  free(second);
  free((void *)seen.seen);
}

static void test_shapes(void **s) {
  (void)s;
  static const int sizes[][3] = {
    {0, 5, 3}, {4, 0, 3}, {3, 7, 0}, {1, 1, 1}, {1, 300, 40}, {3, 17, 600}, {5, 64, 33},
    {49, 49, 16}, {65, 65, 65}, {97, 130, 513}, {200, 20, 1100}, {64, 192, 700}, {300, 65, 128},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int how = 0; how < 32; how++)
      one((Case){how & 16 ? DT_F64 : DT_F32, sizes[i][0], sizes[i][1], sizes[i][2], how & 1,
                 how & 2, how & 4, how & 8});
}

/* Large enough that both operands are copied into panels. */
static void test_packed(void **s) {
  (void)s;
  for (int how = 0; how < 4; how++) {
    one((Case){DT_F32, 530, 620, 540, how & 1, how & 2, how == 3, how == 1});
    one((Case){DT_F64, 270, 530, 515, how & 1, how & 2, how == 2, how == 0});
  }
}

/* An element is the same whichever rows and columns stand beside it. */
static void test_bits(void **s) {
  (void)s;
  enum { M = 150, NN = 200, K = 600 };
  uint64_t state = 3;
  float *a = numbers(DT_F32, M * K, &state), *b = numbers(DT_F32, K * NN, &state);
  static float whole[M * NN], part[M * NN];
  Product p = {.d = DT_F32, .m = M, .n = NN, .k = K, .a = a, .lda = K, .b = b, .ldb = NN,
               .c = whole, .ldc = NN};
  assert_int_equal(product_run(rt, &p), RT_OK);
  for (int m = 1; m < M; m += 29)
    for (int n = 1; n < NN; n += 37) {
      Product q = p;
      q.a = a + (M - m) * K;
      q.b = b + (NN - n);
      q.m = m;
      q.n = n;
      q.c = part;
      q.ldc = n;
      assert_int_equal(product_run(rt, &q), RT_OK);
      for (int i = 0; i < m; i++)
        assert_memory_equal(part + i * n, whole + (M - m + i) * NN + NN - n,
                            (size_t)n * sizeof(float));
    }
  free(a);
  free(b);
}

/* Batches through the language's product: repeated and strided operands. */
static void test_batches(void **s) {
  (void)s;
  static const int64_t sizes[][4] = {{7, 20, 30, 40}, {2, 300, 260, 250}, {40, 64, 64, 32}};
  for (int i = 0; i < 3; i++)
    for (int how = 0; how < 4; how++) {
      int64_t count = sizes[i][0], m = sizes[i][1], n = sizes[i][2], k = sizes[i][3];
      bool ta = how & 1, tb = how & 2;
      int64_t sa[] = {count, ta ? k : m, ta ? m : k}, sb[] = {1, tb ? n : k, tb ? k : n};
      Tensor *a = tensor_randn(rt, rng_seeded(1), DT_F32, 3, sa);
      Tensor *b = tensor_randn(rt, rng_seeded(2), DT_F32, 3, sb), *c[2];
      for (int t = 0; t < 2; t++) {
        rt->threads = 1 + 2 * t;
        c[t] = tensor_matmul_t(rt, a, ta, b, tb);
        assert_non_null(c[t]);
      }
      assert_memory_equal(c[0]->data, c[1]->data, (size_t)c[0]->size * sizeof(float));
      for (int64_t at = 0; at < count; at += count - 1) {
        Product p = {.d = DT_F32, .m = m, .n = n, .k = k, .ta = ta, .tb = tb,
                     .a = a->data + at * m * k * 4, .lda = ta ? m : k, .b = b->data,
                     .ldb = tb ? k : n, .c = c[0]->data + at * m * n * 4, .ldc = n};
        check(&p, NULL, 1 + m * n / 500);
      }
      tensor_unref(rt, a);
      tensor_unref(rt, b);
      tensor_unref(rt, c[0]);
      tensor_unref(rt, c[1]);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_shapes), cmocka_unit_test(test_packed), cmocka_unit_test(test_bits),
    cmocka_unit_test(test_batches),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
