/* strip_sinkhorn.h: doubly stochastic weights (Sinkhorn 1964; Sander et al.
 * 2022, Sinkformer); included before rows.h.
 *
 * Potentials f of rows and g of columns, g^0 = 0, are found in turn,
 *
 *   f^t_i = -log sum_j exp(u_ij + g^t_j),   g^(t+1)_j = c - log sum_i exp(u_ij + f^t_i)
 *
 * with c = log(n_q / n_k), the columns' share; p_ij = exp(u_ij + f^n_i + g^n_j)
 * after n rounds, so that rows always sum to 1.  A round is one pass over the
 * scores, which are computed again each time: only the potentials are kept.
 *
 * Going back, adjoints of the potentials follow in the opposite order, one pass a
 * round, and with them
 *   dL/du_ij = p_ij (G_ij - df^n_i)
 *            - sum_t [dg^t_j exp(u_ij + f^(t-1)_i + g^t_j - c)
 *                     + df^(t-1)_i exp(u_ij + f^(t-1)_i + g^(t-1)_j)] .                  */

static void load_dp(Work *w);                                  /* the gradient of p */
static void dropout_factors(Work *w, int64_t r, T *keep);

typedef struct { double *f, *g, *df, *dg; double c; } Potentials;   /* [round][row or column] */

static size_t sinkhorn_size(const AttnJob *job, bool back) {
  return (size_t)(job->rounds + 1) * (size_t)(job->nq + job->nk) * (back ? 2 : 1);
}

static Potentials potentials_of(const AttnJob *job, int64_t b, int64_t h, bool back) {
  int64_t rows = (job->rounds + 1) * job->nq, columns = (job->rounds + 1) * job->nk;
  double *at = job->sink + (size_t)(b * job->Hq + h) * sinkhorn_size(job, back);
  Potentials p = {at, at + rows, NULL, NULL, log((double)job->nq / (double)job->nk)};
  if (back) {
    p.df = p.g + columns;
    p.dg = p.df + rows;
  }
  return p;
}

/* What is done with each row of scores: x and the packed columns' numbers. */
typedef void SinkhornRow(Work *w, int64_t r, const Potentials *p, int64_t t);

static void each_row(Work *w, const Potentials *p, int64_t t, bool with_dp, SinkhornRow *row) {
  AttnJob *job = w->job;
  for (int64_t r0 = 0; r0 < job->nq; r0 += job->rows) {
    if (atomic_load_explicit(job->interrupted, memory_order_relaxed)) return;
    find_blocks(w, r0, attn_min(job->rows, job->nq - r0));
    if (w->n_block == 0) {
      for (int64_t r = 0; r < w->m; r++) p->f[t * job->nq + r0 + r] = -INFINITY;
      continue;
    }
    scores(w, false);
    if (with_dp) load_dp(w);
    for (int64_t r = 0; r < w->m; r++) row(w, r, p, t);
  }
}

/* to = exp(u + shift + g) of the packed columns; masked scores are -inf. */
static void exponentials(const Work *w, const T *u, double shift, const double *g, double *to) {
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    const T *from = u + bl->off;
    double *at = to + bl->off;
    for (int64_t j = 0; j < bl->w; j++) at[j] = (double)from[j] + shift + g[bl->j0 + j];
  }
  kernel_unary(UN_EXP, DT_F64)(w->n_col, to, to);
}

/* Adds exp(v) to columns' sums, which are kept relative to exp(most).  A sum moves only
 * where a double could not hold both.                                        */
static void add_to_columns(int64_t n, const T *x, double f, double *v, double *most, double *total) {
  const double reach = 500;
  int raised = 0;
  for (int64_t j = 0; j < n; j++) {
    v[j] = (double)x[j] + f;
    raised |= v[j] > most[j] + reach;
  }
  for (int64_t j = 0; j < n && raised; j++)
    if (v[j] > most[j] + reach) {
      total[j] *= exp(most[j] - v[j]);
      most[j] = v[j];
    }
  for (int64_t j = 0; j < n; j++) v[j] = v[j] == -INFINITY ? v[j] : v[j] - most[j];
  kernel_unary(UN_EXP, DT_F64)(n, v, v);
  for (int64_t j = 0; j < n; j++) total[j] += v[j];
}

/* f^t of the row, and what it adds to the columns' maxima and sums (g^(t+1)). */
static void potential_row(Work *w, int64_t r, const Potentials *p, int64_t t) {
  const AttnJob *job = w->job;
  const Kernels *kernel = kernels();
  const T *x = w->w + r * w->n_col;
  const double *g = p->g + t * job->nk;
  double *f = p->f + t * job->nq + w->r0 + r;
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    for (int64_t j = 0; j < bl->w; j++)
      w->x[bl->off + j] = (double)x[bl->off + j] + g[bl->j0 + j];
  }
  double top = kernel->max_f64(w->n_col, w->x); /* NaN is kept */
  *f = top;
  if (top == -INFINITY) return;
  *f = -top - log(kernel->expsum_f64(w->n_col, w->x, top, w->x));
  for (int k = 0; k < w->n_block && t < job->rounds; k++) {
    const Block *bl = &w->block[k];
    add_to_columns(bl->w, x + bl->off, *f, w->x, w->column_max + bl->j0, w->column_sum + bl->j0);
  }
}

static void find_potentials(Work *w, const Potentials *p) {
  const AttnJob *job = w->job;
  for (int64_t j = 0; j < job->nk; j++) p->g[j] = 0;
  for (int64_t t = 0; t <= job->rounds; t++) {
    for (int64_t j = 0; j < job->nk; j++) {
      w->column_max[j] = -INFINITY;
      w->column_sum[j] = 0;
    }
    each_row(w, p, t, false, potential_row);
    for (int64_t j = 0; j < job->nk && t < job->rounds; j++)   /* a column nobody sees has none */
      p->g[(t + 1) * job->nk + j] =
          w->column_sum[j] == 0 ? 0 : p->c - w->column_max[j] - log(w->column_sum[j]);
  }
}

static void sinkhorn_row(Work *w, int64_t r, AttnRow *row) {
  const AttnJob *job = w->job;
  Potentials p = potentials_of(job, w->b, w->h, job->back);
  T *x = w->w + r * w->n_col;
  double f = p.f[job->rounds * job->nq + w->r0 + r];
  const double *g = p.g + job->rounds * job->nk;
  *row = (AttnRow){.best = -1};
  if (f == -INFINITY) {
    memset(x, 0, (size_t)w->n_col * sizeof(T));
    return;
  }
  exponentials(w, x, f, g, w->x);
  for (int64_t j = 0; j < w->n_col; j++) x[j] = (T)w->x[j];
}

/* ---- adjoints ------------------------------------------------------------------------------ */

/* df^n and the first part of dg^n. */
static void output_row(Work *w, int64_t r, const Potentials *p, int64_t t) {
  const AttnJob *job = w->job;
  const T *u = w->w + r * w->n_col;
  T *dp = w->dp + r * w->n_col;
  const double *g = p->g + t * job->nk;
  double f = p->f[t * job->nq + w->r0 + r], df = 0, *dg = p->dg + t * job->nk;
  p->df[t * job->nq + w->r0 + r] = 0;
  if (f == -INFINITY) return;
  if (job->dropout) {
    dropout_factors(w, r, w->keep + r * w->n_col);
    for (int64_t j = 0; j < w->n_col; j++) dp[j] *= w->keep[r * w->n_col + j];
  }
  exponentials(w, u, f, g, w->x);
  for (int64_t j = 0; j < w->n_col; j++) df += w->x[j] * (double)dp[j];
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    for (int64_t j = 0; j < bl->w; j++)
      dg[bl->j0 + j] += w->x[bl->off + j] * ((double)dp[bl->off + j] - df);
  }
  p->df[t * job->nq + w->r0 + r] = df;
}

/* df^(t-1) from dg^t, and dg^(t-1) from it. */
static void round_row(Work *w, int64_t r, const Potentials *p, int64_t t) {
  const AttnJob *job = w->job;
  const T *u = w->w + r * w->n_col;
  int64_t at = (t - 1) * job->nq + w->r0 + r;
  const double *g1 = p->g + t * job->nk, *g0 = g1 - job->nk, *dg1 = p->dg + t * job->nk;
  double f = p->f[at], df = 0, *dg0 = p->dg + (t - 1) * job->nk;
  p->df[at] = 0;
  if (f == -INFINITY) return;
  exponentials(w, u, f - p->c, g1, w->x);
  exponentials(w, u, f, g0, w->scratch);
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    for (int64_t j = 0; j < bl->w; j++) df -= dg1[bl->j0 + j] * w->x[bl->off + j];
  }
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    for (int64_t j = 0; j < bl->w; j++) dg0[bl->j0 + j] -= df * w->scratch[bl->off + j];
  }
  p->df[at] = df;
}

static void find_adjoints(Work *w, const Potentials *p) {
  const AttnJob *job = w->job;
  memset(p->dg, 0, (size_t)((job->rounds + 1) * job->nk) * sizeof(double));
  memset(p->df, 0, (size_t)((job->rounds + 1) * job->nq) * sizeof(double));
  each_row(w, p, job->rounds, true, output_row);
  for (int64_t t = job->rounds; t >= 1; t--) each_row(w, p, t, false, round_row);
}

/* dL/du of a row into dp, from the scores u it was made of. */
static void sinkhorn_back(Work *w, int64_t r, const T *u) {
  const AttnJob *job = w->job;
  Potentials p = potentials_of(job, w->b, w->h, true);
  const T *x = w->w + r * w->n_col;
  T *dp = w->dp + r * w->n_col;
  int64_t row = w->r0 + r, n = job->rounds;
  double dfn = p.df[n * job->nq + row];
  bool none = p.f[n * job->nq + row] == -INFINITY;
  for (int64_t j = 0; j < w->n_col; j++) dp[j] = none ? 0 : (T)((double)x[j] * ((double)dp[j] - dfn));
  for (int64_t t = 1; t <= n && !none; t++) {
    double f = p.f[(t - 1) * job->nq + row], df = p.df[(t - 1) * job->nq + row];
    const double *dg = p.dg + t * job->nk;
    exponentials(w, u, f - p.c, p.g + t * job->nk, w->x);
    exponentials(w, u, f, p.g + (t - 1) * job->nk, w->scratch);
    for (int k = 0; k < w->n_block; k++) {
      const Block *bl = &w->block[k];
      for (int64_t j = 0; j < bl->w; j++) {
        int64_t at = bl->off + j;
        dp[at] = (T)((double)dp[at] - dg[bl->j0 + j] * w->x[at] - df * w->scratch[at]);
      }
    }
  }
}
