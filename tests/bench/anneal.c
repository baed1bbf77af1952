/* anneal.c: one sampler on one problem file, one core, CPU time of whole calls.
 *
 *   anneal rate FILE SAMPLER READS SWEEPS HOT COLD VALUE    calls of READS reads: updates per ns of
 *       the fastest, and over all calls mean energy, its error, reads that reached VALUE, reads
 *   anneal target FILE SAMPLER READS SWEEPS HOT COLD VALUE  a call a seed, VALUE as its target:
 *       calls that reached it, median and 99 % of the seconds
 *
 * FILE as problem_read takes it; VALUE in the file's own sense; HOT and COLD 0: the sampler's
 * choice.  CALLS in the environment: how many.  One line of numbers comes out.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/binary/problem.h"
#include "runtime/binary/sampler.h"

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static int complain(const Rt *rt) {
  fprintf(stderr, "%s\n", rt->error.message);
  return 1;
}

/* Calls with the arguments given; *target is an energy. */
static int measure(Rt *rt, const Ising *p, const SamplerKind *k, SamplerArgs *a, double target,
                   int calls, bool rate) {
  double *seconds = calloc((size_t)calls, sizeof *seconds);
  double sum = 0, squares = 0, rows = 0, updates = 0;
  int hits = 0;
  for (int c = 0; c < calls; c++) {
    Samples s;
    a->rng = rng_seeded(1000 + c);
    if (!rate) a->target = target;
    double began = cpu();
    if (k->run(rt, p, a, &s)) return complain(rt);
    seconds[c] = cpu() - began;
    updates = s.updates;
    for (int64_t r = 0; rate && r < s.rows; r++) {
      sum += s.energy[r];
      squares += s.energy[r] * s.energy[r];
      hits += s.energy[r] <= target;
    }
    rows += (double)s.rows;
    if (!rate) hits += s.energy[samples_best(&s)] <= target;
    samples_free(rt, &s);
  }
  qsort(seconds, (size_t)calls, sizeof *seconds, ascending);
  double mean = sum / rows, last = seconds[(99 * calls + 99) / 100 - 1];
  if (rate)
    printf("%.4f %.3f %.3f %d %.0f\n", updates / seconds[0] * 1e-9, mean,
           sqrt(fmax(squares / rows - mean * mean, 0) / rows), hits, rows);
  else
    printf("%d %d %.6f %.6f\n", hits, calls, seconds[calls / 2], last);
  free(seconds);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 9) {
    fprintf(stderr, "anneal rate|target FILE SAMPLER READS SWEEPS HOT COLD VALUE\n");
    return 2;
  }
  Rt *rt = rt_open();
  Problem problem;
  ProblemSense sense;
  Reduced r;
  if (!rt || problem_read(rt, argv[2], -1, &problem, &sense) || problem_reduce(rt, &problem, &r))
    return complain(rt);
  const SamplerKind *k = sampler_find(argv[3]);
  if (!k) return fprintf(stderr, "no sampler %s\n", argv[3]), 2;
  SamplerArgs a;
  sampler_args_init(&a);
  a.reads = atoll(argv[4]);
  a.sweeps = atoll(argv[5]);
  if (atof(argv[6]) > 0) a.beta_hot = atof(argv[6]);
  if (atof(argv[7]) > 0) a.beta_cold = atof(argv[7]);
  /* objective = sign (energy - shift) factor */
  double target = atof(argv[8]) / (sense.sign * sense.factor) + sense.shift;
  const char *calls = getenv("CALLS");
  target += 1e-9 * (1 + fabs(target));
  int status = measure(rt, &r.ising, k, &a, target, calls ? atoi(calls) : 5, !strcmp(argv[1], "rate"));
  reduced_free(rt, &r);
  problem_free(rt, &problem);
  rt_close(rt);
  return status;
}
