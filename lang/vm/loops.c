/* loops.c: clauses (`i, j in 0..n, (u, v) in edges if i < j`), comprehensions
 * and reducers written as loops.                                             */
#include "lang/vm/compile.h"

#include <string.h>

/* What all levels of one nest of loops share. */
typedef struct {
  Node **clauses;
  uint32_t n;
  Node *guard;
  Node *source;              /* where missing ranges are inferred from         */
  LoopBody body;
  void *user;
  Loop *loop;
} Nest;

/* One level's range, evaluated once: ints in two registers, or a sequence. */
typedef struct { bool counts; uint32_t first; } Extent;

static void level(Fn *f, Nest *nest, uint32_t clause, uint32_t item, Extent shared,
                  uint32_t previous);

/* ---- ranges that are not written ------------------------------------------------- */

typedef struct { Fn *f; const char *name; uint32_t at; bool found; } Infer;

/* Every `x[.., i, ..]` says how far i runs; all must agree. */
static void infer_from(Node *n, void *user) {
  Infer *in = user;
  Fn *f = in->f;
  for (uint32_t k = 0; n->kind == N_INDEX && k < n->n; k++) {
    Node *item = n->items[k];
    if (item->kind != N_NAME || strcmp(item->name, in->name) != 0) continue;
    if (n->a->kind != N_NAME && n->a->kind != N_FIELD) continue;
    uint32_t keep = f->free;
    Span span = f->c->span;
    f->c->span = n->span;
    uint32_t base = expr_any(f, n->a);
    uint32_t dst = in->found ? alloc_regs(f, 1) : in->at;
    emit(f, I_DIM, 0, dst, base, k);
    if (in->found) emit(f, I_SAMEDIM, 0, in->at, dst, constant_str(f, in->name, strlen(in->name)));
    in->found = true;
    f->free = keep;
    f->c->span = span;
  }
  node_children(n, infer_from, user);
}

static void inferred(Fn *f, Nest *nest, const char *name, Span span, Extent *e) {
  e->counts = true;
  e->first = alloc_regs(f, 2);
  emit_bx(f, I_LOADI, 0, e->first, 0);
  Infer in = {f, name, e->first + 1, false};
  if (nest->source) infer_from(nest->source, &in);
  if (!in.found) {
    Diag *d = compile_error(f, span, "the range of `%s` is not known", name);
    diag_help(d, "write `%s in 0..n`", name);
  }
}

/* ---- the clauses ----------------------------------------------------------------- */

static Extent evaluate(Fn *f, Node *range) {
  Extent e = {.counts = range->kind == N_RANGE && range->a && range->b};
  if (e.counts) {
    e.first = alloc_regs(f, 2);
    expr(f, range->a, e.first);
    expr(f, range->b, e.first + 1);
    f->c->span = range->span;
    if (range->op) emit(f, I_ADDK, 0, e.first + 1, e.first + 1, constant(f, value_int(1)));
  } else {
    e.first = alloc_regs(f, 1);
    expr(f, range, e.first);
  }
  return e;
}

static void innermost(Fn *f, Nest *nest) {
  Chain skip = 0;
  if (nest->guard) cond(f, nest->guard, false, &skip);
  nest->body(f, nest->user);
  patch_here(f, skip);
}

static void next_level(Fn *f, Nest *nest, uint32_t clause, uint32_t item, Extent shared,
                       uint32_t var) {
  Node *c = nest->clauses[clause];
  if (item + 1 < c->n) level(f, nest, clause, item + 1, shared, var);
  else if (clause + 1 < nest->n) level(f, nest, clause + 1, 0, shared, 0);
  else innermost(f, nest);
}

static bool last_level(const Nest *nest, uint32_t clause, uint32_t item) {
  return clause + 1 == nest->n && item + 1 == nest->clauses[clause]->n;
}

/* Registers r (counter and variable) and r + 1 (limit) are set. */
static void counting(Fn *f, Nest *nest, uint32_t clause, uint32_t item, Extent shared, uint32_t r) {
  Node *name = nest->clauses[clause]->items[item];
  f->c->span = nest->clauses[clause]->a ? nest->clauses[clause]->a->span : name->span;
  uint32_t prep = emit_bx(f, I_FORPREP, 0, r, 0), start = f->proto->n_code;
  declare(f, name->name, r, L_LOOP, name->span);
  next_level(f, nest, clause, item, shared, r);
  if (last_level(nest, clause, item)) {
    patch_here(f, nest->loop->continues);
    nest->loop->continues = 0;
  }
  f->c->span = name->span;
  jump_back(f, I_FORLOOP, r, start);
  Chain out = 0;
  chain_add(f, &out, prep);
  patch_here(f, out);
}

static void walking(Fn *f, Nest *nest, uint32_t clause, uint32_t item, Extent shared, uint32_t r) {
  Node *pattern = nest->clauses[clause]->items[item];
  bool pair = pattern->kind == N_TUPLE;
  f->c->span = nest->clauses[clause]->a->span;
  emit(f, I_ITERPREP, pair ? F_NESTED : 0, r, 0, 0);
  uint32_t start = f->proto->n_code;
  Chain out = 0;
  chain_add(f, &out, emit_bx(f, I_ITER, 0, r, 0));
  if (pair) {
    uint32_t first = alloc_regs(f, pattern->n);
    f->c->span = pattern->span;
    emit(f, I_UNPACK, 0, first, r + 2, pattern->n);
    for (uint32_t k = 0; k < pattern->n; k++)
      declare(f, pattern->items[k]->name, first + k, L_LOOP, pattern->items[k]->span);
  } else {
    declare(f, pattern->name, r + 2, L_LOOP, pattern->span);
  }
  next_level(f, nest, clause, item, shared, r + 2);
  if (last_level(nest, clause, item)) {
    patch_here(f, nest->loop->continues);
    nest->loop->continues = 0;
  }
  jump_back(f, I_JMP, 0, start);
  patch_here(f, out);
}

/* j < l: the next name starts where the one before stands (or stops there). */
static void ordered_bounds(Fn *f, Node *order, uint32_t item, Extent shared, uint32_t previous,
                           uint32_t r) {
  AstOp op = item ? (AstOp)order->ops[item - 1] : OP_NONE;
  emit(f, I_MOVE, 0, r, shared.first, 0);
  emit(f, I_MOVE, 0, r + 1, shared.first + 1, 0);
  switch (op) {
  case OP_LT: emit(f, I_ADDK, 0, r, previous, constant(f, value_int(1))); break;
  case OP_LE: emit(f, I_MOVE, 0, r, previous, 0); break;
  case OP_GT: emit(f, I_MOVE, 0, r + 1, previous, 0); break;
  case OP_GE: emit(f, I_ADDK, 0, r + 1, previous, constant(f, value_int(1))); break;
  default: break;
  }
}

static Extent order_extent(Fn *f, Nest *nest, uint32_t clause) {
  Node *order = nest->clauses[clause];
  Extent e;
  if (!order->a) {
    inferred(f, nest, order->items[0]->name, order->span, &e);
    return e;
  }
  e = evaluate(f, order->a);
  if (!e.counts) compile_error(f, order->a->span, "ordered names run over a range such as 0..n");
  return e;
}

static void level(Fn *f, Nest *nest, uint32_t clause, uint32_t item, Extent shared,
                  uint32_t previous) {
  Node *c = nest->clauses[clause];
  uint32_t keep = f->free, locals = f->n_locals;
  bool order = c->kind == N_ORDER;
  if (c->kind != N_BIND && !order) return;           /* an error node */
  if (item == 0) {
    if (order) shared = order_extent(f, nest, clause);
    else if (c->a) shared = evaluate(f, c->a);
  }
  if (!order && !c->a) inferred(f, nest, c->items[item]->name, c->items[item]->span, &shared);
  bool last = order ? false : !c->a || item + 1 == c->n;
  if (order) {
    uint32_t r = alloc_regs(f, 2);
    f->c->span = c->span;
    ordered_bounds(f, c, item, shared, previous, r);
    counting(f, nest, clause, item, shared, r);
  } else if (shared.counts) {
    uint32_t r = shared.first;
    if (!last) {
      r = alloc_regs(f, 2);
      emit(f, I_MOVE, 0, r, shared.first, 0);
      emit(f, I_MOVE, 0, r + 1, shared.first + 1, 0);
    } else if (item) {
      r = alloc_regs(f, 2);           /* the first levels still need the shared one */
      emit(f, I_MOVE, 0, r, shared.first, 0);
      emit(f, I_MOVE, 0, r + 1, shared.first + 1, 0);
    }
    counting(f, nest, clause, item, shared, r);
  } else {
    uint32_t r = alloc_regs(f, 3);
    emit(f, I_MOVE, 0, r, shared.first, 0);
    walking(f, nest, clause, item, shared, r);
  }
  f->free = keep;
  f->n_locals = locals;
}

void loops(Fn *f, Node **clauses, uint32_t n, Node *guard, Node *source, LoopBody body,
           void *user) {
  Loop loop = {.outer = f->loop, .tries = f->tries, .scopes = f->scopes};
  Nest nest = {clauses, n, guard, source, body, user, &loop};
  uint32_t keep = f->free, locals = f->n_locals;
  f->loop = &loop;
  if (n) level(f, &nest, 0, 0, (Extent){0}, 0);
  patch_here(f, loop.breaks);
  f->loop = loop.outer;
  f->free = keep;
  f->n_locals = locals;
}

/* ---- comprehensions ------------------------------------------------------------------ */

typedef struct { Node *element; uint32_t reg; const char *kind; } Collect;

static void push_body(Fn *f, void *user) {
  Collect *c = user;
  uint32_t keep = f->free, r = expr_any(f, c->element);
  f->c->span = c->element->span;
  emit(f, I_PUSH, 0, c->reg, r, 0);
  f->free = keep;
}

/* The expression and the guard, where missing ranges are looked for. */
static Node *sources(Fn *f, Node *n) {
  if (!n->b) return n->a;
  Node *both = node_new(f->c->source, N_TUPLE, n);
  if (!both) return n->a;
  node_push(f->c->source, both, n->a);
  node_push(f->c->source, both, n->b);
  return both;
}

void comprehension(Fn *f, Node *n, uint32_t dst) {
  uint32_t list = alloc_regs(f, 1);
  bool nested = n->a->kind == N_BRACKET || n->a->kind == N_COMPREHENSION;
  Collect c = {.element = n->a, .reg = list};
  emit(f, I_NEWLIST, 0, list, 0, 0);
  loops(f, n->items, n->n, n->b, sources(f, n), push_body, &c);
  f->c->span = n->span;
  emit(f, I_FINISH, nested ? F_NESTED : 0, list, 0, 0);
  emit(f, I_MOVE, 0, dst, list, 0);
}

/* let C[i, j] = e as [[e for j] for i] */
Node *arraydef_loops(Fn *f, Node *def) {
  Source *s = f->c->source;
  Node *value = def->b;
  for (uint32_t k = def->n; k > 0; k--) {
    Node *outer = node_new(s, N_COMPREHENSION, def), *bind = node_new(s, N_BIND, def->items[k - 1]);
    if (!outer || !bind) {
      f->c->no_memory = true;
      return NULL;
    }
    node_push(s, bind, def->items[k - 1]);
    node_push(s, outer, bind);
    outer->a = value;
    value = outer;
  }
  return value;
}

/* ---- reducers ------------------------------------------------------------------------------ */

typedef struct {
  const char *name;
  Node *element;
  uint32_t acc, count, last;   /* mean: how many; the same once there is one  */
} Reduce;

static void fold_body(Fn *f, void *user) {
  Reduce *r = user;
  uint32_t keep = f->free, x = expr_any(f, r->element);
  f->c->span = r->element->span;
  emit(f, strcmp(r->name, "prod") == 0 ? I_MUL : I_ADD, 0, r->acc, r->acc, x);
  if (r->count) {
    emit(f, I_ADDK, 0, r->count, r->count, constant(f, value_int(1)));
    emit(f, I_MOVE, 0, r->last, r->count, 0);
  }
  f->free = keep;
}

static void extreme_body(Fn *f, void *user) {
  Reduce *r = user;
  uint32_t keep = f->free, x = expr_any(f, r->element);
  Chain set = 0, done = 0;
  f->c->span = r->element->span;
  chain_add(f, &set, emit_bx(f, I_JSET, 0, r->acc, 0));
  emit(f, I_MOVE, 0, r->acc, x, 0);
  chain_add(f, &done, emit_bx(f, I_JMP, 0, 0, 0));
  patch_here(f, set);
  emit(f, strcmp(r->name, "min") == 0 ? I_MIN : I_MAX, 0, r->acc, r->acc, x);
  patch_here(f, done);
  f->free = keep;
}

/* any stops at the first true, all at the first false */
static void decide_body(Fn *f, void *user) {
  Reduce *r = user;
  bool any = strcmp(r->name, "any") == 0;
  Chain skip = 0;
  cond(f, r->element, !any, &skip);
  emit(f, I_BOOL, 0, r->acc, any, 0);
  chain_add(f, &f->loop->breaks, emit_bx(f, I_JMP, 0, 0, 0));
  patch_here(f, skip);
}

static void count_body(Fn *f, void *user) {
  Reduce *r = user;
  Chain skip = 0;
  cond(f, r->element, false, &skip);
  emit(f, I_ADDK, 0, r->acc, r->acc, constant(f, value_int(1)));
  patch_here(f, skip);
}

static void reducer_loop(Fn *f, const char *name, Node *gen, Span span, uint32_t dst) {
  Reduce r = {.name = name, .element = gen->a, .acc = alloc_regs(f, 1)};
  bool any = strcmp(name, "any") == 0, all = strcmp(name, "all") == 0,
       count = strcmp(name, "count") == 0;
  bool extreme = strcmp(name, "min") == 0 || strcmp(name, "max") == 0,
       mean = strcmp(name, "mean") == 0;
  f->c->span = span;
  if (any || all) emit(f, I_BOOL, 0, r.acc, all, 0);
  else if (extreme) load_constant(f, UNSET_VALUE, r.acc);
  else emit_bx(f, I_LOADI, 0, r.acc, strcmp(name, "prod") == 0);
  if (mean) {
    r.count = alloc_regs(f, 1);
    emit_bx(f, I_LOADI, 0, r.count, 0);
    r.last = alloc_regs(f, 1);
    load_constant(f, UNSET_VALUE, r.last);
  }
  loops(f, gen->items, gen->n, gen->b, sources(f, gen),
        any || all ? decide_body : count ? count_body : extreme ? extreme_body : fold_body, &r);
  f->c->span = span;
  if (extreme || mean) {          /* of nothing: the instruction says so */
    uint32_t first = mean ? r.last : r.acc;
    Chain set = 0;
    chain_add(f, &set, emit_bx(f, I_JSET, 0, first, 0));
    emit(f, strcmp(name, "max") == 0 ? I_MAX : I_MIN, 0, r.acc, first, mean ? r.count : first);
    patch_here(f, set);
  }
  if (mean) emit(f, I_DIV, 0, r.acc, r.acc, r.count);
  emit(f, I_MOVE, 0, dst, r.acc, 0);
}

/* sum(e for ...) and its kin, when the name is the library's. */
bool reducer(Fn *f, Node *call, uint32_t dst) {
  static const char *const names[] = {"sum", "prod", "min", "max", "mean", "any", "all", "count"};
  if (call->n != 1 || call->items[0]->kind != N_GEN || call->a->kind != N_NAME) return false;
  const char *name = NULL;
  for (size_t k = 0; k < sizeof names / sizeof *names; k++)
    if (strcmp(names[k], call->a->name) == 0) name = names[k];
  if (!name) return false;
  Found at = resolve(f, name);
  bool library = at.at == AT_NONE ? strcmp(name, "count") == 0
                 : at.at == AT_GLOBAL && f->c->module->info[at.index].kind == G_LIBRARY;
  if (!library) return false;
  int errors = f->c->diags->errors;
  bool loop = call->flags & NODE_NO_INDEX;
  Node *lowered = loop ? NULL : lower_reducer(&f->c->lower, call);
  if (lowered) expr(f, lowered, dst);
  else if (f->c->diags->errors == errors) reducer_loop(f, name, call->items[0], call->span, dst);
  return true;
}
