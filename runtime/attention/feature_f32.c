/* feature_f32.c: attention with separable weights in single precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/feature.h"
#include "runtime/tensor/gemm.h"

#include <string.h>

#define T float
#define FN(name) name##_f32
#define TILE gemm_tile_f32
#define TRANSPOSE gemm_transpose_f32
#include "runtime/attention/feature_pass.h"
