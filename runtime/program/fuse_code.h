/* fuse_code.h: the machine code of a fused plan and what it is fed (private).
 *
 * A node of the body is a leaf of the code when it is a constant, computed once
 * (a number of the frame), one a row or one a column, a matrix of the caller,
 * or a `foreign` matrix: one that follows from the edge of the tile
 * (fuse_edge.c), or one that strips compute first (other gathers, and operations
 * without a vector form).                                                      */
#ifndef QA_PROGRAM_FUSE_CODE_H
#define QA_PROGRAM_FUSE_CODE_H
#include "runtime/program/emit.h"
#include "runtime/program/fuse_plan.h"

enum { LEAF_NONE, LEAF_CONST, LEAF_ONCE, LEAF_ROW, LEAF_COL, LEAF_MAT };
enum { CODE_MAX_FOLD = 48, CODE_MAX_MAT = 32, CODE_CHUNK = 64 };

typedef struct { uint8_t kind; int16_t slot; } FuseLeaf;

/* How a node follows from positions: a sum of row and column parts (`affine`,
 * with the steps of its row and column), or from their difference alone.       */
typedef struct { bool affine, diagonal; double row, col; } FusePlace;

enum { MATRIX_STRIPS, MATRIX_DIAGONAL, MATRIX_DIRECT };
typedef struct {
  uint8_t kind;
  int node;
  int out;                      /* edge: the first of its outputs of `edges`          */
  int instead;                  /* its output of `foreign` or `instead`               */
} FuseMatrix;

struct FuseCode {
  EmitShape shape;
  EmitCode code[2];                     /* every pair, masked                          */
  EmitFold fold[CODE_MAX_FOLD];
  int fold_node[CODE_MAX_FOLD], fold_want[CODE_MAX_FOLD];   /* want -1: a PO_SUM       */
  int out_want[FUSE_MAX_WANT], colsum_want[FUSE_MAX_WANT];
  int mat[CODE_MAX_MAT];                /* variable, or -1 - k: foreign matrix k        */
  int n_foreign;
  FuseMatrix foreign_matrix[CODE_MAX_MAT];
  int n_edge_out, edge_node[CODE_MAX_MAT * PROG_MAX_INDEX];
  bool edge_is_index[CODE_MAX_MAT * PROG_MAX_INDEX];
  ProgPlan *once;                       /* the numbers of the frame                    */
  ProgPlan *foreign;                    /* matrices by strips                          */
  ProgPlan *edges, *instead;            /* edges, and their matrices where that fails  */
  bool foreign_loads;                   /* do strips' matrices look at the mask?       */
  FusePlace *place;                     /* per node of the body                        */
  bool *diagonal_var;                   /* per variable: all these advance in step     */
  FuseLeaf *leaf;                       /* per node of the body                         */
  bool *needed, *after;                 /* computed by the code; one a row, from sums   */
  Interval *range;
};

/* NULL with `why` set where machine code cannot be. */
FuseCode *fuse_code(Rt *rt, const FusePlan *plan, const uint8_t *slot_dtype, const char **why);
void fuse_code_free(Rt *rt, FuseCode *code);
bool fuse_lower(const FusePlan *plan, const FuseCode *code, bool masked, bool tail, VecList *out);
void fuse_places(const FusePlan *plan, FusePlace *of);
bool fuse_is_diagonal(const FusePlan *plan, const FusePlace *of, int node);
bool fuse_is_direct(const FusePlan *plan, const FusePlace *of, int node);
bool fuse_edges(FuseRun *run);          /* false: strips have to                       */
bool fuse_code_open(FuseRun *run);      /* false: values beyond what reals hold exactly */
/* to[r] += the sum of row r's FUSE_LANES bytes of lanes, for m rows. */
enum { FUSE_LANES = 64 };
void fuse_fold(bool f64, int m, const void *lanes, double *to);
void fuse_code_part(FuseRun *run, int r, int m, int c, int n);
#endif
