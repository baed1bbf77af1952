/* build.c: what the grammar's actions do: nodes with spans, depth accounts,
 * and the small checks that a context-free rule cannot express (what may be
 * assigned to, what may stand right of `|>`, that an interval is a pair).    */
#include "lang/syntax/lex.h"
#include "grammar.h"
#include <string.h>

static Diag *wrong(Parse *p, Span span, const char *message) {
  return diag_add(p->diags, DIAG_ERROR, p->source, span, "%s", message);
}

/* Out of memory: everything goes into the spare node and parsing stops. */
Node *mk(Parse *p, NodeKind k, uint32_t start, uint32_t end) {
  Node *n = node_new(p->source, k, NULL);
  if (!n) {
    p->fatal = true;
    p->spare = (Node){0};
    n = &p->spare;
    n->kind = (uint8_t)k;
  }
  n->span = (Span){start, end};
  return n;
}

Node *mk_tok(Parse *p, NodeKind k, Tok t) {
  Node *n = mk(p, k, t.start, t.end);
  n->doc = t.doc;
  return n;
}

Node *own(Parse *p, Node *parent, Node *child) {
  if (!child || child == &p->spare) return NULL;
  if (child->depth >= parent->depth) parent->depth = child->depth + 1;
  if (parent->depth > AST_MAX_DEPTH && !p->fatal) {
    Diag *d = wrong(p, (Span){parent->span.end > 0 ? parent->span.end - 1 : 0, parent->span.end},
                    "this expression is chained or nested too deeply");
    diag_label(d, "more than %d levels", AST_MAX_DEPTH);
    diag_help(d, "split it with `let`, or use `sum(... for ...)`");
    p->fatal = true;
  }
  return child;
}

static void widen(Node *n, const Node *child) {
  if (!child) return;
  if (child->span.start < n->span.start) n->span.start = child->span.start;
  if (child->span.end > n->span.end) n->span.end = child->span.end;
}

Node *push(Parse *p, Node *list, Node *item) {
  if (!item || item == &p->spare || list == &p->spare) return list;
  uint32_t n = list->n;
  node_push(p->source, list, item);
  if (list->n == n) p->fatal = true;
  own(p, list, item);
  widen(list, item);
  return list;
}

Node *mk_list(Parse *p, NodeKind k, Node *first) {
  uint32_t at = first ? first->span.start : p->toks.items[p->at].start;
  Node *n = mk(p, k, at, first ? first->span.end : at);
  return first ? push(p, n, first) : n;
}

Node *wrap(Node *n, NodeKind k, Tok open, Tok close) {
  n->kind = (uint8_t)k;
  n->span = (Span){open.start, close.end};
  return n;
}

Node *name_node(Parse *p, Tok t) {
  Node *n = mk(p, N_NAME, t.start, t.end);
  n->name = t.text;
  return n;
}

Node *str_node(Parse *p, Tok t) {
  Node *n = mk(p, N_STR, t.start, t.end);
  n->name = t.text;
  n->i = t.i;
  return n;
}

Node *mk_unary(Parse *p, NodeKind k, AstOp op, Tok t, Node *a) {
  Node *n = mk(p, k, t.start, a->span.end);
  n->op = (uint8_t)op;
  n->span2 = (Span){t.start, t.end};
  n->a = own(p, n, a);
  return n;
}

Node *mk_binary(Parse *p, NodeKind k, AstOp op, Node *a, Tok t, Node *b) {
  Node *n = mk(p, k, a ? a->span.start : t.start, b ? b->span.end : t.end);
  n->op = (uint8_t)op;
  n->span2 = (Span){t.start, t.end};
  n->a = own(p, n, a);
  n->b = own(p, n, b);
  return n;
}

/* items and ops grow together: ops has room for as many as items. */
static void add_op(Parse *p, Node *n, AstOp op) {
  uint32_t count = n->n - 1;             /* operators before this one */
  if (count == 0 || (count >= 4 && !(count & (count - 1)))) {
    uint8_t *ops = arena_alloc(&p->source->arena, count ? 2 * (size_t)count : 4);
    if (!ops) { p->fatal = true; return; }
    if (count) memcpy(ops, n->ops, count);
    n->ops = ops;
  }
  n->ops[count] = (uint8_t)op;
}

Node *mk_compare(Parse *p, AstOp op, Node *a, Tok t, Node *b) {
  Node *n = a;
  if (a->kind != N_COMPARE || (a->flags & NODE_PAREN)) {
    n = mk_list(p, N_COMPARE, a);
    n->span2 = (Span){t.start, t.end};
  }
  if (!p->fatal) add_op(p, n, op);
  return p->fatal ? n : push(p, n, b);
}

Node *mk_order(Parse *p, Node *order, Tok op, Tok name) {
  if (!p->fatal) add_op(p, order, (AstOp)op.i);
  return p->fatal ? order : push(p, order, name_node(p, name));
}

/* `i, j in 0..n`: binders without a range share the range of the next that has one. */
Node *mk_clause(Parse *p, Node *clauses, Node *clause) {
  if (clause->kind != N_BIND || !clause->a) return push(p, clauses, clause);
  uint32_t first = clauses->n;
  while (first > 0 && clauses->items[first - 1]->kind == N_BIND && !clauses->items[first - 1]->a)
    first--;
  if (first == clauses->n) return push(p, clauses, clause);
  Node *shared = clauses->items[first];
  for (uint32_t i = first + 1; i < clauses->n; i++) push(p, shared, clauses->items[i]->items[0]);
  push(p, shared, clause->items[0]);
  shared->a = own(p, shared, clause->a);
  shared->span.end = clause->span.end;
  clauses->span.end = clause->span.end;
  clauses->n = first;
  return push(p, clauses, shared);     /* again in its place, depth accounted */
}

Node *mk_paren(Parse *p, Tok open, Node *list, Tok close, bool comma) {
  if (list->n != 1 || comma) return wrap(list, N_TUPLE, open, close);
  Node *n = list->items[0];
  n->flags |= NODE_PAREN;
  n->span = (Span){open.start, close.end};
  return n;
}

Node *mk_named(Parse *p, NodeKind k, Tok word, Tok name, Node *value) {
  Node *n = mk(p, k, word.start, value ? value->span.end : name.end);
  n->name = name.text;
  n->span2 = (Span){name.start, name.end};
  n->doc = word.doc;
  if (k == N_PAIR && !name.text) p->fatal = true;
  n->a = own(p, n, value);
  if (n->span.end < name.end) n->span.end = name.end;
  return n;
}

Node *mk_pipe(Parse *p, Node *a, Tok t, Node *b) {
  bool fits = b->kind == N_NAME || b->kind == N_FIELD || b->kind == N_CALL ||
              (b->kind == N_LAMBDA && (b->flags & NODE_PAREN)) || b->kind == N_ERROR;
  if (!fits) {
    Diag *d = wrong(p, b->span, "to the right of `|>` stands a function");
    diag_label(d, "expected a name, a call, or a lambda in brackets");
    diag_help(d, "write `x |> f`, `x |> f(n = 4)` or `x |> (y => y + 1)`");
  }
  return mk_binary(p, N_PIPE, OP_NONE, a, t, b);
}

/* ---- statements --------------------------------------------------------------- */

Node *mk_let(Parse *p, Tok word, Node *pattern, Node *value) {
  Node *n = mk_tok(p, word.kind == T_VAR ? N_VAR : N_LET, word);
  n->a = own(p, n, pattern);
  n->b = own(p, n, value);
  n->span.end = value->span.end;
  return n;
}

Node *mk_arraydef(Parse *p, Tok word, Tok name, Node *index, Node *value) {
  Node *n = index;
  n->kind = N_ARRAYDEF;
  n->op = word.kind == T_VAR;
  n->name = name.text;
  n->doc = word.doc;
  n->span = (Span){word.start, value->span.end};
  n->span2 = (Span){name.start, name.end};
  n->b = own(p, n, value);
  return n;
}

static bool is_place(const Node *n) {
  while (n->kind == N_INDEX || n->kind == N_FIELD) n = n->a;
  return n->kind == N_NAME;
}

/* (m, s) = opt.step(m, g, s): every element is a place of its own. */
static bool is_place_tuple(const Node *n) {
  if (n->kind != N_TUPLE || n->n == 0) return false;
  for (uint32_t i = 0; i < n->n; i++)
    if (!is_place(n->items[i]) || (n->items[i]->flags & NODE_PAREN)) return false;
  return true;
}

Node *mk_assign(Parse *p, Node *place, Tok op, AstOp kind, Node *value) {
  int before = p->diags->errors;
  bool several = kind == OP_NONE && is_place_tuple(place);
  if (!several && (!is_place(place) || (place->flags & NODE_PAREN)) && place->kind != N_ERROR) {
    Diag *d;
    if (place->kind == N_CALL && place->a->kind == N_NAME && kind == OP_NONE) {
      d = wrong(p, place->span, "a call cannot be assigned to");
      diag_help(d, "a function is defined by `fn %s(...) = ...`", place->a->name);
    } else if (place->kind == N_TUPLE || place->kind == N_RECORD) {
      d = wrong(p, place->span, "this pattern cannot be assigned to");
      diag_help(d, "assign to a tuple of places, `(a, b) = ...`, or bind new names with `let`");
    } else if (place->kind == N_COMPARE || place->kind == N_AND || place->kind == N_OR) {
      d = wrong(p, (Span){op.start, op.end}, "`=` assigns, it does not compare");
      diag_help(d, "did you mean `==`?");
    } else {
      d = wrong(p, place->span, "this cannot be assigned to");
      diag_label(d, "expected a name, `x[i]` or `r.field`");
    }
  }
  Node *n = mk_binary(p, N_ASSIGN, kind, place, op, value);
  if (p->diags->errors > before) {             /* `f(x) = ...` meant to declare f */
    n->kind = N_ERROR;
    n->name = place->kind == N_CALL && place->a->kind == N_NAME ? place->a->name : NULL;
  }
  return n;
}

/* `param x = init in (lo, hi)`: the interval was parsed as a membership test. */
Node *mk_leaf(Parse *p, Tok word, Tok name, Node *shape, Node *init) {
  Node *n = shape ? shape : mk_tok(p, N_LEAF, word);
  n->kind = N_LEAF;
  n->name = name.text;
  n->doc = word.doc;
  n->span = (Span){word.start, init ? init->span.end : shape ? shape->span.end : name.end};
  n->span2 = (Span){name.start, name.end};
  if (init && init->kind == N_COMPARE && !(init->flags & NODE_PAREN) && init->n == 2 &&
      init->ops[0] == OP_IN) {
    Node *pair = init->items[1];
    if (pair->kind == N_TUPLE && pair->n == 2) {
      n->b = own(p, n, pair->items[0]);
      n->c = own(p, n, pair->items[1]);
    } else {
      Diag *d = wrong(p, pair->span, "the interval of a `param` is a pair");
      diag_help(d, "write `param %s = ... in (0, inf)`", name.text ? name.text : "x");
    }
    init = init->items[0];
  }
  n->a = own(p, n, init);
  return n;
}

Node *mk_with(Parse *p, Tok word, Tok name, Node *seed, Node *body) {
  Node *n = mk(p, N_WITH, word.start, body->span.end);
  if (!name.text || strcmp(name.text, "seed") != 0) {
    Diag *d = wrong(p, (Span){name.start, name.end}, "`with` opens a random scope");
    diag_label(d, "expected `seed`");
    diag_help(d, "write `with seed(42) { ... }`");
  }
  n->a = own(p, n, seed);
  n->b = own(p, n, body);
  return n;
}

Node *mk_budget(Parse *p, Tok word, Node *body) {
  Node *n = mk(p, N_BUDGET, word.start, body->span.end);
  for (uint32_t i = 0; i < body->n; i++) {
    Node *s = body->items[i];
    if (s->kind == N_ERROR) continue;
    if (s->kind != N_ASSIGN || s->op != OP_NONE || s->a->kind != N_NAME) {
      diag_help(wrong(p, s->span, "a budget is a list of `name = limit`"),
                "write `budget { qpu_time = 2s }`");
      continue;
    }
    s->kind = N_PAIR;
    s->name = s->a->name;
    s->span2 = s->a->span;
    s->a = s->b;
    s->b = NULL;
    push(p, n, s);
  }
  return n;
}

/* In attention and model blocks `name = value` is an equation. */
static void equations(Node *body) {
  for (uint32_t i = 0; i < body->n; i++) {
    Node *s = body->items[i];
    if (s->kind != N_ASSIGN || s->op != OP_NONE || s->a->kind != N_NAME) continue;
    s->kind = N_EQUATION;
    s->name = s->a->name;
    s->span2 = s->a->span;
    s->a = s->b;
    s->b = NULL;
  }
}

/* J[heads, n] = value; the shape may be missing. */
Node *mk_shaped(Parse *p, Tok name, Node *shape, Tok end, Node *value) {
  Node *n = shape ? shape : mk_tok(p, N_PARAM, name);
  n->kind = N_PARAM;
  n->name = name.text;
  n->doc = name.doc;
  n->span = (Span){name.start, value ? value->span.end : shape ? shape->span.end : end.end};
  n->span2 = (Span){name.start, name.end};
  n->a = own(p, n, value);
  return n;
}

Node *mk_variables(Parse *p, Tok word, Node *list) {
  const char *w = p->source->text + word.start;
  list->op = w[0] == 'b' ? 0 : w[0] == 's' ? 1 : 3;     /* VarKind */
  list->span.start = word.start;
  list->span2 = (Span){word.start, word.end};
  return list;
}

Node *mk_register(Parse *p, Tok word, Node *list) {
  list->kind = N_REGISTER;
  list->op = p->source->text[word.start] == 'a';         /* ancilla */
  list->span.start = word.start;
  list->span2 = (Span){word.start, word.end};
  return list;
}

Node *mk_section(Parse *p, Tok word, int op, Node *expr, Node *block) {
  Node *n = mk(p, N_SECTION, word.start, block->span.end);
  n->op = (uint8_t)op;
  n->span2 = (Span){word.start, word.end};
  n->a = own(p, n, expr);
  n->b = own(p, n, block);
  return n;
}

Node *mk_constraint(Parse *p, Tok word, const Tok *name, Node *relation, Node *each, Node *penalty) {
  Node *n = each ? each : mk_tok(p, N_CONSTRAINT, word);
  n->kind = N_CONSTRAINT;
  n->name = name ? name->text : NULL;
  n->span2 = name ? (Span){name->start, name->end} : (Span){word.start, word.end};
  n->a = own(p, n, relation);
  n->c = own(p, n, penalty);
  n->span.start = word.start;
  n->span.end = penalty ? penalty->span.end : each ? n->span.end : relation->span.end;
  return n;
}

Node *mk_declaration(Parse *p, NodeKind k, Tok word, Tok name, Node *params, Node *body) {
  Node *n = params;
  n->kind = (uint8_t)k;
  n->name = name.text;
  n->doc = word.doc;
  n->span = (Span){word.start, body->span.end};
  n->span2 = (Span){name.start, name.end};
  if (k == N_ATTENTION || k == N_MODEL) equations(body);
  n->b = own(p, n, body);
  return n;
}
