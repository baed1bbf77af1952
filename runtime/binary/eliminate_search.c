/* eliminate_search.c: from tables to states: the lowest ones from exact tables, branch
 * and bound from lower bounds.                                                   */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/eliminate.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

/* ---- exact tables ------------------------------------------------------------------------ */

/* Partial states of one depth, with the energy of their best completion. */
typedef struct { int64_t n; int8_t *spin; double *bound; } Layer;
typedef struct { double bound; int64_t parent; int value; } Child;

static int compare_children(const void *a, const void *b) {
  const Child *x = a, *y = b;
  if (x->bound != y->bound) return x->bound < y->bound ? -1 : 1;
  if (x->parent != y->parent) return x->parent < y->parent ? -1 : 1;
  return x->value - y->value;
}

static RtStatus layer_make(Rt *rt, Layer *l, int64_t rows, int64_t n) {
  *l = (Layer){0, rt_alloc0(rt, (size_t)(rows * n)), rt_alloc(rt, BYTES(rows, l->bound))};
  return l->spin && l->bound ? RT_OK : rt->error.status;
}

static void layer_free(Rt *rt, Layer *l, int64_t rows, int64_t n) {
  rt_free(rt, l->spin, (size_t)(rows * n));
  rt_free(rt, l->bound, BYTES(rows, l->bound));
}

/* Each partial state's bound is the energy of a state that no other one leads to, so
 * the `rows` best partial states contain those of the `rows` best states.        */
static RtStatus widen(Rt *rt, const Eliminate *e, int64_t rows, Layer *a, Layer *b, Child *child) {
  const int64_t n = e->p->n;
  for (int64_t k = n - 1; k >= 0; k--) {
    int64_t m = 0;
    for (int64_t r = 0; r < a->n; r++)
      for (int value = -1; value <= 1; value += 2)
        child[m++] = (Child){a->bound[r] + eliminate_step(e, k, a->spin + r * n, value), r, value};
    qsort(child, (size_t)m, sizeof *child, compare_children);
    b->n = m < rows ? m : rows;
    for (int64_t r = 0; r < b->n; r++) {
      memcpy(b->spin + r * n, a->spin + child[r].parent * n, (size_t)n);
      b->spin[r * n + e->order[k]] = (int8_t)child[r].value;
      b->bound[r] = child[r].bound;
    }
    Layer t = *a;
    *a = *b;
    *b = t;
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

RtStatus eliminate_rows(Rt *rt, const Eliminate *e, int64_t rows, Samples *out) {
  const int64_t n = e->p->n;
  Layer a = {0}, b = {0};
  Child *child = NULL;
  if (rows > INT32_MAX / (n + 1))
    return rt_fail(rt, RT_LIMIT, "%lld rows of %lld variables are too many", (long long)rows,
                   (long long)n);
  RtStatus st = layer_make(rt, &a, rows, n);
  if (!st) st = layer_make(rt, &b, rows, n);
  if (!st && !(child = rt_alloc(rt, BYTES(2 * rows, child)))) st = rt->error.status;
  if (!st) {
    a.n = 1;
    a.bound[0] = eliminate_bound(e);
    st = widen(rt, e, rows, &a, &b, child);
  }
  if (!st) st = samples_make(rt, out, a.n, n);
  if (!st) {
    if (n) memcpy(out->spin, a.spin, (size_t)(a.n * n));
    for (int64_t r = 0; r < out->rows; r++) out->energy[r] = ising_energy(e->p, out->spin + r * n);
    st = samples_sort(rt, out);
    if (st) samples_free(rt, out);
  }
  layer_free(rt, &a, rows, n);
  layer_free(rt, &b, rows, n);
  rt_free(rt, child, BYTES(2 * rows, child));
  return st;
}

/* ---- branch and bound ----------------------------------------------------------------------- */

/* The rows found so far: out->rows of `room`, the worst one at `worst`. */
typedef struct { int64_t room, worst; double slack; } Kept;

static void keep(Samples *out, Kept *k, const Ising *p, const int8_t *s) {
  const int64_t n = p->n;
  const double energy = ising_energy(p, s);
  int64_t at = out->rows;
  for (int64_t r = 0; r < out->rows; r++)
    if (out->energy[r] == energy && !memcmp(out->spin + r * n, s, (size_t)n)) return;
  if (out->rows < k->room) out->rows++;
  else if (energy < out->energy[k->worst]) at = k->worst;
  else return;
  memcpy(out->spin + at * n, s, (size_t)n);
  out->energy[at] = energy;
  k->worst = 0;
  for (int64_t r = 1; r < out->rows; r++)
    if (out->energy[r] > out->energy[k->worst]) k->worst = r;
}

/* depth d sets order[n - 1 - d]; tried[d] values have been gone into. */
static RtStatus descend(Rt *rt, const Eliminate *e, const SamplerArgs *a, double begin,
                        double nodes, Kept *kept, int8_t *s, double (*bound)[3], int8_t *tried,
                        Samples *out, bool *finished) {
  const int64_t n = e->p->n;
  int64_t d = 0;
  bound[0][0] = eliminate_bound(e);
  tried[0] = -1;
  for (double count = 0; d >= 0; count++) {
    if (fmod(count, 4096) == 0) {
      RT_TRY(rt_poll(rt));
      if (count > nodes || (a->seconds > 0 && rt_now() - begin > a->seconds))
        return *finished = false, RT_OK;
    }
    if (d == n) {
      keep(out, kept, e->p, s);
      d--;
      continue;
    }
    const int64_t k = n - 1 - d;
    if (tried[d] < 0) {   /* new: bounds of both values */
      bound[d][1] = bound[d][0] + eliminate_step(e, k, s, -1);
      bound[d][2] = bound[d][0] + eliminate_step(e, k, s, 1);
      tried[d] = 0;
    }
    const int better = bound[d][2] < bound[d][1], way = tried[d] == 0 ? better : !better;
    const bool full = out->rows == kept->room;
    if (tried[d] == 2 || (full && bound[d][1 + way] >= out->energy[kept->worst] - kept->slack)) {
      d--;   /* the other way is no better */
      continue;
    }
    tried[d]++;
    s[e->order[k]] = way ? 1 : -1;
    d++;
    if (d < n) bound[d][0] = bound[d - 1][1 + way], tried[d] = -1;
  }
  return RT_OK;
}

RtStatus eliminate_branch(Rt *rt, const Eliminate *e, const SamplerArgs *a, double begin,
                          double nodes, int64_t rows, Samples *out, bool *finished) {
  const int64_t n = e->p->n;
  Samples found;
  IsingScale scale;
  ising_scale(e->p, &scale);
  *finished = true;
  RT_TRY(samples_make(rt, &found, rows, n));
  double(*bound)[3] = rt_alloc(rt, BYTES(n + 1, bound));
  int8_t *s = rt_alloc0(rt, (size_t)n), *tried = rt_alloc(rt, (size_t)(n + 1));
  RtStatus st = bound && s && tried ? RT_OK : rt->error.status;
  /* energies of integer models lie at least one step apart (two units of J s s, h s) */
  Kept kept = {rows, 0, scale.integer ? 1 / scale.scale : 0};
  found.rows = 0;
  for (int64_t r = 0; r < out->rows && !st; r++) keep(&found, &kept, e->p, out->spin + r * n);
  if (!st) st = descend(rt, e, a, begin, nodes, &kept, s, bound, tried, &found, finished);
  rt_free(rt, bound, BYTES(n + 1, bound));
  rt_free(rt, s, (size_t)n);
  rt_free(rt, tried, (size_t)(n + 1));
  const int64_t got = found.rows;
  found.rows = rows;   /* what the arrays were made for */
  if (!st) st = samples_cut(rt, &found, got);
  if (!st) st = samples_sort(rt, &found);
  if (st) {
    samples_free(rt, &found);
    return st;
  }
  samples_free(rt, out);
  *out = found;
  return RT_OK;
}
