/* The run store: lines survive a round trip bit for bit, torn lines are
 * skipped, claims and kept values behave across processes and kills.          */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/run/store.h"

typedef struct { Rt *rt; char dir[64]; } Fixture;

static int setup(void **state) {
  Fixture *f = calloc(1, sizeof *f);
  f->rt = rt_open();
  strcpy(f->dir, "/tmp/qa-store-XXXXXX");
  *state = f;
  return f->rt && mkdtemp(f->dir) ? 0 : 1;
}

static int teardown(void **state) {
  Fixture *f = *state;
  char cmd[128];
  snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
  int rc = system(cmd);
  rt_close(f->rt);
  free(f);
  return rc;
}

static void make_key(char key[RUN_KEY_SIZE], int i) {
  uint8_t h[32];
  Sha256 s;
  sha256_init(&s);
  sha256_add(&s, &i, sizeof i);
  sha256_end(&s, h);
  sha256_hex(h, key);
}

static RunRecord sample(RunEvent event, int i, RunColumn *columns, RunCurve *curve) {
  static RunSetting settings[2];
  static const double points[3] = {1.0 / 3, -0.0, 5e-324};
  RunRecord r = {.event = event, .experiment = "noise \"x\"\n", .settings = settings};
  make_key(r.key, i);
  settings[0] = (RunSetting){.name = "seed", .label = "3", .repeat = true};
  settings[1] = (RunSetting){.name = "σ", .label = "0.1", .numeric = true, .number = 0.1};
  make_key(settings[0].hash, 100);
  make_key(settings[1].hash, 101);
  r.n_settings = 2;
  columns[0] = (RunColumn){.name = "loss", .type = COL_F64, .f = 0.1 + 0.2};
  columns[1] = (RunColumn){.name = "count", .type = COL_I64, .i = INT64_MIN + 1};
  columns[2] = (RunColumn){.name = "bad", .type = COL_F64, .f = NAN};
  columns[3] = (RunColumn){.name = "low", .type = COL_F64, .f = -INFINITY};
  columns[4] = (RunColumn){.name = "text", .type = COL_TEXT, .text = "a\t\"b\"\\ é"};
  columns[5] = (RunColumn){.name = "ok", .type = COL_BOOL, .i = 1};
  static const int64_t shape[2] = {1, 3};
  columns[6] = (RunColumn){.name = "row", .type = COL_TENSOR, .rank = 2, .shape = shape,
                           .values = points};
  r.columns = columns;
  r.n_columns = 7;
  *curve = (RunCurve){"descent", 3, points};
  r.curves = curve;
  r.n_curves = 1;
  r.parts.seed = INT64_MAX;
  make_key(r.parts.code, 7);
  r.machine.started = "2024-01-01T00:00:00Z";
  return r;
}

static void test_line_round_trip(void **state) {
  (void)state;
  RunColumn columns[7];
  RunCurve curve;
  RunRecord r = sample(RUN_DONE, 1, columns, &curve), back;
  Buf line = {0};
  record_write(&r, &line);
  assert_false(line.failed);
  assert_null(memchr(line.data, '\n', line.len - 1));
  assert_true(record_read(line.data, line.len, &back));
  assert_string_equal(back.key, r.key);
  assert_string_equal(back.experiment, r.experiment);
  assert_int_equal(back.parts.seed, INT64_MAX);
  assert_int_equal(back.n_columns, 7);
  assert_memory_equal(&back.columns[0].f, &r.columns[0].f, 8);
  assert_int_equal(back.columns[1].i, INT64_MIN + 1);
  assert_true(isnan(back.columns[2].f));
  assert_true(isinf(back.columns[3].f) && back.columns[3].f < 0);
  assert_string_equal(back.columns[4].text, r.columns[4].text);
  assert_int_equal(back.columns[5].i, 1);
  assert_int_equal(back.columns[6].rank, 2);
  assert_memory_equal(back.columns[6].values, r.columns[6].values, 24);
  assert_memory_equal(back.curves[0].values, curve.values, 24);
  assert_true(back.settings[0].repeat);
  assert_true(back.settings[1].numeric && back.settings[1].number == 0.1);
  record_free(&back);
  for (size_t cut = 1; cut < line.len - 1; cut++) { /* no prefix passes for a line */
    bool ok = record_read(line.data, line.len - 1 - cut, &back);
    record_free(&back);
    assert_false(ok);
  }
  buf_free(&line);
}

static char *only_log(const char *dir, char path[256]) {
  char log[128];
  snprintf(log, sizeof log, "%s/log", dir);
  DIR *d = opendir(log);
  struct dirent *e;
  path[0] = 0;
  while ((e = readdir(d)))
    if (strstr(e->d_name, ".jsonl")) snprintf(path, 256, "%s/%.120s", log, e->d_name);
  closedir(d);
  return path;
}

static void test_torn_lines(void **state) {
  Fixture *f = *state;
  RunColumn columns[7];
  RunCurve curve;
  Store *s = store_open(f->rt, f->dir);
  assert_non_null(s);
  RunRecord a = sample(RUN_START, 1, columns, &curve), b = sample(RUN_DONE, 1, columns, &curve);
  assert_int_equal(store_append(s, &a), RT_OK);
  assert_false(store_done(s, a.key));
  assert_int_equal(store_append(s, &b), RT_OK);
  assert_true(store_done(s, a.key));
  store_close(s);

  char path[256];
  FILE *file = fopen(only_log(f->dir, path), "ab");
  Buf line = {0};
  RunRecord c = sample(RUN_DONE, 2, columns, &curve), d = sample(RUN_DONE, 3, columns, &curve);
  record_write(&c, &line);
  fwrite(line.data, 1, line.len / 2, file); /* torn, then a newline and a whole line */
  fputc('\n', file);
  line.len = 0;
  record_write(&d, &line);
  fwrite(line.data, 1, line.len, file);
  fwrite(line.data, 1, line.len - 1, file); /* the torn end */
  fclose(file);
  buf_free(&line);

  s = store_open(f->rt, f->dir);
  assert_true(store_done(s, a.key));
  assert_false(store_done(s, c.key));
  assert_true(store_done(s, d.key));
  assert_int_equal(store_count(s, RUN_DONE), 2);
  RunRecord back;
  assert_int_equal(store_load(s, d.key, &back), RT_OK);
  assert_string_equal(back.key, d.key);
  record_free(&back);
  assert_int_not_equal(store_load(s, c.key, &back), RT_OK);
  store_close(s);
}

static int64_t query(const char *dir, const char *sql) {
  char path[128];
  snprintf(path, sizeof path, "%s/qa.db", dir);
  sqlite3 *db;
  sqlite3_stmt *q;
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(q), SQLITE_ROW);
  int64_t v = sqlite3_column_int64(q, 0);
  sqlite3_finalize(q);
  sqlite3_close(db);
  return v;
}

static void test_index(void **state) {
  Fixture *f = *state;
  RunColumn columns[7];
  RunCurve curve;
  int64_t lines = -1;
  Store *s = store_open(f->rt, f->dir);
  for (int i = 0; i < 5; i++) {
    RunRecord a = sample(RUN_START, i, columns, &curve), b = sample(RUN_DONE, i, columns, &curve);
    assert_int_equal(store_append(s, &a), RT_OK);
    if (i < 3) assert_int_equal(store_append(s, &b), RT_OK);
    if (i == 1) assert_int_equal(store_index(s, false, NULL), RT_OK);
  }
  assert_int_equal(store_index(s, false, &lines), RT_OK);
  assert_int_equal(lines, 4); /* only what was new */
  assert_int_equal(query(f->dir, "select count(*) from runs where event = 'done'"), 3);
  assert_int_equal(query(f->dir, "select count(*) from runs"), 5);
  assert_int_equal(query(f->dir, "select count(*) from columns"), 21);
  assert_int_equal(query(f->dir, "select value = 0.1 + 0.2 from columns where name = 'loss'"), 1);
  assert_int_equal(query(f->dir, "select value from columns where name = 'count'"), INT64_MIN + 1);
  assert_int_equal(query(f->dir, "select count(*) from curves"), 9);

  char path[128];
  snprintf(path, sizeof path, "%s/qa.db", f->dir);
  FILE *file = fopen(path, "wb"); /* a damaged index is made anew */
  for (int i = 0; i < 4096; i++) fputc('x', file);
  fclose(file);
  assert_int_equal(store_index(s, false, &lines), RT_OK);
  assert_int_equal(query(f->dir, "select count(*) from runs"), 5);
  assert_int_equal(store_index(s, true, &lines), RT_OK);
  assert_int_equal(query(f->dir, "select count(*) from runs where event = 'done'"), 3);
  store_close(s);
}

/* A child claims a key and is killed without warning. */
static void test_claims(void **state) {
  Fixture *f = *state;
  char key[RUN_KEY_SIZE], other[RUN_KEY_SIZE];
  make_key(key, 1);
  make_key(other, 2);
  Store *s = store_open(f->rt, f->dir);
  int fd[2];
  assert_int_equal(pipe(fd), 0);
  pid_t pid = fork();
  if (pid == 0) {
    bool mine = false;
    store_forked(s);
    store_claim(s, key, &mine);
    if (write(fd[1], mine ? "y" : "n", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char c;
  assert_int_equal(read(fd[0], &c, 1), 1);
  assert_int_equal(c, 'y');
  bool mine = true;
  assert_int_equal(store_claim(s, key, &mine), RT_OK);
  assert_false(mine);
  assert_int_equal(store_claim(s, other, &mine), RT_OK);
  assert_true(mine);
  kill(pid, SIGKILL);
  assert_int_equal(store_claim_wait(s, key), RT_OK);
  waitpid(pid, NULL, 0);

  Store *t = store_open(f->rt, f->dir); /* excludes stores of this process too */
  assert_int_equal(store_claim(t, key, &mine), RT_OK);
  assert_false(mine);
  store_release(s, key);
  assert_int_equal(store_claim(t, key, &mine), RT_OK);
  assert_true(mine);
  rt_interrupt(f->rt);
  assert_int_equal(store_claim_wait(s, key), RT_INTERRUPTED);
  store_close(t);
  store_close(s);
  close(fd[0]);
  close(fd[1]);
}

static void test_keep(void **state) {
  Fixture *f = *state;
  char key[RUN_KEY_SIZE];
  make_key(key, 1);
  Store *s = store_open(f->rt, f->dir);
  Buf b = {0};
  bool found = true;
  assert_int_equal(store_keep_read(s, key, &b, &found), RT_OK);
  assert_false(found);
  unsigned char bytes[1000];
  for (int i = 0; i < 1000; i++) bytes[i] = (unsigned char)(i * 7);
  assert_int_equal(store_keep_write(s, key, bytes, sizeof bytes), RT_OK);
  assert_true(store_kept(s, key) > 1e9);
  assert_int_equal(store_keep_read(s, key, &b, &found), RT_OK);
  assert_true(found);
  assert_int_equal(b.len, 1000);
  assert_memory_equal(b.data, bytes, 1000);
  buf_free(&b);

  char path[256];
  snprintf(path, sizeof path, "%s/keep/%s.qav", f->dir, key);
  int fd = open(path, O_WRONLY);
  assert_int_equal(pwrite(fd, "!", 1, 500), 1); /* one flipped byte is noticed */
  close(fd);
  assert_int_equal(store_keep_read(s, key, &b, &found), RT_OK);
  assert_false(found);
  assert_int_equal(truncate(path, 20), 0);
  assert_int_equal(store_keep_read(s, key, &b, &found), RT_OK);
  assert_false(found);
  buf_free(&b);
  store_close(s);
}

/* Four writers at once; every line arrives. */
static void test_writers(void **state) {
  Fixture *f = *state;
  Store *s = store_open(f->rt, f->dir);
  pid_t pid[4];
  for (int w = 0; w < 4; w++)
    if ((pid[w] = fork()) == 0) {
      RunColumn columns[7];
      RunCurve curve;
      int bad = store_forked(s);
      for (int i = 0; i < 25; i++) {
        RunRecord r = sample(RUN_DONE, w * 25 + i, columns, &curve);
        bad |= store_append(s, &r);
      }
      _exit(bad != 0);
    }
  for (int w = 0; w < 4; w++) {
    int status;
    waitpid(pid[w], &status, 0);
    assert_int_equal(status, 0);
  }
  assert_int_equal(store_refresh(s), RT_OK);
  assert_int_equal(store_count(s, RUN_DONE), 100);
  store_close(s);
}

static void test_errors(void **state) {
  Fixture *f = *state;
  assert_null(store_open(f->rt, "/proc/nowhere/runs"));
  assert_non_null(strstr(f->rt->error.message, "/proc/nowhere"));
  f->rt->deny_files = true;
  assert_null(store_open(f->rt, f->dir));
  assert_non_null(strstr(f->rt->error.message, "denied"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_line_round_trip),
      cmocka_unit_test_setup_teardown(test_torn_lines, setup, teardown),
      cmocka_unit_test_setup_teardown(test_index, setup, teardown),
      cmocka_unit_test_setup_teardown(test_claims, setup, teardown),
      cmocka_unit_test_setup_teardown(test_keep, setup, teardown),
      cmocka_unit_test_setup_teardown(test_writers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
