/* ask.c: questions about values: type names, equality, content hashes, length. */
#include "lang/vm/internal.h"

#include <string.h>

#define DEPTH_MAX 400      /* containers nested deeper are refused, not followed */

const char *value_type_name(Value v) {
  switch (v.tag) {
  case V_NIL: return "nil";
  case V_BOOL: return "bool";
  case V_INT: return "int";
  case V_FLOAT: return "float";
  case V_QUANTITY: return "quantity";
  }
  switch (v.o->kind) {
  case OBJ_TENSOR: return "tensor";
  case OBJ_STR: return "str";
  case OBJ_COMPLEX: return "complex";
  case OBJ_LIST: return "list";
  case OBJ_TUPLE: return "tuple";
  case OBJ_RECORD: return "record";
  case OBJ_RANGE: return "range";
  case OBJ_CLOSURE: case OBJ_NATIVE: return "function";
  case OBJ_MODEL: return "Model";
  case OBJ_BOX: return AS_BOX(v)->type->name;
  }
  return "value";
}

const char *value_article(Value v) {
  if (v.tag == V_NIL) return "the value";
  return strchr("aeioAEIO", value_type_name(v)[0]) ? "an" : "a";
}

/* ---- equality ---------------------------------------------------------------- */

static bool number_of(Value v, c128 *z) {
  switch (v.tag) {
  case V_BOOL: *z = (c128){v.b, 0}; return true;
  case V_INT: *z = (c128){(double)v.i, 0}; return true;
  case V_FLOAT: *z = (c128){v.f, 0}; return true;
  }
  if (value_is(v, OBJ_COMPLEX)) {
    *z = AS_COMPLEX(v);
    return true;
  }
  if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 0) {
    *z = tensor_get_c128(AS_TENSOR(v), 0);
    return true;
  }
  return false;
}

static bool tensor_equal(const Tensor *a, const Tensor *b) {
  if (a->rank != b->rank) return false;
  for (int k = 0; k < a->rank; k++)
    if (a->shape[k] != b->shape[k]) return false;
  for (int64_t i = 0; i < a->size; i++) {
    if (a->dtype <= DT_I64 && b->dtype <= DT_I64) {
      if (tensor_get_i64(a, i) != tensor_get_i64(b, i)) return false;
      continue;
    }
    c128 x = tensor_get_c128(a, i), y = tensor_get_c128(b, i);
    if (x.re != y.re || x.im != y.im) return false;
  }
  return true;
}

static bool equal_at(Vm *vm, Value a, Value b, int depth);

static bool record_equal(Vm *vm, Record *a, Record *b, int depth) {
  if (a->n != b->n) return false;
  for (uint32_t i = 0; i < a->n; i++) {
    Value *other = record_get_str(b, a->fields[i].key);
    if (!other || !equal_at(vm, a->fields[i].value, *other, depth)) return false;
  }
  return true;
}

static bool closure_equal(Vm *vm, Closure *a, Closure *b, int depth) {
  if (a->proto != b->proto) return false;
  for (uint32_t i = 0; i < a->n; i++)
    if (!equal_at(vm, a->up[i], b->up[i], depth)) return false;
  return true;
}

static bool object_equal(Vm *vm, Value a, Value b, int depth) {
  switch (a.o->kind) {
  case OBJ_TENSOR: return tensor_equal(AS_TENSOR(a), AS_TENSOR(b));
  case OBJ_STR:
    return AS_STR(a)->len == AS_STR(b)->len &&
           memcmp(AS_STR(a)->data, AS_STR(b)->data, AS_STR(a)->len) == 0;
  case OBJ_LIST: case OBJ_TUPLE:
    if (AS_LIST(a)->n != AS_LIST(b)->n) return false;
    for (uint32_t i = 0; i < AS_LIST(a)->n; i++)
      if (!equal_at(vm, AS_LIST(a)->items[i], AS_LIST(b)->items[i], depth)) return false;
    return true;
  case OBJ_RECORD: return record_equal(vm, AS_RECORD(a), AS_RECORD(b), depth);
  case OBJ_RANGE:
    return AS_RANGE(a)->start == AS_RANGE(b)->start && AS_RANGE(a)->stop == AS_RANGE(b)->stop;
  case OBJ_CLOSURE: return closure_equal(vm, AS_CLOSURE(a), AS_CLOSURE(b), depth);
  case OBJ_MODEL: return record_equal(vm, AS_MODEL(a)->fields, AS_MODEL(b)->fields, depth);
  case OBJ_BOX: {
    const BoxType *t = AS_BOX(a)->type;
    return t == AS_BOX(b)->type && t->equal && t->equal(vm, AS_BOX(a), AS_BOX(b));
  }
  }
  return false;
}

static bool equal_at(Vm *vm, Value a, Value b, int depth) {
  if (depth == 0) return false;
  if (a.tag == V_INT && b.tag == V_INT) return a.i == b.i;
  if (a.tag == V_QUANTITY || b.tag == V_QUANTITY)
    return a.tag == b.tag && memcmp(a.dims, b.dims, sizeof a.dims) == 0 && a.f == b.f;
  if (a.tag == V_NIL || b.tag == V_NIL) return a.tag == b.tag;
  c128 x, y;
  if (number_of(a, &x)) return number_of(b, &y) && x.re == y.re && x.im == y.im;
  if (!IS_OBJ(a) || !IS_OBJ(b) || a.o->kind != b.o->kind) return false;
  if (a.o == b.o && a.o->kind != OBJ_TENSOR) return true;
  return object_equal(vm, a, b, depth - 1);
}

bool value_equal(Vm *vm, Value a, Value b) { return equal_at(vm, a, b, DEPTH_MAX); }

/* ---- content hashes -------------------------------------------------------------- */

/* Functions hashed so far: the second time only their names count, which ends
 * recursion and keeps a net of calls from being walked along every path.      */
#define SEEN_MAX 1024
typedef struct {
  const Proto *items[SEEN_MAX];
  int n;
} Seen;

static bool seen_before(Seen *seen, const Proto *p) {
  for (int k = 0; k < seen->n; k++)
    if (seen->items[k] == p) return true;
  if (seen->n == SEEN_MAX) return true;
  seen->items[seen->n++] = p;
  return false;
}

static void hash_at(Vm *vm, Value v, Sha256 *h, int depth, Seen *seen);

static void hash_text(Sha256 *h, const char *s, size_t n) {
  uint64_t len = n;
  sha256_add(h, &len, sizeof len);
  sha256_add(h, s, n);
}

/* The code, and what it reads: globals by name and content. */
static void hash_proto(Vm *vm, const Proto *p, Sha256 *h, int depth, Seen *seen) {
  if (p->node) node_hash(p->node, h);
  for (uint32_t i = 0; i < p->n_code; i++) {
    Instr w = p->code[i];
    Opcode op = OP_OF(w);
    if (op == I_EXT) continue;
    if (op != I_GETG && op != I_CALLG) continue;
    uint32_t slot = op == I_GETG ? (uint32_t)BX_OF(w) : C_OF(w);
    GlobalInfo *g = &p->module->info[slot];
    hash_text(h, g->name->data, g->name->len);
    Value v;
    if (g->thunk) {
      if (depth > 0 && !seen_before(seen, g->thunk)) hash_proto(vm, g->thunk, h, depth - 1, seen);
    } else if (g->kind == G_LIBRARY && module_read(vm, p->module, slot, &v) == 0) {
      hash_at(vm, v, h, depth - 1, seen);      /* loads a prelude name not yet used */
      value_unref(vm, v);
    } else {
      hash_at(vm, p->module->slots[slot], h, depth - 1, seen);
    }
  }
  for (uint32_t i = 0; i < p->n_protos; i++) hash_proto(vm, p->protos[i], h, depth - 1, seen);
}

static void hash_closure(Vm *vm, Closure *c, Sha256 *h, int depth, Seen *seen) {
  if (!seen_before(seen, c->proto)) hash_proto(vm, c->proto, h, depth, seen);
  for (uint32_t i = 0; i < c->n; i++) hash_at(vm, c->up[i], h, depth, seen);
}

static void hash_record(Vm *vm, Record *r, Sha256 *h, int depth, Seen *seen) {
  sha256_add(h, &r->n, sizeof r->n);
  for (uint32_t i = 0; i < r->n; i++) {
    hash_text(h, r->fields[i].key->data, r->fields[i].key->len);
    hash_at(vm, r->fields[i].value, h, depth, seen);
  }
}

static void hash_tensor(const Tensor *t, Sha256 *h) {
  sha256_add(h, &t->dtype, 1);
  sha256_add(h, &t->rank, 1);
  sha256_add(h, t->shape, t->rank * sizeof *t->shape);
  if (t->contiguous) {
    sha256_add(h, t->data, (size_t)t->size * dtype_size[t->dtype]);
    return;
  }
  for (int64_t i = 0; i < t->size; i++) {
    if (t->dtype <= DT_I64) {
      int64_t x = tensor_get_i64(t, i);
      sha256_add(h, &x, t->dtype == DT_BOOL ? 1 : sizeof x);
      continue;
    }
    c128 z = tensor_get_c128(t, i);
    c64 s = {(float)z.re, (float)z.im};
    if (t->dtype == DT_F32 || t->dtype == DT_C64) sha256_add(h, &s, dtype_size[t->dtype]);
    else sha256_add(h, &z, dtype_size[t->dtype]);
  }
}

static void hash_object(Vm *vm, Value v, Sha256 *h, int depth, Seen *seen) {
  sha256_add(h, &v.o->kind, 1);
  switch (v.o->kind) {
  case OBJ_TENSOR: hash_tensor(AS_TENSOR(v), h); break;
  case OBJ_STR: hash_text(h, AS_STR(v)->data, AS_STR(v)->len); break;
  case OBJ_COMPLEX: sha256_add(h, &AS_COMPLEX(v), sizeof(c128)); break;
  case OBJ_RANGE: sha256_add(h, &AS_RANGE(v)->start, 2 * sizeof(int64_t)); break;
  case OBJ_LIST: case OBJ_TUPLE:
    sha256_add(h, &AS_LIST(v)->n, sizeof(uint32_t));
    for (uint32_t i = 0; i < AS_LIST(v)->n; i++) hash_at(vm, AS_LIST(v)->items[i], h, depth, seen);
    break;
  case OBJ_RECORD: hash_record(vm, AS_RECORD(v), h, depth, seen); break;
  case OBJ_MODEL:
    hash_text(h, AS_MODEL(v)->name->data, AS_MODEL(v)->name->len);
    hash_record(vm, AS_MODEL(v)->fields, h, depth, seen);
    if (AS_MODEL(v)->methods) hash_record(vm, AS_MODEL(v)->methods, h, depth, seen);
    break;
  case OBJ_CLOSURE: hash_closure(vm, AS_CLOSURE(v), h, depth, seen); break;
  case OBJ_NATIVE: hash_text(h, AS_NATIVE(v)->def->name, strlen(AS_NATIVE(v)->def->name)); break;
  case OBJ_BOX:
    hash_text(h, AS_BOX(v)->type->name, strlen(AS_BOX(v)->type->name));
    if (AS_BOX(v)->type->hash) AS_BOX(v)->type->hash(vm, AS_BOX(v), h);
    break;
  }
}

static void hash_at(Vm *vm, Value v, Sha256 *h, int depth, Seen *seen) {
  sha256_add(h, &v.tag, 1);
  if (depth <= 0) return;
  switch (v.tag) {
  case V_NIL: break;
  case V_BOOL: sha256_add(h, &v.b, 1); break;
  case V_INT: case V_FLOAT: sha256_add(h, &v.i, 8); break;
  case V_QUANTITY:
    sha256_add(h, v.dims, sizeof v.dims);
    sha256_add(h, &v.f, 8);
    break;
  default: hash_object(vm, v, h, depth - 1, seen);
  }
}

void value_hash(Vm *vm, Value v, Sha256 *h) {
  Seen seen;
  seen.n = 0;
  hash_at(vm, v, h, DEPTH_MAX, &seen);
}

/* ---- the rest --------------------------------------------------------------------- */

int value_len(Vm *vm, Value v, int64_t *out) {
  if (IS_OBJ(v)) {
    switch (v.o->kind) {
    case OBJ_TENSOR:
      if (AS_TENSOR(v)->rank == 0) return vm_error(vm, "a scalar tensor has no length");
      *out = AS_TENSOR(v)->shape[0];
      return 0;
    case OBJ_STR: *out = (int64_t)utf8_columns(AS_STR(v)->data, AS_STR(v)->len); return 0;
    case OBJ_LIST: case OBJ_TUPLE: *out = AS_LIST(v)->n; return 0;
    case OBJ_RECORD: *out = AS_RECORD(v)->n; return 0;
    case OBJ_RANGE:
      *out = AS_RANGE(v)->stop > AS_RANGE(v)->start ? AS_RANGE(v)->stop - AS_RANGE(v)->start : 0;
      return 0;
    case OBJ_BOX:
      if (AS_BOX(v)->type->len) return AS_BOX(v)->type->len(vm, AS_BOX(v), out);
      break;
    }
  }
  return vm_error(vm, "%s %s has no length", VALUE_A(v));
}

bool value_callable(Value v) {
  return value_is(v, OBJ_CLOSURE) || value_is(v, OBJ_NATIVE) ||
         (value_is(v, OBJ_MODEL) && AS_MODEL(v)->methods &&
          record_get(AS_MODEL(v)->methods, "forward")) ||
         (value_is(v, OBJ_BOX) && AS_BOX(v)->type->call);
}

bool value_is_scalar(Value v) {
  if (!IS_OBJ(v)) return v.tag == V_BOOL || v.tag == V_INT || v.tag == V_FLOAT;
  return v.o->kind == OBJ_COMPLEX || (v.o->kind == OBJ_TENSOR && AS_TENSOR(v)->rank == 0);
}

Tensor *value_to_tensor(Vm *vm, Value v) {
  switch (v.tag) {
  case V_BOOL: return tensor_scalar(vm->rt, DT_BOOL, v.b, 0);
  case V_INT: return tensor_scalar_i64(vm->rt, v.i);
  case V_FLOAT: return tensor_scalar(vm->rt, DT_F64, v.f, 0);
  }
  if (value_is(v, OBJ_TENSOR)) return tensor_ref(AS_TENSOR(v));
  if (value_is(v, OBJ_COMPLEX))
    return tensor_scalar(vm->rt, DT_C128, AS_COMPLEX(v).re, AS_COMPLEX(v).im);
  if (value_is(v, OBJ_RANGE)) {
    int64_t n = 0;
    value_len(vm, v, &n);
    return tensor_arange(vm->rt, DT_I64, (double)AS_RANGE(v)->start, 1, n);
  }
  vm_error(vm, "expected a number or a tensor, found %s", value_type_name(v));
  return NULL;
}

Value value_simplify(Vm *vm, Value v) {
  if (!value_is(v, OBJ_TENSOR) || AS_TENSOR(v)->rank || rt_taped(vm->rt, AS_TENSOR(v))) return v;
  Tensor *t = AS_TENSOR(v);
  Value s;
  switch (t->dtype) {
  case DT_BOOL: s = value_bool(*(uint8_t *)t->data != 0); break;
  case DT_I64: s = value_int(*(int64_t *)t->data); break;
  case DT_F32: s = value_float(*(float *)t->data); break;
  case DT_F64: s = value_float(*(double *)t->data); break;
  default:
    s = complex_new(vm, tensor_get_c128(t, 0));
    if (is_unset(s)) return v;
  }
  tensor_unref(vm->rt, t);
  return s;
}
