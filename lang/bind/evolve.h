/* evolve.h: what the forms of evolve() share. */
#ifndef QA_BIND_EVOLVE_H
#define QA_BIND_EVOLVE_H
#include "lang/vm/vm.h"

enum { EVOLVE_ARGS = 9 };   /* H, psi, time, tol, method, steps, order, unit, info */
/* A constant H in real or imaginary time. */
int evolve_plain(Vm *vm, Value *args, bool imaginary, Value *out);
#endif
