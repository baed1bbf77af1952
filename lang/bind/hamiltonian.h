/* hamiltonian.h: Hamiltonians as values: shared by the lowering of declarations
 * (lang/blocks/hamiltonian*.c) and the library (lang/bind/hamiltonian*.c,
 * samplers, samples, problems).                                              */
#ifndef QA_BIND_HAMILTONIAN_H
#define QA_BIND_HAMILTONIAN_H
#include "lang/vm/vm.h"
#include "runtime/operator/operator.h"

typedef struct Ham {
  char *name;               /* of the declaration; NULL: from arithmetic       */
  Operator op;              /* the terms; of an objective: what is minimised   */
  Constraint *constraint;   /* over op.vars                                    */
  int64_t n_constraint;
  bool maximize;            /* op holds the negative of the user's objective   */
  ProblemSense sense;       /* of a file; factor 0: not from a file            */
} Ham;
extern const BoxType ham_type;             /* "Hamiltonian", data: Ham         */

Ham *ham_new(Vm *vm);                      /* empty; NULL + error              */
Value ham_value(Vm *vm, Ham *h);           /* takes over h; nil + error        */
/* The Hamiltonian in v, or an error that names the function and what was found. */
int arg_ham(Vm *vm, Value v, const char *what, Ham **out);   /* borrowed       */
/* Objective and constraints of a diagonal Hamiltonian (copies, op merged); an error
 * that names the first non-diagonal term otherwise.                            */
int ham_problem(Vm *vm, Ham *h, const char *what, Problem *out);
#endif
