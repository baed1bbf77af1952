/* tile_captured.h: gradients of captured tensors in tile mode; included after
 * tile_work.h.  A value used by many pairs gets the sum of their adjoints: sums
 * over rows, columns or diagonals are folded tile by tile and go to the tensor
 * once a head; what is loaded pair by pair is scattered from the tile.        */

/* Position of a load at (i, j) in the row-major gradient; -1: outside. */
static int64_t load_index(TileWork *w, const TileLoad *l, double i, double j) {
  const ProgTensor *t = &w->job->slot[l->slot];
  int64_t at = 0;
  int bad;
  w->var[AV_I] = i;
  w->var[AV_J] = j;
  for (int k = 0; k < l->n_ix; k++) {
    if (!prog_eval(&w->plan->prog, l->ix[k], w->var, w->job->slot, w->values, &bad)) return -1;
    int64_t x = wrap(w->values[l->ix[k]], t->shape[k]);
    if (x < 0) return -1;
    at = at * t->shape[k] + x;
  }
  return at;
}

static void add_at(double *sink, int64_t at, double x) {
  if (at >= 0) sink[at] += x;
}

static int64_t n_diagonal(const AttnJob *job) { return job->nq + job->nk - 1; }

/* What was folded over the head, keys [j0, j1). */
static void flush_load(TileWork *w, int n, int64_t j0, int64_t j1, double **dslot) {
  const AttnJob *job = w->job;
  const TileLoad *l = &w->plan->load[n];
  const double *x = l->gather == TILE_ROW_SUMS ? w->row_acc[l->want]
                  : l->gather == TILE_COL_SUMS ? w->col_acc[l->want] : w->diagonal[n];
  double *sink = dslot[l->slot], total = 0;
  if (!sink) return;
  if (l->fixed) {
    for (int64_t r = 0; r < job->nq; r++) total += x[r];
    add_at(sink, load_index(w, l, w->pos_i[0], 0), total);
    return;
  }
  if (l->gather == TILE_ROW_SUMS)
    for (int64_t r = 0; r < job->nq; r++)
      if (x[r] != 0) add_at(sink, load_index(w, l, w->pos_i[r], 0), x[r]);
  if (l->gather == TILE_COL_SUMS)
    for (int64_t j = j0; j < j1; j++)
      if (x[j] != 0) add_at(sink, load_index(w, l, w->pos_i[0], (double)j), x[j]);
  if (l->gather != TILE_DIAGONALS) return;
  for (int64_t t = 0; t < n_diagonal(job); t++) { /* row r, key j: r - j + nk - 1 */
    int64_t r = t - (job->nk - 1), j = r < 0 ? -r : 0;
    if (x[t] != 0) add_at(sink, load_index(w, l, w->pos_i[r < 0 ? 0 : r], (double)j), x[t]);
  }
}

static void add_diagonals(const TileWork *w, const Part *p, const T *x, double *sums) {
  const AttnJob *job = w->job;
  for (int64_t r = 0; r < p->m; r++) {
    const T *from = x + r * job->cols;
    double *to = sums + (w->r0 + p->r + r) - (p->j0 + p->c) + job->nk - 1;
    for (int64_t c = 0; c < p->n; c++) to[-c] += (double)from[c];
  }
}

/* theta[.., i, .., j]: rows and columns of the tile are rows and columns of it. */
static void add_grid(TileWork *w, const Part *p, const TileLoad *l, const T *x, double *sink) {
  const AttnJob *job = w->job;
  const ProgTensor *t = &job->slot[l->slot];
  int64_t step = 1, by_i = 0, by_j = 0, n_i = 1, n_j = 1, base = 0;
  for (int k = l->n_ix; k-- > 0; step *= t->shape[k]) {
    const ProgNode *ix = &w->plan->prog.node[l->ix[k]];
    int bad;
    if (ix->op == PO_VAR && ix->slot == AV_I) {
      by_i += step;
      n_i = t->shape[k];
    } else if (ix->op == PO_VAR && ix->slot == AV_J) {
      by_j += step;
      n_j = t->shape[k];
    } else if (prog_eval(&w->plan->prog, l->ix[k], w->var, job->slot, w->values, &bad)) {
      base += step * wrap(w->values[l->ix[k]], t->shape[k]);
    }
  }
  for (int64_t r = 0; r < p->m; r++) {
    int64_t i = wrap(w->pos_i[w->r0 + p->r + r], n_i), j = p->j0 + p->c;
    double *to = sink + base + i * by_i + j * by_j;
    for (int64_t c = 0; c < p->n && i >= 0 && j + c < n_j; c++)
      to[c * by_j] += (double)x[r * job->cols + c];
  }
}

static void scatter(TileWork *w, const Part *p, const TileLoad *l, const T *x, double *sink) {
  const AttnJob *job = w->job;
  const ProgTensor *t = &job->slot[l->slot];
  int64_t ld = job->cols, off = p->r * ld + p->c;
  for (int64_t r = 0; r < p->m; r++)
    for (int64_t c = 0; c < p->n; c++) {
      T g = x[r * ld + c];
      int64_t at = 0;
      if (g == 0) continue;
      for (int k = 0; k < l->n_ix && at >= 0; k++) {
        double v = l->ix_want[k] < 0 ? w->plan->prog.node[l->ix[k]].value
                                     : w->store[l->ix_want[k]][off + r * ld + c];
        int64_t i = wrap(v, t->shape[k]);
        at = i < 0 ? -1 : at * t->shape[k] + i;
      }
      add_at(sink, at, g);
    }
}

/* Adjoints of loads that a part's tiles hold. */
static void part_loads(TileWork *w, const Part *p, double **dslot) {
  int64_t off = p->r * w->job->cols + p->c;
  for (int k = 0; k < w->plan->n_load; k++) {
    const TileLoad *l = &w->plan->load[k];
    if (!dslot[l->slot]) continue;
    if (l->gather == TILE_DIAGONALS)
      add_diagonals(w, p, w->store[l->want] + off, w->diagonal[k]);
    else if (l->gather == TILE_GRID)
      add_grid(w, p, l, w->store[l->want] + off, dslot[l->slot]);
    else if (l->gather == TILE_PAIRS)
      scatter(w, p, l, w->store[l->want] + off, dslot[l->slot]);
  }
}
