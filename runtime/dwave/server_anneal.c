/* server_anneal.c: when the qubits of the service's chip can still turn, and how cold they
 * are then.
 *
 * A qubit at s tries to turn at a rate that falls with its tunnelling, and sees its energies
 * divided by a fixed temperature, so that the inverse temperature grows with B(s).  After the
 * last try nothing moves: reads are thermal states of the moment of freezing, which comes
 * later, and at lower temperature, the longer the anneal takes.  The numbers are of the size
 * of today's chips: B(1) = 7 GHz at 15.5 mK, B(s) as s^1.5, A(s)^2 falling as exp(-20 s).  */
#include <math.h>

#include "runtime/dwave/server.h"

#define BETA_END 10.8  /* B(1) / 2kT */
#define TRIES 1000.0   /* a microsecond, while the transverse field is strong */
#define FALLS_FROM 0.25
#define FALLS_BY 20.0
enum { POINTS = 4096 };

double sapi_beta(double s) { return BETA_END * pow(s > 0 ? s : 0, 1.5); }

static double tries(double s) {
  return s < FALLS_FROM ? TRIES : TRIES * exp(-FALLS_BY * (s - FALLS_FROM));
}

/* First: one try was made since the start; last: one is left till the end. */
bool sapi_awake(double (*s_at)(const void *, double), const void *schedule, double T,
                double *first, double *last) {
  double sum[POINTS + 1] = {0}, step = T / POINTS;
  for (int k = 0; k < POINTS; k++)
    sum[k + 1] = sum[k] + step * tries(s_at(schedule, (k + 0.5) * step));
  double all = sum[POINTS];
  if (all < 1) return false;
  int a = 0, b = POINTS;
  while (sum[a + 1] < 1) a++;
  while (b > 1 && all - sum[b - 1] < 1) b--;
  *first = step * (a + (1 - sum[a]) / (sum[a + 1] - sum[a]));
  *last = step * (b - 1 + (all - 1 - sum[b - 1]) / (sum[b] - sum[b - 1]));
  if (*last < *first) *first = *last = (*first + *last) / 2; /* between one and two tries */
  return true;
}
