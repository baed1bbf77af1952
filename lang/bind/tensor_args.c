/* tensor_args.c: reading the arguments that array functions share.           */
#include <stdlib.h>
#include <string.h>

#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/grad/grad.h"

/* The functions that stand for a dtype when given as one. */
static const struct {
  const char *function;
  DType dtype;
} dtype_functions[] = {
    {"f32", DT_F32}, {"f64", DT_F64}, {"c64", DT_C64}, {"c128", DT_C128}, {"i64", DT_I64},
    {"bool", DT_BOOL}, {"int", DT_I64}, {"float", DT_F64}, {"complex", DT_C128},
};

static int dtype_unknown(Vm *vm, const char *found) {
  int best = -1, least = 3;
  for (int i = 0; i < DT_COUNT; i++) {
    int d = edit_distance(found, dtype_name[i], 3);
    if (d < least) least = d, best = i;
  }
  vm_error(vm, "unknown dtype \"%.40s\"; there are bool, i64, f32, f64, c64 and c128", found);
  if (!strcmp(found, "int") || !strcmp(found, "int64")) best = DT_I64;
  if (!strcmp(found, "float") || !strcmp(found, "float64") || !strcmp(found, "double"))
    best = DT_F64;
  if (!strcmp(found, "float32") || !strcmp(found, "single")) best = DT_F32;
  if (!strcmp(found, "complex") || !strcmp(found, "complex128")) best = DT_C128;
  if (best >= 0) vm_help(vm, "did you mean \"%s\"?", dtype_name[best]);
  return 1;
}

int arg_dtype(Vm *vm, Value v, DType otherwise, DType *out) {
  *out = otherwise;
  if (v.tag == V_NIL) return 0;
  if (value_is(v, OBJ_NATIVE)) {
    const char *name = AS_NATIVE(v)->def->name;
    for (size_t i = 0; i < sizeof dtype_functions / sizeof *dtype_functions; i++)
      if (!strcmp(name, dtype_functions[i].function)) {
        *out = dtype_functions[i].dtype;
        return 0;
      }
    return dtype_unknown(vm, name);
  }
  if (!value_is(v, OBJ_STR)) {
    vm_error(vm, "dtype must be a name such as \"f32\" or the function f32, found %s",
             value_type_name(v));
    return 1;
  }
  int dt = dtype_from_name(AS_STR(v)->data);
  if (dt < 0) return dtype_unknown(vm, AS_STR(v)->data);
  *out = (DType)dt;
  return 0;
}

int arg_extents(Vm *vm, Value star, int *rank, int64_t *shape) {
  List *xs = AS_LIST(star);
  if (xs->n == 1) return arg_shape(vm, xs->items[0], "shape", rank, shape);
  if (xs->n > TENSOR_MAX_RANK)
    return vm_error(vm, "a tensor has at most %d axes, found %u extents", TENSOR_MAX_RANK, xs->n);
  *rank = (int)xs->n;
  for (uint32_t i = 0; i < xs->n; i++)
    if (arg_int(vm, xs->items[i], "shape", &shape[i])) return 1;
  return 0;
}

int arg_stream(Vm *vm, Value seed, RngCall *out) {
  int64_t s;
  if (seed.tag == V_NIL) {
    *out = rng_next(vm_rt(vm));
    return 0;
  }
  if (arg_int(vm, seed, "seed", &s)) return 1;
  *out = rng_seeded(s);
  return 0;
}

int arg_axis(Vm *vm, Value v, int *out) {
  int64_t a;
  if (arg_int(vm, v, "axis", &a)) return 1;
  if (a < -TENSOR_MAX_RANK || a >= TENSOR_MAX_RANK)
    return vm_error(vm, "axis %lld does not exist: a tensor has at most %d", (long long)a,
                    TENSOR_MAX_RANK);
  *out = (int)a;
  return 0;
}

/* The rows of a tensor along its first axis. */
static Tensor *row_of(Vm *vm, Tensor *t, int64_t i) {
  Index ix = {.kind = IX_AT, .at = i};
  return op_index(vm_rt(vm), t, 1, &ix);
}

int arg_tensors(Vm *vm, Value star, const char *what, int *n, Tensor ***out) {
  List *xs = AS_LIST(star);
  Tensor *whole = NULL;
  if (xs->n == 1 && (value_is(xs->items[0], OBJ_LIST) || value_is(xs->items[0], OBJ_TUPLE)))
    xs = AS_LIST(xs->items[0]);
  else if (xs->n == 1 && value_is(xs->items[0], OBJ_TENSOR) && AS_TENSOR(xs->items[0])->rank > 0)
    whole = AS_TENSOR(xs->items[0]);
  int64_t count = whole ? whole->shape[0] : xs->n;
  if (count == 0) return vm_error(vm, "%s: needs at least one tensor", what);
  if (count > 1000000) return vm_error(vm, "%s: too many tensors", what);
  Tensor **ts = calloc((size_t)count, sizeof *ts);
  if (!ts) return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  for (int i = 0; i < (int)count; i++) {
    if (whole ? (ts[i] = row_of(vm, whole, i)) != NULL
              : !arg_tensor(vm, xs->items[i], what, &ts[i]))
      continue;
    ts[i] = NULL;
    args_release(vm, i, ts);
    return 1;
  }
  *n = (int)count;
  *out = ts;
  return 0;
}

void args_release(Vm *vm, int n, Tensor **ts) {
  for (int i = 0; i < n; i++) tensor_unref(vm_rt(vm), ts[i]);
  free(ts);
}

int give(Vm *vm, Tensor *t, Value *out) {
  if (!t) return 1;
  *out = value_simplify(vm, value_obj(t));
  return 0;
}

int give_tuple(Vm *vm, int n, Tensor **ts, Value *out) {
  List *l = list_new(vm, true, (uint32_t)n);
  int failed = l == NULL;
  for (int i = 0; i < n; i++) {
    Value v = NIL_VALUE;
    if (failed) tensor_unref(vm_rt(vm), ts[i]);
    else failed = give(vm, ts[i], &v) || list_push(vm, l, v);
  }
  if (failed) {
    if (l) value_unref(vm, value_obj(l));
    return 1;
  }
  *out = value_obj(l);
  return 0;
}

int give_record(Vm *vm, int n, const char *const *name, Tensor **ts, Value *out) {
  Record *r = record_new(vm, (uint32_t)n);
  int failed = r == NULL;
  for (int i = 0; i < n; i++) {
    Value v = NIL_VALUE;
    if (failed) tensor_unref(vm_rt(vm), ts[i]);
    else failed = (ts[i] && give(vm, ts[i], &v)) || record_set(vm, r, name[i], v);
  }
  if (!failed) *out = value_obj(r);
  else if (r) value_unref(vm, value_obj(r));
  return failed;
}
