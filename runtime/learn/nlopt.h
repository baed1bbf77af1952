/* nlopt.h: minimisers without derivatives, by NLopt, which is opened when first asked for. */
#ifndef QA_LEARN_NLOPT_H
#define QA_LEARN_NLOPT_H
#include "runtime/base/base.h"

/* f(x): *value of x (n), or a failure that ends the search. */
typedef RtStatus (*Objective)(void *user, const double *x, double *value);

typedef struct {
  double step;               /* the first simplex's size, > 0                           */
  double tol;                /* ends when the trust region is this small, >= 0          */
  int64_t evaluations;       /* ... or after so many values of f, never more; >= 1      */
  const double *lo, *hi;     /* (n) bounds, NULL: none                                   */
} CobylaOptions;

/* Powell's COBYLA (1994): linear models of f on a simplex of n + 1 points. x (n) is the start and
 * becomes the best point seen, *best its value, *used the number of evaluations. A value that is
 * not finite counts as worse than all before. RT_BACKEND: the library is not there.            */
RtStatus cobyla(Rt *rt, int64_t n, double *x, const CobylaOptions *o, Objective f, void *user,
                double *best, int64_t *used);
#endif
