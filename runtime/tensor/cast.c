/* cast.c: changing the dtype.
 *
 * As NumPy's astype, except that a float which no i64 can hold (nan, inf, too
 * large) is an error instead of an arbitrary number.  Complex to real keeps
 * the real part.
 */
#include "runtime/tensor/loop.h"

typedef int64_t (*CastRun)(int64_t n, const char *in, int64_t step, char *out);

/* Each returns the index of the first element that does not fit, or -1. */
#define CAST(name, A, B, expr)                                                \
  static int64_t name(int64_t n, const char *in, int64_t step, char *out) {   \
    const A *a = (const A *)in;                                               \
    B *b = (B *)out;                                                          \
    if (step == 1) {                                                          \
      for (int64_t i = 0; i < n; i++) { A x = a[i]; b[i] = expr; }            \
    } else {                                                                  \
      for (int64_t i = 0; i < n; i++) { A x = a[i * step]; b[i] = expr; }     \
    }                                                                         \
    return -1;                                                                \
  }

/* Real source type A to every target but i64. */
#define CASTS_FROM(tag, A)                                                    \
  CAST(tag##_bool, A, uint8_t, x != 0)                                        \
  CAST(tag##_f32, A, float, (float)x)                                         \
  CAST(tag##_f64, A, double, (double)x)                                       \
  CAST(tag##_c64, A, c64, ((c64){(float)x, 0}))                               \
  CAST(tag##_c128, A, c128, ((c128){(double)x, 0}))
CASTS_FROM(bool, uint8_t)
CASTS_FROM(i64, int64_t)
CASTS_FROM(f32, float)
CASTS_FROM(f64, double)
CAST(bool_i64, uint8_t, int64_t, x)
CAST(i64_i64, int64_t, int64_t, x)

#define CASTS_COMPLEX(tag, A)                                                 \
  CAST(tag##_bool, A, uint8_t, x.re != 0 || x.im != 0)                        \
  CAST(tag##_f32, A, float, (float)x.re)                                      \
  CAST(tag##_f64, A, double, (double)x.re)                                    \
  CAST(tag##_c64, A, c64, ((c64){(float)x.re, (float)x.im}))                  \
  CAST(tag##_c128, A, c128, ((c128){(double)x.re, (double)x.im}))
CASTS_COMPLEX(c64, c64)
CASTS_COMPLEX(c128, c128)

#define CAST_INT(name, A, value)                                              \
  static int64_t name(int64_t n, const char *in, int64_t step, char *out) {   \
    const A *a = (const A *)in;                                               \
    int64_t *b = (int64_t *)out;                                              \
    for (int64_t i = 0; i < n; i++) {                                         \
      double x = (double)(a[i * step] value);                                   \
      if (!(x >= -0x1p63 && x < 0x1p63)) return i;                            \
      b[i] = (int64_t)x;                                                      \
    }                                                                         \
    return -1;                                                                \
  }
CAST_INT(f32_i64, float, )
CAST_INT(f64_i64, double, )
CAST_INT(c64_i64, c64, .re)
CAST_INT(c128_i64, c128, .re)

static const CastRun casts[DT_COUNT][DT_COUNT] = {
  [DT_BOOL] = {bool_bool, bool_i64, bool_f32, bool_f64, bool_c64, bool_c128},
  [DT_I64] = {i64_bool, i64_i64, i64_f32, i64_f64, i64_c64, i64_c128},
  [DT_F32] = {f32_bool, f32_i64, f32_f32, f32_f64, f32_c64, f32_c128},
  [DT_F64] = {f64_bool, f64_i64, f64_f32, f64_f64, f64_c64, f64_c128},
  [DT_C64] = {c64_bool, c64_i64, c64_f32, c64_f64, c64_c64, c64_c128},
  [DT_C128] = {c128_bool, c128_i64, c128_f32, c128_f64, c128_c64, c128_c128},
};

Tensor *tensor_astype(Rt *rt, Tensor *t, DType dt) {
  if (t->dtype == dt) return tensor_ref(t);
  Tensor *out = tensor_new(rt, dt, t->rank, t->shape);
  if (!out) return NULL;
  Loop l;
  const int64_t *strides[] = {t->stride};
  loop_init(&l, t->rank, t->shape, 1, strides);
  int64_t runs = loop_runs(&l), n = loop_inner(&l), step = loop_step(&l, 0);
  char *to = out->data;
  CastRun run = casts[t->dtype][dt];
  for (int64_t r = 0; r < runs; r++, loop_next(&l), to += n * (int64_t)dtype_size[dt]) {
    const char *from = t->data + l.off[0] * (int64_t)dtype_size[t->dtype];
    int64_t bad = run(n, from, step, to);
    if (bad < 0) continue;
    rt_fail(rt, RT_ERROR, "%g does not fit in i64",
            tensor_get_f64(t, r * n + bad));
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}
