/* select_swap.c: annealing at a fixed number of selected tokens.
 *
 * The walk exchanges a selected token with an unselected one (Kawasaki's dynamics), so that it
 * never leaves the states of exactly k tokens and has no penalty to climb.  Each token keeps
 * g_i = -s_i + sum_j w_ij m_j; an exchange of i for j changes the energy by g_j - w_ij - g_i.
 */
#include <math.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/xoshiro.h"
#include "runtime/select/select.h"

enum {
  GROUP = 256,                  /* rows between two polls                          */
  LOOK = 16                     /* sweeps between two looks at the flag of interrupts */
};

typedef struct {
  float *w, *g;                 /* [n, n], [n]                                     */
  double *exact;                /* [n] g of the descent                            */
  int32_t *token;               /* [n] selected ones first                         */
  int8_t *best;                 /* [n]                                             */
  char *memory;
} Thread;

typedef struct {
  Rt *rt;                       /* its flag of interrupts and its deadline are looked at */
  const SelectProblem *p;
  const SelectRule *r;
  Thread *thread;
  int8_t *mask;                 /* [rows, n] the lowest, or NULL                   */
  int8_t *read;                 /* [rows, reads, n] all of them at a temperature, or NULL */
  int64_t first;
} Job;

static size_t thread_bytes(const SelectProblem *p) {
  const size_t n = (size_t)p->n;
  return 8 * n + (p->pair ? 4 * n * n : 0) + 8 * n + n;
}

static bool thread_make(Rt *rt, Thread *t, const SelectProblem *p) {
  const size_t n = (size_t)p->n;
  t->memory = rt_alloc(rt, thread_bytes(p));
  if (!t->memory) return false;
  char *at = t->memory;
  t->exact = (double *)(void *)at, at += 8 * n;
  t->w = p->pair ? (float *)(void *)at : NULL, at += p->pair ? 4 * n * n : 0;
  t->g = (float *)(void *)at, at += 4 * n;
  t->token = (int32_t *)(void *)at, at += 4 * n;
  t->best = (int8_t *)at;
  return true;
}

/* -ln u, u uniform in (0, 1]. */
static float exponential(Xoshiro *x) {
  return -logf((float)((xoshiro_next(x) >> 8) + 1) * 0x1p-24f);
}

/* Temperatures of the first and the last sweep: what an exchange may change when the others are
 * random, and a hundredth of it or the temperature to sample at. */
static void temperatures(const SelectProblem *p, const SelectRule *r, int64_t row, double *hot,
                         double *cold) {
  const int64_t n = p->n;
  const double *s = p->score + row * n, *w = p->pair ? p->pair + row * n * n : NULL;
  double mean = 0, spread = 0, pairs = 0;
  for (int64_t i = 0; i < n; i++) mean += s[i] / (double)n;
  for (int64_t i = 0; i < n; i++) spread += (s[i] - mean) * (s[i] - mean);
  for (int64_t i = 0; w && i < n * n; i++) pairs += w[i] * w[i];
  const double share = (double)p->k / (double)n;
  *hot = isnan(r->hot) ? sqrt((spread + pairs * share) / (double)n) : r->hot;
  *cold = isnan(r->cold) ? 0.01 * *hot : r->cold;
  if (!isnan(r->temperature)) *cold = r->temperature;
  if (!isnan(r->temperature) && !(*hot > *cold)) *hot = *cold;
  if (!(*hot > 0)) *hot = 1;
  if (!(*cold > 0) || *cold > *hot) *cold = *hot;
}

static void exchange(Thread *t, int64_t n, int64_t a, int64_t b) {
  const int32_t i = t->token[a], j = t->token[b];
  t->token[a] = j;
  t->token[b] = i;
  if (!t->w) return;
  const float *out = t->w + (int64_t)i * n, *in = t->w + (int64_t)j * n;
  float *g = t->g;
  for (int64_t l = 0; l < n; l++) g[l] += in[l] - out[l];
}

/* The caller polls when the group has ended; here walks only end early. */
static bool called_off(const Rt *rt) {
  if (atomic_load_explicit(&rt->interrupted, memory_order_relaxed)) return true;
  return rt->deadline > 0 && rt_now() > rt->deadline;
}

static void anneal(Thread *t, const Job *job, int64_t row, Xoshiro *x) {
  const SelectProblem *p = job->p;
  const SelectRule *r = job->r;
  const int64_t n = p->n, k = p->k;
  double hot, cold;
  temperatures(p, r, row, &hot, &cold);
  /* at a temperature the second half of the sweeps is for equilibrium there */
  const int64_t cooling = isnan(r->temperature) ? r->sweeps : (r->sweeps + 1) / 2;
  const double factor = cooling > 1 ? pow(cold / hot, 1 / (double)(cooling - 1)) : 1;
  int64_t a = 0;
  for (int64_t sweep = 0; sweep < r->sweeps; sweep++, hot = sweep < cooling ? hot * factor : cold) {
    if (sweep % LOOK == LOOK - 1 && called_off(job->rt)) return;
    const float temperature = (float)hot, most = 17 * temperature;
    for (int64_t step = 0; step < n; step++, a = a + 1 == k ? 0 : a + 1) {
      const int64_t b = k + xoshiro_below(x, (uint32_t)(n - k));
      const int32_t i = t->token[a], j = t->token[b];
      const float d = t->g[j] - t->g[i] - (t->w ? t->w[(int64_t)i * n + j] : 0);
      if (d > 0 && (d > most || d > temperature * exponential(x))) continue;
      exchange(t, n, a, b);
    }
  }
}

/* The exchange that lowers the energy most, until none does; from the coefficients themselves. */
static void descend(Thread *t, const SelectProblem *p, int64_t row) {
  const int64_t n = p->n, k = p->k;
  const double *s = p->score + row * n, *w = p->pair ? p->pair + row * n * n : NULL;
  double *g = t->exact;
  for (int64_t i = 0; i < n; i++) {
    g[i] = -s[i];
    for (int64_t a = 0; w && a < k; a++) g[i] += w[i * n + t->token[a]];
  }
  for (;;) {
    double most = 0;
    int64_t from = -1, to = -1;
    for (int64_t a = 0; a < k; a++)
      for (int64_t b = k; b < n; b++) {
        const int32_t i = t->token[a], j = t->token[b];
        const double gain = g[i] - g[j] + (w ? w[i * n + j] : 0);
        if (gain > most) most = gain, from = a, to = b;
      }
    if (from < 0 || most <= 1e-12 * (1 + fabs(g[t->token[from]]))) return;
    const int32_t i = t->token[from], j = t->token[to];
    t->token[from] = j;
    t->token[to] = i;
    for (int64_t l = 0; w && l < n; l++) g[l] += w[j * n + l] - w[i * n + l];
  }
}

static void walk(Thread *t, const Job *job, int64_t row, int64_t read) {
  const SelectProblem *p = job->p;
  const SelectRule *r = job->r;
  const int64_t n = p->n, k = p->k;
  Xoshiro x = xoshiro_seed(r->rng, (uint64_t)(row * r->reads + read));
  for (int64_t i = 0; i < n; i++) t->token[i] = (int32_t)i;
  for (int64_t i = 0; i < k; i++) {
    const int64_t j = i + xoshiro_below(&x, (uint32_t)(n - i));
    const int32_t keep = t->token[i];
    t->token[i] = t->token[j];
    t->token[j] = keep;
  }
  for (int64_t i = 0; i < n; i++) {
    float g = (float)-p->score[row * n + i];
    for (int64_t a = 0; t->w && a < k; a++) g += t->w[i * n + t->token[a]];
    t->g[i] = g;
  }
  if (k > 0 && k < n) {
    anneal(t, job, row, &x);
    if (isnan(r->temperature)) descend(t, p, row);
  }
}

static int run_rows(void *data, int64_t first, int64_t end, int lane) {
  const Job *job = data;
  const SelectProblem *p = job->p;
  Thread *t = &job->thread[lane];
  const int64_t n = p->n;
  for (int64_t row = job->first + first; row < job->first + end; row++) {
    double lowest = INFINITY;
    for (int64_t i = 0; t->w && i < n * n; i++) t->w[i] = (float)p->pair[row * n * n + i];
    for (int64_t read = 0; read < job->r->reads; read++) {
      if (read % LOOK == LOOK - 1 && called_off(job->rt)) return 0;
      walk(t, job, row, read);
      memset(t->best, 0, (size_t)n);
      for (int64_t a = 0; a < p->k; a++) t->best[t->token[a]] = 1;
      if (job->read) {
        memcpy(job->read + (row * job->r->reads + read) * n, t->best, (size_t)n);
        continue;
      }
      const double e = select_energy(p, row, t->best);
      if (e >= lowest) continue;
      lowest = e;
      memcpy(job->mask + row * n, t->best, (size_t)n);
    }
  }
  return 0;
}

static RtStatus all_rows(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *mask,
                         int8_t *read) {
  const int threads = rt->threads > 1 ? rt->threads : 1;
  Job job = {.rt = rt, .p = p, .r = r, .mask = mask, .read = read};
  job.thread = rt_alloc0(rt, (size_t)threads * sizeof *job.thread);
  if (!job.thread) return rt->error.status;
  RtStatus st = RT_OK;
  for (int q = 0; q < threads && !st; q++)
    if (!thread_make(rt, &job.thread[q], p)) st = rt->error.status;
  for (; job.first < p->rows && !st; job.first += GROUP) {
    const int64_t left = p->rows - job.first;
    st = rt_poll(rt);
    if (!st) parallel_for(threads, left < GROUP ? left : GROUP, 1, run_rows, &job);
  }
  if (!st) st = rt_poll(rt);
  for (int q = 0; q < threads; q++)
    if (job.thread[q].memory) rt_free(rt, job.thread[q].memory, thread_bytes(p));
  rt_free(rt, job.thread, (size_t)threads * sizeof *job.thread);
  return st;
}

RtStatus select_swap(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *mask) {
  return all_rows(rt, p, r, mask, NULL);
}

RtStatus select_thermal(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *read) {
  return all_rows(rt, p, r, NULL, read);
}
