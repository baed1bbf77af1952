/* linear.c: act(x W + b) as one operation, and two of them with one activation between.
 *
 * Forward: one product whose blocks get bias and activation while they are in
 * cache; gelu leaves its derivative there as well, which costs little beside its
 * value.  Backward: linear_back.c.
 */
#include "runtime/learn/linear.h"
#include "runtime/tensor/product.h"

/* ---- forward ---------------------------------------------------------------------- */

typedef struct {
  Activation act;
  DType d;
  int64_t m;
  char *z, *y;        /* before and after the activation; may be the same */
  bool slope;         /* gelu: its derivative replaces z                  */
} Finish;

static void activate(const Finish *f, int64_t n, char *z, char *y) {
  const Kernels *k = kernels();
  if (f->act == ACT_RELU) kernel_unary(UN_RELU, f->d)(n, z, y);
  else if (f->act == ACT_SIGMOID) kernel_unary(UN_SIGMOID, f->d)(n, z, y);
  else if (f->act == ACT_TANH) kernel_unary(UN_TANH, f->d)(n, z, y);
  else if (f->d == DT_F32)
    k->gelu_f32(n, (float *)(void *)z, (float *)(void *)y, f->slope ? (float *)(void *)z : NULL);
  else
    k->gelu_f64(n, (double *)(void *)z, (double *)(void *)y, f->slope ? (double *)(void *)z : NULL);
}

/* A block of the product; whole rows are one run. */
static void finish_block(void *job, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const Finish *f = job;
  int64_t at = (row * f->m + column) * (int64_t)dtype_size[f->d];
  int64_t step = f->m * (int64_t)dtype_size[f->d];
  if (columns == f->m) {
    columns *= rows;
    rows = 1;
  }
  for (int64_t r = 0; r < rows; r++, at += step) activate(f, columns, f->z + at, f->y + at);
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
  int64_t n = W->shape[0], m = W->shape[1], shape[TENSOR_MAX_RANK], rows = 1;
  for (int i = 0; i < x->rank - 1; i++) rows *= shape[i] = x->shape[i];
  shape[x->rank - 1] = m;
  DType d = (DType)x->dtype;
  bool slope = act == ACT_GELU && taped;
  Tensor *y = tensor_new(rt, d, x->rank, shape);
  Tensor *z = y && slope ? tensor_new(rt, d, x->rank, shape) : y;
  if (!z) {
    tensor_unref(rt, y);
    return NULL;
  }
  Finish f = {act, d, m, z->data, y->data, slope};
  Product p = {.d = d, .m = rows, .n = m, .k = n, .a = x->data, .lda = n, .b = W->data, .ldb = m,
               .c = z->data, .ldc = m, .bias = b ? b->data : NULL,
               .finish = act == ACT_NONE ? NULL : finish_block, .job = &f};
  if (product_run(rt, &p)) {
    if (z != y) tensor_unref(rt, z);
    tensor_unref(rt, y);
    return NULL;
  }
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

/* ---- two layers ----------------------------------------------------------------------- */

static void drop_mlp(Rt *rt, void *data) { rt_free(rt, data, sizeof(MlpData)); }
static const TapeRule mlp_rule = {"mlp", mlp_backward, drop_mlp, true};

static RtStatus record_mlp(Rt *rt, Tensor *y, Tensor **in, Tensor **c, Tensor *h, Tensor *kept,
                           Activation act) {
  MlpData *d = rt_alloc(rt, sizeof *d);
  if (!d) return rt->error.status;
  *d = (MlpData){act, in[MLP_B1] != NULL, in[MLP_B2] != NULL};
  Tensor *inputs[MLP_ARGS], *saved[] = {c[MLP_X], c[MLP_W1], c[MLP_W2], h, kept};
  int n = 0;
  for (int i = 0; i < MLP_ARGS; i++)
    if (in[i]) inputs[n++] = in[i];
  return tape_record(rt, &mlp_rule, 1, &y, n, inputs, 5, saved, d);
}

Tensor *learn_mlp(Rt *rt, Tensor *x, Tensor *W1, Tensor *b1, Tensor *W2, Tensor *b2,
                  Activation act) {
  if (check(rt, x, W1, b1)) return NULL;
  Tensor *in[MLP_ARGS] = {x, W1, W2, b1, b2}, *c[MLP_ARGS] = {NULL};
  Tensor *h = NULL, *kept = NULL, *y = NULL, *same;
  bool ok = true, taped = false;
  for (int i = 0; i < MLP_ARGS; i++) {
    if (!in[i]) continue;
    if (ok) ok = (c[i] = tensor_contiguous(rt, in[i])) != NULL;
    taped = taped || rt_taped(rt, in[i]);
  }
  if (ok) h = forward(rt, c[MLP_X], c[MLP_W1], c[MLP_B1], act, taped, &kept);
  if (h && check(rt, h, W2, b2) == RT_OK)
    y = forward(rt, h, c[MLP_W2], c[MLP_B2], ACT_NONE, taped, &same);
  if (y && taped && record_mlp(rt, y, in, c, h, kept, act)) {
    tensor_unref(rt, y);
    y = NULL;
  }
  if (kept != h) tensor_unref(rt, kept);
  tensor_unref(rt, h);
  for (int i = 0; i < MLP_ARGS; i++) tensor_unref(rt, c[i]);
  return y;
}
