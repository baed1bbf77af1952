/* run.h: simulating circuits, and their derivatives.
 *
 * A plan is a circuit prepared for state vectors: runs of gates on the same qubits fused,
 * gates gathered into stages that work on one block of the vector while it is in the cache
 * (Haener and Steiger, SC17; Jones et al., Sci. Rep. 9, 10736, 2019).  It is made once for a
 * structure and kept with it.  Many parameter sets run at once: the amplitudes of item b of a
 * batch follow those of item b - 1.  Small circuits do so in the lanes of vector registers
 * (lanes.h), which rounds differently from a run alone.
 *
 * Results have the same bits for any number of threads and any instruction set.
 */
#ifndef QA_CIRCUIT_RUN_H
#define QA_CIRCUIT_RUN_H
#include "runtime/circuit/circuit.h"
#include "runtime/operator/apply.h"
#include "runtime/state/state.h"
#include "runtime/tensor/random.h"

/* What the slots hold now. */
typedef struct {
  int64_t batch;                 /* parameter sets, at least 1                      */
  const double *const *slot;     /* [slots]                                         */
  const int64_t *stride;         /* [slots], doubles from item to item; 0: shared   */
} CircuitBinding;

typedef struct CircuitPlan CircuitPlan;
RtStatus circuit_plan(Rt *rt, const Circuit *c, CircuitPlan **out);
void circuit_plan_free(Rt *rt, CircuitPlan *p);

/* The final states of a circuit without measurements, [batch, 2^qubits] amplitudes (single:
 * c64, else c128), from |0...0> or, when `from` is given, from those amplitudes.  Projections
 * make them shorter than 1.  Sizes are checked before anything is allocated.        */
RtStatus circuit_run(Rt *rt, CircuitPlan *p, const CircuitBinding *b, bool single,
                     const void *from, void *amp);

/* The derivative of any function L of the final amplitudes of a circuit without measurements or
 * projections, by adjoint differentiation (Jones and Gacon, arXiv 2009.02823): amp holds them and
 * adjoint dL/dRe + i dL/dIm of each, [batch, 2^qubits]; both are used up.  Adds to
 * slot_adjoint[s] (NULL: not wanted), real and imaginary parts alike.                */
RtStatus circuit_run_back(Rt *rt, CircuitPlan *p, const CircuitBinding *b, c128 *amp,
                          c128 *adjoint, double *const *slot_adjoint);

/* Shots of a circuit with measurements, resets, channels, conditions, projections, by
 * trajectories: bit[(item * shots + shot) * circuit_sample_bits + k] is classical bit k, or,
 * when the circuit measures nothing, qubit k at the end; keep[item * shots + shot] is 0 for
 * shots that a projection refused.  Circuits that only measure at the end are sampled from
 * one run.  Shot s draws the same on any number of threads.                          */
RtStatus circuit_sample(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, int64_t shots,
                        RngCall rng, uint8_t *bit, uint8_t *keep);
int64_t circuit_sample_bits(const Circuit *c);
#endif
