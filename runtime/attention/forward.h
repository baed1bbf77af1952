/* forward.h: the forward pass; included after rows.h. */

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
    GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)w->m, (int)job->e, (int)bl->w, 1,
         w->w + bl->off, (int)w->n_col, row_of(&job->v, w->b, key_head(job, w->h), bl->j0),
         (int)job->v.row, k ? 1 : 0, out, (int)job->out.row);
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
  else
    for (int64_t r = 0; r < m; r++) store_matrix(w, r);
}

/* Scratch for every thread; NULL with the error set. */
static char *scratch_new(Rt *rt, AttnJob *job, bool back, int threads, size_t *each) {
  Carve c = {0};
  Work w;
  carve_work(&w, job, back, &c);
  *each = c.at;
  return rt_alloc(rt, *each * (size_t)threads);
}

static void prepare_all(AttnJob *job, bool back) {
  int64_t n = job->B * job->Hq;
#pragma omp parallel for num_threads(job->threads) schedule(static)
  for (int64_t k = 0; k < n; k++) prepare_head(job, k / job->Hq, k % job->Hq, back);
}

RtStatus FN(attn_forward)(Rt *rt, AttnJob *job) {
  size_t each;
  char *scratch = scratch_new(rt, job, false, job->threads, &each);
  if (!scratch) return rt->error.status;
  prepare_all(job, false);
  int64_t blocks = (job->nq + job->rows - 1) / (job->rows ? job->rows : 1);
  int64_t items = job->B * job->Hq * blocks;
#pragma omp parallel num_threads(job->threads)
  {
    Work w;
    Carve c = {scratch + each * (size_t)THREAD(), 0};
    carve_work(&w, job, false, &c);
    int64_t head = -1;
#pragma omp for schedule(dynamic, 1)
    for (int64_t k = 0; k < items; k++) {
      if (atomic_load_explicit(job->interrupted, memory_order_relaxed)) continue;
      int64_t bh = k / blocks, r0 = k % blocks * job->rows;
      if (bh != head) start_head(&w, bh / job->Hq, bh % job->Hq, false);
      head = bh;
      forward_block(&w, r0, attn_min(job->rows, job->nq - r0));
    }
    note_errors(&w);
  }
  rt_free(rt, scratch, each * (size_t)job->threads);
  return RT_OK;
}
