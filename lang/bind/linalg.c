/* linalg.c: linear algebra in the language.  Leading axes are a batch.       */
#include "lang/bind/density.h"
#include "lang/bind/hamiltonian.h"
#include "lang/bind/number.h"
#include "lang/bind/sampling.h"
#include "lang/bind/tensor_args.h"
#include "runtime/grad/grad.h"
#include "runtime/tensor/linalg.h"

typedef Tensor *(*OneFn)(Rt *rt, Tensor *a);
typedef Tensor *(*TwoFn)(Rt *rt, Tensor *a, Tensor *b);
typedef RtStatus (*PairFn)(Rt *rt, Tensor *a, Tensor **x, Tensor **y);

static int one(Vm *vm, Value *args, OneFn fn, Value *out) {
  Tensor *a;
  if (arg_tensor(vm, args[0], "a", &a)) return 1;
  Tensor *r = fn(vm_rt(vm), a);
  tensor_unref(vm_rt(vm), a);
  return give(vm, r, out);
}

static int two(Vm *vm, Value *args, TwoFn fn, Value *out) {
  Tensor *a = NULL, *b = NULL, *r = NULL;
  if (!arg_tensor(vm, args[0], "a", &a) && !arg_tensor(vm, args[1], "b", &b))
    r = fn(vm_rt(vm), a, b);
  tensor_unref(vm_rt(vm), a);
  tensor_unref(vm_rt(vm), b);
  return give(vm, r, out);
}

static int pair(Vm *vm, Value *args, PairFn fn, Value *out) {
  Tensor *a, *r[2] = {NULL, NULL};
  if (arg_tensor(vm, args[0], "a", &a)) return 1;
  RtStatus st = fn(vm_rt(vm), a, &r[0], &r[1]);
  tensor_unref(vm_rt(vm), a);
  return st || give_tuple(vm, 2, r, out);
}

#define ONE(name, fn)                                                                              \
  static int name(Vm *vm, Value *args, int n, Value *out) { return one(vm, args, fn, out); }
#define TWO(name, fn)                                                                              \
  static int name(Vm *vm, Value *args, int n, Value *out) { return two(vm, args, fn, out); }
#define PAIR(name, fn)                                                                             \
  static int name(Vm *vm, Value *args, int n, Value *out) { return pair(vm, args, fn, out); }
ONE(bind_inv, op_inv)
ONE(bind_det, op_det)
ONE(trace_tensor, op_trace)
ONE(bind_cholesky, op_cholesky)
ONE(bind_expm, op_expm)
ONE(bind_logm, op_logm)
TWO(bind_lstsq, op_lstsq)
TWO(bind_outer, op_outer)
TWO(kron_tensors, op_kron)
static int bind_kron(Vm *vm, Value *args, int n, Value *out) {
  return ham_is(args[0]) || ham_is(args[1]) ? ham_kron(vm, args[0], args[1], out)
                                            : kron_tensors(vm, args, n, out);
}

PAIR(bind_eig, linalg_eig)
PAIR(bind_eigh, op_eigh)
PAIR(bind_qr, op_qr)

static int bind_svd(Vm *vm, Value *args, int n, Value *out) {
  Tensor *a, *r[3] = {NULL, NULL, NULL};
  if (arg_tensor(vm, args[0], "a", &a)) return 1;
  RtStatus st = op_svd(vm_rt(vm), a, &r[0], &r[1], &r[2]);
  tensor_unref(vm_rt(vm), a);
  return st || give_tuple(vm, 3, r, out);
}

static int bind_solve(Vm *vm, Value *args, int n, Value *out) {
  bool array = value_is(args[0], OBJ_TENSOR) || value_is(args[0], OBJ_LIST) || num_is_scalar(args[0]);
  if (!array) return sample_solve(vm, &args[0], args[2], args[3], out);
  if (args[2].tag != V_NIL || args[3].tag != V_NIL)
    return vm_error(vm, "solve: `budget` and `seed` are for a Hamiltonian, found %s %s",
                    VALUE_A(args[0]));
  if (args[1].tag == V_NIL)
    return vm_error(vm, "solve: `b` is missing: solve(a, b) finds x with a @ x = b");
  return two(vm, args, op_solve, out);
}

static int bind_trace(Vm *vm, Value *args, int n, Value *out) {
  const Density *p = box_data(args[0], &density_type);
  if (!p) return trace_tensor(vm, args, n, out);
  *out = value_float(density_trace(p));
  return 0;
}

const Native natives_linalg[] = {
    {"solve", "a, b = nil, budget = nil, seed = nil",
     "x with a @ x = b: a (n, n), b (n,) or (n, m) -> x of b's shape.\n"
     "Errors: a is singular, not square, or has nan.  lstsq solves the others.\n"
     "solve(H, budget = 5s): samples of low energy of a diagonal Hamiltonian; sampler, "
     "temperatures and number of\n"
     "reads are chosen for the problem.  With a budget the time is up when it is up; without, "
     "results repeat bit for bit.",
     bind_solve, NF_DIFF},
    {"inv", "a",
     "The inverse of a (n, n).  Errors: singular, not square.  solve(a, b) is faster than inv(a) @ "
     "b.",
     bind_inv, NF_DIFF},
    {"det", "a", "The determinant of a (n, n).", bind_det, NF_DIFF},
    {"trace", "a", "The sum of the diagonal of a (n, n), or of a density matrix.", bind_trace, NF_DIFF},
    {"eig", "a",
     "(values, vectors) of a (n, n), both complex: a @ v[:, k] = w[k] v[:, k], columns of length "
     "1.\n"
     "Errors: not square, no convergence.  eigh is for symmetric and Hermitian matrices.",
     bind_eig, 0},
    {"eigh", "a",
     "(values, vectors) of a symmetric or Hermitian a (n, n): real ascending values (n,), "
     "orthonormal columns.\n"
     "Only the lower triangle is read.",
     bind_eigh, NF_DIFF},
    {"svd", "a",
     "(U, S, V') of a (m, n): U (m, k), S (k,) descending, V' (k, n), k = min(m, n); a = U @ "
     "diag(S) @ V'.",
     bind_svd, NF_DIFF},
    {"qr", "a",
     "(Q, R) of a (m, n): Q (m, k) with orthonormal columns, R (k, n) upper triangular, k = min(m, "
     "n).",
     bind_qr, NF_DIFF},
    {"cholesky", "a",
     "Lower triangular L with L @ L' = a, of a positive definite a (n, n); reads the lower "
     "triangle.\n"
     "Errors: not positive definite.",
     bind_cholesky, NF_DIFF},
    {"lstsq", "a, b",
     "The x of least norm among those with least |a @ x - b|: a (m, n), b (m,) or (m, k) -> (n,) "
     "or (n, k).",
     bind_lstsq, NF_DIFF},
    {"expm", "a",
     "The exponential of the matrix a (n, n), by Pade approximation with scaling and squaring.",
     bind_expm, NF_DIFF},
    {"logm", "a",
     "The principal logarithm of the matrix a (n, n).\n"
     "Errors: singular; a real matrix with a negative eigenvalue (make it complex).",
     bind_logm, NF_DIFF},
    {"outer", "a, b", "All products a[i] b[j]: (m,), (n,) -> (m, n).", bind_outer, NF_DIFF},
    {"kron", "a, b", "The Kronecker product: (m, n), (p, q) -> (m p, n q); also of two vectors.\n"
     "Of two Hamiltonians: a on the low qubits, b on those above.",
     bind_kron, NF_DIFF},
    {NULL, NULL, NULL, NULL, 0},
};
