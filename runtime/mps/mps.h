/* mps.h: matrix-product states of chains, and what moves and measures them.
 *
 * An Mps is sum over digits of A0[s0] A1[s1] ... |s0 s1 ...>: site i is variable i of
 * its table, with the digits of a state vector (runtime/state/state.h).  It is kept in mixed
 * canonical form: sites before `center` are isometries from the left, sites behind it from
 * the right, so that the length of the state is that of the centre's block and cutting
 * its singular values is the best approximation of the whole state.  Real while nothing
 * complex has acted on it.
 *
 * Two-site gates: contract, decompose, keep the largest singular values: at most `bond`, and as few
 * as keep the discarded weight (of the unit vector) below `cut` (Vidal, PRL 91, 147902, 2003;
 * White, PRB 48, 10345, 1993; Schollwoeck, Ann. Phys. 326, 96, 2011, sections 4 and 7).
 *
 * Everything computes on the calling thread: the same bits for any number of threads.
 * Blocks are allocated from the context; errors leave *out empty.
 */
#ifndef QA_MPS_H
#define QA_MPS_H
#include "runtime/operator/operator.h"
#include "runtime/state/state.h"
#include "runtime/tensor/random.h"

typedef struct {
  int64_t left, d, right;
  double *a;              /* [left][d][right], row-major; (re, im) in a wide state  */
} MpsSite;

typedef struct Mps {
  VarTable vars;          /* owned                                               */
  int64_t n;              /* sites = variables; at least 2                       */
  int64_t center;
  bool wide;              /* complex                                             */
  int copies;             /* 1; 2: a purification, whose digits are (variable, ancilla) */
  MpsSite *site;          /* owned [n]                                           */
  double error;           /* sum of the weights discarded so far                 */
} Mps;

typedef struct { int64_t bond; double cut; } MpsCut;

#define MPS_SITES (1 << 20)
/* An error unless a chain can have these variables as sites. */
RtStatus mps_sites(Rt *rt, const VarTable *vars);
void mps_init(Mps *m);
void mps_free(Rt *rt, Mps *m);
RtStatus mps_copy(Rt *rt, const Mps *m, Mps *out);
/* Variables, no blocks yet: mps_block() makes that of site i, of zeros. */
RtStatus mps_blocks(Rt *rt, const VarTable *vars, int copies, bool wide, Mps *out);
RtStatus mps_block(Rt *rt, Mps *m, int64_t i, int64_t left, int64_t d, int64_t right);
/* The levels of variable v. */
int64_t mps_levels(const VarTable *t, int64_t v);
/* One vector for each site, side by side (levels of site 0, of site 1, ..); not normalised. */
RtStatus mps_product(Rt *rt, const VarTable *vars, const c128 *amp, Mps *out);
/* Normal entries, at most `bond` wide, real, normalised. */
RtStatus mps_random(Rt *rt, const VarTable *vars, int64_t bond, RngCall c, Mps *out);
/* Equal weight on equal digits of variable and ancilla: exp(0), of length 1. */
RtStatus mps_mixed(Rt *rt, const VarTable *vars, Mps *out);
RtStatus mps_widen(Rt *rt, Mps *m);                      /* real to complex     */
RtStatus mps_move(Rt *rt, Mps *m, int64_t center);
double mps_norm2(const Mps *m);
RtStatus mps_scale(Rt *rt, Mps *m, c128 c);
int64_t mps_bond(const Mps *m, int64_t i);               /* between i and i + 1 */
int64_t mps_widest(const Mps *m);
/* a + c b, cut. */
RtStatus mps_sum(Rt *rt, const Mps *a, double c, const Mps *b, MpsCut cut, Mps *out);
/* Cuts every bond. */
RtStatus mps_compress(Rt *rt, Mps *m, MpsCut cut);

/* gate (d_i d_j)^2 row-major, digits (s_i, s_j) with s_j the faster, real or wide as m is; i
 * and i + 1.  The centre ends on i + 1 when `right`, else on i.                     */
RtStatus mps_gate(Rt *rt, Mps *m, int64_t i, const double *gate, MpsCut cut, bool right);
/* Exchanges the contents of sites i and i + 1; the variables stay where they are: the
 * caller swaps back.                                                            */
RtStatus mps_swap(Rt *rt, Mps *m, int64_t i, MpsCut cut, bool right);

/* ---- to and from vectors (mps_state.c) ---------------------------------------- */
RtStatus mps_from_state(Rt *rt, const State *s, MpsCut cut, Mps *out);
RtStatus mps_to_state(Rt *rt, const Mps *m, State *out);

/* ---- measuring (mps_measure.c) -------------------------------------------------- */
RtStatus mps_overlap(Rt *rt, const Mps *a, const Mps *b, c128 *out);      /* <a|b>  */
/* Squares of the Schmidt coefficients between sites i and i + 1, largest first, adding up
 * to 1; *p of *k doubles from rt_alloc.                                          */
RtStatus mps_schmidt(Rt *rt, const Mps *m, int64_t i, double **p, int64_t *k);
/* Entanglement entropies (nats) of all n - 1 bonds. */
RtStatus mps_entropies(Rt *rt, const Mps *m, double *out);
/* `count` draws of all digits from |amplitude|^2, digits[count][n]. */
RtStatus mps_sample(Rt *rt, const Mps *m, int64_t count, RngCall c, int64_t *digits);
/* <a_i b_j> / <m|m> for i <= j in out [n][n] (what lies below the diagonal is not touched),
 * <a_i> in mean [n]; a, b: one-site operators of `levels` levels, the same for all sites.    */
RtStatus mps_correlations(Rt *rt, const Mps *m, int64_t levels, const c128 *a, const c128 *b,
                          c128 *out, c128 *mean);

/* ---- evolution by gates (tebd.c) -------------------------------------------------- */
typedef struct {
  double time, step;      /* both >= 0; the step is made a little smaller so that it divides */
  int order;              /* of the product formula: 1, 2, 4                      */
  bool imaginary;         /* exp(-H t), brought back to the length 1; else exp(-i H t) */
  MpsCut cut;
} MpsTime;
/* H: over m's variables, Hermitian, of terms on at most two sites.  *log_norm, when not NULL,
 * is increased by ln |exp(-H t) m|.                                              */
RtStatus mps_evolve(Rt *rt, const Operator *h, MpsTime how, Mps *m, double *log_norm);

/* ---- operators as matrix products (mpo.c) ------------------------------------------ */
typedef struct Mpo Mpo;
/* H over n variables `vars`; a finite automaton over the terms, whose bonds are cut to the
 * rank of the terms' coefficients.  shift is added to H.                          */
RtStatus mpo_make(Rt *rt, const Operator *h, double shift, Mpo **out);
void mpo_free(Rt *rt, Mpo *w);
int64_t mpo_widest(const Mpo *w);
bool mpo_wide(const Mpo *w);
/* <m|w|m> and |w m|^2, not divided by <m|m> */
RtStatus mpo_mean(Rt *rt, const Mpo *w, const Mps *m, c128 *out);
RtStatus mpo_square(Rt *rt, const Mpo *w, const Mps *m, double *out);

/* ---- ground states (dmrg.c) --------------------------------------------------------- */
typedef struct {
  double energy;
  double change;          /* of the energy in the last sweep                     */
  double discarded;       /* the largest weight discarded at a bond of the last sweep */
  int sweeps;
} DmrgResult;
/* Two-site DMRG (White 1992) with a Lanczos solver inside, from a random state; m is
 * normalised.  tol: of the energy's change from sweep to sweep, relative.
 * Error: `sweeps` sweeps did not bring it that far.                              */
RtStatus mps_ground(Rt *rt, const Operator *h, MpsCut cut, double tol, int sweeps, RngCall seed,
                    Mps *m, DmrgResult *out);
#endif
