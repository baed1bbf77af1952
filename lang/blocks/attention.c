/* attention.c: `attention NAME(args) { equations }` becomes a function that
 * makes instances (see lang/bind/attention.h for its form).                  */
#include "lang/blocks/attention_solve.h"
#include "lang/blocks/attention_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Node *equation(const Node *decl, const char *name) {
  for (uint32_t i = 0; i < decl->b->n; i++) {
    const Node *s = decl->b->items[i];
    if (s->kind == N_EQUATION && !strcmp(s->name, name)) return s;
  }
  return NULL;
}

/* ---- params ---------------------------------------------------------------------- */

static bool literal(const Node *n, double *out) {
  if (!n) return false;
  if (n->kind == N_INT) *out = (double)n->i;
  else if (n->kind == N_FLOAT) *out = n->f;
  else if (n->kind == N_NAME && !strcmp(n->name, "inf")) *out = INFINITY;
  else if (n->kind == N_UNARY && n->op == OP_NEG && literal(n->a, out)) *out = -*out;
  else return false;
  return true;
}

typedef struct { bool found; } Extents;
static void look_for_extents(Node *n, void *user) {
  if (n->kind == N_NAME && (!strcmp(n->name, "d") || !strcmp(n->name, "heads")))
    ((Extents *)user)->found = true;
  node_children(n, look_for_extents, user);
}

static bool needs_extents(const Node *leaf) {
  Extents e = {false};
  Node *parts[] = {leaf->a, leaf->b, leaf->c};
  for (int k = 0; k < 3; k++)
    if (parts[k]) look_for_extents(parts[k], &e);
  for (uint32_t i = 0; i < leaf->n; i++) look_for_extents(leaf->items[i], &e);
  return e.found;
}

static void declare_params(Build *b, AttnDecl *decl) {
  const Node *body = b->decl->b;
  for (uint32_t i = 0; i < body->n; i++) {
    const Node *leaf = body->items[i];
    if (leaf->kind != N_LEAF) continue;
    double lo = -INFINITY, hi = INFINITY;
    literal(leaf->b, &lo);
    literal(leaf->c, &hi);
    char *name = arena_text(b->arena, leaf->name, strlen(leaf->name));
    int slot = prog_add_slot(b->p, name ? name : "", lo, hi);
    attn_bind(b, (Name){.name = leaf->name, .kind = NAME_PARAM, .slot = slot, .decl = leaf});
    if (slot < 64 && !needs_extents(leaf)) decl->early |= (uint64_t)1 << slot;
    b->n_param++;
  }
}

/* What every equation sees. */
static void declare_names(Build *b) {
  static const struct { const char *name; int var; } vars[] = {
    {"i", AV_I}, {"j", AV_J}, {"n_q", AV_NQ}, {"n_k", AV_NK}, {"d", AV_D}, {"h", AV_H},
    {"heads", AV_HEADS}, {"batch", AV_BATCH},
  };
  for (size_t k = 0; k < sizeof vars / sizeof *vars; k++)
    attn_bind(b,
              (Name){.name = vars[k].name, .kind = NAME_NODE, .node = prog_var(b->p, vars[k].var)});
  attn_bind(b, (Name){.name = "q", .kind = NAME_VECTOR, .side = ATTN_Q});
  attn_bind(b, (Name){.name = "k", .kind = NAME_VECTOR, .side = ATTN_K});
}

void attn_declare_lets(Build *b) {
  const Node *body = b->decl->b;
  for (uint32_t i = 0; i < body->n; i++) {
    const Node *s = body->items[i];
    if (s->kind != N_LET) continue;
    if (s->a->kind != N_NAME) attn_error(b, s->a, "an intermediate of an equation has one name");
    else
      attn_bind(b, (Name){.name = s->a->name, .kind = NAME_LET, .decl = s->b, .scope = b->names});
  }
}

/* ---- equations --------------------------------------------------------------------- */

static bool is_name(const Node *n, const char *name) {
  return n->kind == N_NAME && !strcmp(n->name, name);
}
static const Node *call_of(const Node *n, const char *name) { /* name(x): x */
  bool fits = n->kind == N_CALL && is_name(n->a, name) && n->n == 1 && n->items[0]->kind != N_ARG;
  return fits ? n->items[0] : NULL;
}

static void norm_expression(Build *b, const Node *n) {
  const Name *before = b->names;
  static const struct { const char *name; int var; } stats[] = {
    {"sum", AV_SUM}, {"max", AV_MAX}, {"l2", AV_L2}, {"l1", AV_L1},
    {"length", AV_COUNT},
  };
  for (size_t k = 0; k < sizeof stats / sizeof *stats; k++)
    attn_bind(
        b, (Name){.name = stats[k].name, .kind = NAME_NODE, .node = prog_var(b->p, stats[k].var)});
  int phi = attn_translate(b, n);
  b->names = before;
  if (phi < 0) return;
  if (b->p->node[phi].stage & PS_COL)
    attn_error(b, n, "`norm` belongs to a whole row, not to one pair");
  b->spec->phi = phi;
}

/* A scalar that is the same for all pairs. */
static int once(Build *b, const Node *e) {
  int node = attn_translate(b, e);
  if (node >= 0 && b->p->node[node].stage != PS_ONCE)
    return attn_error(b, e, "this must be the same for all queries and keys");
  return node;
}

/* What the function after `prep =` may not use: names of pairs and rows, `let`s,
 * params with an entry a head. */
typedef struct { Build *b; bool told; } PrepNames;
static void bind_names(Node *n, void *user) {
  Build *b = user;
  if (n->kind == N_NAME || n->kind == N_PARAM)
    attn_bind(b, (Name){.name = n->name, .kind = NAME_OUTER});
  else if (n->kind == N_TUPLE) node_children(n, bind_names, user);
  else if (n->kind == N_BIND || n->kind == N_ORDER)
    for (uint32_t i = 0; i < n->n; i++) bind_names(n->items[i], user);
  else if (n->kind == N_LET || n->kind == N_VAR) bind_names(n->a, user);
}

static void prep_names(Node *n, void *user) {
  PrepNames *p = user;
  if (p->told) return;
  if (n->kind == N_LAMBDA || n->kind == N_BLOCK || n->kind == N_COMPREHENSION || n->kind == N_GEN ||
      n->kind == N_FOR) { /* what is bound inside hides the equations' names */
    const Name *before = p->b->names;
    for (uint32_t i = 0; i < n->n; i++) {
      bool binds = n->items[i]->kind != N_NAME && n->items[i]->kind != N_TUPLE;
      if (binds) bind_names(n->items[i], p->b);
    }
    node_children(n, prep_names, user);
    p->b->names = before;
    return;
  }
  const Name *x = n->kind == N_NAME ? attn_find(p->b, n->name) : NULL;
  if (x && x->kind != NAME_OUTER && x->kind != NAME_PARAM) {
    p->told = true;
    diag_help(attn_diag(p->b, n, "`prep` is a function of one vector: `%s` is not known in it",
                        n->name),
              "it sees params, parameters of the attention and names of the file; `len(x)` is the "
              "length of the vector");
  } else if (x && x->kind == NAME_PARAM) {
    for (uint32_t i = 0; i < x->decl->n; i++)
      if (is_name(x->decl->items[i], "heads")) p->told = true;
    if (p->told)
      diag_help(attn_diag(p->b, n,
                          "`%s` has an entry a head, and `prep` maps the vectors of all heads",
                          n->name), "declare it without `[heads]`");
  }
  if (!p->told) node_children(n, prep_names, user);
}

static void set_norm(Build *b, const Node *e) {
  AttnSpec *s = b->spec;
  const Node *n = e->a, *alpha = call_of(n, "entmax"), *rounds = call_of(n, "sinkhorn");
  if (is_name(n, "none")) s->phi = prog_const(b->p, 1);
  else if (is_name(n, "sparsemax")) s->norm = ATTN_NORM_SPARSEMAX;
  else if (alpha) {
    s->norm = ATTN_NORM_ENTMAX;
    s->alpha = attn_translate(b, alpha);
    double a;
    if (prog_is_const(b->p, s->alpha, &a) && !(a >= 1))
      diag_help(attn_diag(b, alpha, "entmax wants alpha from 1"),
                "1 is softmax, 2 is sparsemax, 1.5 lies between");
  } else if (rounds) {
    double c;
    s->norm = ATTN_NORM_SINKHORN;
    s->rounds = once(b, rounds);
    if (prog_is_const(b->p, s->rounds, &c) && !(c >= 0 && c == floor(c)))
      diag_help(attn_diag(b, rounds, "sinkhorn takes a whole number of rounds"),
                "write `norm = sinkhorn(5)`");
  } else norm_expression(b, n);
  if (s->norm != ATTN_NORM_PHI && !s->log) {
    Diag *d = attn_diag(b, n, "this norm works on a score");
    diag_help(d, "write `score = ...`, or a weight that is an exponential");
  }
}

/* One key a row: its weight is 1, so the normaliser has to make probabilities. */
static void one_key(Build *b, const Node *e, AttnSelect select) {
  AttnSpec *s = b->spec;
  const Node *tau = call_of(e->a, select == ATTN_SAMPLE ? "sample" : "argmax");
  bool sums = s->norm == ATTN_NORM_PHI && s->phi == attn_norm_sum(s);
  s->select = select;
  s->through = true;
  if (select == ATTN_SAMPLE && !(sums && s->log)) {
    Diag *d =
        attn_diag(b, e->a, "`select = sample` draws one key with the probabilities of a softmax");
    diag_help(d, "give a `score` and leave `norm = sum`");
  } else if (!sums && s->norm == ATTN_NORM_PHI) {
    Diag *d = attn_diag(b, e->a, "`select = argmax` gives one key the weight 1, its gradient that "
                                 "of weights which sum to 1");
    diag_help(d, "leave `norm = sum`, or take sparsemax or entmax");
  }
  if (!tau) return;
  s->tau = once(b, tau);
  double c;
  if (s->tau < 0) return;
  if (prog_is_const(b->p, s->tau, &c) && !(c > 0))
    diag_help(attn_diag(b, tau, "a temperature is positive"), "write `%s(0.5)`",
              select == ATTN_SAMPLE ? "sample" : "argmax");
  for (int k = 0; k < b->p->n; k++)
    if (b->p->node[k].op == PO_LOAD && b->p->node[k].slot < b->n_param &&
        prog_uses(b->p, s->tau, k)) {
      diag_help(attn_diag(b, tau, "the temperature of a straight-through gradient is not learnt: "
                                  "the output does not depend on it"),
                "make it an argument of the attention");
      return;
    }
  if (!s->log)
    diag_help(attn_diag(b, tau, "a temperature divides a score"), "write `score = ...`");
}

static void set_select(Build *b, const Node *e) {
  AttnSpec *s = b->spec;
  if (s->norm == ATTN_NORM_SINKHORN) {
    diag_help(attn_diag(b, e->a, "`select` chooses within a row, `norm = sinkhorn` joins all rows"),
              "leave one of them out");
    return;
  }
  const Node *m = call_of(e->a, "top");
  double c;
  if (m) {
    s->select = ATTN_TOP;
    s->top = attn_translate(b, m);
    if (prog_is_const(b->p, s->top, &c) && c < 1) attn_error(b, m, "top keeps at least one key");
  } else if (is_name(e->a, "sample") || call_of(e->a, "sample")) {
    one_key(b, e, ATTN_SAMPLE);
  } else if (is_name(e->a, "argmax") || call_of(e->a, "argmax")) {
    one_key(b, e, ATTN_ARGMAX);
  } else {
    diag_help(attn_diag(b, e->a, "`select` does not take this"),
              "write `select = top(m)`, `select = argmax` or `select = sample`");
  }
}

/* `grad = straight_through`: the selection is not there going back. */
static void set_grad(Build *b, const Node *e) {
  AttnSpec *s = b->spec;
  if (!is_name(e->a, "straight_through")) {
    diag_help(attn_diag(b, e->a, "`grad` does not take this"), "write `grad = straight_through`");
  } else if (s->select == ATTN_ALL) {
    diag_help(attn_diag(b, e->a, "there is nothing to pass straight through"),
              "`grad` goes with `select = top(m)`, `argmax` or `sample`");
  }
  s->through = true;
}

void attn_builtin_prep(Build *b) {
  const Node *e = equation(b->decl, "prep"), *base = e ? call_of(e->a, "rope") : NULL;
  if (!e) return;
  if (is_name(e->a, "unit")) b->spec->prep = ATTN_PREP_UNIT;
  else if (is_name(e->a, "rms")) b->spec->prep = ATTN_PREP_RMS;
  else if (base) {
    b->spec->prep = ATTN_PREP_ROPE;
    b->spec->rope_base = once(b, base);
  }
}

static void set_prep(Build *b, const Node *e, AttnDecl *decl) {
  const Node *rows = call_of(e->a, "rows");
  AttnSpec *s = b->spec;
  attn_builtin_prep(b);
  if (s->prep == ATTN_PREP_NONE) {
    const Node *map = rows ? rows : e->a;
    PrepNames names = {b, false};
    prep_names((Node *)map, &names);
    decl->has_prep = true;
    decl->prep_rows = rows || attn_rows_form(b->lo, b->decl, map);
    s->map = rows              ? "a function of all rows"
             : decl->prep_rows ? "a function of a vector, compiled for all rows at once"
                               : "a function of a vector, applied row by row: it has no known form "
                                 "for whole tensors\n             (rows(f) promises one)";
    for (int k = 0; k < s->n_leaf && attn_rows_from_zero(b->lo, b->decl, map); k++)
      if (s->leaf[k].product == ATTN_DOT && s->leaf[k].stage == PS_BOTH)
        b->p->var[s->leaf[k].var].range = (Interval){0, INFINITY};
  }
}

static void show_range(double x, char *to, size_t n) {
  Buf b = {0};
  buf_double(&b, x);
  snprintf(to, n, "%s", b.data ? b.data : "");
  buf_free(&b);
}

/* A row of signed weights may sum to nothing. */
static void check_sign(Build *b, AttnDecl *decl, const Node *weight) {
  AttnSpec *s = b->spec;
  Interval bounds;
  if (!weight || s->log || s->norm != ATTN_NORM_PHI || s->phi < 0) return;
  if (!prog_uses(b->p, s->phi, attn_norm_sum(s))) return;
  AttnSign sign = attn_weight_sign(s, NULL, &bounds);
  if (sign == ATTN_SIGN_OK) return;
  decl->sign_open = !decl->has_prep;
  /* What a function makes of q and k is its author's; `sum + number` says that he knows. */
  if (decl->has_prep && s->phi != attn_norm_sum(s)) return;
  char lo[32], hi[32];
  show_range(bounds.lo, lo, sizeof lo);
  show_range(bounds.hi, hi, sizeof hi);
  Diag *d;
  if (sign == ATTN_SIGN_NEGATIVE && !decl->has_prep) /* what a function makes of q and k is open */
    d = attn_diag(b, weight->a, "this weight can be negative, and `norm = sum` divides by its sum");
  else
    d = diag_add(b->lo->diags, DIAG_WARNING, b->lo->source, weight->a->span,
                 "this weight may be negative, and `norm = sum` divides by its sum");
  diag_label(d, "its values lie in [%s, %s]", lo, hi);
  diag_help(d, "use relu(...), exp(...) or a square, or another norm: none, length, l2");
}

static void translate(Build *b, AttnDecl *decl) {
  AttnSpec *s = b->spec;
  const Node *score = equation(b->decl, "score"), *weight = equation(b->decl, "weight"), *e;
  const Node *main = score ? score : weight;
  if (!main) {
    attn_error(b, b->decl, "attention `%s` has neither `score` nor `weight`", b->decl->name);
    return;
  }
  int node = attn_translate(b, main->a);
  if (node < 0) return;
  if (score) attn_set_score(s, node);
  else attn_set_weight(s, node);
  if ((e = equation(b->decl, "mask"))) s->mask = attn_translate(b, e->a);
  if ((e = equation(b->decl, "norm"))) set_norm(b, e);
  if ((e = equation(b->decl, "select"))) set_select(b, e);
  if (!b->solve && (e = equation(b->decl, "grad"))) set_grad(b, e);
  if ((e = equation(b->decl, "dropout"))) s->dropout = once(b, e->a);
  if ((e = equation(b->decl, "iterate"))) s->iterate = once(b, e->a);
  if ((e = equation(b->decl, "prep"))) set_prep(b, e, decl);
  check_sign(b, decl, weight);
}

/* ---- the function that makes instances ------------------------------------------------- */

static Node *nil_like(Source *s, const Node *at) { return node_new(s, N_NIL, at); }

/* (d, heads) => __attention_param(start, lo, hi, (shape)) */
static Node *initialiser(Lower *lo, const Node *leaf) {
  Source *s = lo->source;
  Node *lambda = node_new(s, N_LAMBDA, leaf), *shape = node_new(s, N_TUPLE, leaf);
  static const char *const names[] = {"d", "heads"};
  if (!lambda || !shape) return NULL;
  for (int k = 0; k < 2; k++) {
    Node *param = node_new(s, N_PARAM, leaf);
    if (!param) return NULL;
    param->name = names[k];
    node_push(s, lambda, param);
  }
  for (uint32_t i = 0; i < leaf->n; i++) node_push(s, shape, node_copy(s, leaf->items[i]));
  Node *args[] = {leaf->a ? node_copy(s, leaf->a) : nil_like(s, leaf),
                  leaf->b ? node_copy(s, leaf->b) : nil_like(s, leaf),
                  leaf->c ? node_copy(s, leaf->c) : nil_like(s, leaf), shape};
  lambda->b = node_call(s, "__attention_param", leaf->a ? leaf->a : leaf, 4, args);
  return lambda;
}

/* () => ("text of the declaration", DECL) */
static Node *identity(Lower *lo, const AttnDecl *decl, Node *constant, const Node *at) {
  Source *s = lo->source;
  Node *lambda = node_new(s, N_LAMBDA, at), *pair = node_new(s, N_TUPLE, at),
       *text = node_new(s, N_STR, at);
  if (!lambda || !pair || !text) return NULL;
  text->name = arena_text(&s->arena, decl->text, strlen(decl->text));
  text->i = (int64_t)strlen(decl->text);
  node_push(s, pair, text);
  node_push(s, pair, constant);
  lambda->b = pair;
  return lambda;
}

/* (x, params ...) => f(x), f rewritten for tables where it can be. */
static Node *prep_lambda(Build *b, AttnDecl *decl) {
  Source *s = b->lo->source;
  const Node *e = equation(b->decl, "prep");
  if (!decl->has_prep) return nil_like(s, b->decl);
  const Node *rows = call_of(e->a, "rows"), *map = rows ? rows : e->a;
  Node *f = rows ? NULL : attn_rows_form(b->lo, b->decl, map), *x = NULL, *lambda = f;
  if (!lambda) { /* x => map(x); the name can be nobody else's */
    Node *param = node_new(s, N_PARAM, map), *arg = node_name(s, "__x", map);
    lambda = node_new(s, N_LAMBDA, map);
    x = node_new(s, N_CALL, map);
    if (!lambda || !x || !param || !arg) return NULL;
    param->name = "__x";
    node_push(s, lambda, param);
    x->a = node_copy(s, map);
    node_push(s, x, arg);
    lambda->b = x;
  }
  for (uint32_t i = 0; i < b->decl->b->n; i++) {
    const Node *leaf = b->decl->b->items[i];
    if (leaf->kind != N_LEAF) continue;
    Node *param = node_new(s, N_PARAM, leaf);
    if (!param) return NULL;
    bool hidden = !strcmp(leaf->name, lambda->items[0]->name);
    param->name = hidden ? "__hidden" : leaf->name;
    node_push(s, lambda, param);
  }
  return lambda;
}

static Node *maker(Build *b, AttnDecl *decl, Node *at) {
  Source *s = b->lo->source;
  Box *box = box_new(b->lo->vm, &attn_decl_type, decl);
  if (!box) return NULL;
  Node *constant = lower_const(b->lo, value_obj(box), at);
  Node *call = node_call(s, "__attention", at, 0, NULL), *make = node_new(s, N_LAMBDA, at);
  if (!constant || !call || !make) return NULL;
  for (uint32_t i = 0; i < at->n; i++) node_push(s, make, at->items[i]);
  node_push(s, call, constant);
  node_push(s, call, identity(b->lo, decl, constant, at));
  node_push(s, call, prep_lambda(b, decl));
  for (uint32_t i = 0; i < at->b->n; i++) {
    Node *leaf = at->b->items[i];
    if (leaf->kind != N_LEAF) continue;
    Node *param = node_new(s, N_PARAM, leaf);
    if (!param) return NULL;
    param->name = leaf->name;
    param->a = nil_like(s, leaf->a ? leaf->a : leaf);
    node_push(s, make, param);
    node_push(s, call, node_name(s, leaf->name, leaf));
    node_push(s, call, initialiser(b->lo, leaf));
  }
  for (uint32_t i = 0; i < b->captured->n; i++) node_push(s, call, b->captured->items[i]);
  make->name = at->name;
  make->doc = at->doc;
  make->b = call;
  return make;
}

static AttnDecl *decl_new(Lower *lo, const Node *at) {
  Rt *rt = vm_rt(lo->vm);
  AttnDecl *decl = rt_alloc0(rt, sizeof *decl);
  if (!decl) return NULL;
  decl->spec = attn_spec_new(rt, at->name);
  decl->text = strndup(lo->source->text + at->span.start, at->span.end - at->span.start);
  if (decl->spec && decl->text) return decl;
  if (decl->spec) attn_spec_unref(rt, decl->spec);
  free(decl->text);
  rt_free(rt, decl, sizeof *decl);
  return NULL;
}

static void decl_free(Lower *lo, AttnDecl *decl) {
  attn_decl_type.drop(lo->vm, decl);
}

Node *lower_attention(Lower *lo, Node *at) {
  AttnDecl *decl = decl_new(lo, at);
  Build b = {.lo = lo, .decl = at, .captured = node_new(lo->source, N_TUPLE, at)};
  if (!decl || !b.captured) {
    diag_add(lo->diags, DIAG_ERROR, lo->source, at->span, "out of memory");
    if (decl) decl_free(lo, decl);
    return NULL;
  }
  int errors = lo->diags->errors;
  b.spec = decl->spec;
  b.arena = &decl->spec->arena;
  b.p = &decl->spec->prog;
  declare_params(&b, decl);
  declare_names(&b);
  attn_declare_lets(&b);
  b.solve = attn_lower_solve(&b, decl);
  if (lo->diags->errors == errors) translate(&b, decl);
  decl->n_param = b.n_param;
  decl->n_slot = b.p->n_slot;
  if (b.p->failed) diag_add(lo->diags, DIAG_ERROR, lo->source, at->span, "out of memory");
  if (lo->diags->errors > errors) {
    decl_free(lo, decl);
    return NULL;
  }
  return maker(&b, decl, at);
}
