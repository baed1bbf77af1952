/* mps_measure.c: entropies and correlations of matrix-product states in the language. */
#include "lang/bind/mps.h"
#include "lang/bind/tensor_args.h"

#include <math.h>
#include <string.h>

/* Sites 0 .. k - 1 or k .. n - 1, in any order: *bond = k - 1 between the two parts; -1: all of
 * them. */
static int arg_block(Vm *vm, Value v, int64_t n, int64_t *bond) {
  Rt *rt = vm_rt(vm);
  Tensor *t;
  if (arg_tensor(vm, v, "`sites` of `entropy`", &t)) return 1;
  bool *in = rt_alloc0(rt, (size_t)n);
  int64_t count = 0, changes = 0;
  int failed = !in;
  for (int64_t k = 0; k < t->size && !failed; k++) {
    double x = tensor_get_f64(t, k);
    if (!(x >= 0 && x < (double)n && x == floor(x)) || in[(int64_t)x])
      failed = vm_error(vm, "entropy: site %g is not there or given twice, among %lld sites", x,
                        (long long)n);
    else {
      in[(int64_t)x] = true;
      count++;
    }
  }
  *bond = -1;
  for (int64_t i = 0; i + 1 < n && !failed; i++)
    if (in[i] != in[i + 1]) {
      *bond = i;
      changes++;
    }
  if (!failed && changes > 1) {
    failed = vm_error(
        vm, "entropy of a matrix-product state: sites that reach from one end of the chain");
    vm_help(vm, "for example entropy(s, 0..%lld); s.entropies are those of all bonds",
            (long long)(n / 2));
  }
  if (!failed && !count) failed = vm_error(vm, "entropy: no sites are given");
  if (in) rt_free(rt, in, (size_t)n);
  tensor_unref(rt, t);
  return failed;
}

/* -sum p log p, or log(sum p^a) / (1 - a) with its limits. */
static double renyi(const double *p, int64_t k, double a) {
  double sum = 0, rank = 0;
  for (int64_t i = 0; i < k; i++) {
    if (p[i] <= 0) continue;
    rank += p[i] > 1e-14;
    if (a == 1) sum -= p[i] * log(p[i]);
    else if (isfinite(a)) sum += pow(p[i], a);
  }
  if (a == 0) return log(rank);
  if (isinf(a)) return -log(p[0]);
  double s = a == 1 ? sum : log(sum) / (1 - a);
  return s > 0 ? s : 0;
}

int mps_call_entropy(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  Chain *c;
  int64_t bond, k;
  double order, *p;
  if (arg_mps(vm, args[0], "`entropy`", &c) || arg_block(vm, args[1], c->m.n, &bond) ||
      arg_float(vm, args[2], "renyi", &order))
    return 1;
  if (!(order >= 0)) return vm_error(vm, "entropy: `renyi` is an order >= 0, found %g", order);
  *out = value_float(0);
  if (bond < 0) return 0;
  if (mps_schmidt(rt, &c->m, bond, &p, &k)) return 1;
  *out = value_float(renyi(p, k, order));
  rt_free(rt, p, (size_t)k * sizeof *p);
  return 0;
}

/* P over the qubits' two levels. */
static void pauli(char letter, c128 *m) {
  memset(m, 0, 4 * sizeof *m);
  if (letter == 'Z') {
    m[0].re = 1;
    m[3].re = -1;
  } else if (letter == 'X') {
    m[1].re = m[2].re = 1;
  } else {
    m[1].im = -1;
    m[2].im = 1;
  }
}

int mps_call_correlations(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  Chain *c;
  const char *letter;
  bool connected;
  c128 p[4];
  if (arg_mps(vm, args[0], "`correlations`", &c) || arg_str(vm, args[1], "of", &letter) ||
      arg_bool(vm, args[2], "connected", &connected))
    return 1;
  if (strlen(letter) != 1 || !strchr("XYZ", *letter))
    return vm_error(vm, "correlations: of \"X\", \"Y\" or \"Z\", found \"%s\"", letter);
  if (!(mps_norm2(&c->m) > 0)) return vm_error(vm, "the state is zero");
  int64_t n = c->m.n, cells = n * n;
  Tensor *t = tensor_new(rt, DT_F64, 2, (int64_t[]){n, n});
  c128 *pair = t ? rt_alloc(rt, (size_t)(cells + n) * sizeof *pair) : NULL;
  pauli(*letter, p);
  int failed = !pair || mps_correlations(rt, &c->m, 2, p, p, pair, pair + cells) != RT_OK;
  for (int64_t i = 0; i < n && !failed; i++)
    for (int64_t j = i; j < n; j++) {
      double v = pair[i * n + j].re;
      if (connected) v -= pair[cells + i].re * pair[cells + j].re;
      tensor_set_f64(t, i * n + j, v);
      tensor_set_f64(t, j * n + i, v);
    }
  if (pair) rt_free(rt, pair, (size_t)(cells + n) * sizeof *pair);
  if (!failed) return give(vm, t, out);
  if (t) tensor_unref(rt, t);
  return 1;
}
