/* index_plan.c: turns x[i, 1..3, :, idx, mask] into a plan: bounds are checked
 * here, once, so that the loops that move data need no checks.               */
#include <string.h>

#include "runtime/tensor/index_plan.h"

/* One index tensor: offsets into the storage, already times the stride. */
typedef struct {
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  int64_t count;
  int64_t *off;
} Adv;

RtStatus index_position(Rt *rt, int64_t at, int axis, int64_t extent, int64_t *out) {
  int64_t i = at < 0 ? at + extent : at;
  if (i < 0 || i >= extent) {
    rt_fail(rt, RT_ERROR, "index %lld is out of range for axis %d with extent %lld", (long long)at,
            axis, (long long)extent);
    if (extent > 0)
      rt_help(rt, "positions run from 0 to %lld, or from -%lld to -1 counted from the end",
              (long long)(extent - 1), (long long)extent);
    else rt_help(rt, "this axis is empty");
    return RT_ERROR;
  }
  *out = i;
  return RT_OK;
}

static RtStatus slice_error(Rt *rt, const char *end, int64_t v, int axis, int64_t extent) {
  rt_fail(rt, RT_ERROR, "slice %s %lld is out of range for axis %d with extent %lld", end,
          (long long)v, axis, (long long)extent);
  rt_help(rt, "a slice runs between 0 and %lld; bounds are not cut off silently, use min(%lld, n)",
          (long long)extent, (long long)v);
  return RT_ERROR;
}

/* start, count of a slice; bounds as in NumPy, except that going past an end
 * is an error. */
static RtStatus slice_resolve(Rt *rt, const Index *ix, int axis, int64_t extent, int64_t *start,
                              int64_t *count) {
  int64_t step = ix->step, a, b;
  if (step == 0) return rt_fail(rt, RT_ERROR, "a slice needs a step other than 0");
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
  a = step > 0 ? low : high;
  b = step > 0 ? high : low;
  if (ix->has_start) {
    a = ix->start < 0 ? ix->start + extent : ix->start;
    if (a < low || a > high) return slice_error(rt, "start", ix->start, axis, extent);
  }
  if (ix->has_stop) {
    b = ix->stop < 0 ? ix->stop + extent : ix->stop;
    if (b < low || b > high) return slice_error(rt, "end", ix->stop, axis, extent);
  }
  *start = a;
  if (step > 0) *count = b > a ? (b - a - 1) / step + 1 : 0;
  else *count = a > b ? (step == INT64_MIN ? 1 : (a - b - 1) / -step + 1) : 0;
  if (*count == 0) *start = 0;
  return RT_OK;
}

static RtStatus adv_new(Rt *rt, Adv *adv, int64_t count) {
  adv->count = count;
  adv->off = rt_alloc(rt, sizeof(int64_t) * (size_t)(count ? count : 1));
  return adv->off ? RT_OK : rt->error.status;
}

static RtStatus adv_from_ints(Rt *rt, const Tensor *t, int axis, Tensor *ix, Adv *adv) {
  int64_t extent = t->shape[axis], stride = t->stride[axis];
  Tensor *c = tensor_contiguous(rt, ix);
  if (!c) return rt->error.status;
  adv->rank = ix->rank;
  memcpy(adv->shape, ix->shape, sizeof(int64_t) * ix->rank);
  RtStatus st = adv_new(rt, adv, ix->size);
  const int64_t *src = (const int64_t *)(const void *)c->data;
  for (int64_t i = 0; st == RT_OK && i < ix->size; i++) {
    int64_t at = src[i];
    if (at < 0) at += extent;
    if (at < 0 || at >= extent) st = index_position(rt, src[i], axis, extent, &at);
    adv->off[i] = at * stride;
  }
  tensor_unref(rt, c);
  return st;
}

/* A mask of rank r stands for r axes; it selects in row-major order. */
static RtStatus adv_from_mask(Rt *rt, const Tensor *t, int axis, Tensor *mask, Adv *adv) {
  int r = mask->rank;
  for (int k = 0; k < r; k++) {
    if (mask->shape[k] == t->shape[axis + k]) continue;
    char a[128], b[128];
    rt_fail(rt, RT_ERROR, "a mask of shape %s does not fit %s from axis %d: extents %lld and %lld",
            tensor_shape_text(mask, a), tensor_shape_text(t, b), axis, (long long)mask->shape[k],
            (long long)t->shape[axis + k]);
    return RT_ERROR;
  }
  Tensor *c = tensor_contiguous(rt, mask);
  if (!c) return rt->error.status;
  const uint8_t *m = (const uint8_t *)c->data;
  int64_t count = 0;
  for (int64_t i = 0; i < mask->size; i++) count += m[i] != 0;
  adv->rank = 1;
  adv->shape[0] = count;
  RtStatus st = adv_new(rt, adv, count);
  int64_t at[TENSOR_MAX_RANK] = {0}, off = 0, n = 0;
  for (int64_t i = 0; st == RT_OK && i < mask->size; i++) {
    if (m[i]) adv->off[n++] = off;
    for (int k = r - 1; k >= 0; k--) {
      off += t->stride[axis + k];
      if (++at[k] < mask->shape[k]) break;
      off -= at[k] * t->stride[axis + k];
      at[k] = 0;
    }
  }
  tensor_unref(rt, c);
  return st;
}

/* Broadcasts the index tensors together and adds up their offsets. */
static RtStatus adv_combine(Rt *rt, int n, Adv *adv, IndexPlan *p) {
  p->b_rank = 0;
  for (int a = 0; a < n; a++)
    if (adv[a].rank > p->b_rank) p->b_rank = adv[a].rank;
  for (int k = 0; k < p->b_rank; k++) p->b_shape[k] = 1;
  for (int a = 0; a < n; a++) {
    int lead = p->b_rank - adv[a].rank;
    for (int k = 0; k < adv[a].rank; k++) {
      int64_t s = adv[a].shape[k], *d = &p->b_shape[lead + k];
      if (*d == 1) *d = s;
      if (s != *d && s != 1) {
        char x[128], y[128];
        rt_fail(rt, RT_ERROR, "index tensors of shapes %s and %s do not broadcast together",
                shape_text(adv[0].rank, adv[0].shape, x), shape_text(adv[a].rank, adv[a].shape, y));
        return RT_ERROR;
      }
    }
  }
  p->b_count = 1;
  for (int k = 0; k < p->b_rank; k++) {
    if (__builtin_mul_overflow(p->b_count, p->b_shape[k], &p->b_count))
      return rt_fail(rt, RT_ERROR, "the index tensors broadcast to too many elements");
  }
  if (n == 1) {
    p->offsets = adv[0].off;
    adv[0].off = NULL;
    return RT_OK;
  }
  if ((uint64_t)p->b_count > (uint64_t)PTRDIFF_MAX / 16)
    return rt_fail(rt, RT_MEMORY, "the index tensors broadcast to too many elements");
  p->offsets = rt_alloc0(rt, sizeof(int64_t) * (size_t)(p->b_count ? p->b_count : 1));
  if (!p->offsets) return rt->error.status;
  for (int a = 0; a < n; a++) {
    int64_t step[TENSOR_MAX_RANK] = {0}, at[TENSOR_MAX_RANK] = {0}, run = 1, src = 0;
    for (int k = p->b_rank - 1, j = adv[a].rank - 1; j >= 0; k--, j--) {
      step[k] = adv[a].shape[j] == 1 ? 0 : run;
      run *= adv[a].shape[j];
    }
    for (int64_t i = 0; i < p->b_count; i++) {
      p->offsets[i] += adv[a].off[src];
      for (int k = p->b_rank - 1; k >= 0; k--) {
        src += step[k];
        if (++at[k] < p->b_shape[k]) break;
        src -= at[k] * step[k];
        at[k] = 0;
      }
    }
  }
  return RT_OK;
}

/* How many axes one entry consumes. */
static RtStatus entry_axes(Rt *rt, const Index *ix, int *out) {
  *out = 1;
  if (ix->kind != IX_TENSOR) return RT_OK;
  DType dt = ix->tensor->dtype;
  if (dt == DT_BOOL) {
    *out = ix->tensor->rank;
    if (*out > 0) return RT_OK;
    rt_fail(rt, RT_ERROR,
            "an index must be an int, a range or a tensor of ints or bools, found a bool");
    return RT_ERROR;
  }
  if (dt == DT_I64) return RT_OK;
  rt_fail(rt, RT_ERROR, "an index tensor must be i64 or bool, this one is %s", dtype_name[dt]);
  if (dtype_float(dt)) rt_help(rt, "convert it with astype(x, \"i64\")");
  return RT_ERROR;
}

typedef struct {
  bool advanced; /* some entry is a tensor: positions join it            */
  bool in_group, left_group, split;
  int n_adv;
  Adv adv[TENSOR_MAX_RANK];
} Builder;

static void keep_axis(IndexPlan *p, int64_t extent, int64_t stride) {
  p->shape[p->rank] = extent;
  p->stride[p->rank++] = stride;
}

/* An entry of the advanced group: notes where the group stands. */
static void enter_group(Builder *b, IndexPlan *p) {
  if (b->left_group) b->split = true;
  if (!b->in_group && !b->left_group) p->before = p->rank;
  b->in_group = true;
}

static RtStatus add_entry(Rt *rt, const Tensor *t, const Index *ix, int axis, Builder *b,
                          IndexPlan *p) {
  int64_t at = 0, count = 0;
  switch (ix->kind) {
  case IX_AT:
    RT_TRY(index_position(rt, ix->at, axis, t->shape[axis], &at));
    p->offset += at * t->stride[axis];
    if (b->advanced) enter_group(b, p);
    return RT_OK;
  case IX_TENSOR:
    enter_group(b, p);
    Adv *adv = &b->adv[b->n_adv++];
    adv->off = NULL;
    return ix->tensor->dtype == DT_BOOL ? adv_from_mask(rt, t, axis, ix->tensor, adv)
                                        : adv_from_ints(rt, t, axis, ix->tensor, adv);
  case IX_SLICE:
    RT_TRY(slice_resolve(rt, ix, axis, t->shape[axis], &at, &count));
    p->offset += at * t->stride[axis];
    keep_axis(p, count, count > 1 ? t->stride[axis] * ix->step : t->stride[axis]);
    break;
  case IX_ALL: keep_axis(p, t->shape[axis], t->stride[axis]); break;
  }
  if (b->in_group) b->left_group = true;
  b->in_group = false;
  return RT_OK;
}

RtStatus index_plan(Rt *rt, const Tensor *t, int n, const Index *ix, IndexPlan *p) {
  int axis = 0, total = 0, take;
  Builder b = {0};
  memset(p, 0, sizeof *p);
  for (int i = 0; i < n; i++) {
    RT_TRY(entry_axes(rt, &ix[i], &take));
    total += take;
    b.advanced |= ix[i].kind == IX_TENSOR;
  }
  if (total > t->rank) {
    char buf[128];
    rt_fail(rt, RT_ERROR, "%d indices for a tensor of rank %d, shape %s", total, t->rank,
            tensor_shape_text(t, buf));
    return RT_ERROR;
  }
  RtStatus st = RT_OK;
  for (int i = 0; st == RT_OK && i < n; i++) {
    (void)entry_axes(rt, &ix[i], &take);
    st = add_entry(rt, t, &ix[i], axis, &b, p);
    axis += take;
  }
  for (; st == RT_OK && axis < t->rank; axis++) keep_axis(p, t->shape[axis], t->stride[axis]);
  p->advanced = b.advanced;
  if (st == RT_OK && b.advanced) {
    st = adv_combine(rt, b.n_adv, b.adv, p);
    if (b.split) p->before = 0;
  }
  for (int a = 0; a < b.n_adv; a++)
    if (b.adv[a].off)
      rt_free(rt, b.adv[a].off, sizeof(int64_t) * (size_t)(b.adv[a].count ? b.adv[a].count : 1));
  if (st) index_plan_free(rt, p);
  return st;
}

void index_plan_free(Rt *rt, IndexPlan *p) {
  if (p->offsets) rt_free(rt, p->offsets, sizeof(int64_t) * (size_t)(p->b_count ? p->b_count : 1));
  p->offsets = NULL;
}

RtStatus index_plan_shape(Rt *rt, const IndexPlan *p, int *rank, int64_t *shape) {
  int b = p->advanced ? p->b_rank : 0;
  if (p->rank + b > TENSOR_MAX_RANK)
    return rt_fail(rt, RT_ERROR, "the result would have %d axes, at most %d are possible",
                   p->rank + b, TENSOR_MAX_RANK);
  int before = p->advanced ? p->before : p->rank, r = 0;
  for (int k = 0; k < before; k++) shape[r++] = p->shape[k];
  for (int k = 0; k < b; k++) shape[r++] = p->b_shape[k];
  for (int k = before; k < p->rank; k++) shape[r++] = p->shape[k];
  *rank = r;
  return RT_OK;
}
