/* select.c: hard attention by a Hamiltonian in the language: masks of lowest energy. */
#include "lang/bind/tensor_args.h"
#include "runtime/select/select.h"

#include <math.h>
#include <string.h>

/* ---- arguments ---------------------------------------------------------------------- */

static int arg_choice(Vm *vm, Value v, const char *what, const char *const *names, int n,
                      int *out) {
  const char *text;
  Buf all = {0};
  if (arg_str(vm, v, what, &text)) return 1;
  for (*out = 0; *out < n; ++*out)
    if (!strcmp(text, names[*out])) return 0;
  for (int i = 0; i < n; i++) buf_format(&all, "%s\"%s\"", i ? ", " : "", names[i]);
  vm_error(vm, "%s is one of %s, found \"%s\"", what, all.data ? all.data : "", text);
  buf_free(&all);
  return 1;
}

static int arg_maybe(Vm *vm, Value v, const char *what, double *out) {
  if (v.tag == V_NIL) return 0;
  if (arg_float(vm, v, what, out)) return 1;
  if (isfinite(*out) && *out > 0) return 0;
  return vm_error(vm, "%s must be positive and finite, found %g", what, *out);
}

static const char *const solvers[] = {"swap", "anneal", "exact", "top"};
static const char *const grads[] = {"detach", "energy", "straight", "blackbox", "field"};

/* k, lambda, penalty */
static int get_model(Vm *vm, Value *args, SelectRule *r) {
  select_rule_init(r);
  if (args[0].tag != V_NIL && arg_int(vm, args[0], "`k`", &r->k)) return 1;
  if (args[0].tag != V_NIL && r->k < 0)
    return vm_error(vm, "`k` must not be negative, found %lld", (long long)r->k);
  if (arg_float(vm, args[1], "`lambda`", &r->lambda)) return 1;
  if (!isfinite(r->lambda) || r->lambda < 0) {
    vm_error(vm, "`lambda` must be 0 or more and finite, found %g", r->lambda);
    vm_help(vm, "it is the price of selecting two tokens that say the same");
    return 1;
  }
  if (args[2].tag != V_NIL && r->k < 0)
    return vm_error(vm, "`penalty` is the weight of the number of tokens, so say `k`");
  return arg_maybe(vm, args[2], "`penalty`", &r->penalty);
}

/* solver, reads, sweeps, hot, cold */
static int get_solver(Vm *vm, Value *args, SelectRule *r) {
  int solver = r->k < 0 ? SELECT_ANNEAL : SELECT_SWAP;
  if ((args[0].tag != V_NIL && arg_choice(vm, args[0], "`solver`", solvers, 4, &solver)) ||
      arg_int(vm, args[1], "`reads`", &r->reads) || arg_int(vm, args[2], "`sweeps`", &r->sweeps) ||
      arg_maybe(vm, args[3], "`hot`", &r->hot) || arg_maybe(vm, args[4], "`cold`", &r->cold))
    return 1;
  r->solver = (SelectSolver)solver;
  if (r->reads < 1 || r->reads > 1 << 20)
    return vm_error(vm, "`reads` must be between 1 and 1048576, found %lld", (long long)r->reads);
  const int64_t least = r->solver == SELECT_SWAP ? 0 : 1;
  if (r->sweeps < least || r->sweeps > 1 << 30)
    return vm_error(vm, "`sweeps` must be between %lld and 2^30, found %lld", (long long)least,
                    (long long)r->sweeps);
  if (r->hot < r->cold)
    return vm_error(vm, "temperatures fall from `hot` to `cold`, found %g and %g", r->hot, r->cold);
  return 0;
}

/* s, rho (NULL when nil): new references */
static int get_tensors(Vm *vm, Value *args, const SelectRule *r, Tensor **s, Tensor **rho) {
  *s = *rho = NULL;
  if (args[1].tag == V_NIL && r->lambda > 0)
    return vm_error(vm, "`lambda` is the price of redundancies, so say `rho`");
  if (arg_tensor(vm, args[0], "`s`", s)) return 1;
  if (args[1].tag == V_NIL || !arg_tensor(vm, args[1], "`rho`", rho)) return 0;
  tensor_unref(vm_rt(vm), *s);
  return 1;
}

/* ---- functions ------------------------------------------------------------------------ */

static int same_shape(Vm *vm, const Tensor *m, const Tensor *s) {
  char a[128], b[128];
  bool same = m->rank == s->rank;
  for (int d = 0; d < m->rank && same; d++) same = m->shape[d] == s->shape[d];
  if (same) return 0;
  return vm_error(vm, "`mask` has the shape of the scores, %s, found %s", tensor_shape_text(s, a),
                  tensor_shape_text(m, b));
}

/* The mask's bits; the error names the first number that is none. */
static int get_bits(Vm *vm, const Tensor *m, int8_t *bit) {
  for (int64_t i = 0; i < m->size; i++) {
    const double x = tensor_get_f64(m, i);
    if (x != 0 && x != 1) return vm_error(vm, "a mask holds 0 and 1, found %g", x);
    bit[i] = x == 1;
  }
  return 0;
}

/* The selection, or with a mask v what it is worth and what passes through it. */
static int select_or_take(Vm *vm, Tensor *s, Tensor *rho, const SelectRule *r, Value v,
                          Tensor **both) {
  Rt *rt = vm_rt(vm);
  Tensor *m;
  if (v.tag == V_NIL) return select_tokens(rt, s, rho, r, NULL, &both[0], &both[1]) != RT_OK;
  if (r->grad == SELECT_BLACKBOX) {
    vm_error(vm, "`grad = \"blackbox\"` solves a second time, which no given `mask` can");
    vm_help(vm, "\"field\", \"straight\", \"energy\" and \"detach\" go with masks from elsewhere");
    return 1;
  }
  if (arg_tensor(vm, v, "`mask`", &m)) return 1;
  const size_t bytes = (size_t)m->size + 1;
  int8_t *bit = same_shape(vm, m, s) ? NULL : rt_alloc(rt, bytes);
  int failed = !bit || get_bits(vm, m, bit);
  if (!failed) failed = select_tokens(rt, s, rho, r, bit, &both[0], &both[1]) != RT_OK;
  if (bit) rt_free(rt, bit, bytes);
  tensor_unref(rt, m);
  return failed;
}

/* A mean over reads needs a walk that samples, and two reads for a covariance. */
static int get_temperature(Vm *vm, Value v, Value mask, SelectRule *r) {
  if (v.tag == V_NIL) return 0;
  if (arg_maybe(vm, v, "`temperature`", &r->temperature)) return 1;
  if (r->solver != SELECT_SWAP || mask.tag != V_NIL) {
    vm_error(vm, "a `temperature` needs `k` and solver = \"swap\", whose walk it stops at");
    return 1;
  }
  if (r->grad != SELECT_DETACH && r->reads < 2)
    return vm_error(vm, "derivatives at a temperature are covariances of at least 2 `reads`");
  return 0;
}

/* s, rho, k, lambda, penalty, solver, reads, sweeps, hot, cold, grad, tau, mu, mask, temperature,
 * seed */
static int bind_select(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  SelectRule r;
  Tensor *s, *rho, *both[2];
  int grad;
  if (get_model(vm, args + 2, &r) || get_solver(vm, args + 5, &r) ||
      arg_choice(vm, args[10], "`grad`", grads, 5, &grad) ||
      arg_maybe(vm, args[11], "`tau`", &r.tau) || arg_maybe(vm, args[12], "`mu`", &r.mu) ||
      arg_stream(vm, args[15], &r.rng))
    return 1;
  r.grad = (SelectGrad)grad;
  if (get_temperature(vm, args[14], args[13], &r) || get_tensors(vm, args, &r, &s, &rho)) return 1;
  const int failed = select_or_take(vm, s, rho, &r, args[13], both);
  tensor_unref(rt, s);
  tensor_unref(rt, rho);
  return failed || give_tuple(vm, 2, both, out);
}

static double *numbers(Tensor *t) { return (double *)(void *)t->data; }

static int fill(Vm *vm, const SelectProblem *p, const SelectRule *r, const int8_t *bit,
                int8_t *best, Tensor **t) {
  int64_t count = 0;
  select_quality(p, bit, numbers(t[0]), numbers(t[1]), numbers(t[2]));
  if (best && select_solve(vm_rt(vm), p, r, best)) return 1;
  for (int64_t row = 0; row < p->rows; row++, count = 0) {
    for (int64_t i = 0; i < p->n; i++) count += bit[row * p->n + i];
    ((int64_t *)(void *)t[3]->data)[row] = count;
    if (best) numbers(t[4])[row] = select_energy(p, row, best + row * p->n);
  }
  return 0;
}

/* {energy, flip, swap, count, lowest}: takes over t. */
static int give_quality(Vm *vm, Tensor **t, Value *out) {
  static const char *const name[] = {"energy", "flip", "swap", "count", "lowest"};
  return give_record(vm, 5, name, t, out);
}

static int quality_of(Vm *vm, Tensor *s, Tensor *rho, Tensor *m, const SelectRule *r, bool exact,
                      Value *out) {
  Rt *rt = vm_rt(vm);
  SelectProblem p;
  Tensor *t[5] = {NULL};
  if (same_shape(vm, m, s) || select_problem(rt, s, rho, r, &p)) return 1;
  const size_t bytes = (size_t)s->size + 1;
  int8_t *bit = rt_alloc(rt, bytes), *best = exact ? rt_alloc(rt, bytes) : NULL;
  int failed = !bit || (exact && !best) || get_bits(vm, m, bit);
  for (int i = 0; i < 4 + exact && !failed; i++)
    failed = !(t[i] = tensor_new(rt, i == 3 ? DT_I64 : DT_F64, s->rank - 1, s->shape));
  if (!failed) failed = fill(vm, &p, r, bit, best, t);
  if (bit) rt_free(rt, bit, bytes);
  if (best) rt_free(rt, best, bytes);
  select_problem_free(rt, &p);
  if (!failed) return give_quality(vm, t, out);
  for (int i = 0; i < 5; i++) tensor_unref(rt, t[i]);
  return 1;
}

/* s, rho, mask, k, lambda, penalty, exact */
static int bind_quality(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  SelectRule r;
  Tensor *s, *rho, *m;
  bool exact;
  if (get_model(vm, args + 3, &r) || arg_bool(vm, args[6], "`exact`", &exact) ||
      get_tensors(vm, args, &r, &s, &rho))
    return 1;
  r.solver = exact ? SELECT_EXACT : SELECT_ANNEAL;
  int failed = arg_tensor(vm, args[2], "`mask`", &m);
  if (!failed) {
    failed = quality_of(vm, s, rho, m, &r, exact, out);
    tensor_unref(rt, m);
  }
  tensor_unref(rt, s);
  tensor_unref(rt, rho);
  return failed;
}

const Native natives_select[] = {
    {"hard_select",
     "s, rho = nil, k = nil, lambda = 0.0, penalty = nil, solver = nil, reads = 1, sweeps = 100, "
     "hot = nil, cold = nil, grad = \"straight\", tau = nil, mu = 1.0, mask = nil, "
     "temperature = nil, seed = nil",
     "Hard attention by a Hamiltonian (QAHAN, arXiv 2412.20930): (mask (.., n), energy (..)) of\n"
     "lowest E(m) = -sum s_i m_i + lambda sum_{i<j} rho_ij m_i m_j + penalty (sum m_i - k)^2.\n"
     "All rows are solved in one call, each from its own random stream.\n"
     "s: scores (.., n), floats; rho: redundancies (.., n, n), (rho_ij + rho_ji) / 2 counts.\n"
     "k: tokens to select; nil: any number, without the last term. penalty, nil: 1.25 times the\n"
     "bound max|s| + lambda (k - 1) max|rho| above which exactly k are selected.\n"
     "solver: \"swap\" anneals by exchanges at exactly k (the default), \"anneal\" by single flips\n"
     "of E as annealers see it (the default without k), \"exact\" up to 20 tokens, \"top\" takes\n"
     "the k largest scores, the minimum for lambda = 0. reads: walks, the lowest is kept; sweeps:\n"
     "temperatures from hot to cold (nil: from the coefficients); \"swap\" with 0 sweeps is descent.\n"
     "grad, what passes the mask: \"detach\" nothing; \"energy\" nothing, but the energy has\n"
     "dE/ds = -m, dE/drho_ij = lambda m_i m_j / 2, as in the next two; \"straight\" dm/ds = 1, with\n"
     "tau the derivative of sigmoid(s / tau); \"field\" the same of f_i = s_i - lambda sum_j rho_ij\n"
     "m_j, less the threshold between selected and other tokens, so that rho has a part in it:\n"
     "drho_ij = -lambda (d_i m_j + d_j m_i) / 2, d what reaches f; \"blackbox\"\n"
     "ds = (m(s) - m(s - mu g)) / mu, g = dL/dm, by a second solution (Vlastelica et al. 2020).\n"
     "Differentiable once. One random call.\n"
     "mask: (.., n) of 0 and 1 that another solver found for the same problem; nothing is solved.\n"
     "temperature: mask and energy are means over `reads` walks (2 or more) that end at this\n"
     "temperature, draws from exp(-E / temperature) among the masks of k; derivatives by s and rho\n"
     "are then those of thermal means, from covariances over the reads (grad but \"detach\").",
     bind_select, NF_DIFF},
    {"select_quality", "s, rho, mask, k = nil, lambda = 0.0, penalty = nil, exact = false",
     "What masks (.., n) are worth in the problem of hard_select: a record of energy, flip and swap\n"
     "(the least change of it by one flip, by one exchange: not negative at a local minimum, inf\n"
     "where there is none), count (tokens selected) and, with exact = true (up to 20 tokens),\n"
     "lowest, the energy of the minimum; one number a row. nil stands for no rho.",
     bind_quality, NF_CONST},
    {0}};
