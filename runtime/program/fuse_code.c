/* fuse_code.c: from the body of a fused plan to machine code: which nodes are
 * leaves, what is folded and stored, and the two versions (masked and not).     */
#include "runtime/program/fuse_code.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNROLL = 4 };

typedef struct {
  const FusePlan *plan;
  FuseCode *code;
  const Prog *p;
  const char *why;
} Coder;

static void deny(Coder *c, const char *why) {
  if (!c->why) c->why = why;
}

/* ---- leaves -------------------------------------------------------------------------- */

static bool has_vector_form(const Coder *c, int i) {
  const ProgNode *n = &c->p->node[i];
  double e;
  if (n->op == PO_LOAD || n->op == PO_ATAN2) return false;
  if (n->op == PO_POW) {
    if (prog_is_const(c->p, n->b, &e) && vec_has_pow(e)) return true;
    return c->code->range[n->a].lo >= 0;
  }
  return n->op >= PO_ADD || n->op == PO_NOT || vec_has_unary(n->op);
}

static int find(const int *list, int n, int x) {
  for (int k = 0; k < n; k++)
    if (list[k] == x) return k;
  return -1;
}

static int matrix(Coder *c, int source) {
  FuseCode *code = c->code;
  int k = find(code->mat, code->shape.n_mat, source);
  if (k >= 0) return k;
  if (code->shape.n_mat == CODE_MAX_MAT) { deny(c, "too many matrices"); return 0; }
  code->mat[code->shape.n_mat] = source;
  return code->shape.n_mat++;
}

/* Variables of positions below a diagonal node. */
static void mark_positions(Coder *c, int node) {
  const ProgNode *n = &c->p->node[node];
  if (n->stage == PS_ONCE) return;
  if (n->op == PO_VAR) c->code->diagonal_var[n->slot] = true;
  int arg[PROG_MAX_INDEX], k = prog_operands(c->p, node, arg);
  for (int j = 0; j < k; j++) mark_positions(c, arg[j]);
}

static void edge_out(FuseCode *code, int node, bool index) {
  code->edge_is_index[code->n_edge_out] = index;
  code->edge_node[code->n_edge_out++] = node;
}

static int foreign(Coder *c, int node, int kind) {
  FuseCode *code = c->code;
  const ProgNode *n = &c->p->node[node];
  if (code->n_foreign == CODE_MAX_MAT) { deny(c, "too many matrices"); return 0; }
  FuseMatrix *x = &code->foreign_matrix[code->n_foreign++];
  *x = (FuseMatrix){.kind = (uint8_t)kind, .node = node, .out = code->n_edge_out};
  if (kind == MATRIX_DIAGONAL) {
    edge_out(code, node, false);
    mark_positions(c, node);
  }
  for (int k = 0; k < n->n_ix && kind == MATRIX_DIRECT; k++) edge_out(code, n->ix[k], true);
  return matrix(c, -code->n_foreign);
}

static FuseLeaf leaf_of(Coder *c, int i) {
  const FusePlan *plan = c->plan;
  const ProgNode *n = &c->p->node[i];
  if (n->op == PO_CONST) return (FuseLeaf){LEAF_CONST, 0};
  if (n->stage == PS_ONCE) return (FuseLeaf){LEAF_ONCE, (int16_t)c->code->shape.n_once++};
  if (n->op == PO_VAR) {
    int row = find(plan->row_var, plan->n_row, n->slot);
    int col = find(plan->col_var, plan->n_col, n->slot);
    if (row >= 0) return (FuseLeaf){LEAF_ROW, (int16_t)row};
    if (col >= 0) return (FuseLeaf){LEAF_COL, (int16_t)col};
    return (FuseLeaf){LEAF_MAT, (int16_t)matrix(c, n->slot)};
  }
  bool diagonal = fuse_is_diagonal(plan, c->code->place, i);
  bool direct = !diagonal && fuse_is_direct(plan, c->code->place, i);
  int kind = diagonal ? MATRIX_DIAGONAL : direct ? MATRIX_DIRECT : MATRIX_STRIPS;
  if (kind != MATRIX_STRIPS || !has_vector_form(c, i))
    return (FuseLeaf){LEAF_MAT, (int16_t)foreign(c, i, kind)};
  return (FuseLeaf){LEAF_NONE, 0};
}

/* ---- results -------------------------------------------------------------------------- */

static void need(Coder *c, int node) {
  if (node >= 0) c->code->needed[node] = true;
}

static void add_fold(Coder *c, int kind, int node, int want) {
  FuseCode *code = c->code;
  int k = code->shape.n_fold;
  if (k == CODE_MAX_FOLD) { deny(c, "too many folds"); return; }
  code->fold[k].kind = (uint8_t)kind;
  code->fold_node[k] = node;
  code->fold_want[k] = want;
  code->shape.n_fold++;
  need(c, node);
}

static void add_results(Coder *c) {
  const FusePlan *plan = c->plan;
  FuseCode *code = c->code;
  EmitShape *s = &code->shape;
  need(c, plan->mask);
  for (int k = 0; k < plan->n_want; k++) {
    const FuseWant *w = &plan->want[k];
    int node = plan->node[k];
    if (plan->per_row[k]) { code->after[node] = true; continue; }
    if (w->row_sum) add_fold(c, VI_SUM, node, k);
    if (w->row_max) add_fold(c, VI_LARGEST, node, k);
    if (w->row_min) add_fold(c, VI_LEAST, node, k);
    if (w->column_sum) code->colsum_want[s->n_colsum++] = k;
    if (w->store) code->out_want[s->n_out++] = k;
    if (w->column_sum || w->store) need(c, node);
  }
}

/* From the results down to the leaves. */
static void walk(Coder *c) {
  FuseCode *code = c->code;
  for (int i = c->p->n - 1; i >= 0; i--) {
    const ProgNode *n = &c->p->node[i];
    int arg[PROG_MAX_INDEX], k = prog_operands(c->p, i, arg);
    if (code->after[i] && n->op == PO_SUM) add_fold(c, VI_SUM, n->a, -1 - i);
    else if (code->after[i])
      for (int j = 0; j < k; j++) code->after[arg[j]] = true;
    if (!code->needed[i]) continue;
    if (n->op == PO_SUM) deny(c, "a sum over columns inside a result");
    code->leaf[i] = leaf_of(c, i);
    for (int j = 0; j < k && code->leaf[i].kind == LEAF_NONE; j++) need(c, arg[j]);
  }
}

/* ---- plans beside the code --------------------------------------------------------------- */

/* The plan of the foreign matrices of either sort; NULL with *ok when there are none. */
static ProgPlan *plan_matrices(Rt *rt, Coder *c, const uint8_t *slot_dtype, bool edge, bool *ok) {
  int node[CODE_MAX_MAT], n = 0;
  for (int k = 0; k < c->code->n_foreign; k++) {
    FuseMatrix *x = &c->code->foreign_matrix[k];
    if ((x->kind != MATRIX_STRIPS) != edge) continue;
    x->instead = n;
    node[n++] = x->node;
    for (int i = 0; i <= x->node && !edge; i++)
      c->code->foreign_loads |= c->p->node[i].op == PO_LOAD && c->p->node[i].stage == PS_BOTH &&
                                prog_uses(c->p, x->node, i);
  }
  if (!n) return NULL;
  ProgPlan *plan = prog_plan(rt, c->p, c->plan->real, slot_dtype, n, node);
  *ok &= plan != NULL;
  return plan;
}

static bool plan_beside(Rt *rt, Coder *c, const uint8_t *slot_dtype) {
  FuseCode *code = c->code;
  int *nodes = calloc((size_t)code->shape.n_once + 1, sizeof *nodes);
  if (!nodes) return false;
  for (int i = 0; i < c->p->n; i++)
    if (code->leaf[i].kind == LEAF_ONCE) nodes[code->leaf[i].slot] = i;
  code->once = prog_plan(rt, c->p, DT_F64, slot_dtype, code->shape.n_once, nodes);
  free(nodes);
  bool ok = code->once != NULL;
  code->foreign = plan_matrices(rt, c, slot_dtype, false, &ok);
  code->instead = plan_matrices(rt, c, slot_dtype, true, &ok);
  if (!ok || !code->n_edge_out) return ok;
  code->edges =
      prog_plan(rt, c->p, c->plan->real, slot_dtype, code->n_edge_out, code->edge_node);
  return code->edges != NULL;
}

/* As many vectors side by side as registers hold. */
static bool build(FuseCode *code, bool masked, const VecList *full, const VecList *tail) {
  for (int unroll = UNROLL; unroll >= 1; unroll /= 2) {
    VecList several;
    vec_interleave(&several, full, unroll);
    const VecList *const list[3] = {full, tail, &several};
    EmitCode *to = &code->code[masked];
    bool ok = !several.failed && emit_build(to, &code->shape, code->fold, list, unroll);
    free(several.items);
    if (!ok || unroll == 1 || to->spills == 0) return ok;
    emit_release(to);
  }
  return false;
}

static bool compile(const FusePlan *plan, FuseCode *code, bool masked) {
  VecList full = {0}, tail = {0};
  bool ok = fuse_lower(plan, code, masked, false, &full) &&
            fuse_lower(plan, code, masked, true, &tail) && build(code, masked, &full, &tail);
  free(full.items);
  free(tail.items);
  return ok;
}

static bool allocate(FuseCode *code, const Prog *p) {
  size_t n = (size_t)p->n + 1;
  code->place = calloc(n, sizeof *code->place);
  code->diagonal_var = calloc((size_t)p->n_var + 1, sizeof *code->diagonal_var);
  code->leaf = calloc(n, sizeof *code->leaf);
  code->needed = calloc(n, sizeof *code->needed);
  code->after = calloc(n, sizeof *code->after);
  code->range = calloc(n, sizeof *code->range);
  return code->place && code->diagonal_var && code->leaf && code->needed && code->after &&
         code->range;
}

FuseCode *fuse_code(Rt *rt, const FusePlan *plan, const uint8_t *slot_dtype, const char **why) {
  EmitLevel level = emit_level();
  FuseCode *code = calloc(1, sizeof *code);
  Coder c = {plan, code, &plan->body, NULL};
  if (level == EMIT_NONE) deny(&c, "no AVX2, or QA_EMIT=0");
  if (!code || !allocate(code, &plan->body)) deny(&c, "out of memory");
  if (!c.why) {
    code->shape = (EmitShape){.n_col = plan->n_col, .n_row = plan->n_row,
                              .f64 = plan->real == DT_F64, .wide = level == EMIT_AVX512};
    prog_interval(&plan->body, plan->body.n - 1, &(ProgRanges){0}, code->range);
    fuse_places(plan, code->place);
    add_results(&c);
    walk(&c);
    if (emit_pointers(&code->shape) > 60) deny(&c, "too many matrices");
  }
  if (!c.why && !plan_beside(rt, &c, slot_dtype)) deny(&c, "out of memory");
  if (!c.why && !compile(plan, code, false)) deny(&c, "no executable memory");
  if (!c.why && plan->mask >= 0 && !compile(plan, code, true)) deny(&c, "no executable memory");
  if (c.why) {
    *why = c.why;
    fuse_code_free(rt, code);
    return NULL;
  }
  return code;
}

void fuse_code_free(Rt *rt, FuseCode *code) {
  if (!code) return;
  emit_release(&code->code[0]);
  emit_release(&code->code[1]);
  prog_plan_free(rt, code->once);
  prog_plan_free(rt, code->foreign);
  prog_plan_free(rt, code->edges);
  prog_plan_free(rt, code->instead);
  free(code->place);
  free(code->diagonal_var);
  free(code->leaf);
  free(code->needed);
  free(code->after);
  free(code->range);
  free(code);
}
