/* image.c: values as bytes and back.
 *
 * Numbers are in the byte order of the machine: an image is read on the
 * machine, or kind of machine, that wrote it.  Reading trusts nothing: every
 * length is checked against what is left.
 */
#include "lang/vm/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/vm/internal.h"

enum { IMAGE_DEPTH = 200 };

const struct RunOptions *vm_run_options(Vm *vm) { return vm->hooks.run; }

void vm_hide_progress(Vm *vm) { vm->hooks.progress = false; }

/* ---- writing ---------------------------------------------------------------- */

static int write_value(Vm *vm, Value v, Buf *out, int depth);

static void put_u32(Buf *b, uint32_t n) { buf_bytes(b, &n, sizeof n); }

static void put_text(Buf *b, const char *s, size_t n) {
  put_u32(b, (uint32_t)n);
  buf_bytes(b, s, n);
}

static int write_tensor(Vm *vm, Tensor *t, Buf *out) {
  Tensor *c = tensor_contiguous(vm->rt, t);
  if (!c) return 1;
  buf_bytes(out, &c->dtype, 1);
  buf_bytes(out, &c->rank, 1);
  buf_bytes(out, c->shape, c->rank * sizeof *c->shape);
  buf_bytes(out, c->data, (size_t)c->size * dtype_size[c->dtype]);
  tensor_unref(vm->rt, c);
  return 0;
}

static int write_items(Vm *vm, const List *l, Buf *out, int depth) {
  put_u32(out, l->n);
  for (uint32_t i = 0; i < l->n; i++)
    if (write_value(vm, l->items[i], out, depth)) return 1;
  return 0;
}

static int write_record(Vm *vm, const Record *r, Buf *out, int depth) {
  put_u32(out, r ? r->n : 0);
  for (uint32_t i = 0; r && i < r->n; i++) {
    put_text(out, r->fields[i].key->data, r->fields[i].key->len);
    if (write_value(vm, r->fields[i].value, out, depth)) return 1;
  }
  return 0;
}

static void code_hash(const Proto *p, uint8_t out[32]) {
  Sha256 h;
  sha256_init(&h);
  if (p->node) node_hash(p->node, &h);
  sha256_end(&h, out);
}

static int write_closure(Vm *vm, const Closure *c, Buf *out, int depth) {
  const Proto *p = c->proto;
  uint8_t hash[32];
  if (!p->node || !p->module) return vm_error(vm, "this function cannot be stored");
  code_hash(p, hash);
  put_text(out, p->module->key, strlen(p->module->key));
  put_text(out, p->name ? p->name->data : "", p->name ? p->name->len : 0);
  buf_bytes(out, hash, sizeof hash);
  put_u32(out, c->n);
  for (uint32_t i = 0; i < c->n; i++)
    if (write_value(vm, c->up[i], out, depth)) return 1;
  return 0;
}

static int write_model(Vm *vm, const Model *m, Buf *out, int depth) {
  put_text(out, m->name->data, m->name->len);
  if (write_record(vm, m->fields, out, depth)) return 1;
  if (write_items(vm, m->leaf_names, out, depth)) return 1;
  if (write_record(vm, m->methods, out, depth)) return 1;
  return write_record(vm, m->notes, out, depth);
}

static int write_box(Vm *vm, Box *b, Buf *out, int depth) {
  Value saved;
  if (!b->type->save) return vm_error(vm, "a value of type %s cannot be stored", b->type->name);
  if (b->type->save(vm, b, &saved)) return 1;
  put_text(out, b->type->name, strlen(b->type->name));
  int rc = write_value(vm, saved, out, depth);
  value_unref(vm, saved);
  return rc;
}

static int write_object(Vm *vm, Value v, Buf *out, int depth) {
  buf_bytes(out, &v.o->kind, 1);
  switch ((ObjKind)v.o->kind) {
  case OBJ_TENSOR: return write_tensor(vm, AS_TENSOR(v), out);
  case OBJ_STR: put_text(out, AS_STR(v)->data, AS_STR(v)->len); return 0;
  case OBJ_COMPLEX: buf_bytes(out, &AS_COMPLEX(v), sizeof(c128)); return 0;
  case OBJ_RANGE: buf_bytes(out, &AS_RANGE(v)->start, 2 * sizeof(int64_t)); return 0;
  case OBJ_LIST: case OBJ_TUPLE: return write_items(vm, AS_LIST(v), out, depth);
  case OBJ_RECORD: return write_record(vm, AS_RECORD(v), out, depth);
  case OBJ_CLOSURE: return write_closure(vm, AS_CLOSURE(v), out, depth);
  case OBJ_NATIVE: {
    const char *name = AS_NATIVE(v)->def->name;
    put_text(out, name, strlen(name));
    return 0;
  }
  case OBJ_MODEL: return write_model(vm, AS_MODEL(v), out, depth);
  case OBJ_BOX: return write_box(vm, AS_BOX(v), out, depth);
  }
  return vm_error(vm, "a value of type %s cannot be stored", value_type_name(v));
}

static int write_value(Vm *vm, Value v, Buf *out, int depth) {
  if (depth <= 0) return vm_error(vm, "this value is nested too deeply to be stored");
  buf_bytes(out, &v.tag, 1);
  if (IS_OBJ(v)) return write_object(vm, v, out, depth - 1);
  buf_bytes(out, v.dims, sizeof v.dims);
  buf_bytes(out, &v.i, sizeof v.i);
  return 0;
}

int image_write(Vm *vm, Value v, Buf *out) {
  if (write_value(vm, v, out, IMAGE_DEPTH)) return 1;
  return out->failed ? (int)rt_fail(vm->rt, RT_MEMORY, "out of memory") : 0;
}

/* ---- finding functions --------------------------------------------------------- */

typedef struct { Proto *proto; uint8_t hash[32]; } Known;
typedef struct {
  Vm *vm;
  const char *at, *end;
  const Value *roots; int n_roots;
  Known *known; uint32_t n_known, cap_known;
  uint32_t n_modules;        /* modules loaded when `known` was filled        */
  bool failed;
} Reader;

static void know_proto(Reader *r, Proto *p, int depth) {
  for (uint32_t i = 0; i < r->n_known; i++)
    if (r->known[i].proto == p) return;
  Known *k = grow(r->vm, r->known, &r->cap_known, r->n_known + 1, sizeof *k);
  if (!k) {
    r->failed = true;
    return;
  }
  r->known = k;
  k[r->n_known].proto = p;
  code_hash(p, k[r->n_known++].hash);
  for (uint32_t i = 0; depth > 0 && i < p->n_protos; i++) know_proto(r, p->protos[i], depth - 1);
}

static void know_value(Reader *r, Value v, int depth) {
  if (!IS_OBJ(v) || depth <= 0) return;
  const Record *fields = NULL;
  if (value_is(v, OBJ_CLOSURE)) {
    know_proto(r, AS_CLOSURE(v)->proto, 64);
    for (uint32_t i = 0; i < AS_CLOSURE(v)->n; i++) know_value(r, AS_CLOSURE(v)->up[i], depth - 1);
  } else if (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE)) {
    for (uint32_t i = 0; i < AS_LIST(v)->n; i++) know_value(r, AS_LIST(v)->items[i], depth - 1);
  } else if (value_is(v, OBJ_RECORD)) {
    fields = AS_RECORD(v);
  } else if (value_is(v, OBJ_MODEL)) {
    fields = AS_MODEL(v)->methods;
  }
  for (uint32_t i = 0; fields && i < fields->n; i++)
    know_value(r, fields->fields[i].value, depth - 1);
}

static void know_modules(Reader *r) {
  r->n_modules = 0;
  for (Module *m = r->vm->modules; m; m = m->next) {
    r->n_modules++;
    for (uint32_t i = 0; i < m->n; i++) {
      if (m->info[i].thunk) know_proto(r, m->info[i].thunk, 64);
      know_value(r, m->slots[i], 8);
    }
  }
  for (int i = 0; i < r->n_roots; i++) know_value(r, r->roots[i], 8);
}

static Proto *search(const Reader *r, const char *module, const uint8_t hash[32], uint32_t n) {
  for (uint32_t i = 0; i < r->n_known; i++) {
    const Proto *p = r->known[i].proto;
    if (memcmp(r->known[i].hash, hash, 32) == 0 && p->n_captures == n && p->module &&
        strcmp(p->module->key, module) == 0)
      return r->known[i].proto;
  }
  return NULL;
}

/* Loads a module that holds functions of a stored value: "prelude/train.qa" by
 * reading one of its names, "nn.qa" and "/path/lib.qa" by importing them. */
static int module_require(Vm *vm, const char *key) {
  size_t n = strlen(key);
  Value v = NIL_VALUE;
  for (const EmbeddedName *e = embedded_names; e->name; e++)
    if (strcmp(e->path, key) == 0) return vm_global(vm, e->name, &v);
  if (n < 4 || strcmp(key + n - 3, ".qa") != 0) return 0; /* the script itself is loaded */
  char stem[256];
  bool file = strchr(key, '/') != NULL;
  snprintf(stem, sizeof stem, "%.*s", (int)(n - 3 < 255 ? n - 3 : 255), key);
  Source here = {0};
  int rc = module_import(vm, &here, file ? key : stem, file, &v);
  value_unref(vm, v);
  return rc;
}

/* ---- reading -------------------------------------------------------------------- */

static int read_value(Reader *r, Value *out, int depth);

static int broken(Reader *r) { return vm_error(r->vm, "a stored value is damaged"); }

static bool take(Reader *r, void *p, size_t n) {
  if ((size_t)(r->end - r->at) < n) return false;
  memcpy(p, r->at, n);
  r->at += n;
  return true;
}

static bool take_u32(Reader *r, uint32_t *n) { return take(r, n, sizeof *n); }

static const char *take_text(Reader *r, uint32_t *n) {
  if (!take_u32(r, n) || (size_t)(r->end - r->at) < *n) return NULL;
  const char *s = r->at;
  r->at += *n;
  return s;
}

/* NUL-terminated copy, malloced. */
static char *take_name(Reader *r) {
  uint32_t n;
  const char *s = take_text(r, &n);
  return s ? strndup(s, n) : NULL;
}

static int read_tensor(Reader *r, Value *out) {
  uint8_t dtype, rank;
  int64_t shape[TENSOR_MAX_RANK];
  if (!take(r, &dtype, 1) || !take(r, &rank, 1) || dtype >= DT_COUNT || rank > TENSOR_MAX_RANK ||
      !take(r, shape, rank * sizeof *shape))
    return broken(r);
  size_t size = 1, left = (size_t)(r->end - r->at);
  for (int i = 0; i < rank; i++) {
    if (shape[i] < 0 || (shape[i] && size > left / (size_t)shape[i])) return broken(r);
    size *= (size_t)shape[i];
  }
  if (size > left / dtype_size[dtype]) return broken(r);
  Tensor *t = tensor_new(r->vm->rt, (DType)dtype, rank, shape);
  if (!t) return 1;
  take(r, t->data, size * dtype_size[dtype]);
  *out = value_obj(t);
  return 0;
}

static int read_list(Reader *r, bool tuple, Value *out, int depth) {
  uint32_t n;
  if (!take_u32(r, &n) || n > (size_t)(r->end - r->at)) return broken(r);
  List *l = list_new(r->vm, tuple, n);
  if (!l) return 1;
  *out = value_obj(l);
  for (uint32_t i = 0; i < n; i++) {
    Value v;
    if (read_value(r, &v, depth)) return 1;
    if (list_push(r->vm, l, v)) return 1;
  }
  return 0;
}

static int read_record(Reader *r, Value *out, int depth) {
  uint32_t n;
  if (!take_u32(r, &n) || n > (size_t)(r->end - r->at)) return broken(r);
  Record *rec = record_new(r->vm, n);
  if (!rec) return 1;
  *out = value_obj(rec);
  for (uint32_t i = 0; i < n; i++) {
    Value v;
    char *key = take_name(r);
    if (!key) return broken(r);
    int rc = read_value(r, &v, depth);
    if (!rc) rc = record_set(r->vm, rec, key, v);
    free(key);
    if (rc) return 1;
  }
  return 0;
}

static int find_proto(Reader *r, const char *module, const char *name, const uint8_t hash[32],
                      uint32_t n, Proto **out) {
  if (!r->n_known) know_modules(r);
  *out = search(r, module, hash, n);
  if (*out) return 0;
  if (module_require(r->vm, module)) return 1; /* perhaps not loaded yet */
  know_modules(r);
  *out = search(r, module, hash, n);
  if (*out) return 0;
  return vm_error(r->vm, "the function `%s` of a stored value is no longer in %s",
                  *name ? name : "<lambda>", *module ? module : "the script");
}

static Closure *bare_closure(Vm *vm, Proto *p) {
  Closure *c = rt_alloc0(vm->rt, sizeof *c + p->n_captures * sizeof(Value));
  if (!c) return NULL;
  c->obj = (Obj){.refs = 1, .kind = OBJ_CLOSURE};
  c->proto = p;
  c->n = p->n_captures;
  p->refs++;
  return c;
}

static int read_closure(Reader *r, Value *out, int depth) {
  char *module = take_name(r), *name = take_name(r);
  uint8_t hash[32];
  uint32_t n = 0;
  Proto *p = NULL;
  bool ok = module && name && take(r, hash, sizeof hash) && take_u32(r, &n) && n < 65536;
  int rc = ok ? find_proto(r, module, name, hash, n, &p) : broken(r);
  free(module);
  free(name);
  if (rc) return 1;
  Closure *c = bare_closure(r->vm, p);
  if (!c) return 1;
  *out = value_obj(c);
  for (uint32_t i = 0; i < n; i++) {
    Value v;
    if (read_value(r, &v, depth)) return 1;
    c->up[i] = v;
  }
  return 0;
}

static int read_native(Reader *r, Value *out) {
  char *name = take_name(r);
  if (!name) return broken(r);
  Value v = native_value(r->vm, name);
  int rc = 0;
  if (is_unset(v)) rc = vm_error(r->vm, "the function `%s` of a stored value is unknown", name);
  free(name);
  if (!rc) *out = value_ref(v);
  return rc;
}

/* __model packs the leaves again; notes are put back behind it. */
static int read_model(Reader *r, Value *out, int depth) {
  Value part[4] = {NIL_VALUE, NIL_VALUE, NIL_VALUE, NIL_VALUE}, notes = NIL_VALUE;
  uint32_t n;
  const char *name = take_text(r, &n);
  Str *s = name ? str_new(r->vm, name, n) : NULL;
  if (!s) return name ? 1 : broken(r);
  part[0] = value_obj(s);
  int rc = read_record(r, &part[1], depth) || read_list(r, true, &part[2], depth) ||
           read_record(r, &part[3], depth) || read_record(r, &notes, depth);
  if (!rc) {
    Value make = native_value(r->vm, "__model");
    rc = is_unset(make) ? broken(r) : vm_call(r->vm, make, part, 4, out);
  }
  for (int i = 0; i < 4; i++) value_unref(r->vm, part[i]);
  if (!rc && AS_RECORD(notes)->n) AS_MODEL(*out)->notes = AS_RECORD(value_ref(notes));
  value_unref(r->vm, notes);
  return rc;
}

static int read_box(Reader *r, Value *out, int depth) {
  char *type = take_name(r), load[128];
  Value saved = NIL_VALUE;
  if (!type) return broken(r);
  snprintf(load, sizeof load, "__load_%s", type);
  Value fn = native_value(r->vm, load);
  int rc = is_unset(fn) ? vm_error(r->vm, "a stored value of type %s cannot be read", type) : 0;
  free(type);
  if (!rc) rc = read_value(r, &saved, depth);
  if (!rc) rc = vm_call(r->vm, fn, &saved, 1, out);
  value_unref(r->vm, saved);
  return rc;
}

static int read_object(Reader *r, Value *out, int depth) {
  uint8_t kind;
  if (!take(r, &kind, 1)) return broken(r);
  if (kind == OBJ_TENSOR) return read_tensor(r, out);
  if (kind == OBJ_STR) {
    uint32_t n;
    const char *s = take_text(r, &n);
    Str *str = s ? str_new(r->vm, s, n) : NULL;
    if (!str) return s ? 1 : broken(r);
    *out = value_obj(str);
    return 0;
  }
  if (kind == OBJ_COMPLEX) {
    c128 z;
    if (!take(r, &z, sizeof z)) return broken(r);
    *out = complex_new(r->vm, z);
    return !IS_OBJ(*out);
  }
  if (kind == OBJ_RANGE) {
    int64_t ends[2];
    if (!take(r, ends, sizeof ends)) return broken(r);
    *out = range_new(r->vm, ends[0], ends[1]);
    return !IS_OBJ(*out);
  }
  if (kind == OBJ_LIST || kind == OBJ_TUPLE) return read_list(r, kind == OBJ_TUPLE, out, depth);
  if (kind == OBJ_RECORD) return read_record(r, out, depth);
  if (kind == OBJ_CLOSURE) return read_closure(r, out, depth);
  if (kind == OBJ_NATIVE) return read_native(r, out);
  if (kind == OBJ_MODEL) return read_model(r, out, depth);
  if (kind == OBJ_BOX) return read_box(r, out, depth);
  return broken(r);
}

static int read_value(Reader *r, Value *out, int depth) {
  Value v = NIL_VALUE;
  *out = NIL_VALUE;
  if (depth <= 0 || !take(r, &v.tag, 1)) return broken(r);
  if (v.tag < V_OBJ) {
    if (!take(r, v.dims, sizeof v.dims) || !take(r, &v.i, sizeof v.i)) return broken(r);
    *out = v;
    return 0;
  }
  if (read_object(r, out, depth - 1) == 0) return 0;
  value_unref(r->vm, *out); /* a container that was half read */
  *out = NIL_VALUE;
  return 1;
}

int image_read(Vm *vm, const void *p, size_t n, const Value *roots, int n_roots, Value *out) {
  Reader r = {.vm = vm, .at = p, .end = (const char *)p + n, .roots = roots, .n_roots = n_roots};
  int rc = read_value(&r, out, IMAGE_DEPTH + 1);
  rt_free(vm->rt, r.known, r.cap_known * sizeof *r.known);
  if (!rc && (r.failed || r.at != r.end)) {
    value_unref(vm, *out);
    *out = NIL_VALUE;
    rc = r.failed ? (int)rt_fail(vm->rt, RT_MEMORY, "out of memory") : broken(&r);
  }
  return rc;
}
