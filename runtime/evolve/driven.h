/* driven.h: Schroedinger's equation i d/dt psi = H(t) psi with a time-dependent H.
 *
 * Two ways of a step, chosen by what H is made of:
 *
 * Magnus   psi <- exp(-i h H(t + h/2)) psi (midpoint, order 2), or the commutator-free
 *          exp(-i h (a2 H1 + a1 H2)) exp(-i h (a1 H1 + a2 H2)) (order 4: CFM4:2), H1 and H2
 *          at t + (1/2 -+ sqrt(3)/6) h, a = 1/4 +- sqrt(3)/6; each exponential by a Krylov
 *          space.  For any H.  Source: Blanes, Moan, Appl. Numer. Math. 56, 1519 (2006).
 * Split    where every term is diagonal or one X_i: diagonal phases and rotations about X in
 *          turn, the symmetric six-stage composition of order 4 of Blanes, Moan, J. Comput.
 *          Appl. Math. 142, 313 (2002), with time advanced by the phases.  A stage passes
 *          over the vector as often as two gates do; see split.h.
 *
 * Steps have one length, or are controlled: from time to time one of double length is
 * compared with two, and the length follows from the difference so that the sum of errors
 * stays below tol.
 */
#ifndef QA_EVOLVE_DRIVEN_H
#define QA_EVOLVE_DRIVEN_H
#include "runtime/evolve/evolve.h"
#include "runtime/evolve/split.h"

typedef enum { DRIVE_AUTO, DRIVE_MIDPOINT, DRIVE_MAGNUS, DRIVE_SPLIT } DriveMethod;
extern const char *const drive_names[];    /* "auto", "midpoint", "magnus", "split", NULL */

/* H = sum_k w[k] H(t[k]), k < n, ready for KrylovApply: *h stays the source's. */
typedef RtStatus (*DriveCombine)(void *user, int n, const double *t, const double *w,
                                 const void **h);
typedef struct Driven {
  DriveCombine combine;      /* NULL: only `split`                               */
  KrylovApply apply;         /* of what combine gives                            */
  /* Of what combine gives: a bound of its size, and then the equation is d/dt x = G(t) x of any
   * G, each exponential by general.h.  NULL: Schroedinger's, Hermitian.          */
  double (*bound)(const void *h);
  void *user;
  const Split *split;        /* NULL: H has other terms than diagonal ones and X_i */
  DriveMethod method;
  double tol;                /* of the vector relative to its length, when steps = 0 */
  int64_t steps;             /* of one length; 0: controlled                     */
  const double *kinks;       /* times where controlled steps end, ascending      */
  int64_t n_kinks;
  void (*progress)(void *user, double t);  /* after every step; NULL: nothing       */
  void *progress_user;
  double step;               /* controlled: a length to begin with; 0: none is known */
} Driven;

typedef struct {
  DriveMethod method;
  int64_t steps, rejected;   /* accepted steps; comparisons that failed          */
  double error;              /* sum of the estimates                             */
  double step;               /* the last length that the control chose           */
} DriveReport;

/* s := psi(t1) from psi(t0) = s, t1 >= t0.  report may be NULL.  Errors: a method that does
 * not fit H, steps that become too small.                                       */
RtStatus driven_evolve(Rt *rt, const Driven *d, double t0, double t1, State *s,
                       DriveReport *report);

/* H(t) = sum_j c_j(t) H_j as a source: *combine and apply for it. */
typedef struct {
  int n;
  Applied *const *part;      /* for complex vectors of one size                  */
  void (*coefs)(void *user, double t, double *c);
  void *user;
  double *c, *spare;         /* [n]; a vector: of driven_sum_make                */
} DrivenSum;
enum { DRIVEN_PARTS = 16 };
RtStatus driven_sum_make(Rt *rt, DrivenSum *a);    /* n, part, coefs, user are set */
void driven_sum_free(Rt *rt, DrivenSum *a);
RtStatus driven_sum_combine(void *sum, int n, const double *t, const double *w, const void **h);
RtStatus driven_sum_apply(Rt *rt, const void *h, const double *x, double *y);

#endif
