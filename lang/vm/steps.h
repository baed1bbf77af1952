/* steps.h: single instructions of the interpreter, seen by interp.c only: what
 * they do when the fast path in the loop does not apply, and the helpers that
 * both share.
 *
 * Values are copied as two 64-bit words: a 16-byte load right after two
 * narrower stores would wait for them to reach the cache.
 */
#ifndef QA_VM_STEPS_H
#define QA_VM_STEPS_H
#include "lang/vm/internal.h"
#include "runtime/tensor/random.h"

#include <math.h>
#include <string.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

typedef uint64_t __attribute__((may_alias)) Word;
static inline void copy(Value *to, const Value *from) {
  Word tag = ((const Word *)from)[0], load = ((const Word *)from)[1];
  ((Word *)to)[0] = tag;
  ((Word *)to)[1] = load;
}
static inline void put_tag(Value *v, ValueTag tag) { *(Word *)v = tag; }
static inline void put_int(Value *v, int64_t i) { put_tag(v, V_INT); v->i = i; }
static inline void put_float(Value *v, double f) { put_tag(v, V_FLOAT); v->f = f; }
static inline void put_bool(Value *v, bool b) { put_tag(v, V_BOOL); v->i = b; }

static inline void clear(Vm *vm, Value *v) {
  if (unlikely(v->tag >= V_OBJ)) {
    Obj *o = v->o;
    put_tag(v, V_NIL);
    v->i = 0;
    if (--o->refs == 0) object_free(vm, o);
  }
}
/* Replaces what a register holds; takes over x. */
static inline void set(Vm *vm, Value *r, Value x) {
  Value old;
  copy(&old, r);
  copy(r, &x);
  if (unlikely(old.tag >= V_OBJ) && --old.o->refs == 0) object_free(vm, old.o);
}

/* ---- slow paths of single instructions: nonzero is an error ------------------- */

static const AstOp arith_op[] = {OP_ADD, OP_SUB, OP_MUL,      OP_DIV, OP_FLOORDIV,
                                 OP_MOD, OP_POW, OP_MATMUL,   OP_ADD, OP_SUB,
                                 OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW};

static __attribute__((noinline)) int slow_binary(Vm *vm, Instr w, Value *R, const Value *K) {
  unsigned flags = FLAGS_OF(w);
  Value *b = &R[B_OF(w)], *c = &R[C_OF(w)], out;
  bool constant = OP_OF(w) >= I_ADDK;
  AstOp op = arith_op[OP_OF(w) - I_ADD];
  if (value_binary(vm, op, *b, constant ? K[C_OF(w)] : *c, flags & (constant ? M1 : M1 | M2), &out))
    return 1;
  if (flags & M1) clear(vm, b);
  if (!constant && (flags & M2)) clear(vm, c);
  set(vm, &R[A_OF(w)], out);
  return 0;
}

/* and, or, min, max, comparisons that give a value */
static __attribute__((noinline)) int slow_pair(Vm *vm, Instr w, Value *R) {
  unsigned flags = FLAGS_OF(w);
  Value *b = &R[B_OF(w)], *c = &R[C_OF(w)], out;
  int failed;
  switch (OP_OF(w)) {
  case I_COMPARE: failed = value_compare(vm, (AstOp)(OP_EQ + (flags >> 4)), *b, *c, &out); break;
  case I_AND: case I_OR: failed = value_logic(vm, OP_OF(w) == I_AND, *b, *c, &out); break;
  default: failed = value_minmax(vm, OP_OF(w) == I_MAX, *b, *c, &out);
  }
  if (failed) return 1;
  if (flags & M1) clear(vm, b);
  if (flags & M2) clear(vm, c);
  set(vm, &R[A_OF(w)], out);
  return 0;
}

static __attribute__((noinline)) int slow_unary(Vm *vm, Instr w, Value *R) {
  Value *b = &R[B_OF(w)], out;
  bool truth;
  int failed;
  switch (OP_OF(w)) {
  case I_NEG: failed = value_negate(vm, *b, FLAGS_OF(w) & M1, &out); break;
  case I_NOT: failed = value_not(vm, *b, &out); break;
  case I_TRANSPOSE: failed = value_transpose(vm, *b, &out); break;
  default:
    failed = value_truth(vm, *b, &truth);
    out = value_bool(truth);
  }
  if (failed) return 1;
  if (FLAGS_OF(w) & M1) clear(vm, b);
  set(vm, &R[A_OF(w)], out);
  return 0;
}

/* A comparison that jumps: *hit is its truth. */
static __attribute__((noinline)) int slow_test(Vm *vm, Instr w, Value *R, const Value *K,
                                               bool *hit) {
  static const AstOp ops[] = {OP_LT, OP_LE, OP_GT, OP_GE, OP_EQ, OP_NE};
  Opcode op = OP_OF(w);
  bool constant = op >= I_LTKJ;
  Value *a = &R[A_OF(w)], *b = &R[B_OF(w)], out;
  if (value_compare(vm, ops[(op - I_LTJ) % 6], *a, constant ? K[B_OF(w)] : *b, &out)) return 1;
  if (FLAGS_OF(w) & M1) clear(vm, a);
  if (!constant && (FLAGS_OF(w) & M2)) clear(vm, b);
  int failed = value_truth(vm, out, hit);
  value_unref(vm, out);
  return failed;
}

static int slow_truth(Vm *vm, Instr w, Value *R, bool *hit) {
  Value *a = &R[A_OF(w)];
  if (value_truth(vm, *a, hit)) return 1;
  if (FLAGS_OF(w) & M1) clear(vm, a);
  return 0;
}

/* The left side of an `and` or `or` that does not decide at once must fit. */
static int check_logic(Vm *vm, bool is_and, Value v) {
  Value out;
  if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->dtype == DT_BOOL) return 0;
  return value_logic(vm, is_and, v, v, &out);
}

static __attribute__((noinline)) int slow_global(Vm *vm, const Proto *p, uint32_t slot, Value *r) {
  Value v;
  if (module_read(vm, p->module, slot, &v)) return 1;
  set(vm, r, v);
  return 0;
}

static int make_closure(Vm *vm, Closure *outer, Instr w, Value *R) {
  Proto *p = outer->proto->protos[BX_OF(w)];
  Closure *c;
  if (closure_new(vm, p, &c)) return 1;
  for (uint32_t i = 0; i < p->n_captures; i++) {
    Capture from = p->captures[i];
    c->up[i] = value_ref(from.local ? R[from.index] : outer->up[from.index]);
  }
  set(vm, &R[A_OF(w)], value_obj(c));
  return 0;
}

static __attribute__((noinline)) int slow_get(Vm *vm, Instr w, Value *R) {
  unsigned flags = FLAGS_OF(w);
  bool many = OP_OF(w) == I_GETIDXN;
  unsigned n = many ? (flags >> 4) + 1 : 1;
  Value *b = &R[B_OF(w)], *c = &R[C_OF(w)], out;
  if (index_get(vm, *b, c, (int)n, &out)) return 1;
  if (flags & M1) clear(vm, b);
  for (unsigned k = 0; many && k < n; k++) clear(vm, &c[k]);
  if (!many && (flags & M2)) clear(vm, c);
  set(vm, &R[A_OF(w)], out);
  return 0;
}

static __attribute__((noinline)) int slow_set(Vm *vm, Instr w, Value *R) {
  unsigned flags = FLAGS_OF(w);
  bool many = OP_OF(w) == I_SETIDXN;
  unsigned n = many ? (flags >> 4) + 1 : 1;
  Value *b = &R[B_OF(w)], *c = &R[C_OF(w)];
  if (index_set(vm, &R[A_OF(w)], b, (int)n, *c)) return 1;
  for (unsigned k = 0; many && k < n; k++) clear(vm, &b[k]);
  if (!many && (flags & M1)) clear(vm, b);
  if (flags & (many ? M1 : M2)) clear(vm, c);
  return 0;
}

static int set_place(Vm *vm, const Proto *p, Instr w, Instr ext, Value *R) {
  const Place *place = &p->places[BX_OF(ext)];
  Value *ix = &R[B_OF(w)], *c = &R[C_OF(w)];
  if (place_set(vm, &R[A_OF(w)], place, ix, *c)) return 1;
  for (uint32_t s = 0; s < place->n; s++)
    for (uint32_t k = 0; k < place->steps[s].n; k++) clear(vm, ix++);
  if (FLAGS_OF(w) & M1) clear(vm, c);
  return 0;
}

static int get_field(Vm *vm, const Value *K, Instr w, Value *R) {
  Value *b = &R[B_OF(w)], out;
  if (field_get(vm, *b, AS_STR(K[C_OF(w)]), &out)) return 1;
  if (FLAGS_OF(w) & M1) clear(vm, b);
  set(vm, &R[A_OF(w)], out);
  return 0;
}

/* R[a].name(...): the function into R[a], a model that the method gets as its
 * first argument into R[a+1].                                                */
static int get_method(Vm *vm, const Value *K, Instr w, Value *R) {
  Value *a = &R[A_OF(w)], out;
  Str *name = AS_STR(K[BX_OF(w)]);
  clear(vm, &a[1]);
  a[1] = UNSET_VALUE;
  if (value_is(*a, OBJ_MODEL) && AS_MODEL(*a)->methods &&
      !record_get_str(AS_MODEL(*a)->fields, name)) {
    Value *method = record_get_str(AS_MODEL(*a)->methods, name);
    if (method) {
      Value fn = value_ref(*method);
      copy(&a[1], a);
      copy(a, &fn);
      return 0;
    }
  }
  if (field_get(vm, *a, name, &out)) return 1;
  set(vm, a, out);
  return 0;
}

static int range_bounds(Vm *vm, Value v) {
  return vm_error(vm, "the ends of a range are ints, found %s", value_type_name(v));
}

/* Bounds of a counting loop that are not both plain ints. */
static __attribute__((noinline)) int loop_bounds(Vm *vm, Value *a) {
  for (int k = 0; k < 2; k++) {
    if (value_is(a[k], OBJ_TENSOR) && AS_TENSOR(a[k])->rank == 0 &&
        AS_TENSOR(a[k])->dtype == DT_I64)
      set(vm, &a[k], value_int(tensor_get_i64(AS_TENSOR(a[k]), 0)));
    if (a[k].tag != V_INT) return range_bounds(vm, a[k]);
  }
  return 0;
}

static int make_range(Vm *vm, Instr w, Value *R) {
  unsigned flags = FLAGS_OF(w);
  Value a = flags & F_NOSTART ? value_int(0) : R[B_OF(w)],
        b = flags & F_NOSTOP ? value_int(0) : R[C_OF(w)];
  if (a.tag != V_INT || b.tag != V_INT) return range_bounds(vm, a.tag == V_INT ? b : a);
  if ((flags & F_INCL) && __builtin_add_overflow(b.i, 1, &b.i))
    return vm_error(vm, "range is too long");
  Value r = range_new(vm, a.i, b.i);
  if (is_unset(r)) return 1;
  r.o->flags =
      (uint8_t)((flags & F_NOSTART ? RANGE_NO_START : 0) | (flags & F_NOSTOP ? RANGE_NO_STOP : 0));
  set(vm, &R[A_OF(w)], r);
  return 0;
}

static int make_tuple(Vm *vm, Instr w, Value *R) {
  unsigned n = C_OF(w);
  List *l = list_new(vm, true, n);
  if (!l) return 1;
  for (unsigned i = 0; i < n; i++) {
    copy(&l->items[i], &R[B_OF(w) + i]);
    R[B_OF(w) + i] = NIL_VALUE;
  }
  l->n = n;
  set(vm, &R[A_OF(w)], value_obj(l));
  return 0;
}

static int make_record(Vm *vm, Instr w, Value *R, const Value *K) {
  List *keys = AS_LIST(K[C_OF(w)]);
  Record *r = record_new(vm, keys->n);
  if (!r) return 1;
  for (uint32_t i = 0; i < keys->n; i++) {
    Value v = R[B_OF(w) + i];
    R[B_OF(w) + i] = NIL_VALUE;
    if (record_set_str(vm, r, AS_STR(keys->items[i]), v)) {
      value_unref(vm, value_obj(r));
      return 1;
    }
  }
  set(vm, &R[A_OF(w)], value_obj(r));
  return 0;
}

/* brackets and strings: a run of registers becomes one value */
static int make_from_range(Vm *vm, Instr w, Value *R) {
  Value *items = &R[B_OF(w)], out;
  unsigned n = C_OF(w), flags = FLAGS_OF(w);
  if (OP_OF(w) == I_CONCAT ? build_concat(vm, items, n, &out)
                           : build_bracket(vm, items, n, flags & F_NESTED, flags & F_MIXED, &out))
    return 1;
  for (unsigned i = 0; i < n; i++) clear(vm, &items[i]);
  set(vm, &R[A_OF(w)], out);
  return 0;
}

static int push_item(Vm *vm, Instr w, Value *R) {
  Value *b = &R[B_OF(w)], item = *b;
  if (FLAGS_OF(w) & M2) *b = NIL_VALUE;
  else value_ref(item);
  return list_push(vm, AS_LIST(R[A_OF(w)]), item);
}

static int new_list(Vm *vm, Instr w, Value *R) {
  List *l = list_new(vm, false, 8);
  if (!l) return 1;
  set(vm, &R[A_OF(w)], value_obj(l));
  return 0;
}

static int unpack(Vm *vm, Instr w, Value *R) {
  Value *a = &R[A_OF(w)], *b = &R[B_OF(w)], whole = value_ref(*b);
  unsigned n = C_OF(w);
  if (FLAGS_OF(w) & M1) clear(vm, b);
  for (unsigned i = 0; i < n; i++) clear(vm, &a[i]);
  int failed = value_unpack(vm, whole, (int)n, a);
  if (failed) for (unsigned i = 0; i < n; i++) a[i] = NIL_VALUE;
  value_unref(vm, whole);
  return failed;
}

static int format_piece(Vm *vm, Instr w, Value *R, const Value *K) {
  Value *b = &R[B_OF(w)], out;
  const char *spec = C_OF(w) == 0xffff ? NULL : AS_STR(K[C_OF(w)])->data;
  if (value_format(vm, *b, spec, &out)) return 1;
  if (FLAGS_OF(w) & M1) clear(vm, b);
  set(vm, &R[A_OF(w)], out);
  return 0;
}

static int extent(Vm *vm, Instr w, Value *R) {
  int64_t n;
  Value *b = &R[B_OF(w)];
  if (dimension(vm, *b, (int)C_OF(w), &n)) return 1;
  if (FLAGS_OF(w) & M1) clear(vm, b);
  set(vm, &R[A_OF(w)], value_int(n));
  return 0;
}

static int same_extent(Vm *vm, Instr w, Value *R, const Value *K) {
  Value a = R[A_OF(w)], b = R[B_OF(w)];
  if (a.i == b.i) return 0;
  return vm_error(vm, "the index `%s` runs to %lld in one place and to %lld in another",
                  AS_STR(K[C_OF(w)])->data, (long long)a.i, (long long)b.i);
}

static int iterator(Vm *vm, Instr w, Value *R) {
  Value *a = &R[A_OF(w)];
  if (iterate_begin(vm, a, FLAGS_OF(w) & F_NESTED)) return 1;
  set(vm, &a[1], value_int(0));
  return 0;
}

static int push_handler(Vm *vm, Instr w, const Instr *pc) {
  Handler *tries = grow(vm, vm->tries, &vm->cap_tries, vm->n_tries + 1, sizeof(Handler));
  if (!tries) return 1;
  vm->tries = tries;
  tries[vm->n_tries++] = (Handler){vm->n_frames - 1, pc + BX_OF(w), A_OF(w), vm->n_scopes};
  return 0;
}

static int open_scope(Vm *vm, Instr w, Value *R) {
  int64_t seed;
  if (arg_int(vm, R[A_OF(w)], "seed", &seed)) return 1;
  return vm_push_scope(vm, rng_seeded(seed).key);
}

static int load_module(Vm *vm, const Proto *p, Instr w, Value *R) {
  Value out;
  if (module_import(vm, p->source, AS_STR(p->consts[BX_OF(w)])->data, FLAGS_OF(w) & F_NESTED, &out))
    return 1;
  set(vm, &R[A_OF(w)], out);
  return 0;
}

static int read_input(Vm *vm, Instr w, Value *R, const Value *K) {
  Value out;
  if (input_value(vm, AS_STR(K[C_OF(w)])->data, R[B_OF(w)], &out)) return 1;
  set(vm, &R[A_OF(w)], out);
  return 0;
}

/* A model is called through its `forward`, with itself as the first argument. */
static int call_model(Vm *vm, Model *m, Value *args, unsigned n) {
  if (vm_reserve(vm, args + n + 1)) return 1;
  clear(vm, &args[n]);
  memmove(args + 1, args, n * sizeof(Value));
  args[0] = value_ref(value_obj(m));
  return 0;
}

/* ---- one-element access without a call ------------------------------------------- */

static inline bool fast_get(Rt *rt, const Value *b, int64_t i, Value *out) {
  if (b->o->kind == OBJ_TENSOR) {
    const Tensor *t = (const Tensor *)b->o;
    if (t->rank != 1 || rt->tape) return false;
    int64_t n = t->shape[0];
    if (i < 0) i += n;
    if ((uint64_t)i >= (uint64_t)n) return false;
    i *= t->stride[0];
    switch (t->dtype) {
    case DT_BOOL: put_bool(out, ((const uint8_t *)t->data)[i]); return true;
    case DT_I64: put_int(out, ((const int64_t *)t->data)[i]); return true;
    case DT_F64: put_float(out, ((const double *)t->data)[i]); return true;
    case DT_F32: put_float(out, ((const float *)t->data)[i]); return true;
    }
    return false;
  }
  if (b->o->kind == OBJ_LIST || b->o->kind == OBJ_TUPLE) {
    const List *l = (const List *)b->o;
    if (i < 0) i += l->n;
    if ((uint64_t)i >= l->n) return false;
    copy(out, &l->items[i]);
    value_ref(*out);
    return true;
  }
  return false;
}

static inline bool fast_set(Rt *rt, Value *a, int64_t i, const Value *x) {
  if (a->tag != V_OBJ || a->o->kind != OBJ_TENSOR || rt->tape) return false;
  Tensor *t = (Tensor *)a->o;
  if (t->rank != 1 || !tensor_unique(t)) return false;
  int64_t n = t->shape[0];
  if (i < 0) i += n;
  if ((uint64_t)i >= (uint64_t)n) return false;
  i *= t->stride[0];
  if (t->dtype == DT_F64 && x->tag == V_FLOAT) ((double *)t->data)[i] = x->f;
  else if (t->dtype == DT_I64 && x->tag == V_INT) ((int64_t *)t->data)[i] = x->i;
  else if (t->dtype == DT_BOOL && x->tag == V_BOOL) ((uint8_t *)t->data)[i] = x->b;
  else if (t->dtype == DT_F32 && x->tag == V_FLOAT) ((float *)t->data)[i] = (float)x->f;
  else return false;
  return true;
}

/* x[i, j] of a matrix, untaped */
static inline bool fast_get2(Rt *rt, const Value *b, const Value *c, Value *out) {
  if (b->tag != V_OBJ || b->o->kind != OBJ_TENSOR || rt->tape) return false;
  const Tensor *t = (const Tensor *)b->o;
  if (t->rank != 2 || c[0].tag != V_INT || c[1].tag != V_INT) return false;
  int64_t i = c[0].i, j = c[1].i;
  if ((uint64_t)i >= (uint64_t)t->shape[0] || (uint64_t)j >= (uint64_t)t->shape[1]) return false;
  int64_t at = i * t->stride[0] + j * t->stride[1];
  switch (t->dtype) {
  case DT_BOOL: put_bool(out, ((const uint8_t *)t->data)[at]); return true;
  case DT_I64: put_int(out, ((const int64_t *)t->data)[at]); return true;
  case DT_F64: put_float(out, ((const double *)t->data)[at]); return true;
  case DT_F32: put_float(out, ((const float *)t->data)[at]); return true;
  }
  return false;
}

static void drop_frame(Vm *vm, Frame *f) {
  for (uint32_t k = 0; k < f->proto->n_regs; k++) clear(vm, &f->base[k]);
  clear(vm, &f->base[-1]);
}

/* Unwinds to the innermost `try` above `floor` that may have this error. */
static bool recover(Vm *vm, uint32_t floor, uint32_t tries) {
  error_trace(vm, floor);
  bool caught = vm->n_tries > tries && error_catchable(vm);
  uint32_t keep = caught ? vm->tries[vm->n_tries - 1].frame + 1 : floor;
  while (vm->n_frames > keep) drop_frame(vm, &vm->frames[--vm->n_frames]);
  if (!caught) {
    vm->n_tries = tries;
    return false;
  }
  Handler h = vm->tries[--vm->n_tries];
  Frame *f = &vm->frames[h.frame];
  vm_pop_scopes(vm, h.scopes);
  f->pc = h.pc;
  set(vm, &f->base[h.reg], error_value(vm));
  error_clear(vm);
  return true;
}
#endif
