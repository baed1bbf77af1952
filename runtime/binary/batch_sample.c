/* batch_sample.c: batch_sample(): annealing, the released lock-step annealer, descent
 * and enumeration of the problems of a batch.                                     */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/batch.h"
#include "runtime/binary/exact.h"
#include "runtime/binary/xoshiro.h"

enum { GROUP = 64 };            /* rows between two polls                          */

void batch_args_init(BatchArgs *a) {
  *a = (BatchArgs){.threads = 1, .reads = 1, .sweeps = 300, .hot = NAN, .cold = NAN};
}

void batch_samples_free(Rt *rt, BatchSamples *s) {
  const int64_t rows = s->problems * s->reads;
  if (s->spin) rt_free(rt, s->spin, (size_t)(rows * s->n) + 1);
  if (s->energy) rt_free(rt, s->energy, (size_t)(rows + 1) * sizeof *s->energy);
  *s = (BatchSamples){0};
}

static RtStatus samples_new(Rt *rt, const Batch *b, int64_t reads, BatchSamples *s) {
  *s = (BatchSamples){.problems = b->problems, .reads = reads, .n = b->n};
  const int64_t rows = b->problems * reads;
  s->spin = rt_alloc(rt, (size_t)(rows * b->n) + 1);
  s->energy = rt_alloc(rt, (size_t)(rows + 1) * sizeof *s->energy);
  if (s->spin && s->energy) return RT_OK;
  batch_samples_free(rt, s);
  return rt->error.status;
}

/* ---- what a thread works with -------------------------------------------------- */

typedef struct {
  BatchWalk walk;
  double *field, *spin;    /* [n] f_i of the descent; s_i                          */
  float *middle;           /* [n + m] coefficients, for their median               */
  int64_t loaded;          /* problem whose couplings are in walk.w                */
  char *memory;
} Thread;

static int64_t padded(const Batch *b) { return (b->n / BATCH_LANES + 1) * BATCH_LANES; }

/* In units of 64 bytes, so that every part is aligned. */
static size_t part(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t thread_bytes(const Batch *b) {
  const size_t p = (size_t)padded(b);
  return part((size_t)b->n_block * 64 + 64) + part((size_t)b->n_single * 4 + 4) + 3 * part(p * 4) +
         2 * part(p * 8) + part((size_t)(b->n + b->m + 1) * 4) + 64;
}

static bool thread_make(Rt *rt, Thread *t, const Batch *b) {
  *t = (Thread){.walk.b = b, .loaded = -1};
  const size_t p = (size_t)padded(b);
  t->memory = rt_alloc(rt, thread_bytes(b));
  if (!t->memory) return false;
  char *at = t->memory + (64 - (uintptr_t)t->memory % 64) % 64;
  t->walk.w = (float *)(void *)at, at += part((size_t)b->n_block * 64 + 64);
  t->walk.ws = (float *)(void *)at, at += part((size_t)b->n_single * 4 + 4);
  t->walk.g = (float *)(void *)at, at += part(p * 4);
  t->walk.up = (uint32_t *)(void *)at, at += part(p * 4);
  t->walk.best = (uint32_t *)(void *)at, at += part(p * 4);
  t->field = (double *)(void *)at, at += part(p * 8);
  t->spin = (double *)(void *)at, at += part(p * 8);
  t->middle = (float *)(void *)at;
  return true;
}

static void load(Thread *t, int64_t problem) {
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

static void start(Thread *t, int64_t problem, RngCall rng, int64_t row, int8_t *s) {
  BatchWalk *k = &t->walk;
  const Batch *b = k->b;
  uint32_t w[4];
  for (int q = 0; q < BATCH_LANES; q++) {
    rng_bits(rng, (uint64_t)row * 64 + (uint64_t)q, w);
    if (!(w[0] | w[1] | w[2] | w[3])) w[0] = 1;
    for (int j = 0; j < 4; j++) k->rng[j][q] = w[j];
  }
  Xoshiro x = xoshiro_seed(rng, (uint64_t)row * 64 + BATCH_LANES);
  uint32_t bits = 0;
  for (int64_t i = 0; i < b->n; i++, bits >>= 1) {
    if (i % 32 == 0) bits = xoshiro_next(&x);
    s[i] = (int8_t)((int)(bits & 1) * 2 - 1);
  }
  load(t, problem);
  batch_fields(b, problem, s, t->spin, t->field);
  memset(k->g, 0, (size_t)padded(b) * sizeof *k->g);
  memset(k->up, 0, (size_t)padded(b) * sizeof *k->up);
  for (int64_t i = 0; i < b->n; i++) {
    k->g[i] = (float)(2 * t->field[i]);
    k->up[i] = s[i] > 0 ? 0x80000000u : 0;
  }
}

static void spins_of(const uint32_t *up, int64_t n, int8_t *s) {
  for (int64_t i = 0; i < n; i++) s[i] = up[i] ? 1 : -1;
}

/* ---- descent -------------------------------------------------------------------- */

/* The spin whose flip lowers the energy most flips until none does; `off`: only spins
 * that are +1 may.  Gains that rounding can pretend do not count.               */
static void descend(Thread *t, int64_t problem, int8_t *s, bool off) {
  const Batch *b = t->walk.b;
  const double *J = b->J + problem * b->m;
  double *f = t->field;
  batch_fields(b, problem, s, t->spin, f);
  for (;;) {
    double most;
    const int64_t at = batch_steepest(b->n, t->spin, f, off, &most);
    if (at < 0 || most <= 1e-12 * (1 + fabs(b->h[problem * b->n + at]))) return;
    t->spin[at] = s[at] = (int8_t)-s[at];
    for (int32_t k = b->start[at]; k < b->start[at + 1]; k++)
      f[b->other[k]] += 2 * s[at] * J[b->edge[k]];
  }
}

/* ---- temperatures ------------------------------------------------------------------ */

static float median(float *x, int64_t n) {
  int64_t lo = 0, hi = n - 1, want = n / 2;
  while (lo < hi) {
    const float pivot = x[lo + (hi - lo) / 2];
    int64_t i = lo, j = hi;
    while (i <= j) {
      while (x[i] < pivot) i++;
      while (x[j] > pivot) j--;
      if (i > j) break;
      const float swap = x[i];
      x[i++] = x[j];
      x[j--] = swap;
    }
    if (want <= j) hi = j;
    else if (want >= i) lo = i;
    else break;
  }
  return x[want];
}

/* From the couplings, since fields mostly balance them (penalties, binaries): first 1.5
 * times the largest root mean square of a variable's coupling field in random states, 1.5
 * times the critical temperature of a random dense model; last a tenth of what flips
 * change there by a median coupling.  Without couplings fields stand for them.      */
static void temperatures(Thread *t, int64_t problem, const BatchArgs *a, double *hot,
                         double *cold) {
  const Batch *b = t->walk.b;
  const double *h = b->h + problem * b->n, *J = b->J + problem * b->m;
  double most = 0, degree = 1;
  int64_t count = 0;
  for (int64_t i = 0; i < b->n; i++) {
    double sum = 0;
    for (int32_t k = b->start[i]; k < b->start[i + 1]; k++) sum += J[b->edge[k]] * J[b->edge[k]];
    if (sum > most) most = sum;
  }
  for (int64_t k = 0; k < b->m; k++)
    if (J[k] != 0) t->middle[count++] = (float)fabs(J[k]);
  if (count) degree = fmax(1, 2 * (double)count / (double)b->n);
  for (int64_t i = 0; i < b->n && most == 0; i++)
    if (h[i] != 0) t->middle[count++] = (float)fabs(h[i]);
  *cold = isnan(a->cold) ? count ? 0.2 * median(t->middle, count) * sqrt(degree) : 1 : a->cold;
  *hot = isnan(a->hot) ? most > 0 ? 1.5 * sqrt(most) : *cold : a->hot;
  if (!(*hot > 0)) *hot = 1;
  if (!(*cold > 0) || *cold > *hot) *cold = *hot;
}

/* ---- the methods -------------------------------------------------------------------- */

typedef struct {
  const Batch *b;
  const BatchArgs *a;
  const BatchKernels *kernels;
  Thread *thread;
  BatchSamples *out;
  uint8_t *better;         /* [rows, LOCKSTEP_STEPS]                                 */
  int64_t first, steps;    /* number of this group's first row; temperatures to walk */
} Job;

static void anneal_row(const Job *j, Thread *t, int64_t problem, int64_t row, int8_t *s) {
  double hot, cold;
  temperatures(t, problem, j->a, &hot, &cold);
  start(t, problem, j->a->rng, row, s);
  const int64_t sweeps = j->a->sweeps;
  const double factor = sweeps > 1 ? pow(cold / hot, 1 / (double)(sweeps - 1)) : 1;
  for (int64_t k = 0; k < sweeps; k++, hot *= factor) j->kernels->sweep(&t->walk, (float)hot);
  spins_of(t->walk.up, j->b->n, s);
  descend(t, problem, s, false);
}

static int run_rows(void *job, int64_t first, int64_t end, int lane) {
  const Job *j = job;
  Thread *t = &j->thread[lane];
  for (int64_t r = j->first + first; r < j->first + end; r++) {
    const int64_t problem = r / j->a->reads;
    int8_t *s = j->out->spin + r * j->b->n;
    switch (j->a->method) {
    case BATCH_ANNEAL: anneal_row(j, t, problem, r, s); break;
    case BATCH_LOCKSTEP:
    case BATCH_LOCKSTEP_BOTH:
      start(t, problem, j->a->rng, r, s);
      j->kernels->lockstep(&t->walk, j->steps, j->better + r * LOCKSTEP_STEPS);
      spins_of(t->walk.best, j->b->n, s);
      descend(t, problem, s, j->a->method == BATCH_LOCKSTEP);
      break;
    default:
      start(t, problem, j->a->rng, r, s);
      descend(t, problem, s, false);
    }
    j->out->energy[r] = batch_energy_of(j->b, problem, s, t->spin);
  }
  return 0;
}

static RtStatus run_all(Rt *rt, Job *j) {
  const int64_t rows = j->out->problems * j->out->reads;
  for (j->first = 0; j->first < rows; j->first += GROUP) {
    RT_TRY(rt_poll(rt));
    parallel_for(j->a->threads, rows - j->first < GROUP ? rows - j->first : GROUP, 1, run_rows, j);
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

static RtStatus run_threads(Rt *rt, Job *j) {
  const int threads = j->a->threads > 1 ? j->a->threads : 1;
  j->thread = rt_alloc0(rt, (size_t)threads * sizeof *j->thread);
  if (!j->thread) return rt->error.status;
  RtStatus st = RT_OK;
  for (int k = 0; k < threads && !st; k++)
    if (!thread_make(rt, &j->thread[k], j->b)) st = rt->error.status;
  const bool together = j->a->method == BATCH_LOCKSTEP || j->a->method == BATCH_LOCKSTEP_BOTH;
  if (!st) st = together ? run_lockstep(rt, j) : run_all(rt, j);
  if (j->a->method == BATCH_ANNEAL) j->out->steps = j->a->sweeps;
  for (int k = 0; k < threads; k++)
    if (j->thread[k].memory) rt_free(rt, j->thread[k].memory, thread_bytes(j->b));
  rt_free(rt, j->thread, (size_t)threads * sizeof *j->thread);
  return st;
}

/* One row each: the minimum, as often as rows are asked for. */
static RtStatus enumerate(Rt *rt, const Batch *b, const BatchArgs *a, BatchSamples *out) {
  SamplerArgs args;
  sampler_args_init(&args);
  args.threads = a->threads;
  for (int64_t p = 0; p < b->problems; p++) {
    Ising one;
    Samples s = {0};
    RT_TRY(rt_poll(rt));
    RT_TRY(batch_ising(rt, b, p, &one));
    RtStatus st = exact_gray(rt, &one, &args, 1, &s);
    for (int64_t r = 0; r < a->reads && !st; r++) {
      memcpy(out->spin + (p * a->reads + r) * b->n, s.spin, (size_t)b->n);
      out->energy[p * a->reads + r] = batch_energy(b, p, s.spin);
    }
    samples_free(rt, &s);
    ising_free(rt, &one);
    RT_TRY(st);
  }
  return RT_OK;
}

RtStatus batch_sample_level(Rt *rt, const Batch *b, const BatchArgs *a, const BatchKernels *kernels,
                            BatchSamples *out) {
  *out = (BatchSamples){0};
  if (a->reads < 1 || (a->method == BATCH_ANNEAL && a->sweeps < 1))
    return rt_fail(rt, RT_ERROR, "reads and sweeps must be positive");
  if (a->method == BATCH_EXACT && b->n > BATCH_EXACT_MAX)
    return rt_fail(rt, RT_ERROR, "a batch is enumerated up to %d variables, found %lld",
                   BATCH_EXACT_MAX, (long long)b->n);
  RT_TRY(batch_check(rt, b));
  RT_TRY(samples_new(rt, b, a->reads, out));
  RtStatus st = RT_OK;
  if (b->n == 0)
    for (int64_t r = 0; r < b->problems * a->reads; r++) out->energy[r] = b->offset[r / a->reads];
  else if (a->method == BATCH_EXACT) st = enumerate(rt, b, a, out);
  else st = run_threads(rt, &(Job){.b = b, .a = a, .kernels = kernels, .out = out});
  if (st) batch_samples_free(rt, out);
  return st;
}

RtStatus batch_sample(Rt *rt, const Batch *b, const BatchArgs *a, BatchSamples *out) {
  return batch_sample_level(rt, b, a, batch_kernels_best(), out);
}

/* ---- as a sampler of one problem ------------------------------------------------------ */

RtStatus sample_lockstep(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  const double begin = rt_now();
  int32_t *uv = rt_alloc(rt, (size_t)(2 * p->m + 1) * sizeof *uv);
  BatchSamples rows = {0};
  Batch b = {0};
  BatchArgs args;
  int64_t at = 0;
  *out = (Samples){0};
  if (!uv) return rt->error.status;
  for (int32_t i = 0; i < p->n; i++)
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
      if (p->other[k] > i) uv[2 * at] = i, uv[2 * at++ + 1] = p->other[k];
  RtStatus st = batch_make(rt, &b, 1, p->n, p->m, uv);
  rt_free(rt, uv, (size_t)(2 * p->m + 1) * sizeof *uv);
  if (st) return st;
  b.offset[0] = p->offset;
  memcpy(b.h, p->h, (size_t)p->n * sizeof *b.h);
  at = 0;
  for (int32_t i = 0; i < p->n; i++)
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
      if (p->other[k] > i) b.J[at++] = p->J[k];
  batch_args_init(&args);
  args.method = a->both ? BATCH_LOCKSTEP_BOTH : BATCH_LOCKSTEP;
  args.rng = a->rng;
  args.threads = a->threads;
  if (a->reads) args.reads = a->reads;
  st = batch_sample(rt, &b, &args, &rows);
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
