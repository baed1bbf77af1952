/* more.c: running sums, quantiles, histograms, sets of values, scatter.      */
#include <math.h>
#include <string.h>

#include "runtime/tensor/more.h"
#include "runtime/tensor/sort.h"

/* ---- running sums --------------------------------------------------------- */

/* i64 and bool: exact or an error. */
static bool cumsum_i64(DType dt, const char *src, int64_t *out, int64_t n, int64_t step) {
  int64_t sum = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t x = dt == DT_BOOL ? ((const uint8_t *)src)[i * step]
                              : ((const int64_t *)(const void *)src)[i * step];
    if (__builtin_add_overflow(sum, x, &sum)) return false;
    out[i * step] = sum;
  }
  return true;
}

/* Single precision is added up in double: the sum of many small steps would
 * otherwise stand still.                                                     */
#define CUMSUM_REAL(name, T)                                                                       \
  static void name(const T *src, T *out, int64_t n, int64_t step) {                                \
    double sum = 0;                                                                                \
    for (int64_t i = 0; i < n; i++) out[i * step] = (T)(sum += src[i * step]);                     \
  }
CUMSUM_REAL(cumsum_f32, float)
CUMSUM_REAL(cumsum_f64, double)

static void cumsum_complex(bool wide, const void *src, void *out, int64_t n, int64_t step) {
  double re = 0, im = 0;
  for (int64_t i = 0; i < n; i++) {
    if (wide) {
      c128 z = ((const c128 *)src)[i * step];
      ((c128 *)out)[i * step] = (c128){re += z.re, im += z.im};
    } else {
      c64 z = ((const c64 *)src)[i * step];
      re += z.re;
      im += z.im;
      ((c64 *)out)[i * step] = (c64){(float)re, (float)im};
    }
  }
}

Tensor *tensor_cumsum(Rt *rt, Tensor *a, int axis) {
  int ax;
  DType dt = a->dtype == DT_BOOL ? DT_I64 : (DType)a->dtype;
  if (a->rank == 0) return tensor_astype(rt, a, dt);
  if (axis_check(rt, "cumsum", axis, a->rank, &ax)) return NULL;
  Tensor *src = tensor_contiguous(rt, a);
  Tensor *out = src ? tensor_new(rt, dt, a->rank, a->shape) : NULL;
  bool ok = true;
  if (out && out->size) {
    int64_t outer, n, inner;
    axis_split(src, ax, &outer, &n, &inner);
    size_t es = dtype_size[a->dtype], os = dtype_size[dt];
    for (int64_t lane = 0; ok && lane < outer * inner; lane++) {
      int64_t at = lane / inner * n * inner + lane % inner;
      const void *s = src->data + at * (int64_t)es;
      void *o = out->data + at * (int64_t)os;
      switch (dt) {
      case DT_F32: cumsum_f32(s, o, n, inner); break;
      case DT_F64: cumsum_f64(s, o, n, inner); break;
      case DT_C64:
      case DT_C128: cumsum_complex(dt == DT_C128, s, o, n, inner); break;
      default: ok = cumsum_i64(a->dtype, s, o, n, inner);
      }
    }
  }
  tensor_unref(rt, src);
  if (!ok) {
    rt_fail(rt, RT_ERROR, "integer overflow in cumsum");
    rt_help(rt, "convert to f64 first");
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}

/* ---- order statistics ------------------------------------------------------ */

static double quantile_sorted(const double *x, int64_t n, double q) {
  double h = q * (double)(n - 1);
  int64_t lo = (int64_t)floor(h);
  if (lo >= n - 1) return x[n - 1];
  double w = h - (double)lo;
  /* equal neighbours (also both infinite) are their own midpoint */
  return x[lo] == x[lo + 1] ? x[lo] : x[lo] + w * (x[lo + 1] - x[lo]);
}

static RtStatus quantile_levels(Rt *rt, Tensor *q) {
  if (dtype_complex(q->dtype) || q->rank > 1)
    return rt_fail(rt, RT_ERROR, "quantile: the levels must be a real number or a vector of them");
  for (int64_t i = 0; i < q->size; i++) {
    double v = tensor_get_f64(q, i);
    if (v >= 0 && v <= 1) continue;
    rt_fail(rt, RT_ERROR, "quantile: a level must lie in [0, 1], found %g", v);
    if (v > 1 && v <= 100) rt_help(rt, "did you mean %g?", v / 100);
    return RT_ERROR;
  }
  return RT_OK;
}

/* One lane: sorts a copy and writes each level, `os` elements apart. */
static void quantile_lane(const Tensor *x, int64_t at, int64_t step, int64_t n, Tensor *q,
                          SortItem *items, double *v, Tensor *out, int64_t o, int64_t os) {
  bool nan = false;
  size_t es = dtype_size[x->dtype];
  for (int64_t i = 0; i < n; i++) {
    int64_t flat = at + i * step;
    items[i] = (SortItem){sort_key(x->dtype, x->data + flat * (int64_t)es, false), flat};
    nan |= dtype_float(x->dtype) && items[i].key == UINT64_MAX;
  }
  sort_items(items, items + n, n);
  for (int64_t i = 0; i < n; i++) v[i] = tensor_get_f64(x, items[i].at);
  for (int64_t k = 0; k < q->size; k++)
    tensor_set_f64(out, o + k * os, nan ? NAN : quantile_sorted(v, n, tensor_get_f64(q, k)));
}

Tensor *tensor_quantile(Rt *rt, Tensor *a, Tensor *q, int axis, bool all) {
  int ax = 0, rank = 0;
  if (sort_check(rt, "quantile", a) || quantile_levels(rt, q)) return NULL;
  if (a->size == 0) {
    rt_fail(rt, RT_ERROR, "quantile of an empty tensor");
    return NULL;
  }
  if (!all && axis_check(rt, "quantile", axis, a->rank, &ax)) return NULL;
  Tensor *x = tensor_contiguous(rt, a);
  if (!x) return NULL;
  int64_t outer = 1, n = x->size, inner = 1, shape[TENSOR_MAX_RANK];
  if (!all) axis_split(x, ax, &outer, &n, &inner);
  if (q->rank) shape[rank++] = q->shape[0];
  for (int k = 0; !all && k < x->rank; k++)
    if (k != ax) shape[rank++] = x->shape[k];
  Tensor *out = tensor_new(rt, a->dtype == DT_F32 ? DT_F32 : DT_F64, rank, shape);
  SortItem *items = out ? rt_alloc(rt, sizeof(SortItem) * 2 * (size_t)n) : NULL;
  double *v = items ? rt_alloc(rt, sizeof(double) * (size_t)n) : NULL;
  RtStatus st = v ? RT_OK : rt->error.status;
  for (int64_t lane = 0; st == RT_OK && lane < outer * inner; lane++) {
    if (lane % 1024 == 0) st = rt_poll(rt);
    int64_t at = lane / inner * n * inner + lane % inner;
    quantile_lane(x, at, inner, n, q, items, v, out, lane, outer * inner);
  }
  if (v) rt_free(rt, v, sizeof(double) * (size_t)n);
  if (items) rt_free(rt, items, sizeof(SortItem) * 2 * (size_t)n);
  tensor_unref(rt, x);
  if (st && out) {
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}

/* ---- counting -------------------------------------------------------------- */

/* lo, hi given by nan: the range of the data. */
static RtStatus histogram_range(Rt *rt, const Tensor *x, double *lo, double *hi) {
  if (isnan(*lo) || isnan(*hi)) {
    double a = INFINITY, b = -INFINITY;
    for (int64_t i = 0; i < x->size; i++) {
      double v = tensor_get_f64(x, i);
      if (v < a) a = v;
      if (v > b) b = v;
    }
    if (x->size == 0 || a > b) a = 0, b = 1;
    if (isnan(*lo)) *lo = a;
    if (isnan(*hi)) *hi = b;
    if (*lo == *hi) *lo -= 0.5, *hi += 0.5;
  }
  if (!isfinite(*lo) || !isfinite(*hi) || !(*lo < *hi))
    return rt_fail(rt, RT_ERROR, "histogram: the range must be finite and rise, found %g to %g",
                   *lo, *hi);
  return RT_OK;
}

Tensor *tensor_histogram(Rt *rt, Tensor *a, int64_t bins, double lo, double hi, Tensor **edges) {
  if (sort_check(rt, "histogram", a)) return NULL;
  if (bins < 1) {
    rt_fail(rt, RT_ERROR, "histogram: needs at least one bin, found %lld", (long long)bins);
    return NULL;
  }
  Tensor *x = tensor_contiguous(rt, a);
  Tensor *out =
      x && histogram_range(rt, x, &lo, &hi) == RT_OK ? tensor_zeros(rt, DT_I64, 1, &bins) : NULL;
  int64_t n_edges = bins + 1;
  Tensor *e = out ? tensor_new(rt, DT_F64, 1, &n_edges) : NULL;
  if (!e) {
    tensor_unref(rt, x);
    tensor_unref(rt, out);
    return NULL;
  }
  double *ed = (double *)(void *)e->data;
  int64_t *count = (int64_t *)(void *)out->data;
  for (int64_t i = 0; i <= bins; i++) ed[i] = lo + (hi - lo) * ((double)i / (double)bins);
  ed[bins] = hi;
  for (int64_t i = 0; i < x->size; i++) {
    double v = tensor_get_f64(x, i);
    if (!(v >= lo && v <= hi)) continue;
    int64_t b = (int64_t)((v - lo) / (hi - lo) * (double)bins);
    if (b >= bins) b = bins - 1;
    if (v < ed[b]) b--; /* rounding put it one bin too far      */
    else if (b < bins - 1 && v >= ed[b + 1]) b++;
    count[b]++;
  }
  tensor_unref(rt, x);
  if (edges) *edges = e;
  else tensor_unref(rt, e);
  return out;
}

Tensor *tensor_distinct(Rt *rt, Tensor *a, Tensor **counts) {
  if (sort_check(rt, "unique", a)) return NULL;
  Tensor *x = tensor_contiguous(rt, a), *out = NULL, *c = NULL;
  if (!x) return NULL;
  size_t es = dtype_size[a->dtype], bytes = sizeof(SortItem) * 2 * (size_t)(x->size ? x->size : 1);
  SortItem *items = rt_alloc(rt, bytes);
  if (items) {
    int64_t n = x->size, m = 0;
    for (int64_t i = 0; i < n; i++)
      items[i] = (SortItem){sort_key(a->dtype, x->data + i * (int64_t)es, false), i};
    sort_items(items, items + n, n);
    for (int64_t i = 0; i < n; i++) m += i == 0 || items[i].key != items[i - 1].key;
    out = tensor_new(rt, a->dtype, 1, &m);
    c = out ? tensor_zeros(rt, DT_I64, 1, &m) : NULL;
    int64_t k = -1;
    for (int64_t i = 0; c && i < n; i++) {
      if (i == 0 || items[i].key != items[i - 1].key) {
        k++;
        memcpy(out->data + k * (int64_t)es, x->data + items[i].at * (int64_t)es, es);
      }
      ((int64_t *)(void *)c->data)[k]++;
    }
    rt_free(rt, items, bytes);
  }
  tensor_unref(rt, x);
  if (!c) {
    tensor_unref(rt, out);
    return NULL;
  }
  if (counts) *counts = c;
  else tensor_unref(rt, c);
  return out;
}

Tensor *tensor_nonzero(Rt *rt, Tensor *mask) {
  int64_t count = 0, at[TENSOR_MAX_RANK] = {0};
  for (int64_t i = 0; i < mask->size; i++) {
    c128 z = tensor_get_c128(mask, i);
    count += z.re != 0 || z.im != 0;
  }
  Tensor *out = tensor_new(rt, DT_I64, 2, (int64_t[]){count, mask->rank});
  if (!out) return NULL;
  int64_t *o = (int64_t *)(void *)out->data;
  for (int64_t i = 0; i < mask->size; i++) {
    c128 z = tensor_get_c128(mask, i);
    if (z.re != 0 || z.im != 0)
      for (int k = 0; k < mask->rank; k++) *o++ = at[k];
    for (int k = mask->rank - 1; k >= 0; k--) {
      if (++at[k] < mask->shape[k]) break;
      at[k] = 0;
    }
  }
  return out;
}

Tensor *tensor_scatter_add(Rt *rt, int64_t n, Tensor *ix, Tensor *rows) {
  char a[128], b[128];
  if (ix->dtype != DT_I64) {
    rt_fail(rt, RT_ERROR, "scatter_add: positions must be i64, found %s", dtype_name[ix->dtype]);
    return NULL;
  }
  bool fits = rows->rank >= ix->rank;
  for (int k = 0; fits && k < ix->rank; k++) fits = rows->shape[k] == ix->shape[k];
  if (!fits || n < 0) {
    if (n < 0) rt_fail(rt, RT_ERROR, "scatter_add: %lld rows", (long long)n);
    else
      rt_fail(rt, RT_ERROR, "scatter_add: positions of shape %s need one row each, the rows are %s",
              tensor_shape_text(ix, a), tensor_shape_text(rows, b));
    return NULL;
  }
  int64_t shape[TENSOR_MAX_RANK + 1] = {n};
  int rank = 1 + rows->rank - ix->rank;
  if (rank > TENSOR_MAX_RANK) {
    rt_fail(rt, RT_ERROR, "scatter_add: more than %d axes", TENSOR_MAX_RANK);
    return NULL;
  }
  for (int k = ix->rank; k < rows->rank; k++) shape[1 + k - ix->rank] = rows->shape[k];
  Tensor *out = tensor_zeros(rt, rows->dtype, rank, shape);
  if (!out) return NULL;
  Index at = {.kind = IX_TENSOR, .tensor = ix};
  if (tensor_index_add(rt, out, 1, &at, rows)) {
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}
