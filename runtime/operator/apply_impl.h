/* apply_impl.h: what the files of operator application share (private). */
#ifndef QA_OPERATOR_APPLY_IMPL_H
#define QA_OPERATOR_APPLY_IMPL_H
#include "runtime/operator/apply.h"

/* y[d] += c (-1)^popcount(d & z) x[d ^ mask], over doubles. */
typedef struct {
  uint64_t mask, z;
  double c;
  uint64_t top, odd;   /* highest bit of the mask if beyond a tile; all bits: antisymmetric */
  int pass;
} Flip;

enum {
  TILE = 64,         /* doubles that are worked on in registers               */
  RUN_BITS = 9,      /* of the first pass: 4 KiB of one vector                */
  RUN_BITS_LATER = 9,
  CACHE_BITS = 16,   /* doubles whose runs are visited together: 512 KiB      */
  PATTERNS_MAX = 6, HIGH_MAX = 64 /* more: the diagonal is stored             */
};

/* Diagonal terms whose low part is the same pattern. */
typedef struct { uint64_t low; int64_t first, end; } Pattern;
typedef struct {
  bool any;
  int64_t n_terms;             /* of the operator: its first flips                */
  double *table;               /* [states]; NULL: made run by run              */
  double *low;                 /* [run]: terms that live within a run          */
  double constant;
  int64_t n_high, n_mixed, n_pattern;
  Flip *high, *mixed;          /* no bit within a run; bits on both sides      */
  Pattern *pattern;
} Diagonal;

/* Terms that are applied in one visit of all runs. */
typedef struct {
  int run_bits;
  uint64_t fast;               /* run-number bits that vary fastest            */
  int64_t first, n_plain, end; /* terms: without signs, then with              */
} Pass;

typedef struct ModeTerm ModeTerm;
struct Applied {
  int64_t states, size;
  int bits;                    /* size = 2^bits; 0: with bosons                */
  bool wide;
  Diagonal diag;
  int64_t n_flip, cap_flip;
  Flip *flip;
  int n_pass;
  Pass *pass;
  struct ModePlan *modes;      /* apply_modes.c                                */
};

/* One run of one pass. */
typedef struct {
  const double *x;
  double *y;                   /* whole vectors; y NULL: only x.(a x)          */
  bool add;
  const Flip *plain, *sign, *end;
} RunJob;

typedef struct {
  /* e[j] = the diagonal at double d + j */
  void (*diagonal)(const Diagonal *g, int wide, uint64_t d, int64_t n, double *e);
  /* doubles [d, d + n), n a multiple of TILE; returns their part of x.(a x) */
  double (*run)(const RunJob *j, uint64_t d, int64_t n, const double *e);
} ApplyTable;
extern const ApplyTable apply_base, apply_v3, apply_v4;

/* apply_modes.c */
RtStatus modes_make(Rt *rt, Operator *a, Applied *out);
void modes_free(Rt *rt, struct ModePlan *m);
RtStatus modes_to(Rt *rt, const Applied *a, const double *x, double *y);
#endif
