/* trajectories.c: jumps, many trajectories side by side, their means. */
#include "runtime/open/trajectories.h"
#include "runtime/base/parallel.h"
#include "runtime/evolve/vectors.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64, LONG_STATES = 1 << 14, SEARCH_MAX = 200 };
#define LOOK 0.5 /* of sum L'L, between two looks at the norm                   */

/* ---- one trajectory ------------------------------------------------------------------- */

typedef struct {
  Rt *rt;
  bool own; /* the context is the lane's                                */
  const Unravel *u;
  State s, start, trial, image;
  double t, left; /* left: the norm's logarithm may fall by so much until the jump */
  RngCall rng;
  uint64_t drawn;
  int64_t jumps;
} Walker;

static void copy(State *to, const State *from) {
  memcpy(to->amp, from->amp, (size_t)from->size * sizeof *to->amp);
}

static double next(Walker *w) { return rng_uniform(w->rng, w->drawn++); }

static RtStatus normalise(Walker *w, State *s) {
  double d = state_norm2(s);
  if (!(d > 0) || !isfinite(d))
    return rt_fail(w->rt, RT_ERROR, "a trajectory's state has length %g", sqrt(d));
  state_scale(s, (c128){1 / sqrt(d), 0});
  return RT_OK;
}

static RtStatus jump(Walker *w) {
  const Unravel *u = w->u;
  double total = 0, at = 0;
  int chosen = -1;
  for (int pass = 0; pass < 2; pass++) {
    double pick = pass ? next(w) * total : 0;
    for (int k = 0; k < u->n; k++) {
      RT_TRY(applied_to(w->rt, u->jump[k], state_doubles(&w->s), state_doubles(&w->image)));
      double d = state_norm2(&w->image);
      if (!pass) total += d;
      else if ((at += d) > pick) {
        chosen = k;
        break;
      }
    }
    if (!(total > 0)) break;
  }
  w->left = -log1p(-next(w));
  if (chosen < 0) return RT_OK;
  copy(&w->s, &w->image);
  w->jumps++;
  return normalise(w, &w->s);
}

/* Where sum L'L is a number, the moments of jumps are known. */
static RtStatus walk_known(Walker *w, double end) {
  const Unravel *u = w->u;
  while (w->t < end) {
    double wait = u->rate > 0 ? w->left / u->rate : INFINITY, to = fmin(end, w->t + wait);
    bool jumps = w->t + wait < end;
    RT_TRY(u->move(w->rt, u->user, w->t, to, &w->s));
    RT_TRY(normalise(w, &w->s));
    w->left -= u->rate * (to - w->t);
    w->t = to;
    if (jumps) RT_TRY(jump(w));
  }
  return RT_OK;
}

/* trial := start moved from w->t to `to`; *f: what is left of the fall. */
static RtStatus attempt(Walker *w, double to, double *f) {
  copy(&w->trial, &w->start);
  RT_TRY(w->u->move(w->rt, w->u->user, w->t, to, &w->trial));
  *f = w->left + log(state_norm2(&w->trial));
  return RT_OK;
}

/* The jump lies before `to`, where f < 0 is left: false position (the Illinois rule). */
static RtStatus find_jump(Walker *w, double to, double f) {
  double a = w->t, b = to, fa = w->left, fb = f, at = to;
  int side = 0;
  for (int k = 0; k < SEARCH_MAX && fabs(f) > 1e-10 && b - a > 1e-15 * b; k++) {
    at = isfinite(fb) ? b - fb * (b - a) / (fb - fa) : (a + b) / 2;
    RT_TRY(attempt(w, at, &f));
    if (f < 0) {
      b = at;
      fb = f;
      if (side < 0) fa /= 2;
      side = -1;
    } else {
      a = at;
      fa = f;
      if (side > 0) fb /= 2;
      side = 1;
    }
  }
  copy(&w->s, &w->trial);
  w->t = at;
  RT_TRY(normalise(w, &w->s));
  return jump(w);
}

static RtStatus walk(Walker *w, double end) {
  const Unravel *u = w->u;
  if (!isnan(u->rate)) return walk_known(w, end);
  while (w->t < end) {
    double to = fmin(end, w->t + LOOK / u->most), f;
    copy(&w->start, &w->s);
    RT_TRY(attempt(w, to, &f));
    if (f < 0) {
      RT_TRY(find_jump(w, to, f));
      continue;
    }
    copy(&w->s, &w->trial);
    RT_TRY(normalise(w, &w->s));
    w->left = f;
    w->t = to;
  }
  return RT_OK;
}

/* ---- many ---------------------------------------------------------------------------------- */

typedef struct {
  Rt *rt;
  const Unravel *u;
  const TrajectoryAsk *ask;
  int lanes;
  Walker *walker; /* [lanes]                                          */
  int64_t first;  /* trajectory of this chunk                         */
  double *value;  /* [CHUNK, times, observables]                      */
  State *at;      /* [CHUNK, times] when each is there                */
  int64_t jumps[CHUNK];
  RtStatus bad;
} Team;

static RtStatus one(Team *m, Walker *w, int64_t r) {
  const TrajectoryAsk *ask = m->ask;
  int64_t slot = r - m->first;
  w->rng = (RngCall){rng_derive(ask->rng.key, "trajectory", r), ask->rng.call};
  w->t = 0;
  w->drawn = 0;
  w->jumps = 0;
  w->left = -log1p(-next(w));
  copy(&w->s, ask->from);
  for (int64_t i = 0; i < ask->times; i++) {
    double *v = m->value + (slot * ask->times + i) * ask->observables;
    RT_TRY(walk(w, ask->t[i]));
    for (int k = 0; k < ask->observables; k++)
      RT_TRY(applied_mean(w->rt, ask->observable[k], state_doubles(&w->s), &v[k]));
    if (ask->each) copy(&m->at[slot * ask->times + i], &w->s);
    if (w->own && atomic_load(&m->rt->interrupted)) break; /* the caller polls */
  }
  m->jumps[slot] = w->jumps;
  return RT_OK;
}

static int several(void *job, int64_t first, int64_t end, int lane) {
  Team *m = job;
  for (int64_t i = first; i < end; i++)
    if (one(m, &m->walker[lane], m->first + i)) return 1;
  return 0;
}

static RtStatus walker_open(Rt *rt, Team *m, Walker *w) {
  const VarTable *vars = &m->ask->from->vars;
  *w = (Walker){.rt = rt, .u = m->u};
  State *all[4] = {&w->s, &w->start, &w->trial, &w->image};
  for (int k = 0; k < 4; k++) state_init(all[k]);
  if (m->lanes > 1) {
    if (!(w->rt = rt_open())) return rt_fail(rt, RT_MEMORY, "out of memory");
    w->own = true;
    w->rt->threads = 1;
    w->rt->deadline = rt->deadline;
    w->rt->limit = rt->limit;
  }
  RtStatus st = RT_OK;
  for (int k = 0; k < 4 && !st; k++) st = state_new(w->rt, vars, all[k]);
  if (st && w->own) rt->error = w->rt->error;
  return st;
}

static void walker_close(Walker *w) {
  if (!w->rt) return;
  State *all[4] = {&w->s, &w->start, &w->trial, &w->image};
  for (int k = 0; k < 4; k++) state_free(w->rt, all[k]);
  if (w->own) rt_close(w->rt);
}

static RtStatus team_open(Rt *rt, const Unravel *u, const TrajectoryAsk *ask, Team *m) {
  int64_t states = ask->each ? CHUNK * ask->times : 0;
  *m = (Team){.rt = rt, .u = u, .ask = ask, .lanes = 1};
  if (ask->from->size < LONG_STATES) m->lanes = rt->threads;
  if (m->lanes > CHUNK) m->lanes = CHUNK;
  RT_TRY(states_fit(rt, "the trajectories", ask->from->size, (double)states + 6 * m->lanes,
                    sizeof(c128)));
  m->walker = rt_alloc0(rt, (size_t)m->lanes * sizeof *m->walker);
  m->value = rt_alloc(rt, (size_t)(CHUNK * ask->times * ask->observables + 1) * sizeof(double));
  if (!m->walker || !m->value) return rt->error.status;
  for (int k = 0; k < m->lanes; k++) RT_TRY(walker_open(rt, m, &m->walker[k]));
  if (!states) return RT_OK;
  if (!(m->at = rt_alloc0(rt, (size_t)states * sizeof *m->at))) return rt->error.status;
  for (int64_t i = 0; i < states; i++) RT_TRY(state_new(rt, &ask->from->vars, &m->at[i]));
  return RT_OK;
}

static void team_close(Rt *rt, Team *m) {
  const TrajectoryAsk *ask = m->ask;
  int64_t states = ask->each ? CHUNK * ask->times : 0;
  for (int k = 0; m->walker && k < m->lanes; k++) walker_close(&m->walker[k]);
  for (int64_t i = 0; m->at && i < states; i++) state_free(rt, &m->at[i]);
  if (m->walker) rt_free(rt, m->walker, (size_t)m->lanes * sizeof *m->walker);
  if (m->value)
    rt_free(rt, m->value, (size_t)(CHUNK * ask->times * ask->observables + 1) * sizeof(double));
  if (m->at) rt_free(rt, m->at, (size_t)states * sizeof *m->at);
}

static RtStatus run_chunk(Team *m, int64_t count) {
  Rt *rt = m->rt;
  int bad = m->lanes > 1 ? parallel_for(m->lanes, count, 1, several, m) : several(m, 0, count, 0);
  if (!bad) return rt_poll(rt);
  for (int k = 0; k < m->lanes; k++)
    if (m->walker[k].own && m->walker[k].rt->error.status) {
      rt->error = m->walker[k].rt->error;
      break;
    }
  return rt->error.status;
}

/* Welford's running means, in the order of the trajectories. */
static RtStatus take(Team *m, int64_t count, double *mean, double *square, double *jumps) {
  const TrajectoryAsk *ask = m->ask;
  int64_t n = ask->times * ask->observables;
  for (int64_t i = 0; i < count; i++) {
    double seen = (double)(m->first + i + 1);
    for (int64_t k = 0; k < n; k++) {
      double x = m->value[i * n + k], d = x - mean[k];
      mean[k] += d / seen;
      square[k] += d * (x - mean[k]);
    }
    *jumps += ((double)m->jumps[i] - *jumps) / seen;
    if (ask->each) RT_TRY(ask->each(ask->each_user, m->first + i, m->at + i * ask->times));
  }
  return RT_OK;
}

RtStatus trajectories(Rt *rt, const Unravel *u, const TrajectoryAsk *ask, double *mean,
                      double *error, double *jumps) {
  Team m;
  int64_t n = ask->times * ask->observables, all = ask->trajectories;
  for (int64_t k = 0; k < n; k++) mean[k] = error[k] = 0;
  *jumps = 0;
  RtStatus st = team_open(rt, u, ask, &m);
  while (!st && m.first < all) {
    int64_t count = all - m.first < CHUNK ? all - m.first : CHUNK;
    st = run_chunk(&m, count);
    if (!st) st = take(&m, count, mean, error, jumps);
    m.first += count;
    if (!st && ask->progress) ask->progress(ask->progress_user, (double)m.first / (double)all);
  }
  for (int64_t k = 0; k < n; k++)
    error[k] = all > 1 ? sqrt(error[k] / (double)(all - 1) / (double)all) : NAN;
  team_close(rt, &m);
  return st;
}

RtStatus ensemble_add(void *ensemble, int64_t r, const State *at) {
  Ensemble *e = ensemble;
  for (int64_t i = 0; i < e->n; i++) {
    c128 *x = e->rho[i].s.amp;
    int64_t dim = e->rho[i].dim;
    double seen = (double)(r + 1);
    for (int64_t c = 0; c < dim; c++)
      for (int64_t k = 0; k < dim; k++, x++) {
        c128 a = at[i].amp[k], b = at[i].amp[c];
        x->re += (a.re * b.re + a.im * b.im - x->re) / seen;
        x->im += (a.im * b.re - a.re * b.im - x->im) / seen;
      }
  }
  return RT_OK;
}

/* ---- constant H and L ------------------------------------------------------------------------ */

void unravel_free(Rt *rt, int n, Applied **jump) {
  for (int k = 0; jump && k < n; k++) applied_free(rt, jump[k]);
  if (jump) rt_free(rt, jump, (size_t)n * sizeof *jump);
}

RtStatus unravel_jumps(Rt *rt, const VarTable *vars, const Lindblad *l, Unravel *u,
                       Applied ***jump) {
  Operator decay;
  c128 c;
  *jump = NULL;
  RT_TRY(lindblad_decay(rt, vars, l, &decay));
  u->rate = operator_number(&decay, &c) ? c.re : NAN;
  RtStatus st = operator_bound(rt, &decay, &u->most);
  operator_free(rt, &decay);
  if (st || !l->n) return st;
  if (!(*jump = rt_alloc0(rt, (size_t)l->n * sizeof **jump))) return rt->error.status;
  for (int k = 0; k < l->n && !st; k++) st = applied_make(rt, &l->jump[k], true, &(*jump)[k]);
  if (st) {
    unravel_free(rt, l->n, *jump);
    *jump = NULL;
    return st;
  }
  u->jump = *jump;
  u->n = l->n;
  return RT_OK;
}

static RtStatus apply(Rt *rt, const void *g, const double *x, double *y) {
  return applied_to(rt, g, x, y);
}

static RtStatus move_constant(Rt *rt, const void *user, double t0, double t1, State *s) {
  const Constant *c = user;
  if (!isnan(c->u.rate)) return evolve_real(rt, c->g, t1 - t0, c->tol, s);
  double *room[2];
  size_t bytes = (size_t)s->size * sizeof(c128);
  room[0] = rt_alloc(rt, bytes);
  room[1] = room[0] ? rt_alloc(rt, bytes) : NULL;
  RtStatus st = room[1] ? general_exp(rt, apply, c->g, c->bound, t1 - t0, c->tol, 2 * s->size, room,
                                      state_doubles(s))
                        : rt->error.status;
  for (int k = 0; k < 2; k++)
    if (room[k]) rt_free(rt, room[k], bytes);
  return st;
}

RtStatus constant_open(Rt *rt, const VarTable *vars, const Lindblad *l, double tol, Constant *out) {
  Operator g, decay;
  *out = (Constant){.tol = tol};
  RT_TRY(unravel_jumps(rt, vars, l, &out->u, &out->jump));
  bool known = !isnan(out->u.rate);
  operator_init(&g);
  RtStatus st = vars_copy(rt, &g.vars, vars);
  if (!st && l->h) st = operator_accumulate(rt, &g, known ? (c128){1, 0} : (c128){0, -1}, l->h);
  if (!st && !known && !(st = lindblad_decay(rt, vars, l, &decay))) {
    st = operator_accumulate(rt, &g, (c128){-0.5, 0}, &decay);
    operator_free(rt, &decay);
  }
  if (!st) st = operator_bound(rt, &g, &out->bound);
  if (!st) st = applied_make(rt, &g, true, &out->g);
  operator_free(rt, &g);
  out->u.move = move_constant;
  out->u.user = out;
  if (st) constant_close(rt, out);
  return st;
}

void constant_close(Rt *rt, Constant *c) {
  applied_free(rt, c->g);
  unravel_free(rt, c->u.n, c->jump);
  *c = (Constant){0};
}
