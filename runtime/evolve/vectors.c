/* vectors.c: the vector operations of Lanczos and Krylov. */
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/kernels.h"

#include <math.h>

double vec_dot(int64_t n, const double *x, const double *y) { return kernels()->dot_f64(n, x, y); }
double vec_norm(int64_t n, const double *x) { return sqrt(kernels()->sumsq_f64(n, x)); }

void vec_project(int64_t n, bool wide, const double *v, double *w) {
  double re = vec_dot(n, v, w);
  if (!wide) vectors()->add(n, -re, v, w);
  else vectors()->add_complex(n, -re, -vectors()->cross(n, v, w), v, w);
}
