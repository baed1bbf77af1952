/* gaps_kernels.h: inner loops of gaps.h over a block of assignments (private).
 *
 * A block holds GAP_LANES assignments side by side: x[v][lane] is the value of
 * variable v, d[v][lane] what a flip adds to it, g[v][lane] the gap of that flip.
 * Products of x and d are 0, +-1, +-2 or +-1/0, so every instruction set gives the
 * same bits.
 */
#ifndef QA_FLOW_GAPS_KERNELS_H
#define QA_FLOW_GAPS_KERNELS_H
#include "runtime/binary/poly.h"

enum { GAP_LANES = 16 };

typedef struct {
  /* g += the gaps of all single flips by p.  work: (longest term + 1) * GAP_LANES. */
  void (*singles)(const Poly *p, const double *x, const double *d, double *g, double *work);
  /* out[lane] += c d_u d_v of m pairs.                                         */
  void (*pairs)(int64_t m, const int32_t *uv, const double *c, const double *d, double *out);
  /* out[lane] += c (the product of the k values after the flips - before - the sum of what
   * each flip alone would add); flips[i]: does variable v[i] flip.             */
  void (*term)(int k, const int32_t *v, const uint8_t *flips, double c, const double *x,
               const double *d, double *out);
} GapKernels;

const GapKernels *gap_kernels(void);
#endif
