/* mpo.h: the blocks of an operator's network (private to runtime/mps).
 *
 * Bond b of an Mpo has the channels 0: nothing has acted yet, 1 .. right - 2: in the middle of
 * terms, right - 1: all of a term has acted.  Before site 0 there is only the first, behind
 * the last site only the last.                                                    */
#ifndef QA_MPS_MPO_H
#define QA_MPS_MPO_H
#include "runtime/mps/mps.h"

typedef struct { int32_t from, to, out, in; c128 c; } MpoEntry;   /* channels; digits: <out| |in> */
typedef struct { int64_t left, right, d, n, cap; MpoEntry *e; } MpoSite;
struct Mpo { int64_t n; bool wide; MpoSite *site; };

/* The part of <m|w|m> before site i + 1 from the one before site i: e [w.left][bra][ket] gives
 * out [w.right][bra][ket]; the caller frees (mpo_left_size entries).              */
RtStatus mpo_left(Rt *rt, const MpoSite *w, const Mps *m, int64_t i, const double *e, double **out);
int64_t mpo_left_size(const MpoSite *w, const Mps *m, int64_t i);
/* The part behind site i - 1 from the one behind site i: [channel][ket][bra]. */
RtStatus mpo_right(Rt *rt, const MpoSite *w, const Mps *m, int64_t i, const double *e,
                   double **out);
int64_t mpo_right_size(const MpoSite *w, const Mps *m, int64_t i);
/* y [to][outer][out][inner] += entry x [from][outer][in][inner], d levels. */
void mpo_act(const MpoSite *w, bool wide, int64_t outer, int64_t inner, const double *x, double *y);
#endif
