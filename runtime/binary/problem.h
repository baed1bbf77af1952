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
RtStatus problem_constrain(Rt *rt, Problem *p, const char *name, Poly *left, Relation rel,
                           double weight);

/* ---- penalties ---------------------------------------------------------------- */

/* How a constraint is made part of the energy.  v: by how much the constraint is
 * broken, a multiple of `grain`; v = |left| of an equation, max(0, +-left + shift)
 * of an inequality, where `shift` tightens it to values it can take (2a + 2b <= 3
 * means 2a + 2b <= 2).                                                           */
typedef enum {
  PENALTY_NONE,           /* holds always                                         */
  PENALTY_SQUARE,         /* v^2: the square of the left side, with slack bits for an inequality */
  PENALTY_TABLE,          /* v^2: of at most two variables, no slack               */
  PENALTY_PAIRS,          /* v (v + grain)/2: at most one of many, no slack         */
  PENALTY_LINEAR          /* v: the left side is never below 0 (or never above)   */
} PenaltyForm;
typedef struct {
  PenaltyForm form;
  double sign, shift, grain;    /* v is measured on sign * left + shift          */
  double gap;                   /* least penalty of a broken constraint           */
  double weight;                /* used                                           */
  double bound; /* what the weight times gap has to exceed; NAN: given by the user */
  char why[48];                 /* of a computed weight: which bound              */
} Penalty;

/* ---- reduction to quadratic ------------------------------------------------- */

typedef enum { AUX_SLACK, AUX_PRODUCT } AuxKind;
typedef struct {
  AuxKind kind;
  int64_t constraint;     /* AUX_SLACK: of which one; else -1                   */
  double value;           /* AUX_SLACK: what the bit counts                     */
  int32_t u, v;           /* "rosenberg": the bit is u v; "parity": the spin is the
                             product of the spins u and v; else -1               */
  double weight;          /* of the penalty that ties it; 0: needs none         */
  char how[16];           /* "slack", "rosenberg", "parity", "negative", "ishikawa" */
} Auxiliary;

typedef struct Reduced {
  Ising ising;            /* user's variables first, in their order, then auxiliaries (binary) */
  int64_t n_user, n_constraint;
  Auxiliary *aux;         /* [ising.n - n_user]                                 */
  Penalty *penalty;       /* [n_constraint]                                     */
  double ratio;           /* largest / smallest non-zero coefficient            */
} Reduced;

/* Penalties (of sufficient weight where it is NAN), slack bits for inequalities,
 * then degree > 2 is reduced (negative monomials with one auxiliary, Ishikawa 2011
 * for positive ones, or substitution of frequent pairs (Rosenberg 1975), whichever
 * takes fewer).  Minimising over the auxiliaries gives, for every assignment,
 * objective + sum of weight * penalty, exactly.                                 */
RtStatus problem_reduce(Rt *rt, const Problem *p, Reduced *out);
void reduced_free(Rt *rt, Reduced *r);
/* objective + penalties of an assignment of the user's variables (0/1 or +-1). */
RtStatus problem_energy(Rt *rt, const Problem *p, const Reduced *r, const int8_t *x, double *out);
/* How far constraint c is broken, |left| or max(0, +-left); 0: it holds.  */
double problem_violation(const Problem *p, int64_t c, const int8_t *x);
bool problem_feasible(const Problem *p, const int8_t *x);
/* Spins of the reduced model to values of the user's variables. */
void problem_values(const Problem *p, const int8_t *spin, int8_t *x);
/* Lines for explain(): variables, terms by degree, constraints with weight and why
 * it suffices, auxiliaries and what for, coefficient ratio and bits it needs.   */
void problem_explain(const Problem *p, const Reduced *r, Buf *out);

/* ---- fixing variables (roof duality and simpler rules) ------------------------ */
/* fixed[i] = +1, -1: the same in some minimum of p (in all, when `strong`); 0: open.
 * *bound: a lower bound of the energy.                                          */
RtStatus ising_persistent(Rt *rt, const Ising *p, bool strong, int8_t *fixed, double *bound);
/* The model of the open variables; keep[k] is the number of the k-th one (from rt_alloc, size n).
 */
RtStatus ising_fix(Rt *rt, const Ising *p, const int8_t *fixed, Ising *out, int32_t **keep);

/* ---- files (formats.c): Gset, Biq Mac, qubo, COO, bqm ------------------------- */

/* maxcut   "n m", then "i j w" (w may be left out: 1), from 1; the cut is maximised
 * qubo-min Biq Mac .sparse: "n m", then "i j q" with i <= j, from 1; x'Qx with
 *          symmetric Q, so that a pair counts twice; minimised
 * qubo-max qbsolv .qubo: "p qubo 0 max nodes couplers", then "i i w" and "i j w" from
 *          0; the pair's weight is the whole coefficient; maximised
 * qbsolv   the same, minimised
 * ising    "#" comments, "i j J" and "i i h" from 1; sum J s s + sum h s minimised
 * ising-max the same, maximised
 * coo      "# vartype: SPIN" or BINARY, then "i j w", "i i w" from 0; minimised (dimod)
 * bqm      DIMODBQM                                                                */
typedef enum { FILE_MAXCUT, FILE_QUBO_MIN, FILE_QUBO_MAX, FILE_ISING, FILE_COO, FILE_BQM,
               FILE_QBSOLV, FILE_ISING_MAX, FILE_FORMATS } ProblemFormat;
extern const char *const problem_format_name[FILE_FORMATS];
int problem_format_find(const char *name);       /* -1: none of that name          */

/* The energy that is minimised and the value the file's own sense counts:
 * objective = sign * (energy - shift) * factor.                                */
typedef struct { ProblemFormat format; double sign, shift, factor; } ProblemSense;
/* `format` -1: from the name and the text; what they leave open is refused.
 * Variables are "s" (spins) or "x" (binaries), numbered from 0; gzip is unpacked. */
RtStatus problem_read(Rt *rt, const char *path, int format, Problem *out, ProblemSense *sense);
RtStatus problem_decode(Rt *rt, const void *p, size_t n, const char *name, int format, Problem *out,
                        ProblemSense *sense);
/* Refuses what the format cannot hold: constraints, other kinds of variables, degrees
 * above 2, a constant (bqm keeps it).  Text names no variables: their numbers go.  */
RtStatus problem_write(Rt *rt, const char *path, int format, Problem *p);
RtStatus problem_encode(Rt *rt, int format, Problem *p, Buf *out);       /* merges the objective */

#endif
