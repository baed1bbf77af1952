/* test_select.c: hard attention's problems against enumeration: the golden problem of four
 * tokens, selection of the k largest scores, the bound on the penalty, the solvers, qualities. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/select/select.h"
#include "tests/runtime/fixture.h"

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static Tensor *normal(int seed, int rank, const int64_t *shape) {
  Tensor *t = tensor_randn(rt, rng_seeded(seed), DT_F64, rank, shape);
  assert_non_null(t);
  return t;
}

typedef struct { SelectRule r; Tensor *s, *rho; SelectProblem p; int8_t *mask; } Case;

/* Scores normal, redundancies |normal|. */
static Case make(int64_t rows, int64_t n, int64_t k, double lambda, int seed) {
  Case c = {0};
  select_rule_init(&c.r);
  c.r.k = k;
  c.r.lambda = lambda;
  c.r.rng = rng_seeded(seed + 1000);
  if (k < 0) c.r.solver = SELECT_ANNEAL;
  c.s = normal(seed, 2, (int64_t[]){rows, n});
  c.rho = normal(seed + 1, 3, (int64_t[]){rows, n, n});
  for (int64_t i = 0; i < c.rho->size; i++)
    tensor_set_f64(c.rho, i, fabs(tensor_get_f64(c.rho, i)));
  ok(select_problem(rt, c.s, c.rho, &c.r, &c.p));
  c.mask = calloc((size_t)(rows * n), 1);
  return c;
}

static void done(Case *c) {
  select_problem_free(rt, &c->p);
  tensor_unref(rt, c->s);
  tensor_unref(rt, c->rho);
  free(c->mask);
}

static void solve(Case *c, SelectSolver solver, int64_t reads) {
  c->r.solver = solver;
  c->r.reads = reads;
  ok(select_solve(rt, &c->p, &c->r, c->mask));
}

/* E as it is written, by the tensors. */
static double energy(const Case *c, double penalty, int64_t row, const int8_t *m) {
  const int64_t n = c->p.n;
  double e = 0, count = -(double)c->r.k;
  for (int64_t i = 0; i < n; i++) {
    e -= tensor_get_f64(c->s, row * n + i) * m[i];
    for (int64_t j = i + 1; j < n; j++)
      e += c->r.lambda * m[i] * m[j] / 2 * (tensor_get_f64(c->rho, (row * n + i) * n + j) +
                                            tensor_get_f64(c->rho, (row * n + j) * n + i));
    count += m[i];
  }
  return e + penalty * count * count;
}

static void bits(int64_t a, int64_t n, int8_t *m) {
  for (int64_t i = 0; i < n; i++) m[i] = a >> i & 1;
}

/* The least energy of all masks and how many are selected there. */
static double lowest(const Case *c, double penalty, int64_t row, int64_t *count) {
  double best = INFINITY;
  int8_t m[16];
  for (int64_t a = 0; a < (int64_t)1 << c->p.n; a++) {
    bits(a, c->p.n, m);
    const double e = energy(c, penalty, row, m);
    if (e < best) best = e, *count = __builtin_popcountll((unsigned long long)a);
  }
  return best;
}

static void test_golden(void **state) {
  static const double s[] = {0.9, -0.2, 0.5, 0.1}, diagonal[] = {-3.9, -2.8, -3.5, -3.1};
  static const int8_t want[] = {1, 0, 1, 0};
  int64_t four = 4;
  SelectRule r;
  SelectProblem p;
  Batch b;
  int8_t m[4], spin[4];
  select_rule_init(&r);
  r.k = 2;
  r.penalty = 1;
  r.rng = rng_seeded(1);
  Tensor *t = tensor_new(rt, DT_F64, 1, &four);
  for (int i = 0; i < 4; i++) tensor_set_f64(t, i, s[i]);
  ok(select_problem(rt, t, NULL, &r, &p));
  for (int q = SELECT_SWAP; q <= SELECT_TOP; q++) {
    r.solver = (SelectSolver)q;
    r.reads = 8;
    ok(select_solve(rt, &p, &r, m));
    assert_memory_equal(m, want, 4);
    assert_true(fabs(select_energy(&p, 0, m) + 1.4) < 1e-12);
  }
  ok(select_batch(rt, &p, &b));
  for (int i = 0; i < 4; i++)                /* h_i = Q_ii / 2 + (N - 1) 2 P / 4 */
    assert_true(fabs(b.h[i] - (diagonal[i] / 2 + 1.5)) < 1e-12);
  for (int k = 0; k < 6; k++) assert_true(fabs(b.J[k] - 0.5) < 1e-12);
  for (int a = 0; a < 16; a++) {
    bits(a, 4, m);
    for (int i = 0; i < 4; i++) spin[i] = (int8_t)(2 * m[i] - 1);
    assert_true(fabs(batch_energy(&b, 0, spin) - select_energy(&p, 0, m)) < 1e-12);
  }
  batch_free(rt, &b);
  select_problem_free(rt, &p);
  tensor_unref(rt, t);
}

/* The minimum is the mask of the k largest scores when P > max|s|, often not below. */
static void test_top(void **state) {
  static const double share[] = {1.01, 0.25};
  for (int q = 0; q < 2; q++) {
    int64_t wrong = 0;
    Case c = make(300, 10, 4, 0, 7);
    for (int64_t row = 0; row < 300; row++) {
      double most = 0;
      for (int i = 0; i < 10; i++) most = fmax(most, fabs(c.p.score[row * 10 + i]));
      c.p.penalty[row] = share[q] * most;
    }
    solve(&c, SELECT_TOP, 1);
    for (int64_t row = 0; row < 300; row++) {
      int64_t count;
      const double e = lowest(&c, c.p.penalty[row], row, &count);
      wrong += fabs(energy(&c, c.p.penalty[row], row, c.mask + row * 10) - e) > 1e-12;
    }
    if (q == 0) assert_int_equal(wrong, 0);
    else assert_true(wrong > 60);
    done(&c);
  }
}

/* The penalty that is chosen keeps k tokens at the minimum of all masks. */
static void test_penalty(void **state) {
  for (int k = 0; k <= 9; k += 3) {
    Case c = make(60, 9, k, 0.8, 20 + k);
    for (int64_t row = 0; row < 60; row++) {
      int64_t count;
      lowest(&c, c.p.penalty[row], row, &count);
      assert_int_equal(count, k);
    }
    done(&c);
  }
}

static int64_t hits(Case *c, const double *least) {
  int64_t found = 0;
  for (int64_t row = 0; row < c->p.rows; row++)
    found += energy(c, c->p.penalty[row], row, c->mask + row * c->p.n) < least[row] + 1e-9;
  return found;
}

static void test_solvers(void **state) {
  double least[200];
  Case c = make(200, 12, 4, 0.6, 40);
  for (int64_t row = 0; row < 200; row++) {
    int64_t count;
    least[row] = lowest(&c, c.p.penalty[row], row, &count);
  }
  solve(&c, SELECT_EXACT, 1);
  assert_int_equal(hits(&c, least), 200);
  solve(&c, SELECT_SWAP, 4);
  assert_true(hits(&c, least) >= 198);
  solve(&c, SELECT_TOP, 1);
  assert_true(hits(&c, least) < 150);
  done(&c);
  c = make(200, 10, -1, 0.6, 50);            /* any number: no penalty            */
  for (int64_t row = 0; row < 200; row++) {
    int64_t count;
    least[row] = lowest(&c, 0, row, &count);
  }
  solve(&c, SELECT_ANNEAL, 4);
  int64_t found = 0;
  for (int64_t row = 0; row < 200; row++)
    found += select_energy(&c.p, row, c.mask + row * 10) < least[row] + 1e-9;
  assert_true(found >= 198);
  done(&c);
}

static void test_quality(void **state) {
  Case c = make(40, 9, 3, 0.5, 60);
  double e[40], flip[40], swap[40];
  solve(&c, SELECT_TOP, 1);
  c.mask[5] = !c.mask[5];                    /* one row off the number of tokens  */
  select_quality(&c.p, c.mask, e, flip, swap);
  for (int64_t row = 0; row < 40; row++) {
    int8_t *m = c.mask + row * 9;
    const double P = c.p.penalty[row], here = energy(&c, P, row, m);
    double by_flip = INFINITY, by_swap = INFINITY;
    for (int i = 0; i < 9; i++) {
      m[i] = !m[i];
      by_flip = fmin(by_flip, energy(&c, P, row, m) - here);
      for (int j = 0; j < i; j++) {
        if (m[i] == m[j]) {                  /* i has changed: they differed      */
          m[j] = !m[j];
          by_swap = fmin(by_swap, energy(&c, P, row, m) - here);
          m[j] = !m[j];
        }
      }
      m[i] = !m[i];
    }
    assert_true(fabs(e[row] - here) < 1e-10);
    assert_true(fabs(flip[row] - by_flip) < 1e-9);
    assert_true(fabs(swap[row] - by_swap) < 1e-9);
  }
  done(&c);
}

/* A row depends on its own coefficients and number, not on threads. */
static void test_repeats(void **state) {
  Case c = make(600, 20, 6, 0.7, 70);
  int8_t *first = malloc(600 * 20);
  solve(&c, SELECT_SWAP, 2);
  memcpy(first, c.mask, 600 * 20);
  rt->threads = 3;
  solve(&c, SELECT_SWAP, 2);
  rt->threads = 1;
  assert_memory_equal(first, c.mask, 600 * 20);
  c.p.rows = 10;
  memset(c.mask, 0, 600 * 20);
  solve(&c, SELECT_SWAP, 2);
  assert_memory_equal(first, c.mask, 10 * 20);
  c.p.rows = 600;
  free(first);
  done(&c);
}

static void test_refused(void **state) {
  SelectRule r;
  SelectProblem p;
  Tensor *s = normal(1, 2, (int64_t[]){2, 5}), *rho = normal(1, 3, (int64_t[]){2, 5, 4});
  select_rule_init(&r);
  r.k = 6;
  r.solver = SELECT_TOP;
  assert_int_not_equal(select_problem(rt, s, NULL, &r, &p), RT_OK);
  r.k = 2;
  assert_int_not_equal(select_problem(rt, s, rho, &r, &p), RT_OK);
  tensor_set_f64(s, 7, NAN);
  assert_int_not_equal(select_problem(rt, s, NULL, &r, &p), RT_OK);
  assert_non_null(strstr(rt->error.message, "row 1"));
  r.k = -1;
  assert_int_not_equal(select_problem(rt, s, NULL, &r, &p), RT_OK);
  tensor_unref(rt, s);
  tensor_unref(rt, rho);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_golden), cmocka_unit_test(test_top), cmocka_unit_test(test_penalty),
    cmocka_unit_test(test_solvers), cmocka_unit_test(test_quality),
    cmocka_unit_test(test_repeats), cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
