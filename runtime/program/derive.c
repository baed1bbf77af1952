/* derive.c: the derivative of a program as more nodes of the same program
 * (reverse mode: adjoints flow from the output to the leaves).
 *
 * Broadcasting forwards means summing backwards: where a strip's adjoint
 * reaches a scalar node, a PO_SUM over the strip is put in.  The rest of the
 * chain below it is then computed once a row.                               */
#include "runtime/program/program.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
  Rt *rt;
  Prog *p;
  int *adjoint;    /* per node of the original program; -1: none yet */
  bool *wanted;    /* does the node depend on a leaf? */
} Derive;

static int un(Derive *d, ProgOp op, int a) { return prog_unary(d->p, op, a); }
static int bi(Derive *d, ProgOp op, int a, int b) { return prog_binary(d->p, op, a, b); }
static int k_(Derive *d, double v) { return prog_const(d->p, v); }
static int mul(Derive *d, int a, int b) { return bi(d, PO_MUL, a, b); }
static int divi(Derive *d, int a, int b) { return bi(d, PO_DIV, a, b); }

static void add(Derive *d, int node, int g) {
  if (!d->wanted[node]) return;
  if (!d->p->pairwise && !d->p->node[node].vec && d->p->node[g].vec) g = un(d, PO_SUM, g);
  d->adjoint[node] = d->adjoint[node] < 0 ? g : bi(d, PO_ADD, d->adjoint[node], g);
}

/* Derivative factor of a unary operation at argument a with value y. */
static int slope(Derive *d, ProgOp op, int a, int y) {
  int one = k_(d, 1), two = k_(d, 2);
  switch (op) {
  case PO_NEG: return k_(d, -1);
  case PO_ABS: return un(d, PO_SIGN, a);
  case PO_SQRT: /* 0 at 0: the distance of two equal vectors has no direction */
    return mul(d, k_(d, 0.5), un(d, PO_RECIP0, y));
  case PO_EXP: return y;
  case PO_LOG: return divi(d, one, a);
  case PO_LOG2: return divi(d, k_(d, M_LOG2E), a);
  case PO_LOG1P: return divi(d, one, bi(d, PO_ADD, one, a));
  case PO_EXPM1: return bi(d, PO_ADD, y, one);
  case PO_SIN: return un(d, PO_COS, a);
  case PO_COS: return un(d, PO_NEG, un(d, PO_SIN, a));
  case PO_TAN: return bi(d, PO_ADD, one, mul(d, y, y));
  case PO_ASIN: return divi(d, one, un(d, PO_SQRT, bi(d, PO_SUB, one, mul(d, a, a))));
  case PO_ACOS: return divi(d, k_(d, -1), un(d, PO_SQRT, bi(d, PO_SUB, one, mul(d, a, a))));
  case PO_ATAN: return divi(d, one, bi(d, PO_ADD, one, mul(d, a, a)));
  case PO_SINH: return un(d, PO_COSH, a);
  case PO_COSH: return un(d, PO_SINH, a);
  case PO_TANH: return bi(d, PO_SUB, one, mul(d, y, y));
  case PO_ERF: return mul(d, k_(d, M_2_SQRTPI), un(d, PO_EXP, un(d, PO_NEG, mul(d, a, a))));
  case PO_GAMMA_LN: return un(d, PO_DIGAMMA, a);
  case PO_RELU: return bi(d, PO_GT, a, k_(d, 0));
  case PO_SIGMOID: return mul(d, y, bi(d, PO_SUB, one, y));
  case PO_SOFTPLUS: return un(d, PO_SIGMOID, a);
  case PO_RECIP0: return un(d, PO_NEG, mul(d, y, y));
  case PO_GELU: {
    int cdf = mul(d, k_(d, 0.5), bi(d, PO_ADD, one, un(d, PO_ERF, mul(d, a, k_(d, M_SQRT1_2)))));
    int pdf = mul(d, k_(d, 1 / sqrt(2 * M_PI)),
                  un(d, PO_EXP, un(d, PO_NEG, divi(d, mul(d, a, a), two))));
    return bi(d, PO_ADD, cdf, mul(d, a, pdf));
  }
  default: return -1;
  }
}

static void pow_rule(Derive *d, int a, int b, int y, int g) {
  if (d->wanted[a]) {
    int low = bi(d, PO_POW, a, bi(d, PO_SUB, b, k_(d, 1)));
    add(d, a, mul(d, g, mul(d, b, low)));
  }
  if (d->wanted[b]) { /* a^b log a, with its limit 0 at a = 0 */
    int zero = k_(d, 0), positive = bi(d, PO_GT, a, zero);
    int safe = prog_select(d->p, positive, a, k_(d, 1));
    add(d, b, mul(d, g, mul(d, y, un(d, PO_LOG, safe))));
  }
}

static void binary_rule(Derive *d, ProgOp op, int a, int b, int y, int g) {
  int zero = k_(d, 0);
  switch (op) {
  case PO_ADD: add(d, a, g); add(d, b, g); break;
  case PO_SUB:
    add(d, a, g);
    if (d->wanted[b]) add(d, b, un(d, PO_NEG, g));
    break;
  case PO_MUL:
    if (a == b) { add(d, a, mul(d, k_(d, 2), mul(d, g, a))); break; }
    if (d->wanted[a]) add(d, a, mul(d, g, b));
    if (d->wanted[b]) add(d, b, mul(d, g, a));
    break;
  case PO_DIV:
    if (d->wanted[a]) add(d, a, divi(d, g, b));
    if (d->wanted[b]) add(d, b, un(d, PO_NEG, divi(d, mul(d, g, y), b)));
    break;
  case PO_MOD: /* a - b floor(a / b) */
    add(d, a, g);
    if (d->wanted[b]) add(d, b, un(d, PO_NEG, mul(d, g, bi(d, PO_FLOORDIV, a, b))));
    break;
  case PO_POW: pow_rule(d, a, b, y, g); break;
  case PO_MIN: case PO_MAX: {
    int first = bi(d, op == PO_MIN ? PO_LE : PO_GE, a, b);
    if (d->wanted[a]) add(d, a, prog_select(d->p, first, g, zero));
    if (d->wanted[b]) add(d, b, prog_select(d->p, first, zero, g));
    break;
  }
  case PO_ATAN2: {
    int r2 = bi(d, PO_ADD, mul(d, a, a), mul(d, b, b));
    if (d->wanted[a]) add(d, a, divi(d, mul(d, g, b), r2));
    if (d->wanted[b]) add(d, b, un(d, PO_NEG, divi(d, mul(d, g, a), r2)));
    break;
  }
  default: break; /* floor division and comparisons are locally constant */
  }
}

static RtStatus step(Derive *d, int node) {
  ProgNode n = d->p->node[node];
  int g = d->adjoint[node];
  switch (n.op) {
  case PO_CONST: case PO_VAR: case PO_LOAD: return RT_OK;
  case PO_SIGN: case PO_FLOOR: case PO_CEIL: case PO_ROUND: case PO_TRUNC: case PO_NOT:
  case PO_DETACH:
    return RT_OK;
  case PO_SELECT: {
    int zero = k_(d, 0);
    if (d->wanted[n.b]) add(d, n.b, prog_select(d->p, n.a, g, zero));
    if (d->wanted[n.c]) add(d, n.c, prog_select(d->p, n.a, zero, g));
    return RT_OK;
  }
  case PO_SUM: add(d, n.a, g); return RT_OK;
  default: break;
  }
  if (n.op >= PO_ADD) {
    binary_rule(d, n.op, n.a, n.b, node, g);
    return RT_OK;
  }
  int s = slope(d, n.op, n.a, node);
  if (s < 0) return rt_fail(d->rt, RT_ERROR, "no derivative for `%s`", prog_op_name(n.op));
  add(d, n.a, mul(d, g, s));
  return RT_OK;
}

RtStatus prog_derive(Rt *rt, Prog *p, int out, int seed, int n, const int *leaf, int *adjoint) {
  int count = p->n;
  Derive d = {rt, p, malloc((size_t)count * sizeof(int)), calloc((size_t)count, sizeof(bool))};
  RtStatus status = RT_OK;
  if (!d.adjoint || !d.wanted) {
    status = rt_fail(rt, RT_MEMORY, "out of memory while deriving a program");
    goto done;
  }
  for (int i = 0; i < count; i++) d.adjoint[i] = -1;
  for (int k = 0; k < n; k++) d.wanted[leaf[k]] = true;
  for (int i = 0; i < count; i++) {
    int arg[PROG_MAX_INDEX], m = p->node[i].op == PO_LOAD ? 0 : prog_operands(p, i, arg);
    for (int j = 0; j < m; j++) d.wanted[i] |= d.wanted[arg[j]];
  }
  add(&d, out, seed);
  for (int i = out; i >= 0 && !status; i--)
    if (d.adjoint[i] >= 0 && d.wanted[i]) status = step(&d, i);
  for (int k = 0; k < n; k++) {
    adjoint[k] = d.adjoint[leaf[k]];
    if (adjoint[k] >= 0 && prog_is_const(p, adjoint[k], NULL) && p->node[adjoint[k]].value == 0)
      adjoint[k] = -1;
  }
done:
  free(d.adjoint);
  free(d.wanted);
  if (!status && p->failed)
    status = rt_fail(rt, RT_MEMORY, "out of memory while deriving a program");
  return status;
}
