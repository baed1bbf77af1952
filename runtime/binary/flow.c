/* flow.c: Dinic's maximum flow with integer capacities, and two walks over the
 * residual network.  All walks are iterative: paths can be as long as the graph. */
#include "runtime/binary/flow.h"

#include <string.h>

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void flow_free(Rt *rt, Flow *f) {
  rt_free(rt, f->end, BYTES(2 * f->m, f->end));
  rt_free(rt, f->room, BYTES(2 * f->m, f->room));
  rt_free(rt, f->start, BYTES(f->n + 1, f->start));
  rt_free(rt, f->arc, BYTES(2 * f->m, f->arc));
  *f = (Flow){0};
}

RtStatus flow_make(Rt *rt, Flow *f, int64_t n, int64_t m) {
  *f = (Flow){.n = n, .m = m};
  f->end = rt_alloc(rt, BYTES(2 * m, f->end));
  f->room = rt_alloc(rt, BYTES(2 * m, f->room));
  f->start = rt_alloc0(rt, BYTES(n + 1, f->start));
  f->arc = rt_alloc(rt, BYTES(2 * m, f->arc));
  if (f->end && f->room && f->start && f->arc) return RT_OK;
  flow_free(rt, f);
  return rt->error.status;
}

static RtStatus index_arcs(Rt *rt, Flow *f) {
  int64_t *at = rt_alloc(rt, BYTES(f->n, at));
  if (!at) return rt->error.status;
  memset(f->start, 0, BYTES(f->n + 1, f->start));
  for (int64_t a = 0; a < 2 * f->m; a++) f->start[f->end[a] + 1]++;
  for (int64_t v = 0; v < f->n; v++) {
    at[v] = f->start[v];
    f->start[v + 1] += f->start[v];
  }
  for (int64_t a = 0; a < 2 * f->m; a++) f->arc[at[f->end[a]]++] = a;
  rt_free(rt, at, BYTES(f->n, at));
  return RT_OK;
}

/* Distances to the sink; false: the source is cut off. */
static bool levels(const Flow *f, int32_t *level, int32_t *queue) {
  for (int64_t v = 0; v < f->n; v++) level[v] = -1;
  int64_t head = 0, tail = 0;
  queue[tail++] = 1;
  level[1] = 0;
  while (head < tail) {
    int32_t v = queue[head++];
    for (int64_t k = f->start[v]; k < f->start[v + 1]; k++) {
      int64_t a = f->arc[k] ^ 1;   /* towards v */
      int32_t u = f->end[a];
      if (level[u] >= 0 || f->room[a] == 0) continue;
      level[u] = level[v] + 1;
      queue[tail++] = u;
    }
  }
  return level[0] >= 0;
}

/* A blocking flow: path holds the arcs from the source to the node in hand. */
static int64_t blocking(Flow *f, const int32_t *level, int64_t *next, int64_t *path) {
  int64_t total = 0, depth = 0;
  int32_t v = 0;
  for (int64_t u = 0; u < f->n; u++) next[u] = f->start[u];
  for (;;) {
    if (v == 1) {
      int64_t least = INT64_MAX, at = 0;
      for (int64_t i = 0; i < depth; i++)
        if (f->room[path[i]] < least) least = f->room[path[i]], at = i;
      for (int64_t i = 0; i < depth; i++) {
        f->room[path[i]] -= least;
        f->room[path[i] ^ 1] += least;
      }
      total += least;
      depth = at;   /* go on before the arc that is full now */
      v = f->end[path[at]];
      continue;
    }
    while (next[v] < f->start[v + 1]) {
      int64_t a = f->arc[next[v]];
      if (f->room[a] > 0 && level[f->end[a ^ 1]] == level[v] - 1) break;
      next[v]++;
    }
    if (next[v] < f->start[v + 1]) {
      path[depth++] = f->arc[next[v]];
      v = f->end[path[depth - 1] ^ 1];
    } else {
      if (depth == 0) return total;
      v = f->end[path[--depth]];
      next[v]++;
    }
  }
}

RtStatus flow_run(Rt *rt, Flow *f, int64_t *value) {
  *value = 0;
  RT_TRY(index_arcs(rt, f));
  int32_t *level = rt_alloc(rt, BYTES(f->n, level)), *queue = rt_alloc(rt, BYTES(f->n, queue));
  int64_t *next = rt_alloc(rt, BYTES(f->n, next)), *path = rt_alloc(rt, BYTES(f->n, path));
  RtStatus st = level && queue && next && path ? RT_OK : rt->error.status;
  while (!st && levels(f, level, queue)) {
    *value += blocking(f, level, next, path);
    st = rt_poll(rt);
  }
  rt_free(rt, level, BYTES(f->n, level));
  rt_free(rt, queue, BYTES(f->n, queue));
  rt_free(rt, next, BYTES(f->n, next));
  rt_free(rt, path, BYTES(f->n, path));
  return st;
}

RtStatus flow_reach(Rt *rt, const Flow *f, uint8_t *mark) {
  int32_t *stack = rt_alloc(rt, BYTES(f->n, stack));
  if (!stack) return rt->error.status;
  int64_t n = 0;
  memset(mark, 0, (size_t)f->n);
  mark[0] = 1;
  stack[n++] = 0;
  while (n) {
    int32_t v = stack[--n];
    for (int64_t k = f->start[v]; k < f->start[v + 1]; k++) {
      int64_t a = f->arc[k];
      int32_t w = f->end[a ^ 1];
      if (f->room[a] == 0 || mark[w]) continue;
      mark[w] = 1;
      stack[n++] = w;
    }
  }
  rt_free(rt, stack, BYTES(f->n, stack));
  return RT_OK;
}

/* ---- strongly connected components --------------------------------------------------- */

typedef struct { int32_t *number, *low, *stack, *call; int64_t *next; } Tarjan;

static void tarjan_from(const Flow *f, Tarjan *t, int32_t begin, int32_t *component, int32_t *count,
                        int32_t *clock) {
  int64_t depth = 0, held = 0;
  t->call[depth++] = begin;
  while (depth) {
    int32_t v = t->call[depth - 1];
    if (t->number[v] < 0) {
      t->number[v] = t->low[v] = (*clock)++;
      t->next[v] = f->start[v];
      t->stack[held++] = v;
    }
    bool down = false;
    for (; t->next[v] < f->start[v + 1] && !down; t->next[v]++) {
      int64_t a = f->arc[t->next[v]];
      int32_t w = f->end[a ^ 1];
      if (f->room[a] == 0 || w < 2) continue;
      if (t->number[w] < 0) {
        t->call[depth++] = w;
        down = true;
        break;   /* the same arc is seen again when w is done */
      }
      if (component[w] < 0 && t->low[w] < t->low[v]) t->low[v] = t->low[w];
    }
    if (down) continue;
    depth--;
    if (t->low[v] != t->number[v]) continue;
    int32_t w;
    do {
      w = t->stack[--held];
      component[w] = *count;
    } while (w != v);
    ++*count;
  }
}

RtStatus flow_components(Rt *rt, const Flow *f, int32_t *component) {
  Tarjan t = {rt_alloc(rt, BYTES(f->n, t.number)), rt_alloc(rt, BYTES(f->n, t.low)),
              rt_alloc(rt, BYTES(f->n, t.stack)), rt_alloc(rt, BYTES(f->n, t.call)),
              rt_alloc(rt, BYTES(f->n, t.next))};
  RtStatus st = t.number && t.low && t.stack && t.call && t.next ? RT_OK : rt->error.status;
  if (!st) {
    int32_t count = 0, clock = 0;
    for (int64_t v = 0; v < f->n; v++) component[v] = t.number[v] = -1;
    for (int32_t v = 2; v < f->n; v++)
      if (t.number[v] < 0) tarjan_from(f, &t, v, component, &count, &clock);
  }
  rt_free(rt, t.number, BYTES(f->n, t.number));
  rt_free(rt, t.low, BYTES(f->n, t.low));
  rt_free(rt, t.stack, BYTES(f->n, t.stack));
  rt_free(rt, t.call, BYTES(f->n, t.call));
  rt_free(rt, t.next, BYTES(f->n, t.next));
  return st;
}
