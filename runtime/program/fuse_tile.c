/* fuse_tile.c: one tile through machine code: the frame, values of rows and
 * columns as reals, matrices that strips compute first, and what follows from
 * sums over columns.                                                          */
#pragma GCC optimize("O3", "no-trapping-math")
#include "runtime/program/fuse_code.h"

#include <math.h>
#include <string.h>

/* Numbers beyond those that floats hold exactly. */
FUSE_CLONES static double beyond_floats(const double *x, int n) {
  double count = 0;
  _Pragma("omp simd reduction(+ : count)")
  for (int i = 0; i < n; i++) count += fabs(x[i]) <= 16777216 ? 0.0 : 1.0;
  return count;
}

static bool whole_f32(const FusePlan *plan, int var) {
  return plan->real == DT_F32 && plan->body.var[var].integral;
}

/* Rows of n_row reals; false: a position that a float does not hold. */
static bool row_reals(FuseRun *run) {
  const FusePlan *plan = run->plan;
  const FuseScratch *s = run->scratch;
  int n = plan->n_row;
  for (int k = 0; k < n; k++) {
    const double *from = s->row_value[k];
    if (whole_f32(plan, plan->row_var[k]) && beyond_floats(from, run->m) > 0) return false;
    if (plan->real == DT_F32) {
      float *to = s->row_real;
      for (int i = 0; i < run->m; i++) to[i * n + k] = (float)from[i];
    } else {
      double *to = s->row_real;
      for (int i = 0; i < run->m; i++) to[i * n + k] = from[i];
    }
  }
  return true;
}

static bool column_reals(FuseRun *run) {
  const FusePlan *plan = run->plan;
  const FuseScratch *s = run->scratch;
  for (int k = 0; k < plan->n_col; k++) {
    if (!whole_f32(plan, plan->col_var[k])) continue;
    const double *from = s->col_value[k];
    float *to = s->col_real[k];
    if (beyond_floats(from, run->n) > 0) return false;
    for (int j = 0; j < run->n; j++) to[j] = (float)from[j];
  }
  return true;
}

/* ---- the frame ------------------------------------------------------------------------ */

static void set_pointer(const EmitShape *e, uint64_t *frame, int k, const void *at, int64_t step) {
  frame[emit_pointer_word(k)] = (uint64_t)(uintptr_t)at;
  frame[emit_step_word(e, k)] = (uint64_t)step;
}

static void set_sizes(FuseRun *run, uint64_t *frame, int rows, int n, bool masked) {
  const FusePlan *plan = run->plan;
  const EmitShape *e = &plan->code->shape;
  int lanes = (e->wide ? 64 : 32) >> (plan->real == DT_F32 ? 2 : 3), tail = n & (lanes - 1);
  frame[FW_ROWS8] = 8 * (uint64_t)rows;
  int several = lanes * plan->code->code[masked].unroll;    /* powers of two */
  frame[FW_LONG] = (uint64_t)(n & -several) * plan->size;
  frame[FW_FULL] = (uint64_t)(n - tail) * plan->size;
  frame[FW_TAIL_BITS] = (UINT64_C(1) << tail) - 1;
  frame[FW_ROW_STEP] = (uint64_t)plan->n_row * plan->size;
  if (e->wide) return;
  memset(&frame[FW_TAIL_MASK], 0, 32);
  memset(&frame[FW_TAIL_MASK], 0xff, (size_t)tail * plan->size <= 32 ? (size_t)tail * plan->size : 32);
}

/* From row `first` and column c of the tile on. */
static void set_pointers(FuseRun *run, uint64_t *frame, int first, int c) {
  const FusePlan *plan = run->plan;
  const FuseCode *code = plan->code;
  const FuseScratch *s = run->scratch;
  const EmitShape *e = &code->shape;
  int64_t size = (int64_t)plan->size, over = c * size;
  int at = 0;
  for (int k = 0; k < e->n_mat; k++) {
    bool own = code->mat[k] < 0;
    const char *from = own ? s->foreign_at[-1 - code->mat[k]] : run->in[code->mat[k]].at;
    int64_t step = (own ? s->foreign_step[-1 - code->mat[k]] : run->in[code->mat[k]].ld) * size;
    set_pointer(e, frame, at++, from + first * step + over, step);
  }
  for (int k = 0; k < e->n_col; k++) {
    bool cast = whole_f32(plan, plan->col_var[k]);
    const char *from = cast ? s->col_real[k] : s->col_value[k];
    set_pointer(e, frame, at++, from + over, 0);
  }
  for (int k = 0; k < e->n_out; k++) {
    int64_t step = run->out_ld[code->out_want[k]] * size;
    set_pointer(e, frame, at++, (char *)run->out[code->out_want[k]] + first * step + over, step);
  }
  for (int k = 0; k < e->n_colsum; k++) set_pointer(e, frame, at++, s->col_part[k], 0);
  frame[FW_ROW_VALUES] =
      (uint64_t)(uintptr_t)((char *)s->row_real + (size_t)(first * plan->n_row) * plan->size);
}

static double *fold_at(FuseRun *run, int k) {
  const FuseCode *code = run->plan->code;
  const FuseScratch *s = run->scratch;
  int want = code->fold_want[k];
  if (want < 0) return s->fold_value[k];
  switch (code->fold[k].kind) {
  case VI_SUM: return run->row_sum[want];
  case VI_LARGEST: return run->row_max[want];
  default: return run->row_min[want];
  }
}

static void *fold_target(FuseRun *run, int k, int first) {
  const FuseCode *code = run->plan->code;
  const FuseScratch *s = run->scratch;
  return emit_lanes(&code->shape, &code->fold[k]) ? s->lanes[k] : (void *)(fold_at(run, k) + first);
}

static void fold_lanes(FuseRun *run, int first, int m) {
  const FuseCode *code = run->plan->code;
  const FuseScratch *s = run->scratch;
  for (int k = 0; k < code->shape.n_fold; k++)
    if (emit_lanes(&code->shape, &code->fold[k]))
      fuse_fold(code->shape.f64, m, s->lanes[k], fold_at(run, k) + first);
}

static void add_columns(FuseRun *run, int c, int n) {
  const FusePlan *plan = run->plan;
  const FuseScratch *s = run->scratch;
  for (int k = 0; k < plan->code->shape.n_colsum; k++) {
    double *to = run->col_sum[plan->code->colsum_want[k]] + c;
    if (plan->real == DT_F32)
      for (int j = 0; j < n; j++) to[j] += ((const float *)s->col_part[k])[j];
    else
      for (int j = 0; j < n; j++) to[j] += ((const double *)s->col_part[k])[j];
  }
}

/* ---- frames of parts that come again ---------------------------------------------------- */

/* What matrix or output k is bound to. */
static FuseIn bound_to(const FuseRun *run, int k) {
  const FuseCode *code = run->plan->code;
  int out = k - code->shape.n_mat;
  if (out < 0) return run->in[code->mat[k]];
  return (FuseIn){run->out[code->out_want[out]], run->out_ld[code->out_want[out]]};
}

/* Moves the frame's pointers to where matrices lie now; false: their rows lie otherwise. */
static bool rebind(const FuseRun *run, FuseKept *f) {
  const EmitShape *e = &run->plan->code->shape;
  for (int k = 0; k < e->n_mat + e->n_out; k++) {
    FuseIn now = bound_to(run, k), *last = &f->bound[k];
    if (now.ld != last->ld) return false;
    int word = emit_pointer_word(k < e->n_mat ? k : k + e->n_col);
    f->frame[word] += (uint64_t)(uintptr_t)now.at - (uint64_t)(uintptr_t)last->at;
    last->at = now.at;
  }
  return true;
}

/* The frame of a part that code alone computes, in one run. */
static uint64_t *kept_frame(FuseRun *run, int r, int m, int c, int n, bool masked) {
  const EmitShape *e = &run->plan->code->shape;
  FuseScratch *s = run->scratch;
  FuseKept *f = &s->kept[r / 16 % FUSE_KEPT];
  bool same = f->set && f->r == r && f->m == m && f->c == c && f->n == n && f->masked == masked;
  if (!same || !rebind(run, f)) {
    memcpy(f->frame, s->frame, (size_t)emit_frame_words(e) * sizeof *f->frame);
    set_sizes(run, f->frame, m, n, masked);
    set_pointers(run, f->frame, r, c);
    for (int k = 0; k < e->n_mat + e->n_out; k++) f->bound[k] = bound_to(run, k);
    *f = (FuseKept){true, masked, r, m, c, n, f->frame, f->bound};
  }
  for (int k = 0; k < e->n_fold; k++)
    f->frame[emit_fold_word(e, k)] = (uint64_t)(uintptr_t)fold_target(run, k, r);
  return f->frame;
}

/* ---- what follows from sums over columns ------------------------------------------------- */

static void after_sums(FuseRun *run, int first, int m) {
  const FusePlan *plan = run->plan;
  const FuseCode *code = plan->code;
  FuseScratch *s = run->scratch;
  const Prog *p = &plan->body;
  for (int r = first; r < first + m; r++) {
    double *value = s->node_value;
    for (int i = 0; i < p->n; i++) {
      const ProgNode *n = &p->node[i];
      if (!code->after[i]) continue;
      if (n->stage == PS_ONCE) value[i] = s->out.scalar[i];
      else if (n->op == PO_VAR) {
        for (int k = 0; k < plan->n_row; k++)
          if (plan->row_var[k] == n->slot) value[i] = s->row_value[k][r];
      } else if (n->op == PO_SUM) {
        for (int k = 0; k < code->shape.n_fold; k++)
          if (code->fold_want[k] == -1 - i) value[i] = s->fold_value[k][r];
      } else {
        value[i] = prog_op_eval(n->op, value[n->a], n->b >= 0 ? value[n->b] : 0,
                                n->c >= 0 ? value[n->c] : 0);
      }
    }
    for (int k = 0; k < plan->n_want; k++)
      if (plan->per_row[k] && plan->want[k].row_sum)
        run->row_sum[k][r] += value[plan->node[k]];
  }
}

bool fuse_code_open(FuseRun *run) { return row_reals(run) && column_reals(run); }

/* A part, a few rows at a time where columns are summed: in reals, then in double. */
static void part_in_chunks(FuseRun *run, int r, int m, int c, int n) {
  const FusePlan *plan = run->plan;
  const FuseCode *code = plan->code;
  FuseScratch *s = run->scratch;
  const EmitShape *e = &code->shape;
  uint64_t *frame = s->frame;
  bool masked = run->masked && plan->mask >= 0, sums = false;
  if (code->n_foreign) fuse_foreign(run);
  for (int k = 0; k < e->n_fold; k++) {
    sums |= code->fold_want[k] < 0;
    if (code->fold_want[k] < 0) memset(s->fold_value[k] + r, 0, (size_t)m * sizeof(double));
  }
  int chunk = e->n_colsum ? CODE_CHUNK : m;
  for (int first = r; first < r + m; first += chunk) {
    int rows = r + m - first < chunk ? r + m - first : chunk;
    set_sizes(run, frame, rows, n, masked);
    set_pointers(run, frame, first, c);
    for (int k = 0; k < e->n_fold; k++)
      frame[emit_fold_word(e, k)] = (uint64_t)(uintptr_t)fold_target(run, k, first);
    for (int k = 0; k < e->n_colsum; k++)
      memset(s->col_part[k], 0, ((size_t)n * plan->size + 63) & ~(size_t)63);
    code->code[masked].run(frame);
    fold_lanes(run, first, rows);
    add_columns(run, c, n);
  }
  if (sums) after_sums(run, r, m);
}

void fuse_code_part(FuseRun *run, int r, int m, int c, int n) {
  const FuseCode *code = run->plan->code;
  bool masked = run->masked && run->plan->mask >= 0;
  bool moves = emit_pointers(&code->shape) > EMIT_POINTER_REGS;
  if (code->n_foreign || code->shape.n_colsum || run->plan->by_row || moves) {
    part_in_chunks(run, r, m, c, n);
    return;
  }
  code->code[masked].run(kept_frame(run, r, m, c, n, masked));
  fold_lanes(run, r, m);
}
