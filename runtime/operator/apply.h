/* apply.h: Hamiltonians acting on state vectors, without a matrix.
 *
 * A vector has one entry for each basis state; variable 0 of the operator is the
 * least significant digit (operator_matrix() numbers them in the same way).  A
 * complex vector is its entries (re, im) side by side, a real one plain numbers.
 *
 * On two-level digits a product of Paulis c X^x Z^z takes entry i ^ x to entry i
 * with a sign.  In a complex vector the number "re or im" is one digit more, below
 * the others, and a multiplication by i flips it with a sign: so everything is
 *     y[d] += c (-1)^popcount(d & z) x[d ^ mask]
 * with real c over 2^(n+1) numbers, which is what the kernels do (apply_body.h).
 * The vector is passed over in tiles that live in registers; masks that reach beyond the
 * second-level cache are served by passes that collect blocks of tiles far apart
 * (apply_plan.c).  Diagonal terms become one number for each entry, made run by run, or a
 * stored table of one number a state when there are too many of them.  Operators with bosons
 * take another way: term by term over the digits which it touches.
 *
 * Vectors are doubles, or floats for an operator that applied_make32() compiled.
 * Results have the same bits for any number of threads and any instruction set.
 * Source: the grouping by x-mask is that of e.g. Van den Berg and Temme, Quantum 4,
 * 322 (2020), section 2.
 */
#ifndef QA_OPERATOR_APPLY_H
#define QA_OPERATOR_APPLY_H
#include "runtime/operator/operator.h"

typedef struct Applied Applied;

/* Number of basis states of the variables; an error beyond 2^40. */
RtStatus states_count(Rt *rt, const VarTable *t, int64_t *out);
/* An error when `vectors` vectors of `bytes` bytes do not fit the machine's memory or
 * the context's limit: before anything is allocated.  `what` names what needs them. */
RtStatus states_fit(Rt *rt, const char *what, int64_t states, double vectors, size_t bytes);
/* Is every matrix entry real?  Merges. */
RtStatus operator_real(Rt *rt, Operator *a, bool *out);

/* Compiles a (merged by this) for complex vectors, or for real ones (wide false),
 * which only an operator with real entries has.                                 */
RtStatus applied_make(Rt *rt, Operator *a, bool wide, Applied **out);
/* The same for vectors in single precision. */
RtStatus applied_make32(Rt *rt, Operator *a, bool wide, Applied **out);
void applied_free(Rt *rt, Applied *a);              /* NULL is fine */
int64_t applied_states(const Applied *a);
bool applied_wide(const Applied *a);
bool applied_single(const Applied *a);
/* Numbers in a vector: states, or twice as many. */
int64_t applied_size(const Applied *a);
/* y = a x; x and y are 64-byte aligned, of applied_size() numbers, and do not overlap.
 * An error when the operator was compiled for the other precision.               */
RtStatus applied_to(Rt *rt, const Applied *a, const double *x, double *y);
RtStatus applied_to32(Rt *rt, const Applied *a, const float *x, float *y);
/* Re <x|a|x>, reading only; summed in doubles. */
RtStatus applied_mean(Rt *rt, const Applied *a, const double *x, double *out);
RtStatus applied_mean32(Rt *rt, const Applied *a, const float *x, double *out);

#endif
