/* quench.h: annealing by Schroedinger's equation, of small problems.
 *
 *   i d/dt psi = (-A(s) sum X + B(s) H_P) psi,   s = s(t)
 *
 * from the ground state of the driver -sum X (a reverse anneal: from a basis state), for
 * diagonal H_P given by its value on every basis state.  Split steps (split.h) of
 * controlled length.  Closed system: with a bath runtime/open/anneal.h.                   */
#ifndef QA_EVOLVE_QUENCH_H
#define QA_EVOLVE_QUENCH_H
#include "runtime/binary/sampler.h"
#include "runtime/binary/schedule.h"
#include "runtime/evolve/driven.h"

enum { QUENCH_QUBITS = 20 };   /* most variables                                     */

typedef struct {
  const Schedule *schedule;    /* NULL: A = gamma (1 - s), B = s                      */
  double gamma;                /* NAN: 1.5 times the root mean square of the local fields */
  double time;                 /* NAN: the end of the path; 20 over that mean square without */
  bool seconds;                /* time is in seconds: A and B have to be in GHz       */
  double tol;                  /* of the state                                        */
  int64_t steps;               /* of one length; 0: controlled                        */
  RngCall rng;
  int64_t reads;
  const int8_t *initial;       /* [initial_rows, n] spins a reverse anneal starts from, in turn */
  int64_t initial_rows;
  void (*progress)(void *user, double share);
  void *user;
} QuenchArgs;

/* An anneal with all that was left open chosen. */
typedef struct {
  Schedule own;                /* when none was given                                 */
  const Schedule *schedule;
  double time;                 /* in units in which exp(-i H t) holds                 */
  double unit;                 /* of those in a unit of the user's time               */
  double tol;
  int64_t steps;
  void (*progress)(void *user, double share);
  void *user;
} Quench;
/* scale: the root mean square of the local fields of H_P.  Errors: a negative time, a time
 * with a unit for a schedule without and the other way round, a schedule that is wrong.  */
RtStatus quench_plan(Rt *rt, const QuenchArgs *a, double scale, Quench *out);
void quench_free(Rt *rt, Quench *q);

/* level[k] of basis state k, bit i of k set meaning spin down[i] of variable i (NULL: -1). */
RtStatus quench_levels(Rt *rt, const Ising *p, const int8_t *down, double *level);
/* The same from the levels: the root mean square of what flipping one variable changes, / 2. */
double quench_scale(int bits, const double *level);
/* Too many variables: an error, before anything is allocated. */
RtStatus quench_fits(Rt *rt, int64_t variables, const char *more);

/* The basis state of spins a reverse anneal starts from; whether there are such spins just when the
 * schedule begins with s = 1: an error otherwise.                                    */
void quench_start(const int8_t *spin, State *s);
RtStatus quench_check_start(Rt *rt, const Quench *q, const QuenchArgs *a);

/* s goes from time `from` to `to`; *step: a length to begin with (0: none), then the last one. */
RtStatus quench_evolve(Rt *rt, const Quench *q, int bits, const double *level, double from,
                       double to, double *step, State *s, DriveReport *report);

/* Reads drawn from |psi|^2 at the end; read r draws element r of the stream. */
RtStatus sample_quench(Rt *rt, const Ising *p, const QuenchArgs *a, Samples *out);

/* ---- what happens on the way (quench_path.c) ---- */
typedef struct {
  double t, s;                 /* t in the user's unit                                */
  double energy;               /* <H(t)>                                              */
  double low, next;            /* the two lowest levels of H(t)                       */
  double overlap;              /* probability of its ground state, degenerate ones together */
} QuenchPoint;
/* The anneal with `points` >= 2 looks at equal distances of time, both ends included. */
RtStatus quench_path(Rt *rt, const Quench *q, int bits, const double *level, State *s, int points,
                     QuenchPoint *out);
#endif
