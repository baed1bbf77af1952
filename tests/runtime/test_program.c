/* Programs: strips against one-at-a-time evaluation, derivatives against
 * central differences, intervals against samples, masks, errors.             */
#include "runtime/program/program.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct { uint64_t s; } Random;
static double next(Random *r) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (double)(r->s >> 11) / 9007199254740992.0;
}
static int pick(Random *r, int n) { return (int)(next(r) * n); }

enum { COLS = 200, ROWS = 7 };
enum { V_I, V_J, V_ROW, V_COL, V_FULL, V_ONCE, V_SEED, N_VAR };

typedef struct {
  double row[ROWS], col[COLS], full[ROWS * COLS], once, seed[ROWS * COLS];
  double table[50];
  int64_t ids[COLS];
  ProgTensor slot[2];
} World;

static void world_init(World *w, Random *r) {
  for (int i = 0; i < ROWS; i++) w->row[i] = 0.2 + next(r);
  for (int j = 0; j < COLS; j++) { w->col[j] = 0.2 + next(r); w->ids[j] = pick(r, 50); }
  for (int k = 0; k < ROWS * COLS; k++) {
    w->full[k] = 2 * next(r) - 1;
    w->seed[k] = 2 * next(r) - 1;
  }
  for (int k = 0; k < 50; k++) w->table[k] = 0.1 + next(r);
  w->once = 0.7;
  w->slot[0] = (ProgTensor){w->table, DT_F64, 1, {50}, {1}};
  w->slot[1] = (ProgTensor){w->ids, DT_I64, 1, {COLS}, {1}};
}

static void declare(Prog *p) {
  prog_init(p);
  prog_add_var(p, "i", PS_ROW, true, 0, ROWS - 1);
  prog_add_var(p, "j", PS_COL, true, 0, COLS - 1);
  prog_add_var(p, "row", PS_ROW, false, 0.2, 1.2);
  prog_add_var(p, "col", PS_COL, false, 0.2, 1.2);
  prog_add_var(p, "full", PS_BOTH, false, -1, 1);
  prog_add_var(p, "once", PS_ONCE, false, 0.7, 0.7);
  prog_add_var(p, "seed", PS_BOTH, false, -1, 1);
  prog_add_slot(p, "table", 0.1, 1.1);
  prog_add_slot(p, "ids", 0, 49);
}

/* A random smooth expression of bounded size. */
static int grow(Prog *p, Random *r, int depth) {
  if (depth == 0) {
    int j = prog_var(p, V_J), i = prog_var(p, V_I);
    switch (pick(r, 8)) {
    case 0: return prog_var(p, V_ROW);
    case 1: return prog_var(p, V_COL);
    case 2: return prog_var(p, V_ONCE);
    case 3:
      return prog_load(
          p, 0, 1,
          (int[]){prog_binary(p, PO_MOD, prog_binary(p, PO_ADD, i, j), prog_const(p, 50))});
    case 4: return prog_load(p, 0, 1, (int[]){prog_load(p, 1, 1, &j)});
    case 5: return prog_binary(p, PO_DIV, prog_binary(p, PO_SUB, i, j), prog_const(p, 37));
    default: return prog_var(p, V_FULL);
    }
  }
  static const ProgOp ones[] = {PO_NEG, PO_EXP, PO_SIN, PO_COS, PO_TANH, PO_ATAN, PO_SIGMOID,
                                PO_SOFTPLUS, PO_ERF, PO_GELU, PO_COSH, PO_SINH};
  static const ProgOp twos[] = {PO_ADD, PO_SUB, PO_MUL, PO_ADD, PO_SUB, PO_MUL};
  int a = grow(p, r, depth - 1);
  switch (pick(r, 8)) {
  case 0:
    return prog_unary(p, PO_TANH, prog_unary(p, ones[pick(r, 12)], prog_unary(p, PO_TANH, a)));
  case 1:
    return prog_binary(p, PO_DIV, grow(p, r, depth - 1),
                       prog_binary(p, PO_ADD, prog_const(p, 1.5), prog_binary(p, PO_MUL, a, a)));
  case 2:
    return prog_unary(p, PO_LOG,
                      prog_binary(p, PO_ADD, prog_const(p, 2), prog_binary(p, PO_MUL, a, a)));
  case 3:
    return prog_binary(p, PO_POW, prog_unary(p, PO_SOFTPLUS, a),
                       prog_unary(p, PO_TANH, grow(p, r, depth - 1)));
  case 4:
    return prog_select(p,
                       prog_binary(p, PO_LT, prog_var(p, V_J),
                                   prog_binary(p, PO_ADD, prog_const(p, 90.5), prog_var(p, V_I))),
                       a, grow(p, r, depth - 1));
  default: return prog_binary(p, twos[pick(r, 6)], a, grow(p, r, depth - 1));
  }
}

static void point(const World *w, int i, int j, double var[N_VAR]) {
  double v[N_VAR] = {
      i, j, w->row[i], w->col[j], w->full[i * COLS + j], w->once, w->seed[i * COLS + j]};
  memcpy(var, v, sizeof v);
}

/* Runs the plan over the whole index range; out[k] is ROWS x COLS (scalars repeated). */
static void run_all(ProgPlan *plan, const World *w, DType dt, int n_out, double **out) {
  void *scratch = aligned_alloc(64, (prog_run_size(plan) + 63) / 64 * 64);
  ProgRun run;
  prog_run_init(&run, plan, scratch);
  double ramp[COLS], var[N_VAR];
  float colf[COLS], fullf[COLS], seedf[COLS];
  const void *strip[N_VAR] = {0};
  for (int j = 0; j < COLS; j++) { ramp[j] = j; colf[j] = (float)w->col[j]; }
  run.slot = w->slot;
  run.var = var;
  run.strip = strip;
  strip[V_J] = ramp;
  strip[V_COL] = dt == DT_F32 ? (const void *)colf : w->col;
  point(w, 0, 0, var);
  prog_run_once(&run);
  prog_run_col(&run, COLS);
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < COLS; j++) {
      fullf[j] = (float)w->full[i * COLS + j];
      seedf[j] = (float)w->seed[i * COLS + j];
    }
    strip[V_FULL] = dt == DT_F32 ? (const void *)fullf : w->full + i * COLS;
    strip[V_SEED] = dt == DT_F32 ? (const void *)seedf : w->seed + i * COLS;
    point(w, i, 0, var);
    prog_run_row(&run);
    prog_run_both(&run, COLS);
    for (int k = 0; k < n_out; k++) {
      double s;
      const void *x = prog_out(&run, k, &s);
      for (int j = 0; j < COLS; j++)
        out[k][i * COLS + j] = !x ? s : dt == DT_F32 && !prog_out_wide(plan, k)
                             ? (double)((const float *)x)[j] : ((const double *)x)[j];
    }
  }
  assert_int_equal(run.bad_slot, -1);
  free(scratch);
}

static void strips_match_single_values(void **state) {
  Rt *rt = *state;
  Random r = {7};
  for (int trial = 0; trial < 200; trial++) {
    World *w = malloc(sizeof *w);
    world_init(w, &r);
    Prog p;
    declare(&p);
    int node = grow(&p, &r, 4);
    uint8_t dts[2] = {DT_F64, DT_I64};
    double *out = malloc(ROWS * COLS * sizeof(double)),
           *value = malloc((size_t)p.n * sizeof(double));
    for (int k = 0; k < 2; k++) {
      DType dt = k ? DT_F32 : DT_F64;
      ProgPlan *plan = prog_plan(rt, &p, dt, dts, 1, &node);
      assert_non_null(plan);
      run_all(plan, w, dt, 1, &out);
      double worst = 0, scale = 1e-30;
      for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) {
          double var[N_VAR];
          int bad;
          point(w, i, j, var);
          assert_true(prog_eval(&p, node, var, w->slot, value, &bad));
          scale = fmax(scale, fabs(value[node]));
          worst = fmax(worst, fabs(value[node] - out[i * COLS + j]));
        }
      assert_true(worst <= (dt == DT_F32 ? 2e-5 : 1e-13) * fmax(scale, 1));
      prog_plan_free(rt, plan);
    }
    free(out); free(value); free(w);
    prog_free(&p);
  }
}

/* sum over all pairs of seed * f, as a function of the leaves */
static double total(const Prog *p, int node, const World *w, double *value) {
  double s = 0;
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLS; j++) {
      double var[N_VAR];
      int bad;
      point(w, i, j, var);
      assert_true(prog_eval(p, node, var, w->slot, value, &bad));
      s += value[node] * var[V_SEED];
    }
  return s;
}

static void check_leaf(const Prog *p, int node, World *w, double *at, double grad) {
  double *value = malloc((size_t)p->n * sizeof(double)), x = *at, h = 1e-5;
  *at = x + h;
  double up = total(p, node, w, value);
  *at = x - h;
  double down = total(p, node, w, value);
  *at = x;
  double expected = (up - down) / (2 * h);
  if (!(fabs(expected - grad) <= 1e-6 * fmax(1, fabs(expected))))
    fail_msg("derivative %.12g, central difference %.12g", grad, expected);
  free(value);
}

static void derivatives_match_differences(void **state) {
  Rt *rt = *state;
  Random r = {99};
  for (int trial = 0; trial < 60; trial++) {
    World *w = malloc(sizeof *w);
    world_init(w, &r);
    Prog p;
    declare(&p);
    int node = grow(&p, &r, 3), j = prog_var(&p, V_J);
    int ids = prog_load(&p, 1, 1, &j);
    int leaf[5] = {prog_var(&p, V_ROW), prog_var(&p, V_COL), prog_var(&p, V_FULL),
                   prog_var(&p, V_ONCE), prog_load(&p, 0, 1, &ids)},
        adj[5];
    assert_int_equal(prog_derive(rt, &p, node, prog_var(&p, V_SEED), 5, leaf, adj), RT_OK);
    uint8_t dts[2] = {DT_F64, DT_I64};
    ProgPlan *plan = prog_plan(rt, &p, DT_F64, dts, 5, adj);
    assert_non_null(plan);
    double *out[5];
    for (int k = 0; k < 5; k++) out[k] = malloc(ROWS * COLS * sizeof(double));
    run_all(plan, w, DT_F64, 5, out);
    double once = 0, row = 0, col = 0;
    for (int i = 0; i < ROWS; i++) { once += out[3][i * COLS]; col += out[1][i * COLS + 3]; }
    row = out[0][2 * COLS];
    check_leaf(&p, node, w, &w->once, once);
    check_leaf(&p, node, w, &w->row[2], row);
    check_leaf(&p, node, w, &w->col[3], col);
    check_leaf(&p, node, w, &w->full[4 * COLS + 11], out[2][4 * COLS + 11]);
    for (int k = 0; k < 5; k++) free(out[k]);
    prog_plan_free(rt, plan);
    prog_free(&p);
    free(w);
  }
}

static void intervals_enclose(void **state) {
  Random r = {5};
  for (int trial = 0; trial < 300; trial++) {
    World *w = malloc(sizeof *w);
    world_init(w, &r);
    Prog p;
    declare(&p);
    int node = grow(&p, &r, 3);
    Interval *s = malloc((size_t)p.n * sizeof *s);
    double *value = malloc((size_t)p.n * sizeof(double));
    Interval b = prog_interval(&p, node, &(ProgRanges){0}, s);
    for (int k = 0; k < 200; k++) {
      double var[N_VAR];
      int bad;
      point(w, pick(&r, ROWS), pick(&r, COLS), var);
      assert_true(prog_eval(&p, node, var, w->slot, value, &bad));
      double slack = 1e-9 * (1 + fabs(value[node]));
      if (!(value[node] >= b.lo - slack && value[node] <= b.hi + slack))
        fail_msg("%g is outside [%g, %g]", value[node], b.lo, b.hi);
    }
    free(s); free(value); free(w);
    prog_free(&p);
  }
}

static Interval tile(Prog *p, int node, double i0, double i1, double j0, double j1) {
  Interval var[N_VAR], s[256];
  for (int k = 0; k < N_VAR; k++) var[k] = p->var[k].range;
  var[V_I] = (Interval){i0, i1};
  var[V_J] = (Interval){j0, j1};
  return prog_interval(p, node, &(ProgRanges){.var = var}, s);
}

static void masks_classify_tiles(void **state) {
  Prog p;
  declare(&p);
  int i = prog_var(&p, V_I), j = prog_var(&p, V_J);
  int causal = prog_binary(&p, PO_LE, j, i);
  int window =
      prog_binary(&p, PO_AND, causal,
                  prog_binary(&p, PO_LT, prog_binary(&p, PO_SUB, i, j), prog_const(&p, 64)));
  int dilated =
      prog_binary(&p, PO_EQ, prog_binary(&p, PO_MOD, j, prog_const(&p, 64)), prog_const(&p, 0));
  Interval x = tile(&p, causal, 0, 63, 64, 127);
  assert_true(x.lo == 0 && x.hi == 0);
  x = tile(&p, causal, 64, 127, 0, 63);
  assert_true(x.lo == 1 && x.hi == 1);
  x = tile(&p, causal, 0, 63, 0, 63);
  assert_true(x.lo == 0 && x.hi == 1);
  x = tile(&p, window, 256, 319, 64, 127);
  assert_true(x.lo == 0 && x.hi == 0);
  x = tile(&p, dilated, 0, 63, 1, 63);
  assert_true(x.lo == 0 && x.hi == 0);
  x = tile(&p, dilated, 0, 63, 0, 63);
  assert_true(x.lo == 0 && x.hi == 1);
  prog_free(&p);
}

static void sharing_and_folding(void **state) {
  Prog p;
  declare(&p);
  int a = prog_var(&p, V_FULL), two = prog_const(&p, 2);
  assert_int_equal(prog_binary(&p, PO_MUL, a, two), prog_binary(&p, PO_MUL, two, a));
  double v;
  assert_true(prog_is_const(&p, prog_binary(&p, PO_POW, two, prog_const(&p, 10)), &v) && v == 1024);
  assert_int_equal(prog_binary(&p, PO_ADD, a, prog_const(&p, 0)), a);
  /* exp(a) * 2 / exp(row)  has the logarithm  a + log 2 - row */
  int w = prog_binary(&p, PO_DIV, prog_binary(&p, PO_MUL, prog_unary(&p, PO_EXP, a), two),
                      prog_unary(&p, PO_EXP, prog_var(&p, V_ROW)));
  int u = prog_log(&p, w);
  assert_true(u >= 0);
  assert_int_equal(prog_log(&p, prog_binary(&p, PO_ADD, w, two)), -1);
  Buf text = {0};
  prog_show(&p, prog_binary(&p, PO_MUL, prog_binary(&p, PO_ADD, a, two), two), &text);
  assert_string_equal(text.data, "2 * (full + 2)");
  buf_free(&text);
  prog_free(&p);
}

static void bad_indices(void **state) {
  Rt *rt = *state;
  Random r = {3};
  World *w = malloc(sizeof *w);
  world_init(w, &r);
  Prog p;
  declare(&p);
  int j = prog_var(&p, V_J), node = prog_load(&p, 0, 1, &j);
  uint8_t dts[2] = {DT_F64, DT_I64};
  ProgPlan *plan = prog_plan(rt, &p, DT_F64, dts, 1, &node);
  void *scratch = aligned_alloc(64, (prog_run_size(plan) + 63) / 64 * 64);
  ProgRun run;
  prog_run_init(&run, plan, scratch);
  double ramp[COLS], var[N_VAR] = {0};
  for (int k = 0; k < COLS; k++) ramp[k] = k;
  const void *strip[N_VAR] = {[V_J] = ramp};
  run.slot = w->slot;
  run.strip = strip;
  run.var = var;
  prog_run_col(&run, 51);
  assert_int_equal(run.bad_slot, 0);
  assert_int_equal(run.bad_index, 50);
  free(scratch);
  prog_plan_free(rt, plan);
  int half = prog_binary(&p, PO_DIV, j, prog_const(&p, 2)), bad = prog_load(&p, 0, 1, &half);
  assert_null(prog_plan(rt, &p, DT_F64, dts, 1, &bad));
  assert_non_null(strstr(rt->error.message, "no integer"));
  prog_free(&p);
  free(w);
}

static int open_rt(void **state) { return (*state = rt_open()) ? 0 : -1; }
static int close_rt(void **state) { rt_close(*state); return 0; }

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(strips_match_single_values), cmocka_unit_test(derivatives_match_differences),
    cmocka_unit_test(intervals_enclose), cmocka_unit_test(masks_classify_tiles),
    cmocka_unit_test(sharing_and_folding), cmocka_unit_test(bad_indices),
  };
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
