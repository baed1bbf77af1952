/* test_trajectories.c: the same bits on any number of threads, the moments of jumps, interrupts
 * and limits of quantum trajectories.                                             */
#include "tests/runtime/fixture.h"
#include <math.h>
#include <string.h>

#include "runtime/open/anneal.h"

enum { N = 3, TIMES = 3, SEEN = 2 };
static const double times_at[TIMES] = {0.2, 1.0, 3.0};

typedef struct {
  VarTable vars;
  Operator h;
  Lindblad l;
  Applied *seen[SEEN];
  State from;
} System;

static void open_system(System *s, double dephasing, double down) {
  *s = (System){0};
  assert_int_equal(state_register(rt, N, &s->vars), RT_OK);
  operator_init(&s->h);
  assert_int_equal(vars_copy(rt, &s->h.vars, &s->vars), RT_OK);
  for (int i = 0; i < N; i++) {
    assert_int_equal(operator_add(rt, &s->h, (c128){0.7, 0}, 1, &(OpWord){OP_X, i}), RT_OK);
    if (i + 1 < N)
      assert_int_equal(operator_add(rt, &s->h, (c128){-1, 0}, 2, (OpWord[]){{OP_Z, i}, {OP_Z, i + 1}}),
                       RT_OK);
  }
  s->l.h = &s->h;
  Bath b = {.dephasing = &dephasing, .down = &down};
  assert_int_equal(bath_jumps(rt, &s->vars, &b, &s->l.n, &s->l.jump), RT_OK);
  for (int k = 0; k < SEEN; k++) {
    Operator a;
    operator_init(&a);
    assert_int_equal(vars_copy(rt, &a.vars, &s->vars), RT_OK);
    assert_int_equal(operator_add(rt, &a, (c128){1, 0}, 1, &(OpWord){k ? OP_X : OP_Z, k}), RT_OK);
    assert_int_equal(applied_make(rt, &a, true, &s->seen[k]), RT_OK);
    operator_free(rt, &a);
  }
  assert_int_equal(state_basis(rt, &s->vars, 5, &s->from), RT_OK);
}

static void close_system(System *s) {
  for (int k = 0; k < SEEN; k++) applied_free(rt, s->seen[k]);
  jumps_free(rt, s->l.n, s->l.jump);
  operator_free(rt, &s->h);
  state_free(rt, &s->from);
  vars_free(rt, &s->vars);
}

typedef struct { double mean[TIMES * SEEN], error[TIMES * SEEN], jumps; } Means;

static RtStatus run(System *s, int64_t count, Means *m) {
  Constant c;
  TrajectoryAsk ask = {.from = &s->from, .times = TIMES, .t = times_at, .trajectories = count,
                       .rng = rng_seeded(4), .observables = SEEN, .observable = s->seen};
  RT_TRY(constant_open(rt, &s->vars, &s->l, 1e-9, &c));
  RtStatus st = trajectories(rt, &c.u, &ask, m->mean, m->error, &m->jumps);
  constant_close(rt, &c);
  return st;
}

static void test_threads(void **state) {
  (void)state;
  int threads = rt->threads;
  for (int damped = 0; damped < 2; damped++) {
    System s;
    Means one, more;
    open_system(&s, 0.3, damped ? 0.4 : 0);
    rt->threads = 1;
    assert_int_equal(run(&s, 150, &one), RT_OK);
    for (int t = 2; t <= 5; t += 3) {
      rt->threads = t;
      assert_int_equal(run(&s, 150, &more), RT_OK);
      assert_memory_equal(&one, &more, sizeof one);
    }
    assert_true(one.jumps > 0.5 && one.error[SEEN] > 1e-3);
    close_system(&s);
  }
  rt->threads = threads;
}

/* Where L'L is a number the moments of jumps are known: the search finds the same. */
static void test_moments(void **state) {
  System s;
  Constant c;
  Means known, searched;
  (void)state;
  open_system(&s, 0.6, 0);
  assert_int_equal(run(&s, 40, &known), RT_OK);
  Operator g;
  TrajectoryAsk ask = {.from = &s.from, .times = TIMES, .t = times_at, .trajectories = 40,
                       .rng = rng_seeded(4), .observables = SEEN, .observable = s.seen};
  assert_int_equal(constant_open(rt, &s.vars, &s.l, 1e-12, &c), RT_OK);
  assert_true(fabs(c.u.rate - 0.9) < 1e-14);
  applied_free(rt, c.g);
  operator_init(&g);
  assert_int_equal(operator_accumulate(rt, &g, (c128){0, -1}, &s.h), RT_OK);
  assert_int_equal(operator_add(rt, &g, (c128){-0.45, 0}, 0, NULL), RT_OK);
  assert_int_equal(operator_bound(rt, &g, &c.bound), RT_OK);
  assert_int_equal(applied_make(rt, &g, true, &c.g), RT_OK);
  operator_free(rt, &g);
  c.u.rate = NAN;
  assert_int_equal(trajectories(rt, &c.u, &ask, searched.mean, searched.error, &searched.jumps), RT_OK);
  constant_close(rt, &c);
  for (int k = 0; k < TIMES * SEEN; k++) assert_true(fabs(known.mean[k] - searched.mean[k]) < 1e-7);
  assert_true(known.jumps == searched.jumps);
  close_system(&s);
}

static void test_stops(void **state) {
  System s;
  Means m;
  (void)state;
  open_system(&s, 0.3, 0.4);
  rt_interrupt(rt);
  assert_int_equal(run(&s, 1000000, &m), RT_INTERRUPTED);
  rt->interrupted = 0;
  rt->error.status = RT_OK;
  rt->limit = rt->bytes + 1000;
  assert_int_equal(run(&s, 10, &m), RT_LIMIT);
  rt->limit = 0;
  for (size_t room = 0; room < 120000; room += 4000) { /* every allocation may fail */
    Density from, out[2];
    rt->limit = rt->bytes + room;
    run(&s, 3, &m);
    if (density_pure(rt, &s.from, &from) == RT_OK) {
      if (lindblad_times(rt, &s.l, 2, times_at, 1e-9, &from, out) == RT_OK)
        for (int k = 0; k < 2; k++) density_free(rt, &out[k]);
      density_free(rt, &from);
    }
    rt->limit = 0;
  }
  assert_int_equal(run(&s, 3, &m), RT_OK);
  close_system(&s);
}

/* Reads of an anneal with a bath: threads, the density matrix beside, memory. */
static void test_reads(void **state) {
  enum { READS = 400 };
  double h[3] = {0.3, -0.2, 0.1}, c[2] = {-1, 0.7}, mean[2] = {0, 0}, rate = 0.2;
  int32_t uv[4] = {0, 1, 1, 2};
  Ising p;
  VarTable vars;
  Operator *jump = NULL;
  Samples one, two;
  int n = 0, threads = rt->threads;
  QuenchArgs a = {.gamma = NAN, .time = 4, .tol = 1e-7, .rng = rng_seeded(2), .reads = READS};
  Bath b = {.down = &rate};
  (void)state;
  assert_int_equal(ising_make(rt, &p, 3, h, 2, uv, c, 0), RT_OK);
  assert_int_equal(state_register(rt, 3, &vars), RT_OK);
  assert_int_equal(bath_jumps(rt, &vars, &b, &n, &jump), RT_OK);
  rt->threads = 1;
  assert_int_equal(sample_quench_open(rt, &p, &a, n, jump, READS, &one), RT_OK);
  rt->threads = 3;
  assert_int_equal(sample_quench_open(rt, &p, &a, n, jump, READS, &two), RT_OK);
  assert_memory_equal(one.spin, two.spin, READS * 3);
  samples_free(rt, &two);
  assert_int_equal(sample_quench_open(rt, &p, &a, n, jump, 0, &two), RT_OK);
  for (int r = 0; r < READS; r++) {
    mean[0] += one.energy[r] / READS;
    mean[1] += two.energy[r] / READS;
    assert_true(fabs(one.energy[r] - ising_energy(&p, one.spin + 3 * r)) < 1e-12);
  }
  assert_true(fabs(mean[0] - mean[1]) < 4 * sqrt(2.0 / READS)); /* energies spread by 1 */
  samples_free(rt, &one);
  samples_free(rt, &two);
  for (size_t room = 0; room < 100000; room += 5000)
    for (int count = 0; count < 4; count += 3) {
      rt->limit = rt->bytes + room;
      a.time = 0.1;
      if (sample_quench_open(rt, &p, &a, n, jump, count, &one) == RT_OK) samples_free(rt, &one);
      rt->limit = 0;
    }
  rt->threads = threads;
  jumps_free(rt, n, jump);
  vars_free(rt, &vars);
  ising_free(rt, &p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
      cmocka_unit_test_setup_teardown(test_moments, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stops, setup, teardown),
      cmocka_unit_test_setup_teardown(test_reads, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
