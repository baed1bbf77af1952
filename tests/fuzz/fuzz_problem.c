/* fuzz_problem.c: readers of problem files on arbitrary bytes, under a memory limit.
 * The first byte picks the format; what was read is written and read again.     */
#include <stdlib.h>

#include "runtime/binary/problem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(Rt *rt, Problem *p, ProblemSense s) {
  Problem q;
  ProblemSense t;
  Buf b = {0};
  if (problem_encode(rt, (int)s.format, p, &b) == RT_OK) {
    RtStatus st = problem_decode(rt, b.data, b.len, "again", (int)s.format, &q, &t);
    if (st == RT_ERROR || st == RT_BACKEND) abort();
    if (!st && (q.vars.n != p->vars.n || q.objective.two.n != p->objective.two.n)) abort();
    problem_free(rt, &q);
  }
  buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Rt *rt = rt_open();
  if (!rt || size == 0) {
    if (rt) rt_close(rt);
    return 0;
  }
  rt->limit = 16 << 20;
  char *copy = malloc(size);   /* exact, so that a read past the end is seen */
  if (copy) {
    Problem p;
    ProblemSense s;
    for (size_t i = 1; i < size; i++) copy[i - 1] = (char)data[i];
    if (!problem_decode(rt, copy, size - 1, "fuzz", data[0] % (FILE_FORMATS + 1) - 1, &p, &s))
      again(rt, &p, s);
    problem_free(rt, &p);
    free(copy);
  }
  rt_trim(rt);
  if (rt->bytes != 0) abort(); /* a leak */
  rt_close(rt);
  return 0;
}
