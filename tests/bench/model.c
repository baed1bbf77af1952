/* model.c: building a large quadratic model: terms appended one by one in no order,
 * merged, made into an Ising model.  CPU seconds of the best of three runs, and the
 * most memory in use.
 *
 * model [variables] [terms]                                                     */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/binary/problem.h"

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t state = 1;
static uint32_t below(uint32_t n) {
  state = state * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)((state >> 32) * n >> 32);
}

static int fail(Rt *rt) {
  fprintf(stderr, "%s\n", rt->error.message);
  return 1;
}

/* 0: in the order of a comprehension (sorted), 1: at random */
static int run(Rt *rt, int64_t n, int64_t m, int random, double out[4]) {
  Problem p;
  Reduced r;
  int64_t first;
  problem_init(&p);
  if (vars_add(rt, &p.vars, "b", VAR_BINARY, 1, &n, &first)) return fail(rt);
  double t0 = cpu();
  for (int32_t i = 0; i < n; i++)
    if (poly_add(rt, &p.objective, 0.5, 1, &i)) return fail(rt);
  for (int64_t k = n; k < m; k++) {
    int32_t u = (int32_t)(random ? below((uint32_t)n) : k / 9 % n), v;
    do v = (int32_t)below((uint32_t)n);
    while (v == u);
    if (poly_add(rt, &p.objective, 1 + (double)(k % 3), 2, (int32_t[]){u, v})) return fail(rt);
  }
  double t1 = cpu();
  if (poly_merge(rt, &p.objective, &p.vars)) return fail(rt);
  double t2 = cpu();
  if (problem_reduce(rt, &p, &r)) return fail(rt);
  double t3 = cpu();
  out[0] = t1 - t0;
  out[1] = t2 - t1;
  out[2] = t3 - t2;
  out[3] = t3 - t0;
  reduced_free(rt, &r);
  problem_free(rt, &p);
  return 0;
}

int main(int argc, char **argv) {
  const int64_t n = argc > 1 ? atoll(argv[1]) : 1000000, m = argc > 2 ? atoll(argv[2]) : 10000000;
  for (int random = 0; random < 2; random++) {
    double best[4] = {0}, t[4];
    size_t peak = 0;
    for (int i = 0; i < 3; i++) {
      Rt *rt = rt_open();
      if (!rt || run(rt, n, m, random, t)) return 1;
      peak = rt->peak;
      rt_close(rt);
      for (int k = 0; k < 4; k++)
        if (!i || t[k] < best[k]) best[k] = t[k];
    }
    printf(
        "%s, %lld variables, %lld terms: append %.2f s, merge %.2f s, to Ising %.2f s, all %.2f s;"
        " at most %.0f MB\n",
        random ? "random order" : "by rows", (long long)n, (long long)m, best[0], best[1], best[2],
        best[3], (double)peak / 1e6);
  }
  return 0;
}
