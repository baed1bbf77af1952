/* test_dwave_budget.c: the `budget` of an experiment: its submissions together stay
 * below it, and nothing is sent beyond it.                                   */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <sys/wait.h>

#include "tests/runtime/dwave/server.h"

#define STATUS "[{\"status\":\"COMPLETED\",\"id\":\"job-1\",\"type\":\"ising\",\"label\":\"%LABEL\"}]"

static char folder[64], *chip;

static void put(const char *name, const char *text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

/* Exit code of the script with this budget; *posts: submissions that arrived. */
static int run(const char *budget, int *posts) {
  /* requests take turns: a definition, a submission */
  static Step step[8];
  for (int k = 0; k < 8; k++)
    step[k] = k % 2 ? (Step){200, "problems", STATUS} : (Step){200, "solver-definition", chip};
  Server s;
  server_start(&s, step, 8);
  Buf code = {0}, command = {0};
  buf_format(&code,
             "hamiltonian pair() { spin s[2]\n  minimize s[0] * s[1] }\n"
             "experiment price {\n  budget { qpu_time = %s }\n  sweep r in [1, 2]\n"
             "  record id = submit(pair(), dwave(solver = \"S\", reads = 50, time = 20us, "
             "endpoint = \"http://127.0.0.1:%d/\", token = \"t\")).id\n}\n", budget, s.port);
  put("price.qa", code.data);
  const char *qa = getenv("QA"), *root = getenv("ROOT");
  buf_format(&command, "cd '%s' && rm -rf runs jobs && QA_JOBS=jobs HOME=. XDG_CONFIG_DIRS=/ '%s%s' run price.qa "
             "--quiet >out 2>&1", folder, qa ? qa : root ? root : ".", qa ? "" : "/build/qa");
  int status = system(command.data);
  server_stop(&s);
  *posts = 0;
  for (int k = 0; k < s.seen; k++) *posts += !strncmp(s.request[k].data, "POST", 4);
  server_free(&s);
  buf_free(&code);
  buf_free(&command);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* One submission takes 21 ms. */
static void test_budget(void **state) {
  (void)state;
  int posts;
  assert_int_equal(run("1s", &posts), 0);
  assert_int_equal(posts, 2);
  assert_int_equal(run("30ms", &posts), 6);
  assert_int_equal(posts, 1);
  assert_int_equal(run("10ms", &posts), 6);
  assert_int_equal(posts, 0);
}

static int make_folder(void **state) {
  const char *root = getenv("ROOT");
  char path[400];
  Buf text = {0};
  Rt *rt = rt_open();
  (void)state;
  strcpy(folder, "/tmp/qa-budget-XXXXXX");
  snprintf(path, sizeof path, "%s/tests/lang/dwave/chip.json", root ? root : ".");
  int failed = !mkdtemp(folder) || !rt || file_read(rt, path, 1 << 20, &text) != RT_OK;
  chip = failed ? NULL : strdup(text.data);
  buf_free(&text);
  if (rt) rt_close(rt);
  return failed || !chip;
}

static int clear_folder(void **state) {
  char command[128];
  (void)state;
  free(chip);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_budget, make_folder, clear_folder)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
