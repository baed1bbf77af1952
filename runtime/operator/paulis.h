/* paulis.h: a Hermitian operator as a list of Pauli strings with real coefficients. */
#ifndef QA_OPERATOR_PAULIS_H
#define QA_OPERATOR_PAULIS_H
#include "runtime/operator/operator.h"

/* c times the string with X where x has a bit, Z where z has one, Y where both have. */
typedef struct { uint64_t x, z; double c; } PauliTerm;

/* The terms of a (merged by this), sorted by (x, z), each string once; free with
 * paulis_free().  Error: modes, or terms that are not Hermitian.                */
RtStatus operator_paulis(Rt *rt, Operator *a, PauliTerm **out, int64_t *n);
void paulis_free(Rt *rt, PauliTerm *t, int64_t n);
/* Do the strings of a and b commute? */
static inline bool paulis_commute(const PauliTerm *a, const PauliTerm *b) {
  return !__builtin_parityll((a->x & b->z) ^ (a->z & b->x));
}
#endif
