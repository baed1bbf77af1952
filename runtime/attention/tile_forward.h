/* tile_forward.h: the forward pass in tile mode; included after tile_work.h. */

/* Sums of exponentials out here are as good as any; beyond, the shift moves. */
#define SUM_LOW (sizeof(T) == 4 ? 1e-10 : 1e-100)
#define SUM_HIGH (sizeof(T) == 4 ? 1e18 : 1e100)

static void carve_forward(TileWork *w, AttnJob *job, Carve *c) {
  carve_common(w, job, false, c);
  double **rows[] = {&w->shift, &w->sum,      &w->sumsq,      &w->l1,     &w->count,
                     &w->peak,  &w->tile_sum, &w->tile_sumsq, &w->tile_l1, &w->tile_count};
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    *rows[k] = carve(c, (size_t)job->rows * sizeof(double));
    if (*rows[k]) memset(*rows[k], 0, (size_t)job->rows * sizeof(double));
  }
  w->scale = carve(c, (size_t)job->rows * sizeof(T));
}

/* ---- weights of a part ----------------------------------------------------------- */

/* The products and weights of a block whose weights are kept lie where they stay. */
static void aim_weights(TileWork *w) {
  w->weights = kept_rows(w);
  w->tile[w->tile[0] ? 0 : 1] = w->weights;
}

/* Sums of the weight program over a tile, which add to what they hold. */
static void bind_sum(TileWork *w, const Part *hull, int want, double *sum) {
  if (want >= 0) w->weight.row_sum[want] = sum + hull->r;
}

/* Are the rows and columns those of the last tile?  Then short sequences, whose heads are
 * all alike, need not take their positions again.                               */
static bool same_tile(TileWork *w, const Part *hull) {
  Part now = {w->r0 + hull->r, hull->m, 0, hull->j0 + hull->c, hull->n, false}, *last = &w->open;
  bool same = now.r == last->r && now.m == last->m && now.c == last->c && now.n == last->n;
  bool plain = !w->shifted && !w->plan->by_vector && !w->plan->per_head;
  *last = plain ? now : (Part){0};
  return same && plain;
}

/* Inputs and results of both programs for the parts of a tile. */
static void open_weights(TileWork *w, const Part *hull) {
  const TilePlan *plan = w->plan;
  FuseRun *run = &w->weight, *top = &w->top;
  bind_part(w, hull);
  w->in[plan->shift] = (FuseIn){w->shift + hull->r, 0};
  run->m = (int)hull->m;
  run->n = (int)hull->n;
  run->out[0] = w->weights + hull->r * w->job->cols + hull->c;
  run->out_ld[0] = w->job->cols;
  bind_sum(w, hull, 0, w->tile_sum);
  bind_sum(w, hull, plan->sumsq_want, w->tile_sumsq);
  bind_sum(w, hull, plan->l1_sum_want, w->tile_l1);
  bind_sum(w, hull, plan->count_want, w->tile_count);
  if (!same_tile(w, hull)) fuse_open(run);
  if (!top->plan) return;
  top->m = run->m;
  top->n = run->n;
  top->row_max[0] = w->peak + hull->r;
}

static void start_sums(TileWork *w, const Part *p) {
  const TilePlan *plan = w->plan;
  const int want[] = {0, plan->sumsq_want, plan->l1_sum_want, plan->count_want};
  double *const sum[] = {w->tile_sum, w->tile_sumsq, w->tile_l1, w->tile_count};
  for (int k = 0; k < 4; k++)
    if (want[k] >= 0) memset(sum[k] + p->r, 0, (size_t)p->m * sizeof *sum[k]);
}

/* How many of m rows leave the middle of the number range: by their sum so far, or by
 * that of the tile.                                                             */
CLONES static int64_t beyond_middle(int64_t m, const double *sum, const double *tile) {
  int64_t n = 0;
  _Pragma("omp simd reduction(+ : n)")
  for (int64_t r = 0; r < m; r++)
    n += ((sum[r] > 0) | (tile[r] >= SUM_LOW)) & (tile[r] <= SUM_HIGH) ? 0 : 1;
  return n;
}

static T *result_row(const TileWork *w, int64_t r) {
  return row_of(&w->job->out, w->b, w->h, w->r0 + r);
}

static bool row_started(const TileWork *w, int64_t r) { return w->started >> r / TILE_STEP & 1; }

static void scale_row(int64_t n, T *x, T by) {
  for (int64_t j = 0; j < n; j++) x[j] *= by;
}

/* The largest log-weight of each row becomes its shift, where it is larger; what
 * the row has gathered is rescaled.                                          */
static void move_shift(TileWork *w, const Part *hull, const Part *p) {
  for (int64_t r = p->r; r < p->r + p->m; r++) w->peak[r] = -INFINITY;
  fuse_open(&w->top);
  run_part(&w->top, hull, p);
  for (int64_t r = p->r; r < p->r + p->m; r++) {
    bool fresh = !(w->sum[r] > 0);
    if (!(w->peak[r] > -INFINITY) || !(fresh || w->peak[r] > w->shift[r])) continue;
    double f = fresh ? 0 : exp(w->shift[r] - w->peak[r]);
    w->shift[r] = w->peak[r];
    w->sum[r] *= f;
    w->sumsq[r] *= f * f;
    if (!fresh && row_started(w, r)) scale_row(w->job->e, result_row(w, r), (T)f);
  }
  w->shifted = true;
  w->open = (Part){0};
  fuse_open(&w->weight);
}

CLONES static void add_to(int64_t m, const double *from, double *to) {
  _Pragma("omp simd")
  for (int64_t r = 0; r < m; r++) to[r] += from[r];
}

/* The tile's sums to those of the rows. */
static void add_sums(TileWork *w, const Part *hull) {
  const TilePlan *plan = w->plan;
  int64_t r = hull->r, m = hull->m;
  add_to(m, w->tile_sum + r, w->sum + r);
  if (plan->sumsq_want >= 0) add_to(m, w->tile_sumsq + r, w->sumsq + r);
  if (plan->l1_sum_want >= 0) add_to(m, w->tile_l1 + r, w->l1 + r);
  if (plan->count_want >= 0) add_to(m, w->tile_count + r, w->count + r);
}

static bool leaves_middle(const TileWork *w, const Part *p) {
  return w->top.plan && beyond_middle(p->m, w->sum + p->r, w->tile_sum + p->r) > 0;
}

/* Do the weights of the last row alone, where it has gathered none, already say that the
 * shift must move?  Then the others need not be made in vain.  Short sequences, whose one
 * tile is soon made again, do not ask.                                          */
static bool sample_fails(TileWork *w, const Part *hull, Part *p) {
  int64_t r = p->r + p->m - 1;
  if (!w->top.plan || p->m <= TILE_UNIT || w->job->nk <= w->job->cols || w->sum[r] > 0)
    return false;
  Part row = *p;
  row.r = r;
  row.m = 1;
  run_part(&w->weight, hull, &row);
  bool fails = beyond_middle(1, w->sum + r, w->tile_sum + r) > 0;
  if (fails) part_products(w, &row);
  else p->m--;
  return fails;
}

/* Products, then weights in their place with the tile's sums. */
static void part_weights(TileWork *w, const Part *hull, const Part *p) {
  Part left = *p;
  part_products(w, p);
  if (!sample_fails(w, hull, &left)) {
    run_part(&w->weight, hull, &left);
    if (!leaves_middle(w, p)) return;
    part_products(w, p);
  }
  move_shift(w, hull, p);
  start_sums(w, p);
  run_part(&w->weight, hull, p);
}

static void drop_weights(TileWork *w, const Part *p) {
  if (!w->job->dropout) return;
  part_keep(w, p);
  apply_keep(w, p, w->weights);
}

/* The weights of a tile.  Where it holds all keys, what leaves the middle is looked for in all
 * of it at once.                                                              */
static void tile_weights(TileWork *w) {
  bool alone = w->job->nk <= w->job->cols, again = true;
  const Part *hull = &w->lay.hull, *end = w->lay.part + w->lay.n_part;
  start_sums(w, hull);
  for (const Part *p = w->lay.part; alone && p < end; p++) {
    part_products(w, p);
    run_part(&w->weight, hull, p);
  }
  if (alone) again = leaves_middle(w, hull);
  for (const Part *p = w->lay.part; (again || w->job->dropout) && p < end; p++) {
    if (!alone) part_weights(w, hull, p);
    else if (leaves_middle(w, p)) {
      part_products(w, p);
      move_shift(w, hull, p);
      start_sums(w, p);
      run_part(&w->weight, hull, p);
    }
    drop_weights(w, p);
  }
  add_sums(w, hull);
}

/* ---- outputs --------------------------------------------------------------------- */

/* Steps of rows by the columns they can see; they hold numbers from then on. */
static void lay_spans(const TileWork *w, const TileCell *cell, TileLayout *l) {
  const Part *hull = &l->hull;
  l->started = w->started;
  l->n_span = 0;
  for (int64_t r = hull->r; r < hull->r + hull->m; r += TILE_STEP) {
    int64_t k = r / TILE_STEP, rows = attn_min(TILE_STEP, hull->r + hull->m - r);
    bool full = cell->tile == TILE_FULL;
    int from = full ? 0 : cell->from[k] * TILE_STEP - (int)hull->c;
    int to = full ? (int)hull->n : (int)attn_min(cell->to[k] * TILE_STEP - hull->c, hull->n);
    if (from >= to) from = to = 0;
    GemmSpan now = {(int)rows, from, to, w->started >> k & 1};
    GemmSpan *last = l->n_span ? &l->span[l->n_span - 1] : NULL;
    if (last && last->from == from && last->to == to && last->add == now.add)
      last->rows += now.rows;
    else
      l->span[l->n_span++] = now;
    if (from < to) l->started |= 1u << k;
  }
}

/* Made anew for every tile, unless all heads are one tile and alike. */
static void lay_tile(TileWork *w, const TileCell *cell, int64_t j0) {
  const AttnJob *job = w->job;
  TileLayout *l = &w->lay;
  int g = 0;
  Part p;
  if (w->alike) return;
  l->hull = hull_of(w, cell, j0);
  for (l->n_part = 0; next_part(w, cell, j0, &g, &p);) l->part[l->n_part++] = p;
  l->holes = has_holes(w, cell);
  lay_spans(w, cell, l);
  w->alike = job->nk <= job->cols && job->nq <= job->rows && job->map_kind != TILE_MAP_HEAD;
}

/* A tile's weights times the values, to what the rows hold; last: and they are done. */
static void tile_values(TileWork *w, bool last) {
  const AttnJob *job = w->job;
  const Part *hull = &w->lay.hull;
  GEMM_SPANS(w->lay.n_span, w->lay.span, (int)job->e,
             w->weights + hull->r * job->cols + hull->c, job->cols,
             row_of(&job->v, w->b, w->key_h, hull->j0 + hull->c), job->v.row,
             last ? w->scale + hull->r : NULL, result_row(w, hull->r), job->out.row);
  w->started = w->lay.started;
}

/* The normaliser sees the statistics through exp(shift), held in the range of a
 * double: constants beside the sum have no weight out there.                */
typedef struct { double shift, sum, l2, l1, count; } RowStats;

static double set_divisor_stats(TileWork *w, const RowStats *s) {
  double e = exp(fmax(-600, fmin(600, s->shift)));
  w->var[AV_SUM] = e * s->sum;
  w->var[AV_L2] = e * s->l2;
  w->var[AV_L1] = e * s->l1;
  w->var[AV_COUNT] = s->count;
  return e;
}

static RowStats stats_of(const TileWork *w, int64_t r) {
  double l1 = w->top.plan ? w->sum[r] : w->l1[r];
  return (RowStats){w->shift[r], w->sum[r], sqrt(w->sumsq[r]), l1, w->count[r]};
}

/* What the gathered rows are multiplied with. */
static double row_scale(TileWork *w, int64_t r) {
  const TilePlan *plan = w->plan;
  double phi = plan->phi_value, shift = w->shift[r];
  if (plan->phi == TILE_PHI_CONST) return phi != 0 ? exp(shift) / phi : 0;
  RowStats stats = stats_of(w, r);
  double e = set_divisor_stats(w, &stats);
  if (!w->job->code->uses_stats) e = exp(shift);
  w->var[AV_I] = w->pos_i[w->r0 + r];
  prog_run_row(&w->norm);
  prog_out(&w->norm, 0, &phi);
  return phi != 0 ? e / phi : 0;
}

/* The reciprocals, and how many of them are 0. */
CLONES static int64_t inverses(int64_t n, const double *sum, T *to) {
  int64_t none = 0;
  _Pragma("omp simd reduction(+ : none)")
  for (int64_t r = 0; r < n; r++) {
    to[r] = sum[r] != 0 ? (T)(1 / sum[r]) : 0;
    none += to[r] == 0 ? 1 : 0;
  }
  return none;
}

/* Every row's factor; is any 0? */
static bool row_scales(TileWork *w) {
  if (w->plan->phi == TILE_PHI_SUM) return inverses(w->m, w->sum, w->scale) > 0;
  bool none = false;
  for (int64_t r = 0; r < w->m; r++) {
    w->scale[r] = (T)row_scale(w, r);
    none |= w->scale[r] == 0;
  }
  return none;
}

/* The one number a row that a divisor which is the sum leaves for the backward pass. */
static void keep_sums(const TileWork *w, double *to) {
  if (!folds(w)) {
    memcpy(to, w->sum, (size_t)w->m * sizeof *to);
    return;
  }
  kernel_unary(UN_LOG, DT_F64)(w->m, w->sum, to);
  for (int64_t r = 0; r < w->m; r++) to[r] = w->sum[r] > 0 ? w->shift[r] + to[r] : INFINITY;
}

static void keep_stats(const TileWork *w) {
  const AttnJob *job = w->job;
  int64_t rows = job->B * job->Hq * job->nq, at = (w->b * job->Hq + w->h) * job->nq + w->r0;
  if (!job->stat || w->plan->phi == TILE_PHI_CONST) return;
  if (w->plan->phi == TILE_PHI_SUM) {
    keep_sums(w, job->stat + at);
    return;
  }
  for (int64_t r = 0; r < w->m; r++) {
    double *to = job->stat + at + r;
    RowStats s = stats_of(w, r);
    to[0] = s.shift;
    to[rows] = s.sum;
    to[2 * rows] = s.l2;
    to[3 * rows] = s.l1;
    to[4 * rows] = s.count;
  }
}

/* Rows that the last tile, if any, did not see; zeros where nothing was gathered, whatever
 * the row holds.  none: is any row's factor 0?                                  */
static void close_block(TileWork *w, const Part *last, bool none) {
  int64_t e = w->job->e;
  unsigned all = (2u << (w->m - 1) / TILE_STEP) - 1;
  if (!last || last->m < w->m || w->started != all || none)
    for (int64_t r = 0; r < w->m; r++) {
      bool seen = last && r >= last->r && r < last->r + last->m;
      if (w->scale[r] == 0 || !row_started(w, r)) memset(result_row(w, r), 0, (size_t)e * sizeof(T));
      else if (!seen) scale_row(e, result_row(w, r), w->scale[r]);
    }
  keep_stats(w);
}

/* ---- the pass -------------------------------------------------------------------- */

/* All numbers of the rows are 0: those that the plan does not gather always are. */
static void clear_rows(TileWork *w) {
  const TilePlan *plan = w->plan;
  size_t size = (size_t)w->job->rows * sizeof(double);
  w->started = 0;
  if (w->shifted) memset(w->shift, 0, size);
  w->shifted = false;
  memset(w->sum, 0, size);
  if (plan->sumsq_want >= 0) memset(w->sumsq, 0, size);
  if (plan->l1_sum_want >= 0) memset(w->l1, 0, size);
  if (plan->count_want >= 0) memset(w->count, 0, size);
}

/* From the last key to the first: a row's own neighbourhood comes early, where
 * weights that decay with distance are largest.                             */
static void block_forward(TileWork *w, int64_t block) {
  const AttnJob *job = w->job;
  const TileCell *cell;
  TileCell all;
  int64_t n = cells_of(w, block, &cell, &all);
  open_block(w, block);
  if (job->kept) aim_weights(w);
  clear_rows(w);
  for (int64_t k = n; k-- > 0;) {
    int64_t first = cell[k].j0, tiles = (cell[k].j1 - first + job->cols - 1) / job->cols;
    for (int64_t t = tiles; t-- > 0;) {
      int64_t j0 = first + t * job->cols;
      w->width = attn_min(job->cols, job->nk - j0);
      w->panel = w->kt ? w->kt + j0 * job->d : NULL;
      lay_tile(w, &cell[k], j0);
      if (job->kept && w->lay.holes)
        memset(w->weights, 0, (size_t)(w->m * job->cols) * sizeof(T));
      open_weights(w, &w->lay.hull);
      tile_weights(w);
      bool done = k == 0 && t == 0;
      bool none = done && row_scales(w);
      tile_values(w, done);
      if (done) close_block(w, &w->lay.hull, none);
    }
  }
  if (n == 0) close_block(w, NULL, row_scales(w));
}

typedef struct { AttnJob *job; TileWork *lane; int64_t blocks; } TileForward;

static int tile_forward_items(void *job, int64_t first, int64_t end, int lane) {
  const TileForward *f = job;
  AttnJob *j = f->job;
  TileWork *w = &f->lane[lane];
  for (int64_t k = first; k < end; k++) {
    if (atomic_load_explicit(j->interrupted, memory_order_relaxed)) return 0;
    int64_t b = k / f->blocks / j->Hq, h = k / f->blocks % j->Hq;
    if (b != w->b || h != w->h) open_head(w, b, h, false);
    block_forward(w, k % f->blocks);
  }
  return 0;
}

typedef void (*CarveLane)(TileWork *, AttnJob *, Carve *);

/* Lanes with their scratch behind them; NULL with the error set. */
static TileWork *tile_lanes(Rt *rt, AttnJob *job, CarveLane carve_lane, size_t *size) {
  Carve c = {0};
  TileWork one;
  carve_lane(&one, job, &c);
  size_t n = (size_t)job->threads, each = c.at, head = attn_round(n * sizeof(TileWork));
  *size = head + n * each;
  char *p = rt_alloc(rt, *size);
  TileWork *lane = (TileWork *)(void *)p;
  for (size_t i = 0; p && i < n; i++) {
    c = (Carve){p + head + i * each, 0};
    carve_lane(&lane[i], job, &c);
    start_lane(&lane[i]);
  }
  return lane;
}

static void tile_lanes_free(Rt *rt, AttnJob *job, TileWork *lane, size_t size) {
  for (int i = 0; i < job->threads; i++) {
    const FuseRun *runs[] = {&lane[i].weight, &lane[i].top, &lane[i].grad};
    for (int k = 0; k < 3; k++) note_fuse(job, runs[k]);
    note_strip(job, &lane[i].norm);
    note_strip(job, &lane[i].once);
  }
  rt_free(rt, lane, size);
}

RtStatus FN(tile_forward)(Rt *rt, AttnJob *job) {
  size_t size;
  TileWork *lane = tile_lanes(rt, job, carve_forward, &size);
  if (!lane) return rt->error.status;
  TileForward f = {job, lane, (job->nq + job->rows - 1) / job->rows};
  int64_t items = job->B * job->Hq * f.blocks;
  parallel_for(job->threads, items, attn_grain(job, items), tile_forward_items, &f);
  tile_lanes_free(rt, job, lane, size);
  return RT_OK;
}
