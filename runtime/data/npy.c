/* npy.c: NumPy's format for one array: a magic number, a Python dictionary
 * {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }, the bytes.    */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/data.h"
#include "runtime/data/scalars.h"

typedef struct {
  char kind; /* b i u f c */
  int bytes;
  bool swap, fortran;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
} NpyHeader;

static RtStatus npy_fail(Rt *rt, const char *name, const char *what) {
  return rt_fail(rt, RT_ERROR, "\"%s\" is not a readable npy file: %s", name, what);
}

static const char *skip(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == ',' || *p == '\n')) p++;
  return p;
}

/* The text behind 'key': . */
static const char *npy_value(const char *head, const char *end, const char *key) {
  size_t n = strlen(key);
  for (const char *p = head; p + n + 2 < end; p++)
    if ((*p == '\'' || *p == '"') && !memcmp(p + 1, key, n) && p[n + 1] == *p) {
      p = skip(p + n + 2, end);
      if (p == end || *p != ':') return NULL;
      p = skip(p + 1, end);
      return p < end ? p : NULL;
    }
  return NULL;
}

static RtStatus npy_descr(Rt *rt, const char *p, const char *end, const char *name, NpyHeader *h) {
  if (!p || end - p < 5 || (*p != '\'' && *p != '"'))
    return npy_fail(rt, name, "it has no plain element type (records are not supported)");
  char order = p[1];
  h->kind = p[2];
  int bytes = 0;
  const char *stop = p + 3;
  for (; stop < end && *stop >= '0' && *stop <= '9' && bytes < 100; stop++)
    bytes = 10 * bytes + (*stop - '0');
  bool ok = stop < end && *stop == *p && order && strchr("<>|=", order);
  switch (h->kind) {
  case 'b': ok = ok && bytes == 1; break;
  case 'i':
  case 'u': ok = ok && (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8); break;
  case 'f': ok = ok && (bytes == 2 || bytes == 4 || bytes == 8); break;
  case 'c': ok = ok && (bytes == 8 || bytes == 16); break;
  default: ok = false;
  }
  if (!ok)
    return rt_fail(rt, RT_ERROR, "\"%s\" has elements of type %.*s, which no dtype can hold", name,
                   (int)(end - p < 8 ? end - p : 8), p);
  h->bytes = bytes;
  h->swap = order == '>' && bytes > 1;
  return RT_OK;
}

static RtStatus npy_shape(Rt *rt, const char *p, const char *end, const char *name, NpyHeader *h) {
  if (!p || *p != '(') return npy_fail(rt, name, "it has no shape");
  h->rank = 0;
  for (p = skip(p + 1, end); p < end && *p != ')'; p = skip(p, end)) {
    int64_t v = 0;
    const char *digits = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
      if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
          __builtin_add_overflow(v, (int64_t)(*p - '0'), &v))
        return npy_fail(rt, name, "an extent is too large");
    if (p == digits) return npy_fail(rt, name, "its shape cannot be read");
    if (p < end && *p == 'L') p++; /* written by Python 2 */
    if (h->rank == TENSOR_MAX_RANK) return npy_fail(rt, name, "it has more than 16 axes");
    h->shape[h->rank++] = v;
  }
  return p < end ? RT_OK : npy_fail(rt, name, "its shape cannot be read");
}

static RtStatus npy_header(Rt *rt, const char *p, size_t n, const char *name, NpyHeader *h,
                           size_t *start) {
  if (n < 10 || memcmp(p, "\x93NUMPY", 6))
    return npy_fail(rt, name, "it does not begin with \\x93NUMPY");
  const unsigned char *u = (const unsigned char *)p;
  int major = u[6];
  if (major < 1 || major > 3) return npy_fail(rt, name, "its version is unknown");
  size_t lead = major == 1 ? 10 : 12, len;
  if (n < lead) return npy_fail(rt, name, "it ends inside its header");
  len = (size_t)u[8] | (size_t)u[9] << 8;
  if (major > 1) len |= (size_t)u[10] << 16 | (size_t)u[11] << 24;
  if (len > n - lead) return npy_fail(rt, name, "it ends inside its header");
  const char *head = p + lead, *end = head + len;
  RT_TRY(npy_descr(rt, npy_value(head, end, "descr"), end, name, h));
  const char *order = npy_value(head, end, "fortran_order");
  if (!order || (*order != 'T' && *order != 'F'))
    return npy_fail(rt, name, "it does not say its order");
  h->fortran = *order == 'T';
  RT_TRY(npy_shape(rt, npy_value(head, end, "shape"), end, name, h));
  *start = lead + len;
  uint64_t total = (uint64_t)h->bytes;
  for (int k = 0; k < h->rank; k++)
    if (__builtin_mul_overflow(total, (uint64_t)h->shape[k], &total))
      return npy_fail(rt, name, "it claims too many elements");
  if (total != n - *start)
    return rt_fail(rt, RT_ERROR, "\"%s\" should hold %llu bytes of data and holds %zu", name,
                   (unsigned long long)total, n - *start);
  return RT_OK;
}

static ScalarType npy_scalar(const NpyHeader *h) {
  switch (h->kind) {
  case 'b': return SC_BOOL;
  case 'i': return h->bytes == 1 ? SC_I8 : h->bytes == 2 ? SC_I16 : h->bytes == 4 ? SC_I32 : SC_I64;
  case 'u': return h->bytes == 1 ? SC_U8 : h->bytes == 2 ? SC_U16 : h->bytes == 4 ? SC_U32 : SC_U64;
  case 'f': return h->bytes == 2 ? SC_F16 : h->bytes == 4 ? SC_F32 : SC_F64;
  default: return h->bytes == 8 ? SC_C64 : SC_C128;
  }
}

Tensor *npy_decode(Rt *rt, const void *bytes, size_t n, const char *name) {
  NpyHeader h = {0};
  size_t start = 0;
  if (npy_header(rt, bytes, n, name, &h, &start)) return NULL;
  int64_t shape[TENSOR_MAX_RANK];
  for (int k = 0; k < h.rank; k++) shape[k] = h.shape[h.fortran ? h.rank - 1 - k : k];
  Tensor *t =
      scalars_decode(rt, npy_scalar(&h), h.swap, (const char *)bytes + start, h.rank, shape, name);
  if (!t || !h.fortran || h.rank < 2) return t;
  int axes[TENSOR_MAX_RANK];
  for (int k = 0; k < h.rank; k++) axes[k] = h.rank - 1 - k;
  Tensor *v = tensor_permute(rt, t, axes), *c = v ? tensor_contiguous(rt, v) : NULL;
  tensor_unref(rt, v);
  tensor_unref(rt, t);
  return c;
}

RtStatus npy_encode(Rt *rt, Tensor *t, Buf *out) {
  static const char *const descr[DT_COUNT] = {"|b1", "<i8", "<f4", "<f8", "<c8", "<c16"};
  Buf head = {0};
  buf_format(&head, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[t->dtype]);
  for (int k = 0; k < t->rank; k++)
    buf_format(&head, t->rank == 1 ? "%lld," : k ? ", %lld" : "%lld", (long long)t->shape[k]);
  buf_text(&head, "), }");
  while (head.data && (10 + head.len + 1) % 64)
    buf_text(&head, " "); /* data starts on a line of 64 */
  buf_text(&head, "\n");
  Tensor *c = tensor_contiguous(rt, t);
  if (c && !head.failed) {
    buf_bytes(out, "\x93NUMPY\x01\x00", 8);
    buf_bytes(out, (char[]){(char)(head.len & 0xff), (char)(head.len >> 8)}, 2);
    buf_bytes(out, head.data, head.len);
    buf_bytes(out, c->data, (size_t)c->size * dtype_size[c->dtype]);
  }
  bool failed = head.failed || out->failed;
  buf_free(&head);
  if (!c) return rt->error.status;
  tensor_unref(rt, c);
  return failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}
