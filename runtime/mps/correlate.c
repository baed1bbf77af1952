/* correlate.c: correlations of all pairs of sites in one pass for each first site.
 *
 * With the centre on site i, what lies left of i and right of j is the identity: a block
 * [bra][ket] with the first operator in it is carried through the chain and closed with
 * the second one on every site.                                                      */
#include <math.h>
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/gate.h"

/* y [outer][to][inner] = op x [outer][from][inner] on d levels */
static void on_digit(bool wide, int64_t outer, int64_t d, int64_t inner, const c128 *op,
                     const double *x, double *y) {
  int64_t row = inner * (wide ? 2 : 1);
  memset(y, 0, (size_t)(outer * d * row) * sizeof *y);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t to = 0; to < d; to++)
      for (int64_t from = 0; from < d; from++) {
        c128 c = op[to * d + from];
        if (c.re != 0 || c.im != 0)
          dense_add(wide, inner, c, x + (o * d + from) * row, y + (o * d + to) * row);
      }
}

static c128 product_of(bool wide, int64_t n, const double *x, const double *y) {
  c128 z = {0, 0};
  for (int64_t i = 0; i < n; i++) {
    if (!wide) z.re += x[i] * y[i];
    else {
      z.re += x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
      z.im += x[2 * i] * y[2 * i + 1] - x[2 * i + 1] * y[2 * i];
    }
  }
  return z;
}

/* Work for blocks up to the widest bond. */
typedef struct {
  double *e, *x, *y;
  int64_t n_e, n_x;
} Work;

static RtStatus work_make(Rt *rt, const Mps *m, Work *w) {
  int64_t wide = mps_widest(m), most = 1;
  for (int64_t i = 0; i < m->n; i++) most = m->site[i].d > most ? m->site[i].d : most;
  *w = (Work){.n_e = wide * wide, .n_x = wide * most * wide};
  w->e = dense_new(rt, m->wide, w->n_e);
  w->x = dense_new(rt, m->wide, w->n_x);
  w->y = dense_new(rt, m->wide, w->n_x);
  return w->e && w->x && w->y ? RT_OK : rt->error.status;
}

static void work_free(Rt *rt, const Mps *m, Work *w) {
  dense_free(rt, m->wide, w->n_e, w->e);
  dense_free(rt, m->wide, w->n_x, w->x);
  dense_free(rt, m->wide, w->n_x, w->y);
}

/* e [bra][ket] of the bond behind the site from x [bra][d][right]. */
static void close_site(const Mps *m, const MpsSite *s, const double *x, double *e) {
  dense_product(m->wide, DENSE_ADJOINT, DENSE_PLAIN, s->right, s->right, s->left * s->d, s->a,
                s->right, x, s->right, 0, e, s->right);
}

static RtStatus row_of(Rt *rt, Mps *m, int64_t i, int64_t d, const c128 *a, const c128 *b,
                       const c128 *ab, Work *w, c128 *row, c128 *mean) {
  RT_TRY(mps_move(rt, m, i));
  double norm2 = mps_norm2(m);
  const MpsSite *s = &m->site[i];
  int64_t size = s->left * s->d * s->right, inner = s->d / d * s->right;
  on_digit(m->wide, s->left, d, inner, ab, s->a, w->x);
  row[i] = product_of(m->wide, size, s->a, w->x);
  on_digit(m->wide, s->left, d, inner, a, s->a, w->x);
  *mean = product_of(m->wide, size, s->a, w->x);
  close_site(m, s, w->x, w->e);
  for (int64_t j = i + 1; j < m->n; j++) {
    s = &m->site[j];
    int64_t columns = s->d * s->right;
    dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, s->left, columns, s->left, w->e, s->left, s->a,
                  columns, 0, w->x, columns);
    on_digit(m->wide, s->left, d, s->d / d * s->right, b, w->x, w->y);
    row[j] = product_of(m->wide, s->left * columns, s->a, w->y);
    if (j + 1 < m->n) close_site(m, s, w->x, w->e);
  }
  for (int64_t j = i; j < m->n; j++) row[j] = (c128){row[j].re / norm2, row[j].im / norm2};
  *mean = (c128){mean->re / norm2, mean->im / norm2};
  return rt_poll(rt);
}

RtStatus mps_correlations(Rt *rt, const Mps *m, int64_t d, const c128 *a, const c128 *b, c128 *out,
                          c128 *mean) {
  Mps own;
  Work w = {0};
  bool wide = false;
  for (int64_t i = 0; i < m->n; i++)
    if (mps_content(m, i) != d)
      return rt_fail(rt, RT_ERROR, "correlations of all pairs: site %lld has %lld levels, not %lld",
                     (long long)i, (long long)mps_content(m, i), (long long)d);
  for (int64_t k = 0; k < d * d; k++) wide |= a[k].im != 0 || b[k].im != 0;
  c128 *ab = rt_alloc0(rt, (size_t)(d * d) * sizeof *ab);
  if (!ab) return rt->error.status;
  for (int64_t r = 0; r < d; r++)
    for (int64_t c = 0; c < d; c++)
      for (int64_t k = 0; k < d; k++) {
        c128 x = a[r * d + k], y = b[k * d + c];
        ab[r * d + c].re += x.re * y.re - x.im * y.im;
        ab[r * d + c].im += x.re * y.im + x.im * y.re;
      }
  RtStatus st = mps_copy(rt, m, &own);
  if (!st && wide) st = mps_widen(rt, &own);
  if (!st) st = work_make(rt, &own, &w);
  for (int64_t i = 0; i < m->n && !st; i++)
    st = row_of(rt, &own, i, d, a, b, ab, &w, out + i * m->n, &mean[i]);
  work_free(rt, &own, &w);
  mps_free(rt, &own);
  rt_free(rt, ab, (size_t)(d * d) * sizeof *ab);
  return st;
}
