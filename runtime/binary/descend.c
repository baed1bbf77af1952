/* descend.c: sample_descend(): steepest descent from given or random states.
 *
 * The spin whose flip lowers the energy most flips until none does.  A binary heap
 * keeps the variables by what they gain, so that a flip costs its neighbours times
 * log n.                                                                       */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/chains.h"
#include "runtime/binary/xoshiro.h"

typedef struct {
  double *field;          /* [n]                                              */
  int32_t *heap, *place;  /* [n] each: heap of variables, where each is       */
  int8_t *spin;           /* [n] of the row at work                           */
} Scratch;

typedef struct {
  const Ising *p;
  const SamplerArgs *a;
  Scratch *scratch;       /* [threads]                                        */
  int64_t first;          /* number of this stretch's first read              */
  Samples *out;
  double *updates;        /* [threads]                                        */
} Descend;

static double gain(const Scratch *s, int32_t i) { return s->spin[i] * s->field[i]; }

/* Larger gain first; equal ones by number. */
static bool before(const Scratch *s, int32_t i, int32_t j) {
  double a = gain(s, i), b = gain(s, j);
  return a != b ? a > b : i < j;
}

static void put(Scratch *s, int64_t at, int32_t i) {
  s->heap[at] = i;
  s->place[i] = (int32_t)at;
}

static void sink(Scratch *s, int64_t n, int64_t at) {
  int32_t i = s->heap[at];
  for (int64_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && before(s, s->heap[child + 1], s->heap[child])) child++;
    if (!before(s, s->heap[child], i)) break;
    put(s, at, s->heap[child]);
  }
  put(s, at, i);
}

static void rise(Scratch *s, int64_t n, int64_t at) {
  int32_t i = s->heap[at];
  while (at > 0 && before(s, i, s->heap[(at - 1) / 2])) {
    put(s, at, s->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  put(s, at, i);
  sink(s, n, at);
}

/* Returns the number of flips. */
static int64_t descend(const Ising *p, Scratch *s) {
  int64_t n = p->n, flips = 0;
  ising_fields(p, s->spin, s->field);
  for (int64_t i = 0; i < n; i++) put(s, i, (int32_t)i);
  for (int64_t at = n / 2; at-- > 0;) sink(s, n, at);
  for (; n > 0; flips++) {
    int32_t i = s->heap[0];
    /* a gain below what rounding can pretend could come again for ever */
    if (gain(s, i) <= 1e-12 * (1 + fabs(s->field[i]))) break;
    double twice = -2 * s->spin[i];
    s->spin[i] = (int8_t)-s->spin[i];
    sink(s, n, 0);
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) {
      s->field[p->other[k]] += twice * p->J[k];
      rise(s, n, s->place[p->other[k]]);
    }
  }
  return flips;
}

static int run_reads(void *job, int64_t first, int64_t end, int thread) {
  Descend *d = job;
  const Ising *p = d->p;
  Scratch *s = &d->scratch[thread];
  for (int64_t k = first; k < end; k++) {
    int64_t read = d->first + k;
    s->spin = d->out->spin + read * p->n;
    Xoshiro x = xoshiro_seed(d->a->rng, (uint64_t)read);
    if (d->a->initial)
      memcpy(s->spin, d->a->initial + read % d->a->initial_rows * p->n, (size_t)p->n);
    else
      for (int64_t i = 0; i < p->n; i++) s->spin[i] = xoshiro_next(&x) >> 31 ? 1 : -1;
    d->updates[thread] += (double)descend(p, s);
    d->out->energy[read] = ising_energy(p, s->spin);
  }
  return 0;
}

static RtStatus run(Rt *rt, Descend *d, double began) {
  const SamplerArgs *a = d->a;
  int64_t reads = d->out->rows, done = 0, hit = -1;
  int64_t step = 1 + 2000000 / (1 + d->p->n + 4 * d->p->m);
  while (done < reads && hit < 0) {
    int64_t some = reads - done < step ? reads - done : step;
    d->first = done;
    parallel_for(a->threads, some, 1, run_reads, d);
    RT_TRY(rt_poll(rt));
    if (a->progress) a->progress(a->user, (double)(done + some) / (double)reads);
    for (int64_t r = done; r < done + some && hit < 0; r++)
      if (d->out->energy[r] <= a->target) hit = r;
    done = hit < 0 ? done + some : hit + 1;
    if (a->seconds > 0 && rt_now() > began + a->seconds) break;
  }
  return samples_keep(rt, d->out, done);
}

RtStatus sample_descend(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  double began = rt_now();
  ChainPlan q = {0};
  *out = (Samples){0};
  RT_TRY(chains_args(rt, p, a, "descend", &q));
  int64_t reads = a->reads ? a->reads : a->initial ? a->initial_rows : LANES;
  size_t threads = a->threads > 1 ? (size_t)a->threads : 1, n = (size_t)p->n + 1;
  RT_TRY(samples_make(rt, out, reads, p->n));
  Descend d = {.p = p, .a = a, .out = out};
  d.scratch = rt_alloc0(rt, threads * sizeof *d.scratch);
  d.updates = rt_alloc0(rt, threads * sizeof *d.updates);
  bool room = d.scratch && d.updates;
  for (size_t t = 0; room && t < threads; t++) {
    Scratch *s = &d.scratch[t];
    s->field = rt_alloc(rt, n * sizeof *s->field);
    s->heap = rt_alloc(rt, n * sizeof *s->heap);
    s->place = rt_alloc(rt, n * sizeof *s->place);
    room = s->field && s->heap && s->place;
  }
  RtStatus st = room ? run(rt, &d, began) : rt->error.status;
  for (size_t t = 0; d.scratch && t < threads; t++) {
    if (!st) out->updates += d.updates[t];
    rt_free(rt, d.scratch[t].field, n * sizeof(double));
    rt_free(rt, d.scratch[t].heap, n * sizeof(int32_t));
    rt_free(rt, d.scratch[t].place, n * sizeof(int32_t));
  }
  rt_free(rt, d.scratch, threads * sizeof *d.scratch);
  rt_free(rt, d.updates, threads * sizeof *d.updates);
  if (st) {
    samples_free(rt, out);
    return st;
  }
  out->seconds = rt_now() - began;
  snprintf(out->note, sizeof out->note, "steepest descent from %s states",
           a->initial ? "given" : "random");
  return RT_OK;
}
