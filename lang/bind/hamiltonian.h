/* hamiltonian.h: Hamiltonians as values: shared by the lowering of declarations
 * (lang/blocks/hamiltonian.c) and the library (lang/bind/hamiltonian*.c, samplers,
 * samples, problems).
 *
 *   hamiltonian pick(score, m) { binary b[4];  minimize -sum(b[j] for j in 0..4)
 *                                subject to count: sum(b) == m penalty 2.0 }
 * becomes
 *   (score, m) => { let .h = __ham_begin("pick");  let b = __ham_declare(.h, "b", 0, (4,), nil)
 *                   __ham_objective(.h, -sum(...), false)
 *                   __ham_constrain(.h, "count", (), 0, sum(b), m, 2.0);  __ham_end(.h) }
 */
#ifndef QA_BIND_HAMILTONIAN_H
#define QA_BIND_HAMILTONIAN_H
#include "lang/blocks/index.h"
#include "lang/vm/vm.h"
#include "runtime/operator/operator.h"

typedef struct Ham {
  char *name;               /* of the declaration; NULL: from arithmetic       */
  Operator op;              /* the terms; of an objective: what is minimised   */
  Constraint *constraint;   /* over op.vars                                    */
  int64_t n_constraint, cap_constraint;
  bool maximize;            /* op holds the negative of the user's objective   */
  ProblemSense sense;       /* of a file; factor 0: not from a file            */
  struct HamApplied *applied; /* compiled for the last small state (applied.c); NULL */
} Ham;
extern const BoxType ham_type;             /* "Hamiltonian", data: Ham         */

Ham *ham_new(Vm *vm);                      /* empty; NULL + error              */
void ham_free(Vm *vm, Ham *h);
Ham *ham_copy(Vm *vm, const Ham *h);
Value ham_value(Vm *vm, Ham *h);           /* takes over h; nil + error        */
/* To be called before a value that was in use is changed in place: drops what was kept with it. */
void ham_changes(Vm *vm, Ham *h);
int ham_set_name(Vm *vm, Ham *h, const char *name);
/* h also knows the variables of `more`; *map: their numbers in h (as operator_vars). */
int ham_adopt(Vm *vm, Ham *h, const VarTable *more, int32_t **map);
void poly_remap(Poly *p, const int32_t *map);
/* to += s * from, constraints included. */
int ham_accumulate(Vm *vm, Ham *to, double s, const Ham *from);
/* Takes over `left` (over h->op.vars). */
int ham_constrain(Vm *vm, Ham *h, const char *name, Poly *left, Relation rel, double weight);
/* The Hamiltonian in v, or an error that names the function and what was found. */
int arg_ham(Vm *vm, Value v, const char *what, Ham **out);   /* borrowed       */
/* The same for an argument of a native function; the name of a declaration without
 * required parameters stands for what it gives (*v is replaced).               */
int arg_ham_own(Vm *vm, Value *v, const char *what, Ham **out);
/* The error that `what` needs a diagonal Hamiltonian, with the first term that is not
 * (h->op merged, with products).                                               */
int ham_not_diagonal(Vm *vm, Ham *h, const char *what);
/* Merges; the same error unless h is diagonal. */
int ham_diagonal(Vm *vm, Ham *h, const char *what);
/* Objective and constraints of a diagonal Hamiltonian (copies, op merged); an error
 * that names the first non-diagonal term otherwise.                            */
int ham_problem(Vm *vm, Ham *h, const char *what, Problem *out);

/* Rows of values of all variables, 0/1 or +-1 as the kind says (assignment.c). */
typedef struct { int64_t rows, n; bool one; int8_t *x; } Assignments;     /* x: [rows, n] */
/* From a record {b: tensor, ...} of all arrays or a vector (n): one row, `one`; from a
 * tensor (k, n), or samples: many.  No modes.                                  */
int arg_assignments(Vm *vm, const VarTable *t, Value v, const char *what, Assignments *out);
void assignments_free(Vm *vm, Assignments *a);

/* ---- hooks of the types (hamiltonian_arith.c, hamiltonian_store.c) --------- */
int ham_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out);
int ham_transpose(Vm *vm, Box *self, Value *out);
int ham_save(Vm *vm, Box *self, Value *out);
int ham_kron(Vm *vm, Value a, Value b, Value *out);  /* operator.c: kron of two Hamiltonians */

/* ---- declared arrays (hamiltonian_vars.c), arrays of Hamiltonians (.._array.c) ---- */
/* The table of one declaration under construction, shared by its arrays.       */
typedef struct HamSpace { uint32_t refs; VarTable vars; } HamSpace;
HamSpace *ham_space_new(Vm *vm);
HamSpace *ham_space_ref(HamSpace *s);      /* NULL is fine */
void ham_space_unref(Vm *vm, HamSpace *s);

/* `b` of `binary b[n]`; `Z` and the like of the register (space NULL, no extents). */
typedef struct {
  HamSpace *space;
  uint8_t factor;           /* OpFactor; N_FACTOR for N[i] = (1 - Z[i])/2      */
  char name[64];
  int rank;
  int64_t shape[VAR_RANK], first, count;
} HamVars;
#define N_FACTOR 255
extern const BoxType ham_vars_type;        /* "variables"                      */
Value ham_vars_value(Vm *vm, const HamVars *v);      /* refers to v->space; nil + error */

/* n Hamiltonians of one form: constant + sum over terms of c * product of factors,
 * in which coefficients and variables are the same for all or one for each.    */
typedef struct { c128 c; Tensor *t; } HamCoef;       /* t: f64 or c128 [n]; NULL: c for all */
typedef struct { uint8_t factor; int32_t v; Tensor *t; } HamFactor;   /* t: i64 [n]; NULL: v */
typedef struct { HamCoef c; int k; HamFactor *f; } HamTerm;
typedef struct HamArray {
  HamSpace *space;          /* of the declared variables; NULL: none            */
  int rank;
  int64_t shape[VAR_RANK], n;
  HamCoef constant;
  int n_term;
  HamTerm *term;
} HamArray;
extern const BoxType ham_array_type;       /* "array of Hamiltonians"          */
enum { HAM_ARRAY_TERMS = 64 };             /* more are not kept in this form   */

HamArray *ham_array_new(Vm *vm, HamSpace *space, int rank, const int64_t *shape);
void ham_array_free(Vm *vm, HamArray *a);
Value ham_array_value(Vm *vm, HamArray *a);          /* takes over; nil + error */
/* coefficient t (taken over; NULL: c) times the factors, whose tensors are taken over. */
int ham_array_term(Vm *vm, HamArray *a, HamCoef c, int k, const HamFactor *f);
/* Any operand as such an array over `shape`: numbers, tensors, Hamiltonians, declared
 * arrays.  Nonzero without an error: it has more terms than this form keeps.  */
int ham_array_of(Vm *vm, Value v, int rank, const int64_t *shape, HamArray **out);
int ham_array_binary(Vm *vm, AstOp op, Value a, Value b, Value *out);
/* h += the sum of all n, element by element in order. */
int ham_array_add_to(Vm *vm, const HamArray *a, Ham *h);
/* b[index tensor], flat numbers into v's array (taken over, i64, any shape): the
 * array of these variables.                                                    */
HamArray *ham_vars_gather(Vm *vm, const HamVars *v, Tensor *flat);
HamArray *ham_vars_whole(Vm *vm, const HamVars *v);
/* What the indices choose of an array of this shape, as flat numbers (i64). */
Tensor *ham_flat_index(Vm *vm, int rank, const int64_t *shape, const Value *ix, int n);
int ham_array_sum(Vm *vm, const HamArray *a, Value *out);
int ham_length(Vm *vm, const char *what, int rank, const int64_t *shape, int64_t *out);
int ham_array_transpose(Vm *vm, Box *self, Value *out);
bool ham_is(Value v);                      /* one of the three types           */
int ham_rank(Value v);                     /* of an array of these, a tensor or range; else 0 */

/* ---- sums by columns (hamiltonian_columns.c) --------------------------------- */
/* A reducer whose operands hold Hamiltonians: *done false when it has to be a loop. */
int ham_columns(Vm *vm, const IxSpec *spec, Value *operand, bool *done, Value *out);
#endif
