/* evolve.h: spectra and time evolution without matrices.
 *
 * Everything here knows an operator only by what it does to a vector
 * (runtime/operator/apply.h).  Hermitian operators only: the caller checks.
 *
 * Lowest states: Lanczos in two passes (Cullum and Willoughby, Lanczos Algorithms,
 * 1985): the first keeps three vectors and the tridiagonal matrix, the second makes the
 * same vectors again and adds up the Ritz vector; restarted from that vector until the
 * residual |H x - E x| is small.  States that were found are projected out, so that
 * degenerate levels come out with their multiplicity.
 *
 * Time: exp(-i H t) and exp(-H t) by Krylov spaces of at most 32 vectors (Saad, SIAM J.
 * Numer. Anal. 29, 209, 1992); steps are chosen so that the sum of the estimated errors
 * beta_m |[phi_1(-i h T)]_m,1| h stays below the tolerance.
 */
#ifndef QA_EVOLVE_H
#define QA_EVOLVE_H
#include "runtime/operator/apply.h"
#include "runtime/state/state.h"

typedef struct {
  double energy;
  double residual;      /* |H x - E x|, as computed from x                     */
} Level;

/* The lowest level orthogonal to the `found` unit vectors; x (applied_size() doubles) is
 * the unit vector.  tol: of the residual, relative to the operator's size.
 * Error: no convergence.                                                         */
RtStatus lanczos_lowest(Rt *rt, const Applied *a, int found, double *const *v, double tol,
                        double *x, Level *out);

/* The k lowest levels of a Hermitian operator; states may be NULL, else k States to be
 * filled.  Dense up to 256 states, or when k is a large part of them.             */
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
