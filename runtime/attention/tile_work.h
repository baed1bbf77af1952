/* tile_work.h: what a lane of a tiled pass owns, the start of a head, and the
 * products of a block of queries with a tile of keys; included after vectors.h. */

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
  T *mean, *q;                 /* mean key; centred queries of a block            */
  T *k_norm, *q_norm;          /* squared lengths, centred                        */
  T *tile[3];                  /* dot, dist2, l1 of a tile                        */
  T *col[ATTN_MAX_LEAF];       /* one-vector products: of keys,                   */
  double *row[ATTN_MAX_LEAF];  /* of queries                                      */
  T *keep;                     /* dropout                                         */
  int64_t b, h, key_b, key_h;  /* head; head of keys the panels belong to         */
  int64_t r0, m;               /* block of rows                                   */
  double rate;
  /* forward: one number a row of the block */
  double *shift, *sum, *sumsq, *l1, *count, *peak;
  double *tile_sum, *tile_sumsq, *tile_l1, *tile_count;
  unsigned started;            /* groups of rows whose output holds numbers       */
  /* backward: see tile_backward.h */
  T *vt, *kc, *dp, *dout, **store;
  double *mean_row, *curve, *bend;
  double **row_acc, **col_acc, **diagonal;
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
  if (p->centred) w->q = carve(c, (size_t)job->rows * d * sizeof(T));
  if (p->dist2 >= 0) {
    w->k_norm = carve(c, nk * sizeof(T));
    w->q_norm = carve(c, (size_t)job->rows * sizeof(T));
  }
  const int both[3] = {p->dot, p->dist2, p->l1};
  for (int k = 0; k < 3; k++)
    if (both[k] >= 0) w->tile[k] = carve(c, area * sizeof(T));
  if (!w->tile[0] && !w->tile[1]) w->tile[0] = carve(c, area * sizeof(T));
  for (int l = 0; l < s->n_leaf; l++) {
    if (s->leaf[l].stage == PS_COL) w->col[l] = carve(c, nk * sizeof(T));
    if (s->leaf[l].stage == PS_ROW) w->row[l] = carve(c, nq * sizeof(double));
  }
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

/* ---- a head ------------------------------------------------------------------------------ */

static const T *key_row(const TileWork *w, int64_t j) {
  return row_of(&w->job->k, w->b, key_head(w->job, w->h), j);
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

/* The transposed tile of keys from j0 on, at `to`. */
static void pack_keys(TileWork *w, int64_t j0, T *to) {
  const AttnJob *job = w->job;
  int64_t width = attn_min(job->cols, job->nk - j0);
  GEMM_TRANSPOSE((int)width, (int)job->d, key_row(w, j0), job->k.row, to, width);
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

/* Squared lengths where keys are used as they lie. */
static void plain_norms(TileWork *w) {
  const AttnJob *job = w->job;
  for (int64_t j = 0; j < job->nk; j++) {
    const T *k = key_row(w, j);
    w->k_norm[j] = (T)ROW_DOT(job->d, k, k);
  }
}

static bool takes_mean(const TileWork *w) { return w->plan->centred && w->kt; }

static void start_keys(TileWork *w, bool back) {
  if (takes_mean(w)) mean_key(w);
  if (!w->kt) {
    if (w->k_norm) plain_norms(w);
  } else if (!back) {
    pack_head(w);
  }
}

static void head_leaves(TileWork *w) {
  const AttnJob *job = w->job;
  for (int l = 0; l < job->spec->n_leaf; l++) {
    const AttnLeaf *leaf = &job->spec->leaf[l];
    if (leaf->stage == PS_ONCE) w->var[leaf->var] = leaf_value(job, leaf, w->b, w->h, 0);
    for (int64_t j = 0; j < job->nk && w->col[l]; j++)
      w->col[l][j] = (T)leaf_value(job, leaf, w->b, w->h, j);
    for (int64_t r = 0; r < job->nq && w->row[l]; r++)
      w->row[l][r] = leaf_value(job, leaf, w->b, w->h, r);
  }
}

static void bind_strip(TileWork *w, ProgRun *run) {
  if (!run->plan) return;
  run->slot = w->job->slot;
  run->var = w->var;
  run->mask = NULL;
  prog_run_once(run);
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
  head_leaves(w);
  for (int k = 0; k < w->plan->prog.n_var; k++)
    if (w->plan->prog.var[k].stage == PS_ONCE) w->in[k] = (FuseIn){&w->var[k], 0};
  if (job->map_kind == TILE_MAP_HEAD) tile_map_fill(&w->map, job, b, h, w->ranges);
  FuseRun *runs[] = {&w->weight, &w->top, &w->grad};
  for (int k = 0; k < 3; k++)
    if (runs[k]->plan) fuse_once(runs[k]);
  bind_strip(w, &w->norm);
  bind_strip(w, &w->once);
  prog_out(&w->once, 2, &w->rate);
}

static const TileMap *map_of(const TileWork *w) {
  return w->job->map_kind == TILE_MAP_HEAD ? &w->map : w->job->map;
}

/* Cells of row block k; one that is full when there is no mask. */
static int64_t cells_of(const TileWork *w, int64_t k, const TileCell **cell, TileCell *all) {
  const TileMap *map = map_of(w);
  if (!map) {
    *all = (TileCell){0, w->job->nk, TILE_FULL, {0}, {0}};
    *cell = all;
    return 1;
  }
  *cell = map->cell + map->first[k];
  return map->first[k + 1] - map->first[k];
}

/* ---- a block of rows -------------------------------------------------------------------------- */

static const T *query_rows(const TileWork *w, int64_t r, int64_t *ld) {
  if (takes_mean(w)) {
    *ld = w->job->d;
    return w->q + r * w->job->d;
  }
  *ld = w->job->q.row;
  return row_of(&w->job->q, w->b, w->h, w->r0 + r);
}

static void open_block(TileWork *w, int64_t r0, int64_t m) {
  const AttnJob *job = w->job;
  w->r0 = r0;
  w->m = m;
  for (int64_t r = 0; r < m && takes_mean(w); r++) {
    const T *q = row_of(&job->q, w->b, w->h, r0 + r);
    for (int64_t c = 0; c < job->d; c++) w->q[r * job->d + c] = q[c] - w->mean[c];
  }
  for (int64_t r = 0; r < m && w->q_norm; r++) {
    int64_t ld;
    const T *q = query_rows(w, r, &ld);
    w->q_norm[r] = (T)ROW_DOT(job->d, q, q);
  }
}

/* ---- products ------------------------------------------------------------------------------------ */

/* A part of a tile: rows from r on (of the block), columns from c on (of the
 * tile at j0).                                                               */
typedef struct { int64_t r, m, j0, c, n; bool masked; } Part;

/* Squared distances from dot products; which rows hold pairs so close that the
 * difference has lost more than four bits?                                   */
CLONES static bool expand_rows(int64_t m, int64_t n, const T *restrict dot, const T *restrict qn,
                               const T *restrict kn, T *restrict out, int64_t ld,
                               uint8_t *restrict near) {
  bool any = false;
  for (int64_t r = 0; r < m; r++) {
    const T *x = dot + r * ld;
    T *o = out + r * ld, a = qn[r], low = 0;
#pragma omp simd reduction(min : low)
    for (int64_t j = 0; j < n; j++) {
      T s = a + kn[j], y = s - 2 * x[j], gap = y - s * (T)0.0625;
      o[j] = y < 0 ? 0 : y;
      low = gap < low ? gap : low;
    }
    near[r] = low < 0;
    any |= near[r];
  }
  return any;
}

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
  T a = w->q_norm[p->r + r];
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
  if (!expand_rows(p->m, p->n, dot, w->q_norm + p->r, w->k_norm + p->j0 + p->c, out, ld, near))
    return;
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

/* Inputs of the programs for a part. */
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

/* ---- dropout ---------------------------------------------------------------------------------------- */

/* Factors of a part: 0, or 1 / (1 - rate); the same numbers in every mode. */
static void part_keep(TileWork *w, const Part *p) {
  const AttnJob *job = w->job;
  RngCall call = attn_dropout_call(job);
  T up = (T)(w->rate < 1 ? 1 / (1 - w->rate) : 0);
  for (int64_t r = p->r; r < p->r + p->m; r++) {
    uint64_t pair = attn_pair_number(job, w->b, w->h, w->r0 + r, p->j0);
    T *keep = w->keep + r * job->cols;
    for (int64_t c = p->c; c < p->c + p->n; c++)
      keep[c] = rng_uniform(call, pair + (uint64_t)c) < w->rate ? 0 : up;
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
