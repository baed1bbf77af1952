/* vm.c: opening and closing an interpreter; its hooks, inputs, host values;
 * what tools ask about names.                                                */
#include "lang/vm/internal.h"
#include "lang/blocks/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int add_natives(Vm *vm) {
  for (const Native *const *table = native_tables; *table; table++)
    for (const Native *row = *table; row->name; row++) {
      NativeObj *f = native_new(vm, row);
      if (!f || record_set(vm, vm->natives, row->name, value_obj(f))) return 1;
    }
  for (int (*const *make)(Vm *) = native_makers; *make; make++)
    if ((*make)(vm)) return 1;
  return 0;
}

int vm_add_native(Vm *vm, Native row) {
  Native *own = arena_alloc(&vm->made, sizeof *own);
  if (!own) return (int)rt_fail(vm->rt, RT_MEMORY, "out of memory");
  *own = row;
  NativeObj *f = native_new(vm, own);
  return !f || record_set(vm, vm->natives, row.name, value_obj(f));
}

static void *reserve(size_t bytes) {
  void *p =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

Vm *vm_open(Rt *rt, const VmHooks *hooks) {
  Vm *vm = calloc(1, sizeof *vm);
  if (!vm) return NULL;
  vm->rt = rt;
  if (hooks) vm->hooks = *hooks;
  vm->stack = reserve(STACK_MAX * sizeof(Value));
  vm->frames = reserve(FRAMES_MAX * sizeof(Frame));
  vm->stack_end = vm->top = vm->stack;
  vm->last_frame = vm->frames ? vm->frames + FRAMES_MAX - 1 : NULL;
  vm->natives = record_new(vm, 512);
  vm->inputs = record_new(vm, 0);
  vm->defined = record_new(vm, 0);
  vm->exports = record_new(vm, 0);
  vm->session = module_new(vm, "");
  if (vm->stack && vm->frames && vm->natives && vm->inputs && vm->defined && vm->exports &&
      vm->session && !add_natives(vm))
    return vm;
  vm_close(vm);
  return NULL;
}

static void drop_record(Vm *vm, Record *r) {
  if (r) value_unref(vm, value_obj(r));
}

void vm_close(Vm *vm) {
  if (!vm) return;
  Rt *rt = vm->rt;
  error_clear(vm);
  vm_pop_scopes(vm, 0);
  for (Module *m = vm->modules; m; m = m->next) module_clear(vm, m);
  for (uint32_t k = 0; k < vm->n_kept; k++) value_unref(vm, vm->kept[k]);
  drop_record(vm, vm->natives);
  drop_record(vm, vm->inputs);
  drop_record(vm, vm->defined);
  drop_record(vm, vm->exports);
  while (vm->modules) {
    Module *m = vm->modules;
    vm->modules = m->next;
    module_free(vm, m);
  }
  rt_free(rt, vm->kept, vm->cap_kept * sizeof *vm->kept);
  rt_free(rt, vm->tries, vm->cap_tries * sizeof *vm->tries);
  rt_free(rt, vm->scopes, vm->cap_scopes * sizeof *vm->scopes);
  rt->bytes -= (size_t)(vm->stack_end - vm->stack) * sizeof(Value);
  arena_free(&vm->made);
  if (vm->stack) munmap(vm->stack, STACK_MAX * sizeof(Value));
  if (vm->frames) munmap(vm->frames, FRAMES_MAX * sizeof(Frame));
  free(vm->dead);
  free(vm);
}

Rt *vm_rt(Vm *vm) { return vm->rt; }
const VmHooks *vm_hooks(Vm *vm) { return &vm->hooks; }

int vm_keep(Vm *vm, Value v) {
  Value *kept = grow(vm, vm->kept, &vm->cap_kept, vm->n_kept + 1, sizeof *kept);
  if (!kept) {
    value_unref(vm, v);
    return 1;
  }
  vm->kept = kept;
  kept[vm->n_kept++] = v;
  return 0;
}

Node *lower_const(Lower *lo, Value v, const Node *at) {
  Node *n = node_new(lo->source, N_CONST, at);
  Value *copy = arena_alloc(&lo->source->arena, sizeof *copy);
  if (!n || !copy) {
    value_unref(lo->vm, v);
    rt_fail(lo->vm->rt, RT_MEMORY, "out of memory");
    return NULL;
  }
  *copy = v;
  n->ptr = copy;
  return vm_keep(lo->vm, v) ? NULL : n;
}

/* ---- output ---------------------------------------------------------------------------- */

void vm_write(Vm *vm, const char *s, size_t n) {
  if (vm->progress_open) vm_progress(vm, NULL);
  if (vm->hooks.write) vm->hooks.write(vm->hooks.user, s, n);
  else fwrite(s, 1, n, stdout);
}

bool vm_shows_progress(Vm *vm) { return vm->hooks.log && vm->hooks.progress; }

void vm_progress(Vm *vm, const char *line) {
  if (!vm_shows_progress(vm)) return;
  if (!line) {
    if (vm->progress_open) vm->hooks.log(vm->hooks.user, "\n", 1);
    vm->progress_open = false;
    return;
  }
  Buf b = {0};
  buf_format(&b, "\r%s\033[K", line);
  if (b.data && !b.failed) vm->hooks.log(vm->hooks.user, b.data, b.len);
  vm->progress_open = true;
  buf_free(&b);
}

/* ---- inputs ------------------------------------------------------------------------------ */

int vm_set_input(Vm *vm, const char *name, const char *text) {
  Str *s = str_new(vm, text, strlen(text));
  return !s || record_set(vm, vm->inputs, name, value_obj(s));
}

const char *vm_unused_input(Vm *vm) {
  for (uint32_t k = 0; k < vm->inputs->n; k++) {
    Str *key = vm->inputs->fields[k].key;
    if (!key->obj.aux) return key->data;
  }
  return NULL;
}

static int convert_error(Vm *vm, const char *name, const char *text, const char *wanted) {
  return vm_error(vm, "input `%s` is %s in the script, found \"%s\"", name, wanted, text);
}

/* "5us", "-2GHz": a number with a unit as a script writes it. */
static bool read_quantity(const char *text, Value *out) {
  Diags diags;
  Source *source = source_new("<input>", NULL, text, strlen(text));
  if (!source) return false;
  diags_init(&diags);
  const Node *n = parse_source(source, &diags, NULL);
  n = diags.errors || n->n != 1 ? NULL : n->items[0];
  bool minus = n && n->kind == N_UNARY && n->op == OP_NEG;
  if (minus) n = n->a;
  bool found = n && n->kind == N_QUANTITY;
  if (found) {
    *out = (Value){.tag = V_QUANTITY, .f = minus ? -n->f : n->f};
    for (int k = 0; k < 4; k++) out->dims[k] = n->dims[k];
  }
  diags_free(&diags);
  source_unref(source);
  return found;
}

static int convert_quantity(Vm *vm, const char *name, const char *text, Value like, Value *out) {
  if (read_quantity(text, out) && !memcmp(out->dims, like.dims, sizeof like.dims)) return 0;
  Buf b = {0};
  value_print(vm, like, &b, false);
  *out = NIL_VALUE;
  vm_error(vm, "input `%s` is %s in the script, found \"%s\"", name, b.data ? b.data : "", text);
  vm_help(vm, "give a number with a unit of the same kind, %s=%s", name, b.data ? b.data : "");
  buf_free(&b);
  return 1;
}

static int convert(Vm *vm, const char *name, Str *text, Value like, Value *out) {
  char *end;
  switch (like.tag) {
  case V_QUANTITY: return convert_quantity(vm, name, text->data, like, out);
  case V_BOOL:
    if (strcmp(text->data, "true") && strcmp(text->data, "false"))
      return convert_error(vm, name, text->data, "true or false");
    *out = value_bool(text->data[0] == 't');
    return 0;
  case V_INT:
    *out = value_int(strtoll(text->data, &end, 10));
    return *end || end == text->data ? convert_error(vm, name, text->data, "an int") : 0;
  case V_FLOAT:
    *out = value_float(strtod(text->data, &end));
    return *end || end == text->data ? convert_error(vm, name, text->data, "a float") : 0;
  case V_NIL: break;
  default:
    if (!value_is(like, OBJ_STR)) return convert_error(vm, name, text->data, value_type_name(like));
  }
  *out = value_ref(value_obj(text));
  return 0;
}

/* The value of `input name = fallback`: from the command line if given there. */
int input_value(Vm *vm, const char *name, Value fallback, Value *out) {
  Value *given = record_get(vm->inputs, name);
  if (!given) {
    *out = value_ref(fallback);
    return 0;
  }
  for (uint32_t k = 0; k < vm->inputs->n; k++)
    if (strcmp(vm->inputs->fields[k].key->data, name) == 0) vm->inputs->fields[k].key->obj.aux = 1;
  return convert(vm, name, AS_STR(*given), fallback, out);
}

/* ---- host values ---------------------------------------------------------------------------- */

int vm_define(Vm *vm, const char *name, Value v) {
  if (record_set(vm, vm->defined, name, value_ref(v))) {
    value_unref(vm, v);
    return 1;
  }
  int slot = module_slot(vm, vm->session, name);
  if (slot < 0) {
    value_unref(vm, v);
    return 1;
  }
  value_unref(vm, vm->session->slots[slot]);
  vm->session->slots[slot] = v;
  vm->session->info[slot].kind = G_LET;
  return 0;
}

int vm_define_native(Vm *vm, const Native *row) {
  NativeObj *f = native_new(vm, row);
  if (!f) return 1;
  if (signature_parse(vm, f)) {
    value_unref(vm, value_obj(f));
    return 1;
  }
  return vm_define(vm, row->name, value_obj(f));
}

int vm_global(Vm *vm, const char *name, Value *out) {
  int slot = module_resolve(vm, vm->session, name);
  if (slot < 0) return vm_error(vm, "unknown name `%s`", name);
  if (module_read(vm, vm->session, (uint32_t)slot, out)) return 1;
  value_unref(vm, *out);           /* the slot holds it */
  return 0;
}

/* ---- names, for completion and help -------------------------------------- */

void vm_names(Vm *vm, void (*each)(const char *name, void *data), void *data) {
  for (uint32_t k = 0; k < vm->session->n; k++) {
    GlobalKind kind = vm->session->info[k].kind;
    if (kind != G_NONE && kind != G_LIBRARY) each(vm->session->info[k].name->data, data);
  }
  for (uint32_t k = 0; k < vm->natives->n; k++)
    if (!(AS_NATIVE(vm->natives->fields[k].value)->def->flags & NF_HIDDEN))
      each(vm->natives->fields[k].key->data, data);
  for (const EmbeddedName *e = embedded_names; e->name; e++) each(e->name, data);
}

/* A prelude name has its documentation where it is defined. */
static const char *prelude_doc(Vm *vm, const char *name) {
  for (Module *m = vm->modules; m; m = m->next) {
    int slot = m->library ? module_find(m, name) : -1;
    if (slot >= 0 && m->info[slot].kind != G_LIBRARY && m->info[slot].doc) return m->info[slot].doc;
  }
  return NULL;
}

bool vm_describe(Vm *vm, const char *name, const char **signature, const char **doc) {
  Value v;
  *signature = *doc = NULL;
  int slot = module_resolve(vm, vm->session, name);
  if (slot < 0) return false;
  const GlobalInfo *g = &vm->session->info[slot];
  *doc = g->kind == G_LIBRARY ? NULL : g->doc;
  if (vm_global(vm, name, &v)) {
    error_clear(vm);
    return true;
  }
  if (!*doc) *doc = callable_doc(v);
  if (!*doc && vm->session->info[slot].kind == G_LIBRARY) *doc = prelude_doc(vm, name);
  Value *row = *doc ? NULL : record_get(vm->natives, name);
  if (row && vm->session->info[slot].kind == G_LIBRARY) *doc = AS_NATIVE(*row)->def->doc;
  if (value_is(v, OBJ_NATIVE)) {
    *signature = AS_NATIVE(v)->def->signature;
  } else if (value_is(v, OBJ_CLOSURE)) {
    Buf b = {0};
    callable_signature(v, &b);
    Str *s = b.failed ? NULL : str_new(vm, b.data ? b.data : "", b.len);
    buf_free(&b);
    if (s && !vm_keep(vm, value_obj(s))) *signature = s->data;
  }
  return true;
}
