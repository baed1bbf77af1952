/* trajectories.h: Lindblad's equation by the Monte-Carlo wave function.
 *
 * Between jumps |psi> follows H - (i/2) sum L'L, whose norm falls from 1; when it reaches a
 * random number, one of L_k |psi> takes its place, drawn by its norm, and the norm is 1 again.
 * The mean of |psi><psi| over trajectories is rho, without an error from steps.  The moment of
 * a jump is found to 1e-10 of the norm.
 * Source: Dalibard, Castin, Molmer, Phys. Rev. Lett. 68, 580 (1992); Plenio, Knight, Rev. Mod.
 * Phys. 70, 101 (1998).
 *
 * Trajectory r draws from its own stream, and means are taken in the order of r: the same bits
 * for any number of threads.  Short vectors go one trajectory to a thread, each with a context
 * of its own.
 */
#ifndef QA_OPEN_TRAJECTORIES_H
#define QA_OPEN_TRAJECTORIES_H
#include "runtime/open/density.h"

/* s from time t0 to t1 without jumps, by H - (i/2) sum L'L; or, where sum L'L is a number
 * (Unravel.rate), by H alone.  Called from several threads with different rt.        */
typedef RtStatus (*TrajectoryMove)(Rt *rt, const void *user, double t0, double t1, State *s);

typedef struct {
  TrajectoryMove move;
  const void *user;
  int n;
  Applied *const *jump;
  double rate;               /* sum L'L where it is a number; NAN: it is not          */
  double most;               /* no less than sum L'L: 1/2 over it passes between looks */
} Unravel;

typedef struct {
  const State *from;         /* of length 1                                           */
  int64_t times;
  const double *t;           /* ascending, >= 0                                       */
  int64_t trajectories;
  RngCall rng;
  int observables;
  Applied *const *observable;  /* Hermitian                                           */
  /* Called in the order of r, on the calling thread, with the normalised states at the times;
   * NULL: nothing.                                                                 */
  RtStatus (*each)(void *user, int64_t r, const State *at);
  void *each_user;
  void (*progress)(void *user, double share);
  void *progress_user;
} TrajectoryAsk;

/* mean, error: [times, observables], the standard error of the mean (NAN for one trajectory).
 * *jumps: of a trajectory, on average.  Errors: memory, interrupts, those of move.     */
RtStatus trajectories(Rt *rt, const Unravel *u, const TrajectoryAsk *ask, double *mean,
                      double *error, double *jumps);

/* Those of a constant H and L: opened once, then u is ready, and refers to its Constant, which
 * stays where it is.  tol: of the vector.                                          */
typedef struct { Unravel u; Applied *g; double bound, tol; Applied **jump; } Constant;
RtStatus constant_open(Rt *rt, const VarTable *vars, const Lindblad *l, double tol, Constant *out);
void constant_close(Rt *rt, Constant *c);
/* Number and bound of sum L'L for u, and L compiled: the part that needs no H. */
RtStatus unravel_jumps(Rt *rt, const VarTable *vars, const Lindblad *l, Unravel *u,
                       Applied ***jump);
void unravel_free(Rt *rt, int n, Applied **jump);
/* The means as a density matrix for each time: a row of `each`. */
typedef struct { Density *rho; int64_t n; } Ensemble;
RtStatus ensemble_add(void *ensemble, int64_t r, const State *at);
#endif
