/* eliminate_order.c: min-fill elimination orders. */
#include <string.h>

#include "runtime/binary/eliminate.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

/* ---- the order ------------------------------------------------------------------------ */

/* Neighbours among open variables, as sorted growing lists. */
typedef struct { int32_t n, cap; int32_t *v; } Set;
typedef struct { int64_t n; Set *near; uint8_t *gone; int64_t *fill; } Graphs;

static RtStatus set_add(Rt *rt, Set *s, int32_t v) {
  int32_t at = s->n;
  while (at > 0 && s->v[at - 1] > v) at--;
  if (at > 0 && s->v[at - 1] == v) return RT_OK;
  if (s->n == s->cap) {
    int32_t cap = s->cap ? 2 * s->cap : 4;
    int32_t *more = rt_realloc(rt, s->v, BYTES(s->cap, more), BYTES(cap, more));
    if (!more) return rt->error.status;
    s->v = more;
    s->cap = cap;
  }
  memmove(s->v + at + 1, s->v + at, BYTES(s->n - at, s->v));
  s->v[at] = v;
  s->n++;
  return RT_OK;
}

static void set_remove(Set *s, int32_t v) {
  int32_t at = 0;
  while (at < s->n && s->v[at] != v) at++;
  if (at == s->n) return;
  memmove(s->v + at, s->v + at + 1, BYTES(s->n - at - 1, s->v));
  s->n--;
}

static bool set_has(const Set *s, int32_t v) {
  int32_t lo = 0, hi = s->n;
  while (lo < hi) {
    int32_t mid = (lo + hi) / 2;
    if (s->v[mid] < v) lo = mid + 1;
    else hi = mid;
  }
  return lo < s->n && s->v[lo] == v;
}

/* Edges that eliminating v would add; beyond `enough` the count stops. */
static int64_t fill_of(const Graphs *g, int32_t v, int64_t enough) {
  const Set *s = &g->near[v];
  int64_t fill = 0;
  for (int32_t a = 0; a < s->n && fill <= enough; a++)
    for (int32_t b = 0; b < a; b++) fill += !set_has(&g->near[s->v[a]], s->v[b]);
  return fill;
}

/* Min-fill costs too much where degrees are large; then it is min-degree. */
#define FILL_DEGREE 64

static int64_t rank_of(const Graphs *g, int32_t v) {
  const int64_t d = g->near[v].n;
  if (d > FILL_DEGREE) return INT64_MAX / 2 + d;
  return fill_of(g, v, INT64_MAX - 1) << 8 | d;
}

static int32_t next_variable(const Graphs *g) {
  int32_t best = -1;
  for (int32_t v = 0; v < g->n; v++)
    if (!g->gone[v] && (best < 0 || g->fill[v] < g->fill[best])) best = v;
  return best;
}

static RtStatus take_out(Rt *rt, Graphs *g, int32_t v) {
  const Set s = g->near[v];
  for (int32_t a = 0; a < s.n; a++) {
    set_remove(&g->near[s.v[a]], v);
    for (int32_t b = 0; b < s.n; b++)
      if (b != a) RT_TRY(set_add(rt, &g->near[s.v[a]], s.v[b]));
  }
  g->gone[v] = 1;
  /* ranks change for the neighbours and theirs */
  for (int32_t a = 0; a < s.n; a++) {
    const Set *t = &g->near[s.v[a]];
    g->fill[s.v[a]] = rank_of(g, s.v[a]);
    if (s.n > 16 || t->n > 16) continue;   /* near enough where it would cost most */
    for (int32_t b = 0; b < t->n; b++) g->fill[t->v[b]] = rank_of(g, t->v[b]);
  }
  return RT_OK;
}

/* order[k]: the k-th variable eliminated; width[k]: its open neighbours then. */
static RtStatus find_order(Rt *rt, const Ising *p, Graphs *g, int32_t *order, int32_t *width) {
  for (int32_t v = 0; v < p->n; v++)
    for (int64_t k = p->start[v]; k < p->start[v + 1]; k++)
      RT_TRY(set_add(rt, &g->near[v], p->other[k]));
  for (int32_t v = 0; v < p->n; v++) g->fill[v] = rank_of(g, v);
  for (int64_t k = 0; k < p->n; k++) {
    const int32_t v = next_variable(g);
    order[k] = v;
    width[k] = g->near[v].n;
    /* wider than any table: what is left may go in any order */
    if (width[k] > ELIMINATE_GIVE_UP) {
      for (int32_t w = 0; k < p->n; w++)
        if (!g->gone[w]) {
          width[k] = g->near[v].n;
          order[k++] = w;
          g->gone[w] = 1;
        }
      break;
    }
    RT_TRY(take_out(rt, g, v));
    if (k % 64 == 0) RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

RtStatus eliminate_order(Rt *rt, const Ising *p, int32_t *order, int32_t *width) {
  Graphs g = {p->n, rt_alloc0(rt, BYTES(p->n, g.near)), rt_alloc0(rt, (size_t)p->n),
              rt_alloc(rt, BYTES(p->n, g.fill))};
  RtStatus st = g.near && g.gone && g.fill ? find_order(rt, p, &g, order, width) : rt->error.status;
  for (int64_t v = 0; g.near && v < p->n; v++)
    rt_free(rt, g.near[v].v, BYTES(g.near[v].cap, g.near[v].v));
  rt_free(rt, g.near, BYTES(p->n, g.near));
  rt_free(rt, g.gone, (size_t)p->n);
  rt_free(rt, g.fill, BYTES(p->n, g.fill));
  return st;
}
