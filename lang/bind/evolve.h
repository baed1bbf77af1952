/* evolve.h: what the forms of evolve() share. */
#ifndef QA_BIND_EVOLVE_H
#define QA_BIND_EVOLVE_H
#include "lang/vm/vm.h"
#include "runtime/operator/operator.h"

/* H, psi, time, tol, method, steps, order, unit, info, step, bond, cut */
enum { EVOLVE_STEPS = 5, EVOLVE_ORDER, EVOLVE_STEP = 9, EVOLVE_BOND, EVOLVE_CUT, EVOLVE_ARGS };
/* A constant H in real or imaginary time. */
int evolve_plain(Vm *vm, Value *args, bool imaginary, Value *out);
/* The same of a matrix-product state at n ascending times (a list of states unless `one`). */
int evolve_chain(Vm *vm, const Operator *h, const Value *args, bool imaginary, const double *t,
                 int64_t n, bool one, Value *out);
/* ground(H, sector, bond, cut, tol, sweeps) as a matrix-product state: (E, s). */
int ground_chain(Vm *vm, Value *args, Value *out);
/* thermal(H, beta, observables, samples, seed, sector, method, bond, cut, step) of a chain:
 * a record.                                                                       */
int thermal_chain(Vm *vm, Value *args, Value *out);
#endif
