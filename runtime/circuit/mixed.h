/* mixed.h: density matrices of circuits, with noise, resets, projections and measurements whose
 * outcomes nobody looks at; and derivatives through them.
 *
 * <r|rho|c> of D = 2^n basis states stands at r + D c: a gate on the rows is the gate on a
 * vector of 2 n qubits, and rho -> U rho U' is that, a conjugated transpose, that again.
 * Derivatives are adjoint: the state before each event (which may have no inverse) is kept,
 * gates between events are undone as in Jones and Gacon, arXiv 2009.02823.
 * Source of the events: Nielsen and Chuang, section 8.3.
 */
#ifndef QA_CIRCUIT_MIXED_H
#define QA_CIRCUIT_MIXED_H
#include "runtime/circuit/run.h"

/* Does the circuit hold noise, a measurement or a reset, so that it has no state vector? */
bool circuit_mixed(const Circuit *c);
/* Before anything is allocated: do so many density matrices fit the memory, and has the circuit
 * one?                                                                                  */
RtStatus mixed_fits(Rt *rt, const Circuit *c, double matrices);
/* rho [batch, 4^qubits] from |0...0>; projections leave traces below 1.  Errors: gates that
 * depend on measured bits, a strength outside 0 to 1, more qubits than fit the memory.   */
RtStatus mixed_run(Rt *rt, const Circuit *c, const CircuitBinding *b, c128 *rho);
/* slope [batch, 4^qubits]: Hermitian matrices G with dL = Re sum conj(G) d rho.  Adds dL to
 * slot_adjoint[s] (NULL: not wanted), strengths of noise included.                      */
RtStatus mixed_back(Rt *rt, const Circuit *c, const CircuitBinding *b, const c128 *slope,
                    double *const *slot_adjoint);
#endif
