/* tile_work.h: what a lane of a tiled pass owns, the start of a head, and the
 * products of a block of queries with a tile of keys; included after vectors.h. */

/* A part of a tile: rows from r on (of the block), columns from c on (of the
 * tile at j0).                                                               */
typedef struct { int64_t r, m, j0, c, n; bool masked; } Part;

/* What a tile is worked in: its parts and the part that holds them; rows by the columns they
 * can see; are there rows between others that do not see what those do?         */
typedef struct {
  Part hull, part[TILE_GROUPS];
  GemmSpan span[TILE_STEPS];
  int n_part, n_span;
  unsigned started;            /* after it */
  bool holes;
} TileLayout;

typedef struct {
  AttnJob *job;
  const TilePlan *plan;
  FuseRun weight, top, grad;
  ProgRun norm, norm_grad, once;
  FuseIn *in;                  /* per variable; shared by the three programs      */
  double *var;                 /* values of PS_ONCE variables                     */
  Interval *ranges;
  TileMap map;
  double *pos_i;               /* i of every query                                */
  T *pos_j;                    /* j of every key                                  */
  T *panel;                    /* transposed tile of keys, width apart            */
  int64_t width;
  T *kt;                       /* panels of all tiles, or of one                  */
  T *mean, *q;                 /* mean key; queries relative to it                */
  T *k_norm, *q_norm;          /* squared lengths, relative to it                 */
  T *tile[3];                  /* dot, dist2, l1 of a tile                        */
  T *weights;                  /* where its weights go: over the products they are made from */
  T *col[ATTN_MAX_LEAF];       /* one-vector products: of keys,                   */
  double *row[ATTN_MAX_LEAF];  /* of queries                                      */
  T *keep;                     /* dropout                                         */
  int64_t b, h, key_b, key_h;  /* head; head of keys the panels belong to         */
  bool opened;                 /* the programs know what they compute once        */
  int64_t r0, m;               /* block of rows                                   */
  double rate;
  double *number;              /* one per row or column: scratch                  */
  /* forward: one number a row of the block */
  double *shift, *sum, *sumsq, *l1, *count, *peak;
  double *tile_sum, *tile_sumsq, *tile_l1, *tile_count;
  unsigned started;            /* steps of rows whose output holds numbers        */
  T *scale;                    /* what each row is multiplied with in the end     */
  bool shifted;                /* is any shift of the block not 0?                */
  TileLayout lay;
  bool alike;                  /* every head is one tile with the layout in `lay` */
  Part open;                   /* of the head: what `weight` was opened with, all shifts 0 */
  /* backward: see tile_backward.h */
  T *vt, *kc, *dp, *dout, **store;
  double *mean_row, *curve, *bend;
  double **row_acc, **col_acc, **diagonal;
  unsigned units;              /* of columns of the tile whose dk and dv hold numbers */
  bool *rows_started;          /* groups of rows of the head whose dq does        */
  double *values;
} TileWork;

static bool decoding(const AttnJob *job) {
  return job->nq <= TILE_DECODE_ROWS && job->tile->l1 < 0;
}

static void carve_fuse(Carve *c, FuseRun *run, const FusePlan *plan, const AttnJob *job) {
  if (!plan) return;
  void *p = carve(c, fuse_size(plan, (int)job->rows, (int)job->cols));
  if (p) fuse_init(run, plan, (int)job->rows, (int)job->cols, p);
}

static void carve_common(TileWork *w, AttnJob *job, bool back, Carve *c) {
  const TilePlan *p = job->tile;
  const AttnSpec *s = job->spec;
  size_t nq = (size_t)job->nq, nk = (size_t)job->nk, d = (size_t)job->d;
  size_t area = (size_t)(job->rows * job->cols);
  memset(w, 0, sizeof *w);
  w->job = job;
  w->plan = p;
  w->key_b = w->key_h = w->b = w->h = -1;
  w->in = carve(c, (size_t)p->prog.n_var * sizeof *w->in);
  w->var = carve(c, (size_t)p->prog.n_var * sizeof *w->var);
  w->ranges = carve(c, (size_t)(s->prog.n + s->prog.n_var) * sizeof *w->ranges);
  if (job->map_kind == TILE_MAP_HEAD) {
    void *room = carve(c, tile_map_size(job));
    if (room) tile_map_init(&w->map, job, room);
  }
  carve_run(c, &w->norm, job->code->norm);
  carve_run(c, &w->once, job->code->once);
  w->pos_i = carve(c, nq * sizeof *w->pos_i);
  w->pos_j = carve(c, nk * sizeof *w->pos_j);
  if (!decoding(job) || back)
    w->kt = carve(c, (back ? (size_t)job->cols : nk) * d * sizeof(T));
  w->mean = carve(c, d * sizeof(T));
  w->number = carve(c, (nq > nk ? nq : nk) * sizeof(double));
  if (p->centred) w->q = carve(c, nq * d * sizeof(T));
  if (p->dist2 >= 0) {
    w->k_norm = carve(c, nk * sizeof(T));
    w->q_norm = carve(c, nq * sizeof(T));
  }
  const int both[3] = {p->dot, p->dist2, p->l1};
  for (int k = 0; k < 3; k++)
    if (both[k] >= 0) w->tile[k] = carve(c, area * sizeof(T));
  if (!w->tile[0] && !w->tile[1]) w->tile[0] = carve(c, area * sizeof(T));
  for (int l = 0; l < s->n_leaf; l++) {
    if (!p->used[l]) continue;
    if (s->leaf[l].stage == PS_COL) w->col[l] = carve(c, nk * sizeof(T));
    if (s->leaf[l].stage == PS_ROW) w->row[l] = carve(c, nq * sizeof(double));
  }
  w->weights = w->tile[0] ? w->tile[0] : w->tile[1];
  if (job->dropout) w->keep = carve(c, area * sizeof(T));
  if (!back) {
    carve_fuse(c, &w->weight, p->weight, job);
    carve_fuse(c, &w->top, p->top, job);
  }
}

/* Once per lane. */
static void start_lane(TileWork *w) {
  const AttnJob *job = w->job;
  FuseRun *run[] = {&w->weight, &w->top, &w->grad};
  size_t n_var = (size_t)w->plan->prog.n_var;
  memset(w->in, 0, n_var * sizeof *w->in);
  memset(w->var, 0, n_var * sizeof *w->var);
  for (int64_t r = 0; r < job->nq; r++) w->pos_i[r] = (double)(r + job->nk - job->nq);
  for (int64_t j = 0; j < job->nk; j++) w->pos_j[j] = (T)j;
  for (int k = 0; k < 3; k++) {
    run[k]->in = w->in;
    run[k]->slot = job->slot;
  }
}

/* ---- a head ---------------------------------------------------------------------- */

static const T *key_row(const TileWork *w, int64_t j) {
  return row_of(&w->job->k, w->b, w->key_h, j);
}

/* Distances do not change when all vectors move: the mean key becomes the origin,
 * so that |q|^2 + |k|^2 - 2 q.k loses as few digits as it can.                 */
static void mean_key(TileWork *w) {
  const AttnJob *job = w->job;
  for (int64_t c = 0; c < job->d; c++) w->mean[c] = 0;
  for (int64_t j = 0; j < job->nk; j++) {
    const T *k = key_row(w, j);
    for (int64_t c = 0; c < job->d; c++) w->mean[c] += k[c];
  }
  for (int64_t c = 0; c < job->d; c++) w->mean[c] /= (T)job->nk;
}

CLONES static void take_off_rows(int64_t w, int64_t d, const T *restrict mean, T *restrict panel) {
  for (int64_t c = 0; c < d; c++)
    for (int64_t j = 0; j < w; j++) panel[c * w + j] -= mean[c];
}

CLONES static void panel_norms(int64_t w, int64_t d, const T *restrict panel, T *restrict norm) {
  for (int64_t j = 0; j < w; j++) norm[j] = 0;
  for (int64_t c = 0; c < d; c++)
    for (int64_t j = 0; j < w; j++) norm[j] += panel[c * w + j] * panel[c * w + j];
}

/* n vectors at x, `row` numbers apart, turned.  Of long sequences they come from afar: read
 * line by line in order they come twice as fast as in that of a transposed copy.   */
static void turn_rows(const AttnJob *job, int64_t n, int64_t width, const T *x, int64_t row,
                      T *to) {
  const int64_t line = 64 / (int64_t)sizeof(T);
  for (int64_t j = 0; j < n && job->nk > job->cols; j++)
    for (int64_t c = 0; c < width; c += line) (void)*(const volatile T *)(x + j * row + c);
  GEMM_TRANSPOSE((int)n, (int)width, x, row, to, n);
}

/* The transposed tile of keys from j0 on, at `to`. */
static void pack_keys(TileWork *w, int64_t j0, T *to) {
  const AttnJob *job = w->job;
  int64_t width = attn_min(job->cols, job->nk - j0);
  turn_rows(job, width, job->d, key_row(w, j0), job->k.row, to);
  if (w->plan->centred) take_off_rows(width, job->d, w->mean, to);
}

static void pack_head(TileWork *w) {
  const AttnJob *job = w->job;
  for (int64_t j0 = 0; j0 < job->nk; j0 += job->cols) {
    T *panel = w->kt + j0 * job->d;
    pack_keys(w, j0, panel);
    if (w->k_norm)
      panel_norms(attn_min(job->cols, job->nk - j0), job->d, panel, w->k_norm + j0);
  }
}

/* Squared lengths of n vectors. */
static void lengths(TileWork *w, int64_t n, const T *x, int64_t ld, T *to) {
  GEMM_PAIRS((int)n, (int)w->job->d, x, ld, x, ld, w->number);
  for (int64_t j = 0; j < n; j++) to[j] = (T)w->number[j];
}

static bool takes_mean(const TileWork *w) { return w->plan->centred && w->kt; }

static void start_keys(TileWork *w, bool back) {
  if (takes_mean(w)) mean_key(w);
  if (!w->kt) {
    if (w->k_norm) lengths(w, w->job->nk, key_row(w, 0), w->job->k.row, w->k_norm);
  } else if (!back) {
    pack_head(w);
  }
}

/* Lengths of all queries or keys, else one product after the other. */
static void vector_leaf(TileWork *w, const AttnLeaf *leaf, int64_t n, double *to) {
  const AttnJob *job = w->job;
  if (leaf->product != ATTN_NORM2 && leaf->product != ATTN_NORM) {
    for (int64_t r = 0; r < n; r++) to[r] = leaf_value(job, leaf, w->b, w->h, r);
    return;
  }
  bool keys = leaf->stage == PS_COL;
  const T *x = keys ? key_row(w, 0) : row_of(&job->q, w->b, w->h, 0);
  int64_t ld = keys ? job->k.row : job->q.row;
  GEMM_PAIRS((int)n, (int)job->d, x, ld, x, ld, to);
  for (int64_t r = 0; r < n && leaf->product == ATTN_NORM; r++) to[r] = sqrt(to[r]);
}

static void head_leaves(TileWork *w) {
  const AttnJob *job = w->job;
  for (int l = 0; l < job->spec->n_leaf; l++) {
    const AttnLeaf *leaf = &job->spec->leaf[l];
    if (leaf->stage == PS_ONCE && w->plan->used[l]) w->var[leaf->var] = leaf_value(job, leaf, w->b, w->h, 0);
    if (w->row[l]) vector_leaf(w, leaf, job->nq, w->row[l]);
    if (!w->col[l]) continue;
    vector_leaf(w, leaf, job->nk, w->number);
    for (int64_t j = 0; j < job->nk; j++) w->col[l][j] = (T)w->number[j];
  }
}

CLONES static void move_rows(int64_t n, int64_t d, const T *restrict from, int64_t ld,
                             const T *restrict origin, T *restrict to) {
  for (int64_t r = 0; r < n; r++)
    for (int64_t c = 0; c < d; c++) to[r * d + c] = from[r * ld + c] - origin[c];
}

/* Queries relative to the mean key, and their lengths. */
static void head_queries(TileWork *w) {
  const AttnJob *job = w->job;
  const T *q = row_of(&job->q, w->b, w->h, 0);
  int64_t ld = job->q.row;
  if (takes_mean(w)) {
    move_rows(job->nq, job->d, q, ld, w->mean, w->q);
    q = w->q;
    ld = job->d;
  }
  if (w->q_norm) lengths(w, job->nq, q, ld, w->q_norm);
}

static void bind_strip(TileWork *w, ProgRun *run) {
  if (!run->plan) return;
  run->slot = w->job->slot;
  run->var = w->var;
  run->mask = NULL;
  prog_run_once(run);
}

static void compute_once(TileWork *w) {
  FuseRun *runs[] = {&w->weight, &w->top, &w->grad};
  for (int k = 0; k < w->plan->prog.n_var; k++)
    if (w->plan->prog.var[k].stage == PS_ONCE) w->in[k] = (FuseIn){&w->var[k], 0};
  for (int k = 0; k < 3; k++)
    if (runs[k]->plan) fuse_once(runs[k]);
  bind_strip(w, &w->norm);
  bind_strip(w, &w->norm_grad);
  bind_strip(w, &w->once);
  prog_out(&w->once, 2, &w->rate);
  w->opened = true;
}

static void open_head(TileWork *w, int64_t b, int64_t h, bool back) {
  AttnJob *job = w->job;
  w->b = b;
  w->h = h;
  attn_vars(job, b, h, w->var);
  if (w->key_b != b || w->key_h != key_head(job, h)) {
    w->key_b = b;
    w->key_h = key_head(job, h);
    start_keys(w, back);
  }
  head_queries(w);
  head_leaves(w);
  if (job->map_kind == TILE_MAP_HEAD) tile_map_fill(&w->map, job, b, h, w->ranges);
  if (!w->opened || w->plan->per_head) compute_once(w);
}

static int64_t row_number(const TileWork *w, int64_t r) {
  return (w->b * w->job->Hq + w->h) * w->job->nq + r;
}

/* Does the shift of a row take its divisor in?  Kept weights are without. */
static bool folds(const TileWork *w) { return w->plan->folded && !w->job->kept; }

static const TileMap *map_of(const TileWork *w) {
  return w->job->map_kind == TILE_MAP_HEAD ? &w->map : w->job->map;
}

/* Cells of row block k; one that is full when there is no mask. */
static int64_t cells_of(const TileWork *w, int64_t k, const TileCell **cell, TileCell *all) {
  const TileMap *map = map_of(w);
  if (!map) {
    *all = (TileCell){.j1 = w->job->nk, .tile = TILE_FULL};
    *cell = all;
    return 1;
  }
  *cell = map->cell + map->first[k];
  return map->first[k + 1] - map->first[k];
}

/* ---- a block of rows ------------------------------------------------------------- */

static const T *query_rows(const TileWork *w, int64_t r, int64_t *ld) {
  if (takes_mean(w)) {
    *ld = w->job->d;
    return w->q + (w->r0 + r) * w->job->d;
  }
  *ld = w->job->q.row;
  return row_of(&w->job->q, w->b, w->h, w->r0 + r);
}

/* The rows' weights that stay for the backward pass, or NULL. */
static T *kept_rows(const TileWork *w) {
  if (!w->job->kept) return NULL;
  return (T *)w->job->kept + row_number(w, w->r0) * w->job->cols;
}

static void open_block(TileWork *w, int64_t k) {
  w->r0 = k * w->job->rows;
  w->m = attn_min(w->job->rows, w->job->nq - w->r0);
}

/* ---- products -------------------------------------------------------------------- */

static T distance2(const TileWork *w, const T *q, int64_t j0, int64_t c) {
  T s = 0;
  const T *k = w->kt ? w->panel + c : key_row(w, j0 + c);
  int64_t step = w->kt ? w->width : 1;
  for (int64_t x = 0; x < w->job->d; x++) s += (q[x] - k[x * step]) * (q[x] - k[x * step]);
  return s;
}

/* The close pairs of a row again, from the differences themselves. */
static void close_pairs(const TileWork *w, const Part *p, int64_t r, T *row) {
  int64_t ld, found = 0;
  const T *q = query_rows(w, p->r + r, &ld), *kn = w->k_norm + p->j0 + p->c;
  T a = w->q_norm[w->r0 + p->r + r];
  for (int64_t j = 0; j < p->n; j++) found += row[j] < (a + kn[j]) * (T)0.0625;
  if (found * 8 > p->n && w->kt) {
    distances(true, 1, p->n, w->job->d, q, ld, w->panel + p->c, w->width, row, p->n);
    return;
  }
  for (int64_t j = 0; j < p->n; j++)
    if (row[j] < (a + kn[j]) * (T)0.0625) row[j] = distance2(w, q, p->j0, p->c + j);
}

static void expand(TileWork *w, const Part *p, const T *dot, T *out) {
  int64_t ld = w->job->cols;
  uint8_t near[TILE_ROWS];
  const T *qn = w->q_norm + w->r0 + p->r, *kn = w->k_norm + p->j0 + p->c;
  if (!expand_rows(p->m, p->n, dot, qn, kn, out, ld, near)) return;
  for (int64_t r = 0; r < p->m; r++)
    if (near[r]) close_pairs(w, p, r, out + r * ld);
}

/* Fills the product tiles of a part. */
static void part_products(TileWork *w, const Part *p) {
  const AttnJob *job = w->job;
  const TilePlan *plan = w->plan;
  int64_t ldq, ld = job->cols, at = p->r * ld + p->c;
  const T *q = query_rows(w, p->r, &ldq);
  T *dot = w->tile[0] ? w->tile[0] : w->tile[1];
  if (plan->dot >= 0 || plan->dist2 >= 0) {
    if (w->kt)
      GEMM_TILE((int)p->m, (int)p->n, (int)job->d, q, ldq, 1, w->panel + p->c, w->width, dot + at,
                ld, false);
    else
      GEMM_DOTS((int)p->m, (int)p->n, (int)job->d, q, ldq, key_row(w, p->j0 + p->c), job->k.row,
                dot + at, ld);
  }
  if (plan->dist2 >= 0) expand(w, p, dot + at, w->tile[1] + at);
  if (plan->l1 >= 0)
    distances(false, p->m, p->n, job->d, q, ldq, w->panel + p->c, w->width, w->tile[2] + at, ld);
}

/* Inputs of the programs for the part of a tile that they are opened with. */
static void bind_part(TileWork *w, const Part *p) {
  const AttnJob *job = w->job;
  const TilePlan *plan = w->plan;
  int64_t r = w->r0 + p->r, j = p->j0 + p->c, at = p->r * job->cols + p->c;
  w->in[AV_I] = (FuseIn){w->pos_i + r, 0};
  w->in[AV_J] = (FuseIn){w->pos_j + j, 0};
  for (int l = 0; l < job->spec->n_leaf; l++) {
    int var = job->spec->leaf[l].var;
    if (w->row[l]) w->in[var] = (FuseIn){w->row[l] + r, 0};
    else if (w->col[l]) w->in[var] = (FuseIn){w->col[l] + j, 0};
  }
  const int both[3] = {plan->dot, plan->dist2, plan->l1};
  for (int k = 0; k < 3; k++)
    if (both[k] >= 0) w->in[job->spec->leaf[both[k]].var] = (FuseIn){w->tile[k] + at, job->cols};
}

/* Part number `g` of a cell's tile at j0: rows from group *g on that see the same
 * columns.  false: no more.                                                  */
static bool next_part(const TileWork *w, const TileCell *cell, int64_t j0, int *g, Part *p) {
  int64_t width = attn_min(w->job->cols, w->job->nk - j0), groups = (w->m - 1) / TILE_UNIT + 1;
  *p = (Part){.j0 = j0, .masked = cell->tile == TILE_PARTIAL};
  if (cell->tile == TILE_FULL) {
    p->m = w->m;
    p->n = width;
    return (*g)++ == 0;
  }
  while (*g < groups && cell->lo[*g] == cell->hi[*g]) ++*g;
  if (*g >= groups) return false;
  int from = *g;
  while (*g < groups && cell->lo[*g] == cell->lo[from] && cell->hi[*g] == cell->hi[from]) ++*g;
  p->r = (int64_t)from * TILE_UNIT;
  p->m = attn_min((int64_t)*g * TILE_UNIT, w->m) - p->r;
  p->c = (int64_t)cell->lo[from] * TILE_UNIT;
  p->n = attn_min((int64_t)cell->hi[from] * TILE_UNIT, width) - p->c;
  return true;
}

/* The part that holds all parts of a cell's tile at j0. */
static Part hull_of(const TileWork *w, const TileCell *cell, int64_t j0) {
  int64_t width = attn_min(w->job->cols, w->job->nk - j0);
  Part p = {.m = w->m, .j0 = j0, .n = width};
  if (cell->tile == TILE_FULL) return p;
  int groups = (int)((w->m - 1) / TILE_UNIT + 1), from = groups, to = 0;
  uint8_t lo = UINT8_MAX, hi = 0;
  for (int g = 0; g < groups; g++) {
    if (cell->lo[g] == cell->hi[g]) continue;
    if (to == 0) from = g;
    to = g + 1;
    if (cell->lo[g] < lo) lo = cell->lo[g];
    if (cell->hi[g] > hi) hi = cell->hi[g];
  }
  p.r = (int64_t)from * TILE_UNIT;
  p.m = attn_min((int64_t)to * TILE_UNIT, w->m) - p.r;
  p.c = (int64_t)lo * TILE_UNIT;
  p.n = attn_min((int64_t)hi * TILE_UNIT, width) - p.c;
  return p;
}

/* Groups [from, to) of rows that see column unit u, and whether all of them do. */
static bool unit_rows(const TileCell *cell, int groups, int u, int *from, int *to) {
  int seen = 0;
  *from = groups;
  *to = 0;
  for (int g = 0; g < groups; g++) {
    if (u < cell->lo[g] || u >= cell->hi[g]) continue;
    if (!seen++) *from = g;
    *to = g + 1;
  }
  return seen == *to - *from || !seen;
}

/* Is there a row between two others that see a column and does not see it? */
static bool has_holes(const TileWork *w, const TileCell *cell) {
  int groups = (int)((w->m - 1) / TILE_UNIT + 1), units = (int)((w->width - 1) / TILE_UNIT + 1);
  int a, b;
  bool holes = false;
  for (int u = 0; u < units && cell->tile == TILE_PARTIAL; u++)
    holes |= !unit_rows(cell, groups, u, &a, &b);
  return holes;
}

/* Zeros there. */
static void clear_holes(const TileWork *w, const TileCell *cell, T *tile) {
  if (has_holes(w, cell)) memset(tile, 0, (size_t)(w->m * w->job->cols) * sizeof(T));
}

/* A part of what a program was opened with. */
static void run_part(FuseRun *run, const Part *hull, const Part *p) {
  run->masked = p->masked;
  fuse_part(run, (int)(p->r - hull->r), (int)p->m, (int)(p->c - hull->c), (int)p->n);
}

/* ---- dropout --------------------------------------------------------------------- */

enum { DROP = 256 };   /* numbers drawn at a time */

/* Factors of a part: 0, or 1 / (1 - rate); the same numbers in every mode. */
static void part_keep(TileWork *w, const Part *p) {
  const AttnJob *job = w->job;
  RngCall call = attn_dropout_call(job);
  T up = (T)(w->rate < 1 ? 1 / (1 - w->rate) : 0);
  for (int64_t r = p->r; r < p->r + p->m; r++) {
    uint64_t pair = attn_pair_number(job, w->b, w->h, w->r0 + r, p->j0);
    T *keep = w->keep + r * job->cols;
    double u[DROP];
    for (int64_t c = p->c; c < p->c + p->n; c += DROP) {
      int64_t n = attn_min(DROP, p->c + p->n - c);
      rng_uniforms(call, pair + (uint64_t)c, n, u);
      for (int64_t k = 0; k < n; k++) keep[c + k] = u[k] < w->rate ? 0 : up;
    }
  }
}

static void apply_keep(const TileWork *w, const Part *p, T *x) {
  int64_t ld = w->job->cols;
  for (int64_t r = p->r; r < p->r + p->m; r++)
    for (int64_t c = p->c; c < p->c + p->n; c++) x[r * ld + c] *= w->keep[r * ld + c];
}

static void note_fuse(AttnJob *job, const FuseRun *run) {
  if (!run->plan || run->bad_slot < 0 || job->bad_slot >= 0) return;
  job->bad_slot = run->bad_slot;
  job->bad_axis = run->bad_axis;
  job->bad_index = run->bad_index;
}
