/* qasm.h: circuits as OpenQASM 2 and 3 text (arXiv 1707.03429, arXiv 2104.14722).
 *
 * Conventions as in Qiskit: rz, rx, ry are exp(-i t P/2), u1 and p diag(1, e^{it}), u3 and u
 * have a real upper left corner; OpenQASM 3's U is e^{i theta/2} u, as its text defines it.
 */
#ifndef QA_CIRCUIT_QASM_H
#define QA_CIRCUIT_QASM_H
#include "runtime/circuit/run.h"

/* A text of version 2 or 3 into a circuit.  `input` declarations of version 3 become slots in
 * their order.  `name` stands in errors, which say the line.  Errors name what is not
 * understood, opaque gates, what the circuit form has no counterpart for.           */
RtStatus qasm_read(Rt *rt, const char *text, size_t n, const char *name, Circuit *out);
/* The circuit with the numbers of item 0 of b.  Gates that the version has no words for are
 * defined in the text or written in others; version 2 has no words for a global phase, which
 * becomes a comment.  Errors: projections, noise; conditions on part of a register in 2. */
RtStatus qasm_write(Rt *rt, const Circuit *c, const CircuitBinding *b, int version, Buf *out);
#endif
