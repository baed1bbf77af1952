/* walk.c: expressions.  Every name is looked up, every function opens its
 * scope, and what is known of a value goes up with the return value.         */
#include "lang/check/checker.h"
#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------- */

static Known name(Checker *c, Node *n) {
  Bind *b = find(c, n->name);
  if (!b) {
    const char *signature = library(c, n->name);
    if (!signature) { unknown_name(c, n); return known(K_ANY); }
    return known(*signature ? K_FN : K_ANY);
  }
  bool top = b - c->binds < c->top;
  if (b->kind == B_VAR && top && c->fn > 0) {
    Diag *d = check_error(c, n->span, "a function cannot read the top-level `var` `%s`", n->name);
    diag_second(d, c->source, b->span, "declared here");
    diag_help(d, "pass it as an argument, or bind it with `let`");
  } else if (top && !b->seen && c->fn == 0 && b->span.start > n->span.start &&
             (b->kind == B_LET || b->kind == B_VAR)) {
    Diag *d = check_error(c, n->span, "`%s` is used before it is bound", n->name);
    diag_second(d, c->source, b->span, "bound here");
    b->seen = true;
  }
  switch (b->kind) {
  case B_LET: case B_GIVEN: case B_LOOP: return b->known;
  case B_FN: case B_DECL: { Known k = known(K_FN); k.node = b->def; return k; }
  case B_MODULE: { Known k = known(K_MODULE); k.node = b->def; return k; }
  }
  return known(K_ANY);
}

static Known field(Checker *c, Node *n) {
  Known base = walk(c, n->a);
  if (base.kind == K_MODULE && base.node && c->env && c->env->exports) {
    const Node *path = base.node->a;
    if (path && c->env->exports(c->env->user, path->name, n->name) == 0) {
      Diag *d = check_error(c, n->span2, "module `%s` has no `%s`", base.node->name, n->name);
      diag_second(d, c->source, base.node->span, "imported here");
    }
  } else if (base.kind == K_RECORD && base.node) {
    Nearest near = nearest_of(n->name);
    for (uint32_t i = 0; i < base.node->n; i++) {
      if (strcmp(base.node->items[i]->name, n->name) == 0) return known(K_ANY);
      nearest_try(&near, base.node->items[i]->name);
    }
    Diag *d = value_error(c, n->span2, "this record has no field `%s`", n->name);
    diag_second(d, c->source, base.node->span, "made here");
    if (near.best) diag_help(d, "did you mean `%s`?", near.best);
  } else if (base.kind == K_INT || base.kind == K_FLOAT || base.kind == K_NIL ||
             base.kind == K_BOOL) {
    diag_label(value_error(c, n->span2, "%s has no fields", kind_name(&base)), "`.%s` of %s",
               n->name, kind_name(&base));
  }
  return known(K_ANY);
}

/* ---- many operands --------------------------------------------------------------- */

enum { FOLLOWED = 4096 };           /* longer lists are walked but not remembered */

static Known *walk_items(Checker *c, Node *n) {
  Known *k = n->n && n->n <= FOLLOWED ? malloc(n->n * sizeof *k) : NULL;
  if (!k && n->n && n->n <= FOLLOWED) c->failed = true;
  for (uint32_t i = 0; i < n->n; i++) {
    Known one = walk(c, n->items[i]);
    if (k) k[i] = one;
  }
  return k;
}

static bool not_callable(const Known *k) {
  switch (k->kind) {
  case K_NIL: case K_BOOL: case K_INT: case K_FLOAT: case K_COMPLEX: case K_STR: case K_QUANTITY:
  case K_TENSOR: case K_LIST: case K_TUPLE: case K_RANGE: case K_MODULE: return true;
  }
  return false;
}

static void callable(Checker *c, Node *callee, const Known *k) {
  if (!not_callable(k)) return;
  Diag *d = value_error(c, callee->span, "%s is not a function", kind_name(k));
  bool index = k->kind == K_TENSOR || k->kind == K_LIST || k->kind == K_TUPLE;
  if (index) diag_help(d, "elements stand in square brackets: `x[0]`");
  else if (is_number(k)) diag_help(d, "a product is written with `*`");
  const Bind *b = callee->kind == N_NAME ? find(c, callee->name) : NULL;
  if (b) diag_second(d, c->source, b->span, "bound here");
}

static Known call(Checker *c, Node *n, int piped) {
  Known f = walk(c, n->a);
  Known *args = walk_items(c, n);
  Known r = known(K_ANY);
  callable(c, n->a, &f);
  check_call(c, n, n->a, piped);
  bool native = n->a->kind == N_NAME && f.kind == K_FN && !f.node;
  if (native && args && !piped) r = known_library_call(c, n, n->a->name, args);
  free(args);
  return r;
}

static Known pipe(Checker *c, Node *n) {
  walk(c, n->a);
  if (n->b->kind == N_CALL) return call(c, n->b, 1);
  Known f = walk(c, n->b);
  callable(c, n->b, &f);
  Node bare = {.kind = N_CALL, .span = n->b->span, .span2 = n->b->span};
  check_call(c, &bare, n->b, 1);
  return known(K_ANY);
}

static Known several(Checker *c, Node *n) {
  Known *k = walk_items(c, n), r = known(K_ANY);
  if (n->kind == N_TUPLE) r = known(K_TUPLE);
  else if (n->kind == N_BRACKET && (k || !n->n)) r = known_bracket(c, n, k);
  else if (n->kind == N_COMPARE && k) r = known_compare(c, n, k);
  free(k);
  return r;
}

static Known indexed(Checker *c, Node *n) {
  Known base = walk(c, n->a), r = known(K_ANY);
  Known *k = walk_items(c, n);
  if (k) r = known_index(c, n, base, k);
  free(k);
  return r;
}

static Known record(Checker *c, Node *n) {
  for (uint32_t i = 0; i < n->n; i++) {
    for (uint32_t j = 0; j < i && i < 64; j++) {
      if (strcmp(n->items[i]->name, n->items[j]->name) != 0) continue;
      Diag *d = check_error(c, n->items[i]->span2, "field `%s` is there twice", n->items[i]->name);
      diag_second(d, c->source, n->items[j]->span2, "the first is here");
    }
    walk(c, n->items[i]->a);
  }
  Known r = known(K_RECORD);
  r.node = n;
  return r;
}

/* ---- clauses ------------------------------------------------------------------------ */

static void bind_clause(Checker *c, Node *b) {
  if (b->kind == N_ORDER) {
    if (b->a) walk(c, b->a);
    for (uint32_t i = 0; i < b->n; i++) bind_name(c, B_LOOP, b->items[i]->name, b->items[i]->span, b);
    return;
  }
  Known k = known(K_ANY), element = known(K_ANY);
  if (b->a) k = walk(c, b->a);
  if (k.kind == K_INT || k.kind == K_FLOAT || k.kind == K_BOOL || k.kind == K_NIL ||
      k.kind == K_FN) {
    Diag *d = value_error(c, b->a->span, "a loop cannot run over %s", kind_name(&k));
    if (k.kind == K_INT)
      diag_help(d, "write a range: `0..%.*s`", (int)(b->a->span.end - b->a->span.start),
                c->source->text + b->a->span.start);
  }
  if (k.kind == K_RANGE) element = known(K_INT);
  for (uint32_t i = 0; i < b->n; i++) bind_pattern(c, B_LOOP, b->items[i], element, b);
}

int walk_clauses(Checker *c, Node *list) {
  int mark = scope_open(c);
  for (uint32_t i = 0; i < list->n; i++) bind_clause(c, list->items[i]);
  return mark;
}

typedef struct { const char *name; bool found; } Mention;
static void mention(Node *n, void *user) {
  Mention *m = user;
  if (n->kind == N_NAME && !strcmp(n->name, m->name)) m->found = true;
  if (!m->found) node_children(n, mention, user);
}

/* `for i < j < n` with an `n` from outside is meant as a bound, but makes a third
 * index: said where nothing else uses it.                                        */
static void order_shadows(Checker *c, Node *gen) {
  for (uint32_t k = 0; k < gen->n; k++) {
    const Node *order = gen->items[k];
    if (order->kind != N_ORDER || order->n < 2) continue;
    const Node *last = order->items[order->n - 1];
    const Bind *outer = find(c, last->name);
    Mention m = {last->name, false};
    if (gen->a) mention(gen->a, &m);
    if (gen->b) mention(gen->b, &m);
    if (!outer || m.found) continue;
    Diag *d = check_warning(c, last->span, "`%s` is one more index here, not a bound", last->name);
    diag_second(d, c->source, outer->span, "this `%s` has nothing to do with it", last->name);
    diag_help(d, "write the range behind it: `%.*s in 0..%s`",
              (int)(order->items[order->n - 2]->span.end - order->span.start),
              c->source->text + order->span.start, last->name);
  }
}

static Known generator(Checker *c, Node *n) {
  order_shadows(c, n);
  int mark = walk_clauses(c, n);
  if (n->b) condition(c, n->b, walk(c, n->b), "a guard");
  if (n->a) walk(c, n->a);
  scope_close(c, mark);
  return known(K_ANY);
}

/* ---- functions ------------------------------------------------------------------------ */

void walk_params(Checker *c, Node *fn) {
  const Node *optional = NULL;
  for (uint32_t i = 0; i < fn->n; i++) {
    Node *p = fn->items[i];
    if (p->n && fn->kind != N_HAMILTONIAN && fn->kind != N_CIRCUIT) {
      Diag *d = check_error(c, p->span, "only the parameters of a `hamiltonian` or `circuit` declare shapes");
      diag_help(d, "write `%s`", p->name);
    }
    if (p->a) { walk(c, p->a); optional = p; }
    else if (optional) {
      Diag *d = check_error(c, p->span2, "parameter `%s` needs a default", p->name);
      diag_second(d, c->source, optional->span, "it stands behind one with a default");
    }
    bind_name(c, B_PARAM, p->name, p->span2, p);
  }
}

void walk_function(Checker *c, Node *fn, bool method) {
  int mark = scope_open(c), loop = c->loop, nest = c->nest;
  bool was = c->method;
  c->fn++;
  c->loop = 0;
  c->method = method;
  walk_params(c, fn);
  if (fn->b) walk(c, fn->b);
  c->method = was;
  c->loop = loop;
  c->nest = nest;
  c->fn--;
  scope_close(c, mark);
}

Known walk_block(Checker *c, Node *block) {
  int mark = scope_open(c);
  c->nest++;
  walk_block_items(c, block);
  c->nest--;
  scope_close(c, mark);
  return known(K_ANY);
}

static Known if_expr(Checker *c, Node *n) {
  condition(c, n->a, walk(c, n->a), "`if`");
  walk(c, n->b);
  if (n->c) walk(c, n->c);
  return known(K_ANY);
}

static Known try_expr(Checker *c, Node *n) {
  c->trying++;
  walk(c, n->a);
  c->trying--;
  int mark = scope_open(c);
  if (n->name) bind_name(c, B_LET, n->name, n->span2, n);
  walk(c, n->b);
  scope_close(c, mark);
  return known(K_ANY);
}

static Known lambda(Checker *c, Node *n) {
  walk_function(c, n, false);
  Known k = known(K_FN);
  k.node = n;
  return k;
}

static Known operands(Checker *c, Node *n) {
  Known a = walk(c, n->a), b = walk(c, n->b);
  return known_binary(c, n, a, b);
}

static Known logic(Checker *c, Node *n) {
  Known a = walk(c, n->a), b = walk(c, n->b);
  const char *what = n->kind == N_AND ? "`and`" : "`or`";
  if (a.kind != K_TENSOR && b.kind != K_TENSOR) {
    condition(c, n->a, a, what);
    condition(c, n->b, b, what);
  }
  return known(a.kind == K_BOOL && b.kind == K_BOOL ? K_BOOL : K_ANY);
}

static Known range(Checker *c, Node *n) {
  Node *ends[2] = {n->a, n->b};
  for (int i = 0; i < 2; i++) {
    if (!ends[i]) continue;
    Known k = walk(c, ends[i]);
    if (k.kind != K_FLOAT && k.kind != K_STR && k.kind != K_NIL && k.kind != K_QUANTITY) continue;
    Diag *d = value_error(c, ends[i]->span, "a range runs over ints");
    diag_label(d, "this is %s", kind_name(&k));
    if (k.kind == K_FLOAT) diag_help(d, "for floats write `linspace(a, b, n)`");
  }
  return known(K_RANGE);
}

static Known unary(Checker *c, Node *n) {
  Known a = walk(c, n->a);
  return known_unary(c, n, a);
}

static Known literal(Node *n) {
  switch (n->kind) {
  case N_NIL: return known(K_NIL);
  case N_BOOL: return known(K_BOOL);
  case N_INT: return known_int(n->i);
  case N_FLOAT: return known(K_FLOAT);
  case N_IMAG: return known(K_COMPLEX);
  case N_STR: return known(K_STR);
  case N_QUANTITY: {
    Known k = known(K_QUANTITY);
    memcpy(k.dims, n->dims, sizeof k.dims);
    return k;
  }
  }
  return known(K_ANY);
}

Known walk(Checker *c, Node *n) {
  if (!n || c->failed) return known(K_ANY);
  switch (n->kind) {
  case N_NAME: return name(c, n);
  case N_FIELD: return field(c, n);
  case N_CALL: return call(c, n, 0);
  case N_PIPE: return pipe(c, n);
  case N_INDEX: return indexed(c, n);
  case N_BINARY: return operands(c, n);
  case N_UNARY: return unary(c, n);
  case N_AND: case N_OR: return logic(c, n);
  case N_COMPARE: case N_BRACKET: case N_TUPLE: return several(c, n);
  case N_RANGE: return range(c, n);
  case N_TRANSPOSE: return known_transpose(walk(c, n->a));
  case N_RECORD: return record(c, n);
  case N_LAMBDA: return lambda(c, n);
  case N_COMPREHENSION: case N_GEN: return generator(c, n);
  case N_IF: return if_expr(c, n);
  case N_TRY: return try_expr(c, n);
  case N_BLOCK: return walk_block(c, n);
  case N_WITH: walk(c, n->a); return walk(c, n->b);
  case N_ARG: case N_HOLE: return walk(c, n->a);
  case N_INTERP:
    for (uint32_t i = 0; i < n->n; i++) walk(c, n->items[i]);
    return known(K_STR);
  }
  return literal(n);
}
