/* spec.c: building a variant, and what can be said about its weight. */
#include "runtime/attention/attn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

AttnSpec *attn_spec_new(Rt *rt, const char *name) {
  AttnSpec *s = calloc(1, sizeof *s);
  if (!s) { rt_fail(rt, RT_MEMORY, "out of memory"); return NULL; }
  s->refs = 1;
  snprintf(s->name, sizeof s->name, "%s", name);
  arena_init(&s->arena, NULL);
  Prog *p = &s->prog;
  prog_init(p);
  static const struct { const char *name; int stage; bool integral; double lo; } vars[] = {
    {"i", PS_ROW, true, -INFINITY}, {"j", PS_COL, true, 0}, {"n_q", PS_ONCE, true, 1},
    {"n_k", PS_ONCE, true, 1}, {"d", PS_ONCE, true, 1}, {"h", PS_ONCE, true, 0},
    {"heads", PS_ONCE, true, 1}, {"batch", PS_ONCE, true, 0},
    {"sum", PS_ROW, false, -INFINITY}, {"max", PS_ROW, false, -INFINITY},
    {"l2", PS_ROW, false, 0}, {"l1", PS_ROW, false, 0}, {"count", PS_ROW, false, 0},
    {"seed", PS_BOTH, false, -INFINITY},
  };
  for (size_t k = 0; k < sizeof vars / sizeof *vars; k++)
    prog_add_var(p, vars[k].name, vars[k].stage, vars[k].integral, vars[k].lo, INFINITY);
  s->out = s->mask = s->alpha = s->rounds = s->tau = -1;
  s->top = s->dropout = s->iterate = s->rope_base = -1;
  s->phi = prog_var(p, AV_SUM);
  return s;
}

static void spec_free(Rt *rt, AttnSpec *s) {
  if (!s) return;
  for (int k = 0; k < 4; k++) attn_code_free(rt, s->code[k]);
  spec_free(rt, s->causal);
  prog_free(&s->prog);
  arena_free(&s->arena);
  free(s);
}

void attn_spec_unref(Rt *rt, AttnSpec *s) {
  if (s && s->owner) s = s->owner;
  if (s && !--s->refs) spec_free(rt, s);
}

/* Names stay in the owner's arena, so the two live and die together. */
AttnSpec *attn_spec_causal(Rt *rt, AttnSpec *s) {
  if (s->owner) return s;
  if (s->causal) return s->causal;
  AttnSpec *c = malloc(sizeof *c);
  Prog prog = {0};
  if (!c || !prog_copy(&prog, &s->prog)) {
    free(c);
    rt_fail(rt, RT_MEMORY, "out of memory");
    return NULL;
  }
  *c = *s;
  c->prog = prog;
  c->owner = s;
  memset(c->code, 0, sizeof c->code);
  arena_init(&c->arena, NULL);
  Prog *p = &c->prog;
  int past = prog_binary(p, PO_LE, prog_var(p, AV_J), prog_var(p, AV_I));
  c->mask = s->mask < 0 ? past : prog_binary(p, PO_AND, s->mask, past);
  if (p->failed) {
    spec_free(rt, c);
    rt_fail(rt, RT_MEMORY, "out of memory");
    return NULL;
  }
  return s->causal = c;
}

static int side_stage(AttnSide s) { return s == ATTN_Q ? PS_ROW : s == ATTN_K ? PS_COL : PS_ONCE; }

static const char *side_name(const AttnSpec *s, AttnSide side, int slot) {
  return side == ATTN_Q ? "q" : side == ATTN_K ? "k" : s->prog.slot[slot].name;
}

int attn_product(AttnSpec *s, AttnProduct product, AttnSide left, int left_slot,
                 AttnSide right, int right_slot) {
  bool one = product == ATTN_NORM2 || product == ATTN_NORM;
  if (one) { right = left; right_slot = left_slot; }
  else if (left > right) { /* products are symmetric */
    AttnSide t = left; left = right; right = t;
    int u = left_slot; left_slot = right_slot; right_slot = u;
  }
  for (int k = 0; k < s->n_leaf; k++) {
    const AttnLeaf *l = &s->leaf[k];
    if (l->product == product && l->left == left && l->right == right &&
        l->left_slot == left_slot && l->right_slot == right_slot) return prog_var(&s->prog, l->var);
  }
  if (s->n_leaf == ATTN_MAX_LEAF) return -1;
  static const char *const names[] = {"dot", "dist2", "l1", "norm2", "norm"};
  const char *name =
      one ? arena_format(&s->arena, "%s(%s)", names[product], side_name(s, left, left_slot))
          : arena_format(&s->arena, "%s(%s, %s)", names[product], side_name(s, left, left_slot),
                         side_name(s, right, right_slot));
  int stage = side_stage(left) | side_stage(right);
  int var = prog_add_var(
      &s->prog, name ? name : names[product], stage, false,
      product == ATTN_DOT && (left != right || left_slot != right_slot) ? -INFINITY : 0, INFINITY);
  s->leaf[s->n_leaf++] = (AttnLeaf){product, (uint8_t)left, (uint8_t)right, (int16_t)left_slot,
                                    (int16_t)right_slot, var, (uint8_t)stage};
  return prog_var(&s->prog, var);
}

int attn_cos(AttnSpec *s, AttnSide left, int left_slot, AttnSide right, int right_slot) {
  Prog *p = &s->prog;
  int dot = attn_product(s, ATTN_DOT, left, left_slot, right, right_slot);
  int a = attn_product(s, ATTN_NORM, left, left_slot, left, left_slot);
  int b = attn_product(s, ATTN_NORM, right, right_slot, right, right_slot);
  if (dot < 0 || a < 0 || b < 0) return -1;
  /* One factor per stage: the strip is multiplied twice, never divided. */
  return prog_binary(p, PO_MUL, prog_binary(p, PO_MUL, dot, prog_unary(p, PO_RECIP0, a)),
                     prog_unary(p, PO_RECIP0, b));
}

void attn_set_score(AttnSpec *s, int node) {
  s->out = node;
  s->log = true;
}

void attn_set_weight(AttnSpec *s, int node) {
  int u = prog_log(&s->prog, node);
  s->log = u >= 0;
  s->out = u >= 0 ? u : node;
}

int attn_norm_sum(AttnSpec *s) { return prog_var(&s->prog, AV_SUM); }

/* ---- signs ---------------------------------------------------------------------- */

typedef struct { uint64_t s; } Lcg; /* sample points only: no stream of the script is touched */
static double lcg(Lcg *r) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (double)(r->s >> 11) / 9007199254740992.0;
}

static double inside(Lcg *r, Interval x) {
  double t = lcg(r);
  if (isfinite(x.lo) && isfinite(x.hi)) return x.lo + t * (x.hi - x.lo);
  double wide = exp(6 * t - 3);
  if (isfinite(x.lo)) return x.lo + wide;
  if (isfinite(x.hi)) return x.hi - wide;
  return (lcg(r) < 0.5 ? -1 : 1) * wide;
}

/* Products of unit vectors are bounded. */
static void bound_units(const AttnSpec *s, Prog *p) {
  if (s->prep != ATTN_PREP_UNIT) return;
  for (int k = 0; k < s->n_leaf; k++) {
    const AttnLeaf *l = &s->leaf[k];
    Interval *range = &p->var[l->var].range;
    if (l->left == ATTN_VEC || l->right == ATTN_VEC) continue;
    if (l->product == ATTN_DOT) *range = (Interval){-1, 1};
    if (l->product == ATTN_DIST2) *range = (Interval){0, 4};
    if (l->product == ATTN_NORM2) *range = (Interval){0, 1};
  }
}

/* cos(q, k) is a product of three variables to the interval arithmetic, which
 * then loses its bounds: give such nodes their own. */
static Interval bounds_with_cos(const AttnSpec *s, const Interval *slot, Interval *scratch) {
  const Prog *p = &s->prog;
  Prog copy;
  Interval all = {-INFINITY, INFINITY};
  if (!prog_copy(&copy, p)) return all;
  for (int k = 0; slot && k < copy.n_slot; k++) copy.slot[k].range = slot[k];
  bound_units(s, &copy);
  for (int i = 0; i < p->n; i++) {
    const ProgNode *n = &p->node[i];
    if (n->op != PO_MUL) continue;
    for (int swap = 0; swap < 2; swap++) {
      int x = swap ? n->b : n->a, y = swap ? n->a : n->b;
      const ProgNode *m = &p->node[x], *r = &p->node[y];
      if (m->op != PO_MUL || r->op != PO_RECIP0) continue;
      const ProgNode *a = &p->node[m->a], *b = &p->node[m->b];
      const ProgNode *dot = a->op == PO_VAR ? a : b, *rec = a->op == PO_VAR ? b : a;
      if (dot->op != PO_VAR || rec->op != PO_RECIP0) continue;
      int k = dot->slot - AV_FIRST_LEAF;
      if (k < 0 || k >= s->n_leaf || s->leaf[k].product != ATTN_DOT) continue;
      int var = prog_add_var(&copy, "cos", PS_BOTH, false, -1, 1);
      copy.node[i] = (ProgNode){.op = PO_VAR, .slot = (int16_t)var, .a = -1, .b = -1, .c = -1};
    }
  }
  Interval result = copy.failed ? all : prog_interval(&copy, s->out, &(ProgRanges){0}, scratch);
  prog_free(&copy);
  return result;
}

static void to_length(double *x, int n, double length) {
  double sum = 0;
  for (int c = 0; c < n; c++) sum += x[c] * x[c];
  for (int c = 0; c < n && sum > 0; c++) x[c] *= length / sqrt(sum);
}

/* One random pair of vectors: all products agree with each other. */
static void sample_point(const AttnSpec *s, Lcg *r, double *var) {
  enum { D = 4 };
  enum { VECTORS = 8 };
  double vec[2 + VECTORS][D], scale = exp(14 * lcg(r) - 7);
  for (int v = 0; v < 2 + VECTORS; v++)
    for (int c = 0; c < D; c++) vec[v][c] = scale * (2 * lcg(r) - 1);
  if (s->prep == ATTN_PREP_UNIT || s->prep == ATTN_PREP_RMS)
    for (int v = 0; v < 2; v++) to_length(vec[v], D, s->prep == ATTN_PREP_UNIT ? 1 : sqrt(D));
  for (int k = 0; k < s->prog.n_var; k++) var[k] = inside(r, s->prog.var[k].range);
  double n = floor(2 + 30 * lcg(r));
  var[AV_NQ] = var[AV_NK] = n;
  var[AV_I] = floor(n * lcg(r));
  var[AV_J] = floor(n * lcg(r));
  var[AV_D] = D;
  var[AV_HEADS] = 4;
  var[AV_H] = floor(4 * lcg(r));
  var[AV_BATCH] = 0;
  for (int k = 0; k < s->n_leaf; k++) {
    const AttnLeaf *l = &s->leaf[k];
    const double *x = vec[l->left == ATTN_VEC ? 2 + l->left_slot % VECTORS : l->left];
    const double *y = vec[l->right == ATTN_VEC ? 2 + l->right_slot % VECTORS : l->right];
    double dot = 0, dist = 0, l1 = 0, norm = 0;
    for (int c = 0; c < D; c++) {
      dot += x[c] * y[c];
      dist += (x[c] - y[c]) * (x[c] - y[c]);
      l1 += fabs(x[c] - y[c]);
      norm += x[c] * x[c];
    }
    double value[] = {dot, dist, l1, norm, sqrt(norm)};
    var[l->var] = value[l->product];
  }
}

/* A value for what is known only when the variant is used: mostly far from the
 * edges of its range, and of any size.                                        */
static double setting(Lcg *r, Interval range) {
  double size = exp(12 * lcg(r) - 6);
  bool below = lcg(r) < 0.5;
  if (isfinite(range.lo) && isfinite(range.hi)) return inside(r, range);
  if (isfinite(range.lo)) return range.lo + size;
  if (isfinite(range.hi)) return range.hi - size;
  return below ? -size : size;
}

/* Is there a pair of vectors with a negative weight, slots being `slot`? */
static bool negative_pair(const AttnSpec *s, Lcg *r, const double *slot, double *var,
                          double *value) {
  const Prog *p = &s->prog;
  for (int trial = 0; trial < 400; trial++) {
    sample_point(s, r, var);
    for (int i = 0; i <= s->out; i++) {
      const ProgNode *n = &p->node[i];
      value[i] = n->op == PO_CONST ? n->value : n->op == PO_VAR ? var[n->slot]
               : n->op == PO_LOAD ? slot[n->slot]
               : prog_op_eval(n->op, value[n->a], n->b >= 0 ? value[n->b] : 0,
                              n->c >= 0 ? value[n->c] : 0);
    }
    bool clear = true; /* a masked pair proves nothing */
    if (s->mask >= 0 && s->mask <= s->out) clear = value[s->mask] != 0;
    if (clear && value[s->out] < -1e-9) return true;
  }
  return false;
}

/* Negative somewhere whatever parameters and captured tensors hold: one setting
 * of theirs without a witness leaves the question open.                       */
static bool negative_always(const AttnSpec *s, const Interval *range, double *slot, double *var,
                            double *value) {
  Lcg r = {1};
  for (int k = 0; k < 48; k++) {
    for (int i = 0; i < s->prog.n_slot; i++)
      slot[i] = setting(&r, range ? range[i] : s->prog.slot[i].range);
    if (!negative_pair(s, &r, slot, var, value)) return false;
    if (s->prog.n_slot == 0) break;
  }
  return true;
}

AttnSign attn_weight_sign(const AttnSpec *s, const Interval *range, Interval *bounds) {
  const Prog *p = &s->prog;
  *bounds = (Interval){0, INFINITY};
  if (s->out < 0) return ATTN_SIGN_OK;
  Interval *scratch = malloc((size_t)p->n * sizeof *scratch);
  double *value = malloc((size_t)p->n * sizeof *value);
  double *var = malloc((size_t)p->n_var * sizeof *var);
  double *slot = malloc((size_t)(p->n_slot + 1) * sizeof *slot);
  AttnSign sign = ATTN_SIGN_MAYBE;
  if (scratch && value && var && slot) {
    *bounds = bounds_with_cos(s, range, scratch);
    if (s->log) *bounds = (Interval){exp(bounds->lo), exp(bounds->hi)};
    if (bounds->lo >= 0) sign = ATTN_SIGN_OK;
    else if (negative_always(s, range, slot, var, value)) sign = ATTN_SIGN_NEGATIVE;
  }
  free(scratch);
  free(value);
  free(var);
  free(slot);
  return sign;
}
