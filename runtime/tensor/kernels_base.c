/* kernels_base.c: the inner loops for any machine, and the choice of table. */
#define KERNELS_NAME kernels_base
#define KERNELS_LEVEL "baseline"
#include "runtime/tensor/kernels_impl.h"
#include "runtime/tensor/kernels_levels.h"

/* A read of the processor's feature word each time: cheaper than a lock, and
 * there is no state to share.                                                 */
const Kernels *kernels(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &kernels_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &kernels_v3;
#endif
  return &kernels_base;
}
