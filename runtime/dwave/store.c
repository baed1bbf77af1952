/* store.c: job files: what is needed to come back to a submitted problem after a
 * crash.  One JSON file a job, readable by its owner only, replaced as a whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/dwave/private.h"

RtStatus dw_job_folder(Rt *rt, Buf *out) {
  const char *own = getenv("QA_JOBS"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (own && *own) buf_text(out, own);
  else if (state && *state) buf_format(out, "%s/qa/jobs", state);
  else if (home && *home) buf_format(out, "%s/.local/state/qa/jobs", home);
  else return rt_fail(rt, RT_ERROR, "no folder for job files: HOME and QA_JOBS are not set");
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

static RtStatus make_folder(Rt *rt, const char *path) {
  char part[4096];
  size_t n = strlen(path);
  if (n >= sizeof part) return rt_fail(rt, RT_ERROR, "the folder's name is too long");
  for (size_t i = 1; i <= n; i++)
    if (path[i] == '/' || path[i] == 0) {
      memcpy(part, path, i);
      part[i] = 0;
      if (mkdir(part, 0700) && errno != EEXIST)
        return rt_fail(rt, RT_ERROR, "cannot make the folder \"%.300s\": %s", part,
                       strerror(errno));
    }
  return RT_OK;
}

/* A new name is safe only when its folder is; some file systems refuse, and then
 * there is nothing better.                                                    */
static void sync_folder(const char *path) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

static RtStatus write_private(Rt *rt, const char *path, const Buf *text) {
  char temp[4200];
  snprintf(temp, sizeof temp, "%s.%ld", path, (long)getpid());
  int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool good = fd >= 0;
  for (size_t at = 0; good && at < text->len;) {
    ssize_t n = write(fd, text->data + at, text->len - at);
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    if (good) at += (size_t)n;
  }
  good = good && fsync(fd) == 0;
  int why = errno;
  if (fd >= 0) close(fd);
  if (good && rename(temp, path)) good = false, why = errno;
  if (good) return sync_folder(path), RT_OK;
  if (fd >= 0) unlink(temp);
  return rt_fail(rt, RT_ERROR, "cannot write the job file \"%.300s\": %s", path, strerror(why));
}

RtStatus dw_job_save(Rt *rt, DwJob *j) {
  if (rt->deny_files) return rt_fail(rt, RT_ERROR, "the host program does not allow file access");
  if (!j->path) {
    Buf path = {0};
    RtStatus s = dw_job_folder(rt, &path);
    if (!s) s = make_folder(rt, path.data);
    if (!s) {
      buf_text(&path, "/");
      for (const char *p = dw_job_text(j, "label"); *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';
        buf_bytes(&path, plain ? p : "_", 1);
      }
      buf_text(&path, ".json");
    }
    if (!s && (path.failed || path.len > 4000))
      s = rt_fail(rt, RT_ERROR, "the job's label is too long");
    if (s) {
      buf_free(&path);
      return s;
    }
    j->path = path.data;
  }
  Buf text = {0};
  js_write(&text, j->json, false);
  buf_text(&text, "\n");
  RtStatus s =
      text.failed ? rt_fail(rt, RT_MEMORY, "out of memory") : write_private(rt, j->path, &text);
  buf_free(&text);
  return s;
}

const char *dw_job_text(const DwJob *j, const char *key) {
  const char *s = js_text(j->json, key);
  return s ? s : "";
}

void dw_job_free(DwJob *j) {
  free(j->path);
  cJSON_Delete(j->json);
  *j = (DwJob){0};
}

static RtStatus read_job(Rt *rt, const char *path, DwJob *out) {
  Buf text = {0};
  *out = (DwJob){0};
  RtStatus s = file_read(rt, path, 1 << 30, &text);
  if (!s && !(out->json = js_read(rt, text.data ? text.data : "", text.len, 1 << 30, path)))
    s = RT_BACKEND;
  if (!s && (!js_text(out->json, "label") || !js_text(out->json, "endpoint")))
    s = rt_fail(rt, RT_BACKEND, "\"%.300s\" is no job file", path);
  if (!s && !(out->path = strdup(path))) s = rt_fail(rt, RT_MEMORY, "out of memory");
  buf_free(&text);
  if (s) dw_job_free(out);
  return s;
}

static int oldest_first(const void *a, const void *b) {
  const DwJob *x = a, *y = b;
  int d = strcmp(dw_job_text(x, "submitted"), dw_job_text(y, "submitted"));
  return d ? d : strcmp(x->path, y->path);
}

RtStatus dw_job_all(Rt *rt, DwJob **out, int64_t *n) {
  *out = NULL;
  *n = 0;
  Buf folder = {0};
  RtStatus s = dw_job_folder(rt, &folder);
  DIR *dir = s ? NULL : opendir(folder.data);
  int64_t cap = 0;
  for (struct dirent *e; !s && dir && (e = readdir(dir));) {
    size_t len = strlen(e->d_name);
    if (len < 6 || strcmp(e->d_name + len - 5, ".json")) continue;
    if (*n == cap) {
      cap = cap ? 2 * cap : 16;
      DwJob *p = realloc(*out, (size_t)cap * sizeof *p);
      if (!p) {
        s = rt_fail(rt, RT_MEMORY, "out of memory");
        break;
      }
      *out = p;
    }
    Buf path = {0};
    buf_format(&path, "%s/%s", folder.data, e->d_name);
    /* a damaged file must not hide the others */
    if (!path.failed && read_job(rt, path.data, &(*out)[*n]) == RT_OK) ++*n;
    buf_free(&path);
  }
  if (dir) closedir(dir);
  buf_free(&folder);
  if (s) {
    for (int64_t i = 0; i < *n; i++) dw_job_free(&(*out)[i]);
    free(*out);
    *out = NULL, *n = 0;
  } else if (*n) {
    qsort(*out, (size_t)*n, sizeof **out, oldest_first);
  }
  return s;
}

RtStatus dw_job_find(Rt *rt, const char *id, DwJob *out) {
  DwJob *all;
  int64_t n, at = -1, hits = 0;
  *out = (DwJob){0};
  RT_TRY(dw_job_all(rt, &all, &n));
  size_t len = strlen(id);
  for (int64_t i = 0; i < n; i++) {
    const char *a = dw_job_text(&all[i], "id"), *b = dw_job_text(&all[i], "label");
    if (!strcmp(a, id) || !strcmp(b, id)) {
      at = i, hits = 1;
      break;
    }
    if (len >= 4 && (!strncmp(a, id, len) || !strncmp(b, id, len))) at = i, hits++;
  }
  if (hits == 1) {
    *out = all[at];
    all[at] = (DwJob){0};
  }
  for (int64_t i = 0; i < n; i++) dw_job_free(&all[i]);
  free(all);
  if (hits == 1) return RT_OK;
  rt_fail(rt, RT_ERROR,
          hits ? "more than one job begins with \"%.80s\"" : "no job \"%.80s\" is known here", id);
  rt_help(rt, "jobs() lists those that this account submitted");
  return RT_ERROR;
}
