/* test_exact.c: variable elimination and branch and bound against all states, and on
 * models whose minimum is known.                                                 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/eliminate.h"
#include "runtime/binary/exact.h"
#include "runtime/binary/graph.h"
#include "tests/runtime/fixture.h"

static uint64_t state;
static uint32_t rnd(uint32_t n) {
  uint32_t r[4];
  rng_bits(rng_seeded(21), state++, r);
  return r[0] % n;
}

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static void on_graph(Ising *p, Graph *g, bool fields, bool integer) {
  int32_t *uv = malloc((size_t)g->m * 8 + 8);
  double *J = malloc((size_t)g->m * 8 + 8), *h = malloc((size_t)g->n * 8 + 8);
  graph_edges(g, uv);
  for (int64_t k = 0; k < g->m; k++)
    J[k] = integer ? (double)rnd(7) - 3 : rng_normal(rng_seeded(8), state++);
  for (int64_t i = 0; i < g->n; i++)
    h[i] = !fields ? 0 : integer ? (double)rnd(3) - 1 : rng_normal(rng_seeded(9), state++);
  ok(ising_make(rt, p, g->n, h, g->m, uv, J, 1.5));
  free(uv);
  free(J);
  free(h);
  graph_free(rt, g);
}

/* Rows against all states: equal energies, each row once. */
static void same_rows(const Ising *p, const Samples *got, int64_t rows) {
  SamplerArgs a;
  Samples all;
  sampler_args_init(&a);
  ok(exact_gray(rt, p, &a, rows, &all));
  assert_int_equal(got->rows, all.rows);
  for (int64_t r = 0; r < got->rows; r++) {
    if (fabs(got->energy[r] - all.energy[r]) > 1e-9)
      fail_msg("%.15g, not %.15g", got->energy[r], all.energy[r]);
    assert_true(got->energy[r] == ising_energy(p, got->spin + r * p->n));
    for (int64_t q = 0; q < r; q++)
      assert_memory_not_equal(got->spin + q * p->n, got->spin + r * p->n, (size_t)p->n);
  }
  samples_free(rt, &all);
}

static void solve_both(const Ising *p, int width, int64_t rows, int threads, bool *exact) {
  Eliminate e;
  Samples got = {0};
  SamplerArgs a;
  bool finished;
  int32_t *order = malloc((size_t)p->n * 4 + 4), *w = malloc((size_t)p->n * 4 + 4);
  sampler_args_init(&a);
  ok(eliminate_order(rt, p, order, w));
  ok(eliminate_make(rt, &e, p, order, width, threads));
  *exact = e.exact;
  if (e.exact) {
    ok(eliminate_rows(rt, &e, rows, &got));
    same_rows(p, &got, rows);
    samples_free(rt, &got);
  }
  ok(eliminate_branch(rt, &e, &a, 0, INFINITY, rows, &got, &finished));
  assert_true(finished && eliminate_bound(&e) <= got.energy[0] + 1e-9);
  if (e.exact) assert_true(fabs(eliminate_bound(&e) - got.energy[0]) < 1e-9);
  same_rows(p, &got, rows);
  samples_free(rt, &got);
  eliminate_free(rt, &e);
  free(order);
  free(w);
}

static void test_random(void **s) {
  int exact = 0, split = 0;
  for (int round = 0; round < 80; round++) {
    Ising p;
    Graph g;
    bool was;
    ok(graph_random(rt, &g, rng_seeded(round), 2 + rnd(14), 0.1 + 0.1 * rnd(8)));
    on_graph(&p, &g, round % 3 > 0, round % 2);
    solve_both(&p, 1 + (int)rnd(9), 1 + rnd(9), 1 + round % 2, &was);
    exact += was;
    split += !was;
    ising_free(rt, &p);
  }
  assert_true(exact > 10 && split > 10);
}

/* Two ways to the same rows of a sparse model larger than can be enumerated, on any
 * number of threads with the same bits.                                          */
static void test_strip(void **s) {
  Ising p;
  Graph g;
  Samples got[2];
  ok(graph_grid(rt, &g, 10, 60, false));
  on_graph(&p, &g, false, false);
  for (int i = 0; i < 2; i++) {
    SamplerArgs a;
    sampler_args_init(&a);
    a.reads = 30;
    a.threads = 1 + i;
    ok(sample_exact(rt, &p, &a, &got[i]));
    assert_true(got[i].proven && got[i].rows == 30 && strstr(got[i].note, "elimination"));
  }
  assert_memory_equal(got[0].spin, got[1].spin, 30 * 600);
  for (int r = 0; r < 30; r += 2)   /* without fields states come in mirrored pairs */
    assert_true(fabs(got[0].energy[r] - got[0].energy[r + 1]) < 1e-9);
  SamplerArgs a;
  Samples one;
  sampler_args_init(&a);
  ok(sample_exact(rt, &p, &a, &one));
  assert_true(one.proven && fabs(one.energy[0] - got[0].energy[0]) < 1e-9);
  samples_free(rt, &one);
  samples_free(rt, &got[0]);
  samples_free(rt, &got[1]);
  ising_free(rt, &p);
}

/* A planted state on a dense model is found by branch and bound; a model that is too
 * large is an error, or the best that time allows.                               */
static void test_large(void **s) {
  Ising p;
  Graph g;
  SamplerArgs a;
  Samples got;
  ok(graph_random(rt, &g, rng_seeded(4), 44, 0.25));
  on_graph(&p, &g, true, true);
  sampler_args_init(&a);
  a.seconds = 60;
  ok(sample_exact(rt, &p, &a, &got));
  assert_true(got.proven && got.rows == 1);
  Samples other;
  a.reads = 2;
  ok(sample_exact(rt, &p, &a, &other));
  assert_true(other.proven && other.energy[0] == got.energy[0] && other.energy[1] >= got.energy[0]);
  samples_free(rt, &got);
  samples_free(rt, &other);
  ising_free(rt, &p);
  ok(graph_complete(rt, &g, 120));
  on_graph(&p, &g, false, false);
  a.seconds = 0.3;
  ok(sample_exact(rt, &p, &a, &got));
  assert_true(!got.proven && got.rows >= 1);
  samples_free(rt, &got);
  ising_free(rt, &p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random), cmocka_unit_test(test_strip), cmocka_unit_test(test_large),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
