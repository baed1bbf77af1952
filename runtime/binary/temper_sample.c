/* temper_sample.c: sample_temper(): independent runs of parallel tempering.
 *
 * Runs go in waves of a fixed width and in blocks of rounds of a fixed length,
 * so that which run sees which `target` depends on neither threads nor clock.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/chains.h"
#include "runtime/binary/temper.h"

enum { WAVE = 8, ROUNDS = 1000 };
#define BLOCK_UPDATES 4e6     /* of one run between two polls                  */

typedef struct {
  Temper *run;
  int64_t runs, rounds;
  double target;
  double *field;          /* [n] scratch                                       */
} Wave;

static int advance(void *job, int64_t first, int64_t end, int lane) {
  Wave *w = job;
  for (int64_t r = first; r < end; r++)
    for (int64_t k = 0; k < w->rounds; k++) {
      if (w->run[r].best_energy <= w->target) break;
      temper_round(&w->run[r]);
    }
  return 0;
}

typedef struct {
  const Ising *p;
  const SamplerArgs *a;
  double start;
  int64_t rounds, reads, block;
  double hot, cold;
} Plan;

static bool spent(const Plan *q) {
  return q->a->seconds > 0 && rt_now() - q->start >= q->a->seconds;
}

/* All runs of a wave, to the end or until one reaches the target. */
static RtStatus run_wave(Rt *rt, const Plan *q, Wave *w, int64_t first, bool *stop) {
  for (int64_t done = 0; done < q->rounds && !*stop;) {
    w->rounds = q->rounds - done < q->block ? q->rounds - done : q->block;
    parallel_for(q->a->threads, w->runs, 1, advance, w);
    done += w->rounds;
    for (int64_t r = 0; r < w->runs; r++)
      if (w->run[r].best_energy <= w->target) *stop = true;
    if (spent(q)) *stop = true;
    RT_TRY(rt_poll(rt));
    if (q->a->progress)
      q->a->progress(q->a->user, fmin(1, ((double)first + (double)w->runs * (*stop ? 1 : (double)done / (double)q->rounds)) /
                                            (double)q->reads));
  }
  return RT_OK;
}

static RtStatus run_all(Rt *rt, const Plan *q, Wave *w, Samples *out, int64_t *rows) {
  const SamplerArgs *a = q->a;
  int64_t n = q->p->n;
  bool stop = false;
  for (int64_t first = 0; first < q->reads && !stop; first += w->runs) {
    if (w->runs > q->reads - first) w->runs = q->reads - first;
    for (int64_t r = 0; r < w->runs; r++) {
      const int8_t *from = a->initial && a->initial_rows > 0
                               ? a->initial + (first + r) % a->initial_rows * n : NULL;
      temper_start(&w->run[r], a->rng, first + r, from);
    }
    RT_TRY(run_wave(rt, q, w, first, &stop));
    for (int64_t r = 0; r < w->runs; r++) {
      Temper *t = &w->run[r];
      t->best_energy = ising_settle(q->p, t->best, w->field);
      if (n) memcpy(out->spin + (first + r) * n, t->best, (size_t)n);
      out->energy[first + r] = t->best_energy;
      out->updates += (double)t->round * (double)n * LANES;
    }
    *rows = first + w->runs;
  }
  return RT_OK;
}

static RtStatus check(Rt *rt, const SamplerArgs *a, int *rungs) {
  if (!isnan(a->beta)) {
    rt_fail(rt, RT_ERROR, "tempering runs at many temperatures, not at beta = %g alone", a->beta);
    rt_help(rt, "give its ends: beta = (hot, cold)");
    return RT_ERROR;
  }
  *rungs = a->replicas ? (int)fmin((double)a->replicas, 1e6) : TEMPER_RUNGS;
  if (*rungs < 2 || *rungs > TEMPER_RUNGS) {
    rt_fail(rt, RT_ERROR, "replicas is the number of temperatures, from 2 to %d; this is %lld",
            TEMPER_RUNGS, (long long)a->replicas);
    rt_help(rt, "each temperature is held by %d replicas or more; leave it out for %d", 2, TEMPER_RUNGS);
    return RT_ERROR;
  }
  return RT_OK;
}

static RtStatus bounds(Rt *rt, const Ising *p, const SamplerArgs *a, Plan *q) {
  q->hot = a->beta_hot;
  q->cold = a->beta_cold;
  if (isnan(q->hot) || isnan(q->cold)) {
    double hot, cold;
    RT_TRY(temper_ladder(rt, p, a->rng, &hot, &cold));
    if (isnan(q->hot)) q->hot = hot;
    if (isnan(q->cold)) q->cold = cold;
  }
  if (q->hot > 0 && q->cold >= q->hot && isfinite(q->cold)) return RT_OK;
  rt_fail(rt, RT_ERROR, "temperatures from beta %g (hot) to %g (cold): both must be positive, the second one not smaller",
          q->hot, q->cold);
  return RT_ERROR;
}

RtStatus sample_temper(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  *out = (Samples){0};
  Plan q = {.p = p, .a = a, .start = rt_now(), .reads = a->reads > 0 ? a->reads : 1};
  int rungs;
  RT_TRY(check(rt, a, &rungs));
  RT_TRY(bounds(rt, p, a, &q));
  q.rounds = a->sweeps > 0 ? a->sweeps : a->seconds > 0 ? INT64_MAX / 4 : ROUNDS;
  q.block = (int64_t)fmax(1, BLOCK_UPDATES / LANES / (double)(p->n + 1));
  LaneModel model;
  RT_TRY(lane_model_make(rt, &model, p, a->boltzmann ? LANE_FAITHFUL : LANE_SEARCH));
  RtStatus st = samples_make(rt, out, q.reads, p->n);
  size_t bytes = (size_t)(p->n + 1) * sizeof(double);
  double *field = rt_alloc(rt, bytes);
  if (!st && !field) st = rt->error.status;
  Temper run[WAVE];
  Wave w = {.run = run, .field = field, .target = isnan(a->target) ? -INFINITY : a->target};
  int64_t made = 0, rows = 0;
  while (!st && made < WAVE && made < q.reads) {
    st = temper_make(rt, &run[made], &model, rungs, q.hot, q.cold, a->cluster);
    if (!st && a->boltzmann) run[made].move = LANE_HEATBATH;
    if (!st) made++;
  }
  w.runs = made;
  if (!st) st = run_all(rt, &q, &w, out, &rows);
  bool clusters = made && run[0].cluster;
  for (int64_t r = 0; r < made; r++) temper_free(rt, &run[r]);
  lane_model_free(rt, &model);
  if (field) rt_free(rt, field, bytes);
  if (!st) st = samples_keep(rt, out, rows);
  if (st) {
    samples_free(rt, out);
    return st;
  }
  out->seconds = rt_now() - q.start;
  out->beta_hot = q.hot;
  out->beta_cold = q.cold;
  snprintf(out->note, sizeof out->note, "parallel tempering, %d temperatures x %d replicas%s", rungs,
           2 * (TEMPER_RUNGS / rungs), clusters ? ", cluster moves" : "");
  return RT_OK;
}
