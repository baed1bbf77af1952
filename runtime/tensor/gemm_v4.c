/* gemm_v4.c: the matrix kernels for x86-64-v4 (AVX-512). */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <immintrin.h> /* system headers before the target changes */
#include <string.h>
#include "runtime/tensor/gemm_levels.h"
#pragma GCC target("arch=x86-64-v4")
#define GEMM_NAME gemm_v4
#define GEMM_LEVEL "x86-64-v4"
#define GEMM_BYTES 64
#define GEMM_REGISTERS 32
#include "runtime/tensor/gemm_impl.h"
#else
typedef int gemm_v4_is_empty;
#endif
