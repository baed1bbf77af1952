/* leaves.h: the learnable numbers of a value as one vector.
 *
 * The leaves of a model are views that lie one behind the other in a single
 * buffer, so that optimisers, clipping and norms are one pass.  A leaf that a
 * script replaced lies elsewhere; leaves_pack() then builds the buffer anew. */
#ifndef QA_LEAVES_H
#define QA_LEAVES_H
#include "lang/vm/vm.h"

typedef struct {
  Tensor **items;      /* borrowed from the value */
  uint32_t n, cap;
  int64_t size;        /* numbers in all */
  DType dtype;         /* common dtype; of mixed ones the wider */
  bool mixed;
  bool traced;         /* at least one is recorded on the tape */
  bool numbers;        /* plain floats were met */
} Leaves;

/* Lists the float tensors inside v in declaration order.  Leaves that are
 * plain floats become rank-0 tensors of the others' dtype (`alone` if there
 * are no others); v is made unshared for that, and left alone otherwise.      */
int leaves_list(Vm *vm, Value *v, DType alone, Leaves *out);
void leaves_free(Vm *vm, Leaves *l);
/* The shared buffer as a vector (new reference) if the leaves already lie in
 * order in one storage, else NULL without an error.                          */
Tensor *leaves_flat(Vm *vm, const Leaves *l);
/* Makes *v unshared and its leaves consecutive views of one fresh or already
 * private buffer; *flat is that buffer as a vector (new reference; NULL when
 * there are no leaves).                                                      */
int leaves_pack(Vm *vm, Value *v, DType alone, Tensor **flat);
/* Copies the leaves, in order, into one new vector of their dtype. */
Tensor *leaves_gather(Vm *vm, const Leaves *l);
#endif
