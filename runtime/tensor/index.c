/* index.c: reading, writing and adding to x[...].
 *
 * Single positions, slices and `:` give views.  Index tensors give copies laid
 * out as in NumPy.  All checks happen in index_plan.c.                       */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/tensor/index_plan.h"

/* x[i, j, ...] with plain positions only: the common case in script loops. */
static bool all_at(int n, const Index *ix) {
  for (int i = 0; i < n; i++)
    if (ix[i].kind != IX_AT) return false;
  return true;
}

static RtStatus at_offset(Rt *rt, const Tensor *t, int n, const Index *ix, int64_t *off) {
  int64_t o = 0, at;
  for (int i = 0; i < n; i++) {
    at = ix[i].at < 0 ? ix[i].at + t->shape[i] : ix[i].at;
    if (at < 0 || at >= t->shape[i]) return index_position(rt, ix[i].at, i, t->shape[i], &at);
    o += at * t->stride[i];
  }
  *off = o;
  return RT_OK;
}

Tensor *tensor_index(Rt *rt, Tensor *t, int n, const Index *ix) {
  if (n <= t->rank && all_at(n, ix)) {
    int64_t off;
    if (at_offset(rt, t, n, ix, &off)) return NULL;
    return tensor_view(rt, t, t->rank - n, t->shape + n, t->stride + n, off);
  }
  IndexPlan p;
  if (index_plan(rt, t, n, ix, &p)) return NULL;
  if (!p.advanced) return tensor_view(rt, t, p.rank, p.shape, p.stride, p.offset);
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  Tensor *out =
      index_plan_shape(rt, &p, &rank, shape) ? NULL : tensor_new(rt, t->dtype, rank, shape);
  if (out && out->size)
    index_move(&p, MOVE_READ, t->dtype, t->data, out->data, out->stride, rt->threads);
  index_plan_free(rt, &p);
  return out;
}

/* ---- storing ------------------------------------------------------------ */

static RtStatus cannot_hold(Rt *rt, DType to, const char *what, const char *help) {
  rt_fail(rt, RT_ERROR, "a tensor of dtype %s cannot hold %s", dtype_name[to], what);
  if (help) rt_help(rt, "%s", help);
  return RT_ERROR;
}

/* May every element of v be stored as `to`?  Rounding is allowed, changing
 * kind or losing the value is not.                                           */
static RtStatus store_check(Rt *rt, const Tensor *v, DType to) {
  DType from = v->dtype;
  if (from == to || from == DT_BOOL || to == DT_C128) return RT_OK;
  if (to == DT_BOOL) {
    char what[64];
    snprintf(what, sizeof what, "%s values", dtype_name[from]);
    return cannot_hold(rt, to, what, NULL);
  }
  if (dtype_complex(from) && !dtype_complex(to))
    return cannot_hold(rt, to, "complex values",
                       "take real(x), or make the tensor complex with astype(x, \"c128\")");
  if (from == DT_I64 && to != DT_I64) return RT_OK;
  for (int64_t i = 0; i < v->size; i++) {
    c128 z = tensor_get_c128(v, i);
    char what[48];
    if (to == DT_I64) {
      if (z.re >= -0x1p63 && z.re < 0x1p63 && z.re == floor(z.re)) continue;
      snprintf(what, sizeof what, "%.17g", z.re);
      return cannot_hold(rt, to, what, "use astype(x, \"f64\") to make it a float tensor");
    }
    double worst = fmax(fabs(z.re), fabs(z.im));
    bool single = to == DT_F32 || to == DT_C64;
    if (single && isfinite(worst) && worst > 3.4028235677973366e38) {
      snprintf(what, sizeof what, "%.17g", worst);
      return cannot_hold(rt, to, what, "its largest number is about 3.4e38");
    }
  }
  return RT_OK;
}

Tensor *index_store_cast(Rt *rt, Tensor *value, DType dt) {
  if (value->dtype == dt) return tensor_ref(value);
  if (store_check(rt, value, dt)) return NULL;
  return tensor_astype(rt, value, dt);
}

/* Strides that walk `v` along the axes of shape (missing axes and extent 1
 * stand still); false when it does not broadcast.                            */
static bool value_strides(const Tensor *v, int rank, const int64_t *shape, int64_t *vs) {
  int lead = rank - v->rank;
  for (int k = 0; k < rank; k++) vs[k] = 0;
  for (int k = 0; k < v->rank; k++) {
    if (lead + k < 0) {
      if (v->shape[k] != 1) return false;
      continue;
    }
    if (v->shape[k] == shape[lead + k]) vs[lead + k] = v->shape[k] == 1 ? 0 : v->stride[k];
    else if (v->shape[k] != 1) return false;
  }
  return true;
}

/* Do the b axes of the value step as one axis would? */
static bool b_axes_even(const IndexPlan *p, const int64_t *vs) {
  if (!p->advanced) return true;
  int64_t want = -1;
  bool first = true;
  for (int k = p->b_rank - 1; k >= 0; k--) {
    int64_t s = vs[p->before + k];
    if (p->b_shape[k] == 1) continue;
    if (!first && s != want) return false;
    want = s * p->b_shape[k];
    first = false;
  }
  return true;
}

/* Shared tail of set and add: `v` has dtype of dst. */
static RtStatus put(Rt *rt, const IndexPlan *p, Tensor *dst, Tensor *v, IndexMove move) {
  int rank;
  int64_t shape[TENSOR_MAX_RANK], vs[TENSOR_MAX_RANK];
  RT_TRY(index_plan_shape(rt, p, &rank, shape));
  if (!value_strides(v, rank, shape, vs)) {
    char a[128], b[128];
    rt_fail(rt, RT_ERROR, "a value of shape %s does not fit the place of shape %s",
            tensor_shape_text(v, a), shape_text(rank, shape, b));
    return RT_ERROR;
  }
  int64_t size = 1;
  for (int k = 0; k < rank; k++) size *= shape[k];
  if (size == 0) return RT_OK;
  Tensor *even = NULL;
  if (!b_axes_even(p, vs)) {
    Tensor *wide = tensor_expand(rt, v, rank, shape);
    even = wide ? tensor_copy(rt, wide) : NULL;
    tensor_unref(rt, wide);
    if (!even) return rt->error.status;
    v = even;
    memcpy(vs, v->stride, sizeof(int64_t) * (size_t)rank);
  }
  bool ok = index_move(p, move, dst->dtype, dst->data, v->data, vs, rt->threads);
  tensor_unref(rt, even);
  return ok ? RT_OK : rt_fail(rt, RT_ERROR, "integer overflow while adding to an i64 tensor");
}

/* One element from a number: what `x[i, j] = v` in a loop comes down to. */
static RtStatus set_one(Rt *rt, Tensor *t, int64_t off, const Tensor *v) {
  size_t es = dtype_size[t->dtype];
  char *dst = t->data + off * (int64_t)es;
  if (v->dtype == t->dtype) {
    memcpy(dst, v->data, es);
    return RT_OK;
  }
  RT_TRY(store_check(rt, v, t->dtype));
  c128 z = tensor_get_c128(v, 0);
  switch ((DType)t->dtype) {
  case DT_BOOL: *(uint8_t *)dst = z.re != 0; break;
  case DT_I64: {
    int64_t i = v->dtype == DT_BOOL || v->dtype == DT_I64 ? tensor_get_i64(v, 0) : (int64_t)z.re;
    memcpy(dst, &i, es);
    break;
  }
  case DT_F32: memcpy(dst, &(float){(float)z.re}, es); break;
  case DT_F64: memcpy(dst, &z.re, es); break;
  case DT_C64: memcpy(dst, &(c64){(float)z.re, (float)z.im}, es); break;
  default: memcpy(dst, &z, es);
  }
  return RT_OK;
}

/* Unshared, and no two positions on the same element (a broadcast view). */
static RtStatus make_writable(Rt *rt, Tensor **t) {
  RT_TRY(tensor_own(rt, t));
  for (int k = 0; k < (*t)->rank; k++) {
    if ((*t)->stride[k] != 0 || (*t)->shape[k] < 2) continue;
    Tensor *copy = tensor_copy(rt, *t);
    if (!copy) return rt->error.status;
    tensor_unref(rt, *t);
    *t = copy;
    break;
  }
  return RT_OK;
}

/* `value` holds a reference of its own: where it looks at the same storage,
 * make_writable copies, so nothing is read after it was written.             */
RtStatus tensor_index_set(Rt *rt, Tensor **t, int n, const Index *ix, Tensor *value) {
  if (n == (*t)->rank && value->size == 1 && value->rank == 0 && all_at(n, ix)) {
    int64_t off;
    RT_TRY(at_offset(rt, *t, n, ix, &off));
    if (!tensor_unique(*t) || !t[0]->contiguous) {
      RT_TRY(store_check(rt, value, (*t)->dtype));
      RT_TRY(make_writable(rt, t));
      RT_TRY(at_offset(rt, *t, n, ix, &off));
    }
    return set_one(rt, *t, off, value);
  }
  Tensor *v = index_store_cast(rt, value, (*t)->dtype);
  if (!v) return rt->error.status;
  RtStatus st = RT_OK;
  IndexPlan p;
  bool planned = false;
  if (!st) st = make_writable(rt, t);
  if (!st) {
    st = index_plan(rt, *t, n, ix, &p);
    planned = !st;
  }
  if (!st) st = put(rt, &p, *t, v, MOVE_WRITE);
  if (planned) index_plan_free(rt, &p);
  tensor_unref(rt, v);
  return st;
}

RtStatus tensor_index_add(Rt *rt, Tensor *acc, int n, const Index *ix, Tensor *value) {
  Tensor *v = index_store_cast(rt, value, acc->dtype);
  if (!v) return rt->error.status;
  IndexPlan p;
  RtStatus st = index_plan(rt, acc, n, ix, &p);
  if (!st) {
    st = put(rt, &p, acc, v, MOVE_ADD);
    index_plan_free(rt, &p);
  }
  tensor_unref(rt, v);
  return st;
}
