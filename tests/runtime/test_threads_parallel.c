/* test_threads_parallel.c: the pool of threads: every item once, lanes of one
 * thread each, loops inside loops and beside each other, after fork(); also run
 * under the thread sanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/parallel.h"

enum { LANES = 8 };

typedef struct {
  int64_t items, longest;
  unsigned char *seen;      /* plain memory: a second visit is a race */
  atomic_int inside[LANES]; /* threads in a lane                      */
  atomic_bool shared, out_of_range;
} Count;

static int visit(void *job, int64_t first, int64_t end, int lane) {
  Count *c = job;
  if (lane < 0 || lane >= LANES || first < 0 || end > c->items || first >= end ||
      (end - first > c->longest && end - first != c->items)) { /* or all, on one thread */
    atomic_store(&c->out_of_range, true);
    return 0;
  }
  if (atomic_fetch_add(&c->inside[lane], 1)) atomic_store(&c->shared, true);
  for (int64_t i = first; i < end; i++) c->seen[i]++;
  if (first % 16 == 0) nanosleep(&(struct timespec){0, 1000}, NULL); /* let others come */
  atomic_fetch_sub(&c->inside[lane], 1);
  return first == 0;
}

/* Whether a loop visits each of its items once. */
static bool loop_is_whole(int threads, int64_t items, int64_t grain) {
  Count c = {.items = items, .longest = threads > 1 && grain < items ? grain : items};
  c.seen = calloc((size_t)items + 1, 1);
  if (!c.seen) return false;
  int bad = parallel_for(threads, items, grain, visit, &c);
  bool ok = !atomic_load(&c.shared) && !atomic_load(&c.out_of_range);
  for (int64_t i = 0; i < items; i++) ok = ok && c.seen[i] == 1;
  ok = ok && bad == (items > 0);
  free(c.seen);
  return ok;
}

static void each_item_once(void **state) {
  (void)state;
  for (int threads = 0; threads <= LANES; threads++)
    for (int64_t items = 0; items < 70; items += 3)
      for (int64_t grain = 1; grain < 20; grain += 6)
        assert_true(loop_is_whole(threads, items, grain));
  for (int i = 0; i < 500; i++) assert_true(loop_is_whole(2 + i % 3, 64, 1 + i % 5));
}

/* ---- others take part --------------------------------------------------------------- */

static int sleepy(void *lanes, int64_t first, int64_t end, int lane) {
  atomic_int *in = lanes;
  atomic_fetch_add(&in[lane], 1);
  nanosleep(&(struct timespec){0, 1000000}, NULL);
  return 0;
}

static void several_lanes(void **state) {
  (void)state;
  atomic_int lanes[LANES] = {0};
  parallel_for(3, 100, 1, sleepy, lanes);
  int total = 0;
  for (int i = 0; i < LANES; i++) total += atomic_load(&lanes[i]);
  assert_int_equal(total, 100);
  for (int i = 0; i < LANES; i++) assert_int_equal(atomic_load(&lanes[i]) > 0, i < 3);
}

/* ---- a loop inside a loop runs on its own thread --------------------------------- */

typedef struct { pthread_t self; atomic_int *total; } Inner;

static int inner(void *job, int64_t first, int64_t end, int lane) {
  Inner *in = job;
  atomic_fetch_add(in->total, (int)(end - first));
  return lane != 0 || !pthread_equal(in->self, pthread_self());
}

static int outer(void *job, int64_t first, int64_t end, int lane) {
  int bad = 0;
  for (int64_t i = first; i < end; i++) {
    Inner in = {pthread_self(), job};
    bad |= parallel_for(4, 10, 1, inner, &in);
  }
  return bad;
}

static void nested(void **state) {
  (void)state;
  atomic_int total = 0;
  assert_int_equal(parallel_for(4, 50, 1, outer, &total), 0);
  assert_int_equal(atomic_load(&total), 500);
}

/* ---- several users at once --------------------------------------------------------- */

static void *user(void *ok) {
  for (int i = 0; i < 300; i++)
    if (!loop_is_whole(2 + i % 2, 100, 3)) *(bool *)ok = false;
  return NULL;
}

static void users_at_once(void **state) {
  (void)state;
  enum { USERS = 3 };
  pthread_t t[USERS];
  bool ok[USERS] = {true, true, true};
  for (int i = 0; i < USERS; i++) assert_int_equal(pthread_create(&t[i], NULL, user, &ok[i]), 0);
  for (int i = 0; i < USERS; i++) {
    pthread_join(t[i], NULL);
    assert_true(ok[i]);
  }
}

/* ---- fork ---------------------------------------------------------------------------- */

#ifndef __SANITIZE_THREAD__ /* it refuses threads in the child of a process that has some */
static void after_fork(void **state) {
  (void)state;
  assert_true(loop_is_whole(3, 100, 1));
  for (int i = 0; i < 5; i++) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
      alarm(30); /* a lost thread would leave the child waiting */
      bool ok = true;
      for (int k = 0; k < 50; k++) ok = ok && loop_is_whole(3, 100, 1);
      _exit(ok ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(loop_is_whole(3, 100, 1));
  }
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_item_once), cmocka_unit_test(several_lanes), cmocka_unit_test(nested),
      cmocka_unit_test(users_at_once),
#ifndef __SANITIZE_THREAD__
      cmocka_unit_test(after_fork),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
