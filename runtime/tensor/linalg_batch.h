/* linalg_batch.h: private: matrices as batches.                              */
#ifndef QA_LINALG_BATCH_H
#define QA_LINALG_BATCH_H
#include "runtime/tensor/tensor.h"

/* `t` is a fresh packed copy (LAPACK overwrites it) of shape (batch.., m, n). */
typedef struct {
  const char *what;     /* function name for messages */
  Tensor *t;
  DType dt;
  int m, n, lead;       /* rows, columns, number of batch axes */
  int64_t count;        /* matrices */
} Mats;

/* Checks rank, squareness, extents and that all entries are finite; dt -1: the
 * float dtype a stands for (i64 and bool: f64).                              */
RtStatus mats_open(Rt *rt, const char *what, Tensor *a, bool square, int dt, Mats *out);
/* A system a x = b with common dtype and batch; `vector`: b had rank 1. */
RtStatus mats_pair(Rt *rt, const char *what, Tensor *a, Tensor *b, bool square, Mats *ma, Mats *mb,
                   bool *vector);
void mats_close(Rt *rt, Mats *m);   /* zeroed Mats are fine */
void *mats_at(const Mats *m, int64_t i);
DType real_part_of(DType dt);
DType complex_of(DType dt);
/* New tensor of shape (batch.., tail...). */
Tensor *batch_new(Rt *rt, const Mats *m, DType dt, int n_tail, const int64_t *tail);
/* `fmt` gets the 1-based number k (LAPACK's); the batch position is added. */
RtStatus mats_fail(Rt *rt, const Mats *m, int64_t i, const char *fmt, int k)
    __attribute__((format(printf, 4, 0)));
#endif
