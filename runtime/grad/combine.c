/* combine.c: the combinators backward rules are written with: they take over
 * every tensor given, pass NULL (an error already set) on, and let kernels
 * write into what nobody else holds.                                        */
#include "runtime/grad/tape_private.h"

static Tensor *done1(Rt *rt, Tensor *a, Tensor *r) {
  tensor_unref(rt, a);
  return r;
}

static Tensor *done2(Rt *rt, Tensor *a, Tensor *b, Tensor *r) {
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return r;
}

Tensor *t_bin(Rt *rt, BinOp op, Tensor *a, Tensor *b) {
  return done2(rt, a, b, a && b ? op_binary(rt, op, a, b, 3, 0) : NULL);
}

Tensor *t_num(Rt *rt, BinOp op, Tensor *a, double s) {
  return done1(rt, a, a ? op_binary_scalar(rt, op, a, s, false, false, 1) : NULL);
}

Tensor *t_num_left(Rt *rt, BinOp op, double s, Tensor *a) {
  return done1(rt, a, a ? op_binary_scalar(rt, op, a, s, false, true, 1) : NULL);
}

Tensor *t_un(Rt *rt, UnOp op, Tensor *a) {
  return done1(rt, a, a ? op_unary(rt, op, a, 1) : NULL);
}

Tensor *t_conj(Rt *rt, Tensor *a) {
  return a && dtype_complex(a->dtype) ? t_un(rt, UN_CONJ, a) : a;
}

Tensor *t_mm(Rt *rt, Tensor *a, Tensor *b) {
  return done2(rt, a, b, a && b ? op_matmul(rt, a, b) : NULL);
}

Tensor *t_mmt(Rt *rt, Tensor *a, bool ta, Tensor *b, bool tb) {
  return done2(rt, a, b, a && b ? op_matmul_t(rt, a, ta, b, tb) : NULL);
}

Tensor *t_adj(Rt *rt, Tensor *a) {
  return done1(rt, a, a ? op_swap_last(rt, a, dtype_complex(a->dtype)) : NULL);
}

Tensor *t_sum_to(Rt *rt, Tensor *a, const Tensor *like) {
  if (!a || same_shape(a, like)) return a;
  return done1(rt, a, op_sum_to(rt, a, like->rank, like->shape));
}

Tensor *t_expand(Rt *rt, Tensor *a, const TapeShape *s) {
  return done1(rt, a, a ? op_expand(rt, a, s->rank, s->dim) : NULL);
}

Tensor *t_reshape(Rt *rt, Tensor *a, int rank, const int64_t *shape) {
  return done1(rt, a, a ? op_reshape(rt, a, rank, shape) : NULL);
}

Tensor *t_red(Rt *rt, RedOp op, Tensor *a, unsigned axes, bool keep) {
  return done1(rt, a, a ? op_reduce(rt, op, a, axes, keep) : NULL);
}

Tensor *t_index(Rt *rt, Tensor *a, int n, const Index *ix) {
  return done1(rt, a, a ? op_index(rt, a, n, ix) : NULL);
}

Tensor *t_where(Rt *rt, Tensor *c, Tensor *a, Tensor *b) {
  Tensor *r = a && b && c ? op_where(rt, c, a, b) : NULL;
  tensor_unref(rt, c);
  return done2(rt, a, b, r);
}

Tensor *t_zero(Rt *rt, int dtype) { return tensor_scalar(rt, dtype, 0, 0); }

Tensor *t_keep(Rt *rt, Tensor *mask, Tensor *g) {
  return t_where(rt, mask, g, g ? t_zero(rt, g->dtype) : NULL);
}
