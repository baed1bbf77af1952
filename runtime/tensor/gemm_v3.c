/* gemm_v3.c: the matrix kernels for x86-64-v3 (AVX2, FMA). */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <immintrin.h> /* system headers before the target changes */
#include <string.h>
#include "runtime/tensor/gemm_levels.h"
#pragma GCC target("arch=x86-64-v3")
#define GEMM_NAME gemm_v3
#define GEMM_LEVEL "x86-64-v3"
#define GEMM_BYTES 32
#define GEMM_REGISTERS 16
#include "runtime/tensor/gemm_impl.h"
#else
typedef int gemm_v3_is_empty;
#endif
