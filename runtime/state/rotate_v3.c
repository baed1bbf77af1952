/* rotate_v3.c: rotations for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/state/rotate_impl.h"
#pragma GCC target("arch=x86-64-v3")
#define ROTATE_NAME rotate_v3
#include "runtime/state/rotate_body.h"
#else
typedef int rotate_v3_is_empty;
#endif
