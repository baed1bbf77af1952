/* core.c: functions every script uses: print, conversions, lists and records,
 * asserting, time, and the hidden counters that tests read.                  */
#include "lang/bind/sequence.h"

#include "runtime/grad/grad.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_str(Vm *vm, const char *s, size_t n, Value *out) {
  Str *str = str_new(vm, s, n);
  if (!str) return 1;
  *out = value_obj(str);
  return 0;
}

/* Moves a buffer's text into a string. */
static int out_buf(Vm *vm, Buf *b, Value *out) {
  int failed = b->failed ? (rt_fail(vm_rt(vm), RT_MEMORY, "out of memory"), 1)
                         : out_str(vm, b->data ? b->data : "", b->len, out);
  buf_free(b);
  return failed;
}

/* ---- print, str, type ---------------------------------------------------------- */

static int core_print(Vm *vm, Value *args, int n, Value *out) {
  const char *sep = " ", *end = "\n";
  if ((args[1].tag != V_NIL && arg_str(vm, args[1], "sep", &sep)) ||
      (args[2].tag != V_NIL && arg_str(vm, args[2], "end", &end)))
    return 1;
  Buf b = {0};
  const List *xs = AS_LIST(args[0]);
  for (uint32_t i = 0; i < xs->n; i++) {
    if (i) buf_text(&b, sep);
    value_print(vm, xs->items[i], &b, false);
  }
  buf_text(&b, end);
  int failed = b.failed ? (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory") : 0;
  if (!failed) vm_write(vm, b.data ? b.data : "", b.len);
  buf_free(&b);
  *out = NIL_VALUE;
  return failed != 0;
}

static int core_str(Vm *vm, Value *args, int n, Value *out) {
  Buf b = {0};
  value_print(vm, args[0], &b, false);
  return out_buf(vm, &b, out);
}

static int core_type(Vm *vm, Value *args, int n, Value *out) {
  const char *name = value_type_name(args[0]);
  return out_str(vm, name, strlen(name), out);
}

/* ---- int, float, complex --------------------------------------------------------- */

/* A number's text without blanks around and `_` inside, for strtod and strtoll. */
static bool number_text(const Str *s, char buf[128]) {
  const char *p = s->data, *end = p + s->len;
  while (p < end && strchr(" \t\r\n", *p)) p++;
  while (end > p && strchr(" \t\r\n", end[-1])) end--;
  size_t n = 0;
  for (; p < end; p++) {
    if (*p == '_') continue;
    if (!*p || n == 126) return false;
    buf[n++] = *p;
  }
  buf[n] = 0;
  return n > 0;
}

static int int_from_text(Vm *vm, const Str *s, int64_t *out) {
  char buf[128], *end;
  if (number_text(s, buf)) {
    const char *p = buf + (*buf == '-' || *buf == '+');
    int base = p[0] == '0' && (p[1] == 'x' || p[1] == 'X') ? 16
               : p[0] == '0' && (p[1] == 'b' || p[1] == 'B') ? 2 : 10;
    char digits[130];
    /* strtoll knows 0x but not 0b, and would take `0x-1` */
    snprintf(digits, sizeof digits, "%s%s", *buf == '-' ? "-" : "", base == 10 ? p : p + 2);
    const char *first = digits + (*digits == '-');
    errno = 0;
    long long v = strtoll(digits, &end, base);
    bool whole = *first && !strchr("+-xX ", *first) && !*end;
    if (whole && errno == ERANGE) return vm_error(vm, "`int`: %s does not fit into 64 bits", buf);
    if (whole) {
      *out = v;
      return 0;
    }
  }
  vm_error(vm, "`int` cannot read \"%.60s\" as an integer", s->data);
  vm_help(vm, "int(float(text)) reads decimals and cuts them off");
  return 1;
}

static int int_from_float(Vm *vm, double x, int64_t *out) {
  if (!(x >= -0x1p63 && x < 0x1p63)) {
    Buf b = {0};
    buf_double(&b, x);
    vm_error(vm, "`int`: %s has no 64-bit integer", b.data ? b.data : "the number");
    buf_free(&b);
    return 1;
  }
  *out = (int64_t)x;
  return 0;
}

/* One number in a tensor counts as that number; more is a matter of astype. */
static int one_number(Vm *vm, Value v, const char *fn, const char *dtype) {
  if (AS_TENSOR(v)->size == 1) return 0;
  char text[128];
  vm_error(vm, "`%s` takes one number, found a tensor of shape %s", fn,
           tensor_shape_text(AS_TENSOR(v), text));
  vm_help(vm, "astype(x, %s) converts every element", dtype);
  return 1;
}

static int core_int(Vm *vm, Value *args, int n, Value *out) {
  Value v = args[0];
  int64_t i = 0;
  if (v.tag == V_INT) i = v.i;
  else if (v.tag == V_BOOL) i = v.b;
  else if (v.tag == V_FLOAT) { if (int_from_float(vm, v.f, &i)) return 1; }
  else if (value_is(v, OBJ_STR)) { if (int_from_text(vm, AS_STR(v), &i)) return 1; }
  else if (value_is(v, OBJ_TENSOR) && !dtype_complex(AS_TENSOR(v)->dtype)) {
    const Tensor *t = AS_TENSOR(v);
    if (one_number(vm, v, "int", "i64")) return 1;
    if (dtype_float(t->dtype)) { if (int_from_float(vm, tensor_get_f64(t, 0), &i)) return 1; }
    else i = tensor_get_i64(t, 0);
  } else if (v.tag == V_QUANTITY) {
    vm_error(vm, "`int` takes a number without unit");
    vm_help(vm, "divide by the unit first: int(t / 1us)");
    return 1;
  } else
    return vm_error(vm, "`int` makes an integer of a number, bool or str, not of %s", value_type_name(v));
  *out = value_int(i);
  return 0;
}

static int float_from_text(Vm *vm, const Str *s, double *out) {
  char buf[128], *end = buf;
  double x = 0;
  bool ok = number_text(s, buf) && !strpbrk(buf, "xXpP(");
  if (ok) x = strtod(buf, &end);
  if (!ok || *end) return vm_error(vm, "`float` cannot read \"%.60s\" as a number", s->data);
  *out = x;
  return 0;
}

static int core_float(Vm *vm, Value *args, int n, Value *out) {
  Value v = args[0];
  double x = 0;
  if (v.tag == V_FLOAT) x = v.f;
  else if (v.tag == V_INT) x = (double)v.i;
  else if (v.tag == V_BOOL) x = v.b;
  else if (value_is(v, OBJ_STR)) { if (float_from_text(vm, AS_STR(v), &x)) return 1; }
  else if (value_is(v, OBJ_TENSOR) && !dtype_complex(AS_TENSOR(v)->dtype)) {
    Tensor *t = AS_TENSOR(v);
    if (one_number(vm, v, "float", "f64")) return 1;
    if (rt_taped(vm_rt(vm), t)) {   /* stays on the tape, as one f64 number */
      Tensor *flat = op_reshape(vm_rt(vm), t, 0, NULL);
      Tensor *cast = flat ? op_astype(vm_rt(vm), flat, DT_F64) : NULL;
      tensor_unref(vm_rt(vm), flat);
      if (!cast) return 1;
      *out = value_obj(cast);
      return 0;
    }
    x = tensor_get_f64(t, 0);
  } else if (v.tag == V_QUANTITY) {
    vm_error(vm, "`float` takes a number without unit");
    vm_help(vm, "divide by the unit first: t / 1us");
    return 1;
  } else if (value_is(v, OBJ_COMPLEX) || value_is(v, OBJ_TENSOR)) {
    vm_error(vm, "`float` takes a real number, found a complex one");
    vm_help(vm, "use real(z) or abs(z)");
    return 1;
  } else
    return vm_error(vm, "`float` makes a number of a number, bool or str, not of %s", value_type_name(v));
  *out = value_float(x);
  return 0;
}

static int core_complex(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *re = NULL, *im = NULL, *z = NULL;
  if (arg_tensor(vm, args[0], "re", &re)) return 1;
  if (!arg_tensor(vm, args[1], "im", &im)) {
    bool narrow = re->dtype == DT_F32;
    Tensor *i = tensor_scalar(rt, narrow ? DT_C64 : DT_C128, 0, 1);
    Tensor *turned = i ? op_binary(rt, BIN_MUL, im, i, 0, 0) : NULL;
    z = turned ? op_binary(rt, BIN_ADD, re, turned, 0, 0) : NULL;
    tensor_unref(rt, i);
    tensor_unref(rt, turned);
  }
  tensor_unref(rt, re);
  tensor_unref(rt, im);
  if (!z) return 1;
  *out = value_simplify(vm, value_obj(z));
  return 0;
}

/* ---- len, append, concat ------------------------------------------------------------ */

static int core_len(Vm *vm, Value *args, int n, Value *out) {
  int64_t len;
  if (value_len(vm, args[0], &len)) return 1;
  *out = value_int(len);
  return 0;
}

/* A vector and a number: the vector one longer, of a dtype that holds both. */
static int append_tensor(Vm *vm, Tensor *t, Value x, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *item;
  if (arg_tensor(vm, x, "x", &item)) return 1;
  if (t->size == 0 && t->rank == 1 && item->dtype != t->dtype) {   /* [] has no dtype of its own yet */
    int64_t none = 0;
    t = tensor_new(rt, item->dtype, 1, &none);
  } else
    t = tensor_ref(t);
  Tensor *row = NULL, *both = NULL, *cast = NULL;
  bool fits = t && item->rank == t->rank - 1;
  if (t && !fits) {
    char a[128], b[128];
    vm_error(vm, "`append` adds a row of shape %s to a tensor, found shape %s",
             t->rank ? shape_text(t->rank - 1, t->shape + 1, a) : "()", tensor_shape_text(item, b));
  }
  if (fits) {
    int64_t shape[TENSOR_MAX_RANK] = {1};
    memcpy(shape + 1, item->shape, item->rank * sizeof *shape);
    bool number = !value_is(x, OBJ_TENSOR);   /* numbers adapt to the tensor */
    DType want = number && t->dtype > item->dtype ? (DType)t->dtype : (DType)item->dtype;
    cast = want == item->dtype ? tensor_ref(item) : op_astype(rt, item, want);
    row = cast ? op_reshape(rt, cast, t->rank, shape) : NULL;
    Tensor *wide = !row || want == t->dtype || number == false ? (t ? tensor_ref(t) : NULL) : op_astype(rt, t, want);
    Tensor *parts[2] = {wide, row};
    both = row && wide ? op_concat(rt, 2, parts, 0) : NULL;
    tensor_unref(rt, wide);
  }
  tensor_unref(rt, row);
  tensor_unref(rt, cast);
  tensor_unref(rt, item);
  tensor_unref(rt, t);
  if (!both) return 1;
  *out = value_obj(both);
  return 0;
}

static int core_append(Vm *vm, Value *args, int n, Value *out) {
  Value xs = args[0];
  if (value_is(xs, OBJ_TENSOR)) {
    Tensor *t = AS_TENSOR(xs);
    bool numeric = args[1].tag == V_BOOL || args[1].tag == V_INT || args[1].tag == V_FLOAT ||
                   value_is(args[1], OBJ_COMPLEX) || value_is(args[1], OBJ_TENSOR);
    bool empty = t->rank == 1 && t->size == 0;
    if (!(empty && (!numeric || (value_is(args[1], OBJ_TENSOR) && AS_TENSOR(args[1])->rank > 0))))
      return append_tensor(vm, t, args[1], out);
    List *l = list_new(vm, false, 4);   /* the empty bracket begins a list here */
    if (!l || list_push(vm, l, value_ref(args[1]))) {
      if (l) value_unref(vm, value_obj(l));
      return 1;
    }
    *out = value_obj(l);
    return 0;
  }
  if (!value_is(xs, OBJ_LIST) && !value_is(xs, OBJ_TUPLE))
    return vm_error(vm, "`append` adds to a list or tensor, not to %s", value_type_name(xs));
  args[0] = NIL_VALUE;   /* ours now: an unshared list grows in place */
  if (list_own(vm, &xs) || list_push(vm, AS_LIST(xs), value_ref(args[1]))) {
    value_unref(vm, xs);
    return 1;
  }
  *out = xs;
  return 0;
}

static int concat_tensors(Vm *vm, const List *xs, int64_t axis, Value *out) {
  Rt *rt = vm_rt(vm);
  int at;
  size_t bytes = xs->n * sizeof(Tensor *);
  Tensor **ts = rt_alloc(rt, bytes);
  if (!ts) return 1;
  for (uint32_t i = 0; i < xs->n; i++) ts[i] = AS_TENSOR(xs->items[i]);
  Tensor *t = axis_check(rt, "concat", axis, ts[0]->rank, &at) ? NULL : op_concat(rt, (int)xs->n, ts, at);
  rt_free(rt, ts, bytes);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

static int core_concat(Vm *vm, Value *args, int n, Value *out) {
  List *xs = AS_LIST(args[0]);
  int64_t axis;
  if (arg_int(vm, args[1], "axis", &axis)) return 1;
  if (xs->n == 1 && value_is(xs->items[0], OBJ_LIST) && AS_LIST(xs->items[0])->n > 0)
    xs = AS_LIST(xs->items[0]);   /* concat([a, b]) as concat(a, b) */
  if (xs->n == 0) return vm_error(vm, "`concat` needs something to join");
  ObjKind kind = IS_OBJ(xs->items[0]) ? (ObjKind)xs->items[0].o->kind : 0;
  if (kind != OBJ_TENSOR && kind != OBJ_LIST && kind != OBJ_TUPLE && kind != OBJ_STR)
    return vm_error(vm, "`concat` joins tensors, lists or strings, not %s",
                    value_type_name(xs->items[0]));
  for (uint32_t i = 1; i < xs->n; i++)
    if (!value_is(xs->items[i], kind))
      return vm_error(vm, "`concat` joins values of one kind, found %s and %s",
                      value_type_name(xs->items[0]), value_type_name(xs->items[i]));
  if (kind == OBJ_TENSOR) return concat_tensors(vm, xs, axis, out);
  if (kind == OBJ_STR) {
    Buf b = {0};
    for (uint32_t i = 0; i < xs->n; i++) buf_bytes(&b, AS_STR(xs->items[i])->data, AS_STR(xs->items[i])->len);
    return out_buf(vm, &b, out);
  }
  Value first = xs->items[0];
  xs->items[0] = NIL_VALUE;   /* taken over, so that it can grow in place */
  if (list_own(vm, &first)) {
    value_unref(vm, first);
    return 1;
  }
  for (uint32_t i = 1; i < xs->n; i++) {
    const List *l = AS_LIST(xs->items[i]);
    for (uint32_t k = 0; k < l->n; k++)
      if (list_push(vm, AS_LIST(first), value_ref(l->items[k]))) {
        value_unref(vm, first);
        return 1;
      }
  }
  *out = first;
  return 0;
}

/* ---- split ------------------------------------------------------------------------------ */

/* The extents of the parts: n equal ones, or as listed. */
static List *part_sizes(Vm *vm, Value by, int64_t extent) {
  if (by.tag != V_INT) {
    int64_t sum = 0, size;
    List *l = seq_list(vm, by, "`split`");
    for (uint32_t i = 0; l && i < l->n; i++) {
      bool bad = arg_int(vm, l->items[i], "by", &size) != 0;
      if (!bad && (size < 0 || size > extent - sum))
        bad = vm_error(vm, "`split`: the parts are longer than the axis (%lld)", (long long)extent);
      if (bad) {
        value_unref(vm, value_obj(l));
        return NULL;
      }
      sum += size;
    }
    if (l && sum != extent) {
      vm_error(vm, "`split`: the parts add up to %lld, the axis has %lld", (long long)sum, (long long)extent);
      value_unref(vm, value_obj(l));
      return NULL;
    }
    return l;
  }
  if (by.i <= 0 || extent % by.i) {
    vm_error(vm, "`split`: %lld does not divide into %lld equal parts", (long long)extent, (long long)by.i);
    vm_help(vm, "list the sizes: split(x, [2, 3])");
    return NULL;
  }
  List *l = list_new(vm, false, (uint32_t)by.i);
  for (int64_t i = 0; l && i < by.i; i++)
    if (list_push(vm, l, value_int(extent / by.i))) {
      value_unref(vm, value_obj(l));
      return NULL;
    }
  return l;
}

static int split_tensor(Vm *vm, Tensor *t, Value by, int64_t axis, Value *out) {
  Rt *rt = vm_rt(vm);
  int at;
  if (axis_check(rt, "split", axis, t->rank, &at)) return 1;
  List *sizes = part_sizes(vm, by, t->shape[at]);
  List *parts = sizes ? list_new(vm, false, sizes->n) : NULL;
  Index ix[TENSOR_MAX_RANK];
  for (int k = 0; k < at; k++) ix[k] = (Index){.kind = IX_ALL};
  int64_t start = 0, size = 0;
  int failed = !parts;
  for (uint32_t i = 0; !failed && i < sizes->n; i++, start += size) {
    failed = arg_int(vm, sizes->items[i], "by", &size);
    ix[at] = (Index){.kind = IX_SLICE, .start = start, .stop = start + size, .step = 1,
                     .has_start = true, .has_stop = true};
    Tensor *part = failed ? NULL : op_index(rt, t, at + 1, ix);
    failed = !part || list_push(vm, parts, value_obj(part));
  }
  if (sizes) value_unref(vm, value_obj(sizes));
  if (!failed) *out = value_obj(parts);
  else if (parts) value_unref(vm, value_obj(parts));
  return failed;
}

static int core_split(Vm *vm, Value *args, int n, Value *out) {
  int64_t axis;
  if (value_is(args[0], OBJ_STR)) return text_split(vm, args[0], args[1], out);
  if (!value_is(args[0], OBJ_TENSOR))
    return vm_error(vm, "`split` takes a str or a tensor, found %s", value_type_name(args[0]));
  if (arg_int(vm, args[2], "axis", &axis)) return 1;
  return split_tensor(vm, AS_TENSOR(args[0]), args[1], axis, out);
}

/* ---- records ------------------------------------------------------------------------- */

static int want_record(Vm *vm, Value v, const char *fn, Record **out) {
  if (value_is(v, OBJ_RECORD)) *out = AS_RECORD(v);
  else if (value_is(v, OBJ_MODEL)) *out = AS_MODEL(v)->fields;
  else return vm_error(vm, "`%s` takes a record, found %s", fn, value_type_name(v));
  return 0;
}

static int core_keys(Vm *vm, Value *args, int n, Value *out) {
  Record *r = NULL;
  if (want_record(vm, args[0], "keys", &r)) return 1;
  List *l = list_new(vm, false, r->n);
  for (uint32_t i = 0; l && i < r->n; i++)
    if (list_push(vm, l, value_ref(value_obj(r->fields[i].key)))) {
      value_unref(vm, value_obj(l));
      return 1;
    }
  if (!l) return 1;
  *out = value_obj(l);
  return 0;
}

static int core_values(Vm *vm, Value *args, int n, Value *out) {
  Record *r = NULL;
  if (want_record(vm, args[0], "values", &r)) return 1;
  List *l = list_new(vm, false, r->n);
  for (uint32_t i = 0; l && i < r->n; i++)
    if (list_push(vm, l, value_ref(r->fields[i].value))) {
      value_unref(vm, value_obj(l));
      return 1;
    }
  if (!l) return 1;
  *out = value_obj(l);
  return 0;
}

static int core_has(Vm *vm, Value *args, int n, Value *out) {
  Record *r = NULL;
  const char *key;
  if (want_record(vm, args[0], "has", &r) || arg_str(vm, args[1], "key", &key)) return 1;
  *out = value_bool(record_get(r, key) != NULL);
  return 0;
}

static int record_copy(Vm *vm, Record *from, Record *to) {
  for (uint32_t i = 0; i < from->n; i++)
    if (record_set(vm, to, from->fields[i].key->data, value_ref(from->fields[i].value))) return 1;
  return 0;
}

/* The record itself when nobody else holds it, else a copy. */
static int record_own(Vm *vm, Value *v) {
  if (v->o->refs == 1) return 0;
  Record *copy = record_new(vm, AS_RECORD(*v)->n + 1);
  if (!copy) return 1;
  if (record_copy(vm, AS_RECORD(*v), copy)) {
    value_unref(vm, value_obj(copy));
    return 1;
  }
  value_unref(vm, *v);
  *v = value_obj(copy);
  return 0;
}

static int remove_item(Vm *vm, Value *xs, Value at) {
  int64_t i;
  if (arg_int(vm, at, "key", &i)) return 1;
  int64_t n = AS_LIST(*xs)->n, k = i < 0 ? i + n : i;
  if (k < 0 || k >= n)
    return vm_error(vm, "`remove`: index %lld is out of range for a list of %lld", (long long)i, (long long)n);
  if (list_own(vm, xs)) return 1;
  List *l = AS_LIST(*xs);
  value_unref(vm, l->items[k]);
  memmove(l->items + k, l->items + k + 1, (size_t)(n - 1 - k) * sizeof *l->items);
  l->n--;
  return 0;
}

static int core_remove(Vm *vm, Value *args, int n, Value *out) {
  Value v = args[0];
  int failed;
  if (value_is(v, OBJ_LIST)) {
    args[0] = NIL_VALUE;
    failed = remove_item(vm, &v, args[1]);
  } else if (value_is(v, OBJ_RECORD)) {
    const char *key;
    if (arg_str(vm, args[1], "key", &key)) return 1;
    if (!record_get(AS_RECORD(v), key)) return vm_error(vm, "`remove`: the record has no field `%s`", key);
    args[0] = NIL_VALUE;
    failed = record_own(vm, &v);
    if (!failed) record_remove(vm, AS_RECORD(v), key);
  } else
    return vm_error(vm, "`remove` takes a record or a list, found %s", value_type_name(v));
  if (failed) value_unref(vm, v);
  else *out = v;
  return failed;
}

static int core_merge(Vm *vm, Value *args, int n, Value *out) {
  const List *rs = AS_LIST(args[0]);
  Record *to = record_new(vm, 8), *from = NULL;
  for (uint32_t i = 0; to && i < rs->n; i++)
    if (want_record(vm, rs->items[i], "merge", &from) || record_copy(vm, from, to)) {
      value_unref(vm, value_obj(to));
      return 1;
    }
  if (!to) return 1;
  *out = value_obj(to);
  return 0;
}

/* ---- errors, time, counters -------------------------------------------------------------- */

static int core_error(Vm *vm, Value *args, int n, Value *out) {
  const char *message;
  if (arg_str(vm, args[0], "message", &message)) return 1;
  return vm_error(vm, "%s", message);
}

static int core_assert(Vm *vm, Value *args, int n, Value *out) {
  bool holds;
  if (arg_bool(vm, args[0], "cond", &holds)) return 1;
  *out = NIL_VALUE;
  if (holds) return 0;
  if (args[1].tag == V_NIL) return vm_error(vm, "assertion failed");
  Buf b = {0};
  value_print(vm, args[1], &b, false);
  vm_error(vm, "assertion failed: %s", b.data ? b.data : "");
  buf_free(&b);
  return 1;
}

static int core_time(Vm *vm, Value *args, int n, Value *out) {
  *out = value_float(rt_now());
  return 0;
}

static int count_allocs(Vm *vm, Value *args, int n, Value *out) {
  *out = value_int((int64_t)vm_rt(vm)->allocs);
  return 0;
}
static int count_copies(Vm *vm, Value *args, int n, Value *out) {
  *out = value_int((int64_t)vm_rt(vm)->buffer_copies);
  return 0;
}
static int count_bytes(Vm *vm, Value *args, int n, Value *out) {
  *out = value_int((int64_t)vm_rt(vm)->bytes);
  return 0;
}

const Native natives_core[] = {
    {"print", "*xs, sep = nil, end = nil",
     "Writes its arguments, separated by blanks (sep), and a line end (end).", core_print, NF_CONST},
    {"str", "x", "The text that print writes for x.", core_str, NF_CONST},
    {"type", "x", "The name of x's type: \"int\", \"tensor\", \"record\" ...", core_type, NF_CONST},
    {"int", "x", "x as an integer: of a number the part before the point, of a str what it spells.",
     core_int, NF_CONST},
    {"float", "x", "x as a float: of a number, of a bool, of a str what it spells.", core_float, NF_DIFF},
    {"complex", "re, im = 0", "re + i im, elementwise.", core_complex, NF_DIFF},
    {"len", "x", "Number of elements; of a tensor the first extent, of a str its characters, of samples the "
     "rows.",
     core_len, NF_CONST},
    {"append", "xs, x",
     "The list with x added at its end; of a tensor with x as its last row.\n"
     "xs = append(xs, x) works in place.",
     core_append, NF_DIFF},
    {"concat", "*xs, axis = 0", "Tensors joined along an axis; lists or strings one behind the other.",
     core_concat, NF_DIFF},
    {"split", "x, by = nil, axis = 0",
     "The parts of a str at `by` (at blanks when nil); a tensor in `by` equal parts, or in parts of\n"
     "the listed extents, along an axis (views).",
     core_split, NF_DIFF},
    {"keys", "r", "The names in a record, in order.", core_keys, NF_CONST},
    {"values", "r", "The values in a record, in order.", core_values, NF_DIFF},
    {"has", "r, key", "Does the record have this field?  As key in r.", core_has, NF_CONST},
    {"remove", "r, key", "The record without a field; the list without the element at a position.",
     core_remove, NF_DIFF},
    {"merge", "*rs", "One record with the fields of all; later ones win.", core_merge, NF_DIFF},
    {"error", "message", "Raises an error that `try` can catch.", core_error, NF_CONST},
    {"assert", "cond, message = nil", "Raises an error unless cond is true.", core_assert, NF_CONST},
    {"time", "", "Seconds on a clock that only runs forward; differences are durations.", core_time,
     NF_CONST},
    {"__allocs", "", "Blocks taken from the system so far.", count_allocs, NF_CONST | NF_HIDDEN},
    {"__copies", "", "Buffers copied by copy on write so far.", count_copies, NF_CONST | NF_HIDDEN},
    {"__bytes", "", "Bytes of script data in use.", count_bytes, NF_CONST | NF_HIDDEN},
    {0}};
