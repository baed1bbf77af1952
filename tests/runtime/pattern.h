/* pattern.h: small tensors of every dtype with known, exact elements. */
#ifndef TEST_PATTERN_H
#define TEST_PATTERN_H
#include "tests/runtime/fixture.h"

#include <complex.h>

#include "runtime/tensor/tensor.h"

static Tensor *filled(DType d, int rank, const int64_t *shape, int seed) {
  Tensor *t = tensor_new(rt, d, rank, shape);
  for (int64_t i = 0; i < t->size; i++) {
    double v = (double)((i * 37 + seed * 11) % 19) - 9;
    if (d >= DT_F32) v = v / 4 + 0.125;
    tensor_set_f64(t, i, d == DT_BOOL ? v > 0 : v);
    if (d == DT_C64) ((c64 *)t->data)[i].im = (float)((i + seed) % 5) - 2;
    if (d == DT_C128) ((c128 *)t->data)[i].im = (double)((i + seed) % 5) - 2;
  }
  return t;
}

static double complex at(const Tensor *t, int64_t i) {
  c128 z = tensor_get_c128(t, i);
  return CMPLX(z.re, z.im);
}
#endif
