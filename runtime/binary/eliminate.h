/* eliminate.h: exact minima of sparse models by variable elimination (private to
 * runtime/binary).
 *
 * Variables are eliminated in min-fill order.  Eliminating v replaces all terms and
 * tables that hold v by one table over v's remaining neighbours: their sum, minimised
 * over s_v (Bertele and Brioschi 1972; Dechter 1999).  Where a table would get wider
 * than `width` allows, its parts are minimised separately (mini-buckets, Dechter and
 * Rish 2003): the tables are then lower bounds.
 *
 * In reverse order the tables say what the variables still open will cost at least,
 * given those already set; exactly, when nothing had to be split.
 */
#ifndef QA_BINARY_ELIMINATE_H
#define QA_BINARY_ELIMINATE_H
#include "runtime/binary/sampler.h"

#define ELIMINATE_GIVE_UP 48   /* neighbours from which on the order is arbitrary */

/* order[k]: the k-th variable eliminated; width[k]: its open neighbours then. */
RtStatus eliminate_order(Rt *rt, const Ising *p, int32_t *order, int32_t *width);

/* f of spins v[0..w), ascending by step; bit i of the index: v[i] is up. */
typedef struct { int32_t w; int32_t *v; double *f; } Table;
typedef struct {
  const Ising *p;
  int32_t *order, *place;   /* place[v]: the step at which v goes               */
  int64_t n_table, cap;
  Table *table;
  int64_t *next, *head;     /* tables that step k takes up: head[k], next[...]  */
  int64_t *made;            /* [n + 1] tables made at step k: [made[k], made[k+1]) */
  bool exact;               /* nothing was split                                */
} Eliminate;

/* Tables in the given order.  `width` at most 26. */
RtStatus eliminate_make(Rt *rt, Eliminate *e, const Ising *p, const int32_t *order, int width,
                        int threads);
void eliminate_free(Rt *rt, Eliminate *e);
/* Bound of all completions, before any variable is set. */
double eliminate_bound(const Eliminate *e);
/* What setting order[k] to `value` adds to the bound, all later steps' variables set in s. */
double eliminate_step(const Eliminate *e, int64_t k, const int8_t *s, int value);

/* The `rows` lowest states, from exact tables. */
RtStatus eliminate_rows(Rt *rt, const Eliminate *e, int64_t rows, Samples *out);
/* The same by depth-first branch and bound; `out` may come with rows that are known
 * already.  *finished: false when `nodes` or the time ran out.                    */
RtStatus eliminate_branch(Rt *rt, const Eliminate *e, const SamplerArgs *a, double begin,
                          double nodes, int64_t rows, Samples *out, bool *finished);
#endif
