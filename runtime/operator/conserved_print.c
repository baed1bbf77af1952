/* conserved_print.c: conserved quantities as operators and as text. */
#include "runtime/operator/conserved.h"

RtStatus conserved_sum(Rt *rt, const VarTable *vars, const Weights *w, Operator *out) {
  operator_init(out);
  RtStatus st = vars_copy(rt, &out->vars, vars);
  for (int64_t v = 0; v < vars->n && !st; v++) {
    OpWord word = operator_word(vars, (int32_t)v);
    double c = vars_kind(vars, v) == VAR_BINARY ? -2.0 * w->w[v] : w->w[v];
    if (w->w[v]) st = operator_add(rt, out, (c128){c, 0}, 1, &word);
  }
  if (!st) st = operator_merge(rt, out);
  if (st) operator_free(rt, out);
  return st;
}

RtStatus conserved_product(Rt *rt, const VarTable *vars, bool of_x, uint64_t mask, bool *there,
                           Operator *out) {
  OpWord word[64];
  int k = 0;
  *there = true;
  operator_init(out);
  for (int64_t v = 0; v < vars->n; v++) {
    if (!(mask >> v & 1)) continue;
    VarKind kind = vars_kind(vars, v);
    *there &= of_x ? kind == VAR_QUBIT : kind != VAR_BINARY;
    word[k] = operator_word(vars, (int32_t)v);
    if (of_x) word[k].factor = OP_X;
    k++;
  }
  if (!*there) return RT_OK;
  RtStatus st = vars_copy(rt, &out->vars, vars);
  if (!st) st = operator_add(rt, out, (c128){1, 0}, k, word);
  if (!st) st = operator_merge(rt, out);
  if (st) operator_free(rt, out);
  return st;
}

static void line(const char *what, Operator *q, Rt *rt, Buf *out) {
  Buf text = {0};
  operator_print(q, 6, &text);
  buf_format(out, "  conserved %s: %s\n", what, text.data ? text.data : "");
  buf_free(&text);
  operator_free(rt, q);
}

static RtStatus tell(Rt *rt, const VarTable *vars, const Conserved *c, Buf *out) {
  enum { LINES = 6 };
  Operator q;
  bool there;
  int left = LINES, more = 0;
  for (int i = 0; i < c->n_sum; i++) {
    if (left-- <= 0) {
      more++;
      continue;
    }
    RT_TRY(conserved_sum(rt, vars, &c->sum[i], &q));
    line("sum", &q, rt, out);
  }
  for (int i = 0; i < c->n_z + c->n_x; i++) {
    bool of_x = i >= c->n_z;
    RT_TRY(conserved_product(rt, vars, of_x, of_x ? c->x[i - c->n_z] : c->z[i], &there, &q));
    if (there && left-- > 0) line(of_x ? "product of X" : "product of Z", &q, rt, out);
    else if (there) {
      more++;
      operator_free(rt, &q);
    }
  }
  if (more) buf_format(out, "  conserved: %d more quantities\n", more);
  return RT_OK;
}

RtStatus conserved_explain(Rt *rt, Operator *a, Buf *out) {
  Flips p;
  RT_TRY(operator_merge(rt, a));
  if (!flips_possible(&a->vars) || !a->vars.n) return RT_OK;
  bool hermitian;
  RT_TRY(operator_hermitian(rt, a, &hermitian));
  if (!hermitian) return RT_OK;
  RT_TRY(flips_of(rt, a, &p));
  Conserved *c = rt_alloc(rt, sizeof *c);
  RtStatus st = c ? RT_OK : rt->error.status;
  if (!st) {
    conserved_find(&p, (int)a->vars.n, c);
    st = tell(rt, &a->vars, c, out);
    rt_free(rt, c, sizeof *c);
  }
  flips_free(rt, &p);
  return st;
}
