/* split.h: steps of H(t) = sum_j c_j(t) (D_j + sum_i g_ji X_i), D_j diagonal, on qubits.
 *
 * The vector lies in two planes, real and imaginary parts.  A stage is one pass of phases
 * exp(-i phi D) and one layer of rotations exp(-i theta_i X_i) of all qubits: ten qubits
 * in each block of the cache, the others two at a time.  A rotation is written as
 * cos(theta) (1 - i tan(theta) X); the cosines are multiplied in with the next phases.
 * The same bits for any number of threads and any instruction set.
 */
#ifndef QA_EVOLVE_SPLIT_H
#define QA_EVOLVE_SPLIT_H
#include "runtime/operator/apply.h"
#include "runtime/state/state.h"

enum { SPLIT_PARTS = 8, SPLIT_QUBITS = 40 };
typedef struct Split {
  int n;                     /* parts                                            */
  int bits;                  /* qubits                                           */
  const double *level[SPLIT_PARTS];  /* D_j [2^bits]; NULL: 0                    */
  const double *field[SPLIT_PARTS];  /* g_j [bits]; NULL: 0                      */
  void (*coefs)(void *user, double t, double *c);
  void *user;
} Split;

typedef struct SplitPlanes SplitPlanes;    /* a vector in planes, with scratch   */
RtStatus split_make(Rt *rt, const Split *m, SplitPlanes **out);
void split_free(SplitPlanes *p);           /* NULL is fine */
void split_load(SplitPlanes *p, const c128 *x);
void split_store(const SplitPlanes *p, c128 *x);
/* One step of order 4 from t to t + h. */
RtStatus split_step(SplitPlanes *p, double t, double h);
void split_copy(SplitPlanes *to, const SplitPlanes *from);
/* |a - b|, and a += f (a - b) */
double split_distance(const SplitPlanes *a, const SplitPlanes *b);

/* Is every term of the operator (merged, on two-level variables) diagonal or one X?  Then
 * *level (states doubles; NULL when nothing is diagonal) and *field (bits doubles; NULL when
 * there is no X), from rt_alloc.                                                 */
RtStatus split_operator(Rt *rt, Operator *a, bool *fits, double **level, double **field);

/* ---- private: the loops of each instruction set (split_body.h) ---- */
typedef struct {
  /* (re, im)[0 .. n) *= scale exp(-i phi e), n a multiple of 8; |phi e| up to SPLIT_SMALL,
   * up to SPLIT_NEAR, or any */
  void (*phase_small)(int64_t n, double phi, double scale, const double *e, double *re, double *im);
  void (*phase)(int64_t n, double phi, double scale, const double *e, double *re, double *im);
  void (*phase_far)(int64_t n, double phi, double scale, const double *e, double *re, double *im);
  /* qubits 0 .. k - 1 of a block of 2^k >= 8 */
  void (*low)(int k, const double *tangent, double *re, double *im);
  /* n entries (a multiple of 8) of four (two) rows that differ in two qubits (one) */
  void (*four)(int64_t n, double t0, double t1, double *const re[4], double *const im[4]);
  void (*two)(int64_t n, double t, double *const re[2], double *const im[2]);
} SplitTable;
#define SPLIT_SMALL 0.785
#define SPLIT_NEAR 1e5
extern const SplitTable split_base, split_v3, split_v4;
const SplitTable *split_table(void);
#endif
