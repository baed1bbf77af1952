/* batch_sample.c: batch_sample(): annealing, the heat bath, the released lock-step annealer,
 * descent and enumeration of the problems of a batch.                              */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/batch_walks.h"

enum {
  GROUP = 64,              /* items of work between two polls                     */
  LOOK = 256               /* sweeps of a walk between two looks at the clock      */
};

void batch_args_init(BatchArgs *a) {
  *a = (BatchArgs){.threads = 1, .reads = 1, .sweeps = 500, .hot = NAN, .cold = NAN, .beta = 1};
}

void batch_samples_free(Rt *rt, BatchSamples *s) {
  const int64_t rows = s->problems * s->reads;
  if (s->spin) rt_free(rt, s->spin, (size_t)(rows * s->n) + 1);
  if (s->energy) rt_free(rt, s->energy, (size_t)(rows + 1) * sizeof *s->energy);
  *s = (BatchSamples){0};
}

RtStatus batch_samples_make(Rt *rt, BatchSamples *s, int64_t problems, int64_t reads, int64_t n) {
  *s = (BatchSamples){.problems = problems, .reads = reads, .n = n};
  const int64_t rows = problems * reads;
  s->spin = rt_alloc(rt, (size_t)(rows * n) + 1);
  s->energy = rt_alloc(rt, (size_t)(rows + 1) * sizeof *s->energy);
  if (s->spin && s->energy) return RT_OK;
  batch_samples_free(rt, s);
  return rt->error.status;
}

/* ---- the walks ------------------------------------------------------------------- */

typedef struct {
  Rt *rt;                  /* its flag of interrupts and its deadline are looked at      */
  const Batch *b;
  const BatchArgs *a;
  const BatchKernels *kernels;
  BatchThread *thread;
  BatchSamples *out;
  bool side;
  uint8_t *better;         /* [rows, LOCKSTEP_STEPS]                                 */
  int64_t first, steps;    /* number of this group's first item; temperatures to walk */
} Job;

/* The caller polls when the group has ended; here walks only end early. */
static bool called_off(const Job *j, int64_t sweep) {
  if (sweep % LOOK) return false;
  if (atomic_load_explicit(&j->rt->interrupted, memory_order_relaxed)) return true;
  return j->rt->deadline > 0 && rt_now() > j->rt->deadline;
}

/* Temperatures of a row. */
typedef struct { double now, factor; } Cooling;

static Cooling cooling(const Job *j, BatchThread *t, int64_t problem) {
  const BatchArgs *a = j->a;
  double hot, cold;
  if (a->method == BATCH_GIBBS) return (Cooling){a->beta > 0 ? 1 / a->beta : 1e30, 1};
  if (a->betas) return (Cooling){0, 1};
  batch_temperatures(t, problem, a, &hot, &cold);
  return (Cooling){hot, a->sweeps > 1 ? pow(cold / hot, 1 / (double)(a->sweeps - 1)) : 1};
}

/* Of a row's random numbers. */
static uint64_t stream(const BatchArgs *a, int64_t row) {
  return (uint64_t)(a->number ? a->number[row / a->reads] * a->reads + row % a->reads : row);
}

static float next_temperature(const BatchArgs *a, Cooling *c, int64_t sweep) {
  if (a->betas) {
    const double beta = a->betas[sweep * a->n_beta / a->sweeps];
    return (float)(beta > 0 ? 1 / beta : 1e30);
  }
  const double now = c->now;
  c->now *= c->factor;
  return (float)now;
}

static bool keeps_end(const BatchArgs *a) { return a->method == BATCH_GIBBS || a->boltzmann; }

static void end_row(const Job *j, BatchThread *t, int64_t problem, int64_t row, bool off) {
  int8_t *s = j->out->spin + row * j->b->n;
  if (!keeps_end(j->a)) {
    batch_fields(j->b, problem, s, t->spin, t->field);
    if (j->side) batch_descend_pairs(t, problem, s);
    else batch_descend(t, problem, s, off);
  }
  j->out->energy[row] = batch_energy_of(j->b, problem, s, t->spin);
}

static void load_walk(BatchThread *t, int64_t problem) {
  const Batch *b = t->walk.b;
  const double *J = b->J + problem * b->m;
  if (t->loaded == problem) return;
  t->loaded = problem;
  memset(t->walk.w, 0, (size_t)b->n_block * BATCH_LANES * sizeof *t->walk.w);
  for (int64_t k = 0; k < b->m; k++) {
    const float w = (float)(4 * J[k]);
    for (int end = 0; end < 2; end++) {
      const int32_t at = b->place[2 * k + end];
      *(at >= 0 ? t->walk.w + at : t->walk.ws + ~at) = w;
    }
  }
}

static void start_walk(BatchThread *t, int64_t problem, RngCall rng, uint64_t row, int8_t *s) {
  BatchWalk *k = &t->walk;
  const Batch *b = k->b;
  const size_t padded = (size_t)(b->n / BATCH_LANES + 1) * BATCH_LANES;
  uint32_t w[4];
  for (int q = 0; q < BATCH_LANES; q++) {
    rng_bits(rng, row * 64 + (uint64_t)q, w);
    if (!(w[0] | w[1] | w[2] | w[3])) w[0] = 1;
    for (int i = 0; i < 4; i++) k->rng[i][q] = w[i];
  }
  batch_random(t, problem, rng, row, s);
  load_walk(t, problem);
  memset(k->g, 0, padded * sizeof *k->g);
  memset(k->up, 0, padded * sizeof *k->up);
  for (int64_t i = 0; i < b->n; i++) {
    k->g[i] = (float)(2 * t->field[i]);
    k->up[i] = s[i] > 0 ? 0x80000000u : 0;
  }
}

static void spins_of(const uint32_t *up, int64_t n, int64_t stride, int8_t *s) {
  for (int64_t i = 0; i < n; i++) s[i] = up[i * stride] ? 1 : -1;
}

static void sweep_row(const Job *j, BatchThread *t, int64_t problem, int64_t row, int8_t *s) {
  const bool heat = j->a->method == BATCH_GIBBS;
  start_walk(t, problem, j->a->rng, stream(j->a, row), s);
  Cooling c = cooling(j, t, problem);
  for (int64_t k = 0; k < j->a->sweeps && !called_off(j, k); k++)
    j->kernels->sweep(&t->walk, next_temperature(j->a, &c, k), heat);
  spins_of(t->walk.up, j->b->n, 1, s);
  end_row(j, t, problem, row, false);
}

static int run_rows(void *job, int64_t first, int64_t end, int lane) {
  const Job *j = job;
  BatchThread *t = &j->thread[lane];
  for (int64_t r = j->first + first; r < j->first + end; r++) {
    const int64_t problem = r / j->a->reads;
    int8_t *s = j->out->spin + r * j->b->n;
    switch (j->a->method) {
    case BATCH_ANNEAL:
    case BATCH_GIBBS: sweep_row(j, t, problem, r, s); break;
    case BATCH_LOCKSTEP:
    case BATCH_LOCKSTEP_BOTH:
      start_walk(t, problem, j->a->rng, (uint64_t)r, s);
      j->kernels->lockstep(&t->walk, j->steps, j->better + r * LOCKSTEP_STEPS);
      spins_of(t->walk.best, j->b->n, 1, s);
      end_row(j, t, problem, r, j->a->method == BATCH_LOCKSTEP);
      break;
    default:
      batch_random(t, problem, j->a->rng, stream(j->a, r), s);
      batch_descend(t, problem, s, false);
      j->out->energy[r] = batch_energy_of(j->b, problem, s, t->spin);
    }
  }
  return 0;
}

/* ---- sixteen rows side by side ----------------------------------------------------- */

/* The last rows of a call stand in all lanes that are left. */
static int64_t row_of(const Job *j, int64_t item, int lane) {
  const int64_t rows = j->out->problems * j->out->reads, r = item * BATCH_LANES + lane;
  return r < rows ? r : rows - 1;
}

static void start_side(const Job *j, BatchThread *t, int64_t item, Cooling *c) {
  BatchSide *k = &t->side;
  const Batch *b = k->b;
  for (int q = 0; q < BATCH_LANES; q++) {
    const int64_t row = row_of(j, item, q), problem = row / j->a->reads;
    const double *J = b->J + problem * b->m;
    int8_t *s = j->out->spin + row * b->n;
    const bool again = q && row == row_of(j, item, q - 1);
    uint32_t w[4];
    rng_bits(j->a->rng, stream(j->a, row) * 64, w);
    if (!(w[0] | w[1] | w[2] | w[3])) w[0] = 1;
    for (int i = 0; i < 4; i++) k->rng[i][q] = w[i];
    for (int64_t e = 0; e < 2 * b->m; e++) k->w[e * BATCH_LANES + q] = (float)(4 * J[b->edge[e]]);
    if (!again) batch_random(t, problem, j->a->rng, stream(j->a, row), s);
    for (int64_t i = 0; i < b->n; i++) {
      k->g[i * BATCH_LANES + q] = (float)(2 * t->field[i]);
      k->up[i * BATCH_LANES + q] = s[i] > 0 ? 0x80000000u : 0;
    }
    k->energy[q] = 0;
    k->lowest[q] = INFINITY;
    c[q] = q && problem == row_of(j, item, q - 1) / j->a->reads ? c[q - 1] : cooling(j, t, problem);
  }
}

static int run_side(void *job, int64_t first, int64_t end, int lane) {
  const Job *j = job;
  const BatchArgs *a = j->a;
  BatchThread *t = &j->thread[lane];
  Cooling c[BATCH_LANES];
  const int64_t n = j->b->n;
  const bool heat = a->method == BATCH_GIBBS;
  for (int64_t item = j->first + first; item < j->first + end; item++) {
    start_side(j, t, item, c);
    for (int64_t k = 0; k < a->sweeps && !called_off(j, k); k++) {
      for (int q = 0; q < BATCH_LANES; q++) t->temperature[q] = next_temperature(a, &c[q], k);
      j->kernels->side(&t->side, t->temperature, heat);
      if (!heat && n > 1) j->kernels->pairs(&t->side, t->temperature, 1 + k % (n - 1));
      if (!keeps_end(a)) j->kernels->keep(&t->side);
    }
    for (int q = 0; q < BATCH_LANES; q++) {
      const int64_t row = row_of(j, item, q);
      if (q && row == row_of(j, item, q - 1)) break;
      spins_of((keeps_end(a) ? t->side.up : t->side.best) + q, j->b->n, BATCH_LANES, j->out->spin + row * j->b->n);
      end_row(j, t, row / a->reads, row, false);
    }
  }
  return 0;
}

/* ---- the call ---------------------------------------------------------------------- */

static RtStatus run_all(Rt *rt, Job *j) {
  const int64_t rows = j->out->problems * j->out->reads;
  const int64_t items = j->side ? (rows + BATCH_LANES - 1) / BATCH_LANES : rows;
  for (j->first = 0; j->first < items; j->first += GROUP) {
    const int64_t left = items - j->first;
    parallel_for(j->a->threads, left < GROUP ? left : GROUP, 1, j->side ? run_side : run_rows, j);
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

/* The step after which all rows stop: PATIENCE in a row without any of them better. */
static int64_t stop_of(const Job *j) {
  const int64_t rows = j->out->problems * j->out->reads;
  int64_t idle = 0;
  for (int64_t step = 0; step < LOCKSTEP_STEPS; step++) {
    bool any = false;
    for (int64_t r = 0; r < rows && !any; r++) any = j->better[r * LOCKSTEP_STEPS + step];
    idle = any ? 0 : idle + 1;
    if (idle == LOCKSTEP_PATIENCE) return step + 1;
  }
  return LOCKSTEP_STEPS;
}

/* Rows walk the whole schedule one by one, which tells when they stop together; if that
 * is sooner they walk again, the same way, until then.                            */
static RtStatus run_lockstep(Rt *rt, Job *j) {
  const size_t bytes = (size_t)(j->out->problems * j->out->reads * LOCKSTEP_STEPS) + 1;
  j->better = rt_alloc(rt, bytes);
  if (!j->better) return rt->error.status;
  j->steps = LOCKSTEP_STEPS;
  RtStatus st = run_all(rt, j);
  if (!st && (j->steps = stop_of(j)) < LOCKSTEP_STEPS) st = run_all(rt, j);
  j->out->steps = j->steps;
  rt_free(rt, j->better, bytes);
  return st;
}

static bool side_by_side(const BatchArgs *a, const Batch *b) {
  return (a->method == BATCH_ANNEAL || a->method == BATCH_GIBBS) && batch_is_small(b);
}

static RtStatus run_threads(Rt *rt, Job *j) {
  const int threads = j->a->threads > 1 ? j->a->threads : 1;
  const bool together = j->a->method == BATCH_LOCKSTEP || j->a->method == BATCH_LOCKSTEP_BOTH;
  j->side = side_by_side(j->a, j->b);
  j->thread = rt_alloc0(rt, (size_t)threads * sizeof *j->thread);
  if (!j->thread) return rt->error.status;
  RtStatus st = RT_OK;
  for (int k = 0; k < threads && !st; k++)
    if (!batch_thread_make(rt, &j->thread[k], j->b, j->side)) st = rt->error.status;
  if (!st) st = together ? run_lockstep(rt, j) : run_all(rt, j);
  if (j->a->method == BATCH_ANNEAL || j->a->method == BATCH_GIBBS) j->out->steps = j->a->sweeps;
  for (int k = 0; k < threads; k++) batch_thread_free(rt, &j->thread[k]);
  rt_free(rt, j->thread, (size_t)threads * sizeof *j->thread);
  return st;
}

static int run_lowest(void *job, int64_t first, int64_t end, int lane) {
  const Job *j = job;
  const int64_t reads = j->a->reads, n = j->b->n;
  for (int64_t p = j->first + first; p < j->first + end; p++) {
    int8_t *s = j->out->spin + p * reads * n;
    batch_lowest(j->b, p, s);
    const double e = batch_energy(j->b, p, s);
    for (int64_t r = 0; r < reads; r++) {
      if (r) memcpy(s + r * n, s, (size_t)n);
      j->out->energy[p * reads + r] = e;
    }
  }
  return 0;
}

/* The minimum, as often as rows are asked for. */
static RtStatus enumerate(Rt *rt, Job *j) {
  const int64_t problems = j->out->problems, group = j->b->n > 16 ? j->a->threads : GROUP;
  for (j->first = 0; j->first < problems; j->first += group) {
    const int64_t left = problems - j->first;
    RT_TRY(rt_poll(rt));
    parallel_for(j->a->threads, left < group ? left : group, 1, run_lowest, j);
  }
  return RT_OK;
}

static RtStatus refuse(Rt *rt, const Batch *b, const BatchArgs *a) {
  const bool walks = a->method == BATCH_ANNEAL || a->method == BATCH_GIBBS;
  if (a->reads < 1 || (walks && a->sweeps < 1))
    return rt_fail(rt, RT_ERROR, "reads and sweeps must be positive");
  if (a->method == BATCH_EXACT && b->n > BATCH_EXACT_MAX)
    return rt_fail(rt, RT_ERROR, "a batch is enumerated up to %d variables, found %lld",
                   BATCH_EXACT_MAX, (long long)b->n);
  if (a->method == BATCH_GIBBS && !(a->beta >= 0 && isfinite(a->beta)))
    return rt_fail(rt, RT_ERROR, "gibbs: beta is %g; an inverse temperature is a number from 0 up",
                   a->beta);
  for (int64_t k = 0; a->betas && k < a->n_beta; k++)
    if (!(a->betas[k] >= 0 && isfinite(a->betas[k])))
      return rt_fail(rt, RT_ERROR, "a beta of the schedule is %g; an inverse temperature is a "
                     "number from 0 up", a->betas[k]);
  return batch_check(rt, b);
}

RtStatus batch_sample_level(Rt *rt, const Batch *b, const BatchArgs *a, const BatchKernels *kernels,
                            BatchSamples *out) {
  *out = (BatchSamples){0};
  RT_TRY(refuse(rt, b, a));
  RT_TRY(batch_samples_make(rt, out, b->problems, a->reads, b->n));
  RtStatus st = RT_OK;
  Job j = {.rt = rt, .b = b, .a = a, .kernels = kernels, .out = out};
  if (b->n == 0)
    for (int64_t r = 0; r < b->problems * a->reads; r++) out->energy[r] = b->offset[r / a->reads];
  else st = a->method == BATCH_EXACT ? enumerate(rt, &j) : run_threads(rt, &j);
  if (st) batch_samples_free(rt, out);
  return st;
}

RtStatus batch_sample(Rt *rt, const Batch *b, const BatchArgs *a, BatchSamples *out) {
  return batch_sample_level(rt, b, a, batch_kernels_best(), out);
}

/* ---- as a sampler of one problem ------------------------------------------------------ */

RtStatus sample_lockstep(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  const double begin = rt_now();
  BatchSamples rows = {0};
  Batch b = {0};
  BatchArgs args;
  *out = (Samples){0};
  RT_TRY(batch_of_ising(rt, p, &b));
  batch_args_init(&args);
  args.method = a->both ? BATCH_LOCKSTEP_BOTH : BATCH_LOCKSTEP;
  args.rng = a->rng;
  args.threads = a->threads;
  if (a->reads) args.reads = a->reads;
  RtStatus st = batch_sample(rt, &b, &args, &rows);
  if (!st) st = samples_make(rt, out, args.reads, p->n);
  if (!st) {
    memcpy(out->spin, rows.spin, (size_t)(args.reads * p->n));
    for (int64_t r = 0; r < args.reads; r++) out->energy[r] = ising_energy(p, out->spin + r * p->n);
    out->updates = (double)(rows.steps * LOCKSTEP_PROPOSALS * args.reads);
    out->beta_hot = 1e-3;
    out->beta_cold = 1 / (1000 * pow(0.99, (double)(rows.steps - 1)));
    snprintf(out->note, sizeof out->note, "%lld temperatures", (long long)rows.steps);
    st = samples_sort(rt, out);
    out->seconds = rt_now() - begin;
  }
  batch_samples_free(rt, &rows);
  batch_free(rt, &b);
  if (st) samples_free(rt, out);
  return st;
}
