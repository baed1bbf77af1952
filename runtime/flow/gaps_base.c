/* gaps_base.c: the loops of gaps_kernels.h for any machine, and the choice of a level. */
#include "runtime/flow/gaps_kernels.h"
#include "runtime/tensor/kernels_levels.h"
#define GAPS_NAME gap_kernels_base
extern const GapKernels GAPS_NAME;
#include "runtime/flow/gaps_body.h"

#ifdef QA_KERNEL_LEVELS
extern const GapKernels gap_kernels_v3, gap_kernels_v4;
#endif

const GapKernels *gap_kernels(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &gap_kernels_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &gap_kernels_v3;
#endif
  return &gap_kernels_base;
}
