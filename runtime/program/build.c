/* build.c: making programs: nodes are shared when equal, constants are folded,
 * and the identities that hold for all finite values are applied.            */
#include "runtime/program/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void prog_init(Prog *p) {
  memset(p, 0, sizeof *p);
  prog_const(p, 0.0);
}

void prog_free(Prog *p) {
  free(p->node);
  free(p->var);
  free(p->slot);
  memset(p, 0, sizeof *p);
}

bool prog_copy(Prog *to, const Prog *from) {
  *to = *from;
  to->cap = from->n;
  to->node = malloc((size_t)(from->n ? from->n : 1) * sizeof *to->node);
  to->var = malloc((size_t)(from->n_var ? from->n_var : 1) * sizeof *to->var);
  to->slot = malloc((size_t)(from->n_slot ? from->n_slot : 1) * sizeof *to->slot);
  if (!to->node || !to->var || !to->slot) {
    free(to->node); free(to->var); free(to->slot);
    memset(to, 0, sizeof *to);
    to->failed = true;
    return false;
  }
  memcpy(to->node, from->node, (size_t)from->n * sizeof *to->node);
  if (from->n_var) memcpy(to->var, from->var, (size_t)from->n_var * sizeof *to->var);
  if (from->n_slot) memcpy(to->slot, from->slot, (size_t)from->n_slot * sizeof *to->slot);
  return true;
}

int prog_add_var(Prog *p, const char *name, int stage, bool integral, double lo, double hi) {
  ProgVar *v = realloc(p->var, (size_t)(p->n_var + 1) * sizeof *v);
  if (!v) { p->failed = true; return 0; }
  p->var = v;
  v[p->n_var] = (ProgVar){name, (uint8_t)stage, integral, {lo, hi}};
  return p->n_var++;
}

int prog_add_slot(Prog *p, const char *name, double lo, double hi) {
  ProgSlot *s = realloc(p->slot, (size_t)(p->n_slot + 1) * sizeof *s);
  if (!s) { p->failed = true; return 0; }
  p->slot = s;
  s[p->n_slot] = (ProgSlot){name, {lo, hi}};
  return p->n_slot++;
}

static bool same_node(const ProgNode *x, const ProgNode *y) {
  if (x->op != y->op) return false;
  if (x->op == PO_CONST) return memcmp(&x->value, &y->value, sizeof x->value) == 0;
  if (x->op == PO_VAR) return x->slot == y->slot;
  if (x->op == PO_LOAD) {
    if (x->slot != y->slot || x->n_ix != y->n_ix) return false;
    for (int i = 0; i < x->n_ix; i++)
      if (x->ix[i] != y->ix[i]) return false;
    return true;
  }
  return x->a == y->a && x->b == y->b && x->c == y->c;
}

static int operands(const ProgNode *n, int out[PROG_MAX_INDEX]) {
  if (n->op == PO_LOAD) {
    memcpy(out, n->ix, sizeof n->ix);
    return n->n_ix;
  }
  int k = 0;
  if (n->op > PO_LOAD) {
    out[k++] = n->a;
    if (n->b >= 0) out[k++] = n->b;
    if (n->c >= 0) out[k++] = n->c;
  }
  return k;
}

/* When a node is computed and whether it is a strip follows from its operands. */
static void classify(const Prog *p, ProgNode *n) {
  n->stage = 0;
  n->vec = false;
  if (n->op == PO_VAR) {
    n->stage = p->var[n->slot].stage;
    n->vec = n->stage & PS_COL;
    return;
  }
  int arg[PROG_MAX_INDEX], k = operands(n, arg);
  for (int i = 0; i < k; i++) {
    n->stage |= p->node[arg[i]].stage;
    n->vec |= p->node[arg[i]].vec;
  }
  if (n->op == PO_SUM) {
    n->stage = PS_BOTH;
    n->vec = false;
  }
}

/* Programs have tens of nodes: a linear search beats keeping a table. */
static int intern(Prog *p, const ProgNode *n) {
  for (int i = 0; i < p->n; i++)
    if (same_node(&p->node[i], n)) return i;
  if (p->n == p->cap) {
    int cap = p->cap ? 2 * p->cap : 32;
    ProgNode *more = realloc(p->node, (size_t)cap * sizeof *more);
    if (!more) { p->failed = true; return 0; }
    p->node = more;
    p->cap = cap;
  }
  p->node[p->n] = *n;
  classify(p, &p->node[p->n]);
  return p->n++;
}

int prog_const(Prog *p, double v) {
  return intern(p, &(ProgNode){.op = PO_CONST, .value = v, .a = -1, .b = -1, .c = -1});
}

int prog_var(Prog *p, int var) {
  return intern(p, &(ProgNode){.op = PO_VAR, .slot = (int16_t)var, .a = -1, .b = -1, .c = -1});
}

int prog_load(Prog *p, int slot, int n, const int *ix) {
  ProgNode node = {
      .op = PO_LOAD, .slot = (int16_t)slot, .n_ix = (uint8_t)n, .a = -1, .b = -1, .c = -1};
  for (int i = 0; i < n && i < PROG_MAX_INDEX; i++) node.ix[i] = ix[i];
  return intern(p, &node);
}

bool prog_is_const(const Prog *p, int node, double *value) {
  if (node < 0 || p->node[node].op != PO_CONST) return false;
  if (value) *value = p->node[node].value;
  return true;
}

bool prog_flatten(Prog *to, const Prog *from) {
  if (!prog_copy(to, from)) return false;
  for (int k = 0; k < to->n_var; k++)
    if (to->var[k].stage == PS_ROW) to->var[k].stage = PS_BOTH;
  for (int i = 0; i < to->n; i++) classify(to, &to->node[i]);
  return true;
}

static bool is_value(const Prog *p, int node, double v) {
  double x;
  return prog_is_const(p, node, &x) && x == v;
}

int prog_unary(Prog *p, ProgOp op, int a) {
  double x;
  if (op != PO_SUM && prog_is_const(p, a, &x)) return prog_const(p, prog_op_eval(op, x, 0, 0));
  const ProgNode *n = &p->node[a];
  if (op == PO_NEG && n->op == PO_NEG) return n->a;
  if (op == PO_NEG && n->op == PO_SUB) return prog_binary(p, PO_SUB, n->b, n->a);
  if (op == PO_ABS && (n->op == PO_ABS || n->op == PO_SQRT || n->op == PO_EXP)) return a;
  if (op == PO_LOG && n->op == PO_EXP) return n->a;
  return intern(p, &(ProgNode){.op = op, .a = a, .b = -1, .c = -1});
}

/* Identities of sums and products; -1 when none applies. */
static int simplify_sum(Prog *p, ProgOp op, int a, int b) {
  if (op == PO_ADD) {
    if (is_value(p, a, 0)) return b;
    if (is_value(p, b, 0)) return a;
    if (p->node[b].op == PO_NEG) return prog_binary(p, PO_SUB, a, p->node[b].a);
    if (p->node[a].op == PO_NEG) return prog_binary(p, PO_SUB, b, p->node[a].a);
  } else {
    if (is_value(p, b, 0)) return a;
    if (is_value(p, a, 0)) return prog_unary(p, PO_NEG, b);
    if (p->node[b].op == PO_NEG) return prog_binary(p, PO_ADD, a, p->node[b].a);
  }
  return -1;
}

static int simplify_product(Prog *p, ProgOp op, int a, int b) {
  if (is_value(p, b, 1)) return a;
  if (is_value(p, b, -1)) return prog_unary(p, PO_NEG, a);
  if (op == PO_MUL) {
    if (is_value(p, a, 1)) return b;
    if (is_value(p, a, -1)) return prog_unary(p, PO_NEG, b);
    if (p->node[a].op == PO_NEG && p->node[b].op == PO_NEG)
      return prog_binary(p, PO_MUL, p->node[a].a, p->node[b].a);
  }
  return -1;
}

/* Sums and products of the same operands are the same node. */
static bool commutes(ProgOp op) {
  return op == PO_ADD || op == PO_MUL || op == PO_EQ || op == PO_NE || op == PO_AND || op == PO_OR;
}

int prog_binary(Prog *p, ProgOp op, int a, int b) {
  double x, y;
  if (prog_is_const(p, a, &x) && prog_is_const(p, b, &y))
    return prog_const(p, prog_op_eval(op, x, y, 0));
  int simple = -1;
  if (op == PO_ADD || op == PO_SUB) simple = simplify_sum(p, op, a, b);
  else if (op == PO_MUL || op == PO_DIV) simple = simplify_product(p, op, a, b);
  else if (op == PO_POW && is_value(p, b, 1)) simple = a;
  else if (op == PO_POW && is_value(p, b, 2)) simple = prog_binary(p, PO_MUL, a, a);
  else if (op == PO_POW && is_value(p, b, 0.5)) simple = prog_unary(p, PO_SQRT, a);
  else if (op == PO_AND && is_value(p, a, 1)) simple = b;
  else if (op == PO_AND && is_value(p, b, 1)) simple = a;
  if (simple >= 0) return simple;
  if (commutes(op) && a > b) { int t = a; a = b; b = t; }
  return intern(p, &(ProgNode){.op = op, .a = a, .b = b, .c = -1});
}

int prog_select(Prog *p, int cond, int a, int b) {
  double x;
  if (prog_is_const(p, cond, &x)) return x != 0 ? a : b;
  if (a == b) return a;
  return intern(p, &(ProgNode){.op = PO_SELECT, .a = cond, .b = a, .c = b});
}

int prog_operands(const Prog *p, int node, int out[PROG_MAX_INDEX]) {
  return operands(&p->node[node], out);
}

bool prog_uses(const Prog *p, int node, int of) {
  if (node <= of) return node == of;
  bool *uses = calloc((size_t)node + 1, sizeof *uses);
  if (!uses) return true; /* the safe answer */
  uses[of] = true;
  for (int i = of + 1; i <= node; i++) {
    int arg[PROG_MAX_INDEX], k = operands(&p->node[i], arg);
    for (int j = 0; j < k; j++) uses[i] |= uses[arg[j]];
  }
  bool result = uses[node];
  free(uses);
  return result;
}

/* Is the node positive whatever its leaves hold? Declared ranges are open. */
static bool positive(const Prog *p, int node) {
  const ProgNode *n = &p->node[node];
  if (n->op == PO_CONST) return n->value > 0;
  if (n->op == PO_LOAD) return p->slot[n->slot].range.lo >= 0;
  Interval *scratch = malloc((size_t)p->n * sizeof *scratch);
  bool yes = scratch && prog_interval(p, node, &(ProgRanges){0}, scratch).lo > 0;
  free(scratch);
  return yes;
}

static int log_of(Prog *p, int node) {
  const ProgNode *n = &p->node[node];
  if (n->op == PO_ADD && is_value(p, n->a, 1)) return prog_unary(p, PO_LOG1P, n->b);
  if (n->op == PO_ADD && is_value(p, n->b, 1)) return prog_unary(p, PO_LOG1P, n->a);
  return prog_unary(p, PO_LOG, node);
}

static int log_factor(Prog *p, int node) {
  int l = prog_log(p, node);
  if (l >= 0) return l;
  return positive(p, node) ? log_of(p, node) : -1;
}

/* base^exponent: of a positive base any power that is no short product. */
static int log_power(Prog *p, int base, int exponent) {
  double e;
  int a = prog_log(p, base);
  bool product = prog_is_const(p, exponent, &e) && e == floor(e) && e >= 0 && e <= 4;
  if (a < 0 && !product && positive(p, base)) a = log_of(p, base);
  return a < 0 ? -1 : prog_binary(p, PO_MUL, a, exponent);
}

/* Of the branches of a choice; a weight of 0 has the logarithm -inf. */
static int log_branch(Prog *p, int node) {
  return is_value(p, node, 0) ? prog_const(p, -INFINITY) : log_factor(p, node);
}

int prog_log(Prog *p, int node) {
  ProgNode n = p->node[node];
  int a, b;
  switch (n.op) {
  case PO_EXP: return n.a;
  case PO_MUL: case PO_DIV: case PO_MIN: case PO_MAX:
    a = prog_log(p, n.a);
    b = prog_log(p, n.b);
    if (a < 0 && b < 0) return -1;
    if (a < 0) a = log_factor(p, n.a);
    if (b < 0) b = log_factor(p, n.b);
    if (a < 0 || b < 0) return -1;
    return prog_binary(p, n.op == PO_MUL ? PO_ADD : n.op == PO_DIV ? PO_SUB : n.op, a, b);
  case PO_SELECT:
    if (prog_log(p, n.b) < 0 && prog_log(p, n.c) < 0) return -1;
    a = log_branch(p, n.b);
    b = a < 0 ? -1 : log_branch(p, n.c);
    return b < 0 ? -1 : prog_select(p, n.a, a, b);
  case PO_POW: return log_power(p, n.a, n.b);
  case PO_SQRT:
    a = prog_log(p, n.a);
    return a < 0 ? -1 : prog_binary(p, PO_MUL, a, prog_const(p, 0.5));
  default: return -1;
  }
}
