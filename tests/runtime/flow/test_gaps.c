/* test_gaps.c: gaps of channels against differences of poly_value(), for polynomials in
 * spins and binaries with terms of up to nine variables; the same bits on any number of
 * threads, with every instruction set, and for a row alone or among others.      */
#include "tests/runtime/fixture.h"
#include <math.h>
#include <string.h>

#include "runtime/flow/gaps.h"
#include "runtime/flow/gaps_kernels.h"
#include "runtime/tensor/kernels_levels.h"

enum { N = 23, ROWS = 70, SETS = 60 };

static uint64_t seed = 11;
static int draw(int n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (int)((seed >> 33) % (uint64_t)n);
}

typedef struct {
  VarTable t;
  Poly p;
  int8_t x[ROWS * N];
  int64_t end[SETS];
  int32_t v[SETS * N];
  FlipSets sets;
} Case;

static void fill(Case *c, int terms, int most) {
  int64_t first, ten = 10, rest = N - 10;
  vars_init(&c->t);
  poly_init(&c->p);
  assert_int_equal(vars_add(rt, &c->t, "b", VAR_BINARY, 1, &ten, &first), RT_OK);
  assert_int_equal(vars_add(rt, &c->t, "s", VAR_SPIN, 1, &rest, &first), RT_OK);
  for (int k = 0; k < terms; k++) {
    int32_t v[16];
    int n = draw(most + 1);
    for (int i = 0; i < n; i++) v[i] = draw(N);
    assert_int_equal(poly_add(rt, &c->p, draw(2001) / 1000.0 - 1, n, v), RT_OK);
  }
  assert_int_equal(poly_merge(rt, &c->p, &c->t), RT_OK);
  for (int i = 0; i < ROWS * N; i++)
    c->x[i] = (int8_t)(i % N < 10 ? draw(2) : 2 * draw(2) - 1);
  int64_t at = 0;
  for (int k = 0; k < SETS; k++) {
    bool in[N] = {false};
    for (int m = 1 + (k < 20 ? k % 3 : draw(N)); m > 0; m--) in[draw(N)] = true;
    for (int32_t v = N - 1; v >= 0; v--)
      if (in[v]) c->v[at++] = v;
    c->end[k] = at;
  }
  c->sets = (FlipSets){SETS, c->end, c->v};
}

static void drop(Case *c) {
  poly_free(rt, &c->p);
  vars_free(rt, &c->t);
}

static double by_energy(const Case *c, int row, int64_t m, const int32_t *v) {
  int8_t y[N];
  memcpy(y, c->x + row * N, N);
  double before = poly_value(&c->p, y);
  for (int64_t i = 0; i < m; i++) y[v[i]] = (int8_t)(v[i] < 10 ? 1 - y[v[i]] : -y[v[i]]);
  return poly_value(&c->p, y) - before;
}

static void test_energies(void **state) {
  static Case c;
  static double out[ROWS * SETS], single[ROWS * N];
  static const int most[] = {0, 1, 2, 3, 9};
  for (int k = 0; k < 5; k++) {
    fill(&c, 150, most[k]);
    assert_int_equal(flow_gaps(rt, &c.p, &c.t, c.x, ROWS, &c.sets, out), RT_OK);
    assert_int_equal(flow_gaps(rt, &c.p, &c.t, c.x, ROWS, NULL, single), RT_OK);
    for (int r = 0; r < ROWS; r++) {
      for (int s = 0; s < SETS; s++) {
        int64_t from = s ? c.end[s - 1] : 0;
        double e = by_energy(&c, r, c.end[s] - from, c.v + from);
        assert_true(fabs(out[r * SETS + s] - e) < 1e-12);
      }
      for (int32_t v = 0; v < N; v++)
        assert_true(fabs(single[r * N + v] - by_energy(&c, r, 1, &v)) < 1e-12);
    }
    drop(&c);
  }
}

static void test_threads(void **state) {
  static Case c;
  static double one[ROWS * SETS], more[ROWS * SETS], alone[SETS];
  int threads = rt->threads;
  fill(&c, 400, 5);
  for (int n = 1; n <= 3; n++) {
    rt->threads = n;
    assert_int_equal(flow_gaps(rt, &c.p, &c.t, c.x, ROWS, &c.sets, n == 1 ? one : more), RT_OK);
    if (n > 1) assert_memory_equal(one, more, sizeof one);
  }
  rt->threads = threads;
  for (int r = 0; r < ROWS; r += 13) {
    assert_int_equal(flow_gaps(rt, &c.p, &c.t, c.x + r * N, 1, &c.sets, alone), RT_OK);
    assert_memory_equal(one + r * SETS, alone, sizeof alone);
  }
  drop(&c);
}

#ifdef QA_KERNEL_LEVELS
extern const GapKernels gap_kernels_base, gap_kernels_v3, gap_kernels_v4;

static void test_levels(void **state) {
  static Case c;
  static double x[N * GAP_LANES], d[N * GAP_LANES], g[3][N * GAP_LANES], work[16 * GAP_LANES];
  const GapKernels *k[3] = {&gap_kernels_base, &gap_kernels_v3, &gap_kernels_v4};
  bool has[3] = {true, __builtin_cpu_supports("x86-64-v3"), __builtin_cpu_supports("x86-64-v4")};
  fill(&c, 300, 9);
  for (int v = 0; v < N; v++)
    for (int l = 0; l < GAP_LANES; l++) {
      double value = c.x[l * N + v];
      x[v * GAP_LANES + l] = value;
      d[v * GAP_LANES + l] = v < 10 ? 1 - 2 * value : -2 * value;
    }
  memset(g, 0, sizeof g);
  for (int i = 0; i < 3; i++) {
    uint8_t flips[16] = {1, 0, 1, 1};
    if (!has[i]) continue;
    k[i]->singles(&c.p, x, d, g[i], work);
    k[i]->pairs(1, c.p.two.uv, c.p.two.c, d, g[i]);
    k[i]->term((int)c.p.many.end[0], c.p.many.v, flips, c.p.many.c[0], x, d, g[i] + GAP_LANES);
    assert_memory_equal(g[0], g[i], sizeof g[0]);
  }
  drop(&c);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_energies),
      cmocka_unit_test(test_threads),
#ifdef QA_KERNEL_LEVELS
      cmocka_unit_test(test_levels),
#endif
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
