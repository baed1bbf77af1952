/* unary.c: functions of one tensor, clip and where. */
#include "runtime/base/parallel.h"
#include "runtime/tensor/elementwise.h"

#include <math.h>
#include <string.h>

static const char *const un_names[UN_COUNT] = {
  "-", "not", "abs", "sign", "sqrt", "exp", "log", "log2", "log1p", "expm1", "sin", "cos", "tan",
  "asin", "acos", "atan", "sinh", "cosh", "tanh", "erf", "gamma_ln", "digamma", "floor", "ceil",
  "round", "relu", "gelu", "sigmoid", "softplus", "real", "imag", "conj", "arg", "isnan",
  "isfinite", "square", "recip",
};

const char *unop_name(UnOp op) { return un_names[op]; }

/* ---- unary ------------------------------------------------------------------------- */

/* The dtype the function works in: the tensor's own, else i64 for bools and
 * f64 for integers; -1 where there is none.                                   */
static int unary_compute(Rt *rt, UnOp op, DType d) {
  if (kernel_unary(op, d)) return d;
  if (op == UN_NOT) {
    rt_fail(rt, RT_ERROR, "`not` needs bools, found %s", dtype_name[d]);
    return -1;
  }
  if (d == DT_BOOL && kernel_unary(op, DT_I64)) return DT_I64;
  if (d <= DT_I64) return DT_F64;
  rt_fail(rt, RT_ERROR, "`%s` is not defined for complex numbers", un_names[op]);
  return -1;
}

static DType unary_result(UnOp op, DType d) {
  if (op == UN_ISNAN || op == UN_ISFINITE) return DT_BOOL;
  bool part = op == UN_ABS || op == UN_REAL || op == UN_IMAG || op == UN_ARG;
  if (part && dtype_complex(d)) return d == DT_C64 ? DT_F32 : DT_F64;
  return d;
}

typedef struct { UnRun run; int64_t n; const char *x; char *o; size_t in, out; } UnJob;

enum { UNARY_BLOCK = KERNEL_BLOCK / 4 };

static int unary_blocks(void *job, int64_t first, int64_t end, int lane) {
  const UnJob *j = job;
  int bad = 0;
  for (int64_t k = first; k < end; k++) {
    int64_t at = k * UNARY_BLOCK, m = j->n - at < UNARY_BLOCK ? j->n - at : UNARY_BLOCK;
    bad |= j->run(m, j->x + (size_t)at * j->in, j->o + (size_t)at * j->out);
  }
  return bad;
}

static int run_unary(Rt *rt, UnRun run, int64_t n, const char *x, char *o, size_t in, size_t out) {
  if (n < KERNEL_PARALLEL / 4 || rt->threads < 2) return run(n, x, o);
  UnJob job = {run, n, x, o, in, out};
  return parallel_for(rt->threads, (n + UNARY_BLOCK - 1) / UNARY_BLOCK, 2, unary_blocks, &job);
}

Tensor *tensor_unary(Rt *rt, UnOp op, Tensor *a, unsigned reuse) {
  int compute = unary_compute(rt, op, (DType)a->dtype);
  if (compute < 0) return NULL;
  Tensor *c = NULL, *x = a;
  if (a->dtype != compute || !a->contiguous) {
    c = a->dtype != compute ? tensor_astype(rt, a, (DType)compute) : tensor_copy(rt, a);
    if (!c) return NULL;
    x = c;
    reuse = 1;
  }
  DType dt = unary_result(op, (DType)compute);
  Tensor *out = (reuse & 1) && can_reuse(x, dt, x->rank, x->shape)
                    ? reuse_tensor(x)
                    : tensor_new(rt, dt, x->rank, x->shape);
  if (out) {
    int bad = run_unary(rt, kernel_unary(op, (DType)compute), x->size, x->data, out->data,
                        dtype_size[compute], dtype_size[dt]);
    if (bad) out = kernel_failed(rt, un_names[op], bad, out);
  }
  tensor_unref(rt, c);
  return out;
}

/* ---- clip --------------------------------------------------------------------------- */

#define CLIP(T, low, high)                                                    \
  do {                                                                        \
    const T *p = (const T *)x->data;                                          \
    T *o = (T *)out->data, l = low, h = high;                                 \
    for (int64_t i = 0; i < x->size; i++) {                                   \
      T v = p[i] < l ? l : p[i];                                              \
      o[i] = v > h ? h : v;                                                   \
    }                                                                         \
  } while (0)

static bool integral(double x) { return isinf(x) || x == floor(x); }

/* The i64 nearest to a bound that may be infinite. */
static int64_t bound_i64(double x) {
  return x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : (int64_t)x;
}

Tensor *tensor_clip(Rt *rt, Tensor *a, double lo, double hi, unsigned reuse) {
  if (dtype_complex((DType)a->dtype)) {
    rt_fail(rt, RT_ERROR, "`clip` is not defined for complex numbers");
    return NULL;
  }
  if (!(lo <= hi)) {
    rt_fail(rt, RT_ERROR, "`clip`: the lower bound %g is above the upper bound %g", lo, hi);
    return NULL;
  }
  DType dt = (DType)a->dtype;
  if (dt <= DT_I64) dt = integral(lo) && integral(hi) ? DT_I64 : DT_F64;
  Tensor *c = NULL, *x = a;
  if (a->dtype != dt || !a->contiguous) {
    c = a->dtype != dt ? tensor_astype(rt, a, dt) : tensor_copy(rt, a);
    if (!c) return NULL;
    x = c;
    reuse = 1;
  }
  Tensor *out = (reuse & 1) && can_reuse(x, (int)dt, x->rank, x->shape)
                    ? reuse_tensor(x)
                    : tensor_new(rt, dt, x->rank, x->shape);
  if (out && dt == DT_I64) CLIP(int64_t, bound_i64(lo), bound_i64(hi));
  else if (out && dt == DT_F32) CLIP(float, (float)lo, (float)hi);
  else if (out) CLIP(double, lo, hi);
  tensor_unref(rt, c);
  return out;
}

/* ---- where --------------------------------------------------------------------------- */

/* Both are read, so that rows behind one another and a number repeated need no branch. */
#define CHOOSE(T)                                                             \
  do {                                                                        \
    const T *x = (const T *)pa, *y = (const T *)pb;                           \
    T *restrict o = (T *)po;                                                  \
    if (sc == 1 && sa == 1 && sb == 1)                                        \
      for (int64_t i = 0; i < n; i++) { T u = x[i], v = y[i]; o[i] = c[i] ? u : v; } \
    else if (sc == 1 && sa == 1 && sb == 0)                                   \
      for (int64_t i = 0; i < n; i++) { T u = x[i], v = y[0]; o[i] = c[i] ? u : v; } \
    else for (int64_t i = 0; i < n; i++) o[i] = c[i * sc] ? x[i * sa] : y[i * sb]; \
  } while (0)

__attribute__((optimize("O3")))
static void choose(int64_t n, size_t size, const uint8_t *c, int64_t sc, const char *pa,
                   int64_t sa, const char *pb, int64_t sb, char *po) {
  switch (size) {
    case 1: CHOOSE(uint8_t); break;
    case 4: CHOOSE(uint32_t); break;
    case 8: CHOOSE(uint64_t); break;
    default: CHOOSE(c128); break;
  }
}

static Tensor *where_typed(Rt *rt, Tensor *cond, Tensor *a, Tensor *b) {
  int rank, rank2;
  int64_t shape[TENSOR_MAX_RANK], all[TENSOR_MAX_RANK];
  int64_t sc[TENSOR_MAX_RANK], sa[TENSOR_MAX_RANK], sb[TENSOR_MAX_RANK];
  if (broadcast_shape(rt, "where", a, b, &rank, shape)) return NULL;
  Tensor values = {.rank = (uint8_t)rank, .shape = shape};   /* only its shape is asked for */
  if (broadcast_shape(rt, "where", cond, &values, &rank2, all)) return NULL;
  Tensor *out = tensor_new(rt, (DType)a->dtype, rank2, all);
  if (!out) return NULL;
  broadcast_strides(cond, rank2, all, sc);
  broadcast_strides(a, rank2, all, sa);
  broadcast_strides(b, rank2, all, sb);
  const int64_t *strides[] = {sc, sa, sb};
  Loop l;
  loop_init(&l, rank2, all, 3, strides);
  size_t size = dtype_size[a->dtype];
  int64_t runs = loop_runs(&l), n = loop_inner(&l);
  char *o = out->data;
  for (int64_t r = 0; r < runs; r++, loop_next(&l), o += (size_t)n * size)
    choose(n, size, (const uint8_t *)cond->data + l.off[0], loop_step(&l, 0),
           a->data + l.off[1] * (int64_t)size, loop_step(&l, 1),
           b->data + l.off[2] * (int64_t)size, loop_step(&l, 2), o);
  return out;
}

/* Rank-0 values adapt to the other side's dtype, as numbers in a script do. */
Tensor *tensor_where(Rt *rt, Tensor *cond, Tensor *a, Tensor *b) {
  if (cond->dtype != DT_BOOL) {
    rt_fail(rt, RT_ERROR, "`where` needs a bool condition, found %s", dtype_name[cond->dtype]);
    return NULL;
  }
  unsigned weak = (a->rank == 0 ? 1u : 0u) | (b->rank == 0 ? 2u : 0u);
  int dt = a->dtype == b->dtype ? a->dtype
                                : binary_dtype(rt, BIN_MUL, (DType)a->dtype, (DType)b->dtype, weak);
  if (dt < 0) return NULL;
  Tensor *ca = tensor_astype(rt, a, (DType)dt);
  Tensor *cb = ca ? tensor_astype(rt, b, (DType)dt) : NULL;
  Tensor *out = cb ? where_typed(rt, cond, ca, cb) : NULL;
  tensor_unref(rt, ca);
  tensor_unref(rt, cb);
  return out;
}
