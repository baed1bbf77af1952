/* product.h: general products with our own kernels (private to the runtime).
 *
 * C (m, n) = op(A) op(B) in f32 or f64, in blocks that stay in the caches; what
 * comes after a product (a bias, an activation) is done block by block while it
 * is there.  Parallel over blocks of C; an element's bits depend on k and the
 * machine's kernels alone.                                                     */
#ifndef QA_TENSOR_PRODUCT_H
#define QA_TENSOR_PRODUCT_H
#include "runtime/tensor/tensor.h"

/* Called once for each finished block of C, by any thread: rows [row, row + rows)
 * and columns [column, column + columns).                                      */
typedef void (*ProductFinish)(void *job, int64_t row, int64_t rows, int64_t column,
                              int64_t columns);

typedef struct {
  DType d;                  /* DT_F32 or DT_F64                                 */
  int64_t m, n, k;          /* any >= 0, below 2^31                             */
  const void *a, *b;        /* row-major; a transposed one is stored (k, m), (n, k) */
  int64_t lda, ldb;         /* between stored rows                              */
  bool ta, tb;
  void *c;                  /* overlaps neither A nor B                         */
  int64_t ldc;
  bool add;                 /* C += ...                                         */
  const void *bias;         /* n numbers added to each row, or NULL             */
  const void *times;        /* C is multiplied by it at the end, element by element; rows
                             * ldc apart as C's, or NULL                        */
  ProductFinish finish;     /* or NULL                                          */
  void *job;
} Product;

/* Bytes that product_on() needs for this product on so many threads. */
size_t product_scratch(const Product *p, int threads);
/* On up to `threads` threads, with that scratch (64-byte aligned; NULL when 0). */
void product_on(const Product *p, int threads, void *scratch);
/* On the context's threads, scratch from its pools. */
RtStatus product_run(Rt *rt, const Product *p);

#endif
