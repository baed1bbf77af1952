/* sequence.c: functions that go through sequences: map, filter, zip, sorted ...
 * and the iterator they share.                                               */
#include "lang/bind/sequence.h"

#include "runtime/grad/grad.h"
#include "runtime/tensor/random.h"

#include <math.h>
#include <string.h>

/* ---- the iterator ------------------------------------------------------------ */

int seq_open(Vm *vm, Value v, const char *what, Seq *s) {
  *s = (Seq){.of = v};
  if (value_is(v, OBJ_STR)) {
    s->n = (int64_t)utf8_columns(AS_STR(v)->data, AS_STR(v)->len);
    return 0;
  }
  bool has = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) || value_is(v, OBJ_RANGE) ||
             value_is(v, OBJ_RECORD) || (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank > 0);
  if (has) return value_len(vm, v, &s->n);
  return vm_error(vm, "%s goes through a list, tensor, range, tuple, str or record, not %s", what,
                  value_type_name(v));
}

static int tensor_row(Vm *vm, Tensor *t, int64_t i, Value *out) {
  Index ix = {.kind = IX_AT, .at = i};
  Tensor *row = op_index(vm_rt(vm), t, 1, &ix);
  if (!row) return 1;
  *out = value_simplify(vm, value_obj(row));
  return 0;
}

static size_t utf8_step(const char *s) {
  size_t n = 1;
  while (((unsigned char)s[n] & 0xC0) == 0x80) n++;
  return n;
}

int seq_next(Vm *vm, Seq *s, Value *out) {
  int64_t i = s->at++;
  Value v = s->of;
  switch (v.o->kind) {
  case OBJ_LIST:
  case OBJ_TUPLE: *out = value_ref(AS_LIST(v)->items[i]); return 0;
  case OBJ_RANGE: *out = value_int(AS_RANGE(v)->start + i); return 0;
  case OBJ_RECORD: *out = value_ref(value_obj(AS_RECORD(v)->fields[i].key)); return 0;
  case OBJ_STR: {
    const char *p = AS_STR(v)->data + s->byte;
    size_t step = utf8_step(p);
    Str *c = str_new(vm, p, step);
    if (!c) return 1;
    s->byte += step;
    *out = value_obj(c);
    return 0;
  }
  default: return tensor_row(vm, AS_TENSOR(v), i, out);
  }
}

List *seq_list(Vm *vm, Value v, const char *what) {
  Seq s;
  if (seq_open(vm, v, what, &s)) return NULL;
  List *l = list_new(vm, false, (uint32_t)s.n);
  while (l && s.at < s.n) {
    Value x;
    if (seq_next(vm, &s, &x) || list_push(vm, l, x)) {
      value_unref(vm, value_obj(l));
      return NULL;
    }
  }
  return l;
}

int list_own(Vm *vm, Value *v) {
  List *l = AS_LIST(*v);
  if (l->obj.refs == 1) return 0;
  List *copy = list_new(vm, l->obj.kind == OBJ_TUPLE, l->n + 1);
  for (uint32_t i = 0; copy && i < l->n; i++)
    if (list_push(vm, copy, value_ref(l->items[i]))) {
      value_unref(vm, value_obj(copy));
      copy = NULL;
    }
  if (!copy) return 1;
  value_unref(vm, *v);
  *v = value_obj(copy);
  return 0;
}

/* ---- results: a tensor of scalars, or a list ---------------------------------- */

static bool is_scalar(Value v) {
  if (v.tag == V_BOOL || v.tag == V_INT || v.tag == V_FLOAT) return true;
  return value_is(v, OBJ_COMPLEX) || (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 0);
}

static DType scalar_dtype(Value v) {
  switch (v.tag) {
  case V_BOOL: return DT_BOOL;
  case V_INT: return DT_I64;
  case V_FLOAT: return DT_F64;
  default: return value_is(v, OBJ_COMPLEX) ? DT_C128 : (DType)AS_TENSOR(v)->dtype;
  }
}

/* Numbers that no tape knows are written straight into the buffer. */
static Tensor *pack_numbers(Vm *vm, const List *l, DType dt) {
  int64_t n = l->n;
  Tensor *t = tensor_new(vm_rt(vm), dt, 1, &n);
  for (uint32_t i = 0; t && i < l->n; i++) {
    Value v = l->items[i];
    if (dt == DT_BOOL) ((bool *)t->data)[i] = v.b;
    else if (dt == DT_I64) ((int64_t *)t->data)[i] = v.tag == V_BOOL ? v.b : v.i;
    else if (dt == DT_F64)
      ((double *)t->data)[i] = v.tag == V_FLOAT ? v.f : v.tag == V_BOOL ? v.b : (double)v.i;
    else
      ((c128 *)t->data)[i] = value_is(v, OBJ_COMPLEX) ? AS_COMPLEX(v)
                             : (c128){v.tag == V_FLOAT ? v.f : v.tag == V_BOOL ? v.b : (double)v.i, 0};
  }
  return t;
}

static Tensor *stack_scalars(Vm *vm, const List *l, DType dt) {
  Rt *rt = vm_rt(vm);
  Tensor **ts = rt_alloc0(rt, (l->n ? l->n : 1) * sizeof *ts);
  if (!ts) return NULL;
  Tensor *out = NULL;
  uint32_t made = 0;
  for (; made < l->n; made++) {
    Tensor *t = value_to_tensor(vm, l->items[made]);
    if (t && t->dtype != dt) {
      Tensor *cast = op_astype(rt, t, dt);
      tensor_unref(rt, t);
      t = cast;
    }
    if (!t) break;
    ts[made] = t;
  }
  if (made == l->n) out = op_stack(rt, (int)l->n, ts, 0);
  for (uint32_t i = 0; i < made; i++) tensor_unref(rt, ts[i]);
  rt_free(rt, ts, (l->n ? l->n : 1) * sizeof *ts);
  return out;
}

int seq_bracket(Vm *vm, List *items, Value *out) {
  bool scalars = items->n > 0, traced = false;
  DType dt = DT_BOOL;
  for (uint32_t i = 0; scalars && i < items->n; i++) {
    scalars = is_scalar(items->items[i]);
    if (!scalars) break;
    DType have = scalar_dtype(items->items[i]);
    /* f32 beside c64, i64 beside f64 ...: the wider of the two */
    if (have > dt) dt = have;
    traced |= value_is(items->items[i], OBJ_TENSOR);
  }
  if (!scalars) {
    *out = value_obj(items);
    return 0;
  }
  Tensor *t = traced ? stack_scalars(vm, items, dt) : pack_numbers(vm, items, dt);
  value_unref(vm, value_obj(items));
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

/* ---- map ------------------------------------------------------------------------ */

typedef struct { Value fn; Value *args; int n; Value result; } MapCall;
static int map_call(Vm *vm, void *user) {
  MapCall *c = user;
  return vm_call(vm, c->fn, c->args, c->n, &c->result);
}

/* Every element has a random scope of its own: what one draws does not depend
 * on how much the others drew.                                                */
static int map_elements(Vm *vm, Value fn, List *xs, Value *out) {
  enum { MOST = 8 };
  Seq s[MOST];
  Value row[MOST];
  int n = (int)xs->n;
  if (n > MOST) return vm_error(vm, "`map` goes through at most %d sequences at once", MOST);
  for (int k = 0; k < n; k++) {
    if (seq_open(vm, xs->items[k], "`map`", &s[k])) return 1;
    if (s[k].n != s[0].n)
      return vm_error(vm, "`map` needs sequences of one length, found %lld and %lld",
                      (long long)s[0].n, (long long)s[k].n);
  }
  RngCall call = rng_next(vm_rt(vm));
  uint64_t key = rng_derive(call.key, "map", (int64_t)call.call);
  List *results = list_new(vm, false, (uint32_t)s[0].n);
  int failed = !results;
  for (int64_t i = 0; !failed && i < s[0].n; i++) {
    int got = 0;
    while (got < n && !seq_next(vm, &s[got], &row[got])) got++;
    MapCall c = {fn, row, n, NIL_VALUE};
    failed = got < n || vm_with_scope(vm, rng_derive(key, "element", i), map_call, &c);
    while (got > 0) value_unref(vm, row[--got]);
    failed = failed || list_push(vm, results, c.result);
  }
  if (failed) {
    if (results) value_unref(vm, value_obj(results));
    return 1;
  }
  return seq_bracket(vm, results, out);
}

/* Leaf by leaf: the first tree is rebuilt, the others give the further arguments. */
typedef struct { Value fn; List *trees; List *leaves[8]; uint32_t at; } LeafMap;
static int collect_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  return list_push(vm, user, value_ref(*leaf));
}
static int map_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  LeafMap *m = user;
  Value args[8], result;
  int n = (int)m->trees->n;
  args[0] = *leaf;
  for (int k = 1; k < n; k++) {
    if (m->at >= m->leaves[k]->n)
      return vm_error(vm, "`map`: argument %d has no leaf for `%s`", k + 2, path);
    args[k] = m->leaves[k]->items[m->at];
  }
  m->at++;
  if (vm_call(vm, m->fn, args, n, &result)) return 1;
  value_unref(vm, *leaf);
  *leaf = result;
  return 0;
}

static int map_leaves(Vm *vm, Value fn, List *trees, Value *out) {
  LeafMap m = {.fn = fn, .trees = trees};
  uint32_t n = trees->n;
  if (n > 8) return vm_error(vm, "`map` goes through at most 8 models at once");
  int failed = 0;
  for (uint32_t k = 1; !failed && k < n; k++) {
    m.leaves[k] = list_new(vm, false, 16);
    failed = !m.leaves[k] || tree_visit(vm, &trees->items[k], collect_leaf, m.leaves[k]);
  }
  Value tree = value_ref(trees->items[0]);
  failed = failed || tree_own(vm, &tree) || tree_visit(vm, &tree, map_leaf, &m);
  for (uint32_t k = 1; k < n; k++) {
    if (!m.leaves[k]) continue;
    if (!failed && m.at != m.leaves[k]->n)
      failed = vm_error(vm, "`map`: the first argument has %u leaves, another %u", m.at,
                        m.leaves[k]->n);
    value_unref(vm, value_obj(m.leaves[k]));
  }
  if (failed) value_unref(vm, tree);
  else *out = tree;
  return failed;
}

static int core_map(Vm *vm, Value *args, int n, Value *out) {
  if (!value_callable(args[0])) {
    vm_error(vm, "`map` takes the function first, found %s", value_type_name(args[0]));
    vm_help(vm, "write map(x => ..., xs)");
    return 1;
  }
  List *xs = AS_LIST(args[1]);
  if (xs->n == 0) return vm_error(vm, "`map` needs something to go through");
  Value first = xs->items[0];
  bool tree = value_is(first, OBJ_MODEL) || value_is(first, OBJ_BOX) || value_is(first, OBJ_RECORD);
  return tree ? map_leaves(vm, args[0], xs, out) : map_elements(vm, args[0], xs, out);
}

/* ---- filter, zip, enumerate, range ------------------------------------------------ */

static int call_test(Vm *vm, Value fn, Value x, bool *keep) {
  Value r;
  if (vm_call(vm, fn, &x, 1, &r)) return 1;
  int failed = arg_bool(vm, r, "the function's result", keep);
  value_unref(vm, r);
  return failed;
}

static int core_filter(Vm *vm, Value *args, int n, Value *out) {
  if (!value_callable(args[0]))
    return vm_error(vm, "`filter` takes the function first, found %s", value_type_name(args[0]));
  Seq s;
  if (seq_open(vm, args[1], "`filter`", &s)) return 1;
  List *kept = list_new(vm, value_is(args[1], OBJ_TUPLE), 8);
  bool whole_rows = value_is(args[1], OBJ_TENSOR);
  int failed = !kept;
  while (!failed && s.at < s.n) {
    Value x;
    bool keep = false;
    int64_t i = s.at;
    if ((failed = seq_next(vm, &s, &x))) break;
    failed = call_test(vm, args[0], x, &keep);
    if (!failed && keep) failed = list_push(vm, kept, whole_rows ? value_int(i) : value_ref(x));
    value_unref(vm, x);
  }
  if (failed) {
    if (kept) value_unref(vm, value_obj(kept));
    return 1;
  }
  if (!whole_rows) {
    *out = value_obj(kept);
    return 0;
  }
  Tensor *rows = pack_numbers(vm, kept, DT_I64);
  value_unref(vm, value_obj(kept));
  Index ix = {.kind = IX_TENSOR, .tensor = rows};
  Tensor *t = rows ? op_index(vm_rt(vm), AS_TENSOR(args[1]), 1, &ix) : NULL;
  tensor_unref(vm_rt(vm), rows);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

/* Takes over the items. */
static int push_tuple(Vm *vm, List *to, const Value *items, int n) {
  List *t = list_new(vm, true, (uint32_t)n);
  int failed = !t;
  for (int k = 0; k < n; k++) {
    if (failed) value_unref(vm, items[k]);
    else failed = list_push(vm, t, items[k]);
  }
  if (!failed) return list_push(vm, to, value_obj(t));
  if (t) value_unref(vm, value_obj(t));
  return 1;
}

static int core_zip(Vm *vm, Value *args, int n, Value *out) {
  enum { MOST = 16 };
  List *xs = AS_LIST(args[0]);
  Seq s[MOST];
  Value row[MOST];
  int k = (int)xs->n;
  if (k < 2 || k > MOST) return vm_error(vm, "`zip` takes 2 to %d sequences, found %d", MOST, k);
  for (int i = 0; i < k; i++) {
    if (seq_open(vm, xs->items[i], "`zip`", &s[i])) return 1;
    if (s[i].n == s[0].n) continue;
    vm_error(vm, "`zip` needs sequences of one length, found %lld and %lld", (long long)s[0].n,
             (long long)s[i].n);
    vm_help(vm, "cut the longer one: xs[..%lld]", (long long)(s[0].n < s[i].n ? s[0].n : s[i].n));
    return 1;
  }
  List *l = list_new(vm, false, (uint32_t)s[0].n);
  int failed = !l;
  while (!failed && s[0].at < s[0].n) {
    int got = 0;
    while (got < k && !seq_next(vm, &s[got], &row[got])) got++;
    failed = got < k;
    if (failed) while (got > 0) value_unref(vm, row[--got]);
    else failed = push_tuple(vm, l, row, k);
  }
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

static int core_enumerate(Vm *vm, Value *args, int n, Value *out) {
  Seq s;
  int64_t start;
  if (seq_open(vm, args[0], "`enumerate`", &s) || arg_int(vm, args[1], "start", &start)) return 1;
  List *l = list_new(vm, false, (uint32_t)s.n);
  int failed = !l;
  while (!failed && s.at < s.n) {
    Value row[2] = {value_int(start + s.at), NIL_VALUE};
    failed = seq_next(vm, &s, &row[1]) || push_tuple(vm, l, row, 2);
  }
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

static int core_range(Vm *vm, Value *args, int n, Value *out) {
  int64_t a = 0, b, step;
  bool one = args[1].tag == V_NIL;
  if (arg_int(vm, args[one ? 0 : 1], "stop", &b) || (!one && arg_int(vm, args[0], "start", &a)) ||
      arg_int(vm, args[2], "step", &step))
    return 1;
  if (step == 0) return vm_error(vm, "`range` cannot go in steps of 0");
  if (step == 1) {
    *out = range_new(vm, a, b);
    return !IS_OBJ(*out);
  }
  /* Unsigned, so that the distance of far ends cannot overflow. */
  uint64_t gap = step > 0 ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
  uint64_t size = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
  uint64_t count = (step > 0 ? b > a : a > b) ? (gap - 1) / size + 1 : 0;
  if (count > (uint64_t)1 << 40) return vm_error(vm, "`range` would have %llu elements", (unsigned long long)count);
  int64_t extent = (int64_t)count;
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &extent);
  if (!t) return 1;
  for (int64_t i = 0; i < extent; i++) ((int64_t *)t->data)[i] = a + i * step;
  *out = value_obj(t);
  return 0;
}

/* ---- sorted, reversed -------------------------------------------------------------- */

static bool number_of(Value v, double *x) {
  if (v.tag == V_BOOL) *x = v.b;
  else if (v.tag == V_INT) *x = (double)v.i;
  else if (v.tag == V_FLOAT || v.tag == V_QUANTITY) *x = v.f;
  else if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 0 && !dtype_complex(AS_TENSOR(v)->dtype))
    *x = tensor_get_f64(AS_TENSOR(v), 0);
  else return false;
  return true;
}

/* *order: -1, 0, 1.  nan comes last. */
static int compare_values(Vm *vm, Value a, Value b, int *order) {
  double x, y;
  if (a.tag == V_INT && b.tag == V_INT) {
    *order = (a.i > b.i) - (a.i < b.i);
    return 0;
  }
  bool same_dims = a.tag != V_QUANTITY || b.tag != V_QUANTITY || !memcmp(a.dims, b.dims, sizeof a.dims);
  if ((a.tag == V_QUANTITY) == (b.tag == V_QUANTITY) && same_dims && number_of(a, &x) &&
      number_of(b, &y)) {
    *order = isnan(x) || isnan(y) ? !!isnan(x) - !!isnan(y) : (x > y) - (x < y);
    return 0;
  }
  if (value_is(a, OBJ_STR) && value_is(b, OBJ_STR)) {
    const Str *s = AS_STR(a), *t = AS_STR(b);
    size_t n = s->len < t->len ? s->len : t->len;
    int c = memcmp(s->data, t->data, n);
    *order = c ? (c > 0) - (c < 0) : (s->len > t->len) - (s->len < t->len);
    return 0;
  }
  if ((value_is(a, OBJ_TUPLE) && value_is(b, OBJ_TUPLE)) || (value_is(a, OBJ_LIST) && value_is(b, OBJ_LIST))) {
    const List *s = AS_LIST(a), *t = AS_LIST(b);
    *order = 0;
    for (uint32_t i = 0; !*order && i < s->n && i < t->n; i++)
      if (compare_values(vm, s->items[i], t->items[i], order)) return 1;
    if (!*order) *order = (s->n > t->n) - (s->n < t->n);
    return 0;
  }
  vm_error(vm, "`sorted` cannot order %s and %s", value_type_name(a), value_type_name(b));
  vm_help(vm, "give a key: sorted(xs, key = x => ...)");
  return 1;
}

/* Stable merge sort of positions by keys[]. */
static int merge_sort(Vm *vm, const Value *keys, int64_t *at, int64_t *tmp, int64_t n, int sign) {
  if (n < 2) return 0;
  int64_t half = n / 2;
  if (merge_sort(vm, keys, at, tmp, half, sign) ||
      merge_sort(vm, keys, at + half, tmp, n - half, sign))
    return 1;
  memcpy(tmp, at, (size_t)half * sizeof *at);
  int64_t i = 0, j = half, k = 0;
  while (i < half && j < n) {
    int order;
    if (compare_values(vm, keys[tmp[i]], keys[at[j]], &order)) return 1;
    at[k++] = order * sign <= 0 ? tmp[i++] : at[j++];
  }
  while (i < half) at[k++] = tmp[i++];
  return 0;
}

static List *sort_keys(Vm *vm, Value xs, Value key) {
  List *l = seq_list(vm, xs, "`sorted`");
  for (uint32_t i = 0; l && key.tag != V_NIL && i < l->n; i++) {
    Value k;
    if (vm_call(vm, key, &l->items[i], 1, &k)) {
      value_unref(vm, value_obj(l));
      return NULL;
    }
    value_unref(vm, l->items[i]);
    l->items[i] = k;
  }
  return l;
}

/* xs in the order of the positions at[]. */
static int reorder(Vm *vm, Value xs, const int64_t *at, int64_t n, Value *out) {
  if (value_is(xs, OBJ_TENSOR)) {
    Rt *rt = vm_rt(vm);
    Tensor *rows = tensor_new(rt, DT_I64, 1, &n);
    if (!rows) return 1;
    memcpy(rows->data, at, (size_t)n * sizeof *at);
    Index ix = {.kind = IX_TENSOR, .tensor = rows};
    Tensor *t = op_index(rt, AS_TENSOR(xs), 1, &ix);
    tensor_unref(rt, rows);
    if (!t) return 1;
    *out = value_obj(t);
    return 0;
  }
  List *from = seq_list(vm, xs, "`sorted`");
  List *l = from ? list_new(vm, value_is(xs, OBJ_TUPLE), (uint32_t)n) : NULL;
  int failed = !l;
  for (int64_t i = 0; !failed && i < n; i++) failed = list_push(vm, l, value_ref(from->items[at[i]]));
  if (from) value_unref(vm, value_obj(from));
  if (failed) {
    if (l) value_unref(vm, value_obj(l));
    return 1;
  }
  *out = value_obj(l);
  return 0;
}

static int core_sorted(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  bool descending;
  if (arg_bool(vm, args[2], "descending", &descending)) return 1;
  if (value_is(args[0], OBJ_TENSOR) && args[1].tag == V_NIL && AS_TENSOR(args[0])->rank == 1) {
    Tensor *t = op_sort(rt, AS_TENSOR(args[0]), 0, descending);
    if (!t) return 1;
    *out = value_obj(t);
    return 0;
  }
  List *keys = sort_keys(vm, args[0], args[1]);
  if (!keys) return 1;
  int64_t count = keys->n;
  size_t bytes = (size_t)(count + 1) * 2 * sizeof(int64_t);
  int64_t *at = rt_alloc(rt, bytes);
  int failed = !at;
  for (int64_t i = 0; at && i < count; i++) at[i] = i;
  failed = failed || merge_sort(vm, keys->items, at, at + count + 1, count, descending ? -1 : 1) ||
           reorder(vm, args[0], at, count, out);
  if (at) rt_free(rt, at, bytes);
  value_unref(vm, value_obj(keys));
  return failed;
}

static int core_reversed(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  if (value_is(args[0], OBJ_TENSOR) && AS_TENSOR(args[0])->rank > 0) {
    Index ix = {.kind = IX_SLICE, .step = -1};
    Tensor *t = op_index(rt, AS_TENSOR(args[0]), 1, &ix);
    if (!t) return 1;
    *out = value_obj(t);
    return 0;
  }
  List *l = seq_list(vm, args[0], "`reversed`");
  if (!l) return 1;
  for (uint32_t i = 0; i < l->n / 2; i++) {
    Value t = l->items[i];
    l->items[i] = l->items[l->n - 1 - i];
    l->items[l->n - 1 - i] = t;
  }
  if (value_is(args[0], OBJ_TUPLE)) l->obj.kind = OBJ_TUPLE;
  if (!value_is(args[0], OBJ_STR)) {
    *out = value_obj(l);
    return 0;
  }
  Buf b = {0};
  for (uint32_t i = 0; i < l->n; i++) buf_bytes(&b, AS_STR(l->items[i])->data, AS_STR(l->items[i])->len);
  value_unref(vm, value_obj(l));
  Str *s = b.failed ? NULL : str_new(vm, b.data ? b.data : "", b.len);
  buf_free(&b);
  if (!s) return b.failed ? rt_fail(rt, RT_MEMORY, "out of memory") : 1;
  *out = value_obj(s);
  return 0;
}

const Native natives_sequence[] = {
    {"map", "f, *xs",
     "f of every element, as [f(x) for x in xs]; of several sequences at once with map(f, xs, ys).\n"
     "Models and records go leaf by leaf: map((a, b) => a + b, m, g).\n"
     "Every element has a random scope of its own.",
     core_map, NF_DIFF},
    {"filter", "f, xs", "The elements (rows of a tensor) for which f gives true.", core_filter, NF_DIFF},
    {"zip", "*xs", "A list of tuples of the first elements, the second ones ...; all of one length.",
     core_zip, NF_DIFF},
    {"enumerate", "xs, start = 0", "A list of (position, element).", core_enumerate, NF_DIFF},
    {"range", "start, stop = nil, step = 1",
     "start..stop; range(n) is 0..n; another step gives an i64 tensor.", core_range, NF_CONST},
    {"sorted", "xs, key = nil, descending = false",
     "The elements in ascending order of themselves or of key(x); equal ones keep their order, nan "
     "comes last.\nNumbers, strings, and tuples of them can be ordered.",
     core_sorted, NF_DIFF},
    {"reversed", "xs", "The elements from the last to the first.", core_reversed, NF_DIFF},
    {0}};
