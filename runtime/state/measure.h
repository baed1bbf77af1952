/* measure.h: what is read off a state: means of Pauli strings in one pass, reduced density
 * matrices, entanglement.  Either precision; nothing changes the state.             */
#ifndef QA_STATE_MEASURE_H
#define QA_STATE_MEASURE_H
#include "runtime/operator/paulis.h"
#include "runtime/state/state.h"
#include "runtime/tensor/tensor.h"

/* Is the string made of one letter only (or none)?  Those have a basis in which all of them
 * are diagonal.                                                                    */
bool pauli_plain(const PauliTerm *t);
/* Are all variables two-level: 2^n basis states? */
bool state_binary(const State *s);
/* mean[i] = <s| P_i |s> for k plain strings (term[i].c is not looked at): one pass for all
 * strings of Z, one more and a rotated copy each for those of X and of Y.  s is binary. */
RtStatus state_pauli_means(Rt *rt, const State *s, int64_t k, const PauliTerm *term, double *mean);

/* The density matrix of the variables site[0 .. k) of s / |s|, c128 [d, d]; site[0] is the least
 * significant digit of its basis.  Error: a site twice or out of range, too large, |s| = 0. */
Tensor *state_reduced(Rt *rt, const State *s, int k, const int64_t *site);
/* Renyi entropy of the sites' density matrix, in nats: -sum p log p for order 1, else
 * log(sum p^order) / (1 - order); order 0 is the log of the rank, infinity -log max p. */
RtStatus state_entropy(Rt *rt, const State *s, int k, const int64_t *site, double order,
                       double *out);
#endif
