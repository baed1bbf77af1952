/* fused.c: g * f'(.) in one pass over contiguous f32 or f64 memory, for the
 * functions whose derivative is a few multiplications of what the tape kept.
 * Used when the backward pass itself is not recorded.                       */
#include "runtime/grad/tape_private.h"
#include <math.h>

#define PASS(T, expr)                                                         \
  do {                                                                        \
    const T *gp = (const T *)g->data, *sp = (const T *)saved->data;           \
    T *op_ = (T *)out->data;                                                  \
    for (int64_t i = 0; i < n; i++) {                                         \
      T x = sp[i], d = gp[i];                                                 \
      op_[i] = (expr);                                                        \
    }                                                                         \
  } while (0)

#define CASES(T)                                                              \
  switch (op) {                                                               \
  case UN_SQRT: PASS(T, d * ((T)0.5 / x)); return true;                       \
  case UN_EXP: PASS(T, d * x); return true;                                   \
  case UN_EXPM1: PASS(T, d * (x + 1)); return true;                           \
  case UN_LOG: PASS(T, d / x); return true;                                   \
  case UN_LOG1P: PASS(T, d / (1 + x)); return true;                           \
  case UN_LOG2: PASS(T, d * ((T)M_LOG2E / x)); return true;                   \
  case UN_TAN: PASS(T, d * (x * x + 1)); return true;                         \
  case UN_TANH: PASS(T, d * (1 - x * x)); return true;                        \
  case UN_SIGMOID: PASS(T, d * (x * (1 - x))); return true;                   \
  case UN_ATAN: PASS(T, d / (1 + x * x)); return true;                        \
  case UN_RELU: PASS(T, x > 0 ? d : 0); return true;                          \
  case UN_SQUARE: PASS(T, d * (2 * x)); return true;                          \
  case UN_RECIP: PASS(T, -d * (x * x)); return true;                          \
  case UN_ABS: PASS(T, x > 0 ? d : x < 0 ? -d : x == 0 ? 0 : x); return true; \
  default: return false;                                                      \
  }

static bool run_f64(UnOp op, Tensor *out, const Tensor *g, const Tensor *saved) {
  int64_t n = out->size;
  CASES(double)
}

static bool run_f32(UnOp op, Tensor *out, const Tensor *g, const Tensor *saved) {
  int64_t n = out->size;
  CASES(float)
}

static bool has_pass(UnOp op) {
  switch (op) {
  case UN_SQRT: case UN_EXP: case UN_EXPM1: case UN_LOG: case UN_LOG1P: case UN_LOG2:
  case UN_TAN: case UN_TANH: case UN_SIGMOID: case UN_ATAN: case UN_RELU: case UN_SQUARE:
  case UN_RECIP: case UN_ABS: return true;
  default: return false;
  }
}

Tensor *fused_unary(Rt *rt, UnOp op, Tensor *g, Tensor *saved) {
  if (!has_pass(op) || g->dtype != saved->dtype || !dtype_float(g->dtype)) return NULL;
  if (!g->contiguous || !saved->contiguous || g->size != saved->size) return NULL;
  bool own = g->obj.refs == 1 && g->storage->refs == 1;
  Tensor *out = own ? tensor_ref(g) : tensor_new(rt, g->dtype, g->rank, g->shape);
  if (!out) return NULL;   /* short of memory: the general rule meets it again */
  if (g->dtype == DT_F64) run_f64(op, out, g, saved);
  else run_f32(op, out, g, saved);
  return out;
}
