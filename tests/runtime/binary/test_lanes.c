/* test_lanes.c: the 64-replica kernels: every single decision against the exact
 * probability, equal bits on all levels, fields and energies against plain sums. */
#include <math.h>
#include <string.h>

#include "runtime/binary/lanes.h"
#include "tests/runtime/fixture.h"

static uint64_t state;
static double uniform(void) { return rng_uniform(rng_seeded(5), state++); }

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

/* kind 0: fields fit bytes, 1: words, 2: real numbers. */
static void random_model(Ising *p, int64_t n, double density, int kind) {
  int64_t m = 0;
  int32_t *uv = test_malloc((size_t)(n * n) * sizeof *uv);
  double *c = test_malloc((size_t)(n * n) * sizeof *c), *h = test_malloc((size_t)n * sizeof *h);
  for (int32_t i = 0; i < n; i++) {
    double x = 2 * uniform() - 1;
    h[i] = kind == 0 ? rint(2 * x) : kind == 1 ? rint(200 * x) : x;
    for (int32_t j = 0; j < i; j++) {
      if (uniform() > density) continue;
      x = 2 * uniform() - 1;
      x = kind == 0 ? (x < 0 ? -1 : 1) : kind == 1 ? rint(100 * x) : x;
      if (x == 0) continue;
      uv[2 * m] = j;
      uv[2 * m + 1] = i;
      c[m++] = x;
    }
  }
  ok(ising_make(rt, p, n, h, m, uv, c, 0.25));
  test_free(uv);
  test_free(c);
  test_free(h);
}

/* ---- decisions ----------------------------------------------------------------- */

static void step(uint32_t s[4][16], uint32_t out[16]) {
  for (int i = 0; i < 16; i++) {
    uint32_t x = s[0][i] + s[3][i], t = s[1][i] << 9;
    out[i] = (x << 7 | x >> 25) + s[0][i];
    s[2][i] ^= s[0][i];
    s[3][i] ^= s[1][i];
    s[1][i] ^= s[2][i];
    s[0][i] ^= s[3][i];
    s[2][i] ^= t;
    s[3][i] = s[3][i] << 11 | s[3][i] >> 21;
  }
}

/* One spin in a field: what the kernel did with each lane's random word must be
 * what the exact probability says; only a word equal to its first bits is open.  */
static int64_t audit(const LaneModel *m, Lanes *l, const LaneRule *r, bool bytes) {
  uint32_t gen[4][16];
  union { uint32_t x[32]; uint8_t b[64]; uint16_t w[64]; } u;
  memcpy(gen, l->rng, sizeof gen);
  uint64_t before = l->spin[0];
  lanes_sweep(l, r, 0, 1);
  if (!memcmp(gen, l->rng, sizeof gen)) {   /* nothing drawn: only where nothing is open */
    for (int k = 0; k < LANES; k++) {
      double d = (before >> k & 1 ? -1 : 1) * m->p->h[0], x = 2 * r->beta[k] * d;
      bool flipped = (before ^ l->spin[0]) >> k & 1;
      assert_true(flipped ? x <= 0 : x > 27);
      if (r->move == LANE_HEATBATH) assert_true(fabs(x) > 27);
    }
    return 0;
  }
  step(gen, u.x);
  if (!bytes) step(gen, u.x + 16);
  int64_t decided = 0;
  for (int k = 0; k < LANES; k++) {
    double d = (before >> k & 1 ? -1 : 1) * m->p->h[0], x = 2 * r->beta[k] * fabs(d);
    double p = r->move == LANE_METROPOLIS ? exp(-x) : 1 / (1 + exp(x));
    bool flipped = (before ^ l->spin[0]) >> k & 1;
    if (r->move == LANE_METROPOLIS && d <= 0) {
      assert_true(flipped);
      continue;
    }
    double draw = bytes ? u.b[k] : u.w[k], first = floor(p * (bytes ? 256 : 65536));
    if (draw == first) continue;
    decided++;
    bool accept = draw < first;
    if (flipped != (r->move == LANE_HEATBATH && d < 0 ? !accept : accept))
      fail_msg("d = %g, beta = %g, p = %.9g: drew %g of %g", d, r->beta[k], p, draw, first);
  }
  return decided;
}

static void test_decisions(void **unused) {
  for (int level = 0; level < 3; level++) {
    if (!lane_kernels(level)) continue;
    int64_t decided = 0;
    for (int round = 0; round < 300; round++) {
      int kind = round % 3;
      double x = uniform(), h = kind == 0 ? rint(x * 127) : kind == 1 ? rint(exp(x * 10.3)) : x;
      if (kind == 1 && h < 128) h += 128;
      if (kind == 2 && h == 0) h = 0.5;
      Ising p;
      LaneModel m;
      Lanes l;
      ok(ising_make(rt, &p, 1, &h, 0, NULL, NULL, 0));
      ok(lane_model_make(rt, &m, &p, LANE_FAITHFUL));
      assert_int_equal(m.width, (LaneWidth)kind);
      m.k = lane_kernels(level);
      ok(lanes_make(rt, &l, &m));
      lanes_seed(&l, rng_seeded(round), level);
      lanes_random(&l);
      for (int k = 0; k < 60; k++) {
        LaneRule r;
        LaneMove move = k & 1 ? LANE_HEATBATH : LANE_METROPOLIS;
        double beta[LANES], unit = h ? h : 1;
        for (int i = 0; i < LANES; i++)
          beta[i] = k % 5 == 4 ? 0 : exp(uniform() * 12 - 8) / unit;
        if (k & 2) lane_rule(&r, &m, move, beta[0]);
        else lane_rule_each(&r, &m, move, beta);
        l.spin[0] = lanes_bits(&l);
        decided += audit(&m, &l, &r, kind == 0 && r.same);
      }
      lanes_free(rt, &l);
      lane_model_free(rt, &m);
      ising_free(rt, &p);
    }
    assert_true(decided > 300000);
  }
}

/* ---- levels, fields, energies ----------------------------------------------------- */

static uint64_t trace(LaneModel *m, int level, bool each, LaneMove move) {
  Lanes l;
  m->k = lane_kernels(level);
  ok(lanes_make(rt, &l, m));
  lanes_seed(&l, rng_seeded(3), 7);
  lanes_random(&l);
  uint64_t h = 1;
  for (int s = 0; s < 30; s++) {
    LaneRule r;
    double beta[LANES];
    for (int k = 0; k < LANES; k++)
      beta[k] = 0.4 * s * (each ? 0.2 + k / 40.0 : 1) * m->scale / m->most;
    if (each) lane_rule_each(&r, m, move, beta);
    else lane_rule(&r, m, move, beta[0]);
    lanes_sweep(&l, &r, 0, m->p->n);
    for (int64_t i = 0; i < m->p->n; i++) h = (h ^ l.spin[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
  }
  lanes_flip(&l, 0, 0x123456789abcdef0u);
  /* fields kept up to date are those computed afresh */
  Lanes fresh;
  ok(lanes_make(rt, &fresh, m));
  memcpy(fresh.spin, l.spin, (size_t)m->p->n * sizeof *l.spin);
  lanes_fields(&fresh);
  for (int64_t i = 0; i < m->p->n; i++)
    for (int64_t k = lane_slot(i) * LANES, end = k + LANES; k < end; k++) {
      if (m->width == LANE_I8)
        assert_int_equal(((int8_t *)l.field)[k], ((int8_t *)fresh.field)[k]);
      else if (m->width == LANE_I16)
        assert_int_equal(((int16_t *)l.field)[k], ((int16_t *)fresh.field)[k]);
      else
        assert_true(fabsf(((float *)l.field)[k] - ((float *)fresh.field)[k]) < 1e-5);
    }
  lanes_quench(&l, 1000);
  double e[LANES];
  lanes_energies(&l, e);
  int8_t *spin = test_malloc((size_t)(m->p->n * LANES));
  lanes_get_all(&l, LANES, spin);
  for (int k = 0; k < LANES; k++) {
    double true_energy = ising_energy(m->p, spin + k * m->p->n);
    if (m->exact) assert_true(e[k] == true_energy);
    else assert_true(fabs(e[k] - true_energy) < (m->width == LANE_F32 ? 1e-3 : 1.0));
    h = (h ^ (uint64_t)(int64_t)(true_energy * 1024)) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
    if (!m->exact) continue;
    for (int64_t i = 0; i < m->p->n; i++) {   /* a local minimum */
      double f = m->p->h[i];
      for (int64_t q = m->p->start[i]; q < m->p->start[i + 1]; q++)
        f += m->p->J[q] * spin[k * m->p->n + m->p->other[q]];
      assert_true(f * spin[k * m->p->n + i] <= 0);
    }
  }
  test_free(spin);
  lanes_free(rt, &fresh);
  lanes_free(rt, &l);
  return h;
}

static void test_levels(void **unused) {
  for (int kind = 0; kind < 4; kind++) {
    Ising p;
    LaneModel m;
    random_model(&p, 90, 0.15, kind == 3 ? 2 : kind);
    ok(lane_model_make(rt, &m, &p, kind == 3 ? LANE_SEARCH : LANE_FAITHFUL));
    assert_int_equal(m.width, kind == 3 ? LANE_I16 : (LaneWidth)kind);
    assert_int_equal(m.exact, kind < 2);
    for (int rule = 0; rule < 4; rule++) {
      LaneMove move = rule & 2 ? LANE_HEATBATH : LANE_METROPOLIS;
      uint64_t want = trace(&m, 0, rule & 1, move);
      for (int level = 1; level < 3; level++)
        if (lane_kernels(level)) assert_true(trace(&m, level, rule & 1, move) == want);
    }
    lane_model_free(rt, &m);
    ising_free(rt, &p);
  }
}

/* Small real terms beside large penalties: floats, though a search might round. */
static void test_precision(void **unused) {
  for (int which = 0; which < 2; which++) {
    double c[45];
    int32_t uv[90];
    int m = 0;
    for (int32_t i = 0; i < 10; i++)
      for (int32_t j = 0; j < i; j++, m++) {
        uv[2 * m] = j;
        uv[2 * m + 1] = i;
        c[m] = which && m % 3 == 0 ? 5000.5 : 0.1 * m + 0.51234567;
      }
    Ising p;
    LaneModel l;
    ok(ising_make(rt, &p, 10, NULL, m, uv, c, 0));
    ok(lane_model_make(rt, &l, &p, LANE_SEARCH));
    assert_int_equal(l.width, which ? LANE_F32 : LANE_I16);
    lane_model_free(rt, &l);
    ising_free(rt, &p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_decisions),
                                     cmocka_unit_test(test_levels),
                                     cmocka_unit_test(test_precision)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
