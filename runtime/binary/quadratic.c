/* quadratic.c: products of three and more variables become quadratic ones.
 *
 * Everything here is over bits: a spin's bit is (1 + s)/2.  Two plans are drawn
 * up and the one with fewer auxiliaries is taken:
 *   each term by itself: a negative one needs one auxiliary
 *     (-a x1..xk = min_w a w (k - 1 - sum x), Freedman and Drineas 2005), a positive
 *     one of k variables (k - 1)/2 rounded down (Ishikawa 2011);
 *   pairs first: pairs that many terms share become one bit z = u v, tied by
 *     M (u v - 2 u z - 2 v z + 3 z) (Rosenberg 1975); what is left as above.
 * M is the larger of the sums of positive and of negative coefficients of the terms
 * that use z: a wrong z can gain no more, so that minimising is exact.  Products of
 * more than four spins are shortened first: t = s s' is tied by |c| (1 - s s' t).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/pairs.h"
#include "runtime/binary/reduce.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))
#define SPINS_EXPANDED 4

/* Terms of three and more bits, shortened in place; `pair` are the substitutions
 * so far: bit first + i is uv[2i] uv[2i+1], tied with M[i].                      */
typedef struct {
  int64_t n, n_var;
  int64_t *start;
  int32_t *len, *v;
  double *c;
  int64_t n_pair, cap;
  int32_t first, *uv;
  double *M;
} High;

/* ---- emitting over bits ------------------------------------------------------------ */

/* r->poly += c * product of one or two bits. */
static RtStatus emit(Rt *rt, Reduction *r, double c, int k, const int32_t *v) {
  double o[2] = {0, 0}, s[2] = {1, 1};   /* bit = o + s x */
  for (int i = 0; i < k; i++)
    if (vars_kind(&r->vars, v[i]) != VAR_BINARY) o[i] = s[i] = 0.5;
  if (k == 0) return poly_add(rt, &r->poly, c, 0, NULL);
  if (k == 1) {
    r->poly.constant += c * o[0];
    return poly_add(rt, &r->poly, c * s[0], 1, v);
  }
  r->poly.constant += c * o[0] * o[1];
  if (o[1] != 0) RT_TRY(poly_add(rt, &r->poly, c * s[0] * o[1], 1, v));
  if (o[0] != 0) RT_TRY(poly_add(rt, &r->poly, c * s[1] * o[0], 1, v + 1));
  return poly_add(rt, &r->poly, c * s[0] * s[1], 2, v);
}

static RtStatus emit_pair(Rt *rt, Reduction *r, double c, int32_t u, int32_t v) {
  return emit(rt, r, c, 2, (int32_t[]){u, v});
}

static RtStatus emit_negative(Rt *rt, Reduction *r, double a, int k, const int32_t *v) {
  int32_t w;
  Auxiliary aux = {.kind = AUX_PRODUCT, .constraint = -1, .u = -1, .v = -1, .how = "negative"};
  RT_TRY(reduction_aux(rt, r, aux, &w));
  RT_TRY(emit(rt, r, a * (k - 1), 1, &w));
  for (int i = 0; i < k; i++) RT_TRY(emit_pair(rt, r, -a, w, v[i]));
  return RT_OK;
}

/* a (sum_{i<j} x_i x_j + sum_t w_t (c_t (2t - sum x) - 1)), c_t = 1 for the last w of
 * an odd product, else 2.                                                        */
static RtStatus emit_positive(Rt *rt, Reduction *r, double a, int k, const int32_t *v) {
  for (int i = 0; i < k; i++)
    for (int j = 0; j < i; j++) RT_TRY(emit_pair(rt, r, a, v[j], v[i]));
  const int n = (k - 1) / 2;
  for (int t = 1; t <= n; t++) {
    int32_t w;
    const double c = k % 2 == 1 && t == n ? 1 : 2;
    Auxiliary aux = {.kind = AUX_PRODUCT, .constraint = -1, .u = -1, .v = -1, .how = "ishikawa"};
    RT_TRY(reduction_aux(rt, r, aux, &w));
    RT_TRY(emit(rt, r, a * (c * 2 * t - 1), 1, &w));
    for (int i = 0; i < k; i++) RT_TRY(emit_pair(rt, r, -a * c, w, v[i]));
  }
  return RT_OK;
}

static int64_t term_cost(double c, int k) { return k < 3 ? 0 : c < 0 ? 1 : (k - 1) / 2; }

/* ---- spins to bits -------------------------------------------------------------------- */

/* Replaces the last two of the spins by their product until few are left. */
static RtStatus shorten_spins(Rt *rt, Reduction *r, double c, int *k, int32_t *spin, Poly *cubic) {
  while (*k > SPINS_EXPANDED) {
    int32_t u = spin[*k - 2], v = spin[*k - 1], t;
    Auxiliary aux = {.kind = AUX_PRODUCT, .constraint = -1, .u = u, .v = v, .weight = fabs(c),
                     .how = "parity"};
    RT_TRY(reduction_aux(rt, r, aux, &t));
    r->poly.constant += fabs(c);
    RT_TRY(poly_add(rt, cubic, -fabs(c), 3, (int32_t[]){u, v, t}));
    spin[*k - 2] = t;
    --*k;
  }
  return RT_OK;
}

/* c * bits * product of (2 b - 1) over the spins. */
static RtStatus expand(Rt *rt, Poly *out, double c, int bits, int32_t *v, int spins,
                       const int32_t *spin) {
  for (int set = 0; set < 1 << spins; set++) {
    int k = bits;
    double d = c;
    for (int i = 0; i < spins; i++)
      if (set >> i & 1) v[k++] = spin[i], d *= 2;
      else d = -d;
    RT_TRY(poly_add(rt, out, d, k, v));
  }
  return RT_OK;
}

/* Takes the terms of high degree out of r->poly and writes them over bits. */
static RtStatus to_bits(Rt *rt, Reduction *r, int32_t *v, int32_t *spin, Poly *cubic, Poly *out) {
  int64_t from = 0;
  for (int64_t i = 0; i < r->poly.many.n; i++) {
    const double c = r->poly.many.c[i];
    int bits = 0, spins = 0;
    for (; from < r->poly.many.end[i]; from++) {
      int32_t x = r->poly.many.v[from];
      if (vars_kind(&r->vars, x) == VAR_BINARY) v[bits++] = x;
      else spin[spins++] = x;
    }
    RT_TRY(shorten_spins(rt, r, c, &spins, spin, cubic));
    RT_TRY(expand(rt, out, c, bits, v, spins, spin));
    if (i % 4096 == 0) RT_TRY(rt_poll(rt));
  }
  for (int64_t i = 0; i < cubic->many.n; i++)
    RT_TRY(expand(rt, out, cubic->many.c[i], 0, v, 3, cubic->many.v + 3 * i));
  r->poly.many.n = r->poly.many.n_var = 0;
  /* equal products added; every variable counts as a bit here */
  VarTable all;
  int64_t first;
  vars_init(&all);
  RtStatus st = vars_add(rt, &all, "bit", VAR_BINARY, 1, &r->vars.n, &first);
  if (!st) st = poly_merge(rt, out, &all);
  vars_free(rt, &all);
  return st;
}

static RtStatus take_high(Rt *rt, Reduction *r, Poly *out) {
  int64_t longest = 0, from = 0;
  for (int64_t i = 0; i < r->poly.many.n; from = r->poly.many.end[i++])
    if (r->poly.many.end[i] - from > longest) longest = r->poly.many.end[i] - from;
  const size_t bytes = (size_t)(2 * longest + 8) * sizeof(int32_t);
  Poly cubic;
  poly_init(&cubic);
  int32_t *v = rt_alloc(rt, bytes), *spin = rt_alloc(rt, bytes);
  RtStatus st = v && spin ? to_bits(rt, r, v, spin, &cubic, out) : rt->error.status;
  r->poly.constant += out->constant;
  for (int64_t i = 0; i < out->one.n && !st; i++)
    st = emit(rt, r, out->one.c[i], 1, out->one.v + i);
  for (int64_t i = 0; i < out->two.n && !st; i++)
    st = emit(rt, r, out->two.c[i], 2, out->two.uv + 2 * i);
  rt_free(rt, v, bytes);
  rt_free(rt, spin, bytes);
  poly_free(rt, &cubic);
  return st;
}

/* ---- pairs ------------------------------------------------------------------------------ */

static void high_free(Rt *rt, High *h) {
  rt_free(rt, h->start, BYTES(h->n, h->start));
  rt_free(rt, h->len, BYTES(h->n, h->len));
  rt_free(rt, h->c, BYTES(h->n, h->c));
  rt_free(rt, h->v, BYTES(h->n_var, h->v));
  rt_free(rt, h->uv, BYTES(2 * h->cap, h->uv));
  rt_free(rt, h->M, BYTES(h->cap, h->M));
}

static RtStatus high_make(Rt *rt, High *h, const Poly *p, int32_t first) {
  *h = (High){.n = p->many.n, .n_var = p->many.n_var, .first = first};
  h->start = rt_alloc(rt, BYTES(h->n, h->start));
  h->len = rt_alloc(rt, BYTES(h->n, h->len));
  h->c = rt_alloc(rt, BYTES(h->n, h->c));
  h->v = rt_alloc(rt, BYTES(h->n_var, h->v));
  if (!h->start || !h->len || !h->c || !h->v) {
    high_free(rt, h);
    return rt->error.status;
  }
  memcpy(h->v, p->many.v, BYTES(h->n_var, h->v));
  memcpy(h->c, p->many.c, BYTES(h->n, h->c));
  for (int64_t i = 0, from = 0; i < h->n; from = p->many.end[i++]) {
    h->start[i] = from;
    h->len[i] = (int32_t)(p->many.end[i] - from);
  }
  return RT_OK;
}

/* Pairs of one round: ascending, with the number of terms that hold them, then
 * with the number that would choose them.                                       */
typedef struct { int64_t n, room; int32_t *uv; double *count; int64_t *chosen; } Round;

static RtStatus count_pairs(Rt *rt, const High *h, Round *p) {
  p->n = 0;
  for (int64_t i = 0; i < h->n; i++) {
    const int32_t *v = h->v + h->start[i];
    if (h->len[i] < 3) continue;
    for (int a = 0; a < h->len[i]; a++)
      for (int b = 0; b < a; b++) {
        p->uv[2 * p->n] = v[b];
        p->uv[2 * p->n + 1] = v[a];
        p->count[p->n++] = 1;
      }
  }
  return pairs_merge(rt, h->first + h->n_pair, &p->n, p->uv, p->count);
}

static int64_t find_pair(const Round *p, int32_t u, int32_t v) {
  if (u > v) { int32_t t = u; u = v; v = t; }
  int64_t lo = 0, hi = p->n;
  while (lo < hi) {
    int64_t mid = (lo + hi) / 2;
    int32_t a = p->uv[2 * mid], b = p->uv[2 * mid + 1];
    if (a < u || (a == u && b < v)) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

/* The pair of term i that most terms share; the first of several. */
static int64_t best_pair(const High *h, const Round *p, int64_t i, double least) {
  const int32_t *v = h->v + h->start[i];
  int64_t best = -1;
  for (int a = 0; a < h->len[i]; a++)
    for (int b = 0; b < a; b++) {
      int64_t k = find_pair(p, v[b], v[a]);
      if (p->count[k] < least) continue;
      if (best < 0 || p->count[k] > p->count[best] || (p->count[k] == p->count[best] && k < best))
        best = k;
    }
  return best;
}

static RtStatus new_pair(Rt *rt, High *h, int32_t u, int32_t v, int32_t *z) {
  if (h->n_pair == h->cap) {
    int64_t cap = h->cap ? 2 * h->cap : 16;
    int32_t *uv = rt_realloc(rt, h->uv, BYTES(2 * h->cap, uv), BYTES(2 * cap, uv));
    if (uv) h->uv = uv;
    double *M = uv ? rt_realloc(rt, h->M, BYTES(h->cap, M), BYTES(cap, M)) : NULL;
    if (!M) {
      if (uv) rt_free(rt, uv, BYTES(2 * cap, uv)), h->uv = NULL;
      return rt->error.status;
    }
    h->M = M;
    h->cap = cap;
  }
  h->uv[2 * h->n_pair] = u;
  h->uv[2 * h->n_pair + 1] = v;
  *z = h->first + (int32_t)h->n_pair++;
  return RT_OK;
}

/* Puts z in the place of u and v in term i. */
static void replace(High *h, int64_t i, int32_t u, int32_t v, int32_t z) {
  int32_t *t = h->v + h->start[i];
  int n = 0;
  for (int a = 0; a < h->len[i]; a++)
    if (t[a] != u && t[a] != v) t[n++] = t[a];
  t[n++] = z;   /* the highest number so far: still ascending */
  h->len[i] = n;
}

/* One round: the commonest pairs, each term takes at most one.  *any: something
 * was replaced.                                                                */
static RtStatus substitute_round(Rt *rt, High *h, Round *p, int64_t *wish, double *plus,
                                 double *minus, bool *any) {
  *any = false;
  RT_TRY(count_pairs(rt, h, p));
  double top = 0;
  for (int64_t k = 0; k < p->n; k++) top = fmax(top, p->count[k]);
  if (top < 2) return RT_OK;
  const double least = fmax(2, ceil(top / 2));
  for (int64_t k = 0; k < p->n; k++) p->chosen[k] = 0, plus[k] = minus[k] = 0;
  for (int64_t i = 0; i < h->n; i++) {
    wish[i] = h->len[i] < 3 ? -1 : best_pair(h, p, i, least);
    if (wish[i] < 0) continue;
    p->chosen[wish[i]]++;
    *(h->c[i] > 0 ? &plus[wish[i]] : &minus[wish[i]]) += fabs(h->c[i]);
  }
  for (int64_t k = 0; k < p->n; k++) {
    int32_t z = 0;
    if (p->chosen[k] < 2) {
      p->chosen[k] = -1;
      continue;
    }
    *any = true;
    RT_TRY(new_pair(rt, h, p->uv[2 * k], p->uv[2 * k + 1], &z));
    h->M[h->n_pair - 1] = fmax(plus[k], minus[k]);
    p->chosen[k] = z;
  }
  for (int64_t i = 0; i < h->n; i++)
    if (wish[i] >= 0 && p->chosen[wish[i]] >= 0)
      replace(h, i, p->uv[2 * wish[i]], p->uv[2 * wish[i] + 1], (int32_t)p->chosen[wish[i]]);
  return RT_OK;
}

static RtStatus substitute(Rt *rt, High *h) {
  Round p = {0};
  for (int64_t i = 0; i < h->n; i++) p.room += (int64_t)h->len[i] * (h->len[i] - 1) / 2;
  p.uv = rt_alloc(rt, BYTES(2 * p.room, p.uv));
  p.count = rt_alloc(rt, BYTES(p.room, p.count));
  p.chosen = rt_alloc(rt, BYTES(p.room, p.chosen));
  int64_t *wish = rt_alloc(rt, BYTES(h->n, wish));
  double *plus = rt_alloc(rt, BYTES(p.room, plus)), *minus = rt_alloc(rt, BYTES(p.room, minus));
  RtStatus st = p.uv && p.count && p.chosen && wish && plus && minus ? RT_OK : rt->error.status;
  for (bool any = true; any && !st;) {
    st = substitute_round(rt, h, &p, wish, plus, minus, &any);
    if (!st) st = rt_poll(rt);
  }
  rt_free(rt, p.uv, BYTES(2 * p.room, p.uv));
  rt_free(rt, p.count, BYTES(p.room, p.count));
  rt_free(rt, p.chosen, BYTES(p.room, p.chosen));
  rt_free(rt, wish, BYTES(h->n, wish));
  rt_free(rt, plus, BYTES(p.room, plus));
  rt_free(rt, minus, BYTES(p.room, minus));
  return st;
}

/* ---- the two plans ------------------------------------------------------------------------ */

static int64_t plan_cost(const High *h) {
  int64_t cost = h->n_pair;
  for (int64_t i = 0; i < h->n; i++) cost += term_cost(h->c[i], h->len[i]);
  return cost;
}

static RtStatus carry_out(Rt *rt, Reduction *r, const High *h) {
  for (int64_t i = 0; i < h->n_pair; i++) {
    int32_t u = h->uv[2 * i], v = h->uv[2 * i + 1], z;
    const double M = h->M[i];
    Auxiliary aux = {.kind = AUX_PRODUCT, .constraint = -1, .u = u, .v = v, .weight = M,
                     .how = "rosenberg"};
    RT_TRY(reduction_aux(rt, r, aux, &z));
    RT_TRY(emit_pair(rt, r, M, u, v));
    RT_TRY(emit_pair(rt, r, -2 * M, u, z));
    RT_TRY(emit_pair(rt, r, -2 * M, v, z));
    RT_TRY(emit(rt, r, 3 * M, 1, &z));
  }
  for (int64_t i = 0; i < h->n; i++) {
    const int32_t *v = h->v + h->start[i];
    const double c = h->c[i];
    if (h->len[i] < 3) RT_TRY(emit(rt, r, c, h->len[i], v));
    else if (c < 0) RT_TRY(emit_negative(rt, r, -c, h->len[i], v));
    else RT_TRY(emit_positive(rt, r, c, h->len[i], v));
    if (i % 4096 == 0) RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

RtStatus reduction_quadratic(Rt *rt, Reduction *r) {
  Poly bits;
  poly_init(&bits);
  RtStatus st = take_high(rt, r, &bits);
  High each, pairs;
  if (!st && bits.many.n) {
    st = high_make(rt, &each, &bits, (int32_t)r->vars.n);
    if (!st) {
      st = high_make(rt, &pairs, &bits, (int32_t)r->vars.n);
      if (!st) {
        st = substitute(rt, &pairs);
        if (!st) st = carry_out(rt, r, plan_cost(&pairs) < plan_cost(&each) ? &pairs : &each);
        high_free(rt, &pairs);
      }
      high_free(rt, &each);
    }
  }
  poly_free(rt, &bits);
  if (!st) st = poly_merge(rt, &r->poly, &r->vars);
  return st;
}
