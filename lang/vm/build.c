/* build.c: brackets and comprehensions: a tensor when everything in them is a
 * scalar (or nested brackets of such), else a list.                          */
#include "lang/vm/internal.h"

#include <string.h>

static DType join(DType a, DType b) {
  DType hi = a > b ? a : b, lo = a > b ? b : a;
  return hi == DT_C64 && lo == DT_F64 ? DT_C128 : hi;
}

static DType scalar_dtype(Value v) {
  switch (v.tag) {
  case V_BOOL: return DT_BOOL;
  case V_INT: return DT_I64;
  case V_FLOAT: return DT_F64;
  }
  return v.o->kind == OBJ_TENSOR ? AS_TENSOR(v)->dtype : DT_C128;
}

static double as_double(Value v) {
  return v.tag == V_FLOAT ? v.f : v.tag == V_INT ? (double)v.i : (double)v.b;
}

static c128 as_complex(Value v) {
  return value_is(v, OBJ_COMPLEX) ? AS_COMPLEX(v) : (c128){as_double(v), 0};
}

/* Plain numbers, no tensors among them. */
static Tensor *pack(Vm *vm, const Value *items, uint32_t n, DType dt) {
  int64_t shape[1] = {n};
  Tensor *t = tensor_new(vm->rt, dt, 1, shape);
  if (!t) return NULL;
  for (uint32_t i = 0; i < n; i++) {
    switch (dt) {
    case DT_BOOL: ((uint8_t *)t->data)[i] = items[i].b; break;
    case DT_I64: ((int64_t *)t->data)[i] = items[i].tag == V_INT ? items[i].i : items[i].b; break;
    case DT_F64: ((double *)t->data)[i] = as_double(items[i]); break;
    default: ((c128 *)t->data)[i] = as_complex(items[i]);
    }
  }
  return t;
}

/* Stacks n tensors of one shape after bringing them to a common dtype. */
static int stack(Vm *vm, const Value *items, uint32_t n, DType dt, Value *out) {
  Tensor **parts = rt_alloc0(vm->rt, n * sizeof *parts);
  if (!parts) return 1;
  Tensor *r = NULL;
  bool ok = true;
  for (uint32_t i = 0; ok && i < n; i++) {
    Tensor *t = value_to_tensor(vm, items[i]);
    if (t && t->dtype != dt) {
      Tensor *cast = op_astype(vm->rt, t, dt);
      tensor_unref(vm->rt, t);
      t = cast;
    }
    parts[i] = t;
    ok = t != NULL;
  }
  if (ok) r = op_stack(vm->rt, (int)n, parts, 0);
  for (uint32_t i = 0; i < n; i++) tensor_unref(vm->rt, parts[i]);
  rt_free(vm->rt, parts, n * sizeof *parts);
  if (!r) return 1;
  *out = value_obj(r);
  return 0;
}

static int ragged(Vm *vm, const Tensor *a, const Tensor *b, uint32_t row) {
  char sa[128], sb[128];
  vm_error(vm, "rows of a bracket differ in shape: row 0 is %s, row %u is %s",
           tensor_shape_text(a, sa), row, tensor_shape_text(b, sb));
  vm_help(vm, "a list of rows is built with append(rows, row)");
  return 1;
}

/* *done says that a tensor was made; otherwise the items make a list. */
static int try_tensor(Vm *vm, const Value *items, uint32_t n, bool nested, Value *out, bool *done) {
  DType dt = DT_BOOL;
  bool tensors = false;
  *done = false;
  for (uint32_t i = 0; i < n; i++) {
    if (nested ? !value_is(items[i], OBJ_TENSOR) : !value_is_scalar(items[i])) return 0;
    tensors |= value_is(items[i], OBJ_TENSOR);
  }
  /* traced scalars decide the dtype: plain numbers beside them adapt */
  for (uint32_t i = 0; i < n; i++)
    if (!tensors || value_is(items[i], OBJ_TENSOR)) dt = join(dt, scalar_dtype(items[i]));
  for (uint32_t i = 0; dt < DT_F32 && i < n; i++) dt = join(dt, scalar_dtype(items[i]));
  for (uint32_t i = 1; nested && i < n; i++) {
    Tensor *a = AS_TENSOR(items[0]), *b = AS_TENSOR(items[i]);
    if (a->rank != b->rank || (a->rank && memcmp(a->shape, b->shape, a->rank * sizeof *a->shape)))
      return ragged(vm, a, b, i);
  }
  *done = true;
  if (tensors) return stack(vm, items, n, dt, out);
  Tensor *t = pack(vm, items, n, dt);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

/* items are borrowed. mixed: brackets stand beside other elements: a list. */
int build_bracket(Vm *vm, Value *items, uint32_t n, bool nested, bool mixed, Value *out) {
  bool done = false;
  if (n && !mixed && try_tensor(vm, items, n, nested, out, &done)) return 1;
  if (done) return 0;
  List *l = list_new(vm, false, n);
  if (!l) return 1;
  for (uint32_t i = 0; i < n; i++) l->items[i] = value_ref(items[i]);
  l->n = n;
  *out = value_obj(l);
  return 0;
}

/* The end of a comprehension: *v is the list of its elements. */
int build_finish(Vm *vm, Value *v, bool nested) {
  List *l = AS_LIST(*v);
  Value t;
  bool done = false;
  if (!l->n) {       /* no element says what it would be: an empty vector */
    int64_t shape[1] = {0};
    Tensor *empty = tensor_zeros(vm->rt, DT_F64, 1, shape);
    if (!empty) return 1;
    t = value_obj(empty);
    done = true;
  } else if (try_tensor(vm, l->items, l->n, nested, &t, &done)) {
    return 1;
  }
  if (!done) return 0;
  value_unref(vm, *v);
  *v = t;
  return 0;
}

/* The pieces of "a {b} c" put together; every piece is a string. */
int build_concat(Vm *vm, Value *items, uint32_t n, Value *out) {
  size_t len = 0;
  for (uint32_t i = 0; i < n; i++) len += AS_STR(items[i])->len;
  if (len >= UINT32_MAX / 2) return vm_error(vm, "string is too long: %zu bytes", len);
  Str *s = str_new(vm, "", 0);
  if (!s) return 1;
  for (uint32_t i = 0; i < n; i++)
    if (str_append(vm, &s, AS_STR(items[i])->data, AS_STR(items[i])->len)) {
      value_unref(vm, value_obj(s));
      return 1;
    }
  *out = value_obj(s);
  return 0;
}
