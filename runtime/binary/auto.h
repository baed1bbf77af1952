/* auto.h: the search behind solve() (private to auto*.c and their tests). */
#ifndef QA_BINARY_AUTO_H
#define QA_BINARY_AUTO_H
#include "runtime/binary/sampler.h"

typedef enum { AUTO_EXACT, AUTO_TABU, AUTO_TEMPER } AutoChoice;

/* What the choice is made from.  A site's effective degree is (sum J^2)^2 / sum J^4:
 * the number of couplings that matter, whatever the number of tiny ones.        */
typedef struct {
  double effective;       /* mean effective degree                             */
  double fields;          /* sum h^2 / sum of J^2 at both ends                  */
} AutoShape;
AutoShape auto_shape(const Ising *p);
AutoChoice auto_choose(const Ising *p, bool target);

/* One search of a connected model: the chosen sampler, and the other one for a
 * small share of the effort, since no rule is always right.  Stops at the target,
 * at `until` (rt_now(), 0: never), or when nothing has improved for long.       */
typedef struct {
  const SamplerArgs *a;
  RngCall rng;
  int64_t read;
  double target, until;   /* NAN, 0: none                                      */
  const int8_t *initial;  /* or NULL                                           */
  double from, to;        /* of the progress shown                             */
} AutoTask;
typedef struct {
  double energy, updates, hot, cold;
  bool proven;
  const char *how;
} AutoResult;
RtStatus auto_search(Rt *rt, const Ising *p, const AutoTask *t, int8_t *spin, AutoResult *out);
#endif
