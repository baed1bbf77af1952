/* Fused programs: random programs over tiles of any size, masked and not, with
 * every store and fold, against one value at a time in double; derivatives by
 * prog_derive; machine code beside strips; in-place results; bad indices.      */
#include "tests/runtime/fixture.h"
#include "runtime/program/fuse.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct { uint64_t s; } Random;
static double next(Random *r) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (double)(r->s >> 11) / 9007199254740992.0;
}
static int pick(Random *r, int n) { return (int)(next(r) * n); }
static float real(Random *r) { return (float)(2 * next(r) - 1); }

enum { M = 70, N = 300, TABLE = 800 };
enum { V_I, V_J, V_ROW, V_COL, V_X, V_Y, V_ONCE, N_VAR };
enum { S_TABLE, S_IDS, S_BIAS, S_SLOPE, N_SLOT };

typedef struct {
  double i[M], row[M], once;
  float col[N], x[M * N], y[M * N];           /* floats in either precision */
  float table[TABLE], bias[M * N], slope[4];
  int64_t ids[N];
  double table64[TABLE], bias64[M * N], slope64[4], j64[N], col64[N], x64[M * N], y64[M * N];
  float j[N];
  ProgTensor slot[2][N_SLOT];
} World;

static void world_init(World *w, Random *r) {
  for (int i = 0; i < M; i++) { w->i[i] = i + 3; w->row[i] = 0.2f + (float)next(r); }
  for (int j = 0; j < N; j++) {
    w->j64[j] = w->j[j] = (float)j;
    w->col64[j] = w->col[j] = 0.2f + (float)next(r);
    w->ids[j] = pick(r, 50);
  }
  for (int k = 0; k < M * N; k++) {
    w->x64[k] = w->x[k] = real(r);
    w->y64[k] = w->y[k] = real(r);
    w->bias64[k] = w->bias[k] = real(r);
  }
  for (int k = 0; k < TABLE; k++) w->table64[k] = w->table[k] = real(r);
  for (int k = 0; k < 4; k++) w->slope64[k] = w->slope[k] = real(r);
  w->once = 0.75;
  for (int d = 0; d < 2; d++) {
    uint8_t dt = d ? DT_F64 : DT_F32;
    const void *table = d ? (void *)w->table64 : w->table, *bias = d ? (void *)w->bias64 : w->bias,
               *slope = d ? (void *)w->slope64 : w->slope;
    w->slot[d][S_TABLE] = (ProgTensor){table, dt, 1, {TABLE}, {1}};
    w->slot[d][S_IDS] = (ProgTensor){w->ids, DT_I64, 1, {N}, {1}};
    w->slot[d][S_BIAS] = (ProgTensor){bias, dt, 2, {M + 3, N}, {N, 1}};
    w->slot[d][S_SLOPE] = (ProgTensor){slope, dt, 1, {4}, {1}};
  }
  for (int d = 0; d < 2; d++) w->slot[d][S_BIAS].shape[0] = M;
}

static void declare(Prog *p) {
  prog_init(p);
  prog_add_var(p, "i", PS_ROW, true, 0, M + 3);
  prog_add_var(p, "j", PS_COL, true, 0, N - 1);
  prog_add_var(p, "row", PS_ROW, false, 0.2, 1.2);
  prog_add_var(p, "col", PS_COL, false, 0.2, 1.2);
  prog_add_var(p, "x", PS_BOTH, false, -1, 1);
  prog_add_var(p, "y", PS_BOTH, false, -1, 1);
  prog_add_var(p, "once", PS_ONCE, false, 0.75, 0.75);
  prog_add_slot(p, "table", -1, 1);
  prog_add_slot(p, "ids", 0, 49);
  prog_add_slot(p, "bias", -1, 1);
  prog_add_slot(p, "slope", -1, 1);
}

/* ---- random expressions ---------------------------------------------------------- */

static int un(Prog *p, ProgOp op, int a) { return prog_unary(p, op, a); }
static int bi(Prog *p, ProgOp op, int a, int b) { return prog_binary(p, op, a, b); }
static int num(Prog *p, double v) { return prog_const(p, v); }

static int load(Prog *p, Random *r) {
  int i = prog_var(p, V_I), j = prog_var(p, V_J), row = bi(p, PO_SUB, i, num(p, 3)), ix[2];
  switch (pick(r, 8)) {
  case 0: ix[0] = bi(p, PO_ADD, bi(p, PO_SUB, j, i), num(p, 100)); break;       /* j - i + c */
  case 1: ix[0] = bi(p, PO_ADD, bi(p, PO_SUB, i, j), num(p, 310)); break;       /* reversed  */
  case 2: ix[0] = bi(p, PO_MOD, bi(p, PO_ADD, i, bi(p, PO_MUL, j, j)), num(p, 50)); break;
  case 3: ix[0] = prog_load(p, S_IDS, 1, &j); break;
  case 4:                                                           /* clipped distance */
    ix[0] = bi(p, PO_ADD, num(p, 20), bi(p, PO_MAX, num(p, -20),
               bi(p, PO_MIN, num(p, 20), bi(p, PO_SUB, i, j))));
    break;
  case 5: ix[0] = bi(p, PO_ADD, i, bi(p, PO_MUL, j, num(p, 2))); break;         /* stride 2 */
  case 6: return prog_load(p, S_SLOPE, 1, (int[]){num(p, pick(r, 4))});
  default: ix[0] = row; ix[1] = j; return prog_load(p, S_BIAS, 2, ix);
  }
  return prog_load(p, S_TABLE, 1, ix);
}

/* Comparisons and steps see leaves, which are the same in either precision. */
static int leaf(Prog *p, Random *r) {
  switch (pick(r, 9)) {
  case 0: return prog_var(p, V_ROW);
  case 1: return prog_var(p, V_COL);
  case 2: return prog_var(p, V_ONCE);
  case 3: return prog_var(p, V_Y);
  case 4: return load(p, r);
  case 5: return bi(p, PO_DIV, bi(p, PO_SUB, prog_var(p, V_I), prog_var(p, V_J)), num(p, 37));
  default: return prog_var(p, V_X);
  }
}

static int truth(Prog *p, Random *r, int depth) {
  static const ProgOp ops[] = {PO_EQ, PO_NE, PO_LT, PO_LE, PO_GT, PO_GE};
  if (depth && pick(r, 3) == 0)
    return bi(p, pick(r, 2) ? PO_AND : PO_OR, truth(p, r, depth - 1), truth(p, r, depth - 1));
  if (depth && pick(r, 4) == 0) return un(p, PO_NOT, truth(p, r, depth - 1));
  ProgOp op = ops[pick(r, 6)];
  switch (pick(r, 4)) {
  case 0:
    return bi(p, op, prog_var(p, V_J), bi(p, PO_ADD, prog_var(p, V_I), num(p, pick(r, 40))));
  case 1: {
    int j = prog_var(p, V_J);
    return bi(p, op, prog_load(p, S_IDS, 1, &j), num(p, pick(r, 50)));
  }
  case 2: return bi(p, op, prog_var(p, V_X), num(p, 0.25));
  default: return bi(p, op, prog_var(p, V_X), prog_var(p, V_Y));
  }
}

static const ProgOp smooth[] = {
  PO_NEG, PO_EXP, PO_TANH, PO_SIGMOID, PO_SOFTPLUS, PO_EXPM1, PO_RELU, PO_ABS, PO_ERF, PO_GELU,
  PO_SIN, PO_COS, PO_ATAN, PO_SINH, PO_COSH,
};

static int grow(Prog *p, Random *r, int depth) {
  if (depth == 0) return leaf(p, r);
  int a = grow(p, r, depth - 1);
  int positive = bi(p, PO_ADD, num(p, 1.5), bi(p, PO_MUL, a, a));
  switch (pick(r, 16)) {
  case 0: case 1: case 2:
    return un(p, PO_TANH, un(p, smooth[pick(r, pick(r, 4) ? 10 : 15)], un(p, PO_TANH, a)));
  case 3: return bi(p, PO_DIV, grow(p, r, depth - 1), positive);
  case 4: return un(p, PO_LOG, positive);
  case 5: return un(p, PO_SQRT, positive);
  case 6: return un(p, PO_LOG1P, bi(p, PO_MUL, a, a));
  case 7: return bi(p, PO_POW, positive, num(p, (pick(r, 17) - 8) / 2.0));
  case 8: return un(p, PO_RECIP0, positive);
  case 9: return bi(p, PO_MIN, a, grow(p, r, depth - 1));
  case 10: return prog_select(p, truth(p, r, 2), a, grow(p, r, depth - 1));
  case 11: {
    static const ProgOp steps[] = {PO_FLOOR, PO_CEIL, PO_ROUND, PO_TRUNC, PO_SIGN};
    int x = bi(p, PO_MUL, prog_var(p, V_X), num(p, 4));
    return bi(p, PO_MUL, num(p, 0.2), bi(p, PO_ADD, a, un(p, steps[pick(r, 5)], x)));
  }
  case 12: return bi(p, PO_MUL, a, truth(p, r, 1));
  default: {
    static const ProgOp twos[] = {PO_ADD, PO_SUB, PO_MUL, PO_MAX};
    return bi(p, twos[pick(r, 4)], a, grow(p, r, depth - 1));
  }
  }
}

/* ---- one tile ---------------------------------------------------------------------- */

enum { WANT = 3 };
typedef struct {
  double store[WANT][M * N], sum[WANT][M], max[WANT][M], min[WANT][M], col[WANT][N];
} Result;

static void bind_in(FuseRun *run, World *w, DType dt) {
  bool f = dt == DT_F32;
  run->in[V_I] = (FuseIn){w->i, 0};
  run->in[V_J] = (FuseIn){f ? (void *)w->j : w->j64, 0};
  run->in[V_ROW] = (FuseIn){w->row, 0};
  run->in[V_COL] = (FuseIn){f ? (void *)w->col : w->col64, 0};
  run->in[V_X] = (FuseIn){f ? (void *)w->x : w->x64, N};
  run->in[V_Y] = (FuseIn){f ? (void *)w->y : w->y64, N};
  run->in[V_ONCE] = (FuseIn){&w->once, 0};
}

/* The tile at once, or in four parts that meet at (row, column). */
static void run_tile(FuseRun *run, bool parts, int row, int column) {
  if (!parts) {
    fuse_tile(run);
    return;
  }
  fuse_open(run);
  fuse_part(run, row, run->m - row, column, run->n - column);
  fuse_part(run, 0, row, 0, column);
  fuse_part(run, row, run->m - row, 0, column);
  fuse_part(run, 0, row, column, run->n - column);
}

/* Runs the plan in a scratch of its very size; false: an index was out of range. */
static bool evaluate(const FusePlan *plan, World *w, DType dt, int m, int n, bool masked,
                     bool parts, Result *out) {
  size_t size = (fuse_size(plan, m, n) + 63) / 64 * 64;
  void *scratch = aligned_alloc(64, size), *store[WANT];
  FuseRun run;
  fuse_init(&run, plan, m, n, scratch);
  bind_in(&run, w, dt);
  run.slot = w->slot[dt == DT_F64];
  run.m = m;
  run.n = n;
  run.masked = masked;
  memset(out, 0, sizeof *out);
  size_t real_size = dt == DT_F32 ? 4 : 8;
  for (int k = 0; k < WANT; k++) {
    store[k] = malloc(((size_t)(m * (n + k))) * real_size);   /* a row length of its own */
    memset(store[k], 0x55, (size_t)(m * (n + k)) * real_size);
    run.out[k] = store[k];
    run.out_ld[k] = n + k;
    run.row_sum[k] = out->sum[k];
    run.row_max[k] = out->max[k];
    run.row_min[k] = out->min[k];
    run.col_sum[k] = out->col[k];
    for (int i = 0; i < m; i++) { out->max[k][i] = -INFINITY; out->min[k][i] = INFINITY; }
    for (int i = 0; i < m; i++) out->sum[k][i] = 2;           /* sums add to what is there */
  }
  fuse_once(&run);
  run_tile(&run, parts, m / 3, n / 2);
  for (int k = 0; k < WANT; k++) {
    for (int i = 0; i < m; i++)
      for (int j = 0; j < n; j++) {
        size_t at = (size_t)(i * (n + k) + j);
        out->store[k][i * n + j] = dt == DT_F32 ? (double)((float *)store[k])[at]
                                                : ((double *)store[k])[at];
      }
    free(store[k]);
  }
  free(scratch);
  return run.bad_slot < 0;
}

static void reference(const Prog *p, World *w, int m, int n, bool masked, int mask,
                      const FuseWant *want, Result *out) {
  double *value = malloc((size_t)p->n * sizeof *value);
  memset(out, 0, sizeof *out);
  for (int k = 0; k < WANT; k++)
    for (int i = 0; i < m; i++) {
      out->sum[k][i] = 2;
      out->max[k][i] = -INFINITY;
      out->min[k][i] = INFINITY;
    }
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      double var[N_VAR] = {w->i[i], j, w->row[i], w->col[j], w->x[i * N + j], w->y[i * N + j],
                           w->once};
      int bad;
      assert_true(prog_eval(p, p->n - 1, var, w->slot[1], value, &bad));
      bool open = !masked || mask < 0 || value[mask] != 0;
      for (int k = 0; k < WANT; k++) {
        double x = open ? value[want[k].node] : want[k].closed;
        out->store[k][i * n + j] = x;
        if (!open) continue;
        out->sum[k][i] += x;
        out->max[k][i] = fmax(out->max[k][i], x);
        out->min[k][i] = fmin(out->min[k][i], x);
        out->col[k][j] += x;
      }
    }
  free(value);
}

static void near(const char *what, double x, double y, double tolerance) {
  if (x == y || fabs(x - y) <= tolerance * (1 + fabs(y))) return;
  fail_msg("%s: %.9g, expected %.9g", what, x, y);
}

static void compare(const FuseWant *want, const Result *got, const Result *right, int m, int n,
                    double tolerance) {
  for (int k = 0; k < WANT; k++) {
    for (int i = 0; i < m; i++) {
      if (want[k].row_sum) near("row sum", got->sum[k][i], right->sum[k][i], tolerance);
      if (want[k].row_max) near("row maximum", got->max[k][i], right->max[k][i], tolerance);
      if (want[k].row_min) near("row minimum", got->min[k][i], right->min[k][i], tolerance);
    }
    for (int j = 0; j < n && want[k].column_sum; j++)
      near("column sum", got->col[k][j], right->col[k][j], tolerance);
    for (int at = 0; at < m * n && want[k].store; at++)
      near("stored", got->store[k][at], right->store[k][at], tolerance);
  }
}

static void random_wants(Random *r, const int *node, FuseWant *want) {
  for (int k = 0; k < WANT; k++)
    want[k] = (FuseWant){node[k], k ? 0 : -3, pick(r, 4) != 0, pick(r, 2), pick(r, 3) == 0,
                         pick(r, 3) == 0, pick(r, 3) == 0};
}

static void random_size(Random *r, int *m, int *n) {
  static const int some[] = {1, 3, 7, 8, 15, 16, 17, 31, 33, 48, 63, 64};
  *m = pick(r, 2) ? some[pick(r, 12)] : 1 + pick(r, M);
  *n = pick(r, 2) ? some[pick(r, 12)] : 1 + pick(r, pick(r, 4) ? 70 : N);
}

static const uint8_t dtypes[2][N_SLOT] = {{DT_F32, DT_I64, DT_F32, DT_F32},
                                          {DT_F64, DT_I64, DT_F64, DT_F64}};

/* Machine code for this processor, for AVX2, and strips. */
enum { LEVELS = 3 };
static const char *const levels[LEVELS] = {"1", "avx2", "0"};

static void trial(Random *r, World *w, Result *got, Result *right, bool derive) {
  Prog p;
  declare(&p);
  FuseWant want[WANT];
  int node[WANT], m, n;
  for (int k = 0; k < WANT; k++) node[k] = grow(&p, r, 1 + pick(r, 3));
  if (derive) {
    int leaves[2] = {prog_var(&p, V_X), prog_var(&p, V_COL)}, adjoint[2];
    int out = un(&p, PO_TANH, node[0]), seed = prog_var(&p, V_Y);
    assert_int_equal(prog_derive(rt, &p, out, seed, 2, leaves, adjoint), RT_OK);
    for (int k = 0; k < 2; k++) node[k] = adjoint[k] >= 0 ? adjoint[k] : out;
  }
  int mask = pick(r, 3) ? truth(&p, r, 2) : -1;
  random_wants(r, node, want);
  random_size(r, &m, &n);
  bool masked = pick(r, 4) != 0, parts = pick(r, 2);
  reference(&p, w, m, n, masked, mask, want, right);
  for (int d = 0; d < 2 * LEVELS; d++) {
    DType dt = d % 2 ? DT_F64 : DT_F32;
    double tolerance = (d % 2 ? 1e-12 : 4e-5) * (derive ? 10 : 1);
    setenv("QA_EMIT", levels[d / 2], 1);
    FusePlan *plan = fuse_plan(rt, &p, dt, dtypes[d % 2], mask, WANT, want);
    assert_non_null(plan);
    assert_true(evaluate(plan, w, dt, m, n, masked, parts, got));
    compare(want, got, right, m, n, tolerance);
    fuse_plan_free(rt, plan);
  }
  prog_free(&p);
}

static void run_trials(int count, uint64_t seed, bool derive) {
  Random r = {seed};
  World *w = malloc(sizeof *w);
  Result *got = malloc(sizeof *got), *right = malloc(sizeof *right);
  world_init(w, &r);
  for (int k = 0; k < count; k++) trial(&r, w, got, right, derive);
  free(got);
  free(right);
  free(w);
}

static void tiles_match_single_values(void **s) { run_trials(200, 5, false); }
static void derivatives_match_single_values(void **s) { run_trials(100, 6, true); }

/* ---- one function --------------------------------------------------------------------- */

/* Stores of one node over a tile of m x n, x and y given; reals as doubles. */
static FusePlan *one_plan(const Prog *p, DType dt, int mask, const FuseWant *want, int n_want,
                          const char *level) {
  setenv("QA_EMIT", level, 1);
  FusePlan *plan = fuse_plan(rt, p, dt, dtypes[dt == DT_F64], mask, n_want, want);
  if (!plan) fail_msg("%s", rt->error.message);
  return plan;
}

typedef struct { FuseRun run; void *scratch; } Tile;
static Tile open_tile(const FusePlan *plan, World *w, DType dt, int m, int n) {
  Tile t;
  t.scratch = aligned_alloc(64, (fuse_size(plan, m, n) + 63) / 64 * 64);
  fuse_init(&t.run, plan, m, n, t.scratch);
  bind_in(&t.run, w, dt);
  t.run.slot = w->slot[dt == DT_F64];
  t.run.m = m;
  t.run.n = n;
  t.run.masked = true;
  return t;
}

static bool same_bits(const void *x, const void *y, DType dt) {
  if (dt == DT_F32) {
    float a = *(const float *)x, b = *(const float *)y;
    return (a != a && b != b) || memcmp(x, y, 4) == 0 || (a == 0 && b == 0);
  }
  double a = *(const double *)x, b = *(const double *)y;
  return (a != a && b != b) || memcmp(x, y, 8) == 0 || (a == 0 && b == 0);
}

static double value_at(const void *x, int k, DType dt) {
  return dt == DT_F32 ? (double)((const float *)x)[k] : ((const double *)x)[k];
}

/* Arguments of all sizes and signs, and the special ones. */
static void fill_arguments(World *w, Random *r, int count) {
  static const double special[] = {0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 1e-45, -1e-45, 1e-39,
                                   1e-308, 88.7, 88.8, 89.1, -87.4, -103.9, -104.1, 709.7, 709.9,
                                   -745.1, -746.2, 0.55, 0.65, -0.65, 1e30, -1e30, 3e38, 0.41, -0.29};
  for (int k = 0; k < count; k++) {
    double x = (2 * next(r) - 1) * pow(10, pick(r, 9) - 5);
    if (k < (int)(sizeof special / sizeof *special)) x = special[k];
    w->x64[k] = x;
    w->x[k] = (float)x;
  }
}

/* The functions with vector code give the bits of the tensor kernels of the
 * same level; without fused multiply-add in those (sanitizer builds), nearly.   */
static void functions_match_kernels(void **state) {
  (void)state;
  static const ProgOp ops[] = {PO_NEG, PO_ABS, PO_SIGN, PO_SQRT, PO_EXP, PO_LOG, PO_LOG1P, PO_EXPM1,
                               PO_TANH, PO_ERF, PO_GELU, PO_SIGMOID, PO_SOFTPLUS, PO_FLOOR, PO_CEIL,
                               PO_ROUND, PO_TRUNC, PO_RELU, PO_RECIP0};
  enum { ROWS = 8, COLS = 200, COUNT = ROWS * COLS };
  bool exact = kernels()->level[0] == 'x';
  Random r = {21};
  World *w = malloc(sizeof *w);
  world_init(w, &r);
  fill_arguments(w, &r, COUNT);
  double *out[2] = {malloc(COUNT * 8), malloc(COUNT * 8)};
  for (int q = 0; q < (int)(sizeof ops / sizeof *ops) * 4; q++) {
    DType dt = q & 1 ? DT_F64 : DT_F32;
    size_t size = dt == DT_F32 ? 4 : 8;
    Prog p;
    declare(&p);
    p.var[V_X].range = (Interval){-INFINITY, INFINITY};
    ProgOp op = ops[q / 4];
    FuseWant want = {.node = un(&p, op, prog_var(&p, V_X)), .store = true};
    for (int code = 0; code < 2; code++) {
      FusePlan *plan = one_plan(&p, dt, -1, &want, 1, code ? levels[q >> 1 & 1] : "0");
      Tile t = open_tile(plan, w, dt, ROWS, COLS);
      t.run.in[V_X].ld = COLS;
      t.run.out[0] = out[code];
      t.run.out_ld[0] = COLS;
      fuse_once(&t.run);
      fuse_tile(&t.run);
      free(t.scratch);
      fuse_plan_free(rt, plan);
    }
    for (int k = 0; k < COUNT; k++) {
      double x = value_at(out[1], k, dt), y = value_at(out[0], k, dt), ulp = q & 1 ? 3e-16 : 1.3e-7;
      bool right = same_bits((char *)out[1] + (size_t)k * size, (char *)out[0] + (size_t)k * size, dt);
      if (right || (!exact && fabs(x - y) <= 8 * ulp * fabs(y) + 1e-44)) continue;
      fail_msg("%s of %.9g: %.17g by code, %.17g by strips (%s)", prog_op_name(op),
               dt == DT_F32 ? (double)w->x[k] : w->x64[k], x, y, levels[q >> 1 & 1]);
    }
    prog_free(&p);
  }
  free(out[0]);
  free(out[1]);
  free(w);
}

/* exp of what a product has rounded: as near as its argument; infinities and NaN as ever. */
static void exponentials_of_results(void **state) {
  (void)state;
  enum { ROWS = 8, COLS = 200, COUNT = ROWS * COLS };
  Random r = {22};
  World *w = malloc(sizeof *w);
  world_init(w, &r);
  fill_arguments(w, &r, COUNT);
  float *out = malloc(COUNT * sizeof *out);
  Prog p;
  declare(&p);
  p.var[V_X].range = (Interval){-INFINITY, INFINITY};
  int x = bi(&p, PO_MUL, prog_var(&p, V_X), num(&p, 0.75));
  FuseWant want = {.node = un(&p, PO_EXP, x), .store = true};
  for (int k = 0; k < LEVELS; k++) {
    FusePlan *plan = one_plan(&p, DT_F32, -1, &want, 1, levels[k]);
    Tile t = open_tile(plan, w, DT_F32, ROWS, COLS);
    t.run.in[V_X].ld = COLS;
    t.run.out[0] = out;
    t.run.out_ld[0] = COLS;
    fuse_once(&t.run);
    fuse_tile(&t.run);
    free(t.scratch);
    for (int at = 0; at < COUNT; at++) {
      double y = 0.75 * (double)w->x[at], right = exp(y), got = (double)out[at];
      bool same = got == (double)(float)right || (isnan(got) && isnan(right));
      if (!same && !(fabs(got - right) <= (1.3e-7 + 1.3e-7 * fabs(y)) * right + 1.5e-45))
        fail_msg("exp of %.9g: %.9g, not %.9g (%s)", y, got, right, levels[k]);
    }
    fuse_plan_free(rt, plan);
  }
  free(out);
  prog_free(&p);
  free(w);
}

/* ---- the rest of the contract ------------------------------------------------------------ */

static void results_may_replace_inputs(void **state) {
  (void)state;
  Random r = {8};
  for (int k = 0; k < 2 * LEVELS; k++) {
    DType dt = k & 1 ? DT_F64 : DT_F32;
    World *w = malloc(sizeof *w), *old = malloc(sizeof *old);
    world_init(w, &r);
    memcpy(old, w, sizeof *w);
    Prog p;
    declare(&p);
    int x = prog_var(&p, V_X), y = prog_var(&p, V_Y);
    FuseWant want[2] = {{.node = bi(&p, PO_ADD, bi(&p, PO_MUL, x, y), prog_var(&p, V_ROW)),
                         .store = true},
                        {.node = x, .store = true, .row_sum = true}};
    FusePlan *plan = one_plan(&p, dt, -1, want, 2, levels[k / 2]);
    Tile t = open_tile(plan, w, dt, 33, 45);
    double sum[33] = {0};
    t.run.out[0] = (void *)t.run.in[V_X].at;     /* the product over x, x over y */
    t.run.out[1] = (void *)t.run.in[V_Y].at;
    t.run.out_ld[0] = t.run.out_ld[1] = N;
    t.run.row_sum[1] = sum;
    fuse_once(&t.run);
    fuse_tile(&t.run);
    for (int i = 0; i < 33; i++)
      for (int j = 0; j < 48; j++) {
        int at = i * N + j;
        double a = old->x64[at], b = old->y64[at];
        double first = dt == DT_F32 ? (double)w->x[at] : w->x64[at];
        double second = dt == DT_F32 ? (double)w->y[at] : w->y64[at];
        near("in place", first, j < 45 ? a * b + old->row[i] : a, 1e-6);
        near("copied", second, j < 45 ? a : b, 0);
      }
    free(t.scratch);
    fuse_plan_free(rt, plan);
    prog_free(&p);
    free(w);
    free(old);
  }
}

/* d/d(row) of sum_j tanh(row x) y^2 in a program that sums its columns itself. */
static void sums_over_columns(void **state) {
  (void)state;
  Random r = {9};
  World *w = malloc(sizeof *w);
  world_init(w, &r);
  for (int k = 0; k < 2 * LEVELS; k++) {
    DType dt = k & 1 ? DT_F64 : DT_F32;
    Prog p;
    declare(&p);
    int row = prog_var(&p, V_ROW), x = prog_var(&p, V_X), adjoint;
    int square = bi(&p, PO_MUL, row, row);
    int out = un(&p, PO_TANH, bi(&p, PO_MUL, square, x));
    assert_int_equal(prog_derive(rt, &p, out, prog_var(&p, V_Y), 1, &row, &adjoint), RT_OK);
    int mask = bi(&p, PO_LT, prog_var(&p, V_J), num(&p, 29));
    FuseWant want = {.node = adjoint, .row_sum = true};
    FusePlan *plan = one_plan(&p, dt, mask, &want, 1, levels[k / 2]);
    Tile t = open_tile(plan, w, dt, 21, 37);
    double sum[21] = {0};
    t.run.row_sum[0] = sum;
    fuse_once(&t.run);
    fuse_tile(&t.run);
    for (int i = 0; i < 21; i++) {
      double right = 0, a = w->row[i];
      for (int j = 0; j < 29; j++) {
        double y = tanh(a * a * w->x64[i * N + j]);
        right += w->y64[i * N + j] * (1 - y * y) * w->x64[i * N + j] * 2 * a;
      }
      near("sum over columns", sum[i], right, 1e-5);
    }
    free(t.scratch);
    fuse_plan_free(rt, plan);
    prog_free(&p);
  }
  free(w);
}

/* Out of range is reported, unless the mask leaves the pair out. */
static void indices_out_of_range(void **state) {
  (void)state;
  Random r = {10};
  World *w = malloc(sizeof *w);
  float *out = malloc(64 * 64 * sizeof *out);
  world_init(w, &r);
  for (int k = 0; k < 3 * LEVELS * 2; k++) {
    Prog p;
    declare(&p);
    int i = prog_var(&p, V_I), j = prog_var(&p, V_J), ix;
    if (k % 3 == 0) ix = bi(&p, PO_ADD, bi(&p, PO_SUB, j, i), num(&p, 790));      /* in place  */
    else if (k % 3 == 1) ix = bi(&p, PO_ADD, bi(&p, PO_SUB, i, j), num(&p, 790)); /* diagonals */
    else ix = bi(&p, PO_ADD, bi(&p, PO_MUL, j, j), i);                           /* strips    */
    bool masked = k / 3 % 2;
    int mask = masked ? bi(&p, PO_LT, ix, num(&p, TABLE)) : -1;
    FuseWant want = {.node = prog_load(&p, S_TABLE, 1, &ix), .closed = -7, .store = true};
    FusePlan *plan = one_plan(&p, DT_F32, mask, &want, 1, levels[k / 6]);
    Tile t = open_tile(plan, w, DT_F32, 40, 60);
    t.run.out[0] = out;
    t.run.out_ld[0] = 60;
    fuse_once(&t.run);
    fuse_tile(&t.run);
    assert_int_equal(t.run.bad_slot, masked ? -1 : S_TABLE);
    if (!masked) assert_true(t.run.bad_index >= TABLE && t.run.bad_axis == 0);
    for (int at = 0; at < 40 * 60 && masked; at++) {
      int a = at / 60 + 3, b = at % 60;
      int place = k % 3 == 0 ? b - a + 790 : k % 3 == 1 ? a - b + 790 : b * b + a;
      near("looked up", out[at], place < TABLE ? (double)w->table[place] : -7, 0);
    }
    free(t.scratch);
    fuse_plan_free(rt, plan);
    prog_free(&p);
  }
  free(out);
  free(w);
}

/* Positions that floats do not hold are compared exactly all the same. */
static void far_positions(void **state) {
  (void)state;
  Random r = {11};
  World *w = malloc(sizeof *w);
  double out[8 * 40];
  float real_out[8 * 40];
  world_init(w, &r);
  for (int i = 0; i < 8; i++) w->i[i] = 16777216.0 + i;
  for (int k = 0; k < LEVELS; k++) {
    Prog p;
    declare(&p);
    int far = bi(&p, PO_EQ, prog_var(&p, V_I), num(&p, 16777217));
    FuseWant want = {.node = prog_select(&p, far, prog_var(&p, V_X), num(&p, 0)), .store = true};
    FusePlan *plan = one_plan(&p, DT_F32, -1, &want, 1, levels[k]);
    Tile t = open_tile(plan, w, DT_F32, 8, 40);
    t.run.out[0] = real_out;
    t.run.out_ld[0] = 40;
    fuse_once(&t.run);
    fuse_tile(&t.run);
    for (int at = 0; at < 8 * 40; at++) {
      out[at] = real_out[at];
      near("far", out[at], at / 40 == 1 ? (double)w->x[N + at % 40] : 0, 0);
    }
    free(t.scratch);
    fuse_plan_free(rt, plan);
    prog_free(&p);
  }
  free(w);
}

static void says_how(void **state) {
  (void)state;
  Prog p;
  declare(&p);
  int x = prog_var(&p, V_X), j = prog_var(&p, V_J), i = prog_var(&p, V_I), ix = bi(&p, PO_SUB, i, j);
  int load = prog_load(&p, S_TABLE, 1, &ix);
  FuseWant want = {.node = bi(&p, PO_ADD, un(&p, PO_DIGAMMA, x), load), .store = true};
  FusePlan *plan = one_plan(&p, DT_F32, -1, &want, 1, "0");
  assert_false(fuse_emitted(plan));
  assert_non_null(strstr(fuse_how(plan), "strips"));
  assert_true(fuse_ops(plan) > 0);
  fuse_plan_free(rt, plan);
  plan = one_plan(&p, DT_F32, -1, &want, 1, "1");
  if (fuse_emitted(plan)) {
    assert_non_null(strstr(fuse_how(plan), "code, 1 operations a vector"));
    assert_non_null(strstr(fuse_how(plan), "digamma by strips"));
    assert_non_null(strstr(fuse_how(plan), "load by diagonals"));
  }
  fuse_plan_free(rt, plan);
  FuseWant many[FUSE_MAX_WANT + 1] = {{0}};
  assert_null(fuse_plan(rt, &p, DT_F32, dtypes[0], -1, FUSE_MAX_WANT + 1, many));
  assert_non_null(strstr(rt->error.message, "at most"));
  prog_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(tiles_match_single_values),
    cmocka_unit_test(derivatives_match_single_values),
    cmocka_unit_test(functions_match_kernels),
    cmocka_unit_test(exponentials_of_results), cmocka_unit_test(results_may_replace_inputs),
    cmocka_unit_test(sums_over_columns), cmocka_unit_test(indices_out_of_range),
    cmocka_unit_test(far_positions), cmocka_unit_test(says_how),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
