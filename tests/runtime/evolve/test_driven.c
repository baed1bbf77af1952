/* test_driven.c: time-dependent evolution against reference values (made with DOP853 at 1e-13
 * and NumPy), observed orders, split steps against Magnus, every instruction set alike. */
#include "tests/runtime/fixture.h"
#include <complex.h>
#include <math.h>
#include <string.h>

#include "runtime/evolve/driven.h"
#include "runtime/tensor/kernels_levels.h"

/* ---- H(t) = -(1 - t/T) sum X - sin^2(pi t/2T) (sum Z Z + 0.3 Z_0), four qubits, T = 2 ---- */

static const double final_state[16][2] = {
    {0.4571730229943683, 0.10668519201936756},      {-0.08554755280394909, -0.2227458418807724},
    {-0.13712161557431593, -0.0046262922112641075}, {-0.09759745336845245, -0.2913212788870032},
    {-0.12283281240370687, 0.0044284630721690595},  {0.03221101829761914, 0.009585370591843},
    {-0.16911351601570607, -0.03414172735687859},   {-0.0720861887244609, -0.24140597370881955},
    {0.062189062509234276, -0.26368134767754803},   {-0.1285307267249213, 0.06402230269696066},
    {0.018573653599727666, 0.037945082718931974},   {-0.09788997914750461, 0.06561943797860637},
    {0.07155794543617411, -0.31672953093135664},    {-0.08251258346276882, 0.06986406101722532},
    {0.08107246348075835, -0.27860145850660306},    {0.41561330641498845, -0.127451090268315}};

typedef struct {
  int n;
  Operator op[2];
  Applied *part[2];
  DrivenSum sum;
  Split split;
  double *level[2], *field[2];
} Model;

static void coefs(void *user, double t, double *c) {
  double x = sin(acos(-1) * t / 4);
  c[0] = -(1 - t / 2);
  c[1] = -x * x;
}

static void sweep_coefs(void *user, double t, double *c) { /* v t / 2, Delta / 2 */
  const double *p = user;
  c[0] = p[0] * t / 2;
  c[1] = p[1] / 2;
}

static void finish(Model *m, void (*c)(void *, double, double *), void *user) {
  int64_t first;
  for (int j = 0; j < 2; j++) {
    bool fits;
    assert_int_equal(operator_register(rt, &m->op[j], m->n, &first), RT_OK);
    assert_int_equal(split_operator(rt, &m->op[j], &fits, &m->level[j], &m->field[j]), RT_OK);
    assert_true(fits);
    assert_int_equal(applied_make(rt, &m->op[j], true, &m->part[j]), RT_OK);
  }
  m->sum = (DrivenSum){.n = 2, .part = m->part, .coefs = c, .user = user};
  assert_int_equal(driven_sum_make(rt, &m->sum), RT_OK);
  m->split = (Split){.n = 2,
                     .bits = m->n,
                     .level = {m->level[0], m->level[1]},
                     .field = {m->field[0], m->field[1]},
                     .coefs = c,
                     .user = user};
}

static void add(Operator *a, double c, int k, const OpWord *w) {
  assert_int_equal(operator_add(rt, a, (c128){c, 0}, k, w), RT_OK);
}

static void chain(Model *m, int n, bool xx) {
  int64_t first;
  *m = (Model){.n = n};
  for (int j = 0; j < 2; j++) {
    operator_init(&m->op[j]);
    assert_int_equal(operator_register(rt, &m->op[j], n, &first), RT_OK);
  }
  for (int i = 0; i < n; i++) add(&m->op[0], 1, 1, &(OpWord){OP_X, i});
  for (int i = 0; i + 1 < n; i++) add(&m->op[1], 1, 2, (OpWord[]){{OP_Z, i}, {OP_Z, i + 1}});
  add(&m->op[1], 0.3, 1, &(OpWord){OP_Z, 0});
  if (xx) add(&m->op[1], 0.3, 1, &(OpWord){OP_X, n - 1}); /* a part with both kinds of terms */
  finish(m, coefs, NULL);
}

static void model_free(Model *m) {
  driven_sum_free(rt, &m->sum);
  for (int j = 0; j < 2; j++) {
    applied_free(rt, m->part[j]);
    operator_free(rt, &m->op[j]);
    if (m->level[j]) rt_free(rt, m->level[j], sizeof(double) << m->n);
    if (m->field[j]) rt_free(rt, m->field[j], sizeof(double) * (size_t)m->n);
  }
}

static Driven driven(Model *m, DriveMethod method, int64_t steps, double tol) {
  return (Driven){.combine = driven_sum_combine,
                  .apply = driven_sum_apply,
                  .user = &m->sum,
                  .split = &m->split,
                  .method = method,
                  .steps = steps,
                  .tol = tol};
}

static void plus(int n, State *s) {
  VarTable v;
  assert_int_equal(state_register(rt, n, &v), RT_OK);
  assert_int_equal(state_plus(rt, &v, s), RT_OK);
  vars_free(rt, &v);
}

static double error_of(const State *s) {
  double e = 0;
  for (int i = 0; i < 16; i++)
    e += pow(s->amp[i].re - final_state[i][0], 2) + pow(s->amp[i].im - final_state[i][1], 2);
  return sqrt(e);
}

static double run(Model *m, DriveMethod method, int64_t steps, double tol) {
  State s;
  plus(4, &s);
  Driven d = driven(m, method, steps, tol);
  assert_int_equal(driven_evolve(rt, &d, 0, 2, &s, NULL), RT_OK);
  double e = error_of(&s);
  state_free(rt, &s);
  return e;
}

/* The errors of the reference's own midpoint and CFM4:2 steps come out, digit by digit. */
static void test_orders(void **state) {
  static const double midpoint[] = {0.05708728340616475, 0.014203743270542083, 0,
                                    0.0008866134527349647, 0.00022163981919496272},
                      cfm4[] = {0.00081925979421857, 4.490486541890929e-05, 0,
                                1.6862223747157537e-07, 1.0518468311794963e-08};
  Model m;
  (void)state;
  chain(&m, 4, false);
  double last[3] = {0};
  for (int k = 0; k < 5; k++) {
    int steps = 4 << k;
    double e[3] = {run(&m, DRIVE_MIDPOINT, steps, 0), run(&m, DRIVE_MAGNUS, steps, 0),
                   run(&m, DRIVE_SPLIT, steps, 0)};
    if (k != 2) {
      assert_true(fabs(e[0] - midpoint[k]) < 1e-9 * midpoint[k] + 1e-12);
      assert_true(fabs(e[1] - cfm4[k]) < 1e-6 * cfm4[k] + 1e-12);
    }
    if (k == 4) {
      assert_true(fabs(log2(last[0] / e[0]) - 2) < 1e-3);
      assert_true(fabs(log2(last[1] / e[1]) - 4) < 5e-3);
      assert_true(fabs(log2(last[2] / e[2]) - 4) < 0.05);
    }
    memcpy(last, e, sizeof e);
  }
  model_free(&m);
}

static void test_control(void **state) {
  Model m;
  (void)state;
  chain(&m, 4, false);
  for (int k = 1; k < 4; k++)
    for (double tol = 1e-4; tol > 1e-12; tol /= 100) {
      if (k == DRIVE_MIDPOINT && tol < 1e-7) continue;
      double e = run(&m, (DriveMethod)k, 0, tol);
      assert_true(e < tol + 1e-12);
    }
  State s;
  plus(4, &s);
  Driven d = driven(&m, DRIVE_AUTO, 0, 1e-10);
  DriveReport r;
  assert_int_equal(driven_evolve(rt, &d, 0, 2, &s, &r), RT_OK);
  assert_int_equal(r.method, DRIVE_SPLIT);
  assert_true(r.error < 1e-10 && r.steps > 10);
  assert_true(fabs(state_norm2(&s) - 1) < 1e-13);
  d.split = NULL;
  d.method = DRIVE_SPLIT;
  assert_int_equal(driven_evolve(rt, &d, 0, 2, &s, &r), RT_ERROR);
  state_free(rt, &s);
  model_free(&m);
}

/* Split against Magnus, where both planes of blocks and the qubits beyond take part. */
static void test_split(void **state) {
  (void)state;
  for (int n = 1; n < 14; n += n < 4 ? 1 : 3) {
    Model m;
    State a, b;
    chain(&m, n, true);
    plus(n, &a);
    plus(n, &b);
    for (int64_t i = 0; i < a.size; i++)
      a.amp[i] = b.amp[i] = (c128){sin(3.0 * (double)i), cos(1.7 * (double)i)};
    state_scale(&a, (c128){1 / sqrt(state_norm2(&a)), 0});
    state_scale(&b, (c128){1 / sqrt(state_norm2(&b)), 0});
    Driven d = driven(&m, DRIVE_SPLIT, 0, 1e-11), e = driven(&m, DRIVE_MAGNUS, 0, 1e-11);
    assert_int_equal(driven_evolve(rt, &d, 0.3, 1.4, &a, NULL), RT_OK);
    assert_int_equal(driven_evolve(rt, &e, 0.3, 1.4, &b, NULL), RT_OK);
    for (int64_t i = 0; i < a.size; i++) {
      assert_true(fabs(a.amp[i].re - b.amp[i].re) < 2e-11);
      assert_true(fabs(a.amp[i].im - b.amp[i].im) < 2e-11);
    }
    state_free(rt, &a);
    state_free(rt, &b);
    model_free(&m);
  }
}

/* Long steps: angles beyond pi/4, pi/2 and pi, a phase beyond the vector sine's range. */
static void far_coefs(void *user, double t, double *c) {
  c[0] = ((const double *)user)[0];
  c[1] = ((const double *)user)[1];
}
static void test_far(void **state) {
  (void)state;
  for (int k = 0; k < 40; k++) {
    double c[2] = {0.37 * k - 5, k % 3 ? 0 : 3e6};
    Model m;
    State s;
    chain(&m, 4, false);
    m.split.coefs = far_coefs;
    m.split.user = c;
    plus(4, &s);
    if (!(k % 3)) c[0] = 0;
    for (int64_t i = 0; i < 16; i++) s.amp[i].re = i ? 0 : 1;
    Driven d = driven(&m, DRIVE_SPLIT, 1, 0);
    assert_int_equal(driven_evolve(rt, &d, 0, 1, &s, NULL), RT_OK);
    double complex want = pow(cos(c[0]), 4) * cexp(-I * fmod(3.3 * c[1], 2 * acos(-1)));
    assert_true(cabs(s.amp[0].re + I * s.amp[0].im - want) < (k % 3 ? 1e-13 : 1e-8));
    state_free(rt, &s);
    model_free(&m);
  }
}

static void test_landau_zener(void **state) {
  static const double row[4][3] = {{1, 0.5, 0.6636505287237274},
                                   {1, 1, 0.20958767771968811},
                                   {2, 1, 0.4676497917599648},
                                   {0.5, 1, 0.031347216550881137}};
  (void)state;
  for (int k = 0; k < 4; k++)
    for (int method = DRIVE_MAGNUS; method <= DRIVE_SPLIT; method++) {
      Model m = {.n = 1};
      State s;
      int64_t first;
      double p[2] = {row[k][0], row[k][1]};
      for (int j = 0; j < 2; j++) {
        operator_init(&m.op[j]);
        assert_int_equal(operator_register(rt, &m.op[j], 1, &first), RT_OK);
        add(&m.op[j], 1, 1, &(OpWord){j ? OP_X : OP_Z, 0});
      }
      finish(&m, sweep_coefs, p);
      plus(1, &s);
      s.amp[0] = (c128){1, 0};
      s.amp[1] = (c128){0, 0};
      Driven d = driven(&m, (DriveMethod)method, 0, 1e-12);
      assert_int_equal(driven_evolve(rt, &d, -40, 40, &s, NULL), RT_OK);
      double stay = s.amp[0].re * s.amp[0].re + s.amp[0].im * s.amp[0].im;
      assert_true(fabs(stay - row[k][2]) < 1e-10);
      state_free(rt, &s);
      model_free(&m);
    }
}

static void test_tables(void **state) {
  enum { N = 1024 };
  static double e[N] __attribute__((aligned(64))), re[3][4 * N] __attribute__((aligned(64))),
      im[3][4 * N] __attribute__((aligned(64)));
  const SplitTable *all[3] = {&split_base, &split_base, &split_base};
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v3")) all[1] = &split_v3;
  if (__builtin_cpu_supports("x86-64-v4")) all[2] = &split_v4;
#endif
  (void)state;
  double t[10];
  for (int q = 0; q < 10; q++) t[q] = 0.1 * q - 0.4;
  for (int l = 0; l < 3; l++) {
    for (int i = 0; i < 4 * N; i++) {
      e[i % N] = 5 * sin(7 * (i % N));
      re[l][i] = sin(i);
      im[l][i] = cos(3 * i);
    }
    all[l]->phase(N, 2.3, 1.1, e, re[l], im[l]);
    double far_off = 0;
    for (int i = 0; i < N; i++) {
      double complex want = 1.1 * cexp(-I * 2.3 * e[i]) * (sin(i) + I * cos(3 * i));
      far_off = fmax(far_off, cabs(want - re[l][i] - I * im[l][i]));
    }
    assert_true(far_off < 1e-14);
    all[l]->phase_far(N, 1e9, 0.9, e, re[l], im[l]);
    double x = re[l][5], y = im[l][5];
    all[l]->phase_small(N, 0.15, 1.1, e, re[l], im[l]);
    double complex turned = 1.1 * cexp(-I * 0.15 * e[5]) * (x + I * y);
    assert_true(cabs(turned - re[l][5] - I * im[l][5]) < 1e-14);
    for (int k = 3; k <= 10; k++) all[l]->low(k, t, re[l], im[l]);
    double *r[4], *m[4];
    for (int k = 0; k < 4; k++) {
      r[k] = re[l] + k * N;
      m[k] = im[l] + k * N;
    }
    all[l]->four(N, 0.2, -0.7, r, m);
    all[l]->two(N, 0.9, r, m);
    assert_memory_equal(re[l], re[0], sizeof re[0]);
    assert_memory_equal(im[l], im[0], sizeof im[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_orders, setup, teardown),
      cmocka_unit_test_setup_teardown(test_control, setup, teardown),
      cmocka_unit_test_setup_teardown(test_split, setup, teardown),
      cmocka_unit_test_setup_teardown(test_far, setup, teardown),
      cmocka_unit_test_setup_teardown(test_landau_zener, setup, teardown),
      cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
