/* shape.c: reshaping, permuting, broadcasting, joining.
 *
 * Whatever strides can express is a view; joining copies once.
 */
#include "runtime/tensor/loop.h"

#include <string.h>

RtStatus axis_check(Rt *rt, const char *what, int64_t axis, int rank, int *out) {
  if (axis >= -rank && axis < rank) {
    *out = (int)(axis < 0 ? axis + rank : axis);
    return RT_OK;
  }
  if (rank == 0) return rt_fail(rt, RT_ERROR, "`%s`: a scalar has no axis %lld", what,
                                (long long)axis);
  rt_fail(rt, RT_ERROR, "`%s`: axis %lld is out of range for a tensor with %d %s", what,
          (long long)axis, rank, rank == 1 ? "axis" : "axes");
  rt_help(rt, "axes go from 0 to %d, or from -1 down to %d", rank - 1, -rank);
  return RT_ERROR;
}

RtStatus broadcast_shape(Rt *rt, const char *what, const Tensor *a, const Tensor *b, int *rank,
                         int64_t shape[TENSOR_MAX_RANK]) {
  int r = a->rank > b->rank ? a->rank : b->rank;
  *rank = r;
  for (int i = 0; i < r; i++) {
    int ia = i - (r - a->rank), ib = i - (r - b->rank);
    int64_t na = ia < 0 ? 1 : a->shape[ia], nb = ib < 0 ? 1 : b->shape[ib];
    if (na != nb && na != 1 && nb != 1) {
      char ta[128], tb[128];
      rt_fail(rt, RT_ERROR, "shapes do not match in `%s`: %s and %s", what,
              tensor_shape_text(a, ta), tensor_shape_text(b, tb));
      rt_help(rt, "axes are matched from the last one; each pair must be equal or contain a 1");
      return RT_ERROR;
    }
    shape[i] = na == 1 ? nb : na;
  }
  return RT_OK;
}

Tensor *tensor_expand(Rt *rt, Tensor *t, int rank, const int64_t *shape) {
  bool fits = rank >= t->rank && rank <= TENSOR_MAX_RANK;
  for (int i = 0; fits && i < t->rank; i++) {
    int64_t want = shape[rank - t->rank + i];
    fits = t->shape[i] == want || t->shape[i] == 1;
  }
  if (!fits) {
    char ta[128], tb[128];
    rt_fail(rt, RT_ERROR, "a tensor of shape %s does not broadcast to %s",
            tensor_shape_text(t, ta), shape_text(rank, shape, tb));
    return NULL;
  }
  if (rank == t->rank && memcmp(t->shape, shape, (size_t)rank * sizeof *shape) == 0)
    return tensor_ref(t);
  int64_t stride[TENSOR_MAX_RANK];
  broadcast_strides(t, rank, shape, stride);
  return tensor_view(rt, t, rank, shape, stride, 0);
}

/* ---- reshape ----------------------------------------------------------------- */

static RtStatus infer_extent(Rt *rt, const Tensor *t, int rank, const int64_t *shape,
                             int64_t *out) {
  int64_t known = 1;
  int hole = -1;
  bool bad = rank > TENSOR_MAX_RANK;
  for (int i = 0; !bad && i < rank; i++) {
    out[i] = shape[i];
    if (shape[i] == -1 && hole < 0) hole = i;
    else bad = shape[i] < 0 || __builtin_mul_overflow(known, shape[i], &known);
  }
  if (!bad && hole >= 0) {
    bad = known == 0 || t->size % known != 0;
    if (!bad) out[hole] = t->size / known;
  } else if (!bad) {
    bad = known != t->size;
  }
  if (!bad) return RT_OK;
  char ta[128], tb[128];
  return rt_fail(rt, RT_ERROR, "cannot reshape %s with %lld elements to %s",
                 tensor_shape_text(t, ta), (long long)t->size,
                 shape_text(rank < TENSOR_MAX_RANK ? rank : TENSOR_MAX_RANK, shape, tb));
}

/* Strides that show t's elements as `shape`, if there are any: groups of axes
 * with equal products are matched, and each old group must be walkable as one. */
static bool view_strides(const Tensor *t, int rank, const int64_t *shape, int64_t *stride) {
  int64_t on[TENSOR_MAX_RANK], os[TENSOR_MAX_RANK];
  int olds = 0;
  for (int i = 0; i < t->rank; i++) {
    if (t->shape[i] == 1) continue;
    on[olds] = t->shape[i];
    os[olds++] = t->stride[i];
  }
  int o = 0, k = 0;
  while (o < olds && k < rank) {
    int64_t no = on[o], nn = shape[k];
    int o1 = o + 1, k1 = k + 1;
    while (no != nn) {
      if (nn < no) {
        if (k1 >= rank) return false;
        nn *= shape[k1++];
      } else {
        if (o1 >= olds) return false;
        no *= on[o1++];
      }
    }
    for (int i = o; i + 1 < o1; i++)
      if (os[i] != os[i + 1] * on[i + 1]) return false;
    int64_t step = os[o1 - 1];
    for (int i = k1 - 1; i >= k; i--) {
      stride[i] = step;
      step *= shape[i];
    }
    o = o1;
    k = k1;
  }
  for (; k < rank; k++) stride[k] = 1;   /* only extents of 1 are left */
  return true;
}

Tensor *tensor_reshape(Rt *rt, Tensor *t, int rank, const int64_t *want) {
  int64_t shape[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK];
  if (infer_extent(rt, t, rank, want, shape)) return NULL;
  if (rank == t->rank && memcmp(t->shape, shape, (size_t)rank * sizeof *shape) == 0)
    return tensor_ref(t);
  if (t->contiguous || t->size == 0) return tensor_view(rt, t, rank, shape, NULL, 0);
  if (view_strides(t, rank, shape, stride)) return tensor_view(rt, t, rank, shape, stride, 0);
  Tensor *out = tensor_new(rt, t->dtype, rank, shape);
  if (out) copy_strided(t, out->data);
  return out;
}

Tensor *tensor_permute(Rt *rt, Tensor *t, const int *axes) {
  int64_t shape[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK];
  unsigned seen = 0;
  for (int i = 0; i < t->rank; i++) {
    int a;
    if (axis_check(rt, "transpose", axes[i], t->rank, &a)) return NULL;
    if (seen >> a & 1) {
      rt_fail(rt, RT_ERROR, "`transpose`: axis %d is given twice", a);
      return NULL;
    }
    seen |= 1u << a;
    shape[i] = t->shape[a];
    stride[i] = t->stride[a];
  }
  return tensor_view(rt, t, t->rank, shape, stride, 0);
}

Tensor *tensor_swap_last(Rt *rt, Tensor *t, bool conj) {
  if (conj && dtype_complex(t->dtype)) {
    Tensor *c = tensor_unary(rt, UN_CONJ, t, 0);
    Tensor *s = c ? tensor_swap_last(rt, c, false) : NULL;
    tensor_unref(rt, c);
    return s;
  }
  if (t->rank < 2) return tensor_ref(t);
  int64_t shape[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK];
  int r = t->rank;
  memcpy(shape, t->shape, (size_t)r * sizeof *shape);
  memcpy(stride, t->stride, (size_t)r * sizeof *stride);
  shape[r - 2] = t->shape[r - 1];
  shape[r - 1] = t->shape[r - 2];
  stride[r - 2] = t->stride[r - 1];
  stride[r - 1] = t->stride[r - 2];
  return tensor_view(rt, t, r, shape, stride, 0);
}

/* ---- joining ------------------------------------------------------------------- */

static int joint_dtype(Rt *rt, int n, Tensor **ts) {
  int dt = ts[0]->dtype;
  for (int i = 1; i < n && dt >= 0; i++)
    if (ts[i]->dtype != dt) {
      bool complex = dt >= DT_C64 || ts[i]->dtype >= DT_C64;
      dt = binary_dtype(rt, complex ? BIN_ADD : BIN_MAX, (DType)dt, ts[i]->dtype, 0);
    }
  return dt;
}

/* Elements in front of and behind an axis. */
static void split_at(const Tensor *t, int axis, int64_t *outer, int64_t *inner) {
  *outer = *inner = 1;
  for (int i = 0; i < axis; i++) *outer *= t->shape[i];
  for (int i = axis + 1; i < t->rank; i++) *inner *= t->shape[i];
}

static RtStatus check_joinable(Rt *rt, int n, Tensor **ts, int axis, int64_t *total) {
  *total = 0;
  for (int k = 0; k < n; k++) {
    bool same = ts[k]->rank == ts[0]->rank;
    for (int i = 0; same && i < ts[0]->rank; i++)
      same = i == axis || ts[k]->shape[i] == ts[0]->shape[i];
    if (!same) {
      char a[128], b[128];
      return rt_fail(rt, RT_ERROR, "`concat` along axis %d: shapes %s and %s differ elsewhere",
                     axis, tensor_shape_text(ts[0], a), tensor_shape_text(ts[k], b));
    }
    if (__builtin_add_overflow(*total, ts[k]->shape[axis], total))
      return rt_fail(rt, RT_LIMIT, "`concat`: the result does not fit in memory");
  }
  return RT_OK;
}

/* Places t, with the result's dtype, at row `at` of the joined axis. */
static RtStatus place(Rt *rt, Tensor *out, Tensor *t, int axis, int64_t at) {
  Tensor *typed = tensor_astype(rt, t, out->dtype);
  Tensor *c = typed ? tensor_contiguous(rt, typed) : NULL;
  tensor_unref(rt, typed);
  if (!c) return rt->error.status;
  int64_t outer, inner;
  split_at(c, axis, &outer, &inner);
  size_t unit = dtype_size[out->dtype] * (size_t)inner;
  size_t run = unit * (size_t)c->shape[axis], step = unit * (size_t)out->shape[axis];
  char *to = out->data + unit * (size_t)at;
  if (run)
    for (int64_t o = 0; o < outer; o++)
      memcpy(to + step * (size_t)o, c->data + run * (size_t)o, run);
  tensor_unref(rt, c);
  return RT_OK;
}

Tensor *tensor_concat(Rt *rt, int n, Tensor **ts, int axis) {
  if (n < 1) {
    rt_fail(rt, RT_ERROR, "`concat` needs at least one tensor");
    return NULL;
  }
  int64_t total, shape[TENSOR_MAX_RANK];
  int dt;
  if (axis_check(rt, "concat", axis, ts[0]->rank, &axis) ||
      check_joinable(rt, n, ts, axis, &total) || (dt = joint_dtype(rt, n, ts)) < 0)
    return NULL;
  memcpy(shape, ts[0]->shape, (size_t)ts[0]->rank * sizeof *shape);
  shape[axis] = total;
  Tensor *out = tensor_new(rt, (DType)dt, ts[0]->rank, shape);
  int64_t at = 0;
  for (int k = 0; out && k < n; k++) {
    if (place(rt, out, ts[k], axis, at)) {
      tensor_unref(rt, out);
      return NULL;
    }
    at += ts[k]->shape[axis];
  }
  return out;
}

Tensor *tensor_stack(Rt *rt, int n, Tensor **ts, int axis) {
  if (n < 1) {
    rt_fail(rt, RT_ERROR, "`stack` needs at least one tensor");
    return NULL;
  }
  int rank = ts[0]->rank, dt;
  if (axis_check(rt, "stack", axis, rank + 1, &axis) || (dt = joint_dtype(rt, n, ts)) < 0)
    return NULL;
  for (int k = 1; k < n; k++) {
    if (ts[k]->rank == rank &&
        memcmp(ts[k]->shape, ts[0]->shape, (size_t)rank * sizeof(int64_t)) == 0)
      continue;
    char a[128], b[128];
    rt_fail(rt, RT_ERROR, "`stack` needs equal shapes: %s and %s",
            tensor_shape_text(ts[0], a), tensor_shape_text(ts[k], b));
    return NULL;
  }
  int64_t shape[TENSOR_MAX_RANK + 1];
  for (int i = 0, k = 0; i <= rank; i++) shape[i] = i == axis ? n : ts[0]->shape[k++];
  Tensor *out = tensor_new(rt, (DType)dt, rank + 1, shape);
  for (int k = 0; out && k < n; k++) {
    int64_t one[TENSOR_MAX_RANK + 1];
    memcpy(one, shape, (size_t)(rank + 1) * sizeof *one);
    one[axis] = 1;
    Tensor *row = tensor_reshape(rt, ts[k], rank + 1, one);
    RtStatus bad = row ? place(rt, out, row, axis, k) : rt->error.status;
    tensor_unref(rt, row);
    if (bad) {
      tensor_unref(rt, out);
      return NULL;
    }
  }
  return out;
}

/* t repeated `reps` times along one axis; t is contiguous. */
static Tensor *repeat_axis(Rt *rt, Tensor *t, int axis, int64_t reps) {
  int64_t shape[TENSOR_MAX_RANK], outer, inner;
  memcpy(shape, t->shape, (size_t)t->rank * sizeof *shape);
  if (__builtin_mul_overflow(shape[axis], reps, &shape[axis])) {
    rt_fail(rt, RT_LIMIT, "`tile`: the result does not fit in memory");
    return NULL;
  }
  Tensor *out = tensor_new(rt, t->dtype, t->rank, shape);
  if (!out) return NULL;
  split_at(t, axis, &outer, &inner);
  size_t run = dtype_size[t->dtype] * (size_t)(inner * t->shape[axis]);
  char *to = out->data;
  for (int64_t o = 0; run && o < outer; o++)
    for (int64_t k = 0; k < reps; k++, to += run) memcpy(to, t->data + run * (size_t)o, run);
  return out;
}

Tensor *tensor_tile(Rt *rt, Tensor *t, int n, const int64_t *reps) {
  int rank = t->rank > n ? t->rank : n;
  int64_t shape[TENSOR_MAX_RANK];
  if (rank > TENSOR_MAX_RANK) {
    rt_fail(rt, RT_ERROR, "a tensor has at most %d axes, not %d", TENSOR_MAX_RANK, rank);
    return NULL;
  }
  for (int i = 0; i < n; i++) {
    if (reps[i] >= 0) continue;
    rt_fail(rt, RT_ERROR, "`tile`: a repeat count is negative: %lld", (long long)reps[i]);
    return NULL;
  }
  for (int i = 0; i < rank; i++) shape[i] = i < rank - t->rank ? 1 : t->shape[i - (rank - t->rank)];
  Tensor *c = tensor_contiguous(rt, t);
  Tensor *out = c ? tensor_reshape(rt, c, rank, shape) : NULL;
  tensor_unref(rt, c);
  for (int i = rank - 1; out && i >= rank - n; i--) {
    int64_t times = reps[i - (rank - n)];
    if (times == 1) continue;
    Tensor *next = repeat_axis(rt, out, i, times);
    tensor_unref(rt, out);
    out = next;
  }
  return out;
}
