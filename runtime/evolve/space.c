/* space.c: choosing and making the space of an operator's levels. */
#include "runtime/evolve/space.h"

#include <string.h>

enum { DENSE = 256, TAPER_LEAST = 9 };

RtStatus space_state(Rt *rt, const Space *s, bool wide, const double *x, State *out) {
  if (s->sector) return sector_state(rt, s->sector, &s->whole->vars, wide, x, out);
  if (s->taper.n_rule) return taper_state(rt, &s->taper, &s->whole->vars, wide, x, out);
  RT_TRY(state_new(rt, &s->whole->vars, out));
  if (wide) memcpy(out->amp, x, (size_t)out->size * sizeof *out->amp);
  else
    for (int64_t i = 0; i < out->size; i++) out->amp[i] = (c128){x[i], 0};
  return RT_OK;
}

static RtStatus linear_apply(Rt *rt, const void *map, const double *x, double *y) {
  return applied_to(rt, map, x, y);
}

Linear linear_applied(const Applied *a) {
  return (Linear){applied_size(a), applied_wide(a), linear_apply, a};
}

static RtStatus taper(Rt *rt, Space *s, int n, const SectorRule *rule) {
  int variables = (int)s->whole->vars.n;
  RT_TRY(taper_make(rt, variables, n, rule, &s->taper));
  if (variables - s->taper.n_rule < 1) {
    s->taper.n_rule = 0;
    return RT_OK;
  }
  RT_TRY(taper_operator(rt, &s->taper, &s->terms, &s->tapered));
  s->op = &s->tapered;
  s->size = (int64_t)1 << (variables - s->taper.n_rule);
  return RT_OK;
}

/* Do all flips have negative amplitudes?  Then the lowest state has an overlap with equal
 * amplitudes, and so has one with all products of X at +1. */
static bool all_negative(const Flips *p) {
  bool any = false;
  for (int64_t t = 0; t < p->n; t++) {
    if (!p->term[t].x) continue;
    if (p->term[t].z || p->term[t].c.im != 0 || p->term[t].c.re >= 0) return false;
    any = true;
  }
  return any;
}

static RtStatus use_symmetry(Rt *rt, Space *s) {
  int variables = (int)s->whole->vars.n;
  RT_TRY(flips_of(rt, s->op, &s->terms));
  if (!(s->positive = all_negative(&s->terms))) return RT_OK;
  Conserved *c = rt_alloc(rt, sizeof *c);
  if (!c) return rt->error.status;
  conserved_find(&s->terms, variables, c);
  SectorRule rule[RULES_MAX];
  int n = 0;
  for (; n < c->n_x && n < RULES_MAX && n < variables - TAPER_LEAST; n++)
    rule[n] = (SectorRule){.kind = RULE_X, .mask = c->x[n]};
  rt_free(rt, c, sizeof *c);
  return n ? taper(rt, s, n, rule) : RT_OK;
}

static RtStatus use_sector(Rt *rt, Space *s, int n, const SectorRule *rule) {
  bool sums = false;
  int variables = (int)s->whole->vars.n;
  RT_TRY(flips_of(rt, s->op, &s->terms));
  for (int i = 0; i < n; i++) sums |= rule[i].kind == RULE_SUM;
  if (!sums && variables - n >= TAPER_LEAST) return taper(rt, s, n, rule);
  RT_TRY(sector_make(rt, variables, n, rule, &s->sector));
  s->size = sector_size(s->sector);
  s->op = NULL;
  return reduction_make(rt, s->sector, &s->terms, !s->real, &s->reduced);
}

RtStatus space_linear(Rt *rt, Space *s, Linear *out) {
  if (s->sector) {
    *out = reduction_linear(s->reduced);
    return RT_OK;
  }
  if (!s->applied) RT_TRY(applied_make(rt, s->op, !s->real, &s->applied));
  *out = linear_applied(s->applied);
  return RT_OK;
}

Tensor *space_matrix(Rt *rt, const Space *s) {
  return s->sector ? reduction_matrix(rt, s->reduced) : operator_matrix(rt, s->op);
}

RtStatus space_open(Rt *rt, Operator *a, int n, const SectorRule *rule, bool lowest, Space *s) {
  *s = (Space){.whole = a, .op = a};
  operator_init(&s->tapered);
  RT_TRY(operator_real(rt, a, &s->real));
  if (n) return use_sector(rt, s, n, rule);
  RT_TRY(states_count(rt, &a->vars, &s->size));
  if (lowest && s->size > DENSE && a->product.n && flips_possible(&a->vars))
    return use_symmetry(rt, s);
  return RT_OK;
}

void space_close(Rt *rt, Space *s) {
  applied_free(rt, s->applied);
  reduction_free(rt, s->reduced);
  sector_free(rt, s->sector);
  flips_free(rt, &s->terms);
  operator_free(rt, &s->tapered);
}
