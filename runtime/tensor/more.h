/* more.h: sorting, cumulative sums, order statistics, sets. Axis arguments
 * may be negative; results are new references; errors in rt->error.         */
#ifndef QA_TENSOR_MORE_H
#define QA_TENSOR_MORE_H
#include "runtime/tensor/tensor.h"

Tensor *tensor_sort(Rt *rt, Tensor *a, int axis, bool descending);      /* stable, nan last */
Tensor *tensor_argsort(Rt *rt, Tensor *a, int axis, bool descending);   /* i64 */
Tensor *tensor_cumsum(Rt *rt, Tensor *a, int axis);
Tensor *tensor_quantile(Rt *rt, Tensor *a, Tensor *q, int axis, bool all); /* linear interpolation; all: over every element */
/* lo or hi nan: the range of the data.  The last bin is closed; values outside and nan are not counted. */
Tensor *tensor_histogram(Rt *rt, Tensor *a, int64_t bins, double lo, double hi, Tensor **edges);
Tensor *tensor_distinct(Rt *rt, Tensor *a, Tensor **counts);              /* sorted, flat; counts may be NULL */
Tensor *tensor_nonzero(Rt *rt, Tensor *mask);                           /* (count, rank) i64 */
/* out[ix[r], :] += rows[r, :] into zeros of n rows */
Tensor *tensor_scatter_add(Rt *rt, int64_t n, Tensor *ix, Tensor *rows);
/* Text as print() shows it: nested brackets, columns aligned, at most eight
 * digits; above max_elements the corners, followed by `# f64 (1000, 1000)`.  */
void tensor_print(const Tensor *t, Buf *out, int64_t max_elements);
/* As the REPL shows it: dtype and shape always follow. */
void tensor_print_kind(const Tensor *t, Buf *out, int64_t max_elements);
#endif
