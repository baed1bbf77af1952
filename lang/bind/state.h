/* state.h: state vectors as values; shared by lang/bind/state.c and evolve.c. */
#ifndef QA_BIND_STATE_H
#define QA_BIND_STATE_H
#include "lang/bind/hamiltonian.h"
#include "runtime/operator/apply.h"
#include "runtime/state/state.h"

extern const BoxType state_type;           /* "State", data: State             */
/* Takes over what s holds; nil + error. */
Value state_value(Vm *vm, State *s);
/* Borrowed.  A state of c128 amplitudes; one of c64 is an error that says how to convert it. */
/* {NAME: t, space}, for kept values: numbers t over the variables; takes over t, NULL passes
 * the error on.                                                                  */
int save_in_space(Vm *vm, const VarTable *vars, const char *name, Tensor *t, Value *out);
int arg_state(Vm *vm, Value v, const char *what, State **out);
/* Of c128 or c64, for what works in both. */
int arg_state_any(Vm *vm, Value v, const char *what, State **out);
/* `dtype` of functions that make states: c128 when nil, or c64. */
int arg_state_dtype(Vm *vm, Value v, const char *what, bool *single);
/* A number of qubits, or a Hamiltonian whose variables are meant. */
int arg_space(Vm *vm, Value *v, const char *what, VarTable *out);
/* The operator of a Hamiltonian argument, merged: no constraints, not `maximize`. */
int arg_operator(Vm *vm, Value *v, const char *what, Operator **out);
/* The same, and an error unless it is Hermitian. */
int arg_hermitian(Vm *vm, Value *v, const char *what, Operator **out);
/* H compiled for the variables of s. */
int state_applied(Vm *vm, const Operator *h, const State *s, Applied **out);

/* The same, kept with the value for as long as that is unchanged (applied.c). */
typedef struct HamApplied HamApplied;
const Applied *ham_applied_map(const HamApplied *a);
void ham_applied_unref(Rt *rt, HamApplied *a);      /* NULL is fine */
/* A reference to what is kept with v for states over `vars` (NULL: a register of qubits); NULL:
 * nothing is.  What is kept passed arg_hermitian().                                */
HamApplied *ham_applied_found(Value v, const VarTable *vars, int64_t qubits, bool single);
/* Compiles op, the Hermitian operator of v, for s and keeps it. */
int ham_applied_make(Vm *vm, Value v, const Operator *op, const State *s, HamApplied **out);
/* H |s> */
int state_times(Vm *vm, Value h, Value s, Value *out);
/* expect(H, psi) of one operator; of a list of them (lang/bind/measure.c). */
int state_expect(Vm *vm, Value *args, Value *out);
int expect_list(Vm *vm, Value *args, Value *out);
int state_variance(Vm *vm, Value *args, Value *out);                /* variance(H, psi) */
#endif
