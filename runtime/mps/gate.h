/* gate.h: the cut of a bond, shared by gates and DMRG (private to runtime/mps). */
#ifndef QA_MPS_GATE_H
#define QA_MPS_GATE_H
#include "runtime/mps/mps.h"

/* How many of k singular values s (descending) stay; *discarded: the others' weight in the
 * sum of squares.                                                               */
int64_t mps_kept(int64_t k, const double *s, MpsCut cut, double *discarded);
/* Levels of the variable that lies on site i (another one than variable i between swaps). */
int64_t mps_content(const Mps *m, int64_t i);
/* Sites i and i + 1, of dp and dq digits, from theta [left][dp][dq][right], which is lost; the
 * length stays, the weight cut away is added to m->error and given in *discarded (may be
 * NULL).                                                                        */
RtStatus mps_split(Rt *rt, Mps *m, int64_t i, int64_t dp, int64_t dq, double *theta, MpsCut cut,
                   bool right, double *discarded);
#endif
