/* find.c: which embedding: constructions first, then the heuristic, and the best
 * of what was found.                                                         */
#include <math.h>
#include <string.h>

#include "runtime/embed/constructions.h"
#include "runtime/embed/heuristic.h"

/* The better one stays in *best, by longest chain, then by qubits. */
static void keep_better(Rt *rt, Embedding *best, bool *have, Embedding *e) {
  EmbeddingStats a, b;
  embedding_stats(best, &a);
  embedding_stats(e, &b);
  if (!*have || b.longest < a.longest || (b.longest == a.longest && b.qubits < a.qubits)) {
    if (*have) embedding_free(rt, best);
    *best = *e;
    *have = true;
  } else {
    embedding_free(rt, e);
  }
  *e = (Embedding){0};
}

/* A clique's chains for variables 0, 1, ...: those present get them. */
static RtStatus present_only(Rt *rt, const Graph *source, Embedding *e) {
  if (source->nodes == source->n) return RT_OK;
  int64_t *start = rt_alloc(rt, (size_t)(source->n + 1) * sizeof *start);
  if (!start) return rt->error.status;
  int64_t at = 0;
  start[0] = 0;
  for (int64_t v = 0; v < source->n; v++) {
    at += source->present[v];
    start[v + 1] = e->start[at];
  }
  Embedding out;
  RtStatus st = embedding_make(rt, &out, source->n, start, e->qubit, e->how);
  rt_free(rt, start, (size_t)(source->n + 1) * sizeof *start);
  if (st) return st;
  embedding_free(rt, e);
  *e = out;
  return RT_OK;
}

/* Direct and lattice embeddings cannot be beaten, nor a clique's for a clique: *done. */
static RtStatus construct(Rt *rt, const Graph *s, const Graph *g, const EmbedArgs *a,
                          double deadline, Embedding *best, bool *have, bool *done) {
  Embedding e = {0};
  bool found;
  bool complete = s->m == s->nodes * (s->nodes - 1) / 2;
  if (!complete || s->nodes < 5) {
    RT_TRY(direct_try(rt, s, g, a->rng, best, have));
    *done = *have;
    if (*done) return RT_OK;
  }
  RT_TRY(grid_try(rt, s, g, best, have));
  *done = *have;
  if (*done)
    return strcmp(g->family, "chimera") ? embed_shorten(rt, s, g, a, deadline, best) : RT_OK;
  RT_TRY(clique_try(rt, s->nodes, g, a->constructions_only ? a->max_chain : 0, &e, &found));
  if (!found) return RT_OK;
  RtStatus st = present_only(rt, s, &e);
  *done = complete;
  if (!st && !complete) st = embed_shorten(rt, s, g, a, deadline, &e);
  if (st) {
    embedding_free(rt, &e);
    return st;
  }
  keep_better(rt, best, have, &e);
  return RT_OK;
}

static RtStatus none_found(Rt *rt, const Graph *s, const Graph *g, const EmbedArgs *a,
                           double deadline) {
  rt_fail(rt, RT_ERROR, "no embedding found of %lld variables with %lld couplings in %lld qubits "
          "with %lld couplers", (long long)s->nodes, (long long)s->m, (long long)g->nodes,
          (long long)g->m);
  if (s->nodes > g->nodes) rt_help(rt, "it has more variables than the target has qubits");
  else if (a->constructions_only) rt_help(rt, "direct, lattice and clique constructions do not fit");
  else if (rt_now() >= deadline) rt_help(rt, "time ran out: give it more, or a larger target");
  else
    rt_help(rt, "%sthe heuristic from %d starts failed: more tries, another seed or a larger target",
            a->heuristic_only ? "" : "direct, lattice and clique constructions do not fit; ",
            a->tries > 0 ? a->tries : 10);
  return RT_ERROR;
}

/* From a mean degree of 8 on shortened cliques have been no worse than the heuristic. */
static bool dense(const Graph *s) { return 2 * s->m >= 8 * s->nodes; }

RtStatus embed_find(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                    Embedding *out) {
  double deadline = rt_now() + (a->seconds > 0 ? a->seconds : 1000);
  bool have = false, done = false, found = false;
  Embedding e = {0};
  *out = (Embedding){0};
  if (source->nodes > target->nodes) return none_found(rt, source, target, a, deadline);
  RtStatus st = RT_OK;
  if (!a->heuristic_only) st = construct(rt, source, target, a, deadline, out, &have, &done);
  EmbeddingStats size;
  embedding_stats(out, &size);
  if (have && a->max_chain && size.longest <= a->max_chain) done = true;
  if (have && dense(source)) done = true;
  if (!st && !done && !a->constructions_only) {
    st = embed_heuristic(rt, source, target, a, deadline, &e, &found);
    if (!st && found) keep_better(rt, out, &have, &e);
  }
  if (st && have) embedding_free(rt, out);
  if (!st && !have) return none_found(rt, source, target, a, deadline);
  return st;
}
