/* split_v4.c: split steps for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/evolve/split.h"
#pragma GCC target("arch=x86-64-v4")
#define SPLIT_NAME split_v4
#include "runtime/evolve/split_body.h"
#else
typedef int split_v4_is_empty;
#endif
