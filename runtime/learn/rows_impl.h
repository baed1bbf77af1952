/* rows_impl.h: the loops of rows.h for both types (private; included by each
 * rows_*.c after it has chosen its instruction set, with ROWS_NAME defined).
 */
#include "runtime/learn/rows.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <string.h>

#define SIMD _Pragma("omp simd")

#define T float
#define N(name) name##_rows_f32
#define K(name) name##_f32
#define SQRT __builtin_sqrtf
#include "runtime/learn/norm_body.h"
#include "runtime/learn/rows_body.h"
#undef T
#undef N
#undef K
#undef SQRT
#define T double
#define N(name) name##_rows_f64
#define K(name) name##_f64
#define SQRT __builtin_sqrt
#include "runtime/learn/norm_body.h"
#include "runtime/learn/rows_body.h"

#define ROWS(t)                                                               \
  {norm_rows_##t, norm_back_rows_##t, softmax_rows_##t, softmax_back_rows_##t, \
   entropy_rows_##t, entropy_back_rows_##t, act_back_rows_##t,                \
   squared_error_rows_##t, scaled_difference_rows_##t, square_sum_rows_##t,   \
   adam_rows_##t, sgd_rows_##t}
const LearnTable ROWS_NAME = {ROWS(f32), ROWS(f64)};
