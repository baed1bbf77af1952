/* batch.h: many small quadratic problems of one structure, sampled in one call.
 *
 *   E_b(s) = offset_b + sum_i h_bi s_i + sum_k J_bk s_u(k) s_v(k),   s_i = +1 or -1, minimised
 *
 * All problems share variables and couplings; each has its own coefficients.  The
 * walks keep local fields in single precision.  Small structures put sixteen rows side
 * by side, a vector lane each; larger ones take a row at a time with the lanes over its
 * variables (its problem's coefficients stay in the cache for all its sweeps, and a
 * rejected proposal costs a sixteenth of a comparison).  Energies, and the descent that
 * ends each walk, are in double precision from the coefficients.
 * Row r = problem * reads + read of a call draws from its own generators, seeded by
 * Philox from (call, r): the same bits on any number of threads and any level of
 * instruction sets, and no problem depends on the others (but see BATCH_LOCKSTEP).
 */
#ifndef QA_BINARY_BATCH_H
#define QA_BINARY_BATCH_H
#include "runtime/binary/sampler.h"

enum {
  BATCH_LANES = 16,
  BATCH_N_MAX = 1 << 16,
  BATCH_EXACT_MAX = 24,
  BATCH_SIDE_N = 64,       /* structures up to here, and to so many couplings, walk side by side */
  BATCH_SIDE_M = 64 * 63 / 2
};

typedef struct Batch {
  int64_t problems, n, m;
  int32_t *uv;             /* [2 m] u < v, ascending                            */
  double *h, *J, *offset;  /* [problems, n], [problems, m], [problems]: for the caller to set */
  /* rows: couplings of i at start[i] .. start[i+1), ascending by the other end     */
  int32_t *start, *other, *edge;     /* [n + 1], [2 m], [2 m]                      */
  /* the walks' form of a row: 16 columns side by side where three or more of them
   * are coupled, single columns elsewhere                                        */
  int32_t *row_block, *block;        /* [n + 1], [n_block] first column             */
  int32_t *row_single, *single;      /* [n + 1], [n_single] column                  */
  int32_t *place;                    /* [2 m] beside `uv`, in the row of u and in that of v:
                                        in the blocks; ~ in the singles            */
  int64_t n_block, n_single;
  int32_t *pair;           /* small structures: [n, n] where j stands in row i; -1: uncoupled */
  int32_t *run;            /* [n_run + 1] first couplings of runs (u, v), (u, v + 1), ..  */
  int64_t n_run;
} Batch;

/* Pairs are distinct, either order (uv keeps them as u < v, in the caller's order);
 * coefficients and offsets are 0 until set. */
RtStatus batch_make(Rt *rt, Batch *out, int64_t problems, int64_t n, int64_t m, const int32_t *uv);
void batch_free(Rt *rt, Batch *b);
/* Refuses coefficients that are not finite. */
RtStatus batch_check(Rt *rt, const Batch *b);
double batch_energy(const Batch *b, int64_t problem, const int8_t *s);
/* Local fields f_i = h_i + sum_j J_ij s_j, [n], and the energy faster; spin: scratch for n. */
void batch_fields(const Batch *b, int64_t problem, const int8_t *s, double *spin, double *f);
/* sum_j J_ij^2, [n]. */
void batch_squares(const Batch *b, int64_t problem, double *sum);
double batch_energy_of(const Batch *b, int64_t problem, const int8_t *s, double *spin);
/* The first of the largest gains s_i f_i > 0 (off: of spins +1 only), -1 when there is none.
 * spin and f: [n] as batch_fields() leaves them. */
int64_t batch_steepest(int64_t n, const double *spin, const double *f, bool off, double *gain);
/* One model as a batch of one problem. */
RtStatus batch_of_ising(Rt *rt, const Ising *p, Batch *out);
/* In each problem the coefficients of its 0/1 form are rounded to the multiples of their largest
 * magnitude over 2^(bits - 1) - 1, bits 2 .. BATCH_ROUND_MAX; the energy at all zeros stays. */
enum { BATCH_ROUND_MAX = 32 };
RtStatus batch_round(Rt *rt, Batch *b, int64_t bits);
/* Problem b as a model of its own, for every other sampler. */
RtStatus batch_ising(Rt *rt, const Batch *b, int64_t problem, Ising *out);

typedef enum {
  BATCH_ANNEAL,    /* Metropolis sweeps, geometric temperatures, then descent; in small
                      structures by single flips and by flips of two, which keep what a
                      penalty holds, else by single flips                           */
  BATCH_LOCKSTEP,  /* single random proposals at T = 1000, x 0.99, until 1e-3, five a
                      temperature; ends when no problem of the batch has found a lower
                      energy for 50 temperatures; the best states found, then switching
                      ones off while that lowers the energy (the annealer released
                      with QAMA, arXiv 2504.11083)                                  */
  BATCH_LOCKSTEP_BOTH, /* the same, but the final search may also switch ones on      */
  BATCH_DESCEND,   /* steepest descent from random states                            */
  BATCH_GIBBS,     /* heat-bath sweeps at one inverse temperature, no descent         */
  BATCH_EXACT      /* the minimum (of equal ones any), at most BATCH_EXACT_MAX variables */
} BatchMethod;

typedef struct BatchArgs {
  BatchMethod method;
  RngCall rng;
  int threads;
  int64_t reads;           /* rows of each problem                                 */
  const int64_t *number;   /* [problems] numbers of the problems for their random streams;
                              NULL: their places. The lock-step walks take no notice  */
  int64_t sweeps;          /* BATCH_ANNEAL, BATCH_GIBBS; 500 sweeps of a read find the
                              minimum of 99 in 100 problems of 16 variables        */
  double hot, cold;        /* BATCH_ANNEAL: temperatures of first and last sweep; NAN: from
                              the coefficients of each problem                     */
  const double *betas;     /* BATCH_ANNEAL: [n_beta] inverse temperatures in place of these,
                              each for as many sweeps; NULL: geometric              */
  int64_t n_beta;
  double beta;             /* BATCH_GIBBS                                           */
  bool boltzmann;          /* BATCH_ANNEAL: no descent at the end                   */
} BatchArgs;
void batch_args_init(BatchArgs *a);    /* anneal, one read, 500 sweeps             */

typedef struct BatchSamples {
  int64_t problems, reads, n;
  int8_t *spin;            /* [problems, reads, n]                                  */
  double *energy;          /* [problems, reads], batch_energy of the row            */
  int64_t steps;           /* temperatures run (the lock-step walks: until they stopped) */
} BatchSamples;
RtStatus batch_sample(Rt *rt, const Batch *b, const BatchArgs *a, BatchSamples *out);
/* Rows that are still to be filled. */
RtStatus batch_samples_make(Rt *rt, BatchSamples *out, int64_t problems, int64_t reads, int64_t n);
void batch_samples_free(Rt *rt, BatchSamples *s);

/* ---- any other sampler, a problem a thread ------------------------------------------ */

typedef struct BatchProgress { void (*call)(void *user, double share); void *user; } BatchProgress;
typedef struct BatchEach {
  /* Rows of one model, on one thread; calls `p` between blocks of work (where not NULL), by
   * which an interrupt reaches it.  `user` is shared by all threads.               */
  RtStatus (*run)(Rt *rt, void *user, const Ising *model, RngCall rng, const BatchProgress *p,
                  Samples *out);
  void *user;
  RngCall rng;
  int threads;
  const int64_t *number;   /* as in BatchArgs                                      */
} BatchEach;
/* Rows of each problem by energy, as many as the first one has. */
RtStatus batch_each(Rt *rt, const Batch *b, const BatchEach *e, BatchSamples *out);

/* ---- levels of instruction sets (private to batch*.c and their tests) --------------- */

/* Sixteen rows at work, lane q of a vector is row q; any of them may be of one problem. */
typedef struct BatchSide {
  const Batch *b;
  float *w;                /* [2 m][16] 4 J beside b->other                          */
  float *g;                /* [n][16] 2 f_i; flipping i changes the energy by -s_i g_i */
  uint32_t *up;            /* [n][16] the sign bit where spin i is +1                */
  float *energy;           /* [16] since the start                                   */
  uint32_t *best;          /* [n][16] `up` of the lowest energy that keep() has met   */
  float *lowest;           /* [16]                                                   */
  uint32_t rng[4][BATCH_LANES];   /* a generator a row                               */
} BatchSide;

/* One row at work.  Columns are padded to whole vectors. */
typedef struct BatchWalk {
  const Batch *b;
  float *w, *ws;           /* 4 J: of the blocks, of the singles                    */
  float *g;                /* 2 f_i; flipping i changes the energy by -s_i g_i       */
  uint32_t *up;            /* the sign bit where spin i is +1                       */
  uint32_t *best;          /* `up` of the lowest energy met (lock-step)             */
  uint32_t rng[4][BATCH_LANES];   /* xoshiro128++ (Blackman & Vigna 2021) side by side */
} BatchWalk;

enum { LOCKSTEP_STEPS = 1375, LOCKSTEP_PROPOSALS = 5, LOCKSTEP_PATIENCE = 50 };
typedef struct BatchKernels {
  const char *name;
  /* One sweep in order of the variables: Metropolis, or heat bath (Glauber). */
  void (*sweep)(BatchWalk *k, float temperature, bool heat);
  void (*side)(BatchSide *k, const float temperature[BATCH_LANES], bool heat);
  /* Metropolis with flips of i and i + shift together, shift in 1 .. n - 1. */
  void (*pairs)(BatchSide *k, const float temperature[BATCH_LANES], int64_t shift);
  /* Stores the rows whose energy is the lowest so far. */
  void (*keep)(BatchSide *k);
  /* Lock-step walk over `steps` temperatures from T = 1000; better[t] is set to 1 where
   * step t found a lower energy than all before; k->best is the lowest state.     */
  void (*lockstep)(BatchWalk *k, int64_t steps, uint8_t *better);
} BatchKernels;
/* 0: portable, 1: AVX2, 2: AVX-512; NULL: not here. */
const BatchKernels *batch_kernels(int level);
const BatchKernels *batch_kernels_best(void);
/* For tests: as batch_sample() with one level's kernels. */
RtStatus batch_sample_level(Rt *rt, const Batch *b, const BatchArgs *a, const BatchKernels *k,
                            BatchSamples *out);
#endif
