/* split_base.c: split steps for any machine, and the choice of table. */
#define SPLIT_NAME split_base
#include "runtime/evolve/split_body.h"
#include "runtime/tensor/kernels_levels.h"

const SplitTable *split_table(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &split_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &split_v3;
#endif
  return &split_base;
}
