/* kernels_v3.c: the inner loops for x86-64-v3 (AVX2, FMA). */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <math.h>      /* system headers before the target changes */
#include <string.h>
#include "runtime/tensor/kernels.h"
#pragma GCC target("arch=x86-64-v3")
#define KERNELS_NAME kernels_v3
#define KERNELS_LEVEL "x86-64-v3"
#include "runtime/tensor/kernels_impl.h"
#else
typedef int kernels_v3_is_empty;
#endif
