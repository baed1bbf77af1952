/* vectors.c: the vector operations of Lanczos and Krylov. */
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/kernels.h"

#include <math.h>

double vec_dot(int64_t n, const double *x, const double *y) { return kernels()->dot_f64(n, x, y); }
double vec_norm(int64_t n, const double *x) { return sqrt(kernels()->sumsq_f64(n, x)); }

/* The imaginary part of <x|y>, in blocks. */
static double dot_imaginary(int64_t n, const double *x, const double *y) {
  double total = 0;
  for (int64_t i = 0; i < n;) {
    double s = 0;
    for (int64_t end = i + 2048 < n ? i + 2048 : n; i < end; i += 2)
      s += x[i] * y[i + 1] - x[i + 1] * y[i];
    total += s;
  }
  return total;
}

void vec_project(int64_t n, bool wide, const double *v, double *w) {
  double re = vec_dot(n, v, w);
  if (!wide) vectors()->add(n, -re, v, w);
  else vectors()->add_complex(n, -re, -dot_imaginary(n, v, w), v, w);
}
