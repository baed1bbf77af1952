/* fuse_strip.c: a fused program over one tile by the strip interpreter: as many
 * rows as fit lie one behind another in a strip, with row and column values
 * spread over it.  Also the scratch of an evaluation, and what rows and columns
 * alone give.                                                                 */
#include "runtime/program/fuse_code.h"

#include <string.h>

/* ---- scratch: measured with base NULL, then laid out -------------------------- */

typedef struct { char *base; size_t at; } Carve;

static void *carve(Carve *c, size_t bytes) {
  void *p = c->base ? c->base + c->at : NULL;
  c->at += (bytes + 63) & ~(size_t)63;
  return p;
}

static void carve_run(Carve *c, ProgRun *run, const ProgPlan *plan) {
  if (!plan) return;
  void *p = carve(c, prog_run_size(plan));
  if (p) prog_run_init(run, plan, p);
}

static void **carve_pointers(Carve *c, int n, size_t bytes) {
  void **p = carve(c, (size_t)(n + 1) * sizeof *p);
  for (int k = 0; k < n; k++) {
    void *at = carve(c, bytes);
    if (p) p[k] = at;
  }
  return p;
}

static void layout_code(const FusePlan *plan, int max_m, int max_n, Carve *c, FuseScratch *s) {
  const FuseCode *code = plan->code;
  if (!code) return;
  size_t m = (size_t)max_m, n = (size_t)max_n, padded = n * plan->size + 64;
  carve_run(c, &s->once, code->once);
  carve_run(c, &s->foreign, code->foreign);
  carve_run(c, &s->edges, code->edges);
  carve_run(c, &s->instead, code->instead);
  s->frame = carve(c, (size_t)emit_frame_words(&code->shape) * 8 + 64);
  for (int k = 0; k < FUSE_KEPT; k++) {
    s->kept[k].frame = carve(c, (size_t)emit_frame_words(&code->shape) * 8 + 64);
    s->kept[k].bound = carve(c, (size_t)(code->shape.n_mat + code->shape.n_out) * sizeof(FuseIn));
  }
  s->row_real = carve(c, m * (size_t)plan->n_row * plan->size);
  s->col_real = carve_pointers(c, plan->n_col, padded);
  s->foreign_value = carve_pointers(c, code->n_foreign, m * n * plan->size);
  s->edge_value = carve_pointers(c, code->n_edge_out, (m + n) * sizeof(double));
  s->foreign_at = carve(c, (size_t)code->n_foreign * sizeof(void *));
  s->foreign_step = carve(c, (size_t)code->n_foreign * sizeof(int64_t));
  s->col_part = carve_pointers(c, code->shape.n_colsum, padded);
  s->fold_value = (double **)carve_pointers(c, code->shape.n_fold, m * sizeof(double));
  s->lanes = carve_pointers(c, code->shape.wide ? code->shape.n_fold : 0, m * FUSE_LANES);
  s->node_value = carve(c, (size_t)plan->body.n * sizeof(double));
}

static void layout(const FusePlan *plan, int max_m, int max_n, Carve *c, FuseScratch *s,
                   FuseIn **in) {
  size_t n_var = (size_t)plan->body.n_var;
  size_t strip = (size_t)(max_n > PROG_STRIP ? max_n : PROG_STRIP) * sizeof(double);
  *in = carve(c, (n_var + 1) * sizeof **in);
  if (*in) memset(*in, 0, n_var * sizeof **in);
  s->part_in = carve(c, (n_var + 1) * sizeof *s->part_in);
  carve_run(c, &s->rows, plan->rows);
  carve_run(c, &s->cols, plan->cols);
  carve_run(c, &s->mask, plan->mask_plan);
  carve_run(c, &s->out, plan->out_plan);
  s->var = carve(c, (n_var + 1) * sizeof(double));
  s->strip = carve(c, (n_var + 1) * sizeof(void *));
  s->row_value = (double **)carve_pointers(c, plan->n_row, (size_t)(max_m + 1) * sizeof(double));
  s->col_value = carve_pointers(c, plan->n_col, strip);
  s->spread = carve_pointers(c, plan->body.n_var, PROG_STRIP * sizeof(double));
  s->mask_strip = carve(c, PROG_STRIP * sizeof(double));
  layout_code(plan, max_m, max_n, c, s);
}

size_t fuse_size(const FusePlan *plan, int max_m, int max_n) {
  Carve c = {0};
  FuseScratch measured;
  FuseIn *in;
  carve(&c, sizeof measured);
  memset(&measured, 0, sizeof measured);
  layout(plan, max_m, max_n, &c, &measured, &in);
  return c.at;
}

static void bind(ProgRun *r, const FuseScratch *s, const FuseRun *run) {
  r->var = s->var;
  r->strip = s->strip;
  r->slot = run->slot;
  r->bad_slot = -1;
}

void fuse_init(FuseRun *run, const FusePlan *plan, int max_m, int max_n, void *scratch) {
  memset(run, 0, sizeof *run);
  Carve c = {scratch, 0};
  run->plan = plan;
  FuseScratch *s = run->scratch = carve(&c, sizeof *s);
  memset(s, 0, sizeof *s);
  layout(plan, max_m, max_n, &c, s, &run->in);
  run->bad_slot = -1;
}

/* Once values as vectors of reals in the frame of the code. */
static void set_once(const FusePlan *plan, FuseScratch *s) {
  const EmitShape *e = &plan->code->shape;
  for (int k = 0; k < e->n_once; k++) {
    double x;
    prog_out(&s->once, k, &x);
    void *to = &s->frame[emit_once_word(e, k)];
    for (int lane = 0; lane < 4 && e->f64; lane++) ((double *)to)[lane] = x;
    for (int lane = 0; lane < 8 && !e->f64; lane++) ((float *)to)[lane] = (float)x;
  }
}

void fuse_once(FuseRun *run) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  for (int k = 0; k < plan->n_source_var; k++)
    if (plan->body.var[k].stage == PS_ONCE && run->in[k].at)
      s->var[k] = *(const double *)run->in[k].at;
  ProgRun *all[] = {&s->rows, &s->cols,    &s->mask,  &s->out,
                    &s->once, &s->foreign, &s->edges, &s->instead};
  for (int k = 0; k < 8; k++) {
    if (!all[k]->plan) continue;
    bind(all[k], s, run);
    prog_run_once(all[k]);
  }
  if (plan->code) set_once(plan, s);
  for (int k = 0; k < FUSE_KEPT; k++) s->kept[k].set = false;
}

/* ---- what rows and columns alone give ------------------------------------------- */

void fuse_values(const ProgRun *r, int k, int n, bool real_f32, bool to_f64, void *to) {
  double scalar;
  const void *from = prog_out(r, k, &scalar);
  bool f32 = real_f32 && !prog_out_wide(r->plan, k);
  if (!from) {
    if (to_f64) for (int i = 0; i < n; i++) ((double *)to)[i] = scalar;
    else for (int i = 0; i < n; i++) ((float *)to)[i] = (float)scalar;
  } else if (f32 != to_f64) {
    memcpy(to, from, (size_t)n * (to_f64 ? 8 : 4));
  } else if (to_f64) {
    for (int i = 0; i < n; i++) ((double *)to)[i] = ((const float *)from)[i];
  } else {
    for (int i = 0; i < n; i++) ((float *)to)[i] = (float)((const double *)from)[i];
  }
}

/* Rows of reals as the interpreter wants them: doubles when integral. */
static void lay(const FusePlan *plan, const ProgVar *v, const char *from, int n, void *to) {
  if (v->integral && plan->real == DT_F32)
    for (int i = 0; i < n; i++) ((double *)to)[i] = ((const float *)(const void *)from)[i];
  else
    memcpy(to, from, (size_t)n * plan->size);
}

/* Variables of one stage, `first` values in. */
static void point_at(FuseRun *run, int stage, int first, int n) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  for (int k = 0; k < plan->n_source_var; k++) {
    const ProgVar *v = &plan->body.var[k];
    if (v->stage != stage || !run->in[k].at) continue;
    const char *from = run->in[k].at;
    if (stage == PS_ROW) {
      s->strip[k] = from + (size_t)first * sizeof(double);
      continue;
    }
    lay(plan, v, from + (size_t)first * plan->size, n, s->spread[k]);
    s->strip[k] = s->spread[k];
  }
}

static bool wide_var(const FusePlan *plan, int var) {
  return plan->real == DT_F64 || plan->body.var[var].integral;
}

void fuse_prepare(FuseRun *run) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  for (int at = 0; at < run->m && plan->n_row; at += PROG_STRIP) {
    int n = run->m - at < PROG_STRIP ? run->m - at : PROG_STRIP;
    point_at(run, PS_ROW, at, n);
    prog_run_col(&s->rows, n);
    for (int k = 0; k < plan->n_row; k++)
      fuse_values(&s->rows, k, n, false, true, s->row_value[k] + at);
  }
  for (int at = 0; at < run->n && plan->n_col; at += PROG_STRIP) {
    int n = run->n - at < PROG_STRIP ? run->n - at : PROG_STRIP;
    point_at(run, PS_COL, at, n);
    prog_run_col(&s->cols, n);
    for (int k = 0; k < plan->n_col; k++) {
      bool wide = wide_var(plan, plan->col_var[k]);
      fuse_values(&s->cols, k, n, plan->real == DT_F32, wide,
                  (char *)s->col_value[k] + (size_t)at * (wide ? 8 : 4));
    }
  }
}

/* ---- strips --------------------------------------------------------------------- */

typedef struct { int row, rows, col, n; } Piece;   /* rows x n pairs; one row when n is long */

static void spread_columns(FuseRun *run, const Piece *p) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  for (int k = 0; k < plan->n_col; k++) {
    int var = plan->col_var[k];
    size_t size = wide_var(plan, var) ? 8 : 4;
    const char *from = (const char *)s->col_value[k] + (size_t)p->col * size;
    s->strip[var] = p->rows == 1 ? from : s->spread[var];
    for (int r = 0; r < p->rows && p->rows > 1; r++)
      memcpy((char *)s->spread[var] + (size_t)(r * p->n) * size, from, (size_t)p->n * size);
  }
}

static void spread_rows(FuseRun *run, const Piece *p) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  for (int k = 0; k < plan->n_row; k++) {
    int var = plan->row_var[k];
    const double *value = s->row_value[k] + p->row;
    s->var[var] = value[0];
    s->strip[var] = s->spread[var];
    if (plan->by_row) continue;
    for (int r = 0; r < p->rows; r++) {
      if (wide_var(plan, var)) {
        double *to = (double *)s->spread[var] + r * p->n;
        for (int j = 0; j < p->n; j++) to[j] = value[r];
      } else {
        float *to = (float *)s->spread[var] + r * p->n, x = (float)value[r];
        for (int j = 0; j < p->n; j++) to[j] = x;
      }
    }
  }
}

/* Copies, because a result may take an input's place. */
static void lay_matrices(FuseRun *run, const Piece *p) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  for (int k = 0; k < plan->n_source_var; k++) {
    const ProgVar *v = &plan->body.var[k];
    if (v->stage != PS_BOTH || !run->in[k].at) continue;
    size_t ld = (size_t)run->in[k].ld * plan->size, size = wide_var(plan, k) ? 8 : 4;
    const char *from = (const char *)run->in[k].at + (size_t)p->row * ld +
                       (size_t)p->col * plan->size;
    s->strip[k] = s->spread[k];
    for (int r = 0; r < p->rows; r++)
      lay(plan, v, from + (size_t)r * ld, p->n, (char *)s->spread[k] + (size_t)(r * p->n) * size);
  }
}

/* Output k of a run as reals of the plan. */
static void read_out(const FusePlan *plan, const ProgRun *r, int k, int n, void *to) {
  fuse_values(r, k, n, plan->real == DT_F32, plan->real == DT_F64, to);
}

static double real_at(const FusePlan *plan, const void *at, int64_t i) {
  return plan->real == DT_F32 ? (double)((const float *)at)[i] : ((const double *)at)[i];
}

static void set_real(const FusePlan *plan, void *at, int64_t i, double x) {
  if (plan->real == DT_F32) ((float *)at)[i] = (float)x;
  else ((double *)at)[i] = x;
}

/* Stores and folds of result k; value: the strip's reals. */
static void take(FuseRun *run, const Piece *p, int k, const void *value, const void *mask) {
  const FusePlan *plan = run->plan;
  const FuseWant *w = &plan->want[k];
  for (int r = 0; r < p->rows; r++) {
    int i = p->row + r;
    double sum = 0;
    for (int j = 0; j < p->n; j++) {
      int at = r * p->n + j;
      bool open = !mask || real_at(plan, mask, at) != 0;
      double x = open ? real_at(plan, value, at) : w->closed;
      if (w->store) set_real(plan, run->out[k], i * run->out_ld[k] + p->col + j, x);
      if (!open) continue;
      sum += x;
      if (w->row_max && !(x <= run->row_max[k][i])) run->row_max[k][i] = x;
      if (w->row_min && !(x >= run->row_min[k][i])) run->row_min[k][i] = x;
      if (w->column_sum) run->col_sum[k][p->col + j] += x;
    }
    if (w->row_sum) run->row_sum[k][i] += sum;
  }
}

static void take_all(FuseRun *run, const Piece *p, const void *mask) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  double value[PROG_STRIP];   /* reals of either size */
  for (int k = 0; k < plan->n_want; k++) {
    if (plan->per_row[k]) {
      double x;
      prog_out(&s->out, k, &x);
      if (plan->want[k].row_sum) run->row_sum[k][p->row] += x;
      continue;
    }
    read_out(plan, &s->out, k, p->rows * p->n, value);
    take(run, p, k, value, mask);
  }
}

/* The mask of a piece as reals, or NULL. */
static const void *piece_mask(FuseRun *run, int n) {
  FuseScratch *s = run->scratch;
  prog_run_row(&s->mask);
  prog_run_both(&s->mask, n);
  read_out(run->plan, &s->mask, 0, n, s->mask_strip);
  return s->mask_strip;
}

static void keep_matrices(FuseRun *run, const ProgRun *from, const Piece *p) {
  const FusePlan *plan = run->plan;
  FuseScratch *s = run->scratch;
  size_t size = plan->size, n = (size_t)p->n, ld = (size_t)run->n;
  double value[PROG_STRIP];
  for (int k = 0; k < plan->code->n_foreign; k++) {
    const FuseMatrix *x = &plan->code->foreign_matrix[k];
    if ((x->kind == MATRIX_STRIPS) != (from == &s->foreign)) continue;
    char *to = (char *)s->foreign_value[k] + ((size_t)p->row * ld + (size_t)p->col) * size;
    read_out(plan, from, x->instead, p->rows * p->n, value);
    for (size_t r = 0; r < (size_t)p->rows; r++)
      memcpy(to + r * ld * size, (char *)value + r * n * size, n * size);
    s->foreign_at[k] = s->foreign_value[k];
    s->foreign_step[k] = run->n;
  }
}

/* Strips of the whole tile: results, or the matrices that machine code reads. */
static void all_strips(FuseRun *run, ProgRun *values, bool masked) {
  FuseScratch *s = run->scratch;
  for (int col = 0; col < run->n; col += PROG_STRIP) {
    int n = run->n - col < PROG_STRIP ? run->n - col : PROG_STRIP;
    int most = run->plan->by_row ? 1 : PROG_STRIP / n, last = 0;
    for (int row = 0; row < run->m; row += most) {
      Piece p = {row, run->m - row < most ? run->m - row : most, col, n};
      int pairs = p.rows * n;
      if (p.rows != last) {
        spread_columns(run, &p);
        last = p.rows;
        if (masked) prog_run_col(&s->mask, pairs);
        prog_run_col(values, pairs);
      }
      spread_rows(run, &p);
      lay_matrices(run, &p);
      values->mask = masked ? piece_mask(run, pairs) : NULL;
      prog_run_row(values);
      prog_run_both(values, pairs);
      if (values == &s->out) take_all(run, &p, values->mask);
      else keep_matrices(run, values, &p);
    }
  }
}

void fuse_strips(FuseRun *run) {
  FuseScratch *s = run->scratch;
  all_strips(run, &s->out, run->masked && run->plan->mask_plan);
}

void fuse_foreign(FuseRun *run) {
  FuseScratch *s = run->scratch;
  const FuseCode *code = run->plan->code;
  bool masked = run->masked && run->plan->mask_plan;
  if (code->foreign) all_strips(run, &s->foreign, masked && code->foreign_loads);
  if (code->edges && !fuse_edges(run)) all_strips(run, &s->instead, masked);
}

static void note_bad(FuseRun *run) {
  FuseScratch *s = run->scratch;
  ProgRun *all[] = {&s->rows, &s->cols, &s->mask, &s->out, &s->foreign, &s->instead};
  for (int k = 0; k < 6; k++) {
    if (!all[k]->plan || all[k]->bad_slot < 0 || run->bad_slot >= 0) continue;
    run->bad_slot = all[k]->bad_slot;
    run->bad_axis = all[k]->bad_axis;
    run->bad_index = all[k]->bad_index;
  }
}

/* A part as a tile of its own. */
static void part_alone(FuseRun *run, int r, int m, int c, int n) {
  const FusePlan *plan = run->plan;
  FuseRun part = *run;
  FuseIn *in = ((FuseScratch *)run->scratch)->part_in;
  size_t size = plan->size;
  part.in = in;
  part.m = m;
  part.n = n;
  for (int k = 0; k < plan->n_source_var; k++) {
    int stage = plan->body.var[k].stage;
    in[k] = run->in[k];
    if (!in[k].at || stage == PS_ONCE) continue;
    size_t step = stage == PS_ROW ? (size_t)r * sizeof(double) : (size_t)c * size;
    if (stage == PS_BOTH) step += (size_t)r * (size_t)in[k].ld * size;
    in[k].at = (const char *)in[k].at + step;
  }
  for (int k = 0; k < plan->n_want; k++) {
    if (run->out[k]) part.out[k] = (char *)run->out[k] + (size_t)(r * run->out_ld[k] + c) * size;
    if (run->row_sum[k]) part.row_sum[k] += r;
    if (run->row_max[k]) part.row_max[k] += r;
    if (run->row_min[k]) part.row_min[k] += r;
    if (run->col_sum[k]) part.col_sum[k] += c;
  }
  fuse_tile(&part);
  if (run->bad_slot >= 0) return;
  run->bad_slot = part.bad_slot;
  run->bad_axis = part.bad_axis;
  run->bad_index = part.bad_index;
}

void fuse_open(FuseRun *run) { ((FuseScratch *)run->scratch)->ready = false; }

/* Row and column values of the open tile. */
static void make_ready(FuseRun *run) {
  FuseScratch *s = run->scratch;
  fuse_prepare(run);
  s->exact = run->plan->code && fuse_code_open(run);
  s->ready = true;
}

void fuse_part(FuseRun *run, int r, int m, int c, int n) {
  FuseScratch *s = run->scratch;
  const FuseCode *code = run->plan->code;
  bool whole = m == run->m && n == run->n;
  if (m <= 0 || n <= 0) return;
  if (!s->ready && (whole || (code && !code->n_foreign))) make_ready(run);
  if (!whole && (!code || code->n_foreign || !s->exact)) {
    part_alone(run, r, m, c, n);
    fuse_open(run);             /* its row and column values are in the scratch */
    return;
  }
  if (s->exact) fuse_code_part(run, r, m, c, n);
  else fuse_strips(run);
  note_bad(run);
}

void fuse_tile(FuseRun *run) {
  fuse_open(run);
  fuse_part(run, 0, run->m, 0, run->n);
}
