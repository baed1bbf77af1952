/* test_chains.c: chain strengths, embedded models, unembedding and spin reversal
 * against the reference's values (data/chains.txt), bit for bit; what is refused. */
#include "../fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "runtime/embed/embed.h"

/* ---- reading the golden lines ------------------------------------------------ */

static char *at;

static const char *word(void) { return strtok_r(NULL, " \n", &at); }
static double number(void) {
  const char *w = word();
  assert_non_null(w);
  return strtod(w, NULL);
}
static int integer(void) { return (int)number(); }

#define MOST 64
typedef struct {
  char kind[8];
  int n, m;
  double offset, h[MOST], c[MOST];
  int32_t uv[2 * MOST];
} Model;

static void read_model(Model *b) {
  snprintf(b->kind, sizeof b->kind, "%s", word());
  b->n = integer();
  b->offset = number();
  for (int i = 0; i < b->n; i++) b->h[i] = number();
  b->m = integer();
  for (int k = 0; k < b->m; k++) {
    b->uv[2 * k] = integer();
    b->uv[2 * k + 1] = integer();
    b->c[k] = number();
  }
}

static bool is_binary(const Model *b) { return !strcmp(b->kind, "BINARY"); }

static Ising spins(const Model *b) {
  Ising p;
  assert_int_equal((is_binary(b) ? ising_from_qubo : ising_make)(rt, &p, b->n, b->h, b->m, b->uv,
                                                                 b->c, b->offset), RT_OK);
  return p;
}

static void read_chains(Embedding *e, int n) {
  int64_t start[MOST] = {0};
  int32_t qubit[MOST];
  for (int v = 0; v < n; v++) {
    start[v + 1] = start[v] + integer();
    for (int64_t k = start[v]; k < start[v + 1]; k++) qubit[k] = integer();
  }
  assert_int_equal(embedding_make(rt, e, n, start, qubit, "given"), RT_OK);
}

static void read_graph(Graph *g) {
  int n = integer(), m = integer();
  int32_t uv[2 * MOST];
  for (int k = 0; k < 2 * m; k++) uv[k] = integer();
  assert_int_equal(graph_make(rt, g, n, m, uv, NULL), RT_OK);
}

static char *next(Lines *f, const char *kind) {
  char *line = golden_line(f, kind);
  return line ? strtok_r(line, " \n", &at) : NULL;
}

/* The same biases and couplings, bit for bit. */
static void assert_model(const Ising *p, const Model *b) {
  assert_int_equal(p->n, b->n);
  assert_int_equal(p->m, b->m);
  assert_true(p->offset == b->offset);
  for (int i = 0; i < b->n; i++) assert_true(p->h[i] == b->h[i]);
  for (int k = 0; k < b->m; k++) {
    int found = 0;
    for (int64_t i = p->start[b->uv[2 * k]]; i < p->start[b->uv[2 * k] + 1]; i++)
      found += p->other[i] == b->uv[2 * k + 1] && p->J[i] == b->c[k];
    assert_int_equal(found, 1);
  }
}

/* ---- tests --------------------------------------------------------------------- */

static void test_strengths(void **state) {
  Lines f = golden_open("chains.txt");
  Model b;
  int seen = 0;
  for (; next(&f, "strength"); seen++) {
    read_model(&b);
    Ising p;                   /* the biases as they are, in either kind */
    assert_int_equal(ising_make(rt, &p, b.n, b.h, b.m, b.uv, b.c, b.offset), RT_OK);
    assert_true(chain_strength_torque(&p, 1.414) == number());
    assert_true(chain_strength_torque(&p, 2) == number());
    assert_true(chain_strength_scaled(&p, 1) == number());
    assert_true(chain_strength_scaled(&p, 1.5) == number());
    ising_free(rt, &p);
  }
  assert_int_equal(seen, 7);
  golden_close(&f);
}

static void assert_qubo(const Ising *p, const Model *b) {
  double *a, *c, offset;
  assert_int_equal(ising_to_qubo(rt, p, &a, &c, &offset), RT_OK);
  Ising q = *p;
  q.h = a;
  q.J = c;
  q.offset = offset;
  assert_model(&q, b);
  rt_free(rt, a, (size_t)p->n * sizeof *a);
  rt_free(rt, c, (size_t)(2 * p->m) * sizeof *c);
}

static void test_embedded_models(void **state) {
  Lines f = golden_open("chains.txt");
  int seen = 0;
  for (; next(&f, "embed"); seen++) {
    Model b, want;
    Embedding e;
    Graph g;
    double strength[MOST];
    read_model(&b);
    read_chains(&e, b.n);
    read_graph(&g);
    for (int v = 0; v < b.n; v++) strength[v] = number();
    Ising p = spins(&b), out;
    assert_int_equal(embed_ising(rt, &p, &e, &g, strength, &out), RT_OK);
    read_model(&want);
    assert_model(&out, &want);
    if (is_binary(&b)) {
      read_model(&want);
      assert_qubo(&out, &want);
    }
    ising_free(rt, &p);
    ising_free(rt, &out);
    embedding_free(rt, &e);
    graph_free(rt, &g);
  }
  assert_int_equal(seen, 7);
  golden_close(&f);
}

/* Values as the file has them: spins, or 0/1. */
static int8_t spin_of(const Model *b, int value) {
  return (int8_t)(is_binary(b) ? 2 * value - 1 : value);
}

static void check_method(const Model *b, const Ising *p, const Embedding *e, const Samples *rows,
                         UnembedHow how) {
  Samples out;
  assert_int_equal(unembed(rt, rows, e, p, how, rng_seeded(1), &out), RT_OK);
  assert_int_equal(out.rows, integer());
  for (int64_t i = 0; i < out.rows * out.n; i++)
    assert_int_equal(out.spin[i], spin_of(b, integer()));
  for (int64_t r = 0; r < out.rows; r++) assert_true(out.energy[r] == number());
  for (int64_t r = 0; r < out.rows; r++) assert_int_equal(out.count[r], integer());
  for (int64_t r = 0; r < out.rows; r++) assert_true(out.breaks[r] == (float)number());
  samples_free(rt, &out);
}

static void test_unembedding(void **state) {
  Lines f = golden_open("chains.txt");
  int seen = 0;
  for (; next(&f, "unembed"); seen++) {
    Model b;
    Embedding e;
    Samples rows;
    read_model(&b);
    read_chains(&e, b.n);
    int qubits = integer(), count = integer();
    assert_int_equal(samples_make(rt, &rows, count, qubits), RT_OK);
    for (int i = 0; i < count * qubits; i++) rows.spin[i] = spin_of(&b, integer());
    for (int r = 0; r < count; r++) rows.count[r] = integer();
    Ising p = spins(&b);
    check_method(&b, &p, &e, &rows, UNEMBED_MAJORITY);
    check_method(&b, &p, &e, &rows, UNEMBED_DISCARD);
    check_method(&b, &p, &e, &rows, UNEMBED_ENERGY);
    ising_free(rt, &p);
    samples_free(rt, &rows);
    embedding_free(rt, &e);
  }
  assert_int_equal(seen, 3);
  golden_close(&f);
}

/* One qubit of the chain speaks in all rows; which one depends on the seed. */
static void test_weighted(void **state) {
  Embedding e;
  Samples rows, out;
  Ising p;
  assert_int_equal(embedding_make(rt, &e, 1, (int64_t[]){0, 4}, (int32_t[]){0, 1, 2, 3}, "given"), 0);
  assert_int_equal(samples_make(rt, &rows, 4, 4), RT_OK);
  assert_int_equal(ising_make(rt, &p, 1, NULL, 0, NULL, NULL, 0), RT_OK);
  for (int r = 0; r < 4; r++)
    for (int q = 0; q < 4; q++) rows.spin[4 * r + q] = q == r ? 1 : -1;
  int chosen[4] = {0};
  for (int seed = 0; seed < 200; seed++) {
    assert_int_equal(unembed(rt, &rows, &e, &p, UNEMBED_WEIGHTED, rng_seeded(seed), &out), RT_OK);
    int up = 0;
    for (int r = 0; r < 4; r++)
      if (out.spin[r] == 1) up++, chosen[r]++;
    assert_int_equal(up, 1);
    samples_free(rt, &out);
  }
  for (int q = 0; q < 4; q++) assert_in_range(chosen[q], 25, 80);    /* 50 expected, sd 6 */
  ising_free(rt, &p);
  samples_free(rt, &rows);
  embedding_free(rt, &e);
}

static void test_reversal(void **state) {
  Lines f = golden_open("chains.txt");
  int seen = 0;
  for (; next(&f, "reversal"); seen++) {
    Model b, want;
    int8_t g[MOST];
    read_model(&b);
    for (int i = 0; i < b.n; i++) g[i] = (int8_t)integer();
    read_model(&want);
    Ising p = spins(&b), out;
    assert_int_equal(ising_gauge(rt, &p, g, &out), RT_OK);
    if (is_binary(&b)) assert_qubo(&out, &want);
    else assert_model(&out, &want);
    ising_free(rt, &p);
    ising_free(rt, &out);
  }
  assert_int_equal(seen, 8);
  golden_close(&f);
}

static void test_conversion(void **state) {
  Lines f = golden_open("chains.txt");
  int seen = 0;
  for (; next(&f, "convert"); seen++) {
    Model b, want;
    read_model(&b);
    Ising p = spins(&b);
    read_model(&want);
    assert_model(&p, &want);
    read_model(&want);
    assert_qubo(&p, &want);
    ising_free(rt, &p);
  }
  assert_int_equal(seen, 3);
  golden_close(&f);
}

static void test_errors(void **state) {
  Lines f = golden_open("chains.txt");
  int seen = 0;
  for (char *what; (what = next(&f, "error")); seen++) {
    Embedding e;
    Graph g, triangle;
    read_chains(&e, 3);
    read_graph(&g);
    assert_int_equal(graph_complete(rt, &triangle, 3), RT_OK);
    assert_int_equal(embedding_check(rt, &e, &triangle, &g), RT_ERROR);
    assert_int_equal(strncmp(rt->error.message, what, strlen(what)), 0);
    embedding_free(rt, &e);
    graph_free(rt, &g);
    graph_free(rt, &triangle);
  }
  assert_int_equal(seen, 4);
  golden_close(&f);
}

/* Chains outside the target and chains that share a qubit. */
static void test_more_errors(void **state) {
  Embedding e;
  Graph g, pair;
  assert_int_equal(graph_complete(rt, &g, 4), RT_OK);
  assert_int_equal(graph_complete(rt, &pair, 2), RT_OK);
  assert_int_equal(embedding_make(rt, &e, 2, (int64_t[]){0, 1, 2}, (int32_t[]){0, 4}, "given"), 0);
  assert_int_equal(embedding_check(rt, &e, &pair, &g), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "qubit 4 of the chain of variable 1"));
  e.qubit[1] = 0;
  assert_int_equal(embedding_check(rt, &e, &pair, &g), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "Overlap"));
  e.qubit[1] = 3;
  assert_int_equal(embedding_check(rt, &e, &pair, &g), RT_OK);
  embedding_free(rt, &e);
  graph_free(rt, &g);
  graph_free(rt, &pair);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_strengths),  cmocka_unit_test(test_embedded_models),
      cmocka_unit_test(test_unembedding), cmocka_unit_test(test_weighted),
      cmocka_unit_test(test_reversal),   cmocka_unit_test(test_conversion),
      cmocka_unit_test(test_errors),     cmocka_unit_test(test_more_errors),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
