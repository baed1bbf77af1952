/* norm.c: layer and root-mean-square normalisation over the last axis.
 *
 * The backward pass recomputes the normalised row from x and two numbers per
 * row.  Gradients of gain and bias are summed per block of rows in double and
 * the blocks added in order.
 */
#include "runtime/learn/common.h"

#include <string.h>

typedef struct { bool center, gain, bias; double eps; } NormData;

static RtStatus norm_backward(Rt *rt, TapeNode *node, Tensor **g);
static void drop_data(Rt *rt, void *data) { rt_free(rt, data, sizeof(NormData)); }
static const TapeRule layer_rule = {"layer_norm", norm_backward, drop_data, true};
static const TapeRule rms_rule = {"rms_norm", norm_backward, drop_data, true};

typedef struct { const LearnRows *k; NormJob job; double *dgain, *dbias; } NormWork;

static void norm_block(void *work, int64_t block, int64_t first, int64_t end) {
  const NormWork *w = work;
  w->k->norm(&w->job, first, end);
  (void)block;
}

static void norm_back_block(void *work, int64_t block, int64_t first, int64_t end) {
  const NormWork *w = work;
  int64_t at = block * w->job.n;
  w->k->norm_back(&w->job, first, end, w->dgain ? w->dgain + at : NULL,
                  w->dbias ? w->dbias + at : NULL);
}

static RtStatus record(Rt *rt, Tensor *y, Tensor *x, Tensor *gain, Tensor *bias, Tensor *cx,
                       Tensor *cgain, Tensor *stats, NormData data) {
  NormData *d = rt_alloc(rt, sizeof *d);
  if (!d) return rt->error.status;
  *d = data;
  Tensor *inputs[3] = {x}, *saved[] = {cx, stats, cgain};
  int n = 1;
  if (gain) inputs[n++] = gain;
  if (bias) inputs[n++] = bias;
  return tape_record(rt, data.center ? &layer_rule : &rms_rule, 1, &y, n, inputs, cgain ? 3 : 2,
                     saved, d);
}

static Tensor *normalise(Rt *rt, Tensor *x, Tensor *gain, Tensor *bias, NormData data) {
  const char *name = data.center ? "layer_norm" : "rms_norm";
  int64_t n = last_extent(x);
  if (need_float(rt, name, "x", x) || need_vector(rt, name, "gain", gain, n, x) ||
      need_vector(rt, name, "bias", bias, n, x))
    return NULL;
  if (x->rank < 1 || !(data.eps >= 0)) {
    rt_fail(rt, RT_ERROR, x->rank < 1 ? "`%s`: x needs at least one axis"
                                      : "`%s`: eps must not be negative", name);
    return NULL;
  }
  int64_t rows = n ? x->size / n : 0, shape[2] = {rows, 2};
  Tensor *cx = tensor_contiguous(rt, x);
  Tensor *cg = cx && gain ? tensor_contiguous(rt, gain) : NULL;
  Tensor *cb = cx && bias ? tensor_contiguous(rt, bias) : NULL;
  Tensor *stats = cx ? tensor_new(rt, DT_F64, 2, shape) : NULL;
  Tensor *y = stats && (cg || !gain) && (cb || !bias)
                  ? tensor_new(rt, (DType)x->dtype, x->rank, x->shape) : NULL;
  if (y) {
    NormWork w = {.k = learn_rows((DType)x->dtype)};
    w.job = (NormJob){n, cx->data, cg ? cg->data : NULL, cb ? cb->data : NULL, NULL, NULL, y->data, NULL,
                      (double *)stats->data, data.eps, data.center};
    for_blocks(rt, rows, block_rows(n), x->size, norm_block, &w);
    if (rt->tape && record(rt, y, x, gain, bias, cx, cg, stats, data)) {
      tensor_unref(rt, y);
      y = NULL;
    }
  }
  Tensor *all[] = {cx, cg, cb, stats};
  for (int i = 0; i < 4; i++) tensor_unref(rt, all[i]);
  return y;
}

Tensor *learn_layer_norm(Rt *rt, Tensor *x, Tensor *gain, Tensor *bias, double eps) {
  return normalise(rt, x, gain, bias, (NormData){true, gain != NULL, bias != NULL, eps});
}

Tensor *learn_rms_norm(Rt *rt, Tensor *x, Tensor *gain, double eps) {
  return normalise(rt, x, gain, NULL, (NormData){false, gain != NULL, false, eps});
}

/* Partial sums (blocks, n) to a vector of x's dtype. */
static Tensor *combine(Rt *rt, Tensor *part, DType d) {
  Tensor *s = tensor_reduce(rt, RED_SUM, part, 1u, false);
  Tensor *o = s ? tensor_astype(rt, s, d) : NULL;
  tensor_unref(rt, s);
  return o;
}

static RtStatus norm_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const NormData *d = tape_data(node);
  if (!g[0]) return RT_OK;
  Tensor *x = tape_saved(node, 0), *stats = tape_saved(node, 1);
  Tensor *gain = d->gain ? tape_saved(node, 2) : NULL;
  DType dt = (DType)x->dtype;
  int64_t n = last_extent(x), rows = n ? x->size / n : 0, per = block_rows(n);
  int64_t shape[2] = {(rows + per - 1) / per, n};
  Tensor *c = tensor_contiguous(rt, g[0]), *dg = NULL, *db = NULL, *dx = NULL;
  if (c && d->gain) dg = tensor_zeros(rt, DT_F64, 2, shape);
  if (c && d->bias) db = tensor_zeros(rt, DT_F64, 2, shape);
  if (c && (dg || !d->gain) && (db || !d->bias)) dx = tensor_new(rt, dt, x->rank, x->shape);
  RtStatus bad = dx ? RT_OK : rt->error.status;
  if (dx) {
    NormWork w = {.k = learn_rows(dt), .dgain = dg ? (double *)dg->data : NULL,
                  .dbias = db ? (double *)db->data : NULL};
    w.job = (NormJob){n, x->data, gain ? gain->data : NULL, NULL, c->data, NULL, dx->data, NULL,
                      (double *)stats->data, d->eps, d->center};
    for_blocks(rt, rows, per, x->size, norm_back_block, &w);
    bad = tape_add(rt, node, 0, tensor_ref(dx));
    if (!bad && dg) bad = tape_add(rt, node, 1, combine(rt, dg, dt));
    if (!bad && db) bad = tape_add(rt, node, d->gain ? 2 : 1, combine(rt, db, dt));
  }
  Tensor *all[] = {c, dg, db, dx};
  for (int i = 0; i < 4; i++) tensor_unref(rt, all[i]);
  return bad;
}
