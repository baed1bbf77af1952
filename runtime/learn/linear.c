/* linear.c: act(x W + b) as one operation, and two of them with one activation between.
 *
 * Forward: one product whose blocks get bias and activation while they are in
 * cache; gelu leaves its derivative there as well, which costs little beside its
 * value.  Backward: G = g act' and its column sums db in one pass, then
 * dx = G W' and dW = x' G.  Of two layers the second's dx is multiplied by act' of the
 * first block by block, while it is in cache.
 */
#include "runtime/learn/common.h"
#include "runtime/tensor/product.h"

#include <string.h>

typedef struct { Activation act; bool bias; } LinearData;

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

/* ---- backward --------------------------------------------------------------------- */

typedef struct {
  const LearnRows *k;
  Activation act;
  int64_t m;
  size_t size;
  const char *g, *y;
  char *o;
  double *sums;       /* m for each block, or NULL */
} ActJob;

static void act_block(void *job, int64_t block, int64_t first, int64_t end) {
  const ActJob *a = job;
  size_t at = a->size * (size_t)(first * a->m);
  double *sum = a->sums ? a->sums + block * a->m : NULL;
  if (sum) memset(sum, 0, (size_t)a->m * sizeof *sum);
  a->k->act_back(a->act, end - first, a->m, a->g + at, a->y + at, a->o + at, sum);
}

static void fill_bias(Tensor *db, const double *sums, int64_t blocks) {
  for (int64_t i = 0; i < db->size; i++) {
    double s = 0;
    for (int64_t b = 0; b < blocks; b++) s += sums[b * db->size + i];
    if (db->dtype == DT_F32) ((float *)(void *)db->data)[i] = (float)s;
    else ((double *)(void *)db->data)[i] = s;
  }
}

/* g act' of contiguous g, a new reference; its column sums into *db when asked. */
static Tensor *through_activation(Rt *rt, Tensor *g, Activation act, Tensor *kept, Tensor **db) {
  DType d = (DType)g->dtype;
  int64_t m = last_extent(g), rows = m ? g->size / m : 0, per = block_rows(m);
  int64_t blocks = (rows + per - 1) / per;
  size_t bytes = db ? (size_t)(blocks * m) * sizeof(double) : 0;
  Tensor *o = act == ACT_NONE ? tensor_ref(g) : tensor_new(rt, d, g->rank, g->shape);
  double *sums = o && bytes ? rt_alloc(rt, bytes) : NULL;
  if (db) *db = o && (sums || !bytes) ? tensor_new(rt, d, 1, &m) : NULL;
  bool bad = !o || (db && !*db);
  if (!bad && (act != ACT_NONE || db)) {
    ActJob job = {learn_rows(d), act, m, dtype_size[d], g->data, kept->data, o->data, sums};
    for_blocks(rt, rows, per, g->size, act_block, &job);
    if (db) fill_bias(*db, sums, blocks);
  }
  if (sums) rt_free(rt, sums, bytes);
  if (bad) {
    tensor_unref(rt, o);
    return NULL;
  }
  return o;
}

/* A new tensor like `like`, filled by the product. */
static Tensor *product_like(Rt *rt, const Tensor *like, Product p) {
  Tensor *o = tensor_new(rt, (DType)like->dtype, like->rank, like->shape);
  if (!o) return NULL;
  p.d = (DType)like->dtype;
  p.c = o->data;
  p.ldc = p.n;
  if (product_run(rt, &p) == RT_OK) return o;
  tensor_unref(rt, o);
  return NULL;
}

/* Rows of x and g are `rows`; W is (n, m). */
static Tensor *input_gradient(Rt *rt, Tensor *x, Tensor *W, Tensor *g, int64_t rows) {
  int64_t n = W->shape[0], m = W->shape[1];
  return product_like(rt, x, (Product){.m = rows, .n = n, .k = m, .a = g->data, .lda = m,
                                       .b = W->data, .ldb = m, .tb = true});
}
static Tensor *weight_gradient(Rt *rt, Tensor *x, Tensor *W, Tensor *g, int64_t rows) {
  int64_t n = W->shape[0], m = W->shape[1];
  return product_like(rt, W, (Product){.m = n, .n = m, .k = rows, .a = x->data, .lda = n,
                                       .ta = true, .b = g->data, .ldb = m});
}

static RtStatus linear_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const LinearData *d = tape_data(node);
  Tensor *x = tape_saved(node, 0), *W = tape_saved(node, 1), *kept = tape_saved(node, 2);
  if (!g[0]) return RT_OK;
  bool bias = d->bias && tape_wants(node, 2);
  int64_t rows = 1;
  for (int i = 0; i < x->rank - 1; i++) rows *= x->shape[i];
  Tensor *c = tensor_contiguous(rt, g[0]), *db = NULL;
  Tensor *gz = c ? through_activation(rt, c, d->act, kept, bias ? &db : NULL) : NULL;
  tensor_unref(rt, c);
  if (!gz) return rt->error.status;
  RtStatus bad = bias ? tape_add(rt, node, 2, db) : RT_OK;
  if (!bad && tape_wants(node, 0)) bad = tape_add(rt, node, 0, input_gradient(rt, x, W, gz, rows));
  if (!bad && tape_wants(node, 1))
    bad = tape_add(rt, node, 1, weight_gradient(rt, x, W, gz, rows));
  tensor_unref(rt, gz);
  return bad;
}

/* ---- two layers ----------------------------------------------------------------------- */

typedef struct { Activation act; bool bias1, bias2; } MlpData;

static RtStatus mlp_backward(Rt *rt, TapeNode *node, Tensor **g);
static void drop_mlp(Rt *rt, void *data) { rt_free(rt, data, sizeof(MlpData)); }
static const TapeRule mlp_rule = {"mlp", mlp_backward, drop_mlp, true};

enum { MLP_X, MLP_W1, MLP_W2, MLP_B1, MLP_B2, MLP_ARGS };

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

typedef struct {
  const LearnRows *k;
  Activation act;
  int64_t m;
  size_t size;
  const char *y;      /* as in ActJob */
  char *g;
} SlopeJob;

static void slope_block(void *job, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const SlopeJob *s = job;
  if (columns == s->m) {
    columns *= rows;
    rows = 1;
  }
  for (int64_t r = 0; r < rows; r++) {
    size_t at = s->size * (size_t)((row + r) * s->m + column);
    s->k->act_back(s->act, 1, columns, s->g + at, s->y + at, s->g + at, NULL);
  }
}

/* (g W') act' like h, of the second layer's W. */
static Tensor *hidden_gradient(Rt *rt, Tensor *h, Tensor *kept, Tensor *W, Tensor *g,
                               Activation act, int64_t rows) {
  DType d = (DType)h->dtype;
  Tensor *o = tensor_new(rt, d, h->rank, h->shape);
  if (!o) return NULL;
  int64_t n = W->shape[0], m = W->shape[1];
  SlopeJob job = {learn_rows(d), act, n, dtype_size[d], kept->data, o->data};
  Product p = {.d = d, .m = rows, .n = n, .k = m, .a = g->data, .lda = m, .b = W->data, .ldb = m,
               .tb = true, .c = o->data, .ldc = n,
               .finish = act == ACT_NONE ? NULL : slope_block, .job = &job};
  if (product_run(rt, &p) == RT_OK) return o;
  tensor_unref(rt, o);
  return NULL;
}

/* Adjoints of W and b, inputs number `W` and `b` (-1: none) of the node, and x's rows. */
static RtStatus add_parameters(Rt *rt, TapeNode *node, int W, int b, Tensor *x, Tensor *g,
                               int64_t rows) {
  if (b >= 0 && tape_wants(node, b)) {
    Tensor *db = NULL, *same = through_activation(rt, g, ACT_NONE, g, &db);
    if (!same) return rt->error.status;
    tensor_unref(rt, same);
    RT_TRY(tape_add(rt, node, b, db));
  }
  if (!tape_wants(node, W)) return RT_OK;
  return tape_add(rt, node, W, weight_gradient(rt, x, tape_saved(node, W), g, rows));
}

static RtStatus mlp_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const MlpData *d = tape_data(node);
  if (!g[0]) return RT_OK;
  Tensor *x = tape_saved(node, 0), *W1 = tape_saved(node, 1), *W2 = tape_saved(node, 2);
  Tensor *h = tape_saved(node, 3), *kept = tape_saved(node, 4), *gz = NULL;
  int64_t rows = 1;
  for (int i = 0; i < x->rank - 1; i++) rows *= x->shape[i];
  Tensor *c = tensor_contiguous(rt, g[0]);
  if (!c) return rt->error.status;
  RtStatus bad = add_parameters(rt, node, MLP_W2, d->bias2 ? MLP_B1 + d->bias1 : -1, h, c, rows);
  if (!bad && !(gz = hidden_gradient(rt, h, kept, W2, c, d->act, rows))) bad = rt->error.status;
  tensor_unref(rt, c);
  if (!bad) bad = add_parameters(rt, node, MLP_W1, d->bias1 ? MLP_B1 : -1, x, gz, rows);
  if (!bad && tape_wants(node, MLP_X))
    bad = tape_add(rt, node, MLP_X, input_gradient(rt, x, W1, gz, rows));
  tensor_unref(rt, gz);
  return bad;
}
