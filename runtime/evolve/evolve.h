/* evolve.h: spectra and time evolution without matrices.
 *
 * Everything here knows an operator only by what it does to a vector
 * (runtime/operator/apply.h).  Hermitian operators only: the caller checks.
 *
 * Lowest states: linear.h; within the values of conserved quantities: sector.h.
 *
 * Time: exp(-i H t) and exp(-H t) by Krylov spaces of at most 32 vectors (Saad, SIAM J.
 * Numer. Anal. 29, 209, 1992); steps are chosen so that the sum of the estimated errors
 * beta_m |[phi_1(-i h T)]_m,1| h stays below the tolerance.
 */
#ifndef QA_EVOLVE_H
#define QA_EVOLVE_H
#include "runtime/evolve/sector.h"
#include "runtime/operator/apply.h"
#include "runtime/state/state.h"

/* What is asked of a spectrum: zero is the lowest levels of all states. */
typedef struct {
  bool largest;               /* the highest levels, from above                   */
  bool residuals;             /* Level.residual also where H is diagonalised densely */
  int n_rule;                 /* of the sector; 0: all states                     */
  const SectorRule *rule;
} LevelsAsk;

/* k levels of a Hermitian operator, each as often as it occurs; states may be NULL, else k
 * States to be filled.  Diagonal operators are read off; dense up to 256 states, or when k
 * is a large part of them; Lanczos's methods beyond.  The ground state of an operator
 * whose flips all have negative amplitudes (which has one without signs, by Perron and
 * Frobenius) is looked for where its products of X are +1.                          */
RtStatus levels_find(Rt *rt, Operator *a, const LevelsAsk *ask, int64_t k, Level *level,
                     State *states);
/* The k lowest of all states. */
RtStatus spectrum(Rt *rt, Operator *a, int64_t k, Level *level, State *states);

/* s := exp(-i H t) s; or exp(-H t) s, brought back to the length of s.  t >= 0; a is for
 * complex vectors.  The error of the vector is below tol |s|, as estimated.         */
RtStatus evolve_real(Rt *rt, const Applied *a, double t, double tol, State *s);
RtStatus evolve_imaginary(Rt *rt, const Applied *a, double t, double tol, State *s);

/* The same in parts, for many exponentials of operators known only by y = h x over
 * complex vectors (x and y, doubles (re, im), do not overlap).  A Krylov holds the
 * vectors of the space; it serves vectors of `states` entries.                      */
typedef RtStatus (*KrylovApply)(Rt *rt, const void *h, const double *x, double *y);
typedef struct Krylov Krylov;
RtStatus krylov_make(Rt *rt, int64_t states, Krylov **out);
void krylov_free(Krylov *k);                        /* NULL is fine */
RtStatus krylov_exp(Krylov *k, KrylovApply apply, const void *h, double t, double tol,
                    bool imaginary, double *x);

/* Eigenvalues (ascending order is not promised) and vectors of the symmetric tridiagonal
 * matrix with diagonal d[n] and d[i], d[i+1] coupled by e[i]: d becomes the values, e is
 * lost, column k of z[n * n] the vector of d[k].  QL with implicit shifts.  RT_ERROR: no
 * convergence.                                                                       */
RtStatus tridiagonal(Rt *rt, int n, double *d, double *e, double *z);

#endif
