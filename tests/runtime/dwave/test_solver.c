/* test_solver.c: choosing solvers, access times, parameters, request bodies,
 * upload sums against the stored vectors of the reference client.            */
#include <math.h>

#include "runtime/dwave/dwave.h"
#include "runtime/embed/embed.h"
#include "vectors.h"

static int open_rt(void **state) { return !(*state = rt_open()); }
static int close_rt(void **state) {
  Rt *rt = *state;
  rt_trim(rt);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
  return 0;
}

static void test_selection(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "misc");
  const cJSON *all = js_get(v, "solver_selection"), *list = js_get(all, "solvers");
  int cases = 0;
  for (const cJSON *c = js_get(all, "queries")->child; c; c = c->next, cases++) {
    cJSON *want = cJSON_Duplicate(js_get(c, "filters"), 1);
    cJSON_AddItemToObject(want, "order_by", cJSON_Duplicate(cJSON_GetObjectItem(c, "order_by"), 1));
    int32_t *index = NULL;
    int64_t n = 0, i = 0;
    RtStatus s = dw_select(rt, list, want, &index, &n);
    const cJSON *names = js_get(c, "names");
    assert_int_equal(s, names ? RT_OK : RT_ERROR);
    for (const cJSON *x = names ? names->child : NULL; x; x = x->next, i++) {
      assert_true(i < n);
      const cJSON *solver = cJSON_GetArrayItem(list, index[i]);
      assert_string_equal(js_text(js_get(solver, "identity"), "name"), x->valuestring);
    }
    assert_int_equal(i, n);
    if (index) rt_free(rt, index, (size_t)cJSON_GetArraySize(list) * 4);
    cJSON_Delete(want);
  }
  assert_int_equal(cases, 61);
  cJSON_Delete(v);
}

static void test_access_time(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "misc");
  int cases = 0;
  for (const cJSON *m = js_get(v, "access_time")->child; m; m = m->next) {
    cJSON *p = cJSON_CreateObject();
    cJSON_AddItemToObject(p, "problem_timing_data",
                          cJSON_Duplicate(js_get(m, "problem_timing_data"), 1));
    for (const cJSON *c = js_get(m, "cases")->child; c; c = c->next, cases++) {
      double n = 0, want = 0, got;
      const cJSON *a = js_get(c, "arguments");
      assert_true(js_number(a, "num_qubits", &n) && js_number(c, "microseconds", &want));
      cJSON *params = cJSON_Duplicate(a, 1);
      /* the estimator's own default, which is not the service's */
      if (js_get(a, "initial_state") && !js_get(a, "reinitialize_state"))
        cJSON_AddFalseToObject(params, "reinitialize_state");
      assert_int_equal(dw_access_time(rt, p, params, (int64_t)n, &got), RT_OK);
      if (got != want) print_error("%.17g, expected %.17g\n", got, want);
      assert_true(fabs(got - want) <= 4e-16 * want);
      cJSON_Delete(params);
    }
    cJSON_Delete(p);
  }
  assert_int_equal(cases, 44);
  const cJSON *most = js_get(v, "max_num_reads");
  for (const cJSON *c = js_get(most, "cases")->child; c; c = c->next) {
    double want = 0;
    assert_true(js_number(c, "max_num_reads", &want));
    assert_int_equal(dw_max_reads(js_get(most, "properties"), js_get(c, "params")), (int64_t)want);
  }
  cJSON_Delete(v);
}

static const char chip_json[] =
    "{\"identity\":{\"name\":\"S\",\"version\":{\"graph_id\":\"g1\"}},\"status\":\"ONLINE\","
    "\"avg_load\":0.1,\"properties\":{\"category\":\"qpu\",\"num_qubits\":9,"
    "\"qubits\":[0,1,2,4],\"couplers\":[[0,1],[1,2],[0,4]],\"h_range\":[-4,4],"
    "\"extended_j_range\":[-2,1],\"num_reads_range\":[1,100],\"annealing_time_range\":[0.5,2000],"
    "\"fast_anneal_time_range\":[0.005,83],\"default_annealing_time\":20,"
    "\"problem_run_duration_range\":[0,10000],\"h_gain_schedule_range\":[-3,3],"
    "\"max_anneal_schedule_points\":4,\"max_h_gain_schedule_points\":3,"
    "\"default_programming_thermalization\":1000,\"default_readout_thermalization\":0,"
    "\"anneal_offset_ranges\":[[-0.1,0.1],[-0.1,0.1],[-0.1,0.1],[0,0],[-0.1,0.1],[0,0],[0,0],[0,0],"
    "[0,0]],"
    "\"topology\":{\"type\":\"chimera\",\"shape\":[1,1,4]},\"supported_problem_types\":[\"ising\"],"
    "\"parameters\":{\"num_reads\":\"n\",\"annealing_time\":null,\"anneal_schedule\":\"\","
    "\"answer_mode\":\"\",\"auto_scale\":\"\",\"fast_anneal\":\"\",\"flux_biases\":\"\","
    "\"anneal_offsets\":\"\",\"h_gain_schedule\":\"\",\"initial_state\":\"\","
    "\"reinitialize_state\":\"\",\"readout_thermalization\":\"\"}}}";

static void solver_of(Rt *rt, DwSolver *s) {
  cJSON *d = js_read(rt, chip_json, strlen(chip_json), 10000, "solver");
  assert_non_null(d);
  assert_int_equal(dw_solver_parse(rt, d, s), RT_OK);
}

static void test_parameters(void **state) {
  Rt *rt = *state;
  static const struct {
    const char *params;
    const char *error;
  } t[] = {
      {"{}", NULL},
      {"{\"num_reads\":100,\"annealing_time\":50.5,\"x_free\":[1]}", NULL},
      {"{\"nums_reads\":1}", "no parameter"},
      {"{\"num_reads\":101}", "num_reads is 101"},
      {"{\"num_reads\":1.5}", "positive integer"},
      {"{\"annealing_time\":0.1}", "annealing_time is 0.1 us"},
      {"{\"annealing_time\":1000,\"num_reads\":20}", "run longer"},
      {"{\"annealing_time\":20,\"anneal_schedule\":[[0,0],[20,1]]}", "exclude each other"},
      {"{\"anneal_schedule\":[[0,0],[10,0.5],[20,1]]}", NULL},
      {"{\"anneal_schedule\":[[0,0],[20,0.5]]}", "s = 1 at the end"},
      {"{\"anneal_schedule\":[[0,0],[0,1]]}", "begin at 0 and grow"},
      {"{\"anneal_schedule\":[[0,0],[0.2,1]]}", "at most 2/us"},
      {"{\"anneal_schedule\":[[0,0],[1,0.1],[2,0.2],[3,0.3],[4,1]]}", "has 5 points"},
      {"{\"anneal_schedule\":[[0,1],[5,0.5],[10,1]]}", "needs initial_state"},
      {"{\"anneal_schedule\":[[0,1],[5,0.5],[10,1]],\"initial_state\":{\"0\":1,\"1\":-1}}", NULL},
      {"{\"anneal_schedule\":[[0,1],[5,0.5],[10,1]],\"initial_state\":{\"0\":1}}",
       "qubit 1, which is used"},
      {"{\"anneal_schedule\":[[0,1],[5,0.5],[10,1]],\"initial_state\":[1,2,3]}", "has 3 entries"},
      {"{\"fast_anneal\":true,\"annealing_time\":0.01}", "take no fields h"},
      {"{\"fast_anneal\":1}", "true or false"},
      {"{\"h_gain_schedule\":[[0,0],[20,2]]}", NULL},
      {"{\"h_gain_schedule\":[[0,0],[10,2]]}", "ends at 10 us, the anneal at 20"},
      {"{\"h_gain_schedule\":[[0,0],[20,4]]}", "takes -3 to 3"},
      {"{\"flux_biases\":[0,0,0,0,0,0,0,0,1e-5]}", NULL},
      {"{\"flux_biases\":[0,0,0,0,0,0,0,0,1e-5],\"auto_scale\":true}", "auto_scale"},
      {"{\"anneal_offsets\":[0.2,0,0,0,0,0,0,0,0]}", "anneal_offsets of qubit 0 is 0.2"},
      {"{\"answer_mode\":\"all\"}", "\"raw\" or"},
      {"{\"auto_scale\":false}", "a coupling J is 1.5"}};
  DwSolver s;
  solver_of(rt, &s);
  int32_t q[] = {0, 1}, uv[] = {0, 1};
  double lin[] = {0.5, -1}, quad[] = {1.5};
  QpModel m = {.n = 2, .m = 1, .qubit = q, .lin = lin, .uv = uv, .quad = quad};
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    cJSON *p = js_read(rt, t[i].params, strlen(t[i].params), 1000, "params");
    RtStatus st = dw_params_check(rt, &s, &m, p);
    if (st != (t[i].error ? RT_ERROR : RT_OK))
      print_error("%s: %s\n", t[i].params, rt->error.message);
    assert_int_equal(st, t[i].error ? RT_ERROR : RT_OK);
    if (t[i].error && !strstr(rt->error.message, t[i].error))
      print_error("%s\n", rt->error.message);
    if (t[i].error) assert_non_null(strstr(rt->error.message, t[i].error));
    cJSON_Delete(p);
  }
  Graph g;
  assert_int_equal(dw_solver_graph(rt, &s, &g), RT_OK);
  assert_int_equal(g.n, 9);
  assert_int_equal(g.nodes, 4);
  assert_int_equal(g.m, 3);
  assert_true(graph_adjacent(&g, 4, 0) && !graph_adjacent(&g, 2, 0) && !g.present[3]);
  assert_string_equal(g.family, "chimera");
  graph_free(rt, &g);
  dw_solver_free(rt, &s);
}

/* Sums of couplings, where the service does not scale: of a qubit, or of each of its two
 * groups on Zephyr. */
static void test_coupling_sums(void **state) {
  Rt *rt = *state;
  Graph g;
  assert_int_equal(topology_zephyr(rt, &g, 2, 4), RT_OK);
  int32_t *edges = malloc((size_t)g.m * 8), at[2][3], n[2] = {0, 0};
  graph_edges(&g, edges);
  for (int64_t k = g.start[0]; k < g.start[1]; k++) {
    int group = zephyr_group(&g, 0, g.other[k]);
    assert_true(group == 0 || group == 1);
    if (n[group] < 3) at[group][n[group]++] = g.other[k];
  }
  assert_true(n[0] == 3 && n[1] >= 1);
  for (int per_group = 0; per_group < 2; per_group++) {
    Buf text = {0};
    buf_format(&text, "{\"identity\":{\"name\":\"Z\"},\"properties\":{\"category\":\"qpu\",\"num_qubits\":%d,"
               "\"parameters\":{\"auto_scale\":null},\"topology\":{\"type\":\"zephyr\",\"shape\":[2,4]},"
               "\"%s\":[-2.5,2.5],\"qubits\":[0", (int)g.n,
               per_group ? "per_group_coupling_range" : "per_qubit_coupling_range");
    for (int64_t q = 1; q < g.n; q++) buf_format(&text, ",%d", (int)q);
    buf_text(&text, "],\"couplers\":[");
    for (int64_t k = 0; k < g.m; k++)
      buf_format(&text, "%s[%d,%d]", k ? "," : "", edges[2 * k], edges[2 * k + 1]);
    buf_text(&text, "]}}");
    DwSolver s;
    assert_int_equal(dw_solver_parse(rt, js_read(rt, text.data, text.len, 1 << 20, "s"), &s), RT_OK);
    /* two couplers of one group, one of the other: fits each group, not the whole qubit */
    int32_t uv[] = {at[0][0], 0, 0, at[0][1], 0, at[1][0], 0, at[0][2]};
    double one[] = {1, 1, 1, 1}, less[] = {-1, -1, -1, -1};
    cJSON *fixed = cJSON_Parse("{\"auto_scale\":false}"), *scaled = cJSON_CreateObject();
    QpModel m = {.m = 3, .uv = uv, .quad = one};
    assert_int_equal(dw_params_check(rt, &s, &m, fixed), per_group ? RT_OK : RT_ERROR);
    if (!per_group) assert_non_null(strstr(rt->error.message, "qubit 0 add up to 3"));
    m.m = 4; /* three of group 0 */
    m.quad = less;
    assert_int_equal(dw_params_check(rt, &s, &m, fixed), RT_ERROR);
    assert_non_null(strstr(rt->error.message, per_group ? "a group of qubit 0 add up to -3" : "to -4"));
    assert_int_equal(dw_params_check(rt, &s, &m, scaled), RT_OK);
    cJSON_Delete(fixed);
    cJSON_Delete(scaled);
    dw_solver_free(rt, &s);
    buf_free(&text);
  }
  free(edges);
  graph_free(rt, &g);
}

static void test_initial_states(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "misc");
  for (const cJSON *c = js_get(v, "initial_state")->child; c; c = c->next) {
    double n = 0;
    assert_true(js_number(c, "num_qubits", &n));
    DwSolver s;
    solver_of(rt, &s);
    int32_t none[1] = {0};
    chip_free(rt, &s.chip);
    assert_int_equal(chip_make(rt, &s.chip, (int64_t)n, 0, none, 0, none), RT_OK);
    QpModel m = {.qubo = !strcmp(js_text(c, "type"), "qubo")};
    cJSON *p = cJSON_CreateObject(), *given = cJSON_Duplicate(js_get(c, "initial_state"), 1);
    if (!strcmp(js_text(c, "given_as"), "map")) {
      cJSON *map = cJSON_CreateObject();
      for (const cJSON *pair = given->child; pair; pair = pair->next) {
        char key[16];
        snprintf(key, sizeof key, "%d", pair->child->valueint);
        cJSON_AddNumberToObject(map, key, pair->child->next->valuedouble);
      }
      cJSON_Delete(given);
      given = map;
    }
    cJSON_AddItemToObject(p, "initial_state", given);
    assert_int_equal(dw_params_check(rt, &s, &m, p), RT_OK);
    assert_true(cJSON_Compare(js_get(p, "initial_state"), js_get(c, "sent"), 1));
    cJSON_Delete(p);
    dw_solver_free(rt, &s);
  }
  cJSON_Delete(v);
}

/* ---- whole requests ------------------------------------------------------------ */

static void sha_of(const Buf *b, char hex[65]) {
  Sha256 sha;
  uint8_t h[32];
  sha256_init(&sha);
  sha256_add(&sha, b->data, b->len);
  sha256_end(&sha, h);
  sha256_hex(h, hex);
}

/* Bodies that the real service received, byte for byte: Advantage2_system1.5 has
 * 4594 qubits, of which 0, 1 and 12 were used.  Their places in the solver's list
 * are found by the recorded sum of `lin`.                                        */
static void test_live_requests(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "live_v3");
  int posts = 0;
  for (const cJSON *rec = js_get(v, "recordings")->child; rec; rec = rec->next)
    for (const cJSON *e = js_get(rec, "exchanges")->child; e; e = e->next) {
      const cJSON *answer = js_get(e, "answer"), *decoded = js_get(e, "decoded");
      if (answer) {
        QpAnswer a;
        bool qubo = strstr(js_text(rec, "cassette"), "qubo") != NULL;
        assert_int_equal(qp_answer_decode(rt, answer, qubo, 0, &a), RT_OK);
        int64_t r = 0;
        for (const cJSON *row = js_get(decoded, "samples")->child; row; row = row->next, r++) {
          int64_t i = 0;
          for (const cJSON *x = row->child; x; x = x->next)
            assert_int_equal(x->valueint, a.value[r * a.n + i++]);
        }
        assert_int_equal(r, a.rows);
        r = 0;
        for (const cJSON *x = js_get(decoded, "num_occurrences")->child; x; x = x->next)
          assert_int_equal(x->valueint, a.count[r++]);
        qp_answer_free(rt, &a);
      }
      if (strcmp(js_text(e, "method"), "POST")) continue;
      posts++;
      bool one = !*js_text(e, "quad");
      char hex[65];
      int32_t *q = malloc(4594 * 4), uv[6] = {0, 1, 0, 12, 1, 12};
      double lin[3] = {one ? 1 : 0, 0, 0}, quad[3] = {1, 1, 1};
      int32_t used[3] = {0, 1, 12};
      Buf l = {0}, k = {0};
      Chip chip = {0};
      int place = 2;
      for (; place < 20; place++) { /* the place of qubit 12 */
        for (int i = 0, id = 2; i < 4594; i++)
          q[i] = i < 2 ? i : i == place ? 12 : id++ == 12 ? id++ : id - 1;
        assert_int_equal(chip_make(rt, &chip, 4800, 4594, q, 3, uv), RT_OK);
        l.len = k.len = 0;
        QpModel m = {.qubo = false,
                     .n = one ? 1 : 3,
                     .m = one ? 0 : 3,
                     .qubit = used,
                     .lin = lin,
                     .uv = uv,
                     .quad = quad};
        assert_int_equal(qp_encode(rt, &chip, &m, &l, &k), RT_OK);
        sha_of(&l, hex);
        if (!strcmp(hex, js_text(e, "lin_sha256"))) break;
        chip_free(rt, &chip);
      }
      if (place == 20) print_error("%s: lin not found\n", js_text(rec, "cassette"));
      assert_int_not_equal(place, 20);
      assert_string_equal(k.data ? k.data : "", js_text(e, "quad"));
      DwSolver s = {.json = cJSON_CreateObject(), .chip = chip};
      cJSON_AddItemToObject(s.json, "identity",
                            cJSON_Duplicate(js_get(js_get(v, "solver"), "identity"), 1));
      QpModel m = {
          .n = one ? 1 : 3, .m = one ? 0 : 3, .qubit = used, .lin = lin, .uv = uv, .quad = quad};
      DwProblem p = {
          .solver = &s, .type = js_text(e, "type"), .qp = &m, .params = js_get(e, "params")};
      Buf body = {0};
      assert_int_equal(dw_problem_body(rt, &p, NULL, &body), RT_OK);
      double bytes = 0;
      assert_true(js_number(e, "request_inflated_bytes", &bytes));
      if (cJSON_GetArraySize(js_get(e, "keys")) == 4) { /* the fifth is a label, not recorded */
        sha_of(&body, hex);
        assert_int_equal(body.len, (size_t)bytes);
        assert_string_equal(hex, js_text(e, "request_inflated_sha256"));
      }
      buf_free(&body), buf_free(&l), buf_free(&k);
      dw_solver_free(rt, &s);
      free(q);
    }
  assert_int_equal(posts, 4);
  cJSON_Delete(v);
}

static void test_upload_sums(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "upload");
  uint8_t *p = malloc(10486994);
  int cases = 0;
  for (const cJSON *c = js_get(v, "cases")->child; c; c = c->next, cases++) {
    double total = 0, part = 0;
    char hex[33];
    assert_true(js_number(c, "total_size", &total) && js_number(c, "part_size", &part));
    for (size_t i = 0; i < (size_t)total; i++)
      p[i] = (uint8_t)(31 * i + 7 * (i >> 8) + 13 * (i >> 16));
    if (!strncmp(js_text(c, "data"), "ascii", 5)) memcpy(p, "123", 3);
    size_t at = 0;
    for (const cJSON *x = js_get(c, "parts")->child; x; x = x->next) {
      double size = 0;
      uint8_t md5[16];
      Buf b64 = {0};
      assert_true(js_number(x, "size", &size));
      dw_part_sum(p + at, (size_t)size, md5);
      md5_hex(md5, hex);
      base64_encode(md5, 16, &b64);
      assert_string_equal(hex, js_text(x, "checksum"));
      assert_string_equal(b64.data, js_text(x, "content_md5"));
      buf_free(&b64);
      at += (size_t)size;
    }
    dw_combine_sum(p, (size_t)total, (size_t)part, hex);
    assert_string_equal(hex, js_text(c, "combine_checksum"));
  }
  assert_int_equal(cases, 7);
  free(p);
  cJSON_Delete(v);
}

static void test_time_limits(void **state) {
  (void)state;
  static const char text[] =
      "{\"minimum_time_limit\":[[1,3],[1024,3],[4096,10],[10000,40],[30000,200],"
      "[100000,600],[1000000,600]]}";
  cJSON *p = cJSON_Parse(text);
  assert_true(dw_min_time_limit(p, 1) == 3 && dw_min_time_limit(p, 1024) == 3);
  assert_true(fabs(dw_min_time_limit(p, 2560) - 6.5) < 1e-12);
  assert_true(fabs(dw_min_time_limit(p, 20000) - 120) < 1e-12);
  assert_true(dw_min_time_limit(p, 5e6) == 600);
  cJSON_Delete(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_selection),     cmocka_unit_test(test_access_time),
      cmocka_unit_test(test_parameters),    cmocka_unit_test(test_initial_states),
      cmocka_unit_test(test_live_requests), cmocka_unit_test(test_upload_sums),
      cmocka_unit_test(test_time_limits),    cmocka_unit_test(test_coupling_sums)};
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
