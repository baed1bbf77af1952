/* fuse_plan.h: fused programs (private to runtime/program).
 *
 * A program is taken apart by what its nodes depend on.  What depends on rows
 * or on columns alone is planned apart (`rows`, `cols`) and evaluated once a
 * tile, along the rows in double and along the columns; the rest, `body`, sees
 * its results as variables.                                                   */
#ifndef QA_PROGRAM_FUSE_PLAN_H
#define QA_PROGRAM_FUSE_PLAN_H
#include "runtime/program/fuse.h"
#include "runtime/program/plan.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FUSE_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FUSE_CLONES
#endif

typedef struct FuseCode FuseCode;

struct FusePlan {
  DType real;
  size_t size;                  /* of a real                                        */
  int n_want;
  FuseWant want[FUSE_MAX_WANT];
  int node[FUSE_MAX_WANT];      /* the wanted nodes in `body`                        */
  bool per_row[FUSE_MAX_WANT];  /* hangs on a PO_SUM: one number a row               */
  int mask;                     /* in `body`, or -1                                  */
  int n_source_var;             /* variables the caller sets                         */
  /* The body: its variables are the source's and then one per node that is fed. */
  Prog body;
  bool by_row;                  /* holds a PO_SUM: rows do not share strips          */
  int n_row, n_col;             /* fed by output k of `rows` and `cols`              */
  int *row_var, *col_var;
  ProgPlan *rows, *cols, *mask_plan, *out_plan;
  FuseCode *code;               /* machine code, or NULL                             */
  char how[160];
};

/* The frame of a part that was computed before, and what it was bound to: tiles that are alike,
 * as those of many heads, differ in where their matrices lie at most.           */
enum { FUSE_KEPT = 4 };
typedef struct {
  bool set, masked;
  int r, m, c, n;
  uint64_t *frame;
  FuseIn *bound;                /* matrices, then outputs                            */
} FuseKept;

typedef struct {                /* FuseRun.scratch                                   */
  ProgRun rows, cols, mask, out, once, foreign, edges, instead;
  FuseIn *part_in;              /* a part's inputs, where it is a tile of its own   */
  double *var;                  /* scalars, per variable of the body                 */
  const void **strip;
  double **row_value;           /* [n_row][max_m]                                    */
  void **col_value;             /* [n_col][max_n]: doubles where the variable is integral */
  void **spread;                /* per variable of the body: PROG_STRIP values       */
  void *mask_strip;
  /* of machine code */
  uint64_t *frame;
  FuseKept kept[FUSE_KEPT];
  void *row_real;               /* [max_m][n_row]                                    */
  void **col_real, **foreign_value, **col_part, **edge_value;
  const void **foreign_at;      /* where a foreign matrix lies, and its row step     */
  int64_t *foreign_step;
  double **fold_value, *node_value;
  void **lanes;                 /* per fold: the rows' sums in lanes, where the code leaves them so */
  bool ready, exact;            /* of the open tile: rows and columns; are reals enough? */
} FuseScratch;

/* Strips instead of machine code (fuse_strip.c). */
void fuse_prepare(FuseRun *run);        /* what rows and columns alone give          */
void fuse_strips(FuseRun *run);
void fuse_foreign(FuseRun *run);        /* the matrices machine code does not compute */
/* n values of output k, as doubles or as floats. */
void fuse_values(const ProgRun *r, int k, int n, bool real_f32, bool to_f64, void *to);
#endif
