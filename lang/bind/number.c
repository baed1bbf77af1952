/* number.c: arithmetic on script numbers for the native functions. */
#include "lang/bind/number.h"

#include <complex.h>
#include <math.h>
#include <string.h>

bool num_complex(Value v, c128 *z) {
  z->im = 0;
  if (num_double(v, &z->re)) return true;
  if (!value_is(v, OBJ_COMPLEX)) return false;
  *z = AS_COMPLEX(v);
  return true;
}

bool num_is_scalar(Value v) {
  return v.tag == V_BOOL || v.tag == V_INT || v.tag == V_FLOAT || value_is(v, OBJ_COMPLEX);
}

bool num_has_tensor(Value v) { return value_is(v, OBJ_TENSOR) || value_is(v, OBJ_RANGE); }

int num_give(Vm *vm, Tensor *t, Value *out) {
  if (!t) return 1;
  *out = t->rank ? value_obj(t) : value_simplify(vm, value_obj(t));
  return 0;
}

static int overflow(Vm *vm, const char *what) {
  vm_error(vm, "int overflow in `%s`", what);
  vm_help(vm, "make one of the numbers a float");
  return 1;
}

static int int_pair(Vm *vm, const char *what, BinOp op, int64_t a, int64_t b, Value *out) {
  int64_t r = 0;
  switch (op) {
  case BIN_ADD:
    if (__builtin_add_overflow(a, b, &r)) return overflow(vm, what);
    break;
  case BIN_MUL:
    if (__builtin_mul_overflow(a, b, &r)) return overflow(vm, what);
    break;
  case BIN_MIN: r = a < b ? a : b; break;
  case BIN_MAX: r = a > b ? a : b; break;
  default: return -1;
  }
  *out = value_int(r);
  return 0;
}

static int float_pair(BinOp op, double a, double b, double *r) {
  switch (op) {
  case BIN_ADD: *r = a + b; return 0;
  case BIN_MUL: *r = a * b; return 0;
  case BIN_DIV: *r = a / b; return 0;
  case BIN_ATAN2: *r = atan2(a, b); return 0;
  case BIN_MIN: *r = isnan(a) || a < b ? a : b; return 0;
  case BIN_MAX: *r = isnan(a) || a > b ? a : b; return 0;
  default: return -1;
  }
}

static int no_such(Vm *vm, const char *what, Value a, Value b) {
  bool list = value_is(a, OBJ_LIST) || value_is(b, OBJ_LIST);
  Value bad = num_is_scalar(a) || num_has_tensor(a) ? b : a;
  vm_error(vm, "`%s` needs numbers or tensors, found %s", what, value_type_name(bad));
  if (list) vm_help(vm, "stack(xs) makes a tensor of a list of equal shapes");
  return 1;
}

static int complex_pair(Vm *vm, const char *what, BinOp op, Value va, Value vb, Value *out) {
  c128 x, y;
  if (!num_complex(va, &x) || !num_complex(vb, &y)) return no_such(vm, what, va, vb);
  double _Complex a = CMPLX(x.re, x.im), b = CMPLX(y.re, y.im), r;
  if (op == BIN_ADD) r = a + b;
  else if (op == BIN_MUL) r = a * b;
  else if (op == BIN_DIV) r = a / b;
  else return vm_error(vm, "`%s` does not work on complex numbers", what);
  *out = complex_new(vm, (c128){creal(r), cimag(r)});
  return out->tag == V_NIL;
}

static int tensor_pair(Vm *vm, BinOp op, Value a, Value b, Value *out) {
  Rt *rt = vm_rt(vm);
  double s;
  bool left = num_double(a, &s);
  if (left || num_double(b, &s)) {
    Value num = left ? a : b, other = left ? b : a;
    Tensor *t = value_to_tensor(vm, other);
    if (!t) return 1;
    Tensor *r = op_binary_scalar(rt, op, t, s, num.tag != V_FLOAT, left, 0);
    tensor_unref(rt, t);
    return num_give(vm, r, out);
  }
  Tensor *x = value_to_tensor(vm, a), *y = x ? value_to_tensor(vm, b) : NULL, *r = NULL;
  if (y) {
    unsigned weak = x->rank && !y->rank ? 2 : y->rank && !x->rank ? 1 : 0;
    if (!x->rank && !y->rank && x->dtype != y->dtype) weak = x->dtype < y->dtype ? 1 : 2;
    r = op_binary(rt, op, x, y, 0, weak);
  }
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  return num_give(vm, r, out);
}

int num_pair(Vm *vm, const char *what, BinOp op, Value a, Value b, Value *out) {
  double x, y, r;
  bool ia = a.tag == V_INT || a.tag == V_BOOL, ib = b.tag == V_INT || b.tag == V_BOOL;
  if (ia && ib) {
    int s = int_pair(vm, what, op, a.tag == V_INT ? a.i : a.b, b.tag == V_INT ? b.i : b.b, out);
    if (s >= 0) return s;
  }
  if (num_double(a, &x) && num_double(b, &y)) {
    if (float_pair(op, x, y, &r)) return no_such(vm, what, a, b);
    *out = value_float(r);
    return 0;
  }
  bool fits = (num_is_scalar(a) || num_has_tensor(a)) && (num_is_scalar(b) || num_has_tensor(b));
  if (fits && (num_has_tensor(a) || num_has_tensor(b))) return tensor_pair(vm, op, a, b, out);
  if (fits) return complex_pair(vm, what, op, a, b, out);
  if (a.tag == V_QUANTITY && b.tag == V_QUANTITY && op == BIN_ADD &&
      !memcmp(a.dims, b.dims, sizeof a.dims)) {
    *out = a;
    out->f = a.f + b.f;
    return 0;
  }
  if (a.tag == V_QUANTITY || b.tag == V_QUANTITY)
    return vm_error(vm, "`%s` needs quantities of one dimension", what);
  return no_such(vm, what, a, b);
}

int num_order(Vm *vm, const char *what, Value a, Value b, int *order) {
  double x, y;
  if (a.tag == V_INT && b.tag == V_INT) {
    *order = (a.i > b.i) - (a.i < b.i);
    return 0;
  }
  bool same_unit = a.tag == V_QUANTITY && b.tag == V_QUANTITY &&
                   !memcmp(a.dims, b.dims, sizeof a.dims);
  if (same_unit) {
    x = a.f;
    y = b.f;
  } else if (value_is(a, OBJ_STR) && value_is(b, OBJ_STR)) {
    int c = strcmp(AS_STR(a)->data, AS_STR(b)->data);
    *order = (c > 0) - (c < 0);
    return 0;
  } else if (!num_double(a, &x) || !num_double(b, &y)) {
    return vm_error(vm, "`%s` cannot order %s and %s", what, value_type_name(a),
                    value_type_name(b));
  }
  *order = isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
  return 0;
}
