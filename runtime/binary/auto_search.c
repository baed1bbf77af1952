/* auto_search.c: the choice of a sampler, and the search with it.
 *
 * Measured on max-cut, QUBO and spin-glass families: tabu search wins on dense
 * models with fields and on small dense ones; tempering wins elsewhere, also over
 * annealing.  Effort is counted in estimated nanoseconds of work, never by the
 * clock, so that a search without a time limit repeats bit for bit.
 */
#include "runtime/binary/auto.h"

#include <math.h>
#include <string.h>

#include "runtime/binary/chains.h"
#include "runtime/binary/temper.h"

enum {
  ENUMERATE = 20,         /* variables: less than any search takes             */
  ENUMERATE_PROVE = 26,   /* when no target says what is good enough           */
  SMALL = 200,
  ROUNDS_LEAST = 5000     /* of tempering, or its effort, before giving up     */
};
#define DENSE_DEGREE 12.0   /* effective; and */
#define DENSE_SHARE 0.03    /* of the variables */
#define FIELDS 0.05
#define OTHER_SHARE 0.15    /* of the effort for the sampler not chosen        */
#define PATIENCE 4.0        /* effort until an improvement, times this         */
#define GLANCE 3e5          /* ns of tabu before anything else                 */
#define FIRST 1e7           /* the same where tabu is the choice: a restart loses its way */
#define BLOCK 5e6           /* ns between two looks around                     */

AutoShape auto_shape(const Ising *p) {
  AutoShape s = {0, 0};
  double h2 = 0, all = 0;
  int64_t sites = 0;
  for (int64_t i = 0; i < p->n; i++) {
    double j2 = 0, j4 = 0;
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) {
      double x = p->J[k] * p->J[k];
      j2 += x;
      j4 += x * x;
    }
    h2 += p->h[i] * p->h[i];
    all += j2;
    if (j4 > 0) s.effective += j2 * j2 / j4;
    sites++;
  }
  if (sites) s.effective /= (double)sites;
  s.fields = all > 0 ? h2 / all : 0;
  return s;
}

AutoChoice auto_choose(const Ising *p, bool target) {
  if (p->n <= (target ? ENUMERATE : ENUMERATE_PROVE)) return AUTO_EXACT;
  AutoShape s = auto_shape(p);
  bool dense = s.effective >= DENSE_DEGREE && s.effective >= DENSE_SHARE * (double)p->n;
  return dense && (s.fields > FIELDS || p->n <= SMALL) ? AUTO_TABU : AUTO_TEMPER;
}

/* ---- the search --------------------------------------------------------------------- */

typedef struct {
  Rt *rt;
  const Ising *p;
  const AutoTask *t;
  int8_t *spin;           /* the best                                          */
  AutoResult *out;
  LaneModel model;
  Temper temper;
  bool warm;              /* model and temper are made                         */
  double flip_cost, round_cost;
  double effort, improved;      /* so far; at the last improvement             */
  double spent[2];        /* by tabu, by tempering                             */
  double tabu_next;       /* effort of the next stretch of tabu                */
  int64_t stretch;
} Search;

static bool reached(const Search *s) { return s->out->energy <= s->t->target; }

static bool late(const Search *s) { return s->t->until > 0 && rt_now() >= s->t->until; }

static void take(Search *s, const int8_t *spin, double energy) {
  if (energy >= s->out->energy) return;
  s->out->energy = energy;
  s->improved = s->effort;
  memcpy(s->spin, spin, (size_t)s->p->n);
}

static RtStatus warm_up(Search *s) {
  RT_TRY(temper_ladder(s->rt, s->p, s->t->rng, &s->out->hot, &s->out->cold));
  RT_TRY(lane_model_make(s->rt, &s->model, s->p, LANE_SEARCH));
  RtStatus st = temper_make(s->rt, &s->temper, &s->model, TEMPER_RUNGS, s->out->hot, s->out->cold, -1);
  if (st) {
    lane_model_free(s->rt, &s->model);
    return st;
  }
  s->warm = true;
  temper_start(&s->temper, s->t->rng, s->t->read, s->t->initial);
  return RT_OK;
}

static RtStatus temper_stretch(Search *s, double effort) {
  if (!s->warm) RT_TRY(warm_up(s));
  Temper *t = &s->temper;
  for (double used = 0; used < effort && !reached(s);) {
    double block = 0;
    while (block < BLOCK && used < effort && !(t->best_energy <= s->t->target)) {
      temper_round(t);
      block += s->round_cost;
      used += s->round_cost;
    }
    s->effort += block;
    s->spent[1] += block;
    s->out->updates += block / s->round_cost * LANES * (double)s->p->n;
    take(s, t->best, t->best_energy);
    RT_TRY(rt_poll(s->rt));
    if (late(s)) break;
  }
  return RT_OK;
}

static RtStatus tabu_stretch(Search *s, double effort) {
  const AutoTask *t = s->t;
  SamplerArgs a;
  sampler_args_init(&a);
  a.rng = (RngCall){rng_derive(t->rng.key, "solve tabu", (int64_t)t->rng.call), (uint64_t)(t->read << 16 | s->stretch)};
  a.reads = 1;
  a.sweeps = (int64_t)fmax(1, effort / s->flip_cost / (double)s->p->n);
  a.target = t->target;
  if (t->until > 0) a.seconds = fmax(1e-6, t->until - rt_now());
  a.initial = s->stretch++ ? NULL : t->initial;
  a.initial_rows = a.initial != NULL;
  Samples found;
  RT_TRY(sample_tabu(s->rt, s->p, &a, &found));
  s->effort += effort;
  s->spent[0] += effort;
  s->out->updates += found.updates;
  if (found.rows) take(s, found.spin, found.energy[0]);
  samples_free(s->rt, &found);
  return RT_OK;
}

static void show(const Search *s, double limit) {
  const SamplerArgs *a = s->t->a;
  if (!a->progress) return;
  double share = fmin(1, s->effort / limit);
  if (a->seconds > 0) share = fmin(1, 1 - (s->t->until - rt_now()) / a->seconds);
  a->progress(a->user, s->t->from + (s->t->to - s->t->from) * fmax(0, share));
}

/* Stretches grow with the effort so far: a restart of tabu never costs more than
 * a share of it, and there are only logarithmically many.                       */
static RtStatus search(Search *s, AutoChoice choice) {
  double least = ROUNDS_LEAST * s->round_cost;
  bool first = choice == AUTO_TABU;
  RT_TRY(tabu_stretch(s, first ? FIRST : GLANCE));       /* small models need no more */
  s->tabu_next = first ? FIRST : 2e6;
  if (reached(s)) return RT_OK;
  for (;;) {
    double other = s->spent[first ? 1 : 0];
    bool tabu = first ? other >= OTHER_SHARE * s->effort - 2e6
                      : other + s->tabu_next < OTHER_SHARE * s->effort;
    if (tabu) {
      RT_TRY(tabu_stretch(s, s->tabu_next));
      s->tabu_next = fmax(s->tabu_next, s->effort * (first ? 0.5 : OTHER_SHARE / 2));
    } else {
      RT_TRY(temper_stretch(s, fmax(BLOCK, s->effort * 0.1)));
    }
    double limit = fmax(least, PATIENCE * s->improved);
    if (s->t->a->sweeps > 0) limit = (double)s->t->a->sweeps * s->round_cost;
    show(s, limit);
    if (reached(s) || late(s)) return RT_OK;
    if ((s->t->until <= 0 || s->t->a->sweeps > 0) && s->effort >= limit) return RT_OK;
  }
}

static RtStatus enumerate(Rt *rt, const Ising *p, const AutoTask *t, int8_t *spin, AutoResult *out) {
  SamplerArgs a;
  sampler_args_init(&a);
  a.rng = t->rng;
  a.threads = t->a->threads;
  a.reads = 1;
  Samples found;
  RT_TRY(sample_exact(rt, p, &a, &found));
  memcpy(spin, found.spin, (size_t)p->n);
  *out = (AutoResult){.energy = found.energy[0], .updates = found.updates, .proven = true, .how = "exact"};
  samples_free(rt, &found);
  return RT_OK;
}

RtStatus auto_search(Rt *rt, const Ising *p, const AutoTask *t, int8_t *spin, AutoResult *out) {
  *out = (AutoResult){.energy = INFINITY};
  if (p->n == 0) {
    *out = (AutoResult){.energy = p->offset, .proven = true, .how = "exact"};
    return RT_OK;
  }
  AutoChoice choice = auto_choose(p, !isnan(t->target));
  if (choice == AUTO_EXACT) return enumerate(rt, p, t, spin, out);
  double n = (double)p->n, m = (double)p->m;
  Search s = {.rt = rt, .p = p, .t = t, .spin = spin, .out = out,
              .flip_cost = 50 + 0.3 * n + 2 * m / n, .round_cost = 3000 + 60 * n + 4 * m};
  out->how = choice == AUTO_TABU ? "tabu, some tempering" : "parallel tempering, some tabu";
  RtStatus st = search(&s, choice);
  if (s.warm) {
    temper_free(rt, &s.temper);
    lane_model_free(rt, &s.model);
  }
  double *field = st ? NULL : rt_alloc(rt, (size_t)p->n * sizeof *field);
  if (st || !field) return rt->error.status;
  out->energy = ising_settle(p, spin, field);
  rt_free(rt, field, (size_t)p->n * sizeof *field);
  return RT_OK;
}
