/* estimate.h: expectation values from shots, and their derivatives by parameter shift.
 *
 * The strings of the operator are gathered into groups that agree qubit by qubit; each group
 * is one circuit: the given one, a change of basis, a readout.  Refused shots (projections)
 * count as zero, as in the exact expectation of a state that is not normalised.
 */
#ifndef QA_CIRCUIT_ESTIMATE_H
#define QA_CIRCUIT_ESTIMATE_H
#include "runtime/circuit/run.h"
#include "runtime/operator/paulis.h"

typedef struct Estimator Estimator;
/* Strings on the circuit's qubits; both are borrowed while the estimator lives. */
RtStatus estimator_make(Rt *rt, const Circuit *c, const PauliTerm *term, int64_t n,
                        Estimator **out);
void estimator_free(Rt *rt, Estimator *e);
int estimator_groups(const Estimator *e);
/* value[b] of every item, from `shots` shots of each group. */
RtStatus estimator_run(Rt *rt, const Estimator *e, const CircuitBinding *b, int64_t shots,
                       RngCall rng, double *value);
/* Adds weight[b] * dE_b/d(slot) to slot_adjoint[s] (NULL: not wanted), every expectation from
 * `shots` shots of each group.  Angles whose generator has two eigenvalues take two shifts
 * (Schuld et al., arXiv 1811.11184), controlled rotations four (Wierichs et al., arXiv
 * 2107.12390).  Errors: a loaded vector or a channel's strength that is wanted.      */
RtStatus estimator_back(Rt *rt, const Estimator *e, const CircuitBinding *b, int64_t shots,
                        RngCall rng, const double *weight, double *const *slot_adjoint);
#endif
