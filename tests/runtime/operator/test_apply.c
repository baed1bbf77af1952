/* test_apply.c: application without a matrix against operator_matrix(), at every size up
 * to some bits beyond a run, with every instruction set, and means against products. */
#include "tests/runtime/fixture.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/apply_impl.h"
#include "runtime/tensor/kernels_levels.h"

static uint64_t seed = 7;
static int draw(int n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (int)((seed >> 33) % (uint64_t)n);
}
static double real(void) { return draw(2001) / 1000.0 - 1; }

/* terms random products of up to `most` factors on n qubits; real: an even number of Y */
static void fill(Operator *a, int n, int terms, int most, bool is_real) {
  int64_t first;
  operator_init(a);
  assert_int_equal(operator_register(rt, a, n, &first), RT_OK);
  for (int t = 0; t < terms; t++) {
    OpWord w[8];
    int k = draw(most + 1), y = 0;
    for (int i = 0; i < k; i++) {
      w[i] = (OpWord){(uint8_t)draw(3), (int32_t)draw(n)};
      if (w[i].factor == OP_Y && is_real && y++ == 0 && i == k - 1) w[i].factor = OP_Z;
    }
    c128 c = {real(), is_real ? 0 : real()};
    if (is_real && (y & 1))
      for (int i = 0; i < k; i++)
        if (w[i].factor == OP_Y) w[i].factor = OP_X;
    assert_int_equal(operator_add(rt, a, c, k, w), RT_OK);
  }
}

static double *vector(int64_t n) {
  double *x = rt_alloc(rt, (size_t)n * sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = real();
  return x;
}

/* The same operator in single precision on the same numbers, rounded. */
static float *singles(const double *x, int64_t n) {
  float *f = rt_alloc(rt, (size_t)n * sizeof *f);
  for (int64_t i = 0; i < n; i++) f[i] = (float)x[i];
  return f;
}

/* y = m x by the dense matrix, complex throughout */
static void dense(const Tensor *m, bool wide, const double *x, double *y) {
  int64_t n = m->shape[0];
  for (int64_t i = 0; i < n; i++) {
    double re = 0, im = 0;
    for (int64_t j = 0; j < n; j++) {
      c128 e = tensor_get_c128(m, i * n + j);
      double u = wide ? x[2 * j] : x[j], v = wide ? x[2 * j + 1] : 0;
      re += e.re * u - e.im * v;
      im += e.re * v + e.im * u;
    }
    if (wide) {
      y[2 * i] = re;
      y[2 * i + 1] = im;
    } else {
      y[i] = re;
    }
  }
}

/* Single precision: within some roundings of the size of the terms. */
static void compare32(Operator *a, bool wide, const double *x, const double *want, double product) {
  Applied *p = NULL;
  assert_int_equal(applied_make32(rt, a, wide, &p), RT_OK);
  assert_true(applied_single(p));
  int64_t n = applied_size(p);
  size_t bytes = (size_t)n * sizeof(float);
  float *f = singles(x, n), *y = rt_alloc(rt, bytes);
  double mean, most = 1;
  for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
  assert_int_equal(applied_to32(rt, p, f, y), RT_OK);
  assert_int_equal(applied_mean32(rt, p, f, &mean), RT_OK);
  for (int64_t i = 0; i < n; i++)
    if (fabs((double)y[i] - want[i]) > 2e-5 * most)
      fail_msg("single entry %ld of %ld: %.9g, not %.9g", (long)i, (long)n, (double)y[i], want[i]);
  assert_true(fabs(mean - product) <= 2e-5 * most * (double)n);
  rt_free(rt, f, bytes);
  rt_free(rt, y, bytes);
  applied_free(rt, p);
}

static void compare(Operator *a, bool wide) {
  Applied *p = NULL;
  Tensor *m = operator_matrix(rt, a);
  assert_non_null(m);
  assert_int_equal(applied_make(rt, a, wide, &p), RT_OK);
  int64_t n = applied_size(p);
  size_t bytes = (size_t)n * sizeof(double);
  double *x = vector(n), *y = rt_alloc(rt, bytes), *want = rt_alloc(rt, bytes), mean, product = 0;
  dense(m, wide, x, want);
  assert_int_equal(applied_to(rt, p, x, y), RT_OK);
  assert_int_equal(applied_mean(rt, p, x, &mean), RT_OK);
  for (int64_t i = 0; i < n; i++) {
    if (fabs(y[i] - want[i]) > 1e-11) fail_msg("entry %ld of %ld: %.17g, not %.17g", (long)i, (long)n, y[i], want[i]);
    product += x[i] * want[i];
  }
  assert_true(fabs(mean - product) <= 1e-10 * (1 + fabs(product)));
  compare32(a, wide, x, want, product);
  rt_free(rt, x, bytes);
  rt_free(rt, y, bytes);
  rt_free(rt, want, bytes);
  tensor_unref(rt, m);
  applied_free(rt, p);
}

static void test_sizes(void **state) {
  (void)state;
  for (int n = 1; n <= 11; n++)
    for (int k = 0; k < 3; k++) {
      Operator a;
      fill(&a, n, n < 10 ? 40 : 12, 4, k < 2);
      compare(&a, k > 0);
      operator_free(rt, &a);
    }
}

/* Few diagonal terms are made run by run, many come from a table. */
static void test_diagonals(void **state) {
  (void)state;
  for (int many = 0; many < 2; many++) {
    Operator a;
    int64_t first;
    operator_init(&a);
    assert_int_equal(operator_register(rt, &a, 11, &first), RT_OK);
    for (int i = 0; i < 11; i++)
      for (int j = i + 1; j < (many ? 11 : i + 2) && j < 11; j++) {
        OpWord w[2] = {{OP_Z, i}, {OP_Z, j}};
        assert_int_equal(operator_add(rt, &a, (c128){real(), 0}, 2, w), RT_OK);
      }
    for (int wide = 0; wide < 2; wide++) {
      Applied *p;
      assert_int_equal(applied_make(rt, &a, wide, &p), RT_OK);
      assert_int_equal(p->diag.table != NULL, many);
      applied_free(rt, p);
      compare(&a, wide);
    }
    operator_free(rt, &a);
  }
}

/* Beyond the cache the vector takes several passes: against one term after the other. */
static void plain(const Applied *p, const double *x, double *y) {
  memset(y, 0, (size_t)p->size * sizeof *y);
  for (int64_t t = 0; t < p->n_flip; t++)
    for (int64_t d = 0; d < p->size; d++)
      y[d] += (__builtin_parityll((uint64_t)d & p->flip[t].z) ? -1 : 1) * p->flip[t].c *
              x[(uint64_t)d ^ p->flip[t].mask];
}

/* Bit for bit the same on 1, 2 and 3 threads; right against one term after the other. */
static void check_passes(Operator *a, bool single) {
  Applied *p;
  assert_int_equal(single ? applied_make32(rt, a, true, &p) : applied_make(rt, a, true, &p), RT_OK);
  /* passes as of a vector that is too long for the caches, so that the test stays small */
  plan_free(rt, p, &p->result);
  assert_int_equal(plan_result(rt, p, (uint64_t)1 << 14, &p->result), RT_OK);
  assert_true(p->result.n_pass > 1 && p->mean.n_pass > 1);
  size_t bytes = (size_t)p->size * sizeof(double), own = (size_t)p->size * number_bytes(p);
  double *x = vector(p->size), *want = rt_alloc(rt, bytes), mean[3], product = 0;
  float *f = singles(x, p->size);
  void *y[3];
  plain(p, x, want);
  for (int64_t i = 0; i < p->size; i++) product += x[i] * want[i];
  for (int t = 0; t < 3; t++) {
    rt->threads = 1 + t;
    y[t] = rt_alloc(rt, own);
    if (single) {
      assert_int_equal(applied_to32(rt, p, f, y[t]), RT_OK);
      assert_int_equal(applied_mean32(rt, p, f, &mean[t]), RT_OK);
    } else {
      assert_int_equal(applied_to(rt, p, x, y[t]), RT_OK);
      assert_int_equal(applied_mean(rt, p, x, &mean[t]), RT_OK);
    }
    assert_memory_equal(y[t], y[0], own);
    assert_true(mean[t] == mean[0]);
  }
  for (int64_t i = 0; i < p->size; i++) {
    double e = single ? (double)((float *)y[0])[i] : ((double *)y[0])[i];
    assert_true(fabs(e - want[i]) < (single ? 1e-4 : 1e-11));
  }
  assert_true(fabs(mean[0] - product) < (single ? 1e-2 : 1e-8));
  for (int t = 0; t < 3; t++) rt_free(rt, y[t], own);
  rt_free(rt, f, (size_t)p->size * sizeof(float));
  rt_free(rt, x, bytes);
  rt_free(rt, want, bytes);
  applied_free(rt, p);
}

static void test_passes(void **state) {
  (void)state;
  Operator a;
  int threads = rt->threads;
  fill(&a, 17, 60, 5, false);
  for (int i = 0; i < 17; i++) {
    OpWord w = {OP_X, i};
    assert_int_equal(operator_add(rt, &a, (c128){0.5, 0}, 1, &w), RT_OK);
  }
  check_passes(&a, false);
  check_passes(&a, true);
  rt->threads = threads;
  operator_free(rt, &a);
}

/* Results that are streamed past the caches. */
static void test_stream(void **state) {
  (void)state;
  Operator a;
  Applied *p;
  int64_t first;
  operator_init(&a);
  assert_int_equal(operator_register(rt, &a, 21, &first), RT_OK);
  OpWord w[3] = {{OP_X, 20}, {OP_X, 3}, {OP_Z, 0}};
  assert_int_equal(operator_add(rt, &a, (c128){2, 0}, 2, w), RT_OK);
  assert_int_equal(operator_add(rt, &a, (c128){3, 0}, 1, w + 2), RT_OK);
  assert_int_equal(applied_make(rt, &a, false, &p), RT_OK);
  int64_t n = applied_size(p);
  double *x = rt_alloc(rt, (size_t)n * 8), *y = rt_alloc(rt, (size_t)n * 8);
  for (int64_t i = 0; i < n; i++) x[i] = (double)(i % 1013);
  assert_int_equal(applied_to(rt, p, x, y), RT_OK);
  for (int64_t i = 0; i < n; i++)
    assert_true(y[i] == 2 * x[i ^ (1 << 20) ^ 8] + (i & 1 ? -3 : 3) * x[i]);
  rt_free(rt, x, (size_t)n * 8);
  rt_free(rt, y, (size_t)n * 8);
  applied_free(rt, p);
  operator_free(rt, &a);
}

/* All instruction sets give the same bits: results, means, diagonals. */
static void check_levels(Operator *op, bool single) {
#ifdef QA_KERNEL_LEVELS
  const ApplyTable *all[2][3] = {{&apply_base, &apply_v3, &apply_v4},
                                 {&apply32_base, &apply32_v3, &apply32_v4}};
  int levels = __builtin_cpu_supports("x86-64-v4") ? 3 : __builtin_cpu_supports("x86-64-v3") ? 2 : 1;
  Applied *p;
  enum { N = 1 << RUN_BITS };
  assert_int_equal(single ? applied_make32(rt, op, true, &p) : applied_make(rt, op, true, &p), RT_OK);
  int64_t size = p->size;
  double *x = vector(size);
  float *f = singles(x, size);
  size_t each = number_bytes(p);
  char *room = rt_alloc(rt, N * 8), *y[3];
  const Plan *o = &p->result;
  const Pass *k = &o->pass[0];
  RunJob j = {o->reach, o->group + k->first_group, o->group + k->end_group,
              o->sign + k->first_signed, o->sign + k->end_signed, RUN_STORE};
  double mean[3] = {0};
  for (int l = 0; l < levels; l++) {
    const ApplyTable *t = all[single][l];
    const void *v = single ? (const void *)f : x;
    y[l] = rt_alloc(rt, (size_t)size * each);
    for (uint64_t d = 0; d < (uint64_t)size; d += N) {
      RunDiagonal g;
      t->diagonal(&p->diag, 1, d, N, room, &g);
      j.end = d & N ? RUN_STREAM : RUN_STORE;
      t->run(&j, v, d, d, N, y[l] + d * each, &g);
      j.end = RUN_ADD;
      t->run(&j, v, d, d, N, y[l] + d * each, NULL);
      j.end = RUN_MEAN;
      mean[l] += t->run(&j, v, d, d, N, NULL, &g);
    }
    t->fence();
    assert_memory_equal(y[l], y[0], (size_t)size * each);
    assert_true(mean[l] == mean[0]);
  }
  for (int l = 0; l < levels; l++) rt_free(rt, y[l], (size_t)size * each);
  rt_free(rt, f, (size_t)size * sizeof(float));
  rt_free(rt, x, (size_t)size * sizeof(double));
  rt_free(rt, room, N * 8);
  applied_free(rt, p);
#else
  (void)op;
  (void)single;
#endif
}

static void test_levels(void **state) {
  (void)state;
  for (int many = 0; many < 2; many++) {
    Operator a;
    fill(&a, 10, many ? 80 : 14, 4, false);
    check_levels(&a, false);
    check_levels(&a, true);
    operator_free(rt, &a);
  }
}

/* Bosons, binaries, spins and qubits together. */
static void test_modes(void **state) {
  (void)state;
  for (int k = 0; k < 12; k++) {
    Operator a;
    int64_t first, z, b, s;
    operator_init(&a);
    assert_int_equal(vars_add(rt, &a.vars, "b", VAR_BINARY, 1, (int64_t[]){2}, &b), RT_OK);
    if (k % 3) assert_int_equal(vars_add(rt, &a.vars, "a", VAR_MODE, 1, (int64_t[]){2}, &first), RT_OK);
    if (k % 3) a.vars.array[1].cutoff = 5;
    assert_int_equal(vars_add(rt, &a.vars, "s", VAR_SPIN, 1, (int64_t[]){2}, &s), RT_OK);
    assert_int_equal(operator_register(rt, &a, 2, &z), RT_OK);
    for (int t = 0; t < 20; t++) {
      OpWord w[6];
      int n = 1 + draw(5);
      for (int i = 0; i < n; i++) {
        int what = draw(4);
        w[i] = what == 0 ? (OpWord){OP_BINARY, (int32_t)(b + draw(2))}
             : what == 1 ? (OpWord){OP_SPIN, (int32_t)(s + draw(2))}
             : what == 2 || k % 3 == 0 ? (OpWord){(uint8_t)draw(5), (int32_t)(z + draw(2))}
                         : (OpWord){(uint8_t)(OP_LOWER + draw(2)), (int32_t)(first + draw(2))};
      }
      assert_int_equal(operator_add(rt, &a, (c128){real(), real()}, n, w), RT_OK);
    }
    compare(&a, true);
    operator_free(rt, &a);
  }
}

static void test_refused(void **state) {
  (void)state;
  Operator a;
  Applied *p = NULL;
  int64_t first;
  operator_init(&a);
  assert_int_equal(operator_register(rt, &a, 60, &first), RT_OK);
  assert_int_equal(applied_make(rt, &a, true, &p), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "60 variables"));
  operator_free(rt, &a);
  operator_init(&a);
  assert_int_equal(operator_add(rt, &a, (c128){1, 0}, 0, NULL), RT_OK);
  assert_int_equal(operator_register(rt, &a, 1, &first), RT_OK);
  assert_int_equal(operator_add(rt, &a, (c128){1, 0}, 1, &(OpWord){OP_Y, 0}), RT_OK);
  assert_int_equal(applied_make(rt, &a, false, &p), RT_ERROR);
  operator_free(rt, &a);
  assert_int_equal(states_fit(rt, "x", (int64_t)1 << 40, 1, 16), RT_ERROR);
  assert_int_equal(states_fit(rt, "x", 1024, 2, 16), RT_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_diagonals, setup, teardown),
      cmocka_unit_test_setup_teardown(test_passes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
      cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
      cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refused, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
