/* rotate_v4.c: rotations for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/state/rotate_impl.h"
#pragma GCC target("arch=x86-64-v4")
#define ROTATE_NAME rotate_v4
#include "runtime/state/rotate_body.h"
#else
typedef int rotate_v4_is_empty;
#endif
