/* elementwise.h: what the elementwise files share (private).                  */
#ifndef QA_TENSOR_ELEMENTWISE_H
#define QA_TENSOR_ELEMENTWISE_H
#include "runtime/tensor/kernels.h"
#include "runtime/tensor/loop.h"

/* Turns a kernel's report into an error, drops `out`, gives NULL. */
Tensor *kernel_failed(Rt *rt, const char *name, int bad, Tensor *out);

/* May the result of this dtype and shape be written into t? */
static inline bool can_reuse(const Tensor *t, int dt, int rank, const int64_t *shape) {
  if (!tensor_unique(t) || !t->contiguous || t->dtype != dt || t->rank != rank) return false;
  for (int i = 0; i < rank; i++)
    if (t->shape[i] != shape[i]) return false;
  return true;
}

static inline Tensor *reuse_tensor(Tensor *t) {
  t->node = 0;   /* other numbers than those that were recorded */
  return tensor_ref(t);
}

#endif
