/* server.h: a scripted HTTP server on loopback, one thread: request k gets answer k.
 * What it received is kept for the test to look at.                          */
#ifndef TEST_DWAVE_SERVER_H
#define TEST_DWAVE_SERVER_H
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vectors.h"

typedef struct {
  int status;               /* 0: the connection is cut without an answer        */
  const char *type;         /* media type behind application/vnd.dwave.sapi.; NULL: text/plain */
  const char *body;         /* %ID and %LABEL are filled in from the submission   */
  const char *header;       /* one more, "Name: value"                            */
  int cut;                  /* > 0: only so many bytes of the answer are sent     */
  int delay_ms;             /* before the answer                                  */
  const char *version;      /* of the media type; NULL: 3.0.0                     */
  int huge;                 /* announces so many MB                               */
} Step;

typedef struct {
  int fd, port, n_step, seen;
  const Step *step;
  Buf request[64];
  char label[200];
  pthread_t thread;
  atomic_int stop, read; /* read: requests received, their answers perhaps not yet sent */
} Server;

static size_t header_value(const Buf *b, const char *name, char *out, size_t room) {
  size_t n = strlen(name);
  *out = 0;
  for (const char *p = b->data; p && *p && strncmp(p, "\r\n", 2); p = strstr(p, "\r\n") + 2) {
    if (!strncasecmp(p, name, n) && p[n] == ':') {
      const char *v = p + n + 1 + (p[n + 1] == ' ');
      size_t len = strcspn(v, "\r\n");
      snprintf(out, room, "%.*s", (int)len, v);
      return len;
    }
    if (!strstr(p, "\r\n")) break;
  }
  return 0;
}

/* Head and body of one request; the body is unpacked. */
static bool read_request(Server *s, int fd, Buf *out) {
  char piece[8192], value[64];
  size_t body_at = 0, need = 0;
  for (;;) {
    struct pollfd p = {fd, POLLIN, 0};
    if (atomic_load(&s->stop) || poll(&p, 1, 20000) <= 0) return false;
    ssize_t n = read(fd, piece, sizeof piece);
    if (n <= 0) return false;
    buf_bytes(out, piece, (size_t)n);
    const char *end = body_at ? NULL : strstr(out->data, "\r\n\r\n");
    if (end) {
      body_at = (size_t)(end - out->data) + 4;
      header_value(out, "Content-Length", value, sizeof value);
      need = (size_t)strtoul(value, NULL, 10);
    }
    if (body_at && out->len >= body_at + need) break;
  }
  if (header_value(out, "Content-Encoding", value, sizeof value)) {
    Rt *rt = rt_open();
    Buf plain = {0};
    if (deflate_unpack(rt, out->data + body_at, need, 1 << 24, &plain) == RT_OK) {
      out->len = body_at;
      buf_bytes(out, plain.data, plain.len);
    }
    buf_free(&plain);
    rt_trim(rt);
    rt_close(rt);
  }
  const char *label = strstr(out->data + body_at, "\"label\":\"");
  if (label) snprintf(s->label, sizeof s->label, "%.*s", (int)strcspn(label + 9, "\""), label + 9);
  return true;
}

static void answer(Server *s, int fd, const Step *t) {
  Buf body = {0}, all = {0};
  for (const char *p = t->body ? t->body : ""; *p; p++) {
    if (!strncmp(p, "%LABEL", 6)) buf_text(&body, s->label), p += 5;
    else buf_bytes(&body, p, 1);
  }
  buf_format(&all, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n", t->status,
             t->huge ? (size_t)t->huge << 20 : body.len);
  if (t->type) buf_format(&all, "Content-Type: application/vnd.dwave.sapi.%s+json; version=%s\r\n",
                          t->type, t->version ? t->version : "3.0.0");
  else buf_text(&all, "Content-Type: text/plain\r\n");
  if (t->header) buf_format(&all, "%s\r\n", t->header);
  buf_text(&all, "\r\n");
  if (body.data) buf_bytes(&all, body.data, body.len);
  size_t n = t->cut && (size_t)t->cut < all.len ? (size_t)t->cut : all.len, at = 0;
  while (at < n) {
    ssize_t k = send(fd, all.data + at, n - at, MSG_NOSIGNAL);
    if (k <= 0) break;
    at += (size_t)k;
  }
  char zero[65536] = {0};
  for (int64_t k = 0; t->huge && k < (int64_t)t->huge * 16; k++)
    if (send(fd, zero, sizeof zero, MSG_NOSIGNAL) <= 0) break;
  buf_free(&body);
  buf_free(&all);
}

static void *serve(void *user) {
  Server *s = user;
  while (!atomic_load(&s->stop) && s->seen < s->n_step) {
    struct pollfd p = {s->fd, POLLIN, 0};
    if (poll(&p, 1, 50) <= 0) continue;
    int fd = accept(s->fd, NULL, NULL);
    if (fd < 0) continue;
    const Step *t = &s->step[s->seen];
    if (read_request(s, fd, &s->request[s->seen])) {
      atomic_fetch_add(&s->read, 1);
      for (int ms = 0; ms < t->delay_ms && !atomic_load(&s->stop); ms += 10) usleep(10000);
      s->seen++;
      if (t->status) answer(s, fd, t);
    }
    close(fd);
  }
  return NULL;
}

static void server_start(Server *s, const Step *step, int n) {
  memset(s, 0, sizeof *s);
  s->step = step;
  s->n_step = n;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  s->fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(s->fd, 16), 0);
  getsockname(s->fd, (struct sockaddr *)&a, &len);
  s->port = ntohs(a.sin_port);
  assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

/* Until the server has received so many requests: a test acts on what the client did, not on
 * how long it took. */
static void server_wait(Server *s, int requests) {
  while (!atomic_load(&s->stop) && atomic_load(&s->read) < requests) usleep(10000);
}

static void server_stop(Server *s) {
  atomic_store(&s->stop, 1);
  pthread_join(s->thread, NULL);
  close(s->fd);
}

static void server_free(Server *s) {
  for (int i = 0; i < 64; i++) buf_free(&s->request[i]);
}
#endif
