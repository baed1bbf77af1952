/* gains_v4.c: the loops of tabu search for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/binary/gains.h"
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#define GAINS_NAME gain_kernels_v4
extern const GainKernels GAINS_NAME;
#include "runtime/binary/gains_body.h"
#else
typedef int gains_v4_is_empty;
#endif
