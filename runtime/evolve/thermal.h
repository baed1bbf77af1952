/* thermal.h: Gibbs states exp(-beta H) / Z.
 *
 * Small spaces: all levels.  Diagonal Hamiltonians: all states.  Else canonical typicality
 * (Sugiura and Shimizu, Phys. Rev. Lett. 111, 010401, 2013): with random unit vectors r,
 *   Z = D <r|exp(-beta H)|r>,  <A> = <f|A|f> / <f|f>,  f = exp(-beta H / 2) r,
 * on average, where both come from the Krylov space of r (Jaklic and Prelovsek, Phys. Rev.
 * B 49, 5065, 1994), made twice so that no vectors are kept.  Ratios of means over the
 * vectors; errors by the jackknife.  The relative error falls as 1 / sqrt(samples Z_eff),
 * with Z_eff = exp(S) the number of states that matter.                            */
#ifndef QA_EVOLVE_THERMAL_H
#define QA_EVOLVE_THERMAL_H
#include "runtime/evolve/sector.h"

enum { THERMAL_VALUES = 5 };
enum { THERMAL_LNZ, THERMAL_ENERGY, THERMAL_HEAT, THERMAL_ENTROPY, THERMAL_FREE };
typedef enum { THERMAL_AUTO, THERMAL_EXACT, THERMAL_TYPICAL } ThermalMethod;

typedef struct {
  int64_t n_beta;
  const double *beta;         /* finite, of either sign                            */
  int n_observable;
  Operator *const *observable; /* Hermitian, over the variables of H                */
  int n_rule;                 /* of a sector; 0: all states                        */
  const SectorRule *rule;
  ThermalMethod method;
  int64_t samples;            /* random vectors, at least 2                        */
  RngCall call;
} ThermalAsk;

/* Arrays are the caller's.  Errors are 0 when exact. */
typedef struct {
  bool exact;
  double (*value)[THERMAL_VALUES], (*error)[THERMAL_VALUES];   /* [n_beta]           */
  double *mean, *mean_error;                                   /* [n_beta, n_observable] */
} Thermal;

/* Errors: too many states for an exact one, memory, no convergence. */
RtStatus thermal(Rt *rt, Operator *h, const ThermalAsk *ask, Thermal *out);

#endif
