/* compile.c: from syntax trees to bytecode: registers, constants, jumps, names,
 * functions; compile_module() is the way in.                                 */
#include "lang/vm/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- instructions ------------------------------------------------------------- */

static void no_memory(Fn *f) { f->c->no_memory = true; }

static uint32_t emit_word(Fn *f, Instr w) {
  Proto *p = f->proto;
  Vm *vm = f->c->vm;
  if (p->n_code == p->cap_code) {
    uint32_t cap = p->cap_code;
    Instr *code = grow(vm, p->code, &cap, p->n_code + 1, sizeof *code);
    if (!code) return no_memory(f), 0;
    p->code = code;
    uint32_t old = p->cap_code;
    Span *spans = rt_realloc(vm->rt, p->spans, old * sizeof *spans, cap * sizeof *spans);
    uint32_t *links =
        spans ? rt_realloc(vm->rt, f->links, old * sizeof *links, cap * sizeof *links) : NULL;
    if (spans) p->spans = spans;
    if (links) f->links = links;
    if (!links) {           /* what has grown shrinks back, so that sizes agree */
      p->code = rt_realloc(vm->rt, code, cap * sizeof *code, old * sizeof *code);
      if (spans) p->spans = rt_realloc(vm->rt, spans, cap * sizeof *spans, old * sizeof *spans);
      return no_memory(f), 0;
    }
    p->cap_code = f->cap_links = cap;
  }
  p->code[p->n_code] = w;
  p->spans[p->n_code] = f->c->span;
  f->links[p->n_code] = 0;
  return p->n_code++;
}

uint32_t emit(Fn *f, Opcode op, unsigned flags, uint32_t a, uint32_t b, uint32_t c) {
  return emit_word(f, (Instr)op | (Instr)flags << 8 | (Instr)(a & 0xffff) << 16 |
                          (Instr)(b & 0xffff) << 32 | (Instr)(c & 0xffff) << 48);
}

uint32_t emit_bx(Fn *f, Opcode op, unsigned flags, uint32_t a, int32_t bx) {
  return emit_word(f, (Instr)op | (Instr)flags << 8 | (Instr)(a & 0xffff) << 16 |
                          (Instr)(uint32_t)bx << 32);
}

Diag *compile_error(Fn *f, Span span, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return diag_add(f->c->diags, DIAG_ERROR, f->c->source, span, "%s", text);
}

uint32_t alloc_regs(Fn *f, uint32_t n) {
  uint32_t r = f->free;
  if (r + n > 60000) {
    compile_error(f, f->c->span, "the function needs too many values at once (limit 60000)");
    return 0;
  }
  f->free += n;
  if (f->proto->n_regs < f->free) f->proto->n_regs = f->free;
  return r;
}

/* ---- jumps ----------------------------------------------------------------------- */

void chain_add(Fn *f, Chain *chain, uint32_t pc) {
  if (f->c->no_memory) return;
  f->links[pc] = *chain;
  *chain = pc + 1;
}

static void patch_one(Fn *f, uint32_t pc, uint32_t target) {
  Instr *w = &f->proto->code[pc];
  int64_t by = (int64_t)target - (int64_t)pc - 1;
  if (opcode_use[OP_OF(*w)] & SHORT) {
    if (by < INT16_MIN || by > INT16_MAX)
      compile_error(f, f->proto->spans[pc], "this block is too long: move parts into functions");
    *w = (*w & 0x0000ffffffffffffu) | (Instr)(uint16_t)by << 48;
  } else {
    *w = (*w & 0xffffffffu) | (Instr)(uint32_t)by << 32;
  }
}

void chain_patch(Fn *f, Chain chain, uint32_t target) {
  while (chain && !f->c->no_memory) {
    uint32_t pc = chain - 1;
    chain = f->links[pc];
    patch_one(f, pc, target);
  }
}

void patch_here(Fn *f, Chain chain) { chain_patch(f, chain, f->proto->n_code); }

void jump_back(Fn *f, Opcode op, uint32_t a, uint32_t target) {
  uint32_t pc = emit_bx(f, op, 0, a, 0);
  if (!f->c->no_memory) patch_one(f, pc, target);
}

/* ---- constants --------------------------------------------------------------------- */

static bool same_constant(Vm *vm, Value a, Value b) {
  if (a.tag != b.tag || memcmp(a.dims, b.dims, sizeof a.dims)) return false;
  if (!IS_OBJ(a)) return a.i == b.i;
  return a.o->kind == OBJ_STR && b.o->kind == OBJ_STR && value_equal(vm, a, b);
}

uint32_t constant(Fn *f, Value v) {
  Proto *p = f->proto;
  Vm *vm = f->c->vm;
  uint32_t from = p->n_consts > 32 ? p->n_consts - 32 : 0;   /* near ones repeat most */
  for (uint32_t k = from; k < p->n_consts; k++)
    if (same_constant(vm, p->consts[k], v)) {
      value_unref(vm, v);
      return k;
    }
  Value *consts = grow(vm, p->consts, &p->cap_consts, p->n_consts + 1, sizeof *consts);
  if (!consts) {
    value_unref(vm, v);
    return no_memory(f), 0;
  }
  p->consts = consts;
  consts[p->n_consts] = v;
  if (p->n_consts == 0xfffe)
    compile_error(f, f->c->span, "too many constants in one function (limit 65534)");
  return p->n_consts++;
}

uint32_t constant_str(Fn *f, const char *s, size_t n) {
  Str *str = str_new(f->c->vm, s, n);
  if (!str) return no_memory(f), 0;
  return constant(f, value_obj(str));
}

void load_constant(Fn *f, Value v, uint32_t dst) {
  if (v.tag == V_NIL && v.i == MARK_NONE) emit(f, I_NIL, 0, dst, 0, 0);
  else if (v.tag == V_BOOL) emit(f, I_BOOL, 0, dst, v.b, 0);
  else if (v.tag == V_INT && v.i == (int32_t)v.i) emit_bx(f, I_LOADI, 0, dst, (int32_t)v.i);
  else emit_bx(f, I_LOADK, 0, dst, (int32_t)constant(f, v));
}

/* ---- names ------------------------------------------------------------------------------ */

void declare(Fn *f, const char *name, uint32_t reg, LocalKind kind, Span span) {
  Local *locals = grow(f->c->vm, f->locals, &f->cap_locals, f->n_locals + 1, sizeof *locals);
  if (!locals) {
    no_memory(f);
    return;
  }
  f->locals = locals;
  locals[f->n_locals++] = (Local){name, reg, kind, span};
}

static Local *local_of(Fn *f, const char *name) {
  for (uint32_t k = f->n_locals; k > 0; k--)
    if (strcmp(f->locals[k - 1].name, name) == 0) return &f->locals[k - 1];
  return NULL;
}

static bool add_capture(Fn *f, const char *name, Found from, uint32_t *index) {
  Vm *vm = f->c->vm;
  Proto *p = f->proto;
  Capture *captures = grow(vm, p->captures, &p->cap_captures, p->n_captures + 1, sizeof *captures);
  if (captures) p->captures = captures;
  Local *names = captures ? grow(vm, f->up_names, &f->cap_up, f->n_up + 1, sizeof *names) : NULL;
  if (!names) {
    no_memory(f);
    return false;
  }
  f->up_names = names;
  names[f->n_up++] = (Local){name, 0, from.kind, from.span};
  captures[p->n_captures] = (Capture){from.at == AT_LOCAL, (uint16_t)from.index};
  *index = p->n_captures++;
  return true;
}

static Found captured(Fn *f, const char *name) {
  for (uint32_t k = 0; k < f->n_up; k++)
    if (strcmp(f->up_names[k].name, name) == 0)
      return (Found){AT_UP, k, f->up_names[k].kind, f->up_names[k].span};
  if (!f->outer) return (Found){AT_NONE, 0, L_LET, {0, 0}};
  Local *l = local_of(f->outer, name);
  Found from = l ? (Found){AT_LOCAL, l->reg, l->kind, l->span} : captured(f->outer, name);
  if (!l && from.at == AT_NONE && f->outer->self && strcmp(f->outer->self, name) == 0) {
    /* the enclosing local function itself: into a register there, just before
     * the closure is made */
    uint32_t r = alloc_regs(f->outer, 1);
    emit(f->outer, I_GETSELF, 0, r, 0, 0);
    from = (Found){AT_LOCAL, r, L_LET, f->proto->span};
  }
  if (from.at == AT_NONE) return from;
  if (f->top_fn && from.kind == L_TOPVAR) {
    Diag *d = compile_error(f, f->c->span, "a function cannot read the top-level `var %s`", name);
    diag_second(d, f->c->source, from.span, "declared here");
    diag_help(d, "pass it as a parameter, or declare it with `let`");
    return (Found){AT_UP, 0, L_TOPVAR, from.span};
  }
  uint32_t index = 0;
  add_capture(f, name, from, &index);
  return (Found){AT_UP, index, from.kind, from.span};
}

Found resolve(Fn *f, const char *name) {
  Local *l = local_of(f, name);
  if (l) return (Found){AT_LOCAL, l->reg, l->kind, l->span};
  if (f->self && strcmp(f->self, name) == 0) return (Found){AT_SELF, 0, L_LET, {0, 0}};
  Found up = captured(f, name);
  if (up.at != AT_NONE) return up;
  int slot = module_resolve(f->c->vm, f->c->module, name);
  if (slot >= 0) return (Found){AT_GLOBAL, (uint32_t)slot, L_LET, f->c->module->info[slot].span};
  return (Found){AT_NONE, 0, L_LET, {0, 0}};
}

/* ---- functions ---------------------------------------------------------------------------- */

void proto_unref(Vm *vm, Proto *p) {
  if (!p || --p->refs) return;
  Rt *rt = vm->rt;
  for (uint32_t k = 0; k < p->n_consts; k++) value_unref(vm, p->consts[k]);
  for (uint32_t k = 0; k < p->n_protos; k++) proto_unref(vm, p->protos[k]);
  for (uint32_t k = 0; k < p->n_params; k++) value_unref(vm, value_obj(p->params[k]));
  for (uint32_t k = 0; k < p->n_places; k++) {
    for (uint32_t s = 0; s < p->places[k].n; s++)
      if (p->places[k].steps[s].field) value_unref(vm, value_obj(p->places[k].steps[s].field));
    rt_free(rt, p->places[k].steps, p->places[k].n * sizeof(PlaceStep));
  }
  if (p->name) value_unref(vm, value_obj(p->name));
  rt_free(rt, p->code, p->cap_code * sizeof *p->code);
  rt_free(rt, p->spans, p->cap_code * sizeof *p->spans);
  rt_free(rt, p->consts, p->cap_consts * sizeof *p->consts);
  rt_free(rt, p->protos, p->cap_protos * sizeof *p->protos);
  rt_free(rt, p->places, p->cap_places * sizeof *p->places);
  rt_free(rt, p->captures, p->cap_captures * sizeof *p->captures);
  rt_free(rt, p->params, p->cap_params * sizeof *p->params);
  source_unref(p->source);
  rt_free(rt, p, sizeof *p);
}

uint32_t add_proto(Fn *f, Proto *p) {
  Proto *outer = f->proto;
  Proto **protos =
      p ? grow(f->c->vm, outer->protos, &outer->cap_protos, outer->n_protos + 1, sizeof *protos)
        : NULL;
  if (!protos) {
    proto_unref(f->c->vm, p);
    return no_memory(f), 0;
  }
  outer->protos = protos;
  protos[outer->n_protos] = p;
  return outer->n_protos++;
}

static Proto *proto_new(Compiler *c, const char *name, const Node *node) {
  Proto *p = rt_alloc0(c->vm->rt, sizeof *p);
  if (!p) {
    c->no_memory = true;
    return NULL;
  }
  p->refs = 1;
  p->source = source_ref(c->source);
  p->module = c->module;
  p->node = node;
  if (node) p->span = node->span;
  if (name) {
    p->name = str_new(c->vm, name, strlen(name));
    if (!p->name) c->no_memory = true;
  }
  return p;
}

/* A jump to a return is a return; so is a move into the register returned. */
static void short_returns(Proto *p) {
  for (uint32_t pc = 0; pc < p->n_code; pc++) {
    Instr w = p->code[pc];
    if (OP_OF(w) != I_JMP) continue;
    int64_t to = (int64_t)pc + 1 + BX_OF(w);
    if (to < p->n_code && OP_OF(p->code[to]) == I_RET) p->code[pc] = p->code[to];
  }
  for (uint32_t pc = 0; pc + 1 < p->n_code; pc++) {
    Instr w = p->code[pc], next = p->code[pc + 1];
    if (OP_OF(w) == I_MOVE && OP_OF(next) == I_RET && A_OF(w) == A_OF(next))
      p->code[pc] = (Instr)I_RET | (Instr)B_OF(w) << 16;
  }
}

static void fn_close(Fn *f) {
  Rt *rt = f->c->vm->rt;
  rt_free(rt, f->locals, f->cap_locals * sizeof *f->locals);
  rt_free(rt, f->up_names, f->cap_up * sizeof *f->up_names);
  rt_free(rt, f->links, f->cap_links * sizeof *f->links);
  f->c->fn = f->outer;
  f->proto->start = f->proto->code + f->proto->entry;
  if (f->c->diags->errors) return;    /* it will not run, and its registers may not add up */
  short_returns(f->proto);
  if (!f->c->no_memory && liveness_mark(f->c->vm, f->proto)) f->c->no_memory = true;
}

/* Parameters, and the code that fills in the defaults of those not given. */
static void parameters(Fn *f, Node *fn) {
  Proto *p = f->proto;
  Vm *vm = f->c->vm;
  if (fn->n > 60) compile_error(f, fn->span, "too many parameters (limit 60)");
  p->params = fn->n ? rt_alloc0(vm->rt, fn->n * sizeof *p->params) : NULL;
  p->cap_params = p->params ? fn->n : 0;
  if (fn->n && !p->params) {
    no_memory(f);
    return;
  }
  alloc_regs(f, fn->n);
  for (uint32_t k = 0; k < fn->n; k++) {
    Node *param = fn->items[k];
    p->params[k] = str_new(vm, param->name, strlen(param->name));
    if (!p->params[k]) {
      no_memory(f);
      return;
    }
    p->n_params = k + 1;
    if (!param->a) p->n_required = k + 1;
    if (param->a) {
      f->c->span = param->span;
      Chain given = 0;
      chain_add(f, &given, emit_bx(f, I_JSET, 0, k, 0));
      expr(f, param->a, k);       /* sees the parameters before it */
      patch_here(f, given);
    }
    declare(f, param->name, k, L_PARAM, param->span);
  }
  p->entry = p->n_code;
}

Proto *compile_function(Fn *outer, Node *fn, const char *name, bool top, Node *body) {
  Compiler *c = outer->c;
  Proto *p = proto_new(c, name, fn);
  if (!p) return NULL;
  Span span = c->span;
  Fn f = {.c = c, .outer = outer, .proto = p, .top_fn = top, .self = top ? NULL : name};
  c->fn = &f;
  if (fn->kind == N_LAMBDA || fn->kind == N_FN) parameters(&f, fn);
  uint32_t dst = alloc_regs(&f, 1);
  expr(&f, body, dst);
  emit(&f, I_RET, 0, dst, 0, 0);
  fn_close(&f);
  c->span = span;
  return p;
}

/* ---- modules --------------------------------------------------------------------------------- */

static bool is_local_name(Lower *lo, const char *name) {
  Compiler *c = lo->user;
  for (Fn *f = c->fn; f; f = f->outer) {
    Local *l = local_of(f, name);
    if (l) return true;
    if (f->self && strcmp(f->self, name) == 0) return true;
  }
  return false;
}

/* Names of the module are known before any of its code is compiled. */
static bool declare_global(Compiler *c, const char *name, GlobalKind kind, const Node *at) {
  int slot = module_slot(c->vm, c->module, name);
  if (slot < 0) {
    c->no_memory = true;
    return false;
  }
  GlobalInfo *g = &c->module->info[slot];
  if (g->kind == G_LIBRARY) {                  /* the script's own name wins */
    value_unref(c->vm, c->module->slots[slot]);
    c->module->slots[slot] = UNSET_VALUE;
  }
  g->kind = kind;
  g->doc = at->doc;
  source_unref(g->source);
  g->source = source_ref(c->source);
  g->span = at->span2.end ? at->span2 : at->span;
  return true;
}

static void declare_pattern(Compiler *c, const Node *pattern, GlobalKind kind, const Node *at) {
  if (pattern->kind == N_NAME) {
    Node spot = *at;
    spot.span2 = pattern->span;
    declare_global(c, pattern->name, kind, &spot);
    return;
  }
  for (uint32_t k = 0; k < pattern->n; k++) {
    Node *item = pattern->items[k];
    declare_pattern(c, item->kind == N_PAIR ? item->a : item, kind, at);
  }
}

static void declare_statement(Compiler *c, const Node *s) {
  switch (s->kind) {
  case N_LET: declare_pattern(c, s->a, G_LET, s); break;
  case N_VAR: declare_pattern(c, s->a, G_VAR, s); break;
  case N_ARRAYDEF: declare_global(c, s->name, s->op ? G_VAR : G_LET, s); break;
  case N_FN: declare_global(c, s->name, G_FN, s); break;
  case N_IMPORT: declare_global(c, s->name, G_IMPORT, s); break;
  case N_INPUT: declare_global(c, s->name, G_LET, s); break;
  case N_ATTENTION: case N_MODEL: case N_HAMILTONIAN: case N_CIRCUIT:
    declare_global(c, s->name, G_DECL, s);
    break;
  case N_EXPERIMENT: declare_global(c, s->name, G_EXPERIMENT, s); break;
  default: break;
  }
}

static void install(Compiler *c, bool ok) {
  for (uint32_t k = 0; k < c->n_pending; k++) {
    Pending *p = &c->pending[k];
    GlobalInfo *g = &c->module->info[p->slot];
    if (!ok) {
      proto_unref(c->vm, p->thunk);
      continue;
    }
    proto_unref(c->vm, g->thunk);
    g->thunk = p->thunk;
    value_unref(c->vm, c->module->slots[p->slot]);
    c->module->slots[p->slot] = UNSET_VALUE;
  }
  rt_free(c->vm->rt, c->pending, c->cap_pending * sizeof *c->pending);
}

Proto *compile_module(Vm *vm, Module *m, Source *s, Node *root, bool main_file, bool keep,
                      Diags *diags) {
  Compiler c = {
      .vm = vm, .module = m, .source = s, .diags = diags, .main_file = main_file, .keep = keep};
  c.lower = (Lower){
      .vm = vm, .source = s, .diags = diags, .module = root, .is_local = is_local_name, .user = &c};
  int errors = diags->errors;
  for (uint32_t k = 0; k < root->n; k++) declare_statement(&c, root->items[k]);
  Proto *p = proto_new(&c, NULL, NULL);
  if (p) {
    Fn f = {.c = &c, .proto = p, .main = true};
    c.fn = &f;
      p->span = root->span;
    uint32_t dst = alloc_regs(&f, 1);
    module_body(&f, root, dst);
    emit(&f, I_RET, 0, dst, 0, 0);
    fn_close(&f);
  }
  bool ok = p && !c.no_memory && diags->errors == errors;
  install(&c, ok);
  if (ok) return p;
  proto_unref(vm, p);
  if (c.no_memory && diags->errors == errors)
    diag_add(diags, DIAG_ERROR, s, root->span, "%s",
             vm->rt->error.message[0] ? vm->rt->error.message : "out of memory");
  return NULL;
}
