/* chains.c: independent reads, 64 lanes a block, blocks side by side on threads.
 *
 * A block's generators are seeded from (call, block) and all its lanes are always
 * run, so that read r does not depend on how many reads or threads there are.
 * Blocks advance in waves of one block a thread, in stretches of sweeps between
 * which the caller's thread polls, reports progress and looks at the clock.    */
#include "runtime/binary/chains.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/schedule.h"

#define STRETCH_UPDATES 3e7      /* of a block, between two looks at the clock  */
#define QUENCH_SWEEPS 10000      /* more than any model with exact fields takes */

typedef struct {
  const Ising *p;
  const SamplerArgs *a;
  const ChainPlan *plan;
  LaneModel model;
  Lanes *lanes;           /* [wave]                                           */
  double **field;         /* [wave][n]: scratch of the last descent           */
  int64_t wave, first;    /* blocks side by side; number of the wave's first  */
  int64_t from, to;       /* sweeps of this stretch                           */
  Samples *out;
} Chains;

static double beta_at(const ChainPlan *q, int64_t sweep) {
  if (q->betas) return q->betas[sweep * q->n_beta / q->sweeps];
  if (q->sweeps < 2 || q->hot == q->cold) return q->cold;
  double u = (double)sweep / (double)(q->sweeps - 1);
  return q->hot * pow(q->cold / q->hot, q->schedule ? schedule_s(q->schedule, u) : u);
}

static void start(const Chains *c, Lanes *l, int64_t block) {
  const SamplerArgs *a = c->a;
  lanes_seed(l, a->rng, block);
  if (!a->initial) {
    lanes_random(l);
    return;
  }
  for (int k = 0; k < LANES; k++)
    lanes_put(l, k, a->initial + (block * LANES + k) % a->initial_rows * c->p->n);
  lanes_fields(l);
}

static int advance(void *job, int64_t first, int64_t end, int thread) {
  Chains *c = job;
  LaneRule rule;
  for (int64_t b = first; b < end; b++) {
    Lanes *l = &c->lanes[b];
    double last = NAN;
    if (c->from == 0) start(c, l, c->first + b);
    for (int64_t s = c->from; s < c->to; s++) {
      double beta = beta_at(c->plan, s);
      if (beta != last) lane_rule(&rule, &c->model, c->plan->move, beta);
      last = beta;
      lanes_sweep(l, &rule, 0, c->p->n);
    }
  }
  return 0;
}

/* Local minima, rows and energies of a wave's blocks. */
static int finish(void *job, int64_t first, int64_t end, int thread) {
  Chains *c = job;
  for (int64_t b = first; b < end; b++) {
    Lanes *l = &c->lanes[b];
    int64_t row = (c->first + b) * LANES, left = c->plan->reads - row;
    int count = left < LANES ? (int)left : LANES;
    int8_t *spin = c->out->spin + row * c->p->n;
    double *energy = c->out->energy + row, e[LANES];
    if (c->plan->quench) lanes_quench(l, c->model.exact ? QUENCH_SWEEPS : 20);
    lanes_get_all(l, count, spin);
    if (c->model.exact && !(c->plan->quench && c->p->n <= SETTLE_PAIRS)) {
      lanes_energies(l, e);
      memcpy(energy, e, (size_t)count * sizeof *e);
      continue;
    }
    for (int k = 0; k < count; k++, spin += c->p->n)
      energy[k] =
          c->plan->quench ? ising_settle_pairs(c->p, spin, c->field[b]) : ising_energy(c->p, spin);
  }
  return 0;
}

double ising_settle(const Ising *p, int8_t *s, double *f) {
  ising_fields(p, s, f);
  for (bool moved = true; moved;) {
    moved = false;
    for (int64_t i = 0; i < p->n; i++) {
      /* a gain below what rounding can pretend could come again for ever */
      if (s[i] * f[i] <= 1e-12 * (1 + fabs(f[i]))) continue;
      double twice = -2 * s[i];
      for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) f[p->other[k]] += twice * p->J[k];
      s[i] = (int8_t)-s[i];
      moved = true;
    }
  }
  return ising_energy(p, s);
}

/* The pair whose flip together lowers the energy most, as far as rounding can tell. */
static bool best_pair(const Ising *p, const int8_t *s, const double *f, int64_t *u, int64_t *v) {
  double most = 0;
  for (int64_t i = 0; i < p->n; i++) {
    int64_t k = p->start[i];
    for (int64_t j = 0; j < i; j++) {
      while (k < p->start[i + 1] && p->other[k] < j) k++;
      const double J = k < p->start[i + 1] && p->other[k] == j ? p->J[k] : 0;
      const double gain = s[i] * f[i] + s[j] * f[j] - 2 * s[i] * s[j] * J;
      if (gain <= most || gain <= 1e-12 * (1 + fabs(f[i]) + fabs(f[j]) + fabs(J))) continue;
      most = gain;
      *u = i;
      *v = j;
    }
  }
  return most > 0;
}

double ising_settle_pairs(const Ising *p, int8_t *s, double *f) {
  int64_t u, v;
  double e = ising_settle(p, s, f);
  while (p->n <= SETTLE_PAIRS && best_pair(p, s, f, &u, &v)) {
    s[u] = (int8_t)-s[u];
    s[v] = (int8_t)-s[v];
    e = ising_settle(p, s, f);
  }
  return e;
}

/* One wave from start to end; *late: time ran out in it. */
static RtStatus run_wave(Rt *rt, Chains *c, int64_t wave, double share, double each, double until,
                         bool *late) {
  const ChainPlan *q = c->plan;
  int64_t step = (int64_t)(STRETCH_UPDATES / (double)(LANES * (c->p->n + 1))) + 1;
  for (c->from = 0; c->from < q->sweeps && !*late; c->from = c->to) {
    c->to = c->from + step < q->sweeps ? c->from + step : q->sweeps;
    parallel_for(c->a->threads, wave, 1, advance, c);
    c->out->updates += (double)(c->to - c->from) * (double)(wave * LANES) * (double)c->p->n;
    RT_TRY(rt_poll(rt));
    if (c->a->progress)
      c->a->progress(c->a->user, share + each * (double)c->to / (double)q->sweeps);
    *late = until > 0 && rt_now() > until;
  }
  parallel_for(c->a->threads, wave, 1, finish, c);
  return RT_OK;
}

/* Blocks of this wave up to and with the first that reached the target. */
static int64_t reached(const Chains *c, int64_t wave) {
  double target = c->a->target;
  for (int64_t b = 0; b < wave; b++) {
    int64_t row = (c->first + b) * LANES, end = row + LANES;
    for (; row < end && row < c->plan->reads; row++)
      if (c->out->energy[row] <= target) return b + 1;
  }
  return 0;
}

static RtStatus run(Rt *rt, Chains *c, double began) {
  const ChainPlan *q = c->plan;
  int64_t blocks = (q->reads + LANES - 1) / LANES, done = 0;
  double until = c->a->seconds > 0 ? began + c->a->seconds : 0;
  bool late = false;
  while (done < blocks && !late) {
    int64_t wave = blocks - done < c->wave ? blocks - done : c->wave, hit = 0;
    c->first = done;
    double share = (double)done / (double)blocks, each = (double)wave / (double)blocks;
    RT_TRY(run_wave(rt, c, wave, share, each, until, &late));
    if (!isnan(c->a->target)) hit = reached(c, wave);
    done += hit ? hit : wave;
    if (hit) break;
  }
  return samples_keep(rt, c->out, done * LANES < q->reads ? done * LANES : q->reads);
}

static void close_chains(Rt *rt, Chains *c) {
  for (int64_t b = 0; b < c->wave; b++) {
    if (c->lanes) lanes_free(rt, &c->lanes[b]);
    if (c->field && c->field[b]) rt_free(rt, c->field[b], (size_t)c->p->n * sizeof(double) + 1);
  }
  rt_free(rt, c->lanes, (size_t)c->wave * sizeof *c->lanes);
  rt_free(rt, c->field, (size_t)c->wave * sizeof *c->field);
  lane_model_free(rt, &c->model);
}

static RtStatus open_chains(Rt *rt, Chains *c) {
  RT_TRY(lane_model_make(rt, &c->model, c->p, c->plan->precision));
  c->lanes = rt_alloc0(rt, (size_t)c->wave * sizeof *c->lanes);
  c->field = rt_alloc0(rt, (size_t)c->wave * sizeof *c->field);
  if (!c->lanes || !c->field) return rt->error.status;
  for (int64_t b = 0; b < c->wave; b++) {
    RT_TRY(lanes_make(rt, &c->lanes[b], &c->model));
    if ((!c->model.exact || c->p->n <= SETTLE_PAIRS) &&
        !(c->field[b] = rt_alloc(rt, (size_t)c->p->n * sizeof(double) + 1)))
      return rt->error.status;
  }
  return RT_OK;
}

RtStatus chains_run(Rt *rt, const Ising *p, const SamplerArgs *a, const ChainPlan *plan,
                    Samples *out) {
  double began = rt_now();
  int64_t blocks = (plan->reads + LANES - 1) / LANES, wave = a->threads > 1 ? a->threads : 1;
  Chains c = {.p = p, .a = a, .plan = plan, .wave = wave < blocks ? wave : blocks, .out = out};
  RT_TRY(samples_make(rt, out, plan->reads, p->n));
  RtStatus st = open_chains(rt, &c);
  if (!st) st = run(rt, &c, began);
  close_chains(rt, &c);
  if (st) {
    samples_free(rt, out);
    return st;
  }
  out->beta_hot = plan->betas ? plan->betas[0] : plan->hot;
  out->beta_cold = plan->betas ? plan->betas[plan->n_beta - 1] : plan->cold;
  out->seconds = rt_now() - began;
  return RT_OK;
}

/* ---- arguments --------------------------------------------------------------- */

static RtStatus bad_beta(Rt *rt, const char *who, const char *what, double x) {
  rt_fail(rt, RT_ERROR, "%s: %s is %g; an inverse temperature is a number from 0 up", who, what, x);
  rt_help(rt, "leave it out to have it chosen from the problem");
  return RT_ERROR;
}

RtStatus chains_args(Rt *rt, const Ising *p, const SamplerArgs *a, const char *who, ChainPlan *q) {
  if (a->reads < 0)
    return rt_fail(rt, RT_ERROR, "%s: reads is %lld; it counts from 1", who, (long long)a->reads);
  if (a->sweeps < 0)
    return rt_fail(rt, RT_ERROR, "%s: sweeps is %lld; it counts from 1", who, (long long)a->sweeps);
  if (a->initial && a->initial_rows < 1)
    return rt_fail(rt, RT_ERROR, "%s: the initial states have no rows", who);
  q->reads = a->reads ? a->reads : LANES;
  q->sweeps = a->sweeps ? a->sweeps : 1000;
  q->betas = a->betas;
  q->n_beta = a->n_beta;
  if (!a->betas) return RT_OK;
  if (a->n_beta < 1) return rt_fail(rt, RT_ERROR, "%s: the schedule of betas is empty", who);
  for (int64_t i = 0; i < a->n_beta; i++)
    if (!(a->betas[i] >= 0)) return bad_beta(rt, who, "a beta of the schedule", a->betas[i]);
  if (!a->sweeps) q->sweeps = a->n_beta;
  return RT_OK;
}

/* ---- the samplers ------------------------------------------------------------- */

RtStatus sample_anneal(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  bool faithful = a->boltzmann > 0;
  ChainPlan q = {.move = LANE_METROPOLIS, .precision = faithful ? LANE_FAITHFUL : LANE_SEARCH,
                 .quench = !faithful, .hot = a->beta_hot, .cold = a->beta_cold};
  *out = (Samples){0};
  RT_TRY(chains_args(rt, p, a, "anneal", &q));
  q.schedule = a->schedule;
  if (q.schedule) RT_TRY(schedule_check(rt, q.schedule));
  if (!q.betas) {
    double hot, cold;
    if (isnan(q.hot) || isnan(q.cold)) {
      RT_TRY(sampler_betas(rt, p, a->rng, &hot, &cold));
      if (isnan(q.hot)) q.hot = isnan(q.cold) ? hot : fmin(hot, q.cold);
      if (isnan(q.cold)) q.cold = fmax(cold, q.hot);
    }
    if (!(q.hot > 0) || isinf(q.hot)) return bad_beta(rt, "anneal", "the first beta", q.hot);
    if (!(q.cold > 0) || isinf(q.cold)) return bad_beta(rt, "anneal", "the last beta", q.cold);
  }
  RT_TRY(chains_run(rt, p, a, &q, out));
  snprintf(out->note, sizeof out->note, "annealing, %lld sweeps, beta %.3g to %.3g%s",
           (long long)q.sweeps, out->beta_hot, out->beta_cold, q.quench ? ", then descent" : "");
  return RT_OK;
}

RtStatus sample_gibbs(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  double beta = isnan(a->beta) ? 1 : a->beta;
  ChainPlan q = {.move = LANE_HEATBATH, .precision = LANE_FAITHFUL, .hot = beta, .cold = beta};
  *out = (Samples){0};
  RT_TRY(chains_args(rt, p, a, "gibbs", &q));
  if (!(beta >= 0) || isinf(beta)) return bad_beta(rt, "gibbs", "beta", beta);
  RT_TRY(chains_run(rt, p, a, &q, out));
  snprintf(out->note, sizeof out->note, "heat bath, %lld sweeps at beta %.4g", (long long)q.sweeps,
           out->beta_cold);
  return RT_OK;
}
