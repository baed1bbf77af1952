/* norm.c: layer and root-mean-square normalisation over the last axis, of x or
 * of a sum x + r whose value is wanted too (the residual branches of a
 * transformer: sum and norm in one pass, and one pass back).
 *
 * The backward pass recomputes the normalised row from x and two numbers per
 * row.  Gradients of gain and bias are summed per block of rows in double and
 * the blocks added in order.
 */
#include "runtime/learn/common.h"

#include <string.h>

typedef struct { bool center, gain, bias, sum; double eps; } NormData;   /* sum: of x and r */

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

typedef struct { Tensor *x, *r, *gain, *bias; } NormArgs;   /* NULL where absent */

/* in carries the nodes, c the contiguous data the backward pass reads; out[1] is the sum. */
static RtStatus record(Rt *rt, Tensor **out, const NormArgs *in, const NormArgs *c, Tensor *stats,
                       NormData data) {
  NormData *d = rt_alloc(rt, sizeof *d);
  if (!d) return rt->error.status;
  *d = data;
  Tensor *inputs[4] = {in->x}, *saved[] = {data.sum ? out[1] : c->x, stats, c->gain};
  int n = 1;
  if (in->r) inputs[n++] = in->r;
  if (in->gain) inputs[n++] = in->gain;
  if (in->bias) inputs[n++] = in->bias;
  return tape_record(rt, data.center ? &layer_rule : &rms_rule, data.sum ? 2 : 1, out, n, inputs,
                     c->gain ? 3 : 2, saved, d);
}

static RtStatus check(Rt *rt, const char *name, const NormArgs *in, double eps) {
  char a[128], b[128];
  const Tensor *x = in->x, *r = in->r;
  RT_TRY(need_float(rt, name, "x", x));
  RT_TRY(need_vector(rt, name, "gain", in->gain, last_extent(x), x));
  RT_TRY(need_vector(rt, name, "bias", in->bias, last_extent(x), x));
  if (x->rank < 1) return rt_fail(rt, RT_ERROR, "`%s`: x needs at least one axis", name);
  if (!(eps >= 0)) return rt_fail(rt, RT_ERROR, "`%s`: eps must not be negative", name);
  if (!r) return RT_OK;
  RT_TRY(need_same(rt, name, "r", r, x));
  if (r->rank == x->rank && !memcmp(r->shape, x->shape, x->rank * sizeof *x->shape)) return RT_OK;
  return rt_fail(rt, RT_ERROR, "`%s`: x is %s and r %s; they need one shape", name,
                 tensor_shape_text(x, a), tensor_shape_text(r, b));
}

/* y, and with r the sum in out[1]; new references. */
static RtStatus normalise(Rt *rt, const NormArgs *in, NormData data, Tensor **out) {
  RT_TRY(check(rt, data.center ? "layer_norm" : "rms_norm", in, data.eps));
  Tensor *x = in->x, *stats = NULL;
  int64_t n = last_extent(x), rows = n ? x->size / n : 0, shape[2] = {rows, 2};
  NormArgs c = {.x = tensor_contiguous(rt, x)};
  bool ok = c.x != NULL;
  if (ok && in->r) ok = (c.r = tensor_contiguous(rt, in->r)) != NULL;
  if (ok && in->gain) ok = (c.gain = tensor_contiguous(rt, in->gain)) != NULL;
  if (ok && in->bias) ok = (c.bias = tensor_contiguous(rt, in->bias)) != NULL;
  out[0] = out[1] = NULL;
  if (ok) ok = (stats = tensor_new(rt, DT_F64, 2, shape)) != NULL;
  if (ok) ok = (out[0] = tensor_new(rt, (DType)x->dtype, x->rank, x->shape)) != NULL;
  if (ok && in->r) ok = (out[1] = tensor_new(rt, (DType)x->dtype, x->rank, x->shape)) != NULL;
  if (ok) {
    NormWork w = {.k = learn_rows((DType)x->dtype)};
    w.job = (NormJob){.n = n, .x = c.x->data, .gain = c.gain ? c.gain->data : NULL,
                      .bias = c.bias ? c.bias->data : NULL, .more = c.r ? c.r->data : NULL,
                      .o = out[0]->data, .sum = out[1] ? out[1]->data : NULL,
                      .stats = (double *)stats->data, .eps = data.eps, .center = data.center};
    for_blocks(rt, rows, block_rows(n), x->size, norm_block, &w);
    if (rt->tape) ok = record(rt, out, in, &c, stats, data) == RT_OK;
  }
  Tensor *all[] = {c.x, c.r, c.gain, c.bias, stats};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  if (ok) return RT_OK;
  for (int i = 0; i < 2; i++) {
    tensor_unref(rt, out[i]);
    out[i] = NULL;
  }
  return rt->error.status;
}

Tensor *learn_layer_norm(Rt *rt, Tensor *x, Tensor *gain, Tensor *bias, double eps) {
  Tensor *out[2];
  NormArgs in = {x, NULL, gain, bias};
  NormData data = {true, gain != NULL, bias != NULL, false, eps};
  return normalise(rt, &in, data, out) ? NULL : out[0];
}

Tensor *learn_rms_norm(Rt *rt, Tensor *x, Tensor *gain, double eps) {
  Tensor *out[2];
  NormArgs in = {x, NULL, gain, NULL};
  NormData data = {false, gain != NULL, false, false, eps};
  return normalise(rt, &in, data, out) ? NULL : out[0];
}

RtStatus learn_add_norm(Rt *rt, Tensor *x, Tensor *r, Tensor *gain, Tensor *bias, double eps,
                        Tensor **sum, Tensor **y) {
  Tensor *out[2];
  NormArgs in = {x, r, gain, bias};
  NormData data = {true, gain != NULL, bias != NULL, true, eps};
  RT_TRY(normalise(rt, &in, data, out));
  *y = out[0];
  *sum = out[1];
  return RT_OK;
}

/* Partial sums (blocks, n) to a vector of x's dtype. */
static Tensor *combine(Rt *rt, Tensor *part, DType d) {
  Tensor *s = tensor_reduce(rt, RED_SUM, part, 1u, false);
  Tensor *o = s ? tensor_astype(rt, s, d) : NULL;
  tensor_unref(rt, s);
  return o;
}

/* dx goes to x and r alike. */
static RtStatus add_inputs(Rt *rt, TapeNode *node, const NormData *d, Tensor *dx) {
  if (tape_wants(node, 0)) RT_TRY(tape_add(rt, node, 0, tensor_ref(dx)));
  if (d->sum && tape_wants(node, 1)) RT_TRY(tape_add(rt, node, 1, tensor_ref(dx)));
  return RT_OK;
}

static RtStatus norm_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const NormData *d = tape_data(node);
  if (!g[0]) return d->sum && g[1] ? add_inputs(rt, node, d, g[1]) : RT_OK;
  Tensor *x = tape_saved(node, 0), *stats = tape_saved(node, 1);
  Tensor *gain = d->gain ? tape_saved(node, 2) : NULL;
  DType dt = (DType)x->dtype;
  int64_t n = last_extent(x), rows = n ? x->size / n : 0, per = block_rows(n);
  int64_t shape[2] = {(rows + per - 1) / per, n};
  int at = d->sum ? 2 : 1;     /* gain, bias among the inputs */
  Tensor *c = tensor_contiguous(rt, g[0]), *more = NULL, *dg = NULL, *db = NULL, *dx = NULL;
  bool ok = c != NULL;
  if (ok && d->sum && g[1]) ok = (more = tensor_contiguous(rt, g[1])) != NULL;
  if (ok && d->gain && tape_wants(node, at)) ok = (dg = tensor_zeros(rt, DT_F64, 2, shape)) != NULL;
  if (ok && d->bias && tape_wants(node, at + d->gain))
    ok = (db = tensor_zeros(rt, DT_F64, 2, shape)) != NULL;
  if (ok) ok = (dx = tensor_new(rt, dt, x->rank, x->shape)) != NULL;
  RtStatus bad = ok ? RT_OK : rt->error.status;
  if (ok) {
    NormWork w = {.k = learn_rows(dt), .dgain = dg ? (double *)dg->data : NULL,
                  .dbias = db ? (double *)db->data : NULL};
    w.job = (NormJob){.n = n, .x = x->data, .gain = gain ? gain->data : NULL, .g = c->data,
                      .more = more ? more->data : NULL, .o = dx->data,
                      .stats = (double *)stats->data, .eps = d->eps, .center = d->center};
    for_blocks(rt, rows, per, x->size, norm_back_block, &w);
    bad = add_inputs(rt, node, d, dx);
    if (!bad && dg) bad = tape_add(rt, node, at, combine(rt, dg, dt));
    if (!bad && db) bad = tape_add(rt, node, at + d->gain, combine(rt, db, dt));
  }
  Tensor *all[] = {c, more, dg, db, dx};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  return bad;
}
