/* Attention against the plain reference (reference.h): a sample of score x weight x
 * normaliser x mask x bias x shape that covers pairs of choices; outputs and the
 * gradients of q, k, v, biases and parameters, f32 and f64, one and two threads.
 *
 *   QA_LONG=n   n cases instead of the usual ones;  QA_SEED=s  another sample
 *
 * Bars: outputs normwise 2e-6 (f32) and 1e-12 (f64), gradients 1e-5 and 1e-8.
 * Normwise: largest error over largest value, which counts as at least 2 % of the
 * largest sum |p v| of a row.  The floor under a gradient's size is
 * a tenth of the largest sum of absolute values of its terms, so that terms which
 * cancel are measured against themselves (slopes of the weight below 0.03 count as
 * 0.03 in it).  Where the terms of a score change its log-weight by U > 8, their
 * rounding shows in the weights and bars grow with U / 8; far from the origin (100
 * sigma) they are ten times wider.  Results below 1e-30 of the values count as 0.  */
#include "tests/runtime/attention/variants.h"

enum { TRIES = 24, MAX_WORK = 1200000, THREADS_WORK = 4000000 };
/* Weights of this size are 0 in f32, rightly, unless a normaliser lifts them. */
static const double SMALLEST = 1e-30;

/* ---- choosing cases -------------------------------------------------------------- */

static const int lengths[] = {1, 2, 3, 15, 16, 17, 49, 63, 64, 65, 100, 129, 257};
static const int widths[] = {1, 2, 3, 16, 33, 64, 80};
enum { N_LENGTH = sizeof lengths / sizeof *lengths, N_WIDTH = sizeof widths / sizeof *widths };
enum { F_SCORE, F_WEIGHT, F_NORM, F_MASK, F_BIAS, F_DATA, F_NQ, F_NK, F_D, F_E, F_RANK, F_GROUP,
       F_LAYOUT, F_SELECT, N_FACTOR };
static const int levels[N_FACTOR] = {N_SCORE, N_WEIGHT, N_NORM, N_MASK, N_BIAS, N_DATA, N_LENGTH,
                                     N_LENGTH, N_WIDTH, N_WIDTH, 3, 3, N_LAYOUT, 4};
enum { MAX_LEVEL = 16 };
static uint8_t covered[N_FACTOR][N_FACTOR][MAX_LEVEL][MAX_LEVEL];

static bool sensible(const int *f) {
  bool log = is_log(f[F_WEIGHT]), far = f[F_SCORE] == SC_DIST2 || f[F_SCORE] == SC_L1;
  bool bounded = f[F_SCORE] == SC_SOFTCAP || f[F_SCORE] == SC_COS;
  if (!log && f[F_NORM] >= NO_SPARSEMAX) return false;
  bool is_signed = f[F_WEIGHT] == W_LINEAR;
  bool divides = f[F_NORM] == NO_SUM || f[F_NORM] == NO_SUM_EPS || f[F_NORM] == NO_MAX;
  if (is_signed && divides) return false;
  /* Only distances stand still when everything moves. */
  if (f[F_DATA] == D_OFFSET && !far) return false;
  /* Sharp rows: where the score is meant to be large. */
  if (f[F_DATA] == D_SHARP) {
    bool softmax = f[F_WEIGHT] == W_EXP && (f[F_NORM] == NO_SUM || f[F_NORM] >= NO_SPARSEMAX);
    if (!bounded && !softmax) return false;
  }
  /* log(0) of a tie: a slope without a value. */
  return true;
}

static void case_of(const int *f, Case *c, Random *r) {
  static const int heads[3][2] = {{1, 1}, {2, 1}, {4, 2}};
  *c = (Case){.score = f[F_SCORE], .weight = f[F_WEIGHT], .norm = f[F_NORM], .mask = f[F_MASK],
              .bias = f[F_BIAS], .data = f[F_DATA], .nq = lengths[f[F_NQ]],
              .nk = lengths[f[F_NK]], .d = widths[f[F_D]], .e = widths[f[F_E]],
              .rank = f[F_RANK] + 2, .layout = f[F_LAYOUT], .B = 1, .Hq = 1, .Hk = 1};
  if (c->rank > 2) { c->Hq = heads[f[F_GROUP]][0]; c->Hk = heads[f[F_GROUP]][1]; }
  if (c->rank > 3) c->B = 2;
  if (f[F_SELECT] == 1) c->top = 1 + below(r, 6);
  if (f[F_SELECT] == 2) c->dropout = 0.25;
}

static double work(const Case *c) {
  return (double)c->B * c->Hq * c->nq * c->nk * (c->d + c->e + 12);
}

static int fresh(const int *f) {
  int n = 0;
  for (int a = 0; a < N_FACTOR; a++) for (int b = 0; b < a; b++) n += !covered[a][b][f[a]][f[b]];
  return n;
}

/* The one of some random cases that covers most pairs not seen yet. */
static void choose(Random *r, Case *c, double least, double most_work) {
  int best[N_FACTOR], most = -1;
  for (int t = 0; t < TRIES || most < 0; t++) {
    int f[N_FACTOR];
    for (int k = 0; k < N_FACTOR; k++) f[k] = below(r, levels[k]);
    if (below(r, 2)) f[F_DATA] = D_NORMAL;
    case_of(f, c, r);
    if (!sensible(f) || fresh(f) <= most) continue;
    if (work(c) < least || work(c) > most_work) continue;
    most = fresh(f);
    memcpy(best, f, sizeof best);
  }
  for (int a = 0; a < N_FACTOR; a++)
    for (int b = 0; b < a; b++) covered[a][b][best[a]][best[b]] = 1;
  case_of(best, c, r);
}

/* ---- measuring ---------------------------------------------------------------------- */

typedef struct { int cases, failed; double worst[2][2]; char *list; } Tally;

static double largest(int64_t n, const real *x) {
  double m = 0;
  for (int64_t a = 0; a < n; a++) m = fmax(m, (double)fabsl(x[a]));
  return m;
}

/* How much rounding of vector products is magnified: the change of a log-weight, or
 * of a weight beside the largest one, that the terms of its score make.  Thresholds
 * leave it on probabilities that may all be small.                              */
static double magnification(const Case *c) {
  double change = 0, size = 0, least = 1;
  Row row = row_new(c);
  for (int b = 0; b < c->B; b++) for (int h = 0; h < c->Hq; h++) for (int r = 0; r < c->nq; r++) {
    double p = 0;
    if (!ref_row(c, b, h, r, &row)) continue;
    for (int a = 0; a < row.n; a++) {
      change = fmax(change, (double)fabsl(row.pair[a].slope * row.pair[a].terms));
      size = fmax(size, (double)fabsl(row.pair[a].out));
      p = fmax(p, (double)row.p[a]);
    }
    if (row.n) least = fmin(least, p);
  }
  row_free(&row);
  if (!is_log(c->weight)) change = size > 0 ? change / size : 0;
  if (c->norm >= NO_SPARSEMAX) change = 1.25 * fmax(change, 1) / fmax(least, 1e-3);
  return fmax(1, change / 8);
}

static void blame(Tally *t, const Case *c, const char *what, DType dt, double err, double bar) {
  char text[300];
  label(c, text, sizeof text);
  if (t->failed++ < 40)
    print_error("%s of %s is off by %.3g (bar %.3g): %s\n", what, dtype_name[dt], err, bar, text);
}

/* Largest error of a tensor over `size`; infinite when not finite. */
static double error_of(const Tensor *t, const real *ref, double size) {
  double worst = 0;
  for (int64_t a = 0; a < t->size; a++) {
    double x = tensor_get_f64(t, a);
    if (!isfinite(x)) return INFINITY;
    worst = fmax(worst, fabs(x - (double)ref[a]));
  }
  return worst == 0 ? 0 : worst / size;
}

/* Largest sum |p_j v_j| of a row: every value has about this many terms' rounding. */
static double largest_terms(const Case *c) {
  double most = 0;
  Row row = row_new(c);
  for (int b = 0; b < c->B; b++) for (int h = 0; h < c->Hq; h++) for (int r = 0; r < c->nq; r++) {
    real sum = 0;
    ref_row(c, b, h, r, &row);
    for (int a = 0; a < row.n; a++)
      sum += fabsl(row.p[a] * c->v[key_row(c, b, h, row.at[a]) * c->e]);
    most = fmax(most, (double)sum);
  }
  row_free(&row);
  return most;
}

static void check_output(Tally *t, const Case *c, const Tensor *o, const real *ref, double grow) {
  double bar = (o->dtype == DT_F32 ? 2e-6 : 1e-12) * grow;
  double worst = 0, size = 0.02 * largest_terms(c);
  for (int64_t a = 0; a < o->size; a++) {
    if (c->doubtful[a / c->e]) continue;
    double x = tensor_get_f64(o, a);
    if (!isfinite(x)) worst = INFINITY;
    worst = fmax(worst, fabs(x - (double)ref[a]));
    size = fmax(size, (double)fabsl(ref[a]));
  }
  double err = worst == 0 ? 0 : worst / fmax(size, SMALLEST * largest(c->size[2], c->v));
  t->worst[0][o->dtype == DT_F64] = fmax(t->worst[0][o->dtype == DT_F64], err / grow);
  if (!(err <= bar)) blame(t, c, "output", o->dtype, err, bar);
}

static void check_gradient(Tally *t, const Case *c, const char *what, const Tensor *g,
                           const real *ref, double size, double grow) {
  double bar = (g->dtype == DT_F32 ? 1e-5 : 1e-8) * grow, err = error_of(g, ref, size);
  t->worst[1][g->dtype == DT_F64] = fmax(t->worst[1][g->dtype == DT_F64], err / grow);
  if (!(err <= bar)) blame(t, c, what, g->dtype, err, bar);
}

/* ---- dropout: which pairs were kept, read off the weights ------------------------------ */

static void find_kept(Rt *rt, Tally *t, Case *c, AttnSpec *s) {
  int64_t n = (int64_t)c->B * c->Hq * c->nq * c->nk, zero = 0, all = 0;
  Inputs x;
  inputs(rt, c, DT_F64, &x);
  Tensor *w = attend(rt, s, &x, true);
  if (!w) fail_msg("weights: %s", rt->error.message);
  Row row = row_new(c);
  real *keep = malloc((size_t)n * sizeof *keep), up = 1 / (1 - (real)c->dropout);
  double worst = 0;
  for (int64_t a = 0; a < n; a++) keep[a] = up;
  for (int b = 0; b < c->B; b++) for (int h = 0; h < c->Hq; h++) for (int r = 0; r < c->nq; r++) {
    int64_t at = ((int64_t)b * c->Hq + h) * c->nq + r;
    bool sure = ref_row(c, b, h, r, &row);
    for (int a = 0; a < row.n; a++) {
      double got = tensor_get_f64(w, at * c->nk + row.at[a]);
      if (row.p[a] == 0 || !sure) continue;
      all++;
      if (got == 0) { keep[at * c->nk + row.at[a]] = 0; zero++; }
      else worst = fmax(worst, fabs(got - (double)(up * row.p[a])) / fmax(1, (double)row.p[a]));
    }
  }
  if (!(worst < 1e-10)) blame(t, c, "weights after dropout", DT_F64, worst, 1e-10);
  double share = all ? (double)zero / (double)all : c->dropout;
  if (fabs(share - c->dropout) > 0.01 + 5 * sqrt(c->dropout / (double)(all + 1)))
    blame(t, c, "share of dropped weights", DT_F64, share, c->dropout);
  c->keep = keep;
  row_free(&row);
  tensor_unref(rt, w);
  inputs_drop(rt, &x);
}

/* ---- parameters: central differences of the reference ----------------------------------- */

static real loss(const Case *c, const real *seed, real *out) {
  real sum = 0;
  ref_forward(c, out, false);
  for (int64_t a = 0; a < (int64_t)c->B * c->Hq * c->nq * c->e; a++) sum += seed[a] * out[a];
  return sum;
}

static bool uses(const Case *c, int slot) {
  switch (slot) {
  case S_C: return c->score == SC_SOFTCAP || c->score == SC_COS || c->score == SC_MEHLER;
  case S_G: return !(c->weight == W_EXP && c->score != SC_DIST2 && c->score != SC_L1) &&
                   c->weight != W_SIGMOID && c->weight != W_RELU && c->weight != W_RELU2 &&
                   c->weight != W_LINEAR;
  case S_N: return c->weight == W_POWER;
  case S_U: case S_W: return c->score == SC_VECTORS;
  case S_EPS: return c->norm == NO_SUM_EPS || c->norm == NO_EXPRESSION;
  case S_ALPHA: return c->norm == NO_ENTMAX;
  default: return c->bias != B_NO_BIAS;
  }
}

static void check_parameters(Tally *t, Case *c, const Result *single, const Result *full,
                             const real *seed, double total, double grow, Random *r) {
  static const char *const names[] = {"gradient of c", "gradient of g", "gradient of n",
    "gradient of bias", "gradient of u", "gradient of w", "gradient of eps", "gradient of alpha"};
  int64_t n = (int64_t)c->B * c->Hq * c->nq * c->e;
  real *out = malloc((size_t)n * sizeof *out), h = 1e-6L;
  for (int s = 0; s < S_FLOATS; s++) {
    real *x = c->slot[s], up, down, along[2] = {0, 0};
    int64_t size = c->size[3 + s];
    double norm = 0;
    const Result *each[] = {single, full};
    real *dir = malloc((size_t)size * sizeof *dir), *keep = malloc((size_t)size * sizeof *keep);
    for (int64_t a = 0; a < size; a++) {
      dir[a] = gauss(r) / sqrt((double)size);
      keep[a] = x[a];
      for (int k = 0; k < 2; k++)
        along[k] += dir[a] * (real)tensor_get_f64(each[k]->grad[3 + s], a);
      norm = hypot(norm, tensor_get_f64(full->grad[3 + s], a));
    }
    if (!uses(c, s)) {
      if (norm != 0) blame(t, c, names[s], DT_F64, norm, 0);
    } else {
      for (int64_t a = 0; a < size; a++) x[a] = keep[a] + h * dir[a];
      up = loss(c, seed, out);
      for (int64_t a = 0; a < size; a++) x[a] = keep[a] - h * dir[a];
      down = loss(c, seed, out);
      for (int64_t a = 0; a < size; a++) x[a] = keep[a];
      for (int k = 0; k < 2; k++) {
        double err = (double)fabsl((up - down) / (2 * h) - along[k]);
        if (err > 0) err /= fmax(fmax(norm, 0.1 * total), SMALLEST);
        double bar = (k ? 1e-8 : 1e-5) * grow;
        t->worst[1][k] = fmax(t->worst[1][k], err / grow);
        if (!(err <= bar)) blame(t, c, names[s], k ? DT_F64 : DT_F32, err, bar);
      }
    }
    free(dir);
    free(keep);
  }
  free(out);
}

/* ---- one case ------------------------------------------------------------------------- */

static void same_bits(Tally *t, const Case *c, const Result *a, const Result *b) {
  size_t each = dtype_size[a->out->dtype];
  bool same = !memcmp(a->out->data, b->out->data, (size_t)a->out->size * each);
  for (int k = 0; k < 3 + S_FLOATS; k++)
    same &= !memcmp(a->grad[k]->data, b->grad[k]->data, (size_t)a->grad[k]->size * each);
  if (!same) blame(t, c, "two threads: bits", a->out->dtype, 1, 0);
}

static void check_case(Rt *rt, Tally *t, Case *c, Random *r) {
  int64_t n_out = (int64_t)c->B * c->Hq * c->nq * c->e;
  real *out = malloc((size_t)n_out * sizeof *out), *seed = malloc((size_t)n_out * sizeof *seed);
  real *sums[8];
  for (int k = 0; k < 8; k++)
    sums[k] = calloc((size_t)c->size[k % 4 == 3 ? 3 + S_BIAS : k % 4], sizeof(real));
  AttnSpec *s = build(rt, c);
  if (c->dropout > 0) find_kept(rt, t, c, s);
  ref_forward(c, out, true);
  for (int64_t a = 0; a < n_out; a++) {
    seed[a] = (float)gauss(r);
    if (c->doubtful[a / c->e]) seed[a] = 0;
  }
  Grads g = {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7], 0};
  ref_backward(c, seed, &g);
  double grow = magnification(c) * (c->data == D_OFFSET ? 10 : 1);
  static const char *const names[] = {"gradient of q", "gradient of k", "gradient of v",
                                      "every gradient of the bias"};
  Result one[2], two;
  for (int k = 0; k < 2; k++) {
    DType dt = k ? DT_F64 : DT_F32;
    rt->threads = 1;
    if (!run_case(rt, c, s, dt, seed, &one[k])) fail_msg("%s", rt->error.message);
    rt->threads = 2;
    if (!run_case(rt, c, s, dt, seed, &two)) fail_msg("%s", rt->error.message);
    same_bits(t, c, &one[k], &two);
    check_output(t, c, one[k].out, out, grow);
    for (int m = 0; m < 4; m++) {
      int64_t n = c->size[m == 3 ? 3 + S_BIAS : m];
      double size = fmax(largest(n, sums[m]), 0.1 * largest(n, sums[4 + m]));
      size = fmax(size, SMALLEST * largest(c->size[2], c->v));
      check_gradient(t, c, names[m], one[k].grad[m == 3 ? 3 + S_BIAS : m], sums[m], size, grow);
    }
    result_drop(rt, &two);
  }
  check_parameters(t, c, &one[0], &one[1], seed, (double)g.total, grow, r);
  for (int k = 0; k < 2; k++) result_drop(rt, &one[k]);
  attn_spec_unref(rt, s);
  for (int k = 0; k < 8; k++) free(sums[k]);
  free(out);
  free(seed);
  t->cases++;
}

static void sample(Rt *rt, int n, uint64_t start) {
  int threads = rt->threads;
  Random r = {start};
  Tally t = {0};
  for (int k = 0; k < n; k++) {
    Case c;
    choose(&r, &c, 0, MAX_WORK);
    fill(&c, 1000 + (uint64_t)k);
    check_case(rt, &t, &c, &r);
    drop(&c);
  }
  rt->threads = threads;
  print_message("%d cases; worst: outputs %.2g (f32) %.2g (f64), gradients %.2g %.2g\n", t.cases,
                t.worst[0][0], t.worst[0][1], t.worst[1][0], t.worst[1][1]);
  assert_int_equal(t.failed, 0);
}

static void covering_sample(void **state) {
  const char *count = getenv("QA_LONG"), *start = getenv("QA_SEED");
  int n = count ? atoi(count) : 400;
#ifdef __SANITIZE_ADDRESS__
  if (!count) n /= 4;
#endif
  sample(*state, n, start ? (uint64_t)atoll(start) : 3);
}

/* The same of the code for AVX2, and of strips without emitted code. */
static void other_processors(void **state) {
  static const char *const code[] = {"avx2", "0"};
  for (int k = 0; k < 2; k++) {
    setenv("QA_EMIT", code[k], 1);
    memset(covered, 0, sizeof covered);
    sample(*state, 50, 7);
    unsetenv("QA_EMIT");
  }
}

/* From 512 keys on, tiles going forward are wider than those going back. */
static void many_keys(void **state) {
  Rt *rt = *state;
  Random r = {33};
  Tally t = {0};
  int threads = rt->threads, n = getenv("QA_LONG") ? 200 : 16;
#ifdef __SANITIZE_ADDRESS__
  n = 4;
#endif
  memset(covered, 0, sizeof covered);
  for (int k = 0; k < n; k++) {
    Case c;
    choose(&r, &c, 0, MAX_WORK);
    c.B = 1;
    c.nq = c.nq < 5 ? 70 : c.nq < 100 ? c.nq : 100;
    c.nk = k % 2 ? 512 : 601;
    fill(&c, 7000 + (uint64_t)k);
    check_case(rt, &t, &c, &r);
    drop(&c);
  }
  rt->threads = threads;
  assert_int_equal(t.failed, 0);
}

/* Passes large enough to be cut up: the same bits on 1, 2 and 5 threads. */
static void any_number_of_threads(void **state) {
  Rt *rt = *state;
  Random r = {21};
  Tally t = {0};
  int threads = rt->threads, n = getenv("QA_LONG") ? 200 : 40;
#ifdef __SANITIZE_ADDRESS__
  n = 10;
#endif
  memset(covered, 0, sizeof covered);
  for (int k = 0; k < n; k++) {
    Case c;
    choose(&r, &c, THREADS_WORK, 6 * THREADS_WORK);
    fill(&c, 5000 + (uint64_t)k);
    int64_t size = (int64_t)c.B * c.Hq * c.nq * c.e;
    real *seed = malloc((size_t)size * sizeof *seed);
    for (int64_t a = 0; a < size; a++) seed[a] = gauss(&r);
    AttnSpec *s = build(rt, &c);
    for (int dt = DT_F32; dt <= DT_F64; dt++) {
      Result one, more;
      rt->threads = 1;
      if (!run_case(rt, &c, s, (DType)dt, seed, &one)) fail_msg("%s", rt->error.message);
      for (int m = 2; m <= 5; m += 3) {
        rt->threads = m;
        if (!run_case(rt, &c, s, (DType)dt, seed, &more)) fail_msg("%s", rt->error.message);
        same_bits(&t, &c, &one, &more);
        result_drop(rt, &more);
      }
      result_drop(rt, &one);
    }
    attn_spec_unref(rt, s);
    free(seed);
    drop(&c);
  }
  rt->threads = threads;
  assert_int_equal(t.failed, 0);
}

static int open_rt(void **state) { return (*state = rt_open()) ? 0 : -1; }
static int close_rt(void **state) {
  Rt *rt = *state;
  size_t left = rt->bytes;
  rt_close(rt);
  return left ? -1 : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(covering_sample),
                                      cmocka_unit_test(other_processors),
                                      cmocka_unit_test(many_keys),
                                      cmocka_unit_test(any_number_of_threads)};
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
