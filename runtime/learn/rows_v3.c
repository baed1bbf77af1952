/* rows_v3.c: the training loops for x86-64-v3. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <math.h>      /* system headers before the target changes */
#include <string.h>
#include "runtime/learn/rows.h"
#include "runtime/tensor/kernels.h"
#pragma GCC target("arch=x86-64-v3")
#define ROWS_NAME learn_rows_v3
#include "runtime/learn/rows_impl.h"
#else
typedef int learn_rows_v3_is_empty;
#endif
