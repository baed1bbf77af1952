/* ops_product.c: matrix products, outer and Kronecker products.
 *
 * For C = op(A) op(B) each adjoint is again one product with the transposes
 * folded in.  Vectors become one-row or one-column matrices first.  A stack
 * of matrices times one matrix is treated as one tall matrix, so that the
 * matrix gets its adjoint from a single product.
 */
#include "runtime/grad/tape_private.h"
#include "runtime/tensor/linalg.h"

enum { TRANS_A = 1, TRANS_B = 2 };

static Tensor *fail_out(Rt *rt, Tensor *out) {
  tensor_unref(rt, out);
  return NULL;
}

static Tensor *as_matrix(Rt *rt, Tensor *t, bool column) {
  if (t->rank != 1) return tensor_ref(t);
  int64_t shape[2] = {column ? t->shape[0] : 1, column ? 1 : t->shape[0]};
  return op_reshape(rt, t, 2, shape);
}

Tensor *op_matmul_t(Rt *rt, Tensor *a, bool ta, Tensor *b, bool tb) {
  Tensor *out = ta || tb ? tensor_matmul_t(rt, a, ta, b, tb) : tensor_matmul(rt, a, b);
  bool da = rt_taped(rt, a), db = rt_taped(rt, b);
  if (!out || !(da | db)) return out;
  if (a->rank < 2 || b->rank < 2) {
    rt_fail(rt, RT_ERROR, "no derivative for a transposed product of vectors");
    return fail_out(rt, out);
  }
  TapeNode *n = tape_push(rt, out, TN_MATMUL, 0, a, b);
  TapeShape **s = n ? tape_bump(rt, 2 * sizeof *s) : NULL;
  if (!s) return fail_out(rt, out);
  n->ext = s;
  s[0] = tape_shape(rt, a->rank, a->shape);
  s[1] = tape_shape(rt, b->rank, b->shape);
  if (!s[0] || !s[1]) return fail_out(rt, out);
  n->axes = (ta ? TRANS_A : 0) | (tb ? TRANS_B : 0);
  if (db) n->saved[0] = tensor_ref(a);
  if (da) n->saved[1] = tensor_ref(b);
  return out;
}

Tensor *op_matmul(Rt *rt, Tensor *a, Tensor *b) {
  if (!rt_taped(rt, a) && !rt_taped(rt, b)) return tensor_matmul(rt, a, b);
  if (a->rank > 1 && b->rank > 1) return op_matmul_t(rt, a, false, b, false);
  if (!a->rank || !b->rank || a->shape[a->rank - 1] != b->shape[b->rank > 1 ? b->rank - 2 : 0])
    return tensor_matmul(rt, a, b);                          /* its error     */
  Tensor *ma = as_matrix(rt, a, false), *mb = as_matrix(rt, b, true);
  Tensor *m = ma && mb ? op_matmul_t(rt, ma, false, mb, false) : NULL;
  tensor_unref(rt, ma);
  tensor_unref(rt, mb);
  if (!m) return NULL;
  int64_t shape[TENSOR_MAX_RANK];
  int k = 0;
  for (int i = 0; i < m->rank; i++) {
    bool gone = (i == m->rank - 2 && a->rank == 1) || (i == m->rank - 1 && b->rank == 1);
    if (!gone) shape[k++] = m->shape[i];
  }
  return t_reshape(rt, m, k, shape);
}

static Tensor *conjugate(Rt *rt, Tensor *t) {
  return dtype_complex(t->dtype) ? op_unary(rt, UN_CONJ, t, 0) : tensor_ref(t);
}

static Tensor *fit_shape(Rt *rt, Tensor *g, const TapeShape *s) {
  if (!g) return NULL;
  bool same = g->rank == s->rank;
  for (int i = 0; same && i < g->rank; i++) same = g->shape[i] == s->dim[i];
  if (same) return g;
  Tensor *r = op_sum_to(rt, g, s->rank, s->dim);
  tensor_unref(rt, g);
  return r;
}

/* t (..., n, k) as one matrix of all its rows; takes over t. */
static Tensor *tall(Rt *rt, Tensor *t) {
  if (!t || t->rank == 2) return t;
  int64_t shape[2] = {1, t->shape[t->rank - 1]};
  for (int i = 0; i < t->rank - 1; i++) shape[0] *= t->shape[i];
  return t_reshape(rt, t, 2, shape);
}

RtStatus back_matmul(Rt *rt, TapeNode *n, Tensor *g) {
  bool ta = n->axes & TRANS_A, tb = n->axes & TRANS_B;
  TapeShape **s = n->ext;
  if (n->in[0]) {
    Tensor *b = conjugate(rt, n->saved[1]), *d;
    if (ta) d = t_mmt(rt, b, tb, tensor_ref(g), true);
    else d = t_mmt(rt, tensor_ref(g), false, b, !tb);
    RT_TRY(tape_add(rt, n, 0, fit_shape(rt, d, s[0])));
  }
  if (!n->in[1]) return RT_OK;
  Tensor *a = conjugate(rt, n->saved[0]), *gg = tensor_ref(g), *d;
  if (!ta && s[1]->rank == 2 && g->rank > 2 && a && a->rank == g->rank) {
    a = tall(rt, a);
    gg = tall(rt, gg);
  }
  if (tb) d = t_mmt(rt, gg, true, a, ta);
  else d = t_mmt(rt, a, !ta, gg, false);
  return tape_add(rt, n, 1, fit_shape(rt, d, s[1]));
}

/* ---- outer and Kronecker products -------------------------------------------- */

Tensor *op_outer(Rt *rt, Tensor *a, Tensor *b) {
  if (!rt_taped(rt, a) && !rt_taped(rt, b)) return linalg_outer(rt, a, b);
  Tensor *checked = linalg_outer(rt, a, b);                 /* its errors and shape */
  if (!checked) return NULL;
  tensor_unref(rt, checked);
  int64_t column[2] = {a->size, 1}, row[2] = {1, b->size};
  return t_mul(rt, op_reshape(rt, a, 2, column), op_reshape(rt, b, 2, row));
}

Tensor *op_kron(Rt *rt, Tensor *a, Tensor *b) {
  Tensor *out = linalg_kron(rt, a, b);
  if (!out || (!rt_taped(rt, a) && !rt_taped(rt, b))) return out;
  int rank = out->rank;
  int64_t shape[TENSOR_MAX_RANK];
  for (int i = 0; i < rank; i++) shape[i] = out->shape[i];
  tensor_unref(rt, out);
  if (2 * rank > TENSOR_MAX_RANK) {
    rt_fail(rt, RT_ERROR, "no derivative for `kron` of more than %d axes", TENSOR_MAX_RANK / 2);
    return NULL;
  }
  int64_t left[TENSOR_MAX_RANK], right[TENSOR_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
    left[2 * i] = ia < 0 ? 1 : a->shape[ia];
    left[2 * i + 1] = right[2 * i] = 1;
    right[2 * i + 1] = ib < 0 ? 1 : b->shape[ib];
  }
  Tensor *x = op_reshape(rt, a, 2 * rank, left), *y = op_reshape(rt, b, 2 * rank, right);
  return t_reshape(rt, t_mul(rt, x, y), rank, shape);
}
