/* run.c: from a source text to its value: parse, check, compile, execute. */
#include "lang/vm/internal.h"
#include "lang/check/check.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the checker may ask ------------------------------------------------------ */

typedef struct { Vm *vm; Module *module; Source *source; } Env;

static const char *env_signature(void *user, const char *name) {
  Env *e = user;
  int slot = module_find(e->module, name);
  if (slot >= 0 && e->module->info[slot].kind != G_NONE && e->module->info[slot].kind != G_LIBRARY)
    return "";
  Value v = native_value(e->vm, name);
  if (value_is(v, OBJ_NATIVE))
    return AS_NATIVE(v)->def->signature ? AS_NATIVE(v)->def->signature : "";
  return module_resolve(e->vm, e->module, name) >= 0 ? "" : NULL;
}

static void env_names(void *user, void (*each)(const char *name, void *data), void *data) {
  vm_names(((Env *)user)->vm, each, data);
}

/* Parsing a module is enough to know what it defines. */
static void collect_names(Vm *vm, Record *names, const Node *pattern) {
  if (pattern->name &&
      (pattern->kind == N_NAME || pattern->kind == N_FN || pattern->kind == N_INPUT ||
       pattern->kind == N_ATTENTION || pattern->kind == N_MODEL ||
       pattern->kind == N_HAMILTONIAN || pattern->kind == N_CIRCUIT ||
       pattern->kind == N_ARRAYDEF))
    record_set(vm, names, pattern->name, value_bool(true));
  if (pattern->kind == N_LET || pattern->kind == N_VAR) collect_names(vm, names, pattern->a);
  if (pattern->kind == N_PAIR) collect_names(vm, names, pattern->a);
  if (pattern->kind == N_TUPLE || pattern->kind == N_RECORD)
    for (uint32_t k = 0; k < pattern->n; k++) collect_names(vm, names, pattern->items[k]);
}

static Record *parse_names(Vm *vm, const char *text, size_t n) {
  Record *names = record_new(vm, 0);
  Source *s = names ? source_new("module", NULL, text, n) : NULL;
  if (!s) return names;
  Diags diags;
  diags_init(&diags);
  Node *root = parse_source(s, &diags, NULL);
  for (uint32_t k = 0; k < root->n; k++) collect_names(vm, names, root->items[k]);
  if (diags.errors) record_set(vm, names, "", value_bool(true));     /* not all is known */
  diags_free(&diags);
  source_unref(s);
  return names;
}

static int env_exports(void *user, const char *module, const char *name) {
  Env *e = user;
  Vm *vm = e->vm;
  Value *known = record_get(vm->exports, module);
  if (!known) {
    char path[256];
    size_t n = strlen(module);
    if (n + 4 > sizeof path || strchr(module, '.')) return -1;
    memcpy(path, module, n);
    strcpy(path + n, ".qa");
    const EmbeddedFile *f = embedded_find(path);
    Record *names = f ? parse_names(vm, (const char *)f->data, f->size) : NULL;
    if (!names || record_set(vm, vm->exports, module, value_obj(names))) return -1;
    known = record_get(vm->exports, module);
  }
  Record *names = AS_RECORD(*known);
  if (record_get(names, "")) return -1;
  return record_get(names, name) != NULL;
}

static bool check(Vm *vm, Module *m, Source *s, Node *root, Diags *diags) {
  if (m->library) return true;
  Env env = {vm, m, s};
  CheckEnv ce = {&env, env_signature, env_names, env_exports};
  return check_module(s, root, &ce, diags);
}

/* ---- running ------------------------------------------------------------------------ */

static int keep_source(Vm *vm, Module *m, Source *s) {
  Source **sources = grow(vm, m->sources, &m->cap_sources, m->n_sources + 1, sizeof *sources);
  if (!sources) return 1;
  m->sources = sources;
  sources[m->n_sources++] = source_ref(s);
  return 0;
}

static Proto *prepare(Vm *vm, Module *m, Source *s, bool main_file, bool keep, Diags *diags) {
  int errors = diags->errors;
  size_t bad;
  if (!utf8_valid(s->text, s->len, &bad)) {
    Diag *d = diag_add(diags, DIAG_ERROR, s, (Span){(uint32_t)bad, (uint32_t)bad + 1},
                       "the text is not valid UTF-8");
    diag_help(d, "save the file as UTF-8");
    return NULL;
  }
  Node *root = parse_source(s, diags, NULL);
  if (diags->errors > errors) {
    check(vm, m, s, root, diags);         /* more errors in one go */
    return NULL;
  }
  if (!check(vm, m, s, root, diags) || diags->errors > errors) return NULL;
  if (keep_source(vm, m, s)) return NULL;
  return compile_module(vm, m, s, root, main_file, keep, diags);
}

static int execute(Vm *vm, Proto *p, Value *out) {
  Closure *c;
  if (closure_new(vm, p, &c)) return 1;
  int failed = vm_call(vm, value_obj(c), NULL, 0, out);
  value_unref(vm, value_obj(c));
  return failed;
}

int module_run(Vm *vm, Module *m, Source *s) {
  Diags own, *diags = vm->diags;
  if (!diags) {
    diags_init(&own);
    diags = &own;
  }
  Proto *p = prepare(vm, m, s, false, false, diags);
  int failed = p == NULL;
  if (failed) vm_error(vm, "the module %s has errors", s->name);
  if (failed && diags == &own && own.n && own.items[0].message)
    vm_help(vm, "%s: %s", s->name, own.items[0].message);
  if (diags == &own) diags_free(&own);
  if (failed) return 1;
  Value v;
  failed = execute(vm, p, &v);
  proto_unref(vm, p);
  if (!failed) value_unref(vm, v);
  return failed;
}

VmResult vm_run_source(Vm *vm, Source *s, bool main_file, bool keep_globals, Diags *diags,
                       Value *result) {
  Diags *outer = vm->diags;
  vm->diags = diags;
  if (result) *result = NIL_VALUE;
  error_clear(vm);
  Proto *p = prepare(vm, vm->session, s, main_file, keep_globals, diags);
  VmResult r = p ? VM_OK : VM_INVALID;
  if (p) {
    Value v;
    if (execute(vm, p, &v)) {
      error_report(vm, diags);
      r = vm->rt->error.status == RT_STOP ? VM_OK : VM_FAILED;
    } else if (result) {
      *result = v;
    } else {
      value_unref(vm, v);
    }
    proto_unref(vm, p);
  } else if (!diags->errors) {
    error_report(vm, diags);
  }
  vm->diags = outer;
  return r;
}

/* Checks without leaving anything behind: in a module of its own that sees
 * what the session has defined.                                              */
VmResult vm_check_source(Vm *vm, Source *s, Diags *diags) {
  Module *m = module_new(vm, "");
  if (!m) {
    error_report(vm, diags);
    return VM_FAILED;
  }
  for (uint32_t k = 0; k < vm->session->n; k++) {
    const GlobalInfo *g = &vm->session->info[k];
    int slot = g->kind == G_NONE || g->kind == G_LIBRARY ? -1 : module_slot(vm, m, g->name->data);
    if (slot >= 0) m->info[slot].kind = g->kind;
  }
  Proto *p = prepare(vm, m, s, true, false, diags);
  proto_unref(vm, p);
  return diags->errors ? VM_INVALID : VM_OK;
}
