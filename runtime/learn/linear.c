/* linear.c: act(x W + b) as one operation.
 *
 * Forward: one product, then bias and activation block by block while the rows
 * are in cache.  Backward: g act', then dx = g W', dW = x' g, db = sums of g.
 * dW has few rows and a long inner axis; it is cut into pieces of PIECE rows
 * of x whose products are added in order, so that threads can share it.
 */
#include "runtime/learn/common.h"
#include "runtime/tensor/blas.h"
#include "runtime/tensor/matmul.h"

#include <string.h>

#define PIECE 2048

typedef struct { Activation act; bool bias; } LinearData;

static UnOp act_unop(Activation a) {
  switch (a) {
    case ACT_RELU: return UN_RELU;
    case ACT_GELU: return UN_GELU;
    case ACT_SIGMOID: return UN_SIGMOID;
    default: return UN_TANH;
  }
}

/* ---- forward ---------------------------------------------------------------------- */

typedef struct {
  int64_t m;
  size_t size;
  char *z, *y;        /* before and after the activation; may be the same */
  const char *bias;
  BinRun add;
  UnRun act;          /* NULL: none */
} Finish;

static void finish_rows(void *job, int64_t block, int64_t first, int64_t end) {
  const Finish *f = job;
  size_t row = (size_t)f->m * f->size;
  char *z = f->z + row * (size_t)first;
  if (f->bias)
    for (int64_t r = first; r < end; r++, z += row) f->add(f->m, z, 1, f->bias, 1, z);
  if (f->act) f->act((end - first) * f->m, f->z + row * (size_t)first, f->y + row * (size_t)first);
  (void)block;
}

static RtStatus check(Rt *rt, Tensor *x, Tensor *W, Tensor *b) {
  RT_TRY(need_float(rt, "linear", "x", x));
  RT_TRY(need_same(rt, "linear", "W", W, x));
  char tx[128], tw[128];
  if (x->rank < 1 || W->rank != 2)
    return rt_fail(rt, RT_ERROR, "`linear`: x must have at least one axis and W two, found %s, %s",
                   tensor_shape_text(x, tx), tensor_shape_text(W, tw));
  if (last_extent(x) != W->shape[0]) {
    rt_fail(rt, RT_ERROR, "`linear`: shapes do not match: x is %s, W is %s",
            tensor_shape_text(x, tx), tensor_shape_text(W, tw));
    if (last_extent(x) == W->shape[1]) rt_help(rt, "transpose W: W'");
    return RT_ERROR;
  }
  if (x->size >= INT32_MAX || W->size >= INT32_MAX)
    return rt_fail(rt, RT_LIMIT, "`linear`: more than 2^31 elements");
  return need_vector(rt, "linear", "b", b, W->shape[1], x);
}

static RtStatus linear_backward(Rt *rt, TapeNode *node, Tensor **g);
static void drop_data(Rt *rt, void *data) { rt_free(rt, data, sizeof(LinearData)); }
static const TapeRule linear_rule = {"linear", linear_backward, drop_data, true};

typedef struct { Tensor *x, *W, *b; } LinearArgs;

/* in carries the nodes, c the contiguous data the backward pass reads. */
static RtStatus record(Rt *rt, Tensor *y, LinearArgs in, LinearArgs c, Tensor *kept,
                       Activation act) {
  LinearData *d = rt_alloc(rt, sizeof *d);
  if (!d) return rt->error.status;
  *d = (LinearData){act, in.b != NULL};
  Tensor *inputs[] = {in.x, in.W, in.b}, *saved[] = {c.x, c.W, kept};
  return tape_record(rt, &linear_rule, 1, &y, in.b ? 3 : 2, inputs, 3, saved, d);
}

/* x and W contiguous.  *kept: what the backward pass needs of the activation. */
static Tensor *forward(Rt *rt, Tensor *x, Tensor *W, Tensor *b, Activation act, bool taped,
                       Tensor **kept) {
  int64_t n = W->shape[0], m = W->shape[1], shape[TENSOR_MAX_RANK];
  memcpy(shape, x->shape, (size_t)x->rank * sizeof *shape);
  shape[x->rank - 1] = m;
  DType d = (DType)x->dtype;
  Tensor *y = tensor_new(rt, d, x->rank, shape);
  Tensor *z = y;
  if (y && act == ACT_GELU && taped) z = tensor_new(rt, d, x->rank, shape);
  if (!z) {
    tensor_unref(rt, y);
    return NULL;
  }
  int64_t rows = n ? x->size / n : m ? y->size / m : 0;
  RtStatus bad = RT_OK;
  if (y->size && n)
    bad = matmul_raw(rt, d, rows, m, n, x->data, n, false, W->data, m, false, z->data, m);
  else memset(z->data, 0, (size_t)z->size * dtype_size[d]);
  if (bad) {
    if (z != y) tensor_unref(rt, z);
    tensor_unref(rt, y);
    return NULL;
  }
  Finish f = {m, dtype_size[d], z->data, y->data, b ? b->data : NULL, kernel_binary(BIN_ADD, d),
              act == ACT_NONE ? NULL : kernel_unary(act_unop(act), d)};
  if (y->size && (f.bias || f.act)) for_blocks(rt, rows, block_rows(m), y->size, finish_rows, &f);
  *kept = z;
  return y;
}

Tensor *learn_linear(Rt *rt, Tensor *x, Tensor *W, Tensor *b, Activation act) {
  if (check(rt, x, W, b)) return NULL;
  LinearArgs c = {tensor_contiguous(rt, x), NULL, NULL};
  c.W = c.x ? tensor_contiguous(rt, W) : NULL;
  c.b = c.W && b ? tensor_contiguous(rt, b) : NULL;
  Tensor *y = NULL, *kept = NULL;
  bool taped = rt_taped(rt, x) || rt_taped(rt, W) || (b && rt_taped(rt, b));
  if (c.W && (c.b || !b)) y = forward(rt, c.x, c.W, c.b, act, taped, &kept);
  RtStatus bad = y && taped ? record(rt, y, (LinearArgs){x, W, b}, c, kept, act) : RT_OK;
  if (y && kept != y) tensor_unref(rt, kept);
  if (bad) {
    tensor_unref(rt, y);
    y = NULL;
  }
  tensor_unref(rt, c.x);
  tensor_unref(rt, c.W);
  tensor_unref(rt, c.b);
  return y;
}

/* ---- backward --------------------------------------------------------------------- */

typedef struct {
  const LearnRows *k;
  Activation act;
  const char *g, *y;
  char *o;
  size_t size;
} ActJob;

static void act_block(void *job, int64_t block, int64_t first, int64_t end) {
  const ActJob *a = job;
  size_t at = a->size * (size_t)first;
  a->k->act_back(a->act, end - first, a->g + at, a->y + at, a->o + at);
  (void)block;
}

/* g act', contiguous; a new reference */
static Tensor *through_activation(Rt *rt, Tensor *g, Activation act, Tensor *kept) {
  Tensor *c = tensor_contiguous(rt, g);
  if (!c || act == ACT_NONE) return c;
  Tensor *o = tensor_new(rt, (DType)c->dtype, c->rank, c->shape);
  if (o) {
    ActJob job = {learn_rows((DType)c->dtype), act, c->data, kept->data, o->data,
                  dtype_size[c->dtype]};
    for_blocks(rt, c->size, CREW_BLOCK_WORK, c->size, act_block, &job);
  }
  tensor_unref(rt, c);
  return o;
}

typedef struct { DType d; int64_t n, m; const char *x, *g; char *part; } WeightJob;

static void weight_piece(void *job, int64_t block, int64_t first, int64_t end) {
  const WeightJob *w = job;
  size_t size = dtype_size[w->d];
  matmul_serial(w->d, w->n, w->m, end - first, w->x + size * (size_t)(first * w->n), w->n, true,
                w->g + size * (size_t)(first * w->m), w->m, false,
                w->part + size * (size_t)(block * w->n * w->m), w->m);
}

static Tensor *weight_gradient(Rt *rt, Tensor *x, Tensor *W, Tensor *g) {
  int64_t n = W->shape[0], m = W->shape[1], rows = m ? g->size / m : 0;
  int64_t pieces = (rows + PIECE - 1) / PIECE, shape[3] = {pieces, n, m};
  if (rows == 0 || n == 0) return tensor_zeros(rt, (DType)W->dtype, 2, W->shape);
  if (blas_open(rt)) return NULL;
  if (pieces == 1) {
    Tensor *o = tensor_new(rt, (DType)W->dtype, 2, W->shape);
    if (o && matmul_raw(rt, (DType)W->dtype, n, m, rows, x->data, n, true, g->data, m, false,
                        o->data, m)) {
      tensor_unref(rt, o);
      return NULL;
    }
    return o;
  }
  Tensor *part = tensor_new(rt, (DType)W->dtype, 3, shape);
  if (!part) return NULL;
  WeightJob job = {(DType)W->dtype, n, m, x->data, g->data, part->data};
  for_blocks(rt, rows, PIECE, rows * m, weight_piece, &job);
  Tensor *o = tensor_reduce(rt, RED_SUM, part, 1u, false);
  tensor_unref(rt, part);
  return o;
}

static Tensor *input_gradient(Rt *rt, Tensor *x, Tensor *W, Tensor *g) {
  int64_t n = W->shape[0], m = W->shape[1];
  if (x->size == 0 || m == 0) return tensor_zeros(rt, (DType)x->dtype, x->rank, x->shape);
  Tensor *o = tensor_new(rt, (DType)x->dtype, x->rank, x->shape);
  if (o && matmul_raw(rt, (DType)x->dtype, x->size / n, n, m, g->data, m, false, W->data, m, true,
                      o->data, n)) {
    tensor_unref(rt, o);
    return NULL;
  }
  return o;
}

static RtStatus linear_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const LinearData *d = tape_data(node);
  Tensor *x = tape_saved(node, 0), *W = tape_saved(node, 1), *kept = tape_saved(node, 2);
  if (!g[0]) return RT_OK;
  Tensor *gz = through_activation(rt, g[0], d->act, kept);
  if (!gz) return rt->error.status;
  RtStatus bad = RT_OK;
  if (tape_wants(node, 0)) bad = tape_add(rt, node, 0, input_gradient(rt, x, W, gz));
  if (!bad && tape_wants(node, 1)) bad = tape_add(rt, node, 1, weight_gradient(rt, x, W, gz));
  if (!bad && d->bias && tape_wants(node, 2)) {
    unsigned lead = (1u << (gz->rank - 1)) - 1;
    bad = tape_add(rt, node, 2, tensor_reduce(rt, RED_SUM, gz, lead, false));
  }
  tensor_unref(rt, gz);
  return bad;
}
