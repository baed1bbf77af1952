/* linear_back.c: adjoints of linear layers.
 *
 * With G = g act':  dx = G W', dW = x' G, db the column sums of G.  Rows are taken in
 * stretches that stay in the second cache, so that both products of a layer, and of two
 * layers all four, find G there; sums over rows are cut there anyway (product.c), which
 * leaves their bits as they were.  W is turned once for all stretches.
 */
#include "runtime/learn/linear.h"
#include "runtime/tensor/gemm.h"
#include "runtime/tensor/product.h"

#include <string.h>

#define STRETCH 256           /* rows in one, or a multiple: as deep as product.c sums */
#define STRETCH_BYTES (512 << 10)   /* of G in one stretch                          */
#define WEIGHT_BYTES (1 << 20)      /* a larger W is gone through once: no stretches */
#define TURN_ROWS 16

/* ---- activation and bias ------------------------------------------------------------ */

typedef struct {
  const LearnRows *k;
  Activation act;
  int64_t m;          /* columns */
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
  a->k->act_back(a->act, end - first, a->m, a->g + at, a->y ? a->y + at : NULL,
                 a->o ? a->o + at : NULL, sum);
}

/* G of the rows of g (m columns) into o; without an activation g is G, y and o are not
 * used.  Column sums are added to `sums` (m), unless it is NULL.                */
static RtStatus through_activation(Rt *rt, DType d, Activation act, int64_t rows, int64_t m,
                                   const char *g, const char *y, char *o, double *sums) {
  if (act == ACT_NONE && !sums) return RT_OK;
  int64_t per = block_rows(m), blocks = (rows + per - 1) / per;
  size_t bytes = sums ? (size_t)(blocks * m) * sizeof(double) : 0;
  ActJob job = {learn_rows(d), act, m, dtype_size[d], g, y, o, NULL};
  if (bytes && !(job.sums = rt_alloc(rt, bytes))) return rt->error.status;
  for_blocks(rt, rows, per, rows * m, act_block, &job);
  for (int64_t b = 0; job.sums && b < blocks; b++)
    for (int64_t i = 0; i < m; i++) sums[i] += job.sums[b * m + i];
  if (bytes) rt_free(rt, job.sums, bytes);
  return RT_OK;
}

static void narrow(Tensor *to, const double *from) {
  for (int64_t i = 0; i < to->size; i++) {
    if (to->dtype == DT_F32) ((float *)(void *)to->data)[i] = (float)from[i];
    else ((double *)(void *)to->data)[i] = from[i];
  }
}

/* ---- one layer ------------------------------------------------------------------------- */

typedef struct {
  DType d;
  int64_t n, m;           /* W is (n, m)                                          */
  const char *x, *W, *w;  /* w: W, or W' in memory of its own                     */
  bool turned;
  Tensor *dW, *db;        /* what is asked for, else NULL                         */
  double *sums;           /* of db: m                                             */
} Layer;

static int64_t rows_of(const Tensor *x) {
  int64_t rows = 1;
  for (int i = 0; i < x->rank - 1; i++) rows *= x->shape[i];
  return rows;
}

static size_t row_bytes(const Layer *l, int64_t row, int64_t columns) {
  return dtype_size[l->d] * (size_t)(row * columns);
}

/* Rows of a stretch. */
static int64_t stretch_rows(const Tensor *W, int64_t rows) {
  size_t size = dtype_size[W->dtype];
  if (size * (size_t)W->size > WEIGHT_BYTES || rows < 1) return rows > 0 ? rows : 1;
  int64_t widest = W->shape[0] > W->shape[1] ? W->shape[0] : W->shape[1];
  int64_t each = STRETCH_BYTES / (STRETCH * (int64_t)size * (widest > 0 ? widest : 1));
  int64_t per = STRETCH * (each > 0 ? each : 1);
  return per < rows ? per : rows;
}

typedef struct { const Layer *l; char *to; } Turn;

static void turn_block(void *job, int64_t block, int64_t first, int64_t end) {
  const Turn *t = job;
  const Layer *l = t->l;
  const void *from = l->W + row_bytes(l, first, l->m);
  void *to = t->to + row_bytes(l, first, 1);
  if (l->d == DT_F32) gemm_transpose_f32((int)(end - first), (int)l->m, from, l->m, to, l->n);
  else gemm_transpose_f64((int)(end - first), (int)l->m, from, l->m, to, l->n);
}

/* W' of its own, for products of many stretches. */
static RtStatus turn(Rt *rt, Layer *l) {
  size_t bytes = row_bytes(l, l->n, l->m);
  if (!bytes) return RT_OK;
  Turn t = {l, rt_alloc(rt, bytes)};
  if (!t.to) return rt->error.status;
  for_blocks(rt, l->n, TURN_ROWS, l->n * l->m, turn_block, &t);
  l->w = t.to;
  l->turned = true;
  return RT_OK;
}

static void close_layer(Rt *rt, Layer *l) {
  if (l->turned) rt_free(rt, (char *)(uintptr_t)l->w, row_bytes(l, l->n, l->m));
  if (l->sums) rt_free(rt, l->sums, (size_t)l->m * sizeof(double));
  tensor_unref(rt, l->dW);
  tensor_unref(rt, l->db);
}

/* W and b are inputs number `w` and `b` (-1: none) of the node; `turned`: W' is gone through
 * many times.  close_layer() is due after an error too.                         */
static RtStatus open_layer(Rt *rt, Layer *l, TapeNode *node, const Tensor *x, const Tensor *W,
                           int w, int b, bool turned) {
  *l = (Layer){.d = (DType)x->dtype, .n = W->shape[0], .m = W->shape[1], .x = x->data,
               .W = W->data, .w = W->data};
  if (tape_wants(node, w) && !(l->dW = tensor_new(rt, l->d, 2, W->shape)))
    return rt->error.status;
  if (b >= 0 && tape_wants(node, b)) {
    if (!(l->db = tensor_new(rt, l->d, 1, &l->m))) return rt->error.status;
    if (!(l->sums = rt_alloc0(rt, (size_t)l->m * sizeof(double)))) return rt->error.status;
  }
  return turned ? turn(rt, l) : RT_OK;
}

/* to = G W' of some rows, each element times `times` (or NULL), then given to f (or NULL). */
static RtStatus back(Rt *rt, const Layer *l, int64_t rows, const char *g, char *to,
                     const char *times, ProductFinish f, void *job) {
  Product p = {.d = l->d, .m = rows, .n = l->n, .k = l->m, .a = g, .lda = l->m, .b = l->w,
               .ldb = l->turned ? l->n : l->m, .tb = !l->turned, .c = to, .ldc = l->n,
               .times = times, .finish = f, .job = job};
  return product_run(rt, &p);
}

/* Rows [row, row + rows) of x against those of G into dW, added unless they are the first. */
static RtStatus add_weight(Rt *rt, const Layer *l, int64_t row, int64_t rows, const char *g) {
  if (!l->dW) return RT_OK;
  Product p = {.d = l->d, .m = l->n, .n = l->m, .k = rows, .a = l->x + row_bytes(l, row, l->n),
               .lda = l->n, .ta = true, .b = g, .ldb = l->m, .c = l->dW->data, .ldc = l->m,
               .add = row > 0};
  return product_run(rt, &p);
}

static Tensor *taken(Tensor **t) {
  Tensor *was = *t;
  *t = NULL;
  return was;
}

/* Hands dW and db over. */
static RtStatus give(Rt *rt, Layer *l, TapeNode *node, int w, int b) {
  if (l->db) {
    narrow(l->db, l->sums);
    RT_TRY(tape_add(rt, node, b, taken(&l->db)));
  }
  return l->dW ? tape_add(rt, node, w, taken(&l->dW)) : RT_OK;
}

/* ---- act(x W + b) ------------------------------------------------------------------------ */

static RtStatus linear_rows(Rt *rt, Layer *l, Activation act, int64_t row, int64_t rows,
                            const char *g, const char *kept, char *scratch, Tensor *dx) {
  g += row_bytes(l, row, l->m);
  kept += row_bytes(l, row, l->m);
  RT_TRY(through_activation(rt, l->d, act, rows, l->m, g, kept, scratch, l->sums));
  if (act != ACT_NONE) g = scratch;
  if (dx)
    RT_TRY(back(rt, l, rows, g, (char *)dx->data + row_bytes(l, row, l->n), NULL, NULL, NULL));
  return add_weight(rt, l, row, rows, g);
}

RtStatus linear_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const LinearData *d = tape_data(node);
  Tensor *x = tape_saved(node, 0), *W = tape_saved(node, 1), *kept = tape_saved(node, 2);
  if (!g[0]) return RT_OK;
  Tensor *c = tensor_contiguous(rt, g[0]), *dx = NULL;
  if (!c) return rt->error.status;
  int64_t all = rows_of(x), per = stretch_rows(W, all), row = 0, b = d->bias ? 2 : -1;
  bool wants = tape_wants(node, 0);
  Layer l;
  RtStatus bad = open_layer(rt, &l, node, x, W, 1, (int)b, wants && per < all);
  if (!bad && wants && !(dx = tensor_new(rt, l.d, x->rank, x->shape))) bad = rt->error.status;
  size_t bytes = d->act == ACT_NONE ? 0 : row_bytes(&l, per, l.m);
  char *scratch = !bad && bytes ? rt_alloc(rt, bytes) : NULL;
  if (!bad && bytes && !scratch) bad = rt->error.status;
  do {
    int64_t rows = all - row < per ? all - row : per;
    if (!bad) bad = linear_rows(rt, &l, d->act, row, rows, c->data, kept->data, scratch, dx);
    row += per;
  } while (!bad && row < all);
  if (!bad) bad = give(rt, &l, node, 1, (int)b);
  if (!bad && dx) bad = tape_add(rt, node, 0, taken(&dx));
  if (scratch) rt_free(rt, scratch, bytes);
  close_layer(rt, &l);
  tensor_unref(rt, dx);
  tensor_unref(rt, c);
  return bad;
}

/* ---- two layers ----------------------------------------------------------------------------- */

typedef struct {
  Activation act;
  Layer one, two;
  const char *kept;
  char *hidden;           /* G of the first layer, of a stretch                   */
  Tensor *dx;
} Mlp;

typedef struct {
  const LearnRows *k;
  Activation act;
  int64_t m;
  size_t size;
  const char *y;          /* as in ActJob */
  char *g;
} SlopeJob;

/* A block of a product is multiplied by act'. */
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

/* g: rows [row, row + rows) of the result's adjoint. */
static RtStatus mlp_rows(Rt *rt, Mlp *p, int64_t row, int64_t rows, const char *g) {
  const Layer *one = &p->one, *two = &p->two;
  const char *kept = p->kept + row_bytes(two, row, two->n);
  SlopeJob job = {learn_rows(two->d), p->act, two->n, dtype_size[two->d], kept, p->hidden};
  bool each = p->act != ACT_NONE && p->act != ACT_GELU;
  RT_TRY(through_activation(rt, two->d, ACT_NONE, rows, two->m, g, NULL, NULL, two->sums));
  RT_TRY(back(rt, two, rows, g, p->hidden, p->act == ACT_GELU ? kept : NULL,
              each ? slope_block : NULL, &job));
  RT_TRY(through_activation(rt, one->d, ACT_NONE, rows, one->m, p->hidden, NULL, NULL,
                            one->sums));
  RT_TRY(add_weight(rt, one, row, rows, p->hidden));
  if (p->dx)
    RT_TRY(back(rt, one, rows, p->hidden, (char *)p->dx->data + row_bytes(one, row, one->n),
                NULL, NULL, NULL));
  return add_weight(rt, two, row, rows, g);
}

RtStatus mlp_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const MlpData *d = tape_data(node);
  if (!g[0]) return RT_OK;
  Tensor *x = tape_saved(node, 0), *W1 = tape_saved(node, 1), *W2 = tape_saved(node, 2);
  Tensor *h = tape_saved(node, 3), *c = tensor_contiguous(rt, g[0]);
  if (!c) return rt->error.status;
  int b1 = d->bias1 ? MLP_B1 : -1, b2 = d->bias2 ? MLP_B1 + d->bias1 : -1;
  int64_t all = rows_of(x), one = stretch_rows(W1, all), two = stretch_rows(W2, all), row = 0;
  int64_t per = W1->size > W2->size ? one : two;
  bool wants = tape_wants(node, MLP_X);
  Mlp p = {.act = d->act, .kept = (const char *)tape_saved(node, 4)->data};
  RtStatus bad = open_layer(rt, &p.one, node, x, W1, MLP_W1, b1, wants && per < all);
  if (open_layer(rt, &p.two, node, h, W2, MLP_W2, b2, per < all)) bad = rt->error.status;
  if (!bad && wants && !(p.dx = tensor_new(rt, (DType)x->dtype, x->rank, x->shape)))
    bad = rt->error.status;
  size_t bytes = row_bytes(&p.one, per, p.one.m);
  if (!bad && bytes && !(p.hidden = rt_alloc(rt, bytes))) bad = rt->error.status;
  do {
    int64_t rows = all - row < per ? all - row : per;
    if (!bad)
      bad = mlp_rows(rt, &p, row, rows, (const char *)c->data + row_bytes(&p.two, row, p.two.m));
    row += per;
  } while (!bad && row < all);
  if (!bad) bad = give(rt, &p.two, node, MLP_W2, b2);
  if (!bad) bad = give(rt, &p.one, node, MLP_W1, b1);
  if (!bad && p.dx) bad = tape_add(rt, node, MLP_X, taken(&p.dx));
  if (p.hidden) rt_free(rt, p.hidden, bytes);
  close_layer(rt, &p.one);
  close_layer(rt, &p.two);
  tensor_unref(rt, p.dx);
  tensor_unref(rt, c);
  return bad;
}
