/* test_formats.c: problem files: small ones with values counted by hand, written and
 * read again; wrong ones refused; and the self-checks of the benchmark instances
 * where they are installed ($QA_DATA/instances or ../shared/instances).         */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "runtime/binary/problem.h"
#include "tests/runtime/fixture.h"

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

/* What the file's own sense counts for the 0/1 string. */
static double value_of(const Problem *p, ProblemSense s, const char *bits) {
  int8_t *spin = malloc((size_t)p->vars.n + 1), *x = malloc((size_t)p->vars.n + 1);
  for (int64_t i = 0; i < p->vars.n; i++) spin[i] = bits[i] == '1' ? 1 : -1;
  problem_values(p, spin, x);
  double e = poly_value(&p->objective, x);
  Reduced r;
  ok(problem_reduce(rt, p, &r));
  assert_true(fabs(ising_energy(&r.ising, spin) - e) <= 1e-9 * (1 + fabs(e)));
  reduced_free(rt, &r);
  free(spin);
  free(x);
  return s.sign * (e - s.shift) * s.factor;
}

static void read_one(const char *text, const char *name, int format, int found, const char *bits,
                     double value) {
  Problem p, q;
  ProblemSense s, t;
  ok(problem_decode(rt, text, strlen(text), name, format, &p, &s));
  assert_int_equal(s.format, found);
  assert_int_equal(p.vars.n, strlen(bits));
  assert_true(fabs(value_of(&p, s, bits) - value) < 1e-12);
  /* written and read again it counts the same */
  Buf b = {0};
  ok(problem_encode(rt, found, &p, &b));
  ok(problem_decode(rt, b.data, b.len, name, format, &q, &t));
  assert_int_equal(q.vars.n, p.vars.n);
  assert_true(fabs(value_of(&q, t, bits) - value) < 1e-12);
  buf_free(&b);
  problem_free(rt, &p);
  problem_free(rt, &q);
}

static void test_small(void **state) {
  read_one("3 2\n1 2 5\n2 3\n", "a.txt", -1, FILE_MAXCUT, "010", 6);
  read_one("3 2\n1 2 5\n2 3\n", "a.txt", -1, FILE_MAXCUT, "001", 1);
  read_one("3 3\n1 1 -4\n1 2 5\n2 3 -1\n", "a.sparse", -1, FILE_QUBO_MIN, "110", 6);
  read_one("c maximise\np qubo 0 3 1 1\nc Nodes\n2 2 4.5\nc Couplers\n0 2 -1e1\n", "a.qubo", -1,
           FILE_QUBO_MAX, "101", -5.5);
  read_one("c minimise\np qubo 0 3 1 1\n2 2 4.5\n0 2 -1e1\n", "a.qubo.gz", -1, FILE_QBSOLV, "101",
           -5.5);
  read_one("#\r\n1 2 -4\r\n2 2 0.5\r\n3 3 0\r\n", "a", -1, FILE_ISING, "101", 3.5);
  read_one("#\n1 2 -4\n2 2 0.5\n", "a", FILE_ISING_MAX, FILE_ISING_MAX, "10", 3.5);
  read_one("# vartype: SPIN\n0 1 2\n1 1 0.25", "a", -1, FILE_COO, "01", -1.75);
  read_one("# vartype = BINARY\n0 1 2\n1 1 0.25\n", "a", -1, FILE_COO, "11", 2.25);
}

static void refused(const char *text, const char *name, int format, const char *why) {
  Problem p;
  ProblemSense s;
  assert_int_equal(problem_decode(rt, text, strlen(text), name, format, &p, &s), RT_ERROR);
  if (!strstr(rt->error.message, why)) fail_msg("got: %s", rt->error.message);
}

static void test_refused(void **state) {
  refused("p qubo 0 3 1 1\n2 2 4\n0 2 1\n", "a.qubo", -1, "maximised or minimised");
  refused("0 1 2\n", "a", -1, "indices start at 0");
  refused("3 1\n1 1 2\n", "a.txt", -1, "may count once or twice");
  refused("", "a", -1, "no numbers");
  refused("3 2\n1 2 1\n", "a", -1, "announces 2 rows and holds 1");
  refused("3 1\n1 4 1\n", "a", -1, "line 2: an index is larger");
  refused("3 1\n0 2 1\n", "a.mc", FILE_MAXCUT, "indices start at 1");
  refused("3 1\n1 1 1\n", "a.mc", FILE_MAXCUT, "joins a node with itself");
  refused("3 2\n1 2 1\n2 1 1\n", "a.sparse", -1, "lists a pair twice");
  refused("1 2 x\n", "a", FILE_ISING, "line 1: expected two or three numbers");
  refused("1 2 nan\n", "a", FILE_ISING, "expected two or three");
  refused("1 2 1e999\n", "a", FILE_ISING, "expected two or three");
  refused("1.5 2 1\n", "a", FILE_ISING, "must be whole");
  refused("1 2\n", "a", FILE_ISING, "expected two indices and a number");
  refused("0 1 2\n", "a", FILE_COO, "no line \"# vartype");
  refused("p qubo 0 3\n", "a", FILE_QBSOLV, "needs four whole numbers");
}

static void test_not_writable(void **state) {
  Problem p;
  Poly left;
  int64_t first;
  Buf b = {0};
  problem_init(&p);
  ok(vars_add(rt, &p.vars, "x", VAR_BINARY, 1, (int64_t[]){3}, &first));
  ok(poly_add(rt, &p.objective, 1, 3, (int32_t[]){0, 1, 2}));
  assert_int_equal(problem_encode(rt, FILE_COO, &p, &b), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "three and more"));
  poly_free(rt, &p.objective);
  ok(poly_add(rt, &p.objective, 1, 2, (int32_t[]){0, 1}));
  assert_int_equal(problem_encode(rt, FILE_ISING, &p, &b), RT_ERROR);
  p.objective.constant = 1;
  assert_int_equal(problem_encode(rt, FILE_COO, &p, &b), RT_ERROR);
  ok(problem_encode(rt, FILE_BQM, &p, &b));
  Problem q;
  ProblemSense s;
  ok(problem_decode(rt, b.data, b.len, "a", -1, &q, &s));
  assert_true(s.format == FILE_BQM && q.vars.n == 3 && value_of(&q, s, "110") == 2);
  assert_string_equal(q.vars.array[0].name, "x");
  problem_free(rt, &q);
  b.len = 0;
  poly_init(&left);
  ok(poly_add(rt, &left, 1, 1, (int32_t[]){0}));
  ok(problem_constrain(rt, &p, "c", &left, REL_LE, NAN));
  assert_int_equal(problem_encode(rt, FILE_BQM, &p, &b), RT_ERROR);
  buf_free(&b);
  problem_free(rt, &p);
}

/* Names survive the container. */
static void test_bqm_names(void **state) {
  Problem p, q;
  ProblemSense s;
  int64_t first;
  Buf b = {0}, name = {0};
  problem_init(&p);
  ok(vars_add(rt, &p.vars, "x", VAR_SPIN, 2, (int64_t[]){2, 2}, &first));
  ok(vars_add(rt, &p.vars, "y", VAR_SPIN, 0, NULL, &first));
  ok(poly_add(rt, &p.objective, -1.5, 2, (int32_t[]){3, 4}));
  ok(problem_encode(rt, FILE_BQM, &p, &b));
  ok(problem_decode(rt, b.data, b.len, "a", -1, &q, &s));
  vars_name(&q.vars, 3, &name);
  assert_string_equal(name.data, "x[1, 1]");
  assert_true(vars_kind(&q.vars, 4) == VAR_SPIN && q.objective.two.c[0] == -1.5);
  buf_free(&b);
  buf_free(&name);
  problem_free(rt, &p);
  problem_free(rt, &q);
}

/* ---- installed instances ------------------------------------------------------------- */

static const char *folder(void) {
  static char path[4096];
  const char *set = getenv("QA_DATA");
  const char *const tries[] = {set ? set : ".", "../shared"};
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/instances", tries[i]);
    if (access(path, R_OK) == 0) return path;
  }
  return NULL;
}

static cJSON *load(const char *dir, const char *file) {
  char path[4200];
  Buf b = {0};
  snprintf(path, sizeof path, "%s/%s", dir, file);
  ok(file_read(rt, path, (size_t)1 << 28, &b));
  cJSON *j = cJSON_ParseWithLength(b.data, b.len);
  assert_non_null(j);
  buf_free(&b);
  return j;
}

static const char *text_of(const cJSON *o, const char *key) {
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static int format_of(const cJSON *o) {
  const char *kind = text_of(o, "kind");
  if (!strcmp(kind, "maxcut")) return FILE_MAXCUT;
  if (!strcmp(kind, "qubo-min")) return FILE_QUBO_MIN;
  if (!strcmp(kind, "qubo-max")) return FILE_QUBO_MAX;
  return strstr(text_of(o, "format"), "vartype") ? FILE_COO : FILE_ISING;
}

static void expect(const Problem *p, ProblemSense s, const char *bits, const cJSON *want,
                   const char *file) {
  double got = value_of(p, s, bits), value = cJSON_GetNumberValue(want);
  if (!(fabs(got - value) <= 1e-9 * (1 + fabs(value))))
    fail_msg("%s: %.9g, not %.9g", file, got, value);
}

static void test_instances(void **state) {
  const char *dir = folder();
  if (!dir) skip();
  cJSON *known = load(dir, "best_known.json"), *best = load(dir, "best_assignments.json");
  const cJSON *o;
  cJSON_ArrayForEach(o, cJSON_GetObjectItem(known, "instances")) {
    const char *file = text_of(o, "file");
    char path[4200];
    Problem p;
    ProblemSense s;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (access(path, R_OK)) continue;
    ok(problem_read(rt, path, -1, &p, &s));
    assert_int_equal(s.format, format_of(o));
    assert_int_equal(p.vars.n, cJSON_GetNumberValue(cJSON_GetObjectItem(o, "n")));
    char *bits = malloc((size_t)p.vars.n + 1);
    memset(bits, '1', (size_t)p.vars.n);
    expect(&p, s, bits, cJSON_GetObjectItem(o, "check_all_up"), file);
    for (int64_t i = 1; i < p.vars.n; i += 2) bits[i] = '0';
    expect(&p, s, bits, cJSON_GetObjectItem(o, "check_even_up"), file);
    free(bits);
    const cJSON *a = cJSON_GetObjectItemCaseSensitive(best, text_of(o, "name"));
    if (a) expect(&p, s, text_of(a, "assignment"), cJSON_GetObjectItem(a, "value"), file);
    problem_free(rt, &p);
  }
  cJSON_Delete(known);
  cJSON_Delete(best);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small),        cmocka_unit_test(test_refused),
      cmocka_unit_test(test_not_writable), cmocka_unit_test(test_bqm_names),
      cmocka_unit_test(test_instances),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
