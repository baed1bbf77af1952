/* index_contract.c: sums of products as matrix products.
 *
 * sum(A[i, k] * B[k, j] * c[k] for k): the factors are multiplied pairwise,
 * the pair with the smallest product first; an index is summed as soon as no
 * other factor has it.  One pair is one batched matrix product on permuted
 * views: shared indices that stay are the batch, shared ones that go are the
 * inner dimension.                                                            */
#include "lang/bind/index_eval.h"

#include <string.h>

#define MAX_FACTORS 16

typedef struct { Tensor *t; uint32_t axes; } Factor;   /* t has full rank */

typedef struct {
  const IxNode *node[MAX_FACTORS];
  int n;
  bool negative, product;
} Factors;

static void collect(const IxNode *n, Factors *f) {
  if (n->kind == IXN_BINARY && n->bin == BIN_MUL) {
    collect(n->a, f);
    collect(n->b, f);
    return;
  }
  if (n->kind == IXN_UNARY && n->un == UN_NEG) {
    f->negative = !f->negative;
    collect(n->a, f);
    return;
  }
  if (f->n == MAX_FACTORS) {
    f->product = false;
    return;
  }
  f->node[f->n++] = n;
}

/* Worth it only if two factors share a summed index and neither has all the
 * indices of the other: otherwise one broadcasting pass is as good.            */
static bool is_contraction(const Factors *f, uint32_t over) {
  for (int i = 0; i < f->n; i++)
    for (int k = i + 1; k < f->n; k++)
      if (f->node[i]->axes & f->node[k]->axes & over) return f->product;
  return false;
}

static int64_t extent_of(const IxEval *e, const Tensor *t, uint32_t axes) {
  int64_t n = 1;
  for (int k = 0; k < e->spec->axes; k++)
    if (axes >> k & 1) n *= t->shape[k];
  return n;
}

/* (batch.., rows.., inner..) as a matrix stack (batch, rows, inner). */
static Tensor *as_matrices(IxEval *e, const Tensor *t, uint32_t batch, uint32_t rows, uint32_t inner) {
  int order[TENSOR_MAX_RANK], at = 0;
  uint32_t group[4] = {batch, rows, inner, ~(batch | rows | inner)};
  for (int g = 0; g < 4; g++)
    for (int k = 0; k < e->spec->axes; k++)
      if (group[g] >> k & 1) order[at++] = k;
  Tensor *turned = op_permute(e->rt, (Tensor *)t, order);
  if (!turned) return NULL;
  int64_t shape[3] = {extent_of(e, t, batch), extent_of(e, t, rows), extent_of(e, t, inner)};
  Tensor *m = op_reshape(e->rt, turned, 3, shape);
  tensor_unref(e->rt, turned);
  return m;
}

/* (batch, rows_a, rows_b) back to full rank. */
static Tensor *from_matrices(IxEval *e, Tensor *m, const Factor *a, const Factor *b, uint32_t batch,
                             uint32_t rows_a, uint32_t rows_b) {
  int64_t shape[TENSOR_MAX_RANK];
  int place[TENSOR_MAX_RANK], order[TENSOR_MAX_RANK], at = 0, axes = e->spec->axes;
  uint32_t group[4] = {batch, rows_a, rows_b, ~(batch | rows_a | rows_b)};
  for (int g = 0; g < 4; g++)
    for (int k = 0; k < axes; k++) {
      if (!(group[g] >> k & 1)) continue;
      shape[at] = g == 3 ? 1 : (g == 2 ? b : a)->t->shape[k];
      place[at++] = k;
    }
  for (int k = 0; k < axes; k++) order[place[k]] = k;
  Tensor *split = op_reshape(e->rt, m, axes, shape);
  if (!split) return NULL;
  Tensor *t = op_permute(e->rt, split, order);
  tensor_unref(e->rt, split);
  return t;
}

/* Multiplies two factors and sums over `gone`. */
static RtStatus multiply(IxEval *e, const Factor *a, const Factor *b, uint32_t gone, Factor *out) {
  uint32_t shared = a->axes & b->axes;
  uint32_t inner = shared & gone, batch = shared & ~gone;
  uint32_t rows_a = a->axes & ~shared, rows_b = b->axes & ~shared;
  Tensor *ma = as_matrices(e, a->t, batch, rows_a, inner);
  Tensor *mb = ma ? as_matrices(e, b->t, batch, rows_b, inner) : NULL;
  Tensor *m = mb ? op_matmul_t(e->rt, ma, false, mb, true) : NULL;
  out->axes = (a->axes | b->axes) & ~inner;
  out->t = m ? from_matrices(e, m, a, b, batch, rows_a, rows_b) : NULL;
  tensor_unref(e->rt, ma);
  tensor_unref(e->rt, mb);
  tensor_unref(e->rt, m);
  return out->t ? RT_OK : RT_ERROR;
}

/* Summed indices only this factor has. */
static RtStatus presum(IxEval *e, Factor *f, int n, int self, uint32_t over) {
  uint32_t others = 0;
  for (int i = 0; i < n; i++)
    if (i != self) others |= f[i].axes;
  uint32_t own = f[self].axes & over & ~others;
  if (!own) return RT_OK;
  Tensor *t = op_reduce(e->rt, RED_SUM, f[self].t, own, true);
  if (!t) return RT_ERROR;
  tensor_unref(e->rt, f[self].t);
  f[self].t = t;
  f[self].axes &= ~own;
  return RT_OK;
}

static double pair_size(const IxEval *e, const Factor *f, int n, int i, int k, uint32_t over, uint32_t *gone) {
  uint32_t others = 0;
  for (int m = 0; m < n; m++)
    if (m != i && m != k) others |= f[m].axes;
  *gone = f[i].axes & f[k].axes & over & ~others;
  return ix_count(e, (f[i].axes | f[k].axes) & ~*gone);
}

static RtStatus contract_all(IxEval *e, Factor *f, int n, uint32_t over) {
  for (int i = 0; i < n; i++) RT_TRY(presum(e, f, n, i, over));
  while (n > 1) {
    int bi = 0, bk = 1;
    uint32_t gone, best_gone;
    double best = pair_size(e, f, n, 0, 1, over, &best_gone);
    for (int i = 0; i < n; i++)
      for (int k = i + 1; k < n; k++) {
        double size = pair_size(e, f, n, i, k, over, &gone);
        if (size < best) {
          best = size;
          bi = i;
          bk = k;
          best_gone = gone;
        }
      }
    Factor product;
    RT_TRY(multiply(e, &f[bi], &f[bk], best_gone, &product));
    tensor_unref(e->rt, f[bi].t);
    tensor_unref(e->rt, f[bk].t);
    f[bi] = product;
    f[bk] = f[n - 1];
    f[n - 1].t = NULL;
    n--;
    RT_TRY(presum(e, f, n, bi, over));
  }
  return RT_OK;
}

RtStatus ix_contract(IxEval *e, const IxNode *n, IxVal *out, bool *done) {
  Factors parts = {.product = true};
  collect(n->a, &parts);
  *done = is_contraction(&parts, n->over);
  if (!*done) return RT_OK;
  Factor f[MAX_FACTORS] = {0};
  double scale = parts.negative ? -1 : 1;
  uint32_t used = 0;
  int count = 0;
  RtStatus st = RT_OK;
  for (int i = 0; i < parts.n && !st; i++) {
    IxVal v;
    if ((st = ix_eval(e, parts.node[i], &v))) break;
    if (!v.t) {
      scale *= v.number;
      continue;
    }
    used |= parts.node[i]->axes;
    f[count++] = (Factor){v.t, parts.node[i]->axes};
  }
  /* ints stay exact in the general path */
  for (int i = 0; i < count && !st; i++)
    if (f[i].t->dtype < DT_F32) *done = false;
  if (!st && *done) {
    st = contract_all(e, f, count, n->over);
    scale *= ix_count(e, n->over & ~used); /* an unused index repeats the sum */
  }
  Tensor *t = NULL;
  if (!st && *done) {
    t = scale == 1 ? tensor_ref(f[0].t) : op_binary_scalar(e->rt, BIN_MUL, f[0].t, scale, false, false, 0);
    if (!t) st = RT_ERROR;
  }
  for (int i = 0; i < count; i++) tensor_unref(e->rt, f[i].t);
  *out = (IxVal){.t = t};
  return st;
}
