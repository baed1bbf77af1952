/* sweep_v3.c: sweeps for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include "runtime/circuit/sweep.h"
#pragma GCC target("arch=x86-64-v3")
#define SWEEP_NAME sweep_v3
#define SWEEP_BACK sweep_back_v3
#include "runtime/circuit/sweep_body.h"
#define SWEEP_NAME sweep32_v3
#define SWEEP_SINGLE 1
#include "runtime/circuit/sweep_body.h"
#else
typedef int sweep_v3_is_empty;
#endif
