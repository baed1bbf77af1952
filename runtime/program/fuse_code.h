/* fuse_code.h: the machine code of a fused plan and what it is fed (private).
 *
 * A node of the body is a leaf of the code when it is a constant, computed once
 * (a number of the frame), one a row or one a column, a matrix of the caller,
 * or a matrix that strips compute first (`foreign`: gathers, and operations
 * without a vector form).                                                      */
#ifndef QA_PROGRAM_FUSE_CODE_H
#define QA_PROGRAM_FUSE_CODE_H
#include "runtime/program/emit.h"
#include "runtime/program/fuse_plan.h"

enum { LEAF_NONE, LEAF_CONST, LEAF_ONCE, LEAF_ROW, LEAF_COL, LEAF_MAT };
enum { CODE_MAX_FOLD = 48, CODE_MAX_MAT = 32, CODE_CHUNK = 64 };

typedef struct { uint8_t kind; int16_t slot; } FuseLeaf;

struct FuseCode {
  EmitShape shape;
  EmitCode code[2];                     /* every pair, masked                          */
  EmitFold fold[CODE_MAX_FOLD];
  int fold_node[CODE_MAX_FOLD], fold_want[CODE_MAX_FOLD];   /* want -1: a PO_SUM       */
  int out_want[FUSE_MAX_WANT], colsum_want[FUSE_MAX_WANT];
  int mat[CODE_MAX_MAT];                /* variable, or -1 - k: foreign matrix k        */
  int n_foreign, foreign_node[CODE_MAX_MAT];
  ProgPlan *once, *foreign;             /* what the frame and foreign matrices hold     */
  bool foreign_loads;                   /* do foreign nodes look at the mask?           */
  FuseLeaf *leaf;                       /* per node of the body                         */
  bool *needed, *after;                 /* computed by the code; one a row, from sums   */
  Interval *range;
};

/* NULL with `why` set where machine code cannot be. */
FuseCode *fuse_code(Rt *rt, const FusePlan *plan, const uint8_t *slot_dtype, const char **why);
void fuse_code_free(Rt *rt, FuseCode *code);
bool fuse_lower(const FusePlan *plan, const FuseCode *code, bool masked, bool tail, VecList *out);
bool fuse_code_tile(FuseRun *run);      /* false: values beyond what reals hold exactly */
#endif
