/* circuit.h: circuits as values, and what a `circuit` block says while its body runs; shared
 * by lang/blocks/circuit.c and lang/bind/circuit*.c.
 *
 *   circuit layer(theta[n, 2], n) { qubits w[n]
 *                                   for i in 0..n { rx(theta[i, 0]) w[i] }
 *                                   control w[0] { h w[1] } }
 * becomes
 *   (theta, n) => __circuit(cache, (.c, theta, n) => {
 *     let w = __circuit_register(.c, "w", (n,), false)
 *     for i in 0..n { __circuit_gate(.c, "rx", (theta[i, 0],), (w[i],), false) }
 *     __circuit_open(.c, 1, w[0], 1); { __circuit_gate(.c, "h", (), (w[1],), false) }
 *     __circuit_close(.c) }, ("theta", "n"), (theta, n), (2, -1))
 *
 * The body runs once for each structure: ints, bools, texts, extents, functions and circuits
 * among the arguments.  Floats and float tensors are slots while it runs.
 */
#ifndef QA_BIND_CIRCUIT_H
#define QA_BIND_CIRCUIT_H
#include "lang/vm/vm.h"
#include "runtime/circuit/run.h"

/* ---- structures and their slots ------------------------------------------------- */

/* A finished structure: shared by all circuits that were made from it. */
typedef struct {
  uint32_t refs;
  Circuit c;
  CircuitPlan *plan;          /* made by the first run; NULL before             */
} CircuitCode;

CircuitCode *circuit_code_new(Vm *vm, Circuit *c);          /* takes over what c holds */
CircuitCode *circuit_code_ref(CircuitCode *code);
void circuit_code_unref(Vm *vm, CircuitCode *code);         /* NULL is fine */

/* The numbers of all circuits that are being written at once: a body and what it calls. */
typedef struct CircuitSpace {
  uint32_t refs;
  ScalarProg scalar;
  Circuit slots;              /* only its slots are used                        */
} CircuitSpace;

typedef struct {
  CircuitCode *code;
  Tensor **slot;              /* [slots] f64 or c128, (batch..., item); may be traced.
                                 NULL: part of a circuit that is being written  */
  CircuitSpace *space;        /* of that one, else NULL                         */
  int32_t *map;               /* its slots of the code's; NULL: the code's numbers
                                 are the space's already                        */
  int batch_rank;
  int64_t batch_shape[TENSOR_MAX_RANK], batch;
} CircuitValue;
extern const BoxType circuit_type;         /* "Circuit", data: CircuitValue     */
/* An error unless v is a circuit (a declaration without required parameters stands for what
 * it gives: *v is replaced).                                                     */
int arg_circuit(Vm *vm, Value *v, const char *what, CircuitValue **out);
/* The same, and an error for parts of a circuit that is being written. */
int arg_whole_circuit(Vm *vm, Value *v, const char *what, CircuitValue **out);
/* The circuit with its numbers: references to slot[] are taken.  nil + error. */
Value circuit_bound(Vm *vm, CircuitCode *code, Tensor *const *slot, int batch_rank,
                    const int64_t *batch_shape);
/* A part of what is being written in `space`; takes over map.  nil + error. */
Value circuit_part(Vm *vm, CircuitCode *code, CircuitSpace *space, int32_t *map);
/* Of a declaration: the structures that its body has given so far. */
extern const BoxType circuit_cache_type;
Value circuit_cache_new(Vm *vm, const char *name);

/* ---- while a body runs ------------------------------------------------------------ */

CircuitSpace *circuit_space_new(Vm *vm);
CircuitSpace *circuit_space_ref(CircuitSpace *s);           /* NULL is fine */
void circuit_space_unref(Vm *vm, CircuitSpace *s);

/* A number or an array of numbers of a space. */
typedef struct {
  CircuitSpace *space;
  int32_t slot;               /* a view of that slot from element `at`; -1: nodes */
  int64_t at;
  bool is_complex;               /* only views                                     */
  int32_t *node;              /* [size]; NULL: a view                           */
  int rank;
  int64_t shape[TENSOR_MAX_RANK], size;
} SlotValue;
extern const BoxType slot_type;            /* "circuit argument"                 */
/* The whole of a slot, or one node. */
Value slot_whole(Vm *vm, CircuitSpace *space, int32_t slot);
/* Element k in row-major order as a node of the space; -1 + error. */
int32_t slot_node(Vm *vm, SlotValue *s, int64_t k);
/* What a gate's argument is as a node: a slot of rank 0 or a plain number. */
int arg_angle(Vm *vm, CircuitSpace *space, Value v, const char *what, int32_t *node);

/* The qubits an operand stands for. */
typedef struct {
  Value builder;              /* keeps it alive                                 */
  int rank;
  int64_t shape[TENSOR_MAX_RANK], size;
  int32_t qubit[];            /* [size]                                         */
} QubitValue;
extern const BoxType qubits_type;          /* "qubits"                           */
QubitValue *qubits_new(Vm *vm, Value builder, int rank, const int64_t *shape);
int qubits_give(Vm *vm, QubitValue *q, Value *out);         /* takes over q; NULL: 1 */
/* Classical bits of the circuit being written. */
typedef struct { Value builder; int64_t first, count; } BitsValue;
extern const BoxType bits_type;            /* "measured bits"                    */

typedef struct CircuitBuilder CircuitBuilder;
Value circuit_begin(Vm *vm, const char *name, CircuitSpace *space);
CircuitBuilder *circuit_builder(Vm *vm, Value v);                /* NULL + error */
/* The circuit that was written; its numbers are the space's. */
int circuit_finish(Vm *vm, Value v, Circuit *out);
#endif
