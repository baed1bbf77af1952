/* record.c: run records as lines of JSON and back.
 *
 * Writing goes straight into a buffer, because cJSON would round 64-bit
 * integers and print floats with fewer digits; reading uses cJSON, whose
 * numbers are exact for what is written here.
 */
#include "runtime/run/record.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const run_event_name[RUN_EVENT_COUNT] = {"start", "done", "fail", "keep"};

static const char *const type_name[] = {"f64", "i64", "bool", "text", "tensor"};
static const char line_end[] = ",\"end\":1}";

/* ---- writing ------------------------------------------------------------- */

void json_string(Buf *b, const char *s) {
  if (!s) {
    buf_text(b, "null");
    return;
  }
  buf_text(b, "\"");
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      buf_format(b, "\\%c", c);
    else if (c == '\n')
      buf_text(b, "\\n");
    else if (c == '\t')
      buf_text(b, "\\t");
    else if (c < 0x20 || c == 0x7f)
      buf_format(b, "\\u%04x", c);
    else
      buf_bytes(b, s, 1);
  }
  buf_text(b, "\"");
}

void json_double(Buf *b, double x) {
  if (isnan(x))
    buf_text(b, "\"nan\"");
  else if (isinf(x))
    buf_text(b, x > 0 ? "\"inf\"" : "\"-inf\"");
  else
    buf_format(b, "%.17g", x);
}

static void json_key(Buf *b, const char *name) {
  buf_text(b, ",");
  json_string(b, name);
  buf_text(b, ":");
}

static void json_field(Buf *b, const char *name, const char *text) {
  if (!text) return;
  json_key(b, name);
  json_string(b, text);
}

static void json_doubles(Buf *b, const double *x, int64_t n) {
  buf_text(b, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i) buf_text(b, ",");
    json_double(b, x[i]);
  }
  buf_text(b, "]");
}

static void write_settings(const RunRecord *r, Buf *b) {
  buf_text(b, ",\"settings\":[");
  for (int i = 0; i < r->n_settings; i++) {
    const RunSetting *s = &r->settings[i];
    buf_format(b, "%s{\"name\":", i ? "," : "");
    json_string(b, s->name);
    json_field(b, "label", s->label);
    json_field(b, "hash", s->hash);
    if (s->repeat) buf_text(b, ",\"repeat\":true");
    if (s->numeric) {
      json_key(b, "value");
      json_double(b, s->number);
    }
    buf_text(b, "}");
  }
  buf_text(b, "]");
}

static void write_tensor(const RunColumn *c, Buf *b) {
  int64_t size = 1;
  buf_text(b, "{\"shape\":[");
  for (int i = 0; i < c->rank; i++) {
    buf_format(b, "%s%" PRId64, i ? "," : "", c->shape[i]);
    size *= c->shape[i];
  }
  buf_text(b, "],\"values\":");
  json_doubles(b, c->values, size);
  buf_text(b, "}");
}

static void write_columns(const RunRecord *r, Buf *b) {
  buf_text(b, ",\"columns\":{");
  for (int i = 0; i < r->n_columns; i++) {
    const RunColumn *c = &r->columns[i];
    if (i) buf_text(b, ",");
    json_string(b, c->name);
    buf_text(b, ":");
    switch (c->type) {
    case COL_F64: json_double(b, c->f); break;
    case COL_I64: buf_format(b, "\"%" PRId64 "\"", c->i); break;
    case COL_BOOL: buf_text(b, c->i ? "true" : "false"); break;
    case COL_TEXT: json_string(b, c->text); break;
    case COL_TENSOR: write_tensor(c, b); break;
    }
  }
  buf_text(b, "},\"types\":{");
  for (int i = 0; i < r->n_columns; i++) {
    if (i) buf_text(b, ",");
    json_string(b, r->columns[i].name);
    buf_format(b, ":\"%s\"", type_name[r->columns[i].type]);
  }
  buf_text(b, "}");
}

static void write_curves(const RunRecord *r, Buf *b) {
  buf_text(b, ",\"curves\":{");
  for (int i = 0; i < r->n_curves; i++) {
    if (i) buf_text(b, ",");
    json_string(b, r->curves[i].name);
    buf_text(b, ":");
    json_doubles(b, r->curves[i].values, r->curves[i].n);
  }
  buf_text(b, "},\"artifacts\":{");
  for (int i = 0; i < r->n_artifacts; i++) {
    if (i) buf_text(b, ",");
    json_string(b, r->artifacts[i].name);
    buf_text(b, ":");
    json_string(b, r->artifacts[i].path);
  }
  buf_text(b, "}");
}

static void write_parts(const RunKeyParts *p, Buf *b) {
  buf_format(b, ",\"seed\":\"%" PRId64 "\"", p->seed);
  if (!p->code[0]) return;
  json_field(b, "code", p->code);
  json_field(b, "settings_hash", p->settings);
  json_field(b, "repeat_hash", p->repeat);
  json_field(b, "data", p->data);
  json_field(b, "parts", p->parts);
  json_field(b, "version", p->version);
}

static void write_machine(const RunMachine *m, Buf *b) {
  json_key(b, "wall");
  json_double(b, m->wall);
  json_key(b, "cpu");
  json_double(b, m->cpu);
  buf_format(b, ",\"rss\":%" PRId64 ",\"pid\":%d,\"threads\":%d", m->rss, m->pid, m->threads);
  json_field(b, "started", m->started);
  json_field(b, "host", m->host);
  json_field(b, "cpu_model", m->cpu_model);
  json_field(b, "kernel", m->kernel);
  json_field(b, "commit", m->commit);
}

void record_write(const RunRecord *r, Buf *b) {
  buf_format(b, "{\"event\":\"%s\",\"key\":\"%s\"", run_event_name[r->event], r->key);
  json_field(b, "experiment", r->experiment);
  json_field(b, "name", r->name);
  write_settings(r, b);
  write_parts(&r->parts, b);
  if (r->event == RUN_DONE) {
    write_columns(r, b);
    write_curves(r, b);
  }
  if (r->event == RUN_KEEP) buf_format(b, ",\"bytes\":%" PRId64, r->bytes);
  write_machine(&r->machine, b);
  json_field(b, "command", r->command);
  json_field(b, "error", r->error);
  buf_text(b, line_end);
  buf_text(b, "\n");
}

/* ---- reading ------------------------------------------------------------- */

bool record_peek(const char *line, size_t n, RunEvent *event, char key[RUN_KEY_SIZE]) {
  static const char head[] = "{\"event\":\"";
  size_t tail = sizeof line_end - 1;
  while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
  if (n < 100 || memcmp(line, head, sizeof head - 1) != 0) return false;
  if (memcmp(line + n - tail, line_end, tail) != 0) return false;
  const char *p = line + sizeof head - 1;
  for (int e = 0; e < RUN_EVENT_COUNT; e++) {
    size_t len = strlen(run_event_name[e]);
    if (memcmp(p, run_event_name[e], len) != 0 || p[len] != '"') continue;
    static const char mid[] = ",\"key\":\"";
    p += len + 1;
    if (memcmp(p, mid, sizeof mid - 1) != 0) return false;
    p += sizeof mid - 1;
    if (strspn(p, "0123456789abcdef") != 64) return false;
    *event = (RunEvent)e;
    memcpy(key, p, 64);
    key[64] = 0;
    return true;
  }
  return false;
}

typedef struct { Arena *arena; bool failed; } Reader;

static const char *read_text(Reader *in, const cJSON *object, const char *name) {
  const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);
  if (!cJSON_IsString(v)) return NULL;
  const char *s = arena_text(in->arena, v->valuestring, strlen(v->valuestring));
  if (!s) in->failed = true;
  return s;
}

static double read_number(const cJSON *v) {
  if (cJSON_IsNumber(v)) return v->valuedouble;
  if (!cJSON_IsString(v)) return NAN;
  if (strcmp(v->valuestring, "inf") == 0) return INFINITY;
  if (strcmp(v->valuestring, "-inf") == 0) return -INFINITY;
  return NAN;
}

static int64_t read_int(const cJSON *v) {
  if (cJSON_IsString(v)) return strtoll(v->valuestring, NULL, 10);
  return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : 0;
}

static void *read_array(Reader *in, int n, size_t size) {
  void *p = arena_alloc(in->arena, (size_t)(n ? n : 1) * size);
  if (!p) in->failed = true;
  return p;
}

static double *read_doubles(Reader *in, const cJSON *list, int64_t *n) {
  *n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
  double *x = read_array(in, (int)*n, sizeof *x);
  if (!x) return NULL;
  int64_t i = 0;
  const cJSON *v;
  cJSON_ArrayForEach(v, list) {
    if (i < *n) x[i++] = read_number(v);
  }
  return x;
}

static const char *read_name(Reader *in, const cJSON *v) {
  const char *s = arena_text(in->arena, v->string, strlen(v->string));
  if (!s) in->failed = true;
  return s;
}

static void read_hash(Reader *in, const cJSON *o, const char *name, char out[RUN_KEY_SIZE]) {
  const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
  out[0] = 0;
  if (cJSON_IsString(v) && strlen(v->valuestring) == 64) memcpy(out, v->valuestring, 65);
}

static void read_settings(Reader *in, const cJSON *list, RunRecord *r) {
  r->n_settings = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
  r->settings = read_array(in, r->n_settings, sizeof *r->settings);
  if (!r->settings) return;
  int i = 0;
  const cJSON *o;
  cJSON_ArrayForEach(o, list) {
    RunSetting *s = &r->settings[i++];
    s->name = read_text(in, o, "name");
    s->label = read_text(in, o, "label");
    read_hash(in, o, "hash", s->hash);
    s->repeat = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "repeat"));
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "value");
    s->numeric = v != NULL;
    s->number = v ? read_number(v) : NAN;
    if (!s->name || !s->label) in->failed = true;
  }
}

static void read_tensor(Reader *in, const cJSON *v, RunColumn *c) {
  const cJSON *shape = cJSON_GetObjectItemCaseSensitive(v, "shape");
  int64_t n, want = 1;
  double *dims = read_doubles(in, shape, &n);
  c->rank = (int)n;
  int64_t *ints = read_array(in, (int)n, sizeof *ints);
  c->values = read_doubles(in, cJSON_GetObjectItemCaseSensitive(v, "values"), &n);
  if (!ints || !dims || !c->values) return;
  for (int i = 0; i < c->rank; i++) {
    ints[i] = (int64_t)dims[i];
    want *= ints[i];
  }
  if (want != n) in->failed = true;
  c->shape = ints;
}

static void read_columns(Reader *in, const cJSON *o, const cJSON *types, RunRecord *r) {
  r->n_columns = cJSON_IsObject(o) ? cJSON_GetArraySize(o) : 0;
  r->columns = read_array(in, r->n_columns, sizeof *r->columns);
  if (!r->columns) return;
  int i = 0;
  const cJSON *v;
  cJSON_ArrayForEach(v, o) {
    RunColumn *c = &r->columns[i++];
    c->name = read_name(in, v);
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(types, v->string);
    const char *type = cJSON_IsString(t) ? t->valuestring : "";
    int k = 0;
    while (k <= COL_TENSOR && strcmp(type, type_name[k]) != 0) k++;
    if (k > COL_TENSOR) {
      in->failed = true;
      return;
    }
    c->type = (ColumnType)k;
    if (k == COL_F64) c->f = read_number(v);
    if (k == COL_I64) c->i = read_int(v);
    if (k == COL_BOOL) c->i = cJSON_IsTrue(v);
    if (k == COL_TEXT && cJSON_IsString(v))
      c->text = arena_text(in->arena, v->valuestring, strlen(v->valuestring));
    if (k == COL_TEXT && !c->text) in->failed = true;
    if (k == COL_TENSOR) read_tensor(in, v, c);
  }
}

static void read_curves(Reader *in, const cJSON *root, RunRecord *r) {
  const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, "curves"), *v;
  r->n_curves = cJSON_IsObject(o) ? cJSON_GetArraySize(o) : 0;
  r->curves = read_array(in, r->n_curves, sizeof *r->curves);
  int i = 0;
  if (r->curves) cJSON_ArrayForEach(v, o) {
    r->curves[i].name = read_name(in, v);
    r->curves[i].values = read_doubles(in, v, &r->curves[i].n);
    i++;
  }
  o = cJSON_GetObjectItemCaseSensitive(root, "artifacts");
  r->n_artifacts = cJSON_IsObject(o) ? cJSON_GetArraySize(o) : 0;
  r->artifacts = read_array(in, r->n_artifacts, sizeof *r->artifacts);
  i = 0;
  if (r->artifacts) cJSON_ArrayForEach(v, o) {
    r->artifacts[i].name = read_name(in, v);
    r->artifacts[i++].path = read_text(in, o, v->string);
  }
}

static void read_machine(Reader *in, const cJSON *root, RunMachine *m) {
  m->wall = read_number(cJSON_GetObjectItemCaseSensitive(root, "wall"));
  m->cpu = read_number(cJSON_GetObjectItemCaseSensitive(root, "cpu"));
  m->rss = read_int(cJSON_GetObjectItemCaseSensitive(root, "rss"));
  m->pid = (int)read_int(cJSON_GetObjectItemCaseSensitive(root, "pid"));
  m->threads = (int)read_int(cJSON_GetObjectItemCaseSensitive(root, "threads"));
  m->started = read_text(in, root, "started");
  m->host = read_text(in, root, "host");
  m->cpu_model = read_text(in, root, "cpu_model");
  m->kernel = read_text(in, root, "kernel");
  m->commit = read_text(in, root, "commit");
}

bool record_read(const char *line, size_t n, RunRecord *r) {
  memset(r, 0, sizeof *r);
  arena_init(&r->arena, NULL);
  if (!record_peek(line, n, &r->event, r->key)) return false;
  cJSON *root = cJSON_ParseWithLength(line, n);
  if (!root) return false;
  Reader in = {&r->arena, false};
  r->experiment = read_text(&in, root, "experiment");
  r->name = read_text(&in, root, "name");
  read_settings(&in, cJSON_GetObjectItemCaseSensitive(root, "settings"), r);
  read_columns(&in, cJSON_GetObjectItemCaseSensitive(root, "columns"),
               cJSON_GetObjectItemCaseSensitive(root, "types"), r);
  read_curves(&in, root, r);
  r->parts.seed = read_int(cJSON_GetObjectItemCaseSensitive(root, "seed"));
  read_hash(&in, root, "code", r->parts.code);
  read_hash(&in, root, "settings_hash", r->parts.settings);
  read_hash(&in, root, "repeat_hash", r->parts.repeat);
  read_hash(&in, root, "data", r->parts.data);
  r->parts.parts = read_text(&in, root, "parts");
  r->parts.version = read_text(&in, root, "version");
  read_machine(&in, root, &r->machine);
  r->command = read_text(&in, root, "command");
  r->error = read_text(&in, root, "error");
  r->bytes = read_int(cJSON_GetObjectItemCaseSensitive(root, "bytes"));
  cJSON_Delete(root);
  return !in.failed;
}

void record_free(RunRecord *r) {
  arena_free(&r->arena);
  memset(r, 0, sizeof *r);
}

/* ---- asking -------------------------------------------------------------- */

const RunColumn *record_column(const RunRecord *r, const char *name) {
  for (int i = 0; i < r->n_columns; i++)
    if (strcmp(r->columns[i].name, name) == 0) return &r->columns[i];
  return NULL;
}

const RunSetting *record_setting(const RunRecord *r, const char *name) {
  for (int i = 0; i < r->n_settings; i++)
    if (strcmp(r->settings[i].name, name) == 0) return &r->settings[i];
  return NULL;
}

void record_settings_text(const RunRecord *r, Buf *out) {
  for (int i = 0; i < r->n_settings; i++)
    buf_format(out, "%s%s=%s", i ? ", " : "", r->settings[i].name, r->settings[i].label);
  if (!r->n_settings) buf_text(out, "no settings");
}

void column_text(const RunColumn *c, Buf *out) {
  switch (c->type) {
  case COL_F64:
    if (isnan(c->f)) buf_text(out, "nan");
    else if (isinf(c->f)) buf_text(out, c->f > 0 ? "inf" : "-inf");
    else buf_format(out, "%.17g", c->f);
    break;
  case COL_I64: buf_format(out, "%" PRId64, c->i); break;
  case COL_BOOL: buf_text(out, c->i ? "true" : "false"); break;
  case COL_TEXT: buf_text(out, c->text); break;
  case COL_TENSOR: write_tensor(c, out); break;
  }
}
