/* sort.c: sort and argsort: stable, nan last.
 *
 * Elements become 64-bit keys whose unsigned order is the wanted order, so one
 * radix sort serves every dtype and both directions.                         */
#include <math.h>
#include <string.h>

#include "runtime/tensor/more.h"
#include "runtime/tensor/sort.h"

uint64_t sort_key(DType dt, const char *p, bool descending) {
  uint64_t k;
  double x;
  if (dt == DT_I64 || dt == DT_BOOL) {
    int64_t i = *(const uint8_t *)p;
    if (dt == DT_I64) memcpy(&i, p, 8);
    k = (uint64_t)i ^ (1ull << 63);
    return descending ? ~k : k;
  }
  if (dt == DT_F32) {
    float f;
    memcpy(&f, p, 4);
    x = f;
  } else memcpy(&x, p, 8);
  if (x != x) return UINT64_MAX;
  if (x == 0) x = 0; /* -0 equals 0 */
  memcpy(&k, &x, 8);
  k = k >> 63 ? ~k : k | 1ull << 63;
  return descending ? ~k : k;
}

static void insertion(SortItem *a, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    SortItem x = a[i];
    int64_t j = i;
    for (; j > 0 && a[j - 1].key > x.key; j--) a[j] = a[j - 1];
    a[j] = x;
  }
}

static void merge_sort(SortItem *a, SortItem *tmp, int64_t n) {
  const int64_t run = 16;
  for (int64_t i = 0; i < n; i += run) insertion(a + i, n - i < run ? n - i : run);
  SortItem *src = a, *dst = tmp;
  for (int64_t w = run; w < n; w *= 2) {
    for (int64_t i = 0; i < n; i += 2 * w) {
      int64_t mid = i + w < n ? i + w : n, end = i + 2 * w < n ? i + 2 * w : n;
      int64_t l = i, r = mid;
      for (int64_t k = i; k < end; k++)
        dst[k] = l < mid && (r >= end || src[l].key <= src[r].key) ? src[l++] : src[r++];
    }
    SortItem *t = src;
    src = dst;
    dst = t;
  }
  if (src != a) memcpy(a, src, sizeof *a * (size_t)n);
}

/* Eleven bits a pass; a pass in which all items agree is left out. */
static void radix_sort(SortItem *a, SortItem *tmp, int64_t n) {
  enum { BITS = 11, PASSES = 6, BINS = 1 << BITS };
  SortItem *src = a, *dst = tmp;
  for (int pass = 0; pass < PASSES; pass++) {
    int64_t count[BINS] = {0}, sum = 0;
    int shift = pass * BITS;
    for (int64_t i = 0; i < n; i++) count[src[i].key >> shift & (BINS - 1)]++;
    if (count[src[0].key >> shift & (BINS - 1)] == n) continue;
    for (int b = 0; b < BINS; b++) {
      int64_t c = count[b];
      count[b] = sum;
      sum += c;
    }
    for (int64_t i = 0; i < n; i++) dst[count[src[i].key >> shift & (BINS - 1)]++] = src[i];
    SortItem *t = src;
    src = dst;
    dst = t;
  }
  if (src != a) memcpy(a, src, sizeof *a * (size_t)n);
}

void sort_items(SortItem *items, SortItem *tmp, int64_t n) {
  if (n < 2) return;
  if (n <= 16) insertion(items, n);
  else if (n < 4096) merge_sort(items, tmp, n);
  else radix_sort(items, tmp, n);
}

RtStatus sort_check(Rt *rt, const char *what, const Tensor *t) {
  if (!dtype_complex(t->dtype)) return RT_OK;
  rt_fail(rt, RT_ERROR, "%s: complex numbers have no order, found a %s tensor", what,
          dtype_name[t->dtype]);
  rt_help(rt, "order by abs(z) or real(z)");
  return RT_ERROR;
}

void axis_split(const Tensor *t, int axis, int64_t *outer, int64_t *n, int64_t *inner) {
  *outer = *inner = 1;
  for (int k = 0; k < axis; k++) *outer *= t->shape[k];
  for (int k = axis + 1; k < t->rank; k++) *inner *= t->shape[k];
  *n = t->shape[axis];
}

/* One lane (elements at `src`, `step` elements apart) into out: positions, or
 * the elements themselves.                                                   */
static void sort_lane(DType dt, const char *src, int64_t step, int64_t n, bool descending,
                      SortItem *items, SortItem *tmp, bool positions, char *out) {
  size_t es = dtype_size[dt];
  for (int64_t i = 0; i < n; i++)
    items[i] = (SortItem){sort_key(dt, src + i * step * (int64_t)es, descending), i};
  sort_items(items, tmp, n);
  for (int64_t i = 0; i < n; i++) {
    if (positions) memcpy(out + i * step * 8, &items[i].at, 8);
    else memcpy(out + i * step * (int64_t)es, src + items[i].at * step * (int64_t)es, es);
  }
}

static Tensor *sorted(Rt *rt, const char *what, Tensor *a, int axis, bool descending,
                      bool positions) {
  int ax = 0;
  if (sort_check(rt, what, a)) return NULL;
  if (a->rank == 0) {
    if (axis != 0 && axis != -1) {
      axis_check(rt, what, axis, 0, &ax);
      return NULL;
    }
    return positions ? tensor_scalar_i64(rt, 0) : tensor_copy(rt, a);
  }
  if (axis_check(rt, what, axis, a->rank, &ax)) return NULL;
  Tensor *src = tensor_contiguous(rt, a);
  Tensor *out =
      src ? tensor_new(rt, positions ? DT_I64 : (DType)a->dtype, a->rank, a->shape) : NULL;
  if (!out || out->size == 0) {
    tensor_unref(rt, src);
    return out;
  }
  int64_t outer, n, inner;
  axis_split(src, ax, &outer, &n, &inner);
  SortItem *items = rt_alloc(rt, sizeof(SortItem) * 2 * (size_t)n);
  RtStatus st = items ? RT_OK : rt->error.status;
  size_t es = dtype_size[a->dtype], os = positions ? 8 : es;
  for (int64_t lane = 0; st == RT_OK && lane < outer * inner; lane++) {
    if (lane % 1024 == 0) st = rt_poll(rt);
    int64_t at = lane / inner * n * inner + lane % inner;
    sort_lane(a->dtype, src->data + at * (int64_t)es, inner, n, descending, items, items + n,
              positions, out->data + at * (int64_t)os);
  }
  if (items) rt_free(rt, items, sizeof(SortItem) * 2 * (size_t)n);
  tensor_unref(rt, src);
  if (st) {
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}

Tensor *tensor_sort(Rt *rt, Tensor *a, int axis, bool descending) {
  return sorted(rt, "sort", a, axis, descending, false);
}

Tensor *tensor_argsort(Rt *rt, Tensor *a, int axis, bool descending) {
  return sorted(rt, "argsort", a, axis, descending, true);
}
