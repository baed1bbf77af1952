/* attention_expr.c: expressions of attention equations.
 *
 * What depends on the pair, the row or a param becomes nodes of the program.
 * What depends on none of these is captured: it is evaluated by the
 * interpreter when an instance is made, and is a number or tensor here.      */
#include "lang/blocks/attention_expr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Diag *attn_diag(Build *b, const Node *at, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return diag_add(b->lo->diags, DIAG_ERROR, b->lo->source, at->span, "%s", text);
}

int attn_error(Build *b, const Node *at, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  diag_add(b->lo->diags, DIAG_ERROR, b->lo->source, at->span, "%s", text);
  return -1;
}

/* ---- names ---------------------------------------------------------------------- */

const Name *attn_find(const Build *b, const char *name) {
  for (const Name *x = b->names; x; x = x->outer)
    if (!strcmp(x->name, name)) return x;
  return NULL;
}

const Name *attn_bind(Build *b, Name name) {
  Name *own = arena_alloc(&b->lo->source->arena, sizeof *own);
  if (!own) return NULL;
  *own = name;
  own->outer = b->names;
  b->names = own;
  return own;
}

typedef struct { const Build *b; bool outer; } Outer;

static void look_for_inner(Node *n, void *user) {
  Outer *o = user;
  if (!o->outer) return;
  if (n->kind == N_NAME) {
    const Name *x = attn_find(o->b, n->name);
    if (!x) return;
    Outer let = {.b = &(Build){.names = x->scope}, .outer = true};
    if (x->kind == NAME_LET) look_for_inner((Node *)x->decl, &let);
    o->outer = x->kind == NAME_LET && let.outer;
    return;
  }
  if (n->kind == N_CALL && n->a->kind == N_NAME) { /* a function's name is no value of the pair */
    for (uint32_t i = 0; i < n->n; i++) look_for_inner(n->items[i], user);
    return;
  }
  node_children(n, look_for_inner, user);
}

bool attn_is_outer(const Build *b, const Node *n) {
  Outer o = {b, true};
  look_for_inner((Node *)n, &o);
  return o.outer;
}

/* Copies an expression with its `let`s written out, for use outside. */
static Node *written_out(Build *b, const Node *n) {
  Source *s = b->lo->source;
  if (n->kind == N_NAME) {
    const Name *x = attn_find(b, n->name);
    if (!x || x->kind != NAME_LET) return node_copy(s, n);
    const Name *before = b->names;
    b->names = x->scope;
    Node *r = written_out(b, x->decl);
    b->names = before;
    return r;
  }
  Node *r = node_copy(s, n);
  if (!r) return NULL;
  if (n->a && n->kind != N_CALL) r->a = written_out(b, n->a);
  if (n->b) r->b = written_out(b, n->b);
  if (n->c) r->c = written_out(b, n->c);
  for (uint32_t i = 0; i < n->n; i++) r->items[i] = written_out(b, n->items[i]);
  return r;
}

int attn_capture(Build *b, const Node *n, const char *shown) {
  Source *s = b->lo->source;
  if (!attn_is_outer(b, n)) return -1;
  if (n->kind == N_NAME)
    for (uint32_t i = 0; i < b->captured->n; i++)
      if (b->captured->items[i]->kind == N_NAME && !strcmp(b->captured->items[i]->name, n->name))
        return b->n_param + (int)i;
  Node *expr = written_out(b, n);
  char *name = NULL;
  if (shown) name = arena_text(b->arena, shown, strlen(shown));
  else name = arena_text(b->arena, s->text + n->span.start, n->span.end - n->span.start);
  if (!expr || !name) return -1;
  node_push(s, b->captured, expr);
  return prog_add_slot(b->p, name, -INFINITY, INFINITY);
}

/* ---- params and captured tensors ------------------------------------------------- */

static bool by_head(const Node *leaf) {
  return leaf->n > 0 && leaf->items[0]->kind == N_NAME && !strcmp(leaf->items[0]->name, "heads");
}

static int load_head(Build *b, int slot) {
  int h = prog_var(b->p, AV_H);
  return prog_load(b->p, slot, 1, &h);
}

static int param_scalar(Build *b, const Name *x, const Node *at) {
  if (x->decl->n == 0) return prog_load(b->p, x->slot, 0, NULL);
  if (x->decl->n == 1 && by_head(x->decl)) return load_head(b, x->slot);
  Diag *d = attn_diag(b, at, "`%s` is a vector or table", x->name);
  diag_label(d, "a scalar is due here");
  diag_second(d, b->lo->source, x->decl->span, "declared here");
  diag_help(d, "index it, `%s[j]`, or use it in a product, `dot(%s, k)`", x->name, x->name);
  return -1;
}

static int constant_name(const char *name, double *out) {
  if (!strcmp(name, "pi")) { *out = M_PI; return 1; }
  if (!strcmp(name, "inf")) { *out = INFINITY; return 1; }
  if (!strcmp(name, "nan")) { *out = NAN; return 1; }
  return 0;
}

/* Is the name bound by the module or an enclosing function? */
static bool shadowed(const Build *b, const char *name) {
  for (uint32_t i = 0; b->decl && i < b->decl->n; i++)
    if (!strcmp(b->decl->items[i]->name, name)) return true;
  if (b->lo->is_local && b->lo->is_local(b->lo, name)) return true;
  const Node *m = b->lo->module;
  for (uint32_t i = 0; m && i < m->n; i++) {
    const Node *s = m->items[i];
    if ((s->kind == N_LET || s->kind == N_VAR) && s->a && s->a->kind == N_NAME &&
        !strcmp(s->a->name, name))
      return true;
  }
  return false;
}

/* A tensor over batch, heads, queries where they differ, and keys. */
int attn_solution(Build *b, const Node *n, const Name *x, bool mean) {
  AttnSolve *z = b->solve;
  const bool rows = z->listed[SOLVE_QUERY] || z->own_query;
  int at[3] = {prog_var(b->p, AV_H), prog_var(b->p, AV_I), prog_var(b->p, AV_J)}, ix[4], m = 0;
  if (n->kind == N_INDEX && (int)n->n != z->rank) {
    Diag *d = attn_diag(b, n, "`%s` has %d ind%s, found %u", z->name, z->rank,
                        z->rank == 1 ? "ex" : "ices", n->n);
    diag_help(d, "`%s` alone is the variable of this pair", z->name);
    return -1;
  }
  for (uint32_t k = 0; n->kind == N_INDEX && k < n->n; k++)
    if ((at[z->index[k]] = attn_translate(b, n->items[k])) < 0) return -1;
  if (mean) z->mean = true;
  else z->best = true;
  ix[m++] = prog_var(b->p, AV_BATCH);
  ix[m++] = at[SOLVE_HEAD];
  if (rows) ix[m++] = at[SOLVE_QUERY];
  ix[m++] = at[SOLVE_KEY];
  return prog_load(b->p, x->slot + mean, m, ix);
}

static int translate_name(Build *b, const Node *n) {
  const Name *x = attn_find(b, n->name);
  double c;
  if (!x) {
    if (!shadowed(b, n->name) && constant_name(n->name, &c)) return prog_const(b->p, c);
    int slot = attn_capture(b, n, n->name);
    return slot < 0 ? -1 : prog_load(b->p, slot, 0, NULL);
  }
  switch (x->kind) {
  case NAME_NODE: return x->node;
  case NAME_PARAM: return param_scalar(b, x, n);
  case NAME_LET: {
    const Name *before = b->names;
    b->names = x->scope;
    int r = attn_translate(b, x->decl);
    b->names = before;
    return r;
  }
  case NAME_SOLUTION: return attn_solution(b, n, x, false);
  default: break;
  }
  Diag *d = attn_diag(b, n, "`%s` is a vector", n->name);
  diag_label(d, "a scalar is due here");
  diag_help(
      d, "use it through dot(q, k), dist2(q, k), cos(q, k), l1(q, k), overlap(q, k) or norm2(%s)",
      n->name);
  return -1;
}

static int translate_index(Build *b, const Node *n) {
  const Node *base = n->a;
  const Name *x = base->kind == N_NAME ? attn_find(b, base->name) : NULL;
  int ix[PROG_MAX_INDEX + 1], m = 0, slot;
  if (x && x->kind == NAME_VECTOR) {
    Diag *d = attn_diag(b, n, "`%s` is a vector", base->name);
    diag_label(d, "a scalar is due here");
    diag_help(
        d, "use it through dot(q, k), dist2(q, k), cos(q, k), l1(q, k), overlap(q, k) or norm2(%s)",
        base->name);
    return -1;
  }
  if (x && x->kind == NAME_SOLUTION) return attn_solution(b, n, x, false);
  if (x && x->kind == NAME_NODE)
    return attn_error(b, n, "`%s` is a number and has no index", base->name);
  if (x && x->kind == NAME_PARAM) {
    slot = x->slot;
    if (by_head(x->decl) && n->n + 1 == x->decl->n) ix[m++] = prog_var(b->p, AV_H);
    else if (n->n != x->decl->n) {
      Diag *d =
          attn_diag(b, n, "`%s` has %u axes, %u indices are given", x->name, x->decl->n, n->n);
      diag_second(d, b->lo->source, x->decl->span, "declared here");
      return -1;
    }
  } else {
    slot = attn_capture(b, base, base->kind == N_NAME ? base->name : NULL);
    if (slot < 0) return attn_error(b, base, "only params and captured tensors can be indexed");
  }
  if (n->n + (uint32_t)m > PROG_MAX_INDEX)
    return attn_error(b, n, "at most %d indices in an attention equation", PROG_MAX_INDEX);
  for (uint32_t i = 0; i < n->n; i++) {
    const Node *e = n->items[i];
    if (e->kind == N_ALL || e->kind == N_RANGE)
      return attn_error(b, e, "a slice is no number; index every axis");
    if ((ix[m++] = attn_translate(b, e)) < 0) return -1;
  }
  return prog_load(b->p, slot, m, ix);
}

/* ---- operators ----------------------------------------------------------------------- */

static int binary_op(uint8_t op) {
  switch (op) {
  case OP_ADD: return PO_ADD;
  case OP_SUB: return PO_SUB;
  case OP_MUL: return PO_MUL;
  case OP_DIV: return PO_DIV;
  case OP_FLOORDIV: return PO_FLOORDIV;
  case OP_MOD: return PO_MOD;
  case OP_POW: return PO_POW;
  case OP_EQ: return PO_EQ;
  case OP_NE: return PO_NE;
  case OP_LT: return PO_LT;
  case OP_LE: return PO_LE;
  case OP_GT: return PO_GT;
  case OP_GE: return PO_GE;
  default: return -1;
  }
}

static int translate_binary(Build *b, const Node *n) {
  int op = binary_op(n->op);
  if (op < 0) {
    Diag *d = attn_diag(b, n, "`%s` has no place in an attention equation", ast_op_text(n->op));
    diag_help(d, "equations are about single numbers; dot(q, k) is the product of the two vectors");
    return -1;
  }
  int x = attn_translate(b, n->a), y = x < 0 ? -1 : attn_translate(b, n->b);
  return y < 0 ? -1 : prog_binary(b->p, op, x, y);
}

static int translate_compare(Build *b, const Node *n) {
  int all = -1, left = attn_translate(b, n->items[0]);
  for (uint32_t i = 1; left >= 0 && i < n->n; i++) {
    int op = binary_op(n->ops[i - 1]), right;
    if (op < 0)
      return attn_error(b, n, "`%s` has no place in an attention equation",
                        ast_op_text(n->ops[i - 1]));
    if ((right = attn_translate(b, n->items[i])) < 0) return -1;
    int one = prog_binary(b->p, op, left, right);
    all = all < 0 ? one : prog_binary(b->p, PO_AND, all, one);
    left = right;
  }
  return left < 0 ? -1 : all;
}

static int translate_if(Build *b, const Node *n) {
  if (!n->c) return attn_error(b, n, "`if` without `else` has no value here");
  int c = attn_translate(b, n->a), x = c < 0 ? -1 : attn_translate(b, n->b);
  int y = x < 0 ? -1 : attn_translate(b, n->c);
  return y < 0 ? -1 : prog_select(b->p, c, x, y);
}

static int translate_block(Build *b, const Node *n) {
  const Name *before = b->names;
  int r = -1;
  for (uint32_t i = 0; i < n->n; i++) {
    const Node *s = n->items[i];
    if (s->kind == N_LET && s->a->kind == N_NAME && i + 1 < n->n) {
      if (!attn_bind(b,
                     (Name){.name = s->a->name, .kind = NAME_LET, .decl = s->b, .scope = b->names}))
        break;
      continue;
    }
    if (i + 1 < n->n) { r = attn_error(b, s, "only `let` may come before the value here"); break; }
    r = attn_translate(b, s->kind == N_RETURN && s->a ? s->a : s);
  }
  if (n->n == 0) r = attn_error(b, n, "this block has no value");
  b->names = before;
  return r;
}

int attn_translate(Build *b, const Node *n) {
  switch (n->kind) {
  case N_INT: return prog_const(b->p, (double)n->i);
  case N_FLOAT: return prog_const(b->p, n->f);
  case N_BOOL: return prog_const(b->p, n->i != 0);
  case N_NAME: return translate_name(b, n);
  case N_INDEX: return translate_index(b, n);
  case N_CALL: return attn_translate_call(b, n);
  case N_BINARY: return translate_binary(b, n);
  case N_COMPARE: return translate_compare(b, n);
  case N_IF: return translate_if(b, n);
  case N_BLOCK: return translate_block(b, n);
  case N_UNARY: {
    int x = attn_translate(b, n->a);
    return x < 0 ? -1 : prog_unary(b->p, n->op == OP_NOT ? PO_NOT : PO_NEG, x);
  }
  case N_AND: case N_OR: {
    int x = attn_translate(b, n->a), y = x < 0 ? -1 : attn_translate(b, n->b);
    return y < 0 ? -1 : prog_binary(b->p, n->kind == N_AND ? PO_AND : PO_OR, x, y);
  }
  default: break;
  }
  int slot = n->kind <= N_TUPLE ? attn_capture(b, n, NULL) : -1;
  if (slot >= 0) return prog_load(b->p, slot, 0, NULL);
  return attn_error(b, n, "this cannot stand in an attention equation");
}
