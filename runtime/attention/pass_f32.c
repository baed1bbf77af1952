/* pass_f32.c: the forward and backward passes in single precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/thread.h"
#include "runtime/attention/tile.h"
#include "runtime/tensor/blas.h"
#include "runtime/tensor/gemm.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <string.h>

#define T float
#define FN(name) name##_f32
#define GEMM blas()->sgemm
#define EXPAND_F32
#define GEMM_TILE gemm_tile_f32
#define GEMM_SPANS gemm_spans_f32
#define GEMM_DOTS gemm_dots_f32
#define GEMM_PAIRS gemm_pairs_f32
#define GEMM_TRANSPOSE gemm_transpose_f32
#define ROW_MAX(n, x) kernels()->max_f32(n, x)
#define ROW_SUM(n, x) kernels()->sum_f32(n, x)
#define ROW_SUMSQ(n, x) kernels()->sumsq_f32(n, x)
#define ROW_DOT(n, x, y) kernels()->dot_f32(n, x, y)
#define ROW_EXPSUM(n, x, m, o) kernels()->expsum_f32(n, x, m, o)
#include "runtime/attention/vectors.h"
#include "runtime/attention/strip.h"
#include "runtime/attention/strip_sinkhorn.h"
#include "runtime/attention/strip_rows.h"
#include "runtime/attention/strip_forward.h"
#include "runtime/attention/strip_backward.h"
#include "runtime/attention/tile_expand.h"
#include "runtime/attention/tile_work.h"
#include "runtime/attention/tile_forward.h"
#include "runtime/attention/tile_captured.h"
#include "runtime/attention/tile_backward.h"
