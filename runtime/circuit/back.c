/* back.c: derivatives of circuits by adjoint differentiation: from the last gate to the first,
 * each is undone on the state and on the adjoint, and what its angles do is read off between.
 *
 * L changes by Re <adjoint|d psi>.  For a gate U on few qubits, d psi = dU psi_before, so all
 * that is needed of the two vectors is E[r][s] = sum conj(adjoint_r) psi_s over the indices
 * that the gate visits: dL/dt = Re sum E[r][s] dU[r][s] / dt.
 * Source: Jones and Gacon, arXiv 2009.02823.                                          */
#include "runtime/circuit/lanes.h"

#include <math.h>
#include <string.h>

static inline c128 mul(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
/* conj(a) b */
static inline c128 dot(c128 a, c128 b) {
  return (c128){a.re * b.re + a.im * b.im, a.re * b.im - a.im * b.re};
}
static inline c128 plus(c128 a, c128 b) { return (c128){a.re + b.re, a.im + b.im}; }

/* ---- gates with a matrix ------------------------------------------------------------ */

/* dU/d angle j: exact for entries that are sums of e^{i a t} with |a| <= 1 of one angle: all
 * rows of the table are combinations of 1, e^{+-it/2} and e^{+-it}.                    */
void matrix_derivative(const Gate *g, const double *angle, int j, c128 *out) {
  /* f(t) = sum_a c_a e^{iat}, a in {0, +-1/2, +-1}: odd differences at h = pi/2 and pi give
   * f'(t) = w1 (f(t+h1) - f(t-h1)) + w2 (f(t+h2) - f(t-h2)) with h1 = pi/2, h2 = pi:
   * sin(a h1) 2i w1 + sin(a h2) 2i w2 = i a for a = 1/2 and 1.                        */
  enum { MOST = 16 };
  int d = 1 << g->targets;
  const double w1 = 0.5, w2 = 0.25 - 0.5 * M_SQRT1_2;
  const double h[4] = {M_PI / 2, -M_PI / 2, M_PI, -M_PI}, w[4] = {w1, -w1, w2, -w2};
  double t[3] = {angle[0], angle[1], angle[2]};
  c128 m[MOST];
  memset(out, 0, sizeof *out * (size_t)(d * d));
  for (int k = 0; k < 4; k++) {
    t[j] = angle[j] + h[k];
    gate_matrix(g, false, t, m);
    for (int i = 0; i < d * d; i++)
      out[i] = plus(out[i], (c128){w[k] * m[i].re, w[k] * m[i].im});
  }
}

/* E[r * d + s] of one gate. */
static void environment(const Circuit *c, const Gate *g, int n, const c128 *adjoint,
                        const c128 *before, c128 *e) {
  const int32_t *q = c->qubit + g->qubit;
  int d = 1 << g->targets;
  uint64_t at[4];
  Visit v;
  visit_of(c, g, n, &v);
  for (int r = 0; r < d; r++) {
    at[r] = 0;
    for (int t = 0; t < g->targets; t++) at[r] |= (uint64_t)(r >> t & 1) << q[t];
  }
  memset(e, 0, sizeof *e * (size_t)(d * d));
  for (int64_t k = 0; k < v.count; k++) {
    uint64_t i = visit_at(&v, k);
    for (int r = 0; r < d; r++)
      for (int s = 0; s < d; s++)
        e[r * d + s] = plus(e[r * d + s], dot(adjoint[i | at[r]], before[i | at[s]]));
  }
}

static void matrix_back(const Circuit *c, const Gate *g, int n, const double *angle,
                        const c128 *adjoint, const c128 *before, double *slope) {
  c128 e[16], du[16];
  int d = 1 << g->targets;
  environment(c, g, n, adjoint, before, e);
  for (int j = 0; j < gate_table[g->kind].angles; j++) {
    matrix_derivative(g, angle, j, du);
    for (int i = 0; i < d * d; i++) slope[j] += e[i].re * du[i].re - e[i].im * du[i].im;
  }
}

/* exp(-i t P/2) and e^{it}: d psi = -i/2 P psi_after, i psi_after where the controls are on. */
static double generator_back(const Circuit *c, const Gate *g, int n, const c128 *adjoint,
                             const c128 *after) {
  Gate controls = *g;
  Visit v;
  uint64_t x = 0, z = 0;
  int y = 0;
  if (g->kind == GATE_PAULI) pauli_masks(c, g, &x, &z, &y);
  controls.targets = 0;
  controls.qubit += g->targets;
  visit_of(c, &controls, n, &v);
  static const c128 power[4] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  double sum = 0;
  for (int64_t k = 0; k < v.count; k++) {
    uint64_t i = visit_at(&v, k);
    c128 p = mul(power[y & 3], dot(adjoint[i ^ x], after[i]));
    sum += __builtin_parityll(i & z) ? -p.im : p.im;
  }
  if (g->kind == GATE_GPHASE) return g->inverse ? sum : -sum;
  return g->inverse ? -0.5 * sum : 0.5 * sum;
}

/* ---- amplitude encoding ---------------------------------------------------------------- */

/* Is a zero, but for rounding, where the targets are not? */
static bool targets_zero(const Visit *v, int64_t d, const uint64_t *at, const c128 *a) {
  double zero = 0, other = 0;
  for (int64_t k = 0; k < v->count; k++) {
    uint64_t i = visit_at(v, k);
    zero += dot(a[i], a[i]).re;
    for (int64_t r = 1; r < d; r++) other += dot(a[i | at[r]], a[i | at[r]]).re;
  }
  return other <= 1e-26 * zero;
}

/* U_x on fresh qubits is y_r = x_r a_0, and U_x' when only y_0 counts is y_0 = <x|a>: linear in
 * x, without the edge that the reflection has at x_0 = 0.  false: neither.            */
static bool linear_slope(const Visit *v, int64_t d, const uint64_t *at, bool inverse,
                         const c128 *adjoint, const c128 *before, c128 *gx) {
  if (!targets_zero(v, d, at, inverse ? adjoint : before)) return false;
  for (int64_t k = 0; k < v->count; k++) {
    uint64_t i = visit_at(v, k);
    for (int64_t r = 0; r < d; r++)
      gx[r] = plus(gx[r], inverse ? dot(adjoint[i], before[i | at[r]])
                                  : dot(before[i], adjoint[i | at[r]]));
  }
  return true;
}

/* y = t (a - f (v'a) v): what v, the phase and so x do, summed over the visits.  gx[r] becomes
 * dL/dRe x_r + i dL/dIm x_r of the normalised vector; room: d numbers and offsets.       */
static void load_slope(const Circuit *c, const Gate *g, int n, const c128 *x, const c128 *adjoint,
                       const c128 *before, c128 *gv, uint64_t *at, c128 *gx) {
  const int32_t *q = c->qubit + g->qubit;
  int64_t d = 1ll << g->targets;
  Reflection h = reflection_of(d, x);
  c128 turn = g->inverse ? h.back : h.phase, gt = {0, 0};
  double gf = 0;
  Visit v;
  visit_of(c, g, n, &v);
  for (int64_t r = 0; r < d; r++) {
    at[r] = 0;
    for (int t = 0; t < g->targets; t++) at[r] |= (uint64_t)(r >> t & 1) << q[t];
    gv[r] = (c128){0, 0};
    gx[r] = (c128){0, 0};
  }
  if (linear_slope(&v, d, at, g->inverse, adjoint, before, gx)) return;
#define V(r) ((r) ? (c128){-mul(h.back, x[r]).re, -mul(h.back, x[r]).im} : (c128){h.v0, 0})
  for (int64_t k = 0; k < v.count; k++) {
    uint64_t i = visit_at(&v, k);
    c128 s = {0, 0}, bv = {0, 0};              /* v'a, b'v with b = conj(t) adjoint */
    for (int64_t r = 0; r < d; r++) {
      c128 b = dot(turn, adjoint[i | at[r]]);
      s = plus(s, dot(V(r), before[i | at[r]]));
      bv = plus(bv, dot(b, V(r)));
    }
    gf -= mul(s, bv).re;
    for (int64_t r = 0; r < d; r++) {
      c128 a = before[i | at[r]], l = adjoint[i | at[r]], b = dot(turn, l);
      c128 y = plus(a, mul((c128){-h.f * s.re, -h.f * s.im}, V(r)));
      c128 one = mul((c128){s.re, -s.im}, b);  /* - f s dv: Re(conj(conj(s) b) dv) */
      c128 two = mul(bv, a);                   /* - f (dv'a)(b'v): Re(bv conj(dv) a) */
      gv[r] = plus(gv[r], (c128){-h.f * (one.re + two.re), -h.f * (one.im + two.im)});
      gt = plus(gt, dot(y, l));                /* Re(conj(l) dt y) = Re(conj(conj(y) l) dt) */
    }
  }
#undef V
  /* f = 2/|v|^2 */
  if (h.f > 0)
    for (int64_t r = 0; r < d; r++) {
      c128 w = r ? (c128){-mul(h.back, x[r]).re, -mul(h.back, x[r]).im} : (c128){h.v0, 0};
      gv[r] = plus(gv[r], (c128){-gf * h.f * h.f * w.re, -gf * h.f * h.f * w.im});
    }
  /* v_0 = 1 - |x_0|, v_r = -back x_r, back = conj(phase), phase = x_0 / |x_0| */
  c128 gback = g->inverse ? gt : (c128){0, 0}, gphase = g->inverse ? (c128){0, 0} : gt;
  for (int64_t r = 1; r < d; r++) {
    c128 m = dot(h.back, gv[r]);               /* conj(back) gv */
    gx[r] = (c128){-m.re, -m.im};
    c128 w = dot(x[r], gv[r]);
    gback = (c128){gback.re - w.re, gback.im - w.im};
  }
  gphase = plus(gphase, (c128){gback.re, -gback.im});
  double size = hypot(x[0].re, x[0].im);
  gx[0] = (c128){-gv[0].re * h.phase.re, -gv[0].re * h.phase.im};
  if (size > 0) { /* the part of gphase across the phase, by its derivative 1/|x_0| */
    double across = (h.phase.re * gphase.im - h.phase.im * gphase.re) / size;
    gx[0] = plus(gx[0], (c128){-across * h.phase.im, across * h.phase.re});
  }
}

/* Through x / |x| to the slot. */
static RtStatus load_back(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const Gate *g,
                          int64_t item, const c128 *x, const c128 *adjoint, const c128 *before,
                          double *to) {
  const LoadView *v = &p->c->load[g->data];
  size_t d = (size_t)v->count, bytes = d * (2 * sizeof(c128) + sizeof(uint64_t));
  c128 *gv = rt_alloc(rt, bytes), *gx = gv ? gv + d : NULL;
  if (!gv) return rt->error.status;
  load_slope(p->c, g, p->n, x, adjoint, before, gv, (uint64_t *)(gx + d), gx);
  const double *s = b->slot[v->slot] + item * b->stride[v->slot] + v->at;
  double *out = to + item * b->stride[v->slot] + v->at, norm2 = 0, along = 0;
  for (size_t i = 0; i < d * (v->is_complex ? 2 : 1); i++) norm2 += s[i] * s[i];
  for (size_t i = 0; i < d; i++) along += x[i].re * gx[i].re + x[i].im * gx[i].im;
  double f = 1 / sqrt(norm2);
  for (size_t i = 0; i < d; i++) {
    double re = f * (gx[i].re - along * x[i].re), im = f * (gx[i].im - along * x[i].im);
    out[v->is_complex ? 2 * i : i] += re;
    if (v->is_complex) out[2 * i + 1] += im;
  }
  rt_free(rt, gv, bytes);
  return RT_OK;
}

/* ---- rotations of one qubit --------------------------------------------------------- */

/* dL/dt = Re <adjoint| dU U* |after>; both are undone.  Only of RX, RY, RZ and P. */
static double turn_back(const Circuit *c, const Gate *g, int n, const double *angle, c128 *amp,
                        c128 *adjoint) {
  Visit v;
  c128 m[4];
  uint64_t bit = 1ull << c->qubit[g->qubit], j = 0;
  double s = 0;
  visit_of(c, g, n, &v);
  gate_matrix(g, true, angle, m);
  do {
    uint64_t i = j | v.base;
    c128 a = amp[i], b = amp[i | bit], la = adjoint[i], lb = adjoint[i | bit];
    switch (g->kind) {
    case GATE_RX: s += dot(la, b).im + dot(lb, a).im; break;
    case GATE_RY: s += dot(lb, a).re - dot(la, b).re; break;
    case GATE_RZ: s += dot(la, a).im - dot(lb, b).im; break;
    default: s -= 2 * dot(lb, b).im;
    }
  } while ((j = visit_next(&v, j)));
  apply_one(&v, bit, m, amp);
  apply_one(&v, bit, m, adjoint);
  return g->inverse ? -s / 2 : s / 2;
}

/* ---- the walk back ---------------------------------------------------------------------- */

static bool has_angles(const Gate *g) { return gate_table[g->kind].angles > 0; }

/* Undoes g on both vectors and adds to the adjoints of its numbers. */
RtStatus gate_back(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const Gate *g,
                   int64_t item, const double *value, c128 *amp, c128 *adjoint, double *node,
                   double *const *slot_adjoint) {
  const Circuit *c = p->c;
  double angle[3] = {0}, slope[3] = {0};
  c128 *load = NULL;
  bool generator = g->kind == GATE_PAULI || g->kind == GATE_GPHASE;
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    angle[k] = value[c->angle[g->angle + k] * b->batch + item];
  if (g->kind == GATE_RX || g->kind == GATE_RY || g->kind == GATE_RZ || g->kind == GATE_P) {
    node[c->angle[g->angle] * b->batch + item] +=
        turn_back(c, g, p->n, angle, amp, adjoint);
    return RT_OK;
  }
  const LoadView *v = g->kind == GATE_LOAD ? &c->load[g->data] : NULL;
  if (v) RT_TRY(load_vector(rt, c, v, b, item, &load));
  if (generator) slope[0] = generator_back(c, g, p->n, adjoint, amp);
  RtStatus st = gate_apply(rt, c, g, true, angle, load, p->n, amp);
  if (!st && has_angles(g) && !generator)
    matrix_back(c, g, p->n, angle, adjoint, amp, slope);
  if (!st && v && v->slot >= 0 && slot_adjoint[v->slot])
    st = load_back(rt, p, b, g, item, load, adjoint, amp, slot_adjoint[v->slot]);
  if (!st) st = gate_apply(rt, c, g, true, angle, load, p->n, adjoint);
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    node[c->angle[g->angle + k] * b->batch + item] += slope[k];
  if (load) rt_free(rt, load, sizeof *load * (size_t)v->count);
  return st;
}

static RtStatus no_derivative(Rt *rt, const Circuit *c) {
  const Gate *g;
  if (circuit_unitary(c, &g)) return RT_OK;
  rt_fail(rt, RT_ERROR, "a circuit with `%s` has no derivative", gate_table[g->kind].name);
  rt_help(rt, "take the probability or expectation of an outcome instead");
  return RT_ERROR;
}

RtStatus circuit_run_back(Rt *rt, CircuitPlan *p, const CircuitBinding *b, c128 *amp,
                          c128 *adjoint, double *const *slot_adjoint) {
  const Circuit *c = p->c;
  double *value = NULL, *node;
  size_t bytes = sizeof *node * (size_t)(c->scalar.n * b->batch + 1);
  RT_TRY(no_derivative(rt, c));
  node = rt_alloc0(rt, bytes);
  RtStatus st = node ? angles_run(rt, c, b, &value) : rt->error.status;
  bool lanes = lanes_fit_back(p, b);
  if (!st && lanes) st = lanes_back(rt, p, b, value, amp, adjoint, node);
  for (int64_t item = 0; !st && !lanes && item < b->batch; item++) {
    int64_t at = item << p->n;
    if (plan_sweeps(p, false)) {
      st = sweep_walk(rt, p, b, item, value, amp + at, adjoint + at, node, slot_adjoint);
      if (!st) st = rt_poll(rt);
      continue;
    }
    for (int64_t i = c->n - 1; !st && i >= 0; i--)
      st = gate_back(rt, p, b, &c->gate[i], item, value, amp + at, adjoint + at, node,
                     slot_adjoint);
  }
  if (!st) scalar_back(&c->scalar, b->batch, value, node, b->stride, slot_adjoint);
  angles_free(rt, c, b, value);
  if (node) rt_free(rt, node, bytes);
  return st;
}
