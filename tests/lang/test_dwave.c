/* test_dwave.c: sample(), submit() and attach() with dwave() from scripts, against a
 * scripted server.                                                           */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include "lang/qa.h"
#include "tests/runtime/dwave/server.h"

#define TOKEN "DEV-0123456789abcdef0123456789abcdef01234567"
#define SOLVER                                                                                     \
  "{\"identity\":{\"name\":\"S\",\"version\":{\"graph_id\":\"g\"}},\"status\":\"ONLINE\","         \
  "\"avg_load\":0.25,\"properties\":{\"category\":\"qpu\",\"num_qubits\":4,\"qubits\":[0,1],"      \
  "\"couplers\":[[0,1]],\"topology\":{\"type\":\"chimera\",\"shape\":[1,1,2]},\"parameters\":"     \
  "{\"num_reads\":\"\",\"fast_anneal\":\"\",\"annealing_time\":\"\",\"anneal_schedule\":\"\",\"initial_state\":\"\"},"  \
  "\"annealing_time_range\":[0.5,2000]}}"
#define STATUS(s)                                                                                  \
  "[{\"status\":\"" s "\",\"id\":\"job-1\",\"type\":\"ising\",\"label\":\"%LABEL\"}]"
/* rows (-,+) 6 times and (-,-) 4 times */
#define ANSWER                                                                                     \
  "{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"qp\",\"num_variables\":4,"  \
  "\"solutions\":\"QAA=\",\"energies\":\"AAAAAAAA8L8AAAAAAADwPw==\",\"active_variables\":"         \
  "\"AAAAAAEAAAA=\",\"num_occurrences\":\"BgAAAAQAAAA=\",\"timing\":{\"qpu_access_time\":15000}}}"

static char folder[64];

/* Runs a script in which HERE is the server; prints go to `out`. */
typedef struct {
  char text[8192];
  size_t n;
} Printed;
static void on_print(void *user, const char *text, size_t n) {
  Printed *p = user;
  if (p->n + n < sizeof p->text) memcpy(p->text + p->n, text, n), p->n += n;
  p->text[p->n] = 0;
}

static qa_Status script(const Server *s, const char *code, Printed *p) {
  Buf text = {0};
  p->n = 0;
  p->text[0] = 0;
  buf_format(&text, "let HERE = \"http://127.0.0.1:%d/sapi/\"\nlet KEY = \"%s\"\n%s", s->port,
             TOKEN, code);
  qa_Config config;
  qa_config_init(&config);
  config.write = on_print;
  config.user = p;
  qa_State *S = qa_open(&config);
  assert_non_null(S);
  qa_Status st = qa_eval(S, text.data, "test", NULL);
  if (st) on_print(p, qa_message(S), strlen(qa_message(S)));
  assert_null(strstr(p->text, TOKEN));
  qa_close(S);
  buf_free(&text);
  return st;
}

#define HAM "hamiltonian pair() { spin s[2]\n minimize s[0] * s[1] }\n"
#define MACHINE "dwave(endpoint = HERE, token = KEY, solver = \"S\", reads = 10, time = 20us)"

static void test_sample(void **state) {
  static const Step step[] = {{200, "solver-definition", SOLVER},
                              {200, "problems", STATUS("PENDING")},
                              {200, "problems", STATUS("COMPLETED")},
                              {200, "problem", ANSWER}};
  Server s;
  Printed p;
  server_start(&s, step, 4);
  qa_Status st =
      script(&s,
             HAM "let r = sample(pair(), " MACHINE ")\n"
                 "print(" MACHINE ".token, len(str(r.info)) > 0, " MACHINE " == " MACHINE ")\n"
                 "print(r.energies, r.counts, r.best.s[0] * r.best.s[1], r.breaks)\n"
      "print(r.info.note)\n"
                 "let again = attach(jobs()[0], pair(), endpoint = HERE, token = KEY)\n"
                 "print(again.energies == r.energies, again.counts, again.info.qpu_seconds)\n"
                 "print(str(r.info.sampler) == str(" MACHINE "))\n"
                 "let alone = attach(\"job-1\")\n"
                 "print(alone.energies, alone.best.s[0] * alone.best.s[1], jobs()[0].state)\n",
             &p);
  if (st) print_error("%s\n", p.text);
  assert_int_equal(st, QA_OK);
  assert_string_equal(p.text, "*** true true\n[-1.0, 1.0] [6, 4] -1 [0.0, 0.0]\nS, job job-1, 0.015 s\n[true, true] [6, "
                              "4] 0.015\ntrue\n[-1.0, 1.0] -1 COMPLETED\n");
  server_stop(&s);
  assert_non_null(strstr(s.request[1].data, "\"params\":{\"num_reads\":10,\"annealing_time\":20}"));
  server_free(&s);
}

/* A field of 1 on one spin is a coupling of 1 to another one: the rows' products count. */
static void test_ancilla(void **state) {
  static const Step step[] = {{200, "solver-definition", SOLVER}, {200, "problems", STATUS("COMPLETED")},
                              {200, "problem", ANSWER}};
  Server s;
  Printed p;
  server_start(&s, step, 3);
  qa_Status st = script(&s, "hamiltonian one() { spin s\n minimize s + 0.5 }\n"
      "let r = sample(one(), dwave(endpoint = HERE, token = KEY, solver = \"S\", reads = 10, fast = true, "
      "fields = \"ancilla\"))\n"
      "print(r.energies, r.counts, r.best.s)\n"
      "print(attach(jobs()[0], one()).energies)\n", &p);
  if (st) print_error("%s\n", p.text);
  assert_int_equal(st, QA_OK);
  assert_string_equal(p.text, "[-0.5, 1.5] [6, 4] -1\n[-0.5, 1.5]\n");
  server_stop(&s);
  /* no field is sent, and the coupling is 1 */
  assert_non_null(strstr(s.request[1].data, "\"lin\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"quad\":\"AAAAAAAA8D8=\""));
  server_free(&s);
}

static void test_submit_attach(void **state) {
  static const Step step[] = {{200, "solver-definition", SOLVER},
                              {200, "problems", STATUS("PENDING")},
                              {200, "problems", STATUS("IN_PROGRESS")},
                              {200, "problems", STATUS("COMPLETED")},
                              {200, "problem", ANSWER}};
  Server s;
  Printed p;
  server_start(&s, step, 5);
  qa_Status st = script(&s,
                        HAM "let j = submit(pair(), " MACHINE ")\n"
                            "print(j.state, j.id)\n"
                            "let r = attach(j.label, pair(), endpoint = HERE, token = KEY)\n"
                            "print(r.energies)\n",
                        &p);
  if (st) print_error("%s\n", p.text);
  assert_int_equal(st, QA_OK);
  assert_string_equal(p.text, "PENDING job-1\n[-1.0, 1.0]\n");
  server_stop(&s);
  server_free(&s);
}

/* A reverse anneal from samples; a wide answer that leaves a used qubit out. */
static void test_reverse(void **state) {
  static const char other[] =
      "{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"qp\",\"num_variables\":"
      "4,"
      "\"solutions\":\"gA==\",\"energies\":\"AAAAAAAA8L8=\",\"active_variables\":\"AAAAAA==\","
      "\"num_occurrences\":\"BgAAAA==\"}}";
  static const Step step[] = {{200, "solver-definition", SOLVER},
                              {200, "problems", STATUS("COMPLETED")},
                              {200, "problem", other}};
  Server s;
  Printed p;
  server_start(&s, step, 3);
  qa_Status st = script(
      &s,
      HAM
      "let start = sample(pair(), exact())\n"
      "sample(pair(), dwave(endpoint = HERE, token = KEY, solver = \"S\", reads = 2, schedule = "
      "[(0us, 1), (5us, 0.5), (10us, 1)]), from = start)\n",
      &p);
  assert_int_equal(st, QA_BACKEND);
  assert_non_null(strstr(p.text, "the answer says nothing of qubit 1"));
  server_stop(&s);
  bool one = strstr(s.request[1].data, "\"initial_state\":[-1,1,3,3]") != NULL;
  assert_true(one || strstr(s.request[1].data, "\"initial_state\":[1,-1,3,3]"));
  assert_non_null(strstr(s.request[1].data, "\"anneal_schedule\":[[0,1],[5,0.5],[10,1]]"));
  server_free(&s);
}

/* A hybrid solver: the model is uploaded, the answer comes as a sample set. */
static void test_hybrid(void **state) {
  static const char hybrid[] =
      "[{\"identity\":{\"name\":\"hybrid_v2\"},\"status\":\"ONLINE\",\"properties\":{\"category\":"
      "\"hybrid\",\"supported_problem_types\":[\"bqm\"],\"parameters\":{\"time_limit\":\"\"},"
      "\"version\":\"2.2\",\"minimum_time_limit\":[[1,3],[1024,3]]}}]";
  static const char answer[] =
      "{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"answer\":{\"format\":\"bq\",\"data\":{\"type\":"
      "\"SampleSet\",\"version\":{\"sampleset_schema\":\"3.1.0\"},\"num_variables\":2,\"num_rows\":"
      "1,"
      "\"sample_data\":{\"type\":\"array\",\"data\":[[2]],\"data_type\":\"uint32\",\"shape\":[1,1],"
      "\"use_bytes\":false},\"sample_type\":\"int8\",\"sample_packed\":true,\"vectors\":{"
      "\"energy\":"
      "{\"type\":\"array\",\"data\":[-1],\"data_type\":\"int64\",\"shape\":[1],\"use_bytes\":false}"
      "},"
      "\"variable_labels\":[0,1],\"variable_type\":\"SPIN\",\"info\":{}}}}";
  static const Step step[] = {{200, "solver-definition-list", hybrid},
                              {200, NULL, "{\"id\":\"up-7\"}"},
                              {200, NULL, "{}"},
                              {200, NULL, "{}"},
                              {200, "problems", STATUS("COMPLETED")},
                              {200, "problem", answer}};
  Server s;
  Printed p;
  server_start(&s, step, 6);
  qa_Status st =
      script(&s,
             HAM "let r = sample(pair(), dwave(endpoint = HERE, token = KEY, hybrid = true))\n"
                 "print(r.energies, r.best.s)\n",
             &p);
  if (st) print_error("%s\n", p.text);
  assert_int_equal(st, QA_OK);
  assert_string_equal(p.text, "[-1.0] [-1, 1]\n");
  server_stop(&s);
  assert_non_null(strstr(s.request[4].data,
                         "\"data\":{\"format\":\"ref\",\"data\":\"up-7\"},\"type\":\"bqm\","
                         "\"params\":{\"time_limit\":3},\"label\":\"qa-"));
  server_free(&s);
}

static void test_refusals(void **state) {
  static const struct {
    const char *code, *error;
  } t[] = {
      {HAM "sample(pair(), dwave(endpoint = \"https://x.example/\", solver = \"S\"))\n",
       "no D-Wave token"},
      {HAM "sample(pair(), dwave(endpoint = \"http://x.example/\", token = KEY))\n", "plain http"},
      {"print(dwave(time = 20))\n", "expected a time"},
      {"print(dwave(reads = 1.5))\n", "reads"},
      {"print(dwave(breaks = \"major\"))\n", "breaks"},
      {"print(dwave(fields = \"none\"))\n", "fields"},
      {HAM "submit(pair(), anneal())\n", "only machines"},
      {
          "dwave(token = \"" TOKEN "\", time = 20)\n",
          "token = \"****",
      },
      {"attach(\"unknown-job\")\n", "no job"}};
  Server s = {.port = 9};
  Printed p;
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    qa_Status st = script(&s, t[i].code, &p);
    if (st == QA_OK || !strstr(p.text, t[i].error)) print_error("case %zu: %s\n", i, p.text);
    assert_int_not_equal(st, QA_OK);
    assert_non_null(strstr(p.text, t[i].error));
  }
}

static int make_folder(void **state) {
  strcpy(folder, "/tmp/qa-lang-dwave-XXXXXX");
  if (!mkdtemp(folder)) return 1;
  setenv("QA_JOBS", folder, 1);
  /* the user's own configuration must not take part */
  setenv("HOME", folder, 1);
  setenv("XDG_CONFIG_DIRS", folder, 1);
  unsetenv("XDG_CONFIG_HOME");
  unsetenv("DWAVE_API_TOKEN");
  return 0;
}

static int clear_folder(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_sample, make_folder, clear_folder),
      cmocka_unit_test_setup_teardown(test_ancilla, make_folder, clear_folder),
      cmocka_unit_test_setup_teardown(test_submit_attach, make_folder, clear_folder),
      cmocka_unit_test_setup_teardown(test_reverse, make_folder, clear_folder),
      cmocka_unit_test_setup_teardown(test_hybrid, make_folder, clear_folder),
      cmocka_unit_test_setup_teardown(test_refusals, make_folder, clear_folder)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
