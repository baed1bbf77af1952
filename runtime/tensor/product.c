/* product.c: general products from the kernels of gemm.h.
 *
 * k is cut into stretches of DEPTH, whose products are added in order: sums stay
 * short, and the columns of B a kernel goes through stay in the second cache.
 * Within a stretch a task is BLOCK_ROWS rows of C and some columns.  B is used as
 * it lies when it fits the second cache or few blocks of rows go through it, and
 * otherwise copied, as is a transposed one, into panels as wide as a kernel's block.
 */
#include "runtime/tensor/product.h"
#include "runtime/base/parallel.h"
#include "runtime/tensor/gemm_levels.h"

#include <string.h>

#define DEPTH 256
#define BLOCK_ROWS 48         /* a multiple of the next                        */
#define KERNEL_ROWS 6         /* of a kernel's widest block                      */
#define PACK_BYTES 2048       /* of a row of B in one packed block              */
#define CACHE (1 << 20)       /* operands above this may be copied block by block */
#define FAR 4096              /* rows so many bytes apart crowd few sets of a cache */
#define LINE 64               /* bytes of a cache line                           */
#define FEW_ROWS 4            /* up to these, dots instead of transposing B     */
#define DOT_COLUMNS 256
#define PARALLEL_WORK 1000000 /* m n k from which a parallel loop pays          */
#define TASK_WORK 250000      /* and of one grain of it                         */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- the plan ------------------------------------------------------------------------- */

typedef struct {
  const Product *p;
  const GemmKernels *g;
  int64_t size;                 /* of an element                                */
  int64_t lanes, width;         /* columns of a vector, of a kernel's block     */
  bool dots, pack_a, pack_b;
  int64_t block_columns;        /* columns of C in one round                    */
  int64_t row_blocks, groups;   /* the tasks of a round                         */
  char *packed_a, *packed_b;
  /* this round: columns of C, stretch of k */
  int64_t column, columns, from, to;
} Plan;

static Plan plan(const Product *p) {
  Plan t = {.p = p, .g = gemm_kernels(), .size = (int64_t)dtype_size[p->d]};
  t.lanes = t.g->bytes / t.size;
  t.width = t.lanes * t.g->vectors;
  t.dots = p->tb && !p->ta && p->m <= FEW_ROWS && !p->add && !p->bias && !p->times;
  bool wide = (double)p->k * (double)p->n * (double)t.size > CACHE;
  bool often = p->m > (p->ldb * t.size < FAR ? 3 : 2) * BLOCK_ROWS;   /* B is gone through */
  t.pack_b = !t.dots && (p->tb || (wide && often));
  t.pack_a = p->ta && (double)p->k * (double)p->m * (double)t.size > CACHE && p->n > t.width &&
             p->lda * t.size >= FAR;
  t.block_columns = t.pack_b ? PACK_BYTES / t.size : p->n;
  t.row_blocks = (p->m + BLOCK_ROWS - 1) / BLOCK_ROWS;
  return t;
}

/* Panels of a block of columns, as even as can be: the first column of panel i. */
static int64_t panels_of(const Plan *t, int64_t columns) {
  return (columns + t->width - 1) / t->width;
}
static int64_t panel_start(const Plan *t, int64_t columns, int64_t panels, int64_t i) {
  int64_t vectors = (columns + t->lanes - 1) / t->lanes;
  return least(vectors * i / panels * t->lanes, columns);
}

/* Columns of one packed panel in memory. */
static int64_t packed_bytes(const Plan *t) {
  const Product *p = t->p;
  int64_t columns = least(t->block_columns, p->n);
  return panels_of(t, columns) * t->width * least(DEPTH, p->k) * t->size;
}
static int64_t packed_rows_bytes(const Plan *t) {
  return BLOCK_ROWS * least(DEPTH, t->p->k) * t->size;
}

size_t product_scratch(const Product *p, int threads) {
  Plan t = plan(p);
  return (size_t)(t.pack_b ? packed_bytes(&t) : 0) +
         (size_t)(t.pack_a ? packed_rows_bytes(&t) * (threads > 1 ? threads : 1) : 0);
}

/* ---- packing --------------------------------------------------------------------------- */

static const char *element(const Plan *t, const void *p, int64_t i) {
  return (const char *)p + i * t->size;
}

static void copy_rows(const char *from, int64_t from_step, char *to, int64_t to_step, int64_t rows,
                      size_t bytes) {
  for (int64_t i = 0; i < rows; i++) memcpy(to + i * to_step, from + i * from_step, bytes);
}

/* Panel i of this round: rows [from, to) of op(B), `width` columns apart. */
static void pack_panel(const Plan *t, int64_t i) {
  const Product *p = t->p;
  int64_t panels = panels_of(t, t->columns), first = panel_start(t, t->columns, panels, i);
  int64_t columns = panel_start(t, t->columns, panels, i + 1) - first, depth = t->to - t->from;
  int64_t column = t->column + first;
  char *to = t->packed_b + i * t->width * depth * t->size;
  if (!p->tb) {
    copy_rows(element(t, p->b, t->from * p->ldb + column), p->ldb * t->size, to,
              t->width * t->size, depth, (size_t)(columns * t->size));
    return;
  }
  const char *b = element(t, p->b, column * p->ldb + t->from);
  if (p->d == DT_F32)
    t->g->transpose_f32((int)columns, (int)depth, (const float *)(const void *)b, p->ldb,
                        (float *)(void *)to, t->width);
  else
    t->g->transpose_f64((int)columns, (int)depth, (const double *)(const void *)b, p->ldb,
                        (double *)(void *)to, t->width);
}

static int pack_panels(void *job, int64_t first, int64_t end, int lane) {
  for (int64_t i = first; i < end; i++) pack_panel(job, i);
  return 0;
}

/* ---- one task -------------------------------------------------------------------------- */

/* Rows of op(A): element (i, l) at a[i row + l column]. */
typedef struct { const void *a; int64_t row, column; } Rows;

static void tile(const Plan *t, int64_t m, int64_t n, int64_t k, Rows a, const void *b,
                 int64_t ldb, void *c, bool add, const GemmMore *more) {
  int64_t ldc = t->p->ldc;
  if (t->p->d == DT_F32)
    t->g->tile_f32((int)m, (int)n, (int)k, a.a, a.row, a.column, b, ldb, c, ldc, add, more);
  else
    t->g->tile_f64((int)m, (int)n, (int)k, a.a, a.row, a.column, b, ldb, c, ldc, add, more);
}

/* Rows [row, row + rows) of op(A) in the stretch that begins at l. */
static Rows rows_of_a(const Plan *t, int64_t row, int64_t rows, int64_t l, int64_t depth,
                      int lane) {
  const Product *p = t->p;
  if (!p->ta) return (Rows){element(t, p->a, row * p->lda + l), p->lda, 1};
  const char *a = element(t, p->a, l * p->lda + row);
  if (!t->pack_a) return (Rows){a, 1, p->lda};
  char *to = t->packed_a + lane * packed_rows_bytes(t);
  copy_rows(a, p->lda * t->size, to, rows * t->size, depth, (size_t)(rows * t->size));
  return (Rows){to, 1, rows};
}

/* What a tile fetches for the one after it: the next panel of B, or the rows below of a
 * transposed A.  end: of the task's columns.                                     */
static void soon(const Plan *t, int64_t row, int64_t rows, int64_t column, int64_t end, int64_t l,
                 GemmMore *more) {
  const Product *p = t->p;
  int64_t below = p->m - row - rows, most = t->column + t->columns;
  if (column < end || below < 1) {
    if (t->pack_b || column >= most) return;
    more->soon = element(t, p->b, l * p->ldb + column);
    more->soon_step = p->ldb * t->size;
    more->soon_lines = (int)(least(most - column, t->width) * t->size / LINE);
  } else if (p->ta && !t->pack_a) {
    more->soon = element(t, p->a, l * p->lda + row + rows);
    more->soon_step = p->lda * t->size;
    more->soon_lines = (int)(least(below, BLOCK_ROWS) * t->size / LINE);
  }
}

/* Rows and columns of C in one stretch; panels [first, end) of this round. */
static void stretch(const Plan *t, int64_t row, int64_t rows, int64_t first, int64_t end,
                    int64_t l, int lane) {
  const Product *p = t->p;
  int64_t depth = least(DEPTH, p->k - l), panels = panels_of(t, t->columns);
  Rows a = rows_of_a(t, row, rows, l, depth, lane);
  bool add = p->add || l > 0;
  int64_t last = t->column + panel_start(t, t->columns, panels, end);
  for (int64_t i = first; i < end; i++) {
    int64_t start = panel_start(t, t->columns, panels, i);
    int64_t columns = panel_start(t, t->columns, panels, i + 1) - start;
    int64_t column = t->column + start;
    const void *b = t->pack_b ? t->packed_b + i * t->width * depth * t->size
                              : element(t, p->b, l * p->ldb + column);
    int64_t at = row * p->ldc + column;
    GemmMore more = {.start = p->bias && l == 0 ? element(t, p->bias, column) : NULL,
                     .times = p->times && l + depth == p->k ? element(t, p->times, at) : NULL};
    soon(t, row, rows, column + columns, last, l, &more);
    tile(t, rows, columns, depth, a, b, t->pack_b ? t->width : p->ldb,
         (char *)p->c + at * t->size, add, &more);
  }
}

/* First row of a block of rows: blocks of a kernel's height, of which as few as can be are lower. */
static int64_t block_start(const Plan *t, int64_t block) {
  int64_t strips = (t->p->m + KERNEL_ROWS - 1) / KERNEL_ROWS;
  return least(strips * block / t->row_blocks * KERNEL_ROWS, t->p->m);
}

static void task(const Plan *t, int64_t which, int lane) {
  const Product *p = t->p;
  int64_t group = which / t->row_blocks, block = which % t->row_blocks;
  int64_t row = block_start(t, block), rows = block_start(t, block + 1) - row;
  int64_t panels = panels_of(t, t->columns);
  int64_t first = panels * group / t->groups, end = panels * (group + 1) / t->groups;
  int64_t l = t->from;
  do {
    stretch(t, row, rows, first, end, l, lane);
    l += DEPTH;
  } while (l < t->to);
  if (!p->finish || t->to < p->k) return;
  int64_t column = panel_start(t, t->columns, panels, first);
  p->finish(p->job, row, rows, t->column + column,
            panel_start(t, t->columns, panels, end) - column);
}

static int tasks(void *job, int64_t first, int64_t end, int lane) {
  for (int64_t i = first; i < end; i++) task(job, i, lane);
  return 0;
}

/* ---- all of it ------------------------------------------------------------------------- */

/* Few rows against the rows of B. */
static int dots(void *job, int64_t first, int64_t end, int lane) {
  const Plan *t = job;
  const Product *p = t->p;
  int64_t from = first * DOT_COLUMNS, n = least(end * DOT_COLUMNS, p->n) - from;
  const void *b = element(t, p->b, from * p->ldb);
  void *c = (char *)p->c + from * t->size;
  if (p->d == DT_F32)
    t->g->dots_f32((int)p->m, (int)n, (int)p->k, p->a, p->lda, b, p->ldb, c, p->ldc);
  else
    t->g->dots_f64((int)p->m, (int)n, (int)p->k, p->a, p->lda, b, p->ldb, c, p->ldc);
  if (p->finish) p->finish(p->job, 0, p->m, from, n);
  return 0;
}

/* Columns [t->column, + t->columns) of C. */
static void round_of(Plan *t, int threads) {
  const Product *p = t->p;
  int64_t panels = panels_of(t, t->columns), depth = t->pack_b || t->row_blocks < 16 ? DEPTH : p->k;
  /* few blocks of rows: columns are divided as well, so that threads have work */
  t->groups = t->row_blocks >= 16 || panels < 2 ? 1 : t->row_blocks < 4 ? panels : (panels + 1) / 2;
  t->from = 0;
  do {
    t->to = least(t->from + depth, p->k);
    int64_t count = t->row_blocks * t->groups;
    double work = (double)p->m * (double)t->columns * (double)(t->to - t->from);
    int64_t grain = 1 + (int64_t)(TASK_WORK / (work / (double)count + 1));
    if (t->pack_b) parallel_for(work < PARALLEL_WORK ? 1 : threads, panels, 1, pack_panels, t);
    parallel_for(work < PARALLEL_WORK ? 1 : threads, count, grain, tasks, t);
    t->from = t->to;
  } while (t->from < p->k);
}

void product_on(const Product *p, int threads, void *scratch) {
  if (p->m < 1 || p->n < 1) return;
  Plan t = plan(p);
  if (t.dots) {
    double work = (double)p->m * (double)p->n * (double)p->k;
    parallel_for(work < PARALLEL_WORK ? 1 : threads, (p->n + DOT_COLUMNS - 1) / DOT_COLUMNS, 1,
                 dots, &t);
    return;
  }
  t.packed_b = scratch;
  t.packed_a = t.packed_b + (t.pack_b ? packed_bytes(&t) : 0);
  for (t.column = 0; t.column < p->n; t.column += t.columns) {
    t.columns = least(t.block_columns, p->n - t.column);
    round_of(&t, threads);
  }
}

RtStatus product_run(Rt *rt, const Product *p) {
  size_t bytes = product_scratch(p, rt->threads);
  void *scratch = bytes ? rt_alloc(rt, bytes) : NULL;
  if (bytes && !scratch) return rt->error.status;
  product_on(p, rt->threads, scratch);
  if (bytes) rt_free(rt, scratch, bytes);
  return RT_OK;
}
