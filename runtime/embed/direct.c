/* direct.c: sources that are part of the target as they are: by their own
 * numbers, or found by backtracking with a bounded number of steps.
 */
#include <string.h>

#include "runtime/embed/constructions.h"

#define STARTS 24
#define STEPS 4000        /* of one start: candidates looked at                 */

typedef struct {
  const Graph *s, *g;
  int32_t *order;         /* variables, each after a neighbour where it has one  */
  int32_t *parent;        /* [v] the neighbour before it, -1: first of a component */
  int32_t *image;         /* [v] qubit or -1                                    */
  int64_t *cursor;        /* [depth] next candidate                             */
  uint8_t *used;          /* [qubit]                                            */
  int64_t n;
} Match;

static int64_t degree(const Graph *g, int32_t v) { return g->start[v + 1] - g->start[v]; }

/* Breadth first, components from their largest degree. */
static void match_order(Match *m) {
  int64_t done = 0, top = 0;
  for (int64_t v = 0; v < m->s->n; v++) m->parent[v] = -2;
  for (;;) {
    int32_t first = -1;
    for (int32_t v = 0; v < m->s->n; v++)
      if (m->s->present[v] && m->parent[v] == -2 &&
          (first < 0 || degree(m->s, v) > degree(m->s, first)))
        first = v;
    if (first < 0) break;
    m->parent[first] = -1;
    m->order[done++] = first;
    for (; top < done; top++) {
      int32_t u = m->order[top];
      for (int64_t e = m->s->start[u]; e < m->s->start[u + 1]; e++) {
        int32_t v = m->s->other[e];
        if (m->parent[v] != -2) continue;
        m->parent[v] = u;
        m->order[done++] = v;
      }
    }
  }
  m->n = done;
}

static bool fits(const Match *m, int32_t v, int32_t q) {
  if (!m->g->present[q] || m->used[q] || degree(m->g, q) < degree(m->s, v)) return false;
  for (int64_t e = m->s->start[v]; e < m->s->start[v + 1]; e++) {
    int32_t image = m->image[m->s->other[e]];
    if (image >= 0 && !graph_adjacent(m->g, image, q)) return false;
  }
  return true;
}

/* The next qubit for the variable at this depth, or -1. */
static int32_t candidate(Match *m, int64_t depth, int64_t shift, int64_t *steps) {
  int32_t v = m->order[depth], up = m->parent[v];
  const Graph *g = m->g;
  int64_t lo = up < 0 ? 0 : g->start[m->image[up]];
  int64_t count = up < 0 ? g->n : g->start[m->image[up] + 1] - lo;
  while (m->cursor[depth] < count) {
    int64_t at = (m->cursor[depth]++ + shift) % count;
    int32_t q = up < 0 ? (int32_t)at : g->other[lo + at];
    ++*steps;
    if (fits(m, v, q)) return q;
  }
  return -1;
}

static RtStatus match_run(Rt *rt, Match *m, int64_t shift, bool *found) {
  for (int64_t v = 0; v < m->s->n; v++) m->image[v] = -1;
  memset(m->used, 0, (size_t)m->g->n);
  RT_TRY(rt_poll(rt));
  int64_t depth = 0, steps = 0, limit = STEPS + 40 * m->n;
  m->cursor[0] = 0;
  while (depth >= 0 && depth < m->n && steps < limit) {
    int32_t q = candidate(m, depth, shift, &steps);
    if (q < 0) {
      if (--depth >= 0) {
        int32_t v = m->order[depth];
        m->used[m->image[v]] = 0;
        m->image[v] = -1;
      }
      continue;
    }
    m->image[m->order[depth]] = q;
    m->used[q] = 1;
    if (++depth < m->n) m->cursor[depth] = 0;
  }
  *found = depth == m->n;
  return RT_OK;
}

static bool identity(Match *m) {
  const Graph *s = m->s, *g = m->g;
  if (s->n > g->n) return false;
  for (int32_t v = 0; v < s->n; v++) {
    m->image[v] = v;
    if (s->present[v] && !g->present[v]) return false;
    for (int64_t e = s->start[v]; e < s->start[v + 1]; e++)
      if (!graph_adjacent(g, v, s->other[e])) return false;
  }
  return true;
}

static int64_t largest_degree(const Graph *g) {
  int64_t most = 0;
  for (int32_t v = 0; v < g->n; v++)
    if (degree(g, v) > most) most = degree(g, v);
  return most;
}

static RtStatus match_store(Rt *rt, const Match *m, Embedding *out) {
  int64_t n = m->s->n;
  int64_t *start = rt_alloc(rt, (size_t)(n + 1) * sizeof *start);
  int32_t *qubit = rt_alloc(rt, (size_t)(n + 1) * sizeof *qubit);
  RtStatus st = start && qubit ? RT_OK : rt->error.status;
  if (!st) {
    start[0] = 0;
    for (int64_t v = 0; v < n; v++) {
      start[v + 1] = start[v] + m->s->present[v];
      if (m->s->present[v]) qubit[start[v]] = m->image[v];
    }
    st = embedding_make(rt, out, n, start, qubit, "direct");
  }
  rt_free(rt, start, (size_t)(n + 1) * sizeof *start);
  rt_free(rt, qubit, (size_t)(n + 1) * sizeof *qubit);
  return st;
}

static RtStatus match_search(Rt *rt, Match *m, RngCall rng, bool *found) {
  *found = identity(m);
  if (*found || largest_degree(m->s) > largest_degree(m->g)) return RT_OK;
  match_order(m);
  for (int t = 0; t < STARTS && !*found; t++) {
    int64_t shift = (int64_t)(rng_uniform(rng, (uint64_t)t) * (double)m->g->n);
    RT_TRY(match_run(rt, m, shift, found));
  }
  return RT_OK;
}

RtStatus direct_try(Rt *rt, const Graph *source, const Graph *target, RngCall rng, Embedding *out,
                    bool *found) {
  *found = false;
  *out = (Embedding){0};
  if (source->nodes > target->nodes || source->m > target->m) return RT_OK;
  Match m = {.s = source, .g = target};
  size_t n = (size_t)source->n + 1, q = (size_t)target->n + 1;
  m.order = rt_alloc(rt, n * sizeof *m.order);
  m.parent = rt_alloc(rt, n * sizeof *m.parent);
  m.image = rt_alloc(rt, n * sizeof *m.image);
  m.cursor = rt_alloc(rt, n * sizeof *m.cursor);
  m.used = rt_alloc(rt, q);
  RtStatus st = m.order && m.parent && m.image && m.cursor && m.used ? RT_OK : rt->error.status;
  if (!st) st = match_search(rt, &m, rng, found);
  if (!st && *found) st = match_store(rt, &m, out);
  rt_free(rt, m.order, n * sizeof *m.order);
  rt_free(rt, m.parent, n * sizeof *m.parent);
  rt_free(rt, m.image, n * sizeof *m.image);
  rt_free(rt, m.cursor, n * sizeof *m.cursor);
  rt_free(rt, m.used, q);
  return st;
}
