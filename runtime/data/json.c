/* json.c: reading JSON (RFC 8259) by callbacks.
 *
 * Not cJSON, because that reads every number as a double: integers here are
 * exact over all 64 bits, and errors name line and column.                   */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/data.h"

enum { JSON_DEPTH = 512 };

typedef struct {
  Rt *rt;
  const char *start, *p, *end, *name;
  const JsonSink *sink;
  void *user;
  Buf text; /* the string just read */
  uint32_t values;
} Json;

static RtStatus json_fail(Json *j, const char *at, const char *what) {
  unsigned line = 1;
  const char *head = j->start;
  for (const char *p = j->start; p < at; p++)
    if (*p == '\n') line++, head = p + 1;
  return rt_fail(j->rt, RT_ERROR, "\"%s\", line %u, column %zu: %s", j->name, line,
                 utf8_columns(head, (size_t)(at - head)) + 1, what);
}

static void blanks(Json *j) {
  while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) j->p++;
}

static bool word(Json *j, const char *w) {
  size_t n = strlen(w);
  if ((size_t)(j->end - j->p) < n || memcmp(j->p, w, n)) return false;
  j->p += n;
  return true;
}

static RtStatus done(Json *j, int failed) {
  return failed ? (j->rt->error.status ? j->rt->error.status : RT_ERROR) : RT_OK;
}

static RtStatus number(Json *j) {
  const char *s = j->p, *p = s, *end = j->end;
  bool fraction = false;
  if (p < end && *p == '-') p++;
  const char *digits = p;
  while (p < end && *p >= '0' && *p <= '9') p++;
  if (p == digits) return json_fail(j, s, "expected a value");
  if (*digits == '0' && p - digits > 1) return json_fail(j, s, "a number must not begin with 0");
  if (p < end && *p == '.') {
    fraction = true;
    const char *f = ++p;
    while (p < end && *p >= '0' && *p <= '9') p++;
    if (p == f) return json_fail(j, p, "expected a digit behind the point");
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    fraction = true;
    if (++p < end && (*p == '-' || *p == '+')) p++;
    const char *e = p;
    while (p < end && *p >= '0' && *p <= '9') p++;
    if (p == e) return json_fail(j, p, "expected the exponent's digits");
  }
  j->text.len = 0;
  buf_bytes(&j->text, s, (size_t)(p - s));
  buf_bytes(&j->text, "", 1);
  if (j->text.failed) return rt_fail(j->rt, RT_MEMORY, "out of memory");
  j->p = p;
  errno = 0;
  if (!fraction) {
    long long i = strtoll(j->text.data, NULL, 10);
    if (!errno) return done(j, j->sink->integer(j->user, i));
  }
  return done(j, j->sink->real(j->user, strtod(j->text.data, NULL)));
}

static int hex4(const char *p, const char *end) {
  int v = 0;
  if (end - p < 4) return -1;
  for (int i = 0; i < 4; i++) {
    int c = p[i], d = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (d < 0) return -1;
    v = v * 16 + d;
  }
  return v;
}

static void put_utf8(Buf *b, unsigned c) {
  char s[4];
  int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (int i = n - 1; i > 0; i--, c >>= 6) s[i] = (char)(0x80 | (c & 63));
  s[0] = (char)(lead[n] | c);
  buf_bytes(b, s, (size_t)n);
}

/* Behind the backslash. */
static RtStatus escape(Json *j) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (j->p == j->end) return json_fail(j, j->p, "the string is not closed");
  const char *at = strchr(from, *j->p);
  if (at && *j->p) {
    buf_bytes(&j->text, to + (at - from), 1);
    j->p++;
    return RT_OK;
  }
  if (*j->p != 'u') return json_fail(j, j->p - 1, "an unknown escape");
  int c = hex4(j->p + 1, j->end), low;
  if (c < 0) return json_fail(j, j->p - 1, "\\u needs four hexadecimal digits");
  j->p += 5;
  if (c >= 0xd800 && c < 0xdc00 && j->end - j->p >= 6 && j->p[0] == '\\' && j->p[1] == 'u' &&
      (low = hex4(j->p + 2, j->end)) >= 0xdc00 && low < 0xe000) {
    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    j->p += 6;
  } else if (c >= 0xd800 && c < 0xe000) return json_fail(j, j->p - 6, "half of a surrogate pair");
  if (c == 0) return json_fail(j, j->p - 6, "a NUL character, which a str cannot hold");
  put_utf8(&j->text, (unsigned)c);
  return RT_OK;
}

/* p is at the opening quote; the text is in j->text. */
static RtStatus string(Json *j) {
  const char *open = j->p++;
  j->text.len = 0;
  while (j->p < j->end && *j->p != '"') {
    const char *s = j->p;
    while (j->p < j->end && *j->p != '"' && *j->p != '\\' && (unsigned char)*j->p >= 0x20) j->p++;
    buf_bytes(&j->text, s, (size_t)(j->p - s));
    if (j->p == j->end) break;
    if ((unsigned char)*j->p < 0x20)
      return json_fail(j, j->p, "a control character inside a string");
    if (*j->p == '\\') {
      j->p++;
      RT_TRY(escape(j));
    }
  }
  if (j->p == j->end) return json_fail(j, open, "this string is not closed");
  j->p++;
  buf_bytes(&j->text, "", 1);
  if (j->text.failed) return rt_fail(j->rt, RT_MEMORY, "out of memory");
  j->text.len--;
  if (!utf8_valid(j->text.data, j->text.len, NULL))
    return json_fail(j, open, "this string is not valid UTF-8");
  return RT_OK;
}

static RtStatus value(Json *j, int depth);

static RtStatus members(Json *j, bool object, int depth) {
  char close = object ? '}' : ']';
  const char *open = j->p++;
  RT_TRY(done(j, j->sink->open(j->user, object)));
  blanks(j);
  for (bool first = true; j->p < j->end && *j->p != close; first = false) {
    if (!first) {
      if (*j->p != ',') return json_fail(j, j->p, object ? "expected , or }" : "expected , or ]");
      j->p++;
      blanks(j);
    }
    if (object) {
      if (j->p == j->end || *j->p != '"') return json_fail(j, j->p, "expected a name in quotes");
      RT_TRY(string(j));
      RT_TRY(done(j, j->sink->key(j->user, j->text.data, j->text.len)));
      blanks(j);
      if (j->p == j->end || *j->p != ':') return json_fail(j, j->p, "expected :");
      j->p++;
    }
    RT_TRY(value(j, depth + 1));
    blanks(j);
  }
  if (j->p == j->end)
    return json_fail(j, open, object ? "this { is never closed" : "this [ is never closed");
  j->p++;
  return done(j, j->sink->close(j->user, object));
}

static RtStatus value(Json *j, int depth) {
  if (++j->values % 65536 == 0) RT_TRY(rt_poll(j->rt));
  blanks(j);
  if (depth > JSON_DEPTH) return json_fail(j, j->p, "brackets are nested more than 512 deep");
  if (j->p == j->end) return json_fail(j, j->p, "expected a value, found the end");
  switch (*j->p) {
  case '{':
  case '[': return members(j, *j->p == '{', depth);
  case '"': RT_TRY(string(j)); return done(j, j->sink->text(j->user, j->text.data, j->text.len));
  case 't':
    if (word(j, "true")) return done(j, j->sink->boolean(j->user, true));
    break;
  case 'f':
    if (word(j, "false")) return done(j, j->sink->boolean(j->user, false));
    break;
  case 'n':
    if (word(j, "null")) return done(j, j->sink->nil(j->user));
    break;
  default: return number(j);
  }
  return json_fail(j, j->p, "expected a value");
}

RtStatus json_parse(Rt *rt, const char *text, size_t n, const char *name, const JsonSink *sink,
                    void *user) {
  if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3, n -= 3;
  Json j = {.rt = rt,
            .start = text,
            .p = text,
            .end = text + n,
            .name = name,
            .sink = sink,
            .user = user};
  RtStatus st = value(&j, 0);
  blanks(&j);
  if (!st && j.p < j.end) st = json_fail(&j, j.p, "text behind the value");
  buf_free(&j.text);
  return st;
}

void json_quote(Buf *out, const char *s, size_t n) {
  buf_text(out, "\"");
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    switch (c) {
    case '"': buf_text(out, "\\\""); break;
    case '\\': buf_text(out, "\\\\"); break;
    case '\n': buf_text(out, "\\n"); break;
    case '\r': buf_text(out, "\\r"); break;
    case '\t': buf_text(out, "\\t"); break;
    default:
      if (c < 0x20) buf_format(out, "\\u%04x", c);
      else buf_bytes(out, s + i, 1);
    }
  }
  buf_text(out, "\"");
}
