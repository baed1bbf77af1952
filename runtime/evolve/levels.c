/* levels.c: the lowest or highest levels of an operator, by the way that suits it. */
#include "runtime/evolve/space.h"
#include "runtime/tensor/linalg.h"

#include <math.h>
#include <string.h>

enum { DENSE = 256, DENSE_MAX = 2048 };
static const double TOLERANCE = 1e-11;

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
    st = space_state(rt, s, false, one, &states[j]);
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
  Tensor *m = space_matrix(rt, s);
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
    if (states) st = space_state(rt, s, true, x, &states[j]);
  }
  if (x) rt_free(rt, x, (size_t)s->size * 2 * sizeof *x);
  tensor_unref(rt, m);
  tensor_unref(rt, values);
  tensor_unref(rt, columns);
  return st;
}

/* ---- Lanczos ------------------------------------------------------------------------------- */

/* The lowest alone; where it is a mixture of close levels, a block takes them apart. */
static RtStatus one_level(Rt *rt, const Space *s, const Linear *l, double *x, Level *level,
                          bool *good) {
  RT_TRY(lanczos_lowest(rt, l, s->positive ? 0 : 0.1, TOLERANCE, x, level, good));
  if (*good || s->size <= DENSE_MAX) return RT_OK;
  RT_TRY(states_fit(rt, "taking close levels apart", s->size, (double)lanczos_block_least(1),
                    l->wide ? 16 : 8));
  double *start = rt_alloc(rt, (size_t)l->size * sizeof *start);
  if (!start) return rt->error.status;
  memcpy(start, x, (size_t)l->size * sizeof *start);
  RtStatus st = lanczos_block(rt, l, 1, TOLERANCE, start, &x, level, good);
  rt_free(rt, start, (size_t)l->size * sizeof *start);
  return st;
}

static RtStatus iterate(Rt *rt, const Space *s, const Linear *l, int64_t k, Level *level,
                        State *states, bool *good) {
  size_t bytes = (size_t)l->size * sizeof(double);
  double need = k == 1 ? 5 : (double)lanczos_block_least(k) + (double)k;
  double **x = rt_alloc0(rt, (size_t)k * sizeof *x);
  if (!x) return rt->error.status;
  RtStatus st = states_fit(rt, "Lanczos's method", s->size, need, l->wide ? 16 : 8);
  for (int64_t j = 0; j < k && !st; j++)
    if (!(x[j] = rt_alloc(rt, bytes))) st = rt->error.status;
  if (!st && k == 1) st = one_level(rt, s, l, x[0], level, good);
  else if (!st) st = lanczos_block(rt, l, k, TOLERANCE, NULL, x, level, good);
  for (int64_t j = 0; j < k && !st && *good && states; j++)
    st = space_state(rt, s, l->wide, x[j], &states[j]);
  for (int64_t j = 0; j < k; j++)
    if (x[j]) rt_free(rt, x[j], bytes);
  rt_free(rt, x, (size_t)k * sizeof *x);
  return st;
}

static RtStatus solve(Rt *rt, Space *s, const LevelsAsk *ask, int64_t k, Level *level,
                      State *states) {
  if (k < 1 || k > s->size)
    return rt_fail(rt, RT_ERROR, "there %s %lld level%s, found k = %lld",
                   s->size == 1 ? "is" : "are", (long long)s->size, s->size == 1 ? "" : "s",
                   (long long)k);
  if (s->op && !s->op->product.n) return read_off(rt, s, k, level, states);
  if (s->size <= DENSE || (s->size <= DENSE_MAX && 8 * k > s->size))
    return dense(rt, s, ask->residuals, k, level, states);
  if (3 * k > s->size) {
    rt_fail(rt, RT_ERROR, "%lld of %lld levels are too many for Lanczos's method", (long long)k,
            (long long)s->size);
    rt_help(rt, "up to %d states the whole spectrum is found: ask for fewer levels, or by sector", DENSE_MAX);
    return RT_ERROR;
  }
  Linear l;
  bool good = false;
  RT_TRY(space_linear(rt, s, &l));
  RT_TRY(iterate(rt, s, &l, k, level, states, &good));
  if (good) return RT_OK;
  if (s->size <= DENSE_MAX) return dense(rt, s, ask->residuals, k, level, states);
  rt_fail(rt, RT_ERROR, "the %lld lowest levels did not converge", (long long)k);
  rt_help(rt, "ask for more levels, so that those which lie close together are among them; modes "
              "with a smaller cutoff have a narrower spectrum");
  return RT_ERROR;
}

/* ---- asking ------------------------------------------------------------------------------- */

static RtStatus find(Rt *rt, Operator *a, const LevelsAsk *ask, int64_t k, Level *level,
                     State *states) {
  Space s;
  RtStatus st = space_open(rt, a, ask->n_rule, ask->rule, k == 1, &s);
  if (!st && states && ask->n_rule) { /* whole states have to be possible */
    int64_t n;
    st = states_count(rt, &a->vars, &n);
  }
  if (!st) st = solve(rt, &s, ask, k, level, states);
  space_close(rt, &s);
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
