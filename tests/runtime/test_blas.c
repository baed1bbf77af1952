/* test_blas.c: OpenBLAS is opened by the first product that needs it (a complex
 * one, or any where our own kernels are only the plain ones), makes no threads,
 * and leaves the environment and the processors as they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/tensor/blas.h"
#include "runtime/tensor/gemm_levels.h"
#include "runtime/tensor/linalg.h"

static int threads_now(void) {
  DIR *d = opendir("/proc/self/task");
  int n = 0;
  if (!d) return -1;
  while (readdir(d)) n++;
  closedir(d);
  return n - 2;
}

/* How many different files whose name has `part` are mapped. */
static int mapped(const char *part) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[1024], seen[1024] = "";
  int n = 0;
  while (f && fgets(line, sizeof line, f)) {
    const char *path = strchr(line, '/');
    if (!path || !strstr(path, part) || strcmp(path, seen) == 0) continue;
    snprintf(seen, sizeof seen, "%s", path);
    n++;
  }
  if (f) fclose(f);
  return n;
}

/* n x n: ones everywhere, or on the diagonal only */
static Tensor *ones(Rt *rt, int64_t n, bool diagonal) {
  Tensor *a = tensor_zeros(rt, DT_F64, 2, (int64_t[]){n, n});
  for (int64_t i = 0; a && i < n * n; i++)
    if (!diagonal || i % (n + 1) == 0) ((double *)(void *)a->data)[i] = 1;
  return a;
}

static double product_sum(Rt *rt, int64_t n, DType d) {
  Tensor *o = ones(rt, n, false), *a = o ? tensor_astype(rt, o, d) : NULL;
  Tensor *c = a ? tensor_matmul(rt, a, a) : NULL;
  tensor_unref(rt, o);
  Tensor *s = c ? tensor_reduce(rt, RED_SUM, c, ~0u, false) : NULL;
  double x = !s ? -1 : d == DT_F64 ? tensor_get_f64(s, 0) : ((c128 *)(void *)s->data)->re;
  tensor_unref(rt, a);
  tensor_unref(rt, c);
  tensor_unref(rt, s);
  return x;
}

static void opened_when_needed(void **state) {
  (void)state;
  Rt *rt = rt_open();
  assert_non_null(rt);
  rt->threads = 1;
  int before = threads_now(), processors = parallel_processors();
  assert_int_equal(mapped("libopenblas"), 0);
  assert_true(product_sum(rt, 4, DT_F64) == 64);
  assert_int_equal(mapped("libopenblas"), 0);
  assert_true(product_sum(rt, 40, DT_F64) == 64000);
  assert_int_equal(mapped("libopenblas"), gemm_kernels() == &gemm_base);
  assert_true(product_sum(rt, 40, DT_C128) == 64000);
  assert_int_equal(mapped("libopenblas"), 1);
  assert_int_equal(threads_now(), before);
  assert_int_equal(parallel_processors(), processors);
  assert_null(getenv("OPENBLAS_NUM_THREADS"));
  assert_non_null(blas_core());
  rt_close(rt);
}

static void lapack_shares_it(void **state) {
  (void)state;
  Rt *rt = rt_open();
  assert_non_null(rt);
  rt->threads = 1;
  int before = threads_now();
  Tensor *a = ones(rt, 200, true), *inverse = a ? linalg_inv(rt, a) : NULL;
  assert_non_null(inverse);
  assert_true(tensor_get_f64(inverse, 0) == 1);
  assert_int_equal(mapped("libopenblas"), 1);
  assert_int_equal(threads_now(), before);
  tensor_unref(rt, a);
  tensor_unref(rt, inverse);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

int main(void) {
  unsetenv("OPENBLAS_NUM_THREADS");
  const struct CMUnitTest tests[] = {cmocka_unit_test(opened_when_needed),
                                     cmocka_unit_test(lapack_shares_it)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
