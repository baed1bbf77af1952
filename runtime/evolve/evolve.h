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
/* To n ascending times at once, each out of the space that passes it: out[i] is the vector at
 * t[i].  x, the start, is used up; out[n - 1] may be x.  `leave` (NULL: never) is asked after
 * the first space when it does not reach the end, with the step it allows: yes ends the
 * work with *left true and x as it was.                                             */
typedef bool (*KrylovLeave)(const void *asked, const Krylov *k, double step);
RtStatus krylov_times(Krylov *k, KrylovApply apply, const void *h, int64_t n, const double *t,
                      double tol, bool imaginary, KrylovLeave leave, const void *asked, double *x,
                      double *const *out, bool *left);
/* The same in single precision, of an operator that applied_make32() compiled; tol at least
 * 1e-7.                                                                             */
RtStatus krylov_make32(Rt *rt, int64_t states, Krylov **out);
RtStatus krylov_times32(Krylov *k, const Applied *a, int64_t n, const double *t, double tol,
                        bool imaginary, float *x, float *const *out);
/* Of the last evolution: applications of h, the sum of the steps' estimated errors; of the
 * last space: its size, the extreme Ritz values.                                    */
int64_t krylov_products(const Krylov *k);
double krylov_error(const Krylov *k);
int krylov_size(const Krylov *k);
void krylov_range(const Krylov *k, double *low, double *high);

/* exp(-i H t) x, or exp(-H t) x brought back to the length of x, at n ascending times, by
 * Chebyshev polynomials (Tal-Ezer and Kosloff, J. Chem. Phys. 81, 3967, 1984): as many
 * terms as the tail of the Bessel functions asks for, four vectors, no inner products.
 * H's range comes from Lanczos steps on a fixed vector, widened by their residuals and
 * 1 %; that it holds is seen from the vector's length, else it is widened again.    */
RtStatus chebyshev_times(Rt *rt, const Applied *a, int64_t n, const double *t, double tol,
                         bool imaginary, const double *x, double *const *out, int64_t *products,
                         double *error);
/* The least number of terms whose neglected ones, 2 sum J_k(z), stay below tol; z is time times
 * half of H's range.  Imaginary: of exp(-z) I_k(z).                                  */
int64_t chebyshev_terms(double z, double tol, bool imaginary);
enum { CHEBYSHEV_PROBES = 24 };          /* Lanczos steps for the range */

/* ---- one call for every method ----------------------------------------------------- */

#define EVOLVE_TOL_SINGLE 1e-6
typedef enum { EVOLVE_ANY, EVOLVE_KRYLOV, EVOLVE_CHEBYSHEV, EVOLVE_TROTTER } EvolveMethod;
typedef struct {
  EvolveMethod method;  /* EVOLVE_ANY: Krylov; Chebyshev when the first Krylov space does not
                           reach the end and Chebyshev needs fewer products with H, or when
                           33 vectors do not fit the memory                       */
  bool imaginary, estimate;   /* estimate: of the error, also where that costs more */
  double tol;           /* relative to the length of the vector                   */
  int order;            /* Trotter: 1, 2, 4, 6                                    */
  int64_t steps;        /* Trotter: for each interval between times; 0: from tol  */
} EvolveHow;
typedef struct {
  EvolveMethod method;
  int64_t products;     /* applications of H, or repetitions of the product formula */
  double error;         /* estimate, relative; NAN: Trotter with given steps, not asked for */
} EvolveReport;
/* out[i] (n States, made by this) is the state at time t[i] >= 0, ascending.  h acts on the
 * variables of `from`.  Imaginary time keeps the length.  States of c64 go by Krylov spaces
 * only, with a tol of at least EVOLVE_TOL_SINGLE: an error otherwise.               */
RtStatus evolve_times(Rt *rt, Operator *h, const EvolveHow *how, int64_t n, const double *t,
                      const State *from, State *out, EvolveReport *report);

/* Eigenvalues (ascending order is not promised) and vectors of the symmetric tridiagonal
 * matrix with diagonal d[n] and d[i], d[i+1] coupled by e[i]: d becomes the values, e is
 * lost, column k of z[n * n] the vector of d[k].  QL with implicit shifts.  RT_ERROR: no
 * convergence.                                                                       */
RtStatus tridiagonal(Rt *rt, int n, double *d, double *e, double *z);

#endif
