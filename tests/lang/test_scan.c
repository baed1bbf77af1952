/* test_scan.c: spellings that are wrong, and what is said about them: at most
 * one error each, with the mend.                                             */
#include "syntax_help.h"

typedef struct { const char *text, *message, *help; } Case;

static void says(const Case *c) {
  Parsed p = parse_text(c->text, strlen(c->text));
  Buf b = {0};
  diags_print(&p.diags, &b, false);
  bool ok = p.diags.errors == 1 && strstr(p.diags.items[0].message, c->message) &&
            (!c->help || (p.diags.items[0].help && strstr(p.diags.items[0].help, c->help)));
  if (!ok)
    fail_msg("%s\nwanted `%s`, `%s`, got\n%s", c->text, c->message, c->help ? c->help : "", b.data);
  buf_free(&b);
  parsed_free(&p);
}

static void operators(void **state) {
  static const Case cases[] = {
    {"let y = a ** 2", "`**` is not an operator", "`x^2`"},
    {"x **= 2", "`**=` is not an operator", "`x ^= 2`"},
    {"let y = a && b", "`&&` is not an operator", "`and`"},
    {"let y = a & b", "`&` is not an operator", "`and`"},
    {"let y = a || b", "`||` is not an operator", "`or`"},
    {"let y = a | b", "`|` is not an operator", "`or`"},
    {"let y = !a", "`!` is not an operator", "`not`"},
    {"let y = a === b", "`===` is not an operator", "`==`"},
    {"let y = a !== b", "`!==` is not an operator", "`!=`"},
    {"let y = a <> b", "`<>` is not an operator", "`!=`"},
    {"let y = a =< b", "`=<` is not an operator", "`<=`"},
    {"y := 3", "`:=` is not an operator", "`let x = ...`"},
    {"let f = x -> x", "`->` is not an operator", "`x => x^2`"},
    {"for i in 0...3 { i }", "`...` is not an operator", "`0..n`"},
    {"x++", "`++` is not an operator", "`x += 1`"},
    {"x--\ny", "`--` is not an operator", "`x -= 1`"},
    {"/* note */\nlet x = 1", "`/*` does not start a comment", "`#`"},
    {"let y = ~a", "`~` means nothing here", "`not x`"},
    {"let y = a ? b", "`?` means nothing here", "if c { a } else { b }"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) says(&cases[i]);
  parses_to("let y = a - --b", "(let y (binary - a (unary - (unary - b))))");
}

static void numbers(void **state) {
  static const Case cases[] = {
    {"let x = 20min", "`min` directly after a number is not a unit", "`20 * min`"},
    {"let x = 5ghz", "`ghz` directly after a number is not a unit", "`5GHz`"},
    {"let x = 5µs", "directly after a number is not a unit", "`5us`"},
    {"let x = 2j", "`j` directly after a number is not a unit", "`2i`"},
    {"let x = 2e", "`e` directly after a number is not a unit", "an exponent has digits"},
    {"let x = 2x", "`x` directly after a number is not a unit", "`2 * x`"},
    {"let x = 0xfg", "`0xfg` is not a hexadecimal number", NULL},
    {"let x = 0b12", "`0b12` is not a binary number", NULL},
    {"let x = 1.", "a point has digits on both sides", "`1.0`"},
    {"let x = .5", "a point has digits on both sides", "`0.5`"},
    {"let x = 9223372036854775808", "does not fit into 64 bits", "float"},
    {"let x = 1e999", "too large for a float", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) says(&cases[i]);
}

static void strings(void **state) {
  static const Case cases[] = {
    {"let x = 'abc'", "single quotes make no string", "write \"abc\""},
    {"let x = ' a", "`'` without an operand", "the transpose follows its operand"},
    {"let x = \"abc", "this string has no end", "close it with"},
    {"let x = \"abc {y", "a hole in this string has no end", "`}`"},
    {"let x = \"abc {y\"\nlet z = 1", "a hole in this string has no end", "`}`"},
    {"let x = \"{}\"", "this hole is empty", "`\\{`"},
    {"let x = \"\\q\"", "unknown escape `\\q`", "`\\\\`"},
    {"let x = \"\\u{110000}\"", "this escape names no character", NULL},
    {"let x = \"\\x1\"", "this escape names no character", NULL},
    {"let x = \"{a b}\"", "expected an operator or `}`, found `b`", NULL},
    {"let x = \"{f(a}\"", "this `(` is not closed", "`)`"},
    {"let x = “abc”", "is a curly quote", "straight quotes"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) says(&cases[i]);
}

static void characters(void **state) {
  static const Case cases[] = {
    {"let y = a − b", "a minus sign from a word processor (U+2212)", "`-`"},
    {"let y = a × b", "`×` means nothing here", "`*`"},
    {"let y = a ≤ b", "`≤` means nothing here", "`<=`"},
    {"let y = a\xc2\xa0+ b", "a no-break space (U+00A0)", "ordinary space"},
    {"let y = ∑", "`∑` means nothing here", "sum("},
    {"let y = a $ b", "`$` means nothing here", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) says(&cases[i]);
  parses_to("let ψ_0 = x₁ + ℏ", "(let ψ_0 (binary + x₁ ℏ))");
  parses_to("let 温度 = 1", "(let 温度 1)");
}

/* `'` is the transpose only directly behind an operand. */
static void transpose(void **state) {
  parses_to("a' * b''", "(binary * (transpose a) (transpose (transpose b)))");
  parses_to("f(x)'[0]'", "(transpose (index (transpose (call f x)) 0))");
  parses_to("[1, 2]'", "(transpose (bracket 1 2))");
  static const Case space = {"let y = a 'b'", "single quotes make no string", NULL};
  says(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(operators), cmocka_unit_test(numbers), cmocka_unit_test(strings),
    cmocka_unit_test(characters), cmocka_unit_test(transpose),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
