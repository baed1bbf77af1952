/* ops_reduce.c: reductions, cumulative sums, sorting and what is made of them.
 *
 * min and max give their adjoint to the winners, in equal parts on ties;
 * sort and quantile follow the stable order; the Euclidean norm has
 * derivative 0 at 0; prod is right with any number of zeros.
 */
#include "runtime/grad/tape_private.h"
#include "runtime/tensor/more.h"

static Tensor *fail_out(Rt *rt, Tensor *out) {
  tensor_unref(rt, out);
  return NULL;
}

Tensor *op_reduce(Rt *rt, RedOp op, Tensor *a, unsigned axes, bool keep) {
  Tensor *out = tensor_reduce(rt, op, a, axes, keep);
  if (!out || !rt_taped(rt, a) || op == RED_ANY || op == RED_ALL) return out;
  if (out == a) return out;
  TapeNode *n = tape_push(rt, out, TN_REDUCE, op, a, NULL);
  TapeShape *s = n ? tape_shape(rt, a->rank, a->shape) : NULL;
  if (!s) return fail_out(rt, out);
  n->ext = s;
  n->axes = axes;
  if (op != RED_SUM && op != RED_MEAN) n->saved[0] = tensor_ref(a);
  if (op == RED_MIN || op == RED_MAX || op == RED_LOGSUMEXP) n->saved[1] = tensor_ref(out);
  return out;
}

static inline bool reduced(unsigned axes, int axis) { return axes >> axis & 1; }

/* `t` (the reduced shape, with or without kept axes) over the full shape. */
static Tensor *spread(Rt *rt, Tensor *t, const TapeShape *s, unsigned axes) {
  int64_t kept[TENSOR_MAX_RANK];
  for (int i = 0; i < s->rank; i++) kept[i] = reduced(axes, i) ? 1 : s->dim[i];
  Tensor *r = t->rank == s->rank || t->size == 1 ? tensor_ref(t)
                                                 : op_reshape(rt, t, s->rank, kept);
  return t_expand(rt, r, s);
}

static int64_t group_size(const TapeShape *s, unsigned axes) {
  int64_t n = 1;
  for (int i = 0; i < s->rank; i++)
    if (reduced(axes, i)) n *= s->dim[i];
  return n;
}

/* x[lo:hi:step] along axis 0 */
static Tensor *rows(Rt *rt, Tensor *x, int64_t lo, int64_t hi, int64_t step) {
  Index ix = {.kind = IX_SLICE, .start = lo, .stop = hi, .step = step,
              .has_start = true, .has_stop = true};
  return op_index(rt, x, 1, &ix);
}

static Tensor *joined(Rt *rt, Tensor *a, Tensor *b, bool stack, int axis) {
  Tensor *r = NULL, *ts[2] = {a, b};
  if (a && b) r = stack ? op_stack(rt, 2, ts, axis) : op_concat(rt, 2, ts, axis);
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return r;
}

/* For each row of x (n, m) the product of all others, by a product tree:
 * no division, so zeros are no trouble.  Takes over x.                      */
static Tensor *other_products(Rt *rt, Tensor *x) {
  if (!x) return NULL;
  int64_t n = x->shape[0], m = x->shape[1], half = n / 2;
  if (n == 1) {
    Tensor *one = tensor_full(rt, x->dtype, 2, x->shape, 1, 0);
    tensor_unref(rt, x);
    return one;
  }
  Tensor *lo = rows(rt, x, 0, 2 * half, 2), *hi = rows(rt, x, 1, 2 * half, 2);
  Tensor *pair = lo && hi ? op_binary(rt, BIN_MUL, lo, hi, 0, 0) : NULL;
  if (n % 2) pair = joined(rt, pair, rows(rt, x, n - 1, n, 1), false, 0);
  tensor_unref(rt, x);
  Tensor *e = other_products(rt, pair);
  Tensor *inner = e ? rows(rt, e, 0, half, 1) : NULL;
  Tensor *left = t_mul(rt, inner ? tensor_ref(inner) : NULL, hi);
  Tensor *right = t_mul(rt, inner, lo);
  int64_t shape[2] = {2 * half, m};
  Tensor *out = t_reshape(rt, joined(rt, left, right, true, 1), 2, shape);
  if (n % 2) out = joined(rt, out, e ? rows(rt, e, half, half + 1, 1) : NULL, false, 0);
  tensor_unref(rt, e);
  return out;
}

static Tensor *prod_slope(Rt *rt, Tensor *x, const TapeShape *s, unsigned axes) {
  int order[TENSOR_MAX_RANK], back[TENSOR_MAX_RANK], k = 0;
  for (int i = 0; i < s->rank; i++)
    if (reduced(axes, i)) order[k++] = i;
  for (int i = 0; i < s->rank; i++)
    if (!reduced(axes, i)) order[k++] = i;
  int64_t moved[TENSOR_MAX_RANK], n = group_size(s, axes);
  for (int i = 0; i < s->rank; i++) {
    back[order[i]] = i;
    moved[i] = s->dim[order[i]];
  }
  int64_t flat[2] = {n, n ? x->size / n : 0};
  if (x->size == 0) return tensor_ref(x);
  Tensor *p = op_permute(rt, x, order);
  p = other_products(rt, t_reshape(rt, p, 2, flat));
  p = t_reshape(rt, p, s->rank, moved);
  if (!p) return NULL;
  Tensor *r = op_permute(rt, p, back);
  tensor_unref(rt, p);
  return r;
}

static Tensor *winners(Rt *rt, TapeNode *n, Tensor *g, const TapeShape *s) {
  Tensor *top = spread(rt, n->saved[1], s, n->axes);
  Tensor *hit = t_bin(rt, BIN_EQ, tensor_ref(n->saved[0]), top);
  Tensor *count = hit ? op_astype(rt, hit, g->dtype) : NULL;
  count = t_red(rt, RED_SUM, count, n->axes, true);
  count = t_expand(rt, count, s);
  return t_keep(rt, hit, t_bin(rt, BIN_DIV, spread(rt, g, s, n->axes), count));
}

RtStatus back_reduce(Rt *rt, TapeNode *n, Tensor *g) {
  const TapeShape *s = n->ext;
  Tensor *x = n->saved[0], *d = NULL;
  switch ((RedOp)n->sub) {
  case RED_SUM: d = spread(rt, g, s, n->axes); break;
  case RED_MEAN: {
    Tensor *m = op_binary_scalar(rt, BIN_DIV, g, (double)group_size(s, n->axes), false, false, 1);
    d = m ? spread(rt, m, s, n->axes) : NULL;
    tensor_unref(rt, m);
    break;
  }
  case RED_SUMSQ:
    d = t_mul(rt, spread(rt, g, s, n->axes), op_binary_scalar(rt, BIN_MUL, x, 2, true, false, 0));
    break;
  case RED_PROD:
    d = t_mul(rt, spread(rt, g, s, n->axes), t_conj(rt, prod_slope(rt, x, s, n->axes)));
    break;
  case RED_MIN: case RED_MAX: d = winners(rt, n, g, s); break;
  case RED_LOGSUMEXP: {
    Tensor *e = t_sub(rt, tensor_ref(x), spread(rt, n->saved[1], s, n->axes));
    d = t_mul(rt, t_un(rt, UN_EXP, e), spread(rt, g, s, n->axes));
    break;
  }
  default: break;
  }
  return tape_add(rt, n, 0, d);
}

/* ---- cumulative sum ---------------------------------------------------------- */

Tensor *op_cumsum(Rt *rt, Tensor *t, int axis) {
  Tensor *out = tensor_cumsum(rt, t, axis);
  if (!out || !rt_taped(rt, t)) return out;
  TapeNode *n = tape_push(rt, out, TN_CUMSUM, 0, t, NULL);
  if (!n) return fail_out(rt, out);
  n->axes = (uint32_t)(axis < 0 ? axis + t->rank : axis);
  return out;
}

static Tensor *flipped(Rt *rt, Tensor *t, int axis) {
  Index ix[TENSOR_MAX_RANK];
  for (int i = 0; i < axis; i++) ix[i] = (Index){.kind = IX_ALL};
  ix[axis] = (Index){.kind = IX_SLICE, .step = -1};
  return t_index(rt, t, axis + 1, ix);
}

RtStatus back_cumsum(Rt *rt, TapeNode *n, Tensor *g) {
  int axis = (int)n->axes;
  Tensor *f = flipped(rt, tensor_ref(g), axis);
  Tensor *c = f ? op_cumsum(rt, f, axis) : NULL;
  tensor_unref(rt, f);
  return tape_add(rt, n, 0, flipped(rt, c, axis));
}

/* ---- order ---------------------------------------------------------------------- */

/* t[..., at[..., k, ...], ...]: elements picked along one axis. */
static Tensor *take_along(Rt *rt, Tensor *t, Tensor *at, int axis) {
  Index ix[TENSOR_MAX_RANK];
  int64_t shape[TENSOR_MAX_RANK];
  bool ok = true;
  for (int d = 0; d < t->rank; d++) {
    Tensor *line = NULL;
    if (d == axis) {
      line = tensor_ref(at);
    } else {
      Tensor *flat = tensor_arange(rt, DT_I64, 0, 1, t->shape[d]);
      for (int i = 0; i < t->rank; i++) shape[i] = i == d ? t->shape[d] : 1;
      line = flat ? tensor_reshape(rt, flat, t->rank, shape) : NULL;
      tensor_unref(rt, flat);
    }
    ok &= line != NULL;
    ix[d] = (Index){.kind = IX_TENSOR, .tensor = line};
  }
  Tensor *r = ok ? op_index(rt, t, t->rank, ix) : NULL;
  for (int d = 0; d < t->rank; d++) tensor_unref(rt, ix[d].tensor);
  return r;
}

Tensor *op_sort(Rt *rt, Tensor *t, int axis, bool descending) {
  Tensor *out = tensor_sort(rt, t, axis, descending);
  if (!out || !rt_taped(rt, t)) return out;
  Tensor *order = tensor_argsort(rt, t, axis, descending);
  TapeNode *n = order ? tape_push(rt, out, TN_SORT, 0, t, NULL) : NULL;
  if (!n) {
    tensor_unref(rt, order);
    return fail_out(rt, out);
  }
  n->saved[0] = order;
  n->axes = (uint32_t)(axis < 0 ? axis + t->rank : axis);
  return out;
}

RtStatus back_sort(Rt *rt, TapeNode *n, Tensor *g) {
  int axis = (int)n->axes;
  Tensor *place = tensor_argsort(rt, n->saved[0], axis, false);   /* the inverse */
  Tensor *d = place ? take_along(rt, g, place, axis) : NULL;
  tensor_unref(rt, place);
  return tape_add(rt, n, 0, d);
}

/* Value at fractional position q (n - 1) of sorted lines (axis 0), one q. */
static Tensor *between(Rt *rt, Tensor *sorted, Tensor *q) {
  int64_t n = sorted->shape[0];
  double p = tensor_get_f64(q, 0) * (double)(n - 1);
  int64_t lo = (int64_t)p, hi = lo + 1 < n ? lo + 1 : lo;
  Index a = {.kind = IX_AT, .at = lo}, b = {.kind = IX_AT, .at = hi};
  Tensor *x = op_index(rt, sorted, 1, &a), *y = op_index(rt, sorted, 1, &b);
  Tensor *w = op_binary_scalar(rt, BIN_MUL, q, (double)(n - 1), false, false, 0);
  w = t_num(rt, BIN_SUB, w, (double)lo);
  if (w && x && w->dtype != x->dtype) {
    Tensor *c = op_astype(rt, w, x->dtype);
    tensor_unref(rt, w);
    w = c;
  }
  Tensor *step = t_sub(rt, y, x ? tensor_ref(x) : NULL);
  return t_add(rt, x, t_mul(rt, step, w));
}

/* Recorded as sorting, picking and interpolating, so that gradients flow to
 * the data and to q; the values equal the kernel's up to rounding.          */
static Tensor *quantile_parts(Rt *rt, Tensor *t, Tensor *q, int axis, bool all) {
  int64_t flat = t->size;
  if (axis < 0) axis += t->rank;
  Tensor *x = all ? op_reshape(rt, t, 1, &flat) : tensor_ref(t);
  Tensor *s = x ? op_sort(rt, x, all ? 0 : axis, false) : NULL;
  tensor_unref(rt, x);
  if (s && !all && axis > 0) {
    int order[TENSOR_MAX_RANK], k = 1;
    order[0] = axis;
    for (int i = 0; i < s->rank; i++)
      if (i != axis) order[k++] = i;
    Tensor *p = op_permute(rt, s, order);
    tensor_unref(rt, s);
    s = p;
  }
  if (!s || q->rank == 0) {
    Tensor *r = s ? between(rt, s, q) : NULL;
    tensor_unref(rt, s);
    return r;
  }
  int m = (int)q->size;
  Tensor **parts = rt_alloc0(rt, (size_t)(m ? m : 1) * sizeof *parts), *r = NULL;
  bool ok = parts != NULL;
  for (int i = 0; i < m && ok; i++) {
    Index at = {.kind = IX_AT, .at = i};
    Tensor *qi = op_index(rt, q, 1, &at);
    parts[i] = qi ? between(rt, s, qi) : NULL;
    tensor_unref(rt, qi);
    ok = parts[i] != NULL;
  }
  if (ok) r = op_stack(rt, m, parts, 0);
  for (int i = 0; i < m && parts; i++) tensor_unref(rt, parts[i]);
  rt_free(rt, parts, (size_t)(m ? m : 1) * sizeof *parts);
  tensor_unref(rt, s);
  return r;
}

Tensor *op_quantile(Rt *rt, Tensor *t, Tensor *q, int axis, bool all) {
  if (!rt_taped(rt, t) && !rt_taped(rt, q)) return tensor_quantile(rt, t, q, axis, all);
  Tensor *checked = tensor_quantile(rt, t, q, axis, all);    /* its errors */
  if (!checked || q->size == 0 || q->rank > 1) return checked;
  tensor_unref(rt, checked);
  return quantile_parts(rt, t, q, axis, all);
}

/* ---- spread and length ------------------------------------------------------------ */

Tensor *op_variance(Rt *rt, Tensor *t, unsigned axes, bool keep, int ddof) {
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++)
    if (reduced(axes, i)) n *= t->shape[i];
  Tensor *m = op_reduce(rt, RED_MEAN, t, axes, true);
  Tensor *d = m ? op_binary(rt, BIN_SUB, t, m, 0, 0) : NULL;
  tensor_unref(rt, m);
  return t_num(rt, BIN_DIV, t_red(rt, RED_SUMSQ, d, axes, keep), (double)(n - ddof));
}

static RtStatus back_norm(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *x = tape_saved(n, 0), *r = tape_saved(n, 1);
  TapeShape *s = tape_data(n);
  unsigned axes = (unsigned)s->dim[s->rank];
  Tensor *ratio = t_bin(rt, BIN_DIV, tensor_ref(g[0]), tensor_ref(r));
  Tensor *nz = op_binary_scalar(rt, BIN_NE, r, 0, true, false, 0);
  ratio = t_keep(rt, nz, ratio);
  Tensor *wide = ratio ? spread(rt, ratio, s, axes) : NULL;
  tensor_unref(rt, ratio);
  return tape_add(rt, n, 0, t_mul(rt, tensor_ref(x), wide));
}

Tensor *op_norm(Rt *rt, Tensor *t, unsigned axes, bool keep) {
  static const TapeRule rule = {.name = "norm", .backward = back_norm};
  Tensor *sum = tensor_reduce(rt, RED_SUMSQ, t, axes, keep);
  Tensor *out = sum ? tensor_unary(rt, UN_SQRT, sum, 1) : NULL;
  tensor_unref(rt, sum);
  if (!out || !rt_taped(rt, t)) return out;
  /* the shape lives in the tape's memory, with the axes behind it */
  TapeShape *s = tape_bump(rt, sizeof *s + (size_t)(t->rank + 1) * sizeof(int64_t));
  if (!s) return fail_out(rt, out);
  s->rank = t->rank;
  for (int i = 0; i < t->rank; i++) s->dim[i] = t->shape[i];
  s->dim[t->rank] = (int64_t)axes;
  Tensor *saved[2] = {t, out};
  return tape_record(rt, &rule, 1, &out, 1, &t, 2, saved, s) ? fail_out(rt, out) : out;
}
