/* reduce.c: reductions over axes.
 *
 * The kept axes are brought to the front.  Then either each result is one
 * contiguous run (reducing the last axes), or whole rows are combined
 * (reducing the first ones), or the tensor is copied once to get there.
 */
#include "runtime/base/parallel.h"
#include "runtime/tensor/reduce.h"
#include "runtime/tensor/elementwise.h"

#include <math.h>
#include <string.h>

static const char *const red_names[RED_COUNT] = {
  "sum", "prod", "min", "max", "mean", "any", "all", "logsumexp", "norm",
};

/* The dtype a reduction works in, or -1. */
static int reduce_compute(Rt *rt, RedOp op, DType d) {
  if (reduce_runs[op][d]) return d;
  if (op == RED_ANY || op == RED_ALL) return DT_BOOL;
  if (d == DT_BOOL && reduce_runs[op][DT_I64]) return DT_I64;
  if (d <= DT_I64) return DT_F64;
  rt_fail(rt, RT_ERROR, "`%s` is not defined for complex numbers", red_names[op]);
  return -1;
}

static DType reduce_result(RedOp op, DType d) {
  if (op == RED_SUM && d == DT_BOOL) return DT_I64;
  if (op == RED_SUMSQ && dtype_complex(d)) return d == DT_C64 ? DT_F32 : DT_F64;
  return d;
}

/* ---- contiguous runs -------------------------------------------------------------------- */

typedef struct { RedOp op; DType d; int64_t n; const char *x; double *part; } LongSum;

static int sum_pieces(void *job, int64_t first, int64_t end, int lane) {
  const LongSum *s = job;
  const Kernels *k = kernels();
  bool squares = s->op == RED_SUMSQ;
  for (int64_t i = first; i < end; i++) {
    int64_t at = i * SUM_PIECE, m = s->n - at < SUM_PIECE ? s->n - at : SUM_PIECE;
    const double *xd = (const double *)s->x + at;
    const float *xf = (const float *)s->x + at;
    if (s->d == DT_F64) s->part[i] = squares ? k->sumsq_f64(m, xd) : k->sum_f64(m, xd);
    else s->part[i] = squares ? k->sumsq_f32(m, xf) : k->sum_f32(m, xf);
  }
  return 0;
}

/* One long float sum: pieces in parallel, added in order as total_ does. */
static int long_sum(Rt *rt, RedOp op, DType d, int64_t n, const char *x, void *o) {
  int64_t pieces = (n + SUM_PIECE - 1) / SUM_PIECE;
  double *part = rt_alloc(rt, (size_t)pieces * sizeof *part);
  if (!part) return -1;
  LongSum job = {op, d, n, x, part};
  parallel_for(rt->threads, pieces, KERNEL_BLOCK / SUM_PIECE + 1, sum_pieces, &job);
  double s = 0;
  for (int64_t i = 0; i < pieces; i++) s += part[i];
  rt_free(rt, part, (size_t)pieces * sizeof *part);
  if (op == RED_MEAN) s /= (double)n;
  if (d == DT_F64) *(double *)o = s;
  else *(float *)o = (float)s;
  return 0;
}

typedef struct { ReduceRun run; int64_t n; const char *x; char *o; size_t step, out; } Runs;

static int reduce_each(void *job, int64_t first, int64_t end, int lane) {
  const Runs *r = job;
  int bad = 0;
  for (int64_t i = first; i < end; i++)
    bad |= r->run(r->n, r->x + (size_t)i * r->step, r->o + (size_t)i * r->out);
  return bad;
}

static int reduce_last(Rt *rt, RedOp op, DType d, int64_t outer, int64_t n, const char *x,
                       char *o, size_t out_size) {
  ReduceRun run = reduce_runs[op][d];
  size_t step = (size_t)n * dtype_size[d];
  bool sums = op == RED_SUM || op == RED_MEAN || op == RED_SUMSQ;
  Runs job = {run, n, x, o, step, out_size};
  if (rt->threads < 2 || outer * n < KERNEL_PARALLEL) return reduce_each(&job, 0, outer, 0);
  if (outer < rt->threads && sums && dtype_float(d) && n > SUM_PIECE) {
    for (int64_t i = 0; i < outer; i++)
      if (long_sum(rt, op, d, n, x + (size_t)i * step, o + (size_t)i * out_size)) return -1;
    return 0;
  }
  return parallel_for(rt->threads, outer, KERNEL_BLOCK / n + 1, reduce_each, &job);
}

/* ---- rows --------------------------------------------------------------------------------- */

enum { COLUMNS = 512, ROW_BLOCK = 64 };

typedef struct {
  const char *x;      /* first element of this group of rows */
  int64_t rows, step; /* how many, and how far apart in elements */
} Rows;

/* Sum of m <= COLUMNS columns: blocks of rows in T, blocks together in double. */
#define SUM_ROWS(name, T, dt)                                                 \
  static void name(Rows r, int64_t m, double scale, void *vo) {               \
    double total[COLUMNS] = {0};                                              \
    T part[COLUMNS], *o = vo;                                                 \
    BinRun add = kernel_binary(BIN_ADD, dt);                                  \
    const T *x = (const T *)r.x;                                              \
    for (int64_t i = 0; i < r.rows; i += ROW_BLOCK) {                         \
      int64_t end = i + ROW_BLOCK < r.rows ? i + ROW_BLOCK : r.rows;          \
      memcpy(part, x + i * r.step, (size_t)m * sizeof(T));                    \
      for (int64_t k = i + 1; k < end; k++) add(m, part, 1, x + k * r.step, 1, part); \
      for (int64_t j = 0; j < m; j++) total[j] += (double)part[j];            \
    }                                                                         \
    for (int64_t j = 0; j < m; j++) o[j] = (T)(total[j] * scale);             \
  }
SUM_ROWS(sum_rows_f32, float, DT_F32)
SUM_ROWS(sum_rows_f64, double, DT_F64)

static int combine_rows(BinRun run, Rows r, int64_t m, size_t size, char *o) {
  int bad = 0;
  memcpy(o, r.x, (size_t)m * size);
  for (int64_t k = 1; k < r.rows; k++)
    bad |= run(m, o, 1, r.x + (size_t)(k * r.step) * size, 1, o);
  return bad;
}

/* The operation that combines rows, or -1 where runs are needed. */
static int row_op(RedOp op, DType d) {
  bool number = d >= DT_F32;
  switch (op) {
    case RED_SUM: return number ? BIN_ADD : -1;
    case RED_MEAN: return dtype_float(d) ? BIN_ADD : -1;
    case RED_PROD: return number ? BIN_MUL : -1;
    case RED_MIN: return BIN_MIN;
    case RED_MAX: return BIN_MAX;
    case RED_ANY: return BIN_OR;
    case RED_ALL: return BIN_AND;
    default: return -1;
  }
}

static int one_chunk(RedOp op, DType d, Rows r, int64_t m, char *o) {
  double scale = op == RED_MEAN ? 1.0 / (double)r.rows : 1.0;
  if ((op == RED_SUM || op == RED_MEAN) && d == DT_F64) sum_rows_f64(r, m, scale, o);
  else if ((op == RED_SUM || op == RED_MEAN) && d == DT_F32) sum_rows_f32(r, m, scale, o);
  else return combine_rows(kernel_binary((BinOp)row_op(op, d), d), r, m, dtype_size[d], o);
  return 0;
}

typedef struct {
  RedOp op;
  DType d;
  const Loop *keep;   /* the kept axes, innermost stride 1        */
  Rows rows;          /* the reduced axis at their first position */
  int64_t chunks;     /* column chunks of one inner run of keep   */
  char *o;
} RowJob;

static int row_task(const RowJob *job, int64_t t) {
  Loop l = *job->keep;
  int64_t n = loop_inner(&l);
  size_t size = dtype_size[job->d];
  loop_seek(&l, t / job->chunks);
  int64_t j = t % job->chunks * COLUMNS, m = n - j < COLUMNS ? n - j : COLUMNS;
  Rows r = job->rows;
  r.x += (l.off[0] + j) * (int64_t)size;
  char *o = job->o + (size_t)(t / job->chunks * n + j) * size;
  return one_chunk(job->op, job->d, r, m, o);
}

static int row_tasks(void *job, int64_t first, int64_t end, int lane) {
  int bad = 0;
  for (int64_t t = first; t < end; t++) bad |= row_task(job, t);
  return bad;
}

static int reduce_rows(Rt *rt, RedOp op, DType d, const Loop *keep, Rows rows, char *o) {
  int64_t runs = loop_runs(keep), n = loop_inner(keep);
  RowJob job = {op, d, keep, rows, (n + COLUMNS - 1) / COLUMNS, o};
  int64_t tasks = runs * job.chunks;
  int64_t work = runs * n * rows.rows;
  int64_t grain = tasks ? KERNEL_BLOCK / (work / tasks + 1) + 1 : 1;
  return parallel_for(work < KERNEL_PARALLEL ? 1 : rt->threads, tasks, grain, row_tasks, &job);
}

/* ---- putting it together --------------------------------------------------------------------- */

/* Kept axes first, reduced last; *kept is the number of kept ones. */
static Tensor *reduced_last(Rt *rt, Tensor *a, unsigned axes, int *kept) {
  int64_t shape[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK];
  int r = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < a->rank; i++) {
      if ((int)(axes >> i & 1) != pass) continue;
      shape[r] = a->shape[i];
      stride[r++] = a->stride[i];
    }
    if (pass == 0) *kept = r;
  }
  return tensor_view(rt, a, a->rank, shape, stride, 0);
}

static int reduce_general(Rt *rt, RedOp op, Tensor *a, unsigned axes, Tensor *out) {
  int kept;
  DType d = (DType)a->dtype;
  Tensor *v = reduced_last(rt, a, axes, &kept);
  if (!v) return -1;
  int64_t n = 1;
  for (int i = kept; i < v->rank; i++) n *= v->shape[i];
  Loop keep, gone;
  const int64_t *ks[] = {v->stride}, *gs[] = {v->stride + kept};
  loop_init(&keep, kept, v->shape, 1, ks);
  loop_init(&gone, v->rank - kept, v->shape + kept, 1, gs);
  int bad;
  if (!v->contiguous && gone.rank == 1 && loop_step(&keep, 0) == 1 && loop_inner(&keep) > 1 &&
      n > 0 && row_op(op, d) >= 0) {
    Rows rows = {v->data, n, loop_step(&gone, 0)};
    bad = reduce_rows(rt, op, d, &keep, rows, out->data);
  } else {
    Tensor *c = tensor_contiguous(rt, v);
    bad = c ? reduce_last(rt, op, d, out->size, n, c->data, out->data, dtype_size[out->dtype])
            : -1;
    tensor_unref(rt, c);
  }
  tensor_unref(rt, v);
  return bad;
}

static int reduced_shape(const Tensor *a, unsigned axes, bool keep, int64_t *shape, int64_t *n) {
  int rank = 0;
  *n = 1;
  for (int i = 0; i < a->rank; i++) {
    bool gone = axes >> i & 1;
    if (gone) *n *= a->shape[i];
    if (!gone || keep) shape[rank++] = gone ? 1 : a->shape[i];
  }
  return rank;
}

Tensor *tensor_reduce(Rt *rt, RedOp op, Tensor *a, unsigned axes, bool keep) {
  int compute = reduce_compute(rt, op, (DType)a->dtype);
  if (compute < 0) return NULL;
  int64_t shape[TENSOR_MAX_RANK], n;
  int rank = reduced_shape(a, axes, keep, shape, &n);
  if (n == 0 && (op == RED_MIN || op == RED_MAX || op == RED_MEAN)) {
    char text[128];
    rt_fail(rt, RT_ERROR, "`%s` of no elements: the shape is %s", red_names[op],
            tensor_shape_text(a, text));
    return NULL;
  }
  Tensor *out = tensor_new(rt, reduce_result(op, (DType)compute), rank, shape);
  if (!out) return NULL;
  Tensor *x = a->dtype == compute ? tensor_ref(a) : tensor_astype(rt, a, (DType)compute);
  int bad = -1;
  if (x && out->size == 1 && x->contiguous)
    bad = reduce_last(rt, op, (DType)compute, 1, n, x->data, out->data, dtype_size[out->dtype]);
  else if (x)
    bad = out->size ? reduce_general(rt, op, x, axes, out) : 0;
  tensor_unref(rt, x);
  if (bad < 0) {
    tensor_unref(rt, out);
    return NULL;
  }
  return bad ? kernel_failed(rt, red_names[op], bad, out) : out;
}

Tensor *tensor_sum_to(Rt *rt, Tensor *a, int rank, const int64_t *shape) {
  if (a->rank == rank && memcmp(a->shape, shape, (size_t)rank * sizeof *shape) == 0)
    return tensor_ref(a);
  int lead = a->rank - rank;
  bool fits = lead >= 0;
  unsigned axes = lead > 0 ? (1u << lead) - 1 : 0;
  for (int i = 0; fits && i < rank; i++) {
    int64_t n = a->shape[lead + i];
    fits = shape[i] == n || shape[i] == 1;
    if (shape[i] != n) axes |= 1u << (lead + i);
  }
  if (!fits) {
    char ta[128], tb[128];
    rt_fail(rt, RT_ERROR, "a tensor of shape %s cannot be summed to %s",
            tensor_shape_text(a, ta), shape_text(rank, shape, tb));
    return NULL;
  }
  Tensor *s = tensor_reduce(rt, RED_SUM, a, axes, true);
  Tensor *out = s ? tensor_reshape(rt, s, rank, shape) : NULL;
  tensor_unref(rt, s);
  return out;
}

/* ---- position of the extreme ---------------------------------------------------------------- */

#define FIRST(T, better)                                                      \
  do {                                                                        \
    const T *x = (const T *)p;                                                \
    for (int64_t i = 1; i < n && x[best] == x[best]; i++)                     \
      if (x[i] better x[best] || x[i] != x[i]) best = i;                      \
  } while (0)

static int64_t first_extreme(bool max, DType d, int64_t n, const char *p) {
  int64_t best = 0;
  switch (d) {
    case DT_BOOL: if (max) FIRST(uint8_t, >); else FIRST(uint8_t, <); break;
    case DT_I64: if (max) FIRST(int64_t, >); else FIRST(int64_t, <); break;
    case DT_F32: if (max) FIRST(float, >); else FIRST(float, <); break;
    default: if (max) FIRST(double, >); else FIRST(double, <); break;
  }
  return best;
}

Tensor *tensor_argreduce(Rt *rt, bool max, Tensor *a, int axis) {
  const char *name = max ? "argmax" : "argmin";
  int64_t shape[TENSOR_MAX_RANK], n;
  int kept;
  if (axis_check(rt, name, axis, a->rank, &axis)) return NULL;
  if (dtype_complex((DType)a->dtype)) {
    rt_fail(rt, RT_ERROR, "`%s` is not defined for complex numbers", name);
    return NULL;
  }
  int rank = reduced_shape(a, 1u << axis, false, shape, &n);
  if (n == 0) {
    rt_fail(rt, RT_ERROR, "`%s` of no elements: axis %d is empty", name, axis);
    return NULL;
  }
  Tensor *v = reduced_last(rt, a, 1u << axis, &kept);
  Tensor *c = v ? tensor_contiguous(rt, v) : NULL;
  Tensor *out = c ? tensor_new(rt, DT_I64, rank, shape) : NULL;
  size_t step = (size_t)n * dtype_size[a->dtype];
  for (int64_t i = 0; out && i < out->size; i++)
    ((int64_t *)out->data)[i] = first_extreme(max, (DType)a->dtype, n, c->data + (size_t)i * step);
  tensor_unref(rt, v);
  tensor_unref(rt, c);
  return out;
}
