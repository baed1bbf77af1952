/* spectra.c: energies, their states and conserved quantities in the language. */
#include "lang/bind/evolve.h"
#include "lang/bind/spectra.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"

#include <math.h>
#include <string.h>

/* ---- arguments ------------------------------------------------------------------- */

/* A Hermitian Hamiltonian without constraints; with `maximize` it holds the negative of the
 * objective, and *maximize is set. */
static int arg_levels(Vm *vm, Value *v, const char *what, Operator **out, bool *maximize) {
  Ham *h;
  bool yes;
  if (value_is(*v, OBJ_TENSOR)) {
    vm_error(vm, "%s needs a Hamiltonian, found %s %s", what, VALUE_A(*v));
    vm_help(vm, "eigh(A) gives the levels and vectors of a Hermitian matrix A");
    return 1;
  }
  if (arg_ham_own(vm, v, what, &h)) return 1;
  *maximize = h->maximize && !h->n_constraint;
  if (!*maximize) {
    if (arg_hermitian(vm, v, what, out)) return 1;
  } else {
    *out = &h->op;
    if (operator_hermitian(vm_rt(vm), &h->op, &yes)) return 1;
    if (!yes) return vm_error(vm, "%s needs a Hermitian operator", what);
  }
  return (*out)->vars.n ? 0 : vm_error(vm, "%s: the Hamiltonian is a number", what);
}

static int no_pair(Vm *vm, Value v) {
  vm_error(vm, "`sector` is a pair (quantity, value) or a list of them, found %s %s", VALUE_A(v));
  vm_help(vm, "for example sector = (sum(Z[i] for i in 0..n), 0)");
  return 1;
}

static bool is_list(Value v) { return value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE); }

static int one_rule(Vm *vm, Value pair, const Operator *h, const Flips *terms, SectorRule *out) {
  double value;
  Operator *q;
  if (!is_list(pair) || AS_LIST(pair)->n != 2) return no_pair(vm, pair);
  Value v = AS_LIST(pair)->items[0];
  if (arg_float(vm, AS_LIST(pair)->items[1], "the value of a sector's quantity", &value)) return 1;
  value_ref(v);
  int failed = arg_hermitian(vm, &v, "`sector`", &q) ||
               sector_rule(vm_rt(vm), h, terms, q, value, out) != RT_OK;
  value_unref(vm, v);
  return failed;
}

int arg_sector(Vm *vm, Value v, Operator *h, int *n, SectorRule *rule) {
  Flips terms;
  *n = 0;
  if (v.tag == V_NIL) return 0;
  if (!is_list(v) || !AS_LIST(v)->n) return no_pair(vm, v);
  const List *l = AS_LIST(v);
  bool single = !is_list(l->items[0]);
  if (!single && l->n > RULES_MAX)
    return vm_error(vm, "a sector has at most %d quantities, found %u", RULES_MAX, l->n);
  if (flips_of(vm_rt(vm), h, &terms)) return 1;
  int failed = 0;
  for (uint32_t i = 0; i < (single ? 1 : l->n) && !failed; i++)
    failed = one_rule(vm, single ? v : l->items[i], h, &terms, &rule[(*n)++]);
  flips_free(vm_rt(vm), &terms);
  return failed;
}

/* nil: the user's own sense. */
static int arg_which(Vm *vm, Value v, bool maximize, bool *largest) {
  static const char *const name[] = {"smallest", "SA", "largest", "LA"};
  const char *text;
  *largest = maximize;
  if (v.tag == V_NIL) return 0;
  if (arg_str(vm, v, "`which`", &text)) return 1;
  for (int i = 0; i < 4; i++)
    if (!strcmp(text, name[i])) {
      *largest = i >= 2;
      return 0;
    }
  vm_error(vm, "`which` is \"smallest\" or \"largest\", found \"%s\"", text);
  vm_help(vm, "as SciPy's \"SA\" and \"LA\"; levels inside the spectrum are not looked for");
  return 1;
}

/* ---- levels ------------------------------------------------------------------------ */

typedef struct {
  bool residuals;
  Value which, sector;
} Asked;

/* k levels of the Hamiltonian in its user's sense; states may be NULL. */
static int levels(Vm *vm, Value *arg, const char *what, const Asked *asked, int64_t k,
                  Level *level, State *states) {
  Operator *h;
  bool maximize, largest;
  SectorRule rule[RULES_MAX];
  LevelsAsk ask = {.residuals = asked->residuals, .rule = rule};
  if (arg_levels(vm, arg, what, &h, &maximize) ||
      arg_which(vm, asked->which, maximize, &largest) ||
      arg_sector(vm, asked->sector, h, &ask.n_rule, rule))
    return 1;
  ask.largest = largest != maximize;
  if (levels_find(vm_rt(vm), h, &ask, k, level, states)) return 1;
  for (int64_t j = 0; maximize && j < k; j++) level[j].energy = -level[j].energy;
  return 0;
}

/* A tuple of n values, all taken over; nil entries are errors. */
static int give_values(Vm *vm, int n, Value *v, Value *out) {
  List *l = list_new(vm, true, (uint32_t)n);
  int failed = !l;
  for (int i = 0; i < n; i++) {
    failed |= v[i].tag == V_NIL;
    if (failed) value_unref(vm, v[i]);
    else failed = list_push(vm, l, v[i]);
  }
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

static int bind_ground(Vm *vm, Value *args, int n, Value *out) {
  Level e;
  State s;
  Asked asked = {.which = NIL_VALUE, .sector = args[1]};
  for (int k = 2; k < 6; k++)
    if (args[k].tag != V_NIL) return ground_chain(vm, args, out);
  if (levels(vm, &args[0], "`ground`", &asked, 1, &e, &s)) return 1;
  return give_values(vm, 2, (Value[]){value_float(e.energy), state_value(vm, &s)}, out);
}

static Value numbers_of(Vm *vm, const Level *e, int64_t k, bool residuals) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &k);
  for (int64_t j = 0; t && j < k; j++)
    tensor_set_f64(t, j, residuals ? e[j].residual : e[j].energy);
  return t ? value_obj(t) : NIL_VALUE;
}

static Value states_of(Vm *vm, State *s, int64_t k) {
  List *list = list_new(vm, false, (uint32_t)k);
  int failed = !list;
  for (int64_t j = 0; j < k && !failed; j++) {
    Value v = state_value(vm, &s[j]);
    failed = v.tag == V_NIL || list_push(vm, list, v);
  }
  if (!failed) return value_obj(list);
  if (list) value_unref(vm, value_obj(list));
  return NIL_VALUE;
}

static int bind_spectrum(Vm *vm, Value *args, int n, Value *out) {
  enum { MOST = 1 << 13 };
  Rt *rt = vm_rt(vm);
  int64_t k;
  bool states;
  Asked asked = {.which = args[3], .sector = args[4]};
  if (arg_int(vm, args[1], "`k`", &k) || arg_bool(vm, args[2], "`states`", &states) ||
      arg_bool(vm, args[5], "`residuals`", &asked.residuals))
    return 1;
  if (k < 1 || k > MOST)
    return vm_error(vm, "spectrum: k must be between 1 and %d, found %lld", MOST, (long long)k);
  Level *e = rt_alloc(rt, (size_t)k * sizeof *e);
  State *s = states ? rt_alloc0(rt, (size_t)k * sizeof *s) : NULL;
  int failed = !e || (states && !s) || levels(vm, &args[0], "`spectrum`", &asked, k, e, s);
  if (!failed) {
    Value part[3] = {numbers_of(vm, e, k, false)};
    int parts = 1;
    if (states) part[parts++] = states_of(vm, s, k);
    if (asked.residuals) part[parts++] = numbers_of(vm, e, k, true);
    if (parts > 1) failed = give_values(vm, parts, part, out);
    else failed = (*out = part[0]).tag == V_NIL;
  }
  for (int64_t j = 0; s && j < k; j++) state_free(rt, &s[j]);
  if (s) rt_free(rt, s, (size_t)k * sizeof *s);
  if (e) rt_free(rt, e, (size_t)k * sizeof *e);
  return failed;
}

static int bind_gap(Vm *vm, Value *args, int n, Value *out) {
  Level e[2];
  Asked asked = {.which = NIL_VALUE, .sector = args[1]};
  if (levels(vm, &args[0], "`gap`", &asked, 2, e, NULL)) return 1;
  *out = value_float(fabs(e[1].energy - e[0].energy));
  return 0;
}

/* ---- conserved quantities --------------------------------------------------------------- */

/* An operator, taken over, at the end of the list. */
static int push_operator(Vm *vm, List *l, Operator *q) {
  Ham *h = ham_new(vm);
  if (!h) {
    operator_free(vm_rt(vm), q);
    return 1;
  }
  operator_free(vm_rt(vm), &h->op);
  h->op = *q;
  Value v = ham_value(vm, h);
  return v.tag == V_NIL || list_push(vm, l, v);
}

static int list_conserved(Vm *vm, const VarTable *vars, const Conserved *c, List *l) {
  Rt *rt = vm_rt(vm);
  Operator q;
  bool there;
  for (int i = 0; i < c->n_sum; i++)
    if (conserved_sum(rt, vars, &c->sum[i], &q) || push_operator(vm, l, &q)) return 1;
  for (int i = 0; i < c->n_z + c->n_x; i++) {
    bool of_x = i >= c->n_z;
    if (conserved_product(rt, vars, of_x, of_x ? c->x[i - c->n_z] : c->z[i], &there, &q)) return 1;
    if (there && push_operator(vm, l, &q)) return 1;
  }
  return 0;
}

static int bind_conserved(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Operator *h;
  bool maximize;
  Flips p;
  if (arg_levels(vm, &args[0], "`conserved`", &h, &maximize) || flips_of(rt, h, &p)) return 1;
  if (h->vars.n > 62) {
    flips_free(rt, &p);
    return vm_error(vm, "conserved: at most 62 variables, found %lld", (long long)h->vars.n);
  }
  List *l = list_new(vm, false, 4);
  Conserved *c = l ? rt_alloc(rt, sizeof *c) : NULL;
  int failed = !c;
  if (c) {
    conserved_find(&p, (int)h->vars.n, c);
    failed = list_conserved(vm, &h->vars, c, l);
    rt_free(rt, c, sizeof *c);
  }
  flips_free(rt, &p);
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

/* How many states have each value of a quantity: (values, numbers), ascending. */
static int sector_counts(Vm *vm, const SectorRule *r, int64_t variables, Value *out) {
  enum { SPAN = 1 << 22 };
  Rt *rt = vm_rt(vm);
  int64_t low = 0, high = 0, found = 0;
  bool sum = r->kind == RULE_SUM;
  if (variables > 62)
    return vm_error(vm, "sectors: at most 62 variables, found %lld", (long long)variables);
  for (int v = 0; sum && v < 62; v++) *(r->weight.w[v] < 0 ? &low : &high) += r->weight.w[v];
  if (high - low >= SPAN) return vm_error(vm, "sectors: the quantity has too many values");
  size_t bytes = (size_t)(sum ? high - low + 1 : 2) * sizeof(int64_t);
  int64_t *count = rt_alloc0(rt, bytes), width = (int64_t)(bytes / sizeof(int64_t));
  if (!count) return 1;
  if (!sum) count[0] = count[1] = (int64_t)1 << (variables - 1);
  else count[-low] = 1;
  for (int64_t v = 0; sum && v < variables; v++) {
    int64_t w = r->weight.w[v];
    if (w >= 0)
      for (int64_t i = width - 1; i >= 0; i--) count[i] += i >= w ? count[i - w] : 0;
    else
      for (int64_t i = 0; i < width; i++) count[i] += i - w < width ? count[i - w] : 0;
  }
  for (int64_t i = 0; i < width; i++) found += count[i] > 0;
  Tensor *values = tensor_new(rt, DT_F64, 1, &found), *numbers = tensor_new(rt, DT_I64, 1, &found);
  for (int64_t i = 0, at = 0; values && numbers && i < width; i++) {
    if (!count[i]) continue;
    tensor_set_f64(values, at, sum ? r->zero + r->unit * (double)(i + low) : i ? 1 : -1);
    ((int64_t *)(void *)numbers->data)[at++] = count[i];
  }
  rt_free(rt, count, bytes);
  if (values && numbers) return give_tuple(vm, 2, (Tensor *[]){values, numbers}, out);
  tensor_unref(rt, values);
  tensor_unref(rt, numbers);
  return 1;
}

static int bind_sectors(Vm *vm, Value *args, int n, Value *out) {
  Operator *h, *q;
  bool maximize;
  SectorRule r;
  if (arg_levels(vm, &args[0], "`sectors`", &h, &maximize) ||
      arg_hermitian(vm, &args[1], "`sectors`", &q) ||
      sector_quantity(vm_rt(vm), &h->vars, q, &r))
    return 1;
  return sector_counts(vm, &r, h->vars.n, out);
}

const Native natives_spectra[] = {
    {"ground", "H, sector = nil, bond = nil, cut = nil, tol = nil, sweeps = nil",
     "(E, psi): the lowest energy of a Hermitian H and its state; of a `maximize` declaration\n"
     "the highest value. Dense up to 256 basis states, else by Lanczos's method to a residual\n"
     "|H psi - E psi| of 1e-11 of H's size. sector: see help(spectrum).\n"
     "bond = 64: psi is a matrix-product state of at most that width, see help(mps), found by DMRG:\n"
     "sweeps (at most 60) that cut the weight `cut` (1e-13) until the energy settles to tol (1e-11).",
     bind_ground, NF_CONST},
    {"spectrum", "H, k = 1, states = false, which = nil, sector = nil, residuals = false",
     "The k lowest energies of a Hermitian H, f64 (k,) ascending, degenerate ones as often as\n"
     "they occur; which = \"largest\" (or \"LA\"): the k highest, from the top, as of a `maximize`\n"
     "declaration unless which = \"smallest\". states = true: (energies, [psi, ...]); residuals =\n"
     "true: also |H psi - E psi| of each, last.\n"
     "sector = (Q, q), or a list of such pairs: only states in which the conserved quantity Q, a\n"
     "sum of Z (or num) with whole weights, a product of Z or a product of X, has the value q.\n"
     "Errors: H does not conserve Q; Q has no such value.",
     bind_spectrum, NF_CONST},
    {"gap", "H, sector = nil",
     "The distance of the two lowest energies of a Hermitian H (in a sector); 0 when degenerate.",
     bind_gap, NF_CONST},
    {"conserved", "H",
     "What H (without modes) conserves, as a list of operators: independent sums of Z, products\n"
     "of Z which those do not imply, products of X. Two of them need not commute with each other.",
     bind_conserved, NF_CONST},
    {"sectors", "H, Q",
     "(values, states): the values of a sum of Z or product of X or Z over H's variables, f64\n"
     "ascending, and how many basis states have each, i64.",
     bind_sectors, NF_CONST},
    {0}};
