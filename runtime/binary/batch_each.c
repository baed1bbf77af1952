/* batch_each.c: any sampler of single problems for a batch, a problem a thread.
 *
 * A context serves one thread, so every thread has one of its own; the caller's says when to
 * stop.  Problem k draws from a stream of its own: the same bits on any number of threads.
 */
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/batch.h"

typedef struct {
  Rt *rt, *own;            /* the caller's; this thread's                          */
  int64_t problem;         /* the first that failed here; -1                        */
} Worker;

typedef struct {
  Rt *rt;
  const Batch *b;
  const BatchEach *e;
  BatchSamples *out;
  Worker *worker;
  int64_t first;
} Job;

/* Interrupts and limits reach a thread where its sampler reports how far it is. */
static void pass_on(void *user, double share) {
  const Worker *w = user;
  const bool late = w->rt->deadline > 0 && rt_now() > w->rt->deadline;
  if (late || atomic_load_explicit(&w->rt->interrupted, memory_order_relaxed))
    rt_interrupt(w->own);
}

/* Rows by energy, each as often as it was seen. */
static RtStatus put_rows(Rt *rt, const Job *j, int64_t problem, Samples *rows) {
  const int64_t n = j->b->n, reads = j->out->reads;
  int64_t total = 0, at = 0;
  RT_TRY(samples_sort(rt, rows));
  for (int64_t r = 0; r < rows->rows; r++) total += rows->count[r];
  if (total < reads)
    return rt_fail(rt, RT_ERROR, "problem %lld gave %lld rows, the first one %lld",
                   (long long)problem, (long long)total, (long long)reads);
  for (int64_t r = 0; r < rows->rows; r++)
    for (int32_t c = 0; c < rows->count[r] && at < reads; c++, at++) {
      int8_t *s = j->out->spin + (problem * reads + at) * n;
      memcpy(s, rows->spin + r * n, (size_t)n);
      j->out->energy[problem * reads + at] = batch_energy(j->b, problem, s);
    }
  return RT_OK;
}

static RngCall stream(const BatchEach *e, int64_t problem) {
  if (e->number) problem = e->number[problem];
  const uint64_t key = rng_derive(e->rng.key, "sample", (int64_t)e->rng.call);
  return (RngCall){rng_derive(key, "batch", problem), 0};
}

static RtStatus one(Rt *rt, const Job *j, int64_t problem, const BatchProgress *p, Samples *rows) {
  Ising model;
  *rows = (Samples){0};
  RT_TRY(batch_ising(rt, j->b, problem, &model));
  RtStatus st = j->e->run(rt, j->e->user, &model, stream(j->e, problem), p, rows);
  ising_free(rt, &model);
  return st;
}

static int run(void *job, int64_t first, int64_t end, int lane) {
  const Job *j = job;
  Worker *w = &j->worker[lane];
  const BatchProgress p = {pass_on, w};
  for (int64_t k = j->first + first; k < j->first + end; k++) {
    Samples rows;
    RtStatus st = one(w->own, j, k, &p, &rows);
    if (!st) st = put_rows(w->own, j, k, &rows);
    samples_free(w->own, &rows);
    if (!st) continue;
    if (w->problem < 0 || k < w->problem) w->problem = k;
    return 1;
  }
  return 0;
}

/* The error of the first problem that failed. */
static RtStatus failed(Rt *rt, const Job *j, int threads) {
  const Worker *first = NULL;
  RT_TRY(rt_poll(rt));
  for (int k = 0; k < threads; k++) {
    const Worker *w = &j->worker[k];
    if (w->problem >= 0 && (!first || w->problem < first->problem)) first = w;
  }
  if (first) rt->error = first->own->error;
  return rt->error.status;
}

static RtStatus run_rest(Rt *rt, Job *j, int threads) {
  RtStatus st = RT_OK;
  const int64_t group = 8 * (int64_t)threads;
  for (int k = 0; k < threads && !st; k++) {
    Worker *w = &j->worker[k];
    *w = (Worker){rt, rt_open(), -1};
    if (!w->own) {
      st = rt_fail(rt, RT_MEMORY, "out of memory");
      break;
    }
    w->own->threads = 1;
    if (rt->limit) w->own->limit = (rt->limit - rt->bytes) / (size_t)threads + 1;
  }
  for (j->first = 1; j->first < j->b->problems && !st; j->first += group) {
    const int64_t left = j->b->problems - j->first;
    if (parallel_for(threads, left < group ? left : group, 1, run, j)) st = failed(rt, j, threads);
    if (!st) st = rt_poll(rt);
  }
  for (int k = 0; k < threads; k++) rt_close(j->worker[k].own);
  return st;
}

RtStatus batch_each(Rt *rt, const Batch *b, const BatchEach *e, BatchSamples *out) {
  const int threads = e->threads > 1 ? e->threads : 1;
  const BatchProgress none = {NULL, NULL};
  Job j = {.rt = rt, .b = b, .e = e, .out = out};
  Samples rows;
  *out = (BatchSamples){0};
  RT_TRY(batch_check(rt, b));
  if (b->problems == 0) return batch_samples_make(rt, out, 0, 1, b->n);
  RtStatus st = one(rt, &j, 0, &none, &rows);     /* how many rows each has */
  int64_t reads = 0;
  for (int64_t r = 0; r < rows.rows && !st; r++) reads += rows.count[r];
  if (!st) st = batch_samples_make(rt, out, b->problems, reads, b->n);
  if (!st) st = put_rows(rt, &j, 0, &rows);
  samples_free(rt, &rows);
  if (!st) {
    j.worker = rt_alloc0(rt, (size_t)threads * sizeof *j.worker);
    st = j.worker ? run_rest(rt, &j, threads) : rt->error.status;
    if (j.worker) rt_free(rt, j.worker, (size_t)threads * sizeof *j.worker);
  }
  if (st) batch_samples_free(rt, out);
  return st;
}
