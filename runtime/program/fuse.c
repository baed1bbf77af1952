/* fuse.c: from a program to a fused plan: which nodes are computed along the
 * rows, which along the columns, and the body that is left for every pair.     */
#include "runtime/program/fuse_code.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const Prog *p;
  FusePlan *plan;
  const uint8_t *slot_dtype;
  int mask;
  bool *live, *sum, *feed;   /* needed; hangs on a PO_SUM; read by the body or wanted */
  int *map;                  /* node of the source -> node of the body                */
  Interval *range;           /* room for prog_interval                                */
} Fuser;

/* Positions and integer tensors alone: doubles in every plan. */
static bool exact(const Prog *p, const uint8_t *slot_dtype, int node) {
  const ProgNode *n = &p->node[node];
  if (n->op == PO_VAR) return p->var[n->slot].integral;
  if (n->op == PO_LOAD) return prog_integral(p, slot_dtype, node);
  int arg[PROG_MAX_INDEX], k = prog_operands(p, node, arg), n_side = 0;
  for (int j = 0; j < k; j++) {
    if (p->node[arg[j]].stage == PS_ONCE) continue;
    n_side++;
    if (!exact(p, slot_dtype, arg[j])) return false;
  }
  return n_side > 0;
}

/* ---- quotients ------------------------------------------------------------------------ */

static int copy_node(Prog *to, const ProgNode *n, const int *map) {
  if (n->op == PO_CONST) return prog_const(to, n->value);
  if (n->op == PO_VAR) return prog_var(to, n->slot);
  if (n->op == PO_LOAD) {
    int ix[PROG_MAX_INDEX];
    for (int k = 0; k < n->n_ix; k++) ix[k] = map[n->ix[k]];
    return prog_load(to, n->slot, n->n_ix, ix);
  }
  if (n->op == PO_SELECT) return prog_select(to, map[n->a], map[n->b], map[n->c]);
  if (n->b >= 0) return prog_binary(to, n->op, map[n->a], map[n->b]);
  return prog_unary(to, n->op, map[n->a]);
}

/* A copy in which what every pair divides by a number of its row, its column or
 * of all pairs becomes a product: the reciprocal is taken once.  Not for whole
 * numbers, whose quotients are exact.                                           */
static bool by_reciprocals(Prog *to, const Prog *from, const uint8_t *slot_dtype, int *map) {
  if (!prog_copy(to, from)) return false;
  to->n = 0;
  prog_const(to, 0);
  for (int i = 0; i < from->n; i++) {
    const ProgNode *n = &from->node[i];
    bool takes = n->op == PO_DIV && n->vec && n->stage == PS_BOTH &&
                 from->node[n->b].stage != PS_BOTH && !exact(from, slot_dtype, i);
    map[i] = !takes ? copy_node(to, n, map)
                    : prog_binary(to, PO_MUL, map[n->a],
                                  prog_binary(to, PO_DIV, prog_const(to, 1), map[n->b]));
  }
  return !to->failed;
}

/* ---- the body ------------------------------------------------------------------------------ */

static bool of_body(const Fuser *f, int i) { return f->p->node[i].stage == PS_BOTH; }

static void mark(Fuser *f, int node) {
  if (node < 0) return;
  f->live[node] = true;
  f->feed[node] = true;
}

static void find_feeds(Fuser *f) {
  const Prog *p = f->p;
  for (int i = 0; i < p->n; i++) {
    int arg[PROG_MAX_INDEX], k = prog_operands(p, i, arg);
    f->sum[i] = p->node[i].op == PO_SUM;
    for (int j = 0; j < k; j++) f->sum[i] |= f->sum[arg[j]] && !p->node[i].vec;
  }
  mark(f, f->mask);
  for (int k = 0; k < f->plan->n_want; k++) mark(f, f->plan->want[k].node);
  for (int i = p->n - 1; i >= 0; i--) {
    if (!f->live[i]) continue;
    if (p->node[i].op == PO_SUM) f->plan->by_row = true;
    int arg[PROG_MAX_INDEX], k = prog_operands(p, i, arg);
    for (int j = 0; j < k; j++) {
      f->live[arg[j]] = true;
      f->feed[arg[j]] |= of_body(f, i);
    }
  }
}

/* The node's value as a variable of the body. */
static int feed(Fuser *f, int node) {
  const ProgNode *n = &f->p->node[node];
  FusePlan *plan = f->plan;
  bool row = n->stage == PS_ROW;
  int stage = !row ? PS_COL : plan->by_row ? PS_ROW : PS_BOTH;
  Interval range = prog_interval(f->p, node, &(ProgRanges){0}, f->range);
  int var = prog_add_var(&plan->body, row ? "row" : "column", stage,
                         exact(f->p, f->slot_dtype, node) || prog_integral(f->p, f->slot_dtype, node), range.lo,
                         range.hi);
  if (row) plan->row_var[plan->n_row++] = var;
  else plan->col_var[plan->n_col++] = var;
  return prog_var(&plan->body, var);
}

static int rebuild(Fuser *f, int i) {
  const ProgNode *n = &f->p->node[i];
  Prog *to = &f->plan->body;
  if (n->stage == PS_ROW || n->stage == PS_COL) return f->feed[i] ? feed(f, i) : -1;
  return copy_node(to, n, f->map);
}

static bool build_body(Fuser *f) {
  const Prog *p = f->p;
  FusePlan *plan = f->plan;
  Prog *body = &plan->body;
  prog_init(body);
  for (int k = 0; k < p->n_var; k++)
    prog_add_var(body, p->var[k].name, p->var[k].stage, p->var[k].integral, p->var[k].range.lo,
                 p->var[k].range.hi);
  for (int k = 0; k < p->n_slot; k++)
    prog_add_slot(body, p->slot[k].name, p->slot[k].range.lo, p->slot[k].range.hi);
  plan->row_var = calloc((size_t)p->n + 1, sizeof(int));
  plan->col_var = calloc((size_t)p->n + 1, sizeof(int));
  if (!plan->row_var || !plan->col_var) return false;
  for (int i = 0; i < p->n; i++) f->map[i] = f->live[i] ? rebuild(f, i) : -1;
  plan->mask = f->mask >= 0 ? f->map[f->mask] : -1;
  for (int k = 0; k < plan->n_want; k++) {
    int node = plan->want[k].node;
    plan->node[k] = f->map[node];
    plan->per_row[k] = f->sum[node];
  }
  return !body->failed;
}

/* A plan of the nodes that `stage` alone decides; rows run along the columns of
 * a strip, in double.                                                          */
static ProgPlan *plan_side(Rt *rt, const Fuser *f, int stage) {
  Prog copy;
  int n = 0, *outs = malloc(((size_t)f->p->n + 1) * sizeof(int));
  if (!outs || !prog_copy(&copy, f->p)) {
    free(outs);
    rt_fail(rt, RT_MEMORY, "out of memory while compiling a program");
    return NULL;
  }
  for (int i = 0; i < copy.n; i++) {
    if (f->live[i] && f->feed[i] && copy.node[i].stage == stage) outs[n++] = i;
    if (stage != PS_ROW) continue;
    if (copy.node[i].stage == PS_ROW) { copy.node[i].stage = PS_COL; copy.node[i].vec = true; }
  }
  DType real = stage == PS_ROW ? DT_F64 : f->plan->real;
  ProgPlan *plan = prog_plan(rt, &copy, real, f->slot_dtype, n, outs);
  prog_free(&copy);
  free(outs);
  return plan;
}

static bool check_indices(Rt *rt, const Fuser *f) {
  int outs[FUSE_MAX_WANT + 1], n = 0;
  for (int k = 0; k < f->plan->n_want; k++) outs[n++] = f->plan->want[k].node;
  outs[n++] = f->mask;
  ProgPlan *whole = prog_plan(rt, f->p, f->plan->real, f->slot_dtype, n, outs);
  prog_plan_free(rt, whole);
  return whole != NULL;
}

static bool plan_parts(Rt *rt, Fuser *f) {
  FusePlan *plan = f->plan;
  plan->rows = plan_side(rt, f, PS_ROW);
  plan->cols = plan->rows ? plan_side(rt, f, PS_COL) : NULL;
  if (!plan->cols) return false;
  plan->out_plan =
      prog_plan(rt, &plan->body, plan->real, f->slot_dtype, plan->n_want, plan->node);
  if (!plan->out_plan) return false;
  if (plan->mask < 0) return true;
  plan->mask_plan = prog_plan(rt, &plan->body, plan->real, f->slot_dtype, 1, &plan->mask);
  return plan->mask_plan != NULL;
}

static void describe(FusePlan *plan, const char *why) {
  const FuseCode *code = plan->code;
  if (!code) {
    snprintf(plan->how, sizeof plan->how, "strips, %d operations (%s)", fuse_ops(plan), why);
    return;
  }
  int n = snprintf(plan->how, sizeof plan->how, "%s code, %d operations a vector, %d registers",
                   code->shape.wide ? "AVX-512" : "AVX2", fuse_ops(plan), code->code[0].registers);
  for (int k = 0; k < code->n_foreign && n < (int)sizeof plan->how; k++) {
    static const char *const kinds[] = {"by strips", "by diagonals", "in place"};
    const FuseMatrix *x = &code->foreign_matrix[k];
    n += snprintf(plan->how + n, sizeof plan->how - (size_t)n, "%s %s %s", k ? "," : ";",
                  prog_op_name(plan->body.node[x->node].op), kinds[x->kind]);
  }
}

static bool make(Rt *rt, Fuser *f) {
  FusePlan *plan = f->plan;
  find_feeds(f);
  if (!check_indices(rt, f)) return false;
  if (!build_body(f)) {
    rt_fail(rt, RT_MEMORY, "out of memory while compiling a program");
    return false;
  }
  if (!plan_parts(rt, f)) return false;
  const char *why = "";
  plan->code = fuse_code(rt, plan, f->slot_dtype, &why);
  describe(plan, why);
  return true;
}

static bool start(Rt *rt, Fuser *f, Prog *source, const Prog *p, int mask, int n_want,
                  const FuseWant *want) {
  size_t n = 2 * (size_t)p->n + 2;   /* every quotient may bring a reciprocal */
  f->map = calloc(n, sizeof(int));
  bool ok = f->plan && f->map && !p->failed && by_reciprocals(source, p, f->slot_dtype, f->map);
  f->p = source;
  f->live = calloc(n, 1);
  f->sum = calloc(n, 1);
  f->feed = calloc(n, 1);
  f->range = calloc(n, sizeof(Interval));
  if (!ok || !f->live || !f->sum || !f->feed || !f->range) {
    rt_fail(rt, RT_MEMORY, "out of memory while compiling a program");
    return false;
  }
  if (n_want > FUSE_MAX_WANT) {
    rt_fail(rt, RT_ERROR, "a fused program gives at most %d results, not %d", FUSE_MAX_WANT,
            n_want);
    return false;
  }
  f->plan->n_want = n_want;
  f->plan->n_source_var = p->n_var;
  for (int k = 0; k < n_want; k++) {
    f->plan->want[k] = want[k];
    f->plan->want[k].node = f->map[want[k].node];
  }
  f->mask = mask < 0 ? -1 : f->map[mask];
  return true;
}

FusePlan *fuse_plan(Rt *rt, const Prog *p, DType real, const uint8_t *slot_dtype, int mask,
                    int n_want, const FuseWant *want) {
  FusePlan *plan = calloc(1, sizeof *plan);
  Prog source = {0};
  Fuser f = {.plan = plan, .slot_dtype = slot_dtype};
  if (plan) {
    plan->real = real;
    plan->size = real == DT_F32 ? 4 : 8;
  }
  bool ok = start(rt, &f, &source, p, mask, n_want, want) && make(rt, &f);
  free(f.live); free(f.sum); free(f.feed); free(f.map); free(f.range);
  prog_free(&source);
  if (ok) return plan;
  fuse_plan_free(rt, plan);
  return NULL;
}

void fuse_plan_free(Rt *rt, FusePlan *plan) {
  if (!plan) return;
  prog_plan_free(rt, plan->rows);
  prog_plan_free(rt, plan->cols);
  prog_plan_free(rt, plan->mask_plan);
  prog_plan_free(rt, plan->out_plan);
  fuse_code_free(rt, plan->code);
  prog_free(&plan->body);
  free(plan->row_var);
  free(plan->col_var);
  free(plan);
}

const char *fuse_how(const FusePlan *plan) { return plan->how; }
int fuse_ops(const FusePlan *plan) {
  if (plan->code) return plan->code->code[plan->mask >= 0].ops;
  return prog_plan_ops(plan->out_plan) + (plan->mask_plan ? prog_plan_ops(plan->mask_plan) : 0);
}
bool fuse_emitted(const FusePlan *plan) { return plan->code != NULL; }
