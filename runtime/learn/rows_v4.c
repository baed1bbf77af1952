/* rows_v4.c: the training loops for x86-64-v4. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <math.h>      /* system headers before the target changes */
#include <string.h>
#include "runtime/learn/rows.h"
#include "runtime/tensor/kernels.h"
#pragma GCC target("arch=x86-64-v4")
#define ROWS_NAME learn_rows_v4
#include "runtime/learn/rows_impl.h"
#else
typedef int learn_rows_v4_is_empty;
#endif
