/* sweep_base.c: sweeps for any machine, and the choice of table. */
#include "runtime/circuit/sweep.h"
#include "runtime/tensor/kernels_levels.h"
#define SWEEP_NAME sweep_base
#define SWEEP_BACK sweep_back_base
#include "runtime/circuit/sweep_body.h"
#define SWEEP_NAME sweep32_base
#define SWEEP_SINGLE 1
#include "runtime/circuit/sweep_body.h"

const SweepTable *sweep_table(bool single) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return single ? &sweep32_v4 : &sweep_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return single ? &sweep32_v3 : &sweep_v3;
#endif
  return single ? &sweep32_base : &sweep_base;
}

const SweepBack *sweep_back(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &sweep_back_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &sweep_back_v3;
#endif
  return &sweep_back_base;
}
