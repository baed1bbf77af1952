/* select_mean.c: thermal averages of masks of k tokens, and their derivatives from the same reads.
 *
 * With p(m) proportional to exp(-E(m) / T) and any A(m), d<A>/dx = <dA/dx> - cov(A, dE/dx) / T.
 * Adjoints g of the mean mask and e of the mean energy make A = g.m + e E, so that with a_r its
 * values over the R reads less their mean
 *   ds_i = sum_r a_r m_ri / (T (R - 1)) - e <m_i>,
 *   drho_ij = -lambda / 2 (sum_r a_r m_ri m_rj / (T (R - 1)) - e <m_i m_j>),  i != j.
 */
#include <math.h>

#include "runtime/select/select.h"

static void rule_drop(Rt *rt, void *data) { rt_free(rt, data, sizeof(SelectRule)); }

/* a [reads] of one row, less its mean, over T (R - 1). */
static void weights(const SelectProblem *p, const SelectRule *r, int64_t row, const int8_t *m,
                    const Tensor *g, double e, double *a) {
  const int64_t n = p->n, reads = r->reads;
  double mean = 0;
  for (int64_t k = 0; k < reads; k++, m += n) {
    a[k] = e != 0 ? e * select_energy(p, row, m) : 0;
    for (int64_t i = 0; g && i < n; i++) a[k] += m[i] ? tensor_get_f64(g, row * n + i) : 0;
    mean += a[k] / (double)reads;
  }
  for (int64_t k = 0; k < reads; k++) a[k] = (a[k] - mean) / (r->temperature * (double)(reads - 1));
}

/* ds and drho (NULL: not wanted) of one row. */
static void row_back(const SelectRule *r, int64_t row, int64_t n, const int8_t *m, const double *a,
                     double e, Tensor *ds, Tensor *drho) {
  for (int64_t k = 0; k < r->reads; k++, m += n) {
    const double c = a[k] - e / (double)r->reads;
    for (int64_t i = 0; i < n; i++) {
      const int64_t at = row * n + i;
      if (!m[i]) continue;
      select_put(ds, at, tensor_get_f64(ds, at) + c);
      for (int64_t j = 0; drho && j < n; j++)
        if (m[j] && j != i)
          select_put(drho, at * n + j, tensor_get_f64(drho, at * n + j) - r->lambda * c / 2);
    }
  }
}

/* Inputs s and perhaps rho; outputs mask and energy; saved s, the reads, rho or s again. */
static RtStatus mean_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const SelectRule *r = tape_data(node);
  Tensor *s = tape_saved(node, 0), *read = tape_saved(node, 1), *rho = tape_saved(node, 2);
  const bool pairs = rho != s && tape_wants(node, 1);
  SelectProblem p;
  RT_TRY(select_problem(rt, s, rho == s ? NULL : rho, r, &p));
  Tensor *ds = tensor_zeros(rt, s->dtype, s->rank, s->shape);
  Tensor *drho = pairs ? tensor_zeros(rt, rho->dtype, rho->rank, rho->shape) : NULL;
  double *a = rt_alloc(rt, (size_t)r->reads * sizeof *a);
  Tensor *gm = g[0] ? tensor_contiguous(rt, g[0]) : NULL;
  RtStatus st = ds && (drho || !pairs) && a && (gm || !g[0]) ? RT_OK : rt->error.status;
  for (int64_t row = 0; row < p.rows && !st; row++) {
    const int8_t *m = (const int8_t *)read->data + row * r->reads * p.n;
    const double e = g[1] ? tensor_get_f64(g[1], row) : 0;
    weights(&p, r, row, m, gm, e, a);
    row_back(r, row, p.n, m, a, e, ds, drho);
  }
  if (!st && tape_wants(node, 0)) st = tape_add(rt, node, 0, tensor_ref(ds));
  if (!st && pairs) st = tape_add(rt, node, 1, tensor_ref(drho));
  if (a) rt_free(rt, a, (size_t)r->reads * sizeof *a);
  tensor_unref(rt, ds);
  tensor_unref(rt, drho);
  tensor_unref(rt, gm);
  select_problem_free(rt, &p);
  return st;
}

static const TapeRule mean_tape = {"hard_select", mean_backward, rule_drop, true};

static RtStatus record(Rt *rt, const SelectRule *r, Tensor *s, Tensor *rho, Tensor *read,
                       Tensor **out) {
  if (r->grad == SELECT_DETACH || !(rt_taped(rt, s) || (rho && rt_taped(rt, rho)))) return RT_OK;
  SelectRule *data = rt_alloc(rt, sizeof *data);
  if (!data) return rt->error.status;
  *data = *r;
  Tensor *in[2] = {s, rho}, *saved[3] = {s, read, rho ? rho : s};
  return tape_record(rt, &mean_tape, 2, out, rho ? 2 : 1, in, 3, saved, data);
}

RtStatus select_mean(Rt *rt, Tensor *s, Tensor *rho, const SelectRule *r, const SelectProblem *p,
                     Tensor **mask, Tensor **energy) {
  const int64_t n = p->n, R = r->reads, shape[3] = {p->rows, R, n};
  Tensor *read = tensor_new(rt, DT_BOOL, 3, shape), *out[2] = {NULL, NULL};
  RtStatus st = read ? select_thermal(rt, p, r, (int8_t *)read->data) : rt->error.status;
  if (!st) {
    out[0] = tensor_zeros(rt, s->dtype, s->rank, s->shape);
    out[1] = tensor_zeros(rt, s->dtype, s->rank - 1, s->shape);
    st = out[0] && out[1] ? RT_OK : rt->error.status;
  }
  for (int64_t row = 0; row < p->rows && !st; row++) {
    const int8_t *m = (const int8_t *)read->data + row * R * n;
    double e = 0;
    for (int64_t k = 0; k < R; k++) e += select_energy(p, row, m + k * n) / (double)R;
    for (int64_t i = 0; i < n; i++) {
      int64_t count = 0;
      for (int64_t k = 0; k < R; k++) count += m[k * n + i];
      select_put(out[0], row * n + i, (double)count / (double)R);
    }
    select_put(out[1], row, e);
  }
  if (!st) st = record(rt, r, s, rho, read, out);
  tensor_unref(rt, read);
  for (int i = 0; i < 2; i++)
    if (st) tensor_unref(rt, out[i]), out[i] = NULL;
  *mask = out[0];
  *energy = out[1];
  return st;
}
