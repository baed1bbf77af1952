/* state.h: state vectors.
 *
 * A State is a vector of c128 amplitudes, one for each basis state of its variables:
 * variable 0 is the least significant digit of the index; a qubit's digit 0 is Z = +1,
 * a spin's 0 is +1, a binary's digit its value, a mode's its quanta.  Plain states of
 * n qubits have the register as their only variables.  Sizes are checked against the
 * machine's memory and the context's limit before anything is allocated.
 */
#ifndef QA_STATE_H
#define QA_STATE_H
#include "runtime/operator/operator.h"
#include "runtime/tensor/random.h"

typedef struct State {
  VarTable vars;       /* owned                                                */
  int64_t size;        /* product of the levels                                */
  c128 *amp;           /* owned, 64-byte aligned                               */
} State;

void state_init(State *s);
void state_free(Rt *rt, State *s);
/* Amplitudes uninitialised. */
RtStatus state_new(Rt *rt, const VarTable *vars, State *out);
RtStatus state_copy(Rt *rt, const State *s, State *out);
/* The variables of n qubits. */
RtStatus state_register(Rt *rt, int64_t n, VarTable *out);
/* |index>; an error when there is no such basis state. */
RtStatus state_basis(Rt *rt, const VarTable *vars, int64_t index, State *out);
/* Equal amplitudes: |+> on every qubit. */
RtStatus state_plus(Rt *rt, const VarTable *vars, State *out);
/* Uniform on the sphere: normal amplitudes, normalised. */
RtStatus state_random(Rt *rt, const VarTable *vars, RngCall c, State *out);
double state_norm2(const State *s);                 /* <s|s> */
c128 state_overlap(const State *a, const State *b); /* <a|b>; equal sizes */
void state_scale(State *s, c128 c);
/* Do the two have the same variables? */
bool state_like(const VarTable *a, const VarTable *b);
/* H over the variables of s, matched by name; an error that names a variable which s
 * does not have.                                                                */
RtStatus state_operator(Rt *rt, const Operator *h, const State *s, Operator *out);
/* "0.7071|00> + 0.7071|11>": the largest amplitudes first, at most `terms`; digits with
 * the last variable on the left, as in a binary numeral.                         */
void state_print(const State *s, int terms, Buf *out);

#endif
