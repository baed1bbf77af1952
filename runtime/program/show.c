/* show.c: programs as text, for explain and for error messages. */
#include "runtime/program/program.h"

static const char *const op_names[PO_COUNT] = {
  [PO_CONST] = "const", [PO_VAR] = "var", [PO_LOAD] = "load", [PO_NEG] = "-", [PO_ABS] = "abs",
  [PO_SIGN] = "sign", [PO_SQRT] = "sqrt", [PO_EXP] = "exp", [PO_LOG] = "log", [PO_LOG2] = "log2",
  [PO_LOG1P] = "log1p", [PO_EXPM1] = "expm1", [PO_SIN] = "sin", [PO_COS] = "cos",
  [PO_TAN] = "tan", [PO_ASIN] = "asin", [PO_ACOS] = "acos", [PO_ATAN] = "atan",
  [PO_SINH] = "sinh", [PO_COSH] = "cosh", [PO_TANH] = "tanh", [PO_ERF] = "erf",
  [PO_GAMMA_LN] = "gamma_ln", [PO_DIGAMMA] = "digamma", [PO_FLOOR] = "floor",
  [PO_CEIL] = "ceil", [PO_ROUND] = "round", [PO_TRUNC] = "int",
  [PO_DETACH] = "detach", [PO_RELU] = "relu",
  [PO_GELU] = "gelu", [PO_SIGMOID] = "sigmoid", [PO_SOFTPLUS] = "softplus",
  [PO_RECIP0] = "recip", [PO_NOT] = "not", [PO_SUM] = "sum_j", [PO_ADD] = "+", [PO_SUB] = "-",
  [PO_MUL] = "*", [PO_DIV] = "/", [PO_FLOORDIV] = "//", [PO_MOD] = "%", [PO_POW] = "^",
  [PO_MIN] = "min", [PO_MAX] = "max", [PO_ATAN2] = "atan2", [PO_EQ] = "==", [PO_NE] = "!=",
  [PO_LT] = "<", [PO_LE] = "<=", [PO_GT] = ">", [PO_GE] = ">=", [PO_AND] = "and",
  [PO_OR] = "or", [PO_SELECT] = "where",
};

const char *prog_op_name(ProgOp op) { return op_names[op]; }

/* Binding strength, as in the language; 0: a call or a name. */
static int strength(const ProgNode *n) {
  switch (n->op) {
  case PO_OR: return 1;
  case PO_AND: return 2;
  case PO_EQ: case PO_NE: case PO_LT: case PO_LE: case PO_GT: case PO_GE: return 3;
  case PO_ADD: case PO_SUB: return 4;
  case PO_MUL: case PO_DIV: case PO_FLOORDIV: case PO_MOD: return 5;
  case PO_NEG: return 6;
  case PO_POW: return 7;
  default: return n->op == PO_CONST && n->value < 0 ? 6 : 9;
  }
}

static void number(Buf *out, double v) {
  if (v == (double)(int64_t)v && v > -1e15 && v < 1e15) buf_format(out, "%lld", (long long)v);
  else buf_format(out, "%.6g", v);
}

/* Shared nodes are written out wherever they are used, which can double at every
 * step: text stops at `end`. */
static void show(const Prog *p, int node, int around, size_t end, Buf *out);

static void show_call(const Prog *p, const char *name, int n, const int *arg, char open,
                      size_t end, Buf *out) {
  buf_format(out, "%s%c", name, open);
  for (int i = 0; i < n; i++) {
    if (i) buf_text(out, ", ");
    show(p, arg[i], 0, end, out);
  }
  buf_text(out, open == '(' ? ")" : "]");
}

static void show(const Prog *p, int node, int around, size_t end, Buf *out) {
  if (out->len > end) return;
  const ProgNode *n = &p->node[node];
  int own = strength(n), arg[PROG_MAX_INDEX], k = prog_operands(p, node, arg);
  bool open = own < around;
  if (open) buf_text(out, "(");
  if (n->op == PO_CONST) number(out, n->value);
  else if (n->op == PO_VAR) buf_text(out, p->var[n->slot].name);
  else if (n->op == PO_LOAD) {
    if (k) show_call(p, p->slot[n->slot].name, k, arg, '[', end, out);
    else buf_text(out, p->slot[n->slot].name);
  } else if (n->op == PO_NEG) {
    buf_text(out, "-");
    show(p, n->a, own, end, out);
  } else if (own < 9) {
    bool right = n->op == PO_POW;
    show(p, n->a, right ? own + 1 : own, end, out);
    buf_format(out, n->op == PO_POW ? "%s" : " %s ", op_names[n->op]);
    show(p, n->b, right ? own : own + 1, end, out);
  } else {
    show_call(p, op_names[n->op], k, arg, '(', end, out);
  }
  if (open) buf_text(out, ")");
}

void prog_show(const Prog *p, int node, Buf *out) {
  enum { LONGEST = 300 };
  size_t end = out->len + LONGEST;
  show(p, node, 0, end, out);
  if (out->len <= end) return;
  while (out->data && ((unsigned char)out->data[end] & 0xc0) == 0x80) end--; /* whole characters */
  out->len = end;
  buf_text(out, " ...");
}

static void mark(const Prog *p, int node, bool *seen) {
  if (seen[node]) return;
  seen[node] = true;
  int arg[PROG_MAX_INDEX], k = prog_operands(p, node, arg);
  for (int i = 0; i < k; i++) mark(p, arg[i], seen);
}

static void operand(const Prog *p, int node, Buf *out) {
  const ProgNode *n = &p->node[node];
  if (n->op == PO_CONST) number(out, n->value);
  else if (n->op == PO_VAR) buf_text(out, p->var[n->slot].name);
  else buf_format(out, "%%%d", node);
}

void prog_list(const Prog *p, int n_out, const int *outs, Buf *out) {
  enum { LIMIT = 4096 };
  if (p->n > LIMIT) return;
  bool seen[LIMIT] = {false};
  for (int i = 0; i < n_out; i++)
    if (outs[i] >= 0) mark(p, outs[i], seen);
  for (int i = 0; i < p->n; i++) {
    const ProgNode *n = &p->node[i];
    if (!seen[i] || n->op == PO_CONST || n->op == PO_VAR) continue;
    int arg[PROG_MAX_INDEX], k = prog_operands(p, i, arg);
    buf_format(out, "  %%%d = %s", i, n->op == PO_LOAD ? p->slot[n->slot].name : op_names[n->op]);
    for (int j = 0; j < k; j++) {
      buf_text(out, j ? ", " : " ");
      operand(p, arg[j], out);
    }
    buf_text(out, "\n");
  }
}
