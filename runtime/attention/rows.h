/* rows.h: from a row's log-weights or weights to what multiplies the values:
 * selection, normaliser, dropout; included after tile.h.                     */

/* Element number of the pair in the random stream. */
static uint64_t pair_number(const Work *w, int64_t r, int64_t j) {
  const AttnJob *job = w->job;
  return (uint64_t)(((w->b * job->Hq + w->h) * job->nq + w->r0 + r) * job->nk + j);
}

static void select_row(Work *w, int64_t r) {
  const AttnSpec *s = w->job->spec;
  T *x = w->w + r * w->n_col;
  uint8_t *open = w->open + r * w->n_col;
  if (s->select == ATTN_TOP) {
    for (int64_t j = 0; j < w->n_col; j++) w->x[j] = x[j];
    attn_keep_top(w->n_col, w->x, open, w->top, w->scratch);
    for (int64_t j = 0; j < w->n_col; j++)
      if (!open[j]) x[j] = s->log ? (T)-INFINITY : 0;
  }
  if (s->select == ATTN_SAMPLE)
    for (int k = 0; k < w->n_block; k++) {
      const Block *bl = &w->block[k];
      for (int64_t j = 0; j < bl->w; j++) {
        RngCall call = w->job->rng;
        double u = rng_uniform(call, pair_number(w, r, bl->j0 + j));
        x[bl->off + j] -= (T)log(-log(u > 0 ? u : 0x1p-54));
      }
    }
}

/* exp(x - shift) in place, by strips. */
static void exponentials(Work *w, T *x, int64_t n, T shift) {
  for (int64_t at = 0; at < n; at += PROG_STRIP) {
    int64_t m = attn_min(PROG_STRIP, n - at);
    for (int64_t j = 0; j < m; j++) w->tmp[j] = x[at + j] - shift;
    KERNEL(PO_EXP, (int)m, w->tmp, NULL, NULL, 0, 0, 0, x + at);
  }
}

/* Largest entry, sum, length and number of the open weights. */
static void row_stats(Work *w, int64_t r, AttnRow *row) {
  bool log_form = w->job->spec->log;
  T *x = w->w + r * w->n_col;
  const uint8_t *open = w->open + r * w->n_col;
  double top = -INFINITY, sum = 0, l2 = 0;
  int64_t best = -1, count = 0;
  for (int64_t j = 0; j < w->n_col; j++) {
    count += open[j];
    if (open[j] && (best < 0 || x[j] > top)) { top = x[j]; best = j; }
  }
  *row = (AttnRow){.best = best, .count = count};
  if (count == 0 || (log_form && top == -INFINITY)) {
    row->count = 0;
    return;
  }
  if (log_form) {
    row->shift = top;
    exponentials(w, x, w->n_col, (T)top);
  }
  for (int64_t j = 0; j < w->n_col; j++) {
    sum += x[j];
    l2 += (double)x[j] * x[j];
  }
  row->sum = sum;
  row->l2 = sqrt(l2);
  row->max = log_form ? 1 : top;
}

/* The statistics as the normaliser's variables.  Log weights are seen through
 * exp(shift); where the normaliser uses the statistics, the shift is held in
 * the range of a double: constants beside the sum have no weight out there.  */
static double set_stats(Work *w, const AttnRow *row) {
  double shift = row->shift;
  if (w->job->code->norm_uses_stats) shift = fmax(-600, fmin(600, shift));
  double e = exp(shift);
  w->var[AV_SUM] = e * row->sum;
  w->var[AV_MAX] = e * row->max;
  w->var[AV_L2] = e * row->l2;
  w->var[AV_COUNT] = (double)row->count;
  return e;
}

static void clear_row(Work *w, int64_t r, AttnRow *row) {
  memset(w->w + r * w->n_col, 0, (size_t)w->n_col * sizeof(T));
  row->scale = row->inverse = 0;
}

static void phi_row(Work *w, int64_t r, AttnRow *row) {
  T *x = w->w + r * w->n_col;
  row_stats(w, r, row);
  if (row->count == 0) {
    clear_row(w, r, row);
    return;
  }
  double e = set_stats(w, row), phi;
  prog_run_row(&w->norm);
  prog_out(&w->norm, 0, &phi);
  if (phi == 0) {
    clear_row(w, r, row);
    return;
  }
  row->inverse = 1 / phi;
  row->scale = e / phi;
  T scale = (T)row->scale;
  for (int64_t j = 0; j < w->n_col; j++) x[j] *= scale;
}

/* sparsemax (Martins & Astudillo 2016) and entmax (Peters et al. 2019). */
static void threshold_row(Work *w, int64_t r, AttnRow *row) {
  T *x = w->w + r * w->n_col;
  double alpha = w->job->spec->norm == ATTN_NORM_SPARSEMAX ? 2 : w->alpha;
  double top = -INFINITY;
  int64_t n = 0;
  for (int64_t j = 0; j < w->n_col; j++) top = fmax(top, (double)x[j]);
  *row = (AttnRow){.shift = top, .power = 1 / (alpha - 1)};
  if (!(top > -INFINITY)) {
    clear_row(w, r, row);
    return;
  }
  if (alpha == 1) { /* the limit: softmax */
    exponentials(w, x, w->n_col, (T)top);
    double sum = 0;
    for (int64_t j = 0; j < w->n_col; j++) sum += x[j];
    for (int64_t j = 0; j < w->n_col; j++) x[j] = (T)(x[j] / sum);
    return;
  }
  for (int64_t j = 0; j < w->n_col; j++)
    if (x[j] > -INFINITY) w->x[n++] = x[j] - top;
  row->tau = alpha == 2 ? attn_sparsemax_tau(n, w->x, w->scratch)
                        : attn_entmax_tau(n, w->x, alpha, w->scratch);
  for (int64_t j = 0; j < w->n_col; j++) {
    double z = (alpha - 1) * ((double)x[j] - top) - row->tau;
    x[j] = z > 0 ? (T)(alpha == 2 ? z : pow(z, row->power)) : 0;
  }
}

/* Turns row r into p; `soft` keeps the Gumbel softmax instead of its winner. */
static void normalise_row(Work *w, int64_t r, bool soft) {
  AttnRow *row = &w->row[r];
  select_row(w, r);
  if (w->job->spec->norm == ATTN_NORM_PHI) phi_row(w, r, row);
  else threshold_row(w, r, row);
  if (w->job->spec->select == ATTN_SAMPLE && !soft) {
    T *x = w->w + r * w->n_col;
    bool any = row->count > 0;
    memset(x, 0, (size_t)w->n_col * sizeof(T));
    if (any) x[row->best] = 1;
  }
}

/* A stream apart from the Gumbel noise of the same call. */
static RngCall dropout_call(const AttnJob *job) {
  RngCall call = job->rng;
  call.key ^= 0x9e3779b97f4a7c15u;
  return call;
}
static T dropout_up(const Work *w) { return (T)(w->rate < 1 ? 1 / (1 - w->rate) : 0); }
static bool dropped(const Work *w, RngCall call, int64_t r, int64_t j) {
  return rng_uniform(call, pair_number(w, r, j)) < w->rate;
}

/* Factors of dropout: 0, or 1 / (1 - rate). */
static void dropout_factors(Work *w, int64_t r, T *keep) {
  RngCall call = dropout_call(w->job);
  T up = dropout_up(w);
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    for (int64_t j = 0; j < bl->w; j++)
      keep[bl->off + j] = dropped(w, call, r, bl->j0 + j) ? 0 : up;
  }
}

static void dropout_apply(Work *w, int64_t r) {
  T *x = w->w + r * w->n_col;
  const AttnJob *job = w->job;
  RngCall call = dropout_call(job);
  T up = dropout_up(w);
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    for (int64_t j = 0; j < bl->w; j++)
      x[bl->off + j] *= dropped(w, call, r, bl->j0 + j) ? 0 : up;
  }
}
