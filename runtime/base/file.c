/* file.c: reading a whole file (gunzipped when it is gzip) and replacing a
 * file so that a reader or a kill sees either the old or the new one.
 */
#include "runtime/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

static RtStatus denied(Rt *rt, const char *path) {
  return rt_fail(rt, RT_ERROR, "files are denied here: \"%s\"", path);
}

static RtStatus too_long(Rt *rt, const char *path, size_t max) {
  return rt_fail(rt, RT_LIMIT, "\"%s\" is larger than %zu bytes", path, max);
}

static RtStatus no_memory(Rt *rt, const char *path) {
  return rt_fail(rt, RT_MEMORY, "out of memory while reading \"%s\"", path);
}

static RtStatus read_all(Rt *rt, int fd, const char *path, size_t max, Buf *out) {
  char chunk[65536];
  for (;;) {
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return rt_fail(rt, RT_ERROR, "cannot read \"%s\": %s", path, strerror(errno));
    if (n == 0) break;
    if ((size_t)n > max - out->len) return too_long(rt, path, max);
    buf_bytes(out, chunk, (size_t)n);
    if (out->failed) return no_memory(rt, path);
    RT_TRY(rt_poll(rt));
  }
  buf_bytes(out, "", 0);   /* an empty file still has NUL-terminated data */
  return out->failed ? no_memory(rt, path) : RT_OK;
}

static RtStatus inflate_all(Rt *rt, z_stream *z, const char *path, size_t max, Buf *out) {
  unsigned char chunk[65536];
  for (;;) {
    z->next_out = chunk;
    z->avail_out = sizeof chunk;
    int r = inflate(z, Z_NO_FLUSH);
    size_t n = sizeof chunk - z->avail_out;
    if (n > max - out->len) return too_long(rt, path, max);
    buf_bytes(out, chunk, n);
    if (out->failed || r == Z_MEM_ERROR) return no_memory(rt, path);
    if (r == Z_STREAM_END) {
      /* gzip files may be several members one after another */
      if (z->avail_in >= 2 && z->next_in[0] == 0x1f && z->next_in[1] == 0x8b) {
        if (inflateReset(z) != Z_OK) return no_memory(rt, path);
        continue;
      }
      return RT_OK;
    }
    if (r == Z_BUF_ERROR || (r == Z_OK && z->avail_in == 0 && z->avail_out != 0))
      return rt_fail(rt, RT_ERROR, "\"%s\" ends in the middle of its gzip data", path);
    if (r != Z_OK)
      return rt_fail(rt, RT_ERROR, "\"%s\" has broken gzip data: %s", path, z->msg ? z->msg : "");
    RT_TRY(rt_poll(rt));
  }
}

static RtStatus gunzip(Rt *rt, const char *path, size_t max, const Buf *raw, Buf *out) {
  z_stream z = {.next_in = (unsigned char *)raw->data, .avail_in = (uInt)raw->len};
  if (raw->len > UINT_MAX)
    return rt_fail(rt, RT_ERROR, "\"%s\" is gzip data of more than 4 GiB", path);
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) return no_memory(rt, path);
  RtStatus s = inflate_all(rt, &z, path, max, out);
  inflateEnd(&z);
  if (s == RT_OK) {
    buf_bytes(out, "", 0);
    if (out->failed) s = no_memory(rt, path);
  }
  return s;
}

RtStatus file_read(Rt *rt, const char *path, size_t max, Buf *out) {
  *out = (Buf){0};
  if (rt->deny_files) return denied(rt, path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return rt_fail(rt, RT_ERROR, "cannot open \"%s\": %s", path, strerror(errno));
  struct stat st;
  if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
    close(fd);
    return rt_fail(rt, RT_ERROR, "\"%s\" is a directory, expected a file", path);
  }
  Buf raw = {0};
  RtStatus s = read_all(rt, fd, path, max, &raw);
  close(fd);
  bool gz = s == RT_OK && raw.len >= 2 && (unsigned char)raw.data[0] == 0x1f &&
            (unsigned char)raw.data[1] == 0x8b;
  if (gz) {
    Buf plain = {0};
    s = gunzip(rt, path, max, &raw, &plain);
    buf_free(&raw);
    raw = plain;
  }
  if (s != RT_OK) {
    buf_free(&raw);
    return s;
  }
  *out = raw;
  return RT_OK;
}

static int write_all(int fd, const char *p, size_t n) {
  while (n) {
    ssize_t k = write(fd, p, n);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return -1;
    p += k;
    n -= (size_t)k;
  }
  return fsync(fd);
}

/* The rename is only durable once the folder is written too.  Some file
 * systems refuse fsync on folders; the data itself is safe by then.          */
static void sync_folder(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 0;
  if (n >= sizeof folder) return;
  if (n) memcpy(folder, path, n);
  folder[n] = 0;
  int fd = open(n ? folder : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

/* A fresh file beside `path`, named into temp[len + 24].  Not mkstemp: that
 * fixes the mode, and reading the umask is not thread-safe.                  */
static int open_beside(const char *path, char *temp, size_t size) {
  for (int attempt = 0; attempt < 100; attempt++) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    unsigned tag = (unsigned)t.tv_nsec * 2654435761u ^ (unsigned)getpid();
    snprintf(temp, size, "%s.%08x.%02d~", path, tag, attempt);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

RtStatus file_write(Rt *rt, const char *path, const void *p, size_t n) {
  if (rt->deny_files) return denied(rt, path);
  size_t size = strlen(path) + 24;
  char *temp = malloc(size);
  if (!temp) return rt_fail(rt, RT_MEMORY, "out of memory while writing \"%s\"", path);
  int fd = open_beside(path, temp, size);
  if (fd < 0) {
    rt_fail(rt, RT_ERROR, "cannot write \"%s\": %s", path, strerror(errno));
    free(temp);
    return RT_ERROR;
  }
  bool ok = write_all(fd, p, n) == 0;
  int e = errno;
  if (close(fd) != 0 && ok) { ok = false; e = errno; }
  if (ok && rename(temp, path) != 0) { ok = false; e = errno; }
  if (ok) sync_folder(path);
  else {
    unlink(temp);
    rt_fail(rt, RT_ERROR, "cannot write \"%s\": %s", path, strerror(e));
  }
  free(temp);
  return ok ? RT_OK : RT_ERROR;
}
