/* kernels.h: inner loops of elementwise work and reductions (private to the
 * runtime).
 *
 * kernels_impl.h is compiled once per instruction set; kernels() gives the
 * table of the best one this machine has.  A table may leave entries NULL:
 * kernel_binary() and kernel_unary() then take the plain table's, which holds
 * what is not worth vectorising.  Kernels use no context and may run inside
 * parallel regions.
 */
#ifndef QA_TENSOR_KERNELS_H
#define QA_TENSOR_KERNELS_H
#include "runtime/tensor/tensor.h"

enum {                 /* what a kernel reports; several may be or-ed */
  KERNEL_OVERFLOW = 1, /* an i64 result does not fit                  */
  KERNEL_ZERO = 2,     /* integer division by zero                    */
  KERNEL_NEGATIVE = 4  /* integer to a negative power                 */
};

/* o[i] = a[i sa] op b[i sb]; o may be a or b when that one has step 1. */
typedef int (*BinRun)(int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, void *o);
/* o[i] = f(x[i]); o may be x when the types have one size. */
typedef int (*UnRun)(int64_t n, const void *x, void *o);

typedef struct {
  const char *level;   /* "x86-64-v4", "x86-64-v3", "baseline" */
  BinRun bin[BIN_COUNT][DT_COUNT];
  UnRun un[UN_COUNT][DT_COUNT];
  /* sums with a fixed tree, so that the bits depend on n alone */
  double (*sum_f64)(int64_t n, const double *x);
  double (*sum_f32)(int64_t n, const float *x);
  double (*sumsq_f64)(int64_t n, const double *x);
  double (*sumsq_f32)(int64_t n, const float *x);
  double (*dot_f64)(int64_t n, const double *x, const double *y);
  double (*dot_f32)(int64_t n, const float *x, const float *y);
  double (*max_f64)(int64_t n, const double *x);   /* nan if any is; n >= 1 */
  float (*max_f32)(int64_t n, const float *x);
  double (*min_f64)(int64_t n, const double *x);
  float (*min_f32)(int64_t n, const float *x);
  /* o[i] = exp(x[i] - m); returns the sum (fixed tree) */
  double (*expsum_f64)(int64_t n, const double *x, double m, double *o);
  double (*expsum_f32)(int64_t n, const float *x, float m, float *o);
  /* y = gelu(x) of a layer and, unless it is NULL, its derivative; y or slope may
   * be x.  f32: absolute accuracy (vecmath_f32.h), three times as fast as un[].   */
  void (*gelu_f64)(int64_t n, const double *x, double *y, double *slope);
  void (*gelu_f32)(int64_t n, const float *x, float *y, float *slope);
} Kernels;

const Kernels *kernels(void);
extern const Kernels kernels_base, kernels_v3, kernels_v4, kernels_plain;

static inline BinRun kernel_binary(BinOp op, DType dt) {
  BinRun k = kernels()->bin[op][dt];
  return k ? k : kernels_plain.bin[op][dt];
}
static inline UnRun kernel_unary(UnOp op, DType dt) {
  UnRun k = kernels()->un[op][dt];
  return k ? k : kernels_plain.un[op][dt];
}

/* Work of one parallel block of elementwise kernels, in elements. */
#define KERNEL_BLOCK 32768
/* From this many elements on a loop is worth several threads. */
#define KERNEL_PARALLEL (8 * KERNEL_BLOCK)

#endif
