/* solve_rules.c: `subject to` of a block: constraints, the same for all problems of a call, as
 * penalties of weight 1, and the weight that each problem's coefficients call for.
 *
 * A penalty suffices when mending a broken assignment costs less than it saves: one flip where
 * flips mend, at most the largest change of the objective by one flip; else the objective's range
 * (as runtime/binary/weight.c decides and proves).  For a cardinality sum(b) == k the flip is
 * bounded closer: switching i on among fewer than k ones costs at most L_i and the k - 1 largest
 * positive couplings of i, switching it off among more than k at most -L_i and the k largest
 * negative ones (of r > k ones r - 1, but the penalty then falls by 2 (r - k) - 1 units, and sums
 * of largest numbers are concave).  There E + t (sum(b) - k) is the same problem for any t: the t
 * that balances the two bounds lets the least penalty do, which leaves walks more room.  */
#include "lang/bind/solve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers of constraints ------------------------------------------------------------- */

/* The factors of a part whose numbers are the same for all problems. */
typedef struct { Tensor *wide; int64_t rows, cols; } Numbers;

static void close_numbers(Rt *rt, Numbers *n, int count) {
  for (int k = 0; k < count; k++) tensor_unref(rt, n[k].wide);
}

static int64_t length_of(const SolveRun *r, const SolvePart *p, int axis) {
  const int64_t of[4] = {r->H, r->nq, r->nk, 1};
  return axis < 0 ? 1 : of[p->axis[axis]];
}

static int open_numbers(SolveRun *r, const SolvePart *p, Tensor *const *slot, int64_t d,
                        Numbers *n) {
  Rt *rt = vm_rt(r->vm);
  const int64_t none[3] = {0, 0, 0};
  Tensor *zero = tensor_zeros(rt, DT_F64, 0, NULL);
  int failed = !zero;
  memset(n, 0, SOLVE_FACTORS * sizeof *n);
  for (int f = 0; f < p->n_factor && !failed; f++) {
    const SolveFactor *g = &p->factor[f];
    n[f].rows = length_of(r, p, g->row);
    n[f].cols = length_of(r, p, g->col);
    Tensor *q = tensor_view(rt, zero, 3, (int64_t[]){r->H, n[f].rows, d}, none, 0);
    Tensor *k = tensor_view(rt, zero, 3, (int64_t[]){r->H, n[f].cols, d}, none, 0);
    AttnArgs a = {.q = q, .k = k, .slot = slot};
    Tensor *t = q && k ? op_attn_energies(rt, g->spec, &a) : NULL;
    n[f].wide = t ? tensor_contiguous(rt, t) : NULL;
    tensor_unref(rt, t);
    tensor_unref(rt, q);
    tensor_unref(rt, k);
    failed = !n[f].wide;
  }
  tensor_unref(rt, zero);
  if (failed) close_numbers(rt, n, SOLVE_FACTORS);
  return failed;
}

static double number_at(const SolvePart *p, const Numbers *n, const int64_t *at) {
  double c = p->sign;
  for (int f = 0; f < p->n_factor; f++) {
    const SolveFactor *g = &p->factor[f];
    const int64_t h = g->head >= 0 ? at[g->head] : 0;
    const int64_t row = g->row >= 0 ? at[g->row] : 0, col = g->col >= 0 ? at[g->col] : 0;
    c *= -tensor_get_f64(n[f].wide, (h * n[f].rows + row) * n[f].cols + col);
  }
  return c;
}

/* ---- from a declared constraint to its instances ---------------------------------------- */

typedef struct { SolveRun *r; const SolveConstraint *c; int64_t count, ext[SOLVE_AXES]; Poly *left;
                 double *weight; bool *there; } Rules;

static int64_t instance(const Rules *x, const int64_t *at) {
  int64_t k = 0;
  for (int a = 0; a < x->c->each; a++) k = k * x->ext[a] + at[a];
  return k;
}

typedef enum { GUARD, TERM, WEIGHT } What;

static int add_part(Rules *x, const SolvePart *p, Tensor *const *slot, int64_t d, What what) {
  SolveRun *r = x->r;
  Numbers n[SOLVE_FACTORS];
  int64_t ext[SOLVE_AXES], at[SOLVE_AXES] = {0};
  if (open_numbers(r, p, slot, d, n)) return 1;
  solve_extents(r, p->axis, p->n_axis, ext);
  RtStatus st = RT_OK;
  bool any = true;
  for (int k = 0; k < p->n_axis; k++) any &= ext[k] > 0;
  for (; any && !st; any = solve_step(p->n_axis, ext, at)) {
    const int64_t k = instance(x, at);
    if (!solve_ordered(p->order, p->n_order, at)) continue;
    const double c = number_at(p, n, at);
    if (what == GUARD) x->there[k] &= c != 0;
    else if (what == WEIGHT) x->weight[k] = c;
    else {
      const int32_t v = p->degree ? solve_number(r, p->var[0], at) : 0;
      st = isfinite(c) ? poly_add(vm_rt(r->vm), &x->left[k], c, p->degree, &v)
                       : rt_fail(vm_rt(r->vm), RT_ERROR, "constraint `%s` holds %g", x->c->name, c);
    }
  }
  close_numbers(vm_rt(r->vm), n, SOLVE_FACTORS);
  return st != RT_OK;
}

static void instance_name(const Rules *x, int64_t k, char *name, size_t room) {
  char index[64] = "";
  for (int a = x->c->each; a-- > 0; k /= x->ext[a]) {
    char more[64];
    snprintf(more, sizeof more, "%lld%s%.40s", (long long)(k % x->ext[a]), *index ? ", " : "",
             index);
    snprintf(index, sizeof index, "%s", more);
  }
  snprintf(name, room, *index ? "%s[%s]" : "%s", x->c->name, index);
}

/* The instances become constraints of r->rules. */
static int take(Rules *x) {
  SolveRun *r = x->r;
  Rt *rt = vm_rt(r->vm);
  const SolveConstraint *c = x->c;
  int64_t at[SOLVE_AXES] = {0};
  for (int64_t k = 0; k < x->count; k++) {
    char name[160];
    const bool there = x->there[k] && solve_ordered(c->order, c->n_order, at);
    solve_step(c->each, x->ext, at);
    if (!there) continue;
    instance_name(x, k, name, sizeof name);
    const double w = x->weight[k];
    if (c->penalty && !(w > 0 && isfinite(w)))
      return vm_error(r->vm, "the penalty of constraint `%s` must be positive, found %g", name, w);
    if (poly_merge(rt, &x->left[k], &r->rules.vars)) return 1;
    const RtStatus st = problem_constrain(rt, &r->rules, name, &x->left[k], c->rel, w);
    poly_init(&x->left[k]);
    if (st) return 1;
  }
  return 0;
}

static int declared(SolveRun *r, const SolveConstraint *c, Tensor *const *slot, int64_t d) {
  Rt *rt = vm_rt(r->vm);
  Rules x = {.r = r, .c = c, .count = 1};
  solve_extents(r, c->axis, c->each, x.ext);
  for (int a = 0; a < c->each; a++) x.count *= x.ext[a];
  const size_t n = (size_t)x.count + 1;
  x.left = rt_alloc(rt, n * sizeof *x.left);
  x.weight = rt_alloc(rt, n * sizeof *x.weight);
  x.there = rt_alloc(rt, n * sizeof *x.there);
  int failed = !x.left || !x.weight || !x.there;
  for (int64_t k = 0; k < x.count && !failed; k++) {
    poly_init(&x.left[k]);
    x.weight[k] = NAN;
    x.there[k] = true;
  }
  const int64_t ready = failed ? 0 : x.count;
  for (int k = 0; k < c->n_guard + c->n_part && !failed; k++)
    failed = add_part(&x, &c->part[k], slot, d, k < c->n_guard ? GUARD : TERM);
  if (c->penalty && !failed) failed = add_part(&x, c->penalty, slot, d, WEIGHT);
  if (!failed) failed = take(&x);
  for (int64_t k = 0; k < ready; k++) poly_free(rt, &x.left[k]);
  if (x.left) rt_free(rt, x.left, n * sizeof *x.left);
  if (x.weight) rt_free(rt, x.weight, n * sizeof *x.weight);
  if (x.there) rt_free(rt, x.there, n * sizeof *x.there);
  return failed;
}

/* ---- penalties -------------------------------------------------------------------------- */

static int array(SolveRun *r) {
  const AttnSolve *z = r->z;
  const int64_t of[3] = {r->H, r->nq, r->nk};
  int64_t shape[3], first;
  for (int k = 0; k < z->rank; k++) shape[k] = of[z->index[k]];
  return vars_add(vm_rt(r->vm), &r->rules.vars, z->name, VAR_BINARY, z->rank, shape, &first) !=
         RT_OK;
}

/* sum(b) == count of all variables. */
static double cardinality(const Problem *p, const Constraint *c) {
  const Poly *l = &c->left;
  if (c->rel != REL_EQ || l->two.n || l->many.n || l->one.n != p->vars.n || !l->one.n) return NAN;
  for (int64_t i = 1; i < l->one.n; i++)
    if (l->one.c[i] != l->one.c[0]) return NAN;
  const double k = -l->constant / l->one.c[0];
  return k == floor(k) && k >= 0 && k <= (double)p->vars.n ? k : NAN;
}

/* Constraint c alone, with weight 1. */
static int unit(SolveRun *r, int64_t c, SolveRule *rule) {
  Rt *rt = vm_rt(r->vm);
  const Constraint *from = &r->rules.constraint[c];
  Problem one;
  Reduced m;
  Poly left;
  problem_init(&one);
  RtStatus st = vars_copy(rt, &one.vars, &r->rules.vars);
  if (!st) st = poly_copy(rt, &left, &from->left);
  if (!st) st = problem_constrain(rt, &one, from->name, &left, from->rel, 1);
  if (!st) st = problem_reduce(rt, &one, &m);
  problem_free(rt, &one);
  if (st) return 1;
  rule->unit = m.ising;
  memset(&m.ising, 0, sizeof m.ising);
  rule->gap = m.penalty[0].gap;
  rule->slack = r->total;
  r->total += rule->unit.n - r->n;
  rule->weight = from->weight;
  rule->count = cardinality(&r->rules, from);
  if (m.penalty[0].form == PENALTY_NONE) rule->weight = 0;
  reduced_free(rt, &m);
  return 0;
}

/* Which constraints flips mend: asked of an objective in which every variable counts. */
static int kinds(SolveRun *r) {
  Rt *rt = vm_rt(r->vm);
  Problem all;
  Reduced m;
  bool open = false;
  for (int c = 0; c < r->n_rule; c++) open |= isnan(r->rule[c].weight);
  if (!open) return 0;
  if (problem_copy(rt, &all, &r->rules)) return 1;
  RtStatus st = RT_OK;
  for (int32_t v = 0; v < r->n && !st; v++) st = poly_add(rt, &all.objective, 1, 1, &v);
  if (!st) st = poly_merge(rt, &all.objective, &all.vars);
  if (!st) st = problem_reduce(rt, &all, &m);
  problem_free(rt, &all);
  if (st) return 1;
  for (int c = 0; c < r->n_rule; c++)
    r->rule[c].flip = !strncmp(m.penalty[c].why, "largest change by a flip", 24);
  reduced_free(rt, &m);
  return 0;
}

int solve_rules(SolveRun *r, AttnInstance *a, Tensor *const *slot, int64_t d) {
  const AttnSolve *z = r->z;
  r->total = r->n;
  if (array(r)) return 1;
  for (int k = 0; k < z->n_constraint; k++)
    if (declared(r, &z->constraint[k], slot, d)) return 1;
  const int64_t n = r->rules.n_constraint;
  r->rule = rt_alloc0(vm_rt(r->vm), (size_t)(n + 1) * sizeof *r->rule);
  if (!r->rule) return 1;
  for (int64_t c = 0; c < n; c++) {
    r->n_rule = (int)c + 1;
    if (unit(r, c, &r->rule[c])) return 1;
  }
  if (r->total > SOLVE_VARIABLES + r->n)
    return vm_error(r->vm,
                    "attention `%s`: its inequalities take %lld slack bits, at most %d are solved",
                    attn_decl(a)->spec->name, (long long)(r->total - r->n), SOLVE_VARIABLES);
  return kinds(r);
}

bool solve_cardinality(const SolveRun *r, int64_t *count) {
  if (r->n_rule != 1 || isnan(r->rule[0].count)) return false;
  *count = (int64_t)r->rule[0].count;
  return true;
}

/* ---- weights ---------------------------------------------------------------------------- */

/* By how much a variable's field can rise and fall: linear[i] and its couplings. */
static double flip_bound(const SolveRun *r, const double *linear, const double *coef, double count,
                         double *work, double *shift) {
  const int64_t n = r->n;
  double *up = work, *down = work + n, *most = work + 2 * n, *least = work + 3 * n, bound = 0;
  double rise = -INFINITY, fall = -INFINITY;        /* of switching one on, one off  */
  memset(work, 0, (size_t)(4 * n) * sizeof *work);
  for (int64_t k = 0; k < r->m; k++) {
    const int32_t end[2] = {r->uv[2 * k], r->uv[2 * k + 1]};
    if (end[1] >= n || coef[k] == 0) continue;
    for (int e = 0; e < 2; e++) {
      double *sum = coef[k] > 0 ? up : down, *peak = coef[k] > 0 ? most : least;
      sum[end[e]] += fabs(coef[k]);
      peak[end[e]] = fmax(peak[end[e]], fabs(coef[k]));
    }
  }
  for (int64_t i = 0; i < n; i++) {
    double on = up[i], off = down[i];
    if (!isnan(count)) {
      on = fmin(on, fmax(count - 1, 0) * most[i]);
      off = fmin(off, fmax(count, 1) * least[i]);
      rise = fmax(rise, linear[i] + on);
      fall = fmax(fall, off - linear[i]);
    } else bound = fmax(bound, fmax(fabs(linear[i] + on), fabs(linear[i] - off)));
  }
  if (isnan(count)) return bound;
  *shift = (fall - rise) / 2;
  return fmax((rise + fall) / 2, 0);
}

void solve_weights(const SolveRun *r, double *linear, const double *coef, double *constant,
                   double *weight, double *work) {
  double range = 0;
  for (int64_t i = 0; i < r->n; i++) range += fabs(linear[i]);
  for (int64_t k = 0; k < r->m; k++) range += fabs(coef[k]);
  for (int c = 0; c < r->n_rule; c++) {
    const SolveRule *rule = &r->rule[c];
    weight[c] = rule->weight;
    if (!isnan(rule->weight)) continue;
    const double count = r->n_rule == 1 ? rule->count : NAN;
    double bound = range, shift = 0;
    if (rule->flip) {
      const double flip = flip_bound(r, linear, coef, count, work, &shift);
      bound = isnan(count) ? fmin(bound, flip) : flip;
    }
    for (int64_t i = 0; i < r->n && shift != 0; i++) linear[i] += shift;
    if (shift != 0) *constant -= shift * count;
    weight[c] = (bound > 0 ? 1.01 * bound : 1) / rule->gap;
  }
}
