/* lanes_v4.c: lanes for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <math.h>
#include "runtime/circuit/lanes.h"
#pragma GCC target("arch=x86-64-v4")
#define LANE_TABLE lanes_v4
#include "runtime/circuit/lanes_body.h"
#else
typedef int lanes_v4_is_empty;
#endif
