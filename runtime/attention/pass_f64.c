/* pass_f64.c: the forward and backward passes in double precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/attn.h"
#include "runtime/attention/thread.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#define T double
#define FN(name) name##_f64
#define GEMM cblas_dgemm
#define KERNEL prog_kernel_f64
#include "runtime/attention/tile.h"
#include "runtime/attention/rows.h"
#include "runtime/attention/forward.h"
#include "runtime/attention/backward.h"
