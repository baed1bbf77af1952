/* pass_f64.c: the forward and backward passes in double precision. */
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math")
#include "runtime/attention/thread.h"
#include "runtime/attention/tile.h"
#include "runtime/tensor/blas.h"
#include "runtime/tensor/gemm.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <string.h>

#define T double
#define FN(name) name##_f64
#define GEMM blas()->dgemm
#define GEMM_TILE gemm_tile_f64
#define GEMM_SPANS gemm_spans_f64
#define GEMM_DOTS gemm_dots_f64
#define GEMM_PAIRS gemm_pairs_f64
#define GEMM_TRANSPOSE gemm_transpose_f64
#define ROW_MAX(n, x) kernels()->max_f64(n, x)
#define ROW_SUM(n, x) kernels()->sum_f64(n, x)
#define ROW_SUMSQ(n, x) kernels()->sumsq_f64(n, x)
#define ROW_DOT(n, x, y) kernels()->dot_f64(n, x, y)
#define ROW_EXPSUM(n, x, m, o) kernels()->expsum_f64(n, x, m, o)
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
