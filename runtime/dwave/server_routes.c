/* server_routes.c: which resource a request is for. */
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/server.h"

void sapi_error(SapiCall *c, int status, const char *text) {
  c->status = status;
  c->type = "";
  c->reply.len = 0;
  buf_format(&c->reply, "{\"error_code\":%d,\"error_msg\":", status);
  js_string(&c->reply, text);
  buf_text(&c->reply, "}");
}

/* Takes the same time wherever the texts differ. */
bool constant_equal(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  unsigned other = n != m;
  for (size_t i = 0; i < m; i++) other |= (unsigned char)a[n ? i % n : 0] ^ (unsigned char)b[i];
  return other == 0;
}

/* The versions served are 3, and 2 of answers and messages. */
static bool version_served(const char *accept) {
  const char *v = accept ? strstr(accept, "version=") : NULL;
  if (!v) return true;
  v += 8 + (v[8] == '"');
  return *v == '3' ||
         (*v == '2' && (strstr(accept, "problem-answer") || strstr(accept, "problem-message")));
}

static void problems(SapiCall *c, const char *rest) {
  bool get = !strcmp(c->method, "GET"), drop = !strcmp(c->method, "DELETE");
  char id[64];
  const char *slash = strchr(rest, '/');
  size_t n = slash ? (size_t)(slash - rest) : strlen(rest);
  if (n == 0 && !strcmp(c->method, "POST")) return sapi_submit(c);
  if (n == 0 && get) return sapi_list(c);
  if (n == 0 && drop) return sapi_cancel(c, NULL);
  if (n >= sizeof id) return sapi_error(c, 404, "Problem does not exist");
  memcpy(id, rest, n);
  id[n] = 0;
  if (drop && n) sapi_cancel(c, id);
  else if (get && n) sapi_job(c, id, slash ? slash + 1 : "");
  else sapi_error(c, 405, "Method not allowed");
}

void sapi_route(SapiCall *c) {
  const char *p = c->path;
  bool get = !strcmp(c->method, "GET");
  if (!version_served(c->accept)) return sapi_error(c, 415, "Unsupported version in Accept");
  if (!strncmp(p, "solvers/remote", 14) && (!p[14] || p[14] == '/')) {
    const char *name = p[14] && p[15] ? p + 15 : NULL;
    if (get) sapi_get_solvers(c, name);
    else sapi_error(c, 405, "Method not allowed");
  } else if (!strncmp(p, "problems", 8) && (!p[8] || p[8] == '/')) {
    problems(c, p[8] ? p + 9 : "");
  } else if (!strncmp(p, "bqm/multipart", 13) && (!p[13] || p[13] == '/')) {
    sapi_upload(c, p[13] ? p + 14 : "");
  } else {
    sapi_error(c, 404, "Not found");
  }
}
