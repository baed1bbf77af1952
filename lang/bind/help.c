/* help.c: help(name) and explain(x, ...): what is known about a name or a value. */
#include "lang/bind/attention.h"

#include <stdlib.h>
#include <string.h>

/* ---- help() : every name, in columns -------------------------------------------- */

typedef struct { const char **items; size_t n, cap; bool failed; } Names;

static void add_name(const char *name, void *data) {
  Names *l = data;
  if (name[0] == '_') return;
  if (l->n == l->cap) {
    size_t cap = l->cap ? l->cap * 2 : 256;
    const char **items = realloc(l->items, cap * sizeof *items);
    if (!items) {
      l->failed = true;
      return;
    }
    l->items = items;
    l->cap = cap;
  }
  l->items[l->n++] = name;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_columns(Buf *out, const char *const *names, size_t n) {
  enum { WIDTH = 20, COLUMNS = 4 };
  size_t column = 0;
  for (size_t i = 0; i < n; i++) {
    if (i && !strcmp(names[i], names[i - 1])) continue;
    size_t len = utf8_columns(names[i], strlen(names[i]));
    if (column && column + len >= WIDTH * COLUMNS) {
      buf_text(out, "\n");
      column = 0;
    }
    buf_text(out, names[i]);
    size_t pad = len < WIDTH ? WIDTH - len : 1;
    buf_format(out, "%*s", (int)pad, "");
    column += len + pad;
  }
  buf_text(out, "\n");
}

static void help_overview(Vm *vm, Buf *out) {
  Names l = {0};
  vm_names(vm, add_name, &l);
  qsort(l.items, l.n, sizeof *l.items, by_text);
  buf_text(out, "help(name) says more about each of these; `import nn` then help(nn) about a module.\n\n");
  print_columns(out, l.items, l.n);
  out->failed |= l.failed;
  free(l.items);
}

/* ---- one name ----------------------------------------------------------------------- */

/* "cumsum(x, axis = 0)" and the text below it. */
static void describe(Buf *out, const char *name, const char *signature, const char *doc) {
  buf_format(out, signature ? "%s(%s)\n" : "%s\n", name, signature ? signature : "");
  for (const char *p = doc ? doc : ""; *p;) {
    size_t n = strcspn(p, "\n");
    buf_format(out, "  %.*s\n", (int)n, p);
    p += n + (p[n] == '\n');
  }
}

typedef struct { const char *word, *best; int least; } Nearest;
static void try_name(const char *name, void *data) {
  Nearest *n = data;
  if (name[0] == '_') return;
  int d = edit_distance(n->word, name, n->least);
  if (d < n->least) {
    n->least = d;
    n->best = name;
  }
}

static int unknown(Vm *vm, const char *name) {
  size_t len = strlen(name);
  Nearest n = {.word = name, .least = len <= 3 ? 2 : len <= 6 ? 3 : 4};
  vm_names(vm, try_name, &n);
  char near[128] = "";
  if (n.best) strncat(near, n.best, sizeof near - 1);
  vm_error(vm, "no documentation for `%s`", name);
  if (*near) vm_help(vm, "did you mean `%s`?", near);
  else if (strchr(name, '.')) vm_help(vm, "import %.*s first", (int)strcspn(name, "."), name);
  else vm_help(vm, "help() lists every name");
  return 1;
}

/* A module: each of its names with the first line of its documentation. */
typedef struct { Vm *vm; Box *module; Buf *out; bool failed; } Members;

static void describe_member(const char *name, void *data) {
  Members *m = data;
  Value v;
  if (m->failed || m->module->type->field(m->vm, m->module, name, &v)) {
    m->failed = true;
    return;
  }
  Buf params = {0};
  callable_signature(v, &params);
  const char *doc = callable_doc(v);
  buf_format(m->out, params.len ? "  %s(%s)\n" : "  %s\n", name, params.data ? params.data : "");
  if (doc && *doc) buf_format(m->out, "      %.*s\n", (int)strcspn(doc, "\n"), doc);
  m->out->failed |= params.failed;
  buf_free(&params);
  value_unref(m->vm, v);
}

static int help_module(Vm *vm, const char *name, Box *module, Buf *out) {
  Members m = {vm, module, out, false};
  buf_format(out, "%s%sa module\n", name ? name : "", name ? ": " : "");
  module->type->names(vm, module, describe_member, &m);
  return m.failed;
}

static int help_value(Vm *vm, const char *name, Value v, Buf *out) {
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->names && !strcmp(AS_BOX(v)->type->name, "module"))
    return help_module(vm, name, AS_BOX(v), out);
  if (!value_callable(v) || !callable_name(v)) {
    buf_format(out, "%s%sa %s\n", name ? name : "", name ? ": " : "", value_type_name(v));
    return 0;
  }
  const char *signature = NULL, *doc = callable_doc(v);
  Buf params = {0};
  callable_signature(v, &params);
  if (!doc && vm_describe(vm, callable_name(v), &signature, &doc) && params.len == 0 && signature)
    buf_text(&params, signature);
  describe(out, name ? name : callable_name(v), params.data ? params.data : "", doc);
  out->failed |= params.failed;
  buf_free(&params);
  return 0;
}

/* "nn.linear": a field of what is bound to nn. */
static int help_path(Vm *vm, const char *path, Buf *out) {
  char head[128];
  size_t n = strcspn(path, ".");
  Value v, field;
  if (n >= sizeof head) return unknown(vm, path);
  memcpy(head, path, n);
  head[n] = 0;
  if (!vm_describe(vm, head, &(const char *){NULL}, &(const char *){NULL}) || vm_global(vm, head, &v))
    return unknown(vm, path);
  const char *name = path + n + 1;
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->field) {
    if (AS_BOX(v)->type->field(vm, AS_BOX(v), name, &field)) return 1;
  } else if (value_is(v, OBJ_RECORD) && record_get(AS_RECORD(v), name))
    field = value_ref(*record_get(AS_RECORD(v), name));
  else
    return unknown(vm, path);
  int failed = help_value(vm, path, field, out);
  value_unref(vm, field);
  return failed;
}

static int help_name(Vm *vm, const char *name, Buf *out) {
  const char *signature = NULL, *doc = NULL;
  if (strchr(name, '.')) return help_path(vm, name, out);
  if (!vm_describe(vm, name, &signature, &doc)) return unknown(vm, name);
  Value v;
  if (!signature && !doc && !vm_global(vm, name, &v)) return help_value(vm, name, v, out);
  describe(out, name, signature, doc);
  return 0;
}

static int write_out(Vm *vm, Buf *b, int failed) {
  if (!failed && b->failed) failed = rt_fail(vm_rt(vm), RT_MEMORY, "out of memory") != RT_OK;
  if (!failed && b->len) vm_write(vm, b->data, b->len);
  buf_free(b);
  return failed;
}

static int core_help(Vm *vm, Value *args, int n, Value *out) {
  Buf b = {0};
  int failed = 0;
  *out = NIL_VALUE;
  if (args[0].tag == V_NIL) help_overview(vm, &b);
  else if (value_is(args[0], OBJ_STR)) failed = help_name(vm, AS_STR(args[0])->data, &b);
  else failed = help_value(vm, NULL, args[0], &b);
  return write_out(vm, &b, failed);
}

/* ---- explain ----------------------------------------------------------------------------- */

static int core_explain(Vm *vm, Value *args, int n, Value *out) {
  Buf b = {0};
  Value v = args[0];
  Box *decl;
  int failed = 0;
  *out = NIL_VALUE;
  if (args[1].tag != V_NIL) {
    if (args[2].tag == V_NIL)
      return vm_error(vm, "explain: K is missing: explain(a, Q, K) or explain(a, Q, K, V)");
    return write_out(vm, &b, attn_explain_call(vm, args, &b));
  }
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->explain)
    failed = AS_BOX(v)->type->explain(vm, AS_BOX(v), &b);
  else if ((decl = vm_closure_const(v, &attn_decl_type))) failed = decl->type->explain(vm, decl, &b);
  else if (value_is(v, OBJ_CLOSURE)) failed = vm_explain(vm, v, &b);
  else if (value_callable(v)) failed = help_value(vm, NULL, v, &b);
  else {
    value_print(vm, v, &b, true);
    buf_format(&b, "\n  %s %s\n", VALUE_A(v));
  }
  return write_out(vm, &b, failed);
}

const Native natives_help[] = {
    {"help", "name = nil", "Shows the signature and documentation of a function, declaration or module.\n"
     "help() lists every name; a name may also be given as text: help(\"nn.linear\").",
     core_help, NF_CONST},
    {"explain", "x, Q = nil, K = nil, V = nil",
     "Shows what the compiler made of an attention, model or function.\n"
     "explain(a, Q, K) tells about one call of an attention: its tiles, how its programs run,\n"
     "flops and bytes; explain(a, Q, K, V) also runs it, forward and backward on one thread, and\n"
     "tells the time, the share of the machine's measured peak, and the memory.",
     core_explain, NF_CONST},
    {0}};
