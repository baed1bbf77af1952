/* select_field.c: straight-through by fields: what changes a mask with redundancies is not the
 * score of a token but its field f_i = s_i - lambda sum_j rho_ij m_j, beside those of the others. */
#include <math.h>

#include "runtime/select/select.h"

/* f [n] of one row, and theta between the selected and the other tokens. */
static double fields(const SelectProblem *p, int64_t row, const Tensor *mask, double *f) {
  const int64_t n = p->n;
  const double *s = p->score + row * n, *w = p->pair ? p->pair + row * n * n : NULL;
  double in = INFINITY, out = -INFINITY;
  for (int64_t i = 0; i < n; i++) f[i] = s[i];
  for (int64_t j = 0; w && j < n; j++) {
    if (tensor_get_f64(mask, row * n + j) == 0) continue;
    for (int64_t i = 0; i < n; i++) f[i] -= w[j * n + i];
  }
  if (p->k < 0) return 0;
  for (int64_t i = 0; i < n; i++) {
    if (tensor_get_f64(mask, row * n + i) != 0) in = fmin(in, f[i]);
    else out = fmax(out, f[i]);
  }
  return isinf(in) ? out : isinf(out) ? in : (in + out) / 2;
}

/* drho of one row from d [n], what reaches the fields. */
static void to_pairs(const SelectRule *r, const Tensor *mask, int64_t row, int64_t n,
                     const double *d, Tensor *drho) {
  for (int64_t j = 0; j < n; j++) {
    if (tensor_get_f64(mask, row * n + j) == 0) continue;
    for (int64_t i = 0; i < n; i++) {
      const int64_t a = (row * n + i) * n + j, b = (row * n + j) * n + i;
      if (i == j || d[i] == 0) continue;
      select_put(drho, a, tensor_get_f64(drho, a) - r->lambda * d[i] / 2);
      select_put(drho, b, tensor_get_f64(drho, b) - r->lambda * d[i] / 2);
    }
  }
}

RtStatus select_through_field(Rt *rt, const SelectRule *r, Tensor *s, Tensor *rho,
                              const Tensor *mask, const Tensor *g, Tensor *ds, Tensor *drho) {
  SelectProblem p;
  RT_TRY(select_problem(rt, s, rho, r, &p));
  const int64_t n = p.n;
  double *f = rt_alloc(rt, (size_t)n * sizeof *f);
  RtStatus st = f ? RT_OK : rt->error.status;
  for (int64_t row = 0; row < p.rows && !st; row++) {
    const double theta = fields(&p, row, mask, f);
    for (int64_t i = 0; i < n; i++) {
      double slope = 1;
      if (!isnan(r->tau)) {
        const double q = 1 / (1 + exp(-(f[i] - theta) / r->tau));
        slope = q * (1 - q) / r->tau;
      }
      f[i] = slope * tensor_get_f64(g, row * n + i);
      select_put(ds, row * n + i, tensor_get_f64(ds, row * n + i) + f[i]);
    }
    if (drho) to_pairs(r, mask, row, n, f, drho);
  }
  if (f) rt_free(rt, f, (size_t)n * sizeof *f);
  select_problem_free(rt, &p);
  return st;
}
