/* lanes.c: models and blocks of 64 replicas; everything of lanes.h but the sweeps. */
#include "runtime/binary/lanes.h"

#include <math.h>
#include <string.h>

static const size_t lane_size[] = {1, 2, 4};

/* ---- models ----------------------------------------------------------------- */

/* Whether rounding to multiples of 1 / unit keeps the problem: all but a few of the
 * coefficients to 3 % or better, so that small terms beside large penalties stay. */
static bool resolved(const Ising *p, double unit) {
  int64_t all = 0, coarse = 0;
  for (int64_t i = 0; i < p->n; i++) {
    all += p->h[i] != 0;
    coarse += p->h[i] != 0 && fabs(p->h[i]) * unit < 16;
    for (int64_t k = p->start[i]; k < p->start[i + 1] && p->other[k] < i; k++, all++)
      coarse += fabs(p->J[k]) * unit < 16;
  }
  return coarse <= all / 20;
}

static void choose(LaneModel *m, const IsingScale *s, LanePrecision precision) {
  m->exact = true;
  if (s->integer && s->max_field * s->scale <= 32767) {
    m->scale = s->scale;
    m->most = s->max_field * s->scale;
    m->width = m->most <= 127 ? LANE_I8 : LANE_I16;
    return;
  }
  m->exact = false;
  if (precision == LANE_SEARCH && s->max_field > 0) {
    /* rounding moves a field by half a unit per term at most */
    double unit = (32766 - 0.5 * (double)(s->max_degree + 1)) / s->max_field;
    if (unit > 0 && isfinite(unit) && resolved(m->p, unit)) {
      m->width = LANE_I16;
      m->scale = unit;
      m->most = 32767;
      return;
    }
  }
  /* floats: the largest field becomes about 1, so that nothing overflows */
  m->width = LANE_F32;
  int e = 0;
  if (s->max_field > 0) frexp(s->max_field, &e);
  m->scale = ldexp(1, e < -1000 ? 1000 : -e);
  m->most = s->max_field * m->scale;
}

/* Stores x where the arrays of m have element k; bytes and words wrap. */
static void put(LaneWidth width, void *to, int64_t k, double x) {
  if (width == LANE_I8) ((int8_t *)to)[k] = (int8_t)(uint8_t)(int64_t)x;
  else if (width == LANE_I16) ((int16_t *)to)[k] = (int16_t)(uint16_t)(int64_t)x;
  else ((float *)to)[k] = (float)x;
}

RtStatus lane_model_make(Rt *rt, LaneModel *m, const Ising *p, LanePrecision precision) {
  *m = (LaneModel){.p = p, .k = lane_kernels_best()};
  IsingScale s;
  ising_scale(p, &s);
  choose(m, &s, precision);
  size_t size = lane_size[m->width], n = (size_t)p->n, ends = 2 * (size_t)p->m;
  m->w = rt_alloc(rt, ends * size + 1);
  m->low = rt_alloc(rt, n * size + 1);
  m->h = rt_alloc(rt, n * size + 1);
  m->slot = rt_alloc(rt, ends * sizeof *m->slot + 1);
  if (!m->slot || !m->w || !m->low || !m->h) {
    lane_model_free(rt, m);
    return rt->error.status;
  }
  bool whole = m->width != LANE_F32;
  for (int64_t i = 0; i < p->n; i++) {
    double h = p->h[i] * m->scale, low;
    low = h = whole ? rint(h) : h;
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) {
      double J = p->J[k] * m->scale;
      if (whole) J = rint(J);
      put(m->width, m->w, k, 2 * J);
      m->slot[k] = (int32_t)lane_slot(p->other[k]);
      low -= J;
    }
    put(m->width, m->h, i, h);
    put(m->width, m->low, i, low);
  }
  return RT_OK;
}

void lane_model_free(Rt *rt, LaneModel *m) {
  if (!m->p) return;
  size_t size = lane_size[m->width], n = (size_t)m->p->n, ends = 2 * (size_t)m->p->m;
  if (m->slot) rt_free(rt, m->slot, ends * sizeof *m->slot + 1);
  if (m->w) rt_free(rt, m->w, ends * size + 1);
  if (m->low) rt_free(rt, m->low, n * size + 1);
  if (m->h) rt_free(rt, m->h, n * size + 1);
  *m = (LaneModel){0};
}

static size_t field_bytes(const LaneModel *m) {   /* at least 64: aligned */
  return ((size_t)lane_slot(m->p->n) + 1) * lane_size[m->width] * LANES;
}

size_t lane_bytes(const LaneModel *m) {
  return field_bytes(m) + (size_t)(m->p->n + 1) * sizeof(uint64_t);
}

/* ---- blocks ------------------------------------------------------------------ */

RtStatus lanes_make(Rt *rt, Lanes *l, const LaneModel *m) {
  *l = (Lanes){.m = m};
  l->spin = rt_alloc0(rt, (size_t)(m->p->n + 1) * sizeof *l->spin);
  l->field = rt_alloc(rt, field_bytes(m));
  if (!l->spin || !l->field) {
    lanes_free(rt, l);
    return rt->error.status;
  }
  return RT_OK;
}

void lanes_free(Rt *rt, Lanes *l) {
  if (!l->m) return;
  if (l->spin) rt_free(rt, l->spin, (size_t)(l->m->p->n + 1) * sizeof *l->spin);
  if (l->field) rt_free(rt, l->field, field_bytes(l->m));
  *l = (Lanes){0};
}

void lanes_seed(Lanes *l, RngCall rng, int64_t block) {
  uint32_t w[4];
  for (int k = 0; k < 17; k++) {
    rng_bits(rng, (uint64_t)block * 32 + (uint64_t)k, w);
    if (!(w[0] | w[1] | w[2] | w[3])) w[0] = 1;
    for (int j = 0; j < 4; j++) *(k < 16 ? &l->rng[j][k] : &l->tie.s[j]) = w[j];
  }
  l->moves = 0;
}

uint64_t lanes_bits(Lanes *l) {
  uint64_t high = xoshiro_next(&l->tie);
  return high << 32 | xoshiro_next(&l->tie);
}

void lanes_random(Lanes *l) {
  for (int64_t i = 0; i < l->m->p->n; i++) l->spin[i] = lanes_bits(l);
  lanes_fields(l);
}

void lanes_put(Lanes *l, int lane, const int8_t *spin) {
  uint64_t bit = 1ull << lane;
  for (int64_t i = 0; i < l->m->p->n; i++)
    l->spin[i] = spin[i] > 0 ? l->spin[i] | bit : l->spin[i] & ~bit;
}

void lanes_get(const Lanes *l, int lane, int8_t *spin) {
  for (int64_t i = 0; i < l->m->p->n; i++)
    spin[i] = (int8_t)((int)(l->spin[i] >> lane & 1) * 2 - 1);
}

void lanes_get_all(const Lanes *l, int count, int8_t *spin) {
  for (int r = 0; r < count; r++) lanes_get(l, r, spin + r * l->m->p->n);
}

void lanes_fields(Lanes *l) {
  const LaneModel *m = l->m;
  const Ising *p = m->p;
  size_t size = lane_size[m->width];
  for (int64_t i = 0; i < p->n; i++) {
    char *f = (char *)l->field + (size_t)lane_slot(i) * size * LANES;
    if (m->width == LANE_I8) {
      memset(f, ((const int8_t *)m->low)[i], LANES);
    } else if (m->width == LANE_I16) {
      for (int k = 0; k < LANES; k++) ((int16_t *)f)[k] = ((const int16_t *)m->low)[i];
    } else {
      for (int k = 0; k < LANES; k++) ((float *)f)[k] = ((const float *)m->low)[i];
    }
  }
  for (int64_t i = 0; i < p->n; i++) {
    int64_t a = p->start[i];
    if (l->spin[i])
      m->k->push[m->width](l->field, m->slot + a, (const char *)m->w + (size_t)a * size,
                           p->start[i + 1] - a, l->spin[i], 0);
  }
}

void lanes_flip(Lanes *l, int64_t i, uint64_t mask) {
  const LaneModel *m = l->m;
  int64_t a = m->p->start[i];
  uint64_t s = l->spin[i];
  l->spin[i] = s ^ mask;
  m->k->push[m->width](l->field, m->slot + a, (const char *)m->w + (size_t)a * lane_size[m->width],
                       m->p->start[i + 1] - a, mask & ~s, mask & s);
}

static double field_of(const Lanes *l, int64_t i, int lane) {
  int64_t k = lane_slot(i) * LANES + lane;
  if (l->m->width == LANE_I8) return ((const int8_t *)l->field)[k];
  if (l->m->width == LANE_I16) return ((const int16_t *)l->field)[k];
  return (double)((const float *)l->field)[k];
}

/* ---- acceptance -------------------------------------------------------------- */

static double probability(const LaneRule *r, double x) {
  if (r->move == LANE_GREEDY) return 0;
  return r->move == LANE_METROPOLIS ? exp(-x) : 1 / (1 + exp(x));
}

static void table_of(LaneRule *r, const LaneModel *m, double beta) {
  double x = exp(-2 * beta / m->scale), power = 1;
  r->cap = -1;
  for (int d = 0; d < 128; d++, power *= x) {
    double p = r->move == LANE_METROPOLIS ? power : power / (1 + power);
    uint64_t v = d > (int)m->most ? 0 : (uint64_t)(p * 0x1p40);
    if (v > 0xffffffffffu) v = 0xffffffffffu;
    r->p8[d] = (uint8_t)(v >> 32);
    r->p32[d] = (uint32_t)v;
    if (!v) {
      memset(r->p8 + d, 0, sizeof r->p8 - (size_t)d);
      break;
    }
    r->cap = d;
  }
}

static void words_of(LaneRule *r, const LaneModel *m, int lane) {
  double unit = 2 * r->beta[lane] * 1.4426950408889634 * 1024 / m->scale;
  r->factor[lane] = (float)fmin(unit, 1e36);
  double y = fmin(unit, 65535);
  r->whole[lane] = (uint16_t)y;
  r->part[lane] = (uint16_t)((y - floor(y)) * 65536);
  double most = y > 0 ? floor(65535 / y) : 32767;
  r->most[lane] = (uint16_t)fmin(most, 32767);
}

void lane_rule(LaneRule *r, const LaneModel *m, LaneMove move, double beta) {
  r->move = move;
  r->same = true;
  for (int k = 0; k < LANES; k++) r->beta[k] = beta;
  if (move == LANE_GREEDY) return;
  if (m->width == LANE_I8) {
    table_of(r, m, beta);
    return;
  }
  words_of(r, m, 0);
  for (int k = 1; k < LANES; k++) {
    r->whole[k] = r->whole[0];
    r->part[k] = r->part[0];
    r->most[k] = r->most[0];
    r->factor[k] = r->factor[0];
  }
}

void lane_rule_each(LaneRule *r, const LaneModel *m, LaneMove move, const double beta[LANES]) {
  r->move = move;
  r->same = false;
  for (int k = 0; k < LANES; k++) {
    r->beta[k] = beta[k];
    words_of(r, m, k);
  }
}

uint64_t lane_settle(Lanes *l, const LaneRule *r, int64_t i, uint64_t tie, const uint16_t *u) {
  uint64_t yes = 0;
  for (; tie; tie &= tie - 1) {
    int lane = __builtin_ctzll(tie);
    double d = fabs(field_of(l, i, lane));
    double x = d > 0 ? 2 * r->beta[lane] * d / l->m->scale : 0;
    double p = probability(r, x) * 65536, first = floor(p);
    bool accept = u[lane] < first;
    if (u[lane] == first) accept = xoshiro_next(&l->tie) < (p - first) * 0x1p32;
    yes |= (uint64_t)accept << lane;
  }
  return yes;
}

void lanes_sweep(Lanes *l, const LaneRule *r, int64_t first, int64_t end) {
  l->m->k->sweep[l->m->width](l, r, first, end);
}

void lanes_quench(Lanes *l, int most) {
  LaneRule r;
  lane_rule(&r, l->m, LANE_GREEDY, INFINITY);
  for (int64_t before = -1; most-- > 0 && l->moves != before;) {
    before = l->moves;
    lanes_sweep(l, &r, 0, l->m->p->n);
  }
}
