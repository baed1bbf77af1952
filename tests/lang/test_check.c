/* test_check.c: what is right passes, what is wrong gives this message; the
 * wrong scripts of tests/lang/wrong are in test_check_wrong.c.               */
#include "syntax_help.h"

static void fine(const char *text) {
  Parsed p = check_text(text, strlen(text));
  if (p.diags.n) {
    Buf b = {0};
    diags_print(&p.diags, &b, false);
    fail_msg("%s\n%s", text, b.data);
  }
  parsed_free(&p);
}

static void wrong(const char *text, int count, const char *message) {
  Parsed p = check_text(text, strlen(text));
  Buf b = {0};
  diags_print(&p.diags, &b, false);
  if (p.diags.n != count || !b.data || !strstr(b.data, message))
    fail_msg("%s\n%d diagnostics, wanted %d with `%s`\n%s", text, p.diags.n, count, message,
             b.data ? b.data : "");
  buf_free(&b);
  parsed_free(&p);
}

static void names(void **state) {
  fine("fn even(n) = if n == 0 { true } else { odd(n - 1) }\nfn odd(n) = if n == 0 { false } else "
       "{ even(n - 1) }");
  fine("fn f() = later\nlet later = 3\nprint(f())");
  fine("let xs = [x + y for x in 0..3, y in 0..x]");
  fine("for (u, v) in [(0, 1)] { print(u, v) }");
  fine("let C[i, j] = sum(zeros(2, 3)[i, k] * zeros(3, 2)[k, j] for k)");
  fine("let f = x => y => x + y");
  fine("fn f(x) { let x = x + 1; x }");
  fine("try { error(\"no\") } catch e { print(e) }");
  fine("let sum = 3\nprint(sum)");
  fine("for _ in 0..2, _ in 0..3 { print(1) }");
  wrong("print(x for y in 0..3)", 1, "unknown name `x`");
  wrong("{ }\nprint(a)", 1, "unknown name `a`");
  wrong("let f = x => x\nprint(x)", 1, "unknown name `x`");
  wrong("for i in 0..2 { let t = i }\nprint(t)", 1, "unknown name `t`");
  wrong("print(q)\nprint(q)\nprint(q)", 1, "unknown name `q`");
  wrong("import nn\nlet l = nn.liner(3)", 1, "module `nn` has no `liner`");
  wrong("let a = 1\nfn a() = 2", 1, "bound twice");
}

/* What a failed statement would have declared is not missed. */
static void no_cascades(void **state) {
  wrong("let x = 3 4\nprint(x)\nprint(x + 1)", 1, "expected an operator");
  wrong("fn f(x) = = 3\nprint(f(2))", 1, "two `=` in a row");
  wrong("circuit c(n) {\n  qubits w[n]\n  hadamard w[0]\n  h w\n}\nprint(c(2))", 1,
        "no gate or circuit is called `hadamard`");
  wrong("hamiltonian h(n) {\n  binary b[n]\n  -q * b[0]\n  -b[1]\n}\nprint(h(2))", 1, "unknown name `q`");
  wrong("attention a {\n  score = dot(q, k) )\n}\nlet b = a", 1, "closes nothing");
}

static void calls(void **state) {
  fine("fn f(x, n = 2) = x^n\nprint(f(1), f(1, 2), f(1, n = 3), f(x = 1), 3 |> f, 3 |> f(2))");
  fine("print(1, 2, 3, sep = \"-\")\nprint(sum(x for x in 0..3))\nprint(zeros(2, 3, dtype = "
       "\"f32\"))");
  fine("print(randn(3, seed = 4))\nlet g = map((a, b) => a + b, [1], [2])");
  fine("attention lorentz { param gamma = 1.0; weight = 1 / (1 + dist2(q, k) / gamma^2) }\nlet a = "
       "lorentz(gamma = 2.0)");
  wrong("fn f(x) = x\n3 |> f(2)", 1, "takes 1 argument, 2 are given");
  wrong("let f = (a, b) => a + b\nprint(f(1))", 1, "misses its argument `b`");
  wrong("attention a(w) { score = w * dot(q, k) }\nlet b = a(ww = 2)", 1, "its arguments are `w`");
}

static void variables(void **state) {
  fine("var s = 0\nfor i in 0..3 { s += i }\nif s > 1 { s = 0 }");
  fine("fn f() { var n = 0; for i in 0..3 { n += i; let g = () => n }; n }");
  fine("fn f(m, s) { var a = m; var b = s; (a, b) = (b, a); a }");
  wrong("fn f() { var n = 0; let g = () => { n = 1 }; g }", 1, "a function cannot assign to `n`");
  wrong("let r = {a: 1}\nr.a = 2", 1, "declare it with `var r = ...`");
  wrong("let (a, b) = (1, 2)\n(a, b) = (b, a)", 2, "was bound with `let`");
}

static void shapes(void **state) {
  fine("let x = randn(32, 784)\nlet W = zeros(784, 10)\nlet y = x @ W + zeros(10)\nlet z = y * "
       "ones(32, 1)");
  fine("let n = 3\nlet x = zeros(n, 4)\nprint(x @ zeros(4, 2), x[2, -4], x[:, 3], x[0..2, 1])");
  fine("let x = [1, 2, 3] * 2 + 1\nprint(x / [1, 1, 1], -x, x', x == x)");
  fine("let x = reshape(zeros(2, 6), (3, 4)) @ zeros(4)\nprint(exp(x) + zeros(3))");
  fine("fn f(a, b) = a @ b + [1, 2, 3]\nlet s = [[1, 2], [3, 4]] @ [1, 1]");
  wrong("let a = zeros(2, 3)\nlet b = a' @ a + zeros(2, 2)", 1, "shapes do not match in `+`");
  wrong("let a = zeros(4, 3)\nprint(zeros(4) @ a @ zeros(4))", 1, "(3,)");
  wrong("print(zeros(2, 3) @ ones(2, 3))", 1, "did you mean `zeros(2, 3) @ ones(2, 3)'`?");
  wrong("print([1, 2, 3][-4])", 1, "index -4 is out of range");
}

/* An error that a `try` would catch is the script's business. */
static void guarded(void **state) {
  fine("let a = try 1 // 0 else 0\nlet b = try { [1, 2][5] + \"a\" } catch e { e.message }");
  fine("let c = try zeros(2) @ zeros(3) else nil\nlet r = {a: 1}\nlet d = try r.b else 3\nlet f = "
       "try 3(4) else 5");
  wrong("let a = try 0 else 1 // 0", 1, "divided by zero");
  wrong("let a = try unknown_name else 1", 1, "unknown name");
}

static void quantities(void **state) {
  fine(
      "let t = 20us + 5ns\nlet r = 20us / 1ns + 1\nlet f = 1 / 20us + 5kHz\nlet a = 3 * 2us < 1ms");
  fine("let area = 2us * 3us + 1us * 1us");
  wrong("let x = 2us * 3us + 1us", 1, "cannot be added");
  wrong("let x = 1us < 3", 1, "cannot be ordered");
}

static void blocks(void **state) {
  fine("attention alibi { score = dot(q, k) / sqrt(d) - 2^(-8 * (h + 1) / heads) * (i - j);  mask "
       "= j <= i }");
  fine("let bias = zeros(4, 9, 9)\nattention b { let s = dot(q, k) + bias[h, i, j]\n score = s / "
       "sqrt(d)\n norm = sum + 1.0 }");
  fine("attention s { weight = 1 / (1 + exp(-dot(q, k)));  norm = none }");
  fine("attention g { param gain[heads] = 1.0;  weight = exp(cos(q, k));  norm = n_k / gain;  "
       "dropout = 0.1 }");
  fine("attention p { param u[d] = randn(d) / sqrt(d);  score = dot(u, k[j]) + norm2(q);  prep = x "
       "=> x / 2;  iterate = 2 }");
  fine("model m(a, b = 2) { param W[a, b] = glorot();  s = 2.0;  fn half(x) = x / s;  fn "
       "forward(x) = half(x @ W) }");
  fine("experiment e { repeat s 3; sweep x in {a: 1, b: 2} if x > 0; let y = x + s; record z = y\n"
       "  curve c = y\n  report { table(z, rows = x); claim mean(z) > 0 } }");
  wrong("attention a { score = dot(q, k); norm = sum; norm = none }", 1, "`norm` is given twice");
  wrong("attention a { score = 1; dropout = 1.5 }", 1, "a probability below 1");
  wrong("attention a { score = exp(k[j]) }", 1, "`k` is a vector");
  wrong("if true { model m { fn forward(x) = x } }", 1, "declarations stand at the top");
  wrong("experiment e { repeat s 0; record x = s }", 1, "wants at least one");
  wrong("experiment e { let x = 1 }", 1, "records nothing");
  wrong("fn f() { return 1\n  print(2)\n  print(3) }", 1, "this is never reached");
}

/* A file of 500 lines of ordinary code; its time is a row of `make bench`. */
static void long_file(void **state) {
  (void)state;
  Buf b = {0};
  for (int i = 0; i < 50; i++)
    buf_format(
        &b,
        "## energy %d\nfn energy%d(x, kappa = 2.0) {\n  let n = len(x)\n  var total = 0.0\n"
        "  for i in 0..n {\n    if x[i] > 0 and i %% 2 == 0 { total += kappa * x[i]^2 / 2 }\n  }\n"
        "  total\n}\nprint(\"e = {energy%d([1.0, 2.0]):.3f}\", energy%d([1, 2], kappa = 3))\n",
        i, i, i, i);
  Parsed p = check_text(b.data, b.len);
  assert_int_equal(p.diags.n, 0);
  parsed_free(&p);
  buf_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names),      cmocka_unit_test(no_cascades), cmocka_unit_test(calls),
      cmocka_unit_test(variables),  cmocka_unit_test(shapes),      cmocka_unit_test(guarded),
      cmocka_unit_test(quantities), cmocka_unit_test(blocks),      cmocka_unit_test(long_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
