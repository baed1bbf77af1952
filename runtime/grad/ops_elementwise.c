/* ops_elementwise.c: arithmetic of two operands, clip and where.
 *
 * Broadcast operands get their adjoint summed back to their shape.  Where a
 * derivative does not exist the rule is: min and max split the adjoint
 * equally on ties; clip passes it on at its bounds; floor division,
 * comparisons and logic give constants.
 */
#include "runtime/grad/tape_private.h"
#include <math.h>

/* Constants whatever the operands: comparisons, logic, floor division. */
static inline bool flat_op(BinOp op) { return op >= BIN_EQ || op == BIN_FLOORDIV; }

static Tensor *constant(Tensor *out) {
  if (out) out->node = 0;
  return out;
}

static Tensor *drop_out(Rt *rt, Tensor *out) {
  tensor_unref(rt, out);
  return NULL;
}

/* What the rule of `op` needs: bit 0 operand a, bit 1 operand b, bit 2 the
 * result instead of a.                                                      */
static unsigned binary_needs(BinOp op, bool ta, bool tb) {
  switch (op) {
  case BIN_MUL: return (tb ? 1u : 0u) | (ta ? 2u : 0u);
  case BIN_DIV: return 2u | (tb ? 4u : 0u);
  case BIN_MOD: return tb ? 3u : 0u;
  case BIN_POW: case BIN_MIN: case BIN_MAX: case BIN_ATAN2: return 3u;
  default: return 0;
  }
}

/* Remembers an operand's shape when it was broadcast. */
static bool note_shapes(Rt *rt, TapeNode *n, Tensor *a, Tensor *b, Tensor *out) {
  bool fit_a = !same_shape(a, out), fit_b = !same_shape(b, out);
  if (!fit_a && !fit_b) return true;
  TapeShape **s = tape_bump(rt, 2 * sizeof *s);
  if (!s) return false;
  n->ext = s;
  s[0] = fit_a ? tape_shape(rt, a->rank, a->shape) : NULL;
  s[1] = fit_b ? tape_shape(rt, b->rank, b->shape) : NULL;
  n->flags |= (fit_a ? NODE_FIT0 : 0) | (fit_b ? NODE_FIT1 : 0);
  return (!fit_a || s[0]) && (!fit_b || s[1]);
}

Tensor *op_binary(Rt *rt, BinOp op, Tensor *a, Tensor *b, unsigned reuse, unsigned weak) {
  if (!rt->tape) return tensor_binary(rt, op, a, b, reuse, weak);
  bool ta = rt_taped(rt, a), tb = rt_taped(rt, b);
  if (!(ta | tb) || flat_op(op)) return constant(tensor_binary(rt, op, a, b, reuse, weak));
  unsigned need = binary_needs(op, ta, tb);
  uint64_t na = a->node, nb = b->node;      /* kernels may reuse the headers   */
  Tensor *out = tensor_binary(rt, op, a, b, reuse & ~need, weak);
  if (!out) return NULL;
  a->node = na;
  b->node = nb;
  TapeNode *n = tape_push(rt, out, TN_BINARY, op, a, b);
  if (!n) return drop_out(rt, out);
  n->flags |= (weak & 1 ? NODE_WEAK0 : 0) | (weak & 2 ? NODE_WEAK1 : 0);
  if (need & 5u) n->saved[0] = tensor_ref(need & 4u ? out : a);
  if (need & 2u) n->saved[1] = tensor_ref(b);
  return note_shapes(rt, n, a, b, out) ? out : drop_out(rt, out);
}

/* Takes over g: back to input k's shape. */
static Tensor *fit(Rt *rt, TapeNode *n, int k, Tensor *g) {
  if (!g || !(n->flags & (NODE_FIT0 << k))) return g;
  TapeShape *s = ((TapeShape **)n->ext)[k];
  Tensor *r = op_sum_to(rt, g, s->rank, s->dim);
  tensor_unref(rt, g);
  return r;
}

/* a^b: derivative in a, zero where b is 0 (also at a = 0). */
static Tensor *pow_base(Rt *rt, Tensor *g, Tensor *a, Tensor *b) {
  Tensor *e = t_num(rt, BIN_SUB, tensor_ref(b), 1);
  Tensor *p = t_bin(rt, BIN_POW, tensor_ref(a), e);
  Tensor *d = t_conj(rt, t_mul(rt, tensor_ref(b), p));
  Tensor *nz = op_binary_scalar(rt, BIN_NE, b, 0, true, false, 0);
  return t_keep(rt, nz, t_mul(rt, tensor_ref(g), d));
}

/* a^b: derivative in b, zero where a is 0. */
static Tensor *pow_exponent(Rt *rt, Tensor *g, Tensor *a, Tensor *b) {
  Tensor *p = t_bin(rt, BIN_POW, tensor_ref(a), tensor_ref(b));
  Tensor *d = t_conj(rt, t_mul(rt, p, t_un(rt, UN_LOG, tensor_ref(a))));
  Tensor *nz = op_binary_scalar(rt, BIN_NE, a, 0, true, false, 0);
  return t_keep(rt, nz, t_mul(rt, tensor_ref(g), d));
}

/* Where a wins (op MIN or MAX) all of g, half of it on ties. */
static Tensor *winner(Rt *rt, BinOp op, Tensor *g, Tensor *a, Tensor *b) {
  BinOp beats = op == BIN_MIN ? BIN_LT : BIN_GT;
  Tensor *half = t_scale(rt, tensor_ref(g), 0.5);
  Tensor *tie = t_keep(rt, op_binary(rt, BIN_EQ, a, b, 0, 0), half);
  return t_where(rt, op_binary(rt, beats, a, b, 0, 0), tensor_ref(g), tie);
}

/* 1 / (a^2 + b^2), times what */
static Tensor *over_square(Rt *rt, Tensor *what, Tensor *a, Tensor *b) {
  Tensor *r = t_add(rt, t_un(rt, UN_SQUARE, tensor_ref(a)), t_un(rt, UN_SQUARE, tensor_ref(b)));
  return t_bin(rt, BIN_DIV, tensor_ref(what), r);
}

static Tensor *first(Rt *rt, BinOp op, Tensor *g, Tensor *a, Tensor *b, bool last) {
  switch (op) {
  case BIN_MUL:
    if (dtype_complex(b->dtype)) return t_mul(rt, tensor_ref(g), t_conj(rt, tensor_ref(b)));
    return op_binary(rt, BIN_MUL, g, b, last, 0);
  case BIN_POW: return pow_base(rt, g, a, b);
  case BIN_MIN: case BIN_MAX: return winner(rt, op, g, a, b);
  case BIN_ATAN2: return t_mul(rt, tensor_ref(g), over_square(rt, b, a, b));
  default: return tensor_ref(g);            /* add, sub, mod                   */
  }
}

static Tensor *second(Rt *rt, BinOp op, Tensor *g, Tensor *a, Tensor *b) {
  switch (op) {
  case BIN_SUB: return op_unary(rt, UN_NEG, g, 1);
  case BIN_MUL:
    if (dtype_complex(a->dtype)) return t_mul(rt, tensor_ref(g), t_conj(rt, tensor_ref(a)));
    return op_binary(rt, BIN_MUL, g, a, 1, 0);
  case BIN_MOD: {
    Tensor *q = op_binary(rt, BIN_FLOORDIV, a, b, 0, 0);
    return t_un(rt, UN_NEG, t_mul(rt, tensor_ref(g), q));
  }
  case BIN_POW: return pow_exponent(rt, g, a, b);
  case BIN_MIN: case BIN_MAX: return winner(rt, op, g, b, a);
  case BIN_ATAN2: return t_un(rt, UN_NEG, t_mul(rt, tensor_ref(g), over_square(rt, a, a, b)));
  default: return tensor_ref(g);            /* add                             */
  }
}

/* a / b: both adjoints share g / conj(b); q is the quotient. */
static RtStatus back_divide(Rt *rt, TapeNode *n, Tensor *g, Tensor *q, Tensor *b) {
  Tensor *d = t_bin(rt, BIN_DIV, tensor_ref(g), t_conj(rt, tensor_ref(b)));
  if (!d) return rt->error.status;
  RtStatus s = RT_OK;
  if (n->in[0]) s = tape_add(rt, n, 0, fit(rt, n, 0, tensor_ref(d)));
  if (!s && n->in[1]) {
    d = t_un(rt, UN_NEG, t_mul(rt, d, t_conj(rt, tensor_ref(q))));
    return tape_add(rt, n, 1, fit(rt, n, 1, d));
  }
  tensor_unref(rt, d);
  return s;
}

static RtStatus both_sides(Rt *rt, TapeNode *n, Tensor *g, Tensor *a, Tensor *b) {
  if (n->sub == BIN_DIV) return back_divide(rt, n, g, a, b);
  if (n->in[0])
    RT_TRY(tape_add(rt, n, 0, fit(rt, n, 0, first(rt, n->sub, g, a, b, !n->in[1]))));
  return n->in[1] ? tape_add(rt, n, 1, fit(rt, n, 1, second(rt, n->sub, g, a, b))) : RT_OK;
}

/* A scalar operand that adapted to the other's precision does so again. */
static Tensor *adapted(Rt *rt, Tensor *t, bool weak, int like) {
  if (!t || !weak || t->dtype < DT_F32) return t ? tensor_ref(t) : NULL;
  bool single = like == DT_F32 || like == DT_C64;
  int want = dtype_complex(t->dtype) ? (single ? DT_C64 : DT_C128) : (single ? DT_F32 : DT_F64);
  return op_astype(rt, t, want);
}

RtStatus back_binary(Rt *rt, TapeNode *n, Tensor *g) {
  Tensor *a = n->saved[0], *b = n->saved[1];
  if (!(n->flags & (NODE_WEAK0 | NODE_WEAK1))) return both_sides(rt, n, g, a, b);
  a = adapted(rt, a, n->flags & NODE_WEAK0, g->dtype);
  b = adapted(rt, b, n->flags & NODE_WEAK1, g->dtype);
  bool bad = (n->saved[0] && !a) || (n->saved[1] && !b);
  RtStatus s = bad ? rt->error.status : both_sides(rt, n, g, a, b);
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return s;
}

/* ---- a tensor and a number ------------------------------------------------- */

Tensor *op_binary_scalar(Rt *rt, BinOp op, Tensor *a, double s, bool s_is_int,
                         bool scalar_left, unsigned reuse) {
  if (!rt->tape) return tensor_binary_scalar(rt, op, a, s, s_is_int, scalar_left, reuse);
  if (!rt_taped(rt, a) || flat_op(op))
    return constant(tensor_binary_scalar(rt, op, a, s, s_is_int, scalar_left, reuse));
  bool need_a = op >= BIN_POW || (op == BIN_DIV && scalar_left) ||
                (op == BIN_MOD && scalar_left);
  bool need_out = (op == BIN_DIV && scalar_left) || (op == BIN_POW && scalar_left);
  uint64_t node = a->node;
  Tensor *out = tensor_binary_scalar(rt, op, a, s, s_is_int, scalar_left, need_a ? 0 : reuse);
  if (!out) return NULL;
  a->node = node;
  TapeNode *n = tape_push(rt, out, TN_SCALAR, op, a, NULL);
  if (!n) return drop_out(rt, out);
  n->s = s;
  n->flags |= (scalar_left ? NODE_LEFT : 0) | (s_is_int ? NODE_INT : 0);
  if (need_a) n->saved[0] = tensor_ref(a);
  if (need_out) n->saved[1] = tensor_ref(out);
  return out;
}

static Tensor *scalar_pow(Rt *rt, TapeNode *n, Tensor *g) {
  Tensor *a = n->saved[0];
  double s = n->s;
  if (n->flags & NODE_LEFT) {                 /* s^a: g s^a log(s); 0 at s = 0 */
    if (s == 0) return t_scale(rt, tensor_ref(g), 0);
    Tensor *d = t_conj(rt, t_scale(rt, tensor_ref(n->saved[1]), log(s)));
    return t_mul(rt, tensor_ref(g), d);
  }
  if (s == 0) return t_scale(rt, tensor_ref(g), 0);
  if (s == 1) return tensor_ref(g);
  Tensor *p = s == 2 ? tensor_ref(a)
                     : op_binary_scalar(rt, BIN_POW, a, s - 1, n->flags & NODE_INT, false, 0);
  return t_mul(rt, tensor_ref(g), t_conj(rt, t_scale(rt, p, s)));
}

static Tensor *scalar_winner(Rt *rt, TapeNode *n, Tensor *g) {
  Tensor *a = n->saved[0];
  BinOp beats = n->sub == BIN_MIN ? BIN_LT : BIN_GT;
  Tensor *tie = t_keep(rt, op_binary_scalar(rt, BIN_EQ, a, n->s, false, false, 0),
                       t_scale(rt, tensor_ref(g), 0.5));
  return t_where(rt, op_binary_scalar(rt, beats, a, n->s, false, false, 0), tensor_ref(g), tie);
}

static Tensor *scalar_atan2(Rt *rt, TapeNode *n, Tensor *g) {
  Tensor *r = t_num(rt, BIN_ADD, t_un(rt, UN_SQUARE, tensor_ref(n->saved[0])), n->s * n->s);
  double s = n->flags & NODE_LEFT ? -n->s : n->s;
  return t_mul(rt, tensor_ref(g), t_num_left(rt, BIN_DIV, s, r));
}

RtStatus back_scalar(Rt *rt, TapeNode *n, Tensor *g) {
  bool left = n->flags & NODE_LEFT;
  Tensor *d = NULL;
  switch ((BinOp)n->sub) {
  case BIN_ADD: d = tensor_ref(g); break;
  case BIN_SUB: d = left ? op_unary(rt, UN_NEG, g, 1) : tensor_ref(g); break;
  case BIN_MUL: d = op_binary_scalar(rt, BIN_MUL, g, n->s, false, false, 1); break;
  case BIN_DIV:
    if (left) {                                /* -s / a^2 = -out / a        */
      d = t_bin(rt, BIN_DIV, tensor_ref(n->saved[1]), tensor_ref(n->saved[0]));
      d = t_un(rt, UN_NEG, t_mul(rt, tensor_ref(g), t_conj(rt, d)));
    } else {
      d = op_binary_scalar(rt, BIN_DIV, g, n->s, false, false, 1);
    }
    break;
  case BIN_MOD:
    d = tensor_ref(g);
    if (left) {
      Tensor *q = op_binary_scalar(rt, BIN_FLOORDIV, n->saved[0], n->s, false, true, 0);
      d = t_un(rt, UN_NEG, t_mul(rt, d, q));
    }
    break;
  case BIN_POW: d = scalar_pow(rt, n, g); break;
  case BIN_MIN: case BIN_MAX: d = scalar_winner(rt, n, g); break;
  case BIN_ATAN2: d = scalar_atan2(rt, n, g); break;
  default: break;
  }
  return tape_add(rt, n, 0, d);
}

/* ---- clip and where ---------------------------------------------------------- */

Tensor *op_clip(Rt *rt, Tensor *a, double lo, double hi, unsigned reuse) {
  if (!rt_taped(rt, a)) return constant(tensor_clip(rt, a, lo, hi, reuse));
  Tensor *out = tensor_clip(rt, a, lo, hi, 0);
  TapeNode *n = out ? tape_push(rt, out, TN_CLIP, 0, a, NULL) : NULL;
  if (!n) return drop_out(rt, out);
  n->saved[0] = tensor_ref(a);
  n->s = lo;
  n->s2 = hi;
  return out;
}

RtStatus back_clip(Rt *rt, TapeNode *n, Tensor *g) {
  Tensor *a = n->saved[0];
  Tensor *above = op_binary_scalar(rt, BIN_GE, a, n->s, false, false, 0);
  Tensor *below = op_binary_scalar(rt, BIN_LE, a, n->s2, false, false, 0);
  return tape_add(rt, n, 0, t_keep(rt, t_bin(rt, BIN_AND, above, below), tensor_ref(g)));
}

Tensor *op_where(Rt *rt, Tensor *cond, Tensor *a, Tensor *b) {
  Tensor *out = tensor_where(rt, cond, a, b);
  if (!out || !(rt_taped(rt, a) || rt_taped(rt, b))) return constant(out);
  TapeNode *n = tape_push(rt, out, TN_WHERE, 0, a, b);
  if (!n || !note_shapes(rt, n, a, b, out)) return drop_out(rt, out);
  n->saved[0] = tensor_ref(cond);
  return out;
}

RtStatus back_where(Rt *rt, TapeNode *n, Tensor *g) {
  Tensor *c = n->saved[0];
  if (n->in[0]) RT_TRY(tape_add(rt, n, 0, fit(rt, n, 0, t_keep(rt, tensor_ref(c), tensor_ref(g)))));
  if (!n->in[1]) return RT_OK;
  Tensor *d = t_where(rt, tensor_ref(c), t_zero(rt, g->dtype), tensor_ref(g));
  return tape_add(rt, n, 1, fit(rt, n, 1, d));
}
