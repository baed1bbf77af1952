/* rows.h: inner loops of the fused training kernels (private).
 *
 * Each works on rows [first, end) of row-major data with n columns and uses no
 * context, so that blocks of rows may run in parallel.  rows_impl.h is
 * compiled once per instruction set, as runtime/tensor/kernels.h is.
 */
#ifndef QA_LEARN_ROWS_H
#define QA_LEARN_ROWS_H
#include "runtime/learn/learn.h"

/* Normalisation: o = (x - mean) inv gain + bias; centre false (rms) keeps the
 * mean at 0.  stats[2 r] = mean, stats[2 r + 1] = inv.  With `more` the rows
 * normalised are x + more, stored in sum; backward `more` is added to dx.     */
typedef struct {
  int64_t n;
  const void *x, *gain, *bias, *g;   /* gain, bias may be NULL; g: backward */
  const void *more;                  /* may be NULL                         */
  void *o, *sum;                     /* result, or dx                       */
  double *stats, eps;
  bool center;
} NormJob;

/* Softmax or its logarithm; backward: x is the result, g its adjoint. */
typedef struct { int64_t n; const void *x, *g; void *o; bool log; } SoftmaxJob;

typedef struct {
  int64_t n;
  const void *x;
  const int64_t *labels;
  double *lse, *loss;   /* per row: log sum exp, loss                */
  void *o;              /* backward: dx = scale (softmax - target)   */
  double smoothing, scale;
} EntropyJob;

typedef struct {
  void (*norm)(const NormJob *j, int64_t first, int64_t end);
  /* adds to dgain[n], dbias[n] where not NULL */
  void (*norm_back)(const NormJob *j, int64_t first, int64_t end, double *dgain, double *dbias);
  void (*softmax)(const SoftmaxJob *j, int64_t first, int64_t end);
  void (*softmax_back)(const SoftmaxJob *j, int64_t first, int64_t end);
  void (*entropy)(const EntropyJob *j, int64_t first, int64_t end);
  void (*entropy_back)(const EntropyJob *j, int64_t first, int64_t end);
  /* Rows of n: o = g act'(.), from the result y (relu, sigmoid, tanh) or from the
   * derivative itself (gelu); without an activation o stays alone.  Adds the
   * columns of o, or of g, to sum[n] unless it is NULL.                         */
  void (*act_back)(Activation act, int64_t rows, int64_t n, const void *g, const void *y, void *o,
                   double *sum);
  /* sum of (a - b)^2; o = scale (a - b) */
  double (*squared_error)(int64_t n, const void *a, const void *b);
  void (*scaled_difference)(int64_t n, const void *a, const void *b, double scale, void *o);
  double (*square_sum)(int64_t n, const void *x);   /* in double */
  void (*adam)(int64_t n, void *w, const void *g, void *m, void *v, const AdamStep *s);
  void (*sgd)(int64_t n, void *w, const void *g, void *velocity, const SgdStep *s);
} LearnRows;

typedef struct { LearnRows f32, f64; } LearnTable;
extern const LearnTable learn_rows_base, learn_rows_v3, learn_rows_v4;
/* The loops for dtype d (f32 or f64) on this machine. */
const LearnRows *learn_rows(DType d);

#endif
