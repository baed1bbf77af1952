/* apply_impl.h: what the files of operator application share (private). */
#ifndef QA_OPERATOR_APPLY_IMPL_H
#define QA_OPERATOR_APPLY_IMPL_H
#include "runtime/operator/apply.h"

/* y[d] += c (-1)^popcount(d & z) x[d ^ mask], over numbers. */
typedef struct {
  uint64_t mask, z;
  double c;
  int pass;
} Flip;

enum {
  TILE_BYTES = 512,       /* worked on in registers: 64 doubles or 128 floats     */
  RUN_BITS = 9,           /* numbers whose diagonal is made together              */
  ALL_NEAR_BYTES = 1 << 24, /* vectors that are read from anywhere at little cost   */
  NEAR_BYTES = 1 << 23,   /* of longer ones: what stays in a cache                */
  MEAN_BITS = 16,         /* numbers in a block of a mean                         */
  BLOCK_BITS = 15,        /* numbers that a gathering pass collects               */
  ITEM_BITS = 13,         /* numbers of one item of work of the first pass        */
  PATTERNS_MAX = 6, HIGH_MAX = 64 /* more: the diagonal is stored                 */
};

/* Diagonal terms whose low part is the same pattern. */
typedef struct { uint64_t low; int64_t first, end; } Pattern;
typedef struct {
  bool any;
  int64_t n_terms;             /* of the operator: its first flips                */
  void *table;                 /* numbers [states]; NULL: made run by run         */
  void *low;                   /* numbers [run]: terms that live within a run     */
  double constant;
  int64_t n_high, n_mixed, n_pattern;
  Flip *high, *mixed;          /* no bit within a run; bits on both sides      */
  Pattern *pattern;
} Diagonal;

/* Where a flip reads: at ^ (its place within the block), in whole tiles.  top: the highest
 * bit of its mask, as a bit of the vector, if beyond a tile; else 0.              */
typedef struct { uint64_t at, top; } Reach;
/* Flips without signs, with equal coefficients and equal bits within a tile. */
typedef struct {
  double c;
  unsigned low;                /* bits within a tile                              */
  bool twice;                  /* what came so far with this c counts twice in means */
  bool last;                   /* of those with this c                            */
  int64_t first, end;          /* reaches                                         */
} Group;
typedef struct {
  Reach reach;
  uint64_t z;
  double c;
  unsigned low;
  bool odd;                    /* antisymmetric                                   */
} Signed;

/* One visit of the whole vector, block by block: all numbers whose places differ in `local`
 * bits only.  The first also has the diagonal.  gather: blocks are copied together first. */
typedef struct {
  bool gather;
  uint64_t local;
  int block_bits, run_bits;    /* a block is runs of 2^run_bits numbers           */
  int64_t first_group, end_group, first_signed, end_signed;
} Pass;

/* Results and means are made in different visits: a result costs reading and writing y in each. */
typedef struct {
  int n_pass;
  Pass *pass;
  int64_t n_plain;             /* flips without signs: reaches                    */
  Reach *reach;                /* [n_flip]                                        */
  Group *group;                /* [n_flip]                                        */
  Signed *sign;                /* [n_flip]                                        */
} Plan;

typedef struct ModeTerm ModeTerm;
struct Applied {
  int64_t states, size;
  int bits;                    /* size = 2^bits; 0: with bosons                */
  bool wide, single;
  Diagonal diag;
  int64_t n_flip, cap_flip;
  Flip *flip;
  Plan result, mean;
  struct ModePlan *modes;      /* apply_modes.c                                */
};

static inline size_t number_bytes(const Applied *a) {
  return a->single ? sizeof(float) : sizeof(double);
}
static inline int64_t tile_size(const Applied *a) {
  return TILE_BYTES / (int64_t)number_bytes(a);
}

/* What is done with a run of results. */
typedef enum { RUN_STORE, RUN_STREAM, RUN_ADD, RUN_MEAN } RunEnd;
typedef struct {
  const Reach *reach;
  const Group *group, *group_end;
  const Signed *sign, *sign_end;
  RunEnd end;                  /* stream: past the caches; mean: only x.(a x)      */
} RunJob;

/* The diagonal of a run: number j of tile k is e[j] + shift[k]. */
typedef struct { const void *e; double shift[(1 << RUN_BITS) / 64]; } RunDiagonal;

/* Numbers are doubles, or floats in the tables of single precision. */
typedef struct {
  /* Of numbers [d, d + n), made in `room` where it is not stored. */
  void (*diagonal)(const Diagonal *g, int wide, uint64_t d, int64_t n, void *room,
                   RunDiagonal *out);
  /* Numbers [d, d + n) of the vector, n a multiple of a tile: they are [t, t + n) of the
   * block s of x.  y and g (NULL: none) are of these numbers.  Returns their part of x.(a x)
   * for RUN_MEAN.                                                               */
  double (*run)(const RunJob *j, const void *s, uint64_t t, uint64_t d, int64_t n, void *y,
                const RunDiagonal *g);
  void (*fence)(void);         /* after streamed stores                           */
} ApplyTable;
extern const ApplyTable apply_base, apply_v3, apply_v4;
extern const ApplyTable apply32_base, apply32_v3, apply32_v4;

/* apply_plan.c: the plans of a's flips. */
RtStatus plan_make(Rt *rt, Applied *a);
void plan_free(Rt *rt, const Applied *a, Plan *p);
/* One for results, with `near` numbers (a power of two) read from anywhere at little cost. */
RtStatus plan_result(Rt *rt, Applied *a, uint64_t near, Plan *out);
/* The bits of k at the places of `mask`; and back. */
uint64_t bits_scatter(uint64_t k, uint64_t mask);
uint64_t bits_collect(uint64_t d, uint64_t mask);

/* apply_modes.c */
RtStatus modes_make(Rt *rt, Operator *a, Applied *out);
void modes_free(Rt *rt, struct ModePlan *m);
RtStatus modes_to(Rt *rt, const Applied *a, const void *x, void *y);
#endif
