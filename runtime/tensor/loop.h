/* loop.h: walking several strided operands over one shape (private to
 * runtime/tensor).
 *
 * Axes of extent 1 vanish and neighbours that every operand can walk as one
 * are merged, so that contiguous work is a single inner loop.
 */
#ifndef QA_TENSOR_LOOP_H
#define QA_TENSOR_LOOP_H
#include "runtime/tensor/tensor.h"

#define LOOP_MAX_OPS 4

typedef struct {
  int rank, ops;                        /* rank >= 1 after loop_init          */
  int64_t n[TENSOR_MAX_RANK];           /* extents, innermost last            */
  int64_t s[LOOP_MAX_OPS][TENSOR_MAX_RANK]; /* element strides                */
  int64_t ix[TENSOR_MAX_RANK];          /* position of the outer axes         */
  int64_t off[LOOP_MAX_OPS];            /* element offsets at that position   */
} Loop;

/* strides[k] belongs to operand k and has `rank` entries. */
void loop_init(Loop *l, int rank, const int64_t *shape, int ops, const int64_t *const *strides);
/* Number of inner runs, each of l->n[l->rank - 1] elements. */
int64_t loop_runs(const Loop *l);
/* Moves to inner run `r` directly (for parallel blocks). */
void loop_seek(Loop *l, int64_t r);
/* Steps to the next inner run. */
void loop_next(Loop *l);
static inline int64_t loop_inner(const Loop *l) { return l->n[l->rank - 1]; }
static inline int64_t loop_step(const Loop *l, int op) { return l->s[op][l->rank - 1]; }

/* Row-major strides of a shape. */
void row_major(int rank, const int64_t *shape, int64_t *stride);
/* Strides of `t` seen as `shape` (rank >= t->rank), 0 where it is repeated. */
void broadcast_strides(const Tensor *t, int rank, const int64_t *shape, int64_t *stride);
/* Copies n runs of equal dtype: out row-major. */
void copy_strided(const Tensor *from, char *out);
/* Element offset of row-major position `flat`. */
int64_t flat_offset(const Tensor *t, int64_t flat);

#endif
