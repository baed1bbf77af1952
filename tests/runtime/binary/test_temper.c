/* test_temper.c: parallel tempering against enumeration: ground states, Boltzmann
 * weights on every rung with cluster moves on, energies, repeating.           */
#include <math.h>
#include <string.h>

#include "runtime/binary/temper.h"
#include "tests/runtime/fixture.h"

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

/* Random model: couplings with probability `density`, integers or reals. */
static Ising model(int64_t n, double density, bool fields, bool whole, int seed) {
  RngCall rng = rng_seeded(seed);
  double h[64], c[2048];
  int32_t uv[4096];
  int64_t m = 0;
  uint64_t e = 0;
  for (int64_t i = 0; i < n; i++) {
    double x = rng_normal(rng, e++);
    h[i] = !fields ? 0 : whole ? rint(2 * x) : x;
    for (int64_t j = 0; j < i; j++) {
      if (rng_uniform(rng, e++) >= density) continue;
      double y = rng_normal(rng, e++);
      uv[2 * m] = (int32_t)i;
      uv[2 * m + 1] = (int32_t)j;
      c[m++] = whole ? (y < 0 ? -1 : 2) : y;
    }
  }
  Ising p;
  ok(ising_make(rt, &p, n, h, m, uv, c, 0.25));
  return p;
}

static double lowest(const Ising *p) {
  double best = INFINITY;
  for (int64_t a = 0; a < (int64_t)1 << p->n; a++) {
    int8_t s[32];
    for (int64_t i = 0; i < p->n; i++) s[i] = (int8_t)(a >> i & 1 ? 1 : -1);
    best = fmin(best, ising_energy(p, s));
  }
  return best;
}

static void test_ground_states(void **state) {
  for (int k = 0; k < 12; k++) {
    Ising p = model(3 + k, k % 3 ? 0.4 : 1, k & 1, k & 2, 100 + k);
    SamplerArgs a;
    sampler_args_init(&a);
    a.rng = rng_seeded(k);
    a.reads = 3;
    a.sweeps = 60;
    a.replicas = k % 2 ? 0 : 5;
    Samples out;
    ok(sample_temper(rt, &p, &a, &out));
    double best = lowest(&p);
    assert_int_equal(out.rows, 3);
    for (int64_t r = 0; r < out.rows; r++) {
      assert_true(out.energy[r] == ising_energy(&p, out.spin + r * p.n));
      assert_true(fabs(out.energy[r] - best) < 1e-9);
    }
    samples_free(rt, &out);
    ising_free(rt, &p);
  }
}

/* chi-squared of the states seen on every rung against exp(-beta E) / Z. */
static void check_rungs(const Ising *p, int rungs, int cluster, LaneMove move, int seed) {
  enum { SEEN = 2500, APART = 5 };
  LaneModel m;
  Temper t;
  ok(lane_model_make(rt, &m, p, LANE_FAITHFUL));
  ok(temper_make(rt, &t, &m, rungs, 0.1, 1.2, cluster));
  t.move = move;
  temper_start(&t, rng_seeded(seed), 0, NULL);
  for (int k = 0; k < 100; k++) temper_round(&t);
  t.next_spacing = INT64_MAX;
  int states = 1 << p->n;
  static double count[TEMPER_RUNGS][256];
  memset(count, 0, sizeof count);
  for (int k = 0; k < SEEN; k++) {
    for (int j = 0; j < APART; j++) temper_round(&t);
    for (int r = 0; r < 2; r++)
      for (int b = 0; b < rungs; b++) {
        int8_t s[8];
        int lane = t.lane_of[r][b], code = 0;
        lanes_get(&t.lanes, lane, s);
        for (int64_t i = 0; i < p->n; i++) code |= (s[i] > 0) << i;
        count[b][code]++;
        assert_true(fabs(t.energy[lane] - ising_energy(p, s)) < 1e-4);
      }
  }
  for (int b = 0; b < rungs; b++) {
    double weight[256], z = 0, chi = 0, rest = 0, rest_seen = 0;
    int bins = 0;
    for (int a = 0; a < states; a++) {
      int8_t s[8];
      for (int64_t i = 0; i < p->n; i++) s[i] = (int8_t)(a >> i & 1 ? 1 : -1);
      z += weight[a] = exp(-t.beta[b] * ising_energy(p, s));
    }
    for (int a = 0; a < states; a++) {
      double want = weight[a] / z * 2 * SEEN;
      if (want < 10) {
        rest += want;
        rest_seen += count[b][a];
        continue;
      }
      chi += (count[b][a] - want) * (count[b][a] - want) / want;
      bins++;
    }
    if (rest >= 10) {
      chi += (rest_seen - rest) * (rest_seen - rest) / rest;
      bins++;
    }
    /* rounds are not quite independent: five standard deviations and a fifth more */
    if (chi > 1.2 * (bins - 1) + 5 * sqrt(2 * (bins - 1)))
      fail_msg("rung %d of %d (beta %g): chi squared %.1f of %d bins", b, rungs, t.beta[b], chi, bins);
  }
  temper_free(rt, &t);
  lane_model_free(rt, &m);
}

static void test_boltzmann(void **state) {
  for (int k = 0; k < 3; k++) {
    Ising p = model(7, 0.35, k == 1, k != 2, 7 + k);
    check_rungs(&p, k == 0 ? 6 : 10, 1, LANE_HEATBATH, 40 + k);
    check_rungs(&p, 8, 0, LANE_HEATBATH, 50 + k);
    if (k == 2) check_rungs(&p, 8, 1, LANE_METROPOLIS, 60 + k);
    ising_free(rt, &p);
  }
}

/* After a move every pair still has its energy, differs where it did, and the
 * fields are those of the spins.                                              */
static void test_cluster_invariants(void **state) {
  for (int k = 0; k < 4; k++) {
    Ising p = model(40, 0.06, k & 1, k < 2, 70 + k);
    LaneModel m;
    Temper t;
    ok(lane_model_make(rt, &m, &p, LANE_FAITHFUL));
    ok(temper_make(rt, &t, &m, 8, 0.2, 3, 1));
    temper_start(&t, rng_seeded(3 + k), 0, NULL);
    int64_t moved = 0;
    for (int round = 0; round < 60; round++) {
      temper_round(&t);
      double before[LANES], after[LANES];
      uint64_t was[40];
      memcpy(was, t.lanes.spin, sizeof was);
      lanes_energies(&t.lanes, before);
      clusters_move(&t, 0xff);
      lanes_energies(&t.lanes, after);
      for (int64_t i = 0; i < p.n; i++) moved += was[i] != t.lanes.spin[i];
      for (int r = 0; r < t.replicas; r += 2)
        for (int b = 0; b < t.rungs; b++) {
          int x = t.lane_of[r][b], y = t.lane_of[r + 1][b];
          assert_true(fabs(before[x] + before[y] - after[x] - after[y]) < 1e-3);
          for (int64_t i = 0; i < p.n; i++)
            assert_true(((was[i] >> x ^ was[i] >> y ^ t.lanes.spin[i] >> x ^ t.lanes.spin[i] >> y) & 1) == 0);
        }
      lanes_fields(&t.lanes);
      lanes_energies(&t.lanes, before);
      for (int l = 0; l < LANES; l++) assert_true(fabs(before[l] - after[l]) < 1e-3);
    }
    assert_true(moved > 100);
    temper_free(rt, &t);
    lane_model_free(rt, &m);
    ising_free(rt, &p);
  }
}

static void test_repeats(void **state) {
  Ising p = model(60, 0.1, true, true, 5);
  SamplerArgs a;
  sampler_args_init(&a);
  a.rng = rng_seeded(9);
  a.reads = 5;
  a.sweeps = 20;
  Samples one, two, few;
  ok(sample_temper(rt, &p, &a, &one));
  a.threads = 2;
  ok(sample_temper(rt, &p, &a, &two));
  a.reads = 2;
  ok(sample_temper(rt, &p, &a, &few));
  assert_memory_equal(one.spin, two.spin, (size_t)(one.rows * p.n));
  assert_memory_equal(one.spin, few.spin, (size_t)(few.rows * p.n));
  assert_true(one.updates == two.updates && few.rows == 2);
  samples_free(rt, &one);
  samples_free(rt, &two);
  samples_free(rt, &few);
  ising_free(rt, &p);
}

/* A ladder whose exchanges always fail in one gap gets its rungs there. */
static void test_spacing(void **state) {
  Ising p = model(5, 1, false, true, 2);
  LaneModel m;
  Temper t;
  ok(lane_model_make(rt, &m, &p, LANE_FAITHFUL));
  ok(temper_make(rt, &t, &m, 9, 1, 256, 0));
  for (int k = 0; k < 8; k++) {
    t.tried[k] = 100;
    t.made[k] = k == 5 ? 0 : 100;
  }
  temper_space(&t);
  int inside = 0;
  for (int k = 0; k < 9; k++) {
    if (k) assert_true(t.beta[k] > t.beta[k - 1]);
    inside += t.beta[k] > 32 && t.beta[k] < 64;
  }
  assert_true(inside >= 6 && t.beta[0] == 1 && fabs(t.beta[8] - 256) < 1e-9);
  temper_free(rt, &t);
  lane_model_free(rt, &m);
  ising_free(rt, &p);
}

static void count_progress(void *user, double share) {
  double *last = user;
  if (share < *last || share > 1) fail_msg("share %g after %g", share, *last);
  *last = share;
}

static void test_stops(void **state) {
  Ising p = model(50, 0.2, false, true, 6);
  SamplerArgs a;
  sampler_args_init(&a);
  a.rng = rng_seeded(1);
  a.reads = 40;
  a.sweeps = 5;
  a.target = 1e9;
  double last = 0;
  a.progress = count_progress;
  a.user = &last;
  Samples out;
  ok(sample_temper(rt, &p, &a, &out));
  assert_true(out.rows >= 1 && out.rows < 40 && last > 0);   /* the first wave reaches it */
  samples_free(rt, &out);
  a.target = NAN;
  a.sweeps = INT64_MAX / 8;
  a.seconds = 0.01;
  ok(sample_temper(rt, &p, &a, &out));
  samples_free(rt, &out);
  a.replicas = 33;
  assert_int_equal(sample_temper(rt, &p, &a, &out), RT_ERROR);
  a.replicas = 4;
  a.beta_hot = -1;
  assert_int_equal(sample_temper(rt, &p, &a, &out), RT_ERROR);
  a.beta_hot = NAN;
  rt_interrupt(rt);
  assert_int_equal(sample_temper(rt, &p, &a, &out), RT_INTERRUPTED);
  assert_true(out.spin == NULL);
  ising_free(rt, &p);
}

static void test_edges(void **state) {
  for (int64_t n = 0; n < 3; n++) {
    Ising p;
    ok(ising_make(rt, &p, n, NULL, 0, NULL, NULL, 2.5));
    SamplerArgs a;
    sampler_args_init(&a);
    a.rng = rng_seeded(1);
    a.sweeps = 3;
    Samples out;
    ok(sample_temper(rt, &p, &a, &out));
    assert_true(out.rows == 1 && out.energy[0] == 2.5);
    samples_free(rt, &out);
    ising_free(rt, &p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_ground_states, setup, teardown),
      cmocka_unit_test_setup_teardown(test_boltzmann, setup, teardown),
      cmocka_unit_test_setup_teardown(test_cluster_invariants, setup, teardown),
      cmocka_unit_test_setup_teardown(test_repeats, setup, teardown),
      cmocka_unit_test_setup_teardown(test_spacing, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stops, setup, teardown),
      cmocka_unit_test_setup_teardown(test_edges, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
