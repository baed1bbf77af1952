/* stmt.c: statements to bytecode; the body of a module. */
#include "lang/vm/compile.h"

#include <string.h>

bool is_statement(const Node *n) {
  return (n->kind >= N_LET && n->kind <= N_WITH) ||
         (n->kind >= N_ATTENTION && n->kind <= N_EXPERIMENT);
}

/* ---- binding names ------------------------------------------------------------------- */

static void bind_fields(Fn *f, Node *pattern, uint32_t from, uint32_t first) {
  for (uint32_t k = 0; k < pattern->n; k++) {
    Node *pair = pattern->items[k];
    f->c->span = pair->span;
    emit(f, I_GETFIELD, 0, first + k, from, constant_str(f, pair->name, strlen(pair->name)));
  }
}

static Node *pattern_name(Node *pattern, uint32_t k) {
  Node *item = pattern->kind == N_NAME ? pattern : pattern->items[k];
  return item->kind == N_PAIR ? item->a : item;
}

/* The values of a pattern into consecutive new registers. */
static uint32_t pattern_values(Fn *f, Node *pattern, Node *value, uint32_t *n) {
  *n = pattern->kind == N_NAME ? 1 : pattern->n;
  uint32_t first = alloc_regs(f, *n), keep = f->free;
  if (pattern->kind == N_NAME) {
    expr(f, value, first);
    return first;
  }
  uint32_t whole = expr_any(f, value);
  f->c->span = pattern->span;
  if (pattern->kind == N_TUPLE) emit(f, I_UNPACK, 0, first, whole, *n);
  else bind_fields(f, pattern, whole, first);
  f->free = keep;
  return first;
}

/* `let f = x => f(x - 1)`: the lambda may call itself by that name. */
static void name_lambda(Node *pattern, Node *value) {
  if (pattern->kind == N_NAME && value->kind == N_LAMBDA && !value->name)
    value->name = pattern->name;
}

static void let_local(Fn *f, Node *n, LocalKind kind) {
  uint32_t count;
  name_lambda(n->a, n->b);
  uint32_t first = pattern_values(f, n->a, n->b, &count);
  for (uint32_t k = 0; k < count; k++) {
    Node *name = pattern_name(n->a, k);
    declare(f, name->name, first + k, kind, name->span);
  }
}

static void set_global(Fn *f, const char *name, uint32_t reg) {
  int slot = module_find(f->c->module, name);
  if (slot >= 0) emit_bx(f, I_SETG, 0, reg, slot);
}

/* A top-level `let` goes into its slot; a top-level `var` is a local of the
 * module's code, so that writing to it needs no copy.                        */
static void let_global(Fn *f, Node *n) {
  uint32_t keep = f->free, count;
  name_lambda(n->a, n->b);
  uint32_t first = pattern_values(f, n->a, n->b, &count);
  for (uint32_t k = 0; k < count; k++) set_global(f, pattern_name(n->a, k)->name, first + k);
  f->free = keep;
}

static void let_stmt(Fn *f, Node *n, bool top) {
  if (n->kind == N_VAR) let_local(f, n, top ? L_TOPVAR : L_VAR);
  else if (top) let_global(f, n);
  else let_local(f, n, L_LET);
}

/* let C[i, j] = e: lowered to an index program, or nested comprehensions. */
static void arraydef_stmt(Fn *f, Node *n, bool top) {
  Compiler *c = f->c;
  int errors = c->diags->errors;
  Node *value = n->flags & NODE_NO_INDEX ? NULL : lower_arraydef(&c->lower, n);
  if (!value && c->diags->errors > errors) return;
  if (!value) value = arraydef_loops(f, n);
  if (!value) return;
  uint32_t r = alloc_regs(f, 1);
  expr(f, value, r);
  if (top && !n->op) {
    set_global(f, n->name, r);
    f->free = r;
  } else {
    declare(f, n->name, r, !n->op ? L_LET : top ? L_TOPVAR : L_VAR, n->span2);
  }
}

/* ---- assignment -------------------------------------------------------------------------- */

static bool assignable(Fn *f, Node *root, Found *at) {
  *at = resolve(f, root->name);
  if (at->at == AT_LOCAL && (at->kind == L_VAR || at->kind == L_TOPVAR)) return true;
  Diag *d;
  if (at->at == AT_NONE) {
    d = compile_error(f, root->span, "unknown name `%s`", root->name);
    diag_help(d, "`var %s = ...` declares it", root->name);
  } else if (at->at == AT_UP) {
    d = compile_error(f, root->span,
                      "`%s` is captured: a function has its own copy, which cannot be set",
                      root->name);
    diag_help(d, "return the new value instead");
  } else if (at->at == AT_LOCAL && at->kind == L_PARAM) {
    d = compile_error(f, root->span, "the parameter `%s` cannot be set", root->name);
    diag_help(d, "copy it first: `var x = %s`", root->name);
  } else if (at->at == AT_LOCAL && at->kind == L_LOOP) {
    d = compile_error(f, root->span, "the loop variable `%s` cannot be set", root->name);
    diag_help(d, "copy it first: `var x = %s`", root->name);
  } else {
    d = compile_error(f, root->span, "`%s` is not a `var` and cannot be set", root->name);
    diag_help(d, "declare it with `var %s = ...`", root->name);
  }
  return false;
}

/* Values that are written in one go at the end can go straight to a variable. */
static bool written_at_once(const Node *n) {
  switch (n->kind) {
  case N_NAME:
  case N_UNARY:
  case N_BINARY:
  case N_TRANSPOSE:
  case N_INDEX:
  case N_FIELD:
  case N_CALL:
  case N_PIPE: case N_LAMBDA: case N_TUPLE: case N_RECORD: case N_INTERP: case N_RANGE: return true;
  default: return n->kind <= N_STR;
  }
}

static void assign_name(Fn *f, Node *n) {
  Found at;
  if (!assignable(f, n->a, &at)) return;
  if (n->op != OP_NONE) {
    uint32_t left = operand(f, n->a, n->b);
    f->c->span = n->span;
    binary_to(f, n->op, at.index, left, n->b);
  } else if (written_at_once(n->b)) {
    alloc_regs(f, 1);       /* so that the variable is not taken for a free register */
    expr(f, n->b, at.index);
  } else {
    uint32_t r = alloc_regs(f, 1);
    expr(f, n->b, r);
    emit(f, I_MOVE, 0, at.index, r, 0);
  }
}

static uint32_t add_place(Fn *f, Node *target, uint32_t n_steps, AstOp op) {
  Vm *vm = f->c->vm;
  Proto *p = f->proto;
  Place *places = grow(vm, p->places, &p->cap_places, p->n_places + 1, sizeof *places);
  if (places) p->places = places;
  PlaceStep *steps = places ? rt_alloc0(vm->rt, n_steps * sizeof *steps) : NULL;
  if (!steps) {
    f->c->no_memory = true;
    return 0;
  }
  Node *at = target;
  for (uint32_t k = n_steps; k > 0; k--, at = at->a) {
    if (at->kind == N_INDEX) {
      steps[k - 1].n = at->n;
      continue;
    }
    steps[k - 1].field = str_new(vm, at->name, strlen(at->name));
    if (!steps[k - 1].field) f->c->no_memory = true;
  }
  places[p->n_places] = (Place){n_steps, (uint8_t)op, steps};
  return p->n_places++;
}

/* Index values of all steps, outermost container first. */
static void place_indices(Fn *f, Node *at) {
  if (at->kind == N_NAME) return;
  place_indices(f, at->a);
  if (at->kind == N_INDEX) index_items(f, at->items, at->n);
}

static void assign_element(Fn *f, Node *n, uint32_t root) {
  Node *target = n->a;
  if (target->n == 1) {
    uint32_t ix =
        n->b->kind == N_NAME ? expr_any(f, target->items[0]) : operand(f, target->items[0], n->b);
    uint32_t value;
    if (n->op == OP_NONE) {
      value = expr_any(f, n->b);
    } else {
      value = alloc_regs(f, 1);
      f->c->span = n->span;
      emit(f, I_GETIDX, 0, value, root, ix);
      binary_to(f, n->op, value, value, n->b);
    }
    f->c->span = n->span;
    emit(f, I_SETIDX, 0, root, ix, value);
    return;
  }
  uint32_t base = f->free;
  index_items(f, target->items, target->n);
  uint32_t value = expr_any(f, n->b);
  f->c->span = n->span;
  emit(f, I_SETIDXN, ((target->n - 1) & 15) << 4, root, base, value);
}

static void assign_place(Fn *f, Node *n) {
  uint32_t steps = 0;
  Node *root = n->a;
  for (; root->kind == N_INDEX || root->kind == N_FIELD; root = root->a) steps++;
  Found at;
  if (root->kind != N_NAME || !assignable(f, root, &at)) return;
  bool one = steps == 1 && n->a->kind == N_INDEX;
  if (one && (n->op == OP_NONE || n->a->n == 1)) {
    assign_element(f, n, at.index);
    return;
  }
  uint32_t base = f->free;
  place_indices(f, n->a);
  uint32_t value = expr_any(f, n->b);
  f->c->span = n->span;
  emit(f, I_PLACE, 0, at.index, base, value);
  emit_bx(f, I_EXT, 0, 0, (int32_t)add_place(f, n->a, steps, n->op));
}

/* (a, b) = f(): all or nothing is checked before anything is set */
static void assign_tuple(Fn *f, Node *n) {
  uint32_t count = n->a->n, first = alloc_regs(f, count), whole = expr_any(f, n->b);
  f->c->span = n->a->span;
  emit(f, I_UNPACK, 0, first, whole, count);
  for (uint32_t k = 0; k < count; k++) {
    Found at;
    Node *item = n->a->items[k];
    if (item->kind != N_NAME) {
      compile_error(f, item->span, "only names can be set together");
      continue;
    }
    if (assignable(f, item, &at)) emit(f, I_MOVE, 0, at.index, first + k, 0);
  }
}

static void assign_stmt(Fn *f, Node *n) {
  if (n->a->kind == N_NAME) assign_name(f, n);
  else if (n->a->kind == N_TUPLE) assign_tuple(f, n);
  else assign_place(f, n);
}

/* ---- control ------------------------------------------------------------------------------- */

void leave_to(Fn *f, uint32_t tries, uint32_t scopes) {
  for (uint32_t k = f->tries; k > tries; k--) emit(f, I_ENDTRY, 0, 0, 0, 0);
  for (uint32_t k = f->scopes; k > scopes; k--) emit(f, I_ENDSCOPE, 0, 0, 0, 0);
}

static void return_stmt(Fn *f, Node *n) {
  uint32_t r = alloc_regs(f, 1);
  if (n->a) expr(f, n->a, r);
  else emit(f, I_NIL, 0, r, 0, 0);
  leave_to(f, 0, 0);
  emit(f, I_RET, 0, r, 0, 0);
}

static void break_stmt(Fn *f, Node *n) {
  if (!f->loop) {
    compile_error(f, n->span, "`%s` stands outside a loop",
                  n->kind == N_BREAK ? "break" : "continue");
    return;
  }
  leave_to(f, f->loop->tries, f->loop->scopes);
  Chain *chain = n->kind == N_BREAK ? &f->loop->breaks : &f->loop->continues;
  chain_add(f, chain, emit_bx(f, I_JMP, 0, 0, 0));
}

static void run_body(Fn *f, void *user) { block_stmts(f, user); }

static void for_stmt(Fn *f, Node *n) { loops(f, n->items, n->n, n->c, NULL, run_body, n->b); }

static void while_stmt(Fn *f, Node *n) {
  Loop loop = {.outer = f->loop, .tries = f->tries, .scopes = f->scopes};
  f->loop = &loop;
  uint32_t start = f->proto->n_code;
  cond(f, n->a, false, &loop.breaks);
  uint32_t body = f->proto->n_code;
  block_stmts(f, n->b);
  patch_here(f, loop.continues);
  f->c->span = n->a->span;
  if (f->proto->n_code - start < 10000) {    /* tested again at the end: one jump a round */
    Chain again = 0;
    cond(f, n->a, true, &again);
    chain_patch(f, again, body);
  } else {
    jump_back(f, I_JMP, 0, start);
  }
  patch_here(f, loop.breaks);
  f->loop = loop.outer;
}

void with_value(Fn *f, Node *n, uint32_t dst) {
  uint32_t r = expr_any(f, n->a);
  f->c->span = n->span;
  emit(f, I_SCOPE, 0, r, 0, 0);
  f->scopes++;
  block_value(f, n->b, dst);
  f->scopes--;
  emit(f, I_ENDSCOPE, 0, 0, 0, 0);
}

static void fn_local(Fn *f, Node *n) {
  uint32_t r = alloc_regs(f, 1);
  Proto *p = compile_function(f, n, n->name, false, n->b);
  emit_bx(f, I_CLOSURE, 0, r, (int32_t)add_proto(f, p));
  declare(f, n->name, r, L_LET, n->span2);
}

static void import_to(Fn *f, Node *n, uint32_t r) {
  bool file = n->a->kind == N_STR;
  size_t len = file ? (size_t)n->a->i : strlen(n->a->name);
  f->c->span = n->a->span;
  emit_bx(f, I_IMPORT, file ? F_NESTED : 0, r, (int32_t)constant_str(f, n->a->name, len));
}

static void input_stmt(Fn *f, Node *n, bool top) {
  if (!top) {
    compile_error(f, n->span, "`input` stands at the top of a file");
    return;
  }
  uint32_t r = alloc_regs(f, 1);
  expr(f, n->a, r);
  f->c->span = n->span;
  emit(f, I_INPUT, 0, r, r, constant_str(f, n->name, strlen(n->name)));
  set_global(f, n->name, r);
  f->free = r;
}

/* ---- declarations -------------------------------------------------------- */

/* A declaration of the module is evaluated when it is first read, at the
 * latest where it stands: any order works.                                   */
static void declaration(Fn *f, Node *n, bool top) {
  Compiler *c = f->c;
  if (!top) {
    compile_error(f, n->span2.end ? n->span2 : n->span, "`%s` stands at the top of a file",
                  n->name);
    return;
  }
  if (n->kind == N_EXPERIMENT && !c->main_file) return;
  int slot = module_find(c->module, n->name);
  Node *(*lower)(Lower *, Node *) = n->kind == N_ATTENTION ? lower_attention
                                    : n->kind == N_MODEL ? lower_model
                                    : n->kind == N_HAMILTONIAN ? lower_hamiltonian
                                    : n->kind == N_CIRCUIT ? lower_circuit : lower_experiment;
  Node *value = lower(&c->lower, n);
  if (!value || slot < 0) return;
  Node *body = node_new(c->source, N_BLOCK, n);
  Pending *pending = grow(c->vm, c->pending, &c->cap_pending, c->n_pending + 1, sizeof *pending);
  if (pending) c->pending = pending;
  if (!body || !pending) {
    c->no_memory = true;
    return;
  }
  node_push(c->source, body, value);
  Proto *thunk = compile_function(f, body, n->name, true, body);
  if (!thunk) return;
  pending[c->n_pending++] = (Pending){(uint32_t)slot, thunk};
  emit_bx(f, I_INITG, 0, 0, slot);
}

/* ---- statements ---------------------------------------------------------- */

static void stmt_at(Fn *f, Node *n, bool top) {
  if (f->c->no_memory) return;
  Span span = f->c->span;
  uint32_t keep = f->free;
  bool binds = false;
  f->c->span = n->span;
  switch (n->kind) {
  case N_LET: case N_VAR: let_stmt(f, n, top); binds = true; break;
  case N_ARRAYDEF: arraydef_stmt(f, n, top); binds = true; break;
  case N_FN:
    if (!top) fn_local(f, n);
    binds = !top;
    break;
  case N_IMPORT:
    if (top) break;                       /* done at the start */
    declare(f, n->name, alloc_regs(f, 1), L_LET, n->span);
    import_to(f, n, f->free - 1);
    binds = true;
    break;
  case N_INPUT: input_stmt(f, n, top); break;
  case N_ASSIGN: assign_stmt(f, n); break;
  case N_RETURN: return_stmt(f, n); break;
  case N_BREAK: case N_CONTINUE: break_stmt(f, n); break;
  case N_FOR: for_stmt(f, n); break;
  case N_WHILE: while_stmt(f, n); break;
  case N_WITH: with_value(f, n, alloc_regs(f, 1)); break;
  case N_BLOCK: block_stmts(f, n); break;
  case N_IF:
    if (n->c || n->b) {
      Chain other = 0, end = 0;
      cond(f, n->a, false, &other);
      stmt(f, n->b);
      if (n->c) chain_add(f, &end, emit_bx(f, I_JMP, 0, 0, 0));
      patch_here(f, other);
      if (n->c) stmt(f, n->c);
      patch_here(f, end);
    }
    break;
  case N_ATTENTION: case N_MODEL: case N_HAMILTONIAN: case N_CIRCUIT: case N_EXPERIMENT:
    declaration(f, n, top);
    break;
  case N_ERROR: break;
  default: {
    uint32_t r = alloc_regs(f, 1);
    expr(f, n, r);
  }
  }
  if (!binds) f->free = keep;
  f->c->span = span;
}

void stmt(Fn *f, Node *n) { stmt_at(f, n, false); }

void block_stmts(Fn *f, Node *block) {
  uint32_t keep = f->free, locals = f->n_locals;
  if (block->kind != N_BLOCK) stmt(f, block);
  else
    for (uint32_t k = 0; k < block->n; k++) stmt(f, block->items[k]);
  f->free = keep;
  f->n_locals = locals;
}

/* The value of a block is that of its last statement, nil if that has none. */
void stmt_value(Fn *f, Node *n, uint32_t dst, bool top) {
  if (n->kind == N_WITH) {
    with_value(f, n, dst);
  } else if (is_statement(n)) {
    stmt_at(f, n, top);
    if (n->kind != N_RETURN && n->kind != N_BREAK && n->kind != N_CONTINUE)
      emit(f, I_NIL, 0, dst, 0, 0);
  } else {
    expr(f, n, dst);
  }
}

void block_value(Fn *f, Node *block, uint32_t dst) {
  uint32_t keep = f->free, locals = f->n_locals;
  if (block->n == 0) emit(f, I_NIL, 0, dst, 0, 0);
  for (uint32_t k = 0; k < block->n; k++) {
    if (k + 1 < block->n) stmt(f, block->items[k]);
    else stmt_value(f, block->items[k], dst, false);
  }
  f->free = keep;
  f->n_locals = locals;
}

/* ---- the module ---------------------------------------------------------- */

/* Variables of earlier entries live in slots between entries. */
static void load_session_vars(Fn *f) {
  Module *m = f->c->module;
  for (uint32_t k = 0; k < m->n; k++) {
    if (m->info[k].kind != G_VAR || is_unset(m->slots[k])) continue;
    uint32_t r = alloc_regs(f, 1);
    emit_bx(f, I_GETG, 0, r, (int32_t)k);
    declare(f, m->info[k].name->data, r, L_TOPVAR, m->info[k].span);
  }
}

static void store_session_vars(Fn *f) {
  for (uint32_t k = 0; k < f->n_locals; k++)
    if (f->locals[k].kind == L_TOPVAR) set_global(f, f->locals[k].name, f->locals[k].reg);
}

void module_body(Fn *f, Node *root, uint32_t dst) {
  Compiler *c = f->c;
  emit(f, I_NIL, 0, dst, 0, 0);
  if (c->keep) load_session_vars(f);
  for (uint32_t k = 0; k < root->n; k++) {
    Node *n = root->items[k];
    if (n->kind != N_IMPORT) continue;
    uint32_t r = alloc_regs(f, 1);
    import_to(f, n, r);
    set_global(f, n->name, r);
    f->free = r;
  }
  for (uint32_t k = 0; k < root->n; k++) {
    Node *n = root->items[k];
    if (n->kind != N_FN) continue;
    uint32_t r = alloc_regs(f, 1);
    c->span = n->span;
    Proto *p = compile_function(f, n, n->name, true, n->b);
    emit_bx(f, I_CLOSURE, 0, r, (int32_t)add_proto(f, p));
    set_global(f, n->name, r);
    f->free = r;
  }
  for (uint32_t k = 0; k < root->n; k++) {
    if (k + 1 < root->n) stmt_at(f, root->items[k], true);
    else stmt_value(f, root->items[k], dst, true);
  }
  if (c->keep || !c->main_file) store_session_vars(f);
}
