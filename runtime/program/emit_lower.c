/* emit_lower.c: from the body of a fused plan to vector operations.
 *
 * Truth values are masks as long as only logic and selections look at them, and
 * turn into 0 and 1 where arithmetic does.  Products that are added become
 * fused multiply-adds.                                                        */
#include "runtime/program/fuse_code.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists ------------------------------------------------------------------------- */

static bool same(const Vec *x, const Vec *y) {
  return x->op == y->op && x->imm == y->imm && x->slot == y->slot && x->a == y->a &&
         x->b == y->b && x->c == y->c && x->bits == y->bits;
}

static int append(VecList *l, const Vec *v) {
  for (int i = 0; i < l->n && v->op < VI_STORE; i++)
    if (same(&l->items[i], v)) return i;
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 64;
    Vec *more = realloc(l->items, (size_t)cap * sizeof *more);
    if (!more) { l->failed = true; return 0; }
    l->items = more;
    l->cap = cap;
  }
  l->items[l->n] = *v;
  return l->n++;
}

int vec_op(VecList *l, VecOp op, int imm, int a, int b, int c) {
  bool mask = op == VI_CMP || (op >= VI_MAND && op <= VI_MNOT);
  return append(l, &(Vec){.op = (uint8_t)op, .imm = (uint8_t)imm, .mask = mask, .a = a, .b = b,
                          .c = c});
}

int vec_leaf(VecList *l, VecOp op, int slot) {
  return append(l, &(Vec){.op = (uint8_t)op, .mask = op == VI_TAIL, .slot = (int16_t)slot, .a = -1,
                          .b = -1, .c = -1});
}

int vec_bits(VecList *l, uint64_t bits) {
  return append(l, &(Vec){.op = VI_CONST, .a = -1, .b = -1, .c = -1, .bits = bits});
}

int vec_const(VecList *l, double v) {
  uint64_t bits = 0;
  float f = (float)v;
  if (l->f64) memcpy(&bits, &v, 8);
  else memcpy(&bits, &f, 4);
  return vec_bits(l, bits);
}

static void action(VecList *l, VecOp op, int slot, int a, int b) {
  append(l, &(Vec){.op = (uint8_t)op, .slot = (int16_t)slot, .a = a, .b = b, .c = -1});
}

void vec_interleave(VecList *to, const VecList *from, int times) {
  *to = (VecList){.f64 = from->f64, .wide = from->wide};
  int *map = malloc(((size_t)from->n * (size_t)times + 1) * sizeof *map);
  if (!map) { to->failed = true; return; }
  for (int i = 0; i < from->n; i++)
    for (int k = 0; k < times; k++) {
      Vec v = from->items[i];
      int *of = map + k * from->n;
      bool moves = v.op == VI_COL || v.op == VI_MAT || v.op == VI_STORE || v.op == VI_COLSUM;
      if (moves) v.imm = (uint8_t)k;
      if (v.a >= 0) v.a = of[v.a];
      if (v.b >= 0) v.b = of[v.b];
      if (v.c >= 0) v.c = of[v.c];
      of[i] = append(to, &v);
    }
  free(map);
}

/* ---- nodes --------------------------------------------------------------------------- */

typedef struct {
  const FusePlan *plan;
  const FuseCode *code;
  VecList *l;
  int *value, *truth;        /* per node of the body: as a number, as a mask; -1: not yet */
} Lower;

static int number(Lower *w, int node) {
  if (w->value[node] < 0)
    w->value[node] = vec2(w->l, VI_KEEP, w->truth[node], vec_const(w->l, 1));
  return w->value[node];
}

static int mask_of(Lower *w, int node) {
  if (w->truth[node] < 0)
    w->truth[node] = vec_op(w->l, VI_CMP, NE, number(w, node), vec_const(w->l, 0), -1);
  return w->truth[node];
}

static int not_mask(Lower *w, int m) {
  VecList *l = w->l;
  const Vec *v = &l->items[m];
  static const uint8_t opposite[][2] = {{EQ, NE}, {NE, EQ}};
  if (v->op == VI_CMP && v->imm == EQ) return vec_op(l, VI_CMP, opposite[0][1], v->a, v->b, -1);
  if (v->op == VI_CMP && v->imm == NE) return vec_op(l, VI_CMP, opposite[1][1], v->a, v->b, -1);
  if (l->wide) return vec_op(l, VI_MNOT, 0, m, -1, -1);
  int zero = vec_const(l, 0);
  return vec2(l, VI_MANDN, m, vec_op(l, VI_CMP, EQ, zero, zero, -1));
}

static bool is_truth(const Lower *w, int node) {
  ProgOp op = w->plan->body.node[node].op;
  return w->truth[node] >= 0 && (op == PO_NOT || (op >= PO_EQ && op <= PO_OR));
}

static int product(Lower *w, const ProgNode *n) {
  if (is_truth(w, n->a)) return vec2(w->l, VI_KEEP, mask_of(w, n->a), number(w, n->b));
  if (is_truth(w, n->b)) return vec2(w->l, VI_KEEP, mask_of(w, n->b), number(w, n->a));
  return vec2(w->l, VI_MUL, number(w, n->a), number(w, n->b));
}

/* A product that an addition can take in. */
static const ProgNode *factor(const Lower *w, int node) {
  const ProgNode *n = &w->plan->body.node[node];
  bool leaf = w->code->leaf[node].kind != LEAF_NONE;
  return n->op == PO_MUL && !leaf && !is_truth(w, n->a) && !is_truth(w, n->b) ? n : NULL;
}

/* A term of a sum without the signs in front of it. */
typedef struct { int node; bool minus; const ProgNode *product; } Term;

static Term term(const Lower *w, int node, bool minus) {
  for (; w->plan->body.node[node].op == PO_NEG && w->code->leaf[node].kind == LEAF_NONE;
       minus = !minus)
    node = w->plan->body.node[node].a;
  return (Term){node, minus, factor(w, node)};
}

/* A product and another term, of either sign. */
static int product_and(Lower *w, Term p, Term other) {
  static const VecOp op[2][2] = {{VI_FMA, VI_FMS}, {VI_FNMA, VI_FNMS}};
  return vec3(w->l, op[p.minus][other.minus], number(w, p.product->a), number(w, p.product->b),
              number(w, other.node));
}

static int sum(Lower *w, const ProgNode *n) {
  Term a = term(w, n->a, false), b = term(w, n->b, n->op == PO_SUB);
  if (b.product) return product_and(w, b, a);
  if (a.product) return product_and(w, a, b);
  if (!a.minus)
    return vec2(w->l, b.minus ? VI_SUB : VI_ADD, number(w, a.node), number(w, b.node));
  if (!b.minus) return vec2(w->l, VI_SUB, number(w, b.node), number(w, a.node));
  return vec2(w->l, n->op == PO_SUB ? VI_SUB : VI_ADD, number(w, n->a), number(w, n->b));
}

static int power(Lower *w, const ProgNode *n) {
  VecList *l = w->l;
  double e;
  int x = number(w, n->a), y;
  if (prog_is_const(&w->plan->body, n->b, &e) && vec_has_pow(e)) return vec_pow(l, x, e);
  y = number(w, n->b);
  int log = vec_unary(l, PO_LOG, x, w->code->range[n->a]);
  int p = vec_unary(l, PO_EXP, vec2(l, VI_MUL, y, log), (Interval){-INFINITY, INFINITY});
  int none = vec_op(l, VI_CMP, EQ, y, vec_const(l, 0), -1);
  return vec3(l, VI_BLEND, none, vec_const(l, 1), p);
}

static void compare(Lower *w, int node) {
  const ProgNode *n = &w->plan->body.node[node];
  static const uint8_t predicate[] = {EQ, NE, LT, LE, GT, GE};
  VecList *l = w->l;
  if (n->op == PO_NOT) w->truth[node] = not_mask(w, mask_of(w, n->a));
  else if (n->op == PO_AND) w->truth[node] = vec2(l, VI_MAND, mask_of(w, n->a), mask_of(w, n->b));
  else if (n->op == PO_OR) w->truth[node] = vec2(l, VI_MOR, mask_of(w, n->a), mask_of(w, n->b));
  else
    w->truth[node] =
        vec_op(l, VI_CMP, predicate[n->op - PO_EQ], number(w, n->a), number(w, n->b), -1);
}

static int choice(Lower *w, const ProgNode *n) {
  double v;
  int m = mask_of(w, n->a);
  const Prog *p = &w->plan->body;
  if (prog_is_const(p, n->c, &v) && v == 0) return vec2(w->l, VI_KEEP, m, number(w, n->b));
  return vec3(w->l, VI_BLEND, m, number(w, n->b), number(w, n->c));
}

/* The machine gives the second operand where either is NaN; here NaN wins. */
static int extreme(Lower *w, const ProgNode *n, int op) {
  VecList *l = w->l;
  double c;
  int a = number(w, n->a), b = number(w, n->b);
  if (prog_is_const(&w->plan->body, n->b, &c)) return vec2(l, op, b, a);
  int least = vec2(l, op, a, b);
  if (prog_is_const(&w->plan->body, n->a, &c)) return least;
  return vec3(l, VI_BLEND, vec_op(l, VI_CMP, NE, a, a, -1), a, least);
}

static int remainder_(Lower *w, const ProgNode *n) {
  VecList *l = w->l;
  int x = number(w, n->a), y = number(w, n->b);
  int q = vec_op(l, VI_ROUND, 9, vec2(l, VI_DIV, x, y), -1, -1);
  return n->op == PO_FLOORDIV ? q : vec3(l, VI_FNMA, y, q, x);
}

/* The result of a product or sum, perhaps with its sign flipped? */
static bool is_rounded(const VecList *l, int id) {
  const Vec *v = &l->items[id];
  if (v->op == VI_XOR && vec_is_sign(l, v->b)) v = &l->items[v->a];
  return v->op == VI_ADD || v->op == VI_SUB || v->op == VI_MUL ||
         (v->op >= VI_FMA && v->op <= VI_FNMS);
}

static int exponential(Lower *w, const ProgNode *n) {
  int x = number(w, n->a);
  if (is_rounded(w->l, x) && !w->l->f64) return vec_exp_rounded(w->l, x);
  return vec_unary(w->l, PO_EXP, x, w->code->range[n->a]);
}

static int leaf(Lower *w, const FuseLeaf *at, const ProgNode *n) {
  switch (at->kind) {
  case LEAF_CONST: return vec_const(w->l, n->value);
  case LEAF_ONCE: return vec_leaf(w->l, VI_ONCE, at->slot);
  case LEAF_ROW: return vec_leaf(w->l, VI_ROW, at->slot);
  case LEAF_COL: return vec_leaf(w->l, VI_COL, at->slot);
  default: return vec_leaf(w->l, VI_MAT, at->slot);
  }
}

static void lower(Lower *w, int node) {
  const ProgNode *n = &w->plan->body.node[node];
  const FuseLeaf *at = &w->code->leaf[node];
  if (at->kind != LEAF_NONE) { w->value[node] = leaf(w, at, n); return; }
  switch (n->op) {
  case PO_ADD: case PO_SUB: w->value[node] = sum(w, n); break;
  case PO_MUL: w->value[node] = product(w, n); break;
  case PO_DIV: w->value[node] = vec_quotient(w->l, number(w, n->a), number(w, n->b)); break;
  case PO_MIN: w->value[node] = extreme(w, n, VI_MIN); break;
  case PO_MAX: w->value[node] = extreme(w, n, VI_MAX); break;
  case PO_FLOORDIV: case PO_MOD: w->value[node] = remainder_(w, n); break;
  case PO_POW: w->value[node] = power(w, n); break;
  case PO_EXP: w->value[node] = exponential(w, n); break;
  case PO_SELECT: w->value[node] = choice(w, n); break;
  case PO_NOT: case PO_EQ: case PO_NE: case PO_LT: case PO_LE: case PO_GT: case PO_GE:
  case PO_AND: case PO_OR: compare(w, node); break;
  default: w->value[node] = vec_unary(w->l, n->op, number(w, n->a), w->code->range[n->a]);
  }
}

/* ---- results ----------------------------------------------------------------------------- */

static void fold(Lower *w, VecOp op, int slot, int value, int open) {
  VecList *l = w->l;
  if (open < 0 || l->wide) { action(l, op, slot, value, open); return; }
  if (op == VI_SUM) value = vec2(l, VI_KEEP, open, value);
  else value = vec3(l, VI_BLEND, open, value, vec_const(l, op == VI_LARGEST ? -INFINITY : INFINITY));
  action(l, op, slot, value, -1);
}

static void results(Lower *w, bool masked) {
  const FusePlan *plan = w->plan;
  const FuseCode *code = w->code;
  VecList *l = w->l;
  int open = masked ? mask_of(w, plan->mask) : -1, closed_mask = open;
  if (l->tail) {
    int tail = vec_leaf(l, VI_TAIL, 0);
    open = open < 0 ? tail : vec2(l, VI_MAND, open, tail);
  }
  for (int k = 0; k < code->shape.n_fold; k++)
    fold(w, code->fold[k].kind, k, number(w, code->fold_node[k]), open);
  for (int k = 0; k < code->shape.n_colsum; k++) {
    int v = number(w, plan->node[code->colsum_want[k]]);
    action(l, VI_COLSUM, k, open < 0 ? v : vec2(l, VI_KEEP, open, v), -1);
  }
  int value[FUSE_MAX_WANT];
  for (int k = 0; k < code->shape.n_out; k++) {
    const FuseWant *want = &plan->want[code->out_want[k]];
    int v = number(w, plan->node[code->out_want[k]]);
    if (closed_mask >= 0)
      v = want->closed == 0 ? vec2(l, VI_KEEP, closed_mask, v)
                            : vec3(l, VI_BLEND, closed_mask, v, vec_const(l, want->closed));
    /* a copy: an earlier store may take its place in memory */
    else if (code->shape.n_out > 1 && l->items[v].op == VI_MAT) v = vec2(l, VI_MAX, v, v);
    value[k] = v;
  }
  for (int k = 0; k < code->shape.n_out; k++) action(l, VI_STORE, k, value[k], -1);
}

bool fuse_lower(const FusePlan *plan, const FuseCode *code, bool masked, bool tail, VecList *out) {
  size_t n = (size_t)plan->body.n;
  memset(out, 0, sizeof *out);
  out->f64 = code->shape.f64;
  out->wide = code->shape.wide;
  out->tail = tail;
  Lower w = {plan, code, out, malloc(n * sizeof(int)), malloc(n * sizeof(int))};
  bool ok = w.value && w.truth;
  if (ok) {
    for (size_t i = 0; i < n; i++) w.value[i] = w.truth[i] = -1;
    for (int i = 0; i < plan->body.n; i++)
      if (code->needed[i]) lower(&w, i);
    results(&w, masked);
    ok = !out->failed;
  }
  free(w.value);
  free(w.truth);
  return ok;
}
