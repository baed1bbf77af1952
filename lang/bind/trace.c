/* trace.c: script values as differentiation leaves, and back (see trace.h). */
#include "lang/bind/trace.h"
#include "lang/bind/leaves.h"
#include "lang/bind/number.h"

#include <string.h>

enum { IS_GRADIENT = 0x6d };      /* Obj.aux of a tensor while a result is built */

static int keep_leaf(Vm *vm, Trace *t, Tensor *leaf) {
  if (t->n == t->cap) {
    uint32_t cap = t->cap ? t->cap * 2 : 8;
    Tensor **p = rt_realloc(vm_rt(vm), t->leaf, t->cap * sizeof *p, cap * sizeof *p);
    if (!p) return 1;
    t->leaf = p;
    t->cap = cap;
  }
  t->leaf[t->n++] = tensor_ref(leaf);
  return 0;
}

/* Replaces a number or tensor by a leaf of the innermost level. */
static int trace_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Rt *rt = vm_rt(vm);
  const Trace *tr = user;
  Tensor *t = value_to_tensor(vm, *leaf);
  int level = rt->tape->depth - tr->outer;
  Tensor *traced = t ? tape_leaf_at(rt, t, level) : NULL;
  tensor_unref(rt, t);
  if (!traced) return 1;
  if (keep_leaf(vm, user, traced)) {
    tensor_unref(rt, traced);
    return 1;
  }
  value_unref(vm, *leaf);
  *leaf = value_obj(traced);
  return 0;
}

/* Ints and integer tensors count as floats where a gradient is asked for. */
static int as_float(Vm *vm, Value x, Value *out) {
  if (x.tag == V_INT) {
    *out = value_float((double)x.i);
  } else if (value_is(x, OBJ_TENSOR) && AS_TENSOR(x)->dtype == DT_I64) {
    Tensor *f = tensor_astype(vm_rt(vm), AS_TENSOR(x), DT_F64);
    if (!f) return 1;
    *out = value_obj(f);
  } else if (value_is(x, OBJ_RANGE)) {
    Tensor *t = value_to_tensor(vm, x);
    Tensor *f = t ? tensor_astype(vm_rt(vm), t, DT_F64) : NULL;
    tensor_unref(vm_rt(vm), t);
    if (!f) return 1;
    *out = value_obj(f);
  } else {
    *out = value_ref(x);
  }
  return 0;
}

/* Containers: leaves as tree_visit finds them. */
static int trace_tree(Vm *vm, const char *what, Value x, Trace *t) {
  Leaves l;     /* plain numbers become tensors of the others' dtype */
  if (leaves_list(vm, &t->value, DT_F64, &l)) return 1;
  leaves_free(vm, &l);
  if (tree_own(vm, &t->value) || tree_visit(vm, &t->value, trace_leaf, t)) return 1;
  if (t->n) return 0;
  return vm_error(vm, "%s holds no float to differentiate by: it is %s %s", what,
                  VALUE_A(x));
}

static int begin(Vm *vm, Value x, const char *what, Trace *t, bool outer) {
  *t = (Trace){.value = NIL_VALUE, .outer = outer};
  if (as_float(vm, x, &t->value)) return 1;
  Value v = t->value;
  int failed;
  if (v.tag == V_FLOAT || value_is(v, OBJ_COMPLEX)) failed = trace_leaf(vm, "", &t->value, t);
  else if (!value_is(v, OBJ_TENSOR)) failed = trace_tree(vm, what, x, t);
  else if (AS_TENSOR(v)->dtype >= DT_F32) failed = trace_leaf(vm, "", &t->value, t);
  else failed = vm_error(vm, "%s is a bool tensor: it has no derivative", what);
  if (failed) trace_end(vm, t);
  return failed;
}

int trace_begin(Vm *vm, Value x, const char *what, Trace *t) {
  return begin(vm, x, what, t, false);
}

int trace_begin_outer(Vm *vm, Value x, const char *what, Trace *t) {
  return begin(vm, x, what, t, true);
}

void trace_end(Vm *vm, Trace *t) {
  for (uint32_t i = 0; i < t->n; i++) tensor_unref(vm_rt(vm), t->leaf[i]);
  if (t->leaf) rt_free(vm_rt(vm), t->leaf, t->cap * sizeof *t->leaf);
  value_unref(vm, t->value);
  *t = (Trace){.value = NIL_VALUE};
}

/* ---- gradients ---------------------------------------------------------------------- */

typedef struct { Tensor **grads; uint32_t n, next; } Fill;

static int put_gradient(Vm *vm, const char *path, Value *leaf, void *user) {
  Fill *f = user;
  if (f->next == f->n) return vm_error(vm, "the argument of a gradient changed its structure");
  Tensor *g = tensor_ref(f->grads[f->next++]);
  g->obj.aux = IS_GRADIENT;
  value_unref(vm, *leaf);
  *leaf = value_obj(g);
  return 0;
}

static void blank_others(Vm *vm, Value *v);

static void blank_record(Vm *vm, Record *r) {
  for (uint32_t i = 0; i < r->n; i++) blank_others(vm, &r->fields[i].value);
}

/* What is no gradient becomes nil; every container is ours alone. */
static void blank_others(Vm *vm, Value *v) {
  if (value_is(*v, OBJ_TENSOR) && AS_TENSOR(*v)->obj.aux == IS_GRADIENT) {
    if (AS_TENSOR(*v)->rank == 0 && !rt_taped(vm_rt(vm), AS_TENSOR(*v)))
      *v = value_simplify(vm, *v);
    return;
  }
  if (value_is(*v, OBJ_LIST) || value_is(*v, OBJ_TUPLE)) {
    for (uint32_t i = 0; i < AS_LIST(*v)->n; i++) blank_others(vm, &AS_LIST(*v)->items[i]);
  } else if (value_is(*v, OBJ_RECORD)) {
    blank_record(vm, AS_RECORD(*v));
  } else if (value_is(*v, OBJ_MODEL)) {
    blank_record(vm, AS_MODEL(*v)->fields);
  } else if (!value_is(*v, OBJ_BOX) || !AS_BOX(*v)->type->leaves) {
    value_unref(vm, *v);
    *v = NIL_VALUE;
  }
}

int trace_gradient(Vm *vm, const Trace *t, Tensor **grads, Value *out) {
  Fill f = {grads, t->n, 0};
  Rt *rt = vm_rt(vm);
  *out = value_ref(t->value);
  int failed = 1;
  if (value_is(*out, OBJ_TENSOR)) failed = put_gradient(vm, "", out, &f);
  else if (!tree_own(vm, out)) failed = tree_visit(vm, out, put_gradient, &f);
  if (!failed) blank_others(vm, out);
  for (uint32_t i = 0; i < t->n; i++) {
    grads[i]->obj.aux = 0;
    tensor_unref(rt, grads[i]);
  }
  if (failed) value_unref(vm, *out);
  return failed;
}

/* ---- settling, detaching --------------------------------------------------------------- */

static int settle_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  if (value_is(*leaf, OBJ_TENSOR) && AS_TENSOR(*leaf)->rank == 0) *leaf = value_simplify(vm, *leaf);
  return 0;
}

int trace_settle(Vm *vm, Value v, Value *out) {
  *out = v;
  if (value_is(v, OBJ_TENSOR)) return settle_leaf(vm, "", out, NULL);
  if (!tree_own(vm, out) && !tree_visit(vm, out, settle_leaf, NULL)) return 0;
  value_unref(vm, *out);
  return 1;
}

static int detach_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  if (!value_is(*leaf, OBJ_TENSOR)) return 0;
  Tensor *t = tape_detach(vm_rt(vm), AS_TENSOR(*leaf));
  if (!t) return 1;
  value_unref(vm, *leaf);
  *leaf = t->rank ? value_obj(t) : value_simplify(vm, value_obj(t));
  return 0;
}

int trace_detach(Vm *vm, Value v, Value *out) {
  *out = value_ref(v);
  if (value_is(v, OBJ_TENSOR)) {
    if (!detach_leaf(vm, "", out, NULL)) return 0;
  } else if (!tree_own(vm, out) && !tree_visit(vm, out, detach_leaf, NULL)) {
    return 0;
  }
  value_unref(vm, *out);
  return 1;
}

/* ---- inner products ----------------------------------------------------------------------- */

static int collect(Vm *vm, const char *path, Value *leaf, void *user) {
  Tensor *t = value_to_tensor(vm, *leaf);
  if (!t) return 1;
  int failed = keep_leaf(vm, user, t);
  tensor_unref(vm_rt(vm), t);
  return failed;
}

static int collect_leaves(Vm *vm, Value v, Trace *t) {
  Value x;
  if (as_float(vm, v, &x)) return 1;
  bool plain = x.tag == V_FLOAT || value_is(x, OBJ_COMPLEX) || value_is(x, OBJ_TENSOR);
  int failed = plain ? collect(vm, "", &x, t) : tree_visit(vm, &x, collect, t);
  value_unref(vm, x);
  return failed;
}

/* Of two scalars the narrower adapts, as in arithmetic. */
static unsigned weak_of(const Tensor *a, const Tensor *b) {
  if (a->rank || b->rank || a->dtype == b->dtype) return 0;
  return a->dtype < b->dtype ? 1 : 2;
}

/* Re(conj(a) b), summed */
static Tensor *dot(Rt *rt, Tensor *a, Tensor *b) {
  Tensor *c = dtype_complex(a->dtype) ? op_unary(rt, UN_CONJ, a, 0) : tensor_ref(a);
  Tensor *p = c ? op_binary(rt, BIN_MUL, c, b, 0, weak_of(c, b)) : NULL;
  tensor_unref(rt, c);
  Tensor *r = p && dtype_complex(p->dtype) ? op_unary(rt, UN_REAL, p, 0) : p ? tensor_ref(p) : NULL;
  tensor_unref(rt, p);
  Tensor *s = r ? op_reduce(rt, RED_SUM, r, ~0u, false) : NULL;
  tensor_unref(rt, r);
  return s;
}

static bool same_shape(const Tensor *a, const Tensor *b) {
  return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

Tensor *trace_dot(Vm *vm, Value a, Value b, const char *what) {
  Rt *rt = vm_rt(vm);
  Trace x = {.value = NIL_VALUE}, y = {.value = NIL_VALUE};
  Tensor *sum = NULL;
  if (collect_leaves(vm, a, &x) || collect_leaves(vm, b, &y)) goto done;
  if (x.n != y.n || x.n == 0) {
    vm_error(vm, "`%s`: the direction has %u float leaves, %u are needed", what, x.n, y.n);
    goto done;
  }
  for (uint32_t i = 0; i < x.n; i++) {
    Tensor *v = x.leaf[i], *w = y.leaf[i];
    if (!same_shape(v, w)) {
      char s[128], r[128];
      vm_error(vm, "`%s`: the direction has shape %s, %s is needed", what, tensor_shape_text(v, s),
               tensor_shape_text(w, r));
      tensor_unref(rt, sum);
      sum = NULL;
      goto done;
    }
    Tensor *d = dot(rt, v, w), *next = NULL;
    if (d) next = sum ? op_binary(rt, BIN_ADD, sum, d, 0, weak_of(sum, d)) : tensor_ref(d);
    tensor_unref(rt, d);
    tensor_unref(rt, sum);
    sum = next;
    if (!sum) goto done;
  }
done:
  trace_end(vm, &x);
  trace_end(vm, &y);
  return sum;
}
