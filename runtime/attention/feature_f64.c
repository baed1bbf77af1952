/* feature_f64.c: attention with separable weights in double precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/feature.h"
#include "runtime/tensor/gemm.h"

#include <string.h>

#define T double
#define FN(name) name##_f64
#define TILE gemm_tile_f64
#define TRANSPOSE gemm_transpose_f64
#include "runtime/attention/feature_pass.h"
