/* index.c: reading and writing elements, fields and nested places; iteration. */
#include "lang/vm/internal.h"

#include <string.h>

/* ---- subscripts ---------------------------------------------------------------- */

static int subscript_error(Vm *vm, Value v, Value ix) {
  vm_error(vm, "%s %s is not indexed by %s %s", VALUE_A(v), VALUE_A(ix));
  if (ix.tag == V_FLOAT) vm_help(vm, "an index is an int: write int(i)");
  return 1;
}

static bool as_position(Value ix, int64_t *i) {
  if (ix.tag == V_INT) {
    *i = ix.i;
    return true;
  }
  if (value_is(ix, OBJ_TENSOR) && AS_TENSOR(ix)->rank == 0 && AS_TENSOR(ix)->dtype == DT_I64) {
    *i = tensor_get_i64(AS_TENSOR(ix), 0);
    return true;
  }
  return false;
}

static int position(Vm *vm, const char *what, int64_t i, int64_t n, int64_t *out) {
  if (i < -n || i >= n)
    return vm_error(vm, "index %lld is out of range for a %s of length %lld", (long long)i, what,
                    (long long)n);
  *out = i < 0 ? i + n : i;
  return 0;
}

/* A slice of something one-dimensional; ends past the border are errors. */
static int slice_bounds(Vm *vm, const char *what, const Range *r, int64_t n, int64_t *lo,
                        int64_t *hi) {
  *lo = r->obj.flags & RANGE_NO_START ? 0 : r->start < 0 ? r->start + n : r->start;
  *hi = r->obj.flags & RANGE_NO_STOP ? n : r->stop < 0 ? r->stop + n : r->stop;
  if (*lo < 0 || *hi > n || *lo > n)
    return vm_error(vm, "slice %lld..%lld is out of range for a %s of length %lld", (long long)*lo,
                    (long long)*hi, what, (long long)n);
  if (*hi < *lo) *hi = *lo;
  return 0;
}

static int to_index(Vm *vm, Value v, Value ix, Index *out) {
  if (as_position(ix, &out->at)) {
    out->kind = IX_AT;         /* the other members do not count */
    return 0;
  }
  *out = (Index){.kind = IX_ALL, .step = 1};
  if (is_all(ix)) return 0;
  if (value_is(ix, OBJ_RANGE)) {
    Range *r = AS_RANGE(ix);
    out->kind = IX_SLICE;
    out->start = r->start;
    out->stop = r->stop;
    out->has_start = !(r->obj.flags & RANGE_NO_START);
    out->has_stop = !(r->obj.flags & RANGE_NO_STOP);
    return 0;
  }
  if (value_is(ix, OBJ_TENSOR) && AS_TENSOR(ix)->dtype <= DT_I64) {
    out->kind = IX_TENSOR;
    out->tensor = AS_TENSOR(ix);
    return 0;
  }
  if (value_is(ix, OBJ_TENSOR)) {
    vm_error(vm, "an index tensor is i64 or bool, found %s", dtype_name[AS_TENSOR(ix)->dtype]);
    vm_help(vm, "write astype(ix, \"i64\")");
    return 1;
  }
  return subscript_error(vm, v, ix);
}

static int tensor_subscripts(Vm *vm, Value v, const Value *ix, int n, Index *out) {
  if (n > TENSOR_MAX_RANK) return vm_error(vm, "at most %d indices are possible", TENSOR_MAX_RANK);
  for (int k = 0; k < n; k++)
    if (to_index(vm, v, ix[k], &out[k])) return 1;
  return 0;
}

/* Element position when every index is an int and none is missing. */
static bool element_offset(const Tensor *t, const Index *ix, int n, int64_t *offset) {
  if (n != t->rank) return false;
  *offset = 0;
  for (int k = 0; k < n; k++) {
    int64_t i = ix[k].at;
    if (ix[k].kind != IX_AT || i < -t->shape[k] || i >= t->shape[k]) return false;
    *offset += (i < 0 ? i + t->shape[k] : i) * t->stride[k];
  }
  return true;
}

static bool element_read(const Tensor *t, int64_t at, Value *out) {
  switch (t->dtype) {
  case DT_BOOL: *out = value_bool(((uint8_t *)t->data)[at] != 0); return true;
  case DT_I64: *out = value_int(((int64_t *)t->data)[at]); return true;
  case DT_F32: *out = value_float(((float *)t->data)[at]); return true;
  case DT_F64: *out = value_float(((double *)t->data)[at]); return true;
  default: return false;
  }
}

static int tensor_get(Vm *vm, Value v, const Value *values, int n, Value *out) {
  Index ix[TENSOR_MAX_RANK];
  Tensor *t = AS_TENSOR(v);
  if (tensor_subscripts(vm, v, values, n, ix)) return 1;
  int64_t at;
  if (!vm->rt->tape && element_offset(t, ix, n, &at) && element_read(t, at, out)) return 0;
  Tensor *r = op_index(vm->rt, t, n, ix);
  if (!r) return 1;
  *out = value_simplify(vm, value_obj(r));
  return 0;
}

/* The elements that a bool tensor marks, or at the positions of an i64 tensor. */
static int list_select(Vm *vm, Value v, const Tensor *ix, Value *out) {
  List *l = AS_LIST(v);
  const char *what = value_type_name(v);
  bool mask = ix->dtype == DT_BOOL;
  if (mask && ix->size != l->n)
    return vm_error(vm, "a mask of %lld elements does not fit a %s of length %u",
                    (long long)ix->size, what, l->n);
  List *r = list_new(vm, v.o->kind == OBJ_TUPLE, 8);
  if (!r) return 1;
  for (int64_t k = 0; k < ix->size; k++) {
    int64_t i = mask ? k : tensor_get_i64(ix, k);
    if (mask && !tensor_get_i64(ix, k)) continue;
    if ((!mask && position(vm, what, i, l->n, &i)) || list_push(vm, r, value_ref(l->items[i]))) {
      value_unref(vm, value_obj(r));
      return 1;
    }
  }
  *out = value_obj(r);
  return 0;
}

static int list_get(Vm *vm, Value v, Value ix, Value *out) {
  List *l = AS_LIST(v);
  const char *what = value_type_name(v);
  int64_t i, lo = 0, hi = l->n;
  if (as_position(ix, &i)) {
    if (position(vm, what, i, l->n, &i)) return 1;
    *out = value_ref(l->items[i]);
    return 0;
  }
  if (value_is(ix, OBJ_RANGE)) {
    if (slice_bounds(vm, what, AS_RANGE(ix), l->n, &lo, &hi)) return 1;
  } else if (value_is(ix, OBJ_TENSOR) && AS_TENSOR(ix)->rank == 1 &&
             (AS_TENSOR(ix)->dtype == DT_BOOL || AS_TENSOR(ix)->dtype == DT_I64)) {
    return list_select(vm, v, AS_TENSOR(ix), out);
  } else if (!is_all(ix)) {
    return subscript_error(vm, v, ix);
  }
  List *r = list_new(vm, v.o->kind == OBJ_TUPLE, (uint32_t)(hi - lo));
  if (!r) return 1;
  for (i = lo; i < hi; i++) r->items[r->n++] = value_ref(l->items[i]);
  *out = value_obj(r);
  return 0;
}

static size_t code_point_offset(const Str *s, int64_t k) {
  size_t at = 0;
  for (; k > 0 && at < s->len; k--) {
    at++;
    while (at < s->len && ((unsigned char)s->data[at] & 0xc0) == 0x80) at++;
  }
  return at;
}

static int str_get(Vm *vm, Value v, Value ix, Value *out) {
  Str *s = AS_STR(v);
  int64_t n = (int64_t)utf8_columns(s->data, s->len), lo = 0, hi = n;
  if (as_position(ix, &lo)) {
    if (position(vm, "str", lo, n, &lo)) return 1;
    hi = lo + 1;
  } else if (value_is(ix, OBJ_RANGE)) {
    if (slice_bounds(vm, "str", AS_RANGE(ix), n, &lo, &hi)) return 1;
  } else if (!is_all(ix)) {
    return subscript_error(vm, v, ix);
  }
  size_t a = code_point_offset(s, lo), b = code_point_offset(s, hi);
  Str *r = str_new(vm, s->data + a, b - a);
  if (!r) return 1;
  *out = value_obj(r);
  return 0;
}

static int range_get(Vm *vm, Value v, Value ix, Value *out) {
  Range *r = AS_RANGE(v);
  int64_t n, i, hi;
  value_len(vm, v, &n);
  if (as_position(ix, &i)) {
    if (position(vm, "range", i, n, &i)) return 1;
    *out = value_int(r->start + i);
    return 0;
  }
  if (!value_is(ix, OBJ_RANGE)) return subscript_error(vm, v, ix);
  if (slice_bounds(vm, "range", AS_RANGE(ix), n, &i, &hi)) return 1;
  *out = range_new(vm, r->start + i, r->start + hi);
  return is_unset(*out);
}

/* The nearest name, or all of them where they are few: a record is often a choice by a word. */
static int no_key(Vm *vm, Record *r, const char *what, const char *name) {
  int best = 3;
  const char *near = NULL;
  for (uint32_t i = 0; i < r->n; i++) {
    int d = edit_distance(r->fields[i].key->data, name, best);
    if (d < best) {
      best = d;
      near = r->fields[i].key->data;
    }
  }
  vm_error(vm, "%s has no field `%s`", what, name);
  if (near) {
    vm_help(vm, "did you mean `%s`?", near);
  } else if (r->n > 0 && r->n <= 12) {
    Buf all = {0};
    for (uint32_t i = 0; i < r->n; i++)
      buf_format(&all, "%s`%s`", i ? ", " : "", r->fields[i].key->data);
    if (all.data && all.len < 160) vm_help(vm, "it has %s", all.data);
    buf_free(&all);
  }
  return 1;
}

int index_get(Vm *vm, Value v, const Value *ix, int n, Value *out) {
  if (value_is(v, OBJ_TENSOR)) return tensor_get(vm, v, ix, n, out);
  if (!IS_OBJ(v)) return vm_error(vm, "%s %s cannot be indexed", VALUE_A(v));
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->item)
    return AS_BOX(v)->type->item(vm, AS_BOX(v), ix, n, out);
  if (n != 1) return vm_error(vm, "%s %s takes one index, found %d", VALUE_A(v), n);
  switch (v.o->kind) {
  case OBJ_LIST: case OBJ_TUPLE: return list_get(vm, v, ix[0], out);
  case OBJ_STR: return str_get(vm, v, ix[0], out);
  case OBJ_RANGE: return range_get(vm, v, ix[0], out);
  case OBJ_RECORD: case OBJ_MODEL: case OBJ_BOX:
    if (value_is(ix[0], OBJ_STR)) return field_get(vm, v, AS_STR(ix[0]), out);
    return subscript_error(vm, v, ix[0]);
  }
  return vm_error(vm, "%s %s cannot be indexed", VALUE_A(v));
}

/* ---- fields -------------------------------------------------------------------- */

/* `m.forward` without a call: the method with its model; methods of boxes. */
typedef struct { Value model, method; } Bound;

static void bound_drop(Vm *vm, void *data) {
  Bound *b = data;
  value_unref(vm, b->model);
  value_unref(vm, b->method);
  rt_free(vm->rt, b, sizeof *b);
}

static int bound_call(Vm *vm, Box *self, Value *args, int n, const char *const *names, Value *out) {
  Bound *b = self->data;
  Value all[65];
  const char *all_names[65] = {NULL};
  if (n > 64) return vm_error(vm, "too many arguments");
  all[0] = b->model;
  for (int k = 0; k < n; k++) {
    all[k + 1] = args[k];
    all_names[k + 1] = names ? names[k] : NULL;
  }
  return vm_call_named(vm, b->method, all, n + 1, all_names, out);
}

static const BoxType bound_box = {.name = "function", .drop = bound_drop, .call = bound_call};

int vm_bind(Vm *vm, Value model, Value method, Value *out) {
  Bound *b = rt_alloc(vm->rt, sizeof *b);
  if (!b) return 1;
  Box *box = box_new(vm, &bound_box, b);
  if (!box) {
    rt_free(vm->rt, b, sizeof *b);
    return 1;
  }
  *b = (Bound){value_ref(model), value_ref(method)};
  *out = value_obj(box);
  return 0;
}

int field_get(Vm *vm, Value v, Str *name, Value *out) {
  Value *at;
  if (value_is(v, OBJ_RECORD)) {
    at = record_get_str(AS_RECORD(v), name);
    if (!at) return no_key(vm, AS_RECORD(v), "the record", name->data);
    *out = value_ref(*at);
    return 0;
  }
  if (value_is(v, OBJ_MODEL)) {
    Model *m = AS_MODEL(v);
    at = record_get_str(m->fields, name);
    if (!at && m->notes) at = record_get_str(m->notes, name);
    if (at) {
      *out = value_ref(*at);
      return 0;
    }
    at = m->methods ? record_get_str(m->methods, name) : NULL;
    if (at) return vm_bind(vm, v, *at, out);
    Buf what = {0};
    buf_format(&what, "the model `%s`", m->name->data);
    no_key(vm, m->fields, what.data ? what.data : "the model", name->data);
    buf_free(&what);
    return 1;
  }
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->field)
    return AS_BOX(v)->type->field(vm, AS_BOX(v), name->data, out);
  vm_error(vm, "%s %s has no field `%s`", VALUE_A(v), name->data);
  const char *called = value_callable(v) ? callable_name(v) : NULL;
  if (v.tag == V_NIL) vm_help(vm, "the value is nil: was it set?");
  else if (called) vm_help(vm, "call it first: `%s(...).%s`", called, name->data);
  else if (value_is(v, OBJ_TENSOR))
    vm_help(vm, "tensors are asked by functions: shape(x), dtype(x), len(x)");
  return 1;
}

/* ---- writing ---------------------------------------------------------------------- */

static int own_place(Vm *vm, Value *v) {
  Value mine = object_own(vm, value_ref(*v));   /* one more holder: ourselves */
  if (is_unset(mine)) return 1;
  if (mine.o != v->o) value_unref(vm, *v);
  else mine.o->refs--;
  *v = mine;
  return 0;
}

static int own_container(Vm *vm, Value *v) {
  if (v->o->refs == 1) return 0;
  return own_place(vm, v);
}

/* A number as a scalar tensor of dtype dt when dt can hold it: scalars adapt. */
static Tensor *value_for(Vm *vm, Value x, DType dt) {
  bool fits = (x.tag == V_FLOAT && dt >= DT_F32) || (x.tag == V_BOOL) ||
              (x.tag == V_INT && dt >= DT_F32);
  if (!fits) return value_to_tensor(vm, x);
  return tensor_scalar(vm->rt, dt, x.tag == V_FLOAT ? x.f : x.tag == V_INT ? (double)x.i : x.b, 0);
}

static bool element_write(Tensor *t, int64_t at, Value x) {
  switch (t->dtype) {
  case DT_BOOL:
    if (x.tag != V_BOOL) return false;
    ((uint8_t *)t->data)[at] = x.b;
    return true;
  case DT_I64:
    if (x.tag != V_INT && x.tag != V_BOOL) return false;
    ((int64_t *)t->data)[at] = x.tag == V_INT ? x.i : x.b;
    return true;
  case DT_F32: case DT_F64: {
    if (x.tag < V_BOOL || x.tag > V_FLOAT) return false;
    double d = x.tag == V_FLOAT ? x.f : x.tag == V_INT ? (double)x.i : x.b;
    if (t->dtype == DT_F32) ((float *)t->data)[at] = (float)d;
    else ((double *)t->data)[at] = d;
    return true;
  }
  default: return false;
  }
}

static int tensor_set(Vm *vm, Value *v, const Value *values, int n, Value x) {
  Index ix[TENSOR_MAX_RANK];
  if (tensor_subscripts(vm, *v, values, n, ix)) return 1;
  Tensor *t = AS_TENSOR(*v);
  int64_t at;
  if (!vm->rt->tape && tensor_unique(t) && element_offset(t, ix, n, &at) && element_write(t, at, x))
    return 0;
  if (!value_is_scalar(x) && !value_is(x, OBJ_TENSOR) && !value_is(x, OBJ_RANGE))
    return vm_error(vm, "%s %s tensor cannot hold %s %s", t->dtype == DT_I64 ? "an" : "a",
                    dtype_name[t->dtype], VALUE_A(x));
  Tensor *xt = value_for(vm, x, t->dtype);
  if (!xt) return 1;
  int failed = op_index_set(vm->rt, &t, n, ix, xt) != RT_OK;
  tensor_unref(vm->rt, xt);
  v->o = &t->obj;
  return failed;
}

static Value *list_place(Vm *vm, Value *v, Value ix) {
  int64_t i;
  if (!as_position(ix, &i)) {
    subscript_error(vm, *v, ix);
    return NULL;
  }
  if (position(vm, "list", i, AS_LIST(*v)->n, &i) || own_container(vm, v)) return NULL;
  return &AS_LIST(*v)->items[i];
}

int index_set(Vm *vm, Value *v, const Value *ix, int n, Value x) {
  if (value_is(*v, OBJ_TENSOR)) return tensor_set(vm, v, ix, n, x);
  if (value_is(*v, OBJ_LIST) && n == 1) {
    Value *at = list_place(vm, v, ix[0]);
    if (!at) return 1;
    Value old = *at;
    *at = value_ref(x);
    value_unref(vm, old);
    return 0;
  }
  if (value_is(*v, OBJ_RECORD) && n == 1 && value_is(ix[0], OBJ_STR)) {
    if (own_container(vm, v)) return 1;
    return record_set_str(vm, AS_RECORD(*v), AS_STR(ix[0]), value_ref(x));
  }
  if (value_is(*v, OBJ_TUPLE) || value_is(*v, OBJ_STR)) {
    vm_error(vm, "the elements of %s %s cannot be changed", VALUE_A(*v));
    vm_help(vm, "build a new one, or use a list");
    return 1;
  }
  if (value_is(*v, OBJ_LIST) || value_is(*v, OBJ_RECORD))
    return n == 1 ? subscript_error(vm, *v, ix[0])
                  : vm_error(vm, "%s %s takes one index, found %d", VALUE_A(*v), n);
  return vm_error(vm, "the elements of %s %s cannot be set", VALUE_A(*v));
}

/* ---- nested places ------------------------------------------------------------------- */

typedef struct { const Place *place; const Value *ix; Value x; } PlaceWalk;

static int place_step(Vm *vm, Value *at, uint32_t step, uint32_t ix, const PlaceWalk *w);

/* The last step on a value that lies in its own slot; `m`: it is field `name` of
 * this model.                                                                  */
static int store(Vm *vm, Value *slot, const PlaceWalk *w, const Model *m, const Str *name) {
  Value r;
  if (w->place->op == OP_NONE) r = value_ref(w->x);
  else if (value_binary(vm, w->place->op, *slot, w->x, 1, &r)) return 1;
  if (m && leaf_assign(vm, m, name, *slot, &r)) {
    value_unref(vm, r);
    return 1;
  }
  value_unref(vm, *slot);
  *slot = r;
  return 0;
}

static int field_step(Vm *vm, Value *at, uint32_t step, uint32_t ix, const PlaceWalk *w) {
  const PlaceStep *s = &w->place->steps[step];
  bool last = step + 1 == w->place->n;
  if (value_is(*at, OBJ_RECORD) || value_is(*at, OBJ_MODEL)) {
    if (own_container(vm, at)) return 1;
    bool model = at->o->kind == OBJ_MODEL;
    if (model && AS_MODEL(*at)->fields->obj.refs > 1) {
      Value fields = object_own(vm, value_ref(value_obj(AS_MODEL(*at)->fields)));
      if (is_unset(fields)) return 1;
      value_unref(vm, value_obj(AS_MODEL(*at)->fields));
      AS_MODEL(*at)->fields = AS_RECORD(fields);
    }
    Record *r = model ? AS_MODEL(*at)->fields : AS_RECORD(*at);
    Value *slot = record_get_str(r, s->field);
    if (slot) {
      const Model *m = model ? AS_MODEL(*at) : NULL;
      return last ? store(vm, slot, w, m, s->field) : place_step(vm, slot, step + 1, ix, w);
    }
    if (last && !model && w->place->op == OP_NONE)
      return record_set_str(vm, r, s->field, value_ref(w->x));
    return no_key(vm, r, model ? "the model" : "the record", s->field->data);
  }
  if (!value_is(*at, OBJ_BOX) || !AS_BOX(*at)->type->set_field)
    return vm_error(vm, "the fields of %s %s cannot be set", VALUE_A(*at));
  Value child = NIL_VALUE;
  if (last && w->place->op == OP_NONE) child = value_ref(w->x);
  else if (field_get(vm, *at, s->field, &child)) return 1;
  if (!(last && w->place->op == OP_NONE) &&
      (last ? store(vm, &child, w, NULL, NULL) : place_step(vm, &child, step + 1, ix, w))) {
    value_unref(vm, child);
    return 1;
  }
  if (own_container(vm, at)) {
    value_unref(vm, child);
    return 1;
  }
  Box *b = AS_BOX(*at);
  int failed = b->type->set_field(vm, &b, s->field->data, child);
  at->o = &b->obj;
  value_unref(vm, child);
  return failed;
}

static int index_step(Vm *vm, Value *at, uint32_t step, uint32_t ix, const PlaceWalk *w) {
  const PlaceStep *s = &w->place->steps[step];
  bool last = step + 1 == w->place->n;
  const Value *values = w->ix + ix;
  Value *slot = NULL;
  if (value_is(*at, OBJ_LIST) && s->n == 1) {
    slot = list_place(vm, at, values[0]);
    if (!slot) return 1;
  } else if (value_is(*at, OBJ_RECORD) && s->n == 1 && value_is(values[0], OBJ_STR) &&
             !(last && w->place->op == OP_NONE)) {
    if (own_container(vm, at)) return 1;
    slot = record_get_str(AS_RECORD(*at), AS_STR(values[0]));
    if (!slot) return no_key(vm, AS_RECORD(*at), "the record", AS_STR(values[0])->data);
  }
  if (slot) return last ? store(vm, slot, w, NULL, NULL) : place_step(vm, slot, step + 1, ix + s->n, w);
  if (last && w->place->op == OP_NONE) return index_set(vm, at, values, (int)s->n, w->x);
  Value child;        /* elements of a tensor: read, change, write back */
  if (index_get(vm, *at, values, (int)s->n, &child)) return 1;
  int failed = last ? store(vm, &child, w, NULL, NULL) : place_step(vm, &child, step + 1, ix + s->n, w);
  if (!failed) failed = index_set(vm, at, values, (int)s->n, child);
  value_unref(vm, child);
  return failed;
}

static int place_step(Vm *vm, Value *at, uint32_t step, uint32_t ix, const PlaceWalk *w) {
  return w->place->steps[step].field ? field_step(vm, at, step, ix, w)
                                     : index_step(vm, at, step, ix, w);
}

int place_set(Vm *vm, Value *root, const Place *p, const Value *ix, Value x) {
  PlaceWalk w = {p, ix, x};
  return place_step(vm, root, 0, 0, &w);
}

/* ---- iteration, destructuring ------------------------------------------------------- */

static int str_characters(Vm *vm, Str *s, Value *out) {
  List *l = list_new(vm, false, s->len);
  if (!l) return 1;
  for (size_t a = 0, b; a < s->len; a = b) {
    for (b = a + 1; b < s->len && ((unsigned char)s->data[b] & 0xc0) == 0x80;) b++;
    Str *c = str_new(vm, s->data + a, b - a);
    if (!c || list_push(vm, l, value_obj(c))) {
      value_unref(vm, value_obj(l));
      return 1;
    }
  }
  *out = value_obj(l);
  return 0;
}

static int record_entries(Vm *vm, Record *r, bool pairs, Value *out) {
  List *l = list_new(vm, false, r->n);
  if (!l) return 1;
  for (uint32_t i = 0; i < r->n; i++) {
    Value item = value_ref(value_obj(r->fields[i].key));
    if (pairs) {
      List *t = list_new(vm, true, 2);
      if (!t) {
        value_unref(vm, item);
        value_unref(vm, value_obj(l));
        return 1;
      }
      t->items[0] = item;
      t->items[1] = value_ref(r->fields[i].value);
      t->n = 2;
      item = value_obj(t);
    }
    l->items[l->n++] = item;
  }
  *out = value_obj(l);
  return 0;
}

/* Turns *v into something iterate_next() can walk: keys of a record (pairs of
 * key and value when the pattern is a pair), characters of a string.         */
int iterate_begin(Vm *vm, Value *v, bool pairs) {
  Value seq;
  if (value_is(*v, OBJ_LIST) || value_is(*v, OBJ_TUPLE) || value_is(*v, OBJ_RANGE)) return 0;
  if (value_is(*v, OBJ_BOX) && AS_BOX(*v)->type->len && AS_BOX(*v)->type->item) return 0;
  if (value_is(*v, OBJ_TENSOR)) {
    if (AS_TENSOR(*v)->rank) return 0;
    return vm_error(vm, "cannot iterate over a scalar");
  }
  if (value_is(*v, OBJ_STR)) {
    if (str_characters(vm, AS_STR(*v), &seq)) return 1;
  } else if (value_is(*v, OBJ_RECORD)) {
    if (record_entries(vm, AS_RECORD(*v), pairs, &seq)) return 1;
  } else {
    vm_error(vm, "cannot iterate over %s %s", VALUE_A(*v));
    if (v->tag == V_INT) vm_help(vm, "write 0..%lld", (long long)v->i);
    return 1;
  }
  value_unref(vm, *v);
  *v = seq;
  return 0;
}

int iterate_next(Vm *vm, Value seq, int64_t k, Value *out, bool *more) {
  switch (seq.o->kind) {
  case OBJ_LIST: case OBJ_TUPLE:
    *more = k < AS_LIST(seq)->n;
    if (*more) *out = value_ref(AS_LIST(seq)->items[k]);
    return 0;
  case OBJ_RANGE:
    *more = k < AS_RANGE(seq)->stop - AS_RANGE(seq)->start;
    if (*more) *out = value_int(AS_RANGE(seq)->start + k);
    return 0;
  case OBJ_BOX: {
    int64_t len;
    Value at = value_int(k);
    if (AS_BOX(seq)->type->len(vm, AS_BOX(seq), &len)) return 1;
    *more = k < len;
    return *more ? index_get(vm, seq, &at, 1, out) : 0;
  }
  default: {
    *more = k < AS_TENSOR(seq)->shape[0];
    Value at = value_int(k);
    return *more ? tensor_get(vm, seq, &at, 1, out) : 0;
  }
  }
}

int value_unpack(Vm *vm, Value v, int n, Value *out) {
  bool list = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE);
  if (!list && !(value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank))
    return vm_error(vm, "cannot take %s %s apart into %d names", VALUE_A(v), n);
  int64_t len;
  if (value_len(vm, v, &len)) return 1;
  if (len != n)
    return vm_error(vm, "cannot take %s %s of %lld values apart into %d names", VALUE_A(v),
                    (long long)len, n);
  for (int k = 0; k < n; k++) {
    bool more;
    if (iterate_next(vm, v, k, &out[k], &more)) {
      while (k > 0) value_unref(vm, out[--k]);
      return 1;
    }
  }
  return 0;
}

int dimension(Vm *vm, Value v, int axis, int64_t *out) {
  if (value_is(v, OBJ_TENSOR)) {
    char shape[128];
    if (axis >= AS_TENSOR(v)->rank)
      return vm_error(vm, "index %d of a tensor of shape %s", axis + 1,
                      tensor_shape_text(AS_TENSOR(v), shape));
    *out = AS_TENSOR(v)->shape[axis];
    return 0;
  }
  if (axis) return vm_error(vm, "%s %s takes one index", VALUE_A(v));
  return value_len(vm, v, out);
}
