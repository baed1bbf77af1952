/* vectors.h: inner products and sums of vectors of doubles, real or (re, im) (private). */
#ifndef QA_EVOLVE_VECTORS_H
#define QA_EVOLVE_VECTORS_H
#include "runtime/operator/apply.h"

double vec_dot(int64_t n, const double *x, const double *y);   /* real part when complex */
double vec_norm(int64_t n, const double *x);
void vec_scale(int64_t n, double c, double *x);
void vec_add(int64_t n, double c, const double *x, double *y); /* y += c x */
/* y += (re + i im) x, complex */
void vec_add_complex(int64_t n, double re, double im, const double *x, double *y);
/* w -= v <v|w>; wide: complex */
void vec_project(int64_t n, bool wide, const double *v, double *w);
#endif
