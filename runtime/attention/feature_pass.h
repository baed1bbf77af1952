/* feature_pass.h: the matrix-state passes for one type T (see feature.h).
 *
 * One item is a key head of a batch entry with all query heads that share it,
 * so that states are built once for them and an item owns its gradients.  The
 * backward pass builds the states again: prefix sums of v k^T going up for dq,
 * suffix sums of q du^T coming down for dk and dv.                           */

typedef struct {
  const FeatureJob *job;
  int64_t b, hk;
  T *state;            /* S (r, e); backward going up: its transpose (e, r)    */
  T *turned;           /* transpose of the suffix state (e, r)                 */
  T *kt, *vt;          /* a chunk's keys (r, w) and values (e, w) turned       */
  T *a, *da;           /* weights of a chunk (m, w) and their adjoints         */
  T *du;               /* adjoints of the unnormalised rows (m, e)             */
  double *z;           /* sum of keys (r)                                      */
  double *dden;        /* adjoints of the row sums (m)                         */
} Feature;

static size_t feature_bytes(size_t n, size_t size) { return (n * size + 63) & ~(size_t)63; }

size_t FN(feature_scratch)(const FeatureJob *job) {
  size_t r = (size_t)job->r, e = (size_t)job->e, c = FEATURE_CHUNK;
  return 2 * feature_bytes(r * e, sizeof(T)) + feature_bytes(r * c, sizeof(T)) +
         2 * feature_bytes(e * c, sizeof(T)) + 2 * feature_bytes(c * c, sizeof(T)) +
         feature_bytes(r, 8) + feature_bytes(c, 8);
}

static void *feature_take(char **at, size_t n, size_t size) {
  void *p = *at;
  *at += feature_bytes(n, size);
  return p;
}

static void feature_begin(Feature *f, const FeatureJob *job, int64_t item, int lane) {
  size_t r = (size_t)job->r, e = (size_t)job->e, c = FEATURE_CHUNK;
  char *at = job->scratch + (size_t)lane * job->scratch_size;
  f->job = job;
  f->b = item / job->Hk;
  f->hk = item % job->Hk;
  f->state = feature_take(&at, r * e, sizeof(T));
  f->turned = feature_take(&at, r * e, sizeof(T));
  f->kt = feature_take(&at, r * c, sizeof(T));
  f->vt = feature_take(&at, e * c, sizeof(T));
  f->du = feature_take(&at, e * c, sizeof(T));
  f->a = feature_take(&at, c * c, sizeof(T));
  f->da = feature_take(&at, c * c, sizeof(T));
  f->z = feature_take(&at, r, 8);
  f->dden = feature_take(&at, c, 8);
}

static void feature_clear(Feature *f) {
  memset(f->state, 0, (size_t)(f->job->r * f->job->e) * sizeof(T));
  memset(f->z, 0, (size_t)f->job->r * sizeof(double));
}

static int64_t state_at(const Feature *f) { return (f->b * f->job->Hk + f->hk) * f->job->r; }

/* The state before the first key. */
static void feature_start(Feature *f) {
  const FeatureJob *job = f->job;
  feature_clear(f);
  if (!job->s0) return;
  memcpy(f->state, (const T *)job->s0 + state_at(f) * job->e,
         (size_t)(job->r * job->e) * sizeof(T));
  memcpy(f->z, job->z0 + state_at(f), (size_t)job->r * sizeof(double));
}

static void feature_keep(const Feature *f) {
  const FeatureJob *job = f->job;
  if (!job->s1) return;
  memcpy((T *)job->s1 + state_at(f) * job->e, f->state, (size_t)(job->r * job->e) * sizeof(T));
  memcpy(job->z1 + state_at(f), f->z, (size_t)job->r * sizeof(double));
}

static T *feature_row(const AttnView *v, int64_t b, int64_t h, int64_t r) {
  return (T *)v->data + b * v->batch + h * v->head + r * v->row;
}
static T *key_at(const Feature *f, int64_t j) { return feature_row(&f->job->k, f->b, f->hk, j); }
static T *value_at(const Feature *f, int64_t j) { return feature_row(&f->job->v, f->b, f->hk, j); }
/* Row r of query head h in a contiguous (B, Hq, nq, width) array. */
static T *own_row(const Feature *f, void *data, int64_t h, int64_t r, int64_t width) {
  const FeatureJob *job = f->job;
  return (T *)data + ((f->b * job->Hq + h) * job->nq + r) * width;
}
static T *own_key(const Feature *f, void *data, int64_t j, int64_t width) {
  const FeatureJob *job = f->job;
  return (T *)data + ((f->b * job->Hk + f->hk) * job->nk + j) * width;
}
static double *phi_at(const Feature *f, int64_t h, int64_t r) {
  return f->job->phi + (f->b * f->job->Hq + h) * f->job->nq + r;
}

/* ---- sums over vectors ---------------------------------------------------------- */

/* z += sum of the rows of x (n, r) times weight[i] (NULL: ones). */
static void add_rows(int64_t n, int64_t r, const T *x, int64_t ld, const double *weight,
                     double *z) {
  for (int64_t i = 0; i < n; i++) {
    const T *row = x + i * ld;
    double s = weight ? weight[i] : 1;
    for (int64_t c = 0; c < r; c++) z[c] += s * (double)row[c];
  }
}

/* Rows of y (n, r) += s[i] z (s NULL: ones). */
static void add_outer(int64_t n, int64_t r, const double *s, const double *z, T *y) {
  for (int64_t i = 0; i < n; i++) {
    double f = s ? s[i] : 1;
    for (int64_t c = 0; c < r; c++) y[i * r + c] += (T)(f * z[c]);
  }
}

static double dot_wide(int64_t r, const T *x, const double *z) {
  double lane[8] = {0}, s = 0;
  int64_t c = 0;
  for (; c + 8 <= r; c += 8)
    for (int k = 0; k < 8; k++) lane[k] += (double)x[c + k] * z[c + k];
  for (; c < r; c++) s += (double)x[c] * z[c];
  for (int k = 0; k < 8; k++) s += lane[k];
  return s;
}

/* ---- a chunk ---------------------------------------------------------------------- */

/* Query rows whose position lies among the keys [j0, j0 + w). */
static int64_t chunk_rows(const FeatureJob *job, int64_t j0, int64_t w, int64_t *first) {
  int64_t shift = job->nk - job->nq, end = j0 + w - shift;
  *first = j0 - shift < 0 ? 0 : j0 - shift;
  return end > *first ? end - *first : 0;
}

/* Query t of the chunk sits at key j0 + t - late: later keys are closed. */
static void close_later(int64_t m, int64_t w, T *a) {
  int64_t late = m < w ? w - m : 0; /* the rows of a cut first chunk are its last */
  for (int64_t t = 0; t < m; t++)
    for (int64_t j = t + late + 1; j < w; j++) a[t * w + j] = 0;
}

/* A = Q K^T where open; f->kt holds the chunk's keys. */
static void chunk_weights(Feature *f, int64_t h, int64_t first, int64_t m, int64_t w) {
  const FeatureJob *job = f->job;
  const T *q = feature_row(&job->q, f->b, h, first);
  TILE((int)m, (int)w, (int)job->r, q, job->q.row, 1, f->kt, w, f->a, w, false);
  close_later(m, w, f->a);
}

static void add_state(Feature *f, int64_t j0, int64_t w) {
  const FeatureJob *job = f->job;
  TILE((int)job->r, (int)job->e, (int)w, key_at(f, j0), 1, job->k.row, value_at(f, j0), job->v.row,
       f->state, job->e, true);
  add_rows(w, job->r, key_at(f, j0), job->k.row, NULL, f->z);
}

/* ---- forward ------------------------------------------------------------------------ */

/* The divisors of m rows from their sums inside the chunk (w columns of f->a, none when
 * w is 0) and before it, and the division.  A row that nothing divides is 0.  */
static void finish_rows(Feature *f, int64_t h, int64_t first, int64_t m, int64_t w) {
  const FeatureJob *job = f->job;
  double constant = job->constant[h * job->constant_step];
  for (int64_t t = 0; t < m; t++) {
    double phi = constant;
    if (job->sum) {
      const T *a = f->a + t * w;
      double s = 0;
      for (int64_t j = 0; j < w; j++) s += (double)a[j];
      phi += s + dot_wide(job->r, feature_row(&job->q, f->b, h, first + t), f->z);
    }
    *phi_at(f, h, first + t) = phi;
    T scale = phi == 0 ? 0 : (T)(1 / phi), *row = own_row(f, job->out, h, first + t, job->e);
    for (int64_t c = 0; c < job->e; c++) row[c] *= scale;
  }
}

static void forward_chunk(Feature *f, int64_t j0, int64_t w) {
  const FeatureJob *job = f->job;
  int64_t group = job->Hq / job->Hk, first, m = chunk_rows(job, j0, w, &first);
  int r = (int)job->r, e = (int)job->e;
  if (m) TRANSPOSE((int)w, r, key_at(f, j0), job->k.row, f->kt, w);
  for (int64_t h = f->hk * group; m && h < (f->hk + 1) * group; h++) {
    T *out = own_row(f, job->out, h, first, e);
    chunk_weights(f, h, first, m, w);
    TILE((int)m, e, (int)w, f->a, w, 1, value_at(f, j0), job->v.row, out, e, false);
    if (j0 > 0 || job->s0)
      TILE((int)m, e, r, feature_row(&job->q, f->b, h, first), job->q.row, 1, f->state, e, out, e,
           true);
    finish_rows(f, h, first, m, w);
  }
  if (j0 + w < job->nk || job->s1) add_state(f, j0, w);
}

static void forward_open(Feature *f) {
  const FeatureJob *job = f->job;
  int64_t group = job->Hq / job->Hk;
  for (int64_t j0 = 0; j0 < job->nk; j0 += FEATURE_CHUNK)
    add_state(f, j0, attn_min(FEATURE_CHUNK, job->nk - j0));
  for (int64_t h = f->hk * group; h < (f->hk + 1) * group; h++)
    for (int64_t r0 = 0; r0 < job->nq; r0 += FEATURE_CHUNK) {
      int64_t m = attn_min(FEATURE_CHUNK, job->nq - r0);
      TILE((int)m, (int)job->e, (int)job->r, feature_row(&job->q, f->b, h, r0), job->q.row, 1,
           f->state, job->e, own_row(f, job->out, h, r0, job->e), job->e, false);
      finish_rows(f, h, r0, m, 0);
    }
}

/* Rows before the first key see none. */
static void early_rows(Feature *f) {
  const FeatureJob *job = f->job;
  int64_t group = job->Hq / job->Hk, early = attn_min(job->nq - job->nk, job->nq);
  for (int64_t h = f->hk * group; early > 0 && h < (f->hk + 1) * group; h++) {
    memset(own_row(f, job->out, h, 0, job->e), 0, (size_t)(early * job->e) * sizeof(T));
    for (int64_t t = 0; t < early; t++) *phi_at(f, h, t) = 0;
  }
}

int FN(feature_forward)(void *data, int64_t first, int64_t end, int lane) {
  const FeatureJob *job = data;
  for (int64_t item = first; item < end; item++) {
    Feature f;
    feature_begin(&f, job, item, lane);
    feature_start(&f);
    if (job->causal) {
      early_rows(&f);
      for (int64_t j0 = 0; j0 < job->nk; j0 += FEATURE_CHUNK)
        forward_chunk(&f, j0, attn_min(FEATURE_CHUNK, job->nk - j0));
    } else {
      forward_open(&f);
    }
    feature_keep(&f);
  }
  return 0;
}

/* ---- backward ------------------------------------------------------------------------ */

/* f->du and f->dden of m rows; adds to the constant's adjoint when `count`. */
static void row_adjoints(Feature *f, int64_t h, int64_t first, int64_t m, bool count) {
  const FeatureJob *job = f->job;
  double dc = 0;
  for (int64_t t = 0; t < m; t++) {
    const T *g = feature_row(&job->grad, f->b, h, first + t);
    const T *out = own_row(f, job->out, h, first + t, job->e);
    double phi = *phi_at(f, h, first + t), inverse = phi == 0 ? 0 : 1 / phi, go = 0;
    for (int64_t c = 0; c < job->e; c++) {
      go += (double)g[c] * (double)out[c];
      f->du[t * job->e + c] = (T)((double)g[c] * inverse);
    }
    dc -= go * inverse;
    f->dden[t] = job->sum ? -go * inverse : 0;
  }
  if (count) job->dconstant[f->b * job->Hq + h] += dc;
}

/* dA = dU V^T + dden where open; f->vt holds the chunk's values. */
static void weight_adjoints(Feature *f, int64_t m, int64_t w) {
  TILE((int)m, (int)w, (int)f->job->e, f->du, f->job->e, 1, f->vt, w, f->da, w, false);
  for (int64_t t = 0; t < m && f->job->sum; t++)
    for (int64_t j = 0; j < w; j++) f->da[t * w + j] += (T)f->dden[t];
  close_later(m, w, f->da);
}

/* Going up: dq of the chunk's rows.  The state is S^T (e, r). */
static void up_chunk(Feature *f, int64_t j0, int64_t w) {
  const FeatureJob *job = f->job;
  int64_t group = job->Hq / job->Hk, first, m = chunk_rows(job, j0, w, &first);
  int r = (int)job->r, e = (int)job->e;
  if (m) TRANSPOSE((int)w, e, value_at(f, j0), job->v.row, f->vt, w);
  for (int64_t h = f->hk * group; m && h < (f->hk + 1) * group; h++) {
    row_adjoints(f, h, first, m, true);
    if (!job->dq) continue;
    T *dq = own_row(f, job->dq, h, first, r);
    weight_adjoints(f, m, w);
    TILE((int)m, r, (int)w, f->da, w, 1, key_at(f, j0), job->k.row, dq, r, false);
    if (j0 == 0) continue;
    TILE((int)m, r, e, f->du, e, 1, f->state, r, dq, r, true);
    if (job->sum) add_outer(m, r, f->dden, f->z, dq);
  }
  if (!job->dq || j0 + w == job->nk) return;
  TILE(e, r, (int)w, value_at(f, j0), 1, job->v.row, key_at(f, j0), job->k.row, f->state, r, true);
  add_rows(w, r, key_at(f, j0), job->k.row, NULL, f->z);
}

/* Adds query rows to the suffix state R = sum q du^T and z = sum dden q. */
static void add_suffix(Feature *f, int64_t h, int64_t first, int64_t m) {
  const FeatureJob *job = f->job;
  const T *q = feature_row(&job->q, f->b, h, first);
  TILE((int)job->r, (int)job->e, (int)m, q, 1, job->q.row, f->du, job->e, f->state, job->e, true);
  if (job->sum) add_rows(m, job->r, q, job->q.row, f->dden, f->z);
}

/* What later rows, R, give to the keys and values of a chunk. */
static void from_suffix(Feature *f, int64_t j0, int64_t w) {
  const FeatureJob *job = f->job;
  int r = (int)job->r, e = (int)job->e;
  if (job->dv)
    TILE((int)w, e, r, key_at(f, j0), job->k.row, 1, f->state, e, own_key(f, job->dv, j0, e), e,
         true);
  if (!job->dk) return;
  T *dk = own_key(f, job->dk, j0, r);
  TRANSPOSE(r, e, f->state, e, f->turned, r);
  TILE((int)w, r, e, value_at(f, j0), job->v.row, 1, f->turned, r, dk, r, true);
  if (job->sum) add_outer(w, r, NULL, f->z, dk);
}

/* Coming down: dk and dv of the chunk's keys. */
static void down_chunk(Feature *f, int64_t j0, int64_t w) {
  const FeatureJob *job = f->job;
  int64_t group = job->Hq / job->Hk, first, m = chunk_rows(job, j0, w, &first);
  int r = (int)job->r, e = (int)job->e;
  if (j0 + w < job->nk) from_suffix(f, j0, w);
  if (!m) return;
  TRANSPOSE((int)w, e, value_at(f, j0), job->v.row, f->vt, w);
  TRANSPOSE((int)w, r, key_at(f, j0), job->k.row, f->kt, w);
  for (int64_t h = f->hk * group; h < (f->hk + 1) * group; h++) {
    row_adjoints(f, h, first, m, false);
    if (job->dk) {
      weight_adjoints(f, m, w);
      TILE((int)w, r, (int)m, f->da, 1, w, feature_row(&job->q, f->b, h, first), job->q.row,
           own_key(f, job->dk, j0, r), r, true);
    }
    if (job->dv) {
      chunk_weights(f, h, first, m, w);
      TILE((int)w, e, (int)m, f->a, 1, w, f->du, e, own_key(f, job->dv, j0, e), e, true);
    }
    add_suffix(f, h, first, m);
  }
}

static void backward_open(Feature *f) {
  const FeatureJob *job = f->job;
  int64_t group = job->Hq / job->Hk;
  int r = (int)job->r, e = (int)job->e;
  for (int64_t j0 = 0; job->dq && j0 < job->nk; j0 += FEATURE_CHUNK) {
    int64_t w = attn_min(FEATURE_CHUNK, job->nk - j0);
    TILE(e, r, (int)w, value_at(f, j0), 1, job->v.row, key_at(f, j0), job->k.row, f->state, r,
         true);
    add_rows(w, r, key_at(f, j0), job->k.row, NULL, f->z);
  }
  for (int64_t h = f->hk * group; h < (f->hk + 1) * group; h++)
    for (int64_t r0 = 0; r0 < job->nq; r0 += FEATURE_CHUNK) {
      int64_t m = attn_min(FEATURE_CHUNK, job->nq - r0);
      row_adjoints(f, h, r0, m, true);
      if (!job->dq) continue;
      T *dq = own_row(f, job->dq, h, r0, r);
      TILE((int)m, r, e, f->du, e, 1, f->state, r, dq, r, false);
      if (job->sum) add_outer(m, r, f->dden, f->z, dq);
    }
  if (!job->dk && !job->dv) return;
  feature_clear(f);
  for (int64_t h = f->hk * group; h < (f->hk + 1) * group; h++)
    for (int64_t r0 = 0; r0 < job->nq; r0 += FEATURE_CHUNK) {
      int64_t m = attn_min(FEATURE_CHUNK, job->nq - r0);
      row_adjoints(f, h, r0, m, false);
      add_suffix(f, h, r0, m);
    }
  for (int64_t j0 = 0; j0 < job->nk; j0 += FEATURE_CHUNK)
    from_suffix(f, j0, attn_min(FEATURE_CHUNK, job->nk - j0));
}

int FN(feature_backward)(void *data, int64_t first, int64_t end, int lane) {
  const FeatureJob *job = data;
  for (int64_t item = first; item < end; item++) {
    Feature f;
    feature_begin(&f, job, item, lane);
    feature_clear(&f);
    if (!job->causal) {
      backward_open(&f);
      continue;
    }
    for (int64_t j0 = 0; j0 < job->nk; j0 += FEATURE_CHUNK)
      up_chunk(&f, j0, attn_min(FEATURE_CHUNK, job->nk - j0));
    if (!job->dk && !job->dv) continue;
    feature_clear(&f);
    for (int64_t j0 = (job->nk - 1) / FEATURE_CHUNK * FEATURE_CHUNK; j0 >= 0; j0 -= FEATURE_CHUNK)
      down_chunk(&f, j0, attn_min(FEATURE_CHUNK, job->nk - j0));
  }
  return 0;
}
