/* gains_base.c: the loops of tabu search for any machine, and the choice of a level. */
#include "runtime/binary/gains.h"
#include "runtime/tensor/kernels_levels.h"
#define GAINS_NAME gain_kernels_base
extern const GainKernels GAINS_NAME;
#include "runtime/binary/gains_body.h"

#ifdef QA_KERNEL_LEVELS
extern const GainKernels gain_kernels_v3, gain_kernels_v4;
#endif

const GainKernels *gain_kernels(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &gain_kernels_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &gain_kernels_v3;
#endif
  return &gain_kernels_base;
}
