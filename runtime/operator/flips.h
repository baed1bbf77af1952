/* flips.h: an operator of two-level variables as a sum of c X^x Z^z.
 *
 * Bit v of a mask is variable v; the Z act first, so that a term takes the basis state s
 * to c (-1)^|s & z| times s ^ x.  A binary counts as (1 - Z)/2.                     */
#ifndef QA_OPERATOR_FLIPS_H
#define QA_OPERATOR_FLIPS_H
#include "runtime/operator/operator.h"

typedef struct { uint64_t x, z; c128 c; } FlipTerm;
typedef struct { FlipTerm *term; int64_t n, cap; } Flips;    /* by x, then z; no zeros */

/* The Hermitian a (merged by this) as such a sum.  Errors: as operator_paulis(). */
RtStatus flips_of(Rt *rt, Operator *a, Flips *out);
void flips_free(Rt *rt, Flips *p);
/* The operator on `n` qubits, 1 .. 62. */
RtStatus flips_operator(Rt *rt, const Flips *p, int n, Operator *out);
/* Does anything but two-level variables occur, or more than 62 of them? */
bool flips_possible(const VarTable *t);
/* The amplitude of the terms first .. end, which share x, on basis state s. */
c128 flips_amplitude(const FlipTerm *first, const FlipTerm *end, uint64_t s);
RtStatus flips_push(Rt *rt, Flips *p, FlipTerm t);
/* Sorts, adds equal ones, drops what cancels. */
void flips_merge(Flips *p);

#endif
