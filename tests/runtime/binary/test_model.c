/* test_model.c: polynomials, Ising models, graphs and sample tables against
 * plain recomputation.                                                       */
#include <math.h>
#include <string.h>

#include "runtime/binary/graph.h"
#include "runtime/binary/poly.h"
#include "runtime/binary/sampler.h"
#include "tests/runtime/fixture.h"

static uint64_t state;
static uint32_t rnd(uint32_t n) {
  uint32_t r[4];
  rng_bits(rng_seeded(11), state++, r);
  return r[0] % n;
}

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static void add_array(VarTable *t, const char *name, VarKind kind, int64_t n) {
  int64_t first;
  ok(vars_add(rt, t, name, kind, 1, &n, &first));
}

/* A polynomial with repeated variables and terms, and its plain sum. */
static void test_merge(void **s) {
  for (int round = 0; round < 60; round++) {
    VarTable t;
    vars_init(&t);
    add_array(&t, "b", VAR_BINARY, 5);
    add_array(&t, "s", VAR_SPIN, 5);
    Poly p, q, r;
    poly_init(&p);
    double c[80];
    int32_t v[80][6];
    int k[80], n = 1 + (int)rnd(80);
    for (int i = 0; i < n; i++) {
      k[i] = (int)rnd(7);
      c[i] = (double)rnd(9) - 4;
      for (int j = 0; j < k[i]; j++) v[i][j] = (int32_t)rnd(10);
      ok(poly_add(rt, &p, c[i], k[i], v[i]));
    }
    ok(poly_copy(rt, &q, &p));
    ok(poly_merge(rt, &q, &t));
    ok(poly_multiply(rt, &r, &q, &q, &t));
    double lo, hi;
    poly_bounds(&q, &t, &lo, &hi);
    for (int a = 0; a < 1024; a++) {
      int8_t x[10];
      for (int i = 0; i < 10; i++) x[i] = (int8_t)(i < 5 ? a >> i & 1 : 2 * (a >> i & 1) - 1);
      double e = 0;
      for (int i = 0; i < n; i++) {
        double term = c[i];
        for (int j = 0; j < k[i]; j++) term *= x[v[i][j]];
        e += term;
      }
      assert_true(poly_value(&q, x) == e && poly_value(&p, x) == e);
      assert_true(poly_value(&r, x) == e * e);
      assert_true(lo <= e && e <= hi);
    }
    for (int64_t i = 1; i < q.one.n; i++) assert_true(q.one.v[i - 1] < q.one.v[i]);
    for (int64_t i = 0; i < q.two.n; i++) {
      assert_true(q.two.uv[2 * i] < q.two.uv[2 * i + 1] && q.two.c[i] != 0);
      if (i)
        assert_true(
            q.two.uv[2 * i - 2] < q.two.uv[2 * i] ||
            (q.two.uv[2 * i - 2] == q.two.uv[2 * i] && q.two.uv[2 * i - 1] < q.two.uv[2 * i + 1]));
    }
    poly_free(rt, &p);
    poly_free(rt, &q);
    poly_free(rt, &r);
    vars_free(rt, &t);
  }
}

static void test_names(void **s) {
  VarTable t;
  vars_init(&t);
  int64_t first;
  ok(vars_add(rt, &t, "x", VAR_BINARY, 2, (int64_t[]){2, 3}, &first));
  ok(vars_add(rt, &t, "y", VAR_SPIN, 0, NULL, &first));
  assert_int_equal(first, 6);
  assert_int_equal(vars_add(rt, &t, "x", VAR_SPIN, 0, NULL, &first), RT_ERROR);
  Poly p;
  poly_init(&p);
  ok(poly_add(rt, &p, -0.5, 0, NULL));
  ok(poly_add(rt, &p, -1, 1, (int32_t[]){5}));
  ok(poly_add(rt, &p, 2, 2, (int32_t[]){6, 1}));
  ok(poly_add(rt, &p, 0.25, 3, (int32_t[]){6, 1, 0}));
  ok(poly_merge(rt, &p, &t));
  Buf b = {0};
  poly_print(&p, &t, 10, &b);
  assert_string_equal(b.data, "-x[1, 2] + 2*x[0, 1]*y + 0.25*x[0, 0]*x[0, 1]*y - 0.5");
  b.len = 0;
  poly_print(&p, &t, 2, &b);
  assert_string_equal(b.data, "-x[1, 2] + 2*x[0, 1]*y + ... (2 more)");
  buf_free(&b);
  poly_free(rt, &p);
  vars_free(rt, &t);
}

static void random_ising(Ising *p, int n, int m, bool fields, double unit) {
  double h[64], c[512];
  int32_t uv[1024];
  for (int i = 0; i < n; i++) h[i] = fields ? unit * ((double)rnd(9) - 4) : 0;
  for (int k = 0; k < m; k++) {
    uv[2 * k] = (int32_t)rnd((uint32_t)n);
    do uv[2 * k + 1] = (int32_t)rnd((uint32_t)n);
    while (uv[2 * k + 1] == uv[2 * k]);
    c[k] = unit * ((double)rnd(9) - 4);
  }
  ok(ising_make(rt, p, n, h, m, uv, c, unit * 3));
  double e = unit * 3, got;
  int8_t s[64];
  for (int i = 0; i < n; i++) e += h[i] * (s[i] = rnd(2) ? 1 : -1);
  for (int k = 0; k < m; k++) e += c[k] * s[uv[2 * k]] * s[uv[2 * k + 1]];
  got = ising_energy(p, s);
  assert_true(fabs(got - e) <= 1e-12 * (1 + fabs(e)));
}

static void test_ising(void **state_) {
  for (int round = 0; round < 40; round++) {
    Ising p, q;
    int n = 2 + (int)rnd(12);
    random_ising(&p, n, (int)rnd(60), round % 3 > 0, 0.25);
    double *a, *b, offset;
    ok(ising_to_qubo(rt, &p, &a, &b, &offset));
    int32_t uv[512];
    double c[256];
    int64_t m = 0;
    for (int32_t i = 0; i < n; i++)
      for (int64_t k = p.start[i]; k < p.start[i + 1]; k++)
        if (p.other[k] > i) uv[2 * m] = p.other[k], uv[2 * m + 1] = i, c[m++] = b[k];
    ok(ising_from_qubo(rt, &q, n, a, m, uv, c, offset));
    IsingScale scale;
    ising_scale(&p, &scale);
    assert_true(scale.integer && (scale.scale == 4 || scale.scale == 2 || scale.scale == 1));
    for (int x = 0; x < 1 << n; x++) {
      int8_t s[16];
      double e = offset, f[16];
      for (int i = 0; i < n; i++) s[i] = x >> i & 1 ? 1 : -1;
      for (int i = 0; i < n; i++)
        if (s[i] > 0) e += a[i];
      for (int k = 0; k < m; k++)
        if (s[uv[2 * k]] > 0 && s[uv[2 * k + 1]] > 0) e += c[k];
      assert_true(e == ising_energy(&p, s) && e == ising_energy(&q, s));
      ising_fields(&p, s, f);
      int i = (int)rnd((uint32_t)n);
      s[i] = (int8_t)-s[i];
      assert_true(ising_energy(&p, s) - e == 2 * s[i] * f[i]);
    }
    rt_free(rt, a, (size_t)n * 8);
    rt_free(rt, b, (size_t)p.m * 16);
    ising_free(rt, &p);
    ising_free(rt, &q);
  }
  Ising p;
  assert_int_equal(ising_make(rt, &p, 2, NULL, 1, (int32_t[]){1, 1}, (double[]){1}, 0), RT_ERROR);
  assert_int_equal(ising_make(rt, &p, 2, NULL, 1, (int32_t[]){0, 2}, (double[]){1}, 0), RT_ERROR);
  assert_int_equal(ising_make(rt, &p, 2, NULL, 1, (int32_t[]){0, 1}, (double[]){NAN}, 0), RT_ERROR);
}

/* The rows of lowest energy, in order, against all states. */
static void test_exact(void **state_) {
  for (int round = 0; round < 30; round++) {
    Ising p;
    int n = 1 + (int)rnd(14);
    random_ising(&p, n, n > 1 ? (int)rnd(60) : 0, round % 3 > 0, round % 2 ? 1 : 0.1);
    SamplerArgs a;
    sampler_args_init(&a);
    a.reads = 1 + rnd(20);
    a.threads = 1 + round % 2;
    Samples got;
    ok(sample_exact(rt, &p, &a, &got));
    int64_t all = (int64_t)1 << n;
    Samples every;
    ok(samples_make(rt, &every, all, n));
    for (int64_t x = 0; x < all; x++) {
      for (int i = 0; i < n; i++) every.spin[x * n + i] = x >> i & 1 ? 1 : -1;
      every.energy[x] = ising_energy(&p, every.spin + x * n);
    }
    ok(samples_sort(rt, &every));
    assert_true(got.proven && got.rows == (a.reads < all ? a.reads : all));
    for (int64_t r = 0; r < got.rows; r++) {
      assert_true(fabs(got.energy[r] - every.energy[r]) < 1e-12 * (1 + fabs(every.energy[r])));
      assert_true(got.energy[r] == ising_energy(&p, got.spin + r * n));
      if (r) assert_true(memcmp(got.spin + r * n, got.spin + (r - 1) * n, (size_t)n) != 0);
    }
    samples_free(rt, &got);
    samples_free(rt, &every);
    ising_free(rt, &p);
  }
}

static void test_samples(void **state_) {
  Samples s;
  ok(samples_make(rt, &s, 4, 2));
  int8_t spin[] = {1, -1, -1, -1, 1, -1, 1, 1};
  double energy[] = {1, 0, 1, -2};
  memcpy(s.spin, spin, 8);
  memcpy(s.energy, energy, sizeof energy);
  s.count[2] = 5;
  s.breaks = rt_alloc0(rt, 4 * sizeof(float));
  s.breaks[0] = 0.6f;
  assert_int_equal(samples_best(&s), 3);
  ok(samples_aggregate(rt, &s));
  assert_true(s.rows == 3 && s.energy[0] == -2 && s.energy[1] == 0 && s.energy[2] == 1);
  assert_true(s.count[2] == 6 && fabsf(s.breaks[2] - 0.1f) < 1e-6f && s.spin[4] == 1 &&
              s.spin[5] == -1);
  samples_free(rt, &s);
}

static void check_simple(const Graph *g) {
  for (int32_t v = 0; v < g->n; v++)
    for (int64_t k = g->start[v]; k < g->start[v + 1]; k++) {
      assert_true(g->other[k] != v && graph_adjacent(g, g->other[k], v));
      if (k > g->start[v]) assert_true(g->other[k] > g->other[k - 1]);
    }
}

static void test_graphs(void **state_) {
  Graph g, c;
  ok(graph_complete(rt, &g, 7));
  assert_true(g.m == 21 && g.nodes == 7);
  check_simple(&g);
  graph_free(rt, &g);
  ok(graph_grid(rt, &g, 3, 4, true));
  assert_true(g.n == 12 && g.m == 24);
  check_simple(&g);
  ok(graph_copy(rt, &c, &g));
  int32_t uv[48];
  graph_edges(&c, uv);
  assert_true(uv[0] == 0 && uv[1] == 1 && uv[46] == 10 && uv[47] == 11);
  graph_free(rt, &c);
  graph_free(rt, &g);
  ok(graph_grid(rt, &g, 2, 2, true));
  assert_int_equal(g.m, 4);
  graph_free(rt, &g);
  for (int d = 0; d < 12; d++) {
    ok(graph_regular(rt, &g, rng_seeded(d), 12, d));
    assert_int_equal(g.m, 6 * d);
    for (int v = 0; v < 12; v++) assert_int_equal(g.start[v + 1] - g.start[v], d);
    check_simple(&g);
    graph_free(rt, &g);
  }
  assert_int_equal(graph_regular(rt, &g, rng_seeded(1), 5, 3), RT_ERROR);
  ok(graph_random(rt, &g, rng_seeded(3), 400, 0.1));
  assert_true(fabs((double)g.m - 7980) < 5 * 85);   /* five standard deviations */
  check_simple(&g);
  graph_free(rt, &g);
  ok(graph_random(rt, &g, rng_seeded(3), 40, 1));
  assert_int_equal(g.m, 780);
  graph_free(rt, &g);
  uint8_t present[] = {1, 0, 1};
  assert_int_equal(graph_make(rt, &g, 3, 1, (int32_t[]){0, 1}, present), RT_ERROR);
  ok(graph_make(rt, &g, 3, 2, (int32_t[]){2, 0, 0, 2}, present));
  assert_true(g.m == 1 && g.nodes == 2 && graph_adjacent(&g, 0, 2) && !graph_adjacent(&g, 0, 1));
  graph_free(rt, &g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_merge), cmocka_unit_test(test_names), cmocka_unit_test(test_ising),
    cmocka_unit_test(test_exact), cmocka_unit_test(test_samples), cmocka_unit_test(test_graphs),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
