/* density.h: density matrices, and the generator of Lindblad's equation
 *
 *   d rho/dt = -i [H, rho] + sum_k (L_k rho L_k' - 1/2 {L_k' L_k, rho})
 *
 * A density matrix of D basis states is a vector of D^2 amplitudes over twice the variables:
 * <r|rho|c> stands at r + D c, so that A rho B is A on the lower half of the digits and the
 * transpose of B on the upper one.  The whole generator is then one operator, not Hermitian,
 * which runtime/operator/apply.h applies as any other; time goes by general.h.
 * Source: Lindblad, Commun. Math. Phys. 48, 119 (1976); Gorini, Kossakowski, Sudarshan, J.
 * Math. Phys. 17, 821 (1976); the vector form: Breuer and Petruccione, The Theory of Open
 * Quantum Systems, section 3.2.
 */
#ifndef QA_OPEN_DENSITY_H
#define QA_OPEN_DENSITY_H
#include "runtime/evolve/general.h"
#include "runtime/tensor/tensor.h"

typedef struct Density {
  VarTable vars;       /* owned                                              */
  int64_t dim;         /* D                                                  */
  State s;             /* D^2 amplitudes, over the variables twice           */
} Density;

static inline c128 density_at(const Density *p, int64_t row, int64_t col) {
  return p->s.amp[row + p->dim * col];
}

void density_init(Density *p);
void density_free(Rt *rt, Density *p);
/* Entries uninitialised.  Errors: D^2 entries (and a few vectors of them for the evolution) do
 * not fit the memory.                                                          */
RtStatus density_new(Rt *rt, const VarTable *vars, Density *out);
RtStatus density_copy(Rt *rt, const Density *p, Density *out);
/* |psi><psi| / <psi|psi>; psi of either precision, not zero */
RtStatus density_pure(Rt *rt, const State *psi, Density *out);
/* A Hermitian matrix [D, D] over these variables (to 1e-10 of its largest entry). */
RtStatus density_of(Rt *rt, const VarTable *vars, Tensor *matrix, Density *out);

double density_trace(const Density *p);
double density_purity(const Density *p);            /* tr rho^2 / (tr rho)^2 */
/* tr(A rho) / tr rho; A is over (some of) the variables */
RtStatus density_mean(Rt *rt, const Density *p, Operator *a, c128 *out);
Tensor *density_matrix(Rt *rt, const Density *p);   /* c128 [D, D]           */
/* The density matrix of the variables site[0 .. k), of trace 1; c128 [d, d], site[0] is the least
 * significant digit.  Error: a site twice or out of range.                      */
Tensor *density_reduced(Rt *rt, const Density *p, int k, const int64_t *site);
/* Of order `order` as state_entropy(), of the sites (k = 0: of all). */
RtStatus density_entropy(Rt *rt, const Density *p, int k, const int64_t *site, double order,
                         double *out);
/* <psi|rho|psi> / (tr rho <psi|psi>) */
double density_overlap(const Density *p, const State *psi);
/* Uhlmann's (tr sqrt(sqrt(p) q sqrt(p)))^2, of p and q over their traces. */
RtStatus density_fidelity(Rt *rt, const Density *p, const Density *q, double *out);

/* tr |p|: the sum of the eigenvalues' sizes. */
RtStatus density_size(Rt *rt, const Density *p, double *out);

/* ---- Lindblad's equation (lindblad.c) ---- */

/* What acts on a system: H (NULL: none) and collapse operators, over its variables. */
typedef struct { Operator *h; int n; Operator *jump; } Lindblad;
/* The generator as an operator over the variables twice. */
RtStatus lindblad_generator(Rt *rt, const VarTable *vars, const Lindblad *l, Operator *out);
/* sum_k L_k' L_k, merged */
RtStatus lindblad_decay(Rt *rt, const VarTable *vars, const Lindblad *l, Operator *out);
/* out[i] (n Densities, made by this) at ascending times t[i] >= 0; tol: of rho, relative. */
RtStatus lindblad_times(Rt *rt, const Lindblad *l, int64_t n, const double *t, double tol,
                        const Density *from, Density *out);

/* ---- baths: the same on every variable ---- */

/* Coherences of each variable decay as exp(-dephasing t) (between n and m quanta of a mode:
 * (n - m)^2 times that); |1> goes to |0>, or a quantum is lost, with rate `down` (n of a mode's
 * n), the other way with rate `up`.  Rates are >= 0, one for all or one for each variable.  */
typedef struct { const double *dephasing, *down, *up; bool each; } Bath;
/* Adds its collapse operators to *list of *n; those of rate 0 are left out.  Error: a decay of
 * spins or binaries, which have no |0> and |1>.                                      */
RtStatus bath_jumps(Rt *rt, const VarTable *vars, const Bath *b, int *n, Operator **list);
/* One operator more, merged and taken over. */
RtStatus jumps_add(Rt *rt, Operator *one, int *n, Operator **list);
void jumps_free(Rt *rt, int n, Operator *list);
#endif
