/* bounds.c: interval arithmetic on programs: which values can an expression
 * take while its variables run over ranges?  It decides tile classes of masks
 * and the sign of weights.  Results enclose the true range; they may be wider. */
#include "runtime/program/program.h"

#include <math.h>

static const Interval everything = {-INFINITY, INFINITY};

static Interval make(double lo, double hi) {
  if (isnan(lo)) lo = -INFINITY;
  if (isnan(hi)) hi = INFINITY;
  return (Interval){lo, hi};
}

static double times(double a, double b) { return a == 0 || b == 0 ? 0 : a * b; }

static Interval product(Interval a, Interval b) {
  double p[4] = {times(a.lo, b.lo), times(a.lo, b.hi), times(a.hi, b.lo), times(a.hi, b.hi)};
  Interval r = {p[0], p[0]};
  for (int i = 1; i < 4; i++) {
    if (p[i] < r.lo) r.lo = p[i];
    if (p[i] > r.hi) r.hi = p[i];
  }
  return r;
}

static Interval reciprocal(Interval b) {
  if (b.lo < 0 && b.hi > 0) return everything;
  if (b.lo == 0 && b.hi == 0) return everything;
  if (b.lo == 0) return (Interval){1 / b.hi, INFINITY};
  if (b.hi == 0) return (Interval){-INFINITY, 1 / b.lo};
  return (Interval){1 / b.hi, 1 / b.lo};
}

static Interval square(Interval a) {
  if (a.lo >= 0) return make(a.lo * a.lo, a.hi * a.hi);
  if (a.hi <= 0) return make(a.hi * a.hi, a.lo * a.lo);
  return make(0, fmax(a.lo * a.lo, a.hi * a.hi));
}

static Interval power(Interval a, Interval b) {
  if (b.lo == b.hi && b.lo == floor(b.lo) && b.lo >= 0 && b.lo <= 64) {
    bool even = fmod(b.lo, 2) == 0;
    double lo = pow(a.lo, b.lo), hi = pow(a.hi, b.lo);
    if (!even || a.lo >= 0) return make(lo, hi);
    if (a.hi <= 0) return make(hi, lo);
    return make(0, fmax(lo, hi));
  }
  if (a.lo < 0) return everything;
  double p[4] = {pow(a.lo, b.lo), pow(a.lo, b.hi), pow(a.hi, b.lo), pow(a.hi, b.hi)};
  Interval r = {p[0], p[0]};
  for (int i = 1; i < 4; i++) {
    r.lo = fmin(r.lo, p[i]);
    r.hi = fmax(r.hi, p[i]);
  }
  /* inf^0 and 0^0 are 1 while their neighbours are not. */
  if (isinf(a.hi) || isinf(b.lo) || isinf(b.hi) || a.lo == 0) return (Interval){0, INFINITY};
  return make(r.lo, r.hi);
}

static Interval modulo(Interval a, Interval b) {
  if (b.lo == b.hi && b.lo > 0) {
    double m = b.lo;
    if (isfinite(a.lo) && isfinite(a.hi) && floor(a.lo / m) == floor(a.hi / m))
      return make(a.lo - m * floor(a.lo / m), a.hi - m * floor(a.hi / m));
    return (Interval){0, m};
  }
  if (b.lo > 0) return (Interval){0, b.hi};
  return everything;
}

static Interval truth(bool always, bool never) {
  return always ? (Interval){1, 1} : never ? (Interval){0, 0} : (Interval){0, 1};
}

static Interval compare(ProgOp op, Interval a, Interval b) {
  switch (op) {
  case PO_LT: return truth(a.hi < b.lo, a.lo >= b.hi);
  case PO_LE: return truth(a.hi <= b.lo, a.lo > b.hi);
  case PO_GT: return truth(a.lo > b.hi, a.hi <= b.lo);
  case PO_GE: return truth(a.lo >= b.hi, a.hi < b.lo);
  default: break;
  }
  bool same = a.lo == a.hi && b.lo == b.hi && a.lo == b.lo && isfinite(a.lo);
  bool apart = a.hi < b.lo || a.lo > b.hi;
  return op == PO_EQ ? truth(same, apart) : truth(apart, same);
}

static bool holds(Interval a) { return a.lo > 0 || a.hi < 0; }
static bool fails(Interval a) { return a.lo == 0 && a.hi == 0; }

static Interval through(ProgOp op, Interval a) { /* a rising function */
  return make(prog_op_eval(op, a.lo, 0, 0), prog_op_eval(op, a.hi, 0, 0));
}

static Interval unary(ProgOp op, Interval a) {
  switch (op) {
  case PO_NEG: return (Interval){-a.hi, -a.lo};
  case PO_ABS:
    if (a.lo >= 0) return a;
    if (a.hi <= 0) return (Interval){-a.hi, -a.lo};
    return (Interval){0, fmax(-a.lo, a.hi)};
  case PO_SQRT: return make(sqrt(fmax(a.lo, 0)), sqrt(fmax(a.hi, 0)));
  case PO_LOG: case PO_LOG2:
    return make(a.lo <= 0 ? -INFINITY : prog_op_eval(op, a.lo, 0, 0), prog_op_eval(op, a.hi, 0, 0));
  case PO_LOG1P: return make(a.lo <= -1 ? -INFINITY : log1p(a.lo), log1p(a.hi));
  case PO_SIN: case PO_COS: return (Interval){-1, 1};
  case PO_TAN: case PO_DIGAMMA: return everything;
  case PO_ASIN: return through(op, make(fmax(a.lo, -1), fmin(a.hi, 1)));
  case PO_ACOS: return make(acos(fmin(a.hi, 1)), acos(fmax(a.lo, -1)));
  case PO_COSH: {
    Interval m = unary(PO_ABS, a);
    return make(cosh(m.lo), cosh(m.hi));
  }
  case PO_GAMMA_LN: return (Interval){a.lo > 0 ? -0.1215 : -INFINITY, INFINITY};
  case PO_GELU: return make(a.lo >= 0 ? prog_op_eval(op, a.lo, 0, 0) : -0.17, fmax(0, a.hi));
  case PO_RECIP0:
    if (a.lo > 0 || a.hi < 0) return reciprocal(a);
    return (Interval){a.lo < 0 ? -INFINITY : 0, a.hi > 0 ? INFINITY : 0};
  case PO_NOT: return truth(fails(a), holds(a));
  case PO_SUM: return everything;
  default: return through(op, a);
  }
}

static Interval binary(ProgOp op, Interval a, Interval b, bool same) {
  switch (op) {
  case PO_ADD: return make(a.lo + b.lo, a.hi + b.hi);
  case PO_SUB: return same ? (Interval){0, 0} : make(a.lo - b.hi, a.hi - b.lo);
  case PO_MUL: return same ? square(a) : product(a, b);
  case PO_DIV: return product(a, reciprocal(b));
  case PO_FLOORDIV: {
    Interval q = product(a, reciprocal(b));
    return make(floor(q.lo), floor(q.hi));
  }
  case PO_MOD: return modulo(a, b);
  case PO_POW: return power(a, b);
  case PO_MIN: return make(fmin(a.lo, b.lo), fmin(a.hi, b.hi));
  case PO_MAX: return make(fmax(a.lo, b.lo), fmax(a.hi, b.hi));
  case PO_ATAN2: return (Interval){-M_PI, M_PI};
  case PO_AND: return truth(holds(a) && holds(b), fails(a) || fails(b));
  case PO_OR: return truth(holds(a) || holds(b), fails(a) && fails(b));
  default: return compare(op, a, b);
  }
}

Interval prog_interval(const Prog *p, int node, const ProgRanges *r, Interval *s) {
  for (int i = 0; i <= node; i++) {
    const ProgNode *n = &p->node[i];
    if (n->op == PO_CONST) s[i] = isnan(n->value) ? everything : (Interval){n->value, n->value};
    else if (n->op == PO_VAR) s[i] = r->var ? r->var[n->slot] : p->var[n->slot].range;
    else if (n->op == PO_LOAD) {
      Interval ix[PROG_MAX_INDEX];
      for (int k = 0; k < n->n_ix; k++) ix[k] = s[n->ix[k]];
      s[i] = r->load ? r->load(r->user, n->slot, n->n_ix, ix) : p->slot[n->slot].range;
    } else if (n->op == PO_SELECT) {
      Interval c = s[n->a], a = s[n->b], b = s[n->c];
      s[i] = holds(c) ? a : fails(c) ? b : (Interval){fmin(a.lo, b.lo), fmax(a.hi, b.hi)};
    } else if (n->b >= 0) {
      s[i] = binary(n->op, s[n->a], s[n->b], n->a == n->b);
    } else {
      s[i] = unary(n->op, s[n->a]);
    }
  }
  return s[node];
}
