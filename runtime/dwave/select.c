/* select.c: solvers by features, as the reference client's `get_solvers`.
 *
 * A feature is `path__operator`.  The path is looked for among derived
 * properties, parameters, properties and the definition itself, in this order. */
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/private.h"

static const char *const operators[] = {"lt",        "lte",      "gt",        "gte",    "eq",
                                        "available", "regex",    "covers",    "within", "in",
                                        "contains",  "issubset", "issuperset"};
enum {
  LT,
  LTE,
  GT,
  GTE,
  EQ,
  AVAILABLE,
  REGEX,
  COVERS,
  WITHIN,
  IN,
  CONTAINS,
  SUBSET,
  SUPERSET,
  NONE
};

/* What the client computes about a solver. */
static cJSON *derive(const cJSON *solver) {
  cJSON *d = cJSON_CreateObject();
  const cJSON *p = js_get(solver, "properties"), *identity = js_get(solver, "identity");
  const char *name = js_text(identity, "name"), *status = js_text(solver, "status");
  const char *category = js_text(p, "category");
  double load = 0;
  js_number(solver, "avg_load", &load);
  if (!name) name = "";
  if (!category)
    category = !strncmp(name, "hybrid", 6)   ? "hybrid"
               : !strncmp(name, "c4-sw_", 6) ? "software"
                                             : "qpu";
  bool qpu = !strcmp(category, "qpu");
  cJSON_AddStringToObject(d, "id", name);
  cJSON_AddStringToObject(d, "name", name);
  cJSON_AddBoolToObject(d, "online", status && !strcmp(status, "ONLINE"));
  cJSON_AddNumberToObject(d, "avg_load", load);
  cJSON_AddBoolToObject(d, "qpu", qpu);
  cJSON_AddBoolToObject(d, "hybrid", !strcmp(category, "hybrid"));
  cJSON_AddBoolToObject(d, "software", !strcmp(category, "software"));
  if (!qpu) return d;
  const cJSON *version = js_get(identity, "version"), *tags = js_get(p, "tags");
  const char *graph = js_text(version, "graph_id");
  bool quiet = false;
  for (const cJSON *t = tags ? tags->child : NULL; t; t = t->next)
    quiet = quiet || (cJSON_IsString(t) && !strcmp(t->valuestring, "lower_noise"));
  cJSON_AddNumberToObject(d, "num_active_qubits", cJSON_GetArraySize(js_get(p, "qubits")));
  cJSON_AddBoolToObject(d, "lower_noise", quiet);
  if (version) cJSON_AddItemToObject(d, "version", cJSON_Duplicate(version, 1));
  if (graph) cJSON_AddStringToObject(d, "graph_id", graph);
  return d;
}

/* Follows "a__b" or "a.b" into objects. */
static const cJSON *follow(const cJSON *v, const char *path, const char *sep) {
  char key[128];
  for (size_t step = strlen(sep); v;) {
    const char *end = strstr(path, sep);
    size_t n = end ? (size_t)(end - path) : strlen(path);
    if (n >= sizeof key) return NULL;
    memcpy(key, path, n);
    key[n] = 0;
    v = js_get(v, key);
    if (!end) return v;
    path = end + step;
  }
  return NULL;
}

typedef struct {
  const cJSON *value;
  int op;
} Found;

static Found resolve(const cJSON *solver, const cJSON *derived, const char *path) {
  const cJSON *p = js_get(solver, "properties"), *v;
  if ((v = follow(derived, path, "__"))) return (Found){v, EQ};
  if ((v = js_get(js_get(p, "parameters"), path))) return (Found){v, AVAILABLE};
  if ((v = follow(p, path, "__"))) return (Found){v, EQ};
  return (Found){follow(solver, path, "__"), EQ};
}

static bool range_of(const cJSON *v, double *lo, double *hi) {
  if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2 || !cJSON_IsNumber(v->child) ||
      !cJSON_IsNumber(v->child->next))
    return false;
  *lo = v->child->valuedouble;
  *hi = v->child->next->valuedouble;
  return true;
}

static bool has(const cJSON *list, const cJSON *item) {
  for (const cJSON *c = cJSON_IsArray(list) ? list->child : NULL; c; c = c->next)
    if (cJSON_Compare(c, item, 1)) return true;
  return false;
}

static bool subset(const cJSON *a, const cJSON *b) {
  if (!cJSON_IsArray(a) || !cJSON_IsArray(b)) return false;
  for (const cJSON *c = a->child; c; c = c->next)
    if (!has(b, c)) return false;
  return true;
}

/* a < b: -1, equal: 0; numbers by value, texts by version order ("1.9" < "1.13"). */
static int order(const cJSON *a, const cJSON *b) {
  if (cJSON_IsNumber(a) && cJSON_IsNumber(b))
    return a->valuedouble < b->valuedouble ? -1 : a->valuedouble > b->valuedouble;
  if (cJSON_IsString(a) && cJSON_IsString(b)) return strverscmp(a->valuestring, b->valuestring);
  if (cJSON_IsBool(a) && cJSON_IsBool(b)) return (int)cJSON_IsTrue(a) - (int)cJSON_IsTrue(b);
  return 0;
}

static bool comparable(const cJSON *a, const cJSON *b) {
  return (cJSON_IsNumber(a) && cJSON_IsNumber(b)) || (cJSON_IsString(a) && cJSON_IsString(b));
}

static RtStatus matches_regex(Rt *rt, const cJSON *v, const cJSON *want, bool *out) {
  if (!cJSON_IsString(want)) return rt_fail(rt, RT_ERROR, "a feature's regex must be a text");
  if (!cJSON_IsString(v)) return RT_OK;
  Buf whole = {0};
  regex_t re;
  buf_format(&whole, "^(%s)$", want->valuestring);
  int bad = whole.failed || regcomp(&re, whole.data, REG_EXTENDED | REG_NOSUB);
  buf_free(&whole);
  if (bad) return rt_fail(rt, RT_ERROR, "\"%.80s\" is no regular expression", want->valuestring);
  *out = regexec(&re, v->valuestring, 0, NULL, 0) == 0;
  regfree(&re);
  return RT_OK;
}

static RtStatus test_range(Rt *rt, const char *key, int op, const cJSON *v, const cJSON *want,
                           bool *out) {
  double lo, hi, a, b;
  const cJSON *range = op == COVERS ? v : want, *inner = op == COVERS ? want : v;
  if (!range_of(range, &lo, &hi))
    return rt_fail(rt, RT_ERROR, "feature %.60s: %s is no range [low, high]", key,
                   op == COVERS ? "the solver's property" : "the value");
  if (cJSON_IsNumber(inner)) a = b = inner->valuedouble;
  else if (!range_of(inner, &a, &b)) return RT_OK;
  *out = lo <= a && b <= hi;
  return RT_OK;
}

static RtStatus test(Rt *rt, const char *key, int op, const cJSON *v, const cJSON *want,
                     bool *out) {
  *out = false;
  if (op == AVAILABLE) return *out = (v != NULL) == (bool)cJSON_IsTrue(want), RT_OK;
  if (!v) return RT_OK;
  switch (op) {
  case LT: *out = comparable(v, want) && order(v, want) < 0; break;
  case LTE: *out = comparable(v, want) && order(v, want) <= 0; break;
  case GT: *out = comparable(v, want) && order(v, want) > 0; break;
  case GTE: *out = comparable(v, want) && order(v, want) >= 0; break;
  case EQ: *out = cJSON_Compare(v, want, 1); break;
  case REGEX: return matches_regex(rt, v, want, out);
  case COVERS:
  case WITHIN: return test_range(rt, key, op, v, want, out);
  case IN: *out = has(want, v); break;
  case CONTAINS: *out = has(v, want); break;
  case SUBSET: *out = subset(v, want); break;
  default: *out = subset(want, v);
  }
  return RT_OK;
}

static RtStatus feature(Rt *rt, const cJSON *solver, const cJSON *derived, const cJSON *want,
                        bool *out) {
  char path[256];
  const char *key = want->string ? want->string : "";
  if (strlen(key) >= sizeof path) return rt_fail(rt, RT_ERROR, "feature %.60s: too long", key);
  strcpy(path, key);
  int op = NONE;
  char *last = NULL;
  for (char *p = path; (p = strstr(p, "__")); p += 2) last = p;
  for (int k = 0; last && k < NONE; k++)
    if (!strcmp(last + 2, operators[k])) op = k;
  if (op != NONE) *last = 0;
  Found f = resolve(solver, derived, path);
  return test(rt, key, op == NONE ? f.op : op, f.value, want, out);
}

static RtStatus fits(Rt *rt, const cJSON *solver, const cJSON *want, bool *out) {
  cJSON *d = derive(solver);
  if (!d) return rt_fail(rt, RT_MEMORY, "out of memory");
  RtStatus s = RT_OK;
  *out = true;
  bool asked = false;
  for (const cJSON *w = want ? want->child : NULL; w && *out && !s; w = w->next) {
    if (!w->string || !strcmp(w->string, "order_by")) continue;
    asked = asked || !strncmp(w->string, "online", 6);
    s = feature(rt, solver, d, w, out);
  }
  if (!s && *out && !(want && cJSON_GetObjectItemCaseSensitive(want, "online")) && !asked)
    *out = cJSON_IsTrue(js_get(d, "online"));
  cJSON_Delete(d);
  return s;
}

/* Stable insertion by key; solvers without it last. */
static void sort_by(const cJSON *list, const char *key, int32_t *index, int64_t n) {
  const cJSON **k = calloc((size_t)n + 1, sizeof *k);
  cJSON **own = calloc((size_t)n + 1, sizeof *own);
  for (int64_t i = 0; k && own && i < n; i++) {
    const cJSON *solver = cJSON_GetArrayItem(list, index[i]);
    own[i] = derive(solver);
    k[i] = follow(own[i], key, ".");
    if (!k[i]) k[i] = follow(js_get(solver, "properties"), key, ".");
    if (!k[i]) k[i] = follow(solver, key, ".");
  }
  for (int64_t i = 1; k && own && i < n; i++) {
    const cJSON *v = k[i];
    int32_t at = index[i];
    int64_t j = i;
    for (; j && v && (!k[j - 1] || order(v, k[j - 1]) < 0); j--) {
      k[j] = k[j - 1];
      index[j] = index[j - 1];
    }
    k[j] = v;
    index[j] = at;
  }
  for (int64_t i = 0; own && i < n; i++) cJSON_Delete(own[i]);
  free(k);
  free(own);
}

RtStatus dw_select(Rt *rt, const cJSON *list, const cJSON *want, int32_t **index, int64_t *n) {
  size_t size = (size_t)cJSON_GetArraySize(list) * 4;
  int32_t *at = rt_alloc(rt, size);
  if (!at) return RT_MEMORY;
  int32_t i = 0;
  *n = 0;
  for (const cJSON *c = list->child; c; c = c->next, i++) {
    bool good = false;
    RtStatus s = fits(rt, c, want, &good);
    if (s) {
      rt_free(rt, at, size);
      return s;
    }
    if (good) at[(*n)++] = i;
  }
  const cJSON *by = want ? cJSON_GetObjectItemCaseSensitive(want, "order_by") : NULL;
  const char *key = !by ? "avg_load" : cJSON_IsString(by) ? by->valuestring : "";
  bool back = *key == '-';
  key += back;
  if (*key) sort_by(list, key, at, *n);
  for (int64_t k = 0; back && k < *n / 2; k++) {
    int32_t t = at[k];
    at[k] = at[*n - 1 - k];
    at[*n - 1 - k] = t;
  }
  *index = at;
  return RT_OK;
}
