/* penalty.c: which penalty a constraint gets, and its polynomial. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/binary/reduce.h"

double penalty_scale(const Poly *p) {
  double sum = fabs(p->constant);
  for (int64_t i = 0; i < p->one.n; i++) sum += fabs(p->one.c[i]);
  for (int64_t i = 0; i < p->two.n; i++) sum += fabs(p->two.c[i]);
  for (int64_t i = 0; i < p->many.n; i++) sum += fabs(p->many.c[i]);
  return sum;
}

/* ---- the steps of a polynomial's values ------------------------------------------ */

/* A product of binaries steps by c, one of spins by 2c, a mixed one by c. */
static double term_step(const VarTable *t, int k, const int32_t *v, double c) {
  return poly_term_kind(t, k, v) < 0 ? 2 * fabs(c) : fabs(c);
}

/* Euclid's algorithm; remainders below `noise` are rounding. */
static double common_step(double a, double b, double noise) {
  while (b > noise) {
    double r = fmod(a, b);
    if (b - r < noise) r = 0;
    a = b;
    b = r;
  }
  return a;
}

double poly_grain(const Poly *p, const VarTable *t, bool *measured) {
  double g = 0, largest = 0;
  const int32_t *v;
  double c;
  *measured = true;
  for (int64_t i = 0; i < poly_terms(p); i++) {
    int k = poly_term(p, i, &v, &c);
    largest = fmax(largest, term_step(t, k, v, c));
  }
  for (int64_t i = 0; i < poly_terms(p); i++) {
    int k = poly_term(p, i, &v, &c);
    double step = term_step(t, k, v, c);
    g = g == 0 ? step : common_step(fmax(g, step), fmin(g, step), 1e-10 * largest);
  }
  if (g == 0) return 0;
  double n = round(largest / g);
  if (n > 1e6) return *measured = false, 0;
  g = largest / n;   /* the remainders carried rounding, the quotient does not */
  for (int64_t i = 0; i < poly_terms(p); i++) {
    int k = poly_term(p, i, &v, &c);
    double m = term_step(t, k, v, c) / g;
    if (fabs(m - round(m)) > PENALTY_ROUNDING * fmax(1, m)) return *measured = false, 0;
  }
  return g;
}

/* One of the values of p: all binaries 0, all spins 1. */
static double some_value(const Poly *p, const VarTable *t) {
  double x = p->constant, c;
  const int32_t *v;
  for (int64_t i = 0; i < poly_terms(p); i++) {
    int k = poly_term(p, i, &v, &c);
    if (poly_term_kind(t, k, v) < 0) x += c;
  }
  return x;
}

/* ---- forms ------------------------------------------------------------------------ */

static int distinct_variables(const Poly *p, int32_t found[3]) {
  int n = 0;
  const int32_t *v;
  double c;
  for (int64_t i = 0; i < poly_terms(p); i++) {
    int k = poly_term(p, i, &v, &c);
    for (int j = 0; j < k; j++) {
      int at = 0;
      while (at < n && found[at] != v[j]) at++;
      if (at < n) continue;
      if (n == 2) return 3;
      found[n++] = v[j];
    }
  }
  return n;
}

/* sign * left + shift = grain * (literals - 1)? */
static bool at_most_one(const Poly *p, const VarTable *t, double lo, double grain) {
  if (p->two.n || p->many.n || fabs(lo + grain) > PENALTY_ROUNDING * grain) return false;
  for (int64_t i = 0; i < p->one.n; i++) {
    double step = term_step(t, 1, p->one.v + i, p->one.c[i]);
    if (fabs(step - grain) > PENALTY_ROUNDING * grain) return false;
  }
  return p->one.n > 0;
}

static RtStatus never(Rt *rt, const Problem *p, int64_t c, double lo, double hi) {
  RtStatus st = rt_fail(rt, RT_ERROR, "constraint `%s` cannot hold: its sides differ by %g to %g",
                        p->constraint[c].name, lo, hi);
  rt_help(rt, "see whether its sides or the relation are what was meant");
  return st;
}

/* Moves an inequality to the values it can take: x = value + grain * integer <= 0. */
static double tightened(double value, double grain) {
  double over = value - grain * floor(value / grain);   /* in [0, grain) */
  if (over < PENALTY_ROUNDING * grain || grain - over < PENALTY_ROUNDING * grain) return 0;
  return grain - over;
}

static RtStatus inequality_form(Rt *rt, const Problem *p, int64_t c, double lo, double hi,
                                Penalty *out) {
  const Constraint *k = &p->constraint[c];
  const double noise = PENALTY_ROUNDING * penalty_scale(&k->left);
  int32_t found[3];
  if (hi <= noise) return RT_OK;   /* PENALTY_NONE */
  if (lo > noise) return never(rt, p, c, lo, hi);
  if (out->grain == 0) {
    RtStatus st = rt_fail(rt, RT_ERROR, "the coefficients of constraint `%s` have no common step,"
                          " which slack bits need", k->name);
    rt_help(rt, "multiply both sides and round, so that the coefficients are integers");
    return st;
  }
  out->shift = tightened(out->sign * some_value(&k->left, &p->vars), out->grain);
  lo += out->shift;
  hi += out->shift;
  if (lo > noise) return never(rt, p, c, lo - out->shift, hi - out->shift);
  if (distinct_variables(&k->left, found) <= 2) out->form = PENALTY_TABLE;
  else if (lo >= -noise) out->form = PENALTY_LINEAR;
  else if (at_most_one(&k->left, &p->vars, lo, out->grain)) out->form = PENALTY_PAIRS;
  else out->form = PENALTY_SQUARE;
  return RT_OK;
}

static RtStatus equation_form(Rt *rt, const Problem *p, int64_t c, double lo, double hi,
                              Penalty *out) {
  const Constraint *k = &p->constraint[c];
  const double noise = PENALTY_ROUNDING * penalty_scale(&k->left);
  if (lo > noise || hi < -noise) return never(rt, p, c, lo, hi);
  if (lo >= -noise && hi <= noise) return RT_OK;
  if (out->grain > 0 && tightened(some_value(&k->left, &p->vars), out->grain) != 0) {
    RtStatus st = rt_fail(rt, RT_ERROR,
                          "constraint `%s` cannot hold: its sides differ by steps of %g"
                          " that miss 0",
                          k->name, out->grain);
    rt_help(rt, "see whether its coefficients are what was meant");
    return st;
  }
  if (lo >= -noise || hi <= noise) {
    out->form = PENALTY_LINEAR;
    out->sign = hi <= noise ? -1 : 1;
  } else out->form = PENALTY_SQUARE;
  return RT_OK;
}

static double broken(const Penalty *k, const Constraint *c, double left) {
  double v = k->sign * left + k->shift;
  if (c->rel != REL_EQ && v < 0) return 0;
  return fabs(v);
}

/* By how much the up to four values of one or two variables break the constraint. */
static int table(const Penalty *k, const Constraint *c, const VarTable *t, int32_t v[3],
                 bool spin[2], double d[2][2]) {
  const int n = distinct_variables(&c->left, v);
  for (int i = 0; i < 2; i++) spin[i] = i < n && vars_kind(t, v[i]) != VAR_BINARY;
  for (int a = 0; a < 2; a++)
    for (int b = 0; b < 2; b++) {
      double x[2] = {spin[0] ? 2 * a - 1 : a, spin[1] ? 2 * b - 1 : b}, left = c->left.constant;
      for (int64_t i = 0; i < c->left.one.n; i++)
        left += c->left.one.c[i] * x[c->left.one.v[i] != v[0]];
      for (int64_t i = 0; i < c->left.two.n; i++) left += c->left.two.c[i] * x[0] * x[1];
      d[a][b] = broken(k, c, left);
    }
  return n;
}

/* The least penalty of the broken values of a table, more than a step where few are taken. */
static double table_gap(const Penalty *k, const Constraint *c, const VarTable *t) {
  int32_t v[3] = {-1, -1, -1};
  bool spin[2];
  double d[2][2], least = INFINITY;
  table(k, c, t, v, spin, d);
  for (int i = 0; i < 4; i++)
    if (d[i / 2][i % 2] > k->grain / 2) least = fmin(least, d[i / 2][i % 2]);
  return isfinite(least) ? least * least : k->grain * k->grain;
}

RtStatus penalty_form(Rt *rt, const Problem *p, int64_t c, Penalty *out) {
  const Constraint *k = &p->constraint[c];
  double lo, hi;
  bool measured;
  *out = (Penalty){.sign = k->rel == REL_GE ? -1 : 1, .weight = k->weight, .bound = NAN};
  out->grain = poly_grain(&k->left, &p->vars, &measured);
  poly_bounds(&k->left, &p->vars, &lo, &hi);
  RtStatus st = k->rel == REL_EQ ? equation_form(rt, p, c, lo, hi, out)
                : k->rel == REL_LE ? inequality_form(rt, p, c, lo, hi, out)
                                   : inequality_form(rt, p, c, -hi, -lo, out);
  if (st) return st;
  out->gap = out->form == PENALTY_LINEAR  ? out->grain
             : out->form == PENALTY_TABLE ? table_gap(out, k, &p->vars)
                                          : out->grain * out->grain;
  if (out->form == PENALTY_NONE) out->weight = 0;
  else if (isnan(k->weight) && out->grain == 0) {
    st = rt_fail(rt, RT_ERROR, "no sufficient penalty can be computed for constraint `%s`: its"
                 " coefficients have no common step", k->name);
    rt_help(rt, "give one: `penalty w`");
  }
  return st;
}

double penalty_value(const Penalty *k, const Constraint *c, const int8_t *x) {
  if (k->form == PENALTY_NONE) return 0;
  double v = broken(k, c, poly_value(&c->left, x));
  if (k->form == PENALTY_LINEAR) return v;
  return k->form == PENALTY_PAIRS ? v * (v + k->grain) / 2 : v * v;
}

/* ---- polynomials --------------------------------------------------------------------- */

/* The quadratic through the (up to four) values of one or two variables. */
static RtStatus add_table(Rt *rt, Reduction *r, const Constraint *c, const Penalty *k, double w) {
  int32_t v[3] = {-1, -1, -1};
  bool spin[2];
  double d[2][2], f[2][2];
  const int n = table(k, c, &r->vars, v, spin, d);
  for (int i = 0; i < 4; i++) f[i / 2][i % 2] = w * d[i / 2][i % 2] * d[i / 2][i % 2];
  /* over bits: f00 + (f10 - f00) a + (f01 - f00) b + (f11 - f10 - f01 + f00) a b */
  const double A = f[1][0] - f[0][0], B = f[0][1] - f[0][0],
               D = f[1][1] - f[1][0] - f[0][1] + f[0][0];
  const double sa = spin[0] ? 0.5 : 1, sb = spin[1] ? 0.5 : 1;   /* bit = o + s x */
  const double oa = spin[0] ? 0.5 : 0, ob = spin[1] ? 0.5 : 0;
  RT_TRY(poly_add(rt, &r->poly, f[0][0] + A * oa + B * ob + D * oa * ob, 0, NULL));
  if (n > 0) RT_TRY(poly_add(rt, &r->poly, sa * (A + D * ob), 1, v));
  if (n > 1) RT_TRY(poly_add(rt, &r->poly, sb * (B + D * oa), 1, v + 1));
  return n > 1 ? poly_add(rt, &r->poly, D * sa * sb, 2, v) : RT_OK;
}

/* Sum over pairs of literals; each literal is (1 + sigma s)/2, x or 1 - x. */
static RtStatus add_pairs(Rt *rt, Reduction *r, const Constraint *c, const Penalty *k, double w) {
  const Poly *p = &c->left;
  w *= k->grain * k->grain;
  for (int64_t i = 0; i < p->one.n; i++)
    for (int64_t j = 0; j < i; j++) {
      int64_t at[2] = {j, i};
      double o[2], s[2];
      int32_t v[2];
      for (int e = 0; e < 2; e++) {
        double a = k->sign * p->one.c[at[e]] > 0 ? 1 : -1;
        v[e] = p->one.v[at[e]];
        bool spin = vars_kind(&r->vars, v[e]) != VAR_BINARY;
        o[e] = spin ? 0.5 : a < 0;
        s[e] = spin ? a / 2 : a;
      }
      RT_TRY(poly_add(rt, &r->poly, w * o[0] * o[1], 0, NULL));
      if (o[1] != 0) RT_TRY(poly_add(rt, &r->poly, w * s[0] * o[1], 1, v));
      if (o[0] != 0) RT_TRY(poly_add(rt, &r->poly, w * s[1] * o[0], 1, v + 1));
      RT_TRY(poly_add(rt, &r->poly, w * s[0] * s[1], 2, v));
    }
  return RT_OK;
}

/* Bits 1, 2, 4, ..., the last one such that all together count exactly `top`. */
static RtStatus add_slack(Rt *rt, Reduction *r, int64_t c, double grain, double top, Poly *line) {
  for (double bit = 1, left = top; left > 0; bit *= 2) {
    double value = fmin(bit, left);
    int32_t v;
    Auxiliary a = {.kind = AUX_SLACK, .constraint = c, .value = grain * value, .u = -1, .v = -1,
                   .how = "slack"};
    left -= value;
    RT_TRY(reduction_aux(rt, r, a, &v));
    RT_TRY(poly_add(rt, line, grain * value, 1, &v));
  }
  return RT_OK;
}

static RtStatus add_square(Rt *rt, Reduction *r, const Problem *p, int64_t c, const Penalty *k) {
  const Constraint *con = &p->constraint[c];
  double lo, hi;
  Poly line, square;
  poly_init(&line);
  RtStatus st = poly_add_scaled(rt, &line, k->sign, &con->left);
  line.constant += k->shift;
  poly_bounds(&line, &p->vars, &lo, &hi);
  if (!st && con->rel != REL_EQ) st = add_slack(rt, r, c, k->grain, round(-lo / k->grain), &line);
  if (!st) st = poly_merge(rt, &line, &r->vars);
  if (!st) st = poly_multiply(rt, &square, &line, &line, &r->vars);
  if (!st) {
    st = poly_add_scaled(rt, &r->poly, k->weight, &square);
    poly_free(rt, &square);
  }
  poly_free(rt, &line);
  return st;
}

RtStatus penalty_add(Rt *rt, Reduction *r, const Problem *p, int64_t c, const Penalty *k) {
  const Constraint *con = &p->constraint[c];
  switch (k->form) {
  case PENALTY_NONE: return RT_OK;
  case PENALTY_TABLE: return add_table(rt, r, con, k, k->weight);
  case PENALTY_PAIRS: return add_pairs(rt, r, con, k, k->weight);
  case PENALTY_LINEAR:
    r->poly.constant += k->weight * k->shift;
    return poly_add_scaled(rt, &r->poly, k->weight * k->sign, &con->left);
  default: return add_square(rt, r, p, c, k);
  }
}
