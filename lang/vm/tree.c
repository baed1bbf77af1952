/* tree.c: models, records, lists, tuples and boxes as trees of float leaves:
 * walking them, making them unshared, arithmetic leaf by leaf.               */
#include "lang/vm/internal.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 200

typedef int (*Visit)(Vm *vm, const char *path, Value *leaf, void *user);
typedef struct {
  Visit visit;
  void *user;
  char path[256];
  size_t len;
} Walk;

static size_t path_push(Walk *w, const char *fmt, const char *name, uint32_t index) {
  size_t old = w->len;
  char *at = w->path + w->len;
  size_t room = sizeof w->path - w->len;
  int n = name ? snprintf(at, room, fmt, name) : snprintf(at, room, fmt, index);
  if (n > 0) w->len += (size_t)n < room ? (size_t)n : room - 1;
  return old;
}

static void path_pop(Walk *w, size_t old) {
  w->len = old;
  w->path[old] = 0;
}

static bool is_leaf(Value v) {
  return v.tag == V_FLOAT || (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->dtype >= DT_F32);
}

static bool declared_leaf(const Model *m, const Str *name) {
  for (uint32_t i = 0; m->leaf_names && i < m->leaf_names->n; i++) {
    Str *s = AS_STR(m->leaf_names->items[i]);
    if (s->len == name->len && memcmp(s->data, name->data, s->len) == 0) return true;
  }
  return false;
}

/* A number or a tensor of the leaf's shape, in the leaf's dtype; consumes *v. */
int leaf_assign(Vm *vm, const Model *m, const Str *name, Value old, Value *v) {
  char have[128], want[128];
  if (!declared_leaf(m, name) || !value_is(old, OBJ_TENSOR) || !is_leaf(old)) return 0;
  Rt *rt = vm->rt;
  Tensor *leaf = AS_TENSOR(old), *t = NULL;
  bool number = (v->tag >= V_BOOL && v->tag <= V_FLOAT) || value_is(*v, OBJ_COMPLEX);
  if (!number && !value_is(*v, OBJ_TENSOR) && !value_is(*v, OBJ_RANGE))
    return vm_error(vm, "param `%s` is a tensor of shape %s, found %s %s", name->data,
                    tensor_shape_text(leaf, want), VALUE_A(*v));
  t = value_to_tensor(vm, *v);
  if (!t) return 1;
  bool same = t->rank == leaf->rank &&
              !memcmp(t->shape, leaf->shape, (size_t)t->rank * sizeof *t->shape);
  if (!same) {
    vm_error(vm, "param `%s` has shape %s, found %s", name->data, tensor_shape_text(leaf, want),
             number ? "a number" : tensor_shape_text(t, have));
    if (number) vm_help(vm, "fill it: full(%s, x)", tensor_shape_text(leaf, want));
    else vm_help(vm, "a leaf keeps its shape; make a new model for another");
  } else if (dtype_complex(t->dtype) && !dtype_complex(leaf->dtype)) {
    vm_error(vm, "param `%s` is %s, found %s", name->data, dtype_name[leaf->dtype],
             dtype_name[t->dtype]);
    same = false;
  }
  Tensor *fit = same ? op_astype(rt, t, leaf->dtype) : NULL;
  tensor_unref(rt, t);
  if (!fit) return 1;
  value_unref(vm, *v);
  *v = value_obj(fit);
  return 0;
}

static int too_deep(Vm *vm) {
  return vm_error(vm, "value is nested too deeply (limit %d)", DEPTH_MAX);
}

/* A box names its leaves itself; their paths continue ours. */
typedef struct { Walk *walk; } BoxWalk;
static int box_leaf(Vm *vm, const char *name, Value *leaf, void *user) {
  Walk *w = ((BoxWalk *)user)->walk;
  size_t old = path_push(w, w->len ? ".%s" : "%s", name, 0);
  int failed = w->visit(vm, w->path, leaf, w->user);
  path_pop(w, old);
  return failed;
}

static int walk(Vm *vm, Value *v, Walk *w, bool in_model, int depth);

static int walk_record(Vm *vm, Record *r, const Model *m, Walk *w, bool in_model, int depth) {
  for (uint32_t i = 0; i < r->n; i++) {
    Str *key = r->fields[i].key;
    size_t old = path_push(w, w->len ? ".%s" : "%s", key->data, 0);
    bool constant = m ? !declared_leaf(m, key) : in_model;
    int failed = walk(vm, &r->fields[i].value, w, constant, depth);
    path_pop(w, old);
    if (failed) return failed;
  }
  return 0;
}

/* `constant`: plain numbers here are constants of a model, not leaves. */
static int walk(Vm *vm, Value *v, Walk *w, bool constant, int depth) {
  if (depth == 0) return too_deep(vm);
  if (is_leaf(*v)) return constant ? 0 : w->visit(vm, w->path, v, w->user);
  if (!IS_OBJ(*v)) return 0;
  switch (v->o->kind) {
  case OBJ_LIST: case OBJ_TUPLE: {
    List *l = AS_LIST(*v);
    for (uint32_t i = 0; i < l->n; i++) {
      size_t old = path_push(w, "[%u]", NULL, i);
      int failed = walk(vm, &l->items[i], w, constant, depth - 1);
      path_pop(w, old);
      if (failed) return failed;
    }
    return 0;
  }
  case OBJ_RECORD: return walk_record(vm, AS_RECORD(*v), NULL, w, constant, depth - 1);
  case OBJ_MODEL: return walk_record(vm, AS_MODEL(*v)->fields, AS_MODEL(*v), w, true, depth - 1);
  case OBJ_BOX: {
    BoxWalk user = {w};
    const BoxType *t = AS_BOX(*v)->type;
    return t->leaves ? t->leaves(vm, AS_BOX(*v), box_leaf, &user) : 0;
  }
  }
  return 0;
}

int tree_visit(Vm *vm, Value *v, Visit visit, void *user) {
  Walk w = {.visit = visit, .user = user};
  return walk(vm, v, &w, false, DEPTH_MAX);
}

static int own(Vm *vm, Value *v, int depth) {
  if (!IS_OBJ(*v)) return 0;
  if (depth == 0) return too_deep(vm);
  Value *items = NULL;
  uint32_t n = 0;
  switch (v->o->kind) {
  case OBJ_LIST: case OBJ_TUPLE: case OBJ_RECORD: case OBJ_MODEL: break;
  case OBJ_BOX:
    if (AS_BOX(*v)->type->leaves) break;
    return 0;
  default: return 0;
  }
  Value mine = object_own(vm, *v);
  if (is_unset(mine)) {
    *v = NIL_VALUE;
    return 1;
  }
  *v = mine;
  if (mine.o->kind == OBJ_LIST || mine.o->kind == OBJ_TUPLE) {
    items = AS_LIST(mine)->items;
    n = AS_LIST(mine)->n;
  }
  for (uint32_t i = 0; i < n; i++)
    if (own(vm, &items[i], depth - 1)) return 1;
  if (mine.o->kind == OBJ_MODEL) {
    Value fields = object_own(vm, value_obj(AS_MODEL(mine)->fields));
    if (is_unset(fields)) {
      AS_MODEL(mine)->fields = NULL;
      return 1;
    }
    AS_MODEL(mine)->fields = AS_RECORD(fields);
  }
  Record *r = mine.o->kind == OBJ_RECORD ? AS_RECORD(mine)
              : mine.o->kind == OBJ_MODEL ? AS_MODEL(mine)->fields : NULL;
  for (uint32_t i = 0; r && i < r->n; i++)
    if (own(vm, &r->fields[i].value, depth - 1)) return 1;
  return 0;
}

int tree_own(Vm *vm, Value *v) { return own(vm, v, DEPTH_MAX); }

/* ---- arithmetic leaf by leaf -------------------------------------------------- */

typedef struct {
  AstOp op;
  Value other;           /* the number or tensor on the other side            */
  bool other_left;
  Value *leaves;         /* or the other tree's leaves                        */
  uint32_t n, cap, next;
} Leafwise;

static int collect_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Leafwise *lw = user;
  Value *leaves = grow(vm, lw->leaves, &lw->cap, lw->n + 1, sizeof(Value));
  if (!leaves) return 1;
  lw->leaves = leaves;
  leaves[lw->n++] = *leaf;
  return 0;
}

static int apply_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Leafwise *lw = user;
  Value r, other = lw->other;
  if (lw->leaves) {
    if (lw->next == lw->n)
      return vm_error(vm, "`%s` on trees of different structure: the right side has no leaf %s",
                      ast_op_text(lw->op), path);
    other = lw->leaves[lw->next++];
    if (value_is(*leaf, OBJ_TENSOR) && value_is(other, OBJ_TENSOR)) {
      Tensor *a = AS_TENSOR(*leaf), *b = AS_TENSOR(other);
      if (a->rank != b->rank ||
          (a->rank && memcmp(a->shape, b->shape, a->rank * sizeof *a->shape))) {
        char sa[128], sb[128];
        return vm_error(
            vm, "`%s` on trees of different structure: %s is %s on the left, %s on the right",
            ast_op_text(lw->op), path, tensor_shape_text(a, sa), tensor_shape_text(b, sb));
      }
    }
  }
  Value a = lw->other_left ? other : *leaf, b = lw->other_left ? *leaf : other;
  if (value_binary(vm, lw->op, a, b, lw->other_left ? 2 : 1, &r)) return 1;
  value_unref(vm, *leaf);
  *leaf = r;
  return 0;
}

static bool is_number_like(Value v) { return value_is_scalar(v) || value_is(v, OBJ_TENSOR); }

int leafwise_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  bool left_plain = is_number_like(a), both = !left_plain && !is_number_like(b);
  Value tree = left_plain ? b : a;
  if (both && (a.o->kind != b.o->kind))
    return vm_error(vm, "`%s` does not work on %s and %s", ast_op_text(op), value_type_name(a),
                    value_type_name(b));
  Leafwise lw = {.op = op, .other = left_plain ? a : b, .other_left = left_plain};
  Value collected = b;
  if (both && tree_visit(vm, &collected, collect_leaf, &lw)) goto fail;
  if (both && !lw.n) {     /* nothing on the right: still a tree comparison */
    lw.leaves = rt_alloc(vm->rt, sizeof(Value));
    if (!lw.leaves) goto fail;
    lw.cap = 1;
  }
  bool in_place = (reuse & (left_plain ? 2u : 1u)) && tree.o->refs == 1;
  if (!in_place) value_ref(tree);
  Value result = tree;
  if (tree_own(vm, &result) || tree_visit(vm, &result, apply_leaf, &lw)) {
    if (!in_place) value_unref(vm, result);
    goto fail;
  }
  if (lw.next != lw.n) {
    vm_error(vm, "`%s` on trees of different structure: %u leaves on the left, %u on the right",
             ast_op_text(op), lw.next, lw.n);
    if (!in_place) value_unref(vm, result);
    goto fail;
  }
  rt_free(vm->rt, lw.leaves, lw.cap * sizeof(Value));
  *out = in_place ? value_ref(result) : result;
  return 0;
fail:
  rt_free(vm->rt, lw.leaves, lw.cap * sizeof(Value));
  return 1;
}
