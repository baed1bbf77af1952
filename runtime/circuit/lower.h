/* lower.h: writing gates of a small set (private to runtime/circuit): one-qubit matrices,
 * controlled ones, multiplexed rotations, diagonals, matrices.                     */
#ifndef QA_CIRCUIT_LOWER_H
#define QA_CIRCUIT_LOWER_H
#include "runtime/circuit/decompose.h"

#include <complex.h>

typedef double complex cplx;

typedef struct {
  Rt *rt;
  Circuit *out;
  CircuitBasis basis;
  int32_t when;              /* of the gate that is being written, in `out`         */
  double phase;              /* global, of gates without a condition                */
} Lower;

/* Control k acts where qubit q[k] is bit k of `on`. */
typedef struct { int n; int32_t q[64]; uint64_t on; } Controls;

enum { MUX_MOST = 20 };      /* selects of a multiplexed gate                      */

/* A gate of the output, angles as given. */
RtStatus lower_put(Lower *l, GateKind kind, bool inverse, int targets, const int32_t *q,
                   const double *angle);
RtStatus lower_cx(Lower *l, int32_t control, int32_t target);
/* m row-major 2 x 2, unitary, on qubit q where the controls say so. */
RtStatus lower_one(Lower *l, int32_t q, const cplx *m, const Controls *c);
RtStatus lower_rotation(Lower *l, char axis, int32_t q, double angle, const Controls *c);
/* e^{i phase} where the controls say so. */
RtStatus lower_phase(Lower *l, double phase, const Controls *c);
RtStatus lower_x(Lower *l, int32_t q, const Controls *c);
/* Rotation by angle[k] about 'Y' or 'Z' where the selects hold k, sel[0] the low bit; `c` may
 * be NULL.  angle [2^n] is used up.                                                */
RtStatus lower_mux(Lower *l, char axis, int32_t q, int n, const int32_t *sel, double *angle,
                   const Controls *c);
/* e^{i phase[k]} where qubits hold k; phase [2^n] is used up. */
RtStatus lower_diagonal(Lower *l, int n, const int32_t *q, double *phase, const Controls *c);
/* A unitary matrix on n qubits, row-major [2^n, 2^n], used up. */
RtStatus lower_unitary(Lower *l, int n, const int32_t *q, cplx *m, const Controls *c);

/* theta, phi, lambda, phase: m = e^{i phase} U(theta, phi, lambda) */
void euler_angles(const cplx *m, double out[4]);
/* exp(i (k[0] XX + k[1] YY + k[2] ZZ)) between local gates: m = e^{i phase} (a1 x a0) that (b1 x b0),
 * the factor 0 on the low bit.                                                    */
typedef struct { cplx a1[4], a0[4], b1[4], b0[4]; double k[3], phase; } Canonical;
void canonical_form(const cplx *m, Canonical *out);
#endif
