/* plan.h: circuits prepared for state vectors (private to runtime/circuit). */
#ifndef QA_CIRCUIT_PLAN_H
#define QA_CIRCUIT_PLAN_H
#include "runtime/circuit/run.h"

struct CircuitPlan {
  const Circuit *c;          /* borrowed: lives as long as the plan               */
  int n;                     /* qubits                                            */
};

/* The numbers of all angles, [nodes, batch]: freed by angles_free. */
RtStatus angles_run(Rt *rt, const Circuit *c, const CircuitBinding *b, double **value);
void angles_free(Rt *rt, const Circuit *c, const CircuitBinding *b, double *value);

/* One gate on the 2^n amplitudes of one item; angle: its numbers; load: the vector that it
 * loads (NULL: it loads none).  `inverse`: the gate's inverse instead.              */
RtStatus gate_apply(Rt *rt, const Circuit *c, const Gate *g, bool inverse, const double *angle,
                    const c128 *load, int n, c128 *amp);
/* The row-major matrix on g's targets, at most 2 of them: not of LOAD, UNITARY, PAULI. */
void gate_matrix(const Gate *g, bool inverse, const double *angle, c128 *m);
/* The vector of a LOAD for item `item`, normalised; c128 [count], freed by rt_free of
 * count * sizeof(c128) bytes.  An error names a vector of zeros or not finite.       */
RtStatus load_vector(Rt *rt, const Circuit *c, const LoadView *v, const CircuitBinding *b,
                     int64_t item, c128 **out);
#endif
