/* test_problem.c: random problems with constraints of every kind against brute
 * force: every step from the polynomial to the reduced Ising model and back must
 * keep energies and minima exactly (coefficients are dyadic, so sums are exact). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/problem.h"
#include "runtime/binary/sampler.h"
#include "tests/runtime/fixture.h"

static uint64_t state;
static uint32_t rnd(uint32_t n) {
  uint32_t r[4];
  rng_bits(rng_seeded(5), state++, r);
  return r[0] % n;
}
static double coefficient(void) { return 0.25 * ((double)rnd(17) - 8); }

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static void assignment(const Problem *p, int64_t code, int8_t *x) {
  for (int64_t i = 0; i < p->vars.n; i++)
    x[i] = (int8_t)(vars_kind(&p->vars, i) == VAR_BINARY ? code >> i & 1 : 2 * (code >> i & 1) - 1);
}

static void random_poly(Poly *p, const VarTable *t, int terms, int degree, bool integer) {
  poly_init(p);
  for (int i = 0; i < terms; i++) {
    int32_t v[8];
    int k = 1 + (int)rnd((uint32_t)degree);
    for (int j = 0; j < k; j++) v[j] = (int32_t)rnd((uint32_t)t->n);
    ok(poly_add(rt, p, integer ? (double)rnd(7) - 3 : coefficient(), k, v));
  }
}

/* sum of some variables, all with the same coefficient */
static void random_count(Poly *p, const VarTable *t, int from, int to) {
  poly_init(p);
  for (int32_t v = from; v < to && v < t->n; v++)
    ok(poly_add(rt, p, vars_kind(t, v) == VAR_BINARY ? 1 : 0.5, 1, &v));
  for (int32_t v = from; v < to && v < t->n; v++)
    if (vars_kind(t, v) != VAR_BINARY) ok(poly_add(rt, p, 0.5, 0, NULL));
}

/* One of the kinds of constraint; its left side holds for the assignment x. */
static void random_constraint(Problem *p, int c, const int8_t *x, bool automatic) {
  Poly left;
  Relation rel = (Relation)rnd(3);
  const int n = (int)p->vars.n, kind = (int)rnd(7);
  int from = (int)rnd((uint32_t)n), to = from + 1 + (int)rnd(5);
  char name[16];
  snprintf(name, sizeof name, "c%d", c);
  if (kind == 0) random_poly(&left, &p->vars, 1 + (int)rnd(3), 1, true);
  else if (kind == 1) random_poly(&left, &p->vars, 1 + (int)rnd(3), 3, true);
  else if (kind == 2) {                               /* at most or exactly some */
    random_count(&left, &p->vars, from, to);
    if (rnd(2)) {                                     /* at most one of three and more */
      rel = REL_LE;
      poly_free(rt, &left);
      random_count(&left, &p->vars, 0, 3 + (int)rnd(3));
      left.constant -= 1;
      ok(problem_constrain(rt, p, name, &left, rel, automatic ? NAN : 2));
      return;
    }
  } else if (kind == 3) {                             /* products that must vanish */
    poly_init(&left);
    for (int i = 0; i < 2; i++)
      ok(poly_add(rt, &left, 1, 2,
                  (int32_t[]){(int32_t)rnd((uint32_t)n), (int32_t)rnd((uint32_t)n)}));
  } else if (kind == 4) random_poly(&left, &p->vars, 4, 1, true);
  else if (kind == 5) random_poly(&left, &p->vars, 3, 2, false);
  else {                                              /* x <= y, and the like */
    poly_init(&left);
    ok(poly_add(rt, &left, 1, 1, (int32_t[]){(int32_t)rnd((uint32_t)n)}));
    ok(poly_add(rt, &left, -1, 1, (int32_t[]){(int32_t)rnd((uint32_t)n)}));
  }
  ok(poly_merge(rt, &left, &p->vars));
  double value = poly_value(&left, x), room = rnd(3) ? 0 : 1;
  left.constant -= value + (rel == REL_LE ? room : rel == REL_GE ? -room : 0);
  /* inequalities whose constant is between two steps */
  if (rel == REL_LE && rnd(4) == 0) left.constant -= 0.125;
  ok(problem_constrain(rt, p, name, &left, rel, automatic ? NAN : 0.5 * (1 + rnd(6))));
}

static void random_problem(Problem *p, int n, int degree, int constraints, bool automatic) {
  int64_t first, binaries = (int64_t)rnd((uint32_t)n + 1), spins = n - binaries;
  problem_init(p);
  ok(vars_add(rt, &p->vars, "b", VAR_BINARY, 1, &binaries, &first));
  ok(vars_add(rt, &p->vars, "s", rnd(2) ? VAR_SPIN : VAR_QUBIT, 1, &spins, &first));
  random_poly(&p->objective, &p->vars, 1 + (int)rnd(3 * (uint32_t)n), degree, false);
  if (degree > 2 && spins > 4) {   /* a long product of spins */
    int32_t v[16];
    for (int i = 0; i < spins; i++) v[i] = (int32_t)(binaries + i);
    ok(poly_add(rt, &p->objective, coefficient(), 5, v));
  }
  ok(poly_merge(rt, &p->objective, &p->vars));
  int8_t x[16];
  assignment(p, rnd(1u << n), x);
  for (int c = 0; c < constraints; c++) random_constraint(p, c, x, automatic);
}

/* v and penalty as the header describes them, from the values of the left side alone. */
static double penalty_of(const Problem *p, const Reduced *r, int64_t c, const int8_t *x) {
  const Constraint *k = &p->constraint[c];
  const Penalty *q = &r->penalty[c];
  double left = poly_value(&k->left, x), v;
  if (fabs(left) < 1e-12) left = 0;   /* decimals */
  if (k->rel == REL_EQ) v = fabs(left);
  else {
    v = k->rel == REL_LE ? left : -left;
    if (q->form != PENALTY_NONE && v > 0) {
      v += q->shift;
      assert_true(q->shift >= 0 && q->shift < q->grain);
    } else if (q->form != PENALTY_NONE) {
      assert_true(v + q->shift <= 1e-12);    /* tightening excludes nothing */
      v = 0;
    } else v = fmax(v, 0);
  }
  assert_true((v > 0) == (problem_violation(p, c, x) > 0));
  switch (q->form) {
  case PENALTY_NONE: assert_true(v == 0); return 0;
  case PENALTY_LINEAR: return v;
  case PENALTY_PAIRS: return v * (v + q->grain) / 2;
  default: return v * v;
  }
}

/* min over the auxiliaries for the user's spins s */
static double least_over_auxiliaries(const Reduced *r, const int8_t *s) {
  int8_t *fixed = calloc((size_t)r->ising.n + 1, 1);
  memcpy(fixed, s, (size_t)r->n_user);
  Ising open;
  int32_t *keep;
  ok(ising_fix(rt, &r->ising, fixed, &open, &keep));
  double e = open.offset;
  if (open.n) {
    SamplerArgs a;
    sampler_args_init(&a);
    Samples got;
    ok(sample_exact(rt, &open, &a, &got));
    assert_true(got.proven);
    e = got.energy[0];
    samples_free(rt, &got);
  }
  rt_free(rt, keep, (size_t)r->ising.n * sizeof *keep);
  ising_free(rt, &open);
  free(fixed);
  return e;
}

static int forms[5], hows[5], checked;

/* Every assignment: the reduced model's minimum is objective + penalties. */
static void check_every(const Problem *p, const Reduced *r) {
  double least = INFINITY, least_feasible = INFINITY, least_model = INFINITY;
  bool automatic = true;
  for (int64_t c = 0; c < p->n_constraint; c++) automatic &= isnan(p->constraint[c].weight);
  for (int64_t code = 0; code < (int64_t)1 << p->vars.n; code++) {
    int8_t x[16], s[16], back[16];
    double e, want;
    bool feasible = true;
    assignment(p, code, x);
    for (int64_t i = 0; i < p->vars.n; i++) s[i] = code >> i & 1 ? 1 : -1;
    problem_values(p, s, back);
    assert_memory_equal(x, back, (size_t)p->vars.n);
    want = poly_value(&p->objective, x);
    if (want < least) least = want;
    for (int64_t c = 0; c < p->n_constraint; c++) {
      want += r->penalty[c].weight * penalty_of(p, r, c, x);
      feasible &= problem_violation(p, c, x) == 0;
    }
    assert_true(feasible == problem_feasible(p, x));
    if (feasible) least_feasible = fmin(least_feasible, poly_value(&p->objective, x));
    ok(problem_energy(rt, p, r, x, &e));
    assert_true(fabs(e - want) <= 1e-12 * (1 + fabs(want)));
    double got = least_over_auxiliaries(r, s);
    if (fabs(got - want) > 1e-11 * (1 + fabs(want))) fail_msg("%g instead of %g", got, want);
    least_model = fmin(least_model, got);
  }
  /* with computed weights the minimum is the constrained one */
  if (automatic && least_feasible < INFINITY)
    assert_true(fabs(least_model - least_feasible) <= 1e-11 * (1 + fabs(least_feasible)));
}

static void note(const Problem *p, const Reduced *r) {
  static const char *const how[] = {"slack", "rosenberg", "parity", "negative", "ishikawa"};
  for (int64_t c = 0; c < p->n_constraint; c++) forms[r->penalty[c].form]++;
  for (int64_t i = 0; i < r->ising.n - r->n_user; i++)
    for (int k = 0; k < 5; k++) hows[k] += !strcmp(r->aux[i].how, how[k]);
  checked++;
}

static void test_every_assignment(void **s) {
  for (int round = 0; checked < 1000; round++) {
    Problem p, q;
    Reduced r;
    int n = 2 + (int)rnd(6);
    random_problem(&p, n, 1 + (int)rnd(6), (int)rnd(4), round % 3 > 0);
    ok(problem_copy(rt, &q, &p));
    problem_free(rt, &p);
    RtStatus st = problem_reduce(rt, &q, &r);
    if (!st && r.ising.n - r.n_user <= 16) {
      note(&q, &r);
      check_every(&q, &r);
    }
    if (st) fail_msg("%s", rt->error.message);
    reduced_free(rt, &r);
    problem_free(rt, &q);
  }
  for (int i = 0; i < 5; i++)   /* the sample has met every form and every auxiliary */
    if (forms[i] < 20 || hows[i] < 20) fail_msg("%d: %d %d", i, forms[i], hows[i]);
}

/* More variables: only the minimum, over user's variables and auxiliaries at once,
 * through 0/1 form and back.                                                     */
static void test_minimum(void **s) {
  int done = 0;
  while (done < 120) {
    Problem p;
    Reduced r;
    int n = 8 + (int)rnd(9);
    random_problem(&p, n, 1 + (int)rnd(3), (int)rnd(3), true);
    ok(problem_reduce(rt, &p, &r));
    double least = INFINITY, *a, *b, offset;
    if (r.ising.n > 20) {
      reduced_free(rt, &r);
      problem_free(rt, &p);
      continue;
    }
    for (int64_t code = 0; code < (int64_t)1 << n; code++) {
      int8_t x[16];
      assignment(&p, code, x);
      if (problem_feasible(&p, x)) least = fmin(least, poly_value(&p.objective, x));
    }
    Ising q;
    ok(ising_to_qubo(rt, &r.ising, &a, &b, &offset));
    int64_t m = 0;
    int32_t *uv = malloc((size_t)r.ising.m * 8 + 8);
    double *c = malloc((size_t)r.ising.m * 8 + 8);
    for (int32_t i = 0; i < r.ising.n; i++)
      for (int64_t k = r.ising.start[i]; k < r.ising.start[i + 1]; k++)
        if (r.ising.other[k] > i) uv[2 * m] = i, uv[2 * m + 1] = r.ising.other[k], c[m++] = b[k];
    ok(ising_from_qubo(rt, &q, r.ising.n, a, m, uv, c, offset));
    SamplerArgs args;
    sampler_args_init(&args);
    Samples got;
    ok(sample_exact(rt, &q, &args, &got));
    int8_t x[16];
    double e;
    problem_values(&p, got.spin, x);
    ok(problem_energy(rt, &p, &r, x, &e));
    assert_true(fabs(got.energy[0] - least) <= 1e-10 * (1 + fabs(least)));
    assert_true(problem_feasible(&p, x) && fabs(e - least) <= 1e-10 * (1 + fabs(least)));
    samples_free(rt, &got);
    rt_free(rt, a, (size_t)r.ising.n * 8);
    rt_free(rt, b, (size_t)r.ising.m * 16);
    free(uv);
    free(c);
    ising_free(rt, &q);
    reduced_free(rt, &r);
    problem_free(rt, &p);
    done++;
  }
}

/* ---- forms and weights that are known by hand ------------------------------------- */

static void start(Problem *p, int64_t n) {
  int64_t first;
  problem_init(p);
  ok(vars_add(rt, &p->vars, "x", VAR_BINARY, 1, &n, &first));
}

static void sum_constraint(Problem *p, const char *name, int from, int step, int n, double minus,
                           Relation rel) {
  Poly left;
  poly_init(&left);
  for (int i = 0; i < n; i++) ok(poly_add(rt, &left, 1, 1, (int32_t[]){from + i * step}));
  left.constant = -minus;
  ok(problem_constrain(rt, p, name, &left, rel, NAN));
}

/* Rows and columns of an assignment problem: the weight is one flip's gain. */
static void test_assignment(void **s) {
  Problem p;
  Reduced r;
  start(&p, 9);
  for (int32_t i = 0; i < 9; i++) ok(poly_add(rt, &p.objective, (double)rnd(9) - 4, 1, &i));
  ok(poly_add(rt, &p.objective, -3, 2, (int32_t[]){0, 4}));
  ok(poly_merge(rt, &p.objective, &p.vars));
  for (int i = 0; i < 3; i++) {
    sum_constraint(&p, "row", 3 * i, 1, 3, 1, REL_EQ);
    sum_constraint(&p, "column", i, 3, 3, 1, REL_EQ);
  }
  ok(problem_reduce(rt, &p, &r));
  assert_int_equal(r.ising.n, 9);
  assert_true(strstr(r.penalty[0].why, "rows and columns") && r.penalty[0].weight <= 8);
  check_every(&p, &r);
  Buf b = {0};
  problem_explain(&p, &r, &b);
  assert_non_null(strstr(b.data, "rows and columns"));
  buf_free(&b);
  reduced_free(rt, &r);
  problem_free(rt, &p);
}

static void test_forms(void **s) {
  Problem p;
  Reduced r;
  start(&p, 6);
  sum_constraint(&p, "at most one", 0, 1, 6, 1, REL_LE);
  sum_constraint(&p, "always", 0, 1, 6, 6, REL_LE);
  sum_constraint(&p, "not all", 0, 1, 6, 5, REL_LE);
  sum_constraint(&p, "some", 0, 1, 6, 2, REL_GE);
  sum_constraint(&p, "one of two", 0, 1, 2, 1, REL_GE);
  sum_constraint(&p, "none", 0, 1, 3, 0, REL_LE);
  ok(problem_reduce(rt, &p, &r));
  const PenaltyForm want[] = {PENALTY_PAIRS, PENALTY_NONE, PENALTY_SQUARE, PENALTY_SQUARE,
                              PENALTY_TABLE, PENALTY_LINEAR};
  for (int i = 0; i < 6; i++) assert_int_equal(r.penalty[i].form, want[i]);
  double bits[2][4] = {{1, 2, 2, 0}, {1, 2, 1, 0}};   /* 0..5 and 0..4, exactly */
  assert_int_equal(r.ising.n, 6 + 3 + 3);
  for (int i = 0; i < 6; i++) assert_true(r.aux[i].value == bits[i / 3][i % 3]);
  reduced_free(rt, &r);
  problem_free(rt, &p);
}

/* Message of a problem that must be refused. */
static void refused(double a, double b, double constant, Relation rel, double weight,
                    const char *why) {
  Problem p;
  Reduced r;
  Poly left;
  start(&p, 4);
  poly_init(&left);
  for (int32_t i = 0; i < 4; i++) ok(poly_add(rt, &left, i % 2 ? a : b, 1, &i));
  left.constant = constant;
  RtStatus st = problem_constrain(rt, &p, "c", &left, rel, weight);
  if (!st) st = problem_reduce(rt, &p, &r);
  assert_int_equal(st, RT_ERROR);
  if (!strstr(rt->error.message, why)) fail_msg("got: %s", rt->error.message);
  problem_free(rt, &p);
}

static void test_refused(void **s) {
  refused(1, 1, 1, REL_EQ, NAN, "cannot hold");
  refused(1, 1, 1, REL_LE, NAN, "cannot hold");
  refused(1, 1, -5, REL_GE, NAN, "cannot hold");
  refused(2, 4, -3, REL_EQ, NAN, "steps of 2 that miss 0");
  refused(1, M_PI, -2, REL_LE, NAN, "no common step");
  refused(1, M_PI, -2, REL_EQ, NAN, "no sufficient penalty");
  refused(1, 1, -1, REL_EQ, -1, "expected a positive number");
}

/* Decimal coefficients have a common step although they are not exact. */
static void test_decimals(void **s) {
  Problem p;
  Reduced r;
  start(&p, 5);
  Poly left;
  poly_init(&left);
  for (int32_t i = 0; i < 5; i++) {
    ok(poly_add(rt, &left, 0.1 * (i + 1), 1, &i));
    ok(poly_add(rt, &p.objective, -0.3 * (i + 1), 1, &i));
  }
  left.constant = -0.7;
  ok(poly_merge(rt, &p.objective, &p.vars));
  ok(problem_constrain(rt, &p, "knapsack", &left, REL_LE, NAN));
  ok(problem_reduce(rt, &p, &r));
  assert_true(fabs(r.penalty[0].grain - 0.1) < 1e-12 && r.ising.n == 5 + 3);
  check_every(&p, &r);
  reduced_free(rt, &r);
  problem_free(rt, &p);
}

/* ---- persistency --------------------------------------------------------------------- */

static void check_persistent(const Ising *p, bool strong, int *n_fixed) {
  int8_t fixed[16], s[16];
  double bound, least = INFINITY, least_fixed = INFINITY;
  bool all = true;
  ok(ising_persistent(rt, p, strong, fixed, &bound));
  for (int i = 0; i < p->n; i++) *n_fixed += fixed[i] != 0;
  for (int round = 0; round < 2; round++)
    for (int x = 0; x < 1 << p->n; x++) {
      bool same = true;
      for (int i = 0; i < p->n; i++) {
        s[i] = x >> i & 1 ? 1 : -1;
        same &= !fixed[i] || fixed[i] == s[i];
      }
      double e = ising_energy(p, s);
      least = fmin(least, e);
      if (same) least_fixed = fmin(least_fixed, e);
      if (round == 1 && e == least) all &= same;
    }
  assert_true(bound <= least + 1e-9 && least_fixed == least);
  if (strong) assert_true(all);
}

static void test_persistent(void **state_) {
  int strong = 0, weak = 0;
  for (int round = 0; round < 300; round++) {
    Ising p;
    int n = 2 + (int)rnd(9), m = (int)rnd(2 * (uint32_t)n);
    double h[16], c[64];
    int32_t uv[128];
    for (int i = 0; i < n; i++) h[i] = round % 4 ? coefficient() * (round % 3) : 0;
    for (int k = 0; k < m; k++) {
      uv[2 * k] = (int32_t)rnd((uint32_t)n);
      do uv[2 * k + 1] = (int32_t)rnd((uint32_t)n);
      while (uv[2 * k + 1] == uv[2 * k]);
      c[k] = coefficient();
    }
    ok(ising_make(rt, &p, n, h, m, uv, c, 0.5));
    check_persistent(&p, true, &strong);
    check_persistent(&p, false, &weak);
    ising_free(rt, &p);
  }
  assert_true(strong > 300 && weak > strong);
}

/* A tree with fields is solved by roof duality alone; a ring without fields after
 * one spin is fixed, when it is not frustrated.                                  */
static void test_persistent_tree(void **state_) {
  enum { N = 2000 };
  static double h[N], c[N];
  static int32_t uv[2 * N];
  static int8_t fixed[N];
  for (int i = 0; i < N; i++) h[i] = 0.25 + rnd(4), h[i] *= rnd(2) ? 1 : -1;
  for (int i = 0; i + 1 < N; i++)
    uv[2 * i] = (int32_t)rnd((uint32_t)i + 1), uv[2 * i + 1] = i + 1, c[i] = coefficient() + 0.125;
  for (int round = 0; round < 2; round++) {
    Ising p;
    double bound;
    ok(ising_make(rt, &p, N, round ? NULL : h, N - 1, uv, c, 0));
    ok(ising_persistent(rt, &p, false, fixed, &bound));
    for (int i = 0; i < N; i++) assert_int_not_equal(fixed[i], 0);
    assert_true(bound == ising_energy(&p, fixed));
    ising_free(rt, &p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_assignment), cmocka_unit_test(test_minimum),
    cmocka_unit_test(test_assignment), cmocka_unit_test(test_forms), cmocka_unit_test(test_refused),
    cmocka_unit_test(test_decimals), cmocka_unit_test(test_persistent),
    cmocka_unit_test(test_persistent_tree),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
