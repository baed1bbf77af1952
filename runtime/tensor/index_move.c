/* index_move.c: moves elements between a tensor and a value under a plan.
 *
 * Three nested walks: the axes before the index tensors, the index tensors
 * (one list of offsets), the axes behind them.  Axes behind are merged where
 * they lie without gaps, so gathering rows is one memcpy a row.              */
#include <string.h>

#include "runtime/tensor/index_plan.h"

typedef struct {
  int rank;
  int64_t n[TENSOR_MAX_RANK], a[TENSOR_MAX_RANK], v[TENSOR_MAX_RANK]; /* extents, strides */
} Walk;

static void walk_push(Walk *w, int64_t n, int64_t a, int64_t v) {
  if (n == 1) return;
  int k = w->rank - 1;
  if (k >= 0 && w->a[k] == a * n && w->v[k] == v * n) {
    w->n[k] *= n;
    w->a[k] = a;
    w->v[k] = v;
    return;
  }
  w->n[w->rank] = n;
  w->a[w->rank] = a;
  w->v[w->rank++] = v;
}

typedef bool (*RowFn)(int64_t n, char *a, int64_t sa, char *v, int64_t sv);

typedef struct {
  char b[16];
} Wide;
#define COPY_ROW(name, T, from_a)                                                                  \
  static bool name(int64_t n, char *pa, int64_t sa, char *pv, int64_t sv) {                        \
    T *a = (T *)(void *)pa, *v = (T *)(void *)pv;                                                  \
    if (sa == 1 && sv == 1) {                                                                      \
      memcpy(from_a ? v : a, from_a ? a : v, (size_t)n * sizeof(T));                               \
      return true;                                                                                 \
    }                                                                                              \
    for (int64_t i = 0; i < n; i++) {                                                              \
      if (from_a) v[i * sv] = a[i * sa];                                                           \
      else a[i * sa] = v[i * sv];                                                                  \
    }                                                                                              \
    return true;                                                                                   \
  }
COPY_ROW(read1, uint8_t, 1)
COPY_ROW(read4, uint32_t, 1)
COPY_ROW(read8, uint64_t, 1)
COPY_ROW(read16, Wide, 1)
COPY_ROW(write1, uint8_t, 0)
COPY_ROW(write4, uint32_t, 0)
COPY_ROW(write8, uint64_t, 0)
COPY_ROW(write16, Wide, 0)

#define ADD_ROW(name, T, STEP)                                                                     \
  static bool name(int64_t n, char *pa, int64_t sa, char *pv, int64_t sv) {                        \
    T *a = (T *)(void *)pa;                                                                        \
    const T *v = (const T *)(const void *)pv;                                                      \
    for (int64_t i = 0; i < n; i++) { STEP }                                                       \
    return true;                                                                                   \
  }
ADD_ROW(add_bool, uint8_t, a[i * sa] |= v[i * sv];)
ADD_ROW(add_i64, int64_t,
        if (__builtin_add_overflow(a[i * sa], v[i * sv], &a[i * sa])) return false;)
ADD_ROW(add_f32, float, a[i * sa] += v[i * sv];)
ADD_ROW(add_f64, double, a[i * sa] += v[i * sv];)
ADD_ROW(add_c64, c64, a[i * sa].re += v[i * sv].re; a[i * sa].im += v[i * sv].im;)
ADD_ROW(add_c128, c128, a[i * sa].re += v[i * sv].re; a[i * sa].im += v[i * sv].im;)

static RowFn row_for(IndexMove move, DType dt) {
  static const RowFn adds[DT_COUNT] = {add_bool, add_i64, add_f32, add_f64, add_c64, add_c128};
  if (move == MOVE_ADD) return adds[dt];
  switch (dtype_size[dt]) {
  case 1: return move == MOVE_READ ? read1 : write1;
  case 4: return move == MOVE_READ ? read4 : write4;
  case 8: return move == MOVE_READ ? read8 : write8;
  default: return move == MOVE_READ ? read16 : write16;
  }
}

/* All of one block behind the index tensors. */
static bool move_block(const Walk *w, RowFn row, size_t es, char *a, char *v) {
  int last = w->rank - 1;
  if (last < 0) return row(1, a, 1, v, 1);
  if (last == 0) return row(w->n[0], a, w->a[0], v, w->v[0]);
  int64_t at[TENSOR_MAX_RANK] = {0};
  const int64_t e = (int64_t)es;
  for (;;) {
    if (!row(w->n[last], a, w->a[last], v, w->v[last])) return false;
    int k = last - 1;
    for (; k >= 0; k--) {
      a += w->a[k] * e;
      v += w->v[k] * e;
      if (++at[k] < w->n[k]) break;
      a -= at[k] * w->a[k] * e;
      v -= at[k] * w->v[k] * e;
      at[k] = 0;
    }
    if (k < 0) return true;
  }
}

/* Offsets of position `i` of the walk in row-major order. */
static void walk_at(const Walk *w, int64_t i, int64_t *a, int64_t *v) {
  *a = *v = 0;
  for (int k = w->rank - 1; k >= 0; k--) {
    int64_t at = i % w->n[k];
    i /= w->n[k];
    *a += at * w->a[k];
    *v += at * w->v[k];
  }
}

/* One position of the axes before: every listed offset. */
static bool move_listed(const IndexPlan *p, const Walk *behind, RowFn row, size_t es, char *a,
                        char *v, int64_t sb, int64_t lo, int64_t hi) {
  const int64_t e = (int64_t)es;
  for (int64_t b = lo; b < hi; b++)
    if (!move_block(behind, row, es, a + p->offsets[b] * e, v + b * sb * e)) return false;
  return true;
}

/* Picking single elements along the last axis: no call for each one. */
static void pick(const IndexPlan *p, size_t es, const char *a, char *v, int64_t lo, int64_t hi) {
  const int64_t *off = p->offsets;
  int64_t b;
  switch (es) {
  case 1:
    for (b = lo; b < hi; b++) v[b] = a[off[b]];
    break;
  case 4:
    for (b = lo; b < hi; b++)
      ((uint32_t *)(void *)v)[b] = ((const uint32_t *)(const void *)a)[off[b]];
    break;
  case 8:
    for (b = lo; b < hi; b++)
      ((uint64_t *)(void *)v)[b] = ((const uint64_t *)(const void *)a)[off[b]];
    break;
  default:
    for (b = lo; b < hi; b++) ((Wide *)(void *)v)[b] = ((const Wide *)(const void *)a)[off[b]];
  }
}

bool index_move(const IndexPlan *p, IndexMove move, DType dt, char *base, char *value,
                const int64_t *vs, int threads) {
  size_t es = dtype_size[dt];
  const int64_t e = (int64_t)es;
  RowFn row = row_for(move, dt);
  Walk before = {0}, behind = {0};
  int split = p->advanced ? p->before : 0, b_rank = p->advanced ? p->b_rank : 0;
  int64_t outer = 1, inner = 1;
  for (int k = 0; k < split; k++) {
    walk_push(&before, p->shape[k], p->stride[k], vs[k]);
    outer *= p->shape[k];
  }
  for (int k = split; k < p->rank; k++) {
    walk_push(&behind, p->shape[k], p->stride[k], vs[b_rank + k]);
    inner *= p->shape[k];
  }
  if (outer == 0 || inner == 0) return true;
  char *a = base + p->offset * e;
  if (!p->advanced) return move_block(&behind, row, es, a, value);
  int64_t sb = 0; /* the b axes step as one */
  for (int k = b_rank - 1; k >= 0 && sb == 0; k--)
    if (p->b_shape[k] > 1) sb = vs[split + k];
  /* Blocks of listed offsets are independent when reading; writing and adding
   * keep their order, because an element may be named twice.                */
  const int64_t chunk = 4096;
  int64_t chunks = (p->b_count + chunk - 1) / chunk, jobs = outer * chunks;
  bool picks = move == MOVE_READ && inner == 1 && sb == 1, ok = true;
  int team =
      move == MOVE_READ && (double)outer * (double)p->b_count * (double)inner * (double)es > 1e6
          ? threads
          : 1;
  (void)team;      /* without OpenMP nobody else reads it */
#pragma omp parallel for schedule(static) num_threads(team) if (team > 1) reduction(&& : ok)
  for (int64_t job = 0; job < jobs; job++) {
    int64_t oa, ov, lo = job % chunks * chunk,
                    hi = lo + chunk < p->b_count ? lo + chunk : p->b_count;
    walk_at(&before, job / chunks, &oa, &ov);
    if (picks) pick(p, es, a + oa * e, value + ov * e, lo, hi);
    else ok = move_listed(p, &behind, row, es, a + oa * e, value + ov * e, sb, lo, hi) && ok;
  }
  return ok;
}
