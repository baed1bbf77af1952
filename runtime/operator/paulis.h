/* paulis.h: an operator of two-level variables as a sum of c X^x Z^z.
 *
 * Bit v of a mask is variable v; the Z act first, so that a term takes the basis state s
 * to c (-1)^|s & z| times s ^ x.  A binary counts as (1 - Z)/2.                     */
#ifndef QA_OPERATOR_PAULIS_H
#define QA_OPERATOR_PAULIS_H
#include "runtime/operator/operator.h"

typedef struct { uint64_t x, z; c128 c; } PauliTerm;
typedef struct { PauliTerm *term; int64_t n, cap; } Paulis;    /* by x, then z; no zeros */

/* a (merged by this) as such a sum.  Errors: modes, more than 62 variables, products of
 * so many binaries that they cannot be expanded.                                   */
RtStatus paulis_of(Rt *rt, Operator *a, Paulis *out);
void paulis_free(Rt *rt, Paulis *p);
/* The operator on `n` qubits, 1 .. 62. */
RtStatus paulis_operator(Rt *rt, const Paulis *p, int n, Operator *out);
/* Does anything but two-level variables occur, or more than 62 of them? */
bool paulis_possible(const VarTable *t);
/* The amplitude of the terms first .. end, which share x, on basis state s. */
c128 paulis_amplitude(const PauliTerm *first, const PauliTerm *end, uint64_t s);
RtStatus paulis_push(Rt *rt, Paulis *p, PauliTerm t);
/* Sorts, adds equal ones, drops what cancels. */
void paulis_merge(Paulis *p);

#endif
