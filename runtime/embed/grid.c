/* grid.c: rectangular lattices on chains of two.
 *
 * A block of 2 x 2 lattice nodes shares a cell: node k is the cell's vertical
 * and its horizontal qubit k.  Blocks are mirrored in alternate cells, so that
 * neighbours across a cell's border have the same k.  Pegasus and Zephyr hold
 * such cells too.
 */
#include <string.h>

#include "runtime/embed/constructions.h"

/* ---- recognising ------------------------------------------------------------- */

/* Distances from a node; -1 where it does not reach. */
static void distances(const Graph *s, int32_t from, int32_t *d, int32_t *queue) {
  for (int64_t v = 0; v < s->n; v++) d[v] = -1;
  int64_t top = 0, n = 0;
  d[from] = 0;
  queue[n++] = from;
  while (top < n) {
    int32_t u = queue[top++];
    for (int64_t e = s->start[u]; e < s->start[u + 1]; e++)
      if (d[s->other[e]] < 0) {
        d[s->other[e]] = d[u] + 1;
        queue[n++] = s->other[e];
      }
  }
}

/* Row and column of every node, when (d0, d1), the distances from the two ends of a side
 * of `columns` nodes, make the source the a x b lattice. */
static bool coordinates(const Graph *s, int64_t columns, const int32_t *d0, int32_t *row_col,
                        const int32_t *d1, uint8_t *seen) {
  int64_t rows = s->n / columns;
  if (rows * columns != s->n || s->m != rows * (columns - 1) + columns * (rows - 1)) return false;
  memset(seen, 0, (size_t)s->n);
  for (int64_t v = 0; v < s->n; v++) {
    int64_t twice = d0[v] + d1[v] - (columns - 1), i = twice / 2, j = d0[v] - i;
    if (twice < 0 || twice % 2 || i >= rows || j < 0 || j >= columns || seen[i * columns + j])
      return false;
    seen[i * columns + j] = 1;
    row_col[2 * v] = (int32_t)i;
    row_col[2 * v + 1] = (int32_t)j;
  }
  for (int32_t u = 0; u < s->n; u++)
    for (int64_t e = s->start[u]; e < s->start[u + 1]; e++) {
      const int32_t *a = row_col + 2 * u, *b = row_col + 2 * s->other[e];
      int32_t dr = a[0] - b[0], dc = a[1] - b[1];
      if (dr * dr + dc * dc != 1) return false;
    }
  return true;
}

/* Corners are the nodes of degree two. */
static bool recognise(const Graph *s, int32_t *row_col, int32_t *work, uint8_t *seen,
                      int64_t *columns) {
  int32_t corner[4], n = 0, *d0 = work, *d1 = work + s->n, *queue = work + 2 * s->n;
  if (s->n < 4 || s->nodes != s->n) return false;
  for (int32_t v = 0; v < s->n; v++) {
    int64_t degree = s->start[v + 1] - s->start[v];
    if (degree < 2 || degree > 4) return false;
    if (degree > 2) continue;
    if (n == 4) return false;
    corner[n++] = v;
  }
  if (n != 4) return false;
  distances(s, corner[0], d0, queue);
  for (int64_t v = 0; v < s->n; v++)
    if (d0[v] < 0) return false;
  for (int i = 1; i < 4; i++) {
    distances(s, corner[i], d1, queue);
    *columns = d0[corner[i]] + 1;
    if (coordinates(s, *columns, d0, row_col, d1, seen)) return true;
  }
  return false;
}

/* ---- cells ---------------------------------------------------------------------- */

/* Cells K(4, 4) joined as in Chimera: rows, columns, and ways to find such in the graph. */
static int cells_of(const Graph *g, int size[2]) {
  int c[5];
  if (!g->n || !topology_coordinates(g, 0, c)) return 0;
  bool chimera = !strcmp(g->family, "chimera"), pegasus = !strcmp(g->family, "pegasus");
  size[0] = g->dims[0] - pegasus;
  size[1] = chimera ? g->dims[1] : size[0];
  if (pegasus) return 3;
  if (chimera) return g->dims[2] >= 4;
  return g->dims[1] >= 4 ? 4 : 0;
}

static int64_t cell_qubit(const Graph *g, int way, int row, int column, int u, int k) {
  if (!strcmp(g->family, "chimera")) return topology_linear(g, (int[]){row, column, u, k});
  if (!strcmp(g->family, "pegasus"))
    return pegasus_from_nice(g, (int[]){way, row, column, u, k});
  /* Zephyr: vertical lines 2 column (+1), horizontal lines 2 row (+1) */
  int line = u ? 2 * row + way / 2 : 2 * column + way % 2;
  return topology_linear(g, (int[]){u, line, k, 0, u ? column : row});
}

/* *e has room for two qubits a node. */
static bool lay(const Graph *s, const Graph *g, int way, const int at[2], bool turned,
                const int32_t *row_col, Embedding *e) {
  for (int64_t v = 0; v < s->n; v++) {
    int row = row_col[2 * v + turned], column = row_col[2 * v + !turned];
    int i = row / 2, j = column / 2, k = 2 * ((row ^ i) & 1) + ((column ^ j) & 1);
    for (int u = 0; u < 2; u++) {
      int64_t q = cell_qubit(g, way, at[0] + i, at[1] + j, u, k);
      if (q < 0 || !g->present[q]) return false;
      e->qubit[2 * v + u] = (int32_t)q;
    }
    e->start[v + 1] = 2 * v + 2;
  }
  return true;
}

/* A missing coupler shows here, without an error. */
static bool joined(const Graph *s, const Graph *g, const Embedding *e) {
  for (int32_t u = 0; u < s->n; u++) {
    const int32_t *a = e->qubit + 2 * u;
    if (!graph_adjacent(g, a[0], a[1])) return false;
    for (int64_t k = s->start[u]; k < s->start[u + 1]; k++) {
      const int32_t *b = e->qubit + 2 * s->other[k];
      bool touch = false;
      for (int i = 0; i < 4; i++) touch |= graph_adjacent(g, a[i / 2], b[i % 2]);
      if (!touch) return false;
    }
  }
  return true;
}

/* All places and both directions until one meets no defect. */
static bool lay_somewhere(const Graph *s, const Graph *g, int64_t columns, const int32_t *row_col,
                          Embedding *e) {
  int size[2] = {0, 0}, ways = cells_of(g, size);
  int64_t side[2] = {s->n / columns, columns};
  for (int way = 0; way < ways; way++)
    for (int turned = 0; turned < 2; turned++) {
      int64_t down = (side[turned] + 1) / 2, across = (side[!turned] + 1) / 2;
      for (int i = 0; i + down <= size[0]; i++)
        for (int j = 0; j + across <= size[1]; j++)
          if (lay(s, g, way, (int[]){i, j}, turned, row_col, e) && joined(s, g, e)) return true;
    }
  return false;
}

RtStatus grid_try(Rt *rt, const Graph *source, const Graph *target, Embedding *out, bool *found) {
  *found = false;
  *out = (Embedding){0};
  if (2 * source->n > target->nodes) return RT_OK;
  size_t n = (size_t)source->n, words = sizeof(int32_t);
  Embedding e = {.n = source->n};
  int32_t *row_col = rt_alloc(rt, 2 * n * words), *work = rt_alloc(rt, 3 * n * words);
  uint8_t *seen = rt_alloc(rt, n);
  e.start = rt_alloc0(rt, (n + 1) * sizeof *e.start);
  e.qubit = rt_alloc(rt, 2 * n * words);
  RtStatus st = row_col && work && seen && e.start && e.qubit ? RT_OK : rt->error.status;
  int64_t columns;
  if (!st) {
    *found = recognise(source, row_col, work, seen, &columns) &&
             lay_somewhere(source, target, columns, row_col, &e);
    if (*found) st = embedding_make(rt, out, e.n, e.start, e.qubit, "grid");
  }
  rt_free(rt, row_col, 2 * n * words);
  rt_free(rt, work, 3 * n * words);
  rt_free(rt, seen, n);
  rt_free(rt, e.start, (n + 1) * sizeof *e.start);
  rt_free(rt, e.qubit, 2 * n * words);
  return st;
}
