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
  /* w = a w - c p; returns w.q */
  double (*scaled_dot)(int64_t n, double a, double c, const double *p, const double *q,
                       double *w);
  /* the imaginary part of <x|y>, over n doubles */
  double (*dot_imaginary)(int64_t n, const double *x, const double *y);
  /* w = a w - c p - d q, sum += s q: a step of Lanczos whose numbers are known */
  void (*advance)(int64_t n, double a, double c, const double *p, double d, const double *q,
                  double s, double *w, double *sum);
  void (*scale)(int64_t n, double c, double *x);
  void (*add)(int64_t n, double c, const double *x, double *y);      /* y += c x */
  /* y += (re + i im) x over n doubles */
  void (*add_complex)(int64_t n, double re, double im, const double *x, double *y);
} VectorTable;
extern const VectorTable vectors_base, vectors_v3, vectors_v4;
const VectorTable *vectors(void);

double vec_dot(int64_t n, const double *x, const double *y);   /* real part when complex */
double vec_norm(int64_t n, const double *x);
/* c[j] = <v[j]|w>, or nothing but (re, 0) when not wide; w -= sum c[j] v[j].  In pieces that
 * stay in cache, so that v is read once. */
void vec_overlaps(int64_t n, bool wide, int64_t m, double *const *v, const double *w, c128 *c);
void vec_subtract(int64_t n, bool wide, int64_t m, double *const *v, const c128 *c, double *w);
#endif
