/* tensor_args.h: reading the arguments that array functions share.           */
#ifndef QA_TENSOR_ARGS_H
#define QA_TENSOR_ARGS_H
#include "lang/vm/vm.h"
#include "runtime/tensor/random.h"

/* "f32", or one of the functions f32, f64, int, float, complex; nil: the default. */
int arg_dtype(Vm *vm, Value v, DType otherwise, DType *out);
/* `*shape`: the extents one by one, or one tuple, list or tensor of them. */
int arg_extents(Vm *vm, Value star, int *rank, int64_t *shape);
/* nil: the next call of the current scope; an int: a fresh stream. */
int arg_stream(Vm *vm, Value seed, RngCall *out);
/* An int within [-rank, rank), as the runtime takes it. */
int arg_axis(Vm *vm, Value v, int *out);
/* Tensors of `*xs`: several arguments or one list, tuple or tensor of them.
 * The array goes back by args_release.                                       */
int arg_tensors(Vm *vm, Value star, const char *what, int *n, Tensor ***out);
void args_release(Vm *vm, int n, Tensor **ts);
/* A result: takes over t, NULL passes the error on; a single number becomes one. */
int give(Vm *vm, Tensor *t, Value *out);
/* A tuple of n tensors, taken over. */
int give_tuple(Vm *vm, int n, Tensor **ts, Value *out);
/* A record of n tensors, taken over; NULL among them becomes nil. */
int give_record(Vm *vm, int n, const char *const *name, Tensor **ts, Value *out);
#endif
