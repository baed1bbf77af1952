/* pairs.h: sorting and adding up pairs of variables, which polynomials, Ising
 * models and graphs share.  Internal to runtime/binary.                       */
#ifndef QA_BINARY_PAIRS_H
#define QA_BINARY_PAIRS_H
#include "runtime/base/base.h"

/* Orders the two ends of each pair, sorts by (u, v) (stable radix sort, linear in
 * m) and, with c, adds up equal pairs in the order they had and drops zeros;
 * without c equal pairs become one.  Indices lie in 0 .. n-1; u == v is sorted
 * like any other pair.  *m becomes the number left; the arrays stay as large as
 * they were.  Scratch: 16 bytes a pair (8 without c), none when already sorted. */
RtStatus pairs_merge(Rt *rt, int64_t n, int64_t *m, int32_t *uv, double *c);
/* The same for single variables. */
RtStatus ones_merge(Rt *rt, int64_t n, int64_t *m, int32_t *v, double *c);

#endif
