/* select.c: the problems of hard attention: coefficients, energies, solvers. */
#include "runtime/select/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void select_rule_init(SelectRule *r) {
  *r = (SelectRule){.k = -1, .penalty = NAN, .reads = 1, .sweeps = 100, .hot = NAN, .cold = NAN,
                    .temperature = NAN, .grad = SELECT_STRAIGHT, .tau = NAN, .mu = 1};
}

/* ---- coefficients ---------------------------------------------------------------- */

void select_problem_free(Rt *rt, SelectProblem *p) {
  const size_t rows = (size_t)p->rows, n = (size_t)p->n;
  if (p->score) rt_free(rt, p->score, (rows * n + 1) * sizeof(double));
  if (p->pair) rt_free(rt, p->pair, (rows * n * n + 1) * sizeof(double));
  if (p->penalty) rt_free(rt, p->penalty, (rows + 1) * sizeof(double));
  *p = (SelectProblem){0};
}

static RtStatus refuse(Rt *rt, const Tensor *s, const Tensor *rho, const SelectRule *r) {
  char a[128], b[128];
  if (!dtype_float(s->dtype) || s->rank < 1 || (rho && !dtype_float(rho->dtype)))
    return rt_fail(rt, RT_ERROR, "scores are floats (.., n) and redundancies floats (.., n, n), "
                   "found %s of shape %s", dtype_name[s->dtype], tensor_shape_text(s, a));
  const int64_t n = s->shape[s->rank - 1];
  bool fits = !rho || (rho->rank == s->rank + 1 && rho->shape[s->rank] == n);
  for (int d = 0; rho && fits && d < s->rank; d++) fits = rho->shape[d] == s->shape[d];
  if (!fits)
    return rt_fail(rt, RT_ERROR, "scores of shape %s need redundancies of the same shape and one "
                   "more axis of %lld tokens, found %s", tensor_shape_text(s, a), (long long)n,
                   tensor_shape_text(rho, b));
  if (n < 1 || n > SELECT_N_MAX)
    return rt_fail(rt, RT_ERROR, "a selection is of 1 to %d tokens, found %lld", SELECT_N_MAX,
                   (long long)n);
  if (r->k > n) {
    rt_fail(rt, RT_ERROR, "cannot select %lld of %lld tokens", (long long)r->k, (long long)n);
    rt_help(rt, "k is at most the number of tokens");
    return rt->error.status;
  }
  if (r->solver == SELECT_EXACT && n > SELECT_EXACT_MAX) {
    rt_fail(rt, RT_ERROR, "the exact selection goes up to %d tokens, found %lld", SELECT_EXACT_MAX,
            (long long)n);
    rt_help(rt, "solver = \"swap\" and \"anneal\" have no such limit");
    return rt->error.status;
  }
  if (r->k < 0 && (r->solver == SELECT_SWAP || r->solver == SELECT_TOP))
    return rt_fail(rt, RT_ERROR, "this solver needs `k`, the number of tokens to select");
  return RT_OK;
}

/* NAN when one is. */
static double widest(const double *x, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n && !isnan(most); i++)
    if (!(fabs(x[i]) <= most)) most = fabs(x[i]);
  return most;
}

static RtStatus read_pairs(Rt *rt, Tensor *rho, double lambda, int64_t rows, int64_t n,
                           double *out) {
  Tensor *wide = tensor_astype(rt, rho, DT_F64), *all = wide ? tensor_contiguous(rt, wide) : NULL;
  tensor_unref(rt, wide);
  if (!all) return rt->error.status;
  const double *x = (const double *)(const void *)all->data;
  for (int64_t r = 0; r < rows; r++, out += n * n, x += n * n)
    for (int64_t i = 0; i < n; i++) {
      out[i * n + i] = 0;
      for (int64_t j = 0; j < i; j++)
        out[i * n + j] = out[j * n + i] = lambda * 0.5 * (x[i * n + j] + x[j * n + i]);
    }
  tensor_unref(rt, all);
  return RT_OK;
}

static RtStatus scale(Rt *rt, SelectProblem *p, const SelectRule *r) {
  for (int64_t b = 0; b < p->rows; b++) {
    const double s = widest(p->score + b * p->n, p->n);
    const double w = p->pair ? widest(p->pair + b * p->n * p->n, p->n * p->n) : 0;
    if (!isfinite(s) || !isfinite(w))
      return rt_fail(rt, RT_ERROR, "%s of row %lld are not finite",
                     isfinite(s) ? "the redundancies" : "the scores", (long long)b);
    const double most = s + (double)(r->k > 1 ? r->k - 1 : 0) * w;
    if (r->k < 0) p->penalty[b] = 0;
    else if (!isnan(r->penalty)) p->penalty[b] = r->penalty;
    else p->penalty[b] = most > 0 ? 1.25 * most : 1;
  }
  return RT_OK;
}

RtStatus select_problem(Rt *rt, Tensor *s, Tensor *rho, const SelectRule *r, SelectProblem *p) {
  *p = (SelectProblem){0};
  RT_TRY(refuse(rt, s, rho, r));
  *p = (SelectProblem){.n = s->shape[s->rank - 1], .k = r->k};
  p->rows = s->size / p->n;
  const size_t rows = (size_t)p->rows, n = (size_t)p->n;
  const bool pairs = rho && r->lambda != 0;
  p->score = rt_alloc(rt, (rows * n + 1) * sizeof(double));
  p->penalty = rt_alloc(rt, (rows + 1) * sizeof(double));
  if (pairs) p->pair = rt_alloc(rt, (rows * n * n + 1) * sizeof(double));
  RtStatus st = p->score && p->penalty && (p->pair || !pairs) ? RT_OK : rt->error.status;
  if (!st) {
    for (int64_t i = 0; i < s->size; i++) p->score[i] = tensor_get_f64(s, i);
    if (pairs) st = read_pairs(rt, rho, r->lambda, p->rows, p->n, p->pair);
    if (!st) st = scale(rt, p, r);
  }
  if (st) select_problem_free(rt, p);
  return st;
}

double select_energy(const SelectProblem *p, int64_t row, const int8_t *m) {
  const int64_t n = p->n;
  const double *s = p->score + row * n, *w = p->pair ? p->pair + row * n * n : NULL;
  double e = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!m[i]) continue;
    e -= s[i];
    for (int64_t j = 0; w && j < i; j++) e += m[j] ? w[i * n + j] : 0;
    count++;
  }
  const double off = p->k < 0 ? 0 : (double)(count - p->k);
  return e + p->penalty[row] * off * off;
}

RtStatus select_batch(Rt *rt, const SelectProblem *p, Batch *b) {
  const int64_t n = p->n, m = n * (n - 1) / 2;
  int32_t *uv = rt_alloc(rt, (size_t)(2 * m + 1) * sizeof *uv);
  if (!uv) return rt->error.status;
  int64_t k = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++, k++) {
      uv[2 * k] = (int32_t)j;
      uv[2 * k + 1] = (int32_t)i;
    }
  RtStatus st = batch_make(rt, b, p->rows, n, m, uv);
  rt_free(rt, uv, (size_t)(2 * m + 1) * sizeof *uv);
  RT_TRY(st);
  for (int64_t r = 0; r < p->rows; r++) {
    const double *s = p->score + r * n, P = p->penalty[r], count = (double)(p->k < 0 ? 0 : p->k);
    double *h = b->h + r * n, *J = b->J + r * m, offset = P * count * count;
    for (int64_t i = 0; i < n; i++) {
      const double q = -s[i] + P * (1 - 2 * count);
      h[i] = q / 2;
      offset += q / 2;
    }
    k = 0;
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < i; j++, k++) {
        const double q = 2 * P + (p->pair ? p->pair[(r * n + i) * n + j] : 0);
        J[k] = q / 4;
        h[i] += q / 4;
        h[j] += q / 4;
        offset += q / 4;
      }
    b->offset[r] = offset;
  }
  return RT_OK;
}

/* ---- solvers ---------------------------------------------------------------------- */

static RtStatus by_batch(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *mask) {
  Batch b;
  BatchArgs a;
  BatchSamples out;
  RT_TRY(select_batch(rt, p, &b));
  batch_args_init(&a);
  a.method = r->solver == SELECT_EXACT ? BATCH_EXACT : BATCH_ANNEAL;
  a.rng = r->rng;
  a.threads = rt->threads;
  a.reads = r->solver == SELECT_EXACT ? 1 : r->reads;
  a.sweeps = r->sweeps;
  a.hot = r->hot;
  a.cold = r->cold;
  RtStatus st = batch_sample(rt, &b, &a, &out);
  for (int64_t row = 0; row < p->rows && !st; row++) {
    const double *e = out.energy + row * out.reads;
    int64_t best = 0;
    for (int64_t q = 1; q < out.reads; q++)
      if (e[q] < e[best]) best = q;
    const int8_t *spin = out.spin + (row * out.reads + best) * p->n;
    for (int64_t i = 0; i < p->n; i++) mask[row * p->n + i] = spin[i] > 0;
  }
  if (!st) batch_samples_free(rt, &out);
  batch_free(rt, &b);
  return st;
}

typedef struct { double score; int64_t at; } Ranked;

static int by_score(const void *a, const void *b) {
  const Ranked *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return (x->at > y->at) - (x->at < y->at);
}

static RtStatus by_rank(Rt *rt, const SelectProblem *p, int8_t *mask) {
  Ranked *all = rt_alloc(rt, (size_t)p->n * sizeof *all);
  if (!all) return rt->error.status;
  memset(mask, 0, (size_t)(p->rows * p->n));
  for (int64_t r = 0; r < p->rows; r++) {
    for (int64_t i = 0; i < p->n; i++) all[i] = (Ranked){p->score[r * p->n + i], i};
    qsort(all, (size_t)p->n, sizeof *all, by_score);
    for (int64_t i = 0; i < p->k; i++) mask[r * p->n + all[i].at] = 1;
  }
  rt_free(rt, all, (size_t)p->n * sizeof *all);
  return RT_OK;
}

RtStatus select_solve(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *mask) {
  switch (r->solver) {
  case SELECT_SWAP: return select_swap(rt, p, r, mask);
  case SELECT_TOP: return by_rank(rt, p, mask);
  default: return by_batch(rt, p, r, mask);
  }
}

/* ---- quality ----------------------------------------------------------------------- */

void select_quality(const SelectProblem *p, const int8_t *mask, double *energy, double *flip,
                    double *swap) {
  const int64_t n = p->n;
  for (int64_t r = 0; r < p->rows; r++, mask += n) {
    const double *s = p->score + r * n, *w = p->pair ? p->pair + r * n * n : NULL;
    energy[r] = select_energy(p, r, mask);
    flip[r] = swap[r] = INFINITY;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += mask[i];
    const double over = p->k < 0 ? 0 : 2 * (double)(count - p->k);
    for (int64_t i = 0; i < n; i++) {
      double cost = -s[i], at;
      for (int64_t j = 0; w && j < n; j++) cost += mask[j] ? w[i * n + j] : 0;
      at = mask[i] ? -cost + p->penalty[r] * (1 - over) : cost + p->penalty[r] * (1 + over);
      if (p->k < 0) at = mask[i] ? -cost : cost;
      if (at < flip[r]) flip[r] = at;
      for (int64_t j = 0; mask[i] && j < n; j++) {
        if (mask[j]) continue;
        double other = -s[j];
        for (int64_t l = 0; w && l < n; l++) other += mask[l] ? w[j * n + l] : 0;
        other -= w ? w[i * n + j] : 0;
        if (other - cost < swap[r]) swap[r] = other - cost;
      }
    }
  }
}
