/* kernels_v4.c: the inner loops for x86-64-v4 (AVX-512). */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <math.h>      /* system headers before the target changes */
#include <string.h>
#include "runtime/tensor/kernels.h"
#pragma GCC target("arch=x86-64-v4")
#define KERNELS_NAME kernels_v4
#define KERNELS_LEVEL "x86-64-v4"
#include "runtime/tensor/kernels_impl.h"
#else
typedef int kernels_v4_is_empty;
#endif
