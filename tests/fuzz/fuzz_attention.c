/* fuzz_attention.c: random attention variants, forward and backward, against a plain
 * evaluation in long double.  The input is a stream of choices: shapes, a random
 * expression of products, positions and captured values as score or weight, the
 * normaliser, mask, selection.  Gradients against central differences.         */
#include "runtime/attention/attention.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef long double real;
typedef struct { const uint8_t *at; size_t left; uint64_t state; } Stream;

/* Choices from the input; behind its end they go on by a generator. */
static uint32_t choice(Stream *s, uint32_t n) {
  uint32_t x;
  s->state = s->state * 6364136223846793005u + 1442695040888963407u;
  if (s->left) { x = *s->at++; s->left--; s->state += x; }
  else x = (uint32_t)(s->state >> 40);
  return x % n;
}
static double number(Stream *s) {      /* normal enough */
  double x = 0;
  for (int k = 0; k < 4; k++) {
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    x += (double)(s->state >> 11) / 9007199254740992.0 - 0.5;
  }
  return (float)(x * 1.7);
}

/* ---- expressions ------------------------------------------------------------------- */

enum { DOT, DIST2, L1, COS, NORM2_Q, NORM2_K, ROW, COLUMN, PARAM, HEAD_BIAS, KEY_BIAS, NUMBER,
       N_LEAF };
enum { ADD, SUB, MUL, RATIO, MIN, MAX, TANH, SIGMOID, RELU, SOFT_SQRT, LOG_SQUARE, BELL, ABS,
       WHERE, SIN, N_OP };
typedef struct { int op, a, b; double value; } Node;
enum { MOST = 40 };
typedef struct { Node node[MOST]; int n; } Expr;

static int add_node(Expr *e, int op, int a, int b, double value) {
  e->node[e->n] = (Node){op, a, b, value};
  return e->n++;
}

static int expression(Stream *s, Expr *e, int depth) {
  if (depth == 0 || e->n > MOST - 12 || choice(s, 4) == 0) {
    int leaf = (int)choice(s, N_LEAF);
    return add_node(e, leaf, -1, -1, leaf == NUMBER ? 0.25 * (1 + choice(s, 12)) : 0);
  }
  int op = (int)choice(s, N_OP), a = expression(s, e, depth - 1), b = -1;
  if (op <= MAX || op == WHERE) b = expression(s, e, depth - 1);
  return add_node(e, N_LEAF + op, a, b, 0);
}

typedef struct { real dot, dist2, l1, qq, kk, i, j, param, head, key; } Point;

static real evaluate(const Expr *e, const Point *p) {
  real x[MOST];
  for (int k = 0; k < e->n; k++) {
    const Node *n = &e->node[k];
    real a = n->a >= 0 ? x[n->a] : 0, b = n->b >= 0 ? x[n->b] : 0;
    switch (n->op) {
    case DOT: x[k] = p->dot; break;
    case DIST2: x[k] = p->dist2; break;
    case L1: x[k] = p->l1; break;
    case COS: x[k] = p->qq > 0 && p->kk > 0 ? p->dot / sqrtl(p->qq * p->kk) : 0; break;
    case NORM2_Q: x[k] = p->qq; break;
    case NORM2_K: x[k] = p->kk; break;
    case ROW: x[k] = p->i / 16; break;
    case COLUMN: x[k] = p->j / 16; break;
    case PARAM: x[k] = p->param; break;
    case HEAD_BIAS: x[k] = p->head; break;
    case KEY_BIAS: x[k] = p->key; break;
    case NUMBER: x[k] = n->value; break;
    case N_LEAF + ADD: x[k] = a + b; break;
    case N_LEAF + SUB: x[k] = a - b; break;
    case N_LEAF + MUL: x[k] = a * b; break;
    case N_LEAF + RATIO: x[k] = a / (1 + b * b); break;
    case N_LEAF + MIN: x[k] = a <= b ? a : b; break;
    case N_LEAF + MAX: x[k] = a >= b ? a : b; break;
    case N_LEAF + TANH: x[k] = tanhl(a); break;
    case N_LEAF + SIGMOID: x[k] = 1 / (1 + expl(-a)); break;
    case N_LEAF + RELU: x[k] = a > 0 ? a : 0; break;
    case N_LEAF + SOFT_SQRT: x[k] = sqrtl(1 + a * a); break;
    case N_LEAF + LOG_SQUARE: x[k] = log1pl(a * a); break;
    case N_LEAF + BELL: x[k] = expl(-a * a / 2); break;
    case N_LEAF + ABS: x[k] = fabsl(a); break;
    case N_LEAF + WHERE: x[k] = a > b ? a : (a + b) / 2; break;
    default: x[k] = sinl(a);
    }
  }
  return x[e->n - 1];
}

static int emit(AttnSpec *s, const Expr *e) {
  Prog *p = &s->prog;
  int x[MOST], i = prog_var(p, AV_I), j = prog_var(p, AV_J), h = prog_var(p, AV_H);
#define K(v) prog_const(p, v)
#define U(op, v) prog_unary(p, op, v)
#define B2(op, v, w) prog_binary(p, op, v, w)
  for (int k = 0; k < e->n; k++) {
    const Node *n = &e->node[k];
    int a = n->a >= 0 ? x[n->a] : -1, b = n->b >= 0 ? x[n->b] : -1;
    int square = n->op >= N_LEAF ? B2(PO_MUL, a, a) : -1;
    switch (n->op) {
    case DOT: x[k] = attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0); break;
    case DIST2: x[k] = attn_product(s, ATTN_DIST2, ATTN_Q, 0, ATTN_K, 0); break;
    case L1: x[k] = attn_product(s, ATTN_L1, ATTN_Q, 0, ATTN_K, 0); break;
    case COS: x[k] = attn_cos(s, ATTN_Q, 0, ATTN_K, 0); break;
    case NORM2_Q: x[k] = attn_product(s, ATTN_NORM2, ATTN_Q, 0, ATTN_Q, 0); break;
    case NORM2_K: x[k] = attn_product(s, ATTN_NORM2, ATTN_K, 0, ATTN_K, 0); break;
    case ROW: x[k] = B2(PO_DIV, i, K(16)); break;
    case COLUMN: x[k] = B2(PO_DIV, j, K(16)); break;
    case PARAM: x[k] = prog_load(p, 0, 0, NULL); break;
    case HEAD_BIAS: x[k] = prog_load(p, 1, 1, &h); break;
    case KEY_BIAS: x[k] = prog_load(p, 2, 1, &j); break;
    case NUMBER: x[k] = K(n->value); break;
    case N_LEAF + ADD: x[k] = B2(PO_ADD, a, b); break;
    case N_LEAF + SUB: x[k] = B2(PO_SUB, a, b); break;
    case N_LEAF + MUL: x[k] = B2(PO_MUL, a, b); break;
    case N_LEAF + RATIO: x[k] = B2(PO_DIV, a, B2(PO_ADD, K(1), B2(PO_MUL, b, b))); break;
    case N_LEAF + MIN: x[k] = B2(PO_MIN, a, b); break;
    case N_LEAF + MAX: x[k] = B2(PO_MAX, a, b); break;
    case N_LEAF + TANH: x[k] = U(PO_TANH, a); break;
    case N_LEAF + SIGMOID: x[k] = U(PO_SIGMOID, a); break;
    case N_LEAF + RELU: x[k] = U(PO_RELU, a); break;
    case N_LEAF + SOFT_SQRT: x[k] = U(PO_SQRT, B2(PO_ADD, K(1), square)); break;
    case N_LEAF + LOG_SQUARE: x[k] = U(PO_LOG1P, square); break;
    case N_LEAF + BELL: x[k] = U(PO_EXP, B2(PO_MUL, K(-0.5), square)); break;
    case N_LEAF + ABS: x[k] = U(PO_ABS, a); break;
    case N_LEAF + WHERE:
      x[k] = prog_select(p, B2(PO_GT, a, b), a, B2(PO_MUL, K(0.5), B2(PO_ADD, a, b)));
      break;
    default: x[k] = U(PO_SIN, a);
    }
  }
  return x[e->n - 1];
}

/* ---- a variant ------------------------------------------------------------------------ */

enum { LOG, LORENTZ, POSITIVE, N_FORM };
enum { SUM, ONE, COUNT, L2, SPARSE, N_NORM };
enum { ALL, CAUSAL, NEAR, STRIPES, N_MASK };
enum { Q, KEY, V, P, HB, KB, N_IN };
typedef struct {
  Expr e;
  int form, norm, mask, top, H, nq, nk, d, w;
  int64_t size[N_IN];
  real *in[N_IN];
} Variant;

static void choose(Stream *s, Variant *v) {
  static const int lengths[] = {1, 2, 5, 16, 17, 33, 64, 70};
  memset(v, 0, sizeof *v);
  v->form = (int)choice(s, N_FORM);
  v->norm = (int)choice(s, v->form == LOG ? N_NORM : SPARSE);
  v->mask = (int)choice(s, N_MASK);
  v->top = choice(s, 5) == 0 ? 1 + (int)choice(s, 5) : 0;
  v->H = 1 + (int)choice(s, 2);
  v->nq = lengths[choice(s, 8)];
  v->nk = lengths[choice(s, 8)];
  v->d = 1 + (int)choice(s, 9);
  v->w = 1 + (int)choice(s, 4);
  expression(s, &v->e, 4);
  int64_t size[] = {v->H * v->nq * v->d, v->H * v->nk * v->d, v->H * v->nk * v->w, 1, v->H, v->nk};
  memcpy(v->size, size, sizeof size);
  for (int k = 0; k < N_IN; k++) {
    v->in[k] = malloc((size_t)size[k] * sizeof(real));
    for (int64_t a = 0; a < size[k]; a++) v->in[k][a] = number(s);
  }
}

static bool sees(const Variant *v, int i, int j) {
  return v->mask == CAUSAL ? j <= i : v->mask == NEAR ? abs(i - j) < 7
       : v->mask == STRIPES ? j % 3 != 1 : true;
}

/* One row of log-weights or weights; -inf and 0 where closed. */
static int row_of(const Variant *v, int h, int r, real *u, int *at) {
  int n = 0, i = r + v->nk - v->nq;
  for (int j = 0; j < v->nk; j++) {
    if (!sees(v, i, j)) continue;
    const real *q = v->in[Q] + (h * v->nq + r) * v->d, *k = v->in[KEY] + (h * v->nk + j) * v->d;
    Point p = {.i = i, .j = j, .param = v->in[P][0], .head = v->in[HB][h], .key = v->in[KB][j]};
    for (int x = 0; x < v->d; x++) {
      p.dot += q[x] * k[x];
      p.dist2 += (q[x] - k[x]) * (q[x] - k[x]);
      p.l1 += fabsl(q[x] - k[x]);
      p.qq += q[x] * q[x];
      p.kk += k[x] * k[x];
    }
    real x = evaluate(&v->e, &p);
    u[n] = v->form == LOG ? x : v->form == LORENTZ ? 1 / (1 + x * x) : 0.25L + x * x;
    at[n++] = j;
  }
  while (v->top && n > v->top) {       /* the last of the smallest goes */
    int low = 0;
    for (int a = 1; a < n; a++) if (u[a] <= u[low]) low = a;
    memmove(u + low, u + low + 1, (size_t)(n - low - 1) * sizeof *u);
    memmove(at + low, at + low + 1, (size_t)(n - low - 1) * sizeof *at);
    n--;
  }
  return n;
}

static void weigh(const Variant *v, int n, real *u) {
  real top = -INFINITY, sum = 0, squares = 0;
  for (int a = 0; a < n; a++) top = fmaxl(top, u[a]);
  if (v->norm == SPARSE) {
    real lo = top - 1, hi = top;
    for (int it = 0; it < 80; it++) {
      real t = (lo + hi) / 2, s = 0;
      for (int a = 0; a < n; a++) s += u[a] > t ? u[a] - t : 0;
      if (s >= 1) lo = t; else hi = t;
    }
    for (int a = 0; a < n; a++) u[a] = fmaxl(u[a] - lo, 0);
    return;
  }
  bool relative = v->form == LOG && (v->norm == SUM || v->norm == L2);
  for (int a = 0; a < n; a++) {
    if (v->form == LOG) u[a] = expl(relative ? u[a] - top : u[a]);
    sum += u[a];
    squares += u[a] * u[a];
  }
  real phi = v->norm == SUM ? sum : v->norm == L2 ? sqrtl(squares) : v->norm == COUNT ? n : 1;
  for (int a = 0; a < n; a++) u[a] = phi == 0 ? 0 : u[a] / phi;
}

static void reference(const Variant *v, real *out, real *steep) {
  real *u = malloc(((size_t)v->nk + 1) * sizeof *u);
  int *at = malloc(((size_t)v->nk + 1) * sizeof *at);
  for (int h = 0; h < v->H; h++) for (int r = 0; r < v->nq; r++) {
    real *o = out + (h * v->nq + r) * v->w;
    int n = row_of(v, h, r, u, at);
    for (int a = 0; a < n; a++) *steep = fmaxl(*steep, fabsl(u[a]));
    weigh(v, n, u);
    for (int x = 0; x < v->w; x++) o[x] = 0;
    for (int a = 0; a < n; a++) for (int x = 0; x < v->w; x++)
      o[x] += u[a] * v->in[V][(h * v->nk + at[a]) * v->w + x];
  }
  free(u);
  free(at);
}

static AttnSpec *build(Rt *rt, const Variant *v) {
  AttnSpec *s = attn_spec_new(rt, "fuzz");
  if (!s) return NULL;
  Prog *p = &s->prog;
  prog_add_slot(p, "p", -INFINITY, INFINITY);
  prog_add_slot(p, "hb", -INFINITY, INFINITY);
  prog_add_slot(p, "kb", -INFINITY, INFINITY);
  int x = emit(s, &v->e), square = B2(PO_MUL, x, x), i = prog_var(p, AV_I), j = prog_var(p, AV_J);
  if (v->form == LOG) attn_set_score(s, x);
  if (v->form == LORENTZ) attn_set_weight(s, B2(PO_DIV, K(1), B2(PO_ADD, K(1), square)));
  if (v->form == POSITIVE) attn_set_weight(s, B2(PO_ADD, K(0.25), square));
  int phi[] = {prog_var(p, AV_SUM), K(1), prog_var(p, AV_COUNT), prog_var(p, AV_L2)};
  if (v->norm == SPARSE) s->norm = ATTN_NORM_SPARSEMAX;
  else s->phi = phi[v->norm];
  if (v->mask == CAUSAL) s->mask = B2(PO_LE, j, i);
  if (v->mask == NEAR) s->mask = B2(PO_LT, U(PO_ABS, B2(PO_SUB, i, j)), K(7));
  if (v->mask == STRIPES) s->mask = B2(PO_NE, B2(PO_MOD, j, K(3)), K(1));
  if (v->top) { s->select = ATTN_TOP; s->top = K(v->top); }
  return s;
}

/* ---- one run ------------------------------------------------------------------------------ */

static Tensor *tensor_of(Rt *rt, const Variant *v, int k, DType dt) {
  int64_t shape[N_IN][3] = {{v->H, v->nq, v->d}, {v->H, v->nk, v->d}, {v->H, v->nk, v->w}, {0},
                            {v->H}, {v->nk}};
  static const int rank[N_IN] = {3, 3, 3, 0, 1, 1};
  Tensor *t = tensor_new(rt, dt, rank[k], shape[k]);
  for (int64_t a = 0; t && a < t->size; a++) tensor_set_f64(t, a, (double)v->in[k][a]);
  return t;
}

static Tensor *run(Rt *rt, const Variant *v, AttnSpec *s, DType dt, const real *seed,
                   Tensor **grad) {
  Tensor *in[N_IN];
  uint64_t mark;
  if (tape_open(rt, &mark)) abort();
  for (int k = 0; k < N_IN; k++) {
    Tensor *t = tensor_of(rt, v, k, dt);
    in[k] = tape_leaf(rt, t);
    tensor_unref(rt, t);
  }
  AttnArgs a = {.q = in[Q], .k = in[KEY], .v = in[V], .slot = in + P};
  Tensor *o = op_attend(rt, s, &a);
  if (o) {
    Tensor *g = tensor_new(rt, dt, o->rank, o->shape);
    for (int64_t x = 0; x < g->size; x++) tensor_set_f64(g, x, (double)seed[x]);
    if (tape_backward(rt, mark, o, g, N_IN, in, grad)) { tensor_unref(rt, o); o = NULL; }
    tensor_unref(rt, g);
  }
  for (int k = 0; k < N_IN; k++) tensor_unref(rt, in[k]);
  tape_close(rt, mark);
  return o;
}

static void wrong(const Variant *v, const char *what, double got, double expected) {
  fprintf(stderr, "%s: %.12g, not %.12g (form %d norm %d mask %d top %d, %d x %d x %d, d %d)\n",
          what, got, expected, v->form, v->norm, v->mask, v->top, v->H, v->nq, v->nk, v->d);
  for (int k = 0; k < v->e.n; k++)
    fprintf(stderr, "  %%%d = op %d of %%%d %%%d, %g\n", k, v->e.node[k].op, v->e.node[k].a,
            v->e.node[k].b, v->e.node[k].value);
  abort();
}

static void check_output(const Variant *v, const Tensor *o, const real *ref, double bar) {
  double size = 1;
  for (int64_t a = 0; a < o->size; a++) size = fmax(size, fabs((double)ref[a]));
  for (int64_t a = 0; a < o->size; a++) {
    double x = tensor_get_f64(o, a);
    if (!(fabs(x - (double)ref[a]) <= bar * size))
      wrong(v, o->dtype == DT_F32 ? "f32 output" : "f64 output", x, (double)ref[a]);
  }
}

static real slope(Variant *v, int k, const real *dir, const real *seed, real *out, real h) {
  int64_t n = (int64_t)v->H * v->nq * v->w;
  real sum = 0, none = 0;
  for (int sign = 1; sign >= -1; sign -= 2) {
    for (int64_t a = 0; a < v->size[k]; a++) v->in[k][a] += sign * h * dir[a];
    reference(v, out, &none);
    for (int64_t a = 0; a < v->size[k]; a++) v->in[k][a] -= sign * h * dir[a];
    for (int64_t a = 0; a < n; a++) sum += sign * seed[a] * out[a];
  }
  return sum / (2 * h);
}

static void check_gradient(Variant *v, Stream *s, int k, const Tensor *g, const real *seed,
                           real *out) {
  real *dir = malloc((size_t)v->size[k] * sizeof *dir), along = 0, size = 1;
  for (int64_t a = 0; a < v->size[k]; a++) {
    double x = tensor_get_f64(g, a);
    dir[a] = number(s);
    along += dir[a] * x;
    size += fabsl(dir[a] * x);
  }
  real far = slope(v, k, dir, seed, out, 1e-6L), near = slope(v, k, dir, seed, out, 1e-8L);
  /* A kink or a selection between the points: no derivative to compare with. */
  if (fabsl(far - near) <= 1e-6L * size && !(fabsl(along - near) <= 1e-5L * size))
    wrong(v, "gradient", (double)along, (double)near);
  free(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Stream s = {data, size, size};
  Variant v;
  Rt *rt = rt_open();
  if (!rt) return 0;
  choose(&s, &v);
  AttnSpec *spec = build(rt, &v);
  int64_t n = (int64_t)v.H * v.nq * v.w;
  real *ref = malloc((size_t)n * sizeof *ref), *out = malloc((size_t)n * sizeof *out);
  real *seed = malloc((size_t)n * sizeof *seed), steep = 0;
  for (int64_t a = 0; a < n; a++) seed[a] = number(&s);
  reference(&v, ref, &steep);
  for (int k = 0; k < 2; k++) {
    Tensor *grad[N_IN] = {0}, *o = run(rt, &v, spec, k ? DT_F64 : DT_F32, seed, grad);
    if (!o) wrong(&v, rt->error.message, 0, 0);
    /* Steep scores and selections magnify rounding: they are for the matrix test. */
    bool even = steep < 30 && !v.top;
    if (even) check_output(&v, o, ref, k ? 1e-9 : 2e-3);
    for (int x = 0; x < N_IN && even && k; x++) check_gradient(&v, &s, x, grad[x], seed, out);
    for (int x = 0; x < N_IN; x++) tensor_unref(rt, grad[x]);
    tensor_unref(rt, o);
  }
  attn_spec_unref(rt, spec);
  for (int k = 0; k < N_IN; k++) free(v.in[k]);
  free(ref);
  free(out);
  free(seed);
  rt_close(rt);
  return 0;
}
