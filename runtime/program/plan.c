/* plan.c: from a program to instruction lists, one per stage: what is computed
 * once, once a column block, once a row, and for every strip.
 *
 * Strips live in registers.  Those of the column stage stay for all rows;
 * those of the last stage are handed out again after their last use, so that
 * the working set stays in the first-level cache.                           */
#include "runtime/program/plan.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  const Prog *p;
  ProgPlan *plan;
  const uint8_t *slot_dtype;
  bool *live;          /* is the node needed for an output? */
  bool *wide;          /* strip of doubles in an f32 plan */
  int *last_use;
  Opnd *place, *cast;  /* where a node's value is; its other width */
  int *free_real, *free_wide;
  int n_free_real, n_free_wide;
} Planner;

static Opnd new_register(Planner *pl, bool wide) {
  int *n_free = wide ? &pl->n_free_wide : &pl->n_free_real;
  int *stack = wide ? pl->free_wide : pl->free_real;
  int at = *n_free ? stack[--*n_free] : wide ? pl->plan->n_wide++ : pl->plan->n_real++;
  return (Opnd){wide ? OPND_WIDE : OPND_REAL, at};
}

static void free_register(Planner *pl, Opnd o) {
  if (o.kind == OPND_REAL) pl->free_real[pl->n_free_real++] = o.at;
  if (o.kind == OPND_WIDE) pl->free_wide[pl->n_free_wide++] = o.at;
}

static void emit(Planner *pl, int stage, const Instr *in) {
  InstrList *l = &pl->plan->list[stage];
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 16;
    Instr *more = realloc(l->items, (size_t)cap * sizeof *more);
    if (!more) { pl->plan->failed = true; return; }
    l->items = more;
    l->cap = cap;
  }
  l->items[l->n++] = *in;
}

/* What a strip is computed in follows from its leaves: positions and integer
 * tensors alone give doubles, anything real gives reals. */
static void find_widths(Planner *pl) {
  const Prog *p = pl->p;
  for (int i = 0; i < p->n; i++) {
    const ProgNode *n = &p->node[i];
    pl->wide[i] = false;
    if (!n->vec || pl->plan->real == DT_F64) continue;
    if (n->op == PO_VAR) { pl->wide[i] = p->var[n->slot].integral; continue; }
    if (n->op == PO_LOAD) {
      uint8_t dt = pl->slot_dtype ? pl->slot_dtype[n->slot] : DT_F64;
      pl->wide[i] = dt == DT_I64 || dt == DT_BOOL;
      continue;
    }
    bool wide = true;
    int arg[PROG_MAX_INDEX], k = prog_operands(p, i, arg);
    for (int j = 0; j < k; j++)
      if (p->node[arg[j]].vec && !pl->wide[arg[j]]) wide = false;
    pl->wide[i] = wide;
  }
}

static void find_live(Planner *pl, int n_out, const int *outs) {
  const Prog *p = pl->p;
  for (int i = 0; i < n_out; i++)
    if (outs[i] >= 0) { pl->live[outs[i]] = true; pl->last_use[outs[i]] = p->n; }
  for (int i = p->n - 1; i >= 0; i--) {
    if (!pl->live[i]) continue;
    int arg[PROG_MAX_INDEX], k = prog_operands(p, i, arg);
    for (int j = 0; j < k; j++) {
      pl->live[arg[j]] = true;
      if (pl->last_use[arg[j]] < i) pl->last_use[arg[j]] = i;
    }
  }
}

/* The value of a node as an operand of the wanted width. */
static Opnd operand(Planner *pl, int node, bool wide) {
  if (node < 0) return (Opnd){OPND_NONE, 0};
  const ProgNode *n = &pl->p->node[node];
  if (!n->vec || pl->wide[node] == wide) return pl->place[node];
  if (pl->cast[node].kind == OPND_NONE) {
    Instr in = {.op = PI_CAST, .wide = wide, .a = pl->place[node]};
    in.a.kind = in.a.kind == OPND_VAR ? OPND_VAR : in.a.kind;
    in.dst = pl->cast[node] = new_register(pl, wide);
    emit(pl, n->stage == PS_COL ? PS_COL : PS_BOTH, &in);
  }
  return pl->cast[node];
}

bool prog_integral(const Prog *p, const uint8_t *slot_dtype, int node) {
  const ProgNode *n = &p->node[node];
  switch (n->op) {
  case PO_CONST: return n->value == (double)(int64_t)n->value;
  case PO_VAR: return p->var[n->slot].integral;
  case PO_LOAD: {
    uint8_t dt = slot_dtype ? slot_dtype[n->slot] : DT_F64;
    return dt == DT_I64 || dt == DT_BOOL;
  }
  case PO_FLOOR: case PO_CEIL: case PO_ROUND: case PO_TRUNC: case PO_SIGN: case PO_NOT:
  case PO_EQ: case PO_NE: case PO_LT: case PO_LE: case PO_GT: case PO_GE: case PO_AND:
  case PO_OR: case PO_FLOORDIV: return true;
  case PO_DIV: return false;
  default: break;
  }
  if (n->op < PO_ADD && n->op != PO_NEG && n->op != PO_ABS && n->op != PO_RELU) return false;
  int arg[PROG_MAX_INDEX], k = prog_operands(p, node, arg);
  for (int j = n->op == PO_SELECT; j < k; j++)
    if (!prog_integral(p, slot_dtype, arg[j])) return false;
  return true;
}

static RtStatus check_indices(Rt *rt, Planner *pl) {
  for (int i = 0; i < pl->p->n; i++) {
    const ProgNode *n = &pl->p->node[i];
    if (!pl->live[i] || n->op != PO_LOAD) continue;
    for (int k = 0; k < n->n_ix; k++) {
      if (prog_integral(pl->p, pl->slot_dtype, n->ix[k])) continue;
      Buf text = {0};
      prog_show(pl->p, n->ix[k], &text);
      rt_fail(rt, RT_ERROR, "index %d of `%s` is `%.100s`, which is no integer", k,
              pl->p->slot[n->slot].name, text.data ? text.data : "");
      rt_help(rt, "use floor(...), round(...) or `//`");
      buf_free(&text);
      return RT_ERROR;
    }
  }
  return RT_OK;
}

static void release_operands(Planner *pl, int node) {
  int arg[PROG_MAX_INDEX], k = prog_operands(pl->p, node, arg);
  for (int j = 0; j < k; j++) {
    int a = arg[j];
    if (pl->p->node[a].stage != PS_BOTH || !pl->p->node[a].vec || pl->last_use[a] != node) continue;
    pl->last_use[a] = -1; /* once, though it may occur twice */
    free_register(pl, pl->place[a]);
    if (pl->cast[a].kind != OPND_NONE) free_register(pl, pl->cast[a]);
  }
}

static void plan_node(Planner *pl, int i) {
  const ProgNode *n = &pl->p->node[i];
  if (n->op == PO_CONST || (n->op == PO_VAR && !n->vec)) {
    pl->place[i] = (Opnd){OPND_SCALAR, i};
    if (n->op == PO_CONST) pl->plan->constant[i] = n->value;
    else emit(pl, n->stage, &(Instr){.op = PO_VAR, .slot = n->slot, .dst = pl->place[i]});
    return;
  }
  if (n->op == PO_VAR) {
    pl->place[i] = (Opnd){OPND_VAR, n->slot};
    return;
  }
  Instr in = {.op = n->op, .slot = n->slot, .n_ix = n->n_ix, .wide = pl->wide[i]};
  if (n->op == PO_LOAD) {
    for (int k = 0; k < n->n_ix; k++)
      in.ix[k] = operand(pl, n->ix[k], pl->plan->real != DT_F64);
  } else {
    bool w = n->op == PO_SUM ? pl->wide[n->a] : pl->wide[i];
    in.wide = w;
    in.a = operand(pl, n->a, w);
    in.b = operand(pl, n->b, w);
    in.c = operand(pl, n->c, w);
  }
  in.dst = n->vec ? new_register(pl, pl->wide[i]) : (Opnd){OPND_SCALAR, i};
  pl->place[i] = in.dst;
  emit(pl, n->stage, &in);
  if (n->stage == PS_BOTH) release_operands(pl, i);
}

static void plan_all(Planner *pl, int n_out, const int *outs) {
  /* Column-stage strips first: their registers must never be handed out again. */
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < pl->p->n; i++) {
      bool persistent = pl->p->node[i].stage != PS_BOTH;
      if (pl->live[i] && persistent == (pass == 0)) plan_node(pl, i);
      if (pl->live[i] && pass == 0 && persistent && pl->p->node[i].vec) {
        /* Any width that a later stage may ask for. */
        operand(pl, i, !pl->wide[i] && pl->plan->real != DT_F64);
        operand(pl, i, pl->wide[i]);
      }
    }
  for (int k = 0; k < n_out; k++) {
    Opnd o = outs[k] >= 0 ? pl->place[outs[k]] : (Opnd){OPND_NONE, 0};
    pl->plan->out[k] = o;
    pl->plan->out_wide[k] =
        o.kind == OPND_WIDE || (o.kind == OPND_VAR && pl->p->var[o.at].integral);
  }
}

static bool planner_init(Planner *pl, int n, int n_out) {
  size_t m = (size_t)n + 1;
  pl->live = calloc(m, sizeof(bool));
  pl->wide = calloc(m, sizeof(bool));
  pl->last_use = calloc(m, sizeof(int));
  pl->place = calloc(m, sizeof(Opnd));
  pl->cast = calloc(m, sizeof(Opnd));
  pl->free_real = calloc(2 * m, sizeof(int));
  pl->free_wide = calloc(2 * m, sizeof(int));
  pl->plan->out = calloc((size_t)n_out + 1, sizeof(Opnd));
  pl->plan->out_wide = calloc((size_t)n_out + 1, sizeof(bool));
  pl->plan->constant = calloc(m, sizeof(double));
  return pl->live && pl->wide && pl->last_use && pl->place && pl->cast && pl->free_real &&
         pl->free_wide && pl->plan->out && pl->plan->out_wide && pl->plan->constant;
}

static void planner_free(Planner *pl) {
  free(pl->live); free(pl->wide); free(pl->last_use); free(pl->place); free(pl->cast);
  free(pl->free_real); free(pl->free_wide);
}

ProgPlan *prog_plan(Rt *rt, const Prog *p, DType real, const uint8_t *slot_dtype,
                    int n_out, const int *outs) {
  ProgPlan *plan = calloc(1, sizeof *plan);
  Planner pl = {.p = p, .plan = plan, .slot_dtype = slot_dtype};
  if (!plan || p->failed || !planner_init(&pl, p->n, n_out)) {
    if (plan) planner_free(&pl);
    prog_plan_free(rt, plan);
    rt_fail(rt, RT_MEMORY, "out of memory while compiling a program");
    return NULL;
  }
  plan->real = real;
  plan->n_node = p->n;
  plan->n_out = n_out;
  find_widths(&pl);
  find_live(&pl, n_out, outs);
  RtStatus status = check_indices(rt, &pl);
  if (!status) plan_all(&pl, n_out, outs);
  planner_free(&pl);
  if (!status && plan->failed)
    status = rt_fail(rt, RT_MEMORY, "out of memory while compiling a program");
  if (status) {
    prog_plan_free(rt, plan);
    return NULL;
  }
  return plan;
}

void prog_plan_free(Rt *rt, ProgPlan *plan) {
  if (!plan) return;
  for (int s = 0; s < 4; s++) free(plan->list[s].items);
  free(plan->out);
  free(plan->out_wide);
  free(plan->constant);
  free(plan);
}

int prog_plan_ops(const ProgPlan *plan) {
  int n = 0;
  for (int i = 0; i < plan->list[PS_BOTH].n; i++)
    n += plan->list[PS_BOTH].items[i].dst.kind != OPND_SCALAR;
  return n;
}

bool prog_out_wide(const ProgPlan *plan, int k) { return plan->out_wide[k]; }
