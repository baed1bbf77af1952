/* test_threads_contexts.c: two contexts in two threads share nothing: meant for
 * the thread sanitizer, and checks that both get the numbers one alone gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "runtime/grad/grad.h"
#include "runtime/learn/learn.h"

typedef struct { double sum; size_t left; bool failed; } Result;

static Tensor *step(Rt *rt, Tensor *x, Tensor *W) {
  Tensor *h = learn_linear(rt, x, W, NULL, ACT_GELU);
  Tensor *p = h ? tensor_matmul_t(rt, h, true, x, false) : NULL;
  Tensor *e = p ? tensor_unary(rt, UN_TANH, p, 1) : NULL;
  Tensor *s = e ? tensor_reduce(rt, RED_SUM, e, ~0u, false) : NULL;
  tensor_unref(rt, h);
  tensor_unref(rt, p);
  tensor_unref(rt, e);
  return s;
}

static void *work(void *data) {
  Result *r = data;
  Rt *rt = rt_open();
  if (!rt) { r->failed = true; return NULL; }
  rt->threads = 2; /* the sizes are large enough for parallel loops */
  int64_t sx[] = {4000, 40}, sw[] = {40, 50};
  Tensor *x = tensor_randn(rt, rng_seeded(1), DT_F64, 2, sx);
  Tensor *W = tensor_randn(rt, rng_seeded(2), DT_F64, 2, sw);
  for (int i = 0; i < 20 && x && W; i++) {
    Tensor *s = step(rt, x, W);
    if (!s) { r->failed = true; break; }
    r->sum += tensor_get_f64(s, 0);
    tensor_unref(rt, s);
  }
  tensor_unref(rt, x);
  tensor_unref(rt, W);
  r->left = rt->bytes;
  rt_close(rt);
  return NULL;
}

static void two_contexts(void **state) {
  (void)state;
  Result r[3] = {{0}};
  pthread_t t[2];
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, work, &r[i]), 0);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
  work(&r[2]);
  for (int i = 0; i < 3; i++) {
    assert_false(r[i].failed);
    assert_int_equal(r[i].left, 0);
    assert_true(r[i].sum == r[2].sum);
  }
  assert_true(r[2].sum != 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(two_contexts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
