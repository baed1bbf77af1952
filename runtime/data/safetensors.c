/* safetensors.c: named tensors in one file: 8 bytes of header length, a JSON
 * header {"name": {"dtype", "shape", "data_offsets"}}, the bytes.
 *
 * The header comes from anywhere, so nothing in it is believed: offsets must
 * be whole, in order, inside the file and of the size that dtype and shape
 * ask for; bytes may neither overlap nor be left over.                       */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "runtime/data/data.h"
#include "runtime/data/scalars.h"

static const struct {
  const char *name;
  ScalarType type;
} st_types[] = {
    {"BOOL", SC_BOOL}, {"U8", SC_U8},   {"I8", SC_I8},   {"U16", SC_U16}, {"I16", SC_I16},
    {"U32", SC_U32},   {"I32", SC_I32}, {"U64", SC_U64}, {"I64", SC_I64}, {"F16", SC_F16},
    {"BF16", SC_BF16}, {"F32", SC_F32}, {"F64", SC_F64}, {"C64", SC_C64},
};
enum { MANY = 65536 };
#define NOTE "qa.complex." /* metadata: NOTE + name -> "c128" */

RtStatus tensors_add(Rt *rt, Tensors *ts, const char *name, Tensor *t) {
  if (ts->n == ts->cap) {
    int cap = ts->cap ? 2 * ts->cap : 16;
    NamedTensor *items = realloc(ts->items, sizeof *items * (size_t)cap);
    if (!items) return rt_fail(rt, RT_MEMORY, "out of memory");
    ts->items = items;
    ts->cap = cap;
  }
  char *copy = strdup(name);
  if (!copy) return rt_fail(rt, RT_MEMORY, "out of memory");
  ts->items[ts->n++] = (NamedTensor){copy, tensor_ref(t)};
  return RT_OK;
}

void tensors_free(Rt *rt, Tensors *ts) {
  for (int i = 0; i < ts->n; i++) {
    free(ts->items[i].name);
    tensor_unref(rt, ts->items[i].tensor);
  }
  free(ts->items);
  free(ts->metadata);
  *ts = (Tensors){0};
}

Tensor *tensors_find(const Tensors *ts, const char *name) {
  for (int i = 0; i < ts->n; i++)
    if (!strcmp(ts->items[i].name, name)) return ts->items[i].tensor;
  return NULL;
}

/* ---- reading ------------------------------------------------------------------ */

typedef struct {
  Rt *rt;
  const char *file, *data;
  size_t bytes; /* of the part behind the header */
  const cJSON *metadata;
  Tensors *out;
  uint64_t end; /* of the tensor before */
} StReader;

static RtStatus st_fail(StReader *r, const char *tensor, const char *what) {
  return rt_fail(r->rt, RT_ERROR, "\"%s\" is not a readable SafeTensors file: \"%.60s\" %s",
                 r->file, tensor, what);
}

static bool whole(const cJSON *v, uint64_t *out) {
  if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= 0x1p53)) return false;
  *out = (uint64_t)v->valuedouble;
  return (double)*out == v->valuedouble;
}

static RtStatus st_shape(StReader *r, const cJSON *item, const char *name, int *rank,
                         int64_t *shape, uint64_t *total) {
  const cJSON *v, *dims = cJSON_GetObjectItemCaseSensitive(item, "shape");
  if (!cJSON_IsArray(dims)) return st_fail(r, name, "has no shape");
  *rank = 0;
  cJSON_ArrayForEach(v, dims) {
    uint64_t n;
    if (*rank == TENSOR_MAX_RANK) return st_fail(r, name, "has more than 16 axes");
    if (!whole(v, &n) || __builtin_mul_overflow(*total, n, total))
      return st_fail(r, name, "has an impossible shape");
    shape[(*rank)++] = (int64_t)n;
  }
  return RT_OK;
}

/* Two reals on the last axis back to one complex number. */
static Tensor *join_complex(Rt *rt, Tensor *t) {
  Tensor *z = tensor_new(rt, DT_C128, t->rank - 1, t->shape);
  if (z && z->size) memcpy(z->data, t->data, (size_t)z->size * sizeof(c128));
  return z;
}

static bool noted_complex(const cJSON *metadata, const char *name) {
  const cJSON *note;
  cJSON_ArrayForEach(note, metadata) {
    if (!strncmp(note->string, NOTE, strlen(NOTE)) && !strcmp(note->string + strlen(NOTE), name))
      return true;
  }
  return false;
}

static RtStatus st_tensor(StReader *r, const cJSON *item) {
  const char *name = item->string;
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
  const cJSON *span = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
  uint64_t from, to;
  int type = -1, rank = 0;
  int64_t shape[TENSOR_MAX_RANK];
  if (!cJSON_IsString(dtype)) return st_fail(r, name, "has no dtype");
  for (size_t i = 0; i < sizeof st_types / sizeof *st_types; i++)
    if (!strcmp(dtype->valuestring, st_types[i].name)) type = (int)st_types[i].type;
  if (type < 0) return st_fail(r, name, "has a dtype that no tensor can hold");
  if (cJSON_GetArraySize(span) != 2 || !whole(cJSON_GetArrayItem(span, 0), &from) ||
      !whole(cJSON_GetArrayItem(span, 1), &to) || from > to || to > r->bytes)
    return st_fail(r, name, "has offsets outside the file");
  uint64_t total = scalar_size[type];
  RT_TRY(st_shape(r, item, name, &rank, shape, &total));
  if (total != to - from) return st_fail(r, name, "has another size than its shape asks for");
  if (tensors_find(r->out, name)) return st_fail(r, name, "occurs twice");
  Tensor *t = scalars_decode(r->rt, (ScalarType)type, false, r->data + from, rank, shape, r->file);
  if (!t) return r->rt->error.status;
  if (type == SC_F64 && rank > 0 && shape[rank - 1] == 2 && noted_complex(r->metadata, name)) {
    Tensor *z = join_complex(r->rt, t);
    tensor_unref(r->rt, t);
    if (!(t = z)) return r->rt->error.status;
  }
  RtStatus st = tensors_add(r->rt, r->out, name, t);
  tensor_unref(r->rt, t);
  r->end += to - from;
  return st;
}

/* Bytes covered twice would let a small file claim unbounded tensors. */
typedef struct {
  uint64_t from, to;
} StSpan;
static int by_start(const void *a, const void *b) {
  const StSpan *x = a, *y = b;
  return x->from != y->from ? (x->from > y->from) - (x->from < y->from)
                            : (x->to > y->to) - (x->to < y->to);
}

static RtStatus st_disjoint(StReader *r, const cJSON *header) {
  const cJSON *item;
  size_t n = 0, cap = (size_t)cJSON_GetArraySize(header);
  StSpan *spans = calloc(cap + 1, sizeof *spans);
  if (!spans) return rt_fail(r->rt, RT_MEMORY, "out of memory");
  cJSON_ArrayForEach(item, header) {
    const cJSON *span = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    if (!strcmp(item->string, "__metadata__")) continue;
    StSpan *s = &spans[n++];
    if (!whole(cJSON_GetArrayItem(span, 0), &s->from) ||
        !whole(cJSON_GetArrayItem(span, 1), &s->to))
      n--;
  }
  qsort(spans, n, sizeof *spans, by_start);
  uint64_t at = 0;
  bool bad = false;
  for (size_t i = 0; i < n && !bad; i++) {
    bad = spans[i].from != at || spans[i].to < at;
    at = spans[i].to;
  }
  bad = bad || at != r->bytes;
  free(spans);
  if (!bad) return RT_OK;
  return rt_fail(
      r->rt, RT_ERROR,
      "\"%s\" is not a readable SafeTensors file: its tensors overlap or leave bytes over",
      r->file);
}

RtStatus safetensors_decode(Rt *rt, const void *p, size_t n, const char *name, Tensors *out) {
  StReader r = {.rt = rt, .file = name, .out = out};
  const unsigned char *u = p;
  uint64_t len = 0;
  *out = (Tensors){0};
  for (int i = 0; i < 8 && n >= 8; i++) len |= (uint64_t)u[i] << 8 * i;
  if (n < 8 || len > n - 8 || len < 2 || len > 100000000)
    return rt_fail(rt, RT_ERROR, "\"%s\" is not a SafeTensors file: its header does not fit", name);
  r.data = (const char *)p + 8 + len;
  r.bytes = n - 8 - (size_t)len;
  const char *stop = NULL;
  cJSON *header = cJSON_ParseWithLengthOpts((const char *)p + 8, (size_t)len, &stop, false);
  if (!cJSON_IsObject(header)) {
    cJSON_Delete(header);
    return rt_fail(rt, RT_ERROR, "\"%s\" is not a SafeTensors file: its header is no JSON object",
                   name);
  }
  r.metadata = cJSON_GetObjectItemCaseSensitive(header, "__metadata__");
  if (!cJSON_IsObject(r.metadata)) r.metadata = NULL;
  RtStatus st = RT_OK;
  if (cJSON_GetArraySize(header) > MANY)
    st = rt_fail(rt, RT_ERROR, "\"%s\" holds more than %d tensors", name, MANY);
  if (!st) st = st_disjoint(&r, header);
  const cJSON *item;
  cJSON_ArrayForEach(item, header) {
    if (st || !strcmp(item->string, "__metadata__")) continue;
    st = st_tensor(&r, item);
    if (!st) st = rt_poll(rt);
  }
  if (!st && r.metadata && !(out->metadata = cJSON_PrintUnformatted(r.metadata)))
    st = rt_fail(rt, RT_MEMORY, "out of memory");
  cJSON_Delete(header);
  if (st) tensors_free(rt, out);
  return st;
}

/* ---- writing ------------------------------------------------------------------ */

static void st_entry(Buf *b, const NamedTensor *x, uint64_t *offset) {
  static const char *const names[DT_COUNT] = {"BOOL", "I64", "F32", "F64", "C64", "F64"};
  const Tensor *t = x->tensor;
  uint64_t bytes = (uint64_t)t->size * dtype_size[t->dtype];
  json_quote(b, x->name, strlen(x->name));
  buf_format(b, ":{\"dtype\":\"%s\",\"shape\":[", names[t->dtype]);
  for (int k = 0; k < t->rank; k++) buf_format(b, k ? ",%lld" : "%lld", (long long)t->shape[k]);
  if (t->dtype == DT_C128) buf_text(b, t->rank ? ",2" : "2");
  buf_format(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*offset,
             (unsigned long long)(*offset + bytes));
  *offset += bytes;
}

static void st_metadata(Buf *b, const Tensors *ts) {
  bool any = false;
  for (int i = 0; i < ts->n; i++) {
    if (ts->items[i].tensor->dtype != DT_C128) continue;
    buf_text(b, any ? "," : "\"__metadata__\":{");
    Buf key = {0};
    buf_format(&key, NOTE "%s", ts->items[i].name);
    if (key.data) json_quote(b, key.data, key.len);
    buf_free(&key);
    buf_text(b, ":\"c128\"");
    any = true;
  }
  if (any) buf_text(b, ts->n ? "}," : "}");
}

RtStatus safetensors_encode(Rt *rt, const Tensors *ts, Buf *out) {
  Buf head = {0};
  uint64_t offset = 0;
  buf_text(&head, "{");
  st_metadata(&head, ts);
  for (int i = 0; i < ts->n; i++) {
    if (i) buf_text(&head, ",");
    st_entry(&head, &ts->items[i], &offset);
  }
  buf_text(&head, "}");
  while (head.data && head.len % 8) buf_text(&head, " ");
  unsigned char len[8];
  for (int i = 0; i < 8; i++) len[i] = (unsigned char)((uint64_t)head.len >> 8 * i);
  RtStatus st = head.failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
  if (!st) {
    buf_bytes(out, len, 8);
    buf_bytes(out, head.data, head.len);
  }
  buf_free(&head);
  for (int i = 0; st == RT_OK && i < ts->n; i++) {
    Tensor *c = tensor_contiguous(rt, ts->items[i].tensor);
    if (!c) return rt->error.status;
    buf_bytes(out, c->data, (size_t)c->size * dtype_size[c->dtype]);
    tensor_unref(rt, c);
    st = out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : rt_poll(rt);
  }
  return st;
}
