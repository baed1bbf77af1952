/* json.c: reading members of JSON bodies and writing JSON as the service and
 * dimod's files want it (cJSON prints neither floats nor spaces that way).    */
#include <math.h>
#include <string.h>

#include "runtime/dwave/codec.h"

enum { JSON_LEVELS = 64 };

/* cJSON recurses to 1000 levels; bodies of the service have less than ten. */
static bool shallow(const char *p, size_t n) {
  int level = 0;
  bool text = false;
  for (size_t i = 0; i < n; i++) {
    if (text) {
      if (p[i] == '\\') i++;
      else if (p[i] == '"') text = false;
    } else if (p[i] == '"') {
      text = true;
    } else if (p[i] == '[' || p[i] == '{') {
      if (++level > JSON_LEVELS) return false;
    } else if (p[i] == ']' || p[i] == '}') {
      level--;
    }
  }
  return true;
}

cJSON *js_read(Rt *rt, const char *p, size_t n, size_t max, const char *what) {
  if (n > max) {
    rt_fail(rt, RT_BACKEND, "%s: %zu bytes, more than the %zu allowed", what, n, max);
    return NULL;
  }
  const char *end = NULL;
  cJSON *v = shallow(p, n) ? cJSON_ParseWithLengthOpts(p, n, &end, 0) : NULL;
  for (; v && end < p + n; end++)
    if (!strchr(" \t\r\n", *end)) {
      cJSON_Delete(v);
      v = NULL;
    }
  if (!v) rt_fail(rt, RT_BACKEND, "%s: not the JSON that was expected", what);
  return v;
}

const cJSON *js_get(const cJSON *object, const char *key) {
  const cJSON *v = cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
  return v && !cJSON_IsNull(v) ? v : NULL;
}

const char *js_text(const cJSON *object, const char *key) {
  const cJSON *v = js_get(object, key);
  return cJSON_IsString(v) ? v->valuestring : NULL;
}

bool js_number(const cJSON *object, const char *key, double *out) {
  const cJSON *v = js_get(object, key);
  if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble)) return false;
  *out = v->valuedouble;
  return true;
}

/* One code point of UTF-8; what is none becomes U+FFFD. */
static uint32_t code_point(const uint8_t **s) {
  const uint8_t *p = *s;
  uint32_t c = *p++;
  int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
  bool wide = c >= 0x80;
  if (more) c &= 0x3fu >> more;
  for (; more && (*p & 0xc0) == 0x80; more--) c = c << 6 | (*p++ & 0x3f);
  if (more || (wide && c < 0x80)) c = 0xfffd; /* cut off, or longer than needed */
  *s = p;
  return c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c;
}

void js_string(Buf *out, const char *s) {
  buf_text(out, "\"");
  for (const uint8_t *p = (const uint8_t *)s; *p;) {
    uint32_t c = code_point(&p);
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = c < 0x80 ? strchr(from, (int)c) : NULL;
    if (at) buf_format(out, "\\%c", to[at - from]);
    else if (c >= 0x20 && c < 0x7f) buf_format(out, "%c", (char)c);
    else if (c < 0x10000) buf_format(out, "\\u%04x", c);
    else
      buf_format(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10 & 0x3ff),
                 0xdc00 + ((c - 0x10000) & 0x3ff));
  }
  buf_text(out, "\"");
}

void js_real(Buf *out, double x) {
  if (isfinite(x)) buf_double(out, x);
  else buf_text(out, "null");
}

void js_write(Buf *out, const cJSON *v, bool spaced) {
  if (cJSON_IsString(v)) {
    js_string(out, v->valuestring);
  } else if (cJSON_IsNumber(v)) {
    double x = v->valuedouble;
    if (x == floor(x) && fabs(x) < 9007199254740992.0) buf_format(out, "%lld", (long long)x);
    else js_real(out, x);
  } else if (cJSON_IsArray(v) || cJSON_IsObject(v)) {
    bool object = cJSON_IsObject(v);
    buf_text(out, object ? "{" : "[");
    for (const cJSON *c = v->child; c; c = c->next) {
      if (c != v->child) buf_text(out, spaced ? ", " : ",");
      if (object) {
        js_string(out, c->string ? c->string : "");
        buf_text(out, spaced ? ": " : ":");
      }
      js_write(out, c, spaced);
    }
    buf_text(out, object ? "}" : "]");
  } else {
    buf_text(out, cJSON_IsTrue(v) ? "true" : cJSON_IsFalse(v) ? "false" : "null");
  }
}
