/* eights.h: vectors of eight for sums, and their levels of instruction sets (private).
 * Lanes are added in a fixed order and nothing is fused: the same bits on all levels.   */
#ifndef QA_TENSOR_EIGHTS_H
#define QA_TENSOR_EIGHTS_H
#include <stdint.h>

typedef double V8 __attribute__((vector_size(64), aligned(8), may_alias));
typedef float F8 __attribute__((vector_size(32), aligned(4), may_alias));

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define EIGHT_CLONES                                                                    \
  __attribute__((optimize("O2,fp-contract=off"),                                        \
                 target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define EIGHT_CLONES
#endif

#define SUM8(a) \
  ((((a)[0] + (a)[4]) + ((a)[2] + (a)[6])) + (((a)[1] + (a)[5]) + ((a)[3] + (a)[7])))
#endif
