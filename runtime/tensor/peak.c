/* peak.c: the measured peak of one core, against which speeds are stated. */
#include "runtime/tensor/peak.h"
#include "runtime/tensor/gemm_levels.h"
#include "runtime/tensor/kernels.h"

#include <pthread.h>
#include <time.h>

static double single, twice;   /* f32, f64 */
static pthread_once_t single_once = PTHREAD_ONCE_INIT, twice_once = PTHREAD_ONCE_INIT;

static double thread_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of short runs: what another process takes away, or a clock that has
 * yet to rise, only makes a run longer.                                         */
static double measure(double (*spin)(int64_t rounds)) {
  double best = 0;
  for (int i = 0; i < 30; i++) {
    double start = thread_seconds(), flops = spin(20000), took = thread_seconds() - start;
    if (took > 0 && flops / took > best) best = flops / took;
  }
  return best;
}

static void measure_single(void) { single = measure(gemm_kernels()->spin_f32); }
static void measure_twice(void) { twice = measure(gemm_kernels()->spin_f64); }

double peak_flops(DType d) {
  bool f64 = d == DT_F64;
  pthread_once(f64 ? &twice_once : &single_once, f64 ? measure_twice : measure_single);
  return f64 ? twice : single;
}

const char *peak_level(void) { return kernels()->level; }
