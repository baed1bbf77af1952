/* pass_f32.c: the forward and backward passes in single precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/attn.h"
#include "runtime/attention/thread.h"
#include "runtime/tensor/blas.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <string.h>

#define T float
#define FN(name) name##_f32
#define GEMM blas()->sgemm
#define ROW_MAX(n, x) kernels()->max_f32(n, x)
#define ROW_SUM(n, x) kernels()->sum_f32(n, x)
#define ROW_SUMSQ(n, x) kernels()->sumsq_f32(n, x)
#define ROW_DOT(n, x, y) kernels()->dot_f32(n, x, y)
#define ROW_EXPSUM(n, x, m, o) kernels()->expsum_f32(n, x, m, o)
#include "runtime/attention/tile.h"
#include "runtime/attention/strip_sinkhorn.h"
#include "runtime/attention/rows.h"
#include "runtime/attention/forward.h"
#include "runtime/attention/backward.h"
