/* upload.c: model files in parts of 5 MiB, each with its MD5; an upload that was
 * cut goes on with the parts that are missing.                               */
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/private.h"

void dw_part_sum(const void *p, size_t n, uint8_t md5[16]) {
  Md5 m;
  md5_init(&m);
  md5_add(&m, p, n);
  md5_end(&m, md5);
}

void dw_combine_sum(const void *p, size_t n, size_t part, char hex[33]) {
  Md5 all;
  uint8_t one[16];
  md5_init(&all);
  for (size_t at = 0; at < n; at += part) {
    dw_part_sum((const char *)p + at, n - at < part ? n - at : part, one);
    md5_add(&all, one, 16);
  }
  md5_end(&all, one);
  md5_hex(one, hex);
}

static RtStatus exchange(DwClient *c, const DwRequest *q, const char *what, cJSON **out) {
  DwReply r;
  RtStatus s = dw_request(c, q, &r);
  if (!s && out &&
      !(*out = js_read(c->rt, r.body.data ? r.body.data : "", r.body.len, 16 << 20, what)))
    s = RT_BACKEND;
  dw_reply_free(&r);
  return s;
}

static RtStatus start_upload(DwClient *c, size_t n, char **id) {
  Buf body = {0};
  cJSON *v = NULL;
  buf_format(&body, "{\"size\": %zu}", n);
  DwRequest q = {.method = "POST",
                 .path = "bqm/multipart",
                 .body = body.data,
                 .size = body.len,
                 .safe = true}; /* an upload that nobody uses does no harm */
  RtStatus s =
      body.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory") : exchange(c, &q, "upload", &v);
  const char *name = js_text(v, "id");
  if (!s && (!name || !*name || strlen(name) > 200))
    s = rt_fail(c->rt, RT_BACKEND, "upload: the service gives no id");
  if (!s && !(*id = strdup(name))) s = rt_fail(c->rt, RT_MEMORY, "out of memory");
  cJSON_Delete(v);
  buf_free(&body);
  return s;
}

/* Does the status list part k with this sum?  (Sums may stand in extra quotes.) */
static bool has_part(const cJSON *status, size_t k, const char *hex) {
  const cJSON *parts = js_get(status, "parts");
  for (const cJSON *p = parts ? parts->child : NULL; p; p = p->next) {
    double number;
    const char *sum = js_text(p, "checksum");
    if (!sum || !js_number(p, "part_number", &number) || number != (double)k) continue;
    if (*sum == '"') sum++;
    if (!strncmp(sum, hex, 32)) return true;
  }
  return false;
}

static RtStatus send_part(DwClient *c, const char *id, size_t k, const void *p, size_t n,
                          const uint8_t md5[16]) {
  Buf path = {0}, header = {0};
  buf_format(&path, "bqm/multipart/%s/part/%zu", id, k);
  buf_text(&header, "Content-MD5: ");
  base64_encode(md5, 16, &header);
  DwRequest q = {.method = "PUT",
                 .path = path.data,
                 .header = header.data,
                 .body = p,
                 .size = n,
                 .content_type = "application/octet-stream",
                 .safe = true};
  RtStatus s = path.failed || header.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory")
                                            : exchange(c, &q, "part", NULL);
  buf_free(&path);
  buf_free(&header);
  return s;
}

static RtStatus parts(DwClient *c, const char *id, const char *p, size_t n, const cJSON *status) {
  size_t k = 1;
  for (size_t at = 0; at < n; at += DW_PART, k++) {
    size_t len = n - at < DW_PART ? n - at : DW_PART;
    uint8_t md5[16];
    char hex[33];
    dw_part_sum(p + at, len, md5);
    md5_hex(md5, hex);
    if (!has_part(status, k, hex)) RT_TRY(send_part(c, id, k, p + at, len, md5));
  }
  return RT_OK;
}

static RtStatus combine(DwClient *c, const char *id, const void *p, size_t n) {
  Buf path = {0}, body = {0};
  char hex[33];
  dw_combine_sum(p, n, DW_PART, hex);
  buf_format(&path, "bqm/multipart/%s/combine", id);
  buf_format(&body, "{\"checksum\": \"%s\"}", hex);
  DwRequest q = {
      .method = "POST", .path = path.data, .body = body.data, .size = body.len, .safe = true};
  RtStatus s = path.failed || body.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory")
                                          : exchange(c, &q, "combine", NULL);
  buf_free(&path);
  buf_free(&body);
  return s;
}

RtStatus dw_upload(DwClient *c, const void *p, size_t n, char **id) {
  cJSON *status = NULL;
  RtStatus s = RT_OK;
  Buf name = {0};
  if (*id) {
    Buf path = {0};
    url_part(&name, *id);
    buf_format(&path, "bqm/multipart/%s/status", name.data ? name.data : "");
    DwRequest q = {.method = "GET", .path = path.data, .safe = true};
    s = path.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory")
                    : exchange(c, &q, "upload", &status);
    buf_free(&path);
  } else {
    s = start_upload(c, n, id);
    if (!s) url_part(&name, *id);
  }
  const char *state = js_text(status, "status");
  bool done = state && !strcmp(state, "UPLOAD_COMPLETED");
  if (!s && !done) s = parts(c, name.data, p, n, status);
  if (!s && !done) s = combine(c, name.data, p, n);
  cJSON_Delete(status);
  buf_free(&name);
  return s;
}
