/* scalar.c: a program evaluated for one index pair, in double precision. */
#include "runtime/program/program.h"

#include <math.h>

/* Recurrence up to 6, then the asymptotic series: error below 1e-13. */
double prog_digamma(double x) {
  if (x <= 0 && x == floor(x)) return NAN;
  if (x < 0) return prog_digamma(1 - x) - M_PI / tan(M_PI * x);
  double s = 0;
  while (x < 10) { s -= 1 / x; x += 1; }
  double r = 1 / (x * x);
  return s + log(x) - 0.5 / x
       - r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132)))));
}

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static double sigmoid(double x) {
  if (x >= 0) return 1 / (1 + exp(-x));
  double e = exp(x);
  return e / (1 + e);
}

static double unary(ProgOp op, double a) {
  switch (op) {
  case PO_NEG: return -a;
  case PO_ABS: return fabs(a);
  case PO_SIGN: return (a > 0) - (a < 0);
  case PO_SQRT: return sqrt(a);
  case PO_EXP: return exp(a);
  case PO_LOG: return log(a);
  case PO_LOG2: return log2(a);
  case PO_LOG1P: return log1p(a);
  case PO_EXPM1: return expm1(a);
  case PO_SIN: return sin(a);
  case PO_COS: return cos(a);
  case PO_TAN: return tan(a);
  case PO_ASIN: return asin(a);
  case PO_ACOS: return acos(a);
  case PO_ATAN: return atan(a);
  case PO_SINH: return sinh(a);
  case PO_COSH: return cosh(a);
  case PO_TANH: return tanh(a);
  case PO_ERF: return erf(a);
  case PO_GAMMA_LN: return lgamma(a);
  case PO_DIGAMMA: return prog_digamma(a);
  case PO_FLOOR: return floor(a);
  case PO_CEIL: return ceil(a);
  case PO_ROUND: return rint(a);
  case PO_TRUNC: return trunc(a);
  case PO_RELU: return a >= 0 || a != a ? a : 0;
  case PO_GELU: return 0.5 * a * (1 + erf(a * M_SQRT1_2));
  case PO_SIGMOID: return sigmoid(a);
  case PO_SOFTPLUS: return softplus(a);
  case PO_RECIP0: return a != 0 ? 1 / a : 0;
  case PO_NOT: return a == 0;
  default: return a;
  }
}

double prog_op_eval(ProgOp op, double a, double b, double c) {
  switch (op) {
  case PO_ADD: return a + b;
  case PO_SUB: return a - b;
  case PO_MUL: return a * b;
  case PO_DIV: return a / b;
  case PO_FLOORDIV: return floor(a / b);
  case PO_MOD: return a - b * floor(a / b);
  case PO_POW: return pow(a, b);
  case PO_MIN: return a <= b || isnan(a) ? a : b;
  case PO_MAX: return a >= b || isnan(a) ? a : b;
  case PO_ATAN2: return atan2(a, b);
  case PO_EQ: return a == b;
  case PO_NE: return a != b;
  case PO_LT: return a < b;
  case PO_LE: return a <= b;
  case PO_GT: return a > b;
  case PO_GE: return a >= b;
  case PO_AND: return a != 0 && b != 0;
  case PO_OR: return a != 0 || b != 0;
  case PO_SELECT: return a != 0 ? b : c;
  default: return unary(op, a);
  }
}

static bool load(const ProgNode *n, const ProgTensor *t, const double *value, double *out) {
  if (!t->data || n->n_ix != t->rank) return false;
  int64_t at = 0;
  for (int k = 0; k < n->n_ix; k++) {
    double x = value[n->ix[k]];
    if (x < 0) x += (double)t->shape[k];
    if (!(x >= 0 && x < (double)t->shape[k])) return false;
    at += (int64_t)x * t->stride[k];
  }
  switch (t->dtype) {
  case DT_BOOL: *out = ((const bool *)t->data)[at]; break;
  case DT_I64: *out = (double)((const int64_t *)t->data)[at]; break;
  case DT_F32: *out = ((const float *)t->data)[at]; break;
  default: *out = ((const double *)t->data)[at]; break;
  }
  return true;
}

bool prog_eval(const Prog *p, int last, const double *var, const ProgTensor *slot,
               double *value, int *bad_node) {
  for (int i = 0; i <= last; i++) {
    const ProgNode *n = &p->node[i];
    if (n->op == PO_CONST) value[i] = n->value;
    else if (n->op == PO_VAR) value[i] = var[n->slot];
    else if (n->op == PO_LOAD) {
      if (!load(n, &slot[n->slot], value, &value[i])) {
        /* A load that no later node needs may be out of range. */
        if (prog_uses(p, last, i)) { *bad_node = i; return false; }
        value[i] = 0;
      }
    } else {
      value[i] = prog_op_eval(n->op, value[n->a], n->b >= 0 ? value[n->b] : 0,
                              n->c >= 0 ? value[n->c] : 0);
    }
  }
  return true;
}
