/* test_embed.c: constructions and the heuristic: every embedding found is checked,
 * chain lengths against what the constructions promise, defects, same seeds.   */
#include "../fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/embed/embed.h"

/* Independent of embedding_check: connected chains, disjoint, all edges. */
static void assert_valid(const Embedding *e, const Graph *s, const Graph *g) {
  int32_t *owner = malloc((size_t)g->n * sizeof *owner);
  for (int64_t q = 0; q < g->n; q++) owner[q] = -1;
  for (int32_t v = 0; v < e->n; v++) {
    if (s->present[v]) assert_true(e->start[v] < e->start[v + 1]);
    for (int64_t k = e->start[v]; k < e->start[v + 1]; k++) {
      assert_true(g->present[e->qubit[k]]);
      assert_int_equal(owner[e->qubit[k]], -1);
      owner[e->qubit[k]] = v;
    }
  }
  for (int32_t v = 0; v < e->n; v++) {
    int64_t lo = e->start[v], n = e->start[v + 1] - lo, reached = n > 0;
    uint8_t in[512] = {1};
    assert_true(n <= 512);
    for (bool more = true; more;) {
      more = false;
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
          if (in[i] && !in[j] && graph_adjacent(g, e->qubit[lo + i], e->qubit[lo + j]))
            in[j] = 1, reached++, more = true;
    }
    assert_int_equal(reached, n);
  }
  for (int32_t u = 0; u < s->n; u++)
    for (int64_t k = s->start[u]; k < s->start[u + 1]; k++) {
      bool touch = false;
      for (int64_t i = e->start[u]; i < e->start[u + 1]; i++)
        for (int64_t j = g->start[e->qubit[i]]; j < g->start[e->qubit[i] + 1]; j++)
          touch |= owner[g->other[j]] == s->other[k];
      assert_true(touch);
    }
  free(owner);
}

static EmbeddingStats check_clique(const Graph *g, int n) {
  Embedding e;
  Graph s;
  EmbeddingStats x;
  assert_int_equal(graph_complete(rt, &s, n), RT_OK);
  assert_int_equal(embed_clique(rt, n, g, &e), RT_OK);
  assert_int_equal(e.n, n);
  assert_valid(&e, &s, g);
  assert_int_equal(embedding_check(rt, &e, &s, g), RT_OK);
  embedding_stats(&e, &x);
  embedding_free(rt, &e);
  graph_free(rt, &s);
  return x;
}

/* Chimera: n/4 + 1 (rounded up), and the longest chains of busclique (minorminer 0.2). */
static void test_cliques(void **state) {
  static const struct { const char *family; int size, n, longest; } row[] = {
      {"chimera", 16, 1, 1}, {"chimera", 16, 2, 1},    {"chimera", 16, 16, 5},
      {"chimera", 16, 40, 11}, {"chimera", 16, 64, 17}, {"pegasus", 16, 10, 2},
      {"pegasus", 16, 40, 5}, {"pegasus", 16, 100, 10}, {"pegasus", 16, 180, 17},
      {"zephyr", 15, 20, 3},  {"zephyr", 15, 60, 6},    {"zephyr", 15, 232, 16},
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    Graph g;
    assert_int_equal(topology_named(rt, &g, row[i].family, 1, &row[i].size), RT_OK);
    assert_int_equal(check_clique(&g, row[i].n).longest, row[i].longest);
    graph_free(rt, &g);
  }
}

static void test_clique_limits(void **state) {
  Graph g, s;
  Embedding e;
  assert_int_equal(topology_chimera(rt, &g, 3, 4, 4), RT_OK);
  check_clique(&g, 12);
  assert_int_equal(embed_clique(rt, 13, &g, &e), RT_ERROR);
  assert_non_null(strstr(rt->error.help, "is 12"));
  graph_free(rt, &g);
  assert_int_equal(graph_complete(rt, &s, 5), RT_OK);
  assert_int_equal(embed_clique(rt, 3, &s, &e), RT_ERROR);      /* no lines */
  graph_free(rt, &s);
}

/* Qubits and couplers missing by chance: cliques still fit, with somewhat longer chains. */
static void test_clique_defects(void **state) {
  static const struct { const char *family; int size, n, longest; } row[] = {
      {"chimera", 8, 20, 9}, {"pegasus", 6, 30, 8}, {"zephyr", 5, 32, 8}};
  for (size_t i = 0; i < 3; i++)
    for (int seed = 0; seed < 3; seed++) {
      Graph whole, g;
      assert_int_equal(topology_named(rt, &whole, row[i].family, 1, &row[i].size), RT_OK);
      int32_t node[64], pair[64], n_node = 0, n_pair = 0;
      RngCall rng = rng_seeded(seed);
      for (uint64_t k = 0; k < 30; k++) {
        int32_t q = (int32_t)(rng_uniform(rng, k) * (double)whole.n);
        if (whole.start[q] == whole.start[q + 1]) continue;
        if (k < 12) node[n_node++] = q;
        else pair[2 * n_pair] = q, pair[2 * n_pair++ + 1] = whole.other[whole.start[q]];
      }
      assert_int_equal(topology_without(rt, &g, &whole, n_node, node, n_pair, pair), RT_OK);
      assert_true(check_clique(&g, row[i].n).longest <= row[i].longest);
      graph_free(rt, &g);
      graph_free(rt, &whole);
    }
}

static EmbeddingStats find(const Graph *s, const Graph *g, const EmbedArgs *a, const char *how) {
  Embedding e;
  EmbeddingStats x;
  assert_int_equal(embed_find(rt, s, g, a, &e), RT_OK);
  assert_valid(&e, s, g);
  if (how) assert_string_equal(e.how, how);
  embedding_stats(&e, &x);
  embedding_free(rt, &e);
  return x;
}

static void test_grids(void **state) {
  Graph g, s, d;
  EmbedArgs a = {.rng = rng_seeded(1)};
  assert_int_equal(topology_chimera(rt, &g, 8, 6, 4), RT_OK);
  static const int size[][2] = {{12, 16}, {16, 12}, {5, 9}, {10, 4}};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(graph_grid(rt, &s, size[i][0], size[i][1], false), RT_OK);
    EmbeddingStats x = find(&s, &g, &a, "grid");
    assert_int_equal(x.longest, 2);
    assert_int_equal(x.qubits, 2 * s.n);
    graph_free(rt, &s);
  }
  /* a corner is missing: the lattice moves */
  assert_int_equal(topology_without(rt, &d, &g, 1, (int32_t[]){0}, 0, NULL), RT_OK);
  assert_int_equal(graph_grid(rt, &s, 14, 12, false), RT_OK);
  assert_int_equal(find(&s, &d, &a, "grid").longest, 2);
  graph_free(rt, &d);
  graph_free(rt, &g);
  assert_int_equal(topology_pegasus(rt, &g, 9, true, false), RT_OK);
  assert_int_equal(find(&s, &g, &a, "grid").longest, 2);
  graph_free(rt, &g);
  assert_int_equal(topology_zephyr(rt, &g, 7, 4), RT_OK);
  assert_int_equal(find(&s, &g, &a, "grid").longest, 2);
  graph_free(rt, &g);
  graph_free(rt, &s);
}

/* The nodes in another order are still a lattice. */
static void test_grid_renumbered(void **state) {
  Graph g, s, t;
  EmbedArgs a = {.rng = rng_seeded(1)};
  assert_int_equal(topology_chimera(rt, &g, 8, 8, 4), RT_OK);
  assert_int_equal(graph_grid(rt, &s, 11, 13, false), RT_OK);
  int32_t *uv = malloc((size_t)s.m * 2 * sizeof *uv);
  graph_edges(&s, uv);
  for (int64_t i = 0; i < 2 * s.m; i++) uv[i] = (int32_t)((uv[i] * 57 + 11) % 143);
  assert_int_equal(graph_make(rt, &t, s.n, s.m, uv, NULL), RT_OK);
  assert_int_equal(find(&t, &g, &a, "grid").longest, 2);
  free(uv);
  graph_free(rt, &t);
  graph_free(rt, &s);
  graph_free(rt, &g);
}

static void test_direct(void **state) {
  Graph c, p, s;
  EmbedArgs a = {.rng = rng_seeded(1)};
  assert_int_equal(topology_chimera(rt, &c, 4, 4, 4), RT_OK);
  assert_int_equal(topology_pegasus(rt, &p, 4, true, false), RT_OK);
  assert_int_equal(find(&c, &c, &a, "direct").longest, 1);           /* itself */
  assert_int_equal(graph_complete(rt, &s, 4), RT_OK);
  assert_int_equal(find(&s, &p, &a, "direct").longest, 1);           /* Pegasus holds K4 */
  graph_free(rt, &s);
  int32_t path[] = {3, 1, 1, 4, 4, 2, 2, 6};                         /* node 0, 5 absent */
  assert_int_equal(graph_make(rt, &s, 7, 4, path, (uint8_t[]){0, 1, 1, 1, 1, 0, 1}), RT_OK);
  EmbeddingStats x = find(&s, &c, &a, "direct");
  assert_int_equal(x.qubits, 5);
  graph_free(rt, &s);
  graph_free(rt, &c);
  graph_free(rt, &p);
}

/* Random cubic graphs and G(n, p) by the heuristic alone, twice the same. */
static void test_heuristic(void **state) {
  Graph c, z, s;
  Embedding e, f;
  assert_int_equal(topology_chimera(rt, &c, 12, 12, 4), RT_OK);
  assert_int_equal(topology_zephyr(rt, &z, 4, 4), RT_OK);
  for (int seed = 0; seed < 2; seed++) {
    EmbedArgs a = {.rng = rng_seeded(seed), .heuristic_only = true};
    assert_int_equal(graph_regular(rt, &s, rng_seeded(seed), 80, 3), RT_OK);
    EmbeddingStats x = find(&s, &c, &a, "heuristic");
    assert_true(x.qubits < 240 && x.longest < 8);
    assert_int_equal(embed_find(rt, &s, &c, &a, &e), RT_OK);
    assert_int_equal(embed_find(rt, &s, &c, &a, &f), RT_OK);
    assert_memory_equal(e.start, f.start, (size_t)(e.n + 1) * sizeof *e.start);
    assert_memory_equal(e.qubit, f.qubit, (size_t)e.start[e.n] * sizeof *e.qubit);
    embedding_free(rt, &e);
    embedding_free(rt, &f);
    graph_free(rt, &s);
    assert_int_equal(graph_random(rt, &s, rng_seeded(seed), 30, 0.3), RT_OK);
    find(&s, &z, &a, "heuristic");
    graph_free(rt, &s);
  }
  graph_free(rt, &z);
  graph_free(rt, &c);
}

static void test_impossible(void **state) {
  Graph g, s;
  Embedding e;
  EmbedArgs a = {.rng = rng_seeded(1), .tries = 2};
  assert_int_equal(topology_chimera(rt, &g, 1, 1, 4), RT_OK);
  assert_int_equal(graph_complete(rt, &s, 9), RT_OK);
  assert_int_equal(embed_find(rt, &s, &g, &a, &e), RT_ERROR);
  assert_non_null(strstr(rt->error.help, "more variables than"));
  graph_free(rt, &s);
  assert_int_equal(graph_complete(rt, &s, 8), RT_OK);
  assert_int_equal(embed_find(rt, &s, &g, &a, &e), RT_ERROR);
  assert_non_null(strstr(rt->error.help, "2 starts"));
  rt_interrupt(rt);
  assert_int_equal(embed_find(rt, &s, &g, &a, &e), RT_INTERRUPTED);
  atomic_store(&rt->interrupted, 0);
  graph_free(rt, &s);
  graph_free(rt, &g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cliques),   cmocka_unit_test(test_clique_limits),
      cmocka_unit_test(test_clique_defects), cmocka_unit_test(test_grids),
      cmocka_unit_test(test_grid_renumbered), cmocka_unit_test(test_direct),
      cmocka_unit_test(test_heuristic), cmocka_unit_test(test_impossible),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
