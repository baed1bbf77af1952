/* driven.c: time-dependent evolution: steps by Magnus expansions or by splitting, of one
 * length or controlled by comparing one step with two.                          */
#include "runtime/evolve/driven.h"
#include "runtime/evolve/general.h"
#include "runtime/evolve/vectors.h"

#include <float.h>
#include <math.h>
#include <string.h>

const char *const drive_names[] = {"auto", "midpoint", "magnus", "split", NULL};

enum { NOW, SAVED, COARSE, SLOTS }; /* vectors: the state, the last good one, one long step */
enum { CHECK_EVERY = 6 };           /* steps between two comparisons                     */

typedef struct {
  Rt *rt;
  const Driven *d;
  int order;
  double share;    /* of tol, for the exponentials of a step: per time       */
  double rounding; /* differences of this size say nothing                   */
  State *s;
  SplitPlanes *planes[SLOTS]; /* split */
  bool magnus;
  Krylov *krylov;             /* Magnus, Hermitian */
  double *room[2];            /* Magnus, any map */
  double *x[SLOTS];
  size_t bytes;
} Stepper;

/* ---- Magnus ------------------------------------------------------------------------------ */

static RtStatus exponential(Stepper *e, int n, const double *t, const double *w, double h,
                            double *x) {
  const void *map;
  RT_TRY(e->d->combine(e->d->user, n, t, w, &map));
  double tol = fmax(1e-14, e->share * h);
  if (e->krylov) return krylov_exp(e->krylov, e->d->apply, map, h, tol, false, x);
  return general_exp(e->rt, e->d->apply, map, e->d->bound(map), h, tol, 2 * e->s->size, e->room, x);
}

static RtStatus magnus_step(Stepper *e, double t, double h, double *x) {
  static const double one = 1;
  double mid = t + h / 2, r = sqrt(3) / 6, at[2] = {t + (0.5 - r) * h, t + (0.5 + r) * h};
  if (e->order == 2) return exponential(e, 1, &mid, &one, h, x);
  double first[2] = {0.25 + r, 0.25 - r}, second[2] = {0.25 - r, 0.25 + r};
  RT_TRY(exponential(e, 2, at, first, h, x));
  return exponential(e, 2, at, second, h, x);
}

/* ---- both alike -------------------------------------------------------------------------- */

static RtStatus step(Stepper *e, int slot, double t, double h) {
  return e->magnus ? magnus_step(e, t, h, e->x[slot]) : split_step(e->planes[slot], t, h);
}

static void copy(Stepper *e, int to, int from) {
  if (e->magnus) memcpy(e->x[to], e->x[from], e->bytes);
  else split_copy(e->planes[to], e->planes[from]);
}

static double distance(Stepper *e) {
  if (!e->magnus) return split_distance(e->planes[NOW], e->planes[COARSE]);
  int64_t n = 2 * e->s->size; /* COARSE has served */
  vectors()->add(n, -1, e->x[NOW], e->x[COARSE]);
  return vec_norm(n, e->x[COARSE]);
}

static void progress(Stepper *e, double t) {
  if (e->d->progress) e->d->progress(e->d->progress_user, t);
}

static RtStatus stepper_make(Rt *rt, const Driven *d, State *s, Stepper *e) {
  *e = (Stepper){.rt = rt,
                 .d = d,
                 .s = s,
                 .order = d->method == DRIVE_MIDPOINT ? 2 : 4,
                 .bytes = (size_t)s->size * sizeof(c128)};
  int slots = d->steps ? 1 : SLOTS;
  if (d->method == DRIVE_SPLIT) {
    RT_TRY(states_fit(rt, "the evolution", s->size, slots, sizeof(c128)));
    for (int k = 0; k < slots; k++) RT_TRY(split_make(rt, d->split, &e->planes[k]));
    split_load(e->planes[NOW], s->amp);
    return RT_OK;
  }
  e->x[NOW] = (double *)(void *)s->amp;
  e->magnus = true;
  if (!d->bound) RT_TRY(krylov_make(rt, s->size, &e->krylov));
  for (int k = 0; k < 2 && d->bound; k++)
    if (!(e->room[k] = rt_alloc(rt, e->bytes))) return rt->error.status;
  for (int k = 1; k < slots; k++)
    if (!(e->x[k] = rt_alloc(rt, e->bytes))) return rt->error.status;
  return RT_OK;
}

static void stepper_free(Stepper *e) {
  if (e->planes[NOW]) split_store(e->planes[NOW], e->s->amp);
  for (int k = 0; k < SLOTS; k++) {
    split_free(e->planes[k]);
    if (k && e->x[k]) rt_free(e->rt, e->x[k], e->bytes);
  }
  for (int k = 0; k < 2; k++)
    if (e->room[k]) rt_free(e->rt, e->room[k], e->bytes);
  krylov_free(e->krylov);
}

/* ---- steps of one length ------------------------------------------------------------------ */

static RtStatus uniform(Stepper *e, double t0, double t1, DriveReport *r) {
  double h = (t1 - t0) / (double)e->d->steps;
  for (int64_t k = 0; k < e->d->steps; k++) {
    RT_TRY(step(e, NOW, t0 + (double)k * h, h));
    progress(e, t0 + (double)(k + 1) * h);
    r->steps++;
  }
  return RT_OK;
}

/* ---- controlled steps ---------------------------------------------------------------------- */

/* Two steps of h against one of 2h from t; *h becomes what follows, *ok whether they stand. */
static RtStatus compare(Stepper *e, double t, double per_time, double *h, bool *ok,
                        DriveReport *r) {
  double now = *h;
  copy(e, SAVED, NOW);
  copy(e, COARSE, NOW);
  RT_TRY(step(e, COARSE, t, 2 * now));
  RT_TRY(step(e, NOW, t, now));
  RT_TRY(step(e, NOW, t + now, now));
  double error = distance(e) / (e->order == 2 ? 3 : 15);
  double allowed = fmax(per_time * 2 * now, e->rounding);
  *ok = error <= allowed;
  double f = error > 0 ? 0.9 * pow(allowed / error, 1.0 / e->order) : 4;
  *h = now * fmin(4, fmax(0.05, f));
  if (*ok) {
    r->error += error;
    r->steps += 2;
    progress(e, t + 2 * now);
    return RT_OK;
  }
  r->rejected++;
  copy(e, NOW, SAVED);
  if (t + *h > t) return RT_OK;
  return rt_fail(e->rt, RT_ERROR, "the step size has become too small at time %g", t);
}

/* [t, end], within which H(t) is smooth; *h: the length of steps so far. */
static RtStatus stretch(Stepper *e, double t, double end, double per_time, double *h,
                        DriveReport *r) {
  int since = CHECK_EVERY;
  double error = 0; /* of the last compared step */
  while (t < end) {
    double left = end - t;
    if (since >= CHECK_EVERY || *h >= left) {
      double part = left / (2 * ceil(left / (2 * *h) - 1e-9)), next = part, before = r->error;
      bool ok;
      RT_TRY(compare(e, t, per_time, &next, &ok, r));
      bool last = part == left / 2;
      if (ok) t = last ? end : t + 2 * part;
      if (ok) error = (r->error - before) / 2;
      /* the last part of a stretch may be short: it says nothing of the next one */
      if (!ok || next < *h || !last) *h = next;
      since = ok ? 0 : CHECK_EVERY;
      continue;
    }
    double part = left / ceil(left / *h - 1e-9);
    RT_TRY(step(e, NOW, t, part));
    progress(e, t + part);
    t = part == left ? end : t + part;
    r->steps++;
    r->error += error;
    since++;
  }
  return RT_OK;
}

static RtStatus controlled(Stepper *e, double t0, double t1, DriveReport *r) {
  double norm = sqrt(state_norm2(e->s)), t = t0, h = e->d->step;
  if (!(h > 0)) h = (t1 - t0) / 32;
  double tol = fmax(e->d->tol, 1e-13) * norm, per_time = tol / (t1 - t0);
  e->rounding = 32 * DBL_EPSILON * norm;
  e->share = fmax(e->d->tol, 1e-13) / 20 / (t1 - t0);
  for (int64_t k = 0; k <= e->d->n_kinks; k++) {
    double end = k < e->d->n_kinks ? e->d->kinks[k] : t1;
    if (end > t1) end = t1;
    if (end > t) RT_TRY(stretch(e, t, end, per_time, &h, r));
    t = fmax(t, end);
  }
  r->step = h;
  return RT_OK;
}

RtStatus driven_evolve(Rt *rt, const Driven *given, double t0, double t1, State *s,
                       DriveReport *report) {
  Driven d = *given;
  DriveReport own = {0}, *r = report ? report : &own;
  Stepper e;
  if (d.method == DRIVE_AUTO) d.method = d.split ? DRIVE_SPLIT : DRIVE_MAGNUS;
  *r = (DriveReport){.method = d.method};
  if (d.method == DRIVE_SPLIT && !d.split) {
    rt_fail(rt, RT_ERROR, "split steps need terms that are diagonal or single X");
    rt_help(rt, "the method \"magnus\" takes any Hamiltonian");
    return RT_ERROR;
  }
  if (!(t1 > t0)) return RT_OK;
  RtStatus st = stepper_make(rt, &d, s, &e);
  if (!st) st = d.steps ? uniform(&e, t0, t1, r) : controlled(&e, t0, t1, r);
  stepper_free(&e);
  return st;
}

/* ---- sums of operators ---------------------------------------------------------------------- */

RtStatus driven_sum_make(Rt *rt, DrivenSum *a) {
  size_t bytes = (size_t)applied_size(a->part[0]) * sizeof(double);
  a->c = rt_alloc(rt, DRIVEN_PARTS * sizeof(double));
  a->spare = a->n > 1 ? rt_alloc(rt, bytes) : NULL;
  if (a->c && (a->spare || a->n < 2)) return RT_OK;
  driven_sum_free(rt, a);
  return rt->error.status;
}

void driven_sum_free(Rt *rt, DrivenSum *a) {
  if (a->c) rt_free(rt, a->c, DRIVEN_PARTS * sizeof(double));
  if (a->spare) rt_free(rt, a->spare, (size_t)applied_size(a->part[0]) * sizeof(double));
  a->c = a->spare = NULL;
}

RtStatus driven_sum_combine(void *sum, int n, const double *t, const double *w, const void **h) {
  DrivenSum *a = sum;
  double c[DRIVEN_PARTS] = {0};
  for (int j = 0; j < a->n; j++) a->c[j] = 0;
  for (int k = 0; k < n; k++) {
    a->coefs(a->user, t[k], c);
    for (int j = 0; j < a->n; j++) a->c[j] += w[k] * c[j];
  }
  *h = a;
  return RT_OK;
}

RtStatus driven_sum_apply(Rt *rt, const void *h, const double *x, double *y) {
  const DrivenSum *a = h;
  int64_t n = applied_size(a->part[0]);
  RT_TRY(applied_to(rt, a->part[0], x, y));
  vectors()->scale(n, a->c[0], y);
  for (int j = 1; j < a->n; j++) {
    if (a->c[j] == 0) continue;
    RT_TRY(applied_to(rt, a->part[j], x, a->spare));
    vectors()->add(n, a->c[j], a->spare, y);
  }
  return RT_OK;
}
