/* graph.c: simple graphs: making, looking up, and the families that need no
 * hardware: complete, grid, random regular, G(n, p).                          */
#include "runtime/binary/graph.h"

#include <math.h>
#include <string.h>

#include "runtime/binary/pairs.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void graph_free(Rt *rt, Graph *g) {
  rt_free(rt, g->present, BYTES(g->n, g->present));
  rt_free(rt, g->start, BYTES(g->n + 1, g->start));
  rt_free(rt, g->other, BYTES(2 * g->m, g->other));
  *g = (Graph){0};
}

static RtStatus reserve(Rt *rt, Graph *g, int64_t n, int64_t m) {
  *g = (Graph){.n = n, .m = m};
  g->present = rt_alloc(rt, BYTES(n, g->present));
  g->start = rt_alloc0(rt, BYTES(n + 1, g->start));
  g->other = rt_alloc(rt, BYTES(2 * m, g->other));
  if (g->present && g->start && g->other) return RT_OK;
  graph_free(rt, g);
  return rt->error.status;
}

static RtStatus check(Rt *rt, int64_t n, int64_t m, const int32_t *uv, const uint8_t *present) {
  if (n < 0 || n > INT32_MAX || m < 0)
    return rt_fail(rt, RT_ERROR, "a graph of %lld nodes and %lld edges is not possible",
                   (long long)n, (long long)m);
  for (int64_t k = 0; k < m; k++) {
    int32_t u = uv[2 * k], v = uv[2 * k + 1];
    if (u < 0 || v < 0 || u >= n || v >= n)
      return rt_fail(rt, RT_ERROR, "edge %lld joins nodes %d and %d; nodes are 0 to %lld",
                     (long long)k, u, v, (long long)n - 1);
    if (u == v)
      return rt_fail(rt, RT_ERROR, "edge %lld joins node %d with itself", (long long)k, u);
    if (present && (!present[u] || !present[v]))
      return rt_fail(rt, RT_ERROR, "edge %lld joins nodes %d and %d, of which node %d is absent",
                     (long long)k, u, v, present[u] ? v : u);
  }
  return RT_OK;
}

/* Merged pairs in order fill every row ascending, as in ising.c. */
static RtStatus from_merged(Rt *rt, Graph *g, int64_t n, int64_t m, const int32_t *uv,
                            const uint8_t *present) {
  RT_TRY(reserve(rt, g, n, m));
  int64_t *at = rt_alloc(rt, BYTES(n, at));
  if (!at) {
    graph_free(rt, g);
    return rt->error.status;
  }
  for (int64_t v = 0; v < n; v++) g->nodes += g->present[v] = present ? present[v] != 0 : 1;
  for (int64_t k = 0; k < 2 * m; k++) g->start[uv[k] + 1]++;
  for (int64_t v = 0; v < n; v++) {
    at[v] = g->start[v];
    g->start[v + 1] += g->start[v];
  }
  for (int64_t k = 0; k < m; k++) {
    int32_t u = uv[2 * k], v = uv[2 * k + 1];
    g->other[at[u]++] = v;
    g->other[at[v]++] = u;
  }
  rt_free(rt, at, BYTES(n, at));
  return RT_OK;
}

RtStatus graph_make(Rt *rt, Graph *out, int64_t n, int64_t m, const int32_t *uv,
                    const uint8_t *present) {
  *out = (Graph){0};
  RT_TRY(check(rt, n, m, uv, present));
  int32_t *pair = rt_alloc(rt, BYTES(2 * m, pair));
  if (!pair) return rt->error.status;
  int64_t left = m;
  if (m) memcpy(pair, uv, BYTES(2 * m, pair));
  RtStatus st = pairs_merge(rt, n, &left, pair, NULL);
  if (!st) st = from_merged(rt, out, n, left, pair, present);
  rt_free(rt, pair, BYTES(2 * m, pair));
  return st;
}

RtStatus graph_copy(Rt *rt, Graph *out, const Graph *g) {
  RT_TRY(reserve(rt, out, g->n, g->m));
  memcpy(out->family, g->family, sizeof out->family);
  memcpy(out->dims, g->dims, sizeof out->dims);
  out->nodes = g->nodes;
  if (g->n) memcpy(out->present, g->present, BYTES(g->n, g->present));
  memcpy(out->start, g->start, BYTES(g->n + 1, g->start));
  if (g->m) memcpy(out->other, g->other, BYTES(2 * g->m, g->other));
  return RT_OK;
}

bool graph_adjacent(const Graph *g, int32_t u, int32_t v) {
  if (u < 0 || v < 0 || u >= g->n || v >= g->n) return false;
  int64_t lo = g->start[u], hi = g->start[u + 1];
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (g->other[mid] < v) lo = mid + 1;
    else hi = mid;
  }
  return lo < g->start[u + 1] && g->other[lo] == v;
}

void graph_edges(const Graph *g, int32_t *uv) {
  int64_t k = 0;
  for (int64_t u = 0; u < g->n; u++)
    for (int64_t e = g->start[u]; e < g->start[u + 1]; e++)
      if (g->other[e] > u) {
        uv[2 * k] = (int32_t)u;
        uv[2 * k++ + 1] = g->other[e];
      }
}

/* ---- families ------------------------------------------------------------------ */

static RtStatus too_many(Rt *rt, const char *what, int64_t n) {
  return rt_fail(rt, RT_ERROR, "%s of size %lld is not possible: at most 2^31 - 1 nodes and edges",
                 what, (long long)n);
}

RtStatus graph_complete(Rt *rt, Graph *out, int64_t n) {
  *out = (Graph){0};
  if (n < 0 || n > 65536) return too_many(rt, "a complete graph", n);
  RT_TRY(reserve(rt, out, n, n * (n - 1) / 2));
  out->nodes = n;
  int64_t at = 0;
  for (int64_t u = 0; u < n; u++) {
    out->present[u] = 1;
    for (int64_t v = 0; v < n; v++)
      if (v != u) out->other[at++] = (int32_t)v;
    out->start[u + 1] = at;
  }
  return RT_OK;
}

RtStatus graph_grid(Rt *rt, Graph *out, int64_t a, int64_t b, bool periodic) {
  *out = (Graph){0};
  if (a < 0 || b < 0 || (b && a > INT32_MAX / 2 / b)) return too_many(rt, "a grid", a);
  const int64_t n = a * b;
  int32_t *uv = rt_alloc(rt, BYTES(4 * n, uv));
  if (!uv) return rt->error.status;
  int64_t m = 0;
  for (int64_t i = 0; i < a; i++)
    for (int64_t j = 0; j < b; j++) {
      const int64_t v = i * b + j;
      /* a ring of one or two has no closing edge of its own */
      const int64_t down = i + 1 < a ? v + b : periodic && a > 2 ? j : -1;
      const int64_t right = j + 1 < b ? v + 1 : periodic && b > 2 ? i * b : -1;
      if (down >= 0) uv[2 * m] = (int32_t)v, uv[2 * m++ + 1] = (int32_t)down;
      if (right >= 0) uv[2 * m] = (int32_t)v, uv[2 * m++ + 1] = (int32_t)right;
    }
  RtStatus st = graph_make(rt, out, n, m, uv, NULL);
  rt_free(rt, uv, BYTES(4 * n, uv));
  return st;
}

/* ---- random graphs ---------------------------------------------------------------- */

static int64_t draw(RngCall rng, uint64_t *e, int64_t n) {
  return (int64_t)(rng_uniform(rng, (*e)++) * (double)n);
}

/* Row lists of fixed length, so that edges can be asked for and exchanged. */
typedef struct { int64_t degree; int32_t *row; int32_t *used; } Rows;

static bool joined(const Rows *r, int32_t u, int32_t v) {
  for (int32_t k = 0; k < r->used[u]; k++)
    if (r->row[u * r->degree + k] == v) return true;
  return false;
}

static void join(Rows *r, int32_t u, int32_t v) {
  r->row[u * r->degree + r->used[u]++] = v;
  r->row[v * r->degree + r->used[v]++] = u;
}

static void replace(Rows *r, int32_t u, int32_t from, int32_t to) {
  int64_t k = u * r->degree;
  while (r->row[k] != from) k++;
  r->row[k] = to;
}

/* Half edges are paired at random; a pair that would be a loop or a double edge
 * is kept back and later exchanged with a random good edge.                   */
static RtStatus pair_up(Rt *rt, Rows *r, RngCall rng, int64_t n, int32_t *half) {
  const int64_t total = n * r->degree;
  uint64_t e = 0;
  int64_t bad = 0;
  for (int64_t i = 0; i < total; i++) half[i] = (int32_t)(i / r->degree);
  for (int64_t i = total - 1; i > 0; i--) {
    int64_t j = draw(rng, &e, i + 1);
    int32_t t = half[i];
    half[i] = half[j];
    half[j] = t;
  }
  for (int64_t i = 0; i + 1 < total; i += 2) {
    int32_t u = half[i], v = half[i + 1];
    if (u != v && !joined(r, u, v)) {
      join(r, u, v);
      continue;
    }
    half[bad++] = u;
    half[bad++] = v;
  }
  /* u v kept back, x y an edge: remove x y, join u x and v y */
  for (int64_t tries = 0; bad > 0; tries++) {
    if (tries > 1000 * total + 100000)
      return rt_fail(rt, RT_ERROR, "no random graph of %lld nodes of degree %lld was found",
                     (long long)n, (long long)r->degree);
    if (tries % 4096 == 0) RT_TRY(rt_poll(rt));
    int32_t u = half[bad - 2], v = half[bad - 1];
    int32_t x = (int32_t)draw(rng, &e, n);
    if (!r->used[x]) continue;
    int32_t y = r->row[x * r->degree + draw(rng, &e, r->used[x])];
    if (u == x || v == y || joined(r, u, x) || joined(r, v, y)) continue;
    replace(r, x, y, u);
    replace(r, y, x, v);
    r->row[u * r->degree + r->used[u]++] = x;
    r->row[v * r->degree + r->used[v]++] = y;
    bad -= 2;
  }
  return RT_OK;
}

RtStatus graph_regular(Rt *rt, Graph *out, RngCall rng, int64_t n, int64_t degree) {
  *out = (Graph){0};
  if (n < 0 || degree < 0 || (degree && n > INT32_MAX / degree))
    return too_many(rt, "a regular graph", n);
  if (n * degree % 2 || (degree >= n && degree > 0))
    return rt_fail(rt, RT_ERROR, "there is no graph of %lld nodes, all of degree %lld: %s",
                   (long long)n, (long long)degree,
                   degree >= n ? "the degree must be below the number of nodes"
                               : "nodes times degree must be even");
  if (degree == n - 1) return graph_complete(rt, out, n);
  const int64_t total = n * degree;
  Rows r = {degree, rt_alloc(rt, BYTES(total, r.row)), rt_alloc0(rt, BYTES(n, r.used))};
  int32_t *half = rt_alloc(rt, BYTES(2 * total, half));
  RtStatus st = r.row && r.used && half ? pair_up(rt, &r, rng, n, half) : rt->error.status;
  if (!st) {
    int64_t m = 0;
    for (int64_t u = 0; u < n; u++)
      for (int64_t k = 0; k < degree; k++)
        if (r.row[u * degree + k] > u)
          half[2 * m] = (int32_t)u, half[2 * m++ + 1] = r.row[u * degree + k];
    st = graph_make(rt, out, n, m, half, NULL);
  }
  rt_free(rt, half, BYTES(2 * total, half));
  rt_free(rt, r.row, BYTES(total, r.row));
  rt_free(rt, r.used, BYTES(n, r.used));
  return st;
}

/* Gaps between edges are geometric (Batagelj and Brandes 2005): one draw an edge. */
static RtStatus skip_edges(Rt *rt, RngCall rng, int64_t n, double p, int32_t **uv, int64_t *cap,
                           int64_t *m) {
  const double scale = 1 / log1p(-p);
  int64_t v = 1, w = -1;
  for (uint64_t e = 0; v < n; e++) {
    const double skip = p < 1 ? floor(log1p(-rng_uniform(rng, e)) * scale) : 0;
    if (skip > (double)n * (double)n) break;
    w += 1 + (int64_t)skip;
    while (v < n && w >= v) w -= v++;
    if (v >= n) break;
    if (*m == *cap) {
      int64_t to = *cap ? 2 * *cap : 64;
      int32_t *more = rt_realloc(rt, *uv, BYTES(2 * *cap, more), BYTES(2 * to, more));
      if (!more) return rt->error.status;
      *uv = more;
      *cap = to;
    }
    (*uv)[2 * *m] = (int32_t)w;
    (*uv)[2 * (*m)++ + 1] = (int32_t)v;
    if (e % 65536 == 0) RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

RtStatus graph_random(Rt *rt, Graph *out, RngCall rng, int64_t n, double p) {
  *out = (Graph){0};
  if (n < 0 || n > INT32_MAX) return too_many(rt, "a random graph", n);
  if (!(p >= 0 && p <= 1))
    return rt_fail(rt, RT_ERROR, "the probability of an edge is %g; expected 0 to 1", p);
  int32_t *uv = NULL;
  int64_t cap = 0, m = 0;
  RtStatus st = p > 0 ? skip_edges(rt, rng, n, p, &uv, &cap, &m) : RT_OK;
  if (!st) st = graph_make(rt, out, n, m, uv, NULL);
  rt_free(rt, uv, BYTES(2 * cap, uv));
  return st;
}
