/* gemm_base.c: the matrix kernels for any machine. */
#define GEMM_NAME gemm_base
#define GEMM_LEVEL "baseline"
#define GEMM_BYTES 16
#define GEMM_REGISTERS 16
#include "runtime/tensor/gemm_impl.h"
