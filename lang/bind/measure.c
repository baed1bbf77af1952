/* measure.c: what is read off states: correlations, reduced density matrices, entropies. */
#include "lang/bind/density.h"
#include "lang/bind/mps.h"
#include "lang/bind/number.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/state/measure.h"

#include <math.h>
#include <string.h>

enum { SITES_MAX = 64 };

/* ---- several operators at once ----------------------------------------------------------- */

typedef struct {
  PauliTerm *t;
  int64_t n, cap;
  int64_t *of;             /* the operator of each term                           */
} Strings;

static int add_strings(Vm *vm, Strings *l, const PauliTerm *t, int64_t n, int64_t of) {
  Rt *rt = vm_rt(vm);
  if (l->n + n > l->cap) {
    int64_t cap = 2 * (l->n + n);
    PauliTerm *p = rt_realloc(rt, l->t, (size_t)l->cap * sizeof *p, (size_t)cap * sizeof *p);
    if (p) l->t = p;
    int64_t *q = NULL;
    if (p) q = rt_realloc(rt, l->of, (size_t)l->cap * sizeof *q, (size_t)cap * sizeof *q);
    if (q) l->of = q;
    if (p && !q) rt_free(rt, p, (size_t)cap * sizeof *p), l->t = NULL;
    if (!q) return 1;
    l->cap = cap;
  }
  for (int64_t i = 0; i < n; i++) l->of[l->n] = of, l->t[l->n++] = t[i];
  return 0;
}

/* Operator `at` as strings of one letter: *taken; not when it has others. */
static int take_strings(Vm *vm, Value *v, const State *s, Strings *l, int64_t at, bool *taken) {
  Rt *rt = vm_rt(vm);
  Operator *h, wide;
  PauliTerm *t = NULL;
  int64_t n = 0;
  bool hermitian;
  *taken = false;
  if (arg_operator(vm, v, "`expect`", &h) || operator_hermitian(rt, h, &hermitian)) return 1;
  if (!hermitian || !state_binary(s)) return 0;
  if (state_operator(rt, h, s, &wide)) return 1;
  int failed = operator_paulis(rt, &wide, &t, &n) != RT_OK;
  operator_free(rt, &wide);
  *taken = !failed;
  for (int64_t i = 0; i < n && *taken; i++) *taken = pauli_plain(&t[i]);
  if (*taken) failed = add_strings(vm, l, t, n, at);
  paulis_free(rt, t, n);
  return failed;
}

static int sum_strings(Vm *vm, const Strings *l, const State *s, Tensor *out) {
  Rt *rt = vm_rt(vm);
  double norm = state_norm2(s);
  if (!(norm > 0)) return vm_error(vm, "the state is zero");
  double *mean = rt_alloc(rt, (size_t)(l->n + 1) * sizeof *mean);
  int failed = !mean || state_pauli_means(rt, s, l->n, l->t, mean) != RT_OK;
  for (int64_t i = 0; i < l->n && !failed; i++) {
    c128 *o = (c128 *)(void *)out->data + l->of[i];
    o->re += l->t[i].c * mean[i] / norm;
  }
  if (mean) rt_free(rt, mean, (size_t)(l->n + 1) * sizeof *mean);
  return failed;
}

static int one_mean(Vm *vm, Value op, Value psi, Tensor *out, int64_t at) {
  Value args[2] = {op, psi}, mean = NIL_VALUE;
  value_ref(op);
  int failed = state_expect(vm, args, &mean);
  c128 z = {0, 0};
  if (!failed && num_complex(mean, &z)) ((c128 *)(void *)out->data)[at] = z;
  value_unref(vm, args[0]);
  value_unref(vm, mean);
  return failed;
}

/* f64 when no mean is imaginary */
static int give_means(Vm *vm, Tensor *z, Value *out) {
  bool real = true;
  for (int64_t i = 0; i < z->size; i++) real &= tensor_get_c128(z, i).im == 0;
  if (!real) return give(vm, z, out);
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &z->size);
  for (int64_t i = 0; t && i < z->size; i++) tensor_set_f64(t, i, tensor_get_c128(z, i).re);
  tensor_unref(vm_rt(vm), z);
  return give(vm, t, out);
}

int expect_list(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  List *ops = AS_LIST(args[0]);
  int64_t n = ops->n;
  State *s = box_data(args[1], &state_type);
  Strings l = {0};
  Tensor *z = tensor_zeros(rt, DT_C128, 1, &n);
  int failed = !z;
  for (int64_t i = 0; i < n && !failed; i++) {
    bool taken = false;
    Value v = ops->items[i];
    value_ref(v);
    if (s) failed = take_strings(vm, &v, s, &l, i, &taken);
    if (!failed && !taken) failed = one_mean(vm, v, args[1], z, i);
    value_unref(vm, v);
  }
  if (!failed && l.n) failed = sum_strings(vm, &l, s, z);
  if (l.t) rt_free(rt, l.t, (size_t)l.cap * sizeof *l.t);
  if (l.of) rt_free(rt, l.of, (size_t)l.cap * sizeof *l.of);
  if (!failed) return give_means(vm, z, out);
  if (z) tensor_unref(rt, z);
  return 1;
}

/* ---- correlations ---------------------------------------------------------------------------- */

/* <P_i P_j> of all pairs, (n, n); connected: - <P_i> <P_j>. */
static int bind_correlations(Vm *vm, Value *args, int argc, Value *out) {
  Rt *rt = vm_rt(vm);
  State *s;
  const char *letter;
  bool connected;
  if (mps_is(args[0])) return mps_call_correlations(vm, args, out);
  if (arg_state_any(vm, args[0], "`correlations`", &s) || arg_str(vm, args[1], "`of`", &letter) ||
      arg_bool(vm, args[2], "`connected`", &connected))
    return 1;
  if (strlen(letter) != 1 || !strchr("XYZ", *letter))
    return vm_error(vm, "correlations: of \"X\", \"Y\" or \"Z\", found \"%s\"", letter);
  if (!state_binary(s))
    return vm_error(vm, "correlations: the state has modes; use correlator(A, B, psi)");
  int64_t n = s->vars.n, shape[2] = {n, n}, k = 0, most = n * (n + 1) / 2;
  double norm = state_norm2(s);
  if (!(norm > 0)) return vm_error(vm, "the state is zero");
  PauliTerm *t = rt_alloc(rt, (size_t)most * sizeof *t);
  double *m = rt_alloc(rt, (size_t)most * sizeof *m);
  Tensor *c = t && m ? tensor_new(rt, DT_F64, 2, shape) : NULL;
  int failed = !c;
  for (int64_t i = 0; i < n && !failed; i++)
    for (int64_t j = i; j < n; j++) {
      uint64_t bits = 1ull << i | 1ull << j;
      t[k++] = (PauliTerm){*letter == 'Z' ? 0 : bits, *letter == 'X' ? 0 : bits, 1};
    }
  if (!failed) failed = state_pauli_means(rt, s, k, t, m) != RT_OK;
  for (int64_t i = 0, at = 0; i < n && !failed; i++) {
    double one = m[at] / norm;                     /* <P_i>, at the place of the pair (i, i) */
    for (int64_t j = i, other = at; j < n; other += n - j++) {
      double v = j == i ? 1 : m[at + j - i] / norm;
      if (connected) v -= one * m[other] / norm;
      tensor_set_f64(c, i * n + j, v);
      tensor_set_f64(c, j * n + i, v);
    }
    at += n - i;
  }
  if (t) rt_free(rt, t, (size_t)most * sizeof *t);
  if (m) rt_free(rt, m, (size_t)most * sizeof *m);
  if (!failed) return give(vm, c, out);
  if (c) tensor_unref(rt, c);
  return 1;
}

/* <A B>, or <A B> - <A> <B>, through expect() of the product. */
static int bind_correlator(Vm *vm, Value *args, int argc, Value *out) {
  Rt *rt = vm_rt(vm);
  Operator *a, *b;
  bool connected;
  if (arg_operator(vm, &args[0], "`correlator`", &a) ||
      arg_operator(vm, &args[1], "`correlator`", &b) ||
      arg_bool(vm, args[3], "`connected`", &connected))
    return 1;
  Ham *ab = ham_new(vm);
  if (!ab) return 1;
  operator_free(rt, &ab->op);
  if (operator_product(rt, &ab->op, a, b)) {
    operator_init(&ab->op);
    ham_free(vm, ab);
    return 1;
  }
  Value each[3] = {ham_value(vm, ab), args[0], args[1]};
  Value mean[3] = {NIL_VALUE, NIL_VALUE, NIL_VALUE};
  int failed = each[0].tag == V_NIL;
  c128 z[3] = {{0, 0}, {0, 0}, {0, 0}};
  bool real = true;
  for (int i = 0; i < (connected ? 3 : 1) && !failed; i++) {
    Value pair[2] = {each[i], args[2]};
    failed = state_expect(vm, pair, &mean[i]) || !num_complex(mean[i], &z[i]);
    real &= mean[i].tag == V_FLOAT;
    value_unref(vm, mean[i]);
  }
  value_unref(vm, each[0]);
  if (failed) return 1;
  c128 r = {z[0].re - (z[1].re * z[2].re - z[1].im * z[2].im),
            z[0].im - (z[1].re * z[2].im + z[1].im * z[2].re)};
  *out = real ? value_float(r.re) : complex_new(vm, r);
  return out->tag == V_NIL;
}

/* ---- parts of a system --------------------------------------------------------------------- */

static int arg_sites(Vm *vm, Value v, const char *what, int *k, int64_t *site) {
  Tensor *t;
  char shape[128];
  if (arg_tensor(vm, v, what, &t)) return 1;
  int failed = t->rank > 1 || t->size < 1 || t->size > SITES_MAX
                   ? vm_error(vm, "%s is a number or a vector of site numbers, found shape %s", what,
                              tensor_shape_text(t, shape))
                   : 0;
  *k = (int)t->size;
  for (int i = 0; i < *k && !failed; i++) {
    double x = tensor_get_f64(t, i);
    if (x != floor(x) || fabs(x) > 1e9) failed = vm_error(vm, "%s: %g is no site number", what, x);
    else site[i] = (int64_t)x;
  }
  tensor_unref(vm_rt(vm), t);
  return failed;
}

static int bind_reduced(Vm *vm, Value *args, int n, Value *out) {
  State *s = NULL;
  const Density *p = box_data(args[0], &density_type);
  int k;
  int64_t site[SITES_MAX];
  if ((!p && arg_state_any(vm, args[0], "`reduced`", &s)) ||
      arg_sites(vm, args[1], "`sites` of `reduced`", &k, site))
    return 1;
  if (p) return density_call_reduced(vm, p, k, site, out);
  return give(vm, state_reduced(vm_rt(vm), s, k, site), out);
}

static int bind_entropy(Vm *vm, Value *args, int n, Value *out) {
  State *s = NULL;
  const Density *p = box_data(args[0], &density_type);
  int k = 0;
  int64_t site[SITES_MAX];
  double order, value;
  if (!p && args[1].tag == V_NIL) {
    vm_error(vm, "`entropy` of a state needs `sites`: a pure state as a whole has none");
    vm_help(vm, "entropy(psi, [0, 1])");
    return 1;
  }
  if (mps_is(args[0])) return mps_call_entropy(vm, args, out);
  if ((!p && arg_state_any(vm, args[0], "`entropy`", &s)) ||
      (args[1].tag != V_NIL && arg_sites(vm, args[1], "`sites` of `entropy`", &k, site)) ||
      arg_float(vm, args[2], "`renyi`", &order))
    return 1;
  if (!(order >= 0)) return vm_error(vm, "entropy: `renyi` is an order >= 0, found %g", order);
  if (p ? density_entropy(vm_rt(vm), p, k, site, order, &value)
        : state_entropy(vm_rt(vm), s, k, site, order, &value))
    return 1;
  *out = value_float(value);
  return 0;
}

const Native natives_measure[] = {
    {"correlations", "psi, of = \"Z\", connected = false",
     "<P_i P_j> for all pairs of qubits, f64 (n, n), P one of \"X\", \"Y\", \"Z\"; in one pass over the\n"
     "state. connected = true: less <P_i> <P_j>.",
     bind_correlations, NF_CONST},
    {"correlator", "A, B, psi, connected = false",
     "<psi|A B|psi> / <psi|psi>; connected = true: less <A> <B>. Complex when A B is not Hermitian.",
     bind_correlator, NF_CONST},
    {"reduced", "psi, sites",
     "The reduced density matrix of some sites of psi / |psi| (a state or a density matrix), c128 (d, d), tr = 1; the first site is the\n"
     "lowest digit of its basis. Errors: a site twice or not there, d above 4096.",
     bind_reduced, NF_CONST},
    {"entropy", "psi, sites = nil, renyi = 1",
     "Entanglement entropy of some sites with the rest, -tr(rho log rho) in nats; renyi = a:\n"
     "log(tr rho^a) / (1 - a), inf: -log of the largest eigenvalue, 0: log of the rank. Of a density\n"
     "matrix: that of its sites, or of all when none are given.",
     bind_entropy, NF_CONST},
    {0}};
