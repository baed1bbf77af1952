/* problem.h: objective, constraints and names; what a diagonal `hamiltonian`
 * declaration becomes, and its way to a quadratic model and back.
 *
 * Constraints stay objects: their penalties can be weighed anew without building
 * the problem again, and every sample can be asked which of them it breaks.
 */
#ifndef QA_BINARY_PROBLEM_H
#define QA_BINARY_PROBLEM_H
#include "runtime/binary/ising.h"
#include "runtime/binary/poly.h"

typedef enum { REL_EQ, REL_LE, REL_GE } Relation;

/* left (a polynomial with everything moved to one side) `rel` 0. */
typedef struct {
  char *name;             /* owned; "count", "count[3]", or "constraint 2"     */
  Poly left;
  Relation rel;
  double weight;          /* of the penalty; NAN: a sufficient one is computed  */
} Constraint;

typedef struct Problem {
  VarTable vars;          /* no modes                                          */
  Poly objective;         /* minimised                                         */
  bool maximize;          /* the user's sense: objective holds the negative    */
  Constraint *constraint;
  int64_t n_constraint, cap;
} Problem;

void problem_init(Problem *p);
void problem_free(Rt *rt, Problem *p);
RtStatus problem_copy(Rt *rt, Problem *out, const Problem *p);
/* Takes over `left`. */
RtStatus problem_constrain(Rt *rt, Problem *p, const char *name, Poly *left, Relation rel, double weight);

/* ---- reduction to quadratic ------------------------------------------------- */

typedef enum { AUX_SLACK, AUX_PRODUCT } AuxKind;
typedef struct {
  AuxKind kind;
  int64_t constraint;     /* AUX_SLACK: of which one                            */
  double value;           /* AUX_SLACK: what the bit counts                     */
  int32_t u, v;           /* AUX_PRODUCT by substitution: z = u v               */
  double weight;          /* of the penalty that ties it; 0: needs none         */
  char how[16];           /* "rosenberg", "negative", "ishikawa", "slack"       */
} Auxiliary;

typedef struct Reduced {
  Ising ising;            /* user's variables first, in their order, then auxiliaries */
  int64_t n_user;
  Auxiliary *aux;         /* [ising.n - n_user]                                 */
  double *weight;         /* [n_constraint], those used                         */
  double ratio;           /* largest / smallest non-zero coefficient            */
} Reduced;

/* Penalties (sufficient where the weight is NAN), slack bits for inequalities,
 * then degree > 2 is reduced (negative monomials, Ishikawa, substitution of the
 * most frequent pair).  Minimising over the auxiliaries gives, for every
 * assignment, objective + sum weight * violation^2, exactly.                   */
RtStatus problem_reduce(Rt *rt, const Problem *p, Reduced *out);
void reduced_free(Rt *rt, Reduced *r);
/* objective + penalties of an assignment of the user's variables (0/1 or +-1). */
RtStatus problem_energy(Rt *rt, const Problem *p, const Reduced *r, const int8_t *x, double *out);
/* How far constraint c is broken; 0: it holds.  */
double problem_violation(const Problem *p, int64_t c, const int8_t *x);
/* Spins of the reduced model to values of the user's variables. */
void problem_values(const Problem *p, const int8_t *spin, int8_t *x);
/* Lines for explain(): variables, terms by degree, constraints with weight and why
 * it suffices, auxiliaries and what for, coefficient ratio and bits it needs.   */
void problem_explain(const Problem *p, const Reduced *r, Buf *out);

/* ---- fixing variables (roof duality and simpler rules) ------------------------ */
/* fixed[i] = +1, -1: the same in some minimum of p (in all, when `strong`); 0: open.
 * *bound: a lower bound of the energy.                                          */
RtStatus ising_persistent(Rt *rt, const Ising *p, bool strong, int8_t *fixed, double *bound);
/* The model of the open variables; keep[k] is the number of the k-th one (from rt_alloc, size n). */
RtStatus ising_fix(Rt *rt, const Ising *p, const int8_t *fixed, Ising *out, int32_t **keep);

/* ---- files (formats.c): Gset, Biq Mac, qubo, COO, bqm ------------------------- */
typedef enum { FILE_MAXCUT, FILE_QUBO_MIN, FILE_QUBO_MAX, FILE_ISING, FILE_COO, FILE_BQM } ProblemFormat;
/* The energy that is minimised and the value the file's own sense counts:
 * objective = sign * (energy - shift) * factor.                                */
typedef struct { ProblemFormat format; double sign, shift, factor; } ProblemSense;
/* `format` -1: from the name and the text.  Refuses what it cannot be sure of.  */
RtStatus problem_read(Rt *rt, const char *path, int format, Problem *out, ProblemSense *sense);
RtStatus problem_write(Rt *rt, const char *path, int format, const Problem *p);

#endif
