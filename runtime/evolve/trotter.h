/* trotter.h: product formulas for exp(-i H t) and exp(-H t).
 *
 * H is split into groups whose exponentials are exact: all diagonal terms (one pass of
 * phases), all terms of single qubits (one layer of gates), and sets of other Pauli strings
 * that commute.  With S1(d) the product of the groups' exponentials, diagonal first,
 *   S2(d) = the groups with d/2 in order, then with d/2 in the opposite one,
 *   S4(d) = S2(p d)^2 S2((1 - 4p) d) S2(p d)^2,   p = 1 / (4 - 4^(1/3)),
 *   S6 from S4 in the same way with 1 / (4 - 4^(1/5))
 * (Suzuki, J. Math. Phys. 32, 400, 1991).  Neighbouring exponentials of the first group are
 * done as one, between repetitions too.                                          */
#ifndef QA_EVOLVE_TROTTER_H
#define QA_EVOLVE_TROTTER_H
#include "runtime/state/rotate.h"

typedef struct Trotter Trotter;

/* h (merged by this) acts on two-level variables only: an error otherwise. */
RtStatus trotter_make(Rt *rt, Operator *h, Trotter **out);
void trotter_free(Trotter *t);                          /* NULL is fine */
int64_t trotter_groups(const Trotter *t);
/* amp := S_order(time / steps)^steps amp; order 1, 2, 4 or 6.  Imaginary time does not keep
 * the length: it is brought back to 1 on the way when numbers become large.       */
RtStatus trotter_run(Trotter *t, int order, double time, int64_t steps, bool imaginary, c128 *amp);
#endif
