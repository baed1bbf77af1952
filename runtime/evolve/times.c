/* times.c: one call for time evolution by every method. */
#include "runtime/evolve/evolve.h"
#include "runtime/evolve/trotter.h"

#include <math.h>
#include <string.h>

enum { KRYLOV_VECTORS = 33, CHEBYSHEV_VECTORS = 4 };

typedef struct {
  Rt *rt;
  Operator *h;
  const EvolveHow *how;
  int64_t n;
  const double *t;
  const State *from;
  State *out;
  EvolveReport *report;
} Work;

static RtStatus apply_plain(Rt *rt, const void *h, const double *x, double *y) {
  return applied_to(rt, h, x, y);
}

/* ---- Krylov and Chebyshev -------------------------------------------------------------- */

/* Does Chebyshev need fewer products?  The first Krylov space allows a step of length h. */
static bool chebyshev_pays(const void *asked, const Krylov *k, double h) {
  const Work *w = asked;
  double low, high, done = 0, krylov = krylov_size(k) * w->t[w->n - 1] / h;
  int64_t terms = CHEBYSHEV_PROBES;
  krylov_range(k, &low, &high);
  for (int64_t i = 0; i < w->n; done = w->t[i++])
    if (w->t[i] > done)
      terms += chebyshev_terms(0.53 * (high - low) * (w->t[i] - done), w->how->tol,
                               w->how->imaginary);
  return (double)terms < krylov;
}

static RtStatus by_chebyshev(Work *w, const Applied *a, double *const *out) {
  w->report->method = EVOLVE_CHEBYSHEV;
  return chebyshev_times(w->rt, a, w->n, w->t, w->how->tol, w->how->imaginary,
                         state_doubles(w->from), out, &w->report->products, &w->report->error);
}

/* *left: Chebyshev is better. */
static RtStatus by_krylov(Work *w, const Applied *a, bool any, double *const *out, bool *left) {
  Krylov *k;
  double *x = out[w->n - 1];
  RT_TRY(krylov_make(w->rt, w->from->size, &k));
  memcpy(x, w->from->amp, (size_t)w->from->size * sizeof(c128));
  RtStatus st = krylov_times(k, apply_plain, a, w->n, w->t, w->how->tol, w->how->imaginary,
                             any ? chebyshev_pays : NULL, w, x, out, left);
  w->report->method = EVOLVE_KRYLOV;
  w->report->products = krylov_products(k);
  w->report->error = krylov_error(k);
  krylov_free(k);
  return st;
}

/* All of it in single precision. */
static RtStatus krylov_single(Work *w, Krylov *k, const Applied *a, float **at) {
  for (int64_t i = 0; i < w->n; i++) at[i] = state_floats(&w->out[i]);
  float *x = at[w->n - 1];
  memcpy(x, w->from->amp32, (size_t)w->from->size * sizeof(c64));
  RtStatus st = krylov_times32(k, a, w->n, w->t, w->how->tol, w->how->imaginary, x, at);
  *w->report = (EvolveReport){EVOLVE_KRYLOV, krylov_products(k), krylov_error(k)};
  return st;
}

static RtStatus by_krylov_single(Work *w) {
  Rt *rt = w->rt;
  Applied *a;
  Krylov *k = NULL;
  RT_TRY(applied_make32(rt, w->h, true, &a));
  float **at = rt_alloc(rt, (size_t)w->n * sizeof *at);
  RtStatus st = at ? krylov_make32(rt, w->from->size, &k) : rt->error.status;
  if (!st) st = krylov_single(w, k, a, at);
  krylov_free(k);
  if (at) rt_free(rt, at, (size_t)w->n * sizeof *at);
  applied_free(rt, a);
  return st;
}

/* What has no version in single precision. */
static RtStatus single_only(Rt *rt, const EvolveHow *how) {
  if (how->method == EVOLVE_ANY || how->method == EVOLVE_KRYLOV) {
    if (how->tol >= EVOLVE_TOL_SINGLE) return RT_OK;
    rt_fail(rt, RT_ERROR, "amplitudes of c64 hold 7 digits: tol is at least %g, found %g",
            EVOLVE_TOL_SINGLE, how->tol);
  } else {
    rt_fail(rt, RT_ERROR, "states of c64 evolve by method = \"krylov\" only");
  }
  rt_help(rt, "c128(psi) converts it to double precision");
  return RT_ERROR;
}

static RtStatus by_products(Work *w, double *const *out) {
  Rt *rt = w->rt;
  Applied *a;
  EvolveMethod m = w->how->method;
  bool left = m == EVOLVE_CHEBYSHEV;
  int64_t probed = 0;
  if (m == EVOLVE_ANY && states_fit(rt, "", w->from->size, KRYLOV_VECTORS, sizeof(c128))) {
    rt->error.status = RT_OK;
    left = true;
  }
  RT_TRY(applied_make(rt, w->h, true, &a));
  RtStatus st = left ? RT_OK : by_krylov(w, a, m == EVOLVE_ANY, out, &left);
  if (!st && left) {
    probed = w->report->products;
    st = by_chebyshev(w, a, out);
    w->report->products += probed;
  }
  applied_free(rt, a);
  return st;
}

/* ---- Trotter ------------------------------------------------------------------------------ */

/* All times, with so many repetitions between them (per_time 0), or in proportion. */
static RtStatus trotter_all(Work *w, Trotter *t, int64_t steps, double per_time) {
  const State *from = w->from;
  double done = 0, length = sqrt(state_norm2(from));
  for (int64_t i = 0; i < w->n; from = &w->out[i], done = w->t[i++]) {
    double h = w->t[i] - done;
    int64_t r = per_time > 0 ? (int64_t)ceil(per_time * h) : steps;
    if (r < 1) r = 1;
    memcpy(w->out[i].amp, from->amp, (size_t)from->size * sizeof(c128));
    RT_TRY(trotter_run(t, w->how->order, h, r, w->how->imaginary, w->out[i].amp));
    double got = w->how->imaginary ? sqrt(state_norm2(&w->out[i])) : length;
    if (!(got > 0) || !isfinite(got)) {
      rt_fail(w->rt, RT_ERROR, "the state's length has become %g in a Trotter step", got);
      rt_help(w->rt, "more steps, or another method");
      return RT_ERROR;
    }
    if (got != length) state_scale(&w->out[i], (c128){length / got, 0});
    if (h > 0) w->report->products += r;
  }
  return RT_OK;
}

static double distance(const State *a, const State *b) {
  double s = 0;
  for (int64_t i = 0; i < a->size;) {
    double part = 0;
    for (int64_t end = i + 1024 < a->size ? i + 1024 : a->size; i < end; i++) {
      double re = a->amp[i].re - b->amp[i].re, im = a->amp[i].im - b->amp[i].im;
      part += re * re + im * im;
    }
    s += part;
  }
  return sqrt(s);
}

/* The result with r repetitions is compared with that of 2 r: e(r) = c r^-order. */
static RtStatus trotter_given(Work *w, Trotter *t, State *other) {
  State *last = &w->out[w->n - 1];
  double scale = 1 - pow(2, -w->how->order);
  if (w->how->estimate) {
    RT_TRY(trotter_all(w, t, 2 * w->how->steps, 0));
    memcpy(other->amp, last->amp, (size_t)last->size * sizeof(c128));
  }
  RT_TRY(trotter_all(w, t, w->how->steps, 0));
  w->report->error = NAN;
  if (w->how->estimate)
    w->report->error = distance(other, last) / scale / sqrt(state_norm2(last));
  return RT_OK;
}

static RtStatus trotter_to_tol(Work *w, Trotter *t, State *other) {
  enum { TRIES = 12 };
  static const double STEPS_MAX = 1e7;
  State *last = &w->out[w->n - 1];
  double end = w->t[w->n - 1], length = sqrt(state_norm2(w->from)), order = w->how->order;
  double steps = end > 0 ? fmax(1, ceil(end)) : 1, times = pow(2, order) - 1;
  RT_TRY(trotter_all(w, t, 0, end > 0 ? steps / end : 1));
  for (int k = 0; k < TRIES && end > 0; k++) {
    memcpy(other->amp, last->amp, (size_t)last->size * sizeof(c128));
    steps *= 2;
    RT_TRY(trotter_all(w, t, 0, steps / end));
    double error = distance(other, last) / times / length;
    w->report->error = error;
    if (error <= w->how->tol) return RT_OK;
    /* as far as the order promises, but not from steps that are too long to show it */
    double more = 0.55 * pow(error / w->how->tol, 1 / order);
    if (more > 1.5) {
      steps = ceil(steps * (error > 0.1 ? fmin(more, 2) : more));
      if (2 * steps > STEPS_MAX) break;
      RT_TRY(trotter_all(w, t, 0, steps / end));
    }
  }
  if (end == 0) return RT_OK;
  rt_fail(w->rt, RT_ERROR, "a product formula of order %d would need about %.2g steps for tol = %g",
          w->how->order, 2 * steps, w->how->tol);
  rt_help(w->rt,
          "order = 4 or 6 needs fewer steps; method = \"krylov\" and \"chebyshev\" reach 1e-12");
  return RT_ERROR;
}

static RtStatus by_trotter(Work *w) {
  Trotter *t;
  State other;
  w->report->method = EVOLVE_TROTTER;
  RT_TRY(trotter_make(w->rt, w->h, &t));
  state_init(&other);
  bool exact = trotter_groups(t) < 2;
  bool compare = !exact && (!w->how->steps || w->how->estimate);
  RtStatus st = compare ? state_new(w->rt, &w->from->vars, &other) : RT_OK;
  if (!st && exact) st = trotter_all(w, t, 1, 0);
  else if (!st) st = w->how->steps ? trotter_given(w, t, &other) : trotter_to_tol(w, t, &other);
  state_free(w->rt, &other);
  trotter_free(t);
  return st;
}

/* ---- the call -------------------------------------------------------------------------------- */

/* Beyond 2^52 turns of the fastest phase a double does not tell where it stands. */
static RtStatus phases_exist(Rt *rt, const Operator *h, double t) {
  const Poly *d = &h->diagonal;
  double size = 0;
  for (int64_t i = 0; i < h->product.n; i++) size += hypot(h->product.c[i].re, h->product.c[i].im);
  for (int64_t i = 0; i < d->one.n; i++) size += fabs(d->one.c[i]);
  for (int64_t i = 0; i < d->two.n; i++) size += fabs(d->two.c[i]);
  for (int64_t i = 0; i < d->many.n; i++) size += fabs(d->many.c[i]);
  if (size * t < 0x1p52) return RT_OK;
  rt_fail(rt, RT_ERROR, "terms of %g in all for a time of %g: no digit of the phases is left", size,
          t);
  rt_help(rt, "H times the time has to stay below 2^52");
  return RT_ERROR;
}

RtStatus evolve_times(Rt *rt, Operator *h, const EvolveHow *how, int64_t n, const double *t,
                      const State *from, State *out, EvolveReport *report) {
  EvolveReport own;
  Work w = {rt, h, how, n, t, from, out, report ? report : &own};
  *w.report = (EvolveReport){.method = how->method};
  double more = how->method == EVOLVE_TROTTER ? 1 : CHEBYSHEV_VECTORS;
  if (!how->imaginary && n) RT_TRY(phases_exist(rt, h, t[n - 1]));
  bool single = state_single(from);
  if (single) RT_TRY(single_only(rt, how));
  RT_TRY(states_fit(rt, "the evolution", from->size, (double)n + more,
                    single ? sizeof(c64) : sizeof(c128)));
  double **at = rt_alloc(rt, (size_t)n * sizeof *at);
  if (!at) return rt->error.status;
  RtStatus st = RT_OK;
  int64_t made = 0;
  for (; made < n && !st; made++) {
    st = state_new_in(rt, &from->vars, single, &out[made]);
    at[made] = state_doubles(&out[made]);
  }
  if (!st && single) st = by_krylov_single(&w);
  else if (!st) st = how->method == EVOLVE_TROTTER ? by_trotter(&w) : by_products(&w, at);
  for (int64_t i = 0; i < made && st; i++) state_free(rt, &out[i]);
  rt_free(rt, at, (size_t)n * sizeof *at);
  return st;
}
