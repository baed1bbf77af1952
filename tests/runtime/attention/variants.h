/* variants.h: the cases of reference.h as attention variants, their data as
 * tensors, and one run of them forward and backward.                          */
#ifndef ATTENTION_VARIANTS_H
#define ATTENTION_VARIANTS_H
#include "runtime/attention/attention.h"
#include "tests/runtime/attention/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- random numbers and data ---------------------------------------------------- */

typedef struct { uint64_t s; } Random;
static double next(Random *r) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (double)(r->s >> 11) / 9007199254740992.0;
}
static double gauss(Random *r) { return sqrt(-2 * log(next(r) + 1e-18)) * cos(2 * M_PI * next(r)); }
static int below(Random *r, int n) { return (int)(next(r) * n); }

static int64_t bias_size(const Case *c) {
  switch (c->bias) {
  case B_PER_HEAD: case B_SLOPE: return c->Hq;
  case B_PER_ROW: return c->nq;
  case B_PER_KEY: return c->nk;
  case B_HEAD_KEY_BIAS: return (int64_t)c->Hq * c->nk;
  case B_FULL: return (int64_t)c->Hq * c->nq * c->nk;
  case B_RELATIVE: return 2 * RELATIVE_HALF;
  case B_BUCKET: return BUCKETS;
  default: return 1;
  }
}

static real **arrays(Case *c, int k) {
  return k == 0 ? &c->q : k == 1 ? &c->k : k == 2 ? &c->v : &c->slot[k - 3];
}

static void fill_vectors(Case *c, Random *r) {
  double wide = c->d > 4 ? sqrt(4.0 / c->d) : 1;
  for (int64_t a = 0; a < c->size[0]; a++) {
    double x = gauss(r) * wide;
    if (c->data == D_SHARP) x *= 15;       /* |q| about 30 */
    if (c->data == D_OFFSET) x += 100;
    c->q[a] = (float)x;
  }
  for (int64_t a = 0; a < c->size[1]; a++) {
    double x = gauss(r) * wide;
    if (c->data == D_OFFSET) x += 100;
    if (c->data == D_TIED && c->nq > 0) {  /* every key is some query */
      int64_t row = a / c->d, b = row / c->nk / c->Hk, j = row % c->nk;
      x = (double)c->q[(b * c->Hq * c->nq + j % c->nq) * c->d + a % c->d];
    }
    c->k[a] = (float)x;
  }
  for (int64_t a = 0; a < c->size[2]; a++)
    c->v[a] = (float)(gauss(r) * (c->data == D_TINY_VALUES ? 1e-20 : 1));
}

static void fill(Case *c, uint64_t seed) {
  Random r = {seed};
  int64_t size[3 + N_SLOT] = {(int64_t)c->B * c->Hq * c->nq * c->d,
                              (int64_t)c->B * c->Hk * c->nk * c->d,
                              (int64_t)c->B * c->Hk * c->nk * c->e, 1, 1, 1, bias_size(c), c->d,
                              (int64_t)c->Hq * c->d, 1, 1, c->nk, c->nk, (int64_t)c->Hq * c->nk,
                              c->nq, (int64_t)c->nq * c->nk};
  memcpy(c->size, size, sizeof size);
  for (int k = 0; k < 3 + N_SLOT; k++) *arrays(c, k) = malloc((size_t)size[k] * sizeof(real) + 16);
  fill_vectors(c, &r);
  for (int s = 0; s < S_FLOATS; s++)
    for (int64_t a = 0; a < size[3 + s]; a++) c->slot[s][a] = (float)(0.5 * gauss(&r));
  c->slot[S_C][0] = c->score == SC_MEHLER ? 0.75 : 1.5;
  c->slot[S_G][0] = 0.875;
  c->slot[S_N][0] = 1.25;
  c->slot[S_EPS][0] = 0.625;
  c->slot[S_ALPHA][0] = 1.5;
  for (int j = 0; j < c->nk; j++) {
    c->slot[S_KEY][j] = c->mask != M_CLOSED && next(&r) < 0.6;
    c->slot[S_DOC][j] = j / 11;
  }
  for (int64_t a = 0; a < size[3 + S_HEAD]; a++) c->slot[S_HEAD][a] = next(&r) < 0.5;
  for (int i = 0; i < c->nq; i++) c->slot[S_ROW][i] = next(&r) < 0.7;
  for (int64_t a = 0; a < size[3 + S_BUCKET]; a++) c->slot[S_BUCKET][a] = below(&r, BUCKETS);
  c->keep = NULL;
  c->doubtful = calloc((size_t)(c->B * c->Hq * c->nq) + 1, 1);
}

static void drop(Case *c) {
  for (int k = 0; k < 3 + N_SLOT; k++) free(*arrays(c, k));
  free(c->doubtful);
  free(c->keep);
}

/* ---- the variant ------------------------------------------------------------------ */

#define U(op, a) prog_unary(p, op, a)
#define B2(op, a, b) prog_binary(p, op, a, b)
#define K(x) prog_const(p, x)
#define PROD(t, l, ls, r, rs) attn_product(s, ATTN_##t, ATTN_##l, ls, ATTN_##r, rs)

static int build_score(AttnSpec *s, const Case *c) {
  Prog *p = &s->prog;
  int C = prog_load(p, S_C, 0, NULL), root = U(PO_SQRT, prog_var(p, AV_D));
  int dot = c->score == SC_COS || c->score == SC_DIST2 || c->score == SC_L1
                ? -1 : PROD(DOT, Q, 0, K, 0);
  switch (c->score) {
  case SC_DOT: return dot;
  case SC_SCALED: return B2(PO_DIV, dot, root);
  case SC_SOFTCAP: return B2(PO_MUL, C, U(PO_TANH, B2(PO_DIV, B2(PO_DIV, dot, root), C)));
  case SC_COS: return B2(PO_MUL, C, attn_cos(s, ATTN_Q, 0, ATTN_K, 0));
  case SC_DIST2: return PROD(DIST2, Q, 0, K, 0);
  case SC_L1: return PROD(L1, Q, 0, K, 0);
  case SC_MEHLER: {
    int t = U(PO_TANH, B2(PO_DIV, C, K(2)));
    int norms = B2(PO_ADD, PROD(NORM2, Q, 0, Q, 0), PROD(NORM2, K, 0, K, 0));
    int plus = B2(PO_ADD, norms, B2(PO_MUL, K(2), dot)), dist = PROD(DIST2, Q, 0, K, 0);
    return B2(PO_MUL, K(-0.25), B2(PO_ADD, B2(PO_DIV, dist, t), B2(PO_MUL, plus, t)));
  }
  default: {
    int uk = PROD(DOT, K, 0, VEC, S_U), wq = PROD(DOT, VEC, S_W, Q, 0);
    int uq = PROD(DIST2, VEC, S_U, Q, 0);
    int sum = B2(PO_ADD, B2(PO_ADD, B2(PO_DIV, dot, root), uk), B2(PO_MUL, K(0.25), wq));
    return B2(PO_SUB, sum, B2(PO_MUL, K(0.125), uq));
  }
  }
}

static int build_bias(AttnSpec *s, const Case *c, int score) {
  Prog *p = &s->prog;
  int i = prog_var(p, AV_I), j = prog_var(p, AV_J), h = prog_var(p, AV_H);
  int row = B2(PO_SUB, i, B2(PO_SUB, prog_var(p, AV_NK), prog_var(p, AV_NQ)));
  int at = B2(PO_ADD, B2(PO_SUB, i, j), K(RELATIVE_HALF));
  int b;
  switch (c->bias) {
  case B_NO_BIAS: return score;
  case B_SCALAR: b = prog_load(p, S_BIAS, 0, NULL); break;
  case B_PER_HEAD: b = prog_load(p, S_BIAS, 1, &h); break;
  case B_PER_ROW: b = prog_load(p, S_BIAS, 1, &row); break;
  case B_PER_KEY: b = prog_load(p, S_BIAS, 1, &j); break;
  case B_HEAD_KEY_BIAS: b = prog_load(p, S_BIAS, 2, (int[]){h, j}); break;
  case B_FULL: b = prog_load(p, S_BIAS, 3, (int[]){h, row, j}); break;
  case B_RELATIVE:
    at = B2(PO_MIN, B2(PO_MAX, at, K(0)), K(2 * RELATIVE_HALF - 1));
    b = prog_load(p, S_BIAS, 1, &at);
    break;
  case B_BUCKET:
    at = prog_load(p, S_BUCKET, 2, (int[]){row, j});
    b = prog_load(p, S_BIAS, 1, &at);
    break;
  default:
    b = B2(PO_MUL, prog_load(p, S_BIAS, 1, &h),
           B2(PO_MUL, K(-0.0625), U(PO_ABS, B2(PO_SUB, i, j))));
  }
  return B2(PO_ADD, score, b);
}

static int build_weight(AttnSpec *s, const Case *c, int x) {
  Prog *p = &s->prog;
  int g = prog_load(p, S_G, 0, NULL), n = prog_load(p, S_N, 0, NULL), square = B2(PO_MUL, x, x);
  int well = B2(PO_ADD, K(1), B2(PO_DIV, square, B2(PO_POW, g, K(2))));
  bool away = c->score == SC_DIST2 || c->score == SC_L1;
#define EXP_OF(u) U(PO_EXP, u)
  switch (c->weight) {
  case W_EXP: return EXP_OF(away ? U(PO_NEG, B2(PO_MUL, g, x)) : x);
  case W_SIGMOID:
    x = B2(PO_SUB, x, U(PO_LOG, prog_var(p, AV_NK)));
    return B2(PO_DIV, K(1), B2(PO_ADD, K(1), EXP_OF(U(PO_NEG, x))));
  case W_RELU: return U(PO_RELU, x);
  case W_RELU2: return B2(PO_POW, U(PO_RELU, x), K(2));
  case W_LORENTZ: return B2(PO_DIV, K(1), well);
  case W_POWER: return B2(PO_POW, well, U(PO_NEG, n));
  case W_GAUSS: return EXP_OF(B2(PO_MUL, B2(PO_MUL, K(-0.5), g), square));
  case W_EXP_WELL:
    x = B2(PO_SUB, K(1), EXP_OF(B2(PO_MUL, K(-0.5), square)));
    return EXP_OF(B2(PO_DIV, U(PO_NEG, x), g));
  case W_TANH_WELL:
    return EXP_OF(U(PO_NEG, B2(PO_DIV, U(PO_TANH, B2(PO_DIV, square, K(2))), g)));
  case W_RATIONAL_WELL:
    x = B2(PO_DIV, square, B2(PO_ADD, K(1), square));
    return EXP_OF(U(PO_NEG, B2(PO_DIV, x, g)));
  case W_FIDELITY: return B2(PO_MUL, g, square);
  default: return x;
  }
}

static int build_mask(AttnSpec *s, const Case *c) {
  Prog *p = &s->prog;
  int i = prog_var(p, AV_I), j = prog_var(p, AV_J), h = prog_var(p, AV_H);
  int row = B2(PO_SUB, i, B2(PO_SUB, prog_var(p, AV_NK), prog_var(p, AV_NQ)));
  int dij = B2(PO_SUB, i, j), causal = B2(PO_LE, j, i), first;
  switch (c->mask) {
  case M_CAUSAL: return causal;
  case M_WINDOW: return B2(PO_AND, causal, B2(PO_LT, dij, K(9)));
  case M_BLOCK: return B2(PO_EQ, B2(PO_FLOORDIV, i, K(24)), B2(PO_FLOORDIV, j, K(24)));
  case M_PREFIX: return B2(PO_OR, causal, B2(PO_LT, j, K(5)));
  case M_KEEP_KEY: case M_CLOSED: return prog_load(p, S_KEY, 1, &j);
  case M_DOCUMENT:
    first = prog_select(p, B2(PO_LT, row, prog_var(p, AV_NK)), row, K(0));
    return B2(PO_AND, causal,
              B2(PO_EQ, prog_load(p, S_DOC, 1, &first), prog_load(p, S_DOC, 1, &j)));
  case M_HEAD_KEY: return prog_load(p, S_HEAD, 2, (int[]){h, j});
  case M_HEAD_WINDOW:
    return B2(PO_LT, U(PO_ABS, dij), B2(PO_MUL, K(4), B2(PO_ADD, h, K(1))));
  case M_ROWS: return prog_load(p, S_ROW, 1, &row);
  case M_NEVER: return B2(PO_LT, j, K(0));
  default: return -1;
  }
}

static AttnSpec *build(Rt *rt, const Case *c) {
  static const char *const names[] = {"c", "g", "n", "bias", "u", "w", "eps", "alpha",
                                      "key", "doc", "head", "row", "bucket"};
  AttnSpec *s = attn_spec_new(rt, weight_name[c->weight]);
  Prog *p = &s->prog;
  for (int k = 0; k < N_SLOT; k++) {
    bool positive = k == S_C || k == S_G || k == S_N || k == S_EPS || k == S_ALPHA;
    prog_add_slot(p, names[k], positive ? 0 : -INFINITY, INFINITY);
  }
  attn_set_weight(s, build_weight(s, c, build_bias(s, c, build_score(s, c))));
  int eps = prog_load(p, S_EPS, 0, NULL), sum = prog_var(p, AV_SUM), l2 = prog_var(p, AV_L2);
  int phi[] = {sum, B2(PO_ADD, sum, eps), K(1), prog_var(p, AV_COUNT), prog_var(p, AV_MAX), l2,
               B2(PO_ADD, B2(PO_DIV, prog_var(p, AV_NK), eps), B2(PO_MUL, K(0.25), l2))};
  if (c->norm < NO_SPARSEMAX) s->phi = phi[c->norm];
  s->norm = c->norm == NO_SPARSEMAX ? ATTN_NORM_SPARSEMAX
          : c->norm == NO_ENTMAX ? ATTN_NORM_ENTMAX : ATTN_NORM_PHI;
  if (c->norm == NO_ENTMAX) s->alpha = prog_load(p, S_ALPHA, 0, NULL);
  s->mask = build_mask(s, c);
  if (c->top) { s->select = ATTN_TOP; s->top = K(c->top); }
  if (c->dropout > 0) s->dropout = K(c->dropout);
  return s;
}

/* ---- tensors ------------------------------------------------------------------------ */

static Tensor *tensor_of(Rt *rt, DType dt, int rank, const int64_t *shape, const real *x) {
  Tensor *t = tensor_new(rt, dt, rank, shape);
  assert_non_null(t);
  for (int64_t a = 0; a < t->size; a++) tensor_set_f64(t, a, (double)x[a]);
  return t;
}

enum { L_PLAIN, L_HEADS_INSIDE, L_EVERY_SECOND, L_REVERSED, L_PART, N_LAYOUT };

/* The same numbers as a view that is not contiguous. */
static Tensor *laid_out(Rt *rt, Tensor *t, int layout) {
  int rank = t->rank, axes[4] = {0, 1, 2, 3};
  int64_t n = t->shape[rank - 2], last = t->shape[rank - 1], shape[4], stride[4], step = 1;
  Tensor *big, *view;
  if (layout == L_PLAIN) return t;
  if (layout == L_HEADS_INSIDE) { /* (.., n, heads, d) */
    if (rank < 3) { axes[0] = 1; axes[1] = 0; }
    else { axes[rank - 3] = rank - 2; axes[rank - 2] = rank - 3; }
    Tensor *turned = tensor_permute(rt, t, axes);
    big = tensor_copy(rt, turned);
    view = tensor_permute(rt, big, axes);
    tensor_unref(rt, turned);
    tensor_unref(rt, big);
    tensor_unref(rt, t);
    return view;
  }
  for (int k = rank - 1; k >= 0; k--) {
    shape[k] = t->shape[k];
    stride[k] = step;
    step *= shape[k];
  }
  int64_t wide[] = {t->size * 3 + 8}, offset = 0, each = 1;
  if (layout == L_EVERY_SECOND) each = 2;
  if (layout == L_PART) { each = 1; offset = 3; }
  for (int k = 0; k < rank; k++) stride[k] *= each;
  if (layout == L_PART) /* rows of a wider matrix */
    for (int k = 0; k < rank - 1; k++) stride[k] *= 3;
  if (layout == L_REVERSED) { stride[rank - 2] = -last; offset = (n - 1) * last; }
  big = tensor_full(rt, t->dtype, 1, wide, NAN, 0);
  view = tensor_view(rt, big, rank, shape, stride, offset > 0 ? offset : 0);
  for (int64_t a = 0; a < t->size; a++) { /* the view's element a */
    int64_t at = offset, left = a;
    for (int k = rank - 1; k >= 0; k--) { at += left % shape[k] * stride[k]; left /= shape[k]; }
    tensor_set_f64(big, at, tensor_get_f64(t, a));
  }
  tensor_unref(rt, big);
  tensor_unref(rt, t);
  return view;
}

typedef struct { Tensor *in[3 + N_SLOT]; } Inputs;

static void inputs(Rt *rt, const Case *c, DType dt, Inputs *x) {
  int64_t q[] = {c->B, c->Hq, c->nq, c->d}, k[] = {c->B, c->Hk, c->nk, c->d},
          v[] = {c->B, c->Hk, c->nk, c->e};
  int64_t bias[3] = {bias_size(c)};
  int bias_rank = c->bias == B_SCALAR || c->bias == B_NO_BIAS ? 0 : 1, skip = 4 - c->rank;
  if (c->bias == B_HEAD_KEY_BIAS) { bias_rank = 2; bias[0] = c->Hq; bias[1] = c->nk; }
  if (c->bias == B_FULL) { bias_rank = 3; bias[0] = c->Hq; bias[1] = c->nq; bias[2] = c->nk; }
  struct { int dtype, rank; int64_t shape[3]; } s[N_SLOT] = {
    [S_C] = {dt, 0, {0}}, [S_G] = {dt, 0, {0}}, [S_N] = {dt, 0, {0}},
    [S_BIAS] = {dt, bias_rank, {bias[0], bias[1], bias[2]}},
    [S_U] = {dt, 1, {c->d}}, [S_W] = {dt, 2, {c->Hq, c->d}}, [S_EPS] = {dt, 0, {0}},
    [S_ALPHA] = {dt, 0, {0}}, [S_KEY] = {DT_BOOL, 1, {c->nk}}, [S_DOC] = {DT_I64, 1, {c->nk}},
    [S_HEAD] = {DT_BOOL, 2, {c->Hq, c->nk}}, [S_ROW] = {DT_BOOL, 1, {c->nq}},
    [S_BUCKET] = {DT_I64, 2, {c->nq, c->nk}}};
  x->in[0] = laid_out(rt, tensor_of(rt, dt, c->rank, q + skip, c->q), c->layout);
  x->in[1] = laid_out(rt, tensor_of(rt, dt, c->rank, k + skip, c->k), (c->layout * 2) % N_LAYOUT);
  x->in[2] = laid_out(rt, tensor_of(rt, dt, c->rank, v + skip, c->v), (c->layout * 3) % N_LAYOUT);
  for (int a = 0; a < N_SLOT; a++)
    x->in[3 + a] = tensor_of(rt, (DType)s[a].dtype, s[a].rank, s[a].shape, c->slot[a]);
}

static void inputs_drop(Rt *rt, Inputs *x) {
  for (int k = 0; k < 3 + N_SLOT; k++) tensor_unref(rt, x->in[k]);
}

/* Every run draws the same random numbers. */
static Tensor *attend(Rt *rt, AttnSpec *s, const Inputs *x, bool weights) {
  AttnArgs a = {.q = x->in[0], .k = x->in[1], .v = weights ? NULL : x->in[2],
                .slot = x->in + 3, .train = true};
  rt->scope->calls = 40;
  return weights ? op_attn_weights(rt, s, &a) : op_attend(rt, s, &a);
}

/* ---- a run ---------------------------------------------------------------------------- */

typedef struct { Tensor *out, *grad[3 + S_FLOATS]; } Result;

/* Output and the gradients of sum(seed * out) for q, k, v and float slots; false
 * with rt->error set.                                                          */
static bool run_case(Rt *rt, const Case *c, AttnSpec *s, DType dt, const real *seed, Result *to) {
  Inputs x;
  uint64_t mark;
  int64_t shape[] = {c->B, c->Hq, c->nq, c->e};
  *to = (Result){0};
  inputs(rt, c, dt, &x);
  assert_int_equal(tape_open(rt, &mark), RT_OK);
  for (int k = 0; k < 3 + S_FLOATS; k++) {
    Tensor *t = tape_leaf(rt, x.in[k]);
    tensor_unref(rt, x.in[k]);
    x.in[k] = t;
  }
  to->out = attend(rt, s, &x, false);
  bool fine = to->out != NULL;
  if (fine) {
    Tensor *g = tensor_of(rt, dt, c->rank, shape + 4 - c->rank, seed);
    fine = !tape_backward(rt, mark, to->out, g, 3 + S_FLOATS, x.in, to->grad);
    tensor_unref(rt, g);
  }
  tape_close(rt, mark);
  inputs_drop(rt, &x);
  return fine;
}

static void result_drop(Rt *rt, Result *r) {
  tensor_unref(rt, r->out);
  for (int k = 0; k < 3 + S_FLOATS; k++) tensor_unref(rt, r->grad[k]);
}

static void label(const Case *c, char *to, size_t n) {
  snprintf(to, n, "%s, %s, norm %s, mask %s, bias %s, data %s, top %d, dropout %g, "
           "(%d, %d/%d, %dx%d, %d/%d), rank %d, layout %d", score_name[c->score],
           weight_name[c->weight], norm_name[c->norm], mask_name[c->mask], bias_name[c->bias],
           data_name[c->data], c->top, c->dropout, c->B, c->Hq, c->Hk, c->nq, c->nk, c->d, c->e,
           c->rank, c->layout);
}
#endif
