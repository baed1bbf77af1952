/* betas.c: a range of inverse temperatures from a short pilot run.
 *
 * 64 replicas start at random and are cooled step by step.  In equilibrium as
 * many flips go up as go down, so twice the mean of exp(-2 beta d) over the sites
 * with d = -s f > 0 is the share of proposals that change the energy and are
 * accepted.  The range goes from where that share is about a half to where it is
 * about a thousandth; a single small coupling among many moves neither end.     */
#include <math.h>

#include "runtime/binary/lanes.h"
#include "runtime/binary/sampler.h"

#define RATIO 1.3        /* between steps; one sweep each                       */
#define STEPS 200
#define HOT_SHARE 0.5
#define COLD_SHARE 1e-3
#define LOOKS 4096       /* pairs of site and lane looked at                    */

static double excess(const Lanes *l, int64_t i, int lane) {
  int64_t k = lane_slot(i) * LANES + lane;
  double f = l->m->width == LANE_I8    ? ((const int8_t *)l->field)[k]
             : l->m->width == LANE_I16 ? ((const int16_t *)l->field)[k]
                                       : (double)((const float *)l->field)[k];
  return (l->spin[i] >> lane & 1 ? -f : f) / l->m->scale;
}

/* Sites are taken at even distances, lanes all. */
static double share_at(const Lanes *l, double beta) {
  int64_t n = l->m->p->n, sites = n < LOOKS / LANES ? n : LOOKS / LANES;
  double sum = 0;
  for (int64_t k = 0; k < sites; k++)
    for (int lane = 0; lane < LANES; lane++) {
      double x = 2 * beta * excess(l, k * n / sites, lane);
      if (x > 0 && x < 30) sum += exp(-x);
    }
  return 2 * sum / (double)(sites * LANES);
}

static double typical(const Lanes *l) {
  int64_t n = l->m->p->n, sites = n < LOOKS / LANES ? n : LOOKS / LANES;
  double sum = 0;
  for (int64_t k = 0; k < sites; k++)
    for (int lane = 0; lane < LANES; lane++) {
      double d = excess(l, k * n / sites, lane);
      sum += d * d;
    }
  return sqrt(sum / (double)(sites * LANES));
}

/* Where the share crosses `goal` between two steps, on logarithmic scales. */
static double crossing(double beta, double before, double now, double goal) {
  if (!(now > 0) || !(before > goal)) return beta;
  return beta / pow(RATIO, log(goal / now) / log(before / now));
}

static RtStatus pilot(Rt *rt, Lanes *l, double *hot, double *cold) {
  lanes_random(l);
  double scale = typical(l), before = 1;
  if (!(scale > 0)) scale = l->m->most / l->m->scale;
  double beta = 0.05 / scale;
  bool warm = true;
  *hot = beta;
  for (int step = 0; step < STEPS; step++, beta *= RATIO) {
    LaneRule r;
    lane_rule(&r, l->m, LANE_METROPOLIS, beta);
    lanes_sweep(l, &r, 0, l->m->p->n);
    RT_TRY(rt_poll(rt));
    double now = share_at(l, beta);
    *cold = beta;
    if (warm && now < HOT_SHARE) {
      *hot = crossing(beta, before, now, HOT_SHARE);
      warm = false;
    }
    if (!warm && now < COLD_SHARE) {
      *cold = crossing(beta, before, now, COLD_SHARE);
      break;
    }
    before = now;
  }
  return RT_OK;
}

RtStatus sampler_betas(Rt *rt, const Ising *p, RngCall rng, double *hot, double *cold) {
  *hot = *cold = 1;
  LaneModel m;
  Lanes l = {0};
  RT_TRY(lane_model_make(rt, &m, p, LANE_SEARCH));
  RtStatus st = RT_OK;
  if (p->n > 0 && m.most > 0) {
    st = lanes_make(rt, &l, &m);
    if (!st) {
      rng.key = rng_derive(rng.key, "betas", 0);   /* not the numbers of any read */
      lanes_seed(&l, rng, 0);
      st = pilot(rt, &l, hot, cold);
    }
  }
  lanes_free(rt, &l);
  lane_model_free(rt, &m);
  return st;
}
