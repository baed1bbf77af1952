/* qama.h: attention by binary quadratic problems (QAMA, second form; Du, Shi, W. Wang, Ma,
 * Wen & Li 2025, arXiv 2504.11083, and its released code).
 *
 * Queries, keys and values q, k, v (b, n, w) hold h = w / d heads of d dimensions side by
 * side, d the length of e.  Head t of one sample gives, over its n tokens,
 *
 *   S = q k' / sqrt(d),  J = (S + S') / 2 with J_ii = 0,  l_i = (v_i . e) / d
 *
 * and all heads of a sample together one problem over bits x (h, n), variable t n + i:
 *
 *   E(x) = - alpha sum_t sum_{i /= j} J_t,ij x_ti x_tj          queries and keys
 *          - eta n sum_t sum_i l_ti x_ti                        values
 *          + 2 pen sum_{t < u} sum_i x_ti x_ui                  heads choose apart
 *   pen = gamma/2 sqrt(2/pi) n / (h - 1), none with one head
 *
 * The layer's output keeps x fixed and reads other energies, without the factors:
 *
 *   y_i,(t c) = - x_ti (sum_j J_t,ij x_tj + l_ti) e_c
 *
 * f32 and f64; sums are in double.  Bits do not depend on the number of threads. */
#ifndef QA_LEARN_QAMA_H
#define QA_LEARN_QAMA_H
#include "runtime/binary/batch.h"

typedef struct { Tensor *q, *k, *v, *e; } QamaInput;
typedef struct { double alpha, eta, gamma; } QamaFactors;   /* released: 1, 0.16, 0.8 */

/* One problem a sample, spins s = 2 x - 1.  Couplings: those within head 0 in order of (i, j),
 * i < j, head 1, ..; then for every two heads t < u those of tokens 0 .. n. */
RtStatus qama_problems(Rt *rt, const QamaInput *in, QamaFactors f, Batch *out);
/* The bits (b, h, n), bool, of the read of least energy of every problem. */
Tensor *qama_bits(Rt *rt, const BatchSamples *s, int64_t heads);
/* y (b, n, w) at fixed bits x (b, h, n) of any dtype, every one 0 or 1; recorded on the tape:
 * derivatives by q, k, v and e, none by x. */
Tensor *qama_read(Rt *rt, const QamaInput *in, Tensor *x);
/* *energy (b), f64: E(x); *change (b, h, n), f64: what E(x) changes when one bit does. */
RtStatus qama_flips(Rt *rt, const QamaInput *in, QamaFactors f, Tensor *x, Tensor **energy,
                    Tensor **change);

/* ---- shared by qama*.c ---------------------------------------------------------------- */

typedef struct { int64_t b, n, w, h, d; } QamaShape;
RtStatus qama_shape(Rt *rt, const QamaInput *in, QamaShape *s);
/* Contiguous; to be given back by qama_release(), also after a failure. */
RtStatus qama_contiguous(Rt *rt, const QamaInput *in, QamaInput *out);
void qama_release(Rt *rt, QamaInput *in);
/* x as bytes 0 or 1 (b, h, n), contiguous bool; refuses other shapes and numbers. */
Tensor *qama_check_bits(Rt *rt, Tensor *x, const QamaShape *s);
/* The d numbers of one token in one head as doubles; all tokens of it, `stride` apart. */
void qama_row(const Tensor *x, const QamaShape *s, int64_t sample, int64_t head, int64_t token,
              double *out);
void qama_row_store(Tensor *x, const QamaShape *s, int64_t sample, int64_t head, int64_t token,
                    const double *from);    /* NULL: zeros                            */
void qama_head(const Tensor *x, const QamaShape *s, int64_t sample, int64_t head, double *out,
               int64_t stride);
/* Columns are padded to whole vectors; what is beyond n must be 0. */
#define QAMA_WIDE(n) (((n) + 7) / 8 * 8)
/* J_ij = scale times row i (of m) times column j (of m, QAMA_WIDE(n) apart), i < j, in order; the
 * sums over either end are added to h (QAMA_WIDE(n)), the sum over all is returned.  sum:
 * QAMA_WIDE(n) doubles of scratch. */
double qama_pairs(int64_t n, int64_t m, const double *row, const double *column, double scale,
                  double *sum, double *J, double *h);
void qama_vector(const Tensor *e, double *out);

#endif
