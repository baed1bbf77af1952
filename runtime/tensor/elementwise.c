/* elementwise.c: binary operations: dtypes, broadcasting, dispatch.
 *
 * The common cases come first: equal shapes and dtypes, and tensor with
 * number, go straight to one kernel call.  Everything else is brought to one
 * compute dtype and walked with a Loop.
 */
#include "runtime/base/parallel.h"
#include "runtime/tensor/elementwise.h"

#include <math.h>
#include <string.h>

static const char *const bin_names[BIN_COUNT] = {
  "+", "-", "*", "/", "//", "%", "^", "min", "max", "atan2",
  "==", "!=", "<", "<=", ">", ">=", "and", "or", "xor",
};

const char *binop_name(BinOp op) { return bin_names[op]; }

static inline bool is_compare(BinOp op) { return op >= BIN_EQ && op <= BIN_GE; }

/* ---- dtypes ------------------------------------------------------------------------ */

/* 0 bool, 1 integer, 2 real, 3 complex */
static inline int kind_of(DType d) { return d < DT_F32 ? (int)d : d < DT_C64 ? 2 : 3; }
static inline bool is_single(DType d) { return d == DT_F32 || d == DT_C64; }

static int promote_weak(DType scalar, DType strong) {
  if (kind_of(scalar) <= kind_of(strong)) return strong;
  switch (kind_of(scalar)) {
    case 1: return DT_I64;
    case 2: return DT_F64;
    default: return strong == DT_F32 ? DT_C64 : DT_C128;
  }
}

static int promote(Rt *rt, BinOp op, DType a, DType b, unsigned weak) {
  if (a == b) return a;
  if ((weak & 3) == 1) return promote_weak(a, b);
  if ((weak & 3) == 2) return promote_weak(b, a);
  int ka = kind_of(a), kb = kind_of(b);
  if (ka < 2 || kb < 2) return ka > kb ? (int)a : (int)b;
  if (is_single(a) != is_single(b)) {
    rt_fail(rt, RT_ERROR, "`%s` of %s and %s: single and double precision do not mix",
            bin_names[op], dtype_name[a], dtype_name[b]);
    rt_help(rt, "convert one side, f64(x) or f32(x)");
    return -1;
  }
  return ka > kb ? (int)a : (int)b;
}

static int wrong_dtype(Rt *rt, BinOp op, DType d, const char *why) {
  rt_fail(rt, RT_ERROR, "`%s` is not defined for %s: %s", bin_names[op], dtype_name[d], why);
  return -1;
}

/* The dtype both operands are brought to, or -1. */
static int compute_dtype(Rt *rt, BinOp op, DType a, DType b, unsigned weak) {
  if (op >= BIN_AND) {
    if (a == DT_BOOL && b == DT_BOOL) return DT_BOOL;
    return wrong_dtype(rt, op, a == DT_BOOL ? b : a, "it needs bools");
  }
  int d = promote(rt, op, a, b, weak);
  if (d < 0) return d;
  bool ordered = (op >= BIN_LT && op <= BIN_GE) || op == BIN_MIN || op == BIN_MAX ||
                 op == BIN_FLOORDIV || op == BIN_MOD || op == BIN_ATAN2;
  if (ordered && dtype_complex((DType)d))
    return wrong_dtype(rt, op, (DType)d, "complex numbers have no order");
  if (op == BIN_DIV || op == BIN_ATAN2) return d < DT_F32 ? DT_F64 : d;
  if (d == DT_BOOL && op <= BIN_POW) return DT_I64;
  return d;
}

int binary_dtype(Rt *rt, BinOp op, DType a, DType b, unsigned weak) {
  int d = compute_dtype(rt, op, a, b, weak);
  return d >= 0 && is_compare(op) ? DT_BOOL : d;
}

/* ---- running kernels ----------------------------------------------------------------- */

Tensor *kernel_failed(Rt *rt, const char *name, int bad, Tensor *out) {
  if (bad & KERNEL_ZERO) {
    rt_fail(rt, RT_ERROR, "integer division by zero in `%s`", name);
  } else if (bad & KERNEL_NEGATIVE) {
    rt_fail(rt, RT_ERROR, "an integer to a negative power in `%s`", name);
    rt_help(rt, "make the base a float: f64(x)");
  } else {
    rt_fail(rt, RT_ERROR, "integer overflow in `%s`: the result does not fit in 64 bits", name);
    rt_help(rt, "convert to floats first: f64(x)");
  }
  tensor_unref(rt, out);
  return NULL;
}

typedef struct {
  BinRun run;
  int64_t n, sa, sb;
  const char *a, *b;
  char *o;
  size_t in_size, out_size;
} FlatJob;

static int flat_blocks(void *job, int64_t first, int64_t end, int lane) {
  const FlatJob *j = job;
  int64_t in = (int64_t)j->in_size;
  int bad = 0;
  for (int64_t k = first; k < end; k++) {
    int64_t at = k * KERNEL_BLOCK, m = j->n - at < KERNEL_BLOCK ? j->n - at : KERNEL_BLOCK;
    bad |= j->run(m, j->a + at * j->sa * in, j->sa, j->b + at * j->sb * in, j->sb,
                  j->o + (size_t)at * j->out_size);
  }
  return bad;
}

/* One long run, in parallel blocks when it is long enough. */
static int run_flat(Rt *rt, BinRun run, int64_t n, const char *a, int64_t sa, const char *b,
                    int64_t sb, char *o, size_t in_size, size_t out_size) {
  if (n < KERNEL_PARALLEL || rt->threads < 2) return run(n, a, sa, b, sb, o);
  FlatJob job = {run, n, sa, sb, a, b, o, in_size, out_size};
  return parallel_for(rt->threads, (n + KERNEL_BLOCK - 1) / KERNEL_BLOCK, 1, flat_blocks, &job);
}

typedef struct {
  BinRun run;
  const char *a, *b;
  char *o;
  size_t in_size, out_size;
} BinJob;

/* Inner runs [first, end) of a walk over (a, b). */
static int run_range(const BinJob *j, const Loop *walk, int64_t first, int64_t end) {
  Loop l = *walk;
  int64_t n = loop_inner(&l), sa = loop_step(&l, 0), sb = loop_step(&l, 1);
  int bad = 0;
  loop_seek(&l, first);
  for (int64_t r = first; r < end; r++, loop_next(&l))
    bad |= j->run(n, j->a + l.off[0] * (int64_t)j->in_size, sa,
                  j->b + l.off[1] * (int64_t)j->in_size, sb, j->o + (size_t)(r * n) * j->out_size);
  return bad;
}

typedef struct { const BinJob *bin; const Loop *walk; int64_t runs, per; } WalkJob;

static int walk_blocks(void *job, int64_t first, int64_t end, int lane) {
  const WalkJob *w = job;
  int64_t last = end * w->per < w->runs ? end * w->per : w->runs;
  return run_range(w->bin, w->walk, first * w->per, last);
}

static int run_loop(Rt *rt, const BinJob *j, const Loop *walk) {
  int64_t runs = loop_runs(walk), n = loop_inner(walk);
  if (runs == 0) return 0;
  if (runs == 1)
    return run_flat(rt, j->run, n, j->a, loop_step(walk, 0), j->b, loop_step(walk, 1), j->o,
                    j->in_size, j->out_size);
  if (rt->threads < 2 || runs * n < KERNEL_PARALLEL) return run_range(j, walk, 0, runs);
  WalkJob job = {j, walk, runs, KERNEL_BLOCK / n + 1};
  return parallel_for(rt->threads, (runs + job.per - 1) / job.per, 1, walk_blocks, &job);
}

/* ---- operands --------------------------------------------------------------------------- */

static inline bool same_shape(const Tensor *a, const Tensor *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->shape[i] != b->shape[i]) return false;
  return true;
}

/* The result tensor: one of the operands when allowed. */
static Tensor *result_for(Rt *rt, int dt, int rank, const int64_t *shape, Tensor *a, Tensor *b,
                          unsigned reuse) {
  if (reuse & 1 && a && can_reuse(a, dt, rank, shape)) return reuse_tensor(a);
  if (reuse & 2 && b && can_reuse(b, dt, rank, shape)) return reuse_tensor(b);
  return tensor_new(rt, (DType)dt, rank, shape);
}

static Tensor *binary_typed(Rt *rt, BinOp op, Tensor *a, Tensor *b, unsigned reuse) {
  int rank, bad;
  int64_t shape[TENSOR_MAX_RANK], sa[TENSOR_MAX_RANK], sb[TENSOR_MAX_RANK];
  DType compute = (DType)a->dtype, dt = is_compare(op) ? DT_BOOL : compute;
  if (broadcast_shape(rt, bin_names[op], a, b, &rank, shape)) return NULL;
  Tensor *out = result_for(rt, dt, rank, shape, a, b, reuse);
  if (!out) return NULL;
  broadcast_strides(a, rank, shape, sa);
  broadcast_strides(b, rank, shape, sb);
  const int64_t *strides[] = {sa, sb};
  Loop walk;
  loop_init(&walk, rank, shape, 2, strides);
  BinJob job = {kernel_binary(op, compute), a->data, b->data, out->data, dtype_size[compute],
                dtype_size[dt]};
  bad = run_loop(rt, &job, &walk);
  return bad ? kernel_failed(rt, bin_names[op], bad, out) : out;
}

static Tensor *binary_general(Rt *rt, BinOp op, Tensor *a, Tensor *b, unsigned reuse,
                              unsigned weak) {
  int compute = compute_dtype(rt, op, (DType)a->dtype, (DType)b->dtype, weak);
  if (compute < 0) return NULL;
  if (op == BIN_POW && compute == DT_I64 && b->size == 1 && tensor_get_i64(b, 0) < 0)
    compute = DT_F64;   /* 2^-1 is 0.5 */
  /* a converted copy is nobody else's: its buffer may take the result */
  Tensor *ca = NULL, *cb = NULL, *out = NULL;
  if (a->dtype != compute) {
    if (!(ca = tensor_astype(rt, a, (DType)compute))) goto done;
    reuse |= 1;
  }
  if (b->dtype != compute) {
    if (!(cb = tensor_astype(rt, b, (DType)compute))) goto done;
    reuse |= 2;
  }
  out = binary_typed(rt, op, ca ? ca : a, cb ? cb : b, reuse);
done:
  tensor_unref(rt, ca);
  tensor_unref(rt, cb);
  return out;
}

Tensor *tensor_binary(Rt *rt, BinOp op, Tensor *a, Tensor *b, unsigned reuse, unsigned weak) {
  DType d = (DType)a->dtype;
  if (d != b->dtype || !a->contiguous || !b->contiguous || !same_shape(a, b))
    return binary_general(rt, op, a, b, reuse, weak);
  BinRun run = kernel_binary(op, d);
  if (!run || (op == BIN_POW && d == DT_I64)) return binary_general(rt, op, a, b, reuse, weak);
  DType dt = is_compare(op) ? DT_BOOL : d;
  Tensor *out = result_for(rt, dt, a->rank, a->shape, a, b, reuse);
  if (!out) return NULL;
  int bad = run_flat(rt, run, a->size, a->data, 1, b->data, 1, out->data, dtype_size[d],
                     dtype_size[dt]);
  return bad ? kernel_failed(rt, bin_names[op], bad, out) : out;
}

/* ---- tensor with number -------------------------------------------------------------------- */

typedef union { uint8_t b; int64_t i; float f; double d; c64 c; c128 z; } Scalar;

static Scalar scalar_of(DType d, double s) {
  Scalar v = {0};
  switch (d) {
    case DT_BOOL: v.b = s != 0; break;
    case DT_I64: v.i = (int64_t)s; break;
    case DT_F32: v.f = (float)s; break;
    case DT_F64: v.d = s; break;
    case DT_C64: v.c = (c64){(float)s, 0}; break;
    default: v.z = (c128){s, 0}; break;
  }
  return v;
}

static Tensor *scalar_typed(Rt *rt, BinOp op, Tensor *a, double s, bool left, DType compute,
                            unsigned reuse) {
  DType dt = is_compare(op) ? DT_BOOL : compute;
  Tensor *out = result_for(rt, dt, a->rank, a->shape, a, NULL, reuse);
  if (!out) return NULL;
  BinRun run = kernel_binary(op, compute);
  size_t in = dtype_size[compute];
  Scalar v = scalar_of(compute, s);
  const char *number = (const char *)&v;
  int bad = left ? run_flat(rt, run, a->size, number, 0, a->data, 1, out->data, in, dtype_size[dt])
                 : run_flat(rt, run, a->size, a->data, 1, number, 0, out->data, in, dtype_size[dt]);
  return bad ? kernel_failed(rt, bin_names[op], bad, out) : out;
}

static Tensor *scalar_general(Rt *rt, BinOp op, Tensor *a, double s, bool s_is_int, bool left,
                              unsigned reuse) {
  DType ds = s_is_int ? DT_I64 : DT_F64;
  int compute = left ? compute_dtype(rt, op, ds, (DType)a->dtype, 1)
                     : compute_dtype(rt, op, (DType)a->dtype, ds, 2);
  if (compute < 0) return NULL;
  if (op == BIN_POW && compute == DT_I64 && !left && s < 0) compute = DT_F64;
  if (compute == DT_I64 && !(s >= -0x1p63 && s < 0x1p63))
    return kernel_failed(rt, bin_names[op], KERNEL_OVERFLOW, NULL);
  if (a->dtype == compute && a->contiguous)
    return scalar_typed(rt, op, a, s, left, (DType)compute, reuse);
  Tensor *c = a->dtype == compute ? tensor_contiguous(rt, a)
                                  : tensor_astype(rt, a, (DType)compute);
  Tensor *out = c ? scalar_typed(rt, op, c, s, left, (DType)compute, 1) : NULL;
  tensor_unref(rt, c);
  return out;
}

Tensor *tensor_binary_scalar(Rt *rt, BinOp op, Tensor *a, double s, bool s_is_int,
                             bool scalar_left, unsigned reuse) {
  DType d = (DType)a->dtype;
  if (op == BIN_POW && s == 2 && !scalar_left && d != DT_BOOL && (s_is_int || d >= DT_F32))
    return tensor_unary(rt, UN_SQUARE, a, reuse);
  if (d >= DT_F32 && op < BIN_AND && a->contiguous && kernel_binary(op, d))
    return scalar_typed(rt, op, a, s, scalar_left, d, reuse);
  return scalar_general(rt, op, a, s, s_is_int, scalar_left, reuse);
}
