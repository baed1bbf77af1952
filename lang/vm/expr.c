/* expr.c: expressions to bytecode. */
#include "lang/vm/compile.h"

#include <string.h>

/* ---- literals --------------------------------------------------------------------- */

static bool bracket_literal(Fn *f, Node *n, Value *out);

/* Numbers, bools, strings and brackets of literal numbers become constants. */
bool literal(Fn *f, Node *n, Value *out) {
  Vm *vm = f->c->vm;
  switch (n->kind) {
  case N_NIL: *out = NIL_VALUE; return true;
  case N_BOOL: *out = value_bool(n->i != 0); return true;
  case N_INT: *out = value_int(n->i); return true;
  case N_FLOAT: *out = value_float(n->f); return true;
  case N_QUANTITY:
    *out = (Value){.tag = V_QUANTITY, .f = n->f};
    memcpy(out->dims, n->dims, sizeof n->dims);
    return true;
  case N_IMAG:
    *out = complex_new(vm, (c128){0, n->f});
    return !is_unset(*out);
  case N_STR: {
    Str *s = str_new(vm, n->name, (size_t)n->i);
    if (!s) return false;
    *out = value_obj(s);
    return true;
  }
  case N_UNARY: {
    Value v;
    if (n->op != OP_NEG || (n->a->kind != N_INT && n->a->kind != N_FLOAT && n->a->kind != N_IMAG &&
                            n->a->kind != N_QUANTITY))
      return false;
    if (!literal(f, n->a, &v)) return false;
    int failed = value_negate(vm, v, 0, out);
    value_unref(vm, v);
    return !failed;
  }
  case N_BRACKET: return bracket_literal(f, n, out);
  default: return false;
  }
}

static void drop(Vm *vm, Value *items, uint32_t n, uint32_t cap) {
  for (uint32_t k = 0; k < n; k++) value_unref(vm, items[k]);
  rt_free(vm->rt, items, cap * sizeof *items);
}

static bool bracket_literal(Fn *f, Node *n, Value *out) {
  Vm *vm = f->c->vm;
  if (n->n == 0) return false;
  bool nested = n->items[0]->kind == N_BRACKET;
  for (uint32_t k = 0; k < n->n; k++) {
    NodeKind kind = n->items[k]->kind;
    if ((kind == N_BRACKET) != nested) return false;
    if (!nested && kind != N_INT && kind != N_FLOAT && kind != N_BOOL && kind != N_IMAG &&
        kind != N_UNARY)
      return false;
  }
  Value *items = rt_alloc(vm->rt, n->n * sizeof *items);
  if (!items) return false;
  uint32_t k = 0;
  while (k < n->n && literal(f, n->items[k], &items[k])) {
    k++;
    if (nested && !value_is(items[k - 1], OBJ_TENSOR)) break;
  }
  bool ok = k == n->n && (!nested || value_is(items[k - 1], OBJ_TENSOR)) &&
            build_bracket(vm, items, k, nested, false, out) == 0;
  drop(vm, items, k, n->n);
  return ok;
}

/* ---- names ------------------------------------------------------------------------- */

typedef struct { const char *name, *best; int distance; } Nearest;
static void consider(const char *name, void *user) {
  Nearest *near = user;
  int d = edit_distance(near->name, name, near->distance);
  if (d < near->distance) {
    near->distance = d;
    near->best = name;
  }
}

static void unknown_name(Fn *f, Node *n) {
  Diag *d = compile_error(f, n->span, "unknown name `%s`", n->name);
  Nearest near = {n->name, NULL, (int)strlen(n->name) > 3 ? 3 : 2};
  for (Fn *g = f; g; g = g->outer)
    for (uint32_t k = 0; k < g->n_locals; k++) consider(g->locals[k].name, &near);
  vm_names(f->c->vm, consider, &near);
  for (uint32_t k = 0; k < f->c->module->n; k++)
    if (f->c->module->info[k].kind != G_NONE) consider(f->c->module->info[k].name->data, &near);
  if (near.best) diag_help(d, "did you mean `%s`?", near.best);
}

static void name_expr(Fn *f, Node *n, uint32_t dst) {
  Found at = resolve(f, n->name);
  switch (at.at) {
  case AT_LOCAL:
    if (at.index != dst) emit(f, I_MOVE, 0, dst, at.index, 0);
    break;
  case AT_UP: emit(f, I_GETUP, 0, dst, at.index, 0); break;
  case AT_SELF: emit(f, I_GETSELF, 0, dst, 0, 0); break;
  case AT_GLOBAL: emit_bx(f, I_GETG, 0, dst, (int32_t)at.index); break;
  case AT_NONE: unknown_name(f, n); break;
  }
}

uint32_t expr_any(Fn *f, Node *n) {
  if (n->kind == N_NAME) {
    Found at = resolve(f, n->name);
    if (at.at == AT_LOCAL) return at.index;
  }
  uint32_t r = alloc_regs(f, 1);
  expr(f, n, r);
  return r;
}

typedef struct { bool found; } Assigns;
static void look_for_assignment(Node *n, void *user) {
  Assigns *a = user;
  if (a->found || n->kind == N_LAMBDA || n->kind == N_FN) return;
  if (n->kind == N_ASSIGN) a->found = true;
  else node_children(n, look_for_assignment, user);
}

/* A `var` read before an operand that assigns to it must be copied first. */
uint32_t operand(Fn *f, Node *n, Node *later) {
  uint32_t r = expr_any(f, n);
  if (n->kind != N_NAME || later->kind == N_NAME || later->kind <= N_STR) return r;
  Assigns a = {false};
  look_for_assignment(later, &a);
  if (!a.found) return r;
  uint32_t kept = alloc_regs(f, 1);
  emit(f, I_MOVE, 0, kept, r, 0);
  return kept;
}

/* ---- operators --------------------------------------------------------------------- */

static Opcode arith_opcode(AstOp op) {
  switch (op) {
  case OP_ADD: return I_ADD;
  case OP_SUB: return I_SUB;
  case OP_MUL: return I_MUL;
  case OP_DIV: return I_DIV;
  case OP_FLOORDIV: return I_IDIV;
  case OP_MOD: return I_MOD;
  case OP_POW: return I_POW;
  default: return I_MATMUL;
  }
}

static bool number_literal(Fn *f, Node *n, Value *v) {
  if (n->kind != N_INT && n->kind != N_FLOAT && n->kind != N_UNARY) return false;
  if (n->kind == N_UNARY && n->a->kind == N_IMAG) return false;
  return literal(f, n, v);
}

/* dst = R[left] op right */
void binary_to(Fn *f, AstOp op, uint32_t dst, uint32_t left, Node *right) {
  Opcode code = arith_opcode(op);
  Value k;
  if (op != OP_MATMUL && number_literal(f, right, &k)) {
    emit(f, (Opcode)(code - I_ADD + I_ADDK), 0, dst, left, constant(f, k));
    return;
  }
  uint32_t r = expr_any(f, right);
  emit(f, code, 0, dst, left, r);
}

static void binary_expr(Fn *f, Node *n, uint32_t dst) {
  Value v, k;
  bool constant_left = number_literal(f, n->a, &v) && !number_literal(f, n->b, &k);
  if ((n->op == OP_ADD || n->op == OP_MUL) && constant_left) {
    uint32_t r = expr_any(f, n->b);     /* 2 * x is x * 2 */
    f->c->span = n->span;
    emit(f, n->op == OP_ADD ? I_ADDK : I_MULK, 0, dst, r, constant(f, v));
    return;
  }
  uint32_t left = operand(f, n->a, n->b);
  Opcode code = arith_opcode(n->op);
  if (n->op != OP_MATMUL && number_literal(f, n->b, &k)) {
    f->c->span = n->span;
    emit(f, (Opcode)(code - I_ADD + I_ADDK), 0, dst, left, constant(f, k));
    return;
  }
  uint32_t right = expr_any(f, n->b);
  f->c->span = n->span;
  emit(f, code, 0, dst, left, right);
}

static void compare_value(Fn *f, Node *n, uint32_t dst) {
  uint32_t left = operand(f, n->items[0], n->items[1]);
  Chain end = 0;
  for (uint32_t k = 0; k + 1 < n->n; k++) {
    uint32_t right = expr_any(f, n->items[k + 1]);
    f->c->span = n->span;
    if (k == 0) {
      emit(f, I_COMPARE, (n->ops[k] - OP_EQ) << 4, dst, left, right);
    } else {
      uint32_t t = alloc_regs(f, 1);
      chain_add(f, &end, emit_bx(f, I_ANDJ, 0, dst, 0));
      emit(f, I_COMPARE, (n->ops[k] - OP_EQ) << 4, t, left, right);
      emit(f, I_AND, 0, dst, dst, t);
    }
    left = right;
  }
  patch_here(f, end);
}

static void logic_value(Fn *f, Node *n, uint32_t dst) {
  bool is_and = n->kind == N_AND;
  Chain end = 0;
  expr(f, n->a, dst);
  f->c->span = n->a->span;
  chain_add(f, &end, emit_bx(f, is_and ? I_ANDJ : I_ORJ, 0, dst, 0));
  uint32_t r = expr_any(f, n->b);
  f->c->span = n->span;
  emit(f, is_and ? I_AND : I_OR, 0, dst, dst, r);
  patch_here(f, end);
}

/* ---- conditions ----------------------------------------------------------------------- */

static const Opcode test_opcode[] = {I_EQJ, I_NEJ, I_LTJ, I_LEJ, I_GTJ, I_GEJ};

static void test_pair(Fn *f, AstOp op, uint32_t left, Node *right_node, uint32_t right, bool sense,
                      Chain *chain) {
  Value k;
  unsigned flags = sense ? SENSE : 0;
  Opcode code = test_opcode[op - OP_EQ];
  if (right_node && number_literal(f, right_node, &k))
    chain_add(f, chain, emit(f, (Opcode)(code - I_LTJ + I_LTKJ), flags, left, constant(f, k), 0));
  else
    chain_add(f, chain, emit(f, code, flags, left, right, 0));
}

static bool jumpable(const Node *n) {
  for (uint32_t k = 0; k + 1 < n->n; k++)
    if (n->ops[k] > OP_GE) return false;
  return true;
}

static void compare_cond(Fn *f, Node *n, bool jump_if, Chain *chain) {
  uint32_t left = operand(f, n->items[0], n->items[1]);
  Chain skip = 0;
  for (uint32_t k = 0; k + 1 < n->n; k++) {
    Node *node = n->items[k + 1];
    bool last = k + 2 == n->n;
    Value v;
    uint32_t right = last && number_literal(f, node, &v) ? 0 : expr_any(f, node);
    f->c->span = n->span;
    test_pair(f, n->ops[k], left, last ? node : NULL, right, last && jump_if,
              last && jump_if ? chain
              : jump_if       ? &skip
                              : chain);
    left = right;
  }
  patch_here(f, skip);
}

/* Jumps into `chain` when n's truth is jump_if, else falls through. */
void cond(Fn *f, Node *n, bool jump_if, Chain *chain) {
  uint32_t keep = f->free;
  Span span = f->c->span;
  f->c->span = n->span;
  if (n->kind == N_COMPARE && jumpable(n)) {
    compare_cond(f, n, jump_if, chain);
  } else if (n->kind == N_AND || n->kind == N_OR) {
    bool stops = n->kind == N_OR;      /* the truth that decides at once */
    Chain skip = 0;
    cond(f, n->a, stops, stops == jump_if ? chain : &skip);
    cond(f, n->b, jump_if, chain);
    patch_here(f, skip);
  } else if (n->kind == N_UNARY && n->op == OP_NOT) {
    cond(f, n->a, !jump_if, chain);
  } else if (n->kind == N_BOOL) {
    if ((n->i != 0) == jump_if) chain_add(f, chain, emit_bx(f, I_JMP, 0, 0, 0));
  } else {
    uint32_t r = expr_any(f, n);
    f->c->span = n->span;
    chain_add(f, chain, emit_bx(f, jump_if ? I_JT : I_JF, 0, r, 0));
  }
  f->free = keep;
  f->c->span = span;
}

/* A value that is written piece by piece must not land in a variable that its
 * own pieces may read: it goes through a temporary.                          */
static uint32_t staging(Fn *f, uint32_t dst) {
  return dst + 1 == f->free ? dst : alloc_regs(f, 1);
}

static void settle(Fn *f, uint32_t from, uint32_t dst) {
  if (from != dst) emit(f, I_MOVE, 0, dst, from, 0);
}

static void if_expr(Fn *f, Node *n, uint32_t dst) {
  Chain other = 0, end = 0;
  cond(f, n->a, false, &other);
  expr(f, n->b, dst);
  chain_add(f, &end, emit_bx(f, I_JMP, 0, 0, 0));
  patch_here(f, other);
  if (n->c) expr(f, n->c, dst);
  else emit(f, I_NIL, 0, dst, 0, 0);
  patch_here(f, end);
}

static void try_expr(Fn *f, Node *n, uint32_t dst) {
  uint32_t err = alloc_regs(f, 1);
  Chain handler = 0, end = 0;
  chain_add(f, &handler, emit_bx(f, I_TRY, 0, err, 0));
  f->tries++;
  expr(f, n->a, dst);
  f->tries--;
  emit(f, I_ENDTRY, 0, 0, 0, 0);
  chain_add(f, &end, emit_bx(f, I_JMP, 0, 0, 0));
  patch_here(f, handler);
  uint32_t locals = f->n_locals;
  if (n->name) declare(f, n->name, err, L_LET, n->span);
  expr(f, n->b, dst);
  f->n_locals = locals;
  /* A fallback that does not look at the error still owns it: calls place
   * their frames over registers that count as free.                        */
  emit(f, I_NIL, 0, err, 0, 0);
  patch_here(f, end);
}

/* ---- calls ------------------------------------------------------------------------------- */

/* Arguments into consecutive registers; *names is a constant with the names of
 * the last *named ones, or 0xffff.                                           */
static uint32_t arguments(Fn *f, Node **items, uint32_t n, uint32_t *names) {
  Vm *vm = f->c->vm;
  uint32_t first = n;
  for (uint32_t k = n; k > 0; k--)
    if (items[k - 1]->kind == N_ARG) first = k - 1;
  for (uint32_t k = 0; k < n; k++) {
    Node *item = items[k];
    uint32_t r = alloc_regs(f, 1);
    if (k > first && item->kind != N_ARG)
      compile_error(f, item->span, "a positional argument stands after a named one");
    if (item->kind == N_GEN) comprehension(f, item, r);
    else expr(f, item->kind == N_ARG ? item->a : item, r);
  }
  *names = 0xffff;
  if (first == n) return n;
  List *l = list_new(vm, true, n - first);
  for (uint32_t k = first; l && k < n; k++) {
    Str *s = str_new(vm, items[k]->name ? items[k]->name : "",
                     items[k]->name ? strlen(items[k]->name) : 0);
    if (!s || list_push(vm, l, value_obj(s))) {
      value_unref(vm, value_obj(l));
      l = NULL;
    }
  }
  if (!l) f->c->no_memory = true;
  else *names = constant(f, value_obj(l));
  return n;
}

static void call_parts(Fn *f, Node *at, Node *callee, Node **items, uint32_t n, uint32_t dst) {
  uint32_t base = dst + 1 == f->free ? dst : alloc_regs(f, 1), names;
  Node spread = *at;
  spread.items = items;
  spread.n = n;
  spread.a = callee;
  spread.kind = N_CALL;
  if (reducer(f, &spread, base)) {
    settle(f, base, dst);
    return;
  }
  if (callee->kind == N_FIELD) {
    expr(f, callee->a, base);
    uint32_t self = alloc_regs(f, 1);
    (void)self;
    f->c->span = callee->span2.end ? callee->span2 : callee->span;
    emit_bx(f, I_METHOD, 0, base, (int32_t)constant_str(f, callee->name, strlen(callee->name)));
    arguments(f, items, n, &names);
    f->c->span = at->span;
    emit(f, I_CALLM, 0, base, n, names);
    settle(f, base, dst);
    return;
  }
  Found found = {AT_NONE, 0, L_LET, {0, 0}};
  if (callee->kind == N_NAME) {
    f->c->span = callee->span;
    found = resolve(f, callee->name);
  }
  bool named = false;
  for (uint32_t k = 0; k < n; k++) named |= items[k]->kind == N_ARG;
  bool direct = found.at == AT_GLOBAL && found.index <= 0xffff && !named;
  if (!direct) expr(f, callee, base);
  arguments(f, items, n, &names);
  f->c->span = at->span;
  if (direct) emit(f, I_CALLG, 0, base, n, found.index);
  else if (names != 0xffff) emit(f, I_CALLN, 0, base, n, names);
  else emit(f, I_CALL, 0, base, n, 0);
  settle(f, base, dst);
}

/* x |> f(y) is f(x, y) */
static void pipe_expr(Fn *f, Node *n, uint32_t dst) {
  if (n->b->kind != N_CALL) {
    call_parts(f, n, n->b, &n->a, 1, dst);
    return;
  }
  Node *call = n->b;
  Node **items = arena_alloc(&f->c->source->arena, (call->n + 1) * sizeof *items);
  if (!items) {
    f->c->no_memory = true;
    return;
  }
  items[0] = n->a;
  if (call->n) memcpy(items + 1, call->items, call->n * sizeof *items);
  call_parts(f, n, call->a, items, call->n + 1, dst);
}

static void lambda_expr(Fn *f, Node *n, uint32_t dst) {
  Proto *p = compile_function(f, n, n->name, false, n->b);
  uint32_t k = add_proto(f, p);
  emit_bx(f, I_CLOSURE, 0, dst, (int32_t)k);
}

/* ---- indexing, containers ------------------------------------------------------------------ */

static void range_expr(Fn *f, Node *n, uint32_t dst) {
  uint32_t a = n->a ? operand(f, n->a, n->b ? n->b : n->a) : 0, b = n->b ? expr_any(f, n->b) : 0;
  unsigned flags = (n->op ? F_INCL : 0u) | (n->a ? 0u : F_NOSTART) | (n->b ? 0u : F_NOSTOP);
  if (!n->a) a = b;
  if (!n->b) b = a;
  if (!n->a && !n->b) {
    a = b = alloc_regs(f, 1);
    emit(f, I_NIL, 0, a, 0, 0);
  }
  f->c->span = n->span;
  emit(f, I_RANGE, flags, dst, a, b);
}

void index_items(Fn *f, Node **items, uint32_t n) {
  uint32_t base = alloc_regs(f, n);
  if (n > TENSOR_MAX_RANK)
    compile_error(f, items[0]->span, "too many indices (limit %d)", TENSOR_MAX_RANK);
  for (uint32_t k = 0; k < n; k++) expr(f, items[k], base + k);
}

static void index_expr(Fn *f, Node *n, uint32_t dst) {
  uint32_t obj = n->n ? operand(f, n->a, n->items[0]) : expr_any(f, n->a);
  if (n->n == 1) {
    uint32_t ix = expr_any(f, n->items[0]);
    f->c->span = n->span;
    emit(f, I_GETIDX, 0, dst, obj, ix);
    return;
  }
  uint32_t base = f->free;
  index_items(f, n->items, n->n);
  f->c->span = n->span;
  emit(f, I_GETIDXN, ((n->n - 1) & 15) << 4, dst, obj, base);
}

static bool nests(const Node *n) { return n->kind == N_BRACKET || n->kind == N_COMPREHENSION; }

static void bracket_expr(Fn *f, Node *n, uint32_t dst) {
  bool nested = false, plain = false;
  for (uint32_t k = 0; k < n->n; k++) {
    if (nests(n->items[k])) nested = true;
    else plain = true;
  }
  unsigned flags = (nested ? F_NESTED : 0u) | (nested && plain ? F_MIXED : 0u);
  if (n->n <= 256) {
    uint32_t base = alloc_regs(f, n->n);
    for (uint32_t k = 0; k < n->n; k++) expr(f, n->items[k], base + k);
    f->c->span = n->span;
    emit(f, I_BRACKET, flags, dst, base, n->n);
    return;
  }
  uint32_t list = alloc_regs(f, 1);     /* a long one is collected */
  emit(f, I_NEWLIST, 0, list, 0, 0);
  for (uint32_t k = 0; k < n->n; k++) {
    uint32_t keep = f->free, r = expr_any(f, n->items[k]);
    emit(f, I_PUSH, 0, list, r, 0);
    f->free = keep;
  }
  f->c->span = n->span;
  if (!(nested && plain)) emit(f, I_FINISH, flags & F_NESTED, list, 0, 0);
  settle(f, list, dst);
}

static void tuple_expr(Fn *f, Node *n, uint32_t dst) {
  uint32_t base = alloc_regs(f, n->n);
  for (uint32_t k = 0; k < n->n; k++) expr(f, n->items[k], base + k);
  emit(f, I_TUPLE, 0, dst, base, n->n);
}

static void record_expr(Fn *f, Node *n, uint32_t dst) {
  Vm *vm = f->c->vm;
  uint32_t base = alloc_regs(f, n->n);
  List *keys = list_new(vm, true, n->n);
  for (uint32_t k = 0; k < n->n; k++) {
    expr(f, n->items[k]->a, base + k);
    const char *name = n->items[k]->name;
    Str *s = keys ? str_new(vm, name, strlen(name)) : NULL;
    if (!s || list_push(vm, keys, value_obj(s))) {
      f->c->no_memory = true;
      if (keys) value_unref(vm, value_obj(keys));
      return;
    }
  }
  if (!keys) {
    f->c->no_memory = true;
    return;
  }
  f->c->span = n->span;
  emit(f, I_RECORD, 0, dst, base, constant(f, value_obj(keys)));
}

static void interp_expr(Fn *f, Node *n, uint32_t dst) {
  uint32_t base = alloc_regs(f, n->n);
  for (uint32_t k = 0; k < n->n; k++) {
    Node *piece = n->items[k];
    if (piece->kind != N_HOLE) {
      expr(f, piece, base + k);
      continue;
    }
    uint32_t keep = f->free, r = expr_any(f, piece->a);
    f->c->span = piece->span;
    emit(f, I_FORMAT, 0, base + k, r,
         piece->name ? constant_str(f, piece->name, strlen(piece->name)) : 0xffff);
    f->free = keep;
  }
  f->c->span = n->span;
  emit(f, I_CONCAT, 0, dst, base, n->n);
}

/* ---- all of them --------------------------------------------------------------------------- */

static void piecewise(Fn *f, Node *n, uint32_t dst) {
  uint32_t to = staging(f, dst);
  switch (n->kind) {
  case N_COMPARE: compare_value(f, n, to); break;
  case N_AND: case N_OR: logic_value(f, n, to); break;
  case N_IF: if_expr(f, n, to); break;
  case N_TRY: try_expr(f, n, to); break;
  case N_BLOCK: block_value(f, n, to); break;
  case N_WITH: with_value(f, n, to); break;
  default: comprehension(f, n, to); break;
  }
  settle(f, to, dst);
}

static void unary_expr(Fn *f, Node *n, uint32_t dst) {
  uint32_t r = expr_any(f, n->a);
  f->c->span = n->span;
  emit(f, n->kind == N_TRANSPOSE ? I_TRANSPOSE : n->op == OP_NOT ? I_NOT : I_NEG, 0, dst, r, 0);
}

static void expr_kind(Fn *f, Node *n, uint32_t dst) {
  switch (n->kind) {
  case N_NAME: name_expr(f, n, dst); break;
  case N_CONST: load_constant(f, value_ref(*(Value *)n->ptr), dst); break;
  case N_INTERP: interp_expr(f, n, dst); break;
  case N_UNARY: case N_TRANSPOSE: unary_expr(f, n, dst); break;
  case N_BINARY: binary_expr(f, n, dst); break;
  case N_RANGE: range_expr(f, n, dst); break;
  case N_ALL: load_constant(f, (Value){.tag = V_NIL, .i = MARK_ALL}, dst); break;
  case N_INDEX: index_expr(f, n, dst); break;
  case N_FIELD: {
    uint32_t r = expr_any(f, n->a);
    f->c->span = n->span;
    emit(f, I_GETFIELD, 0, dst, r, constant_str(f, n->name, strlen(n->name)));
    break;
  }
  case N_CALL: call_parts(f, n, n->a, n->items, n->n, dst); break;
  case N_PIPE: pipe_expr(f, n, dst); break;
  case N_LAMBDA: lambda_expr(f, n, dst); break;
  case N_BRACKET: bracket_expr(f, n, dst); break;
  case N_RECORD: record_expr(f, n, dst); break;
  case N_TUPLE: tuple_expr(f, n, dst); break;
  case N_COMPARE: case N_AND: case N_OR: case N_IF: case N_TRY: case N_BLOCK: case N_WITH:
  case N_COMPREHENSION: case N_GEN: piecewise(f, n, dst); break;
  case N_ERROR: break;
  default:
    if (is_statement(n)) {
      stmt_value(f, n, dst, false);
    } else {
      compile_error(f, n->span, "%s cannot stand here", node_kind_name(n->kind));
    }
  }
}

void expr(Fn *f, Node *n, uint32_t dst) {
  if (f->c->no_memory) return;
  uint32_t keep = f->free;
  Span span = f->c->span;
  f->c->span = n->span;
  Value v;
  if (literal(f, n, &v)) load_constant(f, v, dst);
  else expr_kind(f, n, dst);
  f->free = keep;
  f->c->span = span;
}
