/* test_pack.c: disjoint embeddings: each one is checked against the graphs, no qubit serves
 * twice, and what is known to fit is found.                                        */
#include <stdlib.h>
#include <string.h>

#include "runtime/embed/embed.h"
#include "tests/runtime/fixture.h"

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static Graph topology(const char *family, int size, double defects) {
  Graph g, out;
  int32_t *gone, n = 0;
  ok(topology_named(rt, &g, family, 1, &size));
  gone = calloc((size_t)g.n + 1, sizeof *gone);
  for (int32_t q = 0; q < g.n; q++)
    if (g.present[q] && rng_uniform(rng_seeded(5), (uint64_t)q) < defects) gone[n++] = q;
  ok(topology_without(rt, &out, &g, n, gone, 0, NULL));
  free(gone);
  graph_free(rt, &g);
  return out;
}

/* How many; all of them are embeddings, and apart. */
static int64_t packed(const Graph *source, const Graph *target, int64_t most,
                      const Embedding *first) {
  const EmbedArgs a = {.rng = rng_seeded(2)};
  Packing p;
  uint8_t *used = calloc((size_t)target->n + 1, 1);
  ok(embed_pack(rt, source, target, most, first, &a, &p));
  for (int64_t k = 0; k < p.count; k++) {
    const Embedding *e = &p.e[k];
    ok(embedding_check(rt, e, source, target));
    for (int64_t i = 0; i < e->start[e->n]; i++) {
      assert_false(used[e->qubit[i]]);
      used[e->qubit[i]] = 1;
    }
  }
  const int64_t count = p.count;
  packing_free(rt, &p);
  free(used);
  return count;
}

/* Chimera: K4 on chains of two fills every cell; K8 takes three quarters; lattices all of it. */
static void test_chimera(void **state) {
  Graph g = topology("chimera", 6, 0), k4, k8, grid;
  ok(graph_complete(rt, &k4, 4));
  ok(graph_complete(rt, &k8, 8));
  ok(graph_grid(rt, &grid, 4, 4, false));
  assert_int_equal(packed(&k4, &g, 1000, NULL), 36);
  assert_int_equal(packed(&k8, &g, 1000, NULL), 9);
  assert_int_equal(packed(&grid, &g, 1000, NULL), 9);
  assert_int_equal(packed(&k8, &g, 5, NULL), 5);
  graph_free(rt, &k4);
  graph_free(rt, &k8);
  graph_free(rt, &grid);
  graph_free(rt, &g);
}

/* Pegasus has complete graphs of four qubits, Zephyr too; larger ones and sparse ones need no
 * more than so many qubits each on the whole.                                      */
static void test_families(void **state) {
  static const struct { const char *family; int size; } on[] = {{"pegasus", 6}, {"zephyr", 4}};
  for (int f = 0; f < 2; f++)
    for (int d = 0; d < 2; d++) {
      Graph g = topology(on[f].family, on[f].size, d ? 0.02 : 0), s;
      const int64_t qubits = g.nodes;
      ok(graph_complete(rt, &s, 4));
      assert_true(packed(&s, &g, 5000, NULL) >= qubits / 6);
      graph_free(rt, &s);
      ok(graph_complete(rt, &s, 12));
      assert_true(packed(&s, &g, 5000, NULL) >= qubits / (d ? 120 : 90));
      graph_free(rt, &s);
      ok(graph_regular(rt, &s, rng_seeded(3), 12, 3));
      assert_true(packed(&s, &g, 5000, NULL) >= qubits / (d ? 60 : 40));
      graph_free(rt, &s);
      graph_free(rt, &g);
    }
}

/* An embedding of one's own is moved about; graphs that are no lattice are searched. */
static void test_given(void **state) {
  Graph g = topology("chimera", 4, 0), path, other;
  Embedding e;
  Packing p;
  const EmbedArgs a = {.rng = rng_seeded(2)};
  const int32_t chain[3] = {36, 32, 37};
  ok(graph_grid(rt, &path, 1, 3, false));
  ok(embedding_make(rt, &e, 3, (int64_t[]){0, 1, 2, 3}, chain, "given"));
  ok(embed_pack(rt, &path, &g, 16, &e, &a, &p));
  assert_int_equal(p.count, 16);
  for (int k = 0; k < 16; k++) assert_int_equal(p.e[k].qubit[0], 8 * k + 4);
  packing_free(rt, &p);
  embedding_free(rt, &e);
  ok(embedding_make(rt, &e, 3, (int64_t[]){0, 1, 2, 3}, (int32_t[]){0, 1, 2}, "given"));
  assert_int_not_equal(embed_pack(rt, &path, &g, 16, &e, &a, &p), RT_OK);
  embedding_free(rt, &e);
  ok(graph_grid(rt, &other, 5, 6, false));
  assert_true(packed(&path, &other, 100, NULL) >= 8);
  graph_free(rt, &other);
  ok(graph_complete(rt, &other, 40));
  assert_int_not_equal(embed_pack(rt, &other, &g, 3, NULL, &a, &p), RT_OK);
  assert_non_null(strstr(rt->error.message, "40 variables"));
  assert_int_equal(p.count, 0);
  graph_free(rt, &other);
  graph_free(rt, &path);
  graph_free(rt, &g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_chimera), cmocka_unit_test(test_families), cmocka_unit_test(test_given)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
