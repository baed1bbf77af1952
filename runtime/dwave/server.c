/* server.c: the local service: HTTP through libmicrohttpd, start and end.
 *
 * libmicrohttpd is opened on first use, so that other programs do not load it; only the
 * types of its header are used.  Each connection has its own thread, which may wait for a
 * job (long polling).                                                          */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "runtime/dwave/server.h"

struct Http {
  void *lib;
  struct MHD_Daemon *daemon;
  __typeof__(MHD_start_daemon) *start;
  __typeof__(MHD_stop_daemon) *end;
  __typeof__(MHD_get_daemon_info) *info;
  __typeof__(MHD_lookup_connection_value) *value;
  __typeof__(MHD_create_response_from_buffer) *response;
  __typeof__(MHD_add_response_header) *header;
  __typeof__(MHD_queue_response) *queue;
  __typeof__(MHD_destroy_response) *forget;
};

static bool symbol(Http *h, const char *name, void *where) {
  void *p = dlsym(h->lib, name);
  memcpy(where, &p, sizeof p); /* a function pointer out of an object pointer */
  return p != NULL;
}

static RtStatus http_open(Rt *rt, Http **out) {
  Http *h = *out = calloc(1, sizeof *h);
  if (!h) return rt_fail(rt, RT_MEMORY, "out of memory");
  h->lib = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
  if (!h->lib) h->lib = dlopen("libmicrohttpd.so", RTLD_NOW | RTLD_LOCAL);
  bool good = h->lib && symbol(h, "MHD_start_daemon", &h->start) &&
              symbol(h, "MHD_stop_daemon", &h->end) && symbol(h, "MHD_get_daemon_info", &h->info) &&
              symbol(h, "MHD_lookup_connection_value", &h->value) &&
              symbol(h, "MHD_create_response_from_buffer", &h->response) &&
              symbol(h, "MHD_add_response_header", &h->header) &&
              symbol(h, "MHD_queue_response", &h->queue) &&
              symbol(h, "MHD_destroy_response", &h->forget);
  if (good) return RT_OK;
  rt_fail(rt, RT_BACKEND, "libmicrohttpd, which serves the requests, cannot be opened");
  rt_help(rt, "install it: apt-get install libmicrohttpd12");
  return RT_BACKEND;
}

/* ---- one request -------------------------------------------------------------- */

typedef struct {
  Buf body;
  bool refused, large; /* its body is read and forgotten                   */
} Incoming;

typedef struct {
  Http *h;
  struct MHD_Connection *c;
} Asked;

static const char *query(void *user, const char *key) {
  Asked *a = user;
  return a->h->value(a->c, MHD_GET_ARGUMENT_KIND, key);
}

static enum MHD_Result send_reply(Sapi *s, struct MHD_Connection *connection, SapiCall *c) {
  Http *h = s->http;
  char type[120];
  if (c->reply.failed) {
    c->status = 500, c->type = NULL;
    c->reply.len = 0;
  }
  struct MHD_Response *r =
      h->response(c->reply.len, c->reply.len ? c->reply.data : "", MHD_RESPMEM_MUST_COPY);
  if (!r) return MHD_NO;
  if (!c->type) strcpy(type, "text/plain; charset=utf-8");
  else if (!*c->type) strcpy(type, "application/json");
  else snprintf(type, sizeof type, DW_SAPI "%s+json; version=3.0.0; charset=utf-8", c->type);
  h->header(r, "Content-Type", type);
  h->header(r, "Vary", "Accept");
  if (c->tag.len) {
    h->header(r, "ETag", c->tag.data);
    h->header(r, "Cache-Control", "private, no-cache");
  }
  if (c->status == 429) h->header(r, "Retry-After", "1");
  enum MHD_Result done = h->queue(connection, (unsigned)c->status, r);
  h->forget(r);
  return done;
}

static const char *behind_base(const char *url) {
  static const char *const bases[] = {"/sapi/v2/", "/sapi/"};
  for (int i = 0; i < 2; i++)
    if (!strncmp(url, bases[i], strlen(bases[i]))) return url + strlen(bases[i]);
  return NULL;
}

static enum MHD_Result answer(Sapi *s, struct MHD_Connection *connection, const char *url,
                              const char *method, Incoming *in) {
  Http *h = s->http;
  Asked asked = {h, connection};
  SapiCall c = {.s = s,
                .rt = rt_open(),
                .method = method,
                .path = behind_base(url),
                .query = query,
                .user = &asked,
                .status = 200,
                .type = ""};
  if (!c.rt) return MHD_NO;
  c.accept = h->value(connection, MHD_HEADER_KIND, "Accept");
  c.etag = h->value(connection, MHD_HEADER_KIND, "If-None-Match");
  c.md5 = h->value(connection, MHD_HEADER_KIND, "Content-MD5");
  const char *packed = h->value(connection, MHD_HEADER_KIND, "Content-Encoding");
  if (in->refused) sapi_error(&c, 401, "Invalid token or access denied");
  else if (in->large) sapi_error(&c, 413, "Request is too large");
  else if (in->body.failed) sapi_error(&c, 500, "Out of memory");
  else if (!c.path) sapi_error(&c, 404, "Not found");
  else if (packed && strcmp(packed, "deflate") && strcmp(packed, "identity"))
    sapi_error(&c, 415, "Content-Encoding is not supported");
  else if (packed && !strcmp(packed, "deflate") &&
           deflate_unpack(c.rt, in->body.len ? in->body.data : "", in->body.len, SAPI_BODY,
                          &c.body))
    sapi_error(&c, 400, "Body is not deflated, or too large");
  else {
    if (!packed || strcmp(packed, "deflate")) c.body = in->body, in->body = (Buf){0};
    sapi_route(&c);
  }
  enum MHD_Result done = send_reply(s, connection, &c);
  buf_free(&c.body);
  buf_free(&c.reply);
  buf_free(&c.tag);
  rt_trim(c.rt);
  rt_close(c.rt);
  return done;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state) {
  Sapi *s = user;
  Incoming *in = *state;
  (void)version;
  if (!in) {
    const char *token = s->http->value(connection, MHD_HEADER_KIND, "X-Auth-Token");
    *state = in = calloc(1, sizeof *in);
    if (!in) return MHD_NO;
    in->refused = !token || !constant_equal(token, s->token);
    return MHD_YES;
  }
  if (*size) {
    if (in->body.len + *size > SAPI_BODY) in->large = true;
    if (in->large || in->refused) buf_free(&in->body), in->body = (Buf){0};
    else buf_bytes(&in->body, data, *size);
    *size = 0;
    return MHD_YES;
  }
  return answer(s, connection, url, method, in);
}

static void on_end(void *user, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode why) {
  (void)user, (void)connection, (void)why;
  Incoming *in = *state;
  if (in) buf_free(&in->body);
  free(in);
  *state = NULL;
}

/* ---- start and end -------------------------------------------------------------- */

static RtStatus choose_token(Rt *rt, Sapi *s) {
  const char *t = s->o.token;
  if (t) {
    size_t n = strlen(t);
    for (const char *p = t; *p; p++)
      if (*p <= ' ' || *p > '~') n = 0;
    if (n < 8 || n > 128)
      return rt_fail(rt, RT_ERROR, "a token has 8 to 128 printable characters without spaces");
    strcpy(s->token, t);
    return RT_OK;
  }
  uint8_t bits[20];
  if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits)
    return rt_fail(rt, RT_BACKEND, "the system gives no random numbers");
  strcpy(s->token, "DEV-");
  for (int i = 0; i < 20; i++) snprintf(s->token + 4 + 2 * i, 3, "%02x", bits[i]);
  return RT_OK;
}

static RtStatus check_options(Rt *rt, Sapi *s) {
  SapiOptions *o = &s->o;
  if (o->port < 0 || o->port > 65535)
    return rt_fail(rt, RT_ERROR, "port %d: expected 0 to 65535", o->port);
  if (!(o->noise >= 0 && o->noise <= 10))
    return rt_fail(rt, RT_ERROR, "noise %g: expected 0 to 10, in units of the chip's ranges",
                   o->noise);
  if (!(o->bias >= 0 && o->bias <= 10))
    return rt_fail(rt, RT_ERROR, "bias %g: expected 0 to 10, in units of the chip's ranges",
                   o->bias);
  if (!(o->readout >= 0 && o->readout <= 0.5))
    return rt_fail(rt, RT_ERROR, "readout %g: expected a probability of 0 to 0.5", o->readout);
  if (!o->sweeps) o->sweeps = 50;
  if (!o->limit) o->limit = 120;
  if (!o->queue) o->queue = 100;
  if (!o->keep) o->keep = 1000;
  if (o->threads < 1) o->threads = 1;
  if (!(o->sweeps > 0 && o->sweeps <= 1e4))
    return rt_fail(rt, RT_ERROR, "sweeps %g: expected more than 0 a microsecond, at most 1e4",
                   o->sweeps);
  if (!(o->limit > 0 && o->limit <= 86400))
    return rt_fail(rt, RT_ERROR, "limit %g: expected seconds, at most a day", o->limit);
  if (o->queue < 1 || o->queue > 100000 || o->keep < 1 || o->keep > 100000)
    return rt_fail(rt, RT_ERROR, "queue and keep: expected 1 to 100000 jobs");
  return RT_OK;
}

static RtStatus listen_on(Rt *rt, Sapi *s) {
  Http *h = s->http;
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)s->o.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  h->daemon = h->start(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
                       NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED,
                       on_end, NULL, MHD_OPTION_CONNECTION_LIMIT, 64u,
                       MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_END);
  if (!h->daemon) {
    rt_fail(rt, RT_BACKEND, "cannot listen on port %d of 127.0.0.1", s->o.port);
    rt_help(rt, "another program may hold it; port 0 takes any that is free");
    return RT_BACKEND;
  }
  const union MHD_DaemonInfo *i = h->info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
  s->port = i ? i->port : s->o.port;
  return RT_OK;
}

static RtStatus start_all(Rt *rt, Sapi *s) {
  RT_TRY(check_options(rt, s));
  RT_TRY(choose_token(rt, s));
  RT_TRY(sapi_solvers(rt, s));
  RT_TRY(http_open(rt, &s->http));
  if (!(s->busy = rt_open())) return rt_fail(rt, RT_MEMORY, "out of memory");
  s->busy->limit = SAPI_MEMORY;
  if (pthread_create(&s->worker, NULL, sapi_work, s))
    return rt_fail(rt, RT_BACKEND, "the system gives no thread");
  s->working = true;
  return listen_on(rt, s);
}

RtStatus sapi_start(Rt *rt, const SapiOptions *o, Sapi **out) {
  *out = NULL;
  if (rt->deny_network) return rt_fail(rt, RT_ERROR, "the host program does not allow network use");
  Sapi *s = calloc(1, sizeof *s);
  if (!s) return rt_fail(rt, RT_MEMORY, "out of memory");
  s->o = *o;
  s->rt = rt_open();
  pthread_condattr_t clock;
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->change, &clock);
  pthread_condattr_destroy(&clock);
  RtStatus st = s->rt ? start_all(rt, s) : rt_fail(rt, RT_MEMORY, "out of memory");
  s->o.token = s->o.topology = NULL; /* the caller's */
  if (st) sapi_stop(s);
  else *out = s;
  return st;
}

void sapi_stop(Sapi *s) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  s->stop = true;
  if (s->current) rt_interrupt(s->busy);
  pthread_cond_broadcast(&s->change);
  pthread_mutex_unlock(&s->lock);
  if (s->http && s->http->daemon) s->http->end(s->http->daemon);
  if (s->working) pthread_join(s->worker, NULL);
  for (int i = 0; i < s->n_job; i++) sapi_job_free(s->job[i]);
  for (int i = 0; i < s->n_upload; i++) sapi_upload_free(s->upload[i]);
  free(s->job);
  if (s->busy) rt_close(s->busy);
  if (s->rt) {
    dw_solver_free(s->rt, &s->chip);
    dw_solver_free(s->rt, &s->hybrid);
    graph_free(s->rt, &s->graph);
    rt_trim(s->rt);
    rt_close(s->rt);
  }
  free(s->http); /* the library stays loaded: its TLS part keeps exit handlers */
  pthread_cond_destroy(&s->change);
  pthread_mutex_destroy(&s->lock);
  explicit_bzero(s->token, sizeof s->token);
  free(s);
}

int sapi_port(const Sapi *s) { return s->port; }
const char *sapi_token(const Sapi *s) { return s->token; }
const char *sapi_about(const Sapi *s) { return s->about; }
