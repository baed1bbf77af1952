/* reduce.h: what the reduction files share (private). */
#ifndef QA_TENSOR_REDUCE_H
#define QA_TENSOR_REDUCE_H
#include "runtime/tensor/kernels.h"

/* Long sums are made of pieces of this many elements, added in order. */
#define SUM_PIECE 65536

/* *o = reduction of x[0..n); KERNEL_ bits.  n >= 1 for extrema and means. */
typedef int (*ReduceRun)(int64_t n, const void *x, void *o);
extern const ReduceRun reduce_runs[RED_COUNT][DT_COUNT];

#endif
