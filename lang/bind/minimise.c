/* minimise.c: functions of numbers minimised, with derivatives and without.             */
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/learn/nlopt.h"

#include <math.h>
#include <string.h>

enum { MOST_NUMBERS = 1 << 14, MOST_EVALUATIONS = 100000000 };

/* What is minimised, and what it said. */
typedef struct {
  Vm *vm;
  Value f;
  const char *name;          /* the minimiser's, for errors                       */
  Tensor *like;              /* the start: its shape                              */
  double *trace;
  int64_t n, cap;
} Asked;

static RtStatus asked_keep(Asked *a, double value) {
  if (a->n == a->cap) {
    int64_t cap = a->cap ? 2 * a->cap : 64;
    double *p = rt_realloc(vm_rt(a->vm), a->trace, sizeof *p * (size_t)a->cap,
                           sizeof *p * (size_t)cap);
    if (!p) return vm_rt(a->vm)->error.status;
    a->trace = p;
    a->cap = cap;
  }
  a->trace[a->n++] = value;
  return RT_OK;
}

static int asked_number(Asked *a, Value v, double *out) {
  bool number = v.tag == V_FLOAT || v.tag == V_INT || value_is(v, OBJ_TENSOR);
  if (!number || (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank)) /* one without axes is one */
    return vm_error(a->vm, "`%s`: the function must return one number", a->name);
  return arg_float(a->vm, v, "its result", out);
}

static int asked_slopes(Asked *a, Value v, double *out) {
  Rt *rt = vm_rt(a->vm);
  Tensor *t, *f, *g;
  if (arg_tensor(a->vm, v, "its gradient", &t)) return 1;
  f = tensor_astype(rt, t, DT_F64);
  g = f ? tensor_contiguous(rt, f) : NULL;
  if (g) memcpy(out, g->data, sizeof *out * (size_t)a->like->size);
  if (g) tensor_unref(rt, g);
  if (f) tensor_unref(rt, f);
  tensor_unref(rt, t);
  return g == NULL;
}

/* What f gave: a number, or (number, gradient) of the start's shape, as value_and_grad does. */
static int asked_result(Asked *a, Value v, double *value, double *gradient) {
  if (!gradient) return asked_number(a, v, value);
  if (!value_is(v, OBJ_TUPLE) || AS_LIST(v)->n != 2)
    return vm_error(a->vm, "`%s`: the function must give its value and its gradient", a->name);
  return asked_number(a, AS_LIST(v)->items[0], value) ||
         asked_slopes(a, AS_LIST(v)->items[1], gradient);
}

static RtStatus asked_value(void *user, const double *x, double *value, double *gradient) {
  Asked *a = user;
  Rt *rt = vm_rt(a->vm);
  Tensor *t = tensor_new(rt, DT_F64, a->like->rank, a->like->shape);
  if (!t) return rt->error.status;
  memcpy(t->data, x, sizeof *x * (size_t)t->size);
  Value at = value_obj(t), result;
  int failed = vm_call(a->vm, a->f, &at, 1, &result);
  value_unref(a->vm, at);
  if (!failed) {
    failed = asked_result(a, result, value, gradient);
    value_unref(a->vm, result);
  }
  if (failed) return rt->error.status ? rt->error.status : RT_ERROR;
  return asked_keep(a, *value);
}

/* Bounds as f64 tensors of the start's shape, nil: none. */
static int arg_bound(Vm *vm, Value v, const Tensor *x, const char *what, Tensor **out) {
  Tensor *t, *f;
  *out = NULL;
  if (v.tag == V_NIL) return 0;
  if (arg_tensor(vm, v, what, &t)) return 1;
  bool fits = t->size == x->size;
  f = fits ? tensor_astype(vm_rt(vm), t, DT_F64) : NULL;
  tensor_unref(vm_rt(vm), t);
  if (!fits)
    return vm_error(vm, "%s: expected %lld numbers as in the start", what, (long long)x->size);
  *out = f ? tensor_contiguous(vm_rt(vm), f) : NULL;
  if (f) tensor_unref(vm_rt(vm), f);
  return *out == NULL;
}

static int arg_start(Vm *vm, const char *name, Value v, Tensor **out) {
  Tensor *t, *f;
  if (arg_tensor(vm, v, "the start", &t)) return 1;
  bool good = t->size >= 1 && t->size <= MOST_NUMBERS && t->dtype != DT_C128 && t->dtype != DT_C64;
  int64_t size = t->size;
  f = good ? tensor_astype(vm_rt(vm), t, DT_F64) : NULL;
  tensor_unref(vm_rt(vm), t);
  if (!good)
    return vm_error(vm, "`%s`: expected a start of 1 to %d real numbers, found %lld", name,
                    MOST_NUMBERS, (long long)size);
  *out = f ? tensor_contiguous(vm_rt(vm), f) : NULL;
  if (f) tensor_unref(vm_rt(vm), f);
  return *out == NULL;
}

static int arg_limits(Vm *vm, const char *name, Value *args, MinimiseOptions *o) {
  if (arg_float(vm, args[2], "`step`", &o->step) || arg_float(vm, args[3], "`tol`", &o->tol) ||
      arg_int(vm, args[4], "`evaluations`", &o->evaluations))
    return 1;
  if (!isfinite(o->step) || o->step <= 0)
    return vm_error(vm, "`%s`: `step` must be a positive number, found %g", name, o->step);
  if (!isfinite(o->tol) || o->tol < 0)
    return vm_error(vm, "`%s`: `tol` must not be negative, found %g", name, o->tol);
  if (o->evaluations < 1 || o->evaluations > MOST_EVALUATIONS)
    return vm_error(vm, "`%s`: `evaluations` is from 1 to %d, found %lld", name, MOST_EVALUATIONS,
                    (long long)o->evaluations);
  return 0;
}

static int inside(Vm *vm, const char *name, const Tensor *x, const Tensor *lo, const Tensor *hi) {
  for (int64_t i = 0; i < x->size; i++) {
    double v = ((double *)x->data)[i], low = lo ? ((double *)lo->data)[i] : -HUGE_VAL,
           high = hi ? ((double *)hi->data)[i] : HUGE_VAL;
    if (!(v >= low && v <= high))
      return vm_error(vm, "`%s`: number %lld of the start, %g, is not within %g and %g", name,
                      (long long)i, v, low, high);
  }
  return 0;
}

static int search(Vm *vm, Asked a, const MinimiseOptions *o, Value *out) {
  Rt *rt = vm_rt(vm);
  const Tensor *start = a.like;
  double best;
  int64_t used;
  Tensor *pair[2] = {tensor_new(rt, DT_F64, start->rank, start->shape), NULL};
  int failed = !pair[0];
  if (!failed) {
    memcpy(pair[0]->data, start->data, sizeof(double) * (size_t)start->size);
    failed = minimise(rt, start->size, (double *)pair[0]->data, o, asked_value, &a, &best,
                      &used) != RT_OK;
  }
  if (!failed) failed = !(pair[1] = tensor_new(rt, DT_F64, 1, &a.n));
  if (!failed) memcpy(pair[1]->data, a.trace, sizeof(double) * (size_t)a.n);
  if (a.trace) rt_free(rt, a.trace, sizeof(double) * (size_t)a.cap);
  if (!failed) return give_tuple(vm, 2, pair, out);
  if (pair[0]) tensor_unref(rt, pair[0]);
  return 1;
}

static int by(Vm *vm, MinimiseMethod method, const char *name, Value *args, Value *out) {
  Tensor *x = NULL, *lo = NULL, *hi = NULL;
  MinimiseOptions o = {.method = method};
  if (!value_callable(args[0])) return vm_error(vm, "`%s` needs a function of numbers", name);
  if (arg_limits(vm, name, args, &o) || arg_start(vm, name, args[1], &x)) return 1;
  int failed = arg_bound(vm, args[5], x, "`lo`", &lo) || arg_bound(vm, args[6], x, "`hi`", &hi) ||
               inside(vm, name, x, lo, hi);
  if (lo) o.lo = (const double *)lo->data;
  if (hi) o.hi = (const double *)hi->data;
  failed = failed || search(vm, (Asked){.vm = vm, .f = args[0], .name = name, .like = x}, &o, out);
  if (lo) tensor_unref(vm_rt(vm), lo);
  if (hi) tensor_unref(vm_rt(vm), hi);
  tensor_unref(vm_rt(vm), x);
  return failed;
}

static int bind_cobyla(Vm *vm, Value *args, int n, Value *out) {
  return by(vm, MINIMISE_COBYLA, "cobyla", args, out);
}

static int bind_lbfgs(Vm *vm, Value *args, int n, Value *out) {
  return by(vm, MINIMISE_LBFGS, "lbfgs", args, out);
}

const Native natives_minimise[] = {
  {"__cobyla", "f, x, step, tol, evaluations, lo = nil, hi = nil",
   "The best numbers found and the values of f in order.", bind_cobyla, NF_CONST | NF_HIDDEN},
  {"__lbfgs", "f, x, step, tol, evaluations, lo = nil, hi = nil",
   "The same of f that gives its value and its gradient.", bind_lbfgs, NF_CONST | NF_HIDDEN},
  {0}};
