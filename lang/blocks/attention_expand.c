/* attention_expand.c: the objective and the constraints of a block written out as sums of
 * monomials: products of at most two variables with a coefficient, summed over binders.
 *
 * Sums, products, quotients by what holds no variable, squares and choices are taken apart; what
 * is left of a coefficient stays an expression, which attention_part.c compiles.   */
#include "lang/blocks/attention_solve.h"

#include <string.h>

static bool named(const Node *n, const char *name) {
  return n->kind == N_NAME && !strcmp(n->name, name);
}

static Sum bad(void) { return (Sum){.bad = true}; }

static Sum room(Expand *x, int n) {
  Sum s = {.n = 0};
  s.mono = arena_alloc(&x->b->lo->source->arena, (size_t)(n + 1) * sizeof *s.mono);
  s.bad = !s.mono;
  return s;
}

const Scope *solve_bound(const Scope *s, const char *name) {
  while (s && strcmp(s->name, name)) s = s->outer;
  return s;
}

/* ---- does it hold variables? --------------------------------------------------------- */

typedef struct { const Expand *x; bool found, sums; } Look;

static bool is_sum(const Node *n) {
  return n->kind == N_CALL && n->n == 1 && named(n->a, "sum") && n->items[0]->kind == N_GEN;
}

static void look(Node *n, void *user) {
  Look *l = user;
  if (l->found) return;
  if (n->kind == N_NAME) {
    const Name *name = attn_find(l->x->b, n->name);
    if (named(n, l->x->array->name)) l->found = true;
    else if (name && name->kind == NAME_LET) look((Node *)name->decl, user);
    return;
  }
  l->sums |= is_sum(n);
  node_children(n, look, user);
}

bool solve_mentions(const Expand *x, const Node *n) {
  Look l = {x, false, false};
  look((Node *)n, &l);
  return l.found;
}

/* Nothing in it needs to be taken apart. */
static bool whole(const Expand *x, const Node *n) {
  Look l = {x, false, false};
  look((Node *)n, &l);
  return !l.found && !l.sums;
}

/* ---- sums and products ------------------------------------------------------------------ */

static Sum leaf(Expand *x, Piece piece) {
  Sum s = room(x, 1);
  if (s.bad) return s;
  s.mono[0] = (Mono){.sign = 1, .n_piece = 1};
  s.mono[0].piece[0] = piece;
  s.n = 1;
  return s;
}

static Sum plus(Expand *x, Sum a, Sum b, double sign) {
  if (a.bad || b.bad) return bad();
  Sum s = room(x, a.n + b.n);
  if (s.bad) return s;
  memcpy(s.mono, a.mono, (size_t)a.n * sizeof *a.mono);
  memcpy(s.mono + a.n, b.mono, (size_t)b.n * sizeof *b.mono);
  s.n = a.n + b.n;
  for (int k = a.n; k < s.n; k++) s.mono[k].sign *= sign;
  return s;
}

static bool same_var(const int *a, const int *b) {
  return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

static bool add_var(Expand *x, Mono *m, const int *var, const Node *at) {
  for (int k = 0; k < m->n_var; k++)
    if (same_var(m->var[k], var)) return true;         /* b^2 = b */
  if (m->n_var == 2) {
    Diag *d = attn_diag(x->b, at, "a product of three variables");
    diag_label(d, "the objective of an attention block is quadratic");
    diag_help(d, "leave it a product of two, or put what the third decides into the coefficient");
    return false;
  }
  memcpy(m->var[m->n_var++], var, sizeof *m->var);
  return true;
}

static bool add_binder(Expand *x, Mono *m, int id, const Node *at) {
  for (int k = 0; k < m->n_binder; k++)
    if (m->binder[k] == id) return true;
  if (m->n_binder == MONO_BINDERS) {
    attn_error(x->b, at, "a term runs over more than %d indices", MONO_BINDERS);
    return false;
  }
  m->binder[m->n_binder++] = id;
  return true;
}

static bool add_piece(Expand *x, Mono *m, Piece p) {
  if (m->n_piece == MONO_PIECES) {
    attn_error(x->b, p.node, "more than %d factors in a term", MONO_PIECES);
    return false;
  }
  m->piece[m->n_piece++] = p;
  return true;
}

static bool add_order(Expand *x, Mono *m, int a, int b, uint8_t op, const Node *at) {
  if (m->n_order == SOLVE_ORDERS) {
    attn_error(x->b, at, "more than %d comparisons of indices in a term", SOLVE_ORDERS);
    return false;
  }
  m->order[m->n_order].a = a;
  m->order[m->n_order].b = b;
  m->order[m->n_order++].op = op;
  return true;
}

static bool times(Expand *x, Mono *m, const Mono *o, const Node *at) {
  bool good = true;
  m->sign *= o->sign;
  for (int k = 0; k < o->n_piece && good; k++) good = add_piece(x, m, o->piece[k]);
  for (int k = 0; k < o->n_binder && good; k++) good = add_binder(x, m, o->binder[k], at);
  for (int k = 0; k < o->n_order && good; k++)
    good = add_order(x, m, o->order[k].a, o->order[k].b, o->order[k].op, at);
  for (int k = 0; k < o->n_var && good; k++) good = add_var(x, m, o->var[k], at);
  return good;
}

Sum solve_times(Expand *x, Sum a, Sum b, const Node *at) {
  if (a.bad || b.bad) return bad();
  if (a.n * b.n > 256) {
    attn_error(x->b, at, "this product has %d terms; at most 256 are written out", a.n * b.n);
    return bad();
  }
  Sum s = room(x, a.n * b.n);
  for (int i = 0; i < a.n && !s.bad; i++)
    for (int j = 0; j < b.n && !s.bad; j++) {
      s.mono[s.n] = a.mono[i];
      s.bad = !times(x, &s.mono[s.n++], &b.mono[j], at);
    }
  return s;
}

/* ---- variables ---------------------------------------------------------------------------- */

static int new_binder(Expand *x, const char *name, SolveKind kind, const Node *at) {
  if (x->n_binder == MAX_BINDERS) return attn_error(x->b, at, "more than %d indices", MAX_BINDERS);
  x->binder[x->n_binder].name = name;
  x->binder[x->n_binder].kind = kind;
  return x->n_binder++;
}

static void unbound(Expand *x, const Node *at, const char *name) {
  Diag *d = attn_diag(x->b, at, "`%s` is bound by no sum here", name);
  diag_help(d, "write `sum(... for %s)`", name);
}

/* Binder that stands at an index of a variable; -1: an error. */
static int var_index(Expand *x, const Node *e, SolveKind kind, const Scope *scope, Mono *m) {
  static const char *const runs[] = {"heads", "queries", "keys"};
  const Scope *s = e->kind == N_NAME ? solve_bound(scope, e->name) : NULL;
  if (s && x->binder[s->id].kind == kind) return s->id;
  if (s) {
    Diag *d = attn_diag(x->b, e, "`%s` runs over %s, and this index of `%s` counts %s", e->name,
                        runs[x->binder[s->id].kind], x->array->name, runs[kind]);
    diag_second(d, x->b->lo->source, x->array->span, "the array is declared here");
    return -1;
  }
  if (e->kind == N_NAME && attn_find(x->b, e->name) &&
      (named(e, "i") || named(e, "j") || named(e, "h"))) {
    unbound(x, e, e->name);
    return -1;
  }
  if (e->kind == N_RANGE || e->kind == N_ALL)
    return attn_error(x->b, e, "a slice is no variable; write a sum");
  int id = new_binder(x, "", kind, e);          /* the index that has e's value */
  if (id < 0 || !add_binder(x, m, id, e) ||
      !add_piece(x, m, (Piece){.node = e, .scope = scope, .guard = true, .equal = id}))
    return -1;
  return id;
}

static Sum variable(Expand *x, const Node *n, const Scope *scope) {
  const AttnSolve *z = x->solve;
  Sum s = room(x, 1);
  int var[3] = {-1, -1, -1};
  if (s.bad) return s;
  s.mono[0] = (Mono){.sign = 1};
  if (n->kind == N_INDEX && (int)n->n != z->rank) {
    Diag *d = attn_diag(x->b, n, "`%s` has %d ind%s, found %u", z->name, z->rank,
                        z->rank == 1 ? "ex" : "ices", n->n);
    diag_second(d, x->b->lo->source, x->array->span, "declared here");
    return bad();
  }
  for (int k = 0; k < z->rank; k++) {
    const Node *e = n->kind == N_INDEX ? n->items[k] : NULL;
    const SolveKind kind = (SolveKind)z->index[k];
    const char *own = x->array->items[k]->name;
    if (e) var[kind] = var_index(x, e, kind, scope, &s.mono[0]);
    else {
      const Scope *at = solve_bound(scope, own);
      if (!at) {
        unbound(x, n, own);
        return bad();
      }
      var[kind] = at->id;
    }
    if (var[kind] < 0) return bad();
  }
  s.bad = !add_var(x, &s.mono[0], var, n);
  s.n = 1;
  return s;
}

/* ---- binders --------------------------------------------------------------------------------- */

typedef struct { const Expand *x; const char *name; int kind; } Infer;

static void infer(Node *n, void *user) {
  Infer *f = user;
  if (f->kind >= 0) return;
  if (n->kind == N_INDEX && n->a->kind == N_NAME)
    for (uint32_t k = 0; k < n->n; k++) {
      if (!named(n->items[k], f->name)) continue;
      if (named(n->a, "q")) f->kind = SOLVE_QUERY;
      else if (named(n->a, "k")) f->kind = SOLVE_KEY;
      else if (named(n->a, f->x->array->name) && (int)k < f->x->solve->rank)
        f->kind = f->x->solve->index[k];
      if (f->kind >= 0) return;
    }
  node_children(n, infer, user);
}

static int kind_of(const Expand *x, const char *name, const Node *body, const Node *guard) {
  Infer f = {x, name, -1};
  if (!strcmp(name, "h")) return SOLVE_HEAD;
  if (!strcmp(name, "i")) return SOLVE_QUERY;
  if (!strcmp(name, "j")) return SOLVE_KEY;
  infer((Node *)body, &f);
  if (guard) infer((Node *)guard, &f);
  return f.kind;
}

static const Node *range_of(const Node *gen, uint32_t i) {
  for (; i < gen->n; i++)
    if (gen->items[i]->kind == N_BIND && gen->items[i]->a) return gen->items[i]->a;
  return NULL;
}

/* lo <= name, name < hi, unless that is the whole axis. */
static bool range_guard(Expand *x, const Node *range, const Node *item, SolveKind kind,
                        const Scope *scope, Mono *m) {
  static const char *const all[] = {"heads", "n_q", "n_k"};
  Source *s = x->b->lo->source;
  if (!range) return true;
  if (range->kind != N_RANGE || !range->a || !range->b) {
    Diag *d = attn_diag(x->b, range, "an index runs over a range");
    diag_help(d, "write `%s in 0..n_k`, or leave it to its use", item->name);
    return false;
  }
  for (int side = 0; side < 2; side++) {
    const Node *end = side ? range->b : range->a;
    if (side ? !range->op && named(end, all[kind]) : end->kind == N_INT && end->i == 0) continue;
    Node *c = node_new(s, N_COMPARE, range);
    if (!c || !(c->ops = arena_alloc(&s->arena, 1))) return false;
    c->ops[0] = side ? (range->op ? OP_LE : OP_LT) : OP_GE;
    node_push(s, c, node_name(s, item->name, item));
    node_push(s, c, node_copy(s, end));
    if (!add_piece(x, m, (Piece){.node = c, .scope = scope, .guard = true, .equal = -1}))
      return false;
  }
  return true;
}

static const Scope *bind(Expand *x, const Node *item, int kind, const Scope *scope, Mono *m) {
  Scope *s = arena_alloc(&x->b->lo->source->arena, sizeof *s);
  if (!s) return NULL;
  *s = (Scope){item->name, new_binder(x, item->name, (SolveKind)kind, item), scope};
  return s->id >= 0 && add_binder(x, m, s->id, item) ? s : NULL;
}

static const Scope *order(Expand *x, const Node *c, const Node *body, const Node *guard,
                          const Scope *scope, Mono *m) {
  int kind = -1;
  for (uint32_t k = 0; k < c->n && kind < 0; k++) kind = kind_of(x, c->items[k]->name, body, guard);
  if (kind < 0) kind = SOLVE_KEY;
  for (uint32_t k = 0; k < c->n; k++) {
    int own = kind_of(x, c->items[k]->name, body, guard);
    if (own >= 0 && own != kind) {
      attn_error(x->b, c->items[k], "`%s` and `%s` run over different things",
                 c->items[0]->name, c->items[k]->name);
      return NULL;
    }
    if (!(scope = bind(x, c->items[k], kind, scope, m))) return NULL;
    if (k && !add_order(x, m, scope->outer->id, scope->id, c->ops[k - 1], c)) return NULL;
    if (!range_guard(x, c->a, c->items[k], (SolveKind)kind, scope, m)) return NULL;
  }
  return scope;
}

/* j != l and the like between indices that the sum has bound belongs to its structure. */
static bool guard_of(Expand *x, const Node *g, const Scope *scope, Mono *m) {
  if (g->kind == N_AND)
    return guard_of(x, g->a, scope, m) && guard_of(x, g->b, scope, m);
  const Scope *a = NULL, *b = NULL;
  if (g->kind == N_COMPARE && g->n == 2 && g->items[0]->kind == N_NAME &&
      g->items[1]->kind == N_NAME) {
    a = solve_bound(scope, g->items[0]->name);
    b = solve_bound(scope, g->items[1]->name);
  }
  if (a && b && x->binder[a->id].kind == x->binder[b->id].kind && g->ops[0] >= OP_EQ &&
      g->ops[0] <= OP_GE)
    return add_order(x, m, a->id, b->id, g->ops[0], g);
  return add_piece(x, m, (Piece){.node = g, .scope = scope, .guard = true, .equal = -1});
}

const Scope *solve_clauses(Expand *x, const Node *gen, const Node *body, const Node *guard,
                           const Scope *scope, Mono *m, bool *failed) {
  *failed = true;
  for (uint32_t i = 0; i < gen->n; i++) {
    const Node *c = gen->items[i];
    if (c->kind == N_ORDER) {
      if (!(scope = order(x, c, body, guard, scope, m))) return NULL;
      continue;
    }
    for (uint32_t k = 0; k < c->n; k++) {
      const Node *item = c->items[k];
      if (item->kind != N_NAME) {
        attn_error(x->b, item, "an index of a problem is one name");
        return NULL;
      }
      int kind = kind_of(x, item->name, body, guard);
      if (kind < 0) {
        Diag *d = attn_diag(x->b, item, "it is not known what `%s` runs over", item->name);
        diag_help(d, "it is read off its use: k[%s], q[%s] or %s[%s]", item->name, item->name,
                  x->array->name, item->name);
        return NULL;
      }
      if (!(scope = bind(x, item, kind, scope, m)) ||
          !range_guard(x, range_of(gen, i), item, (SolveKind)kind, scope, m))
        return NULL;
    }
  }
  *failed = guard && !guard_of(x, guard, scope, m);
  return scope;
}

/* ---- sum(...) --------------------------------------------------------------------------------- */

static Sum generator(Expand *x, const Node *gen, const Scope *scope) {
  bool failed;
  Sum head = room(x, 1);
  if (head.bad) return head;
  head.mono[0] = (Mono){.sign = 1};
  head.n = 1;
  const Scope *inner = solve_clauses(x, gen, gen->a, gen->b, scope, &head.mono[0], &failed);
  if (failed) return bad();
  return solve_times(x, solve_expand(x, gen->a, inner), head, gen->a);
}

/* sum(b): over all its indices. */
static Sum sum_of_all(Expand *x, const Node *n) {
  Sum s = room(x, 1);
  int var[3] = {-1, -1, -1};
  if (s.bad) return s;
  s.mono[0] = (Mono){.sign = 1};
  for (int k = 0; k < x->solve->rank && !s.bad; k++) {
    const SolveKind kind = (SolveKind)x->solve->index[k];
    var[kind] = new_binder(x, "", kind, n);
    s.bad = var[kind] < 0 || !add_binder(x, &s.mono[0], var[kind], n);
  }
  if (!s.bad) s.bad = !add_var(x, &s.mono[0], var, n);
  s.n = 1;
  return s;
}

/* ---- expressions ---------------------------------------------------------------------------------- */

static Sum no_place(Expand *x, const Node *n, const char *what) {
  Diag *d = attn_diag(x->b, n, "%s", what);
  diag_label(d, "variables enter by +, -, *, sums and squares");
  diag_help(d, "a coefficient may be any function of the vectors; `%s` is multiplied with it",
            x->array->name);
  return bad();
}

static Sum power(Expand *x, const Node *n, const Scope *scope) {
  if (n->b->kind != N_INT || n->b->i < 1 || n->b->i > 2)
    return no_place(x, n, "a power of variables is a square");
  Sum s = solve_expand(x, n->a, scope);
  return n->b->i == 1 ? s : solve_times(x, s, solve_expand(x, n->a, scope), n);
}

static Sum quotient(Expand *x, const Node *n, const Scope *scope) {
  if (!whole(x, n->b)) return no_place(x, n->b, "nothing is divided by variables or by a sum");
  Sum below = leaf(x, (Piece){.node = n->b, .scope = scope, .inverse = true, .equal = -1});
  return solve_times(x, solve_expand(x, n->a, scope), below, n);
}

static Sum choice(Expand *x, const Node *n, const Scope *scope) {
  if (!n->c || !whole(x, n->a))
    return no_place(x, n, n->c ? "a condition here holds no variables"
                               : "`if` without `else` has no value here");
  Sum yes = leaf(x, (Piece){.node = n->a, .scope = scope, .guard = true, .equal = -1});
  Sum no = leaf(x, (Piece){.node = n->a, .scope = scope, .guard = true, .no = true, .equal = -1});
  return plus(x, solve_times(x, solve_expand(x, n->b, scope), yes, n),
              solve_times(x, solve_expand(x, n->c, scope), no, n), 1);
}

static Sum call(Expand *x, const Node *n, const Scope *scope) {
  if (is_sum(n)) return generator(x, n->items[0], scope);
  if (named(n->a, "sum") && n->n == 1 && named(n->items[0], x->array->name))
    return sum_of_all(x, n);
  if (solve_mentions(x, n)) return no_place(x, n, "variables cannot be arguments of a function");
  Diag *d = attn_diag(x->b, n, "a sum cannot stand inside a function here");
  diag_help(d, "a coefficient is a product of functions of two positions; only sums of such "
               "products are added up");
  return bad();
}

static Sum name(Expand *x, const Node *n, const Scope *scope) {
  if (named(n, x->array->name)) return variable(x, n, scope);
  const Name *let = attn_find(x->b, n->name);
  return let && let->kind == NAME_LET ? solve_expand(x, let->decl, scope) : bad();
}

Sum solve_expand(Expand *x, const Node *n, const Scope *scope) {
  if (whole(x, n)) return leaf(x, (Piece){.node = n, .scope = scope, .equal = -1});
  switch (n->kind) {
  case N_NAME: return name(x, n, scope);
  case N_INDEX:
    if (named(n->a, x->array->name)) return variable(x, n, scope);
    break;
  case N_CALL: return call(x, n, scope);
  case N_UNARY:
    if (n->op == OP_NEG) return plus(x, room(x, 0), solve_expand(x, n->a, scope), -1);
    break;
  case N_IF: return choice(x, n, scope);
  case N_BLOCK:
    if (n->n == 1) return solve_expand(x, n->items[0], scope);
    break;
  case N_BINARY:
    switch (n->op) {
    case OP_ADD:
    case OP_SUB:
      return plus(x, solve_expand(x, n->a, scope), solve_expand(x, n->b, scope),
                  n->op == OP_ADD ? 1 : -1);
    case OP_MUL:
      return solve_times(x, solve_expand(x, n->a, scope), solve_expand(x, n->b, scope), n);
    case OP_DIV: return quotient(x, n, scope);
    case OP_POW: return power(x, n, scope);
    default: break;
    }
    break;
  default: break;
  }
  if (!solve_mentions(x, n)) return leaf(x, (Piece){.node = n, .scope = scope, .equal = -1});
  return no_place(x, n, "variables cannot stand here");
}
