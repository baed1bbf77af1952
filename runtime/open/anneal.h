/* anneal.h: annealing with a bath: quench.h's H(t) in Lindblad's equation.
 *
 * Collapse operators act on a register of the model's variables, qubit i being variable i and
 * |0> its spin +1.  Density matrices and trajectories whose sum L'L is not a number go by
 * commutator-free Magnus steps of controlled length (driven.h) with Taylor series; dephasing and
 * the like, whose jumps come at a constant rate, by quench.h's split steps between jumps.  */
#ifndef QA_OPEN_ANNEAL_H
#define QA_OPEN_ANNEAL_H
#include "runtime/evolve/quench.h"
#include "runtime/open/trajectories.h"

typedef struct {
  const Quench *q;           /* its `progress` is not called              */
  int bits;
  const double *level;       /* [2^bits]                                             */
  int n;
  Operator *jump;            /* over the register; merged by this                    */
} OpenAnneal;

/* rho (of 2^bits states, over any variables) goes from time 0 to the end. */
RtStatus anneal_density(Rt *rt, const OpenAnneal *a, Density *rho);

/* Trajectories of which number r begins with start(r) (a state over a register). */
typedef struct {
  int64_t trajectories;
  RngCall rng;
  const State *start;
  RtStatus (*each)(void *user, int64_t r, const State *end);
  void *each_user;
  void (*progress)(void *user, double share);
  void *progress_user;
} AnnealAsk;
RtStatus anneal_trajectories(Rt *rt, const OpenAnneal *a, const AnnealAsk *ask, double *jumps);

/* As sample_quench(), with a bath: `trajectories` of them, which reads take in turn; 0: by the
 * density matrix up to ANNEAL_DENSITY variables, else as many as reads.             */
enum { ANNEAL_DENSITY = 6 };
RtStatus sample_quench_open(Rt *rt, const Ising *p, const QuenchArgs *a, int n, Operator *jump,
                       int64_t trajectories, Samples *out);
#endif
