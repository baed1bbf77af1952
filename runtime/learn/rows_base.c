/* rows_base.c: the training loops for any machine, and the choice of table. */
#define ROWS_NAME learn_rows_base
#include "runtime/learn/rows_impl.h"
#include "runtime/tensor/kernels_levels.h"

const LearnRows *learn_rows(DType d) {
  const LearnTable *t = &learn_rows_base;
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) t = &learn_rows_v4;
  else if (__builtin_cpu_supports("x86-64-v3")) t = &learn_rows_v3;
#endif
  return d == DT_F32 ? &t->f32 : &t->f64;
}
