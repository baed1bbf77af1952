/* Attention against a plain n x n reference in double precision: every
 * variant x normaliser x mask, forward and gradients (directional central
 * differences of the reference), golden values, threads, edge shapes.       */
#include "runtime/attention/attention.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- the reference ------------------------------------------------------------- */

typedef enum { SOFTMAX, GAUSS, LORENTZ, SIGMOID, RELU2, COSINE, L1W, MEHLER, ALIBI, VECTORS,
               OVERLAP, SOFTCAP, BIAS, LINEAR, N_VARIANT } Variant;
typedef enum { NONE, SUM, SUM_EPS, LENGTH, MAX, L2, EXPR, SPARSE, ENTMAX, N_NORM } Norm;
typedef enum { ALL, CAUSAL, WINDOW, DOCUMENT, DILATED, N_MASK } Mask;
enum { S_GAMMA, S_SLOPE, S_TABLE, S_U, S_W, S_BIAS, S_DOC, S_EPS, S_ALPHA, N_SLOT };
static const char *const variant_name[] = {"softmax", "gauss", "lorentz", "sigmoid", "relu2",
  "cosine", "l1", "mehler", "alibi", "vectors", "overlap", "softcap", "bias", "linear"};
static const char *const norm_name[] = {"none", "sum", "sum+eps", "length", "max", "l2", "expr",
  "sparsemax", "entmax"};
static const char *const mask_name[] = {"all", "causal", "window", "document", "dilated"};

typedef struct {
  int B, Hq, Hk, nq, nk, d, e, top;
  Variant variant;
  Norm norm;
  Mask mask;
  double *q, *k, *v, *slot[N_SLOT];   /* row-major */
  int64_t size[3 + N_SLOT];
} Case;
#define CASE(...) {__VA_ARGS__, .q = NULL}

static bool is_log(Variant v) {
  return v != LORENTZ && v != SIGMOID && v != RELU2 && v != OVERLAP && v != LINEAR;
}

/* log-weight or weight of a pair */
static double pair(const Case *c, int b, int h, int r, int j) {
  const double *q = c->q + ((b * c->Hq + h) * c->nq + r) * c->d;
  const double *k = c->k + ((b * c->Hk + h / (c->Hq / c->Hk)) * c->nk + j) * c->d;
  double dot = 0, dist = 0, l1 = 0, qq = 0, kk = 0, uk = 0, wq = 0, uq = 0;
  for (int x = 0; x < c->d; x++) {
    dot += q[x] * k[x];
    dist += (q[x] - k[x]) * (q[x] - k[x]);
    l1 += fabs(q[x] - k[x]);
    qq += q[x] * q[x];
    kk += k[x] * k[x];
    uk += c->slot[S_U][x] * k[x];
    uq += (c->slot[S_U][x] - q[x]) * (c->slot[S_U][x] - q[x]);
    wq += c->slot[S_W][h * c->d + x] * q[x];
  }
  double g = c->slot[S_GAMMA][0], s = dot / sqrt(c->d), cs = dot / sqrt(qq * kk);
  int i = r + c->nk - c->nq, at = i - j + 20;
  at = at < 0 ? 0 : at > 39 ? 39 : at;
  switch (c->variant) {
  case SOFTMAX: return s;
  case GAUSS: return -g * dist;
  case LORENTZ: return 1 / (1 + dist / (g * g));
  case SIGMOID: return 1 / (1 + exp(-(s - log(c->nk))));
  case RELU2: return s > 0 ? s * s : 0;
  case COSINE: return -g * (1 - cs);
  case L1W: return -g * l1;
  case MEHLER: return -0.25 * (dist / tanh(g / 2) + (qq + kk + 2 * dot) * tanh(g / 2));
  case ALIBI: return s - c->slot[S_SLOPE][h] * (i - j) + c->slot[S_TABLE][at];
  case VECTORS: return s + uk + 0.3 * wq - 0.1 * uq;
  case OVERLAP: return g * cs * cs;
  case SOFTCAP: return g * tanh(s / g);
  case BIAS: return s + c->slot[S_BIAS][(h * c->nq + r) * c->nk + j];
  default: return s;
  }
}

static bool sees(const Case *c, int r, int j) {
  int i = r + c->nk - c->nq;
  switch (c->mask) {
  case CAUSAL: return j <= i;
  case WINDOW: return j <= i && i - j < 9;
  case DOCUMENT: return i >= 0 && c->slot[S_DOC][i] == c->slot[S_DOC][j];
  case DILATED: return j % 7 == 3 && j != i;
  default: return true;
  }
}

static double threshold(int n, const double *z, double power) { /* sum max(z - tau, 0)^power = 1 */
  double lo = INFINITY, hi = -INFINITY;
  for (int j = 0; j < n; j++) { lo = fmin(lo, z[j] - 1); hi = fmax(hi, z[j]); }
  for (int it = 0; it < 200; it++) {
    double t = 0.5 * (lo + hi), s = 0;
    for (int j = 0; j < n; j++) if (z[j] > t) s += pow(z[j] - t, power);
    if (s >= 1) lo = t; else hi = t;
  }
  return 0.5 * (lo + hi);
}

/* One row of p: n_k numbers. */
static void ref_row(const Case *c, int b, int h, int r, double *p) {
  int *open = malloc((size_t)c->nk * sizeof *open), n = 0;
  double *x = malloc((size_t)c->nk * sizeof *x), top = -INFINITY, sum = 0, l2 = 0, mx = -INFINITY;
  for (int j = 0; j < c->nk; j++) {
    p[j] = 0;
    if (sees(c, r, j)) {
      open[n] = j;
      x[n++] = pair(c, b, h, r, j);
    }
  }
  if (c->top && c->top < n) { /* repeated selection of the largest, lowest index first */
    int *kept = calloc((size_t)n, sizeof *kept), m = 0;
    for (int t = 0; t < c->top; t++) {
      int best = -1;
      for (int a = 0; a < n; a++) if (!kept[a] && (best < 0 || x[a] > x[best])) best = a;
      kept[best] = 1;
    }
    for (int a = 0; a < n; a++) if (kept[a]) { open[m] = open[a]; x[m++] = x[a]; }
    n = m;
    free(kept);
  }
  for (int a = 0; a < n; a++) top = fmax(top, x[a]);
  if (n && (c->norm == SPARSE || c->norm == ENTMAX)) {
    double alpha = c->norm == SPARSE ? 2 : c->slot[S_ALPHA][0];
    for (int a = 0; a < n; a++) x[a] = (alpha - 1) * (x[a] - top);
    double tau = threshold(n, x, 1 / (alpha - 1));
    for (int a = 0; a < n; a++) p[open[a]] = x[a] > tau ? pow(x[a] - tau, 1 / (alpha - 1)) : 0;
  } else if (n) {
    for (int a = 0; a < n; a++) {
      if (is_log(c->variant)) x[a] = exp(x[a]);
      sum += x[a];
      l2 += x[a] * x[a];
      mx = fmax(mx, x[a]);
    }
    double eps = c->slot[S_EPS][0];
    double phi[] = {1, sum, sum + eps, n, mx, sqrt(l2), c->nk / eps + 0.3 * sqrt(l2)};
    for (int a = 0; a < n; a++) p[open[a]] = phi[c->norm] == 0 ? 0 : x[a] / phi[c->norm];
  }
  free(open);
  free(x);
}

static void ref_out(const Case *c, double *out) {
  double *p = malloc((size_t)c->nk * sizeof *p);
  for (int b = 0; b < c->B; b++) for (int h = 0; h < c->Hq; h++) for (int r = 0; r < c->nq; r++) {
    double *o = out + ((b * c->Hq + h) * c->nq + r) * c->e;
    const double *v = c->v + (b * c->Hk + h / (c->Hq / c->Hk)) * c->nk * c->e;
    ref_row(c, b, h, r, p);
    for (int x = 0; x < c->e; x++) {
      o[x] = 0;
      for (int j = 0; j < c->nk; j++) o[x] += p[j] * v[j * c->e + x];
    }
  }
  free(p);
}

/* ---- the same variant as a spec ------------------------------------------------------ */

static AttnSpec *build(Rt *rt, const Case *c) {
  AttnSpec *s = attn_spec_new(rt, variant_name[c->variant]);
  Prog *p = &s->prog;
  static const char *const names[] = {"gamma", "slope", "table", "u",    "w",
                                      "bias",  "doc",   "eps",   "alpha"};
  for (int k = 0; k < N_SLOT; k++)
    prog_add_slot(p, names[k], k == S_GAMMA || k == S_EPS ? 0 : -INFINITY, INFINITY);
#define U(op, a) prog_unary(p, op, a)
#define B2(op, a, b) prog_binary(p, op, a, b)
#define C(x) prog_const(p, x)
  int i = prog_var(p, AV_I), j = prog_var(p, AV_J), h = prog_var(p, AV_H), nk = prog_var(p, AV_NK);
  int nq = prog_var(p, AV_NQ), d = prog_var(p, AV_D), gamma = prog_load(p, S_GAMMA, 0, NULL);
  int dot = attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0), sd = B2(PO_DIV, dot, U(PO_SQRT, d));
  int dist = attn_product(s, ATTN_DIST2, ATTN_Q, 0, ATTN_K, 0);
  int cs = attn_cos(s, ATTN_Q, 0, ATTN_K, 0), dij = B2(PO_SUB, i, j);
  int row = B2(PO_SUB, i, B2(PO_SUB, nk, nq));
  switch (c->variant) {
  case SOFTMAX: attn_set_score(s, sd); break;
  case GAUSS: attn_set_weight(s, U(PO_EXP, U(PO_NEG, B2(PO_MUL, gamma, dist)))); break;
  case LORENTZ:
    attn_set_weight(s,
                    B2(PO_DIV, C(1), B2(PO_ADD, C(1), B2(PO_DIV, dist, B2(PO_POW, gamma, C(2))))));
    break;
  case SIGMOID:
    attn_set_weight(
        s, B2(PO_DIV, C(1), B2(PO_ADD, C(1), U(PO_EXP, U(PO_NEG, B2(PO_SUB, sd, U(PO_LOG, nk)))))));
    break;
  case RELU2: attn_set_weight(s, B2(PO_POW, U(PO_RELU, sd), C(2))); break;
  case COSINE:
    attn_set_weight(s, U(PO_EXP, B2(PO_MUL, U(PO_NEG, gamma), B2(PO_SUB, C(1), cs))));
    break;
  case L1W:
    attn_set_score(s, U(PO_NEG, B2(PO_MUL, gamma, attn_product(s, ATTN_L1, ATTN_Q, 0, ATTN_K, 0))));
    break;
  case MEHLER: {
    int t = U(PO_TANH, B2(PO_DIV, gamma, C(2)));
    int plus = B2(PO_ADD,
                  B2(PO_ADD, attn_product(s, ATTN_NORM2, ATTN_Q, 0, ATTN_Q, 0),
                     attn_product(s, ATTN_NORM2, ATTN_K, 0, ATTN_K, 0)),
                  B2(PO_MUL, C(2), dot));
    attn_set_weight(
        s, U(PO_EXP, B2(PO_MUL, C(-0.25), B2(PO_ADD, B2(PO_DIV, dist, t), B2(PO_MUL, plus, t)))));
    break;
  }
  case ALIBI: {
    int at = B2(PO_MIN, B2(PO_MAX, B2(PO_ADD, dij, C(20)), C(0)), C(39));
    attn_set_score(s, B2(PO_ADD, B2(PO_SUB, sd, B2(PO_MUL, prog_load(p, S_SLOPE, 1, &h), dij)),
                         prog_load(p, S_TABLE, 1, &at)));
    break;
  }
  case VECTORS: {
    int uk = attn_product(s, ATTN_DOT, ATTN_K, 0, ATTN_VEC, S_U),
        wq = attn_product(s, ATTN_DOT, ATTN_VEC, S_W, ATTN_Q, 0);
    int uq = attn_product(s, ATTN_DIST2, ATTN_VEC, S_U, ATTN_Q, 0);
    attn_set_score(s, B2(PO_SUB, B2(PO_ADD, B2(PO_ADD, sd, uk), B2(PO_MUL, C(0.3), wq)),
                         B2(PO_MUL, C(0.1), uq)));
    break;
  }
  case OVERLAP: attn_set_weight(s, B2(PO_MUL, gamma, B2(PO_MUL, cs, cs))); break;
  case SOFTCAP: attn_set_score(s, B2(PO_MUL, gamma, U(PO_TANH, B2(PO_DIV, sd, gamma)))); break;
  case BIAS: attn_set_score(s, B2(PO_ADD, sd, prog_load(p, S_BIAS, 3, (int[]){h, row, j}))); break;
  default: attn_set_weight(s, sd);
  }
  int eps = prog_load(p, S_EPS, 0, NULL), sum = prog_var(p, AV_SUM), l2 = prog_var(p, AV_L2);
  int phi[] = {C(1), sum, B2(PO_ADD, sum, eps), prog_var(p, AV_COUNT), prog_var(p, AV_MAX), l2,
               B2(PO_ADD, B2(PO_DIV, nk, eps), B2(PO_MUL, C(0.3), l2))};
  if (c->norm < SPARSE) s->phi = phi[c->norm];
  s->norm = c->norm == SPARSE   ? ATTN_NORM_SPARSEMAX
            : c->norm == ENTMAX ? ATTN_NORM_ENTMAX
                                : ATTN_NORM_PHI;
  if (c->norm == ENTMAX) s->alpha = prog_load(p, S_ALPHA, 0, NULL);
  int causal = B2(PO_LE, j, i);
  switch (c->mask) {
  case CAUSAL: s->mask = causal; break;
  case WINDOW: s->mask = B2(PO_AND, causal, B2(PO_LT, dij, C(9))); break;
  case DOCUMENT:
    s->mask = B2(PO_AND, B2(PO_GE, i, C(0)),
                 B2(PO_EQ, prog_load(p, S_DOC, 1, &i), prog_load(p, S_DOC, 1, &j)));
    break;
  case DILATED: s->mask = B2(PO_AND, B2(PO_EQ, B2(PO_MOD, j, C(7)), C(3)), B2(PO_NE, j, i)); break;
  default: break;
  }
  if (c->top) { s->select = ATTN_TOP; s->top = C(c->top); }
  return s;
}

/* ---- data ---------------------------------------------------------------------------------- */

typedef struct { uint64_t s; } Random;
static double next(Random *r) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (double)(r->s >> 11) / 9007199254740992.0;
}
static double gauss(Random *r) { return sqrt(-2 * log(next(r) + 1e-18)) * cos(2 * M_PI * next(r)); }

static double **arrays(Case *c, int k) {
  return k == 0 ? &c->q : k == 1 ? &c->k : k == 2 ? &c->v : &c->slot[k - 3];
}

static void fill(Case *c, uint64_t seed) {
  Random r = {seed};
  int64_t size[3 + N_SLOT] = {(int64_t)c->B * c->Hq * c->nq * c->d,
                              (int64_t)c->B * c->Hk * c->nk * c->d,
                              (int64_t)c->B * c->Hk * c->nk * c->e,
                              1,
                              c->Hq,
                              40,
                              c->d,
                              (int64_t)c->Hq * c->d,
                              (int64_t)c->Hq * c->nq * c->nk,
                              c->nk,
                              1,
                              1};
  memcpy(c->size, size, sizeof size);
  for (int k = 0; k < 3 + N_SLOT; k++) {
    double *x = malloc((size_t)size[k] * sizeof *x + 8);
    for (int64_t a = 0; a < size[k]; a++) x[a] = (float)(k < 3 ? gauss(&r) : 0.3 * gauss(&r));
    *arrays(c, k) = x;
  }
  c->slot[S_GAMMA][0] = 0.75;
  c->slot[S_EPS][0] = 0.875;
  c->slot[S_ALPHA][0] = 1.5;
  for (int h = 0; h < c->Hq; h++) c->slot[S_SLOPE][h] = 0.0625 * (h + 1);
  for (int j = 0; j < c->nk; j++) c->slot[S_DOC][j] = j / 11;
}

static void drop(Case *c) { for (int k = 0; k < 3 + N_SLOT; k++) free(*arrays(c, k)); }

static Tensor *tensor_of(Rt *rt, DType dt, int rank, const int64_t *shape, const double *x) {
  Tensor *t = tensor_new(rt, dt, rank, shape);
  for (int64_t a = 0; a < t->size; a++) tensor_set_f64(t, a, x[a]);
  return t;
}

typedef struct { Tensor *in[3 + N_SLOT]; AttnArgs args; } Inputs;

static void inputs(Rt *rt, const Case *c, DType dt, Inputs *x) {
  int64_t q[] = {c->B, c->Hq, c->nq, c->d}, k[] = {c->B, c->Hk, c->nk, c->d},
          v[] = {c->B, c->Hk, c->nk, c->e};
  int64_t s[N_SLOT][3] = {{0},     {c->Hq}, {40}, {c->d}, {c->Hq, c->d}, {c->Hq, c->nq, c->nk},
                          {c->nk}, {0},     {0}};
  int rank[N_SLOT] = {0, 1, 1, 1, 2, 3, 1, 0, 0};
  x->in[0] = tensor_of(rt, dt, 4, q, c->q);
  x->in[1] = tensor_of(rt, dt, 4, k, c->k);
  x->in[2] = tensor_of(rt, dt, 4, v, c->v);
  for (int a = 0; a < N_SLOT; a++)
    x->in[3 + a] = tensor_of(rt, a == S_DOC ? DT_I64 : dt, rank[a], s[a], c->slot[a]);
  x->args = (AttnArgs){x->in[0], x->in[1], x->in[2], x->in + 3, false};
}

static void inputs_drop(Rt *rt, Inputs *x) {
  for (int k = 0; k < 3 + N_SLOT; k++) tensor_unref(rt, x->in[k]);
}

/* ---- checks ------------------------------------------------------------------------------------
 */

static void label(const Case *c, char *to) {
  snprintf(to, 200, "%s, norm %s, mask %s, top %d, (%d, %d/%d, %dx%d, %d)",
           variant_name[c->variant], norm_name[c->norm], mask_name[c->mask], c->top, c->B, c->Hq,
           c->Hk, c->nq, c->nk, c->d);
}

static double normwise(const Tensor *t, const double *ref, int64_t n) {
  double worst = 0, scale = 1e-300;
  for (int64_t a = 0; a < n; a++) {
    double x = tensor_get_f64(t, a);
    if (!isfinite(x)) return INFINITY;
    worst = fmax(worst, fabs(x - ref[a]));
    scale = fmax(scale, fabs(ref[a]));
  }
  return worst / fmax(scale, 1e-30);
}

static void check_forward(Rt *rt, Case *c, AttnSpec *s) {
  int64_t n = (int64_t)c->B * c->Hq * c->nq * c->e;
  double *ref = malloc((size_t)n * sizeof *ref);
  char text[200];
  label(c, text);
  ref_out(c, ref);
  for (int k = 0; k < 2; k++) {
    DType dt = k ? DT_F32 : DT_F64;
    Inputs x;
    inputs(rt, c, dt, &x);
    Tensor *o = op_attend(rt, s, &x.args);
    if (!o) fail_msg("%s: %s", text, rt->error.message);
    double err = normwise(o, ref, n);
    /* A threshold passes the rounding of large f32 scores on undamped. */
    double bar = !k ? 1e-12 : c->norm >= SPARSE ? 4e-6 : 2e-6;
    if (!(err <= bar)) fail_msg("%s: %s differs by %g", text, dtype_name[dt], err);
    tensor_unref(rt, o);
    inputs_drop(rt, &x);
  }
  free(ref);
}

static double loss(const Case *c, const double *g, double *out) {
  int64_t n = (int64_t)c->B * c->Hq * c->nq * c->e;
  double s = 0;
  ref_out(c, out);
  for (int64_t a = 0; a < n; a++) s += g[a] * out[a];
  return s;
}

/* Gradients of sum(g * out) for every input, as tensors. */
static void gradients(Rt *rt, const Case *c, AttnSpec *s, DType dt, const double *g,
                      Tensor **grads) {
  Inputs x;
  inputs(rt, c, dt, &x);
  uint64_t mark;
  Tensor *leaf[3 + N_SLOT];
  assert_int_equal(tape_open(rt, &mark), RT_OK);
  int m = 0, which[3 + N_SLOT];
  for (int k = 0; k < 3 + N_SLOT; k++) {
    if (k == 3 + S_DOC) continue;
    Tensor *t = tape_leaf(rt, x.in[k]);
    tensor_unref(rt, x.in[k]);
    x.in[k] = t;
    leaf[m] = t;
    which[m++] = k;
  }
  x.args = (AttnArgs){x.in[0], x.in[1], x.in[2], x.in + 3, false};
  Tensor *o = op_attend(rt, s, &x.args), *got[3 + N_SLOT];
  assert_non_null(o);
  int64_t shape[] = {c->B, c->Hq, c->nq, c->e};
  Tensor *seed = tensor_of(rt, dt, 4, shape, g);
  assert_int_equal(tape_backward(rt, mark, o, seed, m, leaf, got), RT_OK);
  for (int k = 0; k < 3 + N_SLOT; k++) grads[k] = NULL;
  for (int k = 0; k < m; k++) grads[which[k]] = got[k];
  tensor_unref(rt, o);
  tensor_unref(rt, seed);
  tape_close(rt, mark);
  inputs_drop(rt, &x);
}

static void check_gradients(Rt *rt, Case *c, AttnSpec *s, Random *r) {
  int64_t n = (int64_t)c->B * c->Hq * c->nq * c->e;
  double *g = malloc((size_t)n * sizeof *g), *out = malloc((size_t)n * sizeof *out);
  char text[200];
  label(c, text);
  for (int64_t a = 0; a < n; a++) g[a] = (float)gauss(r);
  Tensor *grad[3 + N_SLOT], *single[3 + N_SLOT];
  gradients(rt, c, s, DT_F64, g, grad);
  gradients(rt, c, s, DT_F32, g, single);
  for (int k = 0; k < 3 + N_SLOT; k++) {
    if (k == 3 + S_DOC) continue;
    double *x = *arrays(c, k), *dir = malloc((size_t)c->size[k] * sizeof *dir),
           *keep = malloc((size_t)c->size[k] * sizeof *keep);
    double along = 0, scale = 0, hstep = 2e-5;
    for (int64_t a = 0; a < c->size[k]; a++) {
      dir[a] = gauss(r) / sqrt((double)c->size[k]);
      keep[a] = x[a];
      double y = tensor_get_f64(grad[k], a);
      along += dir[a] * y;
      scale += y * y;
    }
    for (int64_t a = 0; a < c->size[k]; a++) x[a] = keep[a] + hstep * dir[a];
    double up = loss(c, g, out);
    for (int64_t a = 0; a < c->size[k]; a++) x[a] = keep[a] - hstep * dir[a];
    double down = loss(c, g, out);
    for (int64_t a = 0; a < c->size[k]; a++) x[a] = keep[a];
    double diff = (up - down) / (2 * hstep), size = fmax(sqrt(scale), 1e-3);
    /* The curvature of entmax jumps where a key enters the support. */
    double bar = c->norm == ENTMAX ? 2e-5 : 2e-6;
    if (!(fabs(diff - along) <= bar * size + 1e-8))
      fail_msg("%s: input %d: gradient %.10g, central difference %.10g", text, k, along, diff);
    double err = 0;
    for (int64_t a = 0; a < c->size[k]; a++)
      err = fmax(err, fabs(tensor_get_f64(grad[k], a) - tensor_get_f64(single[k], a)));
    /* Sums that cancel are measured against the loss's own size. */
    if (!(err <= 2e-5 * fmax(size, 0.05 * sqrt((double)n))))
      fail_msg("%s: input %d: f32 gradient off by %g of %g", text, k, err, size);
    tensor_unref(rt, grad[k]);
    tensor_unref(rt, single[k]);
    free(dir);
    free(keep);
  }
  free(g);
  free(out);
}

static bool sensible(const Case *c) {
  if (!is_log(c->variant) && c->norm >= SPARSE) return false;
  if (c->variant == LINEAR && (c->norm == SUM || c->norm == SUM_EPS || c->norm == MAX))
    return false;
  return true;
}

static void every_combination(void **state) {
  Rt *rt = *state;
  Random r = {11};
  int count = 0;
  for (int v = 0; v < N_VARIANT; v++)
    for (int n = 0; n < N_NORM; n++)
      for (int m = 0; m < N_MASK; m++) {
        Case c = CASE(2, 4, 2, 13, 19, 5, 3, 0, v, n, m);
        if (!sensible(&c)) continue;
        fill(&c, 100 + (uint64_t)count++);
        AttnSpec *s = build(rt, &c);
        check_forward(rt, &c, s);
        check_gradients(rt, &c, s, &r);
        attn_spec_unref(rt, s);
        drop(&c);
      }
  assert_true(count > 500);
}

static void several_tiles(void **state) {
  Rt *rt = *state;
  Random r = {12};
  for (int v = 0; v < N_VARIANT; v++) for (int m = 0; m < N_MASK; m++) {
    static const Norm norms[] = {SUM, L2, EXPR, MAX};
    Case c =
        CASE(1, 2, 1, 71, 301, 6, 4, 0, v, is_log(v) && m == 3 ? ENTMAX : norms[(v + m) % 4], m);
    if (!sensible(&c)) c.norm = LENGTH;
    fill(&c, 900 + (uint64_t)(v * N_MASK + m));
    AttnSpec *s = build(rt, &c);
    check_forward(rt, &c, s);
    if (v % 4 == m % 4) check_gradients(rt, &c, s, &r);
    attn_spec_unref(rt, s);
    drop(&c);
  }
}

static void top_selection(void **state) {
  Rt *rt = *state;
  Random r = {13};
  for (int v = 0; v < N_VARIANT; v++) for (int n = 0; n < N_NORM; n++) {
    Case c = CASE(1, 2, 2, 15, 40, 5, 3, 1 + (v + n) % 6, v, n, n % 2 ? CAUSAL : ALL);
    if (!sensible(&c)) continue;
    fill(&c, 300 + (uint64_t)(v * N_NORM + n));
    AttnSpec *s = build(rt, &c);
    check_forward(rt, &c, s);
    check_gradients(rt, &c, s, &r);
    attn_spec_unref(rt, s);
    drop(&c);
  }
}

/* More queries than keys: the first rows see nothing under a causal mask. */
static void rows_without_keys(void **state) {
  Rt *rt = *state;
  Random r = {14};
  for (int n = 0; n < N_NORM; n++) {
    Case c = CASE(1, 2, 1, 20, 12, 4, 3, 0, n % 2 ? SOFTMAX : GAUSS, n, CAUSAL);
    fill(&c, 40 + (uint64_t)n);
    AttnSpec *s = build(rt, &c);
    check_forward(rt, &c, s);
    check_gradients(rt, &c, s, &r);
    Inputs x;
    inputs(rt, &c, DT_F32, &x);
    Tensor *o = op_attend(rt, s, &x.args);
    for (int64_t a = 0; a < 8 * c.e; a++) assert_true(tensor_get_f64(o, a) == 0);
    tensor_unref(rt, o);
    inputs_drop(rt, &x);
    attn_spec_unref(rt, s);
    drop(&c);
  }
}

/* Scores of +-3000 must neither overflow nor lose the row. */
static void far_scores(void **state) {
  Rt *rt = *state;
  for (int n = 0; n < N_NORM; n++) {
    if (n == NONE || n == LENGTH || n == EXPR) continue;
    for (int sign = -1; sign <= 1; sign += 2) {
      Case c = CASE(1, 1, 1, 3, 9, 4, 2, 0, SOFTMAX, n, ALL);
      fill(&c, 77);
      AttnSpec *s = build(rt, &c);
      s->out = prog_binary(&s->prog, PO_ADD, s->out, prog_const(&s->prog, 3000.0 * sign));
      Inputs x;
      inputs(rt, &c, DT_F64, &x);
      Tensor *far = op_attend(rt, s, &x.args);
      assert_non_null(far);
      double ref[6];
      ref_out(&c, ref);
      if (n == SUM_EPS && sign < 0) memset(ref, 0, sizeof ref); /* eps outweighs them */
      if (n == SUM_EPS && sign > 0) { c.norm = SUM; ref_out(&c, ref); }
      double err = 0;
      for (int a = 0; a < 6; a++) err = fmax(err, fabs(tensor_get_f64(far, a) - ref[a]));
      if (!(err < 1e-11)) fail_msg("norm %s, shift %d: off by %g", norm_name[n], 3000 * sign, err);
      tensor_unref(rt, far);
      inputs_drop(rt, &x);
      attn_spec_unref(rt, s);
      drop(&c);
    }
  }
}

static void same_bits_on_any_thread_count(void **state) {
  Rt *rt = *state;
  int before = rt->threads;
  for (int v = 0; v < N_VARIANT; v += 3) {
    Case c = CASE(1, 2, 1, 310, 420, 8, 5, 0, v, is_log(v) ? SUM_EPS : L2, CAUSAL);
    fill(&c, 5);
    AttnSpec *s = build(rt, &c);
    int64_t n = (int64_t)c.B * c.Hq * c.nq * c.e;
    double *g = malloc((size_t)n * sizeof *g);
    for (int64_t a = 0; a < n; a++) g[a] = sin((double)a);
    Tensor *one[3 + N_SLOT], *many[3 + N_SLOT];
    rt->threads = 1;
    gradients(rt, &c, s, DT_F32, g, one);
    rt->threads = 3;
    gradients(rt, &c, s, DT_F32, g, many);
    for (int k = 0; k < 3 + N_SLOT; k++) {
      if (!one[k]) continue;
      assert_memory_equal(one[k]->data, many[k]->data, (size_t)one[k]->size * 4);
      tensor_unref(rt, one[k]);
      tensor_unref(rt, many[k]);
    }
    free(g);
    attn_spec_unref(rt, s);
    drop(&c);
  }
  rt->threads = before;
}

/* ---- golden values: q = (1, .5), three keys, values 1 2 3 --------------------------------------
 */

typedef struct { const char *name; double weight[3], out; } Golden;

static void check_golden(Rt *rt, AttnSpec *s, const Golden *g) {
  int64_t sq[] = {1, 2}, sk[] = {3, 2}, sv[] = {3, 1};
  Tensor *q = tensor_of(rt, DT_F64, 2, sq, (double[]){1, .5});
  Tensor *k = tensor_of(rt, DT_F64, 2, sk, (double[]){.5, -.2, 1.2, .4, -.7, .9});
  Tensor *v = tensor_of(rt, DT_F64, 2, sv, (double[]){1, 2, 3});
  AttnArgs a = {.q = q, .k = k, .v = v};
  Tensor *o = op_attend(rt, s, &a), *w = op_attn_weights(rt, s, &a);
  if (!o || !w) fail_msg("%s: %s", g->name, rt->error.message);
  for (int j = 0; j < 3; j++)
    if (fabs(tensor_get_f64(w, j) - g->weight[j]) > 6e-11)
      fail_msg("%s: weight %d is %.12f, not %.10f", g->name, j, tensor_get_f64(w, j), g->weight[j]);
  if (fabs(tensor_get_f64(o, 0) - g->out) > 2e-10)
    fail_msg("%s: output is %.12f, not %.10f", g->name, tensor_get_f64(o, 0), g->out);
  Tensor *all[] = {q, k, v, o, w};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  attn_spec_unref(rt, s);
}

static void golden_table(void **state) {
  Rt *rt = *state;
  AttnSpec *s;
  Prog *p;
  int dot, dist, cs, sd, plus, one;
#define START()                                                                                    \
  (s = attn_spec_new(rt, "golden"), p = &s->prog,                                                  \
   dot = attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0),                                          \
   dist = attn_product(s, ATTN_DIST2, ATTN_Q, 0, ATTN_K, 0),                                       \
   cs = attn_cos(s, ATTN_Q, 0, ATTN_K, 0), one = C(1), sd = B2(PO_DIV, dot, C(sqrt(2))),           \
   plus = B2(PO_ADD,                                                                               \
             B2(PO_ADD, attn_product(s, ATTN_NORM2, ATTN_Q, 0, ATTN_Q, 0),                         \
                attn_product(s, ATTN_NORM2, ATTN_K, 0, ATTN_K, 0)),                                \
             B2(PO_MUL, C(2), dot)))
#define COUNT() (s->phi = prog_var(p, AV_NK))
#define CHECK(...) check_golden(rt, s, &(Golden)__VA_ARGS__)
  START(); attn_set_score(s, sd);
  CHECK({"softmax", {.2732510004, .5541844477, .1725645519}, 1.8993135515});
  START(); attn_set_score(s, U(PO_TANH, sd));
  CHECK({"softcap", {.3070959375, .4971873699, .1957166926}, 1.8886207552});
  START(); attn_set_score(s, B2(PO_MUL, C(5), cs));
  CHECK({"cosine", {.1637505995, .8340328666, .0022165339}, 1.8384659344});
  START(); attn_set_weight(s, U(PO_EXP, B2(PO_MUL, C(-.5), dist)));
  CHECK({"gaussian", {.3666969556, .5177724048, .1155306396}, 1.7488336840});
  START(); attn_set_weight(s, U(PO_EXP, B2(PO_MUL, C(-.5), dist))); COUNT();
  CHECK({"gaussian 1/N", {.2302447769, .3251033040, .0725403523}, 1.0980724418});
  int m;
  START();
  m = B2(PO_MUL, C(-.25),
         B2(PO_ADD, B2(PO_DIV, dist, C(tanh(.35))), B2(PO_MUL, plus, C(tanh(.35)))));
  attn_set_weight(s, U(PO_EXP, m));
  CHECK({"mehler", {.4084456247, .5163721445, .0751822308}, 1.6667366061});
  START();
  m = B2(PO_MUL, C(-.25),
         B2(PO_ADD, B2(PO_DIV, dist, C(tanh(.35))), B2(PO_MUL, plus, C(tanh(.35)))));
  attn_set_weight(s, U(PO_EXP, m)); s->phi = one;
  CHECK({"mehler, none", {.4738993967, .5991212366, .0872302497}, 1.9338326190});
  START(); m = B2(PO_SUB, one, U(PO_EXP, B2(PO_MUL, C(-.5), dist)));
  attn_set_weight(s, U(PO_EXP, B2(PO_DIV, U(PO_NEG, m), C(.5))));
  CHECK({"exp-well", {.3169602401, .5599948029, .1230449570}, 1.8060847169});
  START(); attn_set_weight(s, U(PO_EXP, B2(PO_MUL, C(-5), B2(PO_SUB, one, cs)))); COUNT();
  CHECK({"spherical 1/N", {.0622377784, .3169964131, .0008424528}, .6987579628});
  START();
  attn_set_weight(
      s, B2(PO_DIV, one, B2(PO_ADD, one, U(PO_EXP, U(PO_NEG, B2(PO_SUB, sd, C(log(3))))))));
  s->phi = one;
  CHECK({"sigmoid", {.3066623986, .4728609999, .2183361427}, 1.9073928264});
  START(); attn_set_weight(s, U(PO_RELU, sd)); COUNT();
  CHECK({"relu", {.0942809042, .3299831646, 0}, .7542472333});
  START(); attn_set_weight(s, B2(PO_DIV, one, B2(PO_ADD, one, dist)));
  CHECK({"lorentz", {.3239629757, .5368529311, .1391840932}, 1.8152211176});
  START(); attn_set_weight(s, B2(PO_MUL, cs, cs));
  CHECK({"fidelity", {.3023475543, .6713060542, .0263463915}, 1.7239988371});
  START(); attn_set_score(s, sd); s->norm = ATTN_NORM_SPARSEMAX;
  CHECK({"sparsemax", {.1464466094, .8535533906, 0}, 1.8535533906});
  START(); attn_set_score(s, sd); s->norm = ATTN_NORM_ENTMAX; s->alpha = C(2);
  CHECK({"entmax 2", {.1464466094, .8535533906, 0}, 1.8535533906});
  START(); attn_set_score(s, sd); s->norm = ATTN_NORM_ENTMAX; s->alpha = one;
  CHECK({"entmax 1", {.2732510004, .5541844477, .1725645519}, 1.8993135515});
}

static int open_rt(void **state) { return (*state = rt_open()) ? 0 : -1; }
static int close_rt(void **state) { rt_close(*state); return 0; }

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(golden_table),
      cmocka_unit_test(every_combination),
      cmocka_unit_test(several_tiles),
      cmocka_unit_test(top_selection),
      cmocka_unit_test(rows_without_keys),
      cmocka_unit_test(far_scores),
      cmocka_unit_test(same_bits_on_any_thread_count),
  };
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
