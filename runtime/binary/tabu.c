/* tabu.c: sample_tabu(): one-flip tabu search with restarts from perturbed minima.
 *
 * Couplings become integers below 2^30 (exact where they are integers, rounded to
 * 30 bits of the largest field otherwise), so that gains never drift; energies
 * of rows are evaluated anew.  A phase flips the best spin that is not tabu, or any
 * that gives a new best, until nothing has improved for a while; then the phase's
 * best state is perturbed and searched again.
 * Sources: Palubeckis, Informatica 17, 279 (2006) (iterated tabu search); Glover,
 * Lu, Hao, 4OR 8, 239 (2010) (tenure, length of phases).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/chains.h"
#include "runtime/binary/gains.h"
#include "runtime/binary/xoshiro.h"

#define DENSE_SHARE 0.3         /* of all pairs: from here on whole rows        */
#define DENSE_BYTES (512 << 20) /* and no more memory than this for them        */
#define STRETCH_FLIPS 200000    /* of a read, between two looks at the clock    */
#define CANDIDATES 5            /* a perturbation takes one of so many best     */

typedef struct {
  const Ising *p;
  const GainKernels *k;
  int64_t pad;            /* n, padded                                        */
  double scale;
  int32_t *w;             /* [2 m] 2 J scaled, beside p->other                */
  int32_t *h;             /* [n] scaled                                       */
  int32_t *row;           /* [n][pad] the same as rows, or NULL               */
  int64_t tenure, patience;
  int32_t spread;         /* the tenure is up to spread - 1 longer            */
} Model;

typedef struct {
  int32_t *gain, *until, *spin;   /* [pad]; spins +1, -1                      */
  int8_t *best;           /* [n] of the read                                  */
  int8_t *base;           /* [n] of the phase                                 */
  int64_t energy, best_energy, base_energy;   /* scaled, without the offset */
  bool fresh_best, fresh_base;    /* better than what is stored              */
  int32_t now, stall;
  GainMin least;
  int64_t flips;
  Xoshiro rng;
} Search;

typedef struct {
  const SamplerArgs *a;
  Model m;
  Search *search;         /* [wave]                                           */
  double *field;          /* [wave][n]                                        */
  int64_t wave, first, stretch, target;
  bool started;
  int64_t budget;         /* flips of a read                                  */
  Samples *out;
} Tabu;

/* ---- model --------------------------------------------------------------------- */

static void model_free(Rt *rt, Model *m) {
  if (!m->p) return;
  size_t n = (size_t)m->p->n;
  rt_free(rt, m->w, 2 * (size_t)m->p->m * 4 + 1);
  rt_free(rt, m->h, n * 4 + 1);
  rt_free(rt, m->row, n * (size_t)m->pad * 4 + 1);
}

static RtStatus model_make(Rt *rt, Model *m, const Ising *p, const SamplerArgs *a) {
  IsingScale s;
  ising_scale(p, &s);
  *m = (Model){.p = p, .k = gain_kernels(), .scale = s.scale};
  m->pad = (p->n + GAIN_PAD - 1) / GAIN_PAD * GAIN_PAD;
  double room = 0x1p30 - (double)(s.max_degree + 1);
  if (!s.integer || s.max_field * s.scale > room)
    m->scale = s.max_field > 0 ? fmin(room / s.max_field, 0x1p1000) : 1;
  m->tenure = a->tenure ? a->tenure : p->n / 100 + 10;
  if (m->tenure >= p->n / 4) m->tenure = p->n < 12 ? p->n / 2 : p->n / 4;
  m->spread = p->n / 4 < 9 ? (int32_t)(p->n / 4) + 1 : 10;
  m->patience = 5 * p->n + 200;
  size_t n = (size_t)p->n;
  m->w = rt_alloc(rt, 2 * (size_t)p->m * 4 + 1);
  m->h = rt_alloc(rt, n * 4 + 1);
  if (!m->w || !m->h) return rt->error.status;
  for (int64_t i = 0; i < p->n; i++) m->h[i] = (int32_t)rint(p->h[i] * m->scale);
  for (int64_t k = 0; k < 2 * p->m; k++) m->w[k] = 2 * (int32_t)rint(p->J[k] * m->scale);
  double pairs = 0.5 * (double)p->n * (double)(p->n - 1);
  double bytes = (double)n * (double)m->pad * 4;
  if ((double)p->m < DENSE_SHARE * pairs || bytes > DENSE_BYTES) return RT_OK;
  if (!(m->row = rt_alloc0(rt, n * (size_t)m->pad * 4 + 1))) return rt->error.status;
  for (int64_t i = 0; i < p->n; i++)
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
      m->row[i * m->pad + p->other[k]] = m->w[k];
  return RT_OK;
}

/* ---- moves ---------------------------------------------------------------------- */

static void flip(const Model *m, Search *s, int64_t k) {
  s->energy += 2 * (int64_t)s->gain[k];
  s->gain[k] = -s->gain[k];
  int32_t sign = s->spin[k] = -s->spin[k];
  if (m->row) {
    s->least = m->k->flip(s->gain, m->row + k * m->pad, s->spin, sign, s->until, s->now, m->pad);
    return;
  }
  const Ising *p = m->p;
  for (int64_t j = p->start[k]; j < p->start[k + 1]; j++) {
    int32_t i = p->other[j];
    s->gain[i] -= m->w[j] * sign * s->spin[i];
  }
  s->least = m->k->least(s->gain, s->until, s->now, m->pad);
}

static void note_best(const Model *m, Search *s) {
  if (s->energy < s->base_energy) {
    s->base_energy = s->energy;
    s->fresh_base = true;
    s->stall = 0;
  }
  if (s->energy < s->best_energy) {
    s->best_energy = s->energy;
    s->fresh_best = true;
  }
}

/* Stores what is about to be left. */
static void store(const Model *m, Search *s) {
  if (s->fresh_base)
    for (int64_t i = 0; i < m->p->n; i++) s->base[i] = (int8_t)s->spin[i];
  if (s->fresh_best)
    for (int64_t i = 0; i < m->p->n; i++) s->best[i] = (int8_t)s->spin[i];
  s->fresh_base = s->fresh_best = false;
}

static void restart_clock(const Model *m, Search *s) {
  memset(s->until, 0, (size_t)m->p->n * sizeof *s->until);
  s->now = 1;
  s->stall = 0;
  s->least = m->k->least(s->gain, s->until, s->now, m->pad);
}

static int64_t pick(const Model *m, Search *s) {
  int64_t n = m->p->n, from = xoshiro_below(&s->rng, (uint32_t)m->pad);
  bool free = s->least.free != GAIN_NEVER;
  /* a tabu flip is allowed when it leads below everything seen */
  if (s->least.all < s->least.free && s->energy + 2 * (int64_t)s->least.all < s->best_energy)
    free = false;
  else if (!free)
    return xoshiro_below(&s->rng, (uint32_t)n);
  int32_t value = free ? s->least.free : s->least.all;
  return m->k->find(s->gain, s->until, s->now, m->pad, from, value, free);
}

static void tabu_step(const Model *m, Search *s) {
  int64_t k = pick(m, s);
  if (s->gain[k] >= 0) store(m, s);
  s->now++;
  s->until[k] = s->now + (int32_t)m->tenure + (int32_t)xoshiro_below(&s->rng, (uint32_t)m->spread);
  flip(m, s, k);
  s->flips++;
  s->stall++;
  note_best(m, s);
}

/* From the phase's best: r flips, each one of the few least costly of those not
 * flipped yet.                                                                */
static void perturb(const Model *m, Search *s) {
  int64_t n = m->p->n;
  store(m, s);
  memset(s->until, 0, (size_t)n * sizeof *s->until);
  s->now = 1;
  s->least = m->k->least(s->gain, s->until, s->now, m->pad);
  for (int64_t i = 0; i < n; i++)
    if (s->spin[i] != s->base[i]) {
      flip(m, s, i);
      s->flips++;
    }
  int64_t low = n < 40 ? (n + 3) / 4 : 10, high = n < 40 ? (n + 1) / 2 : n / 10;
  if (high < low) high = low;
  int64_t r = low + xoshiro_below(&s->rng, (uint32_t)(high - low + 1));
  for (; r > 0 && s->least.free != GAIN_NEVER; r--, s->flips++) {
    int64_t chosen = -1, taken[CANDIDATES];
    int want = (int)xoshiro_below(&s->rng, CANDIDATES), have = 0;
    for (; have <= want && s->least.free != GAIN_NEVER; have++) {   /* the want-th least */
      int64_t from = xoshiro_below(&s->rng, (uint32_t)m->pad);
      chosen = m->k->find(s->gain, s->until, s->now, m->pad, from, s->least.free, true);
      taken[have] = chosen;
      s->until[chosen] = INT32_MAX;
      if (have < want) s->least = m->k->least(s->gain, s->until, s->now, m->pad);
    }
    for (int i = 0; i + 1 < have; i++) s->until[taken[i]] = 0;
    flip(m, s, chosen);
  }
  s->base_energy = INT64_MAX;
  note_best(m, s);
  restart_clock(m, s);
}

/* ---- reads ----------------------------------------------------------------------- */

static void begin(const Tabu *t, Search *s, int64_t read) {
  const Model *m = &t->m;
  const Ising *p = m->p;
  s->rng = xoshiro_seed(t->a->rng, (uint64_t)read);
  const int8_t *initial =
      t->a->initial ? t->a->initial + read % t->a->initial_rows * p->n : NULL;
  int64_t twice = 0;
  for (int64_t i = 0; i < m->pad; i++) {
    s->until[i] = i < p->n ? 0 : INT32_MAX;
    s->gain[i] = GAIN_NEVER;
    s->spin[i] = 1;
    if (i < p->n) s->spin[i] = (initial ? initial[i] > 0 : xoshiro_next(&s->rng) >> 31) ? 1 : -1;
  }
  for (int64_t i = 0; i < p->n; i++) {
    int64_t f = 0;
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) f += m->w[k] / 2 * s->spin[p->other[k]];
    s->gain[i] = (int32_t)(-s->spin[i] * (f + m->h[i]));
    twice += s->spin[i] * (f + 2 * (int64_t)m->h[i]);
  }
  s->energy = twice / 2;          /* every coupling came from both ends */
  s->best_energy = s->base_energy = INT64_MAX;
  s->flips = 0;
  note_best(m, s);
  restart_clock(m, s);
}

static int advance(void *job, int64_t first, int64_t end, int thread) {
  Tabu *t = job;
  const Model *m = &t->m;
  for (int64_t b = first; b < end; b++) {
    Search *s = &t->search[b];
    if (!t->started) begin(t, s, t->first + b);
    int64_t until = s->flips + t->stretch;
    if (until > t->budget) until = t->budget;
    while (s->flips < until && s->best_energy > t->target) {
      if (s->stall > m->patience) perturb(m, s);
      tabu_step(m, s);
    }
  }
  return 0;
}

static int finish(void *job, int64_t first, int64_t end, int thread) {
  Tabu *t = job;
  const Ising *p = t->m.p;
  for (int64_t b = first; b < end; b++) {
    store(&t->m, &t->search[b]);
    int8_t *spin = t->out->spin + (t->first + b) * p->n;
    memcpy(spin, t->search[b].best, (size_t)p->n);
    t->out->energy[t->first + b] = ising_settle(p, spin, t->field + b * p->n);
  }
  return 0;
}

/* ---- the call --------------------------------------------------------------------- */

static void search_free(Rt *rt, const Model *m, Search *s) {
  size_t pad = (size_t)m->pad * 4 + 1, n = (size_t)m->p->n + 1;
  rt_free(rt, s->gain, pad);
  rt_free(rt, s->until, pad);
  rt_free(rt, s->spin, pad);
  rt_free(rt, s->best, n);
  rt_free(rt, s->base, n);
}

static RtStatus search_make(Rt *rt, const Model *m, Search *s) {
  size_t pad = (size_t)m->pad * 4 + 1, n = (size_t)m->p->n + 1;
  s->gain = rt_alloc(rt, pad);
  s->until = rt_alloc(rt, pad);
  s->spin = rt_alloc(rt, pad);
  s->best = rt_alloc(rt, n);
  s->base = rt_alloc(rt, n);
  return s->gain && s->until && s->spin && s->best && s->base ? RT_OK : rt->error.status;
}

static RtStatus open_tabu(Rt *rt, Tabu *t, const Ising *p) {
  RT_TRY(model_make(rt, &t->m, p, t->a));
  t->search = rt_alloc0(rt, (size_t)t->wave * sizeof *t->search);
  t->field = rt_alloc(rt, (size_t)(t->wave * p->n + 1) * sizeof *t->field);
  if (!t->search || !t->field) return rt->error.status;
  for (int64_t b = 0; b < t->wave; b++) RT_TRY(search_make(rt, &t->m, &t->search[b]));
  return RT_OK;
}

static void close_tabu(Rt *rt, Tabu *t, const Ising *p) {
  for (int64_t b = 0; t->search && b < t->wave; b++) search_free(rt, &t->m, &t->search[b]);
  rt_free(rt, t->search, (size_t)t->wave * sizeof *t->search);
  rt_free(rt, t->field, (size_t)(t->wave * p->n + 1) * sizeof *t->field);
  model_free(rt, &t->m);
}

/* The scaled energy from which on a state is as good as a->target; what rounding
 * the couplings may have moved is forgiven.                                    */
static int64_t scaled_target(const Ising *p, const Model *m, double target) {
  if (isnan(target)) return INT64_MIN;
  double x = (target - p->offset) * m->scale;
  IsingScale s;
  ising_scale(p, &s);
  double slack = s.integer && m->scale == s.scale ? 1e-6 : sqrt((double)(p->n + p->m));
  return fabs(x) < 0x1p62 ? (int64_t)floor(x + slack) : x < 0 ? INT64_MIN : INT64_MAX;
}

/* One wave; how many of its reads count: up to the first that reached the target. */
static RtStatus run_wave(Rt *rt, Tabu *t, int64_t wave, int64_t reads, double until, bool *late,
                         bool *hit) {
  t->started = false;
  for (int64_t done = 0; done < t->budget && !*late; done += t->stretch) {
    parallel_for(t->a->threads, wave, 1, advance, t);
    t->started = true;
    RT_TRY(rt_poll(rt));
    double share = (double)done / (double)t->budget;
    if (t->a->progress)
      t->a->progress(t->a->user, ((double)t->first + (double)wave * share) / (double)reads);
    *late = until > 0 && rt_now() > until;
    if (t->search[0].best_energy <= t->target) break;   /* those after it do not count */
  }
  parallel_for(t->a->threads, wave, 1, finish, t);
  for (int64_t b = 0; b < wave; b++)
    t->out->updates += (double)t->search[b].flips * (double)t->m.p->n;
  for (int64_t b = 0; b < wave && !*hit; b++) {
    *hit = t->search[b].best_energy <= t->target;
    t->first++;
  }
  return RT_OK;
}

static RtStatus run(Rt *rt, Tabu *t, int64_t reads, double began) {
  double until = t->a->seconds > 0 ? began + t->a->seconds : 0;
  bool late = false, hit = false;
  t->stretch = STRETCH_FLIPS / (1 + t->m.p->n / 2000) + 1;
  t->first = 0;
  while (t->first < reads && !late && !hit) {
    int64_t wave = reads - t->first < t->wave ? reads - t->first : t->wave;
    RT_TRY(run_wave(rt, t, wave, reads, until, &late, &hit));
  }
  return samples_keep(rt, t->out, t->first);
}

RtStatus sample_tabu(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  double began = rt_now();
  ChainPlan q = {0};
  *out = (Samples){0};
  RT_TRY(chains_args(rt, p, a, "tabu", &q));
  if (a->tenure < 0)
    return rt_fail(rt, RT_ERROR, "tabu: tenure is %lld; it counts flips from 1",
                   (long long)a->tenure);
  int64_t reads = a->reads ? a->reads : 16, wave = a->threads > 1 ? a->threads : 1;
  Tabu t = {.a = a, .wave = wave < reads ? wave : reads, .out = out};
  t.budget = q.sweeps < INT64_MAX / (p->n + 1) ? q.sweeps * p->n : INT64_MAX / 2;
  RT_TRY(samples_make(rt, out, reads, p->n));
  RtStatus st = open_tabu(rt, &t, p);
  if (!st) {
    t.target = scaled_target(p, &t.m, a->target);
    st = p->n ? run(rt, &t, reads, began) : RT_OK;
  }
  for (int64_t r = 0; !st && !p->n && r < reads; r++) out->energy[r] = p->offset;
  int64_t tenure = t.m.tenure;
  close_tabu(rt, &t, p);
  if (st) {
    samples_free(rt, out);
    return st;
  }
  out->seconds = rt_now() - began;
  snprintf(out->note, sizeof out->note, "tabu, %lld flips a read, tenure %lld", (long long)t.budget,
           (long long)tenure);
  return RT_OK;
}
