/* thermal.c: thermal averages from all levels, or from random vectors. */
#include "runtime/evolve/thermal.h"
#include "runtime/evolve/space.h"
#include "runtime/tensor/linalg.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { EXACT_AUTO = 1024, EXACT_MAX = 2048, STEPS = 400, LOOK_EVERY = 8 };

/* ---- from sums to values ------------------------------------------------------------ */

/* Sums over states or vectors of exp(shift - beta E) times 1, E, E^2. */
typedef struct { double z, e, q; } Sums;

/* log_d: of what the sum has to be multiplied by to be Z. */
static void values_of(Sums s, double shift, double log_d, double beta,
                      double out[THERMAL_VALUES]) {
  double mean = s.e / s.z, lnz = log(s.z) - shift + log_d;
  out[THERMAL_LNZ] = lnz;
  out[THERMAL_ENERGY] = mean;
  out[THERMAL_HEAT] = beta * beta * fmax(0, s.q / s.z - mean * mean);
  out[THERMAL_ENTROPY] = beta * mean + lnz;
  out[THERMAL_FREE] = beta != 0 ? -lnz / beta : -INFINITY;
}

/* The energy of the largest -beta E. */
static double favoured(double beta, int64_t n, const double *energy) {
  double at = energy[0];
  for (int64_t i = 1; i < n; i++)
    if (beta < 0 ? energy[i] > at : energy[i] < at) at = energy[i];
  return at;
}

/* The largest of -beta E, negated. */
static double shift_of(double beta, int64_t n, const double *energy) {
  double most = -INFINITY;
  for (int64_t i = 0; i < n; i++) most = fmax(most, -beta * energy[i]);
  return -most;
}

/* ---- exact --------------------------------------------------------------------------- */

/* From energies[n] and, for each observable, its value in each level ([n_observable, n]).
 * All from E less the favoured energy: nothing cancels, and at a beta as large as 1e300 what has
 * no weight adds nothing, rather than 0 inf.                                          */
static void sum_up(const ThermalAsk *ask, int64_t n, const double *energy, const double *in_level,
                   Thermal *out) {
  out->exact = true;
  for (int64_t b = 0; b < ask->n_beta; b++) {
    double beta = ask->beta[b], base = favoured(beta, n, energy), spread = 0;
    Sums s = {0};
    for (int64_t i = 0; i < n; i++) {
      double w = exp(-beta * (energy[i] - base));
      s.z += w;
      s.e += w * (energy[i] - base);
    }
    double above = s.e / s.z;
    for (int64_t i = 0; i < n; i++) {
      double w = exp(-beta * (energy[i] - base)), d = beta * (energy[i] - base - above);
      if (w > 0) spread += w * d * d;
    }
    double *v = out->value[b];
    v[THERMAL_LNZ] = log(s.z) - beta * base;
    v[THERMAL_ENERGY] = base + above;
    v[THERMAL_HEAT] = spread / s.z;
    v[THERMAL_ENTROPY] = beta * above + log(s.z);
    v[THERMAL_FREE] = beta != 0 ? base - log(s.z) / beta : -INFINITY;
    memset(out->error[b], 0, sizeof out->error[b]);
    for (int o = 0; o < ask->n_observable; o++) {
      double sum = 0;
      for (int64_t i = 0; i < n; i++)
        sum += exp(-beta * (energy[i] - base)) * in_level[(int64_t)o * n + i];
      out->mean[b * ask->n_observable + o] = sum / s.z;
      out->mean_error[b * ask->n_observable + o] = 0;
    }
  }
}

typedef struct {
  Applied **o;          /* [n] over all variables of H, for complex vectors      */
  int n;
} Observables;

static void observables_free(Rt *rt, Observables *o) {
  for (int i = 0; o->o && i < o->n; i++) applied_free(rt, o->o[i]);
  if (o->o) rt_free(rt, o->o, (size_t)(o->n + 1) * sizeof *o->o);
}

static RtStatus observables_make(Rt *rt, const ThermalAsk *ask, Observables *out) {
  *out = (Observables){rt_alloc0(rt, (size_t)(ask->n_observable + 1) * sizeof(Applied *)),
                       ask->n_observable};
  if (!out->o) return rt->error.status;
  for (int i = 0; i < out->n; i++)
    RT_TRY(applied_make(rt, ask->observable[i], true, &out->o[i]));
  return RT_OK;
}

/* <x|O|x> of every observable for a vector of the space, into to[0], to[stride] ... */
static RtStatus measure(Rt *rt, const Space *s, const Observables *o, bool wide, const double *x,
                        int64_t stride, double *to) {
  State psi;
  if (!o->n) return RT_OK;
  RT_TRY(space_state(rt, s, wide, x, &psi));
  RtStatus st = RT_OK;
  for (int i = 0; i < o->n && !st; i++)
    st = applied_mean(rt, o->o[i], (const double *)(const void *)psi.amp, &to[i * stride]);
  state_free(rt, &psi);
  return st;
}

static RtStatus all_levels(Rt *rt, Space *s, const ThermalAsk *ask, const Observables *o,
                           Thermal *out) {
  int64_t n = s->size;
  size_t table = (size_t)n * (size_t)(o->n + 1);
  Tensor *m = space_matrix(rt, s), *values = NULL, *columns = NULL;
  double *energy = rt_alloc(rt, (size_t)n * sizeof *energy);
  double *in_level = rt_alloc0(rt, table * sizeof *in_level);
  double *x = rt_alloc(rt, 2 * (size_t)n * sizeof *x);
  RtStatus st = m && energy && in_level && x ? linalg_eigh(rt, m, &values, &columns)
                                             : rt->error.status;
  for (int64_t j = 0; j < n && !st; j++) {
    energy[j] = tensor_get_f64(values, j);
    for (int64_t i = 0; i < n && o->n; i++) {
      c128 v = tensor_get_c128(columns, i * n + j);
      x[2 * i] = v.re;
      x[2 * i + 1] = v.im;
    }
    st = measure(rt, s, o, true, x, n, &in_level[j]);
    if (!st) st = rt_poll(rt);
  }
  if (!st) sum_up(ask, n, energy, in_level, out);
  if (x) rt_free(rt, x, 2 * (size_t)n * sizeof *x);
  if (in_level) rt_free(rt, in_level, table * sizeof *in_level);
  if (energy) rt_free(rt, energy, (size_t)n * sizeof *energy);
  tensor_unref(rt, m);
  tensor_unref(rt, values);
  tensor_unref(rt, columns);
  return st;
}

/* The diagonal of an operator without modes, whose other terms have no diagonal entries. */
static RtStatus diagonal_of(Rt *rt, Operator *a, const double *one, double *d) {
  Operator only;
  Applied *p = NULL;
  RT_TRY(operator_merge(rt, a));
  operator_init(&only);
  RtStatus st = vars_copy(rt, &only.vars, &a->vars);
  if (!st) st = poly_copy(rt, &only.diagonal, &a->diagonal);
  if (!st) st = applied_make(rt, &only, false, &p);
  if (!st) st = applied_to(rt, p, one, d);
  applied_free(rt, p);
  operator_free(rt, &only);
  return st;
}

static RtStatus all_states(Rt *rt, Space *s, const ThermalAsk *ask, Thermal *out) {
  int64_t n = s->size;
  size_t bytes = (size_t)n * sizeof(double), table = bytes * (size_t)(ask->n_observable + 1);
  RT_TRY(states_fit(rt, "the diagonal", n, 3 + ask->n_observable, sizeof(double)));
  double *one = rt_alloc(rt, bytes), *energy = rt_alloc(rt, bytes), *o = rt_alloc(rt, table);
  RtStatus st = one && energy && o ? RT_OK : rt->error.status;
  for (int64_t i = 0; i < n && !st; i++) one[i] = 1;
  if (!st) st = diagonal_of(rt, s->op, one, energy);
  for (int k = 0; k < ask->n_observable && !st; k++)
    st = diagonal_of(rt, ask->observable[k], one, o + (int64_t)k * n);
  if (!st) sum_up(ask, n, energy, o, out);
  if (one) rt_free(rt, one, bytes);
  if (energy) rt_free(rt, energy, bytes);
  if (o) rt_free(rt, o, table);
  return st;
}

/* ---- typicality ------------------------------------------------------------------------- */

typedef struct {
  Rt *rt;
  const ThermalAsk *ask;
  const Space *space;
  const Observables *o;
  Linear map;
  int64_t n;
  int m;
  double *start, *p, *q, *w, *sum;
  double p_scale, q_scale;
  double alpha[STEPS], beta[STEPS], theta[STEPS], c[STEPS];
  double *z;                   /* [STEPS * STEPS] vectors of the tridiagonal matrix    */
  Sums *sums;                  /* [n_beta, samples]                                    */
  double *shift;               /* [n_beta, samples]                                    */
  double *mean;                /* [n_beta, n_observable, samples]: <f|O|f>             */
} Typical;

static void turn(Typical *t, double beta) {
  double *w = t->w;
  t->w = t->p;
  t->p = t->q;
  t->q = w;
  t->p_scale = t->q_scale;
  t->q_scale = 1 / beta;
}

/* exp((shift - beta T) / 2) e1. */
static void coefficients(Typical *t, double beta, double shift) {
  for (int r = 0; r < t->m; r++) t->c[r] = 0;
  for (int k = 0; k < t->m; k++) {
    double f = t->z[k] * exp((shift - beta * t->theta[k]) / 2);
    for (int r = 0; r < t->m; r++) t->c[r] += f * t->z[r * t->m + k];
  }
}

static RtStatus decompose(Typical *t) {
  double e[STEPS];
  memcpy(t->theta, t->alpha, (size_t)t->m * sizeof(double));
  memcpy(e, t->beta, (size_t)t->m * sizeof(double));
  return tridiagonal(t->rt, t->m, t->theta, e, t->z);
}

/* Is the last coefficient small for every beta? */
static bool enough(Typical *t) {
  for (int64_t b = 0; b < t->ask->n_beta; b++) {
    double norm = 0;
    coefficients(t, t->ask->beta[b], shift_of(t->ask->beta[b], t->m, t->theta));
    for (int r = 0; r < t->m; r++) norm += t->c[r] * t->c[r];
    if (fabs(t->c[t->m - 1]) > 1e-9 * sqrt(norm)) return false;
  }
  return true;
}

static void begin(Typical *t) {
  memcpy(t->q, t->start, (size_t)t->n * sizeof(double));
  t->q_scale = 1;
}

/* Lanczos from the random vector until exp(-beta T / 2) e1 does not change any more. */
static RtStatus forward(Typical *t) {
  const VectorTable *v = vectors();
  double size = 0;
  begin(t);
  for (int j = 0; j < STEPS; j++) {
    RT_TRY(t->map.apply(t->rt, t->map.map, t->q, t->w));
    double a = j ? v->scaled_dot(t->n, t->q_scale, t->beta[j - 1] * t->p_scale, t->p, t->q, t->w)
                 : vec_dot(t->n, t->q, t->w);
    t->alpha[j] = a * t->q_scale;
    t->beta[j] = sqrt(v->subtract_norm2(t->n, t->alpha[j] * t->q_scale, t->q, t->w));
    size = fmax(size, fabs(t->alpha[j]) + t->beta[j]);
    t->m = j + 1;
    bool closed = t->beta[j] <= 16 * DBL_EPSILON * size;
    if (closed || j % LOOK_EVERY == LOOK_EVERY - 1) {
      RT_TRY(decompose(t));
      if (closed || enough(t)) return RT_OK;
    }
    turn(t, t->beta[j]);
  }
  rt_fail(t->rt, RT_ERROR, "the thermal state did not converge in %d steps of Lanczos's method",
          STEPS);
  rt_help(t->rt, "at so low a temperature ask for ground(H) or spectrum(H, k)");
  return RT_ERROR;
}

/* The same vectors again, added up to exp(-beta H / 2) r. */
static RtStatus again(Typical *t) {
  const VectorTable *v = vectors();
  begin(t);
  memset(t->sum, 0, (size_t)t->n * sizeof(double));
  for (int j = 0; j < t->m - 1; j++) {
    RT_TRY(t->map.apply(t->rt, t->map.map, t->q, t->w));
    v->advance(t->n, t->q_scale, j ? t->beta[j - 1] * t->p_scale : 0, j ? t->p : t->q,
               t->alpha[j] * t->q_scale, t->q, t->c[j] * t->q_scale, t->w, t->sum);
    turn(t, t->beta[j]);
  }
  v->add(t->n, t->c[t->m - 1] * t->q_scale, t->q, t->sum);
  return RT_OK;
}

/* Are Boltzmann's weights lost in the rounding of the levels? */
static bool too_cold(const Typical *t) {
  double size = 0, beta = 0;
  for (int k = 0; k < t->m; k++) size = fmax(size, fabs(t->theta[k]));
  for (int64_t b = 0; b < t->ask->n_beta; b++) beta = fmax(beta, fabs(t->ask->beta[b]));
  return beta * DBL_EPSILON * size > 1;
}

static RtStatus one_vector(Typical *t, int64_t r) {
  const ThermalAsk *ask = t->ask;
  RngCall call = {rng_derive(ask->call.key, "thermal", r), ask->call.call};
  for (int64_t i = 0; i < t->n; i++) t->start[i] = rng_normal(call, (uint64_t)i);
  vectors()->scale(t->n, 1 / vec_norm(t->n, t->start), t->start);
  RT_TRY(forward(t));
  if (too_cold(t)) {
    rt_fail(t->rt, RT_ERROR, "beta * energy beyond 1 / %.2g is lost in rounding", DBL_EPSILON);
    rt_help(t->rt, "at so low a temperature ask for ground(H) or spectrum(H, k)");
    return RT_ERROR;
  }
  for (int64_t b = 0; b < ask->n_beta; b++) {
    double shift = shift_of(ask->beta[b], t->m, t->theta);
    Sums s = {0};
    for (int k = 0; k < t->m; k++) {
      double w = t->z[k] * t->z[k] * exp(shift - ask->beta[b] * t->theta[k]);
      s = (Sums){s.z + w, s.e + w * t->theta[k], s.q + w * t->theta[k] * t->theta[k]};
    }
    t->sums[b * ask->samples + r] = s;
    t->shift[b * ask->samples + r] = shift;
    if (!t->o->n) continue;
    coefficients(t, ask->beta[b], shift);
    RT_TRY(again(t));
    RT_TRY(measure(t->rt, t->space, t->o, t->map.wide, t->sum, ask->samples,
                   &t->mean[b * t->o->n * ask->samples + r]));
  }
  return RT_OK;
}

/* ---- means over the vectors, errors by leaving one out ------------------------------------ */

static double error_of(int64_t n, const double *x) {
  double mean = 0, sum = 0;
  for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
  for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
  return sqrt(sum * (double)(n - 1) / (double)n);
}

/* Everything of one beta; `left` has room for (THERMAL_VALUES + n_observable) * samples. */
static void estimate(const Typical *t, int64_t b, Thermal *out, double *left) {
  int64_t n = t->ask->samples, n_o = t->o->n;
  const double *shift = t->shift + b * n, *mean = t->mean + b * n_o * n;
  Sums *s = t->sums + b * n, all = {0};
  double common = shift[0], beta = t->ask->beta[b], log_d = log((double)t->space->size);
  for (int64_t r = 1; r < n; r++) common = fmin(common, shift[r]);
  for (int64_t r = 0; r < n; r++) {
    double f = exp(common - shift[r]);
    s[r] = (Sums){s[r].z * f, s[r].e * f, s[r].q * f};
    all = (Sums){all.z + s[r].z, all.e + s[r].e, all.q + s[r].q};
  }
  double none[THERMAL_VALUES];
  values_of(all, common, log_d - log((double)n), beta, out->value[b]);
  for (int64_t r = 0; r < n; r++) {
    Sums less = {all.z - s[r].z, all.e - s[r].e, all.q - s[r].q};
    values_of(less, common, log_d - log((double)(n - 1)), beta, none);
    for (int v = 0; v < THERMAL_VALUES; v++) left[v * n + r] = none[v];
  }
  for (int v = 0; v < THERMAL_VALUES; v++)
    out->error[b][v] = v == THERMAL_FREE && beta == 0 ? 0 : error_of(n, left + v * n);
  for (int64_t o = 0; o < n_o; o++) {
    double sum = 0;
    for (int64_t r = 0; r < n; r++) sum += mean[o * n + r] * exp(common - shift[r]);
    for (int64_t r = 0; r < n; r++)
      left[r] = (sum - mean[o * n + r] * exp(common - shift[r])) / (all.z - s[r].z);
    out->mean[b * n_o + o] = sum / all.z;
    out->mean_error[b * n_o + o] = error_of(n, left);
  }
}

static RtStatus run_typical(Typical *t, Thermal *out) {
  int64_t n = t->ask->samples;
  size_t bytes = (size_t)THERMAL_VALUES * (size_t)n * sizeof(double);
  out->exact = false;
  for (int64_t r = 0; r < n; r++) RT_TRY(one_vector(t, r));
  double *left = rt_alloc(t->rt, bytes);
  if (!left) return t->rt->error.status;
  for (int64_t b = 0; b < t->ask->n_beta; b++) estimate(t, b, out, left);
  rt_free(t->rt, left, bytes);
  return RT_OK;
}

static RtStatus typical(Rt *rt, Space *s, const ThermalAsk *ask, const Observables *o,
                        Thermal *out) {
  Linear map;
  RT_TRY(space_linear(rt, s, &map));
  RT_TRY(states_fit(rt, "the thermal state", s->size, o->n ? 7 : 4, map.wide ? 16 : 8));
  size_t bytes = (size_t)map.size * sizeof(double), square = (size_t)STEPS * STEPS;
  size_t cells = (size_t)(ask->n_beta * ask->samples), means = cells * (size_t)o->n + 1;
  Typical *t = rt_alloc0(rt, sizeof *t);
  double *room[5] = {NULL};
  RtStatus st = t ? RT_OK : rt->error.status;
  for (int i = 0; i < (o->n ? 5 : 4) && !st; i++)
    if (!(room[i] = rt_alloc(rt, bytes))) st = rt->error.status;
  if (!st) {
    *t = (Typical){.rt = rt, .ask = ask, .space = s, .o = o, .map = map, .n = map.size,
                   .start = room[0], .p = room[1], .q = room[2], .w = room[3], .sum = room[4],
                   .z = rt_alloc(rt, square * sizeof(double)),
                   .sums = rt_alloc(rt, cells * sizeof(Sums)),
                   .shift = rt_alloc(rt, cells * sizeof(double)),
                   .mean = rt_alloc(rt, means * sizeof(double))};
    st = t->z && t->sums && t->shift && t->mean ? run_typical(t, out) : rt->error.status;
  }
  if (t && t->z) rt_free(rt, t->z, square * sizeof(double));
  if (t && t->sums) rt_free(rt, t->sums, cells * sizeof(Sums));
  if (t && t->shift) rt_free(rt, t->shift, cells * sizeof(double));
  if (t && t->mean) rt_free(rt, t->mean, means * sizeof(double));
  for (int i = 0; i < 5; i++)
    if (room[i]) rt_free(rt, room[i], bytes);
  if (t) rt_free(rt, t, sizeof *t);
  return st;
}

/* ---- choosing ------------------------------------------------------------------------------ */

static RtStatus choose(Rt *rt, Space *s, const ThermalAsk *ask, Thermal *out) {
  Observables o = {0};
  if (ask->method != THERMAL_TYPICAL && s->op && !s->op->product.n &&
      flips_possible(&s->whole->vars) && !s->taper.n_rule)
    return all_states(rt, s, ask, out);
  if (ask->method == THERMAL_EXACT && s->size > EXACT_MAX) {
    rt_fail(rt, RT_ERROR, "an exact thermal state of %lld states: at most %d", (long long)s->size,
            EXACT_MAX);
    rt_help(rt, "leave `method` out: random vectors give means with error bars");
    return RT_ERROR;
  }
  bool exact = ask->method == THERMAL_EXACT ||
               (ask->method == THERMAL_AUTO && s->size <= EXACT_AUTO) || s->size < 3;
  RtStatus st = observables_make(rt, ask, &o);
  if (!st) st = exact ? all_levels(rt, s, ask, &o, out) : typical(rt, s, ask, &o, out);
  observables_free(rt, &o);
  return st;
}

RtStatus thermal(Rt *rt, Operator *h, const ThermalAsk *ask, Thermal *out) {
  Space s;
  RtStatus st = space_open(rt, h, ask->n_rule, ask->rule, false, &s);
  if (!st) st = choose(rt, &s, ask, out);
  space_close(rt, &s);
  return st;
}
