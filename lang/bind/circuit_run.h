/* circuit_run.h: what the library's functions of states give of circuits. */
#ifndef QA_BIND_CIRCUIT_RUN_H
#define QA_BIND_CIRCUIT_RUN_H
#include "lang/bind/circuit.h"
#include "lang/bind/state.h"
#include "runtime/grad/grad.h"

/* A circuit with its slots' numbers where the runtime wants them. */
typedef struct {
  CircuitCode *code;
  CircuitBinding b;
  const double **slot;
  int64_t *stride;
  Tensor **flat;             /* contiguous copies, references                     */
  int n;
} CircuitRun;
/* The numbers of `slot`. */
int circuit_numbers(Vm *vm, CircuitCode *code, Tensor *const *slot, int64_t batch, CircuitRun *r);
/* The same; plans the circuit when nobody has before. */
int circuit_open(Vm *vm, CircuitCode *code, Tensor *const *slot, int64_t batch, CircuitRun *r);
void circuit_close(Vm *vm, CircuitRun *r);
/* The way back of a question whose answers are real: g is what comes from behind, NULL for nothing;
 * `slopes` adds the derivatives by the numbers of slot[k] to grad[k], zeros at first, NULL where
 * nobody wants them. `ask` is the node's data.                                        */
typedef RtStatus (*CircuitSlopes)(Rt *rt, const void *ask, Tensor **slot, const double *g,
                                  Tensor **grad);
RtStatus circuit_slopes(Rt *rt, TapeNode *node, int slots, Tensor *g, CircuitSlopes slopes);
/* Memory for a batch of states, before it is asked for. */
int circuit_fits(Vm *vm, const Circuit *c, int64_t batch, const char *what);

/* (batch..., 2^n) c128, differentiable; NULL + error. */
Tensor *circuit_amplitudes(Vm *vm, CircuitValue *v);
int circuit_state(Vm *vm, CircuitValue *v, bool single, State *out);
int circuit_matrix_value(Vm *vm, CircuitValue *v, Value *out);
/* expect(H, c), args as the function has them. */
int circuit_expectation(Vm *vm, Value *args, Value *out);
/* Which basis states an outcome's record {register: value} names: index & mask == value. */
int circuit_outcome(Vm *vm, const Circuit *c, const Record *named, uint64_t *mask,
                    uint64_t *value);
/* H on the circuit's qubits. */
int circuit_operator(Vm *vm, const Operator *h, int64_t qubits, Operator *out);
/* expect(H, c, shots, seed): sampled, with derivatives by parameter shift. */
int circuit_estimate(Vm *vm, Value *args, Value *out);
/* sample(c, shots), args as the function has them. */
int circuit_shots(Vm *vm, Value *args, Value *out);
/* draw(c, path, width) */
int circuit_draw(Vm *vm, Value *args, Value *out);
/* The same questions where the circuit has noise, measurements or resets: by density matrices,
 * differentiable (circuit_mixed.c).                                                 */
int mixed_expectation(Vm *vm, CircuitValue *v, const Operator *h, Value *out);
int mixed_probability(Vm *vm, CircuitValue *v, uint64_t mask, uint64_t value, Value *out);
int mixed_probabilities(Vm *vm, CircuitValue *v, Value *out);
/* density(c) */
int circuit_density(Vm *vm, Value *args, Value *out);
static inline bool is_circuit(Value v) {
  return box_data(v, &circuit_type) != NULL ||
         (value_is(v, OBJ_CLOSURE) && vm_closure_const(v, &circuit_cache_type));
}
#endif
