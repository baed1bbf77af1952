/* gate.c: one gate on a state vector, whatever its kind: what circuits of any shape can fall
 * back on, and what the faster ways are compared with.                              */
#include "runtime/circuit/channel.h"
#include "runtime/circuit/plan.h"

#include <math.h>
#include <string.h>

static inline c128 mul(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static inline c128 plus(c128 a, c128 b) { return (c128){a.re + b.re, a.im + b.im}; }

void gate_matrix(const Gate *g, bool inverse, const double *angle, c128 *m) {
  int d = 1 << g->targets;
  gate_table[g->kind].matrix(angle, m);
  if (g->inverse == inverse) return;
  for (int i = 0; i < d; i++)
    for (int j = 0; j <= i; j++) {
      c128 a = m[i * d + j], b = m[j * d + i];
      m[i * d + j] = (c128){b.re, -b.im};
      m[j * d + i] = (c128){a.re, -a.im};
    }
}

/* ---- the indices that a gate visits ------------------------------------------------ */

void visit_of(const Circuit *c, const Gate *g, int n, Visit *v) {
  const int32_t *q = c->qubit + g->qubit;
  v->n_held = 0;
  v->base = 0;
  for (int k = 0; k < g->targets + g->controls; k++) {
    int at = v->n_held++;
    for (; at > 0 && v->held[at - 1] > q[k]; at--) v->held[at] = v->held[at - 1];
    v->held[at] = q[k];
    if (k >= g->targets && (g->on >> (k - g->targets) & 1)) v->base |= 1ull << q[k];
  }
  v->count = 1ll << (n - v->n_held);
  v->free = (1ull << n) - 1;
  for (int k = 0; k < v->n_held; k++) v->free &= ~(1ull << v->held[k]);
}

/* ---- dense gates ------------------------------------------------------------------- */

static bool is_one(c128 w) { return w.re == 1 && w.im == 0; }
static bool is_none(c128 w) { return w.re == 0 && w.im == 0; }
static inline c128 scaled(double f, c128 a) { return (c128){f * a.re, f * a.im}; }

/* amp[i | bit] *= f over the visit */
static void apply_factor(const Visit *v, uint64_t bit, c128 f, c128 *amp) {
  uint64_t j = 0;
  if (is_one(f)) return;
  do {
    uint64_t i = j | v->base | bit;
    amp[i] = mul(f, amp[i]);
  } while ((j = visit_next(v, j)));
}

void apply_one(const Visit *v, uint64_t bit, const c128 *m, c128 *amp) {
  uint64_t j = 0;
  if (is_none(m[1]) && is_none(m[2])) {
    apply_factor(v, 0, m[0], amp);
    apply_factor(v, bit, m[3], amp);
  } else if (m[0].im == 0 && m[1].im == 0 && m[2].im == 0 && m[3].im == 0) {
    do {
      uint64_t i = j | v->base;
      c128 a = amp[i], b = amp[i | bit];
      amp[i] = plus(scaled(m[0].re, a), scaled(m[1].re, b));
      amp[i | bit] = plus(scaled(m[2].re, a), scaled(m[3].re, b));
    } while ((j = visit_next(v, j)));
  } else {
    do {
      uint64_t i = j | v->base;
      c128 a = amp[i], b = amp[i | bit];
      amp[i] = plus(mul(m[0], a), mul(m[1], b));
      amp[i | bit] = plus(mul(m[2], a), mul(m[3], b));
    } while ((j = visit_next(v, j)));
  }
}

/* Any number of targets; in, at: room for 2^targets. */
static void apply_dense(const Visit *v, int targets, const int32_t *q, const c128 *m, c128 *in,
                        uint64_t *at, c128 *amp) {
  int64_t d = 1ll << targets;
  for (int64_t r = 0; r < d; r++) {
    at[r] = 0;
    for (int t = 0; t < targets; t++) at[r] |= (uint64_t)(r >> t & 1) << q[t];
  }
  for (int64_t k = 0; k < v->count; k++) {
    uint64_t i = visit_at(v, k);
    for (int64_t r = 0; r < d; r++) in[r] = amp[i | at[r]];
    for (int64_t r = 0; r < d; r++) {
      c128 s = {0, 0};
      for (int64_t j = 0; j < d; j++) s = plus(s, mul(m[r * d + j], in[j]));
      amp[i | at[r]] = s;
    }
  }
}

static RtStatus apply_matrix(Rt *rt, const Circuit *c, const Gate *g, int n, const c128 *m,
                             c128 *amp) {
  Visit v;
  const int32_t *q = c->qubit + g->qubit;
  visit_of(c, g, n, &v);
  if (g->targets == 1) {
    apply_one(&v, 1ull << q[0], m, amp);
    return RT_OK;
  }
  size_t d = (size_t)1 << g->targets, bytes = d * (sizeof(c128) + sizeof(uint64_t));
  c128 *in = rt_alloc(rt, bytes);
  if (!in) return rt->error.status;
  apply_dense(&v, g->targets, q, m, in, (uint64_t *)(in + d), amp);
  rt_free(rt, in, bytes);
  return RT_OK;
}

static RtStatus apply_unitary(Rt *rt, const Circuit *c, const Gate *g, bool inverse, int n,
                              c128 *amp) {
  const c128 *m = (const c128 *)c->matrix[g->data]->data;
  if (g->inverse == inverse) return apply_matrix(rt, c, g, n, m, amp);
  size_t d = (size_t)1 << g->targets, bytes = d * d * sizeof *m;
  c128 *t = rt_alloc(rt, bytes);
  if (!t) return rt->error.status;
  for (size_t i = 0; i < d; i++)
    for (size_t j = 0; j < d; j++) t[i * d + j] = (c128){m[j * d + i].re, -m[j * d + i].im};
  RtStatus st = apply_matrix(rt, c, g, n, t, amp);
  rt_free(rt, t, bytes);
  return st;
}

/* ---- Pauli strings, phases ------------------------------------------------------------ */

void pauli_masks(const Circuit *c, const Gate *g, uint64_t *x, uint64_t *z, int *y) {
  const int32_t *q = c->qubit + g->qubit;
  const char *letter = c->letters[g->data];
  *x = *z = 0;
  *y = 0;
  for (int k = 0; k < g->targets; k++) {
    if (letter[k] != 'Z') *x |= 1ull << q[k];
    if (letter[k] != 'X') *z |= 1ull << q[k];
    *y += letter[k] == 'Y';
  }
}

static void apply_pauli(const Circuit *c, const Gate *g, double t, int n, c128 *amp) {
  Gate controls = *g;
  Visit v;
  uint64_t x, z;
  int y;
  controls.targets = 0;
  controls.qubit += g->targets;
  visit_of(c, &controls, n, &v);
  pauli_masks(c, g, &x, &z, &y);
  double co = cos(t / 2), si = sin(t / 2);
  static const c128 power[4] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  for (int64_t k = 0; k < v.count; k++) {
    uint64_t i = visit_at(&v, k), j = i ^ x;
    if (x && j < i) continue;
    /* <j|P|i> = i^y (-1)^(i & z), and the other way round */
    c128 f = power[y & 3], a = amp[i], b = amp[j];
    c128 pa = mul(f, a), pb = mul(f, b);
    if (__builtin_parityll(i & z)) pa = (c128){-pa.re, -pa.im};
    if (__builtin_parityll(j & z)) pb = (c128){-pb.re, -pb.im};
    amp[i] = plus((c128){co * a.re, co * a.im}, mul((c128){0, -si}, pb));
    if (x) amp[j] = plus((c128){co * b.re, co * b.im}, mul((c128){0, -si}, pa));
  }
}

static void apply_phase(const Circuit *c, const Gate *g, double t, int n, c128 *amp) {
  Visit v;
  visit_of(c, g, n, &v);
  c128 f = {cos(t), sin(t)};
  for (int64_t k = 0; k < v.count; k++) {
    uint64_t i = visit_at(&v, k);
    amp[i] = mul(f, amp[i]);
  }
}

static void apply_project(const Circuit *c, const Gate *g, int n, c128 *amp) {
  uint64_t bit = 1ull << c->qubit[g->qubit], keep = g->data ? bit : 0;
  for (uint64_t i = 0; i < 1ull << n; i++)
    if ((i & bit) != keep) amp[i] = (c128){0, 0};
}

/* ---- amplitude encoding ------------------------------------------------------------------ */

RtStatus load_vector(Rt *rt, const Circuit *c, const LoadView *v, const CircuitBinding *b,
                     int64_t item, c128 **out) {
  size_t bytes = (size_t)v->count * sizeof **out;
  c128 *x = rt_alloc(rt, bytes);
  if (!x) return rt->error.status;
  if (v->slot < 0) {
    memcpy(x, c->matrix[v->at]->data, bytes);
  } else {
    const double *s = b->slot[v->slot] + item * b->stride[v->slot] + v->at;
    for (int64_t i = 0; i < v->count; i++)
      x[i] = v->is_complex ? (c128){s[2 * i], s[2 * i + 1]} : (c128){s[i], 0};
  }
  double norm2 = 0;
  for (int64_t i = 0; i < v->count; i++) norm2 += x[i].re * x[i].re + x[i].im * x[i].im;
  if (!(norm2 > 0) || !isfinite(norm2)) {
    rt_free(rt, x, bytes);
    rt_fail(rt, RT_ERROR, "`load` of a vector %s", norm2 == 0 ? "of zeros" : "that is not finite");
    rt_help(rt, "amplitudes are divided by their length, which must be a positive number");
    return RT_ERROR;
  }
  double s = 1 / sqrt(norm2);
  for (int64_t i = 0; i < v->count; i++) x[i] = (c128){s * x[i].re, s * x[i].im};
  *out = x;
  return RT_OK;
}

/* U_x = e^{ip} (1 - 2 v v' / v'v) with U_x |0> = |x>: p is the phase of x_0 (0 when x_0 = 0)
 * and v = |0> - e^{-ip} |x>: Householder's reflection, its own inverse up to the phase. */
Reflection reflection_of(int64_t d, const c128 *x) {
  double size = hypot(x[0].re, x[0].im), rest = 0;
  c128 phase = size > 0 ? (c128){x[0].re / size, x[0].im / size} : (c128){1, 0};
  for (int64_t r = 1; r < d; r++) rest += x[r].re * x[r].re + x[r].im * x[r].im;
  double v0 = rest / (1 + size); /* 1 - |x_0| without cancellation */
  double norm2 = v0 * v0 + rest;
  return (Reflection){phase, {phase.re, -phase.im}, v0, norm2 > 0 ? 2 / norm2 : 0};
}

static void apply_load(const Circuit *c, const Gate *g, bool inverse, const c128 *x, int n,
                       uint64_t *at, c128 *amp) {
  const int32_t *q = c->qubit + g->qubit;
  int64_t d = 1ll << g->targets;
  Reflection h = reflection_of(d, x);
  c128 turn = g->inverse == inverse ? h.phase : h.back;
  Visit v;
  visit_of(c, g, n, &v);
  for (int64_t r = 0; r < d; r++) {
    at[r] = 0;
    for (int t = 0; t < g->targets; t++) at[r] |= (uint64_t)(r >> t & 1) << q[t];
  }
  for (int64_t k = 0; k < v.count; k++) {
    uint64_t i = visit_at(&v, k);
    c128 s = {h.v0 * amp[i].re, h.v0 * amp[i].im}; /* v' a */
    for (int64_t r = 1; r < d; r++) {
      c128 w = mul(h.back, x[r]), a = amp[i | at[r]];
      s = plus(s, (c128){-(w.re * a.re + w.im * a.im), -(w.re * a.im - w.im * a.re)});
    }
    s = (c128){h.f * s.re, h.f * s.im};
    amp[i] = mul(turn, (c128){amp[i].re - h.v0 * s.re, amp[i].im - h.v0 * s.im});
    for (int64_t r = 1; r < d; r++) {
      c128 w = mul(mul(h.back, x[r]), s);
      amp[i | at[r]] = mul(turn, plus(amp[i | at[r]], w));
    }
  }
}

static RtStatus run_load(Rt *rt, const Circuit *c, const Gate *g, bool inverse, const c128 *x,
                         int n, c128 *amp) {
  size_t bytes = sizeof(uint64_t) << g->targets;
  uint64_t *at = rt_alloc(rt, bytes);
  if (!at) return rt->error.status;
  apply_load(c, g, inverse, x, n, at, amp);
  rt_free(rt, at, bytes);
  return RT_OK;
}

RtStatus gate_apply(Rt *rt, const Circuit *c, const Gate *g, bool inverse, const double *angle,
                    const c128 *load, int n, c128 *amp) {
  double sign = g->inverse == inverse ? 1 : -1;
  c128 m[16];
  switch (g->kind) {
  case GATE_BARRIER:
  case GATE_ID: return RT_OK;
  case GATE_GPHASE: apply_phase(c, g, sign * angle[0], n, amp); return RT_OK;
  case GATE_PAULI: apply_pauli(c, g, sign * angle[0], n, amp); return RT_OK;
  case GATE_UNITARY: return apply_unitary(rt, c, g, inverse, n, amp);
  case GATE_LOAD: return run_load(rt, c, g, inverse, load, n, amp);
  case GATE_PROJECT: apply_project(c, g, n, amp); return RT_OK;
  case GATE_MEASURE:
  case GATE_RESET:
  case GATE_CHANNEL:
    rt_fail(rt, RT_ERROR, "`%s` has no state vector: draw shots with sample()",
            g->kind == GATE_CHANNEL ? channel_table[g->data].name : gate_table[g->kind].name);
    rt_help(rt, "or ask for expect(H, c), probability, probabilities, density(c)");
    return RT_ERROR;
  default: break;
  }
  gate_matrix(g, inverse, angle, m);
  return apply_matrix(rt, c, g, n, m, amp);
}
