/* peak.h: what one core can do (private to the runtime). */
#ifndef QA_TENSOR_PEAK_H
#define QA_TENSOR_PEAK_H
#include "runtime/tensor/tensor.h"

/* Floating-point operations a second of one core in multiply-adds of registers,
 * with the vectors that kernels() chose: measured by the first call for a dtype
 * (f32 or f64; about 3 ms of this thread's time), the same number afterwards.
 * From any thread.                                                              */
double peak_flops(DType d);

/* Name of the instruction set that kernels() chose: x86-64-v4 (AVX-512), x86-64-v3 (AVX2 and
 * FMA) or baseline. */
const char *peak_level(void);

#endif
