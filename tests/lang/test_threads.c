/* test_threads.c: interpreters in several threads at once; built with
 * ThreadSanitizer by tests/run.  Each thread's result must be what one
 * thread alone computes.                                                     */
#include "lang/qa.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 3, ROUNDS = 4 };

static const char script[] =
    "fn fib(n) = if n < 2 { n } else { fib(n - 1) + fib(n - 2) }\n"
    "let x = randn(40, 40)\n"
    "let y = solve(x @ x' + eye(40), ones(40))\n"
    "let g = grad(w => sum(tanh(x @ w)^2))(ones(40))\n"
    "let words = sorted([str(i) for i in 0..50])\n"
    "let r = merge({a: 1}, {b: join(words, \",\")})\n"
    "\"{fib(15)} {sum(y):.12f} {sum(g):.12f} {len(r.b)} {max(sort(x[0]))}\"\n";

static void drop(void *user, const char *text, size_t n) {}

/* The script's text result, or its error; malloc'ed. */
static char *run_script(void) {
  qa_Config c;
  qa_config_init(&c);
  c.threads = 2;
  c.seed = 7;
  c.write = drop;
  qa_State *S = qa_open(&c);
  qa_Value v;
  const char *text = "no state";
  size_t n;
  char *copy = NULL;
  if (S) {
    bool ok = qa_eval(S, script, "threads", &v) == QA_OK && qa_get_str(S, v, &text, &n) == QA_OK;
    copy = strdup(ok ? text : qa_message(S));
    qa_release(S, v);
    /* errors, too, belong to one state */
    qa_eval(S, "let broken = [1, 2] @ [1, 2, 3]", "threads", NULL);
    if (!strstr(qa_message(S), "@")) { free(copy); copy = strdup("no message"); }
  }
  qa_close(S);
  return copy;
}

static void *worker(void *out) {
  char **results = out;
  for (int i = 0; i < ROUNDS; i++) results[i] = run_script();
  return NULL;
}

static void test_states_share_nothing(void **state) {
  pthread_t threads[THREADS];
  char *results[THREADS][ROUNDS];
  char *alone = run_script();
  assert_non_null(alone);
  assert_true(strncmp(alone, "610 ", 4) == 0);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, worker, results[i]), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; i++)
    for (int k = 0; k < ROUNDS; k++) {
      assert_string_equal(results[i][k], alone);
      free(results[i][k]);
    }
  free(alone);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_states_share_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
