/* Every differentiable function of the library against central differences,
 * at most 1e-6 relative in f64.  A function flagged NF_DIFF that is neither in
 * the table nor in the list of exemptions fails the test, so a new function
 * brings its row.                                                            */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "lang/qa.h"
#include "lang/vm/vm.h"

#define BAR 1e-6

typedef struct { const char *name, *f, *x; } Row;

/* w(y): one number from a result of any shape, by fixed weights */
static const char prelude[] =
  "fn w(y) = if len(shape(y)) == 0 { 1.3 * real(y) + 0.7 * imag(y) } else {\n"
  "  let k = reshape(sin(1.0 + arange(0, size(y))), shape(y))\n"
  "  sum(real(y) * k) + 0.5 * sum(imag(y) * cos(k))\n"
  "}\n"
  "fn size(y) = prod(shape(y))\n"
  "let v = [0.31, 0.82, 1.27, 0.55]\n"
  "let m = [[0.9, -0.4, 0.3], [0.2, 1.1, -0.6], [-0.3, 0.5, 1.4]]\n"
  "let t = [[0.3, -1.2, 0.8, 0.1], [1.5, 0.4, -0.7, 2.1]]\n"
  "let c = [0.4 + 0.3i, -0.8 + 0.5i, 1.1 - 0.2i]\n"
  "let cm = [[0.9 + 0.1i, -0.4i, 0.3], [0.2, 1.1 - 0.3i, -0.6], [-0.3i, 0.5, 1.4 + 0.2i]]\n"
  "let sym = m + m'\n"
  "let pos = m @ m' + eye(3)\n"
  "let im = reshape(sin(1.0 * arange(0, 32)), (2, 4, 4))\n"
  "attention lor { param gamma = 1.3 in (0, inf);  weight = 1 / (1 + dist2(q, k) / gamma^2) }\n"
  "attention cheap { binary b[j];  minimize -sum(dot(q, k[j]) * b[j] for j) + "
  "sum(cos(k[j], k[l]) * b[j] * b[l] for j < l);  sampler = exact();  weight = b }\n"
  "attention biased(bias) { score = dot(q, k) / sqrt(d) + bias[i, j];  mask = j <= i }\n"
  "let hb = [[[1, 1, 0, 1]], [[0, 1, 1, 0]]]\n"
  "let hb2 = [[[1, 1, 0, 1], [0, 0, 1, 0]], [[0, 1, 1, 0], [1, 1, 1, 1]]]\n"
  "let kk = reshape(sin(1.0 * arange(0, 12)), (3, 4))\n"
  "let vv = reshape(cos(1.0 * arange(0, 6)), (3, 2))\n"
  "let bb = reshape(cos(2.0 * arange(0, 9)), (3, 3))\n"
  "circuit rot(t[4]) { qubits w[2]; ry(t[0]) w[0]; rx(t[1]) w[1]; cx w[0], w[1]; rzz(t[2] * t[3]) w[0], w[1]; h w }\n"
  "circuit nested(t) { qubits w[2]; ry(t[1]) w; rot(t) w; inverse { rx(t[2]) w[0] }; control w[0] { u(t[0], t[3], 0.2) w[1] } }\n"
  "circuit loud(t) { qubits w[2]; rot(t) w; amplitude_damp(sin(t[1])^2) w[0]; rx(t[2]) w; depolarize(0.1) w; reset w[1] }\n"
  "let text3 = \"OPENQASM 3.0; include \\\"stdgates.inc\\\"; input float a; qubit[2] q; ry(2*a) q[0]; cx q[0], q[1]; rx(sin(a)) q[1];\"\n"
  "circuit enc(x) { qubits w[2]; load(x) w; ry(0.4) w[0]; crx(0.7) w[0], w[1] }\n"
  "hamiltonian pairs(J[n, n], f[n]) { binary b[n]; spin s[n]; "
  "sum(J[i, j]^2 * b[i] * s[j] + 0.3 * f[i] * J[i, j] * s[i] * s[j] for i, j in 0..n if i < j) + sum(f * b) }\n"
  "let xb = [[1, 0, 1], [0, 1, 1]]\n"
  "let xs = [[1, -1, 1], [-1, -1, 1]]\n"
  "model net(n) { param W[n, 2] = randn((n, 2)); param b[2] = 0.1; fn forward(x) = tanh(x @ W + b) }\n";

#define U(name) {#name, "x => w(" #name "(x))", "v"}
#define UZ(name) {#name, "z => w(" #name "(z))", "c"}
#define UM(name) {#name, "a => w(" #name "(a))", "m"}, {#name, "a => w(" #name "(a))", "cm"}

static const Row table[] = {
  /* mathematics */
  U(sqrt), U(exp), U(expm1), U(log), U(log2), U(log1p), U(sin), U(cos), U(tan),
  {"asin", "x => w(asin(0.7 * x))", "v"}, {"acos", "x => w(acos(0.7 * x))", "v"}, U(atan), U(sinh),
  U(cosh), U(tanh), U(erf), U(gamma_ln), {"relu", "x => w(relu(x))", "t"},
  {"gelu", "x => w(gelu(x))", "t"}, {"sigmoid", "x => w(sigmoid(x))", "t"},
  {"softplus", "x => w(softplus(x))", "t"}, {"abs", "x => w(abs(x))", "t"},
  {"sign", "x => w(sign(x) * x)", "t"}, {"floor", "x => w(floor(x) * x)", "t"},
  {"ceil", "x => w(ceil(x) * x)", "t"}, {"round", "x => w(round(x) * x + round(x, 1) * x)", "[0.31, 0.82, 1.27, 0.57]"},
  {"clip", "x => w(clip(x, -0.5, 1.0) + clip(x, lo = 0) + clip(x, 0.2 * ones(4), nil))", "t"},
  {"atan2", "x => w(atan2(x, 0.5) + atan2(x, v) + atan2(0.3, x))", "t"},
  UZ(sqrt), UZ(exp), UZ(log), UZ(sin), UZ(cos), UZ(tan), UZ(sinh), UZ(cosh), UZ(tanh), UZ(abs),
  UZ(sign), UZ(real), UZ(imag), UZ(conj), UZ(arg),
  {"complex", "x => w(exp(complex(x, 2 * x)))", "v"}, {"float", "x => float(x)^2", "1.5"},
  {"sqrt", "x => sqrt(x) * log(x) / exp(x)", "1.7"}, {"abs", "z => abs(z)^3", "1.2 + 0.7i"},
  /* circuits */
  {"expect", "x => w(expect(Z[0] + X[1] * Y[0], rot(x)))", "v"},
  {"amplitudes", "x => w(amplitudes(rot(x)) + amplitudes(enc(x)))", "v"},
  {"probabilities", "x => w(probabilities(rot(x)) + probabilities(enc(x)))", "v"},
  {"read_qasm", "x => w(probabilities(read_qasm(text3, a = x[0] * x[1])))", "v"},
  {"probability", "x => w(probability(rot(x), w = 1) * probability(enc(x), w = 2))", "v"},
  /* Hamiltonians */
  {"energy", "a => energy(pairs(a, v[..3]), {b: xb[0], s: xs[0]}) * energy(pairs(m, a[1]), {b: xb[1], s: xs[1]})", "m"},
  {"__ham_param", "x => energy(pairs(m, x), {b: xb[0], s: xs[0]})^2", "v[..3]"},
  {"energy", "a => w(energy(pairs(stack(a, a * a), v[..3]), {b: xb, s: xs})^2)", "m"},
  {"sample", "a => { let H = pairs(stack(a, 2 * a), v[..3]); w(energy(H, sample(H, exact()).best)) }", "m"},
  {"sample", "a => { let H = pairs(a, v[..3]); energy(H, sample(H, exact()).best)^2 }", "m"},
  /* reductions */
  {"sum", "x => sum(x * x) + w(sum(x, axis = 0)^2) + w(sum(x, axis = (0, 1), keepdims = true)^2)", "t"},
  {"prod", "x => prod(x) + w(prod(x, axis = 1)^2)", "t"},
  {"mean", "x => mean(x * x) + w(mean(x, axis = 1, keepdims = true)^2)", "t"},
  {"min", "x => min(x)^2 + w(min(x, axis = 0)) + w(min(x, 0.3))", "t"},
  {"max", "x => max(x)^2 + w(max(x, axis = 1)) + w(max(x, 0.35, [0.2, 0.5, 0.9, -1.0]))", "t"},
  {"logsumexp", "x => logsumexp(x) + w(logsumexp(x, axis = 0))", "t"},
  {"sum", "x => sum(x[i] * x[j] for i, j in 0..4 if i != j)", "v"},
  {"variance", "x => variance(x) + w(variance(x, axis = 1, ddof = 1))", "t"},
  {"std", "x => std(x) + w(std(x, axis = 0))", "t"}, {"norm", "x => norm(x) + w(norm(x, axis = 0))", "t"},
  {"median", "x => median(x)^2 + w(median(x, axis = 1)^2)", "t"},
  {"quantile", "x => quantile(x, 0.3)^2 + w(quantile(x, 0.7, axis = 1)^2)", "t"},
  {"cumsum", "x => w(cumsum(x, axis = 1)^2)", "t"}, {"sort", "x => w(sort(x)^2) + w(sort(x, axis = 0))", "t"},
  /* tensors */
  {"full", "x => w(full((2, 3), x)^2)", "1.5"}, {"reshape", "x => w(reshape(x, (4, 2))^2)", "t"},
  {"transpose", "x => w(transpose(x)^2 + x'^2)", "t"}, {"stack", "x => w(stack(x, x * x, axis = 1)^2)", "t"},
  {"concat", "x => w(concat(x, x * x, axis = 1)^2)", "t"}, {"split", "x => w(split(x, 2, axis = 1)[1]^2)", "t"},
  {"tile", "x => w(tile(x, 2, 3)^2)", "t"}, {"astype", "x => w(astype(x, \"c128\") * (1 + 2i))", "t"},
  {"c128", "x => w(c128(x) * (2 - 1i))", "t"},
  {"f64", "x => w(f64(x)^2)", "t"}, {"where", "x => w(where(x > 0, x^2, exp(x)))", "t"},
  {"gather", "x => w(gather(x, [1, 0, 1])^2)", "t"},
  {"scatter_add", "x => w(scatter_add(3, [2, 2], x)^2)", "t"}, {"detach", "x => w(detach(x * 0) + x)", "t"},
  {"permutation", "x => w(permutation(x, seed = 3)^2)", "v"},
  /* linear algebra */
  {"solve", "a => w(solve(a, m @ a))", "m"}, {"solve", "a => w(solve(a, cm))", "cm"}, UM(inv), UM(det), UM(trace),
  {"eigh", "a => { let (e, q) = eigh(a + a'); w(e) + w(q @ (sin(e) * q)') }", "m"},
  {"eigh", "a => { let (e, q) = eigh(a + a'); w(e) + w(q @ (sin(e) * q)') }", "cm"},
  {"svd", "a => { let (u, s, vt) = svd(a); w(s) + w((u * sin(s)) @ vt) }", "m"},
  {"svd", "a => { let (u, s, vt) = svd(a); w(s) + w((u * sin(s)) @ vt) }", "t"},
  {"qr", "a => { let (q, r) = qr(a); w(q) + w(r) }", "m"}, {"qr", "a => { let (q, r) = qr(a); w(q) + w(r) }", "t"},
  {"cholesky", "a => w(cholesky(a @ a' + eye(3)))", "m"}, {"lstsq", "a => w(lstsq(a', v))", "t"},
  {"lstsq", "b => w(lstsq(t', b))", "v"}, UM(expm), {"logm", "a => w(logm(a @ a' + eye(3)))", "m"},
  {"outer", "x => w(outer(x, x^2))", "v"}, {"kron", "x => w(kron(x, m))", "t"},
  /* lists and records as containers */
  {"append", "x => w(append(x, 2.0)^2)", "v"}, {"values", "r => values(r)[0] * values(r)[1]", "{a: 2.0, b: 3.0}"},
  {"merge", "r => merge(r, {b: r.a^2}).b", "{a: 2.0, b: 3.0}"}, {"remove", "r => sum(remove(r, \"b\").a^2)", "{a: v, b: 3.0}"},
  {"map", "x => sum(map(e => e^2, x))", "v"}, {"filter", "x => sum(filter(e => e > 0.5, x)^2)", "v"},
  {"zip", "x => sum([a * b for (a, b) in zip(x, x^2)])", "v"},
  {"enumerate", "x => sum([i * e^2 for (i, e) in enumerate(x)])", "v"},
  {"reversed", "x => w(reversed(x)^2)", "v"}, {"sorted", "x => w(sorted(x)^2)", "v"},
  /* derivatives of derivatives */
  {"grad", "x => w(grad(x => sum(x^3))(x))", "v"}, {"value_and_grad", "x => value_and_grad(x => sum(x^3))(x)[0]", "v"},
  {"vjp", "x => w(vjp(x => x^3, x, v))", "v"}, {"jvp", "x => w(jvp(x => x^3, x, v))", "v"},
  {"hvp", "x => w(hvp(x => sum(x^4), x, v))", "v"}, {"jacobian", "x => w(jacobian(x => x^3, x))", "v"},
  {"hessian", "x => w(hessian(x => sum(x^4) * x[0], x))", "v"},
  /* learning */
  {"cross_entropy", "x => cross_entropy(x, [2, 0]) + cross_entropy(x, [1, 3], smoothing = 0.1)", "t"},
  {"mse", "x => mse(x, 0.5 * ones((2, 4)))", "t"}, {"dropout", "x => { var y = x; with seed(3) { y = dropout(x, 0.5) }; w(y) }", "t"},
  {"patches", "x => w(patches(x, 2)^2)", "im"},
  {"__softmax", "x => w(__softmax(x))", "t"}, {"__log_softmax", "x => w(__log_softmax(x))", "t"},
  {"__dense", "x => w(__dense(x, outer(v, v[0..2]), v[0..2], \"gelu\"))", "t"},
  {"__dense", "W => w(__dense(t, W, W[0], \"tanh\"))", "outer(v, v[0..2])"},
  {"__mlp", "x => w(__mlp(x, outer(v, v), v, outer(v, v[..2]), v[..2], \"gelu\"))", "t"},
  {"__mlp", "W => w(__mlp(t, W, W[0], W[..3]', nil, \"tanh\"))", "outer(v, v)"},
  {"__add_norm", "x => { let (s, y) = __add_norm(x, x^2, v, v, 1e-5); w(s) + w(y) }", "t"},
  {"__add_norm", "g => w(__add_norm(t, t, g, g, 1e-5)[1])", "v"},
  {"__layer_norm", "x => w(__layer_norm(x, v, v, 1e-5))", "t"}, {"__layer_norm", "g => w(__layer_norm(t, g, g, 1e-5))", "v"},
  {"__rms_norm", "x => w(__rms_norm(x, v, 1e-6))", "t"}, {"__embedding", "x => w(__embedding(x, [1, 0, 1])^2)", "t"},
  {"__qama_read", "q => w(__qama_read(q, im, im^2, v, hb))", "im + cos(im)"}, {"__qama_read", "k => w(__qama_read(im, k, im^2, v, hb))", "im + cos(im)"},
  {"__qama_read", "x => w(__qama_read(x, x^2, im, v[..2], hb2))", "im"}, {"__qama_read", "x => w(__qama_read(im, x, sin(x), v, hb))", "im"},
  {"__qama_read", "e => w(__qama_read(im, im^2, im + 1, e, hb2))", "v[..2]"}, {"__qama_read", "e => w(__qama_read(im, im^2, im + 1, e, hb))", "v"},
  {"__split_heads", "x => w(__split_heads(x, 2, 1)[0]^2)", "reshape(sin(1.0 * arange(0, 24)), (2, 3, 4))"},
  {"__merge_heads", "x => w(__merge_heads(x)^2)", "reshape(sin(1.0 * arange(0, 24)), (2, 2, 3, 2))"},
  /* attention */
  {"attend", "q => w(attend(lor, q, kk, vv))", "t"}, {"attend", "k => w(attend(lor, t, k, vv))", "kk"},
  {"attend", "v => w(attend(lor, t, kk, v))", "vv"}, {"instance", "a => w(attend(a, t, kk, vv))", "astype(instance(lor, 1, 4), f64)"},
  {"weights", "q => w(weights(lor, q, kk))", "t"}, {"energies", "k => w(energies(lor, t, k))", "kk"},
  {"__prep_constant", "x => w(__prep_constant(x)^2)", "v"},
  {"__prep_product", "x => w(__prep_product(x, kk, true) + __prep_product(x, v, false))", "t"},
  {"__prep_product", "W => w(__prep_product(t, W, true) * __prep_product(kk, W, true)[..2])", "kk"},
  {"__prep_dot", "x => w(__prep_dot(x, x * 0.5 + v))", "t"},
  {"__prep_join", "x => w(__prep_join(x, x^2))", "t"},
  {"__prep_numbers", "x => w(__prep_numbers(x[:, ..1], x[:, 3..]))", "t"},
  {"solution", "q => w(solution(cheap, q, kk).energy)", "t"}, {"solution", "k => w(solution(cheap, t, k).energy)", "kk"},
  {"__attention", "b => w(attend(biased(b), t, kk, vv))", "bb"},
  {"__circuit", "x => w(probabilities(rot(x * x)))", "v"},
  {"__circuit_register", "x => w(probabilities(rot(x)))", "v"},
  {"__circuit_gate", "x => w(amplitudes(rot(x)))", "v"},
  {"__circuit_apply", "x => w(amplitudes(nested(x)))", "v"},
  {"__circuit_open", "x => expect(X[1], nested(x))", "v"},
  {"__circuit_close", "x => expect(Y[0], nested(x))", "v"},
  {"expect", "x => expect(X[1] * Z[0], loud(x))", "v"}, {"probabilities", "x => w(probabilities(loud(x)))", "v"},
  {"probability", "x => probability(loud(x), w = 2)", "v"},
  {"__attention_param", "a => w(weights(a, t, kk))", "astype(instance(lor, 1, 4), f64)"},
  {"__index", "x => { let C[i, j] = sum(x[i, k] * m[k, l] * x[j, l] for k, l); w(C) }", "m"},
  {"__model", "x => { let n = {W: x}; w(n.W^2) }", "t"}, {"__forward", "n => w(n(t))", "astype(net(4), f64)"},
  {"__construct", "x => w(params(net(4, dtype = f64, seed = 1)) * sum(x))", "t"},
  {"params", "n => w(params(n)^2)", "astype(net(4), f64)"},
  {"leaves", "n => sum(sum(x^2) for x in values(leaves(n)))", "astype(net(4), f64)"},
  {"hard_select", "s => w(hard_select(s, kk @ kk', k = 2, lambda = 0.3, grad = \"energy\", seed = 1)[1])", "[0.4, -0.3, 0.9]"},
  {"hard_select", "rho => w(hard_select([[0.4, -0.3, 0.9], [0.1, 0.2, 0.7]], reshape(rho, 2, 3, 3), k = 2, lambda = 0.3, "
   "seed = 1)[1])", "outer([1.0, 2.0], reshape(bb, -1))"},
  {"draw_keys", "q => sum(with seed(3) { draw_keys(softmax, q, kk)[1] })", "t"},
};

/* Functions that pass derivatives on but have no numbers of their own to
 * check, with the reason.                                                    */
static const Row exempt[] = {
  {"fixed", "marks a start value as not learned", NULL},
  {"bool", "its result is no float", NULL}, {"i64", "its result is no float", NULL},
  {"c64", "rounds to c64: a difference quotient has no 1e-6", NULL},
  {"f32", "rounds to f32: a difference quotient has no 1e-6", NULL},
};

static double number(qa_State *S, const char *code) {
  qa_Value v;
  double x;
  if (qa_eval(S, code, "test", &v) != QA_OK) fail_msg("%s\n%s", code, qa_message(S));
  if (qa_get_float(S, v, &x) != QA_OK) fail_msg("%s: no number", code);
  qa_release(S, v);
  return x;
}

static void test_table(void **state) {
  (void)state;
  qa_State *S = qa_open(NULL);
  assert_non_null(S);
  if (qa_eval(S, prelude, "prelude", NULL) != QA_OK) fail_msg("%s", qa_message(S));
  char code[1024];
  double worst = 0;
  int bad = 0;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    snprintf(code, sizeof code, "check_grad(%s, %s)", table[i].f, table[i].x);
    qa_Value v;
    double e = -1;
    if (qa_eval(S, code, "test", &v) != QA_OK) {
      print_error("%s\n%s\n", code, qa_message(S));
      bad++;
      continue;
    }
    if (qa_get_float(S, v, &e) != QA_OK || !(e <= BAR)) {
      print_error("%s: %s differs by %.2e\n", table[i].name, code, e);
      bad++;
    }
    qa_release(S, v);
    if (e > worst) worst = e;
  }
  print_message("%zu rows, worst relative difference %.1e\n", sizeof table / sizeof *table, worst);
  qa_close(S);
  assert_int_equal(bad, 0);
}

static bool listed(const Row *rows, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(rows[i].name, name)) return true;
  return false;
}

static void test_coverage(void **state) {
  (void)state;
  int missing = 0;
  for (int k = 0; native_tables[k]; k++)
    for (const Native *n = native_tables[k]; n->name; n++) {
      if (!(n->flags & NF_DIFF)) continue;
      if (listed(table, sizeof table / sizeof *table, n->name)) continue;
      if (listed(exempt, sizeof exempt / sizeof *exempt, n->name)) continue;
      print_error("`%s` is flagged NF_DIFF but no row checks its gradient\n", n->name);
      missing++;
    }
  assert_int_equal(missing, 0);
}

/* A wrong gradient is found: the harness itself can fail. */
static void test_harness(void **state) {
  (void)state;
  qa_State *S = qa_open(NULL);
  assert_true(number(S, "check_grad(x => detach(x) * x, 2.0)") > 0.4);
  assert_true(number(S, "check_grad(x => x * x, 2.0)") < 1e-9);
  qa_close(S);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_table), cmocka_unit_test(test_coverage), cmocka_unit_test(test_harness),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
