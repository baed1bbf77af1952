/* index_plan.h: private to indexing: an index expression worked out against a
 * tensor: which elements it names, in which order of axes.
 *
 * The axes left by `:`, slices and single positions form `rest`.  Index
 * tensors (and, beside them, single positions) broadcast together to shape
 * `b_shape`; `offsets` has one storage offset for each of its elements.  The
 * b axes stand after the first `before` axes of rest, as in NumPy.           */
#ifndef QA_TENSOR_INDEX_PLAN_H
#define QA_TENSOR_INDEX_PLAN_H
#include "runtime/tensor/tensor.h"

typedef struct {
  int rank;
  int64_t shape[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK];
  int64_t offset;
  bool advanced;
  int before;
  int b_rank;
  int64_t b_shape[TENSOR_MAX_RANK];
  int64_t b_count;
  int64_t *offsets;      /* b_count of them; NULL when not advanced            */
} IndexPlan;

RtStatus index_plan(Rt *rt, const Tensor *t, int n, const Index *ix, IndexPlan *p);
void index_plan_free(Rt *rt, IndexPlan *p);
/* The shape of t[ix]. */
RtStatus index_plan_shape(Rt *rt, const IndexPlan *p, int *rank, int64_t *shape);
/* A single position, negative from the end: error naming axis and extent. */
RtStatus index_position(Rt *rt, int64_t at, int axis, int64_t extent, int64_t *out);

/* What happens to each pair (element of the tensor, element of the value). */
typedef enum { MOVE_READ, MOVE_WRITE, MOVE_ADD } IndexMove;
/* Walks the named elements of `base` (its data pointer) beside `value`, whose
 * axes are those of t[ix] with strides `vs` (0 where broadcast); over the b
 * axes these must step as one axis would.  False: an i64 sum overflowed.     */
bool index_move(const IndexPlan *p, IndexMove move, DType dt, char *base, char *value,
                const int64_t *vs, int threads);
/* value as dtype dt, contiguous or a view: an error when dt cannot hold it.
 * New reference.                                                             */
Tensor *index_store_cast(Rt *rt, Tensor *value, DType dt);
#endif
