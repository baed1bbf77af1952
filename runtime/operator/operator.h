/* operator.h: Hamiltonians as sums of products, with names.
 *
 * An Operator is what a `hamiltonian` body adds up to: a real polynomial in
 * diagonal variables (binaries, spins, Z of the register), which may have 10^7
 * terms, and a list of general products (X, Y, S+-, ladder operators of bosons)
 * with complex coefficients.  Number operators and bits of the register are
 * written through Z (N = (1 - Z)/2) at once.
 */
#ifndef QA_OPERATOR_H
#define QA_OPERATOR_H
#include "runtime/binary/poly.h"
#include "runtime/binary/problem.h"
#include "runtime/tensor/tensor.h"

typedef enum { OP_X, OP_Y, OP_Z, OP_PLUS, OP_MINUS,     /* on qubits and spins     */
               OP_BINARY, OP_SPIN,                      /* declared variables      */
               OP_LOWER, OP_RAISE } OpFactor;           /* a, a' of a mode         */

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
RtStatus operator_add(Rt *rt, Operator *a, c128 c, int k, const OpWord *w);
/* Variables are matched by name; arrays known to one only are appended, extents
 * of the register are widened.                                                 */
RtStatus operator_sum(Rt *rt, Operator *out, c128 ca, const Operator *a, c128 cb, const Operator *b);
RtStatus operator_product(Rt *rt, Operator *out, const Operator *a, const Operator *b);
RtStatus operator_adjoint(Rt *rt, Operator *out, const Operator *a);
RtStatus operator_kron(Rt *rt, Operator *out, const Operator *a, const Operator *b);   /* a's qubits are the low ones */
/* Pauli products multiplied out (XY = iZ ...), [a, a'] = 1 brought to normal order,
 * equal terms added.                                                            */
RtStatus operator_merge(Rt *rt, Operator *a);
bool operator_hermitian(Rt *rt, Operator *a);      /* merges */
typedef enum { OP_DIAGONAL, OP_PAULI, OP_BOSONIC } OperatorClass;
OperatorClass operator_class(const Operator *a);
/* Dense, basis index with variable 0 the least significant digit. c128 [D, D];
 * an error above 2^13 states.                                                   */
Tensor *operator_matrix(Rt *rt, Operator *a);
void operator_print(const Operator *a, int64_t terms, Buf *out);
#endif
