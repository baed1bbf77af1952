/* code.c: the plans of a variant: mask, weight, normaliser, and derivatives. */
#include "runtime/attention/tile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void grad_free(Rt *rt, AttnGrad *g) {
  prog_plan_free(rt, g->plan);
  free(g->load);
}

void attn_code_free(Rt *rt, AttnCode *c) {
  if (!c) return;
  prog_plan_free(rt, c->mask);
  prog_plan_free(rt, c->out);
  prog_plan_free(rt, c->norm);
  prog_plan_free(rt, c->once);
  grad_free(rt, &c->out_grad);
  grad_free(rt, &c->norm_grad);
  grad_free(rt, &c->alpha_grad);
  tile_plan_free(rt, c->tile);
  free(c->slot_dtype);
  free(c);
}

typedef struct {
  int *leaf, *adjoint, *out;
  int n_leaf, n_out;
} Wanted;

static void wanted_free(Wanted *w) {
  free(w->leaf); free(w->adjoint); free(w->out);
}

/* Leaves: the given variables, then every load of a float slot below `out`. */
static bool wanted_list(Wanted *w, Prog *p, int out, const uint8_t *slot_dtype,
                        int n_var, const int *var) {
  int most = n_var + p->n;
  w->leaf = calloc((size_t)most, sizeof(int));
  w->adjoint = calloc((size_t)most, sizeof(int));
  w->out = calloc((size_t)most * (2 + PROG_MAX_INDEX), sizeof(int));
  if (!w->leaf || !w->adjoint || !w->out) return false;
  for (int k = 0; k < n_var; k++) w->leaf[w->n_leaf++] = prog_var(p, var[k]);
  for (int i = 0; i <= out; i++) {
    const ProgNode *n = &p->node[i];
    if (n->op != PO_LOAD || !dtype_float(slot_dtype[n->slot]) || !prog_uses(p, out, i)) continue;
    w->leaf[w->n_leaf++] = i;
  }
  return true;
}

/* Plans d(out)/d(leaves) with the given seed node. */
static RtStatus grad_plan(Rt *rt, AttnGrad *g, const AttnSpec *s, bool flat, int out, bool seed_one,
                          DType real, const uint8_t *slot_dtype, int n_var, const int *var) {
  Prog p;
  Wanted w = {0};
  RtStatus status = RT_ERROR;
  for (int k = 0; k < ATTN_MAX_LEAF; k++) g->leaf_out[k] = -1;
  for (int k = 0; k < 4; k++) g->stat_out[k] = -1;
  if (!(flat ? prog_flatten : prog_copy)(&p, &s->prog))
    return rt_fail(rt, RT_MEMORY, "out of memory");
  if (!wanted_list(&w, &p, out, slot_dtype, n_var, var) ||
      !(g->load = calloc((size_t)w.n_leaf + 1, sizeof *g->load))) {
    status = rt_fail(rt, RT_MEMORY, "out of memory");
    goto done;
  }
  int seed = seed_one ? prog_const(&p, 1) : prog_var(&p, AV_SEED);
  status = prog_derive(rt, &p, out, seed, w.n_leaf, w.leaf, w.adjoint);
  if (status) goto done;
  for (int k = 0; k < w.n_leaf; k++) {
    if (w.adjoint[k] < 0) continue;
    const ProgNode *n = &p.node[w.leaf[k]];
    int at = w.n_out;
    w.out[w.n_out++] = w.adjoint[k];
    if (k < n_var && var[k] >= AV_FIRST_LEAF) g->leaf_out[var[k] - AV_FIRST_LEAF] = at;
    else if (k < n_var) g->stat_out[var[k] - AV_SUM] = at;
    else {
      g->load[g->n_load++] = (AttnLoad){n->slot, at, w.n_out, n->n_ix};
      for (int q = 0; q < n->n_ix; q++) w.out[w.n_out++] = n->ix[q];
    }
  }
  g->plan = prog_plan(rt, &p, real, slot_dtype, w.n_out, w.out);
  status = g->plan ? RT_OK : rt->error.status;
done:
  wanted_free(&w);
  prog_free(&p);
  return status;
}

static RtStatus plan_grads(Rt *rt, AttnCode *c, const AttnSpec *s, DType real, bool flat) {
  int var[ATTN_MAX_LEAF], stat[4] = {AV_SUM, AV_MAX, AV_L2, AV_L1};
  for (int k = 0; k < s->n_leaf; k++) var[k] = s->leaf[k].var;
  RT_TRY(grad_plan(rt, &c->out_grad, s, flat, s->out, false, real, c->slot_dtype, s->n_leaf, var));
  if (s->norm == ATTN_NORM_PHI)
    RT_TRY(grad_plan(rt, &c->norm_grad, s, false, s->phi, true, real, c->slot_dtype, 4, stat));
  if (s->norm == ATTN_NORM_ENTMAX)
    RT_TRY(grad_plan(rt, &c->alpha_grad, s, false, s->alpha, true, real, c->slot_dtype, 0, NULL));
  if (c->tile) RT_TRY(tile_plan_grad(rt, c->tile, s, c, real));
  c->has_grad = true;
  return RT_OK;
}

static RtStatus plan_pairs(Rt *rt, AttnCode *c, const AttnSpec *s, const Prog *p, DType real) {
  if (s->mask >= 0 && !(c->mask = prog_plan(rt, p, real, c->slot_dtype, 1, &s->mask)))
    return rt->error.status;
  c->out = prog_plan(rt, p, real, c->slot_dtype, 1, &s->out);
  return c->out ? RT_OK : rt->error.status;
}

static RtStatus plan_forward(Rt *rt, AttnCode *c, AttnSpec *s, DType real, bool flat) {
  const Prog *p = &s->prog;
  Prog copy;
  if (!(flat ? prog_flatten : prog_copy)(&copy, p)) return rt_fail(rt, RT_MEMORY, "out of memory");
  RtStatus status = plan_pairs(rt, c, s, &copy, real);
  prog_free(&copy);
  RT_TRY(status);
  if (s->norm == ATTN_NORM_PHI) {
    if (!(c->norm = prog_plan(rt, p, DT_F64, c->slot_dtype, 1, &s->phi))) return rt->error.status;
    for (int i = 0; i < p->n; i++) {
      const ProgNode *n = &p->node[i];
      if (n->op != PO_VAR || n->slot < AV_SUM || n->slot > AV_COUNT || !prog_uses(p, s->phi, i))
        continue;
      c->uses_max |= n->slot == AV_MAX;
      c->uses_l2 |= n->slot == AV_L2;
      c->uses_l1 |= n->slot == AV_L1;
      c->uses_count |= n->slot == AV_COUNT;
      c->uses_stats |= n->slot != AV_COUNT;
    }
  }
  int row = -1;
  for (int i = 0; i < p->n; i++)
    if (p->node[i].op == PO_VAR && p->node[i].slot == AV_I) row = i;
  c->uses_i =
      row >= 0 && (prog_uses(p, s->out, row) || (s->mask >= 0 && prog_uses(p, s->mask, row)));
  int once[4] = {s->alpha, s->top, s->dropout, s->tau};
  if (!(c->once = prog_plan(rt, p, DT_F64, c->slot_dtype, 4, once))) return rt->error.status;
  if (!flat && !(c->tile = tile_plan(rt, s, c, real))) return rt->error.status;
  return RT_OK;
}

AttnCode *attn_code(Rt *rt, AttnSpec *s, DType real, bool flat, const uint8_t *slot_dtype,
                    bool grad) {
  size_t n = (size_t)s->prog.n_slot;
  AttnCode **at = &s->code[(real == DT_F64) + 2 * flat];
  if (*at && n && memcmp((*at)->slot_dtype, slot_dtype, n)) {
    attn_code_free(rt, *at);
    *at = NULL;
  }
  if (!*at) {
    AttnCode *c = calloc(1, sizeof *c);
    if (c) c->slot_dtype = malloc(n + 1);
    if (!c || !c->slot_dtype) {
      free(c);
      rt_fail(rt, RT_MEMORY, "out of memory");
      return NULL;
    }
    memcpy(c->slot_dtype, slot_dtype, n);
    if (plan_forward(rt, c, s, real, flat)) {
      attn_code_free(rt, c);
      return NULL;
    }
    *at = c;
  }
  if (grad && !(*at)->has_grad && plan_grads(rt, *at, s, real, flat)) {
    attn_code_free(rt, *at);
    *at = NULL;
  }
  return *at;
}
