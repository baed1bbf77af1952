/* parallel.c: the pool of threads behind parallel_for.
 *
 * Threads take grains of the loop from a shared counter.  The caller works like
 * the others and, when the counter is used up, waits only for threads that are
 * in the middle of a grain: one that the system has not woken yet is left out.
 * So a loop never takes longer than on one thread by more than a grain, also
 * when other processes keep the processors busy.  Waiting spins for some
 * microseconds and then sleeps.
 *
 * After fork() the child has no pool and makes its own when it needs one.
 */
#include "runtime/base/parallel.h"
#include "runtime/base/base.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define POOL_MAX 256
#define SPIN 20e-6 /* seconds before a waiting thread sleeps                   */

typedef struct {
  ParallelFn fn;
  void *job;
  int64_t items, grain;
  _Atomic int64_t next; /* first item nobody has taken                        */
  atomic_int bad;
} Region;

/* `lock` guards what is not atomic.  `serial` counts loops, so that a thread
 * takes part in each at most once.                                            */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  Region *region; /* open for more threads, or NULL                          */
  int threads, sleeping;
  int lanes, joined; /* of the open loop: how many it wants and has           */
  atomic_uint active; /* threads inside the loop, besides the caller           */
  atomic_uint serial;
  atomic_bool taken;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Waits a little while *flag == value (equal) or != value: sleeping and waking
 * costs a system call and some 50 us, but on a busy machine whoever spins takes
 * the processor from the thread it waits for.                                 */
static void spin(atomic_uint *flag, unsigned value, bool equal) {
  double end = rt_now() + SPIN;
  while ((atomic_load_explicit(flag, memory_order_acquire) == value) == equal && rt_now() < end)
    for (int i = 0; i < 8; i++) pause_cpu();
}

static void run_grains(Region *r, int lane) {
  int bad = 0;
  for (;;) {
    int64_t first = atomic_fetch_add_explicit(&r->next, r->grain, memory_order_relaxed);
    if (first >= r->items) break;
    int64_t end = r->items - first < r->grain ? r->items : first + r->grain;
    bad |= r->fn(r->job, first, end, lane);
  }
  if (bad) atomic_fetch_or_explicit(&r->bad, bad, memory_order_relaxed);
}

static void *worker(void *unused) {
  unsigned seen = 0;
  for (;;) {
    spin(&pool.serial, seen, true);
    pthread_mutex_lock(&pool.lock);
    while (atomic_load_explicit(&pool.serial, memory_order_relaxed) == seen) {
      pool.sleeping++;
      pthread_cond_wait(&pool.work, &pool.lock);
      pool.sleeping--;
    }
    seen = atomic_load_explicit(&pool.serial, memory_order_relaxed);
    Region *r = pool.joined < pool.lanes ? pool.region : NULL;
    int lane = 0;
    if (r) {
      lane = pool.joined++;
      atomic_fetch_add_explicit(&pool.active, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&pool.lock);
    if (!r) continue;
    run_grains(r, lane);
    /* The last one may find the caller asleep. */
    pthread_mutex_lock(&pool.lock);
    if (atomic_fetch_sub_explicit(&pool.active, 1, memory_order_release) == 1)
      pthread_cond_signal(&pool.done);
    pthread_mutex_unlock(&pool.lock);
  }
  return unused;
}

/* The forking thread is the child's only one: locks that others held would
 * never open again.                                                           */
static void forget_threads(void) {
  pthread_mutex_init(&pool.lock, NULL);
  pthread_cond_init(&pool.work, NULL);
  pthread_cond_init(&pool.done, NULL);
  pool.region = NULL;
  pool.threads = pool.sleeping = 0;
  atomic_store(&pool.active, 0);
  atomic_store(&pool.serial, 0);
  atomic_store(&pool.taken, false);
}

static void watch_fork(void) { pthread_atfork(NULL, NULL, forget_threads); }

/* Called with the lock held.  Signals stay with the host's own threads.  Fewer
 * threads than wanted only take longer.                                       */
static void start_threads(int wanted) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_fork);
  if (pool.threads >= wanted) return;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  pthread_t t;
  while (pool.threads < wanted && pthread_create(&t, &detached, worker, NULL) == 0) pool.threads++;
  pthread_attr_destroy(&detached);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void open_region(Region *r, int lanes) {
  pthread_mutex_lock(&pool.lock);
  start_threads(lanes - 1);
  pool.region = r;
  pool.lanes = lanes;
  pool.joined = 1;
  atomic_fetch_add_explicit(&pool.serial, 1, memory_order_relaxed);
  int wake = pool.sleeping < lanes - 1 ? pool.sleeping : lanes - 1;
  pthread_mutex_unlock(&pool.lock);
  for (int i = 0; i < wake; i++) pthread_cond_signal(&pool.work);
}

static void close_region(void) {
  pthread_mutex_lock(&pool.lock);
  pool.region = NULL;
  pthread_mutex_unlock(&pool.lock);
  if (atomic_load_explicit(&pool.active, memory_order_acquire)) spin(&pool.active, 0, false);
  if (!atomic_load_explicit(&pool.active, memory_order_acquire)) return;
  pthread_mutex_lock(&pool.lock);
  while (atomic_load_explicit(&pool.active, memory_order_acquire))
    pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
}

int parallel_for(int threads, int64_t items, int64_t grain, ParallelFn fn, void *job) {
  if (items <= 0) return 0;
  if (grain < 1) grain = 1;
  int64_t grains = (items + grain - 1) / grain;
  int lanes = threads > POOL_MAX ? POOL_MAX : threads;
  if (grains < lanes) lanes = (int)grains;
  if (lanes < 2 || atomic_exchange_explicit(&pool.taken, true, memory_order_acquire))
    return fn(job, 0, items, 0);
  Region r = {.fn = fn, .job = job, .items = items, .grain = grain};
  open_region(&r, lanes);
  run_grains(&r, 0);
  close_region();
  atomic_store_explicit(&pool.taken, false, memory_order_release);
  return atomic_load_explicit(&r.bad, memory_order_relaxed);
}

int parallel_processors(void) {
  long n = 0;
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
#endif
  if (n < 1) n = sysconf(_SC_NPROCESSORS_ONLN);
  /* Batch systems say with it what belongs to a job. */
  const char *said = getenv("OMP_NUM_THREADS");
  long limit = said ? strtol(said, NULL, 10) : 0;
  if (limit > 0 && limit < n) n = limit;
  return n < 1 ? 1 : n > INT_MAX ? INT_MAX : (int)n;
}
