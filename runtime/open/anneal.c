/* anneal.c: annealing with a bath: the generator at a time, density matrices, trajectories, reads.
 */
#include "runtime/open/anneal.h"
#include "runtime/binary/temper.h"
#include "runtime/evolve/vectors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the generator ------------------------------------------------------------------------ */

/* G(t) = A(t) driver - i B(t) [level, .] + bath; or, of a vector, driver - i B level + bath. */
typedef struct {
  const OpenAnneal *a;
  bool density;
  Applied *driver, *bath; /* bath NULL: none                                      */
  double driver_bound, bath_bound, middle, range;
} Parts;

typedef struct {
  const Parts *p;
  double A, B, bath;
  double *spare; /* a vector                                             */
} Moment;

static RtStatus combine(void *user, int n, const double *t, const double *w, const void **h) {
  Moment *m = user;
  const Quench *q = m->p->a->q;
  m->A = m->B = m->bath = 0;
  for (int k = 0; k < n; k++) {
    double A, B;
    schedule_weights(q->schedule, schedule_s(q->schedule, q->time > 0 ? t[k] / q->time : 1), &A,
                     &B);
    m->A += w[k] * A;
    m->B += w[k] * B;
    m->bath += w[k];
  }
  *h = m;
  return RT_OK;
}

/* y += -i e x */
static void turn(int64_t n, const double *e, double scale, double shift, const double *x,
                 double *y) {
  for (int64_t k = 0; k < n; k++) {
    double f = scale * (e[k] - shift);
    y[2 * k] += f * x[2 * k + 1];
    y[2 * k + 1] -= f * x[2 * k];
  }
}

static RtStatus apply(Rt *rt, const void *h, const double *x, double *y) {
  const Moment *m = h;
  const Parts *p = m->p;
  const double *level = p->a->level;
  int64_t size = applied_size(p->driver), dim = (int64_t)1 << p->a->bits;
  RT_TRY(applied_to(rt, p->driver, x, y));
  vectors()->scale(size, m->A, y);
  if (p->bath) {
    RT_TRY(applied_to(rt, p->bath, x, m->spare));
    vectors()->add(size, m->bath, m->spare, y);
  }
  if (!p->density) turn(dim, level, m->B, p->middle, x, y);
  for (int64_t c = 0; p->density && c < dim; c++)
    turn(dim, level, m->B, level[c], x + 2 * dim * c, y + 2 * dim * c);
  return RT_OK;
}

static double bound(const void *h) {
  const Moment *m = h;
  const Parts *p = m->p;
  return fabs(m->A) * p->driver_bound + fabs(m->B) * p->range + m->bath * p->bath_bound;
}

static RtStatus compile(Rt *rt, Operator *op, Applied **out, double *size) {
  RtStatus st = operator_bound(rt, op, size);
  if (!st) st = applied_make(rt, op, true, out);
  operator_free(rt, op);
  return st;
}

/* -sum X */
static RtStatus driver_of(Rt *rt, const VarTable *vars, Operator *out) {
  operator_init(out);
  RtStatus st = vars_copy(rt, &out->vars, vars);
  for (int64_t i = 0; i < vars->n && !st; i++)
    st = operator_add(rt, out, (c128){-1, 0}, 1, &(OpWord){OP_X, (int32_t)i});
  if (st) operator_free(rt, out);
  return st;
}

static RtStatus of_density(Rt *rt, const VarTable *vars, Operator *x, Parts *p) {
  Operator op;
  Lindblad driver = {.h = x}, bath = {.n = p->a->n, .jump = p->a->jump};
  RT_TRY(lindblad_generator(rt, vars, &driver, &op));
  RT_TRY(compile(rt, &op, &p->driver, &p->driver_bound));
  if (!bath.n) return RT_OK;
  RT_TRY(lindblad_generator(rt, vars, &bath, &op));
  return compile(rt, &op, &p->bath, &p->bath_bound);
}

static RtStatus of_vector(Rt *rt, const VarTable *vars, const Operator *x, Parts *p) {
  Operator op;
  Lindblad bath = {.n = p->a->n, .jump = p->a->jump};
  RT_TRY(operator_copy(rt, &op, x));
  RtStatus st = operator_scale(rt, &op, (c128){0, -1});
  if (st) operator_free(rt, &op);
  else st = compile(rt, &op, &p->driver, &p->driver_bound);
  if (!st) st = lindblad_decay(rt, vars, &bath, &op);
  if (st) return st;
  st = operator_scale(rt, &op, (c128){-0.5, 0});
  if (!st) return compile(rt, &op, &p->bath, &p->bath_bound);
  operator_free(rt, &op);
  return st;
}

static void parts_free(Rt *rt, Parts *p) {
  applied_free(rt, p->driver);
  applied_free(rt, p->bath);
}

static RtStatus parts_make(Rt *rt, const OpenAnneal *a, const VarTable *vars, bool density,
                           Parts *p) {
  double low = a->level[0], high = low;
  Operator x;
  for (int64_t k = 0; k >> a->bits == 0; k++) {
    low = fmin(low, a->level[k]);
    high = fmax(high, a->level[k]);
  }
  *p = (Parts){.a = a,
               .density = density,
               .middle = (low + high) / 2,
               .range = density ? high - low : (high - low) / 2};
  RT_TRY(driver_of(rt, vars, &x));
  RtStatus st = density ? of_density(rt, vars, &x, p) : of_vector(rt, vars, &x, p);
  operator_free(rt, &x);
  if (st) parts_free(rt, p);
  return st;
}

static RtStatus evolve(Rt *rt, const Parts *p, double from, double to, State *s) {
  enum { KINKS = 256 };
  const Quench *q = p->a->q;
  double kink[KINKS];
  size_t bytes = (size_t)s->size * sizeof(c128);
  Moment m = {.p = p, .spare = rt_alloc(rt, bytes)};
  if (!m.spare) return rt->error.status;
  Driven d = {.combine = combine,
              .apply = apply,
              .user = &m,
              .bound = bound,
              .method = DRIVE_MAGNUS,
              .tol = q->tol,
              .kinks = kink};
  d.n_kinks = schedule_kinks(q->schedule, kink, KINKS);
  for (int64_t k = 0; k < d.n_kinks; k++) kink[k] *= q->time;
  RtStatus st = driven_evolve(rt, &d, from, to, s, NULL);
  rt_free(rt, m.spare, bytes);
  return st;
}

RtStatus anneal_density(Rt *rt, const OpenAnneal *a, Density *rho) {
  VarTable vars;
  Parts p;
  RT_TRY(state_register(rt, a->bits, &vars));
  RtStatus st = parts_make(rt, a, &vars, true, &p);
  vars_free(rt, &vars);
  if (st) return st;
  st = evolve(rt, &p, 0, a->q->time, &rho->s);
  parts_free(rt, &p);
  return st;
}

/* ---- trajectories ---------------------------------------------------------------------------- */

static RtStatus move_split(Rt *rt, const void *user, double t0, double t1, State *s) {
  const OpenAnneal *a = user;
  Quench q = *a->q;
  q.progress = NULL;
  return quench_evolve(rt, &q, a->bits, a->level, t0, t1, NULL, s, NULL);
}

static RtStatus move_any(Rt *rt, const void *user, double t0, double t1, State *s) {
  return evolve(rt, user, t0, t1, s);
}

RtStatus anneal_trajectories(Rt *rt, const OpenAnneal *a, const AnnealAsk *ask, double *jumps) {
  Unravel u = {.move = move_split, .user = a};
  Lindblad l = {.n = a->n, .jump = a->jump};
  Applied **jump;
  Parts p = {0};
  TrajectoryAsk all = {.from = ask->start,
                       .times = 1,
                       .t = &a->q->time,
                       .trajectories = ask->trajectories,
                       .rng = ask->rng,
                       .each = ask->each,
                       .each_user = ask->each_user,
                       .progress = ask->progress,
                       .progress_user = ask->progress_user};
  RT_TRY(unravel_jumps(rt, &ask->start->vars, &l, &u, &jump));
  RtStatus st = RT_OK;
  if (isnan(u.rate)) {
    st = parts_make(rt, a, &ask->start->vars, false, &p);
    u.move = move_any;
    u.user = &p;
  }
  if (!st) st = trajectories(rt, &u, &all, NULL, NULL, jumps);
  parts_free(rt, &p);
  unravel_free(rt, a->n, jump);
  return st;
}

/* ---- reads
 * ---------------------------------------------------------------------------------------- */

typedef struct {
  const Ising *p;
  RngCall rng;
  int64_t every; /* reads of trajectory r: first + stride r, + every, ..   */
  int64_t first, stride;
  double *sum; /* [states]                                             */
  Samples *out;
} Reads;

/* Rows from the weights whose running sums are at sum. */
static void draw(const Reads *d, int64_t first, int64_t every) {
  int64_t n = (int64_t)1 << d->p->n;
  for (int64_t r = first; r < d->out->rows; r += every) {
    double u = rng_uniform(d->rng, (uint64_t)r) * d->sum[n - 1];
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
      int64_t mid = (lo + hi) / 2;
      if (d->sum[mid] > u) hi = mid;
      else lo = mid + 1;
    }
    int8_t *spin = d->out->spin + r * d->p->n;
    for (int64_t i = 0; i < d->p->n; i++) spin[i] = lo >> i & 1 ? -1 : 1;
    d->out->energy[r] = ising_energy(d->p, spin);
  }
}

static RtStatus draw_pure(void *user, int64_t r, const State *s) {
  Reads *d = user;
  double total = 0;
  for (int64_t x = 0; x < s->size; x++)
    d->sum[x] = total += s->amp[x].re * s->amp[x].re + s->amp[x].im * s->amp[x].im;
  draw(d, d->first + d->stride * r, d->every);
  return RT_OK;
}

static RtStatus by_density(Rt *rt, const OpenAnneal *o, Reads *d, const State *from, int64_t start,
                           int64_t starts) {
  Density rho;
  double total = 0;
  RT_TRY(density_pure(rt, from, &rho));
  RtStatus st = anneal_density(rt, o, &rho);
  for (int64_t x = 0; x < rho.dim; x++) d->sum[x] = total += fmax(density_at(&rho, x, x).re, 0);
  if (!st) draw(d, start, starts);
  density_free(rt, &rho);
  return st;
}

/* Each start has its share of the trajectories and the reads start, start + starts, .. */
static RtStatus by_start(Rt *rt, const OpenAnneal *o, const QuenchArgs *a, Reads *d, State *s,
                         int64_t start, int64_t starts, int64_t count, double *jumps) {
  if (schedule_reverse(o->q->schedule)) quench_start(a->initial + start * d->p->n, s);
  if (!count) return by_density(rt, o, d, s, start, starts);
  d->first = start;
  d->stride = starts;
  int64_t reads = (d->out->rows - start + starts - 1) / starts;
  int64_t mine = (count + starts - 1) / starts < reads ? (count + starts - 1) / starts : reads;
  d->every = mine * starts;
  AnnealAsk ask = {.trajectories = mine,
                   .rng = a->rng,
                   .start = s,
                   .each = draw_pure,
                   .each_user = d,
                   .progress = a->progress,
                   .progress_user = a->user};
  ask.rng.key = rng_derive(a->rng.key, "start", start);
  return anneal_trajectories(rt, o, &ask, jumps);
}

static RtStatus reads(Rt *rt, const Ising *p, const QuenchArgs *a, OpenAnneal *o, State *s,
                      int64_t count, Samples *out) {
  size_t bytes = (size_t)s->size * sizeof(double);
  double *level = rt_alloc(rt, bytes), *sum = level ? rt_alloc(rt, bytes) : NULL, jumps = 0;
  bool reverse = schedule_reverse(o->q->schedule);
  int64_t starts = reverse ? a->initial_rows : 1;
  RtStatus st = sum ? quench_levels(rt, p, NULL, level) : rt->error.status;
  Reads d = {.p = p, .rng = a->rng, .sum = sum, .out = out};
  o->level = level;
  if (!st) st = samples_make(rt, out, a->reads, p->n);
  if (!st && starts > out->rows) starts = out->rows;
  for (int64_t k = 0; k < starts && !st; k++)
    st = by_start(rt, o, a, &d, s, k, starts, count, &jumps);
  if (sum) rt_free(rt, sum, bytes);
  if (level) rt_free(rt, level, bytes);
  if (st) return st;
  const char *unit = o->q->schedule->ghz ? "ns" : "";
  double time = o->q->time / o->q->unit * (o->q->schedule->ghz ? 1e9 : 1);
  if (count)
    snprintf(out->note, sizeof out->note, "Lindblad's equation, time %.6g%s, %lld trajectories",
             time, unit, (long long)count);
  else
    snprintf(out->note, sizeof out->note, "Lindblad's equation, time %.6g%s, density matrix", time,
             unit);
  return RT_OK;
}

RtStatus sample_quench_open(Rt *rt, const Ising *p, const QuenchArgs *a, int n, Operator *jump,
                            int64_t trajectories, Samples *out) {
  Quench q;
  VarTable vars;
  State s;
  *out = (Samples){0};
  double began = rt_now();
  RT_TRY(quench_fits(rt, p->n, ""));
  if (a->reads < 1)
    return rt_fail(rt, RT_ERROR, "quench: reads is %lld; it counts from 1", (long long)a->reads);
  if (!trajectories && p->n > ANNEAL_DENSITY) trajectories = a->reads;
  if (trajectories > a->reads) trajectories = a->reads;
  RT_TRY(quench_plan(rt, a, temper_scale(p), &q));
  OpenAnneal o = {.q = &q, .bits = (int)p->n, .n = n, .jump = jump};
  state_init(&s);
  RtStatus st = quench_check_start(rt, &q, a);
  if (!st && !(st = state_register(rt, p->n, &vars))) {
    st = state_plus(rt, &vars, &s);
    vars_free(rt, &vars);
  }
  if (!st) st = reads(rt, p, a, &o, &s, trajectories, out);
  state_free(rt, &s);
  quench_free(rt, &q);
  out->seconds = rt_now() - began;
  if (st) samples_free(rt, out);
  return st;
}
