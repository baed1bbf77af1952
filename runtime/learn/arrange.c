/* arrange.c: operations that move elements: embedding rows, image patches,
 * attention heads; and dropout.
 */
#include "runtime/learn/common.h"

#include <string.h>

/* ---- embedding ------------------------------------------------------------------------ */

static RtStatus embedding_backward(Rt *rt, TapeNode *node, Tensor **g);
static void drop_shape(Rt *rt, void *data) { rt_free(rt, data, 2 * sizeof(int64_t)); }
static const TapeRule embedding_rule = {"embedding", embedding_backward, drop_shape, true};

static RtStatus check_ids(Rt *rt, Tensor *table, Tensor *ids) {
  char text[128];
  RT_TRY(need_float(rt, "embedding", "table", table));
  if (table->rank != 2)
    return rt_fail(rt, RT_ERROR, "`embedding`: the table must have two axes, found %s",
                   tensor_shape_text(table, text));
  if (ids->dtype != DT_I64)
    return rt_fail(rt, RT_ERROR, "`embedding`: ids must be i64, found %s", dtype_name[ids->dtype]);
  if (ids->rank + 1 > TENSOR_MAX_RANK)
    return rt_fail(rt, RT_ERROR, "`embedding`: ids have too many axes");
  for (int64_t i = 0; i < ids->size; i++) {
    int64_t v = tensor_get_i64(ids, i);
    if (v < 0 || v >= table->shape[0])
      return rt_fail(rt, RT_ERROR, "`embedding`: id %lld at position %lld is not in 0..%lld",
                     (long long)v, (long long)i, (long long)table->shape[0]);
  }
  return RT_OK;
}

Tensor *learn_embedding(Rt *rt, Tensor *table, Tensor *ids) {
  if (check_ids(rt, table, ids)) return NULL;
  int64_t shape[TENSOR_MAX_RANK], d = table->shape[1];
  if (ids->rank) memcpy(shape, ids->shape, (size_t)ids->rank * sizeof *shape);
  shape[ids->rank] = d;
  Tensor *t = tensor_contiguous(rt, table), *ix = t ? tensor_contiguous(rt, ids) : NULL;
  Tensor *y = ix ? tensor_new(rt, (DType)table->dtype, ids->rank + 1, shape) : NULL;
  size_t row = (size_t)d * dtype_size[table->dtype];
  for (int64_t i = 0; y && row && i < ids->size; i++)
    memcpy(y->data + row * (size_t)i, t->data + row * (size_t)((const int64_t *)ix->data)[i], row);
  if (y && rt->tape) {
    int64_t *extents = rt_alloc(rt, 2 * sizeof *extents);
    if (extents) memcpy(extents, table->shape, 2 * sizeof *extents);
    if (!extents || tape_record(rt, &embedding_rule, 1, &y, 1, &table, 1, &ix, extents)) {
      tensor_unref(rt, y);
      y = NULL;
    }
  }
  tensor_unref(rt, t);
  tensor_unref(rt, ix);
  return y;
}

/* In order of the ids, so that repeated rows add up the same way always. */
static RtStatus embedding_backward(Rt *rt, TapeNode *node, Tensor **g) {
  if (!g[0]) return RT_OK;
  const int64_t *shape = tape_data(node);
  Tensor *ix = tape_saved(node, 0), *c = tensor_contiguous(rt, g[0]);
  DType d = (DType)g[0]->dtype;
  Tensor *o = c ? tensor_zeros(rt, d, 2, shape) : NULL;
  size_t row = (size_t)shape[1] * dtype_size[d];
  BinRun add = kernel_binary(BIN_ADD, d);
  for (int64_t i = 0; o && i < ix->size; i++) {
    char *to = o->data + row * (size_t)((const int64_t *)ix->data)[i];
    add(shape[1], to, 1, c->data + row * (size_t)i, 1, to);
  }
  tensor_unref(rt, c);
  return tape_add(rt, node, 0, o);
}

/* ---- dropout ----------------------------------------------------------------------------- */

static RtStatus dropout_backward(Rt *rt, TapeNode *node, Tensor **g);
static const TapeRule dropout_rule = {"dropout", dropout_backward, NULL, true};

typedef struct { RngCall call; double keep; DType d; void *o; } DropWork;

/* The mask holds 0 or 1 / (1 - p), so that both passes are one product. */
static void drop_block(void *work, int64_t block, int64_t first, int64_t end) {
  const DropWork *w = work;
  for (int64_t e = first; e < end; e++) {
    double v = rng_uniform(w->call, (uint64_t)e) < w->keep ? 1 / w->keep : 0;
    if (w->d == DT_F32) ((float *)w->o)[e] = (float)v;
    else ((double *)w->o)[e] = v;
  }
  (void)block;
}

Tensor *learn_dropout(Rt *rt, Tensor *x, double p, RngCall call) {
  if (need_float(rt, "dropout", "x", x)) return NULL;
  if (!(p >= 0 && p < 1)) {
    rt_fail(rt, RT_ERROR, "`dropout`: p is %g, it must be in [0, 1)", p);
    return NULL;
  }
  Tensor *mask = tensor_new(rt, (DType)x->dtype, x->rank, x->shape);
  if (!mask) return NULL;
  DropWork w = {call, 1 - p, (DType)x->dtype, mask->data};
  for_blocks(rt, x->size, 4096, 8 * x->size, drop_block, &w);
  Tensor *y = tensor_binary(rt, BIN_MUL, x, mask, rt->tape ? 0 : 2, 0);
  if (y && rt->tape && tape_record(rt, &dropout_rule, 1, &y, 1, &x, 1, &mask, NULL)) {
    tensor_unref(rt, y);
    y = NULL;
  }
  tensor_unref(rt, mask);
  return y;
}

static RtStatus dropout_backward(Rt *rt, TapeNode *node, Tensor **g) {
  if (!g[0]) return RT_OK;
  return tape_add(rt, node, 0, tensor_binary(rt, BIN_MUL, g[0], tape_saved(node, 0), 0, 0));
}

/* ---- patches ------------------------------------------------------------------------------ */

/* Written with differentiable operations: one view, one copy. */
Tensor *learn_patches(Rt *rt, Tensor *images, int64_t p) {
  char text[128];
  const int64_t *s = images->shape;
  bool ok = (images->rank == 3 || images->rank == 4) && p > 0 && s[1] % p == 0 && s[2] % p == 0;
  if (!ok) {
    rt_fail(rt, RT_ERROR, "`patches`: images must be (b, h, w) or (b, h, w, c) with h and w "
            "multiples of %lld, found %s", (long long)p, tensor_shape_text(images, text));
    return NULL;
  }
  int64_t c = images->rank == 4 ? s[3] : 1, h = s[1] / p, w = s[2] / p;
  int64_t split[] = {s[0], h, p, w, p, c}, joined[] = {s[0], h * w, p * p * c};
  const int order[] = {0, 1, 3, 2, 4, 5};
  Tensor *a = op_reshape(rt, images, 6, split);
  Tensor *b = a ? op_permute(rt, a, order) : NULL;
  Tensor *o = b ? op_reshape(rt, b, 3, joined) : NULL;
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return o;
}

/* ---- heads ---------------------------------------------------------------------------------- */

enum { HEAD_PARTS = 8 };
typedef struct { int64_t b, n, k, heads, d; } HeadShape;

static RtStatus split_backward(Rt *rt, TapeNode *node, Tensor **g);
static void drop_heads(Rt *rt, void *data) { rt_free(rt, data, sizeof(HeadShape)); }
static const TapeRule split_rule = {"split_heads", split_backward, drop_heads, true};

/* Copies part j, b (heads, n, d) with the given strides, into the joint rows (b, n, k, heads,
 * d). */
typedef struct { const HeadShape *s; size_t size; char *joint; Tensor *const *part; } JoinWork;

/* Runs are short: whole lines without a call. */
static void copy_run(char *to, const char *from, size_t bytes) {
  for (; bytes >= 64; bytes -= 64, to += 64, from += 64) memcpy(to, from, 64);
  if (bytes) memcpy(to, from, bytes);
}

static void join_block(void *work, int64_t block, int64_t first, int64_t end) {
  const JoinWork *w = work;
  const HeadShape *s = w->s;
  size_t run = (size_t)s->d * w->size;
  char *to = w->joint + run * (size_t)(first * s->k * s->heads);
  for (int64_t t = first; t < end; t++) {
    int64_t b = t / s->n, i = t % s->n;
    for (int64_t j = 0; j < s->k; j++) {
      const Tensor *p = w->part[j];
      int64_t at = p ? b * p->stride[0] + i * p->stride[2] : 0;
      for (int64_t h = 0; h < s->heads; h++, to += run) {
        if (p) copy_run(to, p->data + (at + h * p->stride[1]) * (int64_t)w->size, run);
        else memset(to, 0, run);
      }
    }
  }
  (void)block;
}

static RtStatus head_shape(Rt *rt, Tensor *x, int64_t heads, int k, HeadShape *s) {
  char text[128];
  bool ok = x->rank == 3 && heads > 0 && k > 0 && k <= HEAD_PARTS && x->shape[2] > 0 && x->shape[2] % (k * heads) == 0;
  if (!ok)
    return rt_fail(rt, RT_ERROR, "`split_heads`: x must be (b, n, %d x %lld heads x d), found %s",
                   k, (long long)heads, tensor_shape_text(x, text));
  *s = (HeadShape){x->shape[0], x->shape[1], k, heads, x->shape[2] / (k * heads)};
  return RT_OK;
}

static RtStatus record_split(Rt *rt, Tensor *x, const HeadShape *s, Tensor **out) {
  if (!rt->tape) return RT_OK;
  HeadShape *d = rt_alloc(rt, sizeof *d);
  if (!d) return rt->error.status;
  *d = *s;
  return tape_record(rt, &split_rule, (int)s->k, out, 1, &x, 0, NULL, d);
}

/* Views of x: attention reads rows at any distance. */
RtStatus learn_split_heads(Rt *rt, Tensor *x, int64_t heads, int k, Tensor **out) {
  HeadShape s = {0};
  for (int j = 0; j < k; j++) out[j] = NULL;
  RT_TRY(need_float(rt, "split_heads", "x", x));
  RT_TRY(head_shape(rt, x, heads, k, &s));
  Tensor *c = tensor_contiguous(rt, x);
  int64_t shape[] = {s.b, heads, s.n, s.d}, token = s.k * heads * s.d;
  int64_t stride[] = {s.n * token, s.d, token, 1};
  bool ok = c != NULL;
  for (int j = 0; ok && j < k; j++)
    ok = (out[j] = tensor_view(rt, c, 4, shape, stride, j * heads * s.d)) != NULL;
  tensor_unref(rt, c);
  if (ok && record_split(rt, x, &s, out) == RT_OK) return RT_OK;
  for (int j = 0; j < k; j++) {
    tensor_unref(rt, out[j]);
    out[j] = NULL;
  }
  return rt->error.status;
}

static RtStatus split_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const HeadShape *s = tape_data(node);
  int64_t shape[] = {s->b, s->n, s->k * s->heads * s->d};
  Tensor *part[HEAD_PARTS] = {NULL}, *o = NULL, *any = NULL;
  bool ok = true;
  for (int64_t j = 0; j < s->k && ok; j++) {
    if (!g[j]) continue;
    any = g[j];
    part[j] = g[j]->stride[3] == 1 || s->d == 1 ? tensor_ref(g[j]) : tensor_contiguous(rt, g[j]);
    ok = part[j] != NULL;
  }
  if (any && ok) o = tensor_new(rt, (DType)any->dtype, 3, shape);
  if (o) {
    int64_t row = s->k * s->heads * s->d;
    JoinWork w = {s, dtype_size[any->dtype], o->data, part};
    for_blocks(rt, s->b * s->n, block_rows(row), o->size, join_block, &w);
  }
  for (int64_t j = 0; j < s->k; j++) tensor_unref(rt, part[j]);
  return any ? tape_add(rt, node, 0, o) : RT_OK;
}

Tensor *learn_merge_heads(Rt *rt, Tensor *x) {
  char text[128];
  if (x->rank != 4) {
    rt_fail(rt, RT_ERROR, "`merge_heads`: x must be (b, heads, n, d), found %s",
            tensor_shape_text(x, text));
    return NULL;
  }
  const int order[] = {0, 2, 1, 3};
  int64_t shape[] = {x->shape[0], x->shape[2], x->shape[1] * x->shape[3]};
  Tensor *p = op_permute(rt, x, order), *o = p ? op_reshape(rt, p, 3, shape) : NULL;
  tensor_unref(rt, p);
  return o;
}
