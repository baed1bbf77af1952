/* temper.c: one run of parallel tempering: ladder, exchanges, the best state. */
#include "runtime/binary/temper.h"

#include <math.h>
#include <string.h>

enum { FIRST_SPACING = 24, REFRESH = 256 };
#define SPARSE 7.0        /* mean degree */
#define COLDEST 1000.0    /* over the scale: beyond, only the smallest couplings tell */

double temper_scale(const Ising *p) {
  double sum = 0;
  for (int64_t i = 0; i < p->n; i++) sum += p->h[i] * p->h[i];
  for (int64_t k = 0; k < 2 * p->m; k++) sum += p->J[k] * p->J[k];
  return p->n ? sqrt(sum / (double)p->n) : 0;
}

RtStatus temper_ladder(Rt *rt, const Ising *p, RngCall rng, double *hot, double *cold) {
  double scale = temper_scale(p), first, last;
  *hot = *cold = 1;
  if (!(scale > 0)) return RT_OK;
  double unit_beta = 1 / scale;
  *hot = (2 * (double)p->m <= SPARSE * (double)p->n ? 1.8 : 1) * unit_beta;
  *cold = 16 * unit_beta;
  RngCall pilot = {rng_derive(rng.key, "temper pilot", (int64_t)rng.call), 0};
  RT_TRY(sampler_betas(rt, p, pilot, &first, &last));
  if (last > *cold) *cold = fmin(last, COLDEST * unit_beta);
  return RT_OK;
}

size_t temper_bytes(const LaneModel *m) {
  return lane_bytes(m) + (size_t)m->p->n * (sizeof(ClusterSite) + 2 * sizeof(uint32_t) + 2);
}

RtStatus temper_make(Rt *rt, Temper *t, const LaneModel *m, int rungs, double hot, double cold,
                     int cluster) {
  *t = (Temper){.move = LANE_METROPOLIS, .rungs = rungs, .replicas = 2 * (TEMPER_RUNGS / rungs), .cluster = cluster != 0};
  for (int k = 0; k < rungs; k++)
    t->beta[k] = rungs > 1 ? hot * pow(cold / hot, (double)k / (rungs - 1)) : cold;
  RtStatus st = lanes_make(rt, &t->lanes, m);
  if (!st && t->cluster) st = clusters_make(rt, &t->clusters, m->p);
  size_t n = (size_t)m->p->n;
  if (!st) {
    t->best = rt_alloc(rt, n);
    t->scratch = rt_alloc(rt, n);
    if (!t->best || !t->scratch) st = rt->error.status;
  }
  if (st) temper_free(rt, t);
  return st;
}

void temper_free(Rt *rt, Temper *t) {
  size_t n = t->lanes.m ? (size_t)t->lanes.m->p->n : 0;
  if (t->best) rt_free(rt, t->best, n);
  if (t->scratch) rt_free(rt, t->scratch, n);
  if (t->cluster) clusters_free(rt, &t->clusters);
  lanes_free(rt, &t->lanes);
  *t = (Temper){0};
}

/* Keeps the lowest lane when it beats what was seen: by its energy in the lanes'
 * precision first, then by the exact one.                                      */
static void note_best(Temper *t) {
  int low = -1;
  for (int l = 0; l < LANES; l++)
    if (t->energy[l] < t->seen_energy && (low < 0 || t->energy[l] < t->energy[low])) low = l;
  if (low < 0) return;
  t->seen_energy = t->energy[low];
  lanes_get(&t->lanes, low, t->scratch);
  double e = ising_energy(t->lanes.m->p, t->scratch);
  if (e >= t->best_energy) return;
  int8_t *swap = t->best;
  t->best = t->scratch;
  t->scratch = swap;
  t->best_energy = e;
  t->best_round = t->round;
}

void temper_start(Temper *t, RngCall rng, int64_t read, const int8_t *initial) {
  lanes_seed(&t->lanes, rng, read);
  if (initial) {
    for (int l = 0; l < LANES; l++) lanes_put(&t->lanes, l, initial);
    lanes_fields(&t->lanes);
  } else {
    lanes_random(&t->lanes);
  }
  memset(t->rung_of, 0, sizeof t->rung_of);
  for (int r = 0; r < t->replicas; r++)
    for (int k = 0; k < t->rungs; k++) {
      int lane = (r & 1) * 32 + r / 2 * t->rungs + k;
      t->lane_of[r][k] = (uint8_t)lane;
      t->rung_of[lane] = (uint8_t)k;
    }
  memset(t->tried, 0, sizeof t->tried);
  memset(t->made, 0, sizeof t->made);
  t->next_spacing = FIRST_SPACING;
  t->round = t->best_round = 0;
  t->seen_energy = t->best_energy = INFINITY;
  if (t->cluster) {
    Clusters *c = &t->clusters;
    memset(c->size, 0, sizeof c->size);
    memset(c->grown, 0, sizeof c->grown);
    c->off = 0;
    c->step = 0;
  }
  lanes_energies(&t->lanes, t->energy);
  note_best(t);
}

static double unit(Lanes *l) { return (lanes_draw(l) + 0.5) * 0x1p-32; }

/* Neighbouring rungs k, k + 1 for k of one parity: non-reversible exchanges, which
 * carry a label from end to end in a number of rounds that grows with the rungs
 * and not with their square.                                                    */
static void exchange(Temper *t) {
  for (int r = 0; r < t->replicas; r++)
    for (int k = (int)(t->round & 1); k + 1 < t->rungs; k += 2) {
      int a = t->lane_of[r][k], b = t->lane_of[r][k + 1];
      double x = (t->beta[k + 1] - t->beta[k]) * (t->energy[b] - t->energy[a]);
      t->tried[k]++;
      if (x < 0 && unit(&t->lanes) >= exp(x)) continue;
      t->made[k]++;
      t->lane_of[r][k] = (uint8_t)b;
      t->lane_of[r][k + 1] = (uint8_t)a;
      t->rung_of[a] = (uint8_t)(k + 1);
      t->rung_of[b] = (uint8_t)k;
    }
}

/* The cumulated rejection as a function of log beta, cut into equal parts.  Gaps
 * without rejections keep a little weight, so that the ladder stays spread.     */
void temper_space(Temper *t) {
  double sum[TEMPER_RUNGS] = {0}, beta[TEMPER_RUNGS];
  int last = t->rungs - 1;
  for (int k = 0; k < last; k++) {
    double made = t->tried[k] ? (double)t->made[k] / (double)t->tried[k] : 1;
    sum[k + 1] = sum[k] + fmax(1 - made, 0.01);
    t->tried[k] = t->made[k] = 0;
  }
  memcpy(beta, t->beta, sizeof beta);
  for (int k = 1, at = 0; k < last; k++) {
    double want = sum[last] * k / last;
    while (at + 1 < last && sum[at + 1] < want) at++;
    double part = (want - sum[at]) / (sum[at + 1] - sum[at]);
    t->beta[k] = beta[at] * pow(beta[at + 1] / beta[at], part);
  }
}

void temper_round(Temper *t) {
  Lanes *l = &t->lanes;
  double beta[LANES];
  for (int k = 0; k < LANES; k++) beta[k] = t->beta[t->rung_of[k]];
  lane_rule_each(&t->rule, l->m, t->move, beta);
  lanes_sweep(l, &t->rule, 0, l->m->p->n);
  t->round++;
  if (t->cluster) {
    uint32_t all = t->rungs == 32 ? 0xffffffffu : (1u << t->rungs) - 1;
    clusters_move(t, all & ~((1u << t->rungs / 4) - 1));
  }
  /* sums of floats drift away from what the spins say */
  if (l->m->width == LANE_F32 && t->round % REFRESH == 0) lanes_fields(l);
  lanes_energies(l, t->energy);
  note_best(t);
  exchange(t);
  if (t->round >= t->next_spacing) {
    temper_space(t);
    t->next_spacing = t->round * 2;
  }
}
