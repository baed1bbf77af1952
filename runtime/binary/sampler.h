/* sampler.h: what samplers are given and what they give back.
 *
 * A sampler is one file and one row of `sampler_table` (sampler.c).  All take an
 * Ising model and minimise.  Read r of a call draws from Philox key
 * (args->rng, r) alone, so that the same bits come out on any number of threads
 * and read r does not depend on how many reads are asked for.
 */
#ifndef QA_BINARY_SAMPLER_H
#define QA_BINARY_SAMPLER_H
#include "runtime/binary/ising.h"
#include "runtime/tensor/random.h"

/* ---- samples -------------------------------------------------------------- */

typedef struct Samples {
  int64_t rows, n;
  int8_t *spin;           /* [rows, n], +1 or -1                               */
  double *energy;         /* [rows], ising_energy of the row                   */
  int32_t *count;         /* [rows], times seen                                */
  float *breaks;          /* [rows], share of broken chains; NULL: no embedding */
  int32_t *gauge;         /* [rows], number of the gauge; NULL: none           */
  /* how it went */
  double seconds;         /* wall time inside the sampler                      */
  double updates;         /* spin updates tried                                */
  double beta_hot, beta_cold;   /* 0: not a thermal sampler                    */
  bool proven;            /* row of least energy is the minimum (exact solvers) */
  char note[160];         /* "tabu, 12 restarts", for explain and reports      */
} Samples;

RtStatus samples_make(Rt *rt, Samples *out, int64_t rows, int64_t n);   /* counts 1, spins +1 */
void samples_free(Rt *rt, Samples *s);
/* Drops all but the first rows. */
RtStatus samples_keep(Rt *rt, Samples *s, int64_t rows);
/* Rows by energy, then by spins; equal rows of one gauge become one with
 * the sum of counts (breaks: the mean by counts).                                               */
RtStatus samples_sort(Rt *rt, Samples *s);
RtStatus samples_aggregate(Rt *rt, Samples *s);
RtStatus samples_cut(Rt *rt, Samples *s, int64_t rows);  /* keeps the first rows */
int64_t samples_best(const Samples *s);                 /* -1: no rows         */

/* ---- a call --------------------------------------------------------------- */

typedef struct SamplerArgs {
  RngCall rng;
  int threads;
  int64_t reads;          /* rows wanted; 0: the sampler's default             */
  int64_t sweeps;         /* per read; 0: default                              */
  double beta_hot, beta_cold;   /* NAN: from the problem (a short pilot)       */
  const double *betas;    /* a schedule, one beta a sweep; NULL: geometric     */
  int64_t n_beta;
  double beta;            /* gibbs, sqa: fixed inverse temperature; NAN: default */
  double seconds;         /* stop after this wall time; 0: no limit.  Gives up
                             repeating bit for bit, and only that              */
  double target;          /* stop when reached (energy <= target); NAN: none   */
  const int8_t *initial;  /* [initial_rows, n] starts, used in turn; NULL: random */
  int64_t initial_rows;
  int64_t slices;         /* sqa                                               */
  double gamma;           /* sqa: transverse field at the start; NAN: default  */
  const struct Schedule *schedule;  /* sqa: A, B and s(t), NULL: linear; anneal: of s(t), the
                             inverse temperature is hot (cold / hot)^s       */
  int64_t replicas;       /* temper: rungs; 0: default                         */
  int64_t tenure;         /* tabu; 0: default                                  */
  int cluster;            /* temper: isoenergetic moves: -1 decide, 0 off, 1 on */
  int boltzmann;          /* anneal, gibbs: 1: only unbiased acceptance        */
  int both;               /* lockstep: 1: the final search may also switch ones on */
  /* Called on the caller's thread between blocks of work, share in 0..1; may be
   * NULL.  rt_poll() is called as often: interrupts and limits stop a sampler. */
  void (*progress)(void *user, double share);
  void *user;
} SamplerArgs;

void sampler_args_init(SamplerArgs *a);                 /* all defaults        */

typedef RtStatus (*SamplerRun)(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
typedef struct {
  const char *name;
  const char *signature;  /* as natives have it: "reads = 100, sweeps = 1000, beta = nil" */
  const char *doc;        /* first line a summary; then parameters and source  */
  SamplerRun run;
} SamplerKind;
extern const SamplerKind sampler_table[];               /* name NULL at the end */
const SamplerKind *sampler_find(const char *name);

RtStatus sample_anneal(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
RtStatus sample_gibbs(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
RtStatus sample_descend(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
RtStatus sample_tabu(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
RtStatus sample_temper(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
RtStatus sample_sqa(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
RtStatus sample_lockstep(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
RtStatus sample_exact(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);
/* Chooses sampler, temperatures and budget by itself; a->seconds is the budget. */
RtStatus sample_auto(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out);

/* Inverse temperatures from a short pilot: about half of the flips accepted at
 * *hot, about one in a thousand at *cold.  Never from the smallest coupling. */
RtStatus sampler_betas(Rt *rt, const Ising *p, RngCall rng, double *hot, double *cold);

#endif
