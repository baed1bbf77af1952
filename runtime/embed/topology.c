/* topology.c: the graphs of D-Wave's annealers with the numbers that its
 * interface uses, whole or with defects.
 *
 * Chimera: arXiv 0710.1452 and D-Wave's topology manual; Pegasus: Boothby, Bunyk,
 * Raymond, Roy, arXiv 2003.00133; Zephyr: Boothby, King, Raymond, "Zephyr
 * Topology of D-Wave Quantum Processors" (2021).
 */
#include <stdio.h>
#include <string.h>

#include "runtime/embed/embed.h"
#include "runtime/embed/lines.h"

#define MOST_QUBITS (1 << 26)

/* Where a vertical (u = 0) or horizontal (u = 1) Pegasus qubit begins along its line. */
const uint8_t pegasus_shift[2][12] = {{2, 2, 2, 2, 10, 10, 10, 10, 6, 6, 6, 6},
                                      {6, 6, 6, 6, 2, 2, 2, 2, 10, 10, 10, 10}};

/* Edges as they are found; the arrays are of the size that a formula gave. */
typedef struct { int32_t *uv; int64_t m, cap; uint8_t *present; int64_t n; } Edges;

static RtStatus edges_open(Rt *rt, Edges *e, int64_t n, int64_t cap) {
  *e = (Edges){.n = n, .cap = cap};
  e->uv = rt_alloc(rt, (size_t)(2 * cap + 2) * sizeof *e->uv);
  e->present = rt_alloc(rt, (size_t)n + 1);
  if (!e->uv || !e->present) {
    rt_free(rt, e->uv, (size_t)(2 * cap + 2) * sizeof *e->uv);
    rt_free(rt, e->present, (size_t)n + 1);
    return RT_MEMORY;
  }
  memset(e->present, 1, (size_t)n);
  return RT_OK;
}

static void edge(Edges *e, int64_t u, int64_t v) {
  if (!e->present[u] || !e->present[v]) return;
  e->uv[2 * e->m] = (int32_t)u;
  e->uv[2 * e->m + 1] = (int32_t)v;
  e->m++;
}

static RtStatus edges_graph(Rt *rt, Edges *e, const char *family, const int dims[3], Graph *out) {
  RtStatus st = graph_make(rt, out, e->n, e->m, e->uv, e->present);
  rt_free(rt, e->uv, (size_t)(2 * e->cap + 2) * sizeof *e->uv);
  rt_free(rt, e->present, (size_t)e->n + 1);
  if (st) return st;
  snprintf(out->family, sizeof out->family, "%s", family);
  memcpy(out->dims, dims, sizeof out->dims);
  return RT_OK;
}

/* Sizes of at least `least`, a product that fits. */
static RtStatus sizes(Rt *rt, const char *family, const char *letters, int least, int k,
                      const int *size, double qubits) {
  for (int i = 0; i < k; i++)
    if (size[i] < (i ? 1 : least)) {
      rt_fail(rt, RT_ERROR, "%s: expected %c >= %d, found %d", family, letters[i], i ? 1 : least,
              size[i]);
      rt_help(rt, "processors of today are chimera(16), pegasus(16) and zephyr(12)");
      return RT_ERROR;
    }
  if (qubits > MOST_QUBITS)
    return rt_fail(rt, RT_ERROR, "%s: %.0f qubits are more than the %d that fit", family, qubits,
                   MOST_QUBITS);
  return RT_OK;
}

RtStatus topology_chimera(Rt *rt, Graph *out, int m, int n, int t) {
  memset(out, 0, sizeof *out);
  int size[3] = {m, n, t};
  RT_TRY(sizes(rt, "chimera", "mnt", 1, 3, size, 2.0 * m * n * t));
  double inside = (double)t * t * m * n;
  if (inside > 8.0 * MOST_QUBITS)
    return rt_fail(rt, RT_ERROR, "chimera: %.0f couplers are too many", inside);
  Edges e;
  int64_t cells = (int64_t)m * n;
  RT_TRY(edges_open(rt, &e, 2 * cells * t, cells * t * t + 2 * cells * t));
  for (int64_t c = 0; c < cells; c++)
    for (int64_t k = 0; k < t; k++) {
      int64_t down = 2 * c * t + k, right = down + t;
      for (int64_t l = 0; l < t; l++) edge(&e, down, 2 * c * t + t + l);
      if (c / n + 1 < m) edge(&e, down, down + (int64_t)2 * n * t);
      if (c % n + 1 < n) edge(&e, right, right + 2 * t);
    }
  return edges_graph(rt, &e, "chimera", size, out);
}

static bool pegasus_kept(int m, int u, int w, int k, int z, bool fabric_only, bool nice) {
  int c[4] = {u, w, k, z}, out[5];
  if (nice) return pegasus_to_nice(m, c, out);
  return !fabric_only || !((w == 0 && k < 2) || (w == m - 1 && k >= 10));
}

RtStatus topology_pegasus(Rt *rt, Graph *out, int m, bool fabric_only, bool nice) {
  memset(out, 0, sizeof *out);
  int size[3] = {m, 0, 0};
  RT_TRY(sizes(rt, "pegasus", "m", 2, 1, size, 24.0 * m * (m - 1.0)));
  Edges e;
  int64_t line = m - 1, half = (int64_t)m * 12 * line;
  RT_TRY(edges_open(rt, &e, 2 * half, 16 * half));
#define NUMBER(u, w, k, z) ((((int64_t)(u) * m + (w)) * 12 + (k)) * line + (z))
  for (int64_t q = 0; q < 2 * half; q++) {
    int z = (int)(q % line), k = (int)(q / line % 12), w = (int)(q / line / 12 % m);
    e.present[q] = pegasus_kept(m, q >= half, w, k, z, fabric_only, nice);
  }
  for (int64_t q = 0; q < 2 * half; q++) {
    int z = (int)(q % line), k = (int)(q / line % 12), w = (int)(q / line / 12 % m);
    if (z + 1 < line) edge(&e, q, q + 1);
    if (k % 2 == 0) edge(&e, q, q + line);
    if (q >= half) continue;
    for (int l = 0; l < 12; l++) {                 /* crossing horizontal qubits */
      int row = z + (l < pegasus_shift[0][k]), at = w - (k < pegasus_shift[1][l]);
      if (row < m && at >= 0 && at < line) edge(&e, q, NUMBER(1, row, l, at));
    }
  }
#undef NUMBER
  return edges_graph(rt, &e, "pegasus", size, out);
}

RtStatus topology_zephyr(Rt *rt, Graph *out, int m, int t) {
  memset(out, 0, sizeof *out);
  int size[3] = {m, t, 0};
  double qubits = 4.0 * t * m * (2.0 * m + 1);
  RT_TRY(sizes(rt, "zephyr", "mt", 1, 2, size, qubits));
  if (qubits * (4.0 * t + 4) > 16.0 * MOST_QUBITS)
    return rt_fail(rt, RT_ERROR, "zephyr: %.0f couplers are too many", qubits * (2.0 * t + 2));
  Edges e;
  int64_t half = (int64_t)(2 * m + 1) * t * 2 * m;
  RT_TRY(edges_open(rt, &e, 2 * half, half * (4 * t + 6)));
  for (int64_t q = 0; q < 2 * half; q++) {
    int z = (int)(q % m), j = (int)(q / m % 2), w = (int)(q / m / 2 / t % (2 * m + 1));
    if (z + 1 < m) edge(&e, q, q + 1);
    if (j == 0) edge(&e, q, q + m);
    if (j == 0 && z > 0) edge(&e, q, q + m - 1);
    if (q >= half) continue;
    /* It covers the rows 2z+j and 2z+j+1; a horizontal qubit covers its column w
     * when 2z'+j' is w or w-1. */
    for (int row = 2 * z + j; row <= 2 * z + j + 1; row++)
      for (int begin = w - 1; begin <= w; begin++)
        for (int l = 0; l < t && begin >= 0 && begin < 2 * m; l++)
          edge(&e, q, half + (((int64_t)row * t + l) * 2 + begin % 2) * m + begin / 2);
  }
  return edges_graph(rt, &e, "zephyr", size, out);
}

RtStatus topology_named(Rt *rt, Graph *out, const char *family, int k, const int *size) {
  memset(out, 0, sizeof *out);
  if (!strcmp(family, "chimera") && k >= 1 && k <= 3)
    return topology_chimera(rt, out, size[0], size[k > 1], k > 2 ? size[2] : 4);
  if (!strcmp(family, "pegasus") && k == 1) return topology_pegasus(rt, out, size[0], true, false);
  if (!strcmp(family, "zephyr") && (k == 1 || k == 2))
    return topology_zephyr(rt, out, size[0], k > 1 ? size[1] : 4);
  rt_fail(rt, RT_ERROR, "no topology `%s` with %d size%s", family, k, k == 1 ? "" : "s");
  rt_help(rt, "there are chimera (m, n, t), pegasus (m) and zephyr (m, t)");
  return RT_ERROR;
}

/* ---- defects --------------------------------------------------------------- */

/* The place of v among u's neighbours, or -1. */
static int64_t place(const Graph *g, int32_t u, int32_t v) {
  int64_t lo = g->start[u], hi = g->start[u + 1];
  while (lo < hi) {
    int64_t mid = (lo + hi) / 2;
    if (g->other[mid] < v) lo = mid + 1;
    else hi = mid;
  }
  return lo < g->start[u + 1] && g->other[lo] == v ? lo : -1;
}

static RtStatus mark_defects(Rt *rt, const Graph *g, int64_t nn, const int32_t *nodes, int64_t ne,
                             const int32_t *uv, uint8_t *present, uint8_t *gone) {
  for (int64_t i = 0; i < nn; i++) {
    if (nodes[i] < 0 || nodes[i] >= g->n)
      return rt_fail(rt, RT_ERROR, "no node %d to remove: the graph has 0 .. %lld", nodes[i],
                     (long long)g->n - 1);
    present[nodes[i]] = 0;
  }
  for (int64_t i = 0; i < ne; i++) {
    int32_t u = uv[2 * i], v = uv[2 * i + 1];
    int64_t at = -1;
    if (u >= 0 && v >= 0 && u < g->n && v < g->n) at = place(g, u, v);
    if (at < 0)
      return rt_fail(rt, RT_ERROR, "no edge between %d and %d to remove", u, v);
    gone[at] = gone[place(g, v, u)] = 1;
  }
  return RT_OK;
}

RtStatus topology_without(Rt *rt, Graph *out, const Graph *g, int64_t nn, const int32_t *nodes,
                          int64_t ne, const int32_t *uv) {
  memset(out, 0, sizeof *out);
  Edges e;
  size_t marks = (size_t)(2 * g->m) + 1;
  RT_TRY(edges_open(rt, &e, g->n, g->m));
  memcpy(e.present, g->present, (size_t)g->n);
  uint8_t *gone = rt_alloc0(rt, marks);
  RtStatus st = gone ? mark_defects(rt, g, nn, nodes, ne, uv, e.present, gone) : RT_MEMORY;
  for (int32_t u = 0; !st && u < g->n; u++)
    for (int64_t k = g->start[u]; k < g->start[u + 1]; k++)
      if (g->other[k] > u && !gone[k]) edge(&e, u, g->other[k]);
  rt_free(rt, gone, marks);
  if (st) {
    rt_free(rt, e.uv, (size_t)(2 * e.cap + 2) * sizeof *e.uv);
    rt_free(rt, e.present, (size_t)e.n + 1);
    return st;
  }
  return edges_graph(rt, &e, g->family, g->dims, out);
}
