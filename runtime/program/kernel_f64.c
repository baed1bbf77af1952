/* kernel_f64.c: the vector operations in double precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/program/plan.h"
#include <math.h>
#define T double
#define FN prog_kernel_f64
#define M(name) name
#include "runtime/program/kernel.h"
