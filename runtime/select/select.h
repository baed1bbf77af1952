/* select.h: hard attention by a Hamiltonian: which tokens are read is the mask of lowest energy
 *
 *   E(m) = - sum_i s_i m_i + lambda sum_{i<j} rho_ij m_i m_j + P (sum_i m_i - k)^2,   m_i = 0 or 1
 *
 * (QAHAN, arXiv 2412.20930, in the form of its abstract: the paper's own coefficients are not
 * public).  s are scores, rho_ij redundancies.  With P > max|s| + lambda (k - 1) max|rho| exactly k
 * tokens are selected, and with lambda = 0 they are the k of largest score.  All rows of a batch
 * are solved in one call, each from a stream of its own: the same bits on any number of threads.
 *
 * Gradients.  The energy has dE/ds_i = -m_i and dE/drho_ij = lambda m_i m_j / 2 at the ends (i, j)
 * and (j, i) of a pair: exact wherever m is the minimum and stays it (Danskin).  The mask is
 * constant almost everywhere; what passes through it is chosen:
 *   detached        nothing
 *   straight        dm/ds := 1, or with tau the derivative of sigmoid(s / tau)
 *   field           the same of sigmoid((f - theta) / tau), f_i = s_i - lambda sum_j rho_ij m_j the
 *                   field that token i feels and theta half way between the least field of a
 *                   selected token and the largest of another one (no k: 0). No exchange lowers
 *                   the energy only where the selected tokens have the largest fields, so m is
 *                   the mask of those, as it is of scores at lambda = 0; and redundancies take
 *                   part: drho_ij = -lambda (d_i m_j + d_j m_i) / 2, d_i what reaches f_i
 * At a temperature the mask is the mean of reads that are drawn from exp(-E / T) among the masks of
 * k, the energy their mean, and derivatives are those of thermal averages, estimated from the
 * same reads by the covariance of what is averaged with dE/ds and dE/drho (linear response).
 *   black box       ds = (m(s) - m(s - mu g)) / mu, g = dL/dm, by a second solution from the same
 *                   stream (Vlastelica et al. 2020);
 *                   drho_ij = -lambda (m_i m_j - m'_i m'_j) / (2 mu)
 */
#ifndef QA_SELECT_H
#define QA_SELECT_H
#include "runtime/binary/batch.h"
#include "runtime/grad/grad.h"

enum { SELECT_N_MAX = 1 << 12, SELECT_EXACT_MAX = 20 };

typedef enum {
  SELECT_SWAP,     /* annealing by exchanges of a selected and an unselected token at exactly k,
                      ended by descent in exchanges; 0 sweeps: descent alone       */
  SELECT_ANNEAL,   /* annealing of E by single flips, as a general annealer sees it (batch.h) */
  SELECT_EXACT,    /* the minimum, at most SELECT_EXACT_MAX tokens                  */
  SELECT_TOP       /* the k largest scores, whatever lambda                        */
} SelectSolver;

typedef enum { SELECT_DETACH, SELECT_ENERGY, SELECT_STRAIGHT, SELECT_BLACKBOX, SELECT_FIELD }
SelectGrad;

typedef struct SelectRule {
  int64_t k;               /* -1: any number (P = 0)                               */
  double lambda;
  double penalty;          /* NAN: 1.25 (max|s| + lambda (k - 1) max|rho|) of each row */
  SelectSolver solver;
  int64_t reads, sweeps;   /* the lowest of `reads` walks                          */
  double hot, cold;        /* NAN: from each row's coefficients                    */
  double temperature;      /* NAN: the lowest mask; else means over the reads (swap only) */
  SelectGrad grad;
  double tau;              /* straight, field: NAN: identity                       */
  double mu;               /* black box                                            */
  RngCall rng;
} SelectRule;
void select_rule_init(SelectRule *r);

/* Rows of one number of tokens, in double precision. */
typedef struct SelectProblem {
  int64_t rows, n, k;
  double *score;           /* [rows, n]                                            */
  double *pair;            /* [rows, n, n] lambda rho, symmetric, 0 on the diagonal; NULL: 0 */
  double *penalty;         /* [rows]                                               */
} SelectProblem;
/* s (.., n); rho (.., n, n) or NULL, of which (rho_ij + rho_ji) / 2 counts. Refuses what is not
 * finite. */
RtStatus select_problem(Rt *rt, Tensor *s, Tensor *rho, const SelectRule *r, SelectProblem *out);
void select_problem_free(Rt *rt, SelectProblem *p);
double select_energy(const SelectProblem *p, int64_t row, const int8_t *m);
/* E as spins (m = (1 + sigma) / 2), constants included. */
RtStatus select_batch(Rt *rt, const SelectProblem *p, Batch *out);
/* mask [rows, n] of 0 and 1. */
RtStatus select_solve(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *mask);

/* mask (.., n) and energy (..) of s's dtype, new references.  given: the mask's bits, found by
 * another solver, [rows, n]; NULL: solves. */
RtStatus select_tokens(Rt *rt, Tensor *s, Tensor *rho, const SelectRule *r, const int8_t *given,
                       Tensor **mask, Tensor **energy);

/* What a mask is worth, one number a row (caller's arrays [rows]): its energy, the least change of
 * it by a flip and by an exchange (negative: not a local minimum; inf: there is none). */
void select_quality(const SelectProblem *p, const int8_t *mask, double *energy, double *flip,
                    double *swap);

/* private to select*.c */
/* Reads [rows, reads, n] at r->temperature. */
RtStatus select_thermal(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *read);
RtStatus select_mean(Rt *rt, Tensor *s, Tensor *rho, const SelectRule *r, const SelectProblem *p,
                     Tensor **mask, Tensor **energy);
/* ds += and drho += (NULL: not wanted) of the field rule, g the adjoint of the mask. */
RtStatus select_through_field(Rt *rt, const SelectRule *r, Tensor *s, Tensor *rho,
                              const Tensor *mask, const Tensor *g, Tensor *ds, Tensor *drho);
void select_put(Tensor *t, int64_t i, double x);
RtStatus select_swap(Rt *rt, const SelectProblem *p, const SelectRule *r, int8_t *mask);
#endif
