/* general.h: exp(t G) x for any linear map G, Hermitian or not: Lindblad's generators,
 * effective Hamiltonians of open systems.
 *
 * Taylor series of steps so short that |h G| <= 4, which loses two digits of sixteen at most;
 * a step's series ends when two of its terms together are below its share of tol.
 * Source: Al-Mohy and Higham, SIAM J. Sci. Comput. 33, 488 (2011), with a bound of |G| in the
 * place of estimated norms.                                                         */
#ifndef QA_EVOLVE_GENERAL_H
#define QA_EVOLVE_GENERAL_H
#include "runtime/evolve/evolve.h"

/* No less than |G| as a matrix: the sum over the terms of the operator (merged by this) of what
 * each can do at most.  Modes: by their cutoffs.                                    */
RtStatus operator_bound(Rt *rt, Operator *a, double *out);

/* x[n doubles] := exp(t G) x; apply is y = G x over complex vectors; bound >= |G|; tol is
 * relative to |x|; room: two vectors as long as x.                                   */
RtStatus general_exp(Rt *rt, KrylovApply apply, const void *g, double bound, double t, double tol,
                     int64_t n, double *const room[2], double *x);
#endif
