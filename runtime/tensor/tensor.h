/* tensor.h: arrays: storage and views, elementwise work, reductions,
 * products, indexing, sorting.  No gradients here: see runtime/grad.
 *
 * Ownership: a function that returns `Tensor *` returns a new reference (or
 * NULL with rt->error set); arguments are borrowed.  `reuse` bits let a
 * kernel write its result into an argument's buffer: bit 0 the first
 * argument, bit 1 the second; it does so only when nobody else holds it
 * (refs == 1 on tensor and storage, same dtype and shape, contiguous) and
 * then returns that same tensor with one more reference.
 *
 * Layout: row-major by default, strides in elements (may be 0 or negative).
 * Shapes: at most TENSOR_MAX_RANK axes; a rank-0 tensor has size 1.
 */
#ifndef QA_TENSOR_H
#define QA_TENSOR_H

#include "runtime/base/base.h"

#define TENSOR_MAX_RANK 16

typedef enum { DT_BOOL, DT_I64, DT_F32, DT_F64, DT_C64, DT_C128, DT_COUNT } DType;

/* complex numbers are stored as (re, im) pairs */
typedef struct { float re, im; } c64;
typedef struct { double re, im; } c128;

typedef struct Storage {
  uint32_t refs;      /* tensors that look at these bytes                    */
  uint32_t flags;
  size_t bytes;
  void *data;
  void (*release)(void *data, void *user); /* foreign memory; NULL: rt's     */
  void *user;
} Storage;

typedef struct Tensor {
  Obj obj;            /* kind OBJ_TENSOR                                     */
  uint8_t dtype, rank;
  bool contiguous;    /* row-major without gaps                              */
  uint64_t node;      /* serial on the tape; 0: never recorded (see grad.h)  */
  int64_t size;       /* number of elements                                  */
  Storage *storage;
  char *data;         /* first element                                       */
  int64_t *shape;     /* [rank]  points behind the header                    */
  int64_t *stride;    /* [rank]  in elements                                 */
  int64_t dims[];     /* shape then stride                                   */
} Tensor;

static inline Tensor *tensor_ref(Tensor *t) { t->obj.refs++; return t; }
void tensor_unref(Rt *rt, Tensor *t);        /* NULL is fine */
static inline bool tensor_unique(const Tensor *t) {
  return t->obj.refs == 1 && t->storage->refs == 1;
}

extern const size_t dtype_size[DT_COUNT];
extern const char *const dtype_name[DT_COUNT];  /* "bool" "i64" "f32" ... */
int dtype_from_name(const char *name);          /* -1: none */
static inline bool dtype_complex(DType d) { return d >= DT_C64; }
static inline bool dtype_float(DType d) { return d == DT_F32 || d == DT_F64; }

/* ---- making ------------------------------------------------------------ */
Tensor *tensor_new(Rt *rt, DType dt, int rank, const int64_t *shape);   /* uninitialised */
Tensor *tensor_zeros(Rt *rt, DType dt, int rank, const int64_t *shape);
Tensor *tensor_full(Rt *rt, DType dt, int rank, const int64_t *shape, double re, double im);
Tensor *tensor_scalar(Rt *rt, DType dt, double re, double im);          /* rank 0; i64 exact below 2^53 */
Tensor *tensor_scalar_i64(Rt *rt, int64_t v);
Tensor *tensor_arange(Rt *rt, DType dt, double start, double step, int64_t n);
/* Wraps memory of the host without copying; `release` runs when the last
 * view dies.  strides NULL: row-major.                                      */
Tensor *tensor_foreign(Rt *rt, DType dt, int rank, const int64_t *shape,
                       const int64_t *stride, void *data,
                       void (*release)(void *, void *), void *user);
/* A view of the same storage; no check that it stays inside. */
Tensor *tensor_view(Rt *rt, Tensor *t, int rank, const int64_t *shape,
                    const int64_t *stride, int64_t offset);
Tensor *tensor_contiguous(Rt *rt, Tensor *t);   /* t itself (+1 ref) or a copy */
Tensor *tensor_copy(Rt *rt, Tensor *t);         /* always a fresh contiguous copy */
Tensor *tensor_astype(Rt *rt, Tensor *t, DType dt); /* NumPy casting; f->i64 of nan/overflow is an error */
/* Makes *t writable in place: copies (and counts rt->buffer_copies) when the
 * buffer is shared, replacing *t.                                           */
RtStatus tensor_own(Rt *rt, Tensor **t);

/* ---- scalars in and out ------------------------------------------------ */
double tensor_get_f64(const Tensor *t, int64_t flat);   /* row-major position; real part */
int64_t tensor_get_i64(const Tensor *t, int64_t flat);
c128 tensor_get_c128(const Tensor *t, int64_t flat);
void tensor_set_f64(Tensor *t, int64_t flat, double v);

/* ---- shape text for messages: "(32, 784)" ------------------------------ */
char *tensor_shape_text(const Tensor *t, char buf[128]);
char *shape_text(int rank, const int64_t *shape, char buf[128]);

/* ---- elementwise ------------------------------------------------------- */
typedef enum {                     /* binary; broadcasting as in NumPy       */
  BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_FLOORDIV, BIN_MOD, BIN_POW,
  BIN_MIN, BIN_MAX, BIN_ATAN2,
  BIN_EQ, BIN_NE, BIN_LT, BIN_LE, BIN_GT, BIN_GE,   /* give bool            */
  BIN_AND, BIN_OR, BIN_XOR,                         /* bool only            */
  BIN_COUNT
} BinOp;

typedef enum {
  UN_NEG, UN_NOT, UN_ABS, UN_SIGN, UN_SQRT, UN_EXP, UN_LOG, UN_LOG2, UN_LOG1P,
  UN_EXPM1, UN_SIN, UN_COS, UN_TAN, UN_ASIN, UN_ACOS, UN_ATAN, UN_SINH,
  UN_COSH, UN_TANH, UN_ERF, UN_GAMMA_LN, UN_DIGAMMA, UN_FLOOR, UN_CEIL,
  UN_ROUND,                       /* half to even, as NumPy                  */
  UN_RELU, UN_GELU /* erf form */, UN_SIGMOID, UN_SOFTPLUS,
  UN_REAL, UN_IMAG, UN_CONJ, UN_ARG, UN_ISNAN, UN_ISFINITE,
  UN_SQUARE, UN_RECIP, UN_COUNT
} UnOp;

/* Scalar operands adapt to the tensor (f32 tensor * 0.5 stays f32): pass
 * them as rank-0 tensors with `weak` bits set (bit 0 / bit 1), or use the
 * _scalar forms, which need no tensor for the number.  Two strong float
 * dtypes that differ (f32 with f64) are an error.  i64 / i64 gives f64;
 * i64 overflow is an error; integer // and % floor, by zero an error.       */
Tensor *tensor_binary(Rt *rt, BinOp op, Tensor *a, Tensor *b, unsigned reuse, unsigned weak);
Tensor *tensor_binary_scalar(Rt *rt, BinOp op, Tensor *a, double s, bool s_is_int, bool scalar_left, unsigned reuse);
Tensor *tensor_unary(Rt *rt, UnOp op, Tensor *a, unsigned reuse);
Tensor *tensor_clip(Rt *rt, Tensor *a, double lo, double hi, unsigned reuse);
Tensor *tensor_where(Rt *rt, Tensor *cond, Tensor *a, Tensor *b);  /* broadcast */
const char *binop_name(BinOp op);  /* "+", "@" style text for messages */
const char *unop_name(UnOp op);
/* dtype of a op b under the rules above; -1 + error when they do not mix.   */
int binary_dtype(Rt *rt, BinOp op, DType a, DType b, unsigned weak);
RtStatus broadcast_shape(Rt *rt, const char *what, const Tensor *a, const Tensor *b,
                         int *rank, int64_t shape[TENSOR_MAX_RANK]);
/* Broadcast view (stride 0) of t to a shape. */
Tensor *tensor_expand(Rt *rt, Tensor *t, int rank, const int64_t *shape);

/* ---- reductions: axes as a bit mask (all: ~0u); keep: extent 1 stays ---- */
typedef enum { RED_SUM, RED_PROD, RED_MIN, RED_MAX, RED_MEAN, RED_ANY, RED_ALL,
               RED_LOGSUMEXP, RED_SUMSQ, RED_COUNT } RedOp;
Tensor *tensor_reduce(Rt *rt, RedOp op, Tensor *a, unsigned axes, bool keep);
/* Sum `a` down to `shape` (the adjoint of broadcasting to a's shape). */
Tensor *tensor_sum_to(Rt *rt, Tensor *a, int rank, const int64_t *shape);
Tensor *tensor_argreduce(Rt *rt, bool max, Tensor *a, int axis);   /* axis -1..; i64; first winner */

/* ---- shape ------------------------------------------------------------- */
RtStatus axis_check(Rt *rt, const char *what, int64_t axis, int rank, int *out); /* negatives count from the end */
Tensor *tensor_reshape(Rt *rt, Tensor *t, int rank, const int64_t *shape);  /* one -1 is inferred; view if possible */
Tensor *tensor_permute(Rt *rt, Tensor *t, const int *axes);
Tensor *tensor_swap_last(Rt *rt, Tensor *t, bool conj);        /* x' */
Tensor *tensor_concat(Rt *rt, int n, Tensor **ts, int axis);
Tensor *tensor_stack(Rt *rt, int n, Tensor **ts, int axis);
Tensor *tensor_tile(Rt *rt, Tensor *t, int n, const int64_t *reps);

/* ---- indexing ---------------------------------------------------------- */
typedef enum { IX_AT, IX_SLICE, IX_ALL, IX_TENSOR } IndexKind;
typedef struct {
  IndexKind kind;
  int64_t at;                 /* IX_AT; negative counts from the end         */
  int64_t start, stop, step;  /* IX_SLICE; half open, step != 0              */
  bool has_start, has_stop;   /* missing ends                                */
  Tensor *tensor;             /* IX_TENSOR: i64 gathers, bool selects        */
} Index;
/* x[i, 1..3, :, idx]; missing trailing axes are `:`.  Pure AT/SLICE/ALL give
 * views; with tensors the result is a copy laid out as in NumPy (advanced
 * indices broadcast together).  Out of range is an error naming the axis.   */
Tensor *tensor_index(Rt *rt, Tensor *t, int n, const Index *ix);
/* (*t)[ix] = value (broadcast; dtype must hold it).  Writes in place when
 * *t is unshared, otherwise copies first (tensor_own).                      */
RtStatus tensor_index_set(Rt *rt, Tensor **t, int n, const Index *ix, Tensor *value);
/* acc[ix] += value, repeated indices add up: the adjoint of tensor_index.   */
RtStatus tensor_index_add(Rt *rt, Tensor *acc, int n, const Index *ix, Tensor *value);

/* ---- products ---------------------------------------------------------- */
Tensor *tensor_matmul(Rt *rt, Tensor *a, Tensor *b);   /* last two axes, others broadcast; 1-d as NumPy */
/* out = a op(@) b with transposes folded in: a is (.., m, k) after ta.      */
Tensor *tensor_matmul_t(Rt *rt, Tensor *a, bool ta, Tensor *b, bool tb);

/* ---- random numbers: runtime/tensor/random.h; linear algebra: linalg.h; - */
/* ---- sorting, quantiles, histogram ...: more.h --------------------------- */

#endif
