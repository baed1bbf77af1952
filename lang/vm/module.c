/* module.c: the names of a module, library names, `import`. */
#include "lang/vm/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ------------------------------------------------------------------------- */

Module *module_new(Vm *vm, const char *key) {
  Module *m = rt_alloc0(vm->rt, sizeof *m);
  if (!m) return NULL;
  m->key = strdup(key);
  if (!m->key) {
    rt_free(vm->rt, m, sizeof *m);
    rt_fail(vm->rt, RT_MEMORY, "out of memory");
    return NULL;
  }
  m->next = vm->modules;
  vm->modules = m;
  return m;
}

void module_clear(Vm *vm, Module *m) {
  for (uint32_t k = 0; k < m->n; k++) {
    Value v = m->slots[k];
    m->slots[k] = UNSET_VALUE;
    value_unref(vm, v);
  }
}

void module_free(Vm *vm, Module *m) {
  for (uint32_t k = 0; k < m->n; k++) {
    proto_unref(vm, m->info[k].thunk);
    value_unref(vm, value_obj(m->info[k].name));
    source_unref(m->info[k].source);
  }
  for (uint32_t k = 0; k < m->n_sources; k++) source_unref(m->sources[k]);
  rt_free(vm->rt, m->sources, m->cap_sources * sizeof *m->sources);
  rt_free(vm->rt, m->slots, m->cap * sizeof *m->slots);
  rt_free(vm->rt, m->info, m->cap * sizeof *m->info);
  rt_free(vm->rt, m->index, m->index_cap * sizeof *m->index);
  free(m->key);
  rt_free(vm->rt, m, sizeof *m);
}

static uint32_t hash_name(const char *name) { return (uint32_t)hash_bytes(name, strlen(name)); }

int module_find(const Module *m, const char *name) {
  if (!m->index_cap) return -1;
  for (uint32_t h = hash_name(name) & (m->index_cap - 1); m->index[h];
       h = (h + 1) & (m->index_cap - 1))
    if (strcmp(m->info[m->index[h] - 1].name->data, name) == 0) return (int)m->index[h] - 1;
  return -1;
}

static void index_add(Module *m, uint32_t slot) {
  uint32_t h = hash_name(m->info[slot].name->data) & (m->index_cap - 1);
  while (m->index[h]) h = (h + 1) & (m->index_cap - 1);
  m->index[h] = slot + 1;
}

static int grow_tables(Vm *vm, Module *m) {
  Rt *rt = vm->rt;
  uint32_t cap = m->cap ? m->cap * 2 : 32;
  Value *slots = rt_realloc(rt, m->slots, m->cap * sizeof *slots, cap * sizeof *slots);
  if (!slots) return 1;
  m->slots = slots;
  GlobalInfo *info = rt_realloc(rt, m->info, m->cap * sizeof *info, cap * sizeof *info);
  uint32_t *index = info ? rt_alloc0(rt, cap * 2 * sizeof *index) : NULL;
  if (info) m->info = info;
  if (!index) {        /* the sizes stay in step */
    m->slots = rt_realloc(rt, m->slots, cap * sizeof *slots, m->cap * sizeof *slots);
    if (info) m->info = rt_realloc(rt, m->info, cap * sizeof *info, m->cap * sizeof *info);
    return 1;
  }
  rt_free(rt, m->index, m->index_cap * sizeof *index);
  m->index = index;
  m->index_cap = cap * 2;
  m->cap = cap;
  for (uint32_t k = 0; k < m->n; k++) index_add(m, k);
  return 0;
}

int module_slot(Vm *vm, Module *m, const char *name) {
  int slot = module_find(m, name);
  if (slot >= 0) return slot;
  if (m->n == m->cap && grow_tables(vm, m)) return -1;
  Str *s = str_new(vm, name, strlen(name));
  if (!s) return -1;
  m->info[m->n] = (GlobalInfo){.name = s};
  m->slots[m->n] = UNSET_VALUE;
  index_add(m, m->n);
  return (int)m->n++;
}

/* ---- library names --------------------------------------------------------------------- */

Value native_value(Vm *vm, const char *name) {
  Value *v = record_get(vm->natives, name);
  if (!v) return UNSET_VALUE;
  NativeObj *f = AS_NATIVE(*v);
  if (f->def->signature) return *v;
  if (!f->made) f->made = !f->def->fn(vm, NULL, 0, &f->constant);       /* `pi` */
  return f->made ? f->constant : *v;
}

static const char *prelude_of(const char *name) {
  size_t n = 0;
  while (embedded_names[n].name) n++;
  size_t lo = 0, hi = n;
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    int c = strcmp(embedded_names[mid].name, name);
    if (c == 0) return embedded_names[mid].path;
    if (c < 0) lo = mid + 1;
    else hi = mid;
  }
  return NULL;
}

/* A name the module does not define itself gets a slot on first use: natives
 * and host values at once, names of the prelude when they are read.          */
int module_resolve(Vm *vm, Module *m, const char *name) {
  int slot = module_find(m, name);
  if (slot >= 0 && m->info[slot].kind != G_NONE) return slot;
  Value v = native_value(vm, name);
  if (is_unset(v) && !m->library) {
    Value *host = record_get(vm->defined, name);
    if (host) v = *host;
  }
  if (is_unset(v) && !prelude_of(name)) return -1;
  slot = module_slot(vm, m, name);
  if (slot < 0) return -1;
  m->info[slot].kind = G_LIBRARY;
  value_unref(vm, m->slots[slot]);
  m->slots[slot] = value_ref(v);
  return slot;
}

static int run_prelude(Vm *vm, const char *path, Module **out);

int module_init(Vm *vm, Module *m, uint32_t slot) {
  GlobalInfo *g = &m->info[slot];
  if (!is_unset(m->slots[slot]) || !g->thunk) return 0;
  if (g->running) return vm_error(vm, "the declaration of `%s` needs itself", g->name->data);
  Closure *c;
  Value v;
  if (closure_new(vm, g->thunk, &c)) return 1;
  g->running = true;
  int failed = vm_call(vm, value_obj(c), NULL, 0, &v);
  m->info[slot].running = false;           /* the table may have moved */
  value_unref(vm, value_obj(c));
  if (failed) return 1;
  value_unref(vm, m->slots[slot]);
  m->slots[slot] = v;
  return 0;
}

/* A slot that holds nil or nothing yet. */
int module_read(Vm *vm, Module *m, uint32_t slot, Value *out) {
  if (is_unset(m->slots[slot])) {
    GlobalInfo *g = &m->info[slot];
    const char *prelude = g->kind == G_LIBRARY ? prelude_of(g->name->data) : NULL;
    if (prelude) {
      Module *p;
      Value v;
      if (run_prelude(vm, prelude, &p)) return 1;
      int at = module_find(p, m->info[slot].name->data);
      if (at < 0) return vm_error(vm, "%s does not define `%s`", prelude, m->info[slot].name->data);
      if (module_read(vm, p, (uint32_t)at, &v)) return 1;
      m->slots[slot] = v;
    } else if (g->thunk) {
      if (module_init(vm, m, slot)) return 1;
    } else {
      vm_error(vm, "`%s` is read before it is set", g->name->data);
      if (g->kind == G_EXPERIMENT) vm_help(vm, "experiments run when their file is the main one");
      else vm_help(vm, "its `let` stands further down, or was not reached");
      return 1;
    }
  }
  *out = value_ref(m->slots[slot]);
  return 0;
}

/* ---- modules as values --------------------------------------------------------------------- */

static bool exported(const GlobalInfo *g) {
  return g->kind != G_NONE && g->kind != G_LIBRARY && g->kind != G_IMPORT &&
         g->kind != G_EXPERIMENT;
}

static int module_field(Vm *vm, Box *self, const char *name, Value *out) {
  Module *m = self->data;
  int slot = module_find(m, name);
  if (slot >= 0 && exported(&m->info[slot])) return module_read(vm, m, (uint32_t)slot, out);
  const char *near = NULL;
  int best = 3;
  for (uint32_t k = 0; k < m->n; k++) {
    if (!exported(&m->info[k])) continue;
    int d = edit_distance(name, m->info[k].name->data, best);
    if (d < best) {
      best = d;
      near = m->info[k].name->data;
    }
  }
  const char *file = strrchr(m->key, '/');
  vm_error(vm, "the module `%s` has no `%s`", file ? file + 1 : m->key, name);
  if (near) vm_help(vm, "did you mean `%s`?", near);
  return 1;
}

static void module_names(Vm *vm, Box *self, void (*each)(const char *name, void *data),
                         void *data) {
  const Module *m = self->data;
  for (const GlobalInfo *g = m->info; g < m->info + m->n; g++)
    if (exported(g) && g->name->data[0] != '_') each(g->name->data, data);
}

static void module_print(Vm *vm, Box *self, Buf *out) {
  buf_format(out, "<module %s>", ((Module *)self->data)->key);
}

static bool module_equal(Vm *vm, Box *a, Box *b) { return a->data == b->data; }

static void module_hash(Vm *vm, Box *self, Sha256 *h) {
  const Module *m = self->data;
  sha256_add(h, m->key, strlen(m->key));
  for (const GlobalInfo *g = m->info; g < m->info + m->n; g++)
    if (g->source && exported(g)) {
      sha256_add(h, g->source->text, g->source->len);    /* one text holds all its names */
      return;
    }
}

const BoxType module_box = {.name = "module", .field = module_field, .print = module_print,
                            .equal = module_equal, .hash = module_hash, .names = module_names};

/* ---- loading ------------------------------------------------------------- */

static Module *module_by_key(Vm *vm, const char *key) {
  for (Module *m = vm->modules; m; m = m->next)
    if (strcmp(m->key, key) == 0) return m;
  return NULL;
}

static int cycle_error(Vm *vm, const Module *m) {
  Buf path = {0};
  bool on = false;
  for (int k = 0; k < vm->n_importing; k++) {
    on |= vm->importing[k] == m;
    if (on) buf_format(&path, "%s -> ", vm->importing[k]->key);
  }
  buf_text(&path, m->key);
  vm_error(vm, "modules import each other: %s", path.data ? path.data : m->key);
  vm_help(vm, "move what both need into a third file");
  buf_free(&path);
  return 1;
}

static int load_text(Vm *vm, Module *m, const char *name, const char *path, const char *text,
                     size_t n) {
  Source *s = source_new(name, path, text, n);
  if (!s) return rt_fail(vm->rt, RT_MEMORY, "out of memory") != RT_OK;
  if (vm->n_importing == 64) {
    source_unref(s);
    return vm_error(vm, "imports are nested too deeply");
  }
  m->state = MODULE_LOADING;
  vm->importing[vm->n_importing++] = m;
  int failed = module_run(vm, m, s);
  vm->n_importing--;
  m->state = failed ? MODULE_FAILED : MODULE_READY;
  source_unref(s);
  return failed;
}

static int load_embedded(Vm *vm, const char *path, Module **out) {
  Module *m = module_by_key(vm, path);
  *out = m;
  if (m && m->state == MODULE_READY) return 0;
  if (m && m->state == MODULE_LOADING) {
    /* prelude modules may use each other's names in functions */
    return strncmp(path, "prelude/", 8) == 0 ? 0 : cycle_error(vm, m);
  }
  const EmbeddedFile *f = embedded_find(path);
  if (!f) return vm_error(vm, "there is no standard module %s", path);
  if (!m) m = module_new(vm, path);
  if (!m) return 1;
  m->library = true;
  *out = m;
  RtScope *outer = vm->rt->scope,
          own = {.key = 0}; /* loading draws nothing from the script's stream */
  vm->rt->scope = &own;
  int failed = load_text(vm, m, path, NULL, (const char *)f->data, f->size);
  vm->rt->scope = outer;
  return failed;
}

static int run_prelude(Vm *vm, const char *path, Module **out) {
  return load_embedded(vm, path, out);
}

static int load_standard(Vm *vm, const char *name, Module **out) {
  char path[256];
  size_t n = strlen(name);
  if (n + 4 < sizeof path) {
    memcpy(path, name, n);
    strcpy(path + n, ".qa");
    if (embedded_find(path)) return load_embedded(vm, path, out);
  }
  const char *near = NULL;
  char best_name[64] = "";
  int best = 3;
  for (const EmbeddedFile *f = embedded_files; f->path; f++) {
    const char *dot = strstr(f->path, ".qa");
    if (!dot || strchr(f->path, '/') || dot - f->path >= (int)sizeof best_name) continue;
    char stem[64] = "";
    memcpy(stem, f->path, (size_t)(dot - f->path));
    int d = edit_distance(name, stem, best);
    if (d < best) {
      best = d;
      strcpy(best_name, stem);
      near = best_name;
    }
  }
  vm_error(vm, "there is no standard module `%s`", name);
  if (near) vm_help(vm, "did you mean `%s`?", near);
  else vm_help(vm, "a file is imported by `import \"%s.qa\" as %s`", name, name);
  return 1;
}

/* The file's path as seen from the importing file. */
static char *beside(const Source *from, const char *path) {
  const char *slash = from->path && path[0] != '/' ? strrchr(from->path, '/') : NULL;
  size_t dir = slash ? (size_t)(slash - from->path) + 1 : 0, n = strlen(path);
  char *full = malloc(dir + n + 1);
  if (!full) return NULL;
  if (dir) memcpy(full, from->path, dir);
  memcpy(full + dir, path, n + 1);
  char *real = realpath(full, NULL);
  if (!real) return full;
  free(full);
  return real;
}

static int load_file(Vm *vm, Source *from, const char *path, Module **out) {
  char *full = beside(from, path);
  if (!full) return rt_fail(vm->rt, RT_MEMORY, "out of memory") != RT_OK;
  Module *m = module_by_key(vm, full);
  char *main_path = from->path ? realpath(from->path, NULL) : NULL;
  int failed = 0;
  if (main_path && strcmp(main_path, full) == 0) {
    failed = vm_error(vm, "the file imports itself");
  } else if (m && m->state == MODULE_LOADING) {
    failed = cycle_error(vm, m);
  } else if (!m || m->state != MODULE_READY) {
    Buf text = {0};
    failed = file_read(vm->rt, full, (size_t)64 << 20, &text) != RT_OK;
    if (!failed && !m) failed = (m = module_new(vm, full)) == NULL;
    if (!failed) failed = load_text(vm, m, path, full, text.data ? text.data : "", text.len);
    buf_free(&text);
  }
  free(main_path);
  free(full);
  *out = m;
  return failed;
}

int module_import(Vm *vm, Source *from, const char *path, bool file, Value *out) {
  Module *m;
  if (file ? load_file(vm, from, path, &m) : load_standard(vm, path, &m)) return 1;
  Box *b = box_new(vm, &module_box, m);
  if (!b) return 1;
  *out = value_obj(b);
  return 0;
}
