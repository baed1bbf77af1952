/* sqa_sample.c: sample_sqa(): path-integral annealing along a schedule.
 *
 * Reads go in waves of a fixed width and in blocks of sweeps, as in
 * temper_sample.c.  A schedule that ends with a transverse field ends in a
 * measurement, one slice at random; one that ends without takes the best slice
 * and descends from it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/chains.h"
#include "runtime/binary/schedule.h"
#include "runtime/binary/sqa.h"
#include "runtime/binary/temper.h"

enum { WAVE = 8, READS = 16, SWEEPS = 1000 };
#define BLOCK_UPDATES 2e5     /* worldlines of one read between two polls      */
#define STEP 0.25             /* beta A / slices that default slices stay below */

typedef struct {
  const Ising *p;
  const SamplerArgs *a;
  double start, beta, gamma;
  double unit;            /* a schedule in GHz ends with B = 1: beta stays in H's units */
  int64_t reads, sweeps, block;
  int slices;
} Plan;

/* A and B after the fraction u of the sweeps, in units of the problem's energies. */
static void at(const Plan *q, double u, double *A, double *B) {
  const Schedule *a = q->a->schedule;
  if (!a) {
    *A = q->gamma * (1 - u);
    *B = u;
    return;
  }
  schedule_weights(a, schedule_s(a, u), A, B);
  *A /= q->unit;
  *B /= q->unit;
}

typedef struct {
  const Plan *q;
  Worldlines *run;
  int64_t first, end;     /* sweeps of this block                              */
} Block;

static int advance(void *job, int64_t first, int64_t end, int lane) {
  const Block *b = job;
  const Plan *q = b->q;
  for (int64_t r = first; r < end; r++)
    for (int64_t k = b->first; k < b->end; k++) {
      double A, B;
      at(q, q->sweeps > 1 ? (double)k / (double)(q->sweeps - 1) : 1, &A, &B);
      worldlines_sweep(&b->run[r], q->beta * A, q->beta * B);
    }
  return 0;
}

static bool spent(const Plan *q) {
  return q->a->seconds > 0 && rt_now() - q->start >= q->a->seconds;
}

static RtStatus run_wave(Rt *rt, const Plan *q, Worldlines *run, int64_t runs, int64_t first, bool *stop) {
  for (int64_t done = 0; done < q->sweeps && !*stop;) {
    int64_t end = done + q->block < q->sweeps ? done + q->block : q->sweeps;
    Block b = {q, run, done, end};
    parallel_for(q->a->threads, runs, 1, advance, &b);
    done = end;
    if (spent(q)) *stop = true;
    RT_TRY(rt_poll(rt));
    if (q->a->progress)
      q->a->progress(q->a->user, fmin(1, ((double)first + (double)runs * (double)done / (double)q->sweeps) /
                                            (double)q->reads));
  }
  return RT_OK;
}

/* The row of a finished read. */
static void project(const Plan *q, Worldlines *w, double *field, int8_t *spin, double *energy) {
  double A, B;
  at(q, 1, &A, &B);
  if (A > 0 || q->a->boltzmann) {
    int slice = (int)((worldlines_draw(w) >> 32) * (uint64_t)w->slices >> 32);
    worldlines_slice(w, slice, spin);
    *energy = ising_energy(q->p, spin);
    return;
  }
  int best = 0;
  double low = INFINITY, e[LANES];
  for (int k = 0; k < w->words; k++) {
    lanes_energies(&w->lane[k], e);
    for (int t = 0; t < LANES && k * LANES + t < w->slices; t++)
      if (e[t] < low) {
        low = e[t];
        best = k * LANES + t;
      }
  }
  worldlines_slice(w, best, spin);
  *energy = ising_settle_pairs(q->p, spin, field);
}

static RtStatus run_all(Rt *rt, const Plan *q, Worldlines *run, int64_t runs, double *field,
                        Samples *out, int64_t *rows) {
  const SamplerArgs *a = q->a;
  int64_t n = q->p->n;
  bool stop = false;
  for (int64_t first = 0; first < q->reads && !stop; first += runs) {
    if (runs > q->reads - first) runs = q->reads - first;
    for (int64_t r = 0; r < runs; r++)
      worldlines_start(&run[r], a->rng, first + r,
                       a->initial && a->initial_rows > 0
                           ? a->initial + (first + r) % a->initial_rows * n : NULL);
    RT_TRY(run_wave(rt, q, run, runs, first, &stop));
    for (int64_t r = 0; r < runs; r++) {
      project(q, &run[r], field, out->spin + (first + r) * n, &out->energy[first + r]);
      out->updates += run[r].updates;
      if (out->energy[first + r] <= a->target) stop = true;
    }
    *rows = first + runs;
  }
  return RT_OK;
}

/* ---- parameters ------------------------------------------------------------------------ */

static RtStatus check_schedule(Rt *rt, Plan *q, double *most) {
  const Schedule *a = q->a->schedule;
  double A;
  q->unit = 1;
  *most = q->gamma;
  if (!a) return RT_OK;
  RT_TRY(schedule_check(rt, a));
  if (a->ghz) schedule_weights(a, 1, &A, &q->unit);
  if (!(q->unit > 0)) return rt_fail(rt, RT_ERROR, "the schedule ends with B = 0");
  *most = curve_most(&a->A) * (a->ghz ? 0.5 : 1) / q->unit;
  return RT_OK;
}

static RtStatus check(Rt *rt, Plan *q) {
  const SamplerArgs *a = q->a;
  double scale = temper_scale(q->p), most;
  if (!(scale > 0)) scale = 1;
  q->beta = isnan(a->beta) ? 6 / scale : a->beta;
  q->gamma = isnan(a->gamma) ? 1.5 * scale : a->gamma;
  if (!(q->beta >= 0) || !(q->gamma >= 0) || !isfinite(q->beta) || !isfinite(q->gamma))
    return rt_fail(rt, RT_ERROR, "beta is %g and gamma %g: both must be finite and not negative", q->beta,
                   q->gamma);
  RT_TRY(check_schedule(rt, q, &most));
  double need = ceil(q->beta * most / STEP / LANES) * LANES;
  q->slices = a->slices ? (int)fmin((double)a->slices, 1e6) : (int)fmax(LANES, fmin(need, SQA_SLICES));
  if (q->slices >= 2 && q->slices <= SQA_SLICES) return RT_OK;
  rt_fail(rt, RT_ERROR, "slices is %lld: expected 2 to %d", (long long)a->slices, SQA_SLICES);
  rt_help(rt, "64 cost as much as fewer; beta A / slices should stay below %g", STEP);
  return RT_ERROR;
}

RtStatus sample_sqa(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  *out = (Samples){0};
  Plan q = {.p = p, .a = a, .start = rt_now(), .reads = a->reads > 0 ? a->reads : READS,
            .sweeps = a->sweeps > 0 ? a->sweeps : SWEEPS};
  RT_TRY(check(rt, &q));
  q.block = (int64_t)fmax(1, BLOCK_UPDATES / (double)(p->n + 1));
  LaneModel model;
  RT_TRY(lane_model_make(rt, &model, p, LANE_FAITHFUL));
  RtStatus st = samples_make(rt, out, q.reads, p->n);
  size_t bytes = (size_t)(p->n + 1) * sizeof(double);
  double *field = rt_alloc(rt, bytes);
  if (!st && !field) st = rt->error.status;
  Worldlines run[WAVE];
  int64_t made = 0, rows = 0;
  while (!st && made < WAVE && made < q.reads) {
    st = worldlines_make(rt, &run[made], &model, q.slices);
    if (!st) made++;
  }
  if (!st) st = run_all(rt, &q, run, made, field, out, &rows);
  for (int64_t r = 0; r < made; r++) worldlines_free(rt, &run[r]);
  lane_model_free(rt, &model);
  if (field) rt_free(rt, field, bytes);
  if (!st) st = samples_keep(rt, out, rows);
  if (st) {
    samples_free(rt, out);
    return st;
  }
  double A, B;
  at(&q, 0, &A, &B);
  out->seconds = rt_now() - q.start;
  out->beta_hot = out->beta_cold = q.beta;
  snprintf(out->note, sizeof out->note, "path-integral annealing, %d slices, beta A / slices %.2g at the start",
           q.slices, q.beta * A / q.slices);
  return RT_OK;
}
