/* images.c: the binary formats of the classic image sets: IDX (MNIST, Fashion
 * MNIST) and CIFAR-10.                                                       */
#include <string.h>

#include "runtime/data/data.h"

static uint64_t big_endian(const unsigned char *p, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; i++) v = v << 8 | p[i];
  return v;
}

typedef struct {
  int bytes;
  bool is_signed, is_float;
} IdxType;

static bool idx_type(unsigned char code, IdxType *t) {
  switch (code) {
  case 0x08: *t = (IdxType){1, false, false}; return true;
  case 0x09: *t = (IdxType){1, true, false}; return true;
  case 0x0b: *t = (IdxType){2, true, false}; return true;
  case 0x0c: *t = (IdxType){4, true, false}; return true;
  case 0x0d: *t = (IdxType){4, true, true}; return true;
  case 0x0e: *t = (IdxType){8, true, true}; return true;
  default: return false;
  }
}

/* Header: two zero bytes, type, rank, then rank extents of four bytes. */
static RtStatus idx_header(Rt *rt, const unsigned char *p, size_t n, const char *name,
                           IdxType *type, int *rank, int64_t *shape, size_t *start) {
  if (n < 4 || p[0] != 0 || p[1] != 0 || !idx_type(p[2], type))
    return rt_fail(rt, RT_ERROR, "\"%s\" is not an IDX file", name);
  *rank = p[3];
  *start = 4 + 4 * (size_t)*rank;
  if (*rank > TENSOR_MAX_RANK)
    return rt_fail(rt, RT_ERROR, "\"%s\" claims %d axes, at most %d are possible", name, *rank,
                   TENSOR_MAX_RANK);
  if (n < *start) return rt_fail(rt, RT_ERROR, "\"%s\" ends inside its header", name);
  uint64_t total = (uint64_t)type->bytes;
  for (int k = 0; k < *rank; k++) {
    shape[k] = (int64_t)big_endian(p + 4 + 4 * k, 4);
    if (__builtin_mul_overflow(total, (uint64_t)shape[k], &total)) total = UINT64_MAX;
    if (total == UINT64_MAX) break;
  }
  if (total != n - *start)
    return rt_fail(rt, RT_ERROR, "\"%s\" should hold %llu bytes of data and holds %zu", name,
                   (unsigned long long)total, n - *start);
  return RT_OK;
}

static int64_t idx_integer(const unsigned char *p, const IdxType *t) {
  uint64_t v = big_endian(p, t->bytes);
  int shift = 64 - 8 * t->bytes;
  return t->is_signed ? (int64_t)(v << shift) >> shift : (int64_t)v;
}

static double idx_float(const unsigned char *p, const IdxType *t) {
  uint64_t v = big_endian(p, t->bytes);
  if (t->bytes == 8) {
    double d;
    memcpy(&d, &v, 8);
    return d;
  }
  uint32_t s = (uint32_t)v;
  float f;
  memcpy(&f, &s, 4);
  return (double)f;
}

Tensor *idx_decode(Rt *rt, const void *bytes, size_t n, const char *name, double scale) {
  const unsigned char *p = bytes;
  IdxType type = {0};
  int rank = 0;
  int64_t shape[TENSOR_MAX_RANK];
  size_t start = 0;
  if (idx_header(rt, p, n, name, &type, &rank, shape, &start)) return NULL;
  DType dt = scale > 0 ? DT_F32 : !type.is_float ? DT_I64 : type.bytes == 4 ? DT_F32 : DT_F64;
  Tensor *t = tensor_new(rt, dt, rank, shape);
  if (!t) return NULL;
  p += start;
  float *f = (float *)(void *)t->data;
  if (scale > 0 && type.bytes == 1 && !type.is_signed) {
    float table[256];
    for (int i = 0; i < 256; i++) table[i] = (float)(i / scale);
    for (int64_t i = 0; i < t->size; i++) f[i] = table[p[i]];
    return t;
  }
  for (int64_t i = 0; i < t->size; i++, p += type.bytes) {
    double x = type.is_float ? idx_float(p, &type) : 0;
    if (dt == DT_I64) ((int64_t *)(void *)t->data)[i] = idx_integer(p, &type);
    else if (dt == DT_F64) ((double *)(void *)t->data)[i] = x;
    else
      f[i] = (float)((type.is_float ? x : (double)idx_integer(p, &type)) / (scale > 0 ? scale : 1));
  }
  return t;
}

enum { CIFAR_SIDE = 32, CIFAR_PLANE = CIFAR_SIDE * CIFAR_SIDE, CIFAR_RECORD = 1 + 3 * CIFAR_PLANE };

/* One record: planes of red, green, blue become the last axis. */
static void cifar_record(const unsigned char *p, const float *table, float *image) {
  for (int k = 0; k < CIFAR_PLANE; k++)
    for (int c = 0; c < 3; c++) image[3 * k + c] = table[p[c * CIFAR_PLANE + k]];
}

RtStatus cifar_decode(Rt *rt, int count, const Buf *files, const char *const *names,
                      Tensor **images, Tensor **labels) {
  int64_t total = 0;
  for (int f = 0; f < count; f++) {
    if (files[f].len % CIFAR_RECORD || files[f].len == 0)
      return rt_fail(rt, RT_ERROR,
                     "\"%s\" is not CIFAR-10 data: %zu bytes are no whole number of records of %d",
                     names[f], files[f].len, (int)CIFAR_RECORD);
    total += (int64_t)(files[f].len / CIFAR_RECORD);
  }
  Tensor *x = tensor_new(rt, DT_F32, 4, (int64_t[]){total, CIFAR_SIDE, CIFAR_SIDE, 3});
  Tensor *y = x ? tensor_new(rt, DT_I64, 1, &total) : NULL;
  RtStatus st = y ? RT_OK : rt->error.status;
  float table[256], *image = y ? (float *)(void *)x->data : NULL;
  int64_t *label = y ? (int64_t *)(void *)y->data : NULL;
  for (int i = 0; i < 256; i++) table[i] = (float)(i / 255.0);
  for (int f = 0; f < count && st == RT_OK; f++) {
    const unsigned char *p = (const unsigned char *)files[f].data, *end = p + files[f].len;
    for (; p < end && st == RT_OK; p += CIFAR_RECORD, image += 3 * CIFAR_PLANE) {
      if (p[0] > 9)
        st = rt_fail(rt, RT_ERROR, "\"%s\" is not CIFAR-10 data: a label is %d", names[f], p[0]);
      *label++ = p[0];
      cifar_record(p + 1, table, image);
    }
  }
  if (st) {
    tensor_unref(rt, x);
    tensor_unref(rt, y);
    return st;
  }
  *images = x;
  *labels = y;
  return RT_OK;
}
