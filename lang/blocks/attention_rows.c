/* attention_rows.c: `prep = f`, a function of one vector, as a function of a
 * table of vectors.
 *
 * f is rewritten so that every value that depends on the vector becomes a table
 * with one row a vector: vectors (rows, m), numbers (rows, 1).  Elementwise
 * mathematics, products with matrices, sums, norms, slices, `let`s and functions
 * of the script written as one expression have such a form; where f has none it
 * is applied row by row.  Scopes are kept (inner functions become lambdas), so
 * no name is caught by another.                                              */
#include "lang/blocks/attention_rows.h"

#include <math.h>
#include <string.h>

typedef enum {
  R_OUTER,       /* does not depend on the vector                              */
  R_NUMBER,      /* one number a row: (rows, 1)                                 */
  R_EITHER,      /* a number or a vector a row: which is known when it runs     */
  R_VECTOR       /* (rows, m)                                                   */
} RowKind;

typedef struct Bound Bound;
struct Bound {
  const char *name;
  RowKind kind;
  const Bound *outer;
  bool from_zero;        /* known to be never negative                         */
};

typedef struct {
  Lower *lo;
  const Node *decl;      /* the attention: its parameters and params hide names of the file */
  const Bound *scope;
  int depth;
} Rows;

enum { ROWS_DEPTH = 16 };

static Node *table(Rows *r, const Node *n, RowKind *kind);

/* ---- names ---------------------------------------------------------------------- */

static const Bound *bound(const Rows *r, const char *name) {
  for (const Bound *b = r->scope; b; b = b->outer)
    if (!strcmp(b->name, name)) return b;
  return NULL;
}

static bool of_declaration(const Node *decl, const char *name) {
  for (uint32_t i = 0; i < decl->n; i++)
    if (!strcmp(decl->items[i]->name, name)) return true;
  for (uint32_t i = 0; i < decl->b->n; i++)
    if (decl->b->items[i]->kind == N_LEAF && !strcmp(decl->b->items[i]->name, name)) return true;
  return false;
}

static const Node *file_function(const Rows *r, const char *name) {
  const Node *m = r->lo->module;
  if (of_declaration(r->decl, name) || (r->lo->is_local && r->lo->is_local(r->lo, name)))
    return NULL;
  for (uint32_t i = 0; m && i < m->n; i++)
    if (m->items[i]->kind == N_FN && !strcmp(m->items[i]->name, name)) return m->items[i];
  return NULL;
}

static bool file_name(const Rows *r, const char *name) {
  const Node *m = r->lo->module;
  if (bound(r, name) || of_declaration(r->decl, name) ||
      (r->lo->is_local && r->lo->is_local(r->lo, name))) return true;
  for (uint32_t i = 0; m && i < m->n; i++) {
    const Node *s = m->items[i];
    bool names = s->kind == N_FN || s->kind == N_ATTENTION || s->kind == N_MODEL ||
                 s->kind == N_HAMILTONIAN || s->kind == N_CIRCUIT;
    if (names && !strcmp(s->name, name)) return true;
    if ((s->kind == N_LET || s->kind == N_VAR) && s->a->kind == N_NAME &&
        !strcmp(s->a->name, name)) return true;
  }
  return false;
}

/* The name means the library's function. */
static bool library(const Rows *r, const Node *n, const char *const *list) {
  if (n->kind != N_NAME || file_name(r, n->name)) return false;
  for (; *list; list++)
    if (!strcmp(*list, n->name)) return true;
  return false;
}

static const char *const pointwise[] = {
    "abs",  "sign", "sqrt", "exp",   "expm1", "log",  "log2",  "log1p", "sin",     "cos",
    "tan",  "asin", "acos", "atan",  "sinh",  "cosh", "tanh",  "erf",   "floor",   "ceil",
    "round", "relu", "gelu", "sigmoid", "softplus", "clip", "where", "atan2", NULL};
static const char *const folds[] = {"sum", "mean", "prod", "norm", "logsumexp", "min", "max", NULL};
/* Give the same whenever they are called with the same. */
static const char *const steady[] = {"len", "shape", "arange", "linspace", "zeros", "ones", "eye",
                                     "reshape", "transpose", "float", "int", "f32", "f64", NULL};

/* `mixed`: a name of the file is hidden by one of the declaration here, or a call may give
 * something else for every row.                                              */
typedef struct { const Rows *r; bool free, mixed; } Free;
static void look(Node *n, void *user) {
  Free *f = user;
  const Bound *b = n->kind == N_NAME ? bound(f->r, n->name) : NULL;
  if (b && b->kind != R_OUTER) f->free = false;
  if (n->kind == N_NAME && !b && f->r->depth > 0 && of_declaration(f->r->decl, n->name))
    f->mixed = true;
  if (n->kind == N_CALL && !library(f->r, n->a, pointwise) && !library(f->r, n->a, folds) &&
      !library(f->r, n->a, steady)) f->mixed = true;
  node_children(n, look, user);
}
static Free outer_of(const Rows *r, const Node *n) {
  Free f = {r, true, false};
  look((Node *)n, &f);
  return f;
}
static bool is_outer(const Rows *r, const Node *n) {
  Free f = outer_of(r, n);
  return f.free && !f.mixed;
}

/* ---- operators ------------------------------------------------------------------- */

/* Elementwise operands: a vector among them makes a vector. */
static RowKind join(RowKind a, RowKind b) {
  if (a == R_VECTOR || b == R_VECTOR) return R_VECTOR;
  return a == b ? a : R_EITHER;
}

static bool number(const Node *n) {
  return n->kind == N_INT || n->kind == N_FLOAT || (n->kind == N_UNARY && number(n->a));
}

/* An operand; one that does not depend on the vector is a number or a vector. */
static Node *operand(Rows *r, const Node *n, RowKind *kind) {
  Node *x = table(r, n, kind);
  if (!x || *kind != R_OUTER || number(n)) return x;
  return node_call(r->lo->source, "__prep_constant", n, 1, &x);
}

static Node *binary(Rows *r, const Node *n, RowKind *kind) {
  Source *s = r->lo->source;
  RowKind ka, kb;
  Node *a, *b;
  if (n->op != OP_MATMUL) {
    if (!(a = operand(r, n->a, &ka)) || !(b = operand(r, n->b, &kb))) return NULL;
    *kind = join(ka, kb);
    Node *out = node_new(s, N_BINARY, n);
    if (!out) return NULL;
    out->op = n->op;
    out->span2 = n->span2;
    out->a = a;
    out->b = b;
    return out;
  }
  if (!(a = table(r, n->a, &ka)) || !(b = table(r, n->b, &kb))) return NULL;
  bool left = ka == R_VECTOR, right = kb == R_VECTOR;
  if (!(left && (right || kb == R_OUTER)) && !(right && ka == R_OUTER)) return NULL;
  *kind = left && right ? R_NUMBER : R_EITHER;
  Node *flag = node_new(s, N_BOOL, n);
  if (!flag) return NULL;
  flag->i = !left;
  Node *args[] = {left ? a : b, left ? b : a, flag};
  return node_call(s, left && right ? "__prep_dot" : "__prep_product", n, left && right ? 2 : 3,
                   args);
}

/* A copy of the node whose children are tables. */
static Node *elementwise(Rows *r, const Node *n, uint32_t count, RowKind *kind) {
  Node *out = node_new(r->lo->source, (NodeKind)n->kind, n);
  if (!out) return NULL;
  *kind = R_OUTER;
  bool first = true;
  for (uint32_t i = 0; i < count; i++) {
    RowKind k;
    Node *x = n->items[i]->kind == N_ARG ? NULL : operand(r, n->items[i], &k);
    if (!x) return NULL;
    node_push(r->lo->source, out, x);
    *kind = first ? k : join(*kind, k);
    first = false;
  }
  out->a = n->kind == N_CALL ? node_copy(r->lo->source, n->a) : NULL;
  out->ops = n->ops;
  return out;
}

/* ---- calls -------------------------------------------------------------------------- */

/* sum(x): along the row. */
static Node *fold(Rows *r, const Node *n, RowKind *kind) {
  Source *s = r->lo->source;
  RowKind k;
  Node *x = table(r, n->items[0], &k);
  if (!x || k == R_OUTER) return NULL;
  Node *axis = node_new(s, N_ARG, n), *keep = node_new(s, N_ARG, n);
  Node *one = node_new(s, N_INT, n), *yes = node_new(s, N_BOOL, n);
  if (!axis || !keep || !one || !yes) return NULL;
  axis->name = "axis";
  axis->a = one;
  one->i = 1;
  keep->name = "keepdims";
  keep->a = yes;
  yes->i = 1;
  Node *args[] = {x, axis, keep};
  *kind = R_NUMBER;
  return node_call(s, n->a->name, n, 3, args);
}

/* Vectors, or numbers a row, one behind the other. */
static Node *side_by_side(Rows *r, const Node *list, bool vectors, RowKind *kind) {
  Source *s = r->lo->source;
  Node *call = node_call(s, vectors ? "__prep_join" : "__prep_numbers", list, 0, NULL);
  for (uint32_t i = 0; call && i < list->n; i++) {
    RowKind k;
    Node *x = table(r, list->items[i], &k);
    if (!x || k == R_OUTER || (vectors ? k != R_VECTOR : k == R_VECTOR)) return NULL;
    node_push(s, call, x);
  }
  *kind = R_VECTOR;
  return list->n ? call : NULL;
}

/* f(args) of a function of the file: the lambda of its rewritten body, called. */
static Node *file_call(Rows *r, const Node *n, const Node *fn, RowKind *kind) {
  Source *s = r->lo->source;
  Rows inner = {r->lo, r->decl, NULL, r->depth + 1};
  Node *lambda = node_new(s, N_LAMBDA, n), *call = node_new(s, N_CALL, n);
  Bound *own = arena_alloc(&s->arena, (fn->n + 1) * sizeof *own);
  if (!lambda || !call || !own || r->depth >= ROWS_DEPTH || n->n != fn->n) return NULL;
  for (uint32_t i = 0; i < fn->n; i++) {
    RowKind k;
    Node *x = n->items[i]->kind == N_ARG ? NULL : table(r, n->items[i], &k);
    Node *param = node_new(s, N_PARAM, n);
    if (!x || !param) return NULL;
    param->name = fn->items[i]->name;
    node_push(s, lambda, param);
    node_push(s, call, x);
    own[i] = (Bound){param->name, k, inner.scope, false};
    inner.scope = &own[i];
  }
  lambda->b = table(&inner, fn->b, kind);
  call->a = lambda;
  return lambda->b ? call : NULL;
}

static Node *call(Rows *r, const Node *n, RowKind *kind) {
  static const char *const pick[] = {"min", "max", NULL}, *const dot[] = {"dot", NULL},
                    *const joined[] = {"concat", NULL}, *const length[] = {"len", NULL};
  if (n->a->kind != N_NAME) return NULL;
  const Node *fn = bound(r, n->a->name) ? NULL : file_function(r, n->a->name);
  if (fn) return file_call(r, n, fn, kind);
  if (n->n && n->items[n->n - 1]->kind == N_GEN) return NULL;
  if (library(r, n->a, pointwise) || (library(r, n->a, pick) && n->n > 1))
    return elementwise(r, n, n->n, kind);
  if (library(r, n->a, folds) && n->n == 1) return fold(r, n, kind);
  if (library(r, n->a, joined) && n->n == 1 && n->items[0]->kind == N_BRACKET)
    return side_by_side(r, n->items[0], true, kind);
  RowKind ka, kb;
  if (library(r, n->a, length) && n->n == 1) {
    Node *x = table(r, n->items[0], &ka);
    *kind = R_OUTER;
    return x && ka == R_VECTOR ? node_call(r->lo->source, "__prep_width", n, 1, &x) : NULL;
  }
  if (library(r, n->a, dot) && n->n == 2) {
    Node *a = operand(r, n->items[0], &ka), *b = a ? operand(r, n->items[1], &kb) : NULL;
    Node *args[] = {a, b};
    *kind = R_NUMBER;
    return b && (ka == R_VECTOR || kb == R_VECTOR)
               ? node_call(r->lo->source, "__prep_dot", n, 2, args) : NULL;
  }
  return NULL;
}

/* ---- blocks, indices ------------------------------------------------------------------ */

static Node *block(Rows *r, const Node *n, RowKind *kind) {
  Source *s = r->lo->source;
  Node *out = node_new(s, N_BLOCK, n);
  const Bound *before = r->scope;
  bool fine = out && n->n > 0;
  for (uint32_t i = 0; fine && i < n->n; i++) {
    const Node *st = n->items[i];
    bool last = i + 1 == n->n;
    if (last) {
      Node *x = table(r, st->kind == N_RETURN && st->a ? st->a : st, kind);
      if ((fine = x != NULL)) node_push(s, out, x);
    } else if ((fine = st->kind == N_LET && st->a->kind == N_NAME)) {
      Bound *b = arena_alloc(&s->arena, sizeof *b);
      Node *let = node_new(s, N_LET, st), *x = NULL;
      RowKind k = R_OUTER;
      if (b && let) x = table(r, st->b, &k);
      if (!(fine = x != NULL)) break;
      let->a = node_copy(s, st->a);
      let->b = x;
      node_push(s, out, let);
      *b = (Bound){st->a->name, k, r->scope, false};
      r->scope = b;
    }
  }
  r->scope = before;
  return fine ? out : NULL;
}

/* x[2], x[-1], x[a..b]: columns of the table. */
static Node *columns(Rows *r, const Node *n, RowKind *kind) {
  Source *s = r->lo->source;
  RowKind k;
  Node *x = table(r, n->a, &k), *out = node_new(s, N_INDEX, n), *all = node_new(s, N_ALL, n);
  if (!x || !out || !all || k != R_VECTOR || n->n != 1) return NULL;
  const Node *at = n->items[0];
  Node *column;
  if (at->kind == N_RANGE) {
    if (!is_outer(r, at)) return NULL;
    *kind = R_VECTOR;
    column = node_copy(s, at);
  } else {
    if (!number(at)) return NULL;
    *kind = R_NUMBER;
    if (!(column = node_new(s, N_BRACKET, at))) return NULL;
    node_push(s, column, node_copy(s, at));
  }
  out->a = x;
  node_push(s, out, all);
  node_push(s, out, column);
  return out;
}

/* NULL: there is no table form. */
static Node *table(Rows *r, const Node *n, RowKind *kind) {
  Source *s = r->lo->source;
  Free outer = outer_of(r, n);
  if (outer.free) {
    *kind = R_OUTER;
    return outer.mixed ? NULL : node_copy(s, n);
  }
  switch (n->kind) {
  case N_NAME: *kind = bound(r, n->name)->kind; return node_copy(s, n);
  case N_BINARY: return binary(r, n, kind);
  case N_COMPARE: return elementwise(r, n, n->n, kind);
  case N_CALL: return call(r, n, kind);
  case N_BLOCK: return block(r, n, kind);
  case N_INDEX: return columns(r, n, kind);
  case N_BRACKET: return side_by_side(r, n, false, kind);
  case N_UNARY: {
    Node *out = node_new(s, N_UNARY, n), *x = table(r, n->a, kind);
    if (!out || !x) return NULL;
    out->op = n->op;
    out->a = x;
    return out;
  }
  case N_IF: {
    RowKind a, b;
    if (!n->c || !is_outer(r, n->a)) return NULL;
    Node *out = node_new(s, N_IF, n), *x = table(r, n->b, &a), *y = table(r, n->c, &b);
    if (!out || !x || !y || a != b || a == R_OUTER) return NULL;
    *kind = a;
    out->a = node_copy(s, n->a);
    out->b = x;
    out->c = y;
    return out;
  }
  default: return NULL;
  }
}

/* ---- the map ------------------------------------------------------------------------------ */

/* The function's single parameter and body, or NULL. */
static const Node *map_of(const Rows *r, const Node *f) {
  if (f->kind == N_NAME) f = file_function(r, f->name);
  if (!f || (f->kind != N_LAMBDA && f->kind != N_FN) || f->n != 1) return NULL;
  return f->items[0]->a ? NULL : f;
}

Node *attn_rows_form(Lower *lo, const Node *decl, const Node *map) {
  Rows r = {.lo = lo, .decl = decl, .depth = map->kind == N_NAME};
  const Node *f = map_of(&r, map);
  if (!f) return NULL;
  Node *lambda = node_new(lo->source, N_LAMBDA, map), *param = node_new(lo->source, N_PARAM, map);
  if (!lambda || !param) return NULL;
  Bound x = {f->items[0]->name, R_VECTOR, NULL, false};
  RowKind kind;
  r.scope = &x;
  param->name = x.name;
  node_push(lo->source, lambda, param);
  lambda->b = table(&r, f->b, &kind);
  return lambda->b && kind >= R_EITHER ? lambda : NULL;
}

/* ---- sign ----------------------------------------------------------------------------------- */

static bool param_from_zero(const Rows *r, const char *name) {
  for (uint32_t i = 0; i < r->decl->b->n; i++) {
    const Node *leaf = r->decl->b->items[i];
    if (leaf->kind != N_LEAF || strcmp(leaf->name, name)) continue;
    const Node *lo = leaf->b;
    return lo && ((lo->kind == N_INT && lo->i >= 0) || (lo->kind == N_FLOAT && lo->f >= 0));
  }
  return false;
}

static bool from_zero(Rows *r, const Node *n);

static bool call_from_zero(Rows *r, const Node *n) {
  static const char *const always[] = {"exp",  "relu",    "abs",      "sqrt", "norm",
                                       "cosh", "sigmoid", "softplus", "len",  NULL};
  static const char *const keep[] = {"sum", "mean", "prod", "min", "concat", NULL};
  static const char *const largest[] = {"max", NULL}, *const where[] = {"where", NULL};
  if (n->a->kind != N_NAME) return false;
  const Node *fn = file_function(r, n->a->name);
  if (fn && r->depth < ROWS_DEPTH) {
    Rows inner = {r->lo, r->decl, NULL, r->depth + 1};
    return from_zero(&inner, fn->b);
  }
  if (library(r, n->a, always)) return true;
  bool pick = library(r, n->a, where), any = library(r, n->a, largest);
  if (!pick && !any && !library(r, n->a, keep)) return false;
  uint32_t good = 0, seen = 0;
  for (uint32_t i = pick; i < n->n; i++) {
    if (n->items[i]->kind == N_ARG) continue;
    seen++;
    good += from_zero(r, n->items[i]);
  }
  return seen > 0 && (any ? good > 0 : good == seen);
}

static bool block_from_zero(Rows *r, const Node *n) {
  const Bound *before = r->scope;
  for (uint32_t i = 0; i + 1 < n->n; i++) {
    const Node *let = n->items[i];
    Bound *b = let->kind == N_LET && let->a->kind == N_NAME
                   ? arena_alloc(&r->lo->source->arena, sizeof *b) : NULL;
    if (!b) continue;
    *b = (Bound){let->a->name, R_VECTOR, r->scope, from_zero(r, let->b)};
    r->scope = b;
  }
  bool last = n->n > 0 && from_zero(r, n->items[n->n - 1]);
  r->scope = before;
  return last;
}

/* Is the expression never negative, whatever the vector holds? */
static bool from_zero(Rows *r, const Node *n) {
  switch (n->kind) {
  case N_INT: return n->i >= 0;
  case N_FLOAT: return n->f >= 0;
  case N_COMPARE: return true;
  case N_NAME: {
    const Bound *b = bound(r, n->name);
    return b ? b->from_zero : param_from_zero(r, n->name);
  }
  case N_CALL: return call_from_zero(r, n);
  case N_BLOCK: return block_from_zero(r, n);
  case N_IF: return n->c && from_zero(r, n->b) && from_zero(r, n->c);
  case N_BRACKET:
    for (uint32_t i = 0; i < n->n; i++)
      if (!from_zero(r, n->items[i])) return false;
    return n->n > 0;
  case N_BINARY:
    if (n->op == OP_POW && n->b->kind == N_INT && n->b->i % 2 == 0) return true;
    if (n->op == OP_POW) return from_zero(r, n->a);
    return (n->op == OP_ADD || n->op == OP_MUL || n->op == OP_DIV) && from_zero(r, n->a) &&
           from_zero(r, n->b);
  default: return false;
  }
}

bool attn_rows_from_zero(Lower *lo, const Node *decl, const Node *map) {
  Rows r = {.lo = lo, .decl = decl};
  const Node *f = map_of(&r, map);
  if (!f) return false;
  Bound x = {f->items[0]->name, R_VECTOR, NULL, false};
  r.scope = &x;
  return from_zero(&r, f->b);
}
