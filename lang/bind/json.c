/* json.c: values of the language as JSON and back.
 *
 * Arrays are read as brackets in a script are: numbers of one kind make a
 * tensor, equal tensors stack, everything else is a list.                    */
#include <math.h>
#include <string.h>

#include "lang/bind/files.h"
#include "lang/bind/tensor_args.h"

/* ---- writing --------------------------------------------------------------------- */

typedef struct {
  Vm *vm;
  Buf *out;
  bool pretty;
  int depth;
} Writer;

static void line(Writer *w) {
  if (w->pretty) buf_format(w->out, "\n%*s", 2 * w->depth, "");
}

static int put_number(Writer *w, double x, bool single) {
  if (!isfinite(x)) {
    vm_error(w->vm, "write_json: JSON has no %s", isnan(x) ? "nan" : "infinity");
    vm_help(w->vm, "replace it first, for example by nil, or use write_npy");
    return 1;
  }
  if (single) buf_float(w->out, (float)x);
  else buf_double(w->out, x);
  return 0;
}

static int put_tensor(Writer *w, const Tensor *t, int axis, int64_t *flat) {
  if (axis < t->rank) {
    buf_text(w->out, "[");
    for (int64_t i = 0; i < t->shape[axis]; i++) {
      if (i) buf_text(w->out, w->pretty ? ", " : ",");
      if (put_tensor(w, t, axis + 1, flat)) return 1;
    }
    buf_text(w->out, "]");
    return 0;
  }
  int64_t at = (*flat)++;
  if (t->dtype == DT_BOOL) buf_text(w->out, tensor_get_i64(t, at) ? "true" : "false");
  else if (t->dtype == DT_I64) buf_format(w->out, "%lld", (long long)tensor_get_i64(t, at));
  else return put_number(w, tensor_get_f64(t, at), t->dtype == DT_F32);
  return 0;
}

static int put_value(Writer *w, Value v);

static int put_items(Writer *w, Value v) {
  bool record = value_is(v, OBJ_RECORD);
  uint32_t n = record ? AS_RECORD(v)->n : AS_LIST(v)->n;
  if (w->depth++ > 256) return vm_error(w->vm, "write_json: nested more than 256 deep");
  buf_text(w->out, record ? "{" : "[");
  for (uint32_t i = 0; i < n; i++) {
    if (i) buf_text(w->out, ",");
    line(w);
    if (record) {
      Str *key = AS_RECORD(v)->fields[i].key;
      json_quote(w->out, key->data, key->len);
      buf_text(w->out, w->pretty ? ": " : ":");
    }
    if (put_value(w, record ? AS_RECORD(v)->fields[i].value : AS_LIST(v)->items[i])) return 1;
  }
  w->depth--;
  if (n) line(w);
  buf_text(w->out, record ? "}" : "]");
  return 0;
}

static int put_value(Writer *w, Value v) {
  int64_t flat = 0;
  switch (v.tag) {
  case V_NIL: buf_text(w->out, "null"); return 0;
  case V_BOOL: buf_text(w->out, v.b ? "true" : "false"); return 0;
  case V_INT: buf_format(w->out, "%lld", (long long)v.i); return 0;
  case V_FLOAT: return put_number(w, v.f, false);
  default: break;
  }
  if (value_is(v, OBJ_STR)) {
    json_quote(w->out, AS_STR(v)->data, AS_STR(v)->len);
    return 0;
  }
  if (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) || value_is(v, OBJ_RECORD))
    return put_items(w, v);
  if (value_is(v, OBJ_TENSOR) && !dtype_complex(AS_TENSOR(v)->dtype))
    return put_tensor(w, AS_TENSOR(v), 0, &flat);
  if (value_is(v, OBJ_RANGE)) {
    buf_text(w->out, "[");
    for (int64_t i = AS_RANGE(v)->start; i < AS_RANGE(v)->stop; i++)
      buf_format(w->out, i > AS_RANGE(v)->start ? ",%lld" : "%lld", (long long)i);
    buf_text(w->out, "]");
    return 0;
  }
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->plain) {
    Value plain = NIL_VALUE;
    int failed = AS_BOX(v)->type->plain(w->vm, AS_BOX(v), &plain) || put_value(w, plain);
    value_unref(w->vm, plain);
    return failed;
  }
  vm_error(w->vm, "write_json: JSON cannot hold a value of type %s", value_type_name(v));
  if (value_is(v, OBJ_MODEL)) vm_help(w->vm, "save(m, path) stores a model");
  return 1;
}

static int to_text(Vm *vm, Value v, bool pretty, Buf *b) {
  Writer w = {vm, b, pretty, 0};
  if (!put_value(&w, v)) return 0;
  buf_free(b);
  return 1;
}

static int bind_write_json(Vm *vm, Value *args, int n, Value *out) {
  const char *path;
  bool pretty;
  Buf b = {0};
  *out = NIL_VALUE;
  if (path_second(vm, "write_json", args, &path) || arg_bool(vm, args[2], "pretty", &pretty) ||
      to_text(vm, args[0], pretty, &b))
    return 1;
  buf_text(&b, "\n");
  return write_whole(vm, path, &b);
}

static int bind_to_json(Vm *vm, Value *args, int n, Value *out) {
  bool pretty;
  Buf b = {0};
  if (arg_bool(vm, args[1], "pretty", &pretty) || to_text(vm, args[0], pretty, &b)) return 1;
  Str *s = b.failed ? NULL : str_new(vm, b.data, b.len);
  if (b.failed) rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  buf_free(&b);
  if (!s) return 1;
  *out = value_obj(s);
  return 0;
}

/* ---- reading --------------------------------------------------------------------- */

enum { DEPTH = 520 };
typedef struct {
  Vm *vm;
  Value open[DEPTH]; /* lists and records being filled */
  Str *key[DEPTH];   /* of the value that is due in a record */
  int depth;
  Value result;
} Reader;

/* Takes over v. */
static int place(Reader *r, Value v) {
  if (r->depth == 0) {
    r->result = v;
    return 0;
  }
  int top = r->depth - 1;
  if (value_is(r->open[top], OBJ_LIST)) return list_push(r->vm, AS_LIST(r->open[top]), v);
  Str *key = r->key[top];
  r->key[top] = NULL;
  int failed = record_set(r->vm, AS_RECORD(r->open[top]), key->data, v);
  value_unref(r->vm, value_obj(key));
  return failed;
}

static int on_nil(void *u) { return place(u, NIL_VALUE); }
static int on_bool(void *u, bool b) { return place(u, value_bool(b)); }
static int on_int(void *u, int64_t i) { return place(u, value_int(i)); }
static int on_real(void *u, double x) { return place(u, value_float(x)); }

static int on_text(void *u, const char *s, size_t n) {
  Reader *r = u;
  Str *str = str_new(r->vm, s, n);
  return !str || place(r, value_obj(str));
}

static int on_key(void *u, const char *s, size_t n) {
  Reader *r = u;
  return !(r->key[r->depth - 1] = str_new(r->vm, s, n));
}

static int on_open(void *u, bool object) {
  Reader *r = u;
  if (r->depth == DEPTH) return vm_error(r->vm, "read_json: nested too deep");
  Obj *o = object ? (Obj *)record_new(r->vm, 0) : (Obj *)list_new(r->vm, false, 0);
  if (!o) return 1;
  r->key[r->depth] = NULL;
  r->open[r->depth++] = value_obj(o);
  return 0;
}

/* The dtype of a list that is one vector of numbers; -1: it is not. Integers
 * beside floats join them only where no digit is lost.                       */
static int vector_dtype(const List *l) {
  int dt = -1;
  bool floats = false, wide = false;
  for (uint32_t i = 0; i < l->n; i++) {
    Value v = l->items[i];
    int d = v.tag == V_BOOL ? DT_BOOL : v.tag == V_INT ? DT_I64 : v.tag == V_FLOAT ? DT_F64 : -1;
    if (d < 0 || (dt >= 0 && (d == DT_BOOL) != (dt == DT_BOOL))) return -1;
    floats = floats || d == DT_F64;
    wide = wide || (v.tag == V_INT && (v.i > (1ll << 53) || v.i < -(1ll << 53)));
    dt = d > dt ? d : dt;
  }
  return floats && wide ? -1 : dt;
}

static Tensor *vector_of(Vm *vm, const List *l, DType dt) {
  Tensor *t = tensor_new(vm_rt(vm), dt, 1, (int64_t[]){l->n});
  for (uint32_t i = 0; t && i < l->n; i++) {
    Value v = l->items[i];
    if (dt == DT_BOOL) t->data[i] = v.b;
    else if (dt == DT_I64) ((int64_t *)(void *)t->data)[i] = v.i;
    else ((double *)(void *)t->data)[i] = v.tag == V_INT ? (double)v.i : v.f;
  }
  return t;
}

/* Tensors of one shape and dtype, two at least of rank one. */
static bool rows_alike(const List *l) {
  for (uint32_t i = 0; i < l->n; i++) {
    if (!value_is(l->items[i], OBJ_TENSOR)) return false;
    const Tensor *t = AS_TENSOR(l->items[i]), *f = AS_TENSOR(l->items[0]);
    if (t->rank != f->rank || t->dtype != f->dtype || t->rank + 1 >= TENSOR_MAX_RANK) return false;
    for (int k = 0; k < t->rank; k++)
      if (t->shape[k] != f->shape[k]) return false;
  }
  return l->n > 0;
}

static Tensor *stack_rows(Vm *vm, const List *l) {
  const Tensor *f = AS_TENSOR(l->items[0]);
  int64_t shape[TENSOR_MAX_RANK] = {l->n};
  memcpy(shape + 1, f->shape, sizeof(int64_t) * f->rank);
  Tensor *t = tensor_new(vm_rt(vm), (DType)f->dtype, f->rank + 1, shape);
  size_t bytes = (size_t)f->size * dtype_size[f->dtype];
  for (uint32_t i = 0; t && i < l->n; i++)
    memcpy(t->data + i * bytes, AS_TENSOR(l->items[i])->data, bytes);
  return t;
}

static int on_close(void *u, bool object) {
  Reader *r = u;
  Value v = r->open[--r->depth];
  if (!object) {
    int dt = vector_dtype(AS_LIST(v));
    bool rows = dt < 0 && rows_alike(AS_LIST(v));
    Tensor *t = dt >= 0 ? vector_of(r->vm, AS_LIST(v), (DType)dt)
                : rows  ? stack_rows(r->vm, AS_LIST(v))
                        : NULL;
    if (dt >= 0 || rows) {
      value_unref(r->vm, v);
      if (!t) return 1;
      v = value_obj(t);
    }
  }
  return place(r, v);
}

static int from_text(Vm *vm, const char *text, size_t n, const char *name, Value *out) {
  static const JsonSink sink = {on_nil,  on_bool, on_int,  on_real,
                                on_text, on_key,  on_open, on_close};
  Reader *r = rt_alloc0(vm_rt(vm), sizeof *r);
  if (!r) return 1;
  r->vm = vm;
  r->result = NIL_VALUE;
  RtStatus st = json_parse(vm_rt(vm), text, n, name, &sink, r);
  for (int k = 0; k < r->depth; k++) {
    value_unref(vm, r->open[k]);
    if (r->key[k]) value_unref(vm, value_obj(r->key[k]));
  }
  if (st) value_unref(vm, r->result);
  else *out = r->result;
  rt_free(vm_rt(vm), r, sizeof *r);
  return st != RT_OK;
}

static int bind_read_json(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  Buf b;
  if (read_whole(vm, args[0], &name, &b)) return 1;
  int failed = from_text(vm, b.data ? b.data : "", b.len, name, out);
  buf_free(&b);
  return failed;
}

static int bind_from_json(Vm *vm, Value *args, int n, Value *out) {
  const char *text;
  if (arg_str(vm, args[0], "text", &text)) return 1;
  return from_text(vm, AS_STR(args[0])->data, AS_STR(args[0])->len, "from_json", out);
}

const Native natives_json[] = {
    {"read_json", "path",
     "The value in a JSON file: objects are records, arrays of numbers tensors, other arrays "
     "lists, null is nil.\n"
     "Integers are exact to 64 bits.  Errors name line and column.",
     bind_read_json, NF_CONST},
    {"write_json", "x, path, pretty = true",
     "Writes numbers, text, tensors, lists and records as JSON.\n"
     "Errors: nan, infinity, complex numbers, functions.",
     bind_write_json, 0},
    {"from_json", "text", "The value a JSON text stands for, see read_json.", bind_from_json,
     NF_CONST},
    {"to_json", "x, pretty = false", "x as JSON text, see write_json.", bind_to_json, 0},
    {NULL, NULL, NULL, NULL, 0},
};
