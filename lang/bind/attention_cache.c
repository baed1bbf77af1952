/* attention_cache.c: caches for decoding, and attend_next: the new rows of a
 * sequence attend to everything before them.
 *
 * A cache is a value.  What it looks at is shared: keys and values lie in
 * buffers with room behind them, and a cache is such a buffer and a length.  Appending
 * to the longest cache of a buffer writes behind it, which no other cache of that buffer
 * looks at, so old caches stay what they were and nothing is copied; appending to a
 * shorter one copies first.  Full buffers double.  Keys are stored as the variant's
 * `prep` left them.  A variant with separable weights keeps its matrix state instead,
 * whose size does not depend on the length.                                  */
#include "lang/bind/attention.h"

#include <string.h>

/* Keys (B, H, capacity, d) and values (B, H, capacity, e). */
typedef struct {
  uint32_t refs;
  Tensor *k, *v;
  int64_t used;              /* rows that some cache looks at                  */
} Store;

typedef struct {
  int64_t length, reserve;
  int rank;                  /* of the operands it was made of; 0: empty        */
  Store *store;              /* pairs                                           */
  Tensor *s, *z;             /* matrix state                                    */
} Cache;

static void store_unref(Vm *vm, Store *s) {
  if (!s || --s->refs) return;
  tensor_unref(vm_rt(vm), s->k);
  tensor_unref(vm_rt(vm), s->v);
  rt_free(vm_rt(vm), s, sizeof *s);
}

static void cache_drop(Vm *vm, void *data) {
  Cache *c = data;
  store_unref(vm, c->store);
  tensor_unref(vm_rt(vm), c->s);
  tensor_unref(vm_rt(vm), c->z);
  rt_free(vm_rt(vm), c, sizeof *c);
}

/* The rows that the cache looks at, in the operands' rank. */
static Tensor *rows_of(Vm *vm, const Cache *c, Tensor *t) {
  int64_t shape[4], stride[4];
  int skip = 4 - c->rank;
  for (int k = 0; k < 4; k++) {
    if (k < skip) continue;
    shape[k - skip] = k == 2 ? c->length : t->shape[k];
    stride[k - skip] = t->stride[k];
  }
  return tensor_view(vm_rt(vm), t, c->rank, shape, stride, 0);
}

static int cache_field(Vm *vm, Box *self, const char *name, Value *out) {
  const Cache *c = self->data;
  Tensor *t = NULL;
  if (!strcmp(name, "length")) {
    *out = value_int(c->length);
    return 0;
  }
  if (c->store && !strcmp(name, "K")) t = rows_of(vm, c, c->store->k);
  else if (c->store && !strcmp(name, "V")) t = rows_of(vm, c, c->store->v);
  else if (c->s && !strcmp(name, "S")) t = tensor_ref(c->s);
  else {
    vm_error(vm, "this cache has no field `%s`", name);
    vm_help(vm, "it has %s", c->store ? "length, K, V" : c->s ? "length, S" : "length");
    return 1;
  }
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

static void cache_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  const Cache *c = self->data;
  each("length", data);
  if (c->store) each("K", data);
  if (c->store) each("V", data);
  if (c->s) each("S", data);
}

static void cache_print(Vm *vm, Box *self, Buf *out) {
  const Cache *c = self->data;
  buf_format(out, "cache of %lld %s%s", (long long)c->length,
             c->length == 1 ? "position" : "positions", c->s ? ", matrix state" : "");
}

static const BoxType cache_type = {.name = "Cache", .drop = cache_drop, .field = cache_field,
                                   .print = cache_print, .names = cache_names};

static Cache *cache_new(Vm *vm, Value *out) {
  Cache *c = rt_alloc0(vm_rt(vm), sizeof *c);
  Box *b = c ? box_new(vm, &cache_type, c) : NULL;
  if (b) {
    *out = value_obj(b);
    return c;
  }
  if (c) rt_free(vm_rt(vm), c, sizeof *c);
  return NULL;
}

/* ---- appending -------------------------------------------------------------------- */

static int64_t extent(const Tensor *t, int from_end) {
  return from_end < t->rank ? t->shape[t->rank - 1 - from_end] : 1;
}

/* Rows of `from` (.., n, w) into (B, H, capacity, w) from row `at` on. */
static void put_rows(Tensor *to, int64_t at, const Tensor *from) {
  size_t size = dtype_size[to->dtype];
  int64_t n = extent(from, 1), w = extent(from, 0), heads = to->shape[0] * to->shape[1];
  for (int64_t h = 0; h < heads; h++)
    memcpy(to->data + (size_t)((h * to->shape[2] + at) * w) * size,
           from->data + (size_t)(h * n * w) * size, (size_t)(n * w) * size);
}

/* The first `used` rows in a buffer of `capacity`. */
static Tensor *moved(Rt *rt, const Tensor *like, const Tensor *from, int64_t used,
                     int64_t capacity) {
  int64_t shape[4] = {extent(like, 3), extent(like, 2), capacity, extent(like, 0)};
  Tensor *to = tensor_new(rt, like->dtype, 4, shape);
  size_t size = dtype_size[like->dtype] * (size_t)shape[3];
  for (int64_t h = 0; to && from && h < shape[0] * shape[1]; h++)
    memcpy(to->data + (size_t)(h * capacity) * size,
           from->data + (size_t)(h * from->shape[2]) * size, (size_t)used * size);
  return to;
}

static int fits(Vm *vm, const char *name, const Cache *old, const Tensor *held, const Tensor *t) {
  int rank = old->rank;
  if (t->rank == rank && t->dtype == held->dtype && extent(t, 3) == held->shape[0] &&
      extent(t, 2) == held->shape[1] && extent(t, 0) == held->shape[3]) return 0;
  char a[128], b[128];
  int64_t shape[4] = {held->shape[0], held->shape[1], old->length, held->shape[3]};
  vm_error(vm, "attend_next: %s is %s %s and the cache holds %s %s", name, dtype_name[t->dtype],
           tensor_shape_text(t, a), dtype_name[held->dtype],
           shape_text(rank, shape + 4 - rank, b));
  vm_help(vm, "a cache belongs to one layer and one batch; nil begins a new one");
  return 1;
}

/* A store with room for n rows more behind the cache's: its own, or a new one. */
static Store *with_room(Vm *vm, const Cache *old, const Tensor *k, const Tensor *v, int64_t n) {
  Rt *rt = vm_rt(vm);
  Store *s = old->store;
  int64_t capacity = s ? s->k->shape[2] : 0, needed = old->length + n;
  if (s && s->used == old->length && needed <= capacity) {
    s->refs++;
    return s;
  }
  if (capacity < old->reserve) capacity = old->reserve;
  if (capacity < 16) capacity = 16;
  while (capacity < needed) capacity *= 2;
  Store *own = rt_alloc0(rt, sizeof *own);
  if (!own) return NULL;
  own->refs = 1;
  own->k = moved(rt, k, s ? s->k : NULL, old->length, capacity);
  own->v = moved(rt, v, s ? s->v : NULL, old->length, capacity);
  if (own->k && own->v) return own;
  store_unref(vm, own);
  return NULL;
}

static int append(Vm *vm, const Cache *old, const Tensor *k, const Tensor *v, Cache *c) {
  int64_t n = extent(k, 1);
  if (old->store && (fits(vm, "K", old, old->store->k, k) ||
                     fits(vm, "V", old, old->store->v, v))) return 1;
  if (!(c->store = with_room(vm, old, k, v, n))) return 1;
  put_rows(c->store->k, old->length, k);
  put_rows(c->store->v, old->length, v);
  c->store->used = old->length + n;
  return 0;
}

/* ---- attend_next ------------------------------------------------------------------- */

static int check_call(Vm *vm, const AttnCall *c, const AttnSpec *spec, const Cache *old) {
  char a[128], b[128];
  const Tensor *q = c->q, *k = c->k, *v = c->v;
  if (q->rank < 2 || q->rank > 4 || k->rank != q->rank || v->rank != q->rank ||
      q->dtype != k->dtype || q->dtype != v->dtype || !dtype_float(q->dtype))
    return vm_error(vm,
                    "attend_next: Q, K and V are %s %s, %s %s and of rank %d; they need 2 to 4 "
                    "axes and f32 or f64, the same", dtype_name[q->dtype], tensor_shape_text(q, a),
                    dtype_name[k->dtype], tensor_shape_text(k, b), v->rank);
  if (extent(q, 1) != extent(k, 1) || extent(k, 1) != extent(v, 1) ||
      extent(q, 3) != extent(k, 3) || extent(k, 3) != extent(v, 3) || extent(k, 2) != extent(v, 2))
    return vm_error(vm,
                    "attend_next: Q is %s and K %s; they need the same new positions, one value "
                    "a key", tensor_shape_text(q, a), tensor_shape_text(k, b));
  if (spec->iterate >= 0 && (spec->prep != ATTN_PREP_NONE || attn_decl(c->inst)->has_prep))
    return vm_error(vm,
                    "attend_next: `%s` has `prep` and `iterate`; its keys cannot be kept mapped",
                    spec->name);
  bool state = attn_has_state(spec);
  if (old->rank && state != (old->s != NULL))
    return vm_error(vm, "attend_next: the cache was made by an attention that %s a matrix state",
                    old->s ? "keeps" : "does not keep");
  if (state && old->s && (old->rank != k->rank || old->s->shape[2] != extent(k, 0) ||
                          old->s->shape[3] != extent(v, 0) || old->s->dtype != k->dtype ||
                          old->s->shape[0] != extent(k, 3) || old->s->shape[1] != extent(k, 2)))
    return vm_error(vm,
                    "attend_next: K is %s and the cache's state %s (batch, heads, mapped size, "
                    "value size)", tensor_shape_text(k, a), tensor_shape_text(old->s, b));
  return 0;
}

/* The map that the variant names itself (unit, rms, rope), at the new positions. */
static int map_new(Vm *vm, AttnCall *c, AttnSpec *spec, const AttnArgs *a, int64_t first) {
  Rt *rt = vm_rt(vm);
  Tensor *k = op_attn_map(rt, spec, a, c->k, first);
  Tensor *q = k ? op_attn_map(rt, spec, a, c->q, first) : NULL;
  if (!q) {
    tensor_unref(rt, k);
    return 1;
  }
  tensor_unref(rt, c->q);
  tensor_unref(rt, c->k);
  c->q = q;
  c->k = k;
  return 0;
}

static Tensor *by_pairs(Vm *vm, AttnCall *call, AttnSpec *spec, AttnArgs *a, const Cache *old,
                        Cache *c) {
  Rt *rt = vm_rt(vm);
  Tensor *k = tensor_contiguous(rt, call->k), *v = tensor_contiguous(rt, call->v), *out = NULL;
  a->k = a->v = NULL;
  if (k && v && !append(vm, old, k, v, c)) {
    a->k = rows_of(vm, c, c->store->k);
    a->v = rows_of(vm, c, c->store->v);
    if (a->k && a->v) out = (spec->iterate >= 0 ? op_attend : op_attend_mapped)(rt, spec, a);
  }
  tensor_unref(rt, a->k);
  tensor_unref(rt, a->v);
  tensor_unref(rt, k);
  tensor_unref(rt, v);
  return out;
}

static int next(Vm *vm, AttnCall *call, bool causal, const Cache *old, Value *pair) {
  Rt *rt = vm_rt(vm);
  AttnSpec *spec = attn_decl(call->inst)->spec;
  Value made;
  if (causal && !(spec = attn_spec_causal(rt, spec))) return 1;
  if (check_call(vm, call, spec, old)) return 1;
  AttnArgs a = {.q = call->q, .k = call->k, .v = call->v, .slot = call->slot, .past = old->length};
  if (map_new(vm, call, spec, &a, old->length)) return 1;
  a.q = call->q;
  a.k = call->k;
  Cache *c = cache_new(vm, &made);
  if (!c) return 1;
  c->length = old->length + extent(call->k, 1);
  c->reserve = old->reserve;
  c->rank = call->k->rank;
  Tensor *out = attn_has_state(spec)
                    ? op_attend_state(rt, spec, &a, old->s, old->z, &c->s, &c->z)
                    : by_pairs(vm, call, spec, &a, old, c);
  List *l = out ? list_new(vm, true, 2) : NULL;
  if (!l) {
    tensor_unref(rt, out);
    value_unref(vm, made);
    return 1;
  }
  int failed = list_push(vm, l, value_obj(out)) || list_push(vm, l, made);
  *pair = value_obj(l);
  if (failed) value_unref(vm, *pair);
  return failed;
}

static int bind_next(Vm *vm, Value *args, int n, Value *out) {
  static const Cache none = {0};
  const Cache *old = args[4].tag == V_NIL ? &none : box_data(args[4], &cache_type);
  AttnCall call;
  bool causal;
  if (!old) {
    vm_error(vm, "attend_next: expected a cache or nil, found %s %s", VALUE_A(args[4]));
    vm_help(vm, "`let (y, cache) = attend_next(a, Q, K, V, cache)` gives the next one");
    return 1;
  }
  if (arg_bool(vm, args[5], "causal", &causal) ||
      attn_call_begin(vm, &call, args, "attend_next", true)) return 1;
  int failed = 1;
  if (call.run) {
    vm_error(vm, "attend_next: attention `%s` solves a problem of all keys at once",
             attn_decl(call.inst)->spec->name);
    vm_help(vm, "use `attend` with the whole sequence");
  } else failed = next(vm, &call, causal, old, out);
  attn_call_free(vm, &call);
  return failed;
}

static int bind_cache(Vm *vm, Value *args, int n, Value *out) {
  int64_t capacity;
  if (arg_int(vm, args[0], "capacity", &capacity)) return 1;
  if (capacity < 1 || capacity > INT32_MAX)
    return vm_error(vm, "kv_cache: capacity is %lld; it counts positions from 1",
                    (long long)capacity);
  Cache *c = cache_new(vm, out);
  if (!c) return 1;
  c->reserve = capacity;
  return 0;
}

const Native natives_attention_cache[] = {
    {"attend_next", "a, Q, K, V, cache = nil, causal = true",
     "Decoding: the next positions of a sequence attend to all before and to themselves.\n"
     "Q (.., m, d), K (.., m, d), V (.., m, e) of the m new positions -> (out (.., m, e), cache);\n"
     "cache is what the call before gave, nil at the start. With it, m = 1 gives a row of\n"
     "`attend(a, .., causal = true)` at the cost of that row: keys and values are kept, mapped\n"
     "and at their positions; of separable weights only their matrix state. A cache is a value:\n"
     "going on from an old one is allowed and copies. n_q is m in the equations, n_k the length\n"
     "so far. Fields: cache.length, and cache.K, cache.V or cache.S. Not differentiable: train\n"
     "with attend.",
     bind_next, 0},
    {"kv_cache", "capacity",
     "An empty cache for attend_next with room for `capacity` positions, kept from the start; it\n"
     "doubles when it is full. nil in its place begins with little room.",
     bind_cache, 0},
    {0},
};
