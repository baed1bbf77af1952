/* vectors.c: the vector operations of Lanczos and Krylov. */
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/kernels.h"

#include <math.h>

double vec_dot(int64_t n, const double *x, const double *y) { return kernels()->dot_f64(n, x, y); }
double vec_norm(int64_t n, const double *x) { return sqrt(kernels()->sumsq_f64(n, x)); }

enum { PIECE = 4096 };

void vec_overlaps(int64_t n, bool wide, int64_t m, double *const *v, const double *w, c128 *c) {
  for (int64_t j = 0; j < m; j++) c[j] = (c128){0, 0};
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t k = n - at < PIECE ? n - at : PIECE;
    for (int64_t j = 0; j < m; j++) {
      c[j].re += vec_dot(k, v[j] + at, w + at);
      if (wide) c[j].im += vectors()->cross(k, v[j] + at, w + at);
    }
  }
}

void vec_subtract(int64_t n, bool wide, int64_t m, double *const *v, const c128 *c, double *w) {
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t k = n - at < PIECE ? n - at : PIECE;
    for (int64_t j = 0; j < m; j++) {
      if (wide) vectors()->add_complex(k, -c[j].re, -c[j].im, v[j] + at, w + at);
      else vectors()->add(k, -c[j].re, v[j] + at, w + at);
    }
  }
}
