/* grad.c: grad, value_and_grad, vjp, jvp, hvp, jacobian, hessian and detach as
 * functions of the language.
 *
 * grad(f) is a box that holds f; calling it opens a level of the tape, runs f
 * on traced arguments, walks back and closes the level, also after an error.
 * Forward products (jvp) are the derivative of the backward product, which is
 * linear in its weights.
 */
#include "lang/bind/number.h"
#include "lang/bind/trace.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  Value f, wrt;
  bool with_value, aux;
} Derivative;

#define WRT_MAX 32

/* ---- which arguments -------------------------------------------------------------- */

/* Position in args of the argument that `wrt` (an int or a name) means. */
static int find_argument(Vm *vm, Value f, Value wrt, int n, const char *const *names, int *at) {
  int positional = 0;
  while (positional < n && !(names && names[positional])) positional++;
  const char *name = NULL;
  int64_t i = -1;
  if (value_is(wrt, OBJ_STR)) {
    name = AS_STR(wrt)->data;
    const char *p;
    for (uint32_t k = 0; (p = vm_param_name(f, k)); k++)
      if (!strcmp(p, name)) i = k;
  } else {
    if (arg_int(vm, wrt, "wrt", &i)) return 1;
    if (i >= positional) name = vm_param_name(f, (uint32_t)i);
    if (i < 0) return vm_error(vm, "wrt counts arguments from 0, found %lld", (long long)i);
  }
  for (int k = positional; name && k < n; k++)
    if (!strcmp(names[k], name)) {
      *at = k;
      return 0;
    }
  if (i >= 0 && i < positional) {
    *at = (int)i;
    return 0;
  }
  if (value_is(wrt, OBJ_STR)) return vm_error(vm, "wrt: the call has no argument `%s`", name);
  return vm_error(vm, "wrt = %lld, but the call has %d argument%s", (long long)i, n,
                  n == 1 ? "" : "s");
}

static int wrt_list(Vm *vm, const Derivative *d, int n, const char *const *names, int *at,
                    int *count) {
  bool many = value_is(d->wrt, OBJ_TUPLE) || value_is(d->wrt, OBJ_LIST) ||
              (value_is(d->wrt, OBJ_TENSOR) && AS_TENSOR(d->wrt)->rank == 1);
  *count = 1;
  if (!many) return find_argument(vm, d->f, d->wrt, n, names, at);
  bool tensor = value_is(d->wrt, OBJ_TENSOR);        /* [0, 1] is a tensor     */
  int64_t m = tensor ? AS_TENSOR(d->wrt)->size : AS_LIST(d->wrt)->n;
  if (m == 0 || m > WRT_MAX) return vm_error(vm, "wrt names %lld arguments", (long long)m);
  *count = (int)m;
  for (int k = 0; k < *count; k++) {
    Value w = tensor ? value_int(tensor_get_i64(AS_TENSOR(d->wrt), k)) : AS_LIST(d->wrt)->items[k];
    if (find_argument(vm, d->f, w, n, names, &at[k])) return 1;
    for (int j = 0; j < k; j++)
      if (at[j] == at[k]) return vm_error(vm, "wrt names an argument twice");
  }
  return 0;
}

/* ---- the result of f ----------------------------------------------------------------- */

static int not_one_number(Vm *vm, Value v) {
  if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank > 0) {
    char shape[128];
    vm_error(vm, "a gradient needs a function that returns one real number, this one returned "
             "a tensor of shape %s", tensor_shape_text(AS_TENSOR(v), shape));
    vm_help(vm, "reduce it, for example with sum(...), or use jacobian or vjp");
    return 1;
  }
  bool complex = value_is(v, OBJ_COMPLEX) ||
                 (value_is(v, OBJ_TENSOR) && dtype_complex(AS_TENSOR(v)->dtype));
  vm_error(vm, "a gradient needs a function that returns one real number, this one returned "
           "a %s", complex ? "complex number" : value_type_name(v));
  if (complex) vm_help(vm, "take real(...) or abs(...)");
  else if (v.tag == V_NIL) vm_help(vm, "the last expression of a function is its result");
  return 1;
}

/* The value of f as a real rank-0 tensor; new reference. */
static Tensor *one_number(Vm *vm, Value v) {
  bool tensor = value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 0 &&
                dtype_float(AS_TENSOR(v)->dtype);
  if (!tensor && v.tag != V_FLOAT && v.tag != V_INT) {
    not_one_number(vm, v);
    return NULL;
  }
  Tensor *t = value_to_tensor(vm, v);
  if (!t || t->dtype >= DT_F32) return t;
  Tensor *f = tensor_astype(vm_rt(vm), t, DT_F64);
  tensor_unref(vm_rt(vm), t);
  return f;
}

/* Splits (value, aux); both borrowed from the tuple. */
static int split_aux(Vm *vm, bool aux, Value r, Value *value, Value *extra) {
  *value = r;
  *extra = NIL_VALUE;
  if (!aux) return 0;
  if (!value_is(r, OBJ_TUPLE) || AS_LIST(r)->n != 2)
    return vm_error(vm, "with aux = true the function must return (value, aux), found %s %s",
                    VALUE_A(r));
  *value = AS_LIST(r)->items[0];
  *extra = AS_LIST(r)->items[1];
  return 0;
}

static int pair_value(Vm *vm, Value a, Value b, Value *out) {
  List *l = list_new(vm, true, 2);
  if (!l) {
    value_unref(vm, a);
    value_unref(vm, b);
    return 1;
  }
  int failed = list_push(vm, l, a);
  if (failed) value_unref(vm, b);
  else failed = list_push(vm, l, b);
  *out = value_obj(l);
  if (failed) value_unref(vm, *out);
  return failed;
}

/* ---- calling a derivative -------------------------------------------------------------- */

typedef struct {
  Trace trace[WRT_MAX];
  int n;
  uint64_t mark;
  Tensor **leaves, **grads;
  uint32_t n_leaves;
} Pass;

static int pass_arrays(Vm *vm, Pass *p) {
  Rt *rt = vm_rt(vm);
  for (int k = 0; k < p->n; k++) p->n_leaves += p->trace[k].n;
  p->leaves = rt_alloc(rt, p->n_leaves * sizeof *p->leaves);
  p->grads = p->leaves ? rt_alloc0(rt, p->n_leaves * sizeof *p->grads) : NULL;
  if (!p->grads) return 1;
  uint32_t at = 0;
  for (int k = 0; k < p->n; k++)
    for (uint32_t i = 0; i < p->trace[k].n; i++) p->leaves[at++] = p->trace[k].leaf[i];
  return 0;
}

static void pass_free(Vm *vm, Pass *p) {
  Rt *rt = vm_rt(vm);
  for (int k = 0; k < p->n; k++) trace_end(vm, &p->trace[k]);
  if (p->leaves) rt_free(rt, p->leaves, p->n_leaves * sizeof *p->leaves);
  if (p->grads) rt_free(rt, p->grads, p->n_leaves * sizeof *p->grads);
}

/* Gradients in the arguments' structure: one, or a tuple.  Consumes p->grads. */
static int pass_result(Vm *vm, Pass *p, bool tuple, Value *out) {
  List *l = NULL;
  if (tuple && !(l = list_new(vm, true, (uint32_t)p->n))) return 1;
  uint32_t at = 0;
  int failed = 0;
  for (int k = 0; k < p->n; k++) {
    Value g;
    uint32_t m = p->trace[k].n;
    if (failed) {
      for (uint32_t i = 0; i < m; i++) tensor_unref(vm_rt(vm), p->grads[at + i]);
    } else {
      failed = trace_gradient(vm, &p->trace[k], p->grads + at, &g);
      if (!failed && l) failed = list_push(vm, l, g);
      else if (!failed) *out = g;
    }
    at += m;
  }
  if (l && failed) value_unref(vm, value_obj(l));
  else if (l) *out = value_obj(l);
  return failed;
}

/* Between tape_open and tape_close. */
static int traced_call(Vm *vm, const Derivative *d, Pass *p, const int *at, Value *args, int n,
                       const char *const *names, Value *grad, Value *result) {
  char what[64];
  int m = p->n;
  p->n = 0;
  for (int k = 0; k < m; k++) {
    snprintf(what, sizeof what, "argument %d", at[k]);
    if (trace_begin(vm, args[at[k]], what, &p->trace[k])) return 1;
    p->n++;
    value_unref(vm, args[at[k]]);
    args[at[k]] = value_ref(p->trace[k].value);
  }
  Value r, value, extra;
  if (pass_arrays(vm, p) || vm_call_named(vm, d->f, args, n, names, &r)) return 1;
  Tensor *y = NULL;
  int failed = split_aux(vm, d->aux, r, &value, &extra);
  if (!failed) failed = !(y = one_number(vm, value));
  if (!failed)
    failed = tape_backward(vm_rt(vm), p->mark, y, NULL, (int)p->n_leaves, p->leaves, p->grads);
  tensor_unref(vm_rt(vm), y);
  bool tuple = value_is(d->wrt, OBJ_TUPLE) || value_is(d->wrt, OBJ_LIST) ||
               value_is(d->wrt, OBJ_TENSOR);
  if (!failed) failed = pass_result(vm, p, tuple, grad);
  if (failed) value_unref(vm, r);
  else *result = r;
  return failed;
}

static int call_derivative(Vm *vm, Box *self, Value *args, int n, const char *const *names,
                           Value *out) {
  const Derivative *d = self->data;
  Rt *rt = vm_rt(vm);
  int at[WRT_MAX], count;
  if (wrt_list(vm, d, n, names, at, &count)) return 1;
  Value *mine = rt_alloc(rt, (size_t)(n ? n : 1) * sizeof *mine);
  if (!mine) return 1;
  for (int i = 0; i < n; i++) mine[i] = value_ref(args[i]);
  Pass p = {.n = count};
  Value grad = NIL_VALUE, result = NIL_VALUE;
  int failed = tape_open(rt, &p.mark);
  if (!failed) {
    failed = traced_call(vm, d, &p, at, mine, n, names, &grad, &result);
    tape_close(rt, p.mark);
  } else {
    p.n = 0;
  }
  pass_free(vm, &p);
  for (int i = 0; i < n; i++) value_unref(vm, mine[i]);
  rt_free(rt, mine, (size_t)(n ? n : 1) * sizeof *mine);
  if (failed) return 1;
  Value plain = NIL_VALUE;
  if (trace_settle(vm, grad, &grad)) {
    value_unref(vm, result);
    return 1;
  }
  if (trace_settle(vm, result, &plain)) {
    value_unref(vm, grad);
    return 1;
  }
  if (d->with_value) return pair_value(vm, plain, grad, out);
  value_unref(vm, plain);
  *out = grad;
  return 0;
}

static void drop_derivative(Vm *vm, void *data) {
  Derivative *d = data;
  value_unref(vm, d->f);
  value_unref(vm, d->wrt);
  rt_free(vm_rt(vm), d, sizeof *d);
}

static void print_derivative(Vm *vm, Box *self, Buf *out) {
  const Derivative *d = self->data;
  buf_text(out, d->with_value ? "value_and_grad(" : "grad(");
  value_print(vm, d->f, out, true);
  buf_text(out, ")");
}

static void hash_derivative(Vm *vm, Box *self, Sha256 *h) {
  const Derivative *d = self->data;
  uint8_t kind[2] = {d->with_value, d->aux};
  sha256_add(h, kind, sizeof kind);
  value_hash(vm, d->f, h);
  value_hash(vm, d->wrt, h);
}

static const BoxType derivative_type = {
  .name = "function", .drop = drop_derivative, .call = call_derivative,
  .print = print_derivative, .hash = hash_derivative,
};

static int make_derivative(Vm *vm, const char *name, Value f, Value wrt, bool value, bool aux,
                           Value *out) {
  if (!value_callable(f)) {
    vm_error(vm, "`%s` needs a function, found %s", name, value_type_name(f));
    vm_help(vm, "%s(f)(x) is the gradient of f at x", name);
    return 1;
  }
  bool fits = wrt.tag == V_INT || value_is(wrt, OBJ_STR) || value_is(wrt, OBJ_TUPLE) ||
              value_is(wrt, OBJ_LIST) || value_is(wrt, OBJ_TENSOR);
  if (!fits)
    return vm_error(vm, "`%s`: wrt is a position, a name or a tuple of them, found %s", name,
                    value_type_name(wrt));
  Derivative *d = rt_alloc(vm_rt(vm), sizeof *d);
  if (!d) return 1;
  *d = (Derivative){value_ref(f), value_ref(wrt), value, aux};
  Box *b = box_new(vm, &derivative_type, d);
  if (!b) {
    drop_derivative(vm, d);
    return 1;
  }
  *out = value_obj(b);
  return 0;
}

int grad_function(Vm *vm, const char *name, Value f, Value *out) {
  return make_derivative(vm, name, f, value_int(0), false, false, out);
}

static int grad_grad(Vm *vm, Value *args, int n, Value *out) {
  return make_derivative(vm, "grad", args[0], args[1], false, false, out);
}

static int grad_value_and_grad(Vm *vm, Value *args, int n, Value *out) {
  bool aux;
  if (arg_bool(vm, args[2], "aux", &aux)) return 1;
  return make_derivative(vm, "value_and_grad", args[0], args[1], true, aux, out);
}

/* ---- products with a direction ------------------------------------------------------------ */

/* Gradient of the real number y with respect to a trace's leaves. */
static int back_to(Vm *vm, uint64_t mark, Tensor *y, Tensor *seed, const Trace *t, Value *out) {
  Rt *rt = vm_rt(vm);
  if (!y) return 1;
  Tensor **grads = rt_alloc0(rt, t->n * sizeof *grads);
  if (!grads) return 1;
  int failed = tape_backward(rt, mark, y, seed, (int)t->n, t->leaf, grads);
  if (!failed) failed = trace_gradient(vm, t, grads, out);
  rt_free(rt, grads, t->n * sizeof *grads);
  return failed;
}

/* vjp(f, x, v): the gradient of <v, f(x)> in x. */
static int vjp_inside(Vm *vm, Value f, Value x, Value v, Trace *t, uint64_t mark, Value *out) {
  Value y;
  if (trace_begin(vm, x, "x", t) || vm_call(vm, f, &t->value, 1, &y)) return 1;
  Tensor *s = trace_dot(vm, v, y, "vjp");
  value_unref(vm, y);
  int failed = back_to(vm, mark, s, NULL, t, out);
  tensor_unref(vm_rt(vm), s);
  return failed;
}

static int grad_vjp(Vm *vm, Value *args, int n, Value *out) {
  uint64_t mark;
  if (tape_open(vm_rt(vm), &mark)) return 1;
  Trace t = {.value = NIL_VALUE};
  int failed = vjp_inside(vm, args[0], args[1], args[2], &t, mark, out);
  tape_close(vm_rt(vm), mark);
  trace_end(vm, &t);
  return failed ? 1 : trace_settle(vm, *out, out);
}

/* With zero weights u on f(x): the result of the backward pass is linear in u,
 * and the gradient of <v, it> in u is the forward product.                   */
static int jvp_inside(Vm *vm, Value f, Value x, Value v, uint64_t outer, Trace *u, Value *out) {
  Rt *rt = vm_rt(vm);
  uint64_t mark;
  Value y = NIL_VALUE, g = NIL_VALUE;
  Trace t = {.value = NIL_VALUE};
  if (tape_open(rt, &mark)) return 1;
  int failed = trace_begin(vm, x, "x", &t) || vm_call(vm, f, &t.value, 1, &y);
  /* u has the structure of y; its numbers do not matter */
  Value plain = NIL_VALUE;
  if (!failed)
    failed = trace_detach(vm, y, &plain) || trace_begin_outer(vm, plain, "the result", u);
  value_unref(vm, plain);
  Tensor *s = failed ? NULL : trace_dot(vm, u->value, y, "jvp");
  if (!failed) failed = back_to(vm, mark, s, NULL, &t, &g);
  tensor_unref(rt, s);
  value_unref(vm, y);
  tape_close(rt, mark);
  trace_end(vm, &t);
  if (failed) return 1;
  s = trace_dot(vm, v, g, "jvp");
  failed = back_to(vm, outer, s, NULL, u, out);
  tensor_unref(rt, s);
  value_unref(vm, g);
  return failed;
}

static int grad_jvp(Vm *vm, Value *args, int n, Value *out) {
  uint64_t mark;
  if (tape_open(vm_rt(vm), &mark)) return 1;
  Trace u = {.value = NIL_VALUE};
  int failed = jvp_inside(vm, args[0], args[1], args[2], mark, &u, out);
  tape_close(vm_rt(vm), mark);
  trace_end(vm, &u);
  return failed ? 1 : trace_settle(vm, *out, out);
}

/* The gradient of f at the outer trace t, itself recorded. */
static int inner_gradient(Vm *vm, Value f, const Trace *t, Value *g) {
  Rt *rt = vm_rt(vm);
  uint64_t mark;
  Value y = NIL_VALUE;
  Trace in = {.value = NIL_VALUE};
  if (tape_open(rt, &mark)) return 1;
  int failed = trace_begin(vm, t->value, "x", &in) || vm_call(vm, f, &in.value, 1, &y);
  Tensor *s = failed ? NULL : one_number(vm, y);
  if (!failed) failed = back_to(vm, mark, s, NULL, &in, g);
  tensor_unref(rt, s);
  value_unref(vm, y);
  tape_close(rt, mark);
  trace_end(vm, &in);
  return failed;
}

static int grad_hvp(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  uint64_t mark;
  if (tape_open(rt, &mark)) return 1;
  Trace t = {.value = NIL_VALUE};
  Value g = NIL_VALUE;
  int failed = trace_begin(vm, args[1], "x", &t) || inner_gradient(vm, args[0], &t, &g);
  Tensor *s = failed ? NULL : trace_dot(vm, args[2], g, "hvp");
  if (!failed) failed = back_to(vm, mark, s, NULL, &t, out);
  tensor_unref(rt, s);
  value_unref(vm, g);
  tape_close(rt, mark);
  trace_end(vm, &t);
  return failed ? 1 : trace_settle(vm, *out, out);
}

/* ---- whole matrices -------------------------------------------------------------------------- */

/* The rows d y_k / d leaf for each element of y, shaped y.shape + leaf.shape. */
static Tensor *all_rows(Vm *vm, uint64_t mark, Tensor *y, Tensor *leaf) {
  Rt *rt = vm_rt(vm);
  if (y->rank + leaf->rank > TENSOR_MAX_RANK) {
    vm_error(vm, "the jacobian would have more than %d axes", TENSOR_MAX_RANK);
    return NULL;
  }
  int64_t shape[TENSOR_MAX_RANK], m = y->size;
  for (int i = 0; i < y->rank; i++) shape[i] = y->shape[i];
  for (int i = 0; i < leaf->rank; i++) shape[y->rank + i] = leaf->shape[i];
  int rank = y->rank + leaf->rank;
  if (m == 0) return tensor_zeros(rt, leaf->dtype, rank, shape);
  if (m > 1 << 30) {
    vm_error(vm, "the jacobian of %lld results is too large", (long long)m);
    return NULL;
  }
  Tensor **rows = rt_alloc0(rt, (size_t)m * sizeof *rows), *out = NULL, *flat = NULL;
  if (!rows) return NULL;
  bool retain = rt->tape->retain, ok = true;
  rt->tape->retain = true;
  for (int64_t k = 0; k < m && ok; k++) {
    Tensor *seed = tensor_zeros(rt, y->dtype, y->rank, y->shape);
    if (seed) tensor_set_f64(seed, k, 1);
    ok = seed && !tape_backward(rt, mark, y, seed, 1, &leaf, &rows[k]);
    tensor_unref(rt, seed);
  }
  rt->tape->retain = retain;
  if (ok) flat = op_stack(rt, (int)m, rows, 0);
  if (flat) out = op_reshape(rt, flat, rank, shape);
  tensor_unref(rt, flat);
  for (int64_t k = 0; k < m; k++) tensor_unref(rt, rows[k]);
  rt_free(rt, rows, (size_t)m * sizeof *rows);
  return out;
}

static int need_array(Vm *vm, const char *name, const char *what, Value v) {
  if (v.tag == V_FLOAT || v.tag == V_INT || value_is(v, OBJ_COMPLEX) || value_is(v, OBJ_TENSOR))
    return 0;
  return vm_error(vm, "`%s` needs %s that is a number or a tensor, found %s", name, what,
                  value_type_name(v));
}

static int jacobian_inside(Vm *vm, Value f, const Trace *t, uint64_t mark, Value *out) {
  Value y;
  if (vm_call(vm, f, &t->value, 1, &y)) return 1;
  Tensor *r = NULL;
  int failed = need_array(vm, "jacobian", "a result", y);
  Tensor *w = failed ? NULL : value_to_tensor(vm, y);
  if (w && dtype_complex(w->dtype)) {
    vm_error(vm, "`jacobian` needs a real result, found a complex one");
    vm_help(vm, "take real(...) and imag(...) apart");
  } else if (w && w->dtype < DT_F32) {
    vm_error(vm, "`jacobian` needs a float result, found %s", dtype_name[w->dtype]);
  } else if (w) {
    r = all_rows(vm, mark, w, t->leaf[0]);
  }
  tensor_unref(vm_rt(vm), w);
  value_unref(vm, y);
  if (!r) return 1;
  *out = value_obj(r);
  return 0;
}

static int grad_jacobian(Vm *vm, Value *args, int n, Value *out) {
  uint64_t mark;
  if (need_array(vm, "jacobian", "an argument", args[1]) || tape_open(vm_rt(vm), &mark)) return 1;
  Trace t = {.value = NIL_VALUE};
  int failed = trace_begin(vm, args[1], "x", &t) || jacobian_inside(vm, args[0], &t, mark, out);
  tape_close(vm_rt(vm), mark);
  trace_end(vm, &t);
  return failed ? 1 : trace_settle(vm, *out, out);
}

static int grad_hessian(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  uint64_t mark;
  if (need_array(vm, "hessian", "an argument", args[1])) return 1;
  if (value_is(args[1], OBJ_COMPLEX) ||
      (value_is(args[1], OBJ_TENSOR) && dtype_complex(AS_TENSOR(args[1])->dtype)))
    return vm_error(vm, "`hessian` needs a real argument, found a complex one");
  if (tape_open(rt, &mark)) return 1;
  Trace t = {.value = NIL_VALUE};
  Value g = NIL_VALUE;
  int failed = trace_begin(vm, args[1], "x", &t) || inner_gradient(vm, args[0], &t, &g);
  Tensor *w = failed ? NULL : value_to_tensor(vm, g);
  Tensor *r = w ? all_rows(vm, mark, w, t.leaf[0]) : NULL;
  tensor_unref(rt, w);
  value_unref(vm, g);
  tape_close(rt, mark);
  trace_end(vm, &t);
  if (!r) return 1;
  return trace_settle(vm, value_obj(r), out);
}

static int grad_detach(Vm *vm, Value *args, int n, Value *out) {
  return trace_detach(vm, args[0], out);
}

const Native natives_grad[] = {
  {"grad", "f, wrt = 0",
   "The function that gives the gradient of f, which must return one real number.\n"
   "wrt says by which argument: a position, a name, or a tuple of them (then a tuple comes back).\n"
   "The argument may be a number, a tensor, a model, or lists and records of them; the gradient\n"
   "has its structure, with nil where there is no float. Ints count as floats.\n"
   "For complex z it is dL/dRe z + i dL/dIm z.", grad_grad, NF_DIFF},
  {"value_and_grad", "f, wrt = 0, aux = false",
   "The function that gives (f(x), gradient). With aux = true f returns (value, aux) and the\n"
   "result is ((value, aux), gradient).", grad_value_and_grad, NF_DIFF},
  {"vjp", "f, x, v", "Gradient of <v, f(x)> in x: v times the Jacobian, v shaped like f(x).",
   grad_vjp, NF_DIFF},
  {"jvp", "f, x, v", "Derivative of f at x along v: the Jacobian times v, v shaped like x.",
   grad_jvp, NF_DIFF},
  {"hvp", "f, x, v", "Hessian of f at x times v.", grad_hvp, NF_DIFF},
  {"jacobian", "f, x", "Matrix of all derivatives, shape f(x).shape + x.shape, row by row.",
   grad_jacobian, NF_DIFF},
  {"hessian", "f, x", "Matrix of all second derivatives, shape x.shape + x.shape.", grad_hessian,
   NF_DIFF},
  {"detach", "x", "The same value as a constant for derivatives.", grad_detach, NF_DIFF},
  {0},
};
