/* test_mps.c: matrix-product states of short chains against state vectors: products, gates,
 * operators as networks, evolution, DMRG, draws, what is cut.                    */
#include "tests/runtime/fixture.h"
#include <math.h>
#include <string.h>

#include "runtime/evolve/evolve.h"
#include "runtime/mps/mpo.h"

static const MpsCut ALL = {1 << 20, 0};

/* Random couplings of neighbours, next neighbours and (far) of the ends; wide: with terms that
 * are not real.                                                                  */
static void chain(Operator *a, int n, bool next, bool far, bool wide, int64_t seed) {
  int64_t first;
  RngCall c = rng_seeded(seed);
  uint64_t e = 0;
  operator_init(a);
  assert_int_equal(operator_register(rt, a, n, &first), RT_OK);
  for (int i = 0; i < n; i++) {
    uint8_t f[3] = {OP_X, OP_Y, OP_Z};
    for (int k = 0; k < 3; k++) {
      OpWord one = {f[k], i};
      if (k != 1 || wide)
        assert_int_equal(operator_add(rt, a, (c128){rng_normal(c, e++), 0}, 1, &one), RT_OK);
      for (int d = 1; d < n; d++) {
        OpWord two[2] = {{f[k], i}, {f[k], i + d}};
        if (i + d >= n || (d == 2 && !next) || (d > 2 && !(far && d == n - 1))) continue;
        assert_int_equal(operator_add(rt, a, (c128){rng_normal(c, e++), 0}, 2, two), RT_OK);
      }
    }
    OpWord xy[2] = {{OP_X, i}, {OP_Y, i + 1}};
    if (wide && i + 1 < n)
      assert_int_equal(operator_add(rt, a, (c128){rng_normal(c, e++), 0}, 2, xy), RT_OK);
  }
  assert_int_equal(operator_add(rt, a, (c128){0.25, 0}, 0, NULL), RT_OK);
  assert_int_equal(operator_merge(rt, a), RT_OK);
}

static double distance(const Mps *m, const State *s) {
  State v;
  double d = 0;
  assert_int_equal(mps_to_state(rt, m, &v), RT_OK);
  assert_int_equal(v.size, s->size);
  for (int64_t k = 0; k < s->size; k++) d += pow(hypot(v.amp[k].re - s->amp[k].re, v.amp[k].im - s->amp[k].im), 2);
  state_free(rt, &v);
  return sqrt(d);
}

/* Every site but the centre is an isometry. */
static void check_form(const Mps *m) {
  Mps c;
  c128 z;
  assert_int_equal(mps_overlap(rt, m, m, &z), RT_OK);
  assert_true(fabs(z.re - mps_norm2(m)) < 1e-12 * z.re);
  assert_int_equal(mps_copy(rt, m, &c), RT_OK);
  for (int64_t to = 0; to < m->n; to += 2) {
    assert_int_equal(mps_move(rt, &c, to), RT_OK);
    assert_int_equal(c.center, to);
    assert_true(fabs(mps_norm2(&c) - z.re) < 1e-12 * z.re);
  }
  mps_free(rt, &c);
}

static void test_vectors(void **state) {
  (void)state;
  VarTable vars;
  State s, t;
  Mps m, k;
  c128 z, w;
  assert_int_equal(state_register(rt, 9, &vars), RT_OK);
  assert_int_equal(state_random(rt, &vars, rng_seeded(1), &s), RT_OK);
  assert_int_equal(state_random(rt, &vars, rng_seeded(2), &t), RT_OK);
  assert_int_equal(mps_from_state(rt, &s, ALL, &m), RT_OK);
  assert_int_equal(mps_from_state(rt, &t, ALL, &k), RT_OK);
  assert_true(distance(&m, &s) < 1e-13 && distance(&k, &t) < 1e-13);
  assert_int_equal(mps_widest(&m), 16);
  check_form(&m);
  z = state_overlap(&s, &t);
  assert_int_equal(mps_overlap(rt, &m, &k, &w), RT_OK);
  assert_true(hypot(z.re - w.re, z.im - w.im) < 1e-13);
  /* the weight cut is the distance squared, whatever the bond */
  mps_free(rt, &k);
  assert_int_equal(mps_copy(rt, &m, &k), RT_OK);
  assert_int_equal(mps_compress(rt, &k, (MpsCut){6, 0}), RT_OK);
  assert_int_equal(mps_widest(&k), 6);
  assert_int_equal(mps_overlap(rt, &k, &m, &w), RT_OK);
  double fidelity = w.re * w.re + w.im * w.im;
  assert_true(k.error > 1e-3 && 1 - fidelity <= k.error * (1 + 1e-9) && 1 - fidelity > k.error / 4);
  assert_true(fabs(mps_norm2(&k) - 1) < 1e-12);
  mps_free(rt, &k);
  mps_free(rt, &m);
  state_free(rt, &s);
  state_free(rt, &t);
  vars_free(rt, &vars);
}

/* <H>, |H s|^2 against state vectors. */
static void means_of(int n, bool next, bool far, bool wide, int64_t channels) {
  Operator h;
  State s, hs;
  Applied *a;
  Mps m;
  Mpo *w;
  c128 z;
  double square;
  chain(&h, n, next, far, wide, 5);
  assert_int_equal(state_random(rt, &h.vars, rng_seeded(3), &s), RT_OK);
  assert_int_equal(state_new(rt, &h.vars, &hs), RT_OK);
  assert_int_equal(applied_make(rt, &h, true, &a), RT_OK);
  assert_int_equal(applied_to(rt, a, state_doubles(&s), state_doubles(&hs)), RT_OK);
  assert_int_equal(mps_from_state(rt, &s, ALL, &m), RT_OK);
  assert_int_equal(mpo_make(rt, &h, 0, &w), RT_OK);
  assert_int_equal(mpo_widest(w), channels);
  assert_true(mpo_wide(w) == false || wide);
  assert_int_equal(mpo_mean(rt, w, &m, &z), RT_OK);
  double e = state_overlap(&s, &hs).re, norm = state_norm2(&hs);
  assert_true(fabs(z.re - e) < 1e-12 * n && fabs(z.im) < 1e-12);
  assert_int_equal(mpo_square(rt, w, &m, &square), RT_OK);
  assert_true(fabs(square - norm) < 1e-12 * norm);
  mpo_free(rt, w);
  assert_int_equal(mpo_make(rt, &h, -e, &w), RT_OK);
  assert_int_equal(mpo_square(rt, w, &m, &square), RT_OK);
  assert_true(fabs(square - (norm - e * e)) < 1e-11 * norm);
  mpo_free(rt, w);
  mps_free(rt, &m);
  applied_free(rt, a);
  state_free(rt, &hs);
  state_free(rt, &s);
  operator_free(rt, &h);
}

static void test_means(void **state) {
  (void)state;
  means_of(2, false, false, false, 5);
  means_of(7, false, false, false, 5);
  means_of(8, true, false, true, 8);
  means_of(6, true, true, false, 11);
}

static void exact(Operator *h, bool imaginary, double t, State *s) {
  Applied *a;
  assert_int_equal(applied_make(rt, h, true, &a), RT_OK);
  assert_int_equal(imaginary ? evolve_imaginary(rt, a, t, 1e-13, s) : evolve_real(rt, a, t, 1e-13, s), RT_OK);
  applied_free(rt, a);
}

/* The distance from the exact vector after a short time. */
static double off_by(Operator *h, const State *from, const State *want, bool imaginary, double t, double step,
                     int order) {
  Mps m;
  assert_int_equal(mps_from_state(rt, from, ALL, &m), RT_OK);
  MpsTime how = {t, step, order, imaginary, ALL};
  assert_int_equal(mps_evolve(rt, h, how, &m, NULL), RT_OK);
  double d = distance(&m, want);
  check_form(&m);
  assert_true(m.error < 1e-20);
  mps_free(rt, &m);
  return d;
}

static void orders_of(int n, bool next, bool far, bool wide, bool imaginary) {
  Operator h;
  State s, want;
  chain(&h, n, next, far, wide, 7);
  assert_int_equal(state_random(rt, &h.vars, rng_seeded(4), &s), RT_OK);
  assert_int_equal(state_copy(rt, &s, &want), RT_OK);
  exact(&h, imaginary, 0.4, &want);
  for (int order = 1; order <= 4; order *= 2) {
    double a = off_by(&h, &s, &want, imaginary, 0.4, 0.05, order);
    double b = off_by(&h, &s, &want, imaginary, 0.4, 0.025, order);
    double rate = log2(a / b);
    assert_true(rate > order - 0.25 && rate < order + 0.6);
    assert_true(b < (order == 4 ? 1e-4 : order == 2 ? 2e-2 : 0.3));
  }
  state_free(rt, &want);
  state_free(rt, &s);
  operator_free(rt, &h);
}

static void test_orders(void **state) {
  (void)state;
  orders_of(6, false, false, false, false);
  orders_of(6, true, true, true, false);
  orders_of(6, false, false, false, true);
  orders_of(5, true, true, true, true);
}

static void test_ground(void **state) {
  (void)state;
  for (int k = 0; k < 4; k++) {
    Operator h;
    Mps m;
    Level want;
    DmrgResult got;
    Mpo *w;
    double square;
    chain(&h, 6 + k, k & 1, k & 2, k > 2, 11 + k);
    assert_int_equal(spectrum(rt, &h, 1, &want, NULL), RT_OK);
    assert_int_equal(mps_ground(rt, &h, (MpsCut){32, 1e-16}, 1e-13, 40, rng_seeded(1), &m, &got), RT_OK);
    assert_true(fabs(got.energy - want.energy) < 1e-10);
    check_form(&m);
    assert_int_equal(mpo_make(rt, &h, -got.energy, &w), RT_OK);
    assert_int_equal(mpo_square(rt, w, &m, &square), RT_OK);
    assert_true(square < 1e-10);
    mpo_free(rt, w);
    mps_free(rt, &m);
    operator_free(rt, &h);
  }
}

/* All-to-all equal couplings need one channel besides the two ends; a 3-site term two. */
static void test_ranks(void **state) {
  (void)state;
  Operator h;
  Mpo *w;
  int64_t first;
  operator_init(&h);
  assert_int_equal(operator_register(rt, &h, 30, &first), RT_OK);
  for (int i = 0; i < 30; i++)
    for (int j = i + 1; j < 30; j++) {
      OpWord z[2] = {{OP_Z, i}, {OP_Z, j}};
      assert_int_equal(operator_add(rt, &h, (c128){0.5, 0}, 2, z), RT_OK);
    }
  assert_int_equal(operator_merge(rt, &h), RT_OK);
  assert_int_equal(mpo_make(rt, &h, 0, &w), RT_OK);
  assert_int_equal(mpo_widest(w), 3);
  mpo_free(rt, w);
  OpWord three[3] = {{OP_X, 3}, {OP_Z, 4}, {OP_X, 9}};
  assert_int_equal(operator_add(rt, &h, (c128){1, 0}, 3, three), RT_OK);
  assert_int_equal(operator_merge(rt, &h), RT_OK);
  assert_int_equal(mpo_make(rt, &h, 0, &w), RT_OK);
  assert_int_equal(mpo_widest(w), 4);
  mpo_free(rt, w);
  operator_free(rt, &h);
}

/* Whatever limit is hit: a status, nothing left behind. */
static void test_limits(void **state) {
  (void)state;
  Operator h;
  int failed = 0, passed = 0;
  chain(&h, 5, true, true, true, 3);
  for (size_t room = 64; passed < 3 && room < 1 << 24; room += room / 4) {
    size_t before = rt->bytes;
    rt->limit = before + room;
    Mps m, k;
    Mpo *w = NULL;
    DmrgResult r;
    c128 z;
    double entropy[4], square;
    int64_t digits[10];
    c128 id[4] = {{1, 0}, {0, 0}, {0, 0}, {1, 0}}, pairs[25], mean[5];
    RtStatus st = mps_ground(rt, &h, (MpsCut){8, 1e-12}, 1e-6, 20, rng_seeded(1), &m, &r);
    mps_init(&k);
    if (!st) st = mps_evolve(rt, &h, (MpsTime){0.1, 0.1, 2, false, {8, 1e-12}}, &m, NULL);
    if (!st) st = mps_sum(rt, &m, 0.5, &m, (MpsCut){8, 1e-12}, &k);
    if (!st) st = mpo_make(rt, &h, 0, &w);
    if (!st) st = mpo_square(rt, w, &m, &square);
    if (!st) st = mpo_mean(rt, w, &m, &z);
    if (!st) st = mps_entropies(rt, &m, entropy);
    if (!st) st = mps_sample(rt, &k, 2, rng_seeded(2), digits);
    if (!st) st = mps_correlations(rt, &k, 2, id, id, pairs, mean);
    mpo_free(rt, w);
    mps_free(rt, &k);
    mps_free(rt, &m);
    rt->limit = 0;
    assert_int_equal(rt->bytes, before);
    assert_true(st == RT_OK || (st == RT_LIMIT || st == RT_MEMORY || st == RT_ERROR));
    assert_true(st == RT_OK || rt->error.message[0]);
    failed += st != RT_OK;
    passed += st == RT_OK;
  }
  assert_true(failed > 20 && passed == 3);
  rt_interrupt(rt);
  Mps m;
  DmrgResult r;
  assert_int_equal(mps_ground(rt, &h, (MpsCut){8, 0}, 1e-6, 20, rng_seeded(1), &m, &r), RT_INTERRUPTED);
  operator_free(rt, &h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors), cmocka_unit_test(test_means),  cmocka_unit_test(test_orders),
      cmocka_unit_test(test_ground),  cmocka_unit_test(test_ranks),  cmocka_unit_test(test_limits),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
