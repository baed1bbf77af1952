/* grad_check.c: check_grad, which holds a gradient against differences of the
 * function itself.                                                           */
#include "lang/bind/number.h"
#include "lang/bind/trace.h"

#include <math.h>

typedef struct {
  Vm *vm;
  Value f, x;
  uint32_t leaf;         /* which leaf is moved                               */
  int64_t at;            /* and which element                                 */
  bool imaginary;
  double step;
  uint32_t seen;
  double size;           /* |element|                                         */
  bool complex;
  int64_t elements;      /* of that leaf                                      */
} Probe;

static int move_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Probe *p = user;
  if (p->seen++ != p->leaf) return 0;
  Tensor *t = value_to_tensor(vm, *leaf), *c = t ? tensor_copy(vm_rt(vm), t) : NULL;
  tensor_unref(vm_rt(vm), t);
  if (!c) return 1;
  p->elements = c->size;
  p->complex = dtype_complex(c->dtype);
  if (p->at < c->size) {
    c128 z = tensor_get_c128(c, p->at);
    p->size = hypot(z.re, z.im);
    if (p->complex && c->dtype == DT_C128)
      ((double *)c->data)[2 * p->at + p->imaginary] += p->step;
    else if (p->complex)
      ((float *)c->data)[2 * p->at + p->imaginary] += (float)p->step;
    else
      tensor_set_f64(c, p->at, z.re + p->step);
  }
  value_unref(vm, *leaf);
  *leaf = c->rank ? value_obj(c) : value_simplify(vm, value_obj(c));
  return 0;
}

/* f with one number moved by step; *done when there is no such leaf. */
static int probe(Probe *p, double step, double *y, bool *none) {
  Vm *vm = p->vm;
  p->step = step;
  p->seen = 0;
  p->elements = 0;
  Value x = value_ref(p->x), r;
  bool plain = x.tag == V_FLOAT || value_is(x, OBJ_COMPLEX) || value_is(x, OBJ_TENSOR);
  int failed = plain ? move_leaf(vm, "", &x, p)
                     : tree_own(vm, &x) || tree_visit(vm, &x, move_leaf, p);
  *none = !failed && (p->seen <= p->leaf || p->at >= p->elements);
  if (!failed && !*none) {
    failed = vm_call(vm, p->f, &x, 1, &r);
    if (!failed) {
      failed = arg_float(vm, r, "the result of the function", y);
      value_unref(vm, r);
    }
  }
  value_unref(vm, x);
  return failed;
}

/* Fourth-order central difference in one number. */
static int difference(Probe *p, double *slope, bool *none) {
  double y[4], ignored;
  if (probe(p, 0, &ignored, none) || *none) return *none ? 0 : 1;
  double h = 7e-4 * (p->size > 1 ? p->size : 1);
  static const double steps[4] = {1, -1, 2, -2};
  for (int k = 0; k < 4; k++)
    if (probe(p, steps[k] * h, &y[k], none)) return 1;
  *slope = (8 * (y[0] - y[1]) - (y[2] - y[3])) / (12 * h);
  return 0;
}

typedef struct { Probe *p; double worst, largest; } Compare;

static int compare_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Compare *c = user;
  Tensor *g = value_to_tensor(vm, *leaf);
  if (!g) return 1;
  int failed = 0;
  for (int64_t i = 0; i < g->size && !failed; i++) {
    c128 have = tensor_get_c128(g, i);
    for (int part = 0; part < (dtype_complex(g->dtype) ? 2 : 1) && !failed; part++) {
      double want = 0;
      bool none;
      c->p->at = i;
      c->p->imaginary = part;
      failed = difference(c->p, &want, &none);
      if (failed) break;
      double d = fabs((part ? have.im : have.re) - want);
      if (!(d <= c->worst)) c->worst = d;
      if (fabs(want) > c->largest) c->largest = fabs(want);
    }
  }
  c->p->leaf++;
  tensor_unref(vm_rt(vm), g);
  return failed;
}

/* check_grad(f, x): largest difference between the gradient and central
 * differences, relative to the largest slope.                                */
static int grad_check(Vm *vm, Value *args, int n, Value *out) {
  Value fn, g, x = args[1];
  if (x.tag == V_INT) x = value_float((double)x.i);
  if (value_is(x, OBJ_TENSOR) && AS_TENSOR(x)->dtype == DT_I64) {
    Tensor *f = tensor_astype(vm_rt(vm), AS_TENSOR(x), DT_F64);
    if (!f) return 1;
    value_unref(vm, args[1]);
    x = args[1] = value_obj(f);
  }
  if (grad_function(vm, "check_grad", args[0], &fn)) return 1;
  int failed = vm_call(vm, fn, &x, 1, &g);
  value_unref(vm, fn);
  if (failed) return 1;
  Probe p = {.vm = vm, .f = args[0], .x = x};
  Compare c = {.p = &p};
  bool plain = g.tag == V_FLOAT || value_is(g, OBJ_COMPLEX) || value_is(g, OBJ_TENSOR);
  failed = plain ? compare_leaf(vm, "", &g, &c) : tree_visit(vm, &g, compare_leaf, &c);
  value_unref(vm, g);
  *out = value_float(c.largest > 0 ? c.worst / c.largest : c.worst);
  return failed;
}

const Native natives_grad_check[] = {
  {"check_grad", "f, x",
   "Largest difference between the gradient of f at x and fourth-order central differences,\n"
   "relative to the largest slope. About 1e-10 for a right f64 gradient.", grad_check, NF_CONST},
  {0},
};
