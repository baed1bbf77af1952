/* embedding.c: chains as values: copying, checking against source and target,
 * counting qubits.                                                           */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/embed/embed.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

void embedding_free(Rt *rt, Embedding *e) {
  if (e->start) rt_free(rt, e->qubit, BYTES(e->start[e->n] + 1, e->qubit));
  rt_free(rt, e->start, BYTES(e->n + 1, e->start));
  *e = (Embedding){0};
}

RtStatus embedding_make(Rt *rt, Embedding *out, int64_t n, const int64_t *start,
                        const int32_t *qubit, const char *how) {
  *out = (Embedding){.n = n};
  out->start = rt_alloc(rt, BYTES(n + 1, out->start));
  if (!out->start) return rt->error.status;
  memcpy(out->start, start, BYTES(n + 1, start));
  out->qubit = rt_alloc(rt, BYTES(start[n] + 1, out->qubit));
  if (!out->qubit) {
    embedding_free(rt, out);
    return rt->error.status;
  }
  if (start[n]) memcpy(out->qubit, qubit, BYTES(start[n], qubit));
  for (int64_t v = 0; v < n; v++)
    qsort(out->qubit + start[v], (size_t)(start[v + 1] - start[v]), sizeof *qubit, ascending);
  snprintf(out->how, sizeof out->how, "%s", how);
  return RT_OK;
}

void embedding_stats(const Embedding *e, EmbeddingStats *out) {
  *out = (EmbeddingStats){0};
  for (int64_t v = 0; v < e->n; v++) {
    int length = (int)(e->start[v + 1] - e->start[v]);
    if (length > out->longest) out->longest = length;
    if (!v || length < out->shortest) out->shortest = length;
  }
  out->qubits = e->n ? e->start[e->n] : 0;
  out->mean = e->n ? (double)out->qubits / (double)e->n : 0;
}

/* ---- checking --------------------------------------------------------------- */

/* owner[q]: the variable whose chain holds q, or -1. */
static RtStatus owners(Rt *rt, const Embedding *e, const Graph *source, const Graph *target,
                       int32_t *owner) {
  if (target->n) memset(owner, 255, BYTES(target->n, owner));
  for (int64_t v = 0; v < source->n; v++) {
    if (!source->present[v]) continue;
    if (v >= e->n || e->start[v] == e->start[v + 1])
      return rt_fail(rt, RT_ERROR, "MissingChain: variable %lld has no chain", (long long)v);
  }
  for (int32_t v = 0; v < e->n; v++)
    for (int64_t k = e->start[v]; k < e->start[v + 1]; k++) {
      int32_t q = e->qubit[k];
      if (q < 0 || q >= target->n || !target->present[q])
        return rt_fail(rt, RT_ERROR, "InvalidNode: qubit %d of the chain of variable %d is not in "
                       "the target graph", q, v);
      if (owner[q] >= 0)
        return rt_fail(rt, RT_ERROR, "Overlap: qubit %d is in the chains of variables %d and %d", q,
                       owner[q], v);
      owner[q] = v;
    }
  return RT_OK;
}

/* Qubits reachable inside the chain from its first one; `done` and `stack` have room for
 * all qubits and `done` is left as it was found. */
static int64_t reach(const Graph *g, const int32_t *owner, int32_t first, uint8_t *done,
                     int32_t *stack) {
  int64_t top = 0, n = 0;
  stack[n++] = first;
  done[first] = 1;
  while (top < n) {
    int32_t q = stack[top++];
    for (int64_t k = g->start[q]; k < g->start[q + 1]; k++) {
      int32_t r = g->other[k];
      if (owner[r] != owner[first] || done[r]) continue;
      done[r] = 1;
      stack[n++] = r;
    }
  }
  for (int64_t i = 0; i < n; i++) done[stack[i]] = 0;
  return n;
}

static bool chains_touch(const Embedding *e, const Graph *g, const int32_t *owner, int32_t u,
                         int32_t v) {
  for (int64_t i = e->start[u]; i < e->start[u + 1]; i++) {
    int32_t q = e->qubit[i];
    for (int64_t k = g->start[q]; k < g->start[q + 1]; k++)
      if (owner[g->other[k]] == v) return true;
  }
  return false;
}

static RtStatus check(Rt *rt, const Embedding *e, const Graph *source, const Graph *target,
                      int32_t *owner, uint8_t *done, int32_t *stack) {
  RT_TRY(owners(rt, e, source, target, owner));
  for (int64_t v = 0; v < e->n; v++) {
    int64_t n = e->start[v + 1] - e->start[v];
    if (n && reach(target, owner, e->qubit[e->start[v]], done, stack) != n)
      return rt_fail(rt, RT_ERROR, "DisconnectedChain: the chain of variable %lld is not connected",
                     (long long)v);
  }
  for (int32_t u = 0; u < source->n; u++)
    for (int64_t k = source->start[u]; k < source->start[u + 1]; k++) {
      int32_t v = source->other[k];
      if (v > u && !chains_touch(e, target, owner, u, v))
        return rt_fail(rt, RT_ERROR, "MissingEdge: no coupler joins the chains of variables %d and "
                       "%d", u, v);
    }
  return RT_OK;
}

RtStatus embedding_check(Rt *rt, const Embedding *e, const Graph *source, const Graph *target) {
  size_t words = BYTES(target->n, (int32_t *)0), bytes = (size_t)target->n;
  int32_t *owner = rt_alloc(rt, words), *stack = rt_alloc(rt, words);
  uint8_t *done = rt_alloc0(rt, bytes);
  RtStatus st = owner && stack && done ? check(rt, e, source, target, owner, done, stack)
                                       : rt->error.status;
  rt_free(rt, owner, words);
  rt_free(rt, stack, words);
  rt_free(rt, done, bytes);
  return st;
}
