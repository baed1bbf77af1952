/* index_move.c: moves elements between a tensor and a value under a plan.
 *
 * Three nested walks: the axes before the index tensors, the index tensors
 * (one list of offsets), the axes behind them.  Axes behind are merged where
 * they lie without gaps, so gathering rows is one memcpy a row.              */
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/tensor/index_plan.h"

#define PARALLEL_BYTES 2e6 /* moved bytes from which a parallel loop pays    */

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

typedef struct {
  const IndexPlan *p;
  Walk before, behind;
  RowFn row;
  size_t es;
  char *a, *value;
  int64_t sb, chunk, chunks; /* of the listed offsets */
  bool picks;
} MoveJob;

/* Pieces of a move; 1 when one failed. */
static int move_pieces(void *job, int64_t first, int64_t end, int lane) {
  const MoveJob *m = job;
  const IndexPlan *p = m->p;
  const int64_t e = (int64_t)m->es;
  bool ok = true;
  for (int64_t k = first; k < end; k++) {
    int64_t oa, ov, lo = k % m->chunks * m->chunk,
                    hi = lo + m->chunk < p->b_count ? lo + m->chunk : p->b_count;
    walk_at(&m->before, k / m->chunks, &oa, &ov);
    char *a = m->a + oa * e, *v = m->value + ov * e;
    if (m->picks) pick(p, m->es, a, v, lo, hi);
    else ok = move_listed(p, &m->behind, m->row, m->es, a, v, m->sb, lo, hi) && ok;
  }
  return !ok;
}

bool index_move(const IndexPlan *p, IndexMove move, DType dt, char *base, char *value,
                const int64_t *vs, int threads) {
  size_t es = dtype_size[dt];
  const int64_t e = (int64_t)es;
  RowFn row = row_for(move, dt);
  MoveJob m = {.p = p, .row = row, .es = es, .value = value, .chunk = 4096};
  int split = p->advanced ? p->before : 0, b_rank = p->advanced ? p->b_rank : 0;
  int64_t outer = 1, inner = 1;
  for (int k = 0; k < split; k++) {
    walk_push(&m.before, p->shape[k], p->stride[k], vs[k]);
    outer *= p->shape[k];
  }
  for (int k = split; k < p->rank; k++) {
    walk_push(&m.behind, p->shape[k], p->stride[k], vs[b_rank + k]);
    inner *= p->shape[k];
  }
  if (outer == 0 || inner == 0) return true;
  m.a = base + p->offset * e;
  if (!p->advanced) return move_block(&m.behind, row, es, m.a, value);
  for (int k = b_rank - 1; k >= 0 && m.sb == 0; k--) /* the b axes step as one */
    if (p->b_shape[k] > 1) m.sb = vs[split + k];
  /* Blocks of listed offsets are independent when reading; writing and adding
   * keep their order, because an element may be named twice.                */
  m.chunks = (p->b_count + m.chunk - 1) / m.chunk;
  m.picks = move == MOVE_READ && inner == 1 && m.sb == 1;
  double bytes = (double)outer * (double)p->b_count * (double)inner * (double)es;
  int team = move == MOVE_READ && bytes > PARALLEL_BYTES ? threads : 1;
  int64_t pieces = outer * m.chunks;
  int64_t grain = (int64_t)(PARALLEL_BYTES / 4 * (double)pieces / (bytes + 1)) + 1;
  return parallel_for(team, pieces, grain, move_pieces, &m) == 0;
}
