/* space.h: the vectors in which an operator's levels or thermal states are looked for (private):
 * all states, those of a sector, or those that are left when products are taken out.   */
#ifndef QA_EVOLVE_SPACE_H
#define QA_EVOLVE_SPACE_H
#include "runtime/evolve/evolve.h"
#include "runtime/evolve/vectors.h"

typedef struct {
  const Operator *whole;      /* what was given, for its variables                    */
  Operator *op;               /* acts on the vectors; with a sector NULL              */
  Operator tapered;
  Taper taper;
  Sector *sector;
  Flips terms;
  Reduction *reduced;
  Applied *applied;
  bool real, positive;        /* positive: a state without signs is among the lowest   */
  int64_t size;               /* states                                               */
} Space;

/* The space of a (merged by this), with n rules.  lowest: only the ground state is of
 * interest, so that symmetries which it has by its signs may be used.               */
RtStatus space_open(Rt *rt, Operator *a, int n, const SectorRule *rule, bool lowest, Space *s);
void space_close(Rt *rt, Space *s);
/* A map on real vectors where the operator is real; belongs to the space. */
RtStatus space_linear(Rt *rt, Space *s, Linear *out);
Tensor *space_matrix(Rt *rt, const Space *s);
/* A vector of the space as a state over all variables. */
RtStatus space_state(Rt *rt, const Space *s, bool wide, const double *x, State *out);

#endif
