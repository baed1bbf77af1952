/* schedule.h: how an anneal goes: A(s), B(s) and s(t).
 *
 *   plain numbers   H(s) = -A(s) sum X + B(s) H_P                   (h-bar = 1)
 *   in GHz          H(s) / h = -(A(s)/2) sum X + (B(s)/2) H_P       (as D-Wave states it)
 *
 * s goes from 0 to 1, or along points (t, s), linearly between them.  One schedule
 * serves path-integral annealing (sqa), simulated annealing, Schroedinger's equation
 * (runtime/evolve) and the local D-Wave server; the machine takes its points (t, s).
 */
#ifndef QA_BINARY_SCHEDULE_H
#define QA_BINARY_SCHEDULE_H
#include "runtime/base/base.h"

/* A function of s in 0..1: through n points (x, y), linear between them and constant
 * outside; or, with x NULL, n samples at equal distances, cubic between them.       */
typedef struct {
  int64_t n;
  double *x, *y;          /* from rt_alloc                                       */
} Curve;
enum { CURVE_SAMPLES = 4097 };   /* of a function: cubic errors are those of rounding */

typedef struct Schedule {
  char name[16];          /* "standard"; "" : the user's own                     */
  bool ghz;               /* A and B are E/h in GHz, see above                   */
  Curve A, B;
  int64_t n_path;         /* points of s(t); 0: s = t / T                        */
  double *t, *s;          /* t begins at 0 and ascends                           */
  bool seconds;           /* t in seconds; else plain                            */
} Schedule;

extern const char *const schedule_names[];         /* NULL at the end             */
/* "linear": 1 - s, s.  "quadratic": (1 - s)^2, s^2.  "standard", "fast": of D-Wave's
 * chips, see schedule.c.                                                         */
RtStatus schedule_named(Rt *rt, const char *name, Schedule *out);
void schedule_free(Rt *rt, Schedule *a);
RtStatus schedule_copy(Rt *rt, const Schedule *a, Schedule *out);
/* Room for a curve of n points, or of CURVE_SAMPLES samples (n 0). */
RtStatus curve_make(Rt *rt, int64_t n, Curve *out);
/* Points of a curve: x ascending within 0..1, y finite and not negative; samples: y.
 * `name` is the curve's, for the error.                                          */
RtStatus curve_check(Rt *rt, const Curve *c, const char *name);
/* Points of a path: t from 0, ascending; s within 0..1, from 0 (1: a reverse anneal). */
RtStatus path_check(Rt *rt, int64_t n, const double *t, const double *s);

/* All of it: as the two before say, and at least one point of A and B. */
RtStatus schedule_check(Rt *rt, const Schedule *a);

/* y at `at` through points with ascending x; constant outside. */
double points_at(int64_t n, const double *x, const double *y, double at);
double curve_at(const Curve *c, double s);
/* s at the fraction u of the time. */
double schedule_s(const Schedule *a, double u);
/* What multiplies -sum X and H_P at s: half of A and B when in GHz. */
void schedule_weights(const Schedule *a, double s, double *driver, double *problem);
/* The largest A, over the points or samples. */
double curve_most(const Curve *c);
/* The last t of the path; 0: none. */
double schedule_time(const Schedule *a);
/* Does it begin with s = 1? */
bool schedule_reverse(const Schedule *a);
/* Fractions u of the time, ascending, where s(t), A or B have a kink, without 0 and 1;
 * out: room for `most`, what exceeds it is left out.                             */
int64_t schedule_kinks(const Schedule *a, double *out, int64_t most);

#endif
