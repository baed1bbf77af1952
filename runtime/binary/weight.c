/* weight.c: weights with which breaking a constraint never pays.
 *
 * Three bounds, each proved by mending a broken assignment for less than the
 * penalty saved:
 *
 * flip: a constraint that can be mended one variable at a time, without any other
 *   constraint getting worse, needs more than the largest change of the objective
 *   by one flip of its variables (the MOMC bound of Ayodele 2022 takes the same
 *   quotient; here it is used only where it is proved).  Linear equations with
 *   equal steps are such, linear inequalities, and sums of products that have to
 *   vanish; their variables may be shared as long as all are mended in the same
 *   direction.
 * assignment: equations "exactly one" that are the rows and columns of an n x n
 *   table of variables: at most two flips save at least two units.
 * range: otherwise the variables of all constraints that hang together are set
 *   anew, which costs at most the range of the objective's terms that touch them.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/binary/reduce.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

/* How a constraint is mended. */
typedef enum { MEND_OTHERWISE, MEND_ONE_WAY, MEND_BOTH_WAYS } Mend;

typedef struct {
  int64_t n, m;             /* variables, constraints                           */
  double *gain;             /* [n] largest change of the objective by a flip    */
  double *low, *high;       /* [n] bounds of the objective's derivative         */
  int32_t *hurt_down, *hurt_up;   /* [n] constraints that a flip may worsen     */
  int32_t *parent;          /* [m] constraints that hang together (union-find)  */
  int32_t *first;           /* [n] one constraint with this variable, or -1     */
  int32_t *second;          /* [n] another one, or -1                           */
  int32_t *uses;            /* [n] constraints with this variable               */
  double *range;            /* [m] of the objective, at the root                */
  Mend *mend;               /* [m]                                              */
  int8_t *table;            /* [m] rows and columns? at the root: 0 unknown, 1 yes, -1 no */
} Work;

static int32_t root(const Work *w, int32_t c) {
  while (w->parent[c] != c) c = w->parent[c] = w->parent[w->parent[c]];
  return c;
}

static void close_work(Rt *rt, Work *w) {
  rt_free(rt, w->gain, BYTES(w->n, w->gain));
  rt_free(rt, w->low, BYTES(w->n, w->low));
  rt_free(rt, w->high, BYTES(w->n, w->high));
  rt_free(rt, w->hurt_down, BYTES(w->n, w->hurt_down));
  rt_free(rt, w->hurt_up, BYTES(w->n, w->hurt_up));
  rt_free(rt, w->first, BYTES(w->n, w->first));
  rt_free(rt, w->second, BYTES(w->n, w->second));
  rt_free(rt, w->uses, BYTES(w->n, w->uses));
  rt_free(rt, w->parent, BYTES(w->m, w->parent));
  rt_free(rt, w->range, BYTES(w->m, w->range));
  rt_free(rt, w->mend, BYTES(w->m, w->mend));
  rt_free(rt, w->table, BYTES(w->m, w->table));
}

static RtStatus open_work(Rt *rt, Work *w, int64_t n, int64_t m) {
  *w = (Work){.n = n, .m = m};
  w->gain = rt_alloc0(rt, BYTES(n, w->gain));
  w->low = rt_alloc0(rt, BYTES(n, w->low));
  w->high = rt_alloc0(rt, BYTES(n, w->high));
  w->hurt_down = rt_alloc0(rt, BYTES(n, w->hurt_down));
  w->hurt_up = rt_alloc0(rt, BYTES(n, w->hurt_up));
  w->uses = rt_alloc0(rt, BYTES(n, w->uses));
  w->first = rt_alloc(rt, BYTES(n, w->first));
  w->second = rt_alloc(rt, BYTES(n, w->second));
  w->parent = rt_alloc(rt, BYTES(m, w->parent));
  w->range = rt_alloc0(rt, BYTES(m, w->range));
  w->mend = rt_alloc0(rt, BYTES(m, w->mend));
  w->table = rt_alloc0(rt, BYTES(m, w->table));
  if (!w->gain || !w->low || !w->high || !w->hurt_down || !w->hurt_up || !w->uses || !w->first ||
      !w->second || !w->parent || !w->range || !w->mend || !w->table) {
    close_work(rt, w);
    return rt->error.status;
  }
  for (int64_t i = 0; i < n; i++) w->first[i] = w->second[i] = -1;
  for (int64_t c = 0; c < m; c++) w->parent[c] = (int32_t)c;
  return RT_OK;
}

/* ---- the constraints -------------------------------------------------------------- */

/* Only positive products of binaries: falls when any variable falls. */
static bool monotone(const Poly *p, const VarTable *t, double sign) {
  const int32_t *v;
  double c;
  for (int64_t i = 0; i < poly_terms(p); i++) {
    int k = poly_term(p, i, &v, &c);
    if (sign * c < 0 || poly_term_kind(t, k, v) != 1) return false;
  }
  return true;
}

static bool equal_steps(const Poly *p, const VarTable *t, double grain) {
  for (int64_t i = 0; i < p->one.n; i++) {
    double step = fabs(p->one.c[i]) * (vars_kind(t, p->one.v[i]) == VAR_BINARY ? 1 : 2);
    if (fabs(step - grain) > PENALTY_ROUNDING * grain) return false;
  }
  return true;
}

static Mend how_mended(const Problem *p, int64_t c, const Penalty *k) {
  const Constraint *con = &p->constraint[c];
  const bool linear = !con->left.two.n && !con->left.many.n;
  if (linear && (con->rel != REL_EQ || k->form == PENALTY_LINEAR)) return MEND_ONE_WAY;
  if (linear) return equal_steps(&con->left, &p->vars, k->grain) ? MEND_BOTH_WAYS : MEND_OTHERWISE;
  if ((con->rel != REL_EQ || k->form == PENALTY_LINEAR) && monotone(&con->left, &p->vars, k->sign))
    return MEND_ONE_WAY;
  return MEND_OTHERWISE;
}

static void join_variable(Work *w, int32_t v, int32_t c) {
  if (w->first[v] < 0) w->first[v] = c;
  else if (w->first[v] != c && w->second[v] < 0) w->second[v] = c;
  int32_t a = root(w, w->first[v]), b = root(w, c);
  if (a != b) w->parent[a > b ? a : b] = a < b ? a : b;
}

/* Notes of each variable which constraints a flip may worsen.  A variable that
 * occurs in several terms is counted several times: only 0 and "mine alone" matter,
 * and those constraints are told apart by `mend`.                               */
static void read_constraints(const Problem *p, const Penalty *k, Work *w) {
  for (int64_t c = 0; c < w->m; c++) {
    const Poly *left = &p->constraint[c].left;
    const int32_t *v;
    double x;
    if (k[c].form == PENALTY_NONE) continue;
    w->mend[c] = how_mended(p, c, &k[c]);
    for (int64_t i = 0; i < poly_terms(left); i++) {
      int n = poly_term(left, i, &v, &x);
      for (int j = 0; j < n; j++) {
        join_variable(w, v[j], (int32_t)c);
        w->uses[v[j]]++;
        if (w->mend[c] != MEND_ONE_WAY || k[c].sign * x < 0) w->hurt_down[v[j]]++;
        if (w->mend[c] != MEND_ONE_WAY || k[c].sign * x > 0) w->hurt_up[v[j]]++;
      }
    }
  }
}

/* ---- the objective ----------------------------------------------------------------- */

static void read_objective(const Problem *p, Work *w) {
  const Poly *o = &p->objective;
  const int32_t *v;
  double c;
  for (int64_t i = 0; i < poly_terms(o); i++) {
    const int k = poly_term(o, i, &v, &c);
    int spins = 0;
    for (int j = 0; j < k; j++) spins += vars_kind(&p->vars, v[j]) != VAR_BINARY;
    for (int j = 0; j < k; j++) {
      /* the derivative by v[j]: the product of the others */
      bool signs = spins - (vars_kind(&p->vars, v[j]) != VAR_BINARY) > 0;
      w->low[v[j]] += k == 1 ? c : signs ? -fabs(c) : fmin(c, 0);
      w->high[v[j]] += k == 1 ? c : signs ? fabs(c) : fmax(c, 0);
      /* each group of constraints that the term touches, once */
      if (w->first[v[j]] < 0) continue;
      int32_t r = root(w, w->first[v[j]]);
      int before = 0;
      while (before < j && (w->first[v[before]] < 0 || root(w, w->first[v[before]]) != r)) before++;
      if (before == j) w->range[r] += spins ? 2 * fabs(c) : fabs(c);
    }
  }
  for (int64_t v1 = 0; v1 < w->n; v1++) {
    double d = fmax(fabs(w->low[v1]), fabs(w->high[v1]));
    w->gain[v1] = vars_kind(&p->vars, v1) == VAR_BINARY ? d : 2 * d;
  }
}

static double largest_gain(const Poly *left, const Work *w) {
  double g = 0;
  for (int64_t i = 0; i < left->one.n; i++) g = fmax(g, w->gain[left->one.v[i]]);
  for (int64_t i = 0; i < 2 * left->two.n; i++) g = fmax(g, w->gain[left->two.uv[i]]);
  for (int64_t i = 0; i < left->many.n_var; i++) g = fmax(g, w->gain[left->many.v[i]]);
  return g;
}

/* Mending c by flips worsens no other constraint. */
static bool alone(const Problem *p, int64_t c, const Penalty *k, const Work *w) {
  const Poly *left = &p->constraint[c].left;
  const int32_t *v;
  double x;
  if (w->mend[c] == MEND_OTHERWISE) return false;
  for (int64_t i = 0; i < poly_terms(left); i++) {
    int n = poly_term(left, i, &v, &x);
    for (int j = 0; j < n; j++) {
      if (w->mend[c] == MEND_BOTH_WAYS) {
        if (w->uses[v[j]] > 1) return false;
      } else if (k->sign * x > 0 ? w->hurt_down[v[j]] : w->hurt_up[v[j]]) return false;
    }
  }
  return true;
}

/* ---- rows and columns ----------------------------------------------------------------- */

static bool exactly_one(const Problem *p, int64_t c) {
  const Constraint *k = &p->constraint[c];
  const Poly *l = &k->left;
  if (k->rel != REL_EQ || l->two.n || l->many.n || l->one.n < 2 || l->constant == 0) return false;
  for (int64_t i = 0; i < l->one.n; i++)
    if (l->one.c[i] != -l->constant || vars_kind(&p->vars, l->one.v[i]) != VAR_BINARY) return false;
  return true;
}

/* The constraint that crosses c in variable v; -1: not exactly two. */
static int64_t crossing(const Work *w, int64_t c, int32_t v) {
  if (w->uses[v] != 2 || w->second[v] < 0) return -1;
  return w->first[v] == c ? w->second[v] : w->first[v];
}

/* The constraints that hang together with c are n rows and n columns, and each row
 * meets each column in one variable.  `side`: scratch [m], 0 unknown.            */
static bool table(const Problem *p, const Work *w, int64_t c, int8_t *side) {
  const Poly *row = &p->constraint[c].left;
  const int64_t n = row->one.n;
  int64_t members = 0;
  for (int64_t d = 0; d < w->m; d++) {
    side[d] = 0;
    if (root(w, (int32_t)d) != root(w, (int32_t)c)) continue;
    if (!exactly_one(p, d) || p->constraint[d].left.one.n != n) return false;
    if (!isnan(p->constraint[d].weight)) return false;   /* units have to weigh the same */
    members++;
  }
  if (members != 2 * n) return false;
  for (int64_t i = 0; i < n; i++) {   /* the n columns are those that cross c */
    int64_t d = crossing(w, c, row->one.v[i]);
    if (d < 0 || side[d]) return false;
    side[d] = 1;
  }
  for (int64_t d = 0; d < w->m; d++) {   /* each of them crosses n different rows */
    if (side[d] != 1) continue;
    const Poly *column = &p->constraint[d].left;
    for (int64_t i = 0; i < n; i++) {
      int64_t e = crossing(w, d, column->one.v[i]);
      if (e < 0 || side[e] == 1) return false;
      for (int64_t j = 0; j < i; j++)
        if (crossing(w, d, column->one.v[j]) == e) return false;
    }
  }
  return true;
}

static bool in_table(const Problem *p, Work *w, int64_t c, int8_t *side) {
  int8_t *known = &w->table[root(w, (int32_t)c)];
  if (!*known) *known = table(p, w, c, side) ? 1 : -1;
  return *known > 0;
}

/* ---- the call ------------------------------------------------------------------------- */

static void choose(const Problem *p, int64_t c, Penalty *k, Work *w, double step, int8_t *side) {
  const double flip = largest_gain(&p->constraint[c].left, w);
  const char *why = "range of the objective";
  k->bound = w->range[root(w, (int32_t)c)];
  if (flip < k->bound) {
    if (alone(p, c, k, w)) k->bound = flip, why = "largest change by a flip";
    else if (in_table(p, w, c, side))
      k->bound = flip, why = "largest change by a flip, rows and columns";
  }
  snprintf(k->why, sizeof k->why, "%s", why);
  k->weight = (k->bound > 0 ? k->bound + (step > 0 ? step : 0.01 * k->bound) : 1) / k->gap;
}

RtStatus penalty_weights(Rt *rt, const Problem *p, Penalty *k) {
  Work w;
  bool wanted = false, measured;
  for (int64_t c = 0; c < p->n_constraint; c++)
    wanted |= isnan(k[c].weight) && k[c].form != PENALTY_NONE;
  if (!wanted) return RT_OK;
  RT_TRY(open_work(rt, &w, p->vars.n, p->n_constraint));
  int8_t *side = rt_alloc(rt, BYTES(w.m, side));
  if (!side) {
    close_work(rt, &w);
    return rt->error.status;
  }
  read_constraints(p, k, &w);
  read_objective(p, &w);
  const double step = poly_grain(&p->objective, &p->vars, &measured);
  RtStatus st = RT_OK;
  for (int64_t c = 0; c < w.m && !st; c++) {
    if (isnan(k[c].weight)) choose(p, c, &k[c], &w, step, side);
    if (c % 256 == 0) st = rt_poll(rt);
  }
  rt_free(rt, side, BYTES(w.m, side));
  close_work(rt, &w);
  return st;
}
