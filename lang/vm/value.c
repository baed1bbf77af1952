/* value.c: making, growing and freeing the objects a value can point to. */
#include "lang/vm/internal.h"

#include <stdlib.h>
#include <string.h>

/* Room for `need` items in an array that doubles. */
void *grow(Vm *vm, void *items, uint32_t *cap, uint32_t need, size_t size) {
  if (need <= *cap) return items;
  uint32_t cap2 = *cap ? *cap * 2 : 8;
  while (cap2 < need) cap2 = cap2 > UINT32_MAX / 2 ? UINT32_MAX : cap2 * 2;
  void *more = rt_realloc(vm->rt, items, *cap * size, cap2 * size);
  if (more) *cap = cap2;
  return more;
}

/* ---- strings ---------------------------------------------------------------- */

static Str *str_room(Vm *vm, size_t n, size_t cap) {
  if (cap >= UINT32_MAX - 64) {
    vm_error(vm, "string is too long: %zu bytes", n);
    return NULL;
  }
  Str *s = rt_alloc(vm->rt, sizeof(Str) + cap + 1);
  if (!s) return NULL;
  s->obj = (Obj){.refs = 1, .kind = OBJ_STR};
  s->len = (uint32_t)n;
  s->cap = (uint32_t)cap;
  s->hash = 0;
  s->data[n] = 0;
  return s;
}

Str *str_new(Vm *vm, const char *text, size_t n) {
  Str *s = str_room(vm, n, n);
  if (s && n && text) memcpy(s->data, text, n);
  return s;
}

Str *str_format(Vm *vm, const char *fmt, ...) {
  Buf b = {0};
  va_list ap;
  va_start(ap, fmt);
  buf_vformat(&b, fmt, ap);
  va_end(ap);
  Str *s = NULL;
  if (b.failed) rt_fail(vm->rt, RT_MEMORY, "out of memory");
  else s = str_new(vm, b.data ? b.data : "", b.len);
  buf_free(&b);
  return s;
}

/* Appends in place; *s is unshared.  Capacity doubles, so n appends cost O(n). */
int str_append(Vm *vm, Str **s, const char *text, size_t n) {
  Str *t = *s;
  size_t len = t->len + n;
  if (len > t->cap) {
    size_t cap = len < 64 ? 128 : len * 2;
    if (cap >= UINT32_MAX - 64) return vm_error(vm, "string is too long: %zu bytes", len);
    t = rt_realloc(vm->rt, t, sizeof(Str) + t->cap + 1, sizeof(Str) + cap + 1);
    if (!t) return 1;
    t->cap = (uint32_t)cap;
    *s = t;
  }
  memcpy(t->data + t->len, text, n);
  t->len = (uint32_t)len;
  t->data[len] = 0;
  t->hash = 0;
  return 0;
}

static uint64_t str_hash(Str *s) {
  if (!s->hash) s->hash = hash_bytes(s->data, s->len) | 1;
  return s->hash;
}

/* ---- small objects ------------------------------------------------------------ */

Value complex_new(Vm *vm, c128 z) {
  Complex *c = rt_alloc(vm->rt, sizeof *c);
  if (!c) return UNSET_VALUE;
  c->obj = (Obj){.refs = 1, .kind = OBJ_COMPLEX};
  c->z = z;
  return value_obj(c);
}

Value range_new(Vm *vm, int64_t start, int64_t stop) {
  int64_t length;
  if (stop > start && __builtin_sub_overflow(stop, start, &length)) {
    vm_error(vm, "a range of more than 9223372036854775807 values: %lld..%lld", (long long)start,
             (long long)stop);
    return UNSET_VALUE;
  }
  Range *r = rt_alloc(vm->rt, sizeof *r);
  if (!r) return UNSET_VALUE;
  r->obj = (Obj){.refs = 1, .kind = OBJ_RANGE};
  r->start = start;
  r->stop = stop;
  return value_obj(r);
}

Box *box_new(Vm *vm, const BoxType *type, void *data) {
  Box *b = rt_alloc(vm->rt, sizeof *b);
  if (!b) return NULL;
  b->obj = (Obj){.refs = 1, .kind = OBJ_BOX};
  b->type = type;
  b->data = data;
  return b;
}

List *list_new(Vm *vm, bool tuple, uint32_t cap) {
  List *l = rt_alloc(vm->rt, sizeof *l);
  if (!l) return NULL;
  *l = (List){.obj = {.refs = 1, .kind = tuple ? OBJ_TUPLE : OBJ_LIST}};
  if (cap) {
    l->items = rt_alloc(vm->rt, cap * sizeof(Value));
    if (!l->items) {
      rt_free(vm->rt, l, sizeof *l);
      return NULL;
    }
    l->cap = cap;
  }
  return l;
}

int list_push(Vm *vm, List *l, Value v) {
  if (l->n == l->cap) {
    Value *items = l->n == UINT32_MAX ? NULL : grow(vm, l->items, &l->cap, l->n + 1, sizeof(Value));
    if (!items) {
      value_unref(vm, v);
      return 1;
    }
    l->items = items;
  }
  l->items[l->n++] = v;
  return 0;
}

/* ---- records -------------------------------------------------------------------- */

#define LINEAR 8      /* up to here a scan beats an index */

Record *record_new(Vm *vm, uint32_t cap) {
  Record *r = rt_alloc(vm->rt, sizeof *r);
  if (!r) return NULL;
  *r = (Record){.obj = {.refs = 1, .kind = OBJ_RECORD}};
  if (cap) {
    r->fields = rt_alloc(vm->rt, cap * sizeof(Field));
    if (!r->fields) {
      rt_free(vm->rt, r, sizeof *r);
      return NULL;
    }
    r->cap = cap;
  }
  return r;
}

static int record_reindex(Vm *vm, Record *r) {
  uint32_t cap = 32;
  while (cap < r->n * 2) cap *= 2;
  uint32_t *index = rt_alloc0(vm->rt, cap * sizeof *index);
  if (!index) return 1;
  for (uint32_t i = 0; i < r->n; i++) {
    uint32_t h = (uint32_t)str_hash(r->fields[i].key) & (cap - 1);
    while (index[h]) h = (h + 1) & (cap - 1);
    index[h] = i + 1;
  }
  rt_free(vm->rt, r->index, r->index_cap * sizeof *index);
  r->index = index;
  r->index_cap = cap;
  return 0;
}

static int record_locate(Record *r, const char *key, size_t n, uint64_t hash) {
  if (!r->index) {
    for (uint32_t i = 0; i < r->n; i++)
      if (r->fields[i].key->len == n && memcmp(r->fields[i].key->data, key, n) == 0) return (int)i;
    return -1;
  }
  if (!hash) hash = hash_bytes(key, n) | 1;
  for (uint32_t h = (uint32_t)hash & (r->index_cap - 1); r->index[h];
       h = (h + 1) & (r->index_cap - 1)) {
    Field *f = &r->fields[r->index[h] - 1];
    if (f->key->len == n && memcmp(f->key->data, key, n) == 0) return (int)(r->index[h] - 1);
  }
  return -1;
}

Value *record_get(Record *r, const char *key) {
  int i = record_locate(r, key, strlen(key), 0);
  return i < 0 ? NULL : &r->fields[i].value;
}

Value *record_get_str(Record *r, Str *key) {
  if (!r->index)
    for (uint32_t i = 0; i < r->n; i++)
      if (r->fields[i].key == key) return &r->fields[i].value;
  int i = record_locate(r, key->data, key->len, r->index ? str_hash(key) : 0);
  return i < 0 ? NULL : &r->fields[i].value;
}

/* Adds a key that is not there; takes over both. */
static int record_append(Vm *vm, Record *r, Str *key, Value v) {
  Field *fields = grow(vm, r->fields, &r->cap, r->n + 1, sizeof(Field));
  if (fields) {
    r->fields = fields;
    r->fields[r->n++] = (Field){key, v};
    if (r->n <= LINEAR) return 0;
    if (r->index && r->n * 2 <= r->index_cap) {
      uint32_t h = (uint32_t)str_hash(key) & (r->index_cap - 1);
      while (r->index[h]) h = (h + 1) & (r->index_cap - 1);
      r->index[h] = r->n;
      return 0;
    }
    if (record_reindex(vm, r) == 0) return 0;
    r->n--;
  }
  value_unref(vm, value_obj(key));
  value_unref(vm, v);
  return 1;
}

int record_set(Vm *vm, Record *r, const char *key, Value v) {
  Value *at = record_get(r, key);
  if (at) {
    Value old = *at;
    *at = v;
    value_unref(vm, old);
    return 0;
  }
  Str *s = str_new(vm, key, strlen(key));
  if (!s) {
    value_unref(vm, v);
    return 1;
  }
  return record_append(vm, r, s, v);
}

int record_set_str(Vm *vm, Record *r, Str *key, Value v) {
  Value *at = record_get_str(r, key);
  if (at) {
    Value old = *at;
    *at = v;
    value_unref(vm, old);
    return 0;
  }
  key->obj.refs++;
  return record_append(vm, r, key, v);
}

bool record_remove(Vm *vm, Record *r, const char *key) {
  int i = record_locate(r, key, strlen(key), 0);
  if (i < 0) return false;
  Field old = r->fields[i];
  memmove(&r->fields[i], &r->fields[i + 1], (r->n - (uint32_t)i - 1) * sizeof(Field));
  r->n--;
  rt_free(vm->rt, r->index, r->index_cap * sizeof *r->index);
  r->index = NULL;
  r->index_cap = 0;
  if (r->n > LINEAR) record_reindex(vm, r);
  value_unref(vm, value_obj(old.key));
  value_unref(vm, old.value);
  return true;
}

/* ---- copy on write ---------------------------------------------------------------- */

static Value list_copy(Vm *vm, List *l) {
  List *c = list_new(vm, l->obj.kind == OBJ_TUPLE, l->n);
  if (!c) return UNSET_VALUE;
  for (uint32_t i = 0; i < l->n; i++) c->items[i] = value_ref(l->items[i]);
  c->n = l->n;
  return value_obj(c);
}

static Value record_copy(Vm *vm, Record *r) {
  Record *c = record_new(vm, r->n);
  if (!c) return UNSET_VALUE;
  for (uint32_t i = 0; i < r->n; i++) {
    c->fields[i] = (Field){r->fields[i].key, value_ref(r->fields[i].value)};
    c->fields[i].key->obj.refs++;
  }
  c->n = r->n;
  if (r->index && record_reindex(vm, c)) {
    value_unref(vm, value_obj(c));
    return UNSET_VALUE;
  }
  return value_obj(c);
}

static Value model_copy(Vm *vm, Model *m) {
  Value fields = record_copy(vm, m->fields);
  if (is_unset(fields)) return fields;
  Model *c = rt_alloc(vm->rt, sizeof *c);
  if (!c) {
    value_unref(vm, fields);
    return UNSET_VALUE;
  }
  *c = *m;
  c->obj = (Obj){.refs = 1, .kind = OBJ_MODEL};
  c->fields = AS_RECORD(fields);
  if (c->name) c->name->obj.refs++;
  if (c->methods) c->methods->obj.refs++;
  if (c->notes) c->notes->obj.refs++;
  if (c->leaf_names) c->leaf_names->obj.refs++;
  return value_obj(c);
}

/* The container itself if nobody else holds it, else a copy one level deep.
 * Takes over v; UNSET with the error set when that fails (v is released).   */
Value object_own(Vm *vm, Value v) {
  if (!IS_OBJ(v) || v.o->refs == 1) return v;
  Value c;
  switch (v.o->kind) {
  case OBJ_LIST: case OBJ_TUPLE: c = list_copy(vm, AS_LIST(v)); break;
  case OBJ_RECORD: c = record_copy(vm, AS_RECORD(v)); break;
  case OBJ_MODEL: c = model_copy(vm, AS_MODEL(v)); break;
  case OBJ_STR: {
    Str *s = str_new(vm, AS_STR(v)->data, AS_STR(v)->len);
    c = s ? value_obj(s) : UNSET_VALUE;
    break;
  }
  case OBJ_BOX: {
    Box *b = AS_BOX(v)->type->clone ? AS_BOX(v)->type->clone(vm, AS_BOX(v)) : NULL;
    if (!b && !AS_BOX(v)->type->clone) vm_error(vm, "%s %s cannot be changed", VALUE_A(v));
    c = b ? value_obj(b) : UNSET_VALUE;
    break;
  }
  default: return v;
  }
  value_unref(vm, v);
  return c;
}

/* ---- freeing --------------------------------------------------------------------- */

static void list_drop(Vm *vm, List *l) {
  for (uint32_t i = 0; i < l->n; i++) value_unref(vm, l->items[i]);
  rt_free(vm->rt, l->items, l->cap * sizeof(Value));
  rt_free(vm->rt, l, sizeof *l);
}

static void record_drop(Vm *vm, Record *r) {
  for (uint32_t i = 0; i < r->n; i++) {
    value_unref(vm, value_obj(r->fields[i].key));
    value_unref(vm, r->fields[i].value);
  }
  rt_free(vm->rt, r->fields, r->cap * sizeof(Field));
  rt_free(vm->rt, r->index, r->index_cap * sizeof *r->index);
  rt_free(vm->rt, r, sizeof *r);
}

static void model_drop(Vm *vm, Model *m) {
  if (m->name) value_unref(vm, value_obj(m->name));
  if (m->fields) value_unref(vm, value_obj(m->fields));
  if (m->methods) value_unref(vm, value_obj(m->methods));
  if (m->notes) value_unref(vm, value_obj(m->notes));
  if (m->leaf_names) value_unref(vm, value_obj(m->leaf_names));
  rt_free(vm->rt, m, sizeof *m);
}

static void closure_drop(Vm *vm, Closure *c) {
  for (uint32_t i = 0; i < c->n; i++) value_unref(vm, c->up[i]);
  proto_unref(vm, c->proto);
  rt_free(vm->rt, c, sizeof *c + c->n * sizeof(Value));
}

static void container_drop(Vm *vm, Obj *o) {
  switch (o->kind) {
  case OBJ_LIST: case OBJ_TUPLE: list_drop(vm, (List *)o); break;
  case OBJ_RECORD: record_drop(vm, (Record *)o); break;
  case OBJ_MODEL: model_drop(vm, (Model *)o); break;
  case OBJ_CLOSURE: closure_drop(vm, (Closure *)o); break;
  case OBJ_NATIVE: native_free(vm, (NativeObj *)o); break;
  case OBJ_BOX: {
    Box *b = (Box *)o;
    if (b->type->drop) b->type->drop(vm, b->data);
    rt_free(vm->rt, b, sizeof *b);
    break;
  }
  }
}

/* A container that dies while another one is being freed waits in vm->dead, so
 * that a list nested a million deep does not exhaust the C stack.           */
void object_free(Vm *vm, Obj *o) {
  switch (o->kind) {
  case OBJ_TENSOR:
    o->refs = 1;
    tensor_unref(vm->rt, (Tensor *)o);
    return;
  case OBJ_STR: rt_free(vm->rt, o, sizeof(Str) + ((Str *)o)->cap + 1); return;
  case OBJ_COMPLEX: rt_free(vm->rt, o, sizeof(Complex)); return;
  case OBJ_RANGE: rt_free(vm->rt, o, sizeof(Range)); return;
  }
  if (vm->freeing) {
    if (vm->n_dead == vm->cap_dead) {
      uint32_t cap = vm->cap_dead ? vm->cap_dead * 2 : 64;
      Obj **dead =
          realloc(vm->dead, cap * sizeof *dead); /* not counted: freeing must not hit a limit */
      if (!dead) {
        container_drop(vm, o);
        return;
      }
      vm->dead = dead;
      vm->cap_dead = cap;
    }
    vm->dead[vm->n_dead++] = o;
    return;
  }
  vm->freeing = true;
  container_drop(vm, o);
  while (vm->n_dead) container_drop(vm, vm->dead[--vm->n_dead]);
  vm->freeing = false;
}
