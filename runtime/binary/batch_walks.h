/* batch_walks.h: what the files of batch_sample() share: a thread's scratch, the start
 * and the end of a walk, temperatures; and enumeration (private to batch*.c).      */
#ifndef QA_BINARY_BATCH_WALKS_H
#define QA_BINARY_BATCH_WALKS_H
#include "runtime/binary/batch.h"

typedef struct BatchThread {
  BatchWalk walk;          /* one row, or                                          */
  BatchSide side;          /* sixteen side by side                                 */
  float *temperature;      /* [16] of side                                         */
  double *field, *spin;    /* [n] f_i of the descent, s_i as batch_fields() leaves them */
  float *middle;           /* [n + m] coefficients, for their median               */
  int64_t loaded;          /* problem whose couplings are in walk.w                */
  char *memory;
  size_t bytes;
} BatchThread;

/* Small structures walk side by side, whatever the number of rows. */
bool batch_is_small(const Batch *b);
/* With the scratch of `side` or of `walk`. */
bool batch_thread_make(Rt *rt, BatchThread *t, const Batch *b, bool side);
void batch_thread_free(Rt *rt, BatchThread *t);
/* A random state of the row in s, its fields in t->field, its spins in t->spin. */
void batch_random(BatchThread *t, int64_t problem, RngCall rng, uint64_t row, int8_t *s);
/* The spin whose flip lowers the energy most flips until none does; `off`: only spins that
 * are +1 may.  t->field and t->spin are those of s.                               */
void batch_descend(BatchThread *t, int64_t problem, int8_t *s, bool off);
/* The same where also two spins may flip together; small structures. */
void batch_descend_pairs(BatchThread *t, int64_t problem, int8_t *s);
/* Temperatures of the first sweep and of the last. */
void batch_temperatures(BatchThread *t, int64_t problem, const BatchArgs *a, double *hot,
                        double *cold);

/* The minimum of problem p, n <= BATCH_EXACT_MAX, into s. */
void batch_lowest(const Batch *b, int64_t problem, int8_t *s);
#endif
