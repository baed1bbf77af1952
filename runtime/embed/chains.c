/* chains.c: a model put on chains: how strongly they are held together, the
 * biases and couplings of the qubits.  The rules are those of D-Wave's own
 * embedding layer, to the last bit.                                           */
#include <math.h>
#include <string.h>

#include "runtime/embed/embed.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

double chain_strength_torque(const Ising *p, double prefactor) {
  if (!p->m) return 1;
  double squares = 0;
  for (int64_t i = 0; i < p->n; i++)
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
      if (p->other[k] > i) squares += p->J[k] * p->J[k];
  double rms = sqrt(squares / (double)p->m), degree = 2.0 * (double)p->m / (double)p->n;
  return prefactor * rms * sqrt(degree);
}

double chain_strength_scaled(const Ising *p, double prefactor) {
  if (!p->m) return 1;
  double most = 0;
  for (int64_t i = 0; i < p->n; i++) most = fmax(most, fabs(p->h[i]));
  for (int64_t k = 0; k < 2 * p->m; k++) most = fmax(most, fabs(p->J[k]));
  return prefactor * most;
}

/* What embed_ising works with; freed together. */
typedef struct {
  int32_t *owner, *uv;
  int64_t *between;       /* couplers between u's and v's chain, by v, for one u */
  double *h, *c, offset;
  int64_t n, m, cap, chains;
} Embedded;

static RtStatus embedded_open(Rt *rt, Embedded *w, const Embedding *e, const Graph *g) {
  *w = (Embedded){.n = g->n, .cap = g->m, .chains = e->n};
  w->owner = rt_alloc(rt, BYTES(w->n, w->owner));
  w->uv = rt_alloc(rt, BYTES(2 * w->cap, w->uv));
  w->between = rt_alloc0(rt, BYTES(w->chains, w->between));
  w->h = rt_alloc0(rt, BYTES(w->n, w->h));
  w->c = rt_alloc(rt, BYTES(w->cap, w->c));
  if (!w->owner || !w->uv || !w->between || !w->h || !w->c) return rt->error.status;
  if (w->n) memset(w->owner, 255, BYTES(w->n, w->owner));
  for (int32_t v = 0; v < e->n; v++)
    for (int64_t k = e->start[v]; k < e->start[v + 1]; k++) w->owner[e->qubit[k]] = v;
  return RT_OK;
}

static void embedded_close(Rt *rt, Embedded *w) {
  rt_free(rt, w->owner, BYTES(w->n, w->owner));
  rt_free(rt, w->uv, BYTES(2 * w->cap, w->uv));
  rt_free(rt, w->between, BYTES(w->chains, w->between));
  rt_free(rt, w->h, BYTES(w->n, w->h));
  rt_free(rt, w->c, BYTES(w->cap, w->c));
}

static void couple(Embedded *w, int32_t q, int32_t r, double c) {
  w->uv[2 * w->m] = q;
  w->uv[2 * w->m + 1] = r;
  w->c[w->m++] = c;
}

/* Couplers of variable u's chain: its own, and those to chains of larger number. */
static void embed_variable(Embedded *w, const Ising *p, const Embedding *e, const Graph *g,
                           int32_t u, double strength) {
  int64_t length = e->start[u + 1] - e->start[u];
  for (int64_t i = e->start[u]; i < e->start[u + 1]; i++) {
    int32_t q = e->qubit[i];
    w->h[q] = p->h[u] / (double)length;
    for (int64_t k = g->start[q]; k < g->start[q + 1]; k++) {
      int32_t r = g->other[k], v = w->owner[r];
      if (v > u) w->between[v]++;
      if (v != u || r < q) continue;
      if (strength != 0) couple(w, q, r, -strength);
      w->offset += strength;
    }
  }
  for (int64_t i = e->start[u]; i < e->start[u + 1]; i++) {
    int32_t q = e->qubit[i];
    for (int64_t k = g->start[q]; k < g->start[q + 1]; k++) {
      int32_t r = g->other[k], v = w->owner[r];
      if (v <= u) continue;
      /* Neighbours are ascending: J_uv, if there is one, by bisection. */
      int64_t lo = p->start[u], hi = p->start[u + 1];
      while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (p->other[mid] < v) lo = mid + 1;
        else hi = mid;
      }
      if (lo < p->start[u + 1] && p->other[lo] == v) couple(w, q, r, p->J[lo] / (double)w->between[v]);
    }
  }
  for (int64_t i = e->start[u]; i < e->start[u + 1]; i++)
    for (int64_t k = g->start[e->qubit[i]]; k < g->start[e->qubit[i] + 1]; k++) {
      int32_t v = w->owner[g->other[k]];
      if (v > u) w->between[v] = 0;
    }
}

RtStatus embed_ising(Rt *rt, const Ising *p, const Embedding *e, const Graph *target,
                     const double *strength, Ising *out) {
  memset(out, 0, sizeof *out);
  /* The model's couplings are a graph of the same layout. */
  Graph source = {.n = p->n, .m = p->m, .nodes = p->n, .start = p->start, .other = p->other};
  source.present = rt_alloc(rt, (size_t)p->n);
  if (!source.present) return rt->error.status;
  if (p->n) memset(source.present, 1, (size_t)p->n);
  RtStatus st = embedding_check(rt, e, &source, target);
  rt_free(rt, source.present, (size_t)p->n);
  RT_TRY(st);
  for (int64_t v = 0; v < p->n; v++)
    if (!isfinite(strength[v]) || strength[v] < 0) {
      rt_fail(rt, RT_ERROR, "the chain strength of variable %lld is %g", (long long)v, strength[v]);
      rt_help(rt, "chains are held together by a finite strength of at least 0");
      return RT_ERROR;
    }
  Embedded w;
  st = embedded_open(rt, &w, e, target);
  w.offset = p->offset;
  for (int32_t u = 0; !st && u < p->n; u++) embed_variable(&w, p, e, target, u, strength[u]);
  if (!st) st = ising_make(rt, out, w.n, w.h, w.m, w.uv, w.c, w.offset);
  embedded_close(rt, &w);
  return st;
}

void embed_state(const Embedding *e, const Graph *target, const int8_t *s, int8_t unused,
                 int8_t *out) {
  if (target->n) memset(out, unused, (size_t)target->n);
  for (int64_t v = 0; v < e->n; v++)
    for (int64_t k = e->start[v]; k < e->start[v + 1]; k++) out[e->qubit[k]] = s[v];
}

RtStatus ising_gauge(Rt *rt, const Ising *p, const int8_t *g, Ising *out) {
  RT_TRY(ising_copy(rt, out, p));
  for (int64_t i = 0; i < p->n; i++) {
    out->h[i] *= g[i];
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) out->J[k] *= g[i] * g[p->other[k]];
  }
  return RT_OK;
}
