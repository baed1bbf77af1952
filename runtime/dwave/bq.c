/* bq.c: answers of hybrid solvers: dimod's SampleSet written as JSON.
 *
 * Packed samples are rows of 32-bit words, variable i in bit i mod 32 counted
 * from the least significant one (the opposite of "qp").                     */
#include <math.h>
#include <string.h>

#include "runtime/dwave/codec.h"

static bool count_member(const cJSON *o, const char *key, int64_t *out) {
  double x;
  if (!js_number(o, key, &x) || x < 0 || x > 1 << 28 || x != floor(x)) return false;
  *out = (int64_t)x;
  return true;
}

/* A number or a truth value. */
static bool scalar(const cJSON *v, double *out) {
  if (cJSON_IsBool(v)) *out = cJSON_IsTrue(v);
  else if (cJSON_IsNumber(v)) *out = v->valuedouble;
  else return false;
  return true;
}

/* The row's numbers: exactly n. */
static bool row_numbers(const cJSON *row, int64_t n, double *out) {
  if (!cJSON_IsArray(row)) return false;
  int64_t i = 0;
  for (const cJSON *c = row->child; c; c = c->next, i++)
    if (i >= n || !scalar(c, out + i) || !isfinite(out[i])) return false;
  return i == n;
}

static bool unpack_row(const cJSON *row, int64_t n, bool spin, double *out) {
  if (!cJSON_IsArray(row)) return false;
  int64_t words = (n + 31) / 32, w = 0;
  for (const cJSON *c = row->child; c; c = c->next, w++) {
    if (w >= words || !cJSON_IsNumber(c)) return false;
    double x = c->valuedouble;
    if (!(x >= 0 && x <= UINT32_MAX) || x != floor(x)) return false;
    uint32_t bits = (uint32_t)x;
    for (int64_t i = 32 * w; i < n && i < 32 * w + 32; i++)
      out[i] = bits >> (i & 31) & 1 ? 1 : spin ? -1 : 0;
  }
  return w == words;
}

static const cJSON *array_data(const cJSON *array) {
  const cJSON *d = js_get(array, "data");
  return cJSON_IsArray(d) && !cJSON_IsTrue(js_get(array, "use_bytes")) ? d : NULL;
}

static RtStatus samples(Rt *rt, const cJSON *data, BqAnswer *a) {
  const cJSON *rows = array_data(js_get(data, "sample_data"));
  bool packed = cJSON_IsTrue(js_get(data, "sample_packed")), spin = !strcmp(a->vartype, "SPIN");
  if (packed && !spin && strcmp(a->vartype, "BINARY"))
    return rt_fail(rt, RT_BACKEND, "answer: packed samples of %s variables", a->vartype);
  if (!rows) return rt_fail(rt, RT_BACKEND, "answer: no sample_data");
  int64_t r = 0;
  for (const cJSON *c = rows->child; c; c = c->next, r++) {
    if (r >= a->rows) break;
    bool good = packed ? unpack_row(c, a->n, spin, a->value + r * a->n)
                       : row_numbers(c, a->n, a->value + r * a->n);
    if (!good)
      return rt_fail(rt, RT_BACKEND, "answer: sample %lld has not %lld values", (long long)r,
                     (long long)a->n);
  }
  /* a set without variables may leave its empty rows out */
  if (r != a->rows && !(a->n == 0 && r == 0))
    return rt_fail(rt, RT_BACKEND, "answer: the samples are not the %lld announced",
                   (long long)a->rows);
  return RT_OK;
}

static RtStatus vectors(Rt *rt, const cJSON *data, BqAnswer *a) {
  const cJSON *v = js_get(data, "vectors");
  if (!row_numbers(array_data(js_get(v, "energy")), a->rows, a->energy))
    return rt_fail(rt, RT_BACKEND, "answer: not %lld finite energies", (long long)a->rows);
  const cJSON *counts = js_get(v, "num_occurrences");
  double *x = rt_alloc(rt, (size_t)a->rows * 8);
  if (!x) return RT_MEMORY;
  bool good = !counts || row_numbers(array_data(counts), a->rows, x);
  for (int64_t r = 0; good && r < a->rows; r++) {
    if (!counts) x[r] = 1;
    good = x[r] >= 1 && x[r] <= INT32_MAX && x[r] == floor(x[r]);
    if (good) a->count[r] = (int64_t)x[r];
  }
  rt_free(rt, x, (size_t)a->rows * 8);
  if (!good) return rt_fail(rt, RT_BACKEND, "answer: not %lld num_occurrences", (long long)a->rows);
  if (!(a->extra = cJSON_CreateObject())) return rt_fail(rt, RT_MEMORY, "out of memory");
  for (const cJSON *c = v->child; c; c = c->next) {
    if (!c->string || !strcmp(c->string, "energy") || !strcmp(c->string, "num_occurrences"))
      continue;
    const cJSON *d = array_data(c);
    if (!d) return rt_fail(rt, RT_BACKEND, "answer: vector %.40s has no data", c->string);
    cJSON_AddItemToObject(a->extra, c->string, cJSON_Duplicate(d, 1));
  }
  return RT_OK;
}

static RtStatus header(Rt *rt, const cJSON *data, BqAnswer *a) {
  const char *type = js_text(data, "type"), *vt = js_text(data, "variable_type");
  const char *schema = js_text(js_get(data, "version"), "sampleset_schema");
  if (!type || strcmp(type, "SampleSet") || !schema || strncmp(schema, "3.", 2))
    return rt_fail(rt, RT_BACKEND, "answer: expected a SampleSet of schema 3, found %.20s %.20s",
                   type ? type : "nothing", schema ? schema : "");
  if (!vt || strlen(vt) >= sizeof a->vartype)
    return rt_fail(rt, RT_BACKEND, "answer: no variable_type");
  strcpy(a->vartype, vt);
  int64_t n, rows;
  if (!count_member(data, "num_variables", &n) || !count_member(data, "num_rows", &rows) ||
      (double)n * (double)rows > 1e9)
    return rt_fail(rt, RT_BACKEND, "answer: num_variables or num_rows is missing or too large");
  const cJSON *labels = js_get(data, "variable_labels");
  if (!cJSON_IsArray(labels) || cJSON_GetArraySize(labels) != n)
    return rt_fail(rt, RT_BACKEND, "answer: not %lld variable_labels", (long long)n);
  /* the announced sizes must be there before memory is taken for them */
  const cJSON *list = array_data(js_get(data, "sample_data"));
  if (n && cJSON_GetArraySize(list) != rows)
    return rt_fail(rt, RT_BACKEND, "answer: not %lld samples", (long long)rows);
  a->n = n, a->rows = rows;
  a->value = rt_alloc0(rt, (size_t)(n * rows) * 8);
  a->energy = rt_alloc0(rt, (size_t)rows * 8);
  a->count = rt_alloc0(rt, (size_t)rows * 8);
  if (!a->value || !a->energy || !a->count) return RT_MEMORY;
  a->labels = cJSON_Duplicate(labels, 1);
  const cJSON *info = js_get(data, "info");
  a->info = cJSON_IsObject(info) ? cJSON_Duplicate(info, 1) : cJSON_CreateObject();
  return a->labels && a->info ? RT_OK : rt_fail(rt, RT_MEMORY, "out of memory");
}

RtStatus bq_decode(Rt *rt, const cJSON *data, BqAnswer *out) {
  *out = (BqAnswer){0};
  RtStatus s = header(rt, data, out);
  if (!s) s = samples(rt, data, out);
  if (!s) s = vectors(rt, data, out);
  if (s) bq_free(rt, out);
  return s;
}

void bq_free(Rt *rt, BqAnswer *a) {
  rt_free(rt, a->value, (size_t)(a->n * a->rows) * 8);
  rt_free(rt, a->energy, (size_t)a->rows * 8);
  rt_free(rt, a->count, (size_t)a->rows * 8);
  cJSON_Delete(a->labels);
  cJSON_Delete(a->info);
  cJSON_Delete(a->extra);
  *a = (BqAnswer){0};
}

/* ---- writing -------------------------------------------------------------------- */

static void array_end(Buf *out, const char *type, int64_t rows, int64_t cols) {
  buf_format(out, "],\"data_type\":\"%s\",\"shape\":[%lld", type, (long long)rows);
  if (cols >= 0) buf_format(out, ",%lld", (long long)cols);
  buf_text(out, "],\"use_bytes\":false}");
}

static void packed_rows(Buf *out, const BqAnswer *a) {
  int64_t words = (a->n + 31) / 32;
  buf_text(out, "{\"type\":\"array\",\"data\":[");
  for (int64_t r = 0; r < a->rows; r++) {
    buf_text(out, r ? ",[" : "[");
    for (int64_t w = 0; w < words; w++) {
      uint32_t bits = 0;
      for (int64_t i = 32 * w; i < a->n && i < 32 * w + 32; i++)
        if (a->value[r * a->n + i] > 0) bits |= (uint32_t)1 << (i & 31);
      buf_format(out, w ? ",%u" : "%u", bits);
    }
    buf_text(out, "]");
  }
  array_end(out, "uint32", a->rows, words);
}

RtStatus bq_encode(Rt *rt, const BqAnswer *a, Buf *out) {
  if (strcmp(a->vartype, "SPIN") && strcmp(a->vartype, "BINARY"))
    return rt_fail(rt, RT_ERROR, "bq: only SPIN and BINARY sets are written, not %s", a->vartype);
  buf_format(out,
             "{\"format\":\"bq\",\"data\":{\"type\":\"SampleSet\",\"version\":"
             "{\"sampleset_schema\":\"3.1.0\"},\"num_variables\":%lld,\"num_rows\":%lld,"
             "\"sample_data\":",
             (long long)a->n, (long long)a->rows);
  packed_rows(out, a);
  buf_text(out, ",\"sample_type\":\"int8\",\"sample_packed\":true,\"vectors\":{\"energy\":"
                "{\"type\":\"array\",\"data\":[");
  for (int64_t r = 0; r < a->rows; r++) {
    if (r) buf_text(out, ",");
    js_real(out, a->energy[r]);
  }
  array_end(out, "float64", a->rows, -1);
  buf_text(out, ",\"num_occurrences\":{\"type\":\"array\",\"data\":[");
  for (int64_t r = 0; r < a->rows; r++)
    buf_format(out, r ? ",%lld" : "%lld", (long long)a->count[r]);
  array_end(out, "int64", a->rows, -1);
  buf_text(out, "},\"variable_labels\":");
  if (a->labels) {
    js_write(out, a->labels, false);
  } else {
    buf_text(out, "[");
    for (int64_t i = 0; i < a->n; i++) buf_format(out, i ? ",%lld" : "%lld", (long long)i);
    buf_text(out, "]");
  }
  buf_format(out, ",\"variable_type\":\"%s\",\"info\":", a->vartype);
  if (a->info) js_write(out, a->info, false);
  else buf_text(out, "{}");
  buf_text(out, "}}");
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}
