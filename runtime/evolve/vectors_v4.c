/* vectors_v4.c: vector loops for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/evolve/vectors.h"
#pragma GCC target("arch=x86-64-v4")
#define VECTORS_LEVEL v4
#include "runtime/evolve/vectors_levels.h"
#else
typedef int vectors_v4_is_empty;
#endif
