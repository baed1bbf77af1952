/* linear.h: a Hermitian map known by what it does to a vector; Lanczos's methods on it.
 *
 * Vectors are `size` doubles, complex ones (re, im) side by side.
 *
 * The lowest state alone comes from Lanczos's recurrence in two passes (Cullum and
 * Willoughby, Lanczos Algorithms, 1985): the first keeps three vectors and the
 * tridiagonal matrix, the second makes the same vectors again and adds up the Ritz vector.
 *
 * Several states come from a block of vectors whose Krylov space is kept orthonormal in
 * full (band Lanczos: Ruhe, Math. Comp. 33, 680, 1979) and shrunk to its lowest Ritz
 * vectors when it is full (thick restart: Wu and Simon, SIAM J. Matrix Anal. Appl. 22,
 * 602, 2000).  When all have converged the search goes on from new random vectors in their
 * complement, until nothing below the highest of them is left: so degenerate levels come
 * as often as they occur.                                                           */
#ifndef QA_EVOLVE_LINEAR_H
#define QA_EVOLVE_LINEAR_H
#include "runtime/operator/apply.h"

typedef RtStatus (*LinearApply)(Rt *rt, const void *map, const double *x, double *y);
typedef struct {
  int64_t size;         /* doubles in a vector                                 */
  bool wide;            /* complex                                             */
  LinearApply apply;    /* y = map x, which do not overlap                     */
  const void *map;
} Linear;

typedef struct {
  double energy;
  double residual;      /* |H x - E x|                                         */
} Level;

Linear linear_applied(const Applied *a);

/* The lowest level; x becomes its unit vector.  tol: of the residual, relative to the size
 * of the map.  noise: how far the first vector, equal entries else, is random.  `*good` is
 * false when levels lie so near each other that the vector is still a mixture: x is
 * then a start for lanczos_block().                                               */
RtStatus lanczos_lowest(Rt *rt, const Linear *l, double noise, double tol, double *x,
                        Level *out, bool *good);

/* The k lowest levels, k below a third of the dimension; x[k] become unit vectors.
 * `start`, a vector or NULL, is the first one.  *good: false when they did not converge, and
 * x and out hold nothing.  Errors: memory.                                          */
RtStatus lanczos_block(Rt *rt, const Linear *l, int64_t k, double tol, const double *start,
                       double *const *x, Level *out, bool *good);
/* Vectors that lanczos_block() needs at least for k levels. */
int64_t lanczos_block_least(int64_t k);

#endif
