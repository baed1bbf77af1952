/* vectors.c: the vector operations of Lanczos and Krylov. */
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/kernels.h"

#include <math.h>

#define SIMD _Pragma("omp simd")

double vec_dot(int64_t n, const double *x, const double *y) { return kernels()->dot_f64(n, x, y); }
double vec_norm(int64_t n, const double *x) { return sqrt(kernels()->sumsq_f64(n, x)); }

void vec_scale(int64_t n, double c, double *x) {
  SIMD for (int64_t i = 0; i < n; i++) x[i] *= c;
}

void vec_add(int64_t n, double c, const double *x, double *y) {
  SIMD for (int64_t i = 0; i < n; i++) y[i] += c * x[i];
}

void vec_add_complex(int64_t n, double re, double im, const double *x, double *y) {
  SIMD for (int64_t i = 0; i < n; i += 2) {
    double u = x[i], v = x[i + 1];
    y[i] += re * u - im * v;
    y[i + 1] += re * v + im * u;
  }
}

/* Re <x|i y>-like: the imaginary part of <x|y>, in blocks. */
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
  if (!wide) vec_add(n, -re, v, w);
  else vec_add_complex(n, -re, -dot_imaginary(n, v, w), v, w);
}
