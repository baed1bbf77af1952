/* ops_decompose.c: eigh, svd, qr, cholesky.
 *
 * eigh and cholesky read the lower triangle of a matrix taken as Hermitian;
 * their gradients are Hermitian (the part of the derivative along Hermitian
 * directions).  Vectors that belong to equal eigenvalues or singular values
 * are fixed only up to a rotation among themselves: the rules leave that
 * rotation out, which is exact for every function that does not depend on it.
 * Values closer than 1e-12 (f32: 1e-6) of the largest count as equal.
 */
#include "runtime/grad/tape_private.h"
#include "runtime/tensor/linalg.h"
#include <math.h>

#define R tensor_ref

static double closeness(int dtype) {
  return dtype == DT_F32 || dtype == DT_C64 ? 1e-6 : 1e-12;
}

/* v (..., n) as a row (..., 1, n) or a column (..., n, 1); borrowed. */
static Tensor *as_row(Rt *rt, Tensor *v) {
  int64_t shape[TENSOR_MAX_RANK + 1];
  for (int i = 0; i < v->rank; i++) shape[i] = v->shape[i];
  shape[v->rank] = shape[v->rank - 1];
  shape[v->rank - 1] = 1;
  return op_reshape(rt, v, v->rank + 1, shape);
}

static Tensor *as_column(Rt *rt, Tensor *v) {
  int64_t shape[TENSOR_MAX_RANK + 1];
  for (int i = 0; i < v->rank; i++) shape[i] = v->shape[i];
  shape[v->rank] = 1;
  return op_reshape(rt, v, v->rank + 1, shape);
}

/* A constant (rows, cols) mask of 0 and 1 (1/2 on the diagonal for half):
 * below, on, above the diagonal.                                             */
static Tensor *mask(Rt *rt, int dtype, int64_t rows, int64_t cols, double below, double on,
                    double above) {
  int64_t shape[2] = {rows, cols};
  Tensor *m = tensor_new(rt, dtype == DT_C64 ? DT_F32 : dtype == DT_C128 ? DT_F64 : dtype, 2,
                         shape);
  for (int64_t i = 0; m && i < rows; i++)
    for (int64_t j = 0; j < cols; j++)
      tensor_set_f64(m, i * cols + j, j < i ? below : j == i ? on : above);
  return m;
}

/* diag(v): (..., n) to (..., n, n); takes over v. */
static Tensor *diagonal(Rt *rt, Tensor *v) {
  if (!v) return NULL;
  int64_t n = v->shape[v->rank - 1];
  Tensor *r = t_mul(rt, as_column(rt, v), mask(rt, v->dtype, n, n, 0, 1, 0));
  tensor_unref(rt, v);
  return r;
}

static Tensor *hermitian(Rt *rt, Tensor *s) {
  Tensor *h = s ? t_adj(rt, R(s)) : NULL;
  return t_scale(rt, t_add(rt, s, h), 0.5);
}

static Tensor *t_real(Rt *rt, Tensor *a) {
  return a && dtype_complex(a->dtype) ? t_un(rt, UN_REAL, a) : a;
}

/* 1 / (e_j - e_i), 0 where the two count as equal; takes over e (..., n). */
static Tensor *inverse_gaps(Rt *rt, Tensor *e, double largest) {
  if (!e) return NULL;
  double tol = closeness(e->dtype) * largest;
  Tensor *gap = t_sub(rt, as_row(rt, e), as_column(rt, e));
  tensor_unref(rt, e);
  Tensor *size = gap ? op_unary(rt, UN_ABS, gap, 0) : NULL;
  Tensor *apart = t_num(rt, BIN_GT, size, tol);
  Tensor *one = apart ? tensor_scalar(rt, gap->dtype, 1, 0) : NULL;
  Tensor *safe = t_where(rt, apart ? R(apart) : NULL, gap, one);
  return t_keep(rt, apart, t_un(rt, UN_RECIP, safe));
}

static double largest_of(const Tensor *t) {
  double m = 0;
  for (int64_t i = 0; i < t->size; i++) {
    double v = fabs(tensor_get_f64(t, i));
    if (v > m) m = v;
  }
  return m;
}

/* ---- Hermitian eigenproblem ------------------------------------------------------ */

/* Ga = V (diag(gw) + F * VH gV) VH,  F_ij = 1 / (w_j - w_i) */
static RtStatus back_eigh(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *w = tape_saved(n, 0), *v = tape_saved(n, 1), *inner = NULL;
  if (g[0]) inner = diagonal(rt, R(g[0]));
  if (g[1]) {
    Tensor *f = inverse_gaps(rt, R(w), largest_of(w));
    Tensor *x = t_mul(rt, f, t_mm(rt, t_adj(rt, R(v)), R(g[1])));
    inner = g[0] ? t_add(rt, inner, x) : x;
  }
  if (inner && inner->dtype != v->dtype) {
    Tensor *c = op_astype(rt, inner, v->dtype);
    tensor_unref(rt, inner);
    inner = c;
  }
  Tensor *s = t_mm(rt, t_mm(rt, R(v), inner), t_adj(rt, R(v)));
  return tape_add(rt, n, 0, hermitian(rt, s));
}

RtStatus op_eigh(Rt *rt, Tensor *a, Tensor **values, Tensor **vectors) {
  static const TapeRule rule = {.name = "eigh", .backward = back_eigh};
  RT_TRY(linalg_eigh(rt, a, values, vectors));
  Tensor *out[2] = {*values, *vectors};
  RtStatus s = tape_record(rt, &rule, 2, out, 1, &a, 2, out, NULL);
  if (!s) return RT_OK;
  tensor_unref(rt, *values);
  tensor_unref(rt, *vectors);
  *values = *vectors = NULL;
  return s;
}

/* ---- singular values ---------------------------------------------------------------- */

/* X - XH */
static Tensor *skew(Rt *rt, Tensor *x) {
  Tensor *h = x ? t_adj(rt, R(x)) : NULL;
  return t_sub(rt, x, h);
}

/* (1 - q qH) g, q with orthonormal columns; borrowed. */
static Tensor *outside(Rt *rt, Tensor *q, Tensor *g) {
  Tensor *part = t_mm(rt, R(q), t_mm(rt, t_adj(rt, R(q)), R(g)));
  return t_sub(rt, R(g), part);
}

/* 1 / s as a row, 0 where s counts as 0; borrowed */
static Tensor *inverse_values(Rt *rt, Tensor *s) {
  Tensor *on = op_binary_scalar(rt, BIN_GT, s, closeness(s->dtype) * largest_of(s), false,
                                false, 0);
  Tensor *one = on ? tensor_scalar(rt, s->dtype, 1, 0) : NULL;
  Tensor *safe = t_where(rt, on ? R(on) : NULL, R(s), one);
  Tensor *inv = t_keep(rt, on, t_un(rt, UN_RECIP, safe));
  Tensor *row = inv ? as_row(rt, inv) : NULL;
  tensor_unref(rt, inv);
  return row;
}

/* The k x k middle of Ga = U M VH:
 *   (skew(UH gU) * E) S + S (skew(VH gV) * E) + diag(gs)
 * with E_ij = 1 / (s_j^2 - s_i^2), and for complex matrices the phase,
 * diag(skew(UH gU)) / (2 s).                                                 */
static Tensor *svd_middle(Rt *rt, Tensor *u, Tensor *s, Tensor *v, Tensor **g) {
  double big = largest_of(s);
  Tensor *m = NULL, *e = NULL;
  if (g[1]) m = diagonal(rt, R(g[1]));
  else m = mask(rt, s->dtype, s->shape[s->rank - 1], s->shape[s->rank - 1], 0, 0, 0);
  if (g[0] || g[2]) e = inverse_gaps(rt, op_unary(rt, UN_SQUARE, s, 0), big * big);
  if (g[0]) {
    Tensor *k = skew(rt, t_mm(rt, t_adj(rt, R(u)), R(g[0])));
    if (k && dtype_complex(u->dtype)) {
      int64_t n = s->shape[s->rank - 1];
      Tensor *phase = t_mul(rt, R(k), mask(rt, u->dtype, n, n, 0, 0.5, 0));
      m = t_add(rt, m, t_mul(rt, phase, inverse_values(rt, s)));
    }
    k = t_mul(rt, k, e ? R(e) : NULL);
    m = t_add(rt, m, t_mul(rt, k, as_row(rt, s)));
  }
  if (g[2]) {
    Tensor *k = skew(rt, t_mm(rt, t_adj(rt, R(v)), t_adj(rt, R(g[2]))));
    k = t_mul(rt, k, e ? R(e) : NULL);
    m = t_add(rt, m, t_mul(rt, k, as_column(rt, s)));
  }
  tensor_unref(rt, e);
  if (m && m->dtype != u->dtype) {
    Tensor *c = op_astype(rt, m, u->dtype);
    tensor_unref(rt, m);
    m = c;
  }
  return m;
}

static RtStatus back_svd(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *u = tape_saved(n, 0), *s = tape_saved(n, 1), *vt = tape_saved(n, 2);
  Tensor *v = t_adj(rt, R(vt));
  if (!v) return rt->error.status;
  int64_t rows = u->shape[u->rank - 2], k = s->shape[s->rank - 1];
  int64_t cols = vt->shape[vt->rank - 1];
  Tensor *d = t_mm(rt, t_mm(rt, R(u), svd_middle(rt, u, s, v, g)), R(vt));
  if (g[0] && rows > k) {
    Tensor *x = t_mul(rt, outside(rt, u, g[0]), inverse_values(rt, s));
    d = t_add(rt, d, t_mm(rt, x, R(vt)));
  }
  if (g[2] && cols > k) {
    Tensor *gv = t_adj(rt, R(g[2]));
    Tensor *x = gv ? t_mul(rt, outside(rt, v, gv), inverse_values(rt, s)) : NULL;
    tensor_unref(rt, gv);
    d = t_add(rt, d, t_mm(rt, R(u), t_adj(rt, x)));
  }
  tensor_unref(rt, v);
  return tape_add(rt, n, 0, d);
}

RtStatus op_svd(Rt *rt, Tensor *a, Tensor **u, Tensor **s, Tensor **vt) {
  static const TapeRule rule = {.name = "svd", .backward = back_svd};
  RT_TRY(linalg_svd(rt, a, u, s, vt));
  Tensor *out[3] = {*u, *s, *vt};
  RtStatus st = tape_record(rt, &rule, 3, out, 1, &a, 3, out, NULL);
  if (!st) return RT_OK;
  for (int i = 0; i < 3; i++) tensor_unref(rt, out[i]);
  *u = *s = *vt = NULL;
  return st;
}

/* ---- QR ------------------------------------------------------------------------------ */

/* x r^-H for upper triangular r; takes over x. */
static Tensor *times_inverse_adjoint(Rt *rt, Tensor *x, Tensor *r) {
  Tensor *xh = x ? t_adj(rt, x) : NULL;
  Tensor *y = xh ? op_solve(rt, r, xh) : NULL;
  tensor_unref(rt, xh);
  return t_adj(rt, y);
}

/* Square or tall: with W = QH dA R^-1 the strictly lower part of W belongs to
 * Q, the rest to R (whose diagonal is real), so
 *   Ga = (gQ - Q K + Q L) R^-H,   K = QH gQ, T = gR RH,
 *   L = low(K - KH + TH) + up(T) + diag(Re T + i Im K).                      */
static Tensor *qr_tall(Rt *rt, Tensor *q, Tensor *r, Tensor *gq, Tensor *gr) {
  int64_t n = r->shape[r->rank - 2];
  int dt = q->dtype;
  Tensor *l = NULL, *d = NULL;
  if (gr) {
    Tensor *t = t_mm(rt, R(gr), t_adj(rt, R(r)));
    Tensor *low = t_mul(rt, t_adj(rt, t ? R(t) : NULL), mask(rt, dt, n, n, 1, 0, 0));
    Tensor *up = t_mul(rt, t ? R(t) : NULL, mask(rt, dt, n, n, 0, 0, 1));
    Tensor *on = t_mul(rt, t_real(rt, t), mask(rt, dt, n, n, 0, 1, 0));
    l = t_add(rt, t_add(rt, low, up), on);
    if (!l) return NULL;
  }
  if (gq) {
    Tensor *k = t_mm(rt, t_adj(rt, R(q)), R(gq));
    Tensor *s = skew(rt, k ? R(k) : NULL);
    Tensor *low = t_mul(rt, s ? R(s) : NULL, mask(rt, dt, n, n, 1, 0, 0));
    Tensor *on = t_mul(rt, s, mask(rt, dt, n, n, 0, 0.5, 0));   /* i Im K */
    Tensor *part = t_sub(rt, t_add(rt, low, on), k);
    l = l ? t_add(rt, l, part) : part;
    if (!l) return NULL;
    d = R(gq);
  }
  Tensor *ql = t_mm(rt, R(q), l);
  d = d ? t_add(rt, d, ql) : ql;
  return times_inverse_adjoint(rt, d, r);
}

/* columns lo..hi of the last axis; borrowed */
static Tensor *columns(Rt *rt, Tensor *t, int64_t lo, int64_t hi) {
  Index ix[TENSOR_MAX_RANK];
  for (int i = 0; i < t->rank - 1; i++) ix[i] = (Index){.kind = IX_ALL};
  ix[t->rank - 1] = (Index){.kind = IX_SLICE, .start = lo, .stop = hi, .step = 1,
                            .has_start = true, .has_stop = true};
  return op_index(rt, t, t->rank, ix);
}

/* Wide a = [x, y]: q, u from x, and v = QH y, so gQ gains y gvH and gy = Q gv. */
static Tensor *qr_wide(Rt *rt, Tensor *a, Tensor *q, Tensor *r, Tensor *gq, Tensor *gr) {
  int64_t m = r->shape[r->rank - 2], n = r->shape[r->rank - 1];
  Tensor *y = columns(rt, a, m, n), *u = columns(rt, r, 0, m);
  Tensor *gu = gr ? columns(rt, gr, 0, m) : NULL, *gv = gr ? columns(rt, gr, m, n) : NULL;
  Tensor *gq2 = gq ? R(gq) : NULL, *gx = NULL, *gy = NULL, *out = NULL;
  bool ok = y && u && (!gr || (gu && gv));
  if (ok && gr) {
    Tensor *more = t_mm(rt, R(y), t_adj(rt, R(gv)));
    gq2 = gq2 ? t_add(rt, gq2, more) : more;
    gy = t_mm(rt, R(q), R(gv));
    ok = gq2 && gy;
  } else if (ok) {
    gy = tensor_zeros(rt, y->dtype, y->rank, y->shape);
  }
  if (ok && gy) gx = qr_tall(rt, q, u, gq2, gu);
  Tensor *both[2] = {gx, gy};
  if (gx) out = op_concat(rt, 2, both, a->rank - 1);
  Tensor *all[] = {y, u, gu, gv, gq2, gx, gy};
  for (int i = 0; i < 7; i++) tensor_unref(rt, all[i]);
  return out;
}

static RtStatus back_qr(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *a = tape_saved(n, 0), *q = tape_saved(n, 1), *r = tape_saved(n, 2);
  bool wide = a->shape[a->rank - 2] < a->shape[a->rank - 1];
  return tape_add(rt, n, 0, wide ? qr_wide(rt, a, q, r, g[0], g[1])
                                 : qr_tall(rt, q, r, g[0], g[1]));
}

RtStatus op_qr(Rt *rt, Tensor *a, Tensor **q, Tensor **r) {
  static const TapeRule rule = {.name = "qr", .backward = back_qr};
  RT_TRY(linalg_qr(rt, a, q, r));
  Tensor *out[2] = {*q, *r}, *saved[3] = {a, *q, *r};
  RtStatus s = tape_record(rt, &rule, 2, out, 1, &a, 3, saved, NULL);
  if (!s) return RT_OK;
  tensor_unref(rt, *q);
  tensor_unref(rt, *r);
  *q = *r = NULL;
  return s;
}

/* ---- Cholesky -------------------------------------------------------------------------- */

/* Ga = herm(L^-H P L^-1),  P = lower part of LH G with half its diagonal */
static RtStatus back_cholesky(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *l = tape_saved(n, 0);
  int64_t k = l->shape[l->rank - 1];
  Tensor *lh = t_adj(rt, R(l));
  if (!lh) return rt->error.status;
  Tensor *lower = t_mul(rt, R(g[0]), mask(rt, l->dtype, k, k, 1, 1, 0));
  Tensor *p = t_mul(rt, t_mm(rt, R(lh), lower), mask(rt, l->dtype, k, k, 1, 0.5, 0));
  if (p && dtype_complex(p->dtype)) {           /* the diagonal of L is real    */
    Tensor *on = t_mul(rt, t_un(rt, UN_REAL, R(p)), mask(rt, l->dtype, k, k, 0, 1, 0));
    p = t_add(rt, t_mul(rt, p, mask(rt, l->dtype, k, k, 1, 0, 0)), on);
  }
  Tensor *x = p ? op_solve(rt, lh, p) : NULL;   /* L^-H P                       */
  tensor_unref(rt, p);
  Tensor *xh = t_adj(rt, x);
  Tensor *y = xh ? op_solve(rt, lh, xh) : NULL; /* (x L^-1)H = L^-H xH          */
  tensor_unref(rt, xh);
  tensor_unref(rt, lh);
  return tape_add(rt, n, 0, hermitian(rt, y));
}

Tensor *op_cholesky(Rt *rt, Tensor *a) {
  static const TapeRule rule = {.name = "cholesky", .backward = back_cholesky};
  Tensor *out = linalg_cholesky(rt, a);
  if (!out || !tape_record(rt, &rule, 1, &out, 1, &a, 1, &out, NULL)) return out;
  tensor_unref(rt, out);
  return NULL;
}
