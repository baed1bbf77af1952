/* context.c: opening and closing an Rt, errors, the clock, interruption.
 *
 * An error is text in a fixed buffer so that reporting "out of memory" needs
 * no memory.
 */
#include "runtime/base/base.h"
#include "runtime/base/parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

Rt *rt_open(void) {
  Rt *rt = calloc(1, sizeof *rt);
  if (!rt) return NULL;
  atomic_init(&rt->interrupted, 0);
  rt->threads = parallel_processors();
  rt->scope = &rt->root_scope;
  return rt;
}

void rt_close(Rt *rt) {
  if (!rt) return;
  rt_trim(rt);
  free(rt);
}

double rt_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A cut in the middle of a UTF-8 sequence would make the message invalid. */
static void end_on_character(char *s, size_t cap, int written) {
  if (written < 0) { s[0] = 0; return; }
  if ((size_t)written < cap) return;
  size_t n = cap - 1;
  size_t start = n;
  while (start > 0 && n - start < 4 && ((unsigned char)s[start - 1] & 0xC0) == 0x80) start--;
  if (start == 0) return;
  unsigned char lead = (unsigned char)s[start - 1];
  size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (need > 1 && n - (start - 1) < need) s[start - 1] = 0;
}

RtStatus rt_fail(Rt *rt, RtStatus status, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char text[sizeof rt->error.message];  /* arguments may point into the old message */
  int n = vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  end_on_character(text, sizeof text, n);
  memcpy(rt->error.message, text, sizeof text);
  rt->error.status = status;
  rt->error.help[0] = 0;
  return status;
}

void rt_help(Rt *rt, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(rt->error.help, sizeof rt->error.help, fmt, ap);
  va_end(ap);
  end_on_character(rt->error.help, sizeof rt->error.help, n);
}

void rt_interrupt(Rt *rt) {
  atomic_store_explicit(&rt->interrupted, 1, memory_order_relaxed);
}

RtStatus rt_poll(Rt *rt) {
  if (atomic_load_explicit(&rt->interrupted, memory_order_relaxed))
    return rt_fail(rt, RT_INTERRUPTED, "interrupted");
  if (rt->step_limit && rt->steps > rt->step_limit)
    return rt_fail(rt, RT_LIMIT, "the limit of %llu steps is used up",
                   (unsigned long long)rt->step_limit);
  if (rt->deadline != 0 && rt_now() > rt->deadline)
    return rt_fail(rt, RT_LIMIT, "the time limit is used up");
  return RT_OK;
}

RtStatus rt_spend(Rt *rt, double seconds) {
  RtPurse *p = rt->purse;
  if (!p) return RT_OK;
  long long us = seconds < 9e12 ? (long long)(seconds * 1e6 + (seconds < 0 ? -0.5 : 0.5)) : INT64_MAX / 4;
  long long before = atomic_fetch_add(&p->spent, us);
  if (us <= 0 || before + us <= p->limit) return RT_OK;
  atomic_fetch_sub(&p->spent, us);
  rt_fail(rt, RT_BUDGET, "the budget of %g s of machine time has %g s left, this would take %g s",
          (double)p->limit * 1e-6, (double)(p->limit - before) * 1e-6, seconds);
  rt_help(rt, "fewer reads or runs, or a larger `qpu_time`");
  return RT_BUDGET;
}
