/* lines.c: which qubit covers which cell of which line, and where lines are
 * broken by missing qubits and couplers.                                     */
#include "runtime/embed/lines.h"

#include <string.h>

#include "runtime/embed/embed.h"

static bool measure(Lines *l, const Graph *g) {
  const int *d = g->dims;
  int c[5];
  *l = (Lines){0};
  if (!g->n || !topology_coordinates(g, 0, c)) return false;
  if (!strcmp(g->family, "chimera")) {
    *l = (Lines){.size = {d[1], d[0]}, .wires = d[2], .span = 1};
  } else if (!strcmp(g->family, "pegasus")) {
    *l = (Lines){.size = {6 * d[0], 6 * d[0]}, .wires = 2, .span = 6};
  } else {
    *l = (Lines){.size = {2 * d[0] + 1, 2 * d[0] + 1}, .wires = 2 * d[1], .span = 2};
  }
  int64_t one = (int64_t)l->size[0] * l->size[1] * l->wires;
  l->offset[1] = one;
  l->n = 2 * one;
  return l->wires <= 64 && l->size[0] < 4096 && l->size[1] < 4096;
}

/* The linear number of the qubit that covers a position, or -1. */
static int64_t covering(const Graph *g, int u, int line, int wire, int position) {
  if (!strcmp(g->family, "chimera")) {
    int c[4] = {u ? line : position, u ? position : line, u, wire};
    return topology_linear(g, c);
  }
  if (!strcmp(g->family, "pegasus")) {
    int w = line / 6, k = 2 * (line % 6) + wire, from = 2 * position - pegasus_shift[u][k];
    int c[4] = {u, w, k, from / 12};
    return from < 0 ? -1 : topology_linear(g, c);
  }
  int j = wire % 2, c[5] = {u, line, wire / 2, j, (position - j) / 2};
  return position < j ? -1 : topology_linear(g, c);
}

RtStatus lines_open(Rt *rt, Lines *l, const Graph *g, bool *known) {
  *known = measure(l, g);
  if (!*known) return RT_OK;
  size_t bytes = (size_t)l->n * sizeof(int32_t);
  l->qubit = rt_alloc(rt, bytes);
  l->whole = rt_alloc(rt, bytes);
  l->count = rt_alloc(rt, bytes);
  if (!l->qubit || !l->whole || !l->count) {
    lines_close(rt, l);
    return rt->error.status;
  }
  for (int u = 0; u < 2; u++)
    for (int line = 0; line < l->size[u]; line++)
      for (int wire = 0; wire < l->wires; wire++)
        for (int at = 0; at < l->size[!u]; at++) {
          int64_t i = lines_at(l, u, line, wire, at), q = covering(g, u, line, wire, at);
          int32_t last = at ? l->qubit[i - 1] : -1;
          l->qubit[i] = q >= 0 && g->present[q] ? (int32_t)q : -1;
          bool same = at && l->qubit[i] == last;
          bool joined = last >= 0 && l->qubit[i] >= 0 &&
                        (same || graph_adjacent(g, last, l->qubit[i]));
          l->count[i] = (at ? l->count[i - 1] : 0) + !same;
          l->whole[i] = joined ? l->whole[i - 1] : at;
          if (l->qubit[i] < 0) l->whole[i] = at + 1;
        }
  return RT_OK;
}

void lines_close(Rt *rt, Lines *l) {
  size_t bytes = (size_t)l->n * sizeof(int32_t);
  rt_free(rt, l->qubit, bytes);
  rt_free(rt, l->whole, bytes);
  rt_free(rt, l->count, bytes);
  *l = (Lines){0};
}
