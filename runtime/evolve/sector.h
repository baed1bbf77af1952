/* sector.h: Hamiltonians on the states with given values of what they conserve.
 *
 * A rule is a sum over digits with whole weights (total Z, a particle number), a product
 * of Z or a product of X, with its value.  The states of a sector are kept as
 * representatives: basis states with the right sums and products of Z, one of each orbit
 * under the products of X, with the number bits found by two small tables (Lin, Phys.
 * Rev. B 42, 6561, 1990).  Without sums the products can instead be taken out of the
 * operator, one qubit each (Bravyi, Gambetta, Mezzacapo, Temme, arXiv:1701.08213).   */
#ifndef QA_EVOLVE_SECTOR_H
#define QA_EVOLVE_SECTOR_H
#include "runtime/evolve/linear.h"
#include "runtime/operator/conserved.h"
#include "runtime/state/state.h"

typedef enum { RULE_SUM, RULE_Z, RULE_X } RuleKind;
typedef struct {
  RuleKind kind;
  uint64_t mask;        /* RULE_Z, RULE_X: the qubits of the product               */
  Weights weight;       /* RULE_SUM: what the digits count                          */
  int64_t target;       /* RULE_SUM: their sum; else 0 for +1 and 1 for -1          */
  double zero, unit;    /* RULE_SUM: the quantity is zero + unit * sum               */
} SectorRule;
enum { RULES_MAX = 16 };

/* The quantity q = value as a rule over the variables of h.  Errors: q is none of the
 * three kinds, has no such value, or h (whose terms are `terms`) does not conserve it.  */
RtStatus sector_rule(Rt *rt, const Operator *h, const Flips *terms, const Operator *q,
                     double value, SectorRule *out);
/* The quantity alone: its kind, weights, zero and unit (target 0). */
RtStatus sector_quantity(Rt *rt, const VarTable *vars, const Operator *q, SectorRule *out);

typedef struct Sector Sector;
/* The states that follow n rules, at least one.  Errors: rules that exclude each other,
 * no state, memory.                                                                 */
RtStatus sector_make(Rt *rt, int variables, int n, const SectorRule *rule, Sector **out);
void sector_free(Rt *rt, Sector *s);                /* NULL is fine */
int64_t sector_size(const Sector *s);
/* A vector of the sector as a state over `vars`. */
RtStatus sector_state(Rt *rt, const Sector *s, const VarTable *vars, bool wide,
                      const double *x, State *out);

/* The operator, which follows the rules, within the sector: as a map, stored as a sparse
 * matrix when that fits, and dense.  `wide` unless its entries are real.            */
typedef struct Reduction Reduction;
RtStatus reduction_make(Rt *rt, const Sector *s, const Flips *p, bool wide, Reduction **out);
void reduction_free(Rt *rt, Reduction *r);          /* NULL is fine */
Linear reduction_linear(const Reduction *r);
Tensor *reduction_matrix(Rt *rt, const Reduction *r);

/* Products alone: every rule takes one qubit out.  out: the operator on the others, the
 * lowest first.  At least one qubit must be left.                                   */
typedef struct {
  int n, n_rule;                  /* variables; rules, none depending on others      */
  uint64_t pivots;                /* variables that are taken out                    */
  uint64_t mask[RULES_MAX], pivot[RULES_MAX];
  uint8_t sign[RULES_MAX], of_x[RULES_MAX];
} Taper;
RtStatus taper_make(Rt *rt, int variables, int n, const SectorRule *rule, Taper *out);
RtStatus taper_operator(Rt *rt, const Taper *t, const Flips *p, Operator *out);
RtStatus taper_state(Rt *rt, const Taper *t, const VarTable *vars, bool wide, const double *x,
                     State *out);

#endif
