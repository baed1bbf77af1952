/* chains.h: independent reads of one sampler, 64 at a time (private to the
 * samplers): what annealing and Gibbs sampling share.                         */
#ifndef QA_BINARY_CHAINS_H
#define QA_BINARY_CHAINS_H
#include "runtime/binary/lanes.h"
#include "runtime/binary/sampler.h"

typedef struct {
  LaneMove move;
  LanePrecision precision;
  int64_t reads, sweeps;
  double hot, cold;       /* geometric from the first to the last sweep        */
  const double *betas;    /* [n_beta] instead, spread evenly over the sweeps; or NULL */
  int64_t n_beta;
  const struct Schedule *schedule;  /* hot (cold / hot)^s along its s(t); NULL: s = t */
  bool quench;            /* every read ends in a local minimum                */
} ChainPlan;

/* Fills out (rows, energies, updates, seconds, betas).  Stops early at a->target
 * or after a->seconds with the rows that are done by then, at least one block's. */
RtStatus chains_run(Rt *rt, const Ising *p, const SamplerArgs *a, const ChainPlan *plan,
                    Samples *out);

/* Checks what all samplers of this kind are given; *reads and *sweeps with defaults. */
RtStatus chains_args(Rt *rt, const Ising *p, const SamplerArgs *a, const char *who,
                     ChainPlan *plan);

/* Flips spins that lower the energy, site by site, until none does; exact in
 * doubles.  field [n] is scratch.  Returns ising_energy of the result.        */
double ising_settle(const Ising *p, int8_t *spin, double *field);
/* The same where in models of up to SETTLE_PAIRS variables also two may flip together, which
 * leaves what a penalty holds.                                                    */
enum { SETTLE_PAIRS = 64 };
double ising_settle_pairs(const Ising *p, int8_t *spin, double *field);
#endif
