/* vectors.h: inner products and sums of vectors of doubles, real or (re, im) (private).
 * The same bits for every instruction set.                                      */
#ifndef QA_EVOLVE_VECTORS_H
#define QA_EVOLVE_VECTORS_H
#include "runtime/operator/apply.h"

typedef struct {
  /* w -= c p; returns w.q */
  double (*subtract_dot)(int64_t n, double c, const double *p, const double *q, double *w);
  /* w -= c p; returns w.w */
  double (*subtract_norm2)(int64_t n, double c, const double *p, double *w);
  void (*scale)(int64_t n, double c, double *x);
  void (*add)(int64_t n, double c, const double *x, double *y);      /* y += c x */
  /* y += (re + i im) x over n doubles */
  void (*add_complex)(int64_t n, double re, double im, const double *x, double *y);
} VectorTable;
extern const VectorTable vectors_base, vectors_v3, vectors_v4;
const VectorTable *vectors(void);

double vec_dot(int64_t n, const double *x, const double *y);   /* real part when complex */
double vec_norm(int64_t n, const double *x);
/* w -= v <v|w>; wide: complex */
void vec_project(int64_t n, bool wide, const double *v, double *w);
#endif
