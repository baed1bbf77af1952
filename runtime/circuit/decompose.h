/* decompose.h: circuits in one- and two-qubit gates; counts and depth.
 *
 * Controlled gates without clean ancillas (Barenco et al., Phys. Rev. A 52, 3457, 1995;
 * rotations by halves of the controls, Iten et al., Phys. Rev. A 93, 032318, 2016), runs of
 * `when` blocks as multiplexed gates, amplitude encoding by multiplexed rotations
 * (Moettoenen et al., Quant. Inf. Comp. 5, 467, 2005), matrices of two qubits by their
 * canonical form (Vatan and Williams, Phys. Rev. A 69, 032315, 2004), larger ones by quantum
 * Shannon decomposition (Shende, Bullock, Markov, IEEE TCAD 25, 1000, 2006).
 */
#ifndef QA_CIRCUIT_DECOMPOSE_H
#define QA_CIRCUIT_DECOMPOSE_H
#include "runtime/circuit/run.h"

typedef enum {
  BASIS_TWO,         /* gates of at most two qubits stay as they are, else as below  */
  BASIS_U_CX,        /* u and cx                                                    */
  BASIS_RZ_SX_CX,    /* rz, sx, cx                                                  */
  BASIS_RZ_RY_CX,    /* rz, ry, cx                                                  */
  BASES
} CircuitBasis;
/* "u,cx", "rz,sx,cx", "rz,ry,cx", in any order of the words; an error names them. */
RtStatus circuit_basis(Rt *rt, const char *text, CircuitBasis *out);

/* The circuit with the numbers of item 0 of b put in: equal to c up to rounding, global phase
 * included (a last gphase), except that a `load` need only agree on |0...0>.  Measurements,
 * resets, projections, noise and barriers stay.                                    */
RtStatus circuit_decompose(Rt *rt, const Circuit *c, const CircuitBinding *b, CircuitBasis basis,
                           Circuit *out);

/* The same with the gates for which keep() is true left as they are. */
RtStatus circuit_decompose_some(Rt *rt, const Circuit *c, const CircuitBinding *b,
                                CircuitBasis basis, bool (*keep)(const Gate *g), Circuit *out);

/* Name of a gate for counts and drawings: "ccx", "sdg", "c5rz", "depolarize", to out[64]. */
void gate_label(const Circuit *c, const Gate *g, char out[64]);
/* Length of the longest path, a gate one step on all its qubits and bits; barriers hold
 * everything up and do not count, neither do global phases.                        */
RtStatus circuit_depth(Rt *rt, const Circuit *c, int64_t *depth);
#endif
