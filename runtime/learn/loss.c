/* loss.c: softmax, its logarithm, cross entropy and mean squared error.
 *
 * Cross entropy never forms the probabilities in the forward pass; it keeps
 * one number per row, log sum exp, from which the gradient is made.
 */
#include "runtime/learn/common.h"

#include <math.h>
#include <string.h>

/* ---- softmax ------------------------------------------------------------------------ */

static RtStatus softmax_backward(Rt *rt, TapeNode *node, Tensor **g);
static const TapeRule softmax_rule = {"softmax", softmax_backward, NULL, true};
static RtStatus log_softmax_backward(Rt *rt, TapeNode *node, Tensor **g);
static const TapeRule log_softmax_rule = {"log_softmax", log_softmax_backward, NULL, true};

typedef struct { const LearnRows *k; SoftmaxJob job; bool back; } SoftmaxWork;

static void softmax_block(void *work, int64_t block, int64_t first, int64_t end) {
  const SoftmaxWork *w = work;
  if (w->back) w->k->softmax_back(&w->job, first, end);
  else w->k->softmax(&w->job, first, end);
  (void)block;
}

static Tensor *softmax(Rt *rt, Tensor *x, bool logarithm) {
  const char *name = logarithm ? "log_softmax" : "softmax";
  if (need_float(rt, name, "x", x)) return NULL;
  int64_t n = last_extent(x);
  if (x->rank < 1 || n < 1) {
    rt_fail(rt, RT_ERROR, "`%s`: x needs a last axis with elements", name);
    return NULL;
  }
  Tensor *c = tensor_contiguous(rt, x);
  Tensor *y = c ? tensor_new(rt, (DType)x->dtype, x->rank, x->shape) : NULL;
  if (y) {
    SoftmaxWork w = {learn_rows((DType)x->dtype), {n, c->data, NULL, y->data, logarithm}, false};
    for_blocks(rt, x->size / n, block_rows(n), x->size, softmax_block, &w);
    if (rt->tape &&
        tape_record(rt, logarithm ? &log_softmax_rule : &softmax_rule, 1, &y, 1, &x, 1, &y, NULL)) {
      tensor_unref(rt, y);
      y = NULL;
    }
  }
  tensor_unref(rt, c);
  return y;
}

Tensor *learn_softmax(Rt *rt, Tensor *x) { return softmax(rt, x, false); }
Tensor *learn_log_softmax(Rt *rt, Tensor *x) { return softmax(rt, x, true); }

static RtStatus back(Rt *rt, TapeNode *node, Tensor *g, bool logarithm) {
  if (!g) return RT_OK;
  Tensor *y = tape_saved(node, 0), *c = tensor_contiguous(rt, g);
  Tensor *dx = c ? tensor_new(rt, (DType)y->dtype, y->rank, y->shape) : NULL;
  int64_t n = last_extent(y);
  if (dx) {
    SoftmaxWork w = {learn_rows((DType)y->dtype), {n, y->data, c->data, dx->data, logarithm}, true};
    for_blocks(rt, y->size / n, block_rows(n), y->size, softmax_block, &w);
  }
  tensor_unref(rt, c);
  return tape_add(rt, node, 0, dx);
}

static RtStatus softmax_backward(Rt *rt, TapeNode *node, Tensor **g) {
  return back(rt, node, g[0], false);
}
static RtStatus log_softmax_backward(Rt *rt, TapeNode *node, Tensor **g) {
  return back(rt, node, g[0], true);
}

/* ---- cross entropy --------------------------------------------------------------------- */

typedef struct { double smoothing; } EntropyData;

static RtStatus entropy_backward(Rt *rt, TapeNode *node, Tensor **g);
static void drop_entropy(Rt *rt, void *data) { rt_free(rt, data, sizeof(EntropyData)); }
static const TapeRule entropy_rule = {"cross_entropy", entropy_backward, drop_entropy, true};

typedef struct { const LearnRows *k; EntropyJob job; bool back; } EntropyWork;

static void entropy_block(void *work, int64_t block, int64_t first, int64_t end) {
  const EntropyWork *w = work;
  if (w->back) w->k->entropy_back(&w->job, first, end);
  else w->k->entropy(&w->job, first, end);
  (void)block;
}

static RtStatus check_labels(Rt *rt, Tensor *logits, Tensor *labels, double smoothing) {
  RT_TRY(need_float(rt, "cross_entropy", "logits", logits));
  if (!(smoothing >= 0 && smoothing < 1))
    return rt_fail(rt, RT_ERROR, "`cross_entropy`: smoothing is %g, it must be in [0, 1)",
                   smoothing);
  if (labels->dtype != DT_I64) {
    rt_fail(rt, RT_ERROR, "`cross_entropy`: labels must be i64, found %s",
            dtype_name[labels->dtype]);
    rt_help(rt, "class numbers are integers: astype(labels, i64)");
    return RT_ERROR;
  }
  char a[128], b[128];
  bool fits = logits->rank == labels->rank + 1 && logits->size > 0;
  for (int i = 0; fits && i < labels->rank; i++) fits = labels->shape[i] == logits->shape[i];
  if (!fits)
    return rt_fail(rt, RT_ERROR, "`cross_entropy`: logits %s need labels without the last axis, "
                   "found %s", tensor_shape_text(logits, a), tensor_shape_text(labels, b));
  int64_t classes = last_extent(logits);
  for (int64_t i = 0; i < labels->size; i++) {
    int64_t v = tensor_get_i64(labels, i);
    if (v < 0 || v >= classes)
      return rt_fail(rt, RT_ERROR, "`cross_entropy`: label %lld at position %lld is not in 0..%lld",
                     (long long)v, (long long)i, (long long)classes);
  }
  return RT_OK;
}

static RtStatus record_entropy(Rt *rt, Tensor *out, Tensor *logits, Tensor *x, Tensor *labels,
                               Tensor *lse, double smoothing) {
  EntropyData *d = rt_alloc(rt, sizeof *d);
  if (!d) return rt->error.status;
  d->smoothing = smoothing;
  Tensor *saved[] = {x, labels, lse};
  return tape_record(rt, &entropy_rule, 1, &out, 1, &logits, 3, saved, d);
}

Tensor *learn_cross_entropy(Rt *rt, Tensor *logits, Tensor *labels, double smoothing) {
  if (check_labels(rt, logits, labels, smoothing)) return NULL;
  int64_t n = last_extent(logits), rows = logits->size / n;
  Tensor *x = tensor_contiguous(rt, logits), *l = x ? tensor_contiguous(rt, labels) : NULL;
  Tensor *lse = l ? tensor_new(rt, DT_F64, 1, &rows) : NULL;
  Tensor *loss = lse ? tensor_new(rt, DT_F64, 1, &rows) : NULL;
  Tensor *mean = NULL, *out = NULL;
  if (loss) {
    EntropyWork w = {.k = learn_rows((DType)x->dtype)};
    w.job = (EntropyJob){.n = n, .x = x->data, .labels = (const int64_t *)l->data,
                         .lse = (double *)lse->data, .loss = (double *)loss->data,
                         .smoothing = smoothing};
    for_blocks(rt, rows, block_rows(n), x->size, entropy_block, &w);
    mean = tensor_reduce(rt, RED_MEAN, loss, ~0u, false);
    out = mean ? tensor_astype(rt, mean, (DType)x->dtype) : NULL;
    if (out && rt->tape && record_entropy(rt, out, logits, x, l, lse, smoothing)) {
      tensor_unref(rt, out);
      out = NULL;
    }
  }
  Tensor *all[] = {x, l, lse, loss, mean};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  return out;
}

static RtStatus entropy_backward(Rt *rt, TapeNode *node, Tensor **g) {
  if (!g[0]) return RT_OK;
  const EntropyData *d = tape_data(node);
  Tensor *x = tape_saved(node, 0), *labels = tape_saved(node, 1), *lse = tape_saved(node, 2);
  Tensor *dx = tensor_new(rt, (DType)x->dtype, x->rank, x->shape);
  int64_t n = last_extent(x), rows = x->size / n;
  if (dx) {
    EntropyWork w = {.k = learn_rows((DType)x->dtype), .back = true};
    w.job = (EntropyJob){.n = n, .x = x->data, .labels = (const int64_t *)labels->data,
                         .lse = (double *)lse->data, .o = dx->data, .smoothing = d->smoothing,
                         .scale = tensor_get_f64(g[0], 0) / (double)rows};
    for_blocks(rt, rows, block_rows(n), x->size, entropy_block, &w);
  }
  return tape_add(rt, node, 0, dx);
}

/* ---- mean squared error --------------------------------------------------------------------- */

static RtStatus mse_backward(Rt *rt, TapeNode *node, Tensor **g);
static const TapeRule mse_rule = {"mse", mse_backward, NULL, true};

typedef struct {
  const LearnRows *k;
  size_t size;
  const char *a, *b;
  double *part, scale;
  char *o;   /* NULL: sums into part, else differences into o */
} MseWork;

static void mse_block(void *work, int64_t block, int64_t first, int64_t end) {
  const MseWork *w = work;
  size_t at = w->size * (size_t)first;
  if (w->o) w->k->scaled_difference(end - first, w->a + at, w->b + at, w->scale, w->o + at);
  else w->part[block] = w->k->squared_error(end - first, w->a + at, w->b + at);
}

static RtStatus check_pair(Rt *rt, Tensor *a, Tensor *b) {
  RT_TRY(need_float(rt, "mse", "a", a));
  RT_TRY(need_same(rt, "mse", "b", b, a));
  if (a->rank == b->rank && a->size > 0 &&
      memcmp(a->shape, b->shape, (size_t)a->rank * sizeof(int64_t)) == 0)
    return RT_OK;
  char ta[128], tb[128];
  return rt_fail(rt, RT_ERROR, "`mse` needs two tensors of one shape, found %s and %s",
                 tensor_shape_text(a, ta), tensor_shape_text(b, tb));
}

Tensor *learn_mse(Rt *rt, Tensor *a, Tensor *b) {
  if (check_pair(rt, a, b)) return NULL;
  int64_t blocks = (a->size + CREW_BLOCK_WORK - 1) / CREW_BLOCK_WORK;
  Tensor *x = tensor_contiguous(rt, a), *y = x ? tensor_contiguous(rt, b) : NULL;
  Tensor *part = y ? tensor_new(rt, DT_F64, 1, &blocks) : NULL, *out = NULL;
  if (part) {
    MseWork w = {.k = learn_rows((DType)a->dtype), .size = dtype_size[a->dtype], .a = x->data,
                 .b = y->data, .part = (double *)part->data};
    for_blocks(rt, a->size, CREW_BLOCK_WORK, a->size, mse_block, &w);
    double s = 0;
    for (int64_t i = 0; i < blocks; i++) s += w.part[i];
    out = tensor_scalar(rt, (DType)a->dtype, s / (double)a->size, 0);
    Tensor *inputs[] = {a, b}, *saved[] = {x, y};
    if (out && rt->tape && tape_record(rt, &mse_rule, 1, &out, 2, inputs, 2, saved, NULL)) {
      tensor_unref(rt, out);
      out = NULL;
    }
  }
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  tensor_unref(rt, part);
  return out;
}

static RtStatus mse_backward(Rt *rt, TapeNode *node, Tensor **g) {
  if (!g[0]) return RT_OK;
  double scale = 2 * tensor_get_f64(g[0], 0) / (double)tape_saved(node, 0)->size;
  for (int k = 0; k < 2; k++) {
    if (!tape_wants(node, k)) continue;
    Tensor *a = tape_saved(node, k), *b = tape_saved(node, 1 - k);
    Tensor *d = tensor_new(rt, (DType)a->dtype, a->rank, a->shape);
    if (d) {
      MseWork w = {.k = learn_rows((DType)a->dtype), .size = dtype_size[a->dtype], .a = a->data,
                   .b = b->data, .scale = scale, .o = d->data};
      for_blocks(rt, a->size, CREW_BLOCK_WORK, a->size, mse_block, &w);
    }
    RT_TRY(tape_add(rt, node, k, d));
  }
  return RT_OK;
}

Tensor *learn_predict(Rt *rt, Tensor *logits) {
  if (need_float(rt, "predict", "logits", logits)) return NULL;
  return tensor_argreduce(rt, true, logits, -1);
}
