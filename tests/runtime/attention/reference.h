/* reference.h: attention written out for the tests, independent of the runtime:
 * n x n matrices, every sum and function in long double.
 *
 * A case composes score x weight x normaliser x mask x bias.  Forward: p from
 * the row's weights and its divisor, out = p v.  Backward: the textbook
 * gradients, dw = (dp - D dphi/dw) / phi with D = sum p dp, then the chain rule
 * through weight, score and vector products.
 *
 * Rows whose result hangs on a comparison that rounding may decide otherwise
 * (a tie of a selection, a kink) are marked; tests take them out of the loss.  */
#ifndef ATTENTION_REFERENCE_H
#define ATTENTION_REFERENCE_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef long double real;

#define SCORES X(DOT) X(SCALED) X(SOFTCAP) X(COS) X(DIST2) X(L1) X(MEHLER) X(VECTORS)
#define WEIGHTS X(EXP) X(SIGMOID) X(RELU) X(RELU2) X(LORENTZ) X(POWER) X(GAUSS) X(EXP_WELL) \
  X(TANH_WELL) X(RATIONAL_WELL) X(FIDELITY) X(LINEAR)
#define NORMS X(SUM) X(SUM_EPS) X(NONE) X(LENGTH) X(MAX) X(L2) X(EXPRESSION) X(SPARSEMAX) X(ENTMAX)
#define MASKS X(ALL) X(CAUSAL) X(WINDOW) X(BLOCK) X(PREFIX) X(KEEP_KEY) X(DOCUMENT) X(HEAD_KEY) \
  X(HEAD_WINDOW) X(ROWS) X(NEVER) X(CLOSED)
#define BIASES X(NO_BIAS) X(SCALAR) X(PER_HEAD) X(PER_ROW) X(PER_KEY) X(HEAD_KEY_BIAS) X(FULL) \
  X(RELATIVE) X(BUCKET) X(SLOPE)
#define DATAS X(NORMAL) X(SHARP) X(TIED) X(OFFSET) X(TINY_VALUES)
#define X(n) SC_##n,
enum { SCORES N_SCORE };
#undef X
#define X(n) W_##n,
enum { WEIGHTS N_WEIGHT };
#undef X
#define X(n) NO_##n,
enum { NORMS N_NORM };
#undef X
#define X(n) M_##n,
enum { MASKS N_MASK };
#undef X
#define X(n) B_##n,
enum { BIASES N_BIAS };
#undef X
#define X(n) D_##n,
enum { DATAS N_DATA };
#undef X
#define X(n) #n,
static const char *const score_name[] = {SCORES}, *const weight_name[] = {WEIGHTS},
  *const norm_name[] = {NORMS}, *const mask_name[] = {MASKS}, *const bias_name[] = {BIASES},
  *const data_name[] = {DATAS};
#undef X

/* Captured tensors: C of the score, G and N of the weight, the bias, vectors
 * u (d) and w (heads, d), eps, alpha; then bool and integer ones for masks.   */
enum { S_C, S_G, S_N, S_BIAS, S_U, S_W, S_EPS, S_ALPHA, S_FLOATS,
       S_KEY = S_FLOATS, S_DOC, S_HEAD, S_ROW, S_BUCKET, N_SLOT };
enum { RELATIVE_HALF = 40, BUCKETS = 6 };

typedef struct {
  int B, Hq, Hk, nq, nk, d, e, rank;
  int score, weight, norm, mask, bias, data, top, layout;
  double dropout;
  real *q, *k, *v, *slot[N_SLOT];   /* row-major                               */
  int64_t size[3 + N_SLOT];
  real *keep;                       /* factors of dropout (B Hq nq nk), or NULL */
  uint8_t *doubtful;                /* per row (B Hq nq)                        */
} Case;

static bool is_log(int w) {
  return w == W_EXP || w == W_GAUSS || w == W_EXP_WELL || w == W_TANH_WELL || w == W_RATIONAL_WELL;
}

/* ---- one pair ---------------------------------------------------------------- */

/* Value of the log-weight or weight, its slope in the score x, and the slopes of
 * x in the vector products; terms: the size of what x is a sum of.             */
typedef struct {
  real x, out, slope, terms;
  real dot, dist2, l1, qq, kk, uk, wq, uq;   /* dx / d product */
} Pair;

static void score(const Case *c, const real *q, const real *k, int h, Pair *p) {
  real dot = 0, dist = 0, l1 = 0, qq = 0, kk = 0, uk = 0, wq = 0, uq = 0;
  const real *u = c->slot[S_U], *w = c->slot[S_W] + h * c->d, C = c->slot[S_C][0];
  real root = sqrtl(c->d);
  for (int x = 0; x < c->d; x++) {
    real delta = q[x] - k[x];
    dot += q[x] * k[x];
    dist += delta * delta;
    l1 += fabsl(delta);
    qq += q[x] * q[x];
    kk += k[x] * k[x];
    if (c->score != SC_VECTORS) continue;
    uk += u[x] * k[x];
    wq += w[x] * q[x];
    uq += (u[x] - q[x]) * (u[x] - q[x]);
  }
  *p = (Pair){0};
  p->terms = sqrtl(qq * kk);
  switch (c->score) {
  case SC_DOT: p->x = dot; p->dot = 1; break;
  case SC_SCALED: p->x = dot / root; p->dot = 1 / root; p->terms /= root; break;
  case SC_SOFTCAP: {
    real t = tanhl(dot / root / C);
    p->x = C * t;
    p->dot = (1 - t * t) / root;
    p->terms /= root;   /* the slope changes with all of it */
    break;
  }
  case SC_COS:
    p->terms = C;
    if (qq == 0 || kk == 0) break;
    p->x = C * dot / sqrtl(qq * kk);
    p->dot = C / sqrtl(qq * kk);
    p->qq = -p->x / (2 * qq);
    p->kk = -p->x / (2 * kk);
    break;
  case SC_DIST2: p->x = p->terms = dist; p->dist2 = 1; break;
  case SC_L1: p->x = l1; p->terms = l1 * (1 + c->d / 64.0L); p->l1 = 1; break;
  case SC_MEHLER: {
    real t = tanhl(C / 2);
    p->x = -(dist / t + (qq + kk + 2 * dot) * t) / 4;
    p->dist2 = -1 / (4 * t);
    p->qq = p->kk = -t / 4;
    p->dot = -t / 2;
    p->terms = (dist / t + (qq + kk + 2 * fabsl(dot)) * t) / 4;
    break;
  }
  default:
    p->x = dot / root + uk + 0.25L * wq - 0.125L * uq;
    p->dot = 1 / root;
    p->uk = 1;
    p->wq = 0.25L;
    p->uq = -0.125L;
    p->terms = p->terms / root + fabsl(uk) + fabsl(wq) / 4 + uq / 8;
  }
}

/* Where the bias of a pair stands, and what it is multiplied with. */
static int64_t bias_at(const Case *c, int h, int r, int j, real *factor) {
  int i = r + c->nk - c->nq, at = i - j + RELATIVE_HALF;
  *factor = 1;
  switch (c->bias) {
  case B_SCALAR: return 0;
  case B_PER_HEAD: return h;
  case B_PER_ROW: return r;
  case B_PER_KEY: return j;
  case B_HEAD_KEY_BIAS: return h * c->nk + j;
  case B_FULL: return ((int64_t)h * c->nq + r) * c->nk + j;
  case B_RELATIVE: return at < 0 ? 0 : at >= 2 * RELATIVE_HALF ? 2 * RELATIVE_HALF - 1 : at;
  case B_BUCKET: return (int64_t)c->slot[S_BUCKET][r * c->nk + j];
  case B_SLOPE: *factor = -0.0625L * abs(i - j); return h;
  default: *factor = 0; return 0;
  }
}

static void weigh(const Case *c, Pair *p) {
  real x = p->x, g = c->slot[S_G][0], n = c->slot[S_N][0], y;
  switch (c->weight) {
  case W_EXP:
    p->slope = c->score == SC_DIST2 || c->score == SC_L1 ? -g : 1;
    p->out = p->slope * x;
    break;
  case W_SIGMOID:
    p->out = 1 / (1 + expl(-(x - logl(c->nk))));
    p->slope = p->out * (1 - p->out);
    break;
  case W_RELU: p->out = x > 0 ? x : 0; p->slope = x > 0; break;
  case W_RELU2: p->out = x > 0 ? x * x : 0; p->slope = x > 0 ? 2 * x : 0; break;
  case W_LORENTZ:
    p->out = 1 / (1 + x * x / (g * g));
    p->slope = -2 * x * p->out * p->out / (g * g);
    break;
  case W_POWER:
    y = 1 + x * x / (g * g);
    p->out = powl(y, -n);
    p->slope = -2 * n * x / (g * g) * p->out / y;
    break;
  case W_GAUSS: p->out = -g * x * x / 2; p->slope = -g * x; break;
  case W_EXP_WELL:
    p->out = expm1l(-x * x / 2) / g;
    p->slope = -x * expl(-x * x / 2) / g;
    break;
  case W_TANH_WELL:
    y = tanhl(x * x / 2);
    p->out = -y / g;
    p->slope = -x * (1 - y * y) / g;
    break;
  case W_RATIONAL_WELL:
    p->out = -x * x / (1 + x * x) / g;
    p->slope = -2 * x / ((1 + x * x) * (1 + x * x)) / g;
    break;
  case W_FIDELITY: p->out = g * x * x; p->slope = 2 * g * x; break;
  default: p->out = x; p->slope = 1;
  }
}

static const real *query(const Case *c, int b, int h, int r) {
  return c->q + (((int64_t)b * c->Hq + h) * c->nq + r) * c->d;
}
static int64_t key_row(const Case *c, int b, int h, int j) {
  return ((int64_t)b * c->Hk + h / (c->Hq / c->Hk)) * c->nk + j;
}

static void pair(const Case *c, int b, int h, int r, int j, Pair *p) {
  real factor;
  score(c, query(c, b, h, r), c->k + key_row(c, b, h, j) * c->d, h, p);
  int64_t at = bias_at(c, h, r, j, &factor);
  if (factor != 0) {
    p->x += factor * c->slot[S_BIAS][at];
    p->terms += fabsl(factor * c->slot[S_BIAS][at]);
  }
  weigh(c, p);
}

static int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

static bool sees(const Case *c, int h, int r, int j) {
  int i = r + c->nk - c->nq;
  switch (c->mask) {
  case M_CAUSAL: return j <= i;
  case M_WINDOW: return j <= i && i - j < 9;
  case M_BLOCK: return floor_div(i, 24) == floor_div(j, 24);
  case M_PREFIX: return j <= i || j < 5;
  case M_KEEP_KEY: case M_CLOSED: return c->slot[S_KEY][j] != 0;
  case M_DOCUMENT: return j <= i && c->slot[S_DOC][r < c->nk ? r : 0] == c->slot[S_DOC][j];
  case M_HEAD_KEY: return c->slot[S_HEAD][h * c->nk + j] != 0;
  case M_HEAD_WINDOW: return abs(i - j) < 4 * (h + 1);
  case M_ROWS: return c->slot[S_ROW][r] != 0;
  case M_NEVER: return false;
  default: return true;
  }
}

/* ---- one row ------------------------------------------------------------------ */

typedef struct {
  int n, best;
  int *at;                          /* keys that take part                        */
  Pair *pair;
  real *w, *p;
  real phi, sum, l2, alpha, d_sum, d_max, d_l2;   /* derivatives of phi            */
} Row;

static Row row_new(const Case *c) {
  size_t n = (size_t)c->nk + 1;
  return (Row){.at = malloc(n * sizeof(int)), .pair = malloc(n * sizeof(Pair)),
               .w = malloc(n * sizeof(real)), .p = malloc(n * sizeof(real))};
}
static void row_free(Row *r) { free(r->at); free(r->pair); free(r->w); free(r->p); }

static const real DOUBT = 2e-5L;    /* closer than this and f32 may see it otherwise */

/* Keeps the `top` largest, the first of equals. */
static bool keep_top(Row *row, int top) {
  bool doubt = false;
  while (row->n > top) {
    int low = 0;
    real next = INFINITY;
    for (int a = 1; a < row->n; a++) if (row->pair[a].out <= row->pair[low].out) low = a;
    for (int a = 0; a < row->n; a++)
      if (a != low) next = fminl(next, row->pair[a].out - row->pair[low].out);
    if (row->n == top + 1) doubt = next < DOUBT * (1 + fabsl(row->pair[low].out));
    for (int a = low + 1; a < row->n; a++) {
      row->at[a - 1] = row->at[a];
      row->pair[a - 1] = row->pair[a];
    }
    row->n--;
  }
  return doubt;
}

/* tau with sum max(z - tau, 0)^power = 1. */
static real threshold(int n, const real *z, real power) {
  real top = -INFINITY, lo, hi;
  for (int j = 0; j < n; j++) top = fmaxl(top, z[j]);
  lo = top - 1;
  hi = top;
  for (int it = 0; it < 90; it++) {
    real t = (lo + hi) / 2, s = 0;
    for (int j = 0; j < n; j++) if (z[j] > t) s += power == 1 ? z[j] - t : powl(z[j] - t, power);
    if (s >= 1) lo = t;
    else hi = t;
  }
  return (lo + hi) / 2;
}

static bool threshold_row(const Case *c, Row *row) {
  real top = -INFINITY, alpha = c->norm == NO_SPARSEMAX ? 2 : c->slot[S_ALPHA][0];
  bool doubt = false;
  for (int a = 0; a < row->n; a++) top = fmaxl(top, row->pair[a].out);
  for (int a = 0; a < row->n; a++) row->w[a] = (alpha - 1) * (row->pair[a].out - top);
  real tau = threshold(row->n, row->w, 1 / (alpha - 1));
  for (int a = 0; a < row->n; a++) {
    doubt |= fabsl(row->w[a] - tau) < DOUBT * (1 + fabsl(top));
    row->p[a] = row->w[a] > tau ? powl(row->w[a] - tau, 1 / (alpha - 1)) : 0;
  }
  row->alpha = alpha;
  return doubt;
}

static bool phi_row(const Case *c, Row *row) {
  real max = -INFINITY, second = -INFINITY, eps = c->slot[S_EPS][0], size = 0, rough = 0;
  row->sum = row->l2 = 0;
  row->best = -1;
  bool doubt = false;
  for (int a = 0; a < row->n; a++) {
    real x = row->pair[a].out, w = is_log(c->weight) ? expl(x) : x;
    row->w[a] = w;
    row->sum += w;
    row->l2 += w * w;
    size = fmaxl(size, fabsl(w));
    rough = fmaxl(rough, fabsl(row->pair[a].slope) * row->pair[a].terms);
    if (w > max) { second = max; max = w; row->best = a; }
    else second = fmaxl(second, w);
    if (c->weight == W_RELU || c->weight == W_RELU2)
      doubt |= fabsl(row->pair[a].x) < DOUBT;
  }
  row->l2 = sqrtl(row->l2);
  row->d_sum = c->norm == NO_SUM || c->norm == NO_SUM_EPS;
  row->d_max = c->norm == NO_MAX;
  row->d_l2 = c->norm == NO_L2 ? 1 : c->norm == NO_EXPRESSION ? 0.25L : 0;
  real phi[] = {row->sum, row->sum + eps, 1, row->n, max, row->l2, c->nk / eps + row->l2 / 4};
  row->phi = phi[c->norm];
  if (c->norm == NO_MAX) doubt |= max - second < DOUBT * fabsl(max);
  bool small = c->norm == NO_SUM || c->norm == NO_MAX || c->norm == NO_L2;
  if (small && !is_log(c->weight)) doubt |= rough > 32 * size && size != 0;
  for (int a = 0; a < row->n; a++) row->p[a] = row->phi == 0 ? 0 : row->w[a] / row->phi;
  return doubt;
}

/* p of a row; false: it is doubtful. */
static bool ref_row(const Case *c, int b, int h, int r, Row *row) {
  row->n = 0;
  for (int j = 0; j < c->nk; j++)
    if (sees(c, h, r, j)) {
      pair(c, b, h, r, j, &row->pair[row->n]);
      row->at[row->n++] = j;
    }
  bool doubt = c->top ? keep_top(row, c->top) : false;
  if (row->n == 0) return true;
  return !((c->norm >= NO_SPARSEMAX ? threshold_row(c, row) : phi_row(c, row)) || doubt);
}

static real kept(const Case *c, int64_t row, int j) {
  return c->keep ? c->keep[row * c->nk + j] : 1;
}

/* out (B, Hq, nq, e); marks doubtful rows when `mark`. */
static void ref_forward(const Case *c, real *out, bool mark) {
  Row row = row_new(c);
  for (int b = 0; b < c->B; b++) for (int h = 0; h < c->Hq; h++) for (int r = 0; r < c->nq; r++) {
    int64_t at = ((int64_t)b * c->Hq + h) * c->nq + r;
    bool sure = ref_row(c, b, h, r, &row);
    if (mark) c->doubtful[at] = !sure;
    for (int x = 0; x < c->e; x++) out[at * c->e + x] = 0;
    for (int a = 0; a < row.n; a++) {
      real p = row.p[a] * kept(c, at, row.at[a]);
      const real *v = c->v + key_row(c, b, h, row.at[a]) * c->e;
      for (int x = 0; x < c->e; x++) out[at * c->e + x] += p * v[x];
    }
  }
  row_free(&row);
}

/* ---- backward ------------------------------------------------------------------- */

/* Gradients and, in `_size`, the same sums of absolute values: what rounding is
 * relative to where terms cancel.   Slopes below FLAT count as FLAT there: a well
 * that is flat to rounding has no slope to speak of.                          */
static const real FLAT = 3e-2L;
typedef struct {
  real *q, *k, *v, *bias, *q_size, *k_size, *v_size, *bias_size;
  real total;                       /* of |d weight| |weight|: for parameters    */
} Grads;

static void push_vectors(const Case *c, const Pair *p, real dx, real size, int b, int h, int r,
                         int j, Grads *g) {
  const real *q = query(c, b, h, r), *k = c->k + key_row(c, b, h, j) * c->d;
  const real *u = c->slot[S_U], *w = c->slot[S_W] + h * c->d;
  int64_t qa = q - c->q, ka = k - c->k;
  real from = c->data == D_OFFSET ? 100 : 0;
  for (int x = 0; x < c->d; x++) {
    real delta = q[x] - k[x], sign = (delta > 0) - (delta < 0);
    real dq = p->dot * k[x] + p->dist2 * 2 * delta + p->l1 * sign + p->qq * 2 * q[x] +
              p->wq * w[x] + p->uq * 2 * (q[x] - u[x]);
    real dk = p->dot * q[x] - p->dist2 * 2 * delta - p->l1 * sign + p->kk * 2 * k[x] +
              p->uk * u[x];
    real flat = c->score == SC_SOFTCAP ? FLAT / sqrtl(c->d) : 0;
    real slope = fmaxl(fabsl(p->dot), flat);
    real away = fabsl(delta) + (fabsl(q[x] - from) + fabsl(k[x] - from)) / 8;
    real q1 = slope * fabsl(k[x]) + fabsl(p->dist2 * 2 * away) + fabsl(p->qq * 2 * q[x]);
    real k1 = slope * fabsl(q[x]) + fabsl(p->dist2 * 2 * away) + fabsl(p->kk * 2 * k[x]);
    g->q[qa + x] += dx * dq;
    g->k[ka + x] += dx * dk;
    g->q_size[qa + x] += size * fmaxl(q1, fabsl(dq));
    g->k_size[ka + x] += size * fmaxl(k1, fabsl(dk));
  }
}

/* du (log weights) or dw of every pair of the row, from dp; `size` comes with the sums of
 * absolute values behind dp and leaves with those behind du.                       */
static void row_back(const Case *c, const Row *row, const real *dp, real *du, real *size) {
  if (c->norm >= NO_SPARSEMAX) {
    real sum = 0, dot = 0, dot_size = 0;
    for (int a = 0; a < row->n; a++) {
      real s = row->p[a] > 0 ? powl(row->p[a], 2 - row->alpha) : 0;
      sum += s;
      dot += s * dp[a];
      dot_size += s * size[a];
      du[a] = s;
    }
    for (int a = 0; a < row->n; a++) {
      size[a] = du[a] * (size[a] + dot_size / sum);
      du[a] *= dp[a] - dot / sum;
    }
    return;
  }
  real D = 0, D_size = 0;
  for (int a = 0; a < row->n; a++) {
    D += row->p[a] * dp[a];
    D_size += fabsl(row->p[a]) * size[a];
  }
  for (int a = 0; a < row->n; a++) {
    real slope = row->d_sum + (a == row->best ? row->d_max : 0) +
                 (row->l2 > 0 ? row->d_l2 * row->w[a] / row->l2 : 0);
    real f = row->phi == 0 ? 0 : (is_log(c->weight) ? row->w[a] : 1) / row->phi;
    du[a] = (dp[a] - D * slope) * f;
    size[a] = (size[a] + fabsl(D_size * slope)) * fabsl(f);
  }
}

/* Adds the gradients of sum(grad * out). */
static void ref_backward(const Case *c, const real *grad, Grads *g) {
  Row row = row_new(c);
  size_t n = (size_t)c->nk + 1;
  real *dp = malloc(n * sizeof *dp), *du = malloc(n * sizeof *du), *size = malloc(n * sizeof *size);
  for (int b = 0; b < c->B; b++) for (int h = 0; h < c->Hq; h++) for (int r = 0; r < c->nq; r++) {
    int64_t at = ((int64_t)b * c->Hq + h) * c->nq + r;
    const real *o = grad + at * c->e;
    ref_row(c, b, h, r, &row);
    if (row.n == 0) continue;
    for (int a = 0; a < row.n; a++) {
      int64_t va = key_row(c, b, h, row.at[a]) * c->e;
      real keep = kept(c, at, row.at[a]);
      dp[a] = size[a] = 0;
      for (int x = 0; x < c->e; x++) {
        dp[a] += o[x] * c->v[va + x] * keep;
        size[a] += fabsl(o[x] * c->v[va + x] * keep);
        g->v[va + x] += row.p[a] * keep * o[x];
        g->v_size[va + x] += fabsl(row.p[a] * keep * o[x]);
      }
    }
    row_back(c, &row, dp, du, size);
    for (int a = 0; a < row.n; a++) {
      const Pair *p = &row.pair[a];
      real factor, dx = du[a] * p->slope;
      real absolute = fabsl(size[a]) * fmaxl(fabsl(p->slope), FLAT * (1 + fabsl(p->x)));
      int64_t bias = bias_at(c, h, r, row.at[a], &factor);
      g->total += fabsl(size[a]) * fmaxl(fabsl(p->out), FLAT);
      if (factor != 0) {
        g->bias[bias] += dx * factor;
        g->bias_size[bias] += fabsl(absolute * factor);
      }
      push_vectors(c, p, dx, absolute, b, h, r, row.at[a], g);
    }
  }
  free(dp);
  free(du);
  free(size);
  row_free(&row);
}
#endif
