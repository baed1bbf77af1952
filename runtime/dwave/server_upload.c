/* server_upload.c: models that arrive in parts of 5 MiB, checked by MD5. */
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/server.h"

void sapi_upload_free(SapiUpload *u) {
  if (!u) return;
  free(u->data);
  free(u->sum);
  free(u->here);
  free(u);
}

static SapiUpload *find(const Sapi *s, const char *id) {
  for (int i = 0; i < s->n_upload; i++)
    if (!strcmp(s->upload[i]->id, id)) return s->upload[i];
  return NULL;
}

bool sapi_uploaded(Sapi *s, const char *id, Buf *out) {
  const SapiUpload *u = find(s, id);
  if (!u || !u->complete) return false;
  buf_bytes(out, u->data, u->size);
  return !out->failed;
}

/* The oldest uploads go when there are many or they are large. */
static void make_room(Sapi *s, size_t size) {
  const int most = (int)(sizeof s->upload / sizeof *s->upload);
  for (;;) {
    size_t all = size;
    for (int i = 0; i < s->n_upload; i++) all += s->upload[i]->size;
    if (s->n_upload < most && all <= SAPI_STORE) return;
    sapi_upload_free(s->upload[0]);
    memmove(&s->upload[0], &s->upload[1], (size_t)--s->n_upload * sizeof *s->upload);
  }
}

static void begin(SapiCall *c) {
  double size = 0;
  cJSON *v = js_read(c->rt, c->body.len ? c->body.data : "", c->body.len, 1 << 16, "body");
  bool good = js_number(v, "size", &size) && size >= 1 && size == (double)(size_t)size;
  cJSON_Delete(v);
  if (!good) return sapi_error(c, 400, "Expected {\"size\": bytes}");
  if (size > SAPI_UPLOAD) return sapi_error(c, 413, "Uploads have at most 256 MiB here");
  SapiUpload *u = calloc(1, sizeof *u);
  if (u) {
    u->size = (size_t)size;
    u->parts = (u->size + DW_PART - 1) / DW_PART;
    u->data = malloc(u->size);
    u->sum = calloc(u->parts, sizeof *u->sum);
    u->here = calloc(u->parts, sizeof *u->here);
  }
  if (!u || !u->data || !u->sum || !u->here || sapi_id(c->rt, u->id)) {
    sapi_upload_free(u);
    return sapi_error(c, 500, "Out of memory");
  }
  make_room(c->s, u->size);
  c->s->upload[c->s->n_upload++] = u;
  buf_format(&c->reply, "{\"id\":\"%s\"}", u->id);
}

static void put_part(SapiCall *c, SapiUpload *u, const char *number) {
  char *end;
  long k = strtol(number, &end, 10);
  if (end == number || *end || k < 1 || (size_t)k > u->parts)
    return sapi_error(c, 400, "There is no part of that number");
  size_t at = (size_t)(k - 1) * DW_PART, left = u->size - at;
  if (c->body.len != (left < DW_PART ? left : DW_PART))
    return sapi_error(c, 400, "Parts have 5242880 bytes, the last one the rest");
  if (u->complete) return sapi_error(c, 409, "The upload is complete");
  uint8_t sum[16];
  Buf text = {0};
  dw_part_sum(c->body.data, c->body.len, sum);
  base64_encode(sum, 16, &text);
  bool same = !c->md5 || (text.data && !strcmp(c->md5, text.data));
  buf_free(&text);
  if (!same) return sapi_error(c, 400, "Content-MD5 is not that of the part");
  memcpy(u->data + at, c->body.data, c->body.len);
  memcpy(u->sum[k - 1], sum, 16);
  u->here[k - 1] = true;
  buf_text(&c->reply, "{}");
}

static void combine(SapiCall *c, SapiUpload *u) {
  cJSON *v = js_read(c->rt, c->body.len ? c->body.data : "", c->body.len, 1 << 16, "body");
  const char *sum = js_text(v, "checksum");
  char hex[33];
  bool all = true;
  for (size_t i = 0; i < u->parts; i++) all = all && u->here[i];
  if (all) dw_combine_sum(u->data, u->size, DW_PART, hex);
  if (!all) sapi_error(c, 400, "Parts are missing");
  else if (!sum || strcmp(sum, hex)) sapi_error(c, 400, "checksum is not that of the parts");
  else u->complete = true, buf_text(&c->reply, "{}");
  cJSON_Delete(v);
}

static void status(SapiCall *c, const SapiUpload *u) {
  const char *comma = "";
  char hex[33];
  buf_format(&c->reply, "{\"status\":\"%s\",\"parts\":[",
             u->complete ? "UPLOAD_COMPLETED" : "UPLOAD_IN_PROGRESS");
  for (size_t i = 0; i < u->parts; i++) {
    if (!u->here[i]) continue;
    md5_hex(u->sum[i], hex);
    buf_format(&c->reply, "%s{\"part_number\":%zu,\"checksum\":\"%s\"}", comma, i + 1, hex);
    comma = ",";
  }
  buf_text(&c->reply, "]}");
}

void sapi_upload(SapiCall *c, const char *path) {
  size_t n = strcspn(path, "/");
  char id[37] = "";
  bool post = !strcmp(c->method, "POST");
  if (n == 36) memcpy(id, path, n), id[n] = 0;
  const char *what = path[n] ? path + n + 1 : "";
  pthread_mutex_lock(&c->s->lock);
  SapiUpload *u = find(c->s, id);
  if (n == 0 && post) begin(c);
  else if (!u) sapi_error(c, 404, "There is no such upload");
  else if (!strncmp(what, "part/", 5) && !strcmp(c->method, "PUT")) put_part(c, u, what + 5);
  else if (!strcmp(what, "combine") && post) combine(c, u);
  else if (!strcmp(what, "status") && !strcmp(c->method, "GET")) status(c, u);
  else sapi_error(c, 404, "Not found");
  pthread_mutex_unlock(&c->s->lock);
}
