/* select_grad.c: the selection as an operation on tensors, and what its derivatives are. */
#include <math.h>
#include <string.h>

#include "runtime/select/select.h"

static void rule_drop(Rt *rt, void *data) { rt_free(rt, data, sizeof(SelectRule)); }

void select_put(Tensor *t, int64_t i, double x) {
  if (t->dtype == DT_F32) ((float *)t->data)[i] = (float)x;
  else ((double *)t->data)[i] = x;
}

/* ds += what the adjoint of the mask brings, element by element. */
static RtStatus through_mask(Rt *rt, const SelectRule *r, const Tensor *s, const Tensor *mask,
                             const Tensor *other, Tensor *g, Tensor *ds) {
  Tensor *c = tensor_contiguous(rt, g);
  if (!c) return rt->error.status;
  for (int64_t i = 0; i < s->size; i++) {
    double d = tensor_get_f64(c, i);
    if (r->grad == SELECT_BLACKBOX) {
      d = (tensor_get_f64(mask, i) - tensor_get_f64(other, i)) / r->mu;
    } else if (!isnan(r->tau)) {
      const double p = 1 / (1 + exp(-tensor_get_f64(s, i) / r->tau));
      d *= p * (1 - p) / r->tau;
    }
    select_put(ds, i, tensor_get_f64(ds, i) + d);
  }
  tensor_unref(rt, c);
  return RT_OK;
}

/* drho += weight m_i m_j off the diagonal; weight[row] or one for all rows. */
static void through_pairs(const Tensor *mask, double scale, const Tensor *weight, Tensor *drho) {
  const int64_t n = mask->shape[mask->rank - 1], rows = mask->size / n;
  for (int64_t r = 0; r < rows; r++) {
    const double c = scale * (weight ? tensor_get_f64(weight, r) : 1);
    for (int64_t i = 0; i < n; i++) {
      if (tensor_get_f64(mask, r * n + i) == 0) continue;
      for (int64_t j = 0; j < n; j++) {
        const int64_t at = (r * n + i) * n + j;
        if (i == j || tensor_get_f64(mask, r * n + j) == 0) continue;
        select_put(drho, at, tensor_get_f64(drho, at) + c);
      }
    }
  }
}

/* m(s - mu g), from the same stream. */
static Tensor *shifted(Rt *rt, const SelectRule *r, Tensor *s, Tensor *rho, const Tensor *g) {
  Tensor *at = tensor_new(rt, DT_F64, s->rank, s->shape), *mask = NULL, *energy = NULL;
  SelectRule rule = *r;
  rule.grad = SELECT_DETACH;
  if (!at) return NULL;
  for (int64_t i = 0; i < s->size; i++)
    select_put(at, i, tensor_get_f64(s, i) - r->mu * tensor_get_f64(g, i));
  if (!select_tokens(rt, at, rho, &rule, NULL, &mask, &energy)) tensor_unref(rt, energy);
  else mask = NULL;
  tensor_unref(rt, at);
  return mask;
}

/* Inputs s and perhaps rho; outputs the energy, or the mask and the energy. */
static RtStatus select_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const SelectRule *r = tape_data(node);
  Tensor *s = tape_saved(node, 0), *mask = tape_saved(node, 1), *rho = tape_saved(node, 2);
  Tensor *gm = r->grad == SELECT_ENERGY ? NULL : g[0], *other = NULL;
  Tensor *ge = r->grad == SELECT_ENERGY ? g[0] : g[1];
  const int64_t n = s->shape[s->rank - 1];
  const bool pairs = rho != s && tape_wants(node, 1);
  Tensor *ds = tensor_zeros(rt, s->dtype, s->rank, s->shape);
  Tensor *drho = pairs ? tensor_zeros(rt, rho->dtype, rho->rank, rho->shape) : NULL;
  RtStatus st = ds && (drho || !pairs) ? RT_OK : rt->error.status;
  if (!st && gm && r->grad == SELECT_BLACKBOX) {
    other = shifted(rt, r, s, rho == s ? NULL : rho, gm);
    if (!other) st = rt->error.status;
  }
  if (!st && gm && r->grad == SELECT_FIELD)
    st = select_through_field(rt, r, s, rho == s ? NULL : rho, mask, gm, ds, drho);
  else if (!st && gm) st = through_mask(rt, r, s, mask, other, gm, ds);
  if (!st && ge)
    for (int64_t i = 0; i < s->size; i++)
      select_put(ds, i,
                 tensor_get_f64(ds, i) - tensor_get_f64(ge, i / n) * tensor_get_f64(mask, i));
  if (!st && pairs && ge) through_pairs(mask, r->lambda / 2, ge, drho);
  if (!st && pairs && other) {
    through_pairs(mask, -r->lambda / (2 * r->mu), NULL, drho);
    through_pairs(other, r->lambda / (2 * r->mu), NULL, drho);
  }
  if (!st && tape_wants(node, 0)) st = tape_add(rt, node, 0, tensor_ref(ds));
  if (!st && pairs) st = tape_add(rt, node, 1, tensor_ref(drho));
  tensor_unref(rt, ds);
  tensor_unref(rt, drho);
  tensor_unref(rt, other);
  return st;
}

static const TapeRule select_tape = {"hard_select", select_backward, rule_drop, true};

static RtStatus record(Rt *rt, const SelectRule *r, Tensor *s, Tensor *rho, Tensor *mask,
                       Tensor *energy) {
  if (r->grad == SELECT_DETACH || !(rt_taped(rt, s) || (rho && rt_taped(rt, rho)))) return RT_OK;
  SelectRule *data = rt_alloc(rt, sizeof *data);
  if (!data) return rt->error.status;
  *data = *r;
  const bool whole = r->grad != SELECT_ENERGY;
  Tensor *outs[2] = {whole ? mask : energy, energy}, *in[2] = {s, rho};
  Tensor *saved[3] = {s, mask, rho ? rho : s};      /* s again: no redundancies       */
  return tape_record(rt, &select_tape, whole ? 2 : 1, outs, rho ? 2 : 1, in, 3, saved, data);
}

RtStatus select_tokens(Rt *rt, Tensor *s, Tensor *rho, const SelectRule *r, const int8_t *given,
                       Tensor **mask, Tensor **energy) {
  SelectProblem p;
  *mask = *energy = NULL;
  RT_TRY(select_problem(rt, s, rho, r, &p));
  if (!isnan(r->temperature)) {
    RtStatus done = select_mean(rt, s, rho, r, &p, mask, energy);
    select_problem_free(rt, &p);
    return done;
  }
  const size_t bytes = (size_t)(p.rows * p.n) + 1;
  int8_t *m = rt_alloc(rt, bytes);
  RtStatus st = m ? RT_OK : rt->error.status;
  if (!st && given) memcpy(m, given, bytes - 1);
  else if (!st) st = select_solve(rt, &p, r, m);
  if (!st) {
    *mask = tensor_new(rt, s->dtype, s->rank, s->shape);
    *energy = tensor_new(rt, s->dtype, s->rank - 1, s->shape);
    st = *mask && *energy ? RT_OK : rt->error.status;
  }
  if (!st) {
    for (int64_t i = 0; i < p.rows * p.n; i++) select_put(*mask, i, m[i]);
    for (int64_t row = 0; row < p.rows; row++)
      select_put(*energy, row, select_energy(&p, row, m + row * p.n));
    st = record(rt, r, s, rho, *mask, *energy);
  }
  if (st) {
    tensor_unref(rt, *mask);
    tensor_unref(rt, *energy);
    *mask = *energy = NULL;
  }
  if (m) rt_free(rt, m, bytes);
  select_problem_free(rt, &p);
  return st;
}
