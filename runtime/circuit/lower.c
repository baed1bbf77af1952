/* lower.c: controlled one-qubit gates, multiplexed rotations and diagonals in gates of one and
 * two qubits.                                                                     */
#include "runtime/circuit/lower.h"

#include <math.h>
#include <string.h>

static const double tiny = 1e-15;     /* angles and entries below this are rounding */

/* ---- the output ------------------------------------------------------------------------ */

static RtStatus add(Lower *l, Gate g, const int32_t *target, const int32_t *control,
                    const double *angle) {
  int32_t node[3] = {-1, -1, -1};
  for (int k = 0; k < gate_table[g.kind].angles; k++) {
    node[k] = scalar_const(l->rt, &l->out->scalar, angle[k]);
    if (node[k] < 0) return l->rt->error.status;
  }
  g.when = l->when;
  g.data = -1;
  return circuit_add(l->rt, l->out, g, target, control, node);
}

RtStatus lower_put(Lower *l, GateKind kind, bool inverse, int targets, const int32_t *q,
                   const double *angle) {
  Gate g = {.kind = (uint8_t)kind, .inverse = inverse, .targets = (uint16_t)targets};
  return add(l, g, q, NULL, angle);
}

RtStatus lower_cx(Lower *l, int32_t control, int32_t target) {
  return add(l, (Gate){.kind = GATE_X, .targets = 1, .controls = 1, .on = 1}, &target, &control,
             NULL);
}

static RtStatus global_phase(Lower *l, double phase) {
  if (l->when >= 0) return phase == 0 ? RT_OK : lower_put(l, GATE_GPHASE, false, 0, NULL, &phase);
  l->phase += phase;
  return RT_OK;
}

/* ---- one qubit -------------------------------------------------------------------------- */

void euler_angles(const cplx *m, double out[4]) {
  double c = cabs(m[0]), s = cabs(m[2]);
  double theta = 2 * atan2(s, c), phi = 0, lambda = 0, phase = 0;
  if (s < tiny) {
    theta = 0;
    phase = carg(m[0]);
    lambda = carg(m[3]) - phase;
  } else if (c < tiny) {
    theta = M_PI;
    phi = carg(m[2]);
    lambda = carg(-m[1]);
  } else {
    phase = carg(m[0]);
    phi = carg(m[2]) - phase;
    lambda = carg(-m[1]) - phase;
  }
  out[0] = theta;
  out[1] = remainder(phi, 2 * M_PI);
  out[2] = remainder(lambda, 2 * M_PI);
  out[3] = phase;
}

static RtStatus put_angle(Lower *l, GateKind kind, int32_t q, double t) {
  return t == 0 ? RT_OK : lower_put(l, kind, false, 1, &q, &t);
}

/* u = e^{i(phi+lambda)/2} rz(phi) ry(theta) rz(lambda), ry(t) = sx' rz(t) sx up to frames */
static RtStatus euler(Lower *l, int32_t q, double theta, double phi, double lambda) {
  double half = (phi + lambda) / 2, all[3] = {theta, phi, lambda};
  if (theta == 0 && phi + lambda == 0) return RT_OK;
  if (l->basis == BASIS_RZ_RY_CX || (l->basis == BASIS_RZ_SX_CX && theta == 0)) {
    RT_TRY(put_angle(l, GATE_RZ, q, theta == 0 ? phi + lambda : lambda));
    RT_TRY(put_angle(l, GATE_RY, q, theta));
    if (theta != 0) RT_TRY(put_angle(l, GATE_RZ, q, phi));
    return global_phase(l, half);
  }
  if (l->basis != BASIS_RZ_SX_CX) return lower_put(l, GATE_U, false, 1, &q, all);
  /* rz(phi + pi) sx rz(theta + pi) sx rz(lambda) */
  RT_TRY(put_angle(l, GATE_RZ, q, lambda));
  RT_TRY(lower_put(l, GATE_SX, false, 1, &q, NULL));
  RT_TRY(put_angle(l, GATE_RZ, q, theta + M_PI));
  RT_TRY(lower_put(l, GATE_SX, false, 1, &q, NULL));
  RT_TRY(put_angle(l, GATE_RZ, q, phi + M_PI));
  return global_phase(l, half + M_PI / 2);
}

static RtStatus plain_one(Lower *l, int32_t q, const cplx *m) {
  double e[4];
  euler_angles(m, e);
  RT_TRY(euler(l, q, e[0], e[1], e[2]));
  return global_phase(l, e[3]);
}

/* exp(-i t/2 axis) */
static void rotation_matrix(char axis, double t, cplx *m) {
  double c = cos(t / 2), s = sin(t / 2);
  m[0] = axis == 'Z' ? CMPLX(c, -s) : c;
  m[3] = axis == 'Z' ? CMPLX(c, s) : c;
  m[1] = axis == 'X' ? CMPLX(0, -s) : axis == 'Y' ? -s : 0;
  m[2] = axis == 'X' ? CMPLX(0, -s) : axis == 'Y' ? s : 0;
}

static RtStatus plain_rotation(Lower *l, char axis, int32_t q, double t) {
  cplx m[4];
  if (fabs(t) < tiny) return RT_OK;
  if (l->basis == BASIS_TWO || (l->basis == BASIS_RZ_RY_CX && axis != 'X') ||
      (l->basis == BASIS_RZ_SX_CX && axis == 'Z'))
    return lower_put(l, axis == 'X' ? GATE_RX : axis == 'Y' ? GATE_RY : GATE_RZ, false, 1, &q, &t);
  rotation_matrix(axis, t, m);
  return plain_one(l, q, m);
}

static RtStatus fixed(Lower *l, GateKind kind, bool inverse, int32_t q) {
  c128 m[4];
  cplx z[4];
  if (l->basis == BASIS_TWO) return lower_put(l, kind, inverse, 1, &q, NULL);
  gate_table[kind].matrix(NULL, m);
  for (int k = 0; k < 4; k++) z[k] = CMPLX(m[k].re, inverse ? -m[k].im : m[k].im);
  return plain_one(l, q, z);     /* the fixed ones that are asked for are symmetric */
}

/* ---- many controls ------------------------------------------------------------------------ */

static RtStatus toffoli(Lower *l, int32_t a, int32_t b, int32_t t) {
  RT_TRY(fixed(l, GATE_H, false, t));
  RT_TRY(lower_cx(l, b, t));
  RT_TRY(fixed(l, GATE_T, true, t));
  RT_TRY(lower_cx(l, a, t));
  RT_TRY(fixed(l, GATE_T, false, t));
  RT_TRY(lower_cx(l, b, t));
  RT_TRY(fixed(l, GATE_T, true, t));
  RT_TRY(lower_cx(l, a, t));
  RT_TRY(fixed(l, GATE_T, false, b));
  RT_TRY(fixed(l, GATE_T, false, t));
  RT_TRY(fixed(l, GATE_H, false, t));
  RT_TRY(lower_cx(l, a, b));
  RT_TRY(fixed(l, GATE_T, false, a));
  RT_TRY(fixed(l, GATE_T, true, b));
  return lower_cx(l, a, b);
}

/* n >= 3 controls with n - 2 qubits d in any state (Barenco et al., lemma 7.2). */
static RtStatus chain(Lower *l, int n, const int32_t *c, const int32_t *d, int32_t t) {
  for (int half = 0; half < 2; half++) {
    int top = n - 1 - half;
    for (int i = top; i >= 2; i--) RT_TRY(toffoli(l, c[i], d[i - 2], i == n - 1 ? t : d[i - 1]));
    RT_TRY(toffoli(l, c[0], c[1], d[0]));
    for (int i = 2; i <= top; i++) RT_TRY(toffoli(l, c[i], d[i - 2], i == n - 1 ? t : d[i - 1]));
  }
  return RT_OK;
}

static RtStatus mcphase(Lower *l, int n, const int32_t *q, double t);

/* Qubits that are neither controls nor target, at most `most`; how many. */
static int idle(const Lower *l, int n, const int32_t *c, int32_t t, int most, int32_t *out) {
  int found = 0;
  for (int32_t q = 0; q < l->out->reg.qubits && found < most; q++) {
    bool used = q == t;
    for (int k = 0; k < n; k++) used = used || c[k] == q;
    if (!used) out[found++] = q;
  }
  return found;
}

/* X where all n controls are 1. */
static RtStatus mcx(Lower *l, int n, const int32_t *c, int32_t t) {
  int32_t d[64], part[64];
  if (n == 0) return fixed(l, GATE_X, false, t);
  if (n == 1) return lower_cx(l, c[0], t);
  if (n == 2) return toffoli(l, c[0], c[1], t);
  int free = idle(l, n, c, t, n - 2, d);
  if (free >= n - 2) return chain(l, n, c, d, t);
  if (!free) { /* H P(pi) H */
    memcpy(part, c, sizeof *c * (size_t)n);
    part[n] = t;
    RT_TRY(fixed(l, GATE_H, false, t));
    RT_TRY(mcphase(l, n + 1, part, M_PI));
    return fixed(l, GATE_H, false, t);
  }
  int a = (n + 1) / 2;
  memcpy(part, c + a, sizeof *c * (size_t)(n - a));
  part[n - a] = d[0];
  for (int k = 0; k < 2; k++) {
    RT_TRY(mcx(l, a, c, d[0]));
    RT_TRY(mcx(l, n - a + 1, part, t));
  }
  return RT_OK;
}

/* exp(-i t Z/2) on q where all n controls are 1: the halves of the controls flip the sign of
 * quarters that cancel unless both do.                                             */
static RtStatus mcrz(Lower *l, int n, const int32_t *c, int32_t q, double t) {
  if (n == 0) return plain_rotation(l, 'Z', q, t);
  if (n == 1) {
    RT_TRY(lower_cx(l, c[0], q));
    RT_TRY(plain_rotation(l, 'Z', q, -t / 2));
    RT_TRY(lower_cx(l, c[0], q));
    return plain_rotation(l, 'Z', q, t / 2);
  }
  int a = (n + 1) / 2;
  for (int k = 0; k < 2; k++) {
    RT_TRY(mcx(l, a, c, q));
    RT_TRY(plain_rotation(l, 'Z', q, -t / 4));
    RT_TRY(mcx(l, n - a, c + a, q));
    RT_TRY(plain_rotation(l, 'Z', q, t / 4));
  }
  return RT_OK;
}

/* e^{it} where all n qubits are 1. */
static RtStatus mcphase(Lower *l, int n, const int32_t *q, double t) {
  if (fabs(t) < tiny) return RT_OK;
  if (n == 0) return global_phase(l, t);
  if (n == 1) {
    cplx m[4] = {1, 0, 0, cexp(CMPLX(0, t))};
    return l->basis == BASIS_TWO ? lower_put(l, GATE_P, false, 1, q, &t) : plain_one(l, *q, m);
  }
  if (n == 2 && l->basis == BASIS_TWO)
    return add(l, (Gate){.kind = GATE_P, .targets = 1, .controls = 1, .on = 1}, q + 1, q, &t);
  RT_TRY(mcrz(l, n - 1, q, q[n - 1], t));
  return mcphase(l, n - 1, q, t / 2);
}

/* X on the controls that act on 0: before and after. */
static RtStatus turn_controls(Lower *l, const Controls *c) {
  for (int k = 0; c && k < c->n; k++)
    if (!(c->on >> k & 1)) RT_TRY(fixed(l, GATE_X, false, c->q[k]));
  return RT_OK;
}

/* W of SU(2) is a rotation about an axis: by V to Z and back. */
static RtStatus mcsu2(Lower *l, int n, const int32_t *c, int32_t q, const cplx *w) {
  double nx = -cimag(w[1]), ny = -creal(w[1]), nz = -cimag(w[0]);
  double s = sqrt(nx * nx + ny * ny + nz * nz), t = 2 * atan2(s, creal(w[0]));
  if (s < tiny && creal(w[0]) > 0) return RT_OK;
  if (hypot(nx, ny) < tiny) return mcrz(l, n, c, q, nz < 0 ? -t : t);
  double a = atan2(hypot(nx, ny), nz), b = atan2(ny, nx);
  cplx ry[4], v[4], back[4];
  rotation_matrix('Y', a, ry);
  cplx e = cexp(CMPLX(0, b / 2));
  v[0] = ry[0] / e;
  v[1] = ry[1] / e;
  v[2] = ry[2] * e;
  v[3] = ry[3] * e;
  back[0] = conj(v[0]);
  back[1] = conj(v[2]);
  back[2] = conj(v[1]);
  back[3] = conj(v[3]);
  RT_TRY(plain_one(l, q, back));
  RT_TRY(mcrz(l, n, c, q, t));
  return plain_one(l, q, v);
}

RtStatus lower_phase(Lower *l, double phase, const Controls *c) {
  RT_TRY(turn_controls(l, c));
  RT_TRY(mcphase(l, c ? c->n : 0, c ? c->q : NULL, phase));
  return turn_controls(l, c);
}

RtStatus lower_x(Lower *l, int32_t q, const Controls *c) {
  RT_TRY(turn_controls(l, c));
  RT_TRY(mcx(l, c ? c->n : 0, c ? c->q : NULL, q));
  return turn_controls(l, c);
}

RtStatus lower_one(Lower *l, int32_t q, const cplx *m, const Controls *c) {
  if (!c || !c->n) return plain_one(l, q, m);
  double phase = carg(m[0] * m[3] - m[1] * m[2]) / 2;
  cplx w[4];
  for (int k = 0; k < 4; k++) w[k] = m[k] * cexp(CMPLX(0, -phase));
  RT_TRY(turn_controls(l, c));
  if (cabs(m[0]) < tiny && cabs(m[3]) < tiny && cabs(m[1] - m[2]) < tiny) {
    RT_TRY(mcx(l, c->n, c->q, q));
    RT_TRY(mcphase(l, c->n, c->q, carg(m[1])));
  } else {
    RT_TRY(mcsu2(l, c->n, c->q, q, w));
    RT_TRY(mcphase(l, c->n, c->q, phase));
  }
  return turn_controls(l, c);
}

RtStatus lower_rotation(Lower *l, char axis, int32_t q, double angle, const Controls *c) {
  cplx m[4];
  if (!c || !c->n) return plain_rotation(l, axis, q, angle);
  rotation_matrix(axis, angle, m);
  RT_TRY(turn_controls(l, c));
  RT_TRY(axis == 'Z' ? mcrz(l, c->n, c->q, q, angle) : mcsu2(l, c->n, c->q, q, m));
  return turn_controls(l, c);
}

/* ---- multiplexed rotations --------------------------------------------------------------- */

static void walsh(int n, double *x) {
  int64_t d = 1ll << n;
  for (int64_t h = 1; h < d; h *= 2)
    for (int64_t i = 0; i < d; i += 2 * h)
      for (int64_t j = i; j < i + h; j++) {
        double a = x[j], b = x[j + h];
        x[j] = (a + b) / 2;
        x[j + h] = (a - b) / 2;
      }
}

/* Flips the target by the selects in `bits`. */
static RtStatus flip(Lower *l, int32_t q, const int32_t *sel, uint64_t bits) {
  for (; bits; bits &= bits - 1) RT_TRY(lower_cx(l, sel[__builtin_ctzll(bits)], q));
  return RT_OK;
}

static RtStatus mux(Lower *l, char axis, int32_t q, int n, const int32_t *sel, double *angle) {
  uint64_t mask = 0;
  walsh(n, angle);
  for (uint64_t i = 0; i < 1ull << n; i++) {
    uint64_t gray = i ^ i >> 1;
    if (fabs(angle[gray]) < tiny) continue;
    RT_TRY(flip(l, q, sel, mask ^ gray));
    mask = gray;
    RT_TRY(plain_rotation(l, axis, q, angle[gray]));
  }
  return flip(l, q, sel, mask);
}

RtStatus lower_mux(Lower *l, char axis, int32_t q, int n, const int32_t *sel, double *angle,
                   const Controls *c) {
  size_t d = (size_t)1 << n, bytes = d * sizeof *angle;
  bool any = false;
  for (size_t k = 0; k < d; k++) any = any || fabs(angle[k]) >= tiny;
  RT_TRY(rt_poll(l->rt));
  if (!any) return RT_OK;
  if (!n) return lower_rotation(l, axis, q, angle[0], c);
  if (!c || !c->n) return mux(l, axis, q, n, sel, angle);
  double *other = rt_alloc(l->rt, bytes);   /* halves that add up between two flips */
  if (!other) return l->rt->error.status;
  for (size_t k = 0; k < d; k++) other[k] = -(angle[k] /= 2);
  RtStatus st = turn_controls(l, c);
  if (!st) st = mcx(l, c->n, c->q, q);
  if (!st) st = mux(l, axis, q, n, sel, other);
  if (!st) st = mcx(l, c->n, c->q, q);
  if (!st) st = mux(l, axis, q, n, sel, angle);
  if (!st) st = turn_controls(l, c);
  rt_free(l->rt, other, bytes);
  return st;
}

RtStatus lower_diagonal(Lower *l, int n, const int32_t *q, double *phase, const Controls *c) {
  size_t bytes = sizeof *phase << n;
  double *angle = rt_alloc(l->rt, bytes);
  if (!angle) return l->rt->error.status;
  RtStatus st = RT_OK;
  for (int k = n - 1; !st && k >= 0; k--) { /* qubit k's two values apart, their mean is left */
    int64_t half = 1ll << k;
    for (int64_t i = 0; i < half; i++) {
      angle[i] = phase[half + i] - phase[i];
      phase[i] = (phase[half + i] + phase[i]) / 2;
    }
    st = lower_mux(l, 'Z', q[k], k, q, angle, c);
  }
  if (!st) st = lower_phase(l, phase[0], c);
  rt_free(l->rt, angle, bytes);
  return st;
}
