/* leaves.c: collecting and packing the leaves of a value (see leaves.h). */
#include "lang/bind/leaves.h"
#include "runtime/grad/grad.h"

#include <string.h>

static bool is_leaf_tensor(Value v) {
  return value_is(v, OBJ_TENSOR) && dtype_float(AS_TENSOR(v)->dtype);
}

static int list_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Leaves *l = user;
  if (leaf->tag == V_FLOAT) l->numbers = true;
  if (!is_leaf_tensor(*leaf)) return 0;
  Rt *rt = vm_rt(vm);
  if (l->n == l->cap) {
    uint32_t cap = l->cap ? l->cap * 2 : 32;
    Tensor **items = rt_realloc(rt, l->items, l->cap * sizeof *items, cap * sizeof *items);
    if (!items) return 1;
    l->items = items;
    l->cap = cap;
  }
  Tensor *t = AS_TENSOR(*leaf);
  if (l->n && t->dtype != l->dtype) l->mixed = true;
  if (!l->n || t->dtype > l->dtype) l->dtype = t->dtype;
  if (rt_taped(rt, t)) l->traced = true;
  l->size += t->size;
  l->items[l->n++] = t;
  return 0;
}

static int list_once(Vm *vm, Value *v, DType alone, Leaves *out) {
  *out = (Leaves){.dtype = alone};
  int failed = tree_visit(vm, v, list_leaf, out);
  if (failed) leaves_free(vm, out);
  return failed;
}

static int box_number(Vm *vm, const char *path, Value *leaf, void *user) {
  if (leaf->tag != V_FLOAT) return 0;
  Tensor *t = tensor_scalar(vm_rt(vm), *(DType *)user, leaf->f, 0);
  if (!t) return 1;
  *leaf = value_obj(t);
  return 0;
}

int leaves_list(Vm *vm, Value *v, DType alone, Leaves *out) {
  if (list_once(vm, v, alone, out)) return 1;
  if (!out->numbers) return 0;
  DType dt = out->n ? out->dtype : alone;
  leaves_free(vm, out);
  if (tree_own(vm, v) || tree_visit(vm, v, box_number, &dt)) return 1;
  return list_once(vm, v, alone, out);
}

void leaves_free(Vm *vm, Leaves *l) {
  if (l->items) rt_free(vm_rt(vm), l->items, l->cap * sizeof *l->items);
  *l = (Leaves){0};
}

Tensor *leaves_flat(Vm *vm, const Leaves *l) {
  if (!l->n || l->mixed) return NULL;
  Storage *st = l->items[0]->storage;
  const char *next = l->items[0]->data;
  for (uint32_t i = 0; i < l->n; i++) {
    const Tensor *t = l->items[i];
    if (t->storage != st || t->data != next || !t->contiguous) return NULL;
    next += (size_t)t->size * dtype_size[t->dtype];
  }
  int64_t shape[1] = {l->size}, stride[1] = {1};
  return tensor_view(vm_rt(vm), l->items[0], 1, shape, stride, 0);
}

Tensor *leaves_gather(Vm *vm, const Leaves *l) {
  Rt *rt = vm_rt(vm);
  int64_t shape[1] = {l->size};
  Tensor *flat = tensor_new(rt, l->dtype, 1, shape);
  if (!flat) return NULL;
  char *p = flat->data;
  for (uint32_t i = 0; i < l->n; i++) {
    Tensor *cast = tensor_astype(rt, l->items[i], l->dtype);
    Tensor *t = cast ? tensor_contiguous(rt, cast) : NULL;
    tensor_unref(rt, cast);
    if (!t) {
      tensor_unref(rt, flat);
      return NULL;
    }
    size_t bytes = (size_t)t->size * dtype_size[l->dtype];
    if (bytes) memcpy(p, t->data, bytes);
    p += bytes;
    tensor_unref(rt, t);
  }
  return flat;
}

/* The buffer may be written in place when only these leaves look at it. */
static bool leaves_private(const Leaves *l) {
  for (uint32_t i = 0; i < l->n; i++)
    if (l->items[i]->obj.refs != 1) return false;
  return l->n && l->items[0]->storage->refs == l->n;
}

typedef struct { Tensor *flat; int64_t offset; } Rehome;

static int rehome_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Rehome *rh = user;
  if (!is_leaf_tensor(*leaf)) return 0;
  Rt *rt = vm_rt(vm);
  Tensor *old = AS_TENSOR(*leaf);
  int64_t stride[TENSOR_MAX_RANK], step = 1;
  for (int k = old->rank - 1; k >= 0; k--) {
    stride[k] = step;
    step *= old->shape[k];
  }
  Tensor *t = tensor_view(rt, rh->flat, old->rank, old->shape, stride, rh->offset);
  if (!t) return 1;
  rh->offset += old->size;
  tensor_unref(rt, old);
  *leaf = value_obj(t);
  return 0;
}

int leaves_pack(Vm *vm, Value *v, DType alone, Tensor **flat) {
  *flat = NULL;
  Leaves l;
  if (tree_own(vm, v) || leaves_list(vm, v, alone, &l)) return 1;
  if (leaves_private(&l)) *flat = leaves_flat(vm, &l);
  if (*flat || !l.n) {
    leaves_free(vm, &l);
    return 0;
  }
  Tensor *fresh = leaves_gather(vm, &l);
  leaves_free(vm, &l);
  if (!fresh) return 1;
  Rehome rh = {fresh, 0};
  if (tree_visit(vm, v, rehome_leaf, &rh)) {
    tensor_unref(vm_rt(vm), fresh);
    return 1;
  }
  *flat = fresh;
  return 0;
}
