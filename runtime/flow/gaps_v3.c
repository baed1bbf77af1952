/* gaps_v3.c: the loops of gaps_kernels.h for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/flow/gaps_kernels.h"
#pragma GCC target("arch=x86-64-v3")
#define GAPS_NAME gap_kernels_v3
extern const GapKernels GAPS_NAME;
#include "runtime/flow/gaps_body.h"
#else
typedef int gaps_v3_is_empty;
#endif
