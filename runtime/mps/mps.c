/* mps.c: making matrix-product states, the canonical form. */
#include "runtime/mps/mps.h"

#include <math.h>
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/gate.h"

int64_t mps_levels(const VarTable *t, int64_t v) {
  const VarArray *a = vars_of(t, v);
  return a->kind == VAR_MODE ? a->cutoff : 2;
}

void mps_init(Mps *m) {
  *m = (Mps){.copies = 1};
  vars_init(&m->vars);
}

static int64_t entries(const MpsSite *s) { return s->left * s->d * s->right; }

void mps_free(Rt *rt, Mps *m) {
  for (int64_t i = 0; m->site && i < m->n; i++)
    dense_free(rt, m->wide, entries(&m->site[i]), m->site[i].a);
  if (m->site) rt_free(rt, m->site, (size_t)m->n * sizeof *m->site);
  vars_free(rt, &m->vars);
  mps_init(m);
}

RtStatus mps_sites(Rt *rt, const VarTable *vars) {
  if (vars->n >= 2 && vars->n <= MPS_SITES) return RT_OK;
  return rt_fail(rt, RT_ERROR, "a matrix-product state has between 2 and %d sites, found %lld",
                 MPS_SITES, (long long)vars->n);
}

RtStatus mps_blocks(Rt *rt, const VarTable *vars, int copies, bool wide, Mps *out) {
  mps_init(out);
  RT_TRY(mps_sites(rt, vars));
  RT_TRY(dense_open(rt));
  RT_TRY(vars_copy(rt, &out->vars, vars));
  out->n = vars->n;
  out->copies = copies;
  out->wide = wide;
  out->site = rt_alloc0(rt, (size_t)out->n * sizeof *out->site);
  if (out->site) return RT_OK;
  vars_free(rt, &out->vars);
  return rt->error.status;
}

RtStatus mps_block(Rt *rt, Mps *m, int64_t i, int64_t left, int64_t d, int64_t right) {
  double *a = dense_new0(rt, m->wide, left * d * right);
  if (!a) return rt->error.status;
  m->site[i] = (MpsSite){left, d, right, a};
  return RT_OK;
}

RtStatus mps_copy(Rt *rt, const Mps *m, Mps *out) {
  RtStatus st = mps_blocks(rt, &m->vars, m->copies, m->wide, out);
  for (int64_t i = 0; i < m->n && !st; i++) {
    const MpsSite *s = &m->site[i];
    st = mps_block(rt, out, i, s->left, s->d, s->right);
    if (!st) memcpy(out->site[i].a, s->a, (size_t)entries(s) * (m->wide ? 16 : 8));
  }
  if (st) {
    mps_free(rt, out);
    return st;
  }
  out->center = m->center;
  out->error = m->error;
  return RT_OK;
}

/* Sites of a product are isometries once they have length 1: it moves to the centre, site 0. */
static void gather_lengths(Mps *m) {
  double length = 1;
  for (int64_t i = m->n - 1; i > 0; i--) {
    double x = sqrt(dense_norm2(m->wide, entries(&m->site[i]), m->site[i].a));
    length *= x;
    if (x > 0) dense_scale(m->wide, entries(&m->site[i]), 1 / x, m->site[i].a);
  }
  dense_scale(m->wide, entries(&m->site[0]), length, m->site[0].a);
}

RtStatus mps_product(Rt *rt, const VarTable *vars, const c128 *amp, Mps *out) {
  int64_t total = 0;
  bool wide = false;
  for (int64_t i = 0; i < vars->n; i++) total += mps_levels(vars, i);
  for (int64_t i = 0; i < total; i++) wide |= amp[i].im != 0;
  RtStatus st = mps_blocks(rt, vars, 1, wide, out);
  for (int64_t i = 0, at = 0; !st && i < out->n; i++) {
    int64_t d = mps_levels(vars, i);
    st = mps_block(rt, out, i, 1, d, 1);
    for (int64_t k = 0; k < d && !st; k++) {
      c128 z = amp[at + k];
      if (wide) memcpy(out->site[i].a + 2 * k, &z, sizeof z);
      else out->site[i].a[k] = z.re;
    }
    at += d;
  }
  if (st) mps_free(rt, out);
  else gather_lengths(out);
  return st;
}

RtStatus mps_mixed(Rt *rt, const VarTable *vars, Mps *out) {
  RtStatus st = mps_blocks(rt, vars, 2, false, out);
  for (int64_t i = 0; !st && i < out->n; i++) {
    int64_t d = mps_levels(vars, i);
    st = mps_block(rt, out, i, 1, d * d, 1);
    for (int64_t k = 0; k < d && !st; k++) out->site[i].a[k * d + k] = 1 / sqrt((double)d);
  }
  if (st) mps_free(rt, out);
  return st;
}

RtStatus mps_random(Rt *rt, const VarTable *vars, int64_t bond, RngCall c, Mps *out) {
  RtStatus st = mps_blocks(rt, vars, 1, false, out);
  uint64_t element = 0;
  for (int64_t i = 0, left = 1; !st && i < out->n; i++) {
    int64_t d = mps_levels(vars, i), right = 1;
    if (i + 1 < out->n) right = left * d < bond ? left * d : bond;
    int64_t behind = 1;
    for (int64_t j = i + 1; j < out->n && behind < right; j++) behind *= mps_levels(vars, j);
    if (behind < right) right = behind;
    st = mps_block(rt, out, i, left, d, right);
    for (int64_t k = 0; k < left * d * right && !st; k++)
      out->site[i].a[k] = rng_normal(c, element++);
    left = right;
  }
  /* Makes every site before the last an isometry; lengths of long chains would overflow. */
  for (int64_t i = 1; i < out->n && !st; i++) {
    st = mps_move(rt, out, i);
    if (!st) st = mps_scale(rt, out, (c128){1 / sqrt(mps_norm2(out)), 0});
  }
  if (!st) st = mps_move(rt, out, 0);
  if (!st) st = mps_scale(rt, out, (c128){1 / sqrt(mps_norm2(out)), 0});
  if (st) mps_free(rt, out);
  return st;
}

RtStatus mps_widen(Rt *rt, Mps *m) {
  if (m->wide) return RT_OK;
  for (int64_t i = 0; i < m->n; i++) /* all blocks first: the state stays whole on errors */
    if (entries(&m->site[i]) >= (int64_t)1 << 39)
      return rt_fail(rt, RT_ERROR, "a block is too large");
  Mps w;
  RT_TRY(mps_blocks(rt, &m->vars, m->copies, true, &w));
  RtStatus st = RT_OK;
  for (int64_t i = 0; i < m->n && !st; i++) {
    const MpsSite *s = &m->site[i];
    st = mps_block(rt, &w, i, s->left, s->d, s->right);
    for (int64_t k = 0; !st && k < entries(s); k++) w.site[i].a[2 * k] = s->a[k];
  }
  if (st) {
    mps_free(rt, &w);
    return st;
  }
  w.center = m->center;
  w.error = m->error;
  mps_free(rt, m);
  *m = w;
  return RT_OK;
}

double mps_norm2(const Mps *m) {
  const MpsSite *s = &m->site[m->center];
  return dense_norm2(m->wide, entries(s), s->a);
}

RtStatus mps_scale(Rt *rt, Mps *m, c128 c) {
  if (c.im != 0) RT_TRY(mps_widen(rt, m));
  MpsSite *s = &m->site[m->center];
  if (c.im == 0) dense_scale(m->wide, entries(s), c.re, s->a);
  else
    for (int64_t k = 0; k < entries(s); k++) {
      double x = s->a[2 * k], y = s->a[2 * k + 1];
      s->a[2 * k] = c.re * x - c.im * y;
      s->a[2 * k + 1] = c.re * y + c.im * x;
    }
  return RT_OK;
}

int64_t mps_bond(const Mps *m, int64_t i) { return m->site[i].right; }

int64_t mps_widest(const Mps *m) {
  int64_t most = 1;
  for (int64_t i = 0; i + 1 < m->n; i++)
    if (m->site[i].right > most) most = m->site[i].right;
  return most;
}

/* ---- the centre ------------------------------------------------------------------- */

static void put(Rt *rt, const Mps *m, MpsSite *s, int64_t left, int64_t right, double *a) {
  dense_free(rt, m->wide, entries(s), s->a);
  s->left = left;
  s->right = right;
  s->a = a;
}

/* Site i = Q R, R goes into site i + 1. */
static RtStatus step_right(Rt *rt, Mps *m, int64_t i) {
  MpsSite *s = &m->site[i], *t = &m->site[i + 1];
  int64_t rows = s->left * s->d, n = s->right, k = rows < n ? rows : n, behind = t->d * t->right;
  double *r = dense_new(rt, m->wide, k * n), *next = dense_new(rt, m->wide, k * behind);
  double *q = dense_new(rt, m->wide, rows * k);
  RtStatus st = r && next && q ? dense_qr(rt, m->wide, rows, n, s->a, r) : rt->error.status;
  if (!st) {
    memcpy(q, s->a, (size_t)(rows * k) * (m->wide ? 16 : 8));
    dense_product(m->wide, DENSE_PLAIN, DENSE_PLAIN, k, behind, n, r, n, t->a, behind, 0, next,
                  behind);
    put(rt, m, s, s->left, k, q);
    put(rt, m, t, k, t->right, next);
    m->center = i + 1;
  } else {
    dense_free(rt, m->wide, rows * k, q);
    dense_free(rt, m->wide, k * behind, next);
  }
  dense_free(rt, m->wide, k * n, r);
  return st;
}

/* Site i = L Q by the QR of its adjoint, L goes into site i - 1. */
static RtStatus step_left(Rt *rt, Mps *m, int64_t i) {
  MpsSite *s = &m->site[i], *t = &m->site[i - 1];
  int64_t rows = s->d * s->right, n = s->left, k = rows < n ? rows : n, ahead = t->left * t->d;
  double *turned = dense_new(rt, m->wide, rows * n), *r = dense_new(rt, m->wide, k * n);
  double *next = dense_new(rt, m->wide, ahead * k), *q = dense_new(rt, m->wide, k * rows);
  RtStatus st = turned && r && next && q ? RT_OK : rt->error.status;
  if (!st) {
    dense_adjoint(m->wide, n, rows, s->a, turned);
    st = dense_qr(rt, m->wide, rows, n, turned, r);
  }
  if (!st) {
    dense_adjoint(m->wide, rows, k, turned, q);
    dense_product(m->wide, DENSE_PLAIN, DENSE_ADJOINT, ahead, k, n, t->a, n, r, n, 0, next, k);
    put(rt, m, s, k, s->right, q);
    put(rt, m, t, t->left, k, next);
    m->center = i - 1;
  } else {
    dense_free(rt, m->wide, ahead * k, next);
    dense_free(rt, m->wide, k * rows, q);
  }
  dense_free(rt, m->wide, k * n, r);
  dense_free(rt, m->wide, rows * n, turned);
  return st;
}

RtStatus mps_move(Rt *rt, Mps *m, int64_t center) {
  while (m->center < center) RT_TRY(step_right(rt, m, m->center));
  while (m->center > center) RT_TRY(step_left(rt, m, m->center));
  return RT_OK;
}

/* ---- sums ------------------------------------------------------------------------------ */

/* c x into rows from `left`, columns from `right` of the wider site s. */
static void place(const Mps *m, MpsSite *s, int64_t left, int64_t right, double c,
                  const MpsSite *x) {
  int64_t w = m->wide ? 2 : 1;
  for (int64_t l = 0; l < x->left; l++)
    for (int64_t p = 0; p < x->d; p++)
      dense_add(m->wide, x->right, (c128){c, 0}, x->a + (l * x->d + p) * x->right * w,
                s->a + (((left + l) * s->d + p) * s->right + right) * w);
}

RtStatus mps_sum(Rt *rt, const Mps *a, double c, const Mps *b, MpsCut cut, Mps *out) {
  Mps own[2];
  mps_init(&own[0]);
  mps_init(&own[1]);
  mps_init(out);
  bool wide = a->wide || b->wide;
  RtStatus st = mps_copy(rt, a, &own[0]);
  if (!st) st = mps_copy(rt, b, &own[1]);
  for (int k = 0; k < 2 && !st && wide; k++) st = mps_widen(rt, &own[k]);
  if (!st) st = mps_blocks(rt, &a->vars, a->copies, wide, out);
  for (int64_t i = 0; i < a->n && !st; i++) {
    const MpsSite *x = &own[0].site[i], *y = &own[1].site[i];
    bool first = i == 0, last = i + 1 == a->n;
    int64_t left = first ? 0 : x->left, right = last ? 0 : x->right;
    st = mps_block(rt, out, i, first ? 1 : x->left + y->left, x->d, last ? 1 : x->right + y->right);
    if (st) break;
    place(out, &out->site[i], 0, 0, 1, x);
    place(out, &out->site[i], left, right, first ? c : 1, y);
  }
  if (!st) st = mps_move(rt, out, out->n - 1); /* the first sweep makes the sites isometries */
  if (!st) out->error = a->error + b->error;
  if (!st) st = mps_compress(rt, out, cut);
  mps_free(rt, &own[0]);
  mps_free(rt, &own[1]);
  if (st) mps_free(rt, out);
  return st;
}
