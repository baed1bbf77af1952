/* levels.c: the lowest or highest levels of an operator, by the way that suits it. */
#include "runtime/evolve/evolve.h"
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/linalg.h"

#include <math.h>
#include <string.h>

enum { DENSE = 256, DENSE_MAX = 4096, TAPER_LEAST = 9 };
static const double TOLERANCE = 1e-11;

/* Where the levels are looked for. */
typedef struct {
  const Operator *whole;      /* what was given, for its variables                    */
  Operator *op;               /* acts on the vectors; with a sector NULL              */
  Operator tapered;
  Taper taper;
  Sector *sector;
  Flips terms;
  Reduction *reduced;
  bool real, positive;        /* positive: a state without signs is among the lowest   */
  int64_t size;               /* states                                               */
} Space;

static RtStatus whole_state(Rt *rt, const Space *s, bool wide, const double *x, State *out) {
  if (s->sector) return sector_state(rt, s->sector, &s->whole->vars, wide, x, out);
  if (s->taper.n_rule) return taper_state(rt, &s->taper, &s->whole->vars, wide, x, out);
  RT_TRY(state_new(rt, &s->whole->vars, out));
  if (wide) memcpy(out->amp, x, (size_t)out->size * sizeof *out->amp);
  else
    for (int64_t i = 0; i < out->size; i++) out->amp[i] = (c128){x[i], 0};
  return RT_OK;
}

/* ---- diagonal operators ---------------------------------------------------------------- */

/* Entry i belongs before the last of the k best so far. */
static void insert(int64_t k, int64_t *n, int64_t *best, const double *d, int64_t i) {
  if (*n == k && d[i] >= d[best[k - 1]]) return;
  int64_t lo = 0, hi = *n;
  while (lo < hi) {
    int64_t mid = (lo + hi) / 2;
    if (d[best[mid]] <= d[i]) lo = mid + 1;
    else hi = mid;
  }
  if (*n < k) ++*n;
  memmove(best + lo + 1, best + lo, (size_t)(*n - 1 - lo) * sizeof *best);
  best[lo] = i;
}

static RtStatus read_off(Rt *rt, const Space *s, int64_t k, Level *level, State *states) {
  Applied *a;
  size_t bytes = (size_t)s->size * sizeof(double);
  RT_TRY(states_fit(rt, "the diagonal", s->size, 2, sizeof(double)));
  RT_TRY(applied_make(rt, s->op, false, &a));
  double *one = rt_alloc(rt, bytes), *d = rt_alloc(rt, bytes);
  int64_t *best = rt_alloc(rt, (size_t)k * sizeof *best), n = 0;
  RtStatus st = one && d && best ? RT_OK : rt->error.status;
  for (int64_t i = 0; !st && i < s->size; i++) one[i] = 1;
  if (!st) st = applied_to(rt, a, one, d);
  for (int64_t i = 0; !st && i < s->size; i++) insert(k, &n, best, d, i);
  for (int64_t j = 0; !st && j < k; j++) {
    level[j] = (Level){d[best[j]], 0};
    if (!states) continue;
    memset(one, 0, bytes);
    one[best[j]] = 1;
    st = whole_state(rt, s, false, one, &states[j]);
  }
  if (best) rt_free(rt, best, (size_t)k * sizeof *best);
  if (d) rt_free(rt, d, bytes);
  if (one) rt_free(rt, one, bytes);
  applied_free(rt, a);
  return st;
}

/* ---- dense --------------------------------------------------------------------------------- */

static double dense_residual(const Tensor *m, const Tensor *x, int64_t j, double energy) {
  int64_t n = m->shape[0];
  double sum = 0;
  for (int64_t r = 0; r < n; r++) {
    c128 v = tensor_get_c128(x, r * n + j), y = {-energy * v.re, -energy * v.im};
    for (int64_t c = 0; c < n; c++) {
      c128 h = tensor_get_c128(m, r * n + c), u = tensor_get_c128(x, c * n + j);
      y.re += h.re * u.re - h.im * u.im;
      y.im += h.re * u.im + h.im * u.re;
    }
    sum += y.re * y.re + y.im * y.im;
  }
  return sqrt(sum);
}

static RtStatus dense(Rt *rt, Space *s, bool residuals, int64_t k, Level *level, State *states) {
  Tensor *m = s->sector ? reduction_matrix(rt, s->reduced) : operator_matrix(rt, s->op);
  Tensor *values = NULL, *columns = NULL;
  RtStatus st = m ? linalg_eigh(rt, m, &values, &columns) : rt->error.status;
  double *x = st ? NULL : rt_alloc(rt, (size_t)s->size * 2 * sizeof *x);
  if (!st && !x) st = rt->error.status;
  for (int64_t j = 0; j < k && !st; j++) {
    int64_t n = m->shape[0];
    level[j] = (Level){tensor_get_f64(values, j), 0};
    if (residuals) level[j].residual = dense_residual(m, columns, j, level[j].energy);
    for (int64_t i = 0; states && i < n; i++) {
      c128 v = tensor_get_c128(columns, i * n + j);
      x[2 * i] = v.re;
      x[2 * i + 1] = v.im;
    }
    if (states) st = whole_state(rt, s, true, x, &states[j]);
  }
  if (x) rt_free(rt, x, (size_t)s->size * 2 * sizeof *x);
  tensor_unref(rt, m);
  tensor_unref(rt, values);
  tensor_unref(rt, columns);
  return st;
}

/* ---- Lanczos ------------------------------------------------------------------------------- */

/* The lowest alone; where it is a mixture of close levels, a block takes them apart. */
static RtStatus one_level(Rt *rt, const Space *s, const Linear *l, double *x, Level *level) {
  bool good;
  RT_TRY(lanczos_lowest(rt, l, s->positive ? 0 : 0.1, TOLERANCE, x, level, &good));
  if (good) return RT_OK;
  RT_TRY(states_fit(rt, "taking close levels apart", s->size, (double)lanczos_block_least(1),
                    l->wide ? 16 : 8));
  double *start = rt_alloc(rt, (size_t)l->size * sizeof *start);
  if (!start) return rt->error.status;
  memcpy(start, x, (size_t)l->size * sizeof *start);
  RtStatus st = lanczos_block(rt, l, 1, TOLERANCE, start, &x, level);
  rt_free(rt, start, (size_t)l->size * sizeof *start);
  return st;
}

static RtStatus iterate(Rt *rt, const Space *s, const Linear *l, int64_t k, Level *level,
                        State *states) {
  size_t bytes = (size_t)l->size * sizeof(double);
  double need = k == 1 ? 6 : (double)lanczos_block_least(k) + (double)k;
  double **x = rt_alloc0(rt, (size_t)k * sizeof *x);
  if (!x) return rt->error.status;
  RtStatus st = states_fit(rt, "Lanczos's method", s->size, need, l->wide ? 16 : 8);
  for (int64_t j = 0; j < k && !st; j++)
    if (!(x[j] = rt_alloc(rt, bytes))) st = rt->error.status;
  if (!st && k == 1) st = one_level(rt, s, l, x[0], level);
  else if (!st) st = lanczos_block(rt, l, k, TOLERANCE, NULL, x, level);
  for (int64_t j = 0; j < k && !st && states; j++)
    st = whole_state(rt, s, l->wide, x[j], &states[j]);
  for (int64_t j = 0; j < k; j++)
    if (x[j]) rt_free(rt, x[j], bytes);
  rt_free(rt, x, (size_t)k * sizeof *x);
  return st;
}

static RtStatus solve(Rt *rt, Space *s, const LevelsAsk *ask, int64_t k, Level *level,
                      State *states) {
  if (k < 1 || k > s->size)
    return rt_fail(rt, RT_ERROR, "there are %lld levels, found k = %lld", (long long)s->size,
                   (long long)k);
  if (s->op && !s->op->product.n) return read_off(rt, s, k, level, states);
  if (s->size <= DENSE || (s->size <= DENSE_MAX && 8 * k > s->size))
    return dense(rt, s, ask->residuals, k, level, states);
  if (3 * k > s->size) {
    rt_fail(rt, RT_ERROR, "%lld of %lld levels are too many for Lanczos's method", (long long)k,
            (long long)s->size);
    rt_help(rt, "up to %d states the whole spectrum is found; sectors are smaller", DENSE_MAX);
    return RT_ERROR;
  }
  if (s->sector) {
    Linear l = reduction_linear(s->reduced);
    return iterate(rt, s, &l, k, level, states);
  }
  Applied *p;
  RT_TRY(applied_make(rt, s->op, !s->real, &p));
  Linear l = linear_applied(p);
  RtStatus st = iterate(rt, s, &l, k, level, states);
  applied_free(rt, p);
  return st;
}

/* ---- the space ----------------------------------------------------------------------------- */

static RtStatus linear_apply(Rt *rt, const void *map, const double *x, double *y) {
  return applied_to(rt, map, x, y);
}

Linear linear_applied(const Applied *a) {
  return (Linear){applied_size(a), applied_wide(a), linear_apply, a};
}

static RtStatus taper(Rt *rt, Space *s, int n, const SectorRule *rule) {
  int variables = (int)s->whole->vars.n;
  RT_TRY(taper_make(rt, variables, n, rule, &s->taper));
  if (variables - s->taper.n_rule < 1) {
    s->taper.n_rule = 0;
    return RT_OK;
  }
  RT_TRY(taper_operator(rt, &s->taper, &s->terms, &s->tapered));
  s->op = &s->tapered;
  s->size = (int64_t)1 << (variables - s->taper.n_rule);
  return RT_OK;
}

/* Do all flips have negative amplitudes?  Then the lowest state has an overlap with equal
 * amplitudes, and so has one with all products of X at +1. */
static bool all_negative(const Flips *p) {
  bool any = false;
  for (int64_t t = 0; t < p->n; t++) {
    if (!p->term[t].x) continue;
    if (p->term[t].z || p->term[t].c.im != 0 || p->term[t].c.re >= 0) return false;
    any = true;
  }
  return any;
}

static RtStatus use_symmetry(Rt *rt, Space *s) {
  int variables = (int)s->whole->vars.n;
  RT_TRY(flips_of(rt, s->op, &s->terms));
  if (!(s->positive = all_negative(&s->terms))) return RT_OK;
  Conserved *c = rt_alloc(rt, sizeof *c);
  if (!c) return rt->error.status;
  conserved_find(&s->terms, variables, c);
  SectorRule rule[RULES_MAX];
  int n = 0;
  for (; n < c->n_x && n < RULES_MAX && n < variables - TAPER_LEAST; n++)
    rule[n] = (SectorRule){.kind = RULE_X, .mask = c->x[n]};
  rt_free(rt, c, sizeof *c);
  return n ? taper(rt, s, n, rule) : RT_OK;
}

static RtStatus use_sector(Rt *rt, Space *s, const LevelsAsk *ask) {
  bool sums = false;
  int variables = (int)s->whole->vars.n;
  RT_TRY(flips_of(rt, s->op, &s->terms));
  for (int i = 0; i < ask->n_rule; i++) sums |= ask->rule[i].kind == RULE_SUM;
  if (!sums && variables - ask->n_rule >= TAPER_LEAST) return taper(rt, s, ask->n_rule, ask->rule);
  RT_TRY(sector_make(rt, variables, ask->n_rule, ask->rule, &s->sector));
  s->size = sector_size(s->sector);
  s->op = NULL;
  return reduction_make(rt, s->sector, &s->terms, !s->real, &s->reduced);
}

static RtStatus find(Rt *rt, Operator *a, const LevelsAsk *ask, int64_t k, Level *level,
                     State *states) {
  Space s = {.whole = a, .op = a};
  RtStatus st = operator_real(rt, a, &s.real);
  operator_init(&s.tapered);
  if (!st && (!ask->n_rule || states)) st = states_count(rt, &a->vars, &s.size);
  if (!st && ask->n_rule) st = use_sector(rt, &s, ask);
  else if (!st && k == 1 && s.size > DENSE && a->product.n && flips_possible(&a->vars))
    st = use_symmetry(rt, &s);
  if (!st) st = solve(rt, &s, ask, k, level, states);
  reduction_free(rt, s.reduced);
  sector_free(rt, s.sector);
  flips_free(rt, &s.terms);
  operator_free(rt, &s.tapered);
  return st;
}

RtStatus levels_find(Rt *rt, Operator *a, const LevelsAsk *ask, int64_t k, Level *level,
                     State *states) {
  for (int64_t j = 0; states && j < k; j++) state_init(&states[j]);
  if (!ask->largest) return find(rt, a, ask, k, level, states);
  Operator minus;
  RT_TRY(operator_merge(rt, a));
  RT_TRY(operator_copy(rt, &minus, a));
  RtStatus st = operator_scale(rt, &minus, (c128){-1, 0});
  if (!st) st = find(rt, &minus, ask, k, level, states);
  for (int64_t j = 0; j < k && !st; j++) level[j].energy = -level[j].energy;
  operator_free(rt, &minus);
  return st;
}

RtStatus spectrum(Rt *rt, Operator *a, int64_t k, Level *level, State *states) {
  return levels_find(rt, a, &(LevelsAsk){0}, k, level, states);
}
