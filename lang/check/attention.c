/* attention.c: the rules of an attention block: which equations there are,
 * what each may use, and that the vectors q and k go through a product or a
 * distance.                                                                  */
#include "lang/check/checker.h"
#include <string.h>

static const char *const equations[] = {"score",   "weight",  "mask",    "norm", "prep", "select",
                                        "dropout", "iterate", "sampler", "grad", NULL};

static bool one_of(const char *name, const char *const *list) {
  for (; *list; list++) if (strcmp(*list, name) == 0) return true;
  return false;
}

/* ---- q and k are vectors -------------------------------------------------------------- */

static bool is_given(Checker *c, const Node *n, const char *name) {
  if (n->kind != N_NAME || strcmp(n->name, name) != 0) return false;
  const Bind *b = find(c, n->name);
  return b && b->kind == B_GIVEN;
}

static bool is_vector(Checker *c, const Node *n) {
  const Node *base = n->kind == N_INDEX ? n->a : n;
  return is_given(c, base, "q") || is_given(c, base, "k");
}

typedef struct { Checker *c; bool allowed; bool *told; } Vectors;   /* one error an equation */

static void vectors(Node *n, void *user) {
  static const char *const two[] = {"dot", "dist2", "cos", "l1", "overlap", NULL};
  static const char *const one[] = {"norm2", NULL};
  Vectors *v = user, inner = {v->c, false, v->told};
  if (is_vector(v->c, n)) {
    if (!v->allowed && !*v->told) {
      *v->told = true;
      const char *x = n->kind == N_INDEX ? n->a->name : n->name;
      Diag *d = check_error(v->c, n->span, "`%s` is a vector", x);
      diag_label(d, "a scalar is due here");
      diag_help(d,
                "use it through `dot(q, k)`, `dist2(q, k)`, `cos(q, k)`, `l1(q, k)`, `overlap(q, "
                "k)` or `norm2(%s)`",
                x);
    }
    if (n->kind == N_INDEX)
      for (uint32_t i = 0; i < n->n; i++) vectors(n->items[i], &inner);
    return;
  }
  bool call = n->kind == N_CALL && n->a->kind == N_NAME;
  if (call && ((one_of(n->a->name, two) && n->n == 2) || (one_of(n->a->name, one) && n->n == 1))) {
    Vectors direct = {v->c, true, v->told};
    for (uint32_t i = 0; i < n->n; i++) {
      bool vector = is_vector(v->c, n->items[i]) || n->items[i]->kind == N_NAME ||
                    n->items[i]->kind == N_INDEX;
      vectors(n->items[i], vector ? &direct : &inner);
    }
    return;
  }
  node_children(n, vectors, &inner);
}

void no_vectors(Checker *c, Node *n) {
  bool told = false;
  Vectors v = {c, false, &told};
  if (n) vectors(n, &v);
}

/* ---- equations ---------------------------------------------------------------------------- */

static void unknown_equation(Checker *c, const Node *e) {
  Diag *d = check_error(c, e->span2, "an attention block has no equation `%s`", e->name);
  Nearest near = nearest_of(e->name);
  for (int i = 0; equations[i]; i++) nearest_try(&near, equations[i]);
  if (near.best) diag_help(d, "did you mean `%s = ...`?", near.best);
  else diag_help(d, "an intermediate is bound by `let %s = ...`", e->name);
}

static Span first_of(const Node *n) { return n->span; }

/* Names in `norm` belong to a row: nothing of one pair. */
typedef struct { Checker *c; bool ok; } Row;
static void row_names(Node *n, void *user) {
  Row *r = user;
  static const char *const pair[] = {"q", "k", "i", "j", NULL};
  if (r->ok && n->kind == N_NAME && one_of(n->name, pair)) {
    const Bind *b = find(r->c, n->name);
    if (b && b->kind == B_GIVEN) {
      r->ok = false;
      Diag *d = check_error(r->c, n->span, "`norm` belongs to a whole row, not to one pair");
      diag_label(d, "`%s` is not known here", n->name);
      diag_help(d, "use params, `h`, `n_q`, `n_k`, and `sum`, `max`, `l2`, `l1` of the row");
    }
  }
  node_children(n, row_names, user);
}

static void norm(Checker *c, Node *e) {
  static const char *const words[] = {"sum", "none", "length",    "max",
                                      "l2",  "l1",   "sparsemax", "entmax", "sinkhorn", NULL};
  Row r = {c, true};
  row_names(e->a, &r);
  if (!r.ok) return;
  if (e->a->kind == N_NAME && !find(c, e->a->name) && !one_of(e->a->name, words)) {
    Diag *d = check_error(c, e->a->span, "`%s` is not a normalisation", e->a->name);
    Nearest near = nearest_of(e->a->name);
    for (int i = 0; words[i]; i++) nearest_try(&near, words[i]);
    diag_label(d, "expected sum, none, length, max, l2, l1, sparsemax, entmax(alpha), "
                  "sinkhorn(rounds) or an expression");
    if (near.best) diag_help(d, "did you mean `norm = %s`?", near.best);
    else if (strcmp(e->a->name, "softmax") == 0)
      diag_help(d, "softmax is `score = ...` with `norm = sum`");
    return;
  }
  if (e->a->kind == N_STR) {
    diag_help(check_error(c, e->a->span, "a normalisation is a name, not a text"),
              "write `norm = %s`", e->a->name);
    return;
  }
  if (e->a->kind == N_NAME && strcmp(e->a->name, "sinkhorn") == 0) {
    diag_help(check_error(c, e->a->span, "`sinkhorn` wants its rounds"),
              "write `norm = sinkhorn(5)`");
    return;
  }
  if (e->a->kind == N_NAME && strcmp(e->a->name, "entmax") == 0) {
    diag_help(check_error(c, e->a->span, "`entmax` wants its alpha"), "write `norm = entmax(1.5)`");
    return;
  }
  int mark = scope_open(c);
  for (int i = 0; words[i]; i++) bind_name(c, B_GIVEN, words[i], first_of(e), NULL);
  if (!(e->a->kind == N_CALL && e->a->a->kind == N_NAME && one_of(e->a->a->name, words)))
    walk(c, e->a);
  else for (uint32_t i = 0; i < e->a->n; i++) walk(c, e->a->items[i]);
  scope_close(c, mark);
}

static void choice(Checker *c, Node *e, const char *const *words, const char *const *calls,
                   const char *help) {
  Node *v = e->a;
  bool ok = v->kind == N_NAME && one_of(v->name, words);
  if (v->kind == N_CALL && v->a->kind == N_NAME && one_of(v->a->name, calls) && v->n == 1) {
    walk(c, v->items[0]);
    return;
  }
  if (ok) return;
  Diag *d = check_error(c, v->span, "`%s` does not take this", e->name);
  diag_help(d, "%s", help);
}

static void prep(Checker *c, Node *e) {
  static const char *const words[] = {"unit", "rms", NULL};
  Node *v = e->a;
  if (v->kind == N_NAME && one_of(v->name, words)) return;
  bool call = v->kind == N_CALL && v->a->kind == N_NAME;
  if (call && (strcmp(v->a->name, "rope") == 0 || strcmp(v->a->name, "rows") == 0)) {
    for (uint32_t i = 0; i < v->n; i++) walk(c, v->items[i]);
    return;
  }
  Known k = walk(c, v);
  if (k.kind != K_ANY && k.kind != K_FN)
    diag_help(check_error(c, v->span, "`prep` wants a map of vectors"),
              "write `unit`, `rms`, `rope(10000)`, a function `x => ...` or `rows(f)`");
}

static void small_number(Checker *c, Node *e) {
  Known k = walk(c, e->a);
  bool dropout = strcmp(e->name, "dropout") == 0;
  if (dropout && e->a->kind == N_FLOAT && (e->a->f < 0 || e->a->f >= 1))
    diag_help(check_error(c, e->a->span, "`dropout` is a probability below 1"),
              "write `dropout = 0.1`");
  if (dropout && k.kind == K_INT && k.constant && k.value != 0)
    diag_help(check_error(c, e->a->span, "`dropout` is a probability below 1"),
              "write `dropout = 0.1`");
  if (!dropout && (k.kind == K_FLOAT || (k.constant && k.value < 1)))
    diag_help(check_error(c, e->a->span, "`iterate` counts rounds"), "write `iterate = 3`");
}

static void scalar(Checker *c, Node *e) {
  no_vectors(c, e->a);
  Known k = walk(c, e->a);
  bool mask = strcmp(e->name, "mask") == 0;
  if (mask && (is_number(&k) && k.kind != K_BOOL)) {
    Diag *d = check_error(c, e->a->span, "`mask` is a condition");
    diag_label(d, "this is %s", kind_name(&k));
    diag_help(d, "write for example `mask = j <= i`");
  } else if (!mask && (k.kind == K_BOOL || k.kind == K_STR || k.kind == K_NIL || k.kind == K_FN)) {
    Diag *d = check_error(c, e->a->span, "`%s` is a number for each pair", e->name);
    diag_label(d, "this is %s", kind_name(&k));
    if (k.kind == K_BOOL) diag_help(d, "a condition is a `mask = ...`");
  }
}

static void equation(Checker *c, Node *e, const Solve *z) {
  static const char *const selects[] = {"sample", "argmax", NULL};
  static const char *const select_calls[] = {"top", "sample", "argmax", NULL};
  static const char *const grads[] = {"straight_through", NULL}, *const none[] = {NULL};
  const char *n = e->name;
  if (strcmp(n, "score") == 0 || strcmp(n, "weight") == 0 || strcmp(n, "mask") == 0) scalar(c, e);
  else if (strcmp(n, "norm") == 0) norm(c, e);
  else if (strcmp(n, "prep") == 0) prep(c, e);
  else if (strcmp(n, "select") == 0)
    choice(c, e, selects, select_calls,
           "write `select = top(m)`, `select = argmax` or `select = sample`");
  else if (strcmp(n, "grad") == 0) {
    if (z->any) solve_grad(c, e);
    else choice(c, e, grads, none, "write `grad = straight_through`");
  } else if (strcmp(n, "dropout") == 0 || strcmp(n, "iterate") == 0) small_number(c, e);
  else solve_sampler(c, e, z);
}

/* 2, 0.5, -1: leaves *x alone when it is none of these. */
static bool literal_number(const Node *n, double *x) {
  bool minus = n && n->kind == N_UNARY && n->op == OP_NEG;
  if (minus) n = n->a;
  if (!n || (n->kind != N_INT && n->kind != N_FLOAT)) return false;
  double v = n->kind == N_INT ? (double)n->i : n->f;
  *x = minus ? -v : v;
  return true;
}

static void leaf(Checker *c, Node *n) {
  for (uint32_t i = 0; i < n->n; i++) walk(c, n->items[i]);
  if (!n->a) {
    Diag *d = check_error(c, n->span, "`param %s` has no initial value", n->name);
    diag_help(d, "write `param %s = 1.0`", n->name);
  }
  walk(c, n->a);
  walk(c, n->b);
  walk(c, n->c);
  double lo = -1e308, hi = 1e308, v = 0;
  literal_number(n->b, &lo);
  literal_number(n->c, &hi);
  bool literal = literal_number(n->a, &v);
  if (lo >= hi)
    diag_label(check_error(c, n->b->span, "this interval is empty"), "the lower end comes first");
  else if (literal && n->b && (v <= lo || v >= hi)) {
    Diag *d = check_error(c, n->a->span, "the initial value lies outside the open interval");
    diag_second(d, c->source, (Span){n->b->span.start, n->c->span.end}, "the interval");
  }
  bind_name(c, B_LEAF, n->name, n->span2, n);
}

/* Nothing else stands in the block. */
static void stranger(Checker *c, Node *s) {
  Diag *d = check_error(c, s->span, "this cannot stand in an attention block");
  diag_label(d, "expected `param`, `let`, an equation, `binary`, `minimize` or `subject to`");
  if (s->kind == N_VAR) {
    diag_help(d, "write `let`");
    bind_pattern(c, B_LET, s->a, known(K_ANY), s);
  } else
    diag_help(d, "equations are `score = ...` or `weight = ...`, `mask`, `norm`, `prep`, `select`, "
                 "`dropout`, `iterate`");
}

static void required(Checker *c, Node *decl, const Node *score, const Node *weight, bool broken) {
  if (score && weight) {
    Diag *d = check_error(c, weight->span2, "an attention block has `score` or `weight`, not both");
    diag_second(d, c->source, score->span2, "`score` is here");
    diag_help(d, "`score = s` is the same as `weight = exp(s)`");
  } else if (!score && !weight && !broken) {
    Diag *d =
        check_error(c, decl->span2, "attention `%s` has neither `score` nor `weight`", decl->name);
    diag_help(d, "add `score = dot(q, k) / sqrt(d)`");
  }
}

void check_attention(Checker *c, Node *decl) {
  static const char *const vector[] = {"q", "k", NULL};
  static const char *const ints[] = {"i", "j", "n_q", "n_k", "d", "h", "heads", "batch", NULL};
  const Node *seen[16] = {0}, *score = NULL, *weight = NULL;
  bool broken = false;
  Solve z = {0};
  int mark = scope_open(c), errors = c->diags->errors;
  const Node *outer = c->block;
  Node *body = decl->b;
  c->fn++;
  c->in_attention = true;
  c->block = body;
  for (int i = 0; vector[i]; i++) {
    Bind *b = bind_name(c, B_GIVEN, vector[i], decl->span2, NULL);
    if (b) b->known = known(K_VECTOR);
  }
  for (int i = 0; ints[i]; i++) {
    Bind *b = bind_name(c, B_GIVEN, ints[i], decl->span2, NULL);
    if (b) b->known = known(K_INT);
  }
  walk_params(c, decl);
  for (uint32_t i = 0; i < body->n; i++) z.any |= body->items[i]->kind == N_VARIABLES;
  for (uint32_t i = 0; i < body->n; i++) {
    Node *s = body->items[i];
    if (s->kind == N_LEAF) leaf(c, s);
    else if (s->kind == N_LET) { no_vectors(c, s->b); walk_statement(c, s, false); }
    else if (s->kind == N_ERROR) broken = true;
    else if (s->kind == N_VARIABLES) broken |= !solve_variables(c, s, &z);
    else if (s->kind == N_OBJECTIVE) broken |= !solve_objective(c, s, &z);
    else if (s->kind == N_CONSTRAINT) broken |= !solve_constraint(c, s, &z);
    else if (s->kind != N_EQUATION) stranger(c, s);
    else if (!one_of(s->name, equations)) { unknown_equation(c, s); broken = true; }
    else {
      int e = 0;
      while (strcmp(equations[e], s->name) != 0) e++;
      if (seen[e]) {
        Diag *d = check_error(c, s->span2, "`%s` is given twice", s->name);
        diag_second(d, c->source, seen[e]->span2, "the first is here");
        continue;
      }
      seen[e] = s;
      if (e == 0) score = s;
      if (e == 1) weight = s;
      equation(c, s, &z);
    }
  }
  required(c, decl, score, weight, broken);
  if (c->diags->errors == errors && !broken) solve_whole(c, decl, &z);
  c->in_attention = false;
  c->block = outer;
  c->fn--;
  scope_close(c, mark);
}
