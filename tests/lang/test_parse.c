/* test_parse.c: text to tree: precedence, statements, clauses, declarations,
 * the rules of newlines and braces, and hostile texts.                       */
#include "syntax_help.h"

static void precedence(void **state) {
  parses_to("-2^2", "(unary - (binary ^ 2 2))");
  parses_to("2^-1", "(binary ^ 2 (unary - 1))");
  parses_to("2^3^2", "(binary ^ 2 (binary ^ 3 2))");
  parses_to("-x'", "(unary - (transpose x))");
  parses_to("a * -b", "(binary * a (unary - b))");
  parses_to("a - b - c", "(binary - (binary - a b) c)");
  parses_to("a + b * c @ d // e % f",
            "(binary + a (binary % (binary // (binary @ (binary * b c) d) e) f))");
  parses_to("a or b and not c == d", "(or a (and b (unary not (compare c == d))))");
  parses_to("0 <= x < n", "(compare 0 <= x < n)");
  parses_to("(a < b) < c", "(compare (compare a < b) < c)");
  parses_to("x not in xs", "(compare x not in xs)");
  parses_to("a + 1..b * 2", "(range (binary + a 1) (binary * b 2))");
  parses_to("i in 0..=n", "(compare i in (range = 0 n))");
  parses_to("x |> f |> g(2) |> (y => y)",
            "(pipe (pipe (pipe x f) (call g 2)) (lambda (param y) y))");
  parses_to("a or b |> f", "(pipe (or a b) f)");
  parses_to("m.a[0].b(1)'", "(transpose (call (field b (index (field a m) 0)) 1))");
  parses_to("A @ B' + c", "(binary + (binary @ A (transpose B)) c)");
}

static void literals(void **state) {
  parses_to("1_000", "1000");
  parses_to("0xff", "255");
  parses_to("0b101", "5");
  parses_to("1.5", "1.5");
  parses_to("2e-3", "0.002");
  parses_to("2.5i", "(imag 2.5)");
  parses_to("20us", "(quantity 2.0000000000000002e-05[1 0])");
  parses_to("5GHz", "(quantity 5000000000[-1 0])");
  parses_to("15mK", "(quantity 0.014999999999999999[0 1])");
  parses_to("9223372036854775807", "9223372036854775807");
  parses_to("\"a\\tb\\u{3c9}\\{\"", "\"a\tb\xcf\x89{\"");
  parses_to("\"acc = {acc:.3f}!\"", "(interp \"acc = \" (hole .3f acc) \"!\")");
  parses_to("\"{r[\"a:b\"]} {f(\"{x}\")}\"",
            "(interp (hole (index r \"a:b\")) \" \" (hole (call f (interp (hole x)))))");
  parses_to("\"\"\"\na \"b\"\n\"\"\"", "\"a \"b\"\n\"");
  parses_to("\"\"\"{\n  x\n}\"\"\"", "(interp (hole x))");
  parses_to("()", "(tuple)");
  parses_to("(a,)", "(tuple a)");
  parses_to("(a)", "a");
  parses_to("[[1, 2], [3, 4],]", "(bracket (bracket 1 2) (bracket 3 4))");
  parses_to("ω_1 + β", "(binary + ω_1 β)");
}

static void statements(void **state) {
  parses_to("let x = 1", "(let x 1)");
  parses_to("let (a, b) = f()", "(let (tuple a b) (call f))");
  parses_to("let {x, y: z} = r", "(let (record (pair x x) (pair y z)) r)");
  parses_to("let C[i, j] = a[i] * b[j]", "(arraydef C i j (binary * (index a i) (index b j)))");
  parses_to("x += 1", "(assign + x 1)");
  parses_to("r.a[2].W[i, j] = 3", "(assign = (index (field W (index (field a r) 2)) i j) 3)");
  parses_to("(m, s) = step(m)", "(assign = (tuple m s) (call step m))");
  parses_to("fn f(x, n = 2) = x^n", "(fn f (param x) (param n 2) (binary ^ x n))");
  parses_to("if a { 1 } else if b { 2 } else { 3 }", "(if a (block 1) (if b (block 2) (block 3)))");
  parses_to("while a { break; continue }", "(while a (block (break) (continue)))");
  parses_to("try f() else 0", "(try (call f) 0)");
  parses_to("try { f() } catch e { e }", "(try e (block (call f)) (block e))");
  parses_to("with seed(3) { x }", "(with 3 (block x))");
  parses_to("import nn", "(import nn nn)");
  parses_to("import \"a.qa\" as a", "(import a \"a.qa\")");
  parses_to("input size = 3", "(input size 3)");
  parses_to("let f = (x, n = 2) => { x }", "(let f (lambda (param x) (param n 2) (block x)))");
  parses_to("() => 1", "(lambda 1)");
}

static void clauses(void **state) {
  parses_to("for i in xs { i }", "(for (bind xs i) (block i))");
  parses_to("for i, j in 0..n { i }", "(for (bind (range 0 n) i j) (block i))");
  parses_to("sum(A[i, k] for i, j in 0..n, k if i != j)",
            "(call sum (gen (index A i k) (bind (range 0 n) i j) (bind k) (compare i != j)))");
  parses_to("[u + v for (u, v) in edges]",
            "(comprehension (binary + u v) (bind edges (tuple u v)))");
  parses_to("sum(x[j] for j < l <= m)", "(call sum (gen (index x j) (order j < l <= m)))");
  parses_to("f(a, b = 1, x for x in xs)", "(call f a (arg b 1) (gen x (bind xs x)))");
  parses_to("x[1..3, :, ..-1, 2.., ..]",
            "(index x (range 1 3) : (range _ (unary - 1)) (range 2) (range _))");
}

static void newlines(void **state) {
  parses_to("let x = 1 +\n  2", "(let x (binary + 1 2))");
  parses_to("let x =\n  2", "(let x 2)");
  parses_to("f(\n  a,\n  b\n)", "(call f a b)");
  parses_to("x\n  |> f\n  # between\n  |> g", "(pipe (pipe x f) g)");
  parses_to("m\n  .a\n  .b", "(field b (field a m))");
  parses_to("if a { 1 }\nelse { 2 }", "(if a (block 1) (block 2))");
  parses_to("a; b\n\n# c\nd", "(block a b d)");
  parses_to("f(x => {\n  let y = x\n  y\n})", "(call f (lambda (param x) (block (let y x) y)))");
  parses_to("fn f(x) {\n  -x\n}", "(fn f (param x) (block (unary - x)))");
  parses_to("a\r\nb\r\n", "(block a b)");
  parses_to("f()\n(a)\n[b]", "(block (call f) a (bracket b))");
}

static void braces(void **state) {
  parses_to("let r = {a: 1, \"b c\": 2}", "(let r (record (pair a 1) (pair b c 2)))");
  parses_to("let r = {\n  a: 1,\n}", "(let r (record (pair a 1)))");
  parses_to("let r = {}", "(let r (record))");
  parses_to("x => {a: 1}", "(lambda (param x) (record (pair a 1)))");
  parses_to("x => {}", "(lambda (param x) (block))");
  parses_to("let y = { let z = 1; z }", "(let y (block (let z 1) z))");
  parses_to("for x in {a: 1} { x }", "(for (bind (record (pair a 1)) x) (block x))");
  parses_to("fn f() {\n  {a: 1}\n}", "(fn f (block (record (pair a 1))))");
  parses_to("if x == {} { 1 }", "(if (compare x == (record)) (block 1))");
}

static void declarations(void **state) {
  parses_to("attention w(m) { param g[heads] = 1 in (0, inf); score = g; mask = j <= i }",
            "(attention w (param m) (block (leaf g 1 heads 0 inf) (equation score g) "
            "(equation mask (compare j <= i))))");
  parses_to("model m(a) { param W[a, 2] = f(); h = g(a); fn forward(x) = x @ W }",
            "(model m (param a) (block (leaf W (call f) a 2) (equation h (call g a)) "
            "(fn forward (param x) (binary @ x W))))");
  parses_to("experiment e { repeat s 3; sweep x in xs if x > 1; keep let m = f(x)\n record y = m\n"
            " for i in 0..2 { curve c = i }\n budget { qpu_time = 2s }\n report { claim y > 0 } }",
            "(experiment e (block (repeat s 3) (sweep (bind xs x) (compare x > 1)) (keep (let m "
            "(call f x))) "
            "(column y m) (for (bind (range 0 2) i) (block (curve c i))) (budget (pair qpu_time "
            "(quantity 2[1 0]))) "
            "(report (block (claim (compare y > 0))))))");
  /* words of blocks are names elsewhere */
  parses_to("let record = param + sweep", "(let record (binary + param sweep))");
  parses_to("let model = fit(model, report)", "(let model (call fit model report))");
}

static void docs(void **state) {
  const char *text =
      "## one\n## two\nfn f(x) = x\n\n## lost\n\nlet a = 1\nlet b = 2 ## not this\nlet c = 3\n";
  Parsed p = parse_text(text, strlen(text));
  assert_int_equal(p.module->n, 4);
  assert_string_equal(p.module->items[0]->doc, "one\ntwo");
  for (int i = 1; i < 4; i++) assert_null(p.module->items[i]->doc);
  parsed_free(&p);
}

static void spans(void **state) {
  const char *text = "let y = f(a) + (b * c)";
  Parsed p = parse_text(text, strlen(text));
  Node *sum = p.module->items[0]->b;
  assert_int_equal(sum->span.start, 8);
  assert_int_equal(sum->span.end, strlen(text));
  assert_int_equal(sum->span2.start, 13);
  assert_int_equal(sum->b->span.start, 15);
  assert_true(sum->b->flags & NODE_PAREN);
  parsed_free(&p);
}

static void incomplete(void **state) {
  static const struct { const char *text; bool want;
  } cases[] = {
      {"fn f(x) {", true},    {"f(1,", true},
      {"let x =", true},      {"a +", true},
      {"x |>", true},         {"[1, 2", true},
      {"\"\"\"abc", true},    {"if a { 1 } else", true},
      {"let x = {a:", true},  {"for i in 0..3 {\n  f(i)\n", true},
      {"let x = 1", false},   {"", false},
      {"\"abc", false},       {"x = 3 4", false},
      {"f(1))", false},       {"let = 3", false},
      {"x = 3 4\nf(", false}, {"a b {", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Parsed p = parse_text(cases[i].text, strlen(cases[i].text));
    if (p.incomplete != cases[i].want)
      fail_msg("`%s`: incomplete is %d", cases[i].text, p.incomplete);
    parsed_free(&p);
  }
}

/* `unit` n times between two ends: exactly one error, quickly. */
static void hostile(const char *head, const char *unit, const char *tail, const char *message) {
  Buf b = {0};
  buf_text(&b, head);
  for (int i = 0; i < 100000; i++) buf_text(&b, unit);
  buf_text(&b, tail);
  Parsed p = parse_text(b.data, b.len);
  if (p.diags.errors != 1 || !strstr(p.diags.items[0].message, message))
    fail_msg("%s: %d errors, %s", unit, p.diags.errors, p.diags.n ? p.diags.items[0].message : "");
  parsed_free(&p);
  buf_free(&b);
}

static void limits(void **state) {
  hostile("", "(", "", "nested more than 200 deep");
  hostile("", "[({", "", "nested more than 200 deep");
  hostile("", "if x {", "", "nested more than 200 deep");
  hostile("let x = ", "a + ", "a", "too deeply");
  hostile("let x = ", "-", "a", "too deeply");
  hostile("let x = ", "not ", "a", "too deeply");
  hostile("let x = ", "a^", "a", "too deeply");
  hostile("let x = ", "a => ", "a", "too deeply");
  hostile("let x = ", "try a else ", "a", "too deeply");
  hostile("if a { b }", " else if a { b }", "", "too deeply");
  hostile("x", ".a", "", "too deeply");
  hostile("x", "()", "", "too deeply");
  hostile("\"", "{\"", "", "strings are nested too deeply");
}

static void odd_texts(void **state) {
  static const struct {
    const char *text;
    size_t len;
    const char *message;
    uint32_t line;
  } cases[] = {
      {"let x = 1\nlet y\0 = 2\n", 21, "a NUL byte in the text", 2},
      {"let x = 1\nlet y = \"\xff\"\n", 21, "not valid UTF-8", 2},
      {"a\n\"abc\nb", 8, "this string has no end", 2},
      {"let x\x01 = 3", 10, "a control character", 1},
      {"let a = $x", 10, "`$` means nothing here", 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Parsed p = parse_text(cases[i].text, cases[i].len);
    uint32_t line, column;
    if (p.diags.errors < 1 || !strstr(p.diags.items[0].message, cases[i].message))
      fail_msg("case %zu", i);
    source_locate(p.source, p.diags.items[0].span.start, &line, &column);
    assert_int_equal(line, cases[i].line);
    parsed_free(&p);
  }
  Parsed p = parse_text("", 0);
  assert_int_equal(p.diags.n, 0);
  assert_int_equal(p.module->n, 0);
  parsed_free(&p);
  p = parse_text("\xef\xbb\xbflet x = 1", 12);
  assert_int_equal(p.diags.n, 0);
  parsed_free(&p);
}

/* Each bad statement is reported, the good ones between them are kept. */
static void recovery(void **state) {
  const char *text =
      "let a = 1 1\nlet b = 2\nfn f(x) {\n  let = 3\n  let c = 4\n}\nlet d = * 5\nlet e = 6\n";
  Parsed p = parse_text(text, strlen(text));
  static const uint32_t want[] = {1, 4, 7};
  assert_int_equal(p.diags.errors, 3);
  for (int i = 0; i < 3; i++) {
    uint32_t line, column;
    source_locate(p.source, p.diags.items[i].span.start, &line, &column);
    assert_int_equal(line, want[i]);
  }
  int lets = 0;
  for (uint32_t i = 0; i < p.module->n; i++) lets += p.module->items[i]->kind == N_LET;
  assert_int_equal(lets, 2);
  parsed_free(&p);
}

/* Equal code has equal hashes whatever its layout; other code has not. */
static void hashes(void **state) {
  static const char *const texts[] = {"fn f(x) = x + 1  # doc", "## d\nfn f(x) =\n  x + 1",
                                      "fn f(x) = x + 2",        "fn f(x) { x + 1 }",
                                      "fn f(x) = x - 1",        "fn f(y) = y + 1"};
  uint8_t h[6][32];
  for (int i = 0; i < 6; i++) {
    Parsed p = parse_text(texts[i], strlen(texts[i]));
    Sha256 s;
    sha256_init(&s);
    node_hash(node_copy(p.source, p.module), &s);
    sha256_end(&s, h[i]);
    parsed_free(&p);
  }
  assert_memory_equal(h[0], h[1], 32);
  for (int i = 2; i < 6; i++) assert_memory_not_equal(h[0], h[i], 32);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(precedence), cmocka_unit_test(literals), cmocka_unit_test(statements),
    cmocka_unit_test(clauses), cmocka_unit_test(newlines), cmocka_unit_test(braces),
    cmocka_unit_test(declarations), cmocka_unit_test(docs), cmocka_unit_test(spans),
    cmocka_unit_test(incomplete), cmocka_unit_test(limits), cmocka_unit_test(odd_texts),
    cmocka_unit_test(recovery), cmocka_unit_test(hashes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
