/* tile_backward.h: the backward pass in tile mode; included after
 * tile_captured.h.
 *
 * With e_ij the weight relative to the row's shift, p = scale e the weight as
 * used, dP = dO V^T and D_i = dO_i . O_i, the adjoint of a pair is
 *
 *   dL/dw = dP' - mean_i - curve_i e - bend_i sign(e)      (log weights: times e)
 *
 * where dP' = scale_i dP, mean_i = scale_i D_i phi_sum, curve_i =
 * scale_i D_i phi_l2 / l2 and bend_i = scale_i D_i phi_l1.  dO is scaled once a
 * row, so that the factor costs nothing a pair; a log weight whose divisor is
 * never negative takes it into the shift instead (then e = p and scale = 1).  One
 * program computes e and the adjoints of all products and captured values; then
 * dV += e^T dO', dK += dS^T Q and dQ += dS K.
 *
 * One item is a key head of one batch entry and a share of its key tiles.  It
 * owns these rows of dk and dv; dq and the gradients of captured tensors go to
 * buffers of its own, added in item order, when there are several shares.     */

static void carve_stores(TileWork *w, AttnJob *job, Carve *c) {
  const TilePlan *p = job->tile;
  size_t n = (size_t)p->n_want, area = (size_t)(job->rows * job->cols);
  w->store = carve(c, n * sizeof *w->store);
  w->row_acc = carve(c, n * sizeof *w->row_acc);
  w->col_acc = carve(c, n * sizeof *w->col_acc);
  w->diagonal = carve(c, (size_t)p->n_load * sizeof *w->diagonal);
  for (int k = 0; k < p->n_want; k++) {
    T *own = NULL;
    if (p->want[k].store && !(job->kept && k == p->weight_want))
      own = k == p->weight_want ? w->weights : k == p->pair_want ? w->dp
          : k == p->l1_want ? w->tile[2] : carve(c, area * sizeof(T));
    double *rows = p->want[k].row_sum ? carve(c, (size_t)job->nq * sizeof(double)) : NULL;
    double *cols = p->want[k].column_sum ? carve(c, (size_t)job->nk * sizeof(double)) : NULL;
    if (!c->base) continue;
    w->store[k] = own;
    w->row_acc[k] = rows;
    w->col_acc[k] = cols;
  }
  for (int k = 0; k < p->n_load; k++) {
    double *sums = p->load[k].gather != TILE_DIAGONALS ? NULL
                 : carve(c, (size_t)n_diagonal(job) * sizeof(double));
    if (c->base) w->diagonal[k] = sums;
  }
}

static bool scaled_gradient(const TileWork *w) {
  const TilePlan *p = w->plan;
  return !folds(w) && !(p->phi == TILE_PHI_CONST && p->phi_value == 1);
}

/* Gradients of captured tensors are left out where no one asks for them. */
static const FusePlan *gradient_plan(const AttnJob *job) {
  const TilePlan *p = job->tile;
  bool captured = false;
  for (int k = 0; k < p->n_load; k++) captured |= job->dslot[p->load[k].slot] != NULL;
  return job->kept ? p->kept_grad : captured || !p->bare_grad ? p->grad : p->bare_grad;
}

static void carve_backward(TileWork *w, AttnJob *job, Carve *c) {
  const TilePlan *p = job->tile;
  size_t nq = (size_t)job->nq, cols = (size_t)job->cols;
  carve_common(w, job, true, c);
  carve_fuse(c, &w->grad, gradient_plan(job), job);
  carve_run(c, &w->norm_grad, job->code->norm_grad.plan);
  w->dp = carve(c, (size_t)job->rows * cols * sizeof(T));
  w->vt = carve(c, cols * (size_t)job->e * sizeof(T));
  if (p->centred) w->kc = carve(c, cols * (size_t)job->d * sizeof(T));
  if (scaled_gradient(w)) w->dout = carve(c, nq * (size_t)job->e * sizeof(T));
  w->shift = carve(c, nq * sizeof(double));
  w->mean_row = carve(c, nq * sizeof(double));
  w->curve = carve(c, nq * sizeof(double));
  w->bend = carve(c, nq * sizeof(double));
  w->values = carve(c, (size_t)p->prog.n * sizeof(double));
  w->rows_started = carve(c, nq / TILE_UNIT + 1);
  carve_stores(w, job, c);
}

/* ---- rows of a head -------------------------------------------------------------- */

/* Of one head.  fresh: dk and dv hold nothing yet; dq never does. */
typedef struct { T *dq, *dk, *dv; double **dslot; bool fresh; } TileSinks;

typedef struct { double scale, inverse, sum_slope, l2_slope, l2, l1_slope; } RowPhi;

static double slope_value(const TileWork *w, int k) {
  double s = 0;
  int out = w->job->code->norm_grad.stat_out[k];
  if (out >= 0) prog_out(&w->norm_grad, out, &s);
  return s;
}

/* A divisor of any form: its value and slopes from the statistics kept. */
static RowPhi any_divisor(TileWork *w, int64_t r, const double *stat, int64_t step) {
  const AttnJob *job = w->job;
  double phi = 0;
  RowStats s = {stat[0], stat[step], stat[2 * step], stat[3 * step], stat[4 * step]};
  double e = set_divisor_stats(w, &s);
  if (!job->code->uses_stats) e = exp(s.shift);
  w->var[AV_I] = w->pos_i[r];
  prog_run_row(&w->norm);
  prog_out(&w->norm, 0, &phi);
  if (phi == 0) return (RowPhi){0};
  if (w->norm_grad.plan) prog_run_row(&w->norm_grad);
  double l1 = slope_value(w, 3), sum = slope_value(w, 0) + (job->spec->log ? l1 : 0);
  return (RowPhi){e / phi, 1 / phi, sum, slope_value(w, 2), s.l2, l1};
}

static RowPhi row_divisor(TileWork *w, int64_t r) {
  const AttnJob *job = w->job;
  int64_t rows = job->B * job->Hq * job->nq, at = row_number(w, r);
  const TilePlan *p = w->plan;
  if (p->phi == TILE_PHI_CONST)
    return (RowPhi){.scale = p->phi_value != 0 ? 1 / p->phi_value : 0};
  if (p->phi == TILE_PHI_ANY) return any_divisor(w, r, job->stat + at, rows);
  double sum = job->stat[at];
  if (folds(w)) return (RowPhi){1, 1, 1, 0, 0, 0};
  return (RowPhi){sum != 0 ? 1 / sum : 0, 1, 1, 0, 0, 0};
}

/* The shift with the scale in it, for folded divisors. */
static double folded_shift(const TileWork *w, int64_t r, double scale) {
  const AttnJob *job = w->job;
  double shift = job->stat ? job->stat[row_number(w, r)] : 0;
  if (w->plan->phi == TILE_PHI_SUM) return shift;
  return scale > 0 ? shift - log(scale) : INFINITY;
}

static const T *grad_row(const TileWork *w, int64_t r) {
  return row_of(&w->job->grad, w->b, w->h, r);
}

CLONES static void scale_into(int64_t n, T f, const T *restrict from, T *restrict to) {
  for (int64_t c = 0; c < n; c++) to[c] = f * from[c];
}

/* Row scalars of the whole head; `own`: this item adds what the divisor captured. */
static void open_rows(TileWork *w, bool own, double **dslot) {
  const AttnJob *job = w->job;
  const TilePlan *p = w->plan;
  if (p->phi != TILE_PHI_CONST) {
    const AttnView *out = &job->result;
    GEMM_PAIRS((int)job->nq, (int)job->e, grad_row(w, 0), job->grad.row,
               row_of(out, w->b, w->h, 0), out->row, w->number);
  }
  for (int64_t r = 0; r < job->nq; r++) {
    RowPhi phi = row_divisor(w, r);
    const T *g = grad_row(w, r);
    double D = p->phi != TILE_PHI_CONST ? w->number[r] : 0;
    double scale = folds(w) ? 1 : phi.scale;
    w->mean_row[r] = scale * D * phi.sum_slope;
    w->curve[r] = phi.l2 > 0 && phi.scale != 0
                ? scale * scale * D * phi.l2_slope / (phi.scale * phi.l2) : 0;
    w->bend[r] = scale * D * phi.l1_slope;
    if (folds(w)) w->shift[r] = folded_shift(w, r, phi.scale);
    else w->shift[r] = p->phi == TILE_PHI_ANY ? job->stat[row_number(w, r)] : 0;
    if (w->dout) scale_into(job->e, (T)scale, g, w->dout + r * job->e);
    if (own && p->phi == TILE_PHI_ANY && w->norm_grad.plan && phi.scale != 0)
      add_loads(job, &w->norm_grad, &job->code->norm_grad, -D * phi.inverse, 1, NULL, dslot);
  }
}

static const T *dout_rows(const TileWork *w, int64_t r, int64_t *ld) {
  *ld = w->dout ? w->job->e : w->job->grad.row;
  return w->dout ? w->dout + (w->r0 + r) * w->job->e : grad_row(w, w->r0 + r);
}

/* ---- one tile -------------------------------------------------------------------- */

static void open_grad(TileWork *w, const Part *p) {
  FuseRun *run = &w->grad;
  bind_part(w, p);
  int64_t r = w->r0 + p->r, j = p->j0 + p->c, off = p->r * w->job->cols + p->c;
  w->in[w->plan->shift] = (FuseIn){w->shift + r, 0};
  w->in[w->plan->mean] = (FuseIn){w->mean_row + r, 0};
  w->in[w->plan->curve] = (FuseIn){w->curve + r, 0};
  w->in[w->plan->bend] = (FuseIn){w->bend + r, 0};
  w->in[w->plan->dp] = (FuseIn){w->dp + off, w->job->cols};
  w->in[w->plan->kept] = (FuseIn){w->weights + off, w->job->cols};
  for (int k = 0; k < w->plan->n_want; k++) {
    if (w->store[k]) {
      run->out[k] = w->store[k] + off;
      run->out_ld[k] = w->job->cols;
    }
    if (w->row_acc[k]) run->row_sum[k] = w->row_acc[k] + r;
    if (w->col_acc[k]) run->col_sum[k] = w->col_acc[k] + j;
  }
  run->m = (int)p->m;
  run->n = (int)p->n;
  fuse_open(run);
}

/* Rows of keys as they multiply adjoints, from key j on. */
static const T *key_side(const TileWork *w, int64_t j0, int64_t c, int64_t *ld) {
  if (w->kc) {
    *ld = w->job->d;
    return w->kc + c * w->job->d;
  }
  *ld = w->job->k.row;
  return key_row(w, j0 + c);
}

/* ---- what gradients hold ----------------------------------------------------------- */

/* The first product to reach a gradient's rows sets them.  Where others come before, or
 * none does, they begin as zeros.                                               */
static bool products_first(const TilePlan *p) { return p->pair_want >= 0 && p->l1_want < 0; }

static void zero_rows(T *x, int64_t from, int64_t to, int64_t width) {
  if (x) memset(x + from * width, 0, (size_t)((to - from) * width) * sizeof(T));
}

/* Does dq hold numbers in all rows of a part?  It does when the part has been added. */
static bool start_rows(TileWork *w, const Part *p, T *dq) {
  int64_t first = (w->r0 + p->r) / TILE_UNIT, end = (w->r0 + p->r + p->m - 1) / TILE_UNIT + 1;
  int64_t have = 0;
  for (int64_t g = first; g < end; g++) have += w->rows_started[g];
  for (int64_t g = first; g < end && have && have < end - first; g++)
    if (!w->rows_started[g])
      zero_rows(dq, g * TILE_UNIT, attn_min((g + 1) * TILE_UNIT, w->job->nq), w->job->d);
  memset(w->rows_started + first, true, (size_t)(end - first));
  return have != 0;
}

static void zero_keys(const TileWork *w, const TileSinks *to, int64_t j0, int unit) {
  int64_t from = (int64_t)unit * TILE_UNIT, end = attn_min(from + TILE_UNIT, w->width);
  zero_rows(to->dk, j0 + from, j0 + end, w->job->d);
  zero_rows(to->dv, j0 + from, j0 + end, w->job->e);
}

/* The same for the columns of a part in dk and dv. */
static bool start_keys_of(TileWork *w, const Part *p, const TileSinks *to) {
  int first = (int)(p->c / TILE_UNIT), end = (int)((p->c + p->n - 1) / TILE_UNIT) + 1;
  unsigned mine = (1u << end) - (1u << first), have = w->units & mine;
  for (int u = first; u < end && have && have != mine; u++)
    if (!(have >> u & 1)) zero_keys(w, to, p->j0, u);
  w->units |= mine;
  return have != 0;
}

/* Rows that no product has reached. */
static void finish_keys(TileWork *w, const TileSinks *to, int64_t j0) {
  int units = (int)((w->width - 1) / TILE_UNIT) + 1;
  for (int u = 0; u < units; u++)
    if (!(w->units >> u & 1)) zero_keys(w, to, j0, u);
  w->units = ~0u;
}

static void finish_rows(TileWork *w, T *dq) {
  int64_t nq = w->job->nq;
  for (int64_t g = 0; g * TILE_UNIT < nq; g++)
    if (!w->rows_started[g])
      zero_rows(dq, g * TILE_UNIT, attn_min((g + 1) * TILE_UNIT, nq), w->job->d);
}

/* Weights and adjoints of a part, and what its rows own. */
static void part_adjoints(TileWork *w, const Part *hull, const Part *p, const TileSinks *to) {
  const AttnJob *job = w->job;
  const TilePlan *plan = w->plan;
  int64_t ld = job->cols, off = p->r * ld + p->c, ldk, ldq, ldo;
  const T *dout = dout_rows(w, p->r, &ldo);
  if (!job->kept) part_products(w, p);
  GEMM_TILE((int)p->m, (int)p->n, (int)job->e, dout, ldo, 1, w->vt + p->c, w->width, w->dp + off,
            ld, false);
  if (job->dropout) {
    part_keep(w, p);
    apply_keep(w, p, w->dp);
  }
  run_part(&w->grad, hull, p);
  if (job->dropout) apply_keep(w, p, w->weights);
  const T *k = key_side(w, p->j0, p->c, &ldk);
  T *dq = to->dq ? to->dq + (w->r0 + p->r) * job->d : NULL;
  if (dq && plan->pair_want >= 0)
    GEMM_TILE((int)p->m, (int)job->d, (int)p->n, w->store[plan->pair_want] + off, ld, 1, k, ldk, dq,
              job->d, start_rows(w, p, to->dq));
  if (plan->l1_want >= 0) {
    const T *q = query_rows(w, p->r, &ldq);
    l1_back(p->m, p->n, job->d, q, ldq, k, ldk, w->store[plan->l1_want] + off, ld, dq,
            to->dk ? to->dk + (p->j0 + p->c) * job->d : NULL);
  }
  part_loads(w, p, to->dslot);
}

/* Products over the rows that see columns [c, c + n): rows [r, r + m) of the block. */
static void column_products(TileWork *w, const Part *p, const TileSinks *to) {
  const AttnJob *job = w->job;
  const TilePlan *plan = w->plan;
  int64_t ld = job->cols, off = p->r * ld + p->c, j = p->j0 + p->c, ldq, ldo;
  const T *dout = dout_rows(w, p->r, &ldo);
  bool add = start_keys_of(w, p, to);
  if (to->dv)
    GEMM_TILE((int)p->n, (int)job->e, (int)p->m, w->weights + off, 1, ld, dout,
              ldo, to->dv + j * job->e, job->e, add);
  const T *q = query_rows(w, p->r, &ldq);
  if (to->dk && plan->pair_want >= 0)
    GEMM_TILE((int)p->n, (int)job->d, (int)p->m, w->store[plan->pair_want] + off, 1, ld, q, ldq,
              to->dk + j * job->d, job->d, add);
}

static void tile_adjoints(TileWork *w, const TileCell *cell, int64_t j0, const TileSinks *to) {
  int groups = (int)((w->m - 1) / TILE_UNIT + 1), g = 0, a, b, a1, b1;
  int units = (int)((w->width - 1) / TILE_UNIT + 1);
  Part p;
  if (w->job->kept) w->weights = kept_rows(w);
  else clear_holes(w, cell, w->weights);
  if (w->plan->pair_want >= 0) clear_holes(w, cell, w->store[w->plan->pair_want]);
  Part hull = hull_of(w, cell, j0);
  open_grad(w, &hull);
  while (next_part(w, cell, j0, &g, &p)) part_adjoints(w, &hull, &p, to);
  if (cell->tile == TILE_FULL) {
    p = (Part){.m = w->m, .j0 = j0, .n = w->width};
    column_products(w, &p, to);
    return;
  }
  for (int u = 0, last; u < units; u = last) {
    unit_rows(cell, groups, u, &a, &b);
    for (last = u + 1; last < units; last++) {
      unit_rows(cell, groups, last, &a1, &b1);
      if (a1 != a || b1 != b) break;
    }
    if (a >= b) continue;
    p = (Part){.r = (int64_t)a * TILE_UNIT, .j0 = j0, .c = (int64_t)u * TILE_UNIT};
    p.m = attn_min((int64_t)b * TILE_UNIT, w->m) - p.r;
    p.n = attn_min((int64_t)last * TILE_UNIT, w->width) - p.c;
    column_products(w, &p, to);
  }
}

/* ---- a head ---------------------------------------------------------------------- */

static void open_tile(TileWork *w, int64_t j0, const TileSinks *to) {
  const AttnJob *job = w->job;
  w->width = attn_min(job->cols, job->nk - j0);
  w->units = to->fresh ? 0 : ~0u;
  if (!products_first(w->plan)) finish_keys(w, to, j0);
  w->panel = w->kt;
  if (!job->kept) pack_keys(w, j0, w->kt);
  if (w->k_norm && !job->kept) panel_norms(w->width, job->d, w->kt, w->k_norm + j0);
  turn_rows(job, w->width, job->e, row_of(&job->v, w->b, w->key_h, j0), job->v.row, w->vt);
  if (w->kc) move_rows(w->width, job->d, key_row(w, j0), job->k.row, w->mean, w->kc);
}

static void clear_sums(TileWork *w) {
  const AttnJob *job = w->job;
  for (int k = 0; k < w->plan->n_want; k++) {
    if (w->row_acc[k]) memset(w->row_acc[k], 0, (size_t)job->nq * sizeof(double));
    if (w->col_acc[k]) memset(w->col_acc[k], 0, (size_t)job->nk * sizeof(double));
  }
  for (int k = 0; k < w->plan->n_load; k++)
    if (w->diagonal[k]) memset(w->diagonal[k], 0, (size_t)n_diagonal(job) * sizeof(double));
}

/* x += f y for d numbers. */
CLONES static void add_scaled(int64_t d, T f, const T *restrict y, T *restrict x) {
  for (int64_t c = 0; c < d; c++) x[c] += f * y[c];
}

/* dist2 = |q|^2 + |k|^2 - 2 dot: the squares' share. */
static void flush_squares(TileWork *w, int64_t j0, int64_t j1, const TileSinks *to) {
  const AttnJob *job = w->job;
  int at = w->plan->dist2_want;
  if (at < 0) return;
  for (int64_t r = 0; r < job->nq && to->dq; r++) {
    T f = (T)(2 * w->row_acc[at][r]);
    const T *q = row_of(&job->q, w->b, w->h, r);
    if (takes_mean(w)) q = w->q + r * job->d;
    add_scaled(job->d, f, q, to->dq + r * job->d);
  }
  for (int64_t j = j0; j < j1 && to->dk; j++) {
    T f = (T)(2 * w->col_acc[at][j]);
    const T *k = key_row(w, j);
    T *dk = to->dk + j * job->d;
    if (takes_mean(w))
      for (int64_t c = 0; c < job->d; c++) dk[c] += f * (k[c] - w->mean[c]);
    else
      add_scaled(job->d, f, k, dk);
  }
}

/* Adjoint g of the length (or its square) of vector x. */
static void length_back(const AttnJob *job, const AttnLeaf *leaf, double g, double length,
                        const T *x, T *dx) {
  double f = leaf->product == ATTN_NORM2 ? 2 * g : length > 0 ? g / length : 0;
  if (dx && f != 0) add_scaled(job->d, (T)f, x, dx);
}

/* Adjoints of products that a query or a key has with itself or with a captured vector. */
static void vector_back(TileWork *w, int l, int64_t r, const TileSinks *to) {
  const AttnJob *job = w->job;
  const AttnLeaf *leaf = &job->spec->leaf[l];
  bool query = leaf->stage == PS_ROW;
  double g = query ? w->row_acc[w->plan->leaf_want[l]][r] : w->col_acc[w->plan->leaf_want[l]][r];
  T *dq = query && to->dq ? to->dq + r * job->d : NULL;
  T *dk = !query && to->dk ? to->dk + r * job->d : NULL;
  if (leaf->product != ATTN_NORM2 && leaf->product != ATTN_NORM)
    product_back(job, w->b, w->h, leaf, r, g, dq, dk, to->dslot);
  else if (query)
    length_back(job, leaf, g, w->row[l][r], row_of(&job->q, w->b, w->h, r), dq);
  else
    length_back(job, leaf, g, (double)w->col[l][r], key_row(w, r), dk);
}

static void flush_leaves(TileWork *w, int64_t j0, int64_t j1, const TileSinks *to) {
  const AttnJob *job = w->job;
  for (int l = 0; l < job->spec->n_leaf; l++) {
    const AttnLeaf *leaf = &job->spec->leaf[l];
    int at = w->plan->leaf_want[l];
    double total = 0;
    if (at < 0) continue;
    if (leaf->stage == PS_COL)
      for (int64_t j = j0; j < j1; j++) vector_back(w, l, j, to);
    else if (leaf->stage == PS_ROW)
      for (int64_t r = 0; r < job->nq; r++) vector_back(w, l, r, to);
    else {
      for (int64_t r = 0; r < job->nq; r++) total += w->row_acc[at][r];
      product_back(job, w->b, w->h, leaf, 0, total, NULL, NULL, to->dslot);
    }
  }
}

/* Key tiles [first, last) against all queries of a head. */
static void head_backward(TileWork *w, int64_t first, int64_t last, const TileSinks *to) {
  const AttnJob *job = w->job;
  int64_t blocks = (job->nq + job->rows - 1) / job->rows;
  int64_t j1 = attn_min(last * job->cols, job->nk);
  clear_sums(w);
  memset(w->rows_started, 0, (size_t)job->nq / TILE_UNIT + 1);
  if (!products_first(w->plan)) finish_rows(w, to->dq);
  for (int64_t t = first; t < last; t++) {
    if (atomic_load_explicit(job->interrupted, memory_order_relaxed)) return;
    int64_t j0 = t * job->cols;
    open_tile(w, j0, to);
    for (int64_t k = 0; k < blocks; k++) {
      const TileCell *cell;
      TileCell all;
      int64_t n = cells_of(w, k, &cell, &all);
      while (n && cell->j1 <= j0) { cell++; n--; }
      if (!n || cell->j0 > j0) continue;
      open_block(w, k);
      tile_adjoints(w, cell, j0, to);
    }
    finish_keys(w, to, j0);
  }
  if (products_first(w->plan)) finish_rows(w, to->dq);
  flush_squares(w, first * job->cols, j1, to);
  flush_leaves(w, first * job->cols, j1, to);
  for (int k = 0; k < w->plan->n_load; k++)
    if (w->plan->load[k].gather <= TILE_DIAGONALS)
      flush_load(w, k, first * job->cols, j1, to->dslot);
}

/* ---- the whole pass -------------------------------------------------------------- */

typedef struct {
  int64_t tiles, chunks, items, groups;
  int64_t slots, dq;      /* numbers of one set of slot gradients, of one private dq */
  T *dqs;                 /* [item][dq] when chunks > 1 */
  double *slot;           /* [group][slots] */
} TileShares;

/* A share pays for the start of a head with at least so many key tiles. */
enum { SHARE_TILES = 4 };

/* Shapes alone decide how work is cut, so that sums are always the same. */
static void cut_tiles(const AttnJob *job, TileShares *p) {
  int64_t heads = job->B * job->Hk;
  *p = (TileShares){.tiles = (job->nk + job->cols - 1) / job->cols, .chunks = 1};
  if (heads < WANT_ITEMS) p->chunks = attn_min(p->tiles, (WANT_ITEMS + heads - 1) / heads);
  while (p->chunks > 2 && p->tiles < SHARE_TILES * p->chunks) p->chunks /= 2;
  p->items = heads * p->chunks;
  p->dq = job->dq ? job->Hq / job->Hk * job->nq * job->d : 0;
  for (int s = 0; s < job->spec->prog.n_slot; s++)
    if (job->dslot[s]) p->slots += job->slot_size[s];
  p->groups = p->slots ? SLOT_BUDGET / p->slots : p->items;
  if (p->groups > p->items) p->groups = p->items;
  if (p->groups < 1) p->groups = 1;
}

static void item_backward(TileWork *w, const TileShares *p, int64_t k, double **dslot) {
  AttnJob *job = w->job;
  int64_t bh = k / p->chunks, c = k % p->chunks, b = bh / job->Hk, hk = bh % job->Hk;
  int64_t group = job->Hq / job->Hk, nqd = job->nq * job->d;
  TileSinks to = {.dslot = dslot};
  if (job->dk) to.dk = (T *)job->dk + bh * job->nk * job->d;
  if (job->dv && job->e) to.dv = (T *)job->dv + bh * job->nk * job->e;
  for (int64_t g = 0; g < group; g++) {
    int64_t h = hk * group + g;
    to.fresh = g == 0;
    if (job->dq)
      to.dq = p->chunks > 1 ? p->dqs + k * p->dq + g * nqd : (T *)job->dq + (b * job->Hq + h) * nqd;
    open_head(w, b, h, true);
    open_rows(w, c == 0, dslot);
    head_backward(w, c * p->tiles / p->chunks, (c + 1) * p->tiles / p->chunks, &to);
  }
}

typedef struct { AttnJob *job; TileWork *lane; double **lists; const TileShares *p; } TileBackward;

static int tile_backward_groups(void *job, int64_t first, int64_t end, int lane) {
  const TileBackward *t = job;
  const TileShares *p = t->p;
  int n_slot = t->job->spec->prog.n_slot;
  double **dslot = t->lists + lane * (n_slot + 1);
  for (int64_t g = first; g < end; g++) {
    double *at = p->slot + g * p->slots;
    for (int s = 0; s < n_slot; s++) {
      dslot[s] = t->job->dslot[s] ? at : NULL;
      if (t->job->dslot[s]) at += t->job->slot_size[s];
    }
    for (int64_t k = g * p->items / p->groups; k < (g + 1) * p->items / p->groups; k++)
      item_backward(&t->lane[lane], p, k, dslot);
  }
  return 0;
}

static void add_shares(AttnJob *job, const TileShares *p) {
  for (int64_t g = 0; g < p->groups && p->slots; g++) {
    const double *from = p->slot + g * p->slots;
    for (int s = 0; s < job->spec->prog.n_slot; s++) {
      if (!job->dslot[s]) continue;
      for (int64_t i = 0; i < job->slot_size[s]; i++) job->dslot[s][i] += from[i];
      from += job->slot_size[s];
    }
  }
  for (int64_t k = 0; k < p->items && p->chunks > 1 && p->dq; k++) {
    T *to = (T *)job->dq + k / p->chunks * p->dq;
    const T *from = p->dqs + k * p->dq;
    if (k % p->chunks == 0) memcpy(to, from, (size_t)p->dq * sizeof(T));
    else
      for (int64_t i = 0; i < p->dq; i++) to[i] += from[i];
  }
}

RtStatus FN(tile_backward)(Rt *rt, AttnJob *job) {
  TileShares p;
  size_t size;
  cut_tiles(job, &p);
  size_t dqs = p.chunks > 1 ? (size_t)(p.items * p.dq) * sizeof(T) : 0;
  size_t slots = (size_t)(p.groups * p.slots) * sizeof(double) + 8;
  size_t lists = (size_t)job->threads * (size_t)(job->spec->prog.n_slot + 1) * sizeof(double *);
  TileWork *lane = tile_lanes(rt, job, carve_backward, &size);
  TileBackward t = {job, lane, rt_alloc(rt, lists), &p};
  p.dqs = dqs ? rt_alloc(rt, dqs) : NULL;
  p.slot = rt_alloc0(rt, slots);
  bool ready = lane && t.lists && (p.dqs || !dqs) && p.slot;
  if (ready) {
    parallel_for(job->threads, p.groups, attn_grain(job, p.groups), tile_backward_groups, &t);
    add_shares(job, &p);
  }
  if (lane) tile_lanes_free(rt, job, lane, size);
  if (t.lists) rt_free(rt, t.lists, lists);
  if (p.dqs) rt_free(rt, p.dqs, dqs);
  if (p.slot) rt_free(rt, p.slot, slots);
  return ready ? RT_OK : rt->error.status;
}
