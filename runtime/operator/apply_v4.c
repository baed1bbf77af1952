/* apply_v4.c: operator application for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/operator/apply_impl.h"
#pragma GCC target("arch=x86-64-v4")
#define APPLY_LEVEL v4
#include "runtime/operator/apply_levels.h"
#else
typedef int apply_v4_is_empty;
#endif
