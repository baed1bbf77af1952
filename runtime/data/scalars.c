/* scalars.c: file elements of any width as tensor elements.                  */
#include <math.h>
#include <string.h>

#include "runtime/data/scalars.h"

const uint8_t scalar_size[SC_COUNT] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8, 8, 16};

static DType scalar_dtype(ScalarType t) {
  switch (t) {
  case SC_BOOL: return DT_BOOL;
  case SC_F16:
  case SC_BF16:
  case SC_F32: return DT_F32;
  case SC_F64: return DT_F64;
  case SC_C64: return DT_C64;
  case SC_C128: return DT_C128;
  default: return DT_I64;
  }
}

static double half(uint16_t h) {
  int e = h >> 10 & 31, m = h & 1023;
  double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
  return h >> 15 ? -v : v;
}

/* One number of n bytes, in the machine's order (little-endian). */
static uint64_t bits(const unsigned char *p, int n, bool swap) {
  uint64_t v = 0;
  for (int i = 0; i < n; i++) v |= (uint64_t)p[swap ? n - 1 - i : i] << 8 * i;
  return v;
}

static int64_t integer(ScalarType t, uint64_t v) {
  switch (t) {
  case SC_I8: return (int8_t)v;
  case SC_I16: return (int16_t)v;
  case SC_I32: return (int32_t)v;
  default: return (int64_t)v;
  }
}

static float short_float(ScalarType t, uint64_t v) {
  if (t == SC_F16) return (float)half((uint16_t)v);
  uint32_t wide = t == SC_BF16 ? (uint32_t)v << 16 : (uint32_t)v;
  float f;
  memcpy(&f, &wide, 4);
  return f;
}

Tensor *scalars_decode(Rt *rt, ScalarType type, bool swap, const void *bytes, int rank,
                       const int64_t *shape, const char *name) {
  const unsigned char *p = bytes;
  Tensor *t = tensor_new(rt, scalar_dtype(type), rank, shape);
  if (!t) return NULL;
  size_t es = dtype_size[t->dtype];
  int size = scalar_size[type];
  bool same = (int)es == size && type != SC_U64 && type != SC_BOOL;
  if (same && !swap) {
    if (t->size) memcpy(t->data, p, (size_t)t->size * es);
    return t;
  }
  /* complex numbers swap their halves one by one */
  int parts = dtype_complex(t->dtype) ? 2 : 1, width = size / parts;
  for (int64_t i = 0; i < t->size * parts; i++, p += width) {
    uint64_t v = bits(p, width, swap);
    char *o = t->data + (size_t)i * (es / (size_t)parts);
    if (type == SC_U64 && v > INT64_MAX) {
      rt_fail(rt, RT_ERROR, "\"%s\" holds the number %llu, which an i64 tensor cannot hold", name,
              (unsigned long long)v);
      tensor_unref(rt, t);
      return NULL;
    }
    if (type == SC_BOOL) *o = v != 0;
    else if (t->dtype == DT_I64) memcpy(o, &(int64_t){integer(type, v)}, 8);
    else if (width == 8) memcpy(o, &v, 8);
    else memcpy(o, &(float){short_float(type, v)}, 4);
  }
  return t;
}
