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
/* With a bath, or of a density matrix: args as evolve_plain's, open as named below. */
enum { OPEN_BATH, OPEN_TRAJECTORIES, OPEN_SEED, OPEN_OBSERVABLES, OPEN_ARGS };
int evolve_open(Vm *vm, Value *args, Value *open, Value *out);

/* Arguments that all forms have: `tol`; 2 pi times the unit in hertz (0: none); a time, or
 * ascending ones >= 0 (also freed after an error).                                 */
typedef struct { double *t; int64_t n; bool one; } EvolveTimes;
int evolve_arg_tol(Vm *vm, Value v, double otherwise, double *out);
int evolve_arg_unit(Vm *vm, Value v, double *out);
int evolve_arg_times(Vm *vm, Value v, const char *what, bool imaginary, double unit,
                     EvolveTimes *out);
void evolve_times_free(Vm *vm, EvolveTimes *t);
/* ground(H, sector, bond, cut, tol, sweeps) as a matrix-product state: (E, s). */
int ground_chain(Vm *vm, Value *args, Value *out);
/* thermal(H, beta, observables, samples, seed, sector, method, bond, cut, step) of a chain:
 * a record.                                                                       */
int thermal_chain(Vm *vm, Value *args, Value *out);
#endif
