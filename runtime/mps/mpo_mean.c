/* mpo_mean.c: operators' networks between states. */
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/mpo.h"

void mpo_act(const MpoSite *w, bool wide, int64_t outer, int64_t inner, const double *x,
             double *y) {
  int64_t unit = wide ? 2 : 1, row = inner * unit, block = outer * w->d * row;
  for (int64_t k = 0; k < w->n; k++) {
    const MpoEntry *e = &w->e[k];
    const double *from = x + e->from * block + e->in * row;
    double *to = y + e->to * block + e->out * row;
    for (int64_t o = 0; o < outer; o++)
      dense_add(wide, inner, e->c, from + o * w->d * row, to + o * w->d * row);
  }
}

int64_t mpo_left_size(const MpoSite *w, const Mps *m, int64_t i) {
  return w->right * m->site[i].right * m->site[i].right;
}

int64_t mpo_right_size(const MpoSite *w, const Mps *m, int64_t i) {
  return w->left * m->site[i].left * m->site[i].left;
}

RtStatus mpo_left(Rt *rt, const MpoSite *w, const Mps *m, int64_t i, const double *e,
                  double **out) {
  const MpsSite *s = &m->site[i];
  int64_t l = s->left, r = s->right, columns = s->d * r, u = m->wide ? 2 : 1;
  double *x = dense_new(rt, m->wide, w->left * l * columns);
  double *y = x ? dense_new0(rt, m->wide, w->right * l * columns) : NULL;
  *out = y ? dense_new(rt, m->wide, w->right * r * r) : NULL;
  if (*out) {
    dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, w->left * l, columns, l, e, l, s->a, columns,
                  0, x, columns);
    mpo_act(w, m->wide, l, columns / w->d, x, y);
    for (int64_t c = 0; c < w->right; c++)
      dense_product(m->wide, DENSE_ADJOINT, DENSE_PLAIN, r, r, l * s->d, s->a, r,
                    y + c * l * columns * u, r, 0, *out + c * r * r * u, r);
  }
  dense_free(rt, m->wide, w->right * l * columns, y);
  dense_free(rt, m->wide, w->left * l * columns, x);
  return *out ? RT_OK : rt->error.status;
}

/* The operator's blocks read from right to left: y [from][..][out] += c x [to][..][in]. */
static void act_back(const MpoSite *w, bool wide, int64_t outer, int64_t inner, const double *x,
                     double *y) {
  int64_t unit = wide ? 2 : 1, row = inner * unit, block = outer * w->d * row;
  for (int64_t k = 0; k < w->n; k++) {
    const MpoEntry *e = &w->e[k];
    const double *from = x + e->to * block + e->in * row;
    double *to = y + e->from * block + e->out * row;
    for (int64_t o = 0; o < outer; o++)
      dense_add(wide, inner, e->c, from + o * w->d * row, to + o * w->d * row);
  }
}

RtStatus mpo_right(Rt *rt, const MpoSite *w, const Mps *m, int64_t i, const double *e,
                   double **out) {
  const MpsSite *s = &m->site[i];
  int64_t l = s->left, r = s->right, columns = s->d * r, u = m->wide ? 2 : 1;
  double *x = dense_new(rt, m->wide, w->right * l * columns);
  double *y = x ? dense_new0(rt, m->wide, w->left * l * columns) : NULL;
  *out = y ? dense_new(rt, m->wide, w->left * l * l) : NULL;
  if (*out) {
    for (int64_t c = 0; c < w->right; c++)
      dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, l * s->d, r, r, s->a, r, e + c * r * r * u,
                    r, 0, x + c * l * columns * u, r);
    act_back(w, m->wide, l, columns / w->d, x, y);
    for (int64_t c = 0; c < w->left; c++)
      dense_product(m->wide, DENSE_PLAIN, DENSE_ADJOINT, l, l, columns, y + c * l * columns * u,
                    columns, s->a, columns, 0, *out + c * l * l * u, l);
  }
  dense_free(rt, m->wide, w->left * l * columns, y);
  dense_free(rt, m->wide, w->right * l * columns, x);
  return *out ? RT_OK : rt->error.status;
}

static c128 first_of(bool wide, const double *p) {
  return wide ? (c128){p[0], p[1]} : (c128){p[0], 0};
}

/* A complex operator needs a complex state: m itself, or a copy in *own. */
static RtStatus as_wide(Rt *rt, bool wide, const Mps *m, Mps *own, const Mps **out) {
  mps_init(own);
  *out = m;
  if (!wide || m->wide) return RT_OK;
  RT_TRY(mps_copy(rt, m, own));
  *out = own;
  return mps_widen(rt, own);
}

/* One site more in a contraction from the left; `twice`: its vectors have w's channels twice. */
typedef RtStatus Step(Rt *rt, const MpoSite *w, const Mps *m, int64_t i, const double *e,
                      double **out);

/* The whole chain contracted: one number. */
static RtStatus contract(Rt *rt, const Mpo *w, const Mps *m, Step *step, bool twice, c128 *out) {
  int64_t size = 1;
  double *e = dense_new0(rt, m->wide, size);
  if (!e) return rt->error.status;
  e[0] = 1;
  RtStatus st = RT_OK;
  for (int64_t i = 0; i < m->n && !st; i++) {
    double *next;
    st = step(rt, &w->site[i], m, i, e, &next);
    dense_free(rt, m->wide, size, e);
    e = next;
    size = (twice ? w->site[i].right : 1) * mpo_left_size(&w->site[i], m, i);
    if (!st) st = rt_poll(rt);
  }
  if (!st) *out = first_of(m->wide, e);
  dense_free(rt, m->wide, size, e);
  return st;
}

RtStatus mpo_mean(Rt *rt, const Mpo *w, const Mps *m, c128 *out) {
  Mps own;
  const Mps *s;
  RtStatus st = as_wide(rt, w->wide, m, &own, &s);
  if (!st) st = contract(rt, w, s, mpo_left, false, out);
  mps_free(rt, &own);
  return st;
}

/* ---- |w m|^2 ---------------------------------------------------------------------- */

/* x [bra channel][ket channel][outer][d][inner]: w on the kets' digits, then its adjoint on
 * the bras'.                                                                     */
static RtStatus act_twice(Rt *rt, const MpoSite *w, bool wide, int64_t outer, int64_t inner,
                          const double *x, double *y) {
  int64_t unit = wide ? 2 : 1, block = outer * w->d * inner, row = inner * unit;
  double *mid = dense_new0(rt, wide, w->left * w->right * block);
  if (!mid) return rt->error.status;
  for (int64_t c = 0; c < w->left; c++)
    mpo_act(w, wide, outer, inner, x + c * w->left * block * unit,
            mid + c * w->right * block * unit);
  for (int64_t k = 0; k < w->n; k++) {
    const MpoEntry *e = &w->e[k];
    const double *from = mid + e->from * w->right * block * unit + e->out * row;
    double *to = y + e->to * w->right * block * unit + e->in * row;
    for (int64_t o = 0; o < w->right * outer; o++)
      dense_add(wide, inner, (c128){e->c.re, -e->c.im}, from + o * w->d * row, to + o * w->d * row);
  }
  dense_free(rt, wide, w->left * w->right * block, mid);
  return RT_OK;
}

static RtStatus square_step(Rt *rt, const MpoSite *w, const Mps *m, int64_t i, const double *e,
                            double **out) {
  const MpsSite *s = &m->site[i];
  int64_t l = s->left, r = s->right, columns = s->d * r, u = m->wide ? 2 : 1;
  int64_t before = w->left * w->left, behind = w->right * w->right;
  double *x = dense_new(rt, m->wide, before * l * columns);
  double *y = x ? dense_new0(rt, m->wide, behind * l * columns) : NULL;
  RtStatus st = y ? RT_OK : rt->error.status;
  *out = NULL;
  if (!st) {
    dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, before * l, columns, l, e, l, s->a, columns, 0,
                  x, columns);
    st = act_twice(rt, w, m->wide, l, columns / w->d, x, y);
  }
  if (!st && !(*out = dense_new(rt, m->wide, behind * r * r))) st = rt->error.status;
  for (int64_t c = 0; c < behind && !st; c++)
    dense_product(m->wide, DENSE_ADJOINT, DENSE_PLAIN, r, r, l * s->d, s->a, r,
                  y + c * l * columns * u, r, 0, *out + c * r * r * u, r);
  dense_free(rt, m->wide, behind * l * columns, y);
  dense_free(rt, m->wide, before * l * columns, x);
  return st;
}

RtStatus mpo_square(Rt *rt, const Mpo *w, const Mps *m, double *out) {
  Mps own;
  const Mps *s;
  c128 z = {0, 0};
  RtStatus st = as_wide(rt, w->wide, m, &own, &s);
  if (!st) st = contract(rt, w, s, square_step, true, &z);
  if (!st) *out = z.re;
  mps_free(rt, &own);
  return st;
}
