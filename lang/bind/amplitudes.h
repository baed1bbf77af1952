/* amplitudes.h: arithmetic of quantum states, whatever form they are kept in. */
#ifndef QA_BIND_AMPLITUDES_H
#define QA_BIND_AMPLITUDES_H
#include "lang/bind/number.h"

/* A form of states: each function makes a new value from the data of its type's boxes. */
typedef struct {
  const BoxType *type;
  const char *what, *help;           /* "a state"; what its arithmetic is  */
  int (*add)(Vm *vm, const void *a, const void *b, double sign, Value *out); /* a + sign b */
  int (*scale)(Vm *vm, const void *a, c128 z, Value *out);
} Amplitudes;

/* a + b, a - b, z a, a z and a / z; anything else is an error. */
int amplitudes_binary(Vm *vm, const Amplitudes *form, AstOp op, Value a, Value b, Value *out);
#endif
