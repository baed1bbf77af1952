/* loop.c: strided walks: see loop.h. */
#include "runtime/tensor/loop.h"

#include <string.h>

void row_major(int rank, const int64_t *shape, int64_t *stride) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= shape[i] > 0 ? shape[i] : 1;
  }
}

void broadcast_strides(const Tensor *t, int rank, const int64_t *shape, int64_t *stride) {
  int lead = rank - t->rank;
  for (int i = 0; i < lead; i++) stride[i] = 0;
  for (int i = 0; i < t->rank; i++)
    stride[lead + i] = t->shape[i] == 1 && shape[lead + i] != 1 ? 0 : t->stride[i];
}

int64_t flat_offset(const Tensor *t, int64_t flat) {
  if (t->contiguous) return flat;
  int64_t off = 0;
  for (int i = t->rank - 1; i >= 0; i--) {
    int64_t n = t->shape[i];
    off += flat % n * t->stride[i];
    flat /= n;
  }
  return off;
}

void loop_init(Loop *l, int rank, const int64_t *shape, int ops, const int64_t *const *strides) {
  l->ops = ops;
  int r = 0;
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 1) continue;
    bool merge = r > 0;
    for (int k = 0; merge && k < ops; k++) merge = l->s[k][r - 1] == strides[k][i] * shape[i];
    if (merge) {
      l->n[r - 1] *= shape[i];
      for (int k = 0; k < ops; k++) l->s[k][r - 1] = strides[k][i];
      continue;
    }
    l->n[r] = shape[i];
    for (int k = 0; k < ops; k++) l->s[k][r] = strides[k][i];
    r++;
  }
  if (r == 0) {
    l->n[0] = 1;
    for (int k = 0; k < ops; k++) l->s[k][0] = 1;
    r = 1;
  }
  l->rank = r;
  for (int i = 0; i < r; i++) l->ix[i] = 0;
  for (int k = 0; k < ops; k++) l->off[k] = 0;
}

int64_t loop_runs(const Loop *l) {
  int64_t runs = 1;
  for (int i = 0; i + 1 < l->rank; i++) runs *= l->n[i];
  return l->n[l->rank - 1] == 0 ? 0 : runs;
}

void loop_seek(Loop *l, int64_t r) {
  for (int k = 0; k < l->ops; k++) l->off[k] = 0;
  for (int i = l->rank - 2; i >= 0; i--) {
    l->ix[i] = r % l->n[i];
    r /= l->n[i];
    for (int k = 0; k < l->ops; k++) l->off[k] += l->ix[i] * l->s[k][i];
  }
}

void loop_next(Loop *l) {
  for (int i = l->rank - 2; i >= 0; i--) {
    l->ix[i]++;
    for (int k = 0; k < l->ops; k++) l->off[k] += l->s[k][i];
    if (l->ix[i] < l->n[i]) return;
    l->ix[i] = 0;
    for (int k = 0; k < l->ops; k++) l->off[k] -= l->n[i] * l->s[k][i];
  }
}

#define COPY_RUN(T)                                                           \
  do {                                                                        \
    const T *src = (const T *)from_run;                                       \
    T *dst = (T *)out;                                                        \
    for (int64_t i = 0; i < n; i++) dst[i] = src[i * step];                   \
  } while (0)

static void copy_run(char *out, const char *from_run, int64_t n, int64_t step, size_t size) {
  if (step == 1) { memcpy(out, from_run, (size_t)n * size); return; }
  switch (size) {
    case 1: COPY_RUN(uint8_t); break;
    case 4: COPY_RUN(uint32_t); break;
    case 8: COPY_RUN(uint64_t); break;
    default: COPY_RUN(c128); break;
  }
}

/* Plane transposed in tiles, so that both sides stay in cache; the inner loop
 * follows the source, whose columns are usually the contiguous direction.     */
enum { TILE_I = 8, TILE_J = 64 };
#define COPY_TILED(T)                                                         \
  do {                                                                        \
    const T *src = (const T *)from;                                           \
    T *dst = (T *)out;                                                        \
    for (int64_t j0 = 0; j0 < cols; j0 += TILE_J)                             \
      for (int64_t i0 = 0; i0 < rows; i0 += TILE_I) {                         \
        int64_t i1 = i0 + TILE_I < rows ? i0 + TILE_I : rows;                 \
        int64_t j1 = j0 + TILE_J < cols ? j0 + TILE_J : cols;                 \
        for (int64_t j = j0; j < j1; j++)                                     \
          for (int64_t i = i0; i < i1; i++) dst[i * cols + j] = src[i * si + j * sj]; \
      }                                                                       \
  } while (0)

static void copy_plane(char *out, const char *from, int64_t rows, int64_t cols, int64_t si,
                       int64_t sj, size_t size) {
  switch (size) {
    case 1: COPY_TILED(uint8_t); break;
    case 4: COPY_TILED(uint32_t); break;
    case 8: COPY_TILED(uint64_t); break;
    default: COPY_TILED(c128); break;
  }
}

void copy_strided(const Tensor *from, char *out) {
  size_t size = dtype_size[from->dtype];
  if (from->contiguous) {
    if (from->size) memcpy(out, from->data, (size_t)from->size * size);
    return;
  }
  Loop l;
  const int64_t *strides[] = {from->stride};
  loop_init(&l, from->rank, from->shape, 1, strides);
  int64_t runs = loop_runs(&l), n = loop_inner(&l), step = loop_step(&l, 0);
  bool planes = l.rank >= 2 && step != 1 && n >= 8 && l.n[l.rank - 2] >= 8;
  if (!planes) {
    for (int64_t r = 0; r < runs; r++, loop_next(&l), out += (size_t)n * size)
      copy_run(out, from->data + l.off[0] * (int64_t)size, n, step, size);
    return;
  }
  int64_t rows = l.n[l.rank - 2], si = l.s[0][l.rank - 2];
  for (int64_t r = 0; r < runs; r += rows) {
    loop_seek(&l, r);
    copy_plane(out, from->data + l.off[0] * (int64_t)size, rows, n, si, step, size);
    out += (size_t)(rows * n) * size;
  }
}
