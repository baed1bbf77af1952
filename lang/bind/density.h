/* density.h: density matrices and baths as values; what the functions of states do with them. */
#ifndef QA_BIND_DENSITY_H
#define QA_BIND_DENSITY_H
#include "lang/bind/state.h"
#include "runtime/open/density.h"

extern const BoxType density_type;         /* "Density", data: Density         */
static inline bool density_is(Value v) { return box_data(v, &density_type) != NULL; }
/* Takes over what p holds; nil + error. */
Value density_value(Vm *vm, Density *p);

/* The functions of states where their state is a density matrix: args as theirs. */
int density_call_expect(Vm *vm, Value *args, Value *out);        /* expect(A, rho)       */
int density_call_reduced(Vm *vm, const Density *p, int k, const int64_t *site, Value *out);
int density_call_probabilities(Vm *vm, const Density *p, Value *out);
int density_call_matrix(Vm *vm, const Density *p, Value *out);

/* ---- baths (bath.c) ---- */
/* A collapse operator, a bath record or a list of them as collapse operators over `vars`.
 * per_second: units of time of the evolution in a second; 0: times are plain numbers.
 * Free with jumps_free(), also after an error.                                  */
int arg_bath(Vm *vm, Value v, const VarTable *vars, double per_second, int *n, Operator **list);
#endif
