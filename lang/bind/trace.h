/* trace.h: a script value as a set of differentiation leaves, and back.
 *
 * trace_begin() makes a copy of a value in which every float is a leaf of the
 * innermost level of the tape (a float becomes a rank-0 tensor, an int or an
 * integer tensor at the top counts as float).  trace_gradient() gives the
 * value's structure back with gradients at the leaves and nil elsewhere.     */
#ifndef QA_BIND_TRACE_H
#define QA_BIND_TRACE_H
#include "lang/vm/vm.h"
#include "runtime/grad/grad.h"

typedef struct {
  Value value;           /* the traced copy, owned                            */
  Tensor **leaf;         /* its leaves in declaration order, owned            */
  uint32_t n, cap;
  bool outer;            /* leaves belong to the level around the innermost one */
} Trace;

int trace_begin(Vm *vm, Value x, const char *what, Trace *t);
/* The same with leaves of the level around the innermost one. */
int trace_begin_outer(Vm *vm, Value x, const char *what, Trace *t);
void trace_end(Vm *vm, Trace *t);
/* Takes over grads[0..n): one per leaf. */
int trace_gradient(Vm *vm, const Trace *t, Tensor **grads, Value *out);
/* After a level is closed: rank-0 tensors inside v become plain numbers again
 * unless an outer level records them.  Takes over v.                         */
int trace_settle(Vm *vm, Value v, Value *out);
/* v with every float as a constant; new reference. */
int trace_detach(Vm *vm, Value v, Value *out);
/* sum of Re(conj(a_k) b_k) over the float leaves of two values of the same
 * structure, a real rank-0 tensor; NULL + error.                             */
Tensor *trace_dot(Vm *vm, Value a, Value b, const char *what);
/* The gradient function of f (grad.c); `name` is for messages. */
int grad_function(Vm *vm, const char *name, Value f, Value *out);
#endif
