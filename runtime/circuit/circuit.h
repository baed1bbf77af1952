/* circuit.h: circuits as values: registers, gates in order, where their numbers come from.
 *
 * A Circuit is structure only.  Its angles are nodes of a small program over slots
 * (scalar.h), its loaded vectors are views of slots: values are bound when it is run
 * (run.h), so one Circuit serves every step of a training and a batch of parameter sets.
 *
 * Qubit q of the circuit is bit q of a basis index; the first register has the low bits.
 * Angles: R_P(t) = exp(-i t P / 2); P(t) = diag(1, e^{it}); U(t, p, l) as in OpenQASM 3.
 * Phases count: global phases are kept, because a control makes them visible.
 *
 * To add a gate: a row of gate_table (gates.c) with its matrix and, when it has an
 * angle, its generator.  Everything else (simulation, derivatives, OpenQASM, drawing,
 * counts) reads the table.
 */
#ifndef QA_CIRCUIT_H
#define QA_CIRCUIT_H
#include "runtime/circuit/scalar.h"
#include "runtime/tensor/tensor.h"

typedef enum {
  /* fixed */
  GATE_ID, GATE_X, GATE_Y, GATE_Z, GATE_H, GATE_S, GATE_T, GATE_SX, GATE_SWAP, GATE_ISWAP,
  /* one angle */
  GATE_RX, GATE_RY, GATE_RZ, GATE_P, GATE_RXX, GATE_RYY, GATE_RZZ, GATE_GPHASE,
  GATE_PAULI,            /* exp(-i t/2 P), P a Pauli string: one letter a target    */
  /* three angles */
  GATE_U,
  /* data */
  GATE_UNITARY,          /* a constant matrix on its targets                       */
  GATE_LOAD,             /* amplitude encoding U_x: U_x|0> = |x>                   */
  /* not unitary */
  GATE_MEASURE,          /* one target into a classical bit                        */
  GATE_RESET,            /* one target to |0>                                      */
  GATE_PROJECT,          /* post-selection: one target is `value`; no renormalisation */
  GATE_CHANNEL,          /* noise: a row of channel_table, its strength an angle   */
  GATE_BARRIER,
  GATE_KINDS
} GateKind;

/* One row a gate. */
typedef struct {
  const char *name;      /* as in scripts                                           */
  const char *qasm;      /* in OpenQASM's standard library; NULL: decomposed         */
  int targets, angles;   /* targets 0: any number                                   */
  bool diagonal, self_inverse, real;
  const char *inverse;   /* name of the inverse when that is a gate too ("sdg")     */
  /* matrix[4^targets], row-major, of the angles; NULL: has its own way             */
  void (*matrix)(const double *angle, c128 *out);
  const char *generator; /* "X", "ZZ": exp(-i t/2 G); NULL: none of this form        */
  const char *doc;
} GateRow;
extern const GateRow gate_table[GATE_KINDS];
/* The kind called `name` in scripts or in OpenQASM, with what its prefixes say: "sdg" is S
 * inverted, "cx" and "ccx" are X with 1 and 2 controls.  false: no such gate.      */
bool gate_find(const char *name, GateKind *kind, int *controls, bool *inverse);

typedef struct {
  uint8_t kind;          /* GateKind                                                */
  bool inverse;
  uint16_t targets, controls;
  int32_t qubit;         /* first in Circuit.qubit: targets, then controls           */
  uint64_t on;           /* bit k: control k acts on 1, else on 0; at most 64        */
  int32_t angle;         /* first in Circuit.angle; -1: none                        */
  int32_t data;          /* UNITARY: index of Circuit.matrix; LOAD: of Circuit.load;
                            PAULI: of Circuit.letters; MEASURE: classical bit;
                            PROJECT: 0 or 1; CHANNEL: row of channel_table; else -1  */
  int32_t when;          /* condition on classical bits, index of Circuit.when; -1   */
} Gate;

typedef struct { char *name; int64_t first, count; bool ancilla; } QubitArray;
typedef struct { char *name; int64_t first, count; } BitArray;
/* `count` amplitudes from number `at` of a slot; slot -1: Circuit.matrix[at], c128 [count]. */
typedef struct { int32_t slot; int64_t at, count; bool is_complex; } LoadView;
typedef struct { int64_t first, count; uint64_t value; } BitCondition;       /* bits == value */
/* shape: of one batch item. */
typedef struct {
  char *name;
  bool is_complex;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
} CircuitSlot;

typedef struct Circuit {
  char *name;                                        /* of the declaration; NULL     */
  struct { QubitArray *at; int n, cap; int64_t qubits; } reg;
  struct { BitArray *at; int n, cap; int64_t bits; } bits;
  struct { CircuitSlot *at; int n, cap; } slot;
  ScalarProg scalar;
  Gate *gate; int64_t n, cap;
  int32_t *qubit; int64_t n_qubit, cap_qubit;
  int32_t *angle; int64_t n_angle, cap_angle;        /* nodes of scalar              */
  LoadView *load; int n_load, cap_load;
  BitCondition *when; int n_when, cap_when;
  Tensor **matrix; int n_matrix, cap_matrix;         /* c128 [D, D] or [D], references */
  char **letters; int n_letters, cap_letters;        /* "XZY", letter k on target k   */
} Circuit;

void circuit_init(Circuit *c);
void circuit_free(Rt *rt, Circuit *c);
/* The same registers, slots and name, no gates. */
RtStatus circuit_like(Rt *rt, const Circuit *c, Circuit *out);
RtStatus circuit_copy(Rt *rt, Circuit *out, const Circuit *c);
RtStatus circuit_register(Rt *rt, Circuit *c, const char *name, int64_t n, bool ancilla,
                          int64_t *first);
RtStatus circuit_bits(Rt *rt, Circuit *c, const char *name, int64_t n, int64_t *first);
RtStatus circuit_slot(Rt *rt, Circuit *c, const char *name, bool is_complex, int rank,
                      const int64_t *shape, int32_t *slot);
/* What gates refer to by Gate.data and Gate.when. */
RtStatus circuit_load(Rt *rt, Circuit *c, LoadView v, int32_t *data);
/* Takes a reference to m. */
RtStatus circuit_matrix(Rt *rt, Circuit *c, Tensor *m, int32_t *data);
RtStatus circuit_letters(Rt *rt, Circuit *c, const char *letters, int32_t *data);
RtStatus circuit_when(Rt *rt, Circuit *c, BitCondition w, int32_t *when);
/* "w[3]" */
void circuit_qubit_name(const Circuit *c, int64_t q, Buf *out);
/* Appends g (its qubit, angle fields are set by this); an error names a qubit out of range,
 * used twice, or a wrong number of targets or angles.                              */
RtStatus circuit_add(Rt *rt, Circuit *c, Gate g, const int32_t *target, const int32_t *control,
                     const int32_t *angle);
/* How a circuit is put into another: its qubit k is qubit[k] there. */
typedef struct {
  const int32_t *qubit;
  /* Its slot s is slot[s] there, or, where that is -1, the numbers value[s].  slot NULL:
   * its angles are numbers of the other's program already.                        */
  const int32_t *slot;
  const double *const *value;
  int controls;              /* more controls, qubits of the other                  */
  const int32_t *control;
  uint64_t on;
  bool inverse;              /* backwards, each gate inverted                       */
} CircuitPlace;
/* Appends b to a; its classical bits become new ones.  An error names a measurement, reset or
 * channel that would have to be inverted or controlled.                             */
RtStatus circuit_append(Rt *rt, Circuit *a, const Circuit *b, const CircuitPlace *at);
/* No measurement, reset, projection, channel?  first_not (may be NULL): the first of those. */
bool circuit_unitary(const Circuit *c, const Gate **first_not);
#endif
