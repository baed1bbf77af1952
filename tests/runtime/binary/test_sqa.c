/* test_sqa.c: path-integral annealing against dense matrices of 8 spins: the
 * P-slice ensemble that it samples, exactly, and the quantum ensemble that this
 * tends to.                                                                   */
#include <math.h>
#include <string.h>

#include "runtime/binary/schedule.h"
#include "runtime/binary/sqa.h"
#include "tests/runtime/fixture.h"

enum { SPINS = 8, STATES = 256, OBSERVED = 4 };

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static Ising model(bool whole, int seed) {
  RngCall rng = rng_seeded(seed);
  double h[SPINS], c[SPINS * SPINS];
  int32_t uv[2 * SPINS * SPINS];
  int64_t m = 0;
  uint64_t e = 0;
  for (int i = 0; i < SPINS; i++) {
    h[i] = 0.5 * rng_normal(rng, e++);
    if (whole) h[i] = rint(h[i]);
    for (int j = 0; j < i; j++) {
      double x = rng_normal(rng, e++);
      if (rng_uniform(rng, e++) > 0.45) continue;
      uv[2 * m] = i;
      uv[2 * m + 1] = j;
      c[m++] = whole ? (x < 0 ? -1 : 1) : x;
    }
  }
  Ising p;
  ok(ising_make(rt, &p, SPINS, h, m, uv, c, 0));
  return p;
}

static void spins_of(int a, int8_t *s) {
  for (int i = 0; i < SPINS; i++) s[i] = (int8_t)(a >> i & 1 ? 1 : -1);
}

typedef double Matrix[STATES][STATES];

static void multiply(Matrix a, Matrix b, Matrix out) {
  for (int i = 0; i < STATES; i++) {
    for (int j = 0; j < STATES; j++) out[i][j] = 0;
    for (int k = 0; k < STATES; k++)
      for (int j = 0; j < STATES; j++) out[i][j] += a[i][k] * b[k][j];
  }
}

/* exp(x sum X): a product of 2 x 2 matrices. */
static void field_step(double x, Matrix out) {
  for (int a = 0; a < STATES; a++)
    for (int b = 0; b < STATES; b++) {
      int k = __builtin_popcount((unsigned)(a ^ b));
      out[a][b] = pow(cosh(x), SPINS - k) * pow(sinh(x), k);
    }
}

/* Diagonal energy per spin, Z_0 Z_1, Z_2, X per spin in the ensemble of 2^doublings
 * slices.                                                                       */
static void expected(const Ising *p, double beta, double A, double B, int doublings, double o[OBSERVED]) {
  static Matrix m, square;
  double slices = ldexp(1, doublings), diagonal[STATES], z = 0;
  int8_t s[SPINS];
  field_step(beta * A / slices, m);
  for (int a = 0; a < STATES; a++) {
    spins_of(a, s);
    diagonal[a] = ising_energy(p, s);
    for (int b = 0; b < STATES; b++) m[a][b] *= exp(-beta * B * diagonal[a] / slices);
  }
  for (int k = 0; k < doublings; k++) {
    double largest = 0;
    multiply(m, m, square);
    for (int a = 0; a < STATES; a++)
      for (int b = 0; b < STATES; b++) largest = fmax(largest, square[a][b]);
    for (int a = 0; a < STATES; a++)
      for (int b = 0; b < STATES; b++) m[a][b] = square[a][b] / largest;
  }
  memset(o, 0, OBSERVED * sizeof *o);
  for (int a = 0; a < STATES; a++) {
    spins_of(a, s);
    z += m[a][a];
    o[0] += m[a][a] * diagonal[a] / SPINS;
    o[1] += m[a][a] * s[0] * s[1];
    o[2] += m[a][a] * s[2];
    for (int i = 0; i < SPINS; i++) o[3] += m[a][a ^ 1 << i] / SPINS;
  }
  for (int k = 0; k < OBSERVED; k++) o[k] /= z;
}

/* Means over reads, and their standard errors from the scatter of reads. */
static void sampled(const Ising *p, double beta, double A, double B, int slices, double o[OBSERVED],
                    double error[OBSERVED]) {
  enum { RUNS = 300, HEAT = 300, SWEEPS = 200 };
  LaneModel m;
  Worldlines w;
  ok(lane_model_make(rt, &m, p, LANE_FAITHFUL));
  ok(worldlines_make(rt, &w, &m, slices));
  double sum[OBSERVED] = {0}, square[OBSERVED] = {0};
  for (int r = 0; r < RUNS; r++) {
    double mine[OBSERVED] = {0};
    worldlines_start(&w, rng_seeded(77), r, NULL);
    for (int k = 0; k < HEAT + SWEEPS; k++) {
      worldlines_sweep(&w, beta * A, beta * B);
      if (k < HEAT) continue;
      int8_t s[SPINS];
      worldlines_slice(&w, (k * 7) % slices, s);
      mine[0] += ising_energy(p, s) / SPINS / SWEEPS;
      mine[1] += (double)s[0] * s[1] / SWEEPS;
      mine[2] += (double)s[2] / SWEEPS;
      mine[3] += worldlines_x(&w, beta * A) / SWEEPS;
    }
    for (int k = 0; k < OBSERVED; k++) {
      sum[k] += mine[k] / RUNS;
      square[k] += mine[k] * mine[k] / RUNS;
    }
  }
  for (int k = 0; k < OBSERVED; k++) {
    o[k] = sum[k];
    error[k] = sqrt(fmax(0, square[k] - sum[k] * sum[k]) / RUNS);
  }
  worldlines_free(rt, &w);
  lane_model_free(rt, &m);
}

static void test_diagonalisation(void **state) {
  static const double points[][2] = {{2, 0.4}, {1, 1}, {0.6, 1.2}};
  for (int k = 0; k < 3; k++) {
    Ising p = model(k == 1, 5 + k);
    double A = points[k][0], B = points[k][1], beta = 1.5;
    double mine[OBSERVED], error[OBSERVED], sliced[OBSERVED], quantum[OBSERVED];
    sampled(&p, beta, A, B, 64, mine, error);
    expected(&p, beta, A, B, 6, sliced);
    expected(&p, beta, A, B, 13, quantum);
    for (int o = 0; o < OBSERVED; o++) {
      if (fabs(mine[o] - sliced[o]) > 5 * error[o] + 1e-4)
        fail_msg("point %d, observable %d: %.5f +- %.5f, expected %.5f", k, o, mine[o], error[o], sliced[o]);
      assert_true(error[o] < (o == 1 || o == 2 ? 0.06 : 0.01));
      /* second order in beta A / slices */
      assert_true(fabs(sliced[o] - quantum[o]) < 3 * pow(beta * fmax(A, B) / 64, 2));
    }
    ising_free(rt, &p);
  }
}

/* Few slices in part of a word, and several words, against their own ensembles. */
static void test_slices(void **state) {
  static const int doublings[] = {2, 4, 7, 8};
  Ising p = model(true, 3);
  for (int k = 0; k < 4; k++) {
    double mine[OBSERVED], error[OBSERVED], want[OBSERVED];
    sampled(&p, 2, 0.7, 1, 1 << doublings[k], mine, error);
    expected(&p, 2, 0.7, 1, doublings[k], want);
    for (int o = 0; o < OBSERVED; o++)
      if (fabs(mine[o] - want[o]) > 5 * error[o] + 1e-4)
        fail_msg("%d slices, observable %d: %.5f +- %.5f, expected %.5f", 1 << doublings[k], o, mine[o],
                 error[o], want[o]);
  }
  ising_free(rt, &p);
}

static void test_anneal(void **state) {
  for (int k = 0; k < 4; k++) {
    Ising p = model(k & 1, 20 + k);
    double best = INFINITY;
    int8_t s[SPINS];
    for (int a = 0; a < STATES; a++) {
      spins_of(a, s);
      best = fmin(best, ising_energy(&p, s));
    }
    SamplerArgs a;
    sampler_args_init(&a);
    a.rng = rng_seeded(k);
    a.reads = 12;
    a.sweeps = 200;
    Samples one, two;
    ok(sample_sqa(rt, &p, &a, &one));
    a.threads = 2;
    ok(sample_sqa(rt, &p, &a, &two));
    assert_int_equal(one.rows, 12);
    assert_memory_equal(one.spin, two.spin, 12 * SPINS);
    for (int r = 0; r < 12; r++) assert_true(one.energy[r] == ising_energy(&p, one.spin + r * SPINS));
    assert_true(fabs(one.energy[samples_best(&one)] - best) < 1e-9);
    assert_true(one.updates == 12 * 200 * SPINS);
    samples_free(rt, &one);
    samples_free(rt, &two);
    ising_free(rt, &p);
  }
}

/* A schedule that stays at one point ends in measurements of that ensemble. */
static void test_schedule(void **state) {
  Ising p = model(true, 9);
  double s[] = {0, 1}, A[] = {1.2, 1.2}, B[] = {1, 1}, want[OBSERVED], z = 0, square = 0;
  expected(&p, 1.5, 1.2, 1, 6, want);
  SamplerArgs a;
  sampler_args_init(&a);
  a.rng = rng_seeded(4);
  a.reads = 4000;
  a.sweeps = 30;
  a.beta = 1.5;
  Schedule path = {.A = {2, s, A}, .B = {2, s, B}};
  a.schedule = &path;
  Samples out;
  ok(sample_sqa(rt, &p, &a, &out));
  for (int64_t r = 0; r < out.rows; r++) {
    z += out.energy[r] / SPINS / (double)out.rows;
    square += out.energy[r] * out.energy[r] / SPINS / SPINS / (double)out.rows;
  }
  assert_true(fabs(z - want[0]) < 5 * sqrt((square - z * z) / (double)out.rows));
  samples_free(rt, &out);
  A[0] = -1;
  assert_int_equal(sample_sqa(rt, &p, &a, &out), RT_ERROR);
  A[0] = 1;
  s[1] = 0;
  assert_int_equal(sample_sqa(rt, &p, &a, &out), RT_ERROR);
  s[1] = 1;
  a.slices = 1;
  assert_int_equal(sample_sqa(rt, &p, &a, &out), RT_ERROR);
  a.slices = 0;
  rt_interrupt(rt);
  assert_int_equal(sample_sqa(rt, &p, &a, &out), RT_INTERRUPTED);
  ising_free(rt, &p);
}

static void test_edges(void **state) {
  for (int64_t n = 0; n < 3; n++) {
    Ising p;
    double h[] = {1, -2, 0};
    ok(ising_make(rt, &p, n, h, 0, NULL, NULL, 1));
    SamplerArgs a;
    sampler_args_init(&a);
    a.rng = rng_seeded(1);
    a.sweeps = 20;
    a.reads = 2;
    Samples out;
    ok(sample_sqa(rt, &p, &a, &out));
    assert_true(out.rows == 2 && out.energy[0] == (n == 0 ? 1 : n == 1 ? 0 : -2));
    samples_free(rt, &out);
    ising_free(rt, &p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_diagonalisation, setup, teardown),
      cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
      cmocka_unit_test_setup_teardown(test_anneal, setup, teardown),
      cmocka_unit_test_setup_teardown(test_schedule, setup, teardown),
      cmocka_unit_test_setup_teardown(test_edges, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
