/* taper.c: products of Z and of X taken out of an operator, one qubit each. */
#include "runtime/evolve/sector.h"

#include <math.h>
#include <string.h>

static RtStatus excluded(Rt *rt) {
  rt_fail(rt, RT_ERROR, "the sector's quantities exclude each other");
  rt_help(rt, "products of X and of Z go together when they share an even number of qubits");
  return RT_ERROR;
}

/* The rules of one kind without those that follow from others; `out` are the variables
 * that earlier rules took.                                                          */
static RtStatus add_rules(Rt *rt, Taper *t, int n, const SectorRule *rule, RuleKind kind,
                          uint64_t out) {
  uint64_t row[RULES_MAX], pivot[RULES_MAX];
  uint8_t sign[RULES_MAX];
  int rows = 0;
  bool clash;
  for (int i = 0; i < n; i++) {
    if (rule[i].kind != kind) continue;
    row[rows] = rule[i].mask & ~out;
    sign[rows++] = (uint8_t)rule[i].target;
  }
  rows = gf2_reduce(rows, row, sign, pivot, &clash);
  if (clash) return excluded(rt);
  for (int i = 0; i < rows; i++) {
    int k = t->n_rule++;
    t->mask[k] = row[i];
    t->pivot[k] = pivot[i];
    t->sign[k] = sign[i];
    t->of_x[k] = kind == RULE_X;
    t->pivots |= pivot[i];
  }
  return RT_OK;
}

RtStatus taper_make(Rt *rt, int variables, int n, const SectorRule *rule, Taper *out) {
  *out = (Taper){.n = variables};
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++)
      if (rule[i].kind != rule[j].kind && __builtin_parityll(rule[i].mask & rule[j].mask))
        return excluded(rt);
  RT_TRY(add_rules(rt, out, n, rule, RULE_Z, 0));
  return add_rules(rt, out, n, rule, RULE_X, out->pivots);
}

/* The bits of m outside `out`, moved together. */
static uint64_t gather(uint64_t m, uint64_t out) {
  uint64_t r = 0;
  int at = 0;
  for (int v = 0; v < 62; v++)
    if (!(out >> v & 1)) r |= (m >> v & 1) << at++;
  return r;
}

static uint64_t spread(uint64_t m, uint64_t out, int n) {
  uint64_t r = 0;
  for (int v = 0; v < n; v++)
    if (!(out >> v & 1)) {
      r |= (m & 1) << v;
      m >>= 1;
    }
  return r;
}

/* On the sector a product of Z is its sign, and so is a product of X. */
static FlipTerm reduced(const Taper *t, FlipTerm p) {
  int sign = 0;
  for (int k = 0; k < t->n_rule; k++) {
    if (!t->of_x[k] && p.z & t->pivot[k]) {
      p.z ^= t->mask[k];
      sign ^= t->sign[k];
    }
    if (t->of_x[k] && p.x & t->pivot[k]) {
      p.x ^= t->mask[k];
      sign ^= t->sign[k];
    }
  }
  if (sign) p.c = (c128){-p.c.re, -p.c.im};
  p.x = gather(p.x, t->pivots);
  p.z = gather(p.z, t->pivots);
  return p;
}

RtStatus taper_operator(Rt *rt, const Taper *t, const Flips *p, Operator *out) {
  Flips less = {0};
  RtStatus st = RT_OK;
  for (int64_t i = 0; i < p->n && !st; i++) st = flips_push(rt, &less, reduced(t, p->term[i]));
  if (!st) {
    flips_merge(&less);
    st = flips_operator(rt, &less, t->n - t->n_rule, out);
  }
  flips_free(rt, &less);
  return st;
}

/* The whole basis state of which `s` is the part that was left. */
static uint64_t whole(const Taper *t, uint64_t s) {
  for (int k = 0; k < t->n_rule; k++)
    if (!t->of_x[k] && (__builtin_parityll(s & t->mask[k]) ^ t->sign[k])) s ^= t->pivot[k];
  return s;
}

RtStatus taper_state(Rt *rt, const Taper *t, const VarTable *vars, bool wide, const double *x,
                     State *out) {
  RT_TRY(state_new(rt, vars, out));
  memset(out->amp, 0, (size_t)out->size * sizeof *out->amp);
  int n_x = 0;
  for (int k = 0; k < t->n_rule; k++) n_x += t->of_x[k];
  double scale = 1 / sqrt((double)(1ull << n_x));
  int first = t->n_rule - n_x;
  for (int64_t i = 0; i < (int64_t)1 << (t->n - t->n_rule); i++) {
    uint64_t s = spread((uint64_t)i, t->pivots, t->n);
    c128 a = wide ? (c128){x[2 * i], x[2 * i + 1]} : (c128){x[i], 0};
    for (uint64_t orbit = 0; orbit < 1ull << n_x; orbit++) {
      uint64_t at = s;
      int sign = 0;
      for (int k = 0; k < n_x; k++)
        if (orbit >> k & 1) {
          at ^= t->mask[first + k];
          sign ^= t->sign[first + k];
        }
      double c = sign ? -scale : scale;
      out->amp[whole(t, at)] = (c128){c * a.re, c * a.im};
    }
  }
  return RT_OK;
}
