/* strip_forward.h: the forward pass by row strips; included after strip_rows.h. */

static void store_matrix(Work *w, int64_t r) {
  const AttnJob *job = w->job;
  T *out = row_of(&job->out, w->b, w->h, w->r0 + r);
  const T *x = w->w + r * w->n_col;
  const uint8_t *open = w->open + r * w->n_col;
  bool energies = job->mode == ATTN_ENERGIES;
  for (int64_t j = 0; j < job->nk; j++) out[j] = energies ? (T)INFINITY : 0;
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    for (int64_t j = 0; j < bl->w; j++) {
      T v = x[bl->off + j];
      if (energies && !open[bl->off + j]) continue;
      out[bl->j0 + j] = !energies ? v : job->spec->log ? -v : -(T)log((double)v);
    }
  }
}

static void store_output(Work *w) {
  const AttnJob *job = w->job;
  T *out = row_of(&job->out, w->b, w->h, w->r0);
  if (job->e == 0) return;
  for (int64_t r = 0; r < w->m && w->n_block == 0; r++)
    memset(out + r * job->out.row, 0, (size_t)job->e * sizeof(T));
  for (int k = 0; k < w->n_block; k++) {
    const Block *bl = &w->block[k];
    multiply(false, (int)w->m, (int)job->e, (int)bl->w, 1,
             w->w + bl->off, (int)w->n_col, row_of(&job->v, w->b, key_head(job, w->h), bl->j0),
             (int)job->v.row, k ? 1 : 0, out, (int)job->out.row);
  }
}

/* The key whose share of [0, 1) a uniform number of the row falls into. */
static void draw_row(Work *w, int64_t r) {
  const AttnJob *job = w->job;
  const T *p = w->w + r * w->n_col;
  int64_t row = (w->b * job->Hq + w->h) * job->nq + w->r0 + r, at = -1;
  double sum = 0, left, *key = job->stat + row;
  for (int64_t j = 0; j < w->n_col; j++) sum += p[j];
  left = rng_uniform(job->rng, (uint64_t)row) * sum;
  for (int64_t j = 0; j < w->n_col; j++) {
    if (!(p[j] > 0)) continue;
    at = j;
    if ((left -= p[j]) < 0) break;
  }
  T *out = row_of(&job->out, w->b, w->h, w->r0 + r);
  *out = at < 0 ? 0 : (T)log((double)p[at]);
  *key = -1;
  for (int k = 0; k < w->n_block && at >= 0; k++) {
    const Block *bl = &w->block[k];
    if (at >= bl->off && at < bl->off + bl->w) *key = (double)(bl->j0 + at - bl->off);
  }
}

static void forward_block(Work *w, int64_t r0, int64_t m) {
  const AttnJob *job = w->job;
  find_blocks(w, r0, m);
  scores(w, false);
  for (int64_t r = 0; r < m && job->mode != ATTN_ENERGIES; r++) {
    set_row(w, NULL, r, false);
    normalise_row(w, r, false);
    if (job->dropout) dropout_apply(w, r);
  }
  if (job->mode == ATTN_ATTEND) store_output(w);
  else if (job->mode == ATTN_DRAW) for (int64_t r = 0; r < m; r++) draw_row(w, r);
  else
    for (int64_t r = 0; r < m; r++) store_matrix(w, r);
}

/* What one lane of a parallel loop owns. */
typedef struct { Work w; int64_t head; double **dslot; } Lane;

/* Lanes with their scratch behind them; NULL with the error set. */
static Lane *lanes_new(Rt *rt, AttnJob *job, bool back, size_t *size) {
  Carve c = {0};
  Work w;
  carve_work(&w, job, back, &c);
  size_t n = (size_t)job->threads, each = c.at, lists = (size_t)job->spec->prog.n_slot + 1;
  size_t head = attn_round(n * sizeof(Lane)), tail = n * lists * sizeof(double *);
  *size = head + n * each + tail;
  char *p = rt_alloc(rt, *size);
  Lane *lane = (Lane *)(void *)p;
  for (size_t i = 0; p && i < n; i++) {
    c = (Carve){p + head + i * each, 0};
    carve_work(&lane[i].w, job, back, &c);
    lane[i].head = -1;
    lane[i].dslot = (double **)(void *)(p + head + n * each) + i * lists;
  }
  return lane;
}

static void lanes_free(Rt *rt, AttnJob *job, Lane *lane, size_t size) {
  for (int i = 0; i < job->threads; i++) note_errors(&lane[i].w);
  rt_free(rt, lane, size);
}

typedef struct { AttnJob *job; bool back; } Prepare;

static int prepare_heads(void *job, int64_t first, int64_t end, int lane) {
  const Prepare *p = job;
  for (int64_t k = first; k < end; k++)
    prepare_head(p->job, k / p->job->Hq, k % p->job->Hq, p->back);
  return 0;
}

static void prepare_all(AttnJob *job, bool back) {
  Prepare p = {job, back};
  int64_t heads = job->B * job->Hq, each = job->nk * (job->d + job->e);
  int64_t grain = ATTN_PARALLEL / 8 / (each + 1) + 1;
  parallel_for(heads * each < ATTN_PARALLEL / 4 ? 1 : job->threads, heads, grain, prepare_heads,
               &p);
}

/* ---- what sinkhorn finds before any row is finished ------------------------------------ */

typedef struct { AttnJob *job; Lane *lane; } SinkhornAll;

static int sinkhorn_heads(void *job, int64_t first, int64_t end, int lane) {
  const SinkhornAll *all = job;
  AttnJob *j = all->job;
  Lane *l = &all->lane[lane];
  l->head = -1;
  for (int64_t k = first; k < end; k++) {
    Potentials p = potentials_of(j, k / j->Hq, k % j->Hq, j->back);
    start_head(&l->w, k / j->Hq, k % j->Hq, j->back);
    find_potentials(&l->w, &p);
    if (j->back) find_adjoints(&l->w, &p);
  }
  return 0;
}

static size_t sinkhorn_bytes(const AttnJob *job) {
  bool uses = job->spec->norm == ATTN_NORM_SINKHORN && job->mode != ATTN_ENERGIES;
  return uses ? (size_t)(job->B * job->Hq) * sinkhorn_size(job, job->back) * sizeof(double) : 0;
}

static RtStatus sinkhorn_all(Rt *rt, AttnJob *job, Lane *lane) {
  size_t bytes = sinkhorn_bytes(job);
  if (!bytes) return RT_OK;
  job->sink = rt_alloc(rt, bytes);
  if (!job->sink) return rt->error.status;
  SinkhornAll all = {job, lane};
  parallel_for(job->threads, job->B * job->Hq, 1, sinkhorn_heads, &all);
  return RT_OK;
}

static void sinkhorn_drop(Rt *rt, AttnJob *job) {
  if (job->sink) rt_free(rt, job->sink, sinkhorn_bytes(job));
  job->sink = NULL;
}

typedef struct { AttnJob *job; Lane *lane; int64_t blocks; } Forward;

static int forward_items(void *job, int64_t first, int64_t end, int lane) {
  const Forward *f = job;
  AttnJob *j = f->job;
  Lane *l = &f->lane[lane];
  for (int64_t k = first; k < end; k++) {
    if (atomic_load_explicit(j->interrupted, memory_order_relaxed)) return 0;
    int64_t bh = k / f->blocks, r0 = k % f->blocks * j->rows;
    if (bh != l->head) start_head(&l->w, bh / j->Hq, bh % j->Hq, false);
    l->head = bh;
    forward_block(&l->w, r0, attn_min(j->rows, j->nq - r0));
  }
  return 0;
}

RtStatus FN(attn_forward)(Rt *rt, AttnJob *job) {
  size_t size;
  Lane *lane = lanes_new(rt, job, false, &size);
  if (!lane) return rt->error.status;
  prepare_all(job, false);
  Forward f = {job, lane, (job->nq + job->rows - 1) / (job->rows ? job->rows : 1)};
  int64_t items = job->B * job->Hq * f.blocks;
  job->back = false;
  RtStatus status = sinkhorn_all(rt, job, lane);
  if (!status) parallel_for(job->threads, items, attn_grain(job, items), forward_items, &f);
  sinkhorn_drop(rt, job);
  lanes_free(rt, job, lane, size);
  return status;
}
