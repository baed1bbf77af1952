/* sort.h: private: every real dtype is sorted through 64-bit keys.           */
#ifndef QA_TENSOR_SORT_H
#define QA_TENSOR_SORT_H
#include "runtime/tensor/tensor.h"

typedef struct { uint64_t key; int64_t at; } SortItem;

/* Order-preserving key: a < b exactly when key(a) < key(b); -0 and 0 share
 * one, every nan has the largest, in both directions.                        */
uint64_t sort_key(DType dt, const char *p, bool descending);
/* Stable; tmp has room for n items.  The result is in `items`. */
void sort_items(SortItem *items, SortItem *tmp, int64_t n);
RtStatus sort_check(Rt *rt, const char *what, const Tensor *t);
/* The axis as the innermost of three loops over a contiguous tensor. */
void axis_split(const Tensor *t, int axis, int64_t *outer, int64_t *n, int64_t *inner);
#endif
