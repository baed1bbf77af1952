/* pass_f32.c: the forward and backward passes in single precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/attn.h"
#include "runtime/attention/thread.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#define T float
#define FN(name) name##_f32
#define GEMM cblas_sgemm
#define KERNEL prog_kernel_f32
#include "runtime/attention/tile.h"
#include "runtime/attention/rows.h"
#include "runtime/attention/forward.h"
#include "runtime/attention/backward.h"
