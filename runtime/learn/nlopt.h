/* nlopt.h: minimisers of a function of numbers, by NLopt, which is opened when first asked for. */
#ifndef QA_LEARN_NLOPT_H
#define QA_LEARN_NLOPT_H
#include "runtime/base/base.h"

/* COBYLA (Powell 1994): linear models on a simplex of n + 1 points, no derivatives.
 * LBFGS (Nocedal 1980; Luksan's code): limited-memory quasi-Newton, needs the gradient.       */
typedef enum { MINIMISE_COBYLA, MINIMISE_LBFGS } MinimiseMethod;

/* f(x): *value of x (n) and, where it is not NULL, its gradient (n); a failure ends the search. */
typedef RtStatus (*Objective)(void *user, const double *x, double *value, double *gradient);

typedef struct {
  MinimiseMethod method;
  double step;               /* COBYLA: the first simplex's size, > 0                           */
  double tol;                /* >= 0; COBYLA ends when the trust region is this small, LBFGS when
                                an iteration changes f by less than this part of it             */
  int64_t evaluations;       /* ... or after so many values of f, never more; >= 1              */
  const double *lo, *hi;     /* (n) bounds, NULL: none                                          */
} MinimiseOptions;

/* x (n) is the start and becomes the best point seen, *best its value, *used the number of
 * evaluations. A value that is not finite counts as worse than all before. RT_BACKEND: the library
 * is not there.                                                                                */
RtStatus minimise(Rt *rt, int64_t n, double *x, const MinimiseOptions *o, Objective f, void *user,
                  double *best, int64_t *used);
#endif
