/* vectors.h: inner products and sums of vectors of doubles or floats, real or (re, im)
 * (private).  Sums are of doubles.  The same bits for every instruction set.      */
#ifndef QA_EVOLVE_VECTORS_H
#define QA_EVOLVE_VECTORS_H
#include "runtime/operator/apply.h"

#define VECTOR_TABLE(REAL)                                                                 \
  struct {                                                                                 \
    /* w -= c p; returns w.q */                                                            \
    double (*subtract_dot)(int64_t n, double c, const REAL *p, const REAL *q, REAL *w);     \
    /* w -= c p; returns w.w */                                                            \
    double (*subtract_norm2)(int64_t n, double c, const REAL *p, REAL *w);                  \
    /* w = a w - c p; returns w.q */                                                       \
    double (*scaled_dot)(int64_t n, double a, double c, const REAL *p, const REAL *q,       \
                         REAL *w);                                                         \
    /* w = a w - c p - d q, sum += s q: a step of Lanczos whose numbers are known */       \
    void (*advance)(int64_t n, double a, double c, const REAL *p, double d, const REAL *q,  \
                    double s, REAL *w, REAL *sum);                                         \
    void (*scale)(int64_t n, double c, REAL *x);                                           \
    void (*add)(int64_t n, double c, const REAL *x, REAL *y); /* y += c x */               \
    /* y += (re + i im) x over n numbers */                                                \
    void (*add_complex)(int64_t n, double re, double im, const REAL *x, REAL *y);          \
    double (*cross)(int64_t n, const REAL *x, const REAL *y); /* Im <x|y> */               \
  }
typedef VECTOR_TABLE(double) VectorTable;
typedef VECTOR_TABLE(float) VectorTable32;
extern const VectorTable vectors_base, vectors_v3, vectors_v4;
extern const VectorTable32 vectors32_base, vectors32_v3, vectors32_v4;
const VectorTable *vectors(void);
const VectorTable32 *vectors32(void);

double vec_dot(int64_t n, const double *x, const double *y);   /* real part when complex */
double vec_norm(int64_t n, const double *x);
/* c[j] = <v[j]|w>, real unless wide; w -= sum c[j] v[j].  In pieces that stay in cache, so
 * that every v is read once.                                                      */
void vec_overlaps(int64_t n, bool wide, int64_t m, double *const *v, const double *w, c128 *c);
void vec_subtract(int64_t n, bool wide, int64_t m, double *const *v, const c128 *c, double *w);
#endif
