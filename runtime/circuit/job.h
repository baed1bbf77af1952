/* job.h: a decomposition under way (private to runtime/circuit). */
#ifndef QA_CIRCUIT_JOB_H
#define QA_CIRCUIT_JOB_H
#include "runtime/circuit/lower.h"
#include "runtime/circuit/plan.h"

typedef struct {
  Lower l;
  const Circuit *c;
  const CircuitBinding *b;
  bool (*keep)(const Gate *g);   /* NULL: those of the basis                        */
  double *value;             /* of the angles' nodes                                */
} Job;

/* One unitary gate with its controls. */
RtStatus lower_gate(Job *j, const Gate *g);
/* exp(-i angle[k]/2 P) where the selects hold k; angle [2^selects] is used up. */
RtStatus lower_paulis(Lower *l, const char *letter, int n, const int32_t *q, int selects,
                      const int32_t *sel, double *angle);
void job_angles(const Job *j, const Gate *g, double angle[3]);
void job_matrix(const Job *j, const Gate *g, cplx *m);
/* Loads on the same targets, member v where the selects hold value[v]. */
RtStatus lower_loads(Job *j, int members, const Gate *const *g, const uint64_t *value,
                     int selects, const int32_t *sel, const Controls *c);
/* Gates first.. to end of a circuit under controls on the same qubits. */
RtStatus lower_run(Job *j, int64_t first, int64_t end);
#endif
