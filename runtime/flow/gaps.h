/* gaps.h: what flipping sets of variables adds to a diagonal energy.
 *
 * A channel is a set of variables that flip together (a spin changes its sign, a
 * binary becomes 1 - b); its gap at an assignment x is E(F x) - E(x).  Single flips
 * of all variables are found in one pass over the terms; the gap of a set is the sum
 * of its members' plus a correction from the terms that hold two or more of them.
 */
#ifndef QA_FLOW_GAPS_H
#define QA_FLOW_GAPS_H
#include "runtime/binary/poly.h"

/* Set c holds v[c ? end[c-1] : 0 .. end[c]): distinct variables, at least one. */
typedef struct FlipSets { int64_t n; const int64_t *end; const int32_t *v; } FlipSets;

/* out[r, c]: the gap of channel c at row r of x (rows * t->n values, 0/1 or +-1 as the
 * kind says; no modes); sets NULL: channel c flips variable c.  p is merged.  The same
 * bits on any number of threads.                                                */
RtStatus flow_gaps(Rt *rt, const Poly *p, const VarTable *t, const int8_t *x, int64_t rows,
                   const FlipSets *sets, double *out);
#endif
