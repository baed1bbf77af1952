/* circuit_run.h: what the library's functions of states give of circuits. */
#ifndef QA_BIND_CIRCUIT_RUN_H
#define QA_BIND_CIRCUIT_RUN_H
#include "lang/bind/circuit.h"
#include "lang/bind/state.h"

/* (batch..., 2^n) c128, differentiable; NULL + error. */
Tensor *circuit_amplitudes(Vm *vm, CircuitValue *v);
int circuit_state(Vm *vm, CircuitValue *v, State *out);
int circuit_matrix_value(Vm *vm, CircuitValue *v, Value *out);
/* expect(H, c), args as the function has them. */
int circuit_expectation(Vm *vm, Value *args, Value *out);
static inline bool is_circuit(Value v) {
  return box_data(v, &circuit_type) != NULL ||
         (value_is(v, OBJ_CLOSURE) && vm_closure_const(v, &circuit_cache_type));
}
#endif
