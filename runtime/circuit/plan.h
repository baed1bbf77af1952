/* plan.h: circuits prepared for state vectors (private to runtime/circuit).
 *
 * Gates become operations: runs of gates on one qubit, diagonal gates of any width gathered as
 * long as nothing stands between, Pauli rotations, dense gates on two qubits, and the rest,
 * which goes gate by gate (ops.c).  Operations that commute with what is left out are gathered
 * into stages, which work on one block of the vector after another, and within a stage into
 * passes over the block (stage.c).  All of that is structure: numbers are bound for each run
 * (bind.c, phase.c).                                                                 */
#ifndef QA_CIRCUIT_PLAN_H
#define QA_CIRCUIT_PLAN_H
#include "runtime/circuit/run.h"
#include "runtime/circuit/sweep.h"

typedef enum { OP_ONE, OP_PAIR, OP_TURN, OP_PHASES, OP_OTHER } OpKind;

typedef struct {
  uint8_t kind;
  bool flip;                 /* ONE: X, and no gate                               */
  bool full;                 /* ONE: has any matrix                                */
  uint64_t x, z;             /* qubits it changes; those it only looks at          */
  uint64_t mask, value;      /* its controls                                      */
  int32_t target[2];         /* ONE, PAIR                                         */
  int32_t head, tail;        /* its gates in order, by CircuitPlan.next; -1: none  */
  int32_t gates;             /* ONE: how many, at most ONE_MOST                    */
} Op;
enum { ONE_MOST = 64 };

/* A gate's place in a pass of steps. */
typedef struct {
  int32_t op;
  uint8_t where, on;
  uint64_t mask, value;      /* controls on bits of the index above the lanes      */
  unsigned lane_mask, lane_value; /* and on the lanes                              */
} PlanStep;

typedef struct {
  uint8_t kind;              /* OpKind; OP_ONE: steps                             */
  int place[SWEEP_PLACES];   /* bits of the stage's index                         */
  int32_t op;                /* not OP_ONE                                        */
  int32_t first, count;      /* steps                                             */
} Pass;

/* A stage's index: its local qubits are the low `bits` bits in ascending order, the others above
 * them.  whole: bits is all of them and the order is the vector's.                  */
typedef struct {
  int bits;
  bool whole, straight;      /* straight: the order is the vector's                */
  int8_t qubit[64], at[64];  /* of a bit; bit of a qubit                           */
  int32_t first, count;      /* passes                                            */
  int32_t other;             /* an OP_OTHER, alone; -1                             */
} Stage;

typedef struct {
  bool single;
  int block_bits;
  Stage *stage; int32_t n_stage, cap_stage;
  Pass *pass; int32_t n_pass, cap_pass;
  PlanStep *step; int32_t n_step, cap_step;
} Schedule;

enum { SCHEDULE_DOUBLE, SCHEDULE_SINGLE, SCHEDULE_BACK, SCHEDULES };
struct CircuitPlan {
  const Circuit *c;          /* borrowed: lives as long as the plan               */
  int n;                     /* qubits                                            */
  Op *op; int32_t n_op, cap_op;
  int32_t *next;             /* [gates]                                           */
  size_t next_bytes;
  Schedule *schedule[SCHEDULES]; /* made when first needed                        */
};

RtStatus plan_ops(Rt *rt, CircuitPlan *p);
/* The schedule of that number; NULL + error. */
const Schedule *plan_schedule(Rt *rt, CircuitPlan *p, int which);
void stages_free(Rt *rt, Schedule *s);
/* Are there enough qubits for sweeps? */
bool plan_sweeps(const CircuitPlan *p, bool single);
/* Bits of the stage's index for a mask of qubits. */
static inline uint64_t stage_mask(const Stage *s, uint64_t qubits) {
  uint64_t m = 0;
  if (s->straight) return qubits;
  for (; qubits; qubits &= qubits - 1) m |= 1ull << s->at[__builtin_ctzll(qubits)];
  return m;
}

/* ---- numbers ------------------------------------------------------------------------ */

/* What a run's operations are bound from. */
typedef struct {
  const CircuitPlan *p;
  const double *value;       /* of angles, [nodes, batch]                          */
  int64_t batch, item;
} Values;
static inline void gate_angles(const Values *v, const Gate *g, double *angle) {
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    angle[k] = v->value[v->p->c->angle[g->angle + k] * v->batch + v->item];
}
/* The matrix of an ONE (its gates multiplied), 2 by 2, or of a PAIR, 4 by 4: bit 0 of a row is
 * target[0].                                                                        */
void op_matrix(const Values *v, const Op *op, c128 *m);
void gate_matrix_any(const Circuit *c, const Gate *g, const double *angle, c128 *m);
void matrix2_mul(const c128 *a, const c128 *b, c128 *out);
void matrix2_adjoint(const c128 *a, c128 *out);
/* The form of a 2 by 2 matrix; unit: it may be divided by its diagonal (*scale).      */
StepForm matrix_form(c128 *m, bool unit, c128 *scale);
/* The unitary's matrices and forms, [ops] of ONE: the total of what they were divided by. */
typedef struct { c128 m[4]; uint8_t form; } OpMatrix;
void bind_matrices(const Values *v, OpMatrix *m, c128 *total);

/* A step's coefficients: STEP_COEFS registers at `coef`. */
void bind_step(const Schedule *s, const PlanStep *plan, const OpMatrix *m, Step *out, void *coef);
/* sum: 2 registers more, of the generator, or NULL.  inverse: of exp(+i t P/2).      */
void bind_turn(const Values *v, const Schedule *s, const Stage *stage, const Op *op, bool inverse,
               TurnStep *out, void *coef, void *sum);
enum { TURN_COEFS = 3, PAIR_COEFS = 32 };
void bind_pair(const Values *v, const Schedule *s, const Stage *stage, const Op *op, bool inverse,
               PairStep *out, void *coef);

/* ---- diagonal operations (phase.c) ------------------------------------------------------ */

typedef struct Diagonal Diagonal;
/* Prepared for blocks of 2^bits of the stage's index; inverse: conjugated.          */
RtStatus diagonal_bind(Rt *rt, const Values *v, const Schedule *s, const Stage *stage,
                       const Op *op, int bits, bool inverse, Diagonal **out);
void diagonal_free(Rt *rt, Diagonal *d);
int diagonal_bits(const Diagonal *d);      /* of the blocks that it is applied to   */
void diagonal_apply(const Diagonal *d, const SweepTable *t, void *x, uint64_t outer);
/* Numbers of its sums: doubles for diagonal_back to add to. */
int64_t diagonal_sums(const Diagonal *d);
void diagonal_back(const Diagonal *d, const SweepBack *t, double *psi, double *adjoint,
                   uint64_t outer, double *sums);
/* dL/d of its gates' angles times `weight` to node[angle * batch + item]. */
void diagonal_slopes(const Diagonal *d, const Values *v, const double *sums, double weight,
                     double *node);

/* ---- stages with their numbers (bound.c) -------------------------------------------------- */

typedef struct {
  const Pass *pass;
  Step *step;
  TurnStep turn;
  PairStep pair;
  Diagonal *diagonal;
  int64_t acc;               /* first register of its sums                          */
  double weight;             /* back: of the sums of a TURN or DIAGONAL             */
  int64_t items;             /* what its kernel counts, of a block                   */
} BoundPass;

typedef struct {
  const Stage *stage;
  const Schedule *schedule;
  BoundPass *pass;           /* [stage's passes]                                    */
  double *weight;            /* back, [steps]: of their sums                         */
  int64_t accs;              /* registers of sums                                    */
  void *room;
  size_t bytes;
} BoundStage;

/* m: forwards, [ops].  back: inverses, with sums for the angles; *weight: what the product of
 * the vectors is to be multiplied with, before and after; unit: may it change?       */
RtStatus stage_bind(Rt *rt, const Values *v, const Schedule *s, const Stage *stage,
                    const OpMatrix *m, BoundStage *out);
RtStatus stage_bind_back(Rt *rt, const Values *v, const Schedule *s, const Stage *stage, bool unit,
                         double *weight, BoundStage *out);
void stage_unbind(Rt *rt, BoundStage *b);
/* Tile number t of a vector to or from a block. */
void tile_take(const Stage *s, size_t each, uint64_t t, int n, const void *vector, void *block);
void tile_put(const Stage *s, size_t each, uint64_t t, int n, const void *block, void *vector);
enum { SERIAL_QUBITS = 17 }; /* fewer are not worth waking threads                   */

/* ---- running ------------------------------------------------------------------------------ */

/* The numbers of all angles, [nodes, batch]: freed by angles_free. */
RtStatus angles_run(Rt *rt, const Circuit *c, const CircuitBinding *b, double **value);
void angles_free(Rt *rt, const Circuit *c, const CircuitBinding *b, double *value);
/* Gate number i on one item, whatever it is. */
RtStatus run_gate(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const Gate *g,
                  int64_t item, const double *value, c128 *amp);
/* Undoes g on both vectors and adds to the adjoints of its numbers. */
RtStatus gate_back(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const Gate *g,
                   int64_t item, const double *value, c128 *amp, c128 *adjoint, double *node,
                   double *const *slot_adjoint);
/* dU/d angle j of a gate with a matrix. */
void matrix_derivative(const Gate *g, const double *angle, int j, c128 *out);
/* The walk back of one item by sweeps. */
RtStatus sweep_walk(Rt *rt, CircuitPlan *p, const CircuitBinding *b, int64_t item,
                    const double *value, c128 *amp, c128 *adjoint, double *node,
                    double *const *slot_adjoint);

/* One gate on the 2^n amplitudes of one item; angle: its numbers; load: the vector that it
 * loads (NULL: it loads none).  `inverse`: the gate's inverse instead.              */
RtStatus gate_apply(Rt *rt, const Circuit *c, const Gate *g, bool inverse, const double *angle,
                    const c128 *load, int n, c128 *amp);
/* Bits of a basis index that a gate holds: its targets (0) and controls (as they are on). */
typedef struct {
  int held[128], n_held;     /* ascending                                         */
  uint64_t base;             /* the controls' bits                                */
  int64_t count;             /* indices to visit                                  */
  uint64_t free;             /* the bits that are not held                        */
} Visit;
void visit_of(const Circuit *c, const Gate *g, int n, Visit *v);
/* Index k of the visit: zeros put in at the held bits, the controls' bits set. */
static inline uint64_t visit_at(const Visit *v, int64_t k) {
  uint64_t i = (uint64_t)k;
  for (int h = 0; h < v->n_held; h++) {
    uint64_t low = (1ull << v->held[h]) - 1;
    i = ((i & ~low) << 1) | (i & low);
  }
  return i | v->base;
}
/* The visit's indices without its base in ascending order, from 0; 0: that was all. */
static inline uint64_t visit_next(const Visit *v, uint64_t j) { return (j - v->free) & v->free; }
/* A matrix on one target, whose bit that is. */
void apply_one(const Visit *v, uint64_t bit, const c128 *m, c128 *amp);
/* Its letters as masks; y: how many are Y. */
void pauli_masks(const Circuit *c, const Gate *g, uint64_t *x, uint64_t *z, int *y);

/* U_x = turn (1 - f v v') of a normalised vector: v_0 = v0, v_r = -back x_r. */
typedef struct { c128 phase, back; double v0, f; } Reflection;
Reflection reflection_of(int64_t d, const c128 *x);

/* The row-major matrix on g's targets, at most 2 of them: not of LOAD, UNITARY, PAULI. */
void gate_matrix(const Gate *g, bool inverse, const double *angle, c128 *m);
/* The vector of a LOAD for item `item`, normalised; c128 [count], freed by rt_free of
 * count * sizeof(c128) bytes.  An error names a vector of zeros or not finite.       */
RtStatus load_vector(Rt *rt, const Circuit *c, const LoadView *v, const CircuitBinding *b,
                     int64_t item, c128 **out);
#endif
