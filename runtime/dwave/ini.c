/* ini.c: D-Wave's configuration files: Python's configparser dialect with the
 * default section `[defaults]`.                                              */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/private.h"

static char *copy_text(const char *s, size_t n) {
  char *p = malloc(n + 1);
  if (!p) return NULL;
  memcpy(p, s, n);
  p[n] = 0;
  return p;
}

IniSection *ini_section(Ini *ini, const char *name, size_t n) {
  for (int i = 0; i < ini->n; i++)
    if (strlen(ini->section[i].name) == n && !memcmp(ini->section[i].name, name, n))
      return &ini->section[i];
  return NULL;
}

static IniSection *add_section(Ini *ini, const char *name, size_t n) {
  IniSection *p = realloc(ini->section, (size_t)(ini->n + 1) * sizeof *p);
  if (!p) return NULL;
  ini->section = p;
  p += ini->n;
  *p = (IniSection){.name = copy_text(name, n)};
  if (!p->name) return NULL;
  ini->n++;
  return p;
}

DwOption *ini_key(const IniSection *s, const char *key) {
  for (int i = 0; s && i < s->n; i++)
    if (!strcmp(s->option[i].key, key)) return &s->option[i];
  return NULL;
}

static DwOption *add_key(IniSection *s, char *key) {
  DwOption *p = realloc(s->option, (size_t)(s->n + 1) * sizeof *p);
  if (!p || !key) {
    free(key);
    if (p) s->option = p;
    return NULL;
  }
  s->option = p;
  p += s->n++;
  *p = (DwOption){.key = key};
  return p;
}

static void trim(const char **s, const char **end) {
  while (*s < *end && isspace((unsigned char)**s)) ++*s;
  while (*end > *s && isspace((unsigned char)(*end)[-1])) --*end;
}

typedef struct {
  Rt *rt;
  Ini *ini, seen; /* `seen`: this file's own sections and keys        */
  const char *name;
  DwTrust trust;
  int line, indent, section, seen_section;
  char *key; /* of the option that may go on                     */
  Buf value;
} Reader;

static RtStatus fail(Reader *r, const char *what) {
  return rt_fail(r->rt, RT_ERROR, "\"%s\", line %d: %s", r->name, r->line, what);
}

static RtStatus end_option(Reader *r) {
  if (!r->key) return RT_OK;
  size_t n = r->value.len;
  while (n && isspace((unsigned char)r->value.data[n - 1])) n--;
  IniSection *s = &r->ini->section[r->section];
  DwOption *o = ini_key(s, r->key);
  if (!o) o = add_key(s, strdup(r->key));
  char *text = copy_text(n ? r->value.data : "", n);
  free(r->key);
  r->key = NULL;
  r->value.len = 0;
  if (!o || !text || r->value.failed) {
    free(text);
    return rt_fail(r->rt, RT_MEMORY, "out of memory");
  }
  free(o->value);
  o->value = text;
  o->trust = r->trust;
  return RT_OK;
}

static RtStatus start_section(Reader *r, const char *s, const char *end) {
  const char *close = end;
  while (close > s && close[-1] != ']') close--;
  if (close - s < 3) return fail(r, "expected [section]");
  size_t n = (size_t)(close - s) - 2;
  if (ini_section(&r->seen, s + 1, n)) return fail(r, "the section stands here twice");
  if (!add_section(&r->seen, s + 1, n)) return rt_fail(r->rt, RT_MEMORY, "out of memory");
  IniSection *into = ini_section(r->ini, s + 1, n);
  if (!into) into = add_section(r->ini, s + 1, n);
  if (!into) return rt_fail(r->rt, RT_MEMORY, "out of memory");
  r->section = (int)(into - r->ini->section);
  r->seen_section = r->seen.n - 1;
  return RT_OK;
}

static RtStatus start_option(Reader *r, const char *s, const char *end) {
  if (r->section < 0) return fail(r, "expected [section] before the first key");
  const char *sep = s;
  while (sep < end && *sep != '=' && *sep != ':') sep++;
  if (sep == end || sep == s) return fail(r, "expected `key = value`");
  const char *key_end = sep, *value = sep + 1;
  trim(&s, &key_end);
  trim(&value, &end);
  char *key = copy_text(s, (size_t)(key_end - s));
  if (!key) return rt_fail(r->rt, RT_MEMORY, "out of memory");
  for (char *p = key; *p; p++) *p = (char)tolower((unsigned char)*p);
  r->key = key;
  if (ini_key(&r->seen.section[r->seen_section], key)) return fail(r, "the key stands here twice");
  if (!add_key(&r->seen.section[r->seen_section], strdup(key)))
    return rt_fail(r->rt, RT_MEMORY, "out of memory");
  buf_bytes(&r->value, value, (size_t)(end - value));
  return RT_OK;
}

static RtStatus one_line(Reader *r, const char *line, const char *end) {
  const char *s = line;
  trim(&s, &end);
  if (s < end && (*s == '#' || *s == ';')) return RT_OK;
  if (s == end) { /* blank lines belong to a value that goes on */
    if (r->key) buf_text(&r->value, "\n");
    return RT_OK;
  }
  int indent = (int)(s - line);
  if (r->key && indent > r->indent) {
    buf_text(&r->value, "\n");
    buf_bytes(&r->value, s, (size_t)(end - s));
    return RT_OK;
  }
  RT_TRY(end_option(r));
  r->indent = indent;
  return *s == '[' ? start_section(r, s, end) : start_option(r, s, end);
}

RtStatus ini_read(Rt *rt, Ini *ini, const char *text, size_t n, const char *name, DwTrust trust) {
  Reader r = {.rt = rt, .ini = ini, .name = name, .trust = trust, .section = -1};
  RtStatus s = RT_OK;
  const char *p = text, *end = text + n;
  while (!s && p < end) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    const char *stop = nl ? nl : end;
    r.line++;
    s = one_line(&r, p, stop);
    p = nl ? nl + 1 : end;
  }
  if (!s) s = end_option(&r);
  free(r.key);
  buf_free(&r.value);
  ini_free(&r.seen);
  return s;
}

void ini_free(Ini *ini) {
  for (int i = 0; i < ini->n; i++) {
    for (int k = 0; k < ini->section[i].n; k++) {
      free(ini->section[i].option[k].key);
      free(ini->section[i].option[k].value);
    }
    free(ini->section[i].option);
    free(ini->section[i].name);
  }
  free(ini->section);
  *ini = (Ini){0};
}

/* The value with %(other)s filled in; *trust becomes the least of all involved. */
RtStatus ini_expand(Rt *rt, const Ini *ini, const IniSection *s, const char *value, int depth,
                    Buf *out, DwTrust *trust) {
  if (depth > 10) return rt_fail(rt, RT_ERROR, "configuration: %%(...)s goes in a circle");
  for (const char *p = value; *p; p++) {
    if (*p != '%') {
      buf_bytes(out, p, 1);
    } else if (p[1] == '%') {
      buf_text(out, "%");
      p++;
    } else {
      const char *close = p[1] == '(' ? strstr(p, ")s") : NULL;
      if (!close) {
        rt_fail(rt, RT_ERROR, "configuration: a single %% in a value");
        rt_help(rt, "write %%%% for a percent sign");
        return RT_ERROR;
      }
      char *key = copy_text(p + 2, (size_t)(close - p) - 2);
      if (!key) return rt_fail(rt, RT_MEMORY, "out of memory");
      for (char *q = key; *q; q++) *q = (char)tolower((unsigned char)*q);
      const DwOption *o = ini_key(s, key);
      if (!o) o = ini_key(ini_section((Ini *)(uintptr_t)ini, "defaults", 8), key);
      RtStatus st =
          o ? RT_OK : rt_fail(rt, RT_ERROR, "configuration: %%(%.60s)s names no key", key);
      free(key);
      if (st) return st;
      if (o->trust < *trust) *trust = o->trust;
      RT_TRY(ini_expand(rt, ini, s, o->value, depth + 1, out, trust));
      p = close + 1;
    }
  }
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}
