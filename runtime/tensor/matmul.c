/* matmul.c: matrix products of tensors.
 *
 * Floats go to our own kernels (product.h) where those know the machine's
 * vectors.  Complex numbers, and floats on other machines, go to OpenBLAS, always
 * at one thread: its own threading changes bits with the number of threads.  We
 * thread over the batch and over blocks of ROW_BLOCK rows instead, whose bounds
 * depend on the shape alone.  Integers, and products too small for a call to
 * pay, have loops of their own.
 */
#include "runtime/tensor/matmul.h"
#include "runtime/base/parallel.h"
#include "runtime/tensor/blas.h"
#include "runtime/tensor/gemm_levels.h"
#include "runtime/tensor/loop.h"
#include "runtime/tensor/product.h"

#include <string.h>

#define ROW_BLOCK 256
#define PARALLEL_WORK 2000000   /* m n k from which a parallel loop pays      */
#define SPLIT_WORK 16000000     /* from which one of a batch is itself shared */

/* ---- one product ---------------------------------------------------------------------- */

/* C (m, n, row-major, ldc) = op(A) op(B); a transposed operand is stored with
 * its axes swapped and `ld` is the distance of the stored rows.               */
typedef struct { const char *p; int64_t ld; bool t; } Operand;
typedef struct { int64_t m, n, k; DType d; } Size;

#define SMALL_LOOPS(name, T, fused, HINT)                                     \
  static int name(Size s, Operand A, Operand B, char *pc, int64_t ldc) {      \
    const T *a = (const T *)A.p, *b = (const T *)B.p;                         \
    T *c = (T *)pc;                                                           \
    int64_t ai = A.t ? 1 : A.ld, ak = A.t ? A.ld : 1;                         \
    int64_t bk = B.t ? 1 : B.ld, bj = B.t ? B.ld : 1;                         \
    int bad = 0;                                                              \
    for (int64_t i = 0; i < s.m; i++) {                                       \
      T *row = c + i * ldc;                                                   \
      for (int64_t j = 0; j < s.n; j++) row[j] = 0;                           \
      for (int64_t k = 0; k < s.k; k++) {                                     \
        T x = a[i * ai + k * ak];                                             \
        const T *y = b + k * bk;                                              \
        if (bj == 1) {                                                        \
          HINT for (int64_t j = 0; j < s.n; j++) fused(row[j], x, y[j]);      \
        } else {                                                              \
          for (int64_t j = 0; j < s.n; j++) fused(row[j], x, y[j * bj]);      \
        }                                                                     \
      }                                                                       \
    }                                                                         \
    return bad;                                                               \
  }
#define MULTIPLY_ADD(acc, x, y) acc += (x) * (y)
#define CHECKED_ADD(acc, x, y)                                                \
  do {                                                                        \
    int64_t product_;                                                         \
    if (__builtin_mul_overflow(x, y, &product_) ||                            \
        __builtin_add_overflow(acc, product_, &(acc)))                        \
      bad = 1;                                                                \
  } while (0)
SMALL_LOOPS(loops_f32, float, MULTIPLY_ADD, _Pragma("omp simd"))
SMALL_LOOPS(loops_f64, double, MULTIPLY_ADD, _Pragma("omp simd"))
SMALL_LOOPS(loops_i64, int64_t, CHECKED_ADD, )

static int blas_product(Size s, Operand A, Operand B, void *c, int64_t ldc) {
  int ta = A.t ? BLAS_TRANSPOSED : BLAS_PLAIN, tb = B.t ? BLAS_TRANSPOSED : BLAS_PLAIN;
  int m = (int)s.m, n = (int)s.n, k = (int)s.k;
  int lda = (int)A.ld, ldb = (int)B.ld, ld = (int)ldc;
  const double one[2] = {1, 0}, zero[2] = {0, 0};
  const float onef[2] = {1, 0}, zerof[2] = {0, 0};
  const void *a = A.p, *b = B.p;
  switch (s.d) {
    case DT_F32:
      blas()->sgemm(BLAS_ROW_MAJOR, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, ld);
      break;
    case DT_F64:
      blas()->dgemm(BLAS_ROW_MAJOR, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, ld);
      break;
    case DT_C64:
      blas()->cgemm(BLAS_ROW_MAJOR, ta, tb, m, n, k, onef, a, lda, b, ldb, zerof, c, ld);
      break;
    default:
      blas()->zgemm(BLAS_ROW_MAJOR, ta, tb, m, n, k, one, a, lda, b, ldb, zero, c, ld);
      break;
  }
  return 0;
}

static bool is_small(Size s) {
  return s.m <= BLAS_SMALL && s.n <= BLAS_SMALL && s.k <= BLAS_SMALL &&
         s.m * s.n * s.k <= BLAS_SMALL && dtype_float(s.d);
}

/* Products for which our kernels are at least as fast as the library's. */
static bool is_own(Size s) { return dtype_float(s.d) && gemm_kernels() != &gemm_base; }

static RtStatus open_for(Rt *rt, Size s) {
  return s.d == DT_I64 || is_small(s) || is_own(s) ? RT_OK : blas_open(rt);
}

static int product(Size s, Operand A, Operand B, char *c, int64_t ldc) {
  bool small = is_small(s);
  if (s.d == DT_I64) return loops_i64(s, A, B, c, ldc);
  if (small && s.d == DT_F64) return loops_f64(s, A, B, c, ldc);
  if (small && s.d == DT_F32) return loops_f32(s, A, B, c, ldc);
  return blas_product(s, A, B, c, ldc);
}

static Product own_product(Size s, Operand A, Operand B, char *c, int64_t ldc) {
  return (Product){.d = s.d, .m = s.m, .n = s.n, .k = s.k, .a = A.p, .lda = A.ld, .ta = A.t,
                   .b = B.p, .ldb = B.ld, .tb = B.t, .c = c, .ldc = ldc};
}

/* Rows [i0, i0 + ROW_BLOCK) of one product. */
static int row_block(Size s, Operand A, Operand B, char *c, int64_t ldc, int64_t i0) {
  size_t size = dtype_size[s.d];
  A.p += (size_t)(A.t ? i0 : i0 * A.ld) * size;
  s.m = s.m - i0 < ROW_BLOCK ? s.m - i0 : ROW_BLOCK;
  return product(s, A, B, c + (size_t)(i0 * ldc) * size, ldc);
}

static RtStatus overflowed(Rt *rt) {
  return rt_fail(rt, RT_ERROR, "integer overflow in `@`: the result does not fit in 64 bits");
}

static int threads_for(const Rt *rt, double work) { return work < PARALLEL_WORK ? 1 : rt->threads; }

typedef struct { Size s; Operand A, B; char *c; int64_t ldc; } RowBlocks;

static int row_blocks(void *job, int64_t first, int64_t end, int lane) {
  const RowBlocks *r = job;
  int bad = 0;
  for (int64_t i = first; i < end; i++)
    bad |= row_block(r->s, r->A, r->B, r->c, r->ldc, i * ROW_BLOCK);
  return bad;
}

RtStatus matmul_raw(Rt *rt, DType d, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                    bool ta, const void *b, int64_t ldb, bool tb, void *c, int64_t ldc) {
  RowBlocks job = {{m, n, k, d}, {a, lda, ta}, {b, ldb, tb}, c, ldc};
  if (is_own(job.s) && !is_small(job.s)) {
    Product p = own_product(job.s, job.A, job.B, c, ldc);
    return product_run(rt, &p);
  }
  RT_TRY(open_for(rt, job.s));
  int threads = threads_for(rt, (double)m * (double)n * (double)k);
  int bad = parallel_for(threads, (m + ROW_BLOCK - 1) / ROW_BLOCK, 1, row_blocks, &job);
  return bad ? overflowed(rt) : RT_OK;
}

/* ---- tensors ---------------------------------------------------------------------------- */

static bool is_single(DType d) { return d == DT_F32 || d == DT_C64; }

static int product_dtype(Rt *rt, Tensor *a, Tensor *b) {
  DType x = (DType)a->dtype, y = (DType)b->dtype;
  if (x >= DT_F32 && y >= DT_F32 && is_single(x) != is_single(y)) {
    rt_fail(rt, RT_ERROR, "`@` of %s and %s: single and double precision do not mix",
            dtype_name[x], dtype_name[y]);
    rt_help(rt, "convert one side, f64(x) or f32(x)");
    return -1;
  }
  return binary_dtype(rt, BIN_MUL, x, y, 0);
}

/* The last two axes as BLAS can take them, or false. */
static bool as_operand(const Tensor *t, bool trans, Operand *o) {
  int r = t->rank;
  int64_t rows = t->shape[r - 2], cols = t->shape[r - 1];
  int64_t si = t->stride[r - 2], sj = t->stride[r - 1];
  int64_t floor_cols = cols > 0 ? cols : 1, floor_rows = rows > 0 ? rows : 1;
  *o = (Operand){t->data, floor_cols, trans};
  if ((sj == 1 || cols <= 1) && (si >= floor_cols || rows <= 1)) {
    if (rows > 1) o->ld = si;
    return o->ld < INT32_MAX;
  }
  if ((si == 1 || rows <= 1) && (sj >= floor_rows || cols <= 1)) {
    o->t = !trans;
    o->ld = cols > 1 ? sj : floor_rows;
    return o->ld < INT32_MAX;
  }
  return false;
}

/* An operand of the right dtype, rank >= 2 and layout; a new reference.  A
 * vector becomes a row (left) or a column (right).                            */
static Tensor *prepare(Rt *rt, Tensor *t, DType d, bool left, bool trans, Operand *o) {
  Tensor *x = tensor_astype(rt, t, d);
  if (x && x->rank == 1) {
    int64_t shape[2] = {left ? 1 : x->size, left ? x->size : 1};
    int64_t stride[2] = {left ? x->size : x->stride[0], left ? x->stride[0] : 1};
    Tensor *v = tensor_view(rt, x, 2, shape, stride, 0);
    tensor_unref(rt, x);
    x = v;
  }
  if (!x || as_operand(x, trans, o)) return x;
  Tensor *c = tensor_copy(rt, x);
  tensor_unref(rt, x);
  if (c && !as_operand(c, trans, o)) {
    rt_fail(rt, RT_ERROR, "`@`: a matrix with more than 2^31 columns");
    tensor_unref(rt, c);
    return NULL;
  }
  return c;
}

static RtStatus mismatch(Rt *rt, const Tensor *a, const Tensor *b, bool right_fits,
                         bool left_fits) {
  char ta[128], tb[128];
  rt_fail(rt, RT_ERROR, "shapes do not match in `@`: left is %s, right is %s",
          tensor_shape_text(a, ta), tensor_shape_text(b, tb));
  if (right_fits) rt_help(rt, "transpose the right side: `a @ b'`");
  else if (left_fits) rt_help(rt, "transpose the left side: `a' @ b`");
  return RT_ERROR;
}

/* m, n, k and the batch's shape; x, y have rank >= 2. */
static RtStatus product_shape(Rt *rt, Tensor *a, Tensor *b, Tensor *x, bool tx, Tensor *y, bool ty,
                              Size *s, int *batch, int64_t *shape) {
  const int64_t *xs = x->shape + x->rank - 2, *ys = y->shape + y->rank - 2;
  s->m = xs[tx];
  s->k = xs[!tx];
  s->n = ys[!ty];
  if (ys[ty] != s->k)
    return mismatch(rt, a, b, b->rank > 1 && ys[!ty] == s->k, a->rank > 1 && xs[tx] == ys[ty]);
  if (s->m > INT32_MAX || s->n > INT32_MAX || s->k > INT32_MAX)
    return rt_fail(rt, RT_LIMIT, "`@`: a matrix axis is longer than 2^31");
  Tensor lead_a = {.rank = (uint8_t)(x->rank - 2), .shape = x->shape};
  Tensor lead_b = {.rank = (uint8_t)(y->rank - 2), .shape = y->shape};
  if (broadcast_shape(rt, "@", &lead_a, &lead_b, batch, shape)) return mismatch(rt, a, b, 0, 0);
  shape[*batch] = s->m;
  shape[*batch + 1] = s->n;
  return RT_OK;
}

typedef struct {
  Size s;
  Operand A, B;
  int batch;
  const int64_t *shape;
  int64_t sa[TENSOR_MAX_RANK], sb[TENSOR_MAX_RANK];
  int64_t blocks;   /* row blocks of one product; 0: whole ones by our kernels */
  int threads;      /* of each of those                                        */
  char *c, *scratch;
  size_t lane_scratch;
} Batch;

static int batch_task(const Batch *b, int64_t t, int lane) {
  int64_t i = b->blocks > 0 ? t / b->blocks : t, rest = i, oa = 0, ob = 0;
  for (int axis = b->batch - 1; axis >= 0; axis--) {
    int64_t at = rest % b->shape[axis];
    rest /= b->shape[axis];
    oa += at * b->sa[axis];
    ob += at * b->sb[axis];
  }
  int64_t size = (int64_t)dtype_size[b->s.d];
  Operand p = b->A, q = b->B;
  p.p += oa * size;
  q.p += ob * size;
  char *c = b->c + i * b->s.m * b->s.n * size;
  if (b->blocks > 0) return row_block(b->s, p, q, c, b->s.n, t % b->blocks * ROW_BLOCK);
  Product own = own_product(b->s, p, q, c, b->s.n);
  product_on(&own, b->threads, b->scratch + (size_t)lane * b->lane_scratch);
  return 0;
}

static int batch_tasks(void *job, int64_t first, int64_t end, int lane) {
  int bad = 0;
  for (int64_t t = first; t < end; t++) bad |= batch_task(job, t, lane);
  return bad;
}

/* The batch by our own kernels: one product after another when each is worth
 * several threads, else each on one thread.                                    */
static RtStatus run_own(Rt *rt, Batch *job, int64_t total, double each) {
  Product p = own_product(job->s, job->A, job->B, NULL, job->s.n);
  int threads = threads_for(rt, (double)total * each), inner = each > SPLIT_WORK ? threads : 1;
  if (inner > 1) threads = 1;
  size_t lane = (product_scratch(&p, inner) + 63) / 64 * 64, bytes = lane * (size_t)threads;
  char *scratch = bytes ? rt_alloc(rt, bytes) : NULL;
  if (bytes && !scratch) return rt->error.status;
  job->scratch = scratch;
  job->lane_scratch = lane;
  job->threads = inner;
  int64_t grain = (int64_t)(PARALLEL_WORK / 4 / (each < 1 ? 1 : each)) + 1;
  parallel_for(threads, total, grain, batch_tasks, job);
  if (bytes) rt_free(rt, scratch, bytes);
  return RT_OK;
}

/* All products of the batch, in parallel over (product, row block). */
static RtStatus run_batch(Rt *rt, Size s, Tensor *x, Operand A, Tensor *y, Operand B, int batch,
                     const int64_t *shape, char *c) {
  Batch job = {.s = s, .A = A, .B = B, .batch = batch, .shape = shape, .c = c};
  int64_t total = 1;
  Tensor lead_a = {.rank = (uint8_t)(x->rank - 2), .shape = x->shape, .stride = x->stride};
  Tensor lead_b = {.rank = (uint8_t)(y->rank - 2), .shape = y->shape, .stride = y->stride};
  broadcast_strides(&lead_a, batch, shape, job.sa);
  broadcast_strides(&lead_b, batch, shape, job.sb);
  for (int i = 0; i < batch; i++) total *= shape[i];
  double each = (double)s.m * (double)s.n * (double)s.k;
  if (is_own(s) && !is_small(s)) return run_own(rt, &job, total, each);
  job.blocks = (s.m + ROW_BLOCK - 1) / ROW_BLOCK;
  int64_t tasks = total * job.blocks;
  double work = (double)total * each;
  int64_t grain = (int64_t)(PARALLEL_WORK / 4 / (each < 1 ? 1 : each)) + 1;
  RT_TRY(open_for(rt, s));
  return parallel_for(threads_for(rt, work), tasks, grain, batch_tasks, &job) ? overflowed(rt)
                                                                             : RT_OK;
}

static Tensor *multiply(Rt *rt, Tensor *a, Tensor *b, Tensor *x, Operand A, bool tx, Tensor *y,
                        Operand B, bool ty) {
  Size s = {.d = (DType)x->dtype};
  int batch;
  int64_t shape[TENSOR_MAX_RANK + 2];
  if (product_shape(rt, a, b, x, tx, y, ty, &s, &batch, shape)) return NULL;
  int64_t final[TENSOR_MAX_RANK + 2];
  int rank = 0;
  for (int i = 0; i < batch + 2; i++) {
    if ((i == batch && a->rank == 1) || (i == batch + 1 && b->rank == 1)) continue;
    final[rank++] = shape[i];
  }
  Tensor *out = tensor_new(rt, s.d, rank, final);
  if (!out || out->size == 0) return out;
  if (s.k == 0) {
    memset(out->data, 0, (size_t)out->size * dtype_size[s.d]);
    return out;
  }
  bool tall = y->rank == 2 && x->rank > 2 && x->contiguous && !A.t && x->size / s.k < INT32_MAX;
  /* many products with one right side are one tall product */
  RtStatus bad = tall ? matmul_raw(rt, s.d, x->size / s.k, s.n, s.k, A.p, s.k, false, B.p, B.ld,
                                   B.t, out->data, s.n)
                      : run_batch(rt, s, x, A, y, B, batch, shape, out->data);
  if (!bad) return out;
  tensor_unref(rt, out);
  return NULL;
}

/* Two small plain matrices, without the general machinery; NULL without an
 * error when this is another case.                                            */
static Tensor *small_product(Rt *rt, Tensor *a, bool ta, Tensor *b, bool tb) {
  if (a->rank != 2 || b->rank != 2 || a->dtype != b->dtype || !dtype_float((DType)a->dtype) ||
      !a->contiguous || !b->contiguous)
    return NULL;
  Size s = {a->shape[ta], b->shape[!tb], a->shape[!ta], (DType)a->dtype};
  if (b->shape[tb] != s.k || s.k < 1 || !is_small(s)) return NULL;
  Tensor *out = tensor_new(rt, s.d, 2, (int64_t[]){s.m, s.n});
  Operand A = {a->data, a->shape[1], ta}, B = {b->data, b->shape[1], tb};
  if (out) product(s, A, B, out->data, s.n);
  return out;
}

Tensor *tensor_matmul_t(Rt *rt, Tensor *a, bool ta, Tensor *b, bool tb) {
  Tensor *quick = small_product(rt, a, ta, b, tb);
  if (quick) return quick;
  if (a->rank == 0 || b->rank == 0) {
    rt_fail(rt, RT_ERROR, "`@` needs tensors with at least one axis, found a scalar");
    rt_help(rt, "use `*` to scale");
    return NULL;
  }
  int d = product_dtype(rt, a, b);
  if (d < 0) return NULL;
  bool tx = ta && a->rank > 1, ty = tb && b->rank > 1;
  Operand A, B;
  Tensor *x = prepare(rt, a, (DType)d, true, tx, &A);
  Tensor *y = x ? prepare(rt, b, (DType)d, false, ty, &B) : NULL;
  Tensor *out = y ? multiply(rt, a, b, x, A, tx, y, B, ty) : NULL;
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  return out;
}

Tensor *tensor_matmul(Rt *rt, Tensor *a, Tensor *b) {
  return tensor_matmul_t(rt, a, false, b, false);
}
