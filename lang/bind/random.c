/* random.c: random numbers in the language.  Each call counts once in the
 * current scope; `seed = s` fixes a call without counting.                   */
#include "lang/bind/tensor_args.h"
#include "runtime/grad/grad.h"

static int drawn(Vm *vm, Value *args, bool normal, Value *out) {
  DType dt;
  RngCall c;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  if (arg_extents(vm, args[0], &rank, shape) || arg_dtype(vm, args[1], DT_F64, &dt) ||
      arg_stream(vm, args[2], &c))
    return 1;
  return give(vm, (normal ? tensor_randn : tensor_rand)(vm_rt(vm), c, dt, rank, shape), out);
}

static int bind_rand(Vm *vm, Value *args, int n, Value *out) { return drawn(vm, args, false, out); }
static int bind_randn(Vm *vm, Value *args, int n, Value *out) { return drawn(vm, args, true, out); }

static int bind_randint(Vm *vm, Value *args, int n, Value *out) {
  RngCall c;
  int rank = 0;
  int64_t lo = 0, hi, shape[TENSOR_MAX_RANK];
  bool one = args[1].tag == V_NIL;
  if (arg_int(vm, args[one ? 0 : 1], one ? "lo" : "hi", &hi) ||
      (!one && arg_int(vm, args[0], "lo", &lo)) ||
      (args[2].tag != V_NIL && arg_shape(vm, args[2], "shape", &rank, shape)) ||
      arg_stream(vm, args[3], &c))
    return 1;
  return give(vm, tensor_randint(vm_rt(vm), c, lo, hi, rank, shape), out);
}

static int bind_permutation(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  RngCall c;
  int64_t len;
  Tensor *x =
      value_is(args[0], OBJ_TENSOR) && AS_TENSOR(args[0])->rank > 0 ? AS_TENSOR(args[0]) : NULL;
  if (x) len = x->shape[0];
  else if (arg_int(vm, args[0], "n", &len)) return 1;
  if (arg_stream(vm, args[1], &c)) return 1;
  Tensor *p = tensor_permutation(rt, c, len);
  if (!p || !x) return give(vm, p, out);
  Index ix = {.kind = IX_TENSOR, .tensor = p};
  Tensor *r = op_index(rt, x, 1, &ix);
  tensor_unref(rt, p);
  return give(vm, r, out);
}

const Native natives_random[] = {
    {"rand", "*shape, dtype = \"f64\", seed = nil",
     "Uniform random numbers in [0, 1): rand(3, 4) or rand((3, 4)); rand() is one number.\n"
     "seed = s draws the same numbers every time.",
     bind_rand, NF_CONST},
    {"randn", "*shape, dtype = \"f64\", seed = nil",
     "Normal random numbers, mean 0 and variance 1: randn(3, 4) or randn((3, 4)); randn() is one "
     "number.\n"
     "Complex dtypes have variance 1 in all.  seed = s draws the same numbers every time.",
     bind_randn, NF_CONST},
    {"randint", "lo, hi = nil, shape = nil, seed = nil",
     "Random integers in [lo, hi), in [0, lo) without hi: randint(0, 6, (2, 3)) -> i64 (2, 3).\n"
     "Without shape one int.  Errors: an empty range.",
     bind_randint, NF_CONST},
    {"permutation", "n, seed = nil",
     "The numbers 0 .. n-1 in random order (i64); of a tensor its rows in random order.",
     bind_permutation, NF_DIFF},
    {NULL, NULL, NULL, NULL, 0},
};
