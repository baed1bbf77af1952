/* density.c: making density matrices and what is read off them. */
#include "runtime/open/density.h"
#include "runtime/tensor/linalg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIM_MAX ((int64_t)1 << 15)
enum { EIGEN_MAX = 4096, SITES_MAX = 64, VECTORS = 4 };

void density_init(Density *p) {
  *p = (Density){0};
  vars_init(&p->vars);
  state_init(&p->s);
}

void density_free(Rt *rt, Density *p) {
  vars_free(rt, &p->vars);
  state_free(rt, &p->s);
  density_init(p);
}

/* The arrays once more behind them, under names that no declaration can have. */
static RtStatus twice(Rt *rt, const VarTable *vars, VarTable *out) {
  RT_TRY(vars_copy(rt, out, vars));
  for (int i = 0; i < vars->n_array; i++) {
    const VarArray *a = &vars->array[i];
    char name[256];
    int64_t first;
    snprintf(name, sizeof name, "%s*", a->name);
    RtStatus st = vars_add(rt, out, name, a->kind, a->rank, a->shape, &first);
    if (st) {
      vars_free(rt, out);
      return st;
    }
    out->array[out->n_array - 1].cutoff = a->cutoff;
  }
  return RT_OK;
}

RtStatus density_new(Rt *rt, const VarTable *vars, Density *out) {
  VarTable both;
  density_init(out);
  RT_TRY(states_count(rt, vars, &out->dim));
  RtStatus st = RT_OK;
  if (out->dim > DIM_MAX) {
    st = rt_fail(rt, RT_ERROR, "a density matrix of %lld states would have %.3g entries",
                 (long long)out->dim, (double)out->dim * (double)out->dim);
  } else {
    st = states_fit(rt, "the density matrix", out->dim * out->dim, VECTORS, sizeof(c128));
  }
  if (st) {
    rt_help(rt,
            "evolve(H, psi, time, bath = .., trajectories = 1000) follows state vectors instead");
    return st;
  }
  st = vars_copy(rt, &out->vars, vars);
  if (!st && !(st = twice(rt, vars, &both))) {
    st = state_new(rt, &both, &out->s);
    vars_free(rt, &both);
  }
  if (st) density_free(rt, out);
  return st;
}

RtStatus density_copy(Rt *rt, const Density *p, Density *out) {
  RT_TRY(density_new(rt, &p->vars, out));
  memcpy(out->s.amp, p->s.amp, (size_t)p->s.size * sizeof(c128));
  return RT_OK;
}

static RtStatus not_finite(Rt *rt, const char *what) {
  rt_fail(rt, RT_ERROR, "the density matrix of a %s with entries that are not finite", what);
  rt_help(rt, "nan or inf came about before: look where the entries were computed");
  return RT_ERROR;
}

RtStatus density_pure(Rt *rt, const State *psi, Density *out) {
  double d = state_norm2(psi);
  if (!isfinite(d)) return not_finite(rt, "state");
  if (!(d > 0)) return rt_fail(rt, RT_ERROR, "the state is zero");
  RT_TRY(density_new(rt, &psi->vars, out));
  c128 *x = out->s.amp;
  for (int64_t c = 0; c < out->dim; c++) {
    c128 b = state_at(psi, c);
    for (int64_t r = 0; r < out->dim; r++) {
      c128 a = state_at(psi, r);
      *x++ = (c128){(a.re * b.re + a.im * b.im) / d, (a.im * b.re - a.re * b.im) / d};
    }
  }
  return RT_OK;
}

RtStatus density_of(Rt *rt, const VarTable *vars, Tensor *m, Density *out) {
  double most = 0, off = 0;
  for (int64_t i = 0; i < m->size; i++) {
    c128 a = tensor_get_c128(m, i);
    if (!isfinite(a.re) || !isfinite(a.im)) return not_finite(rt, "matrix");
  }
  RT_TRY(density_new(rt, vars, out));
  int64_t n = out->dim;
  for (int64_t r = 0; r < n; r++)
    for (int64_t c = 0; c < n; c++) {
      c128 a = tensor_get_c128(m, r * n + c), b = tensor_get_c128(m, c * n + r);
      out->s.amp[r + n * c] = a;
      most = fmax(most, hypot(a.re, a.im));
      off = fmax(off, hypot(a.re - b.re, a.im + b.im));
    }
  if (off <= 1e-10 * most && isfinite(most)) return RT_OK;
  density_free(rt, out);
  return rt_fail(rt, RT_ERROR,
                 "a density matrix is Hermitian; this one differs from its adjoint by "
                 "%.3g",
                 off);
}

/* ---- numbers ------------------------------------------------------------------------------ */

double density_trace(const Density *p) {
  double sum = 0;
  for (int64_t i = 0; i < p->dim; i++) sum += density_at(p, i, i).re;
  return sum;
}

double density_purity(const Density *p) {
  double t = density_trace(p);
  return state_norm2(&p->s) / (t * t);
}

RtStatus density_mean(Rt *rt, const Density *p, Operator *a, c128 *out) {
  Operator wide;
  Applied *map;
  State y;
  double t = density_trace(p);
  *out = (c128){0, 0};
  if (!(t > 0)) return rt_fail(rt, RT_ERROR, "the density matrix has trace %g", t);
  RT_TRY(state_operator(rt, a, &p->s, &wide));
  RtStatus st = applied_make(rt, &wide, true, &map);
  operator_free(rt, &wide);
  if (st) return st;
  st = state_new(rt, &p->s.vars, &y);
  if (!st) {
    st = applied_to(rt, map, (const double *)(const void *)p->s.amp, state_doubles(&y));
    for (int64_t i = 0; i < p->dim && !st; i++) {
      out->re += y.amp[i + p->dim * i].re / t;
      out->im += y.amp[i + p->dim * i].im / t;
    }
    state_free(rt, &y);
  }
  applied_free(rt, map);
  return st;
}

Tensor *density_matrix(Rt *rt, const Density *p) {
  int64_t shape[2] = {p->dim, p->dim};
  Tensor *t = tensor_new(rt, DT_C128, 2, shape);
  for (int64_t r = 0; t && r < p->dim; r++)
    for (int64_t c = 0; c < p->dim; c++)
      ((c128 *)(void *)t->data)[r * p->dim + c] = density_at(p, r, c);
  return t;
}

double density_overlap(const Density *p, const State *psi) {
  double sum = 0;
  for (int64_t c = 0; c < p->dim; c++) {
    c128 b = state_at(psi, c);
    for (int64_t r = 0; r < p->dim; r++) {
      c128 a = state_at(psi, r), m = density_at(p, r, c);
      double re = m.re * b.re - m.im * b.im, im = m.re * b.im + m.im * b.re;
      sum += a.re * re + a.im * im;
    }
  }
  return sum / (density_trace(p) * state_norm2(psi));
}

/* ---- parts ---------------------------------------------------------------------------------- */

static int levels_of(const VarTable *t, int64_t v) {
  const VarArray *a = vars_of(t, v);
  return a->kind == VAR_MODE ? a->cutoff : 2;
}

/* of[i] = the number of basis state i's digits at the sites; *d: how many there are. */
static void digits(const VarTable *t, int64_t dim, int k, const int64_t *site, int64_t *of,
                   int64_t *d) {
  int64_t stride[SITES_MAX], at = 1, n = 1;
  for (int64_t v = 0; v < t->n; v++) {
    stride[v] = at;
    at *= levels_of(t, v);
  }
  memset(of, 0, (size_t)dim * sizeof *of);
  for (int j = 0; j < k; j++) {
    int64_t levels = levels_of(t, site[j]);
    for (int64_t i = 0; i < dim; i++) of[i] += n * (i / stride[site[j]] % levels);
    n *= levels;
  }
  *d = n;
}

static RtStatus check_sites(Rt *rt, const Density *p, int k, const int64_t *site, bool *in) {
  for (int64_t v = 0; v < p->vars.n; v++) in[v] = false;
  for (int i = 0; i < k; i++) {
    if (site[i] < 0 || site[i] >= p->vars.n)
      return rt_fail(rt, RT_ERROR, "there is no site %lld: the density matrix has %lld",
                     (long long)site[i], (long long)p->vars.n);
    if (in[site[i]]) return rt_fail(rt, RT_ERROR, "site %lld is given twice", (long long)site[i]);
    in[site[i]] = true;
  }
  return RT_OK;
}

static Tensor *traced(Rt *rt, const Density *p, const int64_t *kept, const int64_t *rest,
                      int64_t d) {
  int64_t shape[2] = {d, d};
  double t = density_trace(p);
  Tensor *out = tensor_zeros(rt, DT_C128, 2, shape);
  c128 *m = out ? (c128 *)(void *)out->data : NULL;
  for (int64_t c = 0; out && c < p->dim; c++)
    for (int64_t r = 0; r < p->dim; r++) {
      if (rest[r] != rest[c]) continue;
      c128 a = density_at(p, r, c), *to = &m[kept[r] * d + kept[c]];
      *to = (c128){to->re + a.re / t, to->im + a.im / t};
    }
  return out;
}

Tensor *density_reduced(Rt *rt, const Density *p, int k, const int64_t *site) {
  bool in[SITES_MAX];
  int64_t others[SITES_MAX], d, e;
  int n = 0;
  if (check_sites(rt, p, k, site, in)) return NULL;
  for (int64_t v = 0; v < p->vars.n; v++)
    if (!in[v]) others[n++] = v;
  size_t bytes = (size_t)p->dim * sizeof(int64_t);
  int64_t *kept = rt_alloc(rt, bytes), *rest = kept ? rt_alloc(rt, bytes) : NULL;
  Tensor *t = NULL;
  if (rest) {
    digits(&p->vars, p->dim, k, site, kept, &d);
    digits(&p->vars, p->dim, n, others, rest, &e);
    t = traced(rt, p, kept, rest, d);
  }
  if (kept) rt_free(rt, kept, bytes);
  if (rest) rt_free(rt, rest, bytes);
  return t;
}

/* ---- eigenvalues ----------------------------------------------------------------------------- */

static RtStatus check_eigen(Rt *rt, int64_t d) {
  if (d <= EIGEN_MAX) return RT_OK;
  return rt_fail(rt, RT_ERROR, "eigenvalues of a density matrix of %lld states; at most %d",
                 (long long)d, EIGEN_MAX);
}

static double entropy_of(const Tensor *w, double order) {
  double sum = 0, most = 0, s = 0;
  for (int64_t i = 0; i < w->size; i++) sum += fmax(tensor_get_f64(w, i), 0);
  for (int64_t i = 0; i < w->size; i++) {
    double p = fmax(tensor_get_f64(w, i), 0) / sum;
    most = fmax(most, p);
    if (!(p > 0)) continue;
    if (order == 1) s -= p * log(p);
    else if (order == 0) s += p > 1e-13;
    else s += pow(p, order);
  }
  if (isinf(order)) return -log(most);
  return fmax(order == 1 ? s : log(s) / (1 - order), 0);
}

RtStatus density_entropy(Rt *rt, const Density *p, int k, const int64_t *site, double order,
                         double *out) {
  Tensor *w = NULL, *v = NULL;
  int64_t d = 1;
  for (int i = 0; i < k; i++)
    if (site[i] >= 0 && site[i] < p->vars.n) d *= levels_of(&p->vars, site[i]);
  RT_TRY(check_eigen(rt, k ? d : p->dim));
  Tensor *m = k ? density_reduced(rt, p, k, site) : density_matrix(rt, p);
  if (!m) return rt->error.status;
  RtStatus st = linalg_eigh(rt, m, &w, &v);
  tensor_unref(rt, m);
  if (st) return st;
  *out = entropy_of(w, order);
  tensor_unref(rt, w);
  tensor_unref(rt, v);
  return RT_OK;
}

RtStatus density_size(Rt *rt, const Density *p, double *out) {
  Tensor *w = NULL, *v = NULL;
  RT_TRY(check_eigen(rt, p->dim));
  Tensor *m = density_matrix(rt, p);
  if (!m) return rt->error.status;
  RtStatus st = linalg_eigh(rt, m, &w, &v);
  tensor_unref(rt, m);
  *out = 0;
  for (int64_t i = 0; !st && i < w->size; i++) *out += fabs(tensor_get_f64(w, i));
  if (w) tensor_unref(rt, w);
  if (v) tensor_unref(rt, v);
  return st;
}

/* v sqrt(w), column by column, for w >= 0 in the place of small negative ones. */
static RtStatus root(Rt *rt, const Density *p, Tensor **out) {
  Tensor *w, *v, *m = density_matrix(rt, p);
  if (!m) return rt->error.status;
  RtStatus st = linalg_eigh(rt, m, &w, &v);
  tensor_unref(rt, m);
  if (st) return st;
  int64_t n = p->dim;
  double t = density_trace(p);
  c128 *x = (c128 *)(void *)v->data;
  for (int64_t k = 0; k < n; k++) {
    double r = sqrt(fmax(tensor_get_f64(w, k), 0) / t);
    for (int64_t i = 0; i < n; i++) x[i * n + k] = (c128){r * x[i * n + k].re, r * x[i * n + k].im};
  }
  tensor_unref(rt, w);
  *out = v;
  return RT_OK;
}

/* a' b of square matrices */
static Tensor *adjoint_times(Rt *rt, const Tensor *a, const Tensor *b, int64_t n) {
  int64_t shape[2] = {n, n};
  Tensor *t = tensor_zeros(rt, DT_C128, 2, shape);
  const c128 *x = (const c128 *)(const void *)a->data, *y = (const c128 *)(const void *)b->data;
  c128 *z = t ? (c128 *)(void *)t->data : NULL;
  for (int64_t k = 0; t && k < n; k++)
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        c128 u = x[k * n + i], w = y[k * n + j], *to = &z[i * n + j];
        *to = (c128){to->re + u.re * w.re + u.im * w.im, to->im + u.re * w.im - u.im * w.re};
      }
  return t;
}

/* The sum of the singular values of root(p)' root(q), squared. */
RtStatus density_fidelity(Rt *rt, const Density *p, const Density *q, double *out) {
  Tensor *a = NULL, *b = NULL, *m = NULL, *u = NULL, *s = NULL, *v = NULL;
  RT_TRY(check_eigen(rt, p->dim));
  RtStatus st = root(rt, p, &a);
  if (!st) st = root(rt, q, &b);
  if (!st && !(m = adjoint_times(rt, a, b, p->dim))) st = rt->error.status;
  if (!st) st = linalg_svd(rt, m, &u, &s, &v);
  double sum = 0;
  for (int64_t i = 0; !st && i < s->size; i++) sum += tensor_get_f64(s, i);
  *out = sum * sum;
  Tensor *all[6] = {a, b, m, u, s, v};
  for (int i = 0; i < 6; i++)
    if (all[i]) tensor_unref(rt, all[i]);
  return st;
}
