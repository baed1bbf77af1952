/* ops_unary.c: functions of one variable.
 *
 * Each rule keeps either the argument or the result.  Conventions: for
 * complex z the adjoint is multiplied by the conjugate of f'(z); abs has
 * derivative 0 at 0, relu 0 at 0; sign, floor, ceil, round and the tests
 * are constants.
 */
#include "runtime/grad/tape_private.h"
#include <math.h>

enum { FLAT = 0, KEEP_X = 1, KEEP_Y = 2, KEEP_NONE = 4 };

static const uint8_t keeps[UN_COUNT] = {
  [UN_NEG] = KEEP_NONE, [UN_ABS] = KEEP_X, [UN_SQRT] = KEEP_Y, [UN_EXP] = KEEP_Y,
  [UN_LOG] = KEEP_X, [UN_LOG2] = KEEP_X, [UN_LOG1P] = KEEP_X, [UN_EXPM1] = KEEP_Y,
  [UN_SIN] = KEEP_X, [UN_COS] = KEEP_X, [UN_TAN] = KEEP_Y, [UN_ASIN] = KEEP_X,
  [UN_ACOS] = KEEP_X, [UN_ATAN] = KEEP_X, [UN_SINH] = KEEP_X, [UN_COSH] = KEEP_X,
  [UN_TANH] = KEEP_Y, [UN_ERF] = KEEP_X, [UN_GAMMA_LN] = KEEP_X, [UN_DIGAMMA] = KEEP_X,
  [UN_RELU] = KEEP_Y, [UN_GELU] = KEEP_X, [UN_SIGMOID] = KEEP_Y, [UN_SOFTPLUS] = KEEP_X,
  [UN_REAL] = KEEP_NONE, [UN_IMAG] = KEEP_NONE, [UN_CONJ] = KEEP_NONE, [UN_ARG] = KEEP_X,
  [UN_SQUARE] = KEEP_X, [UN_RECIP] = KEEP_Y,
};

/* z / |z|, 0 at 0 */
static Tensor *direction(Rt *rt, Tensor *z) {
  Tensor *r = op_unary(rt, UN_ABS, z, 0);
  if (!r) return NULL;
  Tensor *nz = op_binary_scalar(rt, BIN_NE, r, 0, true, false, 0);
  Tensor *one = tensor_scalar(rt, r->dtype, 1, 0);
  Tensor *safe = t_where(rt, nz ? tensor_ref(nz) : NULL, r, one);
  return t_keep(rt, nz, t_bin(rt, BIN_DIV, tensor_ref(z), safe));
}

Tensor *op_unary(Rt *rt, UnOp op, Tensor *a, unsigned reuse) {
  if (!rt_taped(rt, a)) {
    Tensor *out = tensor_unary(rt, op, a, reuse);
    if (rt->tape && out && out != a) out->node = 0;
    return out;
  }
  bool complex = dtype_complex(a->dtype);
  if (op == UN_SIGN && complex) return direction(rt, a);
  int keep = keeps[op];
  if (!complex && (op == UN_REAL || op == UN_CONJ)) return tensor_ref(a);
  if (!complex && (op == UN_IMAG || op == UN_ARG)) keep = FLAT;
  uint64_t node = a->node;
  Tensor *out = tensor_unary(rt, op, a, keep == KEEP_X || keep == FLAT ? 0 : reuse);
  if (!out) return NULL;
  if (keep == FLAT) {
    out->node = 0;
    return out;
  }
  a->node = node;
  TapeNode *n = tape_push(rt, out, TN_UNARY, op, a, NULL);
  if (!n) {
    tensor_unref(rt, out);
    return NULL;
  }
  if (keep & (KEEP_X | KEEP_Y)) n->saved[0] = tensor_ref(keep == KEEP_X ? a : out);
  return out;
}

static Tensor *one_minus_square(Rt *rt, Tensor *x) {
  return t_num_left(rt, BIN_SUB, 1, op_unary(rt, UN_SQUARE, x, 0));
}

static Tensor *over(Rt *rt, double s, Tensor *x) { return t_num_left(rt, BIN_DIV, s, x); }

/* Phi(x) + x phi(x) */
static Tensor *gelu_slope(Rt *rt, Tensor *x) {
  Tensor *cdf = t_un(rt, UN_ERF, op_binary_scalar(rt, BIN_MUL, x, sqrt(0.5), false, false, 0));
  cdf = t_scale(rt, t_num(rt, BIN_ADD, cdf, 1), 0.5);
  Tensor *pdf = t_un(rt, UN_EXP, t_scale(rt, op_unary(rt, UN_SQUARE, x, 0), -0.5));
  pdf = t_scale(rt, pdf, 1 / sqrt(2 * M_PI));
  return t_add(rt, cdf, t_mul(rt, tensor_ref(x), pdf));
}

/* psi'(x): recurrence up to x >= 10, then the asymptotic series; reflection
 * below 0.                                                                   */
static double trigamma(double x) {
  if (x <= 0) {
    if (x == floor(x)) return INFINITY;
    double s = sin(M_PI * x);
    return M_PI * M_PI / (s * s) - trigamma(1 - x);
  }
  double sum = 0;
  while (x < 10) {
    sum += 1 / (x * x);
    x += 1;
  }
  double r = 1 / (x * x);
  double tail = r * (1.0 / 6 - r * (1.0 / 30 - r * (1.0 / 42 - r * (1.0 / 30 - r * (5.0 / 66)))));
  return sum + 1 / x + r / 2 + tail / x;
}

static Tensor *trigamma_of(Rt *rt, Tensor *x) {
  if (rt_taped(rt, x)) {
    rt_fail(rt, RT_ERROR, "no third derivative for `gamma_ln`");
    return NULL;
  }
  Tensor *out = tensor_new(rt, x->dtype, x->rank, x->shape);
  for (int64_t i = 0; out && i < x->size; i++)
    tensor_set_f64(out, i, trigamma(tensor_get_f64(x, i)));
  return out;
}

/* f'(x) from the argument or the result, whichever is kept; new reference. */
static Tensor *slope(Rt *rt, UnOp op, Tensor *s) {
  switch (op) {
  case UN_ABS: return op_unary(rt, UN_SIGN, s, 0);
  case UN_SQRT: return over(rt, 0.5, tensor_ref(s));
  case UN_EXP: return tensor_ref(s);
  case UN_LOG: return op_unary(rt, UN_RECIP, s, 0);
  case UN_LOG2: return over(rt, 1 / log(2), tensor_ref(s));
  case UN_LOG1P: return t_un(rt, UN_RECIP, t_num(rt, BIN_ADD, tensor_ref(s), 1));
  case UN_EXPM1: return t_num(rt, BIN_ADD, tensor_ref(s), 1);
  case UN_SIN: return op_unary(rt, UN_COS, s, 0);
  case UN_COS: return t_un(rt, UN_NEG, op_unary(rt, UN_SIN, s, 0));
  case UN_TAN: return t_num(rt, BIN_ADD, op_unary(rt, UN_SQUARE, s, 0), 1);
  case UN_ASIN: return over(rt, 1, t_un(rt, UN_SQRT, one_minus_square(rt, s)));
  case UN_ACOS: return over(rt, -1, t_un(rt, UN_SQRT, one_minus_square(rt, s)));
  case UN_ATAN: return over(rt, 1, t_num(rt, BIN_ADD, op_unary(rt, UN_SQUARE, s, 0), 1));
  case UN_SINH: return op_unary(rt, UN_COSH, s, 0);
  case UN_COSH: return op_unary(rt, UN_SINH, s, 0);
  case UN_TANH: return one_minus_square(rt, s);
  case UN_ERF:
    return t_scale(rt, t_un(rt, UN_EXP, t_un(rt, UN_NEG, op_unary(rt, UN_SQUARE, s, 0))),
                   2 / sqrt(M_PI));
  case UN_GAMMA_LN: return op_unary(rt, UN_DIGAMMA, s, 0);
  case UN_DIGAMMA: return trigamma_of(rt, s);
  case UN_GELU: return gelu_slope(rt, s);
  case UN_SIGMOID:
    return t_mul(rt, tensor_ref(s), op_binary_scalar(rt, BIN_SUB, s, 1, true, true, 0));
  case UN_SOFTPLUS: return op_unary(rt, UN_SIGMOID, s, 0);
  case UN_SQUARE: return op_binary_scalar(rt, BIN_MUL, s, 2, true, false, 0);
  case UN_RECIP: return t_un(rt, UN_NEG, op_unary(rt, UN_SQUARE, s, 0));
  default: return NULL;
  }
}

/* i g as a tensor of dtype dt */
static Tensor *times_i(Rt *rt, Tensor *g, int dt) {
  return t_mul(rt, tensor_ref(g), tensor_scalar(rt, dt, 0, 1));
}

/* The complex functions that are not holomorphic. */
static Tensor *complex_special(Rt *rt, TapeNode *n, Tensor *g) {
  Tensor *s = n->saved[0];
  int dt = g->dtype == DT_F32 ? DT_C64 : DT_C128;
  switch ((UnOp)n->sub) {
  case UN_REAL: return tensor_ref(g);
  case UN_IMAG: return times_i(rt, g, dt);
  case UN_CONJ: return op_unary(rt, UN_CONJ, g, 0);
  case UN_ABS: return t_mul(rt, tensor_ref(g), direction(rt, s));
  case UN_ARG: {                               /* g i z / |z|^2                 */
    Tensor *r2 = t_un(rt, UN_SQUARE, op_unary(rt, UN_ABS, s, 0));
    return t_mul(rt, times_i(rt, g, dt), t_bin(rt, BIN_DIV, tensor_ref(s), r2));
  }
  default: return NULL;
  }
}

RtStatus back_unary(Rt *rt, TapeNode *n, Tensor *g) {
  UnOp op = n->sub;
  Tensor *s = n->saved[0];
  if (op == UN_NEG) return tape_add(rt, n, 0, op_unary(rt, UN_NEG, g, 1));
  bool special = op == UN_REAL || op == UN_IMAG || op == UN_CONJ || op == UN_ARG;
  if (special || (op == UN_ABS && dtype_complex(s->dtype)))
    return tape_add(rt, n, 0, complex_special(rt, n, g));
  if (!rt->tape->recording) {
    Tensor *d = fused_unary(rt, op, g, s);
    if (d) return tape_add(rt, n, 0, d);
  }
  if (op == UN_RELU) {
    Tensor *on = op_binary_scalar(rt, BIN_GT, s, 0, true, false, 0);
    return tape_add(rt, n, 0, t_keep(rt, on, tensor_ref(g)));
  }
  return tape_add(rt, n, 0, t_mul(rt, tensor_ref(g), t_conj(rt, slope(rt, op, s))));
}
