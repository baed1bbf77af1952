/* apply_v3.c: operator application for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/operator/apply_impl.h"
#pragma GCC target("arch=x86-64-v3")
#define APPLY_LEVEL v3
#include "runtime/operator/apply_levels.h"
#else
typedef int apply_v3_is_empty;
#endif
