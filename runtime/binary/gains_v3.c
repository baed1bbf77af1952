/* gains_v3.c: the loops of tabu search for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/binary/gains.h"
#pragma GCC target("arch=x86-64-v3")
#define GAINS_NAME gain_kernels_v3
extern const GainKernels GAINS_NAME;
#include "runtime/binary/gains_body.h"
#else
typedef int gains_v3_is_empty;
#endif
