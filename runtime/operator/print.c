/* print.c: Hamiltonians as equations, and what explain() says of them. */
#include "runtime/operator/operator.h"

#include <math.h>
#include <string.h>

static void number(double x, Buf *out) {
  if (x == floor(x) && fabs(x) < 1e15) buf_format(out, "%.0f", x);
  else buf_double(out, x);
}

/* The sign goes before, between terms; a coefficient of 1 is not written. */
static void coefficient(c128 c, bool first, bool alone, Buf *out) {
  bool one_part = c.re == 0 || c.im == 0, minus = one_part && c.re + c.im < 0;
  buf_text(out, first ? (minus ? "-" : "") : minus ? " - " : " + ");
  double x = fabs(c.re + c.im);
  if (!one_part) {
    buf_text(out, "(");
    number(c.re, out);
    buf_text(out, c.im < 0 ? " - " : " + ");
    number(fabs(c.im), out);
    buf_text(out, "i)");
  } else if (c.im != 0) {
    number(x, out);
    buf_text(out, "i");
  } else if (x != 1 || alone) number(x, out);
  else return;
  if (!alone) buf_text(out, "*");
}

static void word(const VarTable *t, OpWord w, Buf *out) {
  static const char *const name[] = {"X", "Y", "Z", "Sp", "Sm"};
  if (w.factor <= OP_MINUS) {
    const VarArray *a = vars_of(t, w.v);
    buf_format(out, "%s[%lld]", name[w.factor], (long long)(a ? w.v - a->first : w.v));
    return;
  }
  vars_name(t, w.v, out);
  if (w.factor == OP_RAISE) buf_text(out, "'");
}

void operator_print(const Operator *a, int64_t terms, Buf *out) {
  const Poly *p = &a->diagonal;
  Poly rest = *p; /* borrows the terms: the constant is printed last */
  int64_t n = p->one.n + p->two.n + p->many.n, products = a->product.n, shown = 0;
  rest.constant = 0;
  if (n == 0 && products == 0) {
    number(p->constant, out);
    return;
  }
  if (n > terms || (n && products == 0)) { /* all that is to be seen */
    poly_print(p, &a->vars, terms, out);
    if (products) buf_format(out, " (and %lld non-diagonal)", (long long)products);
    return;
  }
  if (n) poly_print(&rest, &a->vars, terms, out);
  shown = n;
  for (int64_t t = 0, from = 0; t < products; from = a->product.end[t++]) {
    if (shown++ == terms) {
      buf_format(out, " + ... (%lld more)", (long long)(products - t + (p->constant != 0)));
      return;
    }
    coefficient(a->product.c[t], shown == 1, a->product.end[t] == from, out);
    for (int64_t i = from; i < a->product.end[t]; i++) {
      if (i > from) buf_text(out, "*");
      word(&a->vars, a->product.word[i], out);
    }
  }
  if (p->constant != 0) coefficient((c128){p->constant, 0}, false, true, out);
}

/* ---- explain ------------------------------------------------------------------------ */

static const char *kind_text(VarKind k) {
  static const char *const text[] = {"binary", "spin", "qubits", "mode"};
  return text[k];
}

void operator_explain(const Operator *a, Buf *out) {
  static const char *const text[] = {"diagonal", "sum of Pauli products", "bosonic"};
  int64_t longest = 0, complex_terms = 0;
  buf_format(out, "%s\n", text[operator_class(a)]);
  for (int i = 0; i < a->vars.n_array; i++) {
    const VarArray *v = &a->vars.array[i];
    char shape[128];
    if (v->kind == VAR_QUBIT) buf_format(out, "  register: %lld qubits\n", (long long)v->count);
    else if (v->kind == VAR_MODE)
      buf_format(out, "  mode %s: %lld bosons, %d levels each\n", v->name, (long long)v->count,
                 v->cutoff);
    else
      buf_format(out, "  %s %s: shape %s\n", kind_text(v->kind), v->name,
                 shape_text(v->rank, v->shape, shape));
  }
  const Poly *p = &a->diagonal;
  for (int64_t t = 0, from = 0; t < a->product.n; from = a->product.end[t++]) {
    if (a->product.end[t] - from > longest) longest = a->product.end[t] - from;
    complex_terms += a->product.c[t].im != 0;
  }
  buf_format(out, "  diagonal terms: %lld linear, %lld quadratic, %lld higher\n",
             (long long)p->one.n, (long long)p->two.n, (long long)p->many.n);
  buf_format(out, "  other terms: %lld products of up to %lld factors", (long long)a->product.n,
             (long long)longest);
  if (complex_terms) buf_format(out, ", %lld with a complex coefficient", (long long)complex_terms);
  buf_text(out, "\n");
  if (p->constant != 0) {
    buf_text(out, "  constant ");
    number(p->constant, out);
    buf_text(out, "\n");
  }
}
