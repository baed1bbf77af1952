/* attention_solve.h: blocks whose weights solve a problem (`binary`, `minimize`): what the
 * lowering (lang/blocks/attention_solve*.c) makes of the equations and what a call does with it
 * (lang/bind/solve*.c).
 *
 *   E(b) = sum over parts of  +- f_1 f_2 ..  b_u b_v
 *
 * A part is a sum over axes (heads, queries, keys).  Each factor f of its coefficient depends on
 * at most two positions, so that it is an attention of its own: minus its energies, between the
 * vectors of its rows and those of its columns.  Attention kernels compute all coefficients of a
 * call and carry their derivatives.
 *
 * A variable has the indices that `binary` lists.  There is one problem a sequence, times the
 * heads unless h is listed, times the queries if the equations look at q or i without listing i.
 */
#ifndef QA_BIND_ATTENTION_SOLVE_H
#define QA_BIND_ATTENTION_SOLVE_H
#include "runtime/attention/attention.h"
#include "runtime/binary/problem.h"

enum { SOLVE_AXES = 6, SOLVE_ORDERS = 8, SOLVE_FACTORS = 4 };
/* What an axis runs over; SOLVE_OWN: the query that the problem belongs to. */
typedef enum { SOLVE_HEAD, SOLVE_QUERY, SOLVE_KEY, SOLVE_OWN } SolveKind;

typedef struct {
  AttnSpec *spec;           /* its energies are minus the factor                    */
  int8_t row, col;          /* axes of the part; -1: one row, one column            */
  int8_t head;              /* axis that h is; -1: the problem's head               */
} SolveFactor;

typedef struct { int8_t a, b; uint8_t op; } SolveOrder;   /* axis a OP (AstOp) axis b */

typedef struct {
  int degree;               /* variables: 0, 1, 2                                   */
  double sign;
  int n_axis;
  uint8_t axis[SOLVE_AXES];
  int8_t var[2][3];         /* axis of index h, i, j of each variable; -1: not listed */
  int n_order;
  SolveOrder order[SOLVE_ORDERS];
  int n_factor;
  SolveFactor factor[SOLVE_FACTORS];
} SolvePart;

/* Sums of parts of degree 0 and 1, the first `each` axes of which number the constraints. */
typedef struct {
  char *name;
  Relation rel;
  int each;
  uint8_t axis[SOLVE_AXES];
  int n_order;
  SolveOrder order[SOLVE_ORDERS];
  int n_guard;              /* parts of degree 0: the constraint is there where none is 0 */
  int n_part;
  SolvePart *part;          /* [n_guard + n_part]                                   */
  SolvePart *penalty;       /* of degree 0, or NULL: a sufficient one               */
} SolveConstraint;

typedef enum { SOLVE_DETACH, SOLVE_ENERGY, SOLVE_STRAIGHT, SOLVE_BLACKBOX, SOLVE_THERMAL } SolveGrad;

/* Captured values that a call provides, the first ones behind the params. */
enum { SOLVE_SLOT_NQ, SOLVE_SLOT_NK, SOLVE_SLOT_BEST, SOLVE_SLOT_MEAN, SOLVE_SLOTS };

typedef struct AttnSolve {
  char *name;               /* of the array                                         */
  int rank;
  uint8_t index[3];         /* SolveKind of its indices, as listed                  */
  bool listed[3];
  bool own_query;           /* a problem for each query                             */
  bool best, mean;          /* which of the two the equations use                   */
  SolveGrad grad;
  int mu;                   /* captured value that holds blackbox's mu, straight_through's
                               tau; -1: none                                        */
  int sampler;              /* captured value                                       */
  int n_part;
  SolvePart *part;
  int n_constraint;
  SolveConstraint *constraint;
} AttnSolve;

void solve_drop(Rt *rt, AttnSolve *s);         /* the factors; the rest lies in an arena */
static inline bool solve_own_head(const AttnSolve *s) { return !s->listed[SOLVE_HEAD]; }
#endif
