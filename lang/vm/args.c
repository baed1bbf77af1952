/* args.c: what native functions ask of their arguments. */
#include "lang/vm/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int wrong(Vm *vm, const char *what, const char *wanted, Value v) {
  const char *fn = vm->current ? vm->current->name : NULL;
  if (fn && !strncmp(fn, "__", 2)) fn = NULL; /* what blocks call is no name of the script's */
  char shape[128], found[200];
  if (value_is(v, OBJ_TENSOR))
    snprintf(found, sizeof found, "%s tensor %s", dtype_name[AS_TENSOR(v)->dtype],
             tensor_shape_text(AS_TENSOR(v), shape));
  else
    snprintf(found, sizeof found, "%s", value_type_name(v));
  const char *quote = strchr(what, '`') ? "" : "`"; /* a bare name, or a phrase with its own */
  return vm_error(vm, "%s%s%s%s%s%s must be %s, found %s", fn ? "`" : "", fn ? fn : "",
                  fn ? "`: " : "", quote, what, quote, wanted, found);
}

static bool scalar_tensor(Value v) { return value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 0; }

int arg_int(Vm *vm, Value v, const char *what, int64_t *out) {
  if (v.tag == V_INT) {
    *out = v.i;
    return 0;
  }
  if (scalar_tensor(v) && AS_TENSOR(v)->dtype == DT_I64) {
    *out = tensor_get_i64(AS_TENSOR(v), 0);
    return 0;
  }
  wrong(vm, what, "an int", v);
  if (v.tag == V_FLOAT && v.f == floor(v.f)) vm_help(vm, "int(x) makes one of a whole float");
  return 1;
}

/* A traced number that a kernel takes as plain would lose its derivative
 * silently; functions whose result is a constant anyway may read it.        */
static int loses_derivative(Vm *vm, Value v, const char *what) {
  if (!rt_taped(vm->rt, AS_TENSOR(v)) || (vm->current && vm->current->flags & NF_CONST)) return 0;
  vm_error(vm, "no derivative by %s", what);
  vm_help(vm, "detach(x) makes it a constant");
  return 1;
}

int arg_float(Vm *vm, Value v, const char *what, double *out) {
  if (v.tag == V_FLOAT) *out = v.f;
  else if (v.tag == V_INT) *out = (double)v.i;
  else if (v.tag == V_BOOL) *out = v.b;
  else if (!scalar_tensor(v) || AS_TENSOR(v)->dtype > DT_F64) return wrong(vm, what, "a number", v);
  else if (loses_derivative(vm, v, what)) return 1;
  else *out = tensor_get_f64(AS_TENSOR(v), 0);
  return 0;
}

int arg_bool(Vm *vm, Value v, const char *what, bool *out) {
  if (v.tag == V_BOOL) *out = v.b;
  else if (scalar_tensor(v) && AS_TENSOR(v)->dtype == DT_BOOL)
    *out = tensor_get_i64(AS_TENSOR(v), 0) != 0;
  else return wrong(vm, what, "a bool", v);
  return 0;
}

int arg_str(Vm *vm, Value v, const char *what, const char **out) {
  if (!value_is(v, OBJ_STR)) return wrong(vm, what, "a str", v);
  *out = AS_STR(v)->data;
  return 0;
}

int arg_tensor(Vm *vm, Value v, const char *what, Tensor **out) {
  if (!value_is(v, OBJ_TENSOR) && !value_is_scalar(v) && !value_is(v, OBJ_RANGE)) {
    if (value_is(v, OBJ_LIST) && !AS_LIST(v)->n) {
      const char *quote = strchr(what, '`') ? "" : "`";
      return vm_error(vm, "%s%s%s is empty", quote, what, quote);
    }
    wrong(vm, what, "a tensor or a number", v);
    if (value_is(v, OBJ_LIST)) vm_help(vm, "stack(xs) makes a tensor of a list");
    return 1;
  }
  *out = value_to_tensor(vm, v);
  return *out == NULL;
}

static int extent(Vm *vm, const char *what, int64_t n) {
  return n >= -1 ? 0 : vm_error(vm, "`%s`: an extent cannot be %lld", what, (long long)n);
}

int arg_shape(Vm *vm, Value v, const char *what, int *rank, int64_t *shape) {
  int64_t n = 1;
  bool many = value_is(v, OBJ_TUPLE) || value_is(v, OBJ_LIST) ||
              (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 1 && AS_TENSOR(v)->dtype == DT_I64);
  if (!many) {
    *rank = 1;
    if (v.tag != V_INT && !scalar_tensor(v)) return wrong(vm, what, "an int or a tuple of ints", v);
    return arg_int(vm, v, what, shape) || extent(vm, what, shape[0]);
  }
  if (value_len(vm, v, &n)) return 1;
  if (n > TENSOR_MAX_RANK)
    return vm_error(vm, "`%s`: at most %d axes are possible, found %lld", what, TENSOR_MAX_RANK,
                    (long long)n);
  *rank = (int)n;
  for (int k = 0; k < n; k++) {
    if (value_is(v, OBJ_TENSOR)) shape[k] = tensor_get_i64(AS_TENSOR(v), k);
    else if (arg_int(vm, AS_LIST(v)->items[k], what, &shape[k])) return 1;
    if (extent(vm, what, shape[k])) return 1;
  }
  return 0;
}

int arg_axis_mask(Vm *vm, Value v, int rank, unsigned *mask) {
  int n, axis;
  int64_t axes[TENSOR_MAX_RANK];
  *mask = ~0u;
  if (v.tag == V_NIL) return 0;
  *mask = 0;
  if (v.tag == V_INT) {
    n = 1;
    axes[0] = v.i;
  } else {
    bool many = value_is(v, OBJ_TUPLE) || value_is(v, OBJ_LIST) || value_is(v, OBJ_TENSOR);
    int64_t count = 0;
    if (!many) return wrong(vm, "axis", "an int or a tuple of ints", v);
    if (value_len(vm, v, &count)) return 1;
    if (count > TENSOR_MAX_RANK) return vm_error(vm, "too many axes");
    n = (int)count;
    for (int k = 0; k < n; k++) {
      if (value_is(v, OBJ_TENSOR)) axes[k] = tensor_get_i64(AS_TENSOR(v), k);
      else if (arg_int(vm, AS_LIST(v)->items[k], "axis", &axes[k])) return 1;
    }
  }
  for (int k = 0; k < n; k++) {
    if (axis_check(vm->rt, vm->current ? vm->current->name : "axis", axes[k], rank, &axis))
      return 1;
    *mask |= 1u << axis;
  }
  return 0;
}
