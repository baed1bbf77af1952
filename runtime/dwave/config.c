/* config.c: where settings come from and which of them may be combined.
 *
 * Order of precedence: arguments, environment, files (working directory, user,
 * system).  `region` and `endpoint` are one choice.                          */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "runtime/dwave/private.h"

static const char *const env_keys[][2] = {{"DWAVE_API_CLIENT", "client"},
                                          {"DWAVE_API_REGION", "region"},
                                          {"DWAVE_API_ENDPOINT", "endpoint"},
                                          {"DWAVE_API_TOKEN", "token"},
                                          {"DWAVE_API_SOLVER", "solver"},
                                          {"DWAVE_API_PROXY", "proxy"},
                                          {"DWAVE_API_HEADERS", "headers"},
                                          {"DWAVE_METADATA_API_ENDPOINT", "metadata_api_endpoint"},
                                          {"DWAVE_LEAP_API_ENDPOINT", "leap_api_endpoint"},
                                          {"DWAVE_LEAP_CLIENT_ID", "leap_client_id"},
                                          {"DWAVE_CACHE_ENABLED", "cache_enabled"},
                                          {"DWAVE_CACHE_HOME", "cache_home"}};

static const char *env_of(const DwSources *s, const char *name) {
  const char *v = s->env ? s->env(s->user, name) : getenv(name);
  return v && *v ? v : NULL;
}

const DwOption *dw_option(const DwConfig *c, const char *key) {
  for (int i = 0; i < c->n; i++)
    if (!strcmp(c->option[i].key, key)) return c->option[i].value[0] ? &c->option[i] : NULL;
  return NULL;
}

const char *dw_value(const DwConfig *c, const char *key) {
  const DwOption *o = dw_option(c, key);
  return o ? o->value : NULL;
}

static void drop(DwConfig *c, const char *key) {
  for (int i = 0; i < c->n; i++)
    if (!strcmp(c->option[i].key, key)) {
      free(c->option[i].key);
      free(c->option[i].value);
      memmove(c->option + i, c->option + i + 1, (size_t)(c->n - i - 1) * sizeof *c->option);
      c->n--;
      return;
    }
}

static RtStatus set(Rt *rt, DwConfig *c, const char *key, const char *value, DwTrust trust) {
  drop(c, key);
  if (c->n == c->cap) {
    int cap = c->cap ? 2 * c->cap : 16;
    DwOption *p = realloc(c->option, (size_t)cap * sizeof *p);
    if (!p) return rt_fail(rt, RT_MEMORY, "out of memory");
    c->option = p;
    c->cap = cap;
  }
  DwOption o = {strdup(key), strdup(value), trust};
  if (!o.key || !o.value) {
    free(o.key);
    free(o.value);
    return rt_fail(rt, RT_MEMORY, "out of memory");
  }
  c->option[c->n++] = o;
  return RT_OK;
}

void dw_config_free(DwConfig *c) {
  for (int i = 0; i < c->n; i++) {
    free(c->option[i].key);
    free(c->option[i].value);
  }
  free(c->option);
  buf_free(&c->notes);
  *c = (DwConfig){0};
}

/* ---- files ------------------------------------------------------------------- */

static RtStatus read_file(Rt *rt, const char *path, DwTrust trust, bool must, Ini *ini,
                          Buf *notes) {
  struct stat st;
  if (stat(path, &st) || !S_ISREG(st.st_mode)) {
    if (!must) return RT_OK;
    return rt_fail(rt, RT_ERROR, "cannot read the configuration file \"%s\": %s", path,
                   strerror(errno ? errno : EINVAL));
  }
  Buf text = {0};
  RtStatus s = file_read(rt, path, 1 << 20, &text);
  if (!s) s = ini_read(rt, ini, text.data ? text.data : "", text.len, path, trust);
  if (!s && (st.st_mode & 077) && text.data && strcasestr(text.data, "token"))
    buf_format(notes, "\"%s\" can be read by others (mode %03o); chmod 600 keeps the token safe\n",
               path, (unsigned)(st.st_mode & 0777));
  buf_free(&text);
  return s;
}

static RtStatus search_files(Rt *rt, const DwSources *s, Ini *ini, Buf *notes) {
  const char *dirs = env_of(s, "XDG_CONFIG_DIRS"), *home = env_of(s, "HOME");
  const char *own = env_of(s, "XDG_CONFIG_HOME");
  char path[4096];
  /* in list order, so that later directories win: as the reference client does */
  for (const char *p = dirs ? dirs : "/etc/xdg"; *p;) {
    size_t n = strcspn(p, ":");
    snprintf(path, sizeof path, "%.*s/dwave/dwave.conf", (int)n, p);
    if (n) RT_TRY(read_file(rt, path, TRUST_USER, false, ini, notes));
    p += n + (p[n] == ':');
  }
  if (own) snprintf(path, sizeof path, "%s/dwave/dwave.conf", own);
  else snprintf(path, sizeof path, "%s/.config/dwave/dwave.conf", home ? home : "");
  if (own || home) RT_TRY(read_file(rt, path, TRUST_USER, false, ini, notes));
  snprintf(path, sizeof path, "%s/dwave.conf", s->cwd ? s->cwd : ".");
  return read_file(rt, path, TRUST_LOCAL, false, ini, notes);
}

static RtStatus read_files(Rt *rt, const DwSources *s, Ini *ini, Buf *notes) {
  if (s->no_files) return RT_OK;
  for (int i = 0; i < s->n_file; i++)
    RT_TRY(read_file(rt, s->file[i], s->file_trust, true, ini, notes));
  if (s->n_file) return RT_OK;
  const char *named = s->ignore_env_file ? NULL : env_of(s, "DWAVE_CONFIG_FILE");
  if (named) return read_file(rt, named, TRUST_USER, true, ini, notes);
  return search_files(rt, s, ini, notes);
}

/* The chosen section over [defaults], expanded. */
static RtStatus take_profile(Rt *rt, const DwSources *s, Ini *ini, DwConfig *c) {
  const IniSection *defaults = ini_section(ini, "defaults", 8), *chosen = NULL;
  const char *name = s->profile && *s->profile ? s->profile : env_of(s, "DWAVE_PROFILE");
  const DwOption *o = ini_key(defaults, "profile");
  if (!name && o && *o->value) name = o->value;
  if (name) {
    chosen = ini_section(ini, name, strlen(name));
    if (!chosen) {
      rt_fail(rt, RT_ERROR, "no profile [%.80s] in the configuration files", name);
      rt_help(rt, "the files are dwave.conf here and in ~/.config/dwave, or DWAVE_CONFIG_FILE");
      return RT_ERROR;
    }
  }
  for (int i = 0; i < ini->n && !chosen; i++)
    if (&ini->section[i] != defaults) chosen = &ini->section[i];
  for (int pass = 0; pass < 2; pass++) {
    const IniSection *from = pass ? chosen : defaults;
    for (int i = 0; from && i < from->n; i++) {
      Buf text = {0};
      DwTrust trust = from->option[i].trust;
      RtStatus st =
          ini_expand(rt, ini, chosen ? chosen : defaults, from->option[i].value, 0, &text, &trust);
      if (!st) st = set(rt, c, from->option[i].key, text.data ? text.data : "", trust);
      buf_free(&text);
      if (st) return st;
    }
  }
  return RT_OK;
}

static RtStatus load(Rt *rt, const DwSources *s, Ini *ini, DwConfig *c) {
  RT_TRY(read_files(rt, s, ini, &c->notes));
  RT_TRY(take_profile(rt, s, ini, c));
  if (env_of(s, "DWAVE_API_REGION") || env_of(s, "DWAVE_API_ENDPOINT"))
    drop(c, "region"), drop(c, "endpoint");
  for (size_t i = 0; i < sizeof env_keys / sizeof *env_keys; i++) {
    const char *v = env_of(s, env_keys[i][0]);
    if (v) RT_TRY(set(rt, c, env_keys[i][1], v, TRUST_USER));
  }
  for (int i = 0; i < s->n_arg; i++)
    if (s->arg[i].value && *s->arg[i].value &&
        (!strcmp(s->arg[i].key, "region") || !strcmp(s->arg[i].key, "endpoint"))) {
      drop(c, "region"), drop(c, "endpoint");
      break;
    }
  for (int i = 0; i < s->n_arg; i++)
    if (s->arg[i].value && *s->arg[i].value)
      RT_TRY(set(rt, c, s->arg[i].key, s->arg[i].value, s->arg[i].trust));
  return c->notes.failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

RtStatus dw_config_load(Rt *rt, const DwSources *s, DwConfig *out) {
  *out = (DwConfig){0};
  Ini ini = {0};
  RtStatus st = load(rt, s, &ini, out);
  ini_free(&ini);
  if (st) dw_config_free(out);
  return st;
}

/* ---- values --------------------------------------------------------------------- */

RtStatus dw_config_bool(Rt *rt, const DwConfig *c, const char *key, bool *out) {
  const char *v = dw_value(c, key);
  if (!v) return RT_OK;
  static const char *const yes[] = {"on", "true", "1"}, *const no[] = {"off", "false", "0"};
  for (int i = 0; i < 3; i++) {
    if (!strcasecmp(v, yes[i])) return *out = true, RT_OK;
    if (!strcasecmp(v, no[i])) return *out = false, RT_OK;
  }
  return rt_fail(rt, RT_ERROR, "configuration: %s is \"%.40s\", expected true or false", key, v);
}

RtStatus dw_config_number(Rt *rt, const DwConfig *c, const char *key, double lo, double hi,
                          double *out) {
  const char *v = dw_value(c, key);
  if (!v || !strcasecmp(v, "none")) return RT_OK;
  char *end;
  double x = strtod(v, &end);
  while (isspace((unsigned char)*end)) end++;
  if (*end || !(x >= lo && x <= hi))
    return rt_fail(rt, RT_ERROR, "configuration: %s is \"%.40s\", expected a number from %g to %g",
                   key, v, lo, hi);
  *out = x;
  return RT_OK;
}

bool url_split(const char *url, bool *https, Buf *host) {
  if (!strncasecmp(url, "https://", 8)) *https = true, url += 8;
  else if (!strncasecmp(url, "http://", 7)) *https = false, url += 7;
  else return false;
  size_t n = strcspn(url, "/?#");
  if (memchr(url, '@', n) || !n) return false; /* names and passwords in URLs */
  size_t end;
  if (url[0] == '[') {
    end = strcspn(url, "]") + 1;
    if (end > n) return false;
  } else {
    end = strcspn(url, ":/?#");
  }
  for (size_t i = 0; i < end; i++) {
    char ch = (char)tolower((unsigned char)url[i]);
    if (!isalnum((unsigned char)ch) && !strchr("-.[]:_", ch)) return false;
    buf_bytes(host, &ch, 1);
  }
  return end > 0 && !host->failed;
}

bool host_is_loopback(const char *host) {
  if (!strcmp(host, "localhost") || !strcmp(host, "[::1]")) return true;
  int dots = 0;
  for (const char *p = host; *p; p++) {
    if (*p == '.') dots++;
    else if (!isdigit((unsigned char)*p)) return false;
  }
  return dots == 3 && !strncmp(host, "127.", 4);
}

static RtStatus check_endpoint(Rt *rt, const char *url) {
  bool https;
  Buf host = {0};
  bool good = url_split(url, &https, &host);
  bool loopback = good && host_is_loopback(host.data);
  buf_free(&host);
  if (!good) return rt_fail(rt, RT_ERROR, "configuration: the endpoint is no https:// address");
  if (https || loopback) return RT_OK;
  rt_fail(rt, RT_ERROR, "configuration: the endpoint is plain http, which would show the token");
  rt_help(rt, "use https:// (plain http is only for 127.0.0.1 and localhost)");
  return RT_ERROR;
}

RtStatus dw_config_check(Rt *rt, const DwConfig *c) {
  const DwOption *token = dw_option(c, "token");
  if (!token) {
    rt_fail(rt, RT_ERROR, "no D-Wave token is configured");
    rt_help(rt, "set DWAVE_API_TOKEN, or `token = ...` in ~/.config/dwave/dwave.conf");
    return RT_ERROR;
  }
  for (const char *p = token->value; *p; p++)
    if (*p <= ' ' || *p > '~')
      return rt_fail(rt, RT_ERROR, "configuration: the token has blanks or control characters");
  static const char *const careful[] = {"endpoint",    "region",         "proxy",
                                        "headers",     "permissive_ssl", "metadata_api_endpoint",
                                        "client_cert", "client_cert_key"};
  static const char *const source[] = {"the working directory's dwave.conf",
                                       "the script or a file it names", "the user's configuration"};
  for (size_t i = 0; i < sizeof careful / sizeof *careful; i++) {
    const DwOption *o = dw_option(c, careful[i]);
    if (o && o->trust < token->trust) {
      rt_fail(rt, RT_ERROR, "the token of %s is not sent by way of `%s` from %s",
              source[token->trust], careful[i], source[o->trust]);
      rt_help(rt, "give %s and token in the same place", careful[i]);
      return RT_ERROR;
    }
  }
  const char *endpoint = dw_value(c, "endpoint");
  return endpoint ? check_endpoint(rt, endpoint) : RT_OK;
}

/* ---- identities ------------------------------------------------------------------- */

static int hex_digit(char ch) {
  return ch >= '0' && ch <= '9'   ? ch - '0'
         : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
         : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                  : -1;
}

static void unquote(const char *s, size_t n, Buf *out) {
  out->len = 0;
  for (size_t i = 0; i < n; i++) {
    char ch = s[i];
    if (ch == '%' && i + 2 < n && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
      ch = (char)(16 * hex_digit(s[i + 1]) + hex_digit(s[i + 2]));
      i += 2;
    }
    buf_bytes(out, &ch, 1);
  }
  buf_bytes(out, "", 1);
}

RtStatus dw_identity_parse(Rt *rt, const char *text, cJSON **out) {
  cJSON *id = cJSON_CreateObject(), *version = NULL;
  Buf part = {0}, key = {0};
  RtStatus s = id ? RT_OK : rt_fail(rt, RT_MEMORY, "out of memory");
  while (isspace((unsigned char)*text)) text++;
  for (const char *p = text; !s;) {
    size_t n = strcspn(p, ";");
    const char *eq = memchr(p, '=', n);
    if (p == text) {
      unquote(p, n, &part);
      if (n) cJSON_AddStringToObject(id, "name", part.data);
      else s = rt_fail(rt, RT_ERROR, "a solver's name must not be empty");
    } else if (!eq) {
      s = rt_fail(rt, RT_ERROR, "solver \"%.80s\": expected name;graph_id=...", text);
    } else {
      if (!version) version = cJSON_AddObjectToObject(id, "version");
      unquote(p, (size_t)(eq - p), &key);
      unquote(eq + 1, n - (size_t)(eq - p) - 1, &part);
      if (version && !key.failed && !part.failed)
        cJSON_AddStringToObject(version, key.data, part.data);
    }
    if (!p[n]) break;
    p += n + 1;
  }
  if (part.failed || key.failed) s = rt_fail(rt, RT_MEMORY, "out of memory");
  buf_free(&part);
  buf_free(&key);
  if (s) cJSON_Delete(id);
  else *out = id;
  return s;
}

void url_part(Buf *out, const char *s) {
  for (; *s; s++) {
    if (isalnum((unsigned char)*s) || strchr("-._~", *s)) buf_bytes(out, s, 1);
    else buf_format(out, "%%%02X", (unsigned)(unsigned char)*s);
  }
}

RtStatus dw_identity_text(Rt *rt, const cJSON *identity, Buf *out) {
  const char *name = js_text(identity, "name");
  if (!name || !*name) return rt_fail(rt, RT_ERROR, "a solver's name must not be empty");
  url_part(out, name);
  const cJSON *version = js_get(identity, "version");
  for (const cJSON *v = version ? version->child : NULL; v; v = v->next) {
    if (!cJSON_IsString(v) || !v->string) continue;
    buf_text(out, ";");
    url_part(out, v->string);
    buf_text(out, "=");
    url_part(out, v->valuestring);
  }
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

void dw_redact(Buf *text, const char *secret) {
  if (!text->data) return;
  Buf out = {0};
  size_t len = secret ? strlen(secret) : 0;
  for (const char *p = text->data; *p;) {
    size_t n = len && !strncmp(p, secret, len) ? len : 0;
    if (!n && (p == text->data || !isalnum((unsigned char)p[-1]))) n = token_length(p, strlen(p));
    if (n) buf_text(&out, "***");
    else buf_bytes(&out, p, 1);
    p += n ? n : 1;
  }
  buf_bytes(&out, "", 0);
  buf_free(text);
  *text = out;
}
