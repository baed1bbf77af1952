/* strip.h: blocks of query rows against all keys they may see; included after
 * vectors.h.
 *
 * The columns a block can see are packed side by side: empty tiles take
 * neither time nor room.                                                     */

typedef struct { int64_t j0, w, off; AttnTile tile; } Block;

typedef struct {
  AttnJob *job;
  double *var;
  const void **strip;
  ProgRun mask, out, norm, once, grad, norm_grad, alpha_grad;
  T *w;                        /* rows x n_col: log-weights or weights, then p */
  T *dp, *used, *keep;         /* backward; `used`: p as it multiplied v       */
  T *leaf[ATTN_MAX_LEAF];      /* products of q and k                          */
  T *gleaf[ATTN_MAX_LEAF];     /* their adjoints, one block                    */
  T *mask_strip;
  uint8_t *open;               /* rows x n_col: 1 where the pair takes part    */
  uint8_t *all;                /* straight through: one row's, before selection */
  T *raw;                      /* sinkhorn, backward: the scores               */
  double *column_max, *column_sum;     /* sinkhorn: of exponentials            */
  double *x, *scratch, *ramp, *rows;   /* ramp: j, rows: i of the strip's elements */
  double *powers;              /* sparsemax, entmax: of what may take part */
  int64_t *at;                 /* its columns */
  T *side[ATTN_MAX_LEAF];      /* flat: one-vector products spread over the strip */
  Block *block;
  Interval *ranges;
  AttnRow *row;
  double *col_grad, *row_grad;
  int n_block;
  int64_t n_col;
  int64_t ramp_j0, ramp_n, ramp_g;     /* what the flat ramp was filled for */
  int64_t b, h, r0, m;
  double alpha, rate, tau;
  int64_t top;
} Work;

static void carve_work(Work *w, AttnJob *job, bool back, Carve *c) {
  const AttnCode *code = job->code;
  size_t n_var = (size_t)job->spec->prog.n_var, nk = (size_t)job->nk, m = (size_t)job->rows;
  size_t cols = (size_t)job->cols, strips = m * nk;
  memset(w, 0, sizeof *w);
  w->job = job;
  w->var = carve(c, n_var * sizeof(double));
  w->strip = carve(c, n_var * sizeof(void *));
  carve_run(c, &w->mask, code->mask);
  carve_run(c, &w->out, code->out);
  carve_run(c, &w->norm, code->norm);
  carve_run(c, &w->once, code->once);
  w->w = carve(c, strips * sizeof(T));
  w->open = carve(c, strips);
  w->mask_strip = carve(c, PROG_STRIP * sizeof(T));
  w->ramp = carve(c, PROG_STRIP * sizeof(double));
  w->rows = carve(c, PROG_STRIP * sizeof(double));
  for (int l = 0; l < job->spec->n_leaf; l++)
    if (job->flat && (job->spec->leaf[l].stage == PS_ROW || job->spec->leaf[l].stage == PS_COL))
      w->side[l] = carve(c, PROG_STRIP * sizeof(T));
  w->x = carve(c, nk * sizeof(double));
  w->scratch = carve(c, nk * sizeof(double));
  if (job->spec->norm == ATTN_NORM_SPARSEMAX || job->spec->norm == ATTN_NORM_ENTMAX) {
    w->powers = carve(c, 2 * nk * sizeof(double));
    w->at = carve(c, nk * sizeof(int64_t));
  }
  if (job->spec->norm == ATTN_NORM_SINKHORN) {
    w->column_max = carve(c, nk * sizeof(double));
    w->column_sum = carve(c, nk * sizeof(double));
    if (back) w->raw = carve(c, strips * sizeof(T));
  }
  w->block = carve(c, (nk / cols + 1) * sizeof(Block));
  w->ranges = carve(c, ((size_t)job->spec->prog.n + n_var) * sizeof(Interval));
  w->row = carve(c, m * sizeof(AttnRow));
  for (int l = 0; l < job->spec->n_leaf; l++)
    if (job->spec->leaf[l].stage == PS_BOTH)
      w->leaf[l] = carve(c, (back ? strips : m * cols) * sizeof(T));
  if (!back) return;
  carve_run(c, &w->grad, code->out_grad.plan);
  carve_run(c, &w->norm_grad, code->norm_grad.plan);
  carve_run(c, &w->alpha_grad, code->alpha_grad.plan);
  w->dp = carve(c, strips * sizeof(T));
  if (job->spec->through) w->all = carve(c, nk);
  if (job->dropout || job->spec->through) {
    w->used = carve(c, strips * sizeof(T));
    w->keep = carve(c, strips * sizeof(T));
  }
  for (int l = 0; l < job->spec->n_leaf; l++)
    if (job->spec->leaf[l].stage == PS_BOTH) w->gleaf[l] = carve(c, m * cols * sizeof(T));
  w->col_grad = carve(c, (size_t)job->spec->n_leaf * nk * sizeof(double));
  w->row_grad = carve(c, (size_t)job->spec->n_leaf * m * sizeof(double));
}

static T *keys_t(const AttnJob *job, int64_t b, int64_t h, int64_t j0) {
  return (T *)job->kt + ((b * job->Hk + key_head(job, h)) * job->nk + j0) * job->d;
}
static T *values_t(const AttnJob *job, int64_t b, int64_t h, int64_t j0) {
  return (T *)job->vt + ((b * job->Hk + key_head(job, h)) * job->nk + j0) * job->e;
}
static T *col_leaf(const AttnJob *job, int l, int64_t b, int64_t h) {
  return (T *)job->col + ((l * job->B + b) * job->Hq + h) * job->nk;
}
static double *row_leaf(const AttnJob *job, int l, int64_t b, int64_t h) {
  return job->row + ((l * job->B + b) * job->Hq + h) * job->nq;
}

/* ---- prepare: transposed tiles and one-vector products ---------------------------------- */

static void pack(const AttnJob *job, const AttnView *from, int64_t b, int64_t hk, int64_t width,
                 T *to) {
  for (int64_t j0 = 0; j0 < job->nk; j0 += job->cols) {
    int64_t w = attn_min(job->cols, job->nk - j0);
    T *tile = to + j0 * width;
    for (int64_t j = 0; j < w; j++) {
      const T *row = row_of(from, b, hk, j0 + j);
      for (int64_t c = 0; c < width; c++) tile[c * w + j] = row[c];
    }
  }
}

static void prepare_head(AttnJob *job, int64_t b, int64_t h, bool back) {
  int64_t group = job->Hq / job->Hk;
  if (h % group == 0) {
    pack(job, &job->k, b, h / group, job->d, keys_t(job, b, h, 0));
    if (back && job->vt) pack(job, &job->v, b, h / group, job->e, values_t(job, b, h, 0));
  }
  for (int l = 0; l < job->spec->n_leaf; l++) {
    const AttnLeaf *leaf = &job->spec->leaf[l];
    if (leaf->stage == PS_COL)
      for (int64_t j = 0; j < job->nk; j++)
        col_leaf(job, l, b, h)[j] = (T)leaf_value(job, leaf, b, h, j);
    if (leaf->stage == PS_ROW)
      for (int64_t r = 0; r < job->nq; r++)
        row_leaf(job, l, b, h)[r] = leaf_value(job, leaf, b, h, r);
  }
}

/* ---- products of a block of queries with a block of keys --------------------------------- */

/* C (m, n) = alpha op(A) B + beta C, rows ld apart; A's element (i, l) lies at i row + l col. */
CLONES static void small_product(int m, int n, int k, T alpha, const T *restrict a, int64_t row,
                                 int64_t col, const T *restrict b, int ldb, T beta,
                                 T *restrict c, int ldc) {
  for (int64_t i = 0; i < m; i++) {
    T *to = c + i * ldc;
    for (int64_t j = 0; j < n; j++) to[j] = beta == 0 ? 0 : beta * to[j];
    for (int64_t l = 0; l < k; l++) {
      T x = alpha * a[i * row + l * col];
      for (int64_t j = 0; j < n; j++) to[j] += x * b[l * ldb + j];
    }
  }
}

static void multiply(bool transposed, int m, int n, int k, T alpha, const T *a, int lda, const T *b,
                     int ldb, T beta, T *c, int ldc) {
  if ((int64_t)m * n * k > BLAS_SMALL)
    GEMM(BLAS_ROW_MAJOR, transposed ? BLAS_TRANSPOSED : BLAS_PLAIN, BLAS_PLAIN, m, n, k, alpha, a,
         lda, b, ldb, beta, c, ldc);
  else
    small_product(m, n, k, alpha, a, transposed ? 1 : lda, transposed ? lda : 1, b, ldb, beta, c,
                  ldc);
}

static void products(Work *w, const Block *bl, bool whole) {
  const AttnJob *job = w->job;
  int64_t ld = whole || job->flat ? w->n_col : job->cols, off = whole ? bl->off : 0;
  const T *q = row_of(&job->q, w->b, w->h, w->r0), *kt = keys_t(job, w->b, w->h, bl->j0);
  for (int l = 0; l < job->spec->n_leaf; l++) {
    const AttnLeaf *leaf = &job->spec->leaf[l];
    if (leaf->stage != PS_BOTH) continue;
    if (leaf->product == ATTN_DOT)
      multiply(false, (int)w->m, (int)bl->w, (int)job->d, 1, q,
               (int)job->q.row, kt, (int)bl->w, 0, w->leaf[l] + off, (int)ld);
    else
      distances(leaf->product == ATTN_DIST2, w->m, bl->w, job->d, q, job->q.row, kt, bl->w,
                w->leaf[l] + off, ld);
  }
}

/* ---- running the programs ------------------------------------------------------------------ */

static void bind_run(Work *w, ProgRun *run) {
  run->slot = w->job->slot;
  run->var = w->var;
  run->strip = w->strip;
  run->mask = NULL;
}

static void start_head(Work *w, int64_t b, int64_t h, bool back) {
  const AttnJob *job = w->job;
  const AttnCode *code = job->code;
  w->b = b;
  w->h = h;
  attn_vars(job, b, h, w->var);
  for (int l = 0; l < job->spec->n_leaf; l++)
    if (job->spec->leaf[l].stage == PS_ONCE)
      w->var[job->spec->leaf[l].var] = leaf_value(job, &job->spec->leaf[l], b, h, 0);
  ProgRun *runs[] = {&w->mask, &w->out,       &w->norm,      &w->once,
                     &w->grad, &w->norm_grad, &w->alpha_grad};
  for (int k = 0; k < (back ? 7 : 4); k++) {
    if (!runs[k]->plan) continue;
    bind_run(w, runs[k]);
    prog_run_once(runs[k]);
  }
  double top = 0;
  prog_out(&w->once, 0, &w->alpha);
  prog_out(&w->once, 1, &top);
  prog_out(&w->once, 2, &w->rate);
  w->tau = 1;
  if (job->spec->tau >= 0) prog_out(&w->once, 3, &w->tau);
  if (code->once && job->spec->top >= 0)
    w->top = top < 0 ? 0 : top > 9e15 ? INT64_MAX : (int64_t)top;
}

static void find_blocks(Work *w, int64_t r0, int64_t m) {
  const AttnJob *job = w->job;
  w->r0 = r0;
  w->m = m;
  w->n_block = 0;
  w->n_col = 0;
  for (int64_t j0 = 0; j0 < job->nk; j0 += job->cols) {
    int64_t width = attn_min(job->cols, job->nk - j0);
    AttnTile t = attn_tile(job, w->b, w->h, r0, r0 + m, j0, j0 + width, w->ranges);
    if (t == TILE_EMPTY) continue;
    w->block[w->n_block++] = (Block){j0, width, w->n_col, t};
    w->n_col += width;
  }
}

/* Variables of a block of columns, then of one row. */
static void set_columns(Work *w, const Block *bl) {
  const AttnJob *job = w->job;
  for (int64_t j = 0; j < bl->w; j++) w->ramp[j] = (double)(bl->j0 + j);
  w->strip[AV_J] = w->ramp;
  for (int l = 0; l < job->spec->n_leaf; l++)
    if (job->spec->leaf[l].stage == PS_COL)
      w->strip[job->spec->leaf[l].var] = col_leaf(job, l, w->b, w->h) + bl->j0;
}

static void set_row(Work *w, const Block *bl, int64_t r, bool whole) {
  const AttnJob *job = w->job;
  w->var[AV_I] = (double)(w->r0 + r + job->nk - job->nq);
  for (int l = 0; l < job->spec->n_leaf; l++) {
    const AttnLeaf *leaf = &job->spec->leaf[l];
    if (leaf->stage == PS_ROW) w->var[leaf->var] = row_leaf(job, l, w->b, w->h)[w->r0 + r];
    if (leaf->stage == PS_BOTH && bl)
      w->strip[leaf->var] = w->leaf[l] + (whole ? r * w->n_col + bl->off : r * job->cols);
  }
}

/* Output 0 of a run as reals. */
static void read_strip(const ProgRun *run, int k, int64_t n, T *to) {
  double s;
  const void *x = prog_out(run, k, &s);
  if (!x) for (int64_t j = 0; j < n; j++) to[j] = (T)s;
  else if (prog_out_wide(run->plan, k))
    for (int64_t j = 0; j < n; j++) to[j] = (T)((const double *)x)[j];
  else memcpy(to, x, (size_t)n * sizeof(T));
}

/* ---- short rows: `g` of them, one behind the other, are one strip -------------------- */

static int64_t rows_a_strip(const Work *w) { return attn_min(PROG_STRIP / w->n_col, w->m); }

/* What depends on the column alone is laid out once for the longest strip. */
static void set_flat_columns(Work *w, const Block *bl) {
  const AttnJob *job = w->job;
  int64_t g = rows_a_strip(w), n = bl->w;
  if (w->ramp_j0 != bl->j0 || w->ramp_n != n || w->ramp_g != g)
    for (int64_t r = 0; r < g; r++)
      for (int64_t j = 0; j < n; j++) w->ramp[r * n + j] = (double)(bl->j0 + j);
  w->ramp_j0 = bl->j0;
  w->ramp_n = n;
  w->ramp_g = g;
  w->strip[AV_J] = w->ramp;
  for (int l = 0; l < job->spec->n_leaf; l++) {
    if (job->spec->leaf[l].stage != PS_COL) continue;
    const T *from = col_leaf(job, l, w->b, w->h) + bl->j0;
    for (int64_t r = 0; r < g; r++) memcpy(w->side[l] + r * n, from, (size_t)n * sizeof(T));
    w->strip[job->spec->leaf[l].var] = w->side[l];
  }
}

static void set_flat_rows(Work *w, const Block *bl, int64_t r0, int64_t count) {
  const AttnJob *job = w->job;
  int64_t n = bl->w, first = w->r0 + r0 + job->nk - job->nq;
  for (int64_t r = 0; r < count && job->code->uses_i; r++)
    for (int64_t j = 0; j < n; j++) w->rows[r * n + j] = (double)(first + r);
  w->strip[AV_I] = w->rows;
  for (int l = 0; l < job->spec->n_leaf; l++) {
    const AttnLeaf *leaf = &job->spec->leaf[l];
    if (leaf->stage == PS_BOTH) w->strip[leaf->var] = w->leaf[l] + r0 * n;
    if (leaf->stage != PS_ROW) continue;
    const double *value = row_leaf(job, l, w->b, w->h) + w->r0 + r0;
    for (int64_t r = 0; r < count; r++)
      for (int64_t j = 0; j < n; j++) w->side[l][r * n + j] = (T)value[r];
    w->strip[leaf->var] = w->side[l];
  }
}

/* The mask and the weights of one strip. */
static void strip_scores(Work *w, bool partial, T *to, uint8_t *open, int64_t n) {
  const T closed = w->job->spec->log ? (T)-INFINITY : 0;
  if (partial) {
    prog_run_row(&w->mask);
    prog_run_both(&w->mask, (int)n);
    read_strip(&w->mask, 0, n, w->mask_strip);
    for (int64_t j = 0; j < n; j++) open[j] = w->mask_strip[j] != 0;
  } else {
    memset(open, 1, (size_t)n);
  }
  w->out.mask = partial ? w->mask_strip : NULL;
  prog_run_row(&w->out);
  prog_run_both(&w->out, (int)n);
  read_strip(&w->out, 0, n, to);
  for (int64_t j = 0; j < n && partial; j++) to[j] = open[j] ? to[j] : closed;
}

static void flat_scores(Work *w) {
  const Block *bl = &w->block[0];
  int64_t g = rows_a_strip(w), n = bl->w;
  bool partial = bl->tile == TILE_PARTIAL;
  set_flat_columns(w, bl);
  if (partial) prog_run_col(&w->mask, (int)(g * n));
  prog_run_col(&w->out, (int)(g * n));
  products(w, bl, true);
  for (int64_t r = 0; r < w->m; r += g) {
    int64_t count = attn_min(g, w->m - r);
    set_flat_rows(w, bl, r, count);
    strip_scores(w, partial, w->w + r * n, w->open + r * n, count * n);
  }
}

/* Fills w->w and w->open for all blocks. */
static void scores(Work *w, bool whole) {
  if (w->job->flat) {
    if (w->n_block) flat_scores(w);
    return;
  }
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    bool partial = bl->tile == TILE_PARTIAL;
    set_columns(w, bl);
    if (partial) prog_run_col(&w->mask, (int)bl->w);
    prog_run_col(&w->out, (int)bl->w);
    products(w, bl, whole);
    for (int64_t r = 0; r < w->m; r++) {
      int64_t at = r * w->n_col + bl->off;
      set_row(w, bl, r, whole);
      strip_scores(w, partial, w->w + at, w->open + at, bl->w);
    }
  }
}

static void note_errors(Work *w) {
  const ProgRun *runs[] = {&w->mask, &w->out, &w->norm, &w->once};
  for (int k = 0; k < 4; k++) note_strip(w->job, runs[k]);
}
