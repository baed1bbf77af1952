/* model.c: `model NAME(params) { ... }` becomes a function that builds a model
 * value.
 *
 *   model m(n) { param W[n, n] = glorot();  head = nn.linear(n, 2)
 *                fn forward(x) = head(x @ W) }
 * becomes
 *   (n) => { let W = __leaf("W", glorot(), (n, n), nil, nil)
 *            let head = nn.linear(n, 2)
 *            __model("m", {W: W, head: head}, ["W"], {forward: (.self, x) => .self.head(x @ .self.W)}) }
 *
 * Methods get the model as a hidden first parameter and see its fields as
 * plain names, so they always read the model they are called on and not the
 * values the constructor saw.  Everything else they name (constructor
 * arguments, `let`s of the body) is captured as in any closure.
 */
#include "lang/blocks/nodes.h"

#include <string.h>

#define SELF ".self" /* no script can write this name */

/* ---- replacing field names inside a method -------------------------------- */

/* Names that hide a field inside a method: parameters, lets, loop variables. */
typedef struct Hidden {
  const char *name;
  struct Hidden *outer;
} Hidden;

typedef struct {
  Source *source;
  const Node *fields; /* items: nodes whose `name` is a field or a method */
  Hidden *hidden;     /* innermost first */
} Rewrite;

static bool is_field(const Rewrite *rw, const char *name) {
  for (Hidden *h = rw->hidden; h; h = h->outer)
    if (!strcmp(h->name, name)) return false;
  for (uint32_t i = 0; i < rw->fields->n; i++)
    if (!strcmp(rw->fields->items[i]->name, name)) return true;
  return false;
}

static void hide(Rewrite *rw, const char *name) {
  Hidden *h = arena_alloc(&rw->source->arena, sizeof *h);
  if (!h) return;
  h->name = name;
  h->outer = rw->hidden;
  rw->hidden = h;
}

static void hide_pattern(Rewrite *rw, const Node *p) {
  if (!p) return;
  switch (p->kind) {
  case N_NAME: hide(rw, p->name); break;
  case N_PAIR: hide_pattern(rw, p->a); break;
  default:
    for (uint32_t i = 0; i < p->n; i++) hide_pattern(rw, p->items[i]);
  }
}

static void rewrite(Rewrite *rw, Node *n);

static void rewrite_items(Rewrite *rw, Node *n) {
  for (uint32_t i = 0; i < n->n; i++) rewrite(rw, n->items[i]);
}

/* Clauses bind names for what follows them and for the body. */
static void rewrite_clauses(Rewrite *rw, Node *n) {
  for (uint32_t i = 0; i < n->n; i++) {
    Node *clause = n->items[i];
    if (clause->kind != N_BIND && clause->kind != N_ORDER) {
      rewrite(rw, clause);
      continue;
    }
    rewrite(rw, clause->a);
    for (uint32_t k = 0; k < clause->n; k++) hide_pattern(rw, clause->items[k]);
  }
}

static void rewrite_function(Rewrite *rw, Node *n) {
  for (uint32_t i = 0; i < n->n; i++) rewrite(rw, n->items[i]->a);
  for (uint32_t i = 0; i < n->n; i++) hide(rw, n->items[i]->name);
  rewrite(rw, n->b);
}

/* A field used as a plain name: turn the node itself into `.self.name`. */
static void to_field(Rewrite *rw, Node *n) {
  Node *self = node_name(rw->source, SELF, n);
  if (!self) return;
  n->kind = N_FIELD;
  n->a = self;
}

typedef struct { Rewrite *rw; } ChildVisit;
static void rewrite_child(Node *child, void *user) { rewrite(((ChildVisit *)user)->rw, child); }

static void rewrite(Rewrite *rw, Node *n) {
  if (!n) return;
  Hidden *scope = rw->hidden;
  switch (n->kind) {
  case N_NAME:
    if (is_field(rw, n->name)) to_field(rw, n);
    return;
  case N_BLOCK:
    rewrite_items(rw, n);
    rw->hidden = scope;
    return;
  case N_LET: case N_VAR:
    rewrite(rw, n->b);
    hide_pattern(rw, n->a);
    return; /* stays hidden for the rest of the block */
  case N_ARRAYDEF:
    for (uint32_t i = 0; i < n->n; i++) hide_pattern(rw, n->items[i]);
    rewrite(rw, n->b);
    rw->hidden = scope;
    hide(rw, n->name);
    return;
  case N_FN:
    hide(rw, n->name);
    scope = rw->hidden;
    rewrite_function(rw, n);
    rw->hidden = scope;
    return;
  case N_LAMBDA:
    rewrite_function(rw, n);
    rw->hidden = scope;
    return;
  case N_FOR:
    rewrite_clauses(rw, n);
    rewrite(rw, n->c);
    rewrite(rw, n->b);
    rw->hidden = scope;
    return;
  case N_COMPREHENSION: case N_GEN:
    rewrite_clauses(rw, n);
    rewrite(rw, n->b);
    rewrite(rw, n->a);
    rw->hidden = scope;
    return;
  case N_TRY:
    rewrite(rw, n->a);
    if (n->name) hide(rw, n->name);
    rewrite(rw, n->b);
    rw->hidden = scope;
    return;
  default: {
    ChildVisit v = {rw};
    node_children(n, rewrite_child, &v);
  }
  }
}

/* ---- building the constructor ---------------------------------------------- */

static Node *pair_node(Source *s, const char *name, Node *value, const Node *at) {
  Node *n = node_new(s, N_PAIR, at);
  if (n) {
    n->name = name;
    n->a = value;
  }
  return n;
}

/* param W[a, b] = init  =>  __leaf("W", init, (a, b)) */
static Node *leaf_call(Lower *lo, Node *leaf) {
  Source *s = lo->source;
  if (leaf->b || leaf->c) {
    Diag *d = diag_add(lo->diags, DIAG_ERROR, s, leaf->span, "a model's param has no interval");
    diag_help(d, "keep `%s` free and map it in forward, for example softplus(%s)", leaf->name, leaf->name);
  }
  Node *shape = node_new(s, N_TUPLE, leaf);
  if (!shape) return NULL;
  for (uint32_t i = 0; i < leaf->n; i++) node_push(s, shape, leaf->items[i]);
  Node *args[] = {text_node(s, leaf->name, leaf), leaf->a ? leaf->a : node_new(s, N_NIL, leaf), shape};
  return node_call(s, "__leaf", leaf->a ? leaf->a : leaf, 3, args);
}

/* fn forward(x) = body  =>  (.self, x) => body' */
static Node *method_lambda(Lower *lo, Node *fn, const Node *fields) {
  Source *s = lo->source;
  Node *lambda = node_new(s, N_LAMBDA, fn);
  Node *self = node_new(s, N_PARAM, fn);
  if (!lambda || !self) return NULL;
  lambda->name = fn->name; /* shown in call traces */
  self->name = SELF;
  node_push(s, lambda, self);
  Rewrite rw = {s, fields, NULL};
  Node *copy = node_copy(s, fn);
  if (!copy) return NULL;
  rewrite_function(&rw, copy);
  for (uint32_t i = 0; i < copy->n; i++) {
    Node *p = copy->items[i];
    if (!strcmp(p->name, "train") && !p->a) { /* asked for, false unless training */
      p->a = node_new(s, N_BOOL, p);
    }
    node_push(s, lambda, p);
  }
  lambda->b = copy->b;
  return lambda;
}

/* What methods see as plain names: fields and each other. */
static Node *member_names(Source *s, Node *body) {
  Node *members = node_new(s, N_TUPLE, body);
  for (uint32_t i = 0; members && i < body->n; i++) {
    Node *st = body->items[i];
    if (st->kind == N_LEAF || st->kind == N_EQUATION || st->kind == N_FN) node_push(s, members, st);
  }
  return members;
}

static Node *model_fields(Source *s, Node *body) {
  Node *fields = node_new(s, N_RECORD, body);
  for (uint32_t i = 0; fields && i < body->n; i++) {
    Node *st = body->items[i];
    if (st->kind == N_LEAF || st->kind == N_EQUATION)
      node_push(s, fields, pair_node(s, st->name, node_name(s, st->name, st), st));
  }
  return fields;
}

/* ---- dtype = f64, seed = 7 --------------------------------------------------- */

typedef struct { const char *name; bool found; } Mention;
static void find_mention(Node *n, void *user) {
  Mention *m = user;
  if (n->kind == N_NAME && !strcmp(n->name, m->name)) m->found = true;
  if (!m->found) node_children(n, find_mention, user);
}

/* Every constructor takes them by name, unless its own text uses the word. */
static bool add_option(Source *s, Node *make, const Node *decl, const char *name) {
  Mention m = {name, false};
  find_mention(decl->b, &m);
  for (uint32_t i = 0; i < decl->n; i++) m.found |= !strcmp(decl->items[i]->name, name);
  if (m.found) return false;
  Node *p = node_new(s, N_PARAM, decl);
  if (!p || !(p->a = node_new(s, N_NIL, decl))) return false;
  p->name = name;
  node_push(s, make, p);
  return true;
}

static Node *block_of(Source *s, Node *value) {
  Node *b = value ? node_new(s, N_BLOCK, value) : NULL;
  if (b) node_push(s, b, value);
  return b;
}

/* `name` given ? __construct(MODEL, dtype, seed, its arguments) : otherwise */
static Node *with_option(Source *s, const Node *decl, const char *name, bool dtype, bool seed,
                         Node *otherwise) {
  Node *args[3 + 32] = {node_name(s, decl->name, decl),
                        dtype ? node_name(s, "dtype", decl) : node_new(s, N_NIL, decl),
                        seed ? node_name(s, "seed", decl) : node_new(s, N_NIL, decl)};
  for (uint32_t i = 0; i < decl->n; i++) args[3 + i] = node_name(s, decl->items[i]->name, decl);
  Node *choice = node_new(s, N_IF, decl), *test = node_new(s, N_COMPARE, decl);
  uint8_t *ops = arena_alloc(&s->arena, 4);
  if (!choice || !test || !ops) return NULL;
  ops[0] = OP_EQ;
  node_push(s, test, node_name(s, name, decl));
  node_push(s, test, node_new(s, N_NIL, decl));
  test->ops = ops;
  choice->a = test;
  choice->b = otherwise;
  choice->c = block_of(s, node_call(s, "__construct", decl, decl->n + 3, args));
  return block_of(s, choice);
}

Node *lower_model(Lower *lo, Node *decl) {
  Source *s = lo->source;
  Node *body = decl->b;
  Node *fields = model_fields(s, body), *members = member_names(s, body);
  Node *leaves = node_new(s, N_TUPLE, decl);
  Node *methods = node_new(s, N_RECORD, decl);
  Node *block = node_new(s, N_BLOCK, decl);
  Node *make = node_new(s, N_LAMBDA, decl);
  if (!fields || !members || !leaves || !methods || !block || !make) return NULL;

  for (uint32_t i = 0; i < body->n; i++) {
    Node *st = body->items[i];
    switch (st->kind) {
    case N_LEAF:
      node_push(s, block, let_node(s, st->name, leaf_call(lo, st), st));
      node_push(s, leaves, text_node(s, st->name, st));
      break;
    case N_EQUATION: node_push(s, block, let_node(s, st->name, st->a, st)); break;
    case N_FN:
      node_push(s, methods, pair_node(s, st->name, method_lambda(lo, st, members), st));
      break;
    default: node_push(s, block, st);
    }
  }
  Node *args[] = {text_node(s, decl->name, decl), fields, leaves, methods};
  node_push(s, block, node_call(s, "__model", decl, 4, args));
  make->name = decl->name;
  make->doc = decl->doc;
  for (uint32_t i = 0; i < decl->n; i++) node_push(s, make, decl->items[i]);
  make->b = block;
  if (decl->n > 32) return make;
  bool dtype = add_option(s, make, decl, "dtype"), seed = add_option(s, make, decl, "seed");
  if (dtype) make->b = with_option(s, decl, "dtype", dtype, seed, make->b);
  if (seed) make->b = with_option(s, decl, "seed", dtype, seed, make->b);
  return make;
}
