/* rotate_base.c: rotations for any machine, and the choice of table. */
#define ROTATE_NAME rotate_base
#include "runtime/state/rotate_body.h"
#include "runtime/tensor/kernels_levels.h"

const RotateTable *rotate_table(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &rotate_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &rotate_v3;
#endif
  return &rotate_base;
}
