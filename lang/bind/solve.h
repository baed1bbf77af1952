/* solve.h: one call of a block that solves problems (private to lang/bind/solve*.c): the
 * coefficients of all its problems, what is sampled, and what derivatives need of it.
 *
 * Problems are numbered sequence by sequence, head by head (unless h is listed), query by query
 * (when each has its own).  Solutions lie over (batch, heads, rows, keys): the position of a pair
 * in the attention that uses them; rows only when they differ, position i of a query at row
 * i mod rows.                                                                      */
#ifndef QA_BIND_SOLVE_H
#define QA_BIND_SOLVE_H
#include "lang/bind/attention.h"
#include "lang/bind/batch_models.h"

enum { SOLVE_VARIABLES = 4096 };           /* of one problem                        */

/* One element of a part: its place in each factor's tensor beyond that of the problem, its
 * variables, and the coupling that it goes to (-1: a field or a constant).          */
typedef struct { int32_t u, v, coupling, off[SOLVE_FACTORS]; } SolveElement;

/* A factor's numbers: x[((b * heads + h) * rows + r) * cols + c]. */
typedef struct {
  Tensor *t;                /* energies: minus the factor; may be traced            */
  Tensor *wide;             /* the same, f64 and contiguous                         */
  const double *x;
  int64_t heads, rows, cols;
  bool own_head, own_row, own_col;       /* the problem's place, else the element's   */
} SolveTensor;

typedef struct {
  const SolvePart *part;
  double sign;              /* of the product of the tensors' numbers               */
  int first;                /* of its tensors among the call's                      */
  int64_t n;
  SolveElement *element;
} SolveSum;

/* A constraint's penalty of weight 1 as a model, its slack bits behind the variables. */
typedef struct {
  Ising unit;
  int64_t slack;            /* first variable of its own                            */
  int32_t *coupling;        /* beside unit.J where the other end is larger          */
  double weight, gap;       /* weight NAN: computed for each problem                */
  bool flip;                /* mended by flips: bounded by the largest change of one  */
  double count;             /* of a cardinality sum(b) == count; NAN: another        */
} SolveRule;

typedef struct SolveRun {
  uint32_t refs;
  Vm *vm;
  Value decl;               /* keeps `z`                                            */
  const AttnSolve *z;
  int rank;                 /* of the queries                                       */
  int64_t B, H, nq, nk, rows;            /* rows 1: the same for all queries         */
  int64_t heads, queries, problems;      /* problems of a sequence: heads * queries   */
  int64_t n, total;         /* variables; with slack bits                            */
  int32_t *place;           /* [n] of a variable in its problem's part of a solution   */
  int n_tensor;
  SolveTensor *tensor;
  int n_sum;
  SolveSum *sum;            /* [z->n_part]                                          */
  Problem rules;            /* variables and constraints                             */
  int n_rule;
  SolveRule *rule;          /* [rules.n_constraint]                                  */
  int64_t m;
  int32_t *uv;              /* [2 m] couplings                                       */
  Value sampler;            /* a Sampler                                           */
  double mu, tau, beta;     /* black box; straight through (NAN: slope 1); thermal   */
  RngCall rng;
  int64_t reads;
  int8_t *x;                /* [B problems, reads, n] all reads                      */
  int8_t *best;             /* [B problems, n]                                       */
} SolveRun;

/* ---- solve_build.c: shapes, coefficients, structure ---------------------------------- */
SolveRun *solve_open(Vm *vm, AttnInstance *a, Tensor *q, Tensor *k, Tensor *const *slot);
SolveRun *solve_ref(SolveRun *r);
void solve_unref(SolveRun *r);
/* The problem's first place in a factor's tensor. */
int64_t solve_base(const SolveRun *r, const SolveTensor *t, int64_t problem);
/* The coefficient of an element. */
static inline double solve_coefficient(const SolveRun *r, const SolveSum *s, const SolveElement *e,
                                       const int64_t *base) {
  double c = s->sign;
  for (int f = 0; f < s->part->n_factor; f++)
    c *= r->tensor[s->first + f].x[base[f] + e->off[f]];
  return c;
}
void solve_bases(const SolveRun *r, const SolveSum *s, int64_t problem, int64_t *base);
/* The axes that number problems, in the operands' rank; how many they are. */
int solve_batch(const SolveRun *r, int64_t *shape);
/* E without penalties. */
double solve_energy(const SolveRun *r, int64_t problem, const int8_t *x);
/* Place of variable 0 of a problem in a solution. */
int64_t solve_place(const SolveRun *r, int64_t problem);

bool solve_ordered(const SolveOrder *o, int n, const int64_t *at);
void solve_extents(const SolveRun *r, const uint8_t *axis, int n, int64_t *extents);
/* The next index of a loop over n axes; false: it is over. */
bool solve_step(int n, const int64_t *extents, int64_t *at);
/* Number of the variable whose indices stand at these axes. */
int32_t solve_number(const SolveRun *r, const int8_t *var, const int64_t *at);

/* ---- solve_rules.c: constraints -------------------------------------------------------- */
int solve_rules(SolveRun *r, AttnInstance *a, Tensor *const *slot, int64_t d);
/* Penalty weights of one problem, [n_rule]: linear [n] its fields, coef [m] its couplings, both
 * for 0 and 1; work: [4 n].  A cardinality's multiplier may be added to the fields and the
 * constant, which changes nothing where it holds.                                    */
void solve_weights(const SolveRun *r, double *linear, const double *coef, double *constant,
                   double *weight, double *work);
/* Are all rules one cardinality, sum(b) == count? */
bool solve_cardinality(const SolveRun *r, int64_t *count);

/* ---- solve_sample.c: solving -------------------------------------------------------------- */
/* Fills x and best; `along` [B problems, n] (NULL: none) is added to the fields with
 * weight mu, and then only *moved [B problems, n] is set.                            */
int solve_sample(SolveRun *r, const double *along, double mu, int8_t *moved);
/* Does this sampler keep a cardinality by exchanges? */
bool solve_exchanges(const SolveRun *r, const Sampler *s);
/* One problem over 0 and 1: linear [n], coef [m] beside uv, without penalties. */
void solve_coefficients(const SolveRun *r, int64_t problem, const double *along, double mu,
                        double *constant, double *linear, double *coef);

/* ---- solve_tape.c: results with derivatives -------------------------------------------------- */
Tensor *solve_result(SolveRun *r, DType dt, bool mean);
Tensor *solve_energies(SolveRun *r, DType dt);

/* ---- solve_explain.c; r: of a call, or NULL ------------------------------------------------------ */
int solve_explain(Vm *vm, const AttnInstance *a, const SolveRun *r, Buf *out);

/* ---- solve_quality.c --------------------------------------------------------------------------- */
int solve_quality(Vm *vm, Value *args, Value *out);            /* quality(a, Q, K)    */
#endif
