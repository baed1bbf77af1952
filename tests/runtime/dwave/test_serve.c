/* test_serve.c: the local service through our own client and through plain requests. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "runtime/dwave/private.h"
#include "runtime/dwave/serve.h"

#define TOKEN "DEV-0123456789abcdef0123456789abcdef01234567"

static char folder[64];

static int open_all(void **state) {
  strcpy(folder, "/tmp/qa-serve-XXXXXX");
  if (!mkdtemp(folder) || setenv("QA_JOBS", folder, 1)) return 1;
  return !(*state = rt_open());
}

static int close_all(void **state) {
  Rt *rt = *state;
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (e->d_name[0] != '.') unlink(path);
  }
  if (d) closedir(d);
  rmdir(folder);
  rt_trim(rt);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
  return 0;
}

static const char *no_env(void *u, const char *name) {
  (void)u, (void)name;
  return NULL;
}

static void client(Rt *rt, const Sapi *s, const char *token, DwClient *c) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/sapi/v2/", sapi_port(s));
  DwArg arg[] = {{"endpoint", url, TRUST_USER},
                 {"token", token, TRUST_USER},
                 {"http_retry_total", "1", TRUST_USER},
                 {"poll_wait_time", "5", TRUST_USER}};
  DwSources src = {.no_files = true, .arg = arg, .n_arg = 4, .env = no_env};
  DwConfig config;
  assert_int_equal(dw_config_load(rt, &src, &config), RT_OK);
  assert_int_equal(dw_open(rt, c, &config), RT_OK);
  c->retry_min = c->retry_max = 0.01;
}

typedef struct {
  Rt *rt;
  Sapi *s;
  DwClient c;
  DwSolver chip;
} Set;

static Set begin(void **state, SapiOptions o) {
  Set t = {.rt = *state};
  if (!o.token) o.token = TOKEN;
  if (!o.topology) o.topology = "chimera:2";
  assert_int_equal(sapi_start(t.rt, &o, &t.s), RT_OK);
  client(t.rt, t.s, o.token, &t.c);
  assert_int_equal(dw_solver_get(&t.c, NULL, false, &t.chip), RT_OK);
  return t;
}

static void end(Set *t) {
  dw_solver_free(t->rt, &t->chip);
  dw_close(&t->c);
  sapi_stop(t->s);
}

/* One request; the status, the body in *reply. */
static long ask(Set *t, const char *method, const char *path, const char *body, Buf *reply) {
  DwRequest q = {
      .method = method, .path = path, .body = body, .size = body ? strlen(body) : 0, .loose = true};
  DwReply r = {0};
  dw_request(&t->c, &q, &r);
  long status = r.status;
  if (reply) buf_free(reply), *reply = r.body, r.body = (Buf){0};
  dw_reply_free(&r);
  return status;
}

/* Chimera 2: qubits 0..3 against 4..7 in the first cell. */
static const int32_t qubits[4] = {0, 1, 4, 5}, pairs[8] = {0, 4, 0, 5, 1, 4, 1, 5};
static const double fields[4] = {0.5, -0.25, 0.125, -1}, couplings[4] = {1, -0.5, 0.75, 0.25};
static QpModel model(bool qubo) {
  return (QpModel){qubo,
                   4,
                   4,
                   (int32_t *)(uintptr_t)qubits,
                   (double *)(uintptr_t)fields,
                   (int32_t *)(uintptr_t)pairs,
                   (double *)(uintptr_t)couplings};
}

static int place(int32_t q) { return q < 4 ? q : q - 2; }

static double energy(const double *x) {
  double e = 0;
  for (int i = 0; i < 4; i++) e += fields[i] * x[i];
  for (int k = 0; k < 4; k++)
    e += couplings[k] * x[place(pairs[2 * k])] * x[place(pairs[2 * k + 1])];
  return e;
}

static double least(bool qubo) {
  double best = INFINITY;
  for (int b = 0; b < 16; b++) {
    double x[4];
    for (int i = 0; i < 4; i++) x[i] = b >> i & 1 ? 1 : qubo ? 0 : -1;
    best = fmin(best, energy(x));
  }
  return best;
}

/* Submits, waits, decodes. */
static RtStatus solve(Set *t, bool qubo, const char *params, QpAnswer *out, cJSON **answer) {
  QpModel m = model(qubo);
  cJSON *p = js_read(t->rt, params, strlen(params), 4096, "params");
  DwProblem q = {.solver = &t->chip, .type = qubo ? "qubo" : "ising", .qp = &m, .params = p};
  DwJob j = {0};
  RtStatus st = dw_submit(&t->c, &q, NULL, &j);
  if (!st) st = dw_wait(&t->c, &j);
  if (!st) st = qp_answer_decode(t->rt, js_get(j.json, "answer"), qubo, 0, out);
  if (answer) *answer = st ? NULL : cJSON_Duplicate(js_get(j.json, "answer"), 1);
  dw_job_free(&j);
  cJSON_Delete(p);
  return st;
}

static void check_rows(const QpAnswer *a, int64_t reads, bool raw) {
  int64_t all = 0;
  assert_int_equal(a->n, 4);
  for (int64_t r = 0; r < a->rows; r++) {
    double x[4];
    for (int i = 0; i < 4; i++) x[i] = a->value[4 * r + i];
    assert_true(fabs(energy(x) - a->energy[r]) < 1e-12);
    if (!raw && r) assert_true(a->energy[r] >= a->energy[r - 1]);
    all += a->count[r];
  }
  assert_int_equal(all, reads);
}

static void test_chip(void **state) {
  Set t = begin(state, (SapiOptions){.seed = 3});
  assert_int_equal(t.chip.chip.n, 32);
  assert_int_equal(t.chip.chip.m, 80);
  for (int qubo = 0; qubo < 2; qubo++) {
    QpAnswer a;
    cJSON *answer, *p = js_read(t.rt, "{\"num_reads\":40,\"annealing_time\":50}", 36, 100, "p");
    assert_int_equal(solve(&t, qubo, "{\"num_reads\":40,\"annealing_time\":50}", &a, &answer),
                     RT_OK);
    check_rows(&a, 40, false);
    assert_true(fabs(a.energy[0] - least(qubo)) < 1e-12);
    double said, model_time;
    assert_true(js_number(js_get(answer, "timing"), "qpu_access_time", &said));
    assert_int_equal(dw_access_time(t.rt, js_get(t.chip.json, "properties"), p, 4, &model_time),
                     RT_OK);
    assert_true(fabs(said - model_time) < 1e-6);
    cJSON_Delete(p);
    cJSON_Delete(answer);
    qp_answer_free(t.rt, &a);
    assert_int_equal(solve(&t, qubo, "{\"num_reads\":7,\"answer_mode\":\"raw\"}", &a, NULL), RT_OK);
    assert_int_equal(a.rows, 7);
    check_rows(&a, 7, true);
    qp_answer_free(t.rt, &a);
  }
  end(&t);
}

/* The same submissions to services with the same seed: the same rows. */
static void test_repeats(void **state) {
  QpAnswer a[3];
  for (int k = 0; k < 3; k++) {
    Set t = begin(state, (SapiOptions){.seed = k == 2 ? 5 : 4, .noise = 0.5, .sweeps = 0.2});
    assert_int_equal(solve(&t, false, "{\"num_reads\":60,\"answer_mode\":\"raw\"}", &a[k], NULL),
                     RT_OK);
    end(&t);
  }
  assert_memory_equal(a[0].value, a[1].value, 240);
  assert_memory_not_equal(a[0].value, a[2].value, 240);
  for (int k = 0; k < 3; k++) qp_answer_free(*state, &a[k]);
}

/* The fixed errors of the fields are the same in every job, the noise is not: where they are
 * large all reads are what they say.  Spins that are read at random are half wrong.  */
static void test_errors(void **state) {
  const char *params = "{\"num_reads\":30,\"auto_scale\":false}";
  for (int k = 0; k < 2; k++) {
    Set t = begin(state, (SapiOptions){.seed = 1, .bias = k ? 0 : 10, .noise = k ? 10 : 0});
    int8_t seen[6][4];
    bool same = true;
    for (int job = 0; job < 6; job++) {
      QpAnswer a;
      assert_int_equal(solve(&t, false, params, &a, NULL), RT_OK);
      memcpy(seen[job], a.value, 4);
      same = same && !memcmp(seen[job], seen[0], 4);
      qp_answer_free(t.rt, &a);
    }
    assert_int_equal(same, k == 0);
    end(&t);
  }
  Set t = begin(state, (SapiOptions){.seed = 1, .readout = 0.5});
  QpAnswer a;
  assert_int_equal(
      solve(&t, false, "{\"num_reads\":1000,\"answer_mode\":\"raw\"}", &a, NULL), RT_OK);
  for (int i = 0; i < 4; i++) {
    int up = 0;
    for (int64_t r = 0; r < a.rows; r++) up += a.value[4 * r + i] > 0;
    assert_true(abs(up - 500) < 80);
  }
  check_rows(&a, 1000, true);
  qp_answer_free(t.rt, &a);
  end(&t);
}

#define STATE32 "[1,-1,3,3,-1,1,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3]"
/* A reverse anneal that hardly leaves s = 1 stays where it begins, in the least state; flux
 * biases push as fields do; a negative gain of h turns the fields round.      */
static void test_schedules(void **state) {
  Set t = begin(state, (SapiOptions){.seed = 1});
  QpAnswer a;
  char begins[400] = "";
  for (int b = 0; b < 16 && !*begins; b++) {
    double x[4];
    for (int i = 0; i < 4; i++) x[i] = b >> i & 1 ? 1 : -1;
    if (energy(x) > least(false) + 1e-12) continue;
    snprintf(begins, sizeof begins,
             "{\"num_reads\":5,\"anneal_schedule\":[[0,1],[1,0.99],[2,1]],"
             "\"reinitialize_state\":false,\"initial_state\":{\"0\":%g,\"1\":%g,"
             "\"4\":%g,\"5\":%g}}",
             x[0], x[1], x[2], x[3]);
  }
  assert_int_equal(solve(&t, false, begins, &a, NULL), RT_OK);
  assert_int_equal(a.rows, 5); /* raw where nothing is said */
  check_rows(&a, 5, true);
  for (int r = 0; r < 5; r++) assert_true(fabs(a.energy[r] - least(false)) < 1e-12);
  qp_answer_free(t.rt, &a);
  char params[1024] = "{\"num_reads\":20,\"auto_scale\":false,\"flux_biases\":[";
  /* h = -100 on qubits 0 and 4 */
  for (int q = 0; q < 32; q++) strcat(params, q == 0 ? "0.2" : q == 4 ? ",0.2" : ",0");
  strcat(params, "]}");
  assert_int_equal(solve(&t, false, params, &a, NULL), RT_OK);
  for (int64_t r = 0; r < a.rows; r++) assert_true(a.value[4 * r] == 1 && a.value[4 * r + 2] == 1);
  check_rows(&a, 20, false);
  qp_answer_free(t.rt, &a);
  assert_int_equal(
      solve(&t, false, "{\"num_reads\":20,\"h_gain_schedule\":[[0,1],[20,1]]}", &a, NULL), RT_OK);
  assert_true(fabs(a.energy[0] - least(false)) < 1e-12);
  qp_answer_free(t.rt, &a);
  assert_int_equal(
      solve(&t, false, "{\"num_reads\":20,\"h_gain_schedule\":[[0,-3],[20,-3]]}", &a, NULL), RT_OK);
  assert_true(a.energy[0] > least(false) + 0.1);
  qp_answer_free(t.rt, &a);
  end(&t);
}

static void expect_refused(Set *t, bool qubo, const char *params, const char *text) {
  QpAnswer a;
  assert_int_equal(solve(t, qubo, params, &a, NULL), RT_BACKEND);
  if (!strstr(t->rt->error.message, text)) fail_msg("%s: not %s", t->rt->error.message, text);
}

static void test_refusals(void **state) {
  Set t = begin(state, (SapiOptions){.seed = 1});
  expect_refused(&t, false, "{\"fast_anneal\":true,\"annealing_time\":1}", "no fields h");
  expect_refused(&t, false, "{\"num_reads\":20000}", "num_reads is 20000");
  expect_refused(&t, false, "{\"num_read\":2}", "no parameter");
  expect_refused(&t, false, "{\"x_new\":2}", "x_new is not supported");
  expect_refused(&t, false, "{\"initial_state\":" STATE32 "}", "needs an anneal_schedule");
  DwClient other;
  cJSON *list;
  client(t.rt, t.s, "DEV-ffffffffffffffffffffffffffffffffffffffff", &other);
  assert_int_equal(dw_solver_list(&other, &list), RT_BACKEND);
  assert_non_null(strstr(t.rt->error.message, "token"));
  assert_null(strstr(t.rt->error.message, TOKEN));
  dw_close(&other);
  end(&t);
}

static void test_http(void **state) {
  Set t = begin(state, (SapiOptions){.seed = 1});
  Buf b = {0};
  static const struct {
    const char *method, *path, *body;
    long status;
  } one[] = {{"GET", "solvers/remote/none", NULL, 404},
             {"GET", "nothing", NULL, 404},
             {"GET", "solvers/remote/?filter=some", NULL, 400},
             {"PUT", "solvers/remote/", "", 405},
             {"POST", "problems/", "not JSON", 400},
             {"POST", "problems/", "[]", 400},
             {"POST", "problems/", "{\"type\":\"ising\"}", 400},
             {"POST", "problems/", "7", 400},
             {"GET", "problems/?id=a,b", NULL, 404},
             {"GET", "problems/?id=a&timeout=99", NULL, 400},
             {"GET", "problems/nothing/", NULL, 404},
             {"DELETE", "problems/nothing", NULL, 404},
             {"DELETE", "problems/", "{}", 400},
             {"DELETE", "problems/", "[\"a\"]", 404},
             {"GET", "problems/?max_results=0", NULL, 400},
             {"POST", "bqm/multipart", "{}", 400},
             {"POST", "bqm/multipart", "{\"size\":1e12}", 413},
             {"GET", "bqm/multipart/nothing/status", NULL, 404}};
  for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
    long status = ask(&t, one[i].method, one[i].path, one[i].body, NULL);
    if (status != one[i].status) fail_msg("%s %s: %ld", one[i].method, one[i].path, status);
  }
  /* one problem of a list is refused, the list is not */
  assert_int_equal(ask(&t, "POST", "problems/", "[{\"solver\":{\"name\":\"none\"}},3]", &b), 200);
  cJSON *v = js_read(t.rt, b.data, b.len, 4096, "reply");
  double code;
  assert_int_equal(cJSON_GetArraySize(v), 2);
  assert_true(js_number(v->child, "error_code", &code) && code == 400);
  assert_true(js_number(v->child->next, "error_code", &code) && code == 400);
  cJSON_Delete(v);
  assert_int_equal(ask(&t, "GET", "solvers/remote/?filter=none,%2Bidentity.name", NULL, &b), 200);
  assert_string_equal(b.data, "[{\"identity\":{\"name\":\"qa_chimera2\"}},{\"identity\":{\"name\":"
                              "\"hybrid_binary_quadratic_model_qa\"}}]");
  buf_free(&b);
  end(&t);
}

/* A queue of two behind a job that takes long; cancelling; the end while one runs. */
static void test_queue(void **state) {
  Set t = begin(state, (SapiOptions){.seed = 1, .queue = 2, .sweeps = 10000});
  QpModel m = model(false);
  cJSON *p = js_read(t.rt, "{\"num_reads\":300,\"annealing_time\":2000}", 39, 100, "p");
  DwProblem q = {.solver = &t.chip, .type = "ising", .qp = &m, .params = p};
  DwJob j[4];
  assert_int_equal(dw_submit(&t.c, &q, NULL, &j[0]), RT_OK);
  for (int k = 0; k < 6000 && strcmp(dw_job_text(&j[0], "state"), "IN_PROGRESS"); k++) {
    usleep(10000);
    assert_int_equal(dw_refresh(&t.c, &j[0]), RT_OK);
  }
  assert_string_equal(dw_job_text(&j[0], "state"), "IN_PROGRESS");
  assert_int_equal(dw_submit(&t.c, &q, NULL, &j[1]), RT_OK);
  assert_int_equal(dw_submit(&t.c, &q, NULL, &j[2]), RT_OK);
  assert_int_equal(dw_submit(&t.c, &q, NULL, &j[3]), RT_BACKEND); /* 429 */
  char path[100];
  Buf b = {0};
  snprintf(path, sizeof path, "problems/%s", dw_job_text(&j[1], "id"));
  assert_int_equal(ask(&t, "DELETE", path, NULL, &b), 200);
  assert_non_null(strstr(b.data, "CANCELLED"));
  assert_int_equal(ask(&t, "DELETE", path, NULL, NULL), 409);
  assert_int_equal(ask(&t, "GET", "problems/?status=CANCELLED", NULL, &b), 200);
  assert_non_null(strstr(b.data, dw_job_text(&j[1], "id")));
  assert_null(strstr(b.data, dw_job_text(&j[2], "id")));
  snprintf(path, sizeof path, "problems/%s", dw_job_text(&j[0], "id"));
  assert_int_equal(ask(&t, "DELETE", path, NULL, NULL), 202); /* it runs */
  snprintf(path, sizeof path, "problems/?id=%s&timeout=20", dw_job_text(&j[0], "id"));
  assert_int_equal(ask(&t, "GET", path, NULL, &b), 200);
  assert_non_null(strstr(b.data, "CANCELLED"));
  snprintf(path, sizeof path, "problems/%s/info", dw_job_text(&j[0], "id"));
  assert_int_equal(ask(&t, "GET", path, NULL, &b), 200);
  assert_null(strstr(b.data, TOKEN));
  buf_free(&b);
  for (int k = 0; k < 4; k++) dw_job_free(&j[k]);
  cJSON_Delete(p);
  end(&t); /* j[2] runs */
}

/* A job that takes longer than the service allows fails and says so. */
static void test_limit(void **state) {
  Set t = begin(state, (SapiOptions){.seed = 1, .limit = 0.05, .sweeps = 10000});
  expect_refused(&t, false, "{\"num_reads\":300,\"annealing_time\":2000}", "longer than allowed");
  end(&t);
}

/* An uploaded model: the hybrid solver finds the minimum of a frustrated ring. */
static void test_hybrid(void **state) {
  Set t = begin(state, (SapiOptions){.seed = 1});
  enum { N = 9 };
  double h[N] = {0.5}, c[N];
  int32_t uv[2 * N];
  for (int i = 0; i < N; i++) uv[2 * i] = i, uv[2 * i + 1] = (i + 1) % N, c[i] = 1;
  for (int spin = 0; spin < 2; spin++) {
    Bqm b;
    Buf file = {0};
    assert_int_equal(bqm_make(t.rt, &b, spin, N, h, N, uv, c, 0.25), RT_OK);
    assert_int_equal(bqm_write(t.rt, &b, 2, &file), RT_OK);
    bqm_free(t.rt, &b);
    char *id = NULL;
    assert_int_equal(dw_upload(&t.c, file.data, file.len, &id), RT_OK);
    DwSolver hybrid;
    assert_int_equal(dw_solver_get(&t.c, NULL, true, &hybrid), RT_OK);
    cJSON *p = js_read(t.rt, "{\"time_limit\":0.1}", 18, 100, "p");
    DwProblem q = {.solver = &hybrid, .type = "bqm", .upload = id, .params = p};
    DwJob j;
    BqAnswer a;
    assert_int_equal(dw_submit(&t.c, &q, NULL, &j), RT_OK);
    assert_int_equal(dw_wait(&t.c, &j), RT_OK);
    assert_int_equal(bq_decode(t.rt, js_get(js_get(j.json, "answer"), "data"), &a), RT_OK);
    /* ring of 9 antiferromagnetic spins: -7, the field -0.5; over 0/1: nothing is best */
    assert_true(fabs(a.energy[0] - (spin ? -7.25 : 0.25)) < 1e-12);
    bq_free(t.rt, &a);
    dw_job_free(&j);
    cJSON_Delete(p);
    dw_solver_free(t.rt, &hybrid);
    free(id);
    buf_free(&file);
  }
  end(&t);
}

static void test_options(void **state) {
  static const SapiOptions bad[] = {{.topology = "pegasus"},
                                    {.topology = "pegasus:x"},
                                    {.topology = "cube:3"},
                                    {.topology = "zephyr:100,100"},
                                    {.topology = "pegasus:4,"},
                                    {.topology = ""},
                                    {.noise = -1},
                                    {.noise = NAN},
                                    {.bias = -1},
                                    {.readout = 0.6},
                                    {.port = 70000},
                                    {.token = "short"},
                                    {.token = "with a space"},
                                    {.queue = -1},
                                    {.limit = -1}};
  Sapi *s;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (sapi_start(*state, &bad[i], &s) != RT_ERROR || s) fail_msg("case %zu", i);
  SapiOptions o = {.topology = "zephyr:1"};
  assert_int_equal(sapi_start(*state, &o, &s), RT_OK);
  assert_int_equal(token_length(sapi_token(s), strlen(sapi_token(s))), 44);
  o.port = sapi_port(s);
  Sapi *second;
  assert_int_equal(sapi_start(*state, &o, &second), RT_BACKEND);
  sapi_stop(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_chip),      cmocka_unit_test(test_repeats),
      cmocka_unit_test(test_schedules), cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_http),      cmocka_unit_test(test_queue),
      cmocka_unit_test(test_limit),     cmocka_unit_test(test_hybrid),
      cmocka_unit_test(test_options),   cmocka_unit_test(test_errors)};
  return cmocka_run_group_tests(tests, open_all, close_all);
}
