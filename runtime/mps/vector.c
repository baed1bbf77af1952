/* vector.c: matrix-product states from state vectors and back. */
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/gate.h"
#include "runtime/operator/apply.h"

typedef struct {
  int64_t bond, rest; /* rest [bond][rest]: the digits of the sites before, the last one
                         of them the slowest                                  */
  double *c;
} Remainder;

/* Splits the last of the remaining sites off: c [bond][d][rest / d] = u s vt; its block is
 * u^T, [new bond][d][bond].                                                       */
static RtStatus split_last(Rt *rt, Mps *m, int64_t i, MpsCut cut, Remainder *x) {
  int64_t d = mps_levels(&m->vars, i), rows = x->bond * d, columns = x->rest / d;
  int64_t k = rows < columns ? rows : columns, w = m->wide ? 2 : 1;
  double *u = dense_new(rt, m->wide, rows * k), *vt = dense_new(rt, m->wide, k * columns), lost = 0;
  double *s = dense_new(rt, false, k);
  RtStatus st =
      u && vt && s ? dense_svd(rt, m->wide, rows, columns, x->c, s, u, vt) : rt->error.status;
  int64_t keep = st ? 1 : mps_kept(k, s, cut, &lost);
  double *a = st ? NULL : dense_new(rt, m->wide, keep * rows);
  if (!st && !a) st = rt->error.status;
  if (!st) {
    for (int64_t q = 0; q < keep; q++)
      for (int64_t b = 0; b < x->bond; b++)
        for (int64_t p = 0; p < d; p++)
          memcpy(a + ((q * d + p) * x->bond + b) * w, u + ((b * d + p) * k + q) * w,
                 (size_t)w * sizeof *a);
    m->site[i] = (MpsSite){keep, d, x->bond, a};
    for (int64_t q = 0; q < keep; q++) dense_scale(m->wide, columns, s[q], vt + q * columns * w);
    m->error += lost;
    dense_free(rt, m->wide, x->bond * x->rest, x->c);
    *x = (Remainder){keep, columns, dense_new(rt, m->wide, keep * columns)};
    if (x->c) memcpy(x->c, vt, (size_t)(keep * columns * w) * sizeof *vt);
    else st = rt->error.status;
  }
  dense_free(rt, false, k, s);
  dense_free(rt, m->wide, k * columns, vt);
  dense_free(rt, m->wide, rows * k, u);
  return st;
}

RtStatus mps_from_state(Rt *rt, const State *s, MpsCut cut, Mps *out) {
  bool wide = false;
  for (int64_t k = 0; k < s->size; k++) wide |= state_at(s, k).im != 0;
  RT_TRY(states_fit(rt, "the state's matrices", s->size, 4, 16));
  RT_TRY(mps_blocks(rt, &s->vars, 1, wide, out));
  Remainder x = {1, s->size, dense_new(rt, wide, s->size)};
  RtStatus st = x.c ? RT_OK : rt->error.status;
  for (int64_t k = 0; k < s->size && !st; k++) {
    c128 z = state_at(s, k);
    if (wide) memcpy(x.c + 2 * k, &z, sizeof z);
    else x.c[k] = z.re;
  }
  for (int64_t i = out->n - 1; i > 0 && !st; i--) {
    st = split_last(rt, out, i, cut, &x);
    if (!st) st = rt_poll(rt);
  }
  if (!st) { /* c [bond][d], the first site [1][d][bond] */
    int64_t d = x.rest, w = wide ? 2 : 1;
    double *a = dense_new(rt, wide, d * x.bond);
    if (!a) st = rt->error.status;
    for (int64_t b = 0; b < x.bond && a; b++)
      for (int64_t p = 0; p < d; p++)
        memcpy(a + (p * x.bond + b) * w, x.c + (b * d + p) * w, (size_t)w * sizeof *a);
    if (a) out->site[0] = (MpsSite){1, d, x.bond, a};
  }
  dense_free(rt, wide, x.bond * x.rest, x.c);
  if (st) mps_free(rt, out);
  return st;
}

/* v [digits before][bond], the first site's digit the fastest, grows by one site. */
static RtStatus grow(Rt *rt, const Mps *m, int64_t i, int64_t *size, double **v) {
  const MpsSite *s = &m->site[i];
  int64_t u = m->wide ? 2 : 1;
  double *next = dense_new(rt, m->wide, *size * s->d * s->right);
  if (!next) return rt->error.status;
  for (int64_t p = 0; p < s->d; p++)
    dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, *size, s->right, s->left, *v, s->left,
                  s->a + p * s->right * u, s->d * s->right, 0, next + p * *size * s->right * u,
                  s->right);
  dense_free(rt, m->wide, *size * s->left, *v);
  *v = next;
  *size *= s->d;
  return RT_OK;
}

RtStatus mps_to_state(Rt *rt, const Mps *m, State *out) {
  RT_TRY(state_new(rt, &m->vars, out));
  RtStatus st = states_fit(rt, "the state", out->size, 3, 16);
  int64_t size = 1;
  double *v = st ? NULL : dense_new0(rt, m->wide, 1);
  if (v) v[0] = 1;
  else if (!st) st = rt->error.status;
  int64_t right = 1;
  for (int64_t i = 0; i < m->n && !st; i++) {
    st = grow(rt, m, i, &size, &v);
    if (!st) right = m->site[i].right;
    if (!st) st = rt_poll(rt);
  }
  for (int64_t k = 0; k < size && !st; k++)
    out->amp[k] = m->wide ? (c128){v[2 * k], v[2 * k + 1]} : (c128){v[k], 0};
  dense_free(rt, m->wide, size * right, v);
  if (st) state_free(rt, out);
  return st;
}
