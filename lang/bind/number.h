/* number.h: arithmetic on script numbers for the native functions: plain
 * scalars without tensors, everything else through the op_ functions.       */
#ifndef QA_BIND_NUMBER_H
#define QA_BIND_NUMBER_H
#include "lang/vm/vm.h"
#include "runtime/grad/grad.h"

/* bool, int, float as a double */
static inline bool num_double(Value v, double *x) {
  switch (v.tag) {
  case V_FLOAT: *x = v.f; return true;
  case V_INT: *x = (double)v.i; return true;
  case V_BOOL: *x = v.b; return true;
  }
  return false;
}
bool num_complex(Value v, c128 *z);     /* and complex */
bool num_is_scalar(Value v);            /* bool int float complex            */
bool num_has_tensor(Value v);           /* tensor or range: array arithmetic */
/* a op b: scalars at once, int results exact (overflow is an error), tensors
 * with broadcasting, scalars adapting to them.  *out is a new reference.    */
int num_pair(Vm *vm, const char *what, BinOp op, Value a, Value b, Value *out);
/* -1, 0, 1: order of two real scalars, quantities of one dimension or
 * strings; 2: one is nan.  Nonzero return + error: they have no order.      */
int num_order(Vm *vm, const char *what, Value a, Value b, int *order);
int num_give(Vm *vm, Tensor *t, Value *out);   /* takes over t; NULL: 1; rank 0 becomes a scalar */
#endif
