/* search.c: shortest ways from several chains at once.
 *
 * Dijkstra's algorithm with buckets, since weights are small integers; all
 * searches share one queue, so that they grow at the same pace and can stop
 * soon after they meet.
 */
#include <string.h>

#include "runtime/embed/router.h"

static RtStatus push(Router *r, int32_t qubit, int32_t i, uint32_t d) {
  if (r->n_entry == r->cap_entry) {
    int64_t cap = 2 * r->cap_entry + 1024;
    Entry *e = rt_realloc(r->rt, r->entry, (size_t)r->cap_entry * sizeof *e, (size_t)cap * sizeof *e);
    if (!e) return r->rt->error.status;
    r->entry = e;
    r->cap_entry = cap;
  }
  uint32_t b = d & (BUCKETS - 1);
  r->entry[r->n_entry] = (Entry){qubit, i, r->head[b]};
  r->head[b] = (int32_t)r->n_entry++;
  r->occupied[b / 64] |= 1ull << b % 64;
  return RT_OK;
}

/* The first occupied bucket from d on; FAR: all are empty. */
static uint32_t next_bucket(const Router *r, uint32_t d) {
  uint32_t b = d & (BUCKETS - 1);
  uint64_t bits = r->occupied[b / 64] >> b % 64;
  if (bits) return d + (uint32_t)__builtin_ctzll(bits);
  for (uint32_t step = 64 - b % 64; step < BUCKETS + 64; step += 64) {
    bits = r->occupied[((b + step) & (BUCKETS - 1)) / 64];
    if (bits) return d + step + (uint32_t)__builtin_ctzll(bits);
  }
  return FAR;
}

static RtStatus reach(Router *r, int k, int i, int32_t q, uint32_t d, int32_t from) {
  if (r->reached[q] < 0) {                        /* first touched in this search */
    r->reached[q] = 0;
    r->sum[q] = 0;
    r->touched[r->n_touched++] = q;
    for (int j = 0; j < k; j++) r->dist[(int64_t)q * k + j] = FAR;
  }
  int64_t at = (int64_t)q * k + i;
  if (d >= r->dist[at]) return RT_OK;
  r->dist[at] = d;
  r->from[at] = from;
  return push(r, q, i, d);
}

static void forget(Router *r) {
  for (int32_t t = 0; t < r->n_touched; t++) r->reached[r->touched[t]] = -1;
  r->n_touched = 0;
  r->n_entry = 0;
  memset(r->head, 255, BUCKETS * sizeof *r->head);
  memset(r->occupied, 0, BUCKETS / 8);
}

static RtStatus begin(Router *r, int k) {
  const Graph *g = r->target;
  for (int i = 0; i < k; i++) {
    const Chain *c = &r->chain[r->source->other[r->edge[i]]];
    for (int n = 0; n < c->n; n++) {
      int32_t q = c->node[n].qubit;
      for (int64_t e = g->start[q]; e < g->start[q + 1]; e++) {
        int32_t to = g->other[e];
        if (r->weight[to] != WEIGHT_NONE) RT_TRY(reach(r, k, i, to, r->weight[to], ~q));
      }
    }
  }
  return RT_OK;
}

#define MOST_ROOTS 8
/* Keeps the qubits of the least total, equal ones by chance. */
typedef struct { uint32_t best; int64_t seen; } Meeting;

static void meet(Router *r, Meeting *m, int32_t q, uint32_t total) {
  if (total > m->best) return;
  if (total < m->best) {
    m->best = total;
    m->seen = 0;
    r->n_roots = 0;
  }
  m->seen++;
  if (r->n_roots < MOST_ROOTS) {
    r->roots[r->n_roots++] = q;
    return;
  }
  uint64_t at = router_random(r, (uint64_t)m->seen);
  if (at < MOST_ROOTS) r->roots[at] = q;
}

/* Settles the entries of one bucket. */
static RtStatus settle(Router *r, int k, uint32_t d, Meeting *m) {
  const Graph *g = r->target;
  uint32_t b = d & (BUCKETS - 1);
  int32_t at = r->head[b];
  r->head[b] = -1;
  r->occupied[b / 64] &= ~(1ull << b % 64);
  for (; at >= 0; at = r->entry[at].next) {
    int32_t q = r->entry[at].qubit, i = r->entry[at].i;
    if (r->dist[(int64_t)q * k + i] != d) continue;        /* a shorter way was found */
    r->sum[q] += d;
    if (++r->reached[q] == k)
      meet(r, m, q, r->sum[q] - (uint32_t)(k - 1) * r->weight[q]);
    for (int64_t e = g->start[q]; e < g->start[q + 1]; e++) {
      int32_t to = g->other[e];
      if (r->weight[to] != WEIGHT_NONE) RT_TRY(reach(r, k, i, to, d + r->weight[to], q));
    }
  }
  return RT_OK;
}

RtStatus router_search(Router *r, int k, bool *found) {
  *found = false;
  forget(r);
  r->n_roots = 0;
  RT_TRY(begin(r, k));
  Meeting m = {.best = FAR};
  uint32_t stop = r->limit;
  bool met = false;
  for (uint32_t d = next_bucket(r, 0); d != FAR && d <= stop; d = next_bucket(r, d + 1)) {
    RT_TRY(settle(r, k, d, &m));
    /* What is settled by all from now on has a total of at least d; a little beyond the
     * first meeting little is left to gain. */
    if (m.best == FAR) continue;
    if (!met && d + d / 4 + WEIGHT_FREE < stop) stop = d + d / 4 + WEIGHT_FREE;
    if (m.best < stop) stop = m.best;
    met = true;
  }
  *found = r->n_roots > 0;
  return RT_OK;
}
