/* tile_plan.c: which variants are tiled, and the fused programs of a tile:
 * weights with the row's sums forward; going back, weights, the adjoints of all
 * products and of everything captured in one program.                        */
#include "runtime/attention/tile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- wants ------------------------------------------------------------------------- */

typedef struct { FuseWant item[FUSE_MAX_WANT]; int n; } Wants;

/* The want of this node, new or shared; -1: there are too many. */
static int want(Wants *w, int node) {
  for (int k = 0; k < w->n; k++)
    if (w->item[k].node == node) return k;
  if (w->n == FUSE_MAX_WANT) return -1;
  w->item[w->n] = (FuseWant){.node = node};
  return w->n++;
}

/* ---- modes -------------------------------------------------------------------------- */

const char *tile_reason(const AttnSpec *s) {
  const Prog *p = &s->prog;
  if (s->norm == ATTN_NORM_SINKHORN) return "its normaliser couples the rows";
  if (s->norm != ATTN_NORM_PHI) return "the threshold of its normaliser needs whole rows";
  if (s->select == ATTN_TOP) return "the largest weights are found in whole rows";
  if (s->select != ATTN_ALL) return "one key is chosen from a whole row";
  for (int i = 0; i < p->n; i++)
    if (p->node[i].op == PO_VAR && p->node[i].slot == AV_MAX && prog_uses(p, s->phi, i))
      return "its divisor uses the row's maximum";
  return NULL;
}

static bool never_negative(const AttnSpec *s, int node) {
  Interval *v = malloc(((size_t)s->prog.n + (size_t)s->prog.n_var) * sizeof *v);
  if (!v) return false;
  Interval *var = v + s->prog.n;
  for (int k = 0; k < s->prog.n_var; k++) var[k] = s->prog.var[k].range;
  var[AV_SUM].lo = var[AV_L2].lo = var[AV_L1].lo = var[AV_COUNT].lo = 0;
  double lo = prog_interval(&s->prog, node, &(ProgRanges){.var = var}, v).lo;
  free(v);
  return lo >= 0;
}

static bool leaf_used(const AttnSpec *s, int leaf) {
  const int out[] = {s->out, s->mask, s->phi};
  for (int i = 0; i < s->prog.n; i++) {
    const ProgNode *n = &s->prog.node[i];
    if (n->op != PO_VAR || n->slot != s->leaf[leaf].var) continue;
    for (int k = 0; k < 3; k++)
      if (out[k] >= 0 && prog_uses(&s->prog, out[k], i)) return true;
  }
  return false;
}

static void find_products(TilePlan *p, const AttnSpec *s) {
  p->dot = p->dist2 = p->l1 = -1;
  for (int k = 0; k < s->n_leaf; k++) {
    const AttnLeaf *l = &s->leaf[k];
    p->used[k] = leaf_used(s, k);
    if (l->stage != PS_BOTH || !p->used[k]) continue;
    if (l->product == ATTN_DOT) p->dot = k;
    else if (l->product == ATTN_DIST2) p->dist2 = k;
    else p->l1 = k;
  }
  p->centred = p->dist2 >= 0 && p->dot < 0;
}

/* What is computed once hangs on slots and sizes alone, unless it looks at these. */
static bool looks_at_head(const AttnSpec *s) {
  for (int i = 0; i < s->prog.n; i++) {
    const ProgNode *n = &s->prog.node[i];
    if (n->op != PO_VAR) continue;
    if (n->slot == AV_H || n->slot == AV_BATCH) return true;
    if (n->slot >= AV_FIRST_LEAF && n->stage == PS_ONCE) return true;
  }
  return false;
}

static void find_divisor(TilePlan *p, const AttnSpec *s) {
  const ProgNode *phi = &s->prog.node[s->phi];
  p->phi = prog_is_const(&s->prog, s->phi, &p->phi_value) ? TILE_PHI_CONST
         : phi->op == PO_VAR && phi->slot == AV_SUM ? TILE_PHI_SUM : TILE_PHI_ANY;
  p->folded = s->log && (p->phi == TILE_PHI_SUM ||
                         (p->phi == TILE_PHI_CONST ? p->phi_value > 0 : never_negative(s, s->phi)));
}

/* ---- forward -------------------------------------------------------------------------- */

static int relative_weight(Prog *p, const TilePlan *t, const AttnSpec *s) {
  if (!s->log) return s->out;
  return prog_unary(p, PO_EXP, prog_binary(p, PO_SUB, s->out, prog_var(p, t->shift)));
}

static RtStatus forward_plans(Rt *rt, TilePlan *t, const AttnSpec *s, const AttnCode *code,
                              DType real) {
  Prog *p = &t->prog;
  Wants w = {0};
  int weight = relative_weight(p, t, s);
  w.item[want(&w, weight)].store = true;
  w.item[0].row_sum = t->phi != TILE_PHI_CONST || s->log;
  t->sumsq_want = t->count_want = -1;
  if (code->uses_l2) {
    t->sumsq_want = want(&w, prog_binary(p, PO_MUL, weight, weight));
    w.item[t->sumsq_want].row_sum = true;
  }
  t->l1_sum_want = -1;
  if (code->uses_l1 && !s->log) {
    t->l1_sum_want = want(&w, prog_unary(p, PO_ABS, weight));
    w.item[t->l1_sum_want].row_sum = true;
  }
  if (code->uses_count) {
    t->count_want = want(&w, prog_const(p, 1));
    w.item[t->count_want].row_sum = true;
  }
  t->weight = fuse_plan(rt, p, real, code->slot_dtype, s->mask, w.n, w.item);
  if (!t->weight) return rt->error.status;
  if (!s->log) return RT_OK;
  FuseWant top = {.node = s->out, .closed = -INFINITY, .row_max = true};
  t->top = fuse_plan(rt, p, real, code->slot_dtype, s->mask, 1, &top);
  return t->top ? RT_OK : rt->error.status;
}

TilePlan *tile_plan(Rt *rt, const AttnSpec *s, const AttnCode *code, DType real) {
  TilePlan *t = calloc(1, sizeof *t);
  if (!t) { rt_fail(rt, RT_MEMORY, "out of memory"); return NULL; }
  t->reason = tile_reason(s);
  if (t->reason) return t;
  if (!prog_copy(&t->prog, &s->prog)) {
    rt_fail(rt, RT_MEMORY, "out of memory");
    tile_plan_free(rt, t);
    return NULL;
  }
  Prog *p = &t->prog;
  t->shift = prog_add_var(p, "shift", PS_ROW, false, -INFINITY, INFINITY);
  t->dp = prog_add_var(p, "dp", PS_BOTH, false, -INFINITY, INFINITY);
  t->mean = prog_add_var(p, "mean", PS_ROW, false, -INFINITY, INFINITY);
  t->curve = prog_add_var(p, "curve", PS_ROW, false, -INFINITY, INFINITY);
  t->bend = prog_add_var(p, "bend", PS_ROW, false, -INFINITY, INFINITY);
  t->kept = prog_add_var(p, "kept", PS_BOTH, false, 0, INFINITY);
  find_products(t, s);
  find_divisor(t, s);
  t->per_head = looks_at_head(s);
  for (int k = 0; k < s->n_leaf; k++)
    t->by_vector |= t->used[k] && (s->leaf[k].stage == PS_ROW || s->leaf[k].stage == PS_COL);
  if (forward_plans(rt, t, s, code, real)) {
    tile_plan_free(rt, t);
    return NULL;
  }
  return t;
}

void tile_plan_free(Rt *rt, TilePlan *t) {
  if (!t) return;
  if (t->weight) fuse_plan_free(rt, t->weight);
  if (t->top) fuse_plan_free(rt, t->top);
  if (t->grad) fuse_plan_free(rt, t->grad);
  if (t->bare_grad) fuse_plan_free(rt, t->bare_grad);
  if (t->kept_grad) fuse_plan_free(rt, t->kept_grad);
  if (t->prog.node) prog_free(&t->prog);
  free(t->load);
  free(t->map.first);
  free(t);
}

/* ---- captured tensors --------------------------------------------------------------------- */

/* Does the node change with i - j alone?  Affine nodes a i + b j + c tell their
 * slopes; the others inherit from their operands.                             */
typedef struct { bool known; double i, j; } Slope;

static Slope slope_of(const Prog *p, int node) {
  const ProgNode *n = &p->node[node];
  Slope a, b;
  double c;
  if (n->stage == PS_ONCE) return (Slope){true, 0, 0};
  if (n->op == PO_VAR) return (Slope){n->slot <= AV_J, n->slot == AV_I, n->slot == AV_J};
  switch (n->op) {
  case PO_NEG:
    a = slope_of(p, n->a);
    return (Slope){a.known, -a.i, -a.j};
  case PO_ADD: case PO_SUB: {
    double s = n->op == PO_ADD ? 1 : -1;
    a = slope_of(p, n->a);
    b = slope_of(p, n->b);
    return (Slope){a.known && b.known, a.i + s * b.i, a.j + s * b.j};
  }
  case PO_MUL:
    for (int swap = 0; swap < 2; swap++)
      if (prog_is_const(p, swap ? n->b : n->a, &c)) {
        a = slope_of(p, swap ? n->a : n->b);
        return (Slope){a.known, c * a.i, c * a.j};
      }
    return (Slope){0};
  default: return (Slope){0};
  }
}

static bool on_diagonals(const Prog *p, int node) {
  const ProgNode *n = &p->node[node];
  if (n->stage == PS_ONCE) return true;
  Slope s = slope_of(p, node);
  if (s.known) return s.i == -s.j;
  if (n->op == PO_VAR) return false;
  int arg[PROG_MAX_INDEX], k = prog_operands(p, node, arg);
  for (int i = 0; i < k; i++)
    if (!on_diagonals(p, arg[i])) return false;
  return true;
}

static void classify(TileLoad *l, const Prog *p) {
  int stage = 0;
  bool diagonal = true, grid = true;
  for (int k = 0; k < l->n_ix; k++) {
    const ProgNode *n = &p->node[l->ix[k]];
    stage |= n->stage;
    grid &= n->stage == PS_ONCE || (n->op == PO_VAR && n->slot <= AV_J);
    diagonal &= on_diagonals(p, l->ix[k]);
  }
  l->fixed = stage == PS_ONCE;
  l->gather = !(stage & PS_COL) ? TILE_ROW_SUMS : !(stage & PS_ROW) ? TILE_COL_SUMS
            : diagonal ? TILE_DIAGONALS : grid ? TILE_GRID : TILE_PAIRS;
}

const char *tile_gather_name(const TileLoad *l) {
  static const char *const names[] = {"row sums", "column sums", "sums along diagonals",
                                      "the tile", "scattered from the tile"};
  return l->fixed ? "one sum a head" : names[l->gather];
}

/* ---- backward ------------------------------------------------------------------------------ */

/* The loads of float tensors below the weight. */
static int list_loads(const Prog *p, int out, const uint8_t *slot_dtype, int *node) {
  int n = 0;
  for (int i = 0; i <= out; i++)
    if (p->node[i].op == PO_LOAD && dtype_float(slot_dtype[p->node[i].slot]) &&
        prog_uses(p, out, i)) node[n++] = i;
  return n;
}

/* Adds the wants of one load's adjoint; false: too many. */
static bool want_load(TilePlan *t, Wants *w, const Prog *p, int node, int adjoint) {
  const ProgNode *n = &p->node[node];
  TileLoad *l = &t->load[t->n_load++];
  *l = (TileLoad){.slot = n->slot, .n_ix = n->n_ix, .want = want(w, adjoint)};
  if (l->want < 0) return false;
  for (int k = 0; k < n->n_ix; k++) l->ix[k] = n->ix[k];
  classify(l, p);
  if (l->gather == TILE_ROW_SUMS) w->item[l->want].row_sum = true;
  else if (l->gather == TILE_COL_SUMS) w->item[l->want].column_sum = true;
  else w->item[l->want].store = true;
  for (int k = 0; k < l->n_ix && l->gather == TILE_PAIRS; k++) {
    l->ix_want[k] = p->node[l->ix[k]].op == PO_CONST ? -1 : want(w, l->ix[k]);
    if (l->ix_want[k] >= 0) w->item[l->ix_want[k]].store = true;
    else if (p->node[l->ix[k]].op != PO_CONST) return false;
  }
  return true;
}

/* Wants for the products of q with k: their adjoints meet in one tile, as
 * dist2 = |q|^2 + |k|^2 - 2 dot.                                              */
static bool want_products(TilePlan *t, Wants *w, Prog *p, const int *adjoint) {
  int dot = t->dot >= 0 ? adjoint[t->dot] : -1, dist2 = t->dist2 >= 0 ? adjoint[t->dist2] : -1;
  int sum = dist2 < 0 ? dot : prog_binary(p, PO_MUL, prog_const(p, -2), dist2);
  if (dist2 >= 0 && dot >= 0) sum = prog_binary(p, PO_ADD, sum, dot);
  t->pair_want = t->dist2_want = t->l1_want = -1;
  if (sum >= 0) w->item[t->pair_want = want(w, sum)].store = true;
  if (dist2 >= 0) {
    t->dist2_want = want(w, dist2);
    w->item[t->dist2_want].row_sum = w->item[t->dist2_want].column_sum = true;
  }
  if (t->l1 >= 0 && adjoint[t->l1] >= 0)
    w->item[t->l1_want = want(w, adjoint[t->l1])].store = true;
  return true;
}

static bool want_leaves(TilePlan *t, Wants *w, const AttnSpec *s, const int *adjoint) {
  for (int k = 0; k < s->n_leaf; k++) {
    t->leaf_want[k] = -1;
    if (s->leaf[k].stage == PS_BOTH || adjoint[k] < 0) continue;
    int at = want(w, adjoint[k]);
    if (at < 0) return false;
    t->leaf_want[k] = at;
    if (s->leaf[k].stage == PS_COL) w->item[at].column_sum = true;
    else w->item[at].row_sum = true;
  }
  return true;
}

/* dL/du or dL/dw of a pair: see tile_backward.h. */
static int seed_node(Prog *p, const TilePlan *t, const AttnSpec *s, const AttnCode *code,
                     int weight) {
  int x = prog_var(p, t->dp);
  if (t->phi != TILE_PHI_CONST && (t->phi == TILE_PHI_SUM || code->uses_stats))
    x = prog_binary(p, PO_SUB, x, prog_var(p, t->mean));
  if (code->uses_l2)
    x = prog_binary(p, PO_SUB, x, prog_binary(p, PO_MUL, prog_var(p, t->curve), weight));
  if (code->uses_l1 && !s->log)
    x = prog_binary(p, PO_SUB, x,
                    prog_binary(p, PO_MUL, prog_var(p, t->bend), prog_unary(p, PO_SIGN, weight)));
  return s->log ? prog_binary(p, PO_MUL, weight, x) : x;
}

/* Do adjoints look at queries and keys through the weight alone? */
static bool weight_suffices(const TilePlan *t, const Prog *p, const AttnSpec *s) {
  const int both[3] = {t->dot, t->dist2, t->l1};
  if (t->phi != TILE_PHI_SUM || !t->folded) return false;
  for (int k = 0; k < t->n_load; k++)
    if (t->load[k].want == t->weight_want) return false;
  for (int i = 0; i < p->n; i++)
    for (int k = 0; k < 3 && p->node[i].op == PO_VAR; k++) {
      if (both[k] < 0 || p->node[i].slot != s->leaf[both[k]].var) continue;
      if (s->mask >= 0 && prog_uses(p, s->mask, i)) return false;
      for (int q = 0; q < t->n_want; q++)
        if (prog_uses(p, t->want[q].node, i)) return false;
    }
  return true;
}

/* The same adjoints, with the weight as a matrix that is given. */
static RtStatus kept_plan(Rt *rt, TilePlan *t, const AttnSpec *s, const AttnCode *code, DType real,
                          const Prog *from) {
  Prog p;
  FuseWant want[FUSE_MAX_WANT];
  if (!prog_copy(&p, from)) return rt_fail(rt, RT_MEMORY, "out of memory");
  ProgNode *weight = &p.node[t->want[t->weight_want].node];
  *weight = (ProgNode){.op = PO_VAR, .slot = t->kept, .a = -1, .b = -1, .c = -1,
                       .stage = weight->stage, .vec = weight->vec};
  RtStatus status = RT_OK;
  if (weight_suffices(t, &p, s)) {
    memcpy(want, t->want, sizeof want);
    want[t->weight_want].store = false;
    t->kept_grad = fuse_plan(rt, &p, real, code->slot_dtype, s->mask, t->n_want, want);
    if (!t->kept_grad) status = rt->error.status;
  }
  prog_free(&p);
  return status;
}

static RtStatus grad_plan(Rt *rt, TilePlan *t, const AttnSpec *s, const AttnCode *code, DType real,
                          Prog *p, int *leaf, int *adjoint) {
  int weight = relative_weight(p, t, s), seed = seed_node(p, t, s, code, weight);
  for (int k = 0; k < s->n_leaf; k++) leaf[k] = prog_var(p, s->leaf[k].var);
  int n_load = list_loads(p, s->out, code->slot_dtype, leaf + s->n_leaf);
  t->load = calloc((size_t)n_load + 1, sizeof *t->load);
  if (!t->load) return rt_fail(rt, RT_MEMORY, "out of memory");
  p->pairwise = true;
  RT_TRY(prog_derive(rt, p, s->out, seed, s->n_leaf + n_load, leaf, adjoint));
  Wants w = {0};
  t->weight_want = want(&w, weight);
  w.item[t->weight_want].store = true;
  bool fits = want_products(t, &w, p, adjoint) && want_leaves(t, &w, s, adjoint);
  Wants bare = w;
  for (int k = 0; k < n_load && fits; k++)
    if (adjoint[s->n_leaf + k] >= 0)
      fits = want_load(t, &w, p, leaf[s->n_leaf + k], adjoint[s->n_leaf + k]);
  if (!fits)
    t->grad_reason = "it captures more tensors than one fused program can differentiate";
  else if (!(t->grad = fuse_plan(rt, p, real, code->slot_dtype, s->mask, w.n, w.item)))
    return rt->error.status;
  if (fits && t->n_load > 0) {
    t->bare_grad = fuse_plan(rt, p, real, code->slot_dtype, s->mask, bare.n, bare.item);
    if (!t->bare_grad) return rt->error.status;
  }
  t->n_want = w.n;
  memcpy(t->want, w.item, sizeof w.item);
  return fits ? kept_plan(rt, t, s, code, real, p) : RT_OK;
}

RtStatus tile_plan_grad(Rt *rt, TilePlan *t, const AttnSpec *s, const AttnCode *code, DType real) {
  Prog p;
  if (t->reason || t->grad_reason || t->grad) return RT_OK;
  if (!prog_copy(&p, &t->prog)) return rt_fail(rt, RT_MEMORY, "out of memory");
  size_t most = (size_t)(s->n_leaf + p.n) + 1;
  int *leaf = calloc(2 * most, sizeof *leaf);
  RtStatus status = leaf ? grad_plan(rt, t, s, code, real, &p, leaf, leaf + most)
                         : rt_fail(rt, RT_MEMORY, "out of memory");
  free(leaf);
  prog_free(&p);
  return status;
}
