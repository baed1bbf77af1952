/* test_diag.c: how diagnostics look, as text and as JSON, and how many. */
#include "syntax_help.h"

static char *shown(const char *text, bool json) {
  Parsed p = check_text(text, strlen(text));
  Buf b = {0};
  if (json) diags_json(&p.diags, &b);
  else diags_print(&p.diags, &b, false);
  parsed_free(&p);
  return b.data ? b.data : strdup("");
}

static void looks(const char *text, bool json, const char *want) {
  char *got = shown(text, json);
  if (strcmp(got, want) != 0) fail_msg("got\n%s\nwanted\n%s", got, want);
  free(got);
}

static void one_place(void **state) {
  looks("let W = zeros(10, 784)\nlet x = zeros(32, 784)\nlet y = x @ W\n", false,
        "error: shapes do not match in `@`\n"
        " --> test.qa:3:9\n"
        "  |\n"
        "3 | let y = x @ W\n"
        "  |         ^^^^^ x is (32, 784), W is (10, 784)\n"
        "  = help: did you mean `x @ W'`?\n");
}

static void two_places(void **state) {
  looks("let a = 1\n\n\na = 2", false,
        "error: `a` was bound with `let` and cannot be assigned to\n"
        " --> test.qa:4:1\n"
        "  |\n"
        "1 | let a = 1\n"
        "  |     - bound here\n"
        "...\n"
        "4 | a = 2\n"
        "  | ^\n"
        "  = help: declare it with `var a = ...`\n");
  looks("let s = f([1, 2)\n", false,
        "error: unknown name `f`\n"
        " --> test.qa:1:9\n"
        "  |\n"
        "1 | let s = f([1, 2)\n"
        "  |         ^\n\n"
        "error: this `[` is not closed\n"
        " --> test.qa:1:11\n"
        "  |\n"
        "1 | let s = f([1, 2)\n"
        "  |           ^    - `)` comes first\n"
        "  = help: close it with `]`\n");
}

/* Columns count code points; tabs stay under tabs. */
static void columns(void **state) {
  looks("\tlet ω = β", false,
        "error: unknown name `β`\n"
        " --> test.qa:1:10\n"
        "  |\n"
        "1 | \tlet ω = β\n"
        "  | \t        ^\n");
}

static void json(void **state) {
  looks("let a = 1\na = 2", true,
        "{\"type\":\"error\",\"message\":\"`a` was bound with `let` and cannot be assigned to\","
        "\"file\":\"test.qa\",\"line\":2,\"column\":1,\"end_line\":2,\"end_column\":2,"
        "\"help\":\"declare it with `var a = ...`\",\"second\":\"bound here\","
        "\"second_place\":{\"type\":\"place\",\"file\":\"test.qa\",\"line\":1,\"column\":5,\"end_"
        "line\":1,\"end_column\":6}}\n");
}

static void order_and_limit(void **state) {
  Source *s = source_new("t", NULL, "abc\ndef\n", 8);
  Diags d;
  diags_init(&d);
  diag_add(&d, DIAG_ERROR, s, (Span){4, 5}, "second");
  diag_add(&d, DIAG_ERROR, s, (Span){0, 1}, "first");
  diag_add(&d, DIAG_ERROR, s, (Span){0, 1}, "first");
  assert_int_equal(d.errors, 2);
  Buf b = {0};
  diags_print(&d, &b, false);
  assert_true(strstr(b.data, "first") < strstr(b.data, "second"));
  for (int i = 0; i < 100; i++)
    diag_help(diag_add(&d, DIAG_ERROR, s, (Span){1, 2}, "more %d", i), "x");
  assert_int_equal(d.n, 20);
  assert_int_equal(d.errors, 102);
  b.len = 0;
  diags_print(&d, &b, true);
  assert_non_null(strstr(b.data, "82 more errors"));
  assert_non_null(strstr(b.data, "\x1b[1;31merror"));
  buf_free(&b);
  diags_free(&d);
  source_unref(s);
}

static void places(void **state) {
  Source *s = source_new("t", NULL, "a\r\nbé\rc\n", 10);
  static const uint32_t want[][3] = {{0, 1, 1}, {3, 2, 1}, {6, 2, 3},
                                     {7, 3, 1}, {9, 4, 1}, {99, 4, 1}};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    uint32_t line, column;
    source_locate(s, want[i][0], &line, &column);
    assert_int_equal(line, want[i][1]);
    if (i < 5) assert_int_equal(column, want[i][2]);
  }
  source_unref(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_place), cmocka_unit_test(two_places), cmocka_unit_test(columns),
    cmocka_unit_test(json), cmocka_unit_test(order_and_limit), cmocka_unit_test(places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
