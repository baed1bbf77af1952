/* tebd.c: evolution of a chain by two-site gates (time-evolving block decimation).
 *
 * H is a sum over pairs of sites; one-site terms are shared out to the neighbouring pairs.
 * Pairs (2k, 2k+1) commute with each other and make one layer, pairs (2k+1, 2k+2) the next; each
 * pair of sites that are no neighbours is a layer of its own, whose gate acts between swaps.
 * A product formula runs over the layers: order 1, the symmetric order 2, and Suzuki's order 4 of
 * five symmetric steps p, p, 1 - 4p, p, p with p = 1 / (4 - 4^(1/3)) (Suzuki, Phys. Lett. A 146,
 * 319, 1990).  Equal layers that meet become one.  Each layer is a sweep of the centre
 * through the chain, so that every cut is the best one for the whole state.          */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/gate.h"
#include "runtime/mps/terms.h"
#include "runtime/operator/apply.h"

enum { FRACTIONS = 8 }; /* different lengths of substeps: at most 5 occur */

typedef struct {
  int64_t i, j, size; /* sites i < j; size = levels of both multiplied  */
  double *v, *w;      /* eigenvectors (columns) and values of its part of H */
  double *gate[FRACTIONS];
} Pair;

typedef struct {
  Mps *m;
  MpsTime how;
  bool wide; /* of the pairs' matrices; gates are as wide as m */
  Pair *pair;
  int64_t n_pair, n_layer, n_even, n_odd; /* near pairs first, even ones before odd ones */
  double fraction[FRACTIONS], dt;
  int n_fraction;
  int64_t pending; /* a layer that has not acted yet, or -1          */
  double pending_fraction;
  double log_norm;
} Run;

static void run_free(Rt *rt, Run *r) {
  for (int64_t p = 0; p < r->n_pair && r->pair; p++) {
    Pair *x = &r->pair[p];
    dense_free(rt, r->wide, x->size * x->size, x->v);
    dense_free(rt, false, x->size, x->w);
    for (int f = 0; f < FRACTIONS; f++) dense_free(rt, r->m->wide, x->size * x->size, x->gate[f]);
  }
  if (r->pair) rt_free(rt, r->pair, (size_t)r->n_pair * sizeof *r->pair);
}

/* ---- which pairs there are --------------------------------------------------------- */

/* Even neighbours, odd neighbours, distant pairs: three classes in the order of their layers. */
static int64_t key_of(int64_t n, int64_t i, int64_t j) {
  int64_t class = j > i + 1 ? 2 : i % 2;
  return (class * n + i) * n + j;
}

static int by_key(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static RtStatus too_long(Rt *rt, const Operator *h, const Terms *t, const Term *x) {
  Buf name = {0};
  for (int k = 0; k < x->n && k < 4; k++) {
    if (k) buf_text(&name, ", ");
    vars_name(&h->vars, t->site[x->from + k], &name);
  }
  rt_fail(rt, RT_ERROR,
          "evolution by gates takes terms on at most two sites, found one on %d: %s%s", x->n,
          name.data ? name.data : "", x->n > 4 ? ", ..." : "");
  rt_help(rt, "up to about 20 sites a state vector can be evolved: evolve(H, state(s), ..)");
  buf_free(&name);
  return RT_ERROR;
}

/* Keys of all pairs, ascending, each once; every one-site term has a neighbouring pair. */
static RtStatus keys_of(Rt *rt, const Operator *h, const Terms *t, int64_t n, int64_t *key,
                        int64_t *count) {
  bool *near = rt_alloc0(rt, (size_t)n);
  int64_t k = 0;
  if (!near) return rt->error.status;
  RtStatus st = RT_OK;
  for (int64_t x = 0; x < t->n && !st; x++) {
    const int32_t *s = t->site + t->term[x].from;
    if (t->term[x].n > 2) st = too_long(rt, h, t, &t->term[x]);
    if (st || t->term[x].n != 2) continue;
    key[k++] = key_of(n, s[0], s[1]);
    near[s[0]] |= s[1] == s[0] + 1;
  }
  for (int64_t x = 0; x < t->n && !st; x++) {
    int64_t i = t->site[t->term[x].from];
    if (t->term[x].n != 1 || near[i] || (i > 0 && near[i - 1])) continue;
    if (i == n - 1) i--;
    near[i] = true;
    key[k++] = key_of(n, i, i + 1);
  }
  rt_free(rt, near, (size_t)n);
  if (k) qsort(key, (size_t)k, sizeof *key, by_key);
  *count = 0;
  for (int64_t x = 0; x < k; x++)
    if (!*count || key[*count - 1] != key[x]) key[(*count)++] = key[x];
  return st;
}

static Pair *find(const Run *r, int64_t i, int64_t j) {
  int64_t n = r->m->n, want = key_of(n, i, j), lo = 0, hi = r->n_pair;
  while (lo < hi) {
    int64_t mid = (lo + hi) / 2;
    if (key_of(n, r->pair[mid].i, r->pair[mid].j) < want) lo = mid + 1;
    else hi = mid;
  }
  bool there = lo < r->n_pair && r->pair[lo].i == i && r->pair[lo].j == j;
  return there ? &r->pair[lo] : NULL;
}

/* x->v += c a (x) b; NULL: the identity. */
static void add_product(const Run *r, Pair *x, c128 c, const LocalOp *a, const LocalOp *b) {
  int64_t dj = mps_levels(&r->m->vars, x->j), n = x->size;
  for (int64_t to = 0; to < n; to++)
    for (int64_t from = 0; from < n; from++) {
      int64_t ti = to / dj, tj = to % dj, fi = from / dj, fj = from % dj;
      double u = a ? a->m[ti * a->d + fi].re : ti == fi;
      double v = b ? b->m[tj * b->d + fj].re : tj == fj;
      if (u == 0 || v == 0) continue;
      if (!r->wide) x->v[to * n + from] += c.re * u * v;
      else {
        x->v[2 * (to * n + from)] += c.re * u * v;
        x->v[2 * (to * n + from) + 1] += c.im * u * v;
      }
    }
}

static void share(const Run *r, const Terms *t, const Term *x) {
  int64_t i = t->site[x->from];
  const LocalOp *a = &t->local[t->op[x->from]];
  if (x->n == 2) {
    add_product(r, find(r, i, t->site[x->from + 1]), x->c, a, &t->local[t->op[x->from + 1]]);
    return;
  }
  Pair *before = i > 0 ? find(r, i - 1, i) : NULL;
  Pair *behind = i + 1 < r->m->n ? find(r, i, i + 1) : NULL;
  c128 c = x->c;
  if (before && behind) c = (c128){c.re / 2, c.im / 2};
  if (before) add_product(r, before, c, NULL, a);
  if (behind) add_product(r, behind, c, a, NULL);
}

static RtStatus diagonalised(Rt *rt, Run *r) {
  for (int64_t p = 0; p < r->n_pair; p++) {
    Pair *x = &r->pair[p];
    RT_TRY(dense_eigen(rt, r->wide, x->size, x->v, x->w));
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

/* Blocks of every pair: eigenvectors, and up to five gates. */
static RtStatus pairs_fit(Rt *rt, const Run *r) {
  double total = 0;
  for (int64_t p = 0; p < r->n_pair; p++)
    total += 6.0 * (double)r->pair[p].size * (double)r->pair[p].size;
  return states_fit(rt, "evolution by gates", total < 1e18 ? (int64_t)total : INT64_MAX / 64, 1, 16);
}

static RtStatus pairs_make(Rt *rt, const Operator *h, const Terms *t, Run *r) {
  int64_t n = r->m->n, cap = t->n + 1, count = 0;
  int64_t *key = rt_alloc(rt, (size_t)cap * sizeof *key);
  RtStatus st = key ? keys_of(rt, h, t, n, key, &count) : rt->error.status;
  if (!st && count) {
    r->pair = rt_alloc0(rt, (size_t)count * sizeof *r->pair);
    if (!r->pair) st = rt->error.status;
    else r->n_pair = count;
  }
  for (int64_t p = 0; p < count && !st; p++) {
    int64_t class = key[p] / (n * n), i = key[p] / n % n, j = key[p] % n;
    int64_t size = mps_levels(&r->m->vars, i) * mps_levels(&r->m->vars, j);
    r->pair[p] = (Pair){.i = i, .j = j, .size = size};
    r->n_even += class == 0;
    r->n_odd += class == 1;
  }
  if (key) rt_free(rt, key, (size_t)cap * sizeof *key);
  if (!st) st = pairs_fit(rt, r);
  for (int64_t p = 0; p < count && !st; p++) {
    Pair *x = &r->pair[p];
    x->v = dense_new0(rt, r->wide, x->size * x->size);
    x->w = dense_new0(rt, false, x->size);
    if (!x->v || !x->w) st = rt->error.status;
  }
  if (st) return st;
  for (int64_t x = 0; x < t->n; x++) share(r, t, &t->term[x]);
  r->n_layer = 2 + r->n_pair - r->n_even - r->n_odd;
  return diagonalised(rt, r);
}

/* ---- gates --------------------------------------------------------------------------- */

/* exp(-i t h) or exp(-t (h - lowest)) from the eigenvectors. */
static void exponential(const Run *r, const Pair *x, double t, double *g) {
  int64_t n = x->size, w = r->wide ? 2 : 1;
  double lowest = x->w[0];
  for (int64_t k = 1; k < n; k++) lowest = fmin(lowest, x->w[k]);
  for (int64_t k = 0; k < n; k++) {
    double angle = t * x->w[k];
    c128 f = r->how.imaginary ? (c128){exp(-t * (x->w[k] - lowest)), 0}
                              : (c128){cos(angle), -sin(angle)};
    for (int64_t a = 0; a < n; a++)
      for (int64_t b = 0; b < n; b++) {
        const double *u = x->v + (a * n + k) * w, *v = x->v + (b * n + k) * w;
        double re = u[0] * v[0], im = 0;
        if (r->wide) {
          re += u[1] * v[1];
          im = u[1] * v[0] - u[0] * v[1];
        }
        if (!r->m->wide) {
          g[a * n + b] += f.re * re;
          continue;
        }
        g[2 * (a * n + b)] += f.re * re - f.im * im;
        g[2 * (a * n + b) + 1] += f.re * im + f.im * re;
      }
  }
}

/* The gates of this fraction of a step: their number, made when they are new; -1: error. */
static int gates_of(Rt *rt, Run *r, double fraction) {
  for (int f = 0; f < r->n_fraction; f++)
    if (r->fraction[f] == fraction) return f;
  if (r->n_fraction == FRACTIONS) {
    rt_fail(rt, RT_ERROR, "a product formula with more than %d lengths of steps", FRACTIONS);
    return -1;
  }
  int f = r->n_fraction;
  for (int64_t p = 0; p < r->n_pair; p++) {
    Pair *x = &r->pair[p];
    if (!(x->gate[f] = dense_new0(rt, r->m->wide, x->size * x->size))) return -1;
    exponential(r, x, fraction * r->dt, x->gate[f]);
  }
  r->fraction[r->n_fraction++] = fraction;
  return f;
}

static double lowest_of(const Pair *x) {
  double e = x->w[0];
  for (int64_t k = 1; k < x->size; k++) e = fmin(e, x->w[k]);
  return e;
}

/* Site i comes to the one before j by swaps, and goes back. */
static RtStatus distant(Rt *rt, Run *r, const Pair *x, const double *gate) {
  for (int64_t k = x->i; k < x->j - 1; k++) RT_TRY(mps_swap(rt, r->m, k, r->how.cut, true));
  RT_TRY(mps_gate(rt, r->m, x->j - 1, gate, r->how.cut, false));
  for (int64_t k = x->j - 2; k >= x->i; k--) {
    RT_TRY(mps_swap(rt, r->m, k, r->how.cut, false));
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

static RtStatus normalise(Rt *rt, Run *r) {
  double norm = sqrt(mps_norm2(r->m));
  if (!(norm > 0) || !isfinite(norm))
    return rt_fail(rt, RT_ERROR, "the evolved state has length %g: the step is too large", norm);
  r->log_norm += log(norm);
  return mps_scale(rt, r->m, (c128){1 / norm, 0});
}

static RtStatus layer(Rt *rt, Run *r, int64_t l, double fraction) {
  int f = gates_of(rt, r, fraction);
  if (f < 0) return rt->error.status;
  int64_t from = l == 0 ? 0 : l == 1 ? r->n_even : r->n_even + r->n_odd + l - 2;
  int64_t n = l == 0 ? r->n_even : l == 1 ? r->n_odd : 1;
  bool up = r->m->center < r->m->n / 2;
  for (int64_t k = 0; k < n; k++) {
    const Pair *x = &r->pair[up ? from + k : from + n - 1 - k];
    if (l < 2) RT_TRY(mps_gate(rt, r->m, x->i, x->gate[f], r->how.cut, up));
    else RT_TRY(distant(rt, r, x, x->gate[f]));
    if (r->how.imaginary) r->log_norm -= fraction * r->dt * lowest_of(x);
    RT_TRY(rt_poll(rt));
  }
  return r->how.imaginary ? normalise(rt, r) : RT_OK;
}

/* ---- product formulas -------------------------------------------------------------------- */

static RtStatus flush(Rt *rt, Run *r) {
  int64_t l = r->pending;
  r->pending = -1;
  return l < 0 ? RT_OK : layer(rt, r, l, r->pending_fraction);
}

static RtStatus act(Rt *rt, Run *r, int64_t l, double fraction) {
  if ((l == 0 && !r->n_even) || (l == 1 && !r->n_odd)) return RT_OK;
  if (r->pending == l) {
    r->pending_fraction += fraction;
    return RT_OK;
  }
  RT_TRY(flush(rt, r));
  r->pending = l;
  r->pending_fraction = fraction;
  return RT_OK;
}

static RtStatus symmetric(Rt *rt, Run *r, double fraction) {
  for (int64_t l = 0; l < r->n_layer; l++) RT_TRY(act(rt, r, l, fraction / 2));
  for (int64_t l = r->n_layer; l-- > 0;) RT_TRY(act(rt, r, l, fraction / 2));
  return RT_OK;
}

static RtStatus one_step(Rt *rt, Run *r) {
  if (r->how.order == 1) {
    for (int64_t l = 0; l < r->n_layer; l++) RT_TRY(act(rt, r, l, 1));
    return RT_OK;
  }
  if (r->how.order == 2) return symmetric(rt, r, 1);
  double p = 1 / (4 - cbrt(4)), part[5] = {p, p, 1 - 4 * p, p, p};
  for (int k = 0; k < 5; k++) RT_TRY(symmetric(rt, r, part[k]));
  return RT_OK;
}

static RtStatus check(Rt *rt, MpsTime how) {
  if (how.order != 1 && how.order != 2 && how.order != 4) {
    rt_fail(rt, RT_ERROR, "gates on a chain have order 1, 2 or 4, found %d", how.order);
    return RT_ERROR;
  }
  if (!(how.step > 0) || !isfinite(how.time) || how.time < 0 || how.time / how.step > 1e9) {
    rt_fail(rt, RT_ERROR, "time %g in steps of %g: neither may be negative, nor the steps too many",
            how.time, how.step);
    return RT_ERROR;
  }
  return RT_OK;
}

static RtStatus evolved(Rt *rt, const Operator *h, const Terms *t, MpsTime how, Mps *m,
                        double *log_norm) {
  Run r = {.m = m, .how = how, .wide = !t->real, .pending = -1};
  int64_t steps = (int64_t)ceil(how.time / how.step - 1e-9);
  r.dt = steps > 0 ? how.time / (double)steps : 0;
  if (r.wide || !how.imaginary) RT_TRY(mps_widen(rt, m));
  RtStatus st = pairs_make(rt, h, t, &r);
  for (int64_t k = 0; k < steps && !st; k++) st = one_step(rt, &r);
  if (!st) st = flush(rt, &r);
  run_free(rt, &r);
  if (st) return st;
  if (how.imaginary) {
    if (log_norm) *log_norm += r.log_norm - how.time * t->constant.re;
    return RT_OK;
  }
  double angle = -how.time * t->constant.re;
  return angle == 0 ? RT_OK : mps_scale(rt, m, (c128){cos(angle), sin(angle)});
}

RtStatus mps_evolve(Rt *rt, const Operator *h, MpsTime how, Mps *m, double *log_norm) {
  RT_TRY(check(rt, how));
  State space = {.vars = m->vars};
  Operator wide;
  Terms t;
  RT_TRY(state_operator(rt, h, &space, &wide));
  RtStatus st = operator_merge(rt, &wide);
  if (!st) {
    st = terms_of(rt, &wide, &t);
    if (!st) {
      st = evolved(rt, &wide, &t, how, m, log_norm);
      terms_free(rt, &t);
    }
  }
  operator_free(rt, &wide);
  return st;
}
