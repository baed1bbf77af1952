/* attn.h: what the files of runtime/attention share (private). */
#ifndef QA_ATTN_PRIVATE_H
#define QA_ATTN_PRIVATE_H
#include "runtime/attention/attention.h"

/* A derivative program: adjoints of vector products and of captured values. */
typedef struct { int slot, out, ix_out, n_ix; } AttnLoad;
typedef struct {
  ProgPlan *plan;
  AttnLoad *load;
  int n_load;
  int leaf_out[ATTN_MAX_LEAF];   /* output of each product's adjoint, or -1   */
  int stat_out[4];               /* of sum, max, l2, l1 (normaliser only), or -1 */
} AttnGrad;

struct AttnCode {
  uint8_t *slot_dtype;
  ProgPlan *mask, *out, *norm;
  ProgPlan *once;                /* outputs: alpha, top, dropout              */
  bool uses_i;                   /* does a pair's program look at the row's position? */
  bool uses_max, uses_l2, uses_l1, uses_count, uses_stats;   /* of the normaliser   */
  bool has_grad;
  AttnGrad out_grad, norm_grad, alpha_grad;
  struct TilePlan *tile;
};

/* Plans for these dtypes, made anew when they change.  grad: derivatives too. */
/* flat: mask, weight and derivatives take several rows as one strip. */
AttnCode *attn_code(Rt *rt, AttnSpec *s, DType real, bool flat, const uint8_t *slot_dtype,
                    bool grad);
void attn_code_free(Rt *rt, AttnCode *c);

/* DRAW: one key a row; out is the logarithm of its weight (one column), stat the key. */
typedef enum { ATTN_ATTEND, ATTN_WEIGHTS, ATTN_ENERGIES, ATTN_DRAW } AttnMode;

/* A matrix per batch and head: rows of contiguous numbers. */
typedef struct { void *data; int64_t batch, head, row; } AttnView;   /* strides in elements */

struct TilePlan;
struct TileMap;

typedef struct {
  AttnMode mode;
  AttnSpec *spec;
  AttnCode *code;
  DType real;
  int64_t B, Hq, Hk, nq, nk, d, e;
  int rank;
  AttnView q, k, v, out;         /* out: attend or matrix result, (B, Hq, nq, e or nk) */
  ProgTensor *slot;
  RngCall rng;
  bool dropout;                  /* is there any? */
  int threads;
  const atomic_int *interrupted;
  int64_t rows, cols;            /* block of query rows, width of a key block */
  struct TilePlan *tile;         /* tile mode; NULL: row strips */
  int map_kind;                  /* TileMapKind */
  const struct TileMap *map;     /* classes of mask tiles, unless they are made per head */
  double *stat;                  /* tile mode: [tile_stats()][B Hq nq], for the backward pass */
  void *kept;                    /* weights kept for it, or NULL: see tile_kept()        */
  AttnView result;               /* backward, tile mode: the output */
  bool flat;                     /* several rows fit a strip */
  int n_full;                    /* products of q with k */
  int64_t rounds;                /* sinkhorn */
  double *sink;                  /* its potentials and their adjoints, while a pass runs */
  bool back;
  /* made by prepare */
  void *kt, *vt;                 /* transposed key blocks per (b, hk) */
  void *col;                     /* [leaf][B Hq][nk] real */
  double *row;                   /* [leaf][B Hq][nq] */
  /* backward: incoming gradient and results (NULL: not wanted) */
  AttnView grad;                 /* of out */
  void *dq, *dk, *dv;            /* contiguous (B, H, n, d) */
  double **dslot;                /* per slot, row-major */
  int64_t *slot_size;
  /* first index out of range */
  int bad_slot, bad_axis;
  int64_t bad_index;
} AttnJob;

static inline int64_t attn_min(int64_t a, int64_t b) { return a < b ? a : b; }
/* Multiplications of a pair's score: none where products have one vector of the pair only. */
static inline double attn_pair_width(const AttnJob *job) {
  bool any = false;
  for (int l = 0; l < job->spec->n_leaf; l++) any |= job->spec->leaf[l].stage == PS_BOTH;
  return any ? (double)job->d : 0;
}
/* Element number of a pair in the random stream of a call. */
static inline uint64_t attn_pair_number(const AttnJob *job, int64_t b, int64_t h, int64_t r,
                                        int64_t j) {
  return (uint64_t)(((b * job->Hq + h) * job->nq + r) * job->nk + j);
}
/* The stream of dropout, apart from the Gumbel noise of the same call. */
static inline RngCall attn_dropout_call(const AttnJob *job) {
  RngCall call = job->rng;
  call.key ^= 0x9e3779b97f4a7c15u;
  return call;
}

static inline size_t attn_round(size_t n) { return (n + 63) & ~(size_t)63; }

/* Multiplications from which a parallel loop pays, about 100 us. */
#define ATTN_PARALLEL 1000000
/* Items a thread takes at a time when `items` are the whole pass. */
int64_t attn_grain(const AttnJob *job, int64_t items);

typedef enum { TILE_EMPTY, TILE_FULL, TILE_PARTIAL } AttnTile;
/* Class of the tile of query rows [r0, r1) and keys [j0, j1) under the mask.
 * scratch: prog.n + prog.n_var intervals.                                    */
AttnTile attn_tile(const AttnJob *job, int64_t b, int64_t h, int64_t r0, int64_t r1,
                   int64_t j0, int64_t j1, Interval *scratch);

/* Scalar variables of (b, h), and of a query row. */
void attn_vars(const AttnJob *job, int64_t b, int64_t h, double *var);

/* Values and gradients of products that involve one of the vectors only or a
 * captured vector; x, y contiguous vectors of d numbers read as doubles.     */
const void *attn_vec(const AttnJob *job, int slot, int64_t h, int64_t *stride, uint8_t *dtype);

RtStatus attn_job_init(Rt *rt, AttnJob *job, AttnMode mode, AttnSpec *s, const AttnArgs *a,
                       bool grad);
RtStatus attn_forward_f32(Rt *rt, AttnJob *job);
RtStatus attn_forward_f64(Rt *rt, AttnJob *job);
RtStatus attn_backward_f32(Rt *rt, AttnJob *job);
RtStatus attn_backward_f64(Rt *rt, AttnJob *job);

/* measure.c: lines about a short run of the call.  flops 0: time alone. */
RtStatus attn_measure(Rt *rt, AttnSpec *s, const AttnArgs *a, double flops_forward,
                      double flops_backward, Buf *out);

/* prep.c: y = map(x) for every row, and dx from dy (x the unmapped rows). */
Tensor *attn_prep(Rt *rt, AttnPrep prep, double base, Tensor *x, int64_t first);
Tensor *attn_prep_back(Rt *rt, AttnPrep prep, double base, Tensor *x, int64_t first, Tensor *dy);

/* ---- row functions (row.c) --------------------------------------------------- */
typedef struct {
  double shift;       /* largest u of the row (log weights), else 0           */
  double sum, max, l2, l1;  /* of the weights relative to exp(shift)           */
  int64_t best, count;/* position of the largest, number of unmasked           */
  double scale;       /* p = weight relative to exp(shift), times scale        */
  double inverse;     /* 1 / phi, or 0                                         */
} AttnRow;

/* Keep the m largest of the n numbers whose keep flag is set; ties to the first, NaN
 * counts as the largest (x is changed there: what it spoils must show).      */
void attn_keep_top(int64_t n, double *x, uint8_t *keep, int64_t m, double *scratch);
/* sparsemax (alpha 2) and entmax on the n numbers z = (alpha - 1) (x - largest x) > -1, the
 * others having no part: p = max(z - tau, 0)^(1 / (alpha - 1)) with sum 1 within
 * `tolerance`, then divided by the sum.  alpha > 1.  Gives how many are left of z, their
 * places in `at` and p, packed; scratch: 2 n numbers.                          */
int64_t attn_threshold(int64_t n, double *z, int64_t *at, double alpha, double tolerance, double *p,
                       double *scratch);
#endif
