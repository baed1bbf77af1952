/* vectors_base.c: vector loops for any machine, and the choice of table. */
#define VECTORS_LEVEL base
#include "runtime/evolve/vectors_levels.h"
#include "runtime/tensor/kernels_levels.h"

const VectorTable *vectors(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &vectors_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &vectors_v3;
#endif
  return &vectors_base;
}

const VectorTable32 *vectors32(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &vectors32_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &vectors32_v3;
#endif
  return &vectors32_base;
}
