/* lanes_v3.c: lanes for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <math.h>
#include "runtime/circuit/lanes.h"
#pragma GCC target("arch=x86-64-v3")
#define LANE_TABLE lanes_v3
#include "runtime/circuit/lanes_body.h"
#else
typedef int lanes_v3_is_empty;
#endif
