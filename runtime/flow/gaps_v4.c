/* gaps_v4.c: the loops of gaps_kernels.h for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/flow/gaps_kernels.h"
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#define GAPS_NAME gap_kernels_v4
extern const GapKernels GAPS_NAME;
#include "runtime/flow/gaps_body.h"
#else
typedef int gaps_v4_is_empty;
#endif
