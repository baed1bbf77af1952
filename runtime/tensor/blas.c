/* blas.c: opening OpenBLAS.
 *
 * When it is loaded it makes a pool with a thread for every processor it may
 * use, of which we never use one: with the loading thread held on one processor
 * for that moment it makes none (measured on two processors: 2.2 ms instead of
 * 17 ms).  The usual way, OPENBLAS_NUM_THREADS, would change the environment
 * under the host's other threads.
 */
#include "runtime/tensor/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static Blas table;
static char failure[256]; /* why there is no library, or empty */
static pthread_once_t opened = PTHREAD_ONCE_INIT;

static void *open_library(void) {
  static const char *const names[] = {"libopenblas.so.0", "libopenblas.so", "libopenblas.0.dylib"};
  void *lib = NULL;
#ifdef __linux__
  cpu_set_t before, one;
  int cpu = sched_getcpu();
  bool held = cpu >= 0 && cpu < CPU_SETSIZE && sched_getaffinity(0, sizeof before, &before) == 0;
  if (held) {
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    held = sched_setaffinity(0, sizeof one, &one) == 0;
  }
#endif
  for (int i = 0; i < 3 && !lib; i++) {
    lib = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    const char *why = lib ? NULL : dlerror();
    if (i == 0 && !lib) snprintf(failure, sizeof failure, "%s", why ? why : "not found");
  }
#ifdef __linux__
  if (held) sched_setaffinity(0, sizeof before, &before);
#endif
  return lib;
}

static void *find(void *lib, const char *name) {
  void *p = dlsym(lib, name);
  if (!p && !failure[0]) snprintf(failure, sizeof failure, "it has no function %s", name);
  return p;
}

static void load(void) {
  void *lib = open_library();
  if (!lib) return;
  failure[0] = 0;
#define LOAD(to, name)                                                        \
  do {                                                                        \
    void *p_ = find(lib, name);                                               \
    memcpy(&to, &p_, sizeof p_);                                              \
  } while (0)
  LOAD(table.sgemm, "cblas_sgemm");
  LOAD(table.dgemm, "cblas_dgemm");
  LOAD(table.cgemm, "cblas_cgemm");
  LOAD(table.zgemm, "cblas_zgemm");
  void (*threads)(int);
  char *(*core)(void);
  LOAD(threads, "openblas_set_num_threads");
  LOAD(core, "openblas_get_corename");
#undef LOAD
  if (failure[0]) return;
  threads(1); /* the host may have loaded it before us */
  table.core = core();
}

RtStatus blas_open(Rt *rt) {
  pthread_once(&opened, load);
  if (!failure[0]) return RT_OK;
  rt_fail(rt, RT_ERROR, "matrix products need OpenBLAS: %s", failure);
  rt_help(rt, "install it, on Debian with `apt install libopenblas0-pthread`");
  return RT_ERROR;
}

const Blas *blas(void) { return &table; }

const char *blas_core(void) {
  pthread_once(&opened, load);
  return failure[0] ? NULL : table.core;
}
