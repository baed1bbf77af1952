/* test_client.c: the client against a scripted server: submission, waiting, faults,
 * recovery; and that the token is nowhere but in its header.                 */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* steps name what they need */
#include <dirent.h>

#include "runtime/dwave/dwave.h"
#include "server.h"

#define TOKEN "DEV-0123456789abcdef0123456789abcdef01234567"
#define N(a) (int)(sizeof(a) / sizeof *(a))
#define PENDING                                                                                    \
  "[{\"status\":\"PENDING\",\"id\":\"job-1\",\"type\":\"ising\",\"label\":\"%LABEL\"}]"
#define DONE "[{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"type\":\"ising\",\"label\":\"%LABEL\"}]"
#define ANSWER                                                                                     \
  "{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"qp\",\"num_variables\":4,"  \
  "\"solutions\":\"AMA=\",\"energies\":\"AAAAAAAA8L8AAAAAAADwvw==\",\"active_variables\":"         \
  "\"AAAAAAEAAAA=\","                                                                              \
  "\"num_occurrences\":\"BgAAAAQAAAA=\",\"timing\":{}}}"

static char folder[64];

static int open_all(void **state) {
  strcpy(folder, "/tmp/qa-client-XXXXXX");
  if (!mkdtemp(folder) || setenv("QA_JOBS", folder, 1)) return 1;
  return !(*state = rt_open());
}

static void clear_jobs(void) {
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (e->d_name[0] != '.') unlink(path);
  }
  if (d) closedir(d);
}

static int close_all(void **state) {
  Rt *rt = *state;
  clear_jobs();
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

static void client(Rt *rt, const Server *s, DwClient *c, const char *key, const char *value) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/sapi", s->port);
  DwArg arg[] = {{"endpoint", url, TRUST_USER},
                 {"token", TOKEN, TRUST_USER},
                 {"http_retry_total", "2", TRUST_USER},
                 {"poll_wait_time", "1", TRUST_USER},
                 {key ? key : "client", value ? value : "base", TRUST_USER}};
  DwSources src = {.no_files = true, .arg = arg, .n_arg = 5, .env = no_env};
  DwConfig config;
  assert_int_equal(dw_config_load(rt, &src, &config), RT_OK);
  assert_int_equal(dw_open(rt, c, &config), RT_OK);
  c->retry_min = c->retry_max = 0.01;
}

static void a_solver(Rt *rt, DwSolver *s) {
  static const char text[] =
      "{\"identity\":{\"name\":\"S\",\"version\":{\"graph_id\":\"g\"}},"
      "\"properties\":{\"category\":\"qpu\",\"num_qubits\":4,\"qubits\":[0,1,2,3],\"couplers\":"
      "[[0,1],[1,2],[2,3]],\"parameters\":{\"num_reads\":\"\"}}}";
  assert_int_equal(dw_solver_parse(rt, js_read(rt, text, strlen(text), 1000, "s"), s), RT_OK);
}

static void no_token_in_files(void) {
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) {
    char path[400], text[8192] = {0};
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
    if (!f) continue;
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_null(strstr(text, TOKEN));
  }
  if (d) closedir(d);
}

/* A submission over these steps; the statuses of submitting and of waiting. */
typedef struct {
  RtStatus submit, wait;
  char error[512], state[20], label[200];
  int seen;
} Run;

static Run run(Rt *rt, Server *srv, const Step *step, int n, const char *key, const char *value) {
  Run r = {.wait = RT_STOP};
  DwClient c;
  DwSolver s;
  DwJob job;
  clear_jobs();
  server_start(srv, step, n);
  client(rt, srv, &c, key, value);
  a_solver(rt, &s);
  int32_t q[] = {0, 1}, uv[] = {0, 1};
  double lin[] = {0, 0}, quad[] = {-1};
  QpModel m = {.n = 2, .m = 1, .qubit = q, .lin = lin, .uv = uv, .quad = quad};
  cJSON *params = cJSON_Parse("{\"num_reads\":10}");
  DwProblem p = {.solver = &s, .type = "ising", .qp = &m, .params = params, .label = "test"};
  r.submit = dw_submit(&c, &p, cJSON_CreateObject(), &job);
  if (!r.submit) r.wait = dw_wait(&c, &job);
  snprintf(r.error, sizeof r.error, "%s", r.submit || r.wait ? rt->error.message : "");
  snprintf(r.state, sizeof r.state, "%s", dw_job_text(&job, "state"));
  snprintf(r.label, sizeof r.label, "%s", dw_job_text(&job, "label"));
  assert_null(strstr(rt->error.message, TOKEN));
  assert_null(strstr(rt->error.help, TOKEN));
  no_token_in_files();
  dw_job_free(&job);
  dw_solver_free(rt, &s);
  cJSON_Delete(params);
  dw_close(&c);
  server_stop(srv);
  r.seen = srv->seen;
  return r;
}

static void test_submit_and_wait(void **state) {
  Rt *rt = *state;
  static const Step step[] = {{200, "problems", PENDING},
                              {200, "problems", PENDING},
                              {200, "problems", DONE},
                              {200, "problem", ANSWER}};
  Server s;
  Run r = run(rt, &s, step, N(step), NULL, NULL);
  if (*r.error) print_error("%s\n", r.error);
  assert_int_equal(r.submit, RT_OK);
  assert_int_equal(r.wait, RT_OK);
  assert_string_equal(r.state, "COMPLETED");
  assert_int_equal(r.seen, 4);
  assert_int_equal(strncmp(s.request[0].data, "POST /sapi/problems/ HTTP", 25), 0);
  assert_non_null(strstr(s.request[0].data, "X-Auth-Token: " TOKEN "\r\n"));
  assert_non_null(strstr(s.request[0].data,
                         "Accept: application/vnd.dwave.sapi.problems+json; version=3.0.0\r\n"));
  assert_non_null(strstr(s.request[0].data, "Content-Encoding: deflate"));
  assert_non_null(strstr(
      s.request[0].data,
      "[{\"solver\":{\"name\":\"S\",\"version\":{\"graph_id\":\"g\"}},\"data\":{\"format\":\"qp\","
      "\"lin\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAPh/"
      "AAAAAAAA+H8=\",\"quad\":\"AAAAAAAA8L8=\",\"offset\":0},"
      "\"type\":\"ising\",\"params\":{\"num_reads\":10},\"label\":\"test-"));
  assert_int_equal(strncmp(s.request[1].data, "GET /sapi/problems/?id=job-1&timeout=1 HTTP", 43),
                   0);
  assert_int_equal(strncmp(s.request[3].data, "GET /sapi/problems/job-1/ HTTP", 30), 0);
  server_free(&s);
  /* what is stored can be read again, by id and by the beginning of the label */
  DwJob j;
  QpAnswer a;
  assert_int_equal(dw_job_find(rt, "job-1", &j), RT_OK);
  assert_int_equal(qp_answer_decode(rt, js_get(j.json, "answer"), false, 0, &a), RT_OK);
  assert_int_equal(a.rows, 2);
  assert_int_equal(a.count[0], 6);
  qp_answer_free(rt, &a);
  dw_job_free(&j);
  assert_int_equal(dw_job_find(rt, "test-", &j), RT_OK);
  dw_job_free(&j);
  assert_int_equal(dw_job_find(rt, "nothing", &j), RT_ERROR);
}

/* Refusals and damage: one clear error each, nothing sent twice. */
static void test_refusals(void **state) {
  Rt *rt = *state;
  static const struct {
    Step step[4];
    int n;
    RtStatus submit, wait;
    const char *error, *state;
  } t[] = {
      {{{401, NULL, "bad token " TOKEN}}, 1, RT_BACKEND, RT_STOP, "refuses the token", "REFUSED"},
      {{{403, NULL, "no " TOKEN " access"}},
       1,
       RT_BACKEND,
       RT_STOP,
       "HTTP 403): no *** access",
       "REFUSED"},
      {{{404, NULL, "no solver"}}, 1, RT_BACKEND, RT_STOP, "HTTP 404): no solver", "REFUSED"},
      {{{400, "problems", "{\"error_code\":400,\"error_msg\":\"bad parameter\"}"}},
       1,
       RT_BACKEND,
       RT_STOP,
       "HTTP 400: bad parameter",
       "REFUSED"},
      {{{200, "problems", "[{\"error_code\":400,\"error_msg\":\"too large\"}]"}},
       1,
       RT_BACKEND,
       RT_STOP,
       "refuses the problem: too large",
       "REFUSED"},
      {{{302, NULL, "", "Location: http://127.0.0.1:9/steal"}},
       1,
       RT_BACKEND,
       RT_STOP,
       "not followed",
       "REFUSED"},
      {{{200, "problems", PENDING}, {404, NULL, "Problem does not exist"}},
       2,
       RT_OK,
       RT_BACKEND,
       "HTTP 404): Problem does not exist",
       "PENDING"},
      {{{200, "problems", PENDING}, {200, "problems", "[]"}},
       2,
       RT_OK,
       RT_BACKEND,
       "does not mention",
       "PENDING"},
      {{{200, "problems", PENDING},
        {200, "problems", "[{\"status\":\"DREAMING\",\"id\":\"job-1\"}]"}},
       2,
       RT_OK,
       RT_BACKEND,
       "no known status",
       "PENDING"},
      {{{200, "problems", PENDING}, {200, "problems", "[{\"status\":"}},
       2,
       RT_OK,
       RT_BACKEND,
       "not the JSON",
       "PENDING"},
      {{{200, "problems", PENDING}, {200, "problems", PENDING, NULL, 0, 0, "4.0.0"}},
       2,
       RT_OK,
       RT_BACKEND,
       "not of the kind",
       "PENDING"},
      {{{200, "problems", PENDING}, {200, "problem", PENDING}},
       2,
       RT_OK,
       RT_BACKEND,
       "not of the kind",
       "PENDING"},
      {{{200, "problems", PENDING},
        {200, "problems",
         "[{\"status\":\"FAILED\",\"id\":\"job-1\",\"error_message\":"
         "\"solver is offline\"}]"}},
       2,
       RT_OK,
       RT_BACKEND,
       "failed to solve the problem: solver is offline",
       "FAILED"},
      {{{200, "problems", PENDING},
        {200, "problems", "[{\"status\":\"CANCELLED\",\"id\":\"job-1\"}]"}},
       2,
       RT_OK,
       RT_BACKEND,
       "cancelled",
       "CANCELLED"},
      {{{200, "problems", DONE},
        {200, "problem", "{\"status\":\"COMPLETED\",\"id\":\"job-2\",\"answer\":{}}"}},
       2,
       RT_OK,
       RT_BACKEND,
       "of another job",
       "COMPLETED"},
      {{{200, "problems", DONE}, {200, "problem", "{\"status\":\"COMPLETED\",\"id\":\"job-1\"}"}},
       2,
       RT_OK,
       RT_BACKEND,
       "sends none",
       "COMPLETED"},
      {{{200, "problems", PENDING}, {200, "problems", "", NULL, 0, 0, NULL, 300}},
       2,
       RT_OK,
       RT_BACKEND,
       "larger than",
       "PENDING"}};
  for (int i = 0; i < N(t); i++) {
    Server s;
    Run r = run(rt, &s, t[i].step, t[i].n, NULL, NULL);
    if (r.submit != t[i].submit || r.wait != t[i].wait || !strstr(r.error, t[i].error) ||
        strcmp(r.state, t[i].state))
      print_error("case %d: %d %d %s: %s\n", i, r.submit, r.wait, r.state, r.error);
    assert_int_equal(r.submit, t[i].submit);
    assert_int_equal(r.wait, t[i].wait);
    assert_non_null(strstr(r.error, t[i].error));
    assert_string_equal(r.state, t[i].state);
    assert_int_equal(r.seen, t[i].n);
    for (int k = 1; k < r.seen; k++) assert_int_not_equal(strncmp(s.request[k].data, "POST", 4), 0);
    server_free(&s);
  }
}

/* What passes by itself: waiting calls are repeated, submissions only when that is safe. */
static void test_recovery(void **state) {
  Rt *rt = *state;
  static const struct {
    Step step[7];
    int n, posts;
  } t[] = {
      /* too many requests: nothing was done, so that it may be sent again */
      {{{429, NULL, "slow down", "Retry-After: 0"},
        {200, "problems", DONE},
        {200, "problem", ANSWER}},
       3,
       2},
      /* 503, cut and truncated replies while waiting */
      {{{200, "problems", PENDING},
        {503, NULL, "busy"},
        {0},
        {200, "problems", DONE, NULL, 40},
        {200, "problems", DONE},
        {200, "problem", ANSWER}},
       5,
       1},
      {{{200, "problems", PENDING},
        {503, NULL, "busy"},
        {0},
        {200, "problems", DONE},
        {200, "problem", ANSWER}},
       5,
       1},
      /* the reply to the submission was lost: found by its label, not sent again */
      {{{0}, {200, "problems", PENDING}, {200, "problems", DONE}, {200, "problem", ANSWER}}, 4, 1},
      {{{500, NULL, "gateway"},
        {200, "problems", "[]"},
        {200, "problems", DONE},
        {200, "problem", ANSWER}},
       4,
       1},
      {{{200, "problems", PENDING, NULL, 60}, {200, "problems", DONE}, {200, "problem", ANSWER}},
       3,
       1},
      /* slow */
      {{{200, "problems", PENDING, NULL, 0, 300},
        {200, "problems", DONE, NULL, 0, 300},
        {200, "problem", ANSWER}},
       3,
       1}};
  for (int i = 0; i < N(t); i++) {
    Server s;
    bool fails = i == 1; /* three bad replies in a row are more than two repetitions mend */
    Run r = run(rt, &s, t[i].step, fails ? 4 : t[i].n, NULL, NULL);
    if ((r.submit || r.wait) != fails)
      print_error("case %d: %d %d %s (%d)\n", i, r.submit, r.wait, r.error, r.seen);
    assert_int_equal(r.submit || r.wait, fails);
    assert_int_equal(r.seen, fails ? 4 : t[i].n);
    int posts = 0;
    for (int k = 0; k < r.seen; k++) posts += !strncmp(s.request[k].data, "POST", 4);
    assert_int_equal(posts, t[i].posts);
    server_free(&s);
  }
}

/* The program ends while it waits, or before the reply came: the job is found again. */
static void test_attach_after_crash(void **state) {
  Rt *rt = *state;
  static const Step first[] = {{200, "problems", PENDING},
                               {200, "problems", PENDING, NULL, 0, 60000}};
  static const Step lost[] = {{200, "problems", PENDING, NULL, 0, 60000}};
  for (int early = 0; early < 2; early++) {
    clear_jobs();
    Server s;
    server_start(&s, early ? lost : first, early ? 1 : 2);
    pid_t child = fork();
    if (child == 0) { /* killed while it waits */
      Rt *own = rt_open();
      DwClient c;
      DwSolver solver;
      DwJob job;
      client(own, &s, &c, NULL, NULL);
      a_solver(own, &solver);
      QpModel m = {0};
      int32_t q[] = {0};
      double lin[] = {1};
      m = (QpModel){.n = 1, .qubit = q, .lin = lin};
      DwProblem p = {.solver = &solver, .type = "ising", .qp = &m};
      if (dw_submit(&c, &p, NULL, &job) == RT_OK) dw_wait(&c, &job);
      _exit(0);
    }
    server_wait(&s, early ? 1 : 2);
    char command[64];
    snprintf(command, sizeof command, "kill -9 %d", (int)child);
    assert_int_equal(system(command), 0);
    server_stop(&s);
    DwJob *all;
    int64_t n;
    assert_int_equal(dw_job_all(rt, &all, &n), RT_OK);
    assert_int_equal(n, 1);
    assert_string_equal(dw_job_text(&all[0], "state"), early ? "sending" : "PENDING");
    char list[400];
    snprintf(list, sizeof list, "[{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"label\":\"%s\"}]",
             dw_job_text(&all[0], "label"));
    Step second[] = {{200, "problems", list}, {200, "problem", ANSWER}};
    Server again;
    server_start(&again, second, 2);
    DwClient c;
    client(rt, &again, &c, NULL, NULL);
    /* another endpoint than the job's is refused before anything is sent */
    assert_int_equal(dw_wait(&c, &all[0]), RT_ERROR);
    assert_int_equal(again.seen, 0);
    cJSON_ReplaceItemInObject(all[0].json, "endpoint", cJSON_CreateString(c.endpoint));
    RtStatus st = dw_wait(&c, &all[0]);
    if (st) print_error("%s\n", rt->error.message);
    assert_int_equal(st, RT_OK);
    assert_non_null(strstr(again.request[0].data, early ? "?label=" : "?id=job-1"));
    assert_non_null(js_get(all[0].json, "answer"));
    dw_close(&c);
    server_stop(&again);
    server_free(&again);
    server_free(&s);
    dw_job_free(&all[0]);
    free(all);
  }
}

/* Nobody answers, and an interrupt while waiting. */
typedef struct {
  Rt *rt;
  Server *server;
} Interrupter;

static void *interrupter(void *user) {
  Interrupter *i = user;
  server_wait(i->server, 2); /* the problem is submitted, its client asks for the answer */
  rt_interrupt(i->rt);
  return NULL;
}

static void test_dead_and_interrupted(void **state) {
  Rt *rt = *state;
  Server s;
  static const Step none[] = {{200, "problems", PENDING}};
  server_start(&s, none, 1);
  server_stop(&s); /* the port is closed now */
  Server dead = {.port = s.port};
  DwClient c;
  client(rt, &dead, &c, NULL, NULL);
  cJSON *list;
  assert_int_equal(dw_solver_list(&c, &list), RT_BACKEND);
  assert_non_null(strstr(rt->error.message, "no reply from the service"));
  dw_close(&c);
  static const Step slow[] = {{200, "problems", PENDING},
                              {200, "problems", PENDING, NULL, 0, 600000}};
  pthread_t thread;
  memset(&s, 0, sizeof s);
  pthread_create(&thread, NULL, interrupter, &(Interrupter){rt, &s});
  Run r = run(rt, &s, slow, 2, NULL, NULL);
  pthread_join(thread, NULL);
  assert_int_equal(r.submit, RT_OK);
  assert_int_equal(r.wait, RT_INTERRUPTED);
  assert_string_equal(r.state, "PENDING"); /* long before the answer, and not lost */
  server_free(&s);
  atomic_store(&rt->interrupted, 0);
}

/* Solvers, cancelling, an upload that goes on. */
static void test_other_calls(void **state) {
  Rt *rt = *state;
  Server s;
  static const Step step[] = {
      {200, "solver-definition-list",
       "[{\"identity\":{\"name\":\"A\"},\"status\":\"ONLINE\",\"properties\":"
       "{\"category\":\"hybrid\",\"supported_problem_types\":[\"bqm\"],\"version\":\"1.9\"}},"
       "{\"identity\":{\"name\":\"B\"},\"status\":\"ONLINE\",\"properties\":{\"category\":"
       "\"hybrid\","
       "\"supported_problem_types\":[\"bqm\"],\"version\":\"1.13\"}}]",
       "X-Deprecation: dep-1; message=\"old client\"; sunset=@1773039600"},
      {404, "solver-definition", "{\"error_code\":404,\"error_msg\":\"x\"}"},
      {200, NULL, "{\"id\":\"up-1\"}"},
      {200, NULL, "{}"},
      {200, NULL, "{}"},
      {200, NULL, "{}"},
      {200, NULL,
       "{\"status\":\"UPLOAD_IN_PROGRESS\",\"parts\":[{\"part_number\":1,\"checksum\":"
       "\"\\\"5f363e0e58a95f06cbe9bbc662c5dfb6\\\"\"}]}"},
      {200, NULL, "{}"},
      {200, NULL, "{}"}};
  server_start(&s, step, N(step));
  DwClient c;
  DwSolver solver;
  client(rt, &s, &c, NULL, NULL);
  assert_int_equal(dw_solver_get(&c, NULL, true, &solver), RT_OK);
  assert_string_equal(solver.name, "B"); /* 1.13 is newer than 1.9 */
  assert_non_null(strstr(c.config.notes.data, "old client"));
  dw_solver_free(rt, &solver);
  assert_int_equal(dw_solver_get(&c, "a b", false, &solver), RT_BACKEND);
  assert_string_equal(rt->error.message, "no solver \"a b\" that this token may use");
  assert_int_equal(strncmp(s.request[1].data, "GET /sapi/solvers/remote/a%20b HTTP", 35), 0);
  char *zero = calloc(1, DW_PART + 1), *id = NULL;
  assert_int_equal(dw_upload(&c, zero, DW_PART + 1, &id), RT_OK);
  assert_string_equal(id, "up-1");
  assert_non_null(strstr(s.request[3].data, "PUT /sapi/bqm/multipart/up-1/part/1 "));
  assert_non_null(strstr(s.request[3].data, "Content-MD5: XzY+DlipXwbL6bvGYsXftg==\r\n"));
  assert_non_null(strstr(s.request[4].data, "PUT /sapi/bqm/multipart/up-1/part/2 "));
  assert_non_null(strstr(s.request[5].data, "POST /sapi/bqm/multipart/up-1/combine "));
  assert_int_equal(dw_upload(&c, zero, DW_PART + 1, &id), RT_OK); /* part 1 is there */
  assert_non_null(strstr(s.request[6].data, "GET /sapi/bqm/multipart/up-1/status "));
  assert_non_null(strstr(s.request[7].data, "/part/2 "));
  free(zero);
  free(id);
  dw_close(&c);
  server_stop(&s);
  assert_int_equal(s.seen, N(step));
  server_free(&s);
}

/* A region's address is asked of the metadata service, which never sees the token. */
static void test_regions(void **state) {
  Rt *rt = *state;
  static const char list[] = "[{\"code\":\"a-1\",\"name\":\"A\",\"endpoint\":\"https://a.example/sapi/v2/\"},"
                             "{\"code\":\"b-1\",\"endpoint\":\"http://b.example/sapi/v2\"},{\"code\":7}]";
  static const struct { const char *region, *endpoint, *error; int status; } t[] = {
      {"a-1", "https://a.example/sapi/v2/", NULL, 200},
      {"b-1", NULL, "no https:// address", 200},
      {"c-1", NULL, "there are a-1, b-1", 200},
      {"a-1", NULL, "HTTP 404", 404},
      {"na-west-1", "https://cloud.dwavesys.com/sapi/", NULL, 0}};
  for (int i = 0; i < N(t); i++) {
    Server s;
    Step step[] = {{t[i].status, NULL, list}};
    char url[80];
    server_start(&s, step, 1);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/metadata/v1", s.port);
    DwArg arg[] = {{"metadata_api_endpoint", url, TRUST_USER}, {"token", TOKEN, TRUST_USER},
                   {"region", t[i].region, TRUST_USER}, {"http_retry_total", "0", TRUST_USER}};
    DwSources src = {.no_files = true, .arg = arg, .n_arg = 4, .env = no_env};
    DwConfig config;
    DwClient c;
    assert_int_equal(dw_config_load(rt, &src, &config), RT_OK);
    RtStatus st = dw_open(rt, &c, &config);
    if ((st == RT_OK) != (t[i].error == NULL)) print_error("case %d: %s\n", i, rt->error.message);
    assert_int_equal(st == RT_OK, t[i].error == NULL);
    if (st) assert_non_null(strstr(rt->error.message, t[i].error));
    else assert_string_equal(c.endpoint, t[i].endpoint);
    if (!st) dw_close(&c);
    server_stop(&s);
    assert_int_equal(s.seen, t[i].status != 0); /* the default region needs no request */
    if (s.seen) {
      assert_int_equal(strncmp(s.request[0].data, "GET /metadata/v1/regions/ HTTP", 30), 0);
      assert_null(strstr(s.request[0].data, TOKEN));
      assert_non_null(strstr(s.request[0].data, "Accept: application/vnd.dwave.metadata.regions+json\r\n"));
    }
    server_free(&s);
  }
}

/* An answer that cannot be read is not kept: the next wait fetches it again. */
static void test_bad_answers(void **state) {
  Rt *rt = *state;
  static const struct {
    const char *bad, *error;
  } t[] = {
      {"{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"qp\",\"num_variables\":"
       "4,"
       "\"solutions\":\"AM\",\"energies\":\"AAAAAAAA8L8AAAAAAADwvw==\",\"active_variables\":"
       "\"AAAAAAEAAAA=\"}}",
       "solutions"},
      {"{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"qp\",\"num_variables\":"
       "4,"
       "\"solutions\":\"AMA=\",\"energies\":\"AAAAAAAA8L8=\",\"active_variables\":\"AAAAAAEAAAA=\"}"
       "}",
       ""},
      {"{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"zip\"}}",
       "format is \"zip\""},
      {"{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"bq\",\"data\":{}}}",
       ""}};
  for (int i = 0; i < N(t); i++) {
    Server s;
    Step step[] = {{200, "problems", DONE}, {200, "problem", t[i].bad}};
    Run r = run(rt, &s, step, 2, NULL, NULL);
    assert_int_equal(r.submit, RT_OK);
    assert_int_equal(r.wait, RT_BACKEND);
    assert_non_null(strstr(r.error, t[i].error));
    assert_non_null(strstr(rt->error.help, "attach(\"test-"));
    assert_string_equal(r.state, "COMPLETED");
    server_free(&s);
    Step good[] = {{200, "problem", ANSWER}};
    DwClient c;
    DwJob j;
    server_start(&s, good, 1);
    client(rt, &s, &c, NULL, NULL);
    assert_int_equal(dw_job_find(rt, "job-1", &j), RT_OK);
    assert_null(js_get(j.json, "answer"));
    cJSON_ReplaceItemInObject(j.json, "endpoint", cJSON_CreateString(c.endpoint));
    assert_int_equal(dw_wait(&c, &j), RT_OK);
    assert_non_null(js_get(j.json, "answer"));
    dw_job_free(&j);
    dw_close(&c);
    server_stop(&s);
    server_free(&s);
  }
}

static void test_cancel(void **state) {
  Rt *rt = *state;
  Server s;
  static const Step step[] = {{200, "problems", PENDING},
                              {409, "problem",
                               "{\"error_code\":409,\"error_msg\":"
                               "\"Problem has been finished.\"}"},
                              {200, "problems", DONE}};
  clear_jobs();
  server_start(&s, step, N(step));
  DwClient c;
  DwSolver solver;
  DwJob job;
  client(rt, &s, &c, "compress_qpu_problem_data", "false");
  a_solver(rt, &solver);
  QpModel m = {0};
  DwProblem p = {.solver = &solver, .type = "ising", .qp = &m};
  assert_int_equal(dw_submit(&c, &p, NULL, &job), RT_OK);
  assert_null(strstr(s.request[0].data, "Content-Encoding"));
  assert_int_equal(dw_cancel(&c, &job), RT_OK);
  assert_int_equal(strncmp(s.request[1].data, "DELETE /sapi/problems/job-1 HTTP", 32), 0);
  assert_string_equal(dw_job_text(&job, "state"), "COMPLETED");
  dw_job_free(&job);
  dw_solver_free(rt, &solver);
  dw_close(&c);
  server_stop(&s);
  server_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_submit_and_wait),
                                     cmocka_unit_test(test_refusals),
                                     cmocka_unit_test(test_recovery),
                                     cmocka_unit_test(test_attach_after_crash),
                                     cmocka_unit_test(test_dead_and_interrupted),
                                     cmocka_unit_test(test_other_calls),
                                     cmocka_unit_test(test_cancel),
                                     cmocka_unit_test(test_bad_answers), cmocka_unit_test(test_regions)};
  return cmocka_run_group_tests(tests, open_all, close_all);
}
