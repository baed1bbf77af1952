/* math.c: functions of numbers.  A plain scalar is computed at once, without
 * a tensor; tensors (and ranges) go elementwise through op_unary, which
 * records them inside `grad`.
 *
 * Real functions stay real, as in NumPy: sqrt(-1.0), log(-1.0) and asin(2.0)
 * are nan; sqrt(-1 + 0i) is 1i.
 */
#include "lang/bind/number.h"

#include <complex.h>
#include <math.h>
#include <string.h>

typedef double _Complex cplx;

typedef struct {
  const char *name;
  UnOp op;
  double (*real)(double);
  cplx (*on_complex)(cplx);   /* NULL: no complex version                     */
} Unary;

static int out_complex(Vm *vm, cplx z, Value *out) {
  *out = complex_new(vm, (c128){creal(z), cimag(z)});
  return out->tag == V_NIL;
}

static int wrong_type(Vm *vm, const char *name, Value v) {
  vm_error(vm, "`%s` needs a number or a tensor, found %s", name, value_type_name(v));
  if (value_is(v, OBJ_LIST))
    vm_help(vm, "lists have no arithmetic: map(%s, xs) or stack(xs)", name);
  if (v.tag == V_QUANTITY) vm_help(vm, "divide by a unit to get a number, for example t / 1us");
  return 1;
}

static int on_tensor(Vm *vm, const char *name, UnOp op, Value v, Value *out) {
  Tensor *t = value_to_tensor(vm, v);
  if (!t) return 1;
  /* the argument's own reference and ours: nobody else looks */
  bool last = value_is(v, OBJ_TENSOR) && t->obj.refs == 2;
  if (last) t->obj.refs--;
  Tensor *r = op_unary(vm_rt(vm), op, t, last);
  if (!last) tensor_unref(vm_rt(vm), t);
  return num_give(vm, r, out);
}

static int unary(Vm *vm, const Unary *u, Value *args, Value *out) {
  double x;
  if (num_double(args[0], &x)) {
    *out = value_float(u->real(x));
    return 0;
  }
  if (num_has_tensor(args[0])) return on_tensor(vm, u->name, u->op, args[0], out);
  if (value_is(args[0], OBJ_COMPLEX)) {
    c128 z = AS_COMPLEX(args[0]);
    if (u->on_complex) return out_complex(vm, u->on_complex(CMPLX(z.re, z.im)), out);
    return vm_error(vm, "`%s` does not work on complex numbers", u->name);
  }
  if (value_is(args[0], OBJ_BOX) && AS_BOX(args[0])->type->function)
    return AS_BOX(args[0])->type->function(vm, u->name, u->op, AS_BOX(args[0]), out);
  return wrong_type(vm, u->name, args[0]);
}

static double real_relu(double x) { return x > 0 || isnan(x) ? x : 0; }
static double real_gelu(double x) { return 0.5 * x * (1 + erf(x * M_SQRT1_2)); }
static double real_sigmoid(double x) {
  if (x >= 0) return 1 / (1 + exp(-x));
  double e = exp(x);
  return e / (1 + e);
}
static double real_softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static double real_gamma_ln(double x) {
  int sign;
  return lgamma_r(x, &sign);
}
static cplx complex_log2(cplx z) { return clog(z) * M_LOG2E; }
static cplx complex_log1p(cplx z) { return clog(1 + z); }
static cplx complex_expm1(cplx z) { return cexp(z) - 1; }

#define UNARY(fn, text, un, real_fn, complex_fn)                              \
  static int math_##fn(Vm *vm, Value *args, int n, Value *out) {              \
    static const Unary u = {text, un, real_fn, complex_fn};                   \
    return unary(vm, &u, args, out);                                          \
  }

UNARY(sqrt, "sqrt", UN_SQRT, sqrt, csqrt)
UNARY(exp, "exp", UN_EXP, exp, cexp)
UNARY(expm1, "expm1", UN_EXPM1, expm1, complex_expm1)
UNARY(log, "log", UN_LOG, log, clog)
UNARY(log2, "log2", UN_LOG2, log2, complex_log2)
UNARY(log1p, "log1p", UN_LOG1P, log1p, complex_log1p)
UNARY(sin, "sin", UN_SIN, sin, csin)
UNARY(cos, "cos", UN_COS, cos, ccos)
UNARY(tan, "tan", UN_TAN, tan, ctan)
UNARY(asin, "asin", UN_ASIN, asin, casin)
UNARY(acos, "acos", UN_ACOS, acos, cacos)
UNARY(atan, "atan", UN_ATAN, atan, catan)
UNARY(sinh, "sinh", UN_SINH, sinh, csinh)
UNARY(cosh, "cosh", UN_COSH, cosh, ccosh)
UNARY(tanh, "tanh", UN_TANH, tanh, ctanh)
UNARY(erf, "erf", UN_ERF, erf, NULL)
UNARY(gamma_ln, "gamma_ln", UN_GAMMA_LN, real_gamma_ln, NULL)
UNARY(relu, "relu", UN_RELU, real_relu, NULL)
UNARY(gelu, "gelu", UN_GELU, real_gelu, NULL)
UNARY(sigmoid, "sigmoid", UN_SIGMOID, real_sigmoid, NULL)
UNARY(softplus, "softplus", UN_SOFTPLUS, real_softplus, NULL)

/* ---- functions that keep ints and quantities ----------------------------------- */

static int math_abs(Vm *vm, Value *args, int n, Value *out) {
  Value v = args[0];
  switch (v.tag) {
  case V_BOOL: *out = value_int(v.b); return 0;
  case V_INT:
    if (v.i == INT64_MIN) return vm_error(vm, "int overflow in `abs`");
    *out = value_int(v.i < 0 ? -v.i : v.i);
    return 0;
  case V_FLOAT: *out = value_float(fabs(v.f)); return 0;
  case V_QUANTITY:
    *out = v;
    out->f = fabs(v.f);
    return 0;
  }
  if (value_is(v, OBJ_COMPLEX)) {
    *out = value_float(hypot(AS_COMPLEX(v).re, AS_COMPLEX(v).im));
    return 0;
  }
  return num_has_tensor(v) ? on_tensor(vm, "abs", UN_ABS, v, out) : wrong_type(vm, "abs", v);
}

static int math_sign(Vm *vm, Value *args, int n, Value *out) {
  Value v = args[0];
  double x;
  if (v.tag == V_INT || v.tag == V_BOOL) {
    int64_t i = v.tag == V_INT ? v.i : v.b;
    *out = value_int((i > 0) - (i < 0));
    return 0;
  }
  if (num_double(v, &x) || v.tag == V_QUANTITY) {
    if (v.tag == V_QUANTITY) x = v.f;
    *out = value_float(isnan(x) ? x : (x > 0) - (x < 0));
    return 0;
  }
  if (value_is(v, OBJ_COMPLEX)) {
    cplx z = CMPLX(AS_COMPLEX(v).re, AS_COMPLEX(v).im);
    return out_complex(vm, cabs(z) == 0 ? 0 : z / cabs(z), out);
  }
  return num_has_tensor(v) ? on_tensor(vm, "sign", UN_SIGN, v, out) : wrong_type(vm, "sign", v);
}

static int to_whole(Vm *vm, const char *name, UnOp op, double (*f)(double), Value *args,
                    Value *out) {
  Value v = args[0];
  switch (v.tag) {
  case V_BOOL: *out = value_int(v.b); return 0;
  case V_INT: *out = v; return 0;
  case V_FLOAT: *out = value_float(f(v.f)); return 0;
  }
  return num_has_tensor(v) ? on_tensor(vm, name, op, v, out) : wrong_type(vm, name, v);
}

static int math_floor(Vm *vm, Value *args, int n, Value *out) {
  return to_whole(vm, "floor", UN_FLOOR, floor, args, out);
}
static int math_ceil(Vm *vm, Value *args, int n, Value *out) {
  return to_whole(vm, "ceil", UN_CEIL, ceil, args, out);
}

/* round(x, digits): half to even, like NumPy. */
static int math_round(Vm *vm, Value *args, int n, Value *out) {
  int64_t digits;
  if (arg_int(vm, args[1], "digits", &digits)) return 1;
  if (digits == 0) return to_whole(vm, "round", UN_ROUND, rint, args, out);
  if (digits < -300 || digits > 300)
    return vm_error(vm, "`round`: digits must lie between -300 and 300, found %lld",
                    (long long)digits);
  double scale = pow(10, (double)(digits < 0 ? -digits : digits)), x;
  if (num_double(args[0], &x)) {
    double r = digits > 0 ? rint(x * scale) / scale : rint(x / scale) * scale;
    r = isfinite(r) || !isfinite(x) ? r : x;    /* x * scale overflowed: all digits kept */
    *out = args[0].tag == V_FLOAT ? value_float(r) : digits > 0 ? args[0] : value_float(r);
    return 0;
  }
  if (!num_has_tensor(args[0])) return wrong_type(vm, "round", args[0]);
  Rt *rt = vm_rt(vm);
  Tensor *t = value_to_tensor(vm, args[0]);
  Tensor *a = t ? op_binary_scalar(rt, digits > 0 ? BIN_MUL : BIN_DIV, t, scale, false, false, 0)
                : NULL;
  Tensor *b = a ? op_unary(rt, UN_ROUND, a, 1) : NULL;
  Tensor *r = b ? op_binary_scalar(rt, digits > 0 ? BIN_DIV : BIN_MUL, b, scale, false, false, 1)
                : NULL;
  tensor_unref(rt, t);
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return num_give(vm, r, out);
}

/* ---- complex parts ---------------------------------------------------------------- */

static int part(Vm *vm, const char *name, UnOp op, Value v, Value *out) {
  double x;
  c128 z;
  if (num_has_tensor(v)) return on_tensor(vm, name, op, v, out);
  if (!num_complex(v, &z)) return wrong_type(vm, name, v);
  bool real = num_double(v, &x);
  switch (op) {
  case UN_REAL: *out = real ? v : value_float(z.re); return 0;
  case UN_IMAG: *out = v.tag == V_INT ? value_int(0) : value_float(z.im); return 0;
  case UN_CONJ:
    if (!real) return out_complex(vm, CMPLX(z.re, -z.im), out);
    *out = v;
    return 0;
  default: *out = value_float(atan2(z.im, z.re)); return 0;
  }
}

static int math_real(Vm *vm, Value *args, int n, Value *out) {
  return part(vm, "real", UN_REAL, args[0], out);
}
static int math_imag(Vm *vm, Value *args, int n, Value *out) {
  return part(vm, "imag", UN_IMAG, args[0], out);
}
static int math_conj(Vm *vm, Value *args, int n, Value *out) {
  return part(vm, "conj", UN_CONJ, args[0], out);
}
static int math_arg(Vm *vm, Value *args, int n, Value *out) {
  return part(vm, "arg", UN_ARG, args[0], out);
}

static int test(Vm *vm, const char *name, UnOp op, Value v, Value *out) {
  c128 z;
  if (num_has_tensor(v)) return on_tensor(vm, name, op, v, out);
  if (v.tag == V_QUANTITY) z = (c128){v.f, 0};
  else if (!num_complex(v, &z)) return wrong_type(vm, name, v);
  *out = value_bool(op == UN_ISNAN ? isnan(z.re) || isnan(z.im)
                                   : isfinite(z.re) && isfinite(z.im));
  return 0;
}

static int math_isnan(Vm *vm, Value *args, int n, Value *out) {
  return test(vm, "isnan", UN_ISNAN, args[0], out);
}
static int math_isfinite(Vm *vm, Value *args, int n, Value *out) {
  return test(vm, "isfinite", UN_ISFINITE, args[0], out);
}

/* ---- two and three arguments ------------------------------------------------------- */

static int math_atan2(Vm *vm, Value *args, int n, Value *out) {
  double y, x;
  if (num_double(args[0], &y) && num_double(args[1], &x)) {
    *out = value_float(atan2(y, x));
    return 0;
  }
  return num_pair(vm, "atan2", BIN_ATAN2, args[0], args[1], out);
}

/* One bound of clip on anything that has an order. */
static int bound(Vm *vm, Value v, Value limit, bool low, Value *out) {
  if (limit.tag == V_NIL) {
    *out = value_ref(v);
    return 0;
  }
  if (num_has_tensor(v) || num_has_tensor(limit))
    return num_pair(vm, "clip", low ? BIN_MAX : BIN_MIN, v, limit, out);
  int order;
  if (num_order(vm, "clip", v, limit, &order)) return 1;
  bool take = order != 2 && (low ? order < 0 : order > 0);
  double x;
  bool widen = take && v.tag == V_FLOAT && num_double(limit, &x);
  *out = !take ? value_ref(v) : widen ? value_float(x) : value_ref(limit);
  return 0;
}

static int math_clip(Vm *vm, Value *args, int n, Value *out) {
  double lo = -INFINITY, hi = INFINITY;
  Value v = args[0];
  bool plain_lo = args[1].tag == V_NIL || num_double(args[1], &lo);
  bool plain_hi = args[2].tag == V_NIL || num_double(args[2], &hi);
  if (plain_lo && plain_hi && lo > hi)
    return vm_error(vm, "`clip`: the lower bound %g is above the upper bound %g", lo, hi);
  if (v.tag == V_FLOAT && plain_lo && plain_hi) {
    *out = value_float(v.f < lo ? lo : v.f > hi ? hi : v.f);
    return 0;
  }
  if (value_is(v, OBJ_TENSOR) && plain_lo && plain_hi && dtype_float(AS_TENSOR(v)->dtype)) {
    Tensor *t = AS_TENSOR(v);
    return num_give(vm, op_clip(vm_rt(vm), t, lo, hi, t->obj.refs == 1), out);
  }
  Value mid;
  if (bound(vm, v, args[1], true, &mid)) return 1;
  int failed = bound(vm, mid, args[2], false, out);
  value_unref(vm, mid);
  return failed;
}

static int math_pi(Vm *vm, Value *args, int n, Value *out) {
  *out = value_float(M_PI);
  return 0;
}
static int math_inf(Vm *vm, Value *args, int n, Value *out) {
  *out = value_float(INFINITY);
  return 0;
}
static int math_nan(Vm *vm, Value *args, int n, Value *out) {
  *out = value_float(NAN);
  return 0;
}

const Native natives_math[] = {
  {"sqrt", "x", "Square root; nan for a negative real number, 1i for sqrt(-1 + 0i).", math_sqrt,
   NF_DIFF},
  {"exp", "x", "The exponential e^x, elementwise.", math_exp, NF_DIFF},
  {"expm1", "x", "e^x - 1, exact for small x.", math_expm1, NF_DIFF},
  {"log", "x", "Natural logarithm; nan for a negative real number, -inf at 0.", math_log, NF_DIFF},
  {"log2", "x", "Logarithm to base 2.", math_log2, NF_DIFF},
  {"log1p", "x", "log(1 + x), exact for small x.", math_log1p, NF_DIFF},
  {"sin", "x", "Sine of an angle in radians.", math_sin, NF_DIFF},
  {"cos", "x", "Cosine of an angle in radians.", math_cos, NF_DIFF},
  {"tan", "x", "Tangent of an angle in radians.", math_tan, NF_DIFF},
  {"asin", "x", "Arc sine; nan outside [-1, 1].", math_asin, NF_DIFF},
  {"acos", "x", "Arc cosine; nan outside [-1, 1].", math_acos, NF_DIFF},
  {"atan", "x", "Arc tangent.", math_atan, NF_DIFF},
  {"atan2", "y, x", "Angle of the point (x, y) in (-pi, pi].", math_atan2, NF_DIFF},
  {"sinh", "x", "Hyperbolic sine.", math_sinh, NF_DIFF},
  {"cosh", "x", "Hyperbolic cosine.", math_cosh, NF_DIFF},
  {"tanh", "x", "Hyperbolic tangent.", math_tanh, NF_DIFF},
  {"erf", "x", "Error function.", math_erf, NF_DIFF},
  {"gamma_ln", "x", "Logarithm of |gamma(x)|.", math_gamma_ln, NF_DIFF},
  {"relu", "x", "x where positive, else 0; derivative 0 at 0.", math_relu, NF_DIFF},
  {"gelu", "x", "x times the normal distribution function of x.", math_gelu, NF_DIFF},
  {"sigmoid", "x", "The logistic function 1 / (1 + exp(-x)), elementwise.", math_sigmoid, NF_DIFF},
  {"softplus", "x", "log(1 + exp(x)), without overflow.", math_softplus, NF_DIFF},
  {"abs", "x", "Absolute value; of a complex number its length. Derivative 0 at 0.", math_abs,
   NF_DIFF},
  {"sign", "x", "-1, 0 or 1; of a complex number z / abs(z).", math_sign, NF_DIFF},
  {"floor", "x", "The next whole number below, as a float (of an int the int).", math_floor,
   NF_DIFF},
  {"ceil", "x", "The next whole number above, as a float (of an int the int).", math_ceil, NF_DIFF},
  {"round", "x, digits = 0", "The nearest number with so many decimals, halves to even.",
   math_round, NF_DIFF},
  {"clip", "x, lo = nil, hi = nil",
   "x limited to [lo, hi]; nil leaves a side open.\n"
   "The derivative is 1 inside and at the bounds, 0 outside.", math_clip, NF_DIFF},
  {"real", "z", "Real part.", math_real, NF_DIFF},
  {"imag", "z", "Imaginary part.", math_imag, NF_DIFF},
  {"conj", "z", "Complex conjugate.", math_conj, NF_DIFF},
  {"arg", "z", "Angle of a complex number in (-pi, pi].", math_arg, NF_DIFF},
  {"isnan", "x", "Is x not a number?  Elementwise on tensors.", math_isnan, NF_CONST},
  {"isfinite", "x", "Is x neither infinite nor nan?  Elementwise on tensors.", math_isfinite,
   NF_CONST},
  {"pi", NULL, "3.141592653589793", math_pi, NF_CONST},
  {"inf", NULL, "Infinity, a float.", math_inf, NF_CONST},
  {"nan", NULL, "Not a number, a float; unequal to itself.", math_nan, NF_CONST},
  {0},
};
