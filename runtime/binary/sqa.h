/* sqa.h: worldlines of the transverse-field Ising model (private to sqa*.c and
 * their tests).
 *
 *   H = -A sum_i X_i + B H_P,   weight exp(-beta H) cut into P slices
 *
 * A worldline is the P spins of one variable on a ring of imaginary time.  Equal
 * neighbours in time are joined with probability 1 - tanh(beta A / P), and every
 * segment so made is set to +1 or -1 by the heat bath in the field that the other
 * worldlines make there.  This is exact for the P slices at any A, moves whole
 * segments at once, and for large P is the continuous-time update.  The error of
 * the slices themselves is of second order in beta A / P.
 *
 * Sources: Suzuki, Prog. Theor. Phys. 56, 1454 (1976); Rieger, Kawashima, Eur.
 * Phys. J. B 9, 233 (1999) (segments); Kadowaki, Nishimori, Phys. Rev. E 58, 5355
 * (1998); Santoro et al., Science 295, 2427 (2002).
 */
#ifndef QA_BINARY_SQA_H
#define QA_BINARY_SQA_H
#include "runtime/binary/lanes.h"
#include "runtime/binary/sampler.h"

enum { SQA_WORDS = 16, SQA_SLICES = SQA_WORDS * LANES };

typedef struct Worldlines {
  const LaneModel *m;
  int slices, words;
  Lanes lane[SQA_WORDS];  /* slices 64 w .. 64 w + 63                          */
  uint64_t rng[4];        /* xoshiro256++                                      */
  double updates;         /* worldlines updated                                */
} Worldlines;

RtStatus worldlines_make(Rt *rt, Worldlines *w, const LaneModel *m, int slices);
void worldlines_free(Rt *rt, Worldlines *w);
/* All slices alike: `initial`, or random spins for NULL. */
void worldlines_start(Worldlines *w, RngCall rng, int64_t read, const int8_t *initial);
/* One update of every worldline at beta A and beta B. */
void worldlines_sweep(Worldlines *w, double beta_a, double beta_b);
void worldlines_slice(const Worldlines *w, int slice, int8_t *spin);
/* Mean over sites and slices of the estimator of X: kinks count coth, others tanh. */
double worldlines_x(const Worldlines *w, double beta_a);
uint64_t worldlines_draw(Worldlines *w);
#endif
