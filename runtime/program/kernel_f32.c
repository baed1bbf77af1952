/* kernel_f32.c: the vector operations in single precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/program/plan.h"
#include <math.h>
#define T float
#define FN prog_kernel_f32
#define M(name) name##f
#include "runtime/program/kernel.h"
