/* plan.h: circuits prepared for state vectors (private to runtime/circuit). */
#ifndef QA_CIRCUIT_PLAN_H
#define QA_CIRCUIT_PLAN_H
#include "runtime/circuit/run.h"

struct CircuitPlan {
  const Circuit *c;          /* borrowed: lives as long as the plan               */
  int n;                     /* qubits                                            */
};

/* The numbers of all angles, [nodes, batch]: freed by angles_free. */
RtStatus angles_run(Rt *rt, const Circuit *c, const CircuitBinding *b, double **value);
void angles_free(Rt *rt, const Circuit *c, const CircuitBinding *b, double *value);

/* One gate on the 2^n amplitudes of one item; angle: its numbers; load: the vector that it
 * loads (NULL: it loads none).  `inverse`: the gate's inverse instead.              */
RtStatus gate_apply(Rt *rt, const Circuit *c, const Gate *g, bool inverse, const double *angle,
                    const c128 *load, int n, c128 *amp);
/* Bits of a basis index that a gate holds: its targets (0) and controls (as they are on). */
typedef struct {
  int held[128], n_held;     /* ascending                                         */
  uint64_t base;             /* the controls' bits                                */
  int64_t count;             /* indices to visit                                  */
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
