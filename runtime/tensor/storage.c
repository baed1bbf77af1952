/* storage.c: making tensors and letting them go.
 *
 * A new tensor is one pooled block (header, dims, Storage, data) when it is
 * small and two when it is large.  The Storage lives in the block of the
 * tensor that made it, the `home`; when a view outlives its home tensor, the
 * home's block stays until the last view is gone.
 */
#include "runtime/tensor/loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define INLINE_BYTES 1024   /* data up to this size lives in the header's block */

const size_t dtype_size[DT_COUNT] = {1, 8, 4, 8, 8, 16};
const char *const dtype_name[DT_COUNT] = {"bool", "i64", "f32", "f64", "c64", "c128"};

int dtype_from_name(const char *name) {
  for (int i = 0; i < DT_COUNT; i++)
    if (strcmp(name, dtype_name[i]) == 0) return i;
  return -1;
}

/* ---- blocks --------------------------------------------------------------- */

static inline size_t view_block(int rank) { return sizeof(Tensor) + (size_t)rank * 16; }

/* Data is 16-aligned: enough for every dtype, and vector loads of small
 * tensors gain nothing from more.                                            */
static inline size_t home_block(int rank) {
  return (view_block(rank) + sizeof(Storage) + 15) & ~(size_t)15;
}

/* `user` of a storage with our own data is its home tensor. */
static void storage_free(Rt *rt, Storage *s) {
  Tensor *home = s->user;
  int rank = home->rank;
  size_t block = home_block(rank);
  if (s->data == (char *)home + block) block += s->bytes;
  else rt_free(rt, s->data, s->bytes);
  rt_free(rt, home, block);
}

/* Foreign memory: the host holds one of the references, so the buffer never
 * looks unshared and is never written in place.                              */
enum { STORAGE_FOREIGN = 1 };

static void foreign_free(Rt *rt, Storage *s) {
  if (s->release) s->release(s->data, s->user);
  rt_free(rt, s, sizeof *s);
}

void tensor_unref(Rt *rt, Tensor *t) {
  if (!t || --t->obj.refs > 0) return;
  Storage *s = t->storage;
  if (s->flags & STORAGE_FOREIGN) {
    rt_free(rt, t, view_block(t->rank));
    if (--s->refs == 1) foreign_free(rt, s);
    return;
  }
  if (s->user != t) rt_free(rt, t, view_block(t->rank));
  if (--s->refs == 0) storage_free(rt, s);
}

/* ---- making ---------------------------------------------------------------- */

static RtStatus check_shape(Rt *rt, DType dt, int rank, const int64_t *shape, int64_t *size) {
  if (rank < 0 || rank > TENSOR_MAX_RANK)
    return rt_fail(rt, RT_ERROR, "a tensor has at most %d axes, not %d", TENSOR_MAX_RANK, rank);
  int64_t n = 1, span = 1;
  for (int i = 0; i < rank; i++) {
    if (shape[i] < 0)
      return rt_fail(rt, RT_ERROR, "the extent of axis %d is negative: %lld", i,
                     (long long)shape[i]);
    if (shape[i] == 0) n = 0;
    else if (__builtin_mul_overflow(span, shape[i], &span)) goto huge;
  }
  if (span > (int64_t)(PTRDIFF_MAX / 4) / (int64_t)dtype_size[dt]) goto huge;
  *size = n ? span : 0;
  return RT_OK;
huge:;
  char text[128];
  return rt_fail(rt, RT_LIMIT, "a tensor of shape %s does not fit in memory",
                 shape_text(rank, shape, text));
}

static inline void fill_header(Tensor *t, DType dt, int rank) {
  t->obj = (Obj){.refs = 1, .kind = OBJ_TENSOR};
  t->dtype = (uint8_t)dt;
  t->rank = (uint8_t)rank;
  t->node = 0;
  t->shape = t->dims;
  t->stride = t->dims + rank;
}

Tensor *tensor_new(Rt *rt, DType dt, int rank, const int64_t *shape) {
  int64_t size;
  if (rank == 1 && (uint64_t)shape[0] < (uint64_t)1 << 40) size = shape[0];
  else if (check_shape(rt, dt, rank, shape, &size)) return NULL;
  size_t bytes = (size_t)size * dtype_size[dt], head = home_block(rank);
  bool inside = bytes <= INLINE_BYTES;
  void *data = NULL;
  if (!inside && !(data = rt_alloc(rt, bytes))) return NULL;
  Tensor *t = rt_alloc(rt, inside ? head + bytes : head);
  if (!t) {
    rt_free(rt, data, bytes);
    return NULL;
  }
  if (inside) data = (char *)t + head;
  fill_header(t, dt, rank);
  t->contiguous = true;
  t->size = size;
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    t->dims[i] = shape[i];
    t->dims[rank + i] = step;
    step *= shape[i] > 0 ? shape[i] : 1;
  }
  Storage *s = (Storage *)(t->dims + 2 * rank);
  *s = (Storage){.refs = 1, .bytes = bytes, .data = data, .user = t};
  t->storage = s;
  t->data = data;
  return t;
}

Tensor *tensor_zeros(Rt *rt, DType dt, int rank, const int64_t *shape) {
  Tensor *t = tensor_new(rt, dt, rank, shape);
  if (t) memset(t->data, 0, t->storage->bytes);
  return t;
}

#define FILL(T, value)                                                        \
  do {                                                                        \
    T *p = (T *)t->data, v = value;                                           \
    for (int64_t i = 0; i < t->size; i++) p[i] = v;                           \
  } while (0)

Tensor *tensor_full(Rt *rt, DType dt, int rank, const int64_t *shape, double re, double im) {
  Tensor *t = tensor_new(rt, dt, rank, shape);
  if (!t) return NULL;
  switch (dt) {
    case DT_BOOL: FILL(uint8_t, re != 0 || im != 0); break;
    case DT_I64:
      if (!(re >= -0x1p63 && re < 0x1p63)) {
        rt_fail(rt, RT_ERROR, "%g does not fit in an i64 tensor", re);
        tensor_unref(rt, t);
        return NULL;
      }
      FILL(int64_t, (int64_t)re);
      break;
    case DT_F32: FILL(float, (float)re); break;
    case DT_F64: FILL(double, re); break;
    case DT_C64: FILL(c64, ((c64){(float)re, (float)im})); break;
    default: FILL(c128, ((c128){re, im})); break;
  }
  return t;
}

Tensor *tensor_scalar(Rt *rt, DType dt, double re, double im) {
  return tensor_full(rt, dt, 0, NULL, re, im);
}

Tensor *tensor_scalar_i64(Rt *rt, int64_t v) {
  Tensor *t = tensor_new(rt, DT_I64, 0, NULL);
  if (t) *(int64_t *)t->data = v;
  return t;
}

Tensor *tensor_arange(Rt *rt, DType dt, double start, double step, int64_t n) {
  Tensor *t = tensor_new(rt, dt, 1, &n);
  if (!t) return NULL;
  double last = start + step * (double)(n - 1);
  bool fits = fabs(start) <= 0x1p53 && fabs(last) <= 0x1p53;
  if (dt == DT_I64 && n > 0 && !fits) {
    rt_fail(rt, RT_ERROR, "a range from %g to %g does not fit in i64 steps", start, last);
    tensor_unref(rt, t);
    return NULL;
  }
  for (int64_t i = 0; i < n; i++) tensor_set_f64(t, i, start + step * (double)i);
  return t;
}

static bool row_major_like(int rank, const int64_t *shape, const int64_t *stride) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && stride[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

static Tensor *header_new(Rt *rt, DType dt, int rank, const int64_t *shape,
                          const int64_t *stride, Storage *s, char *data) {
  int64_t size;
  if (check_shape(rt, dt, rank, shape, &size)) return NULL;
  Tensor *t = rt_alloc(rt, view_block(rank));
  if (!t) return NULL;
  fill_header(t, dt, rank);
  t->size = size;
  if (rank) memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
  if (stride && rank) memcpy(t->stride, stride, (size_t)rank * sizeof *stride);
  else row_major(rank, shape, t->stride);
  t->contiguous = row_major_like(rank, t->shape, t->stride);
  t->storage = s;
  t->data = data;
  return t;
}

Tensor *tensor_foreign(Rt *rt, DType dt, int rank, const int64_t *shape, const int64_t *stride,
                       void *data, void (*release)(void *, void *), void *user) {
  Storage *s = rt_alloc(rt, sizeof *s);
  if (!s) return NULL;
  Tensor *t = header_new(rt, dt, rank, shape, stride, s, data);
  if (!t) {
    rt_free(rt, s, sizeof *s);
    return NULL;
  }
  *s = (Storage){.refs = 2, .flags = STORAGE_FOREIGN, .data = data, .release = release,
                 .user = user, .bytes = (size_t)t->size * dtype_size[dt]};
  return t;
}

Tensor *tensor_view(Rt *rt, Tensor *t, int rank, const int64_t *shape, const int64_t *stride,
                    int64_t offset) {
  char *data = t->data + offset * (int64_t)dtype_size[t->dtype];
  Tensor *v = header_new(rt, t->dtype, rank, shape, stride, t->storage, data);
  if (v) t->storage->refs++;
  return v;
}

Tensor *tensor_copy(Rt *rt, Tensor *t) {
  Tensor *c = tensor_new(rt, t->dtype, t->rank, t->shape);
  if (c) copy_strided(t, c->data);
  return c;
}

Tensor *tensor_contiguous(Rt *rt, Tensor *t) {
  return t->contiguous ? tensor_ref(t) : tensor_copy(rt, t);
}

RtStatus tensor_own(Rt *rt, Tensor **t) {
  if (tensor_unique(*t)) return RT_OK;
  Tensor *c = tensor_copy(rt, *t);
  if (!c) return rt->error.status;
  rt->buffer_copies++;
  tensor_unref(rt, *t);
  *t = c;
  return RT_OK;
}

/* ---- scalars in and out ------------------------------------------------------ */

c128 tensor_get_c128(const Tensor *t, int64_t flat) {
  int64_t i = flat_offset(t, flat);
  switch ((DType)t->dtype) {
    case DT_BOOL: return (c128){((const uint8_t *)t->data)[i] != 0, 0};
    case DT_I64: return (c128){(double)((const int64_t *)t->data)[i], 0};
    case DT_F32: return (c128){((const float *)t->data)[i], 0};
    case DT_F64: return (c128){((const double *)t->data)[i], 0};
    case DT_C64: return (c128){((const c64 *)t->data)[i].re, ((const c64 *)t->data)[i].im};
    default: return ((const c128 *)t->data)[i];
  }
}

double tensor_get_f64(const Tensor *t, int64_t flat) { return tensor_get_c128(t, flat).re; }

static int64_t saturate(double x) {
  if (x != x) return 0;
  return x >= 0x1p63 ? INT64_MAX : x < -0x1p63 ? INT64_MIN : (int64_t)x;
}

int64_t tensor_get_i64(const Tensor *t, int64_t flat) {
  if (t->dtype == DT_I64) return ((const int64_t *)t->data)[flat_offset(t, flat)];
  return saturate(tensor_get_f64(t, flat));
}

void tensor_set_f64(Tensor *t, int64_t flat, double v) {
  int64_t i = flat_offset(t, flat);
  switch ((DType)t->dtype) {
    case DT_BOOL: ((uint8_t *)t->data)[i] = v != 0; break;
    case DT_I64: ((int64_t *)t->data)[i] = saturate(v); break;
    case DT_F32: ((float *)t->data)[i] = (float)v; break;
    case DT_F64: ((double *)t->data)[i] = v; break;
    case DT_C64: ((c64 *)t->data)[i] = (c64){(float)v, 0}; break;
    default: ((c128 *)t->data)[i] = (c128){v, 0}; break;
  }
}

/* ---- shape text ---------------------------------------------------------------- */

char *shape_text(int rank, const int64_t *shape, char buf[128]) {
  size_t n = 0, cap = 128;
  buf[n++] = '(';
  for (int i = 0; i < rank; i++) {
    char part[32];
    int k = snprintf(part, sizeof part, i ? ", %lld" : "%lld", (long long)shape[i]);
    if (n + (size_t)k + 8 > cap) {   /* room for the end below */
      memcpy(buf + n, ", ...)", 7);
      return buf;
    }
    memcpy(buf + n, part, (size_t)k);
    n += (size_t)k;
  }
  if (rank == 1) buf[n++] = ',';
  buf[n++] = ')';
  buf[n] = 0;
  return buf;
}

char *tensor_shape_text(const Tensor *t, char buf[128]) {
  return shape_text(t->rank, t->shape, buf);
}
