/* parallel.h: loops over independent items on several threads.
 *
 * One pool of threads serves the whole process; it is created on first use and
 * serves one loop at a time.  A loop that finds it taken (another interpreter's,
 * or one inside another) runs on the calling thread alone.  Whoever asks decides
 * how the work is cut into items from its size alone, never from the number of
 * threads, so that results have the same bits on any number of them.
 */
#ifndef QA_BASE_PARALLEL_H
#define QA_BASE_PARALLEL_H
#include <stdint.h>

/* Items [first, end) of a loop.  `lane` is 0 .. threads-1 and belongs to one
 * thread for the length of the loop: index scratch with it.  Returns bits that
 * say what went wrong, 0 when nothing did.  It must not use the context.      */
typedef int (*ParallelFn)(void *job, int64_t first, int64_t end, int lane);

/* Runs fn over items 0 .. items-1 on up to `threads` threads, `grain` items at
 * a time; the bits of all calls or-ed together.  One call over all items when
 * threads < 2, one grain holds them or the pool is taken.                     */
int parallel_for(int threads, int64_t items, int64_t grain, ParallelFn fn, void *job);

/* Processors this process may use, or OMP_NUM_THREADS where that is smaller. */
int parallel_processors(void);

#endif
