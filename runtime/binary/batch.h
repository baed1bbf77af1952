/* batch.h: many small quadratic problems of one structure, sampled in one call.
 *
 *   E_b(s) = offset_b + sum_i h_bi s_i + sum_k J_bk s_u(k) s_v(k),   s_i = +1 or -1, minimised
 *
 * All problems share variables and couplings; each has its own coefficients.  The
 * walks keep the local fields of one problem in single precision and put the vector
 * lanes over its variables (one problem's coefficients stay in the cache for all its
 * sweeps, and a rejected proposal costs a sixteenth of a comparison); energies, and
 * the descent that ends each walk, are in double precision from the coefficients.
 * Row r = problem * reads + read of a call draws from its own generators, seeded by
 * Philox from (call, r): the same bits on any number of threads and any level of
 * instruction sets, and no problem depends on the others (but see BATCH_LOCKSTEP).
 */
#ifndef QA_BINARY_BATCH_H
#define QA_BINARY_BATCH_H
#include "runtime/binary/ising.h"
#include "runtime/tensor/random.h"

enum { BATCH_LANES = 16, BATCH_N_MAX = 1 << 16, BATCH_EXACT_MAX = 24 };

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
double batch_energy_of(const Batch *b, int64_t problem, const int8_t *s, double *spin);
/* The first of the largest gains s_i f_i > 0 (off: of spins +1 only), -1 when there is none.
 * spin and f: [n] as batch_fields() leaves them. */
int64_t batch_steepest(int64_t n, const double *spin, const double *f, bool off, double *gain);
/* Problem b as a model of its own, for every other sampler. */
RtStatus batch_ising(Rt *rt, const Batch *b, int64_t problem, Ising *out);

typedef enum {
  BATCH_ANNEAL,    /* Metropolis sweeps, geometric temperatures, then descent        */
  BATCH_LOCKSTEP,  /* single random proposals at T = 1000, x 0.99, until 1e-3, five a
                      temperature; ends when no problem of the batch has found a lower
                      energy for 50 temperatures; the best states found, then switching
                      ones off while that lowers the energy (the annealer released
                      with QAMA, arXiv 2504.11083)                                  */
  BATCH_LOCKSTEP_BOTH, /* the same, but the final search may also switch ones on      */
  BATCH_DESCEND,   /* steepest descent from random states                            */
  BATCH_EXACT      /* the minimum, at most BATCH_EXACT_MAX variables                 */
} BatchMethod;

typedef struct BatchArgs {
  BatchMethod method;
  RngCall rng;
  int threads;
  int64_t reads;           /* rows of each problem                                 */
  int64_t sweeps;          /* BATCH_ANNEAL                                         */
  double hot, cold;        /* BATCH_ANNEAL: temperatures of first and last sweep; NAN: from
                              the coefficients of each problem                     */
} BatchArgs;
void batch_args_init(BatchArgs *a);    /* anneal, one read, 300 sweeps             */

typedef struct BatchSamples {
  int64_t problems, reads, n;
  int8_t *spin;            /* [problems, reads, n]                                  */
  double *energy;          /* [problems, reads], batch_energy of the row            */
  int64_t steps;           /* temperatures run (the lock-step walks: until they stopped) */
} BatchSamples;
RtStatus batch_sample(Rt *rt, const Batch *b, const BatchArgs *a, BatchSamples *out);
void batch_samples_free(Rt *rt, BatchSamples *s);

/* ---- levels of instruction sets (private to batch*.c and their tests) --------------- */

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
  /* One Metropolis sweep in order of the variables. */
  void (*sweep)(BatchWalk *k, float temperature);
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
