/* program.h: elementwise programs over an index range (the strip IR).
 *
 * A `Prog` is a straight-line program in SSA form: every node is computed
 * from earlier ones.  Leaves are constants, variables and loads from tensors
 * by index expressions.  Nodes are unique (common subexpressions are shared)
 * and constants are folded while the program is built.
 *
 * A variable or load changes with the row index i, with the column index j,
 * with both or with neither (`stage` bits).  What does not change with j is a
 * single double and is computed once a row; what does is a strip of up to
 * PROG_STRIP columns, computed by vectorisable loops.
 *
 * Three things are derived from a program: the program of its derivatives
 * (prog_derive), bounds of its values over index ranges (prog_interval), and
 * a plan that evaluates it (prog_plan, prog_run_*).
 *
 * Building never fails loudly: when memory is short `failed` is set and
 * prog_plan reports it.
 */
#ifndef QA_PROGRAM_H
#define QA_PROGRAM_H
#include "runtime/base/base.h"
#include "runtime/tensor/tensor.h"

#define PROG_STRIP 256        /* columns of a strip                           */
#define PROG_MAX_INDEX 6      /* axes of a loaded tensor                      */

typedef enum {
  PO_CONST, PO_VAR, PO_LOAD,
  PO_NEG, PO_ABS, PO_SIGN, PO_SQRT, PO_EXP, PO_LOG, PO_LOG2, PO_LOG1P, PO_EXPM1,
  PO_SIN, PO_COS, PO_TAN, PO_ASIN, PO_ACOS, PO_ATAN, PO_SINH, PO_COSH, PO_TANH,
  PO_ERF, PO_GAMMA_LN, PO_DIGAMMA, PO_FLOOR, PO_CEIL, PO_ROUND, PO_TRUNC,
  PO_DETACH,                  /* its operand, taken for a constant by derivatives */
  PO_RELU, PO_GELU, PO_SIGMOID, PO_SOFTPLUS,
  PO_RECIP0,                  /* 1 / x, and 0 at 0: for unit vectors          */
  PO_NOT,
  PO_SUM,                     /* over the columns of a strip: a scalar        */
  PO_ADD, PO_SUB, PO_MUL, PO_DIV, PO_FLOORDIV, PO_MOD, PO_POW, PO_MIN, PO_MAX, PO_ATAN2,
  PO_EQ, PO_NE, PO_LT, PO_LE, PO_GT, PO_GE, PO_AND, PO_OR,   /* give 0 or 1   */
  PO_SELECT,                  /* a != 0 ? b : c                               */
  PO_COUNT
} ProgOp;

enum { PS_ONCE = 0, PS_ROW = 1, PS_COL = 2, PS_BOTH = 3 };   /* stage bits    */

typedef struct { double lo, hi; } Interval;

typedef struct {
  uint8_t op, n_ix;
  uint8_t stage;              /* when it is computed: PS_ bits                */
  bool vec;                   /* a strip, not a scalar                        */
  int16_t slot;               /* variable or tensor slot                      */
  int a, b, c;                /* operands                                     */
  double value;               /* PO_CONST                                     */
  int ix[PROG_MAX_INDEX];     /* PO_LOAD: index nodes                         */
} ProgNode;

typedef struct {
  const char *name;           /* borrowed; shown by explain                   */
  uint8_t stage;
  bool integral;              /* an index or an extent                        */
  Interval range;
} ProgVar;

typedef struct {
  const char *name;           /* borrowed                                     */
  Interval range;             /* of its elements, when declared               */
} ProgSlot;

typedef struct Prog {
  ProgNode *node;
  int n, cap;
  ProgVar *var; int n_var;
  ProgSlot *slot; int n_slot;
  bool failed;
  bool pairwise;              /* prog_derive: adjoints stay one a pair, no PO_SUM */
} Prog;

/* A tensor a slot is bound to.  Missing axes are an error at run time. */
typedef struct {
  const void *data;           /* NULL: the slot is not used                   */
  uint8_t dtype, rank;        /* bool, i64, f32 or f64                        */
  int64_t shape[PROG_MAX_INDEX], stride[PROG_MAX_INDEX];
} ProgTensor;

/* ---- building (build.c) -------------------------------------------------- */
void prog_init(Prog *p);
void prog_free(Prog *p);
bool prog_copy(Prog *to, const Prog *from);
/* A copy in which row variables are strips too: short rows then share a strip,
 * one behind the other.                                                      */
bool prog_flatten(Prog *to, const Prog *from);
int prog_add_var(Prog *p, const char *name, int stage, bool integral, double lo, double hi);
int prog_add_slot(Prog *p, const char *name, double lo, double hi);
int prog_const(Prog *p, double v);
int prog_var(Prog *p, int var);
int prog_load(Prog *p, int slot, int n, const int *ix);
int prog_unary(Prog *p, ProgOp op, int a);
int prog_binary(Prog *p, ProgOp op, int a, int b);
int prog_select(Prog *p, int cond, int a, int b);
bool prog_is_const(const Prog *p, int node, double *value);
bool prog_uses(const Prog *p, int node, int of);    /* does `node` depend on `of`? */
int prog_operands(const Prog *p, int node, int out[PROG_MAX_INDEX]);   /* their number */

/* The logarithm of a weight that is an exponential, a power of something that
 * is positive by its bounds, a product, quotient, minimum, maximum or choice of
 * such, possibly with other positive factors; -1 when it is none.            */
int prog_log(Prog *p, int node);

/* ---- text (show.c) ------------------------------------------------------- */
const char *prog_op_name(ProgOp op);
void prog_show(const Prog *p, int node, Buf *out);          /* as an expression, cut short at 300 bytes */
void prog_list(const Prog *p, int n, const int *outs, Buf *out);   /* one node a line */

/* ---- derivatives (derive.c) ----------------------------------------------- */
/* Reverse mode: seed is the node that holds d/d(out); adjoint[k] becomes the
 * node of d/d(leaf k), or -1 when it is zero.  A leaf without column index gets
 * the sum over the strip.  Error: an operation without a derivative.         */
RtStatus prog_derive(Rt *rt, Prog *p, int out, int seed, int n, const int *leaf, int *adjoint);

/* ---- bounds (bounds.c) ----------------------------------------------------- */
typedef struct {
  const Interval *var;        /* per variable; NULL: the declared ranges      */
  /* Range of a load whose indices lie in ix; NULL: the declared ranges.      */
  Interval (*load)(void *user, int slot, int n, const Interval *ix);
  void *user;
} ProgRanges;
/* Encloses the values of `node`; `scratch` holds p->n intervals. */
Interval prog_interval(const Prog *p, int node, const ProgRanges *r, Interval *scratch);

/* ---- one value at a time (scalar.c) ---------------------------------------- */
/* Evaluates all nodes up to `last` for one index pair in double precision:
 * the reference for strips, and the evaluator of per-row expressions.  value
 * has p->n entries.  false: an index is out of range (*bad_node is the load). */
bool prog_eval(const Prog *p, int last, const double *var, const ProgTensor *slot,
               double *value, int *bad_node);
double prog_op_eval(ProgOp op, double a, double b, double c);
double prog_digamma(double x);

/* ---- strips (plan.c, run.c) ------------------------------------------------- */
typedef struct ProgPlan ProgPlan;
/* A plan for real numbers of dtype f32 or f64.  What depends on positions and
 * integers alone is computed in double in either case.  slot_dtype (per slot)
 * tells which loads are integers.  Errors: an index that is no integer.       */
ProgPlan *prog_plan(Rt *rt, const Prog *p, DType real, const uint8_t *slot_dtype,
                    int n_out, const int *outs);
void prog_plan_free(Rt *rt, ProgPlan *plan);
int prog_plan_ops(const ProgPlan *plan);        /* vector operations a strip   */

/* The state of one evaluation; one per thread. */
typedef struct ProgRun {
  const ProgPlan *plan;
  double *scalar;             /* value of every scalar node                   */
  void *real, *wide;          /* strip registers                              */
  const ProgTensor *slot;
  const double *var;          /* scalar variables                             */
  const void *const *strip;   /* column variables: f64 when integral, else real */
  const void *mask;           /* real strip; NULL: all columns.  PO_SUM and index
                               * checks leave out columns where it is 0       */
  int bad_slot;               /* first load out of range, or -1               */
  int bad_axis;
  int64_t bad_index;
} ProgRun;
size_t prog_run_size(const ProgPlan *plan);     /* bytes of scratch            */
void prog_run_init(ProgRun *run, const ProgPlan *plan, void *scratch);  /* 64-byte aligned */
/* Evaluate what belongs to a stage; n: columns of the strip. */
void prog_run_once(ProgRun *run);
void prog_run_col(ProgRun *run, int n);
void prog_run_row(ProgRun *run);
void prog_run_both(ProgRun *run, int n);
/* Results: a strip (output k changes with the column) or NULL and *scalar. */
const void *prog_out(const ProgRun *run, int k, double *scalar);
bool prog_out_wide(const ProgPlan *plan, int k);    /* strip of doubles in an f32 plan? */
#endif
