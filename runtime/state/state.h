/* state.h: state vectors.
 *
 * A State is a vector of amplitudes, c128 or c64, one for each basis state of its variables:
 * variable 0 is the least significant digit of the index; a qubit's digit 0 is Z = +1,
 * a spin's 0 is +1, a binary's digit its value, a mode's its quanta.  Plain states of
 * n qubits have the register as their only variables.  Sizes are checked against the
 * machine's memory and the context's limit before anything is allocated.
 *
 * Exactly one of amp and amp32 is there: code that knows only one of them asks first (in the
 * language arg_state() gives c128 states only).  Sums over amplitudes are of doubles, in an
 * order that depends on the size alone.
 */
#ifndef QA_STATE_H
#define QA_STATE_H
#include "runtime/operator/operator.h"
#include "runtime/tensor/random.h"

typedef struct State {
  VarTable vars;       /* owned                                                */
  int64_t size;        /* product of the levels                                */
  c128 *amp;           /* owned, 64-byte aligned; NULL in single precision     */
  c64 *amp32;          /* the same in single precision; NULL in double         */
} State;

static inline bool state_single(const State *s) { return s->amp32 != NULL; }
/* The amplitudes as doubles or floats, (re, im) side by side; NULL in the other precision. */
static inline double *state_doubles(const State *s) { return (double *)(void *)s->amp; }
static inline float *state_floats(const State *s) { return (float *)(void *)s->amp32; }
static inline c128 state_at(const State *s, int64_t i) {
  return s->amp ? s->amp[i] : (c128){(double)s->amp32[i].re, (double)s->amp32[i].im};
}
static inline void state_put(State *s, int64_t i, c128 a) {
  if (s->amp) s->amp[i] = a;
  else s->amp32[i] = (c64){(float)a.re, (float)a.im};
}

void state_init(State *s);
void state_free(Rt *rt, State *s);
/* Amplitudes uninitialised, c128; or c64 when single. */
RtStatus state_new(Rt *rt, const VarTable *vars, State *out);
RtStatus state_new_in(Rt *rt, const VarTable *vars, bool single, State *out);
/* s in single or double precision. */
RtStatus state_convert(Rt *rt, const State *s, bool single, State *out);
RtStatus state_copy(Rt *rt, const State *s, State *out);
/* The variables of n qubits. */
RtStatus state_register(Rt *rt, int64_t n, VarTable *out);
/* |index>, in double precision as those below; an error when there is no such basis state. */
RtStatus state_basis(Rt *rt, const VarTable *vars, int64_t index, State *out);
/* Equal amplitudes: |+> on every qubit. */
RtStatus state_plus(Rt *rt, const VarTable *vars, State *out);
/* Uniform on the sphere: normal amplitudes, normalised. */
RtStatus state_random(Rt *rt, const VarTable *vars, RngCall c, State *out);
/* The same in either precision. */
RtStatus state_basis_in(Rt *rt, const VarTable *vars, bool single, int64_t index, State *out);
RtStatus state_plus_in(Rt *rt, const VarTable *vars, bool single, State *out);
RtStatus state_random_in(Rt *rt, const VarTable *vars, bool single, RngCall c, State *out);
double state_norm2(const State *s);                 /* <s|s> */
/* <a|b>; equal sizes and precision */
c128 state_overlap(const State *a, const State *b);
void state_scale(State *s, c128 c);
void state_add(State *y, c128 c, const State *x);   /* y += c x; the same */
/* Do the two have the same variables? */
bool state_like(const VarTable *a, const VarTable *b);
/* H over the variables of s, matched by name; an error that names a variable which s
 * does not have.                                                                */
RtStatus state_operator(Rt *rt, const Operator *h, const State *s, Operator *out);
/* "0.7071|00> + 0.7071|11>": the largest amplitudes first, at most `terms`; digits with
 * the last variable on the left, as in a binary numeral.                         */
void state_print(const State *s, int terms, Buf *out);

#endif
