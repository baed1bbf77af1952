/* vectors_v3.c: vector loops for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/evolve/vectors.h"
#pragma GCC target("arch=x86-64-v3")
#define VECTORS_LEVEL v3
#include "runtime/evolve/vectors_levels.h"
#else
typedef int vectors_v3_is_empty;
#endif
