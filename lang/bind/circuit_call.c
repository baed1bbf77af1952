/* circuit_call.c: calling a circuit declaration: which arguments are structure and which are
 * slots, the structures that have been written already, running the body for a new one. */
#include "lang/bind/circuit.h"
#include "lang/vm/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- structures by what they were made from -------------------------------------------- */

enum { MOST_KEPT = 64 };

typedef struct {
  char *key;
  size_t bytes;
  List *keep;                /* objects that the key names by address             */
  CircuitCode *code;
} Kept;

typedef struct {
  const char *name;          /* of the declaration; lives as long as its source    */
  Kept kept[MOST_KEPT];      /* in the order of their making, a ring               */
  int64_t made;
} CircuitCache;

static void forget(Vm *vm, Kept *k) {
  if (k->key) rt_free(vm_rt(vm), k->key, k->bytes + 1);
  if (k->keep) value_unref(vm, value_obj(k->keep));
  circuit_code_unref(vm, k->code);
  *k = (Kept){0};
}

static void cache_drop(Vm *vm, void *data) {
  CircuitCache *c = data;
  for (int i = 0; i < MOST_KEPT; i++) forget(vm, &c->kept[i]);
  rt_free(vm_rt(vm), c, sizeof *c);
}

const BoxType circuit_cache_type = {.name = "circuit declaration", .drop = cache_drop};

Value circuit_cache_new(Vm *vm, const char *name) {
  CircuitCache *c = rt_alloc0(vm_rt(vm), sizeof *c);
  Box *b = c ? box_new(vm, &circuit_cache_type, c) : NULL;
  if (!b && c) rt_free(vm_rt(vm), c, sizeof *c);
  if (b) c->name = name;
  return b ? value_obj(b) : NIL_VALUE;
}

static CircuitCode *recall(CircuitCache *c, const Buf *key) {
  for (int64_t i = 0; i < MOST_KEPT && i < c->made; i++) {
    Kept *k = &c->kept[(c->made - 1 - i) % MOST_KEPT];
    if (k->bytes == key->len && (!key->len || !memcmp(k->key, key->data, key->len))) return k->code;
  }
  return NULL;
}

static int remember(Vm *vm, CircuitCache *c, const Buf *key, List *keep, CircuitCode *code) {
  Kept *k = &c->kept[c->made % MOST_KEPT];
  forget(vm, k);
  k->key = rt_alloc(vm_rt(vm), key->len + 1);
  if (!k->key) return 1;
  if (key->len) memcpy(k->key, key->data, key->len);
  k->bytes = key->len;
  keep->obj.refs++;
  k->keep = keep;
  k->code = circuit_code_ref(code);
  c->made++;
  return 0;
}

/* ---- reading the arguments --------------------------------------------------------------- */

/* The arguments in order: structure goes into the key, numbers become slots. */
typedef struct {
  Vm *vm;
  const char *param;         /* the parameter that is being read                   */
  int64_t rank;              /* axes that it declares; -1: none                    */
  Buf key;
  List *keep;
  Tensor **slot;
  int n, cap;
  CircuitSpace *outer;       /* an argument belongs to a circuit being written     */
  int batch_rank;
  int64_t batch_shape[TENSOR_MAX_RANK];
  const char *batched;       /* the parameter that set the batch                   */
} Reading;

static void key_int(Reading *r, char tag, int64_t x) {
  buf_bytes(&r->key, &tag, 1);
  buf_bytes(&r->key, &x, sizeof x);
}

/* An object named by its address: kept alive with the structure. */
static int key_object(Reading *r, char tag, Value v) {
  key_int(r, tag, (int64_t)(intptr_t)v.o);
  return list_push(r->vm, r->keep, value_ref(v));
}

static int add_slot(Reading *r, Tensor *t) {
  Rt *rt = vm_rt(r->vm);
  if (r->n == r->cap) {
    int cap = r->cap ? 2 * r->cap : 8;
    Tensor **more = rt_realloc(rt, r->slot, sizeof *more * (size_t)r->cap,
                               sizeof *more * (size_t)cap);
    if (!more) {
      tensor_unref(rt, t);
      return 1;
    }
    r->slot = more;
    r->cap = cap;
  }
  r->slot[r->n++] = t;
  return 0;
}

/* Leading axes beyond the declared ones. */
static int batch_of(Reading *r, const Tensor *t, int *extra) {
  char text[128];
  *extra = r->rank >= 0 && t->rank > r->rank ? t->rank - (int)r->rank : 0;
  if (r->rank >= 0 && t->rank < r->rank)
    return vm_error(r->vm, "parameter `%s` is declared with %lld ax%s, found shape %s", r->param,
                    (long long)r->rank, r->rank == 1 ? "is" : "es", tensor_shape_text(t, text));
  if (!*extra) return 0;
  bool same = *extra == r->batch_rank &&
              !memcmp(r->batch_shape, t->shape, sizeof *t->shape * (size_t)*extra);
  if (r->batch_rank && !same)
    return vm_error(r->vm, "the batch axes of `%s` and `%s` differ", r->batched, r->param);
  r->batch_rank = *extra;
  r->batched = r->param;
  memcpy(r->batch_shape, t->shape, sizeof *t->shape * (size_t)*extra);
  return 0;
}

static bool is_float(DType d) { return d == DT_F32 || d == DT_F64; }
static bool is_complex(DType d) { return d == DT_C64 || d == DT_C128; }

/* A float or complex tensor: (batch..., item) in f64 or c128. */
static int read_numbers(Reading *r, Tensor *t) {
  Rt *rt = vm_rt(r->vm);
  int extra;
  if (batch_of(r, t, &extra)) return 1;
  key_int(r, is_complex(t->dtype) ? 'z' : 'x', t->rank - extra);
  for (int k = extra; k < t->rank; k++) key_int(r, ',', t->shape[k]);
  Tensor *wide = op_astype(rt, t, is_complex(t->dtype) ? DT_C128 : DT_F64);
  if (!wide || rt_taped(rt, wide)) return wide ? add_slot(r, wide) : 1;
  Tensor *flat = tensor_contiguous(rt, wide);
  tensor_unref(rt, wide);
  return flat ? add_slot(r, flat) : 1;
}

static int read_exact(Reading *r, Tensor *t) {
  Tensor *flat = tensor_contiguous(vm_rt(r->vm), t);
  if (!flat) return 1;
  key_int(r, 't', t->dtype);
  key_int(r, ',', t->rank);
  for (int k = 0; k < t->rank; k++) key_int(r, ',', t->shape[k]);
  buf_bytes(&r->key, flat->data, (size_t)flat->size * dtype_size[t->dtype]);
  tensor_unref(vm_rt(r->vm), flat);
  return 0;
}

static int read_value(Reading *r, Value v);

static int read_list(Reading *r, const List *l, char tag) {
  key_int(r, tag, l->n);
  for (uint32_t k = 0; k < l->n; k++)
    if (read_value(r, l->items[k])) return 1;
  return 0;
}

static int read_record(Reading *r, const Record *rec) {
  key_int(r, 'r', rec->n);
  for (uint32_t k = 0; k < rec->n; k++) {
    key_int(r, ':', rec->fields[k].key->len);
    buf_bytes(&r->key, rec->fields[k].key->data, rec->fields[k].key->len);
    if (read_value(r, rec->fields[k].value)) return 1;
  }
  return 0;
}

/* A circuit as an argument: its structure, and its numbers as slots of this one. */
static int read_circuit(Reading *r, CircuitValue *c, Value v) {
  if (c->space) {
    r->outer = c->space;
    return 0;
  }
  if (c->batch_rank)
    return vm_error(r->vm, "parameter `%s`: a batch of circuits cannot be part of a circuit",
                    r->param);
  key_int(r, 'c', (int64_t)(intptr_t)c->code);
  for (int k = 0; k < c->code->c.slot.n; k++)
    if (add_slot(r, tensor_ref(c->slot[k]))) return 1;
  return list_push(r->vm, r->keep, value_ref(v));
}

static int read_box(Reading *r, Value v) {
  SlotValue *s = box_data(v, &slot_type);
  CircuitValue *c = box_data(v, &circuit_type);
  if (s) r->outer = s->space;
  if (s) return 0;
  if (c) return read_circuit(r, c, v);
  return key_object(r, 'o', v);
}

static int read_value(Reading *r, Value v) {
  switch (v.tag) {
  case V_NIL: key_int(r, 'n', v.i); return 0;
  case V_BOOL: key_int(r, 'b', v.b); return 0;
  case V_INT: key_int(r, 'i', v.i); return 0;
  case V_QUANTITY:
    buf_bytes(&r->key, v.dims, sizeof v.dims);
    key_int(r, 'q', v.i);
    return 0;
  case V_FLOAT: {
    Tensor *t = value_to_tensor(r->vm, v);
    int failed = t ? read_numbers(r, t) : 1;
    if (t) tensor_unref(vm_rt(r->vm), t);
    return failed;
  }
  }
  switch (v.o->kind) {
  case OBJ_TENSOR: {
    Tensor *t = AS_TENSOR(v);
    return is_float(t->dtype) || is_complex(t->dtype) ? read_numbers(r, t) : read_exact(r, t);
  }
  case OBJ_STR:
    key_int(r, 's', AS_STR(v)->len);
    buf_bytes(&r->key, AS_STR(v)->data, AS_STR(v)->len);
    return 0;
  case OBJ_COMPLEX: {
    Tensor *t = value_to_tensor(r->vm, v);
    int failed = t ? read_numbers(r, t) : 1;
    if (t) tensor_unref(vm_rt(r->vm), t);
    return failed;
  }
  case OBJ_LIST: return read_list(r, AS_LIST(v), 'l');
  case OBJ_TUPLE: return read_list(r, AS_LIST(v), 'u');
  case OBJ_RECORD: return read_record(r, AS_RECORD(v));
  case OBJ_RANGE:
    key_int(r, 'g', AS_RANGE(v)->start);
    key_int(r, ',', AS_RANGE(v)->stop);
    return 0;
  case OBJ_BOX: return read_box(r, v);
  default: return key_object(r, 'o', v);
  }
}

/* ---- the same arguments with slots in the place of numbers ---------------------------------- */

typedef struct {
  Vm *vm;
  CircuitSpace *space;
  Reading *r;
  int next;                  /* slot                                                */
} Replacing;

static int replace(Replacing *p, Value v, const char *name, Value *out);

static int new_slot(Replacing *p, const char *name, bool is_complex, int rank, const int64_t *shape,
                    int32_t *slot) {
  p->next++;
  return circuit_slot(vm_rt(p->vm), &p->space->slots, name, is_complex, rank, shape, slot) != RT_OK;
}

static int replace_numbers(Replacing *p, const char *name, Value *out) {
  const Tensor *t = p->r->slot[p->next];
  int extra = p->r->rank >= 0 && t->rank > p->r->rank ? t->rank - (int)p->r->rank : 0;
  int32_t slot;
  if (new_slot(p, name, is_complex(t->dtype), t->rank - extra, t->shape + extra, &slot)) return 1;
  *out = slot_whole(p->vm, p->space, slot);
  return out->tag == V_NIL;
}

static int replace_list(Replacing *p, const List *l, bool tuple, const char *name, Value *out) {
  List *copy = list_new(p->vm, tuple, l->n);
  int failed = !copy;
  for (uint32_t k = 0; !failed && k < l->n; k++) {
    Value item = NIL_VALUE;
    failed = replace(p, l->items[k], name, &item) || list_push(p->vm, copy, item);
  }
  if (!failed) *out = value_obj(copy);
  else if (copy) value_unref(p->vm, value_obj(copy));
  return failed;
}

static int replace_record(Replacing *p, const Record *rec, const char *name, Value *out) {
  Record *copy = record_new(p->vm, rec->n);
  int failed = !copy;
  for (uint32_t k = 0; !failed && k < rec->n; k++) {
    Value item = NIL_VALUE;
    failed = replace(p, rec->fields[k].value, name, &item) ||
             record_set(p->vm, copy, rec->fields[k].key->data, item);
  }
  if (!failed) *out = value_obj(copy);
  else if (copy) value_unref(p->vm, value_obj(copy));
  return failed;
}

static int replace_circuit(Replacing *p, const CircuitValue *c, Value *out) {
  const Circuit *code = &c->code->c;
  size_t bytes = sizeof(int32_t) * (size_t)(code->slot.n + 1);
  int32_t *map = rt_alloc0(vm_rt(p->vm), bytes);
  int failed = !map;
  for (int k = 0; !failed && k < code->slot.n; k++) {
    const CircuitSlot *s = &code->slot.at[k];
    failed = new_slot(p, s->name, s->is_complex, s->rank, s->shape, &map[k]);
  }
  if (failed) {
    if (map) rt_free(vm_rt(p->vm), map, bytes);
    return 1;
  }
  *out = circuit_part(p->vm, c->code, p->space, map);
  return out->tag == V_NIL;
}

static int replace(Replacing *p, Value v, const char *name, Value *out) {
  *out = NIL_VALUE;
  bool number = v.tag == V_FLOAT || value_is(v, OBJ_COMPLEX) ||
                (value_is(v, OBJ_TENSOR) &&
                 (is_float(AS_TENSOR(v)->dtype) || is_complex(AS_TENSOR(v)->dtype)));
  if (number) return replace_numbers(p, name, out);
  if (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE))
    return replace_list(p, AS_LIST(v), value_is(v, OBJ_TUPLE), name, out);
  if (value_is(v, OBJ_RECORD)) return replace_record(p, AS_RECORD(v), name, out);
  CircuitValue *c = box_data(v, &circuit_type);
  if (c) return replace_circuit(p, c, out);
  *out = value_ref(v);
  return 0;
}

/* ---- the call --------------------------------------------------------------------------------- */

/* Runs the body on `given` (owned by the caller); the circuit's numbers are the space's. */
static int write_body(Vm *vm, const char *name, Value body, CircuitSpace *space, const Value *given,
                      uint32_t n, Circuit *out) {
  enum { MOST = 64 };
  Value args[MOST + 1], result = NIL_VALUE;
  if (n > MOST) return vm_error(vm, "circuit `%s` has more than %d parameters", name, MOST);
  args[0] = circuit_begin(vm, name, space);
  if (args[0].tag == V_NIL) return 1;
  for (uint32_t k = 0; k < n; k++) args[k + 1] = given[k];
  int failed = vm_call(vm, body, args, (int)n + 1, &result) || circuit_finish(vm, args[0], out);
  value_unref(vm, result);
  value_unref(vm, args[0]);
  return failed;
}

/* A part of a circuit that is being written. */
static int call_part(Vm *vm, const CircuitCache *cache, Value body, const List *values,
                     CircuitSpace *space, Value *out) {
  Circuit c;
  if (write_body(vm, cache->name, body, space, values->items, values->n, &c)) return 1;
  CircuitCode *code = circuit_code_new(vm, &c);
  if (!code) return 1;
  *out = circuit_part(vm, code, space, NULL);
  circuit_code_unref(vm, code);
  return out->tag == V_NIL;
}

static int parameters(Reading *r, Replacing *p, const List *names, const List *values,
                      const List *ranks, Value *given) {
  for (uint32_t k = 0; k < values->n; k++) {
    r->param = AS_STR(names->items[k])->data;
    r->rank = ranks->items[k].i;
    if (!p) key_int(r, ';', (int64_t)k);
    int failed = p ? replace(p, values->items[k], r->param, &given[k])
                   : read_value(r, values->items[k]);
    if (failed) return 1;
  }
  return 0;
}

/* Writes the circuit of a new structure. */
static CircuitCode *compile(Vm *vm, const CircuitCache *cache, Value body, Reading *r,
                            const List *names, const List *values, const List *ranks) {
  CircuitSpace *space = circuit_space_new(vm);
  if (!space) return NULL;
  Replacing p = {vm, space, r, 0};
  Circuit c;
  CircuitCode *code = NULL;
  Value *given = rt_alloc0(vm_rt(vm), sizeof *given * (values->n + 1));
  if (given && !parameters(r, &p, names, values, ranks, given) &&
      !write_body(vm, cache->name, body, space, given, values->n, &c)) {
    c.scalar = space->scalar;
    scalar_init(&space->scalar);
    c.slot = space->slots.slot;
    memset(&space->slots.slot, 0, sizeof c.slot);
    code = circuit_code_new(vm, &c);
  }
  for (uint32_t k = 0; given && k < values->n; k++) value_unref(vm, given[k]);
  if (given) rt_free(vm_rt(vm), given, sizeof *given * (values->n + 1));
  circuit_space_unref(vm, space);
  return code;
}

static void reading_close(Vm *vm, Reading *r) {
  Rt *rt = vm_rt(vm);
  for (int k = 0; k < r->n; k++) tensor_unref(rt, r->slot[k]);
  if (r->slot) rt_free(rt, r->slot, sizeof *r->slot * (size_t)r->cap);
  if (r->keep) value_unref(vm, value_obj(r->keep));
  buf_free(&r->key);
}

/* (cache, body, (names), (values), (ranks)) */
static int bind_circuit(Vm *vm, Value *args, int n, Value *out) {
  CircuitCache *cache = box_data(args[0], &circuit_cache_type);
  const List *names = AS_LIST(args[2]), *values = AS_LIST(args[3]), *ranks = AS_LIST(args[4]);
  if (!cache) return vm_error(vm, "this function is called by circuit declarations only");
  Reading r = {.vm = vm, .keep = list_new(vm, false, 4)};
  int failed = !r.keep || parameters(&r, NULL, names, values, ranks, NULL);
  if (!failed && r.key.failed) failed = rt_fail(vm_rt(vm), RT_MEMORY, "out of memory") != RT_OK;
  if (!failed && r.outer) {
    failed = call_part(vm, cache, args[1], values, r.outer, out);
  } else if (!failed) {
    CircuitCode *known = recall(cache, &r.key);
    CircuitCode *code = known ? circuit_code_ref(known)
                              : compile(vm, cache, args[1], &r, names, values, ranks);
    failed = !code || (!known && remember(vm, cache, &r.key, r.keep, code));
    if (!failed) {
      *out = circuit_bound(vm, code, r.slot, r.batch_rank, r.batch_shape);
      failed = out->tag == V_NIL;
    }
    circuit_code_unref(vm, code);
  }
  reading_close(vm, &r);
  return failed;
}

const Native natives_circuit_call[] = {
  {"__circuit", "cache, body, names, values, ranks", "A circuit with its numbers.", bind_circuit,
   NF_HIDDEN | NF_DIFF},
  {0}};
