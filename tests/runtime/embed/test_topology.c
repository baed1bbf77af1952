/* test_topology.c: annealers' graphs against the hashes, coordinates and
 * coupler groups of the reference generators (data/topology.txt).            */
#include "../fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "runtime/embed/embed.h"

static void hash_nodes(const Graph *g, char hex[65]) {
  Sha256 s;
  uint8_t h[32];
  char line[64];
  sha256_init(&s);
  for (int64_t v = 0; v < g->n; v++)
    if (g->present[v]) sha256_add(&s, line, (size_t)sprintf(line, "%lld\n", (long long)v));
  sha256_end(&s, h);
  sha256_hex(h, hex);
}

/* Lines "u v", u < v, by (u, v) or by (v, u). */
static void hash_edges(const Graph *g, bool by_second, char hex[65]) {
  Sha256 s;
  uint8_t h[32];
  char line[64];
  sha256_init(&s);
  for (int32_t u = 0; u < g->n; u++)
    for (int64_t k = g->start[u]; k < g->start[u + 1]; k++) {
      int32_t v = g->other[k];
      if (by_second ? v < u : v > u)
        sha256_add(&s, line, (size_t)sprintf(line, "%d %d\n", by_second ? v : u, by_second ? u : v));
    }
  sha256_end(&s, h);
  sha256_hex(h, hex);
}

static RtStatus build(Graph *g, const char *family, int m, int n, int t, const char *kind) {
  if (!strcmp(family, "chimera")) return topology_chimera(rt, g, m, n, t);
  if (!strcmp(family, "zephyr")) return topology_zephyr(rt, g, m, n);
  return topology_pegasus(rt, g, m, !strcmp(kind, "fabric"), !strcmp(kind, "nice"));
}

static void test_all_graphs(void **state) {
  Lines f = golden_open("topology.txt");
  int graphs = 0;
  for (char *line; (line = golden_line(&f, "graph"));) {
    char family[16], kind[16], nodes[65], edges[65], sapi[65], got[65];
    int m, n, t;
    long long count, couplers;
    assert_int_equal(sscanf(line, "%15s %d %d %d %15s %lld %lld %64s %64s %64s", family, &m, &n, &t,
                            kind, &count, &couplers, nodes, edges, sapi), 10);
    Graph g;
    assert_int_equal(build(&g, family, m, n, t, kind), RT_OK);
    assert_int_equal(g.nodes, count);
    assert_int_equal(g.m, couplers);
    hash_nodes(&g, got);
    assert_string_equal(got, nodes);
    hash_edges(&g, false, got);
    assert_string_equal(got, edges);
    hash_edges(&g, true, got);
    assert_string_equal(got, sapi);
    graph_free(rt, &g);
    graphs++;
  }
  assert_int_equal(graphs, 63);
  golden_close(&f);
}

static void check_coordinates(const Graph *g, int64_t q, const int *want, int k) {
  int c[5];
  assert_int_equal(topology_coordinates(g, q, c), k);
  for (int i = 0; i < k; i++) assert_int_equal(c[i], want[i]);
  assert_int_equal(topology_linear(g, want), q);
}

static void test_coordinates(void **state) {
  Lines f = golden_open("topology.txt");
  char *line;
  int m, n, t, c[5], e[5], seen = 0;
  long long q;
  Graph g;
  while ((line = golden_line(&f, "chimera"))) {
    assert_int_equal(sscanf(line, "%d %d %d %lld %d %d %d %d", &m, &n, &t, &q, c, c + 1, c + 2,
                            c + 3), 8);
    assert_int_equal(topology_chimera(rt, &g, m, n, t), RT_OK);
    check_coordinates(&g, q, c, 4);
    graph_free(rt, &g);
    seen++;
  }
  golden_rewind(&f);
  while ((line = golden_line(&f, "zephyr"))) {
    assert_int_equal(sscanf(line, "%d %d %lld %d %d %d %d %d", &m, &t, &q, c, c + 1, c + 2, c + 3,
                            c + 4), 8);
    assert_int_equal(topology_zephyr(rt, &g, m, t), RT_OK);
    check_coordinates(&g, q, c, 5);
    graph_free(rt, &g);
    seen++;
  }
  golden_rewind(&f);
  while ((line = golden_line(&f, "pegasus"))) {
    assert_int_equal(sscanf(line, "%d %lld %d %d %d %d %d %d %d %d %d", &m, &q, c, c + 1, c + 2,
                            c + 3, e, e + 1, e + 2, e + 3, e + 4), 11);
    assert_int_equal(topology_pegasus(rt, &g, m, false, false), RT_OK);
    check_coordinates(&g, q, c, 4);
    int nice[5];
    assert_int_equal(pegasus_nice(&g, q, nice), e[0] >= 0);
    if (e[0] >= 0) {
      assert_memory_equal(nice, e, sizeof e);
      assert_int_equal(pegasus_from_nice(&g, e), q);
    }
    graph_free(rt, &g);
    seen++;
  }
  assert_int_equal(seen, 18 + 28 + 36);
  golden_close(&f);
}

/* "q|members of group 0|members of group 1" for every qubit. */
static void test_zephyr_groups(void **state) {
  Lines f = golden_open("topology.txt");
  int m, t, seen = 0;
  char want[65], got[65], text[32];
  for (char *line; (line = golden_line(&f, "groups")); seen++) {
    assert_int_equal(sscanf(line, "%d %d %64s", &m, &t, want), 3);
    Graph g;
    Sha256 s;
    uint8_t h[32];
    assert_int_equal(topology_zephyr(rt, &g, m, t), RT_OK);
    sha256_init(&s);
    for (int64_t q = 0; q < g.n; q++) {
      sha256_add(&s, text, (size_t)sprintf(text, "%lld", (long long)q));
      for (int group = 0; group < 2; group++) {
        const char *mark = "|";
        if (g.start[q] == g.start[q + 1]) sha256_add(&s, mark, 1);
        int members = 0;
        for (int64_t k = g.start[q]; k < g.start[q + 1]; k++)
          if (zephyr_group(&g, q, g.other[k]) == group) {
            sha256_add(&s, members++ ? " " : mark, 1);
            sha256_add(&s, text, (size_t)sprintf(text, "%d", g.other[k]));
          }
      }
      sha256_add(&s, "\n", 1);
    }
    sha256_end(&s, h);
    sha256_hex(h, got);
    assert_string_equal(got, want);
    graph_free(rt, &g);
  }
  assert_int_equal(seen, 4);
  golden_close(&f);
}

static void test_defects(void **state) {
  Graph g, d, e;
  assert_int_equal(topology_chimera(rt, &g, 2, 2, 4), RT_OK);
  int32_t nodes[] = {0, 9}, pairs[] = {4, 1, 2, 6};
  assert_int_equal(topology_without(rt, &d, &g, 2, nodes, 2, pairs), RT_OK);
  assert_int_equal(d.nodes, 30);
  assert_int_equal(d.m, 80 - 5 - 5 - 2);           /* qubits 0 and 9 have 5 couplers each */
  assert_false(d.present[0]);
  assert_false(graph_adjacent(&d, 1, 4));
  assert_true(graph_adjacent(&d, 1, 5));
  assert_string_equal(d.family, "chimera");
  int32_t far[] = {32}, none[] = {0, 1};
  assert_int_equal(topology_without(rt, &e, &g, 1, far, 0, NULL), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "0 .. 31"));
  assert_int_equal(topology_without(rt, &e, &g, 0, NULL, 1, none), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "between 0 and 1"));
  graph_free(rt, &d);
  graph_free(rt, &g);
}

static void test_refused(void **state) {
  Graph g;
  assert_int_equal(topology_pegasus(rt, &g, 1, false, false), RT_ERROR);
  assert_int_equal(topology_chimera(rt, &g, 4, 0, 4), RT_ERROR);
  assert_int_equal(topology_zephyr(rt, &g, 2000000, 2000000), RT_ERROR);
  assert_int_equal(topology_chimera(rt, &g, 1, 1, 30000000), RT_ERROR);
  assert_int_equal(topology_named(rt, &g, "kagome", 1, (int[]){3}), RT_ERROR);
  assert_non_null(strstr(rt->error.help, "zephyr"));
  assert_int_equal(topology_named(rt, &g, "chimera", 1, (int[]){2}), RT_OK);
  assert_int_equal(g.n, 32);
  graph_free(rt, &g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_graphs),  cmocka_unit_test(test_coordinates),
      cmocka_unit_test(test_zephyr_groups), cmocka_unit_test(test_defects),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
