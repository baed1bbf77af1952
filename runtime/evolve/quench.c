/* quench.c: annealing by Schroedinger's equation: levels, evolution, reads. */
#include "runtime/evolve/quench.h"
#include "runtime/binary/temper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

RtStatus quench_fits(Rt *rt, int64_t variables, const char *more) {
  if (variables <= QUENCH_QUBITS) return RT_OK;
  rt_fail(rt, RT_ERROR, "quench: %lld variables%s; a state vector of %d is the most",
          (long long)variables, more, QUENCH_QUBITS);
  rt_help(rt, "sqa() follows the same schedule for problems of any size");
  return RT_ERROR;
}

/* ---- levels ------------------------------------------------------------------------------ */

/* Variable by variable: with field f of those before, E + f s. */
RtStatus quench_levels(Rt *rt, const Ising *p, const int8_t *down, double *level) {
  size_t bytes = (size_t)1 << p->n >> 1;
  bytes = (bytes ? bytes : 1) * sizeof(double);
  double *field = rt_alloc(rt, bytes);
  if (!field) return rt->error.status;
  level[0] = p->offset;
  for (int64_t i = 0; i < p->n; i++) {
    field[0] = p->h[i];
    int64_t size = 1;
    int64_t k = p->start[i];
    for (int64_t j = 0; j < i; j++, size *= 2) {
      double c = 0;
      while (k < p->start[i + 1] && p->other[k] < j) k++;
      if (k < p->start[i + 1] && p->other[k] == j) c = p->J[k];
      double d = down && down[j] > 0 ? c : -c;
      for (int64_t x = 0; x < size; x++) {
        field[size + x] = field[x] + d;
        field[x] -= d;
      }
    }
    double d = down && down[i] > 0 ? 1 : -1;
    for (int64_t x = 0; x < size; x++) {
      level[size + x] = level[x] + d * field[x];
      level[x] -= d * field[x];
    }
  }
  rt_free(rt, field, bytes);
  return RT_OK;
}

double quench_scale(int bits, const double *level) {
  double sum = 0;
  int64_t n = (int64_t)1 << bits;
  for (int q = 0; q < bits; q++)
    for (int64_t x = 0; x < n; x++) {
      double d = (level[x] - level[x ^ (int64_t)1 << q]) / 2;
      sum += d * d;
    }
  return bits ? sqrt(sum / (double)n / bits) : 0;
}

/* ---- the plan ------------------------------------------------------------------------------ */

static RtStatus own_schedule(Rt *rt, double gamma, Schedule *out) {
  RT_TRY(curve_make(rt, 2, &out->A));
  RT_TRY(curve_make(rt, 2, &out->B));
  for (int k = 0; k < 2; k++) {
    out->A.x[k] = out->B.x[k] = out->B.y[k] = k;
    out->A.y[k] = k ? 0 : gamma;
  }
  return RT_OK;
}

static RtStatus choose_time(Rt *rt, const QuenchArgs *a, double scale, Quench *q) {
  const Schedule *c = q->schedule;
  bool given = !isnan(a->time), seconds = given ? a->seconds : c->n_path ? c->seconds : c->ghz;
  q->time = given ? a->time : c->n_path ? schedule_time(c) : 20 / scale;
  if (!given && !c->n_path && c->ghz) {
    rt_fail(rt, RT_ERROR, "quench: the schedule is in GHz and there is no time");
    rt_help(rt, "quench(schedule = \"standard\", time = 20ns)");
    return RT_ERROR;
  }
  if (!(q->time >= 0) || isinf(q->time))
    return rt_fail(rt, RT_ERROR, "quench: the time is %g: it must be finite and not negative",
                   q->time);
  if (seconds != c->ghz) {
    rt_fail(rt, RT_ERROR,
            seconds ? "quench: the time has a unit, A and B are plain numbers"
                    : "quench: A and B are in GHz, the time is a plain number");
    rt_help(rt, seconds
                    ? "give the schedule in GHz (schedule(s => 6GHz * (1 - s), ..), \"standard\", "
                      "\"fast\"), or a plain time"
                    : "give the time a unit: time = 20ns");
    return RT_ERROR;
  }
  q->unit = seconds ? 2 * M_PI * 1e9 : 1;
  q->time *= q->unit;
  return RT_OK;
}

RtStatus quench_plan(Rt *rt, const QuenchArgs *a, double scale, Quench *out) {
  *out = (Quench){.schedule = a->schedule,
                  .tol = a->tol,
                  .steps = a->steps,
                  .progress = a->progress,
                  .user = a->user};
  if (!(scale > 0)) scale = 1;
  double gamma = isnan(a->gamma) ? 1.5 * scale : a->gamma;
  if (!(gamma >= 0) || isinf(gamma))
    return rt_fail(rt, RT_ERROR, "quench: gamma is %g: it must be finite and not negative", gamma);
  RtStatus st = RT_OK;
  if (!a->schedule) {
    st = own_schedule(rt, gamma, &out->own);
    out->schedule = &out->own;
  }
  if (!st) st = schedule_check(rt, out->schedule);
  if (!st) st = choose_time(rt, a, scale, out);
  if (st) quench_free(rt, out);
  return st;
}

void quench_free(Rt *rt, Quench *q) { schedule_free(rt, &q->own); }

/* ---- evolution ----------------------------------------------------------------------------- */

static void coefs(void *user, double t, double *c) {
  const Quench *q = user;
  double A;
  schedule_weights(q->schedule, schedule_s(q->schedule, q->time > 0 ? t / q->time : 1), &A, &c[1]);
  c[0] = -A;
}

static void progress(void *user, double t) {
  const Quench *q = user;
  q->progress(q->user, t / q->time);
}

RtStatus quench_evolve(Rt *rt, const Quench *q, int bits, const double *level, double from,
                       double to, double *step, State *s, DriveReport *report) {
  enum { KINKS = 256 };
  double one[SPLIT_QUBITS], kink[KINKS];
  for (int i = 0; i < bits; i++) one[i] = 1;
  Quench along = *q;
  Split m = {.n = 2,
             .bits = bits,
             .level = {NULL, level},
             .field = {one, NULL},
             .coefs = coefs,
             .user = &along};
  Driven d = {.split = &m,
              .method = DRIVE_SPLIT,
              .tol = q->tol,
              .steps = q->steps,
              .kinks = kink,
              .step = step ? *step : 0,
              .progress = q->progress ? progress : NULL,
              .progress_user = &along};
  d.n_kinks = schedule_kinks(q->schedule, kink, KINKS);
  for (int64_t k = 0; k < d.n_kinks; k++) kink[k] *= q->time;
  DriveReport own, *r = report ? report : &own;
  RtStatus st = driven_evolve(rt, &d, from, to, s, r);
  if (!st && step && r->step > 0) *step = r->step;
  return st;
}

/* ---- reads ------------------------------------------------------------------------------------
 */

/* Rows first, first + every .. of `out`, drawn from |psi|^2; sum: [states] scratch. */
static void draw(const Ising *p, const State *s, RngCall rng, int64_t first, int64_t every,
                 double *sum, Samples *out) {
  double total = 0;
  for (int64_t x = 0; x < s->size; x++) {
    total += s->amp[x].re * s->amp[x].re + s->amp[x].im * s->amp[x].im;
    sum[x] = total;
  }
  for (int64_t r = first; r < out->rows; r += every) {
    double u = rng_uniform(rng, (uint64_t)r) * total;
    int64_t lo = 0, hi = s->size - 1;
    while (lo < hi) { /* the first with sum > u */
      int64_t mid = (lo + hi) / 2;
      if (sum[mid] > u) hi = mid;
      else lo = mid + 1;
    }
    int8_t *spin = out->spin + r * p->n;
    for (int64_t i = 0; i < p->n; i++) spin[i] = lo >> i & 1 ? -1 : 1;
    out->energy[r] = ising_energy(p, spin);
  }
}

void quench_start(const int8_t *spin, State *s) {
  int64_t at = 0;
  for (int64_t i = 0; (int64_t)1 << i < s->size; i++) at |= (int64_t)(spin[i] < 0) << i;
  memset(s->amp, 0, (size_t)s->size * sizeof *s->amp);
  s->amp[at].re = 1;
}

/* Forward: one evolution.  Reverse: one for each of the starts in use. */
static RtStatus all_reads(Rt *rt, const Ising *p, const Quench *q, const QuenchArgs *a,
                          const double *level, double *sum, State *s, Samples *out,
                          DriveReport *r) {
  bool reverse = schedule_reverse(q->schedule);
  int64_t starts = reverse ? a->initial_rows : 1;
  if (starts > out->rows) starts = out->rows;
  double step = 0;
  for (int64_t k = 0; k < starts; k++) {
    if (reverse) quench_start(a->initial + k * p->n, s);
    RT_TRY(quench_evolve(rt, q, (int)p->n, level, 0, q->time, &step, s, r));
    draw(p, s, a->rng, k, starts, sum, out);
  }
  return RT_OK;
}

RtStatus quench_check_start(Rt *rt, const Quench *q, const QuenchArgs *a) {
  bool reverse = schedule_reverse(q->schedule);
  if (reverse && !(a->initial && a->initial_rows > 0)) {
    rt_fail(rt, RT_ERROR,
            "quench: the schedule begins with s = 1 and there is no state to begin with");
    rt_help(rt, "sample(H, quench(..), from = samples)");
    return RT_ERROR;
  }
  if (reverse || !a->initial) return RT_OK;
  rt_fail(rt, RT_ERROR,
          "quench: an anneal from s = 0 begins in the driver's ground state, not `from` samples");
  rt_help(rt, "a reverse anneal has a path that begins with s = 1");
  return RT_ERROR;
}

RtStatus sample_quench(Rt *rt, const Ising *p, const QuenchArgs *a, Samples *out) {
  *out = (Samples){0};
  double began = rt_now();
  RT_TRY(quench_fits(rt, p->n, ""));
  if (a->reads < 1)
    return rt_fail(rt, RT_ERROR, "quench: reads is %lld; it counts from 1", (long long)a->reads);
  Quench q;
  VarTable vars;
  State s;
  DriveReport r = {0};
  RT_TRY(quench_plan(rt, a, temper_scale(p), &q));
  RtStatus st = quench_check_start(rt, &q, a);
  state_init(&s);
  if (!st && !(st = state_register(rt, p->n, &vars))) {
    st = state_plus(rt, &vars, &s);
    vars_free(rt, &vars);
  }
  size_t bytes = (size_t)s.size * sizeof(double);
  double *level = st ? NULL : rt_alloc(rt, bytes), *sum = level ? rt_alloc(rt, bytes) : NULL;
  if (!st && !sum) st = rt->error.status;
  if (!st) st = quench_levels(rt, p, NULL, level);
  if (!st) st = samples_make(rt, out, a->reads, p->n);
  if (!st) st = all_reads(rt, p, &q, a, level, sum, &s, out, &r);
  if (sum) rt_free(rt, sum, bytes);
  if (level) rt_free(rt, level, bytes);
  state_free(rt, &s);
  out->seconds = rt_now() - began;
  if (!st) {
    char unit[3] = "";
    if (q.schedule->ghz) strcpy(unit, "ns");
    snprintf(out->note, sizeof out->note, "Schroedinger's equation, time %.6g%s, %lld steps",
             q.time / q.unit * (q.schedule->ghz ? 1e9 : 1), unit, (long long)r.steps);
  }
  quench_free(rt, &q);
  if (st) samples_free(rt, out);
  return st;
}
