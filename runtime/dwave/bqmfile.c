/* bqmfile.c: DIMODBQM files, the form in which hybrid solvers take binary
 * quadratic models (dimod's serialization, versions 1.0 and 2.0).
 *
 * Magic, version, length, a JSON header padded to 64 bytes, the offset, then for
 * each variable {start of its neighbours, linear bias}, then all neighbours as
 * {index, bias}; version 2 appends labels that are not 0 .. n-1 as "VARS".    */
#include <math.h>
#include <string.h>

#include "runtime/dwave/codec.h"

/* ---- building ------------------------------------------------------------------ */

static RtStatus bqm_alloc(Rt *rt, Bqm *b) {
  b->linear = rt_alloc0(rt, (size_t)b->n * 8);
  b->start = rt_alloc0(rt, (size_t)(b->n + 1) * 8);
  b->other = rt_alloc0(rt, (size_t)b->m * 8);
  b->bias = rt_alloc0(rt, (size_t)b->m * 16);
  return b->linear && b->start && b->other && b->bias ? RT_OK : RT_MEMORY;
}

void bqm_free(Rt *rt, Bqm *b) {
  rt_free(rt, b->linear, (size_t)b->n * 8);
  rt_free(rt, b->start, (size_t)(b->n + 1) * 8);
  rt_free(rt, b->other, (size_t)b->m * 8);
  rt_free(rt, b->bias, (size_t)b->m * 16);
  cJSON_Delete(b->labels);
  *b = (Bqm){0};
}

/* Neighbour lists by two counting sorts: ends by u after ends by v, so that each
 * list comes out ascending.                                                    */
static RtStatus fill(Rt *rt, Bqm *b, const int32_t *uv, const double *bias) {
  int64_t n = b->n, m = b->m;
  for (int64_t k = 0; k < 2 * m; k++) {
    if (uv[k] < 0 || uv[k] >= n || uv[k] == uv[k ^ 1])
      return rt_fail(rt, RT_ERROR, "interaction %lld joins variables %d and %d of %lld",
                     (long long)(k / 2), (int)uv[k & ~(int64_t)1], (int)uv[k | 1], (long long)n);
    b->start[uv[k] + 1]++;
  }
  for (int64_t v = 0; v < n; v++) b->start[v + 1] += b->start[v];
  size_t size_next = (size_t)(n + 1) * 8, size_order = (size_t)m * 16;
  int64_t *next = rt_alloc(rt, size_next), *order = rt_alloc(rt, size_order);
  RtStatus s = next && order ? RT_OK : RT_MEMORY;
  if (!s) {
    memcpy(next, b->start, size_next);
    for (int64_t k = 0; k < 2 * m; k++) order[next[uv[k ^ 1]]++] = k; /* ends by their other end */
    memcpy(next, b->start, size_next);
    for (int64_t i = 0; i < 2 * m; i++) {
      int64_t k = order[i], at = next[uv[k]]++;
      b->other[at] = uv[k ^ 1];
      b->bias[at] = bias[k / 2];
      if (at > b->start[uv[k]] && b->other[at - 1] == b->other[at])
        s = rt_fail(rt, RT_ERROR, "the pair of variables %d and %d is given twice", (int)uv[k],
                    (int)uv[k ^ 1]);
    }
  }
  rt_free(rt, next, size_next);
  rt_free(rt, order, size_order);
  return s;
}

RtStatus bqm_make(Rt *rt, Bqm *out, bool spin, int64_t n, const double *linear, int64_t m,
                  const int32_t *uv, const double *bias, double offset) {
  *out = (Bqm){0};
  if (n < 0 || n > INT32_MAX || m < 0 || m > INT32_MAX / 2)
    return rt_fail(rt, RT_ERROR, "%lld variables and %lld interactions do not fit a DIMODBQM file",
                   (long long)n, (long long)m);
  Bqm b = {.spin = spin, .n = n, .m = m, .offset = offset};
  RtStatus s = bqm_alloc(rt, &b);
  if (!s && linear) memcpy(b.linear, linear, (size_t)n * 8);
  if (!s) s = fill(rt, &b, uv, bias);
  if (s) bqm_free(rt, &b);
  else *out = b;
  return s;
}

/* ---- writing --------------------------------------------------------------------- */

static void put_real(Buf *out, double x, bool single) {
  uint8_t w[8];
  if (single) {
    float f = (float)x;
    int32_t i;
    memcpy(&i, &f, 4);
    store_i32(w, i);
  } else {
    store_f64(w, x);
  }
  buf_bytes(out, w, single ? 4 : 8);
}

static void put_int(Buf *out, int64_t i) {
  uint8_t w[4];
  store_i32(w, (int32_t)i);
  buf_bytes(out, w, 4);
}

static void pad_to_64(Buf *out, size_t from) {
  while ((out->len - from) % 64) buf_text(out, " ");
}

static void write_header(Buf *out, const Bqm *b, int version) {
  size_t start = out->len;
  buf_bytes(out, "DIMODBQM", 8);
  buf_bytes(out, version == 1 ? "\1\0" : "\2\0", 2);
  put_int(out, 0);
  buf_format(out,
             "{\"dtype\": \"%s\", \"itype\": \"int32\", \"ntype\": \"int32\", \"shape\": "
             "[%lld, %lld], \"type\": \"BinaryQuadraticModel\", \"variables\": ",
             b->single ? "float32" : "float64", (long long)b->n, (long long)b->m);
  if (version == 2) {
    buf_text(out, b->labels ? "true" : "false");
  } else if (b->labels) {
    js_write(out, b->labels, true);
  } else {
    buf_text(out, "[");
    for (int64_t v = 0; v < b->n; v++) buf_format(out, v ? ", %lld" : "%lld", (long long)v);
    buf_text(out, "]");
  }
  buf_format(out, ", \"vartype\": \"%s\"}\n", b->spin ? "SPIN" : "BINARY");
  pad_to_64(out, start);
  if (!out->failed) store_i32((uint8_t *)out->data + start + 10, (int32_t)(out->len - start - 14));
}

RtStatus bqm_write(Rt *rt, const Bqm *b, int version, Buf *out) {
  write_header(out, b, version);
  put_real(out, b->offset, b->single);
  for (int64_t v = 0; v < b->n; v++) {
    put_int(out, b->start[v]);
    put_real(out, b->linear[v], b->single);
  }
  for (int64_t k = 0; k < 2 * b->m; k++) {
    put_int(out, b->other[k]);
    put_real(out, b->bias[k], b->single);
  }
  if (b->labels && version == 2) {
    size_t start = out->len;
    buf_bytes(out, "VARS", 4);
    put_int(out, 0);
    js_write(out, b->labels, true);
    pad_to_64(out, start);
    if (!out->failed) store_i32((uint8_t *)out->data + start + 4, (int32_t)(out->len - start - 8));
  }
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

/* ---- reading ----------------------------------------------------------------------- */

typedef struct {
  const uint8_t *p;
  size_t left;
} Bytes;

static const uint8_t *take(Bytes *b, size_t n) {
  if (n > b->left) return NULL;
  const uint8_t *p = b->p;
  b->p += n;
  b->left -= n;
  return p;
}

static double get_real(const uint8_t *p, bool single) {
  if (!single) return load_f64(p);
  int32_t i = load_i32(p);
  float f;
  memcpy(&f, &i, 4);
  return f;
}

static bool text_is(const cJSON *o, const char *key, const char *value) {
  const char *s = js_text(o, key);
  return s && !strcmp(s, value);
}

static RtStatus read_header(Rt *rt, const cJSON *h, Bqm *b) {
  const cJSON *shape = js_get(h, "shape"), *n = cJSON_GetArrayItem(shape, 0),
              *m = cJSON_GetArrayItem(shape, 1);
  b->single = text_is(h, "dtype", "float32");
  b->spin = text_is(h, "vartype", "SPIN");
  if (!text_is(h, "type", "BinaryQuadraticModel") || !text_is(h, "itype", "int32") ||
      !text_is(h, "ntype", "int32") || (!b->single && !text_is(h, "dtype", "float64")) ||
      (!b->spin && !text_is(h, "vartype", "BINARY")) || !cJSON_IsNumber(n) || !cJSON_IsNumber(m) ||
      cJSON_GetArraySize(shape) != 2)
    return rt_fail(rt, RT_BACKEND, "DIMODBQM: a header that is not understood");
  double x = n->valuedouble, y = m->valuedouble;
  if (!(x >= 0 && x <= INT32_MAX && y >= 0 && y <= INT32_MAX / 2) || x != floor(x) || y != floor(y))
    return rt_fail(rt, RT_BACKEND, "DIMODBQM: impossible shape");
  b->n = (int64_t)x, b->m = (int64_t)y;
  return RT_OK;
}

/* Indices in range, lists ascending, both ends there with the same bias. */
static RtStatus check_lists(Rt *rt, const Bqm *b) {
  for (int64_t v = 0; v < b->n; v++)
    if (b->start[v] > b->start[v + 1] || b->start[v] < 0 || b->start[v + 1] > 2 * b->m)
      return rt_fail(rt, RT_BACKEND, "DIMODBQM: neighbourhoods out of order");
  if (b->start[0] != 0) return rt_fail(rt, RT_BACKEND, "DIMODBQM: neighbourhoods out of order");
  for (int64_t v = 0; v < b->n; v++)
    for (int64_t k = b->start[v]; k < b->start[v + 1]; k++) {
      int32_t u = b->other[k];
      if (u < 0 || u >= b->n || u == v || (k > b->start[v] && u <= b->other[k - 1]))
        return rt_fail(rt, RT_BACKEND, "DIMODBQM: wrong neighbours of variable %lld", (long long)v);
    }
  for (int64_t v = 0; v < b->n; v++)
    for (int64_t k = b->start[v]; k < b->start[v + 1]; k++) {
      int64_t lo = b->start[b->other[k]], hi = b->start[b->other[k] + 1], end = hi;
      while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (b->other[mid] < v) lo = mid + 1;
        else hi = mid;
      }
      if (lo == end || b->other[lo] != v || b->bias[lo] != b->bias[k])
        return rt_fail(rt, RT_BACKEND, "DIMODBQM: an interaction is not the same at both ends");
    }
  return RT_OK;
}

static RtStatus read_arrays(Rt *rt, Bytes *in, Bqm *b) {
  size_t real = b->single ? 4 : 8, entry = 4 + real;
  const uint8_t *offset = take(in, real);
  if (!offset || (size_t)b->n > in->left / entry ||
      2 * (size_t)b->m > (in->left - (size_t)b->n * entry) / entry) {
    b->n = b->m = 0;
    return rt_fail(rt, RT_BACKEND, "DIMODBQM: the file ends too early");
  }
  RT_TRY(bqm_alloc(rt, b));
  b->offset = get_real(offset, b->single);
  bool finite = isfinite(b->offset);
  for (int64_t v = 0; v < b->n; v++) {
    const uint8_t *p = take(in, entry);
    b->start[v] = load_i32(p);
    b->linear[v] = get_real(p + 4, b->single);
    finite = finite && isfinite(b->linear[v]);
  }
  b->start[b->n] = 2 * b->m;
  for (int64_t k = 0; k < 2 * b->m; k++) {
    const uint8_t *p = take(in, entry);
    b->other[k] = load_i32(p);
    b->bias[k] = get_real(p + 4, b->single);
    finite = finite && isfinite(b->bias[k]);
  }
  if (!finite) return rt_fail(rt, RT_BACKEND, "DIMODBQM: a bias is not finite");
  return check_lists(rt, b);
}

static RtStatus read_labels(Rt *rt, Bytes *in, Bqm *b) {
  const uint8_t *head = take(in, 8);
  if (!head || memcmp(head, "VARS", 4)) return rt_fail(rt, RT_BACKEND, "DIMODBQM: no labels");
  size_t len = (uint32_t)load_i32(head + 4);
  const uint8_t *text = take(in, len);
  if (!text) return rt_fail(rt, RT_BACKEND, "DIMODBQM: the file ends too early");
  b->labels = js_read(rt, (const char *)text, len, len, "DIMODBQM labels");
  return b->labels ? RT_OK : RT_BACKEND;
}

/* 0 .. n-1 in order need no labels. */
static bool plain_labels(const cJSON *labels) {
  int64_t v = 0;
  for (const cJSON *c = labels ? labels->child : NULL; c; c = c->next)
    if (!cJSON_IsNumber(c) || c->valuedouble != (double)v++) return false;
  return true;
}

static RtStatus read_all(Rt *rt, Bytes *in, int version, const cJSON *header, Bqm *b) {
  RT_TRY(read_header(rt, header, b));
  RT_TRY(read_arrays(rt, in, b));
  const cJSON *vars = js_get(header, "variables");
  if (version == 1 && cJSON_IsArray(vars)) {
    b->labels = cJSON_Duplicate(vars, 1);
    if (!b->labels) return rt_fail(rt, RT_MEMORY, "out of memory");
  } else if (version == 2 && cJSON_IsTrue(vars)) {
    RT_TRY(read_labels(rt, in, b));
  } else if (version == 1 || !cJSON_IsFalse(vars)) {
    return rt_fail(rt, RT_BACKEND, "DIMODBQM: a header that is not understood");
  }
  if (b->labels && (!cJSON_IsArray(b->labels) || cJSON_GetArraySize(b->labels) != b->n))
    return rt_fail(rt, RT_BACKEND, "DIMODBQM: not %lld labels", (long long)b->n);
  if (plain_labels(b->labels)) {
    cJSON_Delete(b->labels);
    b->labels = NULL;
  }
  return RT_OK;
}

RtStatus bqm_read(Rt *rt, const void *p, size_t n, Bqm *out) {
  *out = (Bqm){0};
  Bytes in = {p, n};
  const uint8_t *head = take(&in, 14);
  if (!head || memcmp(head, "DIMODBQM", 8))
    return rt_fail(rt, RT_BACKEND, "DIMODBQM: the magic word is missing");
  if ((head[8] != 1 && head[8] != 2) || head[9] != 0)
    return rt_fail(rt, RT_BACKEND, "DIMODBQM: version %d.%d, expected 1.0 or 2.0", head[8],
                   head[9]);
  size_t len = (uint32_t)load_i32(head + 10);
  const uint8_t *text = take(&in, len);
  if (!text) return rt_fail(rt, RT_BACKEND, "DIMODBQM: the file ends too early");
  cJSON *header = js_read(rt, (const char *)text, len, len, "DIMODBQM header");
  if (!header) return RT_BACKEND;
  RtStatus s = read_all(rt, &in, head[8], header, out);
  cJSON_Delete(header);
  if (s) bqm_free(rt, out);
  return s;
}
