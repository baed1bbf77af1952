/* random.h: counter-based random numbers (Philox4x32-10 of librandom123).
 *
 * A scope owns a key and counts its random calls; call c draws element e as
 * Philox(key, c, e).  There is no other state, so results do not depend on
 * tiling, threads or evaluation order.
 */
#ifndef QA_RANDOM_H
#define QA_RANDOM_H
#include "runtime/tensor/tensor.h"

typedef struct { uint64_t key, call; } RngCall;        /* one random call   */

RngCall rng_next(Rt *rt);              /* counts one call in rt->scope       */
RngCall rng_seeded(int64_t seed);      /* call 0 of a fresh key for `seed`   */
/* Key of a child scope: labels are hashed, so ("repeat", 3) and ("level", 3)
 * give unrelated streams.                                                   */
uint64_t rng_derive(uint64_t key, const char *label, int64_t index);

/* 128 random bits of element e. */
void rng_bits(RngCall c, uint64_t e, uint32_t out[4]);
double rng_uniform(RngCall c, uint64_t e);      /* [0, 1) with 53 bits       */
/* rng_uniform of elements e .. e + n - 1, several times as fast as one by one. */
void rng_uniforms(RngCall c, uint64_t e, int64_t n, double *out);
double rng_normal(RngCall c, uint64_t e);       /* Box-Muller of element e   */

Tensor *tensor_rand(Rt *rt, RngCall c, DType dt, int rank, const int64_t *shape);
Tensor *tensor_randn(Rt *rt, RngCall c, DType dt, int rank, const int64_t *shape);
Tensor *tensor_randint(Rt *rt, RngCall c, int64_t lo, int64_t hi, int rank, const int64_t *shape); /* [lo, hi), unbiased */
Tensor *tensor_permutation(Rt *rt, RngCall c, int64_t n);
#endif
