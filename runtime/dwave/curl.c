/* curl.c: one HTTP request through libcurl, which is opened here on first use.
 *
 * libcurl's option numbers are part of its stable binary interface (curl.h since
 * 7.1); only those used stand here, so that its headers are not needed.       */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/dwave/private.h"

enum {
  OPT_WRITEDATA = 10001,
  OPT_URL = 10002,
  OPT_PROXY = 10004,
  OPT_ERRORBUFFER = 10010,
  OPT_WRITEFUNCTION = 20011,
  OPT_POSTFIELDS = 10015,
  OPT_LOW_SPEED_LIMIT = 19,
  OPT_LOW_SPEED_TIME = 20,
  OPT_HTTPHEADER = 10023,
  OPT_SSLCERT = 10025,
  OPT_HEADERDATA = 10029,
  OPT_CUSTOMREQUEST = 10036,
  OPT_NOPROGRESS = 43,
  OPT_FOLLOWLOCATION = 52,
  OPT_XFERINFODATA = 10057,
  OPT_SSL_VERIFYPEER = 64,
  OPT_FORBID_REUSE = 75,
  OPT_HEADERFUNCTION = 20079,
  OPT_SSL_VERIFYHOST = 81,
  OPT_SSLKEY = 10087,
  OPT_NOSIGNAL = 99,
  OPT_ACCEPT_ENCODING = 10102,
  OPT_TIMEOUT_MS = 155,
  OPT_POSTFIELDSIZE_LARGE = 30120,
  OPT_CONNECTTIMEOUT_MS = 156,
  OPT_NOPROXY = 10177,
  OPT_PROTOCOLS = 181,
  OPT_XFERINFOFUNCTION = 20219,
  OPT_HEADEROPT = 229,
  INFO_RESPONSE_CODE = 0x200002,
  INFO_REQUEST_SIZE = 0x20000c,
  PROTO_HTTP = 1,
  PROTO_HTTPS = 2,
  HEADER_SEPARATE = 1,
  GLOBAL_DEFAULT = 3
};

typedef struct List List;
struct DwCurl {
  void *lib, *easy;
  int (*global_init)(long);
  void *(*init)(void);
  void (*reset)(void *);
  int (*setopt)(void *, int, ...);
  int (*perform)(void *);
  int (*getinfo)(void *, int, ...);
  void (*cleanup)(void *);
  const char *(*text)(int);
  List *(*append)(List *, const char *);
  void (*free_all)(List *);
};

static bool symbol(DwCurl *c, const char *name, void *where) {
  void *p = dlsym(c->lib, name);
  memcpy(where, &p, sizeof p); /* a function pointer out of an object pointer */
  return p != NULL;
}

RtStatus curl_open(Rt *rt, DwCurl **out) {
  if (rt->deny_network) return rt_fail(rt, RT_ERROR, "the host program does not allow network use");
  DwCurl *c = calloc(1, sizeof *c);
  if (!c) return rt_fail(rt, RT_MEMORY, "out of memory");
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
  for (int i = 0; i < 3 && !c->lib; i++) c->lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  bool good =
      c->lib && symbol(c, "curl_global_init", &c->global_init) &&
      symbol(c, "curl_easy_init", &c->init) && symbol(c, "curl_easy_reset", &c->reset) &&
      symbol(c, "curl_easy_setopt", &c->setopt) && symbol(c, "curl_easy_perform", &c->perform) &&
      symbol(c, "curl_easy_getinfo", &c->getinfo) && symbol(c, "curl_easy_cleanup", &c->cleanup) &&
      symbol(c, "curl_easy_strerror", &c->text) && symbol(c, "curl_slist_append", &c->append) &&
      symbol(c, "curl_slist_free_all", &c->free_all);
  if (good) good = c->global_init(GLOBAL_DEFAULT) == 0 && (c->easy = c->init()) != NULL;
  if (!good) {
    curl_close(c);
    rt_fail(rt, RT_BACKEND, "libcurl, which speaks to the service, cannot be opened");
    rt_help(rt, "install it: apt-get install libcurl4");
    return RT_BACKEND;
  }
  *out = c;
  return RT_OK;
}

/* The library stays loaded: its TLS part keeps exit handlers. */
void curl_close(DwCurl *c) {
  if (!c) return;
  if (c->easy) c->cleanup(c->easy);
  free(c);
}

typedef struct {
  Rt *rt;
  CurlReply *reply;
  size_t max;
  RtStatus stop;
} Flow;

static size_t on_body(const char *p, size_t one, size_t n, void *user) {
  Flow *f = user;
  if (f->reply->body.len + one * n > f->max) {
    f->reply->too_large = true;
    return 0;
  }
  buf_bytes(&f->reply->body, p, one * n);
  return f->reply->body.failed ? 0 : one * n;
}

static size_t on_header(const char *p, size_t one, size_t n, void *user) {
  Flow *f = user;
  Buf *h = &f->reply->headers;
  if (one * n > 5 && !memcmp(p, "HTTP/", 5)) h->len = 0; /* after a 100 or a proxy's answer */
  if (h->len + one * n > 1 << 16) {
    f->reply->too_large = true;
    return 0;
  }
  buf_bytes(h, p, one * n);
  return one * n;
}

static int on_progress(void *user, int64_t a, int64_t b, int64_t d, int64_t e) {
  (void)a, (void)b, (void)d, (void)e;
  Flow *f = user;
  f->stop = rt_poll(f->rt);
  return f->stop != RT_OK;
}

static void options(DwCurl *c, const CurlCall *q, List *headers, Flow *f) {
  void *h = c->easy;
  c->reset(h);
  c->setopt(h, OPT_URL, q->url);
  c->setopt(h, OPT_CUSTOMREQUEST, q->method);
  if (q->body || !strcmp(q->method, "POST") || !strcmp(q->method, "PUT")) {
    c->setopt(h, OPT_POSTFIELDSIZE_LARGE, (int64_t)q->size);
    c->setopt(h, OPT_POSTFIELDS, q->body ? q->body : "");
  }
  c->setopt(h, OPT_HTTPHEADER, headers);
  c->setopt(h, OPT_HEADEROPT, (long)HEADER_SEPARATE); /* none of ours to a proxy */
  c->setopt(h, OPT_FOLLOWLOCATION, 0L);
  c->setopt(h, OPT_PROTOCOLS, (long)(q->http_allowed ? PROTO_HTTP | PROTO_HTTPS : PROTO_HTTPS));
  c->setopt(h, OPT_NOSIGNAL, 1L);
  c->setopt(h, OPT_ACCEPT_ENCODING, "");
  c->setopt(h, OPT_CONNECTTIMEOUT_MS, (long)(q->connect_timeout * 1000));
  c->setopt(h, OPT_TIMEOUT_MS, (long)(q->limit * 1000));
  c->setopt(h, OPT_LOW_SPEED_LIMIT, 1L);
  c->setopt(h, OPT_LOW_SPEED_TIME, (long)(q->read_timeout < 1 ? 1 : q->read_timeout));
  if (q->direct) c->setopt(h, OPT_NOPROXY, "*");
  else if (q->proxy) c->setopt(h, OPT_PROXY, q->proxy);
  if (q->cert) c->setopt(h, OPT_SSLCERT, q->cert);
  if (q->key) c->setopt(h, OPT_SSLKEY, q->key);
  if (q->insecure) c->setopt(h, OPT_SSL_VERIFYPEER, 0L), c->setopt(h, OPT_SSL_VERIFYHOST, 0L);
  if (q->close) c->setopt(h, OPT_FORBID_REUSE, 1L);
  c->setopt(h, OPT_ERRORBUFFER, f->reply->error);
  c->setopt(h, OPT_WRITEFUNCTION, on_body);
  c->setopt(h, OPT_WRITEDATA, f);
  c->setopt(h, OPT_HEADERFUNCTION, on_header);
  c->setopt(h, OPT_HEADERDATA, f);
  c->setopt(h, OPT_NOPROGRESS, 0L);
  c->setopt(h, OPT_XFERINFOFUNCTION, on_progress);
  c->setopt(h, OPT_XFERINFODATA, f);
}

/* Unknown schemes, malformed addresses, certificates on either side: libcurl's
 * CURLE_ codes of errors that come again however often one asks.              */
static bool is_hopeless(int code) {
  static const uint8_t codes[] = {1, 3, 4, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98};
  return memchr(codes, code, sizeof codes) != NULL;
}

RtStatus curl_call(Rt *rt, DwCurl *c, const CurlCall *q, CurlReply *reply) {
  *reply = (CurlReply){0};
  Flow f = {rt, reply, q->max, RT_OK};
  List *headers = NULL;
  for (int i = 0; q->header[i]; i++) {
    List *more = c->append(headers, q->header[i]);
    if (!more) {
      c->free_all(headers);
      return rt_fail(rt, RT_MEMORY, "out of memory");
    }
    headers = more;
  }
  options(c, q, headers, &f);
  int code = c->perform(c->easy);
  long sent = 0;
  c->getinfo(c->easy, INFO_REQUEST_SIZE, &sent);
  c->getinfo(c->easy, INFO_RESPONSE_CODE, &reply->status);
  reply->sent = sent > 0;
  c->free_all(headers);
  /* the handle must not keep pointers into this call */
  c->reset(c->easy);
  if (f.stop) return f.stop;
  if (!code) return RT_OK;
  if (reply->body.failed) return rt_fail(rt, RT_MEMORY, "out of memory");
  if (reply->too_large)
    return rt_fail(rt, RT_BACKEND, "the service's reply is larger than %zu bytes", q->max);
  reply->status = 0;
  reply->hopeless = is_hopeless(code);
  return rt_fail(rt, RT_BACKEND, "no reply from the service: %s",
                 *reply->error ? reply->error : c->text(code));
}

void curl_reply_free(CurlReply *r) {
  buf_free(&r->body);
  buf_free(&r->headers);
}
