/* experiment_jobs.c: worker processes.
 *
 * The parent forks after the statements above all levels have run, so workers
 * share those values.  All walk the same settings and claim what they compute
 * through the store; nobody hands out work.  A worker that fails or is killed
 * only leaves runs missing: the parent computes them afterwards and so meets
 * a script's error itself, with its place and trace.
 */
#include "lang/blocks/experiment.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lang/vm/image.h"

static _Noreturn void worker(Experiment *x, pid_t parent, int threads) {
  x->worker = true;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing written can be half a run */
  if (getppid() != parent) _exit(1);
  vm_rt(x->vm)->threads = threads;
  vm_hide_progress(x->vm);
  int rc = store_forked(x->store) ? 1 : experiment_pass(x, false);
  fflush(stdout);
  _exit(rc ? 1 : 0); /* the parent looks at the store, not at this */
}

static int start(Experiment *x, pid_t *pids, int jobs) {
  int threads = vm_rt(x->vm)->threads / jobs, n = 0;
  pid_t self = getpid();
  fflush(NULL); /* buffered text must not be written twice */
  for (; n < jobs; n++) {
    pids[n] = fork();
    if (pids[n] == 0) worker(x, self, threads > 0 ? threads : 1);
    if (pids[n] < 0) break;
  }
  return n;
}

static int reap(pid_t *pids, int n) {
  int left = 0;
  for (int i = 0; i < n; i++) {
    if (pids[i] <= 0) continue;
    int status;
    pid_t got = waitpid(pids[i], &status, WNOHANG);
    if (got == pids[i] || (got < 0 && errno == ECHILD)) pids[i] = 0;
    else left++;
  }
  return left;
}

static void stop(pid_t *pids, int n) {
  for (int i = 0; i < n; i++)
    if (pids[i] > 0) kill(pids[i], SIGINT); /* the script sees an interrupt */
  double deadline = rt_now() + 5;
  while (reap(pids, n) && rt_now() < deadline) nanosleep(&(struct timespec){0, 10000000}, NULL);
  for (int i = 0; i < n; i++)
    if (pids[i] > 0) {
      kill(pids[i], SIGKILL);
      waitpid(pids[i], NULL, 0);
      pids[i] = 0;
    }
}

int experiment_jobs(Experiment *x) {
  enum { JOBS_MAX = 1024 };
  pid_t pids[JOBS_MAX];
  int jobs = x->options.jobs < JOBS_MAX ? x->options.jobs : JOBS_MAX;
  if (jobs > x->missing) jobs = x->missing;
  int n = start(x, pids, jobs);
  if (n == 0) return (int)rt_fail(vm_rt(x->vm), RT_ERROR, "cannot start a worker process: %s",
                                  strerror(errno));
  int rc = 0, turn = 0;
  while (!rc && reap(pids, n)) {
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    rc = (int)rt_poll(vm_rt(x->vm));
    if (!rc && vm_shows_progress(x->vm) && ++turn % 10 == 0) {
      rc = (int)store_refresh(x->store);
      if (!rc) experiment_progress(x, experiment_missing(x));
    }
  }
  if (rc) stop(pids, n);
  return rc;
}
