/* common.h: what the files of this area share (private). */
#ifndef QA_LEARN_COMMON_H
#define QA_LEARN_COMMON_H
#include "runtime/grad/grad.h"
#include "runtime/learn/rows.h"
#include "runtime/tensor/kernels.h"

#define CREW_BLOCK_WORK 16384   /* elements of one parallel block             */
#define CREW_PARALLEL 32768     /* elements from which a parallel loop pays   */

/* Rows in one block: depends on the shape alone, so that sums per block have
 * the same bits on any number of threads.                                     */
static inline int64_t block_rows(int64_t n) {
  int64_t r = CREW_BLOCK_WORK / (n > 0 ? n : 1);
  return r > 0 ? r : 1;
}

typedef void (*BlockFn)(void *job, int64_t block, int64_t first, int64_t end);
/* Calls fn for every block of `per` items of `total`, in parallel when `work`
 * elements are worth it.                                                      */
void for_blocks(Rt *rt, int64_t total, int64_t per, int64_t work, BlockFn fn, void *job);

/* f32 or f64, else an error that names function and parameter. */
RtStatus need_float(Rt *rt, const char *fn, const char *what, const Tensor *t);
/* Same dtype as `like`. */
RtStatus need_same(Rt *rt, const char *fn, const char *what, const Tensor *t, const Tensor *like);
/* A vector of length n and like's dtype (NULL passes). */
RtStatus need_vector(Rt *rt, const char *fn, const char *what, const Tensor *t, int64_t n,
                     const Tensor *like);
static inline int64_t last_extent(const Tensor *t) { return t->rank ? t->shape[t->rank - 1] : 1; }

#endif
