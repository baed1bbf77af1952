/* tile.h: tile mode: blocks of query rows against tiles of keys, with sums of
 * the row alone carried from tile to tile (private).
 *
 * A tile of 64 x 128 products (64 x 64 of doubles) is made by a matrix product, turned into weights
 * in place by one fused program that also folds the row's sums, and multiplied
 * with the values; so no row of weights ever exists.  What needs a whole row at
 * once (thresholds, selections, the row's maximum as divisor, matrices as
 * results) goes by row strips instead; tile_reason() says which.
 *
 * Going back, weights are computed again, tile by tile, but where all keys fit one
 * tile and the adjoints of scores follow from the weights alone (softmax with any
 * linear score): there they are kept, as far as they are computed at all.
 *
 * Exponential weights are taken relative to a shift of the row.  It is 0 as
 * long as the row's sum stays far from the ends of the number range; a tile
 * that drives it out is computed again with the running maximum as shift, and
 * the accumulators are rescaled.                                             */
#ifndef QA_ATTN_TILE_H
#define QA_ATTN_TILE_H
#include "runtime/attention/attn.h"
#include "runtime/program/fuse.h"

#define TILE_ROWS 64
#define TILE_COLS_F32 128
#define TILE_COLS_F64 64
#define TILE_UNIT 16          /* partial tiles are worked in units of 16 x 16   */
#define TILE_GROUPS (TILE_ROWS / TILE_UNIT)
#define TILE_STEP 8           /* what products with values leave out, in steps of 8 x 8 */
#define TILE_STEPS (TILE_ROWS / TILE_STEP)
#define TILE_DECODE_ROWS 4    /* up to so many queries: keys are not transposed */
#define TILE_DECODE_COLS 256

/* ---- classes of mask tiles (tile_mask.c) ---------------------------------------- */

/* Keys [j0, j1) of one block of rows: a run of full tiles, or one partial tile
 * with the columns that each group of rows can see, in units.                 */
typedef struct {
  int64_t j0, j1;
  AttnTile tile;
  uint8_t lo[TILE_GROUPS], hi[TILE_GROUPS];
  uint8_t from[TILE_STEPS], to[TILE_STEPS];
} TileCell;

typedef struct TileMap {
  TileCell *cell;
  int64_t *first;              /* cells of row block k: first[k] .. first[k+1]  */
  int64_t blocks, room;
} TileMap;

typedef enum { TILE_MAP_NONE, TILE_MAP_SHAPE, TILE_MAP_CALL, TILE_MAP_HEAD } TileMapKind;
/* What a mask's classes depend on: nothing (no mask), the shape, the tensors
 * too, or batch and head as well.                                            */
TileMapKind tile_map_kind(const AttnSpec *s);
size_t tile_map_size(const AttnJob *job);           /* bytes of a map            */
void tile_map_init(TileMap *map, const AttnJob *job, void *room);
/* scratch as in attn_tile */
void tile_map_fill(TileMap *map, const AttnJob *job, int64_t b, int64_t h, Interval *scratch);

/* ---- plans (tile_plan.c) ----------------------------------------------------------- */

/* How the adjoint of a load is gathered, by the indices it is loaded with. */
typedef enum {
  TILE_ROW_SUMS,               /* they change with the row at most              */
  TILE_COL_SUMS,               /* with the column                               */
  TILE_DIAGONALS,              /* with i - j                                    */
  TILE_GRID,                   /* they are i, j and fixed ones: [h, i, j]       */
  TILE_PAIRS                   /* with the pair: scattered                      */
} TileGather;

typedef struct {
  int slot, want;
  TileGather gather;
  bool fixed;                  /* TILE_ROW_SUMS: one element for the whole head */
  int n_ix, ix[PROG_MAX_INDEX];        /* index nodes                           */
  int ix_want[PROG_MAX_INDEX];         /* TILE_PAIRS: their values, or -1       */
} TileLoad;

/* The divisor, as far as the passes treat it differently. */
typedef enum { TILE_PHI_CONST, TILE_PHI_SUM, TILE_PHI_ANY } TilePhi;

typedef struct TilePlan {
  const char *reason;          /* why row strips are used; NULL: tiles          */
  const char *grad_reason;     /* the same, going back alone                    */
  Prog prog;                   /* the variant's program with the variables below */
  int shift, dp, mean, curve, bend, kept;     /* variables: see tile_backward.h        */
  bool used[ATTN_MAX_LEAF];    /* leaves that weight, mask or divisor look at   */
  int dot, dist2, l1;          /* products of q with k among those, or -1       */
  bool per_head;               /* is anything computed once different in every head? */
  bool by_vector;              /* is anything one a row or one a column?             */
  bool centred;                /* distances alone: the mean key is taken off    */
  TilePhi phi;
  double phi_value;            /* TILE_PHI_CONST                                */
  bool folded;                 /* log weight, divisor never negative: the shift takes it in */
  FusePlan *weight, *top;      /* top: log weights only                         */
  int sumsq_want, count_want, l1_sum_want;  /* of `weight`; its want 0 is the weight         */
  FusePlan *grad;
  FusePlan *bare_grad;         /* the same without captured tensors, where none needs its
                                * gradient; NULL: there are none                */
  FusePlan *kept_grad;         /* the same from weights kept; NULL: they do not suffice */
  int weight_want, pair_want, l1_want, dist2_want;
  int leaf_want[ATTN_MAX_LEAF];
  TileLoad *load;
  int n_load;
  int n_want;                  /* of `grad` */
  FuseWant want[FUSE_MAX_WANT];
  TileMap map;                 /* TILE_MAP_SHAPE: kept for the last shape       */
  int64_t map_nq, map_nk;
} TilePlan;

/* Why a variant goes by row strips; NULL: it is tiled. */
const char *tile_reason(const AttnSpec *s);
/* Never NULL but when out of memory or a plan cannot be made. */
TilePlan *tile_plan(Rt *rt, const AttnSpec *s, const AttnCode *code, DType real);
RtStatus tile_plan_grad(Rt *rt, TilePlan *p, const AttnSpec *s, const AttnCode *code, DType real);
void tile_plan_free(Rt *rt, TilePlan *p);
const char *tile_gather_name(const TileLoad *l);
int tile_stats(const TilePlan *p);     /* numbers a row that the backward pass needs */
/* Weights that the forward pass keeps for it, `cols` a row; 0: they are computed again. */
int64_t tile_kept(const AttnJob *job);

/* One pass of a job whose `tile` is set. */
void tile_sizes(AttnJob *job);
RtStatus tile_pass(Rt *rt, AttnJob *job, bool back);

/* Lines about the call of a job whose `tile` is set; *pairs: those that are computed. */
RtStatus tile_explain(Rt *rt, const AttnJob *job, Buf *out, double *pairs);

RtStatus tile_forward_f32(Rt *rt, AttnJob *job);
RtStatus tile_forward_f64(Rt *rt, AttnJob *job);
RtStatus tile_backward_f32(Rt *rt, AttnJob *job);
RtStatus tile_backward_f64(Rt *rt, AttnJob *job);
#endif
