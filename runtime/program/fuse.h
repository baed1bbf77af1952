/* fuse.h: a program run over whole tiles of (row, column) pairs.
 *
 * Where plan.h goes strip after strip, one operation at a time, a fused program
 * takes every vector of columns from the leaves to the results in registers:
 * machine code for AVX-512 or AVX2, emitted when the plan is made.  Where that
 * cannot be (another machine, no executable memory, an operation without a
 * vector form) the strip interpreter does the same over rows laid one behind
 * another; fuse_how() says which it is and why.
 *
 * In a tile of m rows and n columns a variable of the program is one number
 * (PS_ONCE), one a row, one a column, or one a pair (a matrix).  What depends
 * on rows alone is computed in double, once a row, as plan.h does; positions
 * are exact below 2^24.  A node that hangs on a PO_SUM is one number a row: only
 * row_sum may ask for it, and adds it once.
 *
 * Results of a tile depend on its contents alone, not on m and n or on what the
 * thread did before.                                                          */
#ifndef QA_PROGRAM_FUSE_H
#define QA_PROGRAM_FUSE_H
#include "runtime/program/program.h"

#define FUSE_MAX_WANT 24

/* What is wanted of a node (of any stage).  Pairs that the mask leaves out store
 * `closed` and take no part in folds.                                          */
typedef struct {
  int node;
  double closed;
  bool store;                   /* every value, into out[k]                     */
  bool row_sum, row_max, row_min, column_sum;
} FuseWant;

typedef struct FusePlan FusePlan;

/* mask: the node that lets pairs take part, or -1.  slot_dtype as in prog_plan. */
FusePlan *fuse_plan(Rt *rt, const Prog *p, DType real, const uint8_t *slot_dtype, int mask,
                    int n_want, const FuseWant *want);
void fuse_plan_free(Rt *rt, FusePlan *plan);
const char *fuse_how(const FusePlan *plan);   /* "AVX-512 code, 9 operations a vector", ... */
int fuse_ops(const FusePlan *plan);           /* vector operations a pair             */
bool fuse_emitted(const FusePlan *plan);

/* A variable's values: PS_ONCE one double, PS_ROW m doubles, PS_COL n reals,
 * PS_BOTH reals, rows ld apart.                                                */
typedef struct { const void *at; int64_t ld; } FuseIn;

/* One evaluation; one per thread.  Folds ADD (sums) or combine (max, min) with
 * what the arrays hold: the caller sets their start.                          */
typedef struct FuseRun {
  const FusePlan *plan;
  const ProgTensor *slot;
  FuseIn *in;                   /* per variable of the program; room made by fuse_init */
  int m, n;
  bool masked;                  /* false: every pair takes part, the mask is not looked at */
  void *out[FUSE_MAX_WANT];     /* reals, rows out_ld apart; may be an input matrix itself */
  int64_t out_ld[FUSE_MAX_WANT];
  double *row_sum[FUSE_MAX_WANT], *row_max[FUSE_MAX_WANT], *row_min[FUSE_MAX_WANT];
  double *col_sum[FUSE_MAX_WANT];
  int bad_slot, bad_axis;       /* first load out of range, or -1               */
  int64_t bad_index;
  void *scratch;                /* private                                      */
} FuseRun;

size_t fuse_size(const FusePlan *plan, int max_m, int max_n);    /* bytes of scratch */
void fuse_init(FuseRun *run, const FusePlan *plan, int max_m, int max_n, void *scratch);
void fuse_once(FuseRun *run);   /* after PS_ONCE variables and slots are bound  */
void fuse_tile(FuseRun *run);
/* The same by parts: fuse_open takes what the bound rows and columns alone give, then fuse_part
 * computes rows [r, r + m) and columns [c, c + n) of the tile that inputs and results are bound
 * to, masked or not.  Again after row or column values have changed.            */
void fuse_open(FuseRun *run);
void fuse_part(FuseRun *run, int r, int m, int c, int n);
#endif
