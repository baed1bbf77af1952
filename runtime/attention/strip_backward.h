/* strip_backward.h: the backward pass by row strips; included after strip_forward.h.
 *
 * One item is a key head of one batch entry and a fixed share of the row
 * blocks.  It owns its rows of dq; dk, dv and the gradients of captured
 * tensors go to buffers of its own that are added in item order.            */

typedef struct {
  T *dk, *dv;          /* of this item's key head; NULL: not wanted */
  double **dslot;      /* per slot; NULL entries: not wanted */
} Sinks;

/* ---- adjoints of products of q with k -------------------------------------------------- */

static int64_t gleaf_ld(const Work *w) { return w->job->flat ? w->n_col : w->job->cols; }

static void dist2_sums(const Work *w, const Block *bl, const T *g, T *dq, T *dk) {
  const AttnJob *job = w->job;
  for (int64_t r = 0; r < w->m && dq; r++) {
    double s = 0;
    for (int64_t j = 0; j < bl->w; j++) s += g[r * gleaf_ld(w) + j];
    const T *q = row_of(&job->q, w->b, w->h, w->r0 + r);
    for (int64_t c = 0; c < job->d; c++) dq[r * job->d + c] += (T)(2 * s) * q[c];
  }
  for (int64_t j = 0; j < bl->w && dk; j++) {
    double s = 0;
    for (int64_t r = 0; r < w->m; r++) s += g[r * gleaf_ld(w) + j];
    const T *k = row_of(&job->k, w->b, key_head(job, w->h), bl->j0 + j);
    for (int64_t c = 0; c < job->d; c++) dk[j * job->d + c] += (T)(2 * s) * k[c];
  }
}

static void pair_back(Work *w, const Block *bl, int l, T *dq, T *dk) {
  const AttnJob *job = w->job;
  const T *g = w->gleaf[l];
  int d = (int)job->d, m = (int)w->m, n = (int)bl->w;
  if (dk) dk += bl->j0 * job->d;
  if (job->spec->leaf[l].product == ATTN_L1) {
    l1_back(m, n, d, row_of(&job->q, w->b, w->h, w->r0), job->q.row,
            row_of(&job->k, w->b, key_head(job, w->h), bl->j0), job->k.row, g, gleaf_ld(w), dq, dk);
    return;
  }
  T f = job->spec->leaf[l].product == ATTN_DIST2 ? -2 : 1;
  if (f != 1) dist2_sums(w, bl, g, dq, dk);
  if (dq)
    multiply(false, m, d, n, f, g, (int)gleaf_ld(w),
             row_of(&job->k, w->b, key_head(job, w->h), bl->j0), (int)job->k.row, 1, dq, d);
  if (dk)
    multiply(true, n, d, m, f, g, (int)gleaf_ld(w),
             row_of(&job->q, w->b, w->h, w->r0), (int)job->q.row, 1, dk, d);
}

/* ---- from the output's gradient to that of p, then of the weight ------------------------- */

static void load_dp(Work *w) {
  const AttnJob *job = w->job;
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    if (job->mode == ATTN_ATTEND) {
      multiply(false, (int)w->m, (int)bl->w, (int)job->e, 1,
               row_of(&job->grad, w->b, w->h, w->r0), (int)job->grad.row,
               values_t(job, w->b, w->h, bl->j0), (int)bl->w, 0, w->dp + bl->off, (int)w->n_col);
      continue;
    }
    for (int64_t r = 0; r < w->m; r++)
      memcpy(w->dp + r * w->n_col + bl->off, row_of(&job->grad, w->b, w->h, w->r0 + r) + bl->j0,
             (size_t)bl->w * sizeof(T));
  }
}

/* Row r as gradients see it; straight through a selection, also as it was used. */
static void normalise_back(Work *w, int64_t r) {
  T *x = w->w + r * w->n_col, *used = w->used + r * w->n_col;
  uint8_t *open = w->open + r * w->n_col;
  if (w->raw) memcpy(w->raw + r * w->n_col, x, (size_t)w->n_col * sizeof(T));
  if (w->job->spec->through) {
    memcpy(used, x, (size_t)w->n_col * sizeof(T));
    memcpy(w->all, open, (size_t)w->n_col);
    normalise_row(w, r, false);
    memcpy(open, w->all, (size_t)w->n_col);
    for (int64_t j = 0; j < w->n_col; j++) { T t = x[j]; x[j] = used[j]; used[j] = t; }
  }
  normalise_row(w, r, true);
}

/* p as it multiplied the values (after dropout or selection), and dropout on dp. */
static const T *used_weights(Work *w) {
  const AttnJob *job = w->job;
  if (!w->used) return w->w;
  for (int64_t r = 0; r < w->m; r++) {
    T *used = w->used + r * w->n_col, *keep = w->keep + r * w->n_col;
    const T *p = w->w + r * w->n_col;
    if (!job->spec->through) memcpy(used, p, (size_t)w->n_col * sizeof(T));
    if (!job->dropout) continue;
    dropout_factors(w, r, keep);
    for (int64_t j = 0; j < w->n_col; j++) {
      used[j] *= keep[j];
      w->dp[r * w->n_col + j] *= keep[j];
    }
  }
  return w->used;
}

static void values_back(Work *w, const T *used, T *dv) {
  const AttnJob *job = w->job;
  for (int k = 0; k < w->n_block && dv && job->e > 0; k++) {
    const Block *bl = &w->block[k];
    multiply(true, (int)bl->w, (int)job->e, (int)w->m, 1,
             used + bl->off, (int)w->n_col, row_of(&job->grad, w->b, w->h, w->r0),
             (int)job->grad.row, 1, dv + bl->j0 * job->e, (int)job->e);
  }
}

static double stat_slope(const Work *w, int k) {
  double s = 0;
  int out = w->job->code->norm_grad.stat_out[k];
  if (out >= 0) prog_out(&w->norm_grad, out, &s);
  return s;
}

/* dL/dw = (dp - D (phi_sum + phi_max [best] + phi_l2 w / l2 + phi_l1 sign w)) / phi with
 * D = sum p dp; for log weights times w. */
static void phi_back(Work *w, int64_t r, const Sinks *to) {
  const AttnRow *row = &w->row[r];
  const T *p = w->w + r * w->n_col;
  const uint8_t *open = w->open + r * w->n_col;
  T *dp = w->dp + r * w->n_col;
  if (row->scale == 0) {
    memset(dp, 0, (size_t)w->n_col * sizeof(T));
    return;
  }
  double D = ROW_DOT(w->n_col, p, dp);
  set_row(w, NULL, r, true);
  set_stats(w, row);
  if (w->norm_grad.plan) {
    prog_run_row(&w->norm_grad);
    add_loads(w->job, &w->norm_grad, &w->job->code->norm_grad, -D * row->inverse, 1, open,
              to->dslot);
  }
  double a = D * stat_slope(w, 0), top = D * stat_slope(w, 1), b = D * stat_slope(w, 2);
  b = row->l2 > 0 ? b / (row->scale * row->l2) : 0;
  double c = D * stat_slope(w, 3) * (row->scale < 0 ? -1 : 1);
  for (int64_t j = 0; j < w->n_col; j++) {
    double x = dp[j] - a - b * p[j] - (j == row->best ? top : 0);
    x -= p[j] > 0 ? c : p[j] < 0 ? -c : 0;
    x *= w->job->spec->log ? (double)p[j] : row->inverse;
    dp[j] = open[j] ? (T)x : 0;
  }
}

/* The gradient of entmax in alpha (Correia et al. 2019); n columns `at` have p > 0, s
 * holds their p^(2 - alpha) with its sum, `log` the logarithms of p.            */
static double alpha_slope(int64_t n, const int64_t *at, const T *p, const T *dp, const double *s,
                          const double *log, double alpha, double sum) {
  double a1 = alpha - 1, g = 0, entropy = 0;
  for (int64_t k = 0; k < n; k++) entropy -= p[at[k]] * log[k];
  for (int64_t k = 0; k < n; k++) {
    double q = p[at[k]], share = s[k] / sum;
    g += dp[at[k]] * ((q - share) / (a1 * a1) - (q * log[k] + share * entropy) / a1);
  }
  return g;
}

/* With s = p^(2 - alpha) where p > 0: du = s (dp - sum s dp / sum s). */
static void threshold_back(Work *w, int64_t r, const Sinks *to) {
  const AttnJob *job = w->job;
  double alpha = threshold_alpha(w), sum = 0, dot = 0;
  T *p = w->w + r * w->n_col, *dp = w->dp + r * w->n_col;
  int64_t n = above(w->n_col, p, 0, w->at);
  double *s = w->x, *log = w->scratch, *was = w->powers;
  if (isnan(w->row[r].scale)) {
    for (int64_t j = 0; j < w->n_col; j++) dp[j] = p[j];
    return;
  }
  bool slope = w->alpha_grad.plan && alpha != 1;
  for (int64_t k = 0; k < n; k++) s[k] = p[w->at[k]];
  if (slope || (alpha != 2 && alpha != 1.5)) kernel_unary(UN_LOG, DT_F64)(n, s, log);
  if (alpha == 2)
    for (int64_t k = 0; k < n; k++) s[k] = 1;
  else if (alpha == 1.5)
    for (int64_t k = 0; k < n; k++) s[k] = sqrt(s[k]);
  else {
    for (int64_t k = 0; k < n; k++) s[k] = (2 - alpha) * log[k];
    kernel_unary(UN_EXP, DT_F64)(n, s, s);
  }
  for (int64_t k = 0; k < n; k++) {
    was[k] = dp[w->at[k]];
    sum += s[k];
    dot += s[k] * was[k];
  }
  if (slope && n > 0)
    add_loads(job, &w->alpha_grad, &job->code->alpha_grad,
              alpha_slope(n, w->at, p, dp, s, log, alpha, sum), 1, w->open, to->dslot);
  memset(dp, 0, (size_t)w->n_col * sizeof(T));
  for (int64_t k = 0; k < n; k++) dp[w->at[k]] = (T)(s[k] * (was[k] - dot / sum));
}

static void energies_back(Work *w, int64_t r) {
  const T *x = w->w + r * w->n_col;
  const uint8_t *open = w->open + r * w->n_col;
  T *dp = w->dp + r * w->n_col;
  for (int64_t j = 0; j < w->n_col; j++)
    dp[j] = !open[j] ? 0 : w->job->spec->log ? -dp[j] : -dp[j] / x[j];
}

/* ---- from the weight to products and captured values --------------------------------------- */

/* One strip of `count` rows of n columns from row r on. */
static void strip_back(Work *w, const Block *bl, int64_t r, int64_t count, const Sinks *to) {
  const AttnJob *job = w->job;
  const AttnSpec *s = job->spec;
  const AttnGrad *g = &job->code->out_grad;
  int64_t n = bl->w, len = count * n, at = r * w->n_col + bl->off;
  const uint8_t *open = w->open + at;
  w->strip[AV_SEED] = w->dp + at;
  for (int64_t k = 0; k < len; k++) w->mask_strip[k] = open[k];
  w->grad.mask = w->mask_strip;
  prog_run_row(&w->grad);
  prog_run_both(&w->grad, (int)len);
  for (int l = 0; l < s->n_leaf; l++) {
    int out = g->leaf_out[l];
    if (out < 0) continue;
    double v;
    const T *x = prog_out(&w->grad, out, &v);
    if (s->leaf[l].stage == PS_BOTH) {
      T *to_g = w->gleaf[l] + r * gleaf_ld(w);
      for (int64_t k = 0; k < len; k++) to_g[k] = open[k] ? (x ? x[k] : (T)v) : 0;
    } else if (s->leaf[l].stage == PS_COL) {
      double *col = w->col_grad + l * job->nk + bl->j0;
      for (int64_t k = 0, q = 0; q < count; q++)
        for (int64_t j = 0; j < n; j++, k++) col[j] += open[k] ? (x ? (double)x[k] : v) : 0;
    } else if (x) {
      double *row = w->row_grad + l * job->rows + r;
      for (int64_t k = 0, q = 0; q < count; q++)
        for (int64_t j = 0; j < n; j++, k++) row[q] += open[k] ? (double)x[k] : 0;
    } else {
      w->row_grad[l * job->rows + r] += v;
    }
  }
  add_loads(job, &w->grad, g, 1, len, open, to->dslot);
}

static void program_back(Work *w, const Block *bl, T *dq, const Sinks *to) {
  const AttnSpec *s = w->job->spec;
  int64_t g = w->job->flat ? rows_a_strip(w) : 1;
  if (w->job->flat) set_flat_columns(w, bl);
  else set_columns(w, bl);
  prog_run_col(&w->grad, (int)(g * bl->w));
  for (int64_t r = 0; r < w->m; r += g) {
    int64_t count = attn_min(g, w->m - r);
    if (w->job->flat) set_flat_rows(w, bl, r, count);
    else set_row(w, bl, r, true);
    strip_back(w, bl, r, count, to);
  }
  for (int l = 0; l < s->n_leaf; l++)
    if (w->job->code->out_grad.leaf_out[l] >= 0 && s->leaf[l].stage == PS_BOTH)
      pair_back(w, bl, l, dq, to->dk);
}

/* log p of the drawn key alone: dL/dp is g / p there. */
static void draw_back(Work *w, int64_t r) {
  const AttnJob *job = w->job;
  const T *p = w->w + r * w->n_col;
  T *dp = w->dp + r * w->n_col;
  double key = job->stat[(w->b * job->Hq + w->h) * job->nq + w->r0 + r];
  memset(dp, 0, (size_t)w->n_col * sizeof(T));
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    if (key < (double)bl->j0 || key >= (double)(bl->j0 + bl->w)) continue;
    int64_t at = bl->off + (int64_t)key - bl->j0;
    if (p[at] > 0) dp[at] = *row_of(&job->grad, w->b, w->h, w->r0 + r) / p[at];
  }
}

static void backward_block(Work *w, int64_t r0, int64_t m, const Sinks *to) {
  AttnJob *job = w->job;
  const AttnSpec *s = job->spec;
  T *dq = job->dq ? (T *)job->dq + ((w->b * job->Hq + w->h) * job->nq + r0) * job->d : NULL;
  find_blocks(w, r0, m);
  if (w->n_block == 0) return;
  memset(w->row_grad, 0, (size_t)(s->n_leaf * job->rows) * sizeof(double));
  scores(w, true);
  if (job->mode != ATTN_DRAW) load_dp(w);
  if (job->mode == ATTN_ENERGIES) {
    for (int64_t r = 0; r < m; r++) energies_back(w, r);
  } else {
    for (int64_t r = 0; r < m; r++) {
      set_row(w, NULL, r, true);
      normalise_back(w, r);
      if (job->mode == ATTN_DRAW) draw_back(w, r);
    }
    const T *used = used_weights(w);
    if (job->mode == ATTN_ATTEND) values_back(w, used, to->dv);
    for (int64_t r = 0; r < m; r++) {
      if (s->norm == ATTN_NORM_PHI) phi_back(w, r, to);
      else if (s->norm == ATTN_NORM_SINKHORN) sinkhorn_back(w, r, w->raw + r * w->n_col);
      else threshold_back(w, r, to);
      T *dp = w->dp + r * w->n_col;
      for (int64_t j = 0; j < w->n_col && w->tau != 1; j++) dp[j] /= (T)w->tau;
    }
  }
  for (int k = 0; k < w->n_block; k++) program_back(w, &w->block[k], dq, to);
  for (int l = 0; l < s->n_leaf; l++)
    if (s->leaf[l].stage == PS_ROW || s->leaf[l].stage == PS_ONCE)
      for (int64_t r = 0; r < m; r++)
        product_back(job, w->b, w->h, &s->leaf[l], r0 + r, w->row_grad[l * job->rows + r],
                     dq ? dq + r * job->d : NULL, NULL, to->dslot);
}

/* The item's share of row blocks for every query head of the key head. */
static void backward_item(Work *w, int64_t b, int64_t hk, int64_t first, int64_t last,
                          const Sinks *to) {
  AttnJob *job = w->job;
  const AttnSpec *s = job->spec;
  int64_t group = job->Hq / job->Hk;
  for (int64_t h = hk * group; h < (hk + 1) * group; h++) {
    start_head(w, b, h, true);
    memset(w->col_grad, 0, (size_t)(s->n_leaf * job->nk) * sizeof(double));
    for (int64_t k = first; k < last; k++) {
      if (atomic_load_explicit(job->interrupted, memory_order_relaxed)) return;
      backward_block(w, k * job->rows, attn_min(job->rows, job->nq - k * job->rows), to);
    }
    for (int l = 0; l < s->n_leaf; l++)
      if (s->leaf[l].stage == PS_COL)
        for (int64_t j = 0; j < job->nk; j++)
          product_back(job, w->b, w->h, &s->leaf[l], j, w->col_grad[l * job->nk + j], NULL,
                       to->dk ? to->dk + j * job->d : NULL, to->dslot);
  }
}

/* ---- the whole pass -------------------------------------------------------------------------- */

typedef struct {
  int64_t blocks, chunks, items, groups;
  int64_t slots;          /* doubles of one set of slot gradients */
  T *dk, *dv;             /* partial sums [item] when chunks > 1 */
  double *slot;           /* [group][slots] */
} Partials;

enum { WANT_ITEMS = 8, SLOT_BUDGET = 1 << 22 };

/* Shapes alone decide how work is cut, so that sums are always the same. */
static void cut(const AttnJob *job, Partials *p) {
  int64_t heads = job->B * job->Hk;
  memset(p, 0, sizeof *p);
  p->blocks = (job->nq + job->rows - 1) / (job->rows ? job->rows : 1);
  p->chunks =
      heads >= WANT_ITEMS || heads == 0 ? 1 : attn_min(p->blocks, (WANT_ITEMS + heads - 1) / heads);
  if (p->chunks < 1) p->chunks = 1;
  p->items = heads * p->chunks;
  for (int s = 0; s < job->spec->prog.n_slot; s++)
    if (job->dslot[s]) p->slots += job->slot_size[s];
  p->groups = p->slots ? SLOT_BUDGET / p->slots : p->items;
  if (p->groups > p->items) p->groups = p->items;
  if (p->groups < 1) p->groups = 1;
}

static void run_group(Work *w, const Partials *p, int64_t g, double **dslot) {
  AttnJob *job = w->job;
  double *at = p->slot + g * p->slots;
  for (int s = 0; s < job->spec->prog.n_slot; s++) {
    dslot[s] = job->dslot[s] ? at : NULL;
    if (job->dslot[s]) at += job->slot_size[s];
  }
  for (int64_t k = g * p->items / p->groups; k < (g + 1) * p->items / p->groups; k++) {
    int64_t bh = k / p->chunks, c = k % p->chunks, own = p->chunks > 1 ? k : bh;
    T *dk = p->chunks > 1 ? p->dk : job->dk, *dv = p->chunks > 1 ? p->dv : job->dv;
    Sinks to = {dk ? dk + own * job->nk * job->d : NULL, dv ? dv + own * job->nk * job->e : NULL,
                dslot};
    backward_item(w, bh / job->Hk, bh % job->Hk, c * p->blocks / p->chunks,
                  (c + 1) * p->blocks / p->chunks, &to);
  }
}

static void add_up(AttnJob *job, const Partials *p) {
  for (int64_t g = 0; g < p->groups && p->slots; g++) {
    const double *from = p->slot + g * p->slots;
    for (int s = 0; s < job->spec->prog.n_slot; s++) {
      if (!job->dslot[s]) continue;
      for (int64_t i = 0; i < job->slot_size[s]; i++) job->dslot[s][i] += from[i];
      from += job->slot_size[s];
    }
  }
  if (p->chunks == 1) return;
  int64_t nk = job->nk * job->d, nv = job->nk * job->e;
  for (int64_t k = 0; k < p->items; k++) {
    int64_t bh = k / p->chunks;
    for (int64_t i = 0; i < nk && job->dk; i++) ((T *)job->dk)[bh * nk + i] += p->dk[k * nk + i];
    for (int64_t i = 0; i < nv && job->dv; i++) ((T *)job->dv)[bh * nv + i] += p->dv[k * nv + i];
  }
}

typedef struct { Lane *lane; const Partials *p; } Backward;

static int backward_groups(void *job, int64_t first, int64_t end, int lane) {
  const Backward *b = job;
  for (int64_t g = first; g < end; g++) run_group(&b->lane[lane].w, b->p, g, b->lane[lane].dslot);
  return 0;
}

RtStatus FN(attn_backward)(Rt *rt, AttnJob *job) {
  Partials p;
  size_t size;
  cut(job, &p);
  size_t dk = p.chunks > 1 && job->dk ? (size_t)(p.items * job->nk * job->d) * sizeof(T) : 0;
  size_t dv = p.chunks > 1 && job->dv ? (size_t)(p.items * job->nk * job->e) * sizeof(T) : 0;
  size_t slots = (size_t)(p.groups * p.slots) * sizeof(double);
  Lane *lane = lanes_new(rt, job, true, &size);
  p.dk = dk ? rt_alloc0(rt, dk) : NULL;
  p.dv = dv ? rt_alloc0(rt, dv) : NULL;
  p.slot = rt_alloc0(rt, slots + 8);
  bool ready = lane && (p.dk || !dk) && (p.dv || !dv) && p.slot;
  if (ready) {
    prepare_all(job, true);
    job->back = true;
    ready = sinkhorn_all(rt, job, lane) == RT_OK;
  }
  if (ready) {
    Backward b = {lane, &p};
    parallel_for(job->threads, p.groups, attn_grain(job, p.groups), backward_groups, &b);
    add_up(job, &p);
    sinkhorn_drop(rt, job);
  }
  if (lane) lanes_free(rt, job, lane, size);
  if (p.dk) rt_free(rt, p.dk, dk);
  if (p.dv) rt_free(rt, p.dv, dv);
  if (p.slot) rt_free(rt, p.slot, slots + 8);
  return ready ? RT_OK : rt->error.status;
}
