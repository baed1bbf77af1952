/* measure.c: overlaps, entropies, correlations, draws. */
#include <math.h>
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/gate.h"

static RtStatus overlap_of(Rt *rt, const Mps *a, const Mps *b, c128 *out) {
  bool wide = a->wide;
  int64_t size = 1, la = 1, lb = 1;
  double *e = dense_new0(rt, wide, 1);
  if (!e) return rt->error.status;
  e[0] = 1;
  for (int64_t i = 0; i < a->n; i++) { /* e [bra][ket] */
    const MpsSite *s = &a->site[i], *t = &b->site[i];
    int64_t columns = t->d * t->right;
    double *x = dense_new(rt, wide, la * columns);
    double *next = x ? dense_new(rt, wide, s->right * t->right) : NULL;
    if (next) {
      dense_product(wide, DENSE_PLAIN, DENSE_PLAIN, la, columns, lb, e, lb, t->a, columns, 0, x,
                    columns);
      dense_product(wide, DENSE_ADJOINT, DENSE_PLAIN, s->right, t->right, la * s->d, s->a, s->right,
                    x, t->right, 0, next, t->right);
    }
    dense_free(rt, wide, la * columns, x);
    dense_free(rt, wide, size, e);
    if (!next) return rt->error.status;
    e = next;
    la = s->right;
    lb = t->right;
    size = la * lb;
  }
  *out = wide ? (c128){e[0], e[1]} : (c128){e[0], 0};
  dense_free(rt, wide, size, e);
  return RT_OK;
}

/* The same state as complex as the other: m or a copy in *own. */
static RtStatus alike(Rt *rt, bool wide, const Mps *m, Mps *own, const Mps **out) {
  *out = m;
  if (m->wide == wide) return RT_OK;
  RT_TRY(mps_copy(rt, m, own));
  *out = own;
  return mps_widen(rt, own);
}

RtStatus mps_overlap(Rt *rt, const Mps *a, const Mps *b, c128 *out) {
  Mps own[2];
  const Mps *x, *y;
  bool wide = a->wide || b->wide;
  mps_init(&own[0]);
  mps_init(&own[1]);
  RtStatus st = alike(rt, wide, a, &own[0], &x);
  if (!st) st = alike(rt, wide, b, &own[1], &y);
  if (!st) st = overlap_of(rt, x, y, out);
  mps_free(rt, &own[0]);
  mps_free(rt, &own[1]);
  return st;
}

/* ---- Schmidt coefficients ------------------------------------------------------------ */

/* With the centre on site i: the singular values of its block against the bond behind it. */
static RtStatus values_at(Rt *rt, const Mps *m, int64_t i, double *p, int64_t *k) {
  const MpsSite *s = &m->site[i];
  int64_t rows = s->left * s->d, n = s->right, size = rows * n;
  *k = rows < n ? rows : n;
  double *a = dense_new(rt, m->wide, size), *u = dense_new(rt, m->wide, rows * *k);
  double *vt = dense_new(rt, m->wide, *k * n), total = 0;
  RtStatus st = a && u && vt ? RT_OK : rt->error.status;
  if (!st) {
    memcpy(a, s->a, (size_t)size * (m->wide ? 16 : 8));
    st = dense_svd(rt, m->wide, rows, n, a, p, u, vt);
  }
  for (int64_t j = 0; j < *k && !st; j++) total += p[j] *= p[j];
  for (int64_t j = 0; j < *k && !st && total > 0; j++) p[j] /= total;
  dense_free(rt, m->wide, *k * n, vt);
  dense_free(rt, m->wide, rows * *k, u);
  dense_free(rt, m->wide, size, a);
  return st;
}

RtStatus mps_schmidt(Rt *rt, const Mps *m, int64_t i, double **p, int64_t *k) {
  Mps c;
  RT_TRY(mps_copy(rt, m, &c));
  RtStatus st = mps_move(rt, &c, i);
  int64_t most = c.site[i].right;
  *p = st ? NULL : rt_alloc(rt, (size_t)most * sizeof **p);
  if (!st && !*p) st = rt->error.status;
  if (!st) st = values_at(rt, &c, i, *p, k);
  if (!st && *k < most) {
    double *q = rt_realloc(rt, *p, (size_t)most * sizeof *q, (size_t)*k * sizeof *q);
    if (q) *p = q;
    else st = rt->error.status;
  }
  if (st && *p) rt_free(rt, *p, (size_t)most * sizeof **p);
  mps_free(rt, &c);
  return st;
}

RtStatus mps_entropies(Rt *rt, const Mps *m, double *out) {
  Mps c;
  RT_TRY(mps_copy(rt, m, &c));
  RtStatus st = mps_move(rt, &c, 0);
  for (int64_t i = 0; i + 1 < c.n && !st; i++) {
    int64_t k;
    st = mps_move(rt, &c, i);
    int64_t most = c.site[i].right;
    double *p = st ? NULL : dense_new(rt, false, most);
    if (!p) st = st ? st : rt->error.status;
    if (!st) st = values_at(rt, &c, i, p, &k);
    out[i] = 0;
    for (int64_t j = 0; j < k && !st; j++)
      if (p[j] > 0) out[i] -= p[j] * log(p[j]);
    if (out[i] < 0) out[i] = 0;
    dense_free(rt, false, most, p);
    if (!st) st = rt_poll(rt);
  }
  mps_free(rt, &c);
  return st;
}

/* ---- draws ------------------------------------------------------------------------------ */

/* One draw: v is the row vector of the sites before; sites behind are isometries, so that
 * |v A^s|^2 is the weight of s.                                                       */
static void draw(const Mps *m, RngCall c, uint64_t element, double *v, double *x, int64_t *digit) {
  v[0] = 1;
  if (m->wide) v[1] = 0;
  for (int64_t i = 0; i < m->n; i++) {
    const MpsSite *s = &m->site[i];
    int64_t columns = s->d * s->right, w = m->wide ? 2 : 1, inner = s->right;
    dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, 1, columns, s->left, v, s->left, s->a, columns,
                  0, x, columns);
    double total = dense_norm2(m->wide, columns, x),
           u = rng_uniform(c, element + (uint64_t)i) * total;
    int64_t p = 0, last = columns / inner - 1;
    double weight = dense_norm2(m->wide, inner, x);
    while (p < last && (u >= weight || weight == 0)) {
      u -= weight;
      p++;
      weight = dense_norm2(m->wide, inner, x + p * inner * w);
    }
    digit[i] = p / (s->d / mps_content(m, i)); /* an ancilla's digit is drawn too, and forgotten */
    double up = weight > 0 ? 1 / sqrt(weight) : 0;
    for (int64_t k = 0; k < inner * w; k++) v[k] = x[p * inner * w + k] * up;
  }
}

RtStatus mps_sample(Rt *rt, const Mps *m, int64_t count, RngCall c, int64_t *digits) {
  Mps own;
  RT_TRY(mps_copy(rt, m, &own));
  RtStatus st = mps_move(rt, &own, 0);
  int64_t most = 1;
  for (int64_t i = 0; i < own.n; i++) {
    int64_t k = own.site[i].d * own.site[i].right;
    if (k > most) most = k;
  }
  double *v = dense_new(rt, own.wide, most), *x = dense_new(rt, own.wide, most);
  if (!st && (!v || !x)) st = rt->error.status;
  for (int64_t k = 0; k < count && !st; k++) {
    draw(&own, c, (uint64_t)(k * own.n), v, x, digits + k * own.n);
    st = rt_poll(rt);
  }
  dense_free(rt, own.wide, most, x);
  dense_free(rt, own.wide, most, v);
  mps_free(rt, &own);
  return st;
}
