/* driven.h: the time-dependent forms of evolve(), which lang/bind/evolve.c hands on. */
#ifndef QA_BIND_DRIVEN_H
#define QA_BIND_DRIVEN_H
#include "lang/vm/vm.h"

/* Do evolve()'s arguments ask for one of them: two Hamiltonians, or a function? */
bool evolve_is_driven(const Value *args);
int evolve_driven(Vm *vm, Value *args, Value *out);
#endif
