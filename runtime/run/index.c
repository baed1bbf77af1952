/* index.c: runs/qa.db, the SQLite index of the logs.
 *
 * For people and their tools: nothing here is read back by experiments, so
 * the file may be deleted at any time.  Lines are taken in from where the last
 * index of that log stopped; an index that SQLite finds damaged, or of another
 * layout, is thrown away and made anew.
 */
#include "runtime/run/store_private.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INDEX_VERSION = 1 };

static const char schema[] =
    "create table logs(name text primary key, size integer not null) without rowid;"
    "create table runs(key text primary key, event text not null, experiment text, name text,"
    " started text, wall real, cpu real, rss integer, seed integer, host text, pid integer,"
    " cpu_model text, kernel text, threads integer, version text, commit_id text, command text,"
    " error text, log text not null, offset integer not null) without rowid;"
    "create table settings(key text, name text, label text, value real, repeat integer,"
    " primary key(key, name)) without rowid;"
    "create table columns(key text, name text, type text, value, primary key(key, name))"
    " without rowid;"
    "create table curves(key text, name text, i integer, value real, primary key(key, name, i))"
    " without rowid;"
    "create table artifacts(key text, name text, path text, primary key(key, name)) without rowid;"
    "create index runs_by_experiment on runs(experiment, event);";

typedef struct {
  Store *store;
  sqlite3 *db;
  sqlite3_stmt *find, *clear[4], *run, *setting, *column, *curve, *artifact, *log;
  int64_t lines;
} Index;

static RtStatus db_fail(Index *x, const char *what) {
  return rt_fail(x->store->rt, RT_ERROR, "cannot %s `%s/qa.db`: %s", what, x->store->dir,
                 x->db ? sqlite3_errmsg(x->db) : "out of memory");
}

static void put_text(sqlite3_stmt *q, int i, const char *s) {
  if (s) sqlite3_bind_text(q, i, s, -1, SQLITE_TRANSIENT);
  else sqlite3_bind_null(q, i);
}

static RtStatus step(Index *x, sqlite3_stmt *q) {
  int rc = sqlite3_step(q);
  sqlite3_reset(q);
  sqlite3_clear_bindings(q);
  return rc == SQLITE_DONE || rc == SQLITE_ROW ? RT_OK : db_fail(x, "write");
}

/* ---- one line --------------------------------------------------------------- */

/* Is a better line of this key indexed already? */
static bool outranked(Index *x, const RunRecord *r) {
  put_text(x->find, 1, r->key);
  bool keep_old = false;
  if (sqlite3_step(x->find) == SQLITE_ROW) {
    const char *event = (const char *)sqlite3_column_text(x->find, 0);
    bool done = event && strcmp(event, "done") == 0;
    bool fail = event && strcmp(event, "fail") == 0;
    keep_old = (done && r->event != RUN_DONE) || (fail && r->event == RUN_START);
  }
  sqlite3_reset(x->find);
  return keep_old;
}

static RtStatus put_run(Index *x, const RunRecord *r, const char *log, int64_t offset) {
  const RunMachine *m = &r->machine;
  sqlite3_stmt *q = x->run;
  put_text(q, 1, r->key);
  put_text(q, 2, run_event_name[r->event]);
  put_text(q, 3, r->experiment);
  put_text(q, 4, r->name);
  put_text(q, 5, m->started);
  sqlite3_bind_double(q, 6, m->wall);
  sqlite3_bind_double(q, 7, m->cpu);
  sqlite3_bind_int64(q, 8, m->rss);
  sqlite3_bind_int64(q, 9, r->parts.seed);
  put_text(q, 10, m->host);
  sqlite3_bind_int(q, 11, m->pid);
  put_text(q, 12, m->cpu_model);
  put_text(q, 13, m->kernel);
  sqlite3_bind_int(q, 14, m->threads);
  put_text(q, 15, r->parts.version);
  put_text(q, 16, m->commit);
  put_text(q, 17, r->command);
  put_text(q, 18, r->error);
  put_text(q, 19, log);
  sqlite3_bind_int64(q, 20, offset);
  return step(x, q);
}

static RtStatus put_settings(Index *x, const RunRecord *r) {
  for (int i = 0; i < r->n_settings; i++) {
    const RunSetting *s = &r->settings[i];
    put_text(x->setting, 1, r->key);
    put_text(x->setting, 2, s->name);
    put_text(x->setting, 3, s->label);
    if (s->numeric) sqlite3_bind_double(x->setting, 4, s->number);
    sqlite3_bind_int(x->setting, 5, s->repeat);
    RT_TRY(step(x, x->setting));
  }
  return RT_OK;
}

static RtStatus put_columns(Index *x, const RunRecord *r) {
  static const char *const type[] = {"f64", "i64", "bool", "text", "tensor"};
  for (int i = 0; i < r->n_columns; i++) {
    const RunColumn *c = &r->columns[i];
    put_text(x->column, 1, r->key);
    put_text(x->column, 2, c->name);
    put_text(x->column, 3, type[c->type]);
    Buf text = {0};
    if (c->type == COL_F64) {
      sqlite3_bind_double(x->column, 4, c->f); /* nan becomes null */
    } else if (c->type == COL_I64 || c->type == COL_BOOL) {
      sqlite3_bind_int64(x->column, 4, c->i);
    } else {
      column_text(c, &text);
      put_text(x->column, 4, text.data);
    }
    buf_free(&text);
    RT_TRY(step(x, x->column));
  }
  return RT_OK;
}

static RtStatus put_curves(Index *x, const RunRecord *r) {
  for (int i = 0; i < r->n_curves; i++)
    for (int64_t k = 0; k < r->curves[i].n; k++) {
      put_text(x->curve, 1, r->key);
      put_text(x->curve, 2, r->curves[i].name);
      sqlite3_bind_int64(x->curve, 3, k);
      sqlite3_bind_double(x->curve, 4, r->curves[i].values[k]);
      RT_TRY(step(x, x->curve));
    }
  for (int i = 0; i < r->n_artifacts; i++) {
    put_text(x->artifact, 1, r->key);
    put_text(x->artifact, 2, r->artifacts[i].name);
    put_text(x->artifact, 3, r->artifacts[i].path);
    RT_TRY(step(x, x->artifact));
  }
  return RT_OK;
}

static RtStatus put_line(Index *x, const char *line, size_t n, const char *log, int64_t offset) {
  RunRecord r;
  RtStatus st = RT_OK;
  if (record_read(line, n, &r) && !outranked(x, &r)) {
    for (int i = 0; i < 4 && !st; i++) {
      put_text(x->clear[i], 1, r.key);
      st = step(x, x->clear[i]);
    }
    if (!st) st = put_run(x, &r, log, offset);
    if (!st) st = put_settings(x, &r);
    if (!st) st = put_columns(x, &r);
    if (!st) st = put_curves(x, &r);
    x->lines++;
  }
  record_free(&r);
  return st;
}

/* ---- one log ---------------------------------------------------------------- */

static int64_t indexed_size(Index *x, const char *name) {
  sqlite3_stmt *q = NULL;
  int64_t size = 0;
  if (sqlite3_prepare_v2(x->db, "select size from logs where name = ?", -1, &q, NULL) == 0) {
    put_text(q, 1, name);
    if (sqlite3_step(q) == SQLITE_ROW) size = sqlite3_column_int64(q, 0);
  }
  sqlite3_finalize(q);
  return size;
}

static RtStatus index_log(Index *x, const LogFile *log) {
  int64_t from = indexed_size(x, log->name);
  if (from >= log->offset) return RT_OK;
  char *path = store_file(x->store, "log/%s", log->name);
  if (!path) return RT_MEMORY;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  free(path);
  size_t size = (size_t)(log->offset - from), got = 0;
  char *text = malloc(size);
  while (fd >= 0 && text && got < size) {
    ssize_t k = pread(fd, text + got, size - got, from + (int64_t)got);
    if (k <= 0) break;
    got += (size_t)k;
  }
  if (fd >= 0) close(fd);
  RtStatus st = RT_OK;
  size_t at = 0;
  while (!st && at < got) {
    char *nl = memchr(text + at, '\n', got - at);
    if (!nl) break;
    size_t n = (size_t)(nl - (text + at)) + 1;
    st = put_line(x, text + at, n, log->name, from + (int64_t)at);
    at += n;
  }
  free(text);
  if (st) return st;
  put_text(x->log, 1, log->name);
  sqlite3_bind_int64(x->log, 2, from + (int64_t)at);
  return step(x, x->log);
}

/* ---- the whole index -------------------------------------------------------- */

static bool prepare(Index *x, sqlite3_stmt **q, const char *sql) {
  return sqlite3_prepare_v2(x->db, sql, -1, q, NULL) == SQLITE_OK;
}

static bool prepare_all(Index *x) {
  return prepare(x, &x->find, "select event from runs where key = ?") &&
         prepare(x, &x->clear[0], "delete from settings where key = ?") &&
         prepare(x, &x->clear[1], "delete from columns where key = ?") &&
         prepare(x, &x->clear[2], "delete from curves where key = ?") &&
         prepare(x, &x->clear[3], "delete from artifacts where key = ?") &&
         prepare(x, &x->run, "insert or replace into runs values"
                             "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)") &&
         prepare(x, &x->setting, "insert or replace into settings values(?,?,?,?,?)") &&
         prepare(x, &x->column, "insert or replace into columns values(?,?,?,?)") &&
         prepare(x, &x->curve, "insert or replace into curves values(?,?,?,?)") &&
         prepare(x, &x->artifact, "insert or replace into artifacts values(?,?,?)") &&
         prepare(x, &x->log, "insert or replace into logs values(?,?)");
}

static void close_index(Index *x) {
  sqlite3_stmt *all[] = {x->find, x->clear[0], x->clear[1], x->clear[2], x->clear[3], x->run,
                         x->setting, x->column, x->curve, x->artifact, x->log};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) sqlite3_finalize(all[i]);
  sqlite3_close(x->db);
  x->db = NULL;
}

static int user_version(sqlite3 *db) {
  sqlite3_stmt *q = NULL;
  int v = -1;
  if (sqlite3_prepare_v2(db, "pragma user_version", -1, &q, NULL) == SQLITE_OK &&
      sqlite3_step(q) == SQLITE_ROW)
    v = sqlite3_column_int(q, 0);
  sqlite3_finalize(q);
  return v;
}

/* False: the file is damaged or of another layout. */
static bool open_index(Index *x, const char *path) {
  if (sqlite3_open(path, &x->db) != SQLITE_OK) return false;
  sqlite3_busy_timeout(x->db, 10000);
  /* WAL needs shared memory, which network disks lack: then the default stays. */
  sqlite3_exec(x->db, "pragma journal_mode = wal", NULL, NULL, NULL);
  sqlite3_exec(x->db, "pragma synchronous = normal", NULL, NULL, NULL);
  if (sqlite3_exec(x->db, "begin immediate", NULL, NULL, NULL) != SQLITE_OK) return false;
  int version = user_version(x->db);
  if (version == 0) {
    char set[64];
    sqlite3_snprintf(sizeof set, set, "pragma user_version = %d", INDEX_VERSION);
    if (sqlite3_exec(x->db, schema, NULL, NULL, NULL) != SQLITE_OK) return false;
    if (sqlite3_exec(x->db, set, NULL, NULL, NULL) != SQLITE_OK) return false;
    version = INDEX_VERSION;
  }
  return version == INDEX_VERSION && prepare_all(x);
}

static void remove_index(const char *path) {
  static const char *const tail[] = {"", "-wal", "-shm", "-journal"};
  for (int i = 0; i < 4; i++) {
    char *name = sqlite3_mprintf("%s%s", path, tail[i]);
    if (name) unlink(name);
    sqlite3_free(name);
  }
}

RtStatus store_index(Store *s, bool all, int64_t *lines) {
  RT_TRY(store_refresh(s));
  char *path = store_file(s, "qa.db");
  if (!path) return RT_MEMORY;
  Index x = {.store = s};
  if (all) remove_index(path);
  if (!open_index(&x, path)) {
    close_index(&x);
    memset(&x, 0, sizeof x);
    x.store = s;
    remove_index(path);
    if (!open_index(&x, path)) {
      RtStatus st = db_fail(&x, "make");
      close_index(&x);
      free(path);
      return st;
    }
  }
  free(path);
  RtStatus st = RT_OK;
  for (int i = 0; i < s->n_files && !st; i++) st = index_log(&x, &s->files[i]);
  if (!st && sqlite3_exec(x.db, "commit", NULL, NULL, NULL) != SQLITE_OK) st = db_fail(&x, "write");
  if (lines) *lines = x.lines;
  close_index(&x);
  return st;
}
