/* rows.h: from a row's log-weights or weights to what multiplies the values:
 * selection, normaliser, dropout; included after strip.h.                     */

/* Element number of the pair in the random stream. */
static uint64_t pair_number(const Work *w, int64_t r, int64_t j) {
  return attn_pair_number(w->job, w->b, w->h, w->r0 + r, j);
}

static bool one_key(const AttnSpec *s) {
  return s->select == ATTN_SAMPLE || s->select == ATTN_ARGMAX;
}

/* Numbers of [0, 1) that belong to the row's pairs. */
static void row_uniforms(const Work *w, RngCall call, int64_t r, double *to) {
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    rng_uniforms(call, pair_number(w, r, bl->j0), bl->w, to + bl->off);
  }
}

/* Gumbel noise, -log(-log u): the largest sum is a draw by exp(x). */
static void add_noise(Work *w, int64_t r) {
  UnRun log = kernel_unary(UN_LOG, DT_F64);
  double *u = w->x;
  int64_t n = w->n_col;
  T *x = w->w + r * n;
  row_uniforms(w, w->job->rng, r, u);
  for (int64_t j = 0; j < n; j++) u[j] = u[j] > 0 ? u[j] : 0x1p-54;
  log(n, u, u);
  for (int64_t j = 0; j < n; j++) u[j] = -u[j];
  log(n, u, u);
  for (int64_t j = 0; j < n; j++) x[j] -= (T)u[j];
}

/* `soft`: as the gradient sees it. */
static void select_row(Work *w, int64_t r, bool soft) {
  const AttnSpec *s = w->job->spec;
  T *x = w->w + r * w->n_col;
  uint8_t *open = w->open + r * w->n_col;
  if (s->select == ATTN_TOP && !(soft && s->through)) {
    for (int64_t j = 0; j < w->n_col; j++) w->x[j] = x[j];
    attn_keep_top(w->n_col, w->x, open, w->top, w->scratch);
    T closed = s->log ? (T)-INFINITY : 0;
    for (int64_t j = 0; j < w->n_col; j++) x[j] = open[j] ? x[j] : closed;
  }
  if (s->select == ATTN_SAMPLE) add_noise(w, r);
  for (int64_t j = 0; j < w->n_col && soft && w->tau != 1; j++) x[j] /= (T)w->tau;
}

/* Position of the first open entry with this value. */
static int64_t find_value(const T *x, const uint8_t *open, int64_t n, double value) {
  for (int64_t j = 0; j < n; j++)
    if (open[j] && x[j] == value) return j;
  return -1;
}

static double open_max(const T *x, const uint8_t *open, int64_t n) {
  double top = -INFINITY;
  for (int64_t j = 0; j < n; j++)
    if (open[j] && x[j] > top) top = x[j];
  return top;
}

static double abs_sum(const T *x, int64_t n) {
  double sum = 0;
  for (int64_t j = 0; j < n; j++) sum += fabs((double)x[j]);
  return sum;
}

/* The row's statistics, as far as the normaliser wants them; log-weights
 * become weights relative to exp(shift).  false: nothing takes part.         */
static bool row_stats(Work *w, int64_t r, AttnRow *row) {
  const AttnSpec *s = w->job->spec;
  const AttnCode *code = w->job->code;
  T *x = w->w + r * w->n_col;
  const uint8_t *open = w->open + r * w->n_col;
  bool best = code->uses_max || one_key(s);
  *row = (AttnRow){.best = -1};
  if (w->n_col == 0) return false;
  if (s->log) {
    double top = ROW_MAX(w->n_col, x); /* masked entries are -inf, NaN is kept */
    if (top == -INFINITY) return false;
    if (best) row->best = find_value(x, open, w->n_col, top);
    row->shift = top;
    row->max = 1;
    row->sum = ROW_EXPSUM(w->n_col, x, (T)top, x);
  } else {
    row->sum = ROW_SUM(w->n_col, x); /* masked entries are 0 */
    if (best) {
      row->max = open_max(x, open, w->n_col);
      row->best = find_value(x, open, w->n_col, row->max);
      if (row->best < 0) return false;
    }
  }
  if (code->uses_l2) row->l2 = sqrt(ROW_SUMSQ(w->n_col, x));
  if (code->uses_l1) row->l1 = s->log ? row->sum : abs_sum(x, w->n_col);
  if (code->uses_count)
    for (int64_t j = 0; j < w->n_col; j++) row->count += open[j];
  return true;
}

/* The statistics as the normaliser's variables.  Log weights are seen through
 * exp(shift); where the normaliser uses the statistics, the shift is held in
 * the range of a double: constants beside the sum have no weight out there.  */
static double set_stats(Work *w, const AttnRow *row) {
  double shift = row->shift;
  if (w->job->code->uses_stats) shift = fmax(-600, fmin(600, shift));
  double e = exp(shift);
  w->var[AV_SUM] = e * row->sum;
  w->var[AV_MAX] = e * row->max;
  w->var[AV_L2] = e * row->l2;
  w->var[AV_L1] = e * row->l1;
  w->var[AV_COUNT] = (double)row->count;
  return e;
}

static void clear_row(Work *w, int64_t r, AttnRow *row) {
  memset(w->w + r * w->n_col, 0, (size_t)w->n_col * sizeof(T));
  row->scale = row->inverse = 0;
}

static void phi_row(Work *w, int64_t r, AttnRow *row) {
  T *x = w->w + r * w->n_col;
  if (!row_stats(w, r, row)) {
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

/* A row that holds a NaN, or an infinite weight, is NaN where anything takes part. */
static void spoil_row(Work *w, int64_t r, AttnRow *row) {
  const uint8_t *open = w->open + r * w->n_col;
  T *x = w->w + r * w->n_col;
  row->scale = NAN;
  for (int64_t j = 0; j < w->n_col; j++) x[j] = open[j] ? (T)NAN : 0;
}

/* Columns of the row's numbers above `limit`, of which there are few as a rule. */
CLONES static int64_t above(int64_t n, const T *x, T limit, int64_t *at) {
  int64_t count = 0;
  for (int64_t j0 = 0; j0 < n; j0 += 32) {
    int64_t j1 = attn_min(n, j0 + 32);
    int any = 0;
    for (int64_t j = j0; j < j1; j++) any |= x[j] > limit;
    if (!any) continue;
    for (int64_t j = j0; j < j1; j++) {
      at[count] = j;
      count += x[j] > limit;
    }
  }
  return count;
}

static double threshold_alpha(const Work *w) {
  return w->job->spec->norm == ATTN_NORM_SPARSEMAX ? 2 : w->alpha;
}

/* sparsemax (Martins & Astudillo 2016) and entmax (Peters et al. 2019).  What lies
 * 1 / (alpha - 1) below the largest has weight 0 whatever the others are.    */
static void threshold_row(Work *w, int64_t r, AttnRow *row) {
  T *x = w->w + r * w->n_col;
  double alpha = threshold_alpha(w), slope = alpha - 1;
  double top = w->n_col ? (double)ROW_MAX(w->n_col, x) : -INFINITY;
  *row = (AttnRow){.shift = top, .best = -1, .scale = 1};
  if (top == -INFINITY) {
    clear_row(w, r, row);
    return;
  }
  if (!isfinite(top)) {
    spoil_row(w, r, row);
    return;
  }
  if (one_key(w->job->spec)) row->best = find_value(x, w->open + r * w->n_col, w->n_col, top);
  if (alpha == 1) { /* the limit: softmax */
    double sum = ROW_EXPSUM(w->n_col, x, (T)top, x);
    for (int64_t j = 0; j < w->n_col; j++) x[j] = (T)(x[j] / sum);
    return;
  }
  double rounding = (sizeof(T) == 4 ? 1e-6 : 1e-14) * fabs(top); /* of the limit as a T */
  int64_t n = above(w->n_col, x, (T)(top - 1 / slope - rounding - 1e-3), w->at), left = 0;
  for (int64_t k = 0; k < n; k++) {
    double z = slope * ((double)x[w->at[k]] - top);
    w->x[left] = z;
    w->at[left] = w->at[k];
    left += z > -1;
  }
  n = attn_threshold(left, w->x, w->at, alpha, sizeof(T) == 4 ? 1e-9 : 1e-14, w->scratch,
                     w->powers);
  memset(x, 0, (size_t)w->n_col * sizeof(T));
  for (int64_t k = 0; k < n; k++) x[w->at[k]] = (T)w->scratch[k];
}

/* Turns row r into p; `soft`: what gradients see, all keys where they pass straight
 * through the selection.                                                      */
static void normalise_row(Work *w, int64_t r, bool soft) {
  AttnRow *row = &w->row[r];
  select_row(w, r, soft);
  if (w->job->spec->norm == ATTN_NORM_PHI) phi_row(w, r, row);
  else if (w->job->spec->norm == ATTN_NORM_SINKHORN) sinkhorn_row(w, r, row);
  else threshold_row(w, r, row);
  if (one_key(w->job->spec) && !soft) {
    T *x = w->w + r * w->n_col;
    if (isnan(row->scale)) {
      spoil_row(w, r, row);
      return;
    }
    bool any = row->scale > 0 && row->best >= 0;
    memset(x, 0, (size_t)w->n_col * sizeof(T));
    if (any) x[row->best] = 1;
  }
}

static T dropout_up(const Work *w) { return (T)(w->rate < 1 ? 1 / (1 - w->rate) : 0); }

/* Factors of dropout: 0, or 1 / (1 - rate). */
static void dropout_factors(Work *w, int64_t r, T *keep) {
  T up = dropout_up(w);
  row_uniforms(w, attn_dropout_call(w->job), r, w->x);
  for (int64_t j = 0; j < w->n_col; j++) keep[j] = w->x[j] < w->rate ? 0 : up;
}

static void dropout_apply(Work *w, int64_t r) {
  T *x = w->w + r * w->n_col, up = dropout_up(w);
  row_uniforms(w, attn_dropout_call(w->job), r, w->x);
  for (int64_t j = 0; j < w->n_col; j++) x[j] *= w->x[j] < w->rate ? 0 : up;
}
