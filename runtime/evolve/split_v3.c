/* split_v3.c: split steps for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/evolve/split.h"
#pragma GCC target("arch=x86-64-v3")
#define SPLIT_NAME split_v3
#include "runtime/evolve/split_body.h"
#else
typedef int split_v3_is_empty;
#endif
