/* operator.h: Hamiltonians as sums of products, with names.
 *
 * An Operator is what a `hamiltonian` body adds up to: a real polynomial in
 * diagonal variables (binaries, spins, Z of the register), which may have 10^7
 * terms, and a list of general products (X, Y, S+-, ladder operators of bosons)
 * with complex coefficients.  Number operators and bits of the register are
 * written through Z (N = (1 - Z)/2) at once.
 *
 * Qubits: |0> has Z = +1; S+ = |0><1| = (X + iY)/2 raises Z, S- lowers it.  The
 * register is the array `Z` of kind VAR_QUBIT; it grows with the indices used.
 */
#ifndef QA_OPERATOR_H
#define QA_OPERATOR_H
#include "runtime/binary/poly.h"
#include "runtime/binary/problem.h"
#include "runtime/tensor/tensor.h"

typedef enum { OP_X, OP_Y, OP_Z, OP_PLUS, OP_MINUS,     /* on qubits               */
               OP_BINARY, OP_SPIN,                      /* declared variables      */
               OP_LOWER, OP_RAISE } OpFactor;           /* a, a' of a mode         */
#define OPERATOR_REGISTER "Z"

typedef struct { uint8_t factor; int32_t v; } OpWord;
typedef struct Operator {
  VarTable vars;
  Poly diagonal;
  struct { int64_t n, cap, n_word, cap_word; int64_t *end; OpWord *word; c128 *c; } product;
                                         /* non-diagonal terms, words left to right */
  bool merged;
} Operator;

void operator_init(Operator *a);
void operator_free(Rt *rt, Operator *a);
RtStatus operator_copy(Rt *rt, Operator *out, const Operator *a);
/* a += c * word[0] word[1] ...; the words' variables are a's. */
RtStatus operator_add(Rt *rt, Operator *a, c128 c, int k, const OpWord *w);
/* The word that multiplies by variable v of the polynomial: b, s or Z. */
OpWord operator_word(const VarTable *t, int32_t v);
/* At least n qubits in the register; *first: the number of qubit 0.  Later
 * arrays move up.                                                               */
RtStatus operator_register(Rt *rt, Operator *a, int64_t n, int64_t *first);
/* The same array declared in both tables, or an error that names what differs. */
RtStatus operator_vars(Rt *rt, Operator *a, const VarTable *more, int32_t **map);
/* a += c b.  Variables are matched by name; arrays that only b knows are appended,
 * the register is widened.                                                      */
RtStatus operator_accumulate(Rt *rt, Operator *a, c128 c, const Operator *b);
RtStatus operator_sum(Rt *rt, Operator *out, c128 ca, const Operator *a, c128 cb,
                      const Operator *b);
RtStatus operator_product(Rt *rt, Operator *out, const Operator *a, const Operator *b);
RtStatus operator_scale(Rt *rt, Operator *a, c128 c);        /* a *= c */
void operator_divide(Operator *a, double c);
RtStatus operator_adjoint(Rt *rt, Operator *out, const Operator *a);
/* a on the low qubits, b on those above; registers only. */
RtStatus operator_kron(Rt *rt, Operator *out, const Operator *a, const Operator *b);
/* Pauli products multiplied out (XY = iZ ...), [a, a'] = 1 brought to normal order,
 * equal terms added.                                                            */
RtStatus operator_merge(Rt *rt, Operator *a);
RtStatus operator_hermitian(Rt *rt, Operator *a, bool *out);      /* merges */
/* Of the terms that are there: merge first. */
typedef enum { OP_DIAGONAL, OP_PAULI, OP_BOSONIC } OperatorClass;
OperatorClass operator_class(const Operator *a);
/* A plain number: no terms; what it is. */
bool operator_number(const Operator *a, c128 *c);
/* Dense, basis index with variable 0 the least significant digit: a qubit's 0 is
 * Z = +1, a spin's 0 is +1, a binary's digit is its value, a mode's its quanta.
 * f64 [D, D] when no entry is imaginary, else c128; an error above 2^13 states.  */
Tensor *operator_matrix(Rt *rt, Operator *a);
/* "-1.0*Z[0]*Z[1] - 0.5*X[0]", at most `terms` of them, then "... (n more)". */
/* Lines for explain() of what is not diagonal: variables, terms by kind, locality. */
void operator_explain(const Operator *a, Buf *out);
void operator_print(const Operator *a, int64_t terms, Buf *out);
#endif
