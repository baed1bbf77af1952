/* gate.c: gates on two neighbouring sites, and the cut of their bond. */
#include <math.h>
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/gate.h"

int64_t mps_kept(int64_t k, const double *s, MpsCut cut, double *discarded) {
  double total = 0, tail = 0;
  for (int64_t i = 0; i < k; i++) total += s[i] * s[i];
  int64_t keep = k;
  *discarded = 0;
  if (total == 0) return 1;
  /* 1e-32: what rounding leaves of a zero, whatever `cut` is */
  double bound = total * (cut.cut > 1e-32 ? cut.cut : 1e-32);
  while (keep > 1 && (keep > cut.bond || tail + s[keep - 1] * s[keep - 1] <= bound)) {
    keep--;
    tail += s[keep] * s[keep];
  }
  *discarded = tail / total;
  return keep;
}

int64_t mps_content(const Mps *m, int64_t i) {
  int64_t d = m->site[i].d;
  return m->copies == 2 ? (int64_t)lround(sqrt((double)d)) : d;
}

/* theta = A_i A_i+1, [left][d_i][d_i+1][right] */
static double *joined(Rt *rt, const Mps *m, int64_t i) {
  const MpsSite *s = &m->site[i], *t = &m->site[i + 1];
  int64_t rows = s->left * s->d, columns = t->d * t->right;
  double *theta = dense_new(rt, m->wide, rows * columns);
  if (theta)
    dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, rows, columns, s->right, s->a, s->right, t->a,
                  columns, 0, theta, columns);
  return theta;
}

/* Row-major scaling: rows of vt by s, or columns of u. */
static void scale_columns(bool wide, int64_t rows, int64_t k, const double *s, double *u) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < k; j++) {
      if (!wide) {
        u[i * k + j] *= s[j];
        continue;
      }
      u[2 * (i * k + j)] *= s[j];
      u[2 * (i * k + j) + 1] *= s[j];
    }
}

static void set_site(Rt *rt, const Mps *m, MpsSite *s, MpsSite to) {
  dense_free(rt, m->wide, s->left * s->d * s->right, s->a);
  *s = to;
}

/* The first `keep` columns of u (rows, k) and rows of vt (k, columns) become the sites. */
static RtStatus take(Rt *rt, Mps *m, int64_t i, int64_t dp, int64_t dq, int64_t k, int64_t keep,
                     const double *s, const double *u, const double *vt, bool right) {
  MpsSite *p = &m->site[i], *q = &m->site[i + 1];
  int64_t rows = p->left * dp, columns = dq * q->right, w = m->wide ? 2 : 1;
  double *a = dense_new(rt, m->wide, rows * keep), *b = dense_new(rt, m->wide, keep * columns);
  if (!a || !b) {
    dense_free(rt, m->wide, rows * keep, a);
    return rt->error.status;
  }
  for (int64_t r = 0; r < rows; r++)
    memcpy(a + r * keep * w, u + r * k * w, (size_t)(keep * w) * sizeof *a);
  memcpy(b, vt, (size_t)(keep * columns * w) * sizeof *b);
  if (!right) scale_columns(m->wide, rows, keep, s, a);
  for (int64_t r = 0; right && r < keep; r++)
    dense_scale(m->wide, columns, s[r], b + r * columns * w);
  set_site(rt, m, p, (MpsSite){p->left, dp, keep, a});
  set_site(rt, m, q, (MpsSite){keep, dq, q->right, b});
  m->center = right ? i + 1 : i;
  return RT_OK;
}

RtStatus mps_split(Rt *rt, Mps *m, int64_t i, int64_t dp, int64_t dq, double *theta, MpsCut cut,
                   bool right, double *discarded) {
  int64_t rows = m->site[i].left * dp, columns = dq * m->site[i + 1].right;
  int64_t k = rows < columns ? rows : columns;
  double *u = dense_new(rt, m->wide, rows * k), *vt = dense_new(rt, m->wide, k * columns);
  double *s = dense_new(rt, false, k), lost = 0;
  RtStatus st =
      u && vt && s ? dense_svd(rt, m->wide, rows, columns, theta, s, u, vt) : rt->error.status;
  if (!st) {
    int64_t keep = mps_kept(k, s, cut, &lost);
    double up = lost < 1 ? 1 / sqrt(1 - lost) : 1; /* the length stays */
    for (int64_t j = 0; j < keep; j++) s[j] *= up;
    st = take(rt, m, i, dp, dq, k, keep, s, u, vt, right);
    m->error += lost;
    if (discarded) *discarded = lost;
  }
  dense_free(rt, false, k, s);
  dense_free(rt, m->wide, k * columns, vt);
  dense_free(rt, m->wide, rows * k, u);
  return st;
}

/* The centre to i or i + 1. */
static RtStatus bring(Rt *rt, Mps *m, int64_t i) {
  return m->center < i ? mps_move(rt, m, i) : m->center > i + 1 ? mps_move(rt, m, i + 1) : RT_OK;
}

/* out = gate theta over the variables' digits; the ancillas' stay. */
static void act(const Mps *m, int64_t i, const double *gate, const double *theta, double *out) {
  const MpsSite *p = &m->site[i], *q = &m->site[i + 1];
  int64_t dp = mps_content(m, i), dq = mps_content(m, i + 1), w = m->wide ? 2 : 1;
  int64_t ap = p->d / dp, row = q->d / dq * q->right, n = dp * dq;
  for (int64_t l = 0; l < p->left; l++)
    for (int64_t to = 0; to < n; to++)
      for (int64_t from = 0; from < n; from++) {
        const double *g = gate + (to * n + from) * w;
        c128 c = {g[0], m->wide ? g[1] : 0};
        if (c.re == 0 && c.im == 0) continue;
        for (int64_t a = 0; a < ap; a++) {
          int64_t y = ((l * dp + to / dq) * ap + a) * dq + to % dq;
          int64_t x = ((l * dp + from / dq) * ap + a) * dq + from % dq;
          dense_add(m->wide, row, c, theta + x * row * w, out + y * row * w);
        }
      }
}

RtStatus mps_gate(Rt *rt, Mps *m, int64_t i, const double *gate, MpsCut cut, bool right) {
  RT_TRY(bring(rt, m, i));
  const MpsSite *p = &m->site[i], *q = &m->site[i + 1];
  int64_t size = p->left * p->d * q->d * q->right;
  double *theta = joined(rt, m, i), *out = theta ? dense_new0(rt, m->wide, size) : NULL;
  RtStatus st = out ? RT_OK : rt->error.status;
  if (!st) {
    act(m, i, gate, theta, out);
    st = mps_split(rt, m, i, p->d, q->d, out, cut, right, NULL);
  }
  dense_free(rt, m->wide, size, out);
  dense_free(rt, m->wide, size, theta);
  return st;
}

RtStatus mps_swap(Rt *rt, Mps *m, int64_t i, MpsCut cut, bool right) {
  RT_TRY(bring(rt, m, i));
  MpsSite *p = &m->site[i], *q = &m->site[i + 1];
  int64_t dp = p->d, dq = q->d, size = p->left * dp * dq * q->right, w = m->wide ? 2 : 1;
  int64_t row = q->right * w;
  double *theta = joined(rt, m, i), *out = theta ? dense_new(rt, m->wide, size) : NULL;
  RtStatus st = out ? RT_OK : rt->error.status;
  if (!st) {
    for (int64_t l = 0; l < p->left; l++)
      for (int64_t a = 0; a < dp; a++)
        for (int64_t b = 0; b < dq; b++)
          memcpy(out + ((l * dq + b) * dp + a) * row, theta + ((l * dp + a) * dq + b) * row,
                 (size_t)row * sizeof *out);
    st = mps_split(rt, m, i, dq, dp, out, cut, right, NULL);
  }
  dense_free(rt, m->wide, size, out);
  dense_free(rt, m->wide, size, theta);
  return st;
}

RtStatus mps_compress(Rt *rt, Mps *m, MpsCut cut) {
  RT_TRY(mps_move(rt, m, m->n - 1));
  for (int64_t i = m->n - 2; i >= 0; i--) {
    const MpsSite *p = &m->site[i], *q = &m->site[i + 1];
    int64_t size = p->left * p->d * q->d * q->right;
    double *theta = joined(rt, m, i);
    RtStatus st =
        theta ? mps_split(rt, m, i, p->d, q->d, theta, cut, false, NULL) : rt->error.status;
    dense_free(rt, m->wide, size, theta);
    RT_TRY(st);
  }
  return RT_OK;
}
