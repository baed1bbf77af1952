/* exact.c: sample_exact(): the lowest states, proven. */
#include "runtime/binary/exact.h"

#include <stdio.h>

RtStatus sample_exact(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  const int64_t rows = a->reads > 0 ? a->reads : 1;
  *out = (Samples){0};
  if (p->n > EXACT_GRAY_MAX) {
    RtStatus st = rt_fail(rt, RT_ERROR, "%lld variables are too many to be solved exactly; at most %d",
                          (long long)p->n, EXACT_GRAY_MAX);
    rt_help(rt, "take temper() or tabu(), or fix variables first");
    return st;
  }
  RT_TRY(exact_gray(rt, p, a, rows, out));
  snprintf(out->note, sizeof out->note, "exact, all states");
  return RT_OK;
}
