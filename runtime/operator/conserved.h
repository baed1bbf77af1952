/* conserved.h: quantities that commute with an operator of two-level variables.
 *
 * Found are sums of digits with whole weights (total Z, particle numbers of each kind),
 * products of Z and products of X.  The sums are the integer null space of the changes
 * of the digits which the operator's matrix elements make; the products are null spaces
 * over GF(2) of the terms' masks (as in Bravyi, Gambetta, Mezzacapo, Temme,
 * arXiv:1701.08213, for Flips of one kind).                                       */
#ifndef QA_OPERATOR_CONSERVED_H
#define QA_OPERATOR_CONSERVED_H
#include "runtime/operator/flips.h"

/* Whole weights of a sum over digits. */
typedef struct { int32_t w[64]; } Weights;

typedef struct {
  int n;                      /* variables                                         */
  int n_sum, n_z, n_x;
  Weights sum[64];            /* independent sums  w . digits                       */
  uint64_t z[64], x[64];      /* products of Z (without those that the sums imply), of X */
} Conserved;

void conserved_find(const Flips *p, int n, Conserved *out);
/* Sum i as an operator over `vars`: in Z, spins, and -2 times the binaries. */
RtStatus conserved_sum(Rt *rt, const VarTable *vars, const Weights *w, Operator *out);
/* The product of X or Z of the qubits and spins in `mask`; *there: it can be written (X
 * of qubits only, no binaries).                                                    */
RtStatus conserved_product(Rt *rt, const VarTable *vars, bool of_x, uint64_t mask, bool *there,
                           Operator *out);
/* Lines for explain(): what an operator without modes conserves.  Merges. */
RtStatus conserved_explain(Rt *rt, Operator *a, Buf *out);

/* The first term that changes the sum, product of Z, product of X; NULL: none does. */
const FlipTerm *conserved_not_sum(const Flips *p, const Weights *w);
const FlipTerm *conserved_not_z(const Flips *p, uint64_t mask);
const FlipTerm *conserved_not_x(const Flips *p, uint64_t mask);
/* Rows become an echelon form in which every pivot (the highest bit, in *pivot) is in one
 * row only; returns how many rows are left.  sign[i] (0 or 1) goes with row i; *clash: a
 * row that vanished had sign 1.                                                    */
int gf2_reduce(int rows, uint64_t *row, uint8_t *sign, uint64_t *pivot, bool *clash);

#endif
