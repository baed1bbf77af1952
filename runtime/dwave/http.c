/* http.c: the client: its settings, requests with retries, judging replies. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "runtime/dwave/private.h"

#define DEFAULT_ENDPOINT "https://cloud.dwavesys.com/sapi/"
#define DEFAULT_METADATA "https://cloud.dwavesys.com/metadata/v1/"
enum { MAX_REPLY = 256 << 20, MAX_HEADERS = 24 };

/* ---- opening --------------------------------------------------------------------- */

static RtStatus settings(Rt *rt, DwClient *c) {
  const DwConfig *k = &c->config;
  double retries = 10;
  const char *strategy = dw_value(k, "poll_strategy"), *timeout = dw_value(k, "request_timeout");
  if (timeout && strchr(timeout, ',')) {
    const char *p = timeout + strspn(timeout, " ([");
    if (sscanf(p, "%lf , %lf", &c->connect_timeout, &c->read_timeout) != 2 ||
        !(c->connect_timeout > 0) || !(c->read_timeout > 0))
      return rt_fail(rt, RT_ERROR, "configuration: request_timeout is \"%.40s\"", timeout);
  } else if (timeout) {
    RT_TRY(dw_config_number(rt, k, "request_timeout", 0.001, 86400, &c->read_timeout));
    if (c->connect_timeout > c->read_timeout) c->connect_timeout = c->read_timeout;
  }
  RT_TRY(dw_config_number(rt, k, "polling_timeout", 0, 1e9, &c->polling_timeout));
  RT_TRY(dw_config_number(rt, k, "poll_wait_time", 0, 30, &c->poll_wait));
  RT_TRY(dw_config_number(rt, k, "poll_pause", 0, 86400, &c->poll_pause));
  RT_TRY(dw_config_number(rt, k, "poll_backoff_min", 0.001, 86400, &c->backoff_min));
  RT_TRY(dw_config_number(rt, k, "poll_backoff_max", 0.001, 86400, &c->backoff_max));
  RT_TRY(dw_config_number(rt, k, "poll_backoff_base", 1, 100, &c->backoff_base));
  RT_TRY(dw_config_number(rt, k, "http_retry_total", 0, 1000, &retries));
  RT_TRY(dw_config_number(rt, k, "http_retry_backoff_factor", 0, 3600, &c->retry_min));
  RT_TRY(dw_config_number(rt, k, "http_retry_backoff_max", 0, 3600, &c->retry_max));
  RT_TRY(dw_config_bool(rt, k, "compress_qpu_problem_data", &c->compress));
  RT_TRY(dw_config_bool(rt, k, "connection_close", &c->close));
  c->retries = (int)retries;
  if (strategy && strcasecmp(strategy, "backoff") && strcasecmp(strategy, "long-polling"))
    return rt_fail(rt, RT_ERROR,
                   "configuration: poll_strategy is \"%.40s\", expected "
                   "long-polling or backoff",
                   strategy);
  c->long_polling = !strategy || strcasecmp(strategy, "backoff");
  bool insecure = false;
  RT_TRY(dw_config_bool(rt, k, "permissive_ssl", &insecure));
  if (insecure)
    buf_text(&c->config.notes, "permissive_ssl: the service's certificate is not checked\n");
  for (const char *p = dw_value(k, "headers"); p && *p;) {
    size_t n = strcspn(p, "\n");
    const char *colon = memchr(p, ':', n);
    if (n > 2000 || (n && (!colon || colon == p)) || memchr(p, '\r', n))
      return rt_fail(rt, RT_ERROR, "configuration: headers must be lines `Name: value`");
    p += n + (p[n] == '\n');
  }
  return RT_OK;
}

/* A region's endpoint, asked of the metadata service without the token. */
static RtStatus region_endpoint(DwClient *c, const char *region, Buf *out) {
  Rt *rt = c->rt;
  const char *base = dw_value(&c->config, "metadata_api_endpoint");
  Buf url = {0};
  buf_text(&url, base ? base : DEFAULT_METADATA);
  if (url.len && url.data[url.len - 1] != '/') buf_text(&url, "/");
  buf_text(&url, "regions/");
  static const char *const headers[] = {"Accept: application/vnd.dwave.metadata.regions+json",
                                        "User-Agent: qa/0.1.0", NULL};
  CurlReply r = {0};
  bool https;
  Buf host = {0};
  RtStatus s = RT_OK;
  if (!url_split(url.data, &https, &host) || (!https && !host_is_loopback(host.data)))
    s = rt_fail(rt, RT_ERROR, "configuration: metadata_api_endpoint is no https:// address");
  CurlCall q = {.method = "GET",
                .url = url.data,
                .header = headers,
                .max = 1 << 20,
                .connect_timeout = c->connect_timeout,
                .read_timeout = c->read_timeout,
                .limit = 120,
                .proxy = dw_value(&c->config, "proxy"),
                .http_allowed = !s && !https,
                .direct = !s && !https};
  if (!s) s = dw_fetch(c, &q, true, &r);
  cJSON *list = NULL;
  if (!s && r.status != 200)
    s = rt_fail(rt, RT_BACKEND, "the list of regions cannot be read (HTTP %ld)", r.status);
  if (!s && !(list = js_read(rt, r.body.data ? r.body.data : "", r.body.len, 1 << 20, "regions")))
    s = RT_BACKEND;
  Buf known = {0};
  for (const cJSON *e = list ? list->child : NULL; e; e = e->next) {
    const char *code = js_text(e, "code"), *endpoint = js_text(e, "endpoint");
    if (!code || !endpoint) continue;
    buf_format(&known, "%s%s", known.len ? ", " : "", code);
    if (!strcmp(code, region)) buf_text(out, endpoint);
  }
  if (!s && !out->len)
    s = rt_fail(rt, RT_ERROR, "no region \"%.40s\"; there are %.200s", region,
                known.data ? known.data : "none");
  buf_free(&known);
  buf_free(&url);
  buf_free(&host);
  cJSON_Delete(list);
  curl_reply_free(&r);
  return s;
}

static RtStatus find_endpoint(DwClient *c) {
  const char *endpoint = dw_value(&c->config, "endpoint"), *region = dw_value(&c->config, "region");
  Buf url = {0};
  RtStatus s = RT_OK;
  if (endpoint) buf_text(&url, endpoint);
  else if (!region || !strcmp(region, "na-west-1")) buf_text(&url, DEFAULT_ENDPOINT);
  else s = region_endpoint(c, region, &url);
  if (!s && url.len && url.data[url.len - 1] != '/') buf_text(&url, "/");
  Buf host = {0};
  bool https = false;
  if (!s && (!url_split(url.data, &https, &host) || (!https && !host_is_loopback(host.data))))
    s = rt_fail(c->rt, RT_ERROR, "the endpoint is no https:// address");
  buf_free(&host);
  if (s) buf_free(&url);
  else c->endpoint = url.data;
  return s;
}

RtStatus dw_open(Rt *rt, DwClient *out, DwConfig *config) {
  *out = (DwClient){.rt = rt,
                    .config = *config,
                    .connect_timeout = 10,
                    .read_timeout = 60,
                    .poll_wait = 30,
                    .backoff_min = 0.05,
                    .backoff_max = 60,
                    .backoff_base = 1.3,
                    .retry_min = 0.5,
                    .retry_max = 30,
                    .compress = true,
                    .jitter = (uint64_t)(rt_now() * 1e9) | 1};
  *config = (DwConfig){0};
  RtStatus s = dw_config_check(rt, &out->config);
  if (!s) s = settings(rt, out);
  if (!s) s = curl_open(rt, &out->curl);
  if (!s) s = find_endpoint(out);
  if (s) dw_close(out);
  return s;
}

void dw_close(DwClient *c) {
  curl_close(c->curl);
  free(c->endpoint);
  for (int i = 0; i < c->config.n; i++) /* tokens do not stay in freed memory */
    if (!strcmp(c->config.option[i].key, "token"))
      explicit_bzero(c->config.option[i].value, strlen(c->config.option[i].value));
  dw_config_free(&c->config);
  *c = (DwClient){0};
}

/* ---- retries ------------------------------------------------------------------------ */

char *http_header(const Buf *headers, const char *name) {
  size_t n = strlen(name);
  for (const char *p = headers->data, *end; p && *p; p = end) {
    end = p + strcspn(p, "\n");
    if (!strncasecmp(p, name, n) && p[n] == ':') {
      const char *v = p + n + 1, *stop = end;
      while (v < stop && isspace((unsigned char)*v)) v++;
      while (stop > v && isspace((unsigned char)stop[-1])) stop--;
      return strndup(v, (size_t)(stop - v));
    }
    if (*end) end++;
  }
  return NULL;
}

/* Seconds of a Retry-After header, a number or a date; -1: none. */
static double retry_after(const Buf *headers) {
  char *v = http_header(headers, "Retry-After"), *end;
  if (!v) return -1;
  double x = strtod(v, &end);
  if (end == v) {
    struct tm tm = {0};
    x = strptime(v, "%a, %d %b %Y %H:%M:%S", &tm) ? difftime(timegm(&tm), time(NULL)) : -1;
  }
  free(v);
  return isfinite(x) && x >= 0 ? x : -1;
}

RtStatus dw_pause(DwClient *c, double seconds) {
  double end = rt_now() + seconds;
  for (;;) {
    RT_TRY(rt_poll(c->rt));
    double left = end - rt_now();
    if (left <= 0) return RT_OK;
    if (left > 0.05) left = 0.05;
    struct timespec t = {0, (long)(left * 1e9)};
    nanosleep(&t, NULL);
  }
}

/* Full jitter: uniform in 0 .. min(max, min 2^n). */
static double backoff(DwClient *c, int n) {
  double top = c->retry_min * exp2(n < 20 ? n : 20);
  if (top > c->retry_max) top = c->retry_max;
  c->jitter = c->jitter * 6364136223846793005u + 1442695040888963407u;
  return top * (double)(c->jitter >> 11) / 9007199254740992.0;
}

static bool may_pass(long status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

RtStatus dw_fetch(DwClient *c, const CurlCall *q, bool safe, CurlReply *reply) {
  for (int n = 0;; n++) {
    RtStatus s = curl_call(c->rt, c->curl, q, reply);
    if (s && s != RT_BACKEND) return s;
    /* 429 says that nothing was done, so that it may be repeated always */
    bool again = s ? !reply->too_large && !reply->hopeless && (safe || !reply->sent)
                   : (safe && may_pass(reply->status)) || reply->status == 429;
    if (!s) c->reached = true;
    /* a service that never answered is more likely misspelt than busy */
    int most = c->reached || c->retries < 2 ? c->retries : 2;
    if (!again || n >= most) return s;
    double wait = s ? -1 : retry_after(&reply->headers);
    if (wait > 120) wait = 120;
    if (wait < 0) wait = backoff(c, n);
    curl_reply_free(reply);
    RT_TRY(dw_pause(c, wait));
  }
}

/* ---- one request to the service ---------------------------------------------------------- */

/* The media type must be the one asked for, in version 3 (answers: 2.1 or 3). */
static bool type_fits(const Buf *headers, const char *accept) {
  char *v = http_header(headers, "Content-Type");
  if (!v) return false;
  size_t n = strcspn(v, "; ");
  bool same = n == strlen(accept) && !strncasecmp(v, accept, n);
  const char *version = strcasestr(v, "version=");
  const char *digits = version ? version + 8 + (version[8] == '"') : "";
  bool good = same && digits[0] == '3' && !isdigit((unsigned char)digits[1]);
  free(v);
  return good;
}

static void note_deprecations(DwClient *c, const Buf *headers) {
  char *v = http_header(headers, "X-Deprecation");
  const char *message = v ? strstr(v, "message=\"") : NULL;
  if (message) {
    size_t n = strcspn(message + 9, "\"");
    Buf line = {0};
    buf_format(&line, "the service announces: %.*s\n", (int)(n > 300 ? 300 : n), message + 9);
    for (size_t i = 0; i + 1 < line.len; i++)
      if ((unsigned char)line.data[i] < ' ') line.data[i] = ' ';
    if (line.data && (!c->config.notes.data || !strstr(c->config.notes.data, line.data)))
      buf_text(&c->config.notes, line.data);
    buf_free(&line);
  }
  free(v);
}

/* What the body says, printable, short, without secrets. */
static void said(DwClient *c, const Buf *body, Buf *out) {
  cJSON *v = body->len && body->len < 1 << 20 ? cJSON_ParseWithLength(body->data, body->len) : NULL;
  const cJSON *one = cJSON_IsArray(v) ? v->child : v;
  const char *text = js_text(one, "error_msg");
  if (text) buf_format(out, ": %.300s", text);
  else if (!v && body->len && body->data[0] != '<')
    buf_format(out, ": %.*s", (int)(body->len > 300 ? 300 : body->len), body->data);
  cJSON_Delete(v);
  dw_redact(out, dw_value(&c->config, "token"));
  for (size_t i = 0; i < out->len; i++)
    if ((unsigned char)out->data[i] < ' ') out->data[i] = ' ';
}

static RtStatus judge(DwClient *c, const DwRequest *q, const CurlReply *r) {
  Rt *rt = c->rt;
  if (r->status >= 200 && r->status < 300) {
    if (!q->accept || q->loose || type_fits(&r->headers, q->accept)) return RT_OK;
    return rt_fail(rt, RT_BACKEND, "the service's reply is not of the kind %s, version 3",
                   q->accept);
  }
  Buf text = {0};
  said(c, &r->body, &text);
  const char *t = text.data ? text.data : "";
  switch (r->status) {
  case 401:
    rt_fail(rt, RT_BACKEND, "the service refuses the token (HTTP 401)");
    rt_help(rt, "check the token of this profile");
    break;
  case 403: rt_fail(rt, RT_BACKEND, "the service does not allow this (HTTP 403)%s", t); break;
  case 404: rt_fail(rt, RT_BACKEND, "the service does not know this (HTTP 404)%s", t); break;
  case 410: rt_fail(rt, RT_BACKEND, "the service keeps this no longer (HTTP 410)%s", t); break;
  case 429: rt_fail(rt, RT_BACKEND, "the service has had too many requests (HTTP 429)%s", t); break;
  default:
    if (r->status >= 300 && r->status < 400)
      rt_fail(rt, RT_BACKEND, "the service redirects elsewhere (HTTP %ld), which is not followed",
              r->status);
    else rt_fail(rt, RT_BACKEND, "the service answers with HTTP %ld%s", r->status, t);
  }
  buf_free(&text);
  return RT_BACKEND;
}

typedef struct {
  char *line[MAX_HEADERS + 1];
  int n;
  bool failed;
} Lines;

static void add_line(Lines *l, const char *name, const char *value, size_t n) {
  if (l->n == MAX_HEADERS) {
    l->failed = true;
    return;
  }
  size_t len = strlen(name);
  char *p = malloc(len + n + 1);
  if (!p) {
    l->failed = true;
    return;
  }
  memcpy(p, name, len);
  memcpy(p + len, value, n);
  p[len + n] = 0;
  l->line[l->n++] = p;
}

static void add_header(Lines *l, const char *name, const char *value) {
  if (value) add_line(l, name, value, strlen(value));
}

static void request_headers(DwClient *c, const DwRequest *q, Lines *l) {
  add_header(l, "X-Auth-Token: ", dw_value(&c->config, "token"));
  if (q->accept) {
    Buf accept = {0};
    buf_format(&accept, "%s; version=3.0.0", q->accept);
    add_header(l, "Accept: ", accept.data);
    buf_free(&accept);
  }
  add_header(l, "User-Agent: ", "qa/0.1.0");
  add_header(l, "Expect:", "");
  add_header(
      l, "Content-Type: ", q->size ? q->content_type ? q->content_type : "application/json" : NULL);
  add_header(l, "Content-Encoding: ", q->deflated ? "deflate" : NULL);
  add_header(l, "Connection: ", c->close ? "close" : NULL);
  add_header(l, "", q->header);
  for (const char *p = dw_value(&c->config, "headers"); p && *p;) {
    size_t n = strcspn(p, "\n");
    if (n) add_line(l, "", p, n);
    p += n + (p[n] == '\n');
  }
}

/* A reply that trickles must end some day: 1 kB/s upwards, and ten minutes for the
 * largest replies, are slower than any service that is worth waiting for.      */
static double exchange_limit(const CurlCall *q) {
  return q->connect_timeout + q->read_timeout + 600 + (double)q->size / 1000;
}

RtStatus dw_request(DwClient *c, const DwRequest *q, DwReply *reply) {
  *reply = (DwReply){0};
  Lines l = {0};
  Buf url = {0};
  request_headers(c, q, &l);
  buf_format(&url, "%s%s", c->endpoint, q->path);
  bool http = !strncasecmp(c->endpoint, "http://", 7), insecure = false;
  RtStatus s = l.failed || url.failed
                   ? rt_fail(c->rt, RT_MEMORY, "out of memory")
                   : dw_config_bool(c->rt, &c->config, "permissive_ssl", &insecure);
  CurlReply r = {0};
  CurlCall call = {.method = q->method,
                   .url = url.data,
                   .header = (const char *const *)l.line,
                   .body = q->body,
                   .size = q->size,
                   .max = MAX_REPLY,
                   .connect_timeout = c->connect_timeout,
                   .read_timeout = c->read_timeout,
                   .proxy = dw_value(&c->config, "proxy"),
                   .insecure = insecure,
                   .cert = dw_value(&c->config, "client_cert"),
                   .key = dw_value(&c->config, "client_cert_key"),
                   .http_allowed = http,
                   .direct = http,
                   .close = c->close};
  if (q->wait > 0 && call.read_timeout < q->wait + 15) call.read_timeout = q->wait + 15;
  call.limit = exchange_limit(&call);
  if (!s) s = dw_fetch(c, &call, q->safe, &r);
  if (!s) {
    note_deprecations(c, &r.headers);
    s = judge(c, q, &r);
  }
  reply->status = r.status;
  reply->sent = r.sent;
  reply->body = r.body;
  r.body = (Buf){0};
  curl_reply_free(&r);
  for (int i = 0; i < l.n; i++) {
    explicit_bzero(l.line[i], strlen(l.line[i]));
    free(l.line[i]);
  }
  buf_free(&url);
  return s;
}

void dw_reply_free(DwReply *r) { buf_free(&r->body); }
