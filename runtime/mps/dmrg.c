/* dmrg.c: ground states of chains, two sites at a time.
 *
 * What lies left and right of two sites is contracted once and kept; the lowest vector of the
 * effective Hamiltonian of the two sites is found by a few Lanczos vectors, split, cut, and the
 * centre goes on (White, PRL 69, 2863, 1992; Schollwoeck 2011, section 6). The sweeps
 * begin narrow and double the bond until it may be as wide as asked for.             */
#include <math.h>
#include <string.h>

#include "runtime/evolve/evolve.h"
#include "runtime/mps/dense.h"
#include "runtime/mps/gate.h"
#include "runtime/mps/mpo.h"

enum { VECTORS = 8, NARROW = 8 };
/* Of a bond's vector, relative: itself in entropies, its square in the energy. */
#define RESIDUAL 1e-10

typedef struct {
  const Mpo *w;
  Mps *m;
  double **left, **right;    /* [n] before site i, behind site i                */
  int64_t *n_left, *n_right; /* their entries                                   */
} Sweep;

/* ---- the two sites' Hamiltonian --------------------------------------------------------- */

typedef struct {
  const MpoSite *a, *b;
  bool wide;
  int64_t l, da, db, r, size; /* theta [l][da][db][r]                            */
  const double *left, *right;
  double *x, *y; /* work                                            */
  int64_t n_x, n_y;
} Local;

static RtStatus local_make(Rt *rt, const Sweep *s, int64_t i, Local *h) {
  const MpsSite *p = &s->m->site[i], *q = &s->m->site[i + 1];
  *h = (Local){.a = &s->w->site[i],
               .b = &s->w->site[i + 1],
               .wide = s->m->wide,
               .l = p->left,
               .da = p->d,
               .db = q->d,
               .r = q->right,
               .left = s->left[i],
               .right = s->right[i + 1]};
  h->size = h->l * h->da * h->db * h->r;
  int64_t outer = h->a->left > h->b->right ? h->a->left : h->b->right;
  h->n_x = outer * h->size;
  h->n_y = h->a->right * h->size;
  h->x = dense_new(rt, h->wide, h->n_x);
  h->y = dense_new(rt, h->wide, h->n_y);
  return h->x && h->y ? RT_OK : rt->error.status;
}

static void local_free(Rt *rt, Local *h) {
  dense_free(rt, h->wide, h->n_y, h->y);
  dense_free(rt, h->wide, h->n_x, h->x);
}

/* out = H theta.  Nothing has acted on the left of the first channel, nor will on the right of
 * the last: their blocks are the identity, for the sites there are isometries.          */
static void local_apply(const Local *h, const double *theta, double *out) {
  int64_t u = h->wide ? 2 : 1, columns = h->da * h->db * h->r, rows = h->l * h->da * h->db;
  size_t bytes = (size_t)(h->size * u) * sizeof *out;
  memcpy(h->x, theta, bytes);
  if (h->a->left > 1)
    dense_product(h->wide, DENSE_PLAIN, DENSE_PLAIN, (h->a->left - 1) * h->l, columns, h->l,
                  h->left + h->l * h->l * u, h->l, theta, columns, 0, h->x + h->size * u, columns);
  memset(h->y, 0, (size_t)h->a->right * bytes);
  mpo_act(h->a, h->wide, h->l, h->db * h->r, h->x, h->y);
  memset(h->x, 0, (size_t)h->b->right * bytes);
  mpo_act(h->b, h->wide, h->l * h->da, h->r, h->y, h->x);
  memcpy(out, h->x + (h->b->right - 1) * h->size * u, bytes);
  for (int64_t c = 0; c + 1 < h->b->right; c++)
    dense_product(h->wide, DENSE_PLAIN, DENSE_PLAIN, rows, h->r, h->r, h->x + c * h->size * u, h->r,
                  h->right + c * h->r * h->r * u, h->r, 1, out, h->r);
}

/* ---- its lowest vector --------------------------------------------------------------------- */

static c128 dot(bool wide, int64_t n, const double *x, const double *y) {
  c128 z = {0, 0};
  if (!wide) {
    for (int64_t i = 0; i < n; i++) z.re += x[i] * y[i];
    return z;
  }
  for (int64_t i = 0; i < n; i++) {
    z.re += x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
    z.im += x[2 * i] * y[2 * i + 1] - x[2 * i + 1] * y[2 * i];
  }
  return z;
}

typedef struct {
  double *v[VECTORS + 1], alpha[VECTORS], beta[VECTORS + 1];
} Space;

/* Orthogonal to the first k vectors, twice over; returns the length. */
static double orthogonal(const Local *h, const Space *s, int k, double *w) {
  for (int pass = 0; pass < 2; pass++)
    for (int j = 0; j < k; j++) {
      c128 z = dot(h->wide, h->size, s->v[j], w);
      dense_add(h->wide, h->size, (c128){-z.re, -z.im}, s->v[j], w);
    }
  return sqrt(dense_norm2(h->wide, h->size, w));
}

/* Lowest eigenvector of the k by k tridiagonal matrix: its value, vector, residual. */
static RtStatus ritz(Rt *rt, const Space *s, int k, double *value, double *vec, double *residual) {
  double d[VECTORS], e[VECTORS], z[VECTORS * VECTORS];
  memcpy(d, s->alpha, (size_t)k * sizeof *d);
  memcpy(e, s->beta + 1, (size_t)k * sizeof *e);
  RT_TRY(tridiagonal(rt, k, d, e, z));
  int low = 0;
  for (int j = 1; j < k; j++)
    if (d[j] < d[low]) low = j;
  for (int j = 0; j < k; j++) vec[j] = z[j * k + low];
  *value = d[low];
  *residual = fabs(s->beta[k] * vec[k - 1]);
  return RT_OK;
}

static RtStatus lanczos(Rt *rt, const Local *h, Space *s, double *theta, double *energy) {
  double norm = sqrt(dense_norm2(h->wide, h->size, theta)), vec[VECTORS], residual;
  size_t bytes = (size_t)h->size * (h->wide ? 16 : 8);
  memcpy(s->v[0], theta, bytes);
  dense_scale(h->wide, h->size, 1 / norm, s->v[0]);
  int k = 0;
  do {
    double *w = s->v[k + 1];
    local_apply(h, s->v[k], w);
    s->alpha[k] = dot(h->wide, h->size, s->v[k], w).re;
    double before = sqrt(dense_norm2(h->wide, h->size, w));
    s->beta[k + 1] = orthogonal(h, s, k + 1, w);
    if (s->beta[k + 1] <= 1e-14 * before) s->beta[k + 1] = 0;
    else dense_scale(h->wide, h->size, 1 / s->beta[k + 1], w);
    k++;
    RT_TRY(ritz(rt, s, k, energy, vec, &residual));
  } while (k < VECTORS && k < h->size && s->beta[k] > 0 &&
           residual > RESIDUAL * fmax(1, fabs(*energy)));
  memset(theta, 0, bytes);
  for (int j = 0; j < k; j++) dense_add(h->wide, h->size, (c128){vec[j], 0}, s->v[j], theta);
  dense_scale(h->wide, h->size, 1 / sqrt(dense_norm2(h->wide, h->size, theta)), theta);
  return RT_OK;
}

/* ---- sweeps --------------------------------------------------------------------------------- */

static RtStatus two_sites(Rt *rt, Sweep *s, int64_t i, MpsCut cut, bool right, double *energy,
                          double *discarded) {
  const MpsSite *p = &s->m->site[i], *q = &s->m->site[i + 1];
  Local h;
  Space space = {0};
  int64_t columns = q->d * q->right, rows = p->left * p->d, size = rows * columns;
  RtStatus st = local_make(rt, s, i, &h);
  double *theta = st ? NULL : dense_new(rt, h.wide, size), lost = 0;
  if (!st && !theta) st = rt->error.status;
  for (int j = 0; j <= VECTORS && !st; j++)
    if (!(space.v[j] = dense_new(rt, h.wide, size))) st = rt->error.status;
  if (!st) {
    dense_product(h.wide, DENSE_PLAIN, DENSE_PLAIN, rows, columns, p->right, p->a, p->right, q->a,
                  columns, 0, theta, columns);
    st = lanczos(rt, &h, &space, theta, energy);
  }
  if (!st) st = mps_split(rt, s->m, i, p->d, q->d, theta, cut, right, &lost);
  if (lost > *discarded) *discarded = lost;
  for (int j = 0; j <= VECTORS; j++) dense_free(rt, h.wide, size, space.v[j]);
  dense_free(rt, h.wide, size, theta);
  local_free(rt, &h);
  return st;
}

static void replace(Rt *rt, const Sweep *s, double **p, int64_t *n, double *by, int64_t size) {
  dense_free(rt, s->m->wide, *n, *p);
  *p = by;
  *n = size;
}

static RtStatus left_after(Rt *rt, Sweep *s, int64_t i) {
  double *e;
  RT_TRY(mpo_left(rt, &s->w->site[i], s->m, i, s->left[i], &e));
  replace(rt, s, &s->left[i + 1], &s->n_left[i + 1], e, mpo_left_size(&s->w->site[i], s->m, i));
  return RT_OK;
}

static RtStatus right_before(Rt *rt, Sweep *s, int64_t i) {
  double *e;
  RT_TRY(mpo_right(rt, &s->w->site[i], s->m, i, s->right[i], &e));
  replace(rt, s, &s->right[i - 1], &s->n_right[i - 1], e, mpo_right_size(&s->w->site[i], s->m, i));
  return RT_OK;
}

/* There and back. */
static RtStatus sweep(Rt *rt, Sweep *s, MpsCut cut, double *energy, double *discarded) {
  int64_t n = s->m->n;
  *discarded = 0;
  for (int64_t i = 0; i < n - 1; i++) {
    RT_TRY(two_sites(rt, s, i, cut, i < n - 2, energy, discarded));
    if (i < n - 2) RT_TRY(left_after(rt, s, i));
    RT_TRY(rt_poll(rt));
  }
  for (int64_t i = n - 2; i >= 0; i--) {
    if (i < n - 2) RT_TRY(two_sites(rt, s, i, cut, false, energy, discarded));
    if (i > 0) RT_TRY(right_before(rt, s, i + 1));
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

static void sweep_free(Rt *rt, Sweep *s) {
  int64_t n = s->m->n;
  for (int64_t i = 0; i < n; i++) {
    if (s->left) dense_free(rt, s->m->wide, s->n_left[i], s->left[i]);
    if (s->right) dense_free(rt, s->m->wide, s->n_right[i], s->right[i]);
  }
  if (s->left) rt_free(rt, s->left, (size_t)n * sizeof *s->left);
  if (s->right) rt_free(rt, s->right, (size_t)n * sizeof *s->right);
  if (s->n_left) rt_free(rt, s->n_left, (size_t)(2 * n) * sizeof *s->n_left);
}

/* The centre is site 0: all blocks behind. */
static RtStatus sweep_make(Rt *rt, Sweep *s) {
  int64_t n = s->m->n;
  s->n_left = rt_alloc0(rt, (size_t)(2 * n) * sizeof *s->n_left);
  if (!s->n_left) return rt->error.status;
  s->n_right = s->n_left + n;
  s->left = rt_alloc0(rt, (size_t)n * sizeof *s->left);
  s->right = s->left ? rt_alloc0(rt, (size_t)n * sizeof *s->right) : NULL;
  if (!s->right) return rt->error.status;
  s->left[0] = dense_new0(rt, s->m->wide, 1);
  s->right[n - 1] = s->left[0] ? dense_new0(rt, s->m->wide, 1) : NULL;
  if (!s->right[n - 1]) return rt->error.status;
  s->n_left[0] = s->n_right[n - 1] = 1;
  s->left[0][0] = s->right[n - 1][0] = 1;
  for (int64_t i = n - 1; i > 1; i--) RT_TRY(right_before(rt, s, i));
  return RT_OK;
}

static RtStatus sweeps_run(Rt *rt, Sweep *s, MpsCut cut, double tol, int sweeps, DmrgResult *out) {
  double last = INFINITY;
  for (int k = 0; k < sweeps; k++) {
    int64_t room = k < 24 ? (int64_t)NARROW << k : cut.bond;
    MpsCut now = {room < cut.bond ? room : cut.bond, cut.cut};
    RT_TRY(sweep(rt, s, now, &out->energy, &out->discarded));
    out->change = fabs(out->energy - last);
    out->sweeps = k + 1;
    last = out->energy;
    bool full = now.bond == cut.bond || mps_widest(s->m) < now.bond;
    if (full && k > 1 && out->change <= tol * fmax(1, fabs(out->energy))) return RT_OK;
  }
  rt_fail(rt, RT_ERROR,
          "the ground state did not settle in %d sweeps: the last one moved the energy by %.3g",
          sweeps, out->change);
  rt_help(rt, "allow a wider bond, more sweeps, or a larger tol");
  return RT_ERROR;
}

RtStatus mps_ground(Rt *rt, const Operator *h, MpsCut cut, double tol, int sweeps, RngCall seed,
                    Mps *m, DmrgResult *out) {
  Mpo *w;
  *out = (DmrgResult){0};
  mps_init(m);
  RT_TRY(mpo_make(rt, h, 0, &w));
  RtStatus st = mps_random(rt, &h->vars, cut.bond < NARROW ? cut.bond : NARROW, seed, m);
  if (!st && w->wide) st = mps_widen(rt, m);
  Sweep s = {.w = w, .m = m};
  if (!st) st = sweep_make(rt, &s);
  if (!st) st = sweeps_run(rt, &s, cut, tol, sweeps, out);
  if (m->site) sweep_free(rt, &s);
  if (!st) m->error = out->discarded;
  if (st) mps_free(rt, m);
  mpo_free(rt, w);
  return st;
}
