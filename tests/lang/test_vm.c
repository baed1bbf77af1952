/* test_vm.c: the interpreter from C: no hidden copies, limits, interrupts,
 * random scopes, calls back and forth, trees, hashes, names.                 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lang/vm/vm.h"
#include "runtime/tensor/random.h"

typedef struct { Rt *rt; Vm *vm; Diags diags; Buf out; } Host;

static void write_out(void *user, const char *text, size_t n) {
  buf_bytes(&((Host *)user)->out, text, n);
}

static int open_host(void **state) {
  Host *h = calloc(1, sizeof *h);
  VmHooks hooks = {.user = h, .write = write_out};
  h->rt = rt_open();
  h->vm = vm_open(h->rt, &hooks);
  diags_init(&h->diags);
  *state = h;
  return h->vm == NULL;
}

static int close_host(void **state) {
  Host *h = *state;
  diags_free(&h->diags);
  vm_close(h->vm);
  int leaked = h->rt->bytes != 0;
  rt_close(h->rt);
  buf_free(&h->out);
  free(h);
  return leaked;
}

static VmResult run(Host *h, const char *text, Value *result) {
  diags_free(&h->diags);
  diags_init(&h->diags);
  h->out.len = 0;
  h->rt->error.status = RT_OK;
  Source *s = source_new("test.qa", NULL, text, strlen(text));
  VmResult r = vm_run_source(h->vm, s, true, true, &h->diags, result);
  source_unref(s);
  if (r != VM_OK && h->diags.n == 0) fail_msg("failed without a message: %s", text);
  return r;
}

static void good(Host *h, const char *text) {
  if (run(h, text, NULL) != VM_OK) fail_msg("%s\n%s", text, h->diags.items[0].message);
}

static int64_t int_of(Host *h, const char *text) {
  Value v;
  if (run(h, text, &v) != VM_OK) fail_msg("%s\n%s", text, h->diags.items[0].message);
  assert_int_equal(v.tag, V_INT);
  return v.i;
}

static void expect_failure(Host *h, const char *text, RtStatus status, const char *message) {
  VmResult r = run(h, text, NULL);
  if (r == VM_OK) fail_msg("no error: %s", text);
  if (r == VM_FAILED) assert_int_equal(h->rt->error.status, status);
  if (!strstr(h->diags.items[0].message, message))
    fail_msg("%s\nexpected \"%s\", found \"%s\"", text, message, h->diags.items[0].message);
}

/* ---- no copies ------------------------------------------------------------------ */

/* A loop of a thousand rounds warms the pools, a long one must take nothing. */
static void flat(Host *h, const char *setup, const char *statement) {
  char text[1000];
  good(h, setup);
  const int rounds[2] = {1000, 200000};
  uint64_t allocs = 0, copies = 0;
  for (int k = 0; k < 2; k++) {
    allocs = h->rt->allocs;
    copies = h->rt->buffer_copies;
    snprintf(text, sizeof text, "fn work%d() {\n  %s\n  for i in 0..%d { %s }\n}\nwork%d()", k,
             setup, rounds[k], statement, k);
    good(h, text);
  }
  if (h->rt->allocs - allocs > 60 || h->rt->buffer_copies != copies)
    fail_msg("%s: %llu blocks, %llu copies", statement,
             (unsigned long long)(h->rt->allocs - allocs),
             (unsigned long long)(h->rt->buffer_copies - copies));
}

static void test_in_place(void **state) {
  Host *h = *state;
  good(h, "fn step(m, g) = m - 0.5 * g\nfn add_one(xs) { var ys = xs; ys[0] += 1.0; ys }");
  flat(h, "var x = zeros(1000)", "x[i % 1000] = 1.5");
  flat(h, "var x = zeros(100, 10)", "x[i % 100, 3] += 1.5");
  flat(h, "var m = zeros(1000); let g = ones(1000)", "m = step(m, g)");
  flat(h, "var x = zeros(1000)", "x = x * 0.5 + 1.0");
  flat(h, "var x = zeros(1000)", "x = add_one(x)");
  flat(h, "var s = \"\"", "s += \"x\"");
  flat(h, "var xs = []", "xs = append(xs, i)");
  flat(h, "var r = {a: {b: zeros(1000)}}", "r.a.b[i % 1000] = 2.0");
  flat(h, "var r = {n: 0, xs: [1, \"a\"]}", "r.n += 1; r.xs[0] = i");
  flat(h, "var l = [zeros(100), \"a\"]", "l[0][i % 100] = 2.0");
}

static void test_in_place_at_the_top(void **state) {
  Host *h = *state;
  good(h, "var warm = zeros(1000)\nfor i in 0..1000 { warm[i] = 1.0 }");
  uint64_t copies = h->rt->buffer_copies, allocs = h->rt->allocs;
  good(h, "var x = zeros(1000)\nfor i in 0..100000 { x[i % 1000] += 1.0 }\nvar s = \"\"\n"
          "for i in 0..100000 { s += \"x\" }\nprint(len(s), sum(x))");
  assert_int_equal(h->rt->buffer_copies, copies);
  assert_true(h->rt->allocs - allocs < 60);
  assert_string_equal(h->out.data, "100000 100000.0\n");
}

static void test_sharing_copies_once(void **state) {
  Host *h = *state;
  uint64_t copies = h->rt->buffer_copies;
  good(h, "fn f() { var x = zeros(10); let y = x; for i in 0..10 { x[i] = 1.0 }; sum(x) - sum(y) "
          "}\nprint(f())");
  assert_int_equal(h->rt->buffer_copies, copies + 1);
  assert_string_equal(h->out.data, "10.0\n");
}

/* ---- limits ------------------------------------------------------------------------ */

static void test_limits(void **state) {
  Host *h = *state;
  h->rt->step_limit = h->rt->steps + 100000;
  expect_failure(h, "while true { }", RT_LIMIT, "steps");
  h->rt->step_limit = h->rt->steps + 100000;
  expect_failure(h, "fn f(n) = f(n)\ntry { f(1) } catch e { print(\"caught\") }\nwhile true { }",
                 RT_LIMIT, "steps");
  h->rt->step_limit = h->rt->steps + 5000;
  expect_failure(h, "try { while true { } } catch e { print(\"caught\") }", RT_LIMIT, "steps");
  assert_int_equal(h->out.len, 0);
  h->rt->step_limit = 0;
  h->rt->deadline = rt_now() + 0.05;
  expect_failure(h, "var i = 0\nwhile i < 10 { if false { i += 1 } }", RT_LIMIT, "time");
  h->rt->deadline = 0;
  h->rt->limit = h->rt->bytes + (64 << 20);
  expect_failure(h, "zeros(1000, 1000, 1000)", RT_LIMIT, "memory");
  expect_failure(h, "var xs = []\nwhile true { xs = append(xs, \"text\") }", RT_LIMIT, "memory");
  h->rt->limit = 0;
  rt_interrupt(h->rt);
  expect_failure(h, "while true { }", RT_INTERRUPTED, "interrupted");
  atomic_store(&h->rt->interrupted, 0);
  assert_int_equal(int_of(h, "1 + 1"), 2);
}

static void test_recursion(void **state) {
  Host *h = *state;
  expect_failure(h, "fn f(n) = f(n + 1) + 1\nf(0)", RT_ERROR, "nested too deeply");
  assert_non_null(h->diags.items[0].trace);
  expect_failure(h, "fn g(x) = map(g, [x])\ng(1)", RT_ERROR, "nested too deeply");
  assert_int_equal(int_of(h, "fn d(n) { if n == 0 { 0 } else { 1 + d(n - 1) } }\nd(90000)"), 90000);
  good(h, "var xs = [1, \"a\"]\nfor i in 0..1000000 { xs = [xs, \"a\"] }\nxs = nil");
}

static void test_errors_have_places(void **state) {
  Host *h = *state;
  expect_failure(h, "fn f(x) {\n  x @ [1, 2, 3]\n}\nlet y = f([[1, 2]])", RT_ERROR, "shapes");
  uint32_t line, column;
  source_locate(h->diags.items[0].source, h->diags.items[0].span.start, &line, &column);
  assert_int_equal(line, 2);
  assert_int_equal(column, 3);
  assert_non_null(strstr(h->diags.items[0].trace, "`f`, called at test.qa:4:9"));
  expect_failure(h, "9223372036854775807 + len(\"a\")", RT_ERROR, "overflow");
  expect_failure(h, "let r = str(1)\nr.x", RT_ERROR, "no field");
}

/* ---- random scopes ----------------------------------------------------------------------- */

static void test_random_scopes(void **state) {
  Host *h = *state;
  good(h, "fn draw() = rand(1)[0]\nfn two() = (draw(), draw())\n"
          "var a = (0.0, 0.0)\nvar b = 0.0\nvar c = 0.0\n"
          "with seed(3) { a = two() }\nwith seed(3) { b = draw(); with seed(9) { draw() }; c = "
          "draw() }\n"
          "print(a[0] == b, a[1] == c, a[0] == a[1])");
  assert_string_equal(h->out.data, "true true false\n");
  RtScope *scope = h->rt->scope;
  expect_failure(h, "with seed(1) { with seed(2) { error(\"x\") } }", RT_ERROR, "x");
  assert_ptr_equal(h->rt->scope, scope);
  good(h, "fn f() { for i in 0..3 { with seed(i) { if i == 1 { return i } } } }\nf()\n"
          "for i in 0..3 { with seed(i) { continue } }\ntry { with seed(4) { error(\"x\") } } "
          "catch e { }");
  assert_ptr_equal(h->rt->scope, scope);
}

/* ---- calls from C -------------------------------------------------------- */

static int add_bound(Vm *vm, Value *args, int n, Value *out) {
  assert_int_equal(n, 4);
  assert_true(value_is(args[2], OBJ_TUPLE) && value_is(args[3], OBJ_RECORD));
  *out = value_int(args[0].i * 1000 + args[1].i * 100 + AS_LIST(args[2])->n * 10 +
                   AS_RECORD(args[3])->n);
  return 0;
}

static int call_twice(Vm *vm, Value *args, int n, Value *out) {
  Value first;
  assert_string_equal(vm_current_native(vm)->name, "call_twice");
  if (vm_call(vm, args[0], &args[1], 1, &first)) return 1;
  const char *names[1] = {"x"};
  int failed = vm_call_named(vm, args[0], &first, 1, names, out);
  value_unref(vm, first);
  return failed;
}

static const Native host_rows[] = {
  {"add_bound", "a, b = 2, *rest, **opts", "", add_bound, 0},
  {"call_twice", "f, x", "", call_twice, 0},
};

static void test_natives(void **state) {
  Host *h = *state;
  for (int k = 0; k < 2; k++) assert_int_equal(vm_define_native(h->vm, &host_rows[k]), 0);
  assert_int_equal(int_of(h, "add_bound(1)"), 1200);
  assert_int_equal(int_of(h, "add_bound(1, 3, 4, 5, 6)"), 1330);
  assert_int_equal(int_of(h, "add_bound(1, u = 3, v = 1)"), 1202);
  assert_int_equal(int_of(h, "add_bound(b = 7, a = 1)"), 1700);
  expect_failure(h, "add_bound()", RT_ERROR, "add_bound");
  assert_int_equal(int_of(h, "call_twice(x => x * x, 3)"), 81);
  assert_int_equal(
      int_of(h, "fn deep(x) = if x > 40 { x } else { call_twice(deep, x + 1) }\ndeep(30)"), 41);
}

static void test_calls_of_closures(void **state) {
  Host *h = *state;
  Value f, out, args[2] = {value_int(5), value_int(3)};
  good(h, "fn f(a, b = 10) = a - b");
  assert_int_equal(vm_global(h->vm, "f", &f), 0);
  assert_int_equal(vm_call(h->vm, f, args, 2, &out), 0);
  assert_int_equal(out.i, 2);
  assert_int_equal(vm_call(h->vm, f, args, 1, &out), 0);
  assert_int_equal(out.i, -5);
  const char *names[2] = {"b", "a"};
  assert_int_equal(vm_call_named(h->vm, f, args, 2, names, &out), 0);
  assert_int_equal(out.i, -2);
  assert_int_not_equal(vm_call(h->vm, f, NULL, 0, &out), 0);
  vm_report(h->vm, &h->diags);
  assert_non_null(strstr(h->diags.items[0].message, "argument"));
  assert_true(callable_has_param(f, "b") && !callable_has_param(f, "c"));
}

/* ---- sessions, names ----------------------------------------------------- */

static void test_session(void **state) {
  Host *h = *state;
  good(h, "var n = 1\nlet k = 10\nfn g(x) = x\nfn f(x) = g(x) + k");
  good(h, "n += 1");
  assert_int_equal(int_of(h, "f(n)"), 12);
  good(h, "fn g(x) = 2 * x\nlet k = 20");
  assert_int_equal(int_of(h, "f(n)"), 24);
  expect_failure(h, "n = 50\nerror(\"stop\")", RT_ERROR, "stop");
  assert_int_equal(int_of(h, "n"), 2);
  good(h, "fn sqrt(x) = x + 1");                       /* shadows the library */
  assert_int_equal(int_of(h, "sqrt(4)"), 5);
  expect_failure(h, "unknwon_name", RT_ERROR, "unknown");
  assert_int_equal(vm_define(h->vm, "host", value_int(42)), 0);
  assert_int_equal(int_of(h, "host + 1"), 43);
}

static void test_inputs(void **state) {
  Host *h = *state;
  assert_int_equal(vm_set_input(h->vm, "size", "12"), 0);
  assert_int_equal(vm_set_input(h->vm, "typo", "1"), 0);
  assert_int_equal(int_of(h, "input size = 3\ninput other = 4\nsize + other"), 16);
  assert_string_equal(vm_unused_input(h->vm), "typo");
  vm_set_input(h->vm, "size", "many");
  expect_failure(h, "input size = 3", RT_ERROR, "size");
}

static void hex_of(Host *h, const char *name, char hex[65]) {
  Value v;
  Sha256 sha;
  uint8_t bytes[32];
  if (vm_global(h->vm, name, &v)) fail_msg("%s", h->rt->error.message);
  sha256_init(&sha);
  value_hash(h->vm, v, &sha);
  sha256_end(&sha, bytes);
  sha256_hex(bytes, hex);
}

static void test_hash(void **state) {
  Host *h = *state;
  char a[65], b[65], c[65];
  good(h, "fn inner(x) = x + 1\nfn f(x) = inner(x)   # comment\nlet r = {a: 1, b: [1.0, 2.0]}\nlet "
          "s = {a: 1, b: [1.0, 2.0]}");
  hex_of(h, "f", a);
  hex_of(h, "r", b);
  hex_of(h, "s", c);
  assert_string_equal(b, c);
  good(h, "fn f(x) = inner( x )");
  hex_of(h, "f", b);
  assert_string_equal(a, b);
  good(h, "fn inner(x) = x + 2");                      /* code that f calls */
  hex_of(h, "f", b);
  assert_string_not_equal(a, b);
  Buf net = {0};                                       /* 2^40 paths, 40 functions */
  buf_text(&net, "fn n0(x) = x\n");
  for (int k = 1; k <= 40; k++) buf_format(&net, "fn n%d(x) = n%d(x) + n%d(x)\n", k, k - 1, k - 1);
  good(h, net.data);
  buf_free(&net);
  hex_of(h, "n40", c);
}

/* ---- trees --------------------------------------------------------------- */

static int list_path(Vm *vm, const char *path, Value *leaf, void *user) {
  buf_format(user, "%s ", path);
  return 0;
}

static void test_trees(void **state) {
  Host *h = *state;
  Value v;
  Buf paths = {0};
  assert_int_equal(run(h, "{a: [1.0, 2.0], n: 3, b: [{w: 0.5}, \"t\"], i: [1, 2]}", &v), VM_OK);
  assert_int_equal(tree_visit(h->vm, &v, list_path, &paths), 0);
  assert_string_equal(paths.data, "a b[0].w ");
  buf_free(&paths);
  value_unref(h->vm, v);
  good(h, "fn rec(w, x) = {w: w, k: 3, b: (x, \"t\")}\nlet a = rec([1.0, 2.0], 0.5)\n"
          "let b = rec([10.0, 20.0], 1.0)\nprint(a + b)\nprint(2 * a)\nprint(a)");
  assert_string_equal(
      h->out.data,
      "{w: [11.0, 22.0], k: 3, b: (1.5, \"t\")}\n{w: [2.0, 4.0], k: 3, b: (1.0, \"t\")}\n"
      "{w: [1.0, 2.0], k: 3, b: (0.5, \"t\")}\n");
  good(h, "fn one(w) = {w: w}\nfn two(w, v) = {w: w, v: v}");
  expect_failure(h, "one([1.0]) + one([1.0, 2.0])", RT_ERROR, "structure");
  expect_failure(h, "one([1.0]) + two([1.0], 2.0)", RT_ERROR, "structure");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_in_place, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_in_place_at_the_top, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_sharing_copies_once, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_limits, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_recursion, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_errors_have_places, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_random_scopes, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_natives, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_calls_of_closures, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_session, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_inputs, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_hash, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_trees, open_host, close_host),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
