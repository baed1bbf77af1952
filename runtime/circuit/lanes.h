/* lanes.h: small circuits on eight parameter sets at once (private): number l of a register is set
 * l's.  Amplitude i is two registers, real parts and imaginary parts, at x + 16 i.  For few qubits
 * a gate costs more to prepare than to apply, and sets share what is prepared.
 *
 * No operation is contracted or reordered: all instruction sets give the same bits.
 */
#ifndef QA_CIRCUIT_LANES_H
#define QA_CIRCUIT_LANES_H
#include "runtime/circuit/plan.h"

enum { LANES = 8, LANE_QUBITS = 9 /* of larger ones one set at a time is faster */ };
typedef enum { LANE_FULL, LANE_REAL, LANE_DIAGONAL, LANE_PHASE /* of |1> only */ } LaneForm;

typedef struct {
  /* m: entry k of the matrix is the registers 2 k and 2 k + 1 */
  void (*one)(double *x, const Visit *v, uint64_t bit, LaneForm form, const double *m);
  void (*two)(double *x, const Visit *v, const uint64_t *at, const double *m);
  /* dL/dt of exp(-i t/2 G), G = X, Y, Z, or of diag(1, e^{it}) (P), from the states after it */
  void (*slope)(const double *psi, const double *adjoint, const Visit *v, uint64_t bit, int kind,
                double *sum);
  /* of LANES numbers below LANE_ANGLE, within 2 units in the last place of 1 */
  void (*sincos)(const double *t, double *sine, double *cosine);
} LaneTable;
#define LANE_ANGLE 1e5

extern const LaneTable lanes_base, lanes_v3, lanes_v4;

/* Does the circuit run in lanes; does it go back in them? */
bool lanes_fit(const CircuitPlan *p, const CircuitBinding *b);
bool lanes_fit_back(const CircuitPlan *p, const CircuitBinding *b);
/* All items from |0...0>. */
RtStatus lanes_run(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const double *value,
                   c128 *amp);
/* Adds to the adjoints of the angles, node[angle * batch + item]. */
RtStatus lanes_back(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const double *value,
                    const c128 *amp, const c128 *adjoint, double *node);
#endif
