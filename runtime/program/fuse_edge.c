/* fuse_edge.c: matrices of a tile that follow from its edge.
 *
 * A value that depends on i - j alone is the same along a diagonal: it is
 * computed for the m + n - 1 diagonals and read with a step of -1 from row to
 * row.  A load whose indices are sums of something of the row and something of
 * the column, and whose columns lie side by side, is read where it lies.  Both
 * are found from the pairs of the first column (upwards) and the first row; a
 * tile where they do not hold (an index out of range, positions with gaps,
 * another step) is left to strips.                                            */
#pragma GCC optimize("O3", "no-trapping-math")
#include "runtime/program/fuse_code.h"

#include <math.h>
#include <string.h>

/* ---- which nodes ------------------------------------------------------------------- */

static FusePlace sum_of(FusePlace x, FusePlace y, double sign) {
  return (FusePlace){.affine = x.affine && y.affine, .row = x.row + sign * y.row,
                     .col = x.col + sign * y.col};
}

static FusePlace place(const FusePlan *plan, const FusePlace *of, int i) {
  const Prog *p = &plan->body;
  const ProgNode *n = &p->node[i];
  FusePlace none = {0}, r;
  double f;
  if (n->stage == PS_ONCE) return (FusePlace){.affine = true, .diagonal = true};
  if (n->op == PO_VAR) {
    if (n->slot < plan->n_source_var || !p->var[n->slot].integral) return none;
    bool col = p->var[n->slot].stage == PS_COL;
    return (FusePlace){.affine = true, .row = !col, .col = col};
  }
  if (n->op == PO_ADD || n->op == PO_SUB) r = sum_of(of[n->a], of[n->b], n->op == PO_ADD ? 1 : -1);
  else if (n->op == PO_NEG) r = sum_of(none, of[n->a], -1);
  else if (n->op == PO_MUL && prog_is_const(p, n->a, &f)) r = sum_of(none, of[n->b], f);
  else if (n->op == PO_MUL && prog_is_const(p, n->b, &f)) r = sum_of(none, of[n->a], f);
  else r = none;
  if (n->op == PO_NEG) r.affine = of[n->a].affine;
  if (n->op == PO_MUL) r.affine = prog_is_const(p, n->a, &f) ? of[n->b].affine
                                : prog_is_const(p, n->b, &f) && of[n->a].affine;
  int arg[PROG_MAX_INDEX], k = prog_operands(p, i, arg);
  r.diagonal = n->op != PO_SUM;
  for (int j = 0; j < k; j++) r.diagonal &= of[arg[j]].diagonal;
  r.diagonal |= r.affine && r.row + r.col == 0;
  if (n->op >= PO_EQ && n->op <= PO_GE) { /* j > i looks at their difference */
    FusePlace by = sum_of(of[n->a], of[n->b], -1);
    r.diagonal |= by.affine && by.row + by.col == 0;
  }
  return r;
}

/* Dear enough that computing it once a diagonal pays? */
static bool dear(const Prog *p, int node) {
  const ProgNode *n = &p->node[node];
  if (n->stage != PS_BOTH || n->op == PO_VAR) return false;
  if (n->op == PO_LOAD || n->op == PO_POW || n->op == PO_ATAN2) return true;
  if (n->op < PO_ADD && n->op != PO_NEG && n->op != PO_ABS && n->op != PO_SIGN &&
      n->op != PO_NOT && n->op != PO_RELU && (n->op < PO_FLOOR || n->op > PO_TRUNC)) return true;
  int arg[PROG_MAX_INDEX], k = prog_operands(p, node, arg);
  for (int j = 0; j < k; j++)
    if (dear(p, arg[j])) return true;
  return false;
}

void fuse_places(const FusePlan *plan, FusePlace *of) {
  for (int i = 0; i < plan->body.n; i++) of[i] = place(plan, of, i);
}

bool fuse_is_diagonal(const FusePlan *plan, const FusePlace *of, int node) {
  return of[node].diagonal && !plan->by_row && dear(&plan->body, node);
}

bool fuse_is_direct(const FusePlan *plan, const FusePlace *of, int node) {
  const ProgNode *n = &plan->body.node[node];
  if (n->op != PO_LOAD || plan->by_row) return false;
  for (int k = 0; k < n->n_ix; k++)
    if (!of[n->ix[k]].affine) return false;
  return true;
}

/* ---- one tile ------------------------------------------------------------------------ */

static bool wide_var(const FusePlan *plan, int var) {
  return plan->real == DT_F64 || plan->body.var[var].integral;
}

/* A part of the edge: `up` pairs of the first column upwards, from row `top` down
 * by one each, then `left` pairs of the first row from column `from` on.         */
typedef struct { int up, top, left, from; } Part;

static Part part_of(const FuseRun *run, int first, int n) {
  int corner = run->m - 1 - first, up = corner < 0 ? 0 : corner < n ? corner : n;
  return (Part){up, corner, n - up, first + up - (run->m - 1)};
}

static void lay_row(FuseRun *run, int k, const Part *p) {
  FuseScratch *s = run->scratch;
  int var = run->plan->row_var[k];
  const double *from = s->row_value[k];
  s->strip[var] = s->spread[var];
  if (wide_var(run->plan, var)) {
    double *to = s->spread[var];
    for (int q = 0; q < p->up; q++) to[q] = from[p->top - q];
    for (int q = 0; q < p->left; q++) to[p->up + q] = from[0];
  } else {
    float *to = s->spread[var];
    for (int q = 0; q < p->up; q++) to[q] = (float)from[p->top - q];
    for (int q = 0; q < p->left; q++) to[p->up + q] = (float)from[0];
  }
}

static void lay_column(FuseRun *run, int k, const Part *p) {
  FuseScratch *s = run->scratch;
  int var = run->plan->col_var[k];
  size_t size = wide_var(run->plan, var) ? 8 : 4;
  void *to = s->spread[var];
  const void *from = s->col_value[k];
  s->strip[var] = to;
  if (size == 8)
    for (int q = 0; q < p->up; q++) ((double *)to)[q] = ((const double *)from)[0];
  else
    for (int q = 0; q < p->up; q++) ((float *)to)[q] = ((const float *)from)[0];
  memcpy((char *)to + (size_t)p->up * size, (const char *)from + (size_t)p->from * size,
         (size_t)p->left * size);
}

static void evaluate(FuseRun *run) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  int count = run->m + run->n - 1;
  for (int first = 0; first < count; first += PROG_STRIP) {
    int n = count - first < PROG_STRIP ? count - first : PROG_STRIP;
    Part part = part_of(run, first, n);
    for (int k = 0; k < plan->n_row; k++) lay_row(run, k, &part);
    for (int k = 0; k < plan->n_col; k++) lay_column(run, k, &part);
    prog_run_col(&s->edges, n);
    prog_run_row(&s->edges);
    prog_run_both(&s->edges, n);
    for (int k = 0; k < plan->code->n_edge_out; k++) {
      bool index = plan->code->edge_is_index[k], wide = index || plan->real == DT_F64;
      fuse_values(&s->edges, k, n, plan->real == DT_F32, wide,
                  (char *)s->edge_value[k] + (size_t)first * (wide ? 8 : 4));
    }
  }
}

/* How far x[k] is from x[0] + k d in all: 0, or not (nan included). */
FUSE_CLONES static double unevenness(const double *x, int n, double d) {
  double sum = 0;
  _Pragma("omp simd reduction(+ : sum)")
  for (int k = 1; k < n; k++) sum += fabs(x[k] - (x[0] + k * d));
  return sum;
}

/* Do n numbers rise by the same step? */
static bool progression(const double *x, int n, double *step) {
  *step = n > 1 ? x[1] - x[0] : 0;
  return unevenness(x, n, *step) == 0;
}

/* Do all positions below diagonal nodes advance by the same step? */
static bool in_step(const FuseRun *run) {
  const FusePlan *plan = run->plan;
  const FuseScratch *s = run->scratch;
  const bool *looked = plan->code->diagonal_var;
  double step = 0, d;
  bool ok = true, any = false;
  for (int k = 0; k < plan->n_row + plan->n_col; k++) {
    bool row = k < plan->n_row;
    int q = row ? k : k - plan->n_row, n = row ? run->m : run->n;
    if (!looked[row ? plan->row_var[q] : plan->col_var[q]] || n == 1) continue;
    ok &= progression(row ? s->row_value[q] : s->col_value[q], n, &d);
    ok &= !any || d == step;
    step = d;
    any = true;
  }
  return ok;
}

/* A load whose indices rise evenly from row to row and from column to column,
 * the columns side by side. */
static bool point_at_load(FuseRun *run, int k) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  const FuseMatrix *x = &plan->code->foreign_matrix[k];
  const ProgNode *n = &plan->body.node[x->node];
  const ProgTensor *t = &run->slot[n->slot];
  int64_t start = 0, row_step = 0, col_step = 0;
  if (t->dtype != plan->real || t->rank != n->n_ix) return false;
  for (int a = 0; a < t->rank; a++) {
    const double *up = s->edge_value[x->out + a], *ix = up + run->m - 1;
    double row, col;
    if (!progression(up, run->m, &row) || !progression(ix, run->n, &col)) return false;
    row = -row;
    double down = (run->m - 1) * row, along = (run->n - 1) * col;
    double lo = ix[0] + (down < 0 ? down : 0) + (along < 0 ? along : 0);
    double hi = ix[0] + (down > 0 ? down : 0) + (along > 0 ? along : 0);
    if (!(lo >= 0 && hi < (double)t->shape[a])) return false;
    start += (int64_t)ix[0] * t->stride[a];
    row_step += (int64_t)row * t->stride[a];
    col_step += (int64_t)col * t->stride[a];
  }
  s->foreign_at[k] = (const char *)t->data + start * (int64_t)plan->size;
  s->foreign_step[k] = row_step;
  return col_step == 1 || run->n == 1;
}

bool fuse_edges(FuseRun *run) {
  const FuseCode *code = run->plan->code;
  FuseScratch *s = run->scratch;
  if (!in_step(run)) return false;
  s->edges.bad_slot = -1;
  evaluate(run);
  if (s->edges.bad_slot >= 0) return false;
  for (int k = 0; k < code->n_foreign; k++) {
    const FuseMatrix *x = &code->foreign_matrix[k];
    if (x->kind == MATRIX_DIRECT && !point_at_load(run, k)) return false;
    if (x->kind != MATRIX_DIAGONAL) continue;
    s->foreign_at[k] = (const char *)s->edge_value[x->out] +
                       (size_t)(run->m - 1) * run->plan->size;
    s->foreign_step[k] = -1;
  }
  return true;
}
