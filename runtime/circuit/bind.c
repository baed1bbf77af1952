/* bind.c: the numbers of a run: matrices of operations, coefficients of steps. */
#include "runtime/circuit/plan.h"

#include <math.h>
#include <string.h>

static inline c128 mul(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static inline c128 plus(c128 a, c128 b) { return (c128){a.re + b.re, a.im + b.im}; }
static inline c128 conjugate(c128 a) { return (c128){a.re, -a.im}; }

/* ---- matrices ----------------------------------------------------------------------- */

void matrix2_mul(const c128 *a, const c128 *b, c128 *out) {
  c128 m[4];
  for (int r = 0; r < 2; r++)
    for (int s = 0; s < 2; s++)
      m[r * 2 + s] = plus(mul(a[r * 2], b[s]), mul(a[r * 2 + 1], b[2 + s]));
  memcpy(out, m, sizeof m);
}

void matrix2_adjoint(const c128 *a, c128 *out) {
  c128 m[4] = {conjugate(a[0]), conjugate(a[2]), conjugate(a[1]), conjugate(a[3])};
  memcpy(out, m, sizeof m);
}

void gate_matrix_any(const Circuit *c, const Gate *g, const double *angle, c128 *m) {
  int d = 1 << g->targets;
  if (g->kind == GATE_PAULI) { /* Z on one qubit */
    double t = g->inverse ? -angle[0] : angle[0];
    memset(m, 0, 4 * sizeof *m);
    m[0] = (c128){cos(t / 2), -sin(t / 2)};
    m[3] = conjugate(m[0]);
  } else if (g->kind == GATE_UNITARY) {
    const c128 *u = (const c128 *)c->matrix[g->data]->data;
    for (int i = 0; i < d; i++)
      for (int j = 0; j < d; j++)
        m[i * d + j] = g->inverse ? conjugate(u[j * d + i]) : u[i * d + j];
  } else {
    gate_matrix(g, false, angle, m);
  }
}

void op_matrix(const Values *v, const Op *op, c128 *m) {
  const Circuit *c = v->p->c;
  double angle[3];
  if (op->flip) {
    memcpy(m, (c128[4]){{0, 0}, {1, 0}, {1, 0}, {0, 0}}, 4 * sizeof *m);
    return;
  }
  for (int32_t i = op->head; i >= 0; i = v->p->next[i]) {
    c128 one[16];
    gate_angles(v, &c->gate[i], angle);
    gate_matrix_any(c, &c->gate[i], angle, i == op->head ? m : one);
    if (i != op->head) matrix2_mul(one, m, m);
  }
}

static bool is_zero(double x) { return x == 0; }

static bool unit_form(c128 *m, c128 *scale, StepForm *form) {
  c128 d = m[0];
  double size2 = d.re * d.re + d.im * d.im;
  if (!is_zero(d.re - m[3].re) || !is_zero(d.im - m[3].im) || size2 < 0.2) return false;
  c128 a = mul(m[1], conjugate(d)), b = mul(m[2], conjugate(d));
  bool real = is_zero(a.im) && is_zero(b.im), turned = is_zero(a.re) && is_zero(b.re);
  if (!real && !turned) return false;
  m[0] = m[3] = (c128){1, 0};
  m[1] = (c128){a.re / size2, a.im / size2};
  m[2] = (c128){b.re / size2, b.im / size2};
  *scale = d;
  *form = real ? FORM_UNIT_REAL : FORM_UNIT_TURNED;
  return true;
}

StepForm matrix_form(c128 *m, bool unit, c128 *scale) {
  StepForm form;
  *scale = (c128){1, 0};
  if (unit && unit_form(m, scale, &form)) return form;
  if (!is_zero(m[0].im) || !is_zero(m[3].im)) return FORM_FULL;
  bool real = is_zero(m[1].im) && is_zero(m[2].im);
  if (!real && !(is_zero(m[1].re) && is_zero(m[2].re))) return FORM_FULL;
  bool flip = real && is_zero(m[0].re) && is_zero(m[3].re) && is_zero(m[1].re - 1) &&
              is_zero(m[2].re - 1);
  return flip ? FORM_FLIP : real ? FORM_REAL : FORM_TURNED;
}

void bind_matrices(const Values *v, OpMatrix *m, c128 *total) {
  const double least = 1e-12; /* from here on the factor goes into a matrix */
  *total = (c128){1, 0};
  for (int32_t i = 0; i < v->p->n_op; i++) {
    const Op *op = &v->p->op[i];
    c128 scale;
    if (op->kind != OP_ONE) continue;
    op_matrix(v, op, m[i].m);
    double size = hypot(total->re, total->im);
    bool flush = !op->mask && size < least;
    for (int k = 0; flush && k < 4; k++)
      m[i].m[k] = (c128){m[i].m[k].re * size, m[i].m[k].im * size};
    if (flush) *total = (c128){total->re / size, total->im / size};
    m[i].form = (uint8_t)matrix_form(m[i].m, !op->mask && !flush, &scale);
    *total = mul(*total, scale);
  }
}

/* ---- coefficients ------------------------------------------------------------------- */

/* Number l of register k. */
static inline void put(void *coef, bool single, int k, int l, double x) {
  if (single) ((float *)coef)[k * 16 + l] = (float)x;
  else ((double *)coef)[k * 8 + l] = x;
}

/* A complex factor in registers k and k + 1: i (re, im) = (-im, re). */
static inline void put_factor(void *coef, bool single, int k, int lane, c128 x) {
  put(coef, single, k, 2 * lane, x.re);
  put(coef, single, k, 2 * lane + 1, x.re);
  put(coef, single, k + 1, 2 * lane, -x.im);
  put(coef, single, k + 1, 2 * lane + 1, x.im);
}

void bind_step(const Schedule *s, const PlanStep *plan, const OpMatrix *om, Step *out, void *coef) {
  static const c128 identity[4] = {{1, 0}, {0, 0}, {0, 0}, {1, 0}};
  static const uint8_t some[] = {[FORM_REAL] = FORM_SOME_REAL, [FORM_TURNED] = FORM_SOME_TURNED,
                                 [FORM_FULL] = FORM_SOME_FULL, [FORM_FLIP] = FORM_SOME_FLIP};
  bool place = plan->where < SWEEP_PLACES;
  int lanes = 1 << sweep_lane_bits(s->single);
  unsigned form = om->form;
  if (form == FORM_FLIP && (!place || plan->lane_mask)) form = FORM_REAL;
  if (plan->on != (place ? 0xf : 0xff) && form == FORM_FLIP && !place) form = FORM_REAL;
  if (plan->on != (place ? 0xf : 0xff)) form = some[form];
  *out = (Step){.form = (uint8_t)form, .where = plan->where, .on = plan->on, .mask = plan->mask,
                .value = plan->value, .coef = coef};
  for (int l = 0; l < lanes; l++) {
    const c128 *m = ((unsigned)l & plan->lane_mask) == plan->lane_value ? om->m : identity;
    int low = place ? 0 : l >> (plan->where - SWEEP_PLACES) & 1;
    put_factor(coef, s->single, OWN_RE, l, m[3 * low]);
    put_factor(coef, s->single, OTHER_RE, l, m[1 + low]);
    put_factor(coef, s->single, STEP_ROW + OWN_RE, l, m[3]);
    put_factor(coef, s->single, STEP_ROW + OTHER_RE, l, m[2]);
  }
}

/* ---- Pauli rotations ---------------------------------------------------------------- */

static void turn_masks(const Values *v, const Op *op, uint64_t *x, uint64_t *z, int *y) {
  const Gate *g = &v->p->c->gate[op->head];
  if (g->kind == GATE_PAULI) {
    pauli_masks(v->p->c, g, x, z, y);
    return;
  }
  *x = op->x;
  *z = g->kind == GATE_RYY ? op->x : 0;
  *y = g->kind == GATE_RYY ? 2 : 0;
}

/* s (-i)^(y + 1) of the lanes' signs; the lane flip grows by 1 when that is imaginary. */
static void turn_factor(const Schedule *s, const TurnStep *t, uint64_t z, unsigned lane_mask,
                        unsigned lane_value, int y, double f, int first, void *coef) {
  static const double re[4] = {0, -1, 0, 1}, im[4] = {-1, 0, 1, 0};
  int lanes = 1 << sweep_lane_bits(s->single);
  for (int l = 0; l < lanes; l++) {
    bool on = ((unsigned)l & lane_mask) == lane_value;
    double sign = !on ? 0 : __builtin_parityll((uint64_t)l & z) ? -f : f;
    for (int k = 0; k < 2; k++) {
      double c = t->lane & 1 ? sign * im[y & 3] * (k ? 1 : -1) : sign * re[y & 3];
      put(coef, s->single, first, 2 * l + k, c);
      put(coef, s->single, first + 1, 2 * l + k, -c);
    }
  }
}

void bind_turn(const Values *v, const Schedule *s, const Stage *stage, const Op *op, bool inverse,
               TurnStep *out, void *coef, void *sum) {
  const Gate *g = &v->p->c->gate[op->head];
  int bits = sweep_lane_bits(s->single), y;
  uint64_t x, z, low = (1ull << bits) - 1;
  double angle[3];
  gate_angles(v, g, angle);
  turn_masks(v, op, &x, &z, &y);
  x = stage_mask(stage, x);
  z = stage_mask(stage, z);
  uint64_t mask = stage_mask(stage, op->mask), value = stage_mask(stage, op->value);
  double t = g->inverse == inverse ? angle[0] : -angle[0];
  *out = (TurnStep){.x = x & ~low, .z = z & ~low, .mask = mask & ~low, .value = value & ~low,
                    .lane = (int)(x & low) << 1 | !(y & 1), .coef = coef, .acc = -1, .sum = sum};
  unsigned lane_mask = (unsigned)(mask & low), lane_value = (unsigned)(value & low);
  for (int l = 0; l < 1 << bits; l++)
    for (int k = 0; k < 2; k++) {
      bool on = ((unsigned)l & lane_mask) == lane_value;
      put(coef, s->single, 0, 2 * l + k, on ? cos(t / 2) : 1);
    }
  turn_factor(s, out, z & low, lane_mask, lane_value, y, sin(t / 2), 1, coef);
  double half = g->inverse ? -0.5 : 0.5;
  if (sum) turn_factor(s, out, z & low, lane_mask, lane_value, y, half, 0, sum);
}

/* ---- dense gates on two qubits ------------------------------------------------------ */

/* Entries c + id as rows of c, -(c + d), d - c (sweep_pair.h). */
static void put_apart(void *coef, bool single, const c128 *m) {
  for (int i = 0; i < 16; i++) {
    const double part[3] = {m[i].re, -(m[i].re + m[i].im), m[i].im - m[i].re};
    for (int k = 0; k < 3; k++) {
      int at = i / 4 * 12 + k * 4 + i % 4;
      if (single) ((float *)coef)[at] = (float)part[k];
      else ((double *)coef)[at] = part[k];
    }
  }
}

/* The matrix with its targets ascending, in registers: controls within the lanes are in them. */
static void put_shifts(const PairStep *t, bool single, unsigned mask, unsigned value, const c128 *m,
                       void *coef) {
  static const c128 one = {1, 0}, none = {0, 0};
  int lanes = 1 << sweep_lane_bits(single), V = 1 << t->places, shifts = 4 / V;
  int within = 2 - t->places; /* targets that are lane bits, the lower ones */
  for (int k = 0; k < lanes * 16; k++) {
    int l = k >> 4, h = k % shifts, u = k / shifts % V, r = k / 4 % V;
    int i = r << within, j = u << within, source = l; /* the lane that it is multiplied in */
    for (int b = 0; b < within; b++) {
      int bit = l >> t->lane[b] & 1;
      i |= bit << b;
      j |= (bit ^ (h >> b & 1)) << b;
      source ^= (h >> b & 1) << t->lane[b];
    }
    c128 f = ((unsigned)l & mask) == value ? m[i * 4 + j] : r == u && !h ? one : none;
    put_factor(coef, single, 2 * ((r * V + u) * shifts + h), source, f);
  }
}

void bind_pair(const Values *v, const Schedule *s, const Stage *stage, const Op *op, bool inverse,
               PairStep *out, void *coef) {
  const Gate *g = &v->p->c->gate[op->head];
  int bits = sweep_lane_bits(s->single), at[2];
  uint64_t low = (1ull << bits) - 1;
  uint64_t mask = stage_mask(stage, op->mask), value = stage_mask(stage, op->value);
  double angle[3];
  c128 given[16], m[16];
  gate_angles(v, g, angle);
  gate_matrix_any(v->p->c, g, angle, given);
  for (int k = 0; k < 2; k++) at[k] = stage->at[op->target[k]];
  bool turned = at[0] > at[1]; /* bit 0 of a row's number is to be the lower target */
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      int a = turned ? i >> 1 | (i & 1) << 1 : i, b = turned ? j >> 1 | (j & 1) << 1 : j;
      m[i * 4 + j] = inverse ? conjugate(given[b * 4 + a]) : given[a * 4 + b];
    }
  *out = (PairStep){.mask = mask & ~low, .value = value & ~low, .coef = coef};
  for (int k = 0, lane = 0; k < 2; k++) {
    int bit = at[k != turned];
    if (bit < bits) out->lane[lane++] = bit;
    else out->bit[out->places++] = 1ull << bit;
  }
  out->apart = out->places == 2 && !(mask & low);
  if (out->apart) put_apart(coef, s->single, m);
  else put_shifts(out, s->single, (unsigned)(mask & low), (unsigned)(value & low), m, coef);
}
