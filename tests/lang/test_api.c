/* test_api.c: the embedding interface: values in and out, errors, limits,
 * interruption, C functions, and that nothing is left behind.                */
#include "lang/qa.h"
#include "lang/vm/vm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int open_state(void **state) { return (*state = qa_open(NULL)) ? 0 : -1; }
static int close_state(void **state) {
  qa_close(*state);
  return 0;
}

static qa_Value eval(qa_State *S, const char *text) {
  qa_Value v;
  if (qa_eval(S, text, "test", &v) != QA_OK) fail_msg("%s", qa_message(S));
  return v;
}
static double number(qa_State *S, const char *text) {
  double x = 0;
  qa_Value v = eval(S, text);
  assert_int_equal(qa_get_float(S, v, &x), QA_OK);
  qa_release(S, v);
  return x;
}

static void test_values(void **state) {
  qa_State *S = *state;
  const char *s;
  size_t n;
  bool b;
  int64_t i;
  qa_Value v = eval(S, "{a: 3, b: [1, 2], c: (\"x\", true), d: nil}"), w, x;
  assert_int_equal(qa_type(v), QA_RECORD);
  assert_int_equal(qa_length(S, v), 4);
  assert_int_equal(qa_get_field(S, v, "a", &w), QA_OK);
  assert_int_equal(qa_get_int(S, w, &i), QA_OK);
  assert_int_equal(i, 3);
  assert_int_equal(qa_get_bool(S, w, &b), QA_USAGE);
  assert_non_null(strstr(qa_message(S), "expected bool, found int"));
  assert_int_equal(qa_get_field(S, v, "c", &w), QA_OK);
  assert_int_equal(qa_type(w), QA_TUPLE);
  assert_int_equal(qa_get_item(S, w, 0, &x), QA_OK);
  assert_int_equal(qa_get_str(S, x, &s, &n), QA_OK);
  assert_string_equal(s, "x");
  assert_int_equal(n, 1);
  qa_release(S, x);
  assert_int_equal(qa_get_item(S, w, 2, &x), QA_USAGE);
  qa_release(S, w);
  assert_int_equal(qa_get_field(S, v, "zz", &w), QA_USAGE);
  assert_int_equal(qa_type(w), QA_NIL);
  assert_int_equal(qa_to_text(S, v, &s), QA_OK);
  assert_non_null(strstr(s, "a: 3"));
  qa_release(S, v);
  assert_int_equal(qa_length(S, qa_int(3)), -1);
  assert_int_equal(qa_new_str(S, "a\xff", 2, &v), QA_USAGE);
}

static void test_definitions_stay(void **state) {
  qa_State *S = *state;
  qa_Value v, f, args[2] = {qa_int(2), qa_float(0.5)}, r;
  double x;
  eval(S, "fn twice(x) = 2 * x");
  assert_true(number(S, "twice(21)") == 42);
  eval(S, "var count = 0");
  for (int i = 0; i < 5; i++) qa_release(S, eval(S, "count += 1"));
  assert_true(number(S, "count") == 5);
  assert_int_equal(qa_new_str(S, "hello", 5, &v), QA_OK);
  assert_int_equal(qa_define(S, "greeting", v), QA_OK);
  qa_release(S, v);
  assert_true(number(S, "len(greeting)") == 5);
  assert_int_equal(qa_define(S, "no name", qa_nil()), QA_USAGE);
  eval(S, "fn weighted(a, b = 1.0) = a * b");
  assert_int_equal(qa_global(S, "weighted", &f), QA_OK);
  assert_int_equal(qa_type(f), QA_FUNCTION);
  assert_int_equal(qa_call(S, f, args, 2, &r), QA_OK);
  assert_int_equal(qa_get_float(S, r, &x), QA_OK);
  assert_true(x == 1.0);
  assert_int_equal(qa_call(S, f, args, 0, &r), QA_FAILED);
  assert_non_null(strstr(qa_message(S), "weighted"));
  qa_release(S, f);
  assert_int_equal(qa_global(S, "wieghted", &f), QA_FAILED);
  assert_int_equal(qa_call(S, qa_int(3), args, 1, &r), QA_USAGE);
}

static void test_errors(void **state) {
  qa_State *S = *state;
  assert_int_equal(qa_eval(S, "let a = 1\nlet b = a +\n", "broken.qa", NULL), QA_INVALID);
  assert_non_null(strstr(qa_message(S), "broken.qa:"));
  assert_true(qa_message_json(S)[0] == '{');
  assert_int_equal(qa_eval(S, "let c = 1\nerror(\"by hand\")", "raised.qa", NULL), QA_FAILED);
  assert_non_null(strstr(qa_message(S), "by hand"));
  assert_non_null(strstr(qa_message(S), "raised.qa:2:"));
  assert_int_equal(qa_check(S, "print(nam)", "check.qa"), QA_INVALID);
  assert_int_equal(qa_check(S, "print(1)", "check.qa"), QA_OK);
  assert_int_equal(qa_eval_file(S, "/no/such/file.qa", NULL), QA_USAGE);
  assert_non_null(strstr(qa_message(S), "/no/such/file.qa"));
  assert_int_equal(qa_eval(S, NULL, NULL, NULL), QA_USAGE);
  assert_true(number(S, "1 + 1") == 2);
  assert_string_equal(qa_message(S), "");
}

static void test_incomplete(void **state) {
  qa_State *S = *state;
  assert_true(qa_incomplete(S, "fn f(x) {"));
  assert_true(qa_incomplete(S, "let a = [1,\n"));
  assert_true(qa_incomplete(S, "let a = 1 +\n"));
  assert_false(qa_incomplete(S, "let a = 1\n"));
  assert_false(qa_incomplete(S, "let let"));
  assert_false(qa_incomplete(S, ""));
}

/* ---- tensors ------------------------------------------------------------------ */

static void count_release(void *data, void *user) { *(int *)user += 1; }

static void test_tensor_in(void **state) {
  qa_State *S = *state;
  static double data[6] = {0, 1, 2, 3, 4, 5};
  int64_t shape[2] = {2, 3}, by_column[2] = {1, 2};
  int released = 0;
  qa_Value t, u;
  qa_TensorView view;
  assert_int_equal(qa_new_tensor(S, QA_DT_F64, 2, shape, NULL, data, count_release, &released, &t), QA_OK);
  assert_int_equal(qa_get_tensor(S, t, &view), QA_OK);
  assert_ptr_equal(view.data, data);
  assert_int_equal(view.stride[0], 3);
  assert_int_equal(qa_define(S, "t", t), QA_OK);
  assert_true(number(S, "t[1, 2]") == 5);
  /* the host still holds it: a write in the script goes into a copy */
  assert_true(number(S, "var w = t; w[0, 0] = 100; w[0, 0] + t[0, 0]") == 100);
  assert_true(data[0] == 0);
  assert_int_equal(qa_new_tensor(S, QA_DT_F64, 2, shape, by_column, data, NULL, NULL, &u), QA_OK);
  assert_int_equal(qa_define(S, "u", u), QA_OK);
  qa_release(S, u);
  assert_true(number(S, "u[1, 2]") == 5 && number(S, "u[0, 1]") == 2);
  assert_int_equal(released, 0);
  qa_release(S, t);
  assert_int_equal(qa_define(S, "t", qa_nil()), QA_OK);
  assert_int_equal(released, 1);
  shape[0] = -1;
  assert_int_equal(qa_new_tensor(S, QA_DT_F64, 2, shape, NULL, data, NULL, NULL, &t), QA_USAGE);
  shape[0] = INT64_MAX;
  assert_int_equal(qa_new_tensor(S, QA_DT_F64, 2, shape, NULL, data, NULL, NULL, &t), QA_USAGE);
  assert_int_equal(qa_new_tensor(S, QA_DT_F64, 99, shape, NULL, data, NULL, NULL, &t), QA_USAGE);
}

static void test_tensor_out(void **state) {
  qa_State *S = *state;
  qa_Value t = eval(S, "[[1, 2, 3], [4, 5, 6]]'");
  qa_TensorView v;
  assert_int_equal(qa_get_tensor(S, t, &v), QA_OK);
  assert_int_equal(v.rank, 2);
  assert_int_equal(v.shape[0], 3);
  const int64_t *x = v.data;
  assert_int_equal(v.dtype, QA_DT_I64);
  assert_int_equal(x[2 * v.stride[0] + 1 * v.stride[1]], 6);
  qa_release(S, t);
  assert_int_equal(qa_get_tensor(S, qa_int(1), &v), QA_USAGE);
}

/* ---- C functions ------------------------------------------------------------------- */

static qa_Status scale(qa_State *S, void *user, const qa_Value *args, int n, qa_Value *result) {
  double x, by;
  assert_int_equal(n, 2);
  if (qa_get_float(S, args[0], &x) || qa_get_float(S, args[1], &by)) return qa_raise(S, "numbers please");
  *(int *)user += 1;
  *result = qa_float(x * by);
  return QA_OK;
}
static qa_Status apply(qa_State *S, void *user, const qa_Value *args, int n, qa_Value *result) {
  qa_Status status = qa_call(S, args[0], &args[1], 1, result);
  return status == QA_OK ? QA_OK : qa_raise(S, "inner call failed");
}
static qa_Status silent(qa_State *S, void *user, const qa_Value *args, int n, qa_Value *result) {
  return QA_BACKEND;
}

static void test_functions(void **state) {
  qa_State *S = *state;
  int calls = 0;
  assert_int_equal(qa_register(S, "scale", "x, by = 2.0", "Scales.", scale, &calls), QA_OK);
  assert_true(number(S, "scale(4)") == 8);
  assert_true(number(S, "scale(by = 0.5, x = 4)") == 2);
  assert_int_equal(calls, 2);
  assert_int_equal(qa_eval(S, "scale()", "test", NULL), QA_FAILED);
  assert_int_equal(qa_eval(S, "scale(1, 2, 3)", "test", NULL), QA_FAILED);
  assert_int_equal(qa_eval(S, "let r = scale(\"x\")", "test", NULL), QA_FAILED);
  assert_non_null(strstr(qa_message(S), "numbers please"));
  assert_true(number(S, "try scale(\"x\") else -1") == -1);
  assert_int_equal(qa_register(S, "apply", "f, x", NULL, apply, NULL), QA_OK);
  assert_true(number(S, "apply(x => x + 1, 4)") == 5);
  assert_int_equal(qa_eval(S, "apply(x => error(\"deep\"), 4)", "test", NULL), QA_FAILED);
  assert_int_equal(qa_register(S, "silent", "", NULL, silent, NULL), QA_OK);
  assert_int_equal(qa_eval(S, "silent()", "test", NULL), QA_FAILED);
  assert_non_null(strstr(qa_message(S), "silent"));
  assert_int_equal(qa_register(S, "bad", "x,, y", NULL, silent, NULL), QA_USAGE);
  assert_int_equal(qa_register(S, "bad", "x = \"open", NULL, silent, NULL), QA_USAGE);
  assert_int_equal(qa_register(S, "1bad", "x", NULL, silent, NULL), QA_USAGE);
}

/* ---- limits and interruption ------------------------------------------------------------ */

static void test_limits(void **state) {
  qa_Config c;
  qa_config_init(&c);
  c.memory_limit = 16 << 20;
  c.step_limit = 100000;
  c.time_limit = 60;
  c.deny_files = true;
  qa_State *S = qa_open(&c);
  assert_non_null(S);
  assert_int_equal(qa_eval(S, "zeros(1000, 1000, 100)", "test", NULL), QA_LIMIT);
  assert_int_equal(qa_eval(S, "while true { }", "test", NULL), QA_LIMIT);
  assert_non_null(strstr(qa_message(S), "limit"));
  assert_int_equal(qa_eval(S, "try { while true { } } catch e { 1 }", "test", NULL), QA_LIMIT);
  assert_int_equal(qa_eval(S, "read_text(\"/etc/passwd\")", "test", NULL), QA_FAILED);
  assert_int_equal(qa_eval(S, "fn f(n) = f(n + 1)\nf(0)", "test", NULL) == QA_OK, 0);
  assert_true(number(S, "sum(zeros(1000) + 1)") == 1000);
  qa_close(S);
}

static void test_time_limit(void **state) {
  qa_Config c;
  struct timespec a, b;
  qa_config_init(&c);
  c.time_limit = 0.1;
  qa_State *S = qa_open(&c);
  clock_gettime(CLOCK_MONOTONIC, &a);
  assert_int_equal(qa_eval(S, "var i = 0; while true { i += 1 }", "test", NULL), QA_LIMIT);
  clock_gettime(CLOCK_MONOTONIC, &b);
  double took = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
  assert_true(took > 0.09); /* how much more depends on the machine */
  qa_close(S);
}

/* The program says that it runs; only then is it interrupted, however slow the machine. */
typedef struct {
  qa_State *S;
  atomic_int running;
} Interrupted;

static void says_running(void *user, const char *text, size_t n) {
  (void)text, (void)n;
  atomic_store(&((Interrupted *)user)->running, 1);
}

static void *interrupt_running(void *user) {
  Interrupted *i = user;
  while (!atomic_load(&i->running)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL); /* somewhere within the loop */
  qa_interrupt(i->S);
  return NULL;
}

static void test_interrupt(void **state) {
  (void)state;
  static const char *text[] = {"print(1)\nwhile true { }",
                               "print(1)\nfor k in 0..1000000000000 { sum(zeros(1000)) }"};
  Interrupted i = {0};
  qa_Config c;
  qa_config_init(&c);
  c.write = says_running;
  c.user = &i;
  i.S = qa_open(&c);
  for (int k = 0; k < 2; k++) {
    pthread_t thread;
    atomic_store(&i.running, 0);
    assert_int_equal(pthread_create(&thread, NULL, interrupt_running, &i), 0);
    assert_int_equal(qa_eval(i.S, text[k], "test", NULL), QA_INTERRUPTED);
    pthread_join(thread, NULL);
    assert_true(number(i.S, "6 * 7") == 42);
  }
  qa_close(i.S);
}

/* ---- output, repetition --------------------------------------------------------------------- */

typedef struct { char text[256]; size_t n; } Captured;
static void capture(void *user, const char *text, size_t n) {
  Captured *c = user;
  assert_true(c->n + n < sizeof c->text);
  memcpy(c->text + c->n, text, n);
  c->text[c->n += n] = 0;
}

static void test_output(void **state) {
  Captured got = {"", 0};
  qa_Config c;
  qa_config_init(&c);
  c.write = capture;
  c.user = &got;
  qa_State *S = qa_open(&c);
  eval(S, "print(1, \"two\", 3.0, sep = \"-\")\nprint(end = \"!\")");
  assert_string_equal(got.text, "1-two-3.0\n!");
  qa_close(S);
}

static void test_seed(void **state) {
  double x[3];
  int64_t seeds[3] = {1, 2, 1};
  for (int i = 0; i < 3; i++) {
    qa_Config c;
    qa_config_init(&c);
    c.seed = seeds[i];
    qa_State *S = qa_open(&c);
    x[i] = number(S, "sum(randn(10))");
    qa_close(S);
  }
  assert_true(x[0] == x[2]);
  assert_true(x[0] != x[1]);
}

/* ---- the library's tables ------------------------------------------------------------------- */

/* Two areas may not define one name: the second would hide the first. */
static void test_tables(void **state) {
  for (int i = 0; native_tables[i]; i++)
    for (const Native *f = native_tables[i]; f->name; f++) {
      if (!f->fn) fail_msg("%s has no function", f->name);   /* no signature: a constant */
      if (!(f->flags & NF_HIDDEN) && (!f->doc || !*f->doc)) fail_msg("%s has no documentation", f->name);
      for (int k = i; native_tables[k]; k++)
        for (const Native *g = k == i ? f + 1 : native_tables[k]; g->name; g++)
          if (!strcmp(f->name, g->name)) fail_msg("%s is defined twice", f->name);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_values, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_definitions_stay, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_errors, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_incomplete, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_tensor_in, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_tensor_out, open_state, close_state),
      cmocka_unit_test_setup_teardown(test_functions, open_state, close_state),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_time_limit),
      cmocka_unit_test_setup_teardown(test_interrupt, open_state, close_state),
      cmocka_unit_test(test_output),
      cmocka_unit_test(test_seed),
      cmocka_unit_test(test_tables),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
