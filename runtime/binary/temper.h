/* temper.h: one run of parallel tempering with isoenergetic cluster moves
 * (private to temper*.c, auto*.c and their tests).
 *
 * The 64 lanes of a run are `rungs` inverse temperatures times an even number of
 * replicas.  Even replicas live in lanes 0 .. 31, odd ones in lanes 32 .. 63; an
 * exchange of temperatures moves labels, never states.  Replicas 2p and 2p + 1
 * on one rung are a pair, and cluster moves act inside pairs.
 *
 * Sources: Hukushima, Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996) (tempering);
 * Houdayer, Eur. Phys. J. B 22, 479 (2001); Zhu, Ochoa, Katzgraber, Phys. Rev.
 * Lett. 115, 077201 (2015) (isoenergetic moves); Syed, Bouchard-Cote, Deligiannidis,
 * Doucet, J. R. Stat. Soc. B 84, 321 (2022) (alternating exchanges, spacing by the
 * cumulative rejection).
 */
#ifndef QA_BINARY_TEMPER_H
#define QA_BINARY_TEMPER_H
#include "runtime/binary/lanes.h"
#include "runtime/binary/sampler.h"

enum { TEMPER_RUNGS = 32 };

/* open: differing and not reached yet; fresh: reached and not yet passed on. */
typedef struct { uint32_t open, fresh; } ClusterSite;

/* Clusters of sites on which the two replicas of a pair differ, for all pairs at
 * once: bit a of a mask stands for the pair whose even replica is in lane a.   */
typedef struct {
  int64_t n;
  uint32_t *overlap;      /* [n] where the pair differs                        */
  ClusterSite *site;      /* [n]                                               */
  int32_t *queue;         /* [n]                                               */
  bool symmetric;         /* no fields: a pair and its mirror image are alike  */
  double size[TEMPER_RUNGS];      /* shares of differing sites outside clusters */
  int64_t grown[TEMPER_RUNGS];    /* how many of them were added up            */
  uint32_t off;           /* rungs whose clusters percolate                    */
  int64_t step;
} Clusters;

typedef struct Temper {
  Lanes lanes;
  LaneRule rule;
  LaneMove move;          /* Metropolis; heat bath where statistics are claimed:
                             free spins would flip in every sweep otherwise    */
  int rungs, replicas;    /* rungs * replicas <= 64, replicas even             */
  double beta[TEMPER_RUNGS];            /* ascending                           */
  uint8_t lane_of[LANES][TEMPER_RUNGS]; /* [replica][rung]                     */
  uint8_t rung_of[LANES];
  double energy[LANES];
  int64_t round;
  /* exchanges tried and made between rungs k and k + 1 since the last spacing */
  int64_t tried[TEMPER_RUNGS], made[TEMPER_RUNGS];
  int64_t next_spacing;   /* round of the next one; INT64_MAX: never again     */
  bool cluster;
  Clusters clusters;
  int8_t *best, *scratch; /* [n]                                               */
  double best_energy;     /* ising_energy of best                              */
  double seen_energy;     /* least lane energy so far                          */
  int64_t best_round;
} Temper;

/* sqrt of the mean over sites of h^2 + sum J^2: the scale of local fields. */
double temper_scale(const Ising *p);
/* Default ends.  Hot: 1 over that scale, where a dense glass freezes (Sherrington,
 * Kirkpatrick 1975), 1.8 for sparse models, whose clusters carry changes through;
 * hotter rungs only carry labels about.  Cold: 16 over it, or
 * what a pilot finds cold where most of the scale is in fields that never act.  */
RtStatus temper_ladder(Rt *rt, const Ising *p, RngCall rng, double *hot, double *cold);
/* cluster as in SamplerArgs. */
RtStatus temper_make(Rt *rt, Temper *t, const LaneModel *m, int rungs, double hot, double cold,
                     int cluster);
void temper_free(Rt *rt, Temper *t);
/* Seeds the generators and sets every lane to `initial`, or at random for NULL. */
void temper_start(Temper *t, RngCall rng, int64_t read, const int8_t *initial);
/* One sweep of all lanes, cluster moves, one set of exchanges. */
void temper_round(Temper *t);
/* Re-spaces the ladder so that exchanges are rejected equally often everywhere. */
void temper_space(Temper *t);
size_t temper_bytes(const LaneModel *m);

/* ---- clusters (temper_cluster.c) ---------------------------------------------- */
RtStatus clusters_make(Rt *rt, Clusters *c, const Ising *p);
void clusters_free(Rt *rt, Clusters *c);
/* Grows a cluster in every pair whose rung is in `rungs` and exchanges it. */
void clusters_move(Temper *t, uint32_t rungs);
#endif
