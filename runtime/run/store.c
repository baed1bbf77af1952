/* store.c: the append-only logs of runs, claims on keys, kept values.
 *
 * The logs are read once when the store is opened and then only what was
 * appended since; a table from key to the best line (done over fail over
 * start) is all that stays in memory.
 */
#include "runtime/run/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- files and directories ------------------------------------------------ */

static RtStatus make_dir(Rt *rt, const char *path) {
  char *copy = strdup(path);
  if (!copy) return rt_fail(rt, RT_MEMORY, "out of memory");
  for (char *p = copy + 1;; p++) {
    if (*p && *p != '/') continue;
    char end = *p;
    *p = 0;
    if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
      rt_fail(rt, RT_ERROR, "cannot make the directory `%s`: %s", copy, strerror(errno));
      free(copy);
      return RT_ERROR;
    }
    if (!end) break;
    *p = end;
  }
  free(copy);
  return RT_OK;
}

char *store_file(const Store *s, const char *fmt, ...) {
  Buf b = {0};
  buf_format(&b, "%s/", s->dir);
  va_list ap;
  va_start(ap, fmt);
  buf_vformat(&b, fmt, ap);
  va_end(ap);
  if (!b.failed) return b.data;
  buf_free(&b);
  rt_fail(s->rt, RT_MEMORY, "out of memory");
  return NULL;
}

char *store_path(Store *s, const char *experiment, const char *file) {
  char *path = store_file(s, "%s/%s", experiment, file);
  if (!path) return NULL;
  char *slash = strrchr(path, '/');
  *slash = 0;
  RtStatus st = make_dir(s->rt, path);
  *slash = '/';
  if (!st) return path;
  free(path);
  return NULL;
}

const char *store_dir(const Store *s) { return s->dir; }

/* ---- the table of keys ---------------------------------------------------- */

static uint32_t *find_slot(const Store *s, const char *key) {
  uint64_t i = hash_bytes(key, 64) & (s->table_size - 1);
  while (s->table[i] && memcmp(s->entries[s->table[i] - 1].key, key, 64) != 0)
    i = (i + 1) & (s->table_size - 1);
  return &s->table[i];
}

static StoreEntry *find(const Store *s, const char *key) {
  if (!s->table_size) return NULL;
  uint32_t at = *find_slot(s, key);
  return at ? &s->entries[at - 1] : NULL;
}

static bool grow(Store *s) {
  uint32_t cap = s->cap ? 2 * s->cap : 256;
  StoreEntry *entries = realloc(s->entries, cap * sizeof *entries);
  if (!entries) return false;
  s->entries = entries;
  s->cap = cap;
  uint32_t *table = calloc(2 * (size_t)cap, sizeof *table);
  if (!table) return false;
  free(s->table);
  s->table = table;
  s->table_size = 2 * cap;
  for (uint32_t i = 0; i < s->n; i++) *find_slot(s, s->entries[i].key) = i + 1;
  return true;
}

static int rank_of(RunEvent e) { return e == RUN_DONE ? 3 : e == RUN_FAIL ? 2 : 1; }

static bool note_line(Store *s, int file, int64_t offset, const char *line, size_t n) {
  RunEvent event;
  char key[RUN_KEY_SIZE];
  if (!record_peek(line, n, &event, key)) return true; /* torn: skipped */
  if (s->n == s->cap && !grow(s)) return false;
  uint32_t *slot = find_slot(s, key);
  StoreEntry *e;
  if (*slot) {
    e = &s->entries[*slot - 1];
    if (rank_of(event) < rank_of(e->event)) return true;
    s->count[e->event]--;
  } else {
    e = &s->entries[s->n++];
    *slot = s->n;
    memcpy(e->key, key, RUN_KEY_SIZE);
  }
  e->event = event;
  e->file = file;
  e->offset = offset;
  e->length = n;
  s->count[event]++;
  return true;
}

/* ---- reading the logs ----------------------------------------------------- */

static RtStatus read_tail(Store *s, int fd, int64_t from, int64_t to, Buf *out) {
  out->data = malloc((size_t)(to - from) + 1);
  if (!out->data) return rt_fail(s->rt, RT_MEMORY, "out of memory");
  out->cap = (size_t)(to - from) + 1;
  while (from < to) {
    ssize_t got = pread(fd, out->data + out->len, (size_t)(to - from), from);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return rt_fail(s->rt, RT_ERROR, "cannot read a run log: %s", strerror(errno));
    if (got == 0) break;
    out->len += (size_t)got;
    from += got;
  }
  return RT_OK;
}

/* Takes in the complete lines behind files[f].offset. */
static RtStatus scan_file(Store *s, int f) {
  LogFile *file = &s->files[f];
  char *path = store_file(s, "log/%s", file->name);
  if (!path) return RT_MEMORY;
  struct stat st;
  bool grown = stat(path, &st) == 0 && st.st_size > file->offset;
  int fd = grown ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  free(path);
  if (fd < 0) return RT_OK;
  Buf b = {0};
  RtStatus status = read_tail(s, fd, file->offset, st.st_size, &b);
  close(fd);
  size_t at = 0;
  while (!status && at < b.len) {
    char *nl = memchr(b.data + at, '\n', b.len - at);
    if (!nl) break;
    size_t n = (size_t)(nl - (b.data + at)) + 1;
    if (!note_line(s, f, file->offset + (int64_t)at, b.data + at, n))
      status = rt_fail(s->rt, RT_MEMORY, "out of memory");
    at += n;
  }
  if (!status) file->offset += (int64_t)at;
  buf_free(&b);
  return status;
}

static int file_index(Store *s, const char *name) {
  for (int i = 0; i < s->n_files; i++)
    if (strcmp(s->files[i].name, name) == 0) return i;
  LogFile *files = realloc(s->files, (size_t)(s->n_files + 1) * sizeof *files);
  if (!files) return -1;
  s->files = files;
  files[s->n_files].name = strdup(name);
  files[s->n_files].offset = 0;
  return files[s->n_files].name ? s->n_files++ : -1;
}

static int is_log(const struct dirent *d) {
  size_t n = strlen(d->d_name);
  return n > 6 && strcmp(d->d_name + n - 6, ".jsonl") == 0;
}

RtStatus store_refresh(Store *s) {
  char *path = store_file(s, "log");
  if (!path) return RT_MEMORY;
  struct dirent **list = NULL;
  int n = scandir(path, &list, is_log, alphasort); /* by start time */
  free(path);
  if (n < 0) return rt_fail(s->rt, RT_ERROR, "cannot read `%s/log`: %s", s->dir, strerror(errno));
  RtStatus st = RT_OK;
  for (int i = 0; i < n; i++) {
    int f = st ? -1 : file_index(s, list[i]->d_name);
    if (!st && f < 0) st = rt_fail(s->rt, RT_MEMORY, "out of memory");
    if (!st) st = scan_file(s, f);
    free(list[i]);
  }
  free(list);
  return st;
}

/* ---- opening --------------------------------------------------------------- */

Store *store_open(Rt *rt, const char *dir) {
  if (rt->deny_files) {
    rt_fail(rt, RT_ERROR, "experiments store their runs in files, and files are denied here");
    return NULL;
  }
  Store *s = calloc(1, sizeof *s);
  if (!s || !(s->dir = strdup(dir))) {
    free(s);
    rt_fail(rt, RT_MEMORY, "out of memory");
    return NULL;
  }
  s->rt = rt;
  s->log_fd = s->lock_fd = -1;
  char *log = store_file(s, "log"), *keep = store_file(s, "keep");
  bool ok = log && keep && !make_dir(rt, log) && !make_dir(rt, keep) && !store_refresh(s);
  free(log);
  free(keep);
  if (ok) return s;
  store_close(s);
  return NULL;
}

void store_close(Store *s) {
  if (!s) return;
  if (s->log_fd >= 0) {
    fsync(s->log_fd);
    close(s->log_fd);
  }
  if (s->lock_fd >= 0) close(s->lock_fd);
  for (int i = 0; i < s->n_files; i++) free(s->files[i].name);
  free(s->files);
  free(s->entries);
  free(s->table);
  free(s->dir);
  free(s);
}

RtStatus store_forked(Store *s) {
  if (s->log_fd >= 0) close(s->log_fd);
  if (s->lock_fd >= 0) close(s->lock_fd);
  s->log_fd = s->lock_fd = -1;
  return store_refresh(s);
}

/* ---- appending ------------------------------------------------------------- */

static RtStatus open_log(Store *s) {
  char host[64] = "host", stamp[32];
  gethostname(host, sizeof host - 1);
  for (char *p = host; *p; p++)
    if (*p == '/') *p = '_';
  time_t now = time(NULL);
  struct tm tm;
  gmtime_r(&now, &tm);
  strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", &tm);
  for (int k = 0; k < 1000; k++) {
    char *path = store_file(s, "log/%s-%s-%d-%03d.jsonl", stamp, host, (int)getpid(), k);
    if (!path) return RT_MEMORY;
    s->log_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    s->log_file = s->log_fd >= 0 ? file_index(s, strrchr(path, '/') + 1) : -1;
    free(path);
    if (s->log_fd >= 0) break;
    if (errno != EEXIST) break;
  }
  if (s->log_fd < 0)
    return rt_fail(s->rt, RT_ERROR, "cannot write to `%s/log`: %s", s->dir, strerror(errno));
  if (s->log_file < 0) return rt_fail(s->rt, RT_MEMORY, "out of memory");
  char *log = store_file(s, "log"); /* the new name must survive a crash too */
  int fd = log ? open(log, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  free(log);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  return RT_OK;
}

/* What is written survives the death of the process at once; a power cut may
 * take the last tenth of a second.  A lost `start` means nothing. */
#define SYNC_EVERY 0.1

RtStatus store_append(Store *s, const RunRecord *r) {
  if (s->log_fd < 0) RT_TRY(open_log(s));
  Buf b = {0};
  if (s->torn) buf_text(&b, "\n");
  record_write(r, &b);
  if (b.failed) {
    buf_free(&b);
    return rt_fail(s->rt, RT_MEMORY, "out of memory");
  }
  ssize_t put;
  do put = write(s->log_fd, b.data, b.len);
  while (put < 0 && errno == EINTR);
  bool whole = put == (ssize_t)b.len;
  int why = put < 0 ? errno : ENOSPC;
  if (put > 0) s->torn = !whole;
  buf_free(&b);
  if (whole && r->event != RUN_START && rt_now() - s->synced > SYNC_EVERY) {
    whole = fsync(s->log_fd) == 0 || errno == EINVAL;
    why = errno;
    s->synced = rt_now();
  }
  if (!whole)
    return rt_fail(s->rt, RT_ERROR, "cannot record a run in `%s/log`: %s", s->dir, strerror(why));
  return scan_file(s, s->log_file);
}

/* ---- asking ---------------------------------------------------------------- */

bool store_done(const Store *s, const char *key) {
  StoreEntry *e = find(s, key);
  return e && e->event == RUN_DONE;
}

int store_mark(const Store *s) { return s->n_files; }

bool store_done_since(const Store *s, const char *key, int mark) {
  StoreEntry *e = find(s, key);
  return e && e->event == RUN_DONE && e->file >= mark;
}

int64_t store_count(const Store *s, RunEvent event) { return s->count[event]; }

static RtStatus load_entry(Store *s, const StoreEntry *e, RunRecord *out) {
  memset(out, 0, sizeof *out);
  char *path = store_file(s, "log/%s", s->files[e->file].name);
  if (!path) return RT_MEMORY;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  free(path);
  if (fd < 0) return rt_fail(s->rt, RT_ERROR, "run log `%s` has gone", s->files[e->file].name);
  Buf b = {0};
  RtStatus st = read_tail(s, fd, e->offset, e->offset + (int64_t)e->length, &b);
  close(fd);
  if (!st && !record_read(b.data, b.len, out)) {
    record_free(out);
    st = rt_fail(s->rt, RT_ERROR, "run log `%s` is damaged at byte %" PRId64,
                 s->files[e->file].name, e->offset);
    rt_help(s->rt, "remove that line; its run is then computed again");
  }
  buf_free(&b);
  return st;
}

RtStatus store_load(Store *s, const char *key, RunRecord *out) {
  StoreEntry *e = find(s, key);
  if (!e || e->event != RUN_DONE) return rt_fail(s->rt, RT_ERROR, "no run %.12s is stored", key);
  return load_entry(s, e, out);
}

RtStatus store_each(Store *s, int (*each)(const RunRecord *r, void *user), void *user) {
  for (uint32_t i = 0; i < s->n; i++) {
    RunRecord r;
    RT_TRY(load_entry(s, &s->entries[i], &r));
    int stop = each(&r, user);
    record_free(&r);
    if (stop) break;
  }
  return RT_OK;
}

/* ---- claims ----------------------------------------------------------------- */

/* One byte of one file stands for a key.  Locks of open file descriptions
 * exclude other stores of the same process too and vanish with the process. */
static int lock_byte(Store *s, const char *key, int type) {
  char head[16];
  memcpy(head, key, 15);
  head[15] = 0;
  struct flock l = {.l_type = (short)type, .l_whence = SEEK_SET, .l_len = 1};
  l.l_start = (off_t)strtoull(head, NULL, 16);
  int rc;
  do rc = fcntl(s->lock_fd, F_OFD_SETLK, &l);
  while (rc < 0 && errno == EINTR);
  return rc;
}

RtStatus store_claim(Store *s, const char *key, bool *mine) {
  *mine = false;
  if (s->lock_fd < 0) {
    char *path = store_file(s, "locks");
    if (!path) return RT_MEMORY;
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    free(path);
    if (s->lock_fd < 0)
      return rt_fail(s->rt, RT_ERROR, "cannot open `%s/locks`: %s", s->dir, strerror(errno));
  }
  if (lock_byte(s, key, F_WRLCK) == 0) {
    *mine = true;
    return RT_OK;
  }
  if (errno == EAGAIN || errno == EACCES) return RT_OK;
  return rt_fail(s->rt, RT_ERROR, "cannot lock `%s/locks`: %s", s->dir, strerror(errno));
}

RtStatus store_claim_wait(Store *s, const char *key) {
  for (long pause = 1;; pause = pause < 64 ? 2 * pause : 100) {
    bool mine;
    RT_TRY(store_claim(s, key, &mine));
    if (mine) return RT_OK;
    RT_TRY(rt_poll(s->rt));
    struct timespec t = {0, pause * 1000000L};
    nanosleep(&t, NULL);
  }
}

void store_release(Store *s, const char *key) {
  if (s->lock_fd >= 0) lock_byte(s, key, F_UNLCK);
}

/* ---- kept values ------------------------------------------------------------ */

static const char keep_magic[8] = "QAKEEP1\n";
enum { KEEP_HEAD = 8 + 32 };

double store_kept(const Store *s, const char *key) {
  char *path = store_file(s, "keep/%s.qav", key);
  struct stat st;
  bool there = path && stat(path, &st) == 0;
  free(path);
  return there ? (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec : -1;
}

RtStatus store_keep_read(Store *s, const char *key, Buf *out, bool *found) {
  *found = false;
  if (store_kept(s, key) < 0) return RT_OK;
  char *path = store_file(s, "keep/%s.qav", key);
  if (!path) return RT_MEMORY;
  Buf b = {0};
  RtStatus st = file_read(s->rt, path, (size_t)1 << 40, &b);
  free(path);
  if (!st && b.len >= KEEP_HEAD && memcmp(b.data, keep_magic, 8) == 0) {
    uint8_t sum[32];
    Sha256 h;
    sha256_init(&h);
    sha256_add(&h, b.data + KEEP_HEAD, b.len - KEEP_HEAD);
    sha256_end(&h, sum);
    if (memcmp(sum, b.data + 8, 32) == 0) {
      buf_bytes(out, b.data + KEEP_HEAD, b.len - KEEP_HEAD);
      if (out->failed) st = rt_fail(s->rt, RT_MEMORY, "out of memory");
      *found = !st;
    }
  }
  buf_free(&b);
  return st;
}

RtStatus store_keep_write(Store *s, const char *key, const void *p, size_t n) {
  char *path = store_file(s, "keep/%s.qav", key);
  if (!path) return RT_MEMORY;
  Buf b = {0};
  uint8_t sum[32];
  Sha256 h;
  sha256_init(&h);
  sha256_add(&h, p, n);
  sha256_end(&h, sum);
  buf_bytes(&b, keep_magic, 8);
  buf_bytes(&b, sum, 32);
  buf_bytes(&b, p, n);
  RtStatus st = b.failed ? rt_fail(s->rt, RT_MEMORY, "out of memory")
                         : file_write(s->rt, path, b.data, b.len);
  buf_free(&b);
  free(path);
  return st;
}
