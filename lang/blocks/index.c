/* index.c: lowering of array definitions and reducers to index specs.
 *
 * First the ranges that were left out are written into the tree, so that the
 * loop form is complete by itself; then the expression is translated into a
 * spec if all of it is arithmetic on numbers, tensors and indices.  The result
 * is a call
 *     __index(spec, () => loop form, operand, ...)
 * which computes on whole tensors and runs the loop when the operands turn
 * out to be something else (lists, functions), or when an error has to be
 * reported at its exact place.                                                */
#include "lang/blocks/index.h"

#include <string.h>

/* ---- where a name comes from --------------------------------------------------- */

static bool module_defines(const Node *module, const char *name) {
  for (uint32_t i = 0; module && i < module->n; i++) {
    const Node *st = module->items[i];
    if (st->name && st->kind != N_IMPORT && !strcmp(st->name, name)) return true;
    if ((st->kind == N_LET || st->kind == N_VAR) && st->a && st->a->kind == N_NAME &&
        !strcmp(st->a->name, name))
      return true;
  }
  return false;
}

bool lower_is_library(const Lower *lo, const char *name) {
  return !(lo->is_local && lo->is_local((Lower *)lo, name)) && !module_defines(lo->module, name);
}

typedef struct { const char *name; RedOp op; bool mean, count; } Reducer;
static const Reducer reducers[] = {
  {"sum", RED_SUM, false, false}, {"prod", RED_PROD, false, false}, {"min", RED_MIN, false, false},
  {"max", RED_MAX, false, false}, {"mean", RED_SUM, true, false},   {"any", RED_ANY, false, false},
  {"all", RED_ALL, false, false}, {"count", RED_SUM, false, true},
};

static const Reducer *as_reducer(const Lower *lo, const Node *n) {
  if (n->kind != N_CALL || n->n != 1 || n->items[0]->kind != N_GEN || n->a->kind != N_NAME) return NULL;
  for (size_t i = 0; i < sizeof reducers / sizeof *reducers; i++)
    if (!strcmp(reducers[i].name, n->a->name)) return lower_is_library(lo, n->a->name) ? &reducers[i] : NULL;
  return NULL;
}

/* ---- ranges that were left out ---------------------------------------------------- */

typedef struct { const char *name; Node *base; uint32_t axis; bool blocked; } Use;

static bool mentions_any(const Node *n, const char *const *names, int count);

typedef struct { const char *const *names; int count; bool found; } Mention;
static void mention_child(Node *child, void *user) {
  Mention *m = user;
  if (!m->found) m->found = mentions_any(child, m->names, m->count);
}
static bool mentions_any(const Node *n, const char *const *names, int count) {
  if (n->kind == N_NAME) {
    for (int i = 0; i < count; i++)
      if (!strcmp(names[i], n->name)) return true;
    return false;
  }
  Mention m = {names, count, false};
  node_children((Node *)n, mention_child, &m);
  return m.found;
}

static bool independent_base(const Node *n) {
  return n->kind == N_NAME || (n->kind == N_FIELD && independent_base(n->a)) ||
         (n->kind == N_INDEX && n->n == 1 && n->items[0]->kind == N_INT && independent_base(n->a));
}

/* The first tensor that is indexed by exactly this name. */
static void find_use(Node *n, void *user) {
  Use *u = user;
  if (u->base) return;
  if (n->kind == N_INDEX && independent_base(n->a))
    for (uint32_t k = 0; k < n->n; k++)
      if (n->items[k]->kind == N_NAME && !strcmp(n->items[k]->name, u->name)) {
        u->base = n->a;
        u->axis = k;
        return;
      }
  node_children(n, find_use, user);
}

/* 0 .. __extent(base, axis) */
static Node *extent_range(Source *s, const Use *u, const Node *at) {
  Node *zero = node_new(s, N_INT, at), *axis = node_new(s, N_INT, at);
  Node *range = node_new(s, N_RANGE, at);
  if (!zero || !axis || !range) return NULL;
  axis->i = u->axis;
  Node *args[] = {node_copy(s, u->base), axis};
  range->a = zero;
  range->b = node_call(s, "__extent", at, 2, args);
  return range;
}

static bool is_extent(const Node *range) {
  const Node *stop = range->kind == N_RANGE ? range->b : NULL;
  return stop && stop->kind == N_CALL && stop->a->kind == N_NAME && !strcmp(stop->a->name, "__extent");
}

static Node *infer_range(Lower *lo, const char *name, Node *where, const Node *at) {
  Use u = {name, NULL, 0, false};
  find_use(where, &u);
  if (u.base) return extent_range(lo->source, &u, at);
  Diag *d = diag_add(lo->diags, DIAG_ERROR, lo->source, at->span, "the range of `%s` is not known", name);
  diag_label(d, "no tensor is indexed by `%s` alone", name);
  if (at->kind == N_NAME)   /* of an array definition, whose left side takes names only */
    diag_help(d, "make it by a comprehension: [... for %s in 0..n]", name);
  else
    diag_help(d, "write it out: `%s in 0..n`", name);
  return NULL;
}

static const char *bind_name(const Node *bind) {
  return bind->n == 1 && bind->items[0]->kind == N_NAME ? bind->items[0]->name : NULL;
}

/* `i < j`: one range for all of them, that of the first one used as an index. */
static bool fill_order(Lower *lo, Node *order, Node *body) {
  for (uint32_t k = 0; k < order->n && !order->a; k++) {
    Use u = {order->items[k]->name, NULL, 0, false};
    find_use(body, &u);
    if (u.base && !(order->a = extent_range(lo->source, &u, order))) return false;
  }
  if (order->a) return true;
  Diag *d = diag_add(lo->diags, DIAG_ERROR, lo->source, order->span, "the range of `%s` is not known",
                     order->items[0]->name);
  diag_label(d, "no tensor is indexed by one of these names alone");
  diag_help(d, "write it out: `%.*s in 0..n`", (int)(order->span.end - order->span.start),
            lo->source->text + order->span.start);
  return false;
}

/* Writes the inferred range into the last binder that has none; binders
 * before it without a range share it.                                          */
static bool fill_ranges(Lower *lo, Node *clauses, Node *body) {
  bool shared = false; /* does a later binder have a range? */
  for (uint32_t i = clauses->n; i-- > 0;) {
    Node *c = clauses->items[i];
    if (c->kind == N_ORDER) {
      shared = false;
      if (!c->a && !fill_order(lo, c, body)) return false;
      continue;
    }
    if (c->kind != N_BIND) continue;
    if (c->a) shared = true;
    else if (!shared) {
      const char *name = bind_name(c);
      if (!name) continue;
      if (!(c->a = infer_range(lo, name, body, c))) return false;
      /* binders before it may be inferred from other tensors */
    }
  }
  return true;
}

typedef struct { Lower *lo; bool ok; } Fill;
static void fill_nested(Node *n, void *user) {
  Fill *f = user;
  if (!f->ok) return;
  if (as_reducer(f->lo, n)) f->ok = fill_ranges(f->lo, n->items[0], n->items[0]);
  if (f->ok) node_children(n, fill_nested, user);
}

/* ---- translation into a spec ---------------------------------------------------------- */

typedef struct {
  Lower *lo;
  IxSpec *spec;
  Node *operand[64]; int operands;
  int scope[TENSOR_MAX_RANK]; int depth;   /* axes visible here, innermost last */
  struct { const char *name; int axis, column; } part[32]; int parts;   /* names of (u, v) in edges */
  bool failed;
} Build;

static IxNode *translate(Build *b, const Node *n);

static IxNode *give_up(Build *b) {
  b->failed = true;
  return NULL;
}

static IxNode *ix_new(Build *b, IxKind kind, const Node *at) {
  IxNode *n = arena_alloc(&b->spec->source->arena, sizeof *n);
  if (!n) return give_up(b);
  n->kind = (uint8_t)kind;
  n->span = at->span;
  return n;
}

static int find_axis(const Build *b, const char *name) {
  for (int i = b->depth; i-- > 0;)
    if (!strcmp(b->spec->axis[b->scope[i]].name, name)) return b->scope[i];
  return -1;
}

static bool mentions_axis(const Build *b, const Node *n) {
  const char *names[TENSOR_MAX_RANK + 32];
  int k = 0;
  for (int i = 0; i < b->depth; i++) names[k++] = b->spec->axis[b->scope[i]].name;
  for (int i = 0; i < b->parts; i++) names[k++] = b->part[i].name;
  return mentions_any(n, names, k);
}

/* Values that may be computed once, before the loop: no random numbers, no
 * calls of unknown functions.                                                  */
static const char *const pure_calls[] = {"len", "shape", "sqrt", "exp", "log", "abs", "float", "int", "min", "max"};

typedef struct { const Build *b; bool pure; } Pure;
static bool is_pure(const Build *b, const Node *n);
static void pure_child(Node *child, void *user) {
  Pure *p = user;
  if (p->pure) p->pure = is_pure(p->b, child);
}
static bool is_pure(const Build *b, const Node *n) {
  switch (n->kind) {
  case N_INT: case N_FLOAT: case N_BOOL: case N_NAME: return true;
  case N_CALL: {
    if (n->a->kind != N_NAME || !lower_is_library(b->lo, n->a->name)) return false;
    bool known = false;
    for (size_t i = 0; i < sizeof pure_calls / sizeof *pure_calls; i++)
      known |= !strcmp(pure_calls[i], n->a->name);
    if (!known) return false;
    Pure p = {b, true};
    for (uint32_t i = 0; i < n->n; i++) pure_child(n->items[i], &p);
    return p.pure;
  }
  case N_FIELD: case N_INDEX: case N_UNARY: case N_BINARY: {
    Pure p = {b, true};
    node_children((Node *)n, pure_child, &p);
    return p.pure;
  }
  default: return false;
  }
}

static int add_operand(Build *b, const Node *n) {
  if (n->kind == N_NAME) /* the same name is one operand */
    for (int i = 0; i < b->operands; i++)
      if (b->operand[i]->kind == N_NAME && !strcmp(b->operand[i]->name, n->name)) return i;
  if (b->operands == 64 || !is_pure(b, n)) {
    b->failed = true;
    return 0;
  }
  b->operand[b->operands] = node_copy(b->spec->source, n);
  return b->operands++;
}

static IxNode *operand_node(Build *b, const Node *n) {
  IxNode *x = ix_new(b, IXN_OPERAND, n);
  if (x) x->operand = add_operand(b, n);
  return x;
}

static IxNode *unary(Build *b, UnOp op, IxNode *a, const Node *at) {
  IxNode *x = ix_new(b, IXN_UNARY, at);
  if (!x || !a) return give_up(b);
  x->un = (uint8_t)op;
  x->a = a;
  x->axes = a->axes;
  return x;
}

static IxNode *binary(Build *b, BinOp op, IxNode *l, IxNode *r, const Node *at) {
  IxNode *x = ix_new(b, IXN_BINARY, at);
  if (!x || !l || !r) return give_up(b);
  x->bin = (uint8_t)op;
  x->a = l;
  x->b = r;
  x->axes = l->axes | r->axes;
  return x;
}

static int bin_of(AstOp op) {
  switch (op) {
  case OP_ADD: return BIN_ADD; case OP_SUB: return BIN_SUB; case OP_MUL: return BIN_MUL;
  case OP_DIV: return BIN_DIV; case OP_FLOORDIV: return BIN_FLOORDIV; case OP_MOD: return BIN_MOD;
  case OP_POW: return BIN_POW; case OP_EQ: return BIN_EQ; case OP_NE: return BIN_NE;
  case OP_LT: return BIN_LT; case OP_LE: return BIN_LE; case OP_GT: return BIN_GT;
  case OP_GE: return BIN_GE; default: return -1;
  }
}

static IxNode *translate_compare(Build *b, const Node *n) {
  IxNode *all = NULL;
  for (uint32_t i = 0; i + 1 < n->n; i++) {
    int op = bin_of(n->ops[i]);
    if (op < 0) return give_up(b);
    IxNode *one = binary(b, (BinOp)op, translate(b, n->items[i]), translate(b, n->items[i + 1]), n);
    all = all ? binary(b, BIN_AND, all, one, n) : one;
    if (!all) return NULL;
  }
  return all;
}

static const struct { const char *name; UnOp op; } unary_calls[] = {
  {"sqrt", UN_SQRT}, {"exp", UN_EXP}, {"log", UN_LOG}, {"log2", UN_LOG2}, {"log1p", UN_LOG1P},
  {"sin", UN_SIN}, {"cos", UN_COS}, {"tan", UN_TAN}, {"asin", UN_ASIN}, {"acos", UN_ACOS},
  {"atan", UN_ATAN}, {"sinh", UN_SINH}, {"cosh", UN_COSH}, {"tanh", UN_TANH}, {"erf", UN_ERF},
  {"gamma_ln", UN_GAMMA_LN}, {"abs", UN_ABS}, {"sign", UN_SIGN}, {"floor", UN_FLOOR},
  {"ceil", UN_CEIL}, {"round", UN_ROUND}, {"relu", UN_RELU}, {"gelu", UN_GELU},
  {"sigmoid", UN_SIGMOID}, {"softplus", UN_SOFTPLUS}, {"real", UN_REAL}, {"imag", UN_IMAG},
  {"conj", UN_CONJ},
};

static IxNode *translate_reduce(Build *b, const Node *n, const Reducer *r);

static IxNode *translate_call(Build *b, const Node *n) {
  const Reducer *r = as_reducer(b->lo, n);
  if (r) return translate_reduce(b, n, r);
  if (n->a->kind != N_NAME || !lower_is_library(b->lo, n->a->name)) return give_up(b);
  for (uint32_t i = 0; i < n->n; i++)
    if (n->items[i]->kind == N_ARG || n->items[i]->kind == N_GEN) return give_up(b);
  if (n->n == 1)
    for (size_t i = 0; i < sizeof unary_calls / sizeof *unary_calls; i++)
      if (!strcmp(unary_calls[i].name, n->a->name))
        return unary(b, unary_calls[i].op, translate(b, n->items[0]), n);
  if (n->n == 2 && (!strcmp(n->a->name, "min") || !strcmp(n->a->name, "max")))
    return binary(b, n->a->name[1] == 'i' ? BIN_MIN : BIN_MAX, translate(b, n->items[0]),
                  translate(b, n->items[1]), n);
  if (n->n == 2 && !strcmp(n->a->name, "atan2"))
    return binary(b, BIN_ATAN2, translate(b, n->items[0]), translate(b, n->items[1]), n);
  if (n->n == 3 && !strcmp(n->a->name, "clip"))
    return binary(b, BIN_MIN, binary(b, BIN_MAX, translate(b, n->items[0]), translate(b, n->items[1]), n),
                  translate(b, n->items[2]), n);
  return give_up(b);
}

static IxNode *translate_load(Build *b, const Node *n) {
  if (mentions_axis(b, n->a)) return give_up(b);
  IxNode *x = ix_new(b, IXN_LOAD, n);
  if (!x) return NULL;
  x->operand = add_operand(b, n->a);
  x->items = arena_alloc(&b->spec->source->arena, n->n * sizeof *x->items);
  if (!x->items) return give_up(b);
  for (uint32_t i = 0; i < n->n; i++) {
    if (n->items[i]->kind == N_RANGE || n->items[i]->kind == N_ALL) return give_up(b);
    if (!(x->items[i] = translate(b, n->items[i]))) return NULL;
    x->axes |= x->items[i]->axes;
  }
  x->n = n->n;
  return x;
}

static IxNode *translate_if(Build *b, const Node *n) {
  const Node *yes = n->b, *no = n->c;
  if (!no) return give_up(b);
  if (yes->kind == N_BLOCK && yes->n == 1) yes = yes->items[0];
  if (no->kind == N_BLOCK && no->n == 1) no = no->items[0];
  IxNode *x = ix_new(b, IXN_WHERE, n);
  if (!x) return NULL;
  x->a = translate(b, n->a);
  x->b = translate(b, yes);
  x->c = translate(b, no);
  if (!x->a || !x->b || !x->c) return give_up(b);
  x->axes = x->a->axes | x->b->axes | x->c->axes;
  return x;
}

static IxNode *row_node(Build *b, const Node *n, int axis, int column) {
  IxNode *x = ix_new(b, IXN_ROW, n);
  if (!x) return NULL;
  x->axis = axis;
  x->operand = b->spec->axis[axis].start;
  x->column = column;
  x->axes = 1u << axis;
  return x;
}

static IxNode *translate_name(Build *b, const Node *n) {
  for (int i = b->parts; i-- > 0;)
    if (!strcmp(b->part[i].name, n->name)) return row_node(b, n, b->part[i].axis, b->part[i].column);
  int axis = find_axis(b, n->name);
  if (axis < 0) return operand_node(b, n);
  if (b->spec->axis[axis].stop == IX_ROWS) return row_node(b, n, axis, -1);
  IxNode *x = ix_new(b, IXN_AXIS, n);
  if (!x) return NULL;
  x->axis = axis;
  x->axes = 1u << axis;
  return x;
}

static IxNode *translate_adjoint(Build *b, const Node *n) {
  IxNode *x = ix_new(b, IXN_ADJOINT, n);
  if (!x) return NULL;
  b->spec->columns = true;
  if (!(x->a = translate(b, n->a))) return give_up(b);
  x->axes = x->a->axes;
  return x;
}

static IxNode *translate(Build *b, const Node *n) {
  if (b->failed) return NULL;
  if (n->kind == N_NAME) return translate_name(b, n);
  if (n->kind == N_INT || n->kind == N_FLOAT) {
    IxNode *x = ix_new(b, IXN_NUMBER, n);
    if (!x) return NULL;
    x->is_int = n->kind == N_INT;
    x->number = x->is_int ? (double)n->i : n->f;
    if (x->is_int && (n->i > (1LL << 53) || n->i < -(1LL << 53))) return give_up(b);
    return x;
  }
  if (!mentions_axis(b, n) && is_pure(b, n)) return operand_node(b, n);
  switch (n->kind) {
  case N_UNARY: return unary(b, n->op == OP_NEG ? UN_NEG : UN_NOT, translate(b, n->a), n);
  case N_BINARY: {
    int op = bin_of(n->op);
    return op < 0 ? give_up(b) : binary(b, (BinOp)op, translate(b, n->a), translate(b, n->b), n);
  }
  case N_COMPARE: return translate_compare(b, n);
  case N_AND: return binary(b, BIN_AND, translate(b, n->a), translate(b, n->b), n);
  case N_OR: return binary(b, BIN_OR, translate(b, n->a), translate(b, n->b), n);
  case N_INDEX: return translate_load(b, n);
  case N_CALL: return translate_call(b, n);
  case N_IF: return translate_if(b, n);
  case N_TRANSPOSE: return translate_adjoint(b, n);
  default: return give_up(b);
  }
}

/* ---- binders ----------------------------------------------------------------------------- */

static int range_end(Build *b, const Node *n, int64_t *literal, IxNode **node) {
  if (n->kind == N_INT) {
    *literal = n->i;
    return IX_LITERAL;
  }
  if (mentions_axis(b, n)) { /* j in 0..i: a triangle */
    b->spec->columns = true;
    *node = translate(b, n);
    return IX_DEPENDENT;
  }
  return add_operand(b, n);
}

/* What a binder runs over that is no range: the elements of a value. */
static int add_rows(Build *b, int k, const Node *values) {
  IxAxis *ax = &b->spec->axis[k];
  b->spec->columns = true;
  if (mentions_axis(b, values)) b->failed = true;
  else ax->start = add_operand(b, values);
  ax->stop = IX_ROWS;
  return k;
}

static int add_axis(Build *b, const char *name, const Node *range) {
  if (b->spec->axes == TENSOR_MAX_RANK || !range) {
    b->failed = true;
    return 0;
  }
  int k = b->spec->axes++;
  IxAxis *ax = &b->spec->axis[k];
  *ax = (IxAxis){.name = name, .start = IX_INFERRED, .stop = IX_INFERRED, .inclusive = range->op == 1};
  if (range->kind != N_RANGE) return add_rows(b, k, range);
  if (!range->a || !range->b) {
    b->failed = true;
    return 0;
  }
  if (is_extent(range)) return k;
  ax->start = range_end(b, range->a, &ax->literal_start, &ax->from);
  ax->stop = range_end(b, range->b, &ax->literal_stop, &ax->to);
  return k;
}

/* The range a binder uses: its own or that of the next binder that has one. */
static const Node *binder_range(const Node *clauses, uint32_t i) {
  for (; i < clauses->n; i++)
    if (clauses->items[i]->kind == N_BIND && clauses->items[i]->a) return clauses->items[i]->a;
  return NULL;
}

/* Can its extent be read off an operand? */
static bool used_alone(const Node *where, const char *name) {
  Use u = {name, NULL, 0, false};
  find_use((Node *)where, &u);
  return u.base != NULL;
}

static IxNode *order_guard(Build *b, const Node *order) {
  IxNode *all = NULL;
  for (uint32_t i = 0; i + 1 < order->n; i++) {
    int op = bin_of(order->ops[i]);
    if (op < 0) return give_up(b);
    IxNode *one = binary(b, (BinOp)op, translate(b, order->items[i]), translate(b, order->items[i + 1]), order);
    all = all ? binary(b, BIN_AND, all, one, order) : one;
  }
  return all;
}

/* `i < j`: j begins behind i when the ends are taken in turn. */
static void note_order(Build *b, const Node *order, uint32_t k, int axis) {
  if (order->kind != N_ORDER || k == 0) return;
  b->spec->axis[axis].order = order->ops[k - 1];
  b->spec->axis[axis].before = axis - 1;
}

/* The names that item k of a clause binds. */
static bool bind_names(Build *b, const Node *gen, uint32_t i, uint32_t k, uint32_t *over) {
  const Node *c = gen->items[i], *item = c->items[k];
  const Node *range = c->kind == N_ORDER ? c->a : binder_range(gen, i);
  bool pair = item->kind == N_TUPLE;
  if (item->kind != N_NAME && !pair) return false;
  if (c->kind == N_ORDER && is_extent(range) && !used_alone(gen, item->name)) return false;
  int axis = add_axis(b, pair ? "" : item->name, range);
  if (b->failed || (pair && b->spec->axis[axis].stop != IX_ROWS)) return false;
  note_order(b, c, k, axis);
  b->scope[b->depth++] = axis;
  *over |= 1u << axis;
  for (uint32_t p = 0; pair && p < item->n; p++) {
    if (item->items[p]->kind != N_NAME || b->parts == 32) return false;
    b->part[b->parts].name = item->items[p]->name;
    b->part[b->parts].axis = axis;
    b->part[b->parts++].column = (int)(p | item->n << 8);
  }
  return true;
}

static IxNode *translate_reduce(Build *b, const Node *n, const Reducer *r) {
  const Node *gen = n->items[0];
  IxNode *x = ix_new(b, IXN_REDUCE, n);
  if (!x) return NULL;
  int depth = b->depth, parts = b->parts;
  for (uint32_t i = 0; i < gen->n; i++) {
    const Node *c = gen->items[i];
    if (c->kind != N_BIND && c->kind != N_ORDER) continue;
    for (uint32_t k = 0; k < c->n; k++)
      if (!bind_names(b, gen, i, k, &x->over)) return give_up(b);
  }
  IxNode *guard = gen->b ? translate(b, gen->b) : NULL;
  x->c = guard;
  for (uint32_t i = 0; i < gen->n && !b->failed; i++)
    if (gen->items[i]->kind == N_ORDER) {
      IxNode *g = order_guard(b, gen->items[i]);
      guard = guard && g ? binary(b, BIN_AND, guard, g, gen) : g;
    }
  x->a = translate(b, gen->a);
  x->b = guard;
  b->depth = depth;
  b->parts = parts;
  if (b->failed || !x->a) return give_up(b);
  x->red = (uint8_t)r->op;
  x->mean = r->mean;
  x->count = r->count;
  x->axes = (x->a->axes | (guard ? guard->axes : 0)) & ~x->over;
  return x;
}

/* ---- putting the call together -------------------------------------------------------------- */

static void drop_spec(Vm *vm, void *data) {
  IxSpec *spec = data;
  source_unref(spec->source);
  rt_free(vm_rt(vm), spec, sizeof *spec);
}
const BoxType ix_spec_type = {.name = "index equation", .drop = drop_spec};

static bool build_start(Build *b, Lower *lo) {
  *b = (Build){.lo = lo};
  b->spec = rt_alloc0(vm_rt(lo->vm), sizeof *b->spec);
  if (!b->spec) return false;
  b->spec->source = source_ref(lo->source);
  return true;
}

static void build_drop(Build *b) { drop_spec(b->lo->vm, b->spec); }

static Node *index_call(Build *b, Node *loop, const Node *at) {
  Source *s = b->lo->source;
  b->spec->operands = b->operands;
  Box *box = box_new(b->lo->vm, &ix_spec_type, b->spec);
  if (!box) {
    build_drop(b);
    return NULL;
  }
  Node *lambda = node_new(s, N_LAMBDA, at);
  Node *constant = lower_const(b->lo, value_obj(box), at);
  if (!lambda || !constant) return NULL;
  lambda->b = loop;
  Node *args[66] = {constant, lambda};
  memcpy(args + 2, b->operand, (size_t)b->operands * sizeof *args);
  return node_call(s, "__index", at, (uint32_t)b->operands + 2, args);
}

Node *lower_reducer(Lower *lo, Node *call) {
  const Reducer *r = as_reducer(lo, call);
  if (!r || (call->flags & NODE_NO_INDEX)) return NULL;
  int errors = lo->diags->errors;
  if (!fill_ranges(lo, call->items[0], call->items[0])) return NULL;
  Fill f = {lo, true};
  node_children(call, fill_nested, &f);
  if (!f.ok || lo->diags->errors > errors) return NULL;
  Build b;
  if (!build_start(&b, lo)) return NULL;
  IxNode *body = translate_reduce(&b, call, r);
  Node *loop = body ? node_copy(lo->source, call) : NULL;
  if (!loop) {
    build_drop(&b);
    return NULL;
  }
  loop->flags |= NODE_NO_INDEX;
  b.spec->body = body;
  return index_call(&b, loop, call);
}

/* [[e for j in 0..m] for i in 0..n] */
static Node *comprehension(Lower *lo, Node *def, Node *const *ranges) {
  Source *s = lo->source;
  Node *e = node_copy(s, def->b);
  for (uint32_t i = def->n; e && i-- > 0;) {
    Node *c = node_new(s, N_COMPREHENSION, def), *bind = node_new(s, N_BIND, def->items[i]);
    if (!c || !bind) return NULL;
    node_push(s, bind, node_name(s, def->items[i]->name, def->items[i]));
    bind->a = node_copy(s, ranges[i]);
    node_push(s, c, bind);
    c->a = e;
    e = c;
  }
  return e;
}

Node *lower_arraydef(Lower *lo, Node *def) {
  Node *ranges[TENSOR_MAX_RANK];
  if (def->n > TENSOR_MAX_RANK) {
    diag_add(lo->diags, DIAG_ERROR, lo->source, def->span, "an array has at most %d indices", TENSOR_MAX_RANK);
    return NULL;
  }
  Fill f = {lo, true};
  fill_nested(def->b, &f);
  for (uint32_t i = 0; f.ok && i < def->n; i++) {
    ranges[i] = infer_range(lo, def->items[i]->name, def->b, def->items[i]);
    f.ok = ranges[i] != NULL;
  }
  if (!f.ok) return NULL;
  Node *loop = comprehension(lo, def, ranges);
  Build b;
  if (!loop || !build_start(&b, lo)) return NULL;
  for (uint32_t i = 0; i < def->n && !b.failed; i++) {
    int axis = b.spec->axes++;
    b.spec->axis[axis] = (IxAxis){.name = def->items[i]->name, .start = IX_INFERRED, .stop = IX_INFERRED};
    b.scope[b.depth++] = axis;
  }
  b.spec->free = (int)def->n;
  b.spec->body = translate(&b, def->b);
  if (b.failed || !b.spec->body || b.spec->columns) {
    build_drop(&b);
    return loop;
  }
  return index_call(&b, loop, def);
}
