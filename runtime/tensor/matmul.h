/* matmul.h: raw matrix products for fused kernels inside the runtime. */
#ifndef QA_TENSOR_MATMUL_H
#define QA_TENSOR_MATMUL_H
#include "runtime/tensor/tensor.h"

/* C (m, n), rows ldc apart, = op(A) op(B), row-major; a transposed operand is
 * stored (k, m) or (n, k).  Dims below 2^31, k >= 1.  Parallel over fixed
 * blocks of rows.  An i64 product that overflows is an error.                 */
RtStatus matmul_raw(Rt *rt, DType d, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                    bool ta, const void *b, int64_t ldb, bool tb, void *c, int64_t ldc);

#endif
