/* vectors.h: rows of the operands, products that involve a captured vector or
 * one vector alone, and their adjoints; included once per number type with T,
 * FN(name), GEMM and ROW_... (see pass_f32.c).                               */

/* ---- scratch of one lane: measured with base NULL, then laid out -------------- */

typedef struct { char *base; size_t at; } Carve;
static void *carve(Carve *c, size_t bytes) {
  void *p = c->base ? c->base + c->at : NULL;
  c->at += attn_round(bytes ? bytes : 1);
  return p;
}

static void carve_run(Carve *c, ProgRun *run, const ProgPlan *plan) {
  if (!plan) return;
  void *p = carve(c, prog_run_size(plan));
  if (p) prog_run_init(run, plan, p);
}

static void note_strip(AttnJob *job, const ProgRun *run) {
  if (!run->plan || run->bad_slot < 0 || job->bad_slot >= 0) return;
  job->bad_slot = run->bad_slot;
  job->bad_axis = run->bad_axis;
  job->bad_index = run->bad_index;
}

/* ---- rows of the operands ----------------------------------------------------------- */

static T *row_of(const AttnView *v, int64_t b, int64_t h, int64_t r) {
  return (T *)v->data + b * v->batch + h * v->head + r * v->row;
}
static int64_t key_head(const AttnJob *job, int64_t h) { return h / (job->Hq / job->Hk); }
/* ---- products with a captured vector or with itself ---------------------------------- */

/* One side of a product: d numbers, d apart by `step`, of any float type. */
typedef struct { const void *data; int64_t step; uint8_t dtype; } Side;

static double side_at(Side s, int64_t c) {
  return s.dtype == DT_F32 ? ((const float *)s.data)[c * s.step]
                           : ((const double *)s.data)[c * s.step];
}

static Side side_of(const AttnJob *job, int side, int slot, int64_t b, int64_t h, int64_t r) {
  if (side == ATTN_Q) return (Side){row_of(&job->q, b, h, r), 1, job->real};
  if (side == ATTN_K) return (Side){row_of(&job->k, b, key_head(job, h), r), 1, job->real};
  const ProgTensor *t = &job->slot[slot];
  size_t size = t->dtype == DT_F32 ? 4 : 8;
  const char *at = t->data;
  if (t->rank == 2) at += (size_t)(h * t->stride[0]) * size;
  return (Side){at, t->stride[t->rank - 1], t->dtype};
}

static double product(const AttnLeaf *l, Side x, Side y, int64_t d) {
  double s = 0;
  const uint8_t real = sizeof(T) == 4 ? DT_F32 : DT_F64;
  if (l->product != ATTN_DIST2 && l->product != ATTN_L1 && x.dtype == real && y.dtype == real &&
      x.step == 1 && y.step == 1) {
    s = ROW_DOT(d, x.data, y.data);
    return l->product == ATTN_NORM ? sqrt(s) : s;
  }
  for (int64_t c = 0; c < d; c++) {
    double a = side_at(x, c), b = side_at(y, c);
    switch (l->product) {
    case ATTN_DOT: case ATTN_NORM2: case ATTN_NORM: s += a * b; break;
    case ATTN_DIST2: s += (a - b) * (a - b); break;
    default: s += fabs(a - b); break;
    }
  }
  return l->product == ATTN_NORM ? sqrt(s) : s;
}

static double leaf_value(const AttnJob *job, const AttnLeaf *l, int64_t b, int64_t h, int64_t r) {
  return product(l, side_of(job, l->left, l->left_slot, b, h, r),
                 side_of(job, l->right, l->right_slot, b, h, r), job->d);
}

/* ---- products of q with k that are no matrix product ---------------------------------- */

/* Sums of (q - k)^2 or |q - k| directly: expanding the square would cancel. */
CLONES static void distances(bool square, int64_t m, int64_t w, int64_t d, const T *restrict q,
                             int64_t q_row, const T *restrict kt, int64_t kt_ld,
                             T *restrict out, int64_t ld) {
  for (int64_t r = 0; r < m; r++) {
    T *o = out + r * ld;
    for (int64_t j = 0; j < w; j++) o[j] = 0;
    for (int64_t c = 0; c < d; c++) {
      T x = q[r * q_row + c];
      const T *k = kt + c * kt_ld;
      if (square) for (int64_t j = 0; j < w; j++) o[j] += (x - k[j]) * (x - k[j]);
      else for (int64_t j = 0; j < w; j++) o[j] += x > k[j] ? x - k[j] : k[j] - x;
    }
  }
}

/* ---- gradients ------------------------------------------------------------------------- */

static int64_t wrap(double x, int64_t n) {
  int64_t i = (int64_t)(x < 0 ? x + (double)n : x);
  return i < 0 || i >= n ? -1 : i;
}

/* Position in a row-major gradient of the tensor's shape; -1: outside. */
static int64_t load_at(const AttnJob *job, const ProgRun *run, const AttnLoad *l, int64_t j) {
  const ProgTensor *t = &job->slot[l->slot];
  int64_t at = 0;
  for (int q = 0; q < l->n_ix; q++) {
    double s;
    const double *x = prog_out(run, l->ix_out + q, &s);
    int64_t i = wrap(x ? x[j] : s, t->shape[q]);
    if (i < 0) return -1;
    at = at * t->shape[q] + i;
  }
  return at;
}

/* Adds factor times the adjoints of all loads of a finished run. */
static void add_loads(const AttnJob *job, const ProgRun *run, const AttnGrad *g, double factor,
                      int64_t n, const uint8_t *open, double **dslot) {
  for (int k = 0; k < g->n_load; k++) {
    const AttnLoad *l = &g->load[k];
    double *sink = dslot[l->slot], s;
    if (!sink) continue;
    const T *x = prog_out(run, l->out, &s);
    if (!x) {
      int64_t at = load_at(job, run, l, 0);
      if (at >= 0) sink[at] += factor * s;
      continue;
    }
    for (int64_t j = 0; j < n; j++) {
      int64_t at = open[j] ? load_at(job, run, l, j) : -1;
      if (at >= 0) sink[at] += factor * x[j];
    }
  }
}

/* Adjoints g (m, n) of |q - k|_1 to the queries and the keys; dq, dk: rows of d. */
CLONES static void l1_back(int64_t m, int64_t n, int64_t d, const T *q, int64_t q_row, const T *k,
                           int64_t k_row, const T *g, int64_t ld, T *dq, T *dk) {
  for (int64_t r = 0; r < m; r++)
    for (int64_t j = 0; j < n; j++) {
      const T *a = q + r * q_row, *b = k + j * k_row;
      T x = g[r * ld + j], *to_q = dq ? dq + r * d : NULL, *to_k = dk ? dk + j * d : NULL;
      for (int64_t c = 0; c < d && to_q; c++) to_q[c] += a[c] > b[c] ? x : a[c] < b[c] ? -x : 0;
      for (int64_t c = 0; c < d && to_k; c++) to_k[c] -= a[c] > b[c] ? x : a[c] < b[c] ? -x : 0;
    }
}

/* Where the gradient of one side goes: numbers of type T or doubles. */
typedef struct { T *real; double *wide; } SideGrad;
static void side_add(SideGrad g, int64_t c, double v) {
  if (g.real) g.real[c] += (T)v;
  else if (g.wide) g.wide[c] += v;
}

static SideGrad side_grad(const AttnJob *job, int64_t h, int side, int slot, T *dq, T *dk,
                          double **dslot) {
  if (side == ATTN_Q) return (SideGrad){dq, NULL};
  if (side == ATTN_K) return (SideGrad){dk, NULL};
  double *base = dslot[slot];
  if (base && job->slot[slot].rank == 2) base += h * job->d;
  return (SideGrad){NULL, base};
}

/* g times the derivative of the product at row r (of its vector) to both sides. */
static void product_back(const AttnJob *job, int64_t b, int64_t h, const AttnLeaf *l, int64_t r,
                         double g, T *dq, T *dk, double **dslot) {
  if (g == 0) return;
  Side x = side_of(job, l->left, l->left_slot, b, h, r);
  Side y = side_of(job, l->right, l->right_slot, b, h, r);
  SideGrad gx = side_grad(job, h, l->left, l->left_slot, dq, dk, dslot);
  SideGrad gy = side_grad(job, h, l->right, l->right_slot, dq, dk, dslot);
  double norm = l->product == ATTN_NORM ? product(l, x, y, job->d) : 0;
  if (gx.real && (l->product == ATTN_NORM || l->product == ATTN_NORM2)) { /* q or k with itself */
    const T *from = x.data;
    T f = (T)(l->product == ATTN_NORM2 ? 2 * g : norm > 0 ? g / norm : 0);
    for (int64_t c = 0; c < job->d; c++) gx.real[c] += f * from[c];
    return;
  }
  for (int64_t c = 0; c < job->d; c++) {
    double a = side_at(x, c), o = side_at(y, c), diff = a - o;
    switch (l->product) {
    case ATTN_NORM2: side_add(gx, c, 2 * g * a); break;
    case ATTN_NORM: side_add(gx, c, norm > 0 ? g * a / norm : 0); break;
    case ATTN_DOT: side_add(gx, c, g * o); side_add(gy, c, g * a); break;
    case ATTN_DIST2: side_add(gx, c, 2 * g * diff); side_add(gy, c, -2 * g * diff); break;
    default: {
      double s = (diff > 0) - (diff < 0);
      side_add(gx, c, g * s);
      side_add(gy, c, -g * s);
    }
    }
  }
}

