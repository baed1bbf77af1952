/* unitary.c: matrices as gates: two qubits by the canonical form, more by quantum Shannon
 * decomposition: a cosine-sine decomposition, and each pair of blocks as one matrix between
 * multiplexed rotations.                                                           */
#include "runtime/circuit/lower.h"
#include "runtime/tensor/linalg_lapack.h"

#include <math.h>
#include <string.h>

/* ---- small matrices ---------------------------------------------------------------------- */

/* out = a b, of a's or b's adjoint when asked; d x d */
static void product(int64_t d, const cplx *a, bool adjoint_a, const cplx *b, bool adjoint_b,
                    cplx *out) {
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++) {
      cplx s = 0;
      for (int64_t k = 0; k < d; k++)
        s += (adjoint_a ? conj(a[k * d + i]) : a[i * d + k]) *
             (adjoint_b ? conj(b[j * d + k]) : b[k * d + j]);
      out[i * d + j] = s;
    }
}

/* ---- two qubits -------------------------------------------------------------------------- */

/* Orthogonal p that makes the commuting symmetric re and im diagonal, by Jacobi rotations of
 * both at once (Cardoso and Souloumiac, SIAM J. Matrix Anal. 17, 161, 1996).          */
static void rotate4(double *m, int p, int q, double c, double s, bool both) {
  for (int k = 0; k < 4; k++) {
    double a = m[k * 4 + p], b = m[k * 4 + q];
    m[k * 4 + p] = c * a + s * b;
    m[k * 4 + q] = c * b - s * a;
  }
  for (int k = 0; both && k < 4; k++) {
    double a = m[p * 4 + k], b = m[q * 4 + k];
    m[p * 4 + k] = c * a + s * b;
    m[q * 4 + k] = c * b - s * a;
  }
}

static void jacobi4(double *re, double *im, double *p) {
  for (int k = 0; k < 16; k++) p[k] = k % 5 == 0;
  for (int sweep = 0; sweep < 60; sweep++) {
    double off = 0;
    for (int i = 0; i < 4; i++)
      for (int j = i + 1; j < 4; j++) {
        double a = re[i * 5] - re[j * 5], b = 2 * re[i * 4 + j];
        double e = im[i * 5] - im[j * 5], f = 2 * im[i * 4 + j];
        double on = a * a + e * e - b * b - f * f, cross = 2 * (a * b + e * f);
        double t = atan2(cross, on) / 4, c = cos(t), s = sin(t);
        off += b * b + f * f;
        if (fabs(s) < 1e-17) continue;
        rotate4(re, i, j, c, s, true);
        rotate4(im, i, j, c, s, true);
        rotate4(p, i, j, c, s, false);
      }
    if (off < 1e-31) return;
  }
}

/* Columns: the magic basis, in which local gates are real (times sqrt 2). */
static const cplx magic[16] = {1, 0, 0, I, 0, I, 1, 0, 0, I, -1, 0, 1, 0, 0, -I};

static void to_magic(const cplx *m, cplx *out) {
  cplx t[16];
  product(4, magic, true, m, false, t);
  product(4, t, false, magic, false, out);
  for (int k = 0; k < 16; k++) out[k] /= 2;
}

/* m = hi x lo, from a real matrix in the magic basis. */
static void factors(const double *real, cplx *hi, cplx *lo) {
  cplx z[16], m[16], t[16];
  int big = 0;
  for (int k = 0; k < 16; k++) z[k] = real[k];
  product(4, magic, false, z, false, t);
  product(4, t, false, magic, true, m);
  for (int k = 0; k < 16; k++) {
    m[k] /= 2;
    if (cabs(m[k]) > cabs(m[big])) big = k;
  }
  int r = big / 4, s = big % 4; /* row (r1 r0), column (s1 s0) of the largest entry */
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      lo[2 * i + j] = m[((r & 2) | i) * 4 + ((s & 2) | j)];
      hi[2 * i + j] = m[(i << 1 | (r & 1)) * 4 + (j << 1 | (s & 1))];
    }
  double length = sqrt(cabs(lo[0] * lo[3] - lo[1] * lo[2]));
  for (int k = 0; k < 4; k++) lo[k] /= length;
  cplx scale = m[big] / (hi[(r >> 1) * 2 + (s >> 1)] * lo[(r & 1) * 2 + (s & 1)]);
  for (int k = 0; k < 4; k++) hi[k] *= scale;
}

static cplx determinant4(const cplx *m) {
  cplx a[16], det = 1;
  memcpy(a, m, sizeof a);
  for (int k = 0; k < 4; k++) {
    int top = k;
    for (int i = k + 1; i < 4; i++)
      if (cabs(a[i * 4 + k]) > cabs(a[top * 4 + k])) top = i;
    for (int j = 0; j < 4 && top != k; j++) {
      cplx t = a[k * 4 + j];
      a[k * 4 + j] = a[top * 4 + j];
      a[top * 4 + j] = t;
    }
    if (top != k) det = -det;
    det *= a[k * 5];
    for (int i = k + 1; i < 4; i++) {
      cplx f = a[i * 4 + k] / a[k * 5];
      for (int j = k; j < 4; j++) a[i * 4 + j] -= f * a[k * 4 + j];
    }
  }
  return det;
}

static double determinant_sign(const double *p) {
  cplx z[16];
  for (int k = 0; k < 16; k++) z[k] = p[k];
  return creal(determinant4(z)) < 0 ? -1 : 1;
}

void canonical_form(const cplx *m, Canonical *out) {
  cplx u[16], square[16];
  double re[16], im[16], p[16], t[4], left[16], right[16];
  out->phase = carg(determinant4(m)) / 4;
  to_magic(m, u);
  for (int k = 0; k < 16; k++) u[k] *= cexp(CMPLX(0, -out->phase));
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      square[i * 4 + j] = 0;
      for (int k = 0; k < 4; k++) square[i * 4 + j] += u[k * 4 + i] * u[k * 4 + j];
    }
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      re[i * 4 + j] = creal(square[i * 4 + j] + square[j * 4 + i]) / 2;
      im[i * 4 + j] = cimag(square[i * 4 + j] + square[j * 4 + i]) / 2;
    }
  jacobi4(re, im, p);
  if (determinant_sign(p) < 0)
    for (int i = 0; i < 4; i++) p[i * 4] = -p[i * 4];
  double sum = 0;
  for (int k = 0; k < 4; k++) sum += t[k] = atan2(im[k * 5], re[k * 5]) / 2;
  /* the product of e^{it} is 1 or -1: choose the root of one of them so that it is 1, then
   * the sum a multiple of 2 pi that is taken off                                     */
  t[2] -= M_PI * rint(sum / M_PI);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      cplx s = 0;
      for (int k = 0; k < 4; k++) s += u[i * 4 + k] * p[k * 4 + j];
      left[i * 4 + j] = creal(s * cexp(CMPLX(0, -t[j])));
      right[i * 4 + j] = p[j * 4 + i];
    }
  factors(left, out->a1, out->a0);
  factors(right, out->b1, out->b0);
  out->k[0] = (t[0] + t[1]) / 2;
  out->k[1] = (t[1] + t[3]) / 2;
  out->k[2] = (t[0] + t[3]) / 2;
}

/* exp(i (k0 XX + k1 YY + k2 ZZ)), three cx. */
static RtStatus interaction(Lower *l, int32_t low, int32_t high, const double *k) {
  Controls none = {0};
  if (fabs(k[0]) < 1e-14 && fabs(k[1]) < 1e-14 && fabs(k[2]) < 1e-14) return RT_OK;
  if (fabs(k[1]) < 1e-14) { /* between two cx XX is X of the control, ZZ Z of the target */
    RT_TRY(lower_cx(l, low, high));
    RT_TRY(lower_rotation(l, 'X', low, -2 * k[0], &none));
    RT_TRY(lower_rotation(l, 'Z', high, -2 * k[2], &none));
    return lower_cx(l, low, high);
  }
  RT_TRY(lower_rotation(l, 'Z', low, -M_PI / 2, &none));
  RT_TRY(lower_cx(l, low, high));
  RT_TRY(lower_rotation(l, 'Z', high, M_PI / 2 - 2 * k[2], &none));
  RT_TRY(lower_rotation(l, 'Y', low, 2 * k[0] - M_PI / 2, &none));
  RT_TRY(lower_cx(l, high, low));
  RT_TRY(lower_rotation(l, 'Y', low, M_PI / 2 - 2 * k[1], &none));
  RT_TRY(lower_cx(l, low, high));
  RT_TRY(lower_rotation(l, 'Z', high, M_PI / 2, &none));
  return lower_phase(l, M_PI / 4, &none);
}

static RtStatus two_qubits(Lower *l, const int32_t *q, const cplx *m) {
  Canonical f;
  Controls none = {0};
  canonical_form(m, &f);
  RT_TRY(lower_one(l, q[0], f.b0, &none));
  RT_TRY(lower_one(l, q[1], f.b1, &none));
  RT_TRY(interaction(l, q[0], q[1], f.k));
  RT_TRY(lower_one(l, q[0], f.a0, &none));
  RT_TRY(lower_one(l, q[1], f.a1, &none));
  return lower_phase(l, f.phase, &none);
}

/* ---- more qubits: pairs of blocks ---------------------------------------------------------- */

/* a0 where qubit q[n] is 0, a1 where it is 1, on the n qubits below: a0 = v s w, a1 = v s' w with
 * a0 a1' = v s^2 v'.  Both are used up.                                              */
static RtStatus pair_of(Lower *l, int n, const int32_t *q, cplx *a0, cplx *a1, const Controls *c) {
  int64_t d = 1ll << n;
  size_t block = (size_t)(d * d), bytes = (2 * block + (size_t)d) * sizeof(cplx);
  cplx *v = rt_alloc(l->rt, bytes);
  double *angle = v ? rt_alloc(l->rt, sizeof *angle * (size_t)d) : NULL;
  if (!angle) {
    if (v) rt_free(l->rt, v, bytes);
    return l->rt->error.status;
  }
  cplx *t = v + block, *w = t + block;
  product(d, a0, false, a1, true, t);
  RtStatus st = RT_OK;
  if (lapack_schur((int)d, (c128 *)t, (c128 *)w, (c128 *)v))
    st = rt_fail(l->rt, RT_ERROR, "the eigenvalues of a block of %lld rows did not converge",
                 (long long)d);
  if (!st) {
    product(d, v, true, a1, false, a0);
    for (int64_t i = 0; i < d; i++) {
      double half = carg(w[i]) / 2;
      angle[i] = -2 * half;
      for (int64_t j = 0; j < d; j++) a0[i * d + j] *= cexp(CMPLX(0, half));
    }
    st = lower_unitary(l, n, q, a0, c);
  }
  if (!st) st = lower_mux(l, 'Z', q[n], n, q, angle, c);
  if (!st) st = lower_unitary(l, n, q, v, c);
  rt_free(l->rt, angle, sizeof *angle * (size_t)d);
  rt_free(l->rt, v, bytes);
  return st;
}

/* ---- the cosine-sine decomposition ----------------------------------------------------------- */

/* u = (l0 + l1) [[c, -s], [s, c]] (r0' + r1), blocks [d, d]; b: those of u, row by row. */
typedef struct { cplx *b[4], *l0, *l1, *r0, *r1, *t, *w; double *c, *s; } CosSin;

static double column_length(int64_t d, const cplx *x, int64_t j) {
  double sum = 0;
  for (int64_t i = 0; i < d; i++) sum += creal(x[i * d + j]) * creal(x[i * d + j]) +
                                         cimag(x[i * d + j]) * cimag(x[i * d + j]);
  return sqrt(sum);
}

/* Divides column j by its length, which is given back. */
static double normalise(int64_t d, cplx *x, int64_t j) {
  double length = column_length(d, x, j);
  for (int64_t i = 0; i < d; i++) x[i * d + j] /= length;
  return length;
}

/* Columns from `first` on: an orthonormal complement of those before, from unit vectors. */
static void complement(int64_t d, cplx *x, int64_t first) {
  int64_t unit = 0;
  for (int64_t j = first; j < d; unit++) {
    for (int64_t i = 0; i < d; i++) x[i * d + j] = i == unit;
    for (int round = 0; round < 2; round++)
      for (int64_t k = 0; k < j; k++) {
        cplx s = 0;
        for (int64_t i = 0; i < d; i++) s += conj(x[i * d + k]) * x[i * d + j];
        for (int64_t i = 0; i < d; i++) x[i * d + j] -= s * x[i * d + k];
      }
    /* of d unit vectors one always has this much left; the last are not looked at too closely */
    if (column_length(d, x, j) < 0.5 / sqrt((double)d) && unit < d - 1) continue;
    normalise(d, x, j++);
  }
}

/* Columns from `first` on times the square m; room [d]. */
static void turn_columns(int64_t d, int64_t first, cplx *x, const cplx *m, cplx *room) {
  int64_t k = d - first;
  for (int64_t i = 0; i < d; i++) {
    for (int64_t j = 0; j < k; j++) {
      room[j] = 0;
      for (int64_t a = 0; a < k; a++) room[j] += x[i * d + first + a] * m[a * k + j];
    }
    memcpy(x + i * d + first, room, sizeof *room * (size_t)k);
  }
}

static RtStatus no_convergence(Rt *rt) {
  return rt_fail(rt, RT_ERROR, "the decomposition of a matrix did not converge");
}

/* Where cosines are large sines are small: their vectors are those of the lower left block
 * within the complement of the other columns of l1.                                 */
static RtStatus small_sines(Rt *rt, int64_t d, int64_t first, CosSin *f) {
  int64_t k = d - first;
  cplx *w = f->w, *u = f->t, *vt = f->r1; /* r1 is not there yet */
  product(d, f->b[2], false, f->r0, false, f->t);
  complement(d, f->l1, first);
  for (int64_t a = 0; a < k; a++)
    for (int64_t b = 0; b < k; b++) {
      w[a * k + b] = 0;
      for (int64_t i = 0; i < d; i++)
        w[a * k + b] += conj(f->l1[i * d + first + a]) * f->t[i * d + first + b];
    }
  if (lapack_svd(DT_C128, (int)k, (int)k, w, f->s + first, u, vt)) return no_convergence(rt);
  turn_columns(d, first, f->l1, u, w);
  for (int64_t a = 0; a < k; a++)
    for (int64_t b = 0; b < k; b++) u[a * k + b] = conj(vt[b * k + a]);
  turn_columns(d, first, f->r0, u, w);
  return RT_OK;
}

static RtStatus cos_sin(Rt *rt, int64_t d, CosSin *f) {
  int64_t first = d;
  memcpy(f->t, f->b[0], sizeof *f->t * (size_t)(d * d));
  if (lapack_svd(DT_C128, (int)d, (int)d, f->t, f->s, f->w, f->r1)) return no_convergence(rt);
  for (int64_t j = 0; j < d; j++) { /* cosines ascending */
    f->c[j] = f->s[d - 1 - j];
    if (f->c[j] > 0.7 && first == d) first = j;
    for (int64_t i = 0; i < d; i++) {
      f->l0[i * d + j] = f->w[i * d + d - 1 - j];
      f->r0[i * d + j] = conj(f->r1[(d - 1 - j) * d + i]);
    }
  }
  product(d, f->b[2], false, f->r0, false, f->l1);
  for (int64_t j = 0; j < first; j++) f->s[j] = normalise(d, f->l1, j);
  if (first < d) RT_TRY(small_sines(rt, d, first, f));
  product(d, f->b[0], false, f->r0, false, f->t);
  for (int64_t j = first; j < d; j++) {
    f->c[j] = normalise(d, f->t, j);
    for (int64_t i = 0; i < d; i++) f->l0[i * d + j] = f->t[i * d + j];
  }
  product(d, f->l1, true, f->b[3], false, f->t);
  product(d, f->l0, true, f->b[1], false, f->w);
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++)
      f->r1[i * d + j] = f->c[i] * f->t[i * d + j] - f->s[i] * f->w[i * d + j];
  return RT_OK;
}

/* Blocks of m [2d, 2d] and room for the rest in one piece of cos_sin_bytes(d). */
static size_t cos_sin_bytes(int64_t d) {
  return sizeof(cplx) * (size_t)(10 * d * d) + sizeof(double) * (size_t)(2 * d);
}

static void cos_sin_layout(int64_t d, const cplx *m, cplx *room, CosSin *f) {
  int64_t block = d * d, n = 2 * d;
  for (int k = 0; k < 4; k++) {
    f->b[k] = room + k * block;
    for (int64_t i = 0; i < d; i++)
      memcpy(f->b[k] + i * d, m + ((k >> 1) * d + i) * n + (k & 1) * d, sizeof *m * (size_t)d);
  }
  f->l0 = room + 4 * block;
  f->l1 = room + 5 * block;
  f->r0 = room + 6 * block;
  f->r1 = room + 7 * block;
  f->t = room + 8 * block;
  f->w = room + 9 * block;
  f->c = (double *)(room + 10 * block);
  f->s = f->c + d;
}

static RtStatus shannon(Lower *l, int n, const int32_t *q, const cplx *m, const Controls *c) {
  int64_t d = 1ll << (n - 1);
  cplx *room = rt_alloc(l->rt, cos_sin_bytes(d));
  if (!room) return l->rt->error.status;
  CosSin f;
  cos_sin_layout(d, m, room, &f);
  RtStatus st = cos_sin(l->rt, d, &f);
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++) f.b[0][i * d + j] = conj(f.r0[j * d + i]);
  for (int64_t j = 0; j < d; j++) f.c[j] = 2 * atan2(f.s[j], f.c[j]);
  if (!st) st = pair_of(l, n - 1, q, f.b[0], f.r1, c);
  if (!st) st = lower_mux(l, 'Y', q[n - 1], n - 1, q, f.c, c);
  if (!st) st = pair_of(l, n - 1, q, f.l0, f.l1, c);
  rt_free(l->rt, room, cos_sin_bytes(d));
  return st;
}

/* ---- any number of qubits ------------------------------------------------------------------- */

static bool is_diagonal(int64_t d, const cplx *m) {
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++)
      if (i != j && cabs(m[i * d + j]) > 1e-15) return false;
  return true;
}

static RtStatus diagonal_matrix(Lower *l, int n, const int32_t *q, const cplx *m,
                                const Controls *c) {
  int64_t d = 1ll << n;
  double *phase = rt_alloc(l->rt, sizeof *phase * (size_t)d);
  if (!phase) return l->rt->error.status;
  for (int64_t i = 0; i < d; i++) phase[i] = carg(m[i * (d + 1)]);
  RtStatus st = lower_diagonal(l, n, q, phase, c);
  rt_free(l->rt, phase, sizeof *phase * (size_t)d);
  return st;
}

RtStatus lower_unitary(Lower *l, int n, const int32_t *q, cplx *m, const Controls *c) {
  RT_TRY(rt_poll(l->rt));
  if (n == 0) return lower_phase(l, carg(m[0]), c);
  if (n == 1) return lower_one(l, q[0], m, c);
  if (is_diagonal(1ll << n, m)) return diagonal_matrix(l, n, q, m, c);
  if (n == 2 && !(c && c->n)) return two_qubits(l, q, m);
  RT_TRY(lapack_open(l->rt));
  return shannon(l, n, q, m, c);
}
