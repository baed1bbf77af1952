/* sweep_v4.c: sweeps for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/circuit/sweep.h"
#pragma GCC target("arch=x86-64-v4")
#define SWEEP_NAME sweep_v4
#define SWEEP_BACK sweep_back_v4
#include "runtime/circuit/sweep_body.h"
#define SWEEP_NAME sweep32_v4
#define SWEEP_SINGLE 1
#include "runtime/circuit/sweep_body.h"
#else
typedef int sweep_v4_is_empty;
#endif
