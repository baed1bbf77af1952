/* solve_tape.c: solutions, their means and energies as tensors with derivatives.
 *
 * With P the product of an element's variables, c its coefficient and g the adjoint of the
 * solution, the adjoint of c is
 *   energies          e P                              at the solution (Danskin)
 *   straight_through  -sum_i g_i dP/db_i               each variable follows its local field
 *                                                      f_i = -dE/db_i: d b_i = d f_i
 *   straight_through(tau)                              d b_i = sigmoid'((f_i - t) / tau) / tau d f_i,
 *                                                      t half way between the fields of ones and
 *                                                      zeros where a cardinality holds, else 0
 *   blackbox(mu)      (P(b') - P(b)) / mu              b' solves E + mu g.b (Vlastelica et al. 2020)
 *   thermal           -beta cov(g.b, P)                over the reads, draws of exp(-beta E)
 * and the factors get theirs by the product rule.                                      */
#include "lang/bind/solve.h"
#include "runtime/grad/grad.h"

#include <math.h>
#include <string.h>

void solve_drop(Rt *rt, AttnSolve *s) {
  for (int k = 0; k < s->n_part; k++)
    for (int f = 0; f < s->part[k].n_factor; f++) attn_spec_unref(rt, s->part[k].factor[f].spec);
  for (int c = 0; c < s->n_constraint; c++) {
    const SolveConstraint *x = &s->constraint[c];
    for (int k = 0; k < x->n_guard + x->n_part; k++)
      for (int f = 0; f < x->part[k].n_factor; f++)
        attn_spec_unref(rt, x->part[k].factor[f].spec);
    for (int f = 0; x->penalty && f < x->penalty->n_factor; f++)
      attn_spec_unref(rt, x->penalty->factor[f].spec);
  }
}

/* ---- adjoints of coefficients --------------------------------------------------------------- */

typedef enum { OF_ENERGY, OF_BEST, OF_MEAN } Result;
typedef struct { SolveRun *run; Result of; } Saved;

typedef struct {
  const SolveRun *r;
  const Saved *how;
  const double *g;          /* by variable [problems, n], or by problem              */
  const int8_t *moved;      /* black box: [problems, n]                              */
  double *weight;           /* [reads] thermal                                       */
  double *scaled;           /* straight_through(tau): g of this problem, [reads or 1, n] */
} Pass;

static double product(const SolveElement *e, const int8_t *x) {
  return (e->u < 0 || x[e->u]) && (e->v < 0 || x[e->v]) ? 1 : 0;
}

/* sum_i g_i dP/db_i */
static double slope(const SolveElement *e, const int8_t *x, const double *g) {
  if (e->u < 0) return 0;
  return e->v < 0 ? g[e->u] : g[e->u] * x[e->v] + g[e->v] * x[e->u];
}

static double *field_of(const SolveRun *r, int64_t k, const int8_t *x, double *f) {
  int64_t base[SOLVE_FACTORS];
  memset(f, 0, (size_t)r->n * sizeof *f);
  for (int s = 0; s < r->n_sum; s++) {
    solve_bases(r, &r->sum[s], k, base);
    for (int64_t i = 0; i < r->sum[s].n; i++) {
      const SolveElement *e = &r->sum[s].element[i];
      if (e->u < 0) continue;
      const double c = solve_coefficient(r, &r->sum[s], e, base);
      if (e->v < 0) f[e->u] -= c;
      else {
        if (x[e->v]) f[e->u] -= c;
        if (x[e->u]) f[e->v] -= c;
      }
    }
  }
  return f;
}

/* g times the slope of sigmoid((f - t) / tau). */
static void scale(const SolveRun *r, int64_t k, const int8_t *x, const double *g, double *out) {
  const double *f = field_of(r, k, x, out);
  double on = INFINITY, off = -INFINITY, t = 0;
  int64_t count;
  if (solve_cardinality(r, &count)) {
    for (int64_t i = 0; i < r->n; i++) {
      if (x[i]) on = fmin(on, f[i]);
      else off = fmax(off, f[i]);
    }
    if (isfinite(on) && isfinite(off)) t = (on + off) / 2;
  }
  for (int64_t i = 0; i < r->n; i++) {
    const double e = exp(-fabs(f[i] - t) / r->tau);
    out[i] = g[i] * e / ((1 + e) * (1 + e)) / r->tau;
  }
}

static double by_reads(const Pass *p, int64_t k, const SolveElement *e, bool thermal) {
  const SolveRun *r = p->r;
  const int8_t *x = r->x + k * r->reads * r->n;
  double sum = 0;
  for (int64_t q = 0; q < r->reads; q++, x += r->n)
    sum += thermal ? p->weight[q] * product(e, x)
                   : slope(e, x, p->scaled ? p->scaled + q * r->n : p->g + k * r->n) /
                         (double)r->reads;
  return sum;
}

static double adjoint(const Pass *p, int64_t k, const SolveElement *e) {
  const SolveRun *r = p->r;
  const int8_t *x = r->best + k * r->n;
  if (p->how->of == OF_ENERGY) return p->g[k] * product(e, x);
  switch (r->z->grad) {
  case SOLVE_STRAIGHT:
    return p->how->of == OF_MEAN ? -by_reads(p, k, e, false)
                                 : -slope(e, x, p->scaled ? p->scaled : p->g + k * r->n);
  case SOLVE_BLACKBOX: return (product(e, p->moved + k * r->n) - product(e, x)) / r->mu;
  case SOLVE_THERMAL: return by_reads(p, k, e, true);
  default: return 0;
  }
}

/* -beta (g.b of each read, less the mean) / (R - 1). */
static void thermal_weights(Pass *p, int64_t k) {
  const SolveRun *r = p->r;
  const int8_t *x = r->x + k * r->reads * r->n;
  double mean = 0;
  for (int64_t q = 0; q < r->reads; q++, x += r->n) {
    p->weight[q] = 0;
    for (int64_t i = 0; i < r->n; i++) p->weight[q] += x[i] ? p->g[k * r->n + i] : 0;
    mean += p->weight[q] / (double)r->reads;
  }
  for (int64_t q = 0; q < r->reads; q++)
    p->weight[q] = -r->beta * (p->weight[q] - mean) / (double)(r->reads - 1);
}

static void spread(const Pass *p, const SolveSum *s, int64_t k, double **grad) {
  const SolveRun *r = p->r;
  const int n = s->part->n_factor;
  int64_t base[SOLVE_FACTORS];
  solve_bases(r, s, k, base);
  for (int64_t i = 0; i < s->n; i++) {
    const SolveElement *e = &s->element[i];
    const double a = adjoint(p, k, e);
    if (a == 0) continue;
    for (int f = 0; f < n; f++) {
      if (!grad[s->first + f]) continue;
      double d = a * s->sign;
      for (int o = 0; o < n; o++)
        if (o != f) d *= r->tensor[s->first + o].x[base[o] + e->off[o]];
      grad[s->first + f][base[f] + e->off[f]] += d;
    }
  }
}

static RtStatus all_problems(Rt *rt, Pass *p, double **grad) {
  const SolveRun *r = p->r;
  for (int64_t k = 0; k < r->B * r->problems; k++) {
    if (p->weight) thermal_weights(p, k);
    const bool mean = p->how->of == OF_MEAN;
    for (int64_t q = 0; p->scaled && q < (mean ? r->reads : 1); q++)
      scale(r, k, mean ? r->x + (k * r->reads + q) * r->n : r->best + k * r->n, p->g + k * r->n,
            p->scaled + q * r->n);
    for (int s = 0; s < r->n_sum; s++) spread(p, &r->sum[s], k, grad);
    if (k % 64 == 0) RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

/* ---- the rule ------------------------------------------------------------------------------------ */

/* The adjoint by problem, or by problem and variable, from that of the tensor. */
static double *gathered(Rt *rt, const SolveRun *r, Result of, Tensor *g) {
  const int64_t count = r->B * r->problems, n = of == OF_ENERGY ? 1 : r->n;
  Tensor *wide = tensor_astype(rt, g, DT_F64), *flat = wide ? tensor_contiguous(rt, wide) : NULL;
  double *out = flat ? rt_alloc(rt, (size_t)(count * n + 1) * sizeof *out) : NULL;
  const double *from = flat ? (const double *)(const void *)flat->data : NULL;
  for (int64_t k = 0; out && k < count; k++)
    for (int64_t i = 0; i < n; i++)
      out[k * n + i] = from[of == OF_ENERGY ? k : solve_place(r, k) + r->place[i]];
  tensor_unref(rt, flat);
  tensor_unref(rt, wide);
  return out;
}

static RtStatus add_grads(Rt *rt, TapeNode *node, const SolveRun *r, Tensor **grad) {
  for (int k = 0; k < r->n_tensor; k++) {
    if (!grad[k]) continue;
    Tensor *t = op_astype(rt, grad[k], r->tensor[k].t->dtype);
    RT_TRY(tape_add(rt, node, k, t));
  }
  return RT_OK;
}

static RtStatus backward(Rt *rt, TapeNode *node, Tensor **g) {
  const Saved *how = tape_data(node);
  SolveRun *r = how->run;
  const size_t room = (size_t)r->n_tensor + 1;
  const int64_t rows = r->B * r->problems;
  if (!g[0]) return RT_OK;
  Tensor **grad = rt_alloc0(rt, room * sizeof *grad);
  double **at = rt_alloc0(rt, room * sizeof *at);
  Pass p = {.r = r, .how = how, .g = gathered(rt, r, how->of, g[0])};
  const bool again = how->of != OF_ENERGY && r->z->grad == SOLVE_BLACKBOX;
  const bool thermal = how->of != OF_ENERGY && r->z->grad == SOLVE_THERMAL;
  int8_t *moved = again ? rt_alloc(rt, (size_t)(rows * r->n) + 1) : NULL;
  if (thermal) p.weight = rt_alloc(rt, (size_t)(r->reads + 1) * sizeof *p.weight);
  const bool slopes = how->of != OF_ENERGY && !isnan(r->tau);
  const size_t room_g = (size_t)((how->of == OF_MEAN ? r->reads : 1) * r->n + 1) * sizeof(double);
  if (slopes) p.scaled = rt_alloc(rt, room_g);
  const bool ready = (moved || !again) && (p.weight || !thermal) && (p.scaled || !slopes);
  RtStatus st = grad && at && p.g && ready ? RT_OK : rt->error.status;
  if (!st && again && solve_sample(r, p.g, r->mu, moved)) st = rt->error.status;
  p.moved = moved;
  for (int k = 0; k < r->n_tensor && !st; k++) {
    if (!tape_wants(node, k)) continue;
    grad[k] = tensor_zeros(rt, DT_F64, r->tensor[k].t->rank, r->tensor[k].t->shape);
    if (!grad[k]) st = rt->error.status;
    else at[k] = (double *)(void *)grad[k]->data;
  }
  if (!st) st = all_problems(rt, &p, at);
  if (!st) st = add_grads(rt, node, r, grad);
  for (int k = 0; grad && k < r->n_tensor; k++) tensor_unref(rt, grad[k]);
  if (grad) rt_free(rt, grad, room * sizeof *grad);
  if (at) rt_free(rt, at, room * sizeof *at);
  if (p.g)
    rt_free(rt, (void *)p.g,
            (size_t)(rows * (how->of == OF_ENERGY ? 1 : r->n) + 1) * sizeof *p.g);
  if (moved) rt_free(rt, moved, (size_t)(rows * r->n) + 1);
  if (p.weight) rt_free(rt, p.weight, (size_t)(r->reads + 1) * sizeof *p.weight);
  if (p.scaled) rt_free(rt, p.scaled, room_g);
  return st;
}

static void saved_drop(Rt *rt, void *data) {
  solve_unref(((Saved *)data)->run);
  rt_free(rt, data, sizeof(Saved));
}

static const TapeRule rule = {"solve", backward, saved_drop, true};

/* Takes over t. */
static Tensor *recorded(SolveRun *r, Tensor *t, Result of) {
  Rt *rt = vm_rt(r->vm);
  bool traced = false;
  for (int k = 0; k < r->n_tensor; k++) traced |= rt_taped(rt, r->tensor[k].t);
  if (!t || !traced) return t;
  Tensor **in = rt_alloc(rt, (size_t)(r->n_tensor + 1) * sizeof *in);
  Saved *s = in ? rt_alloc(rt, sizeof *s) : NULL;
  int failed = !s;
  if (s) {
    *s = (Saved){solve_ref(r), of};
    for (int k = 0; k < r->n_tensor; k++) in[k] = r->tensor[k].t;
    failed = tape_record(rt, &rule, 1, &t, r->n_tensor, in, 0, NULL, s) != RT_OK;
  }
  if (in) rt_free(rt, in, (size_t)(r->n_tensor + 1) * sizeof *in);
  if (!failed) return t;
  tensor_unref(rt, t);
  return NULL;
}

/* ---- results --------------------------------------------------------------------------------------- */

Tensor *solve_result(SolveRun *r, DType dt, bool mean) {
  Rt *rt = vm_rt(r->vm);
  const bool by_row = r->z->own_query || r->z->listed[SOLVE_QUERY];
  int64_t shape[4] = {r->B, r->H, r->rows, r->nk};
  if (!by_row) shape[2] = r->nk;
  Tensor *t = tensor_zeros(rt, DT_F64, by_row ? 4 : 3, shape);
  double *o = t ? (double *)(void *)t->data : NULL;
  for (int64_t k = 0; o && k < r->B * r->problems; k++) {
    double *to = o + solve_place(r, k);
    const int8_t *x = mean ? r->x + k * r->reads * r->n : r->best + k * r->n;
    for (int64_t q = 0; q < (mean ? r->reads : 1); q++, x += r->n)
      for (int64_t i = 0; i < r->n; i++)
        to[r->place[i]] += x[i] / (mean ? (double)r->reads : 1.0);
  }
  Tensor *own = t ? op_astype(rt, t, dt) : NULL;
  tensor_unref(rt, t);
  const SolveGrad grad = r->z->grad;
  if (grad == SOLVE_DETACH || grad == SOLVE_ENERGY || (grad == SOLVE_THERMAL && !mean)) return own;
  return recorded(r, own, mean ? OF_MEAN : OF_BEST);
}

Tensor *solve_energies(SolveRun *r, DType dt) {
  Rt *rt = vm_rt(r->vm);
  int64_t shape[3];
  const int rank = solve_batch(r, shape);
  Tensor *t = tensor_new(rt, dt, rank, shape);
  for (int64_t k = 0; t && k < r->B * r->problems; k++)
    tensor_set_f64(t, k, solve_energy(r, k, r->best + k * r->n));
  return recorded(r, t, OF_ENERGY);
}
