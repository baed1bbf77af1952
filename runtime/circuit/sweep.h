/* sweep.h: gates on a block of amplitudes: kernels of three instruction sets (private).
 *
 * A block is 2^bits amplitudes side by side, of a vector whose index has more bits above
 * (`outer`).  A register is 64 bytes, on older machines several vectors: 4 amplitudes, or 8 in
 * single precision; the lowest 2 (3) bits of an index are its lanes.  A pass of steps loads eight
 * registers, which differ in three bits of the index (its places), applies a list of gates on
 * those places and on the lanes, and stores them: one load and one store for the list.  Controls on
 * places choose among the four pairs of registers, controls on lanes are in the coefficients,
 * all others are compared with the index.
 *
 * No operation is contracted or reordered, and multiply-adds are so in all instruction sets: they
 * give the same bits.
 */
#ifndef QA_CIRCUIT_SWEEP_H
#define QA_CIRCUIT_SWEEP_H
#include "runtime/tensor/tensor.h"

enum { SWEEP_BYTES = 64, SWEEP_PLACES = 3 };
/* Index bits within a register. */
static inline int sweep_lane_bits(bool single) { return single ? 3 : 2; }

/* Forms of a matrix: unit: both diagonal entries are 1; turned: the others are imaginary. */
typedef enum {
  FORM_UNIT_REAL, FORM_UNIT_TURNED, FORM_REAL, FORM_TURNED, FORM_FULL, FORM_FLIP,
  FORM_SOME_REAL, FORM_SOME_TURNED, FORM_SOME_FULL, FORM_SOME_FLIP /* not of all pairs */
} StepForm;

/* What is summed up of conj(adjoint_r) psi_s for a gate's angles. */
typedef enum { SUM_NONE, SUM_CROSS_RE, SUM_CROSS_IM, SUM_FULL } StepSum;

/* Vectors of a step's coefficients: row r takes own of itself and other of its partner; the
 * imaginary ones have i (re, im) = (-im, re) in their signs.                      */
enum { OWN_RE, OWN_IM, OTHER_RE, OTHER_IM, STEP_ROW = 4, STEP_COEFS = 8 };
/* Sums of conj(adjoint_r) psi_s: [r * 4 + s * 2 + (0: re, 1: im)]; of a gate on a lane:
 * [0..1] r = s, [4..5] r != s, the lane says which r.                              */
enum { STEP_SUMS = 8 };

typedef struct {
  uint8_t form, sum;
  uint8_t where;             /* 0..2: a place; 3 + b: bit b of the lanes             */
  uint8_t on;                /* a place's pairs (4 bits), or registers (8 bits)      */
  uint64_t mask, value;      /* index & mask == value, or the step is left out       */
  const void *coef;          /* [STEP_COEFS] registers                               */
  int64_t acc;               /* [STEP_SUMS] registers of sums, from this number on    */
} Step;

/* A rotation of a Pauli string, or any a + b P: new_i = own new_(i ^ x) ... */
typedef struct {
  uint64_t x, z;             /* of index bits; lanes apart                            */
  int lane;                  /* flips of lanes, re and im among them                 */
  uint64_t mask, value;
  const void *coef;          /* own, other for even and for odd index & z: 3 registers */
  int64_t acc;               /* a register of the sum Re conj(adjoint) (G psi); -1: none */
  const void *sum;           /* G for even and odd: 2 registers                        */
} TurnStep;

/* A dense gate on two qubits, each a place or a lane bit: coef is [vectors out][vectors in]
 * [shifts of lanes][re, im] registers; or, apart, which is for two places and no controls on lanes,
 * numbers [row][c, -(c + d), d - c][column] of a matrix of entries c + id.             */
typedef struct {
  uint64_t bit[2];           /* ascending; index bits of the places                   */
  int places;                /* 2, 1 or 0 of the targets are places                  */
  bool apart;
  int lane[2];               /* lane bits of the others, ascending                   */
  uint64_t mask, value;
  const void *coef;
} PairStep;

/* A vector in a first- or second-level cache, in a third-level one, in memory. */
enum { SWEEP_NEAR, SWEEP_AWAY, SWEEP_FAR };

typedef struct {
  /* groups [first, end) of the block at x; place: ascending index bits; far: where x is */
  void (*steps)(void *x, uint64_t outer, const int *place, const Step *s, int n, int64_t first,
                int64_t end, int far);
  /* registers (or pairs of registers) [first, end) */
  void (*turn)(void *x, uint64_t outer, const TurnStep *t, int64_t first, int64_t end, int far);
  void (*pair)(void *x, uint64_t outer, const PairStep *t, int64_t first, int64_t end, int far);
  /* n numbers: times (re, im)[], unless re is NULL, then times s */
  void (*phase)(void *x, int64_t n, const void *re, const void *im, c128 s);
} SweepTable;

/* The same backwards, in double precision, on the state and on the adjoint: sums first, then
 * the steps from the last to the first (their coefficients are the inverses').       */
typedef struct {
  void (*steps)(double *psi, double *adjoint, uint64_t outer, const int *place, const Step *s,
                int n, double *acc, int64_t first, int64_t end);
  void (*turn)(double *psi, double *adjoint, uint64_t outer, const TurnStep *t, double *acc,
               int64_t first, int64_t end);
  /* product[n]: the terms of Im conj(adjoint) psi; then both times the phases */
  void (*phase)(double *psi, double *adjoint, int64_t n, const double *re, const double *im,
                c128 s, double *product);
  /* sum of product[i] sign[i]; sign NULL: all 1 */
  double (*sum)(int64_t n, const double *product, const double *sign);
  void (*add)(int64_t n, double *to, const double *from);
} SweepBack;

extern const SweepTable sweep_base, sweep_v3, sweep_v4, sweep32_base, sweep32_v3, sweep32_v4;
extern const SweepBack sweep_back_base, sweep_back_v3, sweep_back_v4;
const SweepTable *sweep_table(bool single);
const SweepBack *sweep_back(void);
#endif
