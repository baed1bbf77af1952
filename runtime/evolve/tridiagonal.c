/* tridiagonal.c: eigenvalues and vectors of small symmetric tridiagonal matrices, by QL
 * with implicit shifts (Golub and Van Loan, Matrix Computations, section 8.3).     */
#include "runtime/evolve/evolve.h"

#include <float.h>
#include <math.h>

/* One sweep from m up to l. */
static void sweep(int n, int l, int m, double *d, double *e, double *z) {
  double g = (d[l + 1] - d[l]) / (2 * e[l]), r = hypot(g, 1);
  double s = 1, c = 1, p = 0;
  g = d[m] - d[l] + e[l] / (g + copysign(r, g));
  for (int i = m - 1; i >= l; i--) {
    double f = s * e[i], b = c * e[i];
    e[i + 1] = r = hypot(f, g);
    if (r == 0) {
      d[i + 1] -= p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    for (int k = 0; k < n; k++) {
      double u = z[k * n + i + 1], v = z[k * n + i];
      z[k * n + i + 1] = s * v + c * u;
      z[k * n + i] = c * v - s * u;
    }
  }
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

RtStatus tridiagonal(Rt *rt, int n, double *d, double *e, double *z) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) z[i * n + j] = i == j;
  e[n - 1] = 0;
  for (int l = 0; l < n; l++)
    for (int tries = 0;; tries++) {
      int m = l;
      while (m < n - 1 && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1]))) m++;
      if (m == l) break;
      if (tries == 60)
        return rt_fail(rt, RT_ERROR, "the eigenvalues of a tridiagonal matrix did not converge");
      sweep(n, l, m, d, e, z);
    }
  return RT_OK;
}
