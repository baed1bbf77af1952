/* rotate.h: rotations of state vectors in place: Pauli strings, phases, layers of gates.
 *
 * All of them work on the 2^n amplitudes of n two-level digits, 64-byte aligned; digit q is
 * bit q of the index, its 0 is Z = +1.  A string is (x, z): X where x has a bit, Z where z
 * has one, Y where both have.  As in runtime/operator/apply.h a complex vector is 2^(n+1)
 * doubles and a string takes double d ^ mask to d with a sign, so one kernel rotates by any
 * string; single-qubit gates go eight vectors at a time, three qubits for one load and
 * store, block by block in the second-level cache; phases are products over the terms of
 * a diagonal operator, found for a run of 512 amplitudes at once.
 *
 * Results have the same bits for any number of threads and any instruction set.  Errors
 * are those of memory and interrupts only.
 * Source: Haener and Steiger, SC17 (blocking); Jones et al., Sci. Rep. 9, 10736 (2019).
 */
#ifndef QA_STATE_ROTATE_H
#define QA_STATE_ROTATE_H
#include "runtime/operator/paulis.h"

/* amp := (a + b P) amp, or a + i b P when `turned`: exp(-i t P/2) is a = cos(t/2),
 * b = -sin(t/2), turned; exp(-t P) is a = cosh(t), b = -sinh(t).                */
typedef struct {
  uint64_t x, z;
  double a, b;
  bool turned;
  /* Where popcount(index & w) is odd, a2 and b2 in the place of a and b; w commutes with the
   * string, 0: none.  Two commuting strings with one x are such a step (XX and YY).   */
  uint64_t w;
  double a2, b2;
} PauliStep;

/* k steps in order; neighbours that stay within a cache block are done block by block. */
RtStatus rotate_strings(Rt *rt, int n, c128 *amp, int64_t k, const PauliStep *step);

/* One gate on each of k different qubits: m is row-major, {<0|m|0>, <0|m|1>, ...}. */
typedef struct { int qubit; c128 m[4]; } QubitGate;
RtStatus rotate_layer(Rt *rt, int n, c128 *amp, int k, const QubitGate *gate);

/* A diagonal operator E(i) = sum of c (-1)^popcount(i & z), prepared for
 * amp[i] *= exp((re + i im) E(i)).                                             */
typedef struct Phases Phases;
RtStatus phases_make(Rt *rt, int n, int64_t k, const PauliTerm *term, Phases **out);  /* x ignored */
void phases_free(Phases *p);                            /* NULL is fine */
RtStatus phases_apply(Phases *p, double re, double im, c128 *amp);
#endif
