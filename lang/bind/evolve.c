/* evolve.c: time evolution in the language. */
#include "lang/bind/density.h"
#include "lang/bind/driven.h"
#include "lang/bind/evolve.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/evolve/evolve.h"

#include <math.h>

/* evolve(H, psi, time): positional arguments after H come as a tuple, for the forms of
 * the function differ in how many states and Hamiltonians they take.              */
static int bind_evolve(Vm *vm, Value *args, int n, Value *out) {
  const List *more = AS_LIST(args[1]);
  Value *open = args + EVOLVE_ARGS + 1;
  bool asked = false;
  for (int k = 0; k < OPEN_ARGS; k++) asked |= open[k].tag != V_NIL;
  if (asked && evolve_is_driven(args)) {
    vm_error(vm, "`evolve` with a bath needs a Hamiltonian that does not depend on time");
    vm_help(vm, "quench(H, schedule, time, bath = ..) anneals with one");
    return 1;
  }
  if (evolve_is_driven(args)) return evolve_driven(vm, args, out);
  Value plain[EVOLVE_ARGS] = {args[0], args[2], args[3], args[4]}; /* H, psi, time, tol, ... */
  for (int i = 4; i < EVOLVE_ARGS; i++) plain[i] = args[i + 1];
  for (uint32_t i = 0; i < more->n; i++) {
    if (i > 2) return vm_error(vm, "`evolve` takes H, psi, time and tol, found %u values", more->n + 1);
    if (i < 2 && plain[i + 1].tag != V_NIL)
      return vm_error(vm, "`evolve`: `%s` is given twice", i ? "time" : "psi");
    plain[i + 1] = more->items[i];
  }
  if (plain[1].tag == V_NIL || plain[2].tag == V_NIL) {
    vm_error(vm, "`evolve` needs a %s", plain[1].tag == V_NIL ? "state" : "time");
    vm_help(vm, "evolve(H, psi, time)");
    return 1;
  }
  asked |= density_is(plain[1]);
  int failed = asked ? evolve_open(vm, plain, open, out) : evolve_plain(vm, plain, false, out);
  args[0] = plain[0];
  return failed;
}

const Native natives_evolve[] = {
    {"evolve",
     "H, *more, psi = nil, time = nil, tol = nil, method = nil, steps = nil, order = nil, unit = nil, "
     "info = false, step = nil, bond = nil, cut = nil, bath = nil, trajectories = nil, seed = nil, "
     "observables = nil",
     "evolve(H, psi, time): exp(-i H time) psi for a Hermitian H and time >= 0 (h-bar = 1). Ascending\n"
     "times give a list of states.\n"
     "method: \"krylov\", \"chebyshev\", or \"trotter\" of order 1, 2, 4 or 6 with `steps` repetitions\n"
     "from one time to the next (nil: as many as tol asks for). nil: Krylov, or Chebyshev where that\n"
     "needs fewer products with H; Trotter when steps or order is given.\n"
     "tol: of the estimated error of the state, 1e-12; 1e-6 for Trotter and for states of c64.\n"
     "unit = 1GHz: H is an energy over h in that unit, time has a unit: exp(-2 pi i H time).\n"
     "info = true: (psi, {method, products, error}); products: with H, or Trotter repetitions.\n"
     "evolve(H0, H1, psi, schedule, time = T): A(s) H0 + B(s) H1, s = t / T or the schedule's path (in\n"
     "GHz: half of each, see schedule); evolve(t => H(t), psi, T): any function, asked at two times of\n"
     "each step.  Steps of order 4, \"split\" where all terms are diagonal or one X, else \"magnus\"\n"
     "(CFM4:2; Blanes, Moan 2006); \"midpoint\" is of order 2. tol: 1e-10, or `steps` equal ones;\n"
     "info = true: (psi, {method, steps, rejected, error}).\n"
     "Of a matrix-product state: gates of order 1, 2 or 4 (4) in steps of `step` (0.05), each cut to\n"
     "`bond` Schmidt values and the discarded weight `cut` (those of psi); H of terms on two sites.\n"
     "bath, of a state or a density matrix: Lindblad's equation; a collapse operator L, dephasing(rate),\n"
     "damping(down, up) or a list of them. The result is a density matrix; with observables, operators:\n"
     "{time, mean}. trajectories = 1000: their average over so many quantum trajectories of state\n"
     "vectors, from `seed`: {time, mean, error, jumps}, error the standard error of mean.\n"
     "Errors: H not Hermitian, negative or descending times, tol out of reach.",
     bind_evolve, NF_CONST},
    {0}};
